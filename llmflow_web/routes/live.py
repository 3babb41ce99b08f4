"""`GET /ws`: the handshake, what a listener may ask for, and the goodbye. Origin and token were judged at the door."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

from llmflow_web.errors import BadRequest
from llmflow_web.net.http import ServerCall
from llmflow_web.net.router import Router
from llmflow_web.net.socket_peer import SocketPeer
from llmflow_web.record.hub import Hub, Listener, Wants, encode_message
from llmflow_web.wire.filter import Filter
from llmflow_web.wire.websocket import GOING_AWAY, handshake_problem, switching_head

MAX_LISTENERS = 100
MAX_ASKED_BYTES = 64 * 1024
GOODBYE_S = 1.0


class Live:
    """Lets browsers watch."""

    def __init__(self, hub: Hub, *, max_listeners: int = MAX_LISTENERS) -> None:
        self._hub = hub
        self._max_listeners = max_listeners
        self._peers: set[SocketPeer] = set()

    def __repr__(self) -> str:
        return f"<Live {len(self._peers)} peers>"

    def register(self, router: Router) -> None:
        """Put our route into the table."""
        router.add("GET", "/ws", self.connect)

    def connect(self, call: ServerCall) -> None:
        """Answer the handshake and hand the connection to a peer."""
        problem = handshake_problem(call.head)
        if problem is None and len(self._peers) >= self._max_listeners:
            problem = (503, f"{self._max_listeners} pages are watching already.")
        if problem is not None:
            status, sentence = problem
            headers = [("content-type", "text/plain;charset=utf-8")]
            if status == 426:
                headers += [("sec-websocket-version", "13"), ("upgrade", "websocket"), ("connection", "Upgrade")]
            call.respond(status, headers, sentence.encode())
            return
        transport, rest = call.upgrade(switching_head(call.head))
        assert isinstance(transport, asyncio.Transport)  # the server's word
        self._begin(transport, rest)

    def _begin(self, transport: asyncio.Transport, rest: bytes) -> None:
        listener: Listener | None = None

        def on_text(text: str) -> None:
            if listener is not None:
                self._asked(peer, listener, text)

        def on_gone() -> None:
            self._peers.discard(peer)
            if listener is not None:
                self._hub.forget(listener)

        peer = SocketPeer(on_text=on_text, on_gone=on_gone, max_message_bytes=MAX_ASKED_BYTES)
        self._peers.add(peer)
        peer.attach(transport, b"")
        if peer in self._peers:  # else it has gone already
            listener = self._hub.listen(peer)
            if rest:
                peer.data_received(rest)

    def _asked(self, peer: SocketPeer, listener: Listener, text: str) -> None:
        """Read a message of a listener; what is no subscription is ignored, a wrong one is told so."""
        try:
            asked = json.loads(text)
        except (ValueError, RecursionError):
            return
        if not isinstance(asked, dict) or asked.get("type") != "subscribe":
            return
        wants = Wants(
            traces=asked.get("traces", True) is not False,
            logs=asked.get("logs") is True,
            metrics=asked.get("metrics") is True,
            is_short=asked.get("fields") == "summary",
        )
        try:
            chosen = Filter.from_object(asked.get("filter"))
        except BadRequest as error:
            peer.send(encode_message({"type": "error", "error": error.message}))
            return
        after = asked.get("after")
        is_number = isinstance(after, int) and not isinstance(after, bool)
        self._hub.subscribe(listener, chosen, after if is_number else None, wants)

    async def stop(self) -> None:
        """Tell every peer that we go away, and wait a moment for their goodbyes."""
        peers = list(self._peers)
        for peer in peers:
            peer.close(GOING_AWAY, "LLMFlow is stopping")
        if peers:
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.gather(*(peer.wait_gone() for peer in peers)), GOODBYE_S)
        for peer in list(self._peers):
            peer.drop()
