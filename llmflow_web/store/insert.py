"""Writing spans: insert or update by (trace_id, id), and every summary in the same transaction.

The ordinary row, alone in a trace never seen before, takes the short way: one look-up per batch tells that its
trace is new, so nothing of it can be there to take back.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from llmflow_web.model import JSON, Body, Row, Span
from llmflow_web.store.columns import INSERT, UPDATE, has_flags, row_of_span, stored_values
from llmflow_web.store.counters import Counters
from llmflow_web.store.sessions import RollupSums, SessionSums
from llmflow_web.store.sums import Share, share_of

ENCODING_PLAIN = 0
ENCODING_ZLIB = 1
COMPRESS_FROM_BYTES = 16 * 1024  # zlib triples the cost of a small row and saves little (docs/performance.md)

Rank = tuple[bool, int, int, int]


@dataclass(slots=True)
class Trace:
    """A row of `traces` while the writer works on it, and the rank of its root."""

    first_seq: int
    trace_id: str
    arrived_ms: int
    start_ns: int
    end_ns: int
    root_seq: int
    span_count: int
    error_count: int
    tokens: int
    cost: float
    unpriced_count: int
    session_id: str | None
    root_rank: Rank
    is_new: bool = False

    def add(self, share: Share, sign: int) -> None:
        """Add a span's share, or with sign -1 take it back."""
        self.span_count += sign
        self.error_count += sign * share.is_error
        self.tokens += sign * share.tokens
        self.cost += sign * share.cost
        self.unpriced_count += sign * share.unpriced

    @property
    def shown(self) -> tuple[int, int, float, int, int]:
        """What a list element tells of the trace."""
        return self.span_count, self.error_count, self.cost, self.tokens, self.unpriced_count


@dataclass(slots=True)  # not frozen: freezing makes each of them three times as dear
class Written:
    """A span as it went in."""

    span: Span
    seq: int
    change: int | None  # None: new
    has: int
    trace: Trace

    def list_row(self) -> JSON:
        """Return the list element a query would give."""
        return row_of_span(
            self.span,
            seq=self.seq,
            change=self.change,
            is_root=self.trace.root_seq == self.seq,
            has=self.has,
            trace=self.trace.shown,
        )


@dataclass(frozen=True, slots=True)
class _Old:
    """What is stored of a span that comes again."""

    seq: int
    tags: list[str]
    span: Span


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


def insert_rows(connection: sqlite3.Connection, rows: Sequence[Row], counters: Counters, now_ms: int) -> list[Written]:
    """Write rows and their summaries inside the caller's transaction and return what was written."""
    batch = _Batch(connection, counters, now_ms)
    unique = _last_of_each(rows)
    batch.load(unique)
    for row in unique:
        batch.add(row)
    batch.write()
    return batch.written


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

    def __init__(self, connection: sqlite3.Connection, counters: Counters, now_ms: int) -> None:
        self.written: list[Written] = []
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
            self._traces[values[1]] = Trace(*values, rank)  # type: ignore[call-arg] # values are the 12 columns

    def _load_old(self, spans: list[Span]) -> None:
        for span in spans:
            found = self._connection.execute(_SELECT_OLD, (span.id, span.trace_id)).fetchone()
            if found is not None:
                seq, tags, *values = found
                stored = Span(**dict(zip(OLD_COLUMNS, values, strict=True)))
                self._old[span.trace_id, span.id] = _Old(seq, json.loads(tags) if tags else [], stored)

    def add(self, row: Row) -> None:
        """Take one row in."""
        span, share, has = row.span, share_of(row.span), has_flags(row)
        old = self._old.get((span.trace_id, span.id))
        if old is None:
            seq, change = self._counters.next(), None
            trace = self._trace_for(span, share, seq)
            self._elect(trace, rank_of(span, share, seq))
            is_root = trace.root_seq == seq
            self._inserts.append((seq, trace.first_seq, None, is_root, *stored_values(row, has)))
            self._counters.spans += 1
        else:
            seq, change = old.seq, self._counters.next()
            trace = self._traces[span.trace_id]
            self._updates.append((change, *stored_values(row, has), seq))
            self._take_back(trace, old, span, share)
        self._add_sums(trace, span, share)
        self._tags.extend((tag, span.start_ns, seq) for tag in set(span.tags))
        for body in row.bodies:
            encoding, data = encode_body(body)
            self._bodies.append((seq * 16 + body.part, encoding, body.size, body.is_cut, body.is_raw, data))
        self.written.append(Written(span, seq, change, has, trace))

    def _trace_for(self, span: Span, share: Share, seq: int) -> Trace:
        trace = self._traces.get(span.trace_id)
        if trace is None:
            trace = self._traces[span.trace_id] = Trace(
                seq, span.trace_id, self._now_ms, share.start_ns, share.end_ns, seq, 0, 0, 0, 0.0, 0, None,
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

    def _add_sums(self, trace: Trace, span: Span, share: Share) -> None:
        trace.add(share, 1)
        trace.start_ns = min(trace.start_ns, share.start_ns)
        trace.end_ns = max(trace.end_ns, share.end_ns)
        self._rollup.add(share, 1)
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
        trace.add(before, -1)
        self._rollup.add(before, -1)
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
            many("UPDATE spans SET is_root = ? WHERE seq = ?", [(is_root, seq) for seq, is_root in self._roots.items()])
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
        self._connection.executemany("INSERT INTO traces VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", fresh)
        if known:
            self._connection.executemany(_UPDATE_TRACE, known)


def _trace_values(trace: Trace) -> tuple[Any, ...]:
    return (
        trace.first_seq, trace.trace_id, trace.arrived_ms, trace.start_ns, trace.end_ns, trace.root_seq,
        trace.span_count, trace.error_count, trace.tokens, trace.cost, trace.unpriced_count, trace.session_id,
    )  # fmt: skip


def elect_root(connection: sqlite3.Connection, trace: Trace) -> None:
    """Find the root of a stored trace anew, by the same rank."""
    has_parent, start_ns, end, seq = connection.execute(_ELECT, {"trace": trace.first_seq}).fetchone()
    connection.execute(_DEMOTE, {"trace": trace.first_seq})
    connection.execute("UPDATE spans SET is_root = 1 WHERE seq = ?", (seq,))
    trace.root_seq, trace.root_rank = seq, (bool(has_parent), start_ns, end, seq)


SEQS_OF_TRACE = "SELECT :trace UNION ALL SELECT seq FROM spans WHERE trace_seq = :trace AND trace_seq <> seq"
"""The seqs of a trace's spans, :trace being its first seq, which the index spans_trace leaves out."""
_ENDS = f"SELECT MIN(start_ns), MAX(start_ns + IFNULL(duration_ns, 0)) FROM spans WHERE seq IN ({SEQS_OF_TRACE})"
_ELECT = (
    "SELECT parent_id IS NOT NULL AND parent_id <> id AS has_parent, start_ns, -start_ns - IFNULL(duration_ns, 0), seq "
    f"FROM spans WHERE seq IN ({SEQS_OF_TRACE}) ORDER BY 1, 2, 3, 4 LIMIT 1"
)
_DEMOTE = f"UPDATE spans SET is_root = 0 WHERE is_root = 1 AND seq IN ({SEQS_OF_TRACE})"
_TRACE_COLUMNS = (
    "first_seq", "trace_id", "arrived_ms", "start_ns", "end_ns", "root_seq", "span_count", "error_count", "tokens",
    "cost", "unpriced_count", "session_id",
)  # fmt: skip
_SELECT_TRACES = (
    f"SELECT {', '.join(f't.{name}' for name in _TRACE_COLUMNS)}, r.parent_id, r.id, r.start_ns, r.duration_ns "
    "FROM traces t CROSS JOIN spans r ON r.seq = t.root_seq WHERE t.trace_id IN ({})"
)
_UPDATE_TRACE = f"UPDATE traces SET {', '.join(f'{name} = ?' for name in _TRACE_COLUMNS[3:])} WHERE first_seq = ?"
_INSERT_BODY = "INSERT OR REPLACE INTO bodies (key, encoding, size, is_cut, is_raw, data) VALUES (?, ?, ?, ?, ?, ?)"
OLD_COLUMNS = (
    "trace_id", "id", "parent_id", "start_ns", "duration_ns", "ttft_ms", "provider", "model", "service_name", "status",
    "prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens",
    "estimated_cost", "session_id", "counts",
)  # fmt: skip
_SELECT_OLD = f"SELECT seq, tags, {', '.join(OLD_COLUMNS)} FROM spans WHERE id = ? AND trace_id = ?"
