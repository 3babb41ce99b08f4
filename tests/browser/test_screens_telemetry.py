"""Logs, metrics, the timeline and setup, on a real server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from browser import screen_data
from browser.waiting import until

Maker = Callable[..., Any]
ROWS = ".tail .window > .row:not([hidden])"


def posted(flow: Any, path: str, body: Any) -> Any:
    """Send JSON to the dashboard port."""
    return flow.ask(path, method="POST", body=body)


def test_logs_are_windowed_filtered_and_read(flow: Any, new_page: Maker) -> None:
    """A long list has few nodes and reaches its end; filters are in the address; a record opens beside the list."""
    posted(flow, "/v1/logs", screen_data.logs(250))
    posted(flow, "/v1/logs", screen_data.logs(2, severity=17, word="failure"))
    page = new_page()
    page.goto(f"{flow.dashboard_url}/logs")
    page.wait_for_selector(f"{ROWS}:has-text('failure 1')")
    page.wait_for_selector(".filters:has-text('252 records')")
    until(page, "(document.querySelector('.tail').scrollTop = 1e6, [...document.querySelectorAll('.tail .c-body')].some((cell) => cell.textContent.startsWith('record 0 ')))")  # fmt: skip
    assert page.locator(".tail .row").count() <= 62
    page.select_option("[aria-label='Severity']", "17")
    until(page, f"location.search === '?severity=17' && document.querySelectorAll('{ROWS}').length === 2")
    page.fill("[aria-label='Search logs']", "failure 1")
    until(page, f"document.querySelectorAll('{ROWS}').length === 1")
    page.click(ROWS)
    page.wait_for_selector(".record:has-text('app.tick')")
    assert "id=" in page.url
    assert page.evaluate("window.pwned") is None
    page.reload()
    page.wait_for_selector(".record:has-text('app.tick')")
    page.keyboard.press("Escape")
    page.wait_for_selector(".record", state="detached")
    page.click("text=Clear")
    until(page, "location.search === ''")


def test_new_records_come_live_and_never_move_what_is_looked_at(flow: Any, new_page: Maker) -> None:
    """At its top the list takes them; while a row has the keyboard they wait behind a button."""
    posted(flow, "/v1/logs", screen_data.logs(5))
    page = new_page()
    page.goto(f"{flow.dashboard_url}/logs")
    page.wait_for_selector(ROWS)
    page.wait_for_selector(".live[data-state=live]")
    posted(flow, "/v1/logs", screen_data.logs(1, 100, word="fresh"))
    page.wait_for_selector(f"{ROWS}:has-text('fresh 100')")
    page.locator(ROWS).first.focus()
    posted(flow, "/v1/logs", screen_data.logs(1, 200, word="later"))
    page.wait_for_selector(".new-rows:has-text('1 new')")
    assert page.locator(f"{ROWS}:has-text('later 200')").count() == 0
    page.click(".new-rows")
    page.wait_for_selector(f"{ROWS}:has-text('later 200')")


def test_an_empty_list_says_why(flow: Any, new_page: Maker) -> None:
    """Nothing recorded leads to Setup; a filter that matches nothing can be cleared."""
    page = new_page()
    page.goto(f"{flow.dashboard_url}/logs")
    page.wait_for_selector("text=No log records yet")
    page.goto(f"{flow.dashboard_url}/logs?q=zzz&severity=17")
    page.click("text=Clear filters (2)")
    page.wait_for_selector("text=No log records yet")
    page.goto(f"{flow.dashboard_url}/metrics")
    page.wait_for_selector("text=No metrics yet")
    page.goto(f"{flow.dashboard_url}/timeline")
    page.wait_for_selector("text=Nothing has happened yet")


def test_metrics_have_a_course_a_last_value_and_a_chart(flow: Any, new_page: Maker) -> None:
    """The list draws each metric and tells it in its unit; one opens as a chart with its table."""
    posted(flow, "/v1/metrics", screen_data.metrics())
    page = new_page()
    page.goto(f"{flow.dashboard_url}/metrics?since=1h")
    page.wait_for_selector("tr:has-text('app.cost') svg.spark")
    page.wait_for_selector("tr:has-text('app.memory'):has-text('2.0 KB')")
    page.wait_for_selector("tr:has-text('app.cost'):has-text('$2.50')")
    page.click("th a:has-text('app.cost')")
    page.wait_for_selector(".chart[aria-label='app.cost'] svg .hit")
    page.click("[aria-label='Show app.cost as table']")
    page.wait_for_selector("[aria-label='app.cost as table'] tbody tr:has-text('$0.2')")
    page.click("a:has-text('Close')")
    page.wait_for_selector(".chart", state="detached")
    page.select_option("[aria-label='Type']", "gauge")
    until(page, "document.querySelectorAll('tbody tr').length === 1 && location.search.includes('type=gauge')")


def test_the_timeline_mixes_calls_and_logs(flow: Any, new_page: Maker) -> None:
    """Both stand in one list, come live, are told apart by a word and open beside it; the type filter holds."""
    posted(flow, "/api/spans", screen_data.turns(2, "s"))
    posted(flow, "/v1/logs", screen_data.logs(3))
    page = new_page()
    page.goto(f"{flow.dashboard_url}/timeline")
    until(page, f"document.querySelectorAll('{ROWS}').length === 5")
    page.wait_for_selector(".live[data-state=live]")
    posted(flow, "/api/spans", {"id": "n", "trace_id": "n", "span_type": "tool", "span_name": "look up"})
    page.wait_for_selector(f"{ROWS}:has-text('look up'):has-text('call')")
    page.select_option("[aria-label='Type']", "log")
    until(page, f"document.querySelectorAll('{ROWS}').length === 3 && location.search === '?type=log'")
    page.click(ROWS)
    page.wait_for_selector(".record h3:has-text('Resource')")
    page.select_option("[aria-label='Type']", "trace")
    page.click(f"{ROWS}:has-text('Question 1')")
    page.wait_for_selector(".record .msg:has-text('Answer 1')")
    page.click("text=Open the trace")
    until(page, "location.pathname === '/traces/turn-1'")


def test_setup_has_a_way_for_everyone_with_the_real_ports(flow: Any, new_page: Maker) -> None:
    """Every tab shows code with our ports, an address with a hash opens its tab, arrows go from tab to tab."""
    page = new_page()
    page.goto(f"{flow.dashboard_url}/setup#claude-code")
    page.wait_for_selector("pre:has-text('CLAUDE_CODE_ENABLE_TELEMETRY=1')")
    proxy, dashboard = (url.rsplit(":", 1)[1] for url in (flow.proxy_url, flow.dashboard_url))
    page.wait_for_selector(f"pre:has-text(':{dashboard}')")
    page.focus("[role=tab][aria-selected=true]")
    page.keyboard.press("Home")
    until(page, "location.hash === '#curl'")
    page.wait_for_selector(f"pre:has-text(':{proxy}/v1/chat/completions')")
    names = page.evaluate("[...document.querySelectorAll('[role=tab]')].map((tab) => tab.textContent)")
    assert len(names) >= 18
    for name in names:
        page.get_by_role("tab", name=name, exact=True).click()
        page.wait_for_selector(".snippet pre")
    page.click("label:has-text('Single-key shortcuts')")
    assert page.evaluate("localStorage.getItem('llmflow-keys')") == "off"


def test_the_test_call_arrives_costs_nothing_and_goes(flow: Any, new_page: Maker) -> None:
    """The button sends one call tagged sample; the line becomes its link; deleting leaves nothing behind."""
    page = new_page()
    page.goto(f"{flow.dashboard_url}/setup")
    page.wait_for_selector("text=No calls yet. Waiting on")
    page.click("text=Send a test call")
    page.wait_for_selector(".waiting.is-here:has-text('Received the first call')")
    row = flow.wait_traces(1)[0]
    assert (row["tags"], row["estimated_cost"]) == (["sample"], 0)
    page.reload()
    page.wait_for_selector(".waiting.is-here a")
    page.click("text=Delete the sample calls")
    page.wait_for_selector("text=No calls yet. Waiting on")
    assert flow.get("/api/traces") == []


def test_setup_leaves_a_place_for_the_token(mock: Maker, new_page: Maker) -> None:
    """Where the server asks for its token every snippet has a place for it, and a line says what belongs there."""
    server = mock()
    server.world.needs_token = True
    page = new_page()
    page.goto(f"{server.url}/setup")
    page.wait_for_selector("pre:has-text(':8080/t/YOUR_TOKEN/v1/chat/completions')")
    page.wait_for_selector(".hint:has-text('x-llmflow-token: YOUR_TOKEN')")
