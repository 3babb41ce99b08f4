"""What a bill leaves on a row. Pure; the prices come in.

A span sent to us may say itself what it cost. Our own figure counts, so that all rows are priced alike; theirs is kept
beside it, and counts where we have no price.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from llmflow_web.model import Cost, Span, Usage
from llmflow_web.provider import Provider
from llmflow_web.record.price_bill import has_tokens

_DIFFERS = 0.02  # a reported cost this far from ours is worth a sentence


class Prices(Protocol):
    """What bills usage: record.pricing.PriceBook."""

    def price(
        self, provider: Provider | str | None, models: Sequence[str], usage: Usage, *, free: bool = False
    ) -> Cost:
        """Return what `usage` costs."""


def set_cost(span: Span, cost: Cost, usage: Usage) -> None:
    """Write a bill into a row."""
    span.estimated_cost = cost.total
    span.price_key = cost.price_key
    if cost.total is None and not cost.lines:
        return
    span.cost_detail = {
        "lines": [
            {
                "name": line.name,
                "quantity": line.quantity,
                "unit": line.unit,
                "price": line.price,
                "amount": line.amount,
            }
            for line in cost.lines
        ],
        "quality": cost.quality,
        "price_date": cost.price_date,
    }
    if usage.reported_cost is not None:
        span.cost_detail["reported"] = usage.reported_cost


def bill_foreign(span: Span, usage: Usage | None, prices: Prices, providers: Mapping[str, Provider]) -> None:
    """Price a span sent to us that brings tokens or a cost of its own; one whose cost is set stays as it is."""
    if span.estimated_cost is not None:
        return
    usage = usage or _usage_of(span)
    models = [model for model in (span.model, span.request_model) if model]
    reported = None if usage is None else usage.reported_cost
    if usage is None or not ((models and has_tokens(usage)) or reported is not None):
        return
    provider = providers.get(span.provider or "") or span.provider
    counted = usage if reported is None else replace(usage, reported_cost=None)
    ours = prices.price(provider, models, counted)
    if reported is None:
        set_cost(span, ours, usage)
        return
    set_cost(span, prices.price(provider, models, usage) if ours.total is None else ours, counted)
    span.cost_detail = {**(span.cost_detail or {}), "reported_cost": reported}
    if ours.total is not None and abs(ours.total - reported) > _DIFFERS * max(ours.total, reported):
        span.notes.append(f"the sender counted ${reported:.6g}")


def _usage_of(span: Span) -> Usage | None:
    """Return what the columns of a row say, None when they say nothing."""
    if span.prompt_tokens is None and span.completion_tokens is None:
        return None
    return Usage(
        prompt_tokens=span.prompt_tokens,
        completion_tokens=span.completion_tokens,
        total_tokens=span.total_tokens,
        cached_tokens=span.cached_tokens or 0,
        cache_write_tokens=span.cache_write_tokens or 0,
        reasoning_tokens=span.reasoning_tokens or 0,
        is_estimated=span.is_estimated,
    )
