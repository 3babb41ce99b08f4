"""A stand-in for the dashboard port: the API's routes over made-up traces, static files with the real CSP, a WebSocket.

It lets the dashboard's tests script what a real server can hardly be made to do: cut the socket, answer 500, send hostile text.
Run it by hand to look at the screens: `PYTHONPATH=tests python -m browser.mock_server [port]`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import mimetypes
import re
import struct
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from browser import mock_screens, mock_traces

from llmflow_web.store.columns import short_row

STATIC = Path(__file__).resolve().parents[2] / "llmflow_web" / "static"
CSP = (
    "default-src 'self'; img-src 'self' data: blob:; media-src 'self' data: blob:; connect-src 'self' ws: wss:; "
    "worker-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
)
PAGES = re.compile(r"^/(index\.html|(traces|sessions|diff)(/.*)?|analytics|models|logs|metrics|timeline|setup)?$")


class World:
    """What the server knows and how it should misbehave."""

    def __init__(self, traces: list[dict[str, Any]], flood: mock_traces.Flood | None = None) -> None:
        self.traces = sorted(traces, key=lambda trace: -trace["row"]["timestamp"])
        self.flood = flood  # a list so long that its rows are made when they are asked for
        self.running: list[dict[str, Any]] = []  # rows of calls under way
        self.views: dict[str, str] = {}
        self.sockets: list[Any] = []
        self.subscriptions: list[dict[str, Any]] = []
        self.requests: list[str] = []
        self.is_down = False  # every API answer is 500 and every WebSocket is refused
        self.delay_s = 0.0
        self.needs_token = False  # only said: nobody has to bring one here
        self.holds_first = False
        self.is_open = threading.Event()  # cleared: answered pages of the list wait, the first only if `holds_first`
        self.is_open.set()
        self.lock = threading.Lock()
        self.change = max((trace["row"]["change"] for trace in traces), default=0)

    def rows(self, params: dict[str, str]) -> Any:
        """Return the list elements that pass `params`, as the server would."""
        if self.flood is not None:
            return self.flood
        rows = self.spans_of(params["trace_id"]) if params.get("trace_id") else [trace["row"] for trace in self.traces]
        if params.get("trace_id") and params.get("q"):
            rows = [row for row in rows if params["q"].lower() in json.dumps(self.detail(row["id"]) or row).lower()]
        for key in ("model", "provider", "session_id"):
            if params.get(key):
                rows = [row for row in rows if row[key] == params[key]]
        if params.get("tag"):
            rows = [row for row in rows if params["tag"] in row["tags"]]
        if params.get("joined") == "0":
            rows = [row for row in rows if row["joined_to"] is None]
        low, high = int(params.get("date_from") or 0), int(params.get("date_to") or 10**15)
        rows = [row for row in rows if low <= row["timestamp"] <= high]
        if params.get("status"):
            rows = [row for row in rows if (row["status"] >= 400) == (params["status"] == "error")]
        for word in params.get("filter", "").split():
            rows = [row for row in rows if _passes(row, word)]
        sort = params.get("sort", "-time")
        name = {"time": "timestamp", "duration": "duration_ms", "cost": "estimated_cost", "tokens": "total_tokens"}
        rows.sort(key=lambda row: row[name[sort.lstrip("-")]] or 0, reverse=sort.startswith("-"))
        return rows

    def spans_of(self, trace_id: str) -> list[dict[str, Any]]:
        """Return the rows of one trace."""
        found = [trace for trace in self.traces if trace["row"]["trace_id"] == trace_id]
        return [detail["trace"] for detail in found[0]["details"].values()] if found else []

    def detail(self, key: str) -> dict[str, Any] | None:
        """Return what is known about a span, or about the root of a trace."""
        for trace in self.traces:
            if key == trace["row"]["trace_id"] or key in trace["details"]:
                return trace["details"].get(key) or trace["details"][trace["row"]["id"]]
        return None

    def emit(self, message: dict[str, Any]) -> None:
        """Send one message to everybody who listens."""
        data = json.dumps(message).encode()
        size = len(data)
        if size < 126:
            head = bytes([0x81, size])
        else:
            head = struct.pack("!BBH", 0x81, 126, size) if size < 65536 else struct.pack("!BBQ", 0x81, 127, size)
        with self.lock:
            for socket in list(self.sockets):
                try:
                    socket.sendall(head + data)
                except OSError:
                    self.sockets.remove(socket)

    def arrive(self, trace: dict[str, Any]) -> None:
        """Let a new trace come in, live."""
        self.traces.insert(0, trace)
        self.change = max(self.change, trace["row"]["change"])
        self.emit({"type": "trace", "op": "new", "seq": trace["row"]["seq"], "rows": [trace["row"]]})

    def drop_sockets(self) -> None:
        """Cut every WebSocket."""
        with self.lock:
            for socket in self.sockets:
                with suppress(OSError):
                    socket.shutdown(2)
            self.sockets.clear()


def _passes(row: dict[str, Any], word: str) -> bool:
    if word.startswith("since:"):
        return True
    text = json.dumps(row).lower()
    return word[1:].lower() not in text if word.startswith("-") else word.rsplit(":", maxsplit=1)[-1].lower() in text


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    world: World

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer by path: socket, API, page, file."""
        url = urlsplit(self.path)
        self.world.requests.append(self.path)
        if url.path == "/ws":
            self._socket()
        elif url.path.startswith("/api/"):
            time.sleep(self.world.delay_s)
            self._api(unquote(url.path), dict(parse_qsl(url.query)))
        elif PAGES.match(url.path):
            self._file(STATIC / "index.html")
        else:
            self._file(STATIC / url.path.lstrip("/"))

    def do_DELETE(self) -> None:
        """Delete a trace or a view."""
        key = unquote(self.path.rsplit("/", maxsplit=1)[-1])
        self.world.requests.append(f"DELETE {self.path}")
        if self.path.startswith("/api/views/"):
            self._send(204 if self.world.views.pop(key, None) is not None else 404, b"", "application/json")
            return
        self._delete([key])

    def do_POST(self) -> None:
        """Delete some traces."""
        self.world.requests.append(f"POST {self.path}")
        self._delete(self._asked()["ids"])

    def do_PUT(self) -> None:
        """Save a view."""
        name = unquote(self.path.rsplit("/", maxsplit=1)[-1])
        self.world.views[name] = self._asked()["query"]
        self._json({"name": name, "query": self.world.views[name]})

    def _asked(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def _delete(self, keys: list[str]) -> None:
        kept = [trace for trace in self.world.traces if trace["row"]["trace_id"] not in keys]
        count = len(self.world.traces) - len(kept)
        self.world.traces = kept
        self._json({"deleted": count, "erased": False}, 202 if count else 404)

    def _send(self, status: int, body: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {
            "Content-Type": kind, "Content-Length": str(len(body)), "Content-Security-Policy": CSP, "Cache-Control": "no-cache",
            "X-Content-Type-Options": "nosniff", **(headers or {}),
        }.items():  # fmt: skip
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _json(self, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps(value).encode(), "application/json; charset=utf-8", headers)

    def _file(self, path: Path) -> None:
        if STATIC not in path.resolve().parents or not path.is_file():
            self._send(404, b"Not Found", "text/plain")
            return
        kind = "text/javascript" if path.suffix == ".js" else mimetypes.guess_type(path.name)[0] or "text/plain"
        self._send(200, path.read_bytes(), f"{kind}; charset=utf-8")

    def _api(self, path: str, params: dict[str, str]) -> None:
        if self.world.is_down:
            self._json({"error": "the store is on fire"}, 500)
            return
        if path == "/api/traces":
            self._list(params)
            return
        if path == "/api/traces/export":
            self._json({"count": 1, "filters": params, "traces": self.world.rows(params)})
            return
        match = re.match(r"^/api/spans/([^/]+)/body$", path)
        if match:
            self._body(match[1], params)
            return
        match = re.match(r"^/api/traces/([^/]+)(/tree)?$", path)
        if match:
            self._trace(match[1], is_tree=bool(match[2]))
            return
        answer = ROUTES.get(path.split("/")[2])
        if answer is None:
            self._json({"error": "Not Found"}, 404)
        else:
            self._json(answer(self.world, path, params))

    def _list(self, params: dict[str, str]) -> None:
        change, rows = self.world.change, self.world.rows(params)
        start = int(params.get("cursor") or params.get("offset") or 0)
        if start or self.world.holds_first:
            self.world.is_open.wait(60)
        stop = start + int(params.get("limit", 50))
        running = self.world.running if params.get("running") and not start else []
        headers = {"x-llmflow-change": str(change)} | ({"x-llmflow-next-cursor": str(stop)} if stop < len(rows) else {})
        shown = [*running, *rows[start:stop]]
        self._json([short_row(row) for row in shown] if params.get("fields") == "summary" else shown, headers=headers)

    def _body(self, key: str, params: dict[str, str]) -> None:
        detail = self.world.detail(key) or {}
        if params["part"] == "arrivals":
            self._json(detail.get("arrivals") or detail.get("response", {}).get("arrivals") or [])
            return
        data = detail.get("parts", {}).get(params["part"])
        if data is None:
            self._json({"error": "Span not found, or nothing of this part was stored"}, 404)
            return
        start, limit = int(params.get("offset", 0)), int(params.get("limit", 262_144))
        self._send(200, data[start : start + limit], "text/plain; charset=utf-8", {"x-llmflow-size": str(len(data))})

    def _trace(self, key: str, *, is_tree: bool) -> None:
        for trace in self.world.traces:
            if key != trace["row"]["trace_id"] and key not in trace["details"]:
                continue
            if is_tree:
                self._json(trace["tree"])
            else:
                detail = trace["details"].get(key) or trace["details"][trace["row"]["id"]]
                self._json({name: value for name, value in detail.items() if name not in ("parts", "arrivals")})
            return
        self._json({"error": "Trace not found"}, 404)

    def _socket(self) -> None:
        if self.world.is_down or "websocket" not in self.headers.get("Upgrade", "").lower():
            self._send(400, b"WebSocket upgrade failed", "text/plain")
            return
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        self.close_connection = True
        with self.world.lock:  # who sees it open is told of what comes
            self.send_response(101)
            for name, value in (("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept)):
                self.send_header(name, value)
            self.end_headers()
            self.world.sockets.append(self.connection)
        while True:
            message = self._frame()
            if message is None:
                break
            self.world.subscriptions.append(message)
        with self.world.lock, suppress(ValueError):
            self.world.sockets.remove(self.connection)

    def _frame(self) -> dict[str, Any] | None:
        try:
            head = self.rfile.read(2)
            if len(head) < 2 or head[0] & 0x0F == 8:
                return None
            size = head[1] & 0x7F
            if size == 126:
                size = struct.unpack("!H", self.rfile.read(2))[0]
            mask = self.rfile.read(4)
            return json.loads(bytes(byte ^ mask[i % 4] for i, byte in enumerate(self.rfile.read(size))))
        except (OSError, ValueError):
            return None


_FIELDS = {"session": "session_id", "user": "user_id", "tag": "tags"}


def _facets(world: World, _: str, params: dict[str, str]) -> Any:
    field = params.get("field", "model")
    found = [trace["row"].get(_FIELDS.get(field, field)) for trace in world.traces]
    values = [value for one in found for value in (one if isinstance(one, list) else [one])]
    begin = params.get("q", "")
    known = sorted({str(value) for value in values if value and str(value).startswith(begin)})
    return {"values": [{"value": value, "count": values.count(value)} for value in known]}


def _histogram(world: World, _: str, params: dict[str, str]) -> Any:
    if world.flood is not None:
        return world.flood.histogram()
    rows = world.rows(params)
    if not rows:
        return {"buckets": []}
    times = [row["timestamp"] for row in rows]
    start, step = min(times), max(1, (max(times) - min(times)) // 60 + 1)
    buckets = [
        {"start": start + i * step, "end": start + (i + 1) * step - 1, "count": 0, "errors": 0} for i in range(60)
    ]
    for row in rows:
        bucket = buckets[(row["timestamp"] - start) // step]
        bucket["count"] += 1
        bucket["errors"] += (row["status"] or 0) >= 400
    return {"buckets": buckets}


ROUTES: dict[str, Callable[[World, str, dict[str, str]], Any]] = {
    "stats": lambda world, *_: mock_traces.stats(world.traces),
    "config": lambda world, *_: {
        "proxy_port": 8080,
        "dashboard_port": 3000,
        "version": "0.1.0",
        "needs_token": world.needs_token,
    },
    "models": lambda world, path, _: mock_screens.models(world.traces, path),
    "facets": _facets,
    "histogram": _histogram,
    "sessions": lambda world, path, _: mock_traces.sessions(
        world.traces, path.removeprefix("/api/sessions").strip("/")
    ),
    "analytics": lambda world, path, params: mock_screens.analytics(world.traces, path, params),
    "timeline": lambda world, *_: mock_traces.timeline(world.traces),
    "logs": lambda _world, path, params: mock_screens.logs(path, params),
    "metrics": lambda _world, path, _: mock_screens.metrics(path),
    "spans": lambda *_: [],
    "views": lambda world, *_: {"views": [{"name": name, "query": query} for name, query in world.views.items()]},
}


class MockServer:
    """The server on a free port of loopback, in a thread of its own."""

    def __init__(self, traces: list[dict[str, Any]] | mock_traces.Flood, port: int = 0) -> None:
        self.world = World([], traces) if isinstance(traces, mock_traces.Flood) else World(traces)
        handler = type("BoundHandler", (Handler,), {"world": self.world})
        self.server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.world.drop_sockets()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(5)


if __name__ == "__main__":
    chosen = int(sys.argv[1]) if len(sys.argv) > 1 else 3999
    with MockServer(mock_traces.believable(), chosen) as running:
        print(running.url)
        running.thread.join()
