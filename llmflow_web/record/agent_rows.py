"""Rows of a coding agent's events: the turn, its calls of a model, its calls of tools. Pure.

An event makes pieces of rows: what it knows of the turn, and of the call it tells about. The store puts the pieces of
one row together, whichever comes first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llmflow_web.model import (
    JSON,
    PART_ATTRIBUTES,
    PART_INPUT,
    PART_OUTPUT,
    PART_REQUEST,
    PART_RESPONSE,
    Body,
    Row,
    Span,
    Usage,
)
from llmflow_web.record.agent_event import Told
from llmflow_web.record.cut_json import mended
from llmflow_web.record.previews import first_text, preview
from llmflow_web.record.semconv_fields import Fields, provider_of, read_fields, usage_of
from llmflow_web.record.semconv_tables import TOOL_ARGUMENTS, TOOL_IDS, TOOL_NAMES, TOOL_RESULTS, finish_reason
from llmflow_web.record.semconv_values import as_text, count, encoded, flag, label, long_text, parsed, plain

STATUS_OK, STATUS_FAILED, STATUS_DENIED, STATUS_REFUSED = 200, 500, 403, 400

_HIDDEN = frozenset({"[REDACTED]", "<REDACTED>"})  # what stands for a prompt that is not to be told
_REJECTED = frozenset({"reject", "rejected", "denied", "deny", "abort", "aborted", "timed_out", "timedout", "cancel"})
_TOOL_INPUTS = ("tool_input", *TOOL_ARGUMENTS)
# What is kept as messages, so that it need not be kept twice.
_CONTENT = frozenset({
    "prompt", "response", "body", "request_text", "response_text", "gen_ai.input.messages", "gen_ai.output.messages",
    "gen_ai.tool.call.result", *_TOOL_INPUTS, "output",
})  # fmt: skip


# ── what every row has ───────────────────────────────────────────────────────────────────────────────────────────────


def _span(told: Told, span_id: str, span_type: str, **columns: Any) -> Span:
    duration_ns = columns.pop("duration_ns", None)
    return Span(
        trace_id=told.trace_id,
        id=span_id,
        parent_id=columns.pop("parent_id", told.turn_id),
        source="otlp",
        span_type=span_type,
        service_name=told.service_name,
        start_ns=told.time_ns - (duration_ns or 0),
        duration_ns=duration_ns,
        session_id=told.session_id,
        conversation_id=told.session_id,
        user_id=told.user_id,
        tool=told.agent.tool,
        derived=True,
        **columns,
    )


def turn_of(told: Told, duration_ns: int | None = None, bodies: Sequence[Body] = ()) -> Row:
    """Return what an event knows of its turn: that it lasted at least as long as this."""
    span = _span(
        told, told.turn_id, "agent", parent_id=None, span_name=told.agent.title, operation="invoke_agent",
        agent_name=told.agent.tool, status=STATUS_OK, duration_ns=duration_ns or 0,
    )  # fmt: skip
    return Row(span, bodies)


def _with_turn(told: Told, *rows: Row) -> list[Row]:
    return [turn_of(told, rows[0].span.duration_ns if rows else None), *rows]


def only_turn(told: Told) -> list[Row]:
    """Return the turn of an event that says nothing else worth a row."""
    return [turn_of(told)]


def _body(part: int, value: Any) -> Body:
    data = encoded(value)
    return Body(part, data, len(data))


def _attributes(told: Told) -> Body:
    """Return what an event says beside its content, under its own name: other events tell of the same row."""
    said = {name: value for name, value in told.attributes.items() if name not in _CONTENT}
    return _body(PART_ATTRIBUTES, {told.name: plain(said)})


def _said(told: Told, role: str, text: str) -> JSON:
    return {"at": told.time_ns, "role": role, "content": text}


# ── what was said ────────────────────────────────────────────────────────────────────────────────────────────────────


def prompt(told: Told) -> list[Row]:
    """Return the turn with what the user asked."""
    return [turn_of(told, bodies=[_attributes(told), *_asked(told)])]


def prompt_in_session(told: Told) -> list[Row]:
    """Return the prompt as a row of its own, where a trace holds the whole session."""
    span = _span(told, told.id_of("prompt"), "event", span_name="user prompt", operation="user_prompt", status=200)
    return [turn_of(told, bodies=_asked(told)), Row(span, [_attributes(told), *_asked(told)])]


def _asked(told: Told) -> list[Body]:
    text = long_text(told.attributes.get("prompt"))
    return [_body(PART_INPUT, [_said(told, "user", text)])] if text and text not in _HIDDEN else []


def answer(told: Told) -> list[Row]:
    """Return what the model answered, as the call's answer and the turn's."""
    text = long_text(told.attributes.get("response"))
    request_id = label(told.attributes.get("request_id"))
    if not text or text in _HIDDEN:
        return []
    output = _body(PART_OUTPUT, [_said(told, "assistant", text)])
    rows = [turn_of(told, bodies=[output])]
    if request_id:
        rows.append(Row(_call_span(told, read_fields(told.attributes), duration_ns=None), [output]))
    return rows


# ── calls of a model ─────────────────────────────────────────────────────────────────────────────────────────────────


def call(told: Told) -> list[Row]:
    """Return the row of a call that ended, well or badly."""
    fields = read_fields(told.attributes)
    span = _call_span(told, fields, duration_ns=told.duration_ns())
    usage = usage_of(fields, told.attributes)
    _set_usage(span, usage)
    _set_outcome(span, fields)
    rows = _with_turn(told, Row(span, [_attributes(told)], usage=None if usage.is_empty else usage))
    text = _answered(told)
    if text:
        output = _body(PART_OUTPUT, [_said(told, "assistant", text)])
        rows = [Row(row.span, [*row.bodies, output], usage=row.usage) for row in rows]
    return rows


def call_with_tokens(told: Told) -> list[Row]:
    """Return the row of a call where one event of many brings its figures, and a row where it failed."""
    has_tokens = count(told.attributes.get("input_token_count")) is not None
    return call(told) if has_tokens or _has_failed(told) else []


def failed_call(told: Told) -> list[Row]:
    """Return a row only of a request that failed; of others a later event knows more."""
    return call(told) if _has_failed(told) else only_turn(told)


def _has_failed(told: Told) -> bool:
    fields = read_fields(told.attributes)
    return bool(fields.get("error")) or (fields.get("response_status") or 0) >= 400 or fields.get("success") is False


def refusal(told: Told) -> list[Row]:
    """Return the row of a call the model would not answer."""
    span = _call_span(told, read_fields(told.attributes), duration_ns=told.duration_ns())
    category = label(told.attributes.get("category"))
    span.status, span.finish_reason = STATUS_REFUSED, "content_filter"
    span.error = "the model refused" + (f": {category}" if category else "")
    return _with_turn(told, Row(span, [_attributes(told)]))


def _call_span(told: Told, fields: Fields, *, duration_ns: int | None) -> Span:
    request_id = fields.get("request_id")
    model = fields.get("response_model") or fields.get("request_model")
    reasons = fields.get("finish_reasons")
    known = fields.get("response_id") or request_id
    return _span(
        told, told.id_of("call", known), "llm", duration_ns=duration_ns,
        span_name=f"chat {model}" if model else None, operation="chat",
        provider=told.agent.provider or provider_of(told.attributes, told.record.scope.name, "llm", fields),
        model=model, request_model=fields.get("request_model"), request_id=request_id,
        response_id=fields.get("response_id"), agent_name=fields.get("agent_name"), ttft_ms=fields.get("ttft_ms"),
        finish_reason=finish_reason(reasons[0]) if reasons else None,
    )  # fmt: skip


def _set_usage(span: Span, usage: Usage) -> None:
    span.prompt_tokens, span.completion_tokens = usage.prompt_tokens, usage.completion_tokens
    span.total_tokens = usage.total_tokens
    if usage.prompt_tokens is not None or usage.completion_tokens is not None:
        span.cached_tokens, span.cache_write_tokens = usage.cached_tokens, usage.cache_write_tokens
        span.reasoning_tokens = usage.reasoning_tokens


def _set_outcome(span: Span, fields: Fields) -> None:
    status, error = fields.get("response_status"), fields.get("error") or fields.get("error_type")
    has_failed = error is not None or fields.get("success") is False
    span.response_status = status
    span.status = status if status is not None and (status >= 400 or not has_failed) else None
    span.status = span.status or (STATUS_FAILED if has_failed else STATUS_OK)
    if span.status >= 400:
        span.error = error or f"HTTP {span.status}"
        span.preview_out = preview(span.error)


def _answered(told: Told) -> str | None:
    """Return the text of an answer that came with the call's figures (Gemini CLI: the API's JSON, chunk by chunk)."""
    value = parsed(told.attributes.get("response_text"))
    if isinstance(value, str):
        return long_text(value)
    chunks = value if isinstance(value, list) else [value]
    found = [first_text(one.get("content")) for chunk in chunks for one in _candidates(chunk)]
    return "".join(found) or None


def _candidates(chunk: Any) -> list[JSON]:
    told = chunk.get("candidates") if isinstance(chunk, dict) else None
    return [one for one in told if isinstance(one, dict)] if isinstance(told, list) else []


# ── raw bodies ───────────────────────────────────────────────────────────────────────────────────────────────────────


def request_body(told: Told) -> list[Row]:
    """Return what was asked: with its call where that is named, else beside it, at the moment it was sent."""
    fields = read_fields(told.attributes)
    if fields.get("request_id"):
        span = _call_span(told, fields, duration_ns=None)
    else:
        span = _span(told, told.id_of("request"), "event", span_name="request body", model=None, status=STATUS_OK)
    return _with_body(told, span, PART_REQUEST)


def response_body(told: Told) -> list[Row]:
    """Return what was answered, with its call."""
    fields = read_fields(told.attributes)
    return (
        _with_body(told, _call_span(told, fields, duration_ns=None), PART_RESPONSE) if fields.get("request_id") else []
    )


def _with_body(told: Told, span: Span, part: int) -> list[Row]:
    text = told.attributes.get("body")
    if not isinstance(text, str) or not text:
        return only_turn(told)
    is_cut = flag(told.attributes.get("body_truncated")) is True
    value = mended(text)
    data = encoded(value) if is_cut and isinstance(value, dict) else text.encode("utf-8", "replace")
    if part == PART_RESPONSE and isinstance(value, dict):
        span.preview_out = preview(first_text(value))
    size = max(count(told.attributes.get("body_length")) or 0, len(data))
    return _with_turn(told, Row(span, [Body(part, data, size, is_cut), _attributes(told)]))


# ── tools ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def decision(told: Told) -> list[Row]:
    """Return what was decided about a call of a tool."""
    return _with_turn(told, _tool_row(told, has_ended=False))


def tool_call(told: Told) -> list[Row]:
    """Return the row of a call of a tool that ended."""
    return _with_turn(told, _tool_row(told, has_ended=True))


def _tool_row(told: Told, *, has_ended: bool) -> Row:
    call_id = label(told.first(TOOL_IDS))
    name = _tool_name(told)
    span = _span(
        told, told.id_of("tool", call_id), "tool", span_name=name, operation="execute_tool",
        duration_ns=told.duration_ns() if has_ended else None,
    )  # fmt: skip
    if has_ended:
        fields = read_fields(told.attributes)
        _set_outcome(span, fields)
        if span.status == STATUS_FAILED and span.error == f"HTTP {STATUS_FAILED}":
            span.error = "the tool failed"
    _set_decision(span, told)
    return Row(span, [_attributes(told), *_tool_bodies(told, span, name or "tool", call_id or "")])


def _tool_name(told: Told) -> str | None:
    name = label(told.first(TOOL_NAMES))
    if name != "mcp_tool":
        return name
    told_more = parsed(told.attributes.get("tool_parameters"))  # Claude Code: which one is in its parameters
    members: Mapping[str, Any] = told_more if isinstance(told_more, dict) else {}
    return label(members.get("mcp_tool_name")) or name


def _set_decision(span: Span, told: Told) -> None:
    word = label(told.first(("decision", "decision_type")))
    if word is None:
        return
    source = label(told.first(("source", "decision_source")))
    said = f"{word} by {source}" if source else word
    span.notes.append(f"decision: {said}")
    if word.lower() in _REJECTED:
        span.status, span.error = STATUS_DENIED, f"not run: {said}"
        span.preview_out = span.error


def _tool_bodies(told: Told, span: Span, name: str, call_id: str) -> list[Body]:
    arguments, result = told.first(_TOOL_INPUTS), told.first(TOOL_RESULTS)
    bodies = []
    if arguments is not None:
        text = as_text(arguments)
        function = {"name": name, "arguments": text}
        called = {"role": "assistant", "tool_calls": [{"id": call_id, "type": "function", "function": function}]}
        bodies.append(_body(PART_INPUT, [called]))
        span.preview_in = preview(text)
    if result is not None:
        text = as_text(result)
        bodies.append(_body(PART_OUTPUT, [{"role": "tool", "tool_call_id": call_id, "content": text}]))
        span.preview_out = span.preview_out or preview(text)
    return bodies


# ── figures of a turn ────────────────────────────────────────────────────────────────────────────────────────────────


def turn_figures(told: Told) -> list[Row]:
    """Return what an agent says of a whole turn; its calls count, so this does not."""
    name = label(told.attributes.get("turn.id"))
    fields = read_fields(told.attributes)
    span = _span(
        told, told.id_of("figures", name), "event", span_name="turn", operation="turn_figures", status=STATUS_OK,
        ttft_ms=fields.get("ttft_ms"), counts=False,
    )  # fmt: skip
    reported = fields.get("reported_cost")
    if reported is not None:
        span.cost_detail = {"reported_cost": reported}
    return [turn_of(told), Row(span, [_attributes(told)])]
