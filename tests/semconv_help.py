"""Spans for tests of the conventions, out of short descriptions."""

from llmflow_web.wire.otlp_values import Event, OtlpSpan, Resource, Scope

START_NS = 1_700_000_000_000_000_000


def span_of(told: dict) -> OtlpSpan:
    """Make a span of one second out of {"name", "attributes", "events", "resource", "scope", …}."""
    return OtlpSpan(
        Resource(told.get("resource", {"service.name": "app"})),
        Scope(told.get("scope", "")),
        trace_id=told.get("trace_id", "0af7651916cd43dd8448eb211c80319c"),
        span_id=told.get("span_id", "b7ad6b7169203331"),
        parent_span_id=told.get("parent_span_id", ""),
        name=told.get("name", "span"),
        kind=told.get("kind", 0),
        start_ns=told.get("start_ns", START_NS),
        end_ns=told.get("end_ns", START_NS + 1_000_000_000),
        attributes=told.get("attributes", {}),
        events=[
            Event(event.get("time_ns", START_NS), event["name"], event.get("attributes", {}))
            for event in told.get("events", ())
        ],
        status_code=told.get("status_code", 0),
        status_message=told.get("status_message", ""),
    )
