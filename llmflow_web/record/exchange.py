"""Exchange → Row: what a finished call becomes. Runs in the writer thread, once per call.

`RowMaker` is the `to_rows` of the store. Nothing of what strangers send may raise here: in the worst case a row holds
what is known and says what was dropped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import is_

from llmflow_web.model import (
    JSON,
    MAX_STORED_BODY_BYTES,
    PART_ANSWER,
    PART_ARRIVALS,
    PART_ATTRIBUTES,
    PART_HEADERS,
    PART_INPUT,
    PART_OTLP,
    PART_REQUEST,
    PART_RESPONSE,
    STATUS_CLIENT_CLOSED,
    STATUS_TIMED_OUT,
    STATUS_UPSTREAM_CLOSED,
    Body,
    Completion,
    Ending,
    Exchange,
    Log,
    Metric,
    Row,
    Span,
    Stored,
    Taken,
    Unrecorded,
    Usage,
)
from llmflow_web.provider import Event, Native, Provider, StreamTranslator
from llmflow_web.record.answer_masks import is_matched, masked_answer
from llmflow_web.record.billing import Prices, bill_foreign, set_cost
from llmflow_web.record.bodiless import log_without_body, row_without_bodies
from llmflow_web.record.labels import MAX_ID_CHARS, Labels, labels_from, tool_of, tool_of_service
from llmflow_web.record.observed import (
    Seen,
    arrival_of,
    decoded_arrivals,
    parsed_object,
    relative_arrivals,
    request_seen,
    response_seen,
)
from llmflow_web.record.previews import answer_preview, asked_preview, estimated_tokens, preview, prompt_characters
from llmflow_web.record.prompts import name_prompt, tell_prompt
from llmflow_web.record.realtime import OPERATION, read_session
from llmflow_web.record.redact import (
    Secret,
    credentials_in,
    redact_bytes,
    redact_query,
    redact_span,
    redacted_headers_json,
)
from llmflow_web.record.telemetry_rows import TelemetryRedactor, is_known_clean, redact_attributes
from llmflow_web.wire.arrivals import encode_arrivals
from llmflow_web.wire.forms import form_fields
from llmflow_web.wire.headers import value_of
from llmflow_web.wire.ndjson import JSONArrayDecoder, NDJSONDecoder
from llmflow_web.wire.sse import EventDecoder, SSEDecoder

_ENDINGS = {
    "client_closed": (STATUS_CLIENT_CLOSED, "the client went before the answer was complete"),
    "upstream_closed": (STATUS_UPSTREAM_CLOSED, "the provider broke the answer off"),
    "timed_out": (STATUS_TIMED_OUT, "the provider sent nothing for too long"),
}
STATUS_OK = 200
_TEXT_OPERATIONS = frozenset({"chat", "text_completion"})
_REQUEST_IDS = (b"request-id", b"x-request-id")
_FREE_OPERATIONS = frozenset({"moderation", "count_tokens"})
_QUIET_METHODS = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})
_BINARY_TYPES = (b"audio/", b"image/", b"video/", b"application/octet-stream", b"application/zip", b"font/")
_LINE_TYPES = (b"application/x-ndjson", b"application/stream+json")  # the latter is Cohere v1's
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_SHORT_BYTES = 4096  # what is worth remembering that it holds no secret
_LENT_KEY = "the key of LLMFlow's environment was used"
_INJECTED = "stream_options.include_usage was asked for by LLMFlow"


@dataclass(slots=True)
class _Reading:
    """Everything worked out about one exchange on the way to its row."""

    native: Native
    request: JSON
    response: Seen
    request_seen: Seen
    secrets: Sequence[Secret]
    is_streamed: bool = False  # the answer came as events
    completion: Completion | None = None
    usage: Usage | None = None
    answer: JSON | None = None  # the parsed body of an answer that was no stream
    error: str | None = None
    ttft_ms: float | None = None
    chunk_count: int | None = None
    arrivals: list[tuple[int, int]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    ending: Ending | None = None  # of a session, which says goodbye in its own words

    def forget_stream(self) -> None:
        """Let go of the raw answer: what a pattern of the user's matches may be spread over its events."""
        self.response = replace(self.response, data=b"", is_cut=True)
        self.arrivals = []
        self.notes.append("the stream itself is not kept: it holds what --redact masks")


class RowMaker:
    """Makes rows of what comes down the recorder's queue: exchanges, and rows of spans, logs and metrics sent to us."""

    def __init__(
        self,
        providers: Mapping[str, Provider],
        prices: Prices,
        *,
        max_body_bytes: int = MAX_STORED_BODY_BYTES,
        secrets: Sequence[str] = (),
        patterns: Sequence[re.Pattern[str]] = (),
        has_bodies: bool = True,
    ) -> None:
        """Read calls by `providers` (by name, the user's own upstreams included; others read as OpenAI's dialect).

        secrets: values to mask wherever they turn up, such as LLMFlow's own token. patterns: what else is masked, as
        the user wants it. has_bodies: whether spans and logs of others keep prompts and answers; a call says it itself.
        """
        self._providers = dict(providers)
        self._prices = prices
        self._max_body_bytes = max_body_bytes
        self._secrets: tuple[Secret, ...] = (*(secret.encode() for secret in secrets if secret), *patterns)
        self._has_bodies = has_bodies

    def __call__(self, item: object) -> Sequence[Taken]:
        """Return the rows of one item of the queue."""
        if isinstance(item, Exchange):
            if item.record == "off" and item.request is None:
                return []
            # A provider may say in its error which key it did not like, whatever shape keys have there.
            secrets = (*self._secrets, *credentials_in(item.request_headers))
            try:
                row = self._row(item, secrets)
            except Exception as error:  # noqa: BLE001  (strangers' bytes: a call is never lost to its contents)
                row = _bare_row(item, error)
            redact_span(row.span, secrets)
            row.span.counts = not item.is_refused
            return [Unrecorded(row.span)] if item.record == "off" else [row]
        return self._foreign_rows(item if isinstance(item, (list, tuple)) else [item])

    # ── a call ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _row(self, exchange: Exchange, secrets: Sequence[Secret]) -> Row:
        headers = dict(exchange.request_headers)
        name = exchange.dialect or exchange.provider  # a translated call reads as the client saw it
        provider = self._providers.get(name) or self._providers["openai"]
        read = self._read_session if exchange.is_websocket else self._read
        reading = read(exchange, provider, secrets)
        labels = labels_from(headers, exchange.trace_id)
        span = _span(exchange, reading, labels)
        span.tool = tool_of(headers, exchange.source, exchange.provider)
        name_prompt(span, labels, reading.request, is_kept=exchange.record == "on")
        self._set_usage(span, exchange, reading)
        span.dropped += labels.dropped
        span.dropped += [f"{name}: {exchange.provider} has no place for it" for name in exchange.dropped]
        is_whole = exchange.record == "on"
        if is_whole:
            span.preview_in = asked_preview(reading.request)
            answer = masked_answer(reading.completion, reading.secrets)
            span.preview_out = answer_preview(answer) or preview(span.error or "")
        return Row(span, self._bodies(exchange, reading, labels, is_whole=is_whole))

    def _read(self, exchange: Exchange, provider: Provider, secrets: Sequence[Secret]) -> _Reading:
        limit, headers = self._max_body_bytes, dict(exchange.request_headers)
        content_encoding = _value(headers, b"content-encoding").decode("latin-1")
        seen = request_seen(exchange.request, content_encoding, limit)
        content_type = _value(headers, b"content-type").lower()
        request: JSON = {}
        if seen.data and not seen.is_raw:
            seen.data = _redacted(seen.data, content_type, secrets)
            is_form = content_type.startswith(b"multipart/")
            request = form_fields(seen.data) if is_form else parsed_object(seen.data) or {}
        native = provider.native(exchange.method, exchange.upstream_path or exchange.path, request)
        reading = _Reading(native, request, Seen(), seen, secrets)
        self._read_answer(exchange, reading, provider)
        return reading

    def _read_session(self, exchange: Exchange, provider: Provider, secrets: Sequence[Secret]) -> _Reading:
        session = read_session(exchange, provider, self._max_body_bytes)
        for seen in (session.sent, session.heard):
            seen.data = redact_bytes(seen.data, secrets)
        native = Native(OPERATION, session.model, is_stream=True)
        reading = _Reading(native, {"input": session.asked}, session.heard, session.sent, secrets)
        reading.is_streamed = True
        reading.completion, reading.usage, reading.error = session.completion, session.usage, session.error
        reading.chunk_count, reading.arrivals, reading.ending = session.count, session.arrivals, session.ending
        reading.notes, reading.dropped = session.notes, session.dropped
        if is_matched(session.completion, secrets):
            reading.forget_stream()
        return reading

    def _read_answer(self, exchange: Exchange, reading: _Reading, provider: Provider) -> None:
        headers = dict(exchange.response_headers)
        content_encoding = _value(headers, b"content-encoding").decode("latin-1")
        content_type = _value(headers, b"content-type").lower()
        seen = response_seen(exchange.response, content_encoding, self._max_body_bytes, is_chunked=exchange.is_chunked)
        reading.response = seen
        if seen.is_raw:
            reading.dropped.append(f"response body: content-encoding {content_encoding!r} cannot be undone here")
            return
        # Offsets of events are those of the bytes as they came, so the stream is read before its secrets are masked.
        wire = seen.data
        decoder = _decoder_for(provider, reading.native, content_type, wire)
        reading.is_streamed = decoder is not None
        if decoder is not None:
            self._read_stream(exchange, reading, provider, content_encoding, decoder)
        seen.data = _redacted(wire, content_type, reading.secrets)
        if reading.is_streamed and is_matched(reading.completion, reading.secrets):
            reading.forget_stream()
        if not reading.is_streamed:
            self._read_whole(exchange, reading, provider, content_type)

    def _read_stream(
        self,
        exchange: Exchange,
        reading: _Reading,
        provider: Provider,
        content_encoding: str,
        decoder: EventDecoder,
    ) -> None:
        machine = provider.stream(reading.native.operation, reading.request)
        events: list[Event] = decoder.feed(reading.response.data)
        ends = decoder.ends
        events += decoder.finish()
        ends += decoder.ends
        for event in events:
            machine.feed(event)
        if exchange.ending == "client_closed" and machine.is_complete:
            reading.ending = "finished"  # it had all there was to have, and did not wait for the end of the framing
        machine.finish()
        completion = machine.result
        reading.completion = completion
        reading.chunk_count = machine.count
        reading.usage = completion.usage
        reading.error = completion.error
        if exchange.response is not None and exchange.arrivals:
            reading.arrivals = decoded_arrivals(
                exchange.response,
                list(exchange.arrivals),
                content_encoding,
                self._max_body_bytes,
                is_chunked=exchange.is_chunked,
            )
            reading.ttft_ms = _ttft_ms(exchange, machine, ends, reading.arrivals)
        if exchange.ending == "finished" and not machine.is_complete and not reading.response.is_cut and machine.count:
            reading.notes.append("the stream ended without its end marker")

    def _read_whole(self, exchange: Exchange, reading: _Reading, provider: Provider, content_type: bytes) -> None:
        seen, status = reading.response, exchange.response_status
        body = parsed_object(seen.data)
        reading.answer = body
        if status >= 400 and not seen.size and exchange.error:
            return  # refused by LLMFlow: the exchange has the sentence
        if status >= 400:
            text = body if body is not None else seen.data[:4096].decode("utf-8", "replace")
            reading.error = provider.error(status, text)
            return
        if reading.native.span_type == "custom":
            return
        operation, request = reading.native.operation, reading.request
        if body is not None:
            reading.completion = provider.answer(operation, request, body)
            reading.usage = reading.completion.usage
            reading.error = reading.completion.error
            if reading.error is None and body.get("error"):
                reading.error = provider.error(status, body)
        elif status:
            reading.usage = provider.usage({}, request)
            if operation in ("transcription", "translation") and content_type.startswith(b"text/"):
                reading.completion = Completion(text=seen.data.decode("utf-8", "replace"))
        if seen.is_cut and body is None and seen.data[:1] == b"{":
            reading.dropped.append("response body: too long to be read whole, so its usage is not known")

    # ── tokens and money ─────────────────────────────────────────────────────────────────────────────────────────

    def _set_usage(self, span: Span, exchange: Exchange, reading: _Reading) -> None:
        usage = reading.usage if exchange.usage is None else exchange.usage
        if usage is None and reading.native.span_type != "custom":
            usage = _estimated(span, exchange, reading)
        if usage is None:
            span.estimated_cost = 0.0 if _is_free(exchange, reading.native) else None
            return
        _set_tokens(span, usage)
        models = [model for model in (span.model, span.request_model) if model]
        provider = self._providers.get(exchange.provider)
        free = _is_free_here(exchange, provider, span.model)
        set_cost(span, self._prices.price(self._billed_by(exchange, provider), models, usage, free=free), usage)

    def _billed_by(self, exchange: Exchange, provider: Provider | None) -> Provider | None:
        """Return the row whose prices hold: behind a gateway, that of the provider it leads to."""
        if provider is not None and provider.dialect is not None:
            return self._providers.get(exchange.dialect) or provider
        return provider

    # ── what is stored ───────────────────────────────────────────────────────────────────────────────────────────

    def _bodies(self, exchange: Exchange, reading: _Reading, labels: Labels, *, is_whole: bool) -> list[Body]:
        bodies = [self._headers(exchange)]
        if labels.metadata:
            bodies.append(_json_body(PART_ATTRIBUTES, {"metadata": labels.metadata}, reading.secrets))
        if not is_whole:
            return bodies
        for part, seen in ((PART_REQUEST, reading.request_seen), (PART_RESPONSE, reading.response)):
            if seen.size:
                bodies.append(Body(part, seen.data, seen.size, seen.is_cut, seen.is_raw))
        if exchange.is_websocket:
            bodies.append(_json_body(PART_INPUT, reading.request, reading.secrets))
        if reading.is_streamed and reading.completion is not None and reading.completion.body is not None:
            answer = _json_body(PART_ANSWER, reading.completion.body, reading.secrets)
            if answer.size <= self._max_body_bytes:
                bodies.append(answer)
        if reading.arrivals:
            data = encode_arrivals(relative_arrivals(reading.arrivals, exchange.started_ns))
            bodies.append(Body(PART_ARRIVALS, data, len(data)))
        return bodies

    def _headers(self, exchange: Exchange) -> Body:
        request = redacted_headers_json(exchange.request_headers, self._secrets)
        response = redacted_headers_json(exchange.response_headers, self._secrets)
        query = f',"query":{_encode(redact_query(exchange.query))}' if exchange.query else ""
        data = f'{{"request":{request},"response":{response}{query}}}'.encode()
        return Body(PART_HEADERS, data, len(data))

    # ── spans of others ──────────────────────────────────────────────────────────────────────────────────────────

    def _foreign_rows(self, items: Sequence[object]) -> list[Stored]:
        redactor = TelemetryRedactor(self._secrets)
        rows: list[Stored] = []
        for item in items:
            if isinstance(item, Row):
                row = self._foreign_row(item)
                rows.append(row if self._has_bodies else row_without_bodies(row))
            elif isinstance(item, Log):
                log = redactor.log(item)
                rows.append(log if self._has_bodies else log_without_body(log))
            elif isinstance(item, Metric):
                rows.append(redactor.metric(item))
        return rows

    def _foreign_row(self, row: Row) -> Row:
        """Mask secrets in a span sent to us and price it where it brings tokens but no cost."""
        span = row.span
        redact_span(span, self._secrets)
        if span.tool is None:
            span.tool = tool_of_service(span.service_name)
        has_tokens = span.prompt_tokens is not None or span.completion_tokens is not None
        if has_tokens and span.total_tokens is None:
            span.total_tokens = (span.prompt_tokens or 0) + (span.completion_tokens or 0)
        bill_foreign(span, row.usage, self._prices, self._providers)
        bodies = [self._foreign_body(body) for body in row.bodies]
        if self._has_bodies:
            tell_prompt(span, bodies)
        is_clean = all(map(is_, bodies, row.bodies))
        return Row(span, bodies, text=row.text if is_clean else None)

    def _foreign_body(self, body: Body) -> Body:
        is_short = len(body.data) <= min(_SHORT_BYTES, self._max_body_bytes)
        if body.is_raw or (body.part == PART_OTLP and is_short and is_known_clean(body.data, self._secrets)):
            return body
        mask = redact_attributes if body.part in (PART_ATTRIBUTES, PART_OTLP) else redact_bytes
        data = mask(body.data, self._secrets)
        if data is body.data and len(data) <= self._max_body_bytes:  # nearly always
            return body
        is_cut = body.is_cut or len(data) > self._max_body_bytes
        return Body(body.part, data[: self._max_body_bytes], body.size, is_cut)


# ── the pieces of a row ──────────────────────────────────────────────────────────────────────────────────────────────


def _decoder_for(provider: Provider, native: Native, content_type: bytes, data: bytes) -> EventDecoder | None:
    """Return what cuts a streamed answer into events; None when the answer is no stream."""
    if content_type.startswith(b"text/event-stream"):
        return SSEDecoder()
    if content_type.startswith(_LINE_TYPES):
        return NDJSONDecoder()
    if native.is_stream and data.startswith((b"data:", b"event:")):
        return SSEDecoder()
    if native.is_stream and provider.framing == "ndjson" and data.startswith(b"{"):
        return NDJSONDecoder()
    if native.is_stream and data.lstrip()[:1] == b"[":
        return JSONArrayDecoder()
    return None


def _is_free_here(exchange: Exchange, provider: Provider | None, model: str | None) -> bool:
    if exchange.is_from_cassette:
        return True
    if provider is not None and provider.is_free is not None:
        headers = {name.decode("latin-1"): value_of(line).decode("latin-1") for name, line in exchange.response_headers}
        said = provider.is_free(model, headers)
        if said is not None:
            return said
    return exchange.price_free


def _value(lines: Mapping[bytes, bytes], name: bytes) -> bytes:
    line = lines.get(name)
    return b"" if line is None else value_of(line)


def _span(exchange: Exchange, reading: _Reading, labels: Labels) -> Span:
    native, completion = reading.native, reading.completion
    status, error = _outcome(exchange, reading)
    model = (completion.model if completion else None) or native.model
    return Span(
        trace_id=exchange.trace_id,
        id=exchange.id,
        parent_id=labels.parent_id,
        source=exchange.source,
        span_type=native.span_type,
        span_name=_span_name(exchange, native, model),
        start_ns=exchange.start_ns,
        duration_ns=max(0, exchange.stopped_ns - exchange.started_ns),
        ttft_ms=reading.ttft_ms,
        provider=exchange.provider,
        model=model,
        request_model=native.model,
        operation=native.operation,
        response_id=completion.id if completion else None,
        request_id=_request_id(exchange),
        status=status,
        response_status=exchange.response_status or None,
        error=error,
        ending=reading.ending or exchange.ending,
        finish_reason=completion.finish_reason if completion else None,
        is_stream=reading.is_streamed or native.is_stream,
        chunk_count=reading.chunk_count,
        request_method=exchange.method,
        request_path=exchange.path,
        session_id=labels.session_id,
        conversation_id=labels.conversation_id,
        user_id=labels.user_id or _user(reading.request),
        tags=labels.tags,
        replay_of=labels.replay_of,
        dropped=reading.dropped,
        notes=_notes(exchange, reading),
    )


def _request_id(exchange: Exchange) -> str | None:
    """Return the provider's number of the call: Anthropic's `request-id`, `x-request-id` as most others have it."""
    lines = [line for name, line in exchange.response_headers if name in _REQUEST_IDS]
    return (value_of(lines[0]).decode("latin-1").strip()[:MAX_ID_CHARS] or None) if lines else None


def _user(request: JSON) -> str | None:
    """Return who a request says it is for: OpenAI's `user`, or `metadata.user_id` as Anthropic has it."""
    metadata = request.get("metadata")
    named = metadata.get("user_id") if isinstance(metadata, dict) else None
    return next((value for value in (request.get("user"), named) if isinstance(value, str) and value), None)


def _notes(exchange: Exchange, reading: _Reading) -> list[str]:
    notes = list(exchange.notes)
    if exchange.has_env_key:
        notes.append(_LENT_KEY)
    if exchange.is_injected and _INJECTED not in notes:
        notes.append(_INJECTED)
    return notes + reading.notes


def _span_name(exchange: Exchange, native: Native, model: str | None) -> str:
    if native.span_type == "custom":
        return f"{exchange.method} {exchange.upstream_path or exchange.path}"
    name = native.name or native.operation
    return f"{name} {model}" if model else name


def _outcome(exchange: Exchange, reading: _Reading) -> tuple[int | None, str | None]:
    """Return (status, error): how the call went, whoever broke it."""
    error = reading.error or None
    if exchange.is_websocket:  # it may end on the client's word, and 101 says only how it began
        return (STATUS_OK if error is None else STATUS_UPSTREAM_CLOSED), error
    # A client that hangs up on being told of an error did not break the call: the provider had failed before.
    ending = reading.ending or exchange.ending
    is_over_by_error = ending == "client_closed" and error is not None
    if ending != "finished" and not is_over_by_error:
        status, sentence = _ENDINGS[ending]
        return status, error or exchange.error or sentence
    status = exchange.response_status
    if error is not None and status < 400:
        status = STATUS_UPSTREAM_CLOSED  # the provider failed after it had said 200
    if error is None and status >= 400:
        error = exchange.error or f"HTTP {status}"
    return status or None, error or exchange.error


def _ttft_ms(
    exchange: Exchange, machine: StreamTranslator, ends: list[int], arrivals: list[tuple[int, int]]
) -> float | None:
    """Return when the first event with content was complete."""
    index = machine.first_content
    if index is None or index >= len(ends):
        return None
    came = arrival_of(arrivals, ends[index] - 1)
    return round(max(0, came - exchange.started_ns) / 1e6, 3)


def _estimated(span: Span, exchange: Exchange, reading: _Reading) -> Usage | None:
    """Estimate the tokens of a text generation whose provider gave no usage; None where there is nothing to go by."""
    if reading.native.operation not in _TEXT_OPERATIONS or not 200 <= exchange.response_status < 300:
        return None
    if reading.completion is None and exchange.ending == "finished":
        return None
    usage = estimated_tokens(prompt_characters(reading.request), reading.completion)
    span.is_estimated = True
    span.notes.append("tokens are estimated from the length of the texts: the provider gave no usage")
    return usage


def _is_free(exchange: Exchange, native: Native) -> bool:
    """Say whether a call without usage is known to cost nothing: it failed, only read something, or always is free."""
    has_failed = exchange.response_status >= 400 or not exchange.response_status
    is_quiet = native.span_type == "custom" and exchange.method in _QUIET_METHODS
    is_given = exchange.price_free or exchange.is_from_cassette
    return has_failed or is_quiet or is_given or native.operation in _FREE_OPERATIONS


def _redacted(data: bytes, content_type: bytes, secrets: Sequence[Secret]) -> bytes:
    if content_type.startswith(_BINARY_TYPES) or (content_type.startswith(b"multipart/") and not _is_text(data)):
        return data  # a mask in a picture or a recording would only break it
    return redact_bytes(data, secrets)


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _set_tokens(span: Span, usage: Usage) -> None:
    span.prompt_tokens = usage.prompt_tokens
    span.completion_tokens = usage.completion_tokens
    span.total_tokens = usage.total_tokens
    if usage.prompt_tokens is not None:
        span.cached_tokens = usage.cached_tokens
        span.cache_write_tokens = usage.cache_write_tokens
        span.reasoning_tokens = usage.reasoning_tokens


def _json_body(part: int, value: object, secrets: Sequence[Secret] | None = None) -> Body:
    data = _encode(value).encode("utf-8", "replace")
    if secrets is not None:
        data = redact_bytes(data, secrets)
    return Body(part, data, len(data))


def _bare_row(exchange: Exchange, error: Exception) -> Row:
    """Make the row of a call whose contents could not be read: what the proxy itself saw."""
    status = exchange.response_status or None
    sentence = exchange.error
    if exchange.ending != "finished":
        status, otherwise = _ENDINGS[exchange.ending]
        sentence = sentence or otherwise
    span = Span(
        trace_id=exchange.trace_id,
        id=exchange.id,
        source=exchange.source,
        span_type="custom",
        span_name=f"{exchange.method} {exchange.upstream_path or exchange.path}",
        start_ns=exchange.start_ns,
        duration_ns=max(0, exchange.stopped_ns - exchange.started_ns),
        provider=exchange.provider,
        status=status,
        response_status=exchange.response_status or None,
        error=sentence,
        ending=exchange.ending,
        request_method=exchange.method,
        request_path=exchange.path,
        tool="proxy",
        notes=list(exchange.notes),
        dropped=[f"the contents could not be read: {type(error).__name__}"],
    )
    return Row(span)
