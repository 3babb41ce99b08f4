"""Whole answers of the OpenAI dialect → one `Completion`.

Streams are assembled into the shape of a whole answer first, so both ways end in these functions.
"""

from __future__ import annotations

import json
from typing import Any

from llmflow_web.model import JSON, Completion

_INCOMPLETE = {"max_output_tokens": "length", "content_filter": "content_filter"}


def completion_from(operation: str, body: JSON) -> Completion:
    """Read any whole answer; what is not understood is left out."""
    if isinstance(body.get("choices"), list):
        completion = _from_choices(body)
    elif body.get("object") == "response" or isinstance(body.get("output"), list):
        completion = _from_response(body)
    else:
        completion = Completion(body=body)
        text = body.get("text")
        if isinstance(text, str) and operation in ("transcription", "translation"):
            completion.text = text
    completion.id = text_or_none(body.get("id"))
    completion.model = text_or_none(body.get("model"))
    return completion


def text_or_none(value: Any) -> str | None:
    """Return `value` if it is text and not empty."""
    return value if isinstance(value, str) and value else None


def _from_choices(body: JSON) -> Completion:
    choices = [choice for choice in body["choices"] if isinstance(choice, dict)]
    completion = Completion(body=body, choices=choices)
    if not choices:
        return completion
    first = min(choices, key=_index_of)
    completion.finish_reason = text_or_none(first.get("finish_reason"))
    message = first.get("message")
    if not isinstance(message, dict):
        completion.text = text_or_none(first.get("text")) or ""
        return completion
    completion.text, thought = split_content(message.get("content"))
    audio = message.get("audio")
    if not completion.text and isinstance(audio, dict):
        completion.text = text_or_none(audio.get("transcript")) or ""
    completion.reasoning = reasoning_of(message) or thought
    completion.refusal = text_or_none(message.get("refusal")) or ""
    completion.tool_calls = tool_calls_of(message)
    return completion


def _index_of(choice: JSON) -> int:
    index = choice.get("index")
    return index if isinstance(index, int) else 0


def split_content(content: Any) -> tuple[str, str]:
    """Return (text, reasoning) of a content: a string, or a list of typed parts (Mistral)."""
    if isinstance(content, str):
        return content, ""
    if not isinstance(content, list):
        return "", ""
    text: list[str] = []
    thought: list[str] = []
    for part in content:
        if not isinstance(part, dict):
            continue
        thinking = part.get("thinking")
        if isinstance(thinking, list):
            thought.extend(str(item.get("text") or "") for item in thinking if isinstance(item, dict))
        elif isinstance(thinking, str):
            thought.append(thinking)
        elif isinstance(part.get("text"), str):
            text.append(part["text"])
    return "".join(text), "".join(thought)


def reasoning_of(message: JSON) -> str:
    """Return the reasoning text of a message or delta, whichever of its three names it has."""
    for name in ("reasoning_content", "reasoning"):
        value = message.get(name)
        if isinstance(value, str) and value:
            return value
    details = message.get("reasoning_details")
    if not isinstance(details, list):
        return ""
    parts = (item.get("text") or item.get("summary") for item in details if isinstance(item, dict))
    return "".join(part for part in parts if isinstance(part, str))


def tool_calls_of(message: JSON) -> list[JSON]:
    """List the tool calls of a message in one form; the old `function_call` is one of them."""
    calls = message.get("tool_calls")
    found = [_tool_call(call) for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
    old = message.get("function_call")
    if isinstance(old, dict) and not found:
        found.append(_tool_call({"function": old}))
    return found


def _tool_call(call: JSON) -> JSON:
    if isinstance(call.get("custom"), dict):
        custom = call["custom"]
        function = {"name": custom.get("name") or "", "arguments": as_text(custom.get("input"))}
        return {"id": call.get("id") or "", "type": "custom", "function": function}
    inner = call.get("function")
    function = inner if isinstance(inner, dict) else {}
    return {
        "id": call.get("id") or "",
        "type": "function",
        "function": {"name": function.get("name") or "", "arguments": as_text(function.get("arguments"))},
    }


def as_text(value: Any) -> str:
    """Return arguments as the string OpenAI makes of them; some servers send the object itself."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _from_response(body: JSON) -> Completion:
    completion = Completion(body=body)
    text: list[str] = []
    thought: list[str] = []
    output = body.get("output")
    for item in output if isinstance(output, list) else ():
        if isinstance(item, dict):
            _read_item(item, completion, text, thought)
    completion.text = "".join(text)
    completion.reasoning = "\n\n".join(thought)
    completion.finish_reason = _response_finish(body, completion)
    failure = body.get("error")
    if isinstance(failure, dict):
        completion.error = text_or_none(failure.get("message")) or text_or_none(failure.get("code"))
    return completion


def _read_item(item: JSON, completion: Completion, text: list[str], thought: list[str]) -> None:
    kind = item.get("type")
    if kind == "message":
        for part in _parts(item.get("content")):
            if isinstance(part.get("text"), str):
                text.append(part["text"])
            elif isinstance(part.get("refusal"), str):
                completion.refusal += part["refusal"]
            elif isinstance(part.get("transcript"), str):
                text.append(part["transcript"])
    elif kind == "reasoning":
        parts = _parts(item.get("content")) or _parts(item.get("summary"))
        thought.extend(part["text"] for part in parts if isinstance(part.get("text"), str))
    elif kind in ("function_call", "custom_tool_call"):
        arguments = item.get("arguments") if kind == "function_call" else item.get("input")
        function = {"name": item.get("name") or "", "arguments": as_text(arguments)}
        call_type = "function" if kind == "function_call" else "custom"
        call = {"id": item.get("call_id") or item.get("id") or "", "type": call_type, "function": function}
        completion.tool_calls.append(call)


def _parts(value: Any) -> list[JSON]:
    return [part for part in value if isinstance(part, dict)] if isinstance(value, list) else []


def _response_finish(body: JSON, completion: Completion) -> str | None:
    """Say in chat's words how a response ended."""
    status = body.get("status")
    if status == "completed":
        return "tool_calls" if completion.tool_calls else "stop"
    if status == "incomplete":
        details = body.get("incomplete_details")
        reason = details.get("reason") if isinstance(details, dict) else None
        return _INCOMPLETE.get(str(reason), text_or_none(reason) or "length")
    if status == "failed":
        return "error"
    return "cancelled" if status == "cancelled" else None
