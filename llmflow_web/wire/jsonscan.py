"""Finding the top-level members of a JSON object in its bytes, without building the values.

Sans I/O. One regular expression steps over a whole member at C speed; what it does not plainly understand is None:
then nobody may change the bytes.
"""

from __future__ import annotations

import json
import re

Place = tuple[int, int]
"""Where a value stands: body[start:end]."""

_WS = rb"[ \t\r\n]*+"
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_SCALAR = rb"-?[0-9][0-9.eE+-]*+|true|false|null"
_NESTING = 12  # messages → content parts → schemas stay below; deeper values are walked token by token


def _container(depth: int) -> bytes:
    """Return an expression for an object or array with at most `depth` levels inside.

    The kinds of brackets are not matched up: a body in which that matters is no JSON, and upstream will say so.
    """
    inner = rb"(?:[^\]\[{}\"]++|" + _STRING + (rb"|" + _container(depth - 1) if depth else b"") + rb")*+"
    return rb"[\[{]" + inner + rb"[\]}]"


_KEY = re.compile(_WS + rb"(" + _STRING + rb")" + _WS + rb":" + _WS, re.DOTALL)
_PLAIN = re.compile(rb"(?:" + _STRING + rb"|" + _SCALAR + rb"|" + _container(_NESTING) + rb")", re.DOTALL)
_NEXT = re.compile(_WS + rb"([,}])")
_TOKEN = re.compile(_STRING + rb"|[\]\[{}]", re.DOTALL)
_START = re.compile(_WS + rb"\{")
_EMPTY = re.compile(_WS + rb"\}" + _WS + rb"\Z")
_END = re.compile(_WS + rb"\Z")


def top_level(body: bytes) -> dict[str, Place] | None:
    """Map each top-level member of the object `body` to the place of its value; of doubles the last counts.

    None when `body` is not plainly one JSON object.
    """
    start = _START.match(body)
    if start is None:
        return None
    at = start.end()
    if _EMPTY.match(body, at):
        return {}
    found: dict[str, Place] = {}
    while True:
        key = _KEY.match(body, at)
        if key is None:
            return None
        end = _value_end(body, key.end())
        step = _NEXT.match(body, end) if end else None
        name = _key_name(key[1])
        if step is None or name is None:
            return None
        found[name] = (key.end(), end)
        at = step.end()
        if step[1] == b"}":
            return found if _END.match(body, at) else None


def _value_end(body: bytes, start: int) -> int:
    """Return where the value at `start` ends; 0 when it does not."""
    plain = _PLAIN.match(body, start)
    if plain is not None:
        return plain.end()
    if body[start : start + 1] not in (b"{", b"["):
        return 0
    depth = 0
    for token in _TOKEN.finditer(body, start):
        first = body[token.start()]
        if first in b"[{":
            depth += 1
        elif first in b"]}":
            depth -= 1
            if depth == 0:
                return token.end()
    return 0


def _key_name(quoted: bytes) -> str | None:
    try:
        return str(json.loads(quoted)) if b"\\" in quoted else quoted[1:-1].decode()
    except ValueError:
        return None


def is_true(body: bytes, place: Place | None) -> bool:
    """Say whether the value at `place` is the literal true."""
    return place is not None and body[place[0] : place[1]] == b"true"


def string_value(body: bytes, place: Place | None) -> str | None:
    """Return the string at `place`; None when there is none or it is no string."""
    if place is None or body[place[0]] != 0x22:
        return None
    return _key_name(body[place[0] : place[1]])


_STREAMS = re.compile(rb'"stream"' + _WS + rb":" + _WS + rb"true")
_MEMBER = b'"stream_options":{"include_usage":true},'


def splice_include_usage(body: bytes) -> bytes | None:
    """Ask for usage in a streaming request by inserting `stream_options.include_usage`; keep every other byte.

    None when there is nothing to do: no stream, the client has said what it wants, or `body` is not plainly an object.
    """
    if _STREAMS.search(body) is None:  # the common case at the price of a substring test
        return None
    members = top_level(body)
    if members is None or not is_true(body, members.get("stream")):
        return None
    place = members.get("stream_options")
    if place is None:
        start = body.index(b"{") + 1
        return body[:start] + _MEMBER + body[start:]
    start, end = place
    options = body[start:end]
    if options == b"null":
        return body[:start] + b'{"include_usage":true}' + body[end:]
    inner = top_level(options)
    if inner is None or "include_usage" in inner:
        return None
    return body[: start + 1] + b'"include_usage":true' + (b"," if inner else b"") + body[start + 1 :]
