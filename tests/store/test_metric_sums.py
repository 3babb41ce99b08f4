"""What metrics come to: temporality honoured, resets detected, whatever order points arrive in."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_help import Hand, make_point

from llmflow_web.store.metric_sums import metric_series, metric_summary, token_usage
from llmflow_web.store.metrics import MetricQuery

DELTA = {"metric_type": "sum", "temporality": "delta", "is_monotonic": True}
CUMULATIVE = {"metric_type": "sum", "temporality": "cumulative", "is_monotonic": True}


def _cumulative(key, ms, value, start_ms, **more):
    return make_point(key, ms, value_int=value, start_ns=start_ms * 1_000_000, **({**CUMULATIVE} | more))


def _total(hand, **query):
    return metric_summary(hand.connection, MetricQuery(**query))[0]["total"]


def test_delta_points_add_up(hand):
    """The contract's summary of a delta sum."""
    hand.commit(make_point("1", 1, value_int=5, **DELTA), make_point("2", 2, value_int=7, **DELTA))
    assert metric_summary(hand.connection) == [
        {"name": "m", "service_name": None, "metric_type": "sum", "data_points": 2, "first_seen": 1, "last_seen": 2,
         "sum_int": 12, "avg_double": None, "max_int": 7, "min_int": 5, "total": 12, "observations": None,
         "unit": None, "temporality": "delta"}
    ]  # fmt: skip


def test_cumulative_points_count_by_their_growth(hand):
    """Last value per start time; a smaller value and a new start time are resets."""
    hand.commit(_cumulative("1", 1, 10, 0), _cumulative("2", 2, 25, 0), _cumulative("3", 3, 30, 0))
    assert _total(hand) == 30
    hand.commit(_cumulative("4", 4, 4, 0))  # the counter began anew without saying so
    assert _total(hand) == 34
    hand.commit(_cumulative("5", 6, 50, 5))
    assert _total(hand) == 84


def test_a_count_that_may_fall_is_no_reset(hand):
    """A cumulative sum that is not monotonic comes to its last value."""
    hand.commit(*(_cumulative(str(n), n, value, 0, is_monotonic=False) for n, value in enumerate([10, 4, 6])))
    assert _total(hand) == 6


def test_series_are_kept_apart_and_then_added(hand):
    """Two processes' counters are not taken for one counter that jumps."""
    for n in range(3):
        hand.commit(_cumulative(f"a{n}", n, 100 + n, 0, series="a"), _cumulative(f"b{n}", n, 1 + n, 0, series="b"))
    assert _total(hand) == 102 + 3


def test_gauges_are_never_added(hand):
    """A gauge has no total; its doubles have a mean."""
    hand.commit(*(make_point(str(n), n, metric_type="gauge", value_double=float(n)) for n in range(3)))
    found = metric_summary(hand.connection)[0]
    assert (found["total"], found["sum_int"], found["avg_double"]) == (None, None, 1.0)


@pytest.mark.parametrize("kind", ["histogram", "exponential_histogram", "summary"])
def test_distributions_count_observations_and_their_sum(hand, kind):
    """Cumulative distributions grow, too; the average is per observation."""
    temporality = None if kind == "summary" else "cumulative"
    for n, (count, total) in enumerate([(2, 10.0), (5, 40.0), (1, 3.0)]):  # the last one: a reset
        hand.commit(make_point(str(n), n, metric_type=kind, temporality=temporality, value_int=count,
                               value_double=total))  # fmt: skip
    found = metric_summary(hand.connection)[0]
    assert (found["observations"], found["sum_int"], found["total"]) == (6, 6, 43.0)
    assert found["avg_double"] == pytest.approx(43 / 6)


def test_a_window_counts_what_grew_within_it(hand):
    """With dates a cumulative sum counts from the last point before them, not from nothing."""
    hand.commit(*(_cumulative(str(n), n * 10, 100 * n, 0) for n in range(1, 5)))
    assert _total(hand, date_from=25, date_to=35) == 100
    assert _total(hand, date_from=5, date_to=15) == 0  # grew since 0: how much of it since 5 is not known
    assert _total(hand, date_from=0, date_to=15) == 100


def _tokens(key, ms, value, kind, **more):
    attributes = more.pop("attributes", {"model": "x", "type": kind})
    return make_point(key, ms, more.pop("name", "claude_code.token.usage"), value_double=value, unit="tokens",
                      service_name="cc", attributes=attributes, **({**DELTA} | more))  # fmt: skip


def test_token_usage_is_per_service_model_kind_and_metric(hand):
    """Doubles count like ints; old and new attribute names are known; sums are right."""
    hand.commit(
        _tokens("1", 1, 5.0, "input"),
        _tokens("2", 2, 7.0, "input"),
        _tokens("3", 3, 2.0, "output"),
        _tokens("4", 4, 30.0, "", name="gen_ai.client.token.usage", metric_type="histogram", value_int=3,
                attributes={"gen_ai.response.model": "y", "gen_ai.token.type": "input"}),
    )  # fmt: skip
    first, second, third = token_usage(hand.connection)
    assert first == {"service_name": "cc", "model": "y", "token_type": "input", "name": "gen_ai.client.token.usage",
                     "total_tokens": 30}  # fmt: skip
    assert (second["token_type"], second["total_tokens"]) == ("input", 12)
    assert (third["token_type"], third["total_tokens"]) == ("output", 2)


def test_token_usage_counts_nothing_but_tokens(hand):
    """Cost, seconds per token and gauges of memory have such names, too."""
    hand.commit(
        make_point("1", 1, "claude_code.cost.usage", value_double=3.0, unit="USD", **DELTA),
        make_point("2", 1, "gen_ai.server.time_per_output_token", value_double=3.0, unit="s", metric_type="histogram"),
        make_point("3", 1, "process.memory.usage", value_int=3, unit="By", **CUMULATIVE),
        make_point("4", 1, "token.limit", value_int=3, metric_type="gauge"),
    )
    assert token_usage(hand.connection) == []


def test_token_usage_of_a_session(hand):
    """The filters of the lists narrow it."""
    hand.commit(_tokens("1", 1, 5.0, "input", session_id="s"), _tokens("2", 1, 6.0, "output", session_id="t"))
    assert [row["total_tokens"] for row in token_usage(hand.connection, MetricQuery(session_id="s"))] == [5]


def test_a_metric_over_time(hand):
    """Equal buckets, gaps filled: growth of sums, mean of gauges and of observations."""
    hand.commit(*(_cumulative(str(n), n * 10, 5 * n, 0) for n in range(1, 5)))
    found = metric_series(hand.connection, MetricQuery(name="m"), 15, 54, 4)
    assert (found["bucket_ms"], found["metric_type"]) == (10, "sum")
    assert found["points"] == [
        {"timestamp": 15, "value": 5, "count": 1},
        {"timestamp": 25, "value": 5, "count": 1},
        {"timestamp": 35, "value": 5, "count": 1},
        {"timestamp": 45, "value": 0, "count": 0},
    ]
    hand.commit(make_point("g1", 1, "g", metric_type="gauge", value_double=1.0),
                make_point("g2", 2, "g", metric_type="gauge", value_double=2.0),
                make_point("h", 1, "h", metric_type="histogram", value_int=4, value_double=10.0))  # fmt: skip
    assert metric_series(hand.connection, MetricQuery(name="g"), 0, 9, 1)["points"][0]["value"] == 1.5
    (point,) = metric_series(hand.connection, MetricQuery(name="h"), 0, 9, 1)["points"]
    assert (point["value"], point["count"]) == (2.5, 4)
    assert metric_series(hand.connection, MetricQuery(name="none"), 0, 9, 2)["points"][1]["value"] == 0
    assert len(metric_series(hand.connection, MetricQuery(name="m"), 0, 10**12, 5000)["points"]) == 200


_POINTS = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 2), st.integers(0, 9)), max_size=8, unique_by=lambda p: p[:2]
)


@settings(max_examples=30, deadline=None)
@given(points=_POINTS, data=st.data())
def test_any_order_of_arrival_gives_the_same_sums(points, data):
    """Points are ordered by their own time and start, never by arrival."""
    made = [_cumulative(f"{ms}/{start}", ms, value, start) for ms, start, value in points]
    totals = []
    for order in (made, data.draw(st.permutations(made))):
        with tempfile.TemporaryDirectory() as folder:
            hand = Hand(Path(folder))
            for point in order:
                hand.commit(point)
            totals.append([(row["total"], row["max_int"]) for row in metric_summary(hand.connection)])
            hand.connection.close()
    assert totals[0] == totals[1]
