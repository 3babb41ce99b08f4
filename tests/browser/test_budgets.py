"""Budgets on the screen, on the real server: made, filled live, changed, deleted; read by everybody."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browser.waiting import until
from fake_upstream import FakeUpstream, answer

import llmflow

Maker = Callable[..., Any]
USAGE = {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500}
ANSWER = {"id": "c", "model": "gpt-4o-mini", "choices": [{"index": 0, "message": {"content": "ok"}}], "usage": USAGE}
FILE = """
[budget.team]
limit_tokens = 10000
per = "month"
warn_at = 0.1
webhook = "http://127.0.0.1:9/secret-path"
command = ["{python}", "-c", "pass"]

[alert.burst]
kind = "spike"
per = "hour"
"""


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Any]:
    """A whole LLMFlow with a file of rules, before an upstream that answers everything."""
    (tmp_path / "llmflow.toml").write_text(FILE.format(python=sys.executable.replace("\\", "/")))
    with (
        FakeUpstream(answer(body=json.dumps(ANSWER).encode())) as upstream,
        llmflow.serve(upstreams={"openai": upstream.url}, data_dir=tmp_path, max_calls=1000) as flow,
    ):
        yield flow


def call(flow: Any) -> int:
    """Make one call and return its status."""
    body = json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "why?"}], "max_tokens": 500})
    request = urllib.request.Request(
        flow.openai_base_url + "/chat/completions", body.encode(), {"Content-Type": "application/json"}
    )
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=60) as found:
            found.read()
            return int(found.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_a_budget_from_its_making_to_its_end(running: Any, new_page: Maker) -> None:
    """A budget is made in a dialog, fills as calls come, says that it is used up, is changed and deleted."""
    page = new_page()
    page.goto(f"{running.dashboard_url}/budgets")
    page.wait_for_selector(".live[data-state=live]")
    page.wait_for_selector(".budget:has-text('max_calls'):has-text('Set by --max-calls')")
    page.wait_for_selector(".budget:has-text('team'):has-text('tells 127.0.0.1')")
    page.wait_for_selector(".budget:has-text('burst'):has-text('Spike alert')")
    page.click("text=New budget")
    page.fill("dialog [name=name]", "my calls")
    page.fill("dialog [name=limit]", "2")
    page.select_option("dialog [name=unit]", "limit_calls")
    page.select_option("dialog [name=per]", "total")
    page.select_option("dialog [name=action]", "block")
    page.click("dialog button:has-text('Create')")
    page.wait_for_selector(".budget:has-text('my calls'):has-text('0 of 2 calls used')")
    assert [call(running), call(running), call(running)] == [200, 200, 429]
    page.wait_for_selector(".budget:has-text('my calls'):has-text('2 of 2 calls used'):has-text('used up')")
    page.wait_for_selector(".budget:has-text('my calls'):has-text('1 call refused')")
    page.wait_for_selector("table:has-text('of 10,000 tokens used this month')")  # the warning of the file's rule
    page.wait_for_selector("tr:has-text('command'):has-text('delivered')")
    assert "secret-path" not in page.content()
    if "LLMFLOW_SHOTS" in os.environ:  # pictures for whoever looks at them
        shoot(page, Path(os.environ["LLMFLOW_SHOTS"]))
    page.click("button[aria-label='Change my calls']")
    page.fill("dialog [name=limit]", "5")
    page.click("dialog button:has-text('Save')")
    page.wait_for_selector(".budget:has-text('my calls'):has-text('2 of 5 calls used')")
    page.click("button[aria-label='Delete my calls']")
    page.click("dialog button:has-text('Delete')")
    until(page, "!document.querySelector('.budget-list').textContent.includes('my calls')")


def test_a_budget_that_cannot_be(running: Any, new_page: Maker) -> None:
    """What the server does not take is said in the dialog, which stays open with all that was typed."""
    page = new_page(expects_errors=True)
    page.goto(f"{running.dashboard_url}/analytics")
    page.click(".page-head a:has-text('Budgets')")
    page.click("text=New budget")
    page.fill("dialog [name=name]", "team")
    page.fill("dialog [name=limit]", "1")
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog [role=alert]:has-text('llmflow.toml')")
    assert page.input_value("dialog [name=name]") == "team"


def test_rules_of_access(running: Any, new_page: Maker) -> None:
    """axe-core finds nothing, in both themes, wide and narrow; nothing is wider than a phone."""
    pytest.importorskip("axe_playwright_python")
    found = importlib.util.find_spec("axe_playwright_python")
    assert found is not None
    assert found.origin is not None
    source = (Path(found.origin).parent / "axe.min.js").read_text("utf-8")
    assert call(running) == 200
    page = new_page()
    page.goto(f"{running.dashboard_url}/budgets")
    page.wait_for_selector(".budget:has-text('team'):has-text('1,500 of 10,000 tokens used')")
    page.evaluate(source)
    for width in (1440, 390):
        page.set_viewport_size({"width": width, "height": 900})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            until(page, f"matchMedia('(prefers-color-scheme: {scheme})').matches")
            problems = page.evaluate(
                "() => axe.run(document).then((found) => found.violations.map((one) => one.id + one.nodes[0].html))"
            )
            assert problems == [], (width, scheme)
        until(page, "document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def shoot(page: Any, folder: Path) -> None:
    """Take pictures: both themes, wide and narrow, and the dialog."""
    for width, height in ((1440, 900), (390, 844)):
        page.set_viewport_size({"width": width, "height": height})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.screenshot(path=folder / f"budgets-{width}-{scheme}.png")
        page.click("text=New budget")
        page.screenshot(path=folder / f"budgets-form-{width}.png")
        page.keyboard.press("Escape")
