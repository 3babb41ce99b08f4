"""How we are: /api/health, what the dashboard has to know of us: /api/config, and whether providers answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from llmflow_web.errors import LLMFlowError
from llmflow_web.model import JSON
from llmflow_web.net.http import Client, ServerCall
from llmflow_web.net.router import Router
from llmflow_web.version import VERSION

CHECK_TIMEOUT_S = 5.0
LOCAL_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Check:
    """How one provider is asked whether it is there: the cheapest call that needs a valid key."""

    key_env: tuple[str, ...]
    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)  # "{key}" stands for the key
    body: bytes = b""
    is_ok: frozenset[int] = frozenset({200})
    is_local: bool = False
    is_optional: bool = False  # a server that is not running is no fault
    missing: str = ""  # what is not set although a key may be


CHECKS: Mapping[str, Check] = {
    "openai": Check(("OPENAI_API_KEY",), "GET", "https://api.openai.com/v1/models", {"authorization": "Bearer {key}"}),
    "anthropic": Check(
        ("ANTHROPIC_API_KEY",),
        "POST",
        "https://api.anthropic.com/v1/messages",
        {"x-api-key": "{key}", "anthropic-version": "2023-06-01", "content-type": "application/json"},
        b"{}",
        frozenset({200, 400}),  # 400: the key was taken, the empty body was not
    ),
    "gemini": Check(
        ("GOOGLE_API_KEY", "GEMINI_API_KEY"),
        "GET",
        "https://generativelanguage.googleapis.com/v1beta/models",
        {"x-goog-api-key": "{key}"},
    ),
    "groq": Check(("GROQ_API_KEY",), "GET", "https://api.groq.com/openai/v1/models", {"authorization": "Bearer {key}"}),
    "ollama": Check((), "GET", "http://localhost:11434/api/tags", is_local=True),
}


@dataclass(frozen=True, slots=True)
class About:
    """What this server says of itself; everything that changes is asked for when it is told."""

    dashboard_port: Callable[[], int]
    proxy_port: Callable[[], int]
    count_spans: Callable[[], int]
    recorder: Callable[[], Mapping[str, Any]]  # record.recorder.Recorder.counts
    store_error: Callable[[], str | None]
    prices: Callable[[], Mapping[str, Any]] = dict  # {"date", "source", "models"}
    otlp_port: Callable[[], int | None] = lambda: None  # the one for OTLP alone, where there is one
    settings: Mapping[str, Any] = field(default_factory=dict)  # what is no secret
    upstreams: Mapping[str, str] = field(default_factory=dict)  # name → base URL
    needs_token: bool = False  # whether callers must bring one


class HealthRoutes:
    """GET /api/health, /api/health/providers and /api/config."""

    def __init__(
        self,
        about: About,
        client: Client,
        environ: Mapping[str, str],
        *,
        checks: Mapping[str, Check] = CHECKS,
        ollama: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Tell of `about`; ask providers by `client` with the keys of `environ`. ollama: origin of the local server."""
        self._about = about
        self._client = client
        self._environ = environ
        self._checks = checks
        self._ollama = ollama
        self._clock = clock
        self._started = time.monotonic()

    def register(self, router: Router) -> None:
        """Put our routes into the table."""
        router.add("GET", "/api/health", self.health)
        router.add("GET", "/api/health/providers", self.providers)
        router.add("GET", "/api/config", self.config)

    def health(self, call: ServerCall) -> None:
        """Answer that we are there, and with what was recorded and lost."""
        about = self._about
        error = about.store_error()
        call.respond_json(
            200,
            {
                "status": "ok",
                "service": "dashboard",
                "version": VERSION,
                "timestamp": int(self._clock() * 1000),
                "port": about.dashboard_port(),
                "proxy_port": about.proxy_port(),
                "otlp_port": about.otlp_port(),
                "traces": about.count_spans(),
                "uptime": round(time.monotonic() - self._started, 3),
                **about.recorder(),
                "store": {"status": "error" if error else "ok", "error": error},
                "prices": dict(about.prices()),
            },
            [("cache-control", "no-store")],
        )

    def config(self, call: ServerCall) -> None:
        """Answer with ports, version and the settings that are no secret."""
        about = self._about
        call.respond_json(
            200,
            {
                "version": VERSION,
                "dashboard_port": about.dashboard_port(),
                "proxy_port": about.proxy_port(),
                "otlp_port": about.otlp_port(),
                "needs_token": about.needs_token,
                "upstreams": dict(about.upstreams),
                "settings": dict(about.settings),
            },
            [("cache-control", "no-store")],
        )

    async def providers(self, call: ServerCall) -> None:
        """Ask every provider that has a key whether it answers, all at once."""
        names = list(self._checks)
        found = await asyncio.gather(*(self._ask(name) for name in names))
        configured = sum(one["status"] != "unconfigured" for one in found)
        healthy = sum(one["status"] == "ok" for one in found)
        summary = f"{healthy}/{configured} providers healthy"
        call.respond_json(200, {"summary": summary, "providers": dict(zip(names, found, strict=True))})

    async def _ask(self, name: str) -> JSON:
        check = self._checks[name]
        key = next((found for env in check.key_env if (found := self._environ.get(env))), "")
        if check.missing or (check.key_env and not key):
            return {"status": "unconfigured", "message": f"{check.missing or '/'.join(check.key_env)} not set"}
        url = f"{self._ollama}/api/tags" if name == "ollama" and self._ollama else check.url
        headers = [(header, value.replace("{key}", key)) for header, value in check.headers.items()]
        timeout_s = LOCAL_TIMEOUT_S if check.is_local else CHECK_TIMEOUT_S
        begun = time.perf_counter()
        try:
            status, _, _ = await self._client.fetch(check.method, url, headers, check.body, timeout_s=timeout_s)
        except LLMFlowError as error:
            where = url.split("/")[2]
            message = f"not reachable at {where}" if check.is_local else error.message
            return {"status": "unconfigured" if check.is_optional else "error", "message": message}
        latency_ms = round((time.perf_counter() - begun) * 1000)
        if status in check.is_ok:
            return {"status": "ok", "latency_ms": latency_ms}
        return {"status": "error", "latency_ms": latency_ms, "message": f"HTTP {status}"}
