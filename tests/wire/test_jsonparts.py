"""Large JSON in pieces: the same values, the same refusals as json.loads, whatever the text is."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmflow_web.wire import jsonparts
from llmflow_web.wire.jsonparts import MIN_CHARS, loads

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=30,
)
SPACE = " " * MIN_CHARS  # so that the text is long enough to be read in pieces


def outcome(read, text: str) -> object:
    try:
        return read(text)
    except ValueError as error:
        return f"{error!s}".split(":")[0]


@settings(max_examples=200, deadline=None)
@given(value=VALUES, levels=st.integers(0, 8), indent=st.sampled_from([None, 1]), is_ascii=st.booleans())
def test_the_same_values(value: object, levels: int, indent: int | None, is_ascii: bool) -> None:
    """However many levels are walked here, what comes out is what json.loads makes of the text."""
    text = json.dumps(value, indent=indent, ensure_ascii=is_ascii) + SPACE
    assert loads(text, levels=levels) == json.loads(text) == value


@settings(max_examples=300, deadline=None)
@given(
    value=VALUES,
    at=st.integers(0, 200),
    kind=st.sampled_from(["cut", "drop", "put"]),
    put=st.sampled_from('{}[]",:x1 \\\n\0'),
)
def test_the_same_refusals(value: object, at: int, kind: str, put: str) -> None:
    """A text that is damaged is refused, or read, exactly as json.loads does."""
    text = json.dumps({"a": [value, {"b": value}]})
    at %= len(text)
    damaged = {"cut": text[:at], "drop": text[:at] + text[at + 1 :], "put": text[:at] + put + text[at:]}[kind] + SPACE
    mine, theirs = outcome(loads, damaged), outcome(json.loads, damaged)
    assert isinstance(mine, str) == isinstance(theirs, str)
    if not isinstance(theirs, str):
        assert mine == theirs


def test_last_of_equal_names() -> None:
    """Of members with one name the last one stands."""
    assert loads('{"a": 1, "a": 2}' + SPACE) == {"a": 2}


@pytest.mark.parametrize(
    "text", ["", " ", "[1,]", '{"a":}', "{,}", '{"a" 1}', "[1 2]", "{1:2}", "[]]", "nul", '["\\x"]']
)
def test_what_is_no_json(text: str) -> None:
    """What is no JSON raises ValueError, short or long."""
    for long in ("", SPACE):
        with pytest.raises(ValueError, match=r"line \d+ column \d+"):
            loads(text + long)


def test_pieces_are_read_one_by_one() -> None:
    """No piece is larger than what lies below the levels walked; short texts are one piece."""
    spans = [{"name": f"s{n}", "attributes": [{"key": "k", "value": {"stringValue": "x" * 200}}]} for n in range(500)]
    text = json.dumps({"resourceSpans": [{"resource": {}, "scopeSpans": [{"scope": {}, "spans": spans}]}]})
    sizes: list[int] = []

    def read(whole: str, at: int) -> tuple[object, int]:
        value, end = jsonparts.scan(whole, at)
        sizes.append(end - at)
        return value, end

    assert loads(text, read)["resourceSpans"][0]["scopeSpans"][0]["spans"] == spans
    assert max(sizes) < 1000
    sizes.clear()
    assert loads('{"a": [1, 2]}', read) == {"a": [1, 2]}
    assert sizes == [13]


def test_nesting_without_end() -> None:
    """Nesting that no stack could hold is a RecursionError, as it is for json.loads."""
    with pytest.raises(RecursionError):
        loads("[" * 200_000)
