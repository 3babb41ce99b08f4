"""Instrumentations of OpenAI's SDK export to LLMFlow: each call is told right, and once, also when LLMFlow saw it.

Each is an app in a process of its own (tests/clients/apps), as it patches the SDK.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import telemetry_apps as apps
from fake_upstream import FakeUpstream
from openai_like import TEXT, OpenAILike

for _name in ("openai", "opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"):
    pytest.importorskip(_name, reason=f"{_name} is not installed")

pytestmark = pytest.mark.sdk

ASKED = [("system", ["Be brief."]), ("user", ["Why is the sky blue?"])]
CALL = ("call", "call_0", "get_weather", {"place": "Paris"})
WEATHER = {
    "name": "get_weather",
    "description": "Weather of a place",
    "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
}
LATEST = {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "span_only"}
EVENTS = {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true"}
LANGSMITH = {
    "LANGSMITH_TRACING": "true", "LANGSMITH_OTEL_ENABLED": "true", "LANGSMITH_OTEL_ONLY": "true",
    "LANGSMITH_API_KEY": "none", "LANGSMITH_ENDPOINT": "http://127.0.0.1:9",
}  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """An instrumentation, and what it leaves out."""

    module: str
    env: tuple[tuple[str, str], ...] = ()
    without: frozenset[str] = frozenset()
    """Steps it does not instrument, and: cached, reasoning, tools, ended (of streams), responses ended, stream."""
    joins_vectors: bool = False  # sends the context of the trace along by itself
    session: str | None = None


KINDS = {
    "openinference": Kind("openinference.instrumentation.openai", session="session-1"),
    "openllmetry": Kind("opentelemetry.instrumentation.openai", joins_vectors=True),
    "genai": Kind("opentelemetry.instrumentation.genai.openai", tuple(LATEST.items())),
    "openai-v2": Kind(
        "opentelemetry.instrumentation.openai_v2",
        tuple(EVENTS.items()),
        frozenset({"responses", "cached", "reasoning", "tools", "ended", "stream"}),
    ),
    "logfire": Kind("logfire", (), frozenset({"streamed", "responses ended"})),
    "langsmith": Kind("langsmith", tuple(LANGSMITH.items()), frozenset({"vectors"})),
}
kinds = pytest.mark.parametrize("name", KINDS)


@pytest.fixture
def upstream():
    with FakeUpstream(apps.Numbered(OpenAILike())) as server:
        yield server


def ask(flow, name, url, *road):
    kind = KINDS[name]
    pytest.importorskip(kind.module, reason=f"{kind.module} is not installed")
    apps.run_app(flow, "openai_app.py", name, url, *road, **dict(kind.env))
    return kind, {name.removeprefix("ask "): root for name, root in apps.trees(flow).items()}


def assert_call(kind, call, model, *, completion=14, reasoning=0):
    """One call, as OpenAI answered it and the price table bills it."""
    cached = 0 if "cached" in kind.without else 10
    reasoning = 0 if "reasoning" in kind.without else reasoning
    assert (call["provider"], call["status"], call["error"]) == ("openai", 200, None)
    assert (call["request_model"], call["model"]) == (model, "gpt-4o-mini-2024-07-18" if "mini" in model else model)
    tokens = [call[f"{name}_tokens"] for name in ("prompt", "completion", "total", "cached", "reasoning")]
    assert tokens == [30, completion, 30 + completion, cached, reasoning]
    assert call["estimated_cost"] == pytest.approx(apps.cost(call))
    assert call["session_id"] == kind.session
    assert call["user_id"] == ("ada" if kind.session else None)


def assert_talk(flow, call, asked, answered):
    told = apps.detail(flow, call)["messages"]
    assert apps.said(told["input"]) == asked
    assert apps.said(told["output"]) == [("assistant", answered)]
    return told


@kinds
def test_a_call_is_told_as_it_was(flow, upstream, name):
    """Tree, models, tokens of every class, cost, messages, tools, how it ended, session, failure: all as it was."""
    kind, steps = ask(flow, name, f"{upstream.url}/v1")
    assert all(root["source"] == "otlp" and root["service_name"] == f"{name} app" for root in steps.values())

    (chat,) = apps.calls_in(steps["chat"])
    assert apps.outline(steps["chat"]) == ("custom", [("llm", [])])
    assert_call(kind, chat, "gpt-4o-mini")
    assert (chat["finish_reason"], chat["is_stream"]) == ("stop", False)
    assert_talk(flow, chat, ASKED, [TEXT])

    if "streamed" not in kind.without:
        (streamed,) = apps.calls_in(steps["streamed"])
        assert_call(kind, streamed, "gpt-4o-mini")
        assert_talk(flow, streamed, ASKED, [TEXT])
        assert streamed["finish_reason"] == (None if "ended" in kind.without else "stop")
        assert streamed["is_stream"] is ("stream" not in kind.without)

    assert apps.outline(steps["twice"]) == ("custom", [("llm", []), ("tool", []), ("llm", [])])
    first, second = apps.calls_in(steps["twice"])
    for call, asked, answered, reason in (
        (first, ASKED, [CALL], "tool_calls"),
        (second, [*ASKED, ("assistant", [CALL]), ("tool", [("result", "call_0", "Sunny")])], [TEXT], "stop"),
    ):
        assert_call(kind, call, "gpt-4o")
        assert call["finish_reason"] == reason
        told = assert_talk(flow, call, asked, answered)
        assert told["tools"] == ([] if "tools" in kind.without else [WEATHER])

    if "responses" not in kind.without:
        (response,) = apps.calls_in(steps["responses"])
        assert_call(kind, response, "gpt-4o-mini", completion=22, reasoning=8)
        assert response["finish_reason"] == (None if "responses ended" in kind.without else "stop")
        assert_talk(flow, response, ASKED, [TEXT])

    if "vectors" not in kind.without:
        (vectors,) = apps.calls_in(steps["vectors"])
        assert (vectors["span_type"], vectors["model"]) == ("embedding", "text-embedding-3-small")
        assert (vectors["prompt_tokens"], vectors["estimated_cost"]) == (10, pytest.approx(apps.cost(vectors)))

    (failed,) = apps.calls_in(steps["failing"])
    assert (failed["provider"], failed["model"], failed["status"]) == ("openai", "error-429", 429)
    assert "Rate limit reached" in failed["error"]
    assert apps.said(apps.detail(flow, failed)["messages"]["input"]) == ASKED

    calls = [call for step, root in steps.items() if step != "streamed" for call in apps.calls_in(root)]
    calls += [one for one in apps.walk(steps["streamed"]) if one["source"] == "otlp"]
    stats = flow.get("/api/stats")
    assert stats["total_cost"] == pytest.approx(sum(call["estimated_cost"] or 0 for call in calls))
    assert stats["total_tokens"] == sum(call["total_tokens"] or 0 for call in calls)
    assert stats["error_count"] == 1


def joined(flow, call):
    """Return the row of ours that an app's span is joined to."""
    (ours,) = [row for row in flow.get("/api/traces?limit=1000") if row["id"] == call["joined_to"]]
    assert ours["source"] == "proxy"
    return ours


@pytest.mark.parametrize("name", ["openinference", "openllmetry", "genai", "openai-v2", "langsmith"])
def test_a_call_that_llmflow_saw_too_counts_once(flow, upstream, name):
    """By the answer's id: the app's span is joined to the call as we saw it, hangs above it, and adds nothing."""
    kind, steps = ask(flow, name, f"{flow.proxy_url}/v1")
    rows = flow.get("/api/traces?limit=1000")
    ours = [row for row in rows if row["source"] == "proxy"]
    assert len(ours) == 7
    told = [call for step in ("chat", "streamed", "twice", "responses") for call in apps.calls_in(steps[step])]
    assert len({joined(flow, call)["id"] for call in told}) == len(told)
    for call in told:
        seen = joined(flow, call)
        assert (seen["model"], seen["total_tokens"]) == (call["model"], call["total_tokens"])
        assert seen["session_id"] == call["session_id"] == kind.session
        assert [one["id"] for one in call["children"]] == [seen["id"]]
    (chat,) = apps.calls_in(steps["chat"])
    assert not apps.detail(flow, chat)["trace"]["counts"]
    vectors = apps.calls_in(steps["vectors"])
    assert [bool(call["joined_to"]) for call in vectors] == [kind.joins_vectors] * len(
        vectors
    )  # their answer has no id
    twice = sum(call["estimated_cost"] for call in vectors if not call["joined_to"])
    assert flow.get("/api/stats")["total_cost"] == pytest.approx(
        sum(row["estimated_cost"] or 0 for row in ours) + twice
    )


@pytest.mark.parametrize("name", ["openinference", "genai"])
def test_with_the_context_of_its_trace_every_call_counts_once(flow, upstream, name):
    """The trace's context joins what has no id: embeddings, and calls that failed."""
    _, steps = ask(flow, name, f"{flow.proxy_url}/v1", "traced")
    told = [call for root in steps.values() for call in apps.calls_in(root)]
    assert len({joined(flow, call)["id"] for call in told}) == len(told) == 7
    ours = [row for row in flow.get("/api/traces?limit=1000") if row["source"] == "proxy"]
    stats = flow.get("/api/stats")
    assert stats["total_cost"] == pytest.approx(sum(row["estimated_cost"] or 0 for row in ours))
    assert stats["total_tokens"] == sum(row["total_tokens"] or 0 for row in ours)
    assert stats["error_count"] == 1
