"""llmflow doctor: each thing that can be wrong is found, named, and has a way to mend it."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli_help import Terminal, fill, plain_terminal
from conftest import Flow
from fake_upstream import FakeUpstream

from llmflow_web.app.cli import doctor_checks
from llmflow_web.routes.api_health import Check

KEY = "sk-test-THISKEYMUSTNOTBESHOWN0123456789"


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    plain_terminal(monkeypatch)
    for name in list(os.environ):
        if name.endswith(("_API_KEY", "_BASE_URL", "_PROXY", "_HOST", "_ENDPOINT")):
            monkeypatch.delenv(name)
    # Which ports are free on the machine of the test is not ours to say.
    monkeypatch.setattr(doctor_checks, "_is_free", lambda _: True)


def by_check(told: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for finding in told["findings"]:
        found.setdefault(finding["check"], []).append(finding)
    return found


def test_all_is_well(flow_at: Callable[..., Flow], capsys: pytest.CaptureFixture[str]) -> None:
    """With a server and without: what runs, what is stored since when, and nothing to mend; it fits 80 columns."""
    flow = flow_at()
    fill(flow)
    terminal = Terminal(capsys, flow.config.data_dir)
    for where in ("server", "file"):
        told = terminal.json("doctor")
        checks = by_check(told)
        assert told["ok"], told
        assert {one["level"] for some in checks.values() for one in some} <= {"ok", "warn"}
        assert checks["database"] == [{"check": "database", "level": "ok", "text": "llmflow.db is sound", "fix": ""}]
        assert (told["storage"]["spans"], told["storage"]["traces"]) == (6, 4)
        assert {"input", "output", "attributes"} <= {part["part"] for part in told["storage"]["parts"]}
        assert told["storage"]["oldest"] < told["storage"]["newest"]
        shown = terminal("doctor")
        assert all(len(line) <= 80 for line in shown.splitlines()), shown
        assert "6 spans in 4 traces, from 2026-09-21 14:13 to 2026-09-21 14:16." in shown
        assert ("none runs" in checks["server"][0]["text"]) == (where == "file")
        flow.stop()


def test_a_server_elsewhere_is_asked(
    flow_at: Callable[..., Flow], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """--url looks at that server and at what it stores, not at the data directory here."""
    flow = flow_at()
    fill(flow)
    told = Terminal(capsys, tmp_path / "none").json("doctor", "--url", flow.dashboard_url)
    assert "data" not in by_check(told)
    assert told["storage"]["spans"] == 6


def test_a_damaged_database_is_found(flow_at: Callable[..., Flow], capsys: pytest.CaptureFixture[str]) -> None:
    """A file with wrong bytes in its middle fails, and the command ends with 1."""
    flow = flow_at()
    fill(flow)
    flow.stop()
    path = flow.config.database
    data = bytearray(path.read_bytes())
    data[8192 : 8192 + 16384] = b"\xa5" * 16384
    path.write_bytes(data)
    told = Terminal(capsys, flow.config.data_dir).json("doctor", code=1)
    (finding,) = by_check(told)["database"]
    assert finding["level"] == "fail"
    assert finding["fix"]


def test_others_may_not_look(flow_at: Callable[..., Flow], capsys: pytest.CaptureFixture[str]) -> None:
    """A data directory that others may read is worth a word."""
    flow = flow_at()
    flow.config.data_dir.chmod(0o755)
    (finding,) = by_check(Terminal(capsys, flow.config.data_dir).json("doctor"))["data"]
    assert (finding["level"], finding["fix"]) == ("warn", f"chmod 700 {flow.config.data_dir}")
    flow.config.data_dir.chmod(0o700)


def test_the_environment_is_judged(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Keys by name alone, proxies without passwords, base URLs by where they point, unknown settings."""
    for name, value in {
        "OPENAI_API_KEY": KEY, "HTTPS_PROXY": "http://user:hunter2@proxy.corp:3128", "LLMFLOW_PROXY_PROT": "1",
        "OPENAI_BASE_URL": "http://localhost:8080/v1", "ANTHROPIC_BASE_URL": "https://gateway.example/v1",
        "GROQ_BASE_URL": "http://127.0.0.1:9999",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    terminal = Terminal(capsys, tmp_path)
    checks = by_check(terminal.json("doctor"))
    assert checks["keys"][0]["text"] == "set in this environment: OPENAI_API_KEY"
    (proxy,) = checks["proxies"]
    assert (proxy["level"], "proxy.corp:3128" in proxy["text"]) == ("warn", True)
    urls = {one["text"].split()[0]: one for one in checks["base URLs"]}
    assert urls["OPENAI_BASE_URL"]["level"] == "ok"
    assert urls["ANTHROPIC_BASE_URL"]["fix"] == "export ANTHROPIC_BASE_URL=http://localhost:8080/anthropic"
    assert "port 9999" in urls["GROQ_BASE_URL"]["text"]
    assert checks["settings"][0]["level"] == "warn"
    shown = terminal("doctor")
    assert KEY not in shown
    assert "hunter2" not in shown
    monkeypatch.setenv("NO_PROXY", "localhost")
    assert by_check(terminal.json("doctor"))["proxies"][0]["level"] == "ok"


def test_providers_are_asked_only_when_told_to(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """--online asks who has a key, with that key; without it nobody is asked."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with FakeUpstream.openai() as upstream:
        header = {"authorization": "Bearer {key}"}
        checks = {
            "openai": Check(("OPENAI_API_KEY",), "GET", upstream.url + "/v1/models", header),
            "groq": Check(("GROQ_API_KEY",), "GET", upstream.url + "/never", header),
            "gemini": Check((), "GET", "http://127.0.0.1:9/x", {}),
        }
        monkeypatch.setattr("llmflow_web.app.checks.checks_from", lambda _: checks)
        terminal = Terminal(capsys, tmp_path)
        assert "upstreams" not in by_check(terminal.json("doctor"))
        found = by_check(terminal.json("doctor", "--online", code=1))["upstreams"]
        assert [(one["level"], one["text"].split()[0]) for one in found] == [("ok", "openai"), ("fail", "gemini:")]


def test_a_taken_port_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A port somebody else listens on is worth a word, when no server of ours is there."""
    monkeypatch.undo()
    plain_terminal(monkeypatch)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setenv("LLMFLOW_PROXY_PORT", str(taken.getsockname()[1]))
        found = by_check(Terminal(capsys, tmp_path).json("doctor"))["ports"]
    assert found[0]["level"] == "warn"
    assert "--proxy-port" in found[0]["fix"]


def test_a_clock_behind_is_found(
    flow_at: Callable[..., Flow], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls from the future say that a clock is wrong, and so does a day before the program was made."""
    import time

    flow = flow_at()
    fill(flow, [{"id": "1", "start_time": (time.time() + 7200) * 1000, "duration_ms": 1}])
    terminal = Terminal(capsys, flow.config.data_dir)
    (finding,) = by_check(terminal.json("doctor"))["clock"]
    assert finding["level"] == "warn"
    assert "from now" in finding["text"]
    monkeypatch.setattr("llmflow_web.record.price_refresh.bundled_date", lambda: "2999-01-01")
    (finding,) = by_check(terminal.json("doctor"))["clock"]
    assert (finding["level"], "before this version" in finding["text"]) == ("warn", True)
