"""Sums of what was called since a moment: exact, and of that alone."""

from __future__ import annotations

import pytest
from store_help import make_row

from llmflow_web.store.lately import MAX_FAILURES, calls_since, last_seq, percentile


def test_only_what_came_later_is_summed(hand):
    """Rows that stood before are another run's."""
    assert last_seq(hand.connection) == 0
    hand.insert(make_row(), make_row())
    since = last_seq(hand.connection)
    assert calls_since(hand.connection, since).lines == []
    hand.insert(make_row(model="gpt-4o-mini"))
    (line,) = calls_since(hand.connection, since).lines
    assert (line.provider, line.model, line.calls, line.cost) == ("openai", "gpt-4o-mini", 1, 0.25)


def test_models_stand_apart_the_dearest_first(hand):
    """Tokens, errors, unknown prices and durations of each model at each provider."""
    hand.insert(
        make_row(model="cheap", estimated_cost=0.01, duration_ns=1_000_000),
        make_row(model="cheap", estimated_cost=None, duration_ns=3_000_000),
        make_row(model="cheap", status=500, estimated_cost=None, total_tokens=None, prompt_tokens=None,
                 completion_tokens=None, error="it broke"),
        make_row(model="dear", estimated_cost=2.0),
    )  # fmt: skip
    dear, cheap = calls_since(hand.connection, 0).lines
    assert (dear.model, dear.calls, dear.cost) == ("dear", 1, 2.0)
    assert (cheap.calls, cheap.errors, cheap.unpriced, cheap.cost) == (3, 1, 1, 0.01)
    assert (cheap.prompt_tokens, cheap.completion_tokens, cheap.total_tokens) == (40, 20, 60)
    assert sorted(cheap.durations_ms) == [1.0, 3.0, 1500.0]


def test_failures_are_told_in_order_and_not_all(hand):
    """The first MAX_FAILURES, with what they said."""
    hand.insert(*(make_row(status=500, error=f"fault {number}") for number in range(MAX_FAILURES + 5)))
    failures = calls_since(hand.connection, 0).failures
    assert [one.error for one in failures] == [f"fault {number}" for number in range(MAX_FAILURES)]


def test_steps_of_a_program_are_no_calls(hand):
    """A span of an agent without tokens is none; a model's call that was only reported is one."""
    hand.insert(
        make_row(source="sdk", span_type="agent", model=None, total_tokens=None, prompt_tokens=None,
                 completion_tokens=None, estimated_cost=None),
        make_row(source="otlp", span_type="llm"),
    )  # fmt: skip
    assert [line.calls for line in calls_since(hand.connection, 0).lines] == [1]


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([], 0.5, None), ([7.0], 0.95, 7.0), ([3, 1, 2], 0.5, 2), (list(range(1, 101)), 0.95, 95), ([1, 2], 0.5, 1)],
)
def test_percentiles_are_of_nearest_rank(values, share, expected):
    """A value that occurred, not one between two."""
    assert percentile(values, share) == expected
