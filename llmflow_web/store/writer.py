"""The writer thread: what is put, job by job and batch by batch, onto the disk.

States: waiting for something → gathering up to 50 ms or 200 rows → writing. A write that fails (disk full, locked,
read-only) is tried again with growing pauses until it succeeds; meanwhile jobs fail at once and the queue may be shed.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from llmflow_web.errors import StoreError
from llmflow_web.model import JSON, Exchange, Row, Taken, Unrecorded
from llmflow_web.store import counters as counting
from llmflow_web.store.commit import Commit, insert, storable
from llmflow_web.store.ledger import Ledger
from llmflow_web.store.limits import Limits
from llmflow_web.store.retention import Chosen, Deletion, checkpoint
from llmflow_web.store.search import Connection, Texts
from llmflow_web.store.upkeep import Upkeep
from llmflow_web.store.written import Changed, Written

T = TypeVar("T")

ROW_BYTES = 1024  # what a row without bodies weighs
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 2.0
_STUCK_S = 2.0  # after which a batch that is still being written is worth a sentence

Committed = Callable[[Commit, list[JSON], int], None]


@dataclass(slots=True)
class _Item:
    """Something put: one exchange, or a list of rows."""

    item: object
    weight: int
    rows: int


@dataclass(slots=True, eq=False)
class Job:
    """A write job and its answer."""

    fn: Callable[[sqlite3.Connection], Any]
    future: Future[Any] = field(default_factory=Future)


class Writer:
    """The one thread that writes."""

    def __init__(
        self,
        *,
        to_rows: Callable[[object], Sequence[Taken]],
        committed: Committed,
        texts: Texts,
        limits: Limits,
        clock: Callable[[], float],
        on_damage: Callable[[], None] = lambda: None,
        follow: Callable[[], sqlite3.Connection | None] = lambda: None,
        ledger: Ledger | None = None,
    ) -> None:
        """Prepare a writer.

        ledger: where what is written is counted for budgets.
        follow: asked before each batch; returns another connection when the file under ours has gone.
        """
        self.pending_rows = 0
        self.pending_bytes = 0
        self.committed_rows = 0
        self.lost_rows = 0
        self.lost_bodies = 0
        self.last_commit_monotonic = time.monotonic()
        self.error: str | None = None
        self._to_rows = to_rows
        self._committed = committed
        self._texts = texts
        self._limits = limits
        self._clock = clock
        self._on_damage = on_damage
        self._follow = follow
        self._ledger = ledger
        self._writing_since: float | None = None  # the batch under way
        self._queue: deque[_Item | Job] = deque()
        self._lock = threading.Lock()  # guards the queue and the pending figures
        self._wake = threading.Event()
        self._full = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="llmflow-writer", daemon=True)
        self._connection: Any = None  # the writer thread's own, from attach on
        self._counters = counting.Counters()
        self._upkeep = Upkeep(limits, clock)
        self._deletions: deque[tuple[Deletion, Future[int]]] = deque()
        self._gone: list[JSON] = []  # traces deleted in the transaction under way

    # Any thread

    def attach(self, connection: sqlite3.Connection) -> None:
        """Take over the open connection."""
        if isinstance(connection, Connection):
            connection.texts = self._texts
        given = self._counters.counter  # numbers never go back, not even with a new file
        self._connection = connection
        self._counters = counting.load(connection)
        self._counters.counter = max(given, self._counters.counter)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def put(self, item: object, weight: int) -> None:
        """Queue an item."""
        rows = len(item) if isinstance(item, list) else 1
        with self._lock:
            self._queue.append(_Item(item, weight, rows))
            self.pending_rows += rows
            self.pending_bytes += weight
        if not self._wake.is_set():
            self._wake.set()
        if self.pending_rows >= self._limits.batch_rows and not self._full.is_set():
            self._full.set()

    def call(self, fn: Callable[[sqlite3.Connection], T]) -> Future[T]:
        """Queue a job."""
        job = Job(fn)
        with self._lock:
            is_open = not self._closing.is_set() or self._thread.is_alive()
            if is_open:
                self._queue.append(job)
        if not is_open:
            job.future.set_exception(StoreError("The database is closed."))
        self._wake.set()
        self._full.set()
        return job.future

    def delete_traces(self, chosen: Chosen) -> Future[int]:
        """Queue the deletion of whole traces; the answer is the number of spans that went."""
        answer: Future[int] = Future()
        answer.set_running_or_notify_cancel()  # from here on it cannot be cancelled, only answered
        begun = self.call(lambda _: self._deletions.append((Deletion(chosen, self._limits.prune_rows), answer)))
        begun.add_done_callback(lambda future: _pass_on_error(future, answer))
        return answer

    def rewrite(self, fn: Callable[[sqlite3.Connection, counting.Counters], list[Written | Changed]]) -> Future[int]:
        """Queue a job that writes spans anew, and tell of them as of any commit; the answer is how many."""
        answer: Future[int] = Future()
        answer.set_running_or_notify_cancel()  # from here on it cannot be cancelled, only answered

        def tell(done: Future[list[Written | Changed]]) -> None:
            error = done.exception()
            if error is not None:
                answer.set_exception(error)
                return
            written = done.result()
            if written:
                self._upkeep.note_rows(self._counters, {})
                self._tell(Commit(written))
            answer.set_result(sum(isinstance(one, Written) for one in written))

        self.call(lambda connection: fn(connection, self._counters)).add_done_callback(tell)
        return answer

    def prune_now(self) -> Future[None]:
        """Prune down to the limits and wipe what went; `is_settled` tells when it is done."""

        def work(_: sqlite3.Connection) -> None:
            self._counters.erase_wanted += 1
            self._upkeep.prune_now()

        return self.call(work)

    def shed_bodies(self) -> int:
        """Drop the bodies of all that waits."""
        freed = 0
        with self._lock:
            for entry in self._queue:
                if isinstance(entry, _Item) and entry.weight > ROW_BYTES * entry.rows and _drop_bodies(entry):
                    self.lost_bodies += entry.rows
                    freed += entry.weight - ROW_BYTES * entry.rows
                    entry.weight = ROW_BYTES * entry.rows
            self.pending_bytes -= freed
        return freed

    def shed_rows(self, count: int) -> int:
        """Drop the oldest items that wait, at least `count` rows of them."""
        gone = 0
        with self._lock:
            jobs: list[Job] = []
            while self._queue and gone < count:
                entry = self._queue.popleft()
                if isinstance(entry, Job):
                    jobs.append(entry)
                    continue
                gone += entry.rows
                self.pending_rows -= entry.rows
                self.pending_bytes -= entry.weight
            self._queue.extendleft(reversed(jobs))
            self.lost_rows += gone
        return gone

    def close(self, timeout_s: float) -> None:
        """Write what waits, then end. What cannot be written in time is lost."""
        self._closing.set()
        self._wake.set()
        self._full.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        elif self._connection is not None:
            self._connection.close()

    @property
    def span_count(self) -> int:
        """Spans in the file, as the writer counts them."""
        return self._counters.spans

    @property
    def change(self) -> int:
        """The number given last."""
        return self._counters.counter

    @property
    def trouble(self) -> str | None:
        """Why nothing is written just now, or None."""
        since = self._writing_since
        waited = 0.0 if since is None else time.monotonic() - since
        if self.error is None and waited > _STUCK_S:
            return f"The database has taken nothing for {waited:.0f} s; another process may hold its lock."
        return self.error

    @property
    def is_erased(self) -> bool:
        """Say whether nothing deleted is left in the file."""
        return self._counters.erase_wanted == 0 and not self._deletions

    @property
    def is_settled(self) -> bool:
        """Say whether nothing waits and no upkeep is due."""
        return not self._queue and not self._deletions and self._upkeep.is_settled

    # The writer thread

    def _run(self) -> None:
        try:
            while self._queue or self._deletions or not self._closing.is_set():
                self._take_turn()
        finally:
            self._finish()

    def _take_turn(self) -> None:
        """Let nothing end the thread: without it every call from here on would be lost."""
        try:
            self._turn()
        except Exception as error:  # noqa: BLE001 - a defect of ours; it shows in `error` until the next commit
            self.error = f"The database's writer stumbled: {error!r}."
            self._closing.wait(_FIRST_PAUSE_S)

    def _turn(self) -> None:
        if self._deletions:
            self._do_deletion()
        elif not self._queue:
            self._wake.clear()
            if not self._queue and not self._closing.is_set():
                self._wake.wait(self._upkeep.pause())
        if not self._queue:
            if not self._closing.is_set() and not self._deletions:
                self._do_upkeep()
            return
        self._gather()
        items, job = self._take()
        rows = [row for item in items for row in self._rows_of(item)]
        if items:
            self._write_all(rows)
            self._settle(items)
        if job is not None:
            self._do_job(job)
        if self._upkeep.is_overdue():
            self._do_upkeep()

    def _gather(self) -> None:
        """Give others up to 50 ms to join the batch."""
        self._full.clear()
        if self.pending_rows < self._limits.batch_rows and not self._has_job() and not self._closing.is_set():
            self._full.wait(self._limits.batch_s)

    def _has_job(self) -> bool:
        with self._lock:
            return any(isinstance(entry, Job) for entry in self._queue)

    def _take(self) -> tuple[list[_Item], Job | None]:
        """Take a batch from the queue, up to the next job; or that job."""
        items: list[_Item] = []
        count = 0
        with self._lock:
            while self._queue and count < self._limits.batch_rows:
                entry = self._queue[0]
                if isinstance(entry, Job) and items:
                    break  # it stays where `_fail` finds it until what came before it is on disk
                self._queue.popleft()
                if isinstance(entry, Job):
                    return items, entry
                items.append(entry)
                count += entry.rows
        return items, None

    def _rows_of(self, entry: _Item) -> Sequence[Taken]:
        try:
            return self._to_rows(entry.item)
        except Exception:  # noqa: BLE001 - one item that cannot be read must not end the thread
            self.lost_rows += entry.rows
            return []

    def _settle(self, items: list[_Item]) -> None:
        with self._lock:
            self.pending_rows -= sum(item.rows for item in items)
            self.pending_bytes -= sum(item.weight for item in items)

    def _write_all(self, rows: Sequence[Taken]) -> None:
        size = self._limits.batch_rows
        for begin in range(0, len(rows), size):
            self._write(rows[begin : begin + size])

    def _write(self, rows: Sequence[Taken]) -> None:
        """Write one batch, however often it takes; given up only when we close."""
        self._writing_since = time.monotonic()
        try:
            self._insist(rows)
        finally:
            self._writing_since = None

    def _insist(self, rows: Sequence[Taken]) -> None:
        pause = _FIRST_PAUSE_S
        while True:
            try:
                self._follow_file()
                written = self._insert(rows)
            except Exception as error:  # noqa: BLE001 - whatever it is, the thread goes on
                if not _is_our_trouble(error):
                    self._write_singly(rows)
                    return
                self._fail(error)
                if self._closing.wait(pause) and pause > _FIRST_PAUSE_S:
                    self.lost_rows += len(rows)
                    return
                pause = min(pause * 2, _LONGEST_PAUSE_S)
            else:
                self._note(_kept(rows), written)
                return

    def _follow_file(self) -> None:
        """Go over to the file that is there now, when somebody has removed ours or put another in its place."""
        connection = self._follow()
        if connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self.attach(connection)

    def _insert(self, rows: Sequence[Taken]) -> Commit:
        now_ms = int(self._clock() * 1000)
        return self._transact(lambda connection: insert(connection, rows, self._counters, now_ms, self._ledger))

    def _write_singly(self, rows: Sequence[Taken]) -> None:
        """Some row holds a value SQLite cannot store: keep the others, and of that one what can be kept."""
        for row in rows:
            try:
                written = self._insert([storable(row)])
            except Exception:  # noqa: BLE001 - this row is the culprit, or the disk's trouble has begun meanwhile
                self.lost_rows += 1
            else:
                self._note(_kept([row]), written)

    def _note(self, count: int, written: Commit) -> None:
        self.error = None
        self.committed_rows += count
        self.last_commit_monotonic = time.monotonic()
        self._upkeep.note_rows(self._counters, written.texts)
        if self._ledger is not None:
            self._ledger.committed(written.ledger)
        self._tell(written)

    def _tell(self, written: Commit) -> None:
        gone, self._gone = self._gone, []
        with suppress(Exception):  # what listeners do with it is not the writer's affair
            self._committed(written, gone, self._counters.counter)

    def _fail(self, error: Exception) -> None:
        """Remember why nothing can be written, and let nobody wait for it."""
        self.error = error.message if isinstance(error, StoreError) else f"The database cannot be written: {error}."
        if type(error) is sqlite3.DatabaseError:
            self._on_damage()
        with self._lock:
            jobs = [entry for entry in self._queue if isinstance(entry, Job)]
            for job in jobs:
                self._queue.remove(job)
        for job in jobs:
            if job.future.set_running_or_notify_cancel():
                job.future.set_exception(StoreError(self.error))

    def _transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run work in one transaction; the counters go back with it when it fails."""
        before = self._counters.copy()
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            result = work(connection)
            counting.save(connection, self._counters, before)
            connection.execute("COMMIT")
        except BaseException:
            self._counters = before
            self._gone = []
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return result

    def _do_job(self, job: Job) -> None:
        if not job.future.set_running_or_notify_cancel():
            return
        try:
            result = self._transact(job.fn)
        except sqlite3.Error as error:
            job.future.set_exception(StoreError(f"The database cannot be written: {error}."))
        except BaseException as error:  # noqa: BLE001 - the asker gets it, the thread goes on
            job.future.set_exception(error)
        else:
            job.future.set_result(result)

    def _do_deletion(self) -> None:
        """Delete one piece of the oldest deletion under way."""
        deletion, answer = self._deletions[0]
        try:
            gone, spans = self._transact(lambda c: deletion.step(c, self._counters))
        except sqlite3.Error as error:
            self._deletions.popleft()
            answer.set_exception(StoreError(f"The database cannot be written: {error}."))
            return
        deletion.note(len(gone), spans)
        self._gone = gone
        self._tell(Commit())
        self._upkeep.note_deletion()
        if deletion.is_done:
            self._deletions.popleft()
            answer.set_result(deletion.count)

    def _do_upkeep(self) -> None:
        try:
            for work in self._upkeep.due(self._connection, self._counters, is_idle=lambda: not self._queue):
                gone = self._transact(work.fn) if work.in_transaction else work.fn(self._connection)
                if gone:
                    self._gone = gone
                    self._tell(Commit())
        except Exception as error:  # noqa: BLE001 - what can wait may fail: later again
            self._upkeep.back_off(error)

    def _finish(self) -> None:
        with self._lock:
            left, self._queue = list(self._queue), deque()
        for entry in left:
            if isinstance(entry, Job) and entry.future.set_running_or_notify_cancel():
                entry.future.set_exception(StoreError("The database is closed."))
        with suppress(sqlite3.Error):  # what stays in the log is read at the next start
            checkpoint(self._connection)
        self._connection.close()


def _kept(rows: Sequence[Taken]) -> int:
    return sum(not isinstance(row, Unrecorded) for row in rows)


def _is_our_trouble(error: Exception) -> bool:
    """Say whether the disk or the file is to blame (full, locked, read-only, damaged) rather than a row."""
    return isinstance(error, (sqlite3.OperationalError, StoreError)) or type(error) is sqlite3.DatabaseError


def _pass_on_error(begun: Future[Any], answer: Future[Any]) -> None:
    error = begun.exception()
    if error is not None:
        answer.set_exception(error)


def _drop_bodies(entry: _Item) -> bool:
    """Let go of the bodies an item holds, if any; the row remains and says so."""
    item = entry.item
    if isinstance(item, Exchange):
        item.request = item.response = None
        item.notes.append("bodies were dropped: the database could not be written")
    elif isinstance(item, list) and any(isinstance(row, Row) and row.bodies for row in item):
        entry.item = [
            replace(row, span=_marked(row), bodies=(), text=None) if isinstance(row, Row) else row for row in item
        ]
    else:
        return False  # logs and metrics have none
    return True


def _marked(row: Row) -> Any:
    return replace(row.span, dropped=[*row.span.dropped, "bodies"])
