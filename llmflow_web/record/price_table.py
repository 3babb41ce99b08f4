"""The price table as a value: rows in LiteLLM's field names, by lower-case key. Parses; does no I/O of its own.

A row keeps `p` (litellm_provider) and `m` (mode) beside its prices. A price of 0 means free, a missing one unknown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PriceRow = Mapping[str, Any]

MIN_PRICED_ROWS = 1000
"""A fetched table with fewer priced models than this is taken for an error page or a mistake."""

SNAPSHOT_KEY = "_snapshot"
"""The member of our own files that says where the prices come from: {"date", "source", "etag"?, "checked"?}."""

_NOT_MODELS = frozenset({SNAPSHOT_KEY, "sample_spec"})
_NAMED = frozenset(
    {
        "max_input_tokens", "max_output_tokens", "tiered_pricing", "off_peak_pricing", "provider_specific_entry",
        "search_context_cost_per_query", "regional_endpoint_uplift_multiplier", "deprecation_date",
        "supports_sampling_params", "supports_adaptive_thinking", "supports_native_structured_output",
        "supports_forced_tool_use",
    }
)  # fmt: skip
_MULTIPLIER = re.compile(r"regional_processing_uplift_multiplier_\w+")


@dataclass(frozen=True, slots=True)
class PriceTable:
    """Prices of one day. `rows`: lower-case key → (key as written, row)."""

    rows: Mapping[str, tuple[str, PriceRow]]
    date: str  # ISO date the prices are of
    source: str  # "bundled", or the URL they were fetched from

    def __repr__(self) -> str:
        return f"<PriceTable {len(self.rows)} models of {self.date} from {self.source}>"


EMPTY_TABLE = PriceTable(rows={}, date="", source="none")


def compact_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Keep of a LiteLLM row what pricing needs; rows that are compact already come out equal."""
    kept: dict[str, Any] = {
        "p": row.get("litellm_provider") or row.get("p") or "",
        "m": row.get("mode") or row.get("m") or "",
    }
    kept |= {name: value for name, value in row.items() if value is not None and _is_kept(name, value)}
    sizes = kept.get("search_context_cost_per_query")
    if isinstance(sizes, dict) and len(set(sizes.values())) == 1:
        kept["search_context_cost_per_query"] = next(iter(sizes.values()))
    return kept


def _is_kept(name: str, value: object) -> bool:
    if "cost" in name and isinstance(value, (int, float)) and not isinstance(value, bool):
        return value >= 0
    return name in _NAMED or _MULTIPLIER.fullmatch(name) is not None


def compact_models(table: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the models of a LiteLLM file, compacted, without its sample and whatever is no row."""
    return {
        key: compact_row(row) for key, row in table.items() if key not in _NOT_MODELS and isinstance(row, dict) and key
    }


def parse_table(data: bytes) -> dict[str, Any]:
    """Read a price file, gzipped or not. Raises ValueError when it is no JSON object."""
    if data[:2] == b"\x1f\x8b":
        import gzip

        data = gzip.decompress(data)
    value = json.loads(data)
    if not isinstance(value, dict):
        raise ValueError("a price table is a JSON object")  # noqa: TRY004 - bad bytes, not a bad argument
    return value


def table_from(value: Mapping[str, Any], *, date: str | None = None, source: str = "bundled") -> PriceTable:
    """Build the table from a parsed file, ours or LiteLLM's; `date` wins over the file's own."""
    about = value.get(SNAPSHOT_KEY)
    own = about.get("date") if isinstance(about, dict) else None
    rows = {key.lower(): (key, row) for key, row in compact_models(value).items()}
    return PriceTable(rows=rows, date=date or (own if isinstance(own, str) else ""), source=source)


def priced_count(models: Mapping[str, Mapping[str, Any]]) -> int:
    """Count the rows that price anything at all."""
    return sum(any("cost" in name or name == "tiered_pricing" for name in row) for row in models.values())
