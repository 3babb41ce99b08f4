"""One call, one row: what an app tells of a call gives way to the call as we saw it, in whatever order they come."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_help import START_NS, Hand, make_row

from llmflow_web.model import Row, Span
from llmflow_web.store import stats
from llmflow_web.store.joins import WINDOW_NS
from llmflow_web.store.spans import get_span, outline, tree

S = 10**9


def _ours(key="ours", **columns):
    base = {"id": key, "trace_id": f"trace-{key}", "source": "passthrough", "start_ns": START_NS + S // 10}
    return make_row(**(base | columns))


def _told(key="told", **columns):
    base = {"id": key, "trace_id": f"trace-{key}", "source": "otlp", "span_type": "llm", "start_ns": START_NS}
    return make_row(**(base | columns))


def _bare_http(key, trace_id, parent_id):
    return _told(key, trace_id=trace_id, parent_id=parent_id, span_type="custom", total_tokens=None, model=None,
                 prompt_tokens=None, completion_tokens=None, estimated_cost=None)  # fmt: skip


def _joined(hand):
    return dict(hand.all("SELECT id, joined_to FROM spans WHERE joined_to IS NOT NULL"))


def _sums(hand):
    totals = stats.totals(hand.connection)
    return totals["total_requests"], totals["total_tokens"], totals["total_cost"]


@pytest.mark.parametrize("name", ["response_id", "request_id"])
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("is_one_batch", [True, False])
def test_a_call_told_of_by_its_app_is_joined_by_id(hand, name, order, is_one_batch):
    """In either order, in one batch or two: the app's span names our row and only its trace's sums have it still."""
    both = [_ours(**{name: "x1"}), _told(**{name: "x1"}, session_id="s")]
    rows = [both[at] for at in order]
    for batch in [rows] if is_one_batch else [[row] for row in rows]:
        hand.insert(*batch)
    assert _joined(hand) == {"told": "ours"}
    assert _sums(hand) == (1, 30, 0.25)
    assert hand.all("SELECT tokens, cost FROM traces") == [(30, 0.25), (30, 0.25)]
    assert hand.all("SELECT tokens, cost, span_count FROM sessions") == [(30, 0.25, 2)]
    assert get_span(hand.connection, "told")["total_tokens"] == 30


def test_other_calls_are_left_alone(hand):
    """Another id, no id, another kind of span, a call an hour and more away: no join."""
    hand.insert(
        _ours(response_id="x1"),
        _told("other", response_id="x2"),
        _told("none"),
        _told("agent", span_type="agent", response_id="x1"),
        _told("late", response_id="x1", start_ns=START_NS + WINDOW_NS + S),
    )
    assert _joined(hand) == {}
    assert _sums(hand)[0] == 5


def test_the_response_id_says_more_than_the_request_id(hand):
    """Where the two lead to different calls."""
    hand.insert(_ours("a", request_id="q"), _ours("b", response_id="r"), _told(request_id="q", response_id="r"))
    assert _joined(hand) == {"told": "b"}


def test_an_id_that_turns_up_again_leads_to_the_nearest_call(hand):
    """Canned answers have the same id each time: each of the app's spans is joined to its own call."""
    for n in (2, 0, 1):
        hand.insert(_told(f"told{n}", response_id="same", start_ns=START_NS + 10 * n * S))
    for n in (1, 2, 0):
        hand.insert(_ours(f"ours{n}", response_id="same", start_ns=START_NS + (10 * n + 1) * S))
    assert _joined(hand) == {"told0": "ours0", "told1": "ours1", "told2": "ours2"}


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (0, 2, 1)])
def test_a_call_is_joined_along_its_trace(hand, order):
    """traceparent: our row hangs below the app's span, through the span of its HTTP client, whichever comes last."""
    rows = [
        _told(trace_id="t"),
        _bare_http("http", "t", "told"),
        _ours(trace_id="t", parent_id="http"),
    ]  # fmt: skip
    for at in order:
        hand.insert(rows[at])
    assert _joined(hand) == {"told": "ours"}
    assert hand.all("SELECT tokens, cost FROM traces") == [(30, 0.25)]
    assert hand.all("SELECT id FROM spans WHERE is_root") == [("told",)]  # the trace is still listed


def test_only_three_ancestors_are_asked(hand):
    """A span further up is no record of the call; its usage is counted once all the same."""
    chain = [_told(f"c{n}", trace_id="t", parent_id=f"c{n - 1}" if n else "told", span_type="chain") for n in range(3)]
    hand.insert(_told(trace_id="t"), *chain, _ours(trace_id="t", parent_id="c2"))
    assert _joined(hand) == {}
    assert hand.all("SELECT id FROM spans WHERE counts") == [("ours",)]


def test_the_nearest_span_above_a_call_is_its_record(hand):
    """An outer llm span is none, also when the inner one comes later."""
    hand.insert(_told("outer", trace_id="t"), _ours(trace_id="t", parent_id="inner"))
    hand.insert(_told("inner", trace_id="t", parent_id="outer"))
    assert _joined(hand) == {"inner": "ours"}


def test_of_several_tries_the_last_success_is_the_call(hand):
    """A client that tries again makes two calls below one span."""
    hand.insert(
        _told(trace_id="t"),
        _ours("busy", trace_id="t", parent_id="told", status=429),
        _ours("done", trace_id="t", parent_id="told", start_ns=START_NS + S),
        _ours("broken", trace_id="t", parent_id="told", status=500, start_ns=START_NS + 2 * S),
    )
    assert _joined(hand) == {"told": "done"}


def test_what_is_derived_from_logs_gives_way_to_the_apps_own_span(hand):
    """And both to the call as we saw it."""
    hand.insert(_told("log", request_id="q", derived=True))
    assert _sums(hand)[0] == 1
    hand.insert(_told("span", request_id="q", start_ns=START_NS + S))
    assert _joined(hand) == {"log": "span"}
    hand.insert(_ours(request_id="q"))
    assert _joined(hand) == {"log": "ours", "span": "ours"}
    assert _sums(hand) == (1, 30, 0.25)
    assert hand.delete("trace-ours") == 1
    assert _joined(hand) == {"log": "span"}
    assert hand.delete("trace-span") == 1
    assert _joined(hand) == {}
    assert _sums(hand) == (1, 30, 0.25)


def test_two_spans_of_an_app_with_one_id_both_stay(hand):
    """Without a call of ours nobody can say which of them counts: only what is derived gives way."""
    hand.insert(_told("a", response_id="x"), _told("b", response_id="x"))
    assert _joined(hand) == {}


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
@pytest.mark.parametrize("is_one_batch", [True, False])
def test_a_call_an_app_tells_of_twice_side_by_side_counts_once(hand, order, is_one_batch):
    """Two instrumentations, neither span below the other, one answer: the outer one counts, in whatever order."""
    same = {"trace_id": "t", "parent_id": "root", "response_id": "x"}
    rows = [
        _told("outer", duration_ns=2 * S, **same),
        _told("inner", start_ns=START_NS + S // 10, duration_ns=S, **same),
        _bare_http("root", "t", None),
    ]
    for batch in [[rows[at] for at in order]] if is_one_batch else [[rows[at]] for at in order]:
        hand.insert(*batch)
    assert _joined(hand) == {"inner": "outer"}
    assert _sums(hand)[1:] == (30, 0.25)
    assert hand.all("SELECT tokens, cost FROM traces") == [(30, 0.25)]
    (root,) = tree(hand.connection, "t")["spans"]
    assert [one["id"] for one in root["children"]] == ["outer", "inner"]


def test_the_call_we_saw_counts_for_both_spans_of_an_app(hand):
    """And when our row is deleted, the outer one does again."""
    same = {"trace_id": "t", "parent_id": "root", "response_id": "x"}
    hand.insert(_told("outer", duration_ns=2 * S, **same), _told("inner", duration_ns=S, **same))
    hand.insert(_ours(response_id="x"))
    assert _joined(hand) == {"outer": "ours", "inner": "ours"}
    assert hand.delete("trace-ours") == 1
    assert _joined(hand) == {"inner": "outer"}
    assert _sums(hand)[1:] == (30, 0.25)


def test_a_call_stays_below_the_inner_of_two_spans_of_an_app(hand):
    """Where it stands by its parent; the outer span only names it."""
    same = {"trace_id": "t", "parent_id": "root", "response_id": "x"}
    hand.insert(
        _bare_http("root", "t", None),
        _told("outer", duration_ns=2 * S, **same),
        _told("inner", duration_ns=S, **same),
        _ours(trace_id="t", parent_id="inner", response_id="x"),
    )
    assert _joined(hand) == {"outer": "ours", "inner": "ours"}
    (root,) = tree(hand.connection, "t")["spans"]
    assert [[below["id"] for below in one["children"]] for one in root["children"]] == [[], ["ours"]]


def _of_traces(hand):
    return hand.all("SELECT trace_id, tokens, cost FROM traces ORDER BY trace_id")


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_a_trace_costs_what_its_tree_draws(hand, order):
    """A call of another trace that two of its spans tell of is in its sums once, and stays when our row is pruned."""
    same = {"trace_id": "t", "parent_id": "root", "response_id": "x"}
    rows = [
        _told("outer", duration_ns=2 * S, **same),
        _told("inner", start_ns=START_NS + S // 10, duration_ns=S, **same),
        _ours(response_id="x"),
    ]
    for at in order:
        hand.insert(rows[at])
    assert _joined(hand) == {"outer": "ours", "inner": "ours"}
    assert _of_traces(hand) == [("t", 30, 0.25), ("trace-ours", 30, 0.25)]
    hand.insert(_told("outer", duration_ns=2 * S, **same | {"total_tokens": 31}))
    assert _of_traces(hand)[0] == ("t", 31, 0.25)
    hand.insert(_told("outer", duration_ns=2 * S, **same | {"response_id": "y"}))
    assert _of_traces(hand)[0] == ("t", 60, 0.5)
    assert _sums(hand) == (2, 60, 0.5)
    hand.delete("trace-ours")
    assert _of_traces(hand) == [("t", 60, 0.5)]


def test_calls_one_after_the_other_are_two_also_when_their_answers_have_one_id(hand):
    """Canned answers repeat their ids; so do calls below different spans."""
    same = {"trace_id": "t", "response_id": "x", "duration_ns": S}
    hand.insert(
        _told("first", parent_id="root", **same),
        _told("second", parent_id="root", start_ns=START_NS + S, **same),
        _told("elsewhere", parent_id="other", **same),
        _told("without", **same),
    )
    assert _joined(hand) == {}
    assert _sums(hand)[0] == 4


def test_deleting_our_row_lets_the_apps_count_again(hand):
    """All sums are as if our row had never been."""
    hand.insert(_ours(response_id="x"), _told(response_id="x", session_id="s"))
    hand.delete("trace-ours")
    assert _joined(hand) == {}
    assert _sums(hand) == (1, 30, 0.25)
    assert hand.all("SELECT tokens, cost FROM traces") == [(30, 0.25)]
    assert hand.all("SELECT tokens, cost FROM sessions") == [(30, 0.25)]
    assert hand.ids(roots="1") == ["told"]


def test_pruning_our_row_does_not(make_hand):
    """Pruned rows stay in the statistics: the app's span stays out of them, also when it is told of again."""
    hand = make_hand(max_spans=1, spare_s=0)
    hand.insert(_ours(response_id="x"))
    hand.now += 1
    hand.insert(_told(response_id="x"))
    hand.now += 1
    assert hand.prune() == ["trace-ours"]
    hand.insert(_told(response_id="x", total_tokens=31))
    assert _joined(hand) == {"told": "ours"}
    assert _sums(hand) == (1, 30, 0.25)


def test_lists_of_roots_show_the_call_once(hand):
    """The row that gave way to one of another trace is no root, but a span like any other."""
    hand.insert(_told(response_id="x"))
    assert hand.ids(roots="1") == ["told"]
    hand.insert(_ours(response_id="x"))
    assert hand.ids(roots="1") == ["ours"]
    assert sorted(hand.ids()) == ["ours", "told"]
    assert (hand.ids(joined="0"), hand.ids(joined="1")) == (["ours"], ["told"])


def test_the_live_screen_hears_of_a_join(live):
    """The app's span comes again as an update, with joined_to and no longer a root; the same as a query gives."""
    live.put(_told(response_id="x"))
    live.put(_ours(response_id="x"))
    ours, told = live.batches[-1].rows
    assert (told["joined_to"], told["is_root"], ours["is_root"]) == ("ours", False, True)
    live.put(_told("again", response_id="x"))
    (again,) = live.batches[-1].rows
    assert (again["joined_to"], again["is_root"], again["trace_tokens"]) == ("ours", False, 30)
    stored = live.read(get_span, "again")
    assert again == {name: stored[name] for name in again}


def _outline(rows):
    return {row["id"]: _outline(row["children"]) for row in rows}


def test_the_tree_shows_the_call_below_the_span_that_is_joined_to_it(hand):
    """From another trace, from elsewhere in this one, and where it hangs already; once, below what is not derived."""
    hand.insert(_told("agent", span_type="agent", trace_id="t"),
                _told("log", trace_id="t", parent_id="agent", response_id="x", derived=True),
                _told("span", trace_id="t", parent_id="agent", response_id="x", start_ns=START_NS + S))  # fmt: skip
    hand.insert(_ours(response_id="x"))
    found = tree(hand.connection, "t")["spans"]
    assert _outline(found) == {"agent": {"log": {}, "span": {"ours": {}}}}
    call = found[0]["children"][1]["children"][0]
    assert (call["trace_id"], call["joined_from"]) == ("trace-ours", "span")
    assert _outline(tree(hand.connection, "ours")["spans"]) == {"ours": {}}
    drawn = outline(hand.connection, "t")["spans"]
    assert _outline(drawn) == _outline(found)
    call = drawn[0]["children"][1]["children"][0]
    assert (call["trace_id"], call["joined_from"]) == ("trace-ours", "span")
    hand.insert(_told("near", trace_id="u", response_id="y"), _ours("beside", trace_id="u", response_id="y"))
    assert _outline(tree(hand.connection, "u")["spans"]) == {"near": {"beside": {}}}
    hand.insert(
        _told("above", trace_id="v"), _bare_http("http", "v", "above"), _ours("deep", trace_id="v", parent_id="http")
    )
    assert _outline(tree(hand.connection, "v")["spans"]) == {"above": {"http": {"deep": {}}}}


def test_a_span_says_nothing_of_joins_itself(hand):
    """joined_to of what comes in is not believed: an imported file is joined anew."""
    hand.insert(_told(joined_to="somebody"))
    assert _joined(hand) == {}
    assert _sums(hand)[0] == 1


def test_a_new_version_of_a_span_can_be_joined_or_parted(hand):
    """Told of at its start without an id, at its end with one; corrected once more."""
    hand.insert(_ours(response_id="x"), _told())
    hand.insert(_told(response_id="x"))
    assert _joined(hand) == {"told": "ours"}
    hand.insert(_told(response_id="y"))
    assert _joined(hand) == {}
    assert _sums(hand) == (2, 60, 0.5)


# Any order, any batches: the same rows come to the same joins and sums.

_IDS = ["a", "b", "c", "d", "e", "f"]
_COLUMNS = st.fixed_dictionaries(
    {
        "trace_id": st.sampled_from(["t1", "t2"]),
        "parent_id": st.sampled_from([None, *_IDS]),
        "source": st.sampled_from(["proxy", "otlp", "otlp", "sdk"]),
        "span_type": st.sampled_from(["llm", "llm", "agent", "tool"]),
        "start_ns": st.sampled_from([START_NS, START_NS + S, START_NS + 2 * S]),
        "duration_ns": st.sampled_from([None, S, 3 * S]),
        "status": st.sampled_from([200, 500]),
        "response_id": st.sampled_from([None, None, "r1", "r2"]),
        "request_id": st.sampled_from([None, None, "q1"]),
        "total_tokens": st.sampled_from([None, 8, 64]),
        "estimated_cost": st.sampled_from([None, 0.125]),
        "session_id": st.sampled_from([None, "s"]),
        "derived": st.booleans(),
        "counts": st.sampled_from([True, True, True, False]),
    }
)
_TREE = st.lists(_COLUMNS, min_size=2, max_size=len(_IDS))


def _spans(columns):
    return [
        Span(**(one | {"id": key, "derived": one["derived"] and one["source"] == "otlp"}))
        for key, one in zip(_IDS, columns, strict=False)
    ]


def _state(hand):
    sums = [
        hand.all(
            f"SELECT {key}, span_count, error_count, tokens, round(cost, 9), unpriced_count FROM {table} ORDER BY 1"
        )
        for table, key in (("traces", "trace_id"), ("sessions", "session_id"))
    ]
    rollup = hand.all("SELECT * FROM rollup ORDER BY 1, 2, 3, 4, 5")
    return sums, rollup, hand.all("SELECT id, joined_to, counts FROM spans ORDER BY id")


@settings(max_examples=50, deadline=None)
@given(columns=_TREE, data=st.data())
def test_any_order_of_arrival_gives_the_same_joins_and_sums(columns, data):
    """Spans one by one or together, forwards or shuffled, told of twice, some deleted and put back: the same state."""
    spans = _spans(columns)
    shuffled = data.draw(st.permutations(spans))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(spans)), max_size=3)))
    again = data.draw(st.lists(st.sampled_from(spans), max_size=2))
    gone = data.draw(st.sampled_from([None, "t1", "t2"]))
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "one").mkdir()
        Path(folder, "two").mkdir()
        one, two = Hand(Path(folder, "one")), Hand(Path(folder, "two"))
        one.insert(*(Row(span) for span in spans if span.trace_id != gone))
        for begin, end in zip([0, *cuts], [*cuts, len(spans)], strict=True):
            two.insert(*(Row(span) for span in shuffled[begin:end]))
        if again:
            two.insert(*(Row(span) for span in again))
        if gone is not None and two.one("SELECT 1 FROM traces WHERE trace_id = ?", gone):
            two.delete(gone)
        try:
            assert _state(two) == _state(one)
        finally:
            one.connection.close()
            two.connection.close()
