"""Reused connections that turn out dead: what may be sent again, and the proof that nothing is sent twice."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest
from fake_upstream import CLOSE, RESET, FakeUpstream, head_of, wire
from net.client_rig import Sink, ask, eventually, get, pool_becomes, pool_repr, request_head, run

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture
def upstream():
    with FakeUpstream(wire(OK)) as running:
        yield running


@pytest.mark.parametrize(
    "last_words", [b"", b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"], ids=["end", "bytes"]
)
def test_an_idle_connection_that_says_anything_is_dropped(upstream, last_words):
    """An idle connection that hears its end, or bytes nobody asked for, is closed at once."""

    async def scenario(client):
        upstream.script(wire(OK, 0.2, last_words, *([] if last_words else [CLOSE])))
        await get(client, upstream.url)
        before = pool_repr(client)[:6]
        return before, await pool_becomes(client, "0 idle, 0 busy")

    assert run(scenario) == ("1 idle", "0 idle, 0 busy, 0 connecting, 0 waiting")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_end_the_loop_has_not_seen_yet_is_found_before_reuse(upstream, method):
    """The socket is asked before reuse, so that even a POST never meets a connection closed a moment ago."""

    async def scenario(client):
        await get(client, upstream.url)
        upstream.close_connections()
        time.sleep(0.05)  # the loop is held up: the end is in the kernel, not here
        sink = await get(client, upstream.url, method, b"body" if method == "POST" else b"")
        return sink.outcome

    assert run(scenario) == (200, b"ok", None)
    assert upstream.connections == 2
    assert len(upstream.requests) == 2


TABLE = [
    # method, body, is it whole at once, times upstream gets it, outcome
    ("GET", b"", True, 2, (200, b"ok", None)),
    ("HEAD", b"", True, 2, (200, b"", None)),
    ("OPTIONS", b"", True, 2, (200, b"ok", None)),
    ("POST", b"charge me once", True, 1, (None, b"", "UpstreamClosed")),
    ("PUT", b"x", True, 1, (None, b"", "UpstreamClosed")),
    ("DELETE", b"", True, 1, (None, b"", "UpstreamClosed")),
    ("GET", b"streamed body", False, 1, (None, b"", "UpstreamClosed")),
]


@pytest.mark.parametrize("how", [CLOSE, RESET], ids=["close", "reset"])
@pytest.mark.parametrize(("method", "body", "is_whole", "times", "outcome"), TABLE)
def test_a_reused_connection_dies_under_a_request(upstream, how, method, body, is_whole, times, outcome):
    """What upstream may have processed is sent again only where the method makes that harmless; the rest fails."""

    async def scenario(client):
        await get(client, upstream.url)
        upstream.script(wire(how))
        sink = Sink()
        head = request_head(method, length=len(body) if body else None)
        call = client.request(upstream.url, head, body, sink, method=method, is_complete=is_whole, chunked=False)
        call.finish()
        return await sink.wait()

    sink = run(scenario)
    assert sink.outcome == outcome
    assert sink.error is None or sink.error.is_retry_safe is False
    assert [request.body for request in upstream.requests[1:]] == [body] * times


def test_only_once_more(upstream):
    """A request is sent again once, not for ever."""

    async def scenario(client):
        await get(client, upstream.url)
        upstream.script(wire(CLOSE), wire(CLOSE), wire(CLOSE))
        return (await get(client, upstream.url)).outcome

    assert run(scenario) == (None, b"", "UpstreamClosed")
    assert len(upstream.requests) == 3


def test_only_once_more_from_the_queue_too(upstream):
    """Sent again on a connection that was used in between, a request still has no third chance."""

    async def scenario(client):
        await get(client, upstream.url)
        upstream.script(wire(0.05, CLOSE), wire(OK), wire(CLOSE))
        first = ask(client, upstream.url, target="/unlucky")[1]
        second = ask(client, upstream.url, target="/next")[1]
        return (await first.wait()).outcome, (await second.wait()).outcome

    unlucky = (None, b"", "UpstreamClosed")
    assert run(scenario, max_connections_per_origin=1) == (unlucky, (200, b"ok", None))
    assert [request.target for request in upstream.requests] == ["/", "/unlucky", "/next", "/unlucky"]


@pytest.mark.parametrize("words", [b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_not_again_once_an_answer_began(upstream, words):
    """After the first byte of an answer nothing is sent again, whatever the method."""

    async def scenario(client):
        await get(client, upstream.url)
        upstream.script(wire(words, CLOSE))
        return (await get(client, upstream.url)).outcome

    assert run(scenario) == (None, b"", "UpstreamClosed")
    assert len(upstream.requests) == 2


def test_a_first_connection_that_dies_is_no_stale_one(upstream):
    """On a connection that was never used before, even a GET is not sent again."""

    async def scenario(client):
        upstream.script(wire(CLOSE))
        return (await get(client, upstream.url)).outcome

    assert run(scenario) == (None, b"", "UpstreamClosed")
    assert len(upstream.requests) == 1


def test_a_post_of_which_nothing_left_goes_to_a_fresh_connection(upstream):
    """If the very first write fails, nothing has left, and the request may go elsewhere, whatever its method."""

    async def scenario(client):
        await get(client, upstream.url)
        (pool,) = client._pools.values()
        connection = pool._idle[0]
        connection._is_readable = bool  # as if the end came between the question and the write
        connection._transport.get_extra_info("socket").shutdown(socket.SHUT_WR)
        return (await get(client, upstream.url, "POST", b"once")).outcome

    assert run(scenario) == (200, b"ok", None)
    assert [request.body for request in upstream.requests] == [b"", b"once"]


def test_idle_time(upstream):
    """Idle connections are closed after IDLE_TIMEOUT_S."""

    async def scenario(client):
        await get(client, upstream.url)
        assert pool_repr(client)[:6] == "1 idle"
        return await eventually(lambda: client._pools == {})

    assert run(scenario, idle_timeout_s=0.5)
    upstream.wait_until(lambda: upstream.open_connections == 0)


def test_the_servers_idle_time_counts(upstream):
    """A server that says keep-alive: timeout=N is not asked again after N - 1 seconds."""

    async def scenario(client):
        upstream.script(wire(head_of(200, [("Content-Length", "0"), ("Keep-Alive", "timeout=1, max=5")])))
        await get(client, upstream.url)
        await asyncio.sleep(0.55)
        await get(client, upstream.url)

    run(scenario)
    assert upstream.connections == 2


def test_200_posts_on_closing_connections(upstream):
    """Against a server that closes without a word after every answer, no POST comes twice, and none is lost unsaid."""

    async def scenario(client):
        upstream.default = wire(OK, CLOSE)
        outcomes = {}
        for batch in range(20):
            sinks = {n: ask(client, upstream.url, "POST", b"%d" % n)[1] for n in range(batch * 10, batch * 10 + 10)}
            outcomes |= {n: (await sink.wait()).outcome for n, sink in sinks.items()}
        return outcomes

    outcomes = run(scenario)
    received = [int(request.body) for request in upstream.requests]
    assert len(received) == len(set(received))
    answered = {n for n, outcome in outcomes.items() if outcome == (200, b"ok", None)}
    assert answered <= set(received)
    assert {outcome for n, outcome in outcomes.items() if n not in answered} <= {(None, b"", "UpstreamClosed")}
    assert len(answered) > 150
