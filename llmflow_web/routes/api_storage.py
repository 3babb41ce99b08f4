"""GET /api/storage: what the file holds. POST /api/reprice: stored calls, billed by the present prices."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import partial
from typing import Any, Protocol, TypeVar

from llmflow_web.errors import BadRequest
from llmflow_web.model import JSON
from llmflow_web.net.http import ServerCall
from llmflow_web.net.router import Router, json_object, query_params
from llmflow_web.provider import Provider
from llmflow_web.record.reading import Store, ask
from llmflow_web.record.repricing import Piece, Prices, Repricer
from llmflow_web.store.repricing import billed, rewrite_bills
from llmflow_web.store.spans import get_bodies
from llmflow_web.store.stock import stock
from llmflow_web.wire.filter import Filter, read_int

T = TypeVar("T")

DEFAULT_PIECE = 1000
MAX_PIECE = 5000
MAX_POST_BYTES = 64 * 1024


class RewritingStore(Store, Protocol):
    """What of store.database.Database writes bills anew."""

    def rewrite(self, fn: Callable[..., Any]) -> Future[int]:
        """Run a job that writes spans anew; gives how many."""


class PricedBook(Prices, Protocol):
    """What of record.pricing.PriceBook is used."""

    @property
    def table(self) -> Any:
        """The current table."""


class StorageRoutes:
    """What is stored, and what it costs by now."""

    def __init__(
        self,
        store: RewritingStore,
        prices: Callable[[], PricedBook],
        providers: Mapping[str, Provider],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Answer from the book `prices` returns, which is asked for when it is needed. providers: rows by name."""
        self._store = store
        self._prices = prices
        self._providers = providers
        self._clock = clock

    def register(self, router: Router) -> None:
        """Put our routes into the table."""
        router.add("GET", "/api/storage", self.storage)
        router.add("POST", "/api/reprice", self.reprice)

    async def storage(self, call: ServerCall) -> None:
        """Answer with what is stored, all of it or the traces a filter finds."""
        params = query_params(call)
        max_size = read_int(params, "max_size", 0, 0, 2**53) or None
        chosen = Filter.from_query(params)
        if chosen.notes:
            raise BadRequest("; ".join(chosen.notes))  # it is looked at before something is deleted by it
        found = await ask(self._store, call, stock, chosen, max_size, long=True)
        call.respond_json(200, found, [("cache-control", "no-store")])

    async def reprice(self, call: ServerCall) -> None:
        """Look at one stretch of calls and answer with what changes; with `apply` it is changed."""
        asked = await json_object(call, MAX_POST_BYTES)
        chosen = Filter.from_object(asked.get("filter")) or Filter()
        if chosen.notes:
            raise BadRequest("; ".join(chosen.notes))
        after, limit = _number(asked, "after", 0, 0), min(MAX_PIECE, _number(asked, "limit", DEFAULT_PIECE, 1))
        look = partial(look_at_piece, prices=self._prices, providers=self._providers)
        piece = await ask(self._store, call, look, chosen, after, limit, long=True)
        changed = None
        if asked.get("apply") is True:
            changed = await asyncio.wrap_future(apply_piece(self._store, piece, int(self._clock() * 1000)))
        call.respond_json(200, {**piece.told(changed), "prices": prices_told(self._prices())})


def _number(asked: JSON, name: str, default: int, low: int) -> int:
    value = asked.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value < 2**63:
        raise BadRequest(f"{name} must be a whole number of at least {low}")
    return value


def prices_told(book: PricedBook) -> JSON:
    """Return which prices are the present ones."""
    return {"date": book.table.date, "source": book.table.source}


def look_at_piece(
    connection: Any,
    chosen: Filter,
    after: int,
    limit: int,
    *,
    prices: Callable[[], PricedBook],
    providers: Mapping[str, Provider],
) -> Piece:
    """Work out what changes for the calls after a seq. On a reader thread, or straight on the file."""
    calls = billed(connection, chosen, after, limit)
    repricer = Repricer(prices(), providers, partial(get_bodies, connection))
    return Piece(repricer.look_at(calls), calls[-1].seq if calls else after, len(calls) < limit)


def apply_piece(store: RewritingStore, piece: Piece, now_ms: int) -> Future[int]:
    """Write what was worked out; gives how many calls have another bill now."""
    bills = piece.found.bills
    return store.rewrite(lambda connection, counters: rewrite_bills(connection, counters, now_ms, bills))
