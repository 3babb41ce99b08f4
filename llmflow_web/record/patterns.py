"""What the user's own patterns match (`--redact`) is masked, wherever it stands. Pure.

Bodies are mostly JSON, whole or in the events of a stream, where a text is written with escapes: each string is undone,
masked and written anew, so that a pattern sees what a person reads and the JSON stays valid. Names of members stay.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

MASK = "[redacted]"

_TOKEN = re.compile(r"\"(?:[^\"\\]|\\.)*\"(\s*:)?|-?\d[\d.eE+-]*", re.DOTALL)
_PLAIN_NAME = re.compile(r"\"[A-Za-z_][\w.-]{0,63}\"\s*:")
_STRUCTURE = frozenset('"\\\r\n')
_OPENINGS = ("{", "[", '"', "data:", "event:", "id:", ":")


def mask_matches(data: bytes, pattern: re.Pattern[str]) -> bytes:
    """Mask what `pattern` matches in a body; the same object when there is nothing."""
    text = data.decode("utf-8", "surrogateescape")
    if not text.lstrip().startswith(_OPENINGS):
        clean = pattern.sub(MASK, text)
    else:
        clean = _TOKEN.sub(lambda token: _masked_token(token, pattern), text)
        # What stands outside strings: a body that was cut, an event that is no JSON.
        clean = pattern.sub(lambda found: found[0] if _STRUCTURE & set(found[0]) else _kept_mask(found), clean)
    return data if clean == text else clean.encode("utf-8", "surrogateescape")


def mask_text(text: str, patterns: Sequence[re.Pattern[str]]) -> str:
    """Mask what any of `patterns` matches in a text that is read as it is."""
    for pattern in patterns:
        text = pattern.sub(MASK, text)
    return text


def _kept_mask(found: re.Match[str]) -> str:
    """Mask a match outside strings, unless it is (part of) a mask already or of the syntax of numbers and words."""
    text, start, end = found.string, found.start(), found.end()
    if text.rfind(MASK, max(0, start - len(MASK)), end + len(MASK)) >= 0 or not found[0].strip(
        "{}[],:0123456789.-+eE "
    ):
        return found[0]
    return MASK


def _masked_token(token: re.Match[str], pattern: re.Pattern[str]) -> str:
    literal = token[0]
    if literal[0] != '"':
        return f'"{MASK}"' if pattern.search(literal) else literal
    name = token[1]
    if name is not None and _PLAIN_NAME.fullmatch(literal):
        return literal
    try:
        text = json.loads(literal[: -len(name)] if name else literal, strict=False)
    except ValueError:
        return literal
    clean = pattern.sub(MASK, text)
    return literal if clean == text else _written(clean) + (name or "")


def _written(text: str) -> str:
    literal = json.dumps(text, ensure_ascii=False)
    try:
        literal.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half a surrogate pair, which only an escape can hold
        return json.dumps(text)
    return literal
