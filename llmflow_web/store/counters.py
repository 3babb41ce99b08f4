"""The writer's own counters, kept in memory and saved with each transaction: no COUNT(*) anywhere."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, fields, replace


@dataclass(slots=True)
class Counters:
    """`counter` is the last number given to a row or a change; it never goes back."""

    counter: int = 0
    spans: int = 0
    indexed: int = 0  # rows and changes up to this number are in the search index
    deleted: int = 0  # the number given to the newest deletion
    logs: int = 0
    metrics: int = 0
    joins: int = 0  # 1: an app has said an id of a call, so calls are joined and have indexes for it
    erase_wanted: int = 0  # deletions whose text is not yet wiped from the index and the log of the file

    def next(self) -> int:
        """Give the next number."""
        self.counter += 1
        return self.counter

    def copy(self) -> Counters:
        """Return a copy, to come back to when a transaction fails."""
        return replace(self)


def load(connection: sqlite3.Connection) -> Counters:
    """Read the counters of a file."""
    known = {field.name for field in fields(Counters)}
    rows = connection.execute("SELECT name, value FROM counters")
    return Counters(**{name: value for name, value in rows if name in known})


def save(connection: sqlite3.Connection, counters: Counters, before: Counters) -> None:
    """Write those that moved."""
    moved = [
        (field.name, getattr(counters, field.name))
        for field in fields(Counters)
        if getattr(counters, field.name) != getattr(before, field.name)
    ]
    connection.executemany("INSERT OR REPLACE INTO counters VALUES (?, ?)", moved)
