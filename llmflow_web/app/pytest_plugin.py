"""A pytest plugin: LLM calls of a test are answered from a cassette beside it, with no network, no key and no cost.

Loaded by pytest itself through an entry point, in every suite of whoever has LLMFlow installed. So it imports nothing
of the server until a test asks for the fixture, and touches no test that does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from llmflow_web.app.embed import Flow

MARK = "llmflow_cassette"
MODES = ("record", "replay", "hybrid")
_MARKER = (
    f"{MARK}(name=None, *, mode=None, match=None, ignore=(), ignore_headers=(), timing=None, unused=None): "
    "answer the test's LLM calls from a cassette"
)
PASSED = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what a run and a configuration file can say."""
    parser.getgroup("llmflow").addoption(
        "--llmflow-cassette-mode",
        choices=MODES,
        default=None,
        help="record LLM calls on cassettes, replay them, or hybrid: record what is missing (default: replay)",
    )
    parser.addini(
        "llmflow_cassette_mode", "mode of cassettes where neither option nor marker says it", default="replay"
    )
    parser.addini("llmflow_cassette_dir", "folder of cassettes, beside the test file", default="cassettes")
    parser.addini("llmflow_cassette_match", "content or sequence", default="content")
    parser.addini("llmflow_cassette_ignore", "fields of requests that may differ", type="linelist", default=[])
    parser.addini("llmflow_cassette_unused", "error: recordings that answered nothing fail the test", default="allow")


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", _MARKER)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Give a marked test the fixture, before any other that may make a client."""
    if (
        isinstance(item, pytest.Function)
        and item.get_closest_marker(MARK) is not None
        and MARK not in item.fixturenames
    ):
        item.fixturenames.insert(0, MARK)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Remember whether a test passed: only then is its cassette judged or tidied."""
    if call.when == "call":
        item.stash[PASSED] = call.excinfo is None


@pytest.fixture
def llmflow_cassette(request: pytest.FixtureRequest) -> Iterator[Flow]:
    """An LLMFlow whose calls are on the test's cassette; the variables that SDKs read lead to it."""
    from llmflow_web.app.pytest_cassette import Wish, cassette_for

    wish = Wish.from_request(request)
    with cassette_for(wish, passed=lambda: request.node.stash.get(PASSED, False)) as flow:
        yield flow
