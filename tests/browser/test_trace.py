"""One trace in a real browser: tabs, waterfall, copying, hostile text, very large traces."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from browser import mock_traces
from browser.waiting import until

Maker = Callable[..., Any]
AGENT = f"/traces/{3:032x}"
CALL = f"{AGENT}?span={301:016x}"


def test_hostile_text_runs_nothing_anywhere(mock: Maker, new_page: Maker) -> None:
    """Prompt, model, tag, tool name, role, error and Markdown full of scripts stay text on every screen and tab."""
    server = mock([mock_traces.hostile(5), mock_traces.agent_run(9)])
    page = new_page()
    for path in ("/traces", "/sessions", "/models", "/analytics", "/timeline"):
        page.goto(server.url + path)
        page.wait_for_selector("main :is(.row .c-name, .row .c-what, table, .card, h2):visible")
    for tab in ("messages", "waterfall", "raw", "attributes", "logs"):
        page.goto(f"{server.url}/traces/{5:032x}?tab={tab}")
        page.wait_for_selector(f".panel[data-tab={tab}] > *")
        for mode in ("Plain", "JSON", "Markdown"):
            if tab == "messages":
                page.click(f".segments button:has-text('{mode}')")
    page.wait_for_timeout(200)
    assert page.evaluate("window.pwned") is None
    page.goto(f"{server.url}/traces/{5:032x}")
    page.wait_for_selector(".msg")
    page.click(".fact-button")
    page.wait_for_selector(".bill p")
    assert page.locator("main img, main script, main iframe").count() == 0
    assert page.evaluate("[...document.links].filter((link) => link.protocol === 'javascript:').length") == 0
    assert page.locator(".summary h1").text_content() == mock_traces.HOSTILE


def test_the_agent_run_opens_as_a_waterfall(mock: Maker, new_page: Maker) -> None:
    """More than one span: the tree with its bars, arrows fold and move, the pane beneath follows the selection."""
    page = new_page()
    page.goto(mock().url + AGENT)
    rows = ".tree .window > .row:not([hidden])"
    page.wait_for_selector(rows)
    assert page.locator(rows).count() == 9
    page.click(f"{rows}:has-text('find trains')")
    page.keyboard.press("ArrowLeft")
    until(page, "document.querySelectorAll('.tree .window > .row:not([hidden])').length === 7")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("e")
    page.wait_for_selector(".beneath .msg.is-error:has-text('no seat left')")
    until(page, f"new URLSearchParams(location.search).get('span') === '{306:016x}'")
    label = page.get_attribute(f"{rows}:has-text('book_seat')", "aria-label")
    assert label == "book_seat, tool, 310 ms, starts at 4.60 s, error 500, Error, on the critical path"
    assert page.get_attribute(f"{rows}:has-text('timetable index')", "aria-level") == "3"


def test_messages_join_a_tool_call_with_its_result(mock: Maker, new_page: Maker) -> None:
    """System is folded, the tool's result stands under its call and nowhere else, tools offered are named."""
    page = new_page()
    page.goto(f"{mock().url}{CALL}&tab=messages")
    page.wait_for_selector(".msg")
    assert page.locator(".tool .tool-result:has-text('hotels')").count() == 1
    assert page.locator(".msg[data-role=tool]").count() == 0
    assert page.locator(".msg[data-role=system] details:not([open])").count() == 1
    assert "search_hotels, book_seat" in page.locator(".line >> nth=0").text_content()
    assert page.locator(".msg .md table").count() == 1


def test_request_response_and_cost(mock: Maker, new_page: Maker) -> None:
    """Stream events carry their times; the bill adds up and names its price."""
    page = new_page()
    page.goto(f"{mock().url}{CALL}&tab=raw")
    page.wait_for_selector(".events li")
    assert "+310 ms" in page.locator(".events li >> nth=0").text_content()
    assert "[redacted 48]" in page.locator(".headers >> nth=0").text_content()
    page.click(".fact-button")
    page.wait_for_selector("tfoot")
    assert page.locator("tfoot").text_content() == "Total$0.00544"
    assert "Price of gpt-4o · table of 2026-11-20" in page.locator(".bill").text_content()
    assert "cached input 1,024 × $1.25 / 1M" in page.locator(".bill .sum").text_content()


def test_copying_gives_code_that_goes_through_the_proxy(mock: Maker, new_page: Maker) -> None:
    """Copied curl code has the proxy's port and a variable in place of the redacted key."""
    page = new_page(permissions=["clipboard-read", "clipboard-write"])
    page.goto(f"{mock().url}{CALL}&tab=raw")
    page.wait_for_selector(".summary h1")
    page.click("[aria-label^='Copy, export']")
    page.click("text=Copy as cURL")
    until(page, "navigator.clipboard.readText().then((text) => text.startsWith('curl'))")
    text = page.evaluate("navigator.clipboard.readText()")
    assert "http://127.0.0.1:8080/v1/chat/completions" in text
    assert '"$OPENAI_API_KEY"' in text
    assert "redacted" not in text


def test_an_unknown_trace_says_so(mock: Maker, new_page: Maker) -> None:
    """A 404 is a sentence about pruning, and the list stays."""
    page = new_page(expects_errors=True)
    page.goto(f"{mock().url}/traces/feedbeef")
    page.wait_for_selector("text=Trace pruned or unknown")
    page.wait_for_selector(".traces .row .c-name")


def test_ten_thousand_spans_stay_few_nodes(mock: Maker, new_page: Maker) -> None:
    """A trace of 10,000 spans shows at most 80 rows, and End reaches its last."""
    server = mock([mock_traces.wide(50_000, 10_000)])
    page = new_page()
    page.goto(f"{server.url}/traces/{50_000:032x}")
    page.wait_for_selector(".tree .window > .row")
    assert page.locator(".tree .row").count() <= 80
    page.click(".tree .window > .row >> nth=0")
    page.keyboard.press("End")
    until(page, "document.activeElement.getAttribute('aria-label')?.includes('step ')")
    assert page.locator(".tree .row").count() <= 80


def test_five_megabytes_show_their_head_first(mock: Maker, new_page: Maker) -> None:
    """A body of 5 MB puts 64 KB on the page; a button shows more."""
    big = mock_traces.simple(4)
    detail = next(iter(big["details"].values()))
    detail["answer"] = None
    detail["response"] = {
        "status": 200,
        "headers": {"content-type": "text/plain"},
        "body": "x" * 5_000_000,
        "size": 5_000_000,
        "is_cut": False,
    }
    page = new_page()
    page.goto(f"{mock([big]).url}/traces/{4:032x}?tab=raw")
    page.wait_for_selector("pre.code")
    assert page.evaluate("document.querySelector('pre.code').textContent.length") == 65_536
    page.click("text=Show more (64.0 KB of 4.8 MB)")
    until(page, f"document.querySelector('pre.code').textContent.length === {65_536 + 262_144}")


def test_the_line_between_list_and_detail_moves_by_keys_and_is_kept(mock: Maker, new_page: Maker) -> None:
    """Arrows on the separator change the width and its value; a reload keeps it."""
    page = new_page()
    page.goto(mock().url + AGENT)
    page.wait_for_selector(".summary h1")
    page.focus("[role=separator]")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    until(page, "document.querySelector('[role=separator]').getAttribute('aria-valuenow') === '50'")
    page.reload()
    page.wait_for_selector(".summary h1")
    until(page, "document.querySelector('[role=separator]').getAttribute('aria-valuenow') === '50'")


def test_on_a_phone_one_column_with_a_way_back(mock: Maker, new_page: Maker) -> None:
    """Below 900 px the detail takes the screen, and Back returns to the list."""
    page = new_page(viewport={"width": 390, "height": 844})
    page.goto(f"{mock().url}/traces")
    page.click(".traces .window > .row >> nth=0")
    page.wait_for_selector(".summary h1")
    page.wait_for_selector(".traces", state="hidden")
    page.click("[aria-label='Back to the list']")
    page.wait_for_selector(".traces .row")
    assert page.is_visible(".traces")


def test_setup_turns_to_a_link_when_the_first_call_arrives(mock: Maker, new_page: Maker) -> None:
    """The waiting line becomes a link by WebSocket, and the snippets name the real ports."""
    server = mock([])
    page = new_page()
    page.goto(f"{server.url}/setup")
    page.wait_for_selector("text=No calls yet")
    page.wait_for_selector(".live[data-state=live]")
    server.world.arrive(mock_traces.simple(8))
    page.wait_for_selector("text=Received the first call:")
    page.click(".waiting a")
    page.wait_for_selector(".summary h1")
    assert json.loads(page.evaluate("JSON.stringify(location.pathname)")) == f"/traces/{8:032x}"
