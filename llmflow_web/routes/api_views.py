"""Saved views: GET /api/views, PUT and DELETE /api/views/{name}."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from llmflow_web.errors import BadRequest, NotFound
from llmflow_web.net.http import ServerCall
from llmflow_web.net.router import Router, json_object
from llmflow_web.record.reading import WriteStore, ask
from llmflow_web.store import views

MAX_NAME_CHARS = 100
MAX_QUERY_CHARS = 4000
MAX_POST_BYTES = 64 * 1024


class ViewRoutes:
    """Names for queries."""

    def __init__(self, store: WriteStore, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock

    def register(self, router: Router) -> None:
        """Put our routes into the table."""
        router.add("GET", "/api/views", self.list)
        router.add("PUT", "/api/views/{name}", self.save)
        router.add("DELETE", "/api/views/{name}", self.delete)

    async def list(self, call: ServerCall) -> None:
        """Answer with all views."""
        found = await ask(self._store, call, views.list_views)
        call.respond_json(200, {"views": found}, [("cache-control", "no-store")])

    async def save(self, call: ServerCall, name: str) -> None:
        """Keep a query under a name."""
        query = (await json_object(call, MAX_POST_BYTES)).get("query")
        if not isinstance(query, str) or len(query) > MAX_QUERY_CHARS:
            raise BadRequest(f"query must be a text of at most {MAX_QUERY_CHARS} characters")
        if not name.strip() or len(name) > MAX_NAME_CHARS or not name.isprintable():
            raise BadRequest(f"a name has 1 to {MAX_NAME_CHARS} characters that can be shown")
        if any("\ud800" <= char <= "\udfff" for char in query):
            raise BadRequest("query is not valid text")
        now_ms = int(self._clock() * 1000)
        kept = self._store.call(lambda connection: views.save_view(connection, name, query, now_ms))
        view = await asyncio.wrap_future(kept)
        call.respond_json(200, view)

    async def delete(self, call: ServerCall, name: str) -> None:
        """Forget a view."""
        if not await asyncio.wrap_future(self._store.call(lambda connection: views.delete_view(connection, name))):
            raise NotFound(f"There is no view {name!r}.")
        call.respond(204, [])
