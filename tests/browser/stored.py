"""A whole LLMFlow on a data dir made by `tests/bench/ui_fixture.py`, and the addresses of all its screens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from bench import ui_fixture as made
from browser.waiting import until
from conftest import Flow

TRACES = 3000

SCREENS = {
    "list": "/traces",
    "filtered": "/traces?q=status%3Aerror&since=7d",
    "empty list": "/traces?q=nothingofthesort",
    "waterfall": f"/traces/{made.TREE_TRACE}",
    "messages": f"/traces/{made.EVIL_TRACE}?span={made.EVIL_TRACE[-16:]}&tab=messages",
    "raw": f"/traces/{made.EVIL_TRACE}?span={made.EVIL_TRACE[-16:]}&tab=raw",
    "attributes": f"/traces/{made.EVIL_TRACE}?span={made.EVIL_TOOL}&tab=attributes",
    "cost": f"/traces/{made.EVIL_TRACE}?span={made.EVIL_TRACE[-16:]}&tab=cost",
    "trace logs": f"/traces/{made.EVIL_TRACE}?tab=logs",
    "joined": f"/traces/{made.JOINED_TRACE}",
    "unknown trace": f"/traces/{0xBAD:032x}",
    "diff": f"/diff/{made.EVIL_TRACE}/{made.TREE_TRACE}",
    "sessions": "/sessions",
    "session": f"/sessions/{quote(made.EVIL + ' session_id', safe='')}",
    "analytics": "/analytics?since=7d",
    "logs": "/logs",
    "metrics": "/metrics",
    "metric": f"/metrics?name={quote(made.EVIL, safe='')}",
    "models": "/models",
    "prompts": "/prompts",
    "prompt": "/prompts/summary",
    "budgets": "/budgets",
    "timeline": "/timeline",
    "setup": "/setup",
}
READY = ":is(.grid .window .row:not(.is-blank), .page:not([aria-busy]) h1, .summary h1, .notice):visible"


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    """A server with some thousand traces and what is hard to show; tests change nothing in it."""
    folder = tmp_path_factory.mktemp("stored")
    made.make(folder, TRACES)
    flow = Flow(folder, {})
    yield flow
    flow.stop()


def visit(page: Any, url: str) -> None:
    """Open an address and wait until what it asked for is shown."""
    page.goto(url)
    page.wait_for_selector(READY)
    page.wait_for_load_state("networkidle")
    until(page, "![...document.querySelectorAll('[aria-busy=true]')].some((node) => node.checkVisibility())")
