"""The bill of one call: usage × rates, as lines that sum to the total.

What the table cannot price stays unknown (no lines); nothing is invented. Pure; the clock comes in as `at_s`.
"""

from __future__ import annotations

from dataclasses import dataclass

from llmflow_web.model import CostLine, Usage
from llmflow_web.record.price_rates import Rates, Tariff, tier_suffix

ANTHROPIC_WEB_SEARCH_USD = 0.01  # per request; most of its rows do not name it
_DECIMALS = 12  # below a millionth of the cheapest token


@dataclass(frozen=True, slots=True)
class Bill:
    """Lines that sum to the cost; None = the row does not price what was used."""

    lines: tuple[CostLine, ...] | None
    is_estimated: bool = False


_UNKNOWN = Bill(None)


def line(name: str, quantity: float, unit: str, price: float) -> CostLine:
    """Make a line, its amount rounded clear of float dust."""
    return CostLine(name, quantity, unit, price, round(quantity * price, _DECIMALS))


def total_of(lines: tuple[CostLine, ...]) -> float:
    """Sum the lines."""
    return round(sum(one.amount for one in lines), _DECIMALS)


def has_tokens(usage: Usage) -> bool:
    """Say whether tokens of any side are known."""
    return usage.prompt_tokens is not None or usage.completion_tokens is not None


def bill_for(tariff: Tariff, usage: Usage, at_s: float) -> Bill:
    """Bill `usage` by `tariff`: by tokens where they are known and priced, else by the unit of the row's mode."""
    lines: list[CostLine] | None = None
    is_estimated = usage.is_estimated
    if has_tokens(usage):
        rates = tariff.rates(tier_suffix(usage.service_tier), usage.prompt_tokens or 0, at_s)
        lines = _token_lines(usage, rates, tariff.multiplier(usage.inference_geo, usage.speed))
        is_estimated |= usage.prompt_tokens is None or (usage.completion_tokens is None and rates.output != 0)
        # Fireworks discounts cached tokens by a share its row does not name.
        is_estimated |= usage.cached_tokens > 0 and not rates.has_cached and tariff.row["p"].startswith("fireworks")
    if lines is None:
        unit = _unit_line(tariff, usage)
        lines = None if unit is None else [unit]
    if lines is None:
        return _UNKNOWN
    if usage.web_searches:
        is_estimated |= not _add_searches(lines, tariff, usage)
    per_request = tariff.number("input_cost_per_request")
    if per_request:
        lines.append(line("request", 1, "request", per_request))
    return Bill(tuple(lines), is_estimated)


def _token_lines(usage: Usage, rates: Rates, factor: float) -> list[CostLine] | None:
    """Return the lines of all token kinds; None when one that was used has no rate."""
    lines: list[CostLine] = []
    for name, tokens, rate in (*_input(usage, rates), *_output(usage, rates)):
        if tokens <= 0:
            continue
        if rate is None:
            return None
        lines.append(line(name, tokens, "token", rate * factor if factor != 1.0 else rate))
    is_priced = rates.input is not None or rates.output is not None
    return lines if is_priced else None


_Part = tuple[str, int, float | None]


def _input(usage: Usage, rates: Rates) -> list[_Part]:
    """Split the prompt: cached and written tokens first, then the modalities within what is left, the rest is text."""
    if usage.billed_prompt_tokens is not None:
        return [("input", usage.billed_prompt_tokens, rates.input)]
    rest = usage.prompt_tokens or 0
    if not (usage.cached_tokens or usage.cache_write_tokens or usage.audio_input_tokens or usage.image_input_tokens):
        return [("input", rest, rates.input)]
    cached = min(usage.cached_tokens, rest)
    rest -= cached
    written = min(usage.cache_write_tokens, rest)
    rest -= written
    long = min(usage.cache_write_1h_tokens, written)
    audio = min(usage.audio_input_tokens, rest)
    rest -= audio
    image = min(usage.image_input_tokens, rest)
    return [
        ("input", rest - image, rates.input),
        ("cached input", cached, rates.cached),
        ("cache write", written - long, rates.cache_write),
        ("cache write 1h", long, rates.cache_write_1h),
        ("audio input", audio, rates.audio_input),
        ("image input", image, rates.image_input),
    ]


def _output(usage: Usage, rates: Rates) -> list[_Part]:
    if usage.billed_completion_tokens is not None:
        return [("output", usage.billed_completion_tokens, rates.output)]
    rest = usage.completion_tokens or 0
    if not (usage.reasoning_tokens or usage.audio_output_tokens or usage.image_output_tokens):
        return [("output", rest, rates.output)]
    reasoning = min(usage.reasoning_tokens, rest)
    rest -= reasoning
    audio = min(usage.audio_output_tokens, rest)
    rest -= audio
    image = min(usage.image_output_tokens, rest)
    return [
        ("output", rest - image, rates.output),
        ("reasoning", reasoning, rates.reasoning),
        ("audio output", audio, rates.audio_output),
        ("image output", image, rates.image_output),
    ]


def _unit_line(tariff: Tariff, usage: Usage) -> CostLine | None:
    """Bill by seconds, characters, queries or images, whichever is known and priced."""
    if usage.seconds is not None:
        # whisper-1 names the same money on both sides: one of them is billed.
        price = tariff.number("output_cost_per_second") or tariff.number("input_cost_per_second")
        if price is not None:
            return line("audio", usage.seconds, "second", price)
    if usage.characters is not None:
        price = tariff.number("input_cost_per_character")
        if price is not None:
            return line("speech", usage.characters, "character", price)
    if usage.queries is not None:
        price = tariff.number("input_cost_per_query")
        if price is not None:
            return line("query", usage.queries, "query", price)
    return _image_line(tariff, usage) if usage.images is not None else None


def _image_line(tariff: Tariff, usage: Usage) -> CostLine | None:
    images = usage.images or 0
    named = tariff.number(f"output_cost_per_image_{usage.image_size}") if usage.image_size else None
    price = named or tariff.number("output_cost_per_image") or tariff.number("input_cost_per_image")
    if price is not None:
        return line("image", images, "image", price)
    per_pixel = tariff.number("output_cost_per_pixel") or tariff.number("input_cost_per_pixel")
    pixels = pixels_of(usage.image_size or tariff.key)
    if per_pixel is None or pixels is None:
        return None
    return line("image", images, "image", round(per_pixel * pixels, 6))


def pixels_of(text: str) -> int | None:
    """Return the pixels of "1024x1536", or of a price key that holds "1024-x-1536"."""
    for word in text.replace("-x-", "x").split("/"):
        width, cross, height = word.partition("x")
        if cross and width.isdecimal() and height.isdecimal():
            return int(width) * int(height)
    return None


def _add_searches(lines: list[CostLine], tariff: Tariff, usage: Usage) -> bool:
    """Add the fee of web searches; False when the row does not name it."""
    price = _search_price(tariff, usage.search_context_size)
    if price is None:
        return False
    lines.append(line("web search", usage.web_searches, "request", price))
    return True


def _search_price(tariff: Tariff, size: str | None) -> float | None:
    fees = tariff.row.get("search_context_cost_per_query")
    if isinstance(fees, dict):
        fees = fees.get(f"search_context_size_{size or 'medium'}")
    if isinstance(fees, (int, float)):
        return float(fees)
    return ANTHROPIC_WEB_SEARCH_USD if tariff.row["p"] == "anthropic" else None
