"""A page in the system Chromium that fails its test when anything goes wrong in it, and the mock server it looks at."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from browser import mock_traces
from browser.mock_server import MockServer

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is in this folder."""
    for item in items:
        if "browser" in item.path.parts:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """The system's Chromium, started once a file: playwright keeps a loop running in this thread as long as it lives."""
    sync_api = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def mock() -> Iterator[Callable[..., MockServer]]:
    """Start mock servers with the given traces; they end with the test."""
    running: list[MockServer] = []

    def start(traces: list[mock_traces.Trace] | mock_traces.Flood | None = None) -> MockServer:
        server = MockServer(mock_traces.believable() if traces is None else traces)
        server.__enter__()
        running.append(server)
        return server

    yield start
    for server in running:
        server.__exit__()


@pytest.fixture
def new_page(chromium: Any) -> Iterator[Callable[..., Any]]:
    """Open pages; an error in a page, a refused resource or a request elsewhere fails the test unless it was expected."""
    contexts: list[Any] = []
    problems: list[str] = []

    def open_page(*, expects_errors: bool = False, **options: Any) -> Any:
        context = chromium.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})
        context.set_default_timeout(30_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(f"page error: {error}"))
        if not expects_errors:
            page.on(
                "console",
                lambda line: problems.append(f"console: {line.text}") if line.type in ("error", "warning") else None,
            )
        page.on(
            "request",
            lambda request: (
                problems.append(f"elsewhere: {request.url}")
                if not request.url.startswith(("http://127.0.0.1:", "http://localhost:", "data:", "blob:"))
                else None
            ),
        )
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []
