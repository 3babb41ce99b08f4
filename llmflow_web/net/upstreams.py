"""Where calls go: each provider row, or upstream the user named, resolved to an origin, paths and a key.

Built once at start from the PROVIDERS table and the configuration; a lookup per request is one dict access.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from llmflow_web.errors import ConfigError
from llmflow_web.provider import Provider

RESERVED_NAMES = frozenset({"v1", "health", "providers", "passthrough", "t"})
_DEFAULT_PORTS = {"http": 80, "https": 443}
_LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0", "::"})  # noqa: S104 - compared, never bound


@dataclass(frozen=True, slots=True)
class Upstream:
    """One place to send calls to."""

    provider: Provider
    name: str
    origin: str  # scheme://host[:port], lower case, default port left out
    host: bytes  # the Host header
    prefix: str  # path before the version segment: "" or "/openai"
    version: str  # what our /v1 stands for
    native_prefix: str  # put before a passthrough path: "" unless the user's URL has a path
    key: str | None = None  # from the environment or the configuration
    inject_usage: bool = False
    is_free: bool = False  # cost 0: loopback, or the user said so
    is_loop: bool = False  # points at our own port: every call is refused
    credentials: frozenset[bytes] = frozenset()  # request headers that carry the client's own key
    options: Mapping[str, str] = field(default_factory=dict)  # becomes Target.options

    def proxy_path(self, path: str) -> str:
        """Return the upstream path for `path`, the client's path without our provider prefix."""
        if self.prefix and path.startswith(f"{self.prefix}{self.version}/"):
            return path  # a client of the provider's own writes all of it, as Groq's does
        if path == "/v1" or path.startswith("/v1/"):
            return self.prefix + self.version + path[3:] or "/"
        return self.prefix + path

    @property
    def url(self) -> str:
        """The whole base URL, for rows that build their paths themselves."""
        return self.origin + self.prefix + self.version

    def native_path(self, path: str) -> str:
        """Return the upstream path for a passthrough `path`."""
        return self.native_prefix + path


def upstream_from_provider(provider: Provider, *, key: str | None) -> Upstream:
    """Resolve a PROVIDERS row at its own address."""
    origin, host, path = split_url(provider.root)
    return Upstream(
        provider=provider,
        name=provider.name,
        origin=origin,
        host=host,
        prefix=path,
        version=provider.version,
        native_prefix="",
        # An environment key goes only to the provider's own https host, never over plain http.
        key=key if origin.startswith("https:") else None,
        inject_usage=provider.inject_usage,
        is_free=provider.is_local and is_loopback_origin(origin),
        credentials=_credentials(provider),
    )


def upstream_at(
    upstream: Upstream,
    url: str,
    *,
    key: str | None = None,
    is_free: bool = False,
    inject_usage: bool | None = None,
) -> Upstream:
    """Move `upstream` to `url`, which may end in the version segment. An environment key does not move along.

    Raises ConfigError when `url` is not http(s)://host[:port][/path].
    """
    origin, host, path = split_url(url)
    version = upstream.version
    # A paid provider behind a gateway on this machine keeps its prices; a local model server costs nothing.
    is_local = upstream.provider.is_local and is_loopback_origin(origin)
    if version and path.endswith(version):
        path = path.removesuffix(version)
    elif path.endswith("/v1"):
        path, version = path.removesuffix("/v1"), "/v1"
    return replace(
        upstream,
        origin=origin,
        host=host,
        prefix=path,
        version=version,
        native_prefix=path,
        key=key,
        is_free=is_free or is_local,
        inject_usage=upstream.inject_usage if inject_usage is None else inject_usage,
    )


def named_upstream(
    name: str,
    url: str,
    dialect: Provider,
    *,
    key: str | None = None,
    is_free: bool = False,
    inject_usage: bool = False,
) -> Upstream:
    """Make an upstream of the user's own, speaking `dialect`."""
    # A server of the user's own: no row of the price table is its price, unless the model matches by itself.
    version = "/v1" if dialect.path is None else dialect.version  # a row that builds its paths takes the URL as it is
    row = replace(dialect, name=name, title=name, version=version, key_env=(), price_prefixes=("",), is_local=True)
    blank = Upstream(row, name, "", b"", "", version, "", credentials=_credentials(row))
    return upstream_at(blank, url, key=key, is_free=is_free, inject_usage=inject_usage)


def split_url(url: str) -> tuple[str, bytes, str]:
    """Split a base URL into (origin, Host header, path without trailing slash). Raises ConfigError."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"the upstream URL {url!r} cannot be read: {error}") from error
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise ConfigError(f"the upstream URL {url!r} must be http://host[:port] or https://host[:port]")
    if parts.query or parts.fragment or parts.username is not None:
        raise ConfigError(f"the upstream URL of {parts.hostname!r} must hold no user, query or fragment")
    host = parts.hostname.lower()
    if ":" in host:
        host = f"[{host}]"
    if port is not None and port != _DEFAULT_PORTS[parts.scheme]:
        host = f"{host}:{port}"
    return f"{parts.scheme}://{host}", host.encode("idna" if not host.isascii() else "ascii"), parts.path.rstrip("/")


def is_loopback_origin(origin: str) -> bool:
    """Say whether `origin` names this machine."""
    host = urlsplit(origin).hostname or ""
    return host in _LOOPBACK_HOSTS or host.startswith("127.") or host.endswith(".localhost")


def without_loops(upstreams: Mapping[str, Upstream], own_ports: Iterable[int]) -> dict[str, Upstream]:
    """Mark each upstream that points at one of our own ports: a call would come back for ever."""
    ports = frozenset(own_ports)
    return {
        name: replace(upstream, is_loop=is_loopback_origin(upstream.origin) and _port(upstream.origin) in ports)
        for name, upstream in upstreams.items()
    }


def _credentials(provider: Provider) -> frozenset[bytes]:
    return frozenset(name.encode("ascii") for name in provider.credentials)


def _port(origin: str) -> int:
    parts = urlsplit(origin)
    return parts.port or _DEFAULT_PORTS[parts.scheme]
