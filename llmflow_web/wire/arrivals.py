"""When which bytes of a body came: pairs of (offset, microseconds) as varints of their differences.

Sans I/O. Offsets are those of the stored (decoded) body; times count from the head of the request.
"""

from __future__ import annotations

from collections.abc import Sequence

Arrival = tuple[int, int]
"""(bytes of the body that were there before it, microseconds since the request)."""


def encode_arrivals(arrivals: Sequence[Arrival]) -> bytes:
    """Write arrivals. Neither offsets nor times may fall; where they do, the difference counts as 0."""
    out = bytearray()
    last_offset = last_us = 0
    for offset, us in arrivals:
        for value in (max(0, offset - last_offset), max(0, us - last_us)):
            rest = value
            while rest > 0x7F:
                out.append(rest & 0x7F | 0x80)
                rest >>= 7
            out.append(rest)
        last_offset, last_us = max(offset, last_offset), max(us, last_us)
    return bytes(out)


def decode_arrivals(data: bytes) -> list[Arrival]:
    """Read arrivals; an unfinished pair at the end is left out."""
    values: list[int] = []
    value = shift = 0
    for byte in data:
        value |= (byte & 0x7F) << shift
        if byte & 0x80:
            shift += 7
        else:
            values.append(value)
            value = shift = 0
    arrivals: list[Arrival] = []
    offset = us = 0
    for step, wait in zip(values[::2], values[1::2], strict=False):
        offset += step
        us += wait
        arrivals.append((offset, us))
    return arrivals
