"""GET /api/diff: two traces or spans, compared."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from llmflow_web.errors import BadRequest, NotFound
from llmflow_web.model import JSON, PART_ATTRIBUTES, PART_REQUEST
from llmflow_web.net.http import ServerCall
from llmflow_web.net.router import Router, query_params
from llmflow_web.record.diff import Side, diff, request_of
from llmflow_web.record.messages import messages_of
from llmflow_web.record.reading import Store, ask
from llmflow_web.store import spans

MAX_TRIED = 20
"""Calls of a trace that are looked into for messages when its root has none."""


class DiffRoutes:
    """What became of a call."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def register(self, router: Router) -> None:
        """Put our route into the table."""
        router.add("GET", "/api/diff", self.compare)

    async def compare(self, call: ServerCall) -> None:
        """Answer with what differs between `a` and `b`."""
        params = query_params(call)
        if not params.get("a") or not params.get("b"):
            raise BadRequest("a and b must be the ids of two traces or spans")
        found = await ask(self._store, call, read_diff, params["a"], params["b"])
        call.respond_json(200, found, [("cache-control", "no-store")])


# --- run on a reader thread ---


def read_diff(connection: Any, a: str, b: str) -> JSON:
    """Read both sides and compare them. Raises NotFound, naming the side."""
    return diff(_side(connection, "a", a), _side(connection, "b", b))


def _side(connection: Any, name: str, key: str) -> Side:
    span = spans.get_span(connection, key)
    tree = spans.tree(connection, key)
    if span is None or tree is None:
        raise NotFound(f"There is no trace or span {key[:128]!r} ({name}).")
    roots: Sequence[JSON] = tree["spans"]
    trace = tree["trace"]
    if key != span["trace_id"]:
        trace, roots = None, [_find(roots, span["id"])]
    speaker, messages, request = _said(connection, span, roots)
    return Side(span, request, messages, speaker, roots, trace)


def _find(roots: Sequence[JSON], key: str) -> JSON:
    waiting = list(roots)
    while waiting:
        span = waiting.pop()
        if span["id"] == key:
            return span
        waiting.extend(span["children"])
    raise NotFound("Span not found")


def _said(connection: Any, span: JSON, roots: Sequence[JSON]) -> tuple[str, JSON, Any]:
    """Return who speaks (the span, else the last call below it that does), what was said, and the request."""
    for one in [span, *_calls(roots, span["id"])[:MAX_TRIED]]:
        bodies = spans.get_bodies(connection, one["seq"])
        data = {part: body.data for part, body in bodies.items() if not body.is_raw}
        found = messages_of(one["provider"], one["operation"], data)
        if found["input"] or found["output"]:
            attributes = _parsed(data.get(PART_ATTRIBUTES)) or {}
            return one["id"], found, request_of(_parsed(data.get(PART_REQUEST)), attributes)
    return span["id"], {"input": [], "output": []}, {}


def _calls(roots: Sequence[JSON], but: str) -> list[JSON]:
    """Return the calls of a model in a tree, the last begun first."""
    found: list[JSON] = []
    waiting = list(roots)
    while waiting:
        span = waiting.pop()
        waiting.extend(span["children"])
        if span["span_type"] == "llm" and span["id"] != but:
            found.append(span)
    return sorted(found, key=lambda span: int(span["start_ns"]), reverse=True)


def _parsed(data: bytes | None) -> Any:
    with suppress(ValueError, RecursionError):
        value = json.loads(data or b"null")
        return value if isinstance(value, dict) else None
    return None
