"""Calls by the prompt they were made from."""

from __future__ import annotations

import pytest
from store_help import START_NS, Hand, make_row

from llmflow_web.store import prompts
from llmflow_web.store.spans import list_spans
from llmflow_web.wire.filter import Filter, Page

S = 1_000_000_000
KEY = "~aaaaaaaaaaaa"


def told(hand: Hand, sort: str = "calls", limit: int = 50, offset: int = 0, **filters: str) -> list[tuple[str, int]]:
    found = prompts.prompts(hand.connection, Filter.from_query(filters), sort, limit, offset)
    return [(row["key"], row["calls"]) for row in found["prompts"]]


@pytest.fixture
def filled(hand: Hand) -> Hand:
    """Two named versions, two wordings of a fingerprint, and a call without a prompt."""
    named = {"prompt_name": "summary", "prompt_key": "~bbbbbbbbbbbb", "prompt_hash": "h9"}
    hand.insert(
        make_row(prompt_key=KEY, prompt_hash="h2", start_ns=START_NS + 5 * S, model="gpt-4o-mini", ttft_ms=30.0),
        make_row(prompt_key=KEY, prompt_hash="h1", start_ns=START_NS, duration_ns=S, ttft_ms=10.0, id="old"),
        make_row(
            prompt_key=KEY, prompt_hash="h2", start_ns=START_NS + 9 * S, status=500, estimated_cost=None, id="new"
        ),
        make_row(**named, prompt_version="2024-01", start_ns=START_NS + S, estimated_cost=4.0),
        make_row(**named, start_ns=START_NS + 2 * S, duration_ns=None),
        make_row(start_ns=START_NS + 3 * S),
    )
    return hand


def test_calls_are_grouped_by_prompt(filled: Hand) -> None:
    """A name goes before a fingerprint; calls without either are left out."""
    found = prompts.prompts(filled.connection, Filter(), "calls", 50, 0)
    start = START_NS // 1_000_000
    assert (found["total"], found["is_sampled"]) == (2, False)
    examples = found["prompts"][0].pop("examples")
    assert found["prompts"][0] == {
        "key": KEY, "name": None, "is_named": False, "versions": 2, "calls": 3, "errors": 1, "error_rate": 0.333333,
        "cost": 0.5, "unpriced_count": 1, "cost_per_call": 0.25, "prompt_tokens": 60, "completion_tokens": 30,
        "p50_ms": 1500.0, "p95_ms": 1500.0, "first_seen": start, "last_seen": start + 9000,
    }  # fmt: skip
    ids = [filled.connection.execute("SELECT id FROM spans WHERE seq = ?", (seq,)).fetchone()[0] for seq in examples]
    assert (ids[0], ids[-1]) == ("new", "old")
    assert (found["prompts"][1]["name"], found["prompts"][1]["versions"]) == ("summary", 2)


def test_orders_and_pages(filled: Hand) -> None:
    """By calls, cost, errors, time or name, in pages."""
    assert [key for key, _ in told(filled, "cost")] == ["summary", KEY]
    assert [key for key, _ in told(filled, "errors")] == [KEY, "summary"]
    assert [key for key, _ in told(filled, "name")] == ["summary", KEY]
    assert [key for key, _ in told(filled, "last_seen", limit=1, offset=1)] == ["summary"]


def test_the_filter_of_the_list_holds(filled: Hand) -> None:
    """Time, model, status and words narrow what is counted."""
    assert told(filled, model="gpt-4o-mini") == [(KEY, 1)]
    assert told(filled, status="error") == [(KEY, 1)]
    assert told(filled, date_to=str(START_NS // 1_000_000 + 2000)) == [("summary", 2), (KEY, 1)]
    assert told(filled, provider="nobody") == []


def test_doubles_count_once(hand: Hand) -> None:
    """A call that does not count for sums does not count here."""
    hand.insert(make_row(prompt_key=KEY), make_row(prompt_key=KEY, counts=False))
    assert told(hand) == [(KEY, 1)]


@pytest.mark.parametrize("few", [0, 100])
def test_only_the_newest_are_read(hand: Hand, monkeypatch: pytest.MonkeyPatch, few: int) -> None:
    """Where there are more calls than are read, the newest count, whatever index they are read by."""
    monkeypatch.setattr(prompts, "MAX_SCANNED", 3)
    monkeypatch.setattr(prompts, "FEW", few)
    hand.insert(*(make_row(prompt_key=f"~{number % 2}", model="m") for number in range(9)))
    for filters in ({}, {"model": "m"}):
        found = prompts.prompts(hand.connection, Filter.from_query(filters), "calls", 50, 0)
        assert found["is_sampled"] is True
        assert [(row["key"], row["calls"]) for row in found["prompts"]] == [("~0", 2), ("~1", 1)]


def test_versions_come_in_order_of_appearance(filled: Hand) -> None:
    """Numbered by when they were first seen, whatever was stored first and whatever the filter leaves."""
    found = prompts.prompt(filled.connection, KEY, Filter())
    assert [(row["label"], row["version"], row["calls"]) for row in found["versions"]] == [
        ("v1", "h1", 1),
        ("v2", "h2", 2),
    ]
    second = found["versions"][1]
    assert (second["models"], second["error_rate"], second["cost_per_call"]) == (["gpt-4o", "gpt-4o-mini"], 0.5, 0.25)
    assert (second["avg_prompt_tokens"], second["ttft_p50_ms"], second["newest"]["id"]) == (20.0, 30.0, "new")
    assert (found["calls"], found["version_count"], sum(second["slots"])) == (3, 2, 2)
    narrowed = prompts.prompt(filled.connection, KEY, Filter.from_query({"status": "error"}))
    assert [(row["label"], row["calls"]) for row in narrowed["versions"]] == [("v2", 1)]


def test_a_given_version_is_its_own_label(filled: Hand) -> None:
    """A version that was named keeps its name beside one that was not; a call without a wording has none."""
    filled.insert(make_row(prompt_name="summary"))
    found = prompts.prompt(filled.connection, "summary", Filter())
    assert [(row["label"], row["is_given"]) for row in found["versions"]] == [
        ("2024-01", True),
        ("v2", False),
        ("none", False),
    ]
    assert found["is_named"] is True
    assert prompts.prompt(filled.connection, "unheard of", Filter()) is None


def test_the_list_finds_the_calls_of_a_prompt(filled: Hand) -> None:
    """By name, fingerprint, version of either, and wildcard; live rows are told the same way."""
    wanted = {
        "prompt:summary": 2, "prompt:summary@2024-01": 1, f"prompt:{KEY}": 3, f"prompt:{KEY}@h2": 2, "prompt:sum*": 2,
        "prompt:~aaa*": 3, "prompt:nothing": 0, f"-prompt:{KEY}": 3, "prompt:(summary|x)": 2,
        "prompt:summary@2024-01 model:gpt-4o": 1,
    }  # fmt: skip
    every = list_spans(filled.connection, Filter(), Page()).rows
    for text, count in wanted.items():
        chosen = Filter.from_query({"filter": text})
        rows = list_spans(filled.connection, chosen, Page()).rows
        assert len(rows) == count, text
        assert [row["seq"] for row in every if chosen.matches(row, 0.0)] == [row["seq"] for row in rows], text


def test_a_name_may_hold_an_at_sign(hand: Hand) -> None:
    """What could be a name with a version is looked for as a whole too."""
    hand.insert(make_row(prompt_name="mail@home"), make_row(prompt_name="mail", prompt_version="home"))
    assert len(list_spans(hand.connection, Filter.from_query({"filter": "prompt:mail@home"}), Page()).rows) == 2
