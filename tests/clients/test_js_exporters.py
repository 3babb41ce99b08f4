"""OpenTelemetry's JavaScript exporters and Vercel's AI SDK export to LLMFlow, as JSON and as protobuf.

The packages are installed once per version, outside the repository, from tests/clients/js/package-lock.json.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import telemetry_apps as apps
from js_help import JS, installed

FAR = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")

pytestmark = pytest.mark.sdk


@pytest.fixture
def flow(flow_at):
    return flow_at()


@pytest.fixture(scope="session")
def modules(tmp_path_factory) -> Path:
    """The folder with node_modules."""
    return installed(tmp_path_factory)


def run_js(flow, modules: Path, tmp_path: Path, script: str, *arguments: str) -> None:
    """Run a program where its packages are found."""
    os.symlink(modules / "node_modules", tmp_path / "node_modules", target_is_directory=True)
    shutil.copy(JS / script, tmp_path)
    apps.run(flow, ["node", str(tmp_path / script), *arguments])


@pytest.mark.parametrize("encoding", ["http", "proto"])
def test_the_exporter_sends_all_of_a_trace(flow, modules, tmp_path, encoding):
    """One exporter sends JSON, one protobuf: the same tree, values, event, link and exception."""
    run_js(flow, modules, tmp_path, "exporter.mjs", encoding)
    rows = {row["span_name"]: row for row in flow.wait_traces(3)}
    agent, chat, tool = rows["agent"], rows["chat gpt-4o-mini"], rows["execute_tool get_weather"]
    assert (agent["trace_id"], agent["parent_id"]) == FAR
    assert {chat["parent_id"], tool["parent_id"]} == {agent["id"]}
    assert [row["span_type"] for row in (agent, chat, tool)] == ["agent", "llm", "tool"]
    assert (agent["agent_name"], agent["session_id"]) == ("weather", "js-session")
    assert (chat["provider"], chat["request_model"], chat["model"]) == (
        "openai",
        "gpt-4o-mini",
        "gpt-4o-mini-2024-07-18",
    )
    tokens = [chat[f"{kind}_tokens"] for kind in ("prompt", "completion", "total", "cached")]
    assert tokens == [30, 14, 44, 10]
    assert chat["estimated_cost"] == pytest.approx(apps.cost(chat))
    assert (chat["finish_reason"], chat["conversation_id"]) == ("stop", "js-conversation")
    assert (tool["status"], tool["error"]) == (500, "no such place")
    told = apps.detail(flow, chat)
    assert apps.said(told["messages"]["input"]) == [("user", ["Why is the sky blue?"])]
    assert apps.said(told["messages"]["output"]) == [("assistant", ["Scattering."])]
    values = {"ratio": 0.25, "is_test": True, "big": 9007199254740991, "list": ["a", "b"]}
    assert {name: told["attributes"].get(name) for name in values} == values
    assert told["otlp"]["resource"]["attributes"] == {
        "service.name": "js app",
        "deployment.environment.name": "test",
    }
    assert told["otlp"]["scope"] == {"name": "js-scope", "version": "1.2.3"}
    assert (told["otlp"]["kind"], told["otlp"]["trace_state"]) == (3, "vendor=value")
    (event,) = told["otlp"]["events"]
    assert (event["name"], event["attributes"]) == ("note", {"text": "größer 🌊", "count": 3})
    (link,) = told["otlp"]["links"]
    assert (link["trace_id"], link["span_id"], link["trace_state"]) == (FAR[0], "00f067aa0ba902b7", "vendor=value")
    assert link["attributes"] == {"reason": "retry"}
    (exception,) = apps.detail(flow, tool)["otlp"]["events"]
    assert (exception["name"], exception["attributes"]["exception.type"]) == ("exception", "TypeError")


CALL = ("call", "call_0", "weather", {"place": "Paris"})
ASKED = ("user", ["How is the weather?"])


def test_vercels_ai_sdk_is_told_step_by_step(flow, modules, tmp_path):
    """Text made whole with a tool, and streamed: each call of the model counts, the spans around them do not."""
    run_js(flow, modules, tmp_path, "vercel.mjs")
    roots = apps.trees(flow)
    whole, streamed = roots["ai.generateText"], roots["ai.streamText"]
    assert apps.outline(whole) == ("chain", [("llm", []), ("tool", []), ("llm", [])])
    assert apps.outline(streamed) == ("chain", [("llm", [])])
    first, tool, second = apps.children(whole)
    (last,) = apps.children(streamed)
    system = ("system", ["Be brief."])
    result = ("tool", [("result", "call_0", "Sunny in Paris")])
    for call, asked, answered, reason in (
        (first, [system, ASKED], [CALL], "tool_calls"),
        (second, [system, ASKED, ("assistant", [CALL]), result], ["It is sunny."], "stop"),
        (last, [ASKED], ["It is sunny."], "stop"),
    ):
        assert (call["provider"], call["request_model"], call["model"]) == (
            "openai",
            "gpt-4o-mini",
            "gpt-4o-mini-2024-07-18",
        )
        tokens = [call[f"{kind}_tokens"] for kind in ("prompt", "completion", "total", "cached")]
        assert tokens == [30, 14, 44, 10]
        assert call["estimated_cost"] == pytest.approx(apps.cost(call))
        assert (call["session_id"], call["user_id"], call["finish_reason"]) == ("vercel-session", "ada", reason)
        assert call["is_stream"] is (call is last)
        told = apps.detail(flow, call)["messages"]
        assert apps.said(told["input"]) == asked
        assert apps.said(told["output"]) == [("assistant", answered)]
    assert last["ttft_ms"] is not None
    assert [one["name"] for one in apps.detail(flow, first)["messages"]["tools"]] == ["weather"]
    told = apps.detail(flow, tool)["messages"]
    assert apps.said(told["input"]) == [("assistant", [CALL])]
    (answer,) = told["output"][0]["parts"]
    assert json.loads(answer["content"]) == "Sunny in Paris"
    assert [apps.detail(flow, one)["trace"]["counts"] for one in (whole, streamed)] == [False, False]
    stats = flow.get("/api/stats")
    assert stats["total_tokens"] == 3 * 44
    assert stats["total_cost"] == pytest.approx(sum(call["estimated_cost"] for call in (first, second, last)))
