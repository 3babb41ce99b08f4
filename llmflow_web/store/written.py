"""What a batch wrote, as values: spans, the traces they are in, and stored spans that look different for it."""

from __future__ import annotations

from dataclasses import dataclass

from llmflow_web.model import JSON, Span
from llmflow_web.store.columns import row_of_span
from llmflow_web.store.marks import AWAY
from llmflow_web.store.sums import Share

Rank = tuple[bool, int, int, int]


@dataclass(slots=True)
class Trace:
    """A row of `traces` while the writer works on it, and the rank of its root."""

    first_seq: int
    trace_id: str
    arrived_ms: int
    start_ns: int
    end_ns: int
    root_seq: int
    span_count: int
    error_count: int
    tokens: int
    cost: float
    unpriced_count: int
    session_id: str | None
    call_count: int  # of its spans so many are calls we saw ourselves
    root_rank: Rank
    is_new: bool = False

    def add(self, share: Share, sign: int) -> None:
        """Add a span's share, or with sign -1 take it back."""
        self.span_count += sign
        self.error_count += sign * share.is_error
        self.tokens += sign * share.tokens
        self.cost += sign * share.cost
        self.unpriced_count += sign * share.unpriced

    @property
    def shown(self) -> tuple[int, int, float, int, int]:
        """What a list element tells of the trace."""
        return self.span_count, self.error_count, self.cost, self.tokens, self.unpriced_count


@dataclass(slots=True)  # not frozen: freezing makes each of them three times as dear
class Written:
    """A span as it went in."""

    span: Span
    seq: int
    change: int | None  # None: new
    has: int
    trace: Trace
    marks: int
    is_moved: bool = False  # it hung elsewhere before, or had usage that it has no more

    def list_row(self) -> JSON:
        """Return the list element a query would give."""
        return row_of_span(
            self.span,
            seq=self.seq,
            change=self.change,
            is_root=self.trace.root_seq == self.seq and not self.marks & AWAY,
            has=self.has,
            trace=self.trace.shown,
        )


@dataclass(slots=True)
class Changed:
    """A stored span that is shown differently since the batch: joined, or no longer counted."""

    seq: int
    change: int
    row: JSON

    def list_row(self) -> JSON:
        """Return the list element a query would give."""
        return self.row
