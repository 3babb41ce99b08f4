"""The session of a call that says none: that of the spans joined to it.

Else a session would lose what its calls cost as soon as they count elsewhere. Which session that is follows from what
is stored; with the last span that is joined, the session goes.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import replace

from llmflow_web.model import Span
from llmflow_web.store.columns import OLD_COLUMNS
from llmflow_web.store.counters import Counters
from llmflow_web.store.ledger import Move
from llmflow_web.store.marks import INHERITED
from llmflow_web.store.sessions import SessionSums
from llmflow_web.store.sums import share_of

_SELECT = (
    f"SELECT seq, trace_seq, marks, (SELECT MIN(t.session_id) FROM spans t WHERE t.joined_to = s.id), tags, "
    f"{', '.join(OLD_COLUMNS)} FROM spans s WHERE id IN (SELECT value FROM json_each(?))"
)


def inherit_sessions(
    connection: sqlite3.Connection, ids: Iterable[str], counters: Counters, moves: list[Move] | None = None
) -> list[tuple[int, int]]:
    """Give calls with these ids the session of what is joined to them; return (seq, change) of each changed."""
    sums = SessionSums(connection)
    changed: list[tuple[int, int]] = []
    for seq, trace_seq, marks, told, tags, *values in connection.execute(_SELECT, (json.dumps(list(ids)),)).fetchall():
        span = Span(**dict(zip(OLD_COLUMNS, values, strict=True)))
        if span.session_id == told or (span.session_id is not None and not marks & INHERITED):
            continue
        change = counters.next()
        connection.execute(_UPDATE, (told, marks & ~INHERITED | (INHERITED if told is not None else 0), change, seq))
        connection.execute(_UPDATE_TRACE, (told, trace_seq, span.session_id))
        _move(sums, span, told)
        if moves is not None and span.counts:
            span.tags = json.loads(tags) if tags else []
            moves += [(span, -1), (replace(span, session_id=told), 1)]
        changed.append((seq, change))
    sums.write()
    return changed


def _move(sums: SessionSums, span: Span, session_id: str | None) -> None:
    share = share_of(span)
    if span.session_id is not None:
        sums.load_more(span.session_id)
        sums.take(span.session_id, share)
    if session_id is not None:
        sums.load_more(session_id)
        sums.add(session_id, replace(span, session_id=session_id), share)
        sums.recount(session_id)


_UPDATE = "UPDATE spans SET session_id = ?, marks = ?, change = ? WHERE seq = ?"
_UPDATE_TRACE = "UPDATE traces SET session_id = ? WHERE first_seq = ? AND session_id IS ?"
