"""A value that fits a JSON schema, the same each time: what fake providers call tools with and answer as JSON."""

from __future__ import annotations

SAMPLES = {"string": "Kiel", "integer": 2, "number": 2.5, "boolean": True, "null": None}


def sample_of(schema: dict, top: dict | None = None) -> object:
    """Return a value that fits `schema`; types may be written in capitals, as Gemini does."""
    top = top or schema
    if "$ref" in schema:
        schema = top["$defs"][schema["$ref"].rpartition("/")[2]]
    for name in ("anyOf", "oneOf", "allOf"):
        if name in schema:
            return sample_of(schema[name][0], top)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    kind = schema.get("type") or "object"
    kind = (kind[0] if isinstance(kind, list) else kind).lower()
    if kind == "object":
        return {name: sample_of(inner, top) for name, inner in (schema.get("properties") or {}).items()}
    if kind == "array":
        return [sample_of(schema.get("items") or {"type": "string"}, top)]
    return SAMPLES[kind]
