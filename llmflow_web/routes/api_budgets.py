"""Budgets: GET and POST /api/budgets, PUT and DELETE /api/budgets/{name}.

Rules of the configuration file and of flags are shown and cannot be changed here; webhooks and commands cannot be set.
"""

from __future__ import annotations

from typing import Protocol

from llmflow_web.model import JSON
from llmflow_web.net.http import ServerCall
from llmflow_web.net.router import Router, json_object
from llmflow_web.record.reading import Store, ask
from llmflow_web.store.budgets import list_alerts

MAX_POST_BYTES = 64 * 1024
SHOWN_ALERTS = 50


class Rules(Protocol):
    """What keeps the rules: app.budgeting.Budgeting."""

    def state(self) -> JSON:
        """Return how all stands."""

    async def create(self, body: JSON) -> JSON:
        """Make a rule."""

    async def replace(self, name: str, body: JSON) -> JSON:
        """Change a rule."""

    async def delete(self, name: str) -> None:
        """Delete a rule."""


class BudgetRoutes:
    """What may be used, and how much of it is."""

    def __init__(self, store: Store, rules: Rules) -> None:
        self._store = store
        self._rules = rules

    def register(self, router: Router) -> None:
        """Put our routes into the table."""
        router.add("GET", "/api/budgets", self.list)
        router.add("POST", "/api/budgets", self.create)
        router.add("PUT", "/api/budgets/{name}", self.replace)
        router.add("DELETE", "/api/budgets/{name}", self.delete)

    async def list(self, call: ServerCall) -> None:
        """Answer with all budgets and spike alerts, the newest alerts that were sent, and their deliveries."""
        sent = await ask(self._store, call, list_alerts, SHOWN_ALERTS)
        call.respond_json(200, {**self._rules.state(), "sent": sent}, [("cache-control", "no-store")])

    async def create(self, call: ServerCall) -> None:
        """Make a budget."""
        call.respond_json(201, await self._rules.create(await json_object(call, MAX_POST_BYTES)))

    async def replace(self, call: ServerCall, name: str) -> None:
        """Change a budget that was made here."""
        call.respond_json(200, await self._rules.replace(name, await json_object(call, MAX_POST_BYTES)))

    async def delete(self, call: ServerCall, name: str) -> None:
        """Delete a budget that was made here."""
        await self._rules.delete(name)
        call.respond(204, [])
