"""The whole program under load, killed without warning: what was acknowledged is there."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_upstream import FakeUpstream

ROOT = Path(__file__).resolve().parents[1]
BODY = json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello " * 50}]})
LOAD_S = 3.0
PATIENCE_S = 60.0
WORKERS = 4


@contextlib.contextmanager
def started(data_dir: Path, upstream: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run a server on free ports; give the process and the proxy's port."""
    command = [
        sys.executable, str(ROOT / "llmflow.py"), "serve", "--quiet", "--no-price-refresh", "--proxy-port", "0",
        "--dashboard-port", "0", "--data-dir", str(data_dir), "--upstream", f"openai={upstream}",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = next(line for line in process.stdout if "Proxy:" in line)
            yield process, int(line.rpartition(":")[2])
        finally:
            process.kill()


def load(port: int, worker: int, acknowledged: list[tuple[float, str]], is_over: threading.Event) -> None:
    """Send call after call and note when each was answered."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
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


def owed(acknowledged: list[tuple[float, str]]) -> set[str]:
    """Return what was answered more than a second ago: of a second in which the machine did not stand still."""
    now = time.monotonic()
    times = sorted(at for at, _ in acknowledged[:])
    stood_still = max((after - before for before, after in itertools.pairwise([*times, now])), default=0.0)
    return {name for at, name in acknowledged[:] if at < now - 1.0 - 5 * stood_still}


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")
def test_acknowledged_calls_survive_kill_9(tmp_path):
    """Every call answered more than a second before `kill -9` is in the file, the file is sound, and a restart reads it."""
    acknowledged: list[tuple[float, str]] = []
    is_over = threading.Event()
    with FakeUpstream.openai() as upstream:
        with started(tmp_path / "data", upstream.url) as (process, port):
            threads = [
                threading.Thread(target=load, args=(port, number, acknowledged, is_over)) for number in range(WORKERS)
            ]
            for thread in threads:
                thread.start()
            time.sleep(LOAD_S)
            end = time.monotonic() + PATIENCE_S
            while len(owed(acknowledged)) <= 20:
                assert time.monotonic() < end
                time.sleep(0.1)
            wanted = owed(acknowledged)
            process.send_signal(signal.SIGKILL)
            process.wait(PATIENCE_S)
            is_over.set()
            for thread in threads:
                thread.join(PATIENCE_S)
        with started(tmp_path / "data", upstream.url) as (process, _):
            process.terminate()
            assert process.wait(PATIENCE_S) == 0
    connection = sqlite3.connect(tmp_path / "data" / "llmflow.db")
    try:
        stored = {row[0] for row in connection.execute("SELECT trace_id FROM spans")}
        assert wanted <= stored
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    finally:
        connection.close()
