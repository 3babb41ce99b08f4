"""GET /api/export and POST /api/export/flush: what becomes of OTLP on its way out."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol

from llmflow_web.model import JSON
from llmflow_web.net.http import ServerCall
from llmflow_web.net.router import Router

FLUSH_TIMEOUT_S = 30.0


class Forwarding(Protocol):
    """What of record.forward.Forwarder is told and asked."""

    def state(self) -> JSON:
        """Return the counts of each signal."""

    def flush(self, timeout_s: float) -> bool:
        """Send what is queued now; say whether all of it went."""


class ForwardRoutes:
    """The state of the forwarder, and a way to hurry it."""

    def __init__(
        self, forwarder: Forwarding | None, *, endpoints: Mapping[str, str], batch_items: int, interval_s: float
    ) -> None:
        """Tell of `forwarder`; endpoints: signal → URL as it may be shown."""
        self._forwarder = forwarder
        self._endpoints = endpoints
        self._batch_items = batch_items
        self._interval_s = interval_s

    def register(self, router: Router) -> None:
        """Put our routes into the table."""
        router.add("GET", "/api/export", self.state)
        router.add("POST", "/api/export/flush", self.flush)

    async def state(self, call: ServerCall) -> None:
        """Answer with where each signal goes and what became of it."""
        found = {
            "enabled": self._forwarder is not None,
            "endpoints": dict(self._endpoints),
            "batchSize": self._batch_items,
            "flushIntervalMs": round(self._interval_s * 1000),
            "hasTraces": "traces" in self._endpoints,
            "hasLogs": "logs" in self._endpoints,
            "hasMetrics": "metrics" in self._endpoints,
            "signals": self._forwarder.state() if self._forwarder is not None else {},
        }
        call.respond_json(200, found)

    async def flush(self, call: ServerCall) -> None:
        """Send what is queued, and answer when it went or FLUSH_TIMEOUT_S are over."""
        if self._forwarder is None:
            call.respond_json(200, {"success": True, "message": "Nothing is forwarded: no endpoint is set"})
            return
        is_empty = await asyncio.to_thread(self._forwarder.flush, FLUSH_TIMEOUT_S)
        if is_empty:
            call.respond_json(200, {"success": True, "message": "Export flush completed"})
            return
        message = f"The backend did not take everything within {FLUSH_TIMEOUT_S:g} s; it stays queued"
        call.respond_json(503, {"success": False, "message": message, "error": message})
