"""Sending a recorded call again from the screen: edited, by another provider, and what is wrong said in the dialog."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from anthropic_server import AnthropicLike
from browser.test_whole import chat, post
from fake_upstream import FakeUpstream

import llmflow

Maker = Callable[..., Any]


@pytest.fixture(scope="module")
def house() -> Iterator[tuple[llmflow.Flow, FakeUpstream, FakeUpstream]]:
    with FakeUpstream.openai() as openai, FakeUpstream(AnthropicLike()) as anthropic:
        urls = {"openai": openai.url, "anthropic": anthropic.url}
        with llmflow.serve(upstreams=urls, env={}) as flow:
            yield flow, openai, anthropic


def opened(new_page: Maker, flow: llmflow.Flow, words: str) -> Any:
    """Record a call and open it."""
    post(f"{flow.proxy_url}/v1/chat/completions", chat(words, temperature=0.5))
    page = new_page()
    page.goto(f"{flow.dashboard_url}/traces/{flow.calls()[-1]['trace_id']}")
    page.wait_for_selector(f".msg[data-role=user]:has-text('{words}')")
    return page


def test_edited_with_the_keyboard(house: Any, new_page: Maker) -> None:
    """`r` opens the dialog with what would be sent; edited and sent, the diff shows what became of it."""
    flow, openai, _ = house
    page = opened(new_page, flow, "why is grass green?")
    page.focus(".detail h1")
    page.keyboard.press("r")
    field = page.locator("dialog textarea")
    field.wait_for()
    sent = json.loads(field.input_value())
    assert sent["messages"] == [{"role": "user", "content": "why is grass green?"}]
    field.fill("{")
    page.click("dialog button[type=submit]")
    page.wait_for_selector("dialog [role=alert]:has-text('no JSON')")
    field.fill(json.dumps({**sent, "temperature": 0.9}))
    page.fill("dialog input[type=password]", "sk-typed")
    page.click("dialog button[type=submit]")
    page.wait_for_url("**/diff/**")
    page.wait_for_selector("text=A replay of the other side")
    page.wait_for_selector("td:has-text('0.9')")
    assert openai.requests[-1].json()["temperature"] == 0.9
    assert openai.requests[-1].header("authorization") == "Bearer sk-typed"


def test_by_another_provider(house: Any, new_page: Maker) -> None:
    """Another provider is asked the same in its own words, by the model that is named."""
    flow, _, anthropic = house
    page = opened(new_page, flow, "why is snow white?")
    page.click("summary[aria-label^=Copy]")
    page.click("text=Send again…")
    page.wait_for_selector("dialog textarea")
    page.select_option("dialog select", "anthropic")
    page.wait_for_selector("dialog .hint:has-text('translated')")
    page.fill("dialog input[type=text]", "claude-sonnet-4-5")
    page.fill("dialog input[type=password]", "sk-ant-typed")
    page.click("dialog button[type=submit]")
    page.wait_for_url("**/diff/**")
    page.wait_for_selector("h2:has-text('claude-sonnet-4-5'), a:has-text('claude-sonnet-4-5')")
    assert anthropic.requests[-1].json()["model"] == "claude-sonnet-4-5"
    assert anthropic.requests[-1].header("x-api-key") == "sk-ant-typed"
