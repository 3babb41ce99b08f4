"""The options of `llmflow run`: those of the server that make sense, and its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmflow_web.app import run as running
from llmflow_web.app.cli import run
from llmflow_web.app.cli.ci import make_parser
from llmflow_web.app.run import NOT_TAKEN, Options
from llmflow_web.app.settings import SETTINGS


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Options]:
    """Collect what would be run."""
    found: list[Options] = []
    monkeypatch.setattr(running, "run_command", lambda options, _env: found.append(options) or 0)
    return found


def test_settings_are_options() -> None:
    """Every setting is one, but those that open the server to others."""
    known = make_parser("run")._option_string_actions
    taken = {setting.name for setting in SETTINGS if "--" + setting.name.replace("_", "-") in known}
    assert taken == {setting.name for setting in SETTINGS} - set(NOT_TAKEN)


def test_help_fits_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """At 80 columns, with the defaults of a run and its caps first."""
    monkeypatch.setenv("COLUMNS", "80")
    told = make_parser("run").format_help()
    assert all(len(line) <= 80 for line in told.splitlines())
    assert "what base URLs point at. [a free one]" in " ".join(told.split())
    assert told.index("--max-cost") < told.index("--cassette") < told.index("--proxy-port")
    assert "--price-refresh" in told
    assert "--no-price-refresh" not in told


def test_what_follows_the_dashes_is_the_command_s(asked: list[Options], tmp_path: Path) -> None:
    """Its options are not ours, a second `--` is its own, and ours come before."""
    report = tmp_path / "r.md"
    argv = ["run", "--max-cost", "1", "--leave", "A", "--leave", "B", "--report", "md", str(report), "--kill-after=3s"]
    assert run([*argv, "--", "tool", "--max-cost", "2", "--", "x"]) == 0
    (options,) = asked
    assert options.command == ["tool", "--max-cost", "2", "--", "x"]
    assert options.flags == {"max_cost": ["1"]}
    assert (options.leave, options.reports, options.kill_after_s) == (["A", "B"], [("md", report)], 3.0)
