"""What the filter box suggests and the strip above the list: values of a field with counts, calls over time."""

from __future__ import annotations

import sqlite3
from typing import Any

from llmflow_web.errors import BadRequest
from llmflow_web.model import JSON
from llmflow_web.store.query import compile_filter, time_bounds
from llmflow_web.store.sums import ALL_TIME
from llmflow_web.wire.filter import TEXT_FIELDS, Filter
from llmflow_web.wire.grammar import FIELDS

MAX_VALUES = 50
SAMPLED_ROWS = 10_000  # newest spans looked at where no summary knows the answer
MAX_BUCKETS = 500
_FROM_ROLLUP = ("model", "provider", "service_name")


def facets(connection: sqlite3.Connection, field: str, q: str = "", limit: int = MAX_VALUES) -> JSON:
    """Return {"field", "values": [{"value", "count"}], "is_sampled"}, the most frequent first.

    `field` is a word of the filter box or a column; `q` is what the values begin with.

    Raises:
        BadRequest: There is no such field.
    """
    column = FIELDS.get(field, field)
    if column == "status":
        sql, is_sampled = _STATUS, True
    elif column not in TEXT_FIELDS:
        raise BadRequest(f"field must be one of {', '.join(sorted({*TEXT_FIELDS, 'status'}))}; got {field[:40]!r}")
    elif column in _FROM_ROLLUP:
        sql, is_sampled = (
            f"SELECT {column} AS value, SUM(requests) AS count FROM rollup WHERE hour = {ALL_TIME} GROUP BY 1",
            False,
        )
    elif column == "tag":
        sql, is_sampled = "SELECT tag AS value, COUNT(*) AS count FROM span_tags GROUP BY 1", False
    elif column == "session_id":
        sql, is_sampled = "SELECT session_id AS value, span_count AS count FROM sessions", False
    else:
        sql, is_sampled = _sample(column), True
    rows = connection.execute(
        f"SELECT value, count FROM ({sql}) WHERE IFNULL(value, '') <> '' AND substr(lower(value), 1, ?) = lower(?) "
        "ORDER BY count DESC, value LIMIT ?",
        (len(q), q, min(limit, MAX_VALUES)),
    )
    values = [{"value": value, "count": count} for value, count in rows]
    return {"field": field, "values": values, "is_sampled": is_sampled}


def _sample(column: str) -> str:
    newest = f"SELECT {column} AS value FROM spans ORDER BY start_ns DESC LIMIT {SAMPLED_ROWS}"
    return f"SELECT value, COUNT(*) AS count FROM ({newest}) GROUP BY 1"


_STATUS = (
    "SELECT CAST(value AS TEXT) AS value, COUNT(*) AS count FROM "
    f"(SELECT status AS value FROM spans ORDER BY start_ns DESC LIMIT {SAMPLED_ROWS}) GROUP BY 1"
)


def histogram(connection: sqlite3.Connection, chosen: Filter, buckets: int, now_ms: int) -> JSON:
    """Return spans and errors over time in equal buckets, from the filter's start (else the oldest span) to its end."""
    begin, end = _range(connection, chosen, now_ms)
    buckets = max(1, min(buckets, MAX_BUCKETS))
    width = max(1, -(-(end - begin) // buckets))
    counts, errors = _counts(connection, chosen, begin, end, width)
    filled = [
        {"timestamp": begin + number * width, "count": counts.get(number, 0), "errors": errors.get(number, 0)}
        for number in range(buckets)
    ]
    nearest = None if counts else _nearest(connection, chosen, begin)
    return {"from": begin, "to": begin + buckets * width, "bucket_ms": width, "buckets": filled, "nearest": nearest}


def _nearest(connection: sqlite3.Connection, chosen: Filter, begin_ms: int) -> int | None:
    """Return when the last call before an empty range was, else the first one after it, by the rest of the filter."""
    rest = Filter(tuple(term for term in chosen.terms if term.field != "timestamp"))
    for before, order in (("<", "DESC"), (">=", "ASC")):
        compiled = compile_filter(connection, rest)
        compiled.add(f"{compiled.time} {before} ?", begin_ms * 1_000_000)
        found = connection.execute(
            f"SELECT {compiled.time} FROM {compiled.source}{compiled.where} ORDER BY {compiled.time} {order} LIMIT 1",
            compiled.params,
        ).fetchone()
        if found is not None:
            return int(found[0]) // 1_000_000
    return None


def _range(connection: sqlite3.Connection, chosen: Filter, now_ms: int) -> tuple[int, int]:
    low, high = time_bounds(chosen, now_ms)
    oldest, newest = connection.execute(
        "SELECT (SELECT MIN(start_ns) FROM spans) / 1000000, (SELECT MAX(start_ns) FROM spans) / 1000000"
    ).fetchone()
    begin = low if low is not None else (oldest if oldest is not None else now_ms - 3_600_000)
    end = high if high is not None else max(now_ms, newest or 0)
    return begin, max(end, begin) + 1


def _counts(
    connection: sqlite3.Connection, chosen: Filter, begin: int, end: int, width: int
) -> tuple[dict[int, int], dict[int, int]]:
    span = (begin * 1_000_000, end * 1_000_000)
    slot = f"(s.start_ns / 1000000 - {int(begin)}) / {int(width)}"
    if all(term.field == "timestamp" and not term.is_negated for term in chosen.terms):
        # Both answers come from an index alone.
        where = "s.start_ns >= ? AND s.start_ns < ?"
        counts = connection.execute(f"SELECT {slot}, COUNT(*) FROM spans s WHERE {where} GROUP BY 1", span)
        errors = connection.execute(
            f"SELECT {slot}, COUNT(*) FROM spans s WHERE s.status >= 400 AND {where} GROUP BY 1", span
        )
        return dict(counts.fetchall()), dict(errors.fetchall())
    compiled = compile_filter(connection, chosen)
    compiled.add(f"{compiled.time} >= ? AND {compiled.time} < ?", *span)
    rows: list[tuple[Any, ...]] = connection.execute(
        f"SELECT {slot}, COUNT(*), SUM(IFNULL(s.status, 0) >= 400) FROM {compiled.source}{compiled.where} GROUP BY 1",
        compiled.params,
    ).fetchall()
    return {row[0]: row[1] for row in rows}, {row[0]: row[2] for row in rows if row[2]}
