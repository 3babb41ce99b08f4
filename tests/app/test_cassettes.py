"""Cassettes in a whole LLMFlow, on real sockets: what is recorded, what is played, and what becomes of the rest."""

from __future__ import annotations

import gzip
import json
import socket
import sys
import threading
import time
from pathlib import Path

import pytest
from fake_upstream import CLOSE, HANG, FakeUpstream, answer, chunk, head_of, stream, wire
from run_help import environment, run

import llmflow
from llmflow_web.app import cli
from llmflow_web.errors import ConfigError

PATIENCE_S = 60.0
ASKED = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Why is the sky blue?"}]}
KEY = "sk-proj-THISKEYMUSTNOTBESTORED0123456789"
CHAT = "/v1/chat/completions"
JSON_TYPE = "Content-Type: application/json"


@pytest.fixture
def tape(tmp_path) -> Path:
    return tmp_path / "tapes" / "calls.jsonl"


@pytest.fixture
def upstream():
    with FakeUpstream() as server:
        yield server


def flow_at(upstream: FakeUpstream | None, tape: Path, mode: str, **settings):
    places = {
        "openai": upstream.url if upstream else "http://127.0.0.1:9",
        "gemini": upstream.url if upstream else "http://127.0.0.1:9",
    }
    return llmflow.serve(upstreams=places, cassette=tape, cassette_mode=mode, env={}, **settings)


def connect(flow) -> socket.socket:
    port = int(flow.proxy_url.rpartition(":")[2])
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)


def request(body: object = ASKED, *headers: str, method: str = "POST", path: str = CHAT) -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    length = [f"Content-Length: {len(data)}"] if data else []
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close", *(headers or [JSON_TYPE]), *length]
    return "\r\n".join([*lines, "", ""]).encode() + data


def ask(flow, wanted: bytes) -> tuple[str, dict[str, str], bytes]:
    """Return status line, headers by lower-case name, and the body without its framing."""
    with connect(flow) as sock:
        sock.sendall(wanted)
        return read_answer(sock)


def read_answer(sock) -> tuple[str, dict[str, str], bytes]:
    pieces = []
    while data := sock.recv(1 << 20):
        pieces.append(data)
    head, _, body = b"".join(pieces).partition(b"\r\n\r\n")
    line, *rest = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in rest)}
    if headers.get("transfer-encoding") == "chunked":
        assert body.endswith(b"0\r\n\r\n")
        body = unchunked(body)
    return line, headers, body


def unchunked(body: bytes) -> bytes:
    found = b""
    while True:
        size, _, body = body.partition(b"\r\n")
        if not int(size, 16):
            return found
        found, body = found + body[: int(size, 16)], body[int(size, 16) + 2 :]


def lines_of(tape: Path) -> list[dict]:
    return [json.loads(line) for line in tape.read_text("utf-8").splitlines()[1:]]


def stable(headers: dict[str, str]) -> dict[str, str]:
    """Leave out what is new with every answer."""
    return {name: value for name, value in headers.items() if not name.startswith(("x-llmflow-", "x-request", "date"))}


EVENTS = [b'data: {"n": 1}\n\n', b": ping\n\n", 'event: x\ndata: {"ü": "🌊"}\n\n'.encode(), b"data: [DONE]\n\n"]
WAYS = {
    "whole": (request(), answer(200, [("x-request-id", "r1"), ("Date", "today")], b'{"a": 1}'), b'{"a": 1}'),
    "stream": (request(), stream(EVENTS), b"".join(EVENTS)),
    "crlf stream": (request(), stream([b"data: 1\r\n\r\n", b"data: 2\r\n\r\n"]), b"data: 1\r\n\r\ndata: 2\r\n\r\n"),
    "lines": (
        request(),
        stream([b'{"a":1}\n', b'{"b":2}\n'], content_type="application/x-ndjson"),
        b'{"a":1}\n{"b":2}\n',
    ),
    "binary": (request(), answer(200, body=bytes(range(256)), content_type="audio/mpeg"), bytes(range(256))),
    "error": (request(), answer(400, body=b'{\n  "error": {}\n}\n'), b'{\n  "error": {}\n}\n'),
    "empty": (request(), answer(200), b""),
    "no content": (request(b"", method="DELETE", path="/v1/files/1"), wire(head_of(204, [])), b""),
    "head": (request(b"", method="HEAD", path="/v1/models/a"), wire(head_of(200, [("content-length", "77")])), b""),
    "until close": (request(), wire(head_of(200, [("content-type", "text/plain")]) + b"so be it", CLOSE), b"so be it"),
    "odd status": (request(), wire(head_of(299, [("content-length", "2")], "Odd") + b"ok"), b"ok"),
    "passthrough": (request(path="/passthrough/openai/v1/x?b=2&a=1"), answer(200, body=b"[1,2]"), b"[1,2]"),
    "half a letter": (request(), answer(200, body=b'{"a": "\\ud83c"}'), b'{"a": "\\ud83c"}'),
}


@pytest.mark.parametrize("name", WAYS)
def test_byte_for_byte(name, upstream, tape):
    """Status line, headers and body of a played answer are those that were recorded."""
    wanted, script, body = WAYS[name]
    upstream.script(script)
    with flow_at(upstream, tape, "record") as flow:
        recorded = ask(flow, wanted)
    assert recorded[2] == body
    with flow_at(None, tape, "replay") as flow:
        line, headers, played = ask(flow, wanted)
        assert (line, played) == (recorded[0], body)
        framing = ("transfer-encoding", "content-length", "connection")
        assert {k: v for k, v in stable(headers).items() if k not in framing} == {
            k: v for k, v in stable(recorded[1]).items() if k not in framing
        }
        if name == "head":
            assert headers["content-length"] == "77"
        (call,) = flow.calls()
        assert call["response_status"] == int(line.split()[1])
        assert call["estimated_cost"] in (0, None)


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_packed_answer(is_chunked, upstream, tape):
    """A compressed answer is on the cassette in words, and is played without its coding."""
    body = json.dumps({"text": "Warum? " * 500}).encode()
    packed = gzip.compress(body)
    coding = [("content-encoding", "gzip"), ("content-type", "application/json")]
    if is_chunked:
        pieces = [chunk(packed[at : at + 20]) for at in range(0, len(packed), 20)]
        upstream.script(wire(head_of(200, [*coding, ("transfer-encoding", "chunked")]), *pieces, b"0\r\n\r\n"))
    else:
        upstream.script(answer(200, [coding[0]], packed))
    wanted = request(ASKED, JSON_TYPE, "Accept-Encoding: gzip")
    with flow_at(upstream, tape, "record") as flow:
        assert ask(flow, wanted)[1]["content-encoding"] == "gzip"
    assert "Warum? Warum?" in tape.read_text("utf-8")
    with flow_at(None, tape, "replay") as flow:
        _, headers, played = ask(flow, request())
    assert played == body
    assert "content-encoding" not in headers
    assert headers["content-length"] == str(len(body))


def test_a_coding_nobody_knows(upstream, tape):
    """What cannot be undone stays as it came, and says so to the client."""
    upstream.script(answer(200, [("content-encoding", "zork")], b"\x00\xffzork"))
    with flow_at(upstream, tape, "record") as flow:
        ask(flow, request())
    with flow_at(None, tape, "replay") as flow:
        _, headers, body = ask(flow, request())
    assert (headers["content-encoding"], body) == ("zork", b"\x00\xffzork")


# ── which answer ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_equal_calls_in_turn(upstream, tape):
    """Equal requests get the recorded answers in their order, the last one for good."""
    upstream.script(*(answer(200, body=b'{"n":%d}' % n) for n in (1, 2, 3)))
    with flow_at(upstream, tape, "record") as flow:
        for _ in range(3):
            ask(flow, request())
    reordered = request(json.dumps(dict(reversed(ASKED.items())), indent=3).encode())
    with flow_at(None, tape, "replay") as flow:
        assert [ask(flow, one)[2] for one in (request(), reordered, request(), reordered)] == [
            b'{"n":1}', b'{"n":2}', b'{"n":3}', b'{"n":3}'
        ]  # fmt: skip


def test_in_sequence(upstream, tape):
    """In sequence the n-th call gets the n-th answer; another one than recorded is an error that says what differs."""
    other = ASKED | {"temperature": 1}
    upstream.script(*(answer(200, body=b'{"n":%d}' % n) for n in (1, 2)))
    with flow_at(upstream, tape, "record", cassette_match="sequence") as flow:
        ask(flow, request())
        ask(flow, request(other))
    with flow_at(None, tape, "replay", cassette_match="sequence") as flow:
        assert ask(flow, request())[2] == b'{"n":1}'
        line, headers, body = ask(flow, request())
        assert "424" in line
        assert (headers["x-should-retry"], headers["x-llmflow-cassette"]) == ("false", "miss")
        assert b"Call 2" in body
        assert b"temperature: recorded 1, missing now" in body
        assert b"has 2 recordings, and this POST openai /v1/chat/completions is call 3" in ask(flow, request())[2]


def test_fields_that_may_differ(upstream, tape):
    """Who asks makes no difference, nor do fields and headers that are named; anything else does."""
    body = ASKED | {"user": "u1", "metadata": {"run": 1}, "seed": 7}
    body["messages"] = [{"role": "user", "content": "Hi", "id": "m-1"}]
    upstream.script(answer(200, body=b'{"n":1}'))
    with flow_at(upstream, tape, "record") as flow:
        ask(flow, request(body, JSON_TYPE, "OpenAI-Beta: assistants=v1", "X-Stainless-Lang: python"))
    again = body | {"user": "u2", "metadata": {}, "seed": 8, "messages": [body["messages"][0] | {"id": "m-2"}]}
    loose = {"cassette_ignore": ["messages[*].id,$.seed"], "cassette_ignore_header": ["OpenAI-Beta"]}
    with flow_at(None, tape, "replay", **loose) as flow:
        assert ask(flow, request(again))[2] == b'{"n":1}'
    with flow_at(None, tape, "replay") as flow:
        told = json.loads(ask(flow, request(again))[2])["error"]["message"]
        assert "headers.openai-beta: recorded 'assistants=v1', missing now" in told
        assert "seed: recorded 7, got 8" in told
        assert "messages[0].id: recorded 'm-1', got 'm-2'" in told
        assert "u1" not in told
        assert (
            "path: recorded '/v1/chat/completions', got '/v1/completions'"
            in ask(flow, request(again, path="/v1/completions"))[2].decode()
        )


def test_forms(upstream, tape):
    """A form is compared by its parts: the boundary does not count, a file's bytes do."""

    def form(boundary: str, data: bytes) -> bytes:
        mark = b"--" + boundary.encode()
        parts = [
            mark + b'\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n',
            mark + b'\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + data + b"\r\n",
            mark + b"--\r\n",
        ]
        kind = f"Content-Type: multipart/form-data; boundary={boundary}"
        return request(b"".join(parts), kind, path="/v1/audio/transcriptions")

    upstream.script(answer(200, body=b'{"text":"Hi"}'))
    with flow_at(upstream, tape, "record") as flow:
        ask(flow, form("abc", b"RIFF\xff\x00"))
    assert lines_of(tape)[0]["request"]["form"][0] == {"name": "model", "text": "whisper-1"}
    with flow_at(None, tape, "replay") as flow:
        assert ask(flow, form("another-one", b"RIFF\xff\x00"))[2] == b'{"text":"Hi"}'
        assert b"form[1].sha256" in ask(flow, form("abc", b"RIFF\xff\x01"))[2]


# ── what is written ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_in_the_order_of_their_start(upstream, tape):
    """Calls stand in the order they were made in, whichever was answered first; the file is the same each time."""
    go = threading.Event()

    def late(talk) -> None:
        talk.body()
        assert go.wait(PATIENCE_S)
        talk.send(head_of(200, [("content-length", "2"), ("content-type", "application/json")]) + b"[]")

    for _ in range(2):
        go.clear()
        tape.unlink(missing_ok=True)
        before = len(upstream.requests)
        upstream.script(late, answer(200, body=b"{}"))
        with flow_at(upstream, tape, "record") as flow, connect(flow) as first:
            first.sendall(request(ASKED | {"n": 1}))
            upstream.wait_until(lambda at=before: len(upstream.requests) > at)
            ask(flow, request(ASKED | {"n": 2}))
            go.set()
            read_answer(first)
        assert [one["request"]["json"]["n"] for one in lines_of(tape)] == [1, 2]


def test_recorded_again(upstream, tape):
    """An equal call takes the place of its recording; one that was answered alike leaves its line as it was."""
    bodies = [ASKED | {"n": n} for n in (1, 2, 3)]
    for body in (b'{"a":1}', b'{"a":2}', b'{"a":3}'):
        upstream.script(answer(200, body=body))
    with flow_at(upstream, tape, "record") as flow:
        for body in bodies:
            ask(flow, request(body))
    first = tape.read_bytes().splitlines()
    upstream.script(answer(200, body=b'{"a":3}'), answer(200, body=b'{"a":22}'))
    with flow_at(upstream, tape, "record") as flow:
        ask(flow, request(bodies[2] | {"user": "somebody else"}))
        ask(flow, request(bodies[1]))
    second = tape.read_bytes().splitlines()
    assert [second[at] == first[at] for at in range(4)] == [True, True, False, True]
    assert b'{"a":22}' in second[2]


@pytest.mark.parametrize(("errors", "kept"), [("final", [200, 404]), ("all", [429, 503, 200, 404]), ("none", [200])])
def test_errors(errors, kept, upstream, tape):
    """Failures that a retry got past are left out, unless all errors are wanted, or none."""
    codes = (429, 503, 200)
    upstream.script(*(answer(code, body=b'{"error":{}}') for code in codes), answer(404, body=b'{"error":{}}'))
    with flow_at(upstream, tape, "record", cassette_errors=errors) as flow:
        for _ in codes:
            ask(flow, request())
        ask(flow, request(ASKED | {"n": 9}))
    assert [one["response"]["status"] for one in lines_of(tape)] == kept


def test_hybrid_tries_again(upstream, tape):
    """A failure is no answer to the retry of the same run: that one goes to the provider too."""
    upstream.script(answer(429, body=b'{"error":{}}'), answer(200, body=b'{"a":1}'))
    with flow_at(upstream, tape, "hybrid") as flow:
        lines = [ask(flow, request())[0].split()[1] for _ in range(3)]
    assert lines == ["429", "200", "200"]
    assert len(upstream.requests) == 2
    assert [one["response"]["status"] for one in lines_of(tape)] == [200]


def test_no_secrets(upstream, tape):
    """No key is on the cassette, whichever way it came: header, query, body, cookie, or the provider's own error."""
    said = json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}"}}).encode()
    upstream.script(answer(401, [("set-cookie", "s=THISKEYMUSTNOT"), ("x-api-key", KEY), ("x-echo", KEY)], said))
    upstream.script(stream([b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\n' % KEY.encode()]))
    with flow_at(upstream, tape, "record", redact=["Sky[A-Z]+"]) as flow:
        body = {**ASKED, "messages": [{"role": "user", "content": f"my key is {KEY}, SkyBLUE"}]}
        ask(flow, request(body, JSON_TYPE, f"Authorization: Bearer {KEY}", f"Cookie: {KEY}"))
        path = f"/gemini/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse&key={KEY}"
        ask(flow, request({"contents": []}, path=path))
    written = tape.read_bytes()
    assert len(written.splitlines()) == 3
    assert b"THISKEY" not in written
    assert b"SkyBLUE" not in written
    with flow_at(None, tape, "replay", redact=["Sky[A-Z]+"]) as flow:
        other = KEY.replace("0123", "9876")
        assert " 401 " in ask(flow, request(body, JSON_TYPE, f"Authorization: Bearer {other}"))[0]
        assert " 200 " in ask(flow, request({"contents": []}, path=path.partition("&key")[0]))[0]


def test_a_secret_in_pieces(upstream, tape):
    """A stream whose pieces add up to a key is not recorded, and its call says why."""
    deltas = [KEY[at : at + 5] for at in range(0, len(KEY), 5)]
    upstream.script(stream([b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\n' % one.encode() for one in deltas]))
    with flow_at(upstream, tape, "record") as flow:
        ask(flow, request())
        (call,) = flow.calls()
        notes = flow.call(call["id"])["trace"]["notes"]
    assert "not recorded on the cassette: a secret is spread over the events of its answer" in notes
    assert not tape.exists()


@pytest.mark.parametrize("ending", ["cut", "off"])
def test_what_is_not_kept(ending, upstream, tape):
    """Answers that were cut off are not recorded, nor calls that ask not to be."""
    upstream.script(stream(EVENTS[:2], ending=CLOSE) if ending == "cut" else stream(EVENTS))
    with flow_at(upstream, tape, "record") as flow, connect(flow) as sock:
        sock.sendall(request(ASKED, JSON_TYPE, *(["X-LLMFlow-Record: off"] if ending == "off" else [])))
        while sock.recv(65536):
            pass
        if ending == "cut":
            assert [call["ending"] for call in flow.calls()] == ["upstream_closed"]
    assert not tape.exists()


LAST = {
    "openai": ([b'data: {"a":1}\n\n', b"data: [DONE]\n\n"], True),
    "anthropic": ([b"event: ping\ndata: {}\n\n", b'event: message_stop\ndata: {"type":"message_stop"}\n\n'], True),
    "responses": ([b'event: response.completed\r\ndata: {"response":{}}\r\n\r\n'], True),
    "gemini": ([b'data: {"a":1}\r\n\r\n', b'data: {"candidates":[{"finishReason": "STOP"}]}\r\n\r\n'], True),
    "half": ([b'data: {"a":1}\n\n', b"data: [DO"], False),
    "middle": ([b"data: [DONE]\n\n", b'data: {"text": "[DONE] message_stop"}\n\n'], False),
}


@pytest.mark.parametrize("name", LAST)
def test_a_client_that_reads_to_the_last_event(name, upstream, tape):
    """A client may go once it has read the last event of a stream: that is a whole answer; less is none."""
    events, is_kept = LAST[name]
    upstream.script(stream(events, ending=HANG))
    with flow_at(upstream, tape, "record") as flow:
        with connect(flow) as sock:
            sock.sendall(request())
            seen = b""
            while events[-1] not in seen:
                seen += sock.recv(65536)
        (call,) = flow.calls(wait_s=PATIENCE_S)
        notes = flow.call(call["id"])["trace"]["notes"]
        left = "not recorded on the cassette: the client left before the answer was complete"
        assert (left in notes) is not is_kept
    assert tape.exists() is is_kept
    if is_kept:
        with flow_at(None, tape, "replay") as flow:
            assert ask(flow, request())[2] == b"".join(events)


# ── big, slow, gone ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_long_answer_to_a_slow_client(upstream, tape):
    """A long answer waits for a client that reads slowly, and comes whole."""
    body = b"0123456789abcdef" * (1 << 20)
    upstream.script(answer(200, body=body, content_type="text/plain"))
    with flow_at(upstream, tape, "record") as flow:
        assert ask(flow, request())[2] == body
    with flow_at(None, tape, "replay") as flow, connect(flow) as sock:
        sock.sendall(request())
        first = sock.recv(4096)
        assert ask(flow, request())[2] == body  # another one is served meanwhile
        rest = b"".join(iter(lambda: sock.recv(1 << 20), b""))
        assert (first + rest).partition(b"\r\n\r\n")[2] == body


def test_too_long(upstream, tape, monkeypatch):
    """What is longer than the limit passes, is not recorded and says so; in replay it is refused."""
    monkeypatch.setattr("llmflow_web.net.cassette_client.MAX_TAPED_BYTES", 1000)
    upstream.script(answer(200, body=b"a" * 1001), answer(200, body=b"{}"), answer(200, body=b"{}"))
    long = request(ASKED | {"a": "b" * 1000})
    with flow_at(upstream, tape, "record") as flow:
        ask(flow, request())
        ask(flow, long)
        notes = [" ".join(flow.call(call["id"])["trace"]["notes"]) for call in flow.calls()]
        assert all("not recorded on the cassette: it is longer than" in one for one in notes), notes
    assert not tape.exists()
    with flow_at(upstream, tape, "hybrid") as flow:
        assert ask(flow, chunked_upload(b"c" * 600, b"c" * 600))[2] == b"{}"
    assert upstream.requests[-1].body == b"c" * 1200
    tape.parent.mkdir(exist_ok=True)
    tape.write_text('{"format":"llmflow-cassette","version":1}\n')
    with flow_at(upstream, tape, "replay") as flow:
        assert b"cannot be on the cassette" in ask(flow, long)[2]
        assert b"cannot be on the cassette" in ask(flow, chunked_upload(b"c" * 600, b"c" * 600))[2]
    assert len(upstream.requests) == 3


def chunked_upload(*pieces: bytes) -> bytes:
    lines = [f"POST {CHAT} HTTP/1.1", "Host: localhost", "Connection: close", "Transfer-Encoding: chunked", "", ""]
    return "\r\n".join(lines).encode() + b"".join(map(chunk, pieces)) + b"0\r\n\r\n"


@pytest.mark.parametrize("mode", ["record", "hybrid"])
def test_a_body_in_pieces(mode, upstream, tape):
    """A request that comes in pieces is recorded, and found again however it is cut."""
    body = json.dumps(ASKED).encode()
    path = "/passthrough/openai" + CHAT
    upstream.script(answer(200, body=b'{"a":1}'))
    with flow_at(upstream, tape, mode) as flow, connect(flow) as sock:
        whole = chunked_upload(body[:20], body[20:]).replace(CHAT.encode(), path.encode(), 1)
        head, _, rest = whole.partition(b"\r\n\r\n")
        sock.sendall(head + b"\r\n\r\n")
        sock.sendall(rest)
        assert read_answer(sock)[2] == b'{"a":1}'
    assert upstream.requests[0].body == body
    with flow_at(None, tape, "replay") as flow:
        assert ask(flow, request(path=path))[2] == b'{"a":1}'


def test_a_client_that_leaves(upstream, tape):
    """A client that goes in the middle of a played stream ends it; others are served on."""
    upstream.script(stream(EVENTS))
    with flow_at(upstream, tape, "record") as flow:
        ask(flow, request())
    lines = lines_of(tape)
    lines[0]["response"]["arrivals"] = [0, 600_000, 600_000, 600_000]
    tape.write_text("\n".join(json.dumps(one) for one in [{"format": "llmflow-cassette", "version": 1}, *lines]))
    with flow_at(None, tape, "replay", cassette_timing="recorded") as flow:
        with connect(flow) as sock:
            sock.sendall(request())
            seen = b""
            while EVENTS[0] not in seen:
                seen += sock.recv(65536)
        with connect(flow) as other:
            other.sendall(request())
            assert other.recv(12) == b"HTTP/1.1 200"
            end = time.monotonic() + PATIENCE_S
            while not (calls := flow.calls(wait_s=0)):
                assert time.monotonic() < end
        assert (calls[0]["ending"], calls[0]["status"]) == ("client_closed", 499)


def test_many_at_once(upstream, tape):
    """Equal calls at the same time share the recordings among them."""
    upstream.script(*(answer(200, body=b'{"n":%d}' % n) for n in range(8)))
    with flow_at(upstream, tape, "record") as flow:
        for _ in range(8):
            ask(flow, request())
    found: list[bytes] = []
    with flow_at(None, tape, "replay") as flow:
        threads = [threading.Thread(target=lambda: found.append(ask(flow, request())[2])) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(found) == [b'{"n":%d}' % n for n in range(8)]


def test_websockets(upstream, tape):
    """A WebSocket passes unrecorded while recording; in replay it is refused, and nobody is asked."""
    upgrade = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAA"]
    lines = ["GET /v1/realtime?model=gpt-realtime HTTP/1.1", "Host: localhost", *upgrade, "", ""]
    wanted = "\r\n".join(lines).encode()
    upstream.script(answer(403, body=b"{}", keep_alive=False))
    with flow_at(upstream, tape, "hybrid") as flow, connect(flow) as sock:
        sock.sendall(wanted)
        assert sock.recv(65536).startswith(b"HTTP/1.1 403")
        (call,) = flow.calls()
        assert "not recorded on the cassette: it is a WebSocket" in flow.call(call["id"])["trace"]["notes"]
    tape.parent.mkdir()
    tape.write_text('{"format":"llmflow-cassette","version":1}\n')
    with flow_at(upstream, tape, "replay") as flow, connect(flow) as sock:
        sock.sendall(wanted)
        assert sock.recv(65536).startswith(b"HTTP/1.1 424")
    assert len(upstream.requests) == 1


# ── files by hand ────────────────────────────────────────────────────────────────────────────────────────────────────

HEADER = '{"format":"llmflow-cassette","version":1}'
BY_HAND = """
{"request": {"provider": "openai", "method": "POST", "path": "/v1/chat/completions",
  "json": {"model": "m"}},
 "response": {"status": 200, "json": {"ok": true}}}
"""


def test_written_by_hand(tape):
    """A cassette written by hand works, with the line ends and the byte order mark of whatever wrote it."""
    tape.parent.mkdir()
    line = " ".join(BY_HAND.split())
    tape.write_bytes(b"\xef\xbb\xbf" + f"{HEADER}\r\n\r\n{line}\r\n".encode())
    with flow_at(None, tape, "replay") as flow:
        assert ask(flow, request({"model": "m"}))[2] == b'{"ok":true}'


BROKEN = {
    "no JSON": ("{", "it is no JSON"),
    "no object": ("[1]", "no JSON object"),
    "no request": ('{"response":{}}', "no request or no response"),
    "no path": ('{"request":{"provider":"a","method":"b"},"response":{"status":200}}', "request.path"),
    "no status": ('{"request":{"provider":"a","method":"b","path":"c"},"response":{}}', "response.status"),
    "two lines in a header": (
        '{"request":{"provider":"a","method":"b","path":"c"},"response":{"status":200,"headers":{"a":"b\\r\\nc: d"}}}',
        "response.headers.a",
    ),
    "no base64": (
        '{"request":{"provider":"a","method":"b","path":"c"},"response":{"status":200,"base64":"?"}}', "base64"
    ),
    "no UTF-8": (b"\xff", "UTF-8"),
    "too deep": ('{"request":' + '{"a":' * 500 + "1" + "}" * 500 + ',"response":{"status":200}}', "request."),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_line(name, tape):
    """A broken line is named by its number, and nothing starts."""
    line, why = BROKEN[name]
    tape.parent.mkdir()
    good = " ".join(BY_HAND.split())
    tape.write_bytes(f"{HEADER}\n{good}\n".encode() + (line if isinstance(line, bytes) else line.encode()) + b"\n")
    with pytest.raises(ConfigError, match=f"calls.jsonl is broken in line 3: .*{why}"):
        flow_at(None, tape, "replay").start()


@pytest.mark.parametrize("head", ["{}", '{"format":"llmflow-cassette","version":2}', '{"format":"har"}'])
def test_another_format(head, tape):
    """A file of another kind, or of a later version, is refused."""
    tape.parent.mkdir()
    tape.write_text(head)
    with pytest.raises(ConfigError, match="line 1"):
        flow_at(None, tape, "hybrid").start()


def test_refused_at_start(tape, tmp_path, capsys):
    """Without a cassette there is nothing to replay; a folder is none, a word that is no path is told."""
    with pytest.raises(ConfigError, match="record one first"):
        flow_at(None, tape, "replay").start()
    with pytest.raises(ConfigError, match="is a folder"):
        flow_at(None, tmp_path, "record").start()
    with pytest.raises(ConfigError, match=r"'messages\[' is no path of a field"):
        flow_at(None, tape, "record", cassette_ignore=["messages["]).start()
    with pytest.raises(ConfigError, match="record or replay or hybrid"):
        flow_at(None, tape, "rewind")
    flags = [
        "--cassette",
        str(tape),
        "--data-dir",
        str(tmp_path / "data"),
        "--proxy-port",
        "0",
        "--dashboard-port",
        "0",
    ]
    assert cli.run(["serve", *flags]) == 1
    assert "there is no cassette" in capsys.readouterr().out


def test_a_place_that_cannot_be_written(upstream, tmp_path, capsys):
    """Where the cassette cannot be written the calls go on, and it is said."""
    (tmp_path / "file").write_text("in the way")
    upstream.script(answer(200, body=b"{}"))
    with flow_at(upstream, tmp_path / "file" / "calls.jsonl", "record") as flow:
        assert ask(flow, request())[2] == b"{}"
    assert "could not be written" in capsys.readouterr().err


# ── around a command ─────────────────────────────────────────────────────────────────────────────────────────────────

ASKING = """
import json, os, sys, urllib.request
asked = urllib.request.Request(os.environ["OPENAI_BASE_URL"] + "/chat/completions", json.dumps({"model": "m"}).encode(),
                               {"Content-Type": "application/json"})
print(json.loads(urllib.request.urlopen(asked, timeout=60).read())["said"])
"""


def test_run(upstream, tape, tmp_path):
    """`llmflow run` records around a command, and replays around it with nobody there."""
    upstream.script(answer(200, body=b'{"said":"Moin"}'))
    command = [sys.executable, "-c", ASKING]
    recorded = run(
        ["--cassette", str(tape), "--cassette-mode", "record"],
        command,
        environment(tmp_path, OPENAI_BASE_URL=upstream.url + "/v1"),
    )
    assert (recorded.code, recorded.out) == (0, "Moin\n"), recorded.err
    played = run(["--cassette", str(tape)], command, environment(tmp_path))
    assert (played.code, played.out) == (0, "Moin\n"), played.err
    assert b"sk-test-key" not in tape.read_bytes()
