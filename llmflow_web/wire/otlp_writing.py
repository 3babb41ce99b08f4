"""What both encoders share: items put under their resource and scope, and values made fit to travel."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from llmflow_web.wire.otlp_values import Resource, Scope

MAX_DEPTH = 30
"""Levels of lists and maps inside a value that we write. Others read 100 messages deep; a level of maps is three."""
TOO_DEEP = "[nested too deeply]"
_LEAVES = frozenset({type(None), str, bool, float, bytes})


class Item(Protocol):
    """A span, a log record or a metric."""

    resource: Resource
    scope: Scope


@dataclass(slots=True)
class Group:
    """Items of one resource, by scope."""

    resource: Resource
    scopes: list[tuple[Scope, list[Any]]] = field(default_factory=list)


class Grouping:
    """Puts items together whose resource and scope are the same object, or equal."""

    def __init__(self, resource_bytes: Any, scope_bytes: Any) -> None:
        self._resource_bytes = resource_bytes
        self._scope_bytes = scope_bytes
        self._known: dict[tuple[int, int], list[Any]] = {}
        self._groups: dict[bytes, Group] = {}
        self._scopes: dict[tuple[bytes, bytes], list[Any]] = {}

    def group(self, items: Iterable[Item]) -> list[Group]:
        """Return the groups in the order of their first item."""
        for item in items:
            identity = (id(item.resource), id(item.scope))
            found = self._known.get(identity)
            if found is None:
                found = self._known[identity] = self._equal(item.resource, item.scope)
            found.append(item)
        return list(self._groups.values())

    def _equal(self, resource: Resource, scope: Scope) -> list[Any]:
        """Return the list for an equal pair. Equal is what is written the same: 1 is not True then."""
        key = self._resource_bytes(resource)
        group = self._groups.setdefault(key, Group(resource))
        whole = (key, self._scope_bytes(scope))
        found = self._scopes.get(whole)
        if found is None:
            found = self._scopes[whole] = []
            group.scopes.append((scope, found))
        return found


def utf8(text: str) -> bytes:
    """Encode a text; half a surrogate pair becomes a question mark."""
    return text.encode("utf-8", "replace")


def is_int64(number: object) -> bool:
    """Say whether a value is a whole number of 64 signed bits."""
    return isinstance(number, int) and -(1 << 63) <= number < 1 << 63


def plain(value: Any, depth: int) -> Any:
    """Return `value` as one of the types AnyValue has a member for; what has none becomes a text."""
    kind = type(value)
    if kind in _LEAVES or (kind is int and is_int64(value)):
        return value
    if isinstance(value, list | tuple | dict):
        if depth >= MAX_DEPTH:
            return TOO_DEEP
        return dict(value) if isinstance(value, dict) else list(value)
    return str(value)
