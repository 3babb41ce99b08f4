"""Leaving the database: rows in keyset batches, each its own short transaction, written out as JSON, JSONL or CSV."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any

from llmflow_web.model import JSON
from llmflow_web.store.spans import ListPage, list_spans
from llmflow_web.wire.filter import Filter, Page

BATCH_ROWS = 500

CSV_COLUMNS = (
    "id", "timestamp", "duration_ms", "provider", "model", "prompt_tokens", "completion_tokens", "total_tokens",
    "estimated_cost", "status", "error", "trace_id", "parent_id", "span_type", "span_name", "service_name",
)  # fmt: skip
CONTENT_TYPES = {"json": "application/json", "jsonl": "application/x-ndjson", "csv": "text/csv"}


def batch(
    connection: sqlite3.Connection, chosen: Filter, cursor: str | None = None, limit: int = BATCH_ROWS
) -> ListPage:
    """Return the next rows of an export; ask again with `next_cursor` until there is none."""
    return list_spans(connection, chosen, Page(limit=limit, cursor=cursor))


Read = Callable[..., "Future[ListPage]"]
"""`Database.read`."""


def iterate(read: Read, chosen: Filter, limit: int | None = None) -> Iterator[JSON]:
    """Yield the rows of an export. Waits for the reader: not for the loop's thread, which asks for `batch` itself."""
    cursor: str | None = None
    left = limit
    while left is None or left > 0:
        wanted = BATCH_ROWS if left is None else min(BATCH_ROWS, left)
        page = read(batch, chosen, cursor, wanted, long=True).result()
        yield from page.rows
        cursor = page.next_cursor
        if cursor is None:
            return
        if left is not None:
            left -= len(page.rows)


def opening(kind: str, exported_at: str, filters: JSON) -> str:
    """Return what an export begins with."""
    if kind == "csv":
        return ",".join(CSV_COLUMNS) + "\n"
    if kind == "json":
        head = json.dumps({"exported_at": exported_at, "filters": filters}, ensure_ascii=False)
        return head[:-1] + ', "traces": ['
    return ""


def lines(kind: str, rows: Iterable[JSON], *, is_first: bool) -> str:
    """Return a batch of rows as text."""
    if kind == "csv":
        return "".join(csv_line([row.get(name) for name in CSV_COLUMNS]) for row in rows)
    texts = [json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in rows]
    if kind == "jsonl":
        return "".join(text + "\n" for text in texts)
    joined = ",\n".join(texts)
    return joined if is_first or not joined else ",\n" + joined


def closing(kind: str, count: int) -> str:
    """Return what an export ends with."""
    return f'], "count": {count}}}\n' if kind == "json" else ""


def csv_line(values: Sequence[Any]) -> str:
    """Return one line of CSV, with its line end; null is empty."""
    return ",".join(map(_csv_value, values)) + "\n"


def _csv_value(value: Any) -> str:
    text = "" if value is None else str(value)
    if isinstance(value, str) and text.startswith(("=", "+", "-", "@", "\t", "\r")):
        text = "'" + text  # a spreadsheet would run it as a formula
    if any(char in text for char in ',"\n\r'):
        return '"' + text.replace('"', '""') + '"'
    return text
