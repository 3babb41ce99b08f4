"""Analytics, models, sessions and the comparison of two calls, on a real server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from browser import screen_data
from browser.waiting import until

Maker = Callable[..., Any]


@pytest.fixture
def told(flow: Any) -> Any:
    """A LLMFlow that was told of twelve calls and a conversation of four turns."""
    for body in (screen_data.spans(), screen_data.turns(4, "refactor")):
        status, _, _ = posted(flow, "/api/spans", body)
        assert status == 201
    return flow


def posted(flow: Any, path: str, body: Any) -> Any:
    """Send JSON to the dashboard port."""
    return flow.ask(path, method="POST", body=body)


def query(page: Any) -> str:
    """Return the address's query as the page sees it."""
    return str(page.evaluate("decodeURIComponent(location.search.replaceAll('+', ' '))"))


def test_analytics_shows_figures_charts_and_their_tables(told: Any, new_page: Maker) -> None:
    """Cards, six charts and six top lists stand; each chart turns into a table of the same figures and back."""
    page = new_page()
    page.goto(f"{told.dashboard_url}/analytics")
    page.wait_for_selector(".chart .plot svg")
    assert page.locator(".chart").count() == 12
    assert "16" in page.inner_text(".cards .card:has-text('Requests') dd")
    for title in ("Cost by model", "Latency", "By model"):
        button = f"[aria-label='Show {title} as table']"
        page.click(button)
        page.wait_for_selector(f"[aria-label='{title} as table'] tbody tr")
        page.click(button)
        page.wait_for_selector(f"[aria-label='{title} as table']", state="detached")
    assert page.evaluate("Math.max(...[...document.querySelectorAll('.plot svg')].map((svg) => svg.querySelectorAll('.hit').length))") <= 200  # fmt: skip


def test_every_bar_of_a_chart_leads_to_its_calls(told: Any, new_page: Maker) -> None:
    """A part of a column is a link to its model in its hour; a top bar to its model; both by keyboard."""
    page = new_page()
    page.goto(f"{told.dashboard_url}/analytics?since=24h")
    page.wait_for_selector("[aria-label='Cost by model'] .part")
    part = page.locator("[aria-label='Cost by model'] .part").last
    address = part.get_attribute("href")
    assert all(word in address for word in ("/traces?", "model=gpt-4o", "from=", "to="))
    page.locator("[aria-label='Requests and errors'] .hit[tabindex='0']").focus()
    before = page.evaluate("document.activeElement.closest('[data-at]').dataset.at")
    page.keyboard.press("ArrowLeft")
    until(page, f"Number(document.activeElement.closest('[data-at]').dataset.at) === {before} - 1")
    assert page.locator("[aria-label='Requests and errors'] [tabindex='0']").count() == 1
    assert page.locator("[aria-label='Requests and errors'] .readout").is_visible()
    page.locator("[aria-label='By model'] a.bar-row").first.focus()
    page.keyboard.press("Enter")
    until(page, "location.pathname === '/traces' && location.search.includes('model=gpt-4o')")
    page.go_back()
    page.wait_for_selector("[aria-label='By model'] a.bar-row")


def test_range_split_and_filter_live_in_the_address(told: Any, new_page: Maker) -> None:
    """Choices change the address and the charts, survive a reload, go back; a filter that matches nothing says so."""
    page = new_page()
    page.goto(f"{told.dashboard_url}/analytics")
    page.wait_for_selector("[aria-label='Cost by model'] svg")
    page.select_option("[aria-label='Split charts by']", "tag")
    page.wait_for_selector("[aria-label='Cost by tag'] svg")
    page.select_option("[aria-label='Range']", "24h")
    until(page, "location.search.includes('since=24h') && location.search.includes('by=tag')")
    page.reload()
    page.wait_for_selector("[aria-label='Cost by tag'] svg")
    page.go_back()
    until(page, "!location.search.includes('since=24h')")
    page.fill("[aria-label='Filter']", "model:nobody")
    page.wait_for_selector("text=No call matches in this time")
    page.click("text=Clear the filter")
    page.wait_for_selector("[aria-label='Cost by tag'] svg")
    assert "q=" not in query(page)


def test_unknown_prices_are_said(flow: Any, new_page: Maker) -> None:
    """Calls nobody can price make the sum a least, and a line says how many there are."""
    posted(flow, "/api/spans", screen_data.spans(2))
    posted(
        flow,
        "/api/spans",
        {"id": "u", "trace_id": "u", "span_type": "llm", "model": "nobody-knows", "prompt_tokens": 5},
    )
    page = new_page()
    page.goto(f"{flow.dashboard_url}/analytics")
    page.wait_for_selector(".hint:has-text('1 call of unknown price')")
    assert page.inner_text(".cards .card:has-text('Cost') dd").startswith("≥")


def test_a_failing_server_is_said_and_asked_again(mock: Maker, new_page: Maker) -> None:
    """An error has its sentence and a button; after Retry the screen stands."""
    server = mock()
    page = new_page(expects_errors=True)
    page.goto(f"{server.url}/models")
    page.wait_for_selector("table")
    server.world.is_down = True
    page.evaluate("document.querySelector('.nav a[href=\"/analytics\"]').click()")
    page.wait_for_selector("[role=alert] >> text=the store is on fire")
    server.world.is_down = False
    page.click("text=Retry")
    page.wait_for_selector(".chart svg")


def test_models_show_prices_per_class_and_what_was_used(told: Any, new_page: Maker) -> None:
    """Prices per million, the table's date, the context window, calls as a link; search and order are in the address."""
    page = new_page()
    page.goto(f"{told.dashboard_url}/models")
    page.wait_for_selector("tbody tr:has-text('gpt-4o-mini')")
    row = page.inner_text("tbody tr:has(th:has-text('gpt-4o-mini'))")
    assert all(word in row for word in ("$0.15", "$0.60", "128K"))
    assert "Prices of 20" in page.inner_text(".page-body")
    page.fill("[aria-label='Search models']", "mini")
    until(page, "document.querySelectorAll('tbody tr').length === 1 && location.search === '?q=mini'")
    page.fill("[aria-label='Search models']", "")
    until(page, "document.querySelectorAll('tbody tr').length === 2")
    page.select_option("[aria-label='Order']", "request_count")
    until(page, "location.search === '?sort=request_count'")


def test_sessions_are_searched_and_one_is_told_as_a_conversation(told: Any, new_page: Maker) -> None:
    """The table leads to the replay: every turn once, the repeated history folded, figures per turn, hostile text inert."""
    page = new_page()
    page.goto(f"{told.dashboard_url}/sessions")
    page.wait_for_selector("tbody th:has-text('refactor')")
    page.fill("[aria-label='Search sessions']", "nobody")
    page.wait_for_selector("text=No session matches")
    page.click("text=Clear the search")
    page.click("tbody th a:has-text('refactor')")
    page.wait_for_selector(".turn .msg[data-role=assistant]:has-text('Answer 0')")
    for n in range(4):
        page.locator(f".turn[data-at='{n}']").scroll_into_view_if_needed()
        page.wait_for_selector(f".turn[data-at='{n}'] .msg[data-role=assistant]:has-text('Answer {n}')")
    assert page.locator(".turn > .turn-body > .msg[data-role=user]").count() == 4
    assert page.locator(".turn[data-at='3'] .earlier").is_visible()
    assert "420 tokens" in page.inner_text(".turn[data-at='3'] .facts-line")
    assert page.evaluate("window.pwned") is None
    page.click(".turn[data-at='2'] h2 a")
    until(page, "location.pathname === '/traces/turn-2'")


def test_a_session_that_is_not_there_says_so(flow: Any, new_page: Maker) -> None:
    """An unknown session is no failure but a sentence."""
    page = new_page(expects_errors=True)
    page.goto(f"{flow.dashboard_url}/sessions/nobody")
    page.wait_for_selector("text=This session is not here")


def test_sessions_follow_what_comes_live(told: Any, new_page: Maker) -> None:
    """A new session comes into the open table by itself, and the focus stays where it was."""
    page = new_page()
    page.goto(f"{told.dashboard_url}/sessions")
    page.wait_for_selector("tbody th a:has-text('refactor')")
    page.wait_for_selector(".live[data-state=live]")
    page.locator("tbody th a:has-text('refactor')").focus()
    posted(
        told,
        "/api/spans",
        {"id": "n", "trace_id": "n", "span_type": "llm", "session_id": "just-now", "model": "gpt-4o"},
    )
    page.wait_for_selector("tbody th a:has-text('just-now')")
    assert page.evaluate("document.activeElement.textContent") == "refactor"


def test_two_calls_are_compared(told: Any, new_page: Maker) -> None:
    """Figures with deltas, messages with words added and struck, the same put together; swapping turns it round."""
    page = new_page()
    page.goto(f"{told.dashboard_url}/diff/turn-1/turn-3")
    page.wait_for_selector("[aria-label='Figures of both sides'] tr:has-text('Prompt tokens'):has-text('+200')")
    page.wait_for_selector(".msg.is-changed del:text-is('1'), .msg.is-changed del:has-text('1')")
    assert page.evaluate("getComputedStyle(document.querySelector('del')).textDecorationLine") == "line-through"
    assert page.evaluate("getComputedStyle(document.querySelector('ins')).textDecorationLine") == "underline"
    page.click("text=Swap A and B")
    until(page, "location.pathname === '/diff/turn-3/turn-1'")
    page.wait_for_selector("[aria-label='Figures of both sides'] tr:has-text('Prompt tokens'):has-text('−200')")
    page.keyboard.press("s")
    until(page, "location.pathname === '/diff/turn-1/turn-3'")
    assert page.evaluate("window.pwned") is None


def test_a_comparison_with_what_is_gone_says_which(told: Any, new_page: Maker) -> None:
    """The side that is not there is named."""
    page = new_page(expects_errors=True)
    page.goto(f"{told.dashboard_url}/diff/turn-1/nowhere")
    page.wait_for_selector(".notice:has-text('nowhere')")


def test_a_bar_also_leads_to_calls_within_traces(flow: Any, new_page: Maker) -> None:
    """A model that was only called below an agent has a bar, and the list behind it shows those calls."""
    call = {
        "id": "c",
        "trace_id": "t",
        "parent_id": "a",
        "span_type": "llm",
        "span_name": "inner call",
        "model": "gpt-4o",
    }
    agent = {"id": "a", "trace_id": "t", "span_type": "agent", "span_name": "plan"}
    posted(flow, "/api/spans", {"spans": [agent, call]})
    page = new_page()
    page.goto(f"{flow.dashboard_url}/models")
    page.click("tbody th a:has-text('gpt-4o')")
    page.wait_for_selector(".traces .window > .row:has-text('inner call')")
    page.wait_for_selector(".chips >> text=calls within traces, too")


def test_analytics_follows_what_comes(told: Any, new_page: Maker) -> None:
    """A new call is counted by itself; a chart shown as a table stays one; a call of ages makes the axis logarithmic."""
    page = new_page()
    page.goto(f"{told.dashboard_url}/analytics")
    page.click("[aria-label='Show Latency as table']")
    page.wait_for_selector("[aria-label='Latency as table']")
    page.wait_for_selector(".live[data-state=live]")
    page.mouse.move(2, 2)
    posted(told, "/api/spans", {"span_type": "llm", "model": "gpt-4o", "duration_ms": 3_000_000, "prompt_tokens": 1})
    page.wait_for_selector(".cards .card:has-text('Requests') dd:has-text('17')")
    page.wait_for_selector("[aria-label='Latency as table']")
    page.click("[aria-label='Show Latency as table']")
    page.wait_for_selector("section[aria-label='Latency']:has-text('Logarithmic axis') .plot svg")
