"""Flags from the table of settings. Loaded only when there are arguments to read."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llmflow_web.app.cli import COMMANDS
from llmflow_web.app.settings import SETTINGS, Setting
from llmflow_web.version import VERSION

_UPSTREAM_HELP = (
    "Send NAME's calls to URL. A known provider is redirected; any other NAME becomes a route: "
    "vllm=http://127.0.0.1:8000 adds /vllm/v1. Can be given several times."
)


@dataclass(frozen=True, slots=True)
class Options:
    """A command line, read: flags as texts by setting name, and what only the command itself knows."""

    flags: dict[str, list[str]]
    config_file: str | None
    extra: dict[str, bool]


def parse(command: str, argv: Sequence[str]) -> Options:
    """Read the arguments of `command`. Prints and exits for --help, --version and what is wrong (code 2)."""
    found: dict[str, Any] = vars(make_parser(command).parse_args(argv))
    config_file = found.pop("config", None)
    extra: dict[str, bool] = {name: found.pop(name) for name in ("once", "open") if name in found}
    return Options(flags=found, config_file=config_file, extra=extra)


def make_parser(command: str) -> argparse.ArgumentParser:
    """Make the parser of `command`."""
    parser = argparse.ArgumentParser(
        prog="llmflow" if command == "serve" else f"llmflow {command}",
        usage="llmflow [command] [options]" if command == "serve" else None,
        description="See every LLM call your code makes: prompt, answer, tokens, latency and cost.",
        epilog=_epilog(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    parser.add_argument("-v", "--version", action="version", version=f"llmflow v{VERSION}")
    add_config(parser)
    if command == "demo":
        parser.add_argument("--once", action="store_true", help="Send the calls, print a table, check it and end.")
        parser.add_argument("--open", action="store_true", help="Open the dashboard in a browser.")
    groups: dict[str, argparse._ArgumentGroup] = {}
    for setting in SETTINGS:
        group = groups.get(setting.group) or groups.setdefault(setting.group, parser.add_argument_group(setting.group))
        add_setting(group, setting)
    add_upstream(groups["Upstreams and keys"])
    return parser


def add_upstream(group: argparse._ArgumentGroup) -> None:
    """Add the flag that places an upstream."""
    group.add_argument("--upstream", action="append", metavar="NAME=URL", help=_UPSTREAM_HELP)


def add_config(parser: argparse._ActionsContainer) -> None:
    """Add the flag that names another file of settings."""
    parser.add_argument(
        "--config", metavar="FILE", help="Read settings from FILE instead of llmflow.toml in the data directory."
    )


def add_setting(group: argparse._ArgumentGroup, setting: Setting) -> None:
    """Add the flag of a setting."""
    text = setting.help if setting.kind.is_switch else f"{setting.help} [{setting.default_text}]"
    text = text.replace("%", "%%")  # argparse would fill in
    positive = "--" + setting.name.replace("_", "-")
    if not setting.kind.is_switch:
        group.add_argument(positive, action="append", dest=setting.name, metavar=setting.kind.metavar, help=text)
        return
    words = {positive: "on"}
    if not setting.name.startswith("no_"):
        words["--no-" + setting.name.replace("_", "-")] = "off"
    for flag, word in words.items():
        shown = argparse.SUPPRESS if flag != setting.flag else text if flag == positive else _denied(text)
        group.add_argument(flag, action="append_const", const=word, dest=setting.name, help=shown)


def _denied(text: str) -> str:
    return f"Do not {text[0].lower()}{text[1:]}"


def _epilog() -> str:
    lines = ["commands:"]
    lines += [f"  {name:<12}{command.help}" for name, command in COMMANDS.items()]
    lines += [
        "",
        "Each option is also an environment variable (--proxy-port: LLMFLOW_PROXY_PORT)",
        "and a key of llmflow.toml (proxy_port). An option wins over the environment,",
        "the environment over the file. Each command has a --help of its own.",
    ]
    return "\n".join(lines)
