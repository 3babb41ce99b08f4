"""What programs send about themselves: POST /api/spans. Answered when it is on disk."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

from llmflow_web.errors import BadRequest, StoreError, TooLarge
from llmflow_web.model import JSON, Row
from llmflow_web.net.http import ServerCall
from llmflow_web.net.router import Router
from llmflow_web.record.sdk_span import NewIds, row_from_span
from llmflow_web.wire.content import decode_body

T = TypeVar("T")

MAX_SPANS = 1000
MAX_POST_BYTES = 32 * 1024 * 1024
MAX_PENDING_BYTES = 64 * 1024 * 1024
"""More than this waiting for the database, and posts are refused with 503 until it has caught up."""

ROW_BYTES = 1024
OTLP_PATHS = ("/v1/traces", "/v1/logs", "/v1/metrics")


class SpanStore(Protocol):
    """What of store.database.Database takes rows."""

    @property
    def pending_bytes(self) -> int:
        """What waits to be written."""

    def put(self, item: object, weight: int) -> None:
        """Queue rows."""

    def call(self, fn: Callable[[Any], T]) -> Future[T]:
        """Run a job after what was put before it is committed."""


class IngestRoutes:
    """POST /api/spans; OTLP is refused in words until it is understood here."""

    def __init__(
        self, store: SpanStore, *, ids: NewIds | None = None, clock_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self._store = store
        # Ids are names, not secrets: a plain generator will do.
        self._ids = ids or NewIds(
            trace=lambda: f"{random.getrandbits(128):032x}", span=lambda: f"{random.getrandbits(64):016x}"
        )
        self._clock_ns = clock_ns

    def register(self, router: Router) -> None:
        """Put our routes into the table."""
        router.add("POST", "/api/spans", self.spans)
        for path in OTLP_PATHS:
            router.add("POST", path, self.otlp)

    async def spans(self, call: ServerCall) -> None:
        """Store one span, or up to MAX_SPANS in {"spans": […]}, and answer after the commit."""
        body = await self._body(call)
        posted = body.get("spans")
        if isinstance(posted, list):
            await self._many(call, posted)
            return
        row = row_from_span(body, now_ns=self._clock_ns(), ids=self._ids)
        await self._store_rows([row])
        call.respond_json(201, {"id": row.span.id, "trace_id": row.span.trace_id})

    async def _many(self, call: ServerCall, posted: list[Any]) -> None:
        if len(posted) > MAX_SPANS:
            raise TooLarge(f"spans may hold at most {MAX_SPANS} spans; these are {len(posted)}")
        rows: list[Row] = []
        results: list[JSON] = []
        now_ns = self._clock_ns()
        for item in posted:
            try:
                row = row_from_span(item, now_ns=now_ns, ids=self._ids)
            except BadRequest as error:
                results.append({"error": error.message})
                continue
            rows.append(row)
            results.append({"id": row.span.id, "trace_id": row.span.trace_id})
        if rows:
            await self._store_rows(rows)
        rejected = len(posted) - len(rows)
        answer: JSON = {"stored": len(rows), "rejected": rejected, "results": results}
        if posted and not rows:
            answer["error"] = results[0]["error"]
        call.respond_json(400 if posted and not rows else 201, answer)

    async def _store_rows(self, rows: list[Row]) -> None:
        if self._store.pending_bytes > MAX_PENDING_BYTES:
            raise StoreError("Too much waits for the database; try again in a moment.")
        weight = sum(ROW_BYTES + sum(len(body.data) for body in row.bodies) for row in rows)
        self._store.put(rows, weight)
        # A job that does nothing: its turn comes when the rows are on disk.
        await asyncio.wrap_future(self._store.call(_nothing))

    async def _body(self, call: ServerCall) -> JSON:
        data = await call.body(MAX_POST_BYTES)
        coding = (call.header(b"content-encoding") or b"").decode("latin-1")
        if coding:
            data, is_raw = decode_body(data, coding, MAX_POST_BYTES + 1)
            if is_raw:
                raise BadRequest(f"The content-encoding {coding[:40]!r} cannot be undone here; send gzip or none.")
            if len(data) > MAX_POST_BYTES:
                raise TooLarge(f"The body is larger than {MAX_POST_BYTES} bytes.")
        try:
            value = json.loads(data, parse_constant=_no_number)
        except (ValueError, RecursionError) as error:
            raise BadRequest(f"The body is not JSON: {error}") from error
        if not isinstance(value, dict):
            raise BadRequest('The body must be a span, or {"spans": [span, …]}.')
        return value

    async def otlp(self, call: ServerCall) -> None:
        """Say that OTLP is not taken yet. The body is read first, so that the client hears the answer."""
        await call.body(MAX_POST_BYTES)
        call.respond_json(501, {"error": f"OTLP at {call.path} is not taken by this version; POST /api/spans is."})


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


def _nothing(_connection: Any) -> None:
    """Do nothing."""
