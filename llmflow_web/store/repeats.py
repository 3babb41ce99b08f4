"""Parents that repeat: a span with usage counts only while no usage is known below it.

Each span that has usage below it is marked, up to the first ancestor that is marked already: what a batch costs grows
with the batch, not with the trace, whatever order parents and children come in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from llmflow_web.store.marks import BELOW, OWN, USAGE, has_repeated
from llmflow_web.store.nodes import Node, Nodes


def mark_repeats(nodes: Nodes, trace_seq: int, touched: Sequence[Node]) -> None:
    """Mark what the touched spans of a trace change in it."""
    if any(node.written is not None and node.written.is_moved for node in touched):
        _mark_anew(nodes, trace_seq)
        return
    unmarked = [node for node in touched if not node.marks & BELOW]
    for node in nodes.with_usage_below(trace_seq, unmarked) if unmarked else ():
        node.marks |= BELOW
    _climb(nodes, (node for node in touched if has_repeated(node.marks)))


def _mark_anew(nodes: Nodes, trace_seq: int) -> None:
    """Work a trace out from nothing: usage has gone from where it was, and marks only ever come."""
    trace = nodes.whole_trace(trace_seq)
    for node in trace:
        node.marks &= ~BELOW
    _climb(nodes, (node for node in trace if node.marks & (USAGE | OWN) == USAGE))


def _climb(nodes: Nodes, starts: Iterable[Node]) -> None:
    for start in starts:
        parent = nodes.parent(start)
        while parent is not None and not parent.marks & BELOW:
            parent.marks |= BELOW
            parent = nodes.parent(parent)
