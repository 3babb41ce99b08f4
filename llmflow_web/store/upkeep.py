"""What the writer does when it has time: feed the search index, prune, wipe what was deleted, give space back.

Each piece is short, so that a row that arrives meanwhile waits for milliseconds only.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from llmflow_web.store import search
from llmflow_web.store.counters import Counters
from llmflow_web.store.limits import Limits
from llmflow_web.store.retention import Pruner

_SLICE_S = 0.03  # one piece of indexing
_SLICE_ROWS = 100
_PAUSE_AFTER_ERROR_S = 5.0


@dataclass(frozen=True, slots=True)
class Work:
    """One piece of upkeep."""

    fn: Callable[[sqlite3.Connection], object]
    in_transaction: bool = True


class Upkeep:
    """Knows what is due; the writer does it."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._pruner = Pruner(limits, clock)
        self._last_feed = time.monotonic()
        self._not_before = 0.0
        self.last_error: str | None = None

    def note_rows(self) -> None:
        """Rows were written."""

    def note_deletion(self) -> None:
        """Traces were deleted on request."""

    def is_overdue(self) -> bool:
        """Say whether upkeep may no longer wait for idle time."""
        return time.monotonic() - self._last_feed > self._limits.index_every_s

    def pause(self, counters: Counters) -> float | None:
        """Return how long the writer may sleep when nothing comes."""
        if time.monotonic() < self._not_before:
            return self._not_before - time.monotonic()
        return 0.0 if counters.indexed < counters.counter else None

    def back_off(self, error: sqlite3.Error) -> None:
        """Upkeep failed: try again later."""
        self.last_error = str(error)
        self._not_before = time.monotonic() + _PAUSE_AFTER_ERROR_S

    def due(
        self, connection: sqlite3.Connection, counters: Counters, *, is_idle: Callable[[], bool]
    ) -> Iterator[Work]:
        """Yield the pieces to do now."""
        self._last_feed = time.monotonic()
        if counters.indexed < counters.counter:
            deadline = time.monotonic() + _SLICE_S

            def has_time() -> bool:
                return time.monotonic() < deadline and is_idle()

            yield Work(lambda c: search.feed(c, counters, _SLICE_ROWS, has_time))
