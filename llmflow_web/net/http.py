"""The values and contracts of HTTP here: what the server hands to routes and what the client hands to sinks.

Everything is callback-driven, so that a relayed call costs no task and no future: `data` and friends are called
straight from the socket's protocol. Code that would rather wait uses `ServerCall.body()` and `Client.fetch()`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from llmflow_web.errors import LLMFlowError
from llmflow_web.model import Header
from llmflow_web.wire.head import RequestHead, ResponseHead

Handler = Callable[["ServerCall"], None]


class BodySink(Protocol):
    """Takes a request body as it arrives; exactly one of `end` and `abort` comes last.

    Neither comes once the call's answer is finished: nobody is owed the rest then. Where a client goes or its framing
    turns out wrong, `abort` comes first, `on_disconnect` after it, and the server says what can still be said.
    """

    def data(self, data: bytes) -> None:
        """Take payload bytes (chunk framing already undone)."""

    def end(self) -> None:
        """The body is complete."""

    def abort(self, error: LLMFlowError) -> None:
        """The client broke off, or its framing was wrong."""


class ServerCall(Protocol):
    """One request being answered: the handle a route gets. All methods belong to the loop's thread."""

    head: RequestHead
    path: str  # decoded as latin-1, still percent-encoded, no query
    query: str  # without "?"
    peer: str  # "127.0.0.1"
    is_loopback: bool  # the peer is
    received_ns: int  # perf_counter_ns at the head's last byte
    whole_body: bytes | None  # the body, if all of it came with the head (b"" when there is none), else None
    on_disconnect: Callable[[], None] | None  # called once if the client goes before the answer is finished
    lost_because: str  # why it is over where it was not the client that went; read in on_disconnect
    on_pause: Callable[[], None] | None  # the client reads too slowly: stop writing …
    on_resume: Callable[[], None] | None  # … and go on
    route: str  # a short name for console and debugging, set by the route
    extra_lines: bytes  # header lines, each with CRLF, added to `respond` and `start` (CORS); not to `start_relay`

    def header(self, name: bytes) -> bytes | None:
        """Return the first value of the header `name` (lower case), or None."""

    def read(self, sink: BodySink) -> None:
        """Send the body to `sink`: what is there at once, the rest as it comes. Once per call."""

    async def body(self, limit: int) -> bytes:
        """Wait for the whole body. Raises TooLarge over `limit` bytes, RequestError if it breaks off."""

    def pause_reading(self) -> None:
        """Take no more of the request body for now (upstream is slow)."""

    def resume_reading(self) -> None:
        """Go on taking the request body."""

    def respond(self, status: int, headers: Sequence[tuple[str, str]], body: bytes = b"") -> None:
        """Answer with a whole body, in one write. Framing headers are added; HEAD, 204 and 304 lose the body."""

    def respond_json(self, status: int, value: object, headers: Sequence[tuple[str, str]] = ()) -> None:
        """Answer with JSON."""

    def start(self, status: int, headers: Sequence[tuple[str, str]], *, length: int | None = None) -> None:
        """Begin an answer whose body comes by `write`: `length` bytes, or chunked (close-framed on HTTP/1.0)."""

    def write(self, data: bytes) -> None:
        """Write payload; the server frames it."""

    def finish(self) -> None:
        """End the answer cleanly."""

    def start_relay(self, head: bytes, *, framing: int, length: int | None, data: bytes = b"") -> None:
        """Begin an answer whose head block and body framing come from upstream.

        `head` is status line and header lines joined by CRLF, without hop-by-hop headers, without framing headers,
        without the final blank line. The server adds Connection and framing and joins head and `data` in one write.
        framing: head.FRAMING_NONE | FRAMING_LENGTH | FRAMING_CHUNKED | FRAMING_CLOSE.
        """

    def write_wire(self, data: bytes) -> None:
        """Write body bytes that already carry upstream's framing (undone here for an HTTP/1.0 client)."""

    def abort(self) -> None:
        """Break the connection off so that the client sees a cut: no terminating chunk, no invented end."""

    def upgrade(self, head: bytes) -> tuple[object, bytes]:
        """Send `head` (a complete 101 head with its blank line) and give up the connection.

        Returns (asyncio.Transport, bytes already read after the request). The caller sets the transport's protocol.
        """


class ResponseSink(Protocol):
    """Takes an upstream answer. Exactly one of `end` and `fail` comes last (neither after `ClientCall.abort`)."""

    def response(self, head: ResponseHead) -> None:
        """The final (not 1xx) head has come."""

    def data(self, data: bytes) -> None:
        """Body bytes as on the wire: with FRAMING_CHUNKED the chunk framing is included, checked and complete."""

    def end(self) -> None:
        """The answer is complete."""

    def fail(self, error: LLMFlowError) -> None:
        """No answer, or no more of it: unreachable, cut, not HTTP, timed out."""

    def pause_upload(self) -> None:
        """Upstream takes the request body too slowly."""

    def resume_upload(self) -> None:
        """Upstream takes more of it."""


class ClientCall(Protocol):
    """One request on its way upstream."""

    def send(self, data: bytes) -> None:
        """Send more of the request body; framed as the request's head said."""

    def finish(self) -> None:
        """The request body is complete."""

    def abort(self) -> None:
        """Give up: the connection is closed at once, the sink hears nothing more."""

    def pause_reading(self) -> None:
        """Take no more of the answer for now (the client is slow)."""

    def resume_reading(self) -> None:
        """Go on taking the answer."""


class Client(Protocol):
    """The way to upstreams: pooled keep-alive connections per origin."""

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
        """Send a request and return at once; everything else happens through `sink`.

        origin: "https://api.openai.com" or "http://127.0.0.1:8000" (scheme, host, optional port; lower case).
        head: request line and all header lines with CRLF and the final blank line (Host and framing included).
        body: what is there of the body already, as payload; head and body leave in one write.
        is_complete: nothing follows. Otherwise `send` and `finish` follow.
        chunked: the head says transfer-encoding: chunked, so payload is framed by the client.
        """

    async def fetch(
        self,
        method: str,
        url: str,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
        *,
        timeout_s: float = 10.0,
    ) -> tuple[int, list[Header], bytes]:
        """Fetch a small answer whole (bodies over MAX_FETCH_BYTES raise). For health checks and the demo."""
