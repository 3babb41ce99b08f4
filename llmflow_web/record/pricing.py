"""What a call costs. `PriceBook` holds the current price table and bills usage by it.

The table is loaded when the first call is priced, on the thread that prices it: never while the program starts.
A cost is computed once, when the call is recorded; newer prices never change it silently.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence

from llmflow_web.model import Cost, CostLine, Usage
from llmflow_web.provider import Provider
from llmflow_web.record.price_bill import Bill, bill_for, has_tokens, line, total_of
from llmflow_web.record.price_match import candidates, find_image, find_match
from llmflow_web.record.price_rates import Tariff
from llmflow_web.record.price_table import EMPTY_TABLE, PriceTable, read_table

MAX_KEPT_MATCHES = 10_000
FREE = Cost(total=0.0, quality="free")
UNKNOWN = Cost(total=None)
BUNDLED = "bundled"
_CENT_DUST = 1e-9  # a reported cost that differs by less than this is the computed one


def bundled_table() -> PriceTable:
    """Read the snapshot that ships with the package."""
    from importlib import resources

    data = resources.files("llmflow_web").joinpath("data", "prices.json.gz").read_bytes()
    return read_table(data, source=BUNDLED)[0]


class PriceBook:
    """The current prices and everything remembered about them. Thread-safe; a refresh swaps the table whole."""

    def __init__(
        self,
        *,
        load: Callable[[], PriceTable] = bundled_table,
        aliases: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Make a book.

        Args:
            load: returns the first table; called once, when it is first needed.
            aliases: the user's own names for models, looked up before anything else.
            clock: epoch seconds, for prices that depend on the hour.
        """
        self._load = load
        self._aliases = dict(aliases or {})
        self._clock = clock
        self._lock = threading.Lock()
        self._book: _Pages | None = None

    def __repr__(self) -> str:
        return f"<PriceBook {self._book.table if self._book else 'not loaded'}>"

    @property
    def table(self) -> PriceTable:
        """The current table; loads it if need be."""
        return self._pages().table

    @property
    def is_loaded(self) -> bool:
        """Say whether a table is there, without loading one."""
        return self._book is not None

    def replace(self, table: PriceTable) -> None:
        """Put a newer table in place; what was remembered of the old one is forgotten."""
        with self._lock:
            self._book = _Pages(table)

    def find(self, provider: Provider | str | None, model: str) -> Tariff | None:
        """Return the price row of a model, made ready; None when there is none."""
        return self._tariff(self._pages(), provider, (model,), Usage())

    def price(
        self,
        provider: Provider | str | None,
        models: Sequence[str],
        usage: Usage,
        *,
        free: bool = False,
        at_s: float | None = None,
    ) -> Cost:
        """Bill one call.

        Args:
            provider: the adapter, or a provider's name as telemetry writes it; None = unknown.
            models: what the call was answered by, then what was asked for; the first one in the table counts.
            usage: what was used. Empty usage has an unknown cost: whether a failed call was free is not known here.
            free: a local upstream; costs 0.
            at_s: when the call was made (epoch seconds), for off-peak prices.
        """
        if free:
            return FREE
        if usage.is_empty:
            return UNKNOWN
        pages = self._pages()
        tariff = self._tariff(pages, provider, models, usage)
        bill = bill_for(tariff, usage, self._clock() if at_s is None else at_s) if tariff else Bill(None)
        if usage.reported_cost is not None:
            return _reported(usage.reported_cost, bill, tariff, pages.table)
        if tariff is None or bill.lines is None:
            return UNKNOWN
        quality = "estimated" if bill.is_estimated else tariff.quality
        return Cost(total_of(bill.lines), bill.lines, tariff.key, pages.table.date or None, quality)

    def _pages(self) -> _Pages:
        pages = self._book
        if pages is None:
            with self._lock:
                if self._book is None:
                    self._book = _Pages(self._load())
                pages = self._book
        return pages

    def _tariff(
        self, pages: _Pages, provider: Provider | str | None, models: Sequence[str], usage: Usage
    ) -> Tariff | None:
        for model in models:
            if not model:
                continue
            name = self._aliases.get(model, model) if self._aliases else model
            if usage.images is not None and not has_tokens(usage):
                found = pages.image_tariff(provider, name, usage)
            else:
                found = pages.tariff(provider, name)
            if found is not None:
                return found
        return None


class _Pages:
    """A table with the matches found in it so far, the misses too."""

    def __init__(self, table: PriceTable) -> None:
        self.table = table
        self._tariffs: dict[tuple[str | None, str], Tariff | None] = {}

    def tariff(self, provider: Provider | str | None, model: str) -> Tariff | None:
        name = provider.name if isinstance(provider, Provider) else provider
        known = (name, model)
        try:
            return self._tariffs[known]
        except KeyError:
            match = find_match(self.table, provider, model)
        if len(self._tariffs) >= MAX_KEPT_MATCHES:
            self._tariffs.clear()
        found = Tariff(match.key, match.row, match.quality) if match else None
        self._tariffs[known] = found
        return found

    def image_tariff(self, provider: Provider | str | None, model: str, usage: Usage) -> Tariff | None:
        """Find the row of a picture's quality and size; without one the model's own row."""
        match = find_image(self.table, provider, image_names(model, usage))
        return Tariff(match.key, match.row, match.quality) if match else self.tariff(provider, model)


def image_names(model: str, usage: Usage) -> list[tuple[str, str]]:
    """List the key ends an image of this size and quality may be priced under, with what using them is worth.

    What the caller left to the provider is taken as its documented default, and then the price is an estimate.
    """
    size = (usage.image_size or "1024x1024").replace("x", "-x-")
    qualities = [usage.image_quality.lower()] if usage.image_quality else ["standard"]
    found: list[tuple[str, str]] = []
    for name, quality in candidates(model):
        worth = quality if usage.image_size else "estimated"
        found += [(f"{one}/{size}/{name}", worth) for one in qualities]
        found.append((f"{size}/{name}", worth))
    return found


def _reported(reported: float, bill: Bill, tariff: Tariff | None, table: PriceTable) -> Cost:
    """Take the provider's own figure; the computed lines stay, with one more that closes the difference."""
    lines: tuple[CostLine, ...] = bill.lines or ()
    difference = reported - total_of(lines)
    if not lines:
        lines = (line("reported", 1, "request", reported),)
    elif abs(difference) > _CENT_DUST:
        lines = (*lines, line("difference to the reported cost", 1, "request", difference))
    key = tariff.key if tariff and bill.lines is not None else None
    return Cost(reported, lines, key, (table.date or None) if key else None, "reported")


__all__ = ["EMPTY_TABLE", "FREE", "UNKNOWN", "PriceBook", "PriceTable", "bundled_table"]
