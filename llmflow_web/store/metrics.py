"""Metric data points: how they are written, lists of them. Their sums are in `metric_sums`.

What all points of a series have in common (name, resource, attributes: most of the bytes) is stored once, in
`metric_series`; a point is a narrow row of `metric_points`. The view `metrics` shows both as one. Of `detail` a point
keeps the members in which it differs from its series; null stands for one it lacks.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llmflow_web.model import JSON, Metric
from llmflow_web.store.counters import Counters
from llmflow_web.store.logs import Where, encode, known_ids, parsed

METRIC_COLUMNS = (
    "id", "timestamp", "name", "description", "unit", "metric_type", "value_int", "value_double", "histogram_data",
    "service_name", "scope_name", "attributes", "resource_attributes", "temporality", "is_monotonic", "session_id",
    "tool", "series", "time_ns", "start_ns",
)  # fmt: skip
_DETAIL_COLUMNS = (*METRIC_COLUMNS, "detail", "series_detail")
_OF_A_POINT = ("time_ns", "start_ns", "value", "exemplars", "flags")  # members of detail no two points share
MAX_SORTED_POINTS = 20_000
"""Matching points up to which a list is gathered series by series; more are found on a walk from the newest."""

_KEY = ("series", "metric_type", "temporality")  # '' stands for null
_SERIES = (
    "name", "description", "unit", "is_monotonic", "service_name", "scope_name", "session_id", "tool", "attributes",
    "resource_attributes", "detail",
)  # fmt: skip
_INSERT_SERIES = "INSERT INTO metric_series ({}) VALUES ({})".format(
    ", ".join((*_KEY, *_SERIES)), ", ".join("?" * (len(_KEY) + len(_SERIES)))
)
_FIND_SERIES = "SELECT seq, detail FROM metric_series WHERE series = ? AND metric_type = ? AND temporality = ?"
_INSERT_POINT = (
    "INSERT INTO metric_points (id, series_seq, arrived_ms, time_ns, start_ns, value_int, value_double, "
    "histogram_data, detail) VALUES (?,?,?,?,?,?,?,?,?)"
)


def insert_metrics(
    connection: sqlite3.Connection, points: Sequence[Metric], counters: Counters, now_ms: int
) -> list[Metric]:
    """Write data points inside the caller's transaction and return the new ones; a known id changes nothing."""
    by_id = {point.id: point for point in reversed(points)}
    for known in known_ids(connection, "metric_points", by_id):
        del by_id[known]
    fresh = list(reversed(by_id.values()))
    series: dict[tuple[str, str, str], tuple[int, JSON]] = {}
    for point in fresh:
        key = (point.series, point.metric_type or "", point.temporality or "")
        if key not in series:
            series[key] = _series_of(connection, key, point)
    connection.executemany(
        _INSERT_POINT,
        [
            _values(point, *series[point.series, point.metric_type or "", point.temporality or ""], now_ms)
            for point in fresh
        ],
    )
    counters.metrics += len(fresh)
    return fresh


def _series_of(connection: sqlite3.Connection, key: tuple[str, str, str], point: Metric) -> tuple[int, JSON]:
    """Return a series' seq and detail, having written it when it is new."""
    found = connection.execute(_FIND_SERIES, key).fetchone()
    if found is not None:
        return found[0], parsed(found[1], {})
    detail = {name: value for name, value in (point.detail or {}).items() if name not in _OF_A_POINT}
    values = (
        point.name, point.description, point.unit, point.is_monotonic, point.service_name, point.scope_name,
        point.session_id, point.tool, encode(point.attributes), encode(point.resource_attributes),
        encode(detail) if detail else None,
    )  # fmt: skip
    seq = connection.execute(_INSERT_SERIES, (*key, *values)).lastrowid
    assert seq is not None
    return seq, detail


def _values(point: Metric, series_seq: int, of_series: JSON, now_ms: int) -> tuple[Any, ...]:
    number, detail = point.value_double, point.detail or {}
    own = {name: value for name, value in detail.items() if name not in of_series or of_series[name] != value}
    own |= {name: None for name in of_series if name not in detail}
    return (
        point.id, series_seq, now_ms, point.time_ns, point.start_ns, point.value_int,
        number if number is None or math.isfinite(number) else None,
        encode(point.histogram_data) if point.histogram_data is not None else None,
        encode(own) if own else None,
    )  # fmt: skip


def metric_summary_of(point: Metric) -> JSON:
    """Return what the live screen is told of a point (contract section 10)."""
    return {
        "id": point.id,
        "timestamp": point.time_ns // 1_000_000,
        "name": point.name,
        "metric_type": point.metric_type,
        "value_int": point.value_int,
        "value_double": point.value_double,
        "service_name": point.service_name,
    }


@dataclass(frozen=True, slots=True)
class MetricQuery:
    """What the list of metrics is asked for."""

    limit: int = 50
    offset: int = 0
    name: str | None = None
    service_name: str | None = None
    metric_type: str | None = None
    session_id: str | None = None
    tool: str | None = None
    date_from: int | None = None
    date_to: int | None = None


def list_metrics(connection: sqlite3.Connection, query: MetricQuery) -> JSON:
    """Return {"metrics", "total"}, newest first; JSON columns stay text, `total` honours every filter."""
    series = series_where(query)
    points = Where()
    if series.conditions:
        seqs = [row[0] for row in connection.execute(f"SELECT seq FROM metric_series{series.sql}", series.params)]
        points.conditions.append("series_seq IN (SELECT value FROM json_each(?))")
        points.params.append(json.dumps(seqs))
    points.between_ms("time_ns", query.date_from, query.date_to)
    total = connection.execute(f"SELECT COUNT(*) FROM metric_points{points.sql}", points.params).fetchone()[0]
    if series.conditions and total > MAX_SORTED_POINTS:
        points.conditions[0] = "+" + points.conditions[0]
    sql = f"SELECT seq FROM metric_points{points.sql} ORDER BY time_ns DESC, seq DESC LIMIT ? OFFSET ?"
    found = [row[0] for row in connection.execute(sql, (*points.params, query.limit, query.offset))]
    return {"metrics": _rows_of(connection, found, METRIC_COLUMNS), "total": total}


def series_where(query: MetricQuery) -> Where:
    """Return the conditions on `metric_series` a query comes to."""
    where = Where()
    for column in ("name", "session_id", "service_name", "metric_type", "tool"):
        where.equals(column, getattr(query, column), may_lead=column in ("name", "session_id"))
    return where


def _rows_of(connection: sqlite3.Connection, seqs: Sequence[int], columns: tuple[str, ...]) -> list[JSON]:
    """Return these points in this order."""
    sql = f"SELECT seq, {', '.join(columns)} FROM metrics WHERE seq IN (SELECT value FROM json_each(?))"
    found = {seq: _named(columns, values) for seq, *values in connection.execute(sql, (json.dumps(list(seqs)),))}
    return [found[seq] for seq in seqs if seq in found]


def _named(columns: tuple[str, ...], values: Sequence[Any]) -> JSON:
    row: JSON = dict(zip(columns, values, strict=True))
    row["is_monotonic"] = bool(row["is_monotonic"])
    for name in ("time_ns", "start_ns"):
        row[name] = None if row[name] is None else str(row[name])
    return row


def get_metric(connection: sqlite3.Connection, key: str) -> JSON | None:
    """Return one data point with its attributes and histogram as objects."""
    found = connection.execute("SELECT seq FROM metric_points WHERE id = ?", (key,)).fetchone()
    if found is None:
        return None
    row = _rows_of(connection, [found[0]], _DETAIL_COLUMNS)[0]
    for name, default in (("attributes", {}), ("resource_attributes", {}), ("histogram_data", None)):
        row[name] = parsed(row[name], default)
    detail = {**parsed(row.pop("series_detail"), {}), **parsed(row["detail"], {})}
    row["detail"] = {name: value for name, value in detail.items() if value is not None} or None
    return row


def metric_filters(connection: sqlite3.Connection) -> JSON:
    """Return the metric names and services there are."""
    return {name: _distinct(connection, column) for name, column in (("names", "name"), ("services", "service_name"))}


def _distinct(connection: sqlite3.Connection, column: str) -> list[str]:
    rows = connection.execute(f"SELECT DISTINCT {column} FROM metric_series WHERE {column} IS NOT NULL ORDER BY 1")
    return [row[0] for row in rows]


def remove_oldest_points(connection: sqlite3.Connection, count: int, before_ms: float, counters: Counters) -> int:
    """Delete up to so many of the oldest that arrived before a moment, and series left without points."""
    oldest = "SELECT seq, series_seq, arrived_ms FROM metric_points ORDER BY seq LIMIT ?"
    chosen = connection.execute(f"SELECT seq, series_seq FROM ({oldest}) WHERE arrived_ms < ?", (count, before_ms))
    points = chosen.fetchall()
    connection.executemany("DELETE FROM metric_points WHERE seq = ?", [(seq,) for seq, _ in points])
    connection.executemany(
        "DELETE FROM metric_series WHERE seq = ? AND NOT EXISTS (SELECT 1 FROM metric_points WHERE series_seq = ?)",
        [(series, series) for series in {series for _, series in points}],
    )
    counters.metrics -= len(points)
    return len(points)
