"""Budgets: what calls may cost, decided before they leave from what is used and what is in flight.

`Budgets` is the dispatcher's gate. A call is let go when what is used, what is reserved for calls in flight and its own
estimate stay within the limit, or, while anything is left, when nothing is in flight: the last stretch of a budget is
served one call at a time. Its estimate is reserved until its row is committed, with what it really used. A call that
only the reservations of others keep back is held until they are settled, at most `patience_s`.

So a limit is passed by no more than what calls in flight together use beyond their estimates, or what one call uses
beyond what was left. Rows that come otherwise (OTLP, SDKs) count as well; nobody asks before them.

For whoever ends a run (`llmflow run`): `house.budgets.caps()` tells of --max-cost, --max-calls and --max-tokens, and
`house.budgets.caps_exceeded()` of those that kept a call back or were passed: name, limit, used, unit, refused.

All of it belongs to the loop's thread. What counts is worked out by store/ledger.py in the writer's transaction.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from llmflow_web.errors import Refused
from llmflow_web.model import JSON, Exchange, Held, Span, Unrecorded
from llmflow_web.record.budget_estimate import Estimate, Estimator
from llmflow_web.record.budget_rules import Account, Rule, Spike, Unit, told_amount, told_share
from llmflow_web.record.budget_windows import PROCESS, Window, told
from llmflow_web.store.ledger import ZERO, Amount, Entry

CODE = "budget_exceeded"
WARN, EXCEEDED, RESET, SPIKE = "warn", "exceeded", "reset", "spike"
PATIENCE_S = 60.0
"""How long a call is held while only reservations of calls in flight keep it back."""

MIN_SPIKE_WINDOWS = 2
"""Windows with spending that a spike alert needs before it compares: one day is no habit."""

_DUST = 1e-9  # of a dollar: adding up many small costs must not make one too many


@dataclass(frozen=True, slots=True)
class Cap:
    """How one of --max-cost, --max-calls and --max-tokens stands."""

    name: str  # max_cost
    limit: float
    used: float
    unit: Unit
    refused: int  # calls that were kept back

    @property
    def is_exceeded(self) -> bool:
        """Say whether it kept a call back, or more was used all the same."""
        return self.refused > 0 or self.used > self.limit + _DUST


@dataclass(frozen=True, slots=True)
class Alert:
    """Something a person wants to hear of."""

    kind: str  # warn | exceeded | reset | spike
    account: Account
    used: float
    limit: float
    unit: str
    window: Window
    at_s: float

    @property
    def text(self) -> str:
        """The alert as a sentence."""
        used, limit = told_amount(self.used, self.unit), told_amount(self.limit, self.unit)
        name, per, share = self.account.name, _per(self.account), told_share(self.used, self.limit, self.unit)
        if self.kind == RESET:
            return f"Budget {name}: a new {self.account.per} has begun; {limit} may be used again."
        if self.kind == SPIKE:
            return f"Alert {name}: {used} spent{per}, more than the {limit} that would be usual."
        if self.kind == WARN:
            return f"Budget {name}: {share} used{per} ({self.used / self.limit:.0%})."
        if self.used < self.limit - _DUST:
            return f"Budget {name} keeps calls back: {share}{per}, the rest is reserved for calls in flight."
        return f"Budget {name} is used up: {share}{per}."

    @property
    def facts(self) -> JSON:
        """The alert for programs."""
        start, end = self.window
        account = self.account
        return {
            "event": self.kind,
            "name": account.name,
            "used": self.used,
            "limit": self.limit,
            "unit": self.unit,
            "per": account.per,
            "window_start": told(start, account.zone) if start else None,
            "resets_at": told(end, account.zone),
            "at": told(self.at_s, account.zone),
            "scope": account.scope.shown,
            "text": self.text,
        }


@dataclass(eq=False, slots=True)
class _State:
    """How an account stands."""

    account: Account
    window: Window
    held: dict[int, Amount] = field(default_factory=dict)  # by the start of windows, from this one on; a spike's before
    reserved: Amount = ZERO
    in_flight: int = 0
    refused: int = 0
    sent: set[str] = field(default_factory=set)  # alerts of this window

    @property
    def used(self) -> Amount:
        return self.held.get(self.window[0], ZERO)


@dataclass(eq=False, slots=True)
class _Hold:
    """What is reserved for one call."""

    exchange_id: str
    trace_id: str
    estimate: Estimate
    places: list[tuple[_State, int]] = field(default_factory=list)
    is_closed: bool = False  # the call is over, its row is on its way
    is_lost: bool = False  # its row did not come: the estimate counts


class Budgets:
    """All rules and what they have counted; the gate."""

    def __init__(
        self,
        estimator: Estimator,
        *,
        clock: Callable[[], float] = time.time,
        patience_s: float = PATIENCE_S,
        stopwatch: Callable[[], float] = time.monotonic,
        on_alert: Callable[[Alert], None] = lambda _: None,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        """patience_s: how long a call is held for others, by `stopwatch`. on_alert: hears of what people want to know.
        on_change: hears that figures are others now.
        """
        self._estimator = estimator
        self._clock = clock
        self._on_alert = on_alert
        self._on_change = on_change
        self._states: dict[str, _State] = {}  # by the account's key
        self._holds: dict[str, _Hold] = {}  # by span id
        self._patience_s = patience_s
        self._stopwatch = stopwatch
        self._waiting: dict[str, tuple[float, Estimate]] = {}  # by span id: held since when, and what it may come to

    def __repr__(self) -> str:
        return f"<Budgets {len(self._states)} rules, {len(self._holds)} calls in flight>"

    @property
    def accounts(self) -> list[Account]:
        """What counts, in the order it is asked."""
        return [state.account for state in self._states.values()]

    # ── rules ────────────────────────────────────────────────────────────────────────────────────────────────────

    def install(
        self, accounts: Sequence[Account], entries: Iterable[Entry], sent: Iterable[tuple[str, str, int]]
    ) -> None:
        """Go by these rules from now on; what was counted and is in flight stays.

        entries: what the ledger has. sent: (key, kind, window) of alerts that went out before.
        """
        now, before = self._clock(), self._states
        self._states = {}
        for account in accounts:
            state = _State(account, account.window_at(now))
            old = before.get(account.key)
            if old is not None:
                state.refused = old.refused
                state.sent = set() if _limit(old.account) != _limit(account) else old.sent
            self._states[account.key] = state
        self._take(entries)
        for key, kind, window in sent:
            state_of = self._states.get(key)
            if state_of is not None and state_of.window[0] == window:
                state_of.sent.add(kind)
        for hold in self._holds.values():
            self._reserve(hold)
        self._watch()

    def learn(self, answers: Iterable[tuple[str, int]]) -> None:
        """Hear how long answers of models were: (model, tokens), oldest first."""
        for model, tokens in answers:
            self._estimator.learn(model, tokens)

    # ── the gate ─────────────────────────────────────────────────────────────────────────────────────────────────

    def admit(self, exchange: Exchange, body: bytes | None) -> Refused | Held | None:
        """Let a call leave, have it wait for those in flight, or say why it may not."""
        since, estimate = self._waiting.get(exchange.id) or (None, self._estimator.estimate(exchange, body))
        if estimate is None:
            return None
        self.tick()
        now = self._stopwatch()
        for state in self._states.values():
            if isinstance(state.account, Rule) and _concerns(state.account, estimate):
                why = _objection(state, state.account, estimate)
                if why is None:
                    continue
                if why.is_passing and now - (now if since is None else since) < self._patience_s:
                    self._waiting[exchange.id] = (now if since is None else since, estimate)
                    return Held()
                return self._refuse(exchange, state, state.account, why.sentence)
        self._waiting.pop(exchange.id, None)
        self._hold(exchange, estimate)
        return None

    def adopt(self, exchange: Exchange) -> None:
        """Reserve for a call that had left before there was any rule."""
        request = exchange.request
        estimate = self._estimator.estimate(exchange, request.join() if request is not None else None)
        if estimate is not None and exchange.id not in self._holds:
            self._hold(exchange, estimate)

    def closed(self, exchange: Exchange) -> None:
        """Hear that a call is over: what it used comes with its row."""
        self._waiting.pop(exchange.id, None)
        hold = self._holds.get(exchange.id)
        if hold is not None:
            hold.is_closed = True

    def _refuse(self, exchange: Exchange, state: _State, rule: Rule, why: str) -> Refused:
        exchange.is_refused = True
        state.refused += 1
        self._send(state, EXCEEDED)
        self._on_change()
        headers = {"x-llmflow-budget": rule.name}
        end = state.window[1]
        if end is not None:
            headers["retry-after"] = str(max(1, math.ceil(end - self._clock())))
        return Refused(f"{why} {_when(rule, end)}", CODE, headers)

    def _hold(self, exchange: Exchange, estimate: Estimate) -> None:
        hold = self._holds[exchange.id] = _Hold(exchange.id, exchange.trace_id, estimate)
        self._reserve(hold)
        self._on_change()

    def _reserve(self, hold: _Hold) -> None:
        hold.places = []
        for state in self._states.values():
            account = state.account
            if not isinstance(account, Rule) or not _concerns(account, hold.estimate):
                continue
            start = account.window_at(hold.estimate.start_s)[0]
            hold.places.append((state, start))
            if start == state.window[0]:
                state.reserved = state.reserved.plus(hold.estimate.amount)
                state.in_flight += 1

    def _release(self, hold: _Hold) -> None:
        for state, start in hold.places:
            if start == state.window[0]:
                state.in_flight -= 1
                state.reserved = state.reserved.plus(hold.estimate.amount, -1) if state.in_flight else ZERO

    # ── after a commit ───────────────────────────────────────────────────────────────────────────────────────────

    def settled(self, spans: Iterable[Span], entries: Iterable[Entry]) -> None:
        """Take in a commit: what was written, and what the accounts have since."""
        self._take(entries)
        for span in spans:
            hold = self._holds.pop(span.id, None)
            if hold is not None:
                self._release(hold)
            if span.completion_tokens is not None and (span.status or 0) < 400:
                self._estimator.learn(span.request_model or span.model, span.completion_tokens)
        self.tick()
        self._watch()
        self._on_change()

    def _take(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            state = self._states.get(entry.key)
            if state is not None:
                state.held[entry.window] = entry.amount

    def awaited(self) -> list[str]:
        """Return the span ids of calls that are over and whose rows have not come."""
        return [key for key, hold in self._holds.items() if hold.is_closed and not hold.is_lost]

    def lost(self, ids: Iterable[str]) -> list[Unrecorded]:
        """Hear that these rows will not come; return what is to be counted in their place: what was reserved."""
        found = []
        for key in ids:
            hold = self._holds.get(key)
            if hold is not None and not hold.is_lost:
                hold.is_lost = True
                found.append(Unrecorded(_stand_in(hold)))
        return found

    # ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def tick(self) -> None:
        """Let windows end whose time has come."""
        now = self._clock()
        for state in self._states.values():
            end = state.window[1]
            if end is not None and now >= end:
                self._roll(state, now)

    def next_end(self) -> float | None:
        """Return when the next window ends."""
        return min((end for state in self._states.values() if (end := state.window[1]) is not None), default=None)

    def _roll(self, state: _State, now: float) -> None:
        was_told = bool(state.sent & {WARN, EXCEEDED})
        state.window = state.account.window_at(now)
        state.sent, state.refused = set(), 0
        start = state.window[0]
        if isinstance(state.account, Rule):
            state.held = {window: amount for window, amount in state.held.items() if window >= start}
        state.reserved, state.in_flight = ZERO, 0
        for hold in self._holds.values():
            if (state, start) in hold.places:
                state.reserved = state.reserved.plus(hold.estimate.amount)
                state.in_flight += 1
        if was_told:
            self._send(state, RESET)
        self._on_change()

    # ── alerts ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _watch(self) -> None:
        for state in self._states.values():
            account = state.account
            if isinstance(account, Rule):
                used = _value(state.used, account.unit)
                if used >= account.limit - _DUST:
                    self._send(state, EXCEEDED)
                elif used >= account.warn_at * account.limit - _DUST:
                    self._send(state, WARN)
            elif isinstance(account, Spike) and state.used.cost > usual(state.held, state.window[0], account):
                self._send(state, SPIKE)

    def _send(self, state: _State, kind: str) -> None:
        """Tell of something, once in a window."""
        if kind in state.sent or (kind == WARN and EXCEEDED in state.sent):
            return
        state.sent.add(kind)
        account = state.account
        if isinstance(account, Rule):
            used, limit, unit = _value(state.used, account.unit), account.limit, str(account.unit)
        else:
            used, unit = state.used.cost, "usd"
            limit = usual(state.held, state.window[0], account) if isinstance(account, Spike) else 0.0
        self._on_alert(Alert(kind, account, used, limit, unit, state.window, self._clock()))

    # ── how it stands ────────────────────────────────────────────────────────────────────────────────────────────

    def caps(self) -> list[Cap]:
        """Return how the caps of this process stand."""
        return [
            Cap(rule.name, rule.limit, _value(state.used, rule.unit), rule.unit, state.refused)
            for state in self._states.values()
            if isinstance(rule := state.account, Rule) and rule.per == PROCESS
        ]

    def caps_exceeded(self) -> list[Cap]:
        """Return the caps that kept a call back or were passed."""
        return [cap for cap in self.caps() if cap.is_exceeded]

    def states(self) -> list[JSON]:
        """Return how each budget stands, as the API tells it."""
        self.tick()
        return [_state(state, state.account) for state in self._states.values() if isinstance(state.account, Rule)]

    def spikes(self) -> list[JSON]:
        """Return how each spike alert stands."""
        self.tick()
        return [
            _spike_state(state, state.account) for state in self._states.values() if isinstance(state.account, Spike)
        ]


def usual(held: dict[int, Amount], start: int, spike: Spike) -> float:
    """Return what may be spent in a window before it counts as a spike; endless while there is too little to go by."""
    before: list[float] = []
    for _ in range(spike.over):
        start = spike.window_at(start - 1)[0]
        amount = held.get(start, ZERO)
        if amount.cost > 0:
            before.append(amount.cost)
    if len(before) < MIN_SPIKE_WINDOWS:
        return math.inf
    return max(spike.floor_usd, spike.factor * sum(before) / len(before))


def _value(amount: Amount, unit: str) -> float:
    return amount.cost if unit == "usd" else amount.tokens if unit == "tokens" else amount.calls


def _limit(account: Account) -> object:
    return (account.limit, account.warn_at, account.action) if isinstance(account, Rule) else None


def _concerns(rule: Rule, estimate: Estimate) -> bool:
    scope, labels = rule.scope, estimate.labels
    return scope.holds(estimate.provider, (estimate.model,)) and scope.holds_labels(
        labels.tags, labels.user_id, labels.session_id
    )


@dataclass(frozen=True, slots=True)
class _Objection:
    """Why a call may not leave. `is_passing`: only because of what is reserved for calls in flight."""

    sentence: str
    is_passing: bool = False


def _objection(state: _State, rule: Rule, estimate: Estimate) -> _Objection | None:
    """Return why a call may not leave; None when it may."""
    if not rule.is_blocking or (rule.unit == "usd" and estimate.is_free):
        return None
    if rule.unit == "usd" and rule.on_unpriced == "block" and estimate.amount.unpriced:
        model = f"the model {estimate.model!r}" if estimate.model else "a model that cannot be made out"
        return _Objection(
            f"LLMFlow's budget {rule.name!r} lets no call go whose price is unknown, and {model} has none."
        )
    used, reserved = _value(state.used, rule.unit), _value(state.reserved, rule.unit)
    wanted = _value(estimate.amount, rule.unit)
    has_room = used < rule.limit - _DUST
    if has_room and (reserved <= _DUST or used + reserved + wanted <= rule.limit + _DUST):
        return None
    verdict = "keeps this call back" if has_room else "is used up"
    sentence = (
        f"LLMFlow's budget {rule.name!r} {verdict}: {told_share(used, rule.limit, rule.unit)}{_per(rule)}"
        + (f", and {told_amount(reserved, rule.unit)} reserved for calls in flight" if reserved > _DUST else "")
        + (f"; this call may take {told_amount(wanted, rule.unit)}." if has_room else ".")
    )
    return _Objection(sentence, is_passing=has_room)


def _per(account: Account) -> str:
    words = {"day": " today", "total": " in total", PROCESS: " since LLMFlow started"}
    return words.get(account.per, f" this {account.per}")


def _when(rule: Rule, end: int | None) -> str:
    if end is not None:
        return f"It resets at {told(end, rule.zone)}."
    if rule.per == PROCESS:
        return "It resets when LLMFlow is started anew."
    return "It does not reset by itself: raise the limit or delete the budget."


def _stand_in(hold: _Hold) -> Span:
    estimate = hold.estimate
    return Span(
        hold.trace_id,
        hold.exchange_id,
        start_ns=int(estimate.start_s * 1e9),
        provider=estimate.provider,
        model=estimate.model,
        total_tokens=estimate.amount.tokens,
        estimated_cost=None if estimate.amount.unpriced else estimate.amount.cost,
        is_estimated=True,
        session_id=estimate.labels.session_id,
        user_id=estimate.labels.user_id,
        tags=list(estimate.labels.tags),
    )


def _state(state: _State, rule: Rule) -> JSON:
    used = _value(state.used, rule.unit)
    word = EXCEEDED if used >= rule.limit - _DUST else WARN if used >= rule.warn_at * rule.limit - _DUST else "ok"
    return {
        **rule.shown,
        **_common(state),
        "limit": rule.limit,
        "unit": rule.unit,
        "used": used,
        "reserved": _value(state.reserved, rule.unit),
        "in_flight": state.in_flight,
        "state": word,
        "refused": state.refused,
    }


def _spike_state(state: _State, spike: Spike) -> JSON:
    limit = usual(state.held, state.window[0], spike)
    return {
        "name": spike.name,
        "kind": "spike",
        "per": spike.per,
        **spike.scope.shown,
        "factor": spike.factor,
        "floor_usd": spike.floor_usd,
        "over": spike.over,
        **_common(state),
        "used": state.used.cost,
        "limit": None if math.isinf(limit) else round(limit, 6),
        "state": SPIKE if SPIKE in state.sent else "ok",
    }


def _common(state: _State) -> JSON:
    account, used = state.account, state.used
    start, end = state.window
    return {
        "origin": account.origin,
        "window_start": told(start, account.zone) if start else None,
        "resets_at": told(end, account.zone),
        "calls": used.calls,
        "tokens": used.tokens,
        "cost": used.cost,
        "unpriced": used.unpriced,
        **means_of(account),
    }


def means_of(account: Account) -> JSON:
    """Name the webhook by its host and the command by its program: what else they say stays in the file."""
    return {
        "webhook": urlsplit(account.webhook).hostname if account.webhook else None,
        "command": account.command[0].rpartition("/")[2] if account.command else None,
    }
