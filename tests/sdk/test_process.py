"""The SDK in processes of their own: at their end, over forks, and what importing it costs."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 120


# LLMFlow may be slow here: what a program leaves behind has more than the usual two seconds.
PATIENT = """
from llmflow_web.sdk import delivery
delivery.EXIT_TIMEOUT_S = delivery.POST_TIMEOUT_S = 60
"""


def run(code: str, url: str = "", *options: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a program; it must end by itself."""
    given = {name: value for name, value in os.environ.items() if not name.startswith("LLMFLOW_")}
    return subprocess.run(
        [sys.executable, *options, "-c", code],
        env=given | {"LLMFLOW_URL": url, "PYTHONPATH": str(ROOT)} | env,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def names_in(flow, count: int) -> list[str]:
    return sorted(row["span_name"] for row in flow.wait_traces(count))


def test_a_program_that_just_ends(flow):
    """Spans of a program that ends at once arrive; it says nothing."""
    result = run(
        PATIENT + "from llmflow import span\nfor n in range(3):\n    with span(f's{n}'): pass", flow.dashboard_url
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert names_in(flow, 3) == ["s0", "s1", "s2"]


def test_a_program_that_fails(flow):
    """A traceback is the program's own, and its span says what it was."""
    code = "from llmflow import trace\n@trace\ndef main(): raise ValueError('no luck')\nmain()"
    result = run(PATIENT + code, flow.dashboard_url)
    assert result.returncode == 1
    assert result.stderr.strip().endswith("ValueError: no luck")
    (row,) = flow.wait_traces(1)
    assert (row["error"], row["status"]) == ("ValueError: no luck", 500)


def test_the_last_moments(flow):
    """Spans in other exit handlers, in threads that still run and in destructors do no harm."""
    code = """
import atexit, threading, time
from llmflow import span

def work(name):
    with span(name):
        pass

class Late:
    def __del__(self):
        work("destructor")

kept = Late()
work("first")
atexit.register(work, "handler")
go = threading.Event()

def endless():
    while True:
        work("thread")
        go.set()
        time.sleep(0.001)

threading.Thread(target=endless, daemon=True).start()
go.wait()
"""
    result = run(PATIENT + code, flow.dashboard_url)
    assert result.returncode == 0
    assert "Traceback" not in result.stderr
    for name in ("first", "handler"):
        assert len(flow.get(f"/api/traces?q={name}")) == 1


def test_a_program_without_llmflow():
    """Where nobody listens the program ends as ever, with one line at most."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{held.getsockname()[1]}"
        result = run("from llmflow import span\nfor n in range(300):\n    with span('s'): pass\nprint('done')", url)
    assert (result.returncode, result.stdout) == (0, "done\n")
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("[llmflow] ")


def test_a_program_whose_llmflow_hangs():
    """An LLMFlow that takes the spans and never answers does not keep a program from ending."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        result = run("from llmflow import span\nwith span('s'): pass\nprint('done')", url)
    assert (result.returncode, result.stdout) == (0, "done\n")
    assert result.stderr == f"[llmflow] 1 spans were not delivered to {url} before the end\n"


def test_turned_off():
    """LLMFLOW_SDK=off leaves no trace: no thread, no line."""
    code = "from llmflow import span\nwith span('s'): pass\nimport threading\nprint(threading.active_count())"
    result = run(code, "http://127.0.0.1:9", LLMFLOW_SDK="off")
    assert (result.stdout, result.stderr) == ("1\n", "")


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


@needs_fork
def test_a_fork(flow):
    """A child delivers its own spans, under the parent's current one, and not the parent's a second time."""
    code = """
import os
from llmflow import span, trace
with trace("root"):
    with span("before"): pass
    child = os.fork()
    with span("child" if child == 0 else "parent"): pass
    if child == 0:
        import sys; sys.exit(0)
    os.waitpid(child, 0)
"""
    result = run(PATIENT + code, flow.dashboard_url, "-W", "ignore")
    assert (result.returncode, result.stderr) == (0, "")
    # The child leaves the root by SystemExit too: the same row, sent by whoever ends last.
    rows = {row["span_name"]: row for row in flow.wait_traces(4)}
    assert {rows[name]["parent_id"] for name in ("before", "child", "parent")} == {rows["root"]["id"]}
    assert rows["root"]["error"] is None


@needs_fork
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_multiprocessing(flow, method, tmp_path):
    """Workers of multiprocessing deliver what they traced, though they end without exit handlers."""
    script = tmp_path / "work.py"
    script.write_text(f"""{PATIENT}
import multiprocessing
from llmflow import span

def work(n):
    with span(f"w{{n}}"):
        return n

if __name__ == "__main__":
    with span("main"):
        pass
    context = multiprocessing.get_context("{method}")
    workers = [context.Process(target=work, args=(n,)) for n in range(3)]
    for one in workers: one.start()
    for one in workers: one.join()
""")
    env = {name: value for name, value in os.environ.items() if not name.startswith("LLMFLOW_")}
    result = subprocess.run(
        [sys.executable, "-W", "ignore", str(script)],
        env=env | {"LLMFLOW_URL": flow.dashboard_url, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert (result.returncode, result.stderr) == (0, "")
    assert names_in(flow, 4) == ["main", "w0", "w1", "w2"]


def test_importing_is_cheap():
    """It imports half as much again as threading, contextvars and json at most, and none of what is slow."""
    count = (
        "import sys\nprint(len(sys.modules), *(set(sys.modules) & {'typing', 'inspect', 'pathlib', 'asyncio', 'http'}))"
    )
    options = ("-S", "-E")  # without site, which may load anything
    lead = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
    known = run(f"{lead}import threading, contextvars, json\n{count}", "", *options).stdout.split()
    found = run(f"{lead}from llmflow import trace, span, wrap, flush\n{count}", "", *options).stdout.split()
    assert found[1:] == []
    assert int(found[0]) <= 1.5 * int(known[0])
