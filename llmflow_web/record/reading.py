"""Asking the store from the loop: a question per call, dropped when the client goes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

from llmflow_web.wire.filter import Filter

T = TypeVar("T")


class Store(Protocol):
    """What of store.database.Database is asked."""

    def read(self, fn: Callable[..., T], *args: Any, long: bool = False) -> Future[T]:
        """Run `fn(connection, *args)` on a reader thread."""


class WriteStore(Store, Protocol):
    """What of it is written through."""

    def call(self, fn: Callable[..., T]) -> Future[T]:
        """Run `fn(connection)` on the writer thread, in its own transaction."""


class DeletingStore(WriteStore, Protocol):
    """What of it deletes."""

    @property
    def is_erased(self) -> bool:
        """Say whether the text of all that was deleted is gone from the file."""

    def delete_traces(self, which: Filter | Sequence[str]) -> Future[int]:
        """Delete the traces of these ids, or those of which a filter lets a span through; gives the spans gone."""


class Asking(Protocol):
    """What of a call is used: net.http.ServerCall."""

    on_disconnect: Callable[[], None] | None


async def ask(store: Store, call: Asking, fn: Callable[..., T], *args: Any, long: bool = False) -> T:
    """Return what `fn(connection, *args)` returns; when the client goes meanwhile, the query is stopped.

    Raises:
        StoreError: The database cannot be read just now, or the query took too long.
    """
    future = store.read(fn, *args, long=long)

    def stop() -> None:
        future.cancel()

    call.on_disconnect = stop
    try:
        return await asyncio.wrap_future(future)
    finally:
        call.on_disconnect = None
