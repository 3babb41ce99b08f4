"""An OTLP request → rows, from its bytes as they came: decompressed, decoded, read by the conventions. Pure.

Runs in a thread of its own beside the loop. What is wrong with one record costs that record; what is wrong with the
body as a whole is a BadRequest. Nothing else comes out of here, whatever the bytes are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from llmflow_web.errors import BadRequest, Busy, LLMFlowError
from llmflow_web.model import Row, Stored
from llmflow_web.record.agents import pieces_from_log
from llmflow_web.record.intake import Piece, pieces_of
from llmflow_web.record.semconv import Origins, log_from_otlp, metrics_from_otlp, row_from_otlp
from llmflow_web.store.pieces import fold
from llmflow_web.wire.content import inflated_request
from llmflow_web.wire.otlp import decode
from llmflow_web.wire.otlp_values import LogRecord, OtlpMetric, OtlpSpan, Signal

MAX_ERRORS = 5


@dataclass(slots=True)
class Received:
    """What became of a request."""

    pieces: list[Piece]
    weight: int  # of all of it in memory
    rejected: int = 0  # spans, log records or data points that could not be read
    errors: list[str] = field(default_factory=list)
    body: bytes = b""  # decompressed, where it was to be kept

    @property
    def count(self) -> int:
        """The number of rows."""
        return sum(len(piece.items) for piece in self.pieces)

    @property
    def message(self) -> str:
        """The first few errors as one text; empty when there is none."""
        return "; ".join(self.errors[:MAX_ERRORS])


def received(
    signal: Signal,
    body: bytes,
    codings: Sequence[str],
    *,
    is_json: bool,
    limit: int,
    now_ns: int,
    is_body_kept: bool = False,
) -> Received:
    """Read the body of a request, which may hold `limit` bytes.

    codings: as wire.content.codings_of gives them. now_ns: stands for times that are missing.

    Raises BadRequest or TooLarge when it cannot be read as a whole.
    """
    try:
        body = inflated_request(body, codings, limit) or (b"{}" if is_json else b"")  # empty is valid, says OTLP
        decoded = decode(signal, body, is_json=is_json)
    except LLMFlowError:
        raise
    except MemoryError as error:
        raise Busy("There is no memory to read this just now.") from error
    except Exception as error:
        raise BadRequest(f"The body cannot be read: {type(error).__name__}: {error}") from error
    kept = body if is_body_kept else b""
    del body
    reading = _Reading(now_ns, decoded.rejected, list(decoded.errors))
    reading.read(signal, decoded.items)
    pieces = pieces_of(reading.rows)
    weight = len(kept) + sum(piece.weight for piece in pieces)
    return Received(pieces, weight, reading.rejected, reading.errors, kept)


class _Reading:
    """Reads records one by one; each is let go as soon as its rows are made."""

    def __init__(self, now_ns: int, rejected: int, errors: list[str]) -> None:
        self._now_ns = now_ns
        self.rows: list[Stored] = []
        self.rejected = rejected
        self.errors = errors
        self._origins = Origins()
        self._logs_seen: dict[str, int] = {}
        self._pieces: list[Row] = []  # of spans, as log records tell of them

    def read(self, signal: Signal, items: list[Any]) -> None:
        """Make the rows of all items; the list is empty afterwards."""
        read = _READERS[signal]
        items.reverse()
        while items:
            item = items.pop()
            try:
                self.rows += read(self, item)
            except Exception as error:  # noqa: BLE001 - strangers' values; the others are kept
                self._reject(item, error)
        self.rows += fold(self._pieces)

    def spans(self, span: OtlpSpan) -> Iterable[Stored]:
        """Return the row of a span, unless it is one that a later one replaces."""
        row = row_from_otlp(span, now_ns=self._now_ns, origins=self._origins)
        return () if row is None else (row,)

    def logs(self, record: LogRecord) -> Iterable[Stored]:
        """Return the row of a log record. Records that are alike are numbered, so that each has an id of its own."""
        log = log_from_otlp(record, 0, now_ns=self._now_ns)
        self._derive(record)
        nth = self._logs_seen.get(log.id, 0)
        self._logs_seen[log.id] = nth + 1
        return (log_from_otlp(record, nth, now_ns=self._now_ns) if nth else log,)

    def _derive(self, record: LogRecord) -> None:
        """Note what a coding agent tells of its calls. A record that cannot be read so is a log record all the same."""
        with suppress(Exception):
            self._pieces += pieces_from_log(record, now_ns=self._now_ns)

    def metrics(self, metric: OtlpMetric) -> Iterable[Stored]:
        """Return the rows of a metric: one per data point."""
        return metrics_from_otlp(metric, now_ns=self._now_ns)

    def _reject(self, item: Any, error: Exception) -> None:
        self.rejected += len(item.points) if isinstance(item, OtlpMetric) else 1
        if len(self.errors) < MAX_ERRORS:
            name = getattr(item, "name", "") or getattr(item, "event_name", "") or "a record"
            self.errors.append(f"{name[:80]!r} cannot be read: {type(error).__name__}: {error}")


_READERS: Mapping[Signal, Callable[[_Reading, Any], Iterable[Stored]]] = {
    "traces": _Reading.spans,
    "logs": _Reading.logs,
    "metrics": _Reading.metrics,
}
