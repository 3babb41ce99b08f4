"""Header lists: looking up values in them, and which of them may travel on.

A header is (lower-case name, the whole line as sent); values are cut out of the line only where somebody asks for one.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from llmflow_web.model import Header

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""What concerns one connection only (RFC 9110 §7.6.1 and its forerunners)."""


def value_of(line: bytes) -> bytes:
    """Return the value of a header line, without the white space around it."""
    return line.partition(b":")[2].strip(b" \t")


def get(headers: Sequence[Header], name: bytes) -> bytes | None:
    """Return the first value of the header `name` (lower case), or None."""
    for found, line in headers:
        if found == name:
            return value_of(line)
    return None


def get_all(headers: Sequence[Header], name: bytes) -> list[bytes]:
    """Return every value of the header `name` (lower case), in order."""
    return [value_of(line) for found, line in headers if found == name]


def tokens(headers: Sequence[Header], name: bytes) -> list[bytes]:
    """Return the lower-cased members of a comma-separated header, over all its lines."""
    members: list[bytes] = []
    for found, line in headers:
        if found == name:
            parts = value_of(line).lower().split(b",")
            members += [member for part in parts if (member := part.strip(b" \t"))]
    return members


def forwardable(headers: Sequence[Header], drop: AbstractSet[bytes] = frozenset()) -> list[Header]:
    """Return the headers that may travel on: no hop-by-hop ones, none that Connection names, none in `drop`."""
    unwanted = HOP_BY_HOP | drop if drop else HOP_BY_HOP
    named = tokens(headers, b"connection")
    if named:
        unwanted = unwanted.union(named)
    return [header for header in headers if header[0] not in unwanted]
