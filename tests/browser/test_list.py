"""The traces list in a real browser: windowed, live, filtered, driven by keys."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from typing import Any

import pytest
from browser import mock_traces
from browser.mock_server import STATIC
from browser.waiting import until

Maker = Callable[..., Any]
ROWS = ".traces .window > .row:not([hidden])"


def test_only_the_rows_in_sight_exist_at_any_scroll_position(mock: Maker, new_page: Maker) -> None:
    """A list of 3,000 traces never has more than 60 row nodes, and scrolling shows the right ones."""
    page = new_page()
    page.goto(f"{mock(mock_traces.many(3000)).url}/traces")
    page.wait_for_selector(ROWS)
    for _ in range(12):
        page.evaluate("document.querySelector('.traces').scrollTop += 5000")
        page.wait_for_timeout(120)
        assert page.evaluate("document.querySelectorAll('.traces .row').length") <= 62  # with the head row
    assert page.evaluate("document.querySelectorAll('.traces .window > .row').length") > 10
    until(
        page,
        "[...document.querySelectorAll('.traces .window > .row:not([hidden]) .c-name')].every((cell) => /call number [1-9]\\d{2,}/.test(cell.textContent))",
    )


def test_first_screen_asks_little_and_only_its_own_server(mock: Maker, new_page: Maker) -> None:
    """The list is there after at most 40 requests, 150 KB, 45 KB as gzip, each data request once."""
    server = mock()
    page = new_page()
    page.goto(f"{server.url}/")
    page.wait_for_selector(ROWS)
    page.wait_for_timeout(400)
    assert len(server.world.requests) <= 40
    api = [path for path in server.world.requests if path.startswith("/api/")]
    assert len(api) == len(set(api))
    assert "Traces" in page.title()
    paths = {path.split("?")[0] for path in server.world.requests} - {"/ws"}
    files = [STATIC / (path.lstrip("/") or "index.html") for path in paths if not path.startswith("/api/")]
    assert sum(file.stat().st_size for file in files) <= 150_000
    assert sum(len(gzip.compress(file.read_bytes(), 9)) for file in files) <= 45_000


FOCUSED = "document.activeElement.getAttribute('aria-rowindex')"
FOCUS_IS_IN_SIGHT = """(() => {
  const row = document.activeElement.getBoundingClientRect(), box = document.querySelector('.traces').getBoundingClientRect();
  return row.top >= box.top && row.bottom <= box.bottom + 1;
})()"""


def press(page: Any, key: str, times: int) -> None:
    """Press a key so many times."""
    for _ in range(times):
        page.keyboard.press(key)


def test_j_pressed_many_times_keeps_the_focus_in_sight(mock: Maker, new_page: Maker) -> None:
    """J moves on through several pages; the focused row stays visible and mounted."""
    page = new_page()
    page.goto(f"{mock(mock_traces.many(400)).url}/traces")
    page.wait_for_selector(ROWS)
    press(page, "j", 150)
    until(page, f"{FOCUSED} === '151'")
    assert page.evaluate(FOCUS_IS_IN_SIGHT)
    page.keyboard.press("Home")
    until(page, f"{FOCUSED} === '2'")


def test_keys_pressed_while_a_page_loads_are_not_lost(mock: Maker, new_page: Maker) -> None:
    """J goes on over rows that have not come yet, K comes back; when they come the focus is on the row that was meant."""
    server = mock(mock_traces.many(300))
    server.world.is_open.clear()
    page = new_page()
    page.goto(f"{server.url}/traces")
    page.wait_for_selector(ROWS)
    press(page, "j", 105)
    assert page.evaluate(FOCUSED) == "106"
    press(page, "k", 1)
    assert page.evaluate(FOCUSED) == "105"
    press(page, "j", 121)
    assert page.evaluate(FOCUSED) == "226"
    server.world.is_open.set()
    until(page, "document.activeElement.dataset.key?.endsWith('" + f"{225:016x}" + "')")
    assert page.evaluate(FOCUSED) == "226"
    assert page.evaluate(FOCUS_IS_IN_SIGHT)


def test_a_page_that_comes_late_takes_the_focus_from_nobody(mock: Maker, new_page: Maker) -> None:
    """Who has gone from the last row to the search box stays there when the next page has come."""
    server = mock(mock_traces.many(150))
    server.world.is_open.clear()
    page = new_page()
    page.goto(f"{server.url}/traces")
    page.wait_for_selector(ROWS)
    press(page, "j", 105)
    press(page, "/", 1)
    server.world.is_open.set()
    until(page, "document.querySelector('.traces').getAttribute('aria-rowcount') === '151'")
    assert page.evaluate("document.activeElement.matches('input')")


def test_enter_opens_and_escape_goes_back_to_the_row(mock: Maker, new_page: Maker) -> None:
    """Opening keeps the list; Escape closes; Back and Forward do the same; the focus is on the row again."""
    page = new_page()
    page.goto(f"{mock().url}/traces?status=success")
    page.wait_for_selector(ROWS)
    page.keyboard.press("j")
    page.keyboard.press("j")
    key = page.evaluate("document.activeElement.dataset.key")
    page.keyboard.press("Enter")
    page.wait_for_selector(".summary h1")
    assert re.search(r"/traces/[0-9a-f]{32}\?status=success", page.url)
    page.keyboard.press("]")
    until(page, f"!location.pathname.includes('{key.split('/')[0]}')")
    page.keyboard.press("[")
    until(page, f"location.pathname.includes('{key.split('/')[0]}')")
    page.keyboard.press("Escape")
    until(page, "location.pathname === '/traces'")
    until(page, f"document.activeElement.dataset.key === '{key}'")
    page.go_back()
    page.wait_for_selector(".summary h1")
    page.go_forward()
    page.wait_for_selector(".summary h1", state="detached")


def test_typing_filters_and_the_address_tells(mock: Maker, new_page: Maker) -> None:
    """The text goes to the server as `filter`, the address follows, a chip takes it away again."""
    server = mock()
    page = new_page()
    page.goto(f"{server.url}/traces")
    page.wait_for_selector(ROWS)
    page.keyboard.press("/")
    page.keyboard.type("haiku", delay=20)
    until(page, "location.search === '?q=haiku'")
    until(page, f"[...document.querySelectorAll('{ROWS} .c-name')].every((cell) => cell.title.includes('haiku'))")
    page.select_option("select[aria-label=Model]", "gpt-4o")
    until(page, "location.search.includes('model=gpt-4o')")
    page.click("button[aria-label='Remove filter haiku']")
    until(page, "location.search === '?model=gpt-4o'")
    page.reload()
    page.wait_for_selector("button[aria-label='Remove filter model: gpt-4o']")
    assert page.evaluate("document.querySelector('select[aria-label=Model]').value") == "gpt-4o"


def test_quick_typing_asks_once(mock: Maker, new_page: Maker) -> None:
    """The server is not asked for each key."""
    server = mock()
    page = new_page()
    page.goto(f"{server.url}/traces")
    page.wait_for_selector(ROWS)
    page.keyboard.press("/")
    page.evaluate(
        "for (const key of 'haiku') { document.activeElement.value += key; document.activeElement.dispatchEvent(new InputEvent('input', { bubbles: true })); }"
    )
    until(page, "location.search === '?q=haiku'")
    until(page, f"[...document.querySelectorAll('{ROWS} .c-name')].every((cell) => cell.title.includes('haiku'))")
    assert sum("filter=" in path and "/api/traces" in path for path in server.world.requests) == 1


def test_an_empty_result_says_why_and_offers_the_way_out(mock: Maker, new_page: Maker) -> None:
    """Filters that match nothing offer to clear them; an empty store leads to Setup."""
    page = new_page()
    page.goto(f"{mock().url}/traces?q=zzzz&status=error")
    page.click("text=Clear filters (2)")
    page.wait_for_selector(ROWS)
    page.goto(f"{mock([]).url}/traces")
    page.click("text=How to send the first call")
    page.wait_for_selector("text=No calls yet. Waiting on http://127.0.0.1:8080")


def test_sorting_by_a_heading(mock: Maker, new_page: Maker) -> None:
    """A heading sorts, says so, and the address keeps it."""
    page = new_page()
    page.goto(f"{mock().url}/traces")
    page.wait_for_selector(ROWS)
    page.click(".traces .head button:has-text('Cost')")
    until(page, "location.search === '?sort=-cost'")
    page.wait_for_selector(".traces [aria-sort=descending]:has-text('Cost')")


def test_a_live_row_comes_in_at_once_or_waits_behind_a_button(mock: Maker, new_page: Maker) -> None:
    """At rest rows are inserted; under the pointer nothing moves and a button counts what is new."""
    server = mock()
    page = new_page()
    page.goto(f"{server.url}/traces")
    page.wait_for_selector(".live[data-state=live]")
    page.wait_for_selector(ROWS)
    page.mouse.move(5, 5)
    server.world.arrive(mock_traces.simple(0, preview_in="fresh one"))
    page.wait_for_selector(f"{ROWS}:has-text('fresh one')")
    page.hover(f"{ROWS} >> nth=3")
    before = page.evaluate(f"document.querySelectorAll('{ROWS}')[3].dataset.key")
    server.world.arrive(mock_traces.simple(-1, preview_in="second one", id="ff", trace_id="ff"))
    page.wait_for_selector("button:has-text('1 new')")
    assert page.evaluate(f"document.querySelectorAll('{ROWS}')[3].dataset.key") == before
    page.click("button:has-text('1 new')")
    page.wait_for_selector(f"{ROWS}:has-text('second one')")


def test_a_cut_socket_loses_and_doubles_nothing(mock: Maker, new_page: Maker) -> None:
    """What came while the socket was down is there once after it is back."""
    server = mock(mock_traces.many(20))
    page = new_page(expects_errors=True)
    page.goto(f"{server.url}/traces")
    page.wait_for_selector(".live[data-state=live]")
    page.mouse.move(5, 5)
    server.world.traces.insert(0, mock_traces.simple(900, preview_in="came while away", timestamp=4_000_000_000_000))
    server.world.drop_sockets()
    page.wait_for_selector(f"{ROWS}:has-text('came while away')")
    page.wait_for_selector(".live[data-state=live]")
    server.world.arrive(mock_traces.simple(901, preview_in="came after", timestamp=4_000_000_000_001))
    page.wait_for_selector(f"{ROWS}:has-text('came after')")
    keys = page.evaluate(f"[...document.querySelectorAll('{ROWS}')].map((row) => row.dataset.key)")
    assert len(keys) == len(set(keys)) == 22


def test_what_comes_while_the_list_is_asked_for_is_shown(mock: Maker, new_page: Maker) -> None:
    """A row told of by the socket before the first answer, which does not have it yet, is not lost."""
    server = mock(mock_traces.many(3))
    server.world.holds_first = True
    server.world.is_open.clear()
    page = new_page()
    page.goto(f"{server.url}/traces")
    page.wait_for_selector(".traces", state="attached")
    page.wait_for_selector(".live[data-state=live]")
    page.mouse.move(5, 5)
    server.world.arrive(mock_traces.simple(900, preview_in="came early", timestamp=4_000_000_000_000))
    server.world.is_open.set()
    page.wait_for_selector(f"{ROWS}:has-text('came early')")


def test_what_comes_before_the_subscription_is_asked_for(mock: Maker, new_page: Maker) -> None:
    """The subscription names the last change the list knew of; when the server tells of a gap, the list is mended."""
    server = mock(mock_traces.many(3))
    page = new_page()
    page.goto(f"{server.url}/traces")
    page.wait_for_selector(ROWS)
    page.mouse.move(5, 5)
    until(page, "document.querySelector('#live').dataset.state === 'live'")
    while not server.world.subscriptions:
        page.wait_for_timeout(25)
    newest = max(trace["row"]["change"] for trace in server.world.traces)
    assert server.world.subscriptions[0]["after"] == newest
    server.world.traces.insert(0, mock_traces.simple(900, preview_in="came between", timestamp=4_000_000_000_000))
    server.world.emit({"type": "gap", "from": newest, "to": newest + 1})
    page.wait_for_selector(f"{ROWS}:has-text('came between')")


def test_pause_counts_and_resume_catches_up(mock: Maker, new_page: Maker) -> None:
    """Paused, new rows are only counted; resuming shows them."""
    server = mock(mock_traces.many(5))
    page = new_page()
    page.goto(f"{server.url}/traces")
    page.wait_for_selector(".live[data-state=live]")
    page.wait_for_selector(ROWS)
    page.keyboard.press("Space")
    server.world.arrive(mock_traces.simple(77, preview_in="while paused", timestamp=4_000_000_000_000))
    page.wait_for_selector("text=Paused · 1 new")
    assert page.locator(ROWS).count() == 5
    page.keyboard.press("Space")
    page.wait_for_selector(f"{ROWS}:has-text('while paused')")


def test_a_failing_server_says_so_and_retry_works(mock: Maker, new_page: Maker) -> None:
    """An error shows the server's own sentence with Retry; the live button tells that nobody answers."""
    server = mock()
    server.world.is_down = True
    page = new_page(expects_errors=True)
    page.goto(f"{server.url}/traces")
    page.wait_for_selector("text=the store is on fire")
    page.wait_for_selector(".live[data-state=offline]")
    server.world.is_down = False
    page.click("text=Retry")
    page.wait_for_selector(ROWS)
    # it may have come back by itself: then a click would pause it
    page.evaluate("document.querySelector('#live[data-state=offline]')?.click()")
    page.wait_for_selector(".live[data-state=live]")


@pytest.mark.parametrize(
    "path",
    ["/traces", "/sessions", "/analytics", "/models", "/logs", "/metrics", "/timeline", "/setup", f"/traces/{3:032x}"],
)
def test_every_screen_fits_a_width_of_320(mock: Maker, new_page: Maker, path: str) -> None:
    """At 320 px nothing needs sideways scrolling of the page."""
    page = new_page(viewport={"width": 320, "height": 700})
    page.goto(mock().url + path)
    page.wait_for_selector(":is(.row, table, .card, .snippet, .summary):visible")
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_the_theme_is_set_before_paint_and_kept(mock: Maker, new_page: Maker) -> None:
    """Auto follows the system; a choice lasts over a reload, and boot.js sets it before the body exists."""
    page = new_page(color_scheme="dark")
    page.goto(f"{mock().url}/models")
    background = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(background) == "rgb(18, 20, 24)"
    page.wait_for_selector("#theme[aria-label='Theme: auto']")
    page.keyboard.press("t")
    until(page, f"{background} === 'rgb(255, 255, 255)'")
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "light"


def test_the_help_lists_keys_that_work(mock: Maker, new_page: Maker) -> None:
    """? opens the help, Escape closes it, and the g-sequences lead to their screens."""
    page = new_page()
    page.goto(f"{mock().url}/traces")
    page.wait_for_selector(ROWS)
    page.keyboard.press("?")
    page.wait_for_selector("dialog[open] >> text=Next row")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="detached")
    for key, path in {
        "s": "sessions",
        "a": "analytics",
        "o": "models",
        "l": "logs",
        "m": "metrics",
        "i": "timeline",
        "u": "setup",
        "t": "traces",
    }.items():
        page.evaluate(
            "(keys) => { for (const key of keys) document.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true })); }",
            ["g", key],
        )
        until(page, f"location.pathname === '/{path}'")
        page.wait_for_selector(f".nav a[aria-current=page][href='/{path}']")


def test_old_hashes_lead_to_paths(mock: Maker, new_page: Maker) -> None:
    """A bookmark of the hash router still finds its screen."""
    page = new_page()
    page.goto(f"{mock().url}/#models")
    page.wait_for_selector("h1:has-text('Models')")
    assert page.url.endswith("/models")
