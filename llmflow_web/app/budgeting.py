"""Budgets at work: where their rules come from, who counts for them, whom they tell.

    rules of the file, caps, the database ──▶ Budgets (loop) ◀── after each commit ── Ledger (writer thread)
    Dispatcher ── asks before a call ──▶ Budgets ── alerts ──▶ console, database, Deliveries

Without any rule nothing of it is there: the dispatcher has no gate, the ledger no account.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from llmflow_web.errors import BadRequest, ConfigError, Conflict, LLMFlowError, NotFound
from llmflow_web.model import JSON
from llmflow_web.record.budget_alerts import Deliveries, fetcher
from llmflow_web.record.budget_estimate import Estimator
from llmflow_web.record.budget_rules import Account, Rule, Spike, caps_from, rule_from, stored
from llmflow_web.record.budgets import RESET, Alert, Budgets
from llmflow_web.store import budgets as file
from llmflow_web.store.ledger import Entry, Ledger

if TYPE_CHECKING:
    from llmflow_web.app.settings import Config
    from llmflow_web.console import Console
    from llmflow_web.net.client import HttpClient
    from llmflow_web.net.dispatch import Dispatcher
    from llmflow_web.provider import Provider
    from llmflow_web.record.pricing import PriceBook
    from llmflow_web.store.database import Batch, Database

RECENT_ANSWERS = 2000
LOOK_EVERY_S = 5.0
"""So often it is looked for windows that ended and for rows that did not come."""

TELL_EVERY_S = 0.5
STOP_GRACE_S = 2.0


class Budgeting:
    """Keeps the rules, and `engine` going by them. Belongs to the loop's thread."""

    def __init__(
        self,
        config: Config,
        *,
        database: Database,
        ledger: Ledger,
        dispatcher: Dispatcher,
        client: HttpClient,
        console: Console,
        providers: Mapping[str, Provider],
        prices: PriceBook,
        environment: Mapping[str, str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._dispatcher = dispatcher
        self._console = console
        self._prices = prices
        self._clock = clock
        caps = caps_from(
            max_cost=config.max_cost,
            max_calls=config.max_calls,
            max_tokens=config.max_tokens,
            since_ns=int(clock() * 1e9),
        )
        self._fixed: list[Account] = [*caps, *config.budgets, *config.alerts]
        self._made: dict[str, Rule] = {}  # on the screen, by name
        self._listeners: list[Callable[[], None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._look_timer: asyncio.TimerHandle | None = None
        self._tell_timer: asyncio.TimerHandle | None = None
        self._changing = asyncio.Lock()
        self.engine = Budgets(
            Estimator(providers, prices),
            clock=clock,
            patience_s=config.budget_wait,
            on_alert=self._on_alert,
            on_change=self._want_tell,
        )
        self.deliveries = Deliveries(fetcher(client.fetch), environment=environment, on_change=self._want_tell)

    def __repr__(self) -> str:
        return f"<Budgeting by {self.engine!r}>"

    # ── opening and closing ──────────────────────────────────────────────────────────────────────────────────────

    async def open(self, made: Mapping[str, JSON]) -> None:
        """Go by all rules from now on. made: those of the database."""
        self._loop = asyncio.get_running_loop()
        taken = {account.name for account in self._fixed}
        for name, table in made.items():
            if name in taken:
                self._console.warning(f"the budget {name!r} made on the screen gives way to that of the settings")
                continue
            with suppress(ConfigError):  # of a later version, with other keys
                self._made[name] = rule_from(name, table, "", origin="ui")
        await self._apply(lambda _: None)

    async def close(self) -> None:
        """Let alerts under way go out, and count no more."""
        for timer in (self._look_timer, self._tell_timer):
            if timer is not None:
                timer.cancel()
        self._loop = None
        await self.deliveries.close(STOP_GRACE_S)

    # ── rules ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def create(self, body: JSON) -> JSON:
        """Make a rule. Raises BadRequest, Conflict."""
        name, table = body.get("name"), {key: value for key, value in body.items() if key != "name"}
        if name in self._made:
            raise Conflict(f"there is a budget {name!r} already")
        return await self._save(name, table)

    async def replace(self, name: str, body: JSON) -> JSON:
        """Change a rule made on the screen. Raises BadRequest, NotFound, Conflict."""
        self._check_made(name)
        return await self._save(name, {key: value for key, value in body.items() if key != "name"})

    async def delete(self, name: str) -> None:
        """Delete a rule made on the screen. Raises NotFound, Conflict."""
        self._check_made(name)
        await self._change(
            {key: rule for key, rule in self._made.items() if key != name},
            lambda connection: file.delete_rule(connection, name),
        )

    def _check_made(self, name: str) -> None:
        if any(account.name == name for account in self._fixed):
            raise Conflict(f"the budget {name!r} is set in llmflow.toml or by a flag; change it there")
        if name not in self._made:
            raise NotFound(f"There is no budget {name!r}.")

    async def _save(self, name: object, table: JSON) -> JSON:
        try:
            given = {key: value for key, value in table.items() if value is not None}
            rule = rule_from(name, given, "budget", origin="ui")
        except ConfigError as error:
            raise BadRequest(error.message) from error
        if any(account.name == rule.name for account in self._fixed):
            raise Conflict(f"the budget {rule.name!r} is set in llmflow.toml or by a flag; change it there")
        now_ms = int(self._clock() * 1000)
        await self._change(
            {**self._made, rule.name: rule},
            lambda connection: file.save_rule(connection, rule.name, stored(rule), now_ms),
        )
        return next(state for state in self.engine.states() if state["name"] == rule.name)

    async def _change(self, made: dict[str, Rule], write: Callable[[Any], object]) -> None:
        async with self._changing:
            before, self._made = self._made, made
            try:
                await self._apply(write)
            except LLMFlowError:
                self._made = before
                raise

    async def _apply(self, write: Callable[[Any], object]) -> None:
        """Have the writer count for the rules as they are now, then go by them.

        Between two batches, so that no row is counted twice or not at all; its answer comes before that of any later
        commit, as both come through `call_soon_threadsafe`.
        """
        loop = asyncio.get_running_loop()
        self._loop = loop
        accounts = [*self._fixed, *self._made.values()]
        since_ns = [_since_ns(account, self._clock()) for account in accounts]
        is_first = not self.engine.accounts

        def work(connection: Any) -> tuple[list[Entry], list[Any], list[Any]]:
            write(connection)
            answers = file.recent_answers(connection, RECENT_ANSWERS) if is_first and accounts else []
            if accounts:
                _ = self._prices.table  # read here, not on the loop when the first call asks
            return self._ledger.open(connection, accounts, since_ns), file.sent_alerts(connection), answers

        installed: asyncio.Future[None] = loop.create_future()

        def install(done: Future[Any]) -> None:
            error = done.exception()
            if error is None:
                entries, sent, answers = done.result()
                self.engine.learn(answers)
                self.engine.install(accounts, entries, sent)
                self._set_gate(is_wanted=bool(accounts))
            if installed.cancelled():  # whoever asked has gone; the rules hold all the same
                return
            if error is None:
                installed.set_result(None)
            else:
                installed.set_exception(error)

        self._database.call(work).add_done_callback(lambda done: loop.call_soon_threadsafe(install, done))
        await installed

    def _set_gate(self, *, is_wanted: bool) -> None:
        dispatcher = self._dispatcher
        if is_wanted and dispatcher.gate is None:
            dispatcher.gate = self.engine
            for exchange in dispatcher.running.values():
                self.engine.adopt(exchange)
            if self._look_timer is None:
                self._look()
        elif not is_wanted:
            dispatcher.gate = None

    # ── what happens ─────────────────────────────────────────────────────────────────────────────────────────────

    def on_commit(self, batch: Batch) -> None:
        """Take in what a commit counted. On the loop's thread."""
        if not self.engine.accounts:
            return
        spans = [span for written in batch.written if (span := getattr(written, "span", None)) is not None]
        if spans or batch.unrecorded or batch.ledger:
            self.engine.settled([*spans, *batch.unrecorded], batch.ledger)

    def _look(self) -> None:
        """Let windows end, and look for rows that did not come."""
        loop = self._loop
        if loop is None:
            return
        self._look_timer = loop.call_later(LOOK_EVERY_S, self._look)
        self.engine.tick()
        awaited = self.engine.awaited()
        if not awaited:
            return

        def reached(done: Future[Any]) -> None:
            """What was queued before is committed: what is still awaited has been let go on the way."""
            if done.exception() is None:
                with suppress(RuntimeError):  # the loop has just been closed
                    loop.call_soon_threadsafe(self._count_lost, awaited)

        self._database.call(lambda _: None).add_done_callback(reached)

    def _count_lost(self, ids: Sequence[str]) -> None:
        for item in self.engine.lost(ids):
            self._database.put(item, 0)

    # ── alerts ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _on_alert(self, alert: Alert) -> None:
        say = self._console.note if alert.kind == RESET else self._console.warning
        say(alert.text)
        key, start, at_ms = alert.account.key, alert.window[0], int(alert.at_s * 1000)
        self._database.call(lambda connection: file.add_alert(connection, key, start, at_ms, alert.facts))
        self.deliveries.send(alert)
        self._want_tell()

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener` when figures have changed, at most every TELL_EVERY_S."""
        self._listeners.append(listener)

    def _want_tell(self) -> None:
        if self._tell_timer is None and self._loop is not None and self._listeners:
            self._tell_timer = self._loop.call_later(TELL_EVERY_S, self._tell)

    def _tell(self) -> None:
        self._tell_timer = None
        for listener in self._listeners:
            listener()

    # ── what is shown ────────────────────────────────────────────────────────────────────────────────────────────

    def state(self) -> JSON:
        """Return how all stands, as the API tells it; the alerts that were sent are in the database."""
        return {
            "budgets": self.engine.states(),
            "alerts": self.engine.spikes(),
            "deliveries": self.deliveries.shown(),
        }


def stored_rules(connection: Any) -> dict[str, JSON]:
    """Return the rules of the database, by name."""
    return file.list_rules(connection)


def _since_ns(account: Account, now: float) -> int:
    """Return from when on a new account takes in what is stored: its window's start, a spike's some windows before."""
    start = account.window_at(now)[0]
    for _ in range(account.over if isinstance(account, Spike) else 0):
        start = account.window_at(start - 1)[0]
    return max(start * 1_000_000_000, account.since_ns)
