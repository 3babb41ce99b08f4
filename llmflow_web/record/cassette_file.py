"""A cassette on the disk: lines read at start, and written by a thread of its own as calls finish.

A line more is appended; anything else is written anew beside the file and put in its place, so that a reader never
finds half a cassette.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from llmflow_web.errors import ConfigError
from llmflow_web.model import JSON
from llmflow_web.record.cassette_lines import Malformed, answer_from, check_request

FORMAT = "llmflow-cassette"
VERSION = 1


def encode(value: JSON) -> bytes:
    """Write one line, readable where UTF-8 can say it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        return text.encode() + b"\n"
    except UnicodeEncodeError:  # half a surrogate pair, as models cut them
        return json.dumps(value, separators=(",", ":")).encode() + b"\n"


HEADER = encode({"format": FORMAT, "version": VERSION})


def read(path: Path) -> list[tuple[int, JSON]]:
    """Return (line number, exchange) of a cassette. Raises ConfigError, which names the line that is wrong."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"the cassette {path} cannot be read: {error.strerror}") from error
    return parse(data, str(path))


def parse(data: bytes, name: str) -> list[tuple[int, JSON]]:
    """Return (line number, exchange) of what a cassette holds. Raises ConfigError."""
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    found: list[tuple[int, JSON]] = []
    has_header = False
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            value = _object(line)
            if has_header:
                _check(value)
                found.append((number, value))
            else:
                _check_header(value)
                has_header = True
        except Malformed as error:
            raise ConfigError(f"the cassette {name} is broken in line {number}: {error}") from error
    return found


def _object(line: bytes) -> JSON:
    try:
        value = json.loads(line)
    except RecursionError as error:
        raise Malformed("it is nested too deeply") from error
    except UnicodeDecodeError as error:
        raise Malformed("it is no UTF-8") from error
    except ValueError as error:
        raise Malformed(f"it is no JSON ({error})") from error
    if not isinstance(value, dict):
        raise Malformed("it is no JSON object")
    return value


def _check_header(value: JSON) -> None:
    if value.get("format") != FORMAT:
        raise Malformed(f'the first line of a cassette is {{"format":"{FORMAT}","version":{VERSION}}}')
    if value.get("version") != VERSION:
        raise Malformed(f"its version is {value.get('version')!r}, and this LLMFlow reads {VERSION}")


def _check(value: JSON) -> None:
    request, response = value.get("request"), value.get("response")
    if not isinstance(request, dict) or not isinstance(response, dict):
        raise Malformed("it has no request or no response")
    check_request(request)
    answer_from(response)


class CassetteWriter:
    """Brings the file to what the cassette holds, in a thread; what comes while it writes is written next."""

    def __init__(self, path: Path, report: Callable[[str], None]) -> None:
        """Write to `path`. report: told, from the thread, when that fails."""
        self._path = path
        self._report = report
        self._changed = threading.Condition()
        self._wanted: Sequence[bytes] | None = None
        self._is_closed = False
        self._written: list[bytes] | None = None  # what this process wrote; None: something else is there
        self._thread: threading.Thread | None = None

    def __repr__(self) -> str:
        return f"<CassetteWriter {self._path} {'idle' if self._wanted is None else 'behind'}>"

    def write(self, lines: Sequence[bytes]) -> None:
        """Have the file hold the header and `lines`."""
        with self._changed:
            self._wanted = lines
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="llmflow-cassette", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def close(self) -> None:
        """Write the rest and stop."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._wanted is not None or self._is_closed)
                lines, self._wanted = self._wanted, None
                if lines is None:
                    return
            try:
                self._bring_to(list(lines))
            except OSError as error:
                self._written = None
                self._report(f"the cassette {self._path} could not be written: {error.strerror or error}")

    def _bring_to(self, lines: list[bytes]) -> None:
        before = self._written
        if before is not None and lines[: len(before)] == before and self._path.exists():
            with self._path.open("ab") as file:
                file.writelines(lines[len(before) :])
        else:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            beside = self._path.with_name(f".{self._path.name}.{os.getpid()}.new")
            try:
                with beside.open("wb") as file:
                    file.writelines([HEADER, *lines])
                    file.flush()
                    os.fsync(file.fileno())
                beside.replace(self._path)
            finally:
                beside.unlink(missing_ok=True)
        self._written = lines
