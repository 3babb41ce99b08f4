"""What comes while one looks at the list: new rows, running calls, rows that go, a socket that breaks."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from browser import mock_traces
from browser.waiting import until

Maker = Callable[..., Any]
ROWS = ".traces .window > .row:not([hidden])"
LIST = "document.querySelector('.traces')"


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


def test_many_that_came_while_away_do_not_take_the_place_of_what_is_read(mock: Maker, new_page: Maker) -> None:
    """More than a page came while the socket was down: who has scrolled stays there, and a button leads to the new."""
    server = mock(mock_traces.many(300))
    page = new_page(expects_errors=True)
    page.goto(f"{server.url}/traces")
    page.wait_for_selector(ROWS)
    page.wait_for_selector(".live[data-state=live]")
    page.evaluate(f"{LIST}.scrollTop = 1400")
    page.wait_for_selector(f"{ROWS}:has-text('call number 60')")
    fresh = [mock_traces.simple(5000 + i, preview_in="while away", timestamp=4_000_000_000_000 + i) for i in range(150)]
    server.world.traces = [*reversed(fresh), *server.world.traces]
    server.world.drop_sockets()
    page.wait_for_selector(".new-rows:not([hidden])")
    assert page.is_visible(f"{ROWS}:has-text('call number 60')")
    page.click(".new-rows")
    page.wait_for_selector(f"{ROWS}:has-text('while away')")


def test_rows_newer_than_those_shown_do_not_ask_twice(mock: Maker, new_page: Maker) -> None:
    """Spans below the first rows are known of by the list's answer: it is asked for once, as are the totals."""
    server = mock(mock_traces.many(5))
    server.world.change = 900  # of a child, which the list does not have
    page = new_page()
    page.goto(f"{server.url}/traces")
    page.wait_for_selector(ROWS)
    deadline = time.monotonic() + 30
    while not server.world.subscriptions and time.monotonic() < deadline:
        page.wait_for_timeout(25)
    assert [(one["after"], one["fields"]) for one in server.world.subscriptions] == [(900, "summary")]
    asked = [one.partition("?")[0] for one in server.world.requests]
    assert (asked.count("/api/traces"), asked.count("/api/stats")) == (1, 1)
    assert "fields=summary" in next(one for one in server.world.requests if one.startswith("/api/traces"))
