"""axe-core finds nothing on any screen, dialog or menu, in both themes, wide and narrow, zoomed and in forced colours."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bench import ui_fixture as made
from browser import mock_traces
from browser.stored import SCREENS, stored, visit  # noqa: F401 - a fixture
from browser.waiting import until

Maker = Callable[..., Any]
NARROW = ["list", "empty list", "waterfall", "messages", "setup"]
ROWS = ".traces .window > .row:not([hidden]):not(.is-blank)"
PATIENCE_S = 30
RUN = """() => axe.run(document, {resultTypes: ['violations']}).then((found) => found.violations.flatMap((one) =>
  one.nodes.map((node) => `${one.id}: ${node.html.slice(0, 140)} -- ${(node.any[0] ?? node.all[0] ?? node.none[0])?.message ?? one.help}`)))"""
# What is cut off at this width: the page itself, and controls that nothing can be scrolled to show.
CUT = """() => {
  const wide = document.documentElement.clientWidth, problems = [];
  if (document.documentElement.scrollWidth > wide) problems.push(`the page is ${document.documentElement.scrollWidth} wide`);
  const scrolls = (node) => node && (/auto|scroll/.test(getComputedStyle(node).overflowX) && node.scrollWidth > node.clientWidth ? true : scrolls(node.parentElement));
  for (const node of document.querySelectorAll('a[href], button, input, select, summary, [role=tab], h1, h2')) {
    const box = node.getBoundingClientRect();
    if (!node.checkVisibility() || box.width < 2 || node.closest('.sr, .skip, svg')) continue;
    if ((box.left < -1 || box.right > wide + 1) && !scrolls(node.parentElement)) problems.push(`outside, ${Math.round(box.left)} to ${Math.round(box.right)}: ${node.outerHTML.slice(0, 100)}`);
    const isCut = node.matches('a, button, summary, [role=tab]') && node.scrollWidth > node.clientWidth + 1 && getComputedStyle(node).overflowX !== 'visible';
    if (isCut && getComputedStyle(node).textOverflow !== 'ellipsis') problems.push(`cut: ${node.outerHTML.slice(0, 100)}`);
  }
  return problems;
}"""
MOVING = "document.getAnimations().filter((one) => one.playState === 'running').map((one) => one.effect.target.outerHTML.slice(0, 100))"


@pytest.fixture(scope="module")
def axe() -> str:
    """The source of axe-core, as a package of the test group brings it."""
    pytest.importorskip("axe_playwright_python")
    found = importlib.util.find_spec("axe_playwright_python")
    return (Path(found.origin).parent / "axe.min.js").read_text("utf-8")


def violations(page: Any, axe: str) -> list[str]:
    """Return what axe-core finds on the page as it stands, every rule in both themes."""
    page.evaluate(axe)
    problems = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        until(page, f"matchMedia('(prefers-color-scheme: {scheme})').matches")
        problems += [f"{scheme}: {line}" for line in page.evaluate(RUN)]
    return problems


def cut_at(page: Any, width: int, height: int) -> list[str]:
    """Return what is cut off in a window of this size, once the screen has found its place in it."""
    page.set_viewport_size({"width": width, "height": height})
    until(page, f"innerWidth === {width}")
    deadline = time.monotonic() + PATIENCE_S
    while (found := page.evaluate(CUT)) and time.monotonic() < deadline:
        page.wait_for_timeout(100)
    return [f"{width}: {line}" for line in found]


@pytest.mark.parametrize("name", SCREENS)
def test_no_screen_violates_a_rule(stored: Any, new_page: Maker, axe: str, name: str) -> None:  # noqa: F811
    """Names, roles, contrast and order are sound; nothing moves for who asks for calm; 200 % zoom and 320 pixels cut nothing."""
    page = new_page(reduced_motion="reduce", expects_errors=name == "unknown trace")
    visit(page, stored.dashboard_url + SCREENS[name])
    assert violations(page, axe) == []
    assert page.evaluate(MOVING) == []
    assert cut_at(page, 720, 450) + cut_at(page, 320, 640) == []


@pytest.mark.parametrize("name", NARROW)
def test_no_narrow_screen_violates_a_rule(stored: Any, new_page: Maker, axe: str, name: str) -> None:  # noqa: F811
    """Opened at 320 pixels, too."""
    page = new_page(reduced_motion="reduce", viewport={"width": 320, "height": 640})
    visit(page, stored.dashboard_url + SCREENS[name])
    assert violations(page, axe) == []
    assert page.evaluate(CUT) == []


@pytest.mark.parametrize("name", ["list", "waterfall", "messages", "analytics", "diff"])
def test_forced_colours_leave_everything_readable(stored: Any, new_page: Maker, axe: str, name: str) -> None:  # noqa: F811
    """Where the system has the say over colours, text stands out, and what is current and selected is told by lines."""
    page = new_page(reduced_motion="reduce", forced_colors="active")
    visit(page, stored.dashboard_url + SCREENS[name])
    assert violations(page, axe) == []
    border = "getComputedStyle(document.querySelector('.nav a[aria-current]')).borderBottomColor"
    if name != "diff":  # stands under no tab
        until(page, f"{border} !== getComputedStyle(document.body).backgroundColor")
    if name == "list":
        page.keyboard.press("j")
        page.keyboard.press("x")
        chosen = page.wait_for_selector(f"{ROWS}[aria-selected=true]")
        page.keyboard.press("j")  # the line is not that of the focus
        until(page, f"document.activeElement.matches('{ROWS}[aria-selected=false]')")
        assert chosen.evaluate("(row) => getComputedStyle(row).outlineStyle") == "solid"
    if name == "waterfall":
        bar = "[...document.querySelectorAll('.tree .bars-of .run')].find((one) => one.checkVisibility() && one.offsetWidth)"
        assert page.evaluate(f"getComputedStyle({bar}).backgroundColor") not in (
            page.evaluate("getComputedStyle(document.body).backgroundColor"),
            "rgba(0, 0, 0, 0)",
        )


def test_the_menus_of_the_filter_bar_violate_no_rule(stored: Any, new_page: Maker, axe: str) -> None:  # noqa: F811
    """Saved views, columns, the suggestions, and the quick choices of a narrow screen are as sound as what lies beneath."""
    page = new_page(reduced_motion="reduce")
    visit(page, stored.dashboard_url + "/traces")
    visited = []
    for button in page.query_selector_all(".filters .panel-place > button"):
        button.click()
        page.wait_for_selector(".panel-box :is(input, button)")
        page.wait_for_load_state("networkidle")
        assert violations(page, axe) == [], button.get_attribute("aria-label")
        visited.append(button.get_attribute("aria-label"))
        page.keyboard.press("Escape")
        page.wait_for_selector(".panel-box", state="detached")
    assert visited == ["Saved views", "Columns and export"]
    page.fill(".filters input[role=combobox]", "mod")
    page.wait_for_selector("[role=option]:visible")
    assert violations(page, axe) == []
    page.set_viewport_size({"width": 390, "height": 844})
    page.click(".picks-button")
    page.wait_for_selector("#picks select:visible")
    assert violations(page, axe) == []


def test_no_dialog_violates_a_rule(stored: Any, new_page: Maker, axe: str) -> None:  # noqa: F811
    """The help, what is selected, sending again, the questions before deleting, the menu of a trace; nothing is deleted here."""
    page = new_page(reduced_motion="reduce")
    visit(page, stored.dashboard_url + "/traces")
    page.keyboard.press("?")
    page.wait_for_selector("dialog[open]:has-text('Keyboard')")
    assert violations(page, axe) == []
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog[open]", state="detached")
    page.keyboard.press("j")
    page.keyboard.press("x")
    page.wait_for_selector(".chosen:has-text('selected')")
    assert violations(page, axe) == []
    page.keyboard.press("Delete")
    page.wait_for_selector("dialog[open]:has-text('Delete')")
    assert violations(page, axe) == []
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog[open]", state="detached")
    visit(page, f"{stored.dashboard_url}/traces/{made.EVIL_TRACE}")
    page.click("summary[aria-label^='Copy, export']")
    page.wait_for_selector(".menu a:visible")
    assert violations(page, axe) == []
    page.click(".menu button:has-text('Send again')")
    page.wait_for_selector("dialog[open]:has-text('Send') textarea")
    assert violations(page, axe) == []
    assert cut_at(page, 320, 640) == []
    page.set_viewport_size({"width": 1440, "height": 900})
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog[open]", state="detached")
    page.click("summary[aria-label^='Copy, export']")
    page.click(".menu button:has-text('Delete')")
    page.wait_for_selector("dialog[open]:has-text('Delete this trace?')")
    assert violations(page, axe) == []


def test_a_running_call_stands_still_for_who_asks_for_calm(mock: Maker, new_page: Maker) -> None:
    """What moves otherwise does not with reduced motion."""
    server = mock(mock_traces.many(3))
    none = dict.fromkeys(("status", "response_status", "seq", "change", "ttft_ms", "estimated_cost"))
    row = {**mock_traces.span(900), **none, "running": True, "duration_ms": 1500.0, "timestamp": 4_000_000_000_000}
    server.world.running = [row]
    page = new_page(reduced_motion="no-preference")
    page.goto(f"{server.url}/traces")
    page.wait_for_selector(".is-running")
    until(page, f"{MOVING}.length > 0")
    page.emulate_media(reduced_motion="reduce")
    until(page, f"{MOVING}.length === 0")


@pytest.mark.parametrize(
    "path",
    [
        "/traces",
        "/sessions",
        "/analytics",
        "/logs",
        "/metrics",
        "/models",
        "/prompts",
        "/budgets",
        "/timeline",
        "/setup",
    ],
)
def test_no_empty_screen_violates_a_rule(flow: Any, new_page: Maker, axe: str, path: str) -> None:
    """A server to which nothing has been sent says so in a way everybody can read."""
    page = new_page(reduced_motion="reduce")
    visit(page, flow.dashboard_url + path)
    assert violations(page, axe) == []
    assert page.evaluate(MOVING) == []
