"""Where imported lines go: through the server that holds the data directory, else straight into the database."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from llmflow_web.app.config import host_to_ask
from llmflow_web.app.rows import make_row_maker, price_cache_of, search_text, store_limits
from llmflow_web.app.settings import Config
from llmflow_web.errors import LLMFlowError, StoreError
from llmflow_web.record.importing import KINDS, Tally, sift, take, wanted
from llmflow_web.record.intake import pieces_of
from llmflow_web.store.database import Database
from llmflow_web.store.files import lock_holder
from llmflow_web.store.transfer import known

if TYPE_CHECKING:
    from http.client import HTTPConnection

ANSWER_TIMEOUT_S = 120.0
MAX_ATTEMPTS = 30
MAX_PAUSE_S = 5.0


@dataclass(slots=True)
class Outcome:
    """What became of a batch of lines; errors with the index of their line."""

    tally: Tally
    errors: list[tuple[int, str]] = field(default_factory=list)


class Sink(Protocol):
    """Takes lines."""

    def store(self, lines: Sequence[bytes]) -> Outcome:
        """Store lines and return when they are on disk. Raises LLMFlowError."""

    def close(self) -> None:
        """Let go of everything."""


def sink_for(config: Config, env: Mapping[str, str]) -> Sink:
    """Return the way into the database a configuration names.

    Raises:
        StoreRefused: It cannot be opened.
        LLMFlowError: Another process holds it that cannot be asked.
    """
    holder = lock_holder(config.database.parent)
    if holder is None:
        return DatabaseSink(config, env)
    ports = holder.get("ports")
    if not isinstance(ports, list) or not ports:
        raise LLMFlowError(
            f"Process {holder.get('pid') or 'unknown'} uses {config.database.parent} and says no port to import by: "
            "try again when it has started, or ended."
        )
    return ServerSink(config, int(ports[-1]))  # the proxy's port, then the dashboard's


class DatabaseSink:
    """The database itself, which nobody else writes to."""

    def __init__(self, config: Config, env: Mapping[str, str]) -> None:
        """Open it. Raises StoreRefused."""
        from llmflow_web.app.upstreams import upstreams_from
        from llmflow_web.record.pricing import PriceBook
        from llmflow_web.registry import PROVIDERS

        prices = PriceBook(load=price_cache_of(config).load)
        self._database = Database(
            config.database,
            to_rows=make_row_maker(config, upstreams_from(config, PROVIDERS, env), prices),
            on_commit=lambda _: None,
            texts=search_text,
            limits=store_limits(config),
        )
        self._database.open()
        self._database.start()

    def __repr__(self) -> str:
        return f"<DatabaseSink {self._database!r}>"

    def store(self, lines: Sequence[bytes]) -> Outcome:
        """Store lines and return when they are on disk."""
        now_ns = time.time_ns()
        takens = [take(line, now_ns=now_ns) for line in lines]
        found = self._database.read(known, wanted(takens), long=True).result()
        fresh, tally = sift(takens, found)
        for piece in pieces_of(fresh):
            if self._database.error is not None:
                raise StoreError(self._database.error)
            self._database.put(piece.items, piece.weight)
            self._database.call(lambda _: None).result()
        return Outcome(tally, [(index, error) for index, taken in enumerate(takens) for error in taken.errors])

    def close(self) -> None:
        """Write what is pending and let the database go."""
        self._database.close()


class ServerSink:
    """The server that holds the data directory."""

    def __init__(self, config: Config, port: int) -> None:
        """Send to its dashboard's port."""
        self._host = host_to_ask(config.host)
        self._port = port
        self._headers = {"content-type": "application/x-ndjson"}
        if config.token:
            self._headers["x-llmflow-token"] = config.token
        self._connection: HTTPConnection | None = None

    def __repr__(self) -> str:
        return f"<ServerSink {self._host}:{self._port}>"

    def store(self, lines: Sequence[bytes]) -> Outcome:
        """Send lines and return when the server has them on disk."""
        status, data = self._send(b"\n".join(lines))
        if status == 413:
            refused = "is longer than the server takes; stop it and import again"
            return Outcome(Tally(refused=len(lines)), [(index, refused) for index in range(len(lines))])
        if status != 200:
            raise LLMFlowError(f"The server on port {self._port} answered {status}: {_sentence(data)}")
        answer = json.loads(data)
        tally = Tally(
            {kind: int(answer["new"][kind]) for kind in KINDS},
            {kind: int(answer["known"][kind]) for kind in KINDS},
            int(answer["refused"]),
        )
        return Outcome(tally, [(int(one["line"]) - 1, str(one["error"])) for one in answer["errors"]])

    def close(self) -> None:
        """Hang up."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _send(self, body: bytes) -> tuple[int, bytes]:
        """Send a body, again after a pause where the server asks for one: what it has already it knows."""
        for _ in range(MAX_ATTEMPTS):
            answer = self._post(body)
            if answer.status != 503:
                break
            time.sleep(answer.pause_s)
        return answer.status, answer.data

    def _post(self, body: bytes) -> _Answer:
        from http.client import HTTPConnection, HTTPException

        is_used = self._connection is not None
        try:
            if self._connection is None:
                self._connection = HTTPConnection(self._host, self._port, timeout=ANSWER_TIMEOUT_S)
            self._connection.request("POST", "/api/import", body, self._headers)
            answer = self._connection.getresponse()
            return _Answer(answer.status, _pause_s(answer.headers.get("retry-after")), answer.read())
        except (OSError, HTTPException) as error:
            self.close()
            if is_used:  # it may have been closed while we were reading the file
                return self._post(body)
            raise LLMFlowError(
                f"The server that holds the data directory cannot be reached at {self._host}:{self._port}: {error}"
            ) from error


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    pause_s: float
    data: bytes


def _pause_s(told: str | None) -> float:
    return min(float(told), MAX_PAUSE_S) if told and told.isascii() and told.isdecimal() else 1.0


def _sentence(data: bytes) -> str:
    try:
        return str(json.loads(data)["error"])[:500]
    except (ValueError, KeyError, TypeError):
        return data[:200].decode("utf-8", "replace")
