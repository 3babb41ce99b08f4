"""How a request leaves: as it came, placed by what its body says, or translated into the provider's own words.

What changes between the client's bytes and upstream's is all here: hop-by-hop headers and our own are dropped, Host is
set, Accept-Encoding is reduced to what can be decoded for the record (proxy routes only), an absent key may come from
the environment, and `stream_options.include_usage` may be asked for. A translated request keeps the client's other
headers and gets the provider's own key header, whichever header the key came in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from urllib.parse import unquote

from llmflow_web.errors import BadRequest, TooLarge
from llmflow_web.model import JSON
from llmflow_web.net.asked import asked_of
from llmflow_web.net.http import Client, ServerCall
from llmflow_web.net.relay import Relay
from llmflow_web.net.translate import TranslatedRelay
from llmflow_web.net.upstreams import Upstream
from llmflow_web.provider import Operation, Outgoing, Target
from llmflow_web.wire.content import reduce_accept_encoding
from llmflow_web.wire.forms import form_fields
from llmflow_web.wire.head import FRAMING_CHUNKED
from llmflow_web.wire.headers import HOP_BY_HOP, get, tokens, value_of
from llmflow_web.wire.jsonscan import splice_include_usage, string_value, top_level
from llmflow_web.wire.sse import UsageChunkFilter

_OURS = frozenset({b"x-trace-id", b"x-parent-id", b"x-azure-resource"})
_DROPPED = HOP_BY_HOP | _OURS | {b"host", b"content-length", b"expect"}
GOOGLE_KEY_HEADER = b"x-goog-api-key"
_KEY_HEADERS = (b"x-api-key", b"api-key", GOOGLE_KEY_HEADER, b"authorization")
_NOT_TRANSLATED = frozenset(
    {*_KEY_HEADERS, b"content-type", b"content-encoding", b"accept", b"accept-encoding", b"cookie"}
)
_OPENAI_ONLY = b"openai-"


class Departure:
    """Sends one call on its way. Raises nothing; what cannot be sent is handed to `relay.reject`."""

    __slots__ = ("_call", "_client", "_is_rekeyed", "_key", "_relay", "_upstream")

    def __init__(self, client: Client, call: ServerCall, upstream: Upstream, relay: Relay, key: str | None) -> None:
        """Prepare. key: from the environment, where the client brought none."""
        self._client = client
        self._call = call
        self._upstream = upstream
        self._relay = relay
        self._key = key
        self._is_rekeyed = False  # the key moves to another header: Azure takes OpenAI's bodies, not its Authorization

    # ── as it came ───────────────────────────────────────────────────────────────────────────────────────────────

    def whole(self, body: bytes, *, splice: bool) -> None:
        """Send a body that is all here, with the usage question put into it where it is wanted."""
        spliced = splice_include_usage(body) if splice else None
        if spliced is not None:
            body = spliced
            self._relay.exchange.is_injected = True
            self._relay.filter_events(UsageChunkFilter)
        has_body = bool(body) or get(self._call.head.headers, b"content-length") is not None
        framing = b"Content-Length: %d\r\n" % len(body) if has_body else b""
        head = self._head(framing, is_spliced=spliced is not None)
        self._relay.send(self._client, self._upstream.origin, head, body)

    def streaming(self, first: bytes) -> None:
        """Send the head and `first`; the rest of the body follows as it comes, framed as the client framed it."""
        request = self._call.head
        is_chunked = request.framing == FRAMING_CHUNKED
        framing = (
            b"Transfer-Encoding: chunked\r\n" if is_chunked else b"Content-Length: %d\r\n" % request.content_length
        )
        head = self._head(framing, is_spliced=False)
        self._relay.send(self._client, self._upstream.origin, head, first, is_complete=False, chunked=is_chunked)

    def tunnel(self) -> None:
        """Ask upstream to switch protocols, in the client's words."""
        asked = [line for name, line in self._call.head.headers if name == b"upgrade"]
        wish = b"".join([b"Connection: Upgrade\r\n", *(line + b"\r\n" for line in asked)])
        self._relay.send(self._client, self._upstream.origin, self._head(wish, is_spliced=False), b"")

    def _head(self, framing: bytes, *, is_spliced: bool) -> bytes:
        exchange, request = self._relay.exchange, self._call.head
        target = exchange.upstream_path + ("?" + exchange.query if exchange.query else "")
        lines = [
            b"%b %b HTTP/1.1" % (request.method, target.encode("latin-1")),
            b"Host: " + self._upstream.host,
        ]
        named = tokens(request.headers, b"connection")
        is_reduced = exchange.source == "proxy"
        for name, line in request.headers:
            if name in _DROPPED or name in named or name.startswith(b"x-llmflow-"):
                continue
            if self._is_rekeyed and name in _KEY_HEADERS:
                continue
            if is_reduced and name == b"accept-encoding":
                value = b"identity" if is_spliced else reduce_accept_encoding(value_of(line))
                lines.append(b"Accept-Encoding: " + value)
                continue
            lines.append(line)
        lines += self._key_lines(self._client_key() if self._is_rekeyed else None)
        return b"\r\n".join(lines) + b"\r\n" + framing + b"\r\n"

    # ── where the body says ──────────────────────────────────────────────────────────────────────────────────────

    def placed(self, send: Callable[[], None], asked: str, body: bytes, target: Target) -> None:
        """Work out the path from the body, then `send`."""
        place = self._upstream.provider.path
        assert place is not None  # the dispatcher has looked
        exchange = self._relay.exchange
        try:
            path = place(asked, _said(self._call, body), target)
        except BadRequest as error:
            self._relay.reject(error)
            return
        exchange.upstream_path, _, exchange.query = path.partition("?")
        self._is_rekeyed = True
        send()

    # ── translated ───────────────────────────────────────────────────────────────────────────────────────────────

    def translated(self, operation: Operation, body: bytes, target: Target) -> None:
        """Send `body`, an OpenAI request, as the provider's own."""
        relay, exchange = self._relay, self._relay.exchange
        assert isinstance(relay, TranslatedRelay)  # the dispatcher has made it so
        assert operation.request is not None  # an operation that is translated has a translator
        try:
            original = asked_of(body, (self._call.header(b"content-encoding") or b"").decode("latin-1"))
            outgoing = operation.request(original, target)
        except BadRequest as error:
            relay.reject(error)
            return
        except RecursionError:
            relay.reject(BadRequest("The body is nested too deeply to be translated."))
            return
        exchange.dropped = outgoing.ignored
        if outgoing.ignored:
            relay.add_header("x-llmflow-ignored", ", ".join(outgoing.ignored))
        relay.translate(self._upstream.provider, operation, original)
        head = self._translated_head(outgoing)
        relay.send(self._client, self._upstream.origin, head, outgoing.body)

    def refuse_long(self, limit: int) -> Callable[[bytes], None]:
        """Return what refuses a body too long to be translated."""
        why = f"a request to be translated may have {limit} bytes at most (--max-translated-body)"
        return lambda _first: self._relay.reject(TooLarge(why))

    def _translated_head(self, outgoing: Outgoing) -> bytes:
        request = self._call.head
        path = self._upstream.prefix + outgoing.path
        lines = [b"%b %b HTTP/1.1" % (outgoing.method.encode(), path.encode()), b"Host: " + self._upstream.host]
        named = tokens(request.headers, b"connection")
        given: set[bytes] = set()
        for name, line in request.headers:
            if name in _DROPPED or name in named or name in _NOT_TRANSLATED:
                continue
            if name.startswith((b"x-llmflow-", _OPENAI_ONLY)):
                continue
            given.add(name)
            lines.append(line)
        lines += _lines(
            pair for pair in self._upstream.provider.default_headers if pair[0].lower().encode() not in given
        )
        lines += _lines(outgoing.headers)  # one the client sent too is a list with both (anthropic-beta)
        lines += self._key_lines(self._client_key())
        lines.append(b"Accept-Encoding: identity")
        framing = b"Content-Length: %d\r\n" % len(outgoing.body) if outgoing.body or outgoing.method == "POST" else b""
        return b"\r\n".join(lines) + b"\r\n" + framing + b"\r\n"

    # ── keys ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _client_key(self) -> str | None:
        """Return the key the client brought, in whichever header."""
        for name in _KEY_HEADERS:
            value = get(self._call.head.headers, name)
            if value:
                text = value.decode("latin-1")
                scheme, _, bearer = text.partition(" ")
                return bearer.strip() if name == b"authorization" and scheme.lower() == "bearer" else text
        return query_key(self._call, self._upstream)

    def _key_lines(self, client_key: str | None) -> Sequence[bytes]:
        key = client_key
        if key is None and self._key is not None:
            key = self._key
            self._relay.exchange.has_env_key = True
        return [] if key is None else _lines(self._upstream.provider.authorize(key))


def query_key(call: ServerCall, upstream: Upstream) -> str | None:
    """Return the key in `?key=`, which Google's API takes."""
    if GOOGLE_KEY_HEADER not in upstream.credentials:
        return None
    return next((unquote(pair[4:]) for pair in call.query.split("&") if pair.startswith("key=")), None)


def _lines(pairs: Iterable[tuple[str, str]]) -> list[bytes]:
    return [f"{name}: {value}".encode("latin-1", "replace") for name, value in pairs]


def _said(call: ServerCall, body: bytes) -> JSON:
    """Return what a body says about where it belongs: its model."""
    if (call.header(b"content-type") or b"").lower().startswith(b"multipart/"):
        return form_fields(body)
    spans = top_level(body)
    span = (spans or {}).get("model")
    model = string_value(body, span) if span is not None else None
    return {} if model is None else {"model": model}
