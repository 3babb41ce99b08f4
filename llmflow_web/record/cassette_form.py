"""A multipart body as its parts, without the boundary, which is new each time; files are known by their hash. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256

from llmflow_web.model import JSON
from llmflow_web.record.redact import Secret, redact_text

MAX_PART_CHARS = 16 * 1024
"""A longer text part, such as a file of training data, is recorded as its hash."""

_BOUNDARY = re.compile(r"boundary=(?:\"([^\"]+)\"|([^\s;]+))", re.IGNORECASE)
_PARAMETER = re.compile(r";\s*(name|filename)=(?:\"((?:[^\"\\]|\\.)*)\"|([^\s;]+))", re.IGNORECASE)


def binary(data: bytes) -> JSON:
    """Return what is recorded of bytes that are sent: enough to know them again."""
    return {"sha256": sha256(data).hexdigest(), "size": len(data)}


def form_parts(body: bytes, content_type: str, secrets: Sequence[Secret] = ()) -> list[JSON] | None:
    """Return the parts of a form in their order; None when it cannot be read as one."""
    found = _BOUNDARY.search(content_type)
    if found is None:
        return None
    mark = b"--" + (found[1] or found[2]).encode("latin-1")
    pieces = (b"\r\n" + body).split(b"\r\n" + mark)
    if len(pieces) < 3 or not pieces[-1].startswith(b"--"):
        return None
    return [_part(piece, secrets) for piece in pieces[1:-1]]


def _part(piece: bytes, secrets: Sequence[Secret]) -> JSON:
    head, _, content = piece.partition(b"\r\n\r\n")
    part: JSON = {}
    for line in head.decode("utf-8", "replace").split("\r\n"):
        name, _, value = line.partition(":")
        if name.strip().lower() == "content-disposition":
            part |= {key.lower(): redact_text(one or other, secrets) for key, one, other in _PARAMETER.findall(value)}
        elif name.strip().lower() == "content-type":
            part["type"] = value.strip()
    return part | _content(content, secrets)


def _content(content: bytes, secrets: Sequence[Secret]) -> JSON:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return binary(content)
    return {"text": redact_text(text, secrets)} if len(text) <= MAX_PART_CHARS else binary(content)
