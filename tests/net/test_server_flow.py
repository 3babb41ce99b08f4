"""Slow, silent and vanishing clients: backpressure both ways, disconnects, unread bodies, timeouts and stopping."""

from __future__ import annotations

import asyncio
import errno
import re
import socket

import pytest
from net.server_kit import QUICK, answers, serving, until

from llmflow_web.errors import RequestError
from llmflow_web.net import server as server_module
from llmflow_web.net.server import HttpServer, ServerLimits, http_date
from llmflow_web.wire.head import FRAMING_CHUNKED

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


@pytest.fixture(params=[True, False], ids=["fast", "h11"])
def lane(request):
    """Run the test with the fast lane and without."""
    return request.param


class Record:
    """A sink that records what it is told."""

    def __init__(self, told):
        self.told = told

    def data(self, data):
        self.told.append(data)

    def end(self):
        self.told.append("end")

    def abort(self, error):
        self.told.append(error)


def post(length: int, *fields: bytes) -> bytes:
    return b"\r\n".join([b"POST /x HTTP/1.1", b"Host: a", b"Content-Length: %d" % length, *fields, b"", b""])


def ok(call):
    call.respond(200, [], call.path.encode())


# --- backpressure ---


@pytest.mark.parametrize("how", ["start", "relay"])
def test_a_slow_reader_pauses_the_route_and_memory_stays_bounded(how):
    """on_pause comes when the client lags, on_resume when it has caught up; a route that obeys buffers little."""
    written = 0
    highest = 0
    total = 16_000_000
    block = b"x" * 16_000

    async def run():
        paused = []

        def handler(call):
            nonlocal written, highest

            def pump():
                nonlocal written, highest
                while written < total and not (paused and paused[-1]):
                    written += len(block)
                    if how == "start":
                        call.write(block)
                    else:
                        call.write_wire(b"%x\r\n%b\r\n" % (len(block), block))
                    highest = max(highest, call._connection._transport.get_write_buffer_size())
                if written >= total:
                    if how == "relay":
                        call.write_wire(b"0\r\n\r\n")
                    call.finish()

            def resume():
                paused.append(False)
                pump()

            call.on_pause = lambda: paused.append(True)
            call.on_resume = resume
            if how == "start":
                call.start(200, [])
            else:
                call.start_relay(b"HTTP/1.1 200 OK", framing=FRAMING_CHUNKED, length=None)
            pump()

        async with serving(handler) as served:
            reader, writer = await served.connect(LAST)
            await until(lambda: paused)
            await asyncio.sleep(0.05)
            assert written < total
            [(status, _, body)] = answers(await reader.read())
            assert (status, len(body)) == (200, total)
            assert paused[0] is True
            assert False in paused
            assert highest < 64 * 1024 + 2 * len(block)
            writer.close()

    asyncio.run(run())


def test_a_slow_route_pauses_the_upload(lane):
    """After pause_reading the client's body stays in its own socket; after resume_reading all of it comes."""
    told = []
    calls = []
    size = 30_000_000

    class Careful(Record):
        def data(self, data):
            told.append(len(data))
            calls[0].pause_reading()

        def end(self):
            calls[0].respond(200, [])

    def handler(call):
        calls.append(call)
        call.read(Careful(told))

    async def run():
        async with serving(handler, fast_lane=lane) as served:
            reader, writer = await served.connect(post(size, b"Connection: close"))
            writer.write(b"x" * size)
            await until(lambda: told)
            await asyncio.sleep(0.05)
            assert len(told) == 1
            while sum(told) < size:
                calls[0].resume_reading()
                await asyncio.sleep(0)
            assert (await reader.read()).startswith(b"HTTP/1.1 200")
            assert max(told) <= 1_000_000
            writer.close()

    asyncio.run(run())


def test_a_body_nobody_reads_waits_outside(lane):
    """Without a reader only MAX_UNREAD_BYTES are taken; a late reader still gets all of it, in order."""
    calls, told = [], []
    body = b"".join(b"%07d\n" % i for i in range(500_000))

    async def run():
        async with serving(calls.append, fast_lane=lane) as served:
            reader, writer = await served.connect(post(len(body), b"Connection: close"))
            writer.write(body)
            await until(lambda: calls)
            await asyncio.sleep(0.05)
            [connection] = served.server.connections
            assert sum(map(len, connection._unread)) < 400_000
            calls[0].read(Record(told))
            await until(lambda: told and told[-1] == "end")
            assert b"".join(told[:-1]) == body
            calls[0].respond(200, [])
            await reader.read()
            writer.close()

    asyncio.run(run())


def test_crumbs_of_a_body_nobody_reads_are_bounded_too(lane):
    """A body in many small pieces is held like one in few."""
    calls, told = [], []

    async def run():
        async with serving(calls.append, fast_lane=lane, max_unread_bytes=50) as served:
            reader, writer = await served.connect(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            await until(lambda: calls)
            for _ in range(100):
                for piece in (b"1", b"\r\n", b"x\r\n"):
                    writer.write(piece)
                    await asyncio.sleep(0)
            [connection] = served.server.connections
            assert all(connection._unread)
            assert len(connection._unread) <= 60
            calls[0].read(Record(told))
            writer.write(b"0\r\n\r\n")
            await until(lambda: told and told[-1] == "end")
            assert b"".join(told[:-1]) == b"x" * 100
            calls[0].respond(200, [])
            await reader.readuntil(b"\r\n\r\n")
            writer.close()

    asyncio.run(run())


def test_pipelining_is_read_ahead_up_to_a_bound(lane):
    """While an answer runs, a client may send more requests, but only MAX_PIPELINED_BYTES are held for it."""
    calls = []

    def handler(call):
        if call.path == "/x" and not calls:
            calls.append(call)
        else:
            ok(call)

    async def run():
        async with serving(handler, fast_lane=lane) as served:
            reader, writer = await served.connect(GET * 400_000 + LAST)
            await until(lambda: calls)
            await asyncio.sleep(0.1)
            [connection] = served.server.connections
            assert len(connection._rest) < 600_000
            calls[0].respond(200, [], b"first")
            data = await asyncio.wait_for(reader.read(2_000_000), 60)
            assert b"first" in data
            await asyncio.sleep(0.2)  # not reading: the answers do not pile up here either
            assert connection._transport.get_write_buffer_size() < 200_000
            writer.transport.abort()
            await served.settle()

    asyncio.run(run())


def test_what_nobody_read_of_one_body_does_not_reach_the_next(lane):
    """A body held and never read is forgotten with its call."""
    calls, told = [], []

    async def run():
        async with serving(calls.append, fast_lane=lane) as served:
            _, writer = await served.connect(post(4) + b"ab")
            await until(lambda: calls)
            writer.write(b"cd")
            await until(lambda: not calls[0]._connection._body)
            calls[0].respond(200, [])
            writer.write(post(4) + b"12")
            await until(lambda: len(calls) == 2)
            calls[1].read(Record(told))
            writer.write(b"34")
            await until(lambda: told and told[-1] == "end")
            assert told == [b"12", b"34", "end"]
            calls[1].respond(200, [])
            writer.close()

    asyncio.run(run())


# --- clients that go ---


@pytest.mark.parametrize("how", ["close", "reset", "half-close"])
@pytest.mark.parametrize("stage", ["new", "streaming", "uploading"])
def test_a_client_that_goes_is_noticed_once(lane, how, stage):
    """on_disconnect is called once, the sink hears it too, later writes vanish, the connection is closed."""
    told, calls = [], []

    def handler(call):
        calls.append(call)
        call.on_disconnect = lambda: told.append("gone")
        if stage == "uploading":
            call.read(Record(told))
        elif stage == "streaming":
            call.start(200, [])
            call.write(b"abc")

    async def run():
        async with serving(handler, fast_lane=lane) as served:
            _, writer = await served.connect(post(9) + b"12" if stage == "uploading" else GET)
            await until(lambda: calls)
            if how == "reset":
                writer.transport.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
                )
                writer.transport.abort()
            elif how == "close":
                writer.close()
            else:
                writer.write_eof()
            await served.settle()
            calls[0].write(b"more")
            calls[0].finish()
            calls[0].respond(200, [])
            late = []
            calls[0].read(Record(late))
            assert late == ["end"] if stage != "uploading" else isinstance(late[0], RequestError)
            writer.close()
            assert served.errors == []

    asyncio.run(run())
    assert told.count("gone") == 1
    assert told[-1] == "gone"
    if stage == "uploading":
        assert told[0] == b"12"
        assert isinstance(told[1], RequestError)


def test_waiting_for_a_body_ends_when_the_client_goes(lane):
    """`await call.body()` raises when the rest will not come."""
    results = []

    def handler(call):
        async def work():
            try:
                await call.body(100)
            except RequestError as error:
                results.append(error)

        tasks.append(asyncio.ensure_future(work()))

    tasks = []

    async def run():
        async with serving(handler, fast_lane=lane) as served:
            _, writer = await served.connect(post(9) + b"12")
            await until(lambda: tasks)
            writer.close()
            await until(lambda: results)

    asyncio.run(run())


def test_callbacks_that_raise_do_not_harm_the_server(lane):
    """An exception in on_disconnect, on_pause or a sink is reported and ends that call only."""

    class Bad(Record):
        def data(self, data):
            raise ValueError("sink")

    def boom():
        raise ValueError("gone")

    def handler(call):
        call.on_disconnect = boom
        if call.head.method == b"POST":
            call.read(Bad([]))
        elif call.path == "/pause":
            call.on_pause = boom
            call.start(200, [])
            for _ in range(400):
                call.write(b"x" * 65536)

    async def run():
        async with serving(handler, fast_lane=lane) as served:
            reader, writer = await served.connect(post(3))
            await asyncio.sleep(0.01)
            writer.write(b"abc")
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 500 ")
            writer.close()
            reader, writer = await served.connect(GET)
            await until(lambda: len(served.server.connections) == 1)
            writer.close()
            await served.settle()
            cut = await served.exchange(GET.replace(b"/x", b"/pause"))
            assert not cut.endswith(b"0\r\n\r\n")
            assert [str(error) for error in served.errors] == ["sink", "gone", "gone"]

    asyncio.run(run())


# --- early answers ---


def test_a_short_unread_body_is_discarded_and_the_connection_kept(lane):
    """An answer given before its body was read costs the client nothing if the body is small."""
    for pieces in ([post(9) + b"123456789" + LAST], [post(9) + b"12", b"3456789" + LAST]):

        async def run(pieces=pieces):
            async with serving(ok, fast_lane=lane) as served:
                reader, writer = await served.connect(pieces[0])
                first = await reader.readuntil(b"/x")
                for piece in pieces[1:]:
                    writer.write(piece)
                data = first + await reader.read()
                writer.close()
                return data

        assert [body for _, _, body in answers(asyncio.run(run()))] == [b"/x", b"/last"]


def test_a_large_unread_body_closes_the_connection_after_the_answer_was_seen(lane):
    """The answer says close; the client can go on sending and still reads the answer."""

    async def run():
        async with serving(ok, fast_lane=lane) as served:
            reader, writer = await served.connect(post(20_000_000))
            writer.write(b"x" * 20_000_000)
            data = await reader.read()
            assert [(status, headers[b"connection"]) for status, headers, _ in answers(data)] == [(200, b"close")]
            await writer.drain()
            writer.close()
            await served.settle()

    asyncio.run(run())


def test_an_endless_unread_body_is_not_discarded_for_ever(lane):
    """A chunked body that nobody reads is discarded up to MAX_DRAIN_BYTES, then the connection ends."""
    head = b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

    async def run():
        async with serving(ok, fast_lane=lane, max_drain_bytes=1000) as served:
            for rest, statuses in [
                (b"400\r\n" + b"x" * 1024 + b"\r\n", []),
                (b"zz\r\n", []),
                (b"10\r\n" + b"x" * 16 + b"\r\n0\r\n\r\n" + LAST, [200]),
            ]:
                reader, writer = await served.connect(head)
                assert (await reader.readuntil(b"/x")).startswith(b"HTTP/1.1 200 ")
                writer.write(rest)
                assert [status for status, _, _ in answers(await reader.read())] == statuses
                writer.close()

    asyncio.run(run())


# --- time ---


def test_idle_connections_are_closed_in_time(lane):
    """A connection without requests ends after KEEP_ALIVE_TIMEOUT_S, one that answers does not."""
    calls = []

    async def run():
        async with serving(calls.append, fast_lane=lane, keep_alive_timeout_s=0.5, **QUICK) as served:
            reader, writer = await served.connect(GET)
            await until(lambda: calls)
            idle_reader, idle_writer = await served.connect()
            assert await idle_reader.read() == b""  # it came later and goes first
            idle_writer.close()
            calls[0].respond(200, [])
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            assert await reader.read() == b""
            writer.close()

    asyncio.run(run())


def test_a_client_that_never_reads_is_given_up(lane):
    """When nothing of what waits is taken for WRITE_STALL_TIMEOUT_S, the call ends as if the client had gone."""
    told = []

    def handler(call):
        call.on_disconnect = lambda: told.append("gone")
        call.start(200, [])
        call.write(b"x" * 30_000_000)

    async def run():
        async with serving(handler, fast_lane=lane, write_stall_timeout_s=0.1, **QUICK) as served:
            _, writer = await served.connect(GET)
            await until(lambda: told)
            await served.settle()
            writer.transport.abort()

    asyncio.run(run())


def test_a_client_that_does_not_close_is_closed():
    """After a last answer with bytes unread, the server waits LINGER_TIMEOUT_S for the client and no longer."""

    async def run():
        async with serving(ok, linger_timeout_s=0.05, **QUICK) as served:
            reader, writer = await served.connect(b"nonsense\r\n\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.1 400")
            await served.settle()
            writer.close()

    asyncio.run(run())


def test_too_many_connections_are_refused():
    """Over MAX_CONNECTIONS a client is told 503; those connected are served on."""

    async def run():
        async with serving(ok, max_connections=1) as served:
            reader, writer = await served.connect(GET)
            await reader.readuntil(b"/x")
            assert (await served.exchange()).startswith(b"HTTP/1.1 503 ")
            writer.write(LAST)
            assert (await reader.read()).endswith(b"/last")
            writer.close()

    asyncio.run(run())


def test_the_date_is_written_as_http_writes_it():
    """RFC 9110's own example."""
    assert http_date(784111777) == "Sun, 06 Nov 1994 08:49:37 GMT"


# --- start and stop ---


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


def test_both_loopback_addresses_listen_on_one_port():
    """Port 0 finds a port that is free on 127.0.0.1 and ::1 alike; the peer's address is known."""

    async def run():
        calls = []
        server = HttpServer(lambda call: (calls.append((call.peer, call.is_loopback)), ok(call)), name="proxy")
        assert repr(server) == "<HttpServer proxy, not started, ports: [], connections: 0>"
        await server.start()
        assert re.fullmatch(r"<HttpServer proxy, listening, ports: \[\d+\], connections: 0>", repr(server))
        assert server.ports == [server.port]
        hosts = ["127.0.0.1", "::1"] if has_ipv6() else ["127.0.0.1"]
        for host in hosts:
            reader, writer = await asyncio.open_connection(host, server.port)
            writer.write(LAST)
            assert (await reader.read()).endswith(b"/last")
            writer.close()
        assert calls == [(host, True) for host in hosts]
        await server.stop()
        assert repr(server) == f"<HttpServer proxy, stopping, ports: [{server.port}], connections: 0>"

    asyncio.run(run())


def test_a_taken_port_is_an_error_with_its_errno():
    """A port somebody listens on raises EADDRINUSE, and nothing stays bound."""

    async def run():
        first = HttpServer(ok)
        await first.start(port=0)
        second = HttpServer(ok)
        with pytest.raises(OSError) as caught:
            await second.start(port=first.port)
        assert caught.value.errno == errno.EADDRINUSE
        port = first.port
        await first.stop()
        await second.start(port=port)
        await second.stop()

    asyncio.run(run())


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")
def test_a_port_taken_on_the_second_address_only_is_tried_again(monkeypatch):
    """Port 0 looks for another port when its twin is taken; a named port does not."""
    real, tries = server_module._bind, []

    def bind(host, port):
        tries.append((host, port))
        if host == "::1" and len(tries) <= 4:
            raise OSError(errno.EADDRINUSE, "taken")
        return real(host, port)

    monkeypatch.setattr(server_module, "_bind", bind)

    async def run():
        server = HttpServer(ok)
        await server.start(port=0)
        assert [host for host, _ in tries] == ["127.0.0.1", "::1"] * 3
        await server.stop()
        tries.clear()
        with pytest.raises(OSError):
            await server.start(port=server.port)
        assert len(tries) == 2

    asyncio.run(run())


def test_a_missing_address_family_is_passed_over(monkeypatch):
    """Without IPv6 the server listens on 127.0.0.1 alone; without any address it cannot start."""
    real = server_module._bind

    def bind(host, port):
        if host == "::1":
            raise OSError(errno.EADDRNOTAVAIL, "no such address")
        return real(host, port)

    monkeypatch.setattr(server_module, "_bind", bind)

    async def run():
        server = HttpServer(ok)
        await server.start(port=0)
        assert server.port
        await server.stop()
        with pytest.raises(OSError):
            await HttpServer(ok).start("::1", 0)

    asyncio.run(run())


def test_stopping_closes_idle_connections_and_lets_answers_finish(lane):
    """Idle clients are closed at once, a running answer is finished, and no new client is taken."""
    calls = []

    def handler(call):
        calls.append(call)
        if call.path == "/idle":
            ok(call)

    async def run():
        async with serving(handler, fast_lane=lane) as served:
            idle_reader, idle = await served.connect(GET.replace(b"/x", b"/idle"))
            await idle_reader.readuntil(b"/idle")
            started_reader, started = await served.connect(GET)
            new_reader, new = await served.connect(GET)
            await until(lambda: len(calls) == 3)
            calls[1].start(200, [])
            stopping = asyncio.ensure_future(served.server.stop(60))
            assert await idle_reader.read() == b""
            with pytest.raises(OSError):
                await served.connect()
            assert not stopping.done()
            calls[1].write(b"abc")
            calls[1].finish()
            assert (await started_reader.read()).endswith(b"3\r\nabc\r\n0\r\n\r\n")
            calls[2].respond(200, [])
            assert b"connection: close" in await new_reader.read()
            await asyncio.wait_for(stopping, 60)
            for writer in (idle, started, new):
                writer.close()

    asyncio.run(run())


def test_stopping_breaks_off_what_does_not_finish(lane):
    """After the grace a running answer is cut and its route told."""
    told = []

    def handler(call):
        call.on_disconnect = lambda: told.append("gone")
        call.start(200, [])

    async def run():
        async with serving(handler, fast_lane=lane) as served:
            reader, writer = await served.connect(GET)
            await reader.readuntil(b"\r\n\r\n")
            await served.server.stop(0.05)
            assert told == ["gone"]
            assert served.server.connections == set()
            assert await reader.read() == b""
            writer.close()

    asyncio.run(run())


def test_limits_have_names_and_defaults():
    """The defaults a user of the server gets."""
    limits = ServerLimits()
    assert (limits.max_head_bytes, limits.write_high_water_bytes, limits.keep_alive_timeout_s) == (65536, 65536, 75.0)
