"""Where the commands read from: the server that holds the data directory, or the file itself. Both give the same.

Paths and parameters are those of the API: the server answers them, and `FileSource` asks what its routes ask.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from llmflow_web.app.cli.options import Out, config_from, ending, out_for, read_args
from llmflow_web.app.settings import Config
from llmflow_web.errors import LLMFlowError, NotFound, StoreError
from llmflow_web.model import JSON

if TYPE_CHECKING:
    from llmflow_web.store.search import Connection

Params = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a question. `note`: a sentence about a list, not about its filter; `cursor`: where it goes on."""

    value: Any
    note: str = ""
    cursor: str | None = None
    change: int = 0


class Source(Protocol):
    """Answers what the API is asked."""

    @property
    def where(self) -> str:
        """Say what answers: a URL or a path."""

    def get(self, path: str, params: Params | None = None) -> Answer:
        """Return the answer to GET `path`. Raises LLMFlowError, NotFound among them."""

    def close(self) -> None:
        """Let go of everything."""


def source_for(config: Config, options: argparse.Namespace) -> Source:
    """Return the server a command is told of, else the one that holds the data directory, else the file.

    Raises:
        StoreRefused: There is nothing to read.
    """
    url = server_url(config, options)
    if url is None:
        return FileSource(config)
    from llmflow_web.app.cli.server import ServerSource

    return ServerSource(url, config.token)


def answer(
    parser: argparse.ArgumentParser,
    argv: Sequence[str],
    work: Callable[[Source, argparse.Namespace, Out], int],
) -> int:
    """Run a command that reads: its arguments, what it asks, where it writes; return its exit code."""
    options = read_args(parser, argv)
    config = config_from(options)
    source = source_for(config, options)
    try:
        return ending(lambda: work(source, options, out_for(config, options)))
    finally:
        source.close()


def server_url(config: Config, options: argparse.Namespace) -> str | None:
    """Return the address of the dashboard to ask; None when no server holds the data directory."""
    if options.url:
        from llmflow_web.app.cli.server import checked_url

        return checked_url(options.url)
    from llmflow_web.app.config import host_to_ask
    from llmflow_web.store.files import lock_holder

    holder = lock_holder(config.database.parent)
    ports = None if holder is None else holder.get("ports")
    if not isinstance(ports, list) or not ports:  # nobody is there, or has not come to listen yet
        return None
    return f"http://{host_to_ask(config.host)}:{int(ports[-1])}"  # the proxy's port, then the dashboard's


class FileSource:
    """The database file, opened to read."""

    def __init__(self, config: Config) -> None:
        """Open it. Raises StoreRefused."""
        from llmflow_web.store.transfer import open_reader

        self._path = config.database
        self._connection: Connection = open_reader(config.database, _search_text)

    def __repr__(self) -> str:
        return f"<FileSource {self._path}>"

    @property
    def where(self) -> str:
        """The path of the file."""
        return str(self._path)

    def get(self, path: str, params: Params | None = None) -> Answer:
        """Ask what the route at `path` asks, in one snapshot."""
        read, *keys = _reader_of(path)
        connection = self._connection
        try:
            connection.execute("BEGIN")
            try:
                answer: Answer = read(
                    connection, {name: value for name, value in (params or {}).items() if value}, *keys
                )
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        except Exception as error:
            from llmflow_web.store.files import is_database_error

            if isinstance(error, LLMFlowError) or not is_database_error(error):
                raise
            raise StoreError(f"The database cannot be read: {error}.") from error
        return answer

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def _search_text(provider: str | None, operation: str | None, bodies: dict[int, bytes]) -> str:
    from llmflow_web.record import messages

    return messages.search_text(provider, operation, bodies)


# ── what the routes ask ──────────────────────────────────────────────────────────────────────────────────────────────


def _reader_of(path: str) -> tuple[Any, ...]:
    """Return what answers a path, and the keys in it."""
    found = _READERS.get(path)
    if found is not None:
        return (found,)
    parts = path.split("/")  # "", "api", "traces", key[, "tree"]
    key = _unquoted(parts[3])
    if parts[2] == "prompts":
        return (_prompt, key)
    return (_tree, key) if parts[4:] == ["tree"] else (_detail, key)


def _unquoted(text: str) -> str:
    from urllib.parse import unquote

    return unquote(text)


def _list(connection: Any, params: Params) -> Answer:
    from llmflow_web.store.spans import list_spans
    from llmflow_web.wire.filter import Filter, Page

    chosen = Filter.from_query(params)
    found = list_spans(connection, chosen, Page.from_query(params))
    return Answer(found.rows, found.note or "", found.next_cursor, found.change)


def _detail(connection: Any, params: Params, key: str) -> Answer:
    from llmflow_web.routes.api_traces import read_detail

    return _found(read_detail(connection, key, params.get("trace_id")))


def _tree(connection: Any, params: Params, key: str) -> Answer:
    from llmflow_web.routes.api_traces import read_tree

    return _found(read_tree(connection, key, params.get("fields") != "summary"))


def _found(value: JSON | None) -> Answer:
    if value is None:
        raise NotFound("Trace not found")
    return Answer(value)


def _diff(connection: Any, params: Params) -> Answer:
    from llmflow_web.routes.api_diff import read_diff

    return Answer(read_diff(connection, params["a"], params["b"]))


def _prompts(connection: Any, params: Params) -> Answer:
    from llmflow_web.routes.api_prompts import read_prompts
    from llmflow_web.wire.filter import Filter

    chosen = Filter.from_query(params)
    return Answer(read_prompts(connection, chosen, params["sort"], int(params["limit"]), 0))


def _prompt(connection: Any, params: Params, key: str) -> Answer:
    from llmflow_web.routes.api_prompts import read_prompt
    from llmflow_web.wire.filter import Filter

    return Answer(read_prompt(connection, key, Filter.from_query(params)))


def _series(connection: Any, params: Params) -> Answer:
    return _analysed(connection, params, "series", params.get("by"))


def _top(connection: Any, params: Params) -> Answer:
    return _analysed(connection, params, "top", params["by"])


def _analysed(connection: Any, params: Params, question: str, by: str | None) -> Answer:
    import time

    from llmflow_web.routes.api_analytics import question_of
    from llmflow_web.store import analytics

    asked = question_of(params, by, int(params.get("limit", "8")), int(time.time() * 1000))
    return Answer(getattr(analytics, question)(connection, asked))


def _storage(connection: Any, params: Params) -> Answer:
    from llmflow_web.store.stock import stock
    from llmflow_web.wire.filter import Filter

    chosen = Filter.from_query(params)
    return Answer(stock(connection, chosen, int(params.get("max_size", "0")) or None))


_READERS: Mapping[str, Callable[..., Answer]] = {
    "/api/traces": _list,
    "/api/diff": _diff,
    "/api/prompts": _prompts,
    "/api/analytics/series": _series,
    "/api/analytics/top": _top,
    "/api/storage": _storage,
}


# ── keys ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

MAX_CANDIDATES = 6


def whole_key(source: Source, key: str) -> str:
    """Return the id that a person's beginning of one stands for: itself, where there is such an id.

    Raises:
        NotFound: There is none that begins so.
        LLMFlowError: There are several; the message names them.
    """
    if not key or set(key) & set('"*') or not key.isprintable():
        raise NotFound(f"There is no trace or span {key[:64]!r}.")
    for word in ("trace", "span"):
        if source.get("/api/traces", {"filter": f'{word}:"{key}"', "limit": "1"}).value:
            return key
    found = _beginning_with(source, key)
    if not found:
        raise NotFound(f"There is no trace or span {key[:64]!r}; `llmflow ls` lists what there is.")
    if len(found) > 1:
        shown = ", ".join(found[: MAX_CANDIDATES - 1])
        more = " and others" if len(found) >= MAX_CANDIDATES else ""
        raise LLMFlowError(f"{key!r} is the beginning of several ids: {shown}{more}.")
    return found[0]


def _beginning_with(source: Source, key: str) -> list[str]:
    """Return the ids that begin so, those of traces first."""
    found: dict[str, None] = {}
    for field, word in (("trace_id", "trace"), ("id", "span")):
        rows = source.get("/api/traces", {"filter": f'{word}:"{key}*"', "limit": "200"}).value
        for row in rows:
            is_meant = field == "id" and row["is_root"] and row["trace_id"] in found  # by its trace's id already
            if str(row[field]).startswith(key) and not is_meant:
                found[row[field]] = None
    return list(found)[:MAX_CANDIDATES]
