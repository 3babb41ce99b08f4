"""Deleting whole traces: the oldest when there are too many, or those the user names.

Pruning costs what it deletes: the oldest arrivals are the first keys of `traces`, their number and size are known
without counting. It leaves the statistics alone; a deletion the user asks for takes its share out of them, too.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence

from llmflow_web.model import JSON, Span
from llmflow_web.store.columns import OLD_COLUMNS
from llmflow_web.store.counters import Counters
from llmflow_web.store.inherited import inherit_sessions
from llmflow_web.store.insert import SEQS_OF_TRACE
from llmflow_web.store.limits import BUSY_MS, Limits
from llmflow_web.store.logs import remove_logs_of, remove_oldest_logs
from llmflow_web.store.metrics import remove_oldest_points
from llmflow_web.store.query import compile_filter
from llmflow_web.store.search import forget
from llmflow_web.store.sessions import RollupSums, SessionSums
from llmflow_web.store.standing import release
from llmflow_web.store.sums import share_of
from llmflow_web.wire.filter import Filter

_SLACK = 1 / 64  # over a limit by this share before pruning starts: it then works in whole pieces, not row by row
_MOST_SLACK_ROWS = 1000


class Pruner:
    """Finds and deletes the traces, logs and metrics the limits no longer allow."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._not_before: float | None = None  # by the clock: until then all that is too much is too young to go
        self.is_at_work = False  # between going over a limit and being back at it

    def start(self) -> None:
        """Prune down to the limits now, without slack."""
        self.is_at_work = True
        self._not_before = None

    def is_due(self, connection: sqlite3.Connection, counters: Counters) -> bool:
        """Say whether there is too much, with some slack until work has begun."""
        if self._not_before is not None and self._clock() < self._not_before:
            return False
        slack = 0.0 if self.is_at_work else _SLACK
        limits = self._limits
        self.is_at_work = (
            counters.spans - limits.max_spans > min(_MOST_SLACK_ROWS, limits.max_spans * slack)
            or live_bytes(connection) > limits.max_bytes * (1 + slack)
            or self._has_aged(connection)
            or telemetry_excess(counters, limits) > 0
        )
        return self.is_at_work

    def pause(self) -> float | None:
        """Return the seconds until the next look without a cause; None: nothing ages by itself."""
        if self._not_before is not None:
            return max(0.0, self._not_before - self._clock())
        return None if self._limits.max_age_s is None else _LOOK_S

    def _has_aged(self, connection: sqlite3.Connection) -> bool:
        if self._limits.max_age_s is None:
            return False
        return any(_oldest(connection, table) < self._age_limit_ms() for table in _OLDEST)

    def _age_limit_ms(self) -> float:
        age_s = self._limits.max_age_s
        return float("-inf") if age_s is None else (self._clock() - age_s) * 1000

    def prune(self, connection: sqlite3.Connection, counters: Counters) -> list[JSON]:
        """Delete one piece inside the caller's transaction and return the traces that went."""
        telemetry = self._prune_telemetry(connection, counters)
        is_full = not telemetry and live_bytes(connection) > self._limits.max_bytes
        chosen = self._oldest(connection, counters, is_full=is_full)
        self._not_before = None
        if chosen:
            remove(connection, chosen, counters, from_statistics=False)
        elif not telemetry:
            self.is_at_work = False  # all that is left is too young to go
            self._not_before = self._clock() + _LOOK_S
        return [{"trace_id": trace_id} for _, trace_id in chosen]

    def _prune_telemetry(self, connection: sqlite3.Connection, counters: Counters) -> int:
        """Delete a piece of what is too much of logs and points, too old, or older than every trace of a full file."""
        limits, gone = self._limits, 0
        too_old = self._age_limit_ms()
        if live_bytes(connection) > limits.max_bytes:
            young = (self._clock() - limits.spare_s) * 1000
            too_old = max(too_old, min(_oldest(connection, "traces"), young))
        for over, remove_some in (
            (counters.logs - limits.max_logs, remove_oldest_logs),
            (counters.metrics - limits.max_metrics, remove_oldest_points),
        ):
            if over > 0:
                gone += remove_some(connection, min(over, limits.prune_rows), float("inf"), counters)
            elif too_old > 0:
                gone += remove_some(connection, limits.prune_rows, too_old, counters)
        return gone

    def _oldest(self, connection: sqlite3.Connection, counters: Counters, *, is_full: bool) -> list[tuple[int, str]]:
        now_ms = self._clock() * 1000
        over_rows = counters.spans - self._limits.max_spans
        chosen: list[tuple[int, str]] = []
        rows = 0
        for first_seq, trace_id, arrived_ms, span_count in connection.execute(_BY_ARRIVAL):
            is_wanted = is_full or rows < over_rows or arrived_ms < self._age_limit_ms()
            is_spared = arrived_ms > now_ms - self._limits.spare_s * 1000
            if rows >= self._limits.prune_rows or not is_wanted or is_spared:
                break
            chosen.append((first_seq, trace_id))
            rows += span_count
        return chosen


_OLDEST = {  # the arrival of the oldest row of each table, by the key that counts arrivals
    "traces": "SELECT arrived_ms FROM traces ORDER BY first_seq LIMIT 1",
    "logs": "SELECT arrived_ms FROM logs ORDER BY seq LIMIT 1",
    "metric_points": "SELECT arrived_ms FROM metric_points ORDER BY seq LIMIT 1",
}


def _oldest(connection: sqlite3.Connection, table: str) -> float:
    found = connection.execute(_OLDEST[table]).fetchone()
    return float("inf") if found is None else float(found[0])


_LOOK_S = 5.0
_BY_ARRIVAL = "SELECT first_seq, trace_id, arrived_ms, span_count FROM traces ORDER BY first_seq"


def live_bytes(connection: sqlite3.Connection) -> int:
    """Return the bytes of the file in use, without the free pages it may hold; constant time."""
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def free_pages(connection: sqlite3.Connection) -> int:
    """Return the pages of the file that hold nothing."""
    return int(connection.execute("PRAGMA freelist_count").fetchone()[0])


Chosen = Sequence[tuple[int, str]]
"""Traces to delete: (first seq, trace_id)."""


def choose(connection: sqlite3.Connection, which: Filter | Sequence[str]) -> Chosen:
    """Return the traces of these ids, or of the spans a filter lets through."""
    return _matching(connection, which) if isinstance(which, Filter) else _named(connection, which)


class Deletion:
    """An explicit deletion under way: in pieces, so that calls are recorded meanwhile."""

    def __init__(self, chosen: Chosen, rows: int) -> None:
        self._left = list(reversed(chosen))
        self._rows = rows
        self.count = 0  # spans gone

    @property
    def is_done(self) -> bool:
        """Say whether all chosen traces are gone."""
        return not self._left

    def step(self, connection: sqlite3.Connection, counters: Counters) -> tuple[list[JSON], int]:
        """Delete one piece and return the traces and the number of spans that went."""
        done: list[tuple[int, str]] = []
        count = 0
        for first, trace_id in reversed(self._left):
            if count >= self._rows:
                break
            found = connection.execute("SELECT span_count FROM traces WHERE first_seq = ?", (first,)).fetchone()
            count += found[0] if found else 0
            done.append((first, trace_id))
        gone = remove(connection, done, counters, from_statistics=True)
        counters.erase_wanted += 1
        return [{"trace_id": trace_id} for _, trace_id in done], gone

    def note(self, traces: int, spans: int) -> None:
        """The piece is committed."""
        del self._left[len(self._left) - traces :]
        self.count += spans


def _named(connection: sqlite3.Connection, ids: Sequence[str]) -> list[tuple[int, str]]:
    marks = json.dumps(list(ids))
    sql = "SELECT first_seq, trace_id FROM traces WHERE trace_id IN (SELECT value FROM json_each(?))"
    return connection.execute(sql, (marks,)).fetchall()


def _matching(connection: sqlite3.Connection, chosen: Filter) -> list[tuple[int, str]]:
    compiled = compile_filter(connection, chosen)
    sql = (
        f"SELECT first_seq, trace_id FROM traces WHERE first_seq IN "
        f"(SELECT s.trace_seq FROM {compiled.source}{compiled.where})"
    )
    return connection.execute(sql, compiled.params).fetchall()


def remove(
    connection: sqlite3.Connection, chosen: Sequence[tuple[int, str]], counters: Counters, *, from_statistics: bool
) -> int:
    """Delete these traces (first seq, id) with everything that hangs on their spans."""
    rollup = RollupSums()
    sessions = SessionSums(connection)
    heirs = _joined_to(connection, chosen) if from_statistics else []
    gone = [key for first, _ in chosen for key in _remove_trace(connection, first, sessions, rollup)]
    connection.executemany("DELETE FROM traces WHERE first_seq = ?", [(first,) for first, _ in chosen])
    sessions.write()
    if from_statistics:  # the user wants them gone: what their apps said of them goes with them
        rollup.write(connection)
        remove_logs_of(connection, [trace_id for _, trace_id in chosen], counters)
    if gone:
        counters.spans -= len(gone)
        counters.deleted = counters.next()
        if from_statistics:  # what gave way to them counts again; pruned rows are still in the statistics
            release(connection, gone, counters)
            inherit_sessions(connection, heirs, counters)
    return len(gone)


def _joined_to(connection: sqlite3.Connection, chosen: Sequence[tuple[int, str]]) -> list[str]:
    """Return the ids of the calls that spans of these traces are joined to."""
    found: set[str] = set()
    for first, _ in chosen:
        sql = f"SELECT joined_to FROM spans WHERE seq IN ({SEQS_OF_TRACE}) AND joined_to IS NOT NULL"
        found.update(row[0] for row in connection.execute(sql, {"trace": first}))
    return sorted(found)


def _remove_trace(connection: sqlite3.Connection, first: int, sessions: SessionSums, rollup: RollupSums) -> list[str]:
    """Delete the spans of a trace and return their ids."""
    rows = connection.execute(_SELECT_SPANS, {"trace": first}).fetchall()
    seqs = [row[0] for row in rows]
    for seq, tags, *values in rows:
        span = Span(**dict(zip(OLD_COLUMNS, values, strict=True)))
        _remove_tags(connection, seq, span.start_ns, tags)
        share = share_of(span)
        rollup.add(share, -1)
        if span.session_id is not None:
            sessions.load_more(span.session_id)
            sessions.take(span.session_id, share)
    connection.executemany("DELETE FROM bodies WHERE key >= ? AND key < ?", [(seq * 16, seq * 16 + 16) for seq in seqs])
    forget(connection, seqs)
    connection.executemany("DELETE FROM spans WHERE seq = ?", [(seq,) for seq in seqs])
    return [row[3] for row in rows]


_SELECT_SPANS = f"SELECT seq, tags, {', '.join(OLD_COLUMNS)} FROM spans WHERE seq IN ({SEQS_OF_TRACE})"


def _remove_tags(connection: sqlite3.Connection, seq: int, start_ns: int, tags: str | None) -> None:
    if tags:
        connection.executemany(
            "DELETE FROM span_tags WHERE tag = ? AND start_ns = ? AND seq = ?",
            [(tag, start_ns, seq) for tag in json.loads(tags)],
        )


def telemetry_excess(counters: Counters, limits: Limits) -> int:
    """Return by how many rows logs and metrics are over their limits."""
    return max(0, counters.logs - limits.max_logs) + max(0, counters.metrics - limits.max_metrics)


def give_back(connection: sqlite3.Connection, pages: int) -> None:
    """Return up to so many free pages to the file system."""
    connection.execute(f"PRAGMA incremental_vacuum({pages})").fetchall()


def checkpoint(connection: sqlite3.Connection) -> bool:
    """Move everything from the log into the file and empty the log; say whether no reader was in the way."""
    connection.execute("PRAGMA busy_timeout = 0")  # do not wait for readers: rows may be waiting for us
    try:
        busy: int = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    finally:
        connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    return not busy
