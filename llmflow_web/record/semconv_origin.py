"""What spans under one resource and one scope share: read and written as JSON once, not for each span. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llmflow_web.record.semconv_stored import OWN_SCOPE, only_set, resource_json, scope_json
from llmflow_web.record.semconv_values import encoded, label
from llmflow_web.wire.otlp_values import OtlpSpan, Resource, Scope

# Attributes of a resource that stand for what its spans do not say.
_COLUMNS = (
    ("session_id", ("session.id",)),
    ("conversation_id", ("gen_ai.conversation.id", "conversation.id")),
    ("user_id", ("user.id", "enduser.id", "user.email", "user.account_uuid")),
)


@dataclass(frozen=True, slots=True)
class Origin:
    """One resource and one scope."""

    resource: Resource
    scope: Scope
    service: str
    is_ours: bool  # sent by another LLMFlow
    columns: Sequence[tuple[str, str, str]]  # column, value, attribute
    stored: bytes  # as JSON, {} when nothing of it is set


def origin_of(resource: Resource, scope: Scope) -> Origin:
    """Read what spans under them share."""
    return Origin(
        resource,
        scope,
        label(resource.attributes.get("service.name")) or label(scope.name) or "otel",
        scope.name == OWN_SCOPE,
        tuple(columns_in(resource.attributes, _COLUMNS)),
        encoded(only_set(resource=resource_json(resource), scope=scope_json(scope))),
    )


def columns_in(source: Mapping[str, Any], table: Sequence[tuple[str, Sequence[str]]]) -> Iterator[tuple[str, str, str]]:
    """Yield (column, value, name) of the names of a table that have a value, in its order."""
    for column, names in table:
        for name in names:
            value = label(source.get(name))
            if value is not None:
                yield column, value, name


class Origins:
    """Remembers the origin of the span read last: spans come grouped by it."""

    def __init__(self) -> None:
        self._last: Origin | None = None

    def of(self, span: OtlpSpan) -> Origin:
        """Return the origin of a span."""
        last = self._last
        if last is None or last.resource is not span.resource or last.scope is not span.scope:
            last = self._last = origin_of(span.resource, span.scope)
        return last
