"""JSON Schema → the part of it that Anthropic's structured output takes.

It wants every object closed and knows no limits on numbers, lengths or patterns; those go into the description, where
the model at least reads them. What cannot be closed without changing its meaning is not expressible.
"""

from __future__ import annotations

import json
from typing import Any

from llmflow_web.model import JSON

_FORMATS = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"},
)
_DEFINITIONS = ("$defs", "definitions")
_UNIONS = {"anyOf": "anyOf", "oneOf": "anyOf", "allOf": "allOf"}
_TYPES = frozenset({"object", "array", "string", "integer", "number", "boolean", "null"})
_SILENT = frozenset({"$schema", "$id", "additionalProperties", "default", "examples", "nullable", "strict"})
_MAX_DEPTH = 64


class _NotExpressible(Exception):
    """The schema needs what structured output does not have."""


def native_schema(schema: Any) -> JSON | None:
    """Return `schema` as structured output takes it; None when it cannot be said there."""
    if not isinstance(schema, dict) or _is_recursive(schema):
        return None
    try:
        return _closed(schema, 0)
    except _NotExpressible:
        return None


def _is_recursive(schema: JSON) -> bool:
    """Say whether a definition refers to itself, directly or through others."""
    uses = {"#": _references(schema)}
    for place in _DEFINITIONS:
        found = schema.get(place)
        for name, definition in found.items() if isinstance(found, dict) else ():
            uses[f"#/{place}/{name}"] = _references(definition)
    return any(_reaches(start, start, uses, frozenset()) for start in uses if start != "#") or "#" in uses["#"]


def _reaches(at: str, goal: str, uses: dict[str, set[str]], seen: frozenset[str]) -> bool:
    following = uses.get(at, set()) - seen
    return goal in following or any(_reaches(one, goal, uses, seen | following) for one in following)


def _references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(_references(item) for item in value.values()))
    return set().union(*(_references(item) for item in value)) if isinstance(value, list) else set()


def _closed(schema: Any, depth: int) -> JSON:
    if not isinstance(schema, dict) or depth > _MAX_DEPTH:
        raise _NotExpressible
    rest = dict(schema)
    made: JSON = {}
    for place in _DEFINITIONS:
        definitions = rest.pop(place, None)
        if isinstance(definitions, dict):
            made[place] = {name: _closed(item, depth + 1) for name, item in definitions.items()}
    if "$ref" in rest:
        return {**made, **_reference(rest)}
    for name in ("title", "description"):
        if isinstance(rest.get(name), str):
            made[name] = rest.pop(name)
    made |= _shape(rest, depth)
    _describe(made, rest)
    return made


def _reference(rest: JSON) -> JSON:
    target = rest["$ref"]
    if not isinstance(target, str) or not target.startswith("#/"):
        raise _NotExpressible
    return {"$ref": target}


def _shape(rest: JSON, depth: int) -> JSON:
    """Take out of `rest` what says which values are meant."""
    literals: JSON = {name: rest.pop(name) for name in ("enum", "const") if name in rest}
    if literals:
        rest.pop("type", None)
        return literals
    for name, native in _UNIONS.items():
        variants = rest.pop(name, None)
        if isinstance(variants, list) and variants:
            return {native: [_closed(item, depth + 1) for item in variants]}
    kind = rest.pop("type", None)
    if isinstance(kind, list):
        return {"anyOf": [_typed(one, rest, depth) for one in kind]}
    return _typed(kind, rest, depth)


def _typed(kind: Any, rest: JSON, depth: int) -> JSON:
    if kind not in _TYPES:
        raise _NotExpressible
    if kind == "object":
        return _object(rest, depth)
    made: JSON = {"type": kind}
    if kind == "array":
        if "items" in rest:
            made["items"] = _closed(rest.pop("items"), depth + 1)
        if rest.get("minItems") in (0, 1):
            made["minItems"] = rest.pop("minItems")
    elif kind == "string" and rest.get("format") in _FORMATS:
        made["format"] = rest.pop("format")
    return made


def _object(rest: JSON, depth: int) -> JSON:
    properties = rest.pop("properties", None)
    is_open = rest.get("additionalProperties") not in (None, False) or "patternProperties" in rest
    if is_open or not isinstance(properties, dict):
        raise _NotExpressible
    made: JSON = {"type": "object", "properties": {k: _closed(v, depth + 1) for k, v in properties.items()}}
    if isinstance(rest.get("required"), list):
        made["required"] = rest.pop("required")
    return {**made, "additionalProperties": False}


def _describe(made: JSON, rest: JSON) -> None:
    """Put limits that cannot be said into the description."""
    limits = [f"{k}: {json.dumps(v, ensure_ascii=False)}" for k, v in rest.items() if k not in _SILENT]
    if limits:
        words = [made["description"]] if made.get("description") else []
        made["description"] = " ".join([*words, "(" + ", ".join(limits) + ")"])
