"""One reading of one OTLP request: what it has gathered, what it refused and why, and how much it may still take.

Shared by the protobuf and the JSON decoder, so that both refuse the same things in the same words.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from llmflow_web.errors import BadRequest, TooLarge
from llmflow_web.wire.otlp_values import LogRecord, OtlpMetric, OtlpSpan, Resource, Scope

MAX_ERRORS = 5
_MAX_NAME_CHARS = 60


@dataclass(frozen=True, slots=True)
class OtlpLimits:
    """How much one request may hold. The size of its body is bounded by who receives it."""

    max_depth: int = 64
    """Levels of lists and maps inside one attribute value. Protobuf libraries stop at 100 messages, two or three of
    which make one level."""
    max_items: int = 100_000
    """Spans, log records, or metrics and their data points. Exporters send 512 at a time."""
    max_parts: int = 2_000_000
    """Everything else that becomes an object: events, links, exemplars, resources, scopes, nested values. Two bytes of
    an empty event become 140 in memory."""
    max_json_brackets: int = 4_000_000
    """Opening brackets in a JSON body: `{}` costs json.loads 64 bytes."""


@dataclass
class Decoded:
    """A request, read."""

    items: list[OtlpSpan] | list[LogRecord] | list[OtlpMetric]
    rejected: int = 0
    """Spans, log records or data points that were left out."""
    errors: list[str] = field(default_factory=list)
    """At most five sentences: why something was left out."""


class Reading:
    """What both decoders share while they read one request."""

    __slots__ = ("buffer", "errors", "items", "keys", "limits", "rejected", "resource", "room", "room_parts", "scope")

    def __init__(self, buffer: bytes, limits: OtlpLimits) -> None:
        self.buffer = buffer
        self.limits = limits
        self.items: list[Any] = []
        self.rejected = 0
        self.errors: list[str] = []
        self.resource = Resource()  # the ones everything read just now belongs to
        self.scope = Scope()
        self.keys: dict[bytes, str] = {}  # attribute keys come again with every span: decoded once
        self.room = limits.max_items
        self.room_parts = limits.max_parts

    def take_item(self) -> None:
        """Count one more span, log record or data point."""
        self.room -= 1
        if self.room < 0:
            raise TooLarge(
                f"The request holds more than {self.limits.max_items} items (max_items). Send fewer at once."
            )

    def take_part(self) -> None:
        """Count one more object inside them or around them."""
        self.room_parts -= 1
        if self.room_parts < 0:
            raise TooLarge(
                f"The request holds more than {self.limits.max_parts} parts (max_parts). Send fewer at once."
            )

    def deeper(self, depth: int) -> int:
        """Return the level inside a list or map at `depth`."""
        if depth >= self.limits.max_depth:
            raise BadRequest(f"An attribute value is nested deeper than {self.limits.max_depth} levels (max_depth).")
        return depth + 1

    def key(self, raw: bytes) -> str:
        """Decode an attribute key that was not seen before."""
        key = self.keys[raw] = raw.decode("utf-8", "replace")
        return key

    def note(self, sentence: str) -> None:
        """Keep a sentence for the answer, of the first five."""
        if len(self.errors) < MAX_ERRORS:
            self.errors.append(sentence)

    def reject(self, what: str, name: object, why: str, count: int = 1) -> None:
        """Leave out `count` items, and say why."""
        self.rejected += count
        if len(self.errors) < MAX_ERRORS:
            shown = name[:_MAX_NAME_CHARS] if isinstance(name, str) else ""
            self.errors.append(f'{what} "{shown}" was left out: {why}')

    def bad_id(self, target: object, slot: str, size: int) -> None:
        """Leave out an id that is none. A span without its own is left out as a whole, by `keep_span`."""
        if not (isinstance(target, OtlpSpan) and slot in {"trace_id", "span_id"}):
            self.note(f"A {slot} was left out: it must have {size} bytes ({2 * size} hex digits).")

    def keep_span(self, span: OtlpSpan) -> None:
        """Add a span that has its ids."""
        if span.trace_id and span.span_id:
            self.items.append(span)
        elif span.trace_id:
            self.reject("Span", span.name, "its span_id must have 8 bytes, not all of them zero.")
        else:
            self.reject("Span", span.name, "its trace_id must have 16 bytes, not all of them zero.")

    def done(self) -> Decoded:
        """Return what was read."""
        return Decoded(self.items, self.rejected, self.errors)
