"""One log event of a coding agent, read: whose it is, which turn it belongs to, when it was. Pure.

Ids are hashes of what names a thing in the sender's own words, so that an event that is sent again, late or in another
order leads to the same row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Any

from llmflow_web.model import JSON, Row
from llmflow_web.record.semconv_stored import moment
from llmflow_web.record.semconv_values import encoded, label, number
from llmflow_web.wire.otlp_values import LogRecord

_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Agent:
    """How one coding agent tells of itself."""

    tool: str  # our name of it
    title: str  # of the row that holds a turn
    events: Mapping[str, Callable[[Told], list[Row]]]  # event name without prefix → the rows it makes, in pieces
    provider: str | None = None
    turns: Sequence[str] = ()  # attributes that name a turn; without any, a session is one trace
    sessions: Sequence[str] = ("session.id",)
    users: Sequence[str] = ("user.id", "enduser.id", "user.email", "user.account_uuid", "user.account_id")


@dataclass(slots=True)
class Told:
    """An event, and what of it every row needs."""

    agent: Agent
    name: str  # without the agent's prefix
    record: LogRecord
    time_ns: int  # when it was over: events are sent at the end
    session_id: str | None = None
    user_id: str | None = None
    trace_id: str = ""
    identity: str = field(default="", repr=False)  # a hash that only this event has

    @property
    def attributes(self) -> JSON:
        """What the event says."""
        return self.record.attributes

    @property
    def service_name(self) -> str:
        """Who says it."""
        return label(self.record.resource.attributes.get("service.name")) or self.agent.tool

    @property
    def turn_id(self) -> str:
        """The id of the row that holds the turn."""
        return hashed(8, self.trace_id, "turn")

    def id_of(self, kind: str, named: str | None = None) -> str:
        """Return the id of a row: of a thing with a name the same from every event that names it."""
        return hashed(8, self.trace_id, kind, named) if named else hashed(8, self.trace_id, kind, self.identity)

    def first(self, names: Sequence[str]) -> Any:
        """Return the first of these attributes that says something."""
        return next((value for name in names if (value := self.attributes.get(name)) not in (None, "")), None)

    def duration_ns(self, names: Sequence[str] = ("duration_ms", "duration")) -> int | None:
        """Return how long what ended with this event took."""
        told = number(self.first(names))
        return None if told is None else min(round(told * _MS), self.time_ns)


def hashed(size: int, *words: str) -> str:
    """Return so many bytes of a hash as hex."""
    return blake2b("\0".join(words).encode("utf-8", "replace"), digest_size=size).hexdigest()


def read_event(agent: Agent, name: str, record: LogRecord, now_ns: int) -> Told:
    """Read what all events of an agent have in common."""
    told = Told(agent, name, record, _time_ns(record) or now_ns)
    told.session_id = _label(record, agent.sessions)
    told.user_id = _label(record, agent.users)
    said = [record.time_ns, name, record.attributes]
    told.identity = hashed(16, encoded(said, is_sorted=True).decode())
    turn = _label(record, agent.turns)
    place = [word for word in (told.session_id, turn) if word] or [told.identity]
    told.trace_id = hashed(16, "llmflow", agent.tool, *place)
    return told


def _label(record: LogRecord, names: Sequence[str]) -> str | None:
    for source in (record.attributes, record.resource.attributes):
        found = next((text for name in names if (text := label(source.get(name)))), None)
        if found:
            return found
    return None


def _time_ns(record: LogRecord) -> int:
    found = moment(record.time_ns)
    return found or _written_time(record.attributes.get("event.timestamp")) or moment(record.observed_ns) or 0


def _written_time(value: Any) -> int | None:
    """Read "2026-05-01T10:00:00.123Z"."""
    if not isinstance(value, str) or not 20 <= len(value) <= 40:
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment(round(found.timestamp() * 1000) * _MS) if found.tzinfo is not None else None
