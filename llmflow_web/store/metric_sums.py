"""What metrics come to: delta points add up, cumulative ones count by how much they grew, gauges are never added.

A cumulative value counts from its start time: the first point of a (series, start time) is an increase as a whole, a
smaller value than the one before is a reset. Points are taken by their time, in whatever order they arrived.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from llmflow_web.model import JSON
from llmflow_web.store.logs import parsed
from llmflow_web.store.metrics import MetricQuery, series_where

MAX_POINTS = 200
_DISTRIBUTIONS = ("histogram", "exponential_histogram", "summary")
_EARLIEST, _LATEST = -(2**63), 2**63 - 1
_MAX_MS = 2**43  # so that nanoseconds stay within 64 bits


@dataclass(frozen=True, slots=True)
class _Series:
    """What of a series' row the sums need."""

    seq: int
    name: str
    service_name: str | None
    metric_type: str
    temporality: str
    unit: str | None
    attributes: str

    is_monotonic: bool

    @property
    def is_distribution(self) -> bool:
        """Say whether a point is a count of observations (`value_int`) and their sum (`value_double`)."""
        return self.metric_type in _DISTRIBUTIONS

    @property
    def is_cumulative(self) -> bool:
        """Say whether a point repeats what the ones before it said; summaries do without saying so."""
        return self.temporality == "cumulative" or self.metric_type == "summary"


def _series(connection: sqlite3.Connection, query: MetricQuery) -> list[_Series]:
    where = series_where(query)
    columns = "seq, name, service_name, metric_type, temporality, unit, attributes, is_monotonic"
    rows = connection.execute(f"SELECT {columns} FROM metric_series{where.sql}", where.params)
    return [_Series(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class _Window:
    """From when to when points count, in nanoseconds, both included."""

    low: int
    high: int

    @staticmethod
    def of(date_from: int | None, date_to: int | None) -> _Window:
        """Make a window of milliseconds."""
        low = _EARLIEST if date_from is None else min(date_from, _MAX_MS) * 1_000_000
        return _Window(low, _LATEST if date_to is None else (min(date_to, _MAX_MS) + 1) * 1_000_000 - 1)


_Number = int | float
_Step = tuple[int, _Number | None, int | None]
"""When, by how much a point adds to its series, and with how many observations."""


def _steps(connection: sqlite3.Connection, series: _Series, window: _Window) -> Iterator[_Step]:
    """Yield what each point of a series adds, by time. Read from the index alone."""
    is_distribution, is_cumulative = series.is_distribution, series.is_cumulative
    low = _EARLIEST if is_cumulative else window.low  # growth starts from the point before the window
    before: dict[int | None, tuple[_Number, int]] = {}  # of each start time the last value and count
    for time_ns, start_ns, whole, number in connection.execute(_POINTS, (series.seq, low, window.high)):
        value = number if is_distribution or whole is None else whole
        observed = whole if is_distribution else None
        if not is_cumulative:
            yield time_ns, value, observed
            continue
        value, count = value or 0, observed or 0
        last = before.get(start_ns)
        before[start_ns] = (value, count)
        if time_ns < window.low:
            continue
        if last is None:
            is_known = start_ns is None or start_ns >= window.low
            yield time_ns, value if is_known else 0, count if is_known else 0
        elif count < last[1] or (not is_distribution and series.is_monotonic and value < last[0]):
            yield time_ns, value, count  # it began anew
        else:
            yield time_ns, value - last[0], count - last[1]


_POINTS = (
    "SELECT time_ns, start_ns, value_int, value_double FROM metric_points INDEXED BY metric_points_series "
    "WHERE series_seq = ? AND time_ns BETWEEN ? AND ? ORDER BY time_ns, start_ns, value_int, value_double"
)


@dataclass(slots=True)
class _Sum:
    """What the points of one or more series come to."""

    points: int = 0
    first_ns: int = _LATEST
    last_ns: int = _EARLIEST
    double_count: int = 0
    max_int: int | None = None
    min_int: int | None = None
    total: _Number = 0
    observed: int = 0
    doubles: float = 0.0

    def add(self, other: _Sum) -> None:
        """Take in what other points come to."""
        self.points += other.points
        self.first_ns = min(self.first_ns, other.first_ns)
        self.last_ns = max(self.last_ns, other.last_ns)
        self.total += other.total
        self.observed += other.observed
        self.doubles += other.doubles
        self.double_count += other.double_count
        highs = [value for value in (self.max_int, other.max_int) if value is not None]
        lows = [value for value in (self.min_int, other.min_int) if value is not None]
        self.max_int, self.min_int = max(highs, default=None), min(lows, default=None)


def _sums(connection: sqlite3.Connection, chosen: list[_Series], window: _Window) -> Iterator[tuple[_Series, _Sum]]:
    """Yield what each series comes to; one without points is left out."""
    by_seq = {series.seq: series for series in chosen}
    params = (json.dumps(list(by_seq)), window.low, window.high)
    for seq, *values, added, whole, doubles in connection.execute(_FIGURES, params).fetchall():
        series = by_seq[seq]
        found = _Sum(*values)
        found.doubles = doubles or 0.0
        if series.is_cumulative:
            for _, step, observed in _steps(connection, series, window):
                found.total += step or 0
                found.observed += observed or 0
        else:
            found.total, found.observed = (doubles if series.is_distribution else added) or 0, whole or 0
        yield series, found


_FIGURES = """
SELECT series_seq, COUNT(*), MIN(time_ns), MAX(time_ns), COUNT(value_double), MAX(value_int), MIN(value_int),
  SUM(IFNULL(value_int, value_double)), SUM(value_int), SUM(value_double)
FROM metric_points INDEXED BY metric_points_series
WHERE series_seq IN (SELECT value FROM json_each(?)) AND time_ns BETWEEN ? AND ? GROUP BY series_seq
"""


def metric_summary(connection: sqlite3.Connection, query: MetricQuery | None = None) -> list[JSON]:
    """Return one entry per metric and service, those with most points first.

    Beside the contract's: `total` (the increase over all points, null for a gauge), `observations` and `average` of
    distributions, unit and temporality.
    """
    query = query or MetricQuery()
    groups: dict[tuple[str, str | None], tuple[_Series, _Sum]] = {}
    window = _Window.of(query.date_from, query.date_to)
    for series, found in _sums(connection, _series(connection, query), window):
        key = (series.name, series.service_name)
        if key in groups:
            groups[key][1].add(found)
        else:
            groups[key] = (series, found)
    ordered = sorted(groups.items(), key=lambda group: (-group[1][1].points, group[0][0], group[0][1] or ""))
    return [_summary(*group) for _, group in ordered]


def _summary(series: _Series, found: _Sum) -> JSON:
    is_distribution = series.is_distribution
    total = None if series.metric_type == "gauge" else found.total
    whole = found.observed if is_distribution else total
    average = found.doubles / found.double_count if found.double_count else None
    if is_distribution:
        average = found.total / found.observed if found.observed else None
    return {
        "name": series.name,
        "service_name": series.service_name,
        "metric_type": series.metric_type or None,
        "data_points": found.points,
        "first_seen": found.first_ns // 1_000_000,
        "last_seen": found.last_ns // 1_000_000,
        "sum_int": whole if isinstance(whole, int) and found.max_int is not None else None,
        "avg_double": average,
        "max_int": found.max_int,
        "min_int": found.min_int,
        "total": total,
        "observations": found.observed if is_distribution else None,
        "unit": series.unit,
        "temporality": series.temporality or None,
    }


_COUNTABLE = ("", "1", "token", "tokens", "count")  # a metric in seconds or dollars counts no tokens
_MODEL_KEYS = ("model", "gen_ai.request.model", "gen_ai.response.model")
_KIND_KEYS = ("type", "gen_ai.token.type", "token_type")


def token_usage(connection: sqlite3.Connection, query: MetricQuery | None = None) -> list[JSON]:
    """Return the tokens that metrics report, per service, model, kind of token and metric.

    The metric's `name` is part of it: tools report the same tokens under their own name and under gen_ai's.
    """
    query = query or MetricQuery()
    chosen = [series for series in _series(connection, query) if _counts_tokens(series)]
    totals: dict[tuple[str | None, ...], float] = {}
    for series, found in _sums(connection, chosen, _Window.of(query.date_from, query.date_to)):
        attributes = parsed(series.attributes, {})
        key = (series.service_name, _first(attributes, _MODEL_KEYS), _first(attributes, _KIND_KEYS), series.name)
        totals[key] = totals.get(key, 0) + found.total
    names = ("service_name", "model", "token_type", "name")
    usage = [{**dict(zip(names, key, strict=True)), "total_tokens": _whole(total)} for key, total in totals.items()]
    return sorted(usage, key=lambda entry: (-entry["total_tokens"], *(entry[name] or "" for name in names)))


def _counts_tokens(series: _Series) -> bool:
    name, unit = series.name.lower(), (series.unit or "").strip("{}").lower()
    return (
        ("token" in name or "usage" in name)
        and "cost" not in name
        and unit in _COUNTABLE
        and series.metric_type != "gauge"
    )


def _first(attributes: Any, keys: tuple[str, ...]) -> str | None:
    values = (attributes.get(key) for key in keys) if isinstance(attributes, dict) else ()
    return next((value for value in values if isinstance(value, str) and value), None)


def _whole(number: float) -> float:
    return int(number) if number == int(number) else number


def metric_series(
    connection: sqlite3.Connection, query: MetricQuery, date_from: int, date_to: int, points: int = MAX_POINTS
) -> JSON:
    """Return a metric over time in up to MAX_POINTS equal buckets, all its series together, gaps filled.

    `value` is the increase of a sum, the mean of a gauge, the mean observation of a distribution (with `count`).
    """
    points = max(1, min(points, MAX_POINTS))
    date_to = max(date_from, date_to)
    width = max(1, -(-(date_to - date_from + 1) // points))
    chosen = _series(connection, query)
    kind = chosen[0].metric_type if chosen else ""
    window, found = _Window.of(date_from, date_to), [_Slot() for _ in range(points)]
    for series in chosen:
        for time_ns, step, observed in _steps(connection, series, window):
            found[(time_ns // 1_000_000 - date_from) // width].add(step, observed)
    return {
        "name": query.name,
        "service_name": query.service_name,
        "metric_type": kind or None,
        "unit": chosen[0].unit if chosen else None,
        "from": date_from,
        "to": date_from + points * width,
        "bucket_ms": width,
        "points": [{"timestamp": date_from + number * width, **slot.shown(kind)} for number, slot in enumerate(found)],
    }


@dataclass(slots=True)
class _Slot:
    """What falls into one bucket of time."""

    count: int = 0
    total: _Number = 0
    observed: int = 0

    def add(self, step: _Number | None, observed: int | None) -> None:
        """Take in one point."""
        self.count += step is not None
        self.total += step or 0
        self.observed += observed or 0

    def shown(self, kind: str) -> JSON:
        """Return the bucket as the API has it."""
        if kind in _DISTRIBUTIONS:
            return {"value": self.total / self.observed if self.observed else None, "count": self.observed}
        if kind == "gauge":
            return {"value": self.total / self.count if self.count else None, "count": self.count}
        return {"value": self.total, "count": self.count}
