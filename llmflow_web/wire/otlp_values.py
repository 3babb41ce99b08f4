"""What an OTLP request holds, as plain values: the same for protobuf and JSON, on the way in and on the way out.

Shapes: opentelemetry-proto 1.x, trace/logs/metrics v1. Ids are lower-case hex ("" = not set), times are integer
nanoseconds since the epoch (0 = not set). An attribute value is str, bool, int, float, bytes, list, dict or None; of
attributes with the same key the last one stands.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from llmflow_web.model import JSON

Signal = Literal["traces", "logs", "metrics"]
MetricType = Literal["gauge", "sum", "histogram", "exponential_histogram", "summary"]

STATUS_UNSET, STATUS_OK, STATUS_ERROR = 0, 1, 2
KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
TEMPORALITIES = ("unspecified", "delta", "cumulative")
FLAG_NO_RECORDED_VALUE = 1


@dataclass(slots=True)
class Resource:
    """Who sent it: shared by everything under it."""

    attributes: JSON = field(default_factory=dict)
    dropped_attributes_count: int = 0
    schema_url: str = ""


@dataclass(slots=True)
class Scope:
    """The instrumentation that made it."""

    name: str = ""
    version: str = ""
    attributes: JSON = field(default_factory=dict)
    dropped_attributes_count: int = 0
    schema_url: str = ""


@dataclass(slots=True)
class Event:
    """Something that happened inside a span."""

    time_ns: int = 0
    name: str = ""
    attributes: JSON = field(default_factory=dict)
    dropped_attributes_count: int = 0


@dataclass(slots=True)
class Link:
    """Another span this one has to do with."""

    trace_id: str = ""
    span_id: str = ""
    trace_state: str = ""
    attributes: JSON = field(default_factory=dict)
    dropped_attributes_count: int = 0
    flags: int = 0


@dataclass(slots=True)
class OtlpSpan:
    """trace.v1.Span with the resource and scope it came under."""

    resource: Resource
    scope: Scope
    trace_id: str = ""
    span_id: str = ""
    parent_span_id: str = ""
    trace_state: str = ""
    name: str = ""
    kind: int = 0
    start_ns: int = 0
    end_ns: int = 0
    attributes: JSON = field(default_factory=dict)
    dropped_attributes_count: int = 0
    events: list[Event] = field(default_factory=list)
    dropped_events_count: int = 0
    links: list[Link] = field(default_factory=list)
    dropped_links_count: int = 0
    status_code: int = STATUS_UNSET
    status_message: str = ""
    flags: int = 0


@dataclass(slots=True)
class LogRecord:
    """logs.v1.LogRecord with the resource and scope it came under."""

    resource: Resource
    scope: Scope
    time_ns: int = 0
    observed_ns: int = 0
    severity_number: int = 0
    severity_text: str = ""
    body: Any = None
    attributes: JSON = field(default_factory=dict)
    dropped_attributes_count: int = 0
    flags: int = 0
    trace_id: str = ""
    span_id: str = ""
    event_name: str = ""


@dataclass(slots=True)
class Exemplar:
    """One measurement behind a data point, with the span it was made in."""

    time_ns: int = 0
    value: int | float | None = None
    trace_id: str = ""
    span_id: str = ""
    filtered_attributes: JSON = field(default_factory=dict)


@dataclass(slots=True)
class DataPoint:
    """One data point of any metric type; what its type does not have stays at its default."""

    attributes: JSON = field(default_factory=dict)
    start_ns: int = 0
    time_ns: int = 0
    flags: int = 0
    value: int | float | None = None  # gauge and sum
    count: int = 0  # the three others
    sum: float | None = None
    min: float | None = None
    max: float | None = None
    bucket_counts: list[int] = field(default_factory=list)  # histogram
    explicit_bounds: list[float] = field(default_factory=list)
    scale: int = 0  # exponential histogram
    zero_count: int = 0
    zero_threshold: float = 0.0
    positive_offset: int = 0
    positive_counts: list[int] = field(default_factory=list)
    negative_offset: int = 0
    negative_counts: list[int] = field(default_factory=list)
    quantiles: list[tuple[float, float]] = field(default_factory=list)  # summary: (quantile, value)
    exemplars: list[Exemplar] = field(default_factory=list)


@dataclass(slots=True)
class OtlpMetric:
    """metrics.v1.Metric with the resource and scope it came under."""

    resource: Resource
    scope: Scope
    name: str = ""
    description: str = ""
    unit: str = ""
    metric_type: MetricType = "gauge"
    temporality: int = 0  # index into TEMPORALITIES
    is_monotonic: bool = False
    metadata: JSON = field(default_factory=dict)
    points: list[DataPoint] = field(default_factory=list)
