"""packaging/go/llmflow: its own tests, and its example against a whole LLMFlow."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from examples_help import check_briefing, surroundings

from llmflow_web.sdk import capture, delivery, fields

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "packaging" / "go" / "llmflow"
PAGE = (ROOT / "docs" / "sdk.md").read_text(encoding="utf-8")
EXAMPLE = ROOT / "docs" / "examples" / "go"
PATIENCE_S = 900  # the first build compiles net/http, on a machine that may be slow and busy

pytestmark = pytest.mark.timeout(2 * PATIENCE_S)

Go = Callable[..., str]


@pytest.fixture
def go(request: pytest.FixtureRequest) -> Iterator[Go]:
    """Run go where nothing is fetched; what it compiles is kept from run to run."""
    if shutil.which("go") is None:
        pytest.skip("go is not installed")
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


def test_what_the_page_shows(go, tmp_path):
    """The program in docs/sdk.md compiles, with the SDK copied and named as the page says."""
    (program,) = re.findall(r"^```go\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    (tmp_path / "main.go").write_text(program, encoding="utf-8")
    shutil.copytree(MODULE, tmp_path / "third_party" / "llmflow")
    (tmp_path / "go.mod").write_text("module shown\n\ngo 1.19\n", encoding="utf-8")
    (edit,) = re.findall(r"&& (go mod edit .*)$", PAGE, re.MULTILINE)
    go(*edit.split(), folder=tmp_path)
    assert go("gofmt", "-l", "main.go", folder=tmp_path) == ""
    go("go", "vet", ".", folder=tmp_path)


def test_limits_are_those_of_python():
    """Both SDKs hold and cut the same, as the page says."""
    told = "\n".join(path.read_text(encoding="utf-8") for path in MODULE.glob("*.go"))
    for name, value in {
        "maxBatchSpans": delivery.MAX_BATCH_SPANS,
        "maxBatchBytes": f"{delivery.MAX_BATCH_WEIGHT >> 20} << 20",
        "maxWaitingSpans": delivery.MAX_WAITING_SPANS,
        "maxWaitingBytes": f"{delivery.MAX_WAITING_WEIGHT >> 20} << 20",
        "maxPause": f"{delivery.MAX_PAUSE_S:.0f} * time.Second",
        "closeTimeout": f"{delivery.EXIT_TIMEOUT_S:.0f} * time.Second",
        "maxContentChars": f"{capture.MAX_CHARS >> 10} * 1024",
        "maxItems": capture.MAX_ITEMS,
        "maxErrorChars": f"{fields.MAX_ERROR_CHARS >> 10} * 1024",
        "maxAttributeChars": f"{fields.MAX_ATTRIBUTE_CHARS >> 10} * 1024",
        "maxTags": fields.MAX_TAGS,
    }.items():
        assert re.search(rf"^\t{name}\s+= {re.escape(str(value))}\b", told, re.MULTILINE), name


def test_it_needs_the_standard_library_alone():
    """Nothing has to be fetched, neither for the SDK nor for its tests; Debian's Go is new enough."""
    assert (MODULE / "go.mod").read_text(encoding="utf-8").split() == ["module", "llmflow", "go", "1.19"]
