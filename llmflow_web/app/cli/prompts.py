"""`llmflow prompts`: what calls were made from, and one prompt by its versions."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from llmflow_web.app.cli.cells import Cell, Column, table
from llmflow_web.app.cli.options import (
    Out,
    add_filter,
    count_of,
    filter_text,
    say_notes,
)
from llmflow_web.app.cli.options import make_parser as make
from llmflow_web.app.cli.sources import Source, answer
from llmflow_web.console import short_cost, short_count, short_duration

SORTS = {"calls": "calls", "cost": "cost", "errors": "errors", "p95": "p95_ms", "last": "last_seen", "name": "name"}
_FIGURES = ("CALLS", "ERRORS", "COST", "PER CALL", "P50", "P95")


def make_parser(command: str) -> argparse.ArgumentParser:
    """Make the parser of `prompts`."""
    parser = make(
        command,
        "[FILTER ...] [options]",
        "List the prompts that calls were made from, or the versions of one.",
        "llmflow prompts",
        "llmflow prompts --since 7d --sort cost",
        "llmflow prompts --of summary",
    )
    add_filter(parser)
    parser.add_argument("--of", metavar="PROMPT", default="", help="The versions of this one: its name, or its ~KEY.")
    parser.add_argument("--sort", choices=tuple(SORTS), default="calls", help="What comes first. [calls]")
    parser.add_argument("-n", "--limit", metavar="N", type=count_of, default=20, help="So many prompts. [20]")
    return parser


def run(command: str, argv: Sequence[str]) -> int:
    """Run `prompts` and return the exit code."""
    return answer(make_parser(command), argv, _prompts)


def _prompts(source: Source, options: argparse.Namespace, out: Out) -> int:
    params = {"filter": filter_text(options), "sort": SORTS[options.sort], "limit": str(min(options.limit, 1000))}
    key = options.of
    path = f"/api/prompts/{quote(key, safe='')}" if key else "/api/prompts"
    found = source.get(path, params).value
    say_notes(params["filter"], out)
    if out.is_json:
        out.value(found)
        return 0
    rows = found["versions"] if key else found["prompts"]
    if not rows:
        out.note("no prompt passes the filter" if params["filter"] else "no prompt has been recorded yet")
        return 0
    prompt = (Column("PROMPT", least=16), Column("VERS", is_right=True))
    title = (Column("VERSION", least=8),) if key else prompt
    columns = (*title, *(Column(name, is_right=True) for name in _FIGURES))
    out.lines(table(columns, [[*_name(row), *_figures(row)] for row in rows], out.width, out.paint))
    if found["note"]:
        out.note(found["note"])
    return 0


def _name(row: Mapping[str, Any]) -> list[Cell]:
    if "label" in row:
        return [Cell(str(row["label"]), "cyan")]
    begins = f"{row['key']} “{row['preview']}”" if row["preview"] else row["key"]
    name = Cell(str(row["name"]), "cyan") if row["is_named"] else Cell(str(begins))
    return [name, Cell(short_count(row["versions"]))]


def _figures(row: Mapping[str, Any]) -> list[Cell]:
    errors = f"{row['error_rate']:.0%}" if row["errors"] else "-"
    cost = f"{short_cost(row['cost'])}+?" if row["unpriced_count"] else short_cost(row["cost"])
    return [
        Cell(short_count(row["calls"])),
        Cell(errors, "red" if row["errors"] else ""),
        Cell(cost),
        *(
            Cell(text)
            for text in (short_cost(row["cost_per_call"]), short_duration(row["p50_ms"]), short_duration(row["p95_ms"]))
        ),
    ]
