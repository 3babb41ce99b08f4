"""axe-core finds nothing on any screen, in both themes, wide and narrow."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from browser.stored import SCREENS, stored, visit  # noqa: F401 - a fixture
from browser.waiting import until

Maker = Callable[..., Any]
NARROW = ["list", "empty list", "waterfall", "messages", "sessions", "analytics", "setup"]
RUN = """(options) => axe.run(document, {resultTypes: ['violations'], ...options}).then((found) => found.violations.flatMap((one) =>
  one.nodes.map((node) => `${one.id}: ${node.html.slice(0, 140)} -- ${(node.any[0] ?? node.all[0] ?? node.none[0])?.message ?? one.help}`)))"""


@pytest.fixture(scope="module")
def axe() -> str:
    """The source of axe-core, as a package of the test group brings it."""
    pytest.importorskip("axe_playwright_python")
    found = importlib.util.find_spec("axe_playwright_python")
    return (Path(found.origin).parent / "axe.min.js").read_text("utf-8")


def violations(page: Any, axe: str) -> list[str]:
    """Return what axe-core finds on the page as it stands, in both themes."""
    page.evaluate(axe)
    problems = []
    contrast = {"runOnly": ["color-contrast"]}  # only colours differ between the themes
    for scheme, options in (("light", {}), ("dark", contrast)):
        page.emulate_media(color_scheme=scheme)
        until(page, f"matchMedia('(prefers-color-scheme: {scheme})').matches")
        problems += [f"{scheme}: {line}" for line in page.evaluate(RUN, options)]
    return problems


@pytest.mark.parametrize("name", SCREENS)
def test_no_screen_violates_a_rule(stored: Any, new_page: Maker, axe: str, name: str) -> None:  # noqa: F811
    """Names, roles, contrast and order are sound on every screen."""
    page = new_page(reduced_motion="reduce", expects_errors=name == "unknown trace")
    visit(page, stored.dashboard_url + SCREENS[name])
    assert violations(page, axe) == []


@pytest.mark.parametrize("name", NARROW)
def test_no_narrow_screen_violates_a_rule(stored: Any, new_page: Maker, axe: str, name: str) -> None:  # noqa: F811
    """At 320 pixels, too, and nothing there needs scrolling sideways."""
    page = new_page(reduced_motion="reduce", viewport={"width": 320, "height": 640})
    visit(page, stored.dashboard_url + SCREENS[name])
    assert violations(page, axe) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_no_dialog_or_menu_violates_a_rule(stored: Any, new_page: Maker, axe: str) -> None:  # noqa: F811
    """The help, the menus of the filter bar and its suggestions are as sound as what lies beneath."""
    page = new_page(reduced_motion="reduce")
    visit(page, stored.dashboard_url + "/traces")
    page.keyboard.press("?")
    page.wait_for_selector("dialog[open]")
    assert violations(page, axe) == []
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog[open]", state="detached")
    for button in page.query_selector_all(
        ".filters [aria-haspopup], .filters [popovertarget], .filters [aria-expanded]:not(input)"
    ):
        if not button.is_visible():
            continue
        button.click()
        page.wait_for_load_state("networkidle")
        assert violations(page, axe) == [], button.text_content()
        page.keyboard.press("Escape")
    page.fill(".filters input[role=combobox]", "mod")
    page.wait_for_selector("[role=option]:visible")
    assert violations(page, axe) == []


@pytest.mark.parametrize(
    "path", ["/traces", "/sessions", "/analytics", "/logs", "/metrics", "/models", "/timeline", "/setup"]
)
def test_no_empty_screen_violates_a_rule(flow: Any, new_page: Maker, axe: str, path: str) -> None:
    """A server to which nothing has been sent says so in a way everybody can read."""
    page = new_page(reduced_motion="reduce")
    visit(page, flow.dashboard_url + path)
    assert violations(page, axe) == []
