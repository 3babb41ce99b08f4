"""Files to import, as lines: JSON lines as they are, whole JSON documents and CSV turned into such, gzip undone.

A line has its place in the file, by which it is named when it is refused.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from llmflow_web.errors import BadRequest, LLMFlowError
from llmflow_web.model import JSON
from llmflow_web.record.importing import SIGNALS, is_csv_header, line_of_csv, signals_of

MAX_LINE_BYTES = 256 * 1024 * 1024
MAX_DOCUMENT_BYTES = 512 * 1024 * 1024
MAX_CSV_FIELD = 16 * 1024 * 1024
SPLIT_BYTES = 8 * 1024 * 1024
"""A request of OTLP from which on it is cut, one resource a line."""
BATCH_LINES = 500
BATCH_BYTES = 4 * 1024 * 1024

_BOM = b"\xef\xbb\xbf"
_GZIP = b"\x1f\x8b"
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class FileLine:
    """One line to import, or why it cannot be."""

    place: str  # file:12
    data: bytes = b""
    error: str | None = None


def batches(lines: Iterable[FileLine]) -> Iterator[list[FileLine]]:
    """Cut lines into batches to be stored at once."""
    held: list[FileLine] = []
    size = 0
    for line in lines:
        if held and (len(held) == BATCH_LINES or size + len(line.data) > BATCH_BYTES):
            yield held
            held, size = [], 0
        held.append(line)
        size += len(line.data)
    if held:
        yield held


def lines_of(name: str) -> Iterator[FileLine]:
    """Yield the lines of a file; `-` is standard input.

    Raises:
        LLMFlowError: It cannot be opened.
    """
    shown = "stdin" if name == "-" else name
    try:
        with _opened(name) as stream:
            yield from _Reader(shown, stream).lines()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        yield FileLine(shown, error=f"is not whole: {error}")
    except OSError as error:
        raise LLMFlowError(f"{shown} cannot be read: {error.strerror or error}.") from error


@contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    if name == "-":
        yield _unpacked(cast("io.BufferedReader", sys.stdin.buffer))
        return
    with Path(name).open("rb") as file:
        yield _unpacked(file)


def _unpacked(stream: io.BufferedReader) -> BinaryIO:
    is_packed = stream.peek(2)[:2] == _GZIP
    return cast("BinaryIO", gzip.GzipFile(fileobj=stream) if is_packed else stream)


class _Reader:
    """Reads one file, whatever it holds."""

    def __init__(self, name: str, stream: BinaryIO) -> None:
        self._name = name
        self._stream = stream
        self._number = 0

    def lines(self) -> Iterator[FileLine]:
        """Yield everything there is to import."""
        first = self._next()
        while first is not None and first.error is None and not first.data.strip():
            first = self._next()
        if first is None:
            return
        data = first.data.removeprefix(_BOM)
        if first.error is None and data.lstrip()[:1] not in (b"{", b"["):
            yield from self._csv(data)
        elif first.error is None and _is_open(data):
            yield from self._document(data)
        else:
            yield from self._json(FileLine(first.place, data, first.error))

    def _next(self) -> FileLine | None:
        """Return the next line; one that is too long is passed over."""
        data = self._stream.readline(MAX_LINE_BYTES)
        if not data:
            return None
        self._number += 1
        place = f"{self._name}:{self._number}"
        if len(data) < MAX_LINE_BYTES or data.endswith(b"\n"):
            return FileLine(place, data)
        while data and not data.endswith(b"\n"):
            data = self._stream.readline(MAX_LINE_BYTES)
        return FileLine(place, error=f"is longer than {MAX_LINE_BYTES} bytes")

    # JSON

    def _json(self, first: FileLine | None) -> Iterator[FileLine]:
        line = first
        while line is not None:
            data = line.data.strip()
            if line.error is not None:
                yield line
            elif data[:1] == b"[" or (len(data) > SPLIT_BYTES and signals_of(data)):
                yield from _elements(line.place, data)
            elif data:
                yield FileLine(line.place, data)
            line = self._next()

    def _document(self, first: bytes) -> Iterator[FileLine]:
        """Read a file that is one JSON value over many lines; where it is none, its lines are what is wrong."""
        data = first + self._stream.read(MAX_DOCUMENT_BYTES - len(first))
        rest = self._stream.read(1)
        found = None if rest else _loaded(data)
        if found is not None:
            yield from _expanded(f"{self._name}:{self._number}", found)
        elif rest:
            yield FileLine(self._name, error=f"is one JSON value of more than {MAX_DOCUMENT_BYTES} bytes")
        else:
            self._stream, self._number = io.BytesIO(data), self._number - 1
            yield from self._json(self._next())

    # CSV

    def _csv(self, header: bytes) -> Iterator[FileLine]:
        columns = next(csv.reader([header.decode("utf-8", "replace")]), [])
        if not is_csv_header(columns):
            yield FileLine(
                f"{self._name}:{self._number}", error="is neither JSON, nor CSV with the columns id and timestamp"
            )
            return
        csv.field_size_limit(MAX_CSV_FIELD)
        rows = csv.reader(self._texts(), strict=True)
        while True:
            place = f"{self._name}:{self._number + 1}"
            try:
                values = next(rows, None)
                if values is None:
                    return
                if values:
                    yield FileLine(place, _encode(line_of_csv(columns, values)).encode("utf-8", "replace"))
            except (csv.Error, BadRequest) as error:
                yield FileLine(place, error=str(error))

    def _texts(self) -> Iterator[str]:
        while (line := self._next()) is not None:
            yield line.data.decode("utf-8", "replace")


def _is_open(line: bytes) -> bool:
    """Say whether a line begins a JSON value that it does not end."""
    text = line.decode("utf-8", "replace").strip()
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return error.pos >= len(text)
    except (ValueError, RecursionError):
        return False
    return False


def _loaded(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _elements(place: str, data: bytes) -> Iterator[FileLine]:
    found = _loaded(data)
    if found is None:
        yield FileLine(place, error="is no JSON")
    else:
        yield from _expanded(place, found)


def _expanded(place: str, value: Any) -> Iterator[FileLine]:
    """Yield what a JSON value holds: the rows of a list or an export of the dashboard, the resources of a request."""
    many: Sequence[Any] | None = value if isinstance(value, list) else None
    if isinstance(value, dict):
        listed = value.get("traces")
        many = listed if isinstance(listed, list) else _resources(value)
    if many is None:
        yield FileLine(place, _encode(value).encode("utf-8", "replace"))
        return
    for number, one in enumerate(many, 1):
        yield FileLine(f"{place} (element {number})", _encode(one).encode("utf-8", "replace"))


def _resources(value: JSON) -> list[JSON] | None:
    found = [
        {name: [one]} for name, many in value.items() if name in SIGNALS and isinstance(many, list) for one in many
    ]
    return found if any(name in SIGNALS for name in value) else None
