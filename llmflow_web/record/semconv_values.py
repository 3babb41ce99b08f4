"""Attribute values as senders really write them: numbers as text, JSON as text (perhaps cut off), lists as either.

Pure. Every reader takes anything and returns None for what it cannot use, so that the next candidate is tried.
"""

from __future__ import annotations

import base64
import json
import math
from typing import Any

from llmflow_web.model import JSON

MAX_LABEL_CHARS = 256
MAX_ERROR_CHARS = 64 * 1024
MAX_TAGS = 64
MAX_COUNT = 2**53
MAX_PARSED_CHARS = 8 * 1024 * 1024
"""A longer text is shown as it is and not read as JSON."""


def sound(text: str) -> str:
    """Replace lone surrogates, which JSON can write and UTF-8 cannot."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def label(value: Any) -> str | None:
    """Read a short text: a name, an id, a model."""
    if isinstance(value, str):
        text = value.strip()[:MAX_LABEL_CHARS]
        return sound(text) if text else None
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**64:
        return str(value)
    return None


def long_text(value: Any) -> str | None:
    """Read a text of any length: a message, an error."""
    if isinstance(value, str):
        return sound(value[:MAX_ERROR_CHARS]) if value else None
    if value is None or isinstance(value, bool):
        return None
    return sound(as_text(value)[:MAX_ERROR_CHARS])


def number(value: Any) -> float | None:
    """Read a finite number of at least 0, also out of a text."""
    if isinstance(value, str):
        if len(value) > 40:
            return None
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= MAX_COUNT:
        return None  # NaN fails both comparisons
    return float(value)


def count(value: Any) -> int | None:
    """Read a whole number of at least 0, also out of a text or a float."""
    if type(value) is int:  # nearly always; a bool is no count
        return value if 0 <= value <= MAX_COUNT else None
    found = number(value)
    return int(found) if found is not None and found == math.floor(found) else None


def flag(value: Any) -> bool | None:
    """Read a yes or no, also out of a text."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return {"true": True, "1": True, "false": False, "0": False}.get(value.strip().lower())
    return None


def parsed(value: Any) -> Any:
    """Return what a JSON text says; anything else, and JSON that was cut off, as it is."""
    if not isinstance(value, str) or len(value) > MAX_PARSED_CHARS or value.lstrip()[:1] not in ("{", "[", '"'):
        return value
    try:
        return _decode(value)
    except (ValueError, RecursionError):
        return value


_decode = json.JSONDecoder(parse_constant=str).decode  # made once: a quarter of the price of a short text


def parsed_object(value: Any) -> JSON:
    """Return the object that `value` is or says; {} for anything else."""
    found = parsed(value)
    return found if isinstance(found, dict) else {}


def parsed_list(value: Any) -> list[Any]:
    """Return the list that `value` is or says; [] for anything else."""
    found = parsed(value)
    return found if isinstance(found, list) else []


def labels(value: Any) -> list[str]:
    """Read a list of short texts: a list, a JSON list, or a text with commas."""
    found = parsed(value)
    if isinstance(found, str):
        found = found.split(",")
    if not isinstance(found, list):
        return []
    read = [label(item) for item in found[:MAX_TAGS]]
    return list(dict.fromkeys(item for item in read if item))


def labels_or_none(value: Any) -> list[str] | None:
    """Read a list of short texts; None when there is none."""
    return labels(value) or None


def as_text(value: Any) -> str:
    """Return a value as one text: a text as it is, nothing as "", the rest as JSON."""
    if isinstance(value, str):
        return value
    return "" if value is None else encoded(value).decode()


def digits(text: str) -> int | None:
    """Read an index of at most nine digits: an attribute's name may hold anything."""
    return int(text) if 0 < len(text) <= 9 and text.isascii() and text.isdigit() else None


# ── how values are stored ────────────────────────────────────────────────────────────────────────────────────────────


def _bytes_value(value: Any) -> Any:
    if isinstance(value, (bytes, bytearray)):
        return {"bytesValue": base64.b64encode(value).decode("ascii")}
    return str(value)


_encode = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), check_circular=False, default=_bytes_value
).encode
_encode_sorted = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), check_circular=False, sort_keys=True,
    default=_bytes_value,
).encode  # fmt: skip


def encoded(value: Any, *, is_sorted: bool = False) -> bytes:
    """Write a value as JSON; bytes and endless numbers as the store keeps them."""
    write = _encode_sorted if is_sorted else _encode
    try:
        text = write(value)
    except ValueError:  # an endless number: rare, so slow
        text = write(_storable(value))
    return text.encode("utf-8", "replace")


def _storable(value: Any) -> Any:
    from llmflow_web.wire.otlp import storable  # brings the decoders along, which the screens do not need

    return storable(value)


def plain(attributes: JSON) -> JSON:
    """Return attributes as others may write them into JSON: bytes and endless numbers as they are stored."""
    if all(type(value) in _PLAIN_TYPES for value in attributes.values()):  # nearly always
        return attributes
    found: JSON = _storable(attributes)
    return found


_PLAIN_TYPES = frozenset({str, int, bool, type(None)})
