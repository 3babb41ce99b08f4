"""The filter bar in a real browser: chips, suggestions, choices, saved views, the time strip, Alt-click."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from browser import mock_traces
from browser.waiting import until

Maker = Callable[..., Any]
ROWS = ".traces .window > .row:not([hidden])"
SEARCH = "#searchInput"


def opened(new_page: Maker, url: str, **options: Any) -> Any:
    """Return a page whose list has rows."""
    page = new_page(**options)
    page.goto(url)
    page.wait_for_selector(ROWS)
    return page


def test_a_field_is_suggested_then_its_values(mock: Maker, new_page: Maker) -> None:
    """Arrow and Enter take a field, then one of its values with their counts; the list follows, the focus stays."""
    server = mock()
    page = opened(new_page, f"{server.url}/traces")
    page.focus(SEARCH)
    page.keyboard.type("mod")
    page.wait_for_selector("[role=option]:has-text('model:')")
    assert page.get_attribute(SEARCH, "aria-expanded") == "true"
    page.keyboard.press("ArrowDown")
    assert page.get_attribute(SEARCH, "aria-activedescendant") == "suggestion-0"
    page.keyboard.press("Enter")
    page.wait_for_selector("[role=option]:has-text('gpt-4.1')")
    assert page.input_value(SEARCH) == "model:"
    page.click("[role=option]:has-text('gpt-4o-mini')")
    until(page, "new URLSearchParams(location.search).get('q') === 'model:gpt-4o-mini'")
    assert page.input_value(SEARCH) == "model:gpt-4o-mini "
    until(page, "document.activeElement.id === 'searchInput'")
    page.wait_for_selector("button[aria-label='Remove filter model:gpt-4o-mini']")
    assert page.get_attribute(SEARCH, "aria-expanded") == "false"


def test_escape_closes_the_suggestions_before_it_clears(mock: Maker, new_page: Maker) -> None:
    """The first Escape closes what is open and keeps the text; the second empties the box."""
    page = opened(new_page, f"{mock().url}/traces")
    page.focus(SEARCH)
    page.keyboard.type("sta")
    page.wait_for_selector("[role=option]:has-text('status:')")
    page.keyboard.press("Escape")
    page.wait_for_selector("#suggestions", state="hidden")
    assert page.input_value(SEARCH) == "sta"
    page.keyboard.press("Escape")
    until(page, "document.querySelector('#searchInput').value === '' && location.search === ''")
    until(page, "document.activeElement.matches('.row')")


def test_a_field_without_a_value_is_not_searched_for(mock: Maker, new_page: Maker) -> None:
    """While its value is still to come, `model:` narrows nothing."""
    server = mock()
    page = opened(new_page, f"{server.url}/traces")
    page.focus(SEARCH)
    page.keyboard.type("haiku model:")
    until(page, "new URLSearchParams(location.search).get('q') === 'haiku'")
    assert page.input_value(SEARCH) == "haiku model:"


def test_every_chip_takes_away_its_own_condition(mock: Maker, new_page: Maker) -> None:
    """Words, choices and times are chips; Clear all leaves the order as it is."""
    page = opened(new_page, f"{mock().url}/traces?q=haiku%20-lisbon&provider=openai&status=success&sort=-cost")
    page.wait_for_selector(".chip >> nth=3")
    labels = page.eval_on_selector_all(".chip", "(all) => all.map((one) => one.textContent)")
    assert labels == ["haiku", "-lisbon", "provider: openai", "without errors"]
    page.click("button[aria-label='Remove filter -lisbon']")
    until(page, "new URLSearchParams(location.search).get('q') === 'haiku'")
    page.click("#clearFilters")
    until(page, "location.search === '?sort=-cost'")
    page.go_back()
    until(page, "document.querySelector('#searchInput').value === 'haiku'")
    page.wait_for_selector("button[aria-label='Remove filter provider: openai']")


def test_bad_syntax_is_marked_and_searched_as_text(mock: Maker, new_page: Maker) -> None:
    """The chip of a word that cannot be read says why."""
    page = new_page()
    page.goto(f"{mock().url}/traces?q=cost%3Echeap")
    page.wait_for_selector(".chip.is-warn[title*='cost wants a number such as 0.01']")


def test_the_choices_offer_what_there_is(mock: Maker, new_page: Maker) -> None:
    """Tags and sessions are one click away, filled from the facets."""
    page = opened(new_page, f"{mock().url}/traces")
    page.select_option("select[aria-label=Session]", "trip-lisbon")
    until(page, "location.search === '?session=trip-lisbon'")
    until(page, f"document.querySelectorAll('{ROWS}').length === 2")
    page.select_option("select[aria-label=Session]", "")
    page.select_option("select[aria-label=Tag]", "travel")
    until(page, "location.search === '?tag=travel'")


def test_alt_click_adds_a_value_and_with_shift_excludes_it(mock: Maker, new_page: Maker) -> None:
    """Any value of a row, a tag as well; the row is not opened."""
    page = opened(new_page, f"{mock().url}/traces")
    page.click(f"{ROWS} .c-provider[data-term='provider:groq']", modifiers=["Alt"])
    until(page, "new URLSearchParams(location.search).get('q') === 'provider:groq'")
    until(page, f"[...document.querySelectorAll('{ROWS} .c-provider')].every((one) => one.textContent === 'groq')")
    places = f"[...document.querySelectorAll('{ROWS} .tag')].map((one) => Number(one.closest('.row').dataset.index))"
    topmost = page.evaluate(f"Math.min(...{places})")  # rows stand in the document in no order
    page.click(f"{ROWS}[data-index='{topmost}'] .tag", modifiers=["Alt", "Shift"])
    until(page, "new URLSearchParams(location.search).get('q').startsWith('provider:groq -tag:')")
    assert page.evaluate("location.pathname") == "/traces"


def test_views_are_saved_opened_and_deleted(mock: Maker, new_page: Maker) -> None:
    """A view keeps filters, order and columns on the server."""
    server = mock()
    page = opened(new_page, f"{server.url}/traces?q=haiku&sort=-cost")
    page.click("button[aria-label='Saved views']")
    page.fill("input[aria-label='Name of the view']", "Dear haiku")
    page.keyboard.press("Enter")
    page.wait_for_selector(".toast:has-text('Dear haiku')")
    assert server.world.views == {"Dear haiku": "q=haiku&sort=-cost"}
    page.goto(f"{server.url}/traces")
    page.wait_for_selector(ROWS)
    page.click("button[aria-label='Saved views']")
    page.click("a:has-text('Dear haiku')")
    until(page, "location.search === '?q=haiku&sort=-cost'")
    page.click("button[aria-label='Saved views']")
    page.click("button[aria-label='Delete view Dear haiku']")
    page.wait_for_selector("text=None yet.")
    assert server.world.views == {}
    page.keyboard.press("Escape")
    until(page, "document.activeElement.getAttribute('aria-label') === 'Saved views'")


def test_dragging_over_the_strip_sets_the_time(mock: Maker, new_page: Maker) -> None:
    """A drag becomes from and to, with a chip; a double click takes them away."""
    page = opened(new_page, f"{mock(mock_traces.many(120)).url}/traces")
    page.wait_for_selector(".strip rect.n")
    page.hover(".strip")
    page.wait_for_selector(".strip .told", state="attached")
    box = page.query_selector(".strip svg").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 10)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 10)
    page.mouse.up()
    until(page, "/from=\\d+&to=\\d+/.test(location.search)")
    until(page, f"document.querySelectorAll('{ROWS}').length > 20")
    page.wait_for_selector(".chip:has-text('→')")
    page.dblclick(".strip")
    until(page, "location.search === ''")


def test_the_strip_is_worked_by_keys_too(mock: Maker, new_page: Maker) -> None:
    """Arrows go through the times and tell them, Shift chooses, Enter filters, Delete takes it back."""
    page = opened(new_page, f"{mock(mock_traces.many(120)).url}/traces")
    page.wait_for_selector(".strip rect.n")
    page.focus(SEARCH)
    page.wait_for_selector(".strip .told", state="attached")
    page.focus(".strip")
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    until(page, "/call/.test(document.querySelector('.strip').getAttribute('aria-valuetext'))")
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("Enter")
    until(page, "/from=\\d+&to=\\d+/.test(location.search)")
    assert page.evaluate("document.activeElement.className") == "strip"
    page.keyboard.press("Delete")
    until(page, "location.search === ''")


def test_an_empty_time_offers_the_nearest_that_matches(mock: Maker, new_page: Maker) -> None:
    """Where only the time excludes everything, one click leads to where something is."""
    page = new_page()
    page.goto(f"{mock(mock_traces.many(20)).url}/traces?from=1000&to=2000")
    page.click(".near button")
    page.wait_for_selector(ROWS)
    assert page.locator(".chip:has-text('→')").count() == 1


def test_columns_are_chosen_and_kept_in_the_address(mock: Maker, new_page: Maker) -> None:
    """A chosen column appears, an unchosen goes; the address brings them back; nothing is asked for again."""
    server = mock()
    page = opened(new_page, f"{server.url}/traces")
    asked = sum(path.startswith("/api/traces?") for path in server.world.requests)
    page.click("button[aria-label='Columns and export']")
    page.check("label:has-text('Session') input")
    page.uncheck("label:has-text('Provider') input")
    page.wait_for_selector(".head .c-session")
    assert page.locator(".head .c-provider").count() == 0
    assert "cols=" in page.url
    assert sum(path.startswith("/api/traces?") for path in server.world.requests) == asked
    page.reload()
    page.wait_for_selector(f"{ROWS} .c-session")
    assert page.locator(".head .c-provider").count() == 0
    page.click("button[aria-label='Columns and export']")
    page.click("text=As many as fit")
    page.wait_for_selector(".head .c-provider")
    assert "cols=" not in page.url


def test_what_is_listed_can_be_taken_away_as_a_file(mock: Maker, new_page: Maker) -> None:
    """The export asks for exactly what the list shows."""
    page = opened(new_page, f"{mock().url}/traces?q=haiku&model=gpt-4.1")
    page.click("button[aria-label='Columns and export']")
    href = page.get_attribute(".panel-row a:has-text('CSV')", "href")
    assert href.startswith("/api/traces/export?format=csv&")
    for part in ("roots=1", "joined=0", "filter=haiku", "model=gpt-4.1"):
        assert part in href


def test_on_a_phone_the_choices_hide_behind_a_button(mock: Maker, new_page: Maker) -> None:
    """At 390 px the choices open on demand and tell how many are set."""
    page = opened(new_page, f"{mock().url}/traces?status=error", viewport={"width": 390, "height": 800})
    until(page, "document.querySelector('.picks-button').textContent === 'Filters (1)'")
    assert not page.is_visible("select[aria-label=Status]")
    page.click(".picks-button")
    page.select_option("select[aria-label=Status]", "")
    until(page, "location.search === ''")
