"""Whole rows are walked out of the file, and known ones are told."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from store_help import START_NS, Hand, make_log, make_point, make_row, texts

from llmflow_web.errors import StoreError, StoreRefused
from llmflow_web.store import transfer
from llmflow_web.store.transfer import Between, Known
from llmflow_web.wire.filter import Filter, Term

EVERYTHING = Filter()


def ids(hand: Hand, chosen: Filter = EVERYTHING, newest: int | None = None) -> list[str]:
    return [one.row.span.id for one in transfer.spans(hand.connection, chosen, newest)]


def test_spans_are_walked_oldest_first(hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages follow each other without gaps, also among spans of the same moment; the newest N are the last N."""
    monkeypatch.setattr(transfer, "PAGE_ROWS", 3)
    rows = [make_row(id=f"{n}", start_ns=START_NS + n // 4) for n in range(10)]
    hand.insert(*reversed(rows))
    wanted = sorted(range(10), key=lambda n: (n // 4, -n))
    assert ids(hand) == [f"{n}" for n in wanted]
    for newest in (1, 3, 4, 9, 10, 11):
        assert ids(hand, newest=newest) == [f"{n}" for n in wanted[-newest:]]
    chosen = Filter((Term("id", "=", ("1", "5", "8")),))
    assert ids(hand, chosen) == ["1", "5", "8"]
    assert ids(hand, chosen, 2) == ["5", "8"]
    assert ids(hand, Filter((Term("id", "=", ("x",)),)), 2) == []


def test_a_span_comes_out_exactly(hand: Hand) -> None:
    """To the nanosecond, with its bodies, what its sender said of counting, and whether it counts."""
    row = make_row("hello", start_ns=START_NS + 7, duration_ns=1_234_567, tags=["a"], counts=False, notes=["n"])
    hand.insert(row)
    (found,) = transfer.spans(hand.connection, EVERYTHING)
    assert found.row.span == row.span
    assert list(found.row.bodies) == list(row.bodies)
    assert not found.is_counted


def test_a_span_that_goes_meanwhile_is_passed_over(hand: Hand) -> None:
    """A walk holds no snapshot: what is deleted behind the page that was read is left out."""
    hand.insert(*(make_row(id=f"{n}", trace_id=f"t{n}") for n in range(3)))
    walk = transfer.spans(hand.connection, EVERYTHING)
    assert next(walk).row.span.id == "0"
    hand.delete("t1")
    assert [one.row.span.id for one in walk] == ["2"]


def test_logs_and_points_are_walked_by_time(hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages follow each other within the time asked for: its first moment belongs to it, its last does not."""
    monkeypatch.setattr(transfer, "PAGE_ROWS", 2)
    hand.commit(*(make_log(f"l{n}", n // 2, detail={"flags": n}) for n in range(7)))
    hand.commit(*(make_point(f"p{n}", n // 2, detail={"scope": {"name": "s"}, "flags": n} if n else None,
                             histogram_data={"count": n}) for n in range(7)))  # fmt: skip
    assert [log.id for log in transfer.logs(hand.connection, Between())] == [f"l{n}" for n in range(7)]
    points = list(transfer.points(hand.connection, Between()))
    assert [point.id for point in points] == [f"p{n}" for n in range(7)]
    assert [point.detail for point in points[:2]] == [None, {"scope": {"name": "s"}, "flags": 1}]
    assert points[3].histogram_data == {"count": 3}
    between = Between(1_000_000, 3_000_000)
    assert [log.id for log in transfer.logs(hand.connection, between)] == ["l2", "l3", "l4", "l5"]
    assert [point.id for point in transfer.points(hand.connection, between)] == ["p2", "p3", "p4", "p5"]


def test_known_rows_are_told(hand: Hand) -> None:
    """Of the rows asked for those that are there: spans by trace and id, and whether logs made them."""
    hand.commit(make_row(id="a", trace_id="t"), make_row(id="b", trace_id="t", derived=True), make_log("l"))
    hand.commit(make_point("p"))
    wanted = Known(dict.fromkeys([("t", "a"), ("t", "b"), ("u", "a")], False), frozenset("lx"), frozenset("px"))
    assert transfer.known(hand.connection, wanted) == Known(
        {("t", "a"): False, ("t", "b"): True}, frozenset("l"), frozenset("p")
    )
    assert transfer.known(hand.connection, Known()) == Known()


def test_a_file_of_another_version_is_refused(tmp_path: Path) -> None:
    """A database that lacks steps, or is damaged, is a sentence; nothing stays open."""
    hand = Hand(tmp_path)
    hand.connection.execute("DELETE FROM migrations")
    hand.connection.close()
    with pytest.raises(StoreRefused, match="older LLMFlow"):
        transfer.open_reader(tmp_path / "llmflow.db", texts)
    with pytest.raises(StoreRefused, match="There is no database"):
        transfer.open_reader(tmp_path / "none" / "llmflow.db", texts)


def test_what_sqlite_complains_of_is_an_error_of_ours(hand: Hand) -> None:
    """A table that cannot be read ends the walk with a StoreError."""
    hand.connection.execute("DROP TABLE logs")
    with pytest.raises(StoreError, match="cannot be read") as told:
        list(transfer.logs(hand.connection, Between()))
    assert isinstance(told.value.__cause__, sqlite3.Error)
