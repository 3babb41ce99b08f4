"""Sessions of coding agents as fixtures tell them: log records, spans and metrics, and the calls as the proxy saw them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from llmflow_web.model import Row, Span
from llmflow_web.wire.otlp_values import DataPoint, LogRecord, OtlpMetric, OtlpSpan, Resource, Scope

AGENTS = ("claude_code", "codex_cli", "gemini_cli", "copilot")
START_NS = 1_763_800_000_000_000_000
_MS = 1_000_000


class Session:
    """One fixture."""

    def __init__(self, name: str) -> None:
        text = Path(__file__).with_name("fixtures").joinpath("agents", f"{name}.json").read_text("utf-8")
        self.told: dict[str, Any] = json.loads(text)
        self.id = {**self.told["resource"], **self.told["common"]}.get("session.id") or "sess-codex"
        self.tool = self.told["proxy"]["tool"]
        self.tokens = sum(prompt + answer for _, prompt, answer, *_ in self.told["calls"])
        self._under = (Resource(self.told["resource"]), Scope(self.told["scope"]))

    def logs(self) -> list[LogRecord]:
        """Return its log records, in the order in which they were sent."""
        return [
            LogRecord(
                *self._under,
                time_ns=START_NS + one["ms"] * _MS,
                body=one.get("body"),
                attributes={**self.told["common"], **one["attributes"]},
            )
            for one in self.told["logs"]
        ]

    def spans(self) -> list[OtlpSpan]:
        """Return its spans, which end, and so are sent, from the leaves up."""
        made = [
            OtlpSpan(
                *self._under,
                trace_id=one["trace"],
                span_id=one["id"],
                parent_span_id=one.get("parent", ""),
                name=one["name"],
                start_ns=START_NS + one["ms"] * _MS,
                end_ns=START_NS + one["to"] * _MS,
                attributes={**self.told["common"], **one["attributes"]},
            )
            for one in self.told["spans"]
        ]
        return sorted(made, key=lambda span: (span.end_ns, -span.start_ns))

    def metrics(self) -> list[OtlpMetric]:
        """Return its metrics: sums of what was used since the last time."""
        return [
            OtlpMetric(
                *self._under, name=one["name"], unit=one["unit"], metric_type="sum", temporality=1, is_monotonic=True,
                points=[
                    DataPoint({**self.told["common"], **point["attributes"]}, START_NS, START_NS + _MS, 0, point["value"])
                    for point in one["points"]
                ],
            )
            for one in self.told["metrics"]
        ]  # fmt: skip

    def proxied(self) -> list[Row]:
        """Return its calls as the proxy saw them, which knows nothing of sessions."""
        column = "response_id" if self.tool == "copilot" else "request_id"
        return [
            Row(
                Span(
                    trace_id=f"{number:032x}", id=f"{number:016x}", span_type="llm", status=200, operation="chat",
                    start_ns=START_NS + (end - took) * _MS + 3, duration_ns=took * _MS, prompt_tokens=prompt,
                    completion_tokens=answer, total_tokens=prompt + answer,
                    reasoning_tokens=sum(thoughts), **({column: key} if key else {}),
                    model="gpt-4o", **self.told["proxy"],
                )
            )
            for number, (key, prompt, answer, end, took, *thoughts) in enumerate(self.told["calls"], 1)
        ]  # fmt: skip


def official_logs(records: list[LogRecord]) -> bytes:
    """Encode log records by the official package."""
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

    request = ExportLogsServiceRequest()
    group = request.resource_logs.add()
    _fill(group.resource.attributes, records[0].resource.attributes)
    scope = group.scope_logs.add()
    scope.scope.name = records[0].scope.name
    for record in records:
        made = scope.log_records.add(time_unix_nano=record.time_ns, observed_time_unix_nano=record.time_ns + 5)
        if record.body is not None:
            made.body.string_value = record.body
        _fill(made.attributes, record.attributes)
    return request.SerializeToString()


def _fill(attributes: Any, values: dict[str, Any]) -> None:
    for name, value in values.items():
        _set(attributes.add(key=name).value, value)


def _set(made: Any, value: Any) -> None:
    if isinstance(value, bool):
        made.bool_value = value
    elif isinstance(value, int):
        made.int_value = value
    elif isinstance(value, float):
        made.double_value = value
    elif isinstance(value, list):
        made.array_value.SetInParent()
        for one in value:
            _set(made.array_value.values.add(), one)
    else:
        made.string_value = value
