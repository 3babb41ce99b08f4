"""The HTTP client: `request` for relays, driven by callbacks; `fetch` for small whole answers.

    HttpClient ── Pool (one per origin) ── Connection ── Call ── the caller's ResponseSink

Redirects are answers like any other. There is no total timeout: a stream lasts as long as it lasts.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from urllib.parse import urlsplit

from llmflow_web.errors import LLMFlowError, TooLarge, UpstreamClosed, UpstreamTimeout, UpstreamUnreachable
from llmflow_web.model import Header
from llmflow_web.net.client_call import Call
from llmflow_web.net.connect import route_to
from llmflow_web.net.http import ClientCall, ResponseSink
from llmflow_web.net.pool import ClientLimits, Pool
from llmflow_web.net.proxies import Proxies
from llmflow_web.net.tls import make_context
from llmflow_web.version import VERSION
from llmflow_web.wire.chunked import decode_chunked
from llmflow_web.wire.head import FRAMING_CHUNKED, ResponseHead

__all__ = ["ClientLimits", "HttpClient"]

MAX_SWEEP_INTERVAL_S = 5.0
"""Idle connections live at most this much longer than they may."""


class HttpClient:
    """The way to upstreams (a `Client`). Belongs to one loop."""

    def __init__(
        self,
        limits: ClientLimits | None = None,
        *,
        environ: Mapping[str, str] = os.environ,
        ssl_context_factory: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        """Make a client; nothing is opened or loaded before the first request.

        environ: where proxies and certificate files are named. ssl_context_factory: makes the TLS context, once.
        """
        self._limits = limits or ClientLimits()
        self._proxies = Proxies(environ)
        self._make_context = ssl_context_factory or (lambda: make_context(environ))
        self._context: ssl.SSLContext | None = None
        self._pools: dict[str, Pool] = {}
        self._sweeper: asyncio.TimerHandle | None = None
        self._is_closed = False

    def __repr__(self) -> str:
        return f"<HttpClient {list(self._pools.values())}>"

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = self._make_context()
        return self._context

    def request(
        self,
        origin: str,
        head: bytes,
        body: bytes,
        sink: ResponseSink,
        *,
        method: str,
        is_complete: bool,
        chunked: bool,
    ) -> ClientCall:
        """Send a request and return at once; see `net.http.Client`."""
        pool = self._pools.get(origin)
        if pool is None:
            try:
                pool = self._new_pool(origin)
            except LLMFlowError as error:
                return _failed(error, head, sink, method)
        head = pool.route.outgoing(head)
        call = Call(pool, head, body, sink, method=method, is_complete=is_complete, chunked=chunked)
        pool.start(call)
        return call

    def _new_pool(self, origin: str) -> Pool:
        if self._is_closed:
            raise UpstreamClosed("LLMFlow is shutting down", is_retry_safe=True)
        pool = self._pools[origin] = Pool(route_to(origin, self._proxies, self._tls), self._limits)
        if self._sweeper is None:
            self._schedule_sweep()
        return pool

    # ── housekeeping ─────────────────────────────────────────────────────────────────────────────────────────────

    def _schedule_sweep(self) -> None:
        limits = self._limits
        shortest = min(limits.idle_timeout_s, limits.upstream_idle_timeout_s or limits.idle_timeout_s)
        interval = min(MAX_SWEEP_INTERVAL_S, shortest / 4)
        self._sweeper = asyncio.get_running_loop().call_later(interval, self._sweep)

    def _sweep(self) -> None:
        """Look through all connections: one timer for everything instead of one per request."""
        self._sweeper = None
        now = monotonic()
        for origin, pool in list(self._pools.items()):
            pool.sweep(now)
            if pool.is_empty:
                del self._pools[origin]
        if self._pools and not self._is_closed:
            self._schedule_sweep()

    async def close(self) -> None:
        """Close every connection; calls under way fail."""
        self._is_closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            await pool.close()

    # ── whole answers ────────────────────────────────────────────────────────────────────────────────────────────

    async def fetch(
        self,
        method: str,
        url: str,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
        *,
        timeout_s: float = 10.0,
    ) -> tuple[int, list[Header], bytes]:
        """Fetch a small answer whole; see `net.http.Client`. Raises UpstreamError, TooLarge over MAX_FETCH_BYTES."""
        origin, head = _fetch_head(method, url, headers, body)
        sink = _Gather(asyncio.get_running_loop(), self._limits.max_fetch_bytes)
        call = self.request(origin, head, body, sink, method=method, is_complete=True, chunked=False)
        try:
            async with asyncio.timeout(timeout_s):
                return await sink.answer
        except TimeoutError as error:
            raise UpstreamTimeout(f"no whole answer came within {timeout_s:g} s") from error
        finally:
            call.abort()  # does nothing once the answer is here


def _failed(error: LLMFlowError, head: bytes, sink: ResponseSink, method: str) -> Call:
    """Return a call that fails in the next turn of the loop: a sink is never called from inside `request`."""
    call = Call(_NOBODY, head, b"", sink, method=method, is_complete=True, chunked=False)
    asyncio.get_running_loop().call_soon(call.fail, error)
    return call


class _Nobody:
    """The owner of calls that have no pool."""

    def released(self, connection: object) -> None:
        """Nothing is kept."""

    def lost(self, connection: object) -> None:
        """Nothing is kept."""

    def start_fresh(self, call: Call) -> None:
        """Nothing is started."""

    def forget(self, call: Call) -> None:
        """Nothing is looked for."""


_NOBODY = _Nobody()


def _fetch_head(method: str, url: str, headers: Sequence[tuple[str, str]], body: bytes) -> tuple[str, bytes]:
    """Return (origin, request head). Raises UpstreamUnreachable when `url` is not http or https."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UpstreamUnreachable(f"{parts.scheme or 'this'} is no http or https URL", is_retry_safe=True)
    host = parts.netloc.rpartition("@")[2].lower()
    target = (parts.path or "/") + ("?" + parts.query if parts.query else "")
    lines = [
        f"{method} {target} HTTP/1.1", f"Host: {host}", f"User-Agent: llmflow/{VERSION}", "Accept-Encoding: identity",
    ]  # fmt: skip
    lines += [f"{name}: {value}" for name, value in headers]
    if body or method in ("POST", "PUT", "PATCH"):
        lines.append(f"Content-Length: {len(body)}")
    return f"{parts.scheme}://{host}", "\r\n".join([*lines, "", ""]).encode("latin-1")


class _Gather:
    """The sink of `fetch`: gathers an answer up to a limit."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limit: int) -> None:
        self.answer: asyncio.Future[tuple[int, list[Header], bytes]] = loop.create_future()
        self._limit = limit
        self._head: ResponseHead | None = None
        self._pieces: list[bytes] = []
        self._size = 0

    def response(self, head: ResponseHead) -> None:
        """Keep the head."""
        self._head = head

    def data(self, data: bytes) -> None:
        """Keep the piece, up to the limit."""
        self._pieces.append(data)
        self._size += len(data)
        if self._size > self._limit:
            self.fail(TooLarge(f"The answer is longer than MAX_FETCH_BYTES ({self._limit})."))

    def end(self) -> None:
        """Hand the answer over."""
        assert self._head is not None  # a head comes before every end
        body = b"".join(self._pieces)
        if self._head.framing == FRAMING_CHUNKED:
            body = decode_chunked(body)
        if not self.answer.done():
            self.answer.set_result((self._head.status, self._head.headers, body))

    def fail(self, error: LLMFlowError) -> None:
        """Hand the error over."""
        if not self.answer.done():
            self.answer.set_exception(error)

    def pause_upload(self) -> None:
        """The body is whole: there is nothing to pause."""

    def resume_upload(self) -> None:
        """The body is whole: there is nothing to resume."""
