"""What can be said of a span: the names POST /api/spans knows, each made into what it takes there.

The server refuses a span for one wrong field, so a value that does not fit its name becomes an attribute instead.
"""

from __future__ import annotations

from llmflow_web.sdk.capture import TROUBLE, Capture, captured

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any, TypedDict

    class Fields(TypedDict, total=False):
        """The keywords of trace(), span() and set()."""

        span_type: str  # trace, llm, agent, chain, tool, retrieval, embedding, rerank, guardrail, evaluator, …
        span_name: str
        service_name: str
        provider: str | None
        model: str | None
        request_model: str | None
        operation: str | None
        response_id: str | None
        finish_reason: str | None
        session_id: str | None
        conversation_id: str | None
        user_id: str | None
        agent_name: str | None
        prompt_name: str | None
        prompt_version: str | None
        tool: str | None
        prompt_tokens: int | None
        completion_tokens: int | None
        total_tokens: int | None
        cached_tokens: int | None
        cache_write_tokens: int | None
        reasoning_tokens: int | None
        estimated_cost: float | None
        ttft_ms: float | None
        status: int | None
        is_stream: bool
        tags: str | Iterable[str]
        attributes: Mapping[str, object]
        input: object
        output: object
        error: str | BaseException | None


INHERITED = ("session_id", "conversation_id", "user_id")
"""What spans take over from the span they begin in."""

MAX_LABEL_CHARS = 256
MAX_ERROR_CHARS = 16 * 1024
MAX_ATTRIBUTE_CHARS = 64 * 1024
MAX_ATTRIBUTES = 256
MAX_TAGS = 64
MAX_NUMBER = 2**53
SPAN_WEIGHT = 1024
"""About the bytes a span holds beside its contents."""

_LABELS = frozenset({
    "span_type", "span_name", "service_name", "provider", "model", "request_model", "operation", "response_id",
    "finish_reason", "agent_name", "prompt_name", "prompt_version", "tool", *INHERITED,
})  # fmt: skip
_COUNTS = frozenset({
    "prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens",
    "status",
})  # fmt: skip
_NUMBERS = frozenset({"estimated_cost", "ttft_ms"})


class Said:
    """What has been said of one span."""

    __slots__ = ("attributes", "fields", "tags", "weight")

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}
        self.attributes: dict[str, Any] = {}
        self.tags: list[str] = []
        self.weight = SPAN_WEIGHT

    def __repr__(self) -> str:
        return f"<Said {', '.join([*self.fields, *self.attributes])}>"

    def copy(self) -> Said:
        """Return the same again, to be added to."""
        made = Said()
        made.fields, made.attributes, made.tags = dict(self.fields), dict(self.attributes), list(self.tags)
        made.weight = self.weight
        return made

    def put(self, name: str, value: Any) -> None:
        """Take one word. Never raises."""
        try:
            self._put(name, value)
        except TROUBLE:  # a strange value must not break the program
            self.attribute(name, value)

    def keep(self, name: str, value: object, capture: Capture | None = None) -> None:
        """Copy an input or output, and weigh it."""
        kept = capture or Capture()
        self.fields[name] = kept.value(value)
        self.weigh(kept)

    def weigh(self, capture: Capture) -> None:
        """Count what a capture has copied."""
        self.weight += SPAN_WEIGHT + capture.weight

    def attribute(self, name: str, value: object) -> None:
        """Copy what has no field of its own."""
        if name in self.attributes or len(self.attributes) < MAX_ATTRIBUTES:
            kept = Capture(MAX_ATTRIBUTE_CHARS)
            self.attributes[name] = kept.value(value)
            self.weight += kept.weight

    def posted(self) -> dict[str, Any]:
        """Return it as POST /api/spans takes it."""
        found = dict(self.fields)
        if self.attributes:
            found["attributes"] = self.attributes
        if self.tags:
            found["tags"] = self.tags
        return found

    def _put(self, name: str, value: Any) -> None:
        if name in ("input", "output"):
            self.keep(name, value)
        elif name == "tags":
            self._tag(value)
        elif name == "attributes":
            for key, item in dict(value).items():
                self.attribute(str(key), item)
        elif value is None:
            self.fields.pop(name, None)
        elif name == "error":
            self.fields[name] = error_text(value)
        elif name in _LABELS:
            self.fields[name] = (value if type(value) is str else str(captured(value)))[:MAX_LABEL_CHARS]
        else:
            self._put_number(name, value)

    def _put_number(self, name: str, value: Any) -> None:
        if name == "is_stream":
            self.fields[name] = bool(value)
        elif name in _NUMBERS and 0 <= (number := float(value)) < MAX_NUMBER:
            self.fields[name] = number
        elif name in _COUNTS and 0 <= (count := int(value)) < (1000 if name == "status" else MAX_NUMBER):
            self.fields[name] = count
        else:
            self.attribute(name, value)

    def _tag(self, value: Any) -> None:
        for tag in value.split(",") if isinstance(value, str) else value or ():
            text = str(captured(tag, MAX_LABEL_CHARS)).strip()
            if text and text not in self.tags and len(self.tags) < MAX_TAGS:
                self.tags.append(text)


def error_text(error: object) -> str:
    """Return an error in words: its class and what it says."""
    if not isinstance(error, BaseException):
        return str(captured(error, MAX_ERROR_CHARS))
    kind = type(error).__name__
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - an exception that cannot be written is still one
        text = "its message cannot be shown"
    return str(captured(f"{kind}: {text}" if text else kind, MAX_ERROR_CHARS))
