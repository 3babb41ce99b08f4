"""A bill worked out again: from its lines, and from the stored answer for what they do not name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmflow_web.model import PART_REQUEST, PART_RESPONSE, Body, Cost, Usage
from llmflow_web.record.pricing import PriceBook
from llmflow_web.record.repricing import Repricer, is_fixed, usage_of
from llmflow_web.registry import PROVIDERS
from llmflow_web.store.repricing import Billed

ROWS = {row.name: row for row in PROVIDERS}
BOOK = PriceBook()


def billed(usage: Usage, *, model: str = "gpt-4o", provider: str = "openai", **more: Any) -> Billed:
    """Return a call as it is stored once it was billed by the present prices."""
    cost = BOOK.price(ROWS[provider], [model], usage)
    told = {
        "seq": 1, "provider": provider, "model": model, "request_model": None, "source": "proxy", "operation": "chat",
        "start_ns": 0, "prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens,
        "total_tokens": None, "cached_tokens": usage.cached_tokens, "cache_write_tokens": usage.cache_write_tokens,
        "reasoning_tokens": usage.reasoning_tokens, "is_estimated": 0, "estimated_cost": cost.total,
        "price_key": cost.price_key, "detail": detail_of(cost), "counts": 1,
    }  # fmt: skip
    return Billed(**(told | more))


def detail_of(cost: Cost) -> dict[str, Any]:
    names = ("name", "quantity", "unit", "price", "amount")
    lines = [{name: getattr(line, name) for name in names} for line in cost.lines]
    return {"lines": lines, "quality": cost.quality, "price_date": cost.price_date}


USAGES = [
    Usage(prompt_tokens=1000, completion_tokens=50),
    Usage(prompt_tokens=1000, completion_tokens=50, cached_tokens=900, reasoning_tokens=40),
    Usage(prompt_tokens=0, completion_tokens=5),
    Usage(prompt_tokens=10, completion_tokens=5, billed_prompt_tokens=3, billed_completion_tokens=2),
    Usage(prompt_tokens=1000, completion_tokens=9, cache_write_tokens=600, cache_write_1h_tokens=200, web_searches=2),
]


@pytest.mark.parametrize("usage", USAGES)
@pytest.mark.parametrize(("provider", "model"), [("openai", "gpt-4o"), ("anthropic", "claude-sonnet-4-5")])
def test_by_the_same_prices_nothing_changes(usage: Usage, provider: str, model: str) -> None:
    """Whatever was billed comes to the same again from the lines of its bill."""
    call = billed(usage, provider=provider, model=model)
    found = Repricer(BOOK, ROWS, lambda _: {}).look_at([call])
    assert (found.seen, found.bills, found.value) == (1, [], [])


def test_the_service_tier_is_found_in_the_answer() -> None:
    """A call of a cheaper tier is not taken for one of the ordinary price."""
    usage = Usage(prompt_tokens=1000, completion_tokens=100, service_tier="flex")
    call = billed(usage, model="gpt-5-mini")
    plain = BOOK.price(ROWS["openai"], ["gpt-5-mini"], Usage(prompt_tokens=1000, completion_tokens=100))
    assert call.estimated_cost != plain.total
    answer = {
        "model": "gpt-5-mini",
        "service_tier": "flex",
        "choices": [],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 100},
    }
    data = json.dumps(answer).encode()
    bodies = {PART_RESPONSE: Body(PART_RESPONSE, data, len(data)), PART_REQUEST: Body(PART_REQUEST, b"{}", 2)}
    assert Repricer(BOOK, ROWS, lambda _: bodies).look_at([call]).bills == []
    assert len(Repricer(BOOK, ROWS, lambda _: {}).look_at([call]).bills) == 1


@pytest.mark.parametrize(
    ("cost", "detail", "is_kept"),
    [
        (0.5, {}, True),
        (0.0, {"lines": [], "quality": "free"}, True),
        (0.5, {"lines": [{"name": "reported", "quantity": 1, "unit": "request"}], "quality": "reported"}, True),
        (0.5, {"lines": [], "quality": "reported", "reported_cost": 0.5}, False),
        (None, {}, False),
    ],
)
def test_what_others_said_stays(cost: float | None, detail: dict[str, Any], is_kept: bool) -> None:
    """A sender's own figure, a provider's, and what is free are not ours to change."""
    call = billed(Usage(prompt_tokens=1, completion_tokens=1), estimated_cost=cost, detail=detail)
    assert is_fixed(call) is is_kept


def test_a_model_without_a_price_keeps_what_it_cost() -> None:
    """When nothing prices a call any more, its figure stays, and that is told."""
    call = billed(Usage(prompt_tokens=10, completion_tokens=1), model="gpt-4o")
    gone = Billed(**{name: getattr(call, name) for name in Billed.__slots__} | {"model": "no-such-model"})
    found = Repricer(BOOK, ROWS, lambda _: {}).look_at([gone])
    assert found.bills == []
    assert found.value[0]["unpriced_now"] == 1


def test_the_first_figure_is_kept_for_ever() -> None:
    """However often a call is repriced, what it was recorded with stays."""
    detail = detail_of(BOOK.price(ROWS["openai"], ["gpt-4o"], Usage(prompt_tokens=10, completion_tokens=1)))
    call = billed(
        Usage(prompt_tokens=10, completion_tokens=1), estimated_cost=9.0, detail=detail | {"recorded": {"cost": 1.0}}
    )
    (bill,) = Repricer(BOOK, ROWS, lambda _: {}).look_at([call]).bills
    assert bill.detail["recorded"] == {"cost": 1.0}
    assert bill.before == 9.0


def test_units_are_read_from_lines() -> None:
    """Seconds, characters and images are what the lines say; lines that are no quantities are not guessed at."""
    line = {"name": "audio", "quantity": 12.5, "unit": "second"}
    call = billed(
        Usage(prompt_tokens=1, completion_tokens=1),
        detail={"lines": [line]},
        prompt_tokens=None,
        completion_tokens=None,
    )
    usage = usage_of(call)
    assert usage is not None
    assert usage.seconds == 12.5
    odd = billed(Usage(prompt_tokens=1, completion_tokens=1), detail={"lines": [{"name": "?", "quantity": 1}]}, prompt_tokens=None, completion_tokens=None)  # fmt: skip
    assert usage_of(odd) is None
