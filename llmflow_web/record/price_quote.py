"""What a model costs, for people: its price row as classes with units. Pure; the bill itself is price_bill's."""

from __future__ import annotations

from collections.abc import Iterator

from llmflow_web.model import JSON
from llmflow_web.record.price_rates import Rates, Tariff

_PER_UNIT = (
    ("input_cost_per_second", "input", "second"),
    ("output_cost_per_second", "output", "second"),
    ("input_cost_per_character", "input", "character"),
    ("output_cost_per_character", "output", "character"),
    ("input_cost_per_image", "input", "image"),
    ("output_cost_per_image", "output", "image"),
    ("input_cost_per_query", "input", "query"),
)


def quote(provider: str | None, model: str, tariff: Tariff | None, at_s: float) -> JSON:
    """Return a model's prices at a time (epoch seconds, for off-peak hours); without a tariff there are none."""
    answer: JSON = {"model": model, "provider": provider}
    if tariff is None:
        return answer | {"price_key": None, "quality": "none", "prices": []}
    row = tariff.row
    long = [
        {"above_tokens": limit, "prices": list(_token_prices(tariff.rates("", limit + 1, at_s)))}
        for limit in sorted(tariff.thresholds)
    ]
    return answer | {
        "price_key": tariff.key,
        "quality": tariff.quality,
        "mode": row.get("m") or None,
        "context_window": row.get("max_input_tokens"),
        "max_output_tokens": row.get("max_output_tokens"),
        "deprecation_date": row.get("deprecation_date"),
        "prices": [*_token_prices(tariff.rates("", 0, at_s)), *_unit_prices(tariff)],
        "long_context": long,
    }


def _token_prices(rates: Rates) -> Iterator[JSON]:
    """Yield the classes that have a price of their own."""
    classes = (
        ("input", rates.input, None),
        ("cached_input", rates.cached if rates.has_cached else None, None),
        ("cache_write", rates.cache_write, rates.input),
        ("cache_write_1h", rates.cache_write_1h, rates.cache_write),
        ("audio_input", rates.audio_input, rates.input),
        ("image_input", rates.image_input, rates.input),
        ("output", rates.output, None),
        ("reasoning", rates.reasoning, rates.output),
        ("audio_output", rates.audio_output, rates.output),
        ("image_output", rates.image_output, rates.output),
    )
    for name, price, plain in classes:
        if price is not None and price != plain:
            yield {"class": name, "price": price, "unit": "token", "per_million": round(price * 1e6, 9)}


def _unit_prices(tariff: Tariff) -> Iterator[JSON]:
    for column, name, unit in _PER_UNIT:
        price = tariff.number(column)
        if price:
            yield {"class": name, "price": price, "unit": unit, "per_million": None}
