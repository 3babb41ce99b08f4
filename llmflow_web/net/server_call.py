"""One request being answered: everything a route may do to it, written by hand onto its connection.

    NEW ──start()/start_relay()──▶ STARTED ──finish()──▶ OVER
     └──────────respond(), upgrade(), abort()────────────▶ OVER     (abort() and a client that goes: from anywhere)

What a route still does to a call that is over has no effect, so that nobody needs to ask first.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Sequence
from time import perf_counter_ns
from typing import TYPE_CHECKING

from llmflow_web.errors import LLMFlowError, RequestError, TooLarge
from llmflow_web.net.http import BodySink
from llmflow_web.wire.chunked import LAST_CHUNK, ChunkedDecoder, encode_chunk
from llmflow_web.wire.head import FRAMING_CHUNKED, FRAMING_CLOSE, FRAMING_LENGTH, FRAMING_NONE, RequestHead
from llmflow_web.wire.headers import get

if TYPE_CHECKING:
    from llmflow_web.net.server_connection import Connection

NEW, STARTED, OVER = range(3)
_STAGES = ("new", "started", "over")
_FRAMING_OWN_CHUNKS = 4  # payload comes, we make the chunks

_REASONS = {
    100: "Continue", 101: "Switching Protocols", 200: "OK", 201: "Created", 202: "Accepted", 204: "No Content",
    206: "Partial Content", 207: "Multi-Status", 301: "Moved Permanently", 302: "Found", 303: "See Other",
    304: "Not Modified", 307: "Temporary Redirect", 308: "Permanent Redirect", 400: "Bad Request",
    401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 408: "Request Timeout",
    409: "Conflict", 411: "Length Required", 413: "Content Too Large", 415: "Unsupported Media Type",
    422: "Unprocessable Content", 426: "Upgrade Required", 429: "Too Many Requests",
    431: "Request Header Fields Too Large", 500: "Internal Server Error", 501: "Not Implemented", 502: "Bad Gateway",
    503: "Service Unavailable", 504: "Gateway Timeout", 505: "HTTP Version Not Supported",
}  # fmt: skip
_STATUS_LINES = {status: f"HTTP/1.1 {status} {reason}\r\n" for status, reason in _REASONS.items()}
_HEADER_LINES = re.compile(r"(?:[-!#$%&'*+.^_`|~0-9a-zA-Z]++: [\t -~\x80-\xff]*+\r\n)*+")
_BODILESS = frozenset({204, 304})

_CODES = {
    400: "bad_request", 408: "request_timeout", 413: "body_too_large", 431: "head_too_large", 500: "internal_error",
    501: "not_implemented", 503: "too_many_connections", 505: "http_version_not_supported",
}  # fmt: skip


def error_body(status: int, message: str) -> dict[str, object]:
    """Return an error in OpenAI's shape."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": _CODES.get(status)}}


def head_block(status: int, headers: Sequence[tuple[str, str]]) -> bytes:
    """Return status line and header lines. Raises ValueError for a header that would be more than one line."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers])
    if _HEADER_LINES.fullmatch(lines) is None or lines.count("\n") != len(headers):
        raise ValueError(f"not a header: {headers!r}")
    return ((_STATUS_LINES.get(status) or f"HTTP/1.1 {status:03d} \r\n") + lines).encode("latin-1")


class Call:
    """A request and the way to answer it (net.http.ServerCall)."""

    __slots__ = (
        "_connection", "_decoder", "_framing", "_keep", "_left", "_stage", "extra_lines", "head", "is_loopback",
        "lost_because", "on_disconnect", "on_pause", "on_resume", "path", "peer", "query", "received_ns", "route",
        "whole_body",
    )  # fmt: skip

    def __init__(self, connection: Connection, head: RequestHead, whole_body: bytes | None) -> None:
        self.head = head
        self.path, _, self.query = head.target.decode("latin-1").partition("?")
        self.peer = connection.peer
        self.is_loopback = connection.is_loopback
        self.received_ns = perf_counter_ns()
        self.whole_body = whole_body
        self.on_disconnect: Callable[[], None] | None = None
        self.lost_because = ""
        self.on_pause: Callable[[], None] | None = None
        self.on_resume: Callable[[], None] | None = None
        self.route = ""
        self.extra_lines = b""
        self._connection = connection
        self._stage = NEW
        self._framing = FRAMING_NONE
        self._left = 0  # bytes still owed where the answer's length was said
        self._keep = False  # the connection outlives the answer
        self._decoder: ChunkedDecoder | None = None

    def __repr__(self) -> str:
        what = f"{self.head.method.decode('latin-1')} {self.path}"
        return f"<Call {what} {_STAGES[self._stage]} route={self.route!r}>"

    @property
    def is_started(self) -> bool:
        """Say whether some of an answer has been sent."""
        return self._stage != NEW

    @property
    def is_over(self) -> bool:
        """Say whether the answer is finished, or can no longer be given."""
        return self._stage == OVER

    # --- the request ---

    def header(self, name: bytes) -> bytes | None:
        """Return the first value of the header `name` (lower case), or None."""
        return get(self.head.headers, name)

    def read(self, sink: BodySink) -> None:
        """Send the body to `sink`. Once per call; nothing more comes when the answer is finished first."""
        if self.whole_body is None:
            self._connection.read_body(self, sink)
            return
        if self.whole_body:
            sink.data(self.whole_body)
        sink.end()

    async def body(self, limit: int) -> bytes:
        """Wait for the whole body. Raises TooLarge over `limit` bytes, RequestError if it breaks off."""
        if self.whole_body is None:
            if self.head.content_length > limit:
                raise _too_large(limit)
            collector = _Collector(limit)
            self._connection.read_body(self, collector)
            return await collector.whole
        if len(self.whole_body) > limit:
            raise _too_large(limit)
        return self.whole_body

    def pause_reading(self) -> None:
        """Take no more of the request body for now (upstream is slow)."""
        self._connection.pause_body(self)

    def resume_reading(self) -> None:
        """Go on taking the request body."""
        self._connection.resume_body(self)

    # --- the answer ---

    def respond(self, status: int, headers: Sequence[tuple[str, str]], body: bytes = b"") -> None:
        """Answer with a whole body, in one write. Framing headers are added; HEAD, 204 and 304 lose the body."""
        if self._is_too_late():
            return
        block = head_block(status, headers)
        connection = self._connection
        keep = connection.may_keep(self)
        length = b"" if status in _BODILESS else b"content-length: %d\r\n" % len(body)
        if status in _BODILESS or self.head.method == b"HEAD":
            body = b""
        closing = b"" if keep else b"connection: close\r\n"
        self._stage = OVER
        lines = connection.date_line + self.extra_lines
        connection.send(b"%b%b%b%b\r\n%b" % (block, lines, length, closing, body))
        connection.answer_done(keep=keep)

    def respond_json(self, status: int, value: object, headers: Sequence[tuple[str, str]] = ()) -> None:
        """Answer with JSON."""
        try:
            body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
        except UnicodeEncodeError:  # half a surrogate pair, from a body cut inside an emoji: only an escape can say it
            body = json.dumps(value).encode()
        self.respond(status, [("content-type", "application/json"), *headers], body)

    def start(self, status: int, headers: Sequence[tuple[str, str]], *, length: int | None = None) -> None:
        """Begin an answer whose body comes by `write`: `length` bytes, or chunked (close-framed on HTTP/1.0)."""
        if self._is_too_late():
            return
        block = head_block(status, headers) + self._connection.date_line + self.extra_lines
        framing = _FRAMING_OWN_CHUNKS if length is None else FRAMING_LENGTH
        self._begin(block, FRAMING_NONE if status in _BODILESS else framing, length, b"")

    def start_relay(self, head: bytes, *, framing: int, length: int | None, data: bytes = b"") -> None:
        """Begin an answer whose head block and body framing come from upstream (see net.http).

        An upstream body that only the end of its connection delimits is chunked here, so that a cut can be seen.
        """
        if self._is_too_late():
            return
        if framing == FRAMING_CLOSE:
            framing = _FRAMING_OWN_CHUNKS
        self._begin(head + b"\r\n", framing, length, data)

    def _begin(self, block: bytes, framing: int, length: int | None, data: bytes) -> None:
        is_modern = self.head.version == b"1.1"
        line = b""
        if framing == FRAMING_LENGTH:
            self._left = length or 0
            line = b"content-length: %d\r\n" % self._left
        elif framing != FRAMING_NONE and is_modern:
            line = b"transfer-encoding: chunked\r\n"
        elif framing != FRAMING_NONE:
            self._decoder = ChunkedDecoder() if framing == FRAMING_CHUNKED else None
            framing = FRAMING_CLOSE
        self._framing = FRAMING_NONE if self.head.method == b"HEAD" else framing
        self._keep = self._connection.may_keep(self)
        self._stage = STARTED
        closing = b"" if self._keep else b"connection: close\r\n"
        framed = self._framed(data) if data else b""
        self._connection.send(b"%b%b%b\r\n%b" % (block, line, closing, framed))

    def write(self, data: bytes) -> None:
        """Write payload; the server frames it."""
        if data and self._stage == STARTED and (framed := self._framed(data)):
            self._connection.send(framed)

    def write_wire(self, data: bytes) -> None:
        """Write body bytes that already carry upstream's framing (undone here for an HTTP/1.0 client)."""
        self.write(data)

    def _framed(self, data: bytes) -> bytes:
        framing = self._framing
        if framing == FRAMING_CHUNKED:
            return data
        if framing == _FRAMING_OWN_CHUNKS:
            return encode_chunk(data)
        if framing == FRAMING_LENGTH:
            self._left -= len(data)
            if self._left < 0:
                raise ValueError("the answer is longer than its Content-Length")
            return data
        if framing == FRAMING_NONE:
            return b""
        return data if self._decoder is None else self._decoder.feed(data)

    def finish(self) -> None:
        """End the answer cleanly. One that is shorter than its Content-Length is cut off instead."""
        if self._stage != STARTED:
            return
        if self._framing == FRAMING_LENGTH and self._left:
            self.abort()
            return
        self._stage = OVER
        if self._framing == _FRAMING_OWN_CHUNKS:
            self._connection.send(LAST_CHUNK)
        self._connection.answer_done(keep=self._keep)

    def abort(self) -> None:
        """Break the connection off so that the client sees a cut: no terminating chunk, no invented end."""
        if self._stage == OVER:
            return
        # Only a reset tells a cut from the end where the connection's end is the body's.
        is_reset = self._stage == STARTED and self._framing == FRAMING_CLOSE
        self._stage = OVER
        self._connection.cut(is_reset=is_reset)

    def upgrade(self, head: bytes) -> tuple[object, bytes]:
        """Send `head` (a complete 101 head with its blank line) and give up the connection.

        Raises RequestError when the client has gone.
        """
        if self._stage != NEW:
            raise RequestError("The client closed the connection.")
        self._stage = OVER
        return self._connection.give_up(head)

    def close_off(self) -> None:
        """Take the answer out of the route's hands (the connection says so: the client has gone, or misbehaved)."""
        self._stage = OVER

    def _is_too_late(self) -> bool:
        if self._stage == STARTED:
            raise RuntimeError(f"{self!r} is being answered already")
        return self._stage == OVER


class _Collector:
    """Gathers a request body."""

    __slots__ = ("_limit", "_pieces", "_size", "whole")

    def __init__(self, limit: int) -> None:
        self.whole: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._limit = limit
        self._pieces: list[bytes] = []
        self._size = 0

    def data(self, data: bytes) -> None:
        """Take payload."""
        self._size += len(data)
        if self._size > self._limit:
            self._pieces.clear()
            self.abort(_too_large(self._limit))
        else:
            self._pieces.append(data)

    def end(self) -> None:
        """The body is complete."""
        if not self.whole.done():
            self.whole.set_result(b"".join(self._pieces))

    def abort(self, error: LLMFlowError) -> None:
        """The body will not come."""
        if not self.whole.done():
            self.whole.set_exception(error)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body is larger than {limit} bytes.")
