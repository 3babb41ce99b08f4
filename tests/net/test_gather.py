"""Bodies gathered within one bound of memory: who is let in, who is told to come again."""

import asyncio

import pytest

from llmflow_web.errors import Busy, RequestError, TooLarge
from llmflow_web.net.gather import SMALL_BYTES, BodyMemory, gather_body

LIMIT = 8 * SMALL_BYTES


class Head:
    def __init__(self, length: int) -> None:
        self.content_length = length


class Call:
    """A call whose body comes when the test says so."""

    def __init__(self, length: int = 0) -> None:
        self.head = Head(length)
        self.sink = None

    def read(self, sink) -> None:
        self.sink = sink


def run(scenario) -> None:
    asyncio.run(asyncio.wait_for(scenario(), 20))


async def begun(memory: BodyMemory, limit: int = LIMIT):
    """Begin to gather a body; returns (call, held, task)."""
    call, held = Call(), memory.hold()
    task = asyncio.ensure_future(gather_body(call, held, limit))
    while call.sink is None:
        await asyncio.sleep(0)
    return call, held, task


def test_body_in_pieces() -> None:
    """A body is what its pieces were, and its memory is held until it is given back."""

    async def scenario() -> None:
        memory = BodyMemory(LIMIT)
        call, held, task = await begun(memory)
        with held:
            for piece in (b"a", b"bc", b"d"):
                call.sink.data(piece)
            call.sink.end()
            assert b"".join(await task) == b"abcd"
            assert (memory.used, held.size) == (4, 4)
            held.resize(10)
            assert memory.used == 10
        assert memory.used == 0
        assert "used" not in repr(held)
        assert "0 of" in repr(memory)

    run(scenario)


def test_length_that_is_too_large_is_refused_unread() -> None:
    """A length over the limit is refused before a byte is read; bytes over it as soon as they come."""

    async def scenario() -> None:
        memory = BodyMemory(LIMIT)
        call = Call(11)
        with pytest.raises(TooLarge):
            await gather_body(call, memory.hold(), 10)
        assert call.sink is None
        call, held, task = await begun(memory, 10)
        with held:
            call.sink.data(b"x" * 11)
            with pytest.raises(TooLarge):
                await task
            call.sink.data(b"y")  # what still comes is not kept
            call.sink.end()
        assert memory.used == 0

    run(scenario)


def test_small_bodies_come_in_beside_large_ones() -> None:
    """Large bodies fill three quarters at most; then they are told to come again, and small ones still pass."""

    async def scenario() -> None:
        memory = BodyMemory(LIMIT)
        first, held_first, _ = await begun(memory)
        first.sink.data(b"x" * (6 * SMALL_BYTES))
        second, held_second, task = await begun(memory)
        second.sink.data(b"x" * SMALL_BYTES)  # in the last quarter, while it may still be a small one
        second.sink.data(b"x")
        with pytest.raises(Busy):
            await task
        held_second.resize(0)
        small, held_small, task = await begun(memory)
        small.sink.data(b"small")
        small.sink.end()
        assert await task == [b"small"]
        held_small.resize(0)
        held_first.resize(0)
        assert memory.used == 0

    run(scenario)


def test_one_alone_always_comes_in() -> None:
    """A body that is larger than all the memory passes when nobody else holds any."""

    async def scenario() -> None:
        memory = BodyMemory(10)
        call, held, task = await begun(memory)
        call.sink.data(b"x" * 100)
        call.sink.end()
        assert len(b"".join(await task)) == 100
        await held.wait_for_others()
        other, held_other, task = await begun(memory)
        other.sink.data(b"x")
        with pytest.raises(Busy):
            await task
        held.resize(0)
        held_other.resize(0)

    run(scenario)


def test_waiting_for_others() -> None:
    """Who would go on while all together hold too much waits until others have given enough back."""

    async def scenario() -> None:
        memory = BodyMemory(10)
        large, small = memory.hold(), memory.hold()
        small.resize(2)
        large.resize(20)
        waiting = asyncio.ensure_future(small.wait_for_others())
        await asyncio.sleep(0)
        large.resize(15)
        for _ in range(3):
            await asyncio.sleep(0)
        assert not waiting.done()
        large.resize(0)
        await waiting

    run(scenario)


def test_body_that_breaks_off() -> None:
    """A body that will not come is told as such, once."""

    async def scenario() -> None:
        memory = BodyMemory(LIMIT)
        call, held, task = await begun(memory)
        with held:
            call.sink.data(b"ab")
            call.sink.abort(RequestError("The client closed the connection."))
            call.sink.abort(RequestError("again"))
            with pytest.raises(RequestError, match="closed"):
                await task
        assert memory.used == 0

    run(scenario)
