"""JSON streams: one object a line (Ollama), or one array of objects (Gemini without `alt=sse`)."""

from __future__ import annotations

import re

from llmflow_web.provider import Event

MAX_LINE_BYTES = 16 * 1024 * 1024
"""A longer line is dropped and counted; the stream goes on."""


class NDJSONDecoder:
    """Turns bytes into events of the type "message". `ends` holds the stream offset after each event of a call."""

    def __init__(self, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self.max_line_bytes = max_line_bytes
        self.ends: list[int] = []
        self.dropped = 0  # lines over the limit
        self._held: list[bytes] = []  # pieces of a line that has not ended
        self._held_size = 0
        self._offset = 0  # bytes of the stream in whole lines so far

    def __repr__(self) -> str:
        return f"<NDJSONDecoder offset={self._offset} held={self._held_size}>"

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes and return the events they complete."""
        self.ends = []
        *whole, rest = data.split(b"\n")
        events: list[Event] = []
        for line in whole:
            self._hold(line)
            self._end_line(events, 1)
        self._hold(rest)
        return events

    def finish(self) -> list[Event]:
        """End the stream; a last line without its end counts."""
        self.ends = []
        events: list[Event] = []
        self._end_line(events, 0)
        return events

    def _hold(self, data: bytes) -> None:
        self._held_size += len(data)
        if data and self._held_size <= self.max_line_bytes:
            self._held.append(data)

    def _end_line(self, events: list[Event], line_end: int) -> None:
        self._offset += self._held_size + line_end
        if self._held_size > self.max_line_bytes:
            self.dropped += 1
        else:
            line = b"".join(self._held).strip()
            if line:
                events.append(Event("message", line.decode("utf-8", "replace")))
                self.ends.append(self._offset)
        self._held.clear()
        self._held_size = 0


# A string that a cut left open reaches to the end: what stands in it closes nothing.
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[{}\[\]]', re.DOTALL)


class JSONArrayDecoder:
    """Turns a stream that is one JSON array (Gemini without `alt=sse`) into an event for each object in it.

    For the record, which has the bytes together: everything is read at `finish`, an unfinished object is left out.
    """

    def __init__(self) -> None:
        self.ends: list[int] = []
        self._pieces: list[bytes] = []

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes; events come at the end."""
        self.ends = []
        self._pieces.append(data)
        return []

    def finish(self) -> list[Event]:
        """Return the objects of the array."""
        self.ends = []
        data = b"".join(self._pieces)
        events: list[Event] = []
        depth = start = 0
        for token in _TOKEN.finditer(data):
            mark = token[0]
            if mark in (b"{", b"["):
                depth += 1
                if depth == 2:
                    start = token.start()
            elif mark in (b"}", b"]"):
                if depth == 2:
                    events.append(Event("message", data[start : token.end()].decode("utf-8", "replace")))
                    self.ends.append(token.end())
                depth -= 1
        return events
