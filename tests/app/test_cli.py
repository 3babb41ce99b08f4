"""The command line: from arguments to settings, and to exit codes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import pytest

from llmflow_web.app import cli
from llmflow_web.app.cli import run
from llmflow_web.app.cli.parser import make_parser, parse
from llmflow_web.app.settings import SETTINGS, Config
from llmflow_web.errors import StoreRefused


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Config]:
    """Collect the configurations that would be served."""
    from llmflow_web.app import serve

    found: list[Config] = []

    def keep(config: Config, _console: object) -> int:
        found.append(config)
        return 0

    monkeypatch.setattr(serve, "run_server", keep)
    for name in list(os.environ):
        if name.startswith(("LLMFLOW_", "OLLAMA_")):
            monkeypatch.delenv(name)
    return found


@pytest.mark.parametrize("argv", [[], ["serve"], ["serve", "--verbose"], ["--verbose"]])
def test_serve_is_the_default(served: list[Config], argv: Sequence[str]) -> None:
    """Without a command it serves."""
    assert run(argv) == 0
    assert served[0].verbose is ("--verbose" in argv)


def test_flags_become_settings(served: list[Config]) -> None:
    """Every kind of flag arrives, repeated ones all together, and the last of two wins."""
    argv = ["--proxy-port", "1", "--proxy-port=2", "--allow-host", "a.test", "--allow-host", "b.test", "--no-env-keys"]
    assert run([*argv, "--upstream", "box=http://x:1", "--upstream", "bax=http://y:1", "--no-color", "--quiet"]) == 0
    config = served[0]
    assert (config.proxy_port, config.allow_host, config.env_keys) == (2, ("a.test", "b.test"), False)
    assert set(config.upstreams) == {"box", "bax"}
    assert config.no_color
    assert config.quiet


def test_a_switch_can_be_turned_both_ways() -> None:
    """--env-keys and --no-env-keys are both known, whatever the environment says."""
    assert parse("serve", ["--env-keys"]).flags == {"env_keys": ["on"]}
    assert parse("serve", ["--no-verbose"]).flags == {"verbose": ["off"]}
    assert parse("serve", ["--no-color"]).flags == {"no_color": ["on"]}


def test_every_setting_is_a_flag() -> None:
    """The table and the parser know the same flags."""
    known = make_parser("serve")._option_string_actions
    assert all(setting.flag in known for setting in SETTINGS)


def test_a_wrong_setting_is_2(capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong setting is one line on stderr and exit code 2."""
    assert run(["--max-age", "soon"]) == 2
    assert capsys.readouterr().err.startswith("llmflow: max_age (set by --max-age): 'soon' is not")


def test_a_refusal_is_1(
    served: list[Config], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What keeps it from starting is one line and exit code 1."""
    from llmflow_web.app import serve

    def refuse(*_: Any) -> int:
        raise StoreRefused("not ours")

    monkeypatch.setattr(serve, "run_server", refuse)
    assert run([]) == 1
    assert capsys.readouterr().err == "llmflow: not ours\n"


def test_main_ends_by_system_exit(monkeypatch: pytest.MonkeyPatch) -> None:
    """main() raises SystemExit with the code: a zipapp drops return values."""
    monkeypatch.setattr(cli, "run", lambda _argv: 7)
    with pytest.raises(SystemExit) as ended:
        cli.main([])
    assert ended.value.code == 7


def test_options_cannot_be_abbreviated(capsys: pytest.CaptureFixture[str]) -> None:
    """A flag is written in full, so that a new one never changes what an old command means."""
    with pytest.raises(SystemExit) as ended:
        run(["--proxy", "1"])
    assert ended.value.code == 2
    assert "--proxy" in capsys.readouterr().err


def test_a_command_behind_its_options(capsys) -> None:
    """Options before the command are refused with the way it is meant."""
    with pytest.raises(SystemExit) as ended:
        cli.run(["--data-dir", "/nowhere", "doctor"])
    assert ended.value.code == 2
    assert "a command comes before its options: llmflow doctor" in capsys.readouterr().err


def test_a_mode_without_a_cassette(capsys) -> None:
    """--cassette-mode alone would record nothing: it is refused, and says what is missing."""
    assert cli.run(["--cassette-mode", "record", "--proxy-port", "0", "--dashboard-port", "0"]) != 0
    told = capsys.readouterr()
    assert "add --cassette FILE" in told.out + told.err
