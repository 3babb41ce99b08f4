"""The bills of stored calls: read to be worked out again, and written anew with everything that sums them up."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llmflow_web.model import JSON
from llmflow_web.store.counters import Counters
from llmflow_web.store.insert import insert_rows
from llmflow_web.store.query import compile_filter
from llmflow_web.store.transfer import span_at
from llmflow_web.store.written import Changed, Written
from llmflow_web.wire.filter import Filter

_COLUMNS = (
    "seq", "provider", "model", "request_model", "source", "operation", "start_ns", "prompt_tokens",
    "completion_tokens", "total_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens", "is_estimated",
    "estimated_cost", "price_key", "cost_detail", "counts",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Billed:
    """A stored call and its bill."""

    seq: int
    provider: str | None
    model: str | None
    request_model: str | None
    source: str
    operation: str | None
    start_ns: int
    prompt_tokens: int | None
    completion_tokens: int | None
    total_tokens: int | None
    cached_tokens: int | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None
    is_estimated: int
    estimated_cost: float | None
    price_key: str | None
    detail: JSON
    counts: int


@dataclass(frozen=True, slots=True)
class NewBill:
    """What a call is to cost from now on, and what it cost when it was looked at."""

    seq: int
    before: float | None
    cost: float
    price_key: str | None
    detail: JSON


def billed(connection: sqlite3.Connection, chosen: Filter, after: int, limit: int) -> list[Billed]:
    """Return the spans a filter lets through that come after a seq, in the order of their seqs."""
    compiled = compile_filter(connection, chosen)
    compiled.add("s.seq > ? AND +s.derived = 0", after)  # the pieces of a derived span bring their bills along
    rows = connection.execute(
        f"SELECT {', '.join(f's.{name}' for name in _COLUMNS)} FROM {compiled.source}{compiled.where} "
        "ORDER BY s.seq LIMIT ?",
        (*compiled.params, limit),
    )
    return [_billed(values) for values in rows]


def _billed(values: Sequence[Any]) -> Billed:
    told: JSON = dict(zip(_COLUMNS, values, strict=True))
    detail = told.pop("cost_detail")
    return Billed(**told, detail=json.loads(detail) if detail else {})


def rewrite_bills(
    connection: sqlite3.Connection, counters: Counters, now_ms: int, bills: Sequence[NewBill]
) -> list[Written | Changed]:
    """Write new bills inside the caller's transaction; a call that was billed otherwise meanwhile is left alone."""
    rows = []
    for bill in bills:
        stored = span_at(connection, bill.seq)
        if stored is None or stored.row.span.estimated_cost != bill.before:
            continue
        span = stored.row.span
        span.estimated_cost, span.price_key, span.cost_detail = bill.cost, bill.price_key, bill.detail
        rows.append(stored.row)
    return insert_rows(connection, rows, counters, now_ms) if rows else []
