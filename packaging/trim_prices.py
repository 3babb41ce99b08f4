"""Make the bundled price snapshot from a LiteLLM price file: only what pricing reads, with its date.

python packaging/trim_prices.py model_prices_and_context_window.json --date 2026-10-21 --from "litellm 1.106.2"
"""

from __future__ import annotations

import argparse
import gzip
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from llmflow_web.record.price_table import (  # noqa: E402 - the checkout is on the path only now
    MIN_PRICED_ROWS,
    compact_models,
    parse_table,
    priced_count,
    write_table,
)

SNAPSHOT = ROOT / "llmflow_web" / "data" / "prices.json.gz"


def snapshot(data: bytes, *, date: str, source: str) -> bytes:
    """Return the gzipped snapshot: the same bytes for the same input."""
    models = compact_models(parse_table(data))
    if priced_count(models) < MIN_PRICED_ROWS:
        raise SystemExit(f"only {priced_count(models)} models have a price: not a LiteLLM price file?")
    rows = {key: dict(sorted(row.items())) for key, row in sorted(models.items())}
    return gzip.compress(write_table({"date": date, "source": source}, rows), 9, mtime=0)


def main() -> None:
    """Write the snapshot into the package."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--date", required=True, help="ISO date the prices are of")
    parser.add_argument("--from", dest="source", required=True, help="where the file comes from")
    parser.add_argument("--out", type=Path, default=SNAPSHOT)
    given = parser.parse_args()
    data = snapshot(given.file.read_bytes(), date=given.date, source=given.source)
    given.out.write_bytes(data)
    print(f"{given.out}: {len(data)} bytes")


if __name__ == "__main__":
    main()
