"""One span as an SDK posts it → Row. Pure: ids and the time come in.

Names are the contract's; what is missing is derived (ids, duration, total), what has the wrong type is refused with a
sentence that names it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from llmflow_web.errors import BadRequest
from llmflow_web.model import JSON, PART_ATTRIBUTES, PART_INPUT, PART_OUTPUT, SPAN_TYPES, Body, Row, Span
from llmflow_web.record.previews import asked_preview, first_text, preview

MAX_ID_CHARS = 128
MAX_LABEL_CHARS = 256
MAX_ERROR_CHARS = 64 * 1024
MAX_TAGS = 64
MAX_MS = 2**43  # the year 2248: whoever is beyond it sent micro- or nanoseconds
MAX_COUNT = 2**53

_ATTRIBUTE_FIELDS = ("events", "links", "metadata", "resource")
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class NewIds:
    """Where ids come from that the sender left out: W3C hex."""

    trace: Callable[[], str]
    span: Callable[[], str]


def row_from_span(item: object, *, now_ns: int, ids: NewIds) -> Row:
    """Return the row of one posted span.

    Raises:
        BadRequest: A field has the wrong type or cannot be; the sentence names it.
    """
    if not isinstance(item, dict):
        raise BadRequest("a span must be a JSON object")
    given_id = _label(item, "id", MAX_ID_CHARS)
    trace_id = _label(item, "trace_id", MAX_ID_CHARS) or given_id or ids.trace()
    start_ns = _time_ns(item, "start_time")
    error = _error(item)
    status = _count(item, "status", 999)
    kind = _label(item, "span_type")
    span = Span(
        trace_id=trace_id,
        id=given_id or ids.span(),
        parent_id=_label(item, "parent_id", MAX_ID_CHARS),
        source="sdk",
        span_type=kind if kind in SPAN_TYPES else "custom",
        span_name=_label(item, "span_name") or kind or "span",
        service_name=_label(item, "service_name") or "app",
        start_ns=now_ns if start_ns is None else start_ns,
        duration_ns=_duration_ns(item, start_ns),
        ttft_ms=_number(item, "ttft_ms"),
        error=error,
        status=status if status is not None else (500 if error else 200),
        tags=_tags(item),
        is_stream=item.get("is_stream") is True,
    )
    span.response_status = span.status
    for name in ("provider", "model", "request_model", "operation", "response_id", "finish_reason", "session_id",
                 "conversation_id", "user_id", "agent_name", "prompt_name", "prompt_version", "tool"):  # fmt: skip
        setattr(span, name, _label(item, name))
    _set_usage(span, item)
    bodies = _bodies(item)
    span.preview_in = _preview(item.get("input"))
    span.preview_out = _preview(item.get("output")) or (preview(error) if error else None)
    return Row(span, bodies)


def _set_usage(span: Span, item: JSON) -> None:
    for name in ("prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "cache_write_tokens",
                 "reasoning_tokens"):  # fmt: skip
        setattr(span, name, _count(item, name))
    if span.total_tokens is None and (span.prompt_tokens is not None or span.completion_tokens is not None):
        span.total_tokens = (span.prompt_tokens or 0) + (span.completion_tokens or 0)
    span.estimated_cost = _number(item, "estimated_cost")


def _bodies(item: JSON) -> list[Body]:
    attributes = item.get("attributes")
    if attributes is not None and not isinstance(attributes, dict):
        raise BadRequest("attributes must be an object")
    told = dict(attributes or {}) | {name: item[name] for name in _ATTRIBUTE_FIELDS if item.get(name)}
    parts = ((PART_ATTRIBUTES, told or None), (PART_INPUT, item.get("input")), (PART_OUTPUT, item.get("output")))
    bodies = []
    for part, value in parts:
        if value is not None:
            data = _encode(value).encode("utf-8", "replace")
            bodies.append(Body(part, data, len(data)))
    return bodies


def _preview(value: Any) -> str | None:
    found = _shown(value)
    return _sound(found) if found else None


def _shown(value: Any) -> str | None:
    if isinstance(value, dict):
        found = asked_preview(value)
        if found is not None:
            return found
        # {"result": "…"} is how the JavaScript SDK wraps what is no object.
        inner = value.get("result", value)
        return preview(inner if isinstance(inner, str) else _encode(inner)) if value else None
    if value is None:
        return None
    return preview(first_text(value) or _encode(value))


def _label(item: JSON, name: str, limit: int = MAX_LABEL_CHARS) -> str | None:
    """Return a text field; an empty one is none. Ids are kept as sent, so one that is too long is refused."""
    value = item.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise BadRequest(f"{name} must be text")
    if limit == MAX_ID_CHARS and len(value) > limit:
        raise BadRequest(f"{name} must have at most {limit} characters")
    return _sound(value[:limit])


def _sound(text: str) -> str:
    """Replace lone surrogates, which JSON can write and UTF-8 cannot."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _error(item: JSON) -> str | None:
    value = item.get("error")
    if value is None or value in ("", False):
        return None
    text = value if isinstance(value, str) else _encode(value)
    return _sound(text[:MAX_ERROR_CHARS])


def _tags(item: JSON) -> list[str]:
    value = item.get("tags")
    if value is None:
        return []
    if isinstance(value, str):
        value = value.split(",")
    if not isinstance(value, list) or not all(isinstance(tag, str) for tag in value):
        raise BadRequest("tags must be a list of texts")
    found = [_sound(tag.strip()[:MAX_LABEL_CHARS]) for tag in value]
    return list(dict.fromkeys(tag for tag in found if tag))[:MAX_TAGS]


def _number(item: JSON, name: str, high: float = math.inf) -> float | None:
    value = item.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= high or value == math.inf:
        raise BadRequest(f"{name} must be a number of at least 0")
    return float(value)


def _count(item: JSON, name: str, high: int = MAX_COUNT) -> int | None:
    value = _number(item, name, high)
    if value is None:
        return None
    if value != int(value):
        raise BadRequest(f"{name} must be a whole number")
    return int(value)


_HAS_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def _time_ns(item: JSON, name: str) -> int | None:
    """Read a moment: milliseconds since the epoch, or ISO 8601."""
    value = item.get(name)
    if isinstance(value, str) and _HAS_DATE.match(value):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError as error:
            raise BadRequest(f"{name} must be milliseconds since 1970 or an ISO 8601 time") from error
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return round(moment.timestamp() * 1e6) * 1000
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= MAX_MS:
        raise BadRequest(f"{name} must be milliseconds since 1970 or an ISO 8601 time")
    return round(value * 1_000_000)


def _duration_ns(item: JSON, start_ns: int | None) -> int | None:
    given = _number(item, "duration_ms", MAX_MS)
    if given is not None:
        return round(given * 1_000_000)
    end_ns = _time_ns(item, "end_time")
    return None if end_ns is None or start_ns is None else max(0, end_ns - start_ns)
