"""What one span adds to the sums, as signed numbers: pure arithmetic, no SQL.

A histogram is ONE integer of 48 lanes, 32 bits each: adding and subtracting whole histograms is one addition,
and borrows between lanes cancel out because the sum of all that was added and subtracted has no negative lane.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from llmflow_web.model import STATUS_CLIENT_CLOSED, STATUS_TIMED_OUT, Span

HOUR_NS = 3_600_000_000_000
ALL_TIME = -(2**62)
"""The `hour` of the rollup rows that sum all hours: sums over everything read these few rows only."""
BUCKETS = 48
_LANE = 32
_LANE_MASK = (1 << _LANE) - 1
_MIN_GENERATION_S = 0.01
_LOG_RATIO = math.log(3_600_000) / (BUCKETS - 2)  # bucket 47 starts at one hour: each is 1.388 times the one before


def bucket_of(milliseconds: float) -> int:
    """Return the bucket of a duration: 0 is under 1 ms, 47 an hour and more."""
    if milliseconds < 1:
        return 0
    return min(BUCKETS - 1, int(math.log(milliseconds) / _LOG_RATIO) + 1)


def bucket_start(bucket: float) -> float:
    """Return the milliseconds at which a bucket (or a point within one) starts."""
    return math.exp((bucket - 1) * _LOG_RATIO) if bucket >= 1 else bucket


def lanes_to_bytes(histogram: int) -> bytes:
    """Pack a histogram for the table, trailing zeros cut."""
    return max(histogram, 0).to_bytes((max(histogram, 0).bit_length() + 7) // 8, "little")


def lanes_from_bytes(data: bytes) -> int:
    """Read a histogram as stored."""
    return int.from_bytes(data, "little")


def counts_of(histogram: int) -> list[int]:
    """Return the 48 counts of a histogram."""
    return [(histogram >> (_LANE * bucket)) & _LANE_MASK for bucket in range(BUCKETS)]


def percentiles(histogram: int, shares: Sequence[float]) -> list[float | None]:
    """Return the milliseconds below which each share of the calls lies, interpolated inside its bucket."""
    counts = counts_of(histogram)
    total = sum(counts)
    if not total:
        return [None] * len(shares)
    return [_percentile(counts, share * total) for share in shares]


def _percentile(counts: list[int], wanted: float) -> float:
    seen = 0
    for bucket, count in enumerate(counts):
        if count and seen + count >= wanted:
            return round(bucket_start(bucket + max(0.0, wanted - seen) / count), 3)
        seen += count
    return round(bucket_start(BUCKETS), 3)


def error_class(status: int | None) -> str:
    """Name the kind of an outcome; "" is success."""
    if status is None or status < 400:
        return ""
    if status == STATUS_CLIENT_CLOSED:
        return "client_closed"
    if status == 429:
        return "rate_limited"
    if status == STATUS_TIMED_OUT:
        return "timed_out"
    return "client" if status < 500 else "server"


class RollupKey(NamedTuple):
    """The row of `rollup` a span belongs to."""

    hour: int
    provider: str
    model: str
    service_name: str
    error_class: str


@dataclass(slots=True)
class Share:
    """What one span adds. `tokens`, `cost`, `unpriced` and `rollup` are nothing for a span that does not count."""

    start_ns: int
    end_ns: int
    is_error: int
    tokens: int
    cost: float
    unpriced: int
    key: RollupKey | None
    rollup: tuple[float, ...]  # in the order of ROLLUP_SUMS


ROLLUP_SUMS = (
    "requests", "prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "cache_write_tokens",
    "reasoning_tokens", "cost", "unpriced_count", "duration_ns", "duration_count", "ttft_us", "ttft_count",
    "duration_buckets", "ttft_buckets", "speed_buckets",
)  # fmt: skip
HISTOGRAMS = 3
"""So many of ROLLUP_SUMS, the last, are histograms."""


def total_tokens(span: Span) -> int:
    """Return all tokens of a span, 0 when unknown."""
    if span.total_tokens is not None:
        return span.total_tokens
    return (span.prompt_tokens or 0) + (span.completion_tokens or 0)


def is_unpriced(span: Span, tokens: int) -> bool:
    """Say whether a span ought to have a cost and has none: it used tokens, or a model answered."""
    if span.estimated_cost is not None:
        return False
    return bool(tokens or (span.model and not error_class(span.status)))


def share_of(span: Span) -> Share:
    """Work out what a span adds. The same columns always give the same share, so it can be taken back later."""
    end_ns = span.start_ns + (span.duration_ns or 0)
    status = span.status
    is_error = 1 if status is not None and status >= 400 else 0
    if not span.counts:
        return Share(span.start_ns, end_ns, is_error, 0, 0.0, 0, None, ())
    tokens = total_tokens(span)
    unpriced = 1 if is_unpriced(span, tokens) else 0
    cost = span.estimated_cost or 0.0
    key = RollupKey(
        span.start_ns // HOUR_NS,
        span.provider or "",
        span.model or "",
        span.service_name or "",
        error_class(status) if is_error else "",
    )
    return Share(span.start_ns, end_ns, is_error, tokens, cost, unpriced, key, _rollup_of(span, tokens, cost, unpriced))


def _rollup_of(span: Span, tokens: int, cost: float, unpriced: int) -> tuple[float, ...]:
    duration, ttft, speed = span.duration_ns, span.ttft_ms, tokens_per_s(span)
    return (
        1,
        span.prompt_tokens or 0,
        span.completion_tokens or 0,
        tokens,
        span.cached_tokens or 0,
        span.cache_write_tokens or 0,
        span.reasoning_tokens or 0,
        cost,
        unpriced,
        duration or 0,
        0 if duration is None else 1,
        0 if ttft is None else int(ttft * 1000),
        0 if ttft is None else 1,
        0 if duration is None else 1 << (_LANE * bucket_of(duration / 1e6)),
        0 if ttft is None else 1 << (_LANE * bucket_of(ttft)),
        0 if speed is None else 1 << (_LANE * bucket_of(speed)),
    )


def tokens_per_s(span: Span) -> float | None:
    """Return how fast an answer was made: tokens per second, after the first one where its time is known."""
    if not span.completion_tokens or not span.duration_ns or error_class(span.status):
        return None
    seconds = span.duration_ns / 1e9 - (span.ttft_ms or 0.0) / 1000
    # What came all at once was not made in the moment between its first and its last byte.
    return span.completion_tokens / seconds if seconds >= _MIN_GENERATION_S else None
