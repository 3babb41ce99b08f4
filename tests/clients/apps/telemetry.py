"""What each app of this folder does before its first call: providers of OpenTelemetry as its documentation sets them up.

The address comes from OTEL_EXPORTER_OTLP_ENDPOINT, as in a user's shell; everything is flushed before the app ends.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from opentelemetry import metrics, trace
from opentelemetry._logs import set_logger_provider
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor


@contextlib.contextmanager
def telemetry(service: str) -> Iterator[tuple[TracerProvider, LoggerProvider, MeterProvider]]:
    """Set the three providers; flush them all at the end, so that what was told has arrived when the app ends."""
    resource = Resource.create({"service.name": service})
    spans = TracerProvider(resource=resource)
    spans.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    logs = LoggerProvider(resource=resource)
    logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
    meters = MeterProvider(resource=resource, metric_readers=[PeriodicExportingMetricReader(OTLPMetricExporter())])
    trace.set_tracer_provider(spans)
    set_logger_provider(logs)
    metrics.set_meter_provider(meters)
    try:
        yield spans, logs, meters
    finally:
        for provider in (spans, logs, meters):
            assert provider.force_flush(60_000), f"{provider} could not be flushed"
            provider.shutdown()
