"""Requests in, answers out: literal bytes over real sockets, with the fast lane and with h11 alone."""

from __future__ import annotations

import asyncio
import json
import socket
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from net.server_kit import answers, serving, until

from llmflow_web.errors import BadRequest, RequestError
from llmflow_web.net.server import HttpServer
from llmflow_web.wire.chunked import encode_chunk
from llmflow_web.wire.head import FRAMING_CHUNKED, FRAMING_CLOSE, FRAMING_LENGTH, FRAMING_NONE

LAST = b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


@pytest.fixture(params=[True, False], ids=["fast", "h11"])
def lane(request):
    """Run the test with the fast lane and without."""
    return request.param


class Gather:
    """A sink that answers with what it gathered."""

    def __init__(self, call):
        self.call = call
        self.pieces = []

    def data(self, data):
        self.pieces.append(data)

    def end(self):
        body = b"".join(self.pieces)
        self.call.respond(200, [("x-path", self.call.path)], self.call.head.method + b":" + body)

    def abort(self, error):
        self.pieces.append(error)


def echo(call):
    call.read(Gather(call))


def talk(handler, *pieces, lane=True, **limits):
    async def run():
        async with serving(handler, fast_lane=lane, **limits) as served:
            data = await served.exchange(*pieces)
            assert served.errors == []
            return data

    return asyncio.run(run())


# --- requests ---


def test_a_request_is_handed_over_as_it_came(lane):
    """Method, path, query, headers and peer are what was sent; the body that came with the head is there at once."""
    seen = []

    def handler(call):
        seen.append(
            (call.head.method, call.path, call.query, call.header(b"x-a"), call.header(b"none"), call.whole_body)
        )
        seen.append((call.peer, call.is_loopback, call.received_ns > 0, call.route))
        call.respond(200, [])

    talk(
        handler,
        b"PUT /a%20b/c?d=e?f HTTP/1.1\r\nHost: h\r\nX-A:  v \r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi",
        lane=lane,
    )
    assert seen == [(b"PUT", "/a%20b/c", "d=e?f", b"v", None, b"hi"), ("127.0.0.1", True, True, "")]


@pytest.mark.parametrize(
    ("fields", "wire", "body"),
    [
        (b"", b"", b""),
        (b"Content-Length: 0\r\n", b"", b""),
        (b"Content-Length: 5\r\n", b"hello", b"hello"),
        (b"Transfer-Encoding: chunked\r\n", b"2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nT: 1\r\n\r\n", b"hello"),
        (b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n", b""),
    ],
)
def test_bodies_are_read_by_their_framing(lane, fields, wire, body):
    """No body, a length, chunks: the payload is given, and the request behind it is found."""
    data = b"POST /x HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n" + wire + LAST
    for pieces in ([data], [data[i : i + 1] for i in range(len(data))]):
        found = answers(talk(echo, *pieces, lane=lane))
        assert [answer[2] for answer in found] == [b"POST:" + body, b"GET:"]


def requests_and_answers():
    """Requests of every framing, and what `echo` says to them."""
    lengths = st.binary(max_size=20).map(
        lambda b: (b"POST /l HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(b), b), b"POST:" + b)
    )
    chunks = st.lists(st.binary(min_size=1, max_size=9), max_size=3).map(
        lambda p: (
            b"PUT /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            + b"".join(map(encode_chunk, p))
            + b"0\r\n\r\n",
            b"PUT:" + b"".join(p),
        )
    )
    by_h11 = st.just((b"POST /e HTTP/1.1\r\nHost: a\r\nExpect: x\r\nContent-Length: 3\r\n\r\nabc", b"POST:abc"))
    empty_line = st.just((b"\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n", b"GET:"))
    return st.lists(st.one_of(lengths, chunks, by_h11, empty_line), min_size=1, max_size=5)


@pytest.mark.parametrize("is_fast", [True, False])
def test_any_cutting_of_pipelined_requests_gives_the_same_answers(is_fast):
    """However a stream of requests is cut, each is answered, in order, with its own body."""
    loop = asyncio.new_event_loop()
    context = serving(echo, fast_lane=is_fast)
    served = loop.run_until_complete(context.__aenter__())

    @settings(max_examples=60, deadline=None)
    @given(requests_and_answers(), st.lists(st.integers(0, 2000), max_size=8))
    def check(requests, places):
        data = b"".join(wire for wire, _ in requests) + LAST
        edges = [0, *sorted(place % len(data) for place in places), len(data)]
        pieces = [data[a:b] for a, b in pairwise(edges) if a < b]
        found = answers(loop.run_until_complete(served.exchange(*pieces)))
        assert [(status, body) for status, _, body in found] == [(200, body) for _, body in requests] + [(200, b"GET:")]

    try:
        check()
    finally:
        loop.run_until_complete(context.__aexit__(None, None, None))
        loop.close()


def test_pipelined_requests_wait_for_the_answer_before_theirs(lane):
    """A slow first answer holds the second back: order on the wire is order of asking."""
    calls = []

    async def run():
        async with serving(calls.append, fast_lane=lane) as served:
            reader, writer = await served.connect(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n" + LAST)
            await until(lambda: calls)
            await asyncio.sleep(0.02)
            assert [call.path for call in calls] == ["/1"]
            assert repr(served.server.connections) == (
                "{<Connection from 127.0.0.1, answering, <Call GET /1 new route=''> requests: 1>}"
            )
            calls[0].respond(200, [], b"one")
            assert [call.path for call in calls] == ["/1", "/last"]
            calls[1].respond(200, [], b"two")
            assert [body for _, _, body in answers(await reader.read())] == [b"one", b"two"]
            writer.close()

    asyncio.run(run())


def test_a_thousand_pipelined_requests_need_no_deep_stack(lane):
    """Requests answered at once are begun in a loop, not one inside the other."""
    found = answers(talk(echo, b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n" * 1500 + LAST, lane=lane))
    assert len(found) == 1501


@pytest.mark.parametrize("framing", [b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_100_continue_is_sent_when_the_route_starts_reading(framing):
    """A client that expects 100 gets it when somebody wants its body, and not before."""
    calls = []

    async def run():
        async with serving(calls.append) as served:
            head = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nConnection: close\r\n" + framing + b"\r\n"
            reader, writer = await served.connect(head)
            await until(lambda: calls)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.read(1), 0.03)
            echo(calls[0])
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(b"abc" if b"Length" in framing else b"3\r\nabc\r\n0\r\n\r\n")
            assert (await reader.read()).endswith(b"\r\n\r\nPOST:abc")
            writer.close()

    asyncio.run(run())


def test_100_continue_is_not_sent_where_it_is_not_needed():
    """A body that came along, a refusal, and HTTP/1.0 get no 100; the refused connection ends."""
    expect = b"Host: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
    assert talk(echo, b"POST / HTTP/1.1\r\n" + expect + b"abc" + LAST).count(b"HTTP/1.1") == 2
    refused = talk(lambda call: call.respond(403, []), b"POST / HTTP/1.1\r\n" + expect)
    assert refused.startswith(b"HTTP/1.1 403")
    assert b"\r\nconnection: close\r\n" in refused
    assert talk(echo, b"POST / HTTP/1.0\r\n" + expect + b"abc").startswith(b"HTTP/1.1 200")


def test_body_waits_for_the_whole_body(lane):
    """`await call.body(limit)` gives the body however it comes, and refuses more than the limit."""
    results = []

    def handler(call):
        async def work():
            try:
                results.append(await call.body(5))
            except RequestError as error:
                results.append(error.status)
            call.respond(200, [])

        tasks.append(asyncio.ensure_future(work()))

    tasks = []
    head = b"POST / HTTP/1.1\r\nHost: a\r\n"
    talk(
        handler,
        head + b"Content-Length: 5\r\n\r\nhello",
        head + b"Content-Length: 5\r\n\r\nhe",
        b"llo" + head + b"Content-Length: 6\r\n\r\n",
        b"123456" + head + b"Transfer-Encoding: chunked\r\n\r\n",
        b"3\r\nabc\r\n",
        b"3\r\nabc\r\n0\r\n\r\n" + head + b"Content-Length: 6\r\n\r\n123456",
        LAST,
        lane=lane,
    )
    assert results == [b"hello", b"hello", 413, 413, 413, b""]


def test_an_upgrade_hands_the_transport_over():
    """The head given is sent, bytes behind the request are returned, and the server knows the connection no more."""

    class Shout(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport

        def data_received(self, data):
            self.transport.write(data.upper())

    handed = []

    def handler(call):
        assert call.head.upgrade == b"websocket"
        transport, rest = call.upgrade(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")
        protocol = Shout()
        protocol.connection_made(transport)
        transport.set_protocol(protocol)
        handed.append(rest)

    async def run():
        async with serving(handler) as served:
            reader, writer = await served.connect(
                b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n\x81\x00"
            )
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
            assert handed == [b"\x81\x00"]
            assert not served.server.connections
            writer.write(b"abc")
            assert await reader.read(3) == b"ABC"
            await served.server.stop()
            assert await reader.read() == b""
            writer.close()

    asyncio.run(run())


# --- answers ---


def respond(status=200, headers=(), body=b"body"):
    return lambda call: call.respond(status, headers, body)


def test_an_answer_is_framed_by_its_length(lane):
    """Status line, headers as given, Date, Content-Length, body."""
    data = talk(respond(headers=[("X-A", "1"), ("set-cookie", "a=b"), ("Set-Cookie", "c=d")]), LAST, lane=lane)
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[:4] == [b"HTTP/1.1 200 OK", b"X-A: 1", b"set-cookie: a=b", b"Set-Cookie: c=d"]
    assert lines[4].startswith(b"date: ")
    assert lines[4].endswith(b" GMT")
    assert (lines[5:], body) == ([b"content-length: 4", b"connection: close"], b"body")


@pytest.mark.parametrize(("status", "has_length"), [(204, False), (304, False)])
def test_204_and_304_have_no_body(lane, status, has_length):
    """What cannot have a body gets none, and no Content-Length."""
    data = talk(respond(status), b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" + LAST, lane=lane)
    assert [(s, body) for s, _, body in answers(data)] == [(status, b"")] * 2
    assert (b"content-length" in data) is has_length


def test_head_gets_the_head_only(lane):
    """HEAD is told the length of a body that is not sent, whichever way the answer is given."""

    def handler(call):
        if call.path == "/start":
            call.start(200, [], length=4)
            call.write(b"body")
            call.finish()
        elif call.path == "/relay":
            call.start_relay(b"HTTP/1.1 200 OK\r\nContent-Length: 4", framing=FRAMING_NONE, length=None)
            call.finish()
        else:
            call.respond(200, [], b"body")

    for path in (b"/respond", b"/start", b"/relay"):
        data = talk(
            handler, b"HEAD " + path + b" HTTP/1.1\r\nHost: a\r\n\r\n" + LAST.replace(b"GET", b"HEAD"), lane=lane
        )
        found = answers(data, b"HEAD", b"HEAD")
        assert [(headers[b"content-length"], body) for _, headers, body in found] == [(b"4", b"")] * 2


def test_json_answers_can_say_everything():
    """Text travels as UTF-8; half a surrogate pair, which UTF-8 cannot say, as an escape."""
    for value in ({"a": "ä€😀"}, {"a": "\ud83d"}):
        body = answers(talk(lambda call, value=value: call.respond_json(200, value), LAST))[0][2]
        assert json.loads(body) == value


def stream(call):
    call.start(200, [("content-type", "text/plain")])
    for piece in (b"one", b"", b"two"):
        call.write(piece)
    call.finish()


def test_a_stream_is_chunked(lane):
    """Payload written piece by piece is chunked; an empty piece does not end it; the connection goes on."""
    data = talk(stream, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" + LAST, lane=lane)
    assert data.count(b"\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n") == 2
    assert b"transfer-encoding: chunked" in data


def test_an_http_1_0_stream_ends_with_the_connection():
    """A client of HTTP/1.0 knows no chunks: payload, then the end of the connection."""
    data = talk(stream, b"GET / HTTP/1.0\r\n\r\n")
    assert b"transfer-encoding" not in data
    assert data.endswith(b"connection: close\r\n\r\nonetwo")


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
@pytest.mark.parametrize(
    ("framing", "length", "wire"),
    [
        (FRAMING_LENGTH, 6, [b"one", b"two"]),
        (FRAMING_CHUNKED, None, [b"3\r\no", b"ne\r\n3\r\ntwo\r", b"\n0\r\n\r\n"]),
        (FRAMING_CLOSE, None, [b"one", b"two"]),
    ],
)
def test_a_relayed_answer_keeps_its_framing_where_the_client_can_read_it(lane, version, framing, length, wire):
    """Upstream's head and wire bytes reach the client; HTTP/1.0 gets the payload; a close-framed body is chunked."""

    def handler(call):
        call.start_relay(b"HTTP/1.1 201 Made Up\r\nX-Up: 1", framing=framing, length=length, data=wire[0])
        for piece in wire[1:]:
            call.write_wire(piece)
        call.finish()

    data = talk(handler, LAST.replace(b"1.1", version), lane=lane)
    assert data.startswith(b"HTTP/1.1 201 Made Up\r\nX-Up: 1\r\n")
    assert [(status, body) for status, _, body in answers(data)] == [(201, b"onetwo")]
    if framing == FRAMING_CHUNKED and version == b"1.1":
        assert data.endswith(b"".join(wire))


@pytest.mark.parametrize(
    "bad",
    [
        ("x", "a\r\nset-cookie: b=c"), ("x", "a\nb"), ("x", "a\rb"), ("x\r\ny", "a"), ("x: y\r\nz", "a"), ("", "a"),
        ("x y", "a"), ("x", "a\0b"), ("x", "\u20ac"), ("x:", "a"),
    ],
)  # fmt: skip
def test_headers_cannot_be_injected(lane, bad):
    """A header that would be more than one plain line raises in the route and reaches nobody."""

    async def run():
        async with serving(respond(headers=[bad]), fast_lane=lane) as served:
            data = await served.exchange(LAST)
            assert data.startswith(b"HTTP/1.1 500 ")
            assert b"set-cookie" not in data
            assert [type(error) for error in served.errors] == [ValueError]

    asyncio.run(run())


def test_an_exception_in_a_route_is_a_500_and_the_connection_goes_on(lane):
    """The caller learns nothing of the inside, the server's owner does, and the next request is served."""

    def handler(call):
        if call.path == "/bad":
            raise KeyError("secret")
        if call.path == "/ours":
            raise BadRequest("Say it better.")
        call.respond(200, [])

    async def run():
        async with serving(handler, fast_lane=lane) as served:
            head = b" HTTP/1.1\r\nHost: a\r\n\r\n"
            found = answers(await served.exchange(b"GET /bad" + head + b"GET /ours" + head + LAST))
            assert [status for status, _, _ in found] == [500, 400, 200]
            assert b"secret" not in found[0][2]
            assert json.loads(found[1][2])["error"]["message"] == "Say it better."
            assert [repr(error) for error in served.errors] == ["KeyError('secret')"]

    asyncio.run(run())


def test_without_a_callback_the_loop_hears_of_exceptions():
    """Where nobody asked to be told, asyncio's exception handler is."""

    async def run():
        heard = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: heard.append(context))
        server = HttpServer(lambda _call: 1 / 0, name="proxy")
        await server.start("127.0.0.1")
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(LAST)
        assert b" 500 " in await reader.read()
        writer.close()
        await server.stop()
        assert heard[0]["message"] == "proxy: <Call GET /last new route=''> failed"

    asyncio.run(run())


def break_after(call, how):
    if call.path == "/length":
        call.start(200, [], length=10)
    elif call.path == "/relay":
        call.start_relay(b"HTTP/1.1 200 OK", framing=FRAMING_CHUNKED, length=None)
        call.write_wire(b"3\r\none\r\n")
    else:
        call.start(200, [])
    call.write(b"" if call.path == "/relay" else b"one")
    how(call)


def raise_in_route(_call):
    raise OSError("boom")


@pytest.mark.parametrize("how", [lambda call: call.abort(), raise_in_route], ids=["abort", "raise"])
@pytest.mark.parametrize("path", [b"/length", b"/chunks", b"/relay"])
def test_a_broken_answer_looks_broken(lane, path, how):
    """After an abort or an exception the client has what was written and no end."""

    async def run():
        async with serving(lambda call: break_after(call, how), fast_lane=lane) as served:
            data = await served.exchange(b"GET " + path + b" HTTP/1.1\r\nHost: a\r\n\r\n")
            assert data.partition(b"\r\n\r\n")[2] == (b"one" if path == b"/length" else b"3\r\none\r\n")
            await served.settle()

    asyncio.run(run())


def test_a_broken_http_1_0_stream_is_reset():
    """Where the connection's end is the body's end, only a reset tells a cut from an end."""
    calls = []

    async def run():
        async with serving(calls.append) as served:
            reader, writer = await served.connect(b"GET / HTTP/1.0\r\n\r\n")
            await until(lambda: calls)
            calls[0].start(200, [])
            calls[0].write(b"one")
            await reader.readuntil(b"one")
            calls[0].abort()
            with pytest.raises(ConnectionResetError):
                await reader.read()
            writer.close()

    asyncio.run(run())


def test_a_short_answer_is_cut_and_a_long_one_refused(lane):
    """An answer never claims another length than it has."""

    async def run():
        def handler(call):
            call.start(200, [], length=4)
            call.write(b"123" if call.path == "/short" else b"12345")
            call.finish()

        async with serving(handler, fast_lane=lane) as served:
            data = await served.exchange(b"GET /short HTTP/1.1\r\nHost: a\r\n\r\n")
            assert data.endswith(b"\r\n\r\n123")
            data = await served.exchange(b"GET /long HTTP/1.1\r\nHost: a\r\n\r\n")
            assert data.endswith(b"\r\n\r\n")
            assert "longer than" in str(served.errors)

    asyncio.run(run())


def test_an_abort_before_any_answer_closes_without_a_word(lane):
    """A call given up unanswered gives the client nothing but the end."""
    assert talk(lambda call: call.abort(), b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", lane=lane) == b""


def test_what_is_done_to_a_call_that_is_over_has_no_effect(lane):
    """Late writes, second answers and aborts are dropped; the next request is untouched."""
    calls = []

    def handler(call):
        call.respond(200, [], call.path.encode())
        calls.append(call)
        for old in calls:
            old.respond(500, [])
            old.start(500, [])
            old.start_relay(b"HTTP/1.1 500 x", framing=FRAMING_NONE, length=None)
            old.write(b"x")
            old.write_wire(b"x")
            old.finish()
            old.abort()
            old.pause_reading()
            old.resume_reading()
            with pytest.raises(RequestError):
                old.upgrade(b"")

    found = answers(talk(handler, b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n" + LAST, lane=lane))
    assert [body for _, _, body in found] == [b"/1", b"/last"]


def test_a_second_answer_while_one_runs_is_a_mistake():
    """Answering what is being answered raises in the route, and the client sees a cut."""

    async def run():
        def handler(call):
            call.start(200, [])
            call.respond(200, [])

        async with serving(handler) as served:
            assert (await served.exchange(LAST)).endswith(b"\r\n\r\n")
            assert "being answered already" in str(served.errors)

    asyncio.run(run())


def test_head_and_body_leave_in_one_write(lane):
    """An answer is one write, and TCP_NODELAY is set."""
    writes = []

    def handler(call):
        connection = call._connection
        sock = connection._transport.get_extra_info("socket")
        writes.append(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0)
        original, connection._server = connection._transport.write, connection._server

        class Spy:
            def __getattr__(self, name):
                return getattr(transport, name)

            def write(self, data):
                writes.append(len(data))
                original(data)

        transport, connection._transport = connection._transport, Spy()
        if call.path == "/respond":
            call.respond(200, [], b"body")
        else:
            call.start_relay(b"HTTP/1.1 200 OK", framing=FRAMING_LENGTH, length=4, data=b"body")
            call.finish()

    for path in (b"/respond", b"/relay"):
        writes.clear()
        data = talk(handler, LAST.replace(b"/last", path), lane=lane)
        assert writes == [True, len(data)]
