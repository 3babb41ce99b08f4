"""OpenTelemetry's spans, logs and metrics → our rows, in whichever convention they are written; and the way back.

Pure: no clock, no ids drawn. The names live in semconv_tables, reading them in semconv_fields, messages in
semconv_messages, logs and metrics in semconv_logs, the way back in semconv_out; callers import from here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from llmflow_web.model import (
    JSON,
    MAX_STORED_BODY_BYTES,
    PART_ATTRIBUTES,
    PART_OTLP,
    Body,
    Row,
    Span,
    Usage,
)
from llmflow_web.record.messages import words_in
from llmflow_web.record.previews import PREVIEW_CHARS, preview
from llmflow_web.record.semconv_answers import read_bodies
from llmflow_web.record.semconv_fields import (
    Fields,
    operation_of,
    provider_of,
    read_fields,
    span_type_of,
    usage_from,
    usage_of,
)
from llmflow_web.record.semconv_logs import log_from_otlp, metrics_from_otlp, otlp_from_log, otlp_from_metric
from llmflow_web.record.semconv_messages import Messages, messages_from_logs, messages_from_otlp
from llmflow_web.record.semconv_origin import Origin, Origins, columns_in, origin_of
from llmflow_web.record.semconv_out import otlp_from_row
from llmflow_web.record.semconv_stored import MAX_MOMENT_NS, only_set
from llmflow_web.record.semconv_tables import FIRST_CHUNK_EVENTS, NAMED_BY, finish_reason, provider_name
from llmflow_web.record.semconv_values import MAX_ERROR_CHARS, as_text, encoded, flag, label, parsed_object, sound
from llmflow_web.wire.otlp_values import STATUS_ERROR, STATUS_OK, Event, Link, OtlpSpan

__all__ = [
    "Origins", "log_from_otlp", "messages_from_logs", "messages_from_otlp", "metrics_from_otlp", "otlp_from_log",
    "otlp_from_metric", "otlp_from_row", "row_from_otlp", "usage_from",
]  # fmt: skip

_CUT_BYTES = 64 * 1024
_MODEL_TYPES = frozenset({"llm", "embedding", "rerank"})
_PENDING = "pending_span"


def row_from_otlp(
    span: OtlpSpan, *, now_ns: int = 0, max_bytes: int = MAX_STORED_BODY_BYTES, origins: Origins | None = None
) -> Row | None:
    """Return the row of one span; None for one that only announces another (Logfire's pending spans).

    Args:
        span: as decoded.
        now_ns: stands for a start that is missing.
        max_bytes: attributes that are longer as JSON lose the middle of their longest texts, and the row says so.
        origins: of the spans it came with; saves reading again what they share.
    """
    attributes = span.attributes
    if attributes.get("logfire.span_type") == _PENDING:
        return None
    origin = origin_of(span.resource, span.scope) if origins is None else origins.of(span)
    fields = read_fields(attributes)
    _read_metadata(fields, attributes)
    read_bodies(fields, attributes)
    for column in origin.columns:
        fields.fill(*column)
    row = _span(span, fields, origin, now_ns)
    usage = usage_of(fields, attributes)
    _set_usage(row, usage)
    _set_outcome(row, span, fields)
    messages = messages_from_otlp(attributes, span.events)
    row.preview_in, row.preview_out = _previews(messages, row.error)
    row.finish_reason = row.finish_reason or _finish_reason(messages)
    # What says that the span was received is there even when empty.
    bodies = [*_attributes_of(attributes, max_bytes, row.dropped), _body(PART_OTLP, _rest(span, row, origin))]
    text = None if row.dropped else words_in(messages)
    return Row(row, bodies, usage=None if usage.is_empty else usage, text=text)


def _span(span: OtlpSpan, fields: Fields, origin: Origin, now_ns: int) -> Span:
    attributes, told = span.attributes, fields.values.get
    span_type = span_type_of(attributes, span.name, fields)
    start_ns = span.start_ns if 0 < span.start_ns < MAX_MOMENT_NS else now_ns
    ends = 0 < span.start_ns <= span.end_ns < MAX_MOMENT_NS
    request_model, response_model = told("request_model"), told("response_model")
    reasons = told("finish_reasons")
    return Span(
        trace_id=span.trace_id,
        id=span.span_id,
        parent_id=span.parent_span_id or None,
        source="otlp",
        span_type=span_type,
        span_name=_name(span, span_type),
        service_name=_service(span, origin),
        start_ns=start_ns,
        duration_ns=span.end_ns - span.start_ns if ends else None,
        ttft_ms=_ttft_ms(span, fields),
        provider=provider_of(attributes, span.scope.name, span_type, fields),
        model=response_model or request_model,
        request_model=request_model,
        operation=operation_of(attributes, span.name, fields),
        response_id=told("response_id"),
        request_id=told("request_id"),
        finish_reason=finish_reason(reasons[0]) if reasons else None,
        is_stream=_is_stream(span, span_type, fields),
        session_id=told("session_id"),
        conversation_id=told("conversation_id"),
        user_id=told("user_id"),
        tool=told("tool"),
        is_estimated=told("is_estimated") or False,
        agent_name=_agent_name(span, span_type, fields),
        tags=told("tags") or [],
        prompt_name=told("prompt_name"),
        prompt_version=told("prompt_version"),
        dropped=_said_dropped(span),
    )


def _name(span: OtlpSpan, span_type: str) -> str:
    """Return the span's name; of Logfire's templates ("Chat with {model}") the filled one."""
    name = span.name
    if "{" in name:
        name = label(span.attributes.get("logfire.msg")) or name
    for attribute in NAMED_BY.get(name, ()):
        told = label(span.attributes.get(attribute))
        if told:
            return f"{name} {told}"
    return label(name) or label(span.attributes.get("traceloop.entity.name")) or span_type


def _service(span: OtlpSpan, origin: Origin) -> str:
    """Return the service; of a span another LLMFlow sent, the app that called it."""
    return (origin.is_ours and label(span.attributes.get("service.name"))) or origin.service


def _agent_name(span: OtlpSpan, span_type: str, fields: Fields) -> str | None:
    told: str | None = fields.get("agent_name")
    if told is None and span.attributes.get("traceloop.span.kind") == "agent":
        return label(span.attributes.get("traceloop.entity.name"))
    if told is None and span_type == "agent" and span.name.startswith("invoke_agent "):
        return label(span.name.removeprefix("invoke_agent "))
    return told


def _is_stream(span: OtlpSpan, span_type: str, fields: Fields) -> bool:
    told: bool | None = fields.get("is_stream")
    if told is not None or span_type != "llm":
        return bool(told)
    if "stream" in span.name.lower() or any(event.name in FIRST_CHUNK_EVENTS for event in span.events):
        return True
    parameters = span.attributes.get("llm.invocation_parameters")
    return "stream" in as_text(parameters) and flag(parsed_object(parameters).get("stream")) is True


def _ttft_ms(span: OtlpSpan, fields: Fields) -> float | None:
    told: float | None = fields.get("ttft_ms")
    if told is not None:
        return round(told, 3)
    for event in span.events:
        if event.name in FIRST_CHUNK_EVENTS and 0 < span.start_ns <= event.time_ns:
            return round((event.time_ns - span.start_ns) / 1e6, 3)
    return None


# Members of OpenInference's `metadata`, which frameworks fill → the column they stand for.
_METADATA = (
    ("session_id", ("session_id", "sessionId")),
    ("conversation_id", ("conversation_id", "thread_id", "threadId")),
    ("user_id", ("user_id", "userId")),
    ("request_model", ("ls_model_name",)),
)


def _read_metadata(fields: Fields, attributes: Mapping[str, Any]) -> None:
    metadata = parsed_object(attributes.get("metadata"))
    if metadata:
        fields.fill("provider", provider_name(metadata.get("ls_provider")), "metadata")
        for column in columns_in(metadata, _METADATA):
            fields.fill(*column)


def _set_usage(row: Span, usage: Usage) -> None:
    row.prompt_tokens, row.completion_tokens = usage.prompt_tokens, usage.completion_tokens
    row.total_tokens = usage.total_tokens
    if usage.prompt_tokens is not None or usage.completion_tokens is not None:
        row.cached_tokens = usage.cached_tokens
        row.cache_write_tokens = usage.cache_write_tokens
        row.reasoning_tokens = usage.reasoning_tokens
    if usage.reported_cost is not None:
        row.cost_detail = {"reported_cost": usage.reported_cost}


def _said_dropped(span: OtlpSpan) -> list[str]:
    counts = (
        (span.dropped_attributes_count, "attributes"),
        (span.dropped_events_count, "events"),
        (span.dropped_links_count, "links"),
    )
    return [f"{count} {name}: dropped by the sender" for count, name in counts if count]


# ── how it went ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _set_outcome(row: Span, span: OtlpSpan, fields: Fields) -> None:
    status: int | None = fields.get("response_status") or _status_in(span)
    has_failed = span.status_code == STATUS_ERROR or (span.status_code != STATUS_OK and fields.get("success") is False)
    if status is not None and status >= 400 and span.status_code != STATUS_OK:
        row.status = status
    else:
        row.status = 500 if has_failed else 200
    row.response_status = row.status if status is None else status
    row.status = fields.get("status") or row.status
    row.error = _error(span, fields, has_failed=has_failed or row.status >= 400)


def _error(span: OtlpSpan, fields: Fields, *, has_failed: bool) -> str | None:
    if span.status_message:
        return sound(span.status_message[:MAX_ERROR_CHARS])
    told: str | None = fields.get("error")
    if told is not None:
        return told
    if not has_failed:
        return None
    return _exception(span.events) or fields.get("error_type") or _http_error(fields)


def _status_in(span: OtlpSpan) -> int | None:
    """Return the HTTP status that the error of an official SDK names: "Error code: 429 - …"."""
    if span.status_code != STATUS_ERROR:
        return None
    told = span.status_message or _exception(span.events) or ""
    found = _ERROR_CODE.search(told[:200])
    return int(found[1]) if found else None


_ERROR_CODE = re.compile(r"\bError code: ([45]\d\d) - ")


def _exception(events: Sequence[Event]) -> str | None:
    """Return the last exception of a span: its type and message."""
    for event in reversed(events):
        if event.name == "exception":
            kind = label(event.attributes.get("exception.type"))
            message = as_text(event.attributes.get("exception.message"))[:MAX_ERROR_CHARS]
            found = ": ".join(piece for piece in (kind, sound(message)) if piece)
            if found:
                return found
    return None


def _http_error(fields: Fields) -> str | None:
    status: int | None = fields.get("response_status")
    return f"HTTP {status}" if status is not None and status >= 400 else None


# ── previews ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _previews(messages: Messages, error: str | None) -> tuple[str | None, str | None]:
    asked, answered = messages["input"], messages["output"]
    last = next((one for one in reversed(asked) if one["role"] in ("user", "tool")), asked[-1] if asked else None)
    out = next((found for one in answered if (found := _line(one))), None)
    return _line(last) if last else None, out or (preview(error) if error else None)


_SHOWN = (("text", "refusal", "tool_result"), ("tool_call",), ("reasoning",))


def _line(message: JSON) -> str | None:
    """Return one line of a message: its texts, else what it calls, else its reasoning, else what it shows."""
    parts = message["parts"]
    for kinds in _SHOWN:
        texts = [_words(part) for part in parts if part["type"] in kinds]
        found = preview(sound(" ".join(filter(None, texts[:20])))) if texts else None
        if found:
            return found
    if not parts:
        return None
    kind = parts[0]["type"]
    return preview(encoded(parts[0]["value"]).decode()) if kind == "json" else f"[{kind}]"


def _words(part: JSON) -> str:
    if part["type"] == "tool_call":
        return f"{part['name']}({part['arguments']})"
    return str(part.get("text", part.get("content", "")))[: 4 * PREVIEW_CHARS]


def _finish_reason(messages: Messages) -> str | None:
    told = next((one["finish_reason"] for one in messages["output"] if one.get("finish_reason")), None)
    return finish_reason(label(told))


# ── what is stored ───────────────────────────────────────────────────────────────────────────────────────────────────


def _body(part: int, data: bytes) -> Body:
    return Body(part, data, len(data))


_VECTOR_HEADS = ("ai.embedding", "embedding.embeddings.")


def _is_vector(name: str) -> bool:
    is_openinference = name.startswith("embedding.embeddings.") and name.endswith(".embedding.vector")
    return is_openinference or name in ("ai.embedding", "ai.embeddings")


def _attributes_of(attributes: JSON, max_bytes: int, dropped: list[str]) -> Iterator[Body]:
    """Yield the attributes to keep, and note what is left out: vectors nobody reads, what is too long."""
    kept = _without_vectors(attributes, dropped)
    if not kept:
        return
    data = encoded(kept)
    if len(data) > max_bytes:
        kept = _within(kept, max_bytes, dropped)
        data = encoded(kept)
    if kept:
        yield _body(PART_ATTRIBUTES, data)


def _without_vectors(attributes: JSON, dropped: list[str]) -> JSON:
    vectors = [name for name in attributes if name.startswith(_VECTOR_HEADS) and _is_vector(name)]
    if not vectors:
        return attributes
    dropped += [f"{name}: a vector" for name in vectors[:3]]
    if len(vectors) > 3:
        dropped.append(f"{len(vectors) - 3} more vectors")
    return {name: value for name, value in attributes.items() if name not in vectors}


def _within(attributes: JSON, max_bytes: int, dropped: list[str]) -> JSON:
    """Cut the longest values until all of them fit, so that what is stored stays JSON."""
    sizes = {name: len(encoded(value)) + len(name) * 6 + 4 for name, value in attributes.items()}
    total, kept = sum(sizes.values()), dict(attributes)
    cut: list[str] = []
    for name in sorted(sizes, key=lambda name: -sizes[name]):
        if total <= max_bytes:
            break
        total -= sizes[name]
        del kept[name]
        cut.append(name)
    for name in cut:
        if sizes[name] > _CUT_BYTES and total + _CUT_BYTES <= max_bytes:
            text = as_text(attributes[name])
            kept[name] = f"{text[: _CUT_BYTES // 8]}… [{len(text)} characters]"
            total += _CUT_BYTES
    dropped += [f"{name[:80]}: too long" for name in cut[:20]]
    return kept


def _rest(span: OtlpSpan, row: Span, origin: Origin) -> bytes:
    """Write what a span has beside its attributes; only members that are set, times as text (they outgrow a float)."""
    own = only_set(
        name=span.name,
        end_ns=str(span.end_ns) if row.duration_ns is None and span.end_ns else None,
        kind=span.kind,
        trace_state=span.trace_state,
        flags=span.flags,
        status=only_set(code=span.status_code, message=span.status_message),
        events=[_event_json(event) for event in span.events],
        links=[_link_json(link) for link in span.links],
        dropped_attributes_count=span.dropped_attributes_count,
        dropped_events_count=span.dropped_events_count,
        dropped_links_count=span.dropped_links_count,
    )
    if not own:
        return origin.stored
    data = encoded(own)
    return data if origin.stored == b"{}" else b"%b,%b" % (origin.stored[:-1], data[1:])


def _event_json(event: Event) -> JSON:
    return only_set(
        time_ns=str(event.time_ns) if event.time_ns else None,
        name=event.name,
        attributes=event.attributes,
        dropped_attributes_count=event.dropped_attributes_count,
    )


def _link_json(link: Link) -> JSON:
    return only_set(
        trace_id=link.trace_id,
        span_id=link.span_id,
        trace_state=link.trace_state,
        attributes=link.attributes,
        dropped_attributes_count=link.dropped_attributes_count,
        flags=link.flags,
    )
