"""Selecting rows of the list in a real browser: by keys, by mouse; comparing, exporting, deleting them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from browser import mock_traces
from browser.waiting import until

Maker = Callable[..., Any]
ROWS = ".traces .window > .row:not([hidden])"
FOCUSED = "document.activeElement.getAttribute('aria-rowindex')"


def press(page: Any, key: str, times: int) -> None:
    """Press a key so many times."""
    for _ in range(times):
        page.keyboard.press(key)


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
    page = new_page(expects_errors=True)  # the mock has no diff of the two
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
