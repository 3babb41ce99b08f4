"""Streams of generateContent: each event is a whole answer object whose texts are pieces.

There are no event names and no end marker: a stream is complete when every candidate has a finishReason. Usage is
cumulative, so the last value of each of its members counts. `GeminiStream` observes, `GeminiTranslator` also speaks
OpenAI's chunks. Both can be fed the error a stream without `alt=sse` wraps in an array.
"""

from __future__ import annotations

import json
from collections.abc import Callable, MutableMapping
from typing import Any

from llmflow_web.model import JSON, Completion
from llmflow_web.provider import Event

from .completion import completion_from, text_or_none
from .gemini_answer import (
    Parts,
    annotations_of,
    block_of,
    blocked_choice_end,
    chat_body,
    ending_of,
    finish_reason_of,
    index_of,
    parts_of,
    refusal_of,
    usage_of,
)
from .gemini_errors import described, error_in, translate_error
from .shapes import Chunks, objects
from .usage import member

_JOINED = frozenset({"text", "thought"})
_CONTENT = ("functionCall", "inlineData", "inline_data", "executableCode", "codeExecutionResult")


def completion_of(native: JSON, request: JSON, answer_id: str) -> Completion:
    """Read a whole native answer; one that has no finishReason yet has not ended."""
    completion = completion_from("chat", chat_body(native, request, answer_id))
    candidates = sorted(objects(native.get("candidates")), key=index_of)
    if block_of(native) is None and (not candidates or finish_reason_of(candidates[0]) is None):
        completion.finish_reason = None
    completion.model = text_or_none(native.get("modelVersion")) or completion.model
    completion.usage = usage_of(native, request)
    return completion


class _Candidate:
    """One candidate on its way: pieces of text are joined, everything else is kept as it came."""

    def __init__(self) -> None:
        self._fields: JSON = {}
        self._role = "model"
        self._parts: list[JSON] = []
        self._texts: list[list[str]] = []  # the text of each part, in pieces
        self._logprobs: dict[str, list[Any]] = {}

    def take(self, candidate: JSON) -> bool:
        """Take one event's candidate; say whether it brought content."""
        for name, value in candidate.items():
            if name == "logprobsResult" and isinstance(value, dict):
                for member_name, items in value.items():
                    self._logprobs.setdefault(member_name, []).extend(items if isinstance(items, list) else [])
            elif name == "groundingMetadata" and isinstance(value, dict):
                self._fields[name] = {**self._fields.get(name, {}), **value}
            elif name != "content" and value is not None:
                self._fields[name] = value
        self._role = text_or_none(member(candidate, "content").get("role")) or self._role
        brought = [self._take_part(part) for part in parts_of(candidate)]
        return True in brought

    def _take_part(self, part: JSON) -> bool:
        text = part.get("text")
        text = text if isinstance(text, str) else ""
        last = self._parts[-1] if self._parts else {}
        is_more = (
            _JOINED.issuperset(part)
            and _JOINED.issuperset(last)
            and bool(part.get("thought")) == bool(last.get("thought"))
        )
        if last and is_more:
            self._texts[-1].append(text)
        else:
            self._parts.append(part)
            self._texts.append([text])
        return bool(text) or any(name in part for name in _CONTENT)

    @property
    def is_finished(self) -> bool:
        """Say whether its finishReason has come."""
        return text_or_none(self._fields.get("finishReason")) is not None

    def body(self) -> JSON:
        """Return the candidate so far."""
        parts = [
            {**part, "text": "".join(pieces)} if "text" in part else part
            for part, pieces in zip(self._parts, self._texts, strict=True)
        ]
        logprobs = {"logprobsResult": self._logprobs} if self._logprobs else {}
        return {"content": {"role": self._role, "parts": parts}, **self._fields, **logprobs}


class _Answer:
    """A streamed answer on its way to the shape of a whole one."""

    def __init__(self) -> None:
        self._candidates: dict[int, _Candidate] = {}
        self._usage: JSON = {}
        self._fields: JSON = {}

    def take(self, body: JSON) -> bool:
        """Take one event's object; say whether it brought content."""
        for name, value in body.items():
            if name == "usageMetadata" and isinstance(value, dict):
                self._usage |= {word: item for word, item in value.items() if item is not None}
            elif name != "candidates" and value is not None:
                self._fields[name] = value
        has_content = False
        for candidate in objects(body.get("candidates")):
            has_content |= self._candidates.setdefault(index_of(candidate), _Candidate()).take(candidate)
        return has_content

    @property
    def is_complete(self) -> bool:
        """Say whether nothing more of the answer is to come."""
        if not self._candidates:
            return block_of(self._fields) is not None
        return all(candidate.is_finished for candidate in self._candidates.values())

    def body(self) -> JSON:
        """Return the answer so far, as generateContent would."""
        candidates = [self._candidates[index].body() for index in sorted(self._candidates)]
        found = {"candidates": candidates} if candidates else {}
        return {**found, **({"usageMetadata": self._usage} if self._usage else {}), **self._fields}


class GeminiStream:
    """Observes one native stream."""

    def __init__(self, request: JSON) -> None:
        self.count = 0
        self.first_content: int | None = None
        self._request = request
        self._fed = 0
        self._error: str | None = None
        self._answer = _Answer()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} events={self.count} complete={self.is_complete} error={self._error!r}>"

    @property
    def is_complete(self) -> bool:
        """Say whether every candidate has ended."""
        return self._error is None and self._answer.is_complete

    def feed(self, event: Event) -> list[JSON]:
        """Take one event."""
        index = self._fed
        self._fed += 1
        body = _parsed(event.data)
        if body is None or self._error is not None:
            return []
        self.count += 1
        if error_in(body):
            self._error = described(0, body)
            return self._failed(body)
        if self._answer.take(body) and self.first_content is None:
            self.first_content = index
        return self._chunks_of(body)

    def _chunks_of(self, body: JSON) -> list[JSON]:
        """Return the chunks of one event; an observer makes none."""
        del body
        return []

    def _failed(self, body: JSON) -> list[JSON]:
        """Return the chunks of an error."""
        del body
        return []

    def finish(self) -> list[JSON]:
        """End the stream."""
        return []

    @property
    def result(self) -> Completion:
        """The answer as far as it has come; its body is Gemini's."""
        native = self._answer.body()
        completion = completion_of(native, {}, text_or_none(native.get("responseId")) or "")
        completion.body = native
        completion.error = self._error
        return completion


class GeminiTranslator(GeminiStream):
    """Turns one native stream into OpenAI's chunks, event by event."""

    def __init__(self, request: JSON, new_id: Callable[[], str], memory: MutableMapping[str, Any] | None) -> None:
        super().__init__(request)
        self._new_id = new_id
        self._memory = memory
        self._chunks = Chunks(request)
        self._chunks.model = str(request.get("model") or "")
        self._parts: dict[int, Parts] = {}
        self._is_over = False

    def _chunks_of(self, body: JSON) -> list[JSON]:
        self._name(body)
        made: list[JSON] = []
        for candidate in objects(body.get("candidates")):
            index = index_of(candidate)
            made += self._chunks.begin(index)
            parts = self._parts.setdefault(index, Parts(index, self._chunks.id, self._memory))
            for part in parts_of(candidate):
                made += self._chunks.delta(parts.fields(part), index)
        return made

    def _name(self, body: JSON) -> None:
        """Fix the id with the first event: every chunk has the same one."""
        if not self._chunks.id:
            self._chunks.id = text_or_none(body.get("responseId")) or f"chatcmpl-{self._new_id()}"
        self._chunks.model = text_or_none(body.get("modelVersion")) or self._chunks.model

    def _failed(self, body: JSON) -> list[JSON]:
        self._is_over = True
        return [translate_error(0, body)]

    def finish(self) -> list[JSON]:
        """End every choice, tell the usage where it was asked for. After an error nothing is owed."""
        if self._is_over:
            return []
        self._is_over = True
        native = self._answer.body()
        self._name(native)
        made: list[JSON] = []
        block = block_of(native)
        if block is not None:
            made += self._chunks.delta({"refusal": block})
            made += self._chunks.finish("content_filter", 0, blocked_choice_end(native))
        for candidate in objects(native.get("candidates")):
            made += self._ending(candidate)
        if not made:
            made = self._chunks.finish(None)
        return made + self._chunks.usage(usage_of(native, self._request))

    def _ending(self, candidate: JSON) -> list[JSON]:
        index = index_of(candidate)
        last: JSON = {}
        refusal = refusal_of(candidate)
        if refusal is not None:
            last["refusal"] = refusal
        annotations = annotations_of(candidate)
        if annotations:
            last["annotations"] = annotations
        finished = self._chunks.finish(finish_reason_of(candidate), index, ending_of(candidate))
        return self._chunks.delta(last, index) + finished

    @property
    def result(self) -> Completion:
        """The answer as far as it has come, as the client has it."""
        completion = completion_of(self._answer.body(), self._request, self._chunks.id)
        completion.error = self._error
        return completion


def _parsed(data: str) -> JSON | None:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if isinstance(found, list) and found:
        found = found[0]
    return found if isinstance(found, dict) else None
