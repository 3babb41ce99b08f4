"""Received spans are billed by our prices; what the sender counted stays beside it, and counts where we have none."""

import json
from pathlib import Path

from semconv_help import span_of

from llmflow_web.record.exchange import RowMaker
from llmflow_web.record.price_table import table_from
from llmflow_web.record.pricing import PriceBook
from llmflow_web.record.semconv import row_from_otlp
from llmflow_web.registry import PROVIDERS

PRICES = json.loads((Path(__file__).parent.parent / "fixtures" / "prices.json").read_text())
MAKE = RowMaker(
    {provider.name: provider for provider in PROVIDERS},
    PriceBook(load=lambda: table_from(PRICES, date="2026-10-21", source="test")),
)


def billed(**attributes):
    told = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", **attributes}
    (row,) = MAKE([row_from_otlp(span_of({"attributes": told}))])
    return row.span


TOKENS = {"gen_ai.usage.input_tokens": 1000, "gen_ai.usage.output_tokens": 100}
KNOWN = {"gen_ai.request.model": "gpt-4o-mini", **TOKENS}


def test_our_price():
    """Tokens of a known model are priced, the answering model first."""
    found = billed(**KNOWN)
    assert (found.estimated_cost, found.cost_detail["quality"]) == (0.00021, "exact")
    assert "reported_cost" not in found.cost_detail


def test_cached_tokens_are_cheaper():
    """The classes of tokens are billed one by one."""
    found = billed(**KNOWN, **{"gen_ai.usage.cache_read.input_tokens": 1000})
    assert found.estimated_cost == 0.000135


def test_reported_beside_ours():
    """A reported cost is kept beside ours, and a difference is said."""
    found = billed(**KNOWN, **{"operation.cost": 0.5})
    assert (found.estimated_cost, found.cost_detail["reported_cost"]) == (0.00021, 0.5)
    assert found.notes == ["the sender counted $0.5"]
    assert billed(**KNOWN, **{"operation.cost": 0.00021}).notes == []


def test_reported_where_we_have_none():
    """The sender's figure counts for a model we have no price of, tokens or not."""
    found = billed(**{"gen_ai.request.model": "nobody-knows", **TOKENS, "gen_ai.usage.cost": 0.25})
    assert (found.estimated_cost, found.cost_detail["quality"], found.cost_detail["reported_cost"]) == (
        0.25, "reported", 0.25,
    )  # fmt: skip
    assert billed(cost_usd=0.5).estimated_cost == 0.5


def test_no_price():
    """Without a price and without a figure a cost is unknown, not nothing."""
    assert billed(**{"gen_ai.request.model": "nobody-knows", **TOKENS}).estimated_cost is None
    assert billed().estimated_cost is None


def test_tier_is_billed():
    """What the columns of a row cannot hold is billed all the same: here the tier that served the call."""
    assert billed(**KNOWN, **{"openai.response.service_tier": "priority"}).estimated_cost == 0.00035
