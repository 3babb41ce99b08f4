"""New bills for stored calls: every sum comes to what it would be had they cost that from the start."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from store_help import PATIENCE_S, Hand, Live, make_row

from llmflow_web.errors import StoreError
from llmflow_web.store.repricing import NewBill, billed, rewrite_bills
from llmflow_web.store.stats import totals
from llmflow_web.store.stock import stock
from llmflow_web.wire.filter import Filter

SUMS = {
    "traces": "SELECT trace_id, span_count, error_count, tokens, round(cost, 9), unpriced_count FROM traces ORDER BY 1",
    "sessions": "SELECT session_id, span_count, tokens, round(cost, 9), unpriced_count FROM sessions ORDER BY 1",
    "rollup": "SELECT hour, provider, model, requests, total_tokens, round(cost, 9), unpriced_count FROM rollup ORDER BY 1, 2, 3",
    "spans": "SELECT id, round(estimated_cost, 9), price_key, marks, has, is_root, joined_to FROM spans ORDER BY id",
}  # fmt: skip


def rows(costs: dict[str, float | None]) -> list[Any]:
    """Return a trace in a session whose parent repeats its child's usage, a lone call, and one without a model."""
    one = {"trace_id": "1" * 32, "session_id": "s", "start_ns": 10**18}
    return [
        make_row("said", **one, id="a", source="sdk", span_type="agent", model=None, estimated_cost=costs["a"]),
        make_row('{"tool_calls":[{"x":1}]}', **one, id="b", parent_id="a", estimated_cost=costs["b"]),
        make_row("alone", trace_id="2" * 32, id="c", start_ns=10**18, estimated_cost=costs["c"], tags=["t"]),
        make_row(trace_id="3" * 32, id="d", start_ns=10**18, estimated_cost=costs["d"], total_tokens=None,
                 prompt_tokens=None, completion_tokens=None),
    ]  # fmt: skip


def test_sums_are_as_if_it_had_always_cost_that(make_hand: Callable[..., Hand]) -> None:
    """Repriced rows and rows that came with the new cost give the same traces, sessions, hours and marks."""
    old: dict[str, float | None] = {"a": 0.25, "b": 0.25, "c": None, "d": None}
    new: dict[str, float | None] = {"a": 0.75, "b": 0.5, "c": 0.125, "d": 0.0625}
    repriced, fresh = make_hand(), make_hand()
    repriced.insert(*rows(old))
    fresh.insert(*rows(new))
    for one in fresh.all("SELECT seq, id FROM spans"):
        fresh.connection.execute("UPDATE spans SET price_key = 'k' WHERE seq = ?", (one[0],))
    calls = billed(repriced.connection, Filter(), 0, 100)
    names = dict(repriced.all("SELECT seq, id FROM spans"))
    bills = [NewBill(call.seq, call.estimated_cost, new[names[call.seq]], "k", {"lines": []}) for call in calls]  # type: ignore[arg-type]
    repriced.transact(lambda c: rewrite_bills(c, repriced.counters, 5, bills))
    for name, sql in SUMS.items():
        assert repriced.all(sql) == fresh.all(sql), name
    assert repriced.one("SELECT COUNT(*) FROM bodies") == fresh.one("SELECT COUNT(*) FROM bodies") == 3


def test_what_was_billed_otherwise_meanwhile_is_left_alone(hand: Hand) -> None:
    """A bill is written only onto the figure it was worked out from; a row that is gone is no error."""
    hand.insert(make_row(id="a", estimated_cost=1.0))
    seq = hand.one("SELECT seq FROM spans")
    bills = [NewBill(seq, 2.0, 3.0, None, {}), NewBill(99, 1.0, 3.0, None, {})]
    assert hand.transact(lambda c: rewrite_bills(c, hand.counters, 5, bills)) == []
    assert hand.one("SELECT estimated_cost FROM spans") == 1.0


def test_listeners_hear_of_it(live: Live) -> None:
    """A rewrite tells of its rows as changed, gives their number, and hands its error to who asked."""
    live.put(make_row(id="a", estimated_cost=1.0))
    seq = live.one("SELECT seq FROM spans")
    bills = [NewBill(seq, 1.0, 2.0, "k", {"lines": []})]
    done = live.database.rewrite(lambda c, counters: rewrite_bills(c, counters, 5, bills))
    assert done.result(PATIENCE_S) == 1
    told = live.batches[-1]
    assert (told.rows[0]["estimated_cost"], told.updated) == (2.0, {seq})

    def broken(*_: Any) -> Any:
        raise StoreError("no")

    with pytest.raises(StoreError):
        live.database.rewrite(broken).result(PATIENCE_S)
    assert live.database.rewrite(lambda *_: []).result(PATIENCE_S) == 0
    assert live.read(totals)["total_cost"] == 2.0


def test_stock_counts_bytes_of_each_part(hand: Hand) -> None:
    """What is stored is told by kind, for all or for the traces a filter finds; a cutoff frees what is wanted."""
    for number in range(10):
        hand.insert(
            make_row("x" * 1000, id=f"{number}", start_ns=(number + 1) * 10**9, tags=["odd"] if number % 2 else [])
        )
    whole = stock(hand.connection, Filter())
    assert (whole["traces"], whole["spans"], whole["oldest"], whole["logs"]) == (10, 10, 1000, 0)
    assert whole["parts"] == [{"part": "request", "count": 10, "stored": 10_000, "size": 10_000}]
    odd = stock(hand.connection, Filter.from_query({"tag": "odd"}))
    assert (odd["traces"], odd["bodies"], odd["oldest"], "logs" in odd) == (5, 5000, 2000, False)
    assert stock(hand.connection, Filter(), 2**40)["cutoff"] is None
    used = whole["file"]["used"]
    few = stock(hand.connection, Filter(), used - 1)["cutoff"]
    assert few == {"date_to": 1000, "traces": 1}
    assert stock(hand.connection, Filter(), 1)["cutoff"] == {"date_to": 10_000, "traces": 10}
