"""Whether a span counts, as bits of one column: what its sender says, what it is joined to, what is known below it.

`counts` follows from the bits, in the table (a virtual column) and here.
"""

from __future__ import annotations

from llmflow_web.model import Span
from llmflow_web.store.sums import total_tokens

OWN = 1  # its sender says that it does not count
JOINED = 2  # another row counts for this call
BELOW = 4  # usage is known below it
USAGE = 8  # it tells of usage itself
OURS = 16  # we saw the call ourselves: it repeats nobody
AWAY = 32  # joined to a row of another trace, which lists show instead
TOLD = 64  # made of log records, and an app's own span in another trace tells the same
INHERITED = 128  # its session is that of what is joined to it
STANDS = 256  # stands in its trace's sums for the call of another trace that it is joined to

OUR_SOURCES = ("proxy", "passthrough")
INFERENCE = ("llm", "embedding", "rerank")
"""The types of spans that stand for one call of a model."""

COUNTS_SQL = f"((marks & {OWN | JOINED}) = 0 AND (marks & {BELOW | USAGE | OURS}) <> {BELOW | USAGE})"
AGENT_TOOLS = ("claude-code", "codex-cli", "gemini-cli", "copilot")
"""The tools whose log records become spans."""
GIVING_WAY = ("claude-code", "gemini-cli", "copilot")
"""Those whose own spans tell all that their log records do; the spans of Codex CLI are of its inner workings."""

INFERENCE_SQL = f"span_type IN {INFERENCE}"
REPEATED_SQL = f"((marks & {BELOW}) <> 0 OR (marks & {USAGE | OWN}) = {USAGE})"
"""Whether a span, or what is below it, has usage that its parents may repeat."""


def marks_of(span: Span) -> int:
    """Return the bits a span has by itself."""
    marks = 0 if span.counts else OWN
    if span.estimated_cost or total_tokens(span):
        marks |= USAGE
    if (span.first_source or span.source) in OUR_SOURCES:
        marks |= OURS
    return marks


def counts(marks: int) -> bool:
    """Say whether a span adds to the sums."""
    return not marks & (OWN | JOINED) and marks & (BELOW | USAGE | OURS) != BELOW | USAGE


def counts_in_trace(marks: int) -> bool:
    """Say whether a span adds to the sums of its trace."""
    return counts(marks & ~JOINED if marks & STANDS else marks)


def has_repeated(marks: int) -> bool:
    """Say whether a span, or what is below it, has usage that its parents may repeat."""
    return bool(marks & BELOW) or marks & (USAGE | OWN) == USAGE
