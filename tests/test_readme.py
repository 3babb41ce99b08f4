"""What the README and the pages promise is true: links lead somewhere, flags exist, the settings page is current."""

from __future__ import annotations

import importlib.util
import re
from functools import cache
from pathlib import Path

import pytest

from llmflow_web.app.cli import COMMANDS

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")] + sorted(
    (ROOT / "docs").glob("*.md")
)


@cache
def known_flags() -> set[str]:
    parsers = [command.load().make_parser(name) for name, command in COMMANDS.items()]
    return {flag for parser in parsers for flag in parser._option_string_actions}


def test_there_is_one_command_for_each_purpose() -> None:
    """Two set-up commands stand on a line of their own, each with its virtual environment: the demo and the tests."""
    commands = re.findall(r"^python3 -m venv .*$", README, re.MULTILINE)
    assert len(commands) == 2
    assert commands[0].endswith(".venv/bin/llmflow demo")
    assert commands[1].endswith(".venv/bin/pytest -n 2 --dist loadfile")


def test_ci_runs_the_readme_s_test_command() -> None:
    """.ci/run takes the test command out of the README instead of having one of its own."""
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "README.md" in script
    pattern = re.search(r"s/\^\\\((.*?)\\\)\$/", script)
    assert pattern
    assert len(re.findall(f"^{pattern[1]}$", README, re.MULTILINE)) == 1


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link and picture in a page exists."""
    for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_flags_exist(page: Path) -> None:
    """Every flag of llmflow that a page names in backquotes is one the program knows."""
    foreign = {"--llmflow-cassette-mode", "--group", "--upgrade", "--check", "--strict", "--output"}
    for code in re.findall(r"`(--[^`]+)`", page.read_text(encoding="utf-8")):
        for flag in re.findall(r"--[a-z][a-z-]*[a-z](?![a-z-])", code):
            assert flag in known_flags() | foreign, flag


def test_files_named_in_the_pages_exist() -> None:
    """Paths to our own files and folders named in backquotes exist."""
    pattern = r"`((?:llmflow_web|providers|packaging|tests|docs|\.ci)/[A-Za-z0-9_./-]*)`"
    for page in PAGES:
        for path in re.findall(pattern, page.read_text(encoding="utf-8")):
            assert (ROOT / path).exists(), f"{page.name}: {path}"


def test_the_settings_page_is_current() -> None:
    """docs/configuration.md is what the table of settings says."""
    spec = importlib.util.spec_from_file_location("write_docs", ROOT / "packaging" / "write_docs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8") == module.render()


def test_the_changelog_has_an_unreleased_part() -> None:
    """The changelog opens with what is not released yet."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## Unreleased$", text, re.MULTILINE)
