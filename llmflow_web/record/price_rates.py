"""The rates of one price row for one call: service tier, long prompts, ranges and off-peak hours resolved.

Names of fields are LiteLLM's. A rate that is missing falls back as the field's own meaning allows, else stays None.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from llmflow_web.record.price_table import PriceRow

_THRESHOLD = re.compile(r"_above_(\d+)k_tokens")
_TIERS = {
    "priority": "_priority",
    "fast": "_priority",  # OpenAI's newer word for it
    "flex": "_flex",
    "batch": "_batches",
    "batches": "_batches",
    "balanced": "_balanced",
    "ultrafast": "_ultrafast",
    "decisions": "_decisions",
}
MAX_KEPT_RATES = 64


def tier_suffix(service_tier: str | None) -> str:
    """Return the suffix of a service tier's rates; default, standard, scale and unknown words are the base."""
    return _TIERS.get(service_tier.lower(), "") if service_tier else ""


@dataclass(frozen=True, slots=True)
class Rates:
    """USD per token of each kind; None = the row does not say."""

    input: float | None
    cached: float | None
    cache_write: float | None
    cache_write_1h: float | None
    audio_input: float | None
    image_input: float | None
    output: float | None
    reasoning: float | None
    audio_output: float | None
    image_output: float | None
    has_cached: bool  # the row names a rate for cached tokens of its own


class Tariff:
    """One price row, made ready: resolves rates once per tier and range and remembers them."""

    def __init__(self, key: str, row: PriceRow, quality: str) -> None:
        self.key = key
        self.row = row
        self.quality = quality
        found = {int(number) for name in row for number in _THRESHOLD.findall(name)}
        self._thresholds = tuple(sorted((number * 1000 for number in found), reverse=True))
        # xAI's long-context price begins at the threshold itself, everyone else's above it.
        self._is_inclusive = row["p"] == "xai"
        self._ranges = [one for one in row.get("tiered_pricing") or () if _is_range(one.get("range"))]
        self._off_peak: Mapping[str, Any] | None = row.get("off_peak_pricing")
        self._rates: dict[tuple[str, int, int, bool], Rates] = {}

    def __repr__(self) -> str:
        return f"<Tariff {self.key} ({self.quality})>"

    @property
    def thresholds(self) -> tuple[int, ...]:
        """The prompt tokens above which other prices hold, the highest first."""
        return self._thresholds

    def rates(self, tier: str, prompt_tokens: int, at_s: float) -> Rates:
        """Return the rates of a call of `prompt_tokens` in tier suffix `tier` at the time `at_s` (epoch seconds)."""
        above = self._threshold(prompt_tokens) if self._thresholds else 0
        place = self._range(prompt_tokens) if self._ranges else -1
        is_off_peak = self._off_peak is not None and is_in_windows(self._off_peak.get("windows"), at_s)
        known = (tier, above, place, is_off_peak)
        rates = self._rates.get(known)
        if rates is None:
            if len(self._rates) >= MAX_KEPT_RATES:
                self._rates.clear()
            rates = self._rates[known] = self._resolve(tier, above, place, is_off_peak=is_off_peak)
        return rates

    def number(self, name: str) -> float | None:
        """Return a plain numeric field of the row."""
        return _number(self.row.get(name))

    def multiplier(self, geo: str | None, speed: str | None) -> float:
        """Return what all token rates are multiplied by for a region and a speed."""
        factor = 1.0
        special = self.row.get("provider_specific_entry")
        for word in (geo, speed):
            if word and isinstance(special, dict):
                factor *= _number(special.get(word.lower())) or 1.0
        if geo:
            factor *= self.number(f"regional_processing_uplift_multiplier_{geo.lower()}") or 1.0
        return factor

    def _threshold(self, prompt_tokens: int) -> int:
        for limit in self._thresholds:
            if prompt_tokens > limit or (self._is_inclusive and prompt_tokens == limit):
                return limit
        return 0

    def _range(self, prompt_tokens: int) -> int:
        """Return the index of the range that holds `prompt_tokens`: above its low end, up to its high one."""
        for index, one in enumerate(self._ranges):
            if prompt_tokens <= one["range"][1]:
                return index
        return len(self._ranges) - 1

    def _resolve(self, tier: str, above: int, place: int, *, is_off_peak: bool) -> Rates:
        row = dict(self.row)
        if place >= 0:
            row.update(self._ranges[place])
        if is_off_peak and self._off_peak is not None:
            row.update(self._off_peak)
        suffixes = self._suffixes(tier, above)

        def rate(*names: str) -> float | None:
            for name in names:
                for suffix in suffixes:
                    value = _number(row.get(name + suffix))
                    if value is not None:
                        return value
            return None

        cached = rate("cache_read_input_token_cost", "input_cost_per_token_cache_hit")
        write = rate("cache_creation_input_token_cost", "input_cost_per_token")
        output = rate("output_cost_per_token")
        return Rates(
            input=rate("input_cost_per_token"),
            cached=cached if cached is not None else rate("input_cost_per_token"),
            cache_write=write,
            cache_write_1h=_first(rate("cache_creation_input_token_cost_above_1hr"), write),
            audio_input=rate("input_cost_per_audio_token", "input_cost_per_token"),
            image_input=rate("input_cost_per_image_token", "input_cost_per_token"),
            output=output,
            reasoning=_first(rate("output_cost_per_reasoning_token"), output),
            audio_output=_first(rate("output_cost_per_audio_token"), output),
            image_output=_first(rate("output_cost_per_image_token"), output),
            has_cached=cached is not None,
        )

    def _suffixes(self, tier: str, above: int) -> tuple[str, ...]:
        """List suffixes from the most to the least specific; a missing tier falls back to the base rate."""
        found: list[str] = []
        for limit in self._thresholds:
            if limit <= above:
                long = f"_above_{limit // 1000}k_tokens"
                found += [long + tier, long] if tier else [long]
        return (*found, tier, "") if tier else (*found, "")


def is_in_windows(windows: object, at_s: float) -> bool:
    """Say whether a time lies in one of the off-peak windows (UTC; weekday 1 = Monday; "00:00-00:00" = all day)."""
    if not isinstance(windows, list):
        return False
    at = datetime.fromtimestamp(at_s, UTC)
    minute = at.hour * 60 + at.minute
    return any(isinstance(window, dict) and _is_in_window(window, at.isoweekday(), minute) for window in windows)


def _is_in_window(window: Mapping[str, Any], weekday: int, minute: int) -> bool:
    days = window.get("weekdays")
    if isinstance(days, list) and weekday not in days:
        return False
    hours = window.get("hours_utc")
    spans = hours if isinstance(hours, list) else [hours]
    return any(isinstance(span, str) and _is_in_hours(span, minute) for span in spans)


def _is_in_hours(span: str, minute: int) -> bool:
    begin, _, end = span.partition("-")
    try:
        first, last = _minutes(begin), _minutes(end)
    except ValueError:
        return False
    if last <= first:  # over midnight; equal ends are the whole day
        return minute >= first or minute < last
    return first <= minute < last


def _minutes(text: str) -> int:
    hours, _, minutes = text.partition(":")
    return int(hours) * 60 + int(minutes)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _first(value: float | None, other: float | None) -> float | None:
    return other if value is None else value


def _is_range(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(_number(end) is not None for end in value)
