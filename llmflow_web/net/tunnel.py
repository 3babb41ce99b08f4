"""A WebSocket through the proxy: the handshake as it came, then raw bytes both ways, a capped copy kept of each.

No frame is parsed here: what the bytes say is worked out from the copies (record/realtime.py). An upstream that does
not answer 101 has given an ordinary answer, and it is relayed like one.

    SENDING ──other answer──▶ as net/relay.py
       └──101──▶ OPEN ──upstream ends──▶ DONE (what it said still reaches the client)
                  ├──client ends──▶ upstream gets LAST_WORDS_S to end too ──▶ DONE
                  └──either side breaks──▶ DONE (the other side is cut at once)
"""

from __future__ import annotations

import asyncio

from llmflow_web.errors import LLMFlowError, RequestError
from llmflow_web.model import Capture
from llmflow_web.net.http import ServerCall
from llmflow_web.net.relay import Relay, State
from llmflow_web.wire.frames import LateFrames, is_deflate_agreed
from llmflow_web.wire.head import ResponseHead
from llmflow_web.wire.headers import tokens

LAST_WORDS_S = 0.5
"""A client that has said its last may have a close frame on the way up; upstream's end is awaited this long."""

DRAIN_S = 10.0
"""How long a client may take to read what upstream said before it went."""

MAX_LATE_BYTES = 1024 * 1024
"""What is kept of a session behind the end of its copy, so that its usage is known."""

_SWITCHING = 101


def asks_for_tunnel(call: ServerCall) -> bool:
    """Say whether a request opens a WebSocket."""
    head = call.head
    return (
        head.method == b"GET"
        and head.version == b"1.1"
        and call.whole_body == b""
        and b"websocket" in tokens(head.headers, b"upgrade")
        and b"upgrade" in tokens(head.headers, b"connection")
    )


class Tunnel(Relay):
    """The relay of a request that asks to switch protocols."""

    _transport: asyncio.Transport | None = None  # the client's, once the tunnel is open
    _timer: asyncio.TimerHandle | None = None
    _watch: LateFrames | None = None

    def response(self, head: ResponseHead) -> None:
        """Take the answer's head: 101 opens the tunnel, anything else is an ordinary answer (ResponseSink)."""
        if head.status != _SWITCHING:
            super().response(head)
            return
        exchange = self.exchange
        self.state = State.ANSWERING
        exchange.response_status = head.status
        exchange.response_headers = head.headers
        exchange.is_websocket = True
        if exchange.response is not None and not is_deflate_agreed(head.headers):
            exchange.late = Capture(MAX_LATE_BYTES)
            self._watch = LateFrames(exchange.response, exchange.late)
        lines = [b"HTTP/1.1 %d %b" % (head.status, head.reason), *(line for _, line in head.headers)]
        try:
            transport, rest = self._call.upgrade(b"\r\n".join(lines) + b"\r\n" + self._extra + b"\r\n")
        except RequestError:  # it went in this very moment
            self._on_client_gone()
            return
        assert isinstance(transport, asyncio.Transport)  # the server's word
        self._open(transport, rest)

    def _open(self, transport: asyncio.Transport, rest: bytes) -> None:
        if transport.is_closing():
            self._on_client_gone()
            return
        self._transport = transport
        transport.set_protocol(_ClientSide(self))
        if rest:
            self.upload(rest)
        transport.resume_reading()

    # ── up ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def upload(self, data: bytes) -> None:
        """Keep a copy of the client's bytes and pass them on."""
        if self.state is State.DONE:
            return
        if self.exchange.request is not None:
            self.exchange.request.add(data)
        super().upload(data)

    def pause_upload(self) -> None:
        """Upstream takes too slowly (ResponseSink)."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_upload(self) -> None:
        """Upstream takes more (ResponseSink)."""
        if self._transport is not None:
            self._transport.resume_reading()

    def client_ended(self) -> None:
        """The client sends no more."""
        if self.state is not State.DONE and self._timer is None:
            self._timer = self._loop.call_later(LAST_WORDS_S, self._cut_client)

    def _cut_client(self) -> None:
        assert self._transport is not None  # it was open when it ended
        self._transport.abort()
        self._on_client_gone()

    def client_lost(self) -> None:
        """The client's connection is gone."""
        if self._timer is not None:
            self._timer.cancel()
        self._on_client_gone()

    # ── down ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def data(self, data: bytes) -> None:
        """Pass upstream's bytes on, keep a copy and the time they came (ResponseSink)."""
        if self._transport is None:
            super().data(data)
            return
        self._transport.write(data)
        capture = self.exchange.response
        if capture is not None:
            self._note_arrival(capture)
            capture.add(data)
        if self._watch is not None:
            self._watch.feed(data)

    def pause_download(self) -> None:
        """The client reads too slowly."""
        if self._client_call is not None:
            self._client_call.pause_reading()

    def resume_download(self) -> None:
        """The client reads on."""
        if self._client_call is not None:
            self._client_call.resume_reading()

    def end(self) -> None:
        """Upstream has closed its connection (ResponseSink)."""
        transport = self._transport
        if transport is None:
            super().end()
            return
        self._close("finished")
        transport.close()
        self._wait_for(self._loop.call_later(DRAIN_S, transport.abort))

    def fail(self, error: LLMFlowError) -> None:
        """Upstream gave no answer, or its connection broke (ResponseSink)."""
        transport = self._transport
        if transport is None:
            super().fail(error)
            return
        self.exchange.error = error.message
        self._close("upstream_closed")
        transport.abort()
        self._wait_for(None)

    def _wait_for(self, timer: asyncio.TimerHandle | None) -> None:
        """Replace the timer; `client_lost` stops it."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = timer


class _ClientSide(asyncio.Protocol):
    """The socket's events of the client's connection, once it is a tunnel's."""

    def __init__(self, tunnel: Tunnel) -> None:
        self._tunnel = tunnel

    def data_received(self, data: bytes) -> None:
        self._tunnel.upload(data)

    def eof_received(self) -> bool:
        self._tunnel.client_ended()
        return True  # upstream may still have something to say

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - why does not matter
        self._tunnel.client_lost()

    def pause_writing(self) -> None:
        self._tunnel.pause_download()

    def resume_writing(self) -> None:
        self._tunnel.resume_download()
