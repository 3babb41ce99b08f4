"""One relayed call: bytes from client to upstream and back, untouched and at once, with a copy kept for the record.

The relay knows no provider and parses no body. It is driven straight from the two sockets' protocols: no task, no
future. `Relay` hears upstream's answer; `Upload` hears the client's body when that did not come with its head.

    WAITING ──send──▶ SENDING ──response()──▶ ANSWERING ──end()──▶ DONE
       └── client gone ──┴── upstream failed or cut ──┴────────────▶ DONE
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum
from time import perf_counter_ns
from typing import Protocol

from llmflow_web.errors import LLMFlowError, RequestError, UpstreamTimeout
from llmflow_web.model import Capture, Ending, Exchange
from llmflow_web.net.http import Client, ClientCall, ServerCall
from llmflow_web.wire.chunked import LAST_CHUNK, ChunkedDecoder, encode_chunk
from llmflow_web.wire.head import FRAMING_CHUNKED, FRAMING_LENGTH, FRAMING_NONE, ResponseHead
from llmflow_web.wire.headers import HOP_BY_HOP, get

_FRAMING_HEADERS = HOP_BY_HOP | {b"content-length"}


class State(Enum):
    """Where a relayed call is."""

    WAITING = "waiting"
    SENDING = "sending"
    ANSWERING = "answering"
    DONE = "done"


class StreamFilter(Protocol):
    """Takes payload bytes of an answer and gives those the client shall see."""

    def feed(self, data: bytes) -> bytes:
        """Take a piece, return what can go on."""

    def finish(self) -> bytes:
        """Return what was held back."""


class Relay:
    """One exchange on its way; the ResponseSink of its upstream call."""

    __slots__ = (
        "_call", "_client_call", "_decoder", "_done", "_extra", "_filter", "_head", "_loop", "_make_filter", "_refuse",
        "exchange", "state",
    )  # fmt: skip

    def __init__(
        self,
        call: ServerCall,
        exchange: Exchange,
        *,
        loop: asyncio.AbstractEventLoop,
        done: Callable[[Exchange], None],
        refuse: Callable[[ServerCall, Exchange, LLMFlowError], None],
        extra_headers: bytes,
    ) -> None:
        """Prepare the relay of `call`.

        done: called once with the closed exchange. refuse: answers the client when there is no upstream answer to
        pass on. extra_headers: header lines of ours for the answer, each ending in CRLF.
        """
        self.exchange = exchange
        self.state = State.WAITING
        self._call = call
        self._loop = loop
        self._done = done
        self._refuse = refuse
        self._extra = extra_headers
        self._make_filter: Callable[[], StreamFilter] | None = None
        self._client_call: ClientCall | None = None
        self._head: tuple[bytes, int, int | None] | None = None  # the answer's head until its first body bytes are here
        self._filter: StreamFilter | None = None
        self._decoder: ChunkedDecoder | None = None
        call.on_disconnect = self._on_client_gone

    def __repr__(self) -> str:
        return f"<Relay {self.exchange.method} {self.exchange.path} {self.state.value}>"

    # ── up ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def filter_events(self, make_filter: Callable[[], StreamFilter]) -> None:
        """Send an event-stream answer through a filter on its way to the client."""
        self._make_filter = make_filter

    def send(
        self, client: Client, origin: str, head: bytes, body: bytes, *, is_complete: bool = True, chunked: bool = False
    ) -> None:
        """Send head and `body` upstream. Unless `is_complete`, the rest follows through an `Upload`."""
        if self.state is State.DONE:  # the client left while it waited for its turn
            return
        self.state = State.SENDING
        client_call = client.request(
            origin, head, body, self, method=self.exchange.method, is_complete=is_complete, chunked=chunked
        )
        if self.is_over():  # it failed at once
            return
        self._client_call = client_call
        self._call.on_pause = client_call.pause_reading
        self._call.on_resume = client_call.resume_reading

    def is_over(self) -> bool:
        """Say whether nothing more will happen."""
        return self.state is State.DONE

    def upload(self, data: bytes) -> None:
        """Send more of the client's body."""
        if self._client_call is not None and self.state is not State.DONE:
            self._client_call.send(data)

    def finish_upload(self) -> None:
        """The client's body is complete."""
        if self._client_call is not None and self.state is not State.DONE:
            self._client_call.finish()

    def pause_upload(self) -> None:
        """Upstream takes the body too slowly (ResponseSink)."""
        self._call.pause_reading()

    def resume_upload(self) -> None:
        """Upstream takes more (ResponseSink)."""
        self._call.resume_reading()

    # ── down ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def response(self, head: ResponseHead) -> None:
        """Take the answer's head: it leaves with the first body bytes, or at the end of this turn of the loop."""
        self.state = State.ANSWERING
        exchange = self.exchange
        exchange.response_status = head.status
        exchange.response_headers = head.headers
        exchange.is_chunked = head.framing == FRAMING_CHUNKED
        framing, length = head.framing, head.content_length if head.framing == FRAMING_LENGTH else None
        block = self._answer_block(head)
        if self._make_filter is not None and _is_event_stream(head):
            self._filter = self._make_filter()
            self._decoder = ChunkedDecoder() if exchange.is_chunked else None
            framing, length = FRAMING_CHUNKED, None
        self._head = (block, framing, length)
        self._loop.call_soon(self._send_head)

    def _answer_block(self, head: ResponseHead) -> bytes:
        lines = [b"HTTP/1.1 %d %b" % (head.status, head.reason)]
        lines += [line for name, line in head.headers if name not in _FRAMING_HEADERS]
        block = b"\r\n".join(lines) + b"\r\n" + self._extra
        if head.framing == FRAMING_NONE:
            # An answer to HEAD says how long the body would be; that line is information here, not framing.
            length = get(head.headers, b"content-length")
            if length is not None:
                block += b"Content-Length: " + length + b"\r\n"
        return block[:-2]

    def _send_head(self, data: bytes = b"") -> None:
        if self._head is None or self.state is State.DONE:
            return
        block, framing, length = self._head
        self._head = None
        self._call.start_relay(block, framing=framing, length=length, data=data)

    def data(self, data: bytes) -> None:
        """Pass body bytes on, keep a copy and the time they came (ResponseSink)."""
        capture = self.exchange.response
        if capture is not None:
            self._note_arrival(capture)
            capture.add(data)
        if self._filter is not None:
            data = encode_chunk(self._filter.feed(self._payload(data)))
            if not data:
                return
        if self._head is not None:
            self._send_head(data)
        else:
            self._call.write_wire(data)

    def _payload(self, data: bytes) -> bytes:
        return data if self._decoder is None else self._decoder.feed(data)

    def end(self) -> None:
        """The answer is complete (ResponseSink)."""
        if self._filter is not None:
            last = encode_chunk(self._filter.finish()) + LAST_CHUNK
            self._send_head()
            self._call.write_wire(last)
        self._send_head()
        self._close("finished")
        self._call.finish()

    def fail(self, error: LLMFlowError) -> None:
        """There is no answer, or no more of it (ResponseSink). What the client has seen so far decides how it hears."""
        ending: Ending = "timed_out" if isinstance(error, UpstreamTimeout) else "upstream_closed"
        has_begun = self.state is State.ANSWERING
        self.exchange.error = error.message
        if has_begun:
            self._send_head()
            self._close(ending)
            self._call.abort()
        else:
            self.exchange.response_status = 0
            self._close(ending)
            self._refuse(self._call, self.exchange, error)

    def reject(self, error: RequestError) -> None:
        """Answer the client ourselves, before anything was sent upstream."""
        self.exchange.error = error.message
        self.exchange.response_status = error.status
        self._close("finished")
        self._refuse(self._call, self.exchange, error)

    def add_header(self, name: str, value: str) -> None:
        """Add a header line of ours to the answer. Before it begins."""
        self._extra += f"{name}: {value}\r\n".encode("latin-1", "replace")

    def _note_arrival(self, capture: Capture) -> None:
        now = perf_counter_ns()
        if capture.stored < capture.limit:
            self.exchange.arrivals.append((capture.size, now))
        if not self.exchange.first_byte_ns:
            self.exchange.first_byte_ns = now

    def _on_client_gone(self) -> None:
        if self.state is State.DONE:
            return
        if self._client_call is not None:
            self._client_call.abort()
        if self._call.lost_because:
            self.exchange.error = self._call.lost_because
        self._close("client_closed")

    def break_off(self, error: LLMFlowError) -> None:
        """The client's body broke off: give the upstream call up."""
        self.exchange.error = error.message
        self._on_client_gone()

    def _close(self, ending: Ending) -> None:
        self.state = State.DONE
        self._client_call = None
        self.exchange.ending = ending
        self.exchange.stopped_ns = perf_counter_ns()
        self._done(self.exchange)


class Upload:
    """The BodySink of a request that is streamed upstream as it comes."""

    __slots__ = ("_relay",)

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def data(self, data: bytes) -> None:
        """Keep a copy and pass it on."""
        request = self._relay.exchange.request
        if request is not None:
            request.add(data)
        self._relay.upload(data)

    def end(self) -> None:
        """The body is complete."""
        self._relay.finish_upload()

    def abort(self, error: LLMFlowError) -> None:
        """The client broke off."""
        self._relay.break_off(error)


class Gather:
    """The BodySink of a request that may have to be changed before it is sent: waits for all of it, up to a limit."""

    __slots__ = ("_is_streaming", "_limit", "_pieces", "_relay", "_send_streaming", "_send_whole", "_size")

    def __init__(
        self,
        relay: Relay,
        *,
        limit: int,
        send_whole: Callable[[bytes], None],
        send_streaming: Callable[[bytes], None],
    ) -> None:
        """Gather a body for `relay`.

        send_whole: called with the body when it fits into `limit` bytes. send_streaming: called once with what is here
        when it does not; the rest is passed on as it comes.
        """
        self._relay = relay
        self._limit = limit
        self._send_whole = send_whole
        self._send_streaming = send_streaming
        self._pieces: list[bytes] = []
        self._size = 0
        self._is_streaming = False

    def data(self, data: bytes) -> None:
        """Keep the piece, or pass it on once the body is known to be too long."""
        request = self._relay.exchange.request
        if request is not None:
            request.add(data)
        if self._is_streaming:
            self._relay.upload(data)
            return
        self._pieces.append(data)
        self._size += len(data)
        if self._size > self._limit:
            self._is_streaming = True
            first = b"".join(self._pieces)
            self._pieces.clear()
            self._send_streaming(first)

    def end(self) -> None:
        """Send the whole body, or end the streamed one."""
        if self._is_streaming:
            self._relay.finish_upload()
        else:
            self._send_whole(b"".join(self._pieces))

    def abort(self, error: LLMFlowError) -> None:
        """The client broke off."""
        self._relay.break_off(error)


def _is_event_stream(head: ResponseHead) -> bool:
    content_type = get(head.headers, b"content-type") or b""
    # Identity was asked for; an upstream that encodes all the same is passed on as it is.
    return content_type.lower().startswith(b"text/event-stream") and get(head.headers, b"content-encoding") is None
