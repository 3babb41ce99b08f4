"""Fingerprints of prompts: the same for calls of one template, in every dialect; another for another wording."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmflow_web.record.prompts import KEY_MARK, Fingerprint, basis_of, fingerprint

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
