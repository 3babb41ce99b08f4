"""Waiting for a condition in a page. Playwright's own way evaluates in the page, which the page's CSP rightly forbids."""

from __future__ import annotations

import time
from typing import Any


def until(page: Any, expression: str, seconds: float = 30) -> None:
    """Wait until the JavaScript `expression` is true; say which one never was."""
    deadline = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, f"never true: {expression}"
        page.wait_for_timeout(25)
