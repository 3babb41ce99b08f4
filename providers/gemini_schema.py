"""JSON Schema as clients write it → JSON Schema as Gemini reads it (`parametersJsonSchema`, `responseJsonSchema`).

Those two fields take plain JSON Schema and pass over what they do not know, so little is changed: only what Gemini
would pass over although it has another word for it.
"""

from __future__ import annotations

from typing import Any

from llmflow_web.model import JSON

MAX_DEPTH = 64
"""Deeper schemas are cut off; Google refuses them far earlier."""

_SCHEMAS = frozenset({"items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames"})
_LISTS = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_MAPS = frozenset({"properties", "$defs", "patternProperties"})
_DROPPED = frozenset({"$schema", "$comment"})
_HOLLOW = frozenset({"type", "properties", "additionalProperties", "required", "title", "description"})
_OLD_REFERENCE, _REFERENCE = "#/definitions/", "#/$defs/"


def clean_schema(schema: Any, depth: int = 0) -> Any:
    """Return a schema with `const` as `enum`, `definitions` as `$defs`, a lone `allOf` merged, no `$schema`."""
    if isinstance(schema, list):
        return [clean_schema(item, depth + 1) for item in schema]
    if not isinstance(schema, dict) or depth > MAX_DEPTH:
        return schema if depth <= MAX_DEPTH else {}
    found: JSON = {}
    for name, value in schema.items():
        if name not in _DROPPED:
            word = "$defs" if name == "definitions" else name
            found[word] = _cleaned(word, value, depth)
    if "const" in found:
        value = found.pop("const")
        found.setdefault("enum", [value])
    return _merged(found)


def _cleaned(name: str, value: Any, depth: int) -> Any:
    if name in _SCHEMAS or name in _LISTS:
        return clean_schema(value, depth + 1)
    if name in _MAPS and isinstance(value, dict):
        return {key: clean_schema(item, depth + 1) for key, item in value.items()}
    if name == "$ref" and isinstance(value, str) and value.startswith(_OLD_REFERENCE):
        return _REFERENCE + value[len(_OLD_REFERENCE) :]
    return value


def _merged(schema: JSON) -> JSON:
    """Merge an `allOf` of one schema, which is how many generators attach a description to a reference."""
    parts = schema.get("allOf")
    if not isinstance(parts, list) or len(parts) != 1 or not isinstance(parts[0], dict):
        return schema
    rest = {name: value for name, value in schema.items() if name != "allOf"}
    return {**parts[0], **rest}


def is_hollow(schema: JSON) -> bool:
    """Say whether a schema asks for an object without members; Gemini wants none at all then."""
    return (
        schema.get("type", "object") == "object"
        and not schema.get("properties")
        and not schema.get("additionalProperties")
        and _HOLLOW.issuperset(schema)
    )
