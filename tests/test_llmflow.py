"""The front door: starting, stopping, and what a person sees when something is wrong. Real processes, few of them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FRONT_DOOR = ROOT / "llmflow.py"


class Running:
    """A started LLMFlow process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self.dashboard = self._url("Dashboard:")
        self.proxy = self._url("Proxy:")

    def _url(self, name: str) -> str:
        line = self.process.stdout.readline()
        assert name in line, line + self.process.stdout.read()
        return line.split()[-1]

    def get(self, url: str) -> dict:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url, timeout=60) as answer:
            return json.load(answer)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Start `python llmflow.py` on free ports with a data directory of the test's own."""
    with contextlib.ExitStack() as stack:

        def run(*arguments: str, **env: str) -> Running:
            command = [sys.executable, str(FRONT_DOOR), "--data-dir", str(tmp_path / "data"), "--no-price-refresh"]
            ports = [] if "--proxy-port" in arguments else ["--proxy-port", "0", "--dashboard-port", "0"]
            process = subprocess.Popen(
                [*command, *ports, *arguments],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                cwd=tmp_path,
                env=os.environ | env,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return Running(process)

        yield run


def once(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
    """Run a command that ends by itself."""
    return subprocess.run(
        [sys.executable, str(FRONT_DOOR), *arguments], capture_output=True, text=True, timeout=90, **options
    )


def test_it_starts_answers_and_stops(start: Callable[..., Running]) -> None:
    """It prints the two addresses, answers on both, and a SIGTERM ends it with 0."""
    running = start()
    assert running.get(running.proxy + "/health")["service"] == "proxy"
    assert running.get(running.dashboard + "/api/health")["status"] == "ok"
    assert running.stop() == 0


def test_ctrl_c_ends_it_quietly(start: Callable[..., Running]) -> None:
    """SIGINT ends it with 0 and without a traceback."""
    running = start()
    assert running.stop(signal.SIGINT) == 0
    assert "Traceback" not in running.process.stdout.read()


def test_a_second_signal_ends_it_at_once(start: Callable[..., Running], upstream) -> None:
    """With a stream running, the first signal waits for it and the second does not."""
    from fake_upstream import HANG, wire

    upstream.script(wire(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: {}\n\n", HANG))
    running = start("--upstream", f"openai={upstream.url}", "--stop-grace", "300s")
    host, port = running.proxy.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 5) as client:
        body = b'{"model": "m", "stream": true, "messages": []}'
        client.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            b"content-length: %d\r\n\r\n%b" % (len(body), body)
        )
        assert client.recv(1000)
        running.process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            running.process.wait(0.5)
        assert running.stop(signal.SIGINT) == 130


@pytest.mark.parametrize("setting", ["proxy", "dashboard"])
def test_a_taken_port_ends_it(tmp_path: Path, setting: str) -> None:
    """A taken port ends it with 1, in one line that names port and setting; no other port is chosen silently."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        other = "dashboard" if setting == "proxy" else "proxy"
        result = once(f"--{setting}-port", str(port), f"--{other}-port", "0", "--data-dir", str(tmp_path))
    assert result.returncode == 1
    said = result.stdout + result.stderr
    assert said.count("\n") == 1
    assert str(port) in said
    assert f"--{setting}-port" in said


def test_a_wrong_setting_ends_it_with_2(tmp_path: Path) -> None:
    """A wrong value is one line on stderr and exit code 2; nothing is created."""
    result = once("--proxy-port", "99999", "--data-dir", str(tmp_path / "data"))
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
    assert "proxy_port (set by --proxy-port)" in result.stderr
    assert not (tmp_path / "data").exists()


def test_unknown_words_and_flags() -> None:
    """An unknown command or flag ends with 2 and is named."""
    for word in ("serf", "--proxy-prot"):
        result = once(word)
        assert result.returncode == 2
        assert word in result.stderr


def test_version_and_help() -> None:
    """--version prints one line; --help names every flag, both commands and how to set things."""
    from llmflow_web.app.settings import SETTINGS
    from llmflow_web.version import VERSION

    assert once("--version").stdout == f"llmflow v{VERSION}\n"
    assert once("-v").stdout == f"llmflow v{VERSION}\n"
    text = once("--help").stdout
    for part in (*(setting.flag for setting in SETTINGS), "--upstream", "--config", "demo", "LLMFLOW_PROXY_PORT"):
        assert part in text
    assert "--once" in once("demo", "--help").stdout


def test_the_lone_file_says_what_it_needs(tmp_path: Path) -> None:
    """llmflow.py copied alone says in one sentence that llmflow.pyz is the single-file build."""
    shutil.copy(FRONT_DOOR, tmp_path)
    result = subprocess.run(
        [sys.executable, "-S", str(tmp_path / "llmflow.py")], capture_output=True, text=True, timeout=90, cwd=tmp_path
    )
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "llmflow.pyz" in result.stderr


def test_python_m_llmflow(tmp_path: Path) -> None:
    """`python -m llmflow` is the same program."""
    command = [sys.executable, "-m", "llmflow", "--version"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=90, cwd=ROOT)
    assert result.stdout.startswith("llmflow v")


def test_json_lines(start: Callable[..., Running]) -> None:
    """With --log-format json the first line is an object with both addresses."""
    result = subprocess.Popen(
        [sys.executable, str(FRONT_DOOR), "--proxy-port", "0", "--dashboard-port", "0", "--log-format", "json"],
        stdout=subprocess.PIPE,
        text=True,
    )
    with result:
        started = json.loads(result.stdout.readline())
        result.terminate()
        assert result.wait(60) == 0
    assert started["event"] == "started"
    assert started["proxy"].startswith("http://localhost:")


def test_importing_it_is_cheap_and_quiet() -> None:
    """`import llmflow` loads neither the server nor asyncio, and does not need them."""
    code = "import llmflow, sys; assert not {'asyncio', 'h11', 'sqlite3', 'llmflow_web'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=90)


def test_its_names() -> None:
    """Every public name can be imported, the stubs for type checkers name the same, and a wrong name is an error."""
    import ast

    import llmflow

    for name in llmflow.__all__:
        assert getattr(llmflow, name) is not None
    assert set(llmflow.__all__) <= set(dir(llmflow))
    tree = ast.parse((ROOT / "packaging" / "llmflow-stubs" / "__init__.pyi").read_text(encoding="utf-8"))
    imported = {alias.asname for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert (imported | defined) - {None} == set(llmflow.__all__)
    with pytest.raises(AttributeError, match="spam"):
        _ = llmflow.spam
