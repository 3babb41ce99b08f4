"""`llmflow show ID`: one call with the tree it stands in, its figures and its messages."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from urllib.parse import quote

from llmflow_web.app.cli.options import Out
from llmflow_web.app.cli.options import make_parser as make
from llmflow_web.app.cli.render_trace import part_lines, trace_lines
from llmflow_web.app.cli.sources import Source, answer, whole_key
from llmflow_web.model import JSON

PARTS = ("request", "response", "headers", "attributes")


def make_parser(command: str) -> argparse.ArgumentParser:
    """Make the parser of `show`."""
    parser = make(
        command,
        "ID [options]",
        "Show one call: the tree of its trace, its figures, its messages.",
        "llmflow show 3f2a91bc",
        "llmflow show 3f2a91bc --full | less -R",
        "llmflow show 3f2a91bc --part request | jq .messages",
    )
    parser.add_argument("id", metavar="ID", help="A trace's or span's id, or enough of its beginning.")
    parser.add_argument("--full", action="store_true", default=False, help="Long texts and large trees whole.")
    parser.add_argument("--part", choices=PARTS, default="", help="This part alone, as it was sent.")
    return parser


def run(command: str, argv: Sequence[str]) -> int:
    """Run `show` and return the exit code."""
    return answer(make_parser(command), argv, _show)


def _show(source: Source, options: argparse.Namespace, out: Out) -> int:
    key = quote(whole_key(source, options.id), safe="")
    detail = source.get(f"/api/traces/{key}").value
    if options.part:
        _say_what_is_missing(detail, options.part, out)
        if out.is_json:
            out.value(detail["attributes"] if options.part == "attributes" else _part(detail, options.part))
        else:
            out.lines(part_lines(detail, options.part))
        return 0
    tree = source.get(f"/api/traces/{key}/tree", {"fields": "summary"}).value
    if out.is_json:
        out.value({**detail, "tree": tree})
    else:
        out.lines(trace_lines(detail, tree, out.width, out.paint, is_full=options.full))
    return 0


def _say_what_is_missing(detail: JSON, part: str, out: Out) -> None:
    """Say where not all of a body is shown."""
    told = detail[part] if part in ("request", "response") else {}
    if told.get("is_raw"):
        out.note(f"the {part} is packed in a way that is not undone here; it is not shown")
    elif told.get("is_partial"):
        out.note(f"this is the beginning of the {part}, which has {told['size']:,} bytes: the API has it in pieces")
    elif told.get("is_cut"):
        out.note(f"only the beginning of the {part}, which had {told['size']:,} bytes, was stored")


def _part(detail: JSON, part: str) -> object:
    if part == "headers":
        return {side: detail[side]["headers"] for side in ("request", "response")}
    return detail[part]["body"]
