"""Chunked bodies (RFC 9112 §7.1): finding their end, and their payload, in bytes cut anywhere.

The walker reads size lines only and steps over the payload; whole chunks cost one regular expression each.
It is strict (hex digits, an extension without control characters, CRLF) where h11 is lenient, never the other way.
"""

from __future__ import annotations

import re
from contextlib import suppress

MAX_SIZE_LINE_BYTES = 1024
"""One size line with its extension."""
MAX_TRAILER_BYTES = 8192
"""All trailer lines together."""
LAST_CHUNK = b"0\r\n\r\n"

_TOKEN = rb"[-!#$%&'*+.^_`|~0-9a-zA-Z]++"
_TEXT = rb"[\t -~\x80-\xff]*+"
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,16}+)(?:;" + _TEXT + rb"|[ \t]*+)\r\n")
_SIZE_LINE_BEGUN = re.compile(rb"(?:[0-9A-Fa-f]{1,16}+(?:;" + _TEXT + rb"|[ \t]*+)\r?)?")
_TRAILERS = re.compile(rb"(?:" + _TOKEN + rb":" + _TEXT + rb"\r\n)*+\r\n")


class ChunkedError(ValueError):
    """What came is not a chunked body; the message says why."""


class ChunkedWalker:
    """Finds the end of one chunked body. Feed it pieces until `is_done`."""

    __slots__ = ("_carry", "_is_last", "_left", "is_done")

    def __init__(self) -> None:
        self.is_done = False
        self._left = 0  # bytes of the running chunk still to come, the CRLF behind it included
        self._is_last = False  # the chunk of size 0 has been read; trailers follow
        self._carry = b""  # an unfinished size line, trailer part or CRLF

    def __repr__(self) -> str:
        state = "done" if self.is_done else "in trailers" if self._is_last else f"{self._left} bytes of a chunk left"
        return f"<{type(self).__name__} {state}>"

    def feed(self, data: bytes, start: int = 0) -> int:
        """Walk over `data` from `start`; return the offset behind the last byte that belongs to the body.

        Raises ChunkedError.
        """
        return self.collect(data, start, None)

    def collect(self, data: bytes, start: int, payload: list[bytes] | None) -> int:
        """Walk like `feed` and append the payload met to `payload`."""
        if self.is_done:
            return start
        carried = len(self._carry)
        if carried:
            data = self._carry + data[start:]
            self._carry = b""
            return self._walk(data, 0, payload) - carried + start
        return self._walk(data, start, payload)

    def _walk(self, data: bytes, at: int, payload: list[bytes] | None) -> int:
        size = len(data)
        left = self._left
        while not self._is_last:
            if left:
                end = at + left
                if end > size:
                    return self._cut_in_chunk(data, at, end, payload)
                if data[end - 2 : end] != b"\r\n":
                    raise ChunkedError("a chunk is longer than its size says")
                if payload is not None and left > 2:
                    payload.append(data[at : end - 2])
                at = end
            line = _SIZE_LINE.match(data, at)
            if line is None or line.end() - at > MAX_SIZE_LINE_BYTES:
                self._left = 0
                return self._cut_in_size_line(data, at)
            at = line.end()
            left = int(line[1], 16) + 2
            if left == 2:
                self._is_last = True
        return self._trailers(data, at)

    def _cut_in_chunk(self, data: bytes, at: int, end: int, payload: list[bytes] | None) -> int:
        size = len(data)
        stop = min(size, end - 2)
        if payload is not None and stop > at:
            payload.append(data[at:stop])
        self._carry = data[stop:]  # at most the CR of the CRLF behind the chunk
        if self._carry not in (b"", b"\r"):
            raise ChunkedError("a chunk is longer than its size says")
        self._left = end - stop
        return size

    def _cut_in_size_line(self, data: bytes, at: int) -> int:
        rest = data[at : at + MAX_SIZE_LINE_BYTES + 1]
        if len(rest) > MAX_SIZE_LINE_BYTES:
            raise ChunkedError("a chunk's size line is too long")
        if _SIZE_LINE_BEGUN.fullmatch(rest) is None:
            raise ChunkedError("a chunk's size line is malformed")
        self._carry = rest
        return len(data)

    def _trailers(self, data: bytes, at: int) -> int:
        if data.startswith(b"\r\n", at):
            self.is_done = True
            return at + 2
        blank = data.find(b"\r\n\r\n", at, at + MAX_TRAILER_BYTES)
        if blank >= 0:
            if _TRAILERS.fullmatch(data, at, blank + 4) is None:
                raise ChunkedError("a trailer line is malformed")
            self.is_done = True
            return blank + 4
        if len(data) - at >= MAX_TRAILER_BYTES:
            raise ChunkedError("the trailers are too long")
        self._carry = data[at:]
        return len(data)


class ChunkedDecoder:
    """Undoes chunk framing piece by piece."""

    __slots__ = ("_walker",)

    def __init__(self) -> None:
        self._walker = ChunkedWalker()

    def __repr__(self) -> str:
        return f"<ChunkedDecoder over {self._walker!r}>"

    @property
    def is_done(self) -> bool:
        """Say whether the body has ended."""
        return self._walker.is_done

    def feed(self, data: bytes) -> bytes:
        """Return the payload in `data`; what lies behind the body's end is ignored. Raises ChunkedError."""
        payload: list[bytes] = []
        self._walker.collect(data, 0, payload)
        return payload[0] if len(payload) == 1 else b"".join(payload)


def decode_chunked(data: bytes) -> bytes:
    """Return the payload of a chunked body that may be cut or broken at its end: what is there up to the flaw."""
    payload: list[bytes] = []
    with suppress(ChunkedError):  # a recorded body is shown as far as it can be read
        ChunkedWalker().collect(data, 0, payload)
    return b"".join(payload)


def encode_chunk(data: bytes) -> bytes:
    """Frame `data` as one chunk. Empty data would read as the last chunk, so it gives nothing."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""
