"""What counts for budgets: signed moves of the writer, added up by account and window in its own transaction.

The sums of the screen lose nothing to retention and something to explicit deletion; this ledger loses to neither, since
money that was spent stays spent. What an account is, and which window a span falls into, the account itself says.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from llmflow_web.model import Span
from llmflow_web.store.marks import INFERENCE
from llmflow_web.store.sums import is_unpriced, total_tokens

MAX_BACKFILL_ROWS = 200_000
"""Of the calls that are stored already so many, the newest, are looked at for a new account."""

FREE_OPERATIONS = frozenset({"moderation", "count_tokens", "load"})
_DECIMALS = 12  # clear of the dust that adding and taking back leaves

Move = tuple[Span, int]
"""A span whose share of the sums was added (1) or taken out again (-1)."""


class Amount(NamedTuple):
    """What was used."""

    calls: int = 0
    tokens: int = 0
    cost: float = 0.0
    unpriced: int = 0

    def plus(self, other: Amount, sign: int = 1) -> Amount:
        """Add another amount, or take it out."""
        return Amount(
            self.calls + sign * other.calls,
            self.tokens + sign * other.tokens,
            round(self.cost + sign * other.cost, _DECIMALS),
            self.unpriced + sign * other.unpriced,
        )


ZERO = Amount()


class Account(Protocol):
    """What counts some spans in windows of time."""

    @property
    def key(self) -> str:
        """Its name in the table."""

    @property
    def is_kept(self) -> bool:
        """Say whether it is kept over a restart."""

    def window_of(self, span: Span) -> int | None:
        """Return the start of the window a span belongs to; None when it is not counted here."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What an account has in a window now."""

    key: str
    window: int
    amount: Amount


def amount_of(span: Span) -> Amount:
    """Return what a span that counts has used. A call is what a model was asked."""
    tokens = total_tokens(span)
    cost = span.estimated_cost or 0.0
    is_call = span.span_type in INFERENCE and span.operation not in FREE_OPERATIONS
    return Amount(int(is_call or tokens > 0 or cost > 0), tokens, cost, int(is_unpriced(span, tokens)))


class Ledger:
    """The accounts and what they hold. All but `is_open` belongs to the writer's thread.

    What the table holds is known here too, so that it outlives a file that is removed under us.
    """

    def __init__(self) -> None:
        self._accounts: tuple[Account, ...] = ()
        self._held: dict[tuple[str, int], Amount] = {}

    def __repr__(self) -> str:
        return f"<Ledger of {len(self._accounts)} accounts>"

    @property
    def is_open(self) -> bool:
        """Say whether anybody counts."""
        return bool(self._accounts)

    def open(self, connection: sqlite3.Connection, accounts: Sequence[Account], since_ns: Sequence[int]) -> list[Entry]:
        """Count for these accounts from now on, inside the caller's transaction, and return what each has.

        since_ns: for each, from when on a new one takes in what is stored already. What the table holds of others is
        forgotten: nobody counts for them meanwhile.
        """
        known = {row[0] for row in connection.execute("SELECT DISTINCT budget FROM budget_ledger")}
        wanted = {account.key for account in accounts if account.is_kept}
        connection.executemany("DELETE FROM budget_ledger WHERE budget = ?", [(key,) for key in known - wanted])
        for account, begin_ns in zip(accounts, since_ns, strict=True):
            if account.is_kept and account.key not in known:
                _take_in(connection, account, begin_ns)
        self._accounts = tuple(accounts)
        unkept = {account.key for account in accounts if not account.is_kept}
        self._held = {place: amount for place, amount in self._held.items() if place[0] in unkept}
        self._held |= {(key, window): Amount(*sums) for key, window, *sums in connection.execute(_SELECT)}
        return [Entry(*place, amount) for place, amount in self._held.items()]

    def apply(self, connection: sqlite3.Connection, moves: Iterable[Move]) -> list[Entry]:
        """Add moves inside the caller's transaction; return what those accounts have once it is committed."""
        sums: dict[tuple[str, int], Amount] = {}
        kept: set[tuple[str, int]] = set()
        for span, sign in moves:
            amount = amount_of(span)
            if amount == ZERO:
                continue
            for account in self._accounts:
                window = account.window_of(span)
                if window is not None:
                    place = account.key, window
                    before = sums.get(place, self._held.get(place, ZERO))
                    sums[place] = before.plus(amount, sign)
                    if account.is_kept:
                        kept.add(place)
        connection.executemany(_REPLACE, [(*place, *sums[place]) for place in kept])
        return [Entry(*place, amount) for place, amount in sums.items()]

    def committed(self, entries: Iterable[Entry]) -> None:
        """Take what `apply` returned for what is, now that it is committed."""
        self._held.update(((entry.key, entry.window), entry.amount) for entry in entries)


def _take_in(connection: sqlite3.Connection, account: Account, since_ns: int) -> None:
    """Count what is stored already. A row is written in any case: the account is no longer new."""
    sums: dict[int, Amount] = {0: ZERO}
    for *values, tags in connection.execute(_STORED, (since_ns, MAX_BACKFILL_ROWS)):
        span = Span("", "", **dict(zip(_COLUMNS, values, strict=True)))
        if tags:
            span.tags = json.loads(tags)
        window = account.window_of(span)
        if window is not None:
            sums[window] = sums.get(window, ZERO).plus(amount_of(span))
    rows = [(account.key, window, *amount) for window, amount in sums.items()]
    connection.executemany(_REPLACE, rows)


_SELECT = "SELECT budget, window_start, requests, tokens, cost, unpriced_count FROM budget_ledger"
_REPLACE = (
    "INSERT OR REPLACE INTO budget_ledger (budget, window_start, requests, tokens, cost, unpriced_count) "
    "VALUES (?, ?, ?, ?, ?, ?)"
)
_COLUMNS = (
    "source", "span_type", "start_ns", "provider", "model", "request_model", "operation", "status", "prompt_tokens",
    "completion_tokens", "total_tokens", "estimated_cost", "session_id", "user_id",
)  # fmt: skip
_STORED = f"SELECT {', '.join(_COLUMNS)}, tags FROM spans WHERE start_ns >= ? AND counts ORDER BY start_ns DESC LIMIT ?"
