"""Multipart forms, read only as far as they say what is asked for: the small fields, never the files."""

from __future__ import annotations

import re
from typing import Any

from llmflow_web.model import JSON

FORM_WINDOW_BYTES = 64 * 1024
"""Form fields are looked for this far from both ends of a multipart body; files lie between."""

_FORM_FIELD = re.compile(
    rb'name="?(model|stream|response_format|language|prompt|size|quality|n|user)"?[^\r\n]*\r?\n'
    rb"(?:[^\r\n]+\r?\n)*\r?\n([^\r\n]{0,4096})\r?\n"
)


def form_fields(data: bytes) -> JSON:
    """Return the small fields of a multipart form that say what is asked for."""
    windows = (
        data if len(data) <= 2 * FORM_WINDOW_BYTES else data[:FORM_WINDOW_BYTES] + b"\r\n" + data[-FORM_WINDOW_BYTES:]
    )
    fields: dict[str, Any] = {}
    for match in _FORM_FIELD.finditer(windows):
        value = match[2].decode("utf-8", "replace").strip()
        name = match[1].decode("ascii")
        fields[name] = value.lower() == "true" if name == "stream" else value
    return fields
