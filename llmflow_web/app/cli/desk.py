"""Changing what is stored: through the server that holds the data directory, else in the database itself.

`Desk` is what `prune` and `reprice` need of either.
"""

from __future__ import annotations

import argparse
import os
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from llmflow_web.app.cli.sources import server_url
from llmflow_web.app.settings import Config
from llmflow_web.model import JSON
from llmflow_web.wire.filter import Filter

if TYPE_CHECKING:
    from llmflow_web.app.cli.server import ServerSource

POLL_S = 0.2


class Desk(Protocol):
    """Looks at what is stored and changes it."""

    def storage(self, chosen: JSON, max_size: int | None = None) -> JSON:
        """Return what is stored of the traces that the parameters of a filter find."""

    def one_before(self, keep: int) -> tuple[int | None, int | None]:
        """Return the starts of the oldest of the `keep` newest traces and of the one before it; None: there is none."""

    def delete(self, chosen: JSON) -> int:
        """Delete these traces and return how many spans went."""

    def is_erased(self) -> bool:
        """Say whether the text of all that was deleted is gone from the file."""

    def reprice(self, text: str, after: int, limit: int, *, apply: bool) -> JSON:
        """Look at one stretch of calls, and with `apply` write their new bills."""

    def close(self) -> None:
        """Let go of everything."""


def desk_for(config: Config, options: argparse.Namespace, *, is_writing: bool) -> Desk:
    """Return the way to what is stored. is_writing: it will be changed, so that the database must be nobody else's.

    Raises:
        StoreRefused: It cannot be opened.
    """
    url = server_url(config, options)
    if url is None:
        return WritingDesk(config) if is_writing else ReadingDesk(config)
    from llmflow_web.app.cli.server import ServerSource

    return ServerDesk(ServerSource(url, config.token))


def _offset_params(keep: int) -> JSON:
    return {"roots": "1", "limit": "2", "offset": str(keep - 1)}


def _starts(rows: list[JSON]) -> tuple[int | None, int | None]:
    starts = [int(row["timestamp"]) for row in rows]
    return (starts[0] if starts else None), (starts[1] if len(starts) > 1 else None)


class ServerDesk:
    """A running server's API."""

    def __init__(self, source: ServerSource) -> None:
        self._source = source

    def __repr__(self) -> str:
        return f"<ServerDesk {self._source!r}>"

    def storage(self, chosen: JSON, max_size: int | None = None) -> JSON:
        """Return what is stored."""
        params = {**chosen, "max_size": "" if max_size is None else str(max_size)}
        found: JSON = self._source.get("/api/storage", params).value
        return found

    def one_before(self, keep: int) -> tuple[int | None, int | None]:
        """Return the starts of the last to stay and the first to go."""
        return _starts(self._source.get("/api/traces", _offset_params(keep)).value)

    def delete(self, chosen: JSON) -> int:
        """Delete these traces."""
        return int(self._source.post("/api/traces/delete", {"filter": chosen})["deleted"])

    def is_erased(self) -> bool:
        """Say whether nothing of them is left."""
        return bool(self._source.get("/api/traces/delete").value["erased"])

    def reprice(self, text: str, after: int, limit: int, *, apply: bool) -> JSON:
        """Look at one stretch of calls."""
        asked = {"filter": {"filter": text}, "after": after, "limit": limit, "apply": apply}
        found: JSON = self._source.post("/api/reprice", asked)
        return found

    def close(self) -> None:
        """Hang up."""
        self._source.close()


class ReadingDesk:
    """The file itself, which is only looked at."""

    def __init__(self, config: Config) -> None:
        """Open it. Raises StoreRefused."""
        from llmflow_web.app.rows import search_text
        from llmflow_web.store.transfer import open_reader

        self._config = config
        self._connection = open_reader(config.database, search_text)
        self._bills = _Bills(config)

    def __repr__(self) -> str:
        return f"<ReadingDesk {self._config.database}>"

    def storage(self, chosen: JSON, max_size: int | None = None) -> JSON:
        """Return what is stored."""
        from llmflow_web.store.stock import stock

        return stock(self._connection, Filter.from_query(chosen), max_size)

    def one_before(self, keep: int) -> tuple[int | None, int | None]:
        """Return the starts of the last to stay and the first to go."""
        return _starts(_newest(self._connection, keep))

    def delete(self, chosen: JSON) -> int:
        """Delete nothing: this is for looking."""
        raise NotImplementedError(chosen)

    def is_erased(self) -> bool:
        """Say that nothing waits."""
        return True

    def reprice(self, text: str, after: int, limit: int, *, apply: bool) -> JSON:
        """Look at one stretch of calls."""
        assert not apply  # `desk_for` was told that nothing is written
        piece = self._bills.look(self._connection, text, after, limit)
        return {**piece.told(None), "prices": self._bills.prices_told()}

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def _newest(connection: Any, keep: int) -> list[JSON]:
    from llmflow_web.store.spans import list_spans
    from llmflow_web.wire.filter import Page

    params = _offset_params(keep)
    return list_spans(connection, Filter.from_query(params), Page.from_query(params)).rows


class WritingDesk:
    """The database itself, which nobody else writes to."""

    def __init__(self, config: Config) -> None:
        """Open it. Raises StoreRefused."""
        from llmflow_web.app.rows import search_text, store_limits
        from llmflow_web.store.database import Database
        from llmflow_web.store.transfer import open_reader

        open_reader(config.database, search_text).close()  # nothing is made where nothing is
        self._database = Database(
            config.database,
            to_rows=lambda _: [],
            on_commit=lambda _: None,
            texts=search_text,
            limits=store_limits(config),
        )
        self._database.open()
        self._database.start()
        self._bills = _Bills(config)

    def __repr__(self) -> str:
        return f"<WritingDesk {self._database!r}>"

    def storage(self, chosen: JSON, max_size: int | None = None) -> JSON:
        """Return what is stored."""
        from llmflow_web.store.stock import stock

        return self._database.read(stock, Filter.from_query(chosen), max_size, long=True).result()

    def one_before(self, keep: int) -> tuple[int | None, int | None]:
        """Return the starts of the last to stay and the first to go."""
        return _starts(self._database.read(_newest, keep, long=True).result())

    def delete(self, chosen: JSON) -> int:
        """Delete these traces."""
        return self._database.delete_traces(Filter.from_query(chosen)).result()

    def is_erased(self) -> bool:
        """Say whether nothing of them is left, and the file has given back what it can."""
        return self._database.is_erased and self._database.is_settled

    def reprice(self, text: str, after: int, limit: int, *, apply: bool) -> JSON:
        """Look at one stretch of calls, and with `apply` write their new bills."""
        from llmflow_web.routes.api_storage import apply_piece

        look = partial(self._bills.look, text=text, after=after, limit=limit)
        piece = self._database.read(look, long=True).result()
        changed = apply_piece(self._database, piece, int(time.time() * 1000)).result() if apply else None
        return {**piece.told(changed), "prices": self._bills.prices_told()}

    def close(self) -> None:
        """Write what is pending and let the database go."""
        self._database.close()


class _Bills:
    """The present prices, read when they are needed."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._known: tuple[Any, Any] | None = None

    def _both(self) -> tuple[Any, Any]:
        """Return the price book and the rows of all providers."""
        if self._known is None:
            from llmflow_web.app.rows import price_cache_of
            from llmflow_web.app.upstreams import upstreams_from
            from llmflow_web.record.pricing import PriceBook
            from llmflow_web.registry import PROVIDERS

            upstreams = upstreams_from(self._config, PROVIDERS, os.environ)
            providers = {name: upstream.provider for name, upstream in upstreams.items()}
            self._known = PriceBook(load=price_cache_of(self._config).load), providers
        return self._known

    def look(self, connection: Any, text: str, after: int, limit: int) -> Any:
        """Work out what changes for one stretch of calls."""
        from llmflow_web.routes.api_storage import look_at_piece

        book, providers = self._both()
        chosen = Filter.from_query({"filter": text})
        return look_at_piece(connection, chosen, after, limit, prices=lambda: book, providers=providers)

    def prices_told(self) -> JSON:
        """Return which prices are the present ones."""
        from llmflow_web.routes.api_storage import prices_told

        return prices_told(self._both()[0])


def wait_erased(desk: Desk) -> None:
    """Wait until nothing of what was deleted is left in the file."""
    while not desk.is_erased():
        time.sleep(POLL_S)
