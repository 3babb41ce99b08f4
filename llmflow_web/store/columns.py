"""Span ↔ table row ↔ list element: the one place that knows the columns' order.

A list element is made the same way from a stored row (a query) and from a span just written (the live screen).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from operator import attrgetter
from typing import Any

from llmflow_web.model import JSON, PART_ANSWER, PART_OUTPUT, PART_REQUEST, PART_RESPONSE, Row, Span

HAS_TOOL = 1
HAS_IMAGE = 2
HAS_NAMES: tuple[tuple[str, int], ...] = (("tool", HAS_TOOL), ("image", HAS_IMAGE))

# Columns of `spans` that are attributes of Span and go in as they are.
PLAIN = (
    "trace_id", "id", "parent_id", "source", "first_source", "span_type", "span_name", "service_name", "start_ns",
    "duration_ns", "ttft_ms", "provider", "model", "request_model", "operation", "response_id", "request_id", "status",
    "response_status", "error", "ending", "finish_reason", "is_stream", "chunk_count", "prompt_tokens",
    "completion_tokens", "total_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens", "is_estimated",
    "estimated_cost", "price_key", "request_method", "request_path", "session_id", "conversation_id", "user_id",
    "agent_name", "tool", "prompt_name", "prompt_version", "prompt_key", "prompt_hash", "replay_of", "joined_to",
    "preview_in", "preview_out", "derived",
)  # fmt: skip
MADE = ("has", "marks", "tags", "cost_detail", "dropped", "notes")  # worked out from the row
KEYS = ("seq", "trace_seq", "change", "is_root")  # given by the writer

# What must be known of a stored span to take its share of the sums back, of budgets too, and to see what a new version
# changes.
OLD_COLUMNS = (
    "trace_id", "id", "parent_id", "source", "joined_to", "start_ns", "duration_ns", "ttft_ms", "provider", "model",
    "service_name", "status", "prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens",
    "cache_write_tokens", "reasoning_tokens", "estimated_cost", "session_id", "counts", "span_type", "operation",
    "request_model", "user_id",
)  # fmt: skip

INSERT = "INSERT INTO spans ({}) VALUES ({})".format(
    ", ".join((*KEYS, *PLAIN, *MADE)), ", ".join("?" * (len(KEYS) + len(PLAIN) + len(MADE)))
)
UPDATE = "UPDATE spans SET change = ?, {} WHERE seq = ?".format(", ".join(f"{name} = ?" for name in (*PLAIN, *MADE)))

_plain_values = attrgetter(*PLAIN)
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str).encode

# What a list element is made of, in the order it is selected. t is the span's row in `traces`.
_LIST_PLAIN = (
    "seq", "id", "trace_id", "parent_id", "start_ns", "duration_ns", "ttft_ms", "provider", "model", "request_model",
    "prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens",
    "is_estimated", "estimated_cost", "status", "response_status", "error", "ending", "finish_reason", "is_stream",
    "span_type", "span_name", "service_name", "source", "operation", "session_id", "conversation_id", "user_id",
    "agent_name", "tool", "prompt_name", "prompt_version", "prompt_key", "prompt_hash", "request_method",
    "request_path", "replay_of", "joined_to", "preview_in", "preview_out", "tags", "has", "change", "is_root",
)  # fmt: skip
_OF_TRACE = ("span_count", "error_count", "trace_cost", "trace_tokens", "trace_unpriced")
_LIST_NAMES = (*_LIST_PLAIN, *_OF_TRACE)
LIST_SQL = (
    ", ".join(f"s.{name}" for name in _LIST_PLAIN)
    + ", t.span_count, t.error_count, t.cost AS trace_cost, t.tokens, t.unpriced_count"
)

_DETAIL_PLAIN = (
    "price_key", "response_id", "request_id", "chunk_count", "first_source", "derived", "counts",
)  # fmt: skip
_DETAIL_JSON = ("cost_detail", "dropped", "notes")
DETAIL_SQL = ", ".join((LIST_SQL, *(f"s.{name}" for name in (*_DETAIL_PLAIN, *_DETAIL_JSON))))

_list_plain_values = attrgetter(*(name for name in _LIST_PLAIN if name in PLAIN))
_LIST_FROM_SPAN = tuple(name for name in _LIST_PLAIN if name in PLAIN)


def _encoded(value: list[str] | JSON | None) -> str | None:
    return _encode(value) if value else None


def has_flags(row: Row) -> int:
    """Find out from the bytes, without parsing, whether tools or images play a part."""
    flags = HAS_TOOL if row.span.span_type == "tool" or row.span.finish_reason == "tool_calls" else 0
    for body in row.bodies:
        if body.part in (PART_REQUEST, PART_RESPONSE, PART_ANSWER, PART_OUTPUT) and not body.is_raw:
            flags |= _flags_of(body.data)
    return flags


_TOOL_MARKS = (
    b'"tool_call_id"',
    b'"tool_use"',
    b'"tool_result"',
    b'"tool_calls":[{',
    b'"tool_calls": [',
    b'"function_call"',
    b'"functionCall"',
)
_IMAGE_MARKS = (b'"image_url"', b'"input_image"', b'"image/', b"data:image/")
_SCANNED_BYTES = 256 * 1024


def _flags_of(data: bytes) -> int:
    """Look for the marks; three searches settle the ordinary body that has neither."""
    flags = 0
    if len(data) > _SCANNED_BYTES:
        data = data[:_SCANNED_BYTES]
    if (b'"tool' in data or b'"function' in data) and any(mark in data for mark in _TOOL_MARKS):
        flags |= HAS_TOOL
    if b"image" in data and any(mark in data for mark in _IMAGE_MARKS):
        flags |= HAS_IMAGE
    return flags


def stored_values(span: Span, has: int, marks: int) -> tuple[Any, ...]:
    """Return the values of PLAIN and MADE for one row."""
    return (
        *_plain_values(span),
        has,
        marks,
        _encoded(span.tags),
        _encoded(span.cost_detail),
        _encoded(span.dropped),
        _encoded(span.notes),
    )


def _milliseconds(nanoseconds: int | None) -> float | None:
    return None if nanoseconds is None else round(nanoseconds / 1e6, 3)


def _names_of(flags: int) -> list[str]:
    return [name for name, bit in HAS_NAMES if flags & bit]


def _finish(row: JSON) -> JSON:
    """Turn stored values into the words of the API."""
    row["timestamp"] = row.pop("start_ns") // 1_000_000
    row["duration_ms"] = _milliseconds(row.pop("duration_ns"))
    row["is_stream"] = bool(row["is_stream"])
    row["is_estimated"] = bool(row["is_estimated"])
    row["is_root"] = bool(row["is_root"])
    if row["ttft_ms"] is not None:
        row["ttft_ms"] = round(row["ttft_ms"], 3)
    if row["change"] is None:
        row["change"] = row["seq"]
    return row


def list_row(values: tuple[Any, ...]) -> JSON:
    """Make a list element from the columns of LIST_SQL."""
    row: JSON = dict(zip(_LIST_NAMES, values, strict=False))
    row["tags"] = json.loads(row["tags"]) if row["tags"] else []
    row["has"] = _names_of(row["has"])
    return _finish(row)


def detail_row(values: tuple[Any, ...]) -> JSON:
    """Make a span's whole row from the columns of DETAIL_SQL: the list element and what only the detail shows."""
    count = len(_LIST_NAMES)
    row = list_row(values[:count])
    row["start_ns"] = str(values[_LIST_PLAIN.index("start_ns")])
    middle = count + len(_DETAIL_PLAIN)
    row.update(zip(_DETAIL_PLAIN, values[count:middle], strict=True))
    row["derived"] = bool(row["derived"])
    row["counts"] = bool(row["counts"])
    for name, text in zip(_DETAIL_JSON, values[middle:], strict=True):
        row[name] = json.loads(text) if text else (None if name == "cost_detail" else [])
    return row


def row_of_span(span: Span, *, seq: int, change: int | None, is_root: bool, has: int, trace: tuple[Any, ...]) -> JSON:
    """Make the same list element from a span just written. `trace`: what it comes to."""
    row: JSON = dict(zip(_LIST_FROM_SPAN, _list_plain_values(span), strict=True))
    row["seq"] = seq
    row["change"] = change
    row["is_root"] = is_root
    row["tags"] = list(span.tags)
    row["has"] = _names_of(has)
    row.update(zip(_OF_TRACE, trace, strict=True))
    return _finish(row)


_SHORT = (
    "id", "trace_id", "parent_id", "timestamp", "duration_ms", "ttft_ms", "provider", "model", "status", "error",
    "span_type", "service_name", "source", "tool", "prompt_name", "prompt_tokens", "completion_tokens", "cached_tokens",
    "estimated_cost", "is_estimated", "is_stream", "finish_reason", "session_id", "user_id", "tags", "has",
    "joined_to", "replay_of", "preview_in", "running", "chunk_count",
)  # fmt: skip
_NOTHING: tuple[object, ...] = (None, "", [])


def short_row(row: JSON) -> JSON:
    """Return of a list element what a list shows, each thing once, without what says nothing."""
    short = {name: value for name in _SHORT if (value := row.get(name)) not in _NOTHING and value is not False}
    short.update({name: row[name] for name in _told_otherwise(row) if row.get(name) is not None})
    if row.get("is_root") is False:
        short["is_root"] = False
    return short


def _told_otherwise(row: JSON) -> Iterator[str]:
    """Yield the members that others would tell as well in an ordinary row, and do not in this one."""
    operation, model, asked = row.get("operation"), row.get("model"), row.get("request_model")
    if row.get("span_name") != f"{operation} {model}":
        yield "span_name"
    yield "operation"
    if asked != model:
        yield "request_model"
    if not operation and not model:
        yield "request_path"
    if row.get("total_tokens") != (row.get("prompt_tokens") or 0) + (row.get("completion_tokens") or 0):
        yield "total_tokens"
    if (row.get("span_count") or 1) > 1:
        yield from _OF_TRACE
