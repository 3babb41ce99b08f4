"""What the screens' tests tell a real LLMFlow: spans, log records and metric points, sent as a program sends them."""

from __future__ import annotations

import time
from typing import Any

HOSTILE = "<img src=x onerror='window.pwned=1'>"


def spans(count: int = 12, **more: Any) -> dict[str, Any]:
    """Return calls of two models, every fourth an error, spread over the last hours."""
    now = int(time.time() * 1000)
    made = []
    for n in range(count):
        is_error = n % 4 == 3
        made.append({
            "id": f"s{n}", "trace_id": f"t{n}", "span_type": "llm", "span_name": f"call {n}", "provider": "openai",
            "model": "gpt-4o" if n % 2 else "gpt-4o-mini", "start_time": now - n * 900_000, "duration_ms": 400 + n * 100,
            "prompt_tokens": None if is_error else 1000 * (n + 1), "completion_tokens": None if is_error else 50,
            "status": 500 if is_error else 200, "error": "it broke" if is_error else None, "tags": ["production"], "user_id": "ada",
            **more,
        })  # fmt: skip
    return {"spans": made}


def turns(count: int, session: str) -> dict[str, Any]:
    """Return the calls of one conversation, each with all that was said before."""
    start = int(time.time() * 1000) - 3_600_000
    said: list[dict[str, str]] = [{"role": "system", "content": "You refactor."}]
    made = []
    for n in range(count):
        said = [*said, {"role": "user", "content": f"Question {n}?"}]
        answer = {"role": "assistant", "content": f"Answer **{n}** {HOSTILE}"}
        made.append({
            "id": f"turn{n}", "trace_id": f"turn-{n}", "span_type": "llm", "model": "gpt-4o", "provider": "openai", "session_id": session,
            "user_id": "ada", "start_time": start + n * 60_000, "duration_ms": 2000, "prompt_tokens": 100 * (n + 1), "completion_tokens": 20,
            "input": {"messages": said}, "output": {"choices": [{"message": answer}]},
        })  # fmt: skip
        said = [*said, answer]
    return {"spans": made}


def logs(count: int, first: int = 0, *, severity: int = 9, word: str = "record") -> dict[str, Any]:
    """Return an OTLP/JSON export of log records, the last the newest."""
    now = time.time_ns()
    records = [
        {
            "timeUnixNano": str(now - (count - n) * 1_000_000),
            "severityNumber": severity,
            "severityText": "ERROR" if severity >= 17 else "INFO",
            "body": {"stringValue": f"{word} {first + n} {HOSTILE}"},
            "attributes": [_pair("event.name", "app.tick"), _pair("n", str(first + n))],
        }
        for n in range(count)
    ]
    return {
        "resourceLogs": [{"resource": _resource(), "scopeLogs": [{"scope": {"name": "tests"}, "logRecords": records}]}]
    }


def metrics() -> dict[str, Any]:
    """Return an OTLP/JSON export: a delta sum of dollars and a gauge of bytes, each with ten points."""
    now = time.time_ns()

    def points(key: str, value: Any) -> list[dict[str, Any]]:
        return [
            {
                "startTimeUnixNano": str(now - 3_600_000_000_000),
                "timeUnixNano": str(now - (10 - n) * 60_000_000_000),
                key: value,
            }
            for n in range(10)
        ]

    made = [
        {"name": "app.cost", "unit": "USD", "sum": {"aggregationTemporality": 1, "isMonotonic": True, "dataPoints": points("asDouble", 0.25)}},
        {"name": "app.memory", "unit": "By", "gauge": {"dataPoints": points("asInt", "2048")}},
    ]  # fmt: skip
    return {
        "resourceMetrics": [{"resource": _resource(), "scopeMetrics": [{"scope": {"name": "tests"}, "metrics": made}]}]
    }


def _resource() -> dict[str, Any]:
    return {"attributes": [_pair("service.name", "shop")]}


def _pair(key: str, value: str) -> dict[str, Any]:
    return {"key": key, "value": {"stringValue": value}}
