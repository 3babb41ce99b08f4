"""The peer around a WebSocket: pings, silence, bounds and the closing handshake, on a real socket pair."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable

from llmflow_web.net import socket_peer
from llmflow_web.net.socket_peer import SocketPeer
from llmflow_web.wire.websocket import apply_mask, encode_text


def masked(opcode: int, payload: bytes = b"") -> bytes:
    return bytes([0x80 | opcode, 0x80 | len(payload)]) + b"abcd" + apply_mask(payload, b"abcd")


class Desk:
    """A peer on one end of a socket pair, streams on the other."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.gone = 0

    async def open(self, rest: bytes = b"", **given) -> None:
        ours, theirs = socket.socketpair()
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
        self.reader, self.writer = await asyncio.open_connection(sock=theirs)

        def on_gone() -> None:
            self.gone += 1

        self.peer = SocketPeer(on_text=self.texts.append, on_gone=on_gone, **given)
        self.peer.attach(transport, rest)

    async def read(self, count: int) -> bytes:
        return await asyncio.wait_for(self.reader.readexactly(count), 60)

    async def close(self) -> None:
        self.peer.drop()
        self.writer.close()
        await asyncio.sleep(0)
        await asyncio.sleep(0)


def run(scenario: Callable[[Desk], Awaitable[None]], **given) -> None:
    async def whole() -> None:
        desk = Desk()
        await desk.open(**given)
        await scenario(desk)
        await desk.close()
        assert desk.gone == 1

    asyncio.run(whole())


def test_bytes_behind_the_request_count() -> None:
    """What was read behind the handshake is read as frames."""

    async def scenario(desk: Desk) -> None:
        assert desk.texts == ["early"]

    run(scenario, rest=masked(1, b"early"))


def test_last_of_several_pings_is_answered() -> None:
    """Of pings that come together the last is answered."""

    async def scenario(desk: Desk) -> None:
        desk.writer.write(masked(9, b"1") + masked(9, b"2"))
        assert await desk.read(3) == b"\x8a\x012"

    run(scenario)


def test_pings_keep_a_listening_peer() -> None:
    """A peer that answers pings stays however long it says nothing else."""

    async def scenario(desk: Desk) -> None:
        for _ in range(5):
            assert await desk.read(2) == b"\x89\x00"
            desk.writer.write(masked(10))
        assert desk.peer.state == "open"

    run(scenario, ping_every_s=0.02, silence_s=30)


def test_silence_ends_the_connection() -> None:
    """A peer that answers no ping is dropped."""

    async def scenario(desk: Desk) -> None:
        await asyncio.wait_for(desk.peer.wait_gone(), 60)
        assert desk.peer.state == "gone"

    run(scenario, ping_every_s=0.01, silence_s=0.03)


def test_close_waits_for_its_answer_only_so_long() -> None:
    """A close that stays unanswered ends in a drop; nothing is sent after it."""

    async def scenario(desk: Desk) -> None:
        desk.peer.close(1001, "going")
        desk.peer.send(encode_text(b"late"))
        desk.peer.close(1000)
        assert await desk.read(9) == b"\x88\x07" + struct.pack("!H", 1001) + b"going"
        assert await desk.reader.read() == b""

    run(scenario, close_wait_s=0.02)


def test_text_after_our_close_is_ignored() -> None:
    """Once we have closed, what still comes is read only for the peer's close."""

    async def scenario(desk: Desk) -> None:
        desk.peer.close()
        desk.writer.write(masked(1, b"late") + masked(8, b"\x03\xe9"))
        await asyncio.wait_for(desk.peer.wait_gone(), 60)
        assert desk.texts == []

    run(scenario)


def test_peer_that_reads_too_slowly_is_dropped(monkeypatch) -> None:
    """More than MAX_WAITING_BYTES never wait for one peer."""
    monkeypatch.setattr(socket_peer, "MAX_WAITING_BYTES", 1000)

    async def scenario(desk: Desk) -> None:
        desk.writer.transport.pause_reading()
        frame = encode_text(b"x" * 900)
        for _ in range(10_000):
            desk.peer.send(frame)
        assert desk.peer.state == "gone"

    run(scenario)


def test_repr_tells_the_state() -> None:
    """The peer says what it is doing."""

    async def scenario(desk: Desk) -> None:
        assert repr(desk.peer) == "<SocketPeer open, 0 bytes waiting>"

    run(scenario)
