"""The client on real sockets: literal bytes in, literal facts out."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from fake_upstream import CLOSE, HANG, RESET, FakeUpstream, answer, chunk, head_of, stream, wire
from hypothesis import given, settings
from hypothesis import strategies as st
from net.client_rig import Sink, ask, eventually, get, pool_becomes, pool_repr, request_head, run

from llmflow_web.errors import TooLarge, UpstreamTimeout, UpstreamUnreachable
from llmflow_web.net.client import HttpClient


@pytest.fixture
def upstream():
    with FakeUpstream() as running:
        yield running


# ── answers ──────────────────────────────────────────────────────────────────────────────────────────────────────

OK = b"HTTP/1.1 200 OK\r\n"
ANSWERS = [
    (OK + b"Content-Length: 5\r\n\r\nhello", "GET", (200, b"hello", None), "idle"),
    (OK + b"Content-Length: 0\r\n\r\n", "GET", (200, b"", None), "idle"),
    (OK + b"Content-Length: 5\r\n\r\n", "HEAD", (200, b"", None), "idle"),
    (b"HTTP/1.1 204 No Content\r\n\r\n", "GET", (204, b"", None), "idle"),
    (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", "GET", (304, b"", None), "idle"),
    (b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", "GET", (302, b"", None), "idle"),
    (
        OK + b"Transfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n",
        "GET",
        (200, b"3;a=b\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n", None),
        "idle",
    ),
    (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nA: b\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nok", "GET",
     (200, b"ok", None), "idle"),
    (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", "GET", (200, b"ok", None), "idle"),
    (OK + b"Content-Length: 2\r\nConnection: close\r\n\r\nok", "GET", (200, b"ok", None), "gone"),
    (OK + b"Content-Length: 2\r\n\r\nokHTTP/1.1", "GET", (200, b"ok", None), "gone"),
    (OK + b"\r\nuntil the end", "GET", (200, b"until the end", None), "gone"),
    (OK + b"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "GET",
     (200, b"0\r\n\r\n", None), "gone"),
    (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "GET", (200, b"ok", None), "gone"),
    (b"SSH-2.0-OpenSSH_9.2\r\n", "GET", (None, b"", "UpstreamProtocol"), "gone"),
    (b"HTTP/1.1 two hundred\r\n\r\n", "GET", (None, b"", "UpstreamProtocol"), "gone"),
    (OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nokk", "GET", (None, b"", "UpstreamProtocol"), "gone"),
    (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "GET", (None, b"", "UpstreamProtocol"), "gone"),
    (OK + b"Content-Length: 9\r\n\r\nhello", "GET", (200, b"hello", "UpstreamClosed"), "gone"),
    (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "GET", (200, b"5\r\nhello\r\n", "UpstreamClosed"), "gone"),
    (b"HTTP/1.1 200 O", "GET", (None, b"", "UpstreamClosed"), "gone"),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "method", "outcome", "after"), ANSWERS)
def test_answers(upstream, raw, method, outcome, after):
    """Each answer gives its status, its body bytes as on the wire and its end; only a clean one leaves a connection."""

    async def scenario(client):
        upstream.script(wire(raw, *([CLOSE] if after == "gone" else [])))
        sink = await get(client, upstream.url, method)
        return sink.outcome, (await pool_becomes(client, left))[:6]

    left = "1 idle" if after == "idle" else "0 idle"
    assert run(scenario) == (outcome, left)


@settings(max_examples=150, deadline=None)
@given(case=st.sampled_from([a for a in ANSWERS if a[2][2] != "UpstreamProtocol"]), data=st.data())
def test_any_cutting_gives_the_same(case, data):
    """However the bytes of an answer are cut, payload and end are the same."""
    raw, method, outcome, after = case
    cuts = sorted(data.draw(st.sets(st.integers(1, len(raw) - 1), max_size=12)))
    pieces = [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]

    async def main():
        client, sink = HttpClient(environ={}), Sink()
        pool = client._new_pool("http://x")
        from llmflow_web.net.client_call import Call
        from llmflow_web.net.connection import Connection

        connection = Connection(pool, "http://x")
        connection.connection_made(FakeTransport())
        call = Call(pool, request_head(method), b"", sink, method=method, is_complete=True, chunked=False)
        assert connection.begin(call)
        for piece in pieces:
            connection.data_received(piece)
        state = repr(connection)
        connection.eof_received()
        await client.close()
        return sink.outcome, state.count("idle")

    got, is_idle = asyncio.run(main())
    assert got == outcome
    assert is_idle == (after == "idle")


class FakeTransport(asyncio.Transport):
    """Takes everything, says nothing: for feeding a connection by hand."""

    def __init__(self):
        super().__init__()
        self.written = b""
        self.is_closed = False

    def write(self, data):
        self.written += data

    def is_closing(self):
        return self.is_closed

    def abort(self):
        self.is_closed = True

    def get_write_buffer_size(self):
        return 0


def test_one_data_call_per_read_and_no_copy():
    """What arrives in one piece is delivered in one piece: the very same object when all of it is body."""

    async def main():
        from llmflow_web.net.client_call import Call
        from llmflow_web.net.connection import Connection

        client, sink = HttpClient(environ={}), Sink()
        pool = client._new_pool("http://x")
        connection = Connection(pool, "http://x")
        connection.connection_made(FakeTransport())
        connection.begin(Call(pool, request_head(), b"", sink, method="GET", is_complete=True, chunked=False))
        connection.data_received(OK + b"Content-Length: 2000\r\n\r\n")
        pieces = [bytes([65 + n]) * 500 for n in range(4)]
        for piece in pieces:
            connection.data_received(piece)
        assert [a is b for a, b in zip(sink.pieces, pieces, strict=True)] == [True] * 4
        assert sink.events == ["response", "data", "data", "data", "data", "end"]
        await client.close()

    asyncio.run(main())


def test_head_and_body_leave_in_one_write():
    """A small request is one write, so that it is one packet."""

    async def main():
        from llmflow_web.net.client_call import Call
        from llmflow_web.net.connection import Connection

        client = HttpClient(environ={})
        pool, transport, writes = client._new_pool("http://x"), FakeTransport(), []
        transport.write = writes.append
        connection = Connection(pool, "http://x")
        connection.connection_made(transport)
        head = request_head("POST", length=2)
        connection.begin(Call(pool, head, b"hi", Sink(), method="POST", is_complete=True, chunked=False))
        assert writes == [head + b"hi"]
        connection.close()
        await client.close()

    asyncio.run(main())


def test_cut_says_how_much_came(upstream):
    """A cut answer fails with the count of bytes that came, and is never called safe to send again."""

    async def scenario(client):
        upstream.script(
            wire(OK + b"Content-Length: 900\r\n\r\nhello", CLOSE),
            wire(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", 0.01, RESET),
            wire(CLOSE),
        )
        return [(await get(client, upstream.url)).error for _ in range(3)]

    errors = run(scenario)
    assert [error.message for error in errors] == [
        "the connection was closed after 5 of 900 bytes of the answer's body",
        "the connection was reset after 10 bytes of the answer's body",
        "the connection was closed before the answer came",
    ]
    assert [error.is_retry_safe for error in errors] == [False] * 3


def test_broken_chunks(upstream):
    """A chunk that is not as long as its size line says is no HTTP."""

    async def scenario(client):
        upstream.script(wire(OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n0\r\n\r\n"))
        return (await get(client, upstream.url)).error.message

    assert "broken" in run(scenario)


def test_pieces_come_one_by_one(upstream):
    """A slow stream is delivered as it arrives, not when it is complete."""
    heard = threading.Semaphore(0)

    def one_by_one(talk):
        talk.body()
        talk.send(head_of(200, [("transfer-encoding", "chunked")]))
        for word in (b"one", b"two", b"three"):
            talk.send(chunk(word))
            assert heard.acquire(timeout=30)
        talk.send(b"0\r\n\r\n")

    class Hearing(Sink):
        def data(self, data):
            super().data(data)
            heard.release()

    async def scenario(client):
        upstream.script(one_by_one)
        sink = await get(client, upstream.url, sink=Hearing())
        return sink.pieces[:3]

    assert run(scenario) == [chunk(b"one"), chunk(b"two"), chunk(b"three")]


# ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_request_bytes(upstream):
    """Head and body reach upstream as given, and a connection serves many requests."""

    async def scenario(client):
        for number in range(3):
            await get(client, upstream.url, "POST", b"body %d" % number, target="/v1/x?y=%20", lines=["X-Odd:  a b "])
        (pool,) = client._pools.values()
        return repr(pool._idle[0]).partition(" HTTP")[2]

    assert run(scenario) == "/1.1 idle, 3 requests>"
    first = upstream.requests[0]
    assert first.head == b"POST /v1/x?y=%20 HTTP/1.1\r\nHost: upstream\r\nX-Odd:  a b \r\nContent-Length: 6\r\n\r\n"
    assert [r.body for r in upstream.requests] == [b"body 0", b"body 1", b"body 2"]
    assert upstream.connections == 1


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("is_pooled", [False, True])
def test_streamed_request(upstream, chunked, is_pooled):
    """A body sent bit by bit arrives whole, framed as its head says, also while the connection is still being made."""

    async def scenario(client):
        if is_pooled:
            await get(client, upstream.url)
        sink = Sink()
        lines = ["Transfer-Encoding: chunked"] if chunked else ["Content-Length: 9"]
        head = request_head("POST", "/", *lines)
        call = client.request(upstream.url, head, b"one", sink, method="POST", is_complete=False, chunked=chunked)
        call.send(b"two")
        await asyncio.sleep(0.03)
        call.send(b"six")
        call.finish()
        call.send(b"ignored")
        await sink.wait()
        return sink.body, pool_repr(client)

    assert run(scenario) == (b"onetwosix", "1 idle, 0 busy, 0 connecting, 0 waiting")
    if chunked and is_pooled:
        assert upstream.requests[-1].wire_body == chunk(b"one") + chunk(b"two") + chunk(b"six") + b"0\r\n\r\n"


def test_large_upload_is_paused(upstream):
    """An upstream that reads slowly makes the sender pause, and every byte arrives once."""
    piece = bytes(range(256)) * 1024  # 256 KB
    release = []

    def slow(talk):
        while not release:
            time.sleep(0.01)
        body = talk.body()
        talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n%08d" % (len(body)))

    async def scenario(client):
        upstream.script(slow)
        sink = Sink()
        head = request_head("POST", length=60 * len(piece))
        call = client.request(upstream.url, head, b"", sink, method="POST", is_complete=False, chunked=False)
        sent = 0
        while sent < 60:
            if sink.events.count("pause") > sink.events.count("resume"):
                release.append(True)
                await asyncio.sleep(0.005)
                continue
            call.send(piece)
            sent += 1
            await asyncio.sleep(0)
        call.finish()
        await sink.wait()
        return sink.body, "pause" in sink.events, sink.events.count("pause") - sink.events.count("resume")

    assert run(scenario) == (b"%08d" % (60 * len(piece)), True, 0)
    assert upstream.requests[0].body == piece * 60


def never(upstream) -> str:
    """Return an origin to which a connection is never made: what listens there does not speak TLS."""
    return upstream.url.replace("http:", "https:")


def test_upload_before_the_connection_is_bounded(upstream):
    """While there is no connection a streamed body is kept up to a limit, then the sender is told to wait."""

    async def scenario(client):
        sink = Sink()
        call = client.request(
            never(upstream), request_head("POST", length=10**6), b"", sink, method="POST", is_complete=False,
            chunked=False,
        )  # fmt: skip
        for _ in range(6):
            call.send(bytes(65536))
        call.abort()
        return sink.events

    assert run(scenario) == ["pause"]


def test_early_answer(upstream):
    """An answer that ends before the request does is delivered, and the connection closed."""

    async def scenario(client):
        upstream.script(wire(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno", 0.2, reads_body=False))
        sink = Sink()
        call = client.request(
            upstream.url, request_head("POST", length=10**9), b"x", sink, method="POST", is_complete=False, chunked=False
        )  # fmt: skip
        await sink.wait()
        call.send(b"ignored")
        call.finish()
        call.abort()
        return sink.outcome, pool_repr(client)[:6]

    assert run(scenario) == ((413, b"no", None), "0 idle")


def test_early_answer_to_a_whole_request(upstream):
    """An answer that comes before a long body has left our buffers is delivered, and the connection closed."""

    async def scenario(client):
        upstream.script(wire(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno", 0.2, reads_body=False))
        sink = await get(client, upstream.url, "POST", bytes(30_000_000))
        return sink.outcome, pool_repr(client)[:6]

    assert run(scenario) == ((413, b"no", None), "0 idle")


def test_early_answer_and_closed_connection(upstream):
    """A server that refuses an upload and closes is heard, though writing to it breaks first."""

    async def scenario(client):
        upstream.script(wire(0.05, b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno", CLOSE, reads_body=False))
        sink = Sink()
        call = client.request(
            upstream.url,
            request_head("POST", length=10**9),
            b"x",
            sink,
            method="POST",
            is_complete=False,
            chunked=False,
        )
        await eventually(lambda: upstream.requests)
        call.send(bytes(100_000))  # left unread, so that the server's close is a reset
        time.sleep(0.1)  # the loop is busy: answer and reset are both there when it writes next
        call.send(bytes(100_000))
        await sink.wait()
        return sink.outcome

    assert run(scenario) == (413, b"no", None)


def test_pause_reading(upstream):
    """A paused answer stops coming, so that upstream is slowed down; resumed, all of it arrives."""
    size = 20_000_000

    async def scenario(client):
        upstream.script(wire(OK + b"Content-Length: %d\r\n\r\n" % size + bytes(size)))
        call, sink = ask(client, upstream.url)
        await sink.begun
        call.pause_reading()
        await asyncio.sleep(0.05)
        before = len(sink.wire)
        await asyncio.sleep(0.1)
        during = len(sink.wire)
        is_held = not upstream.requests[0].is_answered
        call.resume_reading()
        await sink.wait()
        return during - before, is_held, len(sink.wire)

    assert run(scenario) == (0, True, size)


def test_paused_at_the_end(upstream):
    """A connection whose reader was paused when the answer ended still hears its end while idle."""

    async def scenario(client):
        call, sink = ask(client, upstream.url, "POST", b"x")
        sink.response = lambda head: call.pause_reading()
        await sink.wait()
        before = pool_repr(client)
        upstream.close_connections()
        return before[:6], (await pool_becomes(client, "0 idle"))[:6]

    assert run(scenario) == ("1 idle", "0 idle")


# ── giving up ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_abort_closes_upstream(upstream):
    """An aborted call closes the connection, and the sink hears nothing more."""

    async def scenario(client):
        upstream.script(wire(head_of(200, [("transfer-encoding", "chunked")]) + chunk(b"first"), HANG))
        call, sink = ask(client, upstream.url)
        await sink.begun
        call.abort()
        call.abort()
        heard = len(sink.events)
        await asyncio.to_thread(upstream.wait_until, lambda: upstream.requests[0].client_closed_at)
        assert len(sink.events) == heard
        return await pool_becomes(client, "0 idle, 0 busy")

    assert run(scenario) == "0 idle, 0 busy, 0 connecting, 0 waiting"


@pytest.mark.parametrize("moment", ["response", "data"])
def test_abort_from_the_sink(upstream, moment):
    """A sink may give up while it is being told something."""

    async def scenario(client):
        call, sink = ask(client, upstream.url, "POST", b"body")
        original = getattr(sink, moment)

        def give_up(value):
            original(value)
            call.abort()

        setattr(sink, moment, give_up)
        await sink.begun
        await asyncio.sleep(0.05)
        return sink.events

    assert run(scenario) == {"response": ["response"], "data": ["response", "data"]}[moment]


@pytest.mark.parametrize("turns", [0, 0.05])
def test_abort_while_connecting(upstream, turns):
    """A call given up before its connection is made leaves nothing behind."""

    async def scenario(client):
        call, sink = ask(client, never(upstream))
        before = pool_repr(client)
        await asyncio.sleep(turns)
        call.abort()
        return before, await pool_becomes(client, "0 idle, 0 busy, 0 connecting"), sink.events

    assert run(scenario) == ("0 idle, 0 busy, 1 connecting, 0 waiting", "0 idle, 0 busy, 0 connecting, 0 waiting", [])
    upstream.wait_until(lambda: upstream.open_connections == 0)


def test_close_fails_what_is_under_way(upstream):
    """Closing the client ends every call with an error, wherever it is, and later calls too."""

    async def scenario(client):
        upstream.script(wire(HANG))
        sinks = [ask(client, upstream.url)[1], ask(client, never(upstream))[1]]
        await asyncio.sleep(0.05)
        await client.close()
        sinks.append(ask(client, upstream.url)[1])
        return [(await sink.wait()).error.message for sink in sinks]

    assert run(scenario) == ["LLMFlow is shutting down"] * 3


def test_silent_upstream(upstream):
    """UPSTREAM_IDLE_TIMEOUT_S without a byte ends a call; a stream that keeps talking lives on."""
    is_over = threading.Event()

    def talks(talk):
        talk.body()
        talk.send(head_of(200, [("transfer-encoding", "chunked")]))
        while not is_over.wait(0.02):
            talk.send(chunk(b"x"))
        talk.send(b"0\r\n\r\n")

    async def scenario(client):
        upstream.script(talks)
        lively = ask(client, upstream.url)[1]
        await lively.begun
        upstream.script(wire(OK + b"Content-Length: 9\r\n\r\nx", HANG))
        silent = await get(client, upstream.url)  # asked later, and over first
        is_over.set()
        return silent.error, (await lively.wait()).outcome[2]

    error, lively = run(scenario, upstream_idle_timeout_s=2)
    assert isinstance(error, UpstreamTimeout)
    assert lively is None


def test_silence_is_not_blamed_on_upstream(upstream):
    """A client that pauses, or is slow to send its body, does not make upstream time out."""

    async def scenario(client):
        upstream.script(wire(OK + b"Content-Length: 1\r\n\r\nx"))
        paused, sink = ask(client, upstream.url)
        paused.pause_reading()
        slow = Sink()
        uploads = client.request(
            upstream.url, request_head("POST", length=1), b"", slow, method="POST", is_complete=False, chunked=False
        )
        await eventually(lambda: len(upstream.requests) == 2)
        upstream.script(wire(HANG))
        silent = await get(client, upstream.url)  # asked later, and over first
        assert isinstance(silent.error, UpstreamTimeout)
        paused.resume_reading()
        uploads.send(b"x")
        uploads.finish()
        return (await sink.wait()).error, (await slow.wait()).error

    assert run(scenario, upstream_idle_timeout_s=2) == (None, None)


# ── many ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_200_at_once(upstream):
    """200 requests at once are all answered, each with its own body."""

    async def scenario(client):
        bodies = [b"%d " % n * 300 for n in range(200)]
        sinks = await asyncio.gather(*(get(client, upstream.url, "POST", body) for body in bodies))
        assert [sink.body for sink in sinks] == bodies
        return pool_repr(client)

    assert run(scenario, max_idle_per_origin=32) == "32 idle, 0 busy, 0 connecting, 0 waiting"
    assert len(upstream.requests) == 200


def test_upgrade(upstream):
    """A 101 that was asked for opens a tunnel: raw bytes both ways until the end."""

    def tunnel(talk):
        talk.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x00")
        while data := talk.recv():
            talk.send(data[::-1])
            if data == b"end":
                talk.close()

    async def scenario(client):
        upstream.script(tunnel)
        call, sink = ask(client, upstream.url, lines=["Connection: Upgrade", "Upgrade: websocket"])
        await sink.begun
        call.send(b"\x82abc")
        await asyncio.sleep(0.05)
        call.send(b"end")
        await sink.wait()
        return sink.outcome

    assert run(scenario) == (101, b"\x81\x00cba\x82dne", None)


# ── fetch ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_fetch(upstream):
    """Fetching returns status, headers and the decoded body of a small answer, and asks for it uncompressed."""

    async def scenario(client):
        upstream.script(stream([b"ab", b"c"], content_type="text/plain"))
        chunked = await client.fetch("GET", upstream.url + "/a?b=c")
        posted = await client.fetch("POST", upstream.url, [("X-A", "b")], b"hi")
        return chunked[0], chunked[2], posted[2]

    assert run(scenario) == (200, b"abc", b"hi")
    assert upstream.requests[0].target == "/a?b=c"
    assert upstream.requests[0].header("accept-encoding") == "identity"
    assert upstream.requests[0].header("host") == f"127.0.0.1:{upstream.port}"


def test_fetch_limits(upstream):
    """Fetching gives up on long and on slow answers, and on addresses that are not http."""

    async def scenario(client):
        upstream.script(answer(body=bytes(2000)), wire(HANG))
        with pytest.raises(TooLarge):
            await client.fetch("GET", upstream.url)
        with pytest.raises(UpstreamTimeout):
            await client.fetch("GET", upstream.url, timeout_s=0.1)
        with pytest.raises(UpstreamUnreachable, match="ftp"):
            await client.fetch("GET", "ftp://x/")

    run(scenario, max_fetch_bytes=1000)
    upstream.wait_until(lambda: upstream.open_connections == 0)
