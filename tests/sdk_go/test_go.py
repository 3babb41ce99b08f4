"""packaging/go/llmflow: its own tests, and its example against a whole LLMFlow."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from examples_help import check_briefing, surroundings

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "packaging" / "go" / "llmflow"
EXAMPLE = ROOT / "docs" / "examples" / "go"
PATIENCE_S = 900  # the first build compiles net/http, on a machine that may be slow and busy

pytestmark = [
    pytest.mark.skipif(shutil.which("go") is None, reason="go is not installed"),
    pytest.mark.timeout(2 * PATIENCE_S),
]

Go = Callable[..., str]


@pytest.fixture
def go(request: pytest.FixtureRequest) -> Iterator[Go]:
    """Run go where nothing is fetched; what it compiles is kept from run to run."""
    cache = request.config.cache.mkdir("go-build")
    settings = {
        "GOCACHE": str(cache),
        "GOFLAGS": "-mod=mod",
        "GOPROXY": "off",
        "GOTOOLCHAIN": "local",
        "CGO_ENABLED": "0",  # the compiler of C may not be there
    }
    # One at a time, also where tests run in parallel: two would compile the same packages, each for itself.
    with (cache / "one-at-a-time").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        def run(*words: str | Path, folder: Path = MODULE, env: dict[str, str] | None = None) -> str:
            done = subprocess.run(
                words,
                cwd=folder,
                env={**(env or os.environ), **settings},
                capture_output=True,
                text=True,
                timeout=PATIENCE_S,
            )
            assert done.returncode == 0, done.stdout + done.stderr
            return done.stdout

        yield run


def test_the_module(go):
    """The Go SDK is formatted, vetted, and passes its tests."""
    assert go("gofmt", "-l", ".", EXAMPLE) == ""
    go("go", "vet", "./...")
    assert "ok" in go("go", "test", "./...")


def test_the_example(go, flow, tmp_path):
    """The agent in Go needs no key, and its five calls stand under the steps that made them."""
    program = tmp_path / "agent"
    go("go", "build", "-o", program, ".", folder=EXAMPLE)
    check_briefing(flow, go(program, folder=tmp_path, env=surroundings(flow)))


def test_it_needs_the_standard_library_alone():
    """Nothing has to be fetched, neither for the SDK nor for its tests; Debian's Go is new enough."""
    assert (MODULE / "go.mod").read_text(encoding="utf-8").split() == ["module", "llmflow", "go", "1.19"]
