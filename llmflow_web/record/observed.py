"""What was seen on the wire → the payload: framing and encodings undone, form fields found, arrivals re-counted.

Runs in the writer thread; raises nothing on foreign bytes.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass

from llmflow_web.model import JSON, Capture
from llmflow_web.wire.arrivals import Arrival
from llmflow_web.wire.chunked import ChunkedDecoder, ChunkedError, decode_chunked
from llmflow_web.wire.content import ContentDecoder, codings_of, decode_body


@dataclass(slots=True)
class Seen:
    """One body as far as it is known."""

    data: bytes = b""
    size: int = 0  # bytes on the wire
    is_cut: bool = False
    is_raw: bool = False  # an encoding that cannot be undone here


def request_seen(capture: Capture | None, content_encoding: str, limit: int) -> Seen:
    """Return a request body (its framing is already undone)."""
    if capture is None or not capture.size:
        return Seen()
    return _decoded(capture, capture.join(), content_encoding, limit)


def response_seen(capture: Capture | None, content_encoding: str, limit: int, *, is_chunked: bool) -> Seen:
    """Return a response body without chunk framing and content-encoding."""
    if capture is None or not capture.size:
        return Seen()
    data = capture.join()
    return _decoded(capture, decode_chunked(data) if is_chunked else data, content_encoding, limit)


def _decoded(capture: Capture, data: bytes, content_encoding: str, limit: int) -> Seen:
    if not content_encoding and len(data) <= limit:
        return Seen(data, capture.size, capture.is_cut)
    # One byte more than the limit tells a body that ends there from one that goes on.
    body, is_raw = decode_body(data, content_encoding, limit + 1)
    is_cut = capture.is_cut or len(body) > limit
    return Seen(body[:limit], capture.size, is_cut, is_raw)


def decoded_arrivals(
    capture: Capture, arrivals: list[tuple[int, int]], content_encoding: str, limit: int, *, is_chunked: bool
) -> list[tuple[int, int]]:
    """Count the offsets of arrivals in the decoded body instead of on the wire; times stay."""
    codings = codings_of(content_encoding) or []
    if not is_chunked and not codings:
        return arrivals
    wire = capture.join()
    frames = ChunkedDecoder() if is_chunked else None
    content = ContentDecoder(codings, limit) if codings else None
    found: list[tuple[int, int]] = []
    size = 0
    ends = [offset for offset, _ in arrivals[1:]] + [len(wire)]
    for (start, time_ns), end in zip(arrivals, ends, strict=True):
        found.append((size, time_ns))
        piece = wire[start:end]
        if frames is not None:
            try:
                piece = frames.feed(piece)
            except ChunkedError:
                break
        size += len(piece if content is None else content.feed(piece))
    return found


def arrival_of(arrivals: list[tuple[int, int]], position: int) -> int:
    """Return when the byte at `position` came; `arrivals` is not empty."""
    found = arrivals[0][1]
    for offset, time_ns in arrivals:
        if offset > position:
            break
        found = time_ns
    return found


def relative_arrivals(arrivals: list[tuple[int, int]], started_ns: int) -> list[Arrival]:
    """Return arrivals with times in µs since the request."""
    return [(offset, (time_ns - started_ns) // 1000) for offset, time_ns in arrivals]


def parsed_object(data: bytes) -> JSON | None:
    """Return the JSON object in `data`; None when it holds none."""
    if data[:1] != b"{" and data[:64].lstrip(b" \t\r\n\xef\xbb\xbf")[:1] != b"{":
        return None
    with suppress(ValueError, RecursionError):
        value = json.loads(data)
        if isinstance(value, dict):
            return value
    return None
