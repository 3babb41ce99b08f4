"""Fingerprints of prompts: the same for calls of one template, in every dialect; another for another wording."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from adapter_help import price_book
from hypothesis import given
from hypothesis import strategies as st

from llmflow_web.model import PART_ATTRIBUTES, PART_INPUT, PART_OTLP, PART_REQUEST, Body, Capture, Exchange, Row, Span
from llmflow_web.record.exchange import RowMaker
from llmflow_web.record.prompts import KEY_MARK, Fingerprint, basis_of, fingerprint, stored_basis
from llmflow_web.registry import PROVIDERS

SYSTEM = "You are a careful travel agent for trains in Portugal. Answer in one sentence."
JSONS = st.recursive(st.none() | st.integers() | st.text(max_size=20), lambda inner: st.lists(inner, max_size=3)
                     | st.dictionaries(st.sampled_from(["role", "content", "text", "parts", "messages", "input", "system"]),
                                       inner, max_size=4), max_leaves=12)  # fmt: skip


def of(request: dict[str, Any]) -> Fingerprint:
    """Return the fingerprint of a request that has one."""
    found = fingerprint(request)
    assert found is not None
    return found


@pytest.mark.parametrize(
    "request_",
    [
        {"messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": "Hi"}]},
        {"messages": [{"role": "developer", "content": [{"type": "text", "text": SYSTEM}]}]},
        {"system": SYSTEM, "messages": [{"role": "user", "content": "Hi"}]},
        {"system": [{"type": "text", "text": SYSTEM, "cache_control": {}}], "messages": []},
        {"systemInstruction": {"parts": [{"text": SYSTEM}]}, "contents": [{"parts": [{"text": "Hi"}]}]},
        {"instructions": SYSTEM, "input": "Hi"},
        {"input": [{"role": "system", "content": [{"type": "input_text", "text": SYSTEM}]}]},
        {"preamble": SYSTEM, "message": "Hi"},
    ],
)  # fmt: skip
def test_every_dialect(request_: dict[str, Any]) -> None:
    """A system message has one fingerprint, wherever a dialect puts it."""
    assert of(request_) == of({"system": SYSTEM})
    assert of(request_).key.startswith(KEY_MARK)


def test_what_changes_from_call_to_call_does_not_count() -> None:
    """Dates, numbers, ids and addresses may differ, and what a template of a user quotes."""
    one = "You help Acme. Today is Monday, November 3, 2026 10:30. Ticket 4711, session 9f8e7d6c5b4a39281706, a@b.org."
    two = "You help Acme. Today is Tuesday, January 12, 2027 9:05. Ticket 12, session 00aa11bb22cc33dd44ee, xy@c.com."
    assert of({"system": one}) == of({"system": two})
    ask = 'Summarise this text in {} words: "{}"'
    assert of({"prompt": ask.format(10, "Trains run.")}) == of({"prompt": ask.format(25, "Buses do not run today.")})


def test_an_edit_is_a_version() -> None:
    """Another wording further down is another version of the same prompt; another beginning is another prompt."""
    old, new = of({"system": SYSTEM}), of({"system": SYSTEM.replace("one sentence", "verse")})
    assert (old.key, old.version != new.version) == (new.key, True)
    assert of({"system": "You are a strict judge. " + SYSTEM}).key != old.key


def test_nothing_to_go_by() -> None:
    """No text, no fingerprint."""
    assert fingerprint({}) is None
    assert fingerprint({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}) is None
    assert basis_of({"input": [1, 2, 3]}) is None


@given(request_=st.dictionaries(st.sampled_from(["messages", "input", "system", "contents", "prompt"]), JSONS))
def test_any_request(request_: dict[str, Any]) -> None:
    """Whatever a stranger sends, there is a fingerprint or none."""
    found = fingerprint(request_)
    assert found is None or (len(found.key), len(found.version)) == (13, 12)


# ── rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def span_of(ask: dict[str, Any], path: str = "/v1/chat/completions", provider: str = "openai", **more: Any) -> Span:
    """Return the span of a call that was answered with an empty object."""
    call = Exchange()
    call.source, call.provider, call.dialect, call.trace_id, call.id = (
        "passthrough",
        provider,
        provider,
        "a" * 32,
        "b" * 16,
    )
    call.method, call.path, call.upstream_path, call.response_status = "POST", path, path, 200
    call.request_headers = [(b"content-type", b"Content-Type: application/json"), *more.pop("headers", [])]
    call.response_headers = [(b"content-type", b"Content-Type: application/json")]
    call.request, call.response = Capture(1 << 20), Capture(1 << 20)
    call.request.add(json.dumps(ask).encode())
    call.response.add(b"{}")
    call.record = more.pop("record", "on")
    return rows_of(call, **more)[0].span


def rows_of(item: object, **options: Any) -> list[Row]:
    maker = RowMaker({row.name: row for row in PROVIDERS}, price_book(), **options)
    return [row for row in maker(item) if isinstance(row, Row)]


CHAT = {"model": "m", "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": "Hi"}]}


@pytest.mark.parametrize(
    ("provider", "path", "ask"),
    [
        ("openai", "/v1/chat/completions", CHAT),
        ("openai", "/v1/responses", {"model": "m", "instructions": SYSTEM, "input": "Hi"}),
        ("anthropic", "/v1/messages", {"model": "m", "max_tokens": 9, "system": SYSTEM, "messages": [{"role": "user", "content": "Hi"}]}),
        ("gemini", "/v1beta/models/g:generateContent", {"systemInstruction": {"parts": [{"text": SYSTEM}]}, "contents": []}),
        ("ollama", "/api/chat", CHAT),
        ("cohere", "/v2/chat", CHAT),
        ("cohere", "/v1/chat", {"model": "m", "preamble": SYSTEM, "message": "Hi"}),
        ("azure", "/openai/deployments/d/chat/completions", CHAT),
    ],
)  # fmt: skip
def test_a_call_of_every_dialect_has_its_fingerprint(provider: str, path: str, ask: dict[str, Any]) -> None:
    """The row of a call says which prompt and which wording it was, however it was asked."""
    span = span_of(ask, path, provider)
    expected = of({"system": SYSTEM})
    assert (span.prompt_key, span.prompt_hash, span.prompt_name) == (expected.key, expected.version, None)


def test_names_are_kept_beside_the_fingerprint() -> None:
    """A name in a header goes before a stored prompt of the Responses API, and both leave the fingerprint."""
    ask = {"model": "m", "instructions": SYSTEM, "input": "Hi", "prompt": {"id": "pmpt_1", "version": "4"}}
    stored = span_of(ask, "/v1/responses")
    assert (stored.prompt_name, stored.prompt_version, bool(stored.prompt_key)) == ("pmpt_1", "4", True)
    named = span_of(ask, "/v1/responses", headers=[(b"x-llmflow-prompt", b"X-LLMFlow-Prompt: trains@7")])
    assert (named.prompt_name, named.prompt_version, named.prompt_hash) == ("trains", "7", stored.prompt_hash)


def test_what_is_not_kept_has_no_fingerprint() -> None:
    """With its text left out a call has a name or nothing; other operations have none at all."""
    assert span_of(CHAT, record="meta").prompt_key is None
    assert span_of({"model": "m", "input": "Hi"}, "/v1/embeddings").prompt_key is None
    for known in ({}, {"prompt_key": "~brought", "prompt_hash": "along"}):
        row = Row(Span("t", "s", source="import", **known), [Body(PART_INPUT, json.dumps(CHAT).encode(), 9)])
        (bare,) = rows_of([row], has_bodies=False)
        assert (bare.span.prompt_key, bare.span.prompt_hash) == (None, None)


def test_a_masked_text_has_the_fingerprint_of_its_mask() -> None:
    """What --redact takes out of a prompt is not in its fingerprint."""
    patterns = [re.compile("Agent [A-Z][a-z]+")]
    one, two = (
        span_of({"system": f"Speak as Agent {name} would.", "messages": []}, patterns=patterns)
        for name in ("Smith", "Jones")
    )
    assert one.prompt_hash == two.prompt_hash != of({"system": "Speak as Agent Smith would."}).version


@pytest.mark.parametrize("given_", [CHAT, CHAT["messages"], SYSTEM])
def test_spans_of_the_sdk_are_told_by_their_input(given_: object) -> None:
    """A model's call in a span has a fingerprint of its input, be it a request, messages or a text; other spans have none."""
    data = json.dumps(given_).encode()
    body = Body(PART_INPUT, data, len(data))
    spans = [Span("t", kind, source="sdk", span_type=kind) for kind in ("llm", "tool")]
    llm, tool = rows_of([Row(span, [body]) for span in spans])
    assert (llm.span.prompt_key, tool.span.prompt_key) == (of({"system": SYSTEM}).key, None)


def test_an_imported_call_is_told_as_it_was() -> None:
    """What is no chat has no fingerprint when it comes back from a file either."""
    body = Body(PART_REQUEST, b'{"input": "Say this."}', 22)
    spoken, asked = rows_of([Row(Span("t", name, operation=name), [body]) for name in ("speech", "chat")])
    assert (spoken.span.prompt_key, asked.span.prompt_key is None) == (None, False)


def test_the_text_of_a_stored_call_is_found_again() -> None:
    """From a request, the input of a span, or the attributes of telemetry; broken or absent parts give none."""
    told = [{"role": "system", "parts": [{"type": "text", "content": SYSTEM}]}]
    attributes = {"gen_ai.input.messages": json.dumps(told)}
    for bodies in (
        {PART_REQUEST: json.dumps(CHAT).encode()},
        {PART_INPUT: json.dumps(CHAT["messages"]).encode()},
        {PART_ATTRIBUTES: json.dumps(attributes).encode(), PART_OTLP: b"{}"},
    ):
        assert stored_basis(bodies) == (SYSTEM, True)
    assert stored_basis({}) is None
    assert stored_basis({PART_REQUEST: b"{broken", PART_INPUT: b"5"}) is None


@pytest.mark.parametrize("text", ["<a>", "“", "```", '"', "\n", "a1 ", "x \n"])
def test_no_text_takes_long(text: str) -> None:
    """Texts that would have a careless pattern walk to their end from each place are read at once, not in minutes."""
    for ask in ({"system": text * 30_000}, {"prompt": text * 30_000}):
        found = fingerprint(ask)
        assert found is None or len(found.version) == 12
