"""Pruning and deleting: whole traces, oldest first, everything that hangs on them, space given back."""

from __future__ import annotations

import os

import pytest
from store_help import PATIENCE_S, make_log, make_point, make_row, wait_until

from llmflow_web.errors import StoreError
from llmflow_web.store import stats
from llmflow_web.store.limits import Limits
from llmflow_web.store.retention import live_bytes
from llmflow_web.wire.filter import Filter

TABLES = ("spans", "traces", "span_tags", "bodies", "search", "sessions")


def _counts(hand):
    return {table: hand.one(f"SELECT COUNT(*) FROM {table}") for table in TABLES}


def test_the_oldest_arrivals_go_first_and_whole(make_hand):
    """Over max_spans the traces that arrived first go, with all their spans, however old those call themselves."""
    hand = make_hand(max_spans=4, spare_s=0)
    hand.insert(make_row(trace_id="first", start_ns=9 * 10**18), make_row(trace_id="second"))
    hand.insert(*(make_row(trace_id="first") for _ in range(2)))
    hand.insert(make_row(trace_id="third"), make_row(trace_id="fourth"))
    hand.now += 1
    assert hand.prune() == ["first"]
    assert hand.counters.spans == hand.one("SELECT COUNT(*) FROM spans") == 3


def test_young_traces_are_spared(make_hand):
    """What arrived less than a minute ago stays, however much there is; later it goes."""
    hand = make_hand(max_spans=1)
    hand.insert(*(make_row() for _ in range(5)))
    hand.now += 59
    assert hand.prune() == []
    hand.now += 6
    assert len(hand.prune()) == 4


def test_everything_goes_with_a_trace(make_hand):
    """Bodies, tags, search rows and session sums go; the statistics stay."""
    hand = make_hand(max_spans=1, spare_s=0)
    hand.insert(make_row("text", tags=["t"], session_id="old"), make_row("text", tags=["t"], session_id="new"))
    hand.feed()
    hand.now += 1
    hand.prune()
    assert _counts(hand) == dict.fromkeys(TABLES, 1)
    assert hand.all("SELECT session_id, span_count, trace_count FROM sessions") == [("new", 1, 1)]
    assert stats.totals(hand.connection)["total_requests"] == 2


def test_age_counts_from_arrival(make_hand):
    """max_age_s prunes what arrived longer ago, also when nothing else is over a limit."""
    hand = make_hand(max_age_s=100.0, spare_s=0)
    hand.insert(make_row(trace_id="old", start_ns=9 * 10**18))
    hand.now += 99
    hand.insert(make_row(trace_id="new", start_ns=1))
    assert hand.prune() == []
    hand.now += 2
    assert hand.prune() == ["old"]


def test_size_counts_bytes_in_use(make_hand):
    """Over max_bytes the oldest go until the pages in use fit; free pages do not count."""
    hand = make_hand(max_bytes=450_000, spare_s=0, prune_rows=5)
    for _ in range(40):
        hand.insert(make_row(os.urandom(10_000).hex()))
    hand.now += 1
    assert live_bytes(hand.connection) > 600_000
    assert hand.prune()
    assert 300_000 < live_bytes(hand.connection) <= 450_000


def test_logs_and_metrics_have_their_own_limits(make_hand):
    """max_logs and max_metrics keep the newest arrivals, however old those call themselves; empty series go."""
    hand = make_hand(max_logs=2, max_metrics=1)
    hand.commit(*(make_log(str(n), 10 - n) for n in range(5)), *(make_point(str(n), n, f"m{n}") for n in range(3)))
    assert (hand.counters.logs, hand.counters.metrics) == (5, 3)
    hand.prune()
    assert hand.all("SELECT id FROM logs ORDER BY seq") == [("3",), ("4",)]
    assert hand.all("SELECT name FROM metric_series") == hand.all("SELECT name FROM metrics") == [("m2",)]
    assert (hand.counters.logs, hand.counters.metrics) == (2, 1)


def test_logs_and_metrics_age_like_traces(make_hand):
    """max_age_s counts from arrival for all three."""
    hand = make_hand(max_age_s=100.0, spare_s=0)
    hand.commit(make_log("old", 10**9), make_point("old", 10**9))
    hand.now += 99
    hand.commit(make_log("new"), make_point("new"))
    assert (hand.prune(), hand.counters.logs) == ([], 2)
    hand.now += 2
    hand.prune()
    assert hand.all("SELECT id FROM logs UNION ALL SELECT id FROM metrics") == [("new",), ("new",)]


def test_a_full_file_lets_go_of_what_arrived_first(make_hand):
    """Over max_bytes logs go as well as traces, whichever is older: a flood of logs does not push out every trace."""
    hand = make_hand(max_bytes=450_000, spare_s=0, prune_rows=5)
    hand.commit(*(make_log(str(n), body=os.urandom(10_000).hex()) for n in range(40)))
    hand.now += 1
    hand.insert(make_row("young", trace_id="young"))
    hand.now += 1
    hand.prune()
    assert live_bytes(hand.connection) <= 450_000
    assert 0 < hand.counters.logs < 40
    assert hand.one("SELECT trace_id FROM traces") == "young"


def test_the_logs_of_a_deleted_trace_go_with_it(hand):
    """Who deletes a trace wants it gone, and what its app said of it; other logs stay, and pruning spares them."""
    hand.commit(make_row(trace_id="t"), make_log("1", trace_id="t"), make_log("2", trace_id="u"), make_log("3"))
    hand.delete("t")
    assert hand.all("SELECT id FROM logs ORDER BY id") == [("2",), ("3",)]
    assert hand.counters.logs == 2


def test_an_insert_costs_no_counting(make_hand):
    """No statement of an insert reads more than the rows it touches: no COUNT, no scan."""
    hand = make_hand(max_spans=1)
    hand.insert(make_row())
    said = []
    hand.connection.set_trace_callback(said.append)
    hand.insert(make_row(tags=["t"]))
    hand.connection.set_trace_callback(None)
    assert said
    assert not any("COUNT(" in sql for sql in said)


def test_an_explicit_deletion_takes_back_its_share(live):
    """delete_traces by ids: every sum is as if the traces had never been, and the batch names them."""
    live.put(make_row(trace_id="stays", model="m"), make_row(trace_id="goes", model="m"), make_row(trace_id="goes"))
    assert live.database.delete_traces(["goes", "unknown"]).result(PATIENCE_S) == 2
    wait_until(lambda: live.batches[-1].deleted)
    assert live.batches[-1].deleted == ({"trace_id": "goes"},)
    assert live.batches[-1].stats_changed
    totals = live.read(stats.totals)
    assert (totals["total_requests"], totals["total_cost"]) == (1, 0.25)
    assert [model["model"] for model in totals["models"]] == ["m"]


def test_deleting_by_filter_takes_the_whole_traces(live):
    """One span that matches takes its trace with it."""
    live.put(make_row(trace_id="t", model="odd"), make_row(trace_id="t"), make_row(trace_id="u"))
    assert live.database.delete_traces(Filter.from_query({"model": "odd"})).result(PATIENCE_S) == 2
    assert live.one("SELECT trace_id FROM spans") == "u"


def test_deleting_finds_what_was_just_put(live):
    """A deletion asked for after a put sees its rows."""
    live.database.put([make_row(trace_id="t")], 10)
    assert live.database.delete_traces(["t"]).result(PATIENCE_S) == 1


def test_deleting_nothing_answers_at_once(live):
    """No trace, no spans, nothing to erase."""
    assert live.database.delete_traces([]).result(PATIENCE_S) == 0
    wait_until(lambda: live.database.is_erased)


def test_a_large_deletion_lets_rows_through(make_live):
    """It works in pieces: rows put meanwhile are committed before it is done."""
    live = make_live(limits=Limits(batch_s=0.001, prune_rows=10))
    live.put(*(make_row("text") for _ in range(600)))
    seen = []
    future = live.database.delete_traces(Filter())
    future.add_done_callback(lambda _: seen.append("deleted"))
    wait_until(lambda: any(batch.deleted for batch in live.batches))
    live.database.call(lambda c: seen.append("job")).result(PATIENCE_S)
    assert future.result(PATIENCE_S) == 600
    assert seen[0] == "job"
    assert live.one("SELECT COUNT(*) FROM spans") == 0


def test_a_closed_database_deletes_nothing(make_live):
    """The answer is an error, not silence."""
    live = make_live()
    live.database.close()
    with pytest.raises(StoreError):
        live.database.delete_traces(["t"]).result(PATIENCE_S)


def test_the_writer_prunes_by_itself_and_gives_space_back(make_live):
    """Over the limit the running writer deletes the oldest, tells of it, and the file shrinks."""
    hours = [0.0]
    live = make_live(
        limits=Limits(batch_s=0.001, max_spans=20, spare_s=60), clock=lambda: hours[0] * 3600, texts=lambda *_: ""
    )
    live.put(*(make_row(os.urandom(200_000).hex()) for _ in range(100)))
    live.settle()
    assert live.one("SELECT COUNT(*) FROM spans") == 100  # all too young to go
    full = live.one("PRAGMA page_count")
    assert full > 5000
    hours[0] = 1.0
    live.put(make_row())
    wait_until(lambda: live.one("SELECT COUNT(*) FROM spans") == 20)
    wait_until(lambda: sum(len(batch.deleted) for batch in live.batches) == 81)
    wait_until(lambda: live.one("PRAGMA freelist_count") <= 1300)  # kept for the rows to come
    assert live.one("PRAGMA page_count") < full / 2


def test_prune_now_leaves_no_slack(make_live):
    """prune() goes down to the limit itself and wipes what went."""
    live = make_live(limits=Limits(batch_s=0.001, max_spans=640, spare_s=0))
    live.put(*(make_row("zyxold" if n == 0 else "new") for n in range(645)))
    live.settle()
    assert live.one("SELECT COUNT(*) FROM spans") == 645
    live.database.prune().result(PATIENCE_S)
    live.settle()
    assert live.one("SELECT COUNT(*) FROM spans") == 640
    assert live.database.is_erased
    assert b"zyxold" not in live.database.path.read_bytes()
