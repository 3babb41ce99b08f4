"""Writing spans: insert or update by (trace_id, id), and every summary in the same transaction.

The ordinary row, alone in a trace never seen before, takes the short way: one look-up per batch tells that its
trace is new, so nothing of it can be there to take back.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from llmflow_web.model import Body, Row, Span
from llmflow_web.store.columns import INSERT, OLD_COLUMNS, UPDATE, has_flags, stored_values
from llmflow_web.store.completing import complete
from llmflow_web.store.counters import Counters
from llmflow_web.store.ledger import Move
from llmflow_web.store.marks import (
    AWAY,
    BELOW,
    JOINED,
    OURS,
    STANDS,
    TOLD,
    counts,
    counts_in_trace,
    has_repeated,
    marks_of,
)
from llmflow_web.store.sessions import RollupSums, SessionSums
from llmflow_web.store.standing import settle
from llmflow_web.store.sums import Share, share_of
from llmflow_web.store.written import Changed, Rank, Trace, Written

ENCODING_PLAIN = 0
ENCODING_ZLIB = 1
COMPRESS_FROM_BYTES = 16 * 1024  # zlib triples the cost of a small row and saves little (docs/performance.md)


@dataclass(frozen=True, slots=True)
class _Old:
    """What is stored of a span that comes again."""

    seq: int
    tags: list[str]
    marks: int
    span: Span

    def is_moved_by(self, span: Span, marks: int) -> bool:
        """Say whether a new version takes from its ancestors what the stored one gave them."""
        is_usage_gone = has_repeated(self.marks & ~BELOW) and not has_repeated(marks & ~BELOW)
        return is_usage_gone or self.span.parent_id != span.parent_id


def rank_of(span: Span, share: Share, seq: int) -> Rank:
    """Order the spans of a trace by how much they look like its root: parentless, first, longest, first to arrive."""
    has_parent = span.parent_id is not None and span.parent_id != span.id
    return has_parent, share.start_ns, -share.end_ns, seq


def encode_body(body: Body) -> tuple[int, bytes]:
    """Return how a body is stored: compressed when it is long and that helps."""
    if len(body.data) >= COMPRESS_FROM_BYTES:
        packed = zlib.compress(body.data, 1)
        if len(packed) < len(body.data) * 0.9:
            return ENCODING_ZLIB, packed
    return ENCODING_PLAIN, body.data


def insert_rows(
    connection: sqlite3.Connection,
    rows: Sequence[Row],
    counters: Counters,
    now_ms: int,
    moves: list[Move] | None = None,
) -> list[Written | Changed]:
    """Write rows and their summaries inside the caller's transaction.

    Returns what was written, then the rows of old that look different for it. moves: what counts for budgets, signed,
    is added to this list.
    """
    batch = _Batch(connection, counters, now_ms, moves)
    unique = _last_of_each(complete(connection, rows))
    batch.load(unique)
    for row in unique:
        batch.add(row)
    batch.write()
    return [*batch.written, *settle(connection, batch.written, counters, moves)]


def _last_of_each(rows: Sequence[Row]) -> Sequence[Row]:
    """Fold rows of the same span within one batch: the last span, the newest of each part."""
    folded: dict[tuple[str, str], Row] = {}
    for row in rows:
        key = (row.span.trace_id, row.span.id)
        before = folded.get(key)
        if before is not None:
            parts = {body.part: body for body in (*before.bodies, *row.bodies)}
            row = Row(row.span, tuple(parts.values()))  # noqa: PLW2901 - the folded row takes its place
        folded[key] = row
    return rows if len(folded) == len(rows) else list(folded.values())


class _Batch:
    """The work of one transaction."""

    def __init__(
        self, connection: sqlite3.Connection, counters: Counters, now_ms: int, moves: list[Move] | None
    ) -> None:
        self.written: list[Written] = []
        self._moves = moves
        self._connection = connection
        self._counters = counters
        self._now_ms = now_ms
        self._traces: dict[str, Trace] = {}
        self._old: dict[tuple[str, str], _Old] = {}
        self._sessions = SessionSums(connection)
        self._session_traces: set[tuple[str, int]] = set()
        self._rollup = RollupSums()
        self._inserts: list[tuple[Any, ...]] = []
        self._updates: list[tuple[Any, ...]] = []
        self._roots: dict[int, int] = {}  # seq → is_root, for rows whose role changes after they were queued
        self._bodies: list[tuple[Any, ...]] = []
        self._tags: list[tuple[str, int, int]] = []
        self._gone_tags: list[tuple[str, int, int]] = []
        self._stretched: set[str] = set()  # traces whose ends must be found anew
        self._headless: set[str] = set()  # traces whose root must be elected anew

    def load(self, rows: Iterable[Row]) -> None:
        """Read the traces, spans and sessions these rows may touch."""
        self._load_traces(list({row.span.trace_id for row in rows}))
        if self._traces:
            self._load_old([row.span for row in rows if row.span.trace_id in self._traces])
        sessions = {row.span.session_id for row in rows} | {old.span.session_id for old in self._old.values()}
        self._sessions.load(session for session in sessions if session is not None)

    def _load_traces(self, ids: list[str]) -> None:
        marks = ",".join("?" * len(ids))
        for *values, parent_id, root_id, start_ns, duration_ns in self._connection.execute(
            _SELECT_TRACES.format(marks), ids
        ):
            has_parent = parent_id is not None and parent_id != root_id
            rank = (has_parent, start_ns, -(start_ns + (duration_ns or 0)), values[5])
            self._traces[values[1]] = Trace(*values, rank)  # type: ignore[call-arg] # values are the 13 columns

    def _load_old(self, spans: list[Span]) -> None:
        for span in spans:
            found = self._connection.execute(_SELECT_OLD, (span.id, span.trace_id)).fetchone()
            if found is not None:
                seq, tags, marks, *values = found
                stored = Span(**dict(zip(OLD_COLUMNS, values, strict=True)))
                self._old[span.trace_id, span.id] = _Old(seq, json.loads(tags) if tags else [], marks, stored)

    def add(self, row: Row) -> None:
        """Take one row in."""
        old = self._old.get((row.span.trace_id, row.span.id))
        written = self._add_new(row) if old is None else self._add_again(row, old)
        span, seq = written.span, written.seq
        self._tags.extend((tag, span.start_ns, seq) for tag in set(span.tags))
        for body in row.bodies:
            encoding, data = encode_body(body)
            self._bodies.append((seq * 16 + body.part, encoding, body.size, body.is_cut, body.is_raw, data))
        self.written.append(written)

    def _add_new(self, row: Row) -> Written:
        span, has, marks = row.span, has_flags(row), marks_of(row.span)
        if span.joined_to is not None:
            span = replace(span, joined_to=None)  # only `standing` says so
        share, seq = share_of(span), self._counters.next()
        trace = self._trace_for(span, share, seq)
        self._elect(trace, rank_of(span, share, seq))
        is_root = trace.root_seq == seq
        self._inserts.append((seq, trace.first_seq, None, is_root, *stored_values(span, has, marks)))
        self._counters.spans += 1
        trace.call_count += marks & OURS == OURS
        self._add_sums(trace, span, share, marks)
        return Written(span, seq, None, has, trace, marks)

    def _add_again(self, row: Row, old: _Old) -> Written:
        """Take in a new version of a stored span; how it stands to others stays until `standing` looks again."""
        has, change = has_flags(row), self._counters.next()
        marks = marks_of(row.span) | old.marks & (JOINED | AWAY | TOLD | BELOW | STANDS)
        span = replace(row.span, joined_to=old.span.joined_to, counts=counts(marks))
        share, trace = share_of(span), self._traces[span.trace_id]
        self._updates.append((change, *stored_values(span, has, marks), old.seq))
        self._take_back(trace, old, span, share)
        trace.call_count += (marks & OURS == OURS) - (old.marks & OURS == OURS)
        self._add_sums(trace, span, share, marks)
        return Written(span, old.seq, change, has, trace, marks, old.is_moved_by(span, marks))

    def _trace_for(self, span: Span, share: Share, seq: int) -> Trace:
        trace = self._traces.get(span.trace_id)
        if trace is None:
            trace = self._traces[span.trace_id] = Trace(
                seq, span.trace_id, self._now_ms, share.start_ns, share.end_ns, seq, 0, 0, 0, 0.0, 0, None, 0,
                rank_of(span, share, seq), True,
            )  # fmt: skip
        return trace

    def _elect(self, trace: Trace, rank: Rank) -> None:
        """Make a span the root of its trace when it ranks before the present one."""
        if rank >= trace.root_rank:
            return
        self._roots[trace.root_seq] = 0
        self._roots[rank[3]] = 1
        trace.root_seq, trace.root_rank = rank[3], rank

    def _add_sums(self, trace: Trace, span: Span, share: Share, marks: int) -> None:
        trace.add(_in_trace(span, share, marks), 1)
        trace.start_ns = min(trace.start_ns, share.start_ns)
        trace.end_ns = max(trace.end_ns, share.end_ns)
        self._rollup.add(share, 1)
        if self._moves is not None and span.counts:
            self._moves.append((span, 1))
        if span.session_id is not None:
            self._add_session(trace, span.session_id, span, share)

    def _add_session(self, trace: Trace, session_id: str, span: Span, share: Share) -> None:
        self._sessions.add(session_id, span, share)
        if (session_id, trace.first_seq) not in self._session_traces:
            self._session_traces.add((session_id, trace.first_seq))
            if trace.is_new:
                self._sessions.add_trace(session_id)
            elif trace.session_id != session_id:
                self._sessions.recount(session_id)
        trace.session_id = trace.session_id or session_id

    def _take_back(self, trace: Trace, old: _Old, span: Span, share: Share) -> None:
        """Subtract what a span added when it came before."""
        before = share_of(old.span)
        trace.add(_in_trace(old.span, before, old.marks), -1)
        self._rollup.add(before, -1)
        if self._moves is not None and old.span.counts:
            self._moves.append((replace(old.span, tags=old.tags), -1))
        if old.span.session_id is not None:
            self._sessions.take(old.span.session_id, before)
            if trace.session_id == old.span.session_id != span.session_id:
                trace.session_id = None  # perhaps none of its spans is left in that session
        self._gone_tags.extend((tag, old.span.start_ns, old.seq) for tag in old.tags)
        if share.start_ns > before.start_ns == trace.start_ns or share.end_ns < before.end_ns == trace.end_ns:
            self._stretched.add(span.trace_id)
        rank = rank_of(span, share, old.seq)
        if trace.root_seq != old.seq:
            self._elect(trace, rank)
        elif rank > trace.root_rank:
            self._headless.add(span.trace_id)
        else:
            trace.root_rank = rank

    def write(self) -> None:
        """Write everything down."""
        execute, many = self._connection.execute, self._connection.executemany
        many(INSERT, self._inserts)
        if self._updates:
            many(UPDATE, self._updates)
        if self._roots:
            many(_SET_ROOT, [(is_root, seq) for seq, is_root in self._roots.items()])
        for trace_id in self._headless:
            elect_root(self._connection, self._traces[trace_id])
        for trace_id in self._stretched:
            trace = self._traces[trace_id]
            trace.start_ns, trace.end_ns = execute(_ENDS, {"trace": trace.first_seq}).fetchone()
        self._write_traces()
        self._sessions.write()
        self._rollup.write(self._connection)
        if self._gone_tags:
            many("DELETE FROM span_tags WHERE tag = ? AND start_ns = ? AND seq = ?", self._gone_tags)
        if self._tags:
            many("INSERT OR IGNORE INTO span_tags VALUES (?, ?, ?)", self._tags)
        many(_INSERT_BODY, self._bodies)

    def _write_traces(self) -> None:
        fresh = [_trace_values(trace) for trace in self._traces.values() if trace.is_new]
        known = [(*_trace_values(trace)[3:], trace.first_seq) for trace in self._traces.values() if not trace.is_new]
        self._connection.executemany("INSERT INTO traces VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)", fresh)
        if known:
            self._connection.executemany(_UPDATE_TRACE, known)


def _in_trace(span: Span, share: Share, marks: int) -> Share:
    """Return the share of a span in its trace's sums."""
    return share_of(replace(span, counts=True)) if counts_in_trace(marks) and not span.counts else share


def _trace_values(trace: Trace) -> tuple[Any, ...]:
    return (
        trace.first_seq, trace.trace_id, trace.arrived_ms, trace.start_ns, trace.end_ns, trace.root_seq,
        trace.span_count, trace.error_count, trace.tokens, trace.cost, trace.unpriced_count, trace.session_id,
        trace.call_count,
    )  # fmt: skip


def elect_root(connection: sqlite3.Connection, trace: Trace) -> None:
    """Find the root of a stored trace anew, by the same rank."""
    has_parent, start_ns, end, seq = connection.execute(_ELECT, {"trace": trace.first_seq}).fetchone()
    connection.execute(_DEMOTE, {"trace": trace.first_seq})
    connection.execute(_SET_ROOT, (1, seq))
    trace.root_seq, trace.root_rank = seq, (bool(has_parent), start_ns, end, seq)


SEQS_OF_TRACE = "SELECT :trace UNION ALL SELECT seq FROM spans WHERE trace_seq = :trace AND trace_seq <> seq"
"""The seqs of a trace's spans, :trace being its first seq, which the index spans_trace leaves out."""
_ENDS = f"SELECT MIN(start_ns), MAX(start_ns + IFNULL(duration_ns, 0)) FROM spans WHERE seq IN ({SEQS_OF_TRACE})"
_ELECT = (
    "SELECT parent_id IS NOT NULL AND parent_id <> id AS has_parent, start_ns, -start_ns - IFNULL(duration_ns, 0), seq "
    f"FROM spans WHERE seq IN ({SEQS_OF_TRACE}) ORDER BY 1, 2, 3, 4 LIMIT 1"
)
_SET_ROOT = f"UPDATE spans SET is_root = ? AND (marks & {AWAY}) = 0 WHERE seq = ?"
_DEMOTE = f"UPDATE spans SET is_root = 0 WHERE is_root = 1 AND seq IN ({SEQS_OF_TRACE})"
_TRACE_COLUMNS = (
    "first_seq", "trace_id", "arrived_ms", "start_ns", "end_ns", "root_seq", "span_count", "error_count", "tokens",
    "cost", "unpriced_count", "session_id", "call_count",
)  # fmt: skip
_SELECT_TRACES = (
    f"SELECT {', '.join(f't.{name}' for name in _TRACE_COLUMNS)}, r.parent_id, r.id, r.start_ns, r.duration_ns "
    "FROM traces t CROSS JOIN spans r ON r.seq = t.root_seq WHERE t.trace_id IN ({})"
)
_UPDATE_TRACE = f"UPDATE traces SET {', '.join(f'{name} = ?' for name in _TRACE_COLUMNS[3:])} WHERE first_seq = ?"
_INSERT_BODY = "INSERT OR REPLACE INTO bodies (key, encoding, size, is_cut, is_raw, data) VALUES (?, ?, ?, ?, ?, ?)"
_SELECT_OLD = f"SELECT seq, tags, marks, {', '.join(OLD_COLUMNS)} FROM spans WHERE id = ? AND trace_id = ?"
