"""One translated call: an OpenAI request goes out in the provider's own words, its answer comes back in OpenAI's.

`TranslatedRelay` is a Relay whose answer is not passed on as it came: a whole one is gathered and turned into one
OpenAI body, a stream goes event by event through the adapter's machine and leaves as it arrives. The record keeps what
the client sent and saw; the tokens in it are the provider's own count.
"""

from __future__ import annotations

import json
import re

from llmflow_web.errors import LLMFlowError, UpstreamClosed, UpstreamProtocol
from llmflow_web.model import JSON, Capture
from llmflow_web.net.relay import Relay, State
from llmflow_web.provider import Event, Operation, Provider, StreamTranslator
from llmflow_web.wire.chunked import LAST_CHUNK, ChunkedDecoder, encode_chunk
from llmflow_web.wire.content import ContentDecoder, codings_of
from llmflow_web.wire.head import FRAMING_CHUNKED, FRAMING_LENGTH, ResponseHead
from llmflow_web.wire.headers import HOP_BY_HOP, get
from llmflow_web.wire.ndjson import NDJSONDecoder
from llmflow_web.wire.sse import EventDecoder, SSEDecoder, encode

MAX_TRANSLATED_ANSWER_BYTES = 64 * 1024 * 1024
"""A whole answer is gathered before it is translated; a longer one is refused with a 502 that names this limit."""

STATUS_WRONG_KEY = 401
"""What OpenAI answers a wrong key with; Gemini says 400."""

DONE = b"data: [DONE]\n\n"
MAX_PAGE_CHARS = 8 * 1024
_TAGS = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.DOTALL | re.IGNORECASE)
_REPLACED = HOP_BY_HOP | {b"content-length", b"content-type", b"content-encoding"}


class TranslatedRelay(Relay):
    """A relay whose answers are translated by one operation of a provider."""

    __slots__ = (
        "_content",
        "_events",
        "_frames",
        "_machine",
        "_operation",
        "_original",
        "_pieces",
        "_provider",
        "_size",
    )

    _content: ContentDecoder | None
    _events: EventDecoder | None
    _frames: ChunkedDecoder | None
    _machine: StreamTranslator | None
    _operation: Operation
    _original: JSON
    _pieces: list[bytes]
    _provider: Provider
    _size: int

    def translate(self, provider: Provider, operation: Operation, original: JSON) -> None:
        """Say how the answer to `original` is to be read. Before `send`."""
        self._provider = provider
        self._operation = operation
        self._original = original
        self._frames = None
        self._content = None
        self._events = None
        self._machine = None
        self._pieces = []
        self._size = 0

    # ── the answer ───────────────────────────────────────────────────────────────────────────────────────────────

    def response(self, head: ResponseHead) -> None:
        """Take the answer's head (ResponseSink): a stream starts at once, anything else is gathered."""
        self.state = State.ANSWERING
        # What an OpenAI client gets: some statuses (Anthropic's 529) are words of the provider's own.
        self.exchange.response_status = self._provider.error_statuses.get(head.status, head.status)
        codings = codings_of((get(head.headers, b"content-encoding") or b"").decode("latin-1"))
        self._frames = ChunkedDecoder() if head.framing == FRAMING_CHUNKED else None
        self._content = ContentDecoder(codings, MAX_TRANSLATED_ANSWER_BYTES) if codings else None
        self.exchange.response_headers = _answer_headers(head, b"application/json")
        is_whole = (get(head.headers, b"content-type") or b"").lower().startswith(b"application/json")
        if head.status < 400 and self._original.get("stream") is True and not is_whole:
            self._begin_stream(head)

    def _begin_stream(self, head: ResponseHead) -> None:
        is_ndjson = self._provider.framing == "ndjson"
        self._events = NDJSONDecoder() if is_ndjson else SSEDecoder()
        self._machine = self._operation.stream(self._original)
        self.exchange.response_headers = _answer_headers(head, b"text/event-stream; charset=utf-8")
        self._head = (self._translated_head(), FRAMING_CHUNKED, None)
        self._send_head()

    def _translated_head(self) -> bytes:
        exchange = self.exchange
        lines = [b"HTTP/1.1 %d Answer" % exchange.response_status]
        lines += [line for _, line in exchange.response_headers]
        return (b"\r\n".join(lines) + b"\r\n" + self._extra)[:-2]

    def data(self, data: bytes) -> None:
        """Take body bytes (ResponseSink)."""
        payload = data if self._frames is None else self._frames.feed(data)
        if self._content is not None:
            payload = self._content.feed(payload)
        if self._events is not None:
            self._translate(self._events.feed(payload))
            return
        self._size += len(payload)
        if self._size > MAX_TRANSLATED_ANSWER_BYTES:
            self._give_up(UpstreamProtocol(f"the answer is longer than {MAX_TRANSLATED_ANSWER_BYTES} bytes"))
            return
        self._pieces.append(payload)

    def _translate(self, events: list[Event]) -> None:
        machine = self._machine
        assert machine is not None  # a stream has begun
        chunks = [chunk for event in events for chunk in machine.feed(event)]
        if chunks:
            self._send_events(b"".join([self._encoded(chunk) for chunk in chunks]))

    def _send_events(self, data: bytes) -> None:
        self._keep(data)
        self._call.write_wire(encode_chunk(data))

    def end(self) -> None:
        """The answer is complete (ResponseSink)."""
        if self._machine is None:
            self._answer_whole()
        else:
            self._end_stream(self._machine)

    def _end_stream(self, machine: StreamTranslator) -> None:
        assert self._events is not None  # as the machine
        self._translate(self._events.finish())
        owed = b"".join([self._encoded(chunk) for chunk in machine.finish()]) if machine.is_complete else b""
        self._note_result(machine)
        if not machine.is_complete and machine.result.error is None:
            # The provider's own end never came: the client must not take what it has for a whole answer.
            self.fail(UpstreamClosed("the stream ended without its end marker"))
            return
        # After an error there is no [DONE]: what came is no whole answer.
        self._send_events(owed + DONE if machine.is_complete else owed)
        self._call.write_wire(LAST_CHUNK)
        self._close("finished")
        self._call.finish()

    def _note_result(self, machine: StreamTranslator) -> None:
        self.exchange.usage = machine.result.usage

    def fail(self, error: LLMFlowError) -> None:
        """There is no answer, or no more of it (ResponseSink)."""
        if self._machine is None:
            self.state = State.SENDING  # nothing of a gathered answer has reached the client: it can be told
        else:
            self._note_result(self._machine)
        super().fail(error)

    def _give_up(self, error: LLMFlowError) -> None:
        client_call = self._client_call
        self.fail(error)
        if client_call is not None:
            client_call.abort()

    # ── a whole answer ───────────────────────────────────────────────────────────────────────────────────────────

    def _answer_whole(self) -> None:
        body = b"".join(self._pieces)
        status = self.exchange.response_status
        try:
            value = self._translated(status, body)
        except (ValueError, KeyError, TypeError, AttributeError, LLMFlowError) as error:
            self.fail(UpstreamProtocol(f"the answer could not be read as {self._provider.title}'s: {error}"))
            return
        data = _json(self._dated(value)).encode()
        if self.exchange.response_status >= 400:
            self._note_error(value)
        self._keep(data)
        self._call.start_relay(self._translated_head(), framing=FRAMING_LENGTH, length=len(data), data=data)
        self._close("finished")
        self._call.finish()

    def _note_error(self, value: JSON) -> None:
        """Say in status and header what providers only say in the body: a wrong key, and how long to wait."""
        exchange, error = self.exchange, value["error"]
        if error.get("code") == "invalid_api_key":
            exchange.response_status = STATUS_WRONG_KEY
        wait = error.get("retry_after")
        if wait is not None and get(exchange.response_headers, b"retry-after") is None:
            exchange.response_headers = [*exchange.response_headers, (b"retry-after", b"Retry-After: %d" % wait)]

    def _translated(self, status: int, body: bytes) -> JSON:
        native = _parsed(body)
        if status < 400 and isinstance(native, dict) and isinstance(native.get("error"), dict):
            status = self.exchange.response_status = UpstreamProtocol.status  # an error that came as a success
        if status >= 400:
            return self._provider.translate_error(status, native if isinstance(native, dict) else _words_of(body))
        if not isinstance(native, dict) or self._operation.response is None:
            raise ValueError("it is not a JSON object")
        self.exchange.usage = self._provider.usage(native, self._original)
        return self._operation.response(native, self._original)

    def _encoded(self, chunk: JSON) -> bytes:
        return encode(_json(self._dated(chunk)))

    def _dated(self, value: JSON) -> JSON:
        """Put the time into what adapters, which have no clock, left undated."""
        if value.get("created") == 0:
            value["created"] = self.exchange.start_ns // 1_000_000_000
        return value

    def _keep(self, data: bytes) -> None:
        capture: Capture | None = self.exchange.response
        if capture is not None:
            self._note_arrival(capture)
            capture.add(data)


def _json(value: JSON) -> str:
    # Escaped, so that a lone surrogate from a model is no error here.
    return json.dumps(value, separators=(",", ":"))


def _parsed(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _words_of(body: bytes) -> str:
    """Return an error body that is no JSON object; of a page of some gateway's only its words."""
    text = body.decode("utf-8", "replace")
    if not text.lstrip().startswith("<"):
        return text
    return " ".join(_TAGS.sub(" ", text[:MAX_PAGE_CHARS]).split())


def _answer_headers(head: ResponseHead, content_type: bytes) -> list[tuple[bytes, bytes]]:
    kept = [(name, line) for name, line in head.headers if name not in _REPLACED]
    request_id = get(head.headers, b"request-id")  # Anthropic's name of it
    if request_id is not None and get(head.headers, b"x-request-id") is None:
        kept.append((b"x-request-id", b"X-Request-Id: " + request_id))
    return [*kept, (b"content-type", b"Content-Type: " + content_type)]
