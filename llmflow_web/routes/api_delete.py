"""Deleting traces by hand: one, some, or all that a filter finds. Their text leaves the file soon after."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from llmflow_web.errors import BadRequest, NotFound
from llmflow_web.net.http import ServerCall
from llmflow_web.net.router import Router, json_object
from llmflow_web.record.reading import DeletingStore
from llmflow_web.store.spans import trace_ids_of
from llmflow_web.wire.filter import PARAMETERS, Filter

MAX_IDS = 1000
MAX_POST_BYTES = 1024 * 1024


class DeleteRoutes:
    """DELETE /api/traces/{id} and POST /api/traces/delete."""

    def __init__(self, store: DeletingStore) -> None:
        self._store = store

    def register(self, router: Router) -> None:
        """Put our routes into the table."""
        router.add("GET", "/api/traces/delete", self.state)
        router.add("POST", "/api/traces/delete", self.many)
        router.add("DELETE", "/api/traces/{key}", self.one)

    def state(self, call: ServerCall) -> None:
        """Say whether everything deleted is gone from the file."""
        call.respond_json(200, {"erased": self._store.is_erased}, [("cache-control", "no-store")])

    async def one(self, call: ServerCall, key: str) -> None:
        """Delete the trace with this id, or that of the newest span with this id."""
        count = await self._delete_named([key])
        if not count:
            raise NotFound("Trace not found")
        call.respond_json(202, {"deleted": count, "erased": False})

    async def many(self, call: ServerCall) -> None:
        """Delete the traces of these ids, or those of which a filter lets a span through."""
        asked = await json_object(call, MAX_POST_BYTES)
        if ("ids" in asked) == ("filter" in asked):
            raise BadRequest('send either {"ids": […]} or {"filter": {…}}')
        if "ids" in asked:
            count = await self._delete_named(_ids(asked["ids"]))
        else:
            count = await asyncio.wrap_future(self._store.delete_traces(_chosen(asked)))
        call.respond_json(202, {"deleted": count, "erased": False})

    async def _delete_named(self, keys: Sequence[str]) -> int:
        # Behind what was put before: a trace seen on the screen a moment ago is found.
        await asyncio.wrap_future(self._store.call(_nothing))
        found = await asyncio.wrap_future(self._store.read(trace_ids_of, keys, long=True))
        return await asyncio.wrap_future(self._store.delete_traces(found)) if found else 0


def _ids(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value) or len(value) > MAX_IDS:
        raise BadRequest(f"ids must be an array of at most {MAX_IDS} ids")
    return [one for one in value if one.isprintable()]  # ids are; half a surrogate pair is nothing SQLite can look for


def _chosen(asked: dict[str, Any]) -> Filter:
    chosen = Filter.from_object(asked["filter"])
    unknown = sorted(set(asked["filter"] or ()) - PARAMETERS)
    if unknown:
        raise BadRequest(f"a filter has no {unknown[0][:40]!r}; it has {', '.join(sorted(PARAMETERS))}")
    if (chosen is None or chosen.is_empty) and asked.get("all") is not True:
        raise BadRequest('an empty filter would delete everything; say so with {"filter": {}, "all": true}')
    if chosen is not None and chosen.notes:
        raise BadRequest("; ".join(chosen.notes))  # a misread word must not decide what is deleted
    return chosen or Filter()


def _nothing(_connection: Any) -> None:
    """Do nothing: a job that only waits for its turn."""
