"""One received span as the screen shows it: attributes, input and output as the contract names them, and the rest.

Pure. The messages are semconv_messages'; here stands what is shown beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llmflow_web.model import JSON, PART_ATTRIBUTES, PART_OTLP
from llmflow_web.record.semconv_messages import messages_from_logs
from llmflow_web.record.semconv_tables import INPUT_VALUES, OUTPUT_VALUES
from llmflow_web.record.semconv_values import parsed, parsed_list, parsed_object


def detail_of_otlp(bodies: Mapping[int, bytes]) -> JSON:
    """Return {"attributes", "otlp", "input", "output"} of a received span, from its stored parts."""
    rest = _object(bodies, PART_OTLP)
    told = _object(bodies, PART_ATTRIBUTES)
    resource = parsed_object(parsed_object(rest.get("resource")).get("attributes"))
    attributes = {**told, **({"_spanName": rest["name"]} if "name" in rest else {}), **resource}
    if "kind" in rest:
        attributes["otel_span_kind"] = rest["kind"]
    events = [event for event in parsed_list(rest.get("events")) if isinstance(event, dict)]
    return {
        "attributes": attributes,
        "otlp": rest,
        "input": _value(told, events, "prompt", INPUT_VALUES),
        "output": _value(told, events, "completion", OUTPUT_VALUES),
    }


def _object(bodies: Mapping[int, bytes], part: int) -> JSON:
    data = bodies.get(part)
    return parsed_object(data.decode("utf-8", "replace")) if data else {}


def _value(attributes: JSON, events: Sequence[JSON], word: str, others: Sequence[str]) -> Any:
    """Return what was put in or came out: of the last event named for it, of gen_ai.<word>, or of another attribute."""
    for event in reversed(events):
        if word in str(event.get("name")) and event.get("attributes"):
            return event["attributes"]
    told = attributes.get(f"gen_ai.{word}")
    if told is not None:
        found = parsed(told)
        return {word: found} if found is told and isinstance(told, str) else found
    return next((parsed(attributes[name]) for name in others if attributes.get(name) not in (None, "")), None)


def with_logs(messages: JSON, logs: Sequence[JSON]) -> JSON:
    """Return messages whose empty sides are filled from the log records of the span."""
    found = messages_from_logs(logs)
    return {name: value or found.get(name, []) for name, value in messages.items()}
