"""llmflow completion: what Tab offers, asked of the shells themselves where they are installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from llmflow_web.app.cli import COMMANDS, run
from llmflow_web.app.cli.completion import SHELLS, script, words
from llmflow_web.app.settings import SETTINGS
from llmflow_web.wire.grammar import FIELDS

BASH = shutil.which("bash")


def test_every_command_and_flag_is_known() -> None:
    """The words are those of the parsers: all commands, all settings of the server, choices, filters."""
    known = {word.name: word for word in words()}
    assert set(known) == set(COMMANDS)
    served = {name for flag in known["serve"].flags for name in flag.names}
    assert {setting.flag for setting in SETTINGS} <= served
    assert known["ls"].takes_filter
    assert known["import"].takes_files
    assert known["completion"].choices == SHELLS


@pytest.mark.skipif(BASH is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        (["llmflow", "st"], ["stats"]),
        (["llmflow", "--proxy"], ["--proxy-port"]),
        (["llmflow", "ls", "--so"], ["--sort"]),
        (["llmflow", "ls", "--sort", "d"], ["duration"]),
        (["llmflow", "ls", "mod"], ["model:"]),
        (["llmflow", "serve", "--log-format", ""], ["text", "json"]),
        (["llmflow", "completion", ""], list(SHELLS)),
        (["llmflow", "prune", "--older-than", "3"], []),
    ],
)
def test_bash_offers_words(tmp_path: Path, line: list[str], offered: list[str]) -> None:
    """Bash itself, given a line, comes to these words."""
    (tmp_path / "c.bash").write_text("\n".join(script("bash")))
    quoted = " ".join(f"'{word}'" for word in line)
    code = f'source c.bash; COMP_WORDS=({quoted}); COMP_CWORD={len(line) - 1}; _llmflow; printf "%s\\n" "${{COMPREPLY[@]}}"'
    assert BASH is not None
    done = subprocess.run(
        [BASH, "--norc", "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr == ""
    assert [word for word in done.stdout.split("\n") if word] == offered


@pytest.mark.parametrize("shell", SHELLS)
def test_scripts_are_sound(shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every shell's script names every command and filter word, and the shell, where there is one, reads it."""
    assert run(["completion", shell]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in COMMANDS)
    assert all(field in text for field in FIELDS)
    installed = shutil.which(shell)
    if installed is not None:
        path = tmp_path / "script"
        path.write_text(text)
        subprocess.run([installed, "-n", str(path)], check=True, timeout=60)


def test_an_unknown_shell_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    """Anything else ends with 2."""
    with pytest.raises(SystemExit) as ended:
        run(["completion", "tcsh"])
    assert ended.value.code == 2
    assert "tcsh" in capsys.readouterr().err
