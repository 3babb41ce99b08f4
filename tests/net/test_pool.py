"""The pool: newest first, idle ones bounded by themselves, a ceiling with a queue."""

from __future__ import annotations

import asyncio
import time

import pytest
from fake_upstream import CLOSE, HANG, FakeUpstream, wire
from net.client_rig import Sink, ask, get, pool_becomes, pool_repr, request_head, run

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture
def upstream():
    with FakeUpstream(wire(OK)) as running:
        yield running


def test_newest_first(upstream):
    """The connection used last is used next, so that surplus ones can age."""

    async def scenario(client):
        upstream.default = wire(0.05, OK)
        await asyncio.gather(*(get(client, upstream.url) for _ in range(3)))
        for _ in range(4):
            await get(client, upstream.url)
        (pool,) = client._pools.values()
        return [connection.requests for connection in pool._idle]

    assert run(scenario) == [1, 1, 5]


def test_the_bound_counts_idle_connections_only(upstream):
    """With many busy connections an idle one is still kept: busy ones do not count against the bound."""

    async def scenario(client):
        upstream.script(*[wire(HANG)] * 5)
        calls = [ask(client, upstream.url)[0] for _ in range(5)]
        await asyncio.to_thread(upstream.wait_until, lambda: len(upstream.requests) == 5)
        upstream.default = wire(0.05, OK)
        await asyncio.gather(*(get(client, upstream.url) for _ in range(2)))
        kept = pool_repr(client)
        await asyncio.gather(*(get(client, upstream.url) for _ in range(4)))
        bounded = await pool_becomes(client, "2 idle, 5 busy")
        for call in calls:
            call.abort()
        return kept, bounded

    kept, bounded = run(scenario, max_idle_per_origin=2)
    assert kept == "2 idle, 5 busy, 0 connecting, 0 waiting"
    assert bounded == "2 idle, 5 busy, 0 connecting, 0 waiting"


@pytest.mark.parametrize("ceiling", [1, 3])
def test_ceiling(upstream, ceiling):
    """Beyond the ceiling requests wait, and are served first come first served."""

    async def scenario(client):
        upstream.default = wire(0.01, OK)
        sinks = [ask(client, upstream.url, target=f"/{n}")[1] for n in range(12)]
        state = pool_repr(client)
        for sink in sinks:
            await sink.wait()
        return state

    state = run(scenario, max_connections_per_origin=ceiling)
    assert state == f"0 idle, 0 busy, {ceiling} connecting, {12 - ceiling} waiting"
    assert upstream.connections == ceiling
    if ceiling == 1:
        assert [request.target for request in upstream.requests] == [f"/{n}" for n in range(12)]


def test_ceiling_with_connections_that_close(upstream):
    """A closed connection's place goes to the next request in the queue."""

    async def scenario(client):
        upstream.default = wire(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), CLOSE)
        sinks = [ask(client, upstream.url, "POST", b"x")[1] for n in range(6)]
        return [(await sink.wait()).outcome for sink in sinks]

    assert run(scenario, max_connections_per_origin=1) == [(200, b"ok", None)] * 6
    assert upstream.connections == 6


def test_the_queue_gets_no_dead_connection(upstream):
    """A connection that closes together with its answer is not given to the next request in the queue."""

    async def scenario(client):
        upstream.default = wire(OK, CLOSE)
        sinks = []
        for _ in range(3):
            sink = Sink()
            sink.data = lambda data: time.sleep(0.05)  # the end comes while the answer is being taken
            sinks.append(ask(client, upstream.url, "POST", b"x", sink=sink)[1])
        return [(await sink.wait()).outcome for sink in sinks]

    assert run(scenario, max_connections_per_origin=1) == [(200, b"", None)] * 3


def test_ceiling_when_connecting_fails():
    """When no connection can be made, the whole queue hears so."""

    async def scenario(client):
        sinks = [ask(client, "http://127.0.0.1:1")[1] for _ in range(5)]
        return [(await sink.wait()).error.message for sink in sinks]

    assert run(scenario, max_connections_per_origin=1) == ["127.0.0.1:1 refused the connection"] * 5


def test_giving_up_in_the_queue(upstream):
    """A call that is given up while it waits is never sent."""

    async def scenario(client):
        upstream.script(wire(0.1, OK))
        first = ask(client, upstream.url)[1]
        second, sink = ask(client, upstream.url, target="/never")
        third = ask(client, upstream.url, target="/third")[1]
        second.abort()
        await first.wait()
        await third.wait()
        return sink.events

    assert run(scenario, max_connections_per_origin=1) == []
    assert [request.target for request in upstream.requests] == ["/", "/third"]


def test_a_streamed_body_waits_in_the_queue(upstream):
    """What is sent while a call waits for its turn leaves in order once it has a connection."""

    async def scenario(client):
        upstream.script(wire(0.1, OK))
        first, sink = ask(client, upstream.url)[1], Sink()
        call = client.request(
            upstream.url, request_head("POST", length=9), b"one", sink, method="POST", is_complete=False, chunked=False
        )
        call.send(b"two")
        await first.wait()
        call.send(b"six")
        call.finish()
        return (await sink.wait()).outcome

    assert run(scenario, max_connections_per_origin=1) == (200, b"ok", None)
    assert upstream.requests[1].body == b"onetwosix"


def test_origins_do_not_share(upstream):
    """Each origin has its own connections; origins nothing is kept for are forgotten."""

    async def scenario(client):
        with FakeUpstream(wire(OK)) as other:
            await get(client, upstream.url)
            await get(client, other.url)
            return sorted(client._pools) == sorted([upstream.url, other.url]), repr(client).count("1 idle")

    assert run(scenario) == (True, 2)
