"""Running the house: until a signal in the foreground, or in a thread of a program of one's own.

The first SIGINT or SIGTERM ends it gracefully: no new calls, running ones get `stop_grace`, the store is flushed.
The second ends the process at once; what was committed stays, the rest is lost.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from llmflow_web.app.build import House
from llmflow_web.app.settings import Config
from llmflow_web.console import Console
from llmflow_web.errors import LLMFlowError

if TYPE_CHECKING:
    from llmflow_web.record.cassette import Cassette

T = TypeVar("T")

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
START_TIMEOUT_S = 30.0
SWITCH_INTERVAL_S = 0.0005
_WANTED_FILES = (16_384, 10_240)  # two sockets a call; 10,240 is all macOS gives


def run_server(
    config: Config,
    console: Console,
    *,
    started: Callable[[House], None] | None = None,
) -> int:
    """Serve until a signal comes; return the exit code.

    started: called on the loop once all ports listen.
    """
    # The writer thread works in bursts; Python's default of 5 ms would let a burst hold up bytes that pass through.
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    _allow_files()
    try:
        return asyncio.run(_serve(config, console, started))
    except LLMFlowError as error:
        console.error(error.message)
        return 1
    finally:
        console.close()


def _allow_files() -> None:
    """Raise the limit of open files, where a shell's default (256 on macOS) is too low for a server."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in _WANTED_FILES:
        allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        if soft == resource.RLIM_INFINITY or soft >= allowed:
            return
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
            return


async def _serve(config: Config, console: Console, started: Callable[[House], None] | None) -> int:
    stopping = asyncio.Event()
    restore = _catch_signals(asyncio.get_running_loop(), stopping)
    try:
        for warning in config.warnings:
            console.warning(warning)
        house = House(config, console)
        await house.start()
        try:
            console.started(house.dashboard_url, house.proxy_url, house.otlp_url)
            gc.freeze()  # what is here stays: no collection has to walk it again while bytes pass through
            _describe(config, house, console)
            if started is not None:
                started(house)
            await stopping.wait()
            console.detail("stopping: running calls may finish")
        finally:
            await house.stop(config.stop_grace)
    finally:
        restore()
    return 0


def _catch_signals(loop: asyncio.AbstractEventLoop, stopping: asyncio.Event) -> Callable[[], None]:
    """Turn the first signal into `stopping` and the second into an end at once. Returns how to undo it."""

    def on_signal(number: int, _frame: FrameType | None) -> None:
        if stopping.is_set():
            os._exit(128 + number)
        # Plain handlers run between two bytecodes of the main thread; the loop is told the thread-safe way, which
        # also wakes it up on Windows, where loop.add_signal_handler does not exist.
        loop.call_soon_threadsafe(stopping.set)

    before = {number: signal.signal(number, on_signal) for number in _SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    return restore


def _describe(config: Config, house: House, console: Console) -> None:
    if not console.is_verbose:
        return
    console.detail(f"database: {config.database}")
    if config.file is not None:
        console.detail(f"settings file: {config.file}")
    for name, origin in config.origins.items():
        console.detail(f"{name} is set by {origin}")
    for upstream in config.upstreams.values():
        console.detail(f"upstream {upstream.name}: {upstream.url} (set by {upstream.origin})")
    console.detail(f"Python {sys.version.split()[0]}, process {os.getpid()}, providers: {', '.join(house.upstreams)}")


class Server:
    """A whole LLMFlow in a thread: for tests, notebooks and the demo."""

    def __init__(
        self,
        config: Config,
        console: Console,
        env: Mapping[str, str] | None = None,
        *,
        cassette: Cassette | None = None,
    ) -> None:
        """Prepare; nothing runs yet.

        env: where providers' keys and places are named, by default the process's. cassette: in place of the one set.
        """
        self._config = config
        self._cassette = cassette
        self._console = console
        self._env = env
        self._thread = threading.Thread(target=self._run, name="llmflow", daemon=True)
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._error: BaseException | None = None
        self._house: House | None = None

    def __repr__(self) -> str:
        state = "listening" if self._house is not None and self._thread.is_alive() else "stopped"
        return f"<Server {state}>"

    @property
    def house(self) -> House:
        """The running house."""
        if self._house is None:
            raise RuntimeError("the server has not been started")
        return self._house

    @property
    def proxy_url(self) -> str:
        """http://localhost:PORT of the proxy."""
        return self.house.proxy_url

    @property
    def dashboard_url(self) -> str:
        """http://localhost:PORT of the dashboard."""
        return self.house.dashboard_url

    def start(self) -> None:
        """Start and wait until both ports listen. Raises what kept it from starting."""
        self._thread.start()
        self._ready.wait(START_TIMEOUT_S)
        if self._error is not None:
            self._thread.join()
            raise self._error

    def stop(self) -> None:
        """Stop and wait for the end: running calls get `stop_grace`, the store is flushed."""
        if self._loop is not None and self._stopping is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        self._console.close()

    def ask(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine on our loop and wait for what it returns; from another thread."""
        if self._loop is None:
            raise RuntimeError("the server has not been started")
        return asyncio.run_coroutine_threadsafe(make(), self._loop).result()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits in start()
            self._error = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        house = House(self._config, self._console, self._env, cassette=self._cassette)
        await house.start()
        self._house = house
        self._ready.set()
        try:
            await self._stopping.wait()
        finally:
            await house.stop(self._config.stop_grace)
