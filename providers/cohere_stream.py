"""Cohere's streams: v2 events → OpenAI's chunks, and v1 lines → the whole answer they end with.

Every machine here keeps the answer in the shape of one that was not streamed, so both are read by the same functions.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, ClassVar

from llmflow_web.model import JSON, Completion
from llmflow_web.provider import Event

from .cohere_answer import (
    annotations_from,
    answer,
    call_from,
    finish_reason_of,
    logprobs_of,
    usage,
    usage_shown,
)
from .completion import as_text, text_or_none
from .shapes import Chunks, EitherStream, error_envelope, objects
from .usage import count, member


def observe(operation: str, request: JSON) -> EitherStream:
    """Start observing a stream: v1 by its `message`, v2, or the OpenAI dialect of the compatibility API."""
    is_v1 = isinstance(request.get("message"), str) and "messages" not in request
    machine = CohereV1Stream(request) if is_v1 else CohereStream(request)
    return EitherStream(operation, request, machine)


class _Machine:
    """What both versions share: counting, parsing, errors."""

    def __init__(self, request: JSON) -> None:
        self.count = 0
        self.first_content: int | None = None
        self.is_complete = False
        self.error: str | None = None
        self._request = request
        self._fed = 0

    def __repr__(self) -> str:
        return f"<{type(self).__name__} events={self.count} complete={self.is_complete}>"

    def feed(self, event: Event) -> list[JSON]:
        """Take one event, return the chunks it becomes."""
        index = self._fed
        self._fed += 1
        data = event.data.strip()
        if data == "[DONE]":
            self.is_complete = True
            return []
        found = _parsed(data)
        if found is None:
            return []
        self.count += 1
        chunks, has_content = self._take(found, event.type)
        if has_content and self.first_content is None:
            self.first_content = index
        return chunks

    def _take(self, found: JSON, event_type: str) -> tuple[list[JSON], bool]:
        """Take a parsed event; return (chunks, whether it brought content)."""
        raise NotImplementedError

    def _body(self) -> JSON:
        """Return the answer so far in the shape of one that is not streamed."""
        raise NotImplementedError

    def finish(self) -> list[JSON]:
        """End the stream; nothing is owed unless the machine says so."""
        return []

    def _failed(self, message: str) -> list[JSON]:
        self.error = self.error or message
        return [error_envelope(message, "server_error", "provider_error")]

    @property
    def result(self) -> Completion:
        """The answer as far as it has come."""
        if not self.count:
            return Completion()
        body = {**self._body(), "_streaming": True, "_chunks": self.count}
        completion = answer("chat", self._request, body)
        completion.error = self.error or completion.error
        return completion


class CohereStream(_Machine):
    """One v2 stream. Tool calls get numbers of their own: Cohere's index counts per kind of content."""

    def __init__(self, request: JSON) -> None:
        super().__init__(request)
        self._chunks = Chunks(request)
        self._chunks.model = text_or_none(request.get("model")) or ""
        self._id = ""
        self._blocks: dict[int, _Block] = {}
        self._plan: list[str] = []
        self._calls: list[JSON] = []
        self._arguments: list[list[str]] = []
        self._numbers: dict[int, int] = {}  # Cohere's index → ours
        self._citations: list[JSON] = []
        self._logprobs: list[JSON] = []
        self._end: JSON = {}
        self._is_finished = False

    def _take(self, found: JSON, event_type: str) -> tuple[list[JSON], bool]:
        kind = text_or_none(found.get("type")) or event_type
        take = self._TAKERS.get(kind)
        if take is not None:
            return take(self, found, member(found, "delta"))
        if kind == "error" or ("type" not in found and isinstance(found.get("message"), str)):
            return self._failed(as_text(found.get("message") or found.get("error")) or "the stream ended"), False
        return [], False

    def _message_start(self, found: JSON, delta: JSON) -> tuple[list[JSON], bool]:
        del delta
        self._id = self._chunks.id = text_or_none(found.get("id")) or self._id
        return self._chunks.begin(), False

    def _content(self, found: JSON, delta: JSON) -> tuple[list[JSON], bool]:
        """Take the start of a block (which may bring text already) or a piece of one."""
        index = count(found.get("index")) or 0
        block = self._blocks.setdefault(index, _Block())
        content = member(member(delta, "message"), "content")
        block.kind = text_or_none(content.get("type")) or block.kind
        text, thought = as_text(content.get("text")), as_text(content.get("thinking"))
        block.texts.append(text)
        block.thoughts.append(thought)
        given = found.get("logprobs", delta.get("logprobs"))
        items = objects(given) if isinstance(given, list) else objects([given])
        self._logprobs += items
        chunks = self._chunks.reasoning(thought) + self._chunks.text(text)
        logprobs = logprobs_of(items)
        if logprobs is not None:
            chunks = chunks or self._chunks.delta({"content": ""})
            chunks[-1]["choices"][0]["logprobs"] = logprobs
        return chunks, bool(text or thought)

    def _tool_plan(self, found: JSON, delta: JSON) -> tuple[list[JSON], bool]:
        del found
        text = as_text(member(delta, "message").get("tool_plan"))
        self._plan.append(text)
        return self._chunks.reasoning(text), bool(text)

    def _call_start(self, found: JSON, delta: JSON) -> tuple[list[JSON], bool]:
        call = call_from(_call_of(delta))
        number = len(self._calls)
        self._numbers[count(found.get("index")) or 0] = number
        self._calls.append(call)
        self._arguments.append([call["function"]["arguments"]])
        return self._chunks.call(number, call["id"], **call["function"]), True

    def _call_delta(self, found: JSON, delta: JSON) -> tuple[list[JSON], bool]:
        number = self._numbers.get(count(found.get("index")) or 0, len(self._calls) - 1)
        if number < 0:
            return [], False
        piece = as_text(member(_call_of(delta), "function").get("arguments"))
        self._arguments[number].append(piece)
        return self._chunks.arguments(number, piece), bool(piece)

    def _citation(self, found: JSON, delta: JSON) -> tuple[list[JSON], bool]:
        del found
        given = member(delta, "message").get("citations")
        citations = objects(given) if isinstance(given, list) else objects([given])
        self._citations += citations
        lengths = [block.length for _, block in sorted(self._blocks.items())]
        notes = [note for citation in citations for note in annotations_from(citation, lengths)]
        return self._chunks.delta({"annotations": notes}) if notes else [], False

    def _message_end(self, found: JSON, delta: JSON) -> tuple[list[JSON], bool]:
        del found
        self.is_complete = True
        self._end = {name: delta[name] for name in ("finish_reason", "usage") if delta.get(name) is not None}
        if delta.get("error"):
            return self._failed(as_text(delta["error"])), False
        return self._finished(), False

    def _finished(self) -> list[JSON]:
        if self._is_finished or self.error is not None:
            return []
        self._is_finished = True
        body = self._body()
        chunks = self._chunks.finish(finish_reason_of(body))
        counted = usage(body, self._request)
        last = self._chunks.usage(counted)
        for chunk in last if counted is not None else ():
            chunk["usage"] = usage_shown(counted) if counted else None
        return chunks + last

    def finish(self) -> list[JSON]:
        """End the stream: where `[DONE]` came without the event before it, that one's chunks are owed."""
        return self._finished() if self.is_complete else []

    def _body(self) -> JSON:
        message: JSON = {"role": "assistant"}
        if self._blocks:
            message["content"] = [block.body() for _, block in sorted(self._blocks.items())]
        if self._plan:
            message["tool_plan"] = "".join(self._plan)
        if self._calls:
            message["tool_calls"] = [
                {**call, "function": {**call["function"], "arguments": "".join(pieces)}}
                for call, pieces in zip(self._calls, self._arguments, strict=True)
            ]
        if self._citations:
            message["citations"] = self._citations
        logprobs = {"logprobs": self._logprobs} if self._logprobs else {}
        return {"id": self._id, "message": message, **self._end, **logprobs}

    _TAKERS: ClassVar[dict[str, Callable[[CohereStream, JSON, JSON], tuple[list[JSON], bool]]]] = {
        "message-start": _message_start,
        "content-start": _content,
        "content-delta": _content,
        "tool-plan-delta": _tool_plan,
        "tool-call-start": _call_start,
        "tool-call-delta": _call_delta,
        "citation-start": _citation,
        "message-end": _message_end,
    }
    """content-end, tool-call-end, citation-end and debug bring nothing new."""


class _Block:
    """One block of content on its way."""

    def __init__(self) -> None:
        self.kind = ""
        self.texts: list[str] = []
        self.thoughts: list[str] = []

    @property
    def length(self) -> int:
        """Characters of text so far."""
        return sum(map(len, self.texts))

    def body(self) -> JSON:
        """Return the block as it stands in a whole answer."""
        thought = "".join(self.thoughts)
        if self.kind == "thinking" or (thought and not self.length):
            return {"type": "thinking", "thinking": thought}
        return {"type": "text", "text": "".join(self.texts)}


def _call_of(delta: JSON) -> JSON:
    """Return the one call of an event; earlier servers sent a list, or put it beside the message."""
    given = member(delta, "message").get("tool_calls", delta.get("tool_call"))
    return next(iter(objects(given if isinstance(given, list) else [given])), {})


class CohereV1Stream(_Machine):
    """One v1 stream: JSON lines whose last one repeats the whole answer."""

    def __init__(self, request: JSON) -> None:
        super().__init__(request)
        self._texts: list[str] = []
        self._found: JSON = {}
        self._whole: JSON | None = None

    def _take(self, found: JSON, event_type: str) -> tuple[list[JSON], bool]:
        kind = text_or_none(found.get("event_type")) or event_type
        text = as_text(found.get("text")) if kind == "text-generation" else ""
        self._texts.append(text)
        for name in ("generation_id", "finish_reason", "search_queries", "tool_calls"):
            if found.get(name):
                self._found[name] = found[name]
        if kind == "search-results" and found.get("documents"):
            self._found["documents"] = found["documents"]
        if kind == "citation-generation":
            self._found["citations"] = [*self._found.get("citations", ()), *objects(found.get("citations"))]
        if kind == "stream-end":
            self.is_complete = True
            self._end(found)
        elif "event_type" not in found and isinstance(found.get("message"), str):
            self._failed(found["message"])
        return [], bool(text) or kind.startswith("tool-calls")

    def _end(self, found: JSON) -> None:
        if found.get("error"):
            self._failed(as_text(found["error"]))
        if isinstance(found.get("response"), dict):
            self._whole = found["response"]

    def _body(self) -> JSON:
        return {"text": "".join(self._texts), **self._found, **(self._whole or {})}


def _parsed(data: str) -> JSON | None:
    try:
        value: Any = json.loads(data) if data else None
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
