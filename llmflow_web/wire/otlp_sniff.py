"""Telling whether a body is what it was posted as: logs posted to traces, JSON sent as protobuf.

Sans I/O. Exporters with one address for everything, and people with curl, do this; the three requests look alike from
outside, so that a wrong one would be read as an empty or broken one of the right kind. Doubt is no reason to refuse.
"""

from __future__ import annotations

from collections.abc import Callable

from llmflow_web.errors import BadRequest
from llmflow_web.model import JSON
from llmflow_web.wire.otlp_schema import REQUESTS
from llmflow_web.wire.otlp_values import Signal
from llmflow_web.wire.protobuf import FIXED64, LENGTH, Malformed, fields

_MAX_FIELDS = 64
"""Fields of the first item that are looked at."""

Traits = dict[int, bytes]
"""The first item's fields by tag; of each the last, as bytes."""

_DATA_TAGS = [number << 3 | LENGTH for number in (5, 7, 9, 10, 11)]
_RESOURCE_TAG = b"\x0a"


def refuse_other_root(signal: Signal, root: JSON) -> None:
    """Raise BadRequest when a JSON object is another signal's request."""
    if _has_root(signal, root):
        return
    for other in REQUESTS:
        if _has_root(other, root):
            raise _refusal(signal, other)


def _has_root(signal: Signal, root: JSON) -> bool:
    field = REQUESTS[signal].resources
    return field.name in root or field.json_name in root


def refuse_other_signal(signal: Signal, body: bytes) -> None:
    """Raise BadRequest when the first item of a protobuf body is plainly another signal's."""
    try:
        traits = _first_item(body)
    except (Malformed, IndexError):
        return  # the decoder will say so
    for other, looks_like in _LOOKS_LIKE.items():
        if other != signal and looks_like(traits):
            raise _refusal(signal, other)


def hint(body: bytes, *, is_json: bool) -> str:
    """Return a sentence about a body that is not what its content type says, where it plainly is something else."""
    if body[:2] == b"\x1f\x8b":
        return " It is compressed with gzip: say so with content-encoding: gzip."
    looks_like_json = body.lstrip()[:1] == b"{"
    if looks_like_json and not is_json:
        return " It looks like JSON: say so with content-type: application/json."
    if is_json and not looks_like_json and body[:1] == _RESOURCE_TAG:
        return " It looks like protobuf: say so with content-type: application/x-protobuf."
    return ""


def _refusal(signal: Signal, other: Signal) -> BadRequest:
    return BadRequest(f"These are {other}, posted to /v1/{signal}. Send them to /v1/{other}.")


def _first_item(body: bytes) -> Traits:
    """Return what the first span, log record or metric of a body has; the requests share all that is around them."""
    resource_tag, list_tag = 1 << 3 | LENGTH, 2 << 3 | LENGTH
    for tag, start, stop in fields(body, 0, len(body)):
        if tag == resource_tag:
            for inner, at, end in fields(body, start, stop):
                if inner == list_tag:
                    for innermost, first, last in fields(body, at, end):
                        if innermost == list_tag:
                            return _traits(body, first, last)
    return {}


def _traits(body: bytes, start: int, stop: int) -> Traits:
    found: Traits = {}
    for nth, (tag, at, end) in enumerate(fields(body, start, stop)):
        found[tag] = body[at:end]
        if nth == _MAX_FIELDS:
            break
    return found


# What tells them apart is the wire type of a time: each signal has its times in other fields


def _is_span(traits: Traits) -> bool:
    """A span has its ids in fields 1 and 2, its times in 7 and 8."""
    has_ids = len(traits.get(1 << 3 | LENGTH, b"")) == 16 and len(traits.get(2 << 3 | LENGTH, b"")) == 8
    return has_ids and (7 << 3 | FIXED64 in traits or 8 << 3 | FIXED64 in traits)


def _is_log(traits: Traits) -> bool:
    """A log record has its times in fields 1 and 11."""
    return 1 << 3 | FIXED64 in traits or 11 << 3 | FIXED64 in traits


def _is_metric(traits: Traits) -> bool:
    """A metric has its name in field 1, and one kind of data, in whose first point field 3 is a time."""
    data = [traits[tag] for tag in _DATA_TAGS if tag in traits]
    if 1 << 3 | LENGTH not in traits or len(data) != 1:
        return False
    try:
        return any(
            tag == 1 << 3 | LENGTH and any(inner == 3 << 3 | FIXED64 for inner, _, _ in fields(data[0], start, stop))
            for tag, start, stop in fields(data[0], 0, len(data[0]))
        )
    except (Malformed, IndexError):
        return False


_LOOKS_LIKE: dict[Signal, Callable[[Traits], bool]] = {"traces": _is_span, "logs": _is_log, "metrics": _is_metric}
