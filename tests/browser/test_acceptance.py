"""What the dashboard was asked for, proved on a whole server with some thousand traces: few nodes, order, inert text, no loss.

Beside it stand: a list of 100,000 and pages that come late (test_list), 5 MB and Markdown on scripted data (test_trace,
test_trace_parts), the socket's events one by one (test_live), rules of accessibility (test_axe, test_access).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from bench import ui_fixture as made
from browser.stored import SCREENS, stored, visit  # noqa: F401 - a fixture
from browser.waiting import until
from conftest import Flow

Maker = Callable[..., Any]
ROWS = ".traces .window > .row:not([hidden]):not(.is-blank)"
LIST = "document.querySelector('.traces')"
NO_BLANK = "(() => { const rows = [...document.querySelectorAll('.traces .window > .row:not([hidden])')]; return rows.length > 10 && rows.every((row) => row.dataset.key); })()"
IN_SIGHT = """(() => {
  const row = document.activeElement.getBoundingClientRect(), box = document.querySelector('.traces').getBoundingClientRect();
  return document.activeElement.matches('.row') && row.top >= box.top && row.bottom <= box.bottom + 1;
})()"""
# Counts after every change, in sight or not: nothing in between is missed.
COUNT = """(selector) => {
  window.most = 0;
  const look = () => { window.most = Math.max(window.most, document.querySelectorAll(selector).length); };
  new MutationObserver(look).observe(document.body, { childList: true, subtree: true });
  look();
}"""

TAB_ORDER = """skip: Skip to content
nav: LLMFlow, Traces, Sessions, Analytics, Logs, Metrics, Models, Prompts, Budgets, Timeline, Setup
live: Live. Press to pause
tools: Theme: auto, Keyboard and help
search: Search traces
filters: Saved views, Columns and export, Time, Status, Model, Provider, Tag, Session
histogram: Calls over time
list: Sort by time, Sort by duration, Sort by cost, plan a trip
separator: Width of the list
detail header: Previous trace ([), Next trace (]), Copy, export, compare, delete, Close (Esc), Copy trace id, Copy span id
tabs: Waterfall50"""
FOCUS = """(() => {
  const at = document.activeElement;
  const places = [['.skip', 'skip'], ['.brand, .nav a', 'nav'], ['#live', 'live'], ['.tools *', 'tools'], ['#searchInput', 'search'], ['.filters *', 'filters'], ['.strip', 'histogram'],
    ['.traces *', 'list'], ['.separator', 'separator'], ['.summary *', 'detail header'], ['.tabs *', 'tabs'], ['.panel', 'panel'], ['.panel *', 'panel']];
  const words = at.getAttribute('aria-label') || at.title || at.textContent;
  return [places.find(([selector]) => at.matches(selector))?.[1] ?? at.tagName, at.matches('.traces .row') ? 'plan a trip' : words.trim()];
})()"""


# ── few nodes ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_list_has_few_rows_wherever_it_is_scrolled(stored: Any, new_page: Maker) -> None:  # noqa: F811
    """Through all pages of thousands of traces, at no moment are there more than 60 row nodes."""
    page = new_page()
    visit(page, f"{stored.dashboard_url}/traces")
    page.evaluate(COUNT, ".traces .window > .row")
    end = f"{LIST}.scrollTop + {LIST}.clientHeight >= {LIST}.scrollHeight - 1 && {LIST}.scrollTop > 80_000"
    while not page.evaluate(end):
        page.evaluate(f"{LIST}.scrollTop += 9_000")
        until(page, NO_BLANK)
    page.evaluate(f"{LIST}.scrollTop = 0")
    until(page, f"{NO_BLANK} && {LIST}.scrollTop === 0")
    assert 20 < page.evaluate("most") <= 60


def test_j_pressed_200_times_keeps_the_focus_in_sight(stored: Any, new_page: Maker) -> None:  # noqa: F811
    """The row that has the focus is mounted and visible after each press, whether its page has come or not."""
    page = new_page()
    visit(page, f"{stored.dashboard_url}/traces")
    page.evaluate(COUNT, ".traces .window > .row")
    for number in range(200):
        page.keyboard.press("j")
        if number % 10 == 9:
            assert page.evaluate(f"[document.activeElement.ariaRowIndex, {IN_SIGHT}]") == [str(number + 2), True]
    until(page, "document.activeElement.dataset.key?.length > 0")
    assert page.evaluate(IN_SIGHT)
    assert page.evaluate("most") <= 60


def test_ten_thousand_spans_have_few_rows(stored: Any, new_page: Maker) -> None:  # noqa: F811
    """The waterfall of a very wide trace has at most 80 row nodes, from opening it to its last span."""
    page = new_page()
    page.add_init_script(f"addEventListener('DOMContentLoaded', () => ({COUNT})('.tree .window > .row'))")
    page.goto(f"{stored.dashboard_url}/traces/{made.WIDE_TRACE}")
    page.click(".tree .window > .row:has-text('ten thousand spans')")
    page.keyboard.press("End")
    until(page, "document.activeElement.ariaLabel?.includes(' 9999')")
    assert 20 < page.evaluate("most") <= 80


# ── order ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_tab_goes_through_the_screen_in_its_order(stored: Any, new_page: Maker) -> None:  # noqa: F811
    """Every stop by name from the skip link to the panel, and backwards the same."""
    page = new_page()
    visit(page, f"{stored.dashboard_url}/traces/{made.TREE_TRACE}")
    page.wait_for_selector(".tree .row")
    page.wait_for_selector(".live[data-state=live]")
    ways = []
    for key in ("Tab", "Shift+Tab"):
        stops: list[list[str]] = []
        while not stops or stops[-1][0] not in ("panel", "BODY"):
            page.keyboard.press(key)
            stops.append(page.evaluate(FOCUS))
            assert len(stops) < 80
        ways.append(stops[:-1])
    there, back = ways
    screens = ", ".join(page.locator(".nav a").all_text_contents())
    groups = {place: [name for where, name in there if where == place] for place, _ in there}
    assert "\n".join(f"{place}: {', '.join(names)}" for place, names in groups.items()) == TAB_ORDER.format(
        screens=screens
    )
    assert there == list(reversed(back))


# ── hostile text ─────────────────────────────────────────────────────────────────────────────────────────────────────

INERT = """() => {
  const problems = [];
  if (window.pwned !== undefined) problems.push('something ran');
  for (const node of document.querySelectorAll('*')) {
    for (const { name, value } of node.attributes) {
      if (name.startsWith('on')) problems.push(`a handler: ${node.outerHTML.slice(0, 120)}`);
      if (['href', 'src', 'action', 'xlink:href'].includes(name) && /^\\s*javascript:/i.test(value)) problems.push(`a script's address: ${node.outerHTML.slice(0, 120)}`);
    }
    if (node.matches('iframe, object, embed, base, form[action], img[src="x"]')) problems.push(`made of text: ${node.outerHTML.slice(0, 120)}`);
    if (node.matches('script') && !node.matches('[src="/boot.js"], [src="/app.js"]')) problems.push(`a script: ${node.outerHTML.slice(0, 120)}`);
  }
  return problems;
}"""
HOSTILE = {
    name: path for name, path in SCREENS.items() if name not in ("filtered", "empty list", "waterfall", "unknown trace", "joined")
} | {
    "hostile waterfall": f"/traces/{made.EVIL_TRACE}",
    "search": "/traces?q=%3Cimg",
    "prompt": f"/prompts/{quote(made.EVIL + ' prompt_name', safe='')}",
    "tree": f"/traces/{made.EVIL_TRACE}?tab=waterfall&find=%3Cscript%3E",
}  # fmt: skip


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    """A server of few traces, so that the hostile one stands on every screen."""
    folder = tmp_path_factory.mktemp("hostile")
    made.make(folder, 12, 20)
    flow = Flow(folder, {})
    yield flow
    flow.stop()


def test_hostile_text_is_text_on_every_screen_and_nobody_else_is_asked(hostile: Any, new_page: Maker) -> None:
    """Markup in every field is shown as it was written, even in a browser told to forget our policy; all requests are our own."""
    page = new_page(bypass_csp=True)
    asked: set[str] = set()
    page.on("request", lambda request: asked.add(urlsplit(request.url).netloc))
    page.on("websocket", lambda socket: asked.add(urlsplit(socket.url).netloc))
    page.goto(f"{hostile.dashboard_url}/setup")
    links = page.eval_on_selector_all(".nav a", "(all) => all.map((one) => one.getAttribute('href'))")
    others = {path: path for path in set(links) - {path.partition("?")[0] for path in HOSTILE.values()}}
    for name, path in (HOSTILE | others).items():
        visit(page, hostile.dashboard_url + path)
        for folded in page.query_selector_all("main details:not([open]) > summary"):
            folded.evaluate("(node) => { node.parentElement.open = true; }")
        if name not in {"setup", "budgets"} | others.keys():  # tell of no call by themselves
            until(
                page, f"'{name}' && document.querySelector('main').textContent.includes('onerror=\"window.pwned=1\"')"
            )
        assert (name, page.evaluate(INERT)) == (name, [])
        for mode in ("Plain", "JSON", "Markdown") if name == "messages" else ():
            page.click(f".segments button:has-text('{mode}')")
            page.wait_for_selector(f".segments button[aria-pressed=true]:has-text('{mode}')")
            assert (mode, page.evaluate(INERT)) == (mode, [])
    assert asked - {""} == {urlsplit(hostile.dashboard_url).netloc}


def test_a_hostile_address_is_text(hostile: Any, new_page: Maker) -> None:
    """An address of nobody's trace that is made of markup leads to a sentence."""
    page = new_page(bypass_csp=True, expects_errors=True)
    visit(
        page, f"{hostile.dashboard_url}/traces/{quote(made.EVIL, safe='')}?find={quote(made.EVIL)}&q={quote(made.EVIL)}"
    )
    page.wait_for_selector("text=Trace pruned or unknown")
    assert page.evaluate(INERT) == []


def test_a_page_that_trusted_such_text_would_be_found_out(hostile: Any, new_page: Maker) -> None:
    """The look at a screen sees what markup leaves behind, and what it runs."""
    page = new_page(bypass_csp=True, expects_errors=True)
    page.goto(f"{hostile.dashboard_url}/setup")
    page.evaluate(
        "(text) => document.body.insertAdjacentHTML('beforeend', text)", made.EVIL + "<a href=' JavaScript:pwned=1'>"
    )
    until(page, "window.pwned === 1")
    assert [line.partition(":")[0] for line in page.evaluate(INERT)] == [
        "something ran",
        "a handler",
        "made of text",
        "a script",
        "a script's address",
    ]


def test_hostile_names_in_menus_and_suggestions_are_text(hostile: Any, new_page: Maker) -> None:
    """Saved views, facets, tooltips and what a dialog asks hold them, too."""
    page = new_page(bypass_csp=True)
    visit(page, f"{hostile.dashboard_url}/traces")
    page.click("button[aria-label='Saved views']")
    page.wait_for_selector(".panel-box:has-text('onerror')")
    assert page.evaluate(INERT) == []
    page.keyboard.press("Escape")
    page.fill("#searchInput", "tag:")
    page.wait_for_selector("[role=option]:has-text('onerror')")
    page.wait_for_selector("#modelFilter option:has-text('onerror')", state="attached")
    assert page.evaluate(INERT) == []
    visit(page, f"{hostile.dashboard_url}/traces/{made.EVIL_TRACE}")
    page.click("summary[aria-label^='Copy, export']")
    page.click(".menu button:has-text('Send again')")
    page.wait_for_selector("dialog[open] textarea")
    assert page.evaluate(INERT) == []
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog[open]", state="detached")
    page.click("summary[aria-label^='Copy, export']")
    page.click(".menu button:has-text('Delete')")
    page.wait_for_selector("dialog[open]:has-text('onerror')")
    assert page.evaluate(INERT) == []


def test_the_exported_page_is_inert(hostile: Any, new_page: Maker) -> None:
    """The one HTML file runs nothing and asks for nothing, with its own policy and without."""
    status, _, body = hostile.ask(f"/api/traces/export?format=html&trace_id={made.EVIL_TRACE}")
    assert status == 200
    assert b"onerror" in body
    for is_forgetful in (False, True):
        page = new_page(bypass_csp=is_forgetful)
        asked: list[str] = []
        page.on("request", lambda request, asked=asked: asked.append(request.url))
        url = f"{hostile.dashboard_url}/exported.html"
        page.route("**/exported.html", lambda route: route.fulfill(body=body, content_type="text/html; charset=utf-8"))
        page.goto(url)
        for folded in page.query_selector_all("details:not([open])"):
            folded.evaluate("(node) => { node.open = true; }")
        page.wait_for_load_state("networkidle")
        assert page.evaluate(INERT) == []
        assert [one for one in asked if not one.startswith("data:")] == [url]


# ── coming back ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_back_and_forward_bring_the_place_and_the_span(stored: Any, new_page: Maker) -> None:  # noqa: F811
    """The list stands where it was scrolled to, the waterfall has the span that was selected, after other screens in between."""
    page = new_page()
    visit(page, f"{stored.dashboard_url}/traces")
    until(page, f"{LIST}.ariaRowCount > 2000")
    page.evaluate(f"{LIST}.scrollTop = 30_000")
    until(page, f"{NO_BLANK} && [...document.querySelectorAll('{ROWS}')].some((row) => row.ariaRowIndex > 1080)")
    page.click(f"{ROWS} >> nth=12")
    page.wait_for_selector(".summary h1")
    key = page.evaluate("document.querySelector('.traces .row[aria-current=true]').dataset.key")
    place = page.evaluate(f"{LIST}.scrollTop")
    shown = f"document.querySelector('.traces .row[aria-current=true]')?.dataset.key === '{key}' && Math.abs({LIST}.scrollTop - {place}) < 30"
    page.click(".nav a:has-text('Models')")
    page.wait_for_selector("h1:has-text('Models')")
    page.go_back()
    until(page, shown)
    page.go_back()
    until(page, f"location.pathname === '/traces' && Math.abs({LIST}.scrollTop - {place}) < 30")
    page.go_forward()
    until(page, shown)
    visit(page, f"{stored.dashboard_url}/traces/{made.TREE_TRACE}")
    selected = "document.querySelector('.tree .row[aria-selected=true]')?.textContent.includes('{}')"
    for span in ("tool 6", "tool 11"):
        page.click(f".tree .row:has-text('{span}')")
        until(page, selected.format(span))
        page.wait_for_selector(f".beneath:has-text('{span}')")
    page.go_back()
    until(page, selected.format("tool 6"))
    page.go_forward()
    until(page, selected.format("tool 11"))
    page.click(".nav a:has-text('Setup')")
    page.wait_for_selector("h1:has-text('Setup')")
    page.go_back()
    until(page, selected.format("tool 11"))
    page.reload()
    until(page, selected.format("tool 11"))


# ── the socket ───────────────────────────────────────────────────────────────────────────────────────────────────────


def told(flow: Any, first: int, count: int) -> None:
    """Send so many calls, each a trace of its own."""
    now = time.time() * 1000
    spans = [
        {"id": f"{n:016x}", "trace_id": f"{n:032x}", "span_type": "llm", "span_name": f"call {n}", "start_time": now + n, "duration_ms": 5}
        for n in range(first, first + count)
    ]  # fmt: skip
    assert flow.ask("/api/spans", method="POST", body={"spans": spans})[0] == 201


def test_a_cut_of_the_socket_loses_and_doubles_nothing(flow: Any, new_page: Maker) -> None:
    """Before, during and after it calls come in, more than a page of them while it is down: the list has each once."""
    sockets: list[Any] = []
    is_cut = False

    def connect(socket: Any) -> None:
        if is_cut:
            socket.close()
        else:
            sockets.append((socket, socket.connect_to_server()))

    told(flow, 1, 20)
    page = new_page(expects_errors=True)
    page.route_web_socket("**/ws", connect)
    page.goto(f"{flow.dashboard_url}/traces")
    page.wait_for_selector(".live[data-state=live]")
    page.mouse.move(5, 5)
    told(flow, 21, 20)
    until(page, f"{LIST}.ariaRowCount === '41'")
    is_cut = True
    for both in sockets:
        for side in both:
            side.close()
    told(flow, 41, 150)
    page.wait_for_selector(".live:not([data-state=live])")
    is_cut = False
    page.wait_for_selector(".live[data-state=live]")
    told(flow, 191, 30)
    page.wait_for_selector(f"{ROWS}:has-text('call 220')")
    page.wait_for_selector(
        f"{ROWS}[data-index='32']:has-text('call 188')"
    )  # what came while it was down is in its place
    page.evaluate(f"{LIST}.scrollTop = 1_000_000")  # at its end a list knows how long it is
    until(page, f"{LIST}.ariaRowCount === '221' && {NO_BLANK}")
    keys: dict[str, str] = {}
    lowest = f"Math.min(219, Math.floor(({LIST}.scrollTop + {LIST}.clientHeight) / 28) - 2)"  # of the rows in sight
    for place in range(0, 221 * 28, 400):
        page.evaluate(f"{LIST}.scrollTop = {place}")
        until(page, f"{NO_BLANK} && document.querySelector('{ROWS}[data-index=\"' + {lowest} + '\"]') !== null")
        keys |= dict(page.evaluate(f"[...document.querySelectorAll('{ROWS}')].map((row) => [row.ariaRowIndex, row.dataset.key])"))  # fmt: skip
    assert sorted(keys.values()) == [f"{n:032x}/{n:016x}" for n in range(1, 221)]
