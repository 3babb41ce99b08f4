"""The traces list in a real browser: windowed, live, filtered, driven by keys."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from typing import Any

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
    later = {"/parts/choices.js", "/parts/dom.js"}  # come a second and a half after the rows
    requests = [path for path in server.world.requests if path not in later and not path.startswith("/api/facets")]
    assert len(requests) <= 40
    api = [path for path in requests if path.startswith("/api/")]
    assert len(api) == len(set(api))
    assert "Traces" in page.title()
    paths = {path.split("?")[0] for path in requests} - {"/ws"}
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
    for i in range(1, 61):  # each step lies several pages further on
        asked = len(server.world.requests)
        page.evaluate(f"{LIST}.scrollTop = {i * 15_000}")
        while len(server.world.requests) == asked:  # the test's own timeout ends it
            page.wait_for_timeout(10)
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
    page.wait_for_selector("h1:has-text('Models')")
    page.click(".nav a:has-text('Traces')")
    page.wait_for_selector(f"{ROWS}:has-text('call number 0')")


def test_a_sort_is_only_offered_where_there_is_an_index(mock: Maker, new_page: Maker) -> None:
    """Time, duration, tokens and cost, nothing else."""
    page = new_page()
    page.goto(f"{mock().url}/traces")
    page.wait_for_selector(ROWS)
    names = page.eval_on_selector_all(".traces .head button", "(all) => all.map((one) => one.textContent)")
    assert names == ["Time", "Duration", "Tokens", "Cost"]


def test_rows_can_be_higher_and_stay_so(mock: Maker, new_page: Maker) -> None:
    """The column menu makes rows 36 pixels high; the first row in sight stays, and a reload keeps the choice."""
    page = new_page()
    page.goto(f"{mock(mock_traces.many(300)).url}/traces")
    page.wait_for_selector(ROWS)
    page.evaluate("document.querySelector('.traces').scrollTop = 280")
    until(page, "document.querySelector('.traces .window > .row[data-index=\"30\"]:not([hidden]) .c-name')")
    page.click("button[aria-label='Columns and export']")
    page.click("text=Comfortable: higher rows")
    heights = f"new Set([...document.querySelectorAll('{ROWS}')].map((row) => row.getBoundingClientRect().height))"
    until(page, f"[...{heights}].join() === '36'")
    until(page, "document.querySelector('.traces').scrollTop === 360")
    page.reload()
    page.wait_for_selector(ROWS)
    until(page, f"[...{heights}].join() === '36'")
