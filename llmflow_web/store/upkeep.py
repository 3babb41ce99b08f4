"""What the writer does when it has time: feed the search index, prune, wipe what was deleted, give space back.

Each piece is short, so that a row that arrives meanwhile waits for milliseconds only. Under load nothing of it is done
but every few seconds, except that pruning keeps pace once a limit is passed.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from llmflow_web.model import JSON
from llmflow_web.store import search
from llmflow_web.store.counters import Counters
from llmflow_web.store.limits import Limits
from llmflow_web.store.retention import Pruner, checkpoint, free_pages, give_back

_SLICE_S = 0.03  # one piece of indexing
_SLICE_ROWS = 200
_SPARE_PAGES = 1024  # free pages kept for the rows to come (4 MiB)
_SLICE_PAGES = 256
_PAUSE_AFTER_ERROR_S = 5.0
_PAUSE_FOR_READERS_S = 0.1


@dataclass(frozen=True, slots=True)
class Work:
    """One piece of upkeep; `fn` may return traces that went."""

    fn: Callable[[sqlite3.Connection], list[JSON] | None]
    in_transaction: bool = True


class Upkeep:
    """Knows what is due; the writer does it."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._pruner = Pruner(limits, clock)
        self._texts = search.KnownTexts()
        self._last_feed = time.monotonic()
        self._not_before = 0.0
        self._is_pruning = False
        self._has_more = True  # the last look found something left to do
        self._scrubbing = 0  # the deletions the index is being merged for
        self._is_scrubbed = False
        self.last_error: str | None = None

    def note_rows(self, counters: Counters, texts: Mapping[int, str]) -> None:
        """Rows were written, with texts known of some by seq: pruning may be due."""
        self._has_more = True
        self._texts.keep(texts)
        limits = self._limits
        is_over = any(
            have > most * 1.02 + 1000
            for have, most in (
                (counters.spans, limits.max_spans),
                (counters.logs, limits.max_logs),
                (counters.metrics, limits.max_metrics),
            )
        )
        self._is_pruning = self._is_pruning or is_over

    def note_deletion(self) -> None:
        """Traces were deleted on request: there is something to wipe."""
        self._has_more = True

    def prune_now(self) -> None:
        """Prune down to the limits without slack."""
        self._pruner.start()
        self._has_more = True

    @property
    def is_settled(self) -> bool:
        """Say whether the last look found nothing left to do."""
        return not self._has_more

    def is_overdue(self) -> bool:
        """Say whether upkeep may no longer wait for idle time."""
        now = time.monotonic()
        return now >= self._not_before and (self._is_pruning or now - self._last_feed > self._limits.index_every_s)

    def pause(self) -> float | None:
        """Return how long the writer may sleep when nothing comes; None: until something does."""
        wait = self._not_before - time.monotonic()
        if wait > 0:
            return wait
        return 0.0 if self._has_more else self._pruner.pause()

    def back_off(self, error: Exception) -> None:
        """Upkeep failed: try again later."""
        self.last_error = str(error)
        self._not_before = time.monotonic() + _PAUSE_AFTER_ERROR_S

    def due(self, connection: sqlite3.Connection, counters: Counters, *, is_idle: Callable[[], bool]) -> Iterator[Work]:
        """Yield the pieces to do now: one of each kind that is due."""
        self._has_more = True  # until all was looked at
        has_more = False
        if self._pruner.is_due(connection, counters):
            yield Work(lambda c: self._pruner.prune(c, counters))
            has_more = self._pruner.is_at_work
        self._is_pruning = self._pruner.is_at_work
        if is_idle() or time.monotonic() - self._last_feed > self._limits.index_every_s:
            yield from self._feed(counters, is_idle)
        has_more = has_more or counters.indexed < counters.counter
        if is_idle() and not has_more:
            yield from self._tidy(connection, counters)
            has_more = counters.erase_wanted > 0 or _has_spare_pages(connection)
        self._has_more = has_more or not is_idle()

    def _feed(self, counters: Counters, is_idle: Callable[[], bool]) -> Iterator[Work]:
        begun = time.monotonic()
        self._last_feed = begun
        if counters.indexed >= counters.counter:
            return

        def has_time() -> bool:
            return time.monotonic() - begun < (_SLICE_S if is_idle() else _SLICE_S / 3)

        def feed(connection: sqlite3.Connection) -> None:
            search.feed(connection, counters, _SLICE_ROWS, has_time, self._texts)

        yield Work(feed)

    def _tidy(self, connection: sqlite3.Connection, counters: Counters) -> Iterator[Work]:
        if counters.erase_wanted:
            yield Work(lambda c: self._scrub(c, counters))
            if self._is_scrubbed:
                yield Work(lambda c: self._wipe_log(c, counters), in_transaction=False)
        if _has_spare_pages(connection):
            yield Work(lambda c: give_back(c, _SLICE_PAGES), in_transaction=False)

    def _scrub(self, connection: sqlite3.Connection, counters: Counters) -> None:
        """Take deleted text out of the search index, a piece at a time, anew when more was deleted."""
        is_first = self._scrubbing != counters.erase_wanted
        if is_first or not self._is_scrubbed:
            self._scrubbing = counters.erase_wanted
            self._is_scrubbed = search.scrub(connection, is_first=is_first)

    def _wipe_log(self, connection: sqlite3.Connection, counters: Counters) -> None:
        """Empty the write-ahead log, in which deleted text may still stand; again later when a reader is in the way."""
        if not checkpoint(connection):
            self._not_before = time.monotonic() + _PAUSE_FOR_READERS_S
            return
        counters.erase_wanted = self._scrubbing = 0
        self._is_scrubbed = False
        connection.execute("UPDATE counters SET value = 0 WHERE name = 'erase_wanted'")


def _has_spare_pages(connection: sqlite3.Connection) -> bool:
    return free_pages(connection) > _SPARE_PAGES + _SLICE_PAGES
