"""`llmflow run`: its options. What stands behind `--` is the command, and none of ours."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from llmflow_web.app import kinds
from llmflow_web.app.cli.parser import add_config, add_setting, add_upstream
from llmflow_web.app.settings import BUDGETS, CASSETTES, DATA, SETTINGS, UPSTREAMS
from llmflow_web.errors import ConfigError

_FIRST = (BUDGETS, CASSETTES, UPSTREAMS, DATA)
_OTHERWISE: Mapping[str, Mapping[str, Any]] = {
    "proxy_port": {"shown_default": "a free one"},
    "dashboard_port": {"shown_default": "a free one"},
    "data_dir": {"shown_default": "a folder that goes away at the end"},
    "price_refresh": {"default": False},
    "quiet": {"help": "No addresses and no table, only what failed."},
    "verbose": {"help": "A line for each call, settings and paths."},
}
"""What is otherwise than in a server that stays."""

_HELP = """\
Run COMMAND with its LLM calls recorded, and tell what they cost.

Starts LLMFlow on free ports, sets the variables by which SDKs and agents
find their providers (OPENAI_BASE_URL, ANTHROPIC_BASE_URL …), runs COMMAND and
ends with its exit code. What is recorded goes away at the end, unless
--data-dir names a folder. docs/ci.md has variables, reports and examples."""

_EPILOG = """\
exit codes:
  the command's own; 128 + N if signal N ended it
  126 it cannot be run, 127 it was not found
  1  LLMFlow could not start, or a report could not be written
  2  an option is wrong
  3  the command ended with 0, but a cap (--max-cost …) was passed"""


def run(command: str, argv: Sequence[str]) -> int:
    """Run a command and return the exit code."""
    from llmflow_web.app.run import Options, run_command

    parser = make_parser(command)
    ours, rest = _split(argv)
    if not rest and not {"-h", "--help"}.intersection(ours):
        parser.error("the command has to stand behind --, as in: llmflow run --max-cost 0.50 -- pytest -q")
    told: dict[str, Any] = vars(parser.parse_args(ours))
    options = Options(
        command=rest,
        reports=[_report(words) for words in told.pop("report", ())],
        leave=told.pop("leave", ()),
        kill_after_s=told.pop("kill_after", 10.0),
        config_file=told.pop("config", None),
        flags=told,
    )
    return run_command(options, os.environ)


def _split(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    words = list(argv)
    if "--" not in words:
        return words, []
    at = words.index("--")
    return words[:at], words[at + 1 :]


def make_parser(command: str) -> argparse.ArgumentParser:
    """Make the parser of `llmflow run`."""
    from llmflow_web.app.run import NOT_TAKEN

    parser = argparse.ArgumentParser(
        prog=f"llmflow {command}",
        usage=f"llmflow {command} [options] -- COMMAND [ARGUMENT …]",
        description=_HELP,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--report",
        action="append",
        nargs="+",
        metavar="FORM=FILE",
        help="Write a report: md=FILE, json=FILE or junit=FILE; also as two words. Can be given several times.",
    )
    parser.add_argument(
        "--leave",
        action="append",
        metavar="VARIABLE",
        help="Leave this environment variable as it is. Can be given several times.",
    )
    parser.add_argument(
        "--kill-after",
        type=_time,
        metavar="TIME",
        help="Time the command has to end after SIGTERM or SIGHUP, and what it left running after its end. [10s]",
    )
    add_config(parser)
    groups = {name: parser.add_argument_group(name) for name in _groups()}
    for setting in SETTINGS:
        if setting.name not in NOT_TAKEN:
            add_setting(groups[setting.group], replace(setting, **_OTHERWISE.get(setting.name, {})))
    add_upstream(groups[UPSTREAMS])
    return parser


def _groups() -> list[str]:
    """Return the groups of settings, first those that a run is made for."""
    return list(dict.fromkeys([*_FIRST, *(setting.group for setting in SETTINGS)]))


def _time(text: str) -> float:
    try:
        return float(kinds.SECONDS.parse(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not {kinds.SECONDS.allowed}") from None


def _report(words: Sequence[str]) -> tuple[str, Path]:
    """Read `md=FILE`, or `md FILE`. Raises ConfigError."""
    from llmflow_web.app.run_report import FORMATS

    form, sign, file = words[0].partition("=")
    if len(words) == 2 and not sign:
        file = words[1]
    elif len(words) != 1:
        raise ConfigError(f"--report: {' '.join(words)!r} is not FORM=FILE")
    if form not in FORMATS or not file:
        raise ConfigError(f"--report: {' '.join(words)!r} is not one of {', '.join(f'{one}=FILE' for one in FORMATS)}")
    path = Path(file)
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise ConfigError(f"--report: {file} cannot be written: its folder is missing, or it is one itself")
    return form, path
