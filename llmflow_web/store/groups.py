"""Sessions and the timeline: spans seen by who or when rather than one by one."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any

from llmflow_web.model import JSON
from llmflow_web.store.logs import LogQuery, newest_logs
from llmflow_web.store.spans import list_spans
from llmflow_web.store.stats import UNPRICED
from llmflow_web.wire.filter import Filter, Page, Term

_SESSION = (
    "session_id", "first_seen", "last_seen", "trace_count", "span_count", "error_count", "total_tokens", "total_cost",
    "unpriced_count", "agent_name", "service_name", "user_id",
)  # fmt: skip


def sessions(connection: sqlite3.Connection, limit: int = 50, offset: int = 0, q: str = "") -> JSON:
    """Return {"sessions", "total"}, the last seen first. `q` is part of an id, user, agent or service."""
    where, params = "", []
    if q:
        where = " WHERE " + " OR ".join(
            f"instr(lower({name}), lower(?)) > 0" for name in ("session_id", "user_id", "agent_name", "service_name")
        )
        params = [q] * 4
    rows = connection.execute(
        "SELECT session_id, first_ns / 1000000, last_ns / 1000000, trace_count, span_count, error_count, tokens, cost, "
        f"unpriced_count, agent_name, service_name, user_id FROM sessions{where} "
        "ORDER BY last_ns DESC, session_id LIMIT ? OFFSET ?",
        (*params, limit, offset),
    )
    total = connection.execute(f"SELECT COUNT(*) FROM sessions{where}", params).fetchone()[0]
    return {"sessions": [dict(zip(_SESSION, row, strict=True)) for row in rows], "total": total}


def session(connection: sqlite3.Connection, session_id: str) -> JSON | None:
    """Return a session's traces in the order they started, and their sums."""
    rows = connection.execute(
        f"""
        SELECT t.trace_id, MIN(s.start_ns) / 1000000, MAX(s.start_ns + IFNULL(s.duration_ns, 0)) / 1000000,
          SUM(CASE WHEN s.counts THEN IFNULL(s.estimated_cost, 0.0) ELSE 0.0 END),
          SUM(CASE WHEN s.counts THEN IFNULL(s.total_tokens,
            IFNULL(s.prompt_tokens, 0) + IFNULL(s.completion_tokens, 0)) ELSE 0 END),
          COUNT(*), SUM(IFNULL(s.status, 0) >= 400), SUM(s.counts AND {UNPRICED})
        FROM spans s CROSS JOIN traces t ON t.first_seq = s.trace_seq
        WHERE s.session_id = ? GROUP BY s.trace_seq ORDER BY 2, s.trace_seq
        """,
        (session_id,),
    ).fetchall()
    if not rows:
        return None
    names = ("trace_id", "started_at", "ended_at", "cost", "tokens", "span_count", "error_count", "unpriced_count")
    traces = [{**dict(zip(names, row, strict=True)), "has_error": int(row[6] > 0)} for row in rows]
    summary = {
        "cost": sum(row[3] for row in rows),
        "tokens": sum(row[4] for row in rows),
        "spans": sum(row[5] for row in rows),
        "errors": sum(row[6] for row in rows),
        "unpriced_count": sum(row[7] for row in rows),
    }
    return {"session_id": session_id, "traces": traces, "summary": summary}


@dataclass(frozen=True, slots=True)
class TimelineQuery:
    """What the timeline is asked for. `type`: "" (all), trace, log, metric."""

    limit: int = 100
    type: str = ""
    tool: str | None = None  # exactly the service_name, as the contract has it
    q: str = ""
    date_from: int | None = None


def timeline(connection: sqlite3.Connection, chosen: Filter, query: TimelineQuery) -> list[JSON]:
    """Return spans and logs in one list, newest first. `chosen` holds the terms `q` came to, for the spans."""
    items: list[JSON] = []
    if query.type in ("", "trace"):
        items += [_span_item(row) for row in list_spans(connection, _narrowed(chosen, query), Page(query.limit)).rows]
    if query.type in ("", "log"):
        wanted = LogQuery(limit=query.limit, service_name=query.tool, q=query.q or None, date_from=query.date_from)
        items += [_log_item(row) for row in newest_logs(connection, wanted)]
    items.sort(key=lambda item: item["timestamp"], reverse=True)
    return items[: query.limit]


def _narrowed(chosen: Filter, query: TimelineQuery) -> Filter:
    terms: tuple[Term, ...] = chosen.terms
    if query.tool:
        terms += (Term("service_name", "=", (query.tool,)),)
    if query.date_from is not None:
        terms += (Term("timestamp", ">=", (query.date_from,)),)
    return Filter(terms)


def _span_item(row: JSON) -> JSON:
    return {
        "id": row["id"],
        "type": "trace",
        "timestamp": row["timestamp"],
        "title": row["span_name"] or row["model"] or "LLM Request",
        "subtitle": row["service_name"] or row["provider"],
        "model": row["model"],
        "service_name": row["service_name"],
        "tool": row["service_name"],
        "status": row["status"],
        "duration_ms": row["duration_ms"],
        "tokens": row["total_tokens"],
        "cost": row["estimated_cost"],
        "data": row,
    }


def _log_item(row: dict[str, Any]) -> JSON:
    return {
        "id": row["id"],
        "type": "log",
        "timestamp": row["timestamp"],
        "title": row["event_name"] or (row["body"] or "")[:50] or "Log",
        "subtitle": row["service_name"],
        "service_name": row["service_name"],
        "tool": row["service_name"],
        "severity_text": row["severity_text"],
        "data": row,
    }
