"""Log records: how they are written, what is asked of them.

The leading condition of a list keeps its index, the columns of the others carry a unary + (as in `query`); the walk
then goes newest first. Free text has no index: it is looked for in the newest MAX_SEARCHED_ROWS that pass the filters.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from llmflow_web.model import JSON, Log
from llmflow_web.store.counters import Counters
from llmflow_web.store.sessions import add_logs, take_logs

MAX_SEARCHED_ROWS = 50_000
MAX_TRACE_LOGS = 1000
MAX_SUMMARY_BODY = 200
_ERROR = 17  # the severity from which on logs have an index of their own

encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str).encode

LOG_COLUMNS = (
    "id", "timestamp", "observed_timestamp", "severity_number", "severity_text", "body", "trace_id", "span_id",
    "event_name", "service_name", "scope_name", "session_id", "tool", "time_ns", "attributes", "resource_attributes",
)  # fmt: skip
_DETAIL_COLUMNS = (*LOG_COLUMNS, "observed_ns", "detail")
_INSERT = (
    "INSERT INTO logs (id, arrived_ms, time_ns, observed_ns, severity_number, severity_text, body, trace_id, span_id, "
    "event_name, service_name, scope_name, session_id, tool, attributes, resource_attributes, detail) "
    "VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
)


def insert_logs(connection: sqlite3.Connection, logs: Sequence[Log], counters: Counters, now_ms: int) -> list[Log]:
    """Write log records inside the caller's transaction and return the new ones; a known id changes nothing."""
    by_id = {log.id: log for log in reversed(logs)}  # of the same id twice the first one stays
    for known in known_ids(connection, "logs", by_id):
        del by_id[known]
    fresh = list(reversed(by_id.values()))
    connection.executemany(_INSERT, [_values(log, now_ms) for log in fresh])
    add_logs(connection, fresh)
    counters.logs += len(fresh)
    return fresh


def known_ids(connection: sqlite3.Connection, table: str, ids: dict[str, Any]) -> list[str]:
    """Return which of these ids the table has already."""
    sql = f"SELECT id FROM {table} WHERE id IN (SELECT value FROM json_each(?))"
    return [row[0] for row in connection.execute(sql, (json.dumps(list(ids)),))] if ids else []


def _values(log: Log, now_ms: int) -> tuple[Any, ...]:
    return (
        log.id, now_ms, log.time_ns, log.observed_ns, log.severity_number, log.severity_text, log.body, log.trace_id,
        log.span_id, log.event_name, log.service_name, log.scope_name, log.session_id, log.tool,
        encode(log.attributes), encode(log.resource_attributes), encode(log.detail) if log.detail else None,
    )  # fmt: skip


def log_summary(log: Log) -> JSON:
    """Return what the live screen is told of a record (contract section 10)."""
    return {
        "id": log.id,
        "timestamp": log.time_ns // 1_000_000,
        "severity_text": log.severity_text,
        "event_name": log.event_name,
        "service_name": log.service_name,
        "trace_id": log.trace_id,
        "body": None if log.body is None else log.body[:MAX_SUMMARY_BODY],
    }


@dataclass(slots=True)
class Where:
    """Conditions of a query, values as parameters only. The first that may lead keeps its index."""

    conditions: list[str] = field(default_factory=list)
    params: list[Any] = field(default_factory=list)
    _has_leader: bool = False

    def equals(self, column: str, value: Any, *, may_lead: bool = False) -> None:
        """Ask for a value of a column; nothing when there is none to ask for."""
        if value is None or value == "":
            return
        plus = "" if may_lead and not self._has_leader else "+"
        self._has_leader = self._has_leader or may_lead
        self.conditions.append(f"{plus}{column} = ?")
        self.params.append(value)

    def between_ms(self, column: str, date_from: int | None, date_to: int | None) -> None:
        """Ask for whole milliseconds of a column of nanoseconds, both ends included."""
        if date_from is not None:
            self.conditions.append(f"{column} >= ?")
            self.params.append(min(date_from, _MAX_MS) * 1_000_000)
        if date_to is not None:
            self.conditions.append(f"{column} < ?")
            self.params.append((min(date_to, _MAX_MS) + 1) * 1_000_000)

    @property
    def sql(self) -> str:
        """The WHERE clause."""
        return " WHERE " + " AND ".join(self.conditions) if self.conditions else ""


_MAX_MS = 2**43  # so that nanoseconds stay within 64 bits


@dataclass(frozen=True, slots=True)
class LogQuery:
    """What the list of logs is asked for."""

    limit: int = 50
    offset: int = 0
    service_name: str | None = None
    event_name: str | None = None
    trace_id: str | None = None
    span_id: str | None = None
    session_id: str | None = None
    tool: str | None = None
    severity_min: int | None = None
    q: str | None = None
    date_from: int | None = None
    date_to: int | None = None


def list_logs(connection: sqlite3.Connection, query: LogQuery) -> JSON:
    """Return {"logs", "total"}, newest first; attributes stay JSON text, `total` honours every filter.

    With `q` both reach over the newest MAX_SEARCHED_ROWS records the other filters let through, and `note` says so.
    """
    where = _where_of(query)
    newest = f"FROM logs{where.sql} ORDER BY time_ns DESC, seq DESC"
    if query.q:
        seqs, searched = _search(connection, newest, where.params, query.q.lower())
        found: JSON = {"total": len(seqs)}
        if searched >= MAX_SEARCHED_ROWS:
            found["note"] = f"Searched in the newest {MAX_SEARCHED_ROWS:,} logs."
        seqs = seqs[query.offset : query.offset + query.limit]
    else:
        sql = f"SELECT seq {newest} LIMIT ? OFFSET ?"
        seqs = [row[0] for row in connection.execute(sql, (*where.params, query.limit, query.offset))]
        found = {"total": connection.execute(f"SELECT COUNT(*) FROM logs{where.sql}", where.params).fetchone()[0]}
    return {"logs": _rows_of(connection, seqs, LOG_COLUMNS), **found}


def newest_logs(connection: sqlite3.Connection, query: LogQuery) -> list[JSON]:
    """Return a page of the list without counting the rest."""
    where = _where_of(query)
    newest = f"FROM logs{where.sql} ORDER BY time_ns DESC, seq DESC"
    if query.q:
        seqs = _search(connection, newest, where.params, query.q.lower(), query.offset + query.limit)[0][query.offset :]
    else:
        sql = f"SELECT seq {newest} LIMIT ? OFFSET ?"
        seqs = [row[0] for row in connection.execute(sql, (*where.params, query.limit, query.offset))]
    return _rows_of(connection, seqs, LOG_COLUMNS)


def _where_of(query: LogQuery) -> Where:
    where = Where()
    for name in ("trace_id", "session_id", "event_name", "service_name"):
        where.equals(name, getattr(query, name), may_lead=True)
    where.equals("span_id", query.span_id)
    where.equals("tool", query.tool)
    if query.severity_min is not None:
        if query.severity_min >= _ERROR and not where.conditions:
            where.conditions.append(f"severity_number >= {_ERROR}")  # spelt out, so that the index over errors serves
        where.conditions.append("+severity_number >= ?")
        where.params.append(query.severity_min)
    where.between_ms("time_ns", query.date_from, query.date_to)
    return where


def _search(
    connection: sqlite3.Connection, newest: str, params: list[Any], text: str, enough: int | None = None
) -> tuple[list[int], int]:
    """Return the seqs of the records that hold a text, and how many records were looked at."""
    seqs, searched = [], 0
    rows = connection.execute(
        f"SELECT seq, instr(lower(body), ?) > 0 OR instr(lower(attributes), ?) > 0 {newest} LIMIT {MAX_SEARCHED_ROWS}",
        (text, text, *params),
    )
    for seq, is_match in rows:
        searched += 1
        if is_match:
            seqs.append(seq)
            if enough is not None and len(seqs) >= enough:
                break
    return seqs, searched


def _rows_of(connection: sqlite3.Connection, seqs: Sequence[int], columns: tuple[str, ...]) -> list[JSON]:
    """Return these records in this order."""
    sql = f"SELECT seq, {', '.join(columns)} FROM logs WHERE seq IN (SELECT value FROM json_each(?))"
    found = {
        seq: _named(columns, values) for seq, *values in connection.execute(sql, (json.dumps([int(s) for s in seqs]),))
    }
    return [found[seq] for seq in seqs if seq in found]


def _named(columns: tuple[str, ...], values: Sequence[Any]) -> JSON:
    row: JSON = dict(zip(columns, values, strict=True))
    row["time_ns"] = str(row["time_ns"])
    return row


def get_log(connection: sqlite3.Connection, key: str) -> JSON | None:
    """Return one log record with its attributes as objects."""
    found = connection.execute("SELECT seq FROM logs WHERE id = ?", (key,)).fetchone()
    return None if found is None else _whole(_rows_of(connection, [found[0]], _DETAIL_COLUMNS)[0])


def logs_of_trace(connection: sqlite3.Connection, trace_id: str, span_id: str | None = None) -> list[JSON]:
    """Return the records of a trace or of one of its spans, oldest first, with their attributes as objects."""
    where = Where()
    where.equals("trace_id", trace_id, may_lead=True)
    where.equals("span_id", span_id)
    sql = f"SELECT seq FROM logs{where.sql} ORDER BY time_ns, seq LIMIT {MAX_TRACE_LOGS}"
    seqs = [row[0] for row in connection.execute(sql, where.params)]
    return [_whole(row) for row in _rows_of(connection, seqs, _DETAIL_COLUMNS)]


def _whole(row: JSON) -> JSON:
    for name, default in (("attributes", {}), ("resource_attributes", {}), ("detail", None)):
        row[name] = parsed(row[name], default)
    row["observed_ns"] = None if row["observed_ns"] is None else str(row["observed_ns"])
    return row


def parsed(text: str | None, default: Any) -> Any:
    """Return what JSON text says, or the default when it is none."""
    try:
        return json.loads(text) if text else default
    except ValueError:
        return default


def log_filters(connection: sqlite3.Connection) -> JSON:
    """Return the services and event names there are."""
    return {
        "services": _distinct(connection, "service_name"),
        "event_names": _distinct(connection, "event_name"),
    }


def _distinct(connection: sqlite3.Connection, column: str) -> list[str]:
    """Hop from value to value along the column's index: as many steps as there are values."""
    rows = connection.execute(
        f"""
        WITH RECURSIVE hop(value) AS (
          SELECT MIN({column}) FROM logs WHERE {column} IS NOT NULL
          UNION ALL
          SELECT (SELECT MIN({column}) FROM logs WHERE {column} > value) FROM hop WHERE value IS NOT NULL
        ) SELECT value FROM hop WHERE value IS NOT NULL
        """
    )
    return [row[0] for row in rows]


def remove_logs_of(connection: sqlite3.Connection, trace_ids: Sequence[str], counters: Counters) -> int:
    """Delete the records of these traces inside the caller's transaction and return how many went."""
    chosen = "SELECT seq FROM logs WHERE trace_id IN (SELECT value FROM json_each(?))"
    return _remove(connection, chosen, (json.dumps(list(trace_ids)),), counters)


def remove_oldest_logs(connection: sqlite3.Connection, count: int, before_ms: float, counters: Counters) -> int:
    """Delete up to so many of the oldest that arrived before a moment, and return how many went."""
    oldest = "SELECT seq, arrived_ms FROM logs ORDER BY seq LIMIT ?"
    return _remove(connection, f"SELECT seq FROM ({oldest}) WHERE arrived_ms < ?", (count, before_ms), counters)


def _remove(connection: sqlite3.Connection, chosen: str, params: tuple[Any, ...], counters: Counters) -> int:
    sql = f"SELECT session_id, COUNT(*) FROM logs WHERE seq IN ({chosen}) GROUP BY 1"
    sessions = connection.execute(sql, params).fetchall()
    connection.execute(f"DELETE FROM logs WHERE seq IN ({chosen})", params)
    take_logs(connection, sessions)
    gone: int = sum(count for _, count in sessions)
    counters.logs -= gone
    return gone
