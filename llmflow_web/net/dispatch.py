"""From a client's request to a relay: ids, headers, keys, the usage question, and the wait when recording is behind.

The routes decide where a call goes; this decides how it leaves. What changes between the client's bytes and
upstream's is all here: hop-by-hop headers and our own are dropped, Host is set, Accept-Encoding is reduced to what can
be decoded for the record (proxy routes only), an absent key may come from the environment (`_environment_key`), and
`stream_options.include_usage` may be asked for (`_wants_usage`). Passthrough changes none of the latter three but keys.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from llmflow_web.errors import LLMFlowError, UpstreamError
from llmflow_web.model import Capture, Exchange, Source
from llmflow_web.net.http import Client, ServerCall
from llmflow_web.net.relay import Gather, Relay, Upload
from llmflow_web.net.upstreams import Upstream
from llmflow_web.wire.content import reduce_accept_encoding
from llmflow_web.wire.head import FRAMING_CHUNKED, RequestHead
from llmflow_web.wire.headers import HOP_BY_HOP, get, tokens, value_of
from llmflow_web.wire.jsonscan import splice_include_usage
from llmflow_web.wire.sse import UsageChunkFilter

MAX_SPLICE_BODY_BYTES = 16 * 1024 * 1024
"""A longer body is streamed as it comes, so nothing can be put into it; its usage is what upstream volunteers."""

MAX_ID_CHARACTERS = 128
"""Longer foreign trace ids are replaced by one of ours."""

_OURS = frozenset({b"x-trace-id", b"x-parent-id"})
_DROPPED = HOP_BY_HOP | _OURS | {b"host", b"content-length", b"expect"}
_SPLICED_PATHS = ("/chat/completions", "/completions")
_FORWARDED = frozenset({b"origin", b"forwarded", b"x-forwarded-for", b"via"})
_LOOPBACK_NAMES = frozenset({b"localhost", b"127.0.0.1", b"[::1]"})
_STATUS_LOOP = 508  # RFC 5842: Loop Detected
_HEX = frozenset("0123456789abcdef")


class ExchangeLog(Protocol):
    """What takes closed exchanges: record.recorder.Recorder, or a list in a test."""

    @property
    def is_full(self) -> bool:
        """Say whether new calls shall wait."""

    def when_room(self, callback: Callable[[], None]) -> None:
        """Call back on the loop once there is room."""

    def capture(self) -> Capture:
        """Return a new bounded copy-keeper for one body."""

    def put(self, exchange: Exchange) -> None:
        """Take a closed exchange; never raises, never blocks."""


@dataclass(frozen=True, slots=True)
class Ids:
    """Where new ids come from; a test hands in its own. Ids are names, not secrets: a plain generator will do."""

    trace: Callable[[], str] = lambda: f"{random.getrandbits(128):032x}"
    span: Callable[[], str] = lambda: f"{random.getrandbits(64):016x}"


class Dispatcher:
    """Sends calls upstream and hands the closed exchanges to the log."""

    def __init__(
        self,
        client: Client,
        log: ExchangeLog,
        *,
        use_env_keys: bool = True,
        default_record: str = "on",
        ids: Ids | None = None,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._client = client
        self._log = log
        self._use_env_keys = use_env_keys
        self._default_record = default_record
        self._ids = ids or Ids()
        self._clock_ns = clock_ns
        self.open_calls = 0

    def send(self, call: ServerCall, upstream: Upstream, path: str, source: Source, cors: bytes = b"") -> None:
        """Relay `call` to `path` (no query) at `upstream`. `cors`: header lines for the answer, each with CRLF."""
        exchange = self._exchange(call, upstream, path, source)
        relay = Relay(
            call,
            exchange,
            loop=asyncio.get_running_loop(),
            done=self._on_done,
            refuse=_refuse,
            extra_headers=_our_headers(exchange) + cors,
        )
        self.open_calls += 1
        if self._log.is_full:
            self._log.when_room(lambda: self._begin(call, upstream, relay))
        else:
            self._begin(call, upstream, relay)

    def _on_done(self, exchange: Exchange) -> None:
        self.open_calls -= 1
        if exchange.record != "off":
            self._log.put(exchange)

    # ── the exchange ─────────────────────────────────────────────────────────────────────────────────────────────

    def _exchange(self, call: ServerCall, upstream: Upstream, path: str, source: Source) -> Exchange:
        exchange = Exchange()
        exchange.source = source
        exchange.provider = upstream.name
        exchange.start_ns = self._clock_ns()
        exchange.started_ns = call.received_ns
        exchange.method = call.head.method.decode("ascii")
        exchange.path = call.path
        exchange.query = call.query
        exchange.upstream_path = path
        exchange.upstream_url = upstream.origin
        exchange.client = call.peer
        exchange.request_headers = call.head.headers
        exchange.price_free = upstream.is_free
        exchange.trace_id = self._trace_id(call)
        exchange.id = self._ids.span()
        exchange.record = _record_mode(call, self._default_record)
        if exchange.record != "off":  # "meta" too needs both, for model and usage; they are not stored then
            exchange.request = self._log.capture()
            exchange.response = self._log.capture()
        return exchange

    def _trace_id(self, call: ServerCall) -> str:
        given = call.header(b"x-trace-id")
        if given:
            text = given.decode("latin-1").strip()
            if 0 < len(text) <= MAX_ID_CHARACTERS and text.isprintable():
                return text
        parent = call.header(b"traceparent")
        if parent:
            fields = parent.decode("latin-1").split("-")
            if len(fields) >= 4 and len(fields[1]) == 32 and _HEX.issuperset(fields[1]) and fields[1].strip("0"):
                return fields[1]
        return self._ids.trace()

    # ── the request upstream ─────────────────────────────────────────────────────────────────────────────────────

    def _begin(self, call: ServerCall, upstream: Upstream, relay: Relay) -> None:
        if relay.is_over():
            return
        exchange = relay.exchange
        wants_usage = exchange.source == "proxy" and _wants_usage(call.head, upstream, exchange)
        departure = _Departure(self._client, call, upstream, relay, self._environment_key(call, upstream))
        body = call.whole_body
        if body is not None:
            if exchange.request is not None:
                exchange.request.add(body)
            departure.whole(body, splice=wants_usage)
        elif wants_usage and call.head.content_length <= MAX_SPLICE_BODY_BYTES:
            call.read(
                Gather(
                    relay,
                    limit=MAX_SPLICE_BODY_BYTES,
                    send_whole=lambda gathered: departure.whole(gathered, splice=True),
                    send_streaming=departure.streaming,
                )
            )
        else:
            departure.streaming(b"")
            call.read(Upload(relay))

    def _environment_key(self, call: ServerCall, upstream: Upstream) -> str | None:
        """Return the key to add, under the conditions that keep a stranger's page or peer from spending it."""
        if not self._use_env_keys or upstream.key is None or not call.is_loopback:
            return None
        headers = call.head.headers
        if any(name in upstream.credentials or name in _FORWARDED for name, _ in headers):
            return None
        host = (get(headers, b"host") or b"").lower()
        name = host if host.startswith(b"[") and host.endswith(b"]") else host.rpartition(b":")[0] or host
        site = get(headers, b"sec-fetch-site")
        if name not in _LOOPBACK_NAMES or site not in (None, b"none"):
            return None
        return upstream.key


class _Departure:
    """The two ways a request leaves: whole, or as it comes."""

    __slots__ = ("_call", "_client", "_key", "_relay", "_upstream")

    def __init__(self, client: Client, call: ServerCall, upstream: Upstream, relay: Relay, key: str | None) -> None:
        self._client = client
        self._call = call
        self._upstream = upstream
        self._relay = relay
        self._key = key  # from the environment, where the client brought none

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
            if is_reduced and name == b"accept-encoding":
                value = b"identity" if is_spliced else reduce_accept_encoding(value_of(line))
                lines.append(b"Accept-Encoding: " + value)
                continue
            lines.append(line)
        lines += self._key_lines()
        return b"\r\n".join(lines) + b"\r\n" + framing + b"\r\n"

    def _key_lines(self) -> Sequence[bytes]:
        if self._key is None:
            return ()
        self._relay.exchange.has_env_key = True
        return [f"{name}: {value}".encode("latin-1") for name, value in self._upstream.provider.authorize(self._key)]


def error_body(message: str, kind: str, code: str | None) -> dict[str, object]:
    """Return an error in OpenAI's shape."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def refuse_loop(call: ServerCall, upstream: Upstream) -> None:
    """Refuse a call that would come back to LLMFlow."""
    message = (
        f"The upstream of {upstream.name} is {upstream.origin}, which is LLMFlow itself: the call would go round for "
        f"ever. Point --upstream {upstream.name}=URL at the provider, not at LLMFlow."
    )
    call.respond_json(_STATUS_LOOP, error_body(message, "invalid_request_error", "upstream_loop"))


def _refuse(call: ServerCall, exchange: Exchange, error: LLMFlowError) -> None:
    """Answer a call that got no answer from upstream: 502 or 504, naming the provider."""
    message = f"LLMFlow could not get an answer from {exchange.provider} ({exchange.upstream_url}): {error.message}"
    headers = [("x-llmflow-trace-id", exchange.trace_id), ("x-llmflow-span-id", exchange.id)]
    if isinstance(error, UpstreamError) and not error.is_retry_safe:
        # Upstream may have processed it: LLMFlow does not send twice, the client may choose to.
        headers.append(("x-should-retry", "true"))
    call.respond_json(error.status, error_body(message, "upstream_error", type(error).__name__), headers)


def _our_headers(exchange: Exchange) -> bytes:
    return b"x-llmflow-trace-id: %b\r\nx-llmflow-span-id: %b\r\n" % (
        exchange.trace_id.encode("latin-1", "replace"),
        exchange.id.encode("ascii"),
    )


def _record_mode(call: ServerCall, default: str) -> str:
    given = call.header(b"x-llmflow-record")
    mode = given.decode("latin-1").strip().lower() if given else default
    return mode if mode in ("on", "meta", "off") else default


def _wants_usage(head: RequestHead, upstream: Upstream, exchange: Exchange) -> bool:
    return (
        upstream.inject_usage
        and head.method == b"POST"
        and exchange.upstream_path.endswith(_SPLICED_PATHS)
        and get(head.headers, b"content-encoding") is None
        and exchange.record != "off"
    )
