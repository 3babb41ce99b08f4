"""llmflow tail: calls as they are committed, by a server and straight from the file, over restarts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_help import HOSTILE, Terminal, fill, plain_terminal, spans
from conftest import PATIENCE_S, Flow
from fake_upstream import FakeUpstream

ROOT = Path(__file__).resolve().parent.parent.parent


class Tail:
    """A tail in a process of its own, its lines as they come."""

    def __init__(self, data_dir: Path, *argv: str) -> None:
        command = [sys.executable, "-m", "llmflow", "tail", "--data-dir", str(data_dir), *argv]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.child = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, env=env, text=True, encoding="utf-8"
        )
        self.lines: list[str] = []
        self.said: list[str] = []
        self._threads = [
            threading.Thread(target=self._read, args=(stream, lines))
            for stream, lines in ((self.child.stdout, self.lines), (self.child.stderr, self.said))
        ]
        for thread in self._threads:
            thread.start()

    @staticmethod
    def _read(stream: Any, lines: list[str]) -> None:
        lines.extend(iter(stream.readline, ""))

    def wait(self, done: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not done():
            assert time.monotonic() < end, (self.lines, self.said)
            assert self.child.poll() is None, (self.lines, self.said)
            time.sleep(0.02)

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in list(self.lines)]

    @property
    def ids(self) -> list[str]:
        return [row["id"] for row in self.rows]

    def interrupt(self, how: int = signal.SIGINT) -> int:
        self.child.send_signal(how)
        return self.child.wait(PATIENCE_S)

    def close(self) -> None:
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()
        for thread in self._threads:
            thread.join()
        for stream in (self.child.stdout, self.child.stderr):
            assert stream is not None
            stream.close()


@pytest.fixture
def tail(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Tail]]:
    plain_terminal(monkeypatch)
    begun: list[Tail] = []

    def begin(data_dir: Path, *argv: str) -> Tail:
        begun.append(Tail(data_dir, *argv))
        return begun[-1]

    yield begin
    for one in begun:
        one.close()


def call(number: int) -> dict[str, Any]:
    return {**spans()[3], "id": f"{number:016x}", "trace_id": f"{number:032x}"}


def test_a_server_tells_of_calls_as_they_come(flow_at: Callable[..., Flow], tail: Callable[..., Tail]) -> None:
    """The last lines first, then what comes and passes the filter; Ctrl-C ends it with 0 and not a word."""
    flow = flow_at()
    fill(flow, [call(1), call(2), call(3)])
    told = tail(flow.config.data_dir, "model:gpt-4o-mini", "-status:error", "--json", "-n", "2")
    told.wait(lambda: len(told.lines) == 2)
    fill(flow, [{**call(4), "model": "other"}, {**call(5), "status": 500}, call(6)])
    told.wait(lambda: len(told.lines) == 3)
    assert [int(one, 16) for one in told.ids] == [2, 3, 6]
    assert told.rows[2] == next(row for row in flow.get("/api/traces") if row["id"] == told.ids[2])
    assert told.interrupt() == 0
    assert told.said == []


def test_it_comes_back_to_a_server_that_comes_back(flow_at: Callable[..., Flow], tail: Callable[..., Tail]) -> None:
    """When the server goes it waits, and shows what was recorded meanwhile, each call once."""
    first = flow_at()
    fill(first, [call(1)])
    told = tail(first.config.data_dir, "--json")
    told.wait(lambda: len(told.lines) == 1)
    first.stop()
    told.wait(lambda: any("waiting for it to come back" in line for line in told.said))
    second = flow_at()
    fill(second, [call(2), call(3)])
    told.wait(lambda: len(told.lines) == 3)
    assert [int(one, 16) for one in told.ids] == [1, 2, 3]
    assert told.interrupt(signal.SIGTERM) == 0


def test_without_a_server_the_file_is_followed(flow_at: Callable[..., Flow], tail: Callable[..., Tail]) -> None:
    """It begins with what a file holds, waits for a server, and goes over to it; hostile text is written out."""
    flow = flow_at()
    fill(flow, [{**call(1), "model": HOSTILE, "span_name": HOSTILE}])
    flow.stop()
    told = tail(flow.config.data_dir)
    told.wait(lambda: len(told.lines) == 1)
    assert told.lines[0].rstrip("\n").isprintable()
    assert len(told.lines[0]) <= 81
    fill(flow_at(), [call(2)])
    told.wait(lambda: len(told.lines) == 2)
    assert told.interrupt() == 0


def test_where_nothing_is_yet_it_waits(tmp_path: Path, flow_at: Callable[..., Flow], tail: Callable[..., Tail]) -> None:
    """A data directory without a database is waited for."""
    told = tail(tmp_path / "data", "--json")
    told.wait(lambda: any("Waiting for the first call" in line for line in told.said))
    fill(flow_at(), [call(1)])
    told.wait(lambda: len(told.lines) == 1)


def test_running_calls_are_shown_when_asked_for(flow_at: Callable[..., Flow], tail: Callable[..., Tail]) -> None:
    """With --running a call has a line when it is under way and one when it has ended."""
    import urllib.request

    with FakeUpstream.openai(gap_s=0.15) as upstream:
        flow = flow_at(openai=upstream.url)
        told = tail(flow.config.data_dir, "--json", "--running", "-n", "0")
        body = {"model": "gpt-4o-mini", "stream": True, "messages": [{"role": "user", "content": "hello"}]}
        request = urllib.request.Request(
            flow.proxy_url + "/v1/chat/completions", json.dumps(body).encode(), {"content-type": "application/json"}
        )
        # Until it listens calls may come and go unseen: one after the other, until one was seen under way.
        end = time.monotonic() + PATIENCE_S
        while not any(row.get("running") for row in told.rows):
            assert time.monotonic() < end, told.said
            with urllib.request.urlopen(request, timeout=60) as answer:
                answer.read()
        key = next(row["id"] for row in told.rows if row.get("running"))
        told.wait(lambda: [row.get("running") for row in told.rows if row["id"] == key] == [True, None])


def test_a_wrong_token_ends_it(
    flow_at: Callable[..., Flow], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A server that does not let us in is no reason to wait."""
    plain_terminal(monkeypatch)
    flow = flow_at({"token": "a-secret-token"})
    terminal = Terminal(capsys, flow.config.data_dir)
    terminal("tail", code=1)
    assert "LLMFLOW_TOKEN" in terminal.err
