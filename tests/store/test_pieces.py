"""Pieces of one span: the same row, however they are put together."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

from hypothesis import given
from hypothesis import strategies as st
from store_help import START_NS

from llmflow_web.model import PART_ATTRIBUTES, PART_INPUT, PART_OUTPUT, PART_REQUEST, Body, Row, Span
from llmflow_web.store.pieces import fold, put_together

_MESSAGES = st.lists(
    st.fixed_dictionaries({"at": st.integers(0, 3), "role": st.just("user"), "content": st.sampled_from(["a", "b"])}),
    min_size=1,
    max_size=2,
)
_BODIES = st.fixed_dictionaries(
    {},
    optional={
        PART_ATTRIBUTES: st.dictionaries(
            st.sampled_from("xy"), st.dictionaries(st.sampled_from("pq"), st.integers(0, 2))
        ),
        PART_INPUT: _MESSAGES,
        PART_OUTPUT: _MESSAGES,
        PART_REQUEST: st.sampled_from(["cut {", "cut { more"]),
    },
)
_COLUMNS = st.fixed_dictionaries(
    {
        "start_ns": st.integers(START_NS, START_NS + 3),
        "duration_ns": st.none() | st.integers(0, 3),
        "model": st.sampled_from([None, "m"]),
        "status": st.sampled_from([None, 200, 400]),
        "error": st.sampled_from([None, "no"]),
        "total_tokens": st.sampled_from([None, 5]),
        "estimated_cost": st.sampled_from([None, 0.5]),
        "notes": st.lists(st.sampled_from("nm"), max_size=2).map(lambda notes: sorted(set(notes))),
    }
)


@st.composite
def _pieces(draw):
    bodies = []
    for part, value in draw(_BODIES).items():
        data = (
            json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
            if part != PART_REQUEST
            else value.encode()
        )
        bodies.append(Body(part, data, len(data)))
    return fold([Row(Span("t", "s", derived=True, **draw(_COLUMNS)), tuple(bodies))])[0]


def _seen(row):
    return asdict(row.span), sorted((body.part, json_or_text(body.data)) for body in row.bodies)


def json_or_text(data):
    try:
        value = json.loads(data)
    except ValueError:
        return data.decode()
    unique = {json.dumps(one, sort_keys=True): one for one in value} if isinstance(value, list) else value
    return json.dumps(sorted(unique) if isinstance(value, list) else unique, sort_keys=True)


@given(one=_pieces(), two=_pieces(), three=_pieces())
def test_order_grouping_and_repetition_do_not_matter(one, two, three):
    """A join in the sense of algebra: commutative, associative, idempotent."""
    assert _seen(put_together(one, two)) == _seen(put_together(two, one))
    assert _seen(put_together(put_together(one, two), three)) == _seen(put_together(one, put_together(two, three)))
    both = put_together(one, two)
    assert _seen(put_together(both, one)) == _seen(both)


def test_an_end_that_is_known_says_when_it_began():
    """A decision comes before the tool runs, an answer's text after its call ended: neither moves the call."""
    moment = Span("t", "s", derived=True, start_ns=START_NS)
    call = Span("t", "s", derived=True, start_ns=START_NS + 5, duration_ns=10)
    found = put_together(Row(moment), Row(call)).span
    assert (found.start_ns, found.duration_ns) == (START_NS + 5, 10)
    turn = replace(call, start_ns=START_NS + 20, duration_ns=1)
    found = put_together(Row(call), Row(turn)).span
    assert (found.start_ns, found.duration_ns) == (START_NS + 5, 16)


def test_pieces_join_what_is_stored_and_other_rows_replace_it(hand):
    """In the table: derived rows grow, a row that comes again takes the other's place."""
    hand.insert(Row(Span("t", "s", derived=True, source="otlp", start_ns=START_NS, model="m", total_tokens=7)))
    body = Body(PART_INPUT, b'[{"at":1,"role":"user","content":"asked"}]', 42)
    hand.insert(Row(Span("t", "s", derived=True, source="otlp", start_ns=START_NS, finish_reason="stop"), (body,)))
    assert hand.all("SELECT model, total_tokens, finish_reason, preview_in FROM spans") == [("m", 7, "stop", "asked")]
    assert hand.all("SELECT tokens, span_count FROM traces") == [(7, 1)]
    hand.insert(Row(Span("u", "s", source="otlp", start_ns=START_NS, model="m")))
    hand.insert(Row(Span("u", "s", source="otlp", start_ns=START_NS, finish_reason="stop")))
    assert hand.all("SELECT model, finish_reason FROM spans WHERE trace_id = 'u'") == [(None, "stop")]
