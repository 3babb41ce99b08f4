"""Spans and traces: the list, one call with its bodies and messages, the tree, a piece of a body, facets, histogram."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from llmflow_web.errors import BadRequest, NotFound
from llmflow_web.model import (
    JSON,
    PART_ANSWER,
    PART_ARRIVALS,
    PART_ATTRIBUTES,
    PART_HEADERS,
    PART_INPUT,
    PART_NAMES,
    PART_OTLP,
    PART_OUTPUT,
    PART_REQUEST,
    PART_RESPONSE,
    Body,
)
from llmflow_web.net.http import ServerCall
from llmflow_web.net.router import Router, query_params
from llmflow_web.record.messages import messages_of
from llmflow_web.record.reading import Store, ask
from llmflow_web.store import facets, logs, spans
from llmflow_web.store.columns import short_row
from llmflow_web.store.spans import BodySlice
from llmflow_web.wire.arrivals import decode_arrivals
from llmflow_web.wire.filter import Filter, Page, read_flag, read_int

MAX_SHOWN_BODY_BYTES = 1024 * 1024
"""A longer body is shown by its beginning; the rest is fetched in pieces from /api/spans/{id}/body."""

SHOWN_BEGINNING_BYTES = 64 * 1024
MAX_TREE_BODY_BYTES = 16 * 1024 * 1024
"""Bodies of all spans in a full tree together; spans beyond it come without theirs."""

DEFAULT_SLICE_BYTES = 256 * 1024
MAX_SLICE_BYTES = 8 * 1024 * 1024
_BODY_HEADERS = (
    ("x-content-type-options", "nosniff"),
    ("content-security-policy", "sandbox; default-src 'none'"),
    ("cache-control", "no-store"),
)


Running = Callable[[Filter, float], list[JSON]]
"""`Inflight.rows`: the running calls a filter lets through at a time (ms)."""

Look = Callable[[str], tuple[JSON, dict[int, Body]] | None]
"""`Inflight.look`: a running call, by its id or its trace's, and what it sent."""


class TraceRoutes:
    """GET /api/traces and what hangs on one trace or span."""

    def __init__(
        self,
        store: Store,
        *,
        running: Running | None = None,
        look: Look | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Answer from `store`; `running` makes rows of the calls under way, `look` shows one of them."""
        self._store = store
        self._running = running
        self._look = look or (lambda _: None)
        self._clock = clock

    def register(self, router: Router) -> None:
        """Put our routes into the table."""
        router.add("GET", "/api/traces", self.list)
        router.add("GET", "/api/traces/{key}", self.detail)
        router.add("GET", "/api/traces/{key}/tree", self.tree)
        router.add("GET", "/api/spans/{key}/body", self.body)
        router.add("GET", "/api/facets", self.facets)
        router.add("GET", "/api/histogram", self.histogram)

    async def list(self, call: ServerCall) -> None:
        """Answer with an array of list elements; the next cursor and a note travel in headers."""
        params = query_params(call)
        chosen, page = Filter.from_query(params), Page.from_query(params)
        has_all = _wants_all(params)
        found = await ask(self._store, call, spans.list_spans, chosen, page)
        headers = [("x-llmflow-change", str(found.change)), ("cache-control", "no-store")]
        if found.next_cursor is not None:
            headers.append(("x-llmflow-next-cursor", found.next_cursor))
        notes = [*chosen.notes, *([found.note] if found.note else [])]
        if notes:
            headers.append(("x-llmflow-note", _header_text("; ".join(notes))))
        if found.has_deletions:
            headers.append(("x-llmflow-deleted", "1"))
        is_first = page.cursor is None and page.after is None and not page.offset and page.sort == "-time"
        running: list[JSON] = []
        if read_flag(params, "running") and is_first and self._running is not None:
            # Looked at after the rows were read: a call that has ended meanwhile is in neither, never in both.
            running = self._running(chosen, self._clock() * 1000)
        rows = [*running, *found.rows]
        call.respond_json(200, rows if has_all else [short_row(row) for row in rows], headers)

    async def detail(self, call: ServerCall, key: str) -> None:
        """Answer with one call: the root of the trace `key`, else the newest span with this id, else one that runs."""
        params = query_params(call)
        found = await ask(self._store, call, read_detail, key, params.get("trace_id"))
        if found is None:
            running = self._look(key)
            if running is None:
                raise NotFound("Trace not found")
            found = detail_of(*running)
        call.respond_json(200, found, [("cache-control", "no-store")])

    async def tree(self, call: ServerCall, key: str) -> None:
        """Answer with a trace and its spans, nested; `fields=summary` leaves the bodies out."""
        found = await ask(self._store, call, read_tree, key, _wants_all(query_params(call)))
        if found is None:
            running = self._look(key)
            if running is None:
                raise NotFound("Span not found")
            found = _tree_of_one(running[0])
        call.respond_json(200, found, [("cache-control", "no-store")])

    async def body(self, call: ServerCall, key: str) -> None:
        """Answer with a piece of one stored part of a span, as it came; arrivals as JSON."""
        params = query_params(call)
        name = params.get("part", "request")
        part = PART_NAMES.get(name)
        if part is None:
            raise BadRequest(f"part must be one of {', '.join(PART_NAMES)}; got {name[:40]!r}")
        offset = read_int(params, "offset", 0, 0, 2**53)
        limit = read_int(params, "limit", DEFAULT_SLICE_BYTES, 1, MAX_SLICE_BYTES)
        if part == PART_ARRIVALS:
            offset, limit = 0, MAX_SLICE_BYTES
        wanted = (part, offset, limit)
        found = await ask(self._store, call, read_part, key, params.get("trace_id"), wanted)
        if found is None:
            raise NotFound("Span not found, or nothing of this part was stored")
        if part == PART_ARRIVALS:
            arrivals = [[place, round(us / 1000, 3)] for place, us in decode_arrivals(found.data)]
            call.respond_json(200, arrivals, _BODY_HEADERS)
            return
        call.respond(200, [*_slice_headers(found), *_BODY_HEADERS], found.data)

    async def facets(self, call: ServerCall) -> None:
        """Answer with the values of a field, the most frequent first."""
        params = query_params(call)
        if not params.get("field"):
            raise BadRequest("field is missing: the field whose values are wanted")
        limit = read_int(params, "limit", facets.MAX_VALUES, 1, facets.MAX_VALUES)
        found = await ask(self._store, call, facets.facets, params["field"], params.get("q", ""), limit)
        call.respond_json(200, found)

    async def histogram(self, call: ServerCall) -> None:
        """Answer with spans and errors over time, for the same filter as the list."""
        params = query_params(call)
        buckets = read_int(params, "buckets", 60, 1, facets.MAX_BUCKETS)
        now_ms = int(self._clock() * 1000)
        found = await ask(self._store, call, facets.histogram, Filter.from_query(params), buckets, now_ms)
        call.respond_json(200, found)


def _wants_all(params: Mapping[str, str]) -> bool:
    fields = params.get("fields") or "all"
    if fields not in ("all", "summary"):
        raise BadRequest(f"fields must be all or summary; got {fields[:40]!r}")
    return fields == "all"


def _tree_of_one(row: JSON) -> JSON:
    """Return the tree of a running call of which nothing is stored yet."""
    length = row["duration_ms"]
    trace = {
        "trace_id": row["trace_id"], "start_time": row["timestamp"], "end_time": row["timestamp"] + round(length),
        "start_ns": row["start_ns"], "duration_ms": length, "total_cost": None, "total_tokens": 0, "span_count": 1,
        "error_count": 0, "unpriced_count": 0, "session_id": row["session_id"],
    }  # fmt: skip
    return {"trace": trace, "spans": [{**row, "children": []}]}


def _header_text(text: str) -> str:
    """Return what of a sentence may stand in a header."""
    return "".join(char if " " <= char <= "~" else "?" for char in text)[:500]


def _slice_headers(piece: BodySlice) -> list[tuple[str, str]]:
    # Never a type a browser would run or render: these are strangers' bytes on our origin.
    kind = "application/octet-stream" if piece.is_raw else "text/plain; charset=utf-8"
    return [
        ("content-type", kind),
        ("x-llmflow-size", str(piece.stored)),
        ("x-llmflow-wire-size", str(piece.size)),
        ("x-llmflow-cut", "1" if piece.is_cut else "0"),
    ]


# --- run on a reader thread ---


def read_part(connection: Any, key: str, trace_id: str | None, wanted: tuple[int, int, int]) -> BodySlice | None:
    """Return a piece of one part of a span; `wanted` is part, offset and limit."""
    span = spans.get_span(connection, key, trace_id)
    return None if span is None else spans.get_body(connection, span["seq"], *wanted)


def read_detail(connection: Any, key: str, trace_id: str | None = None) -> JSON | None:
    """Return everything about one call, in the shape of GET /api/traces/{id}."""
    span = spans.get_span(connection, key, trace_id)
    if span is None:
        return None
    bodies = spans.get_bodies(connection, span["seq"])
    found = detail_of(span, bodies)
    messages = found["messages"]
    if PART_OTLP in bodies and not (messages["input"] and messages["output"]):
        from llmflow_web.record.semconv_detail import with_logs

        linked = logs.logs_of_trace(connection, span["trace_id"], span["id"])
        found["messages"] = with_logs(messages, linked) if linked else messages
    return found


def detail_of(span: JSON, bodies: Mapping[int, Body]) -> JSON:
    """Put a span's row and its stored parts together."""
    headers = _json_part(bodies, PART_HEADERS)
    headers = headers if isinstance(headers, dict) else {}
    data = {part: body.data for part, body in bodies.items() if not body.is_raw}
    found = {
        "trace": span,
        "request": {
            "method": span["request_method"],
            "path": span["request_path"],
            "query": headers.get("query") or "",
            "headers": headers_object(headers.get("request")),
            **shown_body(bodies.get(PART_REQUEST)),
        },
        "response": {
            "status": span["response_status"],
            "headers": headers_object(headers.get("response")),
            **shown_body(bodies.get(PART_RESPONSE)),
        },
        "messages": messages_of(span["provider"], span["operation"], data),
        "answer": _json_part(bodies, PART_ANSWER),
        "attributes": _json_part(bodies, PART_ATTRIBUTES) or {},
        "input": _json_part(bodies, PART_INPUT),
        "output": _json_part(bodies, PART_OUTPUT),
    }
    return found | _received_detail(data) if PART_OTLP in data else found


def _received_detail(data: Mapping[int, bytes]) -> JSON:
    from llmflow_web.record.semconv_detail import detail_of_otlp  # only telemetry needs it

    return detail_of_otlp(data)


def read_tree(connection: Any, key: str, has_bodies: bool) -> JSON | None:
    """Return a trace and its nested spans; in outline, or with bodies as far as they fit into MAX_TREE_BODY_BYTES."""
    if not has_bodies:
        return spans.outline(connection, key)
    found = spans.tree(connection, key)
    if found is None:
        return None
    left, omitted = MAX_TREE_BODY_BYTES, 0
    waiting = list(reversed(found["spans"]))
    while waiting:
        span = waiting.pop()
        waiting.extend(reversed(span["children"]))
        bodies = spans.get_bodies(connection, span["seq"]) if left > 0 else {}
        left -= sum(len(body.data) for body in bodies.values())
        omitted += left <= 0
        _add_columns(span, bodies)
    found["trace"]["bodies_left_out"] = omitted
    return found


def _add_columns(span: JSON, bodies: Mapping[int, Body]) -> None:
    """Add what the columns of the contract's span hold beside the summary."""
    headers = _json_part(bodies, PART_HEADERS)
    headers = headers if isinstance(headers, dict) else {}
    answer = _json_part(bodies, PART_ANSWER)
    span["request_headers"] = headers_object(headers.get("request"))
    span["request_body"] = shown_body(bodies.get(PART_REQUEST))["body"]
    span["response_headers"] = headers_object(headers.get("response"))
    span["response_body"] = answer if answer is not None else shown_body(bodies.get(PART_RESPONSE))["body"]
    span["attributes"] = _json_part(bodies, PART_ATTRIBUTES) or {}
    span["input"] = _json_part(bodies, PART_INPUT)
    span["output"] = _json_part(bodies, PART_OUTPUT)
    if PART_OTLP in bodies:
        told = _received_detail({part: body.data for part, body in bodies.items()})
        span.update({name: told[name] for name in ("attributes", "input", "output")})


def headers_object(pairs: object) -> dict[str, str]:
    """Turn a header list into an object; lines of one name are joined as HTTP joins them."""
    found: dict[str, str] = {}
    known: dict[str, str] = {}
    for pair in pairs if isinstance(pairs, list) else ():
        name, value = _pair(pair)
        first = known.setdefault(name.lower(), name)
        found[first] = f"{found[first]}, {value}" if first in found else value
    return found


def _pair(pair: Sequence[str]) -> tuple[str, str]:
    return str(pair[0]), str(pair[1])


def shown_body(body: Body | None) -> JSON:
    """Return a body as the screen shows it: parsed JSON, text, or of a long one the beginning."""
    if body is None:
        return {"body": None, "size": 0, "is_cut": False, "is_raw": False, "is_partial": False}
    is_partial = len(body.data) > MAX_SHOWN_BODY_BYTES
    shown: Any = None
    if not body.is_raw:
        data = body.data[:SHOWN_BEGINNING_BYTES] if is_partial else body.data
        shown = data.decode("utf-8", "replace") if is_partial else _parsed(data)
    return {
        "body": shown,
        "size": body.size,
        "is_cut": body.is_cut,
        "is_raw": body.is_raw,
        "is_partial": is_partial,
    }


def _parsed(data: bytes) -> Any:
    """Return parsed JSON, else the text; None when there is nothing."""
    if not data:
        return None
    if data.lstrip()[:1] in (b"{", b"[", b'"'):
        try:
            return json.loads(data, parse_constant=str)
        except (ValueError, RecursionError):
            pass
    return data.decode("utf-8", "replace")


def _json_part(bodies: Mapping[int, Body], part: int) -> Any:
    """Return a part that we wrote as JSON; of one that was cut, its text."""
    body = bodies.get(part)
    if body is None:
        return None
    try:
        return json.loads(body.data, parse_constant=str)
    except (ValueError, RecursionError):
        return body.data.decode("utf-8", "replace")
