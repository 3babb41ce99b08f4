"""Whole rows out of the file, exact to the nanosecond, and which rows a file that is read in has already.

Rows are walked oldest first in keyset pages; each page and each span's bodies are a read of their own, so a walk holds
one page in memory and never holds up the writer.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llmflow_web.errors import StoreError, StoreRefused
from llmflow_web.model import JSON, Log, Metric, Row, Span
from llmflow_web.store.columns import PLAIN
from llmflow_web.store.files import connect, refuse_foreign
from llmflow_web.store.logs import known_ids, parsed
from llmflow_web.store.marks import OWN
from llmflow_web.store.schema import MIGRATIONS, applied
from llmflow_web.store.search import Connection, Texts
from llmflow_web.store.spans import get_bodies, get_span, list_spans
from llmflow_web.wire.filter import Filter, Page, make_cursor

PAGE_ROWS = 500

_FLAGS = ("is_stream", "is_estimated", "derived")
_LISTS = ("tags", "dropped", "notes")
_SPAN_COLUMNS = (*PLAIN, *_LISTS, "cost_detail")
_SELECT_SPAN = f"SELECT counts, (marks & {OWN}) = 0, {', '.join(_SPAN_COLUMNS)} FROM spans WHERE seq = ?"

_LOG_COLUMNS = (
    "id", "time_ns", "observed_ns", "severity_number", "severity_text", "body", "trace_id", "span_id", "event_name",
    "service_name", "scope_name", "session_id", "tool", "attributes", "resource_attributes", "detail",
)  # fmt: skip
_POINT_COLUMNS = (
    "id", "series", "time_ns", "name", "start_ns", "description", "unit", "metric_type", "temporality", "is_monotonic",
    "value_int", "value_double", "histogram_data", "service_name", "scope_name", "session_id", "tool", "attributes",
    "resource_attributes", "detail", "series_detail",
)  # fmt: skip
_OBJECTS: tuple[tuple[str, Any], ...] = (
    ("attributes", {}), ("resource_attributes", {}), ("detail", None), ("histogram_data", None),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class StoredSpan:
    """A span as it is stored. Its `counts` is its sender's word; `is_counted` says whether it is in the sums."""

    row: Row
    is_counted: bool


@dataclass(frozen=True, slots=True)
class Between:
    """A stretch of time: from one nanosecond up to, not including, another."""

    start_ns: int | None = None
    end_ns: int | None = None


def open_reader(path: Path, texts: Texts) -> Connection:
    """Open the database at `path` to read it, whether or not a server writes to it.

    Raises:
        StoreRefused: There is none, it is not ours, or of another version than we are.
    """
    if not path.exists():
        raise StoreRefused(f"There is no database in {path.parent}: nothing has been recorded there.")
    refuse_foreign(path)
    try:
        connection = connect(path, is_reader=True)
    except sqlite3.Error as error:
        raise StoreRefused(f"{path} cannot be read: {error}.") from error
    try:
        _refuse_other_version(connection, path)
    except BaseException:
        connection.close()
        raise
    connection.texts = texts
    return connection


def _refuse_other_version(connection: Connection, path: Path) -> None:
    try:
        is_old = len(applied(connection)) < len(MIGRATIONS)
    except sqlite3.Error as error:
        raise StoreRefused(f"{path} cannot be read: {error}.") from error
    if is_old:
        raise StoreRefused(f"{path} was written by an older LLMFlow; start this one once to bring it up to date.")


def spans(connection: sqlite3.Connection, chosen: Filter, newest: int | None = None) -> Iterator[StoredSpan]:
    """Yield the spans a filter lets through with their bodies, oldest first; of many only the `newest` so many."""
    cursor, left = (None, None) if newest is None else (_before_newest(connection, chosen, newest), newest)
    while left is None or left > 0:
        limit = PAGE_ROWS if left is None else min(PAGE_ROWS, left)
        page = _read(list_spans, connection, chosen, Page(limit=limit, cursor=cursor, sort="time"))
        for element in page.rows:
            span = _read(span_at, connection, element["seq"])
            if span is not None:
                yield span
        left = None if left is None else left - len(page.rows)
        cursor = page.next_cursor
        if cursor is None:
            return


def _before_newest(connection: sqlite3.Connection, chosen: Filter, newest: int) -> str | None:
    """Return the place in the list from which on there are so many rows; None when there are no more than that."""
    page = _read(list_spans, connection, chosen, Page(limit=1, offset=newest - 1))
    if not page.rows:
        return None
    element = page.rows[0]
    span = _read(get_span, connection, element["id"], element["trace_id"])
    return None if span is None else make_cursor(int(span["start_ns"]), element["seq"] - 1)


def _read(query: Any, connection: sqlite3.Connection, *args: Any) -> Any:
    """Run one query; what SQLite complains of becomes an error of ours."""
    try:
        return query(connection, *args)
    except sqlite3.Error as error:
        raise StoreError(f"The database cannot be read: {error}.") from error


def span_at(connection: sqlite3.Connection, seq: int) -> StoredSpan | None:
    """Return one span with its bodies, as it came."""
    found = connection.execute(_SELECT_SPAN, (seq,)).fetchone()
    if found is None:
        return None
    is_counted, *values = found
    told: JSON = dict(zip(("counts", *_SPAN_COLUMNS), values, strict=True))
    for name in ("counts", *_FLAGS):
        told[name] = bool(told[name])
    for name in _LISTS:
        told[name] = parsed(told[name], [])
    told["cost_detail"] = parsed(told["cost_detail"], None)
    return StoredSpan(Row(Span(**told), tuple(get_bodies(connection, seq).values())), bool(is_counted))


def logs(connection: sqlite3.Connection, between: Between) -> Iterator[Log]:
    """Yield the log records of a time, oldest first."""
    for told in _walk(connection, _SELECT_LOGS, _LOG_COLUMNS, between):
        yield Log(**told)


def points(connection: sqlite3.Connection, between: Between) -> Iterator[Metric]:
    """Yield the data points of a time, oldest first."""
    for told in _walk(connection, _SELECT_POINTS, _POINT_COLUMNS, between):
        detail = {**parsed(told.pop("series_detail"), {}), **(told["detail"] or {})}
        told["detail"] = {name: value for name, value in detail.items() if value is not None} or None
        told["is_monotonic"] = bool(told["is_monotonic"])
        yield Metric(**told)


_KEYSET = "({0}time_ns, {0}seq) > (?, ?) AND {0}time_ns < ? ORDER BY {0}time_ns, {0}seq LIMIT ?"
_SELECT_LOGS = f"SELECT seq, {', '.join(_LOG_COLUMNS)} FROM logs WHERE time_ns >= ? AND {_KEYSET.format('')}"
_OF_POINT = ("id", "time_ns", "start_ns", "value_int", "value_double", "histogram_data", "detail")


def _point_column(name: str) -> str:
    """Return where a member of a point stands; '' is null in the key of its series."""
    if name in _OF_POINT:
        return f"p.{name}"
    if name in ("metric_type", "temporality"):
        return f"NULLIF(s.{name}, '')"
    return "s.detail" if name == "series_detail" else f"s.{name}"


_SELECT_POINTS = (
    f"SELECT p.seq, {', '.join(map(_point_column, _POINT_COLUMNS))} "
    "FROM metric_points p CROSS JOIN metric_series s ON s.seq = p.series_seq "
    f"WHERE p.time_ns >= ? AND {_KEYSET.format('p.')}"
)
_LAST_NS = 2**63 - 1


def _walk(connection: sqlite3.Connection, sql: str, columns: Sequence[str], between: Between) -> Iterator[JSON]:
    time_ns, seq = between.start_ns or 0, -1
    end_ns = _LAST_NS if between.end_ns is None else between.end_ns
    place = columns.index("time_ns")
    while True:
        page = _read(_fetched, connection, sql, (time_ns, time_ns, seq, end_ns, PAGE_ROWS))
        for key, *values in page:
            told: JSON = dict(zip(columns, values, strict=True))
            for name, default in _OBJECTS:
                if name in told:
                    told[name] = parsed(told[name], default)
            yield told
            time_ns, seq = values[place], key
        if len(page) < PAGE_ROWS:
            return


def _fetched(connection: sqlite3.Connection, sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
    return connection.execute(sql, params).fetchall()


# ── what is there already ────────────────────────────────────────────────────────────────────────────────────────────

SpanKey = tuple[str, str]
"""The trace_id and id of a span."""


@dataclass(frozen=True, slots=True)
class Known:
    """Which rows the database has. Of spans also whether they are made of log records, and may be added to."""

    spans: dict[SpanKey, bool] = field(default_factory=dict)
    logs: frozenset[str] = frozenset()
    points: frozenset[str] = frozenset()


def known(connection: sqlite3.Connection, wanted: Known) -> Known:
    """Return which of the `wanted` rows there are."""
    ids = list({span_id for _, span_id in wanted.spans})
    sql = "SELECT trace_id, id, derived FROM spans WHERE id IN (SELECT value FROM json_each(?))"
    found = connection.execute(sql, (json.dumps(ids),)).fetchall()
    return Known(
        {(trace, span): bool(derived) for trace, span, derived in found if (trace, span) in wanted.spans},
        frozenset(known_ids(connection, "logs", dict.fromkeys(wanted.logs))),
        frozenset(known_ids(connection, "metric_points", dict.fromkeys(wanted.points))),
    )
