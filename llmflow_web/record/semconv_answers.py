"""What a span says of its call only within the provider's own bodies, which conventions carry along as JSON texts.

OpenInference overwrites the model that was asked for with the one that answered and names no id of the answer; both
stand in the request's parameters and in the answer itself. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmflow_web.model import JSON
from llmflow_web.record.semconv_fields import Fields
from llmflow_web.record.semconv_values import count, label, parsed_object

# What an answer of a model calls itself.
_ANSWERS = frozenset({"chat.completion", "chat.completion.chunk", "text_completion", "response", "message"})
# OpenInference's kinds of spans that ask a model → where its request's parameters stand.
_PARAMETERS = {"LLM": "llm.invocation_parameters", "EMBEDDING": "embedding.invocation_parameters"}
_ANSWERED_MODELS = ("llm.model_name", "embedding.model_name")


def read_bodies(fields: Fields, attributes: Mapping[str, Any]) -> None:
    """Fill what the attributes themselves leave open, or say wrongly, out of the bodies among them."""
    kind = attributes.get("openinference.span.kind")
    if isinstance(kind, str) and kind in _PARAMETERS:
        _read_asked_model(fields, label(parsed_object(attributes.get(_PARAMETERS[kind])).get("model")))
        if kind == "LLM":
            _read_answer(fields, attributes, "output.value")
    elif attributes.get("langsmith.span.kind") == "llm":
        _read_answer(fields, attributes, "gen_ai.completion")


def _read_asked_model(fields: Fields, asked: str | None) -> None:
    told = fields.get("request_model")
    if asked is not None and told is not None and fields.origins["request_model"] in _ANSWERED_MODELS:
        fields.fill("response_model", told, fields.origins["request_model"])
        fields.values["request_model"] = asked
    fields.fill("request_model", asked, "model")


def _read_answer(fields: Fields, attributes: Mapping[str, Any], name: str) -> None:
    """Read an answer's id, how it ended, and which cache it wrote to."""
    answer = parsed_object(attributes.get(name))
    if label(answer.get("object", answer.get("type"))) in _ANSWERS:
        reason = _ending(answer)
        fields.fill("response_id", label(answer.get("id")), name)
        fields.fill("finish_reasons", [reason] if reason else None, name)
        fields.fill("cache_write_1h", _long_cache(answer), name)


def _ending(answer: JSON) -> str | None:
    """Return how an answer of the Responses API ended; others are told by attributes of their own."""
    if answer.get("object") != "response":
        return None
    status = answer.get("status")
    if status == "incomplete":
        details = answer.get("incomplete_details")
        reason = label(details.get("reason")) if isinstance(details, dict) else None
        return "length" if reason in (None, "max_output_tokens") else reason
    if status != "completed":
        return None
    items = answer.get("output")
    calls = [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    return "tool_calls" if any(item.get("type") == "function_call" for item in calls) else "stop"


def _long_cache(answer: JSON) -> int | None:
    usage = answer.get("usage")
    written = usage.get("cache_creation") if isinstance(usage, dict) else None
    return count(written.get("ephemeral_1h_input_tokens")) if isinstance(written, dict) else None
