"""Spans as the writer sees them when it works out how they stand to each other: few columns, each row once.

A node that was read or written in a batch is the same object wherever it turns up, so that what is found out about it
is seen everywhere before it is stored.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from llmflow_web.store.marks import INFERENCE, JOINED, OURS, REPEATED_SQL
from llmflow_web.store.written import Written

NODE_SQL = (
    "seq, trace_seq, id, parent_id, span_type, start_ns, duration_ns, status, response_id, request_id, tool, "
    "prompt_tokens, completion_tokens, reasoning_tokens, derived, marks, joined_to"
)


@dataclass(slots=True, eq=False)
class Node:
    """One span. `marks` and `joined_to` are what is to be stored, the `stored_…` what is."""

    seq: int
    trace_seq: int
    id: str
    parent_id: str | None
    span_type: str
    start_ns: int
    duration_ns: int | None
    status: int | None
    response_id: str | None
    request_id: str | None
    tool: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    reasoning_tokens: int | None
    derived: bool
    marks: int
    joined_to: str | None
    stored_marks: int
    stored_joined_to: str | None
    written: Written | None = None  # when it came with this batch

    @property
    def is_ours(self) -> bool:
        """Say whether we saw the call ourselves."""
        return bool(self.marks & OURS)

    @property
    def is_told(self) -> bool:
        """Say whether it is an app's word for one call of a model."""
        return not self.marks & OURS and self.span_type in INFERENCE

    @property
    def end_ns(self) -> int:
        """When it ended; when it began where that is not known."""
        return self.start_ns + (self.duration_ns or 0)

    @property
    def call_ids(self) -> tuple[tuple[str, str], ...]:
        """The ids another record of the same call would have, the most telling first, with their columns."""
        ids = (("response_id", self.response_id), ("request_id", self.request_id))
        return tuple((column, value) for column, value in ids if value)

    def __repr__(self) -> str:
        joined = f" joined to {self.joined_to}" if self.marks & JOINED else ""
        return f"<Node {self.id} of {self.trace_seq} marks={self.marks:06b}{joined}>"


class Nodes:
    """The nodes of a batch."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._by_seq: dict[int, Node] = {}
        self._by_id: dict[tuple[int, str], Node | None] = {}  # None: there is no such span
        self._whole: set[int] = set()  # traces of which every span is here

    def __iter__(self) -> Iterator[Node]:
        return iter(self._by_seq.values())

    def of_written(self, written: Written) -> Node:
        """Take in a span just written."""
        span = written.span
        node = Node(
            written.seq, written.trace.first_seq, span.id, span.parent_id, span.span_type, span.start_ns,
            span.duration_ns, span.status, span.response_id, span.request_id, span.tool, span.prompt_tokens,
            span.completion_tokens, span.reasoning_tokens, span.derived, written.marks, span.joined_to, written.marks,
            span.joined_to, written,
        )  # fmt: skip
        return self._keep(node)

    def _keep(self, node: Node) -> Node:
        self._by_seq[node.seq] = self._by_id[node.trace_seq, node.id] = node
        return node

    def select(self, sql: str, *params: Any) -> list[Node]:
        """Return the nodes of a query for NODE_SQL."""
        found = []
        for values in self._connection.execute(sql, params):
            node = self._by_seq.get(values[0])
            found.append(node or self._keep(Node(*values, *values[-2:])))
        return found

    def parent(self, node: Node) -> Node | None:
        """Return a node's parent when it is known; nobody is his own parent."""
        if node.parent_id is None or node.parent_id == node.id:
            return None
        key = (node.trace_seq, node.parent_id)
        if key not in self._by_id and node.trace_seq not in self._whole:
            sql = f"SELECT {NODE_SQL} FROM spans WHERE id = ? AND +trace_seq = ?"
            if not self.select(sql, node.parent_id, node.trace_seq):
                self._by_id[key] = None
        return self._by_id.get(key)

    def children(self, trace_seq: int, ids: Iterable[str]) -> list[Node]:
        """Return the children of these spans of a trace."""
        wanted = json.dumps(list(ids))
        sql = " UNION ALL ".join(f"SELECT {NODE_SQL} FROM spans WHERE {where}" for where in _CHILDREN)
        return self.select(sql, trace_seq, wanted, trace_seq, wanted)

    def with_usage_below(self, trace_seq: int, nodes: Sequence[Node]) -> list[Node]:
        """Return those among these spans of a trace that have a child with usage in it or below it."""
        wanted = json.dumps([node.id for node in nodes])
        sql = " UNION ".join(f"SELECT parent_id FROM spans WHERE {where} AND {REPEATED_SQL}" for where in _CHILDREN)
        rows = self._connection.execute(sql, (trace_seq, wanted, trace_seq, wanted))
        parents = {row[0] for row in rows}
        return [node for node in nodes if node.id in parents]

    def whole_trace(self, trace_seq: int) -> list[Node]:
        """Return every span of a trace."""
        sql = (
            f"SELECT {NODE_SQL} FROM spans WHERE seq = ? UNION ALL "
            f"SELECT {NODE_SQL} FROM spans WHERE trace_seq = ? AND trace_seq <> seq"
        )
        found = self.select(sql, trace_seq, trace_seq)
        self._whole.add(trace_seq)
        return found


# The first span of a trace stands outside the index over the others.
_PARENTS = "parent_id IN (SELECT value FROM json_each(?)) AND parent_id <> id"
_CHILDREN = (f"trace_seq = ? AND trace_seq <> seq AND {_PARENTS}", f"seq = ? AND +{_PARENTS}")
