"""The whole program under load, killed without warning: what was acknowledged is there."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from fake_upstream import FakeUpstream

ROOT = Path(__file__).resolve().parents[1]
BODY = json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello " * 50}]})
LOAD_S = 3.0
WORKERS = 4


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(data_dir: Path, port: int, upstream: str) -> subprocess.Popen:
    command = [
        sys.executable, str(ROOT / "llmflow.py"), "serve", "--quiet", "--no-price-refresh", "--proxy-port", str(port),
        "--dashboard-port", str(free_port()), "--data-dir", str(data_dir), "--upstream", f"openai={upstream}",
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
        except OSError:
            time.sleep(0.02)
        else:
            return process
    process.kill()
    raise AssertionError("the server did not start")


def load(port: int, worker: int, acknowledged: list[tuple[float, str]], is_over: threading.Event) -> None:
    """Send call after call and note when each was answered."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    number = 0
    try:
        while not is_over.is_set():
            name = f"crash-{worker}-{number}"
            connection.request(
                "POST", "/v1/chat/completions", BODY, {"X-Trace-Id": name, "Content-Type": "application/json"}
            )
            connection.getresponse().read()
            acknowledged.append((time.monotonic(), name))
            number += 1
    except (OSError, http.client.HTTPException):
        pass  # the server has been killed
    finally:
        connection.close()


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")
def test_acknowledged_calls_survive_kill_9(tmp_path):
    """Every call answered more than a second before `kill -9` is in the file, the file is sound, and a restart reads it."""
    acknowledged: list[tuple[float, str]] = []
    is_over = threading.Event()
    port = free_port()
    with FakeUpstream.openai() as upstream:
        process = start(tmp_path / "data", port, upstream.url)
        threads = [
            threading.Thread(target=load, args=(port, number, acknowledged, is_over)) for number in range(WORKERS)
        ]
        for thread in threads:
            thread.start()
        time.sleep(LOAD_S)
        killed_at = time.monotonic()
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        is_over.set()
        for thread in threads:
            thread.join(10)
        owed = {name for at, name in acknowledged if at < killed_at - 1.0}
        assert len(owed) > 20
        again = start(tmp_path / "data", port, upstream.url)
        again.terminate()
        assert again.wait(20) == 0
    connection = sqlite3.connect(tmp_path / "data" / "llmflow.db")
    try:
        stored = {row[0] for row in connection.execute("SELECT trace_id FROM spans")}
        assert owed <= stored
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    finally:
        connection.close()
