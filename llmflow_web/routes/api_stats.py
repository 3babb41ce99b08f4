"""Sums: totals, models, sessions, the timeline and analytics. Every route takes the list's filters where it can."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from llmflow_web.errors import BadRequest, NotFound
from llmflow_web.model import JSON
from llmflow_web.net.http import ServerCall
from llmflow_web.net.router import Router, query_params
from llmflow_web.record.reading import Store, ask
from llmflow_web.store import groups, stats
from llmflow_web.wire.filter import MAX_LIMIT, Filter, read_int

MAX_OFFSET = 2**53
_TIMELINE_TYPES = ("", "trace", "log", "metric")
_INTERVALS = ("hour", "day")


class StatsRoutes:
    """GET /api/stats and its like."""

    def __init__(self, store: Store, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock

    def register(self, router: Router) -> None:
        """Put our routes into the table."""
        for path, handler in (
            ("/api/stats", self.totals),
            ("/api/models", self.models),
            ("/api/sessions", self.sessions),
            ("/api/sessions/{session_id}", self.session),
            ("/api/timeline", self.timeline),
            ("/api/analytics", self.analytics),
            ("/api/analytics/daily", self.daily),
            ("/api/analytics/cost-by-tool", self.by_tool),
            ("/api/analytics/cost-by-model", self.by_model),
            ("/api/analytics/token-trends", self.token_trends),
            ("/api/analytics/percentiles", self.percentiles),
        ):
            router.add("GET", path, handler)

    @property
    def _now_ms(self) -> int:
        return int(self._clock() * 1000)

    async def totals(self, call: ServerCall) -> None:
        """Answer with the sums over all calls, or those a filter lets through."""
        chosen = Filter.from_query(query_params(call))
        call.respond_json(200, await ask(self._store, call, stats.totals, chosen))

    async def models(self, call: ServerCall) -> None:
        """Answer with every model and its figures."""
        call.respond_json(200, await ask(self._store, call, stats.models))

    async def sessions(self, call: ServerCall) -> None:
        """Answer with the sessions, the last seen first."""
        params = query_params(call)
        limit, offset = read_int(params, "limit", 50, 1, MAX_LIMIT), read_int(params, "offset", 0, 0, MAX_OFFSET)
        found = await ask(self._store, call, groups.sessions, limit, offset, params.get("q", ""))
        call.respond_json(200, found)

    async def session(self, call: ServerCall, session_id: str) -> None:
        """Answer with one session's traces."""
        found = await ask(self._store, call, groups.session, session_id)
        if found is None:
            raise NotFound("Session not found")
        call.respond_json(200, found)

    async def timeline(self, call: ServerCall) -> None:
        """Answer with spans and logs in one list, newest first."""
        params = query_params(call)
        kind = params.get("type", "")
        if kind not in _TIMELINE_TYPES:
            raise BadRequest(f"type must be trace, log or metric; got {kind[:40]!r}")
        query = groups.TimelineQuery(
            limit=read_int(params, "limit", 100, 1, MAX_LIMIT),
            type=kind,
            tool=params.get("tool") or None,
            q=params.get("q", ""),
            date_from=read_int(params, "date_from", 0, 0, MAX_OFFSET) or None,
            date_to=read_int(params, "date_to", 0, 0, MAX_OFFSET) or None,
        )
        words = Filter.from_query({"q": query.q})
        call.respond_json(200, await ask(self._store, call, groups.timeline, words, query))

    async def analytics(self, call: ServerCall) -> None:
        """Answer with the three charts of the analytics screen in one."""
        params = query_params(call)
        days, chosen = _days(params), _filter(params)
        found = await ask(self._store, call, read_analytics, days, self._now_ms, chosen)
        call.respond_json(200, {**found, "days": days})

    async def daily(self, call: ServerCall) -> None:
        """Answer with one entry per day."""
        await self._windowed(call, "daily", stats.analytics_daily)

    async def by_tool(self, call: ServerCall) -> None:
        """Answer with the sums per provider and service."""
        await self._windowed(call, "by_tool", stats.analytics_by_tool)

    async def by_model(self, call: ServerCall) -> None:
        """Answer with the sums per model and provider."""
        await self._windowed(call, "by_model", stats.analytics_by_model)

    async def _windowed(self, call: ServerCall, name: str, read: Callable[..., list[JSON]]) -> None:
        params = query_params(call)
        days = _days(params)
        found = await ask(self._store, call, read, days, self._now_ms, _filter(params))
        call.respond_json(200, {name: found, "days": days})

    async def token_trends(self, call: ServerCall) -> None:
        """Answer with tokens and cost per hour or day."""
        params = query_params(call)
        interval, days = _interval(params), _days(params, 7)
        read = stats.analytics_token_trends
        found = await ask(self._store, call, read, interval, days, self._now_ms, _filter(params))
        call.respond_json(200, {"trends": found, "interval": interval, "days": days})

    async def percentiles(self, call: ServerCall) -> None:
        """Answer with latency and time to first token, over the window and per hour or day."""
        params = query_params(call)
        interval, days = _interval(params), _days(params, 7)
        found = await ask(self._store, call, stats.analytics_percentiles, interval, days, self._now_ms)
        call.respond_json(200, {**found, "interval": interval, "days": days})


def _days(params: Mapping[str, str], default: int = 30) -> int:
    return read_int(params, "days", default, -stats.MAX_DAYS, stats.MAX_DAYS)


def _interval(params: Mapping[str, str]) -> str:
    """Read the interval; unknown ones are hours, as the contract has it."""
    interval = params.get("interval", "hour")
    return interval if interval in _INTERVALS else "hour"


def _filter(params: Mapping[str, str]) -> Filter | None:
    chosen = Filter.from_query({name: value for name, value in params.items() if name not in ("days", "interval")})
    return None if chosen.is_empty else chosen


def read_analytics(connection: Any, days: int, now_ms: int, chosen: Filter | None) -> JSON:
    """Return the three charts, in one snapshot."""
    return {
        "daily": stats.analytics_daily(connection, days, now_ms, chosen),
        "by_tool": stats.analytics_by_tool(connection, days, now_ms, chosen),
        "by_model": stats.analytics_by_model(connection, days, now_ms, chosen),
    }
