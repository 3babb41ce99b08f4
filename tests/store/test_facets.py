"""Suggestions of the filter box and the strip over time."""

from __future__ import annotations

import pytest
from store_help import START_NS, make_row

from llmflow_web.errors import BadRequest
from llmflow_web.store import facets
from llmflow_web.wire.filter import TEXT_FIELDS, Filter

START_MS = START_NS // 1_000_000


def _values(hand, field, q=""):
    return [(value["value"], value["count"]) for value in facets.facets(hand.connection, field, q)["values"]]


def test_values_come_with_counts_the_most_frequent_first(hand):
    """Summaries answer where they can, the newest spans otherwise; null is no value."""
    hand.insert(
        make_row(model="b", tags=["x", "y"], session_id="s", user_id="u", status=429),
        make_row(model="b", tags=["x"], session_id="s"),
        make_row(model="a", span_name="Plan"),
    )
    assert _values(hand, "model") == [("b", 2), ("a", 1)]
    assert _values(hand, "tag") == [("x", 2), ("y", 1)]
    assert _values(hand, "session") == [("s", 2)]
    assert _values(hand, "status") == [("200", 2), ("429", 1)]
    assert _values(hand, "user") == [("u", 1)]
    assert _values(hand, "name", "pl") == [("Plan", 1)]
    assert _values(hand, "model", "B") == [("b", 2)]
    assert _values(hand, "model", "%") == []


@pytest.mark.parametrize("field", sorted(TEXT_FIELDS))
def test_every_text_field_has_facets(hand, field):
    """No field of the grammar fails."""
    hand.insert(make_row())
    assert "values" in facets.facets(hand.connection, field)


@pytest.mark.parametrize("field", ["cost", "nothing", "1; DROP TABLE spans", ""])
def test_other_fields_are_refused(hand, field):
    """A field that has no values to suggest is a sentence."""
    with pytest.raises(BadRequest, match="field must be one of"):
        facets.facets(hand.connection, field)


@pytest.mark.parametrize("query", [{}, {"source": "proxy"}])
def test_the_strip_counts_spans_and_errors(hand, query):
    """Equal buckets from the oldest span to now, the same with and without a filter."""
    hand.insert(*(make_row(start_ns=START_NS + n * 1_000_000_000, status=[200, 500][n % 2]) for n in range(10)))
    found = facets.histogram(hand.connection, Filter.from_query(query), 5, START_MS + 9999)
    assert (found["from"], found["bucket_ms"]) == (START_MS, 2000)
    assert [(b["count"], b["errors"]) for b in found["buckets"]] == [(2, 1)] * 5
    assert [b["timestamp"] for b in found["buckets"]] == [START_MS + n * 2000 for n in range(5)]


def test_the_strip_keeps_to_the_filters_time(hand):
    """Since and before set its ends; nothing outside is counted; an empty database has empty buckets."""
    assert sum(b["count"] for b in facets.histogram(hand.connection, Filter(), 60, START_MS)["buckets"]) == 0
    hand.insert(*(make_row(start_ns=START_NS + n * 1_000_000_000, model="m") for n in range(10)))
    for more in ({}, {"model": "m"}):
        chosen = Filter.from_query({"date_from": str(START_MS + 2000), "date_to": str(START_MS + 4999), **more})
        found = facets.histogram(hand.connection, chosen, 3, START_MS + 10_000)
        assert [b["count"] for b in found["buckets"]] == [1, 1, 1]
    chosen = Filter.from_query({"filter": "since:5s"})
    assert facets.histogram(hand.connection, chosen, 9999, START_MS + 9000)["from"] == START_MS + 4000
