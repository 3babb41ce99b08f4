"""Measure the proxy beside nginx and beside the upstream called directly, in one run: `python tests/bench/proxy_bench.py`.

Needs nginx and wrk on the PATH. Prints CPU microseconds per call of the proxy process (all threads, backlog drained),
requests per second and median latency, and the ratios to nginx. Only ratios within one run mean anything.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TICK = os.sysconf("SC_CLK_TCK")
ANSWER = json.dumps(
    {
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "All is well. " * 45}, "finish_reason": "stop"}
        ],
        "usage": {"prompt_tokens": 60, "completion_tokens": 180, "total_tokens": 240},
    }
)
QUESTION = json.dumps(
    {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Tell me how the weather is. " * 10}]}
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def cpu_seconds(pids: list[int]) -> float:
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


def rss_mb(pid: int) -> float:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1024


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(part) for part in text.split()]


def wait_port(port: int, seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        time.sleep(0.01)
    raise SystemExit(f"nothing listens on port {port}")


class Nginx:
    """An nginx with one worker, as upstream (canned answer) or as reverse proxy."""

    def __init__(self, folder: Path, name: str, location: str, extra: str = "") -> None:
        self.port = free_port()
        conf = folder / f"{name}.conf"
        conf.write_text(
            f"worker_processes 1; daemon off; pid {folder}/{name}.pid; error_log stderr crit;\n"
            "events { worker_connections 4096; }\n"
            "http { access_log off; keepalive_requests 100000000; keepalive_timeout 300s; client_body_buffer_size 1m;\n"
            f"client_body_temp_path {folder}/{name}-b; proxy_temp_path {folder}/{name}-p;\n"
            f"fastcgi_temp_path {folder}/{name}-f; uwsgi_temp_path {folder}/{name}-u; scgi_temp_path {folder}/{name}-s;\n"
            f"{extra}\nserver {{ listen 127.0.0.1:{self.port}; location / {{ {location} }} }} }}\n"
        )
        self.process = subprocess.Popen(["nginx", "-c", str(conf), "-p", str(folder)])
        wait_port(self.port)
        self.pids = [self.process.pid, *children(self.process.pid)]

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)


class Flow:
    """A real LLMFlow process in front of `upstream`."""

    def __init__(self, folder: Path, upstream: int, *options: str) -> None:
        self.port, self.dashboard = free_port(), free_port()
        command = [
            sys.executable, str(ROOT / "llmflow.py"), "serve", "--proxy-port", str(self.port),
            "--dashboard-port", str(self.dashboard), "--data-dir", str(folder), "--quiet", "--no-price-refresh",
            "--upstream", f"openai=http://127.0.0.1:{upstream}", *options,
        ]  # fmt: skip
        started = time.perf_counter()
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_port(self.port)
        self.start_s = time.perf_counter() - started
        self.pids = [self.process.pid]

    def health(self) -> dict:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.dashboard}/api/health", timeout=60) as answer:
            return json.load(answer)

    def drain(self) -> dict:
        while True:
            health = self.health()
            if not health.get("pending_rows", health.get("pending")):
                return health
            time.sleep(0.2)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)


def wrk(port: int, *, connections: int, seconds: int, header: str = "") -> tuple[int, float]:
    """Return (requests, median latency in µs)."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(
            'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\n'
            'wrk.headers["Authorization"] = "Bearer sk-bench-0000000000000000000000"\n'
            f"{header}\nwrk.body = [==[{QUESTION}]==]\n"
        )
        script.flush()
        text = subprocess.run(
            ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", script.name,
             f"http://127.0.0.1:{port}/v1/chat/completions"],
            check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
    if "Non-2xx" in text or "Socket errors" in text:
        print(text, file=sys.stderr)
    requests = int(re.search(r"(\d+) requests in", text)[1])
    value, unit = re.search(r"50%\s+([\d.]+)(us|ms|s)", text).groups()
    return requests, float(value) * {"us": 1, "ms": 1e3, "s": 1e6}[unit]


def measure(
    name: str, port: int, pids: list[int], *, connections: int, seconds: int, header: str = "", drain=None
) -> dict:
    wrk(port, connections=connections, seconds=1, header=header)
    if drain:
        drain()
    before = cpu_seconds(pids)
    requests, median = wrk(port, connections=connections, seconds=seconds, header=header)
    if drain:
        drain()
    used = cpu_seconds(pids) - before
    return {
        "name": name, "connections": connections, "requests_per_s": requests / seconds,
        "cpu_us": used / requests * 1e6, "p50_us": median,
    }  # fmt: skip


OFF = 'wrk.headers["X-LLMFlow-Record"] = "off"'


def calls(seconds: int, rounds: int) -> None:
    """Compare calls: direct, nginx, LLMFlow without and with recording."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        upstream = Nginx(folder, "upstream", f"default_type application/json; return 200 '{ANSWER}';")
        proxy = Nginx(
            folder, "proxy",
            'proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection "";',
            f"upstream up {{ server 127.0.0.1:{upstream.port}; keepalive 128; keepalive_requests 100000000; }}",
        )  # fmt: skip
        flow = Flow(folder / "data", upstream.port, "--max-traces", "100000000")
        idle = rss_mb(flow.process.pid)
        rows: dict[tuple[str, int], list[dict]] = {}
        for _ in range(rounds):
            for connections in (1, 16, 64):
                for row in (
                    measure("direct", upstream.port, upstream.pids, connections=connections, seconds=seconds),
                    measure("nginx", proxy.port, proxy.pids, connections=connections, seconds=seconds),
                    measure(
                        "llmflow, not recording",
                        flow.port,
                        flow.pids,
                        connections=connections,
                        seconds=seconds,
                        header=OFF,
                    ),
                    measure(
                        "llmflow, recording",
                        flow.port,
                        flow.pids,
                        connections=connections,
                        seconds=seconds,
                        drain=flow.drain,
                    ),
                ):
                    rows.setdefault((row["name"], connections), []).append(row)
        health = flow.health()
        report(rows)
        print(
            f"\nstart to listening {flow.start_s * 1000:.0f} ms, idle {idle:.1f} MB, after load {rss_mb(flow.process.pid):.1f} MB"
        )
        print("health:", {key: health.get(key) for key in ("recorded", "lost_rows", "lost_bodies", "traces")})
        for server in (flow, proxy, upstream):
            server.stop()


def report(rows: dict[tuple[str, int], list[dict]]) -> None:
    def median(name: str, connections: int, key: str) -> float:
        return statistics.median(row[key] for row in rows[name, connections])

    print("| server | c | req/s | CPU µs/call | ratio to nginx | p50 µs | p50 added, ratio to nginx's |")
    print("|---|---|---|---|---|---|---|")
    for name, connections in rows:
        cpu, nginx = median(name, connections, "cpu_us"), median("nginx", connections, "cpu_us")
        p50, direct = median(name, connections, "p50_us"), median("direct", connections, "p50_us")
        added = (p50 - direct) / max(1.0, median("nginx", connections, "p50_us") - direct)
        print(
            f"| {name} | {connections} | {median(name, connections, 'requests_per_s'):,.0f} | {cpu:.1f} | {cpu / nginx:.2f} "
            f"| {p50:.0f} | {added:.2f} |"
        )


# ── streams ──────────────────────────────────────────────────────────────────────────────────────────────────────────

EVENTS = 200
EVENT = 'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"gpt-4o-mini","choices":[{"index":0,"delta":{"content":"%s"},"finish_reason":null}],"usage":null}\n\n'


class StreamUpstream:
    """Answers every request with EVENTS server-sent events, `gap` seconds apart."""

    def __init__(self, gap: float) -> None:
        self.gap = gap

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])
                await reader.readexactly(length)
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
                )
                for number in range(EVENTS):
                    data = (EVENT % f"token {number} and some more text to make it look real").encode()
                    writer.write(b"%x\r\n%b\r\n" % (len(data), data))
                    await writer.drain()
                    if self.gap:
                        await asyncio.sleep(self.gap)
                writer.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")
        writer.close()


async def one_stream(port: int) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = QUESTION[:-1].encode() + b', "stream": true}'
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Authorization: Bearer sk-bench-0000000000000000000000\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    )
    seen, tail = 0, b""
    while True:
        data = await reader.read(65536)
        if not data:
            break
        seen += data.count(b"data: ")
        tail = (tail + data)[-16:]
        if tail.endswith(b"0\r\n\r\n"):
            break
    writer.close()
    return seen


async def many_streams(port: int, count: int) -> int:
    return sum(await asyncio.gather(*(one_stream(port) for _ in range(count))))


def streams(count: int, gap: float) -> None:
    """Compare event streams through nginx and through LLMFlow: CPU per separately arriving event, memory."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        port = free_port()
        serve = subprocess.Popen([sys.executable, __file__, "upstream", str(port), str(gap)])
        wait_port(port)
        proxy = Nginx(
            folder, "proxy",
            'proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;',
            f"upstream up {{ server 127.0.0.1:{port}; keepalive 1024; }}",
        )  # fmt: skip
        flow = Flow(folder / "data", port)
        plain = Flow(folder / "plain", port, "--no-inject-usage")
        results = {}
        for label, target, pids in (
            ("nginx", proxy.port, proxy.pids),
            ("llmflow, recording", flow.port, flow.pids),
            ("llmflow, recording, --no-inject-usage", plain.port, plain.pids),
        ):
            asyncio.run(many_streams(target, 4))
            idle, before = rss_mb(pids[0]), cpu_seconds(pids)
            started = time.perf_counter()
            watcher = subprocess.Popen(
                [sys.executable, __file__, "watch", str(pids[-1])], stdout=subprocess.PIPE, text=True
            )
            events = asyncio.run(many_streams(target, count))
            watcher.terminate()
            peak = float((watcher.stdout.read().split() or ["0"])[-1])
            if "llmflow" in label:
                (flow if pids is flow.pids else plain).drain()
            used = cpu_seconds(pids) - before
            results[label] = used / events * 1e6
            print(
                f"| {label} | {count} | {events:,} | {used / events * 1e6:.1f} | {results[label] / results['nginx']:.2f} "
                f"| {time.perf_counter() - started:.1f} s | idle {idle:.1f} MB, peak {peak:.1f} MB |"
            )
        for server in (flow, plain, proxy):
            server.stop()
        serve.terminate()


def watch(pid: int) -> None:
    peak = 0.0
    while True:
        with contextlib.suppress(OSError, TypeError):
            peak = max(peak, rss_mb(pid))
        print(peak, flush=True)
        time.sleep(0.1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", default="all", choices=("all", "calls", "streams", "upstream", "watch"))
    parser.add_argument("rest", nargs="*")
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if options.what == "upstream":

        async def serve() -> None:
            upstream = StreamUpstream(float(options.rest[1]))
            server = await asyncio.start_server(upstream.serve, "127.0.0.1", int(options.rest[0]), backlog=2048)
            await server.serve_forever()

        asyncio.run(serve())
        return
    if options.what == "watch":
        watch(int(options.rest[0]))
        return
    for tool in ("nginx", "wrk"):
        if shutil.which(tool) is None:
            raise SystemExit(f"{tool} is not installed: apt-get install {tool}")
    if options.what in ("all", "calls"):
        calls(options.seconds, options.rounds)
    if options.what in ("all", "streams"):
        print(
            "\n| server | streams | events | CPU µs/event | ratio to nginx | wall | memory |\n|---|---|---|---|---|---|---|"
        )
        streams(200, 0.02)
        streams(1000, 0.1)


if __name__ == "__main__":
    main()
