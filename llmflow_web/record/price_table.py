"""The price table as a value: rows in LiteLLM's field names, by lower-case key. Parses; does no I/O of its own.

A row keeps `p` (litellm_provider) and `m` (mode) beside its prices. A price of 0 means free, a missing one unknown.
Our own files are JSON with one model a line, and rows stay text until they are asked for: of 4000 models a program
uses three, and parsing all would hold everything else up for 30 ms and cost 3 MB.
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
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_MULTIPLIER = re.compile(r"regional_processing_uplift_multiplier_\w+")


@dataclass(frozen=True, slots=True)
class PriceTable:
    """Prices of one day. `rows`: lower-case key → the member `"Key":{…}` of a JSON object."""

    rows: Mapping[str, bytes]
    date: str  # ISO date the prices are of
    source: str  # "bundled", or the URL they were fetched from

    def __repr__(self) -> str:
        return f"<PriceTable {len(self.rows)} models of {self.date} from {self.source}>"

    def find(self, key: str) -> tuple[str, PriceRow] | None:
        """Return (key as written, row) of a lower-case key; None when it is not there or no row."""
        member = self.rows.get(key)
        if member is None:
            return None
        try:
            ((name, row),) = json.loads(b"{%b}" % member).items()
        except ValueError:
            return None
        return (name, row) if isinstance(row, dict) and "p" in row else None


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
    value = json.loads(_unpacked(data))
    if not isinstance(value, dict):
        raise ValueError("a price table is a JSON object")  # noqa: TRY004 - bad bytes, not a bad argument
    return value


def _unpacked(data: bytes) -> bytes:
    if data[:2] != b"\x1f\x8b":
        return data
    import gzip

    return gzip.decompress(data)


def member_of(key: str, row: Mapping[str, Any]) -> bytes:
    """Return a model as a member of a JSON object, on one line."""
    return f"{_encode(key)}:{_encode(row)}".encode()


def table_from(value: Mapping[str, Any], *, date: str, source: str) -> PriceTable:
    """Build the table from a parsed file, ours or LiteLLM's."""
    rows = {key.lower(): member_of(key, row) for key, row in compact_models(value).items()}
    return PriceTable(rows=rows, date=date, source=source)


def write_table(about: Mapping[str, Any], models: Mapping[str, Mapping[str, Any]]) -> bytes:
    """Return a file of ours: compact models, and first where they are from."""
    members = [member_of(SNAPSHOT_KEY, about), *(member_of(key, row) for key, row in models.items())]
    return b"{%b}\n" % b",\n".join(members)


def read_table(data: bytes, *, source: str) -> tuple[PriceTable, dict[str, Any]]:
    """Return the table in a file of ours, gzipped or not, and what the file says of itself.

    Raises:
        ValueError: It is no such file, or not whole.
    """
    first, *lines = _unpacked(data).rstrip().split(b"\n")
    about = json.loads(first[:-1] + b"}").get(SNAPSHOT_KEY)  # a comma ends it, as the others; a brace the last
    if not isinstance(about, dict) or not isinstance(about.get("date"), str) or not lines or lines[-1][-2:] != b"}}":
        raise ValueError("not a price table of ours")
    rows = {line[1 : line.index(b'":{')].decode().lower(): line[:-1] for line in lines}
    return PriceTable(rows=rows, date=about["date"], source=source), about


def priced_count(models: Mapping[str, Mapping[str, Any]]) -> int:
    """Count the rows that price anything at all."""
    return sum(any("cost" in name or name == "tiered_pricing" for name in row) for row in models.values())
