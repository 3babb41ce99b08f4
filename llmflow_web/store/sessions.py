"""Session and hourly sums as the writer keeps them: what is there, plus the signed shares of a batch, goes back."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from llmflow_web.model import Log, Span
from llmflow_web.store.sums import (
    ALL_TIME,
    HISTOGRAMS,
    ROLLUP_SUMS,
    RollupKey,
    Share,
    lanes_from_bytes,
    lanes_to_bytes,
)

_SESSION_COLUMNS = (
    "session_id, first_ns, last_ns, trace_count, span_count, error_count, tokens, cost, unpriced_count, "
    "agent_name, service_name, user_id, log_count"
)


@dataclass(slots=True)
class Session:
    """A row of `sessions`."""

    session_id: str
    first_ns: int
    last_ns: int
    trace_count: int = 0
    span_count: int = 0
    error_count: int = 0
    tokens: int = 0
    cost: float = 0.0
    unpriced_count: int = 0
    agent_name: str | None = None
    service_name: str | None = None
    user_id: str | None = None
    log_count: int = 0

    def add(self, share: Share, sign: int) -> None:
        """Add a span's share, or with sign -1 take it back."""
        self.span_count += sign
        self.error_count += sign * share.is_error
        self.tokens += sign * share.tokens
        self.cost += sign * share.cost
        self.unpriced_count += sign * share.unpriced


class SessionSums:
    """The sessions a batch touches."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._sessions: dict[str, Session] = {}
        self._recount: set[str] = set()

    def load(self, ids: Iterable[str]) -> None:
        """Read the sessions that are there already."""
        for session_id in ids:
            self.load_more(session_id)

    def load_more(self, session_id: str) -> None:
        """Read one session unless it is known already."""
        if session_id in self._sessions:
            return
        row = self._connection.execute(
            f"SELECT {_SESSION_COLUMNS} FROM sessions WHERE session_id = ?", (session_id,)
        ).fetchone()
        if row is not None:
            self._sessions[session_id] = Session(*row)

    def add(self, session_id: str, span: Span, share: Share) -> None:
        """Add one span to its session."""
        session = self._sessions.get(session_id)
        if session is None:
            session = self._sessions[session_id] = Session(session_id, span.start_ns, span.start_ns)
        session.add(share, 1)
        session.first_ns = min(session.first_ns, span.start_ns)
        session.last_ns = max(session.last_ns, span.start_ns)
        session.agent_name = session.agent_name or span.agent_name
        session.service_name = session.service_name or span.service_name
        session.user_id = session.user_id or span.user_id

    def add_trace(self, session_id: str) -> None:
        """Count one more trace in a session."""
        self._sessions[session_id].trace_count += 1

    def take(self, session_id: str, share: Share) -> None:
        """Take a span's share out again; its traces and ends are counted anew when written."""
        if session_id in self._sessions:
            self._sessions[session_id].add(share, -1)
        self._recount.add(session_id)

    def recount(self, session_id: str) -> None:
        """Count this session's traces anew when written."""
        self._recount.add(session_id)

    def write(self) -> None:
        """Write the sessions back; one without spans and logs goes. Call after the spans are written."""
        for session_id in self._recount & self._sessions.keys():
            self._count_again(self._sessions[session_id])
        kept = [session for session in self._sessions.values() if session.span_count > 0 or session.log_count > 0]
        empty = [(key,) for key, session in self._sessions.items() if session not in kept]
        self._connection.executemany("DELETE FROM sessions WHERE session_id = ?", empty)
        self._connection.executemany(
            f"INSERT OR REPLACE INTO sessions ({_SESSION_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
            [
                (s.session_id, s.first_ns, s.last_ns, s.trace_count, s.span_count, s.error_count, s.tokens, s.cost,
                 s.unpriced_count, s.agent_name, s.service_name, s.user_id, s.log_count)
                for s in kept
            ],
        )  # fmt: skip

    def _count_again(self, session: Session) -> None:
        (session.trace_count,) = self._connection.execute(
            "SELECT COUNT(DISTINCT trace_seq) FROM spans WHERE session_id = ?", (session.session_id,)
        ).fetchone()
        first, last = self._connection.execute(f"SELECT {_FIRST}, {_LAST}", {"id": session.session_id}).fetchone()
        if first is not None:
            session.first_ns, session.last_ns = first, last


# When a session was first and last seen, in its spans or its logs.
_ENDS = (
    "(SELECT {0}(ns) FROM (SELECT {0}(start_ns) AS ns FROM spans WHERE session_id = :id "
    "UNION ALL SELECT {0}(time_ns) FROM logs WHERE session_id = :id))"
)
_FIRST, _LAST = _ENDS.format("MIN"), _ENDS.format("MAX")


def add_logs(connection: sqlite3.Connection, logs: Iterable[Log]) -> None:
    """Count new log records in their sessions; a session may consist of nothing else."""
    rows = [(log.session_id, log.time_ns, log.time_ns, log.service_name) for log in logs if log.session_id is not None]
    connection.executemany(_ADD_LOG, rows)


def take_logs(connection: sqlite3.Connection, counts: Iterable[tuple[str | None, int]]) -> None:
    """Take deleted log records, so many of each session, out again. Call after they are deleted."""
    for session_id, count in counts:
        if session_id is not None:
            connection.execute(_TAKE_LOGS, {"id": session_id, "count": count})
            connection.execute(
                "DELETE FROM sessions WHERE session_id = ? AND span_count <= 0 AND log_count <= 0", (session_id,)
            )


_ADD_LOG = """
INSERT INTO sessions (session_id, first_ns, last_ns, trace_count, span_count, error_count, tokens, cost,
  unpriced_count, service_name, log_count)
VALUES (?, ?, ?, 0, 0, 0, 0, 0.0, 0, ?, 1)
ON CONFLICT (session_id) DO UPDATE SET first_ns = MIN(first_ns, excluded.first_ns),
  last_ns = MAX(last_ns, excluded.last_ns), service_name = IFNULL(service_name, excluded.service_name),
  log_count = log_count + 1
"""
_TAKE_LOGS = f"""
UPDATE sessions SET log_count = log_count - :count, first_ns = IFNULL({_FIRST}, first_ns),
  last_ns = IFNULL({_LAST}, last_ns) WHERE session_id = :id
"""


class RollupSums:
    """The signed deltas of a batch, per row of `rollup`."""

    def __init__(self) -> None:
        self._deltas: dict[RollupKey, list[float]] = {}

    def add(self, share: Share, sign: int) -> None:
        """Add a span's share, or with sign -1 take it back."""
        if share.key is None:
            return
        delta = self._deltas.get(share.key)
        if delta is None:
            self._deltas[share.key] = [sign * value for value in share.rollup]
        elif sign > 0:
            self._deltas[share.key] = [a + b for a, b in zip(delta, share.rollup, strict=True)]
        else:
            self._deltas[share.key] = [a - b for a, b in zip(delta, share.rollup, strict=True)]

    def write(self, connection: sqlite3.Connection) -> bool:
        """Add the deltas to the table and say whether anything changed."""
        all_time: dict[RollupKey, list[float]] = {}
        for key, delta in self._deltas.items():
            self._write_one(connection, key, delta)
            whole = key._replace(hour=ALL_TIME)
            before = all_time.get(whole)
            all_time[whole] = delta if before is None else [a + b for a, b in zip(before, delta, strict=True)]
        for key, delta in all_time.items():
            self._write_one(connection, key, delta)
        return bool(self._deltas)

    @staticmethod
    def _write_one(connection: sqlite3.Connection, key: RollupKey, delta: list[float]) -> None:
        found = connection.execute(_SELECT_ROLLUP, key).fetchone()
        if found is not None:
            stored = (*found[:-HISTOGRAMS], *map(lanes_from_bytes, found[-HISTOGRAMS:]))
            delta = [a + b for a, b in zip(stored, delta, strict=True)]
        if delta[0] <= 0:  # the last request left: the row goes, and with it any rounding of its cost
            connection.execute(_DELETE_ROLLUP, key)
            return
        values = (*delta[:-HISTOGRAMS], *(lanes_to_bytes(int(lanes)) for lanes in delta[-HISTOGRAMS:]))
        if found is None:
            connection.execute(_INSERT_ROLLUP, (*key, *values))
        else:
            connection.execute(_UPDATE_ROLLUP, (*values, *key))


_ROLLUP_KEY = "hour = ? AND provider = ? AND model = ? AND service_name = ? AND error_class = ?"
_SELECT_ROLLUP = f"SELECT {', '.join(ROLLUP_SUMS)} FROM rollup WHERE {_ROLLUP_KEY}"
_DELETE_ROLLUP = f"DELETE FROM rollup WHERE {_ROLLUP_KEY}"
_INSERT_ROLLUP = (
    f"INSERT INTO rollup ({', '.join((*RollupKey._fields, *ROLLUP_SUMS))}) "
    f"VALUES ({', '.join('?' * (len(RollupKey._fields) + len(ROLLUP_SUMS)))})"
)
_UPDATE_ROLLUP = f"UPDATE rollup SET {', '.join(f'{name} = ?' for name in ROLLUP_SUMS)} WHERE {_ROLLUP_KEY}"
