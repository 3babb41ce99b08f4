"""The figures of OTLP: `python tests/bench/otlp_bench.py [decode] [ingest]` prints tables. Nothing here is asserted.

A batch is what exporters send: 512 spans of 16 attributes, 2.2 KB each. Times are CPU of this thread, the best of many
runs; beside ours stand the official package turned into the same values, and json.loads alone. Only ratios inside one
run mean anything.
"""

from __future__ import annotations

import http.client
import json
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]

import proxy_bench  # noqa: E402
from otlp_official import REQUESTS, values_of  # noqa: E402

from llmflow_web.wire.otlp import decode, encode  # noqa: E402
from llmflow_web.wire.otlp_values import OtlpSpan, Resource, Scope  # noqa: E402

SPANS = 512
RUNS = 15
DICE = random.Random(1)
WORDS = [f"word{number}" for number in range(400)]


def text(size: int) -> str:
    return " ".join(DICE.choices(WORDS, k=size // 8 + 1))[:size]


def make_span(number: int, resource: Resource, scope: Scope) -> OtlpSpan:
    attributes: dict[str, Any] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
        "gen_ai.response.id": f"chatcmpl-{DICE.randbytes(12).hex()}",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.request.temperature": 0.7,
        "gen_ai.request.max_tokens": 1024,
        "gen_ai.usage.input_tokens": DICE.randrange(4000),
        "gen_ai.usage.output_tokens": DICE.randrange(900),
        "gen_ai.conversation.id": DICE.randbytes(8).hex(),
        "server.address": "api.openai.com",
        "server.port": 443,
        "gen_ai.request.stream": True,
        "gen_ai.input.messages": json.dumps([{"role": "user", "parts": [{"type": "text", "content": text(800)}]}]),
        "gen_ai.output.messages": json.dumps(
            [{"role": "assistant", "parts": [{"type": "text", "content": text(480)}]}]
        ),
    }
    start_ns = 1_760_000_000_000_000_000 + number * 1_000_000
    ids = DICE.randbytes(16).hex(), DICE.randbytes(8).hex(), DICE.randbytes(8).hex()
    return OtlpSpan(
        resource, scope, *ids, name="chat gpt-4o-mini", kind=3, start_ns=start_ns, end_ns=start_ns + 10**9,
        attributes=attributes, status_code=1,
    )  # fmt: skip


def make_batch() -> list[OtlpSpan]:
    resource = Resource({"service.name": "app", "telemetry.sdk.name": "opentelemetry", "process.pid": 4711})
    scope = Scope("opentelemetry.instrumentation.openai", "0.50")
    return [make_span(number, resource, scope) for number in range(SPANS)]


def micros(work: Callable[[], object]) -> float:
    """CPU per span, best run."""
    best = float("inf")
    for _ in range(RUNS):
        start = time.thread_time()
        work()
        best = min(best, time.thread_time() - start)
    return best / SPANS * 1e6


def bench_decode() -> None:
    spans = make_batch()
    protobuf = encode("traces", spans, is_json=False)
    as_json = encode("traces", spans, is_json=True)
    official = REQUESTS["traces"]
    assert decode("traces", protobuf, is_json=False).items == spans  # the figures are of equal results
    assert decode("traces", as_json, is_json=True).items == spans
    assert values_of(official.FromString(protobuf)) == spans
    print(f"decode: {SPANS} spans, {len(protobuf)} bytes of protobuf, {len(as_json)} of JSON")
    rows: list[tuple[str, Callable[[], object]]] = [
        ("protobuf: ours", lambda: decode("traces", protobuf, is_json=False)),
        ("protobuf: official package, to the same values", lambda: values_of(official.FromString(protobuf))),
        ("protobuf: official package, parse only", lambda: official.FromString(protobuf)),
        ("JSON: ours", lambda: decode("traces", as_json, is_json=True)),
        ("JSON: json.loads only", lambda: json.loads(as_json)),
        ("protobuf: encode", lambda: encode("traces", spans, is_json=False)),
        ("JSON: encode", lambda: encode("traces", spans, is_json=True)),
    ]
    for name, work in rows:
        print(f"  {name:<50} {micros(work):7.1f} µs/span")


# ── a whole server ───────────────────────────────────────────────────────────────────────────────────────────────────

BATCHES = 40
PACED_BATCHES_PER_S = 2.0
CALLS, CALLS_PER_S = 600, 100.0  # more than any app makes, less than fills the queue
ROUNDS = 3
TYPES = {"protobuf": "application/x-protobuf", "JSON": "application/json"}


def send(port: int, encoding: str, pace: float) -> None:
    """Make BATCHES batches, wait for a line, send one after the other as one exporter does; print the seconds taken."""
    DICE.seed()
    bodies = [encode("traces", make_batch(), is_json=encoding == "JSON") for _ in range(BATCHES)]
    print("ready", flush=True)
    sys.stdin.readline()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    start = time.perf_counter()
    for number, body in enumerate(bodies):
        if pace:
            time.sleep(max(0.0, start + number / pace - time.perf_counter()))
        connection.request("POST", "/v1/traces", body, {"content-type": TYPES[encoding]})
        answer = connection.getresponse()
        assert (answer.status, len(answer.read())) in ((200, 0), (200, 2)), answer.status
    print(time.perf_counter() - start, flush=True)


class Sender:
    """An exporter in a process of its own, ready to send."""

    def __init__(self, port: int, encoding: str, pace: float = 0.0) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__, "send", str(port), encoding, str(pace)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._line() == "ready"

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def begin(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def seconds(self) -> float:
        taken = float(self._line())
        self.process.communicate()
        return taken

    def is_sending(self) -> bool:
        return self.process.poll() is None

    def stop(self) -> None:
        self.process.kill()
        self.process.communicate()


def peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024


def settled_cpu_s(flow: proxy_bench.Flow) -> float:
    """Return the CPU seconds used when nothing is left to do: the search index is fed when there is time."""
    used, before = proxy_bench.cpu_seconds(flow.pids), -1.0
    while used - before > 0.02:
        time.sleep(1)
        used, before = proxy_bench.cpu_seconds(flow.pids), used
    return used


def latency(port: int) -> tuple[float, float]:
    """Return p50 and p99 in milliseconds of calls through the proxy, so many a second, one after the other."""
    headers = {"content-type": "application/json", "authorization": "Bearer sk-bench-0000000000000000000000"}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    taken: list[float] = []
    start = time.perf_counter()
    for number in range(CALLS):
        time.sleep(max(0.0, start + number / CALLS_PER_S - time.perf_counter()))
        sent = time.perf_counter()
        connection.request("POST", "/v1/chat/completions", proxy_bench.QUESTION, headers)
        answer = connection.getresponse()
        assert (answer.status, answer.read() != b"") == (200, True)
        taken.append((time.perf_counter() - sent) * 1000)
    connection.close()
    taken.sort()
    return taken[CALLS // 2], taken[CALLS * 99 // 100]


def bench_ingest() -> None:
    """Send batches of 512 spans to a whole server; then measure the proxy beside them. Needs nginx."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        answer = f"default_type application/json; return 200 '{proxy_bench.ANSWER}';"
        upstream = proxy_bench.Nginx(folder, "upstream", answer)
        count = BATCHES * SPANS
        print(f"ingest: {BATCHES} batches of {SPANS} spans, one exporter, each answered after its commit")
        for encoding in TYPES:
            flow = proxy_bench.Flow(folder / encoding, upstream.port, "--max-traces", "100000000")
            idle, sender = proxy_bench.rss_mb(flow.pids[0]), Sender(flow.dashboard, encoding)
            before = proxy_bench.cpu_seconds(flow.pids)
            sender.begin()
            taken = sender.seconds()
            used = settled_cpu_s(flow) - before
            peak = peak_mb(flow.pids[0])
            print(
                f"  {encoding:<9} {count / taken:7,.0f} spans/s, {used / count * 10_000:.2f} s CPU per 10,000 spans, "
                f"memory idle {idle:.0f} MB, peak {peak:.0f} MB"
            )
            flow.stop()
        flow = proxy_bench.Flow(folder / "both", upstream.port, "--max-traces", "100000000")
        beside(flow)
        flow.stop()
        upstream.stop()


MODES = (
    ("alone", "", 0.0),
    (f"with {PACED_BATCHES_PER_S * SPANS:,.0f} spans/s of protobuf", "protobuf", PACED_BATCHES_PER_S),
    ("with protobuf as fast as it goes", "protobuf", 0.0),
    ("with JSON as fast as it goes", "JSON", 0.0),
)


def beside(flow: proxy_bench.Flow) -> None:
    """Measure calls through the proxy beside an exporter, each way ROUNDS times in turn, and print the medians."""
    found: dict[str, list[tuple[float, float]]] = {what: [] for what, _, _ in MODES}
    latency(flow.port)
    for _ in range(ROUNDS):
        for what, encoding, pace in MODES:
            flow.drain()
            sender = Sender(flow.dashboard, encoding, pace) if encoding else None
            if sender:
                sender.begin()
            found[what].append(latency(flow.port))
            if sender:
                assert sender.is_sending(), "BATCHES are too few: the exporter was done before"
                sender.stop()
    for what, rows in found.items():
        p50, p99 = (statistics.median(column) for column in zip(*rows, strict=True))
        print(f"  proxy, {CALLS_PER_S:.0f} calls/s, {what:<36} p50 {p50:6.2f} ms, p99 {p99:6.2f} ms")


PARTS = {"decode": bench_decode, "ingest": bench_ingest}


if __name__ == "__main__":
    if sys.argv[1:2] == ["send"]:
        send(int(sys.argv[2]), sys.argv[3], float(sys.argv[4]))
    else:
        for part in sys.argv[1:] or PARTS:
            PARTS[part]()
