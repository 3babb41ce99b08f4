"""GET /api/traces/export: the whole list as a file, read and written in pieces at the client's pace."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime

from llmflow_web.errors import BadRequest
from llmflow_web.net.http import ServerCall
from llmflow_web.net.router import Router, query_params
from llmflow_web.record.reading import Store, ask
from llmflow_web.store import export
from llmflow_web.wire.filter import Filter, read_int

DEFAULT_LIMIT = 1000
MAX_LIMIT = 10**9


class ExportRoutes:
    """Files for people and programs."""

    def __init__(self, store: Store, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock

    def register(self, router: Router) -> None:
        """Put our route into the table."""
        router.add("GET", "/api/traces/export", self.export)

    async def export(self, call: ServerCall) -> None:
        """Answer with a JSON, JSONL or CSV file of the rows a filter lets through."""
        params = query_params(call)
        kind = params.get("format") or "json"
        if kind not in export.CONTENT_TYPES:
            raise BadRequest(f"format must be one of {', '.join(export.CONTENT_TYPES)}; got {kind[:40]!r}")
        limit = read_int(params, "limit", DEFAULT_LIMIT, 1, MAX_LIMIT)
        chosen = Filter.from_query(params)
        # The first piece is read before the answer begins, so that an error is still an error.
        page = await ask(self._store, call, export.batch, chosen, None, min(limit, export.BATCH_ROWS), long=True)
        pace = _Pace(call)
        call.start(
            200,
            [
                ("content-type", export.CONTENT_TYPES[kind]),
                ("content-disposition", f'attachment; filename="traces.{kind}"'),
                ("x-content-type-options", "nosniff"),
                ("cache-control", "no-store"),
            ],
        )
        asked = {name: value for name, value in params.items() if name not in ("format", "limit")}
        call.write(export.opening(kind, self._exported_at(), asked).encode())
        count = 0
        while True:
            text = export.lines(kind, page.rows, is_first=count == 0)
            call.write(text.encode("utf-8", "replace"))
            count += len(page.rows)
            if page.next_cursor is None or count >= limit:
                break
            await pace.wait()
            wanted = min(limit - count, export.BATCH_ROWS)
            page = await ask(self._store, call, export.batch, chosen, page.next_cursor, wanted, long=True)
        call.write(export.closing(kind, count).encode())
        call.finish()

    def _exported_at(self) -> str:
        return datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _Pace:
    """Waits while the client takes bytes too slowly."""

    def __init__(self, call: ServerCall) -> None:
        self._room = asyncio.Event()
        self._room.set()
        self._call = call
        self._is_lost = False
        call.on_pause = self._room.clear
        call.on_resume = self._room.set

    async def wait(self) -> None:
        """Return when there is room. Raises CancelledError when the client goes meanwhile."""
        self._call.on_disconnect = self._lose
        try:
            await self._room.wait()
        finally:
            self._call.on_disconnect = None
        if self._is_lost:
            raise asyncio.CancelledError

    def _lose(self) -> None:
        self._is_lost = True
        self._room.set()
