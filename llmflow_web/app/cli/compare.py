"""`llmflow diff A B`: two calls or traces, side by side."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from llmflow_web.app.cli.options import Out
from llmflow_web.app.cli.options import make_parser as make
from llmflow_web.app.cli.render_diff import diff_lines
from llmflow_web.app.cli.sources import Source, answer, whole_key


def make_parser(command: str) -> argparse.ArgumentParser:
    """Make the parser of `diff`."""
    parser = make(
        command,
        "A B [options]",
        "Compare two calls or traces: figures, parameters, trees, messages word by word.",
        "llmflow diff 3f2a91bc 9d01c4ee",
        "llmflow diff 3f2a91bc 9d01c4ee --json | jq .deltas",
    )
    for name in ("a", "b"):
        parser.add_argument(name, metavar=name.upper(), help="A trace's or span's id, or enough of its beginning.")
    return parser


def run(command: str, argv: Sequence[str]) -> int:
    """Run `diff` and return the exit code."""
    return answer(make_parser(command), argv, _diff)


def _diff(source: Source, options: argparse.Namespace, out: Out) -> int:
    keys = {name: whole_key(source, getattr(options, name)) for name in ("a", "b")}
    found = source.get("/api/diff", keys).value
    if out.is_json:
        out.value(found)
    else:
        out.lines(diff_lines(found, out.width, out.paint))
    return 0
