"""The gate: asked once before a call leaves whatever way it goes, told once when it is over; what it refuses is said in
the words of each provider's clients.
"""

from __future__ import annotations

import json
import socket

import pytest
from fake_upstream import FakeUpstream, answer, chunk, stream
from routes.proxy_rig import ProxyRig, post, read_all

from llmflow_web.errors import Refused
from llmflow_web.model import Held

CHAT = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]}).encode()
SAID = "The budget is used up."


class Noting:
    """A gate that notes what it is asked and told, and refuses where it shall."""

    def __init__(self, *, refuses: bool = False) -> None:
        self.refuses = refuses
        self.asked: list[tuple[str, bytes | None]] = []
        self.closed_ids: list[str] = []

    def admit(self, exchange, body):
        self.asked.append((exchange.upstream_path, body))
        if not self.refuses:
            return None
        return Refused(SAID, "budget_exceeded", {"retry-after": "60", "x-llmflow-budget": "daily"})

    def closed(self, exchange) -> None:
        self.closed_ids.append(exchange.id)


class GateRig(ProxyRig):
    """A proxy with a gate."""

    def __init__(self, upstreams, gate, **more) -> None:
        super().__init__(upstreams, **more)
        self.gate = gate

    def __enter__(self):
        super().__enter__()
        self.routes._dispatcher.gate = self.gate
        return self


def split(answered: bytes):
    head, _, body = answered.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    return int(lines[0].split()[1]), headers, body


@pytest.mark.parametrize(
    ("upstream", "path", "told"),
    [
        (
            "openai",
            "/v1/chat/completions",
            {"error": {"message": SAID, "type": "insufficient_quota", "param": None, "code": "budget_exceeded"}},
        ),
        ("anthropic", "/anthropic/v1/messages", {"type": "error", "error": {"message": SAID}}),
        ("anthropic", "/passthrough/anthropic/v1/messages", {"type": "error", "error": {"message": SAID}}),
        ("anthropic", "/anthropic/v1/chat/completions", {"error": {"code": "budget_exceeded", "message": SAID}}),
        (
            "gemini",
            "/gemini/v1beta/models/gemini-2.5-flash:generateContent",
            {"error": {"code": 429, "message": SAID, "status": "RESOURCE_EXHAUSTED"}},
        ),
        ("ollama", "/ollama/api/chat", {"error": SAID}),
        ("cohere", "/cohere/v2/chat", {"message": SAID}),
    ],
)
def test_refused_in_each_ones_words(upstream, path, told) -> None:
    """Nothing leaves; the client reads the error in the shape it knows, with our headers and no word of a retry."""
    gate = Noting(refuses=True)
    with FakeUpstream() as server, GateRig({upstream: server.url}, gate) as rig:
        status, headers, body = split(rig.ask(post(path, CHAT)))
        found = json.loads(body)
        assert status == 429
        assert told.items() <= {**found, "error": found.get("error")}.items() or _holds(found, told)
        assert (headers["x-should-retry"], headers["retry-after"]) == ("false", "60")
        assert headers["x-llmflow-budget"] == "daily"
        (exchange,) = rig.wait_exchanges(1)
        assert (exchange.response_status, exchange.error) == (429, SAID)
        assert headers["x-llmflow-span-id"] == exchange.id
        assert server.requests == []
        assert gate.closed_ids == [exchange.id]
        assert [body for _, body in gate.asked] == [CHAT]


def _holds(found, told) -> bool:
    """Say whether all of `told` is in `found`."""
    if isinstance(told, dict):
        return all(name in found and _holds(found[name], value) for name, value in told.items())
    return bool(found == told)


@pytest.mark.parametrize(
    ("upstream", "path"),
    [
        ("openai", "/v1/chat/completions"),
        ("anthropic", "/anthropic/v1/messages"),
        ("ollama", "/ollama/api/chat"),
        ("gemini", "/gemini/v1beta/models/gemini-2.5-flash:generateContent"),
    ],
)
def test_admitted(upstream, path) -> None:
    """What is let go reaches upstream as it would without a gate, which is told of its end once."""
    gate = Noting()
    with FakeUpstream(answer(body=b"{}")) as server, GateRig({upstream: server.url}, gate) as rig:
        assert split(rig.ask(post(path, CHAT)))[0] == 200
        (exchange,) = rig.wait_exchanges(1)
        assert server.requests[0].body == CHAT
        assert len(gate.asked) == 1
        assert gate.closed_ids == [exchange.id]


def test_the_clients_own_bytes() -> None:
    """The gate sees what the client sent, before usage is asked for on its behalf."""
    gate = Noting()
    body = CHAT.replace(b'"model"', b'"stream": true, "model"')
    with FakeUpstream(stream([b"data: [DONE]\n\n"])) as server, GateRig({"openai": server.url}, gate) as rig:
        assert split(rig.ask(post("/v1/chat/completions", body)))[0] == 200
        assert gate.asked[0][1] == body
        assert server.requests[0].json()["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize("refuses", [False, True])
@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_body_too_long_to_hold(refuses, is_chunked) -> None:
    """A body beyond the limit is asked about without it, before a byte of it leaves, whether its length is told or not."""
    gate = Noting(refuses=refuses)
    body = CHAT + b" " * 400_000
    request = post("/v1/chat/completions", body)
    if is_chunked:
        head = post("/v1/chat/completions", b"", "Transfer-Encoding: chunked").replace(b"Content-Length: 0\r\n", b"")
        request = head + chunk(body[:200_000]) + chunk(body[200_000:]) + b"0\r\n\r\n"
    with (
        FakeUpstream(answer(body=b"{}")) as server,
        GateRig({"openai": server.url}, gate, max_splice_bytes=1000) as rig,
    ):
        status, _, _ = split(rig.ask(request))
        assert status == (429 if refuses else 200)
        assert gate.asked == [("/v1/chat/completions", None)]
        assert [one.body for one in server.requests] == ([] if refuses else [body])
        rig.wait_exchanges(1)
        assert len(gate.closed_ids) == 1


class Holding(Noting):
    """A gate that has each call wait so many times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def admit(self, exchange, body):
        self.asked.append((exchange.upstream_path, body))
        return Held() if len(self.asked) <= self.times else None


def test_a_call_that_has_to_wait() -> None:
    """A held call is asked about again until it may leave; its bytes are those that came."""
    gate = Holding(3)
    with FakeUpstream(answer(body=b"{}")) as server, GateRig({"openai": server.url}, gate) as rig:
        assert split(rig.ask(post("/v1/chat/completions", CHAT)))[0] == 200
        assert gate.asked == [("/v1/chat/completions", CHAT)] * 4
        assert [one.body for one in server.requests] == [CHAT]
        rig.wait_exchanges(1)
        assert len(gate.closed_ids) == 1


def test_a_client_that_does_not_wait() -> None:
    """A client that leaves while its call is held costs nothing: it never goes upstream, and is over once."""
    gate = Holding(10**9)
    with FakeUpstream(answer(body=b"{}")) as server, GateRig({"openai": server.url}, gate) as rig:
        with rig.connect() as sock:
            sock.sendall(post("/v1/chat/completions", CHAT))
            rig.wait_until(lambda: len(gate.asked) >= 2)
        (exchange,) = rig.wait_exchanges(1)
        assert exchange.ending == "client_closed"
        assert gate.closed_ids == [exchange.id]
        assert server.requests == []


def test_a_websocket() -> None:
    """A session is asked about once, before it is opened."""
    gate = Noting(refuses=True)
    head = (
        b"GET /v1/realtime?model=m HTTP/1.1\r\nHost: localhost:8080\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    with FakeUpstream() as server, GateRig({"openai": server.url}, gate) as rig:
        with rig.connect() as sock:
            sock.sendall(head)
            assert sock.recv(65536).startswith(b"HTTP/1.1 429 ")
        assert gate.asked == [("/v1/realtime", b"")]
        assert server.requests == []
        rig.wait_until(lambda: len(gate.closed_ids) == 1)


def test_unrecorded_calls_are_handed_over() -> None:
    """With a gate, a call that is not to be recorded is captured and handed down, since it counts; without, it is not."""
    gate = Noting()
    with FakeUpstream(answer(body=b'{"usage": {}}')) as server, GateRig({"openai": server.url}, gate) as rig:
        rig.ask(post("/v1/chat/completions", CHAT, "X-LLMFlow-Record: off"))
        (exchange,) = rig.wait_exchanges(1)
        assert exchange.record == "off"
        assert exchange.request.join() == CHAT
        assert exchange.response.join() == b'{"usage": {}}'
    with FakeUpstream(answer(body=b"{}")) as server, GateRig({"openai": server.url}, None) as rig:
        assert split(rig.ask(post("/v1/chat/completions", CHAT, "X-LLMFlow-Record: off")))[0] == 200
        rig.ask(post("/v1/chat/completions", CHAT))
        assert [exchange.record for exchange in rig.wait_exchanges(1)] == ["on"]


def test_a_client_that_goes() -> None:
    """A call whose client leaves, before or after the gate was asked, is told of once."""
    gate = Noting()
    with FakeUpstream(stream([b"data: {}\n\n"], ending=60.0)) as server, GateRig({"openai": server.url}, gate) as rig:
        with rig.connect() as sock:
            sock.sendall(post("/v1/chat/completions", CHAT))
            server.wait_until(lambda: len(server.requests) == 1)
        rig.wait_until(lambda: len(gate.closed_ids) == 1)
        with rig.connect() as sock:
            sock.sendall(post("/v1/chat/completions", CHAT)[:-5])  # never whole
            sock.shutdown(socket.SHUT_WR)
            read_all(sock)
        rig.wait_until(lambda: len(gate.closed_ids) == 2)
        assert len(gate.asked) == 1


def test_upstream_is_not_there() -> None:
    """A call that finds nobody upstream was asked about, and is over."""
    gate = Noting()
    with GateRig({"openai": "http://127.0.0.1:9"}, gate) as rig:
        assert split(rig.ask(post("/v1/chat/completions", CHAT)))[0] == 502
        assert len(gate.asked) == len(gate.closed_ids) == 1
