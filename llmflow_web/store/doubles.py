"""One call that an app tells of twice, side by side: two instrumentations of one process, each in a span of its own.

Such as an instrumentation beside what a provider's SDK tells by itself. Both name the same answer, stand below the same
span, and the one lasts as long as the other and a little longer; the outermost is the call.
"""

from __future__ import annotations

from collections.abc import Sequence

from llmflow_web.store.marks import INFERENCE_SQL
from llmflow_web.store.nodes import NODE_SQL, Node, Nodes
from llmflow_web.store.schema import CALL_INDEXES

WINDOW_NS = 2 * 10**9
"""What one instrumentation does before the other begins takes less."""
_MAX_NEAR = 16  # spans with the same id that are looked at: more have it only where answers are canned
_INDEX = "spans_app_response_id"


def told_beside(nodes: Nodes, touched: Sequence[Node]) -> list[Node]:
    """Return the spans that may tell of the same calls as these."""
    return [other for node in touched if _can_have_double(node) for other in _near(nodes, node) if _holds(node, other)]


def outer_double(nodes: Nodes, node: Node) -> Node | None:
    """Return the outermost span that tells of the same call beside this one."""
    if not _can_have_double(node):
        return None
    found = [other for other in _near(nodes, node) if _holds(other, node)]
    return min(found, key=lambda one: (one.start_ns, -one.end_ns, one.id), default=None)


def _can_have_double(node: Node) -> bool:
    return node.is_told and not node.derived and node.response_id is not None and node.parent_id is not None


def _near(nodes: Nodes, node: Node) -> list[Node]:
    found = nodes.select(
        f"SELECT {NODE_SQL} FROM (SELECT * FROM spans INDEXED BY {_INDEX} WHERE response_id = ? "
        f"AND {CALL_INDEXES[_INDEX][1]} AND start_ns BETWEEN ? AND ? LIMIT {_MAX_NEAR}) "
        f"WHERE trace_seq = ? AND parent_id = ? AND NOT derived AND {INFERENCE_SQL}",
        node.response_id,
        node.start_ns - WINDOW_NS,
        node.start_ns + WINDOW_NS,
        node.trace_seq,
        node.parent_id,
    )
    return [other for other in found if other is not node]


def _holds(outer: Node, inner: Node) -> bool:
    """Say whether one lasts as long as the other; of two that begin and end together the first by id does."""
    if (outer.start_ns, outer.end_ns) == (inner.start_ns, inner.end_ns):
        return outer.id < inner.id
    return outer.start_ns <= inner.start_ns and inner.end_ns <= outer.end_ns
