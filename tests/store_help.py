"""What the store's tests share: a database with its threads, one driven by hand, and rows to put in."""

from __future__ import annotations

import itertools
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from llmflow_web.model import PART_REQUEST, Body, Log, Metric, Row, Span, Stored
from llmflow_web.store import commit, files
from llmflow_web.store import counters as counting
from llmflow_web.store.database import Batch, Database, Limits
from llmflow_web.store.insert import insert_rows
from llmflow_web.store.retention import Pruner, remove
from llmflow_web.store.search import feed
from llmflow_web.store.spans import list_spans
from llmflow_web.store.written import Changed, Written
from llmflow_web.wire.filter import Filter, Page

START_NS = 1_760_000_000_000_000_000
PATIENCE_S = 60.0


def texts(provider: str | None, operation: str | None, bodies: dict[int, bytes]) -> str:
    return "\n".join(data.decode("utf-8", "replace") for data in bodies.values())


_numbers = itertools.count(1)


def make_row(text: str | None = None, **columns: Any) -> Row:
    """Return a row of its own trace, a second after the one made before."""
    number = next(_numbers)
    columns = {
        "trace_id": f"{number:032x}",
        "id": f"{number:016x}",
        "start_ns": START_NS + number * 1_000_000_000,
        "duration_ns": 1_500_000_000,
        "provider": "openai",
        "model": "gpt-4o",
        "status": 200,
        "total_tokens": 30,
        "prompt_tokens": 20,
        "completion_tokens": 10,
        "estimated_cost": 0.25,
    } | columns
    bodies = [] if text is None else [Body(PART_REQUEST, text.encode(), len(text.encode()))]
    return Row(Span(**columns), bodies)


def make_log(key: str, ms: int = 0, **columns: Any) -> Log:
    """Return a log record at so many milliseconds."""
    return Log(key, ms * 1_000_000, **columns)


def make_point(key: str, ms: int = 0, name: str = "m", **columns: Any) -> Metric:
    """Return a data point at so many milliseconds; its series is its name, service and attributes."""
    series = repr((name, columns.get("service_name"), columns.get("attributes")))
    return Metric(key, columns.pop("series", series), ms * 1_000_000, name, **columns)


class Hand:
    """A database without threads: what the writer does, one step at a time."""

    def __init__(self, folder: Path, **limits: Any) -> None:
        self.path = folder / "llmflow.db"
        self.connection = files.open_writer(self.path, 0)
        self.connection.texts = texts
        self.counters = counting.load(self.connection)
        self.limits = Limits(**limits)
        self.now = 1000.0
        self.pruner = Pruner(self.limits, lambda: self.now)

    def transact(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        before = self.counters.copy()
        self.connection.execute("BEGIN IMMEDIATE")
        result = work(self.connection)
        counting.save(self.connection, self.counters, before)
        self.connection.execute("COMMIT")
        return result

    def insert(self, *rows: Row) -> list[Written | Changed]:
        return self.transact(lambda c: insert_rows(c, rows, self.counters, int(self.now * 1000)))

    def commit(self, *items: Stored) -> commit.Commit:
        return self.transact(lambda c: commit.insert(c, items, self.counters, int(self.now * 1000)))

    def delete(self, *trace_ids: str) -> int:
        chosen = [(self.one("SELECT first_seq FROM traces WHERE trace_id = ?", t), t) for t in trace_ids]
        return self.transact(lambda c: remove(c, chosen, self.counters, from_statistics=True))

    def feed(self) -> int:
        return self.transact(lambda c: feed(c, self.counters, 10_000, lambda: True))

    def prune(self) -> list[str]:
        gone = []
        while self.pruner.is_due(self.connection, self.counters):
            gone += self.transact(lambda c: self.pruner.prune(c, self.counters))
        return [trace["trace_id"] for trace in gone]

    def one(self, sql: str, *params: Any) -> Any:
        found = self.connection.execute(sql, params).fetchone()
        return None if found is None else found[0]

    def all(self, sql: str, *params: Any) -> list[tuple[Any, ...]]:
        return self.connection.execute(sql, params).fetchall()

    def ids(self, page: Page | None = None, **query: str) -> list[str]:
        """Return the ids a query lists."""
        return [row["id"] for row in list_spans(self.connection, Filter.from_query(query), page or Page()).rows]


class Live:
    """A Database with what it told after each commit."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.batches: list[Batch] = []
        options = {"to_rows": lambda item: item, "texts": texts, "limits": Limits(batch_s=0.005)} | options
        self.database = Database(path, on_commit=self.batches.append, **options)

    def start(self) -> Live:
        self.database.open()
        self.database.start()
        return self

    def put(self, *rows: Stored) -> None:
        """Put rows and wait until they are committed."""
        self.database.put(list(rows), 1024 * len(rows))
        self.sync()

    def sync(self) -> None:
        self.database.call(lambda connection: None).result(PATIENCE_S)

    def read(self, fn: Callable[..., Any], *args: Any, **options: Any) -> Any:
        return self.database.read(fn, *args, **options).result(PATIENCE_S)

    def one(self, sql: str, *params: Any) -> Any:
        return self.read(lambda connection: connection.execute(sql, params).fetchone())[0]

    def settle(self) -> None:
        wait_until(lambda: self.database.is_settled)


def wait_until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)
