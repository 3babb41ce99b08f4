"""The demo: all of it recorded as sent, in its own place, and honest when something is not."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from llmflow_web.app import demo
from llmflow_web.app.demo import check, check_spans, run_demo, summary
from llmflow_web.app.demo_desk import Sent, Step
from llmflow_web.app.fake_provider import Answer, usage_of

ROOT = Path(__file__).resolve().parents[2]
REQUEST = {"model": "gpt-4.1-mini", "messages": [{"role": "user", "content": "Hi"}]}


def sent(**changes: Any) -> Sent:
    call = Sent("openai", REQUEST, Answer("Hello."), {}, status=200, trace_id="t", span_id="s", text="Hello.")
    call.body = {"id": "x"}
    for name, value in changes.items():
        setattr(call, name, value)
    return call


def stored(call: Sent, **changes: Any) -> dict[str, Any]:
    """Return what the API answers when `call` was recorded truly, with changes to the trace."""
    usage = usage_of(call.request, call.answer)
    trace = {
        "provider": "openai",
        "trace_id": "t",
        "model": "gpt-4.1-mini",
        "status": 200,
        "ending": "finished",
        "is_stream": False,
        "session_id": None,
        "parent_id": None,
        "prompt_tokens": usage["prompt_tokens"],
        "total_tokens": usage["total_tokens"],
        "estimated_cost": 0.001,
    }
    answer = {"role": "assistant", "parts": [{"type": "text", "text": "Hello."}]}
    return {
        "trace": trace | changes,
        "request": {"body": call.request},
        "response": {"body": call.body},
        "messages": {"output": [answer]},
    }


class FakeDesk:
    """A desk whose dashboard answers what a test says."""

    def __init__(self, status: int, answer: Any) -> None:
        self.answer = (status, answer)
        self.steps: list[Step] = []

    def dashboard(self, *_: Any) -> tuple[int, Any]:
        return self.answer


def test_once_records_everything(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """`--once` sends the day's calls, finds each recorded as sent, prints the table and returns 0."""
    before = set(Path(tempfile.gettempdir()).glob("llmflow-demo-*"))
    assert run_demo({}, os.environ, is_once=True) == 0
    said = capsys.readouterr().out
    lines = said.splitlines()
    calls = [line for line in lines if line.endswith("  yes")]
    assert len(calls) >= 18
    assert f"{len(calls)} calls" in lines[-1]
    assert lines[-1].endswith("all recorded as sent")
    for part in ("gpt-5-mini-2025-08-07", "mistral-large-latest", "429", "401", "500", "200 cut", "$0.0"):
        assert part in said
    assert not (Path(os.environ["HOME"]) / ".llmflow").exists()
    assert set(Path(tempfile.gettempdir()).glob("llmflow-demo-*")) <= before


def test_it_keeps_serving(tmp_path: Path) -> None:
    """Without --once it sends the calls and goes on serving until a signal; its temporary folder goes with it."""
    command = [sys.executable, str(ROOT / "llmflow.py"), "demo", "--proxy-port", "0", "--dashboard-port", "0"]
    env = os.environ | {"TMPDIR": str(tmp_path), "DATA_DIR": str(tmp_path / "not-here")}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env)
    with process:
        assert "Dashboard:" in process.stdout.readline()
        line = ""
        while "press Ctrl-C" not in line:
            line = process.stdout.readline()
            assert line, "it ended by itself"
        assert re.search(r"\d\d calls and \d+ spans sent", line)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert "Traceback" not in process.stdout.read()
    assert not list(tmp_path.iterdir())


def test_the_users_set_up_stays_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keys, data folders and upstreams of the user's own have no part in it."""
    seen: list[Any] = []

    def keep(config: Any, *_: Any) -> int:
        seen.append(config)
        return 0

    monkeypatch.setattr(demo, "_run_once", keep)
    env = {"DATA_DIR": str(tmp_path), "OLLAMA_HOST": "box", "LLMFLOW_UPSTREAM_OPENAI": "http://x:1", "PROXY_PORT": "1"}
    assert run_demo({}, env, is_once=True) == 0
    config = seen[0]
    assert config.data_dir != tmp_path
    assert not config.env_keys
    assert not config.price_refresh
    assert {upstream.url.split("/")[2].split(":")[0] for upstream in config.upstreams.values()} == {"127.0.0.1"}


def test_a_true_record_passes() -> None:
    """A stored call that equals the sent one has no problem."""
    call = sent()
    assert check(FakeDesk(200, stored(call)), call) == ""


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"model": "gpt-4"}, "model is 'gpt-4'"),
        ({"total_tokens": 1}, "total_tokens is 1"),
        ({"estimated_cost": None}, "has no cost"),
        ({"status": 500}, "status is 500"),
        ({"session_id": "x"}, "session_id is 'x'"),
        ({"ending": "client_closed"}, "ending is 'client_closed'"),
    ],
)
def test_a_false_record_is_noticed(changes: dict[str, Any], problem: str) -> None:
    """Any fact that differs is named."""
    call = sent()
    assert problem in check(FakeDesk(200, stored(call, **changes)), call)


def test_lost_and_changed_texts_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that is not there, another request or another answer is named, too."""
    monkeypatch.setattr(demo, "RECORDED_TIMEOUT_S", 0.05)
    call = sent()
    assert check(FakeDesk(404, {}), call) == "is not recorded"
    other = stored(call) | {"request": {"body": {}}}
    assert "request differs" in check(FakeDesk(200, other), call)
    assert "answer differs" in check(FakeDesk(200, stored(call)), sent(body={"id": "y"}))
    stream = {"is_stream": True}
    streamed = sent(request=REQUEST | {"stream": True})
    assert check(FakeDesk(200, stored(streamed, **stream)), streamed) == ""
    streamed.text = "Hello"
    assert "answer differs" in check(FakeDesk(200, stored(streamed, **stream)), streamed)


def test_a_span_in_the_wrong_place_is_noticed() -> None:
    """A span that is missing or hangs elsewhere is named."""
    row = {"id": "a", "span_name": "plan", "parent_id": None, "children": []}
    desk = FakeDesk(200, {"spans": [row]})
    desk.steps = [Step("a", "t", None, "agent", "plan")]
    assert check_spans(desk) == ""
    desk.steps = [Step("a", "t", "b", "agent", "plan")]
    assert check_spans(desk) == "span plan is not where it belongs"


def test_the_table_tells_what_is_wrong() -> None:
    """The last line counts what was not recorded truly."""
    call = sent()
    text = summary([call, call], [stored(call), None], ["", "is not recorded", ""])
    assert "is not recorded" in text
    assert text.splitlines()[-1].endswith("1 not recorded as sent")
