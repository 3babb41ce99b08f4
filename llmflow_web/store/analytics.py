"""Figures over time and per value of a field: from the hourly sums where those know the answer, else from the spans.

The hourly sums know model, provider, service and whether a call failed. Everything else reads the newest
MAX_SCANNED calls of the range and says so when there were more. Every group carries the filter that lists its calls.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from llmflow_web.model import JSON, Span
from llmflow_web.store.query import compile_filter
from llmflow_web.store.sums import ALL_TIME, HISTOGRAMS, HOUR_NS, ROLLUP_SUMS, lanes_from_bytes, percentiles, share_of
from llmflow_web.wire.filter import Filter, Term
from llmflow_web.wire.grammar import FIELDS

HOUR_MS = HOUR_NS // 1_000_000
DAY_MS = 24 * HOUR_MS
MAX_POINTS = 200
MAX_SCANNED = 50_000

IN_ROLLUP = ("model", "provider", "service_name")
SPLITS = (*IN_ROLLUP, "tag", "user_id", "tool", "session_id")
SORTS = ("cost", "requests", "tokens", "errors", "p95_ms")
INTERVALS = ("auto", "hour", "day")
_STEPS = {
    "hour": tuple(hours * HOUR_MS for hours in (1, 2, 3, 6, 12)),
    "day": tuple(days * DAY_MS for days in (1, 2, 7, 14, 30, 90, 365)),
}
_SUMS = ROLLUP_SUMS[:-HISTOGRAMS]
_HISTOGRAMS = ROLLUP_SUMS[-HISTOGRAMS:]
_WORDS = {field: word for word, field in reversed(FIELDS.items())}  # the first word of each field

Key = str | None
Cell = list[Any]
"""_SUMS, errors, and the three histograms of one group in one slot of time."""

_EMPTY: Cell = [0] * (len(_SUMS) + 1 + HISTOGRAMS)


@dataclass(frozen=True, slots=True)
class Range:
    """A stretch of time in equal steps; `begin_ms` lies on one, `end_ms` (included) where it was asked for."""

    begin_ms: int
    end_ms: int
    step_ms: int

    @staticmethod
    def over(begin_ms: int, end_ms: int, interval: str) -> Range:
        """Choose the steps: at least an hour or a day, and at most MAX_POINTS of them."""
        begin_ms, end_ms = max(0, begin_ms), max(0, begin_ms, end_ms)
        steps = _STEPS["day"] if interval == "day" else (*_STEPS["hour"], *_STEPS["day"])
        step = next((one for one in steps if end_ms // one - begin_ms // one < MAX_POINTS), steps[-1])
        return Range(begin_ms // step * step, end_ms, step)

    @staticmethod
    def exactly(begin_ms: int, end_ms: int) -> Range:
        """Return one step from the one to the other."""
        begin_ms, end_ms = max(0, begin_ms), max(0, begin_ms, end_ms)
        return Range(begin_ms, end_ms, end_ms - begin_ms + 1)

    @property
    def count(self) -> int:
        """The number of steps."""
        return (self.end_ms - self.begin_ms) // self.step_ms + 1

    @property
    def link(self) -> JSON:
        """The parameters of a list that covers it."""
        return {"date_from": str(self.begin_ms), "date_to": str(self.end_ms)}


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: `chosen` without its bounds of time, `asked` the parameters it was read from."""

    chosen: Filter
    asked: Mapping[str, str]
    range: Range
    by: str | None = None
    limit: int = 8
    sort: str = "cost"
    fields: frozenset[str] = frozenset()  # the figures wanted; none: all
    is_exact: bool = False  # the range to the millisecond: the hourly sums know whole hours only


@dataclass(slots=True)
class _Found:
    """What there is: whole slots, and slots of each group."""

    slots: dict[int, Cell]
    groups: dict[Key, dict[int, Cell]]
    is_sampled: bool = False


# ── answers ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def series(connection: sqlite3.Connection, question: Question) -> JSON:
    """Return the figures per step, of all calls and of the largest groups."""
    found = _find(connection, question)
    span = question.range
    names = _ranked(found, question)
    rest = names[question.limit :]
    answers = [_series(found.groups[name], name, question) for name in names[: question.limit]]
    if rest:
        answers.append(_series(_merged([found.groups[name] for name in rest]), None, question, is_rest=True))
    return {
        "from": span.begin_ms,
        "to": span.end_ms,
        "interval": "day" if span.step_ms % DAY_MS == 0 else "hour",
        "interval_ms": span.step_ms,
        "by": question.by,
        "is_sampled": found.is_sampled,
        "note": _note(found),
        "total": figures(_sum(found.slots.values()), question.fields),
        "points": _points(found.slots, question, range(span.count)),
        "series": answers,
        "filter": {**question.asked, **span.link},
    }


def top(connection: sqlite3.Connection, question: Question) -> JSON:
    """Return the largest groups over the whole range."""
    assert question.by is not None  # the route's word
    span = question.range
    answer: JSON = {"from": span.begin_ms, "to": span.end_ms, "by": question.by}
    if question.by == "session_id" and question.chosen.is_empty and not question.is_exact:
        return answer | _top_sessions(connection, question)
    found = _find(connection, question)
    names = _ranked(found, question)
    rows = [
        {**_named(name, question), **figures(_sum(found.groups[name].values()), question.fields)}
        for name in names[: question.limit]
    ]
    more = len(names) - len(rows)
    return answer | {"rows": rows, "more": more, "is_sampled": found.is_sampled, "note": _note(found)}


def _note(found: _Found) -> str | None:
    return f"Read from the newest {MAX_SCANNED:,} calls of the range." if found.is_sampled else None


def _series(slots: dict[int, Cell], name: Key, question: Question, *, is_rest: bool = False) -> JSON:
    return {
        **_named(name, question, is_rest=is_rest),
        "total": figures(_sum(slots.values()), question.fields),
        "points": _points(slots, question, sorted(slots)),
    }


def _named(name: Key, question: Question, *, is_rest: bool = False) -> JSON:
    label = "the rest" if is_rest else "none" if name is None else name
    link = None if is_rest else _link(name, question)
    return {"key": name, "label": label, "is_rest": is_rest, "filter": link}


def _link(name: Key, question: Question) -> JSON:
    """Return the parameters that list a group's calls."""
    assert question.by is not None  # only groups have links
    link: JSON = {**question.asked, **question.range.link}
    if name is not None:
        return link | {question.by: name}
    return link | {"filter": f"{question.asked.get('filter', '')} -{_WORDS[question.by]}:*".strip()}


def _points(slots: dict[int, Cell], question: Question, wanted: Iterable[int]) -> list[JSON]:
    span = question.range
    return [
        {"timestamp": span.begin_ms + slot * span.step_ms, **figures(slots.get(slot, _EMPTY), question.fields)}
        for slot in wanted
    ]


def figures(cell: Cell, fields: frozenset[str] = frozenset()) -> JSON:
    """Give the numbers of a cell their names in the API; with `fields` only those."""
    named = dict(zip(_SUMS, cell, strict=False))
    requests, errors = named["requests"], cell[_ERRORS]
    cached, written = named["cached_tokens"], named["cache_write_tokens"]
    found = {
        "requests": requests,
        "errors": errors,
        "error_rate": round(errors / requests, 6) if requests else None,
        "cost": named["cost"],
        "unpriced_count": named["unpriced_count"],
        "prompt_tokens": named["prompt_tokens"],
        "completion_tokens": named["completion_tokens"],
        "total_tokens": named["total_tokens"],
        "cached_tokens": cached,
        "cache_write_tokens": written,
        "reasoning_tokens": named["reasoning_tokens"],
        "uncached_tokens": max(0, named["prompt_tokens"] - cached - written),
        "output_tokens": max(0, named["completion_tokens"] - named["reasoning_tokens"]),
        "avg_ms": round(named["duration_ns"] / named["duration_count"] / 1e6, 3) if named["duration_count"] else None,
    }
    for histogram, wanted in zip(cell[_ERRORS + 1 :], _PERCENTILES, strict=True):
        if not fields or not fields.isdisjoint(wanted):
            found |= zip(wanted, percentiles(histogram, tuple(wanted.values())), strict=True)
    return {name: found[name] for name in found if name in fields} if fields else found


_PERCENTILES: Sequence[Mapping[str, float]] = (
    {"p50_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99},
    {"ttft_p50_ms": 0.5, "ttft_p95_ms": 0.95},
    {"tokens_per_s": 0.5},
)


# ── cells ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _sum(cells: Iterable[Cell]) -> Cell:
    """Add cells up; histograms are added as the numbers they are."""
    columns = list(zip(*cells, strict=True))
    return [sum(column) for column in columns] if columns else _EMPTY


def _merged(groups: Sequence[dict[int, Cell]]) -> dict[int, Cell]:
    slots: dict[int, list[Cell]] = {}
    for group in groups:
        for slot, cell in group.items():
            slots.setdefault(slot, []).append(cell)
    return {slot: _sum(cells) for slot, cells in slots.items()}


_COST, _REQUESTS, _TOKENS = (ROLLUP_SUMS.index(name) for name in ("cost", "requests", "total_tokens"))
_ERRORS = len(_SUMS)
_ORDERS: Mapping[str, Callable[[Cell], float]] = {
    "cost": lambda cell: float(cell[_COST]),
    "requests": lambda cell: float(cell[_REQUESTS]),
    "tokens": lambda cell: float(cell[_TOKENS]),
    "errors": lambda cell: float(cell[_ERRORS]),
    "p95_ms": lambda cell: percentiles(cell[_ERRORS + 1], (0.95,))[0] or 0.0,
}


FIGURES = tuple(figures(_EMPTY))
"""The names of all figures."""


def _ranked(found: _Found, question: Question) -> list[Key]:
    """Order the groups, the largest first; equal ones by requests, then by name."""
    order = _ORDERS[question.sort]
    sums = {name: _sum(slots.values()) for name, slots in found.groups.items()}
    return sorted(sums, key=lambda name: (-order(sums[name]), -sums[name][_REQUESTS], name or ""))


# ── the hourly sums ──────────────────────────────────────────────────────────────────────────────────────────────────


def _find(connection: sqlite3.Connection, question: Question) -> _Found:
    conditions = rollup_conditions(question.chosen)
    if question.is_exact or conditions is None or question.by not in (None, *IN_ROLLUP):
        return _scan(connection, question)
    return _read_rollup(connection, question, conditions)


def rollup_conditions(chosen: Filter) -> list[tuple[str, list[Any]]] | None:
    """Return a filter as conditions on `rollup`; None when the hourly sums cannot answer it."""
    found = []
    for term in chosen.terms:
        params: list[Any] = []
        parts = [_rollup_condition(term, value, params) for value in term.values]
        if not all(parts):
            return None
        joined = " OR ".join(parts)
        found.append((f"NOT ({joined})" if term.is_negated else f"({joined})", params))
    return found


def _rollup_condition(term: Term, value: Any, params: list[Any]) -> str:
    """Return one condition, or "" where there is none."""
    if term.field == "status":
        return {"ok": "error_class = ''", "error": "error_class <> ''"}.get(value, "")
    if term.field not in IN_ROLLUP or (term.field == "provider" and str(value).endswith("-passthrough")):
        return ""
    if term.is_pattern and "*" in str(value):
        params.append(str(value).replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_").replace("*", "%"))
        return f"IFNULL(NULLIF({term.field}, '') LIKE ? ESCAPE '\\', 0)"
    params.append(value)
    return f"{term.field} = ?"


def _read_rollup(connection: sqlite3.Connection, question: Question, conditions: list[tuple[str, list[Any]]]) -> _Found:
    span = question.range
    where = " AND ".join(["hour >= ?", "hour <= ?", *(sql for sql, _ in conditions)])
    params = [span.begin_ms // HOUR_MS, span.end_ms // HOUR_MS, *(one for _, some in conditions for one in some)]
    name = f"NULLIF({question.by}, '')" if question.by else "NULL"
    place = f"{name}, (hour * {HOUR_MS} - {span.begin_ms}) / {span.step_ms}"
    sums = ", ".join(f"SUM({column})" for column in _SUMS)
    errors = "SUM(CASE WHEN error_class <> '' THEN requests ELSE 0 END)"
    groups: dict[Key, dict[int, Cell]] = {}
    for key, slot, *values in connection.execute(
        f"SELECT {place}, {sums}, {errors} FROM rollup WHERE {where} GROUP BY 1, 2", params
    ):
        groups.setdefault(key, {})[slot] = [*values, 0, 0, 0]
    if _needs_histograms(question):
        _read_histograms(
            connection, groups, f"SELECT {place}, {', '.join(_HISTOGRAMS)} FROM rollup WHERE {where}", params
        )
    return _Found(_merged(list(groups.values())), groups if question.by else {})


def _needs_histograms(question: Question) -> bool:
    names = {name for wanted in _PERCENTILES for name in wanted}
    return not question.fields or question.sort in names or not question.fields.isdisjoint(names)


def _read_histograms(
    connection: sqlite3.Connection, groups: dict[Key, dict[int, Cell]], sql: str, params: list[Any]
) -> None:
    for key, slot, *histograms in connection.execute(sql, params):
        cell = groups[key][slot]
        for index, data in enumerate(histograms, _ERRORS + 1):
            if data:
                cell[index] += lanes_from_bytes(data)


# ── the spans themselves ─────────────────────────────────────────────────────────────────────────────────────────────


class _Row(NamedTuple):
    """The columns of a span that sums are made of."""

    start_ns: int
    duration_ns: int | None
    ttft_ms: float | None
    provider: str | None
    model: str | None
    service_name: str | None
    status: int | None
    prompt_tokens: int | None
    completion_tokens: int | None
    total_tokens: int | None
    cached_tokens: int | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None
    estimated_cost: float | None
    counts: int


_COLUMNS = ", ".join(f"s.{name}" for name in _Row._fields)


def _scan(connection: sqlite3.Connection, question: Question) -> _Found:
    span = question.range
    compiled = compile_filter(connection, question.chosen)
    compiled.add("+s.counts = 1")
    compiled.add(f"{compiled.time} >= ? AND {compiled.time} < ?", span.begin_ms * 10**6, (span.end_ms + 1) * 10**6)
    name = {None: "NULL", "tag": "s.tags"}.get(question.by, f"s.{question.by}")
    rows = connection.execute(
        f"SELECT {name}, {_COLUMNS} FROM {compiled.source}{compiled.where} "
        f"ORDER BY {compiled.time} DESC, {compiled.seq} DESC LIMIT {MAX_SCANNED + 1}",
        compiled.params,
    )
    found = _Found({}, {})
    for number, (value, *values) in enumerate(rows):
        if number == MAX_SCANNED:
            found.is_sampled = True
            break
        row = _Row(*values)
        slot = (row.start_ns // 1_000_000 - span.begin_ms) // span.step_ms
        share = share_of(cast("Span", row))
        cell = (*share.rollup[:-HISTOGRAMS], share.is_error, *share.rollup[-HISTOGRAMS:])
        _add(found.slots, slot, cell)
        for key in _keys(value, question.by):
            _add(found.groups.setdefault(key, {}), slot, cell)
    return found


def _add(slots: dict[int, Cell], slot: int, cell: tuple[Any, ...]) -> None:
    before = slots.get(slot)
    slots[slot] = list(cell) if before is None else [a + b for a, b in zip(before, cell, strict=True)]


def _keys(value: Any, by: str | None) -> Sequence[Key]:
    """Return the groups a span belongs to: one, or one for each of its tags."""
    if by is None:
        return ()
    if by != "tag" or value is None:
        return (value or None,)
    import json

    return tuple(dict.fromkeys(json.loads(value))) or (None,)


# ── sessions ─────────────────────────────────────────────────────────────────────────────────────────────────────────

MAX_MODELS = 500


def used_models(connection: sqlite3.Connection) -> list[tuple[str, str | None]]:
    """Return (model, provider) of all that was used, the most used first."""
    rows = connection.execute(
        f"SELECT model, NULLIF(provider, ''), SUM(requests) FROM rollup WHERE hour = {ALL_TIME} AND model <> '' "
        f"GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT {MAX_MODELS}"
    )
    return [(model, provider) for model, provider, _ in rows]


_SESSION_ORDERS = {"cost": "cost", "tokens": "tokens", "errors": "error_count"}


def _top_sessions(connection: sqlite3.Connection, question: Question) -> JSON:
    """Return whole sessions that were seen in the range, from their summaries."""
    span = question.range
    where = "last_ns >= ? AND last_ns < ?"
    params = (span.begin_ms * 10**6, (span.end_ms + 1) * 10**6)
    order = _SESSION_ORDERS.get(question.sort, "span_count")
    rows = connection.execute(
        "SELECT session_id, span_count, error_count, tokens, cost, unpriced_count FROM sessions "
        f"WHERE {where} ORDER BY {order} DESC, span_count DESC, session_id LIMIT ?",
        (*params, question.limit),
    ).fetchall()
    count: int = connection.execute(f"SELECT COUNT(*) FROM sessions WHERE {where}", params).fetchone()[0]
    sessions = [_session(row, question.fields) for row in rows]
    return {"rows": sessions, "more": count - len(rows), "is_sampled": False, "note": None}


def _session(row: tuple[Any, ...], fields: frozenset[str]) -> JSON:
    session_id, spans, errors, tokens, cost, unpriced = row
    known = {
        **dict.fromkeys(FIGURES),
        "requests": spans,
        "errors": errors,
        "error_rate": round(errors / spans, 6) if spans else None,
        "cost": cost,
        "unpriced_count": unpriced,
        "total_tokens": tokens,
    }
    named = {"key": session_id, "label": session_id, "is_rest": False, "filter": {"session_id": session_id}}
    return named | {name: known[name] for name in known if not fields or name in fields}
