"""A proxy port by itself: real server, real client, real upstream; the exchanges land in a list."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable

from llmflow_web.model import Capture
from llmflow_web.net.client import ClientLimits, HttpClient
from llmflow_web.net.dispatch import Dispatcher
from llmflow_web.net.server import HttpServer, ServerLimits
from llmflow_web.net.upstreams import upstream_at, upstream_from_provider, without_loops
from llmflow_web.registry import PROVIDERS
from llmflow_web.routes.passthrough import PassthroughRoutes
from llmflow_web.routes.proxy import ProxyRoutes


class ListLog:
    """An ExchangeLog that keeps everything."""

    def __init__(self) -> None:
        self.exchanges = []
        self.is_full = False
        self.waiting = []

    def when_room(self, callback) -> None:
        self.waiting.append(callback)

    def capture(self) -> Capture:
        return Capture(1 << 20)

    def put(self, exchange) -> None:
        self.exchanges.append(exchange)


class ProxyRig:
    """A context manager: `.port`, `.log`, `.ask(bytes) -> bytes`."""

    def __init__(
        self,
        upstreams: dict[str, str],
        *,
        keys: dict[str, str] | None = None,
        use_env_keys: bool = True,
        **limits: int,
    ) -> None:
        rows = {row.name: row for row in PROVIDERS}
        self.upstreams = {
            name: upstream_at(upstream_from_provider(rows[name], key=None), url, key=(keys or {}).get(name))
            for name, url in upstreams.items()
        }
        self.use_env_keys = use_env_keys
        self.limits = limits
        self.log = ListLog()
        self.loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        self.loop.run_until_complete(self._serve())
        self.loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        self.client = HttpClient(ClientLimits())
        dispatcher = Dispatcher(self.client, self.log, use_env_keys=self.use_env_keys, **self.limits)
        self.server = HttpServer(lambda call: self.routes.handle(call), limits=ServerLimits(), name="proxy")
        await self.server.start("127.0.0.1", 0)
        self.port = self.server.port
        upstreams = without_loops(self.upstreams, [self.port])
        self.routes = ProxyRoutes(
            upstreams,
            dispatcher,
            admit=lambda call: b"",
            passthrough=PassthroughRoutes(upstreams, dispatcher).handle,
            dashboard_port=lambda: 3000,
            proxy_port=lambda: self.port,
            count_spans=lambda: len(self.log.exchanges),
        )
        self._ready.set()
        await self._stop.wait()
        await self.server.stop(1)
        await self.client.close()

    def __enter__(self):
        self._thread.start()
        assert self._ready.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(60)

    def connect(self) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self.port))
        sock.settimeout(60)
        return sock

    def ask(self, request: bytes) -> bytes:
        """Send one request with `connection: close` and return everything that comes back."""
        with self.connect() as sock:
            sock.sendall(request)
            return read_all(sock)

    def wait_exchanges(self, count: int):
        self.wait_until(lambda: len(self.log.exchanges) >= count)
        assert len(self.log.exchanges) == count
        return self.log.exchanges

    def wait_until(self, is_true: Callable[[], object]) -> None:
        """Wait for something to have happened here."""
        end = time.monotonic() + 30
        while not is_true():
            assert time.monotonic() < end, "it did not happen in time"
            time.sleep(0.005)


def read_all(sock: socket.socket) -> bytes:
    pieces = []
    while data := sock.recv(65536):
        pieces.append(data)
    return b"".join(pieces)


def post(path: str, body: bytes, *headers: str, close: bool = True) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: localhost:8080", *headers, f"Content-Length: {len(body)}"]
    if close:
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode() + body
