"""What is asked and what was answered, as a cassette sees them: values between the proxy and whoever keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llmflow_web.model import Header


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it leaves for its provider, all of it."""

    provider: str
    method: str
    path: str  # without what the upstream's own URL puts before it
    query: str
    headers: Sequence[Header]
    body: bytes  # payload
    has_injected_usage: bool = False  # LLMFlow asked for the usage of a stream


@dataclass(frozen=True, slots=True)
class Heard:
    """An answer as it came off the wire."""

    status: int
    reason: bytes
    headers: Sequence[Header]
    pieces: Sequence[bytes]  # body bytes with their framing
    times_ms: Sequence[int]  # when each piece came, counted from the request's leaving
    is_chunked: bool
    has_body: bool  # False: an answer to HEAD, 204, 304
    is_cut: bool = False  # the client went before its end


@dataclass(frozen=True, slots=True)
class Answer:
    """A recorded answer to be played: payload, no coding and no framing on it."""

    status: int
    reason: bytes
    headers: Sequence[Header]
    pieces: Sequence[bytes]
    times_ms: Sequence[int]  # one for each piece, or none
    is_stream: bool  # its pieces leave one by one, as chunks
    has_injected_usage: bool = False  # it holds the usage chunk that LLMFlow asked for, not the client
