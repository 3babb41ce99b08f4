"""What a span costs the program: `python tests/bench/sdk_bench.py` prints a table. Nothing here is asserted.

LLMFlow runs in a process of its own. Times are the best of several runs; only ratios inside one run mean anything.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from llmflow_web.sdk import configure, flush, span, stats  # noqa: E402

CALLS = 500
RUNS = 9
MESSAGES = [{"role": "user", "content": "x" * 500} for _ in range(10)]


@span
def small(a: int, b: int) -> int:
    return a + b


@span(capture=False)
def bare(a: int, b: int) -> int:
    return a + b


@span
def chat(messages: list) -> str:
    return "y" * 2000


def block() -> None:
    with span("block", span_type="tool"):
        pass


CASES: dict[str, Callable[[], object]] = {
    "with span(…)": block,
    "decorator, capture=False": lambda: bare(1, 2),
    "decorator, two numbers": lambda: small(1, 2),
    "decorator, 5 KB of messages": lambda: chat(MESSAGES),
    "json.dumps of these messages": lambda: json.dumps(MESSAGES),
}


def microseconds(call: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(RUNS):
        start = time.perf_counter()
        for _ in range(CALLS):
            call()
        best = min(best, (time.perf_counter() - start) / CALLS)
        flush(60)
    return best * 1e6


def main() -> None:
    command = [sys.executable, str(ROOT / "llmflow.py"), "--proxy-port", "0", "--dashboard-port", "0"]
    with tempfile.TemporaryDirectory() as folder:
        options = ["--data-dir", folder, "--no-price-refresh", "--log-format", "json"]
        with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True) as server:
            url = json.loads(server.stdout.readline())["dashboard"]
            for title, settings in (
                ("LLMFlow there", {"url": url}),
                ("LLMFlow absent", {"url": "http://127.0.0.1:9"}),
                ("LLMFLOW_SDK=off", {"enabled": False}),
            ):
                configure(**settings)
                print(title)
                for name, call in CASES.items():
                    print(f"  {name:32} {microseconds(call):8.1f} us")
            print(stats())
            server.terminate()


if __name__ == "__main__":
    main()
