"""The engine of budgets by itself: a clock and calls made up, a real ledger behind it."""

from __future__ import annotations

import json
import math
import sqlite3
import weakref
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmflow_web.errors import Refused
from llmflow_web.model import Capture, Exchange, Held, Span, Unrecorded
from llmflow_web.record.budget_estimate import DEFAULT_OUTPUT_TOKENS, TOKENS_PER_FILE, Estimator
from llmflow_web.record.budget_rules import Rule, Scope, Spike, caps_from
from llmflow_web.record.budgets import PATIENCE_S, Budgets
from llmflow_web.record.price_table import PriceTable
from llmflow_web.record.pricing import PriceBook
from llmflow_web.registry import PROVIDERS
from llmflow_web.store.ledger import Ledger
from llmflow_web.store.schema import migrate

ROWS = {row.name: row for row in PROVIDERS}
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()
ROW = (
    '"m1":{"p":"openai","m":"chat","input_cost_per_token":1e-06,"output_cost_per_token":2e-06,"max_output_tokens":5000}'
)
BODY = {"model": "m1", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 100}
INPUT = -(-len(json.dumps(BODY)) // 4)  # tokens of its prompt, as estimated


class Desk:
    """An engine with a ledger in memory, at a time of its own."""

    def __init__(self, *accounts, now: float = NOON) -> None:
        self.now = now
        self.waited_s = 0.0
        self.alerts: list[tuple[str, str]] = []
        self.connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        weakref.finalize(self, self.connection.close)  # the collector may run in any thread
        migrate(self.connection, 0)
        self.ledger = Ledger()
        book = PriceBook(load=lambda: PriceTable({"m1": ROW.encode()}, "2026-01-01", "test"))
        self.engine = Budgets(
            Estimator(ROWS, book),
            clock=lambda: self.now,
            stopwatch=lambda: self.waited_s,
            on_alert=lambda alert: self.alerts.append((alert.kind, alert.account.name)),
        )
        self.ids = 0
        self.install(*accounts)

    def install(self, *accounts) -> None:
        entries = self.ledger.open(self.connection, accounts, [0] * len(accounts))
        self.engine.install(accounts, entries, [])

    def exchange(
        self, path: str = "/v1/chat/completions", *, provider: str = "openai", method: str = "POST", **headers
    ):
        self.ids += 1
        exchange = Exchange()
        exchange.id, exchange.trace_id = f"{self.ids:016x}", f"{self.ids:032x}"
        exchange.provider, exchange.method, exchange.path, exchange.upstream_path = provider, method, path, path
        exchange.start_ns = int(self.now * 1e9)
        exchange.request_headers = tuple(
            (name.encode(), f"{name}: {value}".encode())
            for name, value in ((name.replace("_", "-"), value) for name, value in headers.items())
        )
        return exchange

    def ask(self, body: object = BODY, **more):
        """Ask for a call to leave; return (exchange, refusal)."""
        exchange = self.exchange(**more)
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        return exchange, self.engine.admit(exchange, data)

    def commit(self, *spans: Span) -> None:
        entries = self.ledger.apply(self.connection, [(span, 1) for span in spans])
        self.ledger.committed(entries)
        self.engine.settled(spans, entries)

    def settle(self, exchange, cost: float | None, tokens: int = 10, **more) -> None:
        """Let a call end at a cost."""
        self.engine.closed(exchange)
        self.commit(self.span(exchange, cost, tokens, **more))

    def span(self, exchange, cost: float | None, tokens: int = 10, **more) -> Span:
        found = {"provider": exchange.provider, "model": "m1", "start_ns": exchange.start_ns} | more
        return Span(exchange.trace_id, exchange.id, total_tokens=tokens, estimated_cost=cost, **found)

    def state(self, name: str):
        return {one["name"]: one for one in self.engine.states()}[name]


def rule(name: str = "r", limit: float = 1.0, **more) -> Rule:
    return Rule(name=name, limit=limit, **{"action": "block", "tz": "UTC", **more})


def test_what_is_reserved() -> None:
    """A call reserves its prompt by its length and its answer by max_tokens; its row puts the truth in their place."""
    desk = Desk(rule())
    exchange, refusal = desk.ask()
    assert refusal is None
    state = desk.state("r")
    assert (state["used"], state["in_flight"]) == (0, 1)
    assert state["reserved"] == pytest.approx(INPUT * 1e-6 + 100 * 2e-6)
    desk.settle(exchange, 0.25)
    state = desk.state("r")
    assert (state["used"], state["reserved"], state["in_flight"], state["calls"]) == (0.25, 0, 0, 1)


def test_only_reservations_in_the_way() -> None:
    """A call waits while others may still use what is left, and goes once they have not; then the budget is used up."""
    desk = Desk(rule(unit="tokens", limit=200))
    first, said = desk.ask()
    assert said is None
    second, said = desk.ask()
    assert isinstance(said, Held)
    assert desk.state("r")["in_flight"] == 1
    desk.settle(first, 0.0, 20)
    assert desk.engine.admit(second, b"") is None
    desk.settle(second, 0.0, 240)
    assert isinstance(desk.ask()[1], Refused)
    assert desk.state("r")["refused"] == 1


def test_a_held_call_does_not_wait_for_ever() -> None:
    """After its patience a held call is refused with what is reserved; one that was given up is forgotten."""
    desk = Desk(rule(unit="tokens", limit=200))
    desk.ask()
    second, _ = desk.ask()
    third, _ = desk.ask()
    desk.engine.closed(third)
    desk.waited_s = PATIENCE_S - 1
    assert isinstance(desk.engine.admit(second, b""), Held)
    desk.waited_s = PATIENCE_S
    assert "reserved for calls in flight" in desk.engine.admit(second, b"").message
    assert isinstance(desk.engine.admit(third, json.dumps(BODY).encode()), Held)


@pytest.mark.parametrize(
    ("body", "output"),
    [
        ({"model": "m1"}, DEFAULT_OUTPUT_TOKENS),
        ({"model": "m1", "max_completion_tokens": 7}, 7),
        ({"model": "m1", "max_output_tokens": 8}, 8),
        ({"model": "m1", "max_tokens": 9, "n": 3}, 27),
        ({"model": "m1", "max_tokens": 10**9}, 5000),  # the model's own limit
        ({"model": "m1", "max_tokens": "many"}, DEFAULT_OUTPUT_TOKENS),
        ({"model": "m1", "options": {"num_predict": 11}}, 11),
    ],
)
def test_how_long_an_answer_may_be(body, output) -> None:
    """The request's own limit counts, whatever its provider calls it, times the answers wanted."""
    desk = Desk(rule(unit="tokens", limit=1e9))
    desk.ask(body)
    assert desk.state("r")["reserved"] == -(-len(json.dumps(body)) // 4) + output


def test_gemini_says_it_in_its_own_place() -> None:
    """Gemini has the model in the path and the limit inside generationConfig."""
    desk = Desk(rule(unit="tokens", limit=1e9, scope=Scope(model="gemini-2.5-*")))
    body = {"contents": [{"parts": [{"text": "hi"}]}], "generationConfig": {"maxOutputTokens": 50, "candidateCount": 2}}
    desk.ask(body, path="/v1beta/models/gemini-2.5-flash:streamGenerateContent", provider="gemini")
    assert desk.state("r")["reserved"] == -(-len(json.dumps(body)) // 4) + 100


def test_what_answers_were_like() -> None:
    """Without a limit of its own a call reserves what 95 % of the model's answers stayed within."""
    desk = Desk(rule(unit="tokens", limit=1e9))
    desk.engine.learn([("m1", tokens) for tokens in range(1, 101)])
    desk.ask({"model": "m1"})
    assert desk.state("r")["reserved"] == 4 + 95


def test_pictures_are_no_text() -> None:
    """A file inside the body counts as one file, not by its length."""
    desk = Desk(rule(unit="tokens", limit=1e9))
    picture = "data:image/png;base64," + "A" * 1_000_000
    desk.ask({"model": "m1", "max_tokens": 1, "messages": [{"content": [{"image_url": {"url": picture}}]}]})
    assert TOKENS_PER_FILE < desk.state("r")["reserved"] < TOKENS_PER_FILE + 100


@pytest.mark.parametrize(
    "more",
    [
        {"path": "/v1/models", "method": "GET"},
        {"path": "/v1/moderations"},
        {"path": "/v1/messages/count_tokens", "provider": "anthropic"},
        {"path": "/v1beta/models/gemini-2.5-flash:countTokens", "provider": "gemini"},
        {"path": "/v1/files"},
    ],
)
def test_what_is_not_asked_about(more) -> None:
    """Listings, counting of tokens, moderation and files cost nothing: they leave whatever is used up."""
    desk = Desk(rule(unit="calls", limit=1))
    exchange, _ = desk.ask()
    desk.settle(exchange, 0.1)
    assert desk.ask()[1] is not None
    assert desk.ask(**more)[1] is None


def test_free_calls() -> None:
    """A local model costs nothing, so a budget of dollars lets it go; one of calls counts it."""
    desk = Desk(rule("usd", limit=0.1), rule("calls", unit="calls", limit=2))
    desk.settle(desk.ask()[0], 0.2)
    exchange = desk.exchange()
    exchange.price_free = True
    assert desk.engine.admit(exchange, json.dumps(BODY).encode()) is None
    desk.settle(exchange, 0.0)
    assert desk.ask()[1].headers["x-llmflow-budget"] == "usd"
    again = desk.exchange()
    again.price_free = True
    assert "'calls'" in desk.engine.admit(again, json.dumps(BODY).encode()).message


def test_unknown_prices() -> None:
    """A call of unknown price goes and is counted as such, or is refused where the rule wants that."""
    desk = Desk(rule("lax"), rule("strict", on_unpriced="block", scope=Scope(tag="strict")))
    exchange, refusal = desk.ask({"model": "unheard-of"})
    assert refusal is None
    desk.settle(exchange, None, model="unheard-of")
    assert (desk.state("lax")["unpriced"], desk.state("lax")["used"]) == (1, 0)
    _, refusal = desk.ask({"model": "unheard-of"}, x_llmflow_tag="strict")
    assert "no call go whose price is unknown" in refusal.message
    assert desk.ask(None, x_llmflow_tag="strict")[1] is not None  # too long to be read
    assert desk.ask(None)[1] is None


def test_scopes() -> None:
    """A rule keeps back the calls it is about, by their labels, and no others."""
    desk = Desk(rule(unit="calls", limit=1, scope=Scope(user="ann", model="m*")))
    exchange, _ = desk.ask({**BODY, "user": "ann"})
    desk.settle(exchange, 0.1, user_id="ann")
    assert desk.ask({**BODY, "user": "ann"})[1] is not None
    assert desk.ask({**BODY, "metadata": {"user_id": "ann"}})[1] is not None
    assert desk.ask(x_llmflow_user_id="ann")[1] is not None
    assert desk.ask({**BODY, "user": "bob"})[1] is None
    assert desk.ask({**BODY, "user": "ann", "model": "gpt-4o"})[1] is None


def test_reset_on_time() -> None:
    """What was used in one window is free again in the next, from its first second on; it is told."""
    desk = Desk(rule(limit=1.0, per="day"))
    exchange, _ = desk.ask()
    desk.settle(exchange, 2.0)
    _, refusal = desk.ask()
    assert refusal.headers["retry-after"] == str(12 * 3600)
    assert "It resets at 2026-11-23T00:00:00+00:00." in refusal.message
    desk.now += 12 * 3600 - 1
    assert desk.ask()[1] is not None
    desk.now += 1
    exchange, refusal = desk.ask()
    assert refusal is None
    assert [kind for kind, _ in desk.alerts] == ["exceeded", "reset"]
    desk.settle(exchange, 0.3)
    assert desk.state("r")["used"] == 0.3


def test_a_call_over_midnight() -> None:
    """A call counts in the window it began in, and its reservation does not burden the next one."""
    desk = Desk(rule(limit=1.0, per="day"))
    desk.now += 12 * 3600 - 1
    exchange, _ = desk.ask()
    desk.now += 2
    assert desk.state("r")["in_flight"] == 0
    desk.settle(exchange, 5.0)
    assert desk.state("r")["used"] == 0
    assert desk.ask()[1] is None


def test_total_and_process_do_not_reset() -> None:
    """What never resets says so, and has no Retry-After."""
    (cap,) = caps_from(max_cost=0.1, max_calls=None, max_tokens=None, since_ns=0)
    desk = Desk(cap, rule("all", limit=100.0, per="total"))
    desk.settle(desk.ask()[0], 0.2)
    _, refusal = desk.ask()
    assert "retry-after" not in refusal.headers
    assert "started anew" in refusal.message
    (told,) = desk.engine.caps_exceeded()
    assert (told.name, told.limit, told.used, told.refused) == ("max_cost", 0.1, 0.2, 1)


def test_alerts_once_a_window() -> None:
    """Near the limit and at it, each is told once; a higher limit lets them be told anew."""
    desk = Desk(rule(limit=1.0, action="warn", warn_at=0.5))
    for cost in (0.4, 0.2, 0.1, 0.4, 0.4):
        desk.settle(desk.ask()[0], cost)
    assert desk.alerts == [("warn", "r"), ("exceeded", "r")]
    assert desk.ask()[1] is None  # it only warns
    desk.install(rule(limit=2.0, action="warn", warn_at=0.5))
    assert desk.alerts[2:] == [("warn", "r")]


def test_spike() -> None:
    """An hour that costs more than its factor times the mean of those before is told once, above its floor."""
    desk = Desk(Spike(name="s", per="hour", factor=3.0, floor_usd=1.0, over=4, tz="UTC"))
    for cost in (0.5, 0.5, 0.7):
        desk.settle(desk.exchange(), cost)
        desk.now += 3600
    desk.settle(desk.exchange(), 1.6)
    assert desk.alerts == []  # usual is 0.567, three times that 1.7
    desk.settle(desk.exchange(), 0.2)
    desk.settle(desk.exchange(), 9.0)
    assert desk.alerts == [("spike", "s")]
    assert desk.engine.spikes()[0]["state"] == "spike"


def test_a_row_that_does_not_come() -> None:
    """Where a call's row is lost, what was reserved counts in its place, once."""
    desk = Desk(rule(limit=1e9, unit="tokens"))
    exchange, _ = desk.ask()
    assert desk.engine.awaited() == []
    desk.engine.closed(exchange)
    assert desk.engine.awaited() == [exchange.id]
    (item,) = desk.engine.lost(desk.engine.awaited())
    assert isinstance(item, Unrecorded)
    assert desk.engine.lost([exchange.id]) == []
    desk.commit(item.span)
    state = desk.state("r")
    assert (state["used"], state["in_flight"]) == (INPUT + 100, 0)


def test_a_rule_that_comes_late() -> None:
    """A rule made while calls are in flight reserves for them, and a call that was never asked about is adopted."""
    desk = Desk(rule("first", limit=100.0))
    desk.ask()
    late = desk.exchange()
    late.request = Capture(1000)
    late.request.add(json.dumps(BODY).encode())
    desk.engine.adopt(late)
    desk.install(rule("first", limit=100.0), rule("second", unit="calls", limit=3))
    assert (desk.state("second")["reserved"], desk.state("first")["in_flight"]) == (2, 2)
    assert desk.ask()[1] is None
    assert desk.ask()[1] is not None


@settings(max_examples=150, deadline=None)
@given(
    limit=st.floats(0.001, 0.05),
    calls=st.lists(st.tuples(st.integers(0, 2000), st.floats(0, 0.01), st.booleans()), min_size=1, max_size=60),
)
def test_the_bound(limit, calls) -> None:
    """Whatever comes in whatever order: no more is used than the limit, and beyond it what calls in flight together
    used beyond their estimates, or what one call, by itself, used.
    """
    desk = Desk(rule(limit=limit, per="total"))
    flying: list[tuple[Exchange, float, float, float]] = []
    used = beyond = alone = 0.0
    for max_tokens, actual, ends in calls:
        exchange, refusal = desk.ask({**BODY, "max_tokens": max_tokens})
        if refusal is None:
            body = len(json.dumps({**BODY, "max_tokens": max_tokens}))
            reserved = -(-body // 4) * 1e-6 + min(max_tokens, 5000) * 2e-6
            flying.append((exchange, reserved, actual, used))
            beyond += max(0.0, actual - reserved)
            alone = max(alone, actual)
        if ends and flying:
            done, _, cost, _ = flying.pop(0)
            desk.settle(done, cost)
            used += cost
    for done, _, cost, _ in flying:
        desk.settle(done, cost)
        used += cost
    assert used <= limit + max(beyond, alone) + 1e-9
    state = desk.state("r")
    assert (state["in_flight"], state["reserved"]) == (0, 0)
    assert math.isclose(state["used"], used, abs_tol=1e-9)


def test_what_is_told_of_a_refusal() -> None:
    """A call refused for what others have reserved is told as that: only what was really used counts as used."""
    heard = []
    desk = Desk(rule(unit="tokens", limit=200))
    desk.engine._on_alert = heard.append
    first, _ = desk.ask()
    second, _ = desk.ask()
    desk.waited_s = PATIENCE_S
    assert "keeps this call back: 0 of 200 tokens" in desk.engine.admit(second, b"").message
    (alert,) = heard
    assert (alert.used, alert.limit) == (0, 200)
    assert alert.text.startswith("Budget r keeps calls back: 0 of 200 tokens")
    assert first.id in desk.engine._holds
