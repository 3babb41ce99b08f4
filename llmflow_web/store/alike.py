"""Two records of one call of a coding agent that share no id: the same tool, the same tokens, about the same time.

Codex CLI and Gemini CLI tell of their calls, in logs and in spans, without any id of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from llmflow_web.store.marks import AGENT_TOOLS, OURS
from llmflow_web.store.nodes import NODE_SQL, Node, Nodes
from llmflow_web.store.schema import AGENTS_SQL

WINDOW_NS = 900 * 10**9
"""A log record may know only when a call ended, its other record when it began; calls last minutes."""
_MAX_ALIKE = 200
_NOT_OURS = f"(marks & {OURS}) = 0"


def is_agents(node: Node) -> bool:
    """Say whether this is a call of a coding agent that can be known by its tokens."""
    return node.tool in AGENT_TOOLS and bool(node.prompt_tokens)


def told_alike(nodes: Nodes, touched: Sequence[Node]) -> list[Node]:
    """Return the spans that may tell of the same calls as these: an app's, and those derived from logs."""
    agents = [node for node in touched if not node.derived and is_agents(node)]
    return [one for node in agents for one in _near(nodes, node, _NOT_OURS if node.is_ours else "derived")]


def call_alike(nodes: Nodes, node: Node, *, is_ours: bool) -> Node | None:
    """Return the record of the same call nearest in time: one of ours, else an app's own span."""
    if not is_agents(node):
        return None
    near = _near(nodes, node, "NOT derived")
    found = [other for other in near if other.is_ours == is_ours and _is_same(node, other)]
    return min(found, key=lambda one: (abs(one.start_ns - node.start_ns), one.start_ns, one.id), default=None)


def _near(nodes: Nodes, node: Node, condition: str) -> list[Node]:
    return nodes.select(
        f"SELECT {NODE_SQL} FROM spans INDEXED BY spans_agents WHERE {AGENTS_SQL} AND tool = ? AND prompt_tokens = ? "
        f"AND start_ns BETWEEN ? AND ? AND {condition} LIMIT {_MAX_ALIKE}",
        node.tool,
        node.prompt_tokens,
        node.start_ns - WINDOW_NS,
        node.start_ns + WINDOW_NS,
    )


def _is_same(node: Node, other: Node) -> bool:
    """Compare what both say. Gemini CLI's own spans leave the thoughts out of the answer, and do not say how many."""
    is_alike = not {*_answers(node)}.isdisjoint(_answers(other))
    ids = ((node.response_id, other.response_id), (node.request_id, other.request_id))
    return is_alike and not any(mine and its for mine, its in ids)


def _answers(node: Node) -> tuple[int, int]:
    tokens = node.completion_tokens or 0
    return tokens, tokens - (node.reasoning_tokens or 0)
