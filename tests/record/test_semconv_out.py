"""Rows leave as OpenTelemetry spans: what was received as it came, our own calls in the current names."""

import json
import math

from hypothesis import given, settings
from hypothesis import strategies as st
from semconv_help import START_NS, span_of

from llmflow_web.model import PART_ATTRIBUTES, PART_INPUT, PART_OUTPUT, PART_REQUEST, PART_RESPONSE, Body, Span
from llmflow_web.record.semconv import messages_from_otlp, otlp_from_row, row_from_otlp
from llmflow_web.version import VERSION
from llmflow_web.wire.otlp_values import Event, Link, OtlpSpan, Resource, Scope

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def bodies(**parts) -> dict:
    numbers = {
        "attributes": PART_ATTRIBUTES,
        "request": PART_REQUEST,
        "response": PART_RESPONSE,
        "input": PART_INPUT,
        "output": PART_OUTPUT,
    }
    return {numbers[name]: json.dumps(value).encode() for name, value in parts.items()}


def back(span: OtlpSpan) -> Span:
    found = row_from_otlp(span)
    assert found is not None
    return found.span


# ── what was received ────────────────────────────────────────────────────────────────────────────────────────────────

_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="{"), max_size=8)
_VALUES = st.recursive(
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.binary(max_size=4)
    | st.just("text"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b.c", ""]), inner, max_size=3),
    max_leaves=6,
)
_ATTRIBUTES = st.dictionaries(_TEXT, _VALUES, max_size=3)
_NUMBERS = st.integers(0, 2**32 - 1)
_SPANS = st.builds(
    OtlpSpan,
    st.builds(Resource, _ATTRIBUTES, _NUMBERS, _TEXT),
    st.builds(Scope, _TEXT, _TEXT, _ATTRIBUTES, _NUMBERS, _TEXT),
    st.just(TRACE),
    st.just(SPAN),
    st.sampled_from(["", "c" * 16]),
    _TEXT,
    st.text(min_size=1, max_size=300),
    st.integers(0, 5),
    st.just(START_NS),
    st.integers(START_NS - 5, START_NS + 5) | st.just(0),
    _ATTRIBUTES,
    _NUMBERS,
    st.lists(st.builds(Event, st.integers(0, 2**64 - 1), _TEXT, _ATTRIBUTES, _NUMBERS), max_size=2),
    _NUMBERS,
    st.lists(st.builds(Link, st.just("d" * 32), st.just("e" * 16), _TEXT, _ATTRIBUTES, _NUMBERS, _NUMBERS), max_size=2),
    _NUMBERS,
    st.integers(0, 2),
    _TEXT,
    _NUMBERS,
)


@settings(max_examples=100, deadline=None)
@given(_SPANS)
def test_received_round_trip(span):
    """A received span leaves exactly as it came: events, links, bytes, counts, resource and scope."""
    row = row_from_otlp(span)
    parts = {body.part: body.data for body in row.bodies}
    assert otlp_from_row(row.span, parts) == span
    assert otlp_from_row(row.span, {body.part: body for body in row.bodies}) == span


def test_received_nan():
    """A number that is none comes back as one."""
    row = row_from_otlp(span_of({"attributes": {"x": math.nan}}))
    assert math.isnan(otlp_from_row(row.span, {body.part: body for body in row.bodies}).attributes["x"])


# ── ids ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def ids(trace_id: str, span_id: str) -> tuple[str, str]:
    found = otlp_from_row(Span(trace_id, span_id, parent_id=span_id))
    assert found.parent_span_id == found.span_id
    return found.trace_id, found.span_id


def test_ids():
    """Hex ids are kept, UUIDs lose their dashes, short ones are filled up, and any other text has a stable hash."""
    assert ids(TRACE, SPAN) == (TRACE, SPAN)
    assert ids("0AF76519-16cd-43dd-8448-eb211c80319c", SPAN) == (TRACE, SPAN)
    assert ids("abc", "abc") == ("abc".rjust(32, "0"), "abc".rjust(16, "0"))
    trace_id, span_id = ids("my trace", "my span")
    assert (len(trace_id), len(span_id)) == (32, 16)
    assert ids("my trace", "my span") == (trace_id, span_id)
    assert ids("0" * 32, "---")[0].strip("0")
    assert ids("0" * 32, "---")[1].strip("0")
    assert otlp_from_row(Span(TRACE, SPAN)).parent_span_id == ""


# ── our own ──────────────────────────────────────────────────────────────────────────────────────────────────────────

CALL = Span(
    TRACE, SPAN, span_type="llm", span_name="chat gpt-4o", service_name="shop", start_ns=START_NS, duration_ns=7,
    ttft_ms=250.0, provider="gemini", model="gpt-4o-2024", request_model="gpt-4o", operation="chat", response_id="r",
    request_id="q", status=200, response_status=200, finish_reason="tool_calls", is_stream=True, prompt_tokens=10,
    completion_tokens=5, total_tokens=15, cached_tokens=4, cache_write_tokens=0, reasoning_tokens=2,
    estimated_cost=0.01, request_path="/v1/chat/completions", session_id="s", conversation_id="c", user_id="u",
    agent_name="a", tool="proxy", tags=["x"], prompt_name="p", prompt_version="2",
)  # fmt: skip


def test_own_call():
    """A proxied call speaks the current names, the contract's older ones, and llmflow.* for the rest."""
    span = otlp_from_row(CALL)
    assert (span.name, span.kind, span.status_code, span.start_ns, span.end_ns) == (
        "chat gpt-4o", 3, 1, START_NS, START_NS + 7,
    )  # fmt: skip
    assert span.resource.attributes["service.name"] == "llmflow"
    assert (span.scope.name, span.scope.version) == ("llmflow", VERSION)
    assert span.attributes == {
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": "gcp.gemini", "gen_ai.system": "gemini",
        "gen_ai.request.model": "gpt-4o", "gen_ai.response.model": "gpt-4o-2024", "gen_ai.response.id": "r",
        "gen_ai.response.finish_reasons": ["tool_call"], "gen_ai.response.time_to_first_chunk": 0.25,
        "gen_ai.request.stream": True, "gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 4, "gen_ai.usage.cache_creation.input_tokens": 0,
        "gen_ai.usage.reasoning.output_tokens": 2, "gen_ai.usage.prompt_tokens": 10,
        "gen_ai.usage.completion_tokens": 5, "gen_ai.usage.total_tokens": 15, "gen_ai.conversation.id": "c",
        "gen_ai.agent.name": "a", "gen_ai.prompt.name": "p", "gen_ai.prompt.version": "2", "session.id": "s",
        "user.id": "u", "http.response.status_code": 200, "service.name": "shop", "llmflow.span_type": "llm",
        "llmflow.span_name": "chat gpt-4o", "llmflow.source": "proxy", "llmflow.status": 200, "llmflow.cost": 0.01,
        "llmflow.tags": ["x"], "llmflow.tool": "proxy", "llmflow.request_id": "q",
    }  # fmt: skip


def test_own_round_trip():
    """What another LLMFlow makes of our span is the row we had, but for where it came from and who priced it."""
    found = back(otlp_from_row(CALL))
    known = {
        name: getattr(CALL, name)
        for name in Span.__dataclass_fields__
        if name not in ("source", "estimated_cost", "cost_detail", "request_path")
    }
    assert {name: getattr(found, name) for name in known} == known
    assert found.cost_detail == {"reported_cost": 0.01}


def test_own_failure():
    """A call that failed carries its status, its error and its kind."""
    span = otlp_from_row(Span(TRACE, SPAN, status=499, response_status=200, error="gone", request_path="/x"))
    assert (span.status_code, span.status_message, span.name) == (2, "gone", "llm.request")
    assert (span.attributes["error.type"], span.attributes["http.response.status_code"]) == ("499", 200)
    assert span.attributes["gen_ai.request.model"] == "unknown"
    found = back(span)
    assert (found.status, found.error) == (499, "gone")


def test_rows_of_the_store():
    """A row as the API shows it goes out like the span it was made of."""
    row = {
        "trace_id": TRACE, "id": SPAN, "timestamp": 1_700_000_000_000, "duration_ms": 1.5, "model": "m", "tags": ["t"],
        "seq": 4, "has": [], "span_type": "llm", "source": "proxy", "status": None,
    }  # fmt: skip
    span = otlp_from_row(row)
    assert (span.start_ns, span.end_ns, span.name) == (START_NS, START_NS + 1_500_000, "m")
    assert otlp_from_row({**row, "start_ns": str(START_NS + 1)}).start_ns == START_NS + 1


def test_content_only_when_asked():
    """Prompts and answers go along only when they shall."""
    parts = bodies(
        request={
            "messages": [
                {"role": "system", "content": "Be kind."},
                {"role": "user", "content": [
                    {"type": "text", "text": "Look"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
                    {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
                    {"type": "input_audio", "input_audio": {"data": "UklG", "format": "mp3"}},
                    {"type": "file", "file": {"file_id": "f-1"}},
                    {"type": "hologram"},
                ]},
                {"role": "assistant", "content": None, "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}},
                ]},
                {"role": "tool", "tool_call_id": "c1", "content": "42"},
            ],
            "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        },
        response={"choices": [{"message": {"role": "assistant", "content": "Fine", "refusal": "No", "reasoning": "Hm"}, "finish_reason": "stop"}]},
    )  # fmt: skip
    assert not any("messages" in name for name in otlp_from_row(CALL, parts).attributes)
    told = otlp_from_row(CALL, parts, content=True).attributes
    assert json.loads(told["gen_ai.system_instructions"]) == [{"type": "text", "content": "Be kind."}]
    asked = json.loads(told["gen_ai.input.messages"])
    assert asked[0]["parts"] == [
        {"type": "text", "content": "Look"},
        {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "AA"},
        {"type": "uri", "modality": "image", "uri": "https://x/y.png"},
        {"type": "blob", "modality": "audio", "mime_type": "audio/mp3", "content": "UklG"},
        {"type": "file", "file_id": "f-1"},
        {"type": "json", "content": {"type": "hologram"}},
    ]
    assert asked[1]["parts"] == [{"type": "tool_call", "id": "c1", "name": "f", "arguments": {"a": 1}}]
    assert asked[2] == {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "42"}]}
    (answer,) = json.loads(told["gen_ai.output.messages"])
    assert answer == {
        "role": "assistant",
        "parts": [
            {"type": "reasoning", "content": "Hm"},
            {"type": "text", "content": "Fine"},
            {"type": "refusal", "content": "No"},
        ],
        "finish_reason": "stop",
    }
    tool = {"type": "function", "name": "f", "parameters": {"type": "object"}}
    assert json.loads(told["gen_ai.tool.definitions"]) == [tool]
    read = messages_from_otlp(told)
    assert [one["role"] for one in read["input"]] == ["system", "user", "assistant", "tool"]
    assert read["output"][0]["parts"][2] == {"type": "refusal", "text": "No"}


def test_sdk_spans():
    """Spans of our SDK take their attributes along, deep ones as JSON; input and output only when they shall."""
    parts = bodies(
        attributes={"k": 1, "deep": {"a": [1]}, "flat": ["x"], "rows": [{"a": 1}], "events": [{"name": "e"}]},
        input={"q": 1},
        output="text",
    )
    chain = Span(TRACE, SPAN, source="sdk", span_type="chain", span_name="plan")
    told = otlp_from_row(chain, parts, content=True)
    assert told.kind == 1
    assert {name: told.attributes[name] for name in ("k", "deep", "flat", "rows", "input.value", "output.value")} == {
        "k": 1, "deep": '{"a":[1]}', "flat": ["x"], "rows": '[{"a":1}]', "input.value": '{"q": 1}',
        "output.value": '"text"',
    }  # fmt: skip
    assert "events" not in told.attributes
    assert "input.value" not in otlp_from_row(chain, parts).attributes
    tool = Span(TRACE, SPAN, source="sdk", span_type="tool", span_name="get_weather")
    told = otlp_from_row(tool, parts, content=True)
    assert told.attributes["gen_ai.tool.name"] == "get_weather"
    assert told.attributes["gen_ai.tool.call.arguments"] == '{"q": 1}'
    assert back(told).span_type == "tool"


def test_bodies_that_are_cut():
    """Parts that are no JSON any more cost their content, not the span."""
    broken = {PART_ATTRIBUTES: b'{"a', PART_REQUEST: b"\xff{", PART_RESPONSE: b""}
    assert otlp_from_row(CALL, broken, content=True).attributes["gen_ai.request.model"] == "gpt-4o"
    assert otlp_from_row(CALL, {PART_REQUEST: Body(PART_REQUEST, b"[]", 2)}, content=True).name == "chat gpt-4o"
