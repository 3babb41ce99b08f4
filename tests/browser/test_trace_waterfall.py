"""The waterfall in a real browser: zoom, stalls, gaps, lengths, finding, errors, history, very many spans."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from browser import mock_traces
from browser.waiting import until

Maker = Callable[..., Any]
AGENT = f"/traces/{3:032x}"
ROWS = ".tree .window > .row:not([hidden])"
COUNT = f"document.querySelectorAll('{ROWS}').length"
PATIENCE_S = 30


def open_agent(mock: Maker, new_page: Maker, path: str = AGENT, **options: Any) -> Any:
    """Open the agent's run and wait for its tree."""
    page = new_page(**options)
    page.goto(mock().url + path)
    until(page, f"{COUNT} === 9", PATIENCE_S)
    return page


def view_of(page: Any) -> str:
    """Return how the bar of the root is drawn: it fills the lane while nothing is zoomed."""
    return str(page.evaluate("document.querySelector('.axis').textContent"))


def test_a_call_is_split_where_its_first_token_came(mock: Maker, new_page: Maker) -> None:
    """The bar of a streamed call has a waiting and a streaming part, that of a tool only one; each is on the time it took."""
    page = open_agent(mock, new_page)
    call = page.locator(f"{ROWS}:has-text('choose tools') .bars-of")
    assert call.locator(".wait").is_visible()
    assert call.locator(".run").is_visible()
    assert "640 ms to the first token" in call.get_attribute("title")
    tool = page.locator(f"{ROWS}:has-text('search_hotels') .bars-of")
    assert not tool.locator(".wait").is_visible()
    assert tool.locator(".run").is_visible()


def test_the_span_of_the_address_stands_in_sight(mock: Maker, new_page: Maker) -> None:
    """A tree that has room for its first rows is not scrolled; a span far down is scrolled to, selected and shown."""
    page = open_agent(mock, new_page, f"{AGENT}?span={301:016x}", viewport={"width": 1200, "height": 800})
    page.wait_for_selector(f"{ROWS}[aria-selected=true]:has-text('choose tools')")
    page.wait_for_selector(".beneath .msg")
    assert page.evaluate("document.querySelector('.tree').scrollTop") == 0
    page.goto(f"{mock([mock_traces.wide(50_000, 300)]).url}/traces/{50_000:032x}?span={50_250:016x}")
    page.wait_for_selector(f"{ROWS}[aria-selected=true]:has-text('step 250')")
    inside = "(() => { const row = document.querySelector('.tree [aria-selected=true]').getBoundingClientRect(); const box = document.querySelector('.tree').getBoundingClientRect(); return row.top >= box.top + 25 && row.bottom <= box.bottom + 1; })()"
    until(page, inside, PATIENCE_S)


def test_zoom_by_keys_buttons_wheel_and_drag(mock: Maker, new_page: Maker) -> None:
    """+ and - zoom, 0 and Fit show all again, Ctrl-wheel goes nearer, dragging over the lane chooses a stretch."""
    page = open_agent(mock, new_page)
    whole = view_of(page)
    page.click(f"{ROWS}:has-text('plan trip') .label")
    changed = f"document.querySelector('.axis').textContent !== {whole!r}"
    same = f"document.querySelector('.axis').textContent === {whole!r}"
    page.keyboard.press("+")
    until(page, changed, PATIENCE_S)
    page.keyboard.press("-")
    until(page, same, PATIENCE_S)
    page.click("[aria-label='Zoom in (+)']")
    until(page, changed, PATIENCE_S)
    page.click("[aria-label='Whole trace (0)']")
    until(page, same, PATIENCE_S)
    box = page.locator(".tree .head .lane").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 80)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -200)
    page.keyboard.up("Control")
    until(page, changed, PATIENCE_S)
    page.focus(f"{ROWS}:has-text('plan trip')")
    page.keyboard.press("0")
    until(page, same, PATIENCE_S)
    selected = page.get_attribute(f"{ROWS}[aria-selected=true]", "aria-label")
    page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + 80)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 80, steps=4)
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 80, steps=4)
    page.mouse.up()
    until(page, changed, PATIENCE_S)
    assert page.get_attribute(f"{ROWS}[aria-selected=true]", "aria-label") == selected


def test_stalls_of_a_stream_are_marked(mock: Maker, new_page: Maker) -> None:
    """Where a stream stood still for more than a second, its bar has a tick that says how long."""
    trace = mock_traces.simple(6, duration_ms=9000.0, ttft_ms=300.0)
    next(iter(trace["details"].values()))["arrivals"] = [[0, 300], [50, 900], [90, 4200], [120, 9000]]
    page = new_page()
    page.goto(f"{mock([trace]).url}/traces/{6:032x}?tab=waterfall")
    until(page, "document.querySelectorAll('.bars-of .stall').length === 2", PATIENCE_S)
    titles = [page.locator(".bars-of .stall").nth(i).get_attribute("title") for i in range(2)]
    assert titles == ["nothing came for 3.30 s", "nothing came for 4.80 s"]


def test_idle_gaps_are_drawn_together_with_their_length_told(mock: Maker, new_page: Maker) -> None:
    """A stretch in which only parents waited is compressed on request, and the break says how long it was."""
    root = mock_traces.span(
        8, span_type="agent", span_name="wait for a human", duration_ms=600_000.0, model=None, prompt=0, completion=0
    )
    ids = {"trace_id": root["trace_id"], "parent_id": root["id"], "is_root": False}
    first = mock_traces.span(8, id="a1", span_name="ask", timestamp=root["timestamp"], **ids)
    last = mock_traces.span(8, id="a2", span_name="go on", **ids)
    last["timestamp"] = root["timestamp"] + 598_000
    page = new_page()
    page.goto(f"{mock([mock_traces.trace_of([root, first, last], {})]).url}/traces/{8:032x}")
    until(page, f"{COUNT} === 3", PATIENCE_S)
    before = page.locator(f"{ROWS}:has-text('ask') .run").bounding_box()["width"]
    page.click("text=Compress gaps")
    page.wait_for_selector(".axis .break:has-text('9m 57s')")
    assert page.get_attribute("text=Compress gaps", "aria-pressed") == "true"
    assert page.locator(f"{ROWS}:has-text('ask') .run").bounding_box()["width"] > before * 5
    page.click("text=Compress gaps")
    until(page, "document.querySelectorAll('.axis .break').length === 0", PATIENCE_S)


def test_bars_can_show_cost_and_tokens(mock: Maker, new_page: Maker) -> None:
    """Cost or tokens give the bars their length; a tool without either has none."""
    page = open_agent(mock, new_page)
    for value, words in (("cost", "longest bar $0.01"), ("tokens", "longest bar")):
        page.select_option("[aria-label='What the bars show']", value)
        page.wait_for_selector(f".axis:has-text('{words}')")
        assert page.locator(f"{ROWS}:has-text('write answer') .run").is_visible()
        assert not page.locator(f"{ROWS}:has-text('search_hotels') .run").is_visible()
    page.select_option("[aria-label='What the bars show']", "time")
    until(page, f"!{COUNT.replace('length', 'item(2)')}.querySelector('.run').hidden", PATIENCE_S)


def test_finding_marks_tree_and_messages(mock: Maker, new_page: Maker) -> None:
    """/ opens the search; matches are marked in the tree and in the text, Enter goes on, the address keeps the words."""
    page = open_agent(mock, new_page)
    page.click(f"{ROWS}:has-text('plan trip') .label")
    page.keyboard.press("/")
    until(page, "document.activeElement.matches('.find input')", PATIENCE_S)
    page.keyboard.type("hotels")
    until(page, "document.querySelectorAll('.tree .is-found').length >= 2", PATIENCE_S)
    assert page.locator(f"{ROWS}.is-found:has-text('search_hotels')").count() == 1
    until(page, "new URLSearchParams(location.search).get('find') === 'hotels'", PATIENCE_S)
    page.click(f"{ROWS}:has-text('choose tools') .label")
    page.wait_for_selector(".beneath .tool")
    until(page, "CSS.highlights.get('found')?.size > 0", PATIENCE_S)
    until(page, "/\\d+ spans · \\d+ match/.test(document.querySelector('.find .told').textContent)", PATIENCE_S)
    page.focus(".find input")
    page.keyboard.press("Enter")
    until(page, "CSS.highlights.get('found-now')?.size === 1", PATIENCE_S)
    page.keyboard.press("Escape")
    until(
        page,
        "!document.querySelector('.tree .is-found') && !new URLSearchParams(location.search).has('find')",
        PATIENCE_S,
    )
    page.goto(f"{page.url.split('?')[0]}?find=timetable")
    until(page, "document.querySelectorAll('.tree .is-found').length >= 2", PATIENCE_S)
    assert page.input_value(".find input") == "timetable"


def test_back_and_forward_restore_the_selected_span(mock: Maker, new_page: Maker) -> None:
    """Each click is a step in the history; going back selects the span again, in tree and pane."""
    page = open_agent(mock, new_page)
    page.click(f"{ROWS}:has-text('search_hotels') .label")
    page.wait_for_selector(".summary h1:has-text('search_hotels')")
    page.click(f"{ROWS}:has-text('book_seat') .label")
    page.wait_for_selector(".beneath .msg.is-error:has-text('no seat left')")
    page.go_back()
    page.wait_for_selector(".summary h1:has-text('search_hotels')")
    page.wait_for_selector(f"{ROWS}[aria-selected=true]:has-text('search_hotels')")
    page.go_forward()
    page.wait_for_selector(".summary h1:has-text('book_seat')")
    page.keyboard.press("4")
    page.wait_for_selector(".panel[data-tab=attributes] .attrs")
    page.go_back()
    page.wait_for_selector(".panel[data-tab=waterfall] .tree")
    page.wait_for_selector(f"{ROWS}[aria-selected=true]:has-text('book_seat')")


def test_errors_are_found_where_they_are_folded_away(mock: Maker, new_page: Maker) -> None:
    """Keys: o folds all, e goes to the error and unfolds what hides it, O unfolds the rest."""
    page = open_agent(mock, new_page)
    page.click(f"{ROWS}:has-text('plan trip') .label")
    page.keyboard.press("o")
    until(page, f"{COUNT} === 1", PATIENCE_S)
    page.keyboard.press("e")
    page.wait_for_selector(f"{ROWS}[aria-selected=true]:has-text('book_seat')")
    page.keyboard.press("O")
    until(page, f"{COUNT} === 9", PATIENCE_S)


def test_an_application_s_span_and_its_call_are_one_row(mock: Maker, new_page: Maker) -> None:
    """A joined span is shown as our call, where the application has it; the summary leads to the other side and back."""
    root = mock_traces.span(
        8, span_type="agent", span_name="plan", duration_ms=5000.0, model=None, prompt=0, completion=0
    )
    ids = {"trace_id": root["trace_id"], "is_root": False}
    own = mock_traces.span(
        8, id="own1", parent_id=root["id"], span_name="ChatOpenAI", source="otlp", joined_to="call1", **ids
    )
    call = mock_traces.span(
        8, id="call1", parent_id="own1", notes=["include_usage was asked for"], dropped=["logit_bias: no place"], **ids
    )
    page = new_page()
    page.goto(f"{mock([mock_traces.trace_of([root, own, call], {})]).url}/traces/{8:032x}")
    until(page, f"{COUNT} === 2", PATIENCE_S)
    page.click(f"{ROWS}:has-text('joined with ChatOpenAI') .label")
    page.wait_for_selector(".notes:has-text('include_usage was asked for'):has-text('dropped: logit_bias')")
    page.click(".ids a:has-text('ChatOpenAI')")
    page.wait_for_selector(".ids:has-text('counted there')")
    page.wait_for_selector(f"{ROWS}[aria-selected=true]:has-text('joined with ChatOpenAI')")


def test_a_great_trace_has_a_map(mock: Maker, new_page: Maker) -> None:
    """Above 200 spans a strip shows all bars; dragging over it zooms, a double click shows all again. Few rows are alive."""
    page = new_page()
    page.goto(f"{mock([mock_traces.wide(50_000, 10_000)]).url}/traces/{50_000:032x}")
    page.wait_for_selector(".minimap canvas")
    assert page.locator(".tree .row").count() <= 80
    box = page.locator(".minimap").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + 20, steps=5)
    page.mouse.up()
    page.wait_for_selector(".minimap i", state="visible")
    page.dblclick(".minimap")
    page.wait_for_selector(".minimap i", state="hidden")


def test_a_running_trace_grows_before_the_eye(mock: Maker, new_page: Maker) -> None:
    """A span that comes in live appears in the open tree; the selection and what is folded stay."""
    root = mock_traces.span(
        8, span_type="agent", span_name="plan", duration_ms=900.0, model=None, prompt=0, completion=0
    )
    ids = {"trace_id": root["trace_id"], "is_root": False, "parent_id": root["id"]}
    first = mock_traces.span(8, id="a1", span_name="first step", **ids)
    server = mock([mock_traces.trace_of([root, first], {})])
    page = new_page()
    page.goto(f"{server.url}/traces/{8:032x}")
    until(page, f"{COUNT} === 2", PATIENCE_S)
    page.wait_for_selector(".live[data-state=live]")
    page.click(f"{ROWS}:has-text('first step') .label")
    page.wait_for_selector(".summary h1:has-text('first step')")
    deadline = time.monotonic() + PATIENCE_S
    while not server.world.subscriptions:  # only then the server has the socket among those it tells
        assert time.monotonic() < deadline
        page.wait_for_timeout(25)
    late = mock_traces.span(8, id="a2", span_name="late step", **ids)
    server.world.traces[0].update(mock_traces.trace_of([root, first, late], {}))
    server.world.emit({"type": "trace", "op": "new", "seq": 99, "rows": [late]})
    until(page, f"{COUNT} === 3", PATIENCE_S)
    assert page.locator(f"{ROWS}[aria-selected=true]:has-text('first step')").count() == 1


def test_a_small_screen_and_a_large_zoom_leave_everything_in_reach(mock: Maker, new_page: Maker) -> None:
    """At 320 px, and at 1280 px with 200 % and 400 % zoom, nothing reaches beyond the edge and every part scrolls into sight."""
    for width, height in ((320, 640), (640, 360), (320, 200)):
        page = new_page(viewport={"width": width, "height": height})
        server = mock()
        for tab in ("messages", "waterfall", "raw", "attributes", "logs"):
            page.goto(f"{server.url}{AGENT}?span={301:016x}&tab={tab}")
            page.wait_for_selector(f".panel[data-tab={tab}]:not([aria-busy]) > *")
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (width, tab)
            last = page.locator(f".panel[data-tab={tab}] > *").last
            last.scroll_into_view_if_needed()
            assert last.bounding_box()["height"] > 0
