"""The named limits of the store, as one value. Defaults are DECISIONS' figures."""

from __future__ import annotations

from dataclasses import dataclass

MAX_LIST_ROWS = 1000
BUSY_MS = 5000  # how long a statement waits for a lock another process holds
MAX_SORTED_ROWS = 10_000
"""Sorting by anything but time works within this many newest matches."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the store keeps, and in what bites it works."""

    max_spans: int = 100_000
    max_age_s: float | None = None
    max_bytes: int = 2 * 1024**3
    max_logs: int = 100_000
    max_metrics: int = 1_000_000
    spare_s: float = 60.0  # a trace that arrived less than this ago is never pruned
    batch_rows: int = 200
    batch_s: float = 0.05
    index_every_s: float = 5.0  # the search index is fed at least this often, also under load
    prune_rows: int = 200  # spans deleted in one transaction
