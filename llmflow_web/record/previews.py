"""One line of what was asked and what was answered, and the token estimate where a provider gives none.

Pure. Works on parsed requests of any dialect that uses messages, input, prompt or contents.
"""

from __future__ import annotations

from typing import Any

from llmflow_web.model import JSON, Completion, Usage

PREVIEW_CHARS = 160
CHARS_PER_TOKEN = 4
"""A rule of thumb for English; it is marked as an estimate wherever it is shown."""

_LONGEST_WORD = 60
_MAX_DEPTH = 8
_TEXT_MEMBERS = ("text", "content", "input", "output", "arguments", "instructions", "parts", "refusal", "thinking")


def preview(text: str) -> str | None:
    """Return one line of at most PREVIEW_CHARS characters; None when there is nothing to show."""
    line = " ".join(text[: 2 * PREVIEW_CHARS].split())
    if not line:
        return None
    if len(line) <= PREVIEW_CHARS and len(text) <= 2 * PREVIEW_CHARS:
        return line
    # No broken word at the end: the first half of a key would not be known as one. Texts without spaces may break.
    line = line[: PREVIEW_CHARS - 1]
    whole, _, broken = line.rpartition(" ")
    return (whole if whole and len(broken) <= _LONGEST_WORD else line) + "…"


def asked_preview(request: JSON) -> str | None:
    """Return a line of the last message, or of whatever was asked."""
    for name in ("messages", "input", "contents", "prompt", "query"):
        value = request.get(name)
        if not value:
            continue
        if isinstance(value, list):
            value = _last_asked(value)
        found = preview(first_text(value))
        if found:
            return found
    return None


def _last_asked(items: list[Any]) -> Any:
    """Return the last item somebody said or a tool gave, else the last one."""
    for item in reversed(items):
        if isinstance(item, dict) and item.get("role") in ("user", "tool", "function"):
            return item
    return items[-1] if isinstance(items[-1], dict) else items  # plain texts (embeddings) are shown together


def first_text(value: Any, depth: int = 0) -> str:
    """Return the text of a message, part or plain value; an image is named, not shown."""
    if isinstance(value, str):
        return value
    if depth > _MAX_DEPTH:
        return ""
    if isinstance(value, list):
        return " ".join(part for part in (first_text(item, depth + 1) for item in value[:20]) if part)
    if not isinstance(value, dict):
        return ""
    for name in _TEXT_MEMBERS:
        if value.get(name):
            return first_text(value[name], depth + 1)
    kind = value.get("type")
    return f"[{kind}]" if isinstance(kind, str) else ""


def answer_preview(completion: Completion | None) -> str | None:
    """Return a line of the answer: its text, else its refusal, else the tools it calls."""
    if completion is None:
        return None
    found = preview(completion.text) or preview(completion.refusal)
    if found is None and completion.tool_calls:
        calls = (f"{call['function']['name']}({call['function']['arguments']})" for call in completion.tool_calls[:4])
        found = preview(", ".join(calls))
    return found or preview(completion.reasoning)


def prompt_characters(request: JSON) -> int:
    """Count the characters of a prompt that become text tokens; pictures and sounds do not count."""
    names = ("messages", "input", "prompt", "instructions", "system", "tools", "functions", "contents")
    return sum(_characters(request.get(name), 0) for name in names)


def _characters(value: Any, depth: int) -> int:
    if isinstance(value, str):
        return 0 if value.startswith("data:") else len(value)
    if depth > _MAX_DEPTH:
        return 0
    if isinstance(value, list):
        return sum(_characters(item, depth + 1) for item in value)
    if isinstance(value, dict):
        skipped = ("input_audio", "image_url", "file_data", "file", "source", "type", "role", "id")
        return sum(_characters(item, depth + 1) for name, item in value.items() if name not in skipped)
    return 0


def estimated_tokens(prompt_chars: int, completion: Completion | None) -> Usage:
    """Estimate usage from the length of prompt and answer."""
    made = 0
    if completion is not None:
        made = len(completion.text) + len(completion.reasoning) + len(completion.refusal)
        made += sum(len(call["function"]["arguments"]) for call in completion.tool_calls)
    prompt, answer = -(-prompt_chars // CHARS_PER_TOKEN), -(-made // CHARS_PER_TOKEN)
    return Usage(prompt_tokens=prompt, completion_tokens=answer, total_tokens=prompt + answer, is_estimated=True)
