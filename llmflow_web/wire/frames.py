"""What was said over a WebSocket, read from a copy of its bytes: either side's, masked or not, deflated or not.

Sans I/O and forgiving: a copy may be cut anywhere, and whoever broke a rule has been told so by the other side. The
strict reader of our own socket is wire/websocket.py.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from llmflow_web.model import Header
from llmflow_web.wire.headers import tokens
from llmflow_web.wire.websocket import BINARY, CLOSE, CONTINUATION, TEXT, apply_mask

_FIN, _DEFLATED, _MASKED = 0x80, 0x40, 0x80
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


def is_deflate_agreed(headers: Sequence[Header]) -> bool:
    """Say whether a 101 answer agrees to permessage-deflate."""
    offers = tokens(headers, b"sec-websocket-extensions")
    return any(offer.partition(b";")[0].strip() == b"permessage-deflate" for offer in offers)
