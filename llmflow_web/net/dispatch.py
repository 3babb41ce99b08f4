"""From a client's request to a relay: ids, the way it leaves, keys, and the wait when recording is behind.

The routes decide which provider a call is for; this decides how it goes there (`_Way`): as it came, placed by what its
body says (Azure's deployments), or translated into the provider's own words. What then leaves is written in
net/departure.py.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from llmflow_web.errors import BadRequest, LLMFlowError, NotFound, Refused, RequestError, UpstreamError
from llmflow_web.model import Capture, Exchange, Source
from llmflow_web.net.departure import Departure, query_key
from llmflow_web.net.gate import Gate, answer_refused
from llmflow_web.net.http import Client, ServerCall
from llmflow_web.net.relay import Gather, Relay, Upload
from llmflow_web.net.translate import TranslatedRelay
from llmflow_web.net.tunnel import Tunnel, asks_for_tunnel
from llmflow_web.net.upstreams import Upstream, upstream_at
from llmflow_web.provider import Operation, Target
from llmflow_web.wire.head import RequestHead
from llmflow_web.wire.headers import get, value_of

MAX_SPLICE_BODY_BYTES = 16 * 1024 * 1024
"""A longer body is streamed as it comes, so nothing can be put into it; its usage is what upstream volunteers."""

MAX_ID_CHARACTERS = 128
"""Longer foreign trace ids are replaced by one of ours."""

MAX_TRANSLATED_BODY_BYTES = 64 * 1024 * 1024
"""A request is gathered whole before it is translated; a longer one is refused with 413."""

FIRST_PAUSE_S, MAX_PAUSE_S = 0.02, 0.2
"""So long a call that the gate holds waits before it is asked about again: at first, and at most."""

MAX_REMEMBERED = 4096
"""Entries that adapters may remember between the turns of conversations (thought signatures)."""

TRANSLATED_DIALECT = "openai"
_OPERATIONS = {
    ("POST", "/v1/chat/completions"): "chat",
    ("POST", "/v1/embeddings"): "embeddings",
    ("GET", "/v1/models"): "models",
}
_RECORD_MODES = ("off", "meta", "on")  # from least to most
_MODELS_PATH = "/v1/models"
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
        max_record: str = "on",
        max_splice_bytes: int = MAX_SPLICE_BODY_BYTES,
        max_translated_bytes: int = MAX_TRANSLATED_BODY_BYTES,
        gate: Gate | None = None,
        ids: Ids | None = None,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """Send by `client`, hand over to `log`. gate: asked before a call leaves; its calls are handed over even where
        they are not to be recorded, since they count.
        """
        self._client = client
        self.gate = gate  # may be set, and taken away, while calls are under way: those are not asked about
        self._log = log
        self._use_env_keys = use_env_keys
        self._max_record = max_record
        self._max_splice_bytes = max_splice_bytes
        self._max_translated_bytes = max_translated_bytes
        self._ids = ids or Ids()
        self._clock_ns = clock_ns
        self._memories: dict[str, BoundedMemory] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self.open_calls = 0
        self.running: dict[str, Exchange] = {}  # by span id: recorded calls under way, for whoever shows them

    def send(self, call: ServerCall, upstream: Upstream, path: str, source: Source, cors: bytes = b"") -> None:
        """Send `call` on to `upstream`.

        path: the client's path without our prefix, no query. cors: header lines for the answer, each with CRLF.
        """
        try:
            upstream = _chosen_place(call, upstream)
            way = _way(call, upstream, path, source)
        except RequestError as error:
            call.respond_json(error.status, _request_error(error))
            return
        exchange = self._exchange(call, upstream, way, source)
        make = Tunnel if way.is_tunnel else TranslatedRelay if way.operation is not None else Relay
        relay = make(
            call,
            exchange,
            loop=self._loop or self._find_loop(),
            done=self._on_done,
            refuse=_refuse,
            extra_headers=_our_headers(exchange) + cors,
        )
        self.open_calls += 1
        if exchange.record != "off":
            self.running[exchange.id] = exchange
        if self._log.is_full:
            self._log.when_room(lambda: self._begin(call, upstream, way, relay))
        else:
            self._begin(call, upstream, way, relay)

    def _find_loop(self) -> asyncio.AbstractEventLoop:
        """Ask for the loop once: on CPython 3.11 every question costs a system call."""
        self._loop = asyncio.get_running_loop()
        return self._loop

    def _on_done(self, exchange: Exchange) -> None:
        self.open_calls -= 1
        if exchange.record != "off":
            self.running.pop(exchange.id, None)
        if self.gate is not None:
            self.gate.closed(exchange)
        if exchange.record != "off" or exchange.request is not None:  # else nothing is known that could count
            self._log.put(exchange)

    # ── the exchange ─────────────────────────────────────────────────────────────────────────────────────────────

    def _exchange(self, call: ServerCall, upstream: Upstream, way: _Way, source: Source) -> Exchange:
        exchange = Exchange()
        exchange.source = source
        exchange.provider = upstream.name
        exchange.dialect = way.dialect
        exchange.start_ns = self._clock_ns()
        exchange.started_ns = call.received_ns
        exchange.method = call.head.method.decode("ascii")
        exchange.path = call.path
        exchange.query = call.query
        exchange.upstream_path = way.path
        exchange.upstream_url = upstream.origin
        exchange.client = call.peer
        exchange.request_headers = call.head.headers
        exchange.price_free = upstream.is_free
        exchange.trace_id = self._trace_id(call)
        exchange.id = self._ids.span()
        exchange.record = _record_mode(call, self._max_record)
        if exchange.record != "off" or self.gate is not None:
            # "meta" too needs both, for model and usage, and so does a call that is only counted; they are not stored.
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

    def _begin(self, call: ServerCall, upstream: Upstream, way: _Way, relay: Relay) -> None:
        if relay.is_over():
            return
        departure = Departure(self._client, call, upstream, relay, self._environment_key(call, upstream))
        if way.operation is not None:
            self._begin_translated(call, upstream, way.operation, relay, departure)
        elif way.is_tunnel and way.asked is not None:
            asked, target = way.asked, self._target(call, upstream)
            self._past_gate(relay, lambda _: departure.placed(departure.tunnel, asked, b"", target))(b"")
        elif way.is_tunnel:
            self._past_gate(relay, lambda _: departure.tunnel())(b"")
        elif way.asked is not None:
            self._begin_placed(call, upstream, way.asked, relay, departure)
        else:
            wants_usage = _wants_usage(call.head, upstream, relay.exchange)
            self._begin_as_it_came(call, relay, departure, wants_usage=wants_usage)

    def _begin_as_it_came(self, call: ServerCall, relay: Relay, departure: Departure, *, wants_usage: bool) -> None:
        needs_whole = wants_usage or self.gate is not None
        if call.whole_body is not None or (needs_whole and call.head.content_length <= self._max_splice_bytes):
            self._gather(
                call,
                relay,
                self._max_splice_bytes,
                lambda body: departure.whole(body, splice=wants_usage),
                departure.streaming,
            )
        else:
            self._past_gate(relay, lambda _: self._stream_up(call, relay, departure), is_whole=False)(b"")

    @staticmethod
    def _stream_up(call: ServerCall, relay: Relay, departure: Departure) -> None:
        departure.streaming(b"")
        call.read(Upload(relay))

    def _gather(
        self,
        call: ServerCall,
        relay: Relay,
        limit: int,
        send_whole: Callable[[bytes], None],
        send_streaming: Callable[[bytes], None],
    ) -> None:
        """Hand the whole body to `send_whole`; one longer than `limit` to `send_streaming` as far as it is here.

        The gate, where there is one, is asked before either.
        """
        send_whole = self._past_gate(relay, send_whole)
        body = call.whole_body
        if body is None:
            stream = self._past_gate(relay, send_streaming, is_whole=False)
            call.read(Gather(relay, limit=limit, send_whole=send_whole, send_streaming=stream))
            return
        if relay.exchange.request is not None:
            relay.exchange.request.add(body)
        send_whole(body)

    def _past_gate(
        self, relay: Relay, send: Callable[[bytes], None], *, is_whole: bool = True
    ) -> Callable[[bytes], None]:
        """Return `send`, behind the gate where there is one. is_whole: what is sent is the whole body."""
        gate = self.gate
        if gate is None:
            return send

        def ask_and_send(body: bytes, pause_s: float = FIRST_PAUSE_S) -> None:
            if relay.is_over():  # the client left while the call was held
                return
            said = gate.admit(relay.exchange, body if is_whole else None)
            if said is None:
                send(body)
            elif isinstance(said, Refused):
                relay.reject(said)
            else:
                again = min(2 * pause_s, MAX_PAUSE_S)
                (self._loop or self._find_loop()).call_later(pause_s, ask_and_send, body, again)

        return ask_and_send

    def _begin_placed(
        self, call: ServerCall, upstream: Upstream, asked: str, relay: Relay, departure: Departure
    ) -> None:
        target = self._target(call, upstream)
        wants_usage = _wants_usage(call.head, upstream, relay.exchange)
        self._gather(
            call,
            relay,
            self._max_splice_bytes,
            lambda body: departure.placed(lambda: departure.whole(body, splice=wants_usage), asked, body, target),
            lambda first: departure.placed(lambda: departure.streaming(first), asked, first, target),
        )

    def _begin_translated(
        self, call: ServerCall, upstream: Upstream, operation: Operation, relay: Relay, departure: Departure
    ) -> None:
        target = self._target(call, upstream)
        bound = operation.bind(target) if operation.bind is not None else operation
        self._gather(
            call,
            relay,
            self._max_translated_bytes,
            lambda body: departure.translated(bound, body, target),
            departure.refuse_long(self._max_translated_bytes),
        )

    def _target(self, call: ServerCall, upstream: Upstream) -> Target:
        given = {
            name: value.decode("latin-1")
            for name, _ in upstream.provider.default_headers
            if (value := call.header(name.encode("ascii"))) is not None
        }
        memory = self._memories.setdefault(upstream.name, BoundedMemory(MAX_REMEMBERED))
        return Target(
            url=upstream.url,
            now=self._clock_ns() / 1e9,
            new_id=self._ids.span,
            options={**upstream.options, **given} if given else upstream.options,
            memory=memory,
        )

    def _environment_key(self, call: ServerCall, upstream: Upstream) -> str | None:
        """Return the key to add, under the conditions that keep a stranger's page or peer from spending it."""
        if not self._use_env_keys or upstream.key is None or not call.is_loopback:
            return None
        headers = call.head.headers
        if any(name in upstream.credentials or name in _FORWARDED for name, _ in headers):
            return None
        if query_key(call, upstream) is not None:
            return None
        if b"api-key" in (get(headers, b"sec-websocket-protocol") or b""):  # where a browser must put its key
            return None
        host = (get(headers, b"host") or b"").lower()
        name = host if host.startswith(b"[") and host.endswith(b"]") else host.rpartition(b":")[0] or host
        site = get(headers, b"sec-fetch-site")
        if name not in _LOOPBACK_NAMES or site not in (None, b"none"):
            return None
        return upstream.key


@dataclass(frozen=True, slots=True)
class _Way:
    """How a call goes upstream. `path`: what upstream is asked, or what the client asked of a translated call."""

    path: str
    dialect: str  # the row that reads the bytes the client sent and got
    asked: str | None = None  # path and query to be placed by what the body says
    operation: Operation | None = None  # to be translated
    is_tunnel: bool = False  # a WebSocket


def _way(call: ServerCall, upstream: Upstream, path: str, source: Source) -> _Way:
    """Decide how a call goes. Raises NotFound for what a translated provider has no counterpart of."""
    provider = upstream.provider
    is_tunnel = asks_for_tunnel(call)
    if source == "passthrough":
        native = upstream.native_path(path) or "/"
        return _Way(native, _dialect(call, upstream, native), is_tunnel=is_tunnel)
    is_native = provider.is_native(path) or _is_native_listing(call, upstream, path)
    if is_native and (provider.operations or provider.path):
        native = upstream.prefix + path if provider.path is None else path
        return _Way(native, _dialect(call, upstream, native), is_tunnel=is_tunnel)
    if provider.path is not None:
        asked = path + ("?" + call.query if call.query else "")
        return _Way(path, provider.name, asked=asked, is_tunnel=is_tunnel)
    if is_tunnel or not provider.operations:
        return _Way(upstream.proxy_path(path), provider.name, is_tunnel=is_tunnel)
    versioned = path if path.startswith("/v1/") else "/v1" + path  # a base URL without /v1 means the same
    name = _OPERATIONS.get((call.head.method.decode("latin-1"), versioned.rstrip("/")))
    operation = provider.operations.get(name) if name else None
    if operation is None:
        raise _unsupported(call, upstream, path)
    return _Way(path, TRANSLATED_DIALECT, operation=operation)


def _is_native_listing(call: ServerCall, upstream: Upstream, path: str) -> bool:
    """Say whether models are asked for by the provider's own client, at the path OpenAI's ask at too."""
    if path != _MODELS_PATH and not path.startswith(_MODELS_PATH + "/"):
        return False
    marks = upstream.provider.native_headers
    return any(name.decode("latin-1") in marks for name, _ in call.head.headers)


def _dialect(call: ServerCall, upstream: Upstream, path: str) -> str:
    provider = upstream.provider
    if provider.dialect is None:
        return provider.name
    headers = {name.decode("latin-1"): value_of(line).decode("latin-1") for name, line in call.head.headers}
    return provider.dialect(upstream.origin + path, headers)


def _unsupported(call: ServerCall, upstream: Upstream, path: str) -> NotFound:
    provider = upstream.provider
    known = ", ".join(
        f"{method} {where}" for (method, where), name in _OPERATIONS.items() if name in provider.operations
    )
    own = ", ".join(f"{prefix}…" for prefix in provider.native_paths)
    return NotFound(
        f"{provider.title} has no counterpart of {call.head.method.decode('latin-1')} {path}. "
        f"LLMFlow translates {known}; its own API works below /{upstream.name} too ({own})."
    )


def _chosen_place(call: ServerCall, upstream: Upstream) -> Upstream:
    """Move the upstream where a header of the request says. An environment key does not move along."""
    choose = upstream.provider.url_from
    if choose is None:
        return upstream
    headers = {name.decode("latin-1"): value_of(line).decode("latin-1") for name, line in call.head.headers}
    url = choose(headers)
    return upstream if url is None else replace(upstream_at(upstream, url), options=upstream.options)


class BoundedMemory(MutableMapping[str, Any]):
    """What an adapter remembers between calls; the oldest entry makes room for a new one."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._entries: OrderedDict[str, Any] = OrderedDict()

    def __getitem__(self, key: str) -> Any:
        value = self._entries[key]
        self._entries.move_to_end(key)
        return value

    def __setitem__(self, key: str, value: Any) -> None:
        self._entries[key] = value
        self._entries.move_to_end(key)
        if len(self._entries) > self._limit:
            self._entries.popitem(last=False)

    def __delitem__(self, key: str) -> None:
        del self._entries[key]

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._entries))

    def __len__(self) -> int:
        return len(self._entries)


def _request_error(error: RequestError) -> dict[str, object]:
    code = "unsupported_endpoint" if isinstance(error, NotFound) else None
    param = error.param if isinstance(error, BadRequest) else None
    return error_body(error.message, "invalid_request_error", code, param)


def error_body(message: str, kind: str, code: str | None, param: str | None = None) -> dict[str, object]:
    """Return an error in OpenAI's shape."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def refuse_loop(call: ServerCall, upstream: Upstream) -> None:
    """Refuse a call that would come back to LLMFlow."""
    message = (
        f"The upstream of {upstream.name} is {upstream.origin}, which is LLMFlow itself: the call would go round for "
        f"ever. Point --upstream {upstream.name}=URL at the provider, not at LLMFlow."
    )
    call.respond_json(_STATUS_LOOP, error_body(message, "invalid_request_error", "upstream_loop"))


def _refuse(call: ServerCall, exchange: Exchange, error: LLMFlowError) -> None:
    """Answer a call that got no answer from upstream: 502 or 504, naming the provider, or what was wrong with it."""
    if isinstance(error, Refused):
        answer_refused(call, exchange, error)
        return
    if isinstance(error, RequestError):
        ids = [("x-llmflow-trace-id", exchange.trace_id), ("x-llmflow-span-id", exchange.id)]
        call.respond_json(error.status, _request_error(error), ids)
        return
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


def _record_mode(call: ServerCall, most: str) -> str:
    """Say what is stored of a call: what it asks for by header, and never more than `most`."""
    given = call.header(b"x-llmflow-record")
    mode = given.decode("latin-1").strip().lower() if given else most
    return mode if mode in _RECORD_MODES and _RECORD_MODES.index(mode) < _RECORD_MODES.index(most) else most


def _wants_usage(head: RequestHead, upstream: Upstream, exchange: Exchange) -> bool:
    return (
        upstream.inject_usage
        and exchange.source == "proxy"
        and head.method == b"POST"
        and exchange.upstream_path.endswith(_SPLICED_PATHS)
        and get(head.headers, b"content-encoding") is None
        and exchange.request is not None
    )
