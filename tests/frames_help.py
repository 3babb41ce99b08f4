"""WebSocket frames as the other side may write them: masked, in fragments, deflated."""

from __future__ import annotations

import zlib
from itertools import pairwise

from llmflow_web.wire.websocket import CONTINUATION, PING, apply_mask, encode_frame

MASK = b"\x01\x02\x03\x04"


def masked(frame: bytes) -> bytes:
    at = {126: 4, 127: 10}.get(frame[1], 2)
    return frame[:1] + bytes([frame[1] | 0x80]) + frame[2:at] + MASK + apply_mask(frame[at:], MASK)


def fragments(opcode: int, payload: bytes, cuts: list[int], *, is_deflated: bool = False) -> bytes:
    """Write a message in pieces, a ping between each two."""
    marks = [0, *sorted(cut % (len(payload) + 1) for cut in cuts), len(payload)]
    pieces = [payload[a:b] for a, b in pairwise(marks)]
    out = b""
    for index, piece in enumerate(pieces):
        frame = bytearray(encode_frame(opcode if index == 0 else CONTINUATION, piece))
        frame[0] = frame[0] & (0xFF if index == len(pieces) - 1 else 0x7F) | (0x40 if is_deflated and not index else 0)
        out += bytes(frame) + (encode_frame(PING, b"p") if index < len(pieces) - 1 else b"")
    return out


def deflate(payloads: list[bytes], *, keeps_window: bool) -> list[bytes]:
    machine = zlib.compressobj(wbits=-15)
    out = []
    for payload in payloads:
        if not keeps_window:
            machine = zlib.compressobj(wbits=-15)
        out.append((machine.compress(payload) + machine.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\x00\x00\xff\xff"))
    return out
