"""A message of Anthropic's → OpenAI's answer, and the usage of any of its bodies."""

from __future__ import annotations

from typing import Any

from llmflow_web.model import JSON, Completion, Usage

from .anthropic_request import JSON_TOOL, has_json_tool
from .completion import as_text, completion_from, text_or_none
from .shapes import chat_completion, choice, message, objects, tool_call
from .usage import count, member

FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "compaction": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_TIERS = {"standard": "default", "priority": "priority"}
_PLAIN_BLOCKS = frozenset({"text", "tool_use", "thinking", "redacted_thinking"})
_COUNTS = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens")


# ── the answer ───────────────────────────────────────────────────────────────────────────────────────────────────────


def finish_reason_of(body: JSON) -> str | None:
    """Say in OpenAI's words how a message ended; None when it has not."""
    reason = text_or_none(body.get("stop_reason"))
    return FINISH_REASONS.get(reason, "stop") if reason else None


def refusal_of(body: JSON) -> str | None:
    """Return why an answer was refused, where Anthropic explains it."""
    return text_or_none(member(body, "stop_details").get("explanation"))


def completion_of(body: JSON) -> Completion:
    """Read a whole message: text, thinking, tool calls, usage and end."""
    blocks = objects(body.get("content"))
    return Completion(
        id=text_or_none(body.get("id")),
        model=text_or_none(body.get("model")),
        text=_joined(blocks, "text", "text"),
        reasoning=_joined(blocks, "thinking", "thinking"),
        refusal=refusal_of(body) or "",
        tool_calls=_calls(blocks),
        finish_reason=finish_reason_of(body),
        usage=usage_from(body),
        body=body,
    )


def chat_completion_from(body: JSON, request: JSON) -> JSON:
    """Translate a whole message into a chat.completion."""
    blocks = objects(body.get("content"))
    calls, text = _calls(blocks), _joined(blocks, "text", "text")
    reason = finish_reason_of(body)
    if has_json_tool(request):
        text, calls, reason = _unwrapped(text, calls, reason)
    refusal = refusal_of(body)
    made = message(
        text,
        tool_calls=calls,
        reasoning=_joined(blocks, "thinking", "thinking"),
        refusal=refusal,
        extra=_extra(blocks),
    )
    return chat_completion(
        [choice(made, reason, extra={"native_finish_reason": body.get("stop_reason")})],
        completion_id=text_or_none(body.get("id")) or "",
        model=text_or_none(body.get("model")) or "",
        usage=usage_from(body),
        request=request,
        extra=tier_of(body),
    )


def translated_completion(body: JSON, request: JSON) -> Completion:
    """Return what `chat_completion_from` makes of a message, with the usage as Anthropic counts it."""
    completion = completion_from("chat", chat_completion_from(body, request))
    completion.usage = usage_from(body)
    completion.finish_reason = completion.finish_reason if body.get("stop_reason") else None
    return completion


def tier_of(body: JSON) -> JSON:
    """Return the service tier as a member of an answer, where OpenAI has a word for it."""
    tier = _TIERS.get(str(member(body, "usage").get("service_tier")))
    return {"service_tier": tier} if tier else {}


def annotations_of(block: JSON, start: int) -> list[JSON]:
    """Return the web pages a text block cites; `start`: where its text begins in the whole answer."""
    end = start + len(text_or_none(block.get("text")) or "")
    return [
        {
            "type": "url_citation",
            "url_citation": {
                "start_index": start,
                "end_index": end,
                "title": text_or_none(citation.get("title")) or "",
                "url": citation["url"],
            },
        }
        for citation in objects(block.get("citations"))
        if isinstance(citation.get("url"), str)
    ]


def arguments_of(given: Any) -> str:
    """Return a tool's input as the string of arguments OpenAI has; a broken-off input is that text already."""
    return "{}" if given is None else as_text(given)


def _joined(blocks: list[JSON], kind: str, name: str) -> str:
    texts = (block.get(name) for block in blocks if block.get("type") == kind)
    return "".join(text for text in texts if isinstance(text, str))


def _calls(blocks: list[JSON]) -> list[JSON]:
    return [
        tool_call(str(block.get("id") or ""), str(block.get("name") or ""), arguments_of(block.get("input")))
        for block in blocks
        if block.get("type") == "tool_use"
    ]


def _unwrapped(text: str, calls: list[JSON], reason: str | None) -> tuple[str, list[JSON], str | None]:
    """Make the input of JSON_TOOL the content; the text around it is none of the answer."""
    found = [call["function"]["arguments"] for call in calls if call["function"]["name"] == JSON_TOOL]
    if not found:
        return text, calls, reason
    others = [call for call in calls if call["function"]["name"] != JSON_TOOL]
    return found[0], others, "stop" if reason == "tool_calls" and not others else reason


def _extra(blocks: list[JSON]) -> JSON:
    """Return what OpenAI's message has no member for, under the names that clients know."""
    extra: JSON = {}
    thoughts = [block for block in blocks if block.get("type") in ("thinking", "redacted_thinking")]
    if thoughts:
        extra["thinking_blocks"] = thoughts
    annotations: list[JSON] = []
    start = 0
    for block in blocks:
        if block.get("type") == "text":
            annotations += annotations_of(block, start)
            start += len(text_or_none(block.get("text")) or "")
    if annotations:
        extra["annotations"] = annotations
    others = [block for block in blocks if str(block.get("type")) not in _PLAIN_BLOCKS]
    if others:
        extra["provider_specific_fields"] = {"content": others}
    return extra


# ── usage ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def usage_from(body: JSON) -> Usage | None:
    """Read the usage of a message. Anthropic leaves cached and written tokens out of `input_tokens`; we do not."""
    raw = member(body, "usage")
    counted = _counts(raw)
    if counted["input_tokens"] is None and counted["output_tokens"] is None:
        return None
    cached = counted["cache_read_input_tokens"] or 0
    written, written_1h = _written(raw, counted["cache_creation_input_tokens"])
    given, made = counted["input_tokens"], counted["output_tokens"]
    prompt = None if given is None else given + cached + written
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=made,
        total_tokens=None if prompt is None or made is None else prompt + made,
        cached_tokens=cached,
        cache_write_tokens=written,
        cache_write_1h_tokens=written_1h,
        reasoning_tokens=count(member(raw, "output_tokens_details").get("thinking_tokens")) or 0,
        web_searches=count(member(raw, "server_tool_use").get("web_search_requests")) or 0,
        service_tier=text_or_none(raw.get("service_tier")),
        speed=text_or_none(raw.get("speed")),
        inference_geo=text_or_none(raw.get("inference_geo")),
        raw=raw,
    )


def _counts(raw: JSON) -> dict[str, int | None]:
    """Return the four counts: the sums of the iterations where there are any, for the totals leave some out."""
    steps = objects(raw.get("iterations")) or [raw]
    sums: dict[str, int | None] = {}
    for name in _COUNTS:
        found = [number for number in (count(step.get(name)) for step in steps) if number is not None]
        sums[name] = sum(found) if found else count(raw.get(name))
    return sums


def _written(raw: JSON, total: int | None) -> tuple[int, int]:
    """Return the tokens written to the cache, and those of them with a time to live of an hour."""
    split: JSON = {}
    for step in objects(raw.get("iterations")) or [raw]:
        for name, tokens in member(step, "cache_creation").items():
            split[name] = split.get(name, 0) + (count(tokens) or 0)
    if not split:
        split = member(raw, "cache_creation")
    long = count(split.get("ephemeral_1h_input_tokens")) or 0
    short = count(split.get("ephemeral_5m_input_tokens")) or 0
    written = short + long if total is None else total
    return written, min(long, written)
