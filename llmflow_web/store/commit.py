"""One transaction of what was put: spans, logs and metrics together, all or nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from llmflow_web.model import Log, Metric, Row, Span, Stored
from llmflow_web.store.counters import Counters
from llmflow_web.store.insert import insert_rows
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

    @property
    def is_empty(self) -> bool:
        """Say whether nothing was written."""
        return not (self.spans or self.logs or self.metrics)


def insert(connection: sqlite3.Connection, items: Sequence[Stored], counters: Counters, now_ms: int) -> Commit:
    """Write what was put inside the caller's transaction and return what was written."""
    rows = [item for item in items if isinstance(item, Row)]
    if len(rows) == len(items):
        return Commit(insert_rows(connection, rows, counters, now_ms))
    logs = [item for item in items if isinstance(item, Log)]
    points = [item for item in items if isinstance(item, Metric)]
    return Commit(
        insert_rows(connection, rows, counters, now_ms) if rows else [],
        insert_logs(connection, logs, counters, now_ms) if logs else [],
        insert_metrics(connection, points, counters, now_ms) if points else [],
    )


def storable(item: Stored) -> Stored:
    """Return an item without what SQLite cannot hold: lone surrogates become ?, endless numbers the largest."""
    if isinstance(item, Row):
        return Row(Span(**_sound(item.span)), item.bodies)
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
