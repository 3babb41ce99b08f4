"""GET /api/traces/export: the list as a file, read and written in pieces at the client's pace, or traces as a page."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from llmflow_web.errors import BadRequest, NotFound
from llmflow_web.model import JSON, Body
from llmflow_web.net.http import ServerCall
from llmflow_web.net.router import Router, query_params
from llmflow_web.record.messages import messages_of
from llmflow_web.record.reading import Store, ask
from llmflow_web.store import export, spans
from llmflow_web.version import VERSION
from llmflow_web.wire.filter import Filter, Term, read_int

DEFAULT_LIMIT = 1000
MAX_LIMIT = 10**9
MAX_IDS = 200
MAX_HTML_TRACES = 20
OTLP_BATCH_ROWS = 20
"""Rows with their bodies that are in memory at once."""

_OWN_TYPES = {"html": "text/html; charset=utf-8", "otlp": "application/json"}
_NAMES = {"html": "traces.html", "otlp": "traces.otlp.json"}
_HTML_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"


@dataclass(frozen=True, slots=True)
class Piece:
    """What a batch of rows comes to in a file, before it is put behind another."""

    value: Any
    count: int  # rows
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Form:
    """How rows become a file."""

    read: Callable[[Any, Filter, str | None, int], Piece]  # on a reader thread: connection, filter, cursor, limit
    batch_rows: int
    opening: str
    join: Callable[[Any, bool], str]  # the text of a piece; whether it is the first one
    closing: Callable[[int], str]  # given the number of rows


class ExportRoutes:
    """Files for people and programs."""

    def __init__(self, store: Store, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock

    def register(self, router: Router) -> None:
        """Put our route into the table."""
        router.add("GET", "/api/traces/export", self.export)

    async def export(self, call: ServerCall) -> None:
        """Answer with a file of the rows a filter lets through, or of the traces that were named."""
        params = query_params(call)
        kind = params.get("format") or "json"
        known = (*export.CONTENT_TYPES, *_OWN_TYPES)
        if kind not in known:
            raise BadRequest(f"format must be one of {', '.join(known)}; got {kind[:40]!r}")
        chosen = Filter.from_query(params)
        filters = await self._of_each(call, chosen, params["ids"]) if params.get("ids") else [chosen]
        if kind == "html":
            limit = read_int(params, "limit", MAX_HTML_TRACES, 1, MAX_HTML_TRACES)
            await self._page(call, filters, limit)
            return
        limit = read_int(params, "limit", DEFAULT_LIMIT, 1, MAX_LIMIT)
        asked = {name: value for name, value in params.items() if name not in ("format", "limit")}
        form = OTLP if kind == "otlp" else _list_form(kind, self._exported_at(), asked)
        await _write(call, kind, form, self._pieces(call, filters, limit, form))

    async def _of_each(self, call: ServerCall, chosen: Filter, ids: str) -> list[Filter]:
        """Return the filter for each of the traces these ids name."""
        keys = [key for key in ids.split(",") if key]
        if len(keys) > MAX_IDS:
            raise BadRequest(f"ids may name at most {MAX_IDS} traces")
        found = await ask(self._store, call, spans.trace_ids_of, keys, long=True)
        if not found:
            raise NotFound("None of these traces is there.")
        return [Filter((*chosen.terms, Term("trace_id", "=", (trace_id,)))) for trace_id in found]

    async def _pieces(
        self, call: ServerCall, filters: Sequence[Filter], limit: int, form: Form
    ) -> AsyncIterator[Piece]:
        """Yield batches as the client takes them."""
        pace = _Pace(call)
        left = limit
        for chosen in filters:
            cursor: str | None = None
            while left > 0:
                piece = await ask(self._store, call, form.read, chosen, cursor, min(left, form.batch_rows), long=True)
                left -= piece.count
                yield piece
                await pace.wait()
                cursor = piece.next_cursor
                if cursor is None:
                    break

    async def _page(self, call: ServerCall, filters: Sequence[Filter], limit: int) -> None:
        data = await ask(self._store, call, read_page, filters, limit, self._exported_at(), long=True)
        if data is None:
            raise NotFound("No trace matches.")
        call.respond(200, [*_headers("html"), ("content-security-policy", _HTML_POLICY)], data)

    def _exported_at(self) -> str:
        return datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _headers(kind: str) -> list[tuple[str, str]]:
    return [
        ("content-type", {**export.CONTENT_TYPES, **_OWN_TYPES}[kind]),
        ("content-disposition", f'attachment; filename="{_NAMES.get(kind, f"traces.{kind}")}"'),
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-store"),
    ]


async def _write(call: ServerCall, kind: str, form: Form, pieces: AsyncIterator[Piece]) -> None:
    """Write a file. The first piece is read before the answer begins, so that an error is still an error."""
    count = 0
    is_first = True
    async for piece in pieces:
        if is_first:
            call.start(200, _headers(kind))
            call.write(form.opening.encode())
        # What holds no rows says nothing, and the next piece is still the first that does.
        call.write(form.join(piece.value, count == 0).encode("utf-8", "replace"))
        count += piece.count
        is_first = False
    call.write(form.closing(count).encode())
    call.finish()


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


# --- run on the reader thread for long work ---


def read_rows(connection: Any, chosen: Filter, cursor: str | None, limit: int) -> Piece:
    """Return the next list elements."""
    page = export.batch(connection, chosen, cursor, limit)
    return Piece(page.rows, len(page.rows), page.next_cursor)


def read_otlp(connection: Any, chosen: Filter, cursor: str | None, limit: int) -> Piece:
    """Return the next spans as the inside of an array of ResourceSpans."""
    from llmflow_web.record.semconv_out import otlp_from_row
    from llmflow_web.wire.otlp import encode

    page = export.batch(connection, chosen, cursor, limit)
    told = []
    for row in page.rows:
        span = spans.get_span(connection, row["id"], row["trace_id"])
        if span is not None:
            told.append(otlp_from_row(span, spans.get_bodies(connection, row["seq"]), content=True))
    text = encode("traces", told, is_json=True).decode() if told else "[]"
    return Piece(text[text.index("[") + 1 : text.rindex("]")], len(page.rows), page.next_cursor)


OTLP = Form(
    read_otlp,
    OTLP_BATCH_ROWS,
    '{"resourceSpans":[',
    lambda text, is_first: text if is_first or not text else "," + text,
    lambda _: "]}\n",
)


def _list_form(kind: str, exported_at: str, asked: JSON) -> Form:
    return Form(
        read_rows,
        export.BATCH_ROWS,
        export.opening(kind, exported_at, asked),
        lambda rows, is_first: export.lines(kind, rows, is_first=is_first),
        lambda count: export.closing(kind, count),
    )


def read_page(connection: Any, filters: Sequence[Filter], limit: int, exported_at: str) -> bytes | None:
    """Return the traces of which the filters let a span through as one HTML file, None when there are none."""
    from llmflow_web.record.export_html import ToldSpan, ToldTrace, page

    traces = []
    for trace_id in _trace_ids(connection, filters, limit):
        found = spans.tree(connection, trace_id)
        if found is not None:
            told = [
                ToldSpan(span, depth, partial(_contents, connection, span)) for span, depth in _walk(found["spans"])
            ]
            traces.append(ToldTrace(found["trace"], told))
    return page(traces, exported_at=exported_at, version=VERSION).encode("utf-8", "replace") if traces else None


def _contents(connection: Any, span: JSON) -> tuple[dict[str, list[JSON]], dict[int, Body]]:
    bodies = spans.get_bodies(connection, span["seq"])
    data = {part: body.data for part, body in bodies.items() if not body.is_raw}
    return messages_of(span["provider"], span["operation"], data), bodies


def _trace_ids(connection: Any, filters: Sequence[Filter], limit: int) -> list[str]:
    """Return the newest traces the filters let a span of through."""
    found: dict[str, None] = {}
    for chosen in filters:
        cursor: str | None = None
        while len(found) < limit:
            page = export.batch(connection, chosen, cursor)
            found.update(dict.fromkeys(row["trace_id"] for row in page.rows))
            cursor = page.next_cursor
            if cursor is None:
                break
    return list(found)[:limit]


def _walk(roots: Sequence[JSON]) -> Iterator[tuple[JSON, int]]:
    waiting = [(root, 0) for root in reversed(roots)]
    while waiting:
        span, depth = waiting.pop()
        yield span, depth
        waiting.extend((child, depth + 1) for child in reversed(span["children"]))
