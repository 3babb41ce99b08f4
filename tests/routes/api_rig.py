"""A dashboard port over a real database, in a thread; tests ask it with http.client."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
from pathlib import Path
from typing import Any, Self

from llmflow_web.model import Row
from llmflow_web.net.guard import Door, Guard
from llmflow_web.net.http import ServerCall
from llmflow_web.net.router import Router
from llmflow_web.net.server import HttpServer
from llmflow_web.record.exchange import RowMaker
from llmflow_web.record.intake import Intake
from llmflow_web.record.messages import search_text
from llmflow_web.record.price_table import table_from
from llmflow_web.record.pricing import PriceBook
from llmflow_web.registry import PROVIDERS
from llmflow_web.routes.api_analytics import AnalyticsRoutes
from llmflow_web.routes.api_delete import DeleteRoutes
from llmflow_web.routes.api_diff import DiffRoutes
from llmflow_web.routes.api_export import ExportRoutes
from llmflow_web.routes.api_health import CHECKS, About, Check, HealthRoutes
from llmflow_web.routes.api_models import ModelRoutes
from llmflow_web.routes.api_prompts import PromptRoutes
from llmflow_web.routes.api_stats import StatsRoutes
from llmflow_web.routes.api_telemetry import TelemetryRoutes
from llmflow_web.routes.api_traces import TraceRoutes
from llmflow_web.routes.api_views import ViewRoutes
from llmflow_web.routes.assets import Assets
from llmflow_web.routes.ingest import IngestRoutes
from llmflow_web.store.database import Database

NOW = 1_763_800_000.0  # 2025-11-22T08:26:40Z
FIXTURE = Path(__file__).parent.parent / "fixtures" / "prices.json"


class Answer:
    """A whole answer."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self.body = answer.read()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class FakeClient:
    """Providers that answer as told; None = unreachable."""

    def __init__(self) -> None:
        self.statuses: dict[str, int] = {}
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []

    async def fetch(self, method: str, url: str, headers=(), body: bytes = b"", *, timeout_s: float = 10.0):
        from llmflow_web.errors import UpstreamUnreachable

        self.asked.append((method, url, dict(headers), body))
        status = self.statuses.get(url.split("/")[2])
        if status is None:
            raise UpstreamUnreachable(f"no connection within {timeout_s:g} s")
        return status, [], b""


class ApiRig:
    """`with ApiRig(folder) as rig: rig.get("/api/stats").json`."""

    def __init__(
        self,
        folder: Path,
        *,
        guard: Guard | None = None,
        environ: dict[str, str] | None = None,
        checks: dict[str, Check] | None = None,
    ) -> None:
        prices = PriceBook(load=lambda: table_from(json.loads(FIXTURE.read_text()), date="2026-10-21", source="test"))
        self.database = Database(
            folder / "llmflow.db",
            to_rows=RowMaker({provider.name: provider for provider in PROVIDERS}, prices),
            on_commit=lambda _batch: None,
            texts=search_text,
        )
        self.guard = guard or Guard()
        self.client = FakeClient()
        self.failures: list[BaseException] = []
        self.about = About(
            dashboard_port=lambda: 3000,
            proxy_port=lambda: 8080,
            count_spans=lambda: 42,
            recorder=lambda: {"recorded": 7, "lost_rows": 1, "lost_bodies": 2},
            store_error=lambda: self.database.error,
            settings={"bodies": "on"},
            upstreams={"openai": "https://api.openai.com/v1"},
        )
        self.router = Router(
            fallback=Assets(proxy_port=lambda: 8080).fallback, on_error=lambda _call, error: self.failures.append(error)
        )
        for routes in (
            ExportRoutes(self.database, clock=lambda: NOW),
            TraceRoutes(self.database, clock=lambda: NOW),
            StatsRoutes(self.database, clock=lambda: NOW),
            TelemetryRoutes(self.database),
            AnalyticsRoutes(self.database, clock=lambda: NOW),
            DiffRoutes(self.database),
            ModelRoutes(self.database, lambda: prices, clock=lambda: NOW),
            PromptRoutes(self.database),
            ViewRoutes(self.database, clock=lambda: NOW),
            DeleteRoutes(self.database),
            IngestRoutes(Intake(self.database), clock_ns=lambda: int(NOW * 1e9)),
            HealthRoutes(
                self.about,
                self.client,
                environ or {},
                checks=checks or CHECKS,
                clock=lambda: NOW,
                ollama="http://localhost:11434",
            ),
        ):
            routes.register(self.router)
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self.port = 0

    def _answer(self, call: ServerCall) -> None:
        lines = self.guard.admit(call, Door.DASHBOARD)
        if lines is not None:
            call.extra_lines = lines
            self.router(call)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        server = HttpServer(self._answer, name="dashboard")
        await server.start("127.0.0.1", 0)
        self.port = server.port
        self._ready.set()
        await self._stopping.wait()
        await server.stop()

    def __enter__(self) -> Self:
        self.database.open()
        self.database.start()
        self._thread.start()
        self._ready.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        self.database.close()
        assert self.failures == []

    # --- asking ---

    def ask(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, headers or {})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def post(self, value: object, path: str = "/api/spans", **headers: str) -> Answer:
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        return self.ask("POST", path, body, {name.replace("_", "-"): value for name, value in headers.items()})

    def store(self, *rows: Row) -> None:
        """Put rows and wait until they are on disk."""
        self.database.put(list(rows), 1024 * len(rows))
        self.database.call(lambda _connection: None).result(60)
