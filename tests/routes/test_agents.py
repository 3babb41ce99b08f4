"""Coding agents end to end: their logs, traces and metrics over real sockets into a whole LLMFlow, and what it shows."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import pytest
from agents_help import AGENTS, Session, official_logs

from llmflow_web.wire import otlp

PATIENCE_S = 60.0
JSON, PROTOBUF = "application/json", "application/x-protobuf"
TURNS = {"claude_code": 2, "codex_cli": 2, "gemini_cli": 1, "copilot": 1}


def post(flow: Any, signal: str, body: bytes, content_type: str) -> None:
    """Send a request, which is answered when it is stored."""
    request = urllib.request.Request(f"{flow.dashboard_url}/v1/{signal}", body, {"Content-Type": content_type})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=PATIENCE_S) as answer:
        assert (answer.status, answer.read()) in ((200, b""), (200, b"{}"))


def post_logs(flow: Any, session: Session, content_type: str) -> None:
    records = session.logs()
    official = official_logs(records) if content_type == PROTOBUF else otlp.encode("logs", records, is_json=True)
    post(flow, "logs", official, content_type)


def post_rest(flow: Any, session: Session, content_type: str) -> None:
    is_json = content_type == JSON
    post(flow, "traces", otlp.encode("traces", session.spans(), is_json=is_json), content_type)
    post(flow, "metrics", otlp.encode("metrics", session.metrics(), is_json=is_json), content_type)


@pytest.mark.parametrize("content_type", [JSON, PROTOBUF])
def test_logs_alone_become_sessions_with_turns(flow, content_type):
    """All four agents in one LLMFlow: sessions, turns as traces, tokens and cost in the totals; nothing twice."""
    pytest.importorskip("opentelemetry.proto")
    sessions = [Session(name) for name in AGENTS]
    for session in (*sessions, sessions[0]):  # the first sends all of it again
        post_logs(flow, session, content_type)
    for name, session in zip(AGENTS, sessions, strict=True):
        found = flow.get(f"/api/sessions/{session.id}")
        assert found["summary"]["tokens"] == session.tokens
        assert found["summary"]["turns"] == TURNS[name]
        assert found["summary"]["cost"] > 0
        assert {trace["tool"] for trace in found["traces"]} == {session.tool}
    stats = flow.get("/api/stats")
    assert stats["total_tokens"] == sum(session.tokens for session in sessions)
    roots = flow.get("/api/traces?roots=1&tool=claude-code")
    assert [row["span_name"] for row in roots] == ["Claude Code turn"] * 2
    assert {row["preview_in"] for row in roots} == {"Fix the bug", None}


@pytest.mark.parametrize("is_log_first", [True, False])
@pytest.mark.parametrize("name", AGENTS)
def test_logs_traces_and_metrics_together_count_once(flow, name, is_log_first):
    """Whichever signal comes first: the session's tokens are those of its calls, and metrics are in no sum."""
    session = Session(name)
    for send in (post_logs, post_rest) if is_log_first else (post_rest, post_logs):
        send(flow, session, JSON)
    thoughts = 60 if name == "gemini_cli" else 0  # its own spans leave them out
    assert flow.get("/api/stats")["total_tokens"] == session.tokens - thoughts
    found = flow.get(f"/api/sessions/{session.id}")
    assert found["summary"]["tokens"] == session.tokens - thoughts
    assert sum(trace["tokens"] for trace in found["traces"]) == session.tokens - thoughts


def test_a_turn_is_a_tree_with_everything_its_events_told(flow):
    """Calls and tools under the turn, each with messages, bill and the sender's own figure beside it."""
    post_logs(flow, Session("claude_code"), JSON)
    trace = flow.get("/api/sessions/sess-claude")["traces"][0]
    (turn,) = flow.get(f"/api/traces/{trace['trace_id']}/tree")["spans"]
    assert [child["span_type"] for child in turn["children"]] == ["event", "llm", "tool", "llm", "llm"]
    call = flow.get(f"/api/traces/{turn['children'][1]['id']}")
    assert call["trace"]["cost_detail"]["reported_cost"] == 0.0096
    assert [part["type"] for part in call["messages"]["output"][0]["parts"]] == ["text", "tool_call"]
    tool = flow.get(f"/api/traces/{turn['children'][2]['id']}")
    assert tool["messages"]["input"][0]["parts"][0]["name"] == "Bash"
    assert sorted(tool["attributes"]) == ["tool_decision", "tool_result"]
    whole = flow.get(f"/api/traces/{turn['id']}")
    assert whole["messages"]["input"][0]["parts"] == [{"type": "text", "text": "Fix the bug"}]
    assert "pytest" in json.dumps(flow.get("/api/traces?q=pytest"))


def test_keys_in_what_agents_log_are_masked(flow):
    """A key in a prompt, in a tool's arguments and in a raw body is on no disk and in no answer."""
    key = "sk-ant-api03-" + "abcdefghij" * 6
    session = Session("claude_code")
    records = session.logs()
    for record in records:
        for name in ("prompt", "tool_input", "body", "response"):
            if name in record.attributes:
                record.attributes[name] = record.attributes[name].replace("pytest", key).replace("bug", key)
    post(flow, "logs", otlp.encode("logs", records, is_json=True), JSON)
    assert key not in flow.everything_stored()
