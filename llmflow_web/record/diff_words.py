"""Two texts → what of one became the other, word by word. Pure, and bounded: what is too different is told coarsely.

The algorithm is Myers' (An O(ND) difference algorithm, 1986): its work grows with the number of changes, so two long
texts that hardly differ cost little, and the bound on changes is the bound on work.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

MAX_WORDS = 20_000
"""Of one text; longer ones are compared by lines, then as wholes."""

MAX_EDITS = 600
"""Words (or lines) taken out and put in between two texts; more differ too much to be told word by word."""

MAX_STEPS = 1_500_000
"""Steps of comparing over all texts of one diff, half a second's worth."""

Detail = Literal["words", "lines", "whole"]
Op = tuple[Literal["=", "-", "+"], str]
"""A piece of text that both have, only the first, or only the second."""

# Scripts written without spaces are cut into characters.
_NO_SPACES = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uac00-\ud7af"
_WORD = re.compile(rf"[{_NO_SPACES}]|\s+|[^\W{_NO_SPACES}]+|[^\w\s]")
_LINE = re.compile(r"[^\n]*\n|[^\n]+")


@dataclass(slots=True)
class Work:
    """How much may still be done."""

    left: int = MAX_STEPS


@dataclass(frozen=True, slots=True)
class TextDiff:
    """The ops in order, and how finely the texts were compared."""

    ops: list[Op]
    detail: Detail


def diff_texts(a: str, b: str, work: Work) -> TextDiff:
    """Compare two texts. The texts of `=` and `-` are `a`, those of `=` and `+` are `b`, whatever the detail."""
    if a == b:
        return TextDiff([("=", a)] if a else [], "words")
    details: tuple[tuple[Detail, re.Pattern[str]], ...] = (("words", _WORD), ("lines", _LINE))
    for detail, pattern in details:
        ops = _diff(pattern.findall(a), pattern.findall(b), work)
        if ops is not None and (detail == "words" or any(op == "=" for op, _ in ops)):
            return TextDiff(ops, detail)
    return TextDiff(_tidy([("-", a), ("+", b)]), "whole")


def apply_diff(a: str, ops: Iterable[Op]) -> str:
    """Turn the first text into the second. Raises ValueError when the ops are of another text."""
    made: list[str] = []
    at = 0
    for op, text in ops:
        if op != "+":
            if not a.startswith(text, at):
                raise ValueError(f"at {at} the text is not {text[:40]!r}")
            at += len(text)
        if op != "-":
            made.append(text)
    if at != len(a):
        raise ValueError(f"the ops end at {at} of {len(a)} characters")
    return "".join(made)


def _diff(a: Sequence[str], b: Sequence[str], work: Work) -> list[Op] | None:
    """Compare two lists of words; None when that is too much work."""
    if len(a) > MAX_WORDS or len(b) > MAX_WORDS:
        return None
    head = _common(a, b)
    tail = _common(a[head:][::-1], b[head:][::-1])
    trace = _search(a[head : len(a) - tail], b[head : len(b) - tail], work)
    if trace is None:
        return None
    middle = _walk_back(a[head : len(a) - tail], b[head : len(b) - tail], trace)
    ends: tuple[Op, Op] = ("=", "".join(a[:head])), ("=", "".join(a[len(a) - tail :]))
    return _tidy([ends[0], *middle, ends[1]])


def _common(a: Sequence[str], b: Sequence[str]) -> int:
    """Return how many words both begin with."""
    count = 0
    for one, other in zip(a, b, strict=False):
        if one != other:
            break
        count += 1
    return count


Reached = list[int]
"""After so many edits E: at place `diagonal + E + 1` the furthest x on each diagonal (x - y) from -E - 1 to E + 1."""


def _search(a: Sequence[str], b: Sequence[str], work: Work) -> list[Reached] | None:
    """Return what could be reached before each further edit; None when that is too much work."""
    most = min(len(a) + len(b), MAX_EDITS)
    middle = most + 1
    reached = [0] * (2 * middle + 1)
    trace: list[Reached] = []
    for edits in range(most + 1):
        trace.append(reached[middle - edits - 1 : middle + edits + 2])
        for diagonal in range(-edits, edits + 1, 2):
            x = begun = _step(trace[-1], edits, diagonal)[1]
            y = x - diagonal
            while x < len(a) and y < len(b) and a[x] == b[y]:
                x, y = x + 1, y + 1
            work.left -= 1 + x - begun
            reached[middle + diagonal] = x
            if x >= len(a) and y >= len(b):
                return trace
        if work.left <= 0:
            return None
    return None


def _step(reached: Reached, edits: int, diagonal: int) -> tuple[bool, int]:
    """Return whether the edit that leads to a diagonal puts a word in (else takes one out), and the x it leads to."""
    below, above = reached[diagonal + edits], reached[diagonal + edits + 2]
    puts_in = diagonal == -edits or (diagonal != edits and below < above)
    return puts_in, above if puts_in else below + 1


def _walk_back(a: Sequence[str], b: Sequence[str], trace: list[Reached]) -> list[Op]:
    """Read the ops from the end to the start of a search."""
    ops: list[Op] = []
    x, y = len(a), len(b)
    for edits in range(len(trace) - 1, -1, -1):
        puts_in, start = _step(trace[edits], edits, x - y)
        while x > start:
            x, y = x - 1, y - 1
            ops.append(("=", a[x]))
        if edits and puts_in:
            y -= 1
            ops.append(("+", b[y]))
        elif edits:
            x -= 1
            ops.append(("-", a[x]))
    return ops[::-1]


def _tidy(ops: list[Op]) -> list[Op]:
    """Join neighbours of a kind, out before in; a bare space between two changes belongs to both."""
    made: list[Op] = []
    out: list[str] = []
    put: list[str] = []
    same = ""
    for op, text in [*ops, ("=", "")]:
        if op == "=":
            same += text
            continue
        if same:
            if (out or put) and same.isspace():
                out.append(same)
                put.append(same)
            else:
                _flush(made, out, put)
                made.append(("=", same))
            same = ""
        (out if op == "-" else put).append(text)
    _flush(made, out, put)
    if same:
        made.append(("=", same))
    return made


def _flush(made: list[Op], out: list[str], put: list[str]) -> None:
    gone, come = "".join(out), "".join(put)
    if gone:
        made.append(("-", gone))
    if come:
        made.append(("+", come))
    out.clear()
    put.clear()
