"""Rows without prompts and answers (`--no-bodies`): what telemetry brings of them is left out. Pure.

Of a call that LLMFlow saw itself no body is stored in the first place. Spans and log records of others hold texts among
their attributes, under names that every convention has others for; so an attribute stays only if it cannot be one: its
name does not end in a word for contents, and its value is a number, a switch, or a text of a label's length.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from llmflow_web.model import (
    JSON,
    PART_ATTRIBUTES,
    PART_HEADERS,
    PART_OTLP,
    Body,
    Log,
    Row,
)

MAX_LABEL_CHARS = 200
"""A longer text is no label, whatever its name."""

NOTE = "prompts and answers were not stored (--no-bodies)"
_KEPT_PARTS = frozenset({PART_HEADERS, PART_ATTRIBUTES, PART_OTLP})
_CONTENTS = frozenset({
    "all_messages", "answer", "args", "arguments", "attributes", "body", "choices", "chunk", "completion",
    "completions", "content", "contents", "data", "definitions", "delta", "description", "document", "documents",
    "event_body", "events", "feedback", "function_args", "functions", "headers", "history", "html", "input",
    "inputs", "instructions", "json_schema", "message", "messages", "metadata", "object", "output", "outputs",
    "parameters", "params", "payload", "prompt", "prompts", "query", "question", "reasoning", "refusal", "request",
    "request_data", "request_text", "response", "response_data", "response_text", "result", "results", "schema",
    "snippet", "speech", "summary", "system_instructions", "system_prompt", "template", "text", "thinking",
    "tool_arguments", "tool_calls", "tool_input", "tool_output", "tool_parameters", "tool_response", "tool_result",
    "toolcall", "toolcalls", "tools", "transcript", "user_prompt", "value", "values", "variables", "words",
})  # fmt: skip
_ERRORS = frozenset({"exception.message", "exception.type", "error.message", "error.type", "status.message"})
_CONTENT_NAMES = frozenset({"ai.prompt.system"})
_WORD = re.compile(r"[a-z_]+\Z")
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def row_without_bodies(row: Row) -> Row:
    """Return a row of others without what was said in it."""
    span = row.span
    bodies = [_bare(body) for body in row.bodies if body.part in _KEPT_PARTS]
    if bodies != list(row.bodies) or span.preview_in or span.preview_out:
        span.notes = [*span.notes, NOTE]
    span.preview_in = span.preview_out = None
    span.prompt_key = span.prompt_hash = None  # an imported row brings its own
    return Row(span, bodies, usage=row.usage)


def log_without_body(log: Log) -> Log:
    """Return a log record without its body and the contents among its attributes."""
    detail = {name: value for name, value in (log.detail or {}).items() if name != "body"}
    return replace(log, body=None, attributes=attributes_without_contents(log.attributes), detail=detail or None)


def attributes_without_contents(attributes: JSON) -> JSON:
    """Return the attributes that are no contents."""
    return {name: value for name, value in attributes.items() if not _is_content(name, value)}


def _is_content(name: str, value: Any) -> bool:
    if name in _ERRORS or value is None or isinstance(value, (bool, int, float)):
        return False
    if isinstance(value, list):
        return _ends_in_content(name) or any(_is_content(name, one) for one in value)
    if not isinstance(value, str):
        return True
    return len(value) > MAX_LABEL_CHARS or _ends_in_content(name)


def _ends_in_content(name: str) -> bool:
    """Say whether the last word of a name, numbers left out, is one for contents."""
    if name in _CONTENT_NAMES:
        return True
    words: Iterable[str] = re.split(r"[./:\[\]]+", name.lower())
    last = next((word for word in reversed(list(words)) if _WORD.fullmatch(word)), name.lower())
    return last in _CONTENTS


def _bare(body: Body) -> Body:
    if body.part == PART_HEADERS:
        return body
    try:
        value = json.loads(body.data)
    except (ValueError, RecursionError):
        return _part(body, {})
    if not isinstance(value, dict):
        return _part(body, {})
    bare = attributes_without_contents(value) if body.part == PART_ATTRIBUTES else _bare_otlp(value)
    return body if bare == value else _part(body, bare)


def _bare_otlp(value: JSON) -> JSON:
    """Strip the events of a span, whose attributes are contents too. Resource and scope only say who sent it."""
    events = value.get("events")
    if not isinstance(events, list):
        return value
    return {**value, "events": [_bare_event(event) for event in events if isinstance(event, dict)]}


def _bare_event(event: JSON) -> JSON:
    attributes = event.get("attributes")
    return {**event, "attributes": attributes_without_contents(attributes)} if isinstance(attributes, dict) else event


def _part(body: Body, value: JSON) -> Body:
    data = _encode(value).encode("utf-8", "replace")
    return Body(body.part, data, len(data))
