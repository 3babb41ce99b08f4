"""Request bodies gathered whole, all of them together within one bound of memory.

A body that would pass the bound is refused with Busy, and its sender comes again: nothing waits half read. Large ones
may fill it only in part, so that small ones still come in while somebody sends much, or slowly.
"""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType
from typing import Self

from llmflow_web.errors import Busy, LLMFlowError, TooLarge
from llmflow_web.net.http import ServerCall

SMALL_BYTES = 1024 * 1024
_LARGE_SHARE = 0.75  # of the memory, for bodies over SMALL_BYTES


class BodyMemory:
    """The memory shared by all bodies and what is made of them. Belongs to the loop's thread."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self.waiting: deque[asyncio.Future[None]] = deque()

    def __repr__(self) -> str:
        return f"<BodyMemory {self.used} of {self.limit}, waiting: {len(self.waiting)}>"

    def hold(self) -> Held:
        """Return a share that holds nothing yet; leaving its `with` gives it back."""
        return Held(self)

    def has_room(self, size: int, more: int) -> bool:
        """Say whether a share of `size` bytes may grow by `more`. One that is alone always may."""
        if self.used == size:
            return True
        limit = self.limit if size + more <= SMALL_BYTES else self.limit * _LARGE_SHARE
        return self.used + more <= limit

    def change(self, by: int) -> None:
        """Note that a share has grown or shrunk."""
        self.used += by
        while self.waiting:
            waiting = self.waiting.popleft()
            if not waiting.done():
                waiting.set_result(None)


class Held:
    """What one request holds of the memory."""

    def __init__(self, memory: BodyMemory) -> None:
        self._memory = memory
        self.size = 0

    def __repr__(self) -> str:
        return f"<Held {self.size} of {self._memory!r}>"

    def grow(self, by: int) -> bool:
        """Take more; False when there is no room for it."""
        if not self._memory.has_room(self.size, by):
            return False
        self.resize(self.size + by)
        return True

    def resize(self, size: int) -> None:
        """Hold `size` bytes, whatever others do."""
        by, self.size = size - self.size, size
        self._memory.change(by)

    async def wait_for_others(self) -> None:
        """Wait while all together hold more than the limit, as what comes out of compressed bodies can bring about."""
        memory = self._memory
        while memory.used > memory.limit and memory.used > self.size:
            waiting = asyncio.get_running_loop().create_future()
            memory.waiting.append(waiting)
            await waiting

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.resize(0)


async def gather_body(call: ServerCall, held: Held, limit: int) -> list[bytes]:
    """Wait for the whole body of a call; return its pieces, for whoever has time to join many megabytes.

    Raises TooLarge over `limit` bytes, Busy when the memory is full, RequestError if the body breaks off.
    """
    if call.head.content_length > limit:
        raise _too_large(limit)
    gatherer = _Gatherer(held, limit)
    call.read(gatherer)
    return await gatherer.whole


class _Gatherer:
    """Takes a body piece by piece (net.http.BodySink)."""

    __slots__ = ("_held", "_limit", "_pieces", "whole")

    def __init__(self, held: Held, limit: int) -> None:
        self.whole: asyncio.Future[list[bytes]] = asyncio.get_running_loop().create_future()
        self._held = held
        self._limit = limit
        self._pieces: list[bytes] = []

    def data(self, data: bytes) -> None:
        """Take payload bytes."""
        if self.whole.done():
            return
        if self._held.size + len(data) > self._limit:
            self.abort(_too_large(self._limit))
        elif not self._held.grow(len(data)):
            self.abort(Busy("Too much is being taken in at once; send it again in a moment."))
        else:
            self._pieces.append(data)

    def end(self) -> None:
        """The body is complete."""
        if not self.whole.done():
            self.whole.set_result(self._pieces)

    def abort(self, error: LLMFlowError) -> None:
        """The body will not come, or is not wanted."""
        if not self.whole.done():
            self._pieces.clear()
            self.whole.set_exception(error)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body is larger than {limit} bytes.")
