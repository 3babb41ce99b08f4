"""Reading filters and pages from a query, and what a filter says of a row."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmflow_web.errors import BadRequest
from llmflow_web.wire.filter import Ago, Filter, Page, Term, make_cursor, read_cursor


def test_nothing_asked_lets_everything_through():
    """Empty and unknown parameters are no conditions."""
    chosen = Filter.from_query({"model": "", "q": "  ", "unknown": "x", "status": "", "roots": "0", "limit": "5"})
    assert chosen == Filter()
    assert chosen.is_empty
    assert chosen.matches({}, 0)


@pytest.mark.parametrize(
    ("name", "text", "term"),
    [
        ("model", "gpt-4*", Term("model", "=", ("gpt-4*",))),  # a parameter is exact: no wildcard
        ("provider", "anthropic-passthrough", Term("provider", "=", ("anthropic-passthrough",))),
        ("session_id", "s 1", Term("session_id", "=", ("s 1",))),
        ("tag", "a:b", Term("tag", "=", ("a:b",))),
        ("prompt_name", "p", Term("prompt_name", "=", ("p",))),
        ("status", "error", Term("status", "=", ("error",))),
        ("status", "success", Term("status", "=", ("ok",))),
        ("status", "429", Term("status", "=", (429,))),
        ("status", "5XX", Term("status", "=", ("5xx",))),
        ("date_from", "1700000000000", Term("timestamp", ">=", (1_700_000_000_000,))),
        ("date_to", "2023-11-14T22:13:20Z", Term("timestamp", "<=", (1_700_000_000_000,))),
        ("date_to", "2023-11-14", Term("timestamp", "<=", (1_699_920_000_000,))),
        ("cost_min", "0.01", Term("estimated_cost", ">=", (0.01,))),
        ("cost_max", "1e-6", Term("estimated_cost", "<=", (1e-6,))),
        ("roots", "1", Term("roots", "=", (1,))),
        ("q", "word", Term("word", "=", ("word",))),
        ("q", "model:x", Term("word", "=", ("model:x",))),  # q is text, filter is the grammar
        ("filter", "model:x", Term("model", "=", ("x",), is_pattern=True)),
    ],
)
def test_each_parameter_becomes_a_term(name, text, term):
    """The contract's parameters and ours."""
    assert Filter.from_query({name: text}).terms == (term,)


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("status", "banana", "status must be ok"),
        ("date_from", "yesterday", "date_from must be milliseconds"),
        ("date_to", "12345678901234567890", "date_to must be"),
        ("cost_min", "cheap", "cost_min must be an amount"),
        ("cost_max", "-1", "cost_max must be an amount"),
        ("cost_max", "nan", "cost_max must be an amount"),
        ("roots", "maybe", "roots must be 1 or 0"),
        ("model", "x" * 1001, "model may have at most 1000"),
        ("q", "a\x00b", "q is not valid text"),
        ("tag", "\ud800", "tag is not valid text"),
    ],
)
def test_nonsense_is_a_sentence(name, text, sentence):
    """A bad parameter is a 400 that names it."""
    with pytest.raises(BadRequest, match=sentence) as caught:
        Filter.from_query({name: text})
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"limit": "0"}, "limit must be a whole number from 1 to 1000"),
        ({"limit": "1001"}, "limit must be"),
        ({"limit": "ten"}, "limit must be"),
        ({"limit": "5.5"}, "limit must be"),
        ({"offset": "-1"}, "offset must be"),
        ({"sort": "name"}, "sort must be one of time, duration, cost, tokens"),
        ({"cursor": "!!"}, "cursor is not one"),
        ({"cursor": "abc"}, "cursor is not one"),
        ({"cursor": "é"}, "cursor is not one"),
        ({"cursor": make_cursor(1, 2, 3)}, "cursor is not one"),
        ({"cursor": make_cursor(2**63)}, "cursor is not one"),
        ({"after": "x"}, "after must be"),
        ({"after": "99999999999999999999"}, "after must be"),
    ],
)
def test_a_nonsense_page_is_a_sentence(params, sentence):
    """Paging parameters are checked, too."""
    with pytest.raises(BadRequest, match=sentence):
        Page.from_query(params)


def test_a_page_is_read():
    """Defaults are the contract's; what is given is taken."""
    assert Page.from_query({}) == Page(50, 0, None, "-time", None)
    cursor = make_cursor(-5, 7)
    params = {"limit": "1000", "offset": "20", "cursor": cursor, "sort": "cost", "after": "3"}
    assert Page.from_query(params) == Page(1000, 20, cursor, "cost", 3)


@given(st.integers(-(2**63) + 1, 2**63 - 1), st.integers(0, 2**63 - 1))
def test_a_cursor_reads_back(time, seq):
    """Any place in a list survives the round trip, in characters a URL takes as they are."""
    text = make_cursor(time, seq)
    assert read_cursor(text) == (time, seq)
    assert all(char.isalnum() or char in "-_" for char in text)


@given(st.text())
def test_any_cursor_is_read_or_refused(text):
    """No text does anything worse than a 400."""
    try:
        read_cursor(text)
    except BadRequest:
        pass


ROW = {
    "model": "gpt-4o", "provider": "openai", "source": "passthrough", "status": 429, "tags": ["prod", "a:b"],
    "estimated_cost": 0.02, "duration_ms": 2500.0, "ttft_ms": None, "total_tokens": 12_000, "span_count": 3,
    "timestamp": 1_000_000, "span_name": "Plan the trip", "preview_in": "Where to go?", "preview_out": None,
    "error": "Rate limit", "is_root": True, "has": ["tool"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("model:gpt-4o", True),
        ("model:gpt-4", False),
        ("model:gpt-4*", True),
        ("model:GPT*", True),
        ("model:(x|gpt-4o)", True),
        ("-model:gpt-4o", False),
        ("provider:openai-passthrough", True),
        ("-provider:openai-passthrough", False),
        ("provider:anthropic-passthrough", False),
        ("tag:prod tag:a:b", True),
        ("tag:pr*", True),
        ("tag:pr", False),
        ("status:error", True),
        ("status:ok", False),
        ("status:(ok|429)", True),
        ("status:4xx", True),
        ("cost>0.01", True),
        ("cost>=0.02 cost<=$0.02", True),
        ("duration>2s", True),
        ("ttft>1ms", False),
        ("-ttft>1ms", True),
        ("tokens>10k", True),
        ("tokens>1m", False),
        ("spans=3", True),
        ("errors>0", False),
        ("since:10s", True),
        ("since:9s", False),
        ("before:5s", True),
        ("has:tool has:error has:cost", True),
        ("has:image", False),
        ("is:root", True),
        ("trip", True),
        ('"where to"', True),
        ("rate -trip", False),
        ("nothing", False),
    ],
)
def test_matches_reads_the_row(text, holds):
    """A filter decides over a list element without a database; now is at 1,010 s."""
    chosen = Filter.from_query({"filter": text})
    assert chosen.notes == ()
    assert chosen.matches(ROW, 1_010_000) is holds


def test_a_moment_told_from_now_stays_relative():
    """since:15m is kept as such: the same filter means the last 15 minutes whenever it is asked."""
    (term,) = Filter.from_query({"filter": "since:15m"}).terms
    assert term == Term("timestamp", ">=", (Ago(900.0),))
