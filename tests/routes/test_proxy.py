"""The proxy port, byte by byte: what reaches upstream, what reaches the client, and what is refused."""

from __future__ import annotations

import gzip
import hashlib
import json
import socket
import threading
import time

import pytest
from fake_upstream import CLOSE, HANG, RESET, FakeUpstream, answer, chunk, head_of, stream, wire
from routes.proxy_rig import ProxyRig, post, read_all


@pytest.fixture
def upstream():
    with FakeUpstream() as server:
        yield server


@pytest.fixture
def rig(upstream):
    with ProxyRig({"openai": upstream.url, "mistral": upstream.url, "perplexity": upstream.url}) as proxy:
        yield proxy


def body_of(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


def error_of(answer: bytes) -> dict:
    return json.loads(body_of(answer))["error"]


def test_a_request_reaches_upstream_byte_for_byte(rig, upstream):
    """Method, path, query, header lines and body arrive as sent; only hop-by-hop and our own headers are missing."""
    body = bytes(range(256)) * 3
    rig.ask(
        b"PATCH /v1/odd%%20path//x?a=1&b=%%2F&a=2 HTTP/1.1\r\nHost: localhost:8080\r\nX-Custom:   Spaced  value \r\n"
        b"x-repeated: 1\r\nX-Repeated: 2\r\nAuthorization: Bearer k\r\nX-LLMFlow-Tags: t\r\nX-Trace-Id: T1\r\n"
        b"X-Parent-Id: p\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"
        b"Keep-Alive: 5\r\nX-Named: gone\r\nConnection: close, X-Named\r\nTE: trailers\r\n"
        b"Content-Type: application/weird\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    )
    request = upstream.requests[0]
    assert request.head == (
        b"PATCH /v1/odd%20path//x?a=1&b=%2F&a=2 HTTP/1.1\r\nHost: 127.0.0.1:" + str(upstream.port).encode() + b"\r\n"
        b"X-Custom:   Spaced  value \r\nx-repeated: 1\r\nX-Repeated: 2\r\nAuthorization: Bearer k\r\n"
        b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"
        b"Content-Type: application/weird\r\nContent-Length: 768\r\n\r\n"
    )
    assert request.body == body


def test_an_answer_reaches_the_client_byte_for_byte(rig, upstream):
    """Status, reason, header lines and body come back as sent, with our two id headers added."""
    upstream.script(
        wire(
            b"HTTP/1.1 418 I am a Teapot\r\nX-Request-Id: r1\r\nset-cookie: a=1\r\nSet-Cookie: b=2\r\nRetry-After: 7\r\n"
            b"Connection: keep-alive\r\nKeep-Alive: timeout=5\r\nContent-Length: 3\r\n\r\n\x00\xff!"
        )
    )
    text = rig.ask(post("/v1/x", b"", "X-Trace-Id: my-trace"))
    head, _, body = text.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 418 I am a Teapot"
    assert lines[1:5] == [b"X-Request-Id: r1", b"set-cookie: a=1", b"Set-Cookie: b=2", b"Retry-After: 7"]
    assert b"x-llmflow-trace-id: my-trace" in lines
    assert not any(line.lower().startswith(b"keep-alive") for line in lines)
    assert body == b"\x00\xff!"


@pytest.mark.parametrize(
    ("method", "script", "expected"),
    [
        ("GET", wire(b"HTTP/1.1 204 No Content\r\n\r\n"), b""),
        ("GET", wire(b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n"), b""),
        ("HEAD", wire(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n"), b""),
        ("GET", wire(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 2\r\n\r\nno"), b"no"),
        ("GET", wire(b"HTTP/1.0 200 OK\r\n\r\nuntil the end", CLOSE), b"until the end"),
    ],
)
def test_answers_without_ordinary_bodies_are_relayed(rig, upstream, method, script, expected):
    """204, 304, HEAD, redirects (not followed) and close-framed bodies come through whole."""
    upstream.script(script)
    text = rig.ask(f"{method} /v1/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    head, _, body = text.partition(b"\r\n\r\n")
    if b"transfer-encoding" in head.lower():
        assert body == chunk(expected) + b"0\r\n\r\n"
    else:
        assert body == expected
    if method == "HEAD":
        assert b"Content-Length: 999" in head
    assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    ("path", "headers", "target"),
    [
        ("/v1/models", [], "/v1/models"),
        ("/mistral/v1/models?x=1", [], "/v1/models?x=1"),
        ("/MISTRAL/v1/models", [], "/v1/models"),
        ("/perplexity/v1/chat/completions", [], "/chat/completions"),
        ("/v1/models", ["X-LLMFlow-Provider: Perplexity"], "/models"),
        ("/mistral/v1/models", ["X-LLMFlow-Provider: perplexity"], "/models"),
        ("/passthrough/perplexity/chat/completions", [], "/chat/completions"),
        ("/passthrough/openai/v1/models?after=x", [], "/v1/models?after=x"),
    ],
)
def test_paths_map_to_the_provider(rig, upstream, path, headers, target):
    """The provider's own version segment takes the place of our /v1; passthrough paths stay as they are."""
    rig.ask(post(path, b"{}", *headers))
    assert upstream.requests[0].target == target


@pytest.mark.parametrize("path", ["/nobody/v1/chat/completions", "/chat/completions", "/passthrough/nobody/x", "/"])
def test_unknown_providers_are_refused_by_name(rig, upstream, path):
    """A path that names no provider is a 404 in OpenAI's shape that lists the known ones; nothing is sent anywhere."""
    text = rig.ask(post(path, b"{}"))
    assert text.startswith(b"HTTP/1.1 404")
    assert "mistral" in error_of(text)["message"]
    assert not upstream.requests


@pytest.mark.parametrize("path", ["/v1/traces", "/v1/logs", "/v1/metrics"])
def test_otlp_is_refused_on_this_port(rig, upstream, path):
    """An exporter pointed at the wrong port is told the right one; telemetry never reaches a provider."""
    text = rig.ask(post(path, b"{}"))
    assert text.startswith(b"HTTP/1.1 400")
    assert "http://localhost:3000" in error_of(text)["message"]
    assert not upstream.requests


def test_a_call_that_would_come_back_is_refused():
    """An upstream that is LLMFlow's own port gives a clear error instead of a loop."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
    with ProxyRig({"openai": "http://127.0.0.1:9"}) as rig:
        rig.routes._upstreams = {
            name: row.__class__(**{field: getattr(row, field) for field in row.__slots__} | {"is_loop": True})
            for name, row in rig.upstreams.items()
        }
        text = rig.ask(post("/v1/x", b"{}"))
    assert text.startswith(b"HTTP/1.1 508")
    assert "LLMFlow itself" in error_of(text)["message"]


def test_events_arrive_one_by_one(rig, upstream):
    """Each piece of a stream is at the client before the next one leaves upstream."""
    go_on = threading.Semaphore(0)

    def one_by_one(talk):
        talk.body()
        talk.send(head_of(200, [("content-type", "text/event-stream"), ("transfer-encoding", "chunked")]))
        for number in range(3):
            talk.send(chunk(b"data: %d\n\n" % number))
            assert go_on.acquire(timeout=60)
        talk.send(b"0\r\n\r\n")

    upstream.script(one_by_one)
    with rig.connect() as sock:
        sock.sendall(post("/v1/responses", b'{"stream":true}', close=False))
        seen = b""
        for count in (1, 2, 3):
            while seen.count(b"data:") < count:
                seen += sock.recv(65536)
            assert seen.count(b"data:") == count
            go_on.release()
        while not seen.endswith(b"0\r\n\r\n"):
            seen += sock.recv(65536)
    assert rig.wait_exchanges(1)[0].ending == "finished"


def test_a_client_that_goes_cancels_upstream(rig, upstream):
    """The upstream connection closes when the client's does, and what came so far is kept."""
    upstream.script(
        wire(
            head_of(200, [("content-type", "text/event-stream"), ("transfer-encoding", "chunked")]),
            chunk(b"data: 1\n\n"),
            HANG,
        )
    )
    with rig.connect() as sock:
        sock.sendall(post("/v1/chat/completions", b'{"stream":true}', close=False))
        while b"data: 1" not in sock.recv(65536):
            pass
    upstream.wait_until(lambda: upstream.requests[0].client_closed_at is not None)
    exchange = rig.wait_exchanges(1)[0]
    assert exchange.ending == "client_closed"
    assert b"data: 1" in exchange.response.join()


def test_a_client_that_goes_before_the_answer_cancels_upstream(rig, upstream):
    """The same before the first byte of an answer."""
    upstream.script(wire(HANG))
    with rig.connect() as sock:
        sock.sendall(post("/v1/chat/completions", b"{}", close=False))
        upstream.wait_until(lambda: bool(upstream.requests))
    upstream.wait_until(lambda: upstream.requests[0].client_closed_at is not None)
    assert rig.wait_exchanges(1)[0].ending == "client_closed"


@pytest.mark.parametrize("ending", [CLOSE, RESET])
@pytest.mark.parametrize("framing", ["chunked", "length"])
def test_a_cut_answer_is_cut_for_the_client_too(rig, upstream, ending, framing):
    """No invented end: the client's connection closes short of the framing's end, and the record says who hung up."""
    if framing == "chunked":
        script = wire(head_of(200, [("transfer-encoding", "chunked")]), chunk(b"half"), 0.05, ending)
    else:
        script = wire(head_of(200, [("content-length", "100")]), b"half", 0.05, ending)
    upstream.script(script)
    with rig.connect() as sock:
        sock.sendall(post("/v1/x", b"{}", close=False))
        seen = b""
        try:
            seen = read_all(sock)
        except ConnectionResetError:
            pass
    assert not seen.endswith(b"0\r\n\r\n")
    exchange = rig.wait_exchanges(1)[0]
    assert exchange.ending == "upstream_closed"
    assert exchange.error


def test_an_unreachable_upstream_is_a_502_that_names_it():
    """The error is in OpenAI's shape, says which provider and address, and the call is recorded."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with ProxyRig({"openai": f"http://127.0.0.1:{port}"}) as rig:
        text = rig.ask(post("/v1/chat/completions", b"{}"))
        assert text.startswith(b"HTTP/1.1 502")
        message = error_of(text)["message"]
        assert "openai" in message
        assert str(port) in message
        assert rig.wait_exchanges(1)[0].ending == "upstream_closed"


def test_a_compressed_answer_is_forwarded_as_it_is(rig, upstream):
    """Encoded bytes are not touched on their way to the client."""
    packed = gzip.compress(b'{"id": 1}')
    upstream.script(answer(200, [("content-encoding", "gzip")], packed))
    assert body_of(rig.ask(post("/v1/x", b"{}", "Accept-Encoding: gzip, zstd"))) == packed
    assert upstream.requests[0].header("accept-encoding") == "gzip"


def test_passthrough_leaves_accept_encoding_alone(rig, upstream):
    """On passthrough not even Accept-Encoding changes."""
    rig.ask(post("/passthrough/openai/v1/x", b"{}", "Accept-Encoding: gzip, zstd"))
    assert upstream.requests[0].header("accept-encoding") == "gzip, zstd"


USAGE = b'data: {"id":"c","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":7,"total_tokens":12}}\n\n'
DELTA = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"hi"}}],"usage":null}\n\n'
DONE = b"data: [DONE]\n\n"


def test_usage_is_asked_for_and_kept_from_the_client(rig, upstream):
    """A streamed chat call gets include_usage upstream; the client sees every byte but the extra chunk."""
    upstream.script(stream([DELTA, USAGE, DONE]))
    body = b'{"model": "gpt-4o", "stream": true,  "messages": []}'
    text = rig.ask(post("/v1/chat/completions", body))
    sent = upstream.requests[0]
    assert sent.json() == {"model": "gpt-4o", "stream": True, "messages": [], "stream_options": {"include_usage": True}}
    assert b'"model": "gpt-4o", "stream": true,  "messages": []' in sent.body
    assert sent.header("accept-encoding") in (None, "identity")
    assert decoded(body_of(text)) == DELTA + DONE
    exchange = rig.wait_exchanges(1)[0]
    assert exchange.is_injected
    assert b"prompt_tokens" in exchange.response.join()
    assert exchange.request.join() == body


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", b'{"stream": true, "stream_options": {"include_usage": true}}'),
        ("/v1/chat/completions", b'{"stream": true, "stream_options": {"include_usage": false}}'),
        ("/v1/chat/completions", b'{"stream": false}'),
        ("/v1/chat/completions", b"not json"),
        ("/v1/responses", b'{"stream": true}'),
        ("/mistral/v1/chat/completions", b'{"stream": true}'),
        ("/passthrough/openai/v1/chat/completions", b'{"stream": true}'),
    ],
)
def test_every_other_body_goes_up_unchanged(rig, upstream, path, body):
    """Nothing is put into calls that ask themselves, do not stream, cannot take it, or are passed through."""
    upstream.script(stream([DELTA, USAGE, DONE]))
    text = rig.ask(post(path, body))
    assert upstream.requests[0].body == body
    assert decoded(body_of(text)) == DELTA + USAGE + DONE


def decoded(wire_body: bytes) -> bytes:
    payload = b""
    while True:
        size, _, wire_body = wire_body.partition(b"\r\n")
        if not int(size, 16):
            return payload
        payload += wire_body[: int(size, 16)]
        wire_body = wire_body[int(size, 16) + 2 :]


KEYED = {"openai": "sk-env-key"}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], "Bearer sk-env-key"),
        (["Sec-Fetch-Site: none"], "Bearer sk-env-key"),
        (["Authorization: Bearer mine"], "Bearer mine"),
        (["Origin: http://localhost:5173"], None),
        (["X-Forwarded-For: 10.0.0.1"], None),
        (["Forwarded: for=10.0.0.1"], None),
        (["Via: 1.1 nginx"], None),
        (["Sec-Fetch-Site: cross-site"], None),
    ],
)
def test_environment_keys_are_lent_only_to_plain_local_callers(upstream, headers, expected):
    """The key goes along when the caller brought none and cannot be a web page or somebody behind a proxy."""
    with ProxyRig({"openai": upstream.url}, keys=KEYED) as rig:
        rig.ask(post("/v1/x", b"{}", *headers))
    assert upstream.requests[0].header("authorization") == expected


def test_environment_keys_need_a_loopback_host_and_can_be_switched_off(upstream):
    """A Host that is not this machine's name gets no key, nor does anyone with --no-env-keys."""
    with ProxyRig({"openai": upstream.url}, keys=KEYED) as rig:
        rig.ask(b"GET /v1/x HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
    with ProxyRig({"openai": upstream.url}, keys=KEYED, use_env_keys=False) as rig:
        rig.ask(b"GET /v1/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert [request.header("authorization") for request in upstream.requests] == [None, None]


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_large_upload_streams_through(rig, upstream, is_chunked):
    """A body far beyond what is kept goes up while it comes, whole, and only its head is held in memory."""
    piece, count = bytes(range(256)) * 256, 800  # 52 MB
    expected = hashlib.sha256(piece * count).hexdigest()
    framing = b"Transfer-Encoding: chunked" if is_chunked else b"Content-Length: %d" % (len(piece) * count)
    with rig.connect() as sock:
        sock.sendall(b"POST /v1/files HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + framing + b"\r\n\r\n")

        def send() -> None:
            for _ in range(count):
                sock.sendall(chunk(piece) if is_chunked else piece)
            if is_chunked:
                sock.sendall(b"0\r\n\r\n")

        sender = threading.Thread(target=send)
        sender.start()
        text = read_all(sock)
        sender.join()
    assert text.startswith(b"HTTP/1.1 200")
    assert hashlib.sha256(upstream.requests[0].body).hexdigest() == expected
    exchange = rig.wait_exchanges(1)[0]
    assert exchange.request.size == len(piece) * count
    assert exchange.request.stored == exchange.request.limit


def test_calls_wait_while_recording_is_behind(rig, upstream):
    """With the queue full a new call is held until there is room; it is neither refused nor lost."""
    rig.log.is_full = True
    with rig.connect() as sock:
        sock.sendall(post("/v1/x", b"{}"))
        rig.wait_until(lambda: rig.log.waiting)
        assert not upstream.requests
        rig.loop.call_soon_threadsafe(rig.log.waiting.pop())
        assert read_all(sock).startswith(b"HTTP/1.1 200")


def test_a_client_that_gives_up_waiting_is_never_sent(rig, upstream):
    """Room that comes too late sends nothing upstream."""
    rig.log.is_full = True
    with rig.connect() as sock:
        sock.sendall(post("/v1/x", b"{}"))
        rig.wait_until(lambda: rig.log.waiting)
    rig.wait_exchanges(1)
    rig.loop.call_soon_threadsafe(rig.log.waiting.pop())
    time.sleep(0.05)
    assert not upstream.requests


def test_record_off_keeps_nothing(rig, upstream):
    """X-LLMFlow-Record: off: the call goes through, no exchange is kept."""
    assert rig.ask(post("/v1/x", b"{}", "X-LLMFlow-Record: off")).startswith(b"HTTP/1.1 200")
    rig.ask(post("/v1/x", b"{}"))
    assert len(rig.wait_exchanges(1)) == 1


def test_trace_ids_come_from_the_client_or_are_new(rig, upstream):
    """X-Trace-Id, else traceparent's trace id, else 32 new hex digits; every call has a span id of its own."""
    rig.ask(post("/v1/x", b"{}", "X-Trace-Id: agent run 7"))
    rig.ask(post("/v1/x", b"{}", "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"))
    rig.ask(post("/v1/x", b"{}", "X-Trace-Id: " + "x" * 200))
    traces = [exchange.trace_id for exchange in rig.wait_exchanges(3)]
    assert traces[:2] == ["agent run 7", "0af7651916cd43dd8448eb211c80319c"]
    assert len(traces[2]) == 32
    assert len({exchange.id for exchange in rig.log.exchanges}) == 3


def test_health_and_providers_say_what_is_here(rig):
    """The two information pages of the proxy port."""
    health = json.loads(body_of(rig.ask(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")))
    assert (health["status"], health["service"], health["port"]) == ("ok", "proxy", rig.port)
    assert health["providers"][0] == "openai"
    pages = json.loads(body_of(rig.ask(b"GET /providers HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")))
    assert pages["providers"][0]["prefix"] == "/v1/*"
    assert pages["providers"][0]["default"] is True
    assert pages["usage"]["passthrough"]


def test_a_streaming_call_over_the_splice_limit_goes_up_unchanged(upstream):
    """A body too long to be gathered for the usage question is passed on as it comes."""
    upstream.script(stream([DELTA, DONE]))
    body = b'{"stream": true, "messages": "' + b"x" * 300_000 + b'"}'
    with ProxyRig({"openai": upstream.url}, max_splice_bytes=1000) as rig:
        assert decoded(body_of(rig.ask(post("/v1/chat/completions", body)))) == DELTA + DONE
        assert not rig.wait_exchanges(1)[0].is_injected
    assert upstream.requests[0].body == body
