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
    "unpriced_count", "agent_name", "service_name", "user_id", "log_count",
)  # fmt: skip
_SESSION_SQL = (
    "SELECT session_id, first_ns / 1000000, last_ns / 1000000, trace_count, span_count, error_count, tokens, cost, "
    "unpriced_count, agent_name, service_name, user_id, log_count FROM sessions"
)


def sessions(connection: sqlite3.Connection, limit: int = 50, offset: int = 0, q: str = "") -> JSON:
    """Return {"sessions", "total"}, the last seen first. `q` is part of an id, user, agent or service."""
    where, params = "", []
    if q:
        where = " WHERE " + " OR ".join(
            f"instr(lower({name}), lower(?)) > 0" for name in ("session_id", "user_id", "agent_name", "service_name")
        )
        params = [q] * 4
    rows = connection.execute(
        f"{_SESSION_SQL}{where} ORDER BY last_ns DESC, session_id LIMIT ? OFFSET ?",
        (*params, limit, offset),
    )
    total = connection.execute(f"SELECT COUNT(*) FROM sessions{where}", params).fetchone()[0]
    return {"sessions": [dict(zip(_SESSION, row, strict=True)) for row in rows], "total": total}


def session(connection: sqlite3.Connection, session_id: str) -> JSON | None:
    """Return a session's traces in the order they started, and their sums; of the traces only what is the session's."""
    found = connection.execute(f"{_SESSION_SQL} WHERE session_id = ?", (session_id,)).fetchone()
    if found is None:
        return None
    told: JSON = dict(zip(_SESSION, found, strict=True))
    rows = connection.execute(
        f"""
        SELECT t.trace_id, MIN(s.start_ns) / 1000000, MAX(s.start_ns + IFNULL(s.duration_ns, 0)) / 1000000,
          SUM(CASE WHEN s.counts THEN IFNULL(s.estimated_cost, 0.0) ELSE 0.0 END),
          SUM(CASE WHEN s.counts THEN IFNULL(s.total_tokens,
            IFNULL(s.prompt_tokens, 0) + IFNULL(s.completion_tokens, 0)) ELSE 0 END),
          COUNT(*), SUM(IFNULL(s.status, 0) >= 400), SUM(s.counts AND {UNPRICED}), r.span_name, r.preview_in
        FROM spans s CROSS JOIN traces t ON t.first_seq = s.trace_seq CROSS JOIN spans r ON r.seq = t.root_seq
        WHERE s.session_id = ? GROUP BY s.trace_seq ORDER BY 2, s.trace_seq
        """,
        (session_id,),
    )
    return {
        "session_id": session_id,
        "traces": [{**dict(zip(_SESSION_TRACE, row, strict=True)), "has_error": int(row[6] > 0)} for row in rows],
        "summary": {
            "cost": told["total_cost"],
            "tokens": told["total_tokens"],
            "spans": told["span_count"],
            "errors": told["error_count"],
            "unpriced_count": told["unpriced_count"],
            "logs": told["log_count"],
        },
        **{name: told[name] for name in ("first_seen", "last_seen", "agent_name", "service_name", "user_id")},
    }


_SESSION_TRACE = (
    "trace_id", "started_at", "ended_at", "cost", "tokens", "span_count", "error_count", "unpriced_count", "name",
    "preview_in",
)  # fmt: skip


TOOLS = ("claude-code", "codex-cli", "gemini-cli", "copilot", "aider", "proxy")
"""What `tool` of a span or log may be; any other word is the name of a service."""


@dataclass(frozen=True, slots=True)
class TimelineQuery:
    """What the timeline is asked for. `type`: "" (all), trace, log, metric."""

    limit: int = 100
    type: str = ""
    tool: str | None = None  # one of TOOLS, or exactly a service_name, as the contract has it
    q: str = ""
    date_from: int | None = None
    date_to: int | None = None


def timeline(connection: sqlite3.Connection, chosen: Filter, query: TimelineQuery) -> list[JSON]:
    """Return spans and logs in one list, newest first. `chosen` holds the terms `q` came to, for the spans.

    Spans that are joined to another are left out. A walk through each list ends with the page: they are merged by time.
    """
    items: list[JSON] = []
    for field in _tool_fields(query.tool):
        if query.type in ("", "trace"):
            found = list_spans(connection, _narrowed(chosen, query, field), Page(query.limit)).rows
            items += [_span_item(row) for row in found]
        if query.type in ("", "log"):
            wanted = LogQuery(
                limit=query.limit,
                q=query.q or None,
                tool=query.tool if field == "tool" else None,
                service_name=query.tool if field == "service_name" else None,
                date_from=query.date_from,
                date_to=query.date_to,
            )
            items += [_log_item(row) for row in newest_logs(connection, wanted)]
    unique = {(item["type"], item["data"].get("seq", item["id"])): item for item in items}
    return sorted(unique.values(), key=lambda item: item["timestamp"], reverse=True)[: query.limit]


def _tool_fields(tool: str | None) -> tuple[str | None, ...]:
    """Return the columns in which a tool is looked for: a service may bear a tool's name without being it."""
    if not tool:
        return (None,)
    return ("tool", "service_name") if tool in TOOLS else ("service_name",)


def _narrowed(chosen: Filter, query: TimelineQuery, field: str | None) -> Filter:
    terms = (*chosen.terms, Term("joined", "=", (0,)))
    if field is not None and query.tool is not None:
        terms += (Term(field, "=", (query.tool,)),)
    if query.date_from is not None:
        terms += (Term("timestamp", ">=", (query.date_from,)),)
    if query.date_to is not None:
        terms += (Term("timestamp", "<=", (query.date_to,)),)
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
