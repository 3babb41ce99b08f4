"""The dashboard's side of the house: its routes, the live hub, and how they are joined.

Loaded after both ports listen, so that none of it delays the start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from llmflow_web.app.checks import checks_from
from llmflow_web.model import JSON
from llmflow_web.net.http import Client, ServerCall
from llmflow_web.net.router import Router
from llmflow_web.net.upstreams import Upstream
from llmflow_web.record.hub import Hub
from llmflow_web.record.inflight import Inflight
from llmflow_web.record.intake import Intake
from llmflow_web.routes.api_analytics import AnalyticsRoutes
from llmflow_web.routes.api_budgets import BudgetRoutes
from llmflow_web.routes.api_delete import DeleteRoutes
from llmflow_web.routes.api_diff import DiffRoutes
from llmflow_web.routes.api_export import ExportRoutes
from llmflow_web.routes.api_forward import ForwardRoutes
from llmflow_web.routes.api_health import About, HealthRoutes
from llmflow_web.routes.api_import import ImportRoutes
from llmflow_web.routes.api_models import ModelRoutes
from llmflow_web.routes.api_prompts import PromptRoutes
from llmflow_web.routes.api_stats import StatsRoutes
from llmflow_web.routes.api_storage import StorageRoutes
from llmflow_web.routes.api_telemetry import TelemetryRoutes
from llmflow_web.routes.api_traces import TraceRoutes
from llmflow_web.routes.api_views import ViewRoutes
from llmflow_web.routes.assets import Assets
from llmflow_web.routes.ingest import IngestRoutes
from llmflow_web.routes.live import Live
from llmflow_web.routes.otlp import IngestLimits, OtlpPort, OtlpRoutes, Relay
from llmflow_web.routes.replay import ReplayRoutes
from llmflow_web.store import stats
from llmflow_web.store.database import Batch, Database
from llmflow_web.wire.filter import Filter

if TYPE_CHECKING:
    from llmflow_web.app.budgeting import Budgeting
    from llmflow_web.record.pricing import PriceBook


class Dashboard:
    """Answers the dashboard's port and tells browsers what happens."""

    def __init__(
        self,
        database: Database,
        *,
        about: About,
        client: Client,
        env: Mapping[str, str],
        upstreams: Mapping[str, Upstream],
        inflight: Inflight,
        prices: Callable[[], PriceBook],
        otlp: IngestLimits,
        relay: Relay | None,
        forward: ForwardRoutes,
        replay: ReplayRoutes,
        budgets: Budgeting,
        on_error: Callable[[ServerCall, BaseException], None],
    ) -> None:
        """Make the routes.

        about: what is told of this server. client, env: how `upstreams` are asked whether they are there. inflight:
        the calls under way. prices: returns the price book, when it is needed. otlp: what senders of telemetry may
        ask. relay: who wants what they send as it came. forward: tells of OTLP out. replay: sends recorded calls once
        more. budgets: what calls may cost. on_error: told of what should not happen.
        """
        ollama = upstreams.get("ollama")
        self._database = database
        self._hub = Hub(self._totals)
        self._live = Live(self._hub)
        intake = Intake(database, max_rows=otlp.max_queued_rows, max_bytes=otlp.max_queued_bytes)
        self._otlp = OtlpRoutes(intake, otlp, on_error=on_error, relay=relay)
        self._imports = ImportRoutes(database, intake)
        self._otlp_port = OtlpPort(
            self._otlp, port=about.otlp_port, dashboard_port=about.dashboard_port, on_error=on_error
        )
        self._inflight = inflight
        inflight.tell(self._hub)
        budgets.listen(lambda: self._hub.tell({"type": "budget", "payload": {"budgets": budgets.engine.states()}}))
        self._router = Router(on_error=on_error, fallback=Assets(proxy_port=about.proxy_port).fallback)
        for routes in (
            TraceRoutes(database, running=inflight.rows, look=inflight.look),
            ExportRoutes(database),
            StatsRoutes(database),
            TelemetryRoutes(database),
            AnalyticsRoutes(database),
            DiffRoutes(database),
            ModelRoutes(database, prices),
            PromptRoutes(database),
            ViewRoutes(database),
            DeleteRoutes(database),
            BudgetRoutes(database, budgets),
            StorageRoutes(database, prices, {name: upstream.provider for name, upstream in upstreams.items()}),
            IngestRoutes(intake),
            self._imports,
            self._otlp,
            forward,
            replay,
            HealthRoutes(about, client, env, checks=checks_from(upstreams), ollama=ollama.origin if ollama else None),
            self._live,
        ):
            routes.register(self._router)

    def __repr__(self) -> str:
        return f"<Dashboard {self._router!r} {self._hub!r}>"

    def answer(self, call: ServerCall) -> None:
        """Answer one request that was let in."""
        self._router(call)

    def answer_otlp(self, call: ServerCall) -> None:
        """Answer one request that was let in at the port for OTLP alone."""
        self._otlp_port.answer(call)

    def publish(self, batch: Batch) -> None:
        """Tell browsers of a commit."""
        self._hub.publish(batch)

    def skip_to(self, change: int) -> None:
        """Note that `change` is the newest change there is: what came before this start counts as told."""
        self._hub.change = max(self._hub.change, change)

    async def stop(self) -> None:
        """Say goodbye to browsers, and take no more telemetry."""
        self._otlp.stop()
        await self._live.stop()
        self._inflight.close()
        self._hub.close()

    def close(self) -> None:
        """Let go of what still works on telemetry: nobody waits for its answer any more."""
        self._otlp.close()
        self._imports.close()

    async def _totals(self) -> JSON:
        return await asyncio.wrap_future(self._database.read(stats.totals, Filter()))
