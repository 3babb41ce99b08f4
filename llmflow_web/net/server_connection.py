"""One client's connection: requests read one after the other, each handed out as a Call and answered in order.

    HEAD ──request──▶ CALL ──answered──▶ HEAD …           keep-alive; pipelined bytes wait in `_rest`
                       │  └─answered, body still coming─▶ DRAIN ──body ended──▶ HEAD
                       │                                   └──too much──▶ LINGER
                       └──last answer, body still coming──▶ LINGER ──client closed, or time──▶ CLOSED
    any ──▶ CLOSED (flushing, then gone)        CALL ──upgrade──▶ GIVEN_UP (somebody else's transport)

The next request is parsed when the answer before it is finished and the client takes bytes: memory stays bounded.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import struct
from collections.abc import Callable
from enum import Enum
from math import inf
from typing import TYPE_CHECKING

from llmflow_web.errors import HeaderTooLarge, LLMFlowError, RequestError
from llmflow_web.net.http import BodySink
from llmflow_web.net.server_body import ChunkedBody, LengthBody, RequestBody, judge_request
from llmflow_web.net.server_call import Call, error_body, head_block
from llmflow_web.net.server_patience import Patience
from llmflow_web.wire.head import FRAMING_CHUNKED, RequestHead, parse_request_head

if TYPE_CHECKING:
    from llmflow_web.net.server import HttpServer


class State(Enum):
    """What a connection is doing."""

    HEAD = "waiting for a request"
    CALL = "answering"
    DRAIN = "discarding a body"
    LINGER = "waiting for the client to close"
    GIVEN_UP = "upgraded"
    CLOSED = "closed"


# Who wants reading paused; the socket is read while nobody does.
_BY_ROUTE, _BY_UNREAD, _BY_PIPELINE = 1, 2, 4
_EMPTY_LINES = re.compile(rb"(?:\r\n)*+")
_BARE_BLANK_LINE = re.compile(rb"\n\r?\n")
_REQUESTS_A_TURN = 64  # pipelined requests begun before other connections are looked at
_RESET_ON_CLOSE = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
_LOOPBACK = re.compile(r"(?:::ffff:)?127(?:\.\d{1,3}){3}|::1")


class Connection(asyncio.Protocol):
    """One accepted connection. Everything runs on the loop's thread."""

    __slots__ = (
        "_body", "_call", "_drained", "_is_advancing", "_is_write_paused", "_patience", "_paused", "_rest", "_scanned",
        "_server", "_sink", "_transport", "_unread", "_unread_bytes", "is_loopback", "peer", "requests", "state",
    )  # fmt: skip

    def __init__(self, server: HttpServer) -> None:
        self.state = State.HEAD
        self.peer = ""
        self.is_loopback = False
        self.requests = 0
        self._server = server
        self._transport: asyncio.Transport
        # the connection
        self._rest = b""  # read and not yet used
        self._paused = 0
        self._is_write_paused = False
        self._is_advancing = False
        self._patience = Patience()
        # the request
        self._scanned = 0
        self._call: Call | None = None
        self._body: RequestBody | None = None  # not None: some of it is still to come
        self._sink: BodySink | None = None
        self._unread: list[bytes] = []
        self._unread_bytes = 0
        self._drained = 0

    def __repr__(self) -> str:
        what = f" {self._call!r}" if self._call is not None else ""
        return f"<Connection from {self.peer}, {self.state.value},{what} requests: {self.requests}>"

    # --- the socket's events ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected; asyncio has set TCP_NODELAY."""
        assert isinstance(transport, asyncio.Transport)  # TCP gives nothing else
        self._transport = transport
        transport.set_write_buffer_limits(high=self._server.limits.write_high_water_bytes)
        peer = transport.get_extra_info("peername")
        self.peer = peer[0] if peer else ""
        self.is_loopback = _LOOPBACK.fullmatch(self.peer) is not None
        if not self._server.admit(self):
            error = RequestError("Too many connections are open.")
            error.status = 503
            self.refuse(error)

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        self._patience.is_touched = True
        if self._body is not None:
            self._take_body(data)
        elif self.state is State.HEAD:
            self._rest = self._rest + data if self._rest else data
            self._advance()
        elif self.state is State.CALL:
            self._rest += data
            if len(self._rest) > self._server.limits.max_pipelined_bytes:
                self._pause(_BY_PIPELINE)

    def eof_received(self) -> None:
        """The client sends no more; during an answer that means it has gone."""
        if self.state is State.CALL:
            self._lose_client()
            self._transport.abort()
        self.state = State.CLOSED  # returning None lets asyncio flush and close

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - why does not matter
        """The connection is gone."""
        if self.state is State.CALL:
            self._lose_client()
        self.state = State.CLOSED
        self._server.forget(self)

    def pause_writing(self) -> None:
        """The client takes bytes too slowly."""
        self._is_write_paused = True
        if self._call is not None and self._call.on_pause is not None:
            self._guarded(self._call.on_pause)

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._is_write_paused = False
        if self._call is not None:
            if self._call.on_resume is not None:
                self._guarded(self._call.on_resume)
        elif self._rest:
            self._advance()

    # --- requests ---

    def _advance(self) -> None:
        """Begin the requests that wait in `_rest`, one after the other, without recursion."""
        if self._is_advancing:
            return
        self._is_advancing = True
        is_turn_over = False
        try:
            for _ in range(_REQUESTS_A_TURN):
                if not self._rest or self.state is not State.HEAD or self._is_write_paused:
                    break
                if not self._next_request():
                    break
            else:
                is_turn_over = bool(self._rest)
        finally:
            self._is_advancing = False
        if is_turn_over:  # other connections first
            self._server.soon(self._advance)
        self._balance(is_turn_over=is_turn_over)

    def _balance(self, *, is_turn_over: bool) -> None:
        """Read on, or stop reading, by how much has been read ahead. A head that is not complete needs more."""
        is_over_bound = len(self._rest) > self._server.limits.max_pipelined_bytes
        is_hungry = self.state is State.HEAD and not self._is_write_paused and not is_turn_over
        if is_over_bound and not is_hungry:
            self._pause(_BY_PIPELINE)
        elif self._paused:
            self._unpause(_BY_PIPELINE)

    def _next_request(self) -> bool:
        """Begin the request at the start of `_rest`; False when its head is not complete or refused."""
        data = self._rest
        end = data.find(b"\r\n\r\n", self._scanned) + 4
        if end < 4:
            return self._await_head(data)
        if end > self._server.limits.max_head_bytes:
            return self.refuse(HeaderTooLarge("The head of the request is too long."))
        head = parse_request_head(data if end == len(data) else data[:end]) if self._server.fast_lane else None
        if head is None:
            return self._next_by_h11(data, end)
        if head.framing == FRAMING_CHUNKED:
            return self._begin_with_body(head, ChunkedBody(), data[end:])
        stop = end + head.content_length  # 0 without a body
        if stop <= len(data):
            return self._begin(head, data[end:stop], data[stop:])
        return self._begin_with_body(head, LengthBody(head.content_length), data[end:])

    def _next_by_h11(self, data: bytes, end: int) -> bool:
        if data.startswith(b"\r\n"):
            return self._skip_empty_lines(data)
        try:
            head, body = judge_request(data[:end])
        except RequestError as error:
            return self.refuse(error)
        return self._begin_with_body(head, body, data[end:])

    def _skip_empty_lines(self, data: bytes) -> bool:
        """Ignore empty lines before a request (RFC 9112 §2.2)."""
        found = _EMPTY_LINES.match(data)
        self._rest = data[found.end() if found else 0 :]
        self._scanned = 0
        return True

    def _await_head(self, data: bytes) -> bool:
        if data.startswith(b"\r\n"):
            return self._skip_empty_lines(data)
        if len(data) > self._server.limits.max_head_bytes:
            return self.refuse(HeaderTooLarge("The head of the request is too long."))
        # What can never become a head is refused now, not when the timeout strikes: a TLS hello, bare line feeds.
        if (data[0] <= 0x20 and data != b"\r") or _BARE_BLANK_LINE.search(data, self._scanned):
            return self.refuse(RequestError("What came is not an HTTP request."))
        self._scanned = max(0, len(data) - 3)
        if self._patience.head_since is None:
            self._patience.head_since = self._server.now()
        return False

    def _begin_with_body(self, head: RequestHead, body: RequestBody, data: bytes) -> bool:
        try:
            payload = body.feed(data)
        except RequestError as error:
            return self.refuse(error)
        if body.is_done:
            return self._begin(head, payload, body.rest)
        self._body = body
        self._keep_unread(payload)
        return self._begin(head, None, b"")

    def _begin(self, head: RequestHead, whole_body: bytes | None, rest: bytes) -> bool:
        self._rest = rest
        self._scanned = 0
        self._patience.head_since = None
        self.requests += 1
        self.state = State.CALL
        self._call = call = Call(self, head, whole_body)
        try:
            self._server.handler(call)
        except Exception as error:  # noqa: BLE001 - whatever a route raises, the connection stays sane
            self._fail(call, error)
        return True

    def _fail(self, call: Call, error: Exception) -> None:
        """A route has raised: 500 if nothing was sent yet, a visible cut if something was."""
        if isinstance(error, LLMFlowError) and not call.is_started:
            call.respond_json(error.status, error_body(error.status, error.message))
            return
        self._server.report(call, error)
        if call.is_started:
            call.abort()
        else:
            call.respond_json(500, error_body(500, "Something went wrong here; see the server's log."))

    def _guarded(self, function: Callable[[], None]) -> None:
        call = self._call
        try:
            function()
        except Exception as error:  # noqa: BLE001 - as in _begin
            if call is not None:
                self._fail(call, error)

    # --- the request's body ---

    def _take_body(self, data: bytes) -> None:
        body = self._body
        assert body is not None  # data_received has looked
        try:
            payload = body.feed(data)
        except RequestError as error:
            self._break_off(error)
            return
        if body.is_done:
            self._body = None
            self._rest = body.rest
            self._unpause(_BY_ROUTE | _BY_UNREAD)
        if self.state is State.DRAIN:
            self._drain(len(data))
        elif self._sink is not None:
            self._pour(self._sink, payload)
        else:
            self._keep_unread(payload)

    def _keep_unread(self, payload: bytes) -> None:
        """Hold payload until somebody reads it."""
        self._unread_bytes += len(payload)
        if payload:
            self._unread.append(payload)
        if self._body is not None and self._unread_bytes > self._server.limits.max_unread_bytes:
            self._pause(_BY_UNREAD)

    def _pour(self, sink: BodySink, payload: bytes) -> None:
        call = self._call
        try:
            if payload:
                sink.data(payload)
            if self._body is None and self._sink is sink:  # else the sink itself has finished the call
                self._sink = None
                sink.end()
        except Exception as error:  # noqa: BLE001 - as in _begin
            if call is not None:
                self._fail(call, error)

    def read_body(self, call: Call, sink: BodySink) -> None:
        """Send the body of `call` to `sink`: what has come at once, the rest as it comes."""
        if call is not self._call:
            sink.abort(RequestError("The client closed the connection."))
            return
        pieces, self._unread, self._unread_bytes = self._unread, [], 0
        self._sink = sink
        if self._body is not None and call.head.expects_continue and not pieces and not call.is_started:
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            call.head.expects_continue = False
        for piece in pieces:
            sink.data(piece)
        if self._sink is sink and self._body is None:
            self._sink = None
            sink.end()
        self._unpause(_BY_UNREAD)

    def pause_body(self, call: Call) -> None:
        """Stop reading the body of `call`."""
        if call is self._call and self._body is not None:
            self._pause(_BY_ROUTE)

    def resume_body(self, call: Call) -> None:
        """Go on reading the body of `call`."""
        if call is self._call:
            self._patience.is_touched = True
            self._unpause(_BY_ROUTE)

    def _break_off(self, error: RequestError) -> None:
        """The body will not come as promised: tell the route, and the client as far as it can still be told."""
        self._body = None
        call = self._call
        if call is None:  # the answer was given already
            self._close()
            return
        is_started = call.is_started
        self._drop_call(error)
        if is_started:
            self._close()
        else:
            self.refuse(error)

    def _drop_call(self, error: RequestError) -> None:
        """Take the call from its route: the sink hears `error`, then on_disconnect is called."""
        call, sink = self._call, self._sink
        self._call = self._sink = self._body = None
        if call is None:
            return
        call.close_off()
        try:
            if sink is not None:
                sink.abort(error)
            if call.on_disconnect is not None:
                call.on_disconnect()
        except Exception as problem:  # noqa: BLE001 - as in _begin
            self._server.report(call, problem)

    def _lose_client(self) -> None:
        self._drop_call(RequestError("The client closed the connection."))

    # --- answers ---

    @property
    def date_line(self) -> bytes:
        """The Date header line."""
        return self._server.date_line

    def send(self, data: bytes) -> None:
        """Write bytes of an answer."""
        self._transport.write(data)

    def may_keep(self, call: Call) -> bool:
        """Say whether the connection can go on after the answer to `call`; asked when its head is made."""
        if not call.head.keep_alive or self._server.is_stopping:
            return False
        if self._body is None or self._sink is not None:
            return True
        # Nobody reads the body: a short rest is discarded. A client that waits for 100 may send it or not: no telling.
        return not call.head.expects_continue and self._body.is_at_most(self._server.limits.max_drain_bytes)

    def answer_done(self, *, keep: bool) -> None:
        """The answer is complete: go on to the next request, discard the rest of this one, or close."""
        self._call = self._sink = None
        self._patience.is_touched = True
        if self._unread:
            self._unread = []
            self._unread_bytes = 0
        if self._body is not None:
            if keep:
                self.state = State.DRAIN
                self._drained = 0
                self._unpause(_BY_ROUTE | _BY_UNREAD)
            else:
                self._linger()
        elif not keep or self._server.is_stopping:
            self._close()
        else:
            self.state = State.HEAD
            if self._rest:
                self._advance()

    def _drain(self, size: int) -> None:
        self._drained += size
        if self._body is None:
            self.answer_done(keep=True)
        elif self._drained > self._server.limits.max_drain_bytes:
            self._linger()

    def refuse(self, error: RequestError) -> bool:
        """Answer what is not a request, or not one that can be served, and close. Returns False."""
        body = json.dumps(error_body(error.status, error.message)).encode()
        block = head_block(error.status, [("content-type", "application/json")]) + self.date_line
        self.send(b"%bcontent-length: %d\r\nconnection: close\r\n\r\n%b" % (block, len(body), body))
        self._linger()
        return False

    def _linger(self) -> None:
        """Send no more but read on: a close with bytes unread would reset the connection under the answer."""
        self.state = State.LINGER
        self._body = None
        self._rest = b""
        self._patience.restart(self._server.now())
        self._unpause(_BY_ROUTE | _BY_UNREAD | _BY_PIPELINE)
        if not self._transport.is_closing():
            self._transport.write_eof()

    def cut(self, *, is_reset: bool) -> None:
        """Break the running answer off. A reset drops what is not yet sent."""
        self._call = self._sink = self._body = None
        if is_reset:
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._transport.abort()
        self._close()

    def give_up(self, head: bytes) -> tuple[asyncio.Transport, bytes]:
        """Send `head` and hand the transport over, with what was read behind the request."""
        self._unpause(_BY_ROUTE | _BY_UNREAD | _BY_PIPELINE)
        rest, self._rest = self._rest, b""
        self._call = None
        self.state = State.GIVEN_UP
        self._server.give_up(self, self._transport)
        self.send(head)
        return self._transport, rest

    def _close(self) -> None:
        self.state = State.CLOSED
        self._body = None
        self._rest = b""
        self._transport.close()

    def close_if_idle(self) -> None:
        """Close at once if no answer is running (the server stops)."""
        if self.state in {State.HEAD, State.DRAIN, State.LINGER}:
            self._close()

    def abort(self, reason: str) -> None:
        """Close at once, whatever is running; its route can read the reason."""
        if self.state is State.CALL:
            if self._call is not None:
                self._call.lost_because = reason
            self._lose_client()
        self._transport.abort()

    # --- reading on and off, and time ---

    def _pause(self, reason: int) -> None:
        if not self._paused and not self._transport.is_closing():
            self._transport.pause_reading()
        self._paused |= reason

    def _unpause(self, reasons: int) -> None:
        if not self._paused:
            return
        self._paused &= ~reasons
        if not self._paused and not self._transport.is_closing():
            self._transport.resume_reading()

    def sweep(self, now: float) -> None:
        """Look whether the client has kept us waiting too long. Called about once a second."""
        limits, patience = self._server.limits, self._patience
        pending = self._transport.get_write_buffer_size()
        patience.look(now, pending, is_final=self.state is State.LINGER)
        waited = patience.waited(now)
        if patience.stalled(now) > limits.write_stall_timeout_s:
            self.abort(f"the client took nothing of the answer for {limits.write_stall_timeout_s:g} s")
        elif self._body is not None:
            if self._is_awaiting_body() and waited > limits.body_idle_timeout_s:
                self._time_out("The body of the request stopped coming.")
        elif self.state is State.HEAD and patience.head_since is not None:
            if patience.waited_for_head(now) > limits.head_timeout_s:
                self._time_out("The head of the request took too long to come.")
        elif not pending and waited > self._idle_limit_s():
            self._close()

    def _idle_limit_s(self) -> float:
        if self.state is State.HEAD:
            return self._server.limits.keep_alive_timeout_s
        return self._server.limits.linger_timeout_s if self.state is State.LINGER else inf

    def _is_awaiting_body(self) -> bool:
        return not self._paused and (self._sink is not None or self.state is State.DRAIN)

    def _time_out(self, message: str) -> None:
        error = RequestError(message)
        error.status = 408
        if self._body is not None:
            self._break_off(error)
        else:
            self.refuse(error)
