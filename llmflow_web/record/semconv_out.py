"""Rows → OTLP spans: what was received leaves as it came, our own calls in the current gen_ai names.

Pure. Conventions: OpenTelemetry GenAI 1.37 and after, with the older names beside them that dashboards still ask for;
what has no name there is `llmflow.*`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from hashlib import blake2b
from typing import Any

from llmflow_web.model import JSON, PART_ATTRIBUTES, PART_INPUT, PART_OTLP, PART_OUTPUT, PART_REQUEST, Body, Span
from llmflow_web.record.messages import messages_of
from llmflow_web.record.semconv_messages import tools_of
from llmflow_web.record.semconv_stored import (
    OWN_SCOPE,
    attributes_from,
    dropped_from,
    nanoseconds,
    resource_from,
    scope_from,
)
from llmflow_web.record.semconv_tables import OPERATION_OF_TYPE, SEMCONV_PROVIDERS
from llmflow_web.record.semconv_values import as_text, parsed, parsed_list, parsed_object
from llmflow_web.version import VERSION
from llmflow_web.wire.otlp_values import STATUS_ERROR, STATUS_OK, Event, Link, OtlpSpan, Resource, Scope

_CLIENT, _INTERNAL = 3, 1
_MODEL_TYPES = frozenset({"llm", "embedding", "rerank"})
_SPAN_FIELDS = frozenset(field.name for field in fields(Span))
_UNSENT_ATTRIBUTES = frozenset({"events", "links", "resource"})  # of an SDK's span: they are no attributes

Bodies = Mapping[int, bytes | Body]


def otlp_from_row(row: Span | Mapping[str, Any], bodies: Bodies | None = None, *, content: bool = False) -> OtlpSpan:
    """Return the span to send for a row.

    Args:
        row: a Span, or a row as the store returns it.
        bodies: its stored parts: PART_OTLP and PART_ATTRIBUTES of what was received, the others for messages.
        content: whether prompts and answers of our own calls go along; those of received spans always do.
    """
    span = row if isinstance(row, Span) else _span_of(row)
    data = {part: body.data if isinstance(body, Body) else body for part, body in (bodies or {}).items()}
    if PART_OTLP in data:
        return _received(span, _json_part(data, PART_OTLP), data)
    return _own(span, data, content=content)


def _span_of(row: Mapping[str, Any]) -> Span:
    told = {name: value for name, value in row.items() if name in _SPAN_FIELDS and value is not None}
    told["start_ns"] = nanoseconds(row.get("start_ns")) or nanoseconds(row.get("timestamp")) * 1_000_000
    duration_ms = row.get("duration_ms")
    if duration_ms is not None:
        told["duration_ns"] = round(duration_ms * 1e6)
    return Span(**told)


def _json_part(bodies: Mapping[int, bytes], part: int) -> JSON:
    data = bodies.get(part)
    return parsed_object(data.decode("utf-8", "replace")) if data else {}


# ── what was received ────────────────────────────────────────────────────────────────────────────────────────────────


def _received(span: Span, rest: JSON, bodies: Mapping[int, bytes]) -> OtlpSpan:
    status = parsed_object(rest.get("status"))
    return OtlpSpan(
        resource_from(rest.get("resource")),
        scope_from(rest.get("scope")),
        trace_id=trace_id_of(span.trace_id),
        span_id=span_id_of(span.id),
        parent_span_id=span_id_of(span.parent_id),
        trace_state=as_text(rest.get("trace_state")),
        name=as_text(rest.get("name")) or span.span_name or "",
        kind=_whole(rest.get("kind")),
        start_ns=span.start_ns,
        end_ns=nanoseconds(rest.get("end_ns")) if span.duration_ns is None else span.start_ns + span.duration_ns,
        attributes=attributes_from(_json_part(bodies, PART_ATTRIBUTES)),
        dropped_attributes_count=dropped_from(rest),
        events=[_event(one) for one in parsed_list(rest.get("events")) if isinstance(one, dict)],
        dropped_events_count=_whole(rest.get("dropped_events_count")),
        links=[_link(one) for one in parsed_list(rest.get("links")) if isinstance(one, dict)],
        dropped_links_count=_whole(rest.get("dropped_links_count")),
        status_code=_whole(status.get("code")),
        status_message=as_text(status.get("message")),
        flags=_whole(rest.get("flags")),
    )


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and 0 <= value < 2**32 else 0


def _event(stored: JSON) -> Event:
    return Event(
        nanoseconds(stored.get("time_ns")),
        as_text(stored.get("name")),
        attributes_from(stored.get("attributes")),
        dropped_from(stored),
    )


def _link(stored: JSON) -> Link:
    return Link(
        as_text(stored.get("trace_id")),
        as_text(stored.get("span_id")),
        as_text(stored.get("trace_state")),
        attributes_from(stored.get("attributes")),
        dropped_from(stored),
        _whole(stored.get("flags")),
    )


# ── ids ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

_HEX = frozenset("0123456789abcdef")


def trace_id_of(value: str) -> str:
    """Return 32 hex digits for a trace_id, the same for the same one."""
    return _hex_id(value, 32)


def span_id_of(value: str | None) -> str:
    """Return 16 hex digits for a span's id, the same for the same one; "" for none."""
    return _hex_id(value, 16) if value else ""


def _hex_id(value: str, width: int) -> str:
    plain = value.replace("-", "").lower()
    if plain and _HEX.issuperset(plain):
        fitted = plain[:width].rjust(width, "0")
        if fitted.strip("0"):
            return fitted
    return blake2b(value.encode("utf-8", "replace"), digest_size=width // 2).hexdigest()


# ── our own ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _own(span: Span, bodies: Mapping[int, bytes], *, content: bool) -> OtlpSpan:
    told = _json_part(bodies, PART_ATTRIBUTES)
    attributes = {name: _flat(value) for name, value in told.items() if name not in _UNSENT_ATTRIBUTES}
    attributes |= _standard(span) | _extra(span)
    if content:
        attributes |= _content(span, bodies)
    has_failed = (span.status or 0) >= 400
    return OtlpSpan(
        Resource(
            {
                "service.name": OWN_SCOPE,
                "service.version": VERSION,
                "telemetry.sdk.name": OWN_SCOPE,
                "telemetry.sdk.language": "python",
                "telemetry.sdk.version": VERSION,
            }
        ),
        Scope(OWN_SCOPE, VERSION),
        trace_id=trace_id_of(span.trace_id),
        span_id=span_id_of(span.id),
        parent_span_id=span_id_of(span.parent_id),
        name=span.span_name or span.model or "llm.request",
        kind=_CLIENT if span.span_type in _MODEL_TYPES else _INTERNAL,
        start_ns=span.start_ns,
        end_ns=span.start_ns + (span.duration_ns or 0),
        attributes={name: value for name, value in attributes.items() if value is not None},
        status_code=STATUS_ERROR if has_failed else STATUS_OK,
        status_message=span.error or "" if has_failed else "",
    )


def _flat(value: Any) -> Any:
    """Return a value backends understand: texts, numbers and lists of them; what is deeper as JSON."""
    is_deep = isinstance(value, dict) or (
        isinstance(value, list) and any(isinstance(one, (dict, list)) for one in value)
    )
    return as_text(value) if is_deep else value


def _standard(span: Span) -> JSON:
    is_model = span.span_type in _MODEL_TYPES
    provider = span.provider
    return {
        "gen_ai.operation.name": span.operation or OPERATION_OF_TYPE.get(span.span_type),
        "gen_ai.provider.name": SEMCONV_PROVIDERS.get(provider, provider) if provider else None,
        "gen_ai.system": provider,
        "gen_ai.request.model": span.request_model or span.model or ("unknown" if is_model else None),
        "gen_ai.response.model": span.model,
        "gen_ai.response.id": span.response_id,
        "gen_ai.response.finish_reasons": [_reason(span.finish_reason)] if span.finish_reason else None,
        "gen_ai.response.time_to_first_chunk": None if span.ttft_ms is None else span.ttft_ms / 1000,
        "gen_ai.request.stream": True if span.is_stream else None,
        "gen_ai.usage.input_tokens": span.prompt_tokens,
        "gen_ai.usage.output_tokens": span.completion_tokens,
        "gen_ai.usage.cache_read.input_tokens": span.cached_tokens,
        "gen_ai.usage.cache_creation.input_tokens": span.cache_write_tokens,
        "gen_ai.usage.reasoning.output_tokens": span.reasoning_tokens,
        "gen_ai.usage.prompt_tokens": span.prompt_tokens,
        "gen_ai.usage.completion_tokens": span.completion_tokens,
        "gen_ai.usage.total_tokens": span.total_tokens,
        "gen_ai.conversation.id": span.conversation_id,
        "gen_ai.agent.name": span.agent_name,
        "gen_ai.tool.name": span.span_name if span.span_type == "tool" else None,
        "gen_ai.prompt.name": span.prompt_name,
        "gen_ai.prompt.version": span.prompt_version,
        "session.id": span.session_id,
        "user.id": span.user_id,
        "error.type": str(span.status) if (span.status or 0) >= 400 else None,
        "http.response.status_code": span.response_status if span.request_path else None,
        "service.name": span.service_name,
    }


def _extra(span: Span) -> JSON:
    return {
        "llmflow.span_type": span.span_type,
        "llmflow.span_name": span.span_name,
        "llmflow.source": span.first_source or span.source,
        "llmflow.status": span.status,
        "llmflow.ending": span.ending,
        "llmflow.cost": span.estimated_cost,
        "llmflow.is_estimated": True if span.is_estimated else None,
        "llmflow.tags": list(span.tags) or None,
        "llmflow.tool": span.tool,
        "llmflow.request_id": span.request_id,
    }


def _reason(reason: str) -> str:
    return "tool_call" if reason == "tool_calls" else reason


def _content(span: Span, bodies: Mapping[int, bytes]) -> JSON:
    """Return prompt, answer and tools as the conventions' own JSON texts."""
    if span.span_type not in _MODEL_TYPES and PART_REQUEST not in bodies:
        return _values(span, bodies)
    told = messages_of(span.provider, span.operation, bodies)
    system = [part for one in told["input"] if one["role"] in ("system", "developer") for part in one["parts"]]
    asked = [_message(one) for one in told["input"] if one["role"] not in ("system", "developer")]
    reason = _reason(span.finish_reason or "stop")
    answered = [
        _message(one) | {"finish_reason": _reason(str(one.get("finish_reason") or reason))} for one in told["output"]
    ]
    tools = tools_of(_json_part(bodies, PART_REQUEST).get("tools"))
    return {
        "gen_ai.system_instructions": as_text([_part(part) for part in system]) if system else None,
        "gen_ai.input.messages": as_text(asked) if asked else None,
        "gen_ai.output.messages": as_text(answered) if answered else None,
        "gen_ai.tool.definitions": as_text([{"type": "function", **tool} for tool in tools]) if tools else None,
    }


def _values(span: Span, bodies: Mapping[int, bytes]) -> JSON:
    """Return input and output of a span that is no call of a model."""
    names = ("gen_ai.tool.call.arguments", "gen_ai.tool.call.result") if span.span_type == "tool" else ()
    found: JSON = {}
    for part, name in zip((PART_INPUT, PART_OUTPUT), names or ("input.value", "output.value"), strict=True):
        if bodies.get(part):
            found[name] = bodies[part].decode("utf-8", "replace")
            if not names:
                found[name.replace("value", "mime_type")] = "application/json"
    return found


def _message(message: JSON) -> JSON:
    found = {"role": message["role"], "parts": [_part(part) for part in message["parts"]]}
    return found | {"name": message["name"]} if "name" in message else found


def _part(part: JSON) -> JSON:
    return _PARTS[part["type"]](part)


def _media(part: JSON) -> JSON:
    """Return a picture, a sound or a file by its bytes, its address or its name."""
    kind = part["type"]
    url = part.get("url")
    named = {} if kind == "file" else {"modality": kind}
    if isinstance(part.get("data"), str):
        return {"type": "blob", **named, "mime_type": f"audio/{part.get('format')}", "content": part["data"]}
    if not isinstance(url, str):
        return {"type": "file", **named, "file_id": str(part.get("name") or "")}
    if url.startswith("data:"):
        mime, _, data = url[5:].partition(";base64,")
        return {"type": "blob", **named, "mime_type": mime, "content": data}
    return {"type": "uri", **named, "uri": url}


def _call(part: JSON) -> JSON:
    return {"type": "tool_call", "id": part["id"], "name": part["name"], "arguments": parsed(part["arguments"])}


def _result(part: JSON) -> JSON:
    return {"type": "tool_call_response", "id": part["id"], "response": part["content"]}


_PARTS: dict[str, Callable[[JSON], JSON]] = {
    "text": lambda part: {"type": "text", "content": part["text"]},
    "reasoning": lambda part: {"type": "reasoning", "content": part["text"]},
    "refusal": lambda part: {"type": "refusal", "content": part["text"]},
    "json": lambda part: {"type": "json", "content": part["value"]},
    "tool_call": _call,
    "tool_result": _result,
    "image": _media,
    "audio": _media,
    "file": _media,
}
