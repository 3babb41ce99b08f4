"""An agent of pydantic-ai exports to LLMFlow, by its own OpenTelemetry and by logfire without an account."""

from __future__ import annotations

import pytest
import telemetry_apps as apps
from fake_upstream import FakeUpstream
from openai_like import TEXT, OpenAILike

for _name in ("openai", "pydantic_ai.models.openai", "opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"):
    pytest.importorskip(_name, reason=f"{_name} is not installed")

pytestmark = pytest.mark.sdk

CALL = ("call", "call_0", "get_weather", {"place": "Paris"})
RESULT = ("result", "call_0", "Sunny in Paris")
ASKED = [("system", ["Be brief."]), ("user", ["How is the weather?"])]
TALK = [*ASKED, ("assistant", [CALL]), ("tool", [RESULT])]
kinds = pytest.mark.parametrize("name", ["plain", "logfire"])


@pytest.fixture
def upstream():
    with FakeUpstream(apps.Numbered(OpenAILike())) as server:
        yield server


def ask(flow, name, url):
    """Return the agent's span."""
    if name == "logfire":
        pytest.importorskip("logfire", reason="logfire is not installed")
    apps.run_app(flow, "agent_app.py", name, url)
    found = apps.trees(flow)
    if name == "plain":
        return found["invoke_agent weather"]
    agent, event = apps.children(found["ask about the weather"])
    assert (event["span_type"], event["span_name"]) == ("event", "asked about the weather")
    return agent


@kinds
def test_an_agent_is_told_step_by_step(flow, upstream, name):
    """Agent, call, tool, call: with their messages, the conversation, tokens and cost; the agent's sums add nothing."""
    agent = ask(flow, name, f"{upstream.url}/v1")
    assert apps.outline(agent) == ("agent", [("llm", []), ("tool", []), ("llm", [])])
    assert {one["agent_name"] for one in apps.walk(agent)} == {"weather"}
    assert {one["conversation_id"] for one in apps.walk(agent)} == {"conversation-1"}
    first, tool, second = apps.children(agent)
    for call, asked, answered, reason in ((first, ASKED, [CALL], "tool_calls"), (second, TALK, [TEXT], "stop")):
        assert (call["provider"], call["model"], call["finish_reason"]) == ("openai", "gpt-4o", reason)
        tokens = [call[f"{kind}_tokens"] for kind in ("prompt", "completion", "total", "cached")]
        assert tokens == [30, 14, 44, 10]
        assert call["estimated_cost"] == pytest.approx(apps.cost(call))
        told = apps.detail(flow, call)["messages"]
        assert apps.said(told["input"]) == asked
        assert apps.said(told["output"]) == [("assistant", answered)]
        assert [one["name"] for one in told["tools"]] == ["get_weather"]
    told = apps.detail(flow, tool)["messages"]
    assert apps.said(told["input"]) == [("assistant", [CALL])]
    assert apps.said(told["output"]) == [("tool", [RESULT])]
    told = apps.detail(flow, agent)
    assert apps.said(told["messages"]["input"]) == TALK
    assert apps.said(told["messages"]["output"]) == [("assistant", [TEXT])]
    assert (agent["total_tokens"], told["trace"]["counts"]) == (88, False)
    stats = flow.get("/api/stats")
    assert stats["total_tokens"] == 88
    assert stats["total_cost"] == pytest.approx(first["estimated_cost"] + second["estimated_cost"])


@kinds
def test_calls_of_an_agent_that_llmflow_saw_too_count_once(flow, upstream, name):
    """By the answer's id: each call is joined to the call as we saw it."""
    agent = ask(flow, name, f"{flow.proxy_url}/v1")
    ours = {row["id"]: row for row in flow.get("/api/traces?limit=1000") if row["source"] == "proxy"}
    calls = apps.calls_in(agent)
    assert {call["joined_to"] for call in calls} == set(ours)
    assert len(ours) == 2
    stats = flow.get("/api/stats")
    assert stats["total_cost"] == pytest.approx(sum(row["estimated_cost"] for row in ours.values()))
    assert stats["total_tokens"] == 88
