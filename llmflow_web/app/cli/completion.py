"""`llmflow completion SHELL`: what makes Tab know the commands, written from the tables the parsers are made of."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from llmflow_web.app.cli import COMMANDS
from llmflow_web.app.cli.options import ending
from llmflow_web.wire.grammar import FIELDS

SHELLS = ("bash", "zsh", "fish")
_FOLDERS = frozenset({"data_dir"})
_FILES = frozenset({"PATH", "FILE", "FILE|-", "FORM=FILE"})

_USAGE = """\
Write the completion of a shell to standard output.

  bash  eval "$(llmflow completion bash)"           in ~/.bashrc
  zsh   eval "$(llmflow completion zsh)"            in ~/.zshrc, behind compinit
  fish  llmflow completion fish > ~/.config/fish/completions/llmflow.fish"""


@dataclass(frozen=True, slots=True)
class Flag:
    """One option: how it is written, what it is for, what stands behind it."""

    names: tuple[str, ...]
    help: str
    has_value: bool = False
    choices: tuple[str, ...] = ()
    is_file: bool = False
    is_folder: bool = False


@dataclass(frozen=True, slots=True)
class Word:
    """A command with its options; what may stand behind it without a dash."""

    name: str
    help: str
    flags: tuple[Flag, ...]
    choices: tuple[str, ...] = ()
    takes_filter: bool = False
    takes_files: bool = False


def make_parser(command: str) -> argparse.ArgumentParser:
    """Make the parser of `completion`."""
    parser = argparse.ArgumentParser(
        prog=f"llmflow {command}",
        usage=f"llmflow {command} bash|zsh|fish",
        description=_USAGE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help="bash, zsh or fish")
    return parser


def run(command: str, argv: Sequence[str]) -> int:
    """Run `completion` and return the exit code."""
    shell: str = make_parser(command).parse_args(argv).shell

    def work() -> int:
        print("\n".join(script(shell)))
        return 0

    return ending(work)


def words() -> list[Word]:
    """Return all commands as their parsers know them."""
    return [_word(name, command.load().make_parser(name), command.help) for name, command in COMMANDS.items()]


def _word(name: str, parser: argparse.ArgumentParser, text: str) -> Word:
    actions = parser._actions  # noqa: SLF001 - the parser's own table, which argparse shows in no other way
    flags = tuple(_flag(one) for one in actions if one.option_strings and one.help != argparse.SUPPRESS)
    places = [one for one in actions if not one.option_strings]
    return Word(
        name,
        text,
        flags,
        choices=tuple(str(choice) for one in places for choice in one.choices or ()),
        takes_filter=any(one.dest == "filter" for one in places),
        takes_files=any(one.metavar in _FILES for one in places),
    )


def _flag(action: argparse.Action) -> Flag:
    return Flag(
        tuple(action.option_strings),
        str(action.help or "").replace("%%", "%").split(". ")[0].rstrip("."),
        has_value=action.nargs != 0,
        choices=tuple(map(str, action.choices or _named_in(action.metavar))),
        is_file=action.metavar in _FILES and action.dest not in _FOLDERS,
        is_folder=action.dest in _FOLDERS,
    )


def _named_in(metavar: object) -> Sequence[str]:
    """Return the words of a setting that is shown as text|json."""
    is_choice = isinstance(metavar, str) and "|" in metavar and metavar.islower()
    return str(metavar).split("|") if is_choice else ()


def script(shell: str) -> Iterator[str]:
    """Yield the lines of a shell's script."""
    return _SCRIPTS[shell](words())


# ── bash ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _bash(known: Sequence[Word]) -> Iterator[str]:
    fields = " ".join(f"{field}:" for field in FIELDS)
    yield "_llmflow() {"
    yield '  local cur="${COMP_WORDS[COMP_CWORD]}" prev="${COMP_WORDS[COMP_CWORD-1]}" word="${COMP_WORDS[1]}"'
    yield "  COMPREPLY=()"
    yield "  if [[ $COMP_CWORD -eq 1 && $cur != -* ]]; then"
    yield f'    COMPREPLY=($(compgen -W {shlex.quote(" ".join(one.name for one in known))} -- "$cur"))'
    yield "    return"
    yield "  fi"
    yield '  case "$word" in'
    for one in sorted(known, key=lambda word: word.name == "serve"):  # what is no command belongs to `serve`
        yield f"    {'*' if one.name == 'serve' else one.name})"
        yield '      case "$prev" in'
        for flag in one.flags:
            if flag.has_value:
                yield f"        {'|'.join(flag.names)}) {_bash_value(flag)}; return;;"
        yield "      esac"
        yield "      if [[ $cur == -* ]]; then"
        names = " ".join(name for flag in one.flags for name in flag.names)
        yield f'        COMPREPLY=($(compgen -W {shlex.quote(names)} -- "$cur"))'
        yield from _bash_places(one, fields)
        yield "      fi;;"
    yield "  esac"
    yield "}"
    yield "complete -F _llmflow llmflow"


def _bash_value(flag: Flag) -> str:
    if flag.choices:
        return f'COMPREPLY=($(compgen -W {shlex.quote(" ".join(flag.choices))} -- "$cur"))'
    if flag.is_file:
        return 'COMPREPLY=($(compgen -f -- "$cur"))'
    return 'COMPREPLY=($(compgen -d -- "$cur"))' if flag.is_folder else ":"


def _bash_places(word: Word, fields: str) -> Iterator[str]:
    if word.choices:
        yield "      else"
        yield f'        COMPREPLY=($(compgen -W {shlex.quote(" ".join(word.choices))} -- "$cur"))'
    elif word.takes_files:
        yield "      else"
        yield '        COMPREPLY=($(compgen -f -- "$cur"))'
    elif word.takes_filter:
        yield "      else"
        yield f'        COMPREPLY=($(compgen -W {shlex.quote(fields)} -- "$cur"))'
        yield "        compopt -o nospace 2>/dev/null"


# ── zsh ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _zsh(known: Sequence[Word]) -> Iterator[str]:
    yield "#compdef llmflow"
    yield "_llmflow() {"
    yield "  local -a commands"
    yield "  commands=("
    yield from (f"    {shlex.quote(_zsh_text(one.name) + ':' + _zsh_text(one.help))}" for one in known)
    yield "  )"
    yield "  if (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then"
    yield "    _describe command commands"
    yield "    return"
    yield "  fi"
    yield "  local word=$words[2]"
    yield "  shift words; (( CURRENT-- ))"
    yield "  case $word in"
    for one in sorted(known, key=lambda word: word.name == "serve"):
        yield f"    {'*' if one.name == 'serve' else one.name})"
        yield "      _arguments -s \\"
        yield from (f"        {shlex.quote(line)} \\" for flag in one.flags for line in _zsh_flag(flag))
        yield f"        {shlex.quote(_zsh_places(one))};;"
    yield "  esac"
    yield "}"
    yield "compdef _llmflow llmflow"


def _zsh_text(text: str) -> str:
    for char in "\\:[]":
        text = text.replace(char, f"\\{char}")
    return text


def _zsh_flag(flag: Flag) -> Iterator[str]:
    action = f":value:({' '.join(flag.choices)})" if flag.choices else ":file:_files" if flag.is_file else ":value:"
    action = ":folder:_files -/" if flag.is_folder else action
    for name in flag.names:
        yield f"*{name}[{_zsh_text(flag.help)}]{action if flag.has_value else ''}"


def _zsh_places(word: Word) -> str:
    if word.choices:
        return f"*:what:({' '.join(word.choices)})"
    if word.takes_files:
        return "*:file:_files"
    if word.takes_filter:
        fields = " ".join(f"{field}\\:" for field in FIELDS)
        return f"*:filter:({fields})"
    return "*:what:"


# ── fish ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _fish(known: Sequence[Word]) -> Iterator[str]:
    yield "complete -c llmflow -f"
    for one in known:
        yield f"complete -c llmflow -n __fish_use_subcommand -a {one.name} -d {_fish_text(one.help)}"
    for one in known:
        when = f"'__fish_seen_subcommand_from {one.name}'"
        for flag in one.flags:
            yield f"complete -c llmflow -n {when} {_fish_flag(flag)} -d {_fish_text(flag.help)}"
        if one.choices:
            yield f"complete -c llmflow -n {when} -a {_fish_text(' '.join(one.choices))}"
        if one.takes_files:
            yield f"complete -c llmflow -n {when} -F"
        if one.takes_filter:
            yield f"complete -c llmflow -n {when} -a {_fish_text(' '.join(f'{field}:' for field in FIELDS))}"


def _fish_flag(flag: Flag) -> str:
    parts = [f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in flag.names]
    if flag.choices:
        parts.append(f"-x -a {_fish_text(' '.join(flag.choices))}")
    elif flag.is_file or flag.is_folder:
        parts.append("-r -F")
    elif flag.has_value:
        parts.append("-x")
    return " ".join(parts)


def _fish_text(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


_SCRIPTS = {"bash": _bash, "zsh": _zsh, "fish": _fish}
