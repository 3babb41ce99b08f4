"""Log records and data points ↔ rows of the tables logs and metrics.

Pure. Ids are hashes of everything a record says, so what is sent again is the same row; the clock, which stands in for
a time that is missing, is no part of them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, is_dataclass
from hashlib import blake2b
from typing import Any

from llmflow_web.model import JSON, Log, Metric
from llmflow_web.record.labels import tool_of_service
from llmflow_web.record.semconv_stored import (
    MAX_INT64,
    attributes_from,
    dropped_from,
    moment,
    nanoseconds,
    only_set,
    resource_from,
    resource_json,
    scope_from,
    scope_json,
)
from llmflow_web.record.semconv_values import as_text, encoded, label, parsed, parsed_object, plain, sound
from llmflow_web.wire.otlp import sendable, storable
from llmflow_web.wire.otlp_values import (
    FLAG_NO_RECORDED_VALUE,
    TEMPORALITIES,
    DataPoint,
    Exemplar,
    LogRecord,
    OtlpMetric,
    Resource,
)

_EVENT_NAMES = ("event.name", "log.event.name", "name", "event_name")
_DOTTED_NAME = re.compile(r"[A-Za-z][\w-]*(?:\.[\w-]+)+\Z", re.ASCII)
_SESSIONS = ("session.id", "gen_ai.conversation.id", "conversation.id")
_SEVERITIES = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
_UNKNOWN = "unknown"


def _hash(*values: Any) -> str:
    made = blake2b(digest_size=16)
    for value in values:
        made.update(encoded(value, is_sorted=True))
        made.update(b"\0")
    return made.hexdigest()


# ── logs ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def log_from_otlp(record: LogRecord, nth: int = 0, *, now_ns: int = 0) -> Log:
    """Return the row of one log record.

    Args:
        record: as decoded.
        nth: how many records that say the same came before it in the same request.
        now_ns: stands for a time that is missing.
    """
    service = label(record.resource.attributes.get("service.name")) or _UNKNOWN
    event_name = _event_name(record)
    return Log(
        id=_log_id(record, nth),
        time_ns=moment(record.time_ns, record.observed_ns) or now_ns,
        observed_ns=moment(record.observed_ns) or now_ns or None,
        severity_number=record.severity_number or None,
        severity_text=_severity(record),
        body=_body_text(record.body),
        trace_id=record.trace_id or None,
        span_id=record.span_id or None,
        event_name=event_name,
        service_name=service,
        scope_name=label(record.scope.name),
        session_id=_session(record.attributes, record.resource),
        tool=tool_of_service(service) or tool_of_service(event_name),
        attributes=plain(record.attributes),
        resource_attributes=plain(record.resource.attributes),
        detail=_log_detail(record) or None,
    )


def _log_id(record: LogRecord, nth: int) -> str:
    return _hash(
        [record.time_ns, record.observed_ns, record.severity_number, record.severity_text, record.trace_id,
         record.span_id, record.event_name, record.scope.name, nth],
        record.body,
        record.attributes,
        record.resource.attributes,
    )  # fmt: skip


def _event_name(record: LogRecord) -> str | None:
    if record.event_name:
        return label(record.event_name)
    told = next((found for name in _EVENT_NAMES if (found := label(record.attributes.get(name)))), None)
    if told is None and isinstance(record.body, str) and len(record.body) <= 128 and _DOTTED_NAME.match(record.body):
        return record.body
    return told


def _severity(record: LogRecord) -> str | None:
    number = record.severity_number
    if record.severity_text or not number:
        return label(record.severity_text)
    return _SEVERITIES[(number - 1) // 4] if 1 <= number <= 24 else "UNSPECIFIED"


def _body_text(body: Any) -> str | None:
    if body is None:
        return None
    if isinstance(body, bytes):
        return f"[binary: {len(body)} bytes]"
    return sound(body) if isinstance(body, str) else sound(as_text(body))


def _session(attributes: JSON, resource: Resource) -> str | None:
    for source in (attributes, resource.attributes):
        for name in _SESSIONS:
            found = label(source.get(name))
            if found:
                return found
    return None


def _log_detail(record: LogRecord) -> JSON:
    resource = resource_json(record.resource)
    resource.pop("attributes", None)
    is_text = record.body is None or isinstance(record.body, str)
    return ({} if is_text else {"body": storable(record.body)}) | only_set(
        time_ns=_odd_moment(record.time_ns),
        observed_ns=_odd_moment(record.observed_ns),
        event_name=record.event_name,
        flags=record.flags,
        dropped_attributes_count=record.dropped_attributes_count,
        scope=scope_json(record.scope),
        resource=resource,
    )


def _odd_moment(ns: int) -> str | None:
    """Return a time that no column can hold, for the way back."""
    return str(ns) if ns and moment(ns) is None else None


def otlp_from_log(row: Log | Mapping[str, Any]) -> LogRecord:
    """Return the record a row was made of; a row is a Log, or what the store returns of one."""
    told = _members(row)
    detail = parsed_object(told.get("detail"))
    return LogRecord(
        _resource(told, detail),
        scope_from(detail.get("scope") or {"name": told.get("scope_name")}),
        time_ns=nanoseconds(detail.get("time_ns")) or _time_ns(told, "time_ns", "timestamp"),
        observed_ns=nanoseconds(detail.get("observed_ns")) or _time_ns(told, "observed_ns", "observed_timestamp"),
        severity_number=_whole(told.get("severity_number")),
        severity_text=as_text(told.get("severity_text")),
        body=sendable(detail["body"]) if "body" in detail else told.get("body"),
        attributes=attributes_from(told.get("attributes")),
        dropped_attributes_count=dropped_from(detail),
        flags=_whole(detail.get("flags")),
        trace_id=as_text(told.get("trace_id")),
        span_id=as_text(told.get("span_id")),
        event_name=as_text(detail.get("event_name")),
    )


def _members(row: Log | Metric | Mapping[str, Any]) -> Mapping[str, Any]:
    return asdict(row) if is_dataclass(row) else row


def _resource(told: Mapping[str, Any], detail: JSON) -> Resource:
    kept = parsed_object(detail.get("resource"))
    return resource_from({**kept, "attributes": parsed_object(told.get("resource_attributes"))})


def _time_ns(told: Mapping[str, Any], name: str, milliseconds: str) -> int:
    return nanoseconds(told.get(name)) or nanoseconds(told.get(milliseconds)) * 1_000_000


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else 0


# ── metrics ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def metrics_from_otlp(metric: OtlpMetric, *, now_ns: int = 0) -> list[Metric]:
    """Return one row per data point; `now_ns` stands for a time that is missing."""
    resource = metric.resource.attributes
    base = _hash(resource, scope_json(metric.scope), metric.name, metric.metric_type, metric.unit)
    service = label(resource.get("service.name")) or _UNKNOWN
    temporality = TEMPORALITIES[metric.temporality] if 0 < metric.temporality < len(TEMPORALITIES) else None
    shared = _metric_detail(metric)
    distribution = _DISTRIBUTIONS.get(metric.metric_type)
    found = []
    for point in metric.points:
        series = _hash(base, point.attributes)
        value_int, value_double = _numbers(metric, point)
        found.append(
            Metric(
                id=_hash(series, _point_json(point)),
                series=series,
                time_ns=moment(point.time_ns, point.start_ns) or now_ns,
                name=sound(metric.name),
                start_ns=moment(point.start_ns),
                description=sound(metric.description) or None,
                unit=label(metric.unit),
                metric_type=metric.metric_type,
                temporality=temporality,
                is_monotonic=metric.is_monotonic,
                value_int=value_int,
                value_double=value_double,
                histogram_data=storable(distribution(point)) if distribution is not None else None,
                service_name=service,
                scope_name=label(metric.scope.name),
                session_id=_session(point.attributes, metric.resource),
                tool=tool_of_service(service) or tool_of_service(metric.name),
                attributes=plain(point.attributes),
                resource_attributes=plain(resource),
                detail=(shared | _point_detail(metric, point)) or None,
            )
        )  # fmt: skip
    return found


def _numbers(metric: OtlpMetric, point: DataPoint) -> tuple[int | None, float | None]:
    """Return value_int and value_double: of a distribution its count and sum; None both where nothing was recorded."""
    if point.flags & FLAG_NO_RECORDED_VALUE:
        return None, None
    if metric.metric_type in _DISTRIBUTIONS:
        return min(point.count, MAX_INT64), _finite(point.sum)
    value = point.value
    if isinstance(value, int) and -MAX_INT64 <= value <= MAX_INT64:
        return int(value), None
    return None, _finite(value)


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def _histogram(point: DataPoint) -> JSON:
    return {
        "count": point.count,
        "sum": point.sum,
        "min": point.min,
        "max": point.max,
        "bucketCounts": point.bucket_counts,
        "explicitBounds": point.explicit_bounds,
    }


def _exponential(point: DataPoint) -> JSON:
    return {
        "count": point.count,
        "sum": point.sum,
        "min": point.min,
        "max": point.max,
        "scale": point.scale,
        "zeroCount": point.zero_count,
        "zeroThreshold": point.zero_threshold,
        "positive": {"offset": point.positive_offset, "bucketCounts": point.positive_counts},
        "negative": {"offset": point.negative_offset, "bucketCounts": point.negative_counts},
    }


def _summary(point: DataPoint) -> JSON:
    quantiles = [{"quantile": quantile, "value": value} for quantile, value in point.quantiles]
    return {"count": point.count, "sum": point.sum, "quantileValues": quantiles}


_DISTRIBUTIONS: dict[str, Callable[[DataPoint], JSON]] = {
    "histogram": _histogram,
    "exponential_histogram": _exponential,
    "summary": _summary,
}


def _point_json(point: DataPoint) -> list[Any]:
    return [
        point.start_ns, point.time_ns, point.flags, point.value, point.count, point.sum, point.min, point.max,
        point.bucket_counts, point.explicit_bounds, point.scale, point.zero_count, point.positive_offset,
        point.positive_counts, point.negative_offset, point.negative_counts, point.quantiles,
    ]  # fmt: skip


def _metric_detail(metric: OtlpMetric) -> JSON:
    resource = resource_json(metric.resource)
    resource.pop("attributes", None)
    return only_set(metadata=plain(metric.metadata), scope=scope_json(metric.scope), resource=resource)


def _point_detail(metric: OtlpMetric, point: DataPoint) -> JSON:
    """Return what the columns cannot hold: flags, exact times, endless values, exemplars with their ids."""
    is_odd = isinstance(point.value, float) and not math.isfinite(point.value)
    return only_set(
        flags=point.flags,
        time_ns=_odd_moment(point.time_ns),
        start_ns=_odd_moment(point.start_ns),
        value=str(point.value) if is_odd and metric.metric_type not in _DISTRIBUTIONS else None,
        exemplars=[_exemplar_json(exemplar) for exemplar in point.exemplars],
    )


def _exemplar_json(exemplar: Exemplar) -> JSON:
    return {
        "value": storable(exemplar.value),
        **only_set(
            time_ns=str(exemplar.time_ns) if exemplar.time_ns else None,
            trace_id=exemplar.trace_id,
            span_id=exemplar.span_id,
            filtered_attributes=plain(exemplar.filtered_attributes),
        ),
    }


def otlp_from_metric(row: Metric | Mapping[str, Any]) -> OtlpMetric:
    """Return the metric of one point a row was made of; a row is a Metric, or what the store returns of one."""
    told = _members(row)
    detail = parsed_object(told.get("detail"))
    kind = told.get("metric_type")
    temporality = told.get("temporality")
    return OtlpMetric(
        _resource(told, detail),
        scope_from(detail.get("scope") or {"name": told.get("scope_name")}),
        name=as_text(told.get("name")),
        description=as_text(told.get("description")),
        unit=as_text(told.get("unit")),
        metric_type=kind if kind in _DISTRIBUTIONS or kind == "sum" else "gauge",
        temporality=TEMPORALITIES.index(temporality) if temporality in TEMPORALITIES else 0,
        is_monotonic=bool(told.get("is_monotonic")),
        metadata=attributes_from(detail.get("metadata")),
        points=[_point(told, detail)],
    )


def _point(told: Mapping[str, Any], detail: JSON) -> DataPoint:
    point = DataPoint(
        attributes=attributes_from(told.get("attributes")),
        start_ns=nanoseconds(detail.get("start_ns")) or nanoseconds(told.get("start_ns")),
        time_ns=nanoseconds(detail.get("time_ns")) or _time_ns(told, "time_ns", "timestamp"),
        flags=_whole(detail.get("flags")),
        exemplars=[_exemplar(one) for one in detail.get("exemplars") or () if isinstance(one, dict)],
    )
    if told.get("metric_type") in _DISTRIBUTIONS:
        _fill_distribution(point, parsed_object(told.get("histogram_data")))
    elif "value" in detail:
        point.value = _number(detail["value"])
    elif told.get("value_int") is not None:
        point.value = told["value_int"]
    else:
        point.value = told.get("value_double")
    return point


def _fill_distribution(point: DataPoint, data: JSON) -> None:
    point.count = _whole(data.get("count"))
    point.sum, point.min, point.max = (_number(data.get(name)) for name in ("sum", "min", "max"))
    point.bucket_counts = [_whole(one) for one in data.get("bucketCounts") or ()]
    point.explicit_bounds = [_float(one) for one in data.get("explicitBounds") or ()]
    point.scale, point.zero_count = _whole(data.get("scale")), _whole(data.get("zeroCount"))
    point.zero_threshold = _float(data.get("zeroThreshold"))
    positive, negative = parsed_object(data.get("positive")), parsed_object(data.get("negative"))
    point.positive_offset, point.negative_offset = _whole(positive.get("offset")), _whole(negative.get("offset"))
    point.positive_counts = [_whole(one) for one in positive.get("bucketCounts") or ()]
    point.negative_counts = [_whole(one) for one in negative.get("bucketCounts") or ()]
    rows = [one for one in data.get("quantileValues") or () if isinstance(one, dict)]
    point.quantiles = [(_float(one.get("quantile")), _float(one.get("value"))) for one in rows]


def _number(value: Any) -> float | None:
    """Read a number as it is stored; NaN and the infinities stand as words."""
    if isinstance(value, str):
        value = parsed(value) if value not in ("nan", "inf", "-inf", "NaN", "Infinity", "-Infinity") else float(value)
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _float(value: Any) -> float:
    return float(_number(value) or 0)


def _exemplar(stored: JSON) -> Exemplar:
    return Exemplar(
        nanoseconds(stored.get("time_ns")),
        _number(stored.get("value")),
        as_text(stored.get("trace_id")),
        as_text(stored.get("span_id")),
        attributes_from(stored.get("filtered_attributes")),
    )
