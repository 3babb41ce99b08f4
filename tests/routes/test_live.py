"""/ws over real sockets: the handshake, the subscription, and every way a WebSocket ends."""

import asyncio
import struct

import pytest
from routes.live_rig import Rig, masked

SPAN = {"seq": 1, "change": 1, "id": "s1", "trace_id": "t1", "parent_id": None, "model": "m", "tags": [], "status": 200}


class Batch:
    def __init__(self, *rows: dict) -> None:
        self.rows, self.updated, self.deleted = list(rows), frozenset(), []
        self.change = max(row["change"] for row in rows)


def run(scenario, **given) -> None:
    async def whole() -> None:
        async with Rig(**given) as rig:
            await scenario(rig)

    asyncio.run(whole())


def test_greeting_and_spans() -> None:
    """A client is switched over, greeted, and hears of a span, of the trace it opens, and of the statistics."""

    async def scenario(rig: Rig) -> None:
        client = await rig.connect()
        assert client.head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
        assert (await client.message())["type"] == "hello"
        rig.hub.publish(Batch(SPAN))
        assert [(await client.message())["type"] for _ in range(3)] == ["new_span", "new_trace", "stats_update"]

    run(scenario)


def test_subscription_with_a_filter() -> None:
    """A subscription gets batches of what its filter lets through; a frame glued to the handshake counts."""

    async def scenario(rig: Rig) -> None:
        subscribe = b'{"type":"subscribe","fields":"summary","filter":{"model":"m","status":"success"}}'
        client = await rig.connect(behind=masked(1, subscribe))
        await client.message()
        rig.hub.publish(Batch(SPAN, SPAN | {"seq": 2, "change": 2, "model": "other"}))
        message = await client.message()
        assert (message["type"], message["op"], message["seq"]) == ("trace", "new", 2)
        assert [row["id"] for row in message["rows"]] == ["s1"]
        assert "seq" not in message["rows"][0]  # the short form it asked for

    run(scenario)


@pytest.mark.parametrize("given", ['{"cost_min": "much"}', "[1]", '{"model": ["a"]}'])
def test_wrong_filter_is_answered(given: str) -> None:
    """A filter that makes no sense is answered with a sentence; the connection stays."""

    async def scenario(rig: Rig) -> None:
        client = await rig.connect()
        await client.message()
        client.send(1, b'{"type":"subscribe","filter":%b}' % given.encode())
        message = await client.message()
        assert message["type"] == "error"
        assert message["error"]
        client.send(9, b"still there?")
        assert await client.frame() == (10, b"still there?")

    run(scenario)


def test_foreign_messages_are_ignored() -> None:
    """What is no subscription changes nothing: text, JSON of other shapes, absurd nesting."""

    async def scenario(rig: Rig) -> None:
        client = await rig.connect()
        await client.message()
        for text in (b"hello", b"[]", b"{}", b'{"type":"other"}', b"[" * 5000):
            client.send(1, text)
        client.send(9, b"x")
        assert await client.frame() == (10, b"x")

    run(scenario)


def test_reconnecting_with_the_last_change() -> None:
    """A client that tells the last change it knows hears of the gap."""

    async def scenario(rig: Rig) -> None:
        rig.hub.publish(Batch(SPAN | {"change": 8}))
        client = await rig.connect()
        assert (await client.message())["seq"] == 8
        client.send_json({"type": "subscribe", "traces": True, "after": 3})
        assert await client.message() == {"type": "gap", "from": 3, "to": 8}

    run(scenario)


@pytest.mark.parametrize(
    ("request_text", "status", "sentence"),
    [
        ("GET /ws HTTP/1.1\r\nHost: x\r\n\r\n", b"400", b"WebSocket upgrade failed"),
        (
            (
                "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 8\r\n\r\n"
            ),
            b"426",
            b"version 13",
        ),
    ],
)
def test_refused_handshakes(request_text: str, status: bytes, sentence: bytes) -> None:
    """A plain GET gets 400, another version 426 with ours; the HTTP connection lives on and can still upgrade."""

    async def scenario(rig: Rig) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.server.port)
        writer.write(request_text.encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.split()[1] == status
        assert status != b"426" or b"sec-websocket-version: 13\r\n" in head
        size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        assert sentence in await reader.readexactly(size)
        writer.write(request_text.encode())
        assert (await reader.readuntil(b"\r\n\r\n")).split()[1] == status
        writer.close()
        await writer.wait_closed()

    run(scenario)


def test_too_many_listeners() -> None:
    """Beyond the cap a handshake gets 503."""

    async def scenario(rig: Rig) -> None:
        await rig.connect()
        assert (await rig.connect()).head.startswith(b"HTTP/1.1 503")

    run(scenario, max_listeners=1)


def test_close_is_answered_once_and_the_server_closes() -> None:
    """A client's close comes back with its code, then the connection ends."""

    async def scenario(rig: Rig) -> None:
        client = await rig.connect()
        await client.message()
        client.send(8, struct.pack("!H", 1000) + b"bye")
        assert await client.frame() == (8, struct.pack("!H", 1000))
        assert await client.rest() == b""
        assert repr(rig.live) == "<Live 0 peers>"

    run(scenario)


@pytest.mark.parametrize(
    ("data", "code"),
    [(b"\x81\x01x", 1002), (masked(2, b"x"), 1003), (masked(1, b"\xff"), 1007), (b"\x81\xfe\xff\xff" * 2, 1009)],
    ids=["unmasked", "binary", "bad UTF-8", "too long"],
)
def test_breaches_are_closed_with_their_code(data: bytes, code: int) -> None:
    """Whoever breaks the protocol is told how before the connection ends."""

    async def scenario(rig: Rig) -> None:
        client = await rig.connect()
        await client.message()
        if code == 1009:
            data_sent = b"\x81\xff" + struct.pack("!Q", 1 << 30)
        else:
            data_sent = data
        client.writer.write(data_sent)
        opcode, payload = await client.frame()
        assert (opcode, struct.unpack("!H", payload[:2])[0]) == (8, code)
        if code == 1003:
            client.send(8, payload[:2])
        assert await client.rest() == b""

    run(scenario)


def test_stopping_says_goodbye() -> None:
    """At the end every listener gets 1001; one that answers is gone at once, one that does not is dropped."""

    async def scenario(rig: Rig) -> None:
        polite, silent = await rig.connect(), await rig.connect()
        await polite.message()
        await silent.message()
        stopping = asyncio.ensure_future(rig.live.stop())
        opcode, payload = await polite.frame()
        assert (opcode, payload[:2]) == (8, struct.pack("!H", 1001))
        polite.send(8, payload[:2])
        assert await polite.rest() == b""
        await stopping
        assert repr(rig.live) == "<Live 0 peers>"
        assert (await silent.frame())[0] == 8

    run(scenario)


def test_listener_that_vanishes_is_forgotten() -> None:
    """A connection that breaks leaves nothing behind."""

    async def scenario(rig: Rig) -> None:
        client = await rig.connect()
        await client.message()
        client.writer.transport.abort()
        async with asyncio.timeout(30):
            while repr(rig.live) != "<Live 0 peers>":
                await asyncio.sleep(0.005)
        assert not rig.hub._listeners

    run(scenario)


def test_slow_listener_is_dropped_and_others_are_not() -> None:
    """Who does not read is cut off at the bound; the others hear everything."""

    async def scenario(rig: Rig) -> None:
        slow, quick = await rig.connect(), await rig.connect()
        await quick.message()
        slow.writer.transport.pause_reading()
        big = SPAN | {"span_name": "x" * 60_000}
        received = 0
        for seq in range(1, 200):
            rig.hub.publish(Batch(big | {"seq": seq, "change": seq, "parent_id": "p"}))
            while (await quick.message())["type"] != "new_span":
                pass
            received += 1
        assert received == 199
        assert repr(rig.live) == "<Live 1 peers>"

    run(scenario)


def test_the_websockets_package_talks_to_us() -> None:
    """An independent client connects, subscribes, hears and closes cleanly."""
    websockets = pytest.importorskip("websockets.asyncio.client")

    async def scenario(rig: Rig) -> None:
        async with websockets.connect(f"ws://127.0.0.1:{rig.server.port}/ws", compression="deflate") as socket:
            assert '"hello"' in await socket.recv()
            await socket.send('{"type": "subscribe", "traces": true}')
            await (await socket.ping())
            rig.hub.publish(Batch(SPAN))
            assert '"op":"new"' in await socket.recv()
        assert socket.close_code == 1000

    run(scenario)
