"""Request bodies being read: by length, by chunks, or by h11 where h11 judged the head.

A reader is fed the bytes behind the head and gives payload; at `is_done`, `rest` is what belongs to the next request.
"""

from __future__ import annotations

from typing import Protocol

import h11

from llmflow_web.errors import BadRequest, RequestError
from llmflow_web.wire.chunked import MAX_TRAILER_BYTES, ChunkedError, ChunkedWalker
from llmflow_web.wire.head import FRAMING_CHUNKED, RequestHead, refuse_odd_head, request_head_from_h11

# What h11 may hold unfinished; heads are complete when it gets them, and our reader bounds trailers first.
_MAX_INCOMPLETE_BYTES = 2 * MAX_TRAILER_BYTES


class RequestBody(Protocol):
    """Reads one request body."""

    is_done: bool
    rest: bytes

    def feed(self, data: bytes) -> bytes:
        """Take bytes off the wire, return the payload in them. Raises RequestError."""

    def is_at_most(self, limit: int) -> bool:
        """Say whether no more than `limit` bytes are known to come."""


class LengthBody:
    """A body of known length."""

    __slots__ = ("_left", "is_done", "rest")

    def __init__(self, length: int) -> None:
        self._left = length
        self.is_done = not length
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """Take bytes off the wire, return the payload in them."""
        left = self._left
        if len(data) < left:
            self._left = left - len(data)
            return data
        self._left = 0
        self.is_done = True
        self.rest = data[left:]
        return data[:left]

    def is_at_most(self, limit: int) -> bool:
        """Say whether no more than `limit` bytes are known to come."""
        return self._left <= limit


class ChunkedBody:
    """A chunked body."""

    __slots__ = ("_walker", "is_done", "rest")

    def __init__(self) -> None:
        self._walker = ChunkedWalker()
        self.is_done = False
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """Take bytes off the wire, return the payload in them. Raises BadRequest."""
        payload: list[bytes] = []
        try:
            end = self._walker.collect(data, 0, payload)
        except ChunkedError as error:
            raise BadRequest(f"The body is not chunked as it should be: {error}.") from error
        if self._walker.is_done:
            self.is_done = True
            self.rest = data[end:]
        return payload[0] if len(payload) == 1 else b"".join(payload)

    def is_at_most(self, limit: int) -> bool:  # noqa: ARG002 - how much comes is not known
        """Say whether no more than `limit` bytes are known to come."""
        return True


class H11Body:
    """A body whose head h11 judged: our reader finds its end, h11 reads exactly those bytes, and both must agree."""

    __slots__ = ("_connection", "_finder", "is_done", "rest")

    def __init__(self, connection: h11.Connection, head: RequestHead) -> None:
        self._connection = connection
        self._finder: RequestBody = (
            ChunkedBody() if head.framing == FRAMING_CHUNKED else LengthBody(head.content_length)
        )
        self.is_done = False
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """Take bytes off the wire, return the payload in them. Raises RequestError."""
        connection, finder = self._connection, self._finder
        found = finder.feed(data)
        used = data[: len(data) - len(finder.rest)] if finder.rest else data
        if used:  # to h11, no bytes at all mean the end of the connection
            connection.receive_data(used)
        payload: list[bytes] = []
        try:
            while isinstance(event := connection.next_event(), h11.Data):
                payload.append(bytes(event.data))
        except h11.RemoteProtocolError as error:
            raise _error_from_h11(error) from error
        self.is_done = isinstance(event, h11.EndOfMessage)
        self.rest = finder.rest
        if self.is_done != finder.is_done or b"".join(payload) != found:
            raise BadRequest("The body can be read in more than one way.")
        return found

    def is_at_most(self, limit: int) -> bool:
        """Say whether no more than `limit` bytes are known to come."""
        return self._finder.is_at_most(limit)


def judge_request(data: bytes) -> tuple[RequestHead, RequestBody]:
    """Let h11 read a request's head, complete with its blank line. Raises RequestError."""
    refuse_odd_head(data)
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=_MAX_INCOMPLETE_BYTES)
    connection.receive_data(data)
    try:
        event = connection.next_event()
    except h11.RemoteProtocolError as error:
        raise _error_from_h11(error) from error
    if not isinstance(event, h11.Request):
        raise BadRequest("What came is not an HTTP request.")
    if event.http_version not in {b"1.0", b"1.1"}:
        raise _with_status(BadRequest("Only HTTP/1.1 and HTTP/1.0 are spoken here."), 505)
    head = request_head_from_h11(event.method, event.target, event.http_version, event.headers.raw_items())
    return head, H11Body(connection, head)


def _error_from_h11(error: h11.RemoteProtocolError) -> RequestError:
    return _with_status(BadRequest(f"The request is not valid HTTP: {error}."), error.error_status_hint)


def _with_status(error: RequestError, status: int) -> RequestError:
    error.status = status
    return error
