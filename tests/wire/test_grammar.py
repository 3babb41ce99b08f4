"""The text of the filter box: everything typed is understood or searched as text, never refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmflow_web.wire.filter import Ago, Term
from llmflow_web.wire.grammar import FIELDS, MAX_TERMS, parse_filter, parse_words


def _terms(text):
    return parse_filter(text).terms


def test_words_phrases_and_negations():
    """Free words are ANDed, quotes keep words together, a minus excludes."""
    assert _terms('plan  -draft "two words" -"not these"') == (
        Term("word", "=", ("plan",)),
        Term("word", "=", ("draft",), is_negated=True),
        Term("phrase", "=", ("two words",)),
        Term("phrase", "=", ("not these",), is_negated=True),
    )


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("model:gpt-4o", Term("model", "=", ("gpt-4o",), is_pattern=True)),
        ("MODEL:gpt-4o", Term("model", "=", ("gpt-4o",), is_pattern=True)),
        ("model=gpt-4o", Term("model", "=", ("gpt-4o",), is_pattern=True)),
        ('name:"plan a trip"', Term("span_name", "=", ("plan a trip",), is_pattern=True)),
        ("model:(a | b)", Term("model", "=", ("a", "b"), is_pattern=True)),
        ("session_id:x", Term("session_id", "=", ("x",), is_pattern=True)),
        ("tag:key:value", Term("tag", "=", ("key:value",), is_pattern=True)),
        ("kind:LLM", Term("span_type", "=", ("llm",))),
        ("status:(ok|error|429)", Term("status", "=", ("ok", "error", 429))),
        ("has:(tool|image)", Term("has", "=", ("tool", "image"))),
        ("-has:cost", Term("has", "=", ("cost",), is_negated=True)),
        ("cost>0.01", Term("estimated_cost", ">", (0.01,))),
        ("cost<=$1", Term("estimated_cost", "<=", (1.0,))),
        ("duration>2s", Term("duration_ms", ">", (2000.0,))),
        ("duration>=1.5m", Term("duration_ms", ">=", (90_000.0,))),
        ("ttft>800ms", Term("ttft_ms", ">", (800.0,))),
        ("ttft>800", Term("ttft_ms", ">", (800.0,))),
        ("tokens>10k", Term("total_tokens", ">", (10_000.0,))),
        ("spans>20", Term("span_count", ">", (20.0,))),
        ("errors:0", Term("error_count", "=", (0.0,))),
        ("since:15m", Term("timestamp", ">=", (Ago(900.0),))),
        ("since:2w", Term("timestamp", ">=", (Ago(1_209_600.0),))),
        ("before:2026-11-01", Term("timestamp", "<", (1_793_491_200_000,))),
        ("since:1700000000000", Term("timestamp", ">=", (1_700_000_000_000,))),
        ("is:root", Term("roots", "=", (1,))),
    ],
)
def test_fields_comparisons_and_times(text, term):
    """Every form of the brief is one term and leaves no note."""
    found = parse_filter(text)
    assert found.terms == (term,)
    assert found.notes == ()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("colour:red", "there is no field “colour”"),
        ("cost>cheap", "cost wants a number such as 0.01"),
        ("duration>2y", "duration wants a number such as 2s"),
        ("status:fine", "status must be ok"),
        ("has:sound", "has is one of tool, image, error, cost"),
        ("kind:nothing", "kind is one of"),
        ("source:air", "source is one of"),
        ("model>gpt", "model is compared with : only"),
        ("since:soon", "since must be milliseconds"),
        ("since>5m", "since is written since:15m"),
        ("is:blue", "is: knows only root"),
        ("model:()", "a value is missing"),
        ('model:""', "a value is missing"),
    ],
)
def test_what_is_not_understood_is_searched_as_text_and_noted(text, why):
    """Bad syntax never blocks: the word becomes text, with its minus, and a note says why."""
    for minus in ("", "-"):
        found = parse_filter(f"plan {minus}{text}")
        assert found.terms[1:] == (Term("phrase", "=", (text,), is_negated=bool(minus)),)
        (note,) = found.notes
        assert note.startswith(f"“{minus}{text}” was searched as text: ")
        assert why in note


def test_a_lone_minus_or_quote_is_harmless():
    """Half-typed text is no error."""
    assert _terms('-"') == ()
    assert _terms('""') == ()
    assert _terms('"open end') == (Term("phrase", "=", ("open end",)),)
    assert _terms("model:") == (Term("word", "=", ("model:",)),)
    assert _terms("-") == (Term("word", "=", ("-",)),)


def test_there_is_an_end_to_terms():
    """More than MAX_TERMS are cut, and a note says so."""
    found = parse_filter("a " * 80)
    assert len(found.terms) == MAX_TERMS
    assert found.notes == (f"Only the first {MAX_TERMS} terms were used.",)
    assert len(parse_words("a " * 80)) == MAX_TERMS


@given(st.text())
def test_any_text_is_understood_somehow(text):
    """No text raises."""
    parse_filter(text)
    parse_words(text)


_WORDS = st.sampled_from([*FIELDS, "x", "(", ")", "|", '"', "-", ":", ">", "=", " ", "2s", "since:", "*", "é"])


@given(st.lists(_WORDS, max_size=20).map("".join))
def test_any_mixture_of_its_own_signs_is_understood_somehow(text):
    """No clutter of the grammar's own signs raises, and every term can be compiled."""
    for term in parse_filter(text).terms:
        assert term.values
        assert term.field in {*FIELDS.values(), "word", "phrase"}
