"""Calls under way, shown as rows until their own row is stored. In memory only: a crash loses them.

The proxy keeps a dict of them (one insert, one removal a call) and knows nothing of this. Everything else happens here,
and only while somebody looks: a row is made when a list asks for it, or a few times a second while a browser listens.
Runs on the loop's thread.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from heapq import nlargest
from typing import Protocol

from llmflow_web.model import JSON, PART_HEADERS, PART_REQUEST, Body, Exchange, Span
from llmflow_web.provider import Provider
from llmflow_web.record.labels import labels_from, tool_of
from llmflow_web.record.observed import parsed_object
from llmflow_web.record.previews import asked_preview
from llmflow_web.record.redact import Secret, credentials_in, redact_bytes, redact_headers, redact_span
from llmflow_web.store.columns import row_of_span
from llmflow_web.wire.filter import Filter

MAX_SHOWN = 200
"""Running calls in a list or a message, the newest."""

MAX_READ_BYTES = 16 * 1024
"""A longer request is not parsed while it runs: its model is looked for, its preview comes with its row."""

MAX_LOOKED_AT_BYTES = 256 * 1024
"""What a longer request says is shown when it is stored: this runs on the loop."""

TICK_S = 0.25
TELL_EVERY_NS = 450_000_000  # an answer that grows is told of every second tick
HOLD_NS = 1_000_000_000
"""So long after its end a call is told to run no more: its row has come by then and taken its place."""

MIN_AGE_NS = 200_000_000
"""A call must have run so long to be told of: most are over sooner, and cost nothing here."""

_MODEL = re.compile(rb'"model"\s*:\s*"([^"\\]{1,200})"')


class Audience(Protocol):
    """Who is told: record.hub.Hub."""

    on_subscribe: Callable[[], None] | None

    @property
    def has_subscribers(self) -> bool:
        """Say whether anybody wants batches of rows."""

    def tell_running(self, rows: Sequence[JSON], ended: Sequence[JSON]) -> None:
        """Tell of calls under way, and of those that are no more."""


@dataclass(slots=True)
class _Known:
    """What is remembered of a running call between two looks."""

    exchange: Exchange
    row: JSON
    read: int  # bytes of the request when the row was made
    is_new: bool = True  # some listener has not been told of it as it is
    told_ns: int = 0  # when it was last told; 0 = never
    chunk_count: int = 0  # as last told
    ended_ns: int = 0  # when it was first missed; 0 = it runs


class Inflight:
    """Makes rows of running calls, and tells an audience of them."""

    def __init__(
        self,
        running: Mapping[str, Exchange],
        providers: Mapping[str, Provider],
        *,
        secrets: Sequence[str] = (),
        patterns: Sequence[re.Pattern[str]] = (),
        clock_ns: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        """Watch `running` (span id → exchange), which the proxy fills and empties.

        providers: rows by name, as the RowMaker has them. clock_ns: the exchanges' clock.
        """
        self._running = running
        self._providers = providers
        self._secrets: tuple[Secret, ...] = (*(secret.encode() for secret in secrets if secret), *patterns)
        self._clock_ns = clock_ns
        self._known: dict[str, _Known] = {}
        self._audience: Audience | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Inflight {len(self._running)} calls{', watched' if self._timer else ''}>"

    # ── rows ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def rows(self, chosen: Filter | None, now_ms: float) -> list[JSON]:
        """Return the running calls a filter lets through as list elements, the newest first."""
        if not self._running or not may_run(chosen):
            return []
        if self._timer is None:  # else those who were told of a call must be told of its end first
            self._known = {key: known for key, known in self._known.items() if key in self._running}
        now_ns = self._clock_ns()
        rows = [_row_now(self._look_at(exchange), now_ns) for exchange in self._newest()]
        return rows if chosen is None else [row for row in rows if chosen.matches(row, now_ms)]

    def look(self, key: str) -> tuple[JSON, dict[int, Body]] | None:
        """Return one running call, by its id or its trace's: its row, and what it sent as it would be stored."""
        exchange = self._running.get(key)
        if exchange is None:
            found = [one for one in self._running.values() if one.trace_id == key]
            exchange = min(found, key=_begun, default=None)
        if exchange is None:
            return None
        row = _row_now(self._look_at(exchange), self._clock_ns())
        row |= {"cost_detail": None, "dropped": [], "notes": [], "counts": True, "start_ns": str(exchange.start_ns)}
        return row, self._sent(exchange)

    def _sent(self, exchange: Exchange) -> dict[int, Body]:
        secrets = (*self._secrets, *credentials_in(exchange.request_headers))
        headers = redact_headers(exchange.request_headers, secrets)
        parts = {PART_HEADERS: json.dumps({"request": headers}).encode()}
        capture = exchange.request
        has_body = capture is not None and 0 < capture.stored <= MAX_LOOKED_AT_BYTES and not exchange.is_websocket
        if capture is not None and has_body and exchange.record == "on":
            parts[PART_REQUEST] = redact_bytes(capture.join(), secrets)
        return {part: Body(part, data, len(data)) for part, data in parts.items()}

    def _newest(self) -> list[Exchange]:
        if len(self._running) <= MAX_SHOWN:
            return sorted(self._running.values(), key=_begun, reverse=True)
        return nlargest(MAX_SHOWN, self._running.values(), key=_begun)

    def _look_at(self, exchange: Exchange) -> _Known:
        known = self._known.get(exchange.id)
        read = exchange.request.size if exchange.request is not None else 0
        if known is None:
            known = self._known[exchange.id] = _Known(exchange, self._made(exchange), read)
        elif known.read != read:  # more of the request has come
            known.row, known.read, known.is_new = self._made(exchange), read, True
        return known

    def _made(self, exchange: Exchange) -> JSON:
        provider = self._providers.get(exchange.dialect or exchange.provider) or self._providers["openai"]
        span = running_span(exchange, provider, (*self._secrets, *credentials_in(exchange.request_headers)))
        is_root = span.parent_id is None
        row = row_of_span(span, seq=0, change=0, is_root=is_root, has=0, trace=(1, 0, 0.0, 0, 0))
        return {**row, "seq": None, "change": None, "running": True, "chunk_count": 0}

    def _let_go(self) -> list[_Known]:
        """Let go of calls that have run no more for a while, and return them."""
        now_ns = self._clock_ns()
        gone: list[_Known] = []
        for key, known in self._known.items():
            if key in self._running:
                continue
            known.ended_ns = known.ended_ns or now_ns
            if now_ns - known.ended_ns >= HOLD_NS:
                gone.append(known)
        for known in gone:
            del self._known[known.exchange.id]
        return gone

    # ── telling ──────────────────────────────────────────────────────────────────────────────────────────────────

    def tell(self, audience: Audience) -> None:
        """From now on tell `audience` whenever it has subscribers."""
        self._audience = audience
        audience.on_subscribe = self._wake

    def close(self) -> None:
        """Tell nothing more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._audience is not None:
            self._audience.on_subscribe = None
            self._audience = None
        self._known.clear()

    def _wake(self) -> None:
        """Somebody has subscribed: tell all that runs, and go on."""
        for known in self._known.values():
            known.is_new = True
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(TICK_S, self._tick)

    def _tick(self) -> None:
        self._timer = None
        audience = self._audience
        if audience is None or not audience.has_subscribers:
            self._known.clear()
            return
        self._timer = asyncio.get_running_loop().call_later(TICK_S, self._tick)
        gone = self._let_go()
        if not gone and not self._running:
            return
        ended = [{"id": one.exchange.id, "trace_id": one.exchange.trace_id} for one in gone if one.told_ns]
        rows = self._news()
        if rows or ended:
            audience.tell_running(rows, ended)

    def _news(self) -> list[JSON]:
        """Return the rows of calls that are new, or of whose answer more has come since they were last told."""
        now_ns = self._clock_ns()
        rows: list[JSON] = []
        for exchange in self._newest():
            if now_ns - exchange.started_ns < MIN_AGE_NS:
                continue
            known = self._look_at(exchange)
            count = len(exchange.arrivals)
            has_news = count != known.chunk_count and now_ns - known.told_ns >= TELL_EVERY_NS
            if known.is_new or has_news:
                known.is_new, known.told_ns, known.chunk_count = False, now_ns, count
                rows.append(_row_now(known, now_ns))
        return rows


def _begun(exchange: Exchange) -> int:
    return exchange.start_ns


def may_run(chosen: Filter | None) -> bool:
    """Say whether a filter can let a running call through: one on the outcome cannot, whatever it says."""
    return chosen is None or all(term.field != "status" for term in chosen.terms)


def _row_now(known: _Known, now_ns: int) -> JSON:
    exchange = known.exchange
    first = exchange.first_byte_ns
    return {
        **known.row,
        "duration_ms": round(max(0, now_ns - exchange.started_ns) / 1e6, 3),
        "ttft_ms": round(max(0, first - exchange.started_ns) / 1e6, 3) if first else None,
        "response_status": exchange.response_status or None,
        "chunk_count": len(exchange.arrivals),
    }


def running_span(exchange: Exchange, provider: Provider, secrets: Sequence[Secret]) -> Span:
    """Work out what is known of a call before its end, from its head and a short request."""
    headers = dict(exchange.request_headers)
    labels = labels_from(headers, exchange.trace_id)
    request = _request(exchange, secrets)
    native = provider.native(exchange.method, exchange.upstream_path or exchange.path, request)
    name = native.name or native.operation
    span = Span(
        trace_id=exchange.trace_id,
        id=exchange.id,
        parent_id=labels.parent_id,
        source=exchange.source,
        span_type=native.span_type,
        span_name=f"{name} {native.model}" if native.model else name,
        start_ns=exchange.start_ns,
        provider=exchange.provider,
        model=native.model,
        request_model=native.model,
        operation=native.operation,
        is_stream=native.is_stream,
        request_method=exchange.method,
        request_path=exchange.path,
        session_id=labels.session_id,
        conversation_id=labels.conversation_id,
        user_id=labels.user_id,
        tool=tool_of(headers, exchange.source, exchange.provider),
        tags=labels.tags,
        prompt_name=labels.prompt_name,
        prompt_version=labels.prompt_version,
        replay_of=labels.replay_of,
        preview_in=asked_preview(request) if exchange.record == "on" else None,
    )
    redact_span(span, secrets)
    return span


def _request(exchange: Exchange, secrets: Sequence[Secret]) -> JSON:
    capture = exchange.request
    if capture is None or not capture.stored or exchange.is_websocket:
        return {}
    if capture.stored <= MAX_READ_BYTES:
        return parsed_object(redact_bytes(capture.join(), secrets)) or {}
    # Its ends are looked at: `model` stands before or behind the messages, seldom between them.
    for piece in (capture.pieces[0][:MAX_READ_BYTES], capture.pieces[-1][-MAX_READ_BYTES:]):
        found = _MODEL.search(piece)
        if found:
            return {
                "model": found[1].decode("utf-8", "replace"),
                "stream": b'"stream":true' in piece.replace(b" ", b""),
            }
    return {}
