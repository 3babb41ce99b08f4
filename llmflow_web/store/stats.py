"""Sums, models and charts: from the hourly rollup, so that they do not grow with the number of rows.

A filter the rollup cannot answer scans `spans` into the same shape, under the reader's time budget. Sums are numbers
as the contract wants them; `unpriced_count` says how many calls are missing from a cost.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from llmflow_web.model import JSON
from llmflow_web.store.query import compile_filter
from llmflow_web.store.sums import ALL_TIME, HOUR_NS, lanes_from_bytes, percentiles
from llmflow_web.wire.filter import Filter

HOUR_MS = HOUR_NS // 1_000_000
DAY_MS = 24 * HOUR_MS
MAX_DAYS = 3660

Query = tuple[str, list[Any]]

_ERROR = "s.status IS NOT NULL AND s.status >= 400"
UNPRICED = f"""s.estimated_cost IS NULL
  AND (IFNULL(s.total_tokens, IFNULL(s.prompt_tokens, 0) + IFNULL(s.completion_tokens, 0)) > 0
    OR (IFNULL(s.model, '') <> '' AND NOT ({_ERROR})))"""
_SPANS_AS_ROLLUP = f"""
SELECT s.start_ns / {HOUR_NS} AS hour, IFNULL(s.provider, '') AS provider, IFNULL(s.model, '') AS model,
  IFNULL(s.service_name, '') AS service_name, CASE WHEN {_ERROR} THEN 'error' ELSE '' END AS error_class,
  1 AS requests, IFNULL(s.prompt_tokens, 0) AS prompt_tokens, IFNULL(s.completion_tokens, 0) AS completion_tokens,
  IFNULL(s.total_tokens, IFNULL(s.prompt_tokens, 0) + IFNULL(s.completion_tokens, 0)) AS total_tokens,
  IFNULL(s.cached_tokens, 0) AS cached_tokens, IFNULL(s.cache_write_tokens, 0) AS cache_write_tokens,
  IFNULL(s.reasoning_tokens, 0) AS reasoning_tokens, IFNULL(s.estimated_cost, 0.0) AS cost,
  {UNPRICED} AS unpriced_count,
  IFNULL(s.duration_ns, 0) AS duration_ns, s.duration_ns IS NOT NULL AS duration_count,
  CAST(IFNULL(s.ttft_ms, 0) * 1000 AS INTEGER) AS ttft_us, s.ttft_ms IS NOT NULL AS ttft_count
FROM """

# One set of columns for every question below.
_SUMS = (
    "SUM(requests), SUM(prompt_tokens), SUM(completion_tokens), SUM(total_tokens), SUM(cached_tokens), "
    "SUM(cache_write_tokens), SUM(reasoning_tokens), SUM(cost), SUM(unpriced_count), "
    "SUM(duration_ns), SUM(duration_count), SUM(ttft_us), SUM(ttft_count), "
    "SUM(CASE WHEN error_class <> '' THEN requests ELSE 0 END)"
)


def _source(connection: sqlite3.Connection, chosen: Filter | None) -> Query:
    """Return what stands after FROM: the rollup, or the filtered spans in its shape."""
    if chosen is None or chosen.is_empty:
        return "rollup", []  # the caller says which hours
    compiled = compile_filter(connection, chosen)
    compiled.add("s.counts = 1")
    return f"({_SPANS_AS_ROLLUP}{compiled.source}{compiled.where})", compiled.params


def _average_ms(nanoseconds: int, count: int) -> float:
    return round(nanoseconds / count / 1e6, 3) if count else 0


def _sums(values: tuple[Any, ...]) -> JSON:
    """Give the columns of _SUMS their names in the API."""
    zero = [value or 0 for value in values]
    return {
        "request_count": zero[0],
        "prompt_tokens": zero[1],
        "completion_tokens": zero[2],
        "total_tokens": zero[3],
        "cached_tokens": zero[4],
        "cache_write_tokens": zero[5],
        "reasoning_tokens": zero[6],
        "total_cost": zero[7],
        "unpriced_count": zero[8],
        "avg_duration": _average_ms(zero[9], zero[10]),
        "avg_ttft_ms": round(zero[11] / zero[12] / 1000, 3) if zero[12] else None,
        "error_count": zero[13],
    }


def totals(connection: sqlite3.Connection, chosen: Filter | None = None) -> JSON:
    """Return the sums over all calls, or over those a filter lets through, and the share of each model."""
    source, params = _source(connection, chosen)
    where = f" WHERE hour = {ALL_TIME}" if source == "rollup" else ""
    rows = connection.execute(f"SELECT model, {_SUMS} FROM {source}{where} GROUP BY model", params).fetchall()
    sums = _sums(tuple(sum(column) for column in list(zip(*rows, strict=True))[1:]) if rows else (0,) * 14)
    duration_ms = sum(row[10] for row in rows) / 1e6
    return {
        "total_requests": sums["request_count"],
        "total_tokens": sums["total_tokens"],
        "total_cost": sums["total_cost"],
        "total_duration": round(duration_ms, 3),
        "error_count": sums["error_count"] if rows else None,
        "avg_duration": sums["avg_duration"],
        "avg_ttft_ms": sums["avg_ttft_ms"],
        "unpriced_count": sums["unpriced_count"],
        "prompt_tokens": sums["prompt_tokens"],
        "completion_tokens": sums["completion_tokens"],
        "cached_tokens": sums["cached_tokens"],
        "cache_write_tokens": sums["cache_write_tokens"],
        "reasoning_tokens": sums["reasoning_tokens"],
        "models": [
            {"model": row[0] or None, "count": row[1], "tokens": row[4], "cost": row[8], "unpriced_count": row[9]}
            for row in sorted(rows, key=lambda row: (-row[1], row[0]))
        ],
    }


def models(connection: sqlite3.Connection) -> list[JSON]:
    """Return every model with its true sums and percentiles, the most used first."""
    histograms: dict[str, list[int]] = {}
    for model, duration, ttft in connection.execute(
        f"SELECT model, duration_buckets, ttft_buckets FROM rollup WHERE hour = {ALL_TIME}"
    ):
        pair = histograms.setdefault(model, [0, 0])
        pair[0] += lanes_from_bytes(duration)
        pair[1] += lanes_from_bytes(ttft)
    rows = connection.execute(
        f"SELECT model, {_SUMS}, GROUP_CONCAT(DISTINCT provider) FROM rollup WHERE hour = {ALL_TIME} "
        "GROUP BY model ORDER BY 2 DESC, 1"
    )
    return [_model(row, *histograms[row[0]]) for row in rows]


def _model(row: tuple[Any, ...], duration: int, ttft: int) -> JSON:
    sums = _sums(row[1:15])
    p50, p95 = percentiles(duration, (0.5, 0.95))
    ttft_p50, ttft_p95 = percentiles(ttft, (0.5, 0.95))
    return {
        "model": row[0] or None,
        **sums,
        "avg_latency": sums["avg_duration"],
        "p50_ms": p50,
        "p95_ms": p95,
        "ttft_p50_ms": ttft_p50,
        "ttft_p95_ms": ttft_p95,
        "providers": sorted(filter(None, (row[15] or "").split(","))),
    }


# Analytics: windows in whole UTC hours, gaps filled with zeros.


def _since_hour(days: int, now_ms: int) -> int:
    return (now_ms - days * DAY_MS) // HOUR_MS


def _label(bucket_ms: int, interval: str) -> str:
    moment = datetime.fromtimestamp(bucket_ms / 1000, tz=UTC)
    return moment.strftime("%Y-%m-%d" if interval == "day" else "%Y-%m-%d %H:00")


def _buckets(interval: str, days: int, now_ms: int) -> Iterator[int]:
    """Yield the starts of all buckets of the window, oldest first."""
    step = DAY_MS if interval == "day" else HOUR_MS
    first = (now_ms - days * DAY_MS) // step * step
    return iter(range(first, now_ms + 1, step))


def _per_bucket(
    connection: sqlite3.Connection, interval: str, days: int, now_ms: int, chosen: Filter | None
) -> Iterator[tuple[int, JSON]]:
    days = min(days, MAX_DAYS)
    if days <= 0:
        return
    source, params = _source(connection, chosen)
    hours = 24 if interval == "day" else 1
    rows = connection.execute(
        f"SELECT hour / {hours}, {_SUMS} FROM {source} WHERE hour >= ? GROUP BY 1", (*params, _since_hour(days, now_ms))
    )
    found = {row[0] * hours * HOUR_MS: row[1:] for row in rows}
    nothing = (0,) * 14
    for bucket in _buckets(interval, days, now_ms):
        yield bucket, _sums(found.get(bucket, nothing))


def analytics_daily(connection: sqlite3.Connection, days: int, now_ms: int, chosen: Filter | None = None) -> list[JSON]:
    """Return one entry per UTC day, oldest first, under both sets of names."""
    return [
        {
            "bucket": bucket,
            "date": _label(bucket, "day"),
            "tokens": sums["total_tokens"],
            "cost": sums["total_cost"],
            "requests": sums["request_count"],
            **sums,
        }
        for bucket, sums in _per_bucket(connection, "day", days, now_ms, chosen)
    ]


def analytics_token_trends(
    connection: sqlite3.Connection, interval: str, days: int, now_ms: int, chosen: Filter | None = None
) -> list[JSON]:
    """Return one entry per UTC hour or day, oldest first."""
    interval = "day" if interval == "day" else "hour"
    return [
        {"bucket": bucket, "label": _label(bucket, interval), **sums}
        for bucket, sums in _per_bucket(connection, interval, days, now_ms, chosen)
    ]


def analytics_by_tool(
    connection: sqlite3.Connection, days: int, now_ms: int, chosen: Filter | None = None
) -> list[JSON]:
    """Return the sums per provider and service, the dearest first."""
    if days <= 0:
        return []
    rows = _grouped(connection, "provider, service_name", days, now_ms, chosen)
    return [
        {
            "provider": provider or "unknown",
            "service_name": service or "unknown",
            "tool": _tool_label(provider, service),
            **sums,
            "avg_duration": sums["avg_duration"] or None,
        }
        for (provider, service), sums in rows
    ]


def analytics_by_model(
    connection: sqlite3.Connection, days: int, now_ms: int, chosen: Filter | None = None
) -> list[JSON]:
    """Return the sums per model and provider, the dearest first; calls without a model are left out."""
    if days <= 0:
        return []
    rows = _grouped(connection, "model, provider", days, now_ms, chosen)
    return [{"model": model, "provider": provider or "unknown", **sums} for (model, provider), sums in rows if model]


def _grouped(
    connection: sqlite3.Connection, by: str, days: int, now_ms: int, chosen: Filter | None
) -> list[tuple[tuple[str, str], JSON]]:
    source, params = _source(connection, chosen)
    rows = connection.execute(
        f"SELECT {by}, {_SUMS} FROM {source} WHERE hour >= ? GROUP BY {by} ORDER BY SUM(cost) DESC, SUM(requests) DESC",
        (*params, _since_hour(min(days, MAX_DAYS), now_ms)),
    )
    return [((row[0], row[1]), _sums(row[2:])) for row in rows]


_TOOL_LABELS = (("codex", "Codex CLI"), ("gemini", "Gemini CLI"), ("aider", "Aider"))


def _tool_label(provider: str, service: str) -> str:
    """Name the tool behind a provider and service (contract section 13)."""
    where = service.lower()
    if "claude" in where or provider == "anthropic":
        return "Claude Code"
    for part, label in _TOOL_LABELS:
        if part in where:
            return label
    known = {"openai": "OpenAI", "ollama": "Ollama"}
    return known.get(provider) or provider or service or "Other"


def analytics_percentiles(connection: sqlite3.Connection, interval: str, days: int, now_ms: int) -> JSON:
    """Return latency and time to first token: over the window, and per UTC hour or day, from the rollup."""
    if days <= 0:
        return {"overall": _percentile_row(0, 0), "buckets": []}
    hours = 24 if interval == "day" else 1
    found: dict[int, list[int]] = {}
    rows = connection.execute(
        "SELECT hour, duration_buckets, ttft_buckets FROM rollup WHERE hour >= ?",
        (_since_hour(min(days, MAX_DAYS), now_ms),),
    )
    for hour, duration, ttft in rows:
        pair = found.setdefault(hour // hours * hours * HOUR_MS, [0, 0])
        pair[0] += lanes_from_bytes(duration)
        pair[1] += lanes_from_bytes(ttft)
    interval = "day" if interval == "day" else "hour"
    return {
        "overall": _percentile_row(sum(pair[0] for pair in found.values()), sum(pair[1] for pair in found.values())),
        "buckets": [
            {"bucket": bucket, "label": _label(bucket, interval), **_percentile_row(*found.get(bucket, (0, 0)))}
            for bucket in _buckets(interval, min(days, MAX_DAYS), now_ms)
        ],
    }


def _percentile_row(duration: int, ttft: int) -> JSON:
    p50, p95, p99 = percentiles(duration, (0.5, 0.95, 0.99))
    ttft_p50, ttft_p95 = percentiles(ttft, (0.5, 0.95))
    return {"p50_ms": p50, "p95_ms": p95, "p99_ms": p99, "ttft_p50_ms": ttft_p50, "ttft_p95_ms": ttft_p95}
