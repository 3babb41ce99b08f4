"""Traces made of log records give way as a whole where the app sends spans of the same turn itself.

One call that is joined to the app's own span tells it; then turn and tools are shown there, too, and the trace made of
logs stays out of lists and sums. Which row tells it follows from what is stored, not from the order it came in.
"""

from __future__ import annotations

from llmflow_web.store.marks import AWAY, INFERENCE, JOINED, TOLD
from llmflow_web.store.nodes import Node, Nodes


def give_way(nodes: Nodes) -> None:
    """Mark the turns and tools of the derived traces among these nodes, or free them."""
    traces = {node.trace_seq for node in nodes if node.derived}
    for trace_seq in traces:
        _mark([node for node in nodes.whole_trace(trace_seq) if node.derived])


def _mark(derived: list[Node]) -> None:
    calls = [node for node in derived if node.span_type in INFERENCE and node.marks & TOLD and node.marks & AWAY]
    first = min(calls, key=lambda node: (node.start_ns, node.id), default=None)
    for node in derived:
        if node.span_type in INFERENCE:
            continue
        node.marks &= ~(JOINED | AWAY | TOLD)
        node.joined_to = first.joined_to if first is not None else None
        if first is not None:
            node.marks |= JOINED | AWAY | TOLD
