"""Tests of the agent that need no network and no key: the model's answers are in `cassettes/`.

`pytest` replays; `pytest --llmflow-cassette-mode=hybrid` records what is missing, `=record` everything again, and needs
a key for it.
"""

from __future__ import annotations

import pytest
from support import answer, summary

from llmflow import Flow


def test_an_order_is_looked_up(llmflow_cassette: Flow) -> None:
    """The agent asks for the order and tells when it comes: two calls of the model."""
    assert "Thursday" in answer("Where is my order A-17?")
    first, second = llmflow_cassette.calls()
    assert first["finish_reason"] == "tool_calls"
    assert second["total_tokens"] < 200
    assert llmflow_cassette.cost() < 0.001


@pytest.mark.llmflow_cassette
@pytest.mark.parametrize("greeting", ["Hello", "Moin"])
def test_small_talk(greeting: str) -> None:
    """Small talk needs no tool. Each parameter has a cassette of its own."""
    assert "hello" in answer(greeting).lower()


@pytest.mark.llmflow_cassette("summary", unused="error")
def test_a_summary() -> None:
    """Streams are replayed piece by piece. This one fails too if a recording is not needed any more."""
    pieces = list(summary("Customer: where is my order? Support: it arrives on Thursday."))
    assert len(pieces) > 3
    assert "".join(pieces) == "The order arrives on Thursday."
