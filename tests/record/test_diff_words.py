"""Word diffs: whatever the texts, the ops turn the first into the second, and the work is bounded."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmflow_web.record import diff_words
from llmflow_web.record.diff_words import Work, apply_diff, diff_texts

# Few words make many matches.
WORDY = st.lists(st.sampled_from(["a", "b", "the", "cat", " ", "\n", ".", "日", "本", "é", "  "]), max_size=60).map(
    "".join
)


def ops(a: str, b: str) -> list[tuple[str, str]]:
    return diff_texts(a, b, Work()).ops


@settings(deadline=None)
@given(a=WORDY | st.text(), b=WORDY | st.text())
def test_applying_a_diff_gives_the_other_text(a: str, b: str) -> None:
    """The ops make b of a, and hold a whole; neighbours are of different kinds."""
    found = ops(a, b)
    assert apply_diff(a, found) == b
    assert "".join(text for op, text in found if op != "+") == a
    assert all(one[0] != other[0] for one, other in pairwise(found))
    assert all(text for _, text in found)


@settings(deadline=None)
@given(a=WORDY, b=WORDY, edits=st.integers(0, 6), words=st.integers(0, 30), steps=st.integers(0, 50))
def test_coarse_diffs_are_right_too(a: str, b: str, edits: int, words: int, steps: int) -> None:
    """However tight the limits, applying the diff to a gives b."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(diff_words, "MAX_EDITS", edits)
        patch.setattr(diff_words, "MAX_WORDS", words)
        assert apply_diff(a, diff_texts(a, b, Work(steps)).ops) == b


def test_words_are_what_changes() -> None:
    """A changed word is told as that word, not as letters; changes with only a space between them are one."""
    assert ops("the cat sat here", "the dog sat here") == [
        ("=", "the "),
        ("-", "cat"),
        ("+", "dog"),
        ("=", " sat here"),
    ]
    assert ops("a one two b", "a three four b") == [("=", "a "), ("-", "one two"), ("+", "three four"), ("=", " b")]
    assert ops("same", "same") == [("=", "same")]
    assert ops("", "") == []
    assert ops("", "new") == [("+", "new")]


def test_texts_without_spaces_are_cut_into_characters() -> None:
    """Chinese and Japanese are compared by the character."""
    assert ops("今日は晴れ", "今日は雨") == [("=", "今日は"), ("-", "晴れ"), ("+", "雨")]


def test_a_little_change_in_a_long_text_is_found() -> None:
    """A text of many words with one of them changed is compared by the word."""
    a = " ".join(f"w{number}" for number in range(9000))
    found = diff_texts(a, a.replace("w4000 ", "new "), Work())
    assert (found.detail, len(found.ops)) == ("words", 4)


def test_what_is_too_different_is_told_coarsely() -> None:
    """Two long texts that have nothing in common are wholes, very long ones are compared by lines."""
    a = " ".join(f"a{number}" for number in range(3000))
    b = " ".join(f"b{number}" for number in range(3000))
    assert diff_texts(a, b, Work()).detail == "whole"
    lines = "".join(f"line {number} of many words in it\n" for number in range(5000))
    found = diff_texts(lines, lines.replace("line 77 ", "row 77 "), Work())
    assert found.detail == "lines"
    assert [text for op, text in found.ops if op == "+"] == ["row 77 of many words in it\n"]


def test_a_diff_of_another_text_is_refused() -> None:
    """Applying ops to a text they were not made of is an error."""
    for text in ("abc", "ab c d", "ab"):
        with pytest.raises(ValueError, match=r"text is not|ops end"):
            apply_diff(text, [("=", "ab "), ("-", "c")])
