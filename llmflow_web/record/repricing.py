"""What stored calls cost by the present prices. Pure; prices and stored bodies come in.

A bill is worked out again from its own lines, which name every quantity that was billed. Where that comes to another
figure the stored answer is looked into, for what a bill does not name: the service tier, an image's size. What a
provider reported itself, what is free, and what cannot be priced now keep their figures. The figure a call was recorded
with stays beside the new one, in cost_detail.recorded.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from llmflow_web.model import JSON, PART_ANSWER, PART_REQUEST, PART_RESPONSE, Body, Cost, Span, Usage
from llmflow_web.provider import Provider
from llmflow_web.record.billing import set_cost
from llmflow_web.store.repricing import Billed, NewBill

Bodies = Callable[[int], Mapping[int, Body]]
"""Reads the stored parts of a span, by its seq."""

_DUST = 1e-9
_FIXED = frozenset({"free", "reported"})
_INPUTS = {
    "input": "",
    "cached input": "cached_tokens",
    "cache write": "cache_write_tokens",
    "cache write 1h": "cache_write_1h_tokens",
    "audio input": "audio_input_tokens",
    "image input": "image_input_tokens",
}
_OUTPUTS = {
    "output": "",
    "reasoning": "reasoning_tokens",
    "audio output": "audio_output_tokens",
    "image output": "image_output_tokens",
}
_UNITS = {"audio": "seconds", "speech": "characters", "query": "queries", "image": "images"}
_OTHERS: Mapping[str, tuple[str, ...]] = {"web search": ("web_searches",), "request": ()}
_UNNAMED = ("service_tier", "speed", "inference_geo", "search_context_size", "image_size", "image_quality")


class Prices(Protocol):
    """What bills usage: record.pricing.PriceBook."""

    def price(
        self, provider: Provider | str | None, models: Sequence[str], usage: Usage, *, at_s: float | None = None
    ) -> Cost:
        """Return what `usage` costs."""


@dataclass(slots=True)
class ModelChange:
    """What becomes of the calls of one model. Costs are of the calls that change."""

    provider: str | None
    model: str | None
    seen: int = 0
    changed: int = 0
    newly_priced: int = 0
    unpriced_now: int = 0  # keep the figure they have, though nothing prices them any more
    old_cost: float = 0.0
    new_cost: float = 0.0


@dataclass(slots=True)
class Repriced:
    """What came of looking at some calls."""

    seen: int = 0
    bills: list[NewBill] = field(default_factory=list)
    models: dict[tuple[str | None, str | None], ModelChange] = field(default_factory=dict)

    @property
    def value(self) -> list[JSON]:
        """The changes as JSON, the largest first."""
        rows = [change for change in self.models.values() if change.changed or change.unpriced_now]
        rows.sort(key=lambda one: (-abs(one.new_cost - one.old_cost), one.provider or "", one.model or ""))
        return [{name: getattr(one, name) for name in ModelChange.__dataclass_fields__} for one in rows]


class Repricer:
    """Works bills out anew."""

    def __init__(self, prices: Prices, providers: Mapping[str, Provider], bodies: Bodies) -> None:
        """Bill by `prices`; `bodies` reads what is stored of a call."""
        self._prices = prices
        self._providers = providers
        self._bodies = bodies

    def look_at(self, calls: Sequence[Billed]) -> Repriced:
        """Return what changes for these calls."""
        found = Repriced()
        for call in calls:
            found.seen += 1
            key = (call.provider, call.model or call.request_model)
            change = found.models.setdefault(key, ModelChange(*key))
            change.seen += 1
            usage = None if is_fixed(call) else usage_of(call) or self._told(call)
            if usage is None:
                continue
            cost = self._cost(call, usage)
            if cost.total is None:
                change.unpriced_now += call.estimated_cost is not None
            elif differs(call.estimated_cost, cost.total):
                found.bills.append(_bill(call, cost, usage))
                if call.counts:  # what is told of elsewhere costs nothing here
                    change.changed += 1
                    change.newly_priced += call.estimated_cost is None
                    change.old_cost += call.estimated_cost or 0.0
                    change.new_cost += cost.total
        return found

    def _cost(self, call: Billed, usage: Usage) -> Cost:
        cost = self._priced(call, usage)
        if cost.total is None or not differs(call.estimated_cost, cost.total):
            return cost
        told = self._told(call)
        if told is None:
            return cost
        more = {name: value for name in _UNNAMED if (value := getattr(told, name)) is not None}
        return self._priced(call, replace(usage, **more)) if more else cost

    def _priced(self, call: Billed, usage: Usage) -> Cost:
        provider: Provider | str | None = self._providers.get(call.provider or "") or call.provider
        if isinstance(provider, Provider) and provider.dialect is not None:
            provider = None  # a gateway: which provider it led to is not stored, the model's name is
        models = [model for model in (call.model, call.request_model) if model]
        return self._prices.price(provider, models, usage, at_s=call.start_ns / 1e9)

    def _told(self, call: Billed) -> Usage | None:
        """Return the usage that the stored answer tells of, None when there is none."""
        provider = self._providers.get(call.provider or "")
        if provider is None or call.source not in ("proxy", "passthrough", "import"):
            return None
        bodies = self._bodies(call.seq)
        answer = _parsed(bodies.get(PART_ANSWER)) or _parsed(bodies.get(PART_RESPONSE))
        if answer is None:
            return None
        with suppress(Exception):  # strangers' bytes, perhaps of another dialect
            return provider.answer(call.operation or "", _parsed(bodies.get(PART_REQUEST)) or {}, answer).usage
        return None


def is_fixed(call: Billed) -> bool:
    """Say whether a call's cost is not ours to work out: reported, free, or set by its sender."""
    if "reported_cost" in call.detail:
        return False  # kept beside ours, which counts where we have a price
    if call.estimated_cost is not None and not call.detail:
        return True
    return call.detail.get("quality") in _FIXED


def usage_of(call: Billed) -> Usage | None:
    """Return what was billed: by the lines of the bill, else by the columns; None when neither says anything."""
    lines = call.detail.get("lines")
    usage = _usage_of_lines(lines) if isinstance(lines, list) and "reported_cost" not in call.detail else None
    if usage is not None:
        return replace(usage, is_estimated=bool(call.is_estimated))
    if call.prompt_tokens is None and call.completion_tokens is None:
        return None
    return Usage(
        prompt_tokens=call.prompt_tokens,
        completion_tokens=call.completion_tokens,
        total_tokens=call.total_tokens,
        cached_tokens=call.cached_tokens or 0,
        cache_write_tokens=call.cache_write_tokens or 0,
        reasoning_tokens=call.reasoning_tokens or 0,
        is_estimated=bool(call.is_estimated),
    )


def _usage_of_lines(lines: Sequence[Any]) -> Usage | None:
    """Put the quantities of a bill together; None when it has lines that are no quantities."""
    found: dict[str, float] = {}
    for line in lines:
        name, quantity = line.get("name"), line.get("quantity")
        members = _members_of(str(name), str(line.get("unit")))
        if members is None or not isinstance(quantity, int | float):
            return None
        for member in members:
            found[member] = found.get(member, 0) + quantity
    if not found:
        return None
    if "prompt_tokens" in found or "completion_tokens" in found:
        found.setdefault("prompt_tokens", 0)
        found.setdefault("completion_tokens", 0)
    values: dict[str, Any] = {name: value if name == "seconds" else int(value) for name, value in found.items()}
    return Usage(**values)


def _members_of(name: str, unit: str) -> tuple[str, ...] | None:
    """Return the members of a usage that a line's quantity belongs to; () where it follows from the price row."""
    if unit == "token" and name in _INPUTS:
        more = ("cache_write_tokens",) if name == "cache write 1h" else ()
        return ("prompt_tokens", *filter(None, (_INPUTS[name],)), *more)
    if unit == "token" and name in _OUTPUTS:
        return ("completion_tokens", *filter(None, (_OUTPUTS[name],)))
    if name in _UNITS:
        return (_UNITS[name],)
    return _OTHERS.get(name)


def differs(before: float | None, after: float) -> bool:
    """Say whether two costs are not the same money."""
    return before is None or abs(before - after) > _DUST


def _bill(call: Billed, cost: Cost, usage: Usage) -> NewBill:
    """Return the new bill; the figure that was recorded stays in it, through however many repricings."""
    span = Span(trace_id="", id="")
    set_cost(span, cost, usage)
    was = {
        "cost": call.estimated_cost,
        "price_key": call.price_key,
        "price_date": call.detail.get("price_date"),
        "quality": call.detail.get("quality"),
    }
    detail: JSON = dict(span.cost_detail or {})
    detail.update((name, call.detail[name]) for name in ("reported_cost", "reported") if name in call.detail)
    detail["recorded"] = call.detail.get("recorded") or was
    assert cost.total is not None  # only known costs are written
    return NewBill(call.seq, call.estimated_cost, cost.total, cost.price_key, detail)


def _parsed(body: Body | None) -> JSON | None:
    if body is None or body.is_raw:
        return None
    with suppress(ValueError, RecursionError):
        value = json.loads(body.data)
        return value if isinstance(value, dict) else None
    return None


# ── one piece of the work ────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Piece:
    """What came of one stretch of calls. `after`: the last seq looked at; `is_last`: nothing comes behind it."""

    found: Repriced
    after: int
    is_last: bool

    def told(self, changed: int | None) -> JSON:
        """Return it as JSON; `changed`: how many were written, None when nothing was to be."""
        return {
            "done": self.is_last,
            "after": self.after,
            "seen": self.found.seen,
            "changed": len(self.found.bills) if changed is None else changed,
            "models": self.found.value,
        }
