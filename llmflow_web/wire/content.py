"""Undoing content-encoding for the record: gzip, deflate in both forms, br where it is installed, stacked.

Sans I/O. Bodies may be cut short and may be bombs: output is bounded, and what cannot be undone stays raw.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Protocol

from llmflow_web.errors import BadRequest, TooLarge

MAX_CODINGS = 4
"""Encodings stacked deeper than this are not undone."""

_STEP = 1024
"""Compressed bytes handed at a time to a decoder that cannot bound its own output."""


def _brotli() -> Any:
    try:
        import brotli  # optional, and 1 MB to load: only when a body needs it
    except ImportError:
        return None
    return brotli


@lru_cache(maxsize=1)
def has_brotli() -> bool:
    """Say whether br can be undone here."""
    from importlib.util import find_spec

    return find_spec("brotli") is not None


class _Inflater(Protocol):
    def feed(self, data: bytes, room: int) -> bytes: ...


class _Zlib:
    """gzip (several members too) and deflate, with or without the zlib wrapper."""

    def __init__(self) -> None:
        self._machine: Any = None
        self._head = b""

    def feed(self, data: bytes, room: int) -> bytes:
        if self._machine is None:
            data = self._head + data
            if len(data) < 2:
                self._head = data
                return b""
            self._machine = zlib.decompressobj(_window_bits(data))
        out = self._machine.decompress(data, room)
        while self._machine.eof and self._machine.unused_data[:2] == b"\x1f\x8b" and len(out) < room:
            rest = self._machine.unused_data
            self._machine = zlib.decompressobj(31)
            out += self._machine.decompress(rest, room - len(out))
        return bytes(out)

    @property
    def is_complete(self) -> bool:
        """Say whether the end of the compressed data has been seen."""
        return self._machine is not None and bool(self._machine.eof)


def _window_bits(head: bytes) -> int:
    """Tell gzip, zlib and raw deflate apart by the first two bytes."""
    if head[:2] == b"\x1f\x8b":
        return 31
    is_wrapped = head[0] & 0x0F == 8 and ((head[0] << 8) | head[1]) % 31 == 0
    return 15 if is_wrapped else -15


class _Br:
    def __init__(self) -> None:
        self._machine = _brotli().Decompressor()
        self._is_bounded = hasattr(self._machine, "can_accept_more_data")  # brotli ≥ 1.2

    def feed(self, data: bytes, room: int) -> bytes:
        if self._is_bounded:
            return bytes(self._machine.process(data, output_buffer_limit=room))
        parts: list[bytes] = []
        size = 0
        for at in range(0, len(data), _STEP):
            part = self._machine.process(data[at : at + _STEP])
            parts.append(part)
            size += len(part)
            if size >= room:
                break
        return b"".join(parts)


_MAKERS: dict[str, type[_Zlib | _Br]] = {
    "gzip": _Zlib,
    "x-gzip": _Zlib,
    "deflate": _Zlib,
    "br": _Br,
}


def supported_encodings() -> frozenset[bytes]:
    """Return the content codings that can be undone here."""
    plain = {b"gzip", b"x-gzip", b"deflate", b"identity"}
    return frozenset(plain | {b"br"} if has_brotli() else plain)


def codings_of(content_encoding: str) -> list[str] | None:
    """List the codings to undo, last applied first; None when one of them is unknown here."""
    names = [name.strip().lower() for name in content_encoding.split(",")]
    names = [name for name in names if name not in ("", "identity")]
    if len(names) > MAX_CODINGS or any(name.encode() not in supported_encodings() for name in names):
        return None
    return names[::-1]


class ContentDecoder:
    """Undoes content-encoding piece by piece, up to `limit` bytes of output.

    `has_failed`: the bytes are not what the header says; nothing more comes out.
    """

    def __init__(self, codings: list[str], limit: int) -> None:
        self.limit = limit
        self.size = 0
        self.has_failed = False
        self._inflaters: list[_Inflater] = [_MAKERS[name]() for name in codings]

    def feed(self, data: bytes) -> bytes:
        """Take encoded bytes, return decoded ones; past the limit nothing comes any more."""
        if self.size >= self.limit or self.has_failed:
            return b""
        try:
            for inflater in self._inflaters:
                data = inflater.feed(data, self.limit) if data else b""
        except Exception:  # noqa: BLE001  (zlib.error and brotli.error, the latter only known when installed)
            self.has_failed = True
            return b""
        data = data[: self.limit - self.size]
        self.size += len(data)
        return data


def decode_body(data: bytes, content_encoding: str, limit: int) -> tuple[bytes, bool]:
    """Return (body, is_raw): the body without its content-encoding, at most `limit` bytes of it.

    is_raw: the encoding is unknown here or the bytes do not follow it; the body is then `data` as it came.
    A body that was cut short gives what can be had of it.
    """
    codings = codings_of(content_encoding)
    if codings is None:
        return data[:limit], True
    if not codings or not data:
        return data[:limit], False
    decoder = ContentDecoder(codings, limit)
    out = decoder.feed(data)
    return (data[:limit], True) if decoder.has_failed else (out, False)


def inflated_request(data: bytes, codings: Sequence[str], limit: int) -> bytes:
    """Return a request's body without its codings (gzip, deflate; the last applied comes first), whole or not at all.

    Raises TooLarge when more than `limit` bytes come out, BadRequest when the bytes are something else or end early.
    """
    for name in codings if data else ():
        machine = _Zlib()
        try:
            data = machine.feed(data, limit + 1)
        except zlib.error as error:
            raise BadRequest(f"The body is not {name}, as its content-encoding says: {error}.") from error
        if len(data) > limit:
            raise TooLarge(f"The body is larger than {limit} bytes when it is decompressed.")
        if not machine.is_complete:
            raise BadRequest(f"The body ends before its {name} data does.")
    return data


@lru_cache(maxsize=256)
def reduce_accept_encoding(value: bytes) -> bytes:
    """Keep of an Accept-Encoding value what can be undone here, q-values included; `identity` if nothing is left."""
    known = supported_encodings()
    kept = []
    for item in value.split(b","):
        name, _, weight = item.strip().partition(b";")
        is_refusal = name.strip() == b"*" and weight.replace(b" ", b"") in (b"q=0", b"q=0.0", b"q=0.00", b"q=0.000")
        if name.strip().lower() in known or is_refusal:
            kept.append(item.strip())
    return b", ".join(kept) if kept or not value.strip() else b"identity"
