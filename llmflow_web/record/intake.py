"""The way into the store for what others send: spans, logs and metrics, taken in pieces and told when they are on disk.

The recorder's queue belongs to proxied calls, and new ones wait while it is full. So what comes in here never holds
more than a share of it: posts take turns, piece by piece. Everything runs on the loop's thread.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from llmflow_web.errors import StoreError
from llmflow_web.model import Log, Row, Stored

T = TypeVar("T")

PIECE_ROWS = 200  # as many as the writer writes in one transaction
PIECE_BYTES = 2 * 1024 * 1024
ROW_BYTES = 1024
"""What a row weighs beside its bodies."""

_VALUE_BYTES = 64  # what a value in a dict weighs beside its text
_DEPTH = 4  # of values that are weighed


class Store(Protocol):
    """What of store.database.Database is used."""

    @property
    def error(self) -> str | None:
        """Why nothing can be written just now, or None."""

    def put(self, item: object, weight: int) -> None:
        """Queue rows."""

    def call(self, fn: Callable[[Any], T]) -> Future[T]:
        """Run a job after what was put before it is committed."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows that go into the queue as one."""

    items: list[Stored]
    weight: int


class Intake:
    """Takes rows in and says when they are committed."""

    def __init__(self, store: Store, *, max_rows: int = 1000, max_bytes: int = 16 * 1024 * 1024) -> None:
        """Put into `store` what does not bring the rows of ours that wait there over `max_rows` and `max_bytes`."""
        self._store = store
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._rows = 0
        self._bytes = 0
        self._waiting: deque[tuple[Piece, asyncio.Future[None]]] = deque()

    def __repr__(self) -> str:
        return f"<Intake {self._rows} rows under way, {len(self._waiting)} posts waiting>"

    def check(self) -> None:
        """Raise StoreError when nothing can be written just now: then it is better not to begin."""
        error = self._store.error
        if error is not None:
            raise StoreError(error)

    async def store(self, pieces: Iterable[Piece]) -> None:
        """Queue pieces as there is room, and return when all of them are on disk. Raises StoreError."""
        self.check()
        committed: asyncio.Future[None] | None = None
        for piece in pieces:
            await self._room(piece)
            self.check()
            committed = self._put(piece)
        if committed is not None:
            await committed

    def _put(self, piece: Piece) -> asyncio.Future[None]:
        rows, weight = len(piece.items), piece.weight
        self._rows += rows
        self._bytes += weight
        self._store.put(piece.items, weight)
        # A job that does nothing: its turn comes when the rows are on disk.
        committed = asyncio.wrap_future(self._store.call(_nothing))
        committed.add_done_callback(lambda future: self._settle(rows, weight, future))
        return committed

    def _settle(self, rows: int, weight: int, committed: asyncio.Future[None]) -> None:
        self._rows -= rows
        self._bytes -= weight
        if not committed.cancelled():
            committed.exception()  # has been seen: a post asks for that of its last piece only
        self._release()

    async def _room(self, piece: Piece) -> None:
        """Wait for our turn, behind those who came before."""
        if not self._waiting and self._fits(piece):
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((piece, turn))
        try:
            await turn
        finally:
            if turn.cancelled():
                self._release()

    def _fits(self, piece: Piece) -> bool:
        if not self._rows:
            return True
        return self._rows + len(piece.items) <= self._max_rows and self._bytes + piece.weight <= self._max_bytes

    def _release(self) -> None:
        """Let the next one go on; it puts its piece before anybody after it is let go."""
        while self._waiting and self._waiting[0][1].done():
            self._waiting.popleft()
        if self._waiting and self._fits(self._waiting[0][0]):
            _, turn = self._waiting.popleft()
            turn.set_result(None)
            asyncio.get_running_loop().call_soon(self._release)


def pieces_of(items: Sequence[Stored]) -> list[Piece]:
    """Cut rows into pieces for the queue, with their weights."""
    pieces: list[Piece] = []
    held: list[Stored] = []
    weight = 0
    for item in items:
        size = weight_of(item)
        if held and (len(held) == PIECE_ROWS or weight + size > PIECE_BYTES):
            pieces.append(Piece(held, weight))
            held, weight = [], 0
        held.append(item)
        weight += size
    return [*pieces, Piece(held, weight)] if held else pieces


def weight_of(item: Stored) -> int:
    """Return about how much memory a row holds."""
    if isinstance(item, Row):
        return ROW_BYTES + sum(len(body.data) for body in item.bodies) + len(item.text or "")
    more = len(item.body or "") if isinstance(item, Log) else _weight(item.histogram_data)
    return ROW_BYTES + more + _weight(item.attributes) + _weight(item.detail)


def _weight(value: Any, depth: int = _DEPTH) -> int:
    if isinstance(value, str):
        return _VALUE_BYTES + len(value)
    if depth and isinstance(value, Mapping):
        return _VALUE_BYTES + sum(_VALUE_BYTES + _weight(one, depth - 1) for one in value.values())
    if depth and isinstance(value, list):
        return _VALUE_BYTES + sum(_weight(one, depth - 1) for one in value)
    return _VALUE_BYTES


def _nothing(_connection: Any) -> None:
    """Do nothing."""
