"""Server-sent events: an incremental decoder, an encoder, and the filter that takes out one usage chunk.

Sans I/O: bytes in, values out. Lines are split on bytes (LF, CR, CRLF and nothing else), decoded afterwards.
"""

from __future__ import annotations

import json
import re
from typing import Protocol

from llmflow_web.provider import Event

MAX_EVENT_BYTES = 16 * 1024 * 1024
"""An event larger than this is dropped and counted; the stream goes on."""

MAX_HELD_BYTES = 64 * 1024
"""A usage chunk is a few hundred bytes: an unfinished event beyond this is not one and is let through."""

_BOM = b"\xef\xbb\xbf"


class EventDecoder(Protocol):
    """Cuts a stream's bytes into events. `ends` holds the offset in the stream after each event of the last call."""

    ends: list[int]

    def feed(self, data: bytes) -> list[Event]:
        """Take bytes, return the events they complete."""

    def finish(self) -> list[Event]:
        """Return what was left without its end."""


class SSEDecoder:
    """Turns the bytes of an event stream, however cut, into events.

    `ends` holds, for each event of the last `feed` or `finish`, the offset in the whole stream after its last byte.
    """

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self.max_event_bytes = max_event_bytes
        self.ends: list[int] = []
        self.last_id = ""
        self.retry_ms: int | None = None
        self.dropped = 0  # events over the limit
        self._held: list[bytes] = []  # pieces of a line that has not ended; joined once, so never quadratic
        self._held_size = 0
        self._is_at_start = True
        self._after_cr = False  # a CR ended the last feed: a LF that follows belongs to it
        self._offset = 0  # bytes of the stream in whole lines so far
        self._type = ""
        self._data: list[bytes] = []
        self._size = 0
        self._is_too_large = False

    def __repr__(self) -> str:
        return f"<SSEDecoder offset={self._offset} held={self._held_size} lines={len(self._data)}>"

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes and return the events they complete."""
        self.ends = []
        if not data:
            return []
        data = self._skip_lf(data)
        if b"\n" not in data and b"\r" not in data:
            self._hold(data)
            return []
        if self._held:
            self._held.append(data)
            data = b"".join(self._held)
            self._held.clear()
            self._held_size = 0
        if self._is_at_start:
            data = self._skip_bom(data)
        return self._lines(data)

    def finish(self) -> list[Event]:
        """End the stream. An event that lacks its blank line counts: some servers leave it out."""
        self.ends = []
        events: list[Event] = []
        line = b"".join(self._held)
        self._held.clear()
        self._held_size = 0
        if self._is_at_start:
            line = self._skip_bom(line)
        if line:
            self._offset += len(line)
            self._field(line)
        self._dispatch(events)
        return events

    def _skip_lf(self, data: bytes) -> bytes:
        if self._after_cr:
            self._after_cr = False
            if data[0] == 0x0A:
                self._offset += 1
                return data[1:]
        return data

    def _skip_bom(self, data: bytes) -> bytes:
        self._is_at_start = False
        if data.startswith(_BOM):
            self._offset += len(_BOM)
            return data[len(_BOM) :]
        return data

    def _hold(self, data: bytes) -> None:
        if self._held_size > self.max_event_bytes:  # nothing of this line will be used, only its length
            self._is_too_large = True
            self._offset += len(data)
            return
        if data:
            self._held.append(data)
            self._held_size += len(data)

    def _lines(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        lines = data.splitlines(keepends=True)  # of bytes: splits on LF, CR and CRLF only
        last = lines[-1]
        if last[-1] not in b"\r\n":
            self._hold(lines.pop())
        else:
            self._after_cr = last[-1] == 0x0D
        for line in lines:
            self._offset += len(line)
            bare = line.rstrip(b"\r\n")
            if bare:
                self._field(bare)
            else:
                self._dispatch(events)
        return events

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if value[:1] == b" ":
            value = value[1:]
        if name == b"data":
            self._add_data(value)
        elif name == b"event":
            self._type = value.decode("utf-8", "replace")
        elif name == b"id":
            if b"\0" not in value:
                self.last_id = value.decode("utf-8", "replace")
        elif name == b"retry" and value.isdigit() and len(value) < 12:
            self.retry_ms = int(value)

    def _add_data(self, value: bytes) -> None:
        self._size += len(value) + 1
        if self._size > self.max_event_bytes:
            self._is_too_large = True
            self._data.clear()
        else:
            self._data.append(value)

    def _dispatch(self, events: list[Event]) -> None:
        if self._is_too_large:
            self.dropped += 1
        elif self._data:
            text = b"\n".join(self._data).decode("utf-8", "replace")
            events.append(Event(self._type or "message", text, self.last_id))
            self.ends.append(self._offset)
        self._type = ""
        self._data.clear()
        self._size = 0
        self._is_too_large = False


def encode(data: str, *, event: str = "", event_id: str = "") -> bytes:
    """Write one event. `data` may hold line ends: each line gets its own field."""
    lines = [f"event: {event}"] if event else []
    if event_id:
        lines.append(f"id: {event_id}")
    lines += [f"data: {line}" for line in data.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    return ("\n".join(lines) + "\n\n").encode()


# Two line ends in a row end an event. Atomic, so that one CRLF is never read as a CR and a LF.
_EVENT_END = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
_EMPTY_CHOICES = re.compile(rb'"choices"[ \t\r\n]*:[ \t\r\n]*\[[ \t\r\n]*\]')
_FIRST_LINE = re.compile(rb"\xef\xbb\xbf|[ \t]*(?:[\r\n:]|data|event|id|retry)")
_MAX_OPENING = 5  # length of the longest field name: enough to know


class UsageChunkFilter:
    """Takes the one chunk out of an OpenAI stream that we asked for: `"choices": []` with a usage object.

    All other bytes come out as they went in; only an unfinished event at the end is held back.
    """

    def __init__(self) -> None:
        self.removed = 0  # events taken out
        self._held: list[bytes] = []
        self._held_size = 0
        self._is_open = False  # inside an event too large to be the usage chunk: let it pass
        self._is_off = False  # this is no event stream: nothing changes
        self._is_known = False
        self._skip_lf = False  # the removed event ended in a CR whose LF is still to come

    def __repr__(self) -> str:
        return f"<UsageChunkFilter held={self._held_size} removed={self.removed} off={self._is_off}>"

    def feed(self, data: bytes) -> bytes:
        """Take the next payload bytes and return what may be sent on."""
        if self._is_off or not data:
            return data
        if self._skip_lf:
            self._skip_lf = False
            if data[0] == 0x0A:
                data = data[1:]
        # A line end on the border may belong to one in the next piece, hence the search over one joined buffer.
        # Without any line end in the new piece nothing can have been completed: no join, no scan.
        if self._held and self._held_size <= MAX_HELD_BYTES and b"\n" not in data and b"\r" not in data:
            self._hold(data)
            return b""
        if self._held:
            self._held.append(data)
            data = b"".join(self._held)
            self._held.clear()
            self._held_size = 0
        if not self._is_known and not self._look(data):
            return data if self._is_off else b""
        return self._pass(data)

    def finish(self) -> bytes:
        """End the stream and return what was held back."""
        tail = b"".join(self._held)
        self._held.clear()
        self._held_size = 0
        return self._without(tail) if tail and self._is_usage(tail) else tail

    def _look(self, data: bytes) -> bool:
        """Decide by the first bytes whether this is an event stream at all."""
        if _FIRST_LINE.match(data):
            self._is_known = True
            return True
        if len(data.lstrip()) < _MAX_OPENING and not data.lstrip().startswith((b"{", b"[", b"<")):
            self._hold(data)
            return False
        self._is_off = True
        return False

    def _hold(self, data: bytes) -> None:
        self._held.append(data)
        self._held_size += len(data)

    def _pass(self, data: bytes) -> bytes:
        out: list[bytes] = []
        start = 0
        if self._is_open:
            end = _EVENT_END.search(data)
            if end is None:
                return self._pass_open(data)
            self._is_open = False
            start = end.end()
            out.append(data[:start])
        if _EMPTY_CHOICES.search(data, start) is None:
            cut = _last_end(data, start)
            out.append(data[start:cut])
            start = cut
        else:
            start = self._pick(data, start, out)
        tail = data[start:]
        if len(tail) > MAX_HELD_BYTES:
            self._is_open = True
            out.append(self._pass_open(tail))
        elif tail:
            self._hold(tail)
        return out[0] if len(out) == 1 else b"".join(out)

    def _pass_open(self, data: bytes) -> bytes:
        """Let an oversized event pass, but keep a trailing line end: its twin may come next."""
        bare = data.rstrip(b"\r\n")
        if len(bare) < len(data):
            self._hold(data[len(bare) :])
        return bare

    def _pick(self, data: bytes, start: int, out: list[bytes]) -> int:
        """Go event by event and leave out the usage chunk; return where the unfinished rest begins."""
        for end in _EVENT_END.finditer(data, start):
            piece = data[start : end.end()]
            start = end.end()
            if self._is_usage(piece):
                out.append(self._without(piece))
                self._skip_lf = start == len(data) and piece.endswith(b"\r")
            else:
                out.append(piece)
        return start

    def _without(self, piece: bytes) -> bytes:
        """Count a removed event; blank lines before it are not part of it."""
        self.removed += 1
        return piece[: len(piece) - len(piece.lstrip(b"\r\n"))]

    @staticmethod
    def _is_usage(piece: bytes) -> bool:
        if b'"usage"' not in piece or _EMPTY_CHOICES.search(piece) is None:
            return False
        decoder = SSEDecoder()
        events = decoder.feed(piece) + decoder.finish()
        if len(events) != 1:
            return False
        try:
            chunk = json.loads(events[0].data)
        except (ValueError, RecursionError):
            return False
        return isinstance(chunk, dict) and chunk.get("choices") == [] and isinstance(chunk.get("usage"), dict)


def _last_end(data: bytes, start: int) -> int:
    """Return where the last complete event of `data` ends (`start` if none does)."""
    if b"\r" not in data:
        found = data.rfind(b"\n\n", start)
        if found < 0:
            return start
        return found + 2
    last = start
    for end in _EVENT_END.finditer(data, start):
        last = end.end()
    return last
