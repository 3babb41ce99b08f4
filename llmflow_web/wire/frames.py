"""What was said over a WebSocket, read from a copy of its bytes: either side's, masked or not, deflated or not.

Sans I/O and forgiving: a copy may be cut anywhere, and whoever broke a rule has been told so by the other side. The
strict reader of our own socket is wire/websocket.py.

    FrameLog(copy) → its messages          LateFrames(copy, late).feed(bytes) → what matters behind the copy's end
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from llmflow_web.model import Capture, Header
from llmflow_web.wire.headers import tokens
from llmflow_web.wire.websocket import BINARY, CLOSE, CONTINUATION, TEXT, apply_mask

_FIN, _DEFLATED, _MASKED = 0x80, 0x40, 0x80
_RESERVED = 0x70
_LENGTH_BYTES = {126: 2, 127: 8}
_SNIFFED = 256
_PIECES = (b".delta", b"inlineData", b"audio")  # of events that bring an answer in pieces: most of a session's bytes

MAX_LATE_FRAME_BYTES = 256 * 1024

_TAIL = b"\x00\x00\xff\xff"  # what a sender strips of a deflated message (RFC 7692 §7.2.1)


@dataclass(frozen=True, slots=True)
class Message:
    """One message, or one close frame. `end`: the offset behind its last frame in the copy."""

    opcode: int  # TEXT, BINARY or CLOSE
    data: bytes
    end: int


class FrameLog:
    """The messages of one direction of a connection; iterate once, then ask `is_cut`."""

    def __init__(self, data: bytes, *, is_deflated: bool, limit: int) -> None:
        """Read `data`. limit: payload bytes after inflating, all messages together."""
        self._data = data
        self._inflater = zlib.decompressobj(-15) if is_deflated else None
        self._left = limit
        self.is_cut = False  # not all of it could be read

    def __iter__(self) -> Iterator[Message]:
        pieces: list[bytes] = []
        opcode, is_deflated = CONTINUATION, False
        for first, payload, end in self._frames():
            kind = first & 0x0F
            if kind == CLOSE:
                yield Message(CLOSE, payload, end)
            elif kind in (TEXT, BINARY):
                pieces, opcode, is_deflated = [payload], kind, bool(first & _DEFLATED)
            elif kind == CONTINUATION and opcode:
                pieces.append(payload)
            if kind > BINARY or not first & _FIN or not opcode:
                continue
            whole = self._read(b"".join(pieces), is_deflated=is_deflated)
            if whole is None:
                return
            yield Message(opcode, whole, end)
            pieces, opcode = [], CONTINUATION

    def _frames(self) -> Iterator[tuple[int, bytes, int]]:
        """Yield (first byte, unmasked payload, offset behind it) of every whole frame."""
        data, at = self._data, 0
        while at + 2 <= len(data):
            first, second = data[at], data[at + 1]
            size, start = second & 0x7F, at + 2
            if size >= 126:
                width = 2 if size == 126 else 8
                size = int.from_bytes(data[start : start + width], "big")
                start += width
            mask = data[start : start + 4] if second & _MASKED else b""
            start += len(mask)
            at = start + size
            if at > len(data):
                break
            payload = data[start:at]
            yield first, apply_mask(payload, mask) if mask else payload, at
        self.is_cut = self.is_cut or at != len(data)

    def _read(self, data: bytes, *, is_deflated: bool) -> bytes | None:
        """Return a message's payload, inflated; None where it cannot be read on."""
        whole: bytes | None = data
        if is_deflated:
            whole = self._inflated(data) if self._inflater is not None else None
        if whole is None or len(whole) > self._left:
            self.is_cut = True
            return None
        self._left -= len(whole)
        return whole

    def _inflated(self, data: bytes) -> bytes | None:
        """Inflate one message. The window is kept: a sender that starts anew does not look back at it."""
        assert self._inflater is not None  # the caller has looked
        try:
            found = self._inflater.decompress(data + _TAIL, self._left + 1)
        except zlib.error:
            return None
        if self._inflater.eof:  # the sender closed its stream of blocks and begins another
            self._inflater = zlib.decompressobj(-15)
        elif self._inflater.unconsumed_tail and len(found) <= self._left:
            return None
        return found


class LateFrames:
    """Picks out of a session too long to be kept what its sums are made of: whole messages that are no pieces of sound.

    Every byte goes by here, so only the heads of frames are looked at until the copy is full.
    """

    __slots__ = ("_copy", "_end", "_frame", "_head", "_late", "_left")

    def __init__(self, copy: Capture, late: Capture) -> None:
        """Watch the server's bytes, which `copy` has before they are fed; what it has no room for goes to `late`."""
        self._copy = copy
        self._late = late
        self._head = bytearray()  # of the frame that begins
        self._frame: bytearray | None = None  # the frame under way, if it is to be looked at
        self._left = 0  # payload bytes it still has
        self._end = 0  # offset behind the heads and payloads so far

    def feed(self, data: bytes) -> None:
        """Take bytes of the server."""
        at = 0
        while at < len(data):
            if not self._left:
                self._head.append(data[at])
                at += 1
                if len(self._head) >= 2 and len(self._head) == _head_size(self._head[1]):
                    self._begin()
                continue
            step = min(self._left, len(data) - at)
            if self._frame is not None:
                self._frame += data[at : at + step]
            at += step
            self._left -= step
            if not self._left:
                self._complete()

    def _begin(self) -> None:
        head, first = self._head, self._head[0]
        width = _LENGTH_BYTES.get(head[1] & 0x7F, 0)
        self._left = int.from_bytes(head[2 : 2 + width], "big") if width else head[1] & 0x7F
        self._end += len(head) + self._left
        is_behind = self._end > self._copy.stored and (self._copy.is_cut or self._end > self._copy.limit)
        is_whole = first & _FIN and not first & _RESERVED and first & 0x0F in (TEXT, BINARY, CLOSE)
        if is_behind and is_whole and self._left <= MAX_LATE_FRAME_BYTES:
            self._frame = bytearray(head)
        self._head.clear()
        if not self._left:
            self._complete()

    def _complete(self) -> None:
        frame, self._frame = self._frame, None
        if frame is None or any(word in frame[:_SNIFFED] for word in _PIECES):
            return
        if self._late.stored + len(frame) <= self._late.limit:
            self._late.add(bytes(frame))
        else:
            self._late.size += len(frame)  # cut between frames, never inside one


def _head_size(second: int) -> int:
    return 2 + _LENGTH_BYTES.get(second & 0x7F, 0) + (4 if second & _MASKED else 0)


def is_deflate_agreed(headers: Sequence[Header]) -> bool:
    """Say whether a 101 answer agrees to permessage-deflate."""
    offers = tokens(headers, b"sec-websocket-extensions")
    return any(offer.partition(b";")[0].strip() == b"permessage-deflate" for offer in offers)
