"""What a screen reader and a keyboard meet: names, roles, ids, landmarks, order, target sizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from browser.waiting import until

Maker = Callable[..., Any]
SCREENS = ["/traces", "/traces?q=zzz", f"/traces/{3:032x}", f"/traces/{3:032x}?span={301:016x}&tab=messages", f"/traces/{3:032x}?span={301:016x}&tab=raw",
           f"/traces/{3:032x}?span={301:016x}&tab=cost", "/sessions", "/sessions/trip-lisbon", "/analytics", "/models", "/logs", "/metrics", "/timeline", "/setup"]  # fmt: skip
CHECK = """() => {
  const problems = [];
  const seen = (node) => node.checkVisibility() && node.getBoundingClientRect().width > 0;
  const named = (node) => (node.getAttribute('aria-label') || node.textContent.trim() || node.labels?.length || node.title);
  for (const node of document.querySelectorAll('button, a[href], input, select, summary, [role=tab], [role=separator], [role=region], [role=grid], [role=treegrid], dialog, nav, aside'))
    if (seen(node) && !named(node)) problems.push('without a name: ' + node.outerHTML.slice(0, 120));
  const ids = [...document.querySelectorAll('[id]')].map((node) => node.id);
  for (const id of new Set(ids)) if (ids.filter((one) => one === id).length > 1) problems.push('id twice: ' + id);
  for (const name of ['aria-controls', 'aria-labelledby'])
    for (const node of document.querySelectorAll('[' + name + ']')) if (!document.getElementById(node.getAttribute(name))) problems.push(name + ' leads nowhere: ' + node.outerHTML.slice(0, 120));
  for (const node of document.querySelectorAll('[role=row]')) if (!node.closest('[role=grid], [role=treegrid]')) problems.push('row outside a grid');
  for (const node of document.querySelectorAll('[role=gridcell], [role=columnheader]')) if (node.parentElement.getAttribute('role') !== 'row') problems.push('cell outside a row');
  for (const node of document.querySelectorAll('button, select, input:not([type=checkbox]), [role=tab], .nav a')) {
    const box = node.getBoundingClientRect();
    if (seen(node) && !node.closest('.sr') && (box.height < 23.5 || box.width < 23.5) && !node.closest('.chart, .segments')) problems.push('small target ' + Math.round(box.width) + 'x' + Math.round(box.height) + ': ' + node.outerHTML.slice(0, 120));
  }
  for (const node of document.querySelectorAll('a a, button button, a button, button a, summary button, summary a')) problems.push('control in a control: ' + node.outerHTML.slice(0, 120));
  if (document.querySelectorAll('main').length !== 1 || document.querySelectorAll('h1').length < 1) problems.push('one main and a heading are needed');
  if (document.querySelectorAll('[aria-live=polite]').length !== 1) problems.push('one polite live region');
  for (const grid of document.querySelectorAll('[role=grid], [role=treegrid]')) {
    const stops = [grid, ...grid.querySelectorAll('.window > [role=row]')].filter((node) => node.tabIndex === 0 && node.checkVisibility());
    if (grid.checkVisibility() && stops.length !== 1) problems.push(stops.length + ' tab stops in a grid');
  }
  return problems;
}"""


@pytest.mark.parametrize("path", SCREENS)
def test_everything_has_a_name_and_a_sound_role(mock: Maker, new_page: Maker, path: str) -> None:
    """Controls are named and large enough, ids are single, references lead somewhere, grids are whole."""
    page = new_page()
    page.goto(mock().url + path)
    page.wait_for_selector(":is(.row, .page:not([aria-busy]) h1, .summary, .notice):visible")
    page.wait_for_load_state("networkidle")
    assert page.evaluate(CHECK) == []


def test_the_order_of_focus(mock: Maker, new_page: Maker) -> None:
    """Tab goes skip link, name and screens, live, theme, help, search, filters, strip, list, separator, detail."""
    page = new_page()
    page.goto(f"{mock().url}/traces/{3:032x}")
    page.wait_for_selector(".tree .row")
    page.wait_for_load_state("networkidle")
    where = "(() => { const at = document.activeElement; return at.matches('.skip') ? 'skip' : at.matches('.brand, .nav a') ? 'nav' : at.matches('#live') ? 'live' : at.matches('#theme, #help') ? 'tools' : at.closest('.filters') ? 'filters' : at.matches('.strip') ? 'strip' : at.closest('.grid') ? 'list' : at.matches('.separator') ? 'separator' : at.closest('.summary') ? 'summary' : at.closest('.tabs') ? 'tabs' : at.closest('.panel') ? 'panel' : at.tagName; })()"
    order: list[str] = []
    for _ in range(60):
        page.keyboard.press("Tab")
        name = page.evaluate(where)
        if not order or order[-1] != name:
            order.append(name)
        if name == "panel":
            break
    expected = ["skip", "nav", "live", "tools", "filters", "strip", "list", "separator", "summary", "tabs", "panel"]
    assert order == expected


def test_the_skip_link_leads_to_the_content(mock: Maker, new_page: Maker) -> None:
    """The first Tab shows it, Enter moves the focus into main."""
    page = new_page()
    page.goto(f"{mock().url}/models")
    page.wait_for_selector("table")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    until(page, "document.activeElement.id === 'main'")
