"""GET /api/models/prices: what models cost, from the price table in use."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

from llmflow_web.model import JSON
from llmflow_web.net.http import ServerCall
from llmflow_web.net.router import Router, query_params
from llmflow_web.record.price_quote import quote
from llmflow_web.record.price_rates import Tariff
from llmflow_web.record.price_table import PriceTable
from llmflow_web.record.reading import Store, ask
from llmflow_web.store.analytics import used_models


class Prices(Protocol):
    """What of record.pricing.PriceBook is asked."""

    @property
    def table(self) -> PriceTable:
        """The current table."""

    def find(self, provider: str | None, model: str) -> Tariff | None:
        """Return the price row of a model."""


class ModelRoutes:
    """The price list of what was used."""

    def __init__(self, store: Store, prices: Callable[[], Prices], *, clock: Callable[[], float] = time.time) -> None:
        """Answer from the book `prices` returns: it is asked for when it is needed, and loads its table then."""
        self._store = store
        self._prices = prices
        self._clock = clock

    def register(self, router: Router) -> None:
        """Put our route into the table."""
        router.add("GET", "/api/models/prices", self.prices)

    async def prices(self, call: ServerCall) -> None:
        """Answer with the prices of one model, or of all that were used."""
        params = query_params(call)
        asked = [(params["model"], params.get("provider") or None)] if params.get("model") else None
        call.respond_json(200, await ask(self._store, call, self._read, asked))

    def _read(self, connection: Any, asked: list[tuple[str, str | None]] | None) -> JSON:
        """Look prices up, on a reader thread: the table may have to be loaded."""
        book, now = self._prices(), self._clock()
        wanted = used_models(connection) if asked is None else asked
        models = [quote(provider, model, book.find(provider, model), now) for model, provider in wanted]
        return {"date": book.table.date, "source": book.table.source, "models": models}
