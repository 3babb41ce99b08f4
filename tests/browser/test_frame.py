"""The frame in a real browser: screens, live button, theme, help, keys, separator, one column, toasts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from browser import mock_traces
from browser.waiting import until

Maker = Callable[..., Any]
ROWS = ".traces .window > .row:not([hidden])"
TRACE = f"/traces/{3:032x}"


def opened(new_page: Maker, url: str, **options: Any) -> Any:
    """Return a page whose list has rows."""
    page = new_page(**options)
    page.goto(url)
    page.wait_for_selector(ROWS)
    return page


def press(page: Any, *keys: str) -> None:
    """Dispatch keys in one go, so that a slow machine does not tear a sequence apart."""
    page.evaluate(
        "(keys) => { for (const key of keys) document.activeElement.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true })); }",
        list(keys),
    )


def test_every_screen_stands_in_the_header(mock: Maker, new_page: Maker) -> None:
    """The screens in their order, the totals, and the one that is shown is marked."""
    page = opened(new_page, f"{mock().url}/traces")
    names = page.eval_on_selector_all(".nav a", "(all) => all.map((one) => one.textContent)")
    assert " ".join(names) == "Traces Sessions Analytics Logs Metrics Models Prompts Budgets Timeline Setup"
    assert page.eval_on_selector_all(".nav [aria-current=page]", "(all) => all.map((one) => one.textContent)") == [
        "Traces"
    ]
    until(page, "document.querySelector('[data-stat=requests]').textContent === '241'")
    assert page.evaluate("document.querySelector('.top').offsetHeight") == 40


def test_digits_lead_to_the_screens_but_are_tabs_within_a_trace(mock: Maker, new_page: Maker) -> None:
    """0, the tenth, is Setup from the list; in a trace 8 leads nowhere."""
    page = opened(new_page, f"{mock().url}/traces")
    press(page, "0")
    until(page, "location.pathname === '/setup'")
    press(page, "1")
    until(page, "location.pathname === '/traces'")
    page.goto(page.url.replace("/traces", TRACE))
    page.wait_for_selector(".tab")
    press(page, "8")
    press(page, "3")
    page.wait_for_selector(".tab[aria-selected=true]:has-text('Request')")
    assert page.evaluate("location.pathname") == TRACE


def test_the_live_button_tells_and_pauses(mock: Maker, new_page: Maker) -> None:
    """Live, Paused with a count, Live again; offline with the seconds to the next try."""
    server = mock(mock_traces.many(5))
    page = new_page(expects_errors=True)
    page.goto(f"{server.url}/traces")
    page.wait_for_selector(".live[data-state=live]")
    page.wait_for_selector(ROWS)
    page.click("#live")
    page.wait_for_selector(".live[data-state=paused]")
    until(page, "document.querySelector('#live').getAttribute('aria-pressed') === 'true'")
    server.world.arrive(mock_traces.simple(700, timestamp=4_000_000_000_000))
    server.world.arrive(mock_traces.simple(701, timestamp=4_000_000_000_001))
    page.wait_for_selector("#live:has-text('Paused · 2 new')")
    page.click("#live")
    page.wait_for_selector(".live[data-state=live]")
    until(
        page, f"document.querySelectorAll('{ROWS}').length === 7 || document.querySelector('.new-rows:not([hidden])')"
    )
    server.world.is_down = True
    server.world.drop_sockets()
    page.wait_for_selector(".live[data-state=offline]")
    until(page, "/Offline · \\d+ s/.test(document.querySelector('#live').textContent)")


def test_the_help_lists_the_whole_map_and_switches_single_keys_off(mock: Maker, new_page: Maker) -> None:
    """Every group of keys is there; with the switch off, letters do nothing and named keys still work."""
    page = opened(new_page, f"{mock().url}/traces")
    press(page, "?")
    page.wait_for_selector("dialog[open] h2:has-text('Keyboard')")
    text = page.inner_text("dialog")
    for word in (
        "Anywhere",
        "Go to",
        "In the list",
        "In the time strip",
        "In a trace",
        "In the waterfall",
        "g t",
        "Shift+↓",
        "Del",
    ):
        assert word in text
    page.uncheck("dialog input[type=checkbox]")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="detached")
    press(page, "?", "j", "g", "s")
    press(page, "ArrowDown")
    until(page, "document.activeElement.matches('.row')")
    assert page.locator("dialog").count() == 0
    assert page.evaluate("location.pathname") == "/traces"
    page.click("#help")
    page.check("dialog input[type=checkbox]")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="detached")
    until(page, "document.activeElement.id === 'help'")


def test_the_separator_is_moved_by_keys_and_mouse_and_kept(mock: Maker, new_page: Maker) -> None:
    """Arrows and dragging change the width of the list, a reload keeps it."""
    page = opened(new_page, f"{mock().url}{TRACE}")
    page.wait_for_selector(".separator[data-ready]")
    page.focus(".separator")
    press(page, "ArrowRight", "ArrowRight")
    assert page.get_attribute(".separator", "aria-valuenow") == "48"
    box = page.query_selector(".separator").bounding_box()
    page.mouse.move(box["x"] + 3, box["y"] + 300)
    page.mouse.down()
    page.mouse.move(1440 * 0.6, box["y"] + 300)
    page.mouse.up()
    until(page, "Number(document.querySelector('.separator').getAttribute('aria-valuenow')) === 60")
    page.reload()
    page.wait_for_selector(".separator[data-ready]")
    assert page.get_attribute(".separator", "aria-valuenow") == "60"


def test_one_column_below_900_pixels(mock: Maker, new_page: Maker) -> None:
    """A trace takes the place of the list, the focus goes with it, and Back leads to the row."""
    page = opened(new_page, f"{mock().url}/traces", viewport={"width": 800, "height": 700})
    page.click(f"{ROWS} >> nth=1")
    page.wait_for_selector(".summary h1")
    assert not page.is_visible(".traces")
    until(page, "document.querySelector('.pane-detail').contains(document.activeElement)")
    page.click("[aria-label='Back to the list']")
    page.wait_for_selector(ROWS)
    assert not page.is_visible(".pane-detail")
    until(page, "document.activeElement.matches('.row')")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_theme_is_there_before_the_first_paint(mock: Maker, new_page: Maker, scheme: str) -> None:
    """The chosen theme stands against the system's, set by a script in the head."""
    page = opened(new_page, f"{mock().url}/traces", color_scheme=scheme)
    other = "light" if scheme == "dark" else "dark"
    for _ in range(1 + (other == "dark")):
        page.click("#theme")
    until(page, f"document.documentElement.dataset.theme === '{other}'")
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == other
    assert page.evaluate("document.querySelector('head script').src.endsWith('/boot.js')")


def test_an_address_of_nobody_says_so(mock: Maker, new_page: Maker) -> None:
    """It offers the way to the traces."""
    page = opened(new_page, f"{mock().url}/traces")
    page.evaluate("history.pushState(null, '', '/nowhere'); dispatchEvent(new PopStateEvent('popstate'))")
    page.click("text=To the traces")
    page.wait_for_selector(ROWS)


def test_there_is_a_word_for_browsers_without_scripts(mock: Maker, new_page: Maker) -> None:
    """It points to the data."""
    page = new_page(java_script_enabled=False)
    page.goto(f"{mock().url}/traces")
    assert page.get_attribute(".noscript a", "href") == "/api/traces"


def test_what_was_done_is_told_once_in_the_polite_region(mock: Maker, new_page: Maker) -> None:
    """A toast is seen, heard, and can be closed."""
    page = opened(new_page, f"{mock().url}/traces")
    page.click("button[aria-label='Saved views']")
    page.fill("input[aria-label='Name of the view']", "Mine")
    page.keyboard.press("Enter")
    page.wait_for_selector(".toast:has-text('View “Mine” saved')")
    until(page, "document.querySelector('#polite').textContent.includes('Mine')")
    assert page.locator("[aria-live=polite]").count() == 1
    page.click(".toast button")
    page.wait_for_selector(".toast", state="detached")


@pytest.mark.parametrize(
    "path",
    ["/traces", "/sessions", "/analytics", "/models", "/logs", "/metrics", "/timeline", "/setup", f"/traces/{3:032x}"],
)
def test_every_screen_fits_a_width_of_320(mock: Maker, new_page: Maker, path: str) -> None:
    """At 320 px nothing needs sideways scrolling of the page."""
    page = new_page(viewport={"width": 320, "height": 700})
    page.goto(mock().url + path)
    page.wait_for_selector(":is(.row, table, .card, .snippet, .summary):visible")
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_the_theme_is_set_before_paint_and_kept(mock: Maker, new_page: Maker) -> None:
    """Auto follows the system; a choice lasts over a reload, and boot.js sets it before the body exists."""
    page = new_page(color_scheme="dark")
    page.goto(f"{mock().url}/models")
    background = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(background) == "rgb(18, 20, 24)"
    page.wait_for_selector("#theme[aria-label='Theme: auto']")
    page.keyboard.press("t")
    until(page, f"{background} === 'rgb(255, 255, 255)'")
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "light"


def test_the_help_lists_keys_that_work(mock: Maker, new_page: Maker) -> None:
    """? opens the help, Escape closes it, and the g-sequences lead to their screens."""
    page = new_page()
    page.goto(f"{mock().url}/traces")
    page.wait_for_selector(ROWS)
    page.keyboard.press("?")
    page.wait_for_selector("dialog[open] >> text=Next row")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="detached")
    for key, path in {
        "s": "sessions",
        "a": "analytics",
        "o": "models",
        "l": "logs",
        "m": "metrics",
        "i": "timeline",
        "u": "setup",
        "t": "traces",
    }.items():
        page.evaluate(
            "(keys) => { for (const key of keys) document.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true })); }",
            ["g", key],
        )
        until(page, f"location.pathname === '/{path}'")
        page.wait_for_selector(f".nav a[aria-current=page][href='/{path}']")


def test_old_hashes_lead_to_paths(mock: Maker, new_page: Maker) -> None:
    """A bookmark of the hash router still finds its screen."""
    page = new_page()
    page.goto(f"{mock().url}/#models")
    page.wait_for_selector("h1:has-text('Models')")
    assert page.url.endswith("/models")


def test_arrows_in_the_detail_are_its_own(mock: Maker, new_page: Maker) -> None:
    """They scroll what is read; only j and k lead back to the list, and Delete there deletes nothing."""
    page = opened(new_page, f"{mock().url}{TRACE}")
    page.wait_for_selector(".panel")
    page.focus(".panel")
    press(page, "ArrowDown", "Delete", "x")
    assert page.evaluate("document.activeElement.className") == "panel"
    assert page.locator("dialog").count() == 0
    press(page, "j")
    until(page, "document.activeElement.matches('.traces .row')")


def test_forced_colours_keep_what_colour_said(mock: Maker, new_page: Maker) -> None:
    """Only the current screen and tab are underlined, the live dot is there, the open row has a line around it."""
    server = mock()
    page = new_page(forced_colors="active")
    page.goto(f"{server.url}/traces")
    page.wait_for_selector(".traces .window > .row:not([hidden]) .c-name")
    page.click(".traces .window > .row:not([hidden]) .c-name")
    page.wait_for_selector(".tabs .tab[aria-selected=true]")
    look = "(selector, name) => getComputedStyle(document.querySelector(selector))[name]"
    for here, other in ((".nav a[aria-current]", ".nav a:not([aria-current])"), (".tab[aria-selected=true]", ".tab[aria-selected=false]")):  # fmt: skip
        until(page, f"({look})('{here}', 'borderBottomColor') !== ({look})('{other}', 'borderBottomColor')")
        until(page, f"({look})('{other}', 'borderBottomColor') === ({look})('body', 'backgroundColor')")
    until(page, f"({look})('.live i', 'backgroundColor') !== ({look})('body', 'backgroundColor')")
    until(page, f"({look})('.row[aria-current]', 'outlineStyle') !== 'none'")
