"""Pieces that arrive now and what is stored of the same spans, put together before they are written."""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Sequence

from llmflow_web.model import Body, Row, Span
from llmflow_web.store.columns import PLAIN
from llmflow_web.store.pieces import fold, put_together

_JSON = ("tags", "cost_detail", "dropped", "notes")
_FLAGS = ("is_stream", "is_estimated", "derived")
_SELECT = f"SELECT seq, {', '.join((*PLAIN, *_JSON))} FROM spans WHERE id = ? AND trace_id = ? AND derived"
_BODIES = "SELECT key & 15, size, is_cut, is_raw, encoding, data FROM bodies WHERE key >= ? AND key < ? ORDER BY key"


def complete(connection: sqlite3.Connection, rows: Sequence[Row]) -> Sequence[Row]:
    """Return the rows to write: those made of log records with all that is known of them, the others as they are."""
    if not any(row.span.derived for row in rows):
        return rows
    whole = [_with_stored(connection, row) for row in fold([row for row in rows if row.span.derived])]
    return [*(row for row in rows if not row.span.derived), *whole]


def _with_stored(connection: sqlite3.Connection, row: Row) -> Row:
    found = connection.execute(_SELECT, (row.span.id, row.span.trace_id)).fetchone()
    if found is None:
        return row
    seq, *values = found
    columns = dict(zip((*PLAIN, *_JSON), values, strict=True))
    for name in _FLAGS:
        columns[name] = bool(columns[name])
    for name in _JSON:
        columns[name] = json.loads(columns[name]) if columns[name] else (None if name == "cost_detail" else [])
    columns["joined_to"] = None  # the store says so anew
    # `counts` of what is stored also tells how it stands to others; what its senders say is with the pieces.
    stored = Row(Span(**columns, counts=row.span.counts), _bodies(connection, seq))
    return put_together(stored, row)


def _bodies(connection: sqlite3.Connection, seq: int) -> tuple[Body, ...]:
    return tuple(
        Body(part, zlib.decompress(data) if is_packed else data, size, bool(is_cut), bool(is_raw))
        for part, size, is_cut, is_raw, is_packed, data in connection.execute(_BODIES, (seq * 16, seq * 16 + 16))
    )
