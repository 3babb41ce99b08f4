"""How spans stand to each other after a batch or a deletion, and what that changes in the sums.

Inserting counts each span for itself; here those that must not count (joined, or repeated by what is below them) are
taken out again by signed deltas, in the same transaction, and put back when the reason has gone. An ordinary proxied
call, alone in its trace, is not looked at.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import replace

from llmflow_web.model import Span
from llmflow_web.store.columns import LIST_SQL, OLD_COLUMNS, list_row
from llmflow_web.store.counters import Counters
from llmflow_web.store.inherited import inherit_sessions
from llmflow_web.store.joins import Joins
from llmflow_web.store.ledger import Move
from llmflow_web.store.marks import AGENT_TOOLS, AWAY, INFERENCE, OURS, counts, counts_in_trace
from llmflow_web.store.nodes import Node, Nodes
from llmflow_web.store.repeats import mark_repeats
from llmflow_web.store.sessions import RollupSums
from llmflow_web.store.sums import Share, share_of
from llmflow_web.store.written import Changed, Trace, Written


def settle(
    connection: sqlite3.Connection, batch: Sequence[Written], counters: Counters, moves: list[Move] | None = None
) -> list[Changed]:
    """Work out how the spans of a batch stand, and return the rows of old that look different for it.

    moves: what that changes for budgets is added to this list.
    """
    chosen = [written for written in batch if _matters(written, is_joining=bool(counters.joins))]
    if not chosen:
        return []
    nodes = Nodes(connection)
    touched = [nodes.of_written(written) for written in chosen]
    joins = Joins(connection, nodes, counters)
    joins.touch(touched)
    traces = {written.trace.first_seq: written.trace for written in chosen}
    by_trace: dict[int, list[Node]] = {}
    for node in touched:
        by_trace.setdefault(node.trace_seq, []).append(node)
    for trace_seq, group in by_trace.items():
        trace = traces[trace_seq]
        if trace.span_count > 1:
            mark_repeats(nodes, trace_seq, group)
        if 0 < trace.call_count < trace.span_count:
            joins.touch_trace(trace_seq, group)
    joins.resolve()
    by_seq = {written.trace.first_seq: written.trace for written in batch}
    return _Sums(connection, counters, by_seq, moves).write(nodes)


def _matters(written: Written, *, is_joining: bool) -> bool:
    """Say whether a span can stand in any way to another."""
    span, is_alone = written.span, written.trace.span_count == 1
    if written.change is not None:
        return True
    has_ids = span.response_id is not None or span.request_id is not None
    is_agents = span.tool in AGENT_TOOLS
    if written.marks & OURS:
        return (is_joining and has_ids) or is_agents or (span.parent_id is not None and not is_alone)
    return not is_alone or ((has_ids or is_agents) and span.span_type in INFERENCE)


def release(connection: sqlite3.Connection, gone: Sequence[str], counters: Counters) -> None:
    """Put back into the sums what was joined to spans with these ids, which were deleted. For budgets nothing moves."""
    nodes = Nodes(connection)
    joins = Joins(connection, nodes, counters)
    joins.release(gone)
    joins.resolve()
    _Sums(connection, counters, {}, None).write(nodes)


class _Sums:
    """Stores what was worked out and keeps the sums in step."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        counters: Counters,
        traces: dict[int, Trace],
        moves: list[Move] | None,
    ) -> None:
        self._connection = connection
        self._moves = moves
        self._counters = counters
        self._traces = traces  # those of the batch, which tell the live screen
        self._rollup = RollupSums()

    def write(self, nodes: Nodes) -> list[Changed]:
        """Store all nodes that differ from what is stored."""
        changed: list[tuple[int, int]] = []
        for node in nodes:
            if (node.marks, node.joined_to) != (node.stored_marks, node.stored_joined_to):
                change = self._store(node)
                if change is not None:
                    changed.append((node.seq, change))
        self._rollup.write(self._connection)
        changed += self._inherit(nodes)
        return [Changed(seq, change, self._list_row(seq)) for seq, change in changed]

    def _inherit(self, nodes: Nodes) -> list[tuple[int, int]]:
        """Let calls that spans were joined to, or parted from, have the session of those."""
        targets = {one for node in nodes for one in (node.joined_to, node.stored_joined_to) if one is not None}
        return inherit_sessions(self._connection, targets, self._counters, self._moves) if targets else []

    def _store(self, node: Node) -> int | None:
        """Store one node; return its change number when it is a row of old that looks different now."""
        counted, is_counted = counts(node.stored_marks), counts(node.marks)
        looks_different = counted != is_counted or node.joined_to != node.stored_joined_to
        change = self._counters.next() if looks_different and node.written is None else None
        self._connection.execute(
            "UPDATE spans SET marks = ?, joined_to = ?, change = IFNULL(?, change) WHERE seq = ?",
            (node.marks, node.joined_to, change, node.seq),
        )
        if (node.marks ^ node.stored_marks) & AWAY:
            self._connection.execute(_SHOW_ROOT, (node.seq,))
        in_all = is_counted - counted
        in_trace = counts_in_trace(node.marks) - counts_in_trace(node.stored_marks)
        if in_all or in_trace:
            self._move(node, in_all, in_trace)
        if node.written is not None:
            node.written.marks = node.marks
            node.written.span = replace(node.written.span, joined_to=node.joined_to, counts=is_counted)
        return change

    def _move(self, node: Node, in_all: int, in_trace: int) -> None:
        """Add a span's share to its trace's sums and to all others, each by its sign: 1, 0, or -1 to take it out."""
        span = self._span_of(node)
        share = share_of(replace(span, counts=True))
        if in_all:
            self._rollup.add(share, in_all)
            if self._moves is not None:
                self._moves.append((span, in_all))
            if span.session_id is not None:
                self._connection.execute(_MOVE_SESSION, (*_delta(share, in_all), span.session_id))
        if in_trace:
            self._connection.execute(_MOVE_TRACE, (*_delta(share, in_trace), node.trace_seq))
            trace = self._traces.get(node.trace_seq)
            if trace is not None:
                _move_trace(trace, share, in_trace)

    def _span_of(self, node: Node) -> Span:
        if node.written is not None:
            return node.written.span
        tags, *values = self._connection.execute(_SELECT_SPAN, (node.seq,)).fetchone()
        span = Span(**dict(zip(OLD_COLUMNS, values, strict=True)))
        span.tags = json.loads(tags) if tags else []
        return span

    def _list_row(self, seq: int) -> dict[str, object]:
        return list_row(self._connection.execute(_SELECT_ROW, (seq,)).fetchone())


def _delta(share: Share, sign: int) -> tuple[int, float, int]:
    return sign * share.tokens, sign * share.cost, sign * share.unpriced


def _move_trace(trace: Trace, share: Share, sign: int) -> None:
    trace.tokens += sign * share.tokens
    trace.cost += sign * share.cost
    trace.unpriced_count += sign * share.unpriced


_SELECT_SPAN = f"SELECT tags, {', '.join(OLD_COLUMNS)} FROM spans WHERE seq = ?"
_SELECT_ROW = f"SELECT {LIST_SQL} FROM spans s CROSS JOIN traces t ON t.first_seq = s.trace_seq WHERE s.seq = ?"
_SUMS = "tokens = tokens + ?, cost = cost + ?, unpriced_count = unpriced_count + ?"
_MOVE_TRACE = f"UPDATE traces SET {_SUMS} WHERE first_seq = ?"
_MOVE_SESSION = f"UPDATE sessions SET {_SUMS} WHERE session_id = ?"
_SHOW_ROOT = (
    f"UPDATE spans SET is_root = (marks & {AWAY}) = 0 "
    "AND seq = (SELECT root_seq FROM traces WHERE first_seq = trace_seq) WHERE seq = ?"
)
