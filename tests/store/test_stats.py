"""Statistics from the rollup: exact sums, percentiles within a bucket, both sets of names, no gaps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from store_help import make_row

from llmflow_web.store import stats, sums
from llmflow_web.wire.filter import Filter

HOUR = 3_600_000
NOW_MS = 1_760_000_000_000 // (24 * HOUR) * 24 * HOUR + 15 * HOUR + 1  # 15:00 UTC of some day


def _row(hours_ago: float, **columns):
    return make_row(start_ns=int((NOW_MS - hours_ago * HOUR) * 1_000_000), **columns)


def test_totals_of_an_empty_database(hand):
    """Sums are zero, error_count is null as the contract has it."""
    totals = stats.totals(hand.connection)
    assert totals["error_count"] is None
    assert (totals["total_requests"], totals["total_cost"], totals["avg_duration"]) == (0, 0, 0)
    assert totals["models"] == []


def test_totals_add_up(hand):
    """All spans that count, unknown costs visible, models by count."""
    hand.insert(_row(1), _row(2, status=500, duration_ns=500_000_000), _row(3, model=None, estimated_cost=None))
    totals = stats.totals(hand.connection)
    assert (totals["total_requests"], totals["total_tokens"], totals["total_cost"]) == (3, 90, 0.5)
    assert (totals["total_duration"], totals["avg_duration"]) == (3500.0, 1166.667)
    assert (totals["error_count"], totals["unpriced_count"]) == (1, 1)
    assert [(m["model"], m["count"], m["tokens"], m["cost"]) for m in totals["models"]] == [
        ("gpt-4o", 2, 60, 0.5),
        (None, 1, 30, 0),
    ]


def test_filtered_totals_agree_with_the_rollup(hand):
    """A filter that lets everything through gives the same figures by scanning as the rollup does."""
    hand.insert(*(_row(n, model=f"m{n % 3}", status=[200, 429, None][n % 3], estimated_cost=[None, 0.5][n % 2],
                       total_tokens=[None, 9][n % 2], counts=n != 4) for n in range(9)))  # fmt: skip
    assert stats.totals(hand.connection, Filter.from_query({"source": "proxy"})) == stats.totals(hand.connection)
    some = stats.totals(hand.connection, Filter.from_query({"model": "m1"}))
    assert (some["total_requests"], some["error_count"]) == (2, 2)


def test_models_have_true_figures(hand):
    """Prompt and completion tokens are counted, latency is measured, percentiles lie within their bucket."""
    hand.insert(*(_row(1, duration_ns=n * 10_000_000, ttft_ms=n * 1.0) for n in range(1, 101)))
    (model,) = stats.models(hand.connection)
    assert (model["request_count"], model["prompt_tokens"], model["completion_tokens"]) == (100, 2000, 1000)
    assert model["avg_latency"] == 505.0
    assert model["p50_ms"] == pytest.approx(500, rel=0.2)
    assert model["p95_ms"] == pytest.approx(950, rel=0.2)
    assert model["ttft_p50_ms"] == pytest.approx(50, rel=0.2)
    assert model["providers"] == ["openai"]


def test_days_without_calls_are_zero(hand):
    """days=2 gives three UTC days, oldest first, under both sets of names."""
    hand.insert(_row(1), _row(30))
    days = stats.analytics_daily(hand.connection, 2, NOW_MS)
    assert [day["requests"] for day in days] == [0, 1, 1]
    assert days[2]["date"] == "2025-10-09"
    assert days[2]["bucket"] == NOW_MS // (24 * HOUR) * 24 * HOUR
    for ours, theirs in (("tokens", "total_tokens"), ("cost", "total_cost"), ("requests", "request_count")):
        assert days[2][ours] == days[2][theirs] > 0
    assert stats.analytics_daily(hand.connection, 0, NOW_MS) == []
    assert len(stats.analytics_daily(hand.connection, 30, NOW_MS)) == 31


def test_trends_come_by_hour_or_day(hand):
    """Labels are UTC; an unknown interval is hour."""
    hand.insert(_row(1), _row(1.5))
    hours = stats.analytics_token_trends(hand.connection, "hour", 1, NOW_MS)
    assert len(hours) == 25
    assert [(h["label"], h["request_count"]) for h in hours[-3:]] == [
        ("2025-10-09 13:00", 1), ("2025-10-09 14:00", 1), ("2025-10-09 15:00", 0),
    ]  # fmt: skip
    assert stats.analytics_token_trends(hand.connection, "week", 1, NOW_MS) == hours
    assert [d["label"] for d in stats.analytics_token_trends(hand.connection, "day", 1, NOW_MS)] == [
        "2025-10-08", "2025-10-09",
    ]  # fmt: skip


def test_what_lies_before_the_window_is_left_out(hand):
    """Analytics see only their days."""
    hand.insert(_row(1), _row(24 * 8))
    assert [m["request_count"] for m in stats.analytics_by_model(hand.connection, 7, NOW_MS)] == [1]
    assert sum(d["requests"] for d in stats.analytics_daily(hand.connection, 7, NOW_MS)) == 1


def test_cost_by_tool_names_the_tool(hand):
    """Null provider and service are "unknown"; the dearest comes first; the label is the tool's."""
    hand.insert(
        _row(1, provider="anthropic", estimated_cost=3.0),
        _row(1, provider=None, service_name="aider-run", estimated_cost=2.0),
        _row(1, provider=None, estimated_cost=1.0, duration_ns=None),
    )
    tools = stats.analytics_by_tool(hand.connection, 7, NOW_MS)
    assert [(t["provider"], t["service_name"], t["tool"], t["total_cost"]) for t in tools] == [
        ("anthropic", "unknown", "Claude Code", 3.0),
        ("unknown", "aider-run", "Aider", 2.0),
        ("unknown", "unknown", "Other", 1.0),
    ]
    assert [t["avg_duration"] for t in tools] == [1500.0, 1500.0, None]


def test_cost_by_model_leaves_out_rows_without_one(hand):
    """The dearest model first, with its provider."""
    hand.insert(_row(1, model="a"), _row(1, model="b", estimated_cost=9.0), _row(1, model=None))
    rows = stats.analytics_by_model(hand.connection, 7, NOW_MS)
    assert [(row["model"], row["provider"], row["request_count"]) for row in rows] == [
        ("b", "openai", 1),
        ("a", "openai", 1),
    ]


def test_percentiles_over_time(hand):
    """Per bucket and over the window; null where nothing ran."""
    hand.insert(_row(1, duration_ns=10**9, ttft_ms=100.0), _row(2))
    found = stats.analytics_percentiles(hand.connection, "hour", 1, NOW_MS)
    assert len(found["buckets"]) == 25
    assert found["buckets"][0]["p50_ms"] is None
    assert found["buckets"][-2]["p99_ms"] == pytest.approx(1000, rel=0.4)
    assert found["overall"]["ttft_p50_ms"] == pytest.approx(100, rel=0.4)
    assert stats.analytics_percentiles(hand.connection, "day", 0, NOW_MS)["buckets"] == []


@given(st.floats(0, 1e8))
def test_every_duration_falls_into_its_bucket(ms):
    """Buckets cover everything from 0 on and their starts rise."""
    bucket = sums.bucket_of(ms)
    assert 0 <= bucket < sums.BUCKETS
    assert sums.bucket_start(bucket) <= ms * 1.000001
    if bucket < sums.BUCKETS - 1:
        assert ms < sums.bucket_start(bucket + 1) * 1.000001


@given(st.lists(st.integers(0, sums.BUCKETS - 1)), st.data())
def test_histograms_add_and_subtract_without_trace(buckets, data):
    """Taking back what was added, in any order, leaves the counts of the rest, also through bytes."""
    gone = data.draw(st.lists(st.sampled_from(buckets), unique=True) if buckets else st.just([]))
    total = -sum(1 << (32 * bucket) for bucket in gone)
    total += sum(1 << (32 * bucket) for bucket in buckets)
    counts = sums.counts_of(sums.lanes_from_bytes(sums.lanes_to_bytes(total)))
    assert counts == [buckets.count(b) - gone.count(b) for b in range(sums.BUCKETS)]


def test_error_classes():
    """Each outcome has one word."""
    words = {code: sums.error_class(code) for code in (None, 200, 399, 400, 404, 429, 499, 500, 502, 504)}
    assert words == {
        None: "", 200: "", 399: "", 400: "client", 404: "client", 429: "rate_limited", 499: "client_closed",
        500: "server", 502: "server", 504: "timed_out",
    }  # fmt: skip
