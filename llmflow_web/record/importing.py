"""Lines of a file → rows to store: our own JSON lines, the API's, OTLP requests, rows of CSV. Pure.

What is wrong with one line costs that line; of an OTLP request only the records that cannot be read. What the database
has already is left as it is: the second import of a file changes nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from llmflow_web.errors import BadRequest, LLMFlowError
from llmflow_web.model import JSON, PART_ATTRIBUTES, PART_OTLP, Log, Row, Span, Stored
from llmflow_web.record.received import received
from llmflow_web.record.semconv_stored import OWN_SCOPE
from llmflow_web.record.semconv_values import number
from llmflow_web.record.transfer import SOURCES, item_of, set_imported
from llmflow_web.store.export import CSV_COLUMNS
from llmflow_web.store.transfer import Known
from llmflow_web.wire.otlp_values import Signal

SIGNALS: Mapping[str, Signal] = {
    "resourceSpans": "traces", "resourceLogs": "logs", "resourceMetrics": "metrics",
    "resource_spans": "traces", "resource_logs": "logs", "resource_metrics": "metrics",
}  # fmt: skip
"""The member by which an OTLP request is known → its signal."""

KINDS = ("spans", "logs", "metrics")
MAX_SHOWN_CHARS = 300

_OTLP = re.compile(rb'\s*\{\s*"(resource_?(?:[sS]pans|[lL]ogs|[mM]etrics))"')
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens", "status")
_AMOUNTS = ("timestamp", "duration_ms", "estimated_cost")


@dataclass(slots=True)
class Taken:
    """What a line came to."""

    items: list[Stored] = field(default_factory=list)
    derived: list[Row] = field(default_factory=list)  # spans that log records among the items tell of
    refused: int = 0
    errors: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Tally:
    """What became of the rows of many lines, by kind."""

    new: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    known: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    refused: int = 0

    def add(self, other: Tally) -> None:
        """Add another's counts."""
        for kind in KINDS:
            self.new[kind] += other.new[kind]
            self.known[kind] += other.known[kind]
        self.refused += other.refused


# ── lines ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def take(line: bytes, *, now_ns: int) -> Taken:
    """Read one line. now_ns: stands for times that OTLP leaves out."""
    try:
        signals = signals_of(line)
        return _otlp(signals, line, now_ns) if signals else Taken([item_of(_object(line))])
    except LLMFlowError as error:
        return _refused(error.message)
    except Exception as error:  # noqa: BLE001 - strangers' bytes; the other lines are kept
        return _refused(f"cannot be read: {type(error).__name__}: {error}")


def _refused(message: str) -> Taken:
    return Taken(refused=1, errors=[message[:MAX_SHOWN_CHARS]])


def signals_of(line: bytes) -> list[Signal]:
    """Return the signals of the OTLP request a line is; none when it is something else."""
    found = _OTLP.match(line)
    if found is not None:
        return [SIGNALS[found[1].decode()]] if line.count(b'"resource') < 2 else _roots(line)
    return _roots(line) if b'"resource' in line and b'"scope' in line else []


def _roots(line: bytes) -> list[Signal]:
    return list(dict.fromkeys(SIGNALS[name] for name in _object(line) if name in SIGNALS))


def _object(line: bytes) -> JSON:
    try:
        value = json.loads(line, parse_constant=_no_number)
    except RecursionError as error:
        raise BadRequest("is JSON nested too deeply") from error
    except ValueError as error:
        raise BadRequest(f"is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise BadRequest("is no JSON object")
    return value


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


# ── OTLP ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _otlp(signals: Sequence[Signal], line: bytes, now_ns: int) -> Taken:
    taken = Taken()
    for signal in signals:
        got = received(signal, line, (), is_json=True, limit=len(line), now_ns=now_ns)
        for item in (item for piece in got.pieces for item in piece.items):
            if isinstance(item, Row):
                _note_import(item)
            if isinstance(item, Row) and item.span.derived:
                taken.derived.append(item)
            else:
                taken.items.append(item)
        taken.refused += got.rejected
        taken.errors += [error[:MAX_SHOWN_CHARS] for error in got.errors]
    return taken


def _note_import(row: Row) -> None:
    """Keep how a span was first recorded, and its cost where another LLMFlow has written it."""
    bodies = {body.part: body.data for body in row.bodies}
    set_imported(row.span, "otlp")
    if f'"{OWN_SCOPE}"'.encode() not in bodies.get(PART_OTLP, b""):
        return
    scope = json.loads(bodies[PART_OTLP]).get("scope")
    if not isinstance(scope, dict) or scope.get("name") != OWN_SCOPE:
        return
    told = json.loads(bodies.get(PART_ATTRIBUTES, b"{}"))
    first = told.get("llmflow.source")
    set_imported(row.span, first if first in SOURCES else "otlp")
    _keep_cost(row.span, told.get("llmflow.cost"))


def _keep_cost(span: Span, cost: Any) -> None:
    amount = number(cost)
    if amount is not None:
        span.estimated_cost = amount
        span.cost_detail = {"quality": "reported", "reported_cost": amount}


# ── CSV ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def line_of_csv(columns: Sequence[str], values: Sequence[str]) -> JSON:
    """Return a row of CSV as a line would have it; what is empty is left out.

    Raises:
        BadRequest: A value is no number where one belongs, or there are more values than columns.
    """
    if len(values) != len(columns):
        raise BadRequest(f"has {len(values)} values for {len(columns)} columns")
    line: JSON = {}
    for name, text in zip(columns, values, strict=True):
        if text and name in CSV_COLUMNS:
            line[name] = _csv_number(name, text) if name in _COUNTS or name in _AMOUNTS else _csv_text(text)
    return line


def is_csv_header(columns: Sequence[str]) -> bool:
    """Say whether these are the columns of a list of spans."""
    return "id" in columns and "timestamp" in columns


def _csv_text(text: str) -> str:
    """Undo what keeps a spreadsheet from running a text as a formula."""
    return text[1:] if text[0] == "'" and text[1:].startswith(_FORMULA) else text


def _csv_number(name: str, text: str) -> float | int:
    try:
        return int(text) if text.removeprefix("-").isdigit() and len(text) <= 20 else float(text)
    except ValueError:
        raise BadRequest(f"{name} must be a number; got {text[:40]!r}") from None


# ── what is new ──────────────────────────────────────────────────────────────────────────────────────────────────────


def wanted(takens: Iterable[Taken]) -> Known:
    """Return the names of all rows, for the question which of them the database has."""
    found: dict[str, dict[Any, bool]] = {kind: {} for kind in KINDS}
    for taken in takens:
        for item in (*taken.items, *taken.derived):
            found[_kind_of(item)][_key_of(item)] = False
    return Known(found["spans"], frozenset(found["logs"]), frozenset(found["metrics"]))


def sift(takens: Iterable[Taken], known: Known) -> tuple[list[Stored], Tally]:
    """Return the rows to store, each once, and the count of all."""
    have: dict[str, set[Any]] = {"spans": set(known.spans), "logs": set(known.logs), "metrics": set(known.points)}
    tally = Tally()
    fresh: list[Stored] = []
    for taken in takens:
        tally.refused += taken.refused
        has_new_logs = False
        for item in taken.items:
            kind, key = _kind_of(item), _key_of(item)
            is_known = key in have[kind]
            (tally.known if is_known else tally.new)[kind] += 1
            if not is_known:
                have[kind].add(key)
                fresh.append(item)
                has_new_logs = has_new_logs or kind == "logs"
        if has_new_logs:
            fresh += [row for row in taken.derived if _may_be_added(row, known, have["spans"])]
    return fresh, tally


def _may_be_added(row: Row, known: Known, have: set[Any]) -> bool:
    """Say whether what a log record tells of a span is welcome: not where the span itself is there."""
    key = _key_of(row)
    return known.spans.get(key, key not in have)


def _kind_of(item: Stored) -> str:
    return "spans" if isinstance(item, Row) else "logs" if isinstance(item, Log) else "metrics"


def _key_of(item: Stored) -> Any:
    return (item.span.trace_id, item.span.id) if isinstance(item, Row) else item.id
