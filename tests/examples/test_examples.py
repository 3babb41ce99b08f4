"""The examples in docs/examples run as they are, and leave behind what they promise."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from examples_help import check_briefing, surroundings

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "docs" / "examples"
PATIENCE_S = 120


@pytest.mark.sdk
def test_agent_in_python(flow, tmp_path):
    """agent.py needs no key, and its five calls stand under the steps that made them."""
    pytest.importorskip("openai", reason="the openai SDK is not installed")
    run = subprocess.run(
        [sys.executable, EXAMPLES / "agent.py", "Why is the sky blue?"],
        env=surroundings(flow, PYTHONPATH=str(ROOT)),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert (run.returncode, run.stderr) == (0, "")
    check_briefing(flow, run.stdout)
