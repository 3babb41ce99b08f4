"""Two records of one call of a coding agent that share no id: the same tool, the same tokens, about the same time.

Codex CLI and Gemini CLI log their calls without any id of them. Only what is derived from logs is joined so.
"""

from __future__ import annotations

from collections.abc import Sequence

from llmflow_web.store.marks import AGENT_TOOLS
from llmflow_web.store.nodes import NODE_SQL, Node, Nodes
from llmflow_web.store.schema import AGENTS_SQL

WINDOW_NS = 900 * 10**9
"""A log record may know only when a call ended, its other record when it began; calls last minutes."""
_MAX_ALIKE = 200


def is_agents(node: Node) -> bool:
    """Say whether this is a call of a coding agent that can be known by its tokens."""
    return node.tool in AGENT_TOOLS and bool(node.prompt_tokens)


def told_alike(nodes: Nodes, touched: Sequence[Node]) -> list[Node]:
    """Return the spans derived from logs that may tell of the same calls as these."""
    return [
        found for node in touched if not node.derived and is_agents(node) for found in _near(nodes, node, "derived")
    ]


def call_alike(nodes: Nodes, node: Node) -> Node | None:
    """Return the record of the same call that counts instead of one derived from logs: ours before the app's own."""
    if not node.derived or not is_agents(node):
        return None
    found = [other for other in _near(nodes, node, "NOT derived") if _is_same(node, other)]
    return min(
        found, key=lambda one: (not one.is_ours, abs(one.start_ns - node.start_ns), one.start_ns, one.id), default=None
    )


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
    """Compare what both say. Gemini CLI's own spans leave the thoughts out of the answer."""
    answer = node.completion_tokens or 0
    is_alike = other.completion_tokens in (answer, answer - (node.reasoning_tokens or 0))
    ids = ((node.response_id, other.response_id), (node.request_id, other.request_id))
    return is_alike and not any(mine and its for mine, its in ids)
