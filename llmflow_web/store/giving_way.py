"""Traces made of log records give way as a whole where the app sends spans of the same turn itself.

One call the app's own span tells of, too, is enough: then turn and tools are shown there, and the trace made of logs
stays out of lists and sums. Whether it does follows from what is stored, not from the order it came in.
"""

from __future__ import annotations

from collections.abc import Callable

from llmflow_web.store.marks import AWAY, GIVING_WAY, INFERENCE, JOINED, TOLD
from llmflow_web.store.nodes import Node, Nodes


def give_way(nodes: Nodes, app_span_of: Callable[[Node], Node | None]) -> None:
    """Mark the rows of the derived traces among these nodes, or free them. app_span_of: finds a call's other record."""
    known = list(nodes)  # all that may stand differently now; the rest of their traces stands as it did
    for trace_seq in {node.trace_seq for node in known if node.derived and node.tool in GIVING_WAY}:
        fresh = {node.seq for node in known if node.trace_seq == trace_seq}
        derived = [node for node in nodes.whole_trace(trace_seq) if node.derived]
        has_parted = any(node.joined_to != node.stored_joined_to for node in derived if not _is_call(node))
        asked = [one for one in derived if _is_call(one) and (one.marks & TOLD or has_parted or one.seq in fresh)]
        _mark(derived, {call.seq: app_span_of(call) for call in asked})


def _is_call(node: Node) -> bool:
    return node.span_type in INFERENCE


def _mark(derived: list[Node], app_spans: dict[int, Node | None]) -> None:
    first: Node | None = None
    for call in sorted(filter(_is_call, derived), key=lambda one: (one.start_ns, one.id)):
        told = app_spans.get(call.seq)
        is_told = told is not None and told.trace_seq != call.trace_seq
        call.marks = call.marks | TOLD if is_told else call.marks & ~TOLD
        first = first or (told if is_told else None)
    for node in derived:
        if not _is_call(node):
            node.joined_to = first.id if first is not None else None
            node.marks &= ~(JOINED | AWAY | TOLD)
            node.marks |= JOINED | AWAY | TOLD if first is not None else 0
