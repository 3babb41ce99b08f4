"""Who may come in: the rules of Host, Origin and token, before any route sees a call.

A local server is reachable by every web page its user opens. Host keeps names that were pointed at us out (DNS
rebinding), Origin and Sec-Fetch-Site keep foreign pages out, programs send neither. With a token every door asks.

Ways to bring the token: `Authorization: Bearer …` (dashboard and API; the proxy leaves it to the provider),
`x-llmflow-token: …` everywhere, `/t/TOKEN/…` before any path (for whoever can set nothing but a base URL), and
`?token=…` once in a browser, which becomes a cookie.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from urllib.parse import unquote

from llmflow_web.net.http import ServerCall
from llmflow_web.net.otlp_status import OTLP_PATHS, respond_status
from llmflow_web.wire.headers import tokens, value_of

TOKEN_HEADER = b"x-llmflow-token"
COOKIE = "llmflow_session"
COOKIE_AGE_S = 30 * 86400
PREFLIGHT_AGE_S = 600
MAX_REMEMBERED = 1000

_LOOKED_AT = frozenset({b"host", b"origin", b"sec-fetch-site", b"sec-fetch-mode"})
_SAFE = frozenset({b"GET", b"HEAD", b"OPTIONS"})
_INGEST = frozenset({"/api/spans", "/api/import", *OTLP_PATHS})
_OPEN = _INGEST | {"/sdk/llmflow.js"}  # to pages of this machine, whatever their port
_HEALTH = frozenset({"/health", "/api/health"})
_LOOPBACK = re.compile(r"(?:.+\.)?localhost|127(?:\.\d{1,3}){3}|\[::1\]|\[::ffff:127(?:\.\d{1,3}){3}\]")
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]/@\s]+)(?::(\d{1,5}))?")
_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[^:\[\]/@\s]+)(?::(\d{1,5}))?")
_PORTS = {"http": "80", "https": "443"}
_EXPOSED = "x-llmflow-trace-id, x-llmflow-span-id, x-llmflow-next-cursor, x-request-id, retry-after"
_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"


class Door(Enum):
    """Which port a call came to."""

    PROXY = "proxy"
    DASHBOARD = "dashboard"
    OTLP = "otlp"


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer instead of the one asked for."""

    status: int
    message: str
    code: str
    headers: tuple[tuple[str, str], ...] = ()


def is_loopback_name(host: str) -> bool:
    """Say whether a lower-case host name, without port, always means this machine."""
    return _LOOPBACK.fullmatch(host) is not None


def host_name(host: str) -> str | None:
    """Return the name in a Host header, lower case, without port and final dot; None when it is none."""
    found = _HOST.fullmatch(host.lower())
    return found[1].rstrip(".") or None if found else None


class Guard:
    """The rules of one server, both doors."""

    def __init__(
        self,
        *,
        allow_hosts: Iterable[str] = (),
        allow_origins: Iterable[str] = (),
        bind_host: str | None = None,
        token: str | None = None,
    ) -> None:
        """Make the rules.

        Args:
            allow_hosts: more names this server answers to.
            allow_origins: web origins whose pages may do everything our own page may.
            bind_host: what is listened on, where that is more than this machine.
            token: what everybody has to bring.
        """
        named = [name for host in allow_hosts if (name := host_name(host.strip()))]
        self._hosts = frozenset(named)
        self._any_address = bind_host in ("0.0.0.0", "::", "")  # noqa: S104 - compared, not bound
        if bind_host and not self._any_address:
            own = f"[{bind_host}]" if ":" in bind_host and not bind_host.startswith("[") else bind_host
            self._hosts |= {own.lower()}
        self._origins = frozenset(origin.strip().rstrip("/").lower() for origin in allow_origins)
        self._token = token.encode() if token else None
        # A cookie travels to every port of its host: it proves the token without being it.
        self._cookie = _proof_of(self._token) if self._token else ""
        self._known_hosts: dict[bytes, bool] = {}

    def __repr__(self) -> str:
        return f"<Guard hosts: {sorted(self._hosts)}, origins: {sorted(self._origins)}, token: {bool(self._token)}>"

    # --- what the doors call ---

    def admit(self, call: ServerCall, door: Door) -> bytes | None:
        """Let a call in or answer it.

        Returns:
            Header lines for the answer, each with CRLF (CORS, where an allowed page asks), or None when the call has
            been answered here: refused, a preflight, or on its way to a cookie.
        """
        if self._token is not None:
            self._strip_token_path(call)
            if door is Door.PROXY:
                _drop_cookie(call)
        refusal = self.check(call, door)
        if refusal is not None:
            self._refuse(call, door, refusal)
            return None
        origin = call.header(b"origin")
        if origin is not None and call.head.method == b"OPTIONS" and call.header(b"access-control-request-method"):
            call.respond(204, _preflight(call, origin.decode("latin-1")))
            return None
        if self._token is not None and not self._is_in(call, door):
            self._ask_for_token(call, door)
            return None
        if origin is None:
            return b""
        return b"access-control-allow-origin: %b\r\naccess-control-expose-headers: %b\r\nvary: origin\r\n" % (
            origin,
            _EXPOSED.encode(),
        )

    def check(self, call: ServerCall, door: Door) -> Refusal | None:
        """Judge Host and Origin; the token is another matter."""
        seen: dict[bytes, bytes] = {}
        for name, line in call.head.headers:
            if name in _LOOKED_AT:
                if name in seen and name == b"origin":
                    return Refusal(403, "There is more than one Origin.", "origin_not_allowed")
                seen[name] = value_of(line)
        host = seen.get(b"host", b"")
        if not self._is_host_ours(host):
            return _wrong_host(host)
        origin = seen.get(b"origin")
        if origin is not None:
            return self._check_origin(call, door, origin.decode("latin-1").lower(), host)
        if seen.get(b"sec-fetch-site") == b"cross-site":
            # Pages that ask without Origin (images, scripts, forms): a click on a link to the dashboard is fine.
            is_visit = seen.get(b"sec-fetch-mode") == b"navigate" and call.head.method in _SAFE
            if door is Door.PROXY or not is_visit:
                return Refusal(403, "A page of another site may not call this server.", "origin_not_allowed")
        return None

    # --- Host and Origin ---

    def _is_host_ours(self, host: bytes) -> bool:
        known = self._known_hosts.get(host)
        if known is None:
            if len(self._known_hosts) >= MAX_REMEMBERED:
                self._known_hosts.clear()
            known = self._known_hosts[host] = self._judge_host(host.decode("latin-1"))
        return known

    def _judge_host(self, host: str) -> bool:
        if not host:  # HTTP/1.0; a browser always names one
            return True
        name = host_name(host)
        if name is None:
            return False
        if is_loopback_name(name) or name in self._hosts:
            return True
        # A page can be given a name that leads here, but not an address of ours as its own.
        return self._any_address and _is_address(name)

    def _check_origin(self, call: ServerCall, door: Door, origin: str, host: bytes) -> Refusal | None:
        if origin in self._origins:
            return None
        found = _ORIGIN.fullmatch(origin)
        if found is not None:
            if _is_same(found, host.decode("latin-1").lower()):
                return None
            is_open = door is not Door.DASHBOARD or call.path in _OPEN
            if is_open and found[1] in _PORTS and is_loopback_name(found[2].rstrip(".")):
                return None
        shown = origin if found else "null"
        return Refusal(
            403,
            f"Pages of the origin {shown!r} may not call this server. If it is yours, start LLMFlow with "
            f"--allow-origin {shown}."
            if found
            else "A page without an origin of its own (a local file, a sandboxed frame) may not call this server.",
            "origin_not_allowed",
        )

    # --- the token ---

    def _strip_token_path(self, call: ServerCall) -> None:
        """Take `/t/TOKEN` off the path where it is right, and turn it into the header."""
        if not call.path.startswith("/t/"):
            return
        given, slash, rest = call.path[3:].partition("/")
        if self._is_token(unquote(given).encode()):
            call.path = slash + rest or "/"
            call.head.headers.append((TOKEN_HEADER, TOKEN_HEADER + b": " + (self._token or b"")))

    def _is_token(self, given: bytes) -> bool:
        return self._token is not None and hmac.compare_digest(given, self._token)

    def _is_in(self, call: ServerCall, door: Door) -> bool:
        given = call.header(TOKEN_HEADER)
        if given is not None:
            return self._is_token(given)
        if door is Door.PROXY:
            return False
        scheme, _, bearer = (call.header(b"authorization") or b"").partition(b" ")
        if scheme.lower() == b"bearer" and self._is_token(bearer.strip()):
            return True
        return any(hmac.compare_digest(value, self._cookie.encode()) for value in _cookies(call))

    def _ask_for_token(self, call: ServerCall, door: Door) -> None:
        if call.path in _HEALTH and call.head.method in _SAFE:
            call.respond_json(200, {"status": "ok"})
            return
        if door is Door.DASHBOARD and call.head.method == b"GET" and not _is_api(call.path):
            given = _query_token(call.query)
            if given is not None and self._is_token(given.encode()):
                self._hand_out_cookie(call)
                return
        ways = (
            "the header x-llmflow-token, or /t/TOKEN before the path of the base URL"
            if door is Door.PROXY
            else "Authorization: Bearer TOKEN, the header x-llmflow-token, or once ?token=TOKEN in a browser"
        )
        sentence = f"This server asks for its token: {ways}."
        self._refuse(call, door, Refusal(401, sentence, "token_required", (("www-authenticate", "Bearer"),)))

    def _hand_out_cookie(self, call: ServerCall) -> None:
        rest = "&".join(pair for pair in call.query.split("&") if not pair.startswith("token=") and pair)
        # One slash: "//host" would lead away from here.
        place = "/" + call.path.lstrip("/") + (f"?{rest}" if rest else "")
        cookie = f"{COOKIE}={self._cookie}; Path=/; Max-Age={COOKIE_AGE_S}; HttpOnly; SameSite=Strict"
        headers = [("location", place), ("set-cookie", cookie), ("cache-control", "no-store")]
        call.respond(303, [*headers, ("referrer-policy", "no-referrer")])

    def _refuse(self, call: ServerCall, door: Door, refusal: Refusal) -> None:
        if door is Door.OTLP or (door is Door.DASHBOARD and call.path in OTLP_PATHS):
            respond_status(call, refusal.status, refusal.message, refusal.headers)
            return
        value: object = refusal.message
        if door is Door.PROXY:
            kind = "authentication_error" if refusal.status == 401 else "invalid_request_error"
            value = {"message": refusal.message, "type": kind, "param": None, "code": refusal.code}
        body = json.dumps({"error": value}, ensure_ascii=False).encode()
        call.respond(refusal.status, [("content-type", "application/json"), *refusal.headers], body)


def _proof_of(token: bytes) -> str:
    import hashlib

    return hashlib.sha256(b"llmflow cookie\0" + token).hexdigest()


def _is_api(path: str) -> bool:
    return path.startswith(("/api/", "/v1/")) or path == "/ws"


def _wrong_host(host: bytes) -> Refusal:
    shown = host_name(host.decode("latin-1")) or host.decode("latin-1")
    message = f"This server does not answer to the name {shown!r}."
    if host_name(host.decode("latin-1")):
        message += f" If the name is yours, start LLMFlow with --allow-host {shown}."
    return Refusal(403, message, "host_not_allowed")


def _is_address(name: str) -> bool:
    from ipaddress import ip_address

    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _is_same(origin: re.Match[str], host: str) -> bool:
    """Say whether an origin is that of the Host we were called by (we speak http)."""
    found = _HOST.fullmatch(host)
    if found is None or origin[1] != "http":
        return False
    return origin[2] == found[1] and (origin[3] or "80") == (found[2] or "80")


def _preflight(call: ServerCall, origin: str) -> list[tuple[str, str]]:
    asked = ", ".join(name.decode("latin-1") for name in tokens(call.head.headers, b"access-control-request-headers"))
    headers = [
        ("access-control-allow-origin", origin),
        ("access-control-allow-methods", _METHODS),
        ("access-control-max-age", str(PREFLIGHT_AGE_S)),
        ("vary", "origin, access-control-request-headers"),
    ]
    if asked:
        headers.append(("access-control-allow-headers", asked))
    if call.header(b"access-control-request-private-network") == b"true":
        headers.append(("access-control-allow-private-network", "true"))
    return headers


def _cookies(call: ServerCall) -> list[bytes]:
    """Return the values of our cookie."""
    pairs = [
        pair.strip() for name, line in call.head.headers if name == b"cookie" for pair in value_of(line).split(b";")
    ]
    prefix = COOKIE.encode() + b"="
    return [pair.removeprefix(prefix) for pair in pairs if pair.startswith(prefix)]


def _drop_cookie(call: ServerCall) -> None:
    """Keep the dashboard's cookie, which a browser sends to every port of the host, from going on to a provider."""
    ours = COOKIE.encode() + b"="
    if any(name == b"cookie" and ours in line for name, line in call.head.headers):
        call.head.headers[:] = [header for header in call.head.headers if header[0] != b"cookie"]


def _query_token(query: str) -> str | None:
    for pair in query.split("&"):
        if pair.startswith("token="):
            return unquote(pair.removeprefix("token=").replace("+", " "))
    return None
