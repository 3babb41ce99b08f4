"""WebSockets through the proxy: raw sockets on both ends, what one sends is what the other gets."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import threading
import time
from collections.abc import Callable

import pytest
from fake_upstream import FakeUpstream, answer
from routes.proxy_rig import ProxyRig, read_all

from llmflow_web.net import tunnel

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
SWITCHING = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Extensions: permessage-deflate\r\n"
    b"Sec-WebSocket-Protocol: realtime\r\nX-Request-Id: r1\r\n\r\n"
)


def handshake(path: str = "/v1/realtime?model=gpt-realtime", *lines: str) -> bytes:
    head = [
        f"GET {path} HTTP/1.1",
        "Host: localhost:8080",
        "Connection: keep-alive, Upgrade",
        "Upgrade: WebSocket",
        f"Sec-WebSocket-Key: {KEY}",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Protocol: realtime, other",
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
        *lines,
    ]
    return "\r\n".join([*head, "", ""]).encode()


def echo(talk) -> None:
    """Switch protocols, then send back what comes."""
    talk.send(SWITCHING)
    while data := talk.recv():
        talk.send(data)


def read_head(sock: socket.socket) -> tuple[bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(65536)
        assert piece, data
        data += piece
    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest


def read_exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = sock.recv(65536)
        assert piece, f"{len(data)} of {size} bytes"
        data += piece
    return data


@pytest.fixture
def upstream():
    with FakeUpstream(echo) as server:
        yield server


@pytest.fixture
def rig(upstream):
    with ProxyRig({"openai": upstream.url, "gemini": upstream.url, "azure": upstream.url}) as running:
        yield running


@contextlib.contextmanager
def opened(rig, *args: str):
    with rig.connect() as sock:
        sock.sendall(handshake(*args))
        head, rest = read_head(sock)
        assert head.startswith(b"HTTP/1.1 101 "), head
        assert rest == b""
        yield sock


def test_the_handshake_travels_as_it_came(rig, upstream):
    """Upstream gets the client's Sec-WebSocket lines, Upgrade and Connection; the client gets upstream's 101."""
    with rig.connect() as sock:
        sock.sendall(handshake("/v1/realtime?model=gpt-realtime", "X-LLMFlow-Tag: a", "OpenAI-Beta: realtime=v1"))
        head, _ = read_head(sock)
    lines = head.split(b"\r\n")
    assert b"\r\n".join(lines[:-2]) == SWITCHING[:-4]
    assert [line.partition(b":")[0] for line in lines[-2:]] == [b"x-llmflow-trace-id", b"x-llmflow-span-id"]
    got = upstream.requests[0]
    assert got.target == "/v1/realtime?model=gpt-realtime"
    assert [got.header(name) for name in ("connection", "upgrade", "sec-websocket-key", "sec-websocket-version")] == [
        "Upgrade",
        "WebSocket",
        KEY,
        "13",
    ]
    assert got.header("sec-websocket-protocol") == "realtime, other"
    assert got.header("sec-websocket-extensions") == "permessage-deflate; client_max_window_bits"
    assert got.header("openai-beta") == "realtime=v1"
    assert got.header("x-llmflow-tag") is None


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/passthrough/openai/v1/realtime?model=m", "/v1/realtime?model=m"),
        ("/openai/v1/realtime?model=m", "/v1/realtime?model=m"),
        ("/gemini/ws/google.ai.v1beta.GenerativeService.BidiGenerateContent", None),
        ("/azure/openai/v1/realtime?model=m", "/openai/v1/realtime?model=m"),
        ("/azure/v1/realtime?deployment=m&api-version=1", "/openai/realtime?deployment=m&api-version=1"),
    ],
)
def test_every_route_has_tunnels(rig, upstream, path, target):
    """Provider routes and passthrough alike, where the provider's other calls are translated or placed too."""
    with opened(rig, path) as sock:
        sock.sendall(b"\x81\x85abcdefghi")
        assert read_exactly(sock, 11) == b"\x81\x85abcdefghi"
    assert upstream.requests[0].target == (target or path.removeprefix("/gemini"))


def test_bytes_flow_both_ways_untouched(rig, upstream):
    """Megabytes arrive as they were sent; both copies and the times are kept, and the end is an orderly one."""
    payload = hashlib.shake_128(b"frames").digest(3 << 20)
    with opened(rig) as sock:
        sender = threading.Thread(target=sock.sendall, args=(payload,))
        sender.start()
        assert read_exactly(sock, len(payload)) == payload
        sender.join(60)
    (exchange,) = rig.wait_exchanges(1)
    assert exchange.is_websocket
    assert exchange.response_status == 101
    for capture in (exchange.request, exchange.response):
        assert (capture.size, capture.join()) == (len(payload), payload[: 1 << 20])
    assert exchange.first_byte_ns
    assert exchange.ending == "client_closed"


def test_bytes_glued_to_a_head_belong_to_the_tunnel(rig, upstream):
    """What upstream sends with its 101, and the client with its request, is passed on."""

    def greets(talk):
        talk.send(SWITCHING + b"\x81\x02hi")
        talk.send(talk.recv())
        talk.close()

    upstream.script(greets)
    with rig.connect() as sock:
        sock.sendall(handshake() + b"\x81\x80abcd")
        assert read_all(sock).partition(b"\r\n\r\n")[2] == b"\x81\x02hi\x81\x80abcd"
    (exchange,) = rig.wait_exchanges(1)
    assert exchange.request.join() == b"\x81\x80abcd"
    assert exchange.ending == "finished"


def at_rest(value: Callable[[], int]) -> int:
    """Return a value that has long stayed the same."""
    last, times = value(), 0
    while times < 20:
        time.sleep(0.02)
        last, times = (last, times + 1) if value() == last else (value(), 0)
    return last


def test_a_client_that_does_not_read_holds_upstream_back(rig, upstream):
    """What waits in memory stays small, and nothing is lost once the client reads on."""
    size = 48 << 20
    sent = []

    def floods(talk):
        talk.send(SWITCHING)
        for _ in range(size >> 16):
            talk.send(b"x" * 65536)
            sent.append(65536)
        talk.close()

    upstream.script(floods)
    with rig.connect() as sock:
        sock.sendall(handshake())
        _, rest = read_head(sock)
        assert at_rest(lambda: sum(sent)) < 20 << 20
        left = size - len(rest)
        while left:
            piece = sock.recv(1 << 20)
            assert piece
            left -= len(piece)


def test_an_upstream_that_does_not_read_holds_the_client_back(rig, upstream):
    """The client's sending stalls, and goes on when upstream reads."""
    go_on = threading.Event()
    read = []

    def reads_late(talk):
        talk.send(SWITCHING)
        go_on.wait(60)
        while sum(read) < 48 << 20:
            read.append(len(talk.recv()))
        talk.close()

    upstream.script(reads_late)
    with opened(rig) as sock:
        sock.settimeout(0.4)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < 48 << 20:
                sent += sock.send(b"y" * 65536)
        assert sent < 20 << 20
        sock.settimeout(60)
        go_on.set()
        sock.sendall(b"y" * ((48 << 20) - sent))
        assert sock.recv(1) == b""
    assert sum(read) == 48 << 20


def linger_zero(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")


@pytest.mark.parametrize("is_reset", [False, True])
def test_a_client_that_goes_closes_upstream(rig, upstream, is_reset, monkeypatch):
    """Whether it closed its connection or broke it, and without anything having to run out of time."""
    monkeypatch.setattr(tunnel, "DRAIN_S", 600)
    with opened(rig) as sock:
        if is_reset:
            linger_zero(sock)
    upstream.wait_until(lambda: upstream.open_connections == 0)
    (exchange,) = rig.wait_exchanges(1)
    assert exchange.ending == "client_closed"


def test_the_last_words_of_a_client_arrive(rig, upstream, monkeypatch):
    """A client that sends and closes its half at once still gets upstream's answer to it."""
    monkeypatch.setattr(tunnel, "LAST_WORDS_S", 30)

    def answers_goodbye(talk):
        talk.send(SWITCHING)
        talk.send(b"re:" + talk.recv())
        talk.close()

    upstream.script(answers_goodbye)
    with opened(rig) as sock:
        sock.sendall(b"bye")
        sock.shutdown(socket.SHUT_WR)
        assert read_all(sock) == b"re:bye"
    (exchange,) = rig.wait_exchanges(1)
    assert exchange.ending == "finished"


def test_an_upstream_that_breaks_cuts_the_client(rig, upstream, monkeypatch):
    """A reset reaches the client without anything having to run out of time; the row says who broke it."""
    monkeypatch.setattr(tunnel, "DRAIN_S", 600)

    def breaks(talk):
        talk.send(SWITCHING + b"\x81\x02hi")
        talk.recv()
        talk.reset()

    upstream.script(breaks)
    with rig.connect() as sock:
        sock.sendall(handshake())
        read_head(sock)
        sock.sendall(b"x")
        with contextlib.suppress(ConnectionResetError):
            read_all(sock)
    (exchange,) = rig.wait_exchanges(1)
    assert exchange.ending == "upstream_closed"
    assert "reset" in exchange.error


@pytest.mark.parametrize("status", [200, 401, 403, 404, 426])
def test_another_answer_is_relayed(rig, upstream, status):
    """What upstream says instead of 101 reaches the client whole, and the connection goes on as HTTP."""
    body = b'{"error":{"message":"no"}}'
    upstream.script(answer(status, [("x-request-id", "r9")], body), answer(200, body=b"next"))
    with rig.connect() as sock:
        sock.sendall(handshake())
        head, rest = read_head(sock)
        rest += read_exactly(sock, len(body) - len(rest))
        assert head.startswith(b"HTTP/1.1 %d " % status)
        assert b"x-request-id: r9" in head
        assert rest == body
        sock.sendall(b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert read_all(sock).endswith(b"\r\n\r\nnext")
    exchange = rig.wait_exchanges(2)[0]
    assert (exchange.is_websocket, exchange.response_status) == (False, status)
    assert exchange.response.join() == body


def test_an_upstream_that_is_not_there(upstream):
    """A tunnel to nowhere is a 502 that says so."""
    with ProxyRig({"openai": "http://127.0.0.1:1"}) as rig, rig.connect() as sock:
        sock.sendall(handshake())
        head, _ = read_head(sock)
        assert head.startswith(b"HTTP/1.1 502 ")


def test_an_upgrade_to_something_else_is_an_ordinary_call(rig, upstream):
    """Only WebSockets are tunnelled: the wish for another protocol ends here, as every hop-by-hop header does."""
    upstream.script(answer(200, body=b"plain"))
    lines = "Host: localhost\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\n\r\n"
    answered = rig.ask(f"GET /v1/models HTTP/1.1\r\n{lines}".encode())
    assert answered.endswith(b"plain")
    assert upstream.requests[0].header("upgrade") is None


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("X-Own: 1", "Bearer sk-env"),
        ("Origin: http://localhost:8080", None),
        ("Authorization: Bearer own", "Bearer own"),
        ("Sec-WebSocket-Protocol: openai-insecure-api-key.sk-own", None),
    ],
)
def test_an_environment_key(upstream, line, key):
    """It is added under the conditions of every call; a browser's key among the subprotocols is a key too."""
    request = handshake().replace(b"Sec-WebSocket-Protocol: realtime, other", line.encode())
    with ProxyRig({"openai": upstream.url}, keys={"openai": "sk-env"}) as rig, rig.connect() as sock:
        sock.sendall(request)
        read_head(sock)
    assert upstream.requests[0].header("authorization") == key


def test_a_tunnel_waits_while_recording_is_behind(rig, upstream):
    """Nothing is sent upstream until there is room; then the tunnel opens."""
    rig.log.is_full = True
    with rig.connect() as sock:
        sock.sendall(handshake())
        rig.wait_until(lambda: rig.log.waiting)
        assert not upstream.requests
        rig.log.is_full = False
        rig.loop.call_soon_threadsafe(rig.log.waiting.pop())
        assert read_head(sock)[0].startswith(b"HTTP/1.1 101 ")


def test_stopping_ends_tunnels_after_the_grace(upstream):
    """An open tunnel gets the grace, then both sides are cut and the call is recorded."""
    with ProxyRig({"openai": upstream.url}) as rig:
        sock = rig.connect()
        sock.sendall(handshake())
        read_head(sock)
        began = time.monotonic()
    with sock, contextlib.suppress(ConnectionResetError):
        assert sock.recv(1) == b""
    assert time.monotonic() - began > 0.9
    assert rig.wait_exchanges(1)[0].ending == "client_closed"
    upstream.wait_until(lambda: upstream.open_connections == 0)
