"""The database as the rest of the house sees it: put rows, ask questions, run write jobs.

One writer thread owns the only connection that writes. It gathers what was put into batches, writes each batch and its
summaries in one transaction, and tells of it once after the commit. Work that can wait (search index, retention, giving
space back) is done in small pieces when nothing else is to do.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from llmflow_web.errors import StoreRefused
from llmflow_web.model import JSON, Log, Metric, Span, Taken
from llmflow_web.store import files
from llmflow_web.store.commit import Commit
from llmflow_web.store.counters import Counters
from llmflow_web.store.ledger import Entry, Ledger
from llmflow_web.store.limits import Limits
from llmflow_web.store.logs import log_summary
from llmflow_web.store.metrics import metric_summary_of
from llmflow_web.store.readers import Readers
from llmflow_web.store.retention import choose
from llmflow_web.store.search import Texts
from llmflow_web.store.writer import Writer
from llmflow_web.store.written import Changed, Written
from llmflow_web.wire.filter import Filter

__all__ = ["Batch", "Database", "Limits"]

T = TypeVar("T")

DEFAULT_BUDGET_S = 2.0


@dataclass(frozen=True)
class Batch:
    """What one commit changed. `deleted` holds {"trace_id": …} of traces that went.

    `new_logs` and `new_metrics` are those that were not there before, whole.
    """

    written: tuple[Written | Changed, ...] = ()  # `Changed` are rows of old that look different now
    deleted: tuple[JSON, ...] = ()
    change: int = 0  # the newest change number after this commit
    new_logs: tuple[Log, ...] = ()
    new_metrics: tuple[Metric, ...] = ()
    unrecorded: tuple[Span, ...] = ()  # calls that were counted and not kept
    ledger: tuple[Entry, ...] = ()  # what budgets have now, of those that moved

    @cached_property
    def rows(self) -> list[JSON]:
        """The spans written, as list elements; made when first asked for, so that nobody listening costs nothing."""
        return [written.list_row() for written in self.written]

    @cached_property
    def updated(self) -> frozenset[int]:
        """The seqs among `rows` that were there before."""
        return frozenset(written.seq for written in self.written if written.change is not None)

    @cached_property
    def logs(self) -> list[JSON]:
        """Summaries of the new log records (contract section 10), made when first asked for."""
        return [log_summary(log) for log in self.new_logs]

    @cached_property
    def metrics(self) -> list[JSON]:
        """Summaries of the new data points, made when first asked for."""
        return [metric_summary_of(point) for point in self.new_metrics]

    @property
    def stats_changed(self) -> bool:
        """Say whether statistics may differ now."""
        return bool(self.written or self.deleted)


class Database:
    """llmflow.db: opened and locked by `open`, served by threads after `start`, flushed and let go by `close`."""

    def __init__(
        self,
        path: Path,
        *,
        to_rows: Callable[[object], Sequence[Taken]],
        on_commit: Callable[[Batch], None],
        texts: Texts,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.time,
        ledger: Ledger | None = None,
    ) -> None:
        self.path = path
        self.kept_aside: Path | None = None  # where a damaged file was put by `open`
        self._clock = clock
        self._lock = files.DirLock(path.parent)
        self._screen = Readers(path, 2, "screen", texts)
        self._long = Readers(path, 1, "long", texts)

        def committed(written: Commit, deleted: list[JSON], change: int) -> None:
            on_commit(
                Batch(
                    tuple(written.spans),
                    tuple(deleted),
                    change,
                    tuple(written.logs),
                    tuple(written.metrics),
                    tuple(written.unrecorded),
                    tuple(written.ledger),
                )
            )

        self._writer = Writer(
            to_rows=to_rows,
            committed=committed,
            texts=texts,
            limits=limits or Limits(),
            clock=clock,
            on_damage=lambda: files.mark_damaged(path),
            follow=self._open_if_gone,
            ledger=ledger,
        )
        self._known: list[tuple[int, int] | None] = []  # which files we have open
        self.renewals = 0  # how often the file has gone under us

    def __repr__(self) -> str:
        return f"<Database {self.path} pending={self.pending_rows} error={self.error!r}>"

    def open(self) -> None:
        """Lock the data dir and open the file, making it when it is not there. A damaged one is set aside.

        Raises:
            StoreRefused: Another server holds the dir, or the file is not ours or newer than we are.
        """
        files.prepare_folder(self.path.parent)
        self._lock.acquire()
        try:
            files.refuse_foreign(self.path)
            self._writer.attach(self._open_or_set_aside())
            self._known = self._identities()
        except BaseException:
            self._lock.release()
            raise

    def _open_or_set_aside(self) -> sqlite3.Connection:
        now = self._clock()
        try:
            return files.open_writer(self.path, int(now * 1000))
        except sqlite3.OperationalError as error:
            raise StoreRefused(f"{self.path} cannot be opened: {error}.") from error
        except sqlite3.DatabaseError:
            self.kept_aside = files.set_aside(self.path, now)
            return files.open_writer(self.path, int(now * 1000))

    def _identities(self) -> list[tuple[int, int] | None]:
        return [files.identity(part) for part in files.with_companions(self.path)]

    def _open_if_gone(self) -> sqlite3.Connection | None:
        """Open the file anew when somebody has removed or replaced it; else what is written would be lost unseen.

        On the writer thread. Raises StoreRefused when what is there now is not ours.
        """
        if files.identity(self.path) == self._known[0]:
            return None
        files.prepare_folder(self.path.parent)
        self._lock.renew()
        files.refuse_foreign(self.path)
        for part, known in zip(files.with_companions(self.path)[1:], self._known[1:], strict=True):
            if known is not None and files.identity(part) == known:  # the log of a file that is no more
                part.unlink(missing_ok=True)
        connection = self._open_or_set_aside()
        self._known = self._identities()
        self._screen.renew()
        self._long.renew()
        self.renewals += 1
        return connection

    def note_ports(self, *ports: int) -> None:
        """Write our ports into the lock file, for whoever finds it held."""
        self._lock.describe(ports)

    def start(self) -> None:
        """Start the writer and the readers."""
        self._writer.start()
        self._screen.start()
        self._long.start()

    def put(self, item: object, weight: int) -> None:
        """Hand over something `to_rows` understands; from any thread, never waits."""
        self._writer.put(item, weight)

    def call(self, fn: Callable[[sqlite3.Connection], T]) -> Future[T]:
        """Run a write job in its own transaction, after all that was put before it is committed."""
        return self._writer.call(fn)

    def read(
        self, fn: Callable[..., T], *args: Any, long: bool = False, budget_s: float | None = DEFAULT_BUDGET_S
    ) -> Future[T]:
        """Run `fn(connection, *args)` on a reader. Long work has a thread of its own and by itself no time budget."""
        if long:
            return self._long.ask(fn, args, None if budget_s == DEFAULT_BUDGET_S else budget_s)
        return self._screen.ask(fn, args, budget_s)

    def close(self, timeout_s: float = 10.0) -> None:
        """Write what is pending, end the threads, let the file and the lock go."""
        self._screen.close(timeout_s)
        self._long.close(timeout_s)
        self._writer.close(timeout_s)
        self._lock.release()

    def delete_traces(self, which: Filter | Sequence[str]) -> Future[int]:
        """Delete whole traces: those of these ids, or those of which a filter lets a span through.

        Gives the number of spans gone. It takes back their share of all sums; `is_erased` tells when their text is
        gone from the file, too.
        """
        answer: Future[int] = Future()
        answer.set_running_or_notify_cancel()  # from here on it cannot be cancelled, only answered

        def begin(found: Future[Any]) -> None:
            _chain(found, lambda chosen: _chain(self._writer.delete_traces(chosen), answer.set_result, answer), answer)

        self.call(_nothing).add_done_callback(
            lambda _: begin(self.read(choose, which, long=True))
        )  # after what was put before it is committed, so that it is found
        return answer

    def rewrite(self, fn: Callable[[sqlite3.Connection, Counters], list[Written | Changed]]) -> Future[int]:
        """Run a job that writes spans anew in its own transaction, and tell of them; gives how many were written."""
        return self._writer.rewrite(fn)

    def prune(self) -> Future[None]:
        """Prune down to the limits now and wipe what went; `is_settled` tells when it is done."""
        return self._writer.prune_now()

    def shed_bodies(self) -> int:
        """Drop the bodies of all that waits, keep the rows, and return the bytes set free."""
        return self._writer.shed_bodies()

    def shed_rows(self, count: int) -> int:
        """Drop the oldest waiting rows, at least `count` if there are so many, and return how many."""
        return self._writer.shed_rows(count)

    @property
    def pending_rows(self) -> int:
        """Rows put and not yet committed."""
        return self._writer.pending_rows

    @property
    def pending_bytes(self) -> int:
        """Bytes those rows hold in memory, by the weight given with them."""
        return self._writer.pending_bytes

    @property
    def committed_rows(self) -> int:
        """Rows committed since the start."""
        return self._writer.committed_rows

    @property
    def span_count(self) -> int:
        """Spans in the file, without counting them."""
        return self._writer.span_count

    @property
    def change(self) -> int:
        """The newest change number."""
        return self._writer.change

    @property
    def lost_rows(self) -> int:
        """Rows that could not be kept: shed, or not storable."""
        return self._writer.lost_rows

    @property
    def lost_bodies(self) -> int:
        """Rows kept without their bodies."""
        return self._writer.lost_bodies

    @property
    def last_commit_monotonic(self) -> float:
        """When rows were last committed, by time.monotonic()."""
        return self._writer.last_commit_monotonic

    @property
    def error(self) -> str | None:
        """Why nothing can be written just now, or None."""
        return self._writer.trouble

    @property
    def is_erased(self) -> bool:
        """Say whether the text of all explicit deletions is gone from the file, too."""
        return self._writer.is_erased

    @property
    def is_settled(self) -> bool:
        """Say whether nothing waits to be written and no upkeep (index, retention, wiping) is due."""
        return self._writer.is_settled


def _nothing(_: sqlite3.Connection) -> None:
    """Do nothing: a job that only waits for its turn."""


def _chain(future: Future[Any], then: Callable[[Any], None], answer: Future[Any]) -> None:
    """Go on with a future's result, or give its error to who waits for the answer."""

    def go_on(done: Future[Any]) -> None:
        error = done.exception()
        if error is not None:
            answer.set_exception(error)
        else:
            then(done.result())

    future.add_done_callback(go_on)
