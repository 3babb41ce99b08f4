"""Plays a recorded answer to a relay as if upstream sent it: head, pieces at once or at their pace, the end.

It stops while the client reads too slowly and when it goes, and lets other calls have their turn.
"""

from __future__ import annotations

import asyncio

from llmflow_web.net.relay import Relay
from llmflow_web.wire.chunked import LAST_CHUNK, encode_chunk
from llmflow_web.wire.head import FRAMING_CHUNKED, FRAMING_LENGTH, FRAMING_NONE, ResponseHead
from llmflow_web.wire.taped import Answer

BURST = 32
"""Pieces sent in one turn of the loop."""

PIECE_BYTES = 64 * 1024
"""A body that is no stream leaves in pieces of this size."""

STATUS_WITHOUT_BODY = frozenset({204, 304})


class Player:
    """One answer being played: the ClientCall of its relay."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, relay: Relay, answer: Answer, *, method: str, is_timed: bool
    ) -> None:
        self._loop = loop
        self._relay = relay
        self._answer = answer
        self._framing = _framing(answer, method)
        self._pieces = [] if self._framing == FRAMING_NONE else _pieces(answer)
        self._times_ms = answer.times_ms if is_timed and len(answer.times_ms) == len(self._pieces) else ()
        self._at = 0
        self._begun = 0.0
        self._is_paused = False
        self._next: asyncio.Handle | None = None

    def __repr__(self) -> str:
        return f"<Player at {self._at} of {len(self._pieces)}{' paused' if self._is_paused else ''}>"

    def start(self) -> None:
        """Begin now."""
        self._begun = self._loop.time()
        answer = self._answer
        head = ResponseHead(answer.status, answer.reason, b"1.1", list(answer.headers))
        head.framing = self._framing
        if self._framing == FRAMING_LENGTH:
            head.content_length = sum(map(len, self._pieces))
            head.headers.append((b"content-length", b"Content-Length: %d" % head.content_length))
        elif self._framing == FRAMING_CHUNKED:
            head.headers.append((b"transfer-encoding", b"Transfer-Encoding: chunked"))
        self._next = self._loop.call_soon(self._go)
        self._relay.response(head)

    def _go(self) -> None:
        self._next = None
        for _ in range(BURST):
            if self._is_paused or self._relay.is_over():
                return
            if self._at == len(self._pieces):
                self._end()
                return
            wait_s = self._wait_s()
            if wait_s > 0:
                self._next = self._loop.call_later(wait_s, self._go)
                return
            piece = self._pieces[self._at]
            self._at += 1
            self._relay.data(encode_chunk(piece) if self._framing == FRAMING_CHUNKED else piece)
        self._next = self._loop.call_soon(self._go)

    def _wait_s(self) -> float:
        if not self._times_ms:
            return 0.0
        return self._begun + self._times_ms[self._at] / 1000 - self._loop.time()

    def _end(self) -> None:
        if self._framing == FRAMING_CHUNKED:
            self._relay.data(LAST_CHUNK)
        if not self._relay.is_over():  # a translator may have found fault with what it heard
            self._relay.end()

    def send(self, data: bytes) -> None:
        """Nobody takes it: what is asked is known (ClientCall)."""

    def finish(self) -> None:
        """Nobody waits for it (ClientCall)."""

    def abort(self) -> None:
        """Stop: the relay hears nothing more (ClientCall)."""
        self._is_paused = True
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def pause_reading(self) -> None:
        """The client reads too slowly (ClientCall)."""
        self._is_paused = True

    def resume_reading(self) -> None:
        """The client reads on (ClientCall)."""
        self._is_paused = False
        if self._next is None:
            self._next = self._loop.call_soon(self._go)


def _framing(answer: Answer, method: str) -> int:
    if method == "HEAD" or answer.status in STATUS_WITHOUT_BODY:
        return FRAMING_NONE
    return FRAMING_CHUNKED if answer.is_stream else FRAMING_LENGTH


def _pieces(answer: Answer) -> list[bytes]:
    if answer.is_stream:
        return [piece for piece in answer.pieces if piece]
    body = b"".join(answer.pieces)
    if answer.times_ms and len(body) <= PIECE_BYTES:
        return [body] if body else []
    return [body[at : at + PIECE_BYTES] for at in range(0, len(body), PIECE_BYTES)]
