"""One transaction of what was put: spans, logs and metrics together, all or nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from llmflow_web.model import Log, Metric, Row, Span, Taken, Unrecorded
from llmflow_web.store.counters import Counters
from llmflow_web.store.insert import insert_rows
from llmflow_web.store.ledger import Entry, Ledger, Move
from llmflow_web.store.logs import insert_logs
from llmflow_web.store.metrics import insert_metrics
from llmflow_web.store.written import Changed, Written

_INT64 = 2**63 - 1


@dataclass(slots=True)
class Commit:
    """What a transaction wrote. Logs and points that were there before are not among them."""

    spans: list[Written | Changed] = field(default_factory=list)
    logs: list[Log] = field(default_factory=list)
    metrics: list[Metric] = field(default_factory=list)
    texts: dict[int, str] = field(default_factory=dict)  # of new spans, by seq, where they are known
    unrecorded: list[Span] = field(default_factory=list)  # calls that were counted and not kept
    ledger: list[Entry] = field(default_factory=list)  # what budgets have now, of those that moved

    @property
    def is_empty(self) -> bool:
        """Say whether nothing was written."""
        return not (self.spans or self.logs or self.metrics or self.unrecorded)


def insert(
    connection: sqlite3.Connection,
    items: Sequence[Taken],
    counters: Counters,
    now_ms: int,
    ledger: Ledger | None = None,
) -> Commit:
    """Write what was put inside the caller's transaction and return what was written.

    ledger: where it is counted for budgets.
    """
    moves: list[Move] | None = [] if ledger is not None and ledger.is_open else None
    rows = [item for item in items if isinstance(item, Row)]
    spans = insert_rows(connection, rows, counters, now_ms, moves) if rows else []
    commit = Commit(spans, texts=_texts_of(rows, spans))
    if len(rows) < len(items):
        _insert_others(connection, items, counters, now_ms, commit)
    if ledger is not None and moves is not None:
        moves += [(span, 1) for span in commit.unrecorded if span.counts]
        commit.ledger = ledger.apply(connection, moves)
    return commit


def _insert_others(
    connection: sqlite3.Connection, items: Sequence[Taken], counters: Counters, now_ms: int, commit: Commit
) -> None:
    commit.unrecorded = [item.span for item in items if isinstance(item, Unrecorded)]
    logs = [item for item in items if isinstance(item, Log)]
    points = [item for item in items if isinstance(item, Metric)]
    if logs:
        commit.logs = insert_logs(connection, logs, counters, now_ms)
    if points:
        commit.metrics = insert_metrics(connection, points, counters, now_ms)


def _texts_of(rows: Sequence[Row], spans: Sequence[Written | Changed]) -> dict[int, str]:
    """Return the texts that came with rows, by the seqs those were given: of spans that are there as they came."""
    if all(row.text is None for row in rows):
        return {}
    known = {(row.span.trace_id, row.span.id): row.text for row in rows}
    if len(known) < len(rows):  # some were folded into one, which may hold more than the last of them
        return {}
    return {
        one.seq: text
        for one in spans
        if isinstance(one, Written) and one.change is None
        if (text := known.get((one.span.trace_id, one.span.id))) is not None
    }


def storable(item: Taken) -> Taken:
    """Return an item without what SQLite cannot hold: lone surrogates become ?, endless numbers the largest."""
    if isinstance(item, Row):
        return Row(Span(**_sound(item.span)), item.bodies)
    if isinstance(item, Unrecorded):
        return Unrecorded(Span(**_sound(item.span)))
    return replace(item, **_sound(item))


def _sound(value: Span | Log | Metric) -> dict[str, Any]:
    return {entry.name: _storable(getattr(value, entry.name)) for entry in fields(value)}


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, int) and not isinstance(value, bool):
        return max(-_INT64, min(value, _INT64))
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, dict):
        return {_storable(key): _storable(item) for key, item in value.items()}
    return value
