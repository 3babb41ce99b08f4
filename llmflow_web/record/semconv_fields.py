"""What a span's attributes say, read by the tables of semconv_tables: columns, usage, kind, provider.

Pure. One walk over the attributes reads all columns, so the price is that of the attributes there are, not of those
there could be.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from llmflow_web.model import JSON, Usage
from llmflow_web.record import semconv_tables as tables
from llmflow_web.record.semconv_values import count, parsed_object
from llmflow_web.wire.otlp_values import OtlpSpan


def _places() -> dict[str, list[tuple[str, int, tables.Reader]]]:
    """Turn the table of columns around: attribute → the columns it may fill, and how early it is in each."""
    found: dict[str, list[tuple[str, int, tables.Reader]]] = {}
    for column, (reader, candidates) in tables.COLUMNS.items():
        for rank, candidate in enumerate(candidates):
            name, read = (candidate, reader) if isinstance(candidate, str) else candidate
            found.setdefault(name, []).append((column, rank, read))
    return found


_PLACES = _places()


@dataclass(slots=True)
class Fields:
    """Column → value, and the attribute it came from."""

    values: JSON = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)

    def get(self, column: str) -> Any:
        """Return the value of a column, None when nothing says it."""
        return self.values.get(column)

    def fill(self, column: str, value: Any, origin: str) -> None:
        """Set a column nothing has said yet."""
        if value is not None and column not in self.values:
            self.values[column] = value
            self.origins[column] = origin


def read_fields(attributes: Mapping[str, Any]) -> Fields:
    """Read every column the attributes say something about."""
    found = Fields()
    ranks: dict[str, int] = {}
    for name, value in attributes.items():
        for column, rank, read in _PLACES.get(name, ()):
            if value is None or rank >= ranks.get(column, rank + 1):
                continue
            usable = read(value)
            if usable is not None:
                found.values[column] = usable
                found.origins[column] = name
                ranks[column] = rank
    return found


# ── usage ────────────────────────────────────────────────────────────────────────────────────────────────────────────

# Members of a usage object, as LangSmith, providers and SDKs write them.
_MEMBERS = {
    "input": ("input_tokens", "prompt_tokens", "inputTokens", "promptTokenCount"),
    "output": ("output_tokens", "completion_tokens", "outputTokens", "candidatesTokenCount"),
    "total": ("total_tokens", "totalTokens", "totalTokenCount"),
    "cache_read": ("cache_read", "cached_tokens", "cache_read_tokens", "cache_read_input_tokens",
                   "cachedContentTokenCount"),
    "cache_write": ("cache_creation", "cache_write_tokens", "cache_creation_input_tokens"),
    "reasoning": ("reasoning", "reasoning_tokens", "thoughtsTokenCount"),
}  # fmt: skip
_INPUT_DETAILS = ("input_token_details", "prompt_tokens_details", "input_tokens_details")
_OUTPUT_DETAILS = ("output_token_details", "completion_tokens_details", "output_tokens_details")

# Anthropic's own counting, and so Claude Code's: what was read from or written to the cache is no input.
_EXCLUSIVE_INPUTS = frozenset({"input_tokens"})
_EXCLUSIVE_CACHES = frozenset(
    {"cache_read_tokens", "cache_creation_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"}
)
# Google's own counting, and so Gemini CLI's: thoughts are no output.
_EXCLUSIVE_OUTPUTS = frozenset({"output_token_count", "candidatesTokenCount"})
_EXCLUSIVE_THOUGHTS = frozenset({"thoughts_token_count", "thoughtsTokenCount"})


def usage_from(span: OtlpSpan) -> Usage:
    """Return what a span says was used, in OpenAI's counting: input with its cache, output with its reasoning."""
    return usage_of(read_fields(span.attributes), span.attributes)


def usage_of(fields: Fields, attributes: Mapping[str, Any]) -> Usage:
    """Return the usage of attributes that are read already."""
    _read_objects(fields, attributes)
    told = fields.values.get
    prompt, is_prompt_raised = _with_cache(fields)
    completion, is_completion_raised = _with_reasoning(fields)
    total = told("total")
    if prompt is not None or completion is not None:
        added = (prompt or 0) + (completion or 0)
        is_raised = is_prompt_raised or is_completion_raised
        total = max(total or 0, added) if total is None or is_raised else total
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=total,
        cached_tokens=told("cache_read") or 0,
        cache_write_tokens=told("cache_write") or 0,
        cache_write_1h_tokens=told("cache_write_1h") or 0,
        reasoning_tokens=told("reasoning") or 0,
        audio_input_tokens=told("audio_input") or 0,
        audio_output_tokens=told("audio_output") or 0,
        image_input_tokens=told("image_input") or 0,
        image_output_tokens=told("image_output") or 0,
        service_tier=told("service_tier"),
        speed=told("speed"),
        reported_cost=reported_cost(fields),
    )


def reported_cost(fields: Fields) -> float | None:
    """Return the cost the sender worked out, in USD."""
    told: float | None = fields.get("reported_cost")
    prompt, completion = fields.get("prompt_cost"), fields.get("completion_cost")
    if told is None and (prompt is not None or completion is not None):
        return float((prompt or 0) + (completion or 0))
    return told


def _with_cache(fields: Fields) -> tuple[int | None, bool]:
    """Return the input tokens with those of the cache, and whether they had to be added."""
    prompt: int | None = fields.get("input")
    cache = (fields.get("cache_read") or 0) + (fields.get("cache_write") or 0)
    if prompt is None or not cache:
        return prompt, False
    caches = {fields.origins.get("cache_read"), fields.origins.get("cache_write")}
    is_exclusive = fields.origins["input"] in _EXCLUSIVE_INPUTS and not caches.isdisjoint(_EXCLUSIVE_CACHES)
    # A part cannot be more than the whole: so count versions of OpenLLMetry's Anthropic spans.
    return (prompt + cache, True) if is_exclusive or cache > prompt else (prompt, False)


def _with_reasoning(fields: Fields) -> tuple[int | None, bool]:
    """Return the output tokens with those of reasoning, and whether they had to be added."""
    completion: int | None = fields.get("output")
    reasoning = fields.get("reasoning") or 0
    if completion is None or not reasoning:
        return completion, False
    is_exclusive = fields.origins["output"] in _EXCLUSIVE_OUTPUTS and fields.origins["reasoning"] in _EXCLUSIVE_THOUGHTS
    return (completion + reasoning, True) if is_exclusive or reasoning > completion else (completion, False)


def _read_objects(fields: Fields, attributes: Mapping[str, Any]) -> None:
    for name in tables.USAGE_OBJECTS:
        if attributes.get(name):
            _read_object(fields, parsed_object(attributes[name]))
    for name, side in zip(tables.USAGE_DETAILS, ("input", "output"), strict=True):
        if attributes.get(name):
            _read_details(fields, parsed_object(attributes[name]), side)


def _read_object(fields: Fields, usage: JSON) -> None:
    for column, names in _MEMBERS.items():
        for name in names:
            fields.fill(column, count(usage.get(name)), name)
    for names, side in ((_INPUT_DETAILS, "input"), (_OUTPUT_DETAILS, "output")):
        for name in names:
            if isinstance(usage.get(name), dict):
                _read_details(fields, usage[name], side)


def _read_details(fields: Fields, details: JSON, side: str) -> None:
    for column in ("cache_read", "cache_write") if side == "input" else ("reasoning",):
        for name in _MEMBERS[column]:
            fields.fill(column, count(details.get(name)), f"details.{name}")
    for kind in ("audio", "image"):
        fields.fill(f"{kind}_{side}", count(details.get(kind, details.get(f"{kind}_tokens"))), kind)


# ── kind ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def span_type_of(attributes: Mapping[str, Any], name: str, fields: Fields) -> str:
    """Return our span type: what the span says it is, else what its attributes or its name tell."""
    for attribute, kinds in tables.KINDS:
        told = attributes.get(attribute)
        if isinstance(told, str):
            kind = kinds.get(told.lower())
            if kind is not None:
                return kind
    return _vercel(attributes, name)[0] or tables.SPAN_NAMES.get(name) or _told_by_rest(attributes, name, fields)


def _told_by_rest(attributes: Mapping[str, Any], name: str, fields: Fields) -> str:
    for attribute, kind in tables.TELLING:
        if attributes.get(attribute):
            return kind
    database = attributes.get("db.system") or attributes.get("db.system.name")
    if isinstance(database, str) and any(store in database.lower() for store in tables.VECTOR_STORES):
        return "retrieval"
    for word, kind in tables.NAME_WORDS:
        if word in name:
            return kind
    has_tokens = fields.get("input") is not None or fields.get("output") is not None
    return "llm" if has_tokens or attributes.get("gen_ai.request.model") else "custom"


def _vercel(attributes: Mapping[str, Any], name: str) -> tuple[str | None, str | None]:
    """Return (span type, operation) of a span of the Vercel AI SDK; its parents repeat what their children say."""
    told = attributes.get("ai.operationId")
    told = told if isinstance(told, str) else name
    if not told.startswith("ai."):
        return None, None
    for ending, found in tables.VERCEL_ENDINGS:
        if told.endswith(ending):
            return found
    return ("chain", None) if told.startswith(tables.VERCEL_PARENTS) or "ai.operationId" in attributes else (None, None)


def operation_of(attributes: Mapping[str, Any], name: str, fields: Fields) -> str | None:
    """Return gen_ai.operation.name, or what other conventions say in its place."""
    told: str | None = fields.get("operation")
    if told is not None:
        return told
    asked = attributes.get("llm.request.type")
    if isinstance(asked, str):
        return tables.OPERATIONS.get(asked.lower())
    return _vercel(attributes, name)[1]


# ── provider ─────────────────────────────────────────────────────────────────────────────────────────────────────────

_MODEL_TYPES = frozenset({"llm", "embedding", "rerank"})


def provider_of(attributes: Mapping[str, Any], scope_name: str, span_type: str, fields: Fields) -> str | None:
    """Return our name of the provider: as told, else by the host a model's span talked to or by its instrumentation."""
    told: str | None = fields.get("provider")
    if told is not None or span_type not in _MODEL_TYPES:
        return told
    for name in tables.HOST_ATTRIBUTES:
        value = attributes.get(name)
        if isinstance(value, str):
            host = value.partition("://")[2].partition("/")[0].partition(":")[0] if "://" in value else value
            for ending, provider in tables.HOSTS:
                if host.endswith(ending):
                    return provider
    words = scope_name.lower().replace("instrumentation-", "").split(".")[-2:]  # the last may be a version: "openai.v1"
    return next((tables.SCOPES[word] for word in reversed(words) if word in tables.SCOPES), None)
