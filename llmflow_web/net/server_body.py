"""Request bodies being read: by length, by chunks, or by h11 where h11 judged the head.

A reader is fed the bytes behind the head and gives payload; at `is_done`, `rest` is what belongs to the next request.
"""

from __future__ import annotations

from typing import Protocol

import h11

from llmflow_web.errors import BadRequest, HeaderTooLarge, RequestError
from llmflow_web.wire.chunked import ChunkedError, ChunkedWalker
from llmflow_web.wire.head import FRAMING_CHUNKED, RequestHead, refuse_odd_head, request_head_from_h11


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
    """A body read by the h11 connection that read its head; chunk framing must please our stricter walker as well."""

    __slots__ = ("_connection", "_left", "_walker", "is_done", "rest")

    def __init__(self, connection: h11.Connection, head: RequestHead, data: bytes) -> None:
        self._connection = connection
        self._walker = ChunkedWalker() if head.framing == FRAMING_CHUNKED else None
        self._left = head.content_length
        self.is_done = False
        self.rest = b""
        self._walk(data)

    def _walk(self, data: bytes) -> None:
        if self._walker is not None:
            try:
                self._walker.feed(data)
            except ChunkedError as error:
                raise BadRequest(f"The body is not chunked as it should be: {error}.") from error

    def feed(self, data: bytes) -> bytes:
        """Take bytes off the wire, return the payload in them. Raises RequestError."""
        connection = self._connection
        if data:  # to h11, no bytes at all mean the end of the connection
            self._walk(data)
            connection.receive_data(data)
        payload: list[bytes] = []
        try:
            while isinstance(event := connection.next_event(), h11.Data):
                payload.append(bytes(event.data))
        except h11.RemoteProtocolError as error:
            raise _error_from_h11(error) from error
        if isinstance(event, h11.EndOfMessage):
            self.is_done = True
            self.rest = connection.trailing_data[0]
        taken = b"".join(payload)
        self._left -= len(taken)
        return taken

    def is_at_most(self, limit: int) -> bool:
        """Say whether no more than `limit` bytes are known to come."""
        return self._left <= limit


def judge_request(data: bytes, head_end: int, *, max_head_bytes: int) -> tuple[RequestHead, RequestBody]:
    """Let h11 read the request that starts `data`, whose head ends at `head_end`. Raises RequestError."""
    refuse_odd_head(data[:head_end])
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=max_head_bytes)
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
    return head, H11Body(connection, head, data[head_end:])


def _error_from_h11(error: h11.RemoteProtocolError) -> RequestError:
    if error.error_status_hint == 431:
        return HeaderTooLarge("The head of the request is too long.")
    return _with_status(BadRequest(f"The request is not valid HTTP: {error}."), error.error_status_hint)


def _with_status(error: RequestError, status: int) -> RequestError:
    error.status = status
    return error
