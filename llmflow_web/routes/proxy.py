"""The proxy port: which provider a URL means, the two information pages, and what is refused there.

Order: /health, /providers, OTLP paths (refused), preflights, /passthrough/… (handed on), then the provider routes:
`X-LLMFlow-Provider`, else the first path segment, else OpenAI for /v1/….
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from llmflow_web.net.dispatch import Dispatcher, error_body, refuse_loop
from llmflow_web.net.http import ServerCall
from llmflow_web.net.upstreams import Upstream

OTLP_PATHS = frozenset({"/v1/traces", "/v1/logs", "/v1/metrics", "/v1development/profiles"})
DEFAULT_PROVIDER = "openai"

Admission = Callable[[ServerCall], bytes | None]
"""Checks Host, Origin and token. Returns header lines for the answer (CORS), or None when it has answered already."""


class ProxyRoutes:
    """Every request that comes to the proxy port."""

    def __init__(
        self,
        upstreams: Mapping[str, Upstream],
        dispatcher: Dispatcher,
        *,
        admit: Admission,
        passthrough: Callable[[ServerCall, bytes], None],
        dashboard_port: Callable[[], int],
        proxy_port: Callable[[], int],
        count_spans: Callable[[], int],
    ) -> None:
        """Serve `upstreams` by name. `passthrough` takes what is below /passthrough/, with its CORS lines."""
        self._upstreams = dict(upstreams)
        self._dispatcher = dispatcher
        self._admit = admit
        self._passthrough = passthrough
        self._dashboard_port = dashboard_port
        self._proxy_port = proxy_port
        self._count_spans = count_spans
        self._started = time.monotonic()

    def handle(self, call: ServerCall) -> None:
        """Answer one request."""
        cors = self._admit(call)
        if cors is None:
            return
        path = call.path
        if path == "/health":
            self._health(call)
        elif path == "/providers":
            self._providers(call)
        elif call.head.method == b"OPTIONS" and call.header(b"access-control-request-method") is None:
            call.respond(200, [("allow", "GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS")])
        elif path in OTLP_PATHS:
            self._wrong_door(call)
        elif path.startswith("/passthrough/"):
            self._passthrough(call, cors)
        else:
            self._proxy(call, cors)

    def _proxy(self, call: ServerCall, cors: bytes) -> None:
        chosen = self._choose(call)
        if chosen is None:
            return
        upstream, path = chosen
        if upstream.is_loop:
            refuse_loop(call, upstream)
            return
        call.route = upstream.name
        self._dispatcher.send(call, upstream, path, "proxy", cors)

    def _choose(self, call: ServerCall) -> tuple[Upstream, str] | None:
        """Return the upstream a request means and its path without our prefix; None when it has been refused."""
        path = call.path
        head, _, rest = path[1:].partition("/")
        upstream = self._upstreams.get(head.lower())
        if upstream is not None:
            path = "/" + rest
        named = call.header(b"x-llmflow-provider")
        if named is not None:
            name = named.decode("latin-1").strip().lower()
            upstream = self._upstreams.get(name)
            if upstream is None:
                self._refuse_name(call, name, "the X-LLMFlow-Provider header")
                return None
        if upstream is not None and upstream.provider.has_proxy_route:
            return upstream, path
        if head == "v1":
            return self._upstreams[DEFAULT_PROVIDER], path
        self._refuse_name(call, head, "the first part of the path")
        return None

    def _refuse_name(self, call: ServerCall, name: str, where: str) -> None:
        known = ", ".join(name for name, row in self._upstreams.items() if row.provider.has_proxy_route)
        message = (
            f"LLMFlow knows no provider {name!r} ({where}). Use a base URL ending in /v1 for OpenAI, or one of "
            f"/NAME/v1 with NAME in: {known}. Name your own with --upstream {name or 'NAME'}=URL."
        )
        call.respond_json(404, error_body(message, "invalid_request_error", "unknown_provider"))

    def _wrong_door(self, call: ServerCall) -> None:
        message = (
            f"OTLP is not taken on the proxy port and never forwarded. "
            f"Set OTEL_EXPORTER_OTLP_ENDPOINT to the dashboard port: http://localhost:{self._dashboard_port()}"
        )
        call.respond_json(400, error_body(message, "invalid_request_error", "wrong_port"))

    # ── information ──────────────────────────────────────────────────────────────────────────────────────────────

    def _health(self, call: ServerCall) -> None:
        call.respond_json(
            200,
            {
                "status": "ok",
                "service": "proxy",
                "port": self._proxy_port(),
                "traces": self._count_spans(),
                "uptime": round(time.monotonic() - self._started, 3),
                "providers": list(self._upstreams),
            },
        )

    def _providers(self, call: ServerCall) -> None:
        rows = [
            {
                "name": name,
                "displayName": upstream.provider.title,
                "prefix": "/v1/*" if name == DEFAULT_PROVIDER else f"/{name}/v1/*",
                "default": name == DEFAULT_PROVIDER,
                "upstream": upstream.origin + upstream.prefix + upstream.version,
            }
            for name, upstream in self._upstreams.items()
            if upstream.provider.has_proxy_route
        ]
        passthrough = [
            {
                "name": f"{name}-passthrough",
                "displayName": f"{upstream.provider.title} (Passthrough)",
                "prefix": f"/passthrough/{name}/*",
            }
            for name, upstream in self._upstreams.items()
        ]
        usage = {
            "default": "base_url = http://localhost:PORT/v1 (OpenAI)",
            "custom": "base_url = http://localhost:PORT/NAME/v1",
            "header": "X-LLMFlow-Provider: NAME",
            "passthrough": "http://localhost:PORT/passthrough/NAME/… sends every byte as it is",
        }
        port = str(self._proxy_port())
        call.respond_json(
            200,
            {
                "providers": rows,
                "passthrough": passthrough,
                "usage": {key: text.replace("PORT", port) for key, text in usage.items()},
            },
        )
