"""OTLP over real sockets into a whole LLMFlow: what is taken, what is refused and how, and that nothing is lost."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import http.server
import json
import random
import socket
import threading
import time
import zlib
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest

from llmflow_web.wire import otlp
from llmflow_web.wire.otlp_values import DataPoint, LogRecord, OtlpMetric, OtlpSpan, Resource, Scope

PATIENCE_S = 30.0
JSON, PROTOBUF = "application/json", "application/x-protobuf"
TYPES = pytest.mark.parametrize("content_type", [JSON, PROTOBUF])
NOW_NS = 1_763_800_000_000_000_000
KEY = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789"


class Answer:
    """A whole answer."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status, self.headers, self.body = answer.status, answer.headers, answer.read()

    @property
    def message(self) -> str:
        """The message of the google.rpc.Status it must be."""
        if self.headers["content-type"] == JSON:
            told = json.loads(self.body)
            assert set(told) <= {"code", "message", "details"}
            return told["message"]
        assert self.headers["content-type"] == PROTOBUF
        assert self.body[0] == 0x08, "field 1, the code"
        assert self.body[2] == 0x12, "field 2, the message"
        size, start = self.body[3], 4
        if size & 0x80:
            size, start = (size & 0x7F) | self.body[4] << 7, 5
        assert len(self.body) == start + size
        return self.body[start:].decode()


def port_of(flow: Any, *, is_otlp: bool = False) -> int:
    return urlsplit(flow.house.otlp_url if is_otlp else flow.dashboard_url).port


def connect(flow: Any, *, is_otlp: bool = False) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port_of(flow, is_otlp=is_otlp), timeout=PATIENCE_S)


def ask(
    flow: Any, method: str, path: str, body: Any = None, *, is_otlp: bool = False, chunked: bool = False, **headers: str
) -> Answer:
    connection = connect(flow, is_otlp=is_otlp)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request(method, path, body, named, encode_chunked=chunked)
        return Answer(connection.getresponse())
    finally:
        connection.close()


def post(flow: Any, signal: str, body: Any, content_type: str = PROTOBUF, **more: Any) -> Answer:
    return ask(flow, "POST", f"/v1/{signal}", body, content_type=content_type, **more)


def spans(count: int = 1, name: str = "a", **attributes: Any) -> list[OtlpSpan]:
    resource, scope = Resource({"service.name": "shop"}), Scope("tests")
    trace = f"{random.Random(name).getrandbits(128):032x}"
    return [
        OtlpSpan(
            resource, scope, trace_id=trace, span_id=f"{n + 1:016x}", parent_span_id="" if n == 0 else f"{1:016x}",
            name=f"{name}{n}", start_ns=NOW_NS + n, end_ns=NOW_NS + n + 1_000_000, attributes=dict(attributes),
        )
        for n in range(count)
    ]  # fmt: skip


def logs(count: int = 1, body: str = "hello", **attributes: Any) -> list[LogRecord]:
    resource, scope = Resource({"service.name": "shop"}), Scope("tests")
    return [
        LogRecord(resource, scope, time_ns=NOW_NS, severity_number=9, body=body, attributes=dict(attributes))
        for _ in range(count)
    ]


def metrics(count: int = 1, **attributes: Any) -> list[OtlpMetric]:
    resource, scope = Resource({"service.name": "shop"}), Scope("tests")
    points = [DataPoint(dict(attributes), time_ns=NOW_NS + n, value=n) for n in range(count)]
    return [OtlpMetric(resource, scope, name="tokens", metric_type="sum", temporality=1, points=points)]


def encoded(items: list[Any], content_type: str = PROTOBUF) -> bytes:
    signal = {OtlpSpan: "traces", LogRecord: "logs", OtlpMetric: "metrics"}[type(items[0])]
    return otlp.encode(signal, items, is_json=content_type == JSON)


def wait_for(condition: Any, what: str = "it") -> Any:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.01)
    raise AssertionError(f"{what} did not come about")


# ── what is taken ────────────────────────────────────────────────────────────────────────────────────────────────────


@TYPES
def test_stored_when_answered(content_type: str, flow) -> None:
    """Each signal is answered with the empty message of its encoding, and is there when the answer is."""
    empty = b"{}" if content_type == JSON else b""
    for signal, items in (("traces", spans(3)), ("logs", logs(1)), ("metrics", metrics(2))):
        answer = post(flow, signal, encoded(items, content_type), content_type)
        assert (answer.status, answer.headers["content-type"], answer.body) == (200, content_type, empty)
    rows = flow.get("/api/traces")
    assert sorted(row["span_name"] for row in rows) == ["a0", "a1", "a2"]
    assert {(row["source"], row["service_name"], row["duration_ms"]) for row in rows} == {("otlp", "shop", 1.0)}
    assert flow.get("/api/logs")["total"] == 1
    assert flow.get("/api/logs")["logs"][0]["body"] == "hello"
    assert flow.get("/api/metrics")["total"] == 2


@pytest.mark.parametrize("sent", ["application/json; charset=utf-8", "Application/JSON", "application/protobuf"])
def test_content_types_that_are_near_enough(sent: str, flow) -> None:
    """Parameters, case and the protobuf type without x- are understood; the answer names the type it has."""
    content_type = PROTOBUF if "protobuf" in sent else JSON
    answer = post(flow, "traces", encoded(spans(), content_type), sent)
    assert (answer.status, answer.headers["content-type"]) == (200, content_type)


@pytest.mark.parametrize(
    ("coding", "pack"),
    [
        ("identity", bytes),
        ("gzip", gzip.compress),
        ("GZIP", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", lambda data: zlib.compress(data, wbits=-15)),
        ("gzip, identity", gzip.compress),
    ],
)
@TYPES
def test_packed_bodies(content_type: str, coding: str, pack: Any, flow) -> None:
    """Bodies come as they are, as gzip, and as deflate with and without its wrapper."""
    body = pack(encoded(spans(), content_type))
    assert post(flow, "traces", body, content_type, content_encoding=coding).status == 200
    assert len(flow.get("/api/traces")) == 1


@TYPES
def test_chunked_bodies(content_type: str, flow) -> None:
    """A body of unknown length is taken, in whatever pieces it comes."""
    body = encoded(spans(5), content_type)
    pieces = (body[at : at + 7] for at in range(0, len(body), 7))
    assert post(flow, "traces", pieces, content_type, chunked=True, transfer_encoding="chunked").status == 200
    assert len(flow.get("/api/traces")) == 5


@TYPES
@pytest.mark.parametrize("signal", ["traces", "logs", "metrics"])
def test_empty_bodies(signal: str, content_type: str, flow) -> None:
    """An empty request is a valid one."""
    bodies = [b"", b"{}"] if content_type == JSON else [b""]
    for body in bodies:
        answer = post(flow, signal, body, content_type)
        assert (answer.status, answer.body) == (200, b"{}" if content_type == JSON else b"")
    assert post(flow, signal, b"", content_type, content_encoding="gzip").status == 200


@TYPES
def test_sent_again(content_type: str, flow) -> None:
    """A batch that is sent again changes nothing, though records in it are alike and some have no time."""
    timeless = LogRecord(Resource(), Scope(), body="no time")
    for signal, items in (("traces", spans(3)), ("logs", [*logs(3), timeless]), ("metrics", metrics(3))):
        body = encoded(items, content_type)
        assert [post(flow, signal, body, content_type).status for _ in range(3)] == [200] * 3
    assert len(flow.get("/api/traces")) == 3
    assert flow.get("/api/stats")["total_requests"] == 3
    assert flow.get("/api/logs")["total"] == 4, "three alike are three"
    assert flow.get("/api/metrics")["total"] == 3


@TYPES
def test_partly_bad_batch(content_type: str, flow) -> None:
    """Good spans of a batch are kept and the bad ones counted and named, with 200: nobody shall send them again."""
    items = spans(3)
    items[1].span_id = "0" * 16
    body = encoded(items, content_type)
    answer = post(flow, "traces", body, content_type)
    assert (answer.status, answer.headers["content-type"]) == (200, content_type)
    rejected, message = otlp.decode_response("traces", answer.body, is_json=content_type == JSON)
    assert rejected == 1
    assert message
    assert sorted(row["span_name"] for row in flow.get("/api/traces")) == ["a0", "a2"]


def test_large_batch(flow) -> None:
    """A batch of thousands goes in whole, and a span of a program beside it, too."""
    body = encoded(spans(3000, text="x" * 300))
    answers: list[Answer] = []
    sender = threading.Thread(target=lambda: answers.append(post(flow, "traces", body)))
    sender.start()
    status, _, _ = flow.ask("/api/spans", method="POST", body={"id": "beside"})
    sender.join(PATIENCE_S)
    assert (status, answers[0].status) == (201, 200)
    assert flow.get("/api/stats")["total_requests"] == 3001


def test_two_at_once(flow) -> None:
    """Posts that come at the same time are all taken, whole."""
    bodies = [encoded(spans(400, name)) for name in "abcd"]
    answers: list[int] = []
    senders = [
        threading.Thread(target=lambda b=body: answers.append(post(flow, "traces", b).status)) for body in bodies
    ]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join(PATIENCE_S)
    assert answers == [200] * 4
    assert flow.get("/api/stats")["total_requests"] == 1600


def test_sent_on_as_it_came(flow_at) -> None:
    """With --forward-raw a backend gets each request byte for byte as it came, unpacked, after it is stored."""
    got: list[tuple[str, str | None, bytes]] = []

    class Backend(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            got.append((self.path, self.headers["content-type"], body))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Backend) as backend:
        thread = threading.Thread(target=backend.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{backend.server_port}"
        settings = {"forward": url, "forward_raw": True, "forward_interval": 0.05, "forward_gzip": False}
        flow = flow_at(settings=settings)
        sent = encoded(spans(2, note=KEY))
        as_json = encoded(logs(1), JSON)
        assert post(flow, "traces", gzip.compress(sent), content_encoding="gzip").status == 200
        assert post(flow, "logs", as_json, JSON).status == 200
        wait_for(lambda: len(got) >= 2, "what is sent on")
        flow.stop()
        backend.shutdown()
        thread.join(PATIENCE_S)
    assert sorted(got) == [("/v1/logs", JSON, as_json), ("/v1/traces", PROTOBUF, sent)]


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("content_type", ["text/plain", "application/grpc", "application/x-www-form-urlencoded", ""])
def test_other_content_types(content_type: str, flow) -> None:
    """What is neither protobuf nor JSON is 415, with a Status in JSON that names what was sent."""
    answer = post(flow, "traces", b"x", content_type)
    assert answer.status == 415
    assert answer.headers["content-type"] == JSON
    assert (content_type or "without a content-type") in answer.message


@TYPES
@pytest.mark.parametrize("coding", ["br", "zstd", "snappy", "gzip, gzip, gzip, gzip, gzip"])
def test_other_codings(coding: str, content_type: str, flow) -> None:
    """Codings that cannot be undone are 415, in the encoding of the request."""
    answer = post(flow, "traces", b"x", content_type, content_encoding=coding)
    assert (answer.status, answer.headers["content-type"]) == (415, content_type)
    assert coding[:20] in answer.message


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_other_methods(method: str, flow) -> None:
    """Only POST is possible, and the answer says so."""
    answer = ask(flow, method, "/v1/traces", content_type=PROTOBUF)
    assert (answer.status, answer.headers["allow"]) == (405, "POST")
    assert method == "HEAD" or method in answer.message


@TYPES
@pytest.mark.parametrize("body", [b"\xff", b"{", b"[]", b'"x"', b"[" * 100_000, b"\x0a\xff\xff\xff\xff\x0f", b"\x00"])
def test_garbage(body: bytes, content_type: str, flow) -> None:
    """What cannot be read at all is 400, for good, with the reason."""
    answer = post(flow, "traces", body, content_type)
    assert answer.status == 400
    assert answer.message
    assert answer.headers["retry-after"] is None
    assert flow.get("/api/traces") == []


@TYPES
def test_wrong_signal(content_type: str, flow) -> None:
    """Logs that are sent to traces are told where they belong."""
    answer = post(flow, "traces", encoded(logs(3), content_type), content_type)
    assert answer.status == 400
    assert "logs" in answer.message


@pytest.mark.parametrize("content_type", [JSON, PROTOBUF])
def test_packed_garbage(content_type: str, flow) -> None:
    """A packed body that is none, or that ends early, is 400: half a batch would be a lost half."""
    whole = gzip.compress(encoded(spans(50), content_type))
    for body in (b"not gzip", whole[:-1], whole[: len(whole) // 2], whole[:1]):
        answer = post(flow, "traces", body, content_type, content_encoding="gzip")
        assert answer.status == 400
        assert "gzip" in answer.message
    assert flow.get("/api/traces") == []


@TYPES
def test_too_large(content_type: str, flow_at) -> None:
    """A body over the limit is 413: by its length before it is sent, in chunks as it comes, unpacked when it unfolds."""
    flow = flow_at(settings={"max_otlp_body": 100_000})
    assert post(flow, "traces", gzip.compress(b" " * 100_001), content_type, content_encoding="gzip").status == 413
    bomb = gzip.compress(b"\0" * 50_000_000)
    assert len(bomb) < 100_000
    answer = post(flow, "traces", bomb, content_type, content_encoding="gzip")
    assert answer.status == 413
    assert "100000" in answer.message
    with socket.create_connection(("127.0.0.1", port_of(flow)), PATIENCE_S) as client:
        client.sendall(
            b"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: %b\r\nContent-Length: 100001\r\n\r\n"
            % content_type.encode()
        )
        assert client.recv(65536).startswith(b"HTTP/1.1 413 ")
    with socket.create_connection(("127.0.0.1", port_of(flow)), PATIENCE_S) as client:
        client.sendall(
            b"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: %b\r\nTransfer-Encoding: chunked\r\n\r\n"
            % content_type.encode()
        )
        client.sendall(b"186a1\r\n" + b" " * 100_001 + b"\r\n")  # and no end
        assert client.recv(65536).startswith(b"HTTP/1.1 413 ")
    assert post(flow, "traces", encoded(spans(), content_type), content_type).status == 200


def test_mutated_bodies(flow) -> None:
    """Whatever becomes of a body on its way, the answer is a yes or a no, never a failure, on one connection."""
    draw = random.Random(4)
    connection = connect(flow)
    whole = {
        (signal, content_type): encoded(items, content_type)
        for signal, items in (("traces", spans(3, k="v", n=1)), ("logs", logs(3, k=[1, "a"])), ("metrics", metrics(3)))
        for content_type in (JSON, PROTOBUF)
    }
    seen = set()
    for _ in range(300):
        for (signal, content_type), body in whole.items():
            coding = draw.choice(["identity", "identity", "gzip", "deflate"])
            sent = {"gzip": gzip.compress, "deflate": zlib.compress}.get(coding, bytes)(mutated(draw, body))
            if draw.random() < 0.1:
                sent = mutated(draw, sent)
            connection.request(
                "POST", f"/v1/{signal}", sent, {"content-type": content_type, "content-encoding": coding}
            )
            answer = Answer(connection.getresponse())
            assert answer.status in (200, 400, 413), (answer.status, answer.body, sent)
            if answer.status != 200:
                assert answer.message
            seen.add(answer.status)
    connection.close()
    assert {200, 400} <= seen
    assert flow.get("/api/health")["status"] == "ok"
    assert "failed" not in flow.said.getvalue()


def mutated(draw: random.Random, body: bytes) -> bytes:
    """Change a body as wires and senders do: flip, cut, repeat, put in."""
    data = bytearray(body)
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(data) + 1)
        end = min(len(data), at + draw.randint(1, 20))
        kind = draw.randrange(5)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << draw.randrange(8)
        elif kind == 1:
            del data[at:end]
        elif kind == 2:
            data[at:at] = data[at:end] * draw.randint(1, 50)
        elif kind == 3:
            data[at:at] = draw.randbytes(draw.randint(1, 10))
        elif draw.random() < 0.2:
            del data[at:]
    return bytes(data)


# ── when it is too much ──────────────────────────────────────────────────────────────────────────────────────────────


def begun(flow: Any, size: int, sent: int) -> socket.socket:
    """Begin a post of `size` bytes and send only `sent` of them."""
    client = socket.create_connection(("127.0.0.1", port_of(flow)), PATIENCE_S)
    client.sendall(
        b"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-protobuf\r\n"
        b"Content-Length: %d\r\nConnection: close\r\n\r\n" % size
    )
    client.sendall(encoded(spans(1, "slow"))[:sent].ljust(sent, b"\0"))
    return client


def held_bytes(flow: Any) -> int:
    """What bodies on their way in hold."""
    return flow.house._screens._otlp._memory.used


def test_slow_and_large_senders_leave_room(flow_at) -> None:
    """While a slow sender holds most of the memory another large one is told to come again; small ones are taken."""
    mib = 1024 * 1024
    flow = flow_at(settings={"max_ingest_memory": 8 * mib})
    assert post(flow, "traces", b"").status == 200
    with begun(flow, 7 * mib, 6 * mib):
        wait_for(lambda: held_bytes(flow) == 6 * mib, "the slow sender's body")
        answer = post(flow, "traces", b"\0" * (2 * mib))
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert "again" in answer.message
        assert post(flow, "traces", encoded(spans(10))).status == 200
    wait_for(lambda: held_bytes(flow) == 0, "the memory of a sender that has gone")
    assert len(flow.get("/api/traces")) == 10


def test_waiting_for_a_turn(flow, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits too long to be read is told to come again; who has gone meanwhile is not read at all."""
    from llmflow_web.record import received as module

    assert post(flow, "traces", b"").status == 200
    routes, true, read_on = flow.house._screens._otlp, module.received, threading.Event()
    bodies: list[bytes] = []

    def slowly(signal: str, body: bytes, *more: Any, **told: Any) -> Any:
        bodies.append(body)
        assert read_on.wait(PATIENCE_S)
        return true(signal, body, *more, **told)

    monkeypatch.setattr(module, "received", slowly)
    first, gone = encoded(spans(1, "first")), encoded(spans(1, "gone"))
    answers: list[int] = []
    sender = threading.Thread(target=lambda: answers.append(post(flow, "traces", first).status))
    sender.start()
    wait_for(lambda: bodies == [first], "the first post's turn")
    patience = routes._limits
    routes._limits = replace(patience, max_wait_s=0.05)
    answer = post(flow, "traces", encoded(spans(1, "second")))
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert "again" in answer.message
    routes._limits = patience
    with begun(flow, len(gone), 0) as client:
        client.sendall(gone)
        wait_for(lambda: held_bytes(flow) == len(first) + len(gone), "the post that will give up")
    wait_for(lambda: len(flow.house.dashboard.connections) <= 1, "the end of its connection")
    read_on.set()
    sender.join(PATIENCE_S)
    wait_for(lambda: held_bytes(flow) == 0, "the end of all posts")
    assert answers == [200]
    assert bodies == [first]


def test_failing_store(flow) -> None:
    """While the disk fails posts are told to come again, before they are read; then they are taken."""
    assert post(flow, "traces", encoded(spans())).status == 200
    writer = flow.house.database._writer
    writer.error = "The database cannot be written: disk full."
    for content_type in (JSON, PROTOBUF):
        answer = post(flow, "logs", encoded(logs(), content_type), content_type)
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")
        assert "disk full" in answer.message
    writer.error = None
    assert post(flow, "logs", encoded(logs())).status == 200


def test_stopping_during_a_post(flow) -> None:
    """A post that is half sent when we stop is cut off, one that came whole is on disk; the stop does not wait."""
    assert post(flow, "traces", encoded(spans(10))).status == 200
    with begun(flow, 1000, 10) as client:
        wait_for(lambda: held_bytes(flow) == 10, "half a post")
        flow.stop()
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(65536) == b""
    assert "failed" not in flow.said.getvalue()


# ── who may send ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_browsers(flow_at) -> None:
    """Pages of this machine and of allowed origins may send, with whatever headers they announce; others may not."""
    flow = flow_at(settings={"allow_origin": ("https://app.example",), "otlp_port": 0})
    asked = "content-type,content-encoding,x-custom"
    for is_otlp in (False, True):
        for origin in ("http://localhost:5173", "https://app.example"):
            preflight = ask(
                flow, "OPTIONS", "/v1/traces", is_otlp=is_otlp, origin=origin,
                access_control_request_method="POST", access_control_request_headers=asked,
            )  # fmt: skip
            assert preflight.status == 204
            assert preflight.headers["access-control-allow-origin"] == origin
            assert preflight.headers["access-control-allow-headers"].replace(" ", "") == asked
            assert "POST" in preflight.headers["access-control-allow-methods"]
            answer = post(flow, "traces", b"{}", JSON, is_otlp=is_otlp, origin=origin)
            assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, origin)
            refused = post(flow, "traces", b"{", JSON, is_otlp=is_otlp, origin=origin)
            assert (refused.status, refused.headers["access-control-allow-origin"]) == (400, origin)
        answer = post(flow, "traces", b"", is_otlp=is_otlp, origin="https://evil.example")
        assert (answer.status, answer.headers["content-type"]) == (403, PROTOBUF)
        assert "evil.example" in answer.message
        assert answer.headers["access-control-allow-origin"] is None


def test_token(flow_at) -> None:
    """With a token exporters bring it as a header or in the path; without it they get a Status."""
    flow = flow_at(settings={"token": "t0ken-t0ken", "otlp_port": 0})
    for is_otlp in (False, True):
        answer = post(flow, "logs", b"", is_otlp=is_otlp)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert "token" in answer.message
        assert post(flow, "logs", b"", is_otlp=is_otlp, authorization="Bearer t0ken-t0ken").status == 200
        assert ask(flow, "POST", "/t/t0ken-t0ken/v1/logs", b"{}", is_otlp=is_otlp, content_type=JSON).status == 200


def test_secrets_never_reach_the_disk(flow) -> None:
    """Keys and header-like attributes are masked in spans, logs and metrics, wherever they stand."""
    secret = "hushhush-hushhush"
    headers = {"http.request.header.x-custom-token": [secret], "ai.request.headers.authorization": f"Bearer {secret}"}
    resource = Resource({"service.name": "shop", "deploy.note": f"made with {KEY}"})
    span = spans(1, **headers, note=f"the key is {KEY}", nested={"http.headers": {"X-Session-Token": secret}})[0]
    span.resource = resource
    log = LogRecord(resource, Scope(), time_ns=NOW_NS, body=f"using {KEY}", attributes=dict(headers), event_name="e")
    metric = metrics(1, **{"http.request.header.x-api-key": secret, "model": "m"})[0]
    metric.resource = resource
    for signal, item in (("traces", span), ("logs", log), ("metrics", metric)):
        assert post(flow, signal, encoded([item])).status == 200
    told = json.dumps([flow.get("/api/logs"), flow.get("/api/metrics")])
    everything = flow.everything_stored() + told
    assert KEY not in everything
    assert secret not in everything
    assert "redacted" in told
    assert flow.get("/api/metrics")["metrics"][0]["name"] == "tokens"


# ── the port of its own ──────────────────────────────────────────────────────────────────────────────────────────────


def test_port_of_its_own(flow_at) -> None:
    """The OTLP port takes the three signals, says that it is there, and names what it is to whoever asks else."""
    flow = flow_at(settings={"otlp_port": 0})
    port = port_of(flow, is_otlp=True)
    for signal, items in (("traces", spans()), ("logs", logs()), ("metrics", metrics())):
        assert post(flow, signal, encoded(items), is_otlp=True).status == 200
    assert len(flow.get("/api/traces")) == flow.get("/api/logs")["total"] == flow.get("/api/metrics")["total"] == 1
    health = json.loads(ask(flow, "GET", "/health", is_otlp=True).body)
    assert health == {"status": "ok", "service": "otlp", "port": port, "dashboard_port": port_of(flow)}
    assert flow.get("/api/health")["otlp_port"] == flow.get("/api/config")["otlp_port"] == port
    for method, path in (("POST", "/"), ("GET", "/"), ("GET", "/api/traces"), ("POST", "/api/spans")):
        answer = ask(flow, method, path, b"{}", is_otlp=True, content_type=JSON)
        assert answer.status == 404
        assert "/v1/traces" in answer.message
        assert str(port_of(flow)) in answer.message


def test_no_port_of_its_own_by_default(flow) -> None:
    """Without --otlp-port there is none, and health says so."""
    assert flow.house.otlp_url is None
    assert flow.get("/api/health")["otlp_port"] is None


def test_taken_port_is_named(flow_at) -> None:
    """A taken port ends the start with one line that names it and the flag."""
    from llmflow_web.errors import StartRefused

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartRefused, match=rf"^port {port} \(otlp\) is taken.*--otlp-port$"):
            flow_at(settings={"otlp_port": port})


# ── who watches ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_watchers_hear_of_it(flow) -> None:
    """A plain listener hears of each span, log and point after its commit; a subscriber of batches of what it wants."""
    from websockets.sync.client import connect as listen

    url = flow.dashboard_url.replace("http", "ws") + "/ws"
    with listen(url, proxy=None) as plain, listen(url, proxy=None) as chosen:
        for socket_ in (plain, chosen):
            assert json.loads(socket_.recv(PATIENCE_S))["type"] == "hello"
        chosen.send('{"type": "subscribe", "traces": false, "logs": true}')
        chosen.ping().wait(PATIENCE_S)  # what was sent before has been read
        trace = "ab" * 16
        log = logs(1)[0]
        log.trace_id, log.span_id = trace, "cd" * 8
        assert post(flow, "metrics", encoded(metrics(1))).status == 200
        assert post(flow, "logs", encoded([log])).status == 200
        heard = [json.loads(plain.recv(PATIENCE_S)) for _ in range(3)]
        assert [one["type"] for one in heard] == ["new_metric", "new_log", "trace_log_added"]
        assert heard[1]["payload"]["body"] == "hello"
        assert heard[2]["payload"] == {"trace_id": trace, "log": heard[1]["payload"]}
        batch = json.loads(chosen.recv(PATIENCE_S))
        assert (batch["type"], batch["op"], batch["rows"]) == ("log", "new", [heard[1]["payload"]])
