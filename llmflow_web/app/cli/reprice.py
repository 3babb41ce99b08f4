"""`llmflow reprice`: what stored calls cost by the present prices. Without --apply it only says so."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from llmflow_web.app.cli.cells import Cell, Column, Paint, table
from llmflow_web.app.cli.desk import Desk, desk_for
from llmflow_web.app.cli.options import Bar, Out, add_filter, config_from, ending, filter_text, out_for, read_args
from llmflow_web.app.cli.options import make_parser as make
from llmflow_web.errors import ConfigError
from llmflow_web.model import JSON
from llmflow_web.wire.grammar import parse_filter

PIECE = 1000
_SUMS = ("seen", "changed", "newly_priced", "unpriced_now", "old_cost", "new_cost")


def make_parser(command: str) -> argparse.ArgumentParser:
    """Make the parser of `reprice`."""
    parser = make(
        command,
        "[FILTER ...] [options]",
        "Work out again what calls cost, by the prices of today.\n"
        "Without --apply nothing is changed. What a provider reported itself stays, and\n"
        "so does what can no longer be worked out; the old figure stays on record.",
        "llmflow reprice",
        "llmflow reprice model:gpt-5* --since 30d",
        "llmflow reprice --apply",
    )
    add_filter(parser)
    parser.add_argument("--apply", action="store_true", default=False, help="Write the new costs.")
    return parser


def run(command: str, argv: Sequence[str]) -> int:
    """Run `reprice` and return the exit code."""
    options = read_args(make_parser(command), argv)
    text = filter_text(options)
    notes = parse_filter(text).notes
    if notes:
        raise ConfigError(" ".join(notes))
    config = config_from(options)
    out = out_for(config, options)
    desk = desk_for(config, options, is_writing=options.apply)
    try:
        return ending(lambda: _reprice(desk, text, out, apply=options.apply))
    finally:
        desk.close()


def _reprice(desk: Desk, text: str, out: Out, *, apply: bool) -> int:
    total = int(desk.storage({"filter": text} if text else {})["spans"])
    bar, seen, changed, after, prices = Bar("repricing"), 0, 0, 0, {}
    models: dict[tuple[str, str], JSON] = {}
    try:
        is_done = False
        while not is_done:
            bar.show(seen, total)
            found = desk.reprice(text, after, PIECE, apply=apply)
            seen, changed, after = seen + found["seen"], changed + found["changed"], found["after"]
            is_done, prices = bool(found["done"]), found["prices"]
            for row in found["models"]:
                _add(models, row)
    finally:
        bar.clear()
    rows = sorted(models.values(), key=lambda row: (-abs(row["new_cost"] - row["old_cost"]), str(row["model"])))
    told = {"dry_run": not apply, "seen": seen, "changed": changed, "prices": prices, "models": rows}
    if out.is_json:
        out.value(told)
    else:
        out.lines(reprice_lines(told, out.width, out.paint))
    return 0


def _add(models: dict[tuple[str, str], JSON], row: JSON) -> None:
    known = models.setdefault((str(row["provider"]), str(row["model"])), {**row, **dict.fromkeys(_SUMS, 0)})
    for name in _SUMS:
        known[name] += row[name]


# ── for a reader ─────────────────────────────────────────────────────────────────────────────────────────────────────

_COLUMNS = (
    Column("MODEL", least=14),
    Column("CHANGED", is_right=True),
    Column("OLD COST", is_right=True),
    Column("NEW COST", is_right=True),
    Column("", is_right=True),
    Column("NOTE", least=10),
)


def reprice_lines(told: JSON, width: int, paint: Paint) -> list[str]:
    """Return what changes, model by model."""
    prices = f"prices of {told['prices']['date'] or '?'}"
    if not told["changed"] and not told["models"]:
        return [f"{told['seen']:,} calls cost what they did, by the {prices}."]
    lines = table(_COLUMNS, [_row(row) for row in told["models"]], width, paint)
    old, new = (sum(row[name] for row in told["models"]) for name in ("old_cost", "new_cost"))
    verb = "would change" if told["dry_run"] else "changed"
    lines += ["", f"{told['changed']:,} of {told['seen']:,} calls {verb}, by the {prices}: {usd(old)} → {usd(new)}."]
    if told["dry_run"] and told["changed"]:
        lines.append("Nothing was written: --apply does it.")
    return lines


def usd(cost: float) -> str:
    """Write a sum of money: cents where it is large."""
    return f"${cost:,.2f}" if cost >= 100 else f"${cost:,.4f}"


def _row(row: JSON) -> list[Cell]:
    old, new = row["old_cost"], row["new_cost"]
    share = round((new / old - 1) * 100) if old else 0
    style = "" if abs(new - old) < 1e-9 else "red" if new > old else "green"
    notes = [f"{row['newly_priced']:,} had no price"] if row["newly_priced"] else []
    notes += [f"{row['unpriced_now']:,} have none now, kept"] if row["unpriced_now"] else []
    return [
        Cell(str(row["model"] or row["provider"] or "-"), "cyan"),
        Cell(f"{row['changed']:,}"),
        Cell(usd(old)),
        Cell(usd(new), style),
        Cell(f"{share:+,}%" if share else "", "dim"),
        Cell(", ".join(notes), "dim"),
    ]
