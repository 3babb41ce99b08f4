"""OTLP as the official packages have it: messages made by hypothesis, and what they hold as our values.

The conversion goes over the official classes' attributes and shares nothing with the code under test.
"""

from __future__ import annotations

import base64
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from llmflow_web.wire.otlp_values import (
    DataPoint,
    Event,
    Exemplar,
    Link,
    LogRecord,
    OtlpMetric,
    OtlpSpan,
    Resource,
    Scope,
)

REQUESTS: dict[str, Any] = {
    "traces": ExportTraceServiceRequest,
    "logs": ExportLogsServiceRequest,
    "metrics": ExportMetricsServiceRequest,
}
SIGNALS = list(REQUESTS)
_IGNORED = {"string_value_strindex", "key_strindex"}  # of profiles
_ID_SIZES = {"trace_id": 16, "span_id": 8, "parent_span_id": 8}
_MUST = {"trace_id", "span_id"}  # of spans, which are nothing without
_MAX_NESTING = 14

_TEXTS = st.sampled_from(["", "a", "service.name", "gen_ai.usage.input_tokens", "größe", "🎉", "x" * 130]) | st.text(
    max_size=5
)
_DOUBLES = st.sampled_from([0.0, 0.5, -2.25, float("inf"), float("-inf"), float("nan"), 5e-324]) | st.floats()


def _integers(bits: int, *, is_signed: bool) -> st.SearchStrategy[int]:
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if is_signed else (0, (1 << bits) - 1)
    return st.sampled_from([0, 1, 127, 128, low, high]) | st.integers(low, high)


_SCALARS = {
    FieldDescriptor.TYPE_STRING: _TEXTS,
    FieldDescriptor.TYPE_BYTES: st.binary(max_size=6),
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_DOUBLE: _DOUBLES,
    FieldDescriptor.TYPE_ENUM: st.integers(0, 2),
    FieldDescriptor.TYPE_UINT32: _integers(32, is_signed=False),
    FieldDescriptor.TYPE_FIXED32: _integers(32, is_signed=False),
    FieldDescriptor.TYPE_INT32: _integers(32, is_signed=True),
    FieldDescriptor.TYPE_SINT32: _integers(32, is_signed=True),
    FieldDescriptor.TYPE_UINT64: _integers(64, is_signed=False),
    FieldDescriptor.TYPE_FIXED64: _integers(64, is_signed=False),
    FieldDescriptor.TYPE_INT64: _integers(64, is_signed=True),
    FieldDescriptor.TYPE_SFIXED64: _integers(64, is_signed=True),
}


@st.composite
def requests(draw: Any, signal: str) -> Any:
    """A request with any of its fields set."""
    message = REQUESTS[signal]()
    _fill(draw, message, 0)
    return message


def _fill(draw: Any, message: Any, depth: int) -> None:
    fields = [field for field in message.DESCRIPTOR.fields if field.name not in _IGNORED]
    for oneof in message.DESCRIPTOR.oneofs:
        if len(oneof.fields) > 1:
            fields = [field for field in fields if field.containing_oneof is not oneof]
            fields += draw(st.lists(st.sampled_from([f for f in oneof.fields if f.name not in _IGNORED]), max_size=1))
    is_span = message.DESCRIPTOR.name == "Span"
    chosen = draw(st.integers(0, (1 << len(fields)) - 1) | st.just((1 << len(fields)) - 1))
    for nth, field in enumerate(fields):
        if chosen >> nth & 1 or (is_span and field.name in _MUST):
            _fill_field(draw, message, field, depth)


def _fill_field(draw: Any, message: Any, field: Any, depth: int) -> None:
    if field.message_type is not None:
        if depth >= _MAX_NESTING:
            return
        if field.is_repeated:
            for _ in range(draw(st.integers(0, 2))):
                _fill(draw, getattr(message, field.name).add(), depth + 1)
        else:
            getattr(message, field.name).SetInParent()
            _fill(draw, getattr(message, field.name), depth + 1)
    elif field.is_repeated:
        getattr(message, field.name).extend(draw(st.lists(_SCALARS[field.type], max_size=3)))
    elif field.name in _ID_SIZES:
        size = _ID_SIZES[field.name]
        is_own = message.DESCRIPTOR.name == "Span" and field.name in _MUST
        some = st.binary(min_size=size, max_size=size).filter(any)
        setattr(message, field.name, draw(some if is_own else some | st.just(b"") | st.just(bytes(size))))
    else:
        setattr(message, field.name, draw(_SCALARS[field.type]))


def as_json(message: Any) -> dict[str, Any]:
    """Return the OTLP/JSON mapping: the official one with ids in hex and enums as numbers."""
    return _with_hex_ids(json_format.MessageToDict(message, use_integers_for_enums=True))


def _with_hex_ids(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_hex_ids(entry) for entry in value]
    if isinstance(value, dict):
        ids = {"traceId", "spanId", "parentSpanId"}
        return {k: base64.b64decode(v).hex() if k in ids else _with_hex_ids(v) for k, v in value.items()}
    return value


# What a message holds, as our values


def values_of(message: Any) -> list[Any]:
    """Return a request's spans, log records or metrics."""
    items: list[Any] = []
    for group in getattr(message, message.DESCRIPTOR.fields[0].name):
        resource = Resource(
            attributes_of(group.resource.attributes), group.resource.dropped_attributes_count, group.schema_url
        )
        for inner in getattr(group, group.DESCRIPTOR.fields[1].name):
            own = inner.scope
            scope = Scope(
                own.name, own.version, attributes_of(own.attributes), own.dropped_attributes_count, inner.schema_url
            )
            name = inner.DESCRIPTOR.fields[1].name
            items += [_ITEMS[name](item, resource, scope) for item in getattr(inner, name)]
    return items


def attributes_of(pairs: Any) -> dict[str, Any]:
    return {pair.key: value_of(pair.value) for pair in pairs}


def value_of(value: Any) -> Any:
    member = value.WhichOneof("value")
    if member is None:
        return None
    if member == "array_value":
        return [value_of(entry) for entry in value.array_value.values]
    if member == "kvlist_value":
        return attributes_of(value.kvlist_value.values)
    return getattr(value, member)


def _id(raw: bytes, size: int) -> str:
    return raw.hex() if len(raw) == size and any(raw) else ""


def _span(span: Any, resource: Resource, scope: Scope) -> OtlpSpan:
    return OtlpSpan(
        resource, scope, _id(span.trace_id, 16), _id(span.span_id, 8), _id(span.parent_span_id, 8), span.trace_state,
        span.name, span.kind, span.start_time_unix_nano, span.end_time_unix_nano, attributes_of(span.attributes),
        span.dropped_attributes_count,
        [Event(e.time_unix_nano, e.name, attributes_of(e.attributes), e.dropped_attributes_count) for e in span.events],
        span.dropped_events_count,
        [
            Link(_id(link.trace_id, 16), _id(link.span_id, 8), link.trace_state, attributes_of(link.attributes),
                 link.dropped_attributes_count, link.flags)
            for link in span.links
        ],
        span.dropped_links_count, span.status.code, span.status.message, span.flags,
    )  # fmt: skip


def _log(log: Any, resource: Resource, scope: Scope) -> LogRecord:
    return LogRecord(
        resource, scope, log.time_unix_nano, log.observed_time_unix_nano, log.severity_number, log.severity_text,
        value_of(log.body), attributes_of(log.attributes), log.dropped_attributes_count, log.flags,
        _id(log.trace_id, 16), _id(log.span_id, 8), log.event_name,
    )  # fmt: skip


def _metric(metric: Any, resource: Resource, scope: Scope) -> OtlpMetric:
    found = OtlpMetric(
        resource, scope, metric.name, metric.description, metric.unit, metadata=attributes_of(metric.metadata)
    )
    member = metric.WhichOneof("data")
    if member is not None:
        data = getattr(metric, member)
        found.metric_type = member
        found.temporality = getattr(data, "aggregation_temporality", 0)
        found.is_monotonic = getattr(data, "is_monotonic", False)
        found.points = [_point(point) for point in data.data_points]
    return found


def _point(point: Any) -> DataPoint:
    kind = point.DESCRIPTOR.name
    found = DataPoint(attributes_of(point.attributes), point.start_time_unix_nano, point.time_unix_nano, point.flags)
    found.exemplars = [_exemplar(exemplar) for exemplar in getattr(point, "exemplars", ())]
    if kind == "NumberDataPoint":
        found.value = _number(point)
        return found
    found.count = point.count
    if kind == "SummaryDataPoint":
        found.sum = point.sum
        found.quantiles = [(entry.quantile, entry.value) for entry in point.quantile_values]
        return found
    for name in ("sum", "min", "max"):
        setattr(found, name, getattr(point, name) if point.HasField(name) else None)
    if kind == "HistogramDataPoint":
        found.bucket_counts, found.explicit_bounds = list(point.bucket_counts), list(point.explicit_bounds)
        return found
    found.scale, found.zero_count, found.zero_threshold = point.scale, point.zero_count, point.zero_threshold
    found.positive_offset, found.positive_counts = point.positive.offset, list(point.positive.bucket_counts)
    found.negative_offset, found.negative_counts = point.negative.offset, list(point.negative.bucket_counts)
    return found


def _number(holder: Any) -> int | float | None:
    member = holder.WhichOneof("value")
    return None if member is None else getattr(holder, member)


def _exemplar(exemplar: Any) -> Exemplar:
    return Exemplar(
        exemplar.time_unix_nano, _number(exemplar), _id(exemplar.trace_id, 16), _id(exemplar.span_id, 8),
        attributes_of(exemplar.filtered_attributes),
    )  # fmt: skip


_ITEMS: dict[str, Any] = {"spans": _span, "log_records": _log, "metrics": _metric}


def same(value: Any) -> str:
    """Return a value as text that is equal exactly when the values are: 1 is not True nor 1.0, NaN is NaN."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key!r}:{same(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list | tuple):
        return f"{type(value).__name__}({','.join(map(same, value))})"
    if hasattr(value, "__slots__"):
        return f"{type(value).__name__}({','.join(f'{name}={same(getattr(value, name))}' for name in value.__slots__)})"
    return repr(value + 0.0) if isinstance(value, float) else repr(value)  # -0.0 is 0.0: a default, not on the wire
