"""Hearing of calls as they are committed: from a running server by its WebSocket, from a file by looking again.

Both yield events: (op, rows). `new` are rows that came, `update` rows that changed, `running` calls under way, `ended`
those that are no more.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from llmflow_web.app.cli.server import ServerSource, connection_to
from llmflow_web.app.cli.sources import FileSource
from llmflow_web.errors import LLMFlowError
from llmflow_web.model import JSON
from llmflow_web.wire import websocket

CONNECT_TIMEOUT_S = 10.0
SILENCE_S = 30.0
"""After so much silence the server is asked whether it is there; as much again, and it counts as gone."""

POLL_S = 0.4
MAX_MESSAGE_BYTES = 64 * 1024 * 1024
MAX_HEAD_BYTES = 64 * 1024
PAGE_ROWS = 500


class Event(NamedTuple):
    """Something that happened to some rows."""

    op: str
    rows: list[JSON]


class Gone(LLMFlowError):
    """The server has gone, or cannot be reached just now."""


class ServerListener:
    """One connection after another to a server; what happens between two is asked for."""

    def __init__(self, source: ServerSource, filter_text: str) -> None:
        """Listen to what `filter_text` lets through."""
        self._source = source
        self._params = {"filter": filter_text, "joined": "0"}
        self.change = -1  # the last change known of; -1: none yet

    def __repr__(self) -> str:
        return f"<ServerListener {self._source.where} at {self.change}>"

    def events(self) -> Iterator[Event]:
        """Yield what happens until the server goes.

        Raises:
            Gone: It has gone.
            LLMFlowError: It does not let us in, or is no LLMFlow.
        """
        stream = _Stream(self._source)
        try:
            for message in stream.messages():
                kind = message.get("type")
                if kind == "hello":
                    after = None if self.change < 0 else self.change
                    self.change = max(self.change, int(message["seq"]))
                    stream.send({"type": "subscribe", "traces": True, "filter": self._params, "after": after})
                    if after is not None:
                        yield from self._missed(after)
                elif kind == "trace":
                    self.change = max(self.change, int(message["seq"]))
                    yield Event(message["op"], message["rows"])
                elif kind == "gap":
                    yield from self._missed(max(0, int(message["from"]) - 1))
                elif kind == "error":
                    raise LLMFlowError(str(message["error"]))
        finally:
            stream.close()

    def _missed(self, after: int) -> Iterator[Event]:
        """Yield what was committed after a change, page by page."""
        while True:
            params = {**self._params, "after": str(after), "limit": str(PAGE_ROWS)}
            page = self._source.get("/api/traces", params)
            if page.value:
                yield Event("new", [row for row in page.value if row["seq"] > after])
            self.change = max(self.change, page.change)
            if len(page.value) < PAGE_ROWS:
                return
            after = page.change


class _Stream:
    """A WebSocket, read until it ends."""

    def __init__(self, source: ServerSource) -> None:
        self._reader = websocket.Reader(MAX_MESSAGE_BYTES, is_client=True)
        self._socket, self._rest = _opened(source)

    def messages(self) -> Iterator[JSON]:
        """Yield messages; asks after a server that is silent. Raises Gone."""
        self._socket.settimeout(SILENCE_S)
        data, is_asked = self._rest, False
        while True:
            for event in self._reader.feed(data):
                if isinstance(event, websocket.Text):
                    yield json.loads(event.text)
                elif isinstance(event, websocket.Ping):
                    self._write(websocket.encode_pong(event.payload))
                elif isinstance(event, websocket.Close | websocket.Breach):
                    raise Gone("the server said goodbye")
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                if is_asked:
                    raise Gone("the server is silent") from None
                is_asked, data = True, b""
                self._write(websocket.encode_ping(b"there?"))
                continue
            except OSError as error:
                raise Gone(str(error)) from error
            is_asked = False
            if not data:
                raise Gone("the server closed the connection")

    def send(self, message: JSON) -> None:
        """Send a message."""
        self._write(websocket.encode_text(json.dumps(message).encode()))

    def _write(self, frame: bytes) -> None:
        try:
            self._socket.sendall(websocket.masked(frame, os.urandom(4)))
        except OSError as error:
            raise Gone(str(error)) from error

    def close(self) -> None:
        """Say goodbye and hang up."""
        try:
            self._socket.settimeout(1.0)
            self._socket.sendall(websocket.masked(websocket.encode_close(websocket.NORMAL_CLOSURE), os.urandom(4)))
        except OSError:
            pass
        self._socket.close()


def _opened(source: ServerSource) -> tuple[socket.socket, bytes]:
    """Return a connection after the handshake and what came behind it. Raises Gone or LLMFlowError."""
    connection, root = connection_to(source.where, CONNECT_TIMEOUT_S)
    try:
        connection.connect()
    except OSError as error:
        connection.close()
        raise Gone(f"{source.where} cannot be reached: {error}") from error
    sock: socket.socket = connection.sock
    try:
        key = base64.b64encode(os.urandom(16)).decode()
        headers = {"x-llmflow-token": source.token} if source.token else {}
        sock.sendall(websocket.opening_head(_host_of(connection), f"{root}/ws", key, headers))
        head, rest = _read_head(sock)
        problem = websocket.opening_problem(head, key)
    except OSError as error:
        sock.close()
        raise Gone(f"{source.where}: {error}") from error
    if problem is not None:
        sock.close()
        status, sentence = problem
        if status == 503:
            raise Gone(sentence)
        hint = " LLMFLOW_TOKEN holds its token." if status in (401, 403) else ""
        raise LLMFlowError(f"{source.where}: {sentence}.{hint}")
    return sock, rest


def _host_of(connection: Any) -> str:
    host = f"[{connection.host}]" if ":" in connection.host else connection.host
    return f"{host}:{connection.port}"


def _read_head(sock: socket.socket) -> tuple[bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(4096)
        if not piece or len(data) > MAX_HEAD_BYTES:
            raise OSError("no answer to the WebSocket handshake")
        data += piece
    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest


def follow_file(source: FileSource, filter_text: str, change: int) -> Iterator[Event]:
    """Yield what is committed to a file after a change, for ever; an empty event after each look that finds nothing."""
    while True:
        params = {"filter": filter_text, "joined": "0", "after": str(change), "limit": str(PAGE_ROWS)}
        page = source.get("/api/traces", params)
        new = [row for row in page.value if row["seq"] > change]
        change = max(change, page.change)
        yield Event("new", new)
        if len(page.value) < PAGE_ROWS:
            time.sleep(POLL_S)
