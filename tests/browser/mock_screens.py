"""What the mock server answers to the screens of sums and telemetry: the shapes of docs/api.md over the made-up traces."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import Any

from browser import mock_traces

Row = dict[str, Any]
HOUR_MS = 3_600_000
POINTS = 24


def _figures(rows: list[Row]) -> dict[str, Any]:
    costs = [row["estimated_cost"] for row in rows]
    took = sorted(row["duration_ms"] for row in rows)
    prompt = sum(row["prompt_tokens"] or 0 for row in rows)
    completion = sum(row["completion_tokens"] or 0 for row in rows)
    errors = sum((row["status"] or 0) >= 400 for row in rows)
    return {
        "requests": len(rows), "errors": errors, "error_rate": errors / len(rows) if rows else None,
        "cost": sum(cost or 0 for cost in costs), "unpriced_count": costs.count(None), "prompt_tokens": prompt,
        "completion_tokens": completion, "total_tokens": prompt + completion, "cached_tokens": 0,
        "cache_write_tokens": 0, "reasoning_tokens": 0, "uncached_tokens": prompt, "output_tokens": completion,
        "avg_ms": sum(took) / len(took) if took else None, "p50_ms": took[len(took) // 2] if took else None,
        "p95_ms": took[-1] if took else None, "p99_ms": took[-1] if took else None, "ttft_p50_ms": None,
        "ttft_p95_ms": None, "tokens_per_s": None,
    }  # fmt: skip


def _grouped(rows: list[Row], by: str) -> dict[Any, list[Row]]:
    groups: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        for key in (row["tags"] or [None]) if by == "tag" else [row.get(by)]:
            groups[key].append(row)
    return groups


def analytics(traces: list[Any], path: str, params: dict[str, str]) -> dict[str, Any]:
    """Answer /api/analytics/series and /top."""
    rows = [trace["row"] for trace in traces]
    end = int(time.time() * 1000) // HOUR_MS * HOUR_MS + HOUR_MS
    start = end - POINTS * HOUR_MS
    within = {"date_from": str(start), "date_to": str(end)}
    by = params.get("by")
    groups = _grouped(rows, by) if by else {}
    named = [
        {"key": key, "label": key or "none", "is_rest": False, "filter": within if key is None else {**within, str(by): key}}
        for key in groups
    ]  # fmt: skip
    if path.endswith("/top"):
        made = [{**one, **_figures(groups[one["key"]])} for one in named]
        return {"from": start, "to": end, "by": by, "rows": made, "more": 0, "is_sampled": False, "note": None}
    return {
        "from": start, "to": end, "interval": "hour", "interval_ms": HOUR_MS, "by": by, "is_sampled": False,
        "note": None, "total": _figures(rows), "filter": within, "points": _points(rows, start),
        "series": [{**one, "total": _figures(groups[one["key"]]), "points": _points(groups[one["key"]], start)} for one in named],
    }  # fmt: skip


def _points(rows: list[Row], start: int) -> list[dict[str, Any]]:
    made = []
    for at in range(start, start + POINTS * HOUR_MS, HOUR_MS):
        made.append({"timestamp": at, **_figures([row for row in rows if at <= row["timestamp"] < at + HOUR_MS])})
    return made


def models(traces: list[Any], path: str) -> Any:
    """Answer /api/models and /api/models/prices."""
    if not path.endswith("/prices"):
        return mock_traces.models(traces)
    made = [
        {"model": name, "provider": "openai", "price_key": name, "quality": "exact", "context_window": 128_000, "deprecation_date": None,
         "prices": [{"class": "input", "price": prices[0] / 1e6, "unit": "token"}, {"class": "output", "price": prices[1] / 1e6, "unit": "token"}]}
        for name, prices in mock_traces.PRICES.items()
    ]  # fmt: skip
    return {"date": "2026-10-21", "source": "bundled", "models": made}


def metrics(path: str) -> Any:
    """Answer /api/metrics and what hangs on it."""
    now = int(time.time() * 1000)
    if path.endswith("/filters"):
        return {"names": ["process.memory"], "services": ["shop"]}
    if path.endswith("/tokens"):
        return {"usage": []}
    if path.endswith("/series"):
        points = [{"timestamp": now - (9 - i) * 60_000, "value": i * 1e6 or None, "count": i} for i in range(10)]
        return {"name": "process.memory", "service_name": "shop", "metric_type": "gauge", "unit": "By", "bucket_ms": 60_000, "points": points}  # fmt: skip
    if path.endswith("/summary"):
        return [{"name": "process.memory", "service_name": "shop", "metric_type": "gauge", "data_points": 10, "first_seen": now - 600_000, "last_seen": now,
                 "sum_int": None, "avg_double": 5e6, "total": None, "observations": None, "unit": "By", "temporality": None}]  # fmt: skip
    return mock_traces.METRICS | {"metrics": [{"metric_type": "gauge", "value_double": 5e6, "value_int": None}]}


def logs(path: str, params: dict[str, str]) -> Any:
    """Answer /api/logs, /api/logs/filters and /api/logs/{id}."""
    if path.endswith("/filters"):
        return {"services": ["shop"], "event_names": []}
    found = mock_traces.logs(params)
    key = path.removeprefix("/api/logs").strip("/")
    return next((row for row in found["logs"] if row.get("id") == key), {}) if key else found
