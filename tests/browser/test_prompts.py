"""Prompts on the screen, on the real server: told apart, named, compared, and led to their calls."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from browser.waiting import until

Maker = Callable[..., Any]
OLD = "You are a travel agent for trains. Answer in one sentence and name the station."
NEW = "You are a travel agent for trains. Answer in two sentences and name the station."
HOSTILE = "<img src=x onerror=window.pwned=1>"


def span(number: int, system: str, **more: Any) -> dict[str, Any]:
    """Return a call of a model as the SDK tells it; the larger its number the later."""
    asked = {
        "model": "gpt-4o-mini",
        "messages": [{"role": "system", "content": system}, {"role": "user", "content": "Why?"}],
    }
    return {
        "id": f"p{number}", "span_type": "llm", "span_name": "chat", "model": "gpt-4o-mini", "provider": "openai",
        "prompt_tokens": 100 * number, "completion_tokens": 10, "start_time": time.time() * 1000 - 600_000 + number * 1000,
        "duration_ms": 100 * number, "input": asked, "output": "Because.", **more,
    }  # fmt: skip


@pytest.fixture
def prompted(flow: Any) -> Any:
    """A LLMFlow with a prompt of two wordings, a named one with one, and one with a name that is markup."""
    spans = [span(1, OLD), span(2, OLD, status=500, error="no"), span(3, NEW),
             span(4, "Write a summary.", prompt_name="summary", prompt_version="2024-11"), span(5, HOSTILE, prompt_name=HOSTILE)]  # fmt: skip
    status, _, _ = flow.ask("/api/spans", method="POST", body={"spans": spans})
    assert status == 201
    return flow


def rows(page: Any) -> list[str]:
    """Return the names in the table."""
    return [text.split("\n")[0] for text in page.locator(".prompts tbody th").all_inner_texts()]


def test_prompts_are_listed_by_name_or_beginning(prompted: Any, new_page: Maker) -> None:
    """A name stands as it is, what has none in quotes, markup as text; search, order and the way to the calls work."""
    page = new_page()
    page.goto(f"{prompted.dashboard_url}/traces")
    page.wait_for_selector("#main .screen")
    page.keyboard.press("g")
    page.keyboard.press("p")
    page.wait_for_selector(".prompts tbody tr")
    assert rows(page)[0] == f"“{NEW}”"
    assert set(rows(page)[1:]) == {"summary", HOSTILE}
    assert page.evaluate("window.pwned") is None
    assert "50%" not in page.inner_text(".prompts tbody tr:first-child")
    assert "33%" in page.inner_text(".prompts tbody tr:first-child")
    page.select_option("[aria-label='Order']", "name")
    until(page, "document.querySelector('.prompts tbody tr:last-child th')?.innerText.startsWith('“')")
    page.fill("[aria-label='Search prompts']", "summ")
    until(page, "document.querySelectorAll('.prompts tbody tr').length === 1 && location.search.includes('q=summ')")
    page.fill("[aria-label='Search prompts']", "nothing like it")
    page.click("text=Clear the search")
    until(page, "document.querySelectorAll('.prompts tbody tr').length === 3")
    page.click(".prompts tbody tr:last-child td a")
    until(page, "location.pathname === '/traces' && decodeURIComponent(location.search).includes('prompt:~')")
    until(page, "document.querySelectorAll('[role=row][data-id], .grid .row').length >= 3")


def test_versions_are_compared(prompted: Any, new_page: Maker) -> None:
    """The last two versions are compared at once, others as chosen; what was edited is marked, and kept in the address."""
    page = new_page()
    page.goto(f"{prompted.dashboard_url}/prompts")
    page.click(".prompts tbody tr:first-child th a")
    page.wait_for_selector(".words ins")
    assert page.locator(".prompt [aria-label='Versions'] tbody tr").count() == 2
    assert page.inner_text(".compared h2") == "v1 → v2"
    assert "one" in page.inner_text(".words del")
    assert page.locator("[aria-label='Calls by version'] .legend li").count() == 2
    page.check("[aria-label='Compare with v2']")
    until(page, "document.querySelector('.compared h2')?.innerText === 'Choose two different versions'")
    page.check("[aria-label='Compare v1']")
    until(page, "document.querySelector('.compared h2')?.innerText === 'v2 → v1'")
    page.reload()
    until(page, "document.querySelector('.compared h2')?.innerText === 'v2 → v1'")
    page.click("text=How to give it one")
    page.wait_for_selector("text=x-llmflow-prompt: summary@1")
    page.click("[aria-label='Show the 2 calls of v1']")
    until(page, "location.pathname === '/traces' && /prompt:~\\w+@\\w+/.test(decodeURIComponent(location.search))")


def test_a_prompt_with_one_version_and_none_at_all(prompted: Any, new_page: Maker) -> None:
    """One version has nothing to choose; a prompt that is not here says so; an unknown time leads back."""
    page = new_page(expects_errors=True)
    page.goto(f"{prompted.dashboard_url}/prompts/summary")
    page.wait_for_selector("text=One wording so far")
    page.click("[aria-label='Versions'] td a[title='Its newest call']")
    page.click(".ids a[data-field='prompt']")
    page.wait_for_selector("text=One wording so far")
    assert page.locator("input[type=radio]").count() == 0
    page.goto(f"{prompted.dashboard_url}/prompts/nothing")
    page.wait_for_selector("text=This prompt is not here")


def test_no_prompt_yet_tells_how(flow: Any, new_page: Maker) -> None:
    """An empty screen names the header."""
    page = new_page()
    page.goto(f"{flow.dashboard_url}/prompts")
    page.wait_for_selector("text=No prompts yet")
    assert "x-llmflow-prompt" in page.inner_text(".notice")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone(prompted: Any, new_page: Maker, scheme: str) -> None:
    """Nothing is wider than a phone, in either theme; what is wide scrolls within itself."""
    page = new_page(viewport={"width": 390, "height": 844}, color_scheme=scheme)
    page.goto(f"{prompted.dashboard_url}/prompts")
    page.wait_for_selector(".prompts tbody tr")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.click(".prompts tbody tr:first-child th a")
    page.wait_for_selector(".words ins")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
