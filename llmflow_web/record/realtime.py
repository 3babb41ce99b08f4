"""A WebSocket session → what was said, what it used, how it ended. Pure; runs in the writer thread.

Understood are the events of OpenAI's Realtime API (and of those who speak it) and of Gemini Live; of other sessions the
messages are kept all the same. What is stored of each direction is one message per line: JSON as it came, other
messages by their size. A session bills by the response, so usage is a sum.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final
from urllib.parse import parse_qs

from llmflow_web.model import JSON, Capture, Completion, Ending, Exchange, Usage
from llmflow_web.provider import Provider
from llmflow_web.record.observed import Seen
from llmflow_web.record.realtime_turns import GeminiTurns, OpenAITurns, Turns
from llmflow_web.wire.arrivals import Arrival
from llmflow_web.wire.frames import FrameLog, Message, is_deflate_agreed
from llmflow_web.wire.websocket import CLOSE

OPERATION: Final = "realtime"
_FINE_CODES = frozenset({1000, 1001})
_NO_CODE = 1005
_HUNG_UP = "the provider broke the session off"
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(slots=True)
class Session:
    """Everything worked out about one session."""

    model: str | None
    asked: list[JSON]  # what was said to the model, as items with a role
    completion: Completion
    usage: Usage | None
    error: str | None
    ending: Ending
    sent: Seen  # the client's messages, one a line
    heard: Seen  # the server's
    arrivals: list[Arrival]  # (offset in `heard`, perf_counter_ns)
    count: int  # messages of the server
    notes: list[str]
    dropped: list[str]


@dataclass(slots=True)
class _Side:
    """One direction, read."""

    events: list[JSON] = field(default_factory=list)
    lines: list[bytes] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)  # of each line's message in the copy; late ones have none
    close: tuple[int, str] | None = None
    is_cut: bool = False

    def seen(self, capture: Capture | None, limit: int) -> Seen:
        data = b"".join(self.lines)
        is_cut = self.is_cut or len(data) > limit
        return Seen(data[:limit], capture.size if capture is not None else 0, is_cut)


def read_session(exchange: Exchange, provider: Provider, limit: int) -> Session:
    """Read the frames of both directions. limit: bytes of messages to read of each."""
    is_deflated = is_deflate_agreed(exchange.response_headers)
    sent = _side(exchange.request, limit, is_deflated=is_deflated)
    heard = _side(exchange.response, limit, is_deflated=is_deflated, late=exchange.late)
    is_gemini = any("setup" in event for event in sent.events[:3]) or "BidiGenerate" in exchange.upstream_path
    turns: Turns = (GeminiTurns if is_gemini else OpenAITurns)(provider)
    for event in sent.events:
        turns.sent(event)
    for event in heard.events:
        turns.heard(event)
    ending, closed = _ending(exchange, sent, heard)
    model = turns.model or _asked_model(exchange.query)
    usage = sum_of(turns.usages)
    return Session(
        model=model,
        asked=turns.asked,
        completion=_completion(turns, model, usage),
        usage=usage,
        error=closed or turns.error,
        ending=ending,
        sent=sent.seen(exchange.request, limit),
        heard=heard.seen(exchange.response, limit),
        arrivals=_arrivals(exchange, heard),
        count=len(heard.lines),
        notes=turns.notes(),
        dropped=_dropped(sent, heard, has_all=exchange.late is not None and not exchange.late.is_cut),
    )


def _completion(turns: Turns, model: str | None, usage: Usage | None) -> Completion:
    body: JSON = {"object": "realtime.session", "id": turns.id, "model": model, "output": turns.made}
    if turns.usages:
        body["usage"] = [usage.raw for usage in turns.usages]
    return Completion(
        id=turns.id,
        model=model,
        text="\n".join(turns.texts),
        tool_calls=turns.calls,
        finish_reason=turns.finish_reason,
        usage=usage,
        body=body,
    )


# ── frames to events ─────────────────────────────────────────────────────────────────────────────────────────────────


def _side(capture: Capture | None, limit: int, *, is_deflated: bool, late: Capture | None = None) -> _Side:
    side = _Side()
    if capture is None:
        return side
    log = FrameLog(capture.join(), is_deflated=is_deflated, limit=limit)
    for message in log:
        _add(side, message)
        if message.opcode != CLOSE:
            side.ends.append(message.end)
    side.is_cut = log.is_cut or capture.is_cut
    if late is not None and late.stored:
        for message in FrameLog(late.join(), is_deflated=False, limit=late.limit):
            _add(side, message)
    return side


def _add(side: _Side, message: Message) -> None:
    """Take a message in; Gemini sends its JSON as binary ones."""
    data = message.data
    if message.opcode == CLOSE:
        side.close = side.close or _close(data)
        return
    event = _event(data)
    if event is not None:
        side.events.append(event)
        line = _encode(event).encode("utf-8", "replace") if b"\n" in data else data
    else:
        line = b'{"not_json":%d}' % len(data)
    side.lines.append(line + b"\n")


def _event(data: bytes) -> JSON | None:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _close(payload: bytes) -> tuple[int, str]:
    code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else _NO_CODE
    return code, payload[2:].decode("utf-8", "replace")


def _ending(exchange: Exchange, sent: _Side, heard: _Side) -> tuple[Ending, str | None]:
    """Return (ending, error): a close frame of either side is an orderly end, whoever hung up first after it."""
    closed = heard.close
    if closed is not None and closed[0] not in (*_FINE_CODES, _NO_CODE) and not (sent.close or sent.is_cut):
        code, reason = closed
        return "finished", f"the provider closed the session with {code}" + (f": {reason}" if reason else "")
    if closed is not None or sent.close is not None:
        return "finished", None
    if exchange.ending == "finished" and not heard.is_cut and exchange.response is not None:
        return "upstream_closed", _HUNG_UP  # without the goodbye
    return exchange.ending, None if exchange.ending == "client_closed" else exchange.error


def _arrivals(exchange: Exchange, heard: _Side) -> list[Arrival]:
    """Say when each line's message was complete."""
    found: list[Arrival] = []
    noted = list(exchange.arrivals)
    size = at = 0
    for line, end in zip(heard.lines, heard.ends, strict=False):
        while at + 1 < len(noted) and noted[at + 1][0] < end:
            at += 1
        if noted:
            found.append((size, noted[at][1]))
        size += len(line)
    return found


def _dropped(sent: _Side, heard: _Side, *, has_all: bool) -> list[str]:
    dropped = []
    if heard.is_cut and has_all:
        dropped.append("response: the session is longer than what is kept, the pieces of its later answers are missing")
    elif heard.is_cut:
        dropped.append("response: the session is longer than what is kept, its usage is that of the part kept")
    if sent.is_cut:
        dropped.append("request: the session is longer than what is kept")
    return dropped


# ── sums ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

_COUNTS = tuple(
    found.name for found in fields(Usage) if found.name.endswith("tokens") and not found.name.startswith("billed")
)


def sum_of(usages: Sequence[Usage]) -> Usage | None:
    """Add up the usage of responses; None where there is none."""
    if not usages:
        return None
    total = Usage(prompt_tokens=0, completion_tokens=0, total_tokens=0)
    for name in _COUNTS:
        setattr(total, name, sum(getattr(usage, name) or 0 for usage in usages))
    total.raw = usages[-1].raw if len(usages) == 1 else {"responses": [usage.raw for usage in usages]}
    return total


def _asked_model(query: str) -> str | None:
    names: dict[str, Any] = parse_qs(query)
    return next((names[name][0] for name in ("model", "deployment") if names.get(name)), None)
