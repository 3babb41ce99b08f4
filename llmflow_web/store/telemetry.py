"""Logs and metrics: what is written of them and what is asked."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llmflow_web.model import JSON
from llmflow_web.store.counters import Counters

LOG_COLUMNS = (
    "id", "timestamp", "observed_timestamp", "severity_number", "severity_text", "body", "trace_id", "span_id",
    "event_name", "service_name", "scope_name", "attributes", "resource_attributes",
)  # fmt: skip
METRIC_COLUMNS = (
    "id", "timestamp", "name", "description", "unit", "metric_type", "value_int", "value_double", "histogram_data",
    "service_name", "scope_name", "attributes", "resource_attributes",
)  # fmt: skip
_JSON_COLUMNS = ("attributes", "resource_attributes", "histogram_data")


def insert_logs(connection: sqlite3.Connection, rows: Sequence[Mapping[str, Any]], counters: Counters) -> int:
    """Write log records inside the caller's transaction; one whose id is known stays as it is."""
    count = _insert(connection, "logs", LOG_COLUMNS, rows)
    counters.logs += count
    return count


def insert_metrics(connection: sqlite3.Connection, rows: Sequence[Mapping[str, Any]], counters: Counters) -> int:
    """Write metric data points inside the caller's transaction; one whose id is known stays as it is."""
    count = _insert(connection, "metrics", METRIC_COLUMNS, rows)
    counters.metrics += count
    return count


def _insert(
    connection: sqlite3.Connection, table: str, columns: tuple[str, ...], rows: Sequence[Mapping[str, Any]]
) -> int:
    before = connection.total_changes
    connection.executemany(
        f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
        [tuple(_stored(name, row.get(name)) for name in columns) for row in rows],
    )
    return connection.total_changes - before


def _stored(name: str, value: Any) -> Any:
    if name in _JSON_COLUMNS and value is not None and not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return value


class _Where:
    """Conditions of a query, values as parameters only."""

    def __init__(self) -> None:
        self._conditions: list[str] = []
        self.params: list[Any] = []

    def add(self, sql: str, value: Any) -> None:
        """Add a condition with its one value, or nothing when there is no value."""
        if value is not None and value != "":
            self._conditions.append(sql)
            self.params.extend([value] * sql.count("?"))

    @property
    def sql(self) -> str:
        """The WHERE clause."""
        return " WHERE " + " AND ".join(self._conditions) if self._conditions else ""


@dataclass(frozen=True, slots=True)
class LogQuery:
    """What the list of logs is asked for."""

    limit: int = 50
    offset: int = 0
    service_name: str | None = None
    event_name: str | None = None
    trace_id: str | None = None
    severity_min: int | None = None
    q: str | None = None
    date_from: int | None = None
    date_to: int | None = None


def list_logs(connection: sqlite3.Connection, query: LogQuery) -> JSON:
    """Return {"logs", "total"}, newest first; attributes stay JSON text, `total` honours every filter."""
    where = _Where()
    where.add("service_name = ?", query.service_name)
    where.add("event_name = ?", query.event_name)
    where.add("trace_id = ?", query.trace_id)
    where.add("severity_number >= ?", query.severity_min)
    where.add("timestamp >= ?", query.date_from)
    where.add("timestamp <= ?", query.date_to)
    where.add("(instr(lower(body), ?) > 0 OR instr(lower(attributes), ?) > 0)", query.q and query.q.lower())
    rows, total = _list(connection, "logs", LOG_COLUMNS, where, (query.limit, query.offset))
    return {"logs": rows, "total": total}


@dataclass(frozen=True, slots=True)
class MetricQuery:
    """What the list of metrics is asked for."""

    limit: int = 50
    offset: int = 0
    name: str | None = None
    service_name: str | None = None
    metric_type: str | None = None
    date_from: int | None = None
    date_to: int | None = None


def list_metrics(connection: sqlite3.Connection, query: MetricQuery) -> JSON:
    """Return {"metrics", "total"}, newest first; JSON columns stay text, `total` honours every filter."""
    where = _Where()
    where.add("name = ?", query.name)
    where.add("service_name = ?", query.service_name)
    where.add("metric_type = ?", query.metric_type)
    where.add("timestamp >= ?", query.date_from)
    where.add("timestamp <= ?", query.date_to)
    rows, total = _list(connection, "metrics", METRIC_COLUMNS, where, (query.limit, query.offset))
    return {"metrics": rows, "total": total}


def _list(
    connection: sqlite3.Connection, table: str, columns: tuple[str, ...], where: _Where, page: tuple[int, int]
) -> tuple[list[JSON], int]:
    rows = connection.execute(
        f"SELECT {', '.join(columns)} FROM {table}{where.sql} ORDER BY timestamp DESC, seq DESC LIMIT ? OFFSET ?",
        (*where.params, *page),
    ).fetchall()
    total = connection.execute(f"SELECT COUNT(*) FROM {table}{where.sql}", where.params).fetchone()[0]
    return [dict(zip(columns, row, strict=True)) for row in rows], int(total)


def get_log(connection: sqlite3.Connection, key: str) -> JSON | None:
    """Return one log record with its attributes as objects."""
    return _get(connection, "logs", LOG_COLUMNS, key)


def get_metric(connection: sqlite3.Connection, key: str) -> JSON | None:
    """Return one data point with its attributes and histogram as objects."""
    return _get(connection, "metrics", METRIC_COLUMNS, key)


def _get(connection: sqlite3.Connection, table: str, columns: tuple[str, ...], key: str) -> JSON | None:
    found = connection.execute(f"SELECT {', '.join(columns)} FROM {table} WHERE id = ?", (key,)).fetchone()
    if found is None:
        return None
    row: JSON = dict(zip(columns, found, strict=True))
    for name in _JSON_COLUMNS:
        if name in row:
            row[name] = _parsed(row[name], None if name == "histogram_data" else {})
    return row


def _parsed(text: str | None, default: Any) -> Any:
    try:
        return json.loads(text) if text else default
    except ValueError:
        return default


def log_filters(connection: sqlite3.Connection) -> JSON:
    """Return the services and event names there are."""
    return {
        "services": _distinct(connection, "logs", "service_name"),
        "event_names": _distinct(connection, "logs", "event_name"),
    }


def metric_filters(connection: sqlite3.Connection) -> JSON:
    """Return the metric names and services there are."""
    return {
        "names": _distinct(connection, "metrics", "name"),
        "services": _distinct(connection, "metrics", "service_name"),
    }


def _distinct(connection: sqlite3.Connection, table: str, column: str) -> list[str]:
    rows = connection.execute(f"SELECT DISTINCT {column} FROM {table} WHERE {column} IS NOT NULL ORDER BY 1")
    return [row[0] for row in rows]


_SUMMARY = (
    "name", "service_name", "metric_type", "data_points", "first_seen", "last_seen", "sum_int", "avg_double",
    "max_int", "min_int",
)  # fmt: skip


def metric_summary(
    connection: sqlite3.Connection, date_from: int | None = None, date_to: int | None = None
) -> list[JSON]:
    """Return one entry per metric and service, those with most points first."""
    where = _Where()
    where.add("timestamp >= ?", date_from)
    where.add("timestamp <= ?", date_to)
    rows = connection.execute(
        "SELECT name, service_name, metric_type, COUNT(*), MIN(timestamp), MAX(timestamp), SUM(value_int), "
        f"AVG(value_double), MAX(value_int), MIN(value_int) FROM metrics{where.sql} "
        "GROUP BY name, service_name ORDER BY 4 DESC, 1, 2",
        where.params,
    )
    return [dict(zip(_SUMMARY, row, strict=True)) for row in rows]


def token_usage(connection: sqlite3.Connection) -> list[JSON]:
    """Return the tokens that metrics report, per service, model and kind of token."""
    rows = connection.execute(
        """
        SELECT service_name, json_extract(attributes, '$.model'), json_extract(attributes, '$.type'), SUM(value_int)
        FROM metrics
        WHERE (name LIKE '%token%' OR name LIKE '%usage%') AND (attributes IS NULL OR json_valid(attributes))
        GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3
        """
    )
    names = ("service_name", "model", "token_type", "total_tokens")
    return [dict(zip(names, row, strict=True)) for row in rows]
