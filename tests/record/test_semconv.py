"""A received span becomes a row: what counts when conventions disagree, and nothing a sender writes makes it fail."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from semconv_help import START_NS, span_of

from llmflow_web.model import PART_ATTRIBUTES, PART_OTLP, SPAN_TYPES
from llmflow_web.record.messages import messages_of, search_text
from llmflow_web.record.semconv import Origins, messages_from_otlp, row_from_otlp, usage_from
from llmflow_web.record.semconv_detail import detail_of_otlp, with_logs
from llmflow_web.record.semconv_tables import COLUMNS, KINDS, PROVIDERS, provider_name
from llmflow_web.wire.otlp_values import Event, Link, OtlpSpan, Resource, Scope


def row(attributes: dict | None = None, **told):
    found = row_from_otlp(span_of({"attributes": attributes or {}, **told}))
    assert found is not None
    return found


def span(attributes: dict | None = None, **told):
    return row(attributes, **told).span


def usage(**attributes):
    return usage_from(span_of({"attributes": attributes}))


def parts(found) -> dict:
    return {body.part: json.loads(body.data) for body in found.bodies}


# ── tables ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_tables():
    """Every kind is a span type of ours, every provider has one plain name, no candidate stands twice in a column."""
    assert {kind for _, kinds in KINDS for kind in kinds.values()} <= set(SPAN_TYPES)
    assert all(provider_name(name) == name for name in set(PROVIDERS.values()))
    for _, candidates in COLUMNS.values():
        names = [one if isinstance(one, str) else one[0] for one in candidates]
        assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("said", "ours"),
    [
        ("OpenAI", "openai"),
        ("openai.responses", "openai"),
        ("gcp.gemini", "gemini"),
        ("google.generative-ai", "gemini"),
        ("google.vertex.chat", "vertex_ai"),
        ("gcp.vertex_ai", "vertex_ai"),
        ("azure.ai.inference", "azure"),
        ("azure-openai.chat", "azure"),
        ("az.ai.openai", "azure"),
        ("aws.bedrock", "bedrock"),
        ("amazon-bedrock", "bedrock"),
        ("x_ai", "xai"),
        ("mistral_ai", "mistral"),
        ("anthropic.messages", "anthropic"),
        ("somebody-new", "somebody-new"),
        ("Langchain", None),
        ("gateway", None),
        ("", None),
        (17.5, None),
    ],
)
def test_provider_names(said, ours):
    """Providers are named as our adapters and prices are; a framework's own name is none."""
    assert provider_name(said) == ours


# ── which candidate counts ───────────────────────────────────────────────────────────────────────────────────────────


def test_first_usable_value_wins():
    """A candidate that cannot be used makes room for the next; numbers come out of texts."""
    found = usage(
        **{
            "gen_ai.usage.input_tokens": "many",
            "gen_ai.usage.prompt_tokens": " 12 ".strip(),
            "gen_ai.usage.output_tokens": math.nan,
            "gen_ai.usage.completion_tokens": 3.0,
            "gen_ai.usage.cache_read.input_tokens": -4,
            "gen_ai.usage.reasoning.output_tokens": True,
        }
    )
    assert (found.prompt_tokens, found.completion_tokens, found.total_tokens) == (12, 3, 15)
    assert (found.cached_tokens, found.reasoning_tokens) == (0, 0)


def test_order_of_attributes_does_not_matter():
    """What a sender writes first is not what counts."""
    names = {"gen_ai.response.model": "b", "llm.model_name": "c", "gen_ai.request.model": "a"}
    backwards = dict(reversed(names.items()))
    assert (span(names).model, span(names).request_model) == ("b", "a")
    assert (span(backwards).model, span(backwards).request_model) == ("b", "a")


def test_total_is_kept_or_added():
    """A total that was sent stands; without one it is the sum."""
    assert usage(**{"gen_ai.usage.input_tokens": 1, "gen_ai.usage.total_tokens": 9}).total_tokens == 9
    assert usage(**{"llm.token_count.prompt": 1}).total_tokens == 1
    assert usage(**{"llm.token_count.total": 7}).total_tokens == 7
    assert usage().total_tokens is None


def test_cache_is_part_of_the_input():
    """Claude Code's counts leave the cache out; Codex', Gemini's and the current names hold it."""
    claude = usage(input_tokens=5, output_tokens=1, cache_read_tokens=3, cache_creation_tokens=1)
    assert (claude.prompt_tokens, claude.total_tokens) == (9, 10)
    codex = usage(input_token_count="5", cached_token_count="3", output_token_count="4", reasoning_token_count="2")
    assert (codex.prompt_tokens, codex.completion_tokens) == (5, 4)
    current = usage(**{"gen_ai.usage.input_tokens": 5, "gen_ai.usage.cache_read.input_tokens": 5})
    assert current.prompt_tokens == 5
    old = usage(**{"gen_ai.usage.input_tokens": 5, "gen_ai.usage.cache_read_input_tokens": 6})
    assert old.prompt_tokens == 11


def test_what_the_cache_keeps_for_an_hour_is_told_apart():
    """By Anthropic's SDK in an attribute, to OpenInference in the answer: it costs more to write."""
    sdk = row_from_otlp(span_of({"attributes": {
        "gen_ai.usage.input_tokens": 9, "gen_ai.usage.cache_write.input_tokens": 8,
        "anthropic.usage.cache_creation.ephemeral_1h_input_tokens": 3,
    }}))  # fmt: skip
    answer = {"type": "message", "usage": {"cache_creation": {"ephemeral_1h_input_tokens": 3}}}
    openinference = row_from_otlp(span_of({"attributes": {
        "openinference.span.kind": "LLM", "llm.token_count.prompt": 9,
        "llm.token_count.prompt_details.cache_write": 8, "output.value": json.dumps(answer),
    }}))  # fmt: skip
    for row in (sdk, openinference):
        assert (row.usage.cache_write_tokens, row.usage.cache_write_1h_tokens) == (8, 3)


ODD_ANSWERS = [
    "", "text", "[]", "{}", '{"object": []}', '{"object": "response", "status": 5}', '{"object": "list", "id": "x"}',
    '{"object": "response", "status": "completed", "output": {"a": 1}}', '{"type": "message", "usage": [], "id": {}}',
    '{"object": "response", "status": "incomplete", "incomplete_details": 3}',
]  # fmt: skip


@pytest.mark.parametrize("answer", ODD_ANSWERS)
def test_odd_answers_say_nothing(answer):
    """What is no answer of a model, or an odd one, gives no id."""
    found = span({"openinference.span.kind": "LLM", "output.value": answer, "llm.invocation_parameters": answer})
    assert (found.response_id, found.model) == (None, None)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "length"),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, "content_filter"),
        ({"status": "completed", "output": [{"type": "function_call"}]}, "tool_calls"),
        ({"status": "completed", "output": []}, "stop"),
        ({"status": "failed"}, None),
    ],
)
def test_how_a_response_ended_stands_in_the_answer(answer, reason):
    """In chat's words."""
    told = {"openinference.span.kind": "LLM", "output.value": json.dumps({"object": "response", "id": "r", **answer})}
    assert span(told).finish_reason == reason


def test_reasoning_is_part_of_the_output():
    """More reasoning than output cannot be a part of it."""
    found = usage(
        **{"gen_ai.usage.output_tokens": 2, "gen_ai.usage.reasoning_tokens": 7, "gen_ai.usage.total_tokens": 3}
    )
    assert (found.completion_tokens, found.total_tokens) == (9, 9)


def test_usage_objects():
    """Usage that comes as one JSON object is read where the attributes say nothing."""
    langsmith = {"input_tokens": 9, "output_tokens": 2, "total_tokens": 11, "input_token_details": {"cache_read": 4}}
    found = usage(**{"langsmith.usage_metadata": json.dumps(langsmith)})
    assert (found.prompt_tokens, found.cached_tokens, found.total_tokens) == (9, 4, 11)
    raw = {"input_tokens": 9, "output_tokens": 2, "cache_read_input_tokens": 4, "cache_creation": {"x": 1}}
    assert usage(**{"gen_ai.usage.raw": json.dumps(raw)}).prompt_tokens == 13
    told = {
        "prompt_tokens": 3,
        "completion_tokens": 2,
        "completion_tokens_details": {"reasoning_tokens": 1, "audio_tokens": 1},
    }
    found = usage(**{"gen_ai.usage.raw": told})
    assert (found.reasoning_tokens, found.audio_output_tokens) == (1, 1)
    assert usage(**{"gen_ai.usage.raw": '{"input_tokens": 3, "outp'}).is_empty
    details = {"gen_ai.usage.input_tokens": 9, "gen_ai.usage.input_token_details": '{"cache_read": 4, "audio": 1}'}
    assert (usage(**details).cached_tokens, usage(**details).audio_input_tokens) == (4, 1)


def test_reported_cost():
    """The sender's own cost is beside ours: in dollars, whatever it was counted in."""
    assert usage(cost_usd_micros="1500").reported_cost == 0.0015
    assert usage(cost_usd=0.5, cost_usd_micros=7).reported_cost == 0.5
    assert usage(**{"usage.estimated_usd": "0.25"}).reported_cost == 0.25
    assert span({"llm.cost.total": 0.1}).cost_detail == {"reported_cost": 0.1}


def test_service_and_session():
    """Names of the resource serve where the span has none; service.instance.id is no session."""
    found = span({}, resource={"session.id": "r", "user.id": "u", "service.instance.id": "x"}, scope="my.scope")
    assert (found.session_id, found.user_id, found.service_name) == ("r", "u", "my.scope")
    assert span({"session.id": "s"}, resource={"session.id": "r"}).session_id == "s"
    bare = span({"conversation.id": "c"}, resource={})
    assert (bare.conversation_id, bare.session_id, bare.service_name) == ("c", None, "otel")


@pytest.mark.parametrize(
    ("name", "attributes", "kind"),
    [
        ("x", {"traceloop.span.kind": "workflow"}, "trace"),
        ("x", {"traceloop.span.kind": "task"}, "chain"),
        ("x", {"traceloop.span.kind": "unknown", "gen_ai.system": "openai"}, "llm"),
        ("x", {"openinference.span.kind": "EVALUATOR"}, "evaluator"),
        ("x", {"openinference.span.kind": "UNKNOWN"}, "custom"),
        ("x", {"gen_ai.operation.name": "embeddings", "gen_ai.system": "openai"}, "embedding"),
        ("x", {"gen_ai.operation.name": "invoke_workflow"}, "chain"),
        ("x", {"gen_ai.operation.name": "vector_db_retrieve"}, "retrieval"),
        ("x", {"langsmith.span.kind": "retriever"}, "retrieval"),
        ("x", {"llm.request.type": "rerank"}, "rerank"),
        ("x", {"gen_ai.system": "openai"}, "llm"),
        ("x", {"db.system": "Pinecone"}, "retrieval"),
        ("x", {"db.system": "postgresql"}, "custom"),
        ("embed_docs", {}, "embedding"),
        ("web search", {}, "retrieval"),
        ("my agent", {}, "agent"),
        ("call_tool", {}, "tool"),
        ("LLMchain", {}, "chain"),
        ("x", {"llm.token_count.prompt": 4}, "llm"),
        ("x", {"gen_ai.request.model": "m"}, "llm"),
        ("ai.generateObject.doGenerate", {}, "llm"),
        ("ai.generateObject", {}, "chain"),
        ("ai.rerank.doRerank", {}, "rerank"),
        ("ai.something", {"ai.operationId": "ai.something"}, "chain"),
        ("ai.something", {}, "custom"),
        ("claude_code.tool.blocked_on_user", {}, "event"),
        ("claude_code.hook", {"span.type": "hook"}, "event"),
        ("x", {"gen_ai.operation.name": ["chat"]}, "custom"),
    ],
)
def test_span_type(name, attributes, kind):
    """What a span is: as it says, else by what only such spans have, else by its name."""
    assert span(attributes, name=name).span_type == kind


def test_provider_by_host_and_scope():
    """Where no attribute names the provider, the host or the instrumentation does, for calls of models only."""
    assert span({"gen_ai.request.model": "m", "server.address": "api.groq.com"}).provider == "groq"
    assert span({"gen_ai.request.model": "m", "url.full": "https://me.openai.azure.com/x"}).provider == "azure"
    assert span({"gen_ai.request.model": "m"}, scope="openinference.instrumentation.openai").provider == "openai"
    assert span({"gen_ai.request.model": "m"}, scope="opentelemetry.instrumentation.openai.v1").provider == "openai"
    assert span({"server.address": "api.groq.com"}).provider is None


# ── how it went ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("told", "status", "response_status", "error"),
    [
        ({}, 200, 200, None),
        ({"status_code": 1, "attributes": {"http.response.status_code": 404}}, 200, 404, None),
        ({"status_code": 2}, 500, 500, None),
        ({"status_code": 2, "status_message": "boom", "attributes": {"error.type": "X"}}, 500, 500, "boom"),
        ({"status_code": 2, "attributes": {"error.type": "X"}}, 500, 500, "X"),
        ({"status_code": 2, "attributes": {"http.status_code": "503"}}, 503, 503, "HTTP 503"),
        ({"status_code": 2, "attributes": {"http.response.status_code": 200}}, 500, 200, None),
        ({"attributes": {"success": "false", "error": "no"}}, 500, 500, "no"),
        ({"status_code": 2, "status_message": "Error code: 429 - slow down"}, 429, 429, "Error code: 429 - slow down"),
        ({"status_code": 2, "status_message": "Error code: 200 - odd"}, 500, 500, "Error code: 200 - odd"),
        ({"status_message": "Error code: 429 - unset"}, 200, 200, "Error code: 429 - unset"),
        ({"attributes": {"error": True}}, 200, 200, None),
        (
            {"status_code": 2, "events": [{"name": "exception", "attributes": {"exception.message": "m"}}]},
            500,
            500,
            "m",
        ),
    ],
)
def test_outcome(told, status, response_status, error):
    """Status and error of a span, from its status, its HTTP status, its exception or its own words."""
    found = span(told.pop("attributes", {}), **told)
    assert (found.status, found.response_status, found.error) == (status, response_status, error)


def test_time():
    """A start that is missing or absurd is the time of arrival; an end before the start is none."""
    assert row_from_otlp(span_of({"start_ns": 0}), now_ns=5).span.start_ns == 5
    assert row_from_otlp(span_of({"start_ns": 2**63}), now_ns=5).span.duration_ns is None
    assert span({}, end_ns=START_NS - 1).duration_ns is None
    assert span({}, end_ns=START_NS).duration_ns == 0


def test_first_chunk_event():
    """The first chunk's event gives the time to first token where no attribute does."""
    event = {"name": "First Token Stream Event", "time_ns": START_NS + 5_000_000}
    assert span({}, events=[event]).ttft_ms == 5.0
    assert span({"ttft_ms": 9}, events=[event]).ttft_ms == 9.0
    assert span({}, events=[{"name": "other", "time_ns": START_NS + 1}]).ttft_ms is None


def test_pending_span():
    """A span that only announces another is no row."""
    assert row_from_otlp(span_of({"attributes": {"logfire.span_type": "pending_span"}})) is None


def test_names_of_agents():
    """An agent is named by its attribute, its entity or its span."""
    assert span({"traceloop.span.kind": "agent", "traceloop.entity.name": "a"}).agent_name == "a"
    assert span({"gen_ai.operation.name": "invoke_agent"}, name="invoke_agent b").agent_name == "b"
    assert span({"gen_ai.operation.name": "invoke_agent"}, name="x").agent_name is None


def test_from_another_llmflow():
    """What another LLMFlow sends keeps the app's name, the outcome, the tool and the tags."""
    told = {
        "llmflow.span_type": "rerank", "llmflow.status": 499, "llmflow.tags": ["a", "b"], "llmflow.tool": "codex-cli",
        "llmflow.is_estimated": True, "service.name": "shop",
    }  # fmt: skip
    found = span(told, scope="llmflow", resource={"service.name": "llmflow"})
    assert (found.span_type, found.status, found.tags, found.tool) == ("rerank", 499, ["a", "b"], "codex-cli")
    assert (found.service_name, found.is_estimated) == ("shop", True)


# ── what is stored ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_stored_parts():
    """Attributes are kept as sent, and everything else beside them; only what is set."""
    full = OtlpSpan(
        Resource({"service.name": "app", "k": {"deep": [1, b"\x00\x01"]}}, 1, "https://schema"),
        Scope("s", "1.0", {"a": math.inf}, 2, "https://scope"),
        "0" * 31 + "1",
        "0" * 15 + "2",
        trace_state="x=1",
        name="n",
        kind=2,
        start_ns=START_NS,
        end_ns=START_NS + 1,
        attributes={"bin": b"\xff", "nan": math.nan, "list": [1, "a"]},
        dropped_attributes_count=3,
        events=[Event(START_NS, "e", {"x": 1}, 4)],
        dropped_events_count=5,
        links=[Link("a" * 32, "b" * 16, "y", {"z": True}, 6, 7)],
        dropped_links_count=8,
        status_code=2,
        status_message="m",
        flags=257,
    )
    made = row_from_otlp(full)
    stored = parts(made)
    assert stored[PART_ATTRIBUTES] == {"bin": {"bytesValue": "/w=="}, "nan": "NaN", "list": [1, "a"]}
    assert stored[PART_OTLP] == {
        "resource": {
            "attributes": {"service.name": "app", "k": {"deep": [1, {"bytesValue": "AAE="}]}},
            "dropped_attributes_count": 1,
            "schema_url": "https://schema",
        },
        "scope": {
            "name": "s",
            "version": "1.0",
            "attributes": {"a": "Infinity"},
            "dropped_attributes_count": 2,
            "schema_url": "https://scope",
        },
        "name": "n",
        "kind": 2,
        "trace_state": "x=1",
        "flags": 257,
        "status": {"code": 2, "message": "m"},
        "events": [{"time_ns": str(START_NS), "name": "e", "attributes": {"x": 1}, "dropped_attributes_count": 4}],
        "links": [
            {
                "trace_id": "a" * 32, "span_id": "b" * 16, "trace_state": "y", "attributes": {"z": True},
                "dropped_attributes_count": 6, "flags": 7,
            }
        ],
        "dropped_attributes_count": 3,
        "dropped_events_count": 5,
        "dropped_links_count": 8,
    }  # fmt: skip
    assert made.span.dropped == [
        "3 attributes: dropped by the sender",
        "5 events: dropped by the sender",
        "8 links: dropped by the sender",
    ]


def test_spans_that_share_their_origin():
    """What is read once for a resource and a scope is what each span by itself would say; nothing of others stays."""
    resources = [
        Resource({"service.name": "a", "session.id": "s1", "user.id": "u"}, schema_url="x"), Resource(),
        Resource({"service.name": "b", "conversation.id": 5}),
    ]  # fmt: skip
    scopes = [Scope("llmflow", "1"), Scope(), Scope("lib", attributes={"k": math.nan})]
    told = [{}, {"session.id": "own"}, {"service.name": "the app"}, {"metadata": '{"user_id": "m"}'}]
    spans = [
        OtlpSpan(resource, scope, "ab" * 16, "cd" * 8, name="x", kind=2, attributes=attributes)
        for resource in resources for scope in scopes for attributes in told
    ]  # fmt: skip
    origins = Origins()
    for one in [*spans, *reversed(spans)]:
        assert row_from_otlp(one, origins=origins) == row_from_otlp(one)


def test_long_attributes_stay_json():
    """Attributes beyond the bound lose the longest texts, not their shape, and the row says which."""
    told = {"gen_ai.prompt": "é" * 400_000, "short": "kept", "second": "b" * 200_000, "list": ["c" * 300_000]}
    made = row_from_otlp(span_of({"attributes": told}), max_bytes=300_000)
    stored = parts(made)[PART_ATTRIBUTES]
    assert stored["short"] == "kept"
    assert stored["second"] == told["second"]
    assert stored["gen_ai.prompt"].endswith("… [400000 characters]")
    assert made.span.dropped == ["gen_ai.prompt: too long", "list: too long"]
    assert len(made.bodies[0].data) <= 300_000


def test_many_attributes_are_bounded():
    """A million small attributes fit as well, and the list of what is missing stays short."""
    made = row_from_otlp(span_of({"attributes": {f"k{i}": "v" * 10 for i in range(5000)}}), max_bytes=10_000)
    assert len(made.bodies[0].data) <= 10_000
    assert len(made.span.dropped) == 20


# ── messages ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def texts(found) -> list:
    return [(one["role"], [part.get("text") for part in one["parts"]]) for one in found]


def test_hostile_index():
    """An index of a billion is one message; one of a thousand digits is none."""
    told = {
        "gen_ai.prompt.999999999.content": "far",
        "gen_ai.prompt.0.content": "near",
        f"gen_ai.prompt.{'9' * 5000}.content": "beyond",
        "gen_ai.prompt.٣.content": "arabic",
        "llm.input_messages.1" + ".x" * 10_000: "deep",
        "llm.tools.5.tool": "no branch",
        "llm.tools.5.tool.json_schema": "{}",
    }
    assert texts(messages_from_otlp(told)["input"]) == [("user", ["near"]), ("user", ["far"])]


def test_cut_json_is_text():
    """JSON that was cut off is shown as the text it is."""
    cut = '[{"role":"user","parts":[{"type":"text","cont'
    assert texts(messages_from_otlp({"gen_ai.input.messages": cut})["input"]) == [("user", [cut])]
    assert messages_from_otlp({"gen_ai.tool.definitions": "[{"})["tools"] == []


def test_structured_values():
    """Messages may come as values instead of JSON."""
    told = {"gen_ai.output.messages": [{"role": "assistant", "parts": [{"type": "text", "content": "Yo"}]}]}
    assert texts(messages_from_otlp(told)["output"]) == [("assistant", ["Yo"])]
    nested = {"llm.input_messages": [{"message.role": "user", "message.content": "Hi"}]}
    assert texts(messages_from_otlp(nested)["input"]) == [("user", ["Hi"])]
    plain = {"llm.prompts": ["one", "two"], "gen_ai.completion": "text"}
    assert texts(messages_from_otlp(plain)["input"]) == [("user", ["one"]), ("user", ["two"])]


def test_flattened_completions():
    """OpenInference's plain completions and function calls of old are read too."""
    told = {
        "llm.prompts.0.prompt.text": "Once",
        "llm.choices.0.completion.text": "upon",
    }
    found = messages_from_otlp(told)
    assert (texts(found["input"]), texts(found["output"])) == ([("user", ["Once"])], [("assistant", ["upon"])])
    old = {
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.function_call_name": "f",
        "llm.output_messages.0.message.function_call_arguments_json": '{"x":1}',
    }
    call = {"type": "tool_call", "id": "", "name": "f", "arguments": '{"x":1}'}
    assert messages_from_otlp(old)["output"][0]["parts"] == [call]
    older = {"gen_ai.completion.0.function_call.name": "f", "gen_ai.completion.0.function_call.arguments": '{"x":1}'}
    assert messages_from_otlp(older)["output"][0]["parts"] == [call]


def test_gemini_contents():
    """A list of Gemini's contents is known by its parts."""
    told = {"gen_ai.prompt": json.dumps([{"role": "user", "parts": [{"text": "Hi"}]}])}
    assert texts(messages_from_otlp(told)["input"]) == [("user", ["Hi"])]


def test_parts_of_messages():
    """Every part of the convention has a place; what is unknown stays as it is."""
    given = [
        {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "AA"},
        {"type": "blob", "mime_type": "application/pdf", "content": "AA"},
        {"type": "uri", "modality": "audio", "mime_type": "audio/mp3", "uri": "https://x/a.mp3"},
        {"type": "uri", "mime_type": "application/pdf", "uri": "https://x/a.pdf"},
        {"type": "image-url", "url": "https://x/i.png"},
        {"type": "binary", "media_type": "image/png", "content": "BB"},
        {"type": "tool_call_response", "id": "1", "response": {"a": 1}},
        {"type": "server_tool_call_response", "id": "2", "server_tool_call_response": {"type": "x"}},
        {"type": "compaction", "content": "c"},
        {"type": "blob"},
        {"type": "uri"},
        {"type": "file"},
        {"type": "text"},
        "bare",
        7,
    ]
    told = {"gen_ai.output.messages": [{"role": "assistant", "name": "bob", "parts": given}]}
    (message,) = messages_from_otlp(told)["output"]
    assert message["name"] == "bob"
    assert message["parts"] == [
        {"type": "image", "url": "data:image/png;base64,AA"},
        {"type": "file", "name": "application/pdf", "url": "data:application/pdf;base64,AA"},
        {"type": "audio", "format": "mp3", "url": "https://x/a.mp3"},
        {"type": "file", "name": "a.pdf", "url": "https://x/a.pdf"},
        {"type": "image", "url": "https://x/i.png"},
        {"type": "image", "url": "data:image/png;base64,BB"},
        {"type": "tool_result", "id": "1", "content": '{"a":1}'},
        {"type": "tool_result", "id": "2", "content": '{"type":"x"}'},
        {"type": "json", "value": {"type": "compaction", "content": "c"}},
        {"type": "json", "value": {"type": "blob"}},
        {"type": "json", "value": {"type": "uri"}},
        {"type": "json", "value": {"type": "file"}},
        {"type": "json", "value": {"type": "text"}},
        {"type": "text", "text": "bare"},
        {"type": "json", "value": 7},
    ]


def test_stored_span_reads_the_same():
    """A stored span gives the same messages as the span itself, and its words are found."""
    told = {"gen_ai.prompt.0.content": "needle", "gen_ai.completion.0.content": "haystack"}
    made = row(told, events=[{"name": "x"}])
    bodies = {body.part: body.data for body in made.bodies}
    assert messages_of(None, None, bodies) == messages_from_otlp(told)
    assert made.text == search_text(None, None, bodies) == "haystack\nneedle"
    assert messages_of(None, None, {PART_OTLP: b"{", PART_ATTRIBUTES: b"["})["input"] == []


def test_words_of_what_is_not_stored():
    """Where something is left out of what is stored, its words are not given to the search index either."""
    assert row({"input.value": "kept", "ai.embedding": [0.5]}).text is None
    assert row_from_otlp(span_of({"attributes": {"input.value": "long " * 1000}}), max_bytes=100).text is None


# ── the detail ───────────────────────────────────────────────────────────────────────────────────────────────────────


def detail(attributes: dict, **told) -> dict:
    return detail_of_otlp({body.part: body.data for body in row(attributes, **told).bodies})


def test_detail_attributes():
    """Attributes are shown with the span's name, those of the resource, which win, and the span's kind."""
    found = detail({"a": 1, "b": 1}, name="n", resource={"b": 2}, kind=3)
    assert found["attributes"] == {"a": 1, "b": 2, "_spanName": "n", "otel_span_kind": 3}
    assert found["otlp"]["kind"] == 3


def test_detail_values():
    """Input and output are the prompt's and completion's JSON, or an event's attributes, or another convention's."""
    found = detail({"gen_ai.prompt": '[{"role":"user"}]', "gen_ai.completion": "plain"})
    assert (found["input"], found["output"]) == ([{"role": "user"}], {"completion": "plain"})
    events = [{"name": "gen_ai.content.prompt", "attributes": {"gen_ai.prompt": "x"}}]
    assert detail({"gen_ai.prompt": "{}"}, events=events)["input"] == {"gen_ai.prompt": "x"}
    other = detail({"input.value": '{"q":1}', "traceloop.entity.output": "text"})
    assert (other["input"], other["output"]) == ({"q": 1}, "text")
    assert detail({})["input"] is None


def test_logs_fill_what_is_missing():
    """Messages of linked log events fill the side a span leaves empty, and only that."""
    logs = [
        {"event_name": "gen_ai.choice", "time_ns": "3", "body": '{"message":{"content":"Yo"}}', "attributes": {}},
        {"event_name": "gen_ai.user.message", "time_ns": "2", "body": '{"content":"Hi"}', "attributes": "{}"},
        {"event_name": "gen_ai.system.message", "timestamp": 0, "body": "x", "detail": {"body": {"content": "Be"}}},
        {"event_name": "other", "time_ns": 1, "body": None},
    ]
    found = with_logs({"input": [], "output": []}, logs)
    assert texts(found["input"]) == [("system", ["Be"]), ("user", ["Hi"])]
    assert texts(found["output"]) == [("assistant", ["Yo"])]
    kept = with_logs({"input": [1], "output": []}, logs)
    assert kept["input"] == [1]


def test_details_log():
    """The details event as a log record holds the messages in its attributes."""
    messages = [{"role": "user", "parts": [{"type": "text", "content": "Hi"}]}]
    log = {"event_name": "gen_ai.client.inference.operation.details", "attributes": {"gen_ai.input.messages": messages}}
    assert texts(with_logs({"input": [], "output": []}, [log])["input"]) == [("user", ["Hi"])]


# ── anything at all ──────────────────────────────────────────────────────────────────────────────────────────────────

_NAMES = sorted(
    {one if isinstance(one, str) else one[0] for _, names in COLUMNS.values() for one in names}
    | {attribute for attribute, _ in KINDS}
    | {
        "gen_ai.prompt.0.content", "gen_ai.prompt.0.tool_calls.0.name", "gen_ai.completion.3", "gen_ai.prompt", "events",
        "gen_ai.completion", "gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions",
        "gen_ai.tool.definitions", "llm.input_messages.0.message.contents.0.message_content", "llm.output_messages.2",
        "llm.input_messages", "llm.tools.0.tool", "llm.tools.0.tool.json_schema", "llm.prompts", "input.value",
        "output.value", "ai.prompt", "ai.prompt.messages", "ai.prompt.tools", "ai.response.toolCalls", "ai.values",
        "pydantic_ai.all_messages", "all_messages_events", "request_data", "response_data", "metadata", "tool.name",
        "retrieval.documents.0.document.content", "embedding.embeddings.0.embedding.vector", "reranker.query",
        "gen_ai.usage.raw", "langsmith.usage_metadata", "gen_ai.usage.input_token_details", "server.address",
        "model_request_parameters", "final_result", "url.full", "db.system", "ai.operationId", "logfire.msg",
    }
)  # fmt: skip
_SHAPES = st.sampled_from(
    [
        '[{"role":"user","content":[{"type":"tool-result","output":{"type":1,"value":[]}}]}]',
        '[{"role":1,"parts":[{"type":null},{"type":"tool_call"}],"finish_reason":3}]',
        '{"messages":[[{"lc":1,"id":[],"kwargs":{"content":[1,{}],"tool_calls":[{}]}}]]}',
        '{"generations":[[{"message":{"type":"ai","content":null}}],[[[[[[[[]]]]]]]]]}',
        '[{"event.name":"gen_ai.choice","message":3},{"event.name":"gen_ai.tool.message","id":{}}]',
        '{"choices":[{"message":null},{"message":{"content":{}}}]}',
        '[{"content":[{"toolUse":{}},{"toolResult":{"content":1}},{"type":"image","image":{}}]}]',
        '{"input_tokens":[],"input_token_details":{"cache_read":{}},"function_tools":[{"function":3}]}',
        '{"embedding":{"values":1},"candidates":[{"content":3}]}',
    ]
)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.binary(max_size=9) | _SHAPES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["role", "parts", "type", "content", "0", "message", "tool_calls"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)
_ATTRIBUTES = st.dictionaries(st.sampled_from(_NAMES) | st.text(max_size=12), _VALUES, max_size=12)
_EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["gen_ai.choice", "gen_ai.user.message", "gen_ai.content.prompt", "exception", "x"]),
        st.dictionaries(
            st.sampled_from(
                ["content", "message", "id", "tool_calls", "gen_ai.event.content", "gen_ai.prompt", "exception.message"]
            ),
            _VALUES,
            max_size=3,
        ),
    ),
    max_size=3,
)


@settings(max_examples=250, deadline=None)
@given(_ATTRIBUTES, _EVENTS, st.text(max_size=20), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_anything_becomes_a_row(attributes, events, name, start_ns, end_ns):
    """Whatever the attributes and events hold, there is a row the store can take, and its detail can be shown."""
    told = span_of({
        "attributes": attributes, "name": name, "start_ns": start_ns, "end_ns": end_ns,
        "events": [{"name": kind, "attributes": inner} for kind, inner in events],
    })  # fmt: skip
    made = row_from_otlp(told)
    if made is None:
        return
    found = made.span
    assert found.span_type in SPAN_TYPES
    assert 0 <= found.start_ns < 2**63
    assert found.duration_ns is None or 0 <= found.duration_ns < 2**63
    for column in ("prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens"):
        assert getattr(found, column) is None or 0 <= getattr(found, column) < 2**62
    bodies = {body.part: body.data for body in made.bodies}
    for data in bodies.values():
        json.loads(data)
    shown = json.dumps([messages_of(None, None, bodies), detail_of_otlp(bodies)])
    assert shown
    search_text(None, None, bodies)
