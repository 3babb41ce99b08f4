"""The dashboard on the real server: a call through the real proxy, seen as it happens."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from browser.waiting import until
from routes.test_running import Slow, ask, shown, wait_for

Maker = Callable[..., Any]
ROWS = ".traces .window > .row:not([hidden])"


def post(url: str, body: dict[str, Any]) -> None:
    """Send JSON and read the whole answer."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=60) as response:
        response.read()


def chat(words: str, **more: Any) -> dict[str, Any]:
    """Return a chat request."""
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": words}], **more}


def test_a_call_through_the_proxy_is_seen_live_and_opened(flow: Any, new_page: Maker) -> None:
    """The empty state leads to Setup with our real port; the first call turns into a link and is read there."""
    page = new_page()
    page.goto(f"{flow.dashboard_url}/traces")
    page.click("text=How to send the first call")
    page.wait_for_selector(f"pre:has-text(':{flow.proxy_url.rsplit(':', 1)[1]}/v1')")
    page.wait_for_selector(".live[data-state=live]")
    post(f"{flow.proxy_url}/v1/chat/completions", chat("why is the sky blue?", stream=True))
    page.click(".waiting a")
    page.wait_for_selector(".msg[data-role=user]:has-text('why is the sky blue?')")
    page.wait_for_selector(".msg[data-role=assistant]:has-text('The sky is blue because')")
    for tab in ("raw", "attributes", "logs"):
        page.click(f"#tab-{tab}")
        page.wait_for_selector(f".panel[data-tab={tab}] > *")
    page.click("#tab-raw")
    page.wait_for_selector(".events .at:has-text('ms')")


def test_new_calls_come_into_the_open_list_and_filters_hold(flow: Any, new_page: Maker) -> None:
    """A row comes in by itself; one that the filter does not let through stays out; an error is a word."""
    page = new_page()
    page.goto(f"{flow.dashboard_url}/traces")
    page.wait_for_selector(".live[data-state=live]")
    post(f"{flow.proxy_url}/v1/chat/completions", chat("first words"))
    page.wait_for_selector(f"{ROWS}:has-text('first words')")
    page.goto(f"{flow.dashboard_url}/traces?q=tag:nothing")
    page.wait_for_selector("text=No trace matches")
    page.wait_for_selector(".live[data-state=live]")
    post(f"{flow.proxy_url}/v1/chat/completions", chat("second words"))
    flow.wait_traces(2)
    page.wait_for_timeout(500)
    assert page.locator(ROWS).count() == 0
    page.click("text=Clear filters (1)")
    until(page, f"document.querySelectorAll('{ROWS}').length === 2")


def test_spans_of_an_application_make_a_waterfall(flow: Any, new_page: Maker) -> None:
    """Spans posted by an SDK stand in one trace, in the tree, with their sums on the root's row."""
    spans = [
        {"id": "a", "trace_id": "t1", "span_type": "agent", "span_name": "plan", "start_time": 1_700_000_000_000, "duration_ms": 900},
        {"id": "b", "trace_id": "t1", "parent_id": "a", "span_type": "tool", "span_name": "look up", "start_time": 1_700_000_000_100, "duration_ms": 300, "status": 500, "error": "no such city"},
    ]  # fmt: skip
    post(f"{flow.dashboard_url}/api/spans", {"spans": spans})
    flow.wait_traces(2)
    page = new_page()
    page.goto(f"{flow.dashboard_url}/traces")
    page.wait_for_selector(f"{ROWS}:has-text('plan')")
    assert page.locator(ROWS).count() == 1
    page.click(ROWS)
    page.wait_for_selector(".tree .row.is-error:has-text('look up')")
    page.click(".tree .row:has-text('look up')")
    page.wait_for_selector(".beneath .msg.is-error:has-text('no such city')")


@pytest.mark.parametrize("path", ["/sessions", "/analytics", "/models", "/logs", "/metrics", "/timeline", "/setup"])
def test_every_screen_stands_on_real_answers(flow: Any, new_page: Maker, path: str) -> None:
    """Each screen shows itself without an error in page or console."""
    request = chat("words for every screen")
    post(f"{flow.proxy_url}/v1/chat/completions", request)
    flow.wait_traces(1)
    page = new_page()
    page.goto(flow.dashboard_url + path)
    page.wait_for_selector(":is(.page:not([aria-busy]) :is(h1, h2), .tail .row, .list-area .notice):visible")
    assert page.locator(".notice[role=alert]").count() == 0


def test_a_search_that_cannot_be_read_says_so_and_does_not_block(flow: Any, new_page: Maker) -> None:
    """Nonsense after a known field is searched as text, and a line tells which word that was."""
    page = new_page()
    page.goto(f"{flow.dashboard_url}/traces?q=cost>cheap")
    page.wait_for_selector(".hint:has-text('cost>cheap')")
    page.wait_for_selector("text=No trace matches")


def test_what_nobody_can_price_is_no_zero(flow: Any, new_page: Maker) -> None:
    """Calls of unknown price show as unknown in the list, the header, the session and analytics, a mixed sum as at least."""
    unknown = {"model": "nobody-knows", "prompt_tokens": 1000, "trace_id": "t", "session_id": "s"}
    post(
        f"{flow.dashboard_url}/api/spans", {"spans": [{**unknown, "id": "a"}, {**unknown, "id": "b", "parent_id": "a"}]}
    )
    flow.wait_traces(2)
    page = new_page()
    page.goto(f"{flow.dashboard_url}/traces")
    page.wait_for_selector(f"{ROWS} >> text=–")
    assert "$0" not in page.inner_text(ROWS)
    until(page, "document.querySelector('[data-stat=cost]').textContent === '–'")
    for path in ("sessions", "sessions/s", "analytics"):
        page.goto(f"{flow.dashboard_url}/{path}")
        page.wait_for_selector("main :text-is('–')")
    known = {**unknown, "id": "c", "parent_id": "a", "estimated_cost": 0.5}
    post(f"{flow.dashboard_url}/api/spans", known)
    page.goto(f"{flow.dashboard_url}/traces")
    page.wait_for_selector(f"{ROWS} >> text=≥ $0.500")


def test_a_running_call_is_opened_and_fills_itself_in(flow_at: Maker, new_page: Maker) -> None:
    """A call under way is opened from the list: what was asked stands there at once, the answer when it has come."""
    slow = Slow()
    with slow.server:
        flow = flow_at(openai=slow.server.url)
        page = new_page()
        page.goto(f"{flow.dashboard_url}/traces")
        page.wait_for_selector(".live[data-state=live]")
        thread = ask(flow)
        wait_for(lambda: shown(flow))
        page.click(f"{ROWS}:has-text('count for me')")
        page.wait_for_selector(".summary .outcome:has-text('Running')")
        page.wait_for_selector(".msg[data-role=user]:has-text('count for me')")
        slow.begin.set()
        slow.go_on.set()
        page.wait_for_selector(".msg[data-role=assistant]")
        page.wait_for_selector(".summary .outcome:has-text('OK')")
        thread.join(60)


def test_a_trace_opened_by_its_address_is_asked_for_once(mock: Maker, new_page: Maker) -> None:
    """The first script asks for it while the modules come; nothing is asked for again."""
    server = mock()
    trace = server.world.traces[0]["row"]["trace_id"]
    page = new_page()
    page.goto(f"{server.url}/traces/{trace}")
    page.wait_for_selector(".summary h1")
    asked = [path for path in server.world.requests if path.startswith(f"/api/traces/{trace}")]
    assert sorted(asked) == [f"/api/traces/{trace}", f"/api/traces/{trace}/tree?fields=summary"]
