"""Spans that come in pieces: what several log records tell of one call is put together, in whatever order they come.

Only rows that are `derived` do; any other row that comes again replaces the stored one. Putting pieces together is a
join: the same set of pieces gives the same row, however it was cut, ordered or repeated. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from llmflow_web.model import JSON, PART_INPUT, PART_OUTPUT, Body, Row, Span

PREVIEW_CHARS = 160

_LISTS = ("tags", "dropped", "notes")
_BILL = ("estimated_cost", "cost_detail", "price_key")
_APART = frozenset({*_LISTS, *_BILL, "start_ns", "duration_ns", "counts"})
_COLUMNS = tuple(name for name in Span.__dataclass_fields__ if name not in _APART)
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode


def put_together(first: Row, second: Row) -> Row:
    """Return the row that two pieces of one span make."""
    bodies = {body.part: body for body in first.bodies}
    for body in second.bodies:
        before = bodies.get(body.part)
        bodies[body.part] = body if before is None else _body(before, body)
    parts = tuple(bodies[part] for part in sorted(bodies))
    return _previewed(Row(_span(first.span, second.span), parts, usage=first.usage or second.usage))


def fold(rows: Sequence[Row]) -> list[Row]:
    """Put the pieces of each span together, in the order in which the spans first come."""
    folded: dict[tuple[str, str], Row] = {}
    for row in rows:
        key = (row.span.trace_id, row.span.id)
        before = folded.get(key)
        folded[key] = row if before is None else put_together(before, row)
    return [_previewed(row) for row in folded.values()]


def _previewed(row: Row) -> Row:
    """Let a row show the first of what was asked in it and the last of what was answered."""
    for body in row.bodies:
        if body.part == PART_INPUT:
            row.span.preview_in = _preview(body, 0) or row.span.preview_in
        elif body.part == PART_OUTPUT:
            row.span.preview_out = _preview(body, -1) or row.span.preview_out
    return row


def _span(first: Span, second: Span) -> Span:
    columns: dict[str, Any] = {name: _fuller(getattr(first, name), getattr(second, name)) for name in _COLUMNS}
    columns.update((name, sorted({*getattr(first, name), *getattr(second, name)})) for name in _LISTS)
    bill = max(first, second, key=_bill_key)
    columns.update((name, getattr(bill, name)) for name in _BILL)
    columns["start_ns"], columns["duration_ns"] = _times(first, second)
    return replace(first, **columns, counts=first.counts and second.counts)


def _times(first: Span, second: Span) -> tuple[int, int | None]:
    """Return start and duration: a piece that knows no end says when only as long as none knows better."""
    if (first.duration_ns is None) != (second.duration_ns is None):
        known = first if first.duration_ns is not None else second
        return known.start_ns, known.duration_ns
    start_ns = min(first.start_ns, second.start_ns)
    if first.duration_ns is None or second.duration_ns is None:
        return start_ns, None
    return start_ns, max(first.start_ns + first.duration_ns, second.start_ns + second.duration_ns) - start_ns


def _bill_key(span: Span) -> tuple[bool, float, str]:
    return span.estimated_cost is not None, span.estimated_cost or 0.0, _encode(span.cost_detail or {})


def _fuller(first: Any, second: Any) -> Any:
    """Return the value of the two that says something; of two that do, the greater."""
    if first is None or second is None:
        return second if first is None else first
    return max(first, second)


def _body(first: Body, second: Body) -> Body:
    """Put two versions of one part together: objects by their members, lists in their order, else the longer one."""
    if first.data == second.data:
        return first
    values = _loaded(first.data), _loaded(second.data)
    if all(isinstance(value, dict) for value in values):
        return _made(first, _members(*values))
    if all(isinstance(value, list) for value in values):
        items = {_encode(item): item for value in values for item in value}
        return _made(first, [items[key] for key in sorted(items, key=lambda key: (_moment(items[key]), key))])
    return max(first, second, key=lambda body: (len(body.data), body.data))


def _made(like: Body, value: Any) -> Body:
    data = _encode(value).encode()
    return Body(like.part, data, len(data))


def _members(first: JSON, second: JSON) -> JSON:
    both: JSON = dict(first)
    for name, value in second.items():
        before = both.get(name, value)
        if isinstance(before, dict) and isinstance(value, dict):
            both[name] = _members(before, value)
        else:
            both[name] = max(before, value, key=_encode)
    return both


def _moment(item: Any) -> int:
    at = item.get("at") if isinstance(item, dict) else None
    return at if isinstance(at, int) else 0


def _loaded(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _preview(body: Body, which: int) -> str | None:
    """Return a line of the first or last message of a part that lists some."""
    messages = _loaded(body.data)
    if not isinstance(messages, list) or not messages or not isinstance(messages[which], dict):
        return None
    text = messages[which].get("content")
    line = " ".join(text[: 2 * PREVIEW_CHARS].split()) if isinstance(text, str) else ""
    return (line if len(line) <= PREVIEW_CHARS else line[: PREVIEW_CHARS - 1] + "…") or None
