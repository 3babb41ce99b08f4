"""Rows ↔ lines of a file that another LLMFlow reads in: one JSON object a span, log record or data point. Pure.

A line holds the row whole, its bodies included. Of what follows from other rows it tells only whether the span counts;
that is worked out anew where it is read in. Secrets are masked once more on the way in: who wrote a file is not known.
A line that is wrong in any member is refused whole, with a sentence that names the member.
"""

from __future__ import annotations

import json
import math
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, get_args

from llmflow_web.errors import BadRequest
from llmflow_web.model import (
    JSON,
    MAX_STORED_BODY_BYTES,
    PART_HEADERS,
    PART_NAMES,
    SPAN_TYPES,
    Body,
    Ending,
    Log,
    Metric,
    Row,
    Source,
    Span,
    Stored,
)
from llmflow_web.record.redact import is_credential, masked
from llmflow_web.record.semconv_values import sound
from llmflow_web.store.export import CSV_COLUMNS

SPAN, LOG, METRIC = "span", "log", "metric"
"""What a line's `type` says; one without a type is a span."""

SOURCES: tuple[Source, ...] = get_args(Source)
MAX_ID_CHARS = 128
MAX_TEXT_CHARS = 1024 * 1024
MAX_MS = 2**43  # the year 2248
MAX_INT = 2**63 - 1

_ALWAYS = (*CSV_COLUMNS, "session_id", "conversation_id", "agent_name")
"""The members every line of a span has, null or not: those of the API's list from its first version on."""

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str).encode
_PART_WORDS = {number: name for name, number in PART_NAMES.items()}
_UNCOUNTED = "uncounted_by_sender"
_UNTOLD = frozenset({"start_ns", "counts"})


def encoded_line(value: JSON) -> bytes:
    """Write one line."""
    return (_encode(value) + "\n").encode("utf-8", "replace")


# ── rows → lines ─────────────────────────────────────────────────────────────────────────────────────────────────────


def line_of(item: Stored, *, is_counted: bool = True) -> JSON:
    """Return a row as the object that stands on its line. is_counted: whether a span is in the sums."""
    if isinstance(item, Row):
        return _span_line(item, is_counted=is_counted)
    told = {name: value for name in _names_of(item) if _is_set(value := getattr(item, name))}
    kind = LOG if isinstance(item, Log) else METRIC
    line: JSON = {"type": kind, "id": item.id, "timestamp": item.time_ns // 1_000_000, **told}
    for name in _MOMENTS:
        if line.get(name) is not None:
            line[name] = str(line[name])
    return line


_MOMENTS = ("time_ns", "start_ns", "observed_ns")  # they outgrow a float


def _names_of(item: object) -> list[str]:
    return [entry.name for entry in fields(item)]  # type: ignore[arg-type] # one of ours, a dataclass


def _is_set(value: Any) -> bool:
    return value is not None and value is not False and value not in ([], {})


def _span_line(row: Row, *, is_counted: bool) -> JSON:
    span = row.span
    line: JSON = {"type": SPAN, **list_element(span)}
    line["start_ns"] = str(span.start_ns)
    for name in _names_of(span):
        if name not in line and name not in _UNTOLD and _is_set(value := getattr(span, name)):
            line[name] = value
    if not is_counted:
        line["counts"] = False
    if not span.counts:
        line[_UNCOUNTED] = True
    if row.bodies:
        line["bodies"] = {_PART_WORDS[body.part]: _body_value(body) for body in row.bodies}
    return line


def list_element(span: Span) -> JSON:
    """Return the members of a span that a line always has, and a line of CSV has."""
    told: JSON = {name: getattr(span, name, None) for name in _ALWAYS}
    told["timestamp"] = span.start_ns // 1_000_000
    told["duration_ms"] = None if span.duration_ns is None else round(span.duration_ns / 1e6, 3)
    cost = span.estimated_cost
    told["estimated_cost"] = cost if cost is None or math.isfinite(cost) else None
    return told


def _body_value(body: Body) -> JSON:
    try:
        told: JSON = {"text": body.data.decode()}
    except UnicodeDecodeError:
        told = {"base64": b64encode(body.data).decode("ascii")}
    if body.size != len(body.data):
        told["size"] = body.size
    return told | {name: True for name in ("is_cut", "is_raw") if getattr(body, name)}


# ── lines → rows ─────────────────────────────────────────────────────────────────────────────────────────────────────


def item_of(line: JSON) -> Stored:
    """Return the row a line holds.

    Raises:
        BadRequest: A member is missing or cannot be; the sentence names it.
    """
    kind = line.get("type", SPAN)
    read = _KINDS.get(kind) if isinstance(kind, str) else None
    if read is None:
        raise BadRequest(f"type must be {', '.join(_KINDS)}; got {str(kind)[:40]!r}")
    return read(line)


def _row_of(line: JSON) -> Row:
    span_id = _id(line, "id")
    told = {name: read(line, name) for name, read in _SPAN_MEMBERS.items() if line.get(name) is not None}
    kind = _text(line, "span_type")
    span = Span(
        trace_id=_id_or(line, "trace_id", span_id),
        id=span_id,
        span_type=kind if kind in SPAN_TYPES else "custom",
        start_ns=_start_ns(line),
        duration_ns=_duration_ns(line),
        counts=line.get(_UNCOUNTED) is not True,
        **told,
    )
    given = _one_of(line, "source", SOURCES)
    set_imported(span, _one_of(line, "first_source", SOURCES) if given == "import" else given)
    return Row(span, _bodies(line, span))


def set_imported(span: Span, first: Source | None) -> None:
    """Note that a row came out of a file, and how it was `first` recorded."""
    span.source = "import"
    span.first_source = None if first == "import" else first


def _start_ns(line: JSON) -> int:
    exact = _integer(line, "start_ns")
    if exact is None:
        milliseconds = _number(line, "timestamp")
        if milliseconds is None:
            raise BadRequest("timestamp is missing")
        exact = round(milliseconds * 1_000_000)
    return _moment("timestamp", exact)


def _moment(name: str, ns: int) -> int:
    if not 0 <= ns <= MAX_MS * 1_000_000:
        raise BadRequest(f"{name} is no time of ours: milliseconds since 1970 are wanted")
    return ns


def _duration_ns(line: JSON) -> int | None:
    exact = _integer(line, "duration_ns")
    if exact is None:
        milliseconds = _number(line, "duration_ms")
        exact = None if milliseconds is None else round(milliseconds * 1_000_000)
    if exact is not None and not 0 <= exact <= MAX_MS * 1_000_000:
        raise BadRequest("duration_ms is no duration")
    return exact


def _log_of(line: JSON) -> Log:
    return Log(id=_id(line, "id"), time_ns=_time_ns(line), **_told(line, _LOG_MEMBERS))


def _metric_of(line: JSON) -> Metric:
    name = _text(line, "name")
    if name is None:
        raise BadRequest("name is missing")
    told = _told(line, _METRIC_MEMBERS)
    return Metric(id=_id(line, "id"), series=_id(line, "series"), time_ns=_time_ns(line), name=name, **told)


def _told(line: JSON, members: Mapping[str, Callable[[JSON, str], Any]]) -> JSON:
    return {name: read(line, name) for name, read in members.items() if line.get(name) is not None}


def _time_ns(line: JSON) -> int:
    exact = _integer(line, "time_ns")
    if exact is None:
        raise BadRequest("time_ns is missing")
    return _moment("time_ns", exact)


# ── bodies ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _bodies(line: JSON, span: Span) -> list[Body]:
    told = line.get("bodies")
    if told is None:
        return []
    if not isinstance(told, dict):
        raise BadRequest("bodies must be an object")
    unknown = [name for name in told if name not in PART_NAMES]
    span.dropped += [f"bodies.{sound(name[:80])}: there is no such part here" for name in unknown[:20]]
    found = [_body(name, value) for name, value in told.items() if name in PART_NAMES]
    return sorted(found, key=lambda body: body.part)


def _body(name: str, value: Any) -> Body:
    data = _body_data(value) if isinstance(value, dict) else None
    if data is None:
        raise BadRequest(f"bodies.{name} must be an object with text or base64")
    part = PART_NAMES[name]
    if part == PART_HEADERS:
        data = _without_credentials(data)
    size = _integer(value, "size")
    whole = len(data) if size is None else max(size, 0)
    is_cut = value.get("is_cut") is True or len(data) > MAX_STORED_BODY_BYTES
    return Body(part, data[:MAX_STORED_BODY_BYTES], whole, is_cut, value.get("is_raw") is True)


def _body_data(value: JSON) -> bytes | None:
    text, packed = value.get("text"), value.get("base64")
    if isinstance(text, str):
        return text.encode("utf-8", "replace")
    if not isinstance(packed, str):
        return None
    try:
        return b64decode(packed, validate=True)
    except ValueError:
        return None


def _without_credentials(data: bytes) -> bytes:
    """Mask the headers whose names say that they are secret, where nobody has done so."""
    try:
        told = json.loads(data)
    except (ValueError, RecursionError):
        return data
    sides = told.values() if isinstance(told, dict) else ()
    pairs = [pair for side in sides if isinstance(side, list) for pair in side if _is_open_credential(pair)]
    for pair in pairs:
        pair[1] = masked(pair[1])
    return _encode(told).encode("utf-8", "replace") if pairs else data


def _is_open_credential(pair: Any) -> bool:
    if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(one, str) for one in pair)):
        return False
    name, value = pair
    return bool(value) and "…[redacted" not in value and is_credential(name.lower().encode("utf-8", "replace"))


# ── members ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _text(line: JSON, name: str) -> str | None:
    value = line.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > MAX_TEXT_CHARS:
        raise BadRequest(f"{name} must be text of at most {MAX_TEXT_CHARS:,} characters")
    return sound(value)


def _long_text(line: JSON, name: str) -> str:
    value = line[name]
    if not isinstance(value, str):
        raise BadRequest(f"{name} must be text")
    return sound(value)


def _id(line: JSON, name: str) -> str:
    value = line.get(name)
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_ID_CHARS:
        raise BadRequest(f"{name} must be text of 1 to {MAX_ID_CHARS} characters")
    return sound(value)


def _parent(line: JSON, name: str) -> str | None:
    return _id(line, name) if line[name] != "" else None


def _id_or(line: JSON, name: str, otherwise: str) -> str:
    return otherwise if line.get(name) is None else _id(line, name)


def _number(line: JSON, name: str) -> float | None:
    value = line.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= MAX_INT:
        raise BadRequest(f"{name} must be a number")
    return value


def _real(line: JSON, name: str) -> float | None:
    value = _number(line, name)
    return None if value is None else float(value)


def _integer(line: JSON, name: str) -> int | None:
    """Read a whole number; long ones are written as text."""
    value = line.get(name)
    if isinstance(value, str) and len(value) <= 20 and value.isascii() and value.removeprefix("-").isdigit():
        value = int(value)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= MAX_INT:
        raise BadRequest(f"{name} must be a whole number")
    if value != int(value):
        raise BadRequest(f"{name} must be a whole number")
    return int(value)


def _flag(line: JSON, name: str) -> bool:
    value = line[name]
    if not isinstance(value, (bool, int)) or value not in (0, 1):
        raise BadRequest(f"{name} must be true or false")
    return bool(value)


def _texts(line: JSON, name: str) -> list[str]:
    value = line[name]
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise BadRequest(f"{name} must be a list of texts")
    return [sound(one) for one in value]


def _object(line: JSON, name: str) -> JSON:
    value = line[name]
    if not isinstance(value, dict):
        raise BadRequest(f"{name} must be an object")
    return value


def _one_of(line: JSON, name: str, choices: Sequence[Any]) -> Any:
    value = line.get(name)
    if value is not None and value not in choices:
        raise BadRequest(f"{name} must be one of {', '.join(choices)}")
    return value


def _ending(line: JSON, name: str) -> Any:
    return _one_of(line, name, get_args(Ending))


_KINDS: Mapping[str, Callable[[JSON], Stored]] = {SPAN: _row_of, LOG: _log_of, METRIC: _metric_of}

_READ_AS: Mapping[str, Callable[[JSON, str], Any]] = {
    "str | None": _text,
    "int | None": _integer,
    "float | None": _real,
    "bool": _flag,
    "list[str]": _texts,
    "JSON": _object,
    "JSON | None": _object,
    "Ending | None": _ending,
}


def _members_of(kind: type, *own: str) -> dict[str, Callable[[JSON, str], Any]]:
    """Return how each member of a row is read, by its type; `own` are read by hand."""
    return {entry.name: _READ_AS[str(entry.type)] for entry in fields(kind) if entry.name not in own}


_SPAN_MEMBERS = _members_of(
    Span, "trace_id", "id", "span_type", "start_ns", "duration_ns", "counts", "source", "first_source", "joined_to"
)
_SPAN_MEMBERS["parent_id"] = _parent
_LOG_MEMBERS = _members_of(Log, "id", "time_ns")
_LOG_MEMBERS["body"] = _long_text
_METRIC_MEMBERS = _members_of(Metric, "id", "series", "time_ns", "name")
