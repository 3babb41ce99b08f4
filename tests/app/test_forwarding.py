"""OTLP out of a whole LLMFlow: into another one, and into a backend that is not always well."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import Flow

from llmflow_web.app.settings import Config, endpoints_of
from llmflow_web.errors import StartRefused
from llmflow_web.wire.otlp import decode

PATIENCE_S = 30.0
CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}


class Receiver:
    """A small OTLP backend: answers each post as `script` says, 200 after it, and keeps what it took."""

    def __init__(self) -> None:
        self.script: list[tuple[int, dict[str, str]]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.spans: list[Any] = []
        self.headers: list[dict[str, str]] = []
        self.posts = 0
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.gate.wait(PATIENCE_S)
                receiver.posts += 1
                receiver.headers.append({name.lower(): value for name, value in self.headers.items()})
                status, headers = receiver.script.pop(0) if receiver.script else (200, {})
                if status == 200 and self.path == "/v1/traces":
                    receiver.spans += decode("traces", body, is_json=True).items
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self.gate.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    yield server
    server.close()


def call(flow: Flow, count: int = 1, **more: Any) -> None:
    import urllib.request

    for _ in range(count):
        body = json.dumps(CHAT | more).encode()
        request = urllib.request.Request(flow.proxy_url + "/v1/chat/completions", body)
        request.add_header("Content-Type", "application/json")
        request.add_header("Authorization", "Bearer sk-proj-abcdefghijklmnopqrstuvwxyz0123456789")
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=PATIENCE_S) as answer:
            answer.read()


def wait_until(is_so: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


PLAIN = {"forward_gzip": False, "forward_protocol": "json", "forward_interval": 0.05}


def test_one_llmflow_sends_all_to_another(flow_at, upstream, tmp_path):
    """The second shows the same call: model, tokens, cost, time, session; its price is not counted anew."""
    second = flow_at()
    first = Flow(tmp_path / "first", {"openai": upstream.url}, forward=second.dashboard_url, forward_interval=0.05)
    try:
        call(first)
        (sent,) = first.wait_traces(1)
        (got,) = second.wait_traces(1)
    finally:
        first.stop()
    same = ("trace_id", "id", "model", "provider", "prompt_tokens", "completion_tokens", "status", "span_type")
    assert {name: got[name] for name in same} == {name: sent[name] for name in same}
    assert got["estimated_cost"] == pytest.approx(sent["estimated_cost"])
    assert got["timestamp"] == sent["timestamp"]
    assert got["source"] == "otlp"


def test_prompts_stay_here_unless_they_are_asked_for(flow_at, upstream, receiver):
    """Without forward_content no word of prompt or answer leaves."""
    flow = flow_at({"forward": receiver.url, **PLAIN}, openai=upstream.url)
    call(flow)
    wait_until(lambda: receiver.spans)
    assert "hello" not in repr(receiver.spans)
    assert receiver.spans[0].attributes["gen_ai.request.model"] == "gpt-4o-mini"


def test_prompts_leave_when_they_are_asked_for(flow_at, upstream, receiver):
    """forward_content sends messages in the current convention; keys stay here all the same."""
    flow = flow_at({"forward": receiver.url, "forward_content": True, **PLAIN}, openai=upstream.url)
    call(flow)
    wait_until(lambda: receiver.spans)
    sent = json.loads(receiver.spans[0].attributes["gen_ai.input.messages"])
    assert sent == [{"role": "user", "parts": [{"type": "text", "content": "hello"}]}]
    assert "sk-proj-abcdefgh" not in repr(receiver.spans)


def test_a_backend_that_fails_and_refuses_for_a_while_loses_nothing(flow_at, upstream, receiver):
    """503, 429 with Retry-After and 502 in turn: every call arrives once."""
    receiver.script = [(503, {"retry-after": "0"}), (429, {"retry-after": "0"}), (502, {"retry-after": "0"})]
    flow = flow_at({"forward": receiver.url, **PLAIN}, openai=upstream.url)
    call(flow, 5)
    wait_until(lambda: len(receiver.spans) == 5)
    state = flow.get("/api/export")["signals"]["traces"]
    assert (state["sent"], state["dropped"], state["refused"], state["retries"]) == (5, 0, 0, 3)


def test_a_backend_that_stalls_holds_nobody_up_and_losses_are_counted(flow_at, upstream, receiver):
    """Calls and rows go on; beyond the queue items are dropped, and sent + dropped is everything."""
    receiver.gate.clear()
    flow = flow_at({"forward": receiver.url, "forward_queue": 4, "forward_batch": 2, **PLAIN}, openai=upstream.url)
    call(flow, 10)
    flow.wait_traces(10)
    wait_until(lambda: flow.get("/api/export")["signals"]["traces"]["dropped"] == 6)
    receiver.gate.set()
    wait_until(lambda: flow.get("/api/export")["signals"]["traces"]["sent"] == 4)
    assert len(receiver.spans) == 4


def test_what_is_queued_leaves_at_the_stop(flow_at, upstream, receiver):
    """Calls made just before the stop arrive, though the interval has not passed."""
    flow = flow_at({"forward": receiver.url, **PLAIN, "forward_interval": 3600.0}, openai=upstream.url)
    call(flow, 3)
    flow.stop()
    assert len(receiver.spans) == 3
    assert "did not reach" not in flow.said.getvalue()


def test_what_cannot_leave_is_told_at_the_stop(flow_at, upstream):
    """Nobody listens there: the console says how many items were lost."""
    flow = flow_at({"forward": "http://127.0.0.1:9", **PLAIN}, openai=upstream.url)
    call(flow, 2)
    flow.stop()
    assert "2 items did not reach the OTLP backend" in flow.said.getvalue()


def test_export_tells_where_things_go_without_their_keys(flow_at, receiver):
    """GET /api/export has the contract's fields; headers and queries are not shown."""
    endpoint = receiver.url + "/v1/traces?key=abcdef0123456789abcdef"
    flow = flow_at({"forward_traces": endpoint, "forward_headers": (("authorization", "Bearer xyzzy-123"),)})
    found = flow.get("/api/export")
    assert found["enabled"] is True
    assert found["endpoints"] == {"traces": receiver.url + "/v1/traces"}
    assert (found["batchSize"], found["flushIntervalMs"]) == (100, 5000)
    assert (found["hasTraces"], found["hasLogs"], found["hasMetrics"]) == (True, False, False)
    assert "xyzzy" not in json.dumps([found, flow.get("/api/config")])


def test_flush_sends_what_is_queued(flow_at, upstream, receiver):
    """POST /api/export/flush answers when everything is there."""
    flow = flow_at({"forward": receiver.url, **PLAIN, "forward_interval": 3600.0}, openai=upstream.url)
    call(flow, 2)
    flow.wait_traces(2)
    status, _, body = flow.ask("/api/export/flush", method="POST")
    assert (status, json.loads(body)) == (200, {"success": True, "message": "Export flush completed"})
    assert len(receiver.spans) == 2


def test_nothing_is_forwarded_without_an_endpoint(flow):
    """The state says so, and a flush has nothing to do."""
    assert flow.get("/api/export")["enabled"] is False
    assert flow.ask("/api/export/flush", method="POST")[0] == 200


def test_forwarding_to_oneself_is_refused(tmp_path, flow_at):
    """What arrives would be sent again for ever: the start is refused in one sentence."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(StartRefused, match="this LLMFlow itself"):
        flow_at({"forward": f"http://localhost:{port}", "dashboard_port": port})


def test_received_telemetry_is_relayed(flow_at, receiver):
    """A span that came by OTLP leaves with its attributes; a key inside them is masked."""
    flow = flow_at({"forward": receiver.url, **PLAIN})
    flow.ask("/v1/traces", method="POST", body=_request("sk-proj-abcdefghijklmnopqrstuvwxyz0123456789"))
    wait_until(lambda: receiver.spans)
    (span,) = receiver.spans
    assert (span.name, span.attributes["app.step"]) == ("work", 7)
    assert "abcdefghijklmnop" not in span.attributes["app.note"]


def _request(note: str) -> Any:
    attributes = [
        {"key": "app.step", "value": {"intValue": "7"}},
        {"key": "app.note", "value": {"stringValue": note}},
    ]
    span = {
        "traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "b7ad6b7169203331", "name": "work", "kind": 1,
        "startTimeUnixNano": "1700000000000000000", "endTimeUnixNano": "1700000001000000000", "attributes": attributes,
    }  # fmt: skip
    return {"resourceSpans": [{"resource": {}, "scopeSpans": [{"scope": {"name": "s"}, "spans": [span]}]}]}


@pytest.mark.parametrize(
    ("settings", "endpoints"),
    [
        ({}, {}),
        (
            {"forward": "http://b:4318/"},
            {
                "traces": "http://b:4318/v1/traces",
                "logs": "http://b:4318/v1/logs",
                "metrics": "http://b:4318/v1/metrics",
            },
        ),
        ({"forward_traces": "http://b/x"}, {"traces": "http://b/x"}),
        ({"forward_traces": "http://b/x", "forwarding": False}, {}),
        ({"forward_logs": "http://b/l?k=1"}, {"logs": "http://b/l?k=1"}),
    ],
)
def test_a_base_url_gets_paths_and_a_full_url_is_used_as_given(settings, endpoints):
    """As exporters of OpenTelemetry treat their two kinds of variable."""
    assert endpoints_of(Config(**settings)) == endpoints
