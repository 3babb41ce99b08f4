"""Logs and metrics as they are asked for. How they come in is `ingest`'s."""

from __future__ import annotations

from collections.abc import Mapping

from llmflow_web.errors import BadRequest, NotFound
from llmflow_web.net.http import ServerCall
from llmflow_web.net.router import Router, query_params
from llmflow_web.record.reading import Store, ask
from llmflow_web.store import telemetry
from llmflow_web.wire.filter import MAX_LIMIT, read_int

_MAX_NUMBER = 2**53


class TelemetryRoutes:
    """GET /api/logs, /api/metrics and what hangs on them."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def register(self, router: Router) -> None:
        """Put our routes into the table."""
        for path, handler in (
            ("/api/logs", self.logs),
            ("/api/logs/filters", self.log_filters),
            ("/api/logs/{key}", self.log),
            ("/api/metrics", self.metrics),
            ("/api/metrics/summary", self.summary),
            ("/api/metrics/tokens", self.tokens),
            ("/api/metrics/filters", self.metric_filters),
            ("/api/metrics/{key}", self.metric),
            ("/api/token-usage", self.token_usage),
        ):
            router.add("GET", path, handler)

    async def logs(self, call: ServerCall) -> None:
        """Answer with {"logs", "total"}."""
        params = query_params(call)
        query = telemetry.LogQuery(
            limit=read_int(params, "limit", 50, 1, MAX_LIMIT),
            offset=read_int(params, "offset", 0, 0, _MAX_NUMBER),
            service_name=params.get("service_name"),
            event_name=params.get("event_name"),
            trace_id=params.get("trace_id"),
            severity_min=_number(params, "severity_min"),
            q=params.get("q"),
            date_from=_number(params, "date_from"),
            date_to=_number(params, "date_to"),
        )
        call.respond_json(200, await ask(self._store, call, telemetry.list_logs, query))

    async def log_filters(self, call: ServerCall) -> None:
        """Answer with the services and event names there are."""
        call.respond_json(200, await ask(self._store, call, telemetry.log_filters))

    async def log(self, call: ServerCall, key: str) -> None:
        """Answer with one log record."""
        found = await ask(self._store, call, telemetry.get_log, key)
        if found is None:
            raise NotFound("Log not found")
        call.respond_json(200, found)

    async def metrics(self, call: ServerCall) -> None:
        """Answer with {"metrics", "total"}, or with a summary when asked to aggregate."""
        params = query_params(call)
        aggregation = params.get("aggregation", "")
        if aggregation not in ("", "summary"):
            raise BadRequest(f"aggregation can only be summary; got {aggregation[:40]!r}")
        if aggregation:
            span = _number(params, "date_from"), _number(params, "date_to")
            found = await ask(self._store, call, telemetry.metric_summary, *span)
            call.respond_json(200, {"summary": found})
            return
        query = telemetry.MetricQuery(
            limit=read_int(params, "limit", 50, 1, MAX_LIMIT),
            offset=read_int(params, "offset", 0, 0, _MAX_NUMBER),
            name=params.get("name"),
            service_name=params.get("service_name"),
            metric_type=params.get("metric_type"),
            date_from=_number(params, "date_from"),
            date_to=_number(params, "date_to"),
        )
        call.respond_json(200, await ask(self._store, call, telemetry.list_metrics, query))

    async def summary(self, call: ServerCall) -> None:
        """Answer with the summary as a bare array."""
        params = query_params(call)
        span = _number(params, "date_from"), _number(params, "date_to")
        call.respond_json(200, await ask(self._store, call, telemetry.metric_summary, *span))

    async def tokens(self, call: ServerCall) -> None:
        """Answer with the tokens that metrics report."""
        call.respond_json(200, {"usage": await ask(self._store, call, telemetry.token_usage)})

    async def token_usage(self, call: ServerCall) -> None:
        """Answer with the same as a bare array."""
        call.respond_json(200, await ask(self._store, call, telemetry.token_usage))

    async def metric_filters(self, call: ServerCall) -> None:
        """Answer with the metric names and services there are."""
        call.respond_json(200, await ask(self._store, call, telemetry.metric_filters))

    async def metric(self, call: ServerCall, key: str) -> None:
        """Answer with one data point."""
        found = await ask(self._store, call, telemetry.get_metric, key)
        if found is None:
            raise NotFound("Metric not found")
        call.respond_json(200, found)


def _number(params: Mapping[str, str], name: str) -> int | None:
    return read_int(params, name, 0, 0, _MAX_NUMBER) if params.get(name) else None
