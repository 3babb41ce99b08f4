"""What the tests of the terminal share: a few spans of known times, and running a command in this process."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from typing import Any

import pytest
from conftest import Flow

from llmflow_web.app.cli import run

BEGAN_MS = 1_790_000_000_000  # 2026-09-21 14:13:20 UTC
HOSTILE = "\x1b]0;owned\x07\x1b[2J\u202egnp.exe\x9b31m\r\nIGNORE \U0001f600"
TRACE = "0af7651916cd43dd8448eb211c80319c"


def spans() -> list[dict[str, Any]]:
    """An agent's trace, calls of two models, one that failed, and one whose every text is hostile."""
    chat = {"span_type": "llm", "provider": "openai", "operation": "chat"}
    tokens = {"prompt_tokens": 1000, "completion_tokens": 200, "cached_tokens": 400}
    asked = {"messages": [{"role": "user", "content": "Where is the ferry?"}]}
    return [
        {"id": "a" * 16, "trace_id": TRACE, "span_type": "agent", "span_name": "planner", "start_time": BEGAN_MS,
         "duration_ms": 4200, "service_name": "shop", "input": "Plan a day", "output": "Done"},
        {"id": "b" * 16, "trace_id": TRACE, "parent_id": "a" * 16, "span_name": "chat gpt-4o", "model": "gpt-4o",
         "start_time": BEGAN_MS + 200, "duration_ms": 1500, "ttft_ms": 300, "service_name": "shop", "input": asked,
         "output": "By the river.", "tags": ["prod"], "user_id": "anna", **chat, **tokens},
        {"id": "c" * 16, "trace_id": TRACE, "parent_id": "a" * 16, "span_type": "tool", "span_name": "ferry_times",
         "start_time": BEGAN_MS + 1800, "duration_ms": 90, "service_name": "shop", "input": {"pier": 2}},
        {"id": "d0" + "1" * 14, "trace_id": "d" * 32, "span_name": "chat gpt-4o-mini", "model": "gpt-4o-mini",
         "start_time": BEGAN_MS + 60_000, "duration_ms": 850, "service_name": "bot", "tags": ["test", "prod"],
         "input": {"messages": [{"role": "user", "content": "日本語のテキストはここに入ります。長い文章です。"}]},
         "output": "はい。", "session_id": "s1", **chat, **tokens},
        {"id": "e0" + "1" * 14, "trace_id": "e" * 32, "span_name": "chat gpt-4o-mini", "model": "gpt-4o-mini",
         "start_time": BEGAN_MS + 120_000, "duration_ms": 40, "service_name": "bot", "status": 429,
         "error": "Rate limit reached for gpt-4o-mini", "input": asked, **chat},
        {"id": "f0" + "1" * 14, "trace_id": "f" * 32, "span_name": HOSTILE, "model": HOSTILE, "start_time": BEGAN_MS + 180_000,
         "duration_ms": 10, "service_name": HOSTILE, "input": {"messages": [{"role": HOSTILE, "content": HOSTILE}]},
         "output": HOSTILE, "tags": [HOSTILE], "session_id": HOSTILE, **chat, "prompt_tokens": 5, "completion_tokens": 5,
         "attributes": {"x": HOSTILE}},
    ]  # fmt: skip


def fill(flow: Flow, items: Sequence[dict[str, Any]] | None = None) -> None:
    """Put spans into a running LLMFlow."""
    told = list(spans() if items is None else items)
    for begin in range(0, len(told), 500):
        status, _, body = flow.ask("/api/spans", method="POST", body={"spans": told[begin : begin + 500]})
        assert status in (200, 201, 202), (status, body)


def plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what steers the commands, and have times shown in UTC."""
    for name in list(os.environ):
        if name.startswith("LLMFLOW_") or name in ("NO_COLOR", "COLUMNS"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


class Terminal:
    """Runs commands on a data directory and keeps what they say."""

    def __init__(self, capsys: pytest.CaptureFixture[str], data_dir: object) -> None:
        self._capsys = capsys
        self.data_dir = str(data_dir)
        self.err = ""

    def __call__(self, *argv: str, code: int = 0) -> str:
        """Run a command that ends with `code` and return its standard output."""
        self._capsys.readouterr()
        found = run([*argv, "--data-dir", self.data_dir])
        out, self.err = self._capsys.readouterr()
        assert found == code, (argv, found, out, self.err)
        return out

    def json(self, *argv: str, code: int = 0) -> Any:
        """Run a command with --json and return its one value."""
        return json.loads(self(*argv, "--json", code=code))

    def json_lines(self, *argv: str) -> list[Any]:
        """Run a command with --json and return a value a line."""
        return [json.loads(line) for line in self(*argv, "--json").splitlines()]
