"""The protobuf wire format: reading a message by a table of its fields, and the pieces a message is written from.

Sans I/O; knows no message. Reading goes over one `bytes` object by offsets, in one pass: slices are made only of what
is kept. What is no protobuf raises Malformed, or IndexError where a number runs over the end of the buffer: who starts
a reading maps both.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

VARINT, FIXED64, LENGTH, GROUP, GROUP_END, FIXED32 = range(6)

MAX_TAG = 0xFFFF_FFFF
MASK_64 = 0xFFFF_FFFF_FFFF_FFFF
MASK_32 = 0xFFFF_FFFF

double_at = struct.Struct("<d").unpack_from
_ONE_BYTE = [bytes((number,)) for number in range(128)]
CUT = "it ends in the middle of a field"


class Malformed(ValueError):
    """These bytes are no protobuf message; the text says why."""


class Source(Protocol):
    """What a reading reads from; readers know more of it."""

    @property
    def buffer(self) -> bytes:
        """The whole body."""


Reader = Callable[[Any, Any, int, int, int], None]
"""(reading, target, start, stop, depth): take the field at buffer[start:stop]; of a varint `start` is the value."""


def varint(buffer: bytes, at: int) -> tuple[int, int]:
    """Return the varint at `at`, as 64 unsigned bits, and where it ends."""
    first = buffer[at]
    if first < 128:
        return first, at + 1
    second = buffer[at + 1]
    if second < 128:  # most lengths of texts
        return first & 127 | second << 7, at + 2
    value = first & 127 | (second & 127) << 7
    for nth in range(2, 10):
        byte = buffer[at + nth]
        value |= (byte & 127) << 7 * nth
        if byte < 128:
            return value & MASK_64, at + nth + 1
    raise Malformed("a number has more than ten bytes")


def signed(value: int, bits: int) -> int:
    """Read the low `bits` of a varint as two's complement."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def unzigzag(value: int) -> int:
    """Read a varint as sint32."""
    value &= MASK_32
    return value >> 1 ^ -(value & 1)


def place(buffer: bytes, tag: int, at: int) -> tuple[int, int]:
    """Return (start, stop) of the field whose tag ends at `at`; of a varint (value, stop). `stop` may pass the end."""
    kind = tag & 7
    if tag < 8 or tag > MAX_TAG:
        raise Malformed("a field has no valid number")
    if kind == VARINT:
        return varint(buffer, at)
    if kind == LENGTH:
        size, at = varint(buffer, at)
        return at, at + size
    if kind == FIXED64:
        return at, at + 8
    if kind == FIXED32:
        return at, at + 4
    if kind == GROUP:
        return at, _group_end(buffer, tag >> 3, at)
    raise Malformed("a field has no valid type")


def _group_end(buffer: bytes, number: int, at: int) -> int:
    """Return where the group `number`, opened before `at`, ends. Groups nest without recursion."""
    open_groups = [number]
    while open_groups:
        tag, at = varint(buffer, at)
        kind = tag & 7
        if kind == GROUP:
            open_groups.append(tag >> 3)
        elif kind == GROUP_END:
            if open_groups.pop() != tag >> 3:
                raise Malformed("a group ends that was not begun")
        else:
            at = place(buffer, tag, at)[1]
    return at


def fields(buffer: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield (tag, start, stop) of each field of the message buffer[at:end]; of a varint `start` is the value."""
    while at < end:
        tag, at = varint(buffer, at)
        start, at = place(buffer, tag, at)
        if at > end:
            raise Malformed(CUT)
        yield tag, start, at


def read_message(  # noqa: PLR0917 - called for every message; keywords would cost a tenth
    reading: Source, readers: Mapping[int, Reader], target: object, at: int, end: int, depth: int
) -> None:
    """Hand each field of the message buffer[at:end] to the reader of its tag; fields without one are passed over.

    A field that comes with another wire type than its own has another tag, so it counts as unknown, as it should.
    """
    buffer = reading.buffer
    find = readers.get
    while at < end:
        tag = buffer[at]
        at += 1
        if tag > 127:
            tag, at = varint(buffer, at - 1)
        if tag & 7 == LENGTH and tag > 7:  # `place` inline: nearly all fields are of this type
            size = buffer[at]
            start = at + 1
            if size > 127:
                size, start = varint(buffer, at)
            at = start + size
        else:
            start, at = place(buffer, tag, at)
        if at > end:
            raise Malformed(CUT)
        reader = find(tag)
        if reader is not None:
            reader(reading, target, start, at, depth)


def packed_varints(buffer: bytes, at: int, end: int) -> list[int]:
    """Return the numbers of a packed field of varints."""
    numbers = []
    while at < end:
        number, at = varint(buffer, at)
        numbers.append(number)
    if at != end:
        raise Malformed(CUT)
    return numbers


def packed_fixed(buffer: bytes, at: int, end: int, code: str) -> list[Any]:
    """Return the numbers of a packed field of eight-byte values; `code` is struct's: Q or d."""
    if (end - at) % 8:
        raise Malformed("a list of eight-byte numbers has a broken length")
    return list(struct.unpack_from(f"<{(end - at) // 8}{code}", buffer, at))


def varint_bytes(value: int) -> bytes:
    """Write a number as varint; a negative one as its 64 bits of two's complement."""
    if 0 <= value < 128:
        return _ONE_BYTE[value]
    value &= MASK_64
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def zigzag(value: int) -> int:
    """Turn an sint32 into the number its varint carries."""
    return (value << 1 ^ value >> 31) & MASK_32


def tag_bytes(number: int, kind: int) -> bytes:
    """Write the tag of a field."""
    return varint_bytes(number << 3 | kind)


def block(tag: bytes, data: bytes) -> bytes:
    """Write a length-delimited field."""
    return tag + varint_bytes(len(data)) + data
