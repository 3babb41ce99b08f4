"""Queries over spans: the list, one span, its trace, its bodies. Functions take a connection and return values."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from llmflow_web.errors import BadRequest
from llmflow_web.model import JSON, Body
from llmflow_web.store.columns import DETAIL_SQL, LIST_SQL, detail_row, list_row
from llmflow_web.store.insert import SEQS_OF_TRACE, insert_rows
from llmflow_web.store.limits import MAX_LIST_ROWS, MAX_SORTED_ROWS
from llmflow_web.store.marks import OUR_SOURCES
from llmflow_web.store.query import Compiled, compile_filter
from llmflow_web.wire.filter import Filter, Page, make_cursor, read_cursor

__all__ = [
    "BodySlice", "ListPage", "find_trace", "get_bodies", "get_body", "get_span", "insert_rows", "list_rows_of",
    "list_spans", "outline", "trace_spans", "trace_summary", "tree",
]  # fmt: skip

_JOIN = "spans s CROSS JOIN traces t ON t.first_seq = s.trace_seq"


@dataclass(frozen=True, slots=True)
class ListPage:
    """A page of list elements. `note` is a sentence the reader should see about how far the list goes."""

    rows: list[JSON]
    next_cursor: str | None = None
    note: str | None = None
    change: int = 0  # the newest change number; ask with after= it for what comes later
    has_deletions: bool = False  # with after=: rows were deleted since, reload


def list_spans(connection: sqlite3.Connection, chosen: Filter, page: Page) -> ListPage:
    """Return one page of the spans a filter lets through, newest first unless the page says otherwise.

    Raises:
        BadRequest: The cursor belongs to another order.
    """
    if page.after is not None:
        return _changed_since(connection, chosen, page, page.after)
    compiled = compile_filter(connection, chosen)
    if page.sort.removeprefix("-") == "time":
        return _by_time(connection, chosen, compiled, page)
    return _by_number(connection, compiled, page)


def _by_time(connection: sqlite3.Connection, chosen: Filter, compiled: Compiled, page: Page) -> ListPage:
    _begin_at(compiled, page)
    seqs: list[int] = []
    has_all = False
    if compiled.floors and page.sort == "-time":
        seqs, has_all = _among_newest(connection, chosen, compiled, page)
    if len(seqs) < page.limit and not has_all:
        seqs = _seqs_by_time(connection, compiled, page)
    rows, last = list_rows_of(connection, seqs)
    full = len(rows) == page.limit and last is not None
    return ListPage(
        rows, make_cursor(last, seqs[-1]) if full and last is not None else None, change=_change(connection)
    )


def _begin_at(compiled: Compiled, page: Page) -> None:
    if page.cursor is None:
        return
    before = "<" if page.sort.startswith("-") else ">"
    place = read_cursor(page.cursor)
    if len(place) != 2:
        raise BadRequest("cursor belongs to another order of the list")
    compiled.add(f"{compiled.time} {before}= ?", place[0])  # the bound the index understands
    compiled.add(f"({compiled.time}, {compiled.seq}) {before} (?, ?)", *place)


def _seqs_by_time(connection: sqlite3.Connection, compiled: Compiled, page: Page) -> list[int]:
    order = "DESC" if page.sort.startswith("-") else "ASC"
    found = connection.execute(
        f"SELECT {compiled.seq} FROM {compiled.source}{compiled.where} "
        f"ORDER BY {compiled.time} {order}, {compiled.seq} {order} LIMIT ? OFFSET ?",
        (*compiled.params, page.limit, 0 if page.cursor is not None else page.offset),
    )
    return [row[0] for row in found]


_NEWEST = 2000
"""A word that every twentieth call has fills a page from so many; its matches in all others need not be read."""


def _among_newest(
    connection: sqlite3.Connection, chosen: Filter, compiled: Compiled, page: Page
) -> tuple[list[int], bool]:
    """Return the page's rows among the newest that pass all but the free text, and whether there are no others."""
    others = tuple(term for term in chosen.terms if term.field not in ("word", "phrase"))
    plain = compile_filter(connection, replace(chosen, terms=others))
    _begin_at(plain, page)
    newest = (
        f"SELECT {plain.seq} AS seq, {plain.time} AS time FROM {plain.source}{plain.where} "
        f"ORDER BY {plain.time} DESC, {plain.seq} DESC LIMIT {_NEWEST}"
    )
    sql = f"SELECT COUNT(*), MIN(seq), MIN(time) FROM ({newest})"
    count, first, since = connection.execute(sql, plain.params).fetchone()
    if not count:
        return [], True
    compiled.look_from(first)
    # What began with the last of them may be among those left out.
    within = replace(compiled, conditions=[*compiled.conditions], params=[*compiled.params])
    if count == _NEWEST:
        within.add(f"{within.time} > ?", since)
    seqs = _seqs_by_time(connection, within, page)
    compiled.look_from(0)
    return seqs, count < _NEWEST


_SORT_COLUMNS = {"duration": "s.duration_ns", "cost": "s.estimated_cost", "tokens": "s.total_tokens"}


def _by_number(connection: sqlite3.Connection, compiled: Compiled, page: Page) -> ListPage:
    column = _SORT_COLUMNS[page.sort.removeprefix("-")]
    order = "DESC" if page.sort.startswith("-") else "ASC"
    offset = page.offset
    if page.cursor is not None:
        place = read_cursor(page.cursor)
        if len(place) != 1:
            raise BadRequest("cursor belongs to another order of the list")
        offset = max(0, place[0])
    newest = (
        f"SELECT {compiled.seq} AS seq, {column} AS number, {compiled.time} AS time FROM {compiled.source}"
        f"{compiled.where} ORDER BY {compiled.time} DESC, {compiled.seq} DESC LIMIT {MAX_SORTED_ROWS}"
    )
    found = connection.execute(
        f"SELECT seq, COUNT(*) OVER () FROM ({newest}) "
        f"ORDER BY number IS NULL, number {order}, time DESC, seq DESC LIMIT ? OFFSET ?",
        (*compiled.params, page.limit, offset),
    ).fetchall()
    rows, _ = list_rows_of(connection, [seq for seq, _ in found])
    matches = found[0][1] if found else 0
    end = offset + len(rows)
    note = f"Sorted within the newest {MAX_SORTED_ROWS:,} matches." if matches >= MAX_SORTED_ROWS else None
    return ListPage(rows, make_cursor(end) if end < matches else None, note, _change(connection))


def _changed_since(connection: sqlite3.Connection, chosen: Filter, page: Page, after: int) -> ListPage:
    """Return what was written or changed after a change number, in order of change."""
    compiled = compile_filter(connection, chosen)
    compiled.add(
        "s.seq IN (SELECT seq FROM spans WHERE seq > ? AND change IS NULL UNION ALL "
        "SELECT seq FROM spans WHERE change > ?)",
        after,
        after,
    )
    seqs = [
        row[0]
        for row in connection.execute(
            f"SELECT s.seq FROM {compiled.source}{compiled.where} ORDER BY IFNULL(s.change, s.seq) LIMIT ?",
            (*compiled.params, page.limit),
        )
    ]
    rows, _ = list_rows_of(connection, seqs)
    deleted = connection.execute("SELECT value FROM counters WHERE name = 'deleted'").fetchone()[0]
    change = rows[-1]["change"] if len(rows) == page.limit else _change(connection)
    return ListPage(rows, change=change, has_deletions=deleted > after)


def _change(connection: sqlite3.Connection) -> int:
    number: int = connection.execute("SELECT value FROM counters WHERE name = 'counter'").fetchone()[0]
    return number


def list_rows_of(connection: sqlite3.Connection, seqs: Sequence[int]) -> tuple[list[JSON], int | None]:
    """Return the list elements of these rows in this order, and the exact start of the last."""
    found: dict[int, JSON] = {}
    last: int | None = None
    for begin in range(0, len(seqs), MAX_LIST_ROWS):
        part = seqs[begin : begin + MAX_LIST_ROWS]
        marks = ",".join("?" * len(part))
        sql = f"SELECT {LIST_SQL}, s.start_ns FROM {_JOIN} WHERE s.seq IN ({marks})"
        for *values, start_ns in connection.execute(sql, part):
            found[values[0]] = list_row(tuple(values))
            if values[0] == seqs[-1]:
                last = start_ns
    return [found[seq] for seq in seqs if seq in found], last


def find_trace(connection: sqlite3.Connection, key: str) -> int | None:
    """Return the first seq of the trace that has this trace_id, else of the newest span with this id."""
    row = connection.execute("SELECT first_seq FROM traces WHERE trace_id = ?", (key,)).fetchone()
    if row is None:
        row = connection.execute(
            "SELECT trace_seq FROM spans WHERE id = ? ORDER BY start_ns DESC, seq DESC LIMIT 1", (key,)
        ).fetchone()
    return None if row is None else int(row[0])


def trace_ids_of(connection: sqlite3.Connection, keys: Sequence[str]) -> list[str]:
    """Return the trace ids these keys (trace ids, or ids of spans) stand for, each once; unknown ones fall out."""
    firsts = dict.fromkeys(first for key in keys if (first := find_trace(connection, key)) is not None)
    sql = "SELECT trace_id FROM traces WHERE first_seq = ?"
    return [connection.execute(sql, (first,)).fetchone()[0] for first in firsts]


def find_span(connection: sqlite3.Connection, key: str) -> int | None:
    """Return the seq of the root of the trace with this trace_id, else of the newest span with this id."""
    row = connection.execute("SELECT root_seq FROM traces WHERE trace_id = ?", (key,)).fetchone()
    if row is None:
        row = connection.execute(
            "SELECT seq FROM spans WHERE id = ? ORDER BY start_ns DESC, seq DESC LIMIT 1", (key,)
        ).fetchone()
    return None if row is None else int(row[0])


def get_span(connection: sqlite3.Connection, key: str, trace_id: str | None = None) -> JSON | None:
    """Return a span's whole row without bodies: the root of the trace `key`, else the newest span with id `key`.

    With `trace_id` exactly the span `key` of that trace.
    """
    if trace_id is None:
        seq = find_span(connection, key)
    else:
        found = connection.execute("SELECT seq FROM spans WHERE id = ? AND trace_id = ?", (key, trace_id)).fetchone()
        seq = None if found is None else int(found[0])
    if seq is None:
        return None
    values = connection.execute(f"SELECT {DETAIL_SQL} FROM {_JOIN} WHERE s.seq = ?", (seq,)).fetchone()
    return None if values is None else detail_row(values)


def get_bodies(connection: sqlite3.Connection, seq: int, parts: Iterable[int] | None = None) -> dict[int, Body]:
    """Return the stored parts of a span, all or those asked for."""
    wanted = None if parts is None else set(parts)
    rows = connection.execute(
        "SELECT key & 15, size, is_cut, is_raw, encoding, data FROM bodies WHERE key >= ? AND key < ? ORDER BY key",
        (seq * 16, seq * 16 + 16),
    )
    return {
        part: Body(part, zlib.decompress(data) if encoding else data, size, bool(is_cut), bool(is_raw))
        for part, size, is_cut, is_raw, encoding, data in rows
        if wanted is None or part in wanted
    }


@dataclass(frozen=True, slots=True)
class BodySlice:
    """A piece of a stored part. `stored` is how many bytes of it there are, `size` how many came on the wire."""

    data: bytes
    offset: int
    stored: int
    size: int
    is_cut: bool = False
    is_raw: bool = False


def get_body(
    connection: sqlite3.Connection, seq: int, part: int, offset: int = 0, limit: int | None = None
) -> BodySlice | None:
    """Return a piece of one part of a span."""
    body = get_bodies(connection, seq, (part,)).get(part)
    if body is None:
        return None
    end = None if limit is None else offset + limit
    return BodySlice(body.data[offset:end], offset, len(body.data), body.size, body.is_cut, body.is_raw)


def trace_spans(connection: sqlite3.Connection, trace_id: str) -> list[JSON]:
    """Return all spans of a trace as whole rows without bodies, in order of their start."""
    sql = (
        f"SELECT {DETAIL_SQL} FROM {_JOIN} WHERE s.seq IN "
        f"({SEQS_OF_TRACE.replace(':trace', '(SELECT first_seq FROM traces WHERE trace_id = :id)')}) "
        "ORDER BY s.start_ns, s.seq"
    )
    return [detail_row(values) for values in connection.execute(sql, {"id": trace_id})]


_SUMMARY = (
    "trace_id", "start_ns", "end_ns", "span_count", "error_count", "tokens", "cost", "unpriced_count", "session_id",
)  # fmt: skip


def trace_summary(connection: sqlite3.Connection, key: str) -> JSON | None:
    """Return a trace's summary; `key` is its trace_id or the id of any of its spans."""
    first = find_trace(connection, key)
    found = connection.execute(f"SELECT {', '.join(_SUMMARY)} FROM traces WHERE first_seq = ?", (first,)).fetchone()
    if found is None:
        return None
    row: dict[str, Any] = dict(zip(_SUMMARY, found, strict=True))
    start_ns, end_ns = row.pop("start_ns"), row.pop("end_ns")
    return {
        "trace_id": row["trace_id"],
        "start_time": start_ns // 1_000_000,
        "end_time": end_ns // 1_000_000,
        "start_ns": str(start_ns),
        "duration_ms": round((end_ns - start_ns) / 1e6, 3),
        "total_cost": row["cost"],
        "total_tokens": row["tokens"],
        "span_count": row["span_count"],
        "error_count": row["error_count"],
        "unpriced_count": row["unpriced_count"],
        "session_id": row["session_id"],
    }


@dataclass(slots=True)
class _Forest:
    roots: list[JSON] = field(default_factory=list)
    reached: set[str] = field(default_factory=set)


def tree(connection: sqlite3.Connection, key: str) -> JSON | None:
    """Return {"trace": summary, "spans": roots with children}; `key` is a trace_id or the id of any of its spans.

    A call that a span is joined to hangs below that span, also when it belongs to another trace: `joined_from` says so.
    """
    summary = trace_summary(connection, key)
    if summary is None:
        return None
    rows = trace_spans(connection, summary["trace_id"])
    roots = nest(rows)
    _hang_calls(rows, roots, partial(_foreign, connection))
    _flatten(roots)
    return {"trace": summary, "spans": roots}


def _hang_calls(rows: list[JSON], roots: list[JSON], foreign: Callable[[str], JSON | None]) -> None:
    """Put each call below the span that is joined to it, where it is not there already."""
    by_id = {row["id"]: row for row in rows}
    told = sorted((row for row in rows if row.get("joined_to")), key=lambda row: bool(row.get("derived")))
    # A call that stands below one of the spans joined to it stays there, whatever else is joined to it.
    hung = {row["joined_to"] for row in told if row["joined_to"] in by_id and _holds(row, by_id[row["joined_to"]])}
    for row in told:
        call_id = row["joined_to"]
        if call_id in hung:
            continue
        hung.add(call_id)
        call = by_id.get(call_id)
        if call is None:
            _hang(row, foreign(call_id))
        elif not (_holds(call, row) or _is_beside(row, call)):
            parent = by_id.get(call["parent_id"])
            for siblings in (roots, parent["children"] if parent else []):
                siblings[:] = [one for one in siblings if one is not call]
            _hang(row, call)


def _is_beside(row: JSON, call: JSON) -> bool:
    """Say whether an app told of a call twice, side by side."""
    return call["source"] not in OUR_SOURCES and row["parent_id"] == call["parent_id"]


def _hang(row: JSON, call: JSON | None) -> None:
    if call is not None:
        call["joined_from"] = row["id"]
        row["children"].append(call)


def _foreign(connection: sqlite3.Connection, span_id: str) -> JSON | None:
    """Return a row of another trace, as a row of this tree."""
    row = get_span(connection, span_id)
    return None if row is None or row["id"] != span_id else {**row, "children": []}


def _holds(row: JSON, wanted: JSON) -> bool:
    """Say whether a row is another or somewhere above it."""
    waiting = [row]
    while waiting:
        one = waiting.pop()
        if one is wanted:
            return True
        waiting.extend(one["children"])
    return False


_OUTLINE = (
    "id", "parent_id", "start_ns", "duration_ns", "ttft_ms", "span_type", "span_name", "operation", "provider", "model",
    "request_model", "request_path", "source", "status", "total_tokens", "estimated_cost", "joined_to",
)  # fmt: skip

_OUTLINE_SQL = f"{', '.join(_OUTLINE)}, is_stream, derived, counts, substr(error, 1, 200)"


def outline(connection: sqlite3.Connection, key: str) -> JSON | None:
    """Return a tree as `tree` does, of each span only what a waterfall draws: traces of 10,000 spans are opened too."""
    summary = trace_summary(connection, key)
    if summary is None:
        return None
    sql = (
        f"SELECT {_OUTLINE_SQL} FROM spans WHERE seq IN "
        f"({SEQS_OF_TRACE.replace(':trace', '(SELECT first_seq FROM traces WHERE trace_id = :id)')}) "
        "ORDER BY start_ns, seq"
    )
    rows = [_outline_row(values) for values in connection.execute(sql, {"id": summary["trace_id"]})]
    roots = nest(rows)
    _hang_calls(rows, roots, partial(_foreign_outline, connection))
    _flatten(roots)
    return {"trace": summary, "spans": roots}


def _foreign_outline(connection: sqlite3.Connection, span_id: str) -> JSON | None:
    """Return the outline of a row of another trace, which it names."""
    span = _foreign(connection, span_id)
    if span is None:
        return None
    values = connection.execute(f"SELECT {_OUTLINE_SQL} FROM spans WHERE seq = ?", (span["seq"],)).fetchone()
    return {**_outline_row(values), "trace_id": span["trace_id"], "children": []}


def _outline_row(values: tuple[Any, ...]) -> JSON:
    *plain, is_stream, derived, counts, error = values
    row: JSON = {name: value for name, value in zip(_OUTLINE, plain, strict=True) if value is not None}
    row.setdefault("parent_id", None)
    start_ns, duration_ns = row.pop("start_ns"), row.pop("duration_ns", None)
    row["timestamp"], row["start_ns"] = start_ns // 1_000_000, str(start_ns)
    row["duration_ms"] = None if duration_ns is None else round(duration_ns / 1e6, 3)
    if is_stream:
        row["is_stream"] = True
    if derived:
        row["derived"] = True
    if not counts:
        row["counts"] = False
    if error is not None:
        row["error"] = error
    return row


_MAX_DEPTH = 300
"""Readers and writers of JSON give up somewhere beyond; what lies deeper hangs side by side below the last level."""


def nest(rows: list[JSON]) -> list[JSON]:
    """Hang each row under its parent as `children`; a row without a parent here is a root. Loops are cut open."""
    by_id = {row["id"]: row for row in rows}
    forest = _Forest()
    for row in rows:
        row["children"] = []
    for row in rows:
        parent = by_id.get(row["parent_id"])
        if parent is None or parent is row:
            forest.roots.append(row)
        else:
            parent["children"].append(row)
    for root in forest.roots:
        _reach(root, forest.reached)
    for row in rows:
        if row["id"] not in forest.reached:
            by_id[row["parent_id"]]["children"].remove(row)
            forest.roots.append(row)
            _reach(row, forest.reached)
    return forest.roots


def _reach(root: JSON, reached: set[str]) -> None:
    waiting = [root]
    while waiting:
        row = waiting.pop()
        if row["id"] not in reached:
            reached.add(row["id"])
            waiting.extend(row["children"])


def _flatten(roots: list[JSON]) -> None:
    """Let no row hang deeper than _MAX_DEPTH."""
    level = roots
    for _ in range(_MAX_DEPTH - 1):
        level = [child for row in level for child in row["children"]]
        if not level:
            return
    for row in level:
        row["children"] = _all_below(row)


def _all_below(top: JSON) -> list[JSON]:
    """Return what lies below a row in the order of a tree, each without children."""
    found: list[JSON] = []
    waiting = top["children"][::-1]
    while waiting:
        row = waiting.pop()
        found.append(row)
        waiting.extend(reversed(row["children"]))
        row["children"] = []
    return found
