"""Stored bodies → messages for people: one shape for chat, responses, completions, embeddings, images and audio.

Pure. Which part holds what is settled here; how a body of any dialect reads is message_shapes, how attributes of
telemetry do is semconv_messages.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from llmflow_web.model import (
    JSON,
    PART_ANSWER,
    PART_ATTRIBUTES,
    PART_INPUT,
    PART_OTLP,
    PART_OUTPUT,
    PART_REQUEST,
    PART_RESPONSE,
)
from llmflow_web.record.message_shapes import answered_messages, asked_messages, json_part, message_of, text_part
from llmflow_web.wire.forms import form_fields

MAX_SEARCH_CHARS = 64 * 1024
MAX_WORD_CHARS = 256
"""A run of characters longer than this without a space is data, not words."""


def messages_of(provider: str | None, operation: str | None, bodies: Mapping[int, bytes]) -> dict[str, list[JSON]]:
    """Return {"input": messages, "output": messages} of a span, from its stored parts (part number → bytes)."""
    del provider  # every dialect known so far is told by its shape
    if PART_OTLP in bodies:
        return _received(bodies)
    if operation == "realtime":  # what went over the wire is a log of events
        bodies = {part: data for part, data in bodies.items() if part not in (PART_REQUEST, PART_RESPONSE)}
    asked = _loaded(bodies.get(PART_REQUEST))
    request = asked if isinstance(asked, dict) else {}
    source = asked if asked is not None else _loaded(bodies.get(PART_INPUT))
    found = asked_messages(source)
    if not found and PART_REQUEST in bodies and asked is None:
        found = _unparsed_input(bodies[PART_REQUEST])
    return {"input": found, "output": _answered(operation, request, bodies)}


def _received(bodies: Mapping[int, bytes]) -> dict[str, list[JSON]]:
    """Read a span received as OTLP; "tools" are those it was offered."""
    from llmflow_web.record.semconv_messages import messages_from_otlp

    attributes = _loaded(bodies.get(PART_ATTRIBUTES))
    return messages_from_otlp(attributes if isinstance(attributes, dict) else {}, _events(bodies[PART_OTLP]))


def _events(data: bytes) -> list[JSON]:
    if b'"events"' not in data:  # most spans have none, and need not be read for that
        return []
    rest = _loaded(data)
    events = rest.get("events") if isinstance(rest, dict) else None
    return [event for event in events if isinstance(event, dict)] if isinstance(events, list) else []


def _answered(operation: str | None, request: JSON, bodies: Mapping[int, bytes]) -> list[JSON]:
    for part in (PART_ANSWER, PART_RESPONSE, PART_OUTPUT):
        value = _loaded(bodies.get(part))
        if value is not None:
            return answered_messages(value, request)
    body = bodies.get(PART_RESPONSE, b"")
    if body and operation in ("transcription", "translation") and not body.startswith(b"data:"):
        return [message_of("assistant", [text_part(body[:MAX_SEARCH_CHARS].decode("utf-8", "replace"))])]
    return []


def _loaded(data: bytes | None) -> Any:
    if data and data.lstrip()[:1] in (b"{", b"[", b'"'):
        with suppress(ValueError, RecursionError):
            return json.loads(data)
    return None


def _unparsed_input(body: bytes) -> list[JSON]:
    """Show a multipart form by its small fields; other bytes are left to the raw view."""
    if not body.startswith(b"--"):
        return []
    fields = form_fields(body)
    parts = [text_part(fields.pop("prompt"))] if isinstance(fields.get("prompt"), str) else []
    start = body.find(b'filename="')
    if start >= 0:
        name = body[start + 10 : start + 300].partition(b'"')[0].decode("utf-8", "replace")
        parts.append({"type": "file", "name": name})
    if fields:
        parts.append(json_part(fields))
    return [message_of("user", parts)] if parts else []


# ── search ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def search_text(provider: str | None, operation: str | None, bodies: Mapping[int, bytes]) -> str:
    """Return the words of a span for the search index, from its stored parts."""
    return words_in(messages_of(provider, operation, bodies))


def words_in(messages: Mapping[str, list[JSON]]) -> str:
    """Return the words of messages: the answer first, then the newest of what was asked."""
    found: list[str] = []
    left = MAX_SEARCH_CHARS
    for message in (*messages["output"], *reversed(messages["input"])):
        for text in _words_of(message):
            piece = _without_data(str(text)[: 2 * left])[:left]
            if piece:
                found.append(piece)
                left -= len(piece) + 1
            if left <= 0:
                return "\n".join(found)
    return "\n".join(found)


def _words_of(message: JSON) -> Iterator[str]:
    for part in message["parts"]:
        kind = part["type"]
        if kind in ("text", "reasoning", "refusal"):
            yield part["text"]
        elif kind == "tool_call":
            yield part["name"]
            yield part["arguments"]
        elif kind == "tool_result":
            yield part["content"]
        elif kind == "file":
            yield part["name"]
        elif kind == "json":
            yield from _leaves(part["value"], 0)


def _leaves(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif depth < 8 and isinstance(value, dict):
        for name, item in value.items():
            yield str(name)
            yield from _leaves(item, depth + 1)
    elif depth < 8 and isinstance(value, list):
        for item in value[:1000]:
            yield from _leaves(item, depth + 1)


def _may_hold_data(text: str) -> bool:
    """Say whether there may be a run that long: whether somewhere so many characters follow without a blank."""
    begin, last = 0, len(text) - MAX_WORD_CHARS
    while begin < last:
        blank = text.rfind(" ", begin, begin + MAX_WORD_CHARS + 1)
        if blank < 0:
            return True
        begin = blank + 1
    return False


def _without_data(text: str) -> str:
    """Leave out runs without a space that are too long to be words, such as base64."""
    if not _may_hold_data(text):
        return text
    words = text.split()
    if max(map(len, words), default=0) <= MAX_WORD_CHARS:
        return text
    # Scripts without spaces make long runs too; those are kept.
    return " ".join(word for word in words if len(word) <= MAX_WORD_CHARS or not word[:MAX_WORD_CHARS].isascii())
