"""What one call said and what went over the wire, in a real browser: messages, media, raw bodies, attributes, logs, actions."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from browser import mock_traces
from browser.mock_traces import text
from browser.waiting import until

Maker = Callable[..., Any]
AGENT = f"/traces/{3:032x}"
CALL = f"{AGENT}?span={301:016x}"
PATIENCE_S = 30
PIXEL = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SOUND = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA="


def talk(server_of: Maker, page: Any, messages: dict[str, Any], **given: Any) -> Any:
    """Open the messages of one made-up call."""
    server = server_of([mock_traces.simple(4, messages=messages, **given)])
    page.goto(f"{server.url}/traces/{4:032x}")
    page.wait_for_selector(".messages > .msg")
    return server


def two_calls() -> mock_traces.Trace:
    """Return an agent that calls, runs a tool, and calls again with all it had said before."""
    root = mock_traces.span(
        8, span_type="agent", span_name="plan", duration_ms=5000.0, model=None, prompt=0, completion=0
    )
    base = root["timestamp"]
    ids = {"trace_id": root["trace_id"], "parent_id": root["id"], "is_root": False}
    call = {"type": "tool_call", "id": "c1", "name": "search", "arguments": '{"city":"Lisbon"}'}
    first = mock_traces.span(8, id="a1", span_name="first", **{**ids, "timestamp": base})
    tool = mock_traces.span(
        8,
        id="t1",
        span_type="tool",
        span_name="execute_tool search",
        **{**ids, "timestamp": base + 1300, "duration_ms": 420.0, "model": None},
    )
    second = mock_traces.span(8, id="a2", span_name="second", **{**ids, "timestamp": base + 2000})
    asked = [text("system", "Be brief."), text("user", "A hotel?")]
    answered = {"role": "assistant", "parts": [call], "finish_reason": "tool_calls"}
    again = {"role": "assistant", "parts": [{**call, "arguments": '{"city": "Lisbon"}'}]}
    result = {"role": "tool", "parts": [{"type": "tool_result", "id": "c1", "content": '{"found": 2}'}]}
    details = {
        "a1": mock_traces.detail_of(first, {"input": asked, "output": [answered]}),
        "a2": mock_traces.detail_of(second, {"input": [*asked, again, result, text("user", "And a train?")], "output": [text("assistant", "Yes.")]}),
    }  # fmt: skip
    return mock_traces.trace_of([root, first, tool, second], details)


def test_what_the_call_before_had_is_folded(mock: Maker, new_page: Maker) -> None:
    """Messages the previous call of the trace had already are one line; opened, they are all there; the rest stands open."""
    page = new_page()
    page.goto(f"{mock([two_calls()]).url}/traces/{8:032x}?span=a2&tab=messages")
    page.wait_for_selector(".earlier > summary:has-text('earlier messages, unchanged')")
    folded = int(page.locator(".earlier > summary").text_content().split()[0])
    assert folded == 3
    assert page.locator(".messages > .msg[data-role=user]:has-text('And a train?')").is_visible()
    assert not page.locator(".msg:has-text('A hotel?')").is_visible()
    assert page.locator(".messages > .msg:has-text('found')").is_visible(), "a result must not go with the folded call"
    page.click(".earlier > summary")
    page.wait_for_selector(".earlier .msg:has-text('A hotel?')", state="visible")


def test_a_tool_call_tells_how_long_its_span_took(mock: Maker, new_page: Maker) -> None:
    """The tool span's duration stands at the call and leads to the span."""
    page = new_page()
    page.goto(f"{mock([two_calls()]).url}/traces/{8:032x}?span=a1&tab=messages")
    page.click(".tool .took:has-text('420 ms')")
    page.wait_for_selector(".summary h1:has-text('execute_tool search')")
    assert page.get_attribute(".tree .row[aria-selected=true]", "aria-label").startswith("execute_tool search")


def test_pictures_sound_and_files(mock: Maker, new_page: Maker) -> None:
    """What travelled with the call is shown, what lies elsewhere is a link that opens apart; nothing is fetched by itself."""
    parts = [
        {"type": "image", "url": PIXEL}, {"type": "image", "url": "https://pictures.example/cat.png"}, {"type": "audio", "format": "wav", "data": SOUND},
        {"type": "file", "name": "terms.pdf", "url": "https://files.example/terms.pdf"}, {"type": "file", "name": "a.txt", "data": "aGk="}, {"type": "image", "url": "javascript:alert(1)"},
        {"type": "image", "url": "data:image/svg+xml,<svg/>"}, {"type": "refusal", "text": "I will not."},
    ]  # fmt: skip
    page = new_page()
    talk(mock, page, {"input": [{"role": "user", "parts": parts}], "output": []})
    assert page.locator(".msg img").count() == 1
    assert page.locator(".msg audio[controls]").count() == 1
    for host in ("pictures", "files"):
        link = page.locator(f".msg a[href^='https://{host}.example']")
        assert link.get_attribute("rel") == "noopener noreferrer"
        assert link.get_attribute("target") == "_blank"
    assert page.locator(".msg a[download='a.txt']").count() == 1
    assert page.locator(".refusal:has-text('I will not.')").count() == 1
    assert page.locator("a[href^='javascript']").count() == 0


def test_markdown_plain_and_json_are_remembered(mock: Maker, new_page: Maker) -> None:
    """The chosen way of showing holds for the next call of this session."""
    page = new_page()
    page.goto(f"{mock().url}{CALL}&tab=messages")
    page.wait_for_selector(".msg .md table")
    page.click(".segments button:has-text('Plain')")
    page.wait_for_selector(".msg .plain:has-text('| Day | Place |')")
    assert page.locator(".msg .md").count() == 0
    page.reload()
    page.wait_for_selector(".msg .plain:has-text('| Day | Place |')")
    page.click(".segments button:has-text('JSON')")
    page.wait_for_selector(".messages .json .branch")
    page.click(".segments button:has-text('Markdown')")
    page.wait_for_selector(".msg .md table")


def test_every_block_can_be_copied(mock: Maker, new_page: Maker) -> None:
    """Code, arguments and messages each have a button that copies exactly them."""
    page = new_page(permissions=["clipboard-read", "clipboard-write"])
    page.goto(f"{mock().url}{CALL}&tab=messages")
    for selector, words in ((".md [aria-label='Copy code']", "for day in plan:\\n    print(day)"), ("[aria-label='Copy arguments']", '{"city": "Lisbon", "guests": 4, "max_price": 180}'),
                            ("[aria-label='Copy user message']", "Plan two days in Lisbon for a family of four")):  # fmt: skip
        page.click(selector)
        until(page, f"navigator.clipboard.readText().then((text) => text === '{words}')", PATIENCE_S)


def test_hidden_characters_in_names_are_written_out(mock: Maker, new_page: Maker) -> None:
    """A name that turns the reading direction or hides letters is shown with what it hides, also in list, tags and tool names."""
    evil = "gpt\u202e4o\u200b"
    page = new_page()
    call = {"type": "tool_call", "id": evil, "name": evil, "arguments": "{}"}
    talk(
        mock,
        page,
        {"input": [{"role": "assistant", "parts": [call]}], "output": []},
        span_name=evil,
        model=evil,
        tags=[evil],
    )
    shown = "gpt‹U+202E›4o‹U+200B›"
    assert page.locator(".summary h1").text_content() == shown
    for selector in (".facts", ".ids .tag", ".tool-head strong"):
        assert shown in page.locator(selector).first.text_content()
    assert "\u202e" not in page.locator(".pane-detail").text_content()


def big_call() -> tuple[mock_traces.Trace, bytes]:
    """Return a call with a request of 5 MB in one line and a stream of as much, given as the server gives them."""
    trace = mock_traces.simple(4)
    detail = next(iter(trace["details"].values()))
    said = [{"role": "user", "content": f"{i} " + "wörd " * 180} for i in range(5200)]
    body = json.dumps({"model": "m", "messages": said}, ensure_ascii=False).encode()
    stream = "".join(f'data: {{"choices":[{{"delta":{{"content":"wörd {i}"}}}}]}}\n\n' for i in range(60_000)).encode()
    for name, data in (("request", body), ("response", stream)):
        detail[name].update(body=data[:65_536].decode("utf-8", "replace"), size=len(data), is_partial=True)
    detail["answer"] = None
    detail["response"]["arrivals"] = [[0, 100], [len(stream) // 2, 2000]]
    detail["parts"] = {"request": body, "response": stream}
    return trace, body


def test_five_megabytes_come_in_slices_and_never_stop_the_page(mock: Maker, new_page: Maker) -> None:
    """Text comes by the slice, the tree from a worker with every value in reach, a stream event by event; all of it is copied."""
    trace, body = big_call()
    page = new_page(permissions=["clipboard-read", "clipboard-write"])
    server = mock([trace])
    page.goto(f"{server.url}/traces/{4:032x}?tab=raw")
    page.wait_for_selector(".events li")
    assert not any("/body" in path and "part=request" in path for path in server.world.requests)
    length = "document.querySelector('.raw pre').textContent.length"
    assert page.evaluate(length) <= 65_536
    page.click(".raw >> nth=0 >> text=/Show more/")
    until(page, f"{length} > 250_000", PATIENCE_S)
    page.click(".raw >> nth=0 >> text=/Show more/")
    until(page, f"{length} > 450_000", PATIENCE_S)
    start = page.evaluate("document.querySelector('.raw pre').textContent")
    assert body.decode().startswith(start)
    page.click(".raw >> nth=0 >> .segments button:has-text('JSON')")
    page.click(".raw .json .branch summary:has-text('messages: [')", timeout=60_000)
    page.wait_for_selector(".raw .json button:has-text('Show 100 of 5,100 more')")
    page.click(".raw .json .branch summary:has-text('role: user') >> nth=0")
    page.wait_for_selector(".raw .json .v.string:has-text('0 wörd')")
    page.click(".raw .json button:has-text('characters: show all') >> nth=0")
    until(
        page,
        "[...document.querySelectorAll('.raw .json .v.string')].some((node) => node.textContent.length > 880)",
        PATIENCE_S,
    )
    page.click("[aria-label='Copy request body']")
    until(page, f"navigator.clipboard.readText().then((text) => text.length === {len(body.decode())})", PATIENCE_S)


def test_a_long_stream_is_read_on_event_by_event(mock: Maker, new_page: Maker) -> None:
    """Events beyond the head come with the next slice, numbered on, none lost at the seam, each with its arrival time."""
    trace, _ = big_call()
    page = new_page()
    page.goto(f"{mock([trace]).url}/traces/{4:032x}?tab=raw")
    page.wait_for_selector(".events li")
    for wanted in (400, 600, 800, 1000, 1200, 1400, 1600):
        page.click(".events + .button")
        until(page, f"document.querySelectorAll('.events > li').length >= {wanted}", PATIENCE_S)
    words = page.evaluate(
        "[...document.querySelectorAll('.events .data')].map((node) => Number(/ (\\d+)\"/.exec(node.textContent)[1]))"
    )
    assert words == list(range(len(words)))
    assert page.locator(".events .at >> nth=1500").text_content() == "+100 ms"


def test_lines_of_json_are_events_too(mock: Maker, new_page: Maker) -> None:
    """A stream of one JSON object a line, as Ollama sends, is listed line by line."""
    trace = mock_traces.simple(4)
    detail = next(iter(trace["details"].values()))
    detail["response"].update(
        headers={"content-type": "application/x-ndjson"}, body='{"n":1}\n{"n":2}\n', arrivals=[[0, 50], [8, 1900]]
    )
    page = new_page()
    page.goto(f"{mock([trace]).url}/traces/{4:032x}?tab=raw")
    page.wait_for_selector(".events li")
    assert page.locator(".events .at").all_text_contents() == ["+50 ms", "+1.90 s"]
    assert page.locator(".events .at.is-late").get_attribute("title") == "1.85 s after the one before"


def otlp_call() -> mock_traces.Trace:
    """Return a span that came by OTLP, with everything such a span can have."""
    trace = mock_traces.simple(4, source="otlp")
    detail = next(iter(trace["details"].values()))
    detail["attributes"] = {"gen_ai.request.top_k": 40, "team": "search", "deep": {"list": [1, 2]}, "long": "x" * 5000}
    detail["otlp"] = {
        "resource": {"service.name": "travel-desk", "host.name": "box-7"}, "scope": {"name": "openinference", "version": "1.2"}, "kind": 3,
        "events": [{"time_ns": str(detail["trace"]["timestamp"] * 1_000_000 + 250_000_000), "name": "cache.miss", "attributes": {"key": "lisbon"}}],
        "links": [{"trace_id": f"{3:032x}", "span_id": f"{302:016x}", "attributes": {"why": "follows"}}],
    }  # fmt: skip
    return trace


def test_attributes_events_links_and_resource(mock: Maker, new_page: Maker) -> None:
    """Everything recorded stands in tables; one filter narrows all of them; a link leads to the other span."""
    page = new_page()
    page.goto(f"{mock([otlp_call(), mock_traces.agent_run(3)]).url}/traces/{4:032x}?tab=attributes")
    page.wait_for_selector("section[aria-label=Resource]:has-text('box-7')")
    assert page.locator("section[aria-label=Events]").text_content().startswith("Events+250 ms")
    assert page.locator("section[aria-label=Scope]:has-text('openinference')").count() == 1
    page.fill("[aria-label='Filter attributes']", "lisbon key")
    until(page, "document.querySelectorAll('.attrs tr[data-words]:not([hidden])').length === 1", PATIENCE_S)
    page.fill("[aria-label='Filter attributes']", "nothing has this")
    page.wait_for_selector("text=Nothing here has these letters.")
    page.fill("[aria-label='Filter attributes']", "")
    page.click(f"section[aria-label=Links] a:has-text('{302:016x}')")
    page.wait_for_selector(".summary h1:has-text('search_hotels')")


def test_a_value_becomes_a_filter_of_the_list(mock: Maker, new_page: Maker) -> None:
    """Alt-click adds a value to the list's search, Alt-Shift-click leaves it out, a button does the same; the trace stays open."""
    page = new_page()
    page.goto(f"{mock([otlp_call()]).url}/traces/{4:032x}?tab=attributes")
    page.click("section[aria-label=Attributes] td:has-text('search')", modifiers=["Alt"])
    until(page, "new URLSearchParams(location.search).get('q') === '\"search\"'", PATIENCE_S)
    page.click(".facts [data-field=model]", modifiers=["Alt", "Shift"])
    until(page, "new URLSearchParams(location.search).get('q') === '\"search\" -model:gpt-4o-mini'", PATIENCE_S)
    page.click("[aria-label='Filter the list by this provider']")
    until(page, "new URLSearchParams(location.search).get('q').endsWith('provider:openai')", PATIENCE_S)
    assert page.evaluate("new URLSearchParams(location.search).get('tab')") == "attributes"
    assert page.locator(".summary h1").is_visible()


def test_log_records_of_the_trace(mock: Maker, new_page: Maker) -> None:
    """The Logs tab lists what was written under this trace; another trace has none and says so."""
    page = new_page()
    server = mock()
    page.goto(f"{server.url}{AGENT}?tab=logs")
    page.click(".loglines summary:has-text('seat booking failed')")
    page.wait_for_selector(".loglines .inner:has-text('booking.failed')")
    page.goto(f"{server.url}/traces/{700:032x}?tab=logs")
    page.wait_for_selector("text=No log records were written under this trace.")


def test_copied_python_and_javascript(mock: Maker, new_page: Maker) -> None:
    """The menu copies the call as code of each language, and the link of what is shown."""
    page = new_page(permissions=["clipboard-read", "clipboard-write"])
    page.goto(f"{mock().url}{CALL}&tab=raw")
    for label, sign in (
        ("Copy as Python", "import httpx"),
        ("Copy as JavaScript", "await fetch("),
        ("Copy link", "tab=raw"),
    ):
        page.click("[aria-label^='Copy, export']")
        page.click(f".menu >> text={label}")
        until(page, f"navigator.clipboard.readText().then((text) => text.includes({sign!r}))", PATIENCE_S)


def test_exports_name_the_trace_and_the_form(mock: Maker, new_page: Maker) -> None:
    """JSON, OTLP and HTML are links to the export of this trace alone; the menu walks by arrows and closes by Esc."""
    page = new_page()
    page.goto(f"{mock().url}{AGENT}")
    page.click("[aria-label^='Copy, export']")
    for form in ("json", "otlp", "html"):
        page.wait_for_selector(f".menu a[href='/api/traces/export?format={form}&trace_id={3:032x}'][download]")
    page.keyboard.press("ArrowDown")
    until(page, "document.activeElement.closest('.menu button') !== null", PATIENCE_S)
    page.keyboard.press("Escape")
    until(page, "!document.querySelector('.menu').open && document.activeElement.tagName === 'SUMMARY'", PATIENCE_S)
    with page.expect_download() as download:
        page.click("[aria-label^='Copy, export']")
        page.click("text=Export JSON")
    assert download.value.suggested_filename.endswith(".json")


def test_deleting_asks_first(mock: Maker, new_page: Maker) -> None:
    """The dialog's Cancel has the focus and changes nothing; Delete deletes and returns to the list."""
    server = mock()
    page = new_page()
    page.goto(f"{server.url}{AGENT}")
    page.click("[aria-label^='Copy, export']")
    page.click("text=Delete…")
    until(page, "document.activeElement.textContent === 'Cancel'", PATIENCE_S)
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog", state="detached")
    assert not any(path.startswith("DELETE") for path in server.world.requests)
    page.click("[aria-label^='Copy, export']")
    page.click("text=Delete…")
    page.click("dialog .danger")
    until(page, "location.pathname === '/traces'", PATIENCE_S)
    assert f"DELETE /api/traces/{3:032x}" in server.world.requests


def test_two_marked_traces_are_compared(mock: Maker, new_page: Maker) -> None:
    """The key c marks the first trace and leads from the second to the comparison of both."""
    page = new_page()
    server = mock([mock_traces.simple(4), mock_traces.simple(5)])
    blank = "export const mount = () => ({});"  # what the comparison shows is proved elsewhere
    page.route("**/views/diff.js", lambda route: route.fulfill(body=blank, content_type="text/javascript"))
    page.goto(f"{server.url}/traces/{4:032x}")
    page.wait_for_selector(".summary h1")
    page.keyboard.press("c")
    until(page, "document.getElementById('assertive').textContent.startsWith('Marked')", PATIENCE_S)
    page.goto(f"{server.url}/traces/{5:032x}")
    page.wait_for_selector(".summary h1")
    page.keyboard.press("c")
    until(page, f"location.pathname === '/diff/{4:032x}/{5:032x}'", PATIENCE_S)


def test_what_the_provider_reported_stands_beside_our_cost(mock: Maker, new_page: Maker) -> None:
    """The cost line tells tokens by price of each class, the price's key and date, and the reported cost with the difference."""
    trace = mock_traces.simple(4)
    trace["row"]["cost_detail"]["reported"] = 0.0001
    page = new_page()
    page.goto(f"{mock([trace]).url}/traces/{4:032x}")
    page.click(".fact-button")
    page.wait_for_selector(".bill:has-text('The provider reported $0.0001')")
    shown = page.locator(".bill").text_content()
    assert "input 420 × $0.15 / 1M + output 96 × $0.6 / 1M = $0.0001206" in shown
    assert "more (21%)" in shown
    assert "Price of gpt-4o-mini · table of 2026-11-20" in shown


def test_a_running_call_grows_older(mock: Maker, new_page: Maker) -> None:
    """A call that has not ended says so, and its time goes on."""
    trace = mock_traces.simple(4, running=True, messages={"input": [text("user", "hello?")], "output": []})
    page = new_page()
    page.goto(f"{mock([trace]).url}/traces/{4:032x}")
    page.wait_for_selector(".outcome.running:has-text('Running')")
    first = page.locator(".took-so-far").text_content()
    until(page, f"document.querySelector('.took-so-far').textContent !== {first!r}", PATIENCE_S)


def test_nothing_heavy_is_loaded_before_it_is_needed(mock: Maker, new_page: Maker) -> None:
    """A single call's messages need neither raw view nor code makers; those come with their tab."""
    server = mock([mock_traces.simple(4)])
    page = new_page()
    page.goto(f"{server.url}/traces/{4:032x}")
    page.wait_for_selector(".messages > .msg")
    page.wait_for_load_state("networkidle")
    for name in (
        "parts/raw.js",
        "parts/attributes.js",
        "parts/find.js",
        "lib/code.js",
        "lib/parser.js",
        "parts/bill.js",
    ):
        assert f"/{name}" not in server.world.requests, name
    page.keyboard.press("3")
    page.wait_for_selector(".panel[data-tab=raw] > *")
    assert "/parts/raw.js" in server.world.requests
