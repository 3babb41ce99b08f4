"""Sums as a table: the whole, then group by group. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llmflow_web.app.cli.cells import GAP, Cell, Column, Paint, clean, table, width_of
from llmflow_web.console import short_cost, short_count, short_duration

JSON = Mapping[str, Any]

_FIGURES = (
    Column("CALLS", is_right=True),
    Column("ERRORS", is_right=True),
    Column("TOKENS", is_right=True),
    Column("CACHED", is_right=True),
    Column("COST", is_right=True),
    Column("P50", is_right=True),
    Column("P95", is_right=True),
    Column("TTFT", is_right=True),
)


def stats_lines(found: JSON, width: int, paint: Paint) -> list[str]:
    """Return the whole and its groups in one table."""
    label = (Column(str(found["by"]).removesuffix("_id").removesuffix("_name").upper(), least=12),)
    rows = [_row(str(row["label"]), row, "dim" if row["key"] is None else "cyan") for row in found["rows"]]
    rows.append(_row("all", found["total"], "bold"))
    count = len(_FIGURES) if width_of_table(rows) <= width else len(_FIGURES) - 1  # names matter more than the last
    lines = table((*label, *_FIGURES[:count]), [row[: count + 1] for row in rows], width, paint)
    if found["more"]:
        lines.append(paint(f"… {found['more']} more: --limit shows them", "dim"))
    unpriced = found["total"]["unpriced_count"]
    if unpriced:
        said = (
            "1 call has no known price and is" if unpriced == 1 else f"{unpriced:,} calls have no known price and are"
        )
        lines.append(paint(f"{said} missing from the cost", "yellow"))
    if found["note"]:
        lines.append(paint(str(found["note"]), "dim"))
    return lines


def width_of_table(rows: Sequence[Sequence[Cell]]) -> int:
    """Return how wide a table of figures would like to be."""
    titles = ["", *(column.title for column in _FIGURES)]
    widths = [
        max(width_of(title), *(width_of(clean(row[index].text)) for row in rows)) for index, title in enumerate(titles)
    ]
    return sum(widths) + len(GAP) * (len(widths) - 1)


def _row(label: str, figures: JSON, style: str) -> list[Cell]:
    errors, requests = figures["errors"] or 0, figures["requests"] or 0
    share = f" {errors / requests:.0%}" if errors and requests else ""
    prompt, cached = figures.get("prompt_tokens"), figures.get("cached_tokens")
    return [
        Cell(label, style),
        Cell(short_count(requests)),
        Cell(f"{short_count(errors)}{share}" if errors else "-", "red" if errors else ""),
        Cell(short_count(figures["total_tokens"] or 0)),
        Cell(f"{cached / prompt:.0%}" if cached and prompt else "-"),
        Cell(_cost(figures)),
        *(Cell(short_duration(figures.get(name))) for name in ("p50_ms", "p95_ms", "ttft_p50_ms")),
    ]


def _cost(figures: JSON) -> str:
    cost = figures["cost"] or 0.0
    if figures["unpriced_count"] and not cost:
        return "?"
    if not cost and not figures["total_tokens"]:
        return "-"
    text = f"${cost:,.2f}" if cost >= 100 else short_cost(cost)
    return f"{text}+?" if figures["unpriced_count"] else text
