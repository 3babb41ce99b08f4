"""JSON of many megabytes, read without holding everybody up: what json.loads gives, in pieces.

json.loads is one call into C, during which no other thread runs: 15 ms for a batch of 512 spans, half a second for the
longest body. Here the outermost levels are walked in Python and only what lies deeper is read in C, piece by piece.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

LEVELS = 6
"""Levels walked here: those of an OTLP request down to its spans, log records and metrics."""

MIN_CHARS = 64 * 1024
"""A shorter text is read at once."""

Leaf = Callable[[str, int], tuple[Any, int]]

scan: Leaf = json.JSONDecoder().raw_decode
_space = re.compile(r"[ \t\n\r]*").match


def loads(text: str, read: Leaf = scan, levels: int = LEVELS) -> Any:
    """Read a text. Raises JSONDecodeError, and RecursionError for what is nested too deeply.

    read: reads one piece that begins at a position, and returns it with its end.
    """
    if len(text) < MIN_CHARS:
        levels = 0
    value, at = _value(text, _after_space(text, 0), levels, read)
    at = _after_space(text, at)
    if at != len(text):
        raise json.JSONDecodeError("Extra data", text, at)
    return value


def _after_space(text: str, at: int) -> int:
    found = _space(text, at)
    return found.end() if found else at


def _value(text: str, at: int, levels: int, read: Leaf) -> tuple[Any, int]:
    if levels:
        first = text[at : at + 1]
        if first == "{":
            return _object(text, at + 1, levels - 1, read)
        if first == "[":
            return _array(text, at + 1, levels - 1, read)
    return read(text, at)


def _array(text: str, at: int, levels: int, read: Leaf) -> tuple[list[Any], int]:
    values: list[Any] = []
    at = _after_space(text, at)
    if text.startswith("]", at):
        return values, at + 1
    while True:
        value, at = _value(text, at, levels, read)
        values.append(value)
        at = _after_space(text, at)
        if text.startswith("]", at):
            return values, at + 1
        at = _after_comma(text, at)


def _object(text: str, at: int, levels: int, read: Leaf) -> tuple[dict[str, Any], int]:
    members: dict[str, Any] = {}
    at = _after_space(text, at)
    if text.startswith("}", at):
        return members, at + 1
    while True:
        if not text.startswith('"', at):
            raise json.JSONDecodeError("Expecting property name enclosed in double quotes", text, at)
        name, at = scan(text, at)
        at = _after_space(text, at)
        if not text.startswith(":", at):
            raise json.JSONDecodeError("Expecting ':' delimiter", text, at)
        members[name], at = _value(text, _after_space(text, at + 1), levels, read)
        at = _after_space(text, at)
        if text.startswith("}", at):
            return members, at + 1
        at = _after_comma(text, at)


def _after_comma(text: str, at: int) -> int:
    if not text.startswith(",", at):
        raise json.JSONDecodeError("Expecting ',' delimiter", text, at)
    return _after_space(text, at + 1)
