"""The HTML file: everything is there, everything is text, nothing runs and nothing is fetched."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmflow_web.model import PART_REQUEST, PART_RESPONSE, Body
from llmflow_web.record import export_html
from llmflow_web.record.export_html import ToldSpan, ToldTrace, page

TAGS = {
    "html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "h3", "h4", "p", "section", "dl", "dt", "dd", "div",
    "table", "tr", "th", "td", "span", "details", "summary", "b", "pre", "img",
}  # fmt: skip
ATTRIBUTES = {"lang", "charset", "http-equiv", "content", "name", "class", "style", "open", "alt", "src"}
SPAN = {
    "id": "s1", "span_name": "chat o3", "span_type": "llm", "model": "o3", "status": 200, "timestamp": 1000, "start_ns": "1000000000",
    "duration_ms": 1500.0, "ttft_ms": 20.0, "provider": "openai", "prompt_tokens": 1000, "completion_tokens": 5,
    "total_tokens": 1005, "cached_tokens": 7, "cache_write_tokens": 0, "reasoning_tokens": None, "is_estimated": False,
    "estimated_cost": 0.0125, "cost_detail": {"lines": [{"name": "input", "quantity": 1000, "price": 2e-06}], "price_date": "2026"},
    "price_key": "o3", "finish_reason": "stop", "error": None, "user_id": None, "tags": ["a"], "request_path": "/v1/x", "notes": [],
    "dropped": [],
}  # fmt: skip
SUMMARY = {
    "trace_id": "t1", "start_time": 1000, "start_ns": "1000000000", "duration_ms": 3000.0, "span_count": 1, "error_count": 0,
    "total_tokens": 1005, "total_cost": 0.0125, "unpriced_count": 0, "session_id": None,
}  # fmt: skip


class Reader(HTMLParser):
    """Reads a page as a browser would, and remembers what it is made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.said: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.extend(attrs)

    def handle_data(self, data: str) -> None:
        self.said.append(data)

    @property
    def text(self) -> str:
        return "".join(self.said)


def made(span: dict[str, Any] | None = None, messages: Any = None, bodies: Any = None, depth: int = 0) -> str:
    told = ToldSpan(SPAN | (span or {}), depth, lambda: (messages or {}, bodies or {}))
    return page([ToldTrace(SUMMARY, [told])], exported_at="2026-11-22T00:00:00Z", version="1.0")


def said(*parts: dict[str, Any], role: str = "user") -> dict[str, Any]:
    return {"input": [{"role": role, "parts": list(parts)}]}


def test_what_was_recorded_is_there() -> None:
    """Figures, bill, messages and bodies stand in the file, in words people read."""
    body = Body(PART_REQUEST, json.dumps({"n": [1]}).encode(), 99)
    text = Reader(made(messages=said({"type": "text", "text": "hello"}), bodies={PART_REQUEST: body})).text
    for words in ("chat o3", "1.50 s", "20 ms", "1,000 in, 5 out (7 cached)", "$0.0125 = 1,000 input × $2e-06; o3, 2026", "hello",
                  '"n": [', "99 bytes", "1970-01-01T00:00:01.000Z", "Exported 2026-11-22"):  # fmt: skip
        assert words in text


def test_its_own_policy_forbids_everything() -> None:
    """The file forbids scripts and fetching to itself, and tells nobody where it is read."""
    attributes = Reader(made()).attributes
    policy = next(value for name, value in attributes if name == "content" and "default-src" in (value or ""))
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert "script" not in policy
    assert ("content", "no-referrer") in attributes


HOSTILE = st.sampled_from([
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</pre></style><b>", "'", "javascript:alert(1)", "&lt;", "\x00\x1b[2J",
    "\ud800", "<!--", "]]>", "data:text/html,<script>", "\u202e",
]) | st.text(max_size=20)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    one=HOSTILE,
    other=HOSTILE,
    kind=st.sampled_from(["text", "image", "tool_call", "tool_result", "reasoning", "json", "audio"]),
)
def test_whatever_it_holds_is_text(one: str, other: str, kind: str) -> None:
    """Whatever strangers wrote, wherever it stands: the tags and attributes are ours, and the words are kept."""
    named = dict.fromkeys(
        ("id", "span_name", "span_type", "model", "provider", "finish_reason", "error", "request_path"), one
    )
    part = {
        "type": kind,
        "text": other,
        "url": other,
        "name": other,
        "arguments": other,
        "content": other,
        "value": other,
    }
    body = Body(PART_RESPONSE, other.encode("utf-8", "replace"), 1)
    text = made(named | {"tags": [other]}, said(part, role=one), {PART_RESPONSE: body})
    reader = Reader(text)
    assert reader.tags <= TAGS
    assert {name for name, _ in reader.attributes} <= ATTRIBUTES
    assert not [value for name, value in reader.attributes if name == "src"]
    if one.isascii() and one.isprintable():
        assert one in reader.text
    text.encode()


def test_only_plain_pictures_are_shown() -> None:
    """An inlined picture of a plain kind is shown; remote ones, SVG and what hides markup are text."""
    good = "data:image/png;base64,iVBORw0KGgo="
    bad = ["https://example.com/x.png", "data:image/svg+xml;base64,PHN2Zz4=", 'data:image/png;base64,AA"onload="x']
    parts = [{"type": "image", "url": url} for url in [good, *bad]]
    reader = Reader(made(messages=said(*parts)))
    assert [value for name, value in reader.attributes if name == "src"] == [good]
    assert "https://example.com/x.png" in reader.text


def test_long_things_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long text is cut and says by how much; a full page leaves the messages of further spans out."""
    monkeypatch.setattr(export_html, "MAX_PART_CHARS", 10)
    text = Reader(made(messages=said({"type": "text", "text": "x" * 25}))).text
    assert "15 more characters are not in this file." in text
    monkeypatch.setattr(export_html, "MAX_PAGE_CHARS", 5)
    told = [ToldSpan(SPAN, 0, lambda: (said({"type": "text", "text": "longer than five"}), {})) for _ in range(2)]
    text = Reader(page([ToldTrace(SUMMARY, told)], exported_at="", version="")).text
    assert "which is full" in text
    monkeypatch.setattr(export_html, "MAX_SPANS", 1)
    assert "1 more spans are not in this file" in page([ToldTrace(SUMMARY, told)], exported_at="", version="")


def test_several_traces_and_strange_figures() -> None:
    """Traces stand one behind another; unknown figures are left out, absurd ones do no harm."""
    strange = {"duration_ms": None, "ttft_ms": None, "estimated_cost": None, "cost_detail": None, "status": 502, "start_ns": "0",
               "timestamp": 10**18, "prompt_tokens": None, "completion_tokens": None}  # fmt: skip
    traces = [ToldTrace(SUMMARY, [ToldSpan(SPAN | strange, 99, lambda: ({}, {}))]), ToldTrace(SUMMARY, [])]
    text = Reader(page(traces, exported_at="", version="")).text
    assert "2 traces" in text
    assert "error 502" in text
