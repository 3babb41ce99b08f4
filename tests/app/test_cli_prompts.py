"""`llmflow prompts`: the same from a server as from the file, readable at 80 columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from cli_help import BEGAN_MS, Terminal, fill, plain_terminal
from conftest import Flow

SYSTEM = "You are a travel agent for trains. Answer in one sentence and name the station, and nothing else at all."


def call(number: int, system: str, **more: Any) -> dict[str, Any]:
    asked = {"messages": [{"role": "system", "content": system}]}
    return {
        "id": f"p{number}", "span_type": "llm", "span_name": "chat", "start_time": BEGAN_MS + number, "duration_ms": 100,
        "estimated_cost": 0.01, "input": asked, **more,
    }  # fmt: skip


@pytest.fixture
def filled(flow_at: Callable[..., Flow], monkeypatch: pytest.MonkeyPatch) -> Flow:
    plain_terminal(monkeypatch)
    flow = flow_at()
    named = {"prompt_name": "sum/mary", "prompt_version": "1"}
    spans = [
        call(1, SYSTEM),
        call(2, SYSTEM, status=500, error="no"),
        call(3, SYSTEM + " Be kind."),
        call(4, "x", **named),
    ]
    fill(flow, spans)
    return flow


def test_prompts_and_versions(filled: Flow, capsys: pytest.CaptureFixture[str]) -> None:
    """Names as they are, others by key and beginning; the versions of one; JSON as the API gives it."""
    terminal = Terminal(capsys, filled.config.data_dir)
    asked = (
        ("prompts",),
        ("prompts", "--sort", "name", "--limit", "1"),
        ("prompts", "--of", "sum/mary"),
        ("prompts", "span:none"),
    )
    online = [terminal(*argv) for argv in asked]
    told = terminal.json("prompts")
    key = told["prompts"][0]["key"]
    versions = terminal.json("prompts", "--of", key)["versions"]
    assert told == filled.get("/api/prompts?limit=20")
    filled.stop()
    assert [terminal(*argv) for argv in asked] == online
    assert terminal.json("prompts", "--of", key)["versions"] == versions
    listed = online[0].splitlines()
    assert all(len(line) <= 80 for line in listed)
    assert listed[0].split() == ["PROMPT", "VERS", "CALLS", "ERRORS", "COST", "PER", "CALL", "P50", "P95"]
    assert listed[1].startswith(f"{key} “You")
    assert listed[1].split()[-7:] == ["2", "3", "33%", "$0.0300", "$0.0100", "100ms", "100ms"]
    assert listed[2].split()[0] == "sum/mary"
    assert len(online[1].splitlines()) == 2
    assert online[2].splitlines()[1].split()[:2] == ["1", "1"]
    assert [row["label"] for row in versions] == ["v1", "v2"]


def test_nothing_to_list(flow: Flow, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty list is said, and so is a prompt that nobody used."""
    plain_terminal(monkeypatch)
    terminal = Terminal(capsys, flow.config.data_dir)
    assert terminal("prompts") == ""
    assert "no prompt has been recorded yet" in terminal.err
    assert terminal("prompts", "--of", "nothing", code=1) == ""
    assert "Prompt not found" in terminal.err
