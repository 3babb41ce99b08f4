"""How wide text is on a terminal, and what of it may be shown there. Pure.

Whatever a model or a stranger wrote is `clean`ed before it is shown: no character a terminal acts on comes through.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from unicodedata import category, east_asian_width

from llmflow_web.console import escape

ELLIPSIS = "…"
GAP = "  "
_STYLES = {"dim": "2", "red": "31", "green": "32", "yellow": "33", "magenta": "35", "cyan": "36", "bold": "1"}
_SPACES = {ord(char): " " for char in "\u00a0\u2007\u202f\u3000"}
_NARROW = frozenset({"Mn", "Me", "Cf"})  # written onto, or about, the character before


def clean(text: str) -> str:
    """Return text on one line: runs of spaces and line ends become one space, control characters their escapes."""
    return escape(" ".join(text.split()))


def clean_lines(text: str) -> list[str]:
    """Return the lines of a text, tabs as spaces and control characters as their escapes."""
    lines = text.translate(_SPACES).replace("\r\n", "\n").split("\n")
    return [escape(line.expandtabs(4).rstrip()) for line in lines]


def char_width(char: str) -> int:
    """Return how many cells a character takes."""
    if char.isascii():
        return 1
    if category(char) in _NARROW:
        return 0
    return 2 if east_asian_width(char) in "WF" else 1


def width_of(text: str) -> int:
    """Return how many cells a text takes."""
    return len(text) if text.isascii() else sum(map(char_width, text))


def cut(text: str, width: int) -> str:
    """Return as much of a text as fits; an ellipsis says that there is more."""
    if width_of(text) <= width:
        return text
    if width < 1:
        return ""
    kept: list[str] = []
    left = width - 1
    for char in text:
        left -= char_width(char)
        if left < 0:
            break
        kept.append(char)
    return "".join(kept) + ELLIPSIS


def pad(text: str, width: int, *, right: bool = False) -> str:
    """Fill a text up to a width; `right`: it stands at the right."""
    blank = " " * max(0, width - width_of(text))
    return blank + text if right else text + blank


def wrap(text: str, width: int) -> list[str]:
    """Break one line into lines of at most `width` cells, at spaces where there are any. Its indent stays."""
    indent = text[: len(text) - len(text.lstrip(" "))][: max(0, width // 2)]
    lines: list[str] = []
    rest = text
    while width_of(rest) > width:
        end = _fitting(rest, width)
        space = rest.rfind(" ", len(indent) + 1, end + 1)
        place = space if space > len(indent) else end
        lines.append(rest[:place].rstrip())
        rest = indent + rest[place:].lstrip(" ")
    return [*lines, rest]


def _fitting(text: str, width: int) -> int:
    """Return how many characters of a text fit, at least one."""
    for place, char in enumerate(text):
        width -= char_width(char)
        if width < 0:
            return max(1, place)
    return len(text)


# ── colours and tables ───────────────────────────────────────────────────────────────────────────────────────────────


class Paint:
    """Colours, where there are any."""

    def __init__(self, *, has_color: bool) -> None:
        self.has_color = has_color

    def __repr__(self) -> str:
        return f"<Paint {'in colours' if self.has_color else 'plain'}>"

    def __call__(self, text: str, style: str) -> str:
        """Return text in a style; "" is none."""
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if self.has_color and style and text else text


@dataclass(frozen=True, slots=True)
class Column:
    """A column: `least` is the width to which it may be narrowed; None: never."""

    title: str
    is_right: bool = False
    least: int | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands in a column, of whatever origin, and how it looks."""

    text: str
    style: str = ""


def table(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int, paint: Paint) -> list[str]:
    """Lay out a table that fits: columns that may be narrowed are, from the widest on."""
    texts = [[clean(cell.text) for cell in row] for row in rows]
    widths = _widths(columns, texts, width)
    lines = [paint(_line([column.title for column in columns], columns, widths, {}, paint), "dim")]
    for row, written in zip(rows, texts, strict=True):
        styles = {index: cell.style for index, cell in enumerate(row) if cell.style}
        lines.append(_line(written, columns, widths, styles, paint))
    return lines


def _line(
    texts: Sequence[str], columns: Sequence[Column], widths: Sequence[int], styles: Mapping[int, str], paint: Paint
) -> str:
    parts = []
    for index, (text, column, width) in enumerate(zip(texts, columns, widths, strict=True)):
        is_last = index == len(columns) - 1 and not column.is_right
        shown = cut(text, width)
        filled = shown if is_last else pad(shown, width, right=column.is_right)
        parts.append(paint(filled, styles.get(index, "")))
    return GAP.join(parts).rstrip()


def _widths(columns: Sequence[Column], texts: Sequence[Sequence[str]], width: int) -> list[int]:
    """Return the widths: as wide as what stands there, narrowed from the widest on until all fit."""
    widths = [
        max([width_of(column.title), *(width_of(row[index]) for row in texts)]) for index, column in enumerate(columns)
    ]
    widths = [min(one, width) if column.least else one for one, column in zip(widths, columns, strict=True)]
    over = sum(widths) + len(GAP) * (len(columns) - 1) - width
    while over > 0:
        spare = [index for index, column in enumerate(columns) if column.least and widths[index] > column.least]
        if not spare:
            break
        widths[max(spare, key=lambda index: widths[index])] -= 1
        over -= 1
    return widths
