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
    page.wait_for_selector("text=No calls yet. Waiting on :8080")


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


LIST = "document.querySelector('.traces')"
LAST_INDEX = "[...document.querySelectorAll('.traces .window > .row:not([hidden])')].map((row) => Number(row.ariaRowIndex)).sort((a, b) => b - a)[0]"


def flood(mock: Maker, new_page: Maker, count: int = 100_000) -> tuple[Any, Any]:
    """Return the server of a very long list and a page that knows how long it is."""
    server = mock(mock_traces.Flood(count))
    page = new_page()
    page.goto(f"{server.url}/traces")
    page.wait_for_selector(ROWS)
    until(page, f"{LIST}.ariaRowCount === '{count + 1}'")
    return server, page


def test_a_hundred_thousand_traces_are_reached_at_any_place(mock: Maker, new_page: Maker) -> None:
    """The scrollbar stands for the whole list; wherever it is put, at most 60 rows exist and the right ones come."""
    _, page = flood(mock, new_page)
    assert page.evaluate(f"{LIST}.scrollHeight") <= 1_000_100
    for share in (0.5, 0.02, 0.93, 1, 0):
        page.evaluate(f"{LIST}.scrollTop = {share} * ({LIST}.scrollHeight - {LIST}.clientHeight)")
        until(
            page,
            f"(() => {{ const rows = [...document.querySelectorAll('{ROWS}')]; const at = rows.map((row) => Number(row.ariaRowIndex)); "
            f"return rows.length > 20 && rows.every((row) => row.dataset.key) && Math.abs(Math.min(...at) / 100_000 - {share}) < 0.01; }})()",
        )
        assert page.evaluate("document.querySelectorAll('.traces .window > .row').length") <= 60
        assert page.evaluate(
            f"[...document.querySelectorAll('{ROWS}')].every((row) => row.textContent.includes(`call number ${{row.ariaRowIndex - 2}}`))"
        )


def test_small_ways_on_a_long_list_are_pixels(mock: Maker, new_page: Maker) -> None:
    """The wheel moves rows by what it says, though the scrollbar is scaled."""
    _, page = flood(mock, new_page)
    page.evaluate(f"{LIST}.scrollTop = 400_000")
    until(
        page, f"[...document.querySelectorAll('{ROWS}')].every((row) => row.dataset.key && row.ariaRowIndex > 30_000)"
    )
    top = "(() => { const box = document.querySelector('.traces').getBoundingClientRect().top + 28; return Math.min(...[...document.querySelectorAll('.traces .window > .row:not([hidden])')].filter((row) => row.getBoundingClientRect().bottom > box).map((row) => Number(row.ariaRowIndex))); })()"
    before = page.evaluate(top)
    page.evaluate(f"{LIST}.scrollTop += 280")
    until(page, f"{top} === {before + 10}")


def test_end_and_home_go_to_the_ends(mock: Maker, new_page: Maker) -> None:
    """End is the oldest trace, not the last that was loaded; its row comes with the focus on it."""
    _, page = flood(mock, new_page)
    press(page, "j", 1)
    press(page, "End", 1)
    until(page, f"{FOCUSED} === '100001' && document.activeElement.textContent.includes('call number 99999')")
    assert page.evaluate(FOCUS_IS_IN_SIGHT)
    press(page, "k", 2)
    until(page, f"{FOCUSED} === '99999'")
    press(page, "Home", 1)
    until(page, f"{FOCUSED} === '2' && document.activeElement.textContent.includes('call number 0')")
    assert page.evaluate(FOCUS_IS_IN_SIGHT)


def test_enter_on_a_row_that_has_not_come_opens_it_when_it_has(mock: Maker, new_page: Maker) -> None:
    """No key press is lost."""
    server = mock(mock_traces.many(150))
    server.world.is_open.clear()
    page = new_page()
    page.goto(f"{server.url}/traces")
    page.wait_for_selector(ROWS)
    press(page, "j", 120)
    press(page, "Enter", 1)
    assert page.evaluate("location.pathname") == "/traces"
    server.world.is_open.set()
    until(page, f"location.pathname === '/traces/{120:032x}'")


def test_pages_are_kept_few(mock: Maker, new_page: Maker) -> None:
    """Going through very many pages keeps the memory flat: what was dropped is asked for again."""
    server, page = flood(mock, new_page)
    for i in range(60):
        page.evaluate(f"{LIST}.scrollTop = {i * 15_000}")
        until(page, f"[...document.querySelectorAll('{ROWS}')].every((row) => row.dataset.key)")
    asked = len(server.world.requests)
    page.evaluate(f"{LIST}.scrollTop = 0")
    until(page, f"{FIRST_ROW}?.textContent.includes('call number 0')")
    assert len(server.world.requests) > asked


FIRST_ROW = f"[...document.querySelectorAll('{ROWS}')].find((row) => row.ariaRowIndex === '2')"


def test_back_brings_the_place_and_the_row_back(mock: Maker, new_page: Maker) -> None:
    """Leaving the screen and coming back, or reloading, shows the list where it was, with the same row in the tab order."""
    page = new_page()
    page.goto(f"{mock(mock_traces.many(3000)).url}/traces")
    page.wait_for_selector(ROWS)
    until(page, f"{LIST}.ariaRowCount === '3001'")
    page.evaluate(f"{LIST}.scrollTop = 60_000")
    page.wait_for_selector(f"{ROWS}:has-text('call number 2150')")
    page.click(f"{ROWS}:has-text('call number 2150')")
    page.wait_for_selector(".summary h1")
    page.go_back()
    until(page, "location.pathname === '/traces'")
    until(page, "history.state?.list?.key?.length > 0")
    page.click(".nav a:has-text('Models')")
    until(page, "location.pathname === '/models'")
    page.go_back()
    page.wait_for_selector(f"{ROWS}:has-text('call number 2150')")
    until(page, f"document.querySelector('{ROWS}[tabindex=\"0\"]')?.textContent.includes('call number 2150')")
    page.reload()
    page.wait_for_selector(f"{ROWS}:has-text('call number 2150')")
    page.click(".nav a:has-text('Models')")
    until(page, "location.pathname === '/models'")
    page.click(".nav a:has-text('Traces')")
    page.wait_for_selector(f"{ROWS}:has-text('call number 0')")


# ---- selection
CHOSEN = "[...document.querySelectorAll('.traces .row[aria-selected=true]')].map((row) => Number(row.ariaRowIndex)).sort((a, b) => a - b).join()"


def test_rows_are_selected_by_keys_and_by_mouse(mock: Maker, new_page: Maker) -> None:
    """X marks, Shift with arrows extends and shrinks, a checkbox toggles, Shift-click takes a range, Escape lets go."""
    page = new_page()
    page.goto(f"{mock(mock_traces.many(40)).url}/traces")
    page.wait_for_selector(ROWS)
    press(page, "j", 2)
    press(page, "x", 1)
    until(page, f"{CHOSEN} === '3'")
    press(page, "Shift+ArrowDown", 3)
    until(page, f"{CHOSEN} === '3,4,5,6'")
    press(page, "Shift+ArrowUp", 1)
    until(page, f"{CHOSEN} === '3,4,5'")
    page.wait_for_selector(".chosen:has-text('3 traces selected')")
    page.click(f"{ROWS}[aria-rowindex='9'] .c-mark")
    until(page, f"{CHOSEN} === '3,4,5,9'")
    page.click(f"{ROWS}[aria-rowindex='12'] .c-mark", modifiers=["Shift"])
    until(page, f"{CHOSEN} === '3,4,5,9,10,11,12'")
    assert page.evaluate("location.pathname") == "/traces"
    press(page, "Escape", 1)
    until(page, f"{CHOSEN} === ''")
    page.wait_for_selector(".chosen", state="hidden")


def test_two_selected_are_compared(mock: Maker, new_page: Maker) -> None:
    """C leads to the two, in the order they were selected; with one it says what is missing."""
    page = new_page()
    page.goto(f"{mock(mock_traces.many(10)).url}/traces")
    page.wait_for_selector(ROWS)
    press(page, "j", 1)
    press(page, "x", 1)
    until(page, f"{CHOSEN} === '2'")
    press(page, "c", 1)
    until(page, "document.querySelector('#assertive').textContent.includes('Select two traces')")
    press(page, "j", 2)
    press(page, "x", 1)
    until(page, f"{CHOSEN} === '2,4'")
    press(page, "c", 1)
    until(page, f"location.pathname === '/diff/{1:032x}/{3:032x}'")


def test_selected_traces_are_exported_by_their_ids(mock: Maker, new_page: Maker) -> None:
    """The files hold just them."""
    page = new_page()
    page.goto(f"{mock(mock_traces.many(10)).url}/traces")
    page.wait_for_selector(ROWS)
    press(page, "j", 1)
    press(page, "Shift+ArrowDown", 1)
    page.wait_for_selector(".chosen a[aria-label='Export as CSV']")
    until(page, "document.querySelector(\".chosen a[aria-label='Export as CSV']\").href.includes('%2C')")
    href = page.get_attribute(".chosen a[aria-label='Export as CSV']", "href")
    assert href.endswith(f"ids={1:032x}%2C{2:032x}")
    assert "format=csv" in href


def test_deleting_asks_first_and_goes_on_at_the_next_row(mock: Maker, new_page: Maker) -> None:
    """Del opens a dialog whose default is Cancel; one trace is deleted by its address, several by their ids."""
    server = mock(mock_traces.many(10))
    page = new_page()
    page.goto(f"{server.url}/traces")
    page.wait_for_selector(ROWS)
    press(page, "j", 2)
    press(page, "Delete", 1)
    page.wait_for_selector("dialog[open]:has-text('Delete this trace?')")
    until(page, "document.activeElement.textContent === 'Cancel'")
    press(page, "Enter", 1)
    page.wait_for_selector("dialog", state="detached")
    assert len(server.world.traces) == 10
    press(page, "Delete", 1)
    page.click("dialog button.danger")
    page.wait_for_selector(".toast:has-text('1 trace deleted')")
    assert f"DELETE /api/traces/{2:032x}" in server.world.requests
    until(page, f"document.querySelectorAll('{ROWS}').length === 9")
    until(page, f"{FOCUSED} === '3'")
    press(page, "Shift+ArrowDown", 2)
    until(page, f"{CHOSEN} === '3,4,5'")
    press(page, "Delete", 1)
    page.click("dialog button.danger")
    page.wait_for_selector(".toast:has-text('3 traces deleted')")
    assert "POST /api/traces/delete" in server.world.requests
    until(page, f"document.querySelectorAll('{ROWS}').length === 6 && document.querySelector('.chosen').hidden")


def test_a_mark_set_in_the_detail_shows_in_the_list(mock: Maker, new_page: Maker) -> None:
    """What is marked for comparing is one thing, wherever it was marked."""
    page = new_page()
    page.goto(f"{mock().url}/traces/{3:032x}")
    page.wait_for_selector(".summary h1")
    page.wait_for_selector(ROWS)
    page.focus(".summary h1")
    press(page, "c", 1)
    until(page, f"{CHOSEN} !== ''")
    page.wait_for_selector(".chosen:has-text('1 trace selected')")


# ---- live
def running(number: int, **given: Any) -> dict[str, Any]:
    """Return the row of a call under way."""
    none = dict.fromkeys(("status", "response_status", "seq", "change", "ttft_ms", "estimated_cost"))
    row = {**mock_traces.span(number), **none, "running": True, "duration_ms": 1500.0, "timestamp": 4_000_000_000_000}
    return {**row, "preview_in": "still running", **given}


def test_a_running_call_grows_until_its_row_comes(mock: Maker, new_page: Maker) -> None:
    """It is in the first answer, its duration grows, and its end takes its place."""
    server = mock(mock_traces.many(5))
    row = running(800)
    server.world.running = [row]
    page = new_page()
    page.goto(f"{server.url}/traces")
    page.wait_for_selector(f"{ROWS}.is-running:has-text('Running')")
    first = page.inner_text(f"{ROWS}.is-running .c-duration")
    until(page, f"document.querySelector('{ROWS}.is-running .c-duration').textContent !== '{first}'")
    page.wait_for_selector(".live[data-state=live]")
    done = {**row, "running": False, "status": 200, "seq": 900, "change": 900, "duration_ms": 4200.0}
    del done["running"]
    server.world.running = []
    server.world.emit({"type": "trace", "op": "new", "seq": 900, "rows": [done]})
    page.wait_for_selector(f"{ROWS}:has-text('still running') >> text=4.20 s")
    assert page.locator(f"{ROWS}:has-text('still running')").count() == 1
    assert page.locator(".is-running").count() == 0


def test_a_running_call_that_leaves_no_row_goes(mock: Maker, new_page: Maker) -> None:
    """It comes by the socket, and goes when the server says that it has ended."""
    server = mock(mock_traces.many(5))
    page = new_page()
    page.goto(f"{server.url}/traces")
    page.wait_for_selector(ROWS)
    page.wait_for_selector(".live[data-state=live]")
    page.mouse.move(5, 5)
    row = running(801)
    server.world.emit({"type": "trace", "op": "running", "rows": [row]})
    page.wait_for_selector(f"{ROWS}.is-running")
    server.world.emit({"type": "trace", "op": "ended", "rows": [{"id": row["id"], "trace_id": row["trace_id"]}]})
    page.wait_for_selector(f"{ROWS}.is-running", state="detached")
    assert page.locator(ROWS).count() == 5


def test_rows_that_tell_of_a_call_again_are_not_listed(mock: Maker, new_page: Maker) -> None:
    """One call is one row: what is joined to another row is asked out, and goes when it is joined later."""
    server = mock([mock_traces.simple(1), mock_traces.simple(2, joined_to="x/y"), mock_traces.simple(3)])
    page = new_page()
    page.goto(f"{server.url}/traces")
    until(page, f"document.querySelectorAll('{ROWS}').length === 2")
    page.wait_for_selector(".live[data-state=live]")
    server.world.emit(
        {"type": "trace", "op": "update", "seq": 50, "rows": [{**mock_traces.span(3), "joined_to": "x/y"}]}
    )
    until(page, f"document.querySelectorAll('{ROWS}').length === 1")


def test_nothing_moves_under_the_pointer_when_rows_go_above_it(mock: Maker, new_page: Maker) -> None:
    """A row that is deleted above what is looked at does not pull it up."""
    server = mock(mock_traces.many(300))
    page = new_page()
    page.goto(f"{server.url}/traces")
    page.wait_for_selector(ROWS)
    page.wait_for_selector(".live[data-state=live]")
    page.evaluate(f"{LIST}.scrollTop = 1400")
    page.wait_for_selector(f"{ROWS}:has-text('call number 60')")
    where = f"document.querySelector('{ROWS}[data-key$=\"{61:016x}\"]').getBoundingClientRect().top"
    before = page.evaluate(where)
    server.world.emit({"type": "trace", "op": "delete", "rows": [{"trace_id": f"{5:032x}"}, {"trace_id": f"{6:032x}"}]})
    until(page, f"document.querySelector('{ROWS}[data-key$=\"{61:016x}\"]').ariaRowIndex === '60'")
    assert page.evaluate(where) == before


def test_a_sort_is_only_offered_where_there_is_an_index(mock: Maker, new_page: Maker) -> None:
    """Time, duration, tokens and cost, nothing else."""
    page = new_page()
    page.goto(f"{mock().url}/traces")
    page.wait_for_selector(ROWS)
    names = page.eval_on_selector_all(".traces .head button", "(all) => all.map((one) => one.textContent)")
    assert names == ["Time", "Duration", "Tokens", "Cost"]
