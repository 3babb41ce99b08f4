"""A whole LLMFlow inside a program: `with llmflow.serve() as flow:`, for tests, notebooks and scripts.

It runs in a thread with a loop of its own and touches nothing of its host: no signals, no home folder, no settings of
the environment, no network but the calls that go through it.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any, Self

from llmflow_web.app import config as configuration
from llmflow_web.app.serve import Server
from llmflow_web.app.settings import BY_NAME, Config
from llmflow_web.console import Console
from llmflow_web.model import JSON
from llmflow_web.routes.api_traces import read_detail
from llmflow_web.store.spans import list_spans
from llmflow_web.store.stats import totals
from llmflow_web.wire.filter import MAX_LIMIT, Filter, Page

if TYPE_CHECKING:
    from llmflow_web.record.cassette import Cassette

CALLS_PATIENCE_S = 10.0
"""So long calls under way are waited for by default."""

_POLL_S = 0.01
_CALL_SOURCES = frozenset({"proxy", "passthrough"})


def serve(
    *,
    proxy_port: int = 0,
    dashboard_port: int = 0,
    data_dir: str | PathLike[str] | None = None,
    upstreams: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    **settings: object,
) -> Flow:
    """Make a whole LLMFlow to be started by `with` or `start()`.

    Ports are free ones unless named. data_dir: where the data stay; without it they go when it stops. upstreams: URLs
    by name, in place of the providers' own. env: where the providers' keys are, by default this process's environment.
    settings: any of docs/configuration.md, by name. Prices are not fetched unless price_refresh=True.

    Raises:
        TypeError: There is no such setting.
        llmflow_web.errors.ConfigError: A setting has a value it cannot have.
    """
    ports = {"proxy_port": proxy_port, "dashboard_port": dashboard_port}
    return make_flow(settings | ports, data_dir=data_dir, upstreams=upstreams, env=env)


def make_flow(
    settings: Mapping[str, object],
    *,
    data_dir: str | PathLike[str] | None = None,
    upstreams: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    open_deck: Callable[[Config], Cassette] | None = None,
) -> Flow:
    """Do what `serve` does. open_deck: opens a cassette in place of the one that is set."""
    usual = {"proxy_port": 0, "dashboard_port": 0, "price_refresh": False, "quiet": True, "stop_grace": 1.0}
    flags = _flags({**usual, **settings})
    flags["upstream"] = [f"{name}={url}" for name, url in (upstreams or {}).items()]
    with contextlib.ExitStack() as stack:
        if data_dir is None:
            folder = tempfile.TemporaryDirectory(prefix="llmflow-", ignore_cleanup_errors=True)
            data_dir = stack.enter_context(folder)
        flags["data_dir"] = [fspath(data_dir)]
        config = configuration.load(flags, {})
        return Flow(config, env, stack.pop_all(), cassette=None if open_deck is None else open_deck(config))


def _flags(settings: Mapping[str, object]) -> dict[str, Sequence[str]]:
    """Write values as a command line has them, where they are checked; None leaves the default."""
    flags: dict[str, Sequence[str]] = {}
    for name, value in settings.items():
        if name not in BY_NAME:
            near = get_close_matches(name, BY_NAME, 1)
            raise TypeError(f"serve() has no setting {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
        if value is None:
            continue
        if isinstance(value, bool):
            flags[name] = ["on" if value else "off"]
        elif isinstance(value, (list, tuple)):
            flags[name] = [str(one) for one in value]
        else:
            flags[name] = [str(value)]
    return flags


class Flow:
    """A running LLMFlow: where it listens, and what went through it."""

    def __init__(
        self,
        config: Config,
        env: Mapping[str, str] | None,
        closing: contextlib.ExitStack,
        *,
        cassette: Cassette | None = None,
    ) -> None:
        """Use `serve()`."""
        self._config = config
        self._closing = closing
        self._server = Server(config, Console(sys.stderr, is_quiet=config.quiet), env, cassette=cassette)
        self._is_running = False

    def __repr__(self) -> str:
        return f"<Flow {self.dashboard_url}>" if self._is_running else "<Flow, not running>"

    def start(self) -> Self:
        """Start, and return when both ports listen. Raises what keeps it from starting."""
        try:
            self._server.start()
        except BaseException:
            self._closing.close()
            raise
        self._is_running = True
        return self

    def stop(self) -> None:
        """Stop: running calls get a second (`stop_grace`), what was acknowledged is stored."""
        try:
            if self._is_running:
                self._is_running = False
                self._server.stop()
        finally:
            self._closing.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    # ── where it is ──────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def proxy_url(self) -> str:
        """http://localhost:PORT of the proxy."""
        return self._server.proxy_url

    @property
    def dashboard_url(self) -> str:
        """http://localhost:PORT of the dashboard; what `configure(url=…)` and OTLP exporters take."""
        return self._server.dashboard_url

    @property
    def openai_base_url(self) -> str:
        """What `OpenAI(base_url=…)` takes."""
        return self.base_url("openai")

    @property
    def anthropic_base_url(self) -> str:
        """What `Anthropic(base_url=…)` takes."""
        return self.proxy_url + "/anthropic"

    @property
    def gemini_base_url(self) -> str:
        """What `genai.Client(http_options={"base_url": …})` takes."""
        return self.proxy_url + "/gemini"

    def base_url(self, name: str) -> str:
        """Return the base URL that an OpenAI client takes for the provider or upstream `name`."""
        return self.proxy_url + ("/v1" if name == "openai" else f"/{name}/v1")

    # ── what went through it ─────────────────────────────────────────────────────────────────────────────────────

    def calls(self, *, wait_s: float = CALLS_PATIENCE_S) -> list[JSON]:
        """Return all finished calls, oldest first: elements of GET /api/traces.

        Whatever was answered in full is among them. Calls that run now are waited for, at most `wait_s`.
        """
        return [row for row in self.spans(wait_s=wait_s) if row["source"] in _CALL_SOURCES]

    def spans(self, *, wait_s: float = CALLS_PATIENCE_S) -> list[JSON]:
        """Return the finished calls and all spans that were sent to us, oldest first."""
        self._settle(wait_s)
        rows: list[JSON] = []
        page = Page(limit=MAX_LIMIT, sort="time")
        while True:
            found = self._read(list_spans, Filter(), page)
            rows += found.rows
            if found.next_cursor is None:
                return rows
            page = Page(limit=MAX_LIMIT, sort="time", cursor=found.next_cursor)

    def call(self, key: str) -> JSON:
        """Return one call in full, by its id or its trace's: what GET /api/traces/{id} answers."""
        self._settle(CALLS_PATIENCE_S)
        found: JSON | None = self._read(read_detail, key)
        if found is None:
            raise KeyError(key)
        return found

    def cost(self, *, wait_s: float = CALLS_PATIENCE_S) -> float:
        """Return what it all cost in USD, as far as prices are known."""
        return float(self._totals(wait_s)["total_cost"] or 0.0)

    def tokens(self, *, wait_s: float = CALLS_PATIENCE_S) -> int:
        """Return how many tokens it all took."""
        return int(self._totals(wait_s)["total_tokens"] or 0)

    def _totals(self, wait_s: float) -> JSON:
        self._settle(wait_s)
        found: JSON = self._read(totals)
        return found

    def _settle(self, wait_s: float) -> None:
        """Wait until calls under way have ended, then until all that has ended is stored."""
        if not self._is_running:
            raise RuntimeError("this LLMFlow does not run: ask it inside the with block")
        self._server.ask(lambda: self._quiet(wait_s))
        self._server.house.database.call(_nothing).result()

    async def _quiet(self, wait_s: float) -> None:
        running = self._server.house.dispatcher.running
        asked_for = set(running)
        end = time.monotonic() + wait_s
        while not asked_for.isdisjoint(running) and time.monotonic() < end:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(_POLL_S)

    def _read(self, fn: Any, *args: Any) -> Any:
        return self._server.house.database.read(fn, *args, budget_s=None).result()


def _nothing(_connection: object) -> None:
    """Do nothing; its turn comes when all before it is stored."""
