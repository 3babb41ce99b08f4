"""What a trace's own sums tell of a call that counts elsewhere: what its first span that was joined to it tells.

A span that gave way to a row of another trace leaves all other sums. Its trace, which draws the call in its place,
would look free without it; of several that tell of one call (two instrumentations), one stands for it.
"""

from __future__ import annotations

import json

from llmflow_web.store.marks import AWAY, JOINED, STANDS, TOLD, USAGE, counts
from llmflow_web.store.nodes import NODE_SQL, Node, Nodes

_SELECT = (
    f"SELECT {NODE_SQL} FROM spans WHERE joined_to IN (SELECT value FROM json_each(?)) "
    "AND +trace_seq IN (SELECT value FROM json_each(?))"
)


def stand_in(nodes: Nodes) -> None:
    """Choose anew who stands for the calls elsewhere that these nodes are joined to, or were."""
    touched = [node for node in nodes if (node.marks | node.stored_marks) & AWAY]
    if not touched:
        return
    calls = {one for node in touched for one in (node.joined_to, node.stored_joined_to) if one is not None}
    traces = {node.trace_seq for node in touched}
    known = nodes.select(_SELECT, json.dumps(sorted(calls)), json.dumps(sorted(traces)))
    groups: dict[tuple[int, str | None], list[Node]] = {}
    for node in {node.seq: node for node in (*touched, *known)}.values():
        node.marks &= ~STANDS
        if node.marks & (AWAY | TOLD) == AWAY and counts(node.marks & ~JOINED):
            groups.setdefault((node.trace_seq, node.joined_to), []).append(node)
    for group in groups.values():
        min(group, key=_rank).marks |= STANDS


def _rank(node: Node) -> tuple[bool, bool, int, str]:
    return not node.marks & USAGE, node.derived, node.start_ns, node.id
