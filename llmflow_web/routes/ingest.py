"""What programs send about themselves: POST /api/spans. Answered when it is on disk."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from typing import Any

from llmflow_web.errors import BadRequest, TooLarge
from llmflow_web.model import JSON, Row
from llmflow_web.net.http import ServerCall
from llmflow_web.net.router import Router
from llmflow_web.record.intake import Intake, pieces_of
from llmflow_web.record.sdk_span import NewIds, row_from_span
from llmflow_web.wire.content import decode_body

MAX_SPANS = 1000
MAX_POST_BYTES = 32 * 1024 * 1024


class IngestRoutes:
    """POST /api/spans."""

    def __init__(
        self, intake: Intake, *, ids: NewIds | None = None, clock_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self._intake = intake
        # Ids are names, not secrets: a plain generator will do.
        self._ids = ids or NewIds(
            trace=lambda: f"{random.getrandbits(128):032x}", span=lambda: f"{random.getrandbits(64):016x}"
        )
        self._clock_ns = clock_ns

    def register(self, router: Router) -> None:
        """Put our routes into the table."""
        router.add("POST", "/api/spans", self.spans)

    async def spans(self, call: ServerCall) -> None:
        """Store one span, or up to MAX_SPANS in {"spans": […]}, and answer after the commit."""
        body = await self._body(call)
        posted = body.get("spans")
        if isinstance(posted, list):
            await self._many(call, posted)
            return
        row = row_from_span(body, now_ns=self._clock_ns(), ids=self._ids)
        await self._intake.store(pieces_of([row]))
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
            await self._intake.store(pieces_of(rows))
        rejected = len(posted) - len(rows)
        answer: JSON = {"stored": len(rows), "rejected": rejected, "results": results}
        if posted and not rows:
            answer["error"] = results[0]["error"]
        call.respond_json(400 if posted and not rows else 201, answer)

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


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no JSON")
