"""`llmflow ls`: the calls a filter finds, in a table."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence

from llmflow_web.app.cli.options import (
    Out,
    add_filter,
    config_from,
    count_of,
    ending,
    filter_text,
    out_for,
    read_args,
    say_notes,
)
from llmflow_web.app.cli.options import make_parser as make
from llmflow_web.app.cli.render_list import call_lines
from llmflow_web.app.cli.sources import Source, source_for
from llmflow_web.model import JSON
from llmflow_web.wire.filter import MAX_LIMIT, SORTS

DEFAULT_LIMIT = 20


def make_parser(command: str) -> argparse.ArgumentParser:
    """Make the parser of `ls`."""
    parser = make(
        command,
        "[FILTER ...] [options]",
        "List calls, the newest first: as the dashboard does, the first span of each\ntrace.",
        "llmflow ls",
        "llmflow ls model:gpt-4o 'cost>0.01' -status:error --since 24h",
        "llmflow ls '\"refund policy\"' --limit 5",
        "llmflow ls --json --limit 100 | jq -r .preview_in",
    )
    add_filter(parser)
    parser.add_argument("-n", "--limit", metavar="N", type=count_of, default=DEFAULT_LIMIT, help="So many. [20]")
    parser.add_argument(
        "--sort",
        choices=SORTS,
        default="time",
        help="What comes first: the newest, slowest, dearest or largest. [time]",
    )
    parser.add_argument("--reverse", action="store_true", default=False, help="The other way round.")
    parser.add_argument("--spans", action="store_true", default=False, help="All spans, not the first of each trace.")
    return parser


def run(command: str, argv: Sequence[str]) -> int:
    """Run `ls` and return the exit code."""
    options = read_args(make_parser(command), argv)
    config = config_from(options)
    params = {
        "filter": filter_text(options),
        "sort": options.sort if options.reverse else f"-{options.sort}",
        "roots": "" if options.spans else "1",
        "joined": "" if options.spans else "0",
        "running": "1",
    }
    out = out_for(config, options)
    source = source_for(config, options)
    try:
        return ending(lambda: _list(source, params, options.limit, out))
    finally:
        source.close()


def _list(source: Source, params: dict[str, str], limit: int, out: Out) -> int:
    say_notes(params["filter"], out)
    if out.is_json:
        for row in _rows(source, params, limit, out):
            out.value(row)
        return 0
    rows = list(_rows(source, params, limit, out))
    if rows:
        out.lines(call_lines(rows, out.width, out.paint, time.time()))
    else:
        out.note("nothing passes the filter" if params["filter"] else "nothing has been recorded yet")
    return 0


def _rows(source: Source, params: dict[str, str], limit: int, out: Out) -> Iterator[JSON]:
    """Yield the rows page by page."""
    cursor: str | None = ""
    while cursor is not None and limit > 0:
        page = source.get("/api/traces", {**params, "limit": str(min(limit, MAX_LIMIT)), "cursor": cursor})
        if not cursor and page.note:
            out.note(page.note)
        rows = page.value[:limit]
        yield from rows
        limit -= len(rows)
        cursor = page.cursor
