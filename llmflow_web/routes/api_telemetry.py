"""Logs and metrics as they are asked for. How they come in is `ingest`'s."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from llmflow_web.errors import BadRequest, NotFound
from llmflow_web.net.http import ServerCall
from llmflow_web.net.router import Router, query_params
from llmflow_web.record.reading import Store, ask
from llmflow_web.store import logs, metric_sums, metrics
from llmflow_web.wire.filter import MAX_LIMIT, read_int

_MAX_NUMBER = 2**53
_HOUR_MS = 3_600_000


class TelemetryRoutes:
    """GET /api/logs, /api/metrics and what hangs on them."""

    def __init__(self, store: Store, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock

    def register(self, router: Router) -> None:
        """Put our routes into the table."""
        for path, handler in (
            ("/api/logs", self.logs),
            ("/api/logs/filters", self.log_filters),
            ("/api/logs/{key}", self.log),
            ("/api/metrics", self.metrics),
            ("/api/metrics/summary", self.summary),
            ("/api/metrics/series", self.series),
            ("/api/metrics/tokens", self.tokens),
            ("/api/metrics/filters", self.metric_filters),
            ("/api/metrics/{key}", self.metric),
            ("/api/token-usage", self.token_usage),
        ):
            router.add("GET", path, handler)

    async def logs(self, call: ServerCall) -> None:
        """Answer with {"logs", "total"}."""
        params = query_params(call)
        query = logs.LogQuery(
            limit=read_int(params, "limit", 50, 1, MAX_LIMIT),
            offset=read_int(params, "offset", 0, 0, _MAX_NUMBER),
            service_name=params.get("service_name"),
            event_name=params.get("event_name"),
            trace_id=params.get("trace_id"),
            span_id=params.get("span_id"),
            session_id=params.get("session_id"),
            tool=params.get("tool"),
            severity_min=_number(params, "severity_min"),
            q=params.get("q"),
            date_from=_number(params, "date_from"),
            date_to=_number(params, "date_to"),
        )
        call.respond_json(200, await ask(self._store, call, logs.list_logs, query))

    async def log_filters(self, call: ServerCall) -> None:
        """Answer with the services and event names there are."""
        call.respond_json(200, await ask(self._store, call, logs.log_filters))

    async def log(self, call: ServerCall, key: str) -> None:
        """Answer with one log record."""
        found = await ask(self._store, call, logs.get_log, key)
        if found is None:
            raise NotFound("Log not found")
        call.respond_json(200, found)

    async def metrics(self, call: ServerCall) -> None:
        """Answer with {"metrics", "total"}, or with a summary when asked to aggregate."""
        params = query_params(call)
        aggregation = params.get("aggregation", "")
        if aggregation not in ("", "summary"):
            raise BadRequest(f"aggregation can only be summary; got {aggregation[:40]!r}")
        query = _metric_query(params)
        if aggregation:
            found = await ask(self._store, call, metric_sums.metric_summary, query)
            call.respond_json(200, {"summary": found})
            return
        call.respond_json(200, await ask(self._store, call, metrics.list_metrics, query))

    async def summary(self, call: ServerCall) -> None:
        """Answer with the summary as a bare array."""
        query = _metric_query(query_params(call))
        call.respond_json(200, await ask(self._store, call, metric_sums.metric_summary, query))

    async def series(self, call: ServerCall) -> None:
        """Answer with one metric over time, in equal buckets."""
        params = query_params(call)
        if not params.get("name"):
            raise BadRequest("name must say which metric")
        date_to = _number(params, "date_to") or int(self._clock() * 1000)
        date_from = _number(params, "date_from") or max(0, date_to - _HOUR_MS)
        points = read_int(params, "points", 60, 1, metric_sums.MAX_POINTS)
        span = date_from, date_to, points
        call.respond_json(200, await ask(self._store, call, metric_sums.metric_series, _metric_query(params), *span))

    async def tokens(self, call: ServerCall) -> None:
        """Answer with the tokens that metrics report."""
        query = _metric_query(query_params(call))
        call.respond_json(200, {"usage": await ask(self._store, call, metric_sums.token_usage, query)})

    async def token_usage(self, call: ServerCall) -> None:
        """Answer with the same as a bare array."""
        query = _metric_query(query_params(call))
        call.respond_json(200, await ask(self._store, call, metric_sums.token_usage, query))

    async def metric_filters(self, call: ServerCall) -> None:
        """Answer with the metric names and services there are."""
        call.respond_json(200, await ask(self._store, call, metrics.metric_filters))

    async def metric(self, call: ServerCall, key: str) -> None:
        """Answer with one data point."""
        found = await ask(self._store, call, metrics.get_metric, key)
        if found is None:
            raise NotFound("Metric not found")
        call.respond_json(200, found)


def _metric_query(params: Mapping[str, str]) -> metrics.MetricQuery:
    return metrics.MetricQuery(
        limit=read_int(params, "limit", 50, 1, MAX_LIMIT),
        offset=read_int(params, "offset", 0, 0, _MAX_NUMBER),
        name=params.get("name"),
        service_name=params.get("service_name"),
        metric_type=params.get("metric_type"),
        session_id=params.get("session_id"),
        tool=params.get("tool"),
        date_from=_number(params, "date_from"),
        date_to=_number(params, "date_to"),
    )


def _number(params: Mapping[str, str], name: str) -> int | None:
    return read_int(params, name, 0, 0, _MAX_NUMBER) if params.get(name) else None
