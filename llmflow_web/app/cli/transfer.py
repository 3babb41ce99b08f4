"""`llmflow export` and `llmflow import`: what is recorded leaves as a file, files come in.

Export reads the database file itself, whether or not a server writes to it. Import goes through the server that holds
the data directory, and opens the database itself where none does.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

from llmflow_web.app import config as configuration
from llmflow_web.app.cli.parser import add_config, add_setting
from llmflow_web.app.cli.transfer_files import FileLine, batches, lines_of
from llmflow_web.app.cli.transfer_sinks import Sink, sink_for
from llmflow_web.app.cli.transfer_write import FORMATS, Chosen, export_to, output
from llmflow_web.app.rows import search_text
from llmflow_web.app.settings import BY_NAME, Config
from llmflow_web.console import escape
from llmflow_web.errors import ConfigError, LLMFlowError
from llmflow_web.record.importing import KINDS, Tally
from llmflow_web.record.transfer import MAX_MS
from llmflow_web.store.transfer import Between, open_reader
from llmflow_web.wire.filter import Ago, Filter, Term
from llmflow_web.wire.grammar import parse_filter

EXIT_REFUSED = 1
EXIT_PIPE = 141  # 128 + SIGPIPE, as if the signal had ended us
MAX_SHOWN_ERRORS = 100
PROGRESS_EVERY_S = 0.2

_WORDS = {"spans": ("span", "spans"), "logs": ("log", "logs"), "metrics": ("data point", "data points")}
_SETTINGS = {"export": ("data_dir", "db_path"), "import": ("data_dir", "db_path", "host", "token")}


def run(command: str, argv: Sequence[str]) -> int:
    """Run `export` or `import` and return the exit code."""
    options = make_parser(command).parse_args(argv)
    told = vars(options)
    flags = {name: told[name] for name in _SETTINGS[command] if name in told}
    config = configuration.load(flags, os.environ, config_file=told.get("config"))
    return _export(config, options) if command == "export" else _import(config, options)


def make_parser(command: str) -> argparse.ArgumentParser:
    """Make the parser of one of the two commands."""
    is_export = command == "export"
    parser = argparse.ArgumentParser(
        prog=f"llmflow {command}",
        description=_EXPORT_HELP if is_export else _IMPORT_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    if is_export:
        parser.add_argument("--format", choices=FORMATS, default="jsonl", help="What to write. [jsonl]")
        parser.add_argument("--output", "-o", metavar="FILE", default="-", help="Where to; .gz compresses. [-, stdout]")
        parser.add_argument(
            "--filter", metavar="TEXT", default="", help="Only these spans and the logs of their traces."
        )
        parser.add_argument(
            "--since", metavar="WHEN", default="", help="Not before: 24h, 7d, 2026-11-01, milliseconds."
        )
        parser.add_argument("--until", metavar="WHEN", default="", help="Before: as above.")
        parser.add_argument("--limit", metavar="N", type=_count, default=None, help="Only the newest N spans.")
    else:
        parser.add_argument("files", nargs="+", metavar="FILE", help="Files to read; - is standard input.")
    add_config(parser)
    group = parser.add_argument_group("Settings")
    for name in _SETTINGS[command]:
        add_setting(group, BY_NAME[name])
    return parser


_EXPORT_HELP = """\
Write what is recorded to a file.

jsonl  one line a span, log record or data point, whole: what `llmflow import` restores exactly
otlp   the OpenTelemetry file format (OTLP/JSON, one request a line): for a Collector, or any OTLP/HTTP endpoint
csv    spans without their contents, for spreadsheets

--filter takes the text of the dashboard's filter box: 'model:gpt-4o cost>0.01 -status:error'.
A file holds prompts and answers, keys masked."""

_IMPORT_HELP = """\
Read files written by `llmflow export`, by the dashboard, or by a Collector (OTLP/JSON); gzip too.

What is there already, by its id, is left as it is. Lines that cannot be read are named, the others go in."""


def _count(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 0 < int(text) < 2**53:
        raise argparse.ArgumentTypeError(f"a whole number of at least 1 is wanted; got {text[:40]!r}")
    return int(text)


# ── export ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _export(config: Config, options: argparse.Namespace) -> int:
    chosen = _chosen(options)
    connection = open_reader(config.database, search_text)
    counts = dict.fromkeys(KINDS, 0)
    try:
        with _progress(counts) as show, output(options.output) as stream:
            for kind in export_to(stream, options.format, connection, chosen):
                counts[kind] += 1
                show()
    except BrokenPipeError:
        _leave_pipe()
        return EXIT_PIPE
    except OSError as error:
        raise LLMFlowError(f"{options.output} cannot be written: {error.strerror or error}.") from error
    finally:
        connection.close()
    where = "" if options.output == "-" else f" to {options.output}"
    _say(f"llmflow: exported {_told(counts)}{where}")
    return 0


def _chosen(options: argparse.Namespace) -> Chosen:
    now_ms = time.time() * 1000
    since, until = _moment("since", "since", options.since, now_ms), _moment("until", "before", options.until, now_ms)
    written = parse_filter(options.filter)
    if written.notes:
        raise ConfigError(f"--filter: {' '.join(written.notes)}")
    times = [Term("timestamp", ">=", (since,))] if since is not None else []
    if until is not None:
        times.append(Term("timestamp", "<", (until,)))
    return Chosen(
        Filter((*times, *written.terms)),
        Between(*(None if moment is None else moment * 1_000_000 for moment in (since, until))),
        options.limit,
        is_selection=bool(written.terms) or options.limit is not None,
    )


def _moment(flag: str, word: str, text: str, now_ms: float) -> int | None:
    """Read a time as the filter box does, `15m` being so long ago."""
    if not text:
        return None
    written = parse_filter(f'{word}:"{text}"')
    value: Any = written.terms[0].values[0] if written.terms and not written.notes else None
    if isinstance(value, Ago):
        return max(0, int(now_ms - value.seconds * 1000))
    if not isinstance(value, int) or not 0 <= value <= MAX_MS:
        raise ConfigError(
            f"--{flag} is 24h, 7d, a date such as 2026-11-01 or milliseconds since 1970; got {text[:40]!r}"
        )
    return value


def _leave_pipe() -> None:
    """Let Python's own flush at the end find something that takes it."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)


# ── import ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _import(config: Config, options: argparse.Namespace) -> int:
    run = _Import()
    sink = sink_for(config, os.environ)
    try:
        with _progress(run.tally.new) as show:
            for batch in batches(line for name in options.files for line in lines_of(name)):
                run.take(sink, batch)
                show()
    finally:
        sink.close()
        _say(f"llmflow: {run.sentence()}")
    return EXIT_REFUSED if run.tally.refused else 0


class _Import:
    """What has come in so far."""

    def __init__(self) -> None:
        self.tally = Tally()
        self._shown = 0

    def take(self, sink: Sink, batch: Sequence[FileLine]) -> None:
        """Store one batch, and name the lines that cannot be."""
        for line in batch:
            if line.error is not None:
                self.tally.refused += 1
                self._refuse(line.place, line.error)
        good = [line for line in batch if line.error is None]
        if not good:
            return
        outcome = sink.store([line.data for line in good])
        self.tally.add(outcome.tally)
        for index, error in outcome.errors:
            self._refuse(good[index].place, error)

    def _refuse(self, place: str, error: str) -> None:
        self._shown += 1
        if self._shown <= MAX_SHOWN_ERRORS:
            _say(escape(f"{place}: {error}"))
        elif self._shown == MAX_SHOWN_ERRORS + 1:
            _say("llmflow: more lines are refused than are named here")

    def sentence(self) -> str:
        """Return what came of it."""
        tally = self.tally
        new, known = sum(tally.new.values()), sum(tally.known.values())
        told = f"imported {new:,} new ({_told(tally.new)})" if new else "imported 0 new"
        return f"{told}, {known:,} known" + (f", {tally.refused:,} refused" if tally.refused else "")


# ── on the terminal ──────────────────────────────────────────────────────────────────────────────────────────────────


def _told(counts: dict[str, int]) -> str:
    """Return counts in words: 12 spans, 3 logs."""
    pieces = [f"{count:,} {_WORDS[kind][count != 1]}" for kind, count in counts.items() if count or kind == "spans"]
    return ", ".join(pieces)


def _say(text: str) -> None:
    stream: TextIO | None = sys.stderr
    if stream is not None:
        print(text, file=stream, flush=True)


class _Bar:
    """A line that says how far it is, on a terminal alone."""

    def __init__(self, counts: dict[str, int]) -> None:
        self._counts = counts
        self._is_shown = sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._next = time.monotonic() + PROGRESS_EVERY_S

    def show(self) -> None:
        """Say it, every now and then."""
        now = time.monotonic()
        if self._is_shown and now >= self._next:
            self._next = now + PROGRESS_EVERY_S
            sys.stderr.write(f"\r\x1b[K{_told(self._counts)} …")
            sys.stderr.flush()

    def clear(self) -> None:
        """Make room for what comes after."""
        if self._is_shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


@contextmanager
def _progress(counts: dict[str, int]) -> Iterator[Any]:
    bar = _Bar(counts)
    try:
        yield bar.show
    finally:
        bar.clear()
