"""What happened, told to whoever watches: rows after their commit, statistics after the rows, never the other way.

Two kinds of listeners. A plain one gets a frame per span, log record and metric point (`new_span`, `new_trace`,
`new_log`, `trace_log_added`, `new_metric`); one that subscribed gets batches (`trace`, `log`, `metric`) of what it
wants and its filter lets through, and `gap` where it must ask again. Everything runs on the loop's thread; a row is
encoded once for all, and not at all while nobody listens.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from llmflow_web.errors import LLMFlowError
from llmflow_web.model import JSON
from llmflow_web.record.inflight import may_run
from llmflow_web.store.columns import short_row
from llmflow_web.wire.filter import Filter
from llmflow_web.wire.websocket import encode_text

COALESCE_S = 0.1
STATS_EVERY_S = 1.0
MAX_ROWS = 200
"""Rows in one message; a burst beyond it becomes a gap, and the screen asks for the page it shows."""

SUMMARY_FIELDS = (
    "id", "timestamp", "duration_ms", "model", "total_tokens", "estimated_cost", "status", "trace_id", "parent_id",
    "span_type", "span_name", "service_name",
)  # fmt: skip
_LOG_FIELDS = ("id", "timestamp", "severity_text", "event_name", "service_name", "trace_id")
_METRIC_FIELDS = ("id", "timestamp", "name", "metric_type", "value_int", "value_double", "service_name")
_MAX_LOG_BODY = 200

LOG, METRIC = "log", "metric"

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str).encode


class Peer(Protocol):
    """Where frames go: net.socket_peer.SocketPeer, or a list in a test."""

    def send(self, frame: bytes) -> None:
        """Take an encoded frame; never blocks, never raises."""


class CommitBatch(Protocol):
    """What of store.database.Batch is used."""

    @property
    def rows(self) -> Sequence[JSON]:
        """The spans written, as list elements."""

    @property
    def updated(self) -> frozenset[int]:
        """The seqs among `rows` that were there before."""

    @property
    def deleted(self) -> Sequence[JSON]:
        """{"trace_id": …} of traces that went."""

    @property
    def change(self) -> int:
        """The newest change number after this commit."""

    @property
    def logs(self) -> Sequence[JSON]:
        """The log records written that are new."""

    @property
    def metrics(self) -> Sequence[JSON]:
        """The metric points written that are new."""


def encode_message(message: Mapping[str, Any]) -> bytes:
    """Return a message as a frame."""
    return encode_text(_to_bytes(message))


def _to_bytes(value: object) -> bytes:
    return _encode(value).encode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Wants:
    """What a listener wants to hear of."""

    traces: bool = True
    logs: bool = True
    metrics: bool = True
    is_short: bool = False  # of traces only what a list shows


class Listener:
    """One peer and what it wants to hear."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.is_subscribed = False
        self.wants = Wants()
        self.filter: Filter | None = None  # of spans; None: everything
        self.is_owed_stats = False

    @property
    def asked(self) -> tuple[Filter | None, bool]:
        """Return what decides which bytes it is sent: its filter, and whether short rows will do."""
        return self.filter, self.wants.is_short

    def __repr__(self) -> str:
        wants = "spans one by one" if not self.is_subscribed else f"batches of {self.filter or 'everything'}"
        return f"<Listener to {wants}>"


class _Row:
    """A row on its way, encoded when the first listener needs it."""

    __slots__ = ("_encoded", "_frames", "_short", "is_new", "row")

    def __init__(self, row: JSON, *, is_new: bool) -> None:
        self.row = row
        self.is_new = is_new
        self._encoded: bytes | None = None
        self._short: bytes | None = None
        self._frames: list[bytes] | None = None

    def encoded(self, *, is_short: bool) -> bytes:
        """Return the list element as JSON."""
        if is_short:
            if self._short is None:
                self._short = _to_bytes(short_row(self.row))
            return self._short
        if self._encoded is None:
            self._encoded = _to_bytes(self.row)
        return self._encoded

    @property
    def frames(self) -> list[bytes]:
        """The frames plain listeners get."""
        if self._frames is None:
            summary = {name: self.row.get(name) for name in SUMMARY_FIELDS}
            self._frames = [encode_message({"type": "new_span", "payload": summary})]
            if not summary["parent_id"]:
                self._frames.append(encode_message({"type": "new_trace", "payload": summary}))
        return self._frames


class _Telemetry:
    """Log records or metric points on their way, encoded when the first listener needs them."""

    def __init__(self, kind: str, items: list[JSON]) -> None:
        self.kind = kind
        self.items = items
        self._summary = _SUMMARIES[kind]

    def is_wanted(self, wants: Wants) -> bool:
        """Say whether a listener wants to hear of this kind."""
        return wants.logs if self.kind == LOG else wants.metrics

    @cached_property
    def frames(self) -> bytes:
        """What plain listeners get: a frame or two for each, in one write."""
        return b"".join(frame for item in self.items for frame in self._frames_of(self._summary(item)))

    def _frames_of(self, summary: JSON) -> Iterator[bytes]:
        yield encode_message({"type": f"new_{self.kind}", "payload": summary})
        if self.kind == LOG and summary["trace_id"]:
            told = {"trace_id": summary["trace_id"], "log": summary}
            yield encode_message({"type": "trace_log_added", "payload": told})

    @cached_property
    def batch(self) -> bytes:
        """What subscribers get: the newest MAX_ROWS in one message, and how many it leaves out."""
        rows = [self._summary(item) for item in self.items[-MAX_ROWS:]]
        left = len(self.items) - len(rows)
        return encode_message({"type": self.kind, "op": "new", "rows": rows, "left_out": left})


def _log_summary(log: JSON) -> JSON:
    return {name: log.get(name) for name in _LOG_FIELDS} | {"body": str(log.get("body") or "")[:_MAX_LOG_BODY]}


def _metric_summary(point: JSON) -> JSON:
    return {name: point.get(name) for name in _METRIC_FIELDS}


_SUMMARIES: Mapping[str, Callable[[JSON], JSON]] = {LOG: _log_summary, METRIC: _metric_summary}


class Hub:
    """Takes commits, tells listeners."""

    def __init__(
        self,
        stats: Callable[[], Awaitable[JSON]],
        *,
        coalesce_s: float = COALESCE_S,
        stats_every_s: float = STATS_EVERY_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Make a hub.

        Args:
            stats: reads the statistics from the store.
            coalesce_s: the least time between two flushes.
            stats_every_s: the least time between two readings of the statistics.
            clock: epoch seconds, for `hello` and relative times in filters.
        """
        self.change = 0  # the newest change number told or skipped
        self.on_subscribe: Callable[[], None] | None = None  # called when a listener says what it wants
        self._stats = stats
        self._coalesce_s = coalesce_s
        self._stats_every_s = stats_every_s
        self._clock = clock
        self._listeners: set[Listener] = set()
        self._pending: list[CommitBatch] = []
        self._flush_timer: asyncio.TimerHandle | None = None
        self._flushed_at = 0.0
        self._stats_timer: asyncio.TimerHandle | None = None
        self._stats_at = 0.0
        self._stats_task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Hub {len(self._listeners)} listeners, at change {self.change}>"

    # --- listeners ---

    def listen(self, peer: Peer) -> Listener:
        """Greet a peer and tell it what happens from now on."""
        listener = Listener(peer)
        # What is still gathered happened before it came.
        self._flush()
        self._listeners.add(listener)
        peer.send(encode_message({"type": "hello", "time": int(self._clock() * 1000), "seq": self.change}))
        return listener

    def subscribe(
        self, listener: Listener, chosen: Filter | None, after: int | None = None, wants: Wants | None = None
    ) -> None:
        """Give a listener batches of what it wants, of spans those that `chosen` lets through.

        after: the last change it knows of.
        """
        is_first = not listener.is_subscribed
        listener.is_subscribed = True
        listener.wants = wants or Wants(logs=False, metrics=False)
        listener.filter = None if chosen is None or chosen.is_empty else chosen
        if self.on_subscribe is not None:
            self.on_subscribe()
        # Who has listened all along and only changes its filter has missed nothing.
        if is_first and after is not None and after != self.change:
            gap = {"type": "gap", "from": after, "to": self.change}
            listener.peer.send(encode_message(gap))

    def tell(self, message: Mapping[str, Any]) -> None:
        """Send a message to every listener at once."""
        frame = encode_message(message) if self._listeners else b""
        for listener in self._listeners:
            listener.peer.send(frame)

    @property
    def has_listeners(self) -> bool:
        """Say whether anybody listens."""
        return bool(self._listeners)

    @property
    def has_subscribers(self) -> bool:
        """Say whether anybody wants batches of rows."""
        return any(listener.is_subscribed and listener.wants.traces for listener in self._listeners)

    def forget(self, listener: Listener) -> None:
        """A peer has gone."""
        self._listeners.discard(listener)

    def close(self) -> None:
        """Tell nothing more."""
        self._listeners.clear()
        self._pending.clear()
        for timer in (self._flush_timer, self._stats_timer):
            if timer is not None:
                timer.cancel()
        if self._stats_task is not None:
            self._stats_task.cancel()

    # --- what happens ---

    def publish(self, batch: CommitBatch) -> None:
        """Take a commit; listeners hear of it within `coalesce_s`."""
        self.change = max(self.change, batch.change)
        if not self._listeners:
            return
        self._pending.append(batch)
        if self._flush_timer is None:
            loop = asyncio.get_running_loop()
            wait = self._flushed_at + self._coalesce_s - loop.time()
            self._flush_timer = loop.call_later(max(0.0, wait), self._flush)

    # --- rows ---

    def _flush(self) -> None:
        """Tell everybody what was gathered."""
        if self._flush_timer is not None:
            self._flush_timer.cancel()
            self._flush_timer = None
        if not self._pending:
            return
        self._flushed_at = asyncio.get_running_loop().time()
        batches, self._pending = self._pending, []
        rows = [_Row(row, is_new=row["seq"] not in batch.updated) for batch in batches for row in batch.rows]
        deleted = [gone for batch in batches for gone in batch.deleted]
        if rows or deleted:
            self._tell_rows(rows, deleted)
        self._tell_telemetry(_Telemetry(LOG, [log for batch in batches for log in batch.logs]))
        self._tell_telemetry(_Telemetry(METRIC, [point for batch in batches for point in batch.metrics]))

    def _tell_rows(self, rows: list[_Row], deleted: list[JSON]) -> None:
        messages: dict[tuple[Filter | None, bool], list[bytes]] = {}
        for listener in list(self._listeners):
            listener.is_owed_stats = True
            if not listener.is_subscribed:
                frames = [frame for row in rows if row.is_new for frame in row.frames]
            elif not listener.wants.traces:
                continue
            else:
                if listener.asked not in messages:
                    messages[listener.asked] = self._batched(rows, deleted, *listener.asked)
                frames = messages[listener.asked]
            for frame in frames:
                listener.peer.send(frame)
        self._want_stats()

    def _tell_telemetry(self, told: _Telemetry) -> None:
        if not told.items:
            return
        for listener in list(self._listeners):
            if told.is_wanted(listener.wants):
                listener.peer.send(told.batch if listener.is_subscribed else told.frames)

    def _batched(self, rows: list[_Row], deleted: list[JSON], chosen: Filter | None, is_short: bool) -> list[bytes]:
        if chosen is not None:
            now_ms = self._clock() * 1000
            rows = [row for row in rows if chosen.matches(row.row, now_ms)]
        told, left = rows[:MAX_ROWS], rows[MAX_ROWS:]
        frames = [
            self._trace_frame(op, part)
            for op, is_new in (("new", True), ("update", False))
            if (part := [row.encoded(is_short=is_short) for row in told if row.is_new is is_new])
        ]
        if deleted:
            frames.append(self._trace_frame("delete", [_to_bytes(gone) for gone in deleted[:MAX_ROWS]]))
        if left or len(deleted) > MAX_ROWS:
            first = left[0].row.get("change") if left else self.change
            frames.append(encode_message({"type": "gap", "from": first, "to": self.change}))
        return frames

    def _trace_frame(self, op: str, rows: list[bytes]) -> bytes:
        head = b'{"type":"trace","op":"%b","seq":%d,"rows":[' % (op.encode(), self.change)
        return encode_text(b"%b%b]}" % (head, b",".join(rows)))

    def tell_running(self, rows: Sequence[JSON], ended: Sequence[JSON]) -> None:
        """Tell subscribers of calls under way that their filters let through, and of those that run no more."""
        self._flush()  # a finished call's row comes before the word that it runs no more
        running = [_Row(row, is_new=False) for row in rows]
        last = [self._trace_frame("ended", [_to_bytes(one) for one in ended])] if ended else []
        messages: dict[tuple[Filter | None, bool], list[bytes]] = {}
        for listener in [one for one in self._listeners if one.is_subscribed and one.wants.traces]:
            if listener.asked not in messages:
                messages[listener.asked] = self._running_frames(running, *listener.asked) + last
            for frame in messages[listener.asked]:
                listener.peer.send(frame)

    def _running_frames(self, running: list[_Row], chosen: Filter | None, is_short: bool) -> list[bytes]:
        if not may_run(chosen):
            return []
        now_ms = self._clock() * 1000
        passed = [row for row in running if chosen is None or chosen.matches(row.row, now_ms)]
        told = [row.encoded(is_short=is_short) for row in passed]
        return [self._trace_frame("running", told)] if told else []

    # --- statistics ---

    def _want_stats(self) -> None:
        if self._stats_timer is None and self._stats_task is None and self._listeners:
            loop = asyncio.get_running_loop()
            wait = self._stats_at + self._stats_every_s - loop.time()
            self._stats_timer = loop.call_later(max(0.0, wait), self._start_stats)

    def _start_stats(self) -> None:
        self._stats_timer = None
        self._stats_at = asyncio.get_running_loop().time()
        self._stats_task = asyncio.ensure_future(self._send_stats())

    async def _send_stats(self) -> None:
        """Read the statistics and send them to those who were told rows since their last ones."""
        asking = [listener for listener in self._listeners if listener.is_owed_stats]
        for listener in asking:
            listener.is_owed_stats = False
        try:
            frame = encode_message({"type": "stats_update", "payload": await self._stats()})
        except LLMFlowError:
            return  # the next commit asks again
        finally:
            self._stats_task = None
        self._flush()  # rows that were committed meanwhile come first
        for listener in asking:
            if listener in self._listeners:
                listener.peer.send(frame)
        if any(listener.is_owed_stats for listener in self._listeners):
            self._want_stats()
