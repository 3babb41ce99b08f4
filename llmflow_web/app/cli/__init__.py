"""The command line: which command is meant, its settings, and the exit code it ends with.

0    it ended as it should (a stop by signal included)
1    it could not start or finish: a port is taken, a file is refused, the demo was not recorded in full, a line of an
     import was refused
2    a flag, environment variable or file key is wrong
130  a second interrupt ended it at once (143: a second SIGTERM)
141  whoever read what it wrote went away

`llmflow run` ends as its command does; docs/ci.md has its codes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from llmflow_web.app import config as configuration
from llmflow_web.app.settings import Config
from llmflow_web.console import Console
from llmflow_web.errors import ConfigError, LLMFlowError

EXIT_FAILED = 1
EXIT_WRONG_SETTING = 2


@dataclass(frozen=True, slots=True)
class Command:
    """One word of the command line: what it does, and the module that does it, loaded when it is asked for.

    module: of this package; it has `run(command, argv) -> exit code` and `make_parser(command)`.
    """

    help: str
    module: str = "parser"

    def load(self) -> Any:
        """Import the module."""
        return import_module(f"llmflow_web.app.cli.{self.module}")


COMMANDS = {
    "serve": Command("start the proxy and the dashboard (what happens without a command)"),
    "demo": Command("the same with a built-in fake provider and believable calls"),
    "run": Command("run a command with its calls recorded, capped and summed up", "ci"),
    "ls": Command("list calls; takes the words of the dashboard's filter box", "ls"),
    "tail": Command("show calls as they end, live", "tail"),
    "show": Command("show one call: the tree it is in, its figures, its messages", "show"),
    "stats": Command("sum up calls by model, provider, tag and others", "stats"),
    "prompts": Command("list the prompts calls were made from, and their versions", "prompts"),
    "diff": Command("compare two calls or traces", "compare"),
    "replay": Command("send a recorded call once more, edited or by another provider", "replay"),
    "prune": Command("delete traces for good, by age, number, size or filter", "prune"),
    "reprice": Command("work out again what calls cost, by the present prices", "reprice"),
    "doctor": Command("look at ports, data, prices, keys; say how to mend what is wrong", "doctor"),
    "export": Command("write what is recorded as OTLP, JSON Lines or CSV", "transfer"),
    "import": Command("read such files in", "transfer"),
    "completion": Command("write the completion of bash, zsh or fish", "completion"),
}
SERVERS = ("serve", "demo")
"""The commands that take every setting and start the server here."""


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run LLMFlow and end the process with its exit code."""
    raise SystemExit(run(sys.argv[1:] if argv is None else argv))


def run(argv: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    command, rest = (argv[0], argv[1:]) if argv and argv[0] in COMMANDS else ("serve", argv)
    try:
        return _run_command(command, rest)
    except ConfigError as error:
        print(f"llmflow: {error.message}", file=sys.stderr)
        return EXIT_WRONG_SETTING
    except LLMFlowError as error:
        print(f"llmflow: {error.message}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        return 130


def _run_command(command: str, argv: Sequence[str]) -> int:
    if command not in SERVERS:
        code: int = COMMANDS[command].load().run(command, argv)
        return code
    if argv:
        # argparse costs a tenth of the start; without arguments nothing has to be parsed.
        from llmflow_web.app.cli.parser import parse

        try:
            options = parse(command, argv)
        except SystemExit as ended:
            named = next((word for word in argv if word in COMMANDS), None)
            if ended.code == EXIT_WRONG_SETTING and named is not None:
                print(f"llmflow: a command comes before its options: llmflow {named} …", file=sys.stderr)
            raise
        return _start(command, options.flags, options.config_file, options.extra)
    return _start(command, {}, None, {})


def _start(command: str, flags: Mapping[str, list[str]], config_file: str | None, extra: Mapping[str, bool]) -> int:
    if command == "demo":
        from llmflow_web.app.demo import run_demo

        return run_demo(
            flags,
            os.environ,
            config_file=config_file,
            is_once=extra.get("once", False),
            is_opened=extra.get("open", False),
        )
    config = configuration.load(flags, os.environ, config_file=config_file)
    from llmflow_web.app.serve import run_server

    return run_server(config, console_for(config))


def console_for(config: Config) -> Console:
    """Make the console a configuration asks for; colours only on a terminal that knows them."""
    stream = sys.stdout
    is_terminal = stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"
    return Console(
        stream or Path(os.devnull).open("w", encoding="utf-8"),  # pythonw has no stdout
        is_json=config.log_format == "json",
        is_quiet=config.quiet,
        is_verbose=config.verbose,
        has_color=is_terminal and not config.no_color,
    )
