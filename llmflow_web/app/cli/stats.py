"""`llmflow stats`: what was used, whole and by model, provider, tag and others."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence

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
from llmflow_web.app.cli.render_stats import stats_lines
from llmflow_web.app.cli.sources import Source, source_for
from llmflow_web.errors import ConfigError

FIELDS = {
    "model": "model",
    "provider": "provider",
    "service": "service_name",
    "tag": "tag",
    "user": "user_id",
    "tool": "tool",
    "session": "session_id",
}
"""The words of --by and the fields they stand for."""

SORTS = ("cost", "requests", "tokens", "errors", "p95")
MAX_ROWS = 100
_TIMED = re.compile(r"(?:^|\s)-?(?:since|before):", re.IGNORECASE)


def make_parser(command: str) -> argparse.ArgumentParser:
    """Make the parser of `stats`."""
    parser = make(
        command,
        "[FILTER ...] [options]",
        "Sum up calls, errors, tokens, cost and times.",
        "llmflow stats",
        "llmflow stats --by tag --since 7d",
        "llmflow stats provider:anthropic --by user --sort tokens",
    )
    add_filter(parser)
    parser.add_argument("--by", choices=tuple(FIELDS), default="model", help="What is summed up. [model]")
    parser.add_argument("--sort", choices=SORTS, default="cost", help="What comes first. [cost]")
    parser.add_argument("-n", "--limit", metavar="N", type=count_of, default=20, help="So many groups. [20]")
    return parser


def run(command: str, argv: Sequence[str]) -> int:
    """Run `stats` and return the exit code."""
    options = read_args(make_parser(command), argv)
    if options.limit > MAX_ROWS:
        raise ConfigError(f"--limit is at most {MAX_ROWS} here")
    text = filter_text(options)
    # Without a time it is everything there ever was, from the sums that outlive the calls; with one it is exact.
    timed = {"exact": "1"} if _TIMED.search(text) else {"date_from": "0"}
    params = {"filter": text, "by": FIELDS[options.by], "sort": _SORT_NAMES.get(options.sort, options.sort), **timed}
    config = config_from(options)
    out = out_for(config, options)
    source = source_for(config, options)
    try:
        return ending(lambda: _stats(source, params, options.limit, out))
    finally:
        source.close()


_SORT_NAMES = {"p95": "p95_ms"}


def _stats(source: Source, params: dict[str, str], limit: int, out: Out) -> int:
    whole = source.get("/api/analytics/series", {**params, "by": "", "limit": "1"})
    groups = source.get("/api/analytics/top", {**params, "limit": str(limit)}).value
    found = {
        "from": groups["from"],
        "to": groups["to"],
        "by": groups["by"],
        "total": whole.value["total"],
        "rows": groups["rows"],
        "more": groups["more"],
        "note": groups["note"],
    }
    say_notes(params["filter"], out)
    if out.is_json:
        out.value(found)
    elif found["total"]["requests"]:
        out.lines(stats_lines(found, out.width, out.paint))
    else:
        out.note("nothing passes the filter" if params["filter"] else "nothing has been recorded yet")
    return 0
