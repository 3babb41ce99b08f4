"""Making a connection to an origin: names and addresses, a forward proxy's tunnel, TLS. Errors become short reasons.

Nothing of a request has left when any of this fails, so every error here is safe to retry.
"""

from __future__ import annotations

import asyncio
import errno
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from socket import gaierror
from urllib.parse import urlsplit

from llmflow_web.errors import UpstreamError, UpstreamProtocol, UpstreamUnreachable
from llmflow_web.net.connection import Connection
from llmflow_web.net.proxies import Proxies, Proxy
from llmflow_web.net.response_head import HeadReader
from llmflow_web.wire.head import ResponseHead

HAPPY_EYEBALLS_DELAY_S = 0.25
"""RFC 8305 §5: how long one address family is tried before the other is tried beside it."""

_PORTS = {"http": 80, "https": 443}
_CLAUSES = (
    (errno.ECONNREFUSED, "{} refused the connection"),
    (errno.EHOSTUNREACH, "there is no route to {}"),
    (errno.ENETUNREACH, "there is no route to {}"),
    (errno.EMFILE, "too many files are open here to reach {}"),
)


@dataclass(frozen=True, slots=True)
class Route:
    """How an origin is reached."""

    origin: str
    scheme: str
    host: str  # without brackets
    port: int
    proxy: Proxy | None
    tls: Callable[[], ssl.SSLContext]

    @property
    def is_forwarded(self) -> bool:
        """Say whether requests go to a proxy that forwards them itself (http), not through a tunnel (https)."""
        return self.proxy is not None and self.scheme == "http"

    def outgoing(self, head: bytes) -> bytes:
        """Return a request's head as it must leave: for a forwarding proxy in absolute form, with its credentials."""
        if not self.is_forwarded:
            return head
        line, end, rest = head.partition(b"\r\n")
        method, target, version = line.split(b" ")
        path = b"" if target == b"*" else target  # RFC 9112 §3.2.4: OPTIONS of the server as a whole
        line = b" ".join((method, _ascii(self.origin) + path, version))
        if self.proxy is not None and self.proxy.authorization is not None:
            line += b"\r\nProxy-Authorization: " + self.proxy.authorization
        return line + end + rest


def route_to(origin: str, proxies: Proxies, tls: Callable[[], ssl.SSLContext]) -> Route:
    """Work out the way to `origin`. Raises UpstreamUnreachable when the environment's proxy settings are wrong."""
    try:
        parts = urlsplit(origin)
        host = parts.hostname or ""
        port = parts.port or _PORTS[parts.scheme]
    except (ValueError, KeyError) as error:
        raise _unreachable(f"{origin} is no origin of the form http://host:port") from error
    return Route(origin, parts.scheme, host, port, proxies.find(parts.scheme, host, port), tls)


async def connect(route: Route, connection: Connection, timeout_s: float) -> None:
    """Connect `connection` within `timeout_s`, so that its next bytes are HTTP's. Raises UpstreamError."""
    first = route.proxy or route
    place = f"{first.host}:{first.port}" if route.proxy is None else f"the proxy {first.host}:{first.port}"
    try:
        async with asyncio.timeout(timeout_s):
            await _connect(route, connection)
    except UpstreamError:
        raise
    except TimeoutError as error:
        raise _unreachable(f"{place} did not answer within {timeout_s:g} s") from error
    except (OSError, ValueError, OverflowError) as error:
        raise _unreachable(_reason(error, place, route)) from error


async def _connect(route: Route, connection: Connection) -> None:
    if route.proxy is None:
        tls = route.tls() if route.scheme == "https" else None
        await _dial(lambda: connection, route.host, route.port, tls)
        return
    proxy = route.proxy
    outer = route.tls() if proxy.scheme == "https" else None
    if route.is_forwarded:
        await _dial(lambda: connection, proxy.host, proxy.port, outer)
        return
    tunnel = _Tunnel(asyncio.get_running_loop())
    transport = await _dial(lambda: tunnel, proxy.host, proxy.port, outer)
    try:
        await tunnel.ask(transport, route, proxy)
        loop = asyncio.get_running_loop()
        secure = await loop.start_tls(transport, connection, route.tls(), server_hostname=route.host)
    except BaseException:
        transport.abort()
        raise
    assert secure is not None  # None only for a transport that is closing, and that raises before
    connection.connection_made(secure)


async def _dial(
    factory: Callable[[], asyncio.Protocol], host: str, port: int, tls: ssl.SSLContext | None
) -> asyncio.Transport:
    is_name = not (host.replace(".", "").isdigit() or ":" in host)
    transport, _ = await asyncio.get_running_loop().create_connection(
        factory,
        host,
        port,
        ssl=tls,
        server_hostname=host if tls is not None else None,
        happy_eyeballs_delay=HAPPY_EYEBALLS_DELAY_S if is_name else None,
    )
    return transport


class _Tunnel(asyncio.Protocol):
    """Asks a proxy for a tunnel and hears its answer."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._answer: asyncio.Future[tuple[ResponseHead, bytes]] = loop.create_future()
        self._reader = HeadReader("CONNECT")

    async def ask(self, transport: asyncio.Transport, route: Route, proxy: Proxy) -> None:
        """Open the tunnel. Raises UpstreamUnreachable when the proxy does not."""
        host = f"[{route.host}]" if ":" in route.host else route.host
        place = _ascii(f"{host}:{route.port}")
        lines = [b"CONNECT " + place + b" HTTP/1.1", b"Host: " + place]
        if proxy.authorization is not None:
            lines.append(b"Proxy-Authorization: " + proxy.authorization)
        transport.write(b"\r\n".join(lines) + b"\r\n\r\n")
        try:
            head, rest = await self._answer
        except UpstreamProtocol as error:
            raise _unreachable(f"the proxy {proxy} did not answer with HTTP") from error
        if not 200 <= head.status < 300:
            raise _unreachable(f"the proxy {proxy} refused the tunnel with status {head.status}")
        if rest:
            raise _unreachable(f"the proxy {proxy} sent bytes of its own into the tunnel")

    def data_received(self, data: bytes) -> None:
        """Take bytes of the proxy's answer (asyncio)."""
        if self._answer.done():
            return
        try:
            found = self._reader.feed(data)
        except UpstreamProtocol as error:
            self._answer.set_exception(error)
            return
        if found is not None:
            self._answer.set_result(found)

    def connection_lost(self, exc: Exception | None) -> None:
        """The proxy closed (asyncio)."""
        if not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError("the proxy closed the connection"))


def _ascii(name: str) -> bytes:
    """Return a host name, perhaps with what stands around it, as it goes on the wire."""
    return name.encode("ascii" if name.isascii() else "idna")


def _unreachable(reason: str) -> UpstreamUnreachable:
    return UpstreamUnreachable(reason, is_retry_safe=True)


def _reason(error: Exception, place: str, route: Route) -> str:
    """Put a connect error into one short clause."""
    if isinstance(error, gaierror | UnicodeError):
        return f"the name of {place} could not be resolved"
    if isinstance(error, ssl.SSLError):
        return _tls_reason(error, route)
    for number, clause in _CLAUSES:
        # Where several addresses failed, asyncio joins their texts into one error without a number.
        if getattr(error, "errno", None) == number or f"[Errno {number}]" in str(error):
            return clause.format(place)
    if isinstance(error, ConnectionError):
        return f"{place} closed the connection while it was being made"
    return f"{place} could not be reached ({type(error).__name__})"


def _tls_reason(error: ssl.SSLError, route: Route) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate of {route.host} could not be verified: {error.verify_message}"
    return f"TLS with {route.host} failed: {(error.reason or 'unknown reason').lower().replace('_', ' ')}"
