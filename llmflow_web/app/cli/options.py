"""What the commands that show what is recorded have in common: their flags, their output, and how they end."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from llmflow_web.app import config as configuration
from llmflow_web.app.cli.cells import Paint
from llmflow_web.app.cli.parser import add_config, add_setting
from llmflow_web.app.settings import BY_NAME, Config
from llmflow_web.errors import ConfigError

EXIT_PIPE = 141  # 128 + SIGPIPE, as if the signal had ended us
EXIT_INTERRUPTED = 130
DEFAULT_WIDTH = 80
LEAST_WIDTH = 40
_SETTINGS = ("data_dir", "db_path", "no_color")
_MARK = "\x00"
_TERM = re.compile(r"-[^-\d].+", re.DOTALL)


def make_parser(command: str, usage: str, text: str, *examples: str) -> argparse.ArgumentParser:
    """Make a parser with the flags all these commands take.

    usage: what stands behind the command. text: what it does. examples: how it is used.
    """
    parser = argparse.ArgumentParser(
        prog=f"llmflow {command}",
        usage=f"llmflow {command} {usage}",
        description=text,
        epilog="\n".join(["examples:", *(f"  {example}" for example in examples)]),
        formatter_class=_Formatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
        add_help=False,
    )
    parser._positionals.title = "what"  # noqa: SLF001 - argparse has no other way to name its own groups
    group = parser.add_argument_group("where and how")
    group.add_argument("--json", action="store_true", default=False, help="Write JSON instead.")
    group.add_argument("--url", metavar="URL", default="", help="Ask the dashboard at URL, wherever its data lies.")
    for name in _SETTINGS:
        add_setting(group, BY_NAME[name])
    add_config(group)
    group.add_argument("-h", "--help", action="help", help="Show this and end.")
    return parser


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Help that fits 80 columns, the long flags beside their texts."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=26, width=DEFAULT_WIDTH - 2)


def add_filter(parser: argparse.ArgumentParser, *, has_since: bool = True) -> None:
    """Add the words of the filter box, and --since."""
    parser.add_argument(
        "filter", nargs="*", metavar="FILTER", help="Words of the dashboard's filter box: model:gpt-4o -status:error"
    )
    if has_since:
        parser.add_argument("--since", metavar="WHEN", default="", help="Not before: 15m, 24h, 7d, 2026-11-01.")


def read_args(parser: argparse.ArgumentParser, argv: Sequence[str]) -> argparse.Namespace:
    """Read arguments. A word such as -status:error is part of the filter, not a flag."""
    guarded = [_MARK + word if _TERM.fullmatch(word) else word for word in argv]
    options = parser.parse_intermixed_args(guarded)
    words: list[str] = getattr(options, "filter", None) or []  # argparse leaves it out where there are none
    options.filter = " ".join(word.removeprefix(_MARK) for word in words)
    return options


def filter_text(options: argparse.Namespace) -> str:
    """Return the filter with --since as one of its words.

    Raises:
        ConfigError: --since is no time.
    """
    since = getattr(options, "since", "")
    if not since:
        return str(options.filter)
    check_moment("--since", since)
    return f'{options.filter} since:"{since}"'.strip()


def say_notes(text: str, out: Out) -> None:
    """Say what of a filter was not understood."""
    from llmflow_web.wire.grammar import parse_filter

    for note in parse_filter(text).notes:
        out.note(note)


def check_moment(flag: str, text: str) -> None:
    """Raise ConfigError when a text is no time."""
    from llmflow_web.wire.grammar import parse_filter

    written = parse_filter(f'since:"{text}"')
    if written.notes or len(written.terms) != 1 or written.terms[0].field != "timestamp":
        raise ConfigError(
            f"{flag} is 15m, 24h, 7d, a date such as 2026-11-01 or milliseconds since 1970; got {text[:40]!r}"
        )


def count_of(text: str) -> int:
    """Read a count of at least 1."""
    if not text.isascii() or not text.isdecimal() or not 0 < int(text) < 2**53:
        raise argparse.ArgumentTypeError(f"a whole number of at least 1 is wanted; got {text[:40]!r}")
    return int(text)


def config_from(options: argparse.Namespace) -> Config:
    """Return the settings, those of the flags first. Raises ConfigError."""
    told = vars(options)
    flags = {name: told[name] for name in _SETTINGS if name in told}
    return configuration.load(flags, os.environ, config_file=told.get("config"))


# ── output ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class Out:
    """Standard output for people or programs, and what is said beside it on standard error."""

    def __init__(self, *, is_json: bool, has_color: bool, width: int) -> None:
        self.is_json = is_json
        self.width = width
        self.paint = Paint(has_color=has_color)

    def __repr__(self) -> str:
        return f"<Out {'JSON' if self.is_json else 'text'}, {self.width} columns>"

    def lines(self, lines: Sequence[str]) -> None:
        """Write lines."""
        for line in lines:
            print(line)

    def value(self, value: object) -> None:
        """Write JSON on one line, harmless to a terminal."""
        print(json_line(value))

    def note(self, text: str) -> None:
        """Say something beside what was asked for."""
        from llmflow_web.app.cli.cells import clean

        if sys.stderr is not None:
            print(f"llmflow: {clean(text)}", file=sys.stderr, flush=True)


def json_line(value: object) -> str:
    """Return JSON in which every character a terminal might act on is an escape."""
    text = json.dumps(value, ensure_ascii=False, separators=(", ", ": "), default=str)
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text)


def out_for(config: Config, options: argparse.Namespace) -> Out:
    """Make the output: colours only on a terminal that knows them."""
    is_terminal = is_tty(sys.stdout) and os.environ.get("TERM") != "dumb"
    with suppress(AttributeError, ValueError):
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr] # a terminal that is not UTF-8
    return Out(
        is_json=bool(getattr(options, "json", False)),
        has_color=is_terminal and not config.no_color,
        width=_width() if is_tty(sys.stdout) else DEFAULT_WIDTH,
    )


def _width() -> int:
    text = os.environ.get("COLUMNS", "")
    with suppress(OSError, ValueError):
        wide = int(text) if text.isdecimal() else os.get_terminal_size(sys.stdout.fileno()).columns
        return max(LEAST_WIDTH, wide or DEFAULT_WIDTH)
    return DEFAULT_WIDTH


def is_tty(stream: Any) -> bool:
    """Say whether a stream is a terminal."""
    return stream is not None and bool(stream.isatty())


def ending(work: Callable[[], int]) -> int:
    """Run a command and return its exit code, also when whoever reads its output goes away."""
    try:
        code = work()
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        _leave_pipe()
        return EXIT_PIPE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return code


def _leave_pipe() -> None:
    """Let Python's own flush at the end find something that takes it."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


class Bar:
    """How far long work is, on a terminal alone; erased when it is over."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._is_shown = is_tty(sys.stderr) and os.environ.get("TERM") != "dumb"

    def show(self, done: int, of: int) -> None:
        """Say how much is done."""
        if self._is_shown:
            share = min(1.0, done / of) if of else 1.0
            filled = int(24 * share)
            line = f"{self._what} [{'#' * filled}{'.' * (24 - filled)}] {share:4.0%}  {done:,} of {of:,}"
            sys.stderr.write(f"\r\x1b[K{line}")
            sys.stderr.flush()

    def clear(self) -> None:
        """Make room for what comes after."""
        if self._is_shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
