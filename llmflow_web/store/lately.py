"""What was called since a moment: by provider and model, with exact percentiles. For runs that end, not for screens.

Reads each call of the run once; what was recorded before it, in a database that is older, stays out.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil

from llmflow_web.store.marks import INFERENCE_SQL, OUR_SOURCES
from llmflow_web.store.stats import UNPRICED

MAX_FAILURES = 20
"""Failed calls told of one by one."""

_CALLS = f"""
FROM spans s WHERE s.seq > ? AND s.counts = 1
  AND (s.source IN {OUR_SOURCES} OR {INFERENCE_SQL.replace("span_type", "s.span_type")} OR s.total_tokens > 0)"""
_FAILED = "(s.status >= 400 OR s.error IS NOT NULL)"
_LINES = f"""
SELECT IFNULL(s.provider, ''), IFNULL(s.model, ''), {_FAILED}, IFNULL(s.prompt_tokens, 0),
  IFNULL(s.completion_tokens, 0),
  IFNULL(s.total_tokens, IFNULL(s.prompt_tokens, 0) + IFNULL(s.completion_tokens, 0)),
  IFNULL(s.cached_tokens, 0), s.estimated_cost, {UNPRICED}, s.is_estimated, s.duration_ns {_CALLS}"""
_FAILURES = f"""
SELECT IFNULL(s.provider, ''), IFNULL(s.model, ''), s.status, IFNULL(s.error, ''), s.trace_id
{_CALLS} AND {_FAILED} ORDER BY s.seq LIMIT {MAX_FAILURES}"""


@dataclass(slots=True)
class ModelLine:
    """The calls of one model at one provider."""

    provider: str
    model: str
    calls: int = 0
    errors: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    cached_tokens: int = 0
    cost: float = 0.0  # of the calls whose price is known
    unpriced: int = 0
    estimated: int = 0  # calls whose tokens were counted by us, since upstream did not
    durations_ms: array[float] = field(default_factory=lambda: array("d"), repr=False)

    def percentile(self, share: float) -> float | None:
        """Return the duration below which `share` of the calls stayed (nearest rank); None where none is known."""
        return percentile(self.durations_ms, share)


@dataclass(frozen=True, slots=True)
class Failure:
    """One call that failed."""

    provider: str
    model: str
    status: int | None
    error: str
    trace_id: str


@dataclass(frozen=True, slots=True)
class Lately:
    """What was called: the dearest model first, and the first failures."""

    lines: Sequence[ModelLine]
    failures: Sequence[Failure]


def percentile(values: Sequence[float], share: float) -> float | None:
    """Return the value of nearest rank."""
    if not values:
        return None
    return sorted(values)[max(0, ceil(len(values) * share) - 1)]


def last_seq(connection: sqlite3.Connection) -> int:
    """Return where the newest row stands: what comes later has a higher seq."""
    found: int = connection.execute("SELECT IFNULL(MAX(seq), 0) FROM spans").fetchone()[0]
    return found


def calls_since(connection: sqlite3.Connection, seq: int) -> Lately:
    """Sum up the calls that were recorded after `seq`."""
    lines: dict[tuple[str, str], ModelLine] = {}
    for provider, model, failed, prompt, completion, total, cached, cost, unpriced, guessed, took in connection.execute(
        _LINES, (seq,)
    ):
        line = lines.get((provider, model))
        if line is None:
            line = lines[provider, model] = ModelLine(provider, model)
        line.calls += 1
        line.errors += bool(failed)
        line.prompt_tokens += prompt
        line.completion_tokens += completion
        line.total_tokens += total
        line.cached_tokens += cached
        line.cost += cost or 0.0
        line.unpriced += bool(unpriced)
        line.estimated += bool(guessed)
        if took is not None:
            line.durations_ms.append(took / 1e6)
    failures = [Failure(*row) for row in connection.execute(_FAILURES, (seq,))]
    ordered = sorted(lines.values(), key=lambda line: (-line.cost, -line.calls, line.provider, line.model))
    return Lately(ordered, failures)
