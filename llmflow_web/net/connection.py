"""One connection to an upstream, driven by the socket's callbacks.

    CONNECTING ──made──▶ BUSY ◀──begin── IDLE
                          │  └──whole answer, whole request, keep-alive──▶ IDLE
                          └──cut, aborted, told to close──▶ CLOSED ◀──EOF or bytes while idle── IDLE

Answers are delivered as they came: the head is parsed, the body's framing is walked to find its end, no byte of it is
changed or copied. Nothing is sent twice: a request that may have been processed fails instead (`Connection._cut`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import socket
from collections.abc import Callable
from enum import Enum
from time import monotonic
from typing import cast

from llmflow_web.errors import UpstreamClosed, UpstreamProtocol, UpstreamTimeout
from llmflow_web.net.client_call import Call, Owner
from llmflow_web.net.response_head import HeadReader
from llmflow_web.wire.chunked import ChunkedError, ChunkedWalker
from llmflow_web.wire.head import (
    FRAMING_CHUNKED,
    FRAMING_CLOSE,
    FRAMING_LENGTH,
    FRAMING_NONE,
    ResponseHead,
    parse_response_head,
)
from llmflow_web.wire.headers import get

MAX_JOIN_BYTES = 256 * 1024
"""Head and body leave in one write up to this; joining a longer body would copy it for nothing."""

_REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS"})
_KEEPALIVE = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))  # a dead peer shows within 2 minutes


class State(Enum):
    """Where a connection is."""

    CONNECTING = "connecting"
    BUSY = "busy"
    IDLE = "idle"
    CLOSED = "closed"


class Connection(asyncio.Protocol):
    """One HTTP/1.1 connection: one request at a time."""

    def __init__(self, owner: Owner, origin: str) -> None:
        # ── of the connection
        self._owner = owner
        self.origin = origin
        self.state = State.CONNECTING
        self.requests = 0
        self.idle_until = 0.0
        self.active_at = 0.0
        self._transport: asyncio.Transport | None = None
        self._is_readable: Callable[[], bool] = bool
        self._is_tls = False
        self._idle_timeout_s = 0.0
        # ── of the request under way
        self.call: Call | None = None
        self._has_written = False
        self._has_heard = False
        self._is_write_paused = False
        self._reader: HeadReader | None = None
        self._head: ResponseHead | None = None
        self._framing = FRAMING_NONE
        self._left = 0
        self._received = 0
        self._walker: ChunkedWalker | None = None

    def __repr__(self) -> str:
        plural = "" if self.requests == 1 else "s"
        return f"<Connection {self.origin} HTTP/1.1 {self.state.value}, {self.requests} request{plural}>"

    # ── the request ──────────────────────────────────────────────────────────────────────────────────────────────

    def begin(self, call: Call) -> bool:
        """Write `call`. False: the connection turned out dead before any byte of it left; try another."""
        transport = self._transport
        if transport is None or self.state is State.CLOSED or transport.is_closing():
            return False
        self.state = State.BUSY
        self.requests += 1
        self._has_heard = False
        payload = call.payload()
        is_joined = len(payload) <= MAX_JOIN_BYTES
        self.call = call
        transport.write(call.head + payload if is_joined else call.head)
        # A first send that fails has given the kernel nothing. Over TLS the layers between hide that.
        if not self._is_tls and transport.is_closing():
            self.close()
            return False
        self._has_written = True
        self.active_at = monotonic()
        if not is_joined:
            transport.write(payload)
        if call.is_paused:
            transport.pause_reading()
        call.departed(self)
        return True

    def write(self, data: bytes) -> None:
        """Write more of the request."""
        assert self._transport is not None  # a call has a connection only once it is made
        self.active_at = monotonic()
        if not self._transport.is_closing():  # else connection_lost is on its way
            self._transport.write(data)

    def pause_writing(self) -> None:
        """The transport's buffer is full (asyncio)."""
        self._is_write_paused = True
        call = self.call
        if call is not None and not call.is_done and (call.is_tunnel or not call.is_complete):
            call.sink.pause_upload()

    def resume_writing(self) -> None:
        """The transport's buffer has drained (asyncio)."""
        self._is_write_paused = False
        self.active_at = monotonic()
        call = self.call
        if call is not None and not call.is_done and (call.is_tunnel or not call.is_complete):
            call.sink.resume_upload()

    # ── the answer ───────────────────────────────────────────────────────────────────────────────────────────────

    def data_received(self, data: bytes) -> None:
        """Take bytes of the answer (asyncio)."""
        call = self.call
        if call is None:  # nobody asked: what an idle connection says cannot be an answer to the next request
            self.close()
            return
        self.active_at = monotonic()
        try:
            if self._head is not None:
                self._take_body(call, data, 0)
            else:
                self._take_head(call, data)
        except UpstreamProtocol as error:
            self.close()
            call.fail(error)
        except ChunkedError as error:
            self.close()
            call.fail(UpstreamProtocol(f"the answer's chunked body is broken: {error}"))

    def _take_head(self, call: Call, data: bytes) -> None:
        self._has_heard = True
        head: ResponseHead | None = None
        at = 0
        if self._reader is None:
            call.body = b""  # it will not be sent again
            at = data.find(b"\r\n\r\n") + 4
            if at > 3:
                head = parse_response_head(data if at == len(data) else data[:at], call.method.encode("ascii"))
            if head is None:
                self._reader = HeadReader(call.method, asks_upgrade=b"\r\nupgrade:" in call.head.lower())
        if head is None:
            assert self._reader is not None  # made above
            found = self._reader.feed(data)
            if found is None:
                return
            head, data = found
            at = 0
        self._frame(head)
        call.is_tunnel = head.status == 101
        call.sink.response(head)
        if not call.is_done:  # the sink may have given up
            self._take_body(call, data, at)

    def _frame(self, head: ResponseHead) -> None:
        self._head = head
        self._framing = head.framing
        self._left = head.content_length
        self._received = 0
        self._walker = ChunkedWalker() if head.framing == FRAMING_CHUNKED else None

    def _take_body(self, call: Call, data: bytes, at: int) -> None:
        """Give the sink what belongs to the body in `data` from `at` on: one call, and no copy of a whole buffer."""
        size = len(data)
        end = size
        is_over = False
        if self._walker is not None:
            end = self._walker.feed(data, at)
            is_over = self._walker.is_done
        elif self._framing != FRAMING_CLOSE:
            end = min(size, at + self._left)
            self._left -= end - at
            is_over = not self._left
        if end > at:
            self._received += end - at
            call.sink.data(data[at:end])
        if is_over and not call.is_done:
            self._complete(call, has_leftover=end < size)

    def _complete(self, call: Call, *, has_leftover: bool) -> None:
        """The answer has ended: rest, or close when the connection cannot be trusted with another request."""
        head, transport = self._head, self._transport
        assert head is not None  # only a framed answer ends
        assert transport is not None  # and it came over this
        is_reusable = (
            head.keep_alive
            and call.is_complete
            and not has_leftover
            and self._framing != FRAMING_CLOSE
            and not transport.get_write_buffer_size()
            and not transport.is_closing()
        )
        call.is_done = True
        if is_reusable:
            self._rest(head, transport, call)
        else:
            self.close()
        call.sink.end()

    def _rest(self, head: ResponseHead, transport: asyncio.Transport, call: Call) -> None:
        if call.is_paused:
            transport.resume_reading()  # an idle connection must hear its end
        self._forget_call()
        self.state = State.IDLE
        self._idle_timeout_s = _server_timeout_s(head)
        self._owner.released(self)

    def idle(self, now: float, timeout_s: float) -> None:
        """Note that the connection rests since `now`, at most as long as we and the server wait."""
        self.idle_until = now + min(timeout_s, self._idle_timeout_s)

    def _forget_call(self) -> None:
        self.call = None
        self._reader = None
        self._head = None
        self._walker = None
        self._has_written = False

    def pause_reading(self) -> None:
        """Stop taking the answer."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Go on taking the answer."""
        self.active_at = monotonic()
        if self._transport is not None:
            self._transport.resume_reading()

    # ── beginnings and ends ──────────────────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connected transport (asyncio; for TLS after the handshake)."""
        self._transport = cast("asyncio.Transport", transport)
        self._is_tls = transport.get_extra_info("sslcontext") is not None
        sock = transport.get_extra_info("socket")
        if sock is not None:
            self._is_readable = _readability(sock)
            _send_keepalives(sock)

    def is_fresh(self, now: float) -> bool:
        """Say whether an idle connection may be used again: not too old, and nothing came since, not even its end."""
        return self.state is State.IDLE and now < self.idle_until and not self._is_readable()

    def eof_received(self) -> None:
        """Take the end of upstream's bytes (asyncio)."""
        call = self.call
        if call is None:
            self.close()
        elif self._head is not None and self._framing == FRAMING_CLOSE:
            self._complete(call, has_leftover=False)
        else:
            self._cut(call, None)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone (asyncio)."""
        if exc is not None and self.call is not None:
            self._salvage()
        call = self.call
        if call is not None:
            self._cut(call, exc)
        self.state = State.CLOSED
        self._transport = None
        self._owner.lost(self)

    def _salvage(self) -> None:
        """Read an answer that came before the write that broke: a server may refuse an upload and close."""
        transport = self._transport
        sock = transport.get_extra_info("socket") if transport is not None else None
        if self._is_tls or sock is None:
            return
        with contextlib.suppress(OSError):  # nothing more to read
            while self.call is not None and (data := os.read(sock.fileno(), 65536)):
                self.data_received(data)

    def _cut(self, call: Call, exc: Exception | None) -> None:
        """The connection ended too early: send again where that cannot do harm, else fail."""
        error = UpstreamClosed(self._cut_message(exc), is_retry_safe=not self._has_written)
        may_repeat = not self._has_written or (call.is_whole and call.method in _REPEATABLE)
        is_stale = self.requests > 1 and not self._has_heard
        self.close()
        if is_stale and may_repeat and not call.was_repeated and not call.is_done:
            call.was_repeated = True
            call.connection = None
            self._owner.start_fresh(call)
        else:
            call.fail(error)

    def _cut_message(self, exc: Exception | None) -> str:
        how = "was reset" if isinstance(exc, ConnectionResetError) else "was closed"
        if self._head is None:
            return f"the connection {how} before the answer came"
        of = f" of {self._head.content_length}" if self._framing == FRAMING_LENGTH else ""
        return f"the connection {how} after {self._received}{of} bytes of the answer's body"

    def close(self) -> None:
        """Close at once. What the call under way hears of it is the caller's business."""
        self._forget_call()
        if self.state is State.CLOSED or self._transport is None:
            return
        self.state = State.CLOSED
        # Never the polite way: a TLS close would wait for the other side's.
        if self._is_tls:  # inside its own callbacks asyncio's TLS cannot bear an abort
            asyncio.get_running_loop().call_soon(self._transport.abort)
        else:
            self._transport.abort()

    def check_timeout(self, now: float, limit_s: float) -> None:
        """Fail the call under way if upstream has been silent for `limit_s`."""
        call = self.call
        if call is None or call.is_paused or call.is_tunnel or now - self.active_at < limit_s:
            return
        if not call.is_complete and not self._is_write_paused:  # it is the client that keeps us waiting
            return
        self.close()
        call.fail(UpstreamTimeout(f"no byte came for {limit_s:g} s"))


def _server_timeout_s(head: ResponseHead) -> float:
    """Return how long the server says it keeps the connection, less a second for the way; much if it says nothing."""
    value = get(head.headers, b"keep-alive")
    if value is not None:
        for part in value.split(b","):
            name, _, number = part.strip().partition(b"=")
            if name.lower() == b"timeout" and number.isdigit():
                return max(0.5, int(number[:9]) - 1.0)
    return float("inf")


def _readability(sock: socket.socket) -> Callable[[], bool]:
    """Return a question that costs one system call: whether there is something to read, or the end."""
    if not hasattr(select, "poll"):
        return lambda: bool(select.select([sock], [], [], 0)[0])
    poller = select.poll()
    poller.register(sock.fileno(), select.POLLIN)
    return lambda: bool(poller.poll(0))


def _send_keepalives(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE:
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
