"""Windows and rules: by the clock on the wall, and by what people write."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmflow_web.errors import ConfigError
from llmflow_web.model import Span
from llmflow_web.record.budget_rules import Rule, Scope, caps_from, rule_from, rules_from, spikes_from, told_share
from llmflow_web.record.budget_windows import PERIODS, window

BERLIN, BEIRUT, KOLKATA = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Beirut"), ZoneInfo("Asia/Kolkata")
TIMES = st.integers(0, 4_000_000_000)


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@given(TIMES, st.sampled_from(PERIODS), st.sampled_from([None, UTC, BERLIN, BEIRUT, KOLKATA]))
def test_every_moment_has_one_window(moment, per, zone) -> None:
    """A window holds the time it was asked for, gives itself for its first and last second, and borders on the next."""
    start, end = window(per, moment, zone)
    assert start <= moment
    assert window(per, start, zone) == (start, end)
    if end is not None:
        assert moment < end
        assert window(per, end - 1, zone) == (start, end)
        assert window(per, end, zone)[0] == end


@pytest.mark.parametrize(
    ("per", "moment", "start", "end"),
    [
        ("day", "2026-03-29T12:00+02:00", "2026-03-29T00:00+01:00", "2026-03-30T00:00+02:00"),  # 23 hours
        ("day", "2026-10-25T12:00+01:00", "2026-10-25T00:00+02:00", "2026-10-26T00:00+01:00"),  # 25 hours
        ("hour", "2026-10-25T02:30+02:00", "2026-10-25T02:00+02:00", "2026-10-25T02:00+01:00"),  # comes twice
        ("hour", "2026-10-25T02:30+01:00", "2026-10-25T02:00+01:00", "2026-10-25T03:00+01:00"),
        ("week", "2026-11-22T23:59+01:00", "2026-11-16T00:00+01:00", "2026-11-23T00:00+01:00"),
        ("month", "2028-02-29T10:00+01:00", "2028-02-01T00:00+01:00", "2028-03-01T00:00+01:00"),
        ("month", "2026-12-31T23:59+01:00", "2026-12-01T00:00+01:00", "2027-01-01T00:00+01:00"),
        ("month", "2026-03-31T12:00+02:00", "2026-03-01T00:00+01:00", "2026-04-01T00:00+02:00"),
    ],
)
def test_windows_in_berlin(per, moment, start, end) -> None:
    """Days, weeks and months begin at midnight there, through both changes of the clock."""
    assert window(per, at(moment), BERLIN) == (at(start), at(end))


def test_a_midnight_that_is_skipped() -> None:
    """Where the clock jumps from midnight to one, the day begins with the jump."""
    start, _ = window("day", at("2026-03-29T12:00+03:00"), BEIRUT)
    assert start == at("2026-03-29T01:00+03:00") == at("2026-03-29T00:00+02:00")


def test_local_time(monkeypatch) -> None:
    """Without a zone the machine's own holds."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        assert window("day", at("2026-11-01T12:00-05:00"), None) == (
            at("2026-11-01T00:00-04:00"),
            at("2026-11-02T00:00-05:00"),
        )
    finally:
        monkeypatch.undo()
        time.tzset()


def test_no_calendar_knows_the_year() -> None:
    """A span of an impossible time has a window all the same."""
    assert window("day", 1e18, None) == (0, 0)


# ── rules ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_rule_of_the_file() -> None:
    """All keys of a table arrive; the key of the ledger knows how it counts, and not its limit."""
    table = {
        "limit_usd": 5, "per": "week", "provider": "openai", "model": "gpt-4o*", "tag": "ci", "user": "u", "session": "s",
        "action": "block", "on_unpriced": "block", "warn_at": 0.5, "tz": "Europe/Berlin",
        "webhook": "https://hooks.example.com/T0/secret", "command": ["notify", "me"],
    }  # fmt: skip
    (rule,) = rules_from({"team": table}, "llmflow.toml")
    assert (rule.name, rule.limit, rule.unit, rule.per) == ("team", 5.0, "usd", "week")
    assert rule.scope == Scope("openai", "gpt-4o*", "ci", "u", "s")
    assert (rule.is_blocking, rule.on_unpriced, rule.warn_at, rule.zone) == (True, "block", 0.5, BERLIN)
    assert (rule.webhook, rule.command) == ("https://hooks.example.com/T0/secret", ("notify", "me"))
    (higher,) = rules_from({"team": {**table, "limit_usd": 6}}, "")
    assert higher.key == rule.key
    (other,) = rules_from({"team": {**table, "tag": "prod"}}, "")
    assert other.key != rule.key


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"limit_usd": 1, "webhook": "ftp://x"}, "webhook"),
        ({"limit_usd": 1, "webhook": "https://user:pass@x.test/"}, "webhook"),
        ({"limit_usd": 1, "webhook": 7}, "webhook"),
        ({"limit_usd": 1, "command": "rm -rf /"}, "list of texts"),
        ({"limit_usd": 1, "command": []}, "list of texts"),
        ({"limit_usd": 1, "command": ["a\0b"]}, "NUL"),
        ({"limit_usd": True}, "a number above 0"),
        ({"limit_usd": float("nan")}, "a number above 0"),
        ({"limit_usd": 1, "warn_at": 2}, "warn_at"),
        ({"limit_usd": 1, "model": 5}, "model"),
    ],
)
def test_a_wrong_table(table, sentence) -> None:
    """What is wrong is named, with the table it is in; a webhook's own words are not repeated."""
    with pytest.raises(ConfigError) as caught:
        rules_from({"a": table}, "FILE")
    assert "FILE, [budget.a]" in caught.value.message
    assert sentence in caught.value.message
    assert "pass@" not in caught.value.message


def test_tables_that_are_none() -> None:
    """What is no table is no budget, and a spike is looked for by the hour or the day."""
    with pytest.raises(ConfigError, match="NAME"):
        rules_from({"a": 3}, "FILE")
    with pytest.raises(ConfigError, match="hour or day"):
        spikes_from({"a": {"kind": "spike", "per": "week"}}, "FILE")


def test_only_the_file_may_name_a_command() -> None:
    """What comes through the API may not have things sent or run."""
    with pytest.raises(ConfigError, match="only be set in"):
        rule_from("a", {"limit_usd": 1, "command": ["x"]}, "budget", origin="ui")


def test_caps() -> None:
    """Caps block, and count what begins in this process."""
    (cap,) = caps_from(max_cost=None, max_calls=3, max_tokens=None, since_ns=1000)
    assert (cap.name, cap.unit, cap.limit, cap.action, cap.is_kept) == ("max_calls", "calls", 3, "block", False)
    assert cap.window_of(Span("t", "a", start_ns=999)) is None
    assert cap.window_of(Span("t", "a", start_ns=1000)) == 0


@pytest.mark.parametrize(
    ("scope", "span", "is_meant"),
    [
        (Scope(), Span("t", "a"), True),
        (Scope(provider="openai"), Span("t", "a", provider="openai"), True),
        (Scope(provider="openai"), Span("t", "a", provider="groq"), False),
        (Scope(model="GPT-4o*"), Span("t", "a", model="gpt-4o-2024-08-06"), True),
        (Scope(model="gpt-4o"), Span("t", "a", model="gpt-4o-2024-08-06", request_model="gpt-4o"), True),
        (Scope(model="gpt-4o"), Span("t", "a", model="gpt-4o-mini"), False),
        (Scope(tag="x"), Span("t", "a", tags=["y", "x"]), True),
        (Scope(tag="x"), Span("t", "a", tags=["xy"]), False),
        (Scope(user="u", session="s"), Span("t", "a", user_id="u", session_id="s"), True),
        (Scope(user="u", session="s"), Span("t", "a", user_id="u"), False),
        (Scope(), Span("t", "a", source="import"), False),
    ],
)
def test_scope(scope, span, is_meant) -> None:
    """A rule means the calls that all of its scope holds for; what is imported was spent elsewhere."""
    rule = Rule(name="r", limit=1.0, per="total", scope=scope)
    assert (rule.window_of(span) is not None) == is_meant


def test_amounts_for_people() -> None:
    """Small amounts keep their digits, calls their unit."""
    assert told_share(0.00012, 0.5, "usd") == "$0.00012 of $0.50"
    assert told_share(1, 1, "calls") == "1 of 1 call"
    assert told_share(12_345, 1_000_000, "tokens") == "12,345 of 1,000,000 tokens"
