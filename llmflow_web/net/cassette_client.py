"""A client that answers from a cassette, or records on one, in front of the client that goes upstream.

It stands where a call leaves and its answer comes, so proxied, passed-through and translated calls are all alike to it.
What is on the cassette, and which recording answers which request, is the deck's business (record/cassette.py).

    record   every call goes upstream; a complete answer is kept
    replay   GATHERING ──body here──▶ recorded? ──▶ PLAYING, else refused. Nothing is ever sent upstream
    hybrid   as replay, but what is not recorded goes upstream and is kept
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from time import perf_counter_ns
from typing import Protocol

from llmflow_web.errors import LLMFlowError, NotRecorded
from llmflow_web.model import Header
from llmflow_web.net.cassette_player import Player
from llmflow_web.net.http import Client, ClientCall, ResponseSink
from llmflow_web.net.relay import Relay
from llmflow_web.net.tunnel import Tunnel
from llmflow_web.wire.head import FRAMING_CHUNKED, FRAMING_NONE, ResponseHead
from llmflow_web.wire.sse import UsageChunkFilter
from llmflow_web.wire.taped import Answer, Asked, Heard

MAX_TAPED_BYTES = 64 * 1024 * 1024
"""A longer request or answer is not recorded; in replay such a request is refused."""

PLAYED = "answered from the cassette: it cost nothing now"
_NOT_KEPT = "not recorded on the cassette: "
_TOO_LONG = f"it is longer than {MAX_TAPED_BYTES} bytes"
_NO_TUNNEL = (
    "WebSockets are not recorded on cassettes, so this one cannot be replayed; nothing was sent to the provider"
)


class Deck(Protocol):
    """What holds a cassette: record.cassette.Cassette. All of it belongs to the loop's thread and may not raise more
    than it says.
    """

    may_play: bool  # replay and hybrid
    may_send: bool  # record and hybrid
    is_timed: bool  # answers are played at their recorded pace

    def begin(self) -> int:
        """Return the place of one more call in the order of their start."""

    def find(self, place: int, asked: Asked) -> Answer | None:
        """Return the recorded answer; None where the call may go upstream. Raises NotRecorded where it may not."""

    def keep(self, place: int, asked: Asked, heard: Heard) -> str | None:
        """Record an exchange; return why not, if not."""


class CassetteClient:
    """The Client of a dispatcher whose calls are recorded on a cassette, or answered from it."""

    def __init__(self, client: Client, deck: Deck, prefixes: Mapping[str, str]) -> None:
        """Stand in front of `client`. prefixes: what an upstream's own URL puts before all paths, by its name."""
        self._client = client
        self._deck = deck
        self._prefixes = prefixes

    def request(
        self,
        origin: str,
        head: bytes,
        body: bytes,
        sink: ResponseSink,
        *,
        method: str,
        is_complete: bool,
        chunked: bool,
    ) -> ClientCall:
        """Answer or send a request; see `net.http.Client`."""
        assert isinstance(sink, Relay)  # the dispatcher sends nothing else
        send = _Send(self._client, origin, head, method, chunked)
        if isinstance(sink, Tunnel):
            return self._tunnel(send, body, sink)
        call = CassetteCall(self._deck, send, sink, self._prefixes.get(sink.exchange.provider, ""))
        call.begin(body, is_complete=is_complete)
        return call

    def _tunnel(self, send: _Send, body: bytes, sink: Tunnel) -> ClientCall:
        if self._deck.may_send:
            sink.exchange.notes.append(_NOT_KEPT + "it is a WebSocket")
            return send(body, sink, is_complete=True)
        refused = _Refused(sink, NotRecorded(_NO_TUNNEL, "cassette_websocket"))
        asyncio.get_running_loop().call_soon(refused.tell)
        return refused

    async def fetch(
        self,
        method: str,
        url: str,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
        *,
        timeout_s: float = 10.0,
    ) -> tuple[int, list[Header], bytes]:
        """Refuse: health checks and the like have the client that goes upstream."""
        raise NotImplementedError


class _Send:
    """How one request would leave."""

    def __init__(self, client: Client, origin: str, head: bytes, method: str, chunked: bool) -> None:
        self._client = client
        self._origin = origin
        self.head = head
        self.method = method
        self.chunked = chunked

    def __call__(self, body: bytes, sink: ResponseSink, *, is_complete: bool) -> ClientCall:
        """Let it leave."""
        return self._client.request(
            self._origin, self.head, body, sink, method=self.method, is_complete=is_complete, chunked=self.chunked
        )


class CassetteCall:
    """One call: a ClientCall for the relay."""

    def __init__(self, deck: Deck, send: _Send, relay: Relay, prefix: str) -> None:
        self._deck = deck
        self._send = send
        self._relay = relay
        self._prefix = prefix
        self._loop = asyncio.get_running_loop()
        self._place = deck.begin()
        self._pieces: list[bytes] = []
        self._size = 0
        self._tape: Tape | None = None
        self._way: ClientCall | None = None  # upstream, or the recorded answer; None while gathering
        self._is_over = False
        self._is_paused = False

    def __repr__(self) -> str:
        state = "over" if self._is_over else "gathering" if self._way is None else repr(self._way)
        return f"<CassetteCall {self._place} {state}>"

    def begin(self, body: bytes, *, is_complete: bool) -> None:
        """Take what is here of the body."""
        self._copy(body)
        if not self._deck.may_play:
            self._leave(body, is_complete=is_complete)
        elif is_complete:
            # As a real client, never from inside the call that asks.
            self._loop.call_soon(self._decide)

    # ── the request ──────────────────────────────────────────────────────────────────────────────────────────────

    def send(self, data: bytes) -> None:
        """Take more of the body (ClientCall)."""
        if self._is_over:
            return
        self._copy(data)
        if self._way is not None:
            self._way.send(data)
        elif self._size > MAX_TAPED_BYTES:
            self._give_up_gathering()

    def finish(self) -> None:
        """The body is complete (ClientCall)."""
        if self._is_over:
            return
        if self._way is None:
            self._decide()
        else:
            self._way.finish()

    def _copy(self, data: bytes) -> None:
        self._size += len(data)
        if self._way is None or self._size <= MAX_TAPED_BYTES:
            self._pieces.append(data)
        else:
            self._pieces.clear()

    def asked(self) -> Asked | None:
        """Return the request; None when it is longer than what is kept."""
        if self._size > MAX_TAPED_BYTES:
            return None
        exchange = self._relay.exchange
        line, headers = _read_head(self._send.head)
        path, _, query = line.partition("?")
        if self._prefix and path.startswith(self._prefix + "/"):
            path = path.removeprefix(self._prefix)
        body = b"".join(self._pieces)
        return Asked(exchange.provider, self._send.method, path, query, headers, body, exchange.is_injected)

    def _give_up_gathering(self) -> None:
        if self._deck.may_send:
            body = b"".join(self._pieces)
            self._leave(body, is_complete=False)
            self._pieces.clear()
        else:
            self._refuse(NotRecorded(f"The request cannot be on the cassette: {_TOO_LONG}.", "cassette_miss"))

    # ── the decision ─────────────────────────────────────────────────────────────────────────────────────────────

    def _decide(self) -> None:
        if self._is_over or self._relay.is_over():
            return
        asked = self.asked()
        if asked is None:
            self._give_up_gathering()
            return
        try:
            answer = self._deck.find(self._place, asked)
        except NotRecorded as error:
            self._refuse(error)
            return
        except Exception as error:  # noqa: BLE001 - strangers' bytes: whatever they are, the client gets an answer
            self._refuse(NotRecorded(f"The request could not be compared: {error}.", "cassette_miss"))
            return
        if answer is not None:
            self._play(answer)
            return
        self._leave(asked.body, is_complete=not self._send.chunked)
        if self._send.chunked and self._way is not None:
            self._way.finish()

    def _refuse(self, error: NotRecorded) -> None:
        self._is_over = True
        self._relay.reject(error)

    def _play(self, answer: Answer) -> None:
        exchange = self._relay.exchange
        exchange.is_from_cassette = True
        exchange.notes.append(PLAYED)
        if answer.has_injected_usage and not exchange.is_injected:
            self._relay.filter_events(UsageChunkFilter)
        player = Player(self._loop, self._relay, answer, method=self._send.method, is_timed=self._deck.is_timed)
        self._way = player
        if self._is_paused:
            player.pause_reading()
        player.start()

    def _leave(self, body: bytes, *, is_complete: bool) -> None:
        self._tape = Tape(self)
        self._way = self._send(body, self._tape, is_complete=is_complete)
        if self._is_paused:
            self._way.pause_reading()

    # ── the answer ───────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def relay(self) -> Relay:
        """Who hears the answer."""
        return self._relay

    def keep(self, heard: Heard | None) -> None:
        """Record the exchange; None = its answer is too long."""
        self._is_over = True
        asked = self.asked()
        if heard is None or asked is None:
            why: str | None = _TOO_LONG
        elif self._relay.exchange.record == "off":
            why = "X-LLMFlow-Record: off"
        else:
            why = self._kept(asked, heard)
        if why is not None:
            self._relay.exchange.notes.append(_NOT_KEPT + why)

    def _kept(self, asked: Asked, heard: Heard) -> str | None:
        try:
            return self._deck.keep(self._place, asked, heard)
        except Exception as error:  # noqa: BLE001 - strangers' bytes: a call is never lost to its recording
            return f"it could not be read ({type(error).__name__})"

    def abort(self) -> None:
        """Give up: the client has gone (ClientCall)."""
        if self._way is not None:
            self._way.abort()
        if self._tape is not None and not self._is_over:
            self._tape.leave()
        self._is_over = True
        self._pieces.clear()

    def pause_reading(self) -> None:
        """Take no more of the answer for now (ClientCall)."""
        self._is_paused = True
        if self._way is not None:
            self._way.pause_reading()

    def resume_reading(self) -> None:
        """Go on taking the answer (ClientCall)."""
        self._is_paused = False
        if self._way is not None:
            self._way.resume_reading()


class Tape:
    """The ResponseSink of a call that is recorded: everything goes on to the relay at once, a copy is kept."""

    def __init__(self, call: CassetteCall) -> None:
        self._call = call
        self._relay = call.relay
        self._head: ResponseHead | None = None
        self._pieces: list[bytes] = []
        self._times_ms: list[int] = []
        self._size = 0
        self._begun_ns = perf_counter_ns()

    def response(self, head: ResponseHead) -> None:
        """The head has come (ResponseSink)."""
        self._head = head
        self._relay.response(head)

    def data(self, data: bytes) -> None:
        """Body bytes have come (ResponseSink)."""
        self._relay.data(data)
        self._size += len(data)
        if self._size <= MAX_TAPED_BYTES:
            self._pieces.append(data)
            self._times_ms.append((perf_counter_ns() - self._begun_ns) // 1_000_000)
        else:
            self._pieces.clear()

    def end(self) -> None:
        """The answer is complete (ResponseSink): it is recorded before the client hears of its end."""
        self._call.keep(self._heard())
        self._relay.end()

    def leave(self) -> None:
        """The client goes: many do once they have read a stream's last event, which need not be the answer's end."""
        if self._head is not None:
            self._call.keep(self._heard(is_cut=True))

    def _heard(self, *, is_cut: bool = False) -> Heard | None:
        """Return what has come; None when that is too long."""
        head = self._head
        assert head is not None  # a head comes before every end
        if self._size > MAX_TAPED_BYTES:
            return None
        return Heard(
            status=head.status,
            reason=head.reason,
            headers=head.headers,
            pieces=self._pieces,
            times_ms=self._times_ms,
            is_chunked=head.framing == FRAMING_CHUNKED,
            has_body=head.framing != FRAMING_NONE,
            is_cut=is_cut,
        )

    def fail(self, error: LLMFlowError) -> None:
        """There is no complete answer, so there is nothing to record (ResponseSink)."""
        self._relay.fail(error)

    def pause_upload(self) -> None:
        """Upstream takes the body too slowly (ResponseSink)."""
        self._relay.pause_upload()

    def resume_upload(self) -> None:
        """Upstream takes more (ResponseSink)."""
        self._relay.resume_upload()


class _Refused:
    """The ClientCall of what cannot be answered."""

    def __init__(self, relay: Relay, error: NotRecorded) -> None:
        self._relay = relay
        self._error = error

    def tell(self) -> None:
        """Say so."""
        if not self._relay.is_over():
            self._relay.reject(self._error)

    def send(self, data: bytes) -> None:
        """Nobody takes it (ClientCall)."""

    def finish(self) -> None:
        """Nobody waits for it (ClientCall)."""

    def abort(self) -> None:
        """There is nothing to give up: `tell` looks whether anybody listens (ClientCall)."""

    def pause_reading(self) -> None:
        """There is nothing to read (ClientCall)."""

    def resume_reading(self) -> None:
        """There is nothing to read (ClientCall)."""


def _read_head(head: bytes) -> tuple[str, list[Header]]:
    """Return the target and the header lines of a request that is about to leave."""
    first, *lines = head[:-4].split(b"\r\n")
    headers = [(line.partition(b":")[0].lower(), line) for line in lines]
    return first.split(b" ")[1].decode("latin-1"), headers
