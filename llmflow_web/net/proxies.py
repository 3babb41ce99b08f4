"""Which forward proxy the environment asks for: HTTPS_PROXY, http_proxy, ALL_PROXY, NO_PROXY. Pure: no sockets.

The lower-case name wins. HTTP_PROXY in capitals is not read: a CGI server sets it from a request header.
"""

from __future__ import annotations

import ipaddress
import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from llmflow_web.errors import UpstreamUnreachable

_NAMES = {
    "https": ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"),
    "http": ("http_proxy", "all_proxy", "ALL_PROXY"),
}
_PORTS = {"http": 80, "https": 443}
_ENTRY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:]+)(?::(\d{1,5}))?")


@dataclass(frozen=True, slots=True)
class Proxy:
    """A forward proxy."""

    scheme: str
    host: str
    port: int
    authorization: bytes | None = field(default=None, repr=False)  # value of Proxy-Authorization

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Proxies:
    """The proxy settings of one environment."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._urls: dict[str, tuple[str, str]] = {}
        for scheme, names in _NAMES.items():
            for name in names:
                if name in environ:
                    self._urls[scheme] = (name, environ[name].strip())
                    break
        listed = environ.get("no_proxy", environ.get("NO_PROXY", ""))
        self._exempt = [entry.lower() for entry in re.split(r"[,\s]+", listed) if entry]

    def find(self, scheme: str, host: str, port: int) -> Proxy | None:
        """Return the proxy for an origin, or None to go there directly.

        Raises UpstreamUnreachable when the environment names a proxy we cannot speak to.
        """
        name, url = self._urls.get(scheme, ("", ""))
        if not url or is_loopback(host) or any(_is_exempt(entry, host, port) for entry in self._exempt):
            return None
        return _proxy(name, url)


def is_loopback(host: str) -> bool:
    """Say whether `host` (no brackets) is this machine: such calls never go to a proxy."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    address = _address(host)
    return address is not None and (address.is_loopback or address.is_unspecified)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_exempt(entry: str, host: str, port: int) -> bool:
    """Match one NO_PROXY entry: *, a name with all below it, an address, a network; each but the first with a port."""
    if entry == "*":
        return True
    address = _address(host)
    if address is not None:
        return _is_exempt_address(entry, address, port)
    found = _ENTRY.fullmatch(entry)
    if found is None or (found[2] and int(found[2]) != port):
        return False
    name = found[1].removeprefix("*").removeprefix(".")
    return bool(name) and (host == name or host.endswith("." + name))


def _is_exempt_address(entry: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> bool:
    try:
        return address in ipaddress.ip_network(entry, strict=False)  # a bare address is a network of one
    except ValueError:
        found = _ENTRY.fullmatch(entry)
        if found is None or int(found[2] or port) != port:
            return False
        return _address(found[1].strip("[]")) == address


def _proxy(name: str, url: str) -> Proxy:
    try:
        parts = urlsplit(url if "://" in url else "http://" + url)
        port = parts.port
    except ValueError as error:
        raise UpstreamUnreachable(f"{name} is not a URL", is_retry_safe=True) from error
    if parts.scheme not in _PORTS or not parts.hostname:
        raise UpstreamUnreachable(f"{name} must be http://host:port or https://host:port", is_retry_safe=True)
    authorization = None
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = b"Basic " + b64encode(pair.encode())
    return Proxy(parts.scheme, parts.hostname, port or _PORTS[parts.scheme], authorization)
