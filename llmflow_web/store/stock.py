"""What the file holds: how many rows of each kind, since when, and how many bytes of what."""

from __future__ import annotations

import sqlite3
from typing import Any

from llmflow_web.model import JSON, PART_NAMES
from llmflow_web.store.query import compile_filter
from llmflow_web.store.retention import live_bytes
from llmflow_web.wire.filter import Filter

_PART_WORDS = {number: word for word, number in PART_NAMES.items()}
_BODIES_OF = "spans x CROSS JOIN bodies b ON b.key >= x.seq * 16 AND b.key < x.seq * 16 + 16"


def stock(connection: sqlite3.Connection, chosen: Filter, max_size: int | None = None) -> JSON:
    """Return what is stored, all of it or the whole traces of which a filter lets a span through.

    max_size: tell also up to which start traces would have to go, the oldest first, for the file to be so small.
    """
    where, params = _traces_of(connection, chosen)
    traces, spans, oldest, newest = connection.execute(
        f"SELECT COUNT(*), IFNULL(SUM(span_count), 0), MIN(start_ns), MAX(end_ns) FROM traces t{where}", params
    ).fetchone()
    parts = _parts(connection, where, params)
    found: JSON = {
        "traces": traces,
        "spans": spans,
        "oldest": None if oldest is None else oldest // 1_000_000,
        "newest": None if newest is None else newest // 1_000_000,
        "bodies": sum(part["stored"] for part in parts),
        "parts": parts,
    }
    if chosen.is_empty:
        found |= {"logs": _count(connection, "logs"), "metrics": _count(connection, "metric_points")}
    found["file"] = _file(connection)
    if max_size is not None:
        found["cutoff"] = _cutoff(connection, max_size)
    return found


def _traces_of(connection: sqlite3.Connection, chosen: Filter) -> tuple[str, list[Any]]:
    if chosen.is_empty:
        return "", []
    compiled = compile_filter(connection, chosen)
    return f" WHERE t.first_seq IN (SELECT s.trace_seq FROM {compiled.source}{compiled.where})", compiled.params


def _parts(connection: sqlite3.Connection, where: str, params: list[Any]) -> list[JSON]:
    source = "bodies b"
    if where:
        source = f"{_BODIES_OF} WHERE x.trace_seq IN (SELECT t.first_seq FROM traces t{where})"
    rows = connection.execute(
        f"SELECT b.key & 15, COUNT(*), SUM(LENGTH(b.data)), SUM(b.size) FROM {source} GROUP BY 1 ORDER BY 3 DESC",
        params,
    )
    return [
        {"part": _PART_WORDS.get(part, str(part)), "count": count, "stored": stored, "size": size}
        for part, count, stored, size in rows
    ]


def _count(connection: sqlite3.Connection, table: str) -> int:
    count: int = connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]
    return count


def _file(connection: sqlite3.Connection) -> JSON:
    pages, size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    return {"size": pages * size, "used": live_bytes(connection)}


def _cutoff(connection: sqlite3.Connection, max_size: int) -> JSON | None:
    """Return the start of the newest trace that has to go, and how many go with it; None when all may stay.

    What a span takes beside its bodies is the mean of all: rows, indexes and the words it is found by.
    """
    used = live_bytes(connection)
    over = used - max_size
    if over <= 0:
        return None
    sql = f"SELECT x.trace_seq, SUM(LENGTH(b.data)) FROM {_BODIES_OF} GROUP BY 1"
    bodies: dict[int, int] = dict(connection.execute(sql).fetchall())
    spans = connection.execute("SELECT IFNULL(SUM(span_count), 0) FROM traces").fetchone()[0]
    beside = max(0, used - sum(bodies.values())) / spans if spans else 0.0
    last, count = None, 0
    rows = connection.execute("SELECT first_seq, start_ns, span_count FROM traces ORDER BY start_ns, first_seq")
    for first, start_ns, span_count in rows:
        if over <= 0:
            break
        over -= bodies.get(first, 0) + beside * span_count
        last, count = start_ns // 1_000_000, count + 1
    return None if last is None else {"date_to": last, "traces": count}


def quick_check(connection: sqlite3.Connection) -> str:
    """Read the whole file through; return "ok", or what is wrong with it."""
    verdict: str = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    return verdict


def sqlite_version() -> str:
    """Return the version of SQLite."""
    return sqlite3.sqlite_version
