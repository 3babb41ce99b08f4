"""Where an export goes, and in which form: rows are read, written and let go batch by batch."""

from __future__ import annotations

import gzip
import json
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

from llmflow_web.model import Log, Metric
from llmflow_web.record.semconv import otlp_from_log, otlp_from_metric, otlp_from_row
from llmflow_web.record.transfer import encoded_line, line_of, list_element
from llmflow_web.store import export, transfer
from llmflow_web.store.transfer import Between, StoredSpan
from llmflow_web.wire import otlp
from llmflow_web.wire.filter import Filter

T = TypeVar("T")

FORMATS = ("jsonl", "otlp", "csv")
OTLP_ROWS = 500
OTLP_BYTES = 4 * 1024 * 1024
"""Bodies in one line of OTLP; a single span may be more."""
MAX_TOGETHER = 20_000


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is exported. is_selection: not everything of a time, so that only logs of the chosen traces belong to it."""

    filter: Filter
    between: Between
    limit: int | None
    is_selection: bool


def export_to(stream: BinaryIO, form: str, connection: Any, chosen: Chosen) -> Iterator[str]:
    """Write everything chosen, and yield the kind of each row that is written: spans, then logs, then metrics."""
    yield from _WRITERS[form](stream, _Rows(connection, chosen))


class _Rows:
    """What is chosen, in its order; logs are asked for after the spans."""

    def __init__(self, connection: Any, chosen: Chosen) -> None:
        self._connection = connection
        self._chosen = chosen
        self._traces: set[str] = set()

    def spans(self) -> Iterator[StoredSpan]:
        chosen = self._chosen
        for span in transfer.spans(self._connection, chosen.filter, chosen.limit):
            if chosen.is_selection:
                self._traces.add(span.row.span.trace_id)
            yield span

    def logs(self) -> Iterator[Log]:
        if self._chosen.is_selection and not self._traces:
            return
        for log in transfer.logs(self._connection, self._chosen.between):
            if not self._chosen.is_selection or log.trace_id in self._traces:
                yield log

    def points(self) -> Iterator[Metric]:
        return iter(()) if self._chosen.is_selection else transfer.points(self._connection, self._chosen.between)


def _write_jsonl(stream: BinaryIO, rows: _Rows) -> Iterator[str]:
    for span in rows.spans():
        stream.write(encoded_line(line_of(span.row, is_counted=span.is_counted)))
        yield "spans"
    for log in rows.logs():
        stream.write(encoded_line(line_of(log)))
        yield "logs"
    for point in rows.points():
        stream.write(encoded_line(line_of(point)))
        yield "metrics"


def _write_csv(stream: BinaryIO, rows: _Rows) -> Iterator[str]:
    stream.write((",".join(export.CSV_COLUMNS) + "\n").encode())
    for span in rows.spans():
        element = list_element(span.row.span)
        stream.write(export.csv_line([element[name] for name in export.CSV_COLUMNS]).encode("utf-8", "replace"))
        yield "spans"


def _write_otlp(stream: BinaryIO, rows: _Rows) -> Iterator[str]:
    for spans in _batches(rows.spans(), weigh=_weight):
        told = [
            otlp_from_row(one.row.span, {body.part: body for body in one.row.bodies}, content=True) for one in spans
        ]
        stream.write(otlp.encode("traces", told, is_json=True) + b"\n")
        yield from ["spans"] * len(spans)
    # Records that say the same are told apart by their number within a request: they belong on one line.
    for logs in _batches(rows.logs(), together=lambda log: log.time_ns):
        stream.write(otlp.encode("logs", [otlp_from_log(log) for log in logs], is_json=True) + b"\n")
        yield from ["logs"] * len(logs)
    for points in _batches(rows.points()):
        stream.write(otlp.encode("metrics", [otlp_from_metric(point) for point in points], is_json=True) + b"\n")
        yield from ["metrics"] * len(points)


_WRITERS: Mapping[str, Callable[[BinaryIO, _Rows], Iterator[str]]] = {
    "jsonl": _write_jsonl,
    "otlp": _write_otlp,
    "csv": _write_csv,
}


def _weight(span: StoredSpan) -> int:
    return sum(len(body.data) for body in span.row.bodies)


def _batches(
    items: Iterable[T], *, weigh: Callable[[T], int] = lambda _: 0, together: Callable[[T], Any] | None = None
) -> Iterator[list[T]]:
    """Cut rows into batches; never, up to a bound, between two for which `together` is the same."""
    held: list[T] = []
    weight = 0
    for item in items:
        is_full = len(held) >= OTLP_ROWS or (held and weight + weigh(item) > OTLP_BYTES)
        is_bound = together is not None and len(held) < MAX_TOGETHER and held and together(held[-1]) == together(item)
        if is_full and not is_bound:
            yield held
            held, weight = [], 0
        held.append(item)
        weight += weigh(item)
    if held:
        yield held


# ── where it goes ────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def output(name: str) -> Iterator[BinaryIO]:
    """Open a file of this name, which is there once it is complete, or standard output for `-`."""
    if name == "-":
        stream = sys.stdout.buffer
        yield cast("BinaryIO", _Shown(stream) if sys.stdout.isatty() else stream)
        stream.flush()
        return
    path = Path(name)
    if path.exists() and not stat.S_ISREG(path.stat().st_mode):  # a pipe, a device
        with path.open("wb") as special:
            yield cast("BinaryIO", special)
        return
    part = path.with_name(f".{path.name}.part")
    try:
        with _private(part) as file:
            if path.suffix == ".gz":
                with gzip.GzipFile("", "wb", 6, file, mtime=0) as packed:
                    yield cast("BinaryIO", packed)
            else:
                yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _private(path: Path) -> BinaryIO:
    """Make a file for its owner alone: it holds prompts, as the database does."""
    path.unlink(missing_ok=True)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


class _Shown:
    """A terminal: what it might act on goes to it as the escapes that JSON has."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, data: bytes) -> None:
        """Write text."""
        text = data.decode("utf-8", "replace")
        plain = "".join(char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1] for char in text)
        self._stream.write(plain.encode("utf-8", "replace"))
