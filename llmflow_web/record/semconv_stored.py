"""How the parts of OTLP that spans, logs and metrics share are stored as JSON, and read back.

Pure. Only members that are set are written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmflow_web.model import JSON
from llmflow_web.record.semconv_values import as_text, count, parsed_object, plain
from llmflow_web.wire.otlp import sendable
from llmflow_web.wire.otlp_values import Resource, Scope

MAX_MOMENT_NS = 2**43 * 1_000_000
"""The year 2248: what is beyond it is no time, and later ones SQLite could not hold."""

MAX_INT64 = 2**63 - 1
OWN_SCOPE = "llmflow"
"""The scope of spans that LLMFlow made itself."""


def only_set(**members: Any) -> JSON:
    """Return the members that have a value other than their default."""
    return {name: value for name, value in members.items() if value}


def moment(*candidates: int) -> int | None:
    """Return the first of these that is a time."""
    return next((ns for ns in candidates if 0 < ns < MAX_MOMENT_NS), None)


def resource_json(resource: Resource) -> JSON:
    """Return a resource as it is stored."""
    return only_set(
        attributes=plain(resource.attributes),
        dropped_attributes_count=resource.dropped_attributes_count,
        schema_url=resource.schema_url,
    )


def scope_json(scope: Scope) -> JSON:
    """Return a scope as it is stored."""
    return only_set(
        name=scope.name,
        version=scope.version,
        attributes=plain(scope.attributes),
        dropped_attributes_count=scope.dropped_attributes_count,
        schema_url=scope.schema_url,
    )


def resource_from(stored: Any) -> Resource:
    """Read a stored resource."""
    told = parsed_object(stored)
    return Resource(attributes_from(told.get("attributes")), dropped_from(told), as_text(told.get("schema_url")))


def scope_from(stored: Any) -> Scope:
    """Read a stored scope."""
    told = parsed_object(stored)
    return Scope(
        as_text(told.get("name")),
        as_text(told.get("version")),
        attributes_from(told.get("attributes")),
        dropped_from(told),
        as_text(told.get("schema_url")),
    )


def attributes_from(stored: Any) -> JSON:
    """Read stored attributes, an object or its JSON."""
    return {name: sendable(value) for name, value in parsed_object(stored).items()}


def dropped_from(stored: Mapping[str, Any]) -> int:
    """Read how many attributes the sender dropped."""
    return min(count(stored.get("dropped_attributes_count")) or 0, 2**32 - 1)


def nanoseconds(value: Any) -> int:
    """Read a stored time, a number or its digits; 0 = not set."""
    if isinstance(value, str):
        value = int(value) if value.isascii() and value.isdigit() and len(value) <= 20 else 0
    is_time = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**64
    return value if is_time else 0
