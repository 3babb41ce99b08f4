"""OTLP out: everything recorded, and everything received, on its way to the backend a team already runs.

    writer thread ── put(rows) ──▶ one Lane per signal (bounded queue, own thread) ── post ──▶ backend

A lane gathers a batch, encodes it and posts it until it is taken: 429, 502, 503, 504 and failed connections are tried
again with growing pauses or after the backend's own Retry-After; any other refusal loses the batch. What does not fit
into the queue, is refused, or is left when LLMFlow stops is counted. Delivery is at least once, as OTLP's is.
"""

from __future__ import annotations

import gzip
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from llmflow_web.errors import BadRequest, LLMFlowError
from llmflow_web.model import JSON, Log, Metric, Row
from llmflow_web.record.semconv import otlp_from_log, otlp_from_metric, otlp_from_row
from llmflow_web.wire.otlp import decode_response, encode
from llmflow_web.wire.otlp_values import Signal

SIGNALS: tuple[Signal, ...] = ("traces", "logs", "metrics")
RETRYABLE = frozenset({429, 502, 503, 504})
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0
MAX_RETRY_AFTER_S = 600.0
"""A backend may ask for this long a pause; longer ones are cut to it."""

ITEM_BYTES = 1024
"""What an item weighs in the queue beside its bodies."""

GZIP_LEVEL = 1
NOT_SENT = 0
"""Stands for the status of a post that failed in a way no later attempt can mend."""

MAX_SHOWN_ERROR_CHARS = 300

Post = Callable[[str, Sequence[tuple[str, str]], bytes], tuple[int, Mapping[str, str], bytes]]
"""post(url, headers, body) → (status, headers by lower-case name, body). Blocks; raises LLMFlowError for no answer."""


@dataclass(frozen=True, slots=True)
class ForwardSettings:
    """Where to, and how. A signal without an endpoint is not forwarded."""

    endpoints: Mapping[Signal, str] = field(default_factory=dict)  # full URLs, used as given
    headers: tuple[tuple[str, str], ...] = ()
    is_json: bool = False
    is_gzip: bool = True
    batch_items: int = 100
    interval_s: float = 5.0
    max_items: int = 10_000  # waiting or on the way, per signal
    max_bytes: int = 64 * 1024 * 1024  # per signal
    has_content: bool = False  # prompts and answers of calls that LLMFlow itself recorded
    is_raw: bool = False  # received OTLP leaves as it came, unredacted


@dataclass(slots=True)
class _Item:
    """One thing to send: a value still to be encoded, or a received body as it came."""

    value: Any
    weight: int
    count: int = 1
    raw: bytes | None = None
    is_json: bool = False


@dataclass(frozen=True, slots=True)
class _Answer:
    """What came of one attempt. `error` None: accepted."""

    status: int | None = None  # None: no answer
    error: str | None = None
    retry_after: str | None = None
    rejected: int = 0
    message: str = ""


@dataclass(slots=True)
class LaneCounts:
    """What became of the items of one signal."""

    sent: int = 0
    dropped: int = 0  # no room in the queue, or left when LLMFlow stopped
    refused: int = 0  # by the backend, for good
    retries: int = 0
    last_error: str | None = None
    last_sent_ms: int | None = None


class Lane:
    """The way of one signal: a bounded queue and the thread that empties it."""

    def __init__(
        self,
        signal: Signal,
        url: str,
        settings: ForwardSettings,
        post: Post,
        *,
        clock: Callable[[], float] = time.time,
        first_pause_s: float = FIRST_PAUSE_S,
        longest_pause_s: float = LONGEST_PAUSE_S,
    ) -> None:
        self.signal = signal
        self.url = url
        self.counts = LaneCounts()
        self._settings = settings
        self._post = post
        self._clock = clock
        self._pauses = (first_pause_s, longest_pause_s)
        self._changed = threading.Condition()
        self._queue: deque[_Item] = deque()
        self._held_items = 0  # queued and on the way
        self._held_bytes = 0
        self._oldest = 0.0  # monotonic, of the oldest queued item
        self._is_flushing = False
        self._give_up_at: float | None = None  # monotonic: when stopping, no attempt begins after it
        self._thread = threading.Thread(target=self._run, name=f"forward-{signal}", daemon=True)

    def __repr__(self) -> str:
        return f"<Lane {self.signal} held={self._held_items} {self.counts}>"

    @property
    def held(self) -> int:
        """Items that wait or are on the way."""
        return self._held_items

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def put(self, items: Sequence[_Item]) -> None:
        """Queue items; from any thread, never waits. What does not fit is counted as dropped."""
        with self._changed:
            for item in items:
                is_full = (
                    self._held_items + item.count > self._settings.max_items
                    or self._held_bytes + item.weight > self._settings.max_bytes
                )
                if is_full or self._give_up_at is not None:
                    self.counts.dropped += item.count
                    continue
                if not self._queue:
                    self._oldest = time.monotonic()
                self._queue.append(item)
                self._held_items += item.count
                self._held_bytes += item.weight
            self._changed.notify_all()

    def flush(self, timeout_s: float) -> bool:
        """Send what is queued now; say whether nothing is held any more."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            self._is_flushing = True
            self._changed.notify_all()
            while self._held_items and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)
            self._is_flushing = False
            return self._held_items == 0

    def stop(self, timeout_s: float) -> None:
        """Send what is left within `timeout_s`; the rest is counted as dropped."""
        with self._changed:
            self._give_up_at = time.monotonic() + timeout_s
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout_s + 0.5)
        with self._changed:
            self.counts.dropped += self._held_items
            self._queue.clear()
            self._held_items = self._held_bytes = 0

    # ── the thread ───────────────────────────────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        while batch := self._next_batch():
            self._deliver(batch)

    def _next_batch(self) -> list[_Item]:
        """Wait until a batch is due and take it; an empty one ends the thread."""
        with self._changed:
            while not self._is_due():
                if self._give_up_at is not None:
                    return []
                wait_s = self._oldest + self._settings.interval_s - time.monotonic() if self._queue else None
                self._changed.wait(wait_s)
            if self._is_out_of_time():
                return []
            return self._take()

    def _is_due(self) -> bool:
        if not self._queue:
            return False
        return (
            len(self._queue) >= self._settings.batch_items
            or self._is_flushing
            or self._give_up_at is not None
            or time.monotonic() >= self._oldest + self._settings.interval_s
        )

    def _take(self) -> list[_Item]:
        """Take up to one batch of values, or one received body."""
        batch = [self._queue.popleft()]
        while batch[0].raw is None and self._queue and len(batch) < self._settings.batch_items:
            if self._queue[0].raw is not None:
                break
            batch.append(self._queue.popleft())
        return batch

    def _is_out_of_time(self) -> bool:
        return self._give_up_at is not None and time.monotonic() >= self._give_up_at

    def _deliver(self, batch: list[_Item]) -> None:
        try:
            body, is_json = self._encoded(batch)
        except Exception as error:  # noqa: BLE001 - a record we cannot write must not end the lane
            self._refused(batch, f"could not be encoded: {type(error).__name__}: {error}")
            return
        attempt = 0
        while True:
            answer = self._attempt(body, is_json)
            if answer.error is None:
                self._accepted(batch, answer)
                return
            if answer.status == 413 and len(batch) > 1:
                middle = len(batch) // 2
                self._deliver(batch[:middle])
                self._deliver(batch[middle:])
                return
            if answer.status is not None and answer.status not in RETRYABLE:
                self._refused(batch, answer.error)
                return
            attempt += 1
            self._note_failure(answer.error)
            if not self._pause(self._pause_s(attempt, answer)):
                return  # out of time: `stop` counts what is still held

    def _encoded(self, batch: list[_Item]) -> tuple[bytes, bool]:
        first = batch[0]
        if first.raw is not None:
            body, is_json = first.raw, first.is_json
        else:
            is_json = self._settings.is_json
            values = [self._value(item.value) for item in batch]
            body = encode(self.signal, values, is_json=is_json)
        return (gzip.compress(body, GZIP_LEVEL, mtime=0) if self._settings.is_gzip else body), is_json

    def _value(self, value: Row | Log | Metric) -> Any:
        if isinstance(value, Row):
            bodies = {body.part: body.data for body in value.bodies}
            return otlp_from_row(value.span, bodies, content=self._settings.has_content)
        return otlp_from_log(value) if isinstance(value, Log) else otlp_from_metric(value)

    def _attempt(self, body: bytes, is_json: bool) -> _Answer:
        headers = [("content-type", "application/json" if is_json else "application/x-protobuf")]
        if self._settings.is_gzip:
            headers.append(("content-encoding", "gzip"))
        try:
            status, answered, data = self._post(self.url, [*headers, *self._settings.headers], body)
        except LLMFlowError as error:
            return _Answer(error=error.message)
        except Exception as error:  # noqa: BLE001 - must not end the lane either
            return _Answer(NOT_SENT, error=f"could not be sent: {type(error).__name__}: {error}")
        if not 200 <= status < 300:
            said = data[:MAX_SHOWN_ERROR_CHARS].decode("utf-8", "replace")
            return _Answer(status, error=f"answered {status}: {said}", retry_after=answered.get("retry-after"))
        with suppress(BadRequest):  # it was accepted all the same: only the details cannot be read
            rejected, message = decode_response(self.signal, data, is_json=is_json)
            return _Answer(status, rejected=rejected, message=message)
        return _Answer(status)

    def _pause_s(self, attempt: int, answer: _Answer) -> float:
        asked = retry_after_s(answer.retry_after, self._clock())
        if asked is not None:
            return min(asked, MAX_RETRY_AFTER_S)
        first, longest = self._pauses
        return min(longest, first * 2.0 ** min(attempt - 1, 16)) * random.uniform(0.5, 1.0)  # noqa: S311 - only jitter

    def _pause(self, pause_s: float) -> bool:
        """Wait before the next attempt; say whether there is to be one."""
        until = time.monotonic() + pause_s
        with self._changed:
            while (left := until - time.monotonic()) > 0:
                if self._give_up_at is not None:
                    left = min(left, self._give_up_at - time.monotonic())
                    if left <= 0:
                        return False
                self._changed.wait(left)
            return not self._is_out_of_time()

    def _accepted(self, batch: list[_Item], answer: _Answer) -> None:
        with self._changed:
            total = sum(item.count for item in batch)
            lost = min(answer.rejected, total)
            self.counts.sent += total - lost
            self.counts.refused += lost
            self.counts.last_sent_ms = int(self._clock() * 1000)
            self.counts.last_error = answer.message[:MAX_SHOWN_ERROR_CHARS] or None
            self._let_go(batch)

    def _refused(self, batch: list[_Item], error: str) -> None:
        with self._changed:
            self.counts.refused += sum(item.count for item in batch)
            self.counts.last_error = error[:MAX_SHOWN_ERROR_CHARS]
            self._let_go(batch)

    def _note_failure(self, error: str) -> None:
        with self._changed:
            self.counts.retries += 1
            self.counts.last_error = error[:MAX_SHOWN_ERROR_CHARS]

    def _let_go(self, batch: list[_Item]) -> None:
        self._held_items -= sum(item.count for item in batch)
        self._held_bytes -= sum(item.weight for item in batch)
        self._changed.notify_all()


class Forwarder:
    """All lanes. `put` belongs to the writer thread, `put_received` to ingest; the rest to anybody."""

    def __init__(self, settings: ForwardSettings, post: Post, *, clock: Callable[[], float] = time.time) -> None:
        self.settings = settings
        self._lanes = {
            signal: Lane(signal, settings.endpoints[signal], settings, post, clock=clock)
            for signal in SIGNALS
            if settings.endpoints.get(signal)
        }

    def __repr__(self) -> str:
        return f"<Forwarder {list(self._lanes.values())}>"

    def start(self) -> None:
        """Start the lanes."""
        for lane in self._lanes.values():
            lane.start()

    def put(self, rows: Sequence[Row | Log | Metric]) -> None:
        """Queue what was made for the store, redacted as it is there. Rows of raw OTLP are left to `put_received`."""
        queued: dict[Signal, list[_Item]] = {}
        for row in rows:
            if (self.settings.is_raw and _is_received(row)) or _is_derived(row):
                continue
            queued.setdefault(_signal_of(row), []).append(_Item(row, _weight(row)))
        for signal, items in queued.items():
            if signal in self._lanes:
                self._lanes[signal].put(items)

    def put_received(self, signal: Signal, body: bytes, count: int, *, is_json: bool) -> None:
        """Queue a received OTLP body as it came (content-encoding undone), where that is wanted."""
        if self.settings.is_raw and signal in self._lanes and count:
            self._lanes[signal].put([_Item(None, len(body), count, body, is_json)])

    def flush(self, timeout_s: float) -> bool:
        """Send what is queued now; say whether all of it went."""
        deadline = time.monotonic() + timeout_s
        results = [lane.flush(max(0.0, deadline - time.monotonic())) for lane in self._lanes.values()]
        return all(results)

    def stop(self, timeout_s: float) -> int:
        """Send what is left within `timeout_s`; return how many items were lost over the whole run."""
        threads = [threading.Thread(target=lane.stop, args=(timeout_s,)) for lane in self._lanes.values()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(lane.counts.dropped + lane.counts.refused for lane in self._lanes.values())

    def state(self) -> JSON:
        """Return the counts of each signal, for the API."""
        return {
            signal: {
                "queued": lane.held,
                "sent": lane.counts.sent,
                "dropped": lane.counts.dropped,
                "refused": lane.counts.refused,
                "retries": lane.counts.retries,
                "last_error": lane.counts.last_error,
                "last_sent": lane.counts.last_sent_ms,
            }
            for signal, lane in self._lanes.items()
        }


def retry_after_s(text: str | None, now: float) -> float | None:
    """Read a Retry-After header (RFC 9110 10.2.3): seconds or a date."""
    if not text:
        return None
    text = text.strip()
    if text.isascii() and text.isdecimal():
        return float(text[:9])
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, OverflowError, TypeError):
        return None


def _signal_of(row: Row | Log | Metric) -> Signal:
    if isinstance(row, Row):
        return "traces"
    return "logs" if isinstance(row, Log) else "metrics"


def _is_received(row: Row | Log | Metric) -> bool:
    return not isinstance(row, Row) or row.span.source == "otlp"


def _is_derived(row: Row | Log | Metric) -> bool:
    """Say whether a row is made of log records, which are sent on themselves."""
    return isinstance(row, Row) and row.span.derived


def _weight(row: Row | Log | Metric) -> int:
    return ITEM_BYTES + (sum(len(body.data) for body in row.bodies) if isinstance(row, Row) else 0)
