"""One WebSocket on a connection the HTTP server gave up: keeps it alive, bounded and properly closed.

OPEN ──close() or a breach──▶ CLOSING ──peer's close, or CLOSE_WAIT_S──▶ GONE
 └──peer's close (answered), connection lost, silence, a reader too slow──▶ GONE
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from llmflow_web.wire.websocket import (
    GOING_AWAY,
    MAX_MESSAGE_BYTES,
    NO_STATUS,
    UNSUPPORTED_DATA,
    Binary,
    Breach,
    Close,
    Ping,
    Reader,
    Text,
    encode_close,
    encode_ping,
    encode_pong,
)

PING_EVERY_S = 25.0
SILENCE_S = 60.0  # without a byte from the peer, although it was pinged
CLOSE_WAIT_S = 5.0
MAX_WAITING_BYTES = 1024 * 1024
"""What may wait for a peer that reads slowly; one that falls further behind is dropped and will come back."""

OPEN, CLOSING, GONE = "open", "closing", "gone"


class SocketPeer(asyncio.Protocol):
    """The other end of a WebSocket. All methods belong to the loop's thread."""

    def __init__(
        self,
        *,
        on_text: Callable[[str], None],
        on_gone: Callable[[], None],
        ping_every_s: float = PING_EVERY_S,
        silence_s: float = SILENCE_S,
        close_wait_s: float = CLOSE_WAIT_S,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
    ) -> None:
        """Make a peer; `attach` gives it its connection.

        Args:
            on_text: gets each text message.
            on_gone: called once when the connection is over, whoever ended it.
            ping_every_s: how often a ping goes out.
            silence_s: after how long without any byte the peer counts as gone.
            close_wait_s: how long a close of ours waits for its answer.
            max_message_bytes: a larger message closes the connection with 1009.
        """
        self.state = OPEN
        self._on_text = on_text
        self._on_gone = on_gone
        self._ping_every_s = ping_every_s
        self._silence_s = silence_s
        self._close_wait_s = close_wait_s
        self._reader = Reader(max_message_bytes)
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._heard_at = self._loop.time()
        self._gone = self._loop.create_future()

    def __repr__(self) -> str:
        waiting = self._transport.get_write_buffer_size() if self._transport is not None else 0
        return f"<SocketPeer {self.state}, {waiting} bytes waiting>"

    def attach(self, transport: asyncio.Transport, rest: bytes) -> None:
        """Take over the connection; `rest` was read already behind the request."""
        self._transport = transport
        transport.set_protocol(self)
        transport.resume_reading()
        self._timer = self._loop.call_later(self._ping_every_s, self._keep_alive)
        if transport.is_closing():
            self._end()
        elif rest:
            self.data_received(rest)

    def send(self, frame: bytes) -> None:
        """Write an encoded frame; a peer that is too far behind is dropped instead."""
        transport = self._transport
        if self.state != OPEN or transport is None:
            return
        if transport.get_write_buffer_size() + len(frame) > MAX_WAITING_BYTES:
            # No close frame: it would wait behind all that the peer does not read.
            self.drop()
            return
        transport.write(frame)

    def close(self, code: int = GOING_AWAY, reason: str = "") -> None:
        """Begin the closing handshake."""
        if self.state != OPEN or self._transport is None:
            return
        self._transport.write(encode_close(code, reason))
        self.state = CLOSING
        self._restart(self._close_wait_s, self.drop)

    async def wait_gone(self) -> None:
        """Wait until the connection is over."""
        await asyncio.shield(self._gone)

    def drop(self) -> None:
        """End the connection at once."""
        if self._transport is not None:
            self._transport.abort()
        self._end()

    # --- the socket's events ---

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        self._heard_at = self._loop.time()
        pong: bytes | None = None
        for event in self._reader.feed(data):
            if isinstance(event, Ping):
                pong = event.payload  # of several only the last needs an answer (RFC 6455 §5.5.3)
            elif isinstance(event, Text):
                if self.state == OPEN:
                    self._on_text(event.text)
            elif isinstance(event, Binary):
                self.close(UNSUPPORTED_DATA, "only text is understood here")
            elif isinstance(event, (Close, Breach)):
                self._closed_by_peer(event)
        if pong is not None:
            self.send(encode_pong(pong))

    def eof_received(self) -> None:
        """The peer sends no more; returning None closes the transport."""

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - why does not matter
        """The connection is gone."""
        self._end()

    def _closed_by_peer(self, event: Close | Breach) -> None:
        """Answer a close once, or tell what was wrong; then the server closes the connection first (§7.1.1)."""
        assert self._transport is not None  # bytes came over it
        if self.state == OPEN:
            is_close = isinstance(event, Close)
            self._transport.write(encode_close(event.code, "" if is_close else event.reason))
            self.state = CLOSING
        if isinstance(event, Breach) and event.code != NO_STATUS:
            # What it still sends would turn our close into a reset before it is read: give it a moment.
            self._restart(min(1.0, self._close_wait_s), self.drop)
            if self._transport.can_write_eof():
                self._transport.write_eof()
            return
        self._transport.close()

    def _keep_alive(self) -> None:
        if self._loop.time() - self._heard_at >= self._silence_s:
            self.drop()
            return
        self.send(encode_ping())
        if self.state == OPEN:
            self._restart(self._ping_every_s, self._keep_alive)

    def _restart(self, delay_s: float, function: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(delay_s, function)

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.state != GONE:
            self.state = GONE
            self._on_gone()
        if not self._gone.done():
            self._gone.set_result(None)
