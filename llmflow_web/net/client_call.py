"""One request on its way upstream: what is known of it before, while and after it has a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from llmflow_web.errors import LLMFlowError
from llmflow_web.net.http import ResponseSink
from llmflow_web.wire.chunked import LAST_CHUNK, encode_chunk

if TYPE_CHECKING:
    from llmflow_web.net.connection import Connection

MAX_WAITING_UPLOAD_BYTES = 256 * 1024
"""What is kept of a streamed request body while there is no connection yet; then the sender is asked to pause."""


class Owner(Protocol):
    """Who keeps connections and starts calls: the pool."""

    def released(self, connection: Connection) -> None:
        """Take back a connection that is ready for the next request."""

    def lost(self, connection: Connection) -> None:
        """Forget a closed connection."""

    def start_fresh(self, call: Call) -> None:
        """Send `call` on a connection that was never used."""

    def forget(self, call: Call) -> None:
        """Stop looking for a connection for `call`."""


class Call:
    """One request: a ClientCall."""

    __slots__ = (
        "_held", "_held_size", "_is_told_to_pause", "_owner", "body", "chunked", "connection", "head", "is_complete",
        "is_done", "is_paused", "is_tunnel", "is_whole", "method", "sink", "was_repeated",
    )  # fmt: skip

    def __init__(
        self,
        owner: Owner,
        head: bytes,
        body: bytes,
        sink: ResponseSink,
        *,
        method: str,
        is_complete: bool,
        chunked: bool,
    ) -> None:
        self._owner = owner
        self.head = head
        self.body = body
        self.sink = sink
        self.method = method
        self.is_complete = is_complete  # nothing more of the request follows
        self.is_whole = is_complete  # all of it was there from the start, so that it could be sent again
        self.chunked = chunked
        self.connection: Connection | None = None
        self.is_done = False  # the sink has heard the end, or wants to hear no more
        self.is_paused = False
        self.is_tunnel = False  # switched protocols: raw bytes both ways
        self.was_repeated = False
        self._held: list[bytes] = []  # body that came before there was a connection
        self._held_size = 0
        self._is_told_to_pause = False

    def __repr__(self) -> str:
        line = self.head.partition(b"\r\n")[0].partition(b"?")[0].decode("latin-1")
        state = "done" if self.is_done else "sent" if self.connection is not None else "waiting"
        return f"<Call {line} {state}>"

    # ── ClientCall ───────────────────────────────────────────────────────────────────────────────────────────────

    def send(self, data: bytes) -> None:
        """Send more of the request body; framed as the request's head said."""
        if self.is_done or not data or (self.is_complete and not self.is_tunnel):
            return
        if self.connection is not None:
            self.connection.write(encode_chunk(data) if self.chunked else data)
            return
        self._held.append(data)
        self._held_size += len(data)
        if self._held_size > MAX_WAITING_UPLOAD_BYTES and not self._is_told_to_pause:
            self._is_told_to_pause = True
            self.sink.pause_upload()

    def finish(self) -> None:
        """The request body is complete."""
        if self.is_done or self.is_complete:
            return
        self.is_complete = True
        if self.connection is not None and self.chunked:
            self.connection.write(LAST_CHUNK)

    def abort(self) -> None:
        """Give up: the connection is closed at once, the sink hears nothing more."""
        if self.is_done:
            return
        self.is_done = True
        if self.connection is not None:
            self.connection.close()
        else:
            self._owner.forget(self)

    def pause_reading(self) -> None:
        """Take no more of the answer for now (the client is slow)."""
        self.is_paused = True
        if self.connection is not None and not self.is_done:
            self.connection.pause_reading()

    def resume_reading(self) -> None:
        """Go on taking the answer."""
        self.is_paused = False
        if self.connection is not None and not self.is_done:
            self.connection.resume_reading()

    # ── for the connection ───────────────────────────────────────────────────────────────────────────────────────

    def payload(self) -> bytes:
        """Return what there is of the body, framed."""
        data = b"".join([self.body, *self._held]) if self._held else self.body
        if self.chunked:
            return encode_chunk(data) + (LAST_CHUNK if self.is_complete else b"")
        return data

    def departed(self, connection: Connection) -> None:
        """The request, as far as it is here, was written to `connection`."""
        self.connection = connection
        self._held.clear()
        if self._is_told_to_pause:
            self._is_told_to_pause = False
            self.sink.resume_upload()

    def fail(self, error: LLMFlowError) -> None:
        """Tell the sink, unless it heard the end already."""
        if not self.is_done:
            self.is_done = True
            self.sink.fail(error)
