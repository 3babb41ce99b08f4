"""The messages of OTLP as tables: which field goes where in the values of `otlp_values`.

opentelemetry-proto 1.x: trace, logs and metrics v1. Both decoders and both encoders are made from these rows. KeyValue
and AnyValue have no row: they become dict entries and plain values, which each encoding does by hand for speed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from llmflow_web.wire.otlp_reading import Reading
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
    Signal,
)

Kind = Literal[
    "string", "bool", "enum", "uint32", "sint32", "fixed32", "fixed64", "double",
    "optional double",  # None when it is not there
    "as_double", "as_int",  # the two members of a oneof that share a slot
    "fixed64s", "uint64s", "doubles",  # repeated, packed or not
    "trace_id", "span_id",
    "attributes",  # repeated KeyValue, into a dict
    "value",  # AnyValue
    "inside",  # a message whose fields belong to the same value as this one's
    "data",  # the same, one of a oneof: the metric's type is the field's name
    "children",  # repeated message, each a value of its own
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message."""

    number: int
    name: str
    kind: Kind
    to: str = ""
    """The attribute of the value, where it has another name."""
    message: Message | None = None
    names: tuple[str, ...] = ()
    """Of an enum: its words in JSON, by number."""

    @property
    def slot(self) -> str:
        """The attribute of the value."""
        return self.to or self.name

    @property
    def json_name(self) -> str:
        """The lowerCamelCase name."""
        first, *rest = self.name.split("_")
        return first + "".join(word.title() for word in rest)


def _no_value(_reading: Reading) -> None:
    """Stand in where a message is no value of its own."""


def _append(_reading: Reading, into: list[Any], child: object) -> None:
    into.append(child)


def _keep_item(reading: Reading, _into: None, child: object) -> None:
    reading.items.append(child)


@dataclass(frozen=True, slots=True)
class Message:
    """One message: its fields and, of `children`, the value it becomes."""

    fields: tuple[Field, ...]
    make: Callable[[Reading], Any] = _no_value
    """What becomes of it, still empty; not asked for where its fields belong to the message around it."""
    keep: Callable[[Reading, Any, Any], None] = _append
    """(reading, the parent's list if it has one, the value): what to do with it when it is read."""
    view: Callable[[Any], Any] | None = None
    """What turns a kept value back into one with the fields as attributes, where it was changed."""
    item: str = ""
    """The word for it when it can be left out of a request alone."""


@dataclass(slots=True)
class Quantile:
    """A ValueAtQuantile while it is read or written; kept as a tuple."""

    quantile: float = 0.0
    value: float = 0.0


def _prefixed(prefix: str, *words: str) -> tuple[str, ...]:
    return tuple(prefix + word for word in words)


_KINDS = _prefixed("SPAN_KIND_", "UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
_CODES = _prefixed("STATUS_CODE_", "UNSET", "OK", "ERROR")
_TEMPORALITIES = _prefixed("AGGREGATION_TEMPORALITY_", "UNSPECIFIED", "DELTA", "CUMULATIVE")
_SEVERITIES = _prefixed(
    "SEVERITY_NUMBER_",
    "UNSPECIFIED",
    *(level + nth for level in ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL") for nth in ("", "2", "3", "4")),
)

_DROPPED = "dropped_attributes_count"

RESOURCE = Message((Field(1, "attributes", "attributes"), Field(2, _DROPPED, "uint32")))
SCOPE = Message(
    (
        Field(1, "name", "string"),
        Field(2, "version", "string"),
        Field(3, "attributes", "attributes"),
        Field(4, _DROPPED, "uint32"),
    )
)

EVENT = Message(
    (
        Field(1, "time_unix_nano", "fixed64", "time_ns"),
        Field(2, "name", "string"),
        Field(3, "attributes", "attributes"),
        Field(4, _DROPPED, "uint32"),
    ),
    make=lambda _reading: Event(),
)
LINK = Message(
    (
        Field(1, "trace_id", "trace_id"),
        Field(2, "span_id", "span_id"),
        Field(3, "trace_state", "string"),
        Field(4, "attributes", "attributes"),
        Field(5, _DROPPED, "uint32"),
        Field(6, "flags", "fixed32"),
    ),
    make=lambda _reading: Link(),
)
STATUS = Message(
    (Field(2, "message", "string", "status_message"), Field(3, "code", "enum", "status_code", names=_CODES))
)
SPAN = Message(
    (
        Field(1, "trace_id", "trace_id"),
        Field(2, "span_id", "span_id"),
        Field(3, "trace_state", "string"),
        Field(4, "parent_span_id", "span_id"),
        Field(5, "name", "string"),
        Field(6, "kind", "enum", names=_KINDS),
        Field(7, "start_time_unix_nano", "fixed64", "start_ns"),
        Field(8, "end_time_unix_nano", "fixed64", "end_ns"),
        Field(9, "attributes", "attributes"),
        Field(10, _DROPPED, "uint32"),
        Field(11, "events", "children", message=EVENT),
        Field(12, "dropped_events_count", "uint32"),
        Field(13, "links", "children", message=LINK),
        Field(14, "dropped_links_count", "uint32"),
        Field(15, "status", "inside", message=STATUS),
        Field(16, "flags", "fixed32"),
    ),
    make=lambda reading: OtlpSpan(reading.resource, reading.scope),
    keep=lambda reading, _into, span: reading.keep_span(span),
    item="Span",
)

LOG_RECORD = Message(
    (
        Field(1, "time_unix_nano", "fixed64", "time_ns"),
        Field(2, "severity_number", "enum", names=_SEVERITIES),
        Field(3, "severity_text", "string"),
        Field(5, "body", "value"),
        Field(6, "attributes", "attributes"),
        Field(7, _DROPPED, "uint32"),
        Field(8, "flags", "fixed32"),
        Field(9, "trace_id", "trace_id"),
        Field(10, "span_id", "span_id"),
        Field(11, "observed_time_unix_nano", "fixed64", "observed_ns"),
        Field(12, "event_name", "string"),
    ),
    make=lambda reading: LogRecord(reading.resource, reading.scope),
    keep=_keep_item,
    item="Log record",
)

EXEMPLAR = Message(
    (
        Field(2, "time_unix_nano", "fixed64", "time_ns"),
        Field(3, "as_double", "as_double", "value"),
        Field(4, "span_id", "span_id"),
        Field(5, "trace_id", "trace_id"),
        Field(6, "as_int", "as_int", "value"),
        Field(7, "filtered_attributes", "attributes"),
    ),
    make=lambda _reading: Exemplar(),
)
_START = Field(2, "start_time_unix_nano", "fixed64", "start_ns")
_TIME = Field(3, "time_unix_nano", "fixed64", "time_ns")
_COUNT = Field(4, "count", "fixed64")


def _point(*fields: Field) -> Message:
    return Message(fields, make=lambda _reading: DataPoint(), item="Data point")


NUMBER_POINT = _point(
    _START,
    _TIME,
    Field(4, "as_double", "as_double", "value"),
    Field(5, "exemplars", "children", message=EXEMPLAR),
    Field(6, "as_int", "as_int", "value"),
    Field(7, "attributes", "attributes"),
    Field(8, "flags", "uint32"),
)
HISTOGRAM_POINT = _point(
    _START,
    _TIME,
    _COUNT,
    Field(5, "sum", "optional double"),
    Field(6, "bucket_counts", "fixed64s"),
    Field(7, "explicit_bounds", "doubles"),
    Field(8, "exemplars", "children", message=EXEMPLAR),
    Field(9, "attributes", "attributes"),
    Field(10, "flags", "uint32"),
    Field(11, "min", "optional double"),
    Field(12, "max", "optional double"),
)


def _buckets(side: str) -> Message:
    return Message(
        (Field(1, "offset", "sint32", f"{side}_offset"), Field(2, "bucket_counts", "uint64s", f"{side}_counts"))
    )


EXPONENTIAL_POINT = _point(
    Field(1, "attributes", "attributes"),
    _START,
    _TIME,
    _COUNT,
    Field(5, "sum", "optional double"),
    Field(6, "scale", "sint32"),
    Field(7, "zero_count", "fixed64"),
    Field(8, "positive", "inside", message=_buckets("positive")),
    Field(9, "negative", "inside", message=_buckets("negative")),
    Field(10, "flags", "uint32"),
    Field(11, "exemplars", "children", message=EXEMPLAR),
    Field(12, "min", "optional double"),
    Field(13, "max", "optional double"),
    Field(14, "zero_threshold", "double"),
)
QUANTILE = Message(
    (Field(1, "quantile", "double"), Field(2, "value", "double")),
    make=lambda _reading: Quantile(),
    keep=lambda _reading, into, child: into.append((child.quantile, child.value)),
    view=lambda pair: Quantile(*pair),
)
SUMMARY_POINT = Message(
    (
        _START,
        _TIME,
        _COUNT,
        Field(5, "sum", "double"),
        Field(6, "quantile_values", "children", "quantiles", QUANTILE),
        Field(7, "attributes", "attributes"),
        Field(8, "flags", "uint32"),
    ),
    make=lambda _reading: DataPoint(sum=0.0),  # here it is not optional
    item="Data point",
)


def _data(point: Message, *more: Field) -> Message:
    return Message((Field(1, "data_points", "children", "points", point), *more))


_TEMPORALITY = Field(2, "aggregation_temporality", "enum", "temporality", names=_TEMPORALITIES)
METRIC = Message(
    (
        Field(1, "name", "string"),
        Field(2, "description", "string"),
        Field(3, "unit", "string"),
        Field(5, "gauge", "data", message=_data(NUMBER_POINT)),
        Field(7, "sum", "data", message=_data(NUMBER_POINT, _TEMPORALITY, Field(3, "is_monotonic", "bool"))),
        Field(9, "histogram", "data", message=_data(HISTOGRAM_POINT, _TEMPORALITY)),
        Field(10, "exponential_histogram", "data", message=_data(EXPONENTIAL_POINT, _TEMPORALITY)),
        Field(11, "summary", "data", message=_data(SUMMARY_POINT)),
        Field(12, "metadata", "attributes"),
    ),
    make=lambda reading: OtlpMetric(reading.resource, reading.scope),
    keep=_keep_item,
    item="Metric",
)


def turn_to(metric: OtlpMetric, metric_type: Any) -> None:
    """Make ready for data of this type: of a oneof the last member stands, and the same member again adds to itself."""
    if metric.metric_type != metric_type:
        metric.metric_type = metric_type
        metric.points = []
        metric.temporality = 0
        metric.is_monotonic = False


def _enter_resource(reading: Reading) -> Resource:
    reading.resource = Resource()
    return reading.resource


def _enter_scope(reading: Reading) -> Scope:
    reading.scope = Scope()
    return reading.scope


def _leave(_reading: Reading, _into: object, _child: object) -> None:
    """Keep nothing: who belongs to it refers to it."""


@dataclass(frozen=True, slots=True)
class Request:
    """An Export…ServiceRequest: a list of resources, in each a list of scopes, in each a list of items."""

    resources: Field
    scopes: Field
    items: Field
    rejected: str
    """What the answer calls the number of items that were left out."""

    @property
    def message(self) -> Message:
        """The request as a message."""
        return Message((self.resources,))


_SCHEMA_URL = Field(3, "schema_url", "string")


def _request(resources: str, scopes: str, items: str, item: Message, rejected: str) -> Request:
    item_field = Field(2, items, "children", "items", item)
    in_scope = (Field(1, "scope", "inside", message=SCOPE), item_field, _SCHEMA_URL)
    scope_field = Field(2, scopes, "children", message=Message(in_scope, _enter_scope, _leave))
    in_resource = (Field(1, "resource", "inside", message=RESOURCE), scope_field, _SCHEMA_URL)
    resource_field = Field(1, resources, "children", message=Message(in_resource, _enter_resource, _leave))
    return Request(resource_field, scope_field, item_field, rejected)


REQUESTS: dict[Signal, Request] = {
    "traces": _request("resource_spans", "scope_spans", "spans", SPAN, "rejected_spans"),
    "logs": _request("resource_logs", "scope_logs", "log_records", LOG_RECORD, "rejected_log_records"),
    "metrics": _request("resource_metrics", "scope_metrics", "metrics", METRIC, "rejected_data_points"),
}
