"""Prompts: /api/prompts (all), /api/prompts/{key} (one with its versions), /api/prompts/{key}/diff (two of them)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llmflow_web.errors import BadRequest, NotFound
from llmflow_web.model import JSON, MAX_STORED_BODY_BYTES, PART_ATTRIBUTES, PART_INPUT, PART_REQUEST
from llmflow_web.net.http import ServerCall
from llmflow_web.net.router import Router, query_params
from llmflow_web.record.diff import Side, diff_parameters, parameters, request_of
from llmflow_web.record.diff_words import Work, diff_texts
from llmflow_web.record.observed import parsed_object
from llmflow_web.record.prompts import stored_basis
from llmflow_web.record.reading import Store, ask
from llmflow_web.store import prompts
from llmflow_web.wire.filter import MAX_LIMIT, Filter, read_int

MAX_PREVIEW_CHARS = 160
MAX_PREVIEW_BYTES = 256 * 1024
"""The beginning of a longer request is not looked for in a list."""

_PRIVATE = [("cache-control", "no-store")]


class PromptRoutes:
    """What prompts there are, and how their versions did."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def register(self, router: Router) -> None:
        """Put our routes into the table."""
        router.add("GET", "/api/prompts", self.all)
        router.add("GET", "/api/prompts/{key}", self.one)
        router.add("GET", "/api/prompts/{key}/diff", self.diff)

    async def all(self, call: ServerCall) -> None:
        """Answer with the prompts that calls were made from."""
        params = query_params(call)
        sort = params.get("sort") or "calls"
        if sort not in prompts.SORTS:
            raise BadRequest(f"sort must be one of {', '.join(prompts.SORTS)}; got {sort[:40]!r}")
        limit, offset = read_int(params, "limit", 50, 1, MAX_LIMIT), read_int(params, "offset", 0, 0, 2**53)
        found = await ask(self._store, call, read_prompts, Filter.from_query(params), sort, limit, offset)
        call.respond_json(200, found, _PRIVATE)

    async def one(self, call: ServerCall, key: str) -> None:
        """Answer with one prompt and its versions in order of appearance."""
        chosen = Filter.from_query(query_params(call))
        call.respond_json(200, await ask(self._store, call, read_prompt, key, chosen), _PRIVATE)

    async def diff(self, call: ServerCall, key: str) -> None:
        """Answer with what became of version `a` in version `b`; of the last two where none is named."""
        params = query_params(call)
        found = await ask(self._store, call, read_diff, key, params)
        call.respond_json(200, found, _PRIVATE)


# --- run on a reader thread ---


def read_prompts(connection: Any, chosen: Filter, sort: str, limit: int, offset: int) -> JSON:
    """Read the prompts, each with how the newest of its calls begins."""
    found = prompts.prompts(connection, chosen, sort, limit, offset)
    for row in found["prompts"]:
        row["preview"] = _preview(connection, row.pop("examples"), MAX_PREVIEW_BYTES)
    return found | {"note": _note(found)}


def read_prompt(connection: Any, key: str, chosen: Filter) -> JSON:
    """Read one prompt. Raises NotFound."""
    found = prompts.prompt(connection, key, chosen)
    if found is None:
        raise NotFound("Prompt not found")
    found["preview"] = _preview(connection, found.pop("examples"), MAX_STORED_BODY_BYTES)
    for row in found["versions"]:
        newest = row.pop("newest") or {}
        row |= {"newest_id": newest.get("id"), "newest_trace_id": newest.get("trace_id")}
    return found | {"note": _note(found)}


def _note(found: JSON) -> str | None:
    return f"Read from the newest {prompts.MAX_SCANNED:,} calls." if found["is_sampled"] else None


def _preview(connection: Any, examples: Sequence[int], max_bytes: int) -> str | None:
    """Return how the prompt begins, by the first of these calls whose request is there and short enough."""
    for seq in examples:
        basis = stored_basis(prompts.asked_parts(connection, seq, max_bytes))
        if basis is not None:
            return " ".join(basis[0][: 4 * MAX_PREVIEW_CHARS].split())[:MAX_PREVIEW_CHARS]
    return None


def read_diff(connection: Any, key: str, params: Mapping[str, str]) -> JSON:
    """Compare the newest calls of two versions. Raises NotFound, BadRequest."""
    found = prompts.prompt(connection, key, Filter())
    if found is None:
        raise NotFound("Prompt not found")
    a, b = _chosen(found["versions"], params)
    notes: list[str] = []
    texts, asked = [], []
    for row in (a, b):
        parts = prompts.asked_parts(connection, row["newest"]["seq"], MAX_STORED_BODY_BYTES)
        basis = stored_basis(parts)
        texts.append(basis[0] if basis else "")
        asked.append(parameters(Side(row["newest"], _request(parts), {}, "")))
        if basis is None:
            notes.append(f"The text of version {row['label']} is not stored.")
    words = diff_texts(texts[0], texts[1], Work())
    if words.detail != "words" and all(texts):
        notes.append("The texts differ so much, or are so long, that they were not compared word by word.")
    return {
        "key": key,
        "a": _told(a),
        "b": _told(b),
        "detail": words.detail,
        "ops": words.ops,
        "parameters": diff_parameters(asked[0], asked[1], notes.append),
        "notes": notes,
    }


def _request(parts: Mapping[int, bytes]) -> Mapping[str, Any]:
    """Return what holds the parameters of a call."""
    attributes = parsed_object(parts.get(PART_ATTRIBUTES, b"")) or {}
    return request_of(parsed_object(parts.get(PART_REQUEST) or parts.get(PART_INPUT) or b""), attributes)


def _told(row: JSON) -> JSON:
    return {name: row[name] for name in ("version", "label", "number")} | {"id": row["newest"]["id"]}


def _chosen(versions: list[JSON], params: Mapping[str, str]) -> tuple[JSON, JSON]:
    """Return the two versions that are asked for, the last two by default."""
    known = [row for row in versions if row["newest"] is not None]
    if len(known) < 2:
        raise NotFound("This prompt has one version, so there is nothing to compare.")
    a = _named(known, params.get("a"), known[-2])
    b = _named(known, params.get("b"), known[-1])
    return a, b


def _named(versions: list[JSON], name: str | None, default: JSON) -> JSON:
    if not name:
        return default
    for column in ("version", "label"):
        for row in versions:
            if row[column] == name:
                return row
    raise NotFound(f"There is no version {name[:80]!r} of this prompt.")
