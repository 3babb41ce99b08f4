"""JSON that was cut off, closed."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmflow_web.record.cut_json import mended

_WHOLE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1, "b": "tex', {"a": 1, "b": "tex"}),
        ('{"a": 1, "b": ', {"a": 1}),
        ('{"a": 1, "b', {"a": 1}),
        ('{"a": [1, 2', {"a": [1]}),
        ('{"a": [{"b": "c\\', {"a": [{"b": "c"}]}),
        ('["\\\\', ["\\"]),
        ('["\\u00e', [""]),
        ("[", []),
        ("nonsense", None),
        ("[}", None),
        ("", None),
    ],
)
def test_what_is_open_is_closed_and_what_is_half_is_left_out(text, value):
    """A text keeps what it said so far; a number might have gone on."""
    assert mended(text) == value


@given(value=st.lists(_WHOLE, max_size=4) | st.dictionaries(st.text(max_size=4), _WHOLE, max_size=4), data=st.data())
def test_every_beginning_of_json_can_be_read(value, data):
    """Wherever it is cut; the whole of it is read as it is."""
    text = json.dumps(value, ensure_ascii=data.draw(st.booleans()), indent=data.draw(st.sampled_from([None, 1])))
    assert mended(text) == value
    assert isinstance(mended(text[: data.draw(st.integers(1, len(text)))]), type(value))


@given(text=st.text(alphabet='{}[]",:\\u0a1 ', max_size=30))
def test_whatever_it_is_nothing_is_raised(text):
    """What cannot be mended is None."""
    mended(text)
