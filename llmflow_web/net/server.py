"""The HTTP server: listening on both loopback addresses, the connections it has, their limits, and stopping.

server = HttpServer(handler, limits=ServerLimits(), name="proxy")
await server.start(("127.0.0.1", "::1"), 0)
… server.port …
await server.stop(grace_s=5.0)
"""

from __future__ import annotations

import asyncio
import errno
import socket
import time
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from llmflow_web.net.http import Handler, ServerCall
from llmflow_web.net.server_connection import Connection

LOOPBACK_HOSTS = ("127.0.0.1", "::1")

_BACKLOG = 1024
_ACCEPT_TURNS = 3  # of the loop from accepting a socket to its connection_made
_LOOK_S = 0.02  # between two looks at upgraded connections while stopping
_PORT_TRIES = 20  # how often port 0 may give a port whose twin on the other address is taken
_ABSENT = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT}
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

OnError = Callable[[ServerCall, BaseException], None]


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """What a client may ask of a server."""

    max_head_bytes: int = 64 * 1024
    max_pipelined_bytes: int = 64 * 1024  # read ahead while an answer runs
    max_unread_bytes: int = 64 * 1024  # of a body that nobody reads yet
    max_drain_bytes: int = 256 * 1024  # of a body discarded to keep the connection
    write_high_water_bytes: int = 64 * 1024
    max_connections: int = 4096
    head_timeout_s: float = 20.0  # from a head's first byte to its last
    body_idle_timeout_s: float = 120.0  # without a byte of a body that is being read
    keep_alive_timeout_s: float = 75.0  # without a request; longer than clients keep idle connections
    linger_timeout_s: float = 2.0  # for the client to read a last answer and close
    write_stall_timeout_s: float = 600.0  # without the client taking a byte of what waits for it
    sweep_interval_s: float = 1.0  # all timeouts are late by up to this


class HttpServer:
    """Serves one handler on one port."""

    def __init__(
        self,
        handler: Handler,
        *,
        limits: ServerLimits | None = None,
        name: str = "http",
        fast_lane: bool = True,
        on_error: OnError | None = None,
    ) -> None:
        """Prepare a server; `start` opens it.

        fast_lane: read plain heads without h11 (False only to prove that it changes nothing).
        on_error: told of exceptions that routes let out; asyncio's exception handler is, if None.
        """
        self.handler = handler
        self.limits = limits or ServerLimits()
        self.name = name
        self.fast_lane = fast_lane
        self.connections: set[Connection] = set()
        self.date_line = b""
        self.is_stopping = False
        self.ports: list[int] = []
        self._on_error = on_error
        self._loop: asyncio.AbstractEventLoop
        self._listeners: list[asyncio.Server] = []
        self._upgraded: weakref.WeakSet[asyncio.Transport] = weakref.WeakSet()
        self._sweeper: asyncio.TimerHandle | None = None
        self._emptied: asyncio.Event

    def __repr__(self) -> str:
        state = "stopping" if self.is_stopping else "listening" if self._listeners else "not started"
        return f"<HttpServer {self.name}, {state}, ports: {self.ports}, connections: {len(self.connections)}>"

    @property
    def port(self) -> int:
        """The port listened on; the same on every address."""
        return self.ports[0]

    # --- start and stop ---

    async def start(self, hosts: str | Sequence[str] = LOOPBACK_HOSTS, port: int = 0) -> None:
        """Listen on `port` of every host; port 0 finds one that is free on all of them.

        A host whose address family is missing here is passed over. Raises OSError (EADDRINUSE when taken).
        """
        self._loop = asyncio.get_running_loop()
        self._emptied = asyncio.Event()
        named = (hosts,) if isinstance(hosts, str) else tuple(hosts)
        sockets = _bind_all(LOOPBACK_HOSTS if named == ("localhost",) else named, port)
        self.ports = sorted({sock.getsockname()[1] for sock in sockets})
        for sock in sockets:
            self._listeners.append(
                await self._loop.create_server(lambda: Connection(self), sock=sock, backlog=_BACKLOG)
            )

    async def stop(self, grace_s: float = 0.0) -> None:
        """Stop listening, close idle connections, give running answers `grace_s` to finish, then break them off."""
        self.is_stopping = True
        now = asyncio.get_running_loop().time  # a server that could not start is stopped too
        end = now() + grace_s
        await self._stop_accepting()
        for connection in list(self.connections):
            connection.close_if_idle()
        await self._wait_until_empty(grace_s)
        while now() < end and any(not transport.is_closing() for transport in self._upgraded):  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_S)  # nobody tells when those who speak another protocol are gone
        for connection in list(self.connections):
            connection.abort("LLMFlow was stopped before the answer was complete")
        for transport in list(self._upgraded):
            transport.abort()
        await self._wait_until_empty(1.0)
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None

    async def _stop_accepting(self) -> None:
        """Close the listeners. What they have accepted in this turn must be a connection before they go: asyncio
        (3.11) drops the socket of a server that is closed in between, without closing it.
        """
        for listener in self._listeners:
            for sock in listener.sockets:
                with suppress(NotImplementedError):  # Windows' proactor knows no readers
                    self._loop.remove_reader(sock.fileno())
        for _ in range(_ACCEPT_TURNS):
            await asyncio.sleep(0)
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()

    async def _wait_until_empty(self, timeout_s: float) -> None:
        if self.connections:
            self._emptied.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._emptied.wait(), timeout_s)
        await asyncio.sleep(0)  # transports close their sockets one turn after they say so

    # --- what connections ask of their server ---

    def admit(self, connection: Connection) -> bool:
        """Take a new connection in; False when there are too many."""
        self.connections.add(connection)
        if self._sweeper is None:
            self._sweep()
        return len(self.connections) <= self.limits.max_connections

    def forget(self, connection: Connection) -> None:
        """A connection is gone."""
        self.connections.discard(connection)
        if not self.connections:
            self._emptied.set()

    def give_up(self, connection: Connection, transport: asyncio.Transport) -> None:
        """A connection speaks another protocol from here on; it is only remembered to be closed at the end."""
        self.forget(connection)
        self._upgraded.add(transport)

    def now(self) -> float:
        """Return the loop's time."""
        return self._loop.time()

    def soon(self, function: Callable[[], None]) -> None:
        """Call `function` in the loop's next turn."""
        self._loop.call_soon(function)

    def report(self, call: ServerCall, error: BaseException) -> None:
        """Tell whoever listens that a route has let an exception out."""
        if self._on_error is not None:
            self._on_error(call, error)
            return
        self._loop.call_exception_handler({"message": f"{self.name}: {call!r} failed", "exception": error})

    def _sweep(self) -> None:
        """Once a second while there are connections: renew the Date line, look for clients that keep us waiting."""
        self._sweeper = None
        if not self.connections:
            return
        self.date_line = b"date: %b\r\n" % http_date(time.time()).encode()
        now = self._loop.time()
        for connection in list(self.connections):
            connection.sweep(now)
        self._sweeper = self._loop.call_later(self.limits.sweep_interval_s, self._sweep)


def http_date(seconds: float) -> str:
    """Return a time as HTTP writes it (RFC 9110 §5.6.7), whatever the locale."""
    at = time.gmtime(seconds)
    clock = f"{at.tm_hour:02d}:{at.tm_min:02d}:{at.tm_sec:02d}"
    return f"{_DAYS[at.tm_wday]}, {at.tm_mday:02d} {_MONTHS[at.tm_mon - 1]} {at.tm_year} {clock} GMT"


def _bind_all(hosts: Sequence[str], port: int) -> list[socket.socket]:
    for attempt in range(_PORT_TRIES):
        try:
            return _bind_same_port(hosts, port)
        except OSError as error:
            if port or error.errno != errno.EADDRINUSE or attempt == _PORT_TRIES - 1:
                raise
    raise AssertionError  # the last attempt returns or raises


def _bind_same_port(hosts: Sequence[str], port: int) -> list[socket.socket]:
    """Bind every host to one port: the given one, or with 0 the one the first host gets."""
    sockets: list[socket.socket] = []
    absent: OSError | None = None
    try:
        for host in hosts:
            try:
                sock = _bind(host, port)
            except OSError as error:
                if error.errno not in _ABSENT:
                    raise
                absent = error
                continue
            sockets.append(sock)
            port = sock.getsockname()[1]
    except OSError:
        for sock in sockets:
            sock.close()
        raise
    if not sockets and absent is not None:
        raise absent
    return sockets


def _bind(host: str, port: int) -> socket.socket:
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    # asyncio sets TCP_NODELAY only on connections of a socket that was made with its protocol named.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # A port in TIME_WAIT is free; on Windows the option would mean stealing a taken one.
        if hasattr(socket, "SO_REUSEPORT"):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setblocking(False)
        sock.bind(address)
        sock.listen(_BACKLOG)  # here, so that a port somebody else has just bound is found out now
    except OSError:
        sock.close()
        raise
    return sock
