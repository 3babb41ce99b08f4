"""A recorded answer being played to a relay that reads slowly, or goes."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from llmflow_web.net.cassette_player import BURST, PIECE_BYTES, Player
from llmflow_web.wire.head import FRAMING_CHUNKED, FRAMING_LENGTH, FRAMING_NONE
from llmflow_web.wire.taped import Answer

STREAM = Answer(200, b"OK", (), [b"%d" % at for at in range(100)], (), is_stream=True)


class Listener:
    """What a player needs of a relay."""

    def __init__(self) -> None:
        self.head = None
        self.heard: list[bytes] = []
        self.is_ended = False
        self.is_gone = False
        self.on_data = lambda: None

    def response(self, head) -> None:
        self.head = head

    def data(self, data: bytes) -> None:
        assert not self.is_ended
        self.heard.append(data)
        self.on_data()

    def end(self) -> None:
        self.is_ended = True

    def is_over(self) -> bool:
        return self.is_gone or self.is_ended


async def turns(count: int = 20) -> None:
    """Let the loop go round."""
    for _ in range(count):
        await asyncio.sleep(0)


def play(answer: Answer, act=lambda player, listener: None, *, method: str = "POST", is_timed: bool = False):
    """Play an answer as far as it goes by itself; `act` is called at once."""

    async def go():
        listener = Listener()
        player = Player(asyncio.get_running_loop(), listener, answer, method=method, is_timed=is_timed)
        act(player, listener)
        player.start()
        await turns()
        return player, listener

    return asyncio.run(go())


def test_to_the_end():
    """All pieces come as chunks, then the last chunk, then the end."""
    _, listener = play(STREAM)
    assert listener.is_ended
    assert listener.head.framing == FRAMING_CHUNKED
    assert listener.heard[:2] == [b"1\r\n0\r\n", b"1\r\n1\r\n"]
    assert listener.heard[-1] == b"0\r\n\r\n"
    assert len(listener.heard) == 101


def test_in_turns():
    """Others have their turn: no more than a burst of pieces leaves at a time."""

    async def go() -> None:
        loop = asyncio.get_running_loop()
        listener = Listener()
        player = Player(loop, listener, STREAM, method="POST", is_timed=False)
        player.start()
        seen = [0]
        while not listener.is_ended:
            await asyncio.sleep(0)
            seen.append(len(listener.heard))
        assert max(after - before for before, after in pairwise(seen)) <= BURST

    asyncio.run(go())


def test_a_slow_reader():
    """Nothing more is sent while the client reads too slowly; then it goes on where it stopped."""

    async def go() -> None:
        listener = Listener()
        player = Player(asyncio.get_running_loop(), listener, STREAM, method="POST", is_timed=False)
        listener.on_data = player.pause_reading
        player.start()
        for count in range(1, 101):
            await turns(3)
            assert len(listener.heard) == count
            assert "paused" in repr(player)
            player.resume_reading()
            player.resume_reading()  # once too often does no harm
        await turns()
        assert listener.is_ended

    asyncio.run(go())


@pytest.mark.parametrize("how", ["gone", "abort"])
def test_a_client_that_goes(how):
    """Once the client has gone nothing more is told it."""

    def act(player: Player, listener: Listener) -> None:
        def on_data() -> None:
            if len(listener.heard) == 40:
                listener.is_gone = True
                if how == "abort":
                    player.abort()

        listener.on_data = on_data

    _, listener = play(STREAM, act)
    assert len(listener.heard) == 40
    assert not listener.is_ended


def test_gone_while_waiting():
    """A wait for the next piece's time ends with the client."""

    async def go() -> None:
        listener = Listener()
        slow = Answer(200, b"OK", (), [b"a", b"b"], (0, 600_000), is_stream=True)
        player = Player(asyncio.get_running_loop(), listener, slow, method="POST", is_timed=True)
        player.start()
        await turns()
        assert listener.heard == [b"1\r\na\r\n"]
        player.abort()
        player.abort()
        assert player._next is None

    asyncio.run(go())


def test_framing():
    """A body that is no stream has its length, and leaves in pieces; HEAD, 204 and 304 have none."""
    body = bytes(3 * PIECE_BYTES // 2)
    whole = Answer(200, b"OK", (), [body], (), is_stream=False)
    _, listener = play(whole)
    assert (listener.head.framing, listener.head.content_length) == (FRAMING_LENGTH, len(body))
    assert [len(piece) for piece in listener.heard] == [PIECE_BYTES, PIECE_BYTES // 2]
    for answer, method in ((whole, "HEAD"), (Answer(204, b"", (), [b"x"], (), is_stream=False), "POST")):
        _, listener = play(answer, method=method)
        assert (listener.head.framing, listener.heard, listener.is_ended) == (FRAMING_NONE, [], True)


def test_times_that_do_not_fit():
    """Times that somebody edited away are not waited for."""
    odd = Answer(200, b"OK", (), [b"a", b"b"], (600_000,), is_stream=True)
    assert play(odd, is_timed=True)[1].is_ended
