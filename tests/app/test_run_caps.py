"""Caps of a run: calls stop at the limit, the job fails, and what went over is told."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from fake_upstream import FakeUpstream
from run_help import environment, is_gone, python, run

LOOP = """
import json, os, subprocess, sys, time, urllib.error, urllib.request
body = {"model": "gpt-4o", "stream": True, "max_tokens": 200, "messages": [{"role": "user", "content": "go on " * 200}]}
url = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
headers = {"Content-Type": "application/json", "Authorization": "Bearer k"}
below = subprocess.Popen([sys.executable, "-c", "import signal; print(1, flush=True); signal.pause()"], stdout=-1)
below.stdout.readline()
print(below.pid, flush=True)
refused = 0
while refused < 3:
    try:
        urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers)).read()
    except urllib.error.HTTPError as error:
        told = json.loads(error.read())["error"]
        if "calls in flight" in told["message"]:  # the last call is not accounted for yet
            time.sleep(0.02)
            continue
        refused += 1
        print(error.code, error.headers["x-should-retry"], told["code"], flush=True)
"""


def test_a_runaway_loop_is_stopped_at_the_limit(upstream: FakeUpstream, tmp_path: Path) -> None:
    """A loop of streamed calls that swallows the refusals: it ends well, the job fails with 3, what was spent and what
    went over stand in the report, and nothing of it runs on.
    """
    report = tmp_path / "report.json"
    env = environment(tmp_path, OPENAI_BASE_URL=f"{upstream.url}/v1")
    done = run(["--max-cost", "0.001", "--report", f"json={report}"], python(LOOP), env)
    assert done.code == 3, done.err
    first, *refusals = done.out.splitlines()
    assert is_gone(int(first))
    assert refusals == ["429 false budget_exceeded"] * 3
    value = json.loads(report.read_text(encoding="utf-8"))
    total, (limit,) = value["totals"], value["limits"]
    assert total["calls"] == len(upstream.requests)  # the refused ones never left
    assert (limit["name"], limit["limit"], limit["exceeded"]) == ("max_cost", 0.001, True)
    assert limit["refused"] >= 3
    assert limit["used"] == pytest.approx(total["cost"])
    assert limit["overshoot"] == pytest.approx(total["cost"] - 0.001)
    assert 0 <= limit["overshoot"] < total["cost"] / total["calls"]
    assert (value["exit_code"], value["command_exit_code"]) == (3, 0)
    over = r"exceeded max_cost: \$0\.00101\d of \$0\.001000, \$0\.00001\d over; \d+ calls refused"
    assert re.search(over, done.err)


def test_the_command_s_own_failure_comes_first(upstream: FakeUpstream, tmp_path: Path) -> None:
    """A command that ends with an error because of the cap keeps its code; the report tells of both."""
    report = tmp_path / "report.json"
    env = environment(tmp_path, OPENAI_BASE_URL=f"{upstream.url}/v1")
    script = LOOP + "\nsys.exit(9)\n"
    options = ["--max-calls", "2", "--max-tokens", "1000000", "--quiet", "--report", f"json={report}"]
    done = run(options, python(script), env)
    assert (done.code, len(upstream.requests)) == (9, 2)
    assert "exceeded max_calls: 2 of 2; " in done.err
    value = json.loads(report.read_text(encoding="utf-8"))
    told = {limit["name"]: limit["exceeded"] for limit in value["limits"]}
    assert told == {"max_calls": True, "max_tokens": False}


def test_below_a_cap_all_is_well(upstream: FakeUpstream, tmp_path: Path) -> None:
    """A cap that was not reached is told of and fails nothing."""
    env = environment(tmp_path, OPENAI_BASE_URL=f"{upstream.url}/v1")
    script = LOOP.replace("while refused < 3:", "for _ in range(1):")
    done = run(["--max-calls", "1"], python(script), env)
    assert done.code == 0, done.err
    assert "\nmax_calls: 1 of 1\n" in done.err
