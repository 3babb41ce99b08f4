"""The ledger of budgets: counted in the writer's transaction, once for each call, whatever becomes of its rows."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

import pytest

from llmflow_web.model import Row, Span, Unrecorded
from llmflow_web.store.commit import insert
from llmflow_web.store.counters import Counters
from llmflow_web.store.ledger import Amount, Ledger, amount_of
from llmflow_web.store.schema import MIGRATIONS, migrate

HOUR_NS = 3_600_000_000_000


@dataclass(frozen=True)
class Hours:
    """An account of all spans, or of those of a session, in windows of an hour."""

    key: str = "all"
    is_kept: bool = True
    session: str | None = None
    tag: str | None = None

    def window_of(self, span: Span) -> int | None:
        if self.session is not None and span.session_id != self.session:
            return None
        if self.tag is not None and self.tag not in span.tags:
            return None
        return span.start_ns // HOUR_NS


class File:
    """A database, its counters and a ledger."""

    def __init__(self, connection: sqlite3.Connection, *accounts: Hours) -> None:
        self.connection = connection
        self.counters = Counters()
        self.ledger = Ledger()
        self.ledger.open(connection, accounts, [0] * len(accounts))

    def write(self, *items) -> None:
        rows = [item if isinstance(item, Unrecorded) else Row(item) for item in items]
        found = insert(self.connection, rows, self.counters, 0, self.ledger)
        self.ledger.committed(found.ledger)

    def held(self, key: str = "all") -> dict[int, Amount]:
        rows = self.connection.execute(
            "SELECT window_start, requests, tokens, cost, unpriced_count FROM budget_ledger WHERE budget = ?", (key,)
        )
        return {window: Amount(*sums) for window, *sums in rows if any(sums)}


@pytest.fixture
def connection():
    with_tables = sqlite3.connect(":memory:", isolation_level=None)
    migrate(with_tables, 0)
    yield with_tables
    with_tables.close()


def span(name: str, *, hour: int = 5, cost: float | None = 0.5, tokens: int = 10, **more) -> Span:
    return Span("t-" + name, name, start_ns=hour * HOUR_NS, model="m", total_tokens=tokens, estimated_cost=cost, **more)


def test_calls_are_counted_in_their_windows(connection) -> None:
    """Each call counts in the window it began in; an unpriced one is counted as such."""
    file = File(connection, Hours())
    file.write(span("a"), span("b"), span("c", hour=6, cost=None))
    assert file.held() == {5: Amount(2, 20, 1.0, 0), 6: Amount(1, 10, 0.0, 1)}


def test_a_span_that_comes_again(connection) -> None:
    """A newer version takes the place of the one before, also in another window."""
    file = File(connection, Hours(), Hours("tagged", tag="x"))
    file.write(span("a", source="sdk", tags=["x"]))
    file.write(span("a", source="sdk", hour=6, cost=0.7))
    assert file.held() == {6: Amount(1, 10, 0.7, 0)}
    assert file.held("tagged") == {}


def test_a_call_told_twice(connection) -> None:
    """A call that an app tells of, too, counts once, whichever record comes first."""
    file = File(connection, Hours(), Hours("s", session="s"))
    theirs = span("app", source="otlp", response_id="r1", session_id="s")
    ours = span("our", source="proxy", response_id="r1", status=200)
    file.write(theirs)
    file.write(ours)
    assert file.held() == {5: Amount(1, 10, 0.5, 0)}
    assert file.held("s") == {5: Amount(1, 10, 0.5, 0)}  # the call has the session of what was joined to it


def test_parents_that_repeat(connection) -> None:
    """A parent that sums up its children does not count beside them."""
    file = File(connection, Hours())
    parent = Span("t", "p", start_ns=5 * HOUR_NS, source="otlp", span_type="agent", total_tokens=20, estimated_cost=1.0)
    child = Span("t", "c", parent_id="p", start_ns=5 * HOUR_NS, source="otlp", total_tokens=20, estimated_cost=1.0)
    file.write(parent)
    file.write(child)
    assert file.held() == {5: Amount(1, 20, 1.0, 0)}


def test_calls_that_are_not_kept(connection) -> None:
    """A call that is not to be recorded counts and leaves no row; a refused one is a row and does not count."""
    file = File(connection, Hours())
    file.write(Unrecorded(span("a")), span("b", counts=False))
    assert file.held() == {5: Amount(1, 10, 0.5, 0)}
    assert connection.execute("SELECT id FROM spans").fetchall() == [("b",)]


def test_a_transaction_that_fails(connection) -> None:
    """What is rolled back is not counted, and the next attempt counts it once."""
    file = File(connection, Hours(), Hours("unkept", is_kept=False))
    connection.execute("BEGIN")
    insert(connection, [Row(span("a"))], Counters(), 0, file.ledger)
    connection.execute("ROLLBACK")
    assert file.held() == {}
    found = insert(connection, [Row(span("a"))], file.counters, 0, file.ledger)
    assert [(entry.key, entry.amount.calls) for entry in found.ledger] == [("all", 1), ("unkept", 1)]


def test_opened_again(connection) -> None:
    """What is kept comes back, what is not begins anew, and what nobody counts for any more is forgotten."""
    accounts = [Hours(), Hours("gone"), Hours("unkept", is_kept=False)]
    file = File(connection, *accounts)
    file.write(span("a"))
    again = Ledger()
    entries = again.open(connection, [accounts[0], accounts[2]], [0, 0])
    assert [entry.amount for entry in entries if entry.window == 5] == [Amount(1, 10, 0.5, 0)]
    assert file.held("gone") == {}


def test_a_new_account_takes_in_what_is_there(connection) -> None:
    """A new account counts the rows that are stored since its window began, those that do not count left out."""
    file = File(connection)
    file.write(span("old", hour=1), span("a", tags=["x"]), span("b"), span("refused", counts=False))
    ledger = Ledger()
    tagged = Hours("tagged", tag="x")
    ledger.open(connection, [Hours(), tagged], [4 * HOUR_NS] * 2)
    assert file.held() == {5: Amount(2, 20, 1.0, 0)}
    assert file.held("tagged") == {5: Amount(1, 10, 0.5, 0)}
    ledger.open(connection, [Hours(), tagged], [0, 0])  # no longer new
    assert file.held() == {5: Amount(2, 20, 1.0, 0)}


def test_a_file_that_is_removed(connection) -> None:
    """When the file goes while we run, the next write carries on from what was counted."""
    file = File(connection, Hours())
    file.write(span("a"))
    connection.execute("DELETE FROM budget_ledger")
    connection.execute("DELETE FROM spans")
    file.write(span("b"))
    assert file.held() == {5: Amount(2, 20, 1.0, 0)}


@pytest.mark.parametrize(
    ("found", "calls"),
    [
        (Span("t", "a"), 1),
        (Span("t", "a", span_type="tool"), 0),
        (Span("t", "a", span_type="agent", total_tokens=5), 1),
        (Span("t", "a", span_type="custom", operation="files"), 0),
        (Span("t", "a", operation="moderation"), 0),
        (Span("t", "a", span_type="embedding"), 1),
    ],
)
def test_what_is_a_call(found, calls) -> None:
    """A call is what a model was asked; steps and listings are none."""
    assert amount_of(found).calls == calls


def test_files_of_before(tmp_path) -> None:
    """A file made before there were budgets is given their tables."""
    connection = sqlite3.connect(tmp_path / "old.db", isolation_level=None)
    MIGRATIONS[0](connection)
    connection.execute("CREATE TABLE migrations (name TEXT NOT NULL UNIQUE, applied_ms INTEGER NOT NULL)")
    connection.execute("INSERT INTO migrations VALUES ('m001_initial', 0)")
    migrate(connection, 1)
    assert connection.execute("SELECT COUNT(*) FROM budgets").fetchone() == (0,)
    assert connection.execute("SELECT COUNT(*) FROM budget_alerts").fetchone() == (0,)
    connection.close()
