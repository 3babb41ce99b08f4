"""`llmflow prune`: traces that go for good, by age, number, size or filter. Without --now it only says which."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from llmflow_web.app.cli.desk import Desk, desk_for, wait_erased
from llmflow_web.app.cli.options import (
    Bar,
    Out,
    add_filter,
    check_moment,
    config_from,
    count_of,
    ending,
    out_for,
    read_args,
)
from llmflow_web.app.cli.options import make_parser as make
from llmflow_web.app.kinds import SIZE
from llmflow_web.console import iso_time
from llmflow_web.errors import ConfigError
from llmflow_web.model import JSON
from llmflow_web.wire.grammar import parse_filter

MAX_ROUNDS = 8
"""How often more is deleted until a file is as small as wanted: what a trace takes is an estimate."""


def make_parser(command: str) -> argparse.ArgumentParser:
    """Make the parser of `prune`."""
    parser = make(
        command,
        "[FILTER ...] [options]",
        "Delete whole traces for good: rows, texts, their share of all sums.\nWithout --now nothing is deleted.",
        "llmflow prune --older-than 30d",
        "llmflow prune --keep 10000 --now",
        "llmflow prune --max-size 500MiB --now",
        "llmflow prune tag:test --now",
    )
    add_filter(parser, has_since=False)
    parser.add_argument("--older-than", metavar="AGE", default="", help="Begun before: 30d, 12h, 2026-11-01.")
    parser.add_argument("--keep", metavar="N", type=count_of, default=None, help="All but the newest N traces.")
    parser.add_argument(
        "--max-size", metavar="SIZE", type=_size, default=None, help="The oldest, until the data takes so little."
    )
    parser.add_argument("--all", action="store_true", default=False, help="Everything.")
    parser.add_argument("--now", action="store_true", default=False, help="Delete it, and wait until it is gone.")
    return parser


def _size(text: str) -> int:
    try:
        return int(SIZE.parse(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{SIZE.allowed} is wanted; got {text[:40]!r}") from None


def run(command: str, argv: Sequence[str]) -> int:
    """Run `prune` and return the exit code."""
    options = read_args(make_parser(command), argv)
    chosen = _chosen(options)
    config = config_from(options)
    out = out_for(config, options)
    desk = desk_for(config, options, is_writing=options.now)
    try:
        return ending(lambda: _prune(desk, chosen, options, out))
    finally:
        desk.close()


def _chosen(options: argparse.Namespace) -> JSON:
    """Return the filter. Raises ConfigError when nothing, or too much at once, is asked for."""
    notes = parse_filter(options.filter).notes
    if notes:
        raise ConfigError(" ".join(notes))  # a misread word must not decide what is deleted
    if options.older_than:
        check_moment("--older-than", options.older_than)
    ways = [options.keep is not None, options.max_size is not None, options.all]
    if sum(ways) > 1 or (any(ways) and (options.filter or options.older_than)):
        raise ConfigError("--keep, --max-size and --all stand alone; FILTER and --older-than go together")
    if not any(ways) and not options.filter and not options.older_than:
        raise ConfigError("say what is to go: a FILTER, --older-than, --keep, --max-size or --all")
    if options.all:
        return {"date_from": "0"}  # an empty filter is refused, with good reason
    text = f'{options.filter} before:"{options.older_than}"' if options.older_than else options.filter
    return {"filter": text.strip()} if text else {}


def _prune(desk: Desk, chosen: JSON, options: argparse.Namespace, out: Out) -> int:
    begun = desk.storage({})
    target = _target(desk, chosen, options)
    going = desk.storage(target) if target is not None else {"traces": 0, "spans": 0, "bodies": 0}
    told = {
        "dry_run": not options.now,
        **{name: going.get(name) for name in ("traces", "spans", "bodies", "oldest", "newest")},
        "of": {name: begun[name] for name in ("traces", "spans")},
        "size": begun["file"]["used"],
        "deleted": 0,
        "erased": False,
    }
    if options.now and target is not None:
        told["deleted"] = _delete(desk, target, options)
        told |= {"erased": True, "size": desk.storage({})["file"]["used"]}
    if out.is_json:
        out.value(told)
    else:
        out.lines(prune_lines(told))
    return 0


def _target(desk: Desk, chosen: JSON, options: argparse.Namespace) -> JSON | None:
    """Return the filter that finds what goes; None when nothing has to."""
    if options.keep is not None:
        last, first = desk.one_before(options.keep)
        if first is None:
            return None
        # Where two begin in one millisecond rather one too many stays.
        return {"date_to": str(first - 1 if first == last else first)}
    if options.max_size is not None:
        cutoff = desk.storage({}, options.max_size)["cutoff"]
        return None if cutoff is None else {"date_to": str(cutoff["date_to"])}
    return chosen


def _delete(desk: Desk, target: JSON, options: argparse.Namespace) -> int:
    bar = Bar("erasing")
    deleted = 0
    try:
        for _ in range(MAX_ROUNDS if options.max_size is not None else 1):
            deleted += desk.delete(target)
            bar.show(0, deleted)
            wait_erased(desk)
            again = _target(desk, target, options) if options.max_size is not None else None
            if again is None:
                break
            target = again
    finally:
        bar.clear()
    return deleted


def prune_lines(told: JSON) -> list[str]:
    """Return the outcome for a reader."""
    of = told["of"]
    whole = f"of {of['traces']:,} traces with {of['spans']:,} spans, {size_text(told['size'])} in all"
    if told["dry_run"]:
        if not told["traces"]:
            return [f"Nothing would go, {whole}."]
        return [
            f"Would go: {told['traces']:,} traces with {told['spans']:,} spans,",
            f"  from {_day(told['oldest'])} to {_day(told['newest'])},",
            f"  {size_text(told['bodies'])} of requests and answers,",
            f"  {whole}.",
            "Nothing was deleted: --now does it.",
        ]
    if not told["deleted"]:
        return [f"Nothing had to go, {whole}."]
    spans = "1 span" if told["deleted"] == 1 else f"{told['deleted']:,} spans"
    return [f"Deleted {spans} for good; {size_text(told['size'])} are left."]


def _day(timestamp_ms: int | None) -> str:
    return "-" if timestamp_ms is None else iso_time(timestamp_ms / 1000)[:16].replace("T", " ")


def size_text(size: float) -> str:
    """Write a number of bytes: 512 B, 3.4 KiB, 1.2 GiB."""
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.2f} GiB"
