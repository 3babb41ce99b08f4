"""The door to the store for finished calls: bounded, never blocking, and honest about what it had to let go.

While commits advance, a full queue makes new calls wait (`is_full`, `when_room`); streams in flight are never held
up. When nothing commits for STALL_S (disk full, database locked) calls go on: bodies are dropped first, then rows, and
both are counted. Everything here runs on the loop's thread.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from llmflow_web.model import MAX_STORED_BODY_BYTES, Arrivals, Capture, Exchange

MAX_QUEUED_ROWS = 2000
MAX_QUEUED_BYTES = 32 * 1024 * 1024
MAX_CAPTURE_MEMORY_BYTES = 64 * 1024 * 1024
"""Copies of bodies kept over all calls in flight."""

STALL_S = 0.25
"""A full queue without a commit for this long means that the store cannot write."""

_HARD_FACTOR = 2
"""Calls in flight may overshoot the bound so many times; then bodies, then rows are let go whatever the store does."""


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """The bounds of the queue and of the copies in memory."""

    max_rows: int = MAX_QUEUED_ROWS
    max_bytes: int = MAX_QUEUED_BYTES
    stall_s: float = STALL_S
    max_capture_bytes: int = MAX_CAPTURE_MEMORY_BYTES
    max_body_bytes: int = MAX_STORED_BODY_BYTES


class Writer(Protocol):
    """What of the database the recorder needs."""

    @property
    def pending_rows(self) -> int:
        """Items taken and not yet committed."""

    @property
    def pending_bytes(self) -> int:
        """Their weight."""

    @property
    def committed_rows(self) -> int:
        """Rows written since the start."""

    @property
    def last_commit_monotonic(self) -> float:
        """When the last commit was, on time.monotonic's clock."""

    @property
    def lost_rows(self) -> int:
        """Rows the store itself had to let go."""

    @property
    def lost_bodies(self) -> int:
        """Rows the store itself kept without their bodies."""

    def put(self, item: object, weight: int) -> None:
        """Queue an item; never blocks."""


class CaptureBudget:
    """Memory for copies of bodies, shared by all calls in flight. Belongs to the loop's thread."""

    __slots__ = ("limit", "used")

    def __init__(self, limit: int = MAX_CAPTURE_MEMORY_BYTES) -> None:
        self.limit = limit
        self.used = 0

    def __repr__(self) -> str:
        return f"<CaptureBudget {self.used} of {self.limit}>"

    def release(self, capture: Capture | None) -> None:
        """Give back what `capture` took: from now on the queue counts it."""
        if isinstance(capture, BudgetedCapture) and capture.budget is self:
            self.used -= capture.stored
            capture.budget = None


class BudgetedCapture(Capture):
    """A capture that stops keeping when the memory shared by all calls is used up. What it has kept has no holes."""

    __slots__ = ("budget",)

    def __init__(self, limit: int, budget: CaptureBudget) -> None:
        super().__init__(limit)
        self.budget: CaptureBudget | None = budget

    def add(self, data: bytes) -> None:
        """Count `data` and keep what fits under the limit and into the budget."""
        budget = self.budget
        if budget is None:
            super().add(data)
            return
        room = budget.limit - budget.used
        before = self.stored
        if len(data) > room:
            self.limit = min(self.limit, before + max(0, room))
        super().add(data)
        budget.used += self.stored - before


class Recorder:
    """Takes closed exchanges and queues them for the writer thread."""

    def __init__(
        self,
        database: Writer,
        limits: QueueLimits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._limits = limits or QueueLimits()
        self._clock = clock
        self.budget = CaptureBudget(self._limits.max_capture_bytes)
        self.lost_rows = 0
        self.lost_bodies = 0
        self._full_since: float | None = None
        self._waiting: deque[Callable[[], None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Recorder pending={self._database.pending_rows} waiting={len(self._waiting)} lost={self.lost_rows}>"

    def capture(self) -> Capture:
        """Return a new copy-keeper for one body, bounded for itself and together with all others."""
        return BudgetedCapture(self._limits.max_body_bytes, self.budget)

    # ── taking ───────────────────────────────────────────────────────────────────────────────────────────────────

    def put(self, exchange: Exchange) -> None:
        """Take a closed exchange; never raises, never blocks. What the bounds do not allow is let go and counted."""
        self.budget.release(exchange.request)
        self.budget.release(exchange.response)
        if self._is_over() and self._must_shed():
            if self._database.pending_rows >= self._limits.max_rows * _HARD_FACTOR:
                self.lost_rows += 1
                return
            if exchange.request is not None or exchange.response is not None:
                self._drop_bodies(exchange)
        self._database.put(exchange, exchange.weight)
        self._is_over()  # the clock of a stall starts with the call that fills the queue

    def _drop_bodies(self, exchange: Exchange) -> None:
        exchange.request = exchange.response = None
        exchange.arrivals = Arrivals()
        exchange.notes.append("the bodies were let go: the store could not keep up")
        self.lost_bodies += 1

    def _is_over(self) -> bool:
        """Say whether the bound is reached, and remember since when."""
        database, limits = self._database, self._limits
        is_over = database.pending_rows >= limits.max_rows or database.pending_bytes >= limits.max_bytes
        if not is_over:
            self._full_since = None
        elif self._full_since is None:
            self._full_since = self._clock()
        return is_over

    def _is_stalled(self) -> bool:
        """Say whether the queue is full and nothing has been committed for too long."""
        if self._full_since is None:
            return False
        since = max(self._full_since, self._database.last_commit_monotonic)
        return self._clock() - since >= self._limits.stall_s

    def _must_shed(self) -> bool:
        database, limits = self._database, self._limits
        return (
            self._is_stalled()
            or database.pending_bytes >= limits.max_bytes * _HARD_FACTOR
            or database.pending_rows >= limits.max_rows * _HARD_FACTOR
        )

    # ── waiting ──────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def is_full(self) -> bool:
        """Say whether a new call shall wait: the queue is full and being emptied."""
        return self._is_over() and not self._is_stalled()

    def when_room(self, callback: Callable[[], None]) -> None:
        """Call `callback` on the loop when there is room, or when waiting has become pointless."""
        self._waiting.append(callback)
        self._watch()

    def on_commit(self) -> None:
        """Let waiting calls go on after a commit. On the loop's thread, please."""
        self._release()

    def _watch(self) -> None:
        """Look again when the store may count as stalled: then no commit will come to release anybody."""
        if self._timer is None and self._waiting:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._limits.stall_s, self._look)

    def _look(self) -> None:
        self._timer = None
        self._release()
        self._watch()

    def _release(self) -> None:
        while self._waiting and not self.is_full:
            self._waiting.popleft()()

    def close(self) -> None:
        """Let everybody go on; nothing waits for a store that is closing."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting:
            self._waiting.popleft()()

    def counts(self) -> dict[str, int]:
        """Return the figures for /api/health."""
        return {
            "recorded": self._database.committed_rows,
            "pending": self._database.pending_rows,
            "pending_bytes": self._database.pending_bytes,
            "waiting": len(self._waiting),
            "lost_rows": self.lost_rows + self._database.lost_rows,
            "lost_bodies": self.lost_bodies + self._database.lost_bodies,
        }
