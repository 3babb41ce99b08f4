"""The example of a CI job does what it says: its step is run word for word."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import yaml
from run_help import PATIENCE_S, ROOT, environment

EXAMPLES = ROOT / "docs" / "examples"


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder with `llmflow` and `python` as a job finds them after `pip install`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, words in {"llmflow": f'"{ROOT / "llmflow.py"}"', "python": ""}.items():
        file = folder / name
        file.write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n', encoding="utf-8")
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return folder


@pytest.mark.sdk
@pytest.mark.skipif(os.name != "posix", reason="the step is a shell's")
def test_the_workflow_s_step_runs(upstream, tools: Path, tmp_path: Path) -> None:
    """The YAML is a workflow, its step runs the evals against a fake OpenAI, and both reports and the summary are there."""
    pytest.importorskip("openai", reason="the openai SDK is not installed")
    workflow = yaml.safe_load((EXAMPLES / "github-actions.yml").read_text(encoding="utf-8"))
    steps = workflow["jobs"]["evals"]["steps"]
    (step,) = [one for one in steps if "llmflow run" in one.get("run", "")]
    assert set(step["env"]) == {"OPENAI_API_KEY"}
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    shutil.copy(EXAMPLES / "evals.py", checkout)
    summary = tmp_path / "summary.md"
    env = environment(tmp_path, OPENAI_BASE_URL=f"{upstream.url}/v1", GITHUB_STEP_SUMMARY=str(summary))
    env["PATH"] = f"{tools}{os.pathsep}{env['PATH']}"
    done = subprocess.run(
        ["bash", "-e", "-c", step["run"]],
        cwd=checkout, env=env, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(upstream.requests) == 2
    report = json.loads((checkout / "llm-calls.json").read_text(encoding="utf-8"))
    assert (report["totals"]["calls"], report["exit_code"]) == (2, 0)
    assert [limit["exceeded"] for limit in report["limits"]] == [False, False]
    ET.parse(checkout / "llm-calls.xml")
    assert "| openai | gpt-4o-mini" in summary.read_text(encoding="utf-8")
    kept = next(one for one in steps if "upload-artifact" in one.get("uses", ""))["with"]["path"].split()
    assert all((checkout / name).is_file() for name in kept)
