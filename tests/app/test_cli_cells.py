"""Text on a terminal: widths, cuts, tables that fit, and nothing a terminal would act on."""

from __future__ import annotations

from cli_help import HOSTILE
from hypothesis import given
from hypothesis import strategies as st

from llmflow_web.app.cli.cells import Cell, Column, Paint, clean, clean_lines, cut, pad, table, width_of, wrap
from llmflow_web.app.cli.options import json_line

PLAIN = Paint(has_color=False)


def test_wide_characters_take_two_cells() -> None:
    """CJK and emoji count double, what is written onto others not at all."""
    assert [width_of(text) for text in ("abc", "日本", "e\u0301", "😀", "ﾊ")] == [3, 4, 1, 2, 1]


def test_a_cut_never_exceeds_its_width() -> None:
    """A wide character that does not fit as a whole is left out."""
    assert cut("日本語", 6) == "日本語"
    assert cut("日本語", 5) == "日本…"
    assert cut("日本語", 4) == "日…"
    assert cut("abc", 0) == ""
    assert pad("日", 4) == "日  "
    assert pad("日", 4, right=True) == "  日"


@given(st.text(), st.integers(min_value=1, max_value=30))
def test_whatever_is_shown_fits_and_is_harmless(text: str, width: int) -> None:
    """No text of any kind gets past its width, or brings a character a terminal acts on."""
    shown = cut(clean(text), width)
    assert width_of(shown) <= width
    assert shown.isprintable()
    for line in clean_lines(text):
        assert line.isprintable()
        for piece in wrap(line, width):
            assert width_of(piece) <= max(width, 2)


@given(st.text(alphabet="ab 日", max_size=80), st.integers(min_value=4, max_value=20))
def test_wrapping_loses_no_word(text: str, width: int) -> None:
    """The characters of a line are all there after it is broken, blanks at the breaks apart."""
    assert "".join("".join(wrap(text, width)).split()) == "".join(text.split())


def test_hostile_text_is_made_visible() -> None:
    """Escape sequences, C1 controls and bidirectional overrides are written out."""
    assert clean(HOSTILE) == "\\x1b]0;owned\\x07\\x1b[2J\\u202egnp.exe\\x9b31m IGNORE 😀"
    assert json_line({"a": HOSTILE}).isprintable()


def test_json_keeps_its_value() -> None:
    """What is escaped for the terminal reads as what it was."""
    import json

    assert json.loads(json_line({HOSTILE: [HOSTILE, 1.5, None]})) == {HOSTILE: [HOSTILE, 1.5, None]}


def test_a_table_fits() -> None:
    """Columns that may give way do, the widest first; the others keep their width."""
    columns = (Column("NAME", least=6), Column("N", is_right=True), Column("TEXT", least=6))
    rows = [
        [Cell("a name of some length"), Cell("1234"), Cell("a text that goes on and on and on")],
        [Cell("b"), Cell("1"), Cell("")],
    ]
    lines = table(columns, rows, 30, PLAIN)
    assert lines == [
        "NAME            N  TEXT",
        "a name of …  1234  a text tha…",
        "b               1",
    ]
    assert all(width_of(line) <= 30 for line in lines)


def test_colours_are_there_only_where_asked_for() -> None:
    """A style changes nothing of the text."""
    loud = Paint(has_color=True)
    assert loud("x", "red") == "\x1b[31mx\x1b[0m"
    assert loud("x", "") == PLAIN("x", "red") == "x"
