"""Figures from the hourly sums and from the spans: they agree, they are bounded, and every group can be listed."""

from __future__ import annotations

import random

import pytest
from store_help import Hand

from llmflow_web.model import Row, Span
from llmflow_web.store import analytics
from llmflow_web.store.analytics import DAY_MS, HOUR_MS, MAX_POINTS, Question, Range
from llmflow_web.store.spans import list_spans
from llmflow_web.wire.filter import Filter, Page

NOW_MS = 1_763_800_000_000
NOW_NS = NOW_MS * 1_000_000
WEEK = Range.over(NOW_MS - 7 * DAY_MS, NOW_MS, "auto")


def row(key: str, *, ago_h: float = 1, **more) -> Row:
    base = {
        "start_ns": NOW_NS - int(ago_h * 3600 * 1e9), "duration_ns": 2_000_000_000, "ttft_ms": 500.0, "provider": "openai",
        "model": "gpt-4o", "status": 200, "prompt_tokens": 100, "completion_tokens": 60, "total_tokens": 160,
        "cached_tokens": 20, "cache_write_tokens": 5, "reasoning_tokens": 10, "estimated_cost": 0.25,
    }  # fmt: skip
    return Row(Span(f"t-{key}", key, **(base | more)))


def ask(by: str | None = None, span: Range = WEEK, limit: int = 8, sort: str = "cost", **asked: str) -> Question:
    return Question(Filter.from_query(asked), asked, span, by, limit, sort)


def test_figures(tmp_path) -> None:
    """Sums, classes of tokens, percentiles and speed come out of what was recorded; errors are counted beside."""
    hand = Hand(tmp_path)
    hand.insert(row("a"), row("b", ago_h=30), row("c", status=500, estimated_cost=None, ttft_ms=None))
    answer = analytics.series(hand.connection, ask())
    total = answer["total"]
    assert (total["requests"], total["errors"], total["error_rate"], total["cost"]) == (3, 1, 0.333333, 0.5)
    assert (total["prompt_tokens"], total["completion_tokens"], total["total_tokens"]) == (300, 180, 480)
    classes = ("uncached_tokens", "cached_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")
    assert [total[name] for name in classes] == [225, 60, 15, 150, 30]
    assert total["p50_ms"] == pytest.approx(2000, rel=0.35)
    assert total["ttft_p95_ms"] == pytest.approx(500, rel=0.35)
    assert total["tokens_per_s"] == pytest.approx(40, rel=0.35)  # 60 tokens in the 1.5 s after the first
    assert sum(point["requests"] for point in answer["points"]) == 3
    assert answer["points"][-2]["requests"] == 2


def test_nothing(tmp_path) -> None:
    """An empty database has zeros and nulls at every point, and no groups."""
    hand = Hand(tmp_path)
    answer = analytics.series(hand.connection, ask("model"))
    assert (answer["total"]["requests"], answer["total"]["p50_ms"], answer["series"]) == (0, None, [])
    assert {point["cost"] for point in answer["points"]} == {0}
    assert analytics.top(hand.connection, ask("user_id"))["rows"] == []


def test_both_ways_agree(tmp_path) -> None:
    """What the hourly sums say of a split is what the spans themselves say of it."""
    hand = Hand(tmp_path)
    dice = random.Random(7)
    rows = [
        row(
            str(number), ago_h=dice.randrange(1, 200), model=dice.choice(["a", "b", None]), status=dice.choice([200, 500, 499]),
            provider=dice.choice(["openai", "groq"]), duration_ns=dice.randrange(10**6, 10**10),
            ttft_ms=dice.choice([None, 3.0, 700.0]), estimated_cost=dice.choice([None, 0.5, 2.0]), counts=number % 9 > 0,
        )
        for number in range(300)
    ]  # fmt: skip
    hand.insert(*rows)
    for by in ("model", "provider", None):
        for asked in ({}, {"status": "error"}, {"provider": "groq"}, {"filter": "-model:a"}, {"filter": "model:*"}):
            question = ask(by, **asked)
            conditions = analytics.rollup_conditions(question.chosen)
            assert conditions is not None
            fast = analytics._read_rollup(hand.connection, question, conditions)
            slow = analytics._scan(hand.connection, question)
            assert fast.slots == slow.slots
            assert fast.groups == slow.groups


@pytest.mark.parametrize("by", analytics.SPLITS)
def test_every_group_can_be_listed(tmp_path, by: str) -> None:
    """The filter of each group lists exactly the calls it counts, those without a value too."""
    hand = Hand(tmp_path)
    names = {"tag": "tags"}.get(by, by)
    for number in range(12):
        value = None if number % 4 == 0 else f"v{number % 4}"
        named = {names: [value, "also"] if value else []} if by == "tag" else {names: value}
        hand.insert(row(str(number), ago_h=number, **named))
    for answer in (
        analytics.series(hand.connection, ask(by, status="ok"))["series"],
        analytics.top(hand.connection, ask(by, status="ok"))["rows"],
    ):
        assert {group["key"] for group in answer} >= {None, "v1", "v2", "v3"}
        for group in answer:
            listed = list_spans(hand.connection, Filter.from_query(group["filter"]), Page(100)).rows
            assert len(listed) == group.get("total", group)["requests"] > 0, group["filter"]


def test_the_rest_is_one_series(tmp_path) -> None:
    """Beyond the limit all groups are one, so that the series add up to the whole."""
    hand = Hand(tmp_path)
    hand.insert(*(row(str(number), model=f"m{number}", estimated_cost=float(number)) for number in range(5)))
    answer = analytics.series(hand.connection, ask("model", limit=2))
    assert [one["key"] for one in answer["series"]] == ["m4", "m3", None]
    assert [one["is_rest"] for one in answer["series"]] == [False, False, True]
    assert answer["series"][-1]["filter"] is None
    assert sum(one["total"]["cost"] for one in answer["series"]) == answer["total"]["cost"] == 10
    found = analytics.top(hand.connection, ask("model", limit=2, sort="requests"))
    assert ([one["key"] for one in found["rows"]], found["more"]) == (["m0", "m1"], 3)


def test_a_long_scan_says_what_it_read(tmp_path, monkeypatch) -> None:
    """Of more calls than may be read the newest count, and the answer says so."""
    monkeypatch.setattr(analytics, "MAX_SCANNED", 3)
    hand = Hand(tmp_path)
    hand.insert(*(row(str(number), ago_h=number, tool="t") for number in range(1, 6)))
    answer = analytics.series(hand.connection, ask("tool"))
    assert (answer["is_sampled"], answer["total"]["requests"]) == (True, 3)
    assert "newest 3 calls" in answer["note"]


def test_whole_sessions(tmp_path) -> None:
    """The dearest sessions come from their summaries; one with a filter counts only what it lets through."""
    hand = Hand(tmp_path)
    hand.insert(row("a", session_id="s1"), row("b", session_id="s1", ago_h=400), row("c", session_id="s2"))
    found = analytics.top(hand.connection, ask("session_id"))["rows"]
    assert [(one["key"], one["requests"], one["cost"]) for one in found] == [("s1", 2, 0.5), ("s2", 1, 0.25)]
    found = analytics.top(hand.connection, ask("session_id", model="gpt-4o"))["rows"]
    assert sorted((one["key"], one["requests"]) for one in found) == [("s1", 1), ("s2", 1)]


@pytest.mark.parametrize(
    ("length_ms", "interval", "step_ms"),
    [
        (0, "auto", HOUR_MS), (7 * DAY_MS, "auto", HOUR_MS), (30 * DAY_MS, "auto", 6 * HOUR_MS),
        (30 * DAY_MS, "day", DAY_MS), (365 * DAY_MS, "hour", 2 * DAY_MS), (10**14, "auto", 365 * DAY_MS), (-5, "day", DAY_MS),
    ],
)  # fmt: skip
def test_steps(length_ms: int, interval: str, step_ms: int) -> None:
    """There are never more than MAX_POINTS steps within the years computers live in, and they begin on whole ones."""
    span = Range.over(NOW_MS - length_ms, NOW_MS, interval)
    assert (span.step_ms, span.begin_ms % step_ms) == (step_ms, 0)
    assert 1 <= span.count <= MAX_POINTS
    assert span.begin_ms <= max(0, NOW_MS - length_ms)
