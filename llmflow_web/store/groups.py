"""Sessions and the timeline: spans seen by who or when rather than one by one."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llmflow_web.model import JSON
from llmflow_web.store.logs import LogQuery, newest_logs
from llmflow_web.store.marks import AWAY, JOINED, TOLD
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
    found = [dict(zip(_SESSION, row, strict=True)) for row in rows]
    work = _work(connection, [row["session_id"] for row in found])
    total = connection.execute(f"SELECT COUNT(*) FROM sessions{where}", params).fetchone()[0]
    return {"sessions": [row | _done(work.get(row["session_id"], [])) for row in found], "total": total}


def session(connection: sqlite3.Connection, session_id: str) -> JSON | None:
    """Return a session's traces in the order they started, and their sums; of the traces only what is the session's.

    A call that spans of another trace are joined to is part of that trace; a trace all of which is told elsewhere is
    left out.
    """
    found = connection.execute(f"{_SESSION_SQL} WHERE session_id = ?", (session_id,)).fetchone()
    if found is None:
        return None
    told: JSON = dict(zip(_SESSION, found, strict=True))
    traces = _work(connection, [session_id]).get(session_id, [])
    return {
        "session_id": session_id,
        "traces": [{**trace, "has_error": int(trace["error_count"] > 0)} for trace in traces],
        "summary": {
            "cost": told["total_cost"],
            "tokens": told["total_tokens"],
            "spans": told["span_count"],
            "errors": told["error_count"],
            "unpriced_count": told["unpriced_count"],
            "logs": told["log_count"],
            **_done(traces),
        },
        **{name: told[name] for name in ("first_seen", "last_seen", "agent_name", "service_name", "user_id")},
    }


_SESSION_TRACE = (
    "trace_id", "started_at", "ended_at", "cost", "tokens", "span_count", "error_count", "unpriced_count", "turns",
    "tool_calls", "models", "tool", "name", "preview_in",
)  # fmt: skip
_TRACE_OF = (
    f"CASE WHEN EXISTS (SELECT 1 FROM spans j WHERE j.joined_to = m.id) THEN IFNULL("
    f"(SELECT j.trace_seq FROM spans j WHERE j.joined_to = m.id AND (j.marks & {AWAY | TOLD}) = {AWAY} "
    "AND j.session_id = m.session_id ORDER BY j.derived, j.start_ns, j.id LIMIT 1), m.trace_seq) ELSE m.trace_seq END"
)
# A tool that runs within a tool (Claude Code's tool.execution) is the same call of it.
_IS_TOOL = (
    "s.span_type = 'tool' AND NOT EXISTS (SELECT 1 FROM spans p WHERE p.id = s.parent_id AND p.trace_id = s.trace_id "
    "AND p.span_type = 'tool')"
)
_WORK = f"""
    SELECT s.session_id, t.trace_id, MIN(s.start_ns) / 1000000, MAX(s.start_ns + IFNULL(s.duration_ns, 0)) / 1000000,
      SUM(CASE WHEN s.counts THEN IFNULL(s.estimated_cost, 0.0) ELSE 0.0 END),
      SUM(CASE WHEN s.counts THEN IFNULL(s.total_tokens,
        IFNULL(s.prompt_tokens, 0) + IFNULL(s.completion_tokens, 0)) ELSE 0 END),
      SUM(s.is_shown), SUM(s.is_shown AND IFNULL(s.status, 0) >= 400), SUM(s.counts AND {UNPRICED}),
      MAX(1, SUM(s.is_shown AND IFNULL(s.operation, '') = 'user_prompt')), SUM(s.is_shown AND {_IS_TOOL}),
      json_group_array(DISTINCT s.model) FILTER (WHERE s.is_shown AND s.model IS NOT NULL),
      MAX(s.tool), r.span_name, r.preview_in
    FROM (SELECT m.*, (m.marks & {JOINED}) = 0 AS is_shown, {_TRACE_OF} AS shown_in FROM spans m
      WHERE m.session_id IN (SELECT value FROM json_each(?))) s
    CROSS JOIN traces t ON t.first_seq = s.shown_in CROSS JOIN spans r ON r.seq = t.root_seq
    GROUP BY s.session_id, s.shown_in HAVING SUM(s.is_shown) > 0 ORDER BY 3, s.shown_in
"""


def _work(connection: sqlite3.Connection, ids: Sequence[str]) -> dict[str, list[JSON]]:
    """Return the traces of sessions, by session, with what was done in them."""
    found: dict[str, list[JSON]] = {}
    for session_id, *values in connection.execute(_WORK, (json.dumps(list(ids)),)):
        trace = dict(zip(_SESSION_TRACE, values, strict=True))
        trace["models"] = sorted(json.loads(trace["models"]))
        found.setdefault(session_id, []).append(trace)
    return found


def _done(traces: Sequence[JSON]) -> JSON:
    """Return what was done in a session: its turns, its calls of tools, its models."""
    return {
        "turns": sum(trace["turns"] for trace in traces),
        "tool_calls": sum(trace["tool_calls"] for trace in traces),
        "models": sorted({model for trace in traces for model in trace["models"]}),
    }


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
