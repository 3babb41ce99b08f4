"""JSON that was cut off in the middle → JSON that says what it still said. Pure.

Senders cap what they log of a request or an answer. What is open at the cut is closed; a member without its value and
a word cut in two are left out.
"""

from __future__ import annotations

import json
import re
from typing import Any

_token = re.compile(r'[ \t\r\n]*("(?:[^"\\]|\\.)*"|[{}\[\],:]|[^ \t\r\n{}\[\],:"]+)', re.DOTALL)
_open_text = re.compile(r'"(?:[^"\\]|\\(?:u[0-9a-fA-F]{4}|[^u]))*', re.DOTALL)  # up to its last whole character
_CLOSERS = {"{": "}", "[": "]"}
_MAX_DEPTH = 200


def mended(text: str) -> Any:
    """Return what a JSON text says up to where it was cut; None when there is nothing to read in it."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return json.loads(_closed(text))
    except (ValueError, RecursionError):
        return None


def _closed(text: str) -> str:
    """Close whatever is open; "" when that would be a guess."""
    stack: list[str] = []
    end, closers = 0, ""  # up to here all is whole, and this closes it
    at, is_value = 0, True
    while (found := _token.match(text, at)) is not None:
        word, at = found[1], found.end()
        if word in "{[":
            stack.append(word)
            is_value = word == "["
        elif word in "}]":
            if not stack or _CLOSERS[stack.pop()] != word:
                return ""
        elif word in ",:":
            is_value = word == ":" or stack[-1:] == ["["]
            continue
        elif not is_value or (at == len(text) and word[0] != '"'):
            continue  # a name without its value, or a number that may go on
        if len(stack) > _MAX_DEPTH:
            return ""
        end, closers = at, "".join(_CLOSERS[open_] for open_ in reversed(stack))
    rest = _open_text.match(text, len(text) - len(text[at:].lstrip()))
    if rest is not None and is_value and stack:  # a text cut in the middle is worth keeping
        return text[:at] + rest[0] + '"' + "".join(_CLOSERS[open_] for open_ in reversed(stack))
    return text[:end] + closers
