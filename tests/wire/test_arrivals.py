"""Arrivals survive their encoding, and never break on what they are given."""

from hypothesis import given, settings
from hypothesis import strategies as st

from llmflow_web.wire.arrivals import decode_arrivals, encode_arrivals

STEPS = st.lists(st.tuples(st.integers(0, 1 << 40), st.integers(0, 1 << 50)))


@given(STEPS)
@settings(deadline=None)
def test_round_trip(steps):
    """What is written reads back."""
    arrivals, offset, us = [], 0, 0
    for step, wait in steps:
        offset, us = offset + step, us + wait
        arrivals.append((offset, us))
    assert decode_arrivals(encode_arrivals(arrivals)) == arrivals


@given(st.binary(max_size=50))
@settings(deadline=None)
def test_any_bytes(data):
    """A damaged part gives what can be read."""
    decode_arrivals(data)


def test_falling_values_count_as_standing_still():
    """A clock that went back does not turn into a huge step."""
    assert decode_arrivals(encode_arrivals([(5, 10), (3, 20), (7, 15)])) == [(5, 10), (5, 20), (7, 20)]


def test_bytes():
    """Small steps take one byte each."""
    assert encode_arrivals([(0, 1), (200, 2)]) == b"\x00\x01\xc8\x01\x01"
