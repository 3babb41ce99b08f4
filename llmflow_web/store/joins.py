"""One call, one row: the span an app tells of a call is joined to the row of the same call that counts.

That is, in this order: the call as we saw it (same response id, else same request id, else reached from the app's span
within three steps down its trace); else, for a span derived from logs, the app's own span with the same id, or a record
that says the same of a call without ids (alike); else, where an app tells of it twice, the outer span (doubles). Ids
that turn up more than once (canned answers) lead to the call nearest in time. Which row that is depends on what is
stored, never on the order in which it came.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence

from llmflow_web.store.alike import call_alike, told_alike
from llmflow_web.store.counters import Counters
from llmflow_web.store.doubles import outer_double, told_beside
from llmflow_web.store.giving_way import give_way
from llmflow_web.store.marks import AWAY, INFERENCE_SQL, JOINED
from llmflow_web.store.nodes import NODE_SQL, Node, Nodes
from llmflow_web.store.schema import CALL_INDEXES, index_calls
from llmflow_web.store.stand_ins import stand_in

WINDOW_NS = 3600 * 10**9
"""Two records of one call start within an hour of each other: clocks differ, calls are tried again."""
MAX_STEPS = 3
_MAX_TOLD = 1000  # records of the calls of one batch that are looked at anew
_COLUMNS = ("response_id", "request_id")


class Joins:
    """Works out the joins a batch changes. `nodes` carry them away."""

    def __init__(self, connection: sqlite3.Connection, nodes: Nodes, counters: Counters) -> None:
        self._connection = connection
        self._nodes = nodes
        self._counters = counters
        self._affected: dict[int, Node] = {}
        self._mixed: set[int] = set()  # traces that hold calls of ours and an app's spans

    def touch(self, touched: Sequence[Node]) -> None:
        """Find the spans whose join these may change."""
        told = [node for node in touched if node.is_told]
        self._affect(told)
        self._affect(node for node in touched if node.marks & JOINED)
        if any(node.call_ids for node in told) and not self._counters.joins:
            index_calls(self._connection)
            self._counters.joins = 1
        if self._counters.joins:
            self._affect(self._told_of([node for node in touched if node.is_ours], "1"))
            self._affect(self._told_of([node for node in told if not node.derived], "derived"))
            self._affect(told_beside(self._nodes, told))
        self._affect(told_alike(self._nodes, touched))
        again = [node.id for node in touched if node.written is not None and node.written.change is not None]
        if again:
            self._affect(self._joined_to(again))

    def touch_trace(self, trace_seq: int, touched: Sequence[Node]) -> None:
        """Find the spans of a mixed trace whose way down to a call of ours these may open or close."""
        self._mixed.add(trace_seq)
        if any(node.written is not None and node.written.is_moved for node in touched):
            self._affect(node for node in self._nodes.whole_trace(trace_seq) if node.is_told)
            return
        for call in self._calls_below(trace_seq, touched):
            self._affect(node for node in self._ancestors(call) if node.is_told)

    def release(self, gone: Sequence[str]) -> None:
        """Let go of the spans that were joined to rows with these ids, which are no more."""
        self._affect(self._joined_to(gone))
        for node in self._affected.values():
            self._mixed.add(node.trace_seq)
            self._set(node, None)

    def resolve(self) -> None:
        """Join every span that is affected, or part it."""
        hits = {column: self._known_calls(column) for column in _COLUMNS} if self._counters.joins else {}
        for node in self._affected.values():
            target = self._target(node, hits)
            if target is not None or not self._is_left_alone(node):
                self._set(node, target)
        give_way(self._nodes, self._app_span_of)
        stand_in(self._nodes)

    def _affect(self, nodes: Iterable[Node]) -> None:
        self._affected.update((node.seq, node) for node in nodes)

    @staticmethod
    def _set(node: Node, target: Node | None) -> None:
        node.marks &= ~(JOINED | AWAY)
        node.joined_to = None
        if target is not None:
            node.joined_to = target.id
            node.marks |= JOINED | (AWAY if target.trace_seq != node.trace_seq else 0)

    def _is_left_alone(self, node: Node) -> bool:
        """Say whether the row it is joined to was pruned: that row's share stays in the sums, so this stays joined."""
        if node.joined_to is None:
            return False
        return self._connection.execute("SELECT 1 FROM spans WHERE id = ?", (node.joined_to,)).fetchone() is None

    # By id

    def _told_of(self, calls: Sequence[Node], condition: str) -> list[Node]:
        """Return what apps tell of these calls under the same ids."""
        found = []
        for column in _COLUMNS:
            known = [node for node in calls if getattr(node, column)]
            if known:
                low, high = min(node.start_ns for node in known), max(node.start_ns for node in known)
                found += self._nodes.select(
                    f"SELECT {NODE_SQL} FROM spans INDEXED BY spans_app_{column} "
                    f"WHERE {column} IN (SELECT value FROM json_each(?)) AND {CALL_INDEXES[f'spans_app_{column}'][1]} "
                    f"AND start_ns BETWEEN ? AND ? AND {condition} LIMIT {_MAX_TOLD}",
                    json.dumps([getattr(node, column) for node in known]),
                    low - WINDOW_NS,
                    high + WINDOW_NS,
                )
        return [node for node in found if node.is_told]

    def _joined_to(self, ids: Sequence[str]) -> list[Node]:
        sql = f"SELECT {NODE_SQL} FROM spans WHERE joined_to IN (SELECT value FROM json_each(?))"
        return self._nodes.select(sql, json.dumps(list(ids)))

    def _known_calls(self, column: str) -> set[str]:
        """Return those ids of the affected spans that calls of ours have, too."""
        wanted = [getattr(node, column) for node in self._affected.values() if getattr(node, column)]
        if not wanted:
            return set()
        index = f"spans_our_{column}"
        sql = (
            "SELECT value FROM json_each(?) WHERE EXISTS (SELECT 1 FROM spans "
            f"INDEXED BY {index} WHERE {column} = value AND {CALL_INDEXES[index][1]})"
        )
        return {row[0] for row in self._connection.execute(sql, (json.dumps(wanted),))}

    def _target(self, node: Node, hits: dict[str, set[str]]) -> Node | None:
        if not node.is_told:
            return None
        for column, value in node.call_ids:
            found = self._nearest(node, column, "our", "1") if value in hits.get(column, ()) else None
            if found is not None:
                return found
        if node.trace_seq in self._mixed:
            found = self._call_of(node)
            if found is not None:
                return found
        found = call_alike(self._nodes, node, is_ours=True)
        return found or (self._app_span_of(node) if node.derived else outer_double(self._nodes, node))

    def _app_span_of(self, node: Node) -> Node | None:
        """Return the app's own span of the call that a row derived from logs tells of."""
        for column, _ in node.call_ids if self._counters.joins else ():
            found = self._nearest(node, column, "app", f"NOT derived AND {INFERENCE_SQL}")
            if found is not None:
                return found
        return call_alike(self._nodes, node, is_ours=False)

    def _nearest(self, node: Node, column: str, side: str, condition: str) -> Node | None:
        """Return the record with the same id that began nearest to this one."""
        index = f"spans_{side}_{column}"
        halves = [
            f"SELECT * FROM (SELECT {NODE_SQL} FROM spans INDEXED BY {index} WHERE {column} = ? "
            f"AND {CALL_INDEXES[index][1]} AND {condition} AND start_ns {op} ? AND start_ns {end} ? "
            f"ORDER BY start_ns {order}, id, trace_id LIMIT 1)"
            for op, end, order in ((">=", "<=", "ASC"), ("<", ">=", "DESC"))
        ]
        value, start = getattr(node, column), node.start_ns
        params = (value, start, start + WINDOW_NS, value, start, start - WINDOW_NS)
        found = self._nodes.select(" UNION ALL ".join(halves), *params)
        return min(found, key=lambda one: (abs(one.start_ns - start), one.start_ns), default=None)

    # By trace

    def _calls_below(self, trace_seq: int, starts: Sequence[Node]) -> list[Node]:
        """Return the calls of ours among these spans and up to three steps below them."""
        calls = [node for node in starts if node.is_ours]
        seen = {node.id for node in starts}
        level = [node.id for node in starts if not node.is_ours]
        for _ in range(MAX_STEPS):
            if not level:
                break
            below = [node for node in self._nodes.children(trace_seq, level) if node.id not in seen]
            seen.update(node.id for node in below)
            calls += [node for node in below if node.is_ours]
            level = [node.id for node in below if not node.is_ours]
        return calls

    def _ancestors(self, node: Node) -> list[Node]:
        found: list[Node] = []
        parent = self._nodes.parent(node)
        while parent is not None and len(found) < MAX_STEPS and not parent.is_ours:
            found.append(parent)
            parent = self._nodes.parent(parent)
        return found

    def _call_of(self, node: Node) -> Node | None:
        """Return the call below an app's span whose nearest such ancestor it is: of several tries the last success."""
        calls = [
            call
            for call in self._calls_below(node.trace_seq, [node])
            if next((one for one in self._ancestors(call) if one.is_told), None) is node
        ]
        return max(calls, key=lambda call: ((call.status or 0) < 400, call.start_ns, call.id), default=None)
