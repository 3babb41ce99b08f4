"""The connections to one origin: idle ones used again newest first, a ceiling, and a queue behind the ceiling.

The pool decides; connections and `connect` do the I/O. Idle connections are bounded by themselves: busy ones are not
counted against MAX_IDLE, and idle ones are closed oldest first.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from time import monotonic

from llmflow_web.errors import UpstreamClosed, UpstreamError
from llmflow_web.net.client_call import Call
from llmflow_web.net.connect import Route, connect
from llmflow_web.net.connection import Connection


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """The limits of the client; the defaults are the documented ones."""

    max_idle_per_origin: int = 128
    idle_timeout_s: float = 50.0  # below the 60 s after which providers' front ends close
    max_connections_per_origin: int = 1000  # beyond it requests queue, first come first served
    connect_timeout_s: float = 10.0  # name resolution, proxy and TLS included
    upstream_idle_timeout_s: float | None = None  # reasoning models are silent for minutes
    max_fetch_bytes: int = 8 * 1024 * 1024


class Pool:
    """All connections to one origin."""

    def __init__(self, route: Route, limits: ClientLimits) -> None:
        self.route = route
        self._limits = limits
        self._idle: deque[Connection] = deque()  # the one used last is right
        self._connections: set[Connection] = set()
        self._tasks: dict[Call, asyncio.Task[None]] = {}
        self._waiting: deque[Call] = deque()

    def __repr__(self) -> str:
        busy = len(self._connections) - len(self._idle)
        return (
            f"<Pool {self.route.origin} {len(self._idle)} idle, {busy} busy, {len(self._tasks)} connecting, "
            f"{len(self._waiting)} waiting>"
        )

    @property
    def is_empty(self) -> bool:
        """Say whether nothing is kept here and nothing is under way."""
        return not (self._connections or self._tasks or self._waiting)

    def start(self, call: Call) -> None:
        """Send `call` on the idle connection used last, else on a new one, else when its turn comes."""
        idle = self._idle
        if idle:
            now = monotonic()
            while idle:
                connection = idle.pop()
                if connection.is_fresh(now) and connection.begin(call):
                    return
                connection.close()
        self.start_fresh(call)

    def start_fresh(self, call: Call) -> None:
        """Send `call` on a connection that was never used (Owner)."""
        if len(self._connections) + len(self._tasks) >= self._limits.max_connections_per_origin:
            self._waiting.append(call)
            return
        task = asyncio.get_running_loop().create_task(self._open(call))
        self._tasks[call] = task
        task.add_done_callback(lambda _: self._opened(call))

    async def _open(self, call: Call) -> None:
        connection = Connection(self, self.route.origin)
        try:
            await connect(self.route, connection, self._limits.connect_timeout_s)
        except UpstreamError as error:
            call.fail(error)
            return
        self._connections.add(connection)
        if not connection.begin(call):
            call.fail(UpstreamClosed("the connection was closed as soon as it was made", is_retry_safe=True))

    def _opened(self, call: Call) -> None:
        self._tasks.pop(call, None)
        self._serve_waiting()

    def _serve_waiting(self) -> None:
        while self._waiting and len(self._connections) + len(self._tasks) < self._limits.max_connections_per_origin:
            self.start(self._waiting.popleft())

    # ── Owner ────────────────────────────────────────────────────────────────────────────────────────────────────

    def released(self, connection: Connection) -> None:
        """Give a free connection to who waits longest, or keep it."""
        now = monotonic()
        connection.idle(now, self._limits.idle_timeout_s)
        if self._waiting:
            call = self._waiting.popleft()
            if not connection.is_fresh(now) or not connection.begin(call):
                self._waiting.appendleft(call)  # its turn comes when the dead connection is off the list
                connection.close()
            return
        self._idle.append(connection)
        if len(self._idle) > self._limits.max_idle_per_origin:
            self._idle.popleft().close()

    def lost(self, connection: Connection) -> None:
        """Forget a closed connection and let the next call have its place."""
        self._connections.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._serve_waiting()

    def forget(self, call: Call) -> None:
        """Stop looking for a connection for `call`."""
        task = self._tasks.get(call)
        if task is not None:
            task.cancel()
        elif call in self._waiting:
            self._waiting.remove(call)

    # ── time and end ─────────────────────────────────────────────────────────────────────────────────────────────

    def sweep(self, now: float) -> None:
        """Close what rested too long and fail what is silent too long."""
        for connection in [connection for connection in self._idle if now >= connection.idle_until]:
            self._idle.remove(connection)
            connection.close()
        limit_s = self._limits.upstream_idle_timeout_s
        if limit_s is not None:
            for connection in list(self._connections):
                connection.check_timeout(now, limit_s)

    async def close(self) -> None:
        """Close every connection; calls under way fail."""
        waiting, self._waiting = self._waiting, deque()
        tasks = dict(self._tasks)
        calls = [*waiting, *tasks, *(c.call for c in self._connections if c.call is not None)]
        for task in tasks.values():
            task.cancel()
        for connection in list(self._connections):
            connection.close()
        for call in calls:
            call.fail(UpstreamClosed("LLMFlow is shutting down", is_retry_safe=call.connection is None))
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        while self._connections:  # noqa: ASYNC110 - connection_lost comes a turn or two of the loop after abort
            await asyncio.sleep(0)
