"""WebSocket (RFC 6455) as pure functions and one machine: bytes in, events out. No extensions.

    handshake_problem(head) → None: answer with switching_head(head)      Reader().feed(bytes) → events
    encode_text, encode_ping, encode_pong, encode_close → frames to send

The client's side: opening_head(…) and opening_problem(…), Reader(is_client=True), and masked(frame) of what it sends.

Reader: OPEN ──close frame──▶ CLOSED      OPEN ──breach──▶ CLOSED (last event: Breach with the code to close with)
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from llmflow_web.wire.head import RequestHead
from llmflow_web.wire.headers import get, get_all, tokens

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_FIN, _RESERVED, _MASKED = 0x80, 0x70, 0x80

NORMAL_CLOSURE = 1000
GOING_AWAY = 1001
PROTOCOL_ERROR = 1002
UNSUPPORTED_DATA = 1003
INVALID_PAYLOAD = 1007
TOO_BIG = 1009
INTERNAL_ERROR = 1011
TRY_AGAIN_LATER = 1013
NO_STATUS = 1005  # never on the wire: what a close frame without a code means

MAX_MESSAGE_BYTES = 1024 * 1024
MAX_CONTROL_BYTES = 125


# --- the handshake ---


def accept_key(key: bytes) -> str:
    """Return Sec-WebSocket-Accept for Sec-WebSocket-Key."""
    import hashlib

    return base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest()).decode("ascii")


def handshake_problem(head: RequestHead) -> tuple[int, str] | None:
    """Say what keeps a request from becoming a WebSocket, as (status, sentence); None = nothing."""
    if head.method != b"GET" or head.version != b"1.1":
        return 400, "A WebSocket begins with GET over HTTP/1.1."
    if b"websocket" not in tokens(head.headers, b"upgrade") or b"upgrade" not in tokens(head.headers, b"connection"):
        return 400, "WebSocket upgrade failed"
    if get(head.headers, b"sec-websocket-version") != b"13":
        return 426, "Only version 13 of WebSocket is spoken here."
    keys = get_all(head.headers, b"sec-websocket-key")
    if len(keys) != 1 or not _is_key(keys[0]):
        return 400, "Sec-WebSocket-Key is missing or not 16 bytes in base64."
    return None


def _is_key(key: bytes) -> bool:
    try:
        return len(key) == 24 and len(base64.b64decode(key, validate=True)) == 16
    except binascii.Error:
        return False


def switching_head(head: RequestHead) -> bytes:
    """Return the whole head of the 101 answer. No subprotocol and no extension is agreed to."""
    key = get(head.headers, b"sec-websocket-key") or b""
    return (
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
        f"sec-websocket-accept: {accept_key(key)}\r\n\r\n"
    ).encode("ascii")


def opening_head(host: str, path: str, key: str, headers: Mapping[str, str]) -> bytes:
    """Return the whole head of a client's handshake; `key` is 16 random bytes in base64."""
    lines = [
        f"GET {path} HTTP/1.1",
        f"host: {host}",
        "upgrade: websocket",
        "connection: Upgrade",
        "sec-websocket-version: 13",
        f"sec-websocket-key: {key}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def opening_problem(head: bytes, key: str) -> tuple[int, str] | None:
    """Say what keeps a server's answer from being a WebSocket, as (status, sentence); None = nothing."""
    first, *lines = head.decode("latin-1").split("\r\n")
    status = first.split(" ", 2)[1] if first.startswith("HTTP/1.1 ") else ""
    if not (status.isascii() and status.isdecimal()):
        return 0, "what answers there does not speak HTTP/1.1"
    if status != "101":
        return int(status), f"a WebSocket was refused with {status}"
    fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if fields.get("sec-websocket-accept") != accept_key(key.encode("ascii")):
        return 101, "the answer to the WebSocket handshake is not one to ours"
    return None


# --- frames out ---


def encode_frame(opcode: int, payload: bytes) -> bytes:
    """Return one final, unmasked frame."""
    size = len(payload)
    if size <= 125:
        return struct.pack("!BB", _FIN | opcode, size) + payload
    if size <= 0xFFFF:
        return struct.pack("!BBH", _FIN | opcode, 126, size) + payload
    return struct.pack("!BBQ", _FIN | opcode, 127, size) + payload


def masked(frame: bytes, mask: bytes) -> bytes:
    """Return a frame as a client sends it; `mask` is four random bytes."""
    start = {126: 4, 127: 10}.get(frame[1], 2)
    return frame[:1] + bytes([frame[1] | _MASKED]) + frame[2:start] + mask + apply_mask(frame[start:], mask)


def encode_text(text: bytes) -> bytes:
    """Return a text message; `text` is UTF-8."""
    return encode_frame(TEXT, text)


def encode_ping(payload: bytes = b"") -> bytes:
    """Return a ping."""
    return encode_frame(PING, payload)


def encode_pong(payload: bytes) -> bytes:
    """Return the answer to a ping."""
    return encode_frame(PONG, payload)


def encode_close(code: int, reason: str = "") -> bytes:
    """Return a close frame; NO_STATUS makes an empty one. A long reason is cut between characters."""
    if code == NO_STATUS:
        return encode_frame(CLOSE, b"")
    text = reason.encode()[: MAX_CONTROL_BYTES - 2].decode("utf-8", "ignore").encode()
    return encode_frame(CLOSE, struct.pack("!H", code) + text)


def apply_mask(payload: bytes, mask: bytes) -> bytes:
    """Mask or unmask: XOR with the four bytes over and over, done on one big integer."""
    size = len(payload)
    if not size:
        return b""
    pattern = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(pattern, "big")).to_bytes(size, "big")


# --- frames in ---


@dataclass(frozen=True, slots=True)
class Text:
    """A whole text message."""

    text: str


@dataclass(frozen=True, slots=True)
class Binary:
    """A whole binary message."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Ping:
    """To be answered with a pong of the same payload."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Pong:
    """The answer to a ping of ours, or nothing in particular."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """The peer closes; nothing follows."""

    code: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Breach:
    """The peer broke the protocol: close with `code`; nothing follows."""

    code: int
    reason: str


Event = Text | Binary | Ping | Pong | Close | Breach


class _BreachError(Exception):
    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.breach = Breach(code, reason)


class Reader:
    """Turns the other side's bytes into events: the same ones however the bytes are cut."""

    def __init__(self, max_message_bytes: int = MAX_MESSAGE_BYTES, *, is_client: bool = False) -> None:
        """Read what a client sends, or with `is_client`, being one, what a server does: only the former is masked."""
        self.is_closed = False
        self._mask_bytes = 0 if is_client else 4
        self._limit = max_message_bytes
        self._buffer = bytearray()
        self._opcode = CONTINUATION  # of the message under way; CONTINUATION = none is
        self._parts: list[bytes] = []
        self._size = 0

    def __repr__(self) -> str:
        state = "closed" if self.is_closed else "in a message" if self._opcode else "open"
        return f"<Reader {state}, {len(self._buffer)} bytes of a frame>"

    def feed(self, data: bytes) -> list[Event]:
        """Take bytes, return what they complete. After Close or Breach everything is ignored."""
        if self.is_closed:
            return []
        self._buffer += data
        events: list[Event] = []
        try:
            while not self.is_closed and (frame := self._next_frame()) is not None:
                event = self._take(*frame)
                if event is not None:
                    events.append(event)
        except _BreachError as error:
            self.is_closed = True
            events.append(error.breach)
        if self.is_closed:
            self._buffer.clear()
            self._parts.clear()
        return events

    def _next_frame(self) -> tuple[int, int, bytes] | None:
        """Cut one frame off the buffer, as (FIN bit, opcode, payload); None = not all of it is there."""
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        fin, opcode = buffer[0] & _FIN, buffer[0] & 0x0F
        self._check_first_bytes(fin, opcode, buffer[0], buffer[1])
        size, start = buffer[1] & 0x7F, 2
        if size >= 126:
            width = 2 if size == 126 else 8
            start += width
            if len(buffer) < start:
                return None
            size = int.from_bytes(buffer[2:start], "big")
            if size <= (125 if width == 2 else 0xFFFF) or size >> 63:
                raise _BreachError(PROTOCOL_ERROR, "a length is not written in its shortest form")
        if opcode < CLOSE and self._size + size > self._limit:  # before anything is kept of it
            raise _BreachError(TOO_BIG, f"a message is larger than {self._limit} bytes")
        start += self._mask_bytes
        end = start + size
        if len(buffer) < end:
            return None
        payload = bytes(buffer[start:end])
        if self._mask_bytes:
            payload = apply_mask(payload, bytes(buffer[start - 4 : start]))
        del buffer[:end]
        return fin, opcode, payload

    def _check_first_bytes(self, fin: int, opcode: int, first: int, second: int) -> None:
        if first & _RESERVED:
            raise _BreachError(PROTOCOL_ERROR, "reserved bits are set")
        if bool(second & _MASKED) != bool(self._mask_bytes):
            raise _BreachError(
                PROTOCOL_ERROR,
                "a client's frame is not masked" if self._mask_bytes else "a server's frame is masked",
            )
        if opcode >= CLOSE:
            if opcode > PONG:
                raise _BreachError(PROTOCOL_ERROR, "an opcode is reserved")
            if not fin or second & 0x7F > MAX_CONTROL_BYTES:
                raise _BreachError(PROTOCOL_ERROR, "a control frame is fragmented or too long")
        elif opcode > BINARY:
            raise _BreachError(PROTOCOL_ERROR, "an opcode is reserved")
        elif (opcode == CONTINUATION) != (self._opcode != CONTINUATION):
            raise _BreachError(PROTOCOL_ERROR, "fragments are out of order")

    def _take(self, fin: int, opcode: int, payload: bytes) -> Event | None:
        if opcode == PING:
            return Ping(payload)
        if opcode == PONG:
            return Pong(payload)
        if opcode == CLOSE:
            self.is_closed = True
            return _read_close(payload)
        self._opcode = opcode or self._opcode
        self._parts.append(payload)
        self._size += len(payload)
        return self._end_message() if fin else None

    def _end_message(self) -> Event:
        data, opcode = b"".join(self._parts), self._opcode
        self._parts, self._size, self._opcode = [], 0, CONTINUATION
        return Binary(data) if opcode == BINARY else Text(_decoded(data))


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise _BreachError(INVALID_PAYLOAD, "text is not UTF-8") from None


def _read_close(payload: bytes) -> Close:
    if not payload:
        return Close(NO_STATUS)
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or not is_valid_close_code(code):
        raise _BreachError(PROTOCOL_ERROR, "a close code is invalid")
    return Close(code, _decoded(payload[2:]))


def is_valid_close_code(code: int) -> bool:
    """Say whether a close code may be on the wire (RFC 6455 §7.4 and the registry)."""
    return 3000 <= code <= 4999 or (1000 <= code <= 1014 and code not in (1004, 1005, 1006))
