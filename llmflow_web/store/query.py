"""A Filter compiled to SQL: conditions with parameters only, no value ever becomes part of a statement.

The planner has no statistics, so it is told: one condition may use its index (the most telling), the columns of the
others carry a unary + that hides them from it, and the walk then goes newest first until the page is full.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from llmflow_web.store.columns import HAS_NAMES
from llmflow_web.store.insert import SEQS_OF_TRACE
from llmflow_web.store.search import matching
from llmflow_web.wire.filter import NUMBER_FIELDS, TEXT_FIELDS, Ago, Filter, Term, Value

# Fields whose index leads to few rows, best first. A field earlier in the list keeps its index, the others lose it.
_TELLING = (
    "id",
    "trace_id",
    "session_id",
    "conversation_id",
    "user_id",
    "prompt",
    "prompt_name",
    "tag",
    "model",
    "service_name",
    "roots",
    "status",
)
_HAS_BITS = dict(HAS_NAMES)
_PASSTHROUGH = "-passthrough"


@dataclass(slots=True)
class Compiled:
    """FROM and WHERE of a list. `time` is the column (of s or of span_tags) the list is ordered by."""

    source: str = "spans s"
    time: str = "s.start_ns"
    seq: str = "s.seq"
    conditions: list[str] = field(default_factory=list)
    params: list[Any] = field(default_factory=list)
    has_leader: bool = False  # a condition that an index serves leads to few rows
    floors: list[int] = field(default_factory=list)  # where among the parameters the least seq of matches stands

    @property
    def where(self) -> str:
        """The conditions as a WHERE clause, or nothing."""
        return " WHERE " + " AND ".join(self.conditions) if self.conditions else ""

    def add(self, sql: str, *params: Any) -> None:
        """Add one condition."""
        self.conditions.append(sql)
        self.params.extend(params)

    def look_from(self, seq: int) -> None:
        """Look for free text only in rows from this one on: the asker knows that the others do not count."""
        for place in self.floors:
            self.params[place] = seq


def compile_filter(connection: sqlite3.Connection, chosen: Filter, now_ns: int | None = None) -> Compiled:
    """Compile a filter. The connection is needed for free text, which is looked up here in part."""
    compiled = Compiled()
    now_ns = time.time_ns() if now_ns is None else now_ns
    leader = _leader(chosen)
    texts = [term for term in chosen.terms if term.field in ("word", "phrase")]
    compiled.has_leader = leader is not None or bool(texts)
    for term in chosen.terms:
        if term is leader and term.field == "tag":
            compiled.source = "span_tags g CROSS JOIN spans s ON s.seq = g.seq"
            compiled.time, compiled.seq = "g.start_ns", "g.seq"
            compiled.add("g.tag = ?", *term.values)
        elif term.field not in ("word", "phrase"):
            _add_term(compiled, term, "" if term is leader else "+", now_ns)
    for sql, params in matching(connection, texts):
        compiled.floors.append(len(compiled.params) + 1)
        compiled.add(sql, *params)
    return compiled


def time_bounds(chosen: Filter, now_ms: int) -> tuple[int | None, int | None]:
    """Return the earliest and the latest start (ms) a filter asks for; None where it asks for none."""
    lows: list[int] = []
    highs: list[int] = []
    for term in chosen.terms:
        if term.field == "timestamp" and not term.is_negated:
            value = term.values[0]
            ms = int(now_ms - value.seconds * 1000 if isinstance(value, Ago) else float(value))
            (lows if term.op in (">", ">=") else highs).append(ms)
    return max(lows, default=None), min(highs, default=None)


def _leader(chosen: Filter) -> Term | None:
    """Find the term whose index is used."""
    candidates = [term for term in chosen.terms if _may_lead(term)]
    return min(candidates, key=lambda term: _TELLING.index(term.field), default=None)


def _may_lead(term: Term) -> bool:
    if term.is_negated or term.field not in _TELLING or len(term.values) != 1:
        return False
    if term.field == "status":
        return term.values == ("error",)
    return not (term.is_pattern and "*" in str(term.values[0]))


def _add_term(compiled: Compiled, term: Term, plus: str, now_ns: int) -> None:
    params: list[Any] = []
    parts = [_condition(term, value, plus, params, now_ns) for value in term.values]
    sql = parts[0] if len(parts) == 1 else f"({' OR '.join(parts)})"
    compiled.add(f"NOT IFNULL({sql}, 0)" if term.is_negated else sql, *params)


def _condition(term: Term, value: Value | Ago, plus: str, params: list[Any], now_ns: int) -> str:
    special = _SPECIAL.get(term.field)
    if special is not None:
        return special(term, value, plus, params)
    if term.field == "timestamp":
        return _time_condition(term, value, params, now_ns)
    if term.field in NUMBER_FIELDS:
        return _number_condition(term, value, params)
    # The names in TEXT_FIELDS are ours, never typed text: only they may stand in a statement.
    assert term.field in TEXT_FIELDS, term.field
    return _text_condition(f"{plus}s.{term.field}", term, str(value), params)


def _text_condition(column: str, term: Term, value: str, params: list[Any]) -> str:
    if term.is_pattern and "*" in value:
        params.append(_like(value))
        return f"{column} LIKE ? ESCAPE '\\'"
    params.append(value)
    return f"{column} = ?"


def _like(pattern: str) -> str:
    for char in "\\%_":
        pattern = pattern.replace(char, "\\" + char)
    return pattern.replace("*", "%")


def _time_condition(term: Term, value: Value | Ago, params: list[Any], now_ns: int) -> str:
    """Compare whole milliseconds, as the API shows them: `<= T` takes all of T's nanoseconds."""
    ms = now_ns // 1_000_000 - int(value.seconds * 1000) if isinstance(value, Ago) else int(value)
    ms = max(-(2**43), min(ms, 2**43))  # so that nanoseconds stay within 64 bits
    if term.op == "=":
        params.extend((ms * 1_000_000, (ms + 1) * 1_000_000))
        return "(s.start_ns >= ? AND s.start_ns < ?)"
    op, shift = {"<=": ("<", 1), ">": (">=", 1)}.get(term.op, (term.op, 0))
    params.append((ms + shift) * 1_000_000)
    return f"s.start_ns {op} ?"


_NUMBER_SQL = {
    "estimated_cost": "s.estimated_cost",
    "duration_ms": "round(s.duration_ns / 1e6, 3)",
    "ttft_ms": "round(s.ttft_ms, 3)",
    "total_tokens": "s.total_tokens",
    "span_count": "(SELECT span_count FROM traces WHERE first_seq = s.trace_seq)",
    "error_count": "(SELECT error_count FROM traces WHERE first_seq = s.trace_seq)",
}


def _number_condition(term: Term, value: Value | Ago, params: list[Any]) -> str:
    params.append(value)
    return f"{_NUMBER_SQL[term.field]} {term.op} ?"


def _status(_: Term, value: Value | Ago, plus: str, params: list[Any]) -> str:
    if value == "ok":
        return "(s.status IS NULL OR s.status < 400)"
    if value == "error":  # spelt out, so that the index over errors can serve it
        return f"{plus}s.status >= 400"
    if isinstance(value, str):
        params.append(int(value[0]))
        return "s.status / 100 = ?"
    params.append(value)
    return "+s.status = ?"


def _provider(term: Term, value: Value | Ago, plus: str, params: list[Any]) -> str:
    text = str(value)
    if not text.endswith(_PASSTHROUGH):
        return _text_condition(f"{plus}s.provider", term, text, params)
    params.append(text.removesuffix(_PASSTHROUGH))
    return "(+s.provider = ? AND +s.source = 'passthrough')"


def _tag(term: Term, value: Value | Ago, _: str, params: list[Any]) -> str:
    if term.is_pattern and "*" in str(value):
        params.append(_like(str(value)))
        return "EXISTS (SELECT 1 FROM json_each(s.tags) WHERE json_each.value LIKE ? ESCAPE '\\')"
    params.append(value)
    return "EXISTS (SELECT 1 FROM span_tags WHERE tag = ? AND start_ns = s.start_ns AND seq = s.seq)"


def _prompt(_: Term, value: Value | Ago, plus: str, params: list[Any]) -> str:
    params.append(value)
    return f"{plus}s.prompt = ?"


def _prompt_name(term: Term, value: Value | Ago, plus: str, params: list[Any]) -> str:
    """Take a name, a fingerprint with its mark, or either with `@` and a version."""
    text = str(value)
    if term.is_pattern and "*" in text:
        return _text_condition("s.prompt_key" if text.startswith("~") else "s.prompt_name", term, text, params)
    name, _, version = text.rpartition("@")
    if not (name and version):
        return _prompt(term, text, plus, params)
    params.extend((text, name, text, version))
    return f"({plus}s.prompt IN (?, ?) AND (+s.prompt = ? OR s.wording = ?))"


def _trace(term: Term, value: Value | Ago, plus: str, params: list[Any]) -> str:
    if plus or (term.is_pattern and "*" in str(value)):
        return _text_condition("+s.trace_id", term, str(value), params)
    params.extend((value, value))
    first = "(SELECT first_seq FROM traces WHERE trace_id = ?)"
    return f"s.seq IN ({SEQS_OF_TRACE.replace(':trace', first)})"


def _has(_: Term, value: Value | Ago, __: str, params: list[Any]) -> str:
    if value == "error":
        return "+s.status >= 400"
    if value == "cost":
        return "s.estimated_cost IS NOT NULL"
    params.append(_HAS_BITS[str(value)])
    return "(s.has & ?) <> 0"


_SPECIAL: dict[str, Callable[[Term, Value | Ago, str, list[Any]], str]] = {
    "status": _status,
    "provider": _provider,
    "tag": _tag,
    "trace_id": _trace,
    "prompt": _prompt,
    "prompt_name": _prompt_name,
    "has": _has,
    "roots": lambda _, __, plus, ___: f"{plus}s.is_root = 1",
    "joined": lambda _, value, plus, ___: f"{plus}s.joined_to IS {'NOT ' if value else ''}NULL",
}
