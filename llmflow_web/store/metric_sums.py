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
_IS_DISTRIBUTION = "s.metric_type IN ('histogram', 'exponential_histogram', 'summary')"
_IS_CUMULATIVE = "(s.temporality = 'cumulative' OR s.metric_type = 'summary')"  # summaries have no temporality

# One row per point: by how much it adds to its series (`step`) and with how many observations (`observed`).
_JOIN = "metric_series s CROSS JOIN metric_points p ON p.series_seq = s.seq"
_CHOSEN = "s.seq IN (SELECT value FROM json_each(:series))"
_NUMBER = f"CASE WHEN {_IS_DISTRIBUTION} THEN p.value_double ELSE IFNULL(p.value_int, p.value_double) END"
_OBSERVED = f"CASE WHEN {_IS_DISTRIBUTION} THEN p.value_int END"
_STEPS = f"""
SELECT p.series_seq, p.time_ns, p.value_int, p.value_double, {_NUMBER} AS step, {_OBSERVED} AS observed
FROM {_JOIN}
WHERE {_CHOSEN} AND NOT {_IS_CUMULATIVE} AND p.time_ns BETWEEN :low AND :high
UNION ALL
SELECT series_seq, time_ns, value_int, value_double,
  CASE WHEN is_first THEN CASE WHEN IFNULL(start_ns, :low) >= :low THEN number ELSE 0 END
    WHEN is_reset THEN number ELSE number - number_before END,
  CASE WHEN is_first THEN CASE WHEN IFNULL(start_ns, :low) >= :low THEN observed ELSE 0 END
    WHEN is_reset THEN observed ELSE observed - observed_before END
FROM (
  SELECT *, number_before IS NULL AND observed_before IS NULL AS is_first,
    CASE WHEN observed IS NOT NULL THEN observed < observed_before
      ELSE is_monotonic AND number < number_before END AS is_reset
  FROM (
    SELECT *, LAG(number) OVER w AS number_before, LAG(observed) OVER w AS observed_before
    FROM (
      SELECT p.series_seq, p.time_ns, p.start_ns, p.value_int, p.value_double, s.is_monotonic,
        {_NUMBER} AS number, {_OBSERVED} AS observed
      FROM {_JOIN} WHERE {_CHOSEN} AND {_IS_CUMULATIVE} AND p.time_ns <= :high
    ) WINDOW w AS (PARTITION BY series_seq, start_ns ORDER BY time_ns, number)
  )
) WHERE time_ns >= :low
"""
_EARLIEST, _LATEST = -(2**63), 2**63 - 1


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


def _series(connection: sqlite3.Connection, query: MetricQuery) -> list[_Series]:
    where = series_where(query)
    columns = "seq, name, service_name, metric_type, temporality, unit, attributes"
    rows = connection.execute(f"SELECT {columns} FROM metric_series{where.sql}", where.params)
    return [_Series(*row) for row in rows]


def _params(chosen: list[_Series], date_from: int | None, date_to: int | None) -> dict[str, Any]:
    most = 2**43
    return {
        "series": json.dumps([series.seq for series in chosen]),
        "low": _EARLIEST if date_from is None else min(date_from, most) * 1_000_000,
        "high": _LATEST if date_to is None else (min(date_to, most) + 1) * 1_000_000 - 1,
    }


@dataclass(slots=True)
class _Sum:
    """What the points of one or more series come to."""

    points: int = 0
    first_ns: int = _LATEST
    last_ns: int = _EARLIEST
    total: float = 0
    observed: int = 0
    doubles: float = 0.0
    double_count: int = 0
    max_int: int | None = None
    min_int: int | None = None

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


def _sums(
    connection: sqlite3.Connection, chosen: list[_Series], date_from: int | None, date_to: int | None
) -> Iterator[tuple[_Series, _Sum]]:
    """Yield what each series comes to; one without points is left out."""
    by_seq = {series.seq: series for series in chosen}
    rows = connection.execute(
        "SELECT series_seq, COUNT(*), MIN(time_ns), MAX(time_ns), IFNULL(SUM(step), 0), IFNULL(SUM(observed), 0), "
        "IFNULL(SUM(value_double), 0.0), COUNT(value_double), MAX(value_int), MIN(value_int) "
        f"FROM ({_STEPS}) GROUP BY series_seq",
        _params(chosen, date_from, date_to),
    )
    for seq, *values in rows:
        yield by_seq[seq], _Sum(*values)


def metric_summary(connection: sqlite3.Connection, query: MetricQuery | None = None) -> list[JSON]:
    """Return one entry per metric and service, those with most points first.

    Beside the contract's: `total` (the increase over all points, null for a gauge), `observations` and `average` of
    distributions, unit and temporality.
    """
    query = query or MetricQuery()
    groups: dict[tuple[str, str | None], tuple[_Series, _Sum]] = {}
    for series, found in _sums(connection, _series(connection, query), query.date_from, query.date_to):
        key = (series.name, series.service_name)
        if key in groups:
            groups[key][1].add(found)
        else:
            groups[key] = (series, found)
    ordered = sorted(groups.items(), key=lambda group: (-group[1][1].points, group[0][0], group[0][1] or ""))
    return [_summary(*group) for _, group in ordered]


def _summary(series: _Series, found: _Sum) -> JSON:
    is_distribution = series.metric_type in _DISTRIBUTIONS
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
    for series, found in _sums(connection, chosen, query.date_from, query.date_to):
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
    rows = connection.execute(
        "SELECT (time_ns / 1000000 - :begin) / :width, COUNT(step), SUM(step), SUM(observed) "
        f"FROM ({_STEPS}) GROUP BY 1",
        {**_params(chosen, date_from, date_to), "begin": date_from, "width": width},
    )
    found = {row[0]: row[1:] for row in rows}
    return {
        "name": query.name,
        "service_name": query.service_name,
        "metric_type": kind or None,
        "unit": chosen[0].unit if chosen else None,
        "from": date_from,
        "to": date_from + points * width,
        "bucket_ms": width,
        "points": [
            {"timestamp": date_from + number * width, **_point(kind, found.get(number, (0, None, None)))}
            for number in range(points)
        ],
    }


def _point(kind: str, values: tuple[int, float | None, int | None]) -> JSON:
    count, total, observed = values
    if kind in _DISTRIBUTIONS:
        return {"value": (total or 0) / observed if observed else None, "count": observed or 0}
    if kind == "gauge":
        return {"value": total / count if total is not None and count else None, "count": count}
    return {"value": total or 0, "count": count}
