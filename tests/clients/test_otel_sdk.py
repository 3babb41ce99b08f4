"""The official opentelemetry-sdk with its OTLP/HTTP exporters: all three signals arrive, whole, in every compression."""

from __future__ import annotations

import contextlib
import json
import logging

import pytest

for _name in ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"):
    pytest.importorskip(_name, reason=f"{_name} is not installed")

from opentelemetry import trace  # noqa: E402
from opentelemetry.exporter.otlp.proto.http import Compression  # noqa: E402
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter  # noqa: E402
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter  # noqa: E402
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: E402
from opentelemetry.sdk._logs import LoggerProvider  # noqa: E402
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor  # noqa: E402
from opentelemetry.sdk.metrics import MeterProvider  # noqa: E402
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader  # noqa: E402
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View  # noqa: E402
from opentelemetry.sdk.resources import Resource  # noqa: E402
from opentelemetry.sdk.trace import TracerProvider  # noqa: E402
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult  # noqa: E402
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState  # noqa: E402

pytestmark = pytest.mark.sdk

PATIENCE_MS = 60_000
RESOURCE = {"service.name": "sdk app", "deployment.environment.name": "test", "host.cpus": [1, 2]}
FAR = SpanContext(
    0x0AF7651916CD43DD8448EB211C80319C,
    0xB7AD6B7169203331,
    is_remote=True,
    trace_flags=TraceFlags(TraceFlags.SAMPLED),
    trace_state=TraceState([("vendor", "value"), ("other", "1")]),
)
compressions = pytest.mark.parametrize("compression", list(Compression), ids=lambda one: one.value)


@pytest.fixture
def flow(flow_at):
    return flow_at()


@pytest.fixture(autouse=True)
def endpoint(flow, monkeypatch):
    """What a user sets: the exporters add the path of their signal themselves."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", flow.dashboard_url)


@contextlib.contextmanager
def flushed(provider):
    """Flush at the end: an export is answered when all of it is stored."""
    try:
        yield provider
        assert provider.force_flush(PATIENCE_MS)
    finally:
        provider.shutdown()


def tracing(compression=Compression.Gzip):
    provider = TracerProvider(resource=Resource(RESOURCE), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(compression=compression)))
    return flushed(provider)


@compressions
def test_nothing_of_a_span_is_dropped(flow, compression):
    """Every kind of value, events, links, trace state, flags, kind, status, resource, scope; the parent is far away."""
    values = {
        "text": "größer 🌊", "whole": -(2**62), "part": 0.25, "yes": True, "no": False, "empty": "",
        "texts": ["a", "b"], "numbers": [1, 2], "parts": [0.5, 1.5], "flags": [True, False],
        "bytes": b"\x00\xff", "object": {"a": {"b": [1, "x", {"c": None}]}}, "mixed": [1, "x", 0.5, True],
    }  # fmt: skip
    with tracing(compression) as provider:
        tracer = provider.get_tracer("scope", "1.2.3", "https://opentelemetry.io/schemas/1.30.0", {"scope.is": "ours"})
        with tracer.start_as_current_span(
            "work",
            trace.set_span_in_context(trace.NonRecordingSpan(FAR)),
            kind=SpanKind.CLIENT,
            attributes=values,
            links=[Link(FAR, {"reason": "retry"})],
        ) as span:
            span.add_event("note", {"count": 3, "data": b"\x01"}, timestamp=1_760_000_000_123_456_789)
            span.set_status(Status(StatusCode.ERROR, "it broke"))
    (row,) = flow.wait_traces(1)
    context = span.get_span_context()
    assert (row["id"], row["trace_id"]) == (f"{context.span_id:016x}", f"{FAR.trace_id:032x}")
    assert (row["parent_id"], row["span_name"], row["service_name"]) == (f"{FAR.span_id:016x}", "work", "sdk app")
    assert (row["status"], row["error"]) == (500, "it broke")
    detail = flow.get(f"/api/traces/{row['id']}")
    stored = values | {"bytes": {"bytesValue": "AP8="}}
    assert {name: detail["attributes"].get(name) for name in stored} == stored
    told = detail["otlp"]
    assert told["resource"] == {"attributes": RESOURCE}
    assert told["scope"] == {
        "name": "scope", "version": "1.2.3", "attributes": {"scope.is": "ours"},
        "schema_url": "https://opentelemetry.io/schemas/1.30.0",
    }  # fmt: skip
    assert (told["kind"], told["trace_state"]) == (3, "vendor=value,other=1")
    assert told["flags"] & 0x300 == 0x300  # the parent is remote
    assert told["status"] == {"code": 2, "message": "it broke"}
    assert told["events"] == [
        {"time_ns": "1760000000123456789", "name": "note", "attributes": {"count": 3, "data": {"bytesValue": "AQ=="}}}
    ]
    (link,) = told["links"]
    assert (link["trace_id"], link["span_id"]) == (row["trace_id"], row["parent_id"])
    assert link["attributes"] == {"reason": "retry"}
    assert detail["trace"]["dropped"] == []


def test_what_the_sdk_dropped_is_said(flow, monkeypatch):
    """Its limits drop attributes, events and links, and it says how many."""
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "1")
    monkeypatch.setenv("OTEL_SPAN_EVENT_COUNT_LIMIT", "1")
    with tracing() as provider, provider.get_tracer("s").start_as_current_span("work", attributes={"a": 1}) as span:
        span.set_attribute("b", 2)
        span.add_event("first")
        span.add_event("second")
    (row,) = flow.wait_traces(1)
    detail = flow.get(f"/api/traces/{row['id']}")
    assert detail["trace"]["dropped"] == ["1 attributes: dropped by the sender", "1 events: dropped by the sender"]


def test_many_spans_of_a_deep_tree(flow):
    """A thousand spans over many batches: each at its place."""
    with tracing() as provider:
        tracer = provider.get_tracer("s")
        with tracer.start_as_current_span("root"):
            for number in range(333):
                with tracer.start_as_current_span(f"a {number}"), tracer.start_as_current_span("b"):
                    tracer.start_span("c").end()
    rows = flow.wait_traces(1000)
    (root,) = flow.get(f"/api/traces/{rows[0]['trace_id']}/tree?fields=summary")["spans"]
    assert len(root["children"]) == 333
    for child in root["children"]:
        (below,) = child["children"]
        assert [one["span_name"] for one in below["children"]] == ["c"]


def test_of_a_batch_with_a_bad_span_the_good_ones_are_kept(flow, caplog):
    """The exporter takes the answer as done: nothing is sent again, the rest of the batch is there."""
    with contextlib.closing(_Exporter()) as exporter:
        provider = TracerProvider(resource=Resource(RESOURCE), shutdown_on_exit=False)
        good, bad = (provider.get_tracer("s").start_span(name) for name in ("good", "bad"))
        bad._context = SpanContext(0, 0, is_remote=False)
        for span in (good, bad):
            span.end()
        with caplog.at_level(logging.DEBUG):
            assert exporter.export([good, bad]) is SpanExportResult.SUCCESS
    (row,) = flow.wait_traces(1)
    assert row["span_name"] == "good"
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


class _Exporter(OTLPSpanExporter):
    def close(self) -> None:
        self.shutdown()


@compressions
def test_log_records_arrive_whole(flow, compression):
    """Bodies of every kind, severity, event name, attributes; in a span, its ids."""
    provider = LoggerProvider(resource=Resource(RESOURCE), shutdown_on_exit=False)
    provider.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(compression=compression)))
    bodies = ["text", 5, {"a": [1, {"b": "größer"}], "data": b"\xff"}, ["x", 2]]
    with tracing() as spans, flushed(provider):
        logger = provider.get_logger("scope", "1")
        with spans.get_tracer("s").start_as_current_span("work") as span:
            for number, body in enumerate(bodies):
                logger.emit(
                    timestamp=1_760_000_000_000_000_000 + number * 1_000_000_000,
                    severity_text="WARN",
                    severity_number=_severity("WARN"),
                    body=body,
                    attributes={"n": number},
                    event_name="app.said",
                )
    context = span.get_span_context()
    told = flow.get("/api/logs?event_name=app.said")
    assert told["total"] == len(bodies)
    logs = sorted(told["logs"], key=lambda log: log["timestamp"])
    assert [log["body"] for log in logs] == [
        "text",
        "5",
        '{"a":[1,{"b":"größer"}],"data":{"bytesValue":"/w=="}}',
        '["x",2]',
    ]
    for number, log in enumerate(logs):
        assert (log["severity_number"], log["severity_text"], log["service_name"]) == (13, "WARN", "sdk app")
        assert (log["trace_id"], log["span_id"]) == (f"{context.trace_id:032x}", f"{context.span_id:016x}")
        assert json.loads(log["attributes"]) == {"n": number}
        assert json.loads(log["resource_attributes"]) == RESOURCE


def _severity(name):
    from opentelemetry._logs import SeverityNumber

    return SeverityNumber[name]


@contextlib.contextmanager
def metering(compression, views):
    exporter = OTLPMetricExporter(compression=compression)
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=float("inf"))
    provider = MeterProvider([reader], Resource(RESOURCE), views=views, shutdown_on_exit=False)
    with flushed(provider):
        yield provider.get_meter("scope", "1")


@compressions
def test_every_kind_of_metric_arrives_whole(flow, compression):
    """Counter, up-down counter, gauge, histogram and exponential histogram, with their points, units and attributes."""
    views = [View(instrument_name="exponential", aggregation=ExponentialBucketHistogramAggregation())]
    with metering(compression, views) as meter:
        meter.create_counter("calls", "1", "Calls").add(5, {"model": "gpt-4o", "is_test": True})
        meter.create_up_down_counter("open").add(-2)
        meter.create_gauge("heat", "C").set(36.6)
        plain = meter.create_histogram("plain", "s", explicit_bucket_boundaries_advisory=[1, 2])
        spread = meter.create_histogram("exponential", "s")
        for value in (0.5, 1.5, 1.75, 9):
            plain.record(value)
            spread.record(value)
    told = {one["name"]: one for one in flow.get("/api/metrics?limit=100")["metrics"]}
    assert {name: one["metric_type"] for name, one in told.items()} == {
        "calls": "sum", "open": "sum", "heat": "gauge", "plain": "histogram", "exponential": "exponential_histogram",
    }  # fmt: skip
    calls = told["calls"]
    assert (calls["value_int"], calls["unit"], calls["description"], calls["is_monotonic"]) == (5, "1", "Calls", True)
    assert (calls["temporality"], json.loads(calls["attributes"])) == (
        "cumulative",
        {"model": "gpt-4o", "is_test": True},
    )
    assert (told["open"]["value_int"], told["open"]["is_monotonic"]) == (-2, False)
    assert told["heat"]["value_double"] == 36.6
    assert json.loads(told["plain"]["histogram_data"]) == {
        "count": 4, "sum": 12.75, "min": 0.5, "max": 9.0, "bucketCounts": [1, 2, 1], "explicitBounds": [1.0, 2.0],
    }  # fmt: skip
    spread = json.loads(told["exponential"]["histogram_data"])
    assert (spread["count"], spread["sum"], spread["min"], spread["max"]) == (4, 12.75, 0.5, 9.0)
    assert sum(spread["positive"]["bucketCounts"]) == 4
    assert all(json.loads(one["resource_attributes"]) == RESOURCE for one in told.values())


@pytest.mark.parametrize("temporality", ["cumulative", "delta"])
def test_tokens_told_in_metrics_add_up(flow, monkeypatch, temporality):
    """Whether each export holds what came since the last one or all since the start."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", temporality)
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(), export_interval_millis=float("inf"))
    with flushed(MeterProvider([reader], Resource(RESOURCE), shutdown_on_exit=False)) as provider:
        tokens = provider.get_meter("scope").create_histogram("gen_ai.client.token.usage", "{token}")
        for amount in (30, 12):
            tokens.record(amount, {"gen_ai.request.model": "gpt-4o", "gen_ai.token.type": "input"})
            assert provider.force_flush(PATIENCE_MS)
    (usage,) = flow.get("/api/token-usage")
    assert (usage["model"], usage["token_type"], usage["total_tokens"]) == ("gpt-4o", "input", 42)
