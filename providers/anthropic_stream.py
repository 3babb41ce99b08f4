"""Anthropic's events → the message they build up, and the OpenAI chunks they become.

One assembly, two machines: `MessageStream` only observes, `ChatTranslator` also makes chunks. Usage is cumulative: the
last figure of each kind counts. Nothing here raises on foreign input.
"""

from __future__ import annotations

import json
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from typing import Any, ClassVar

from llmflow_web.model import JSON, Completion
from llmflow_web.provider import Event

from .anthropic_answer import (
    annotations_of,
    arguments_of,
    completion_of,
    finish_reason_of,
    refusal_of,
    tier_of,
    translated_completion,
    usage_from,
)
from .anthropic_errors import envelope_of, sentence_of
from .anthropic_messages import remember_thoughts
from .anthropic_request import JSON_TOOL, has_json_tool
from .completion import text_or_none
from .shapes import Chunks, error_envelope, objects
from .usage import member

# delta → (the member of the delta, the member of the block, the kind of block it belongs to)
_PIECES = {
    "text_delta": ("text", "text", "text"),
    "thinking_delta": ("thinking", "thinking", "thinking"),
    "signature_delta": ("signature", "signature", "thinking"),
    "input_json_delta": ("partial_json", "input", "tool_use"),
    "compaction_delta": ("content", "content", "compaction"),
}


class Block:
    """One content block on its way."""

    def __init__(self, start: JSON) -> None:
        self.kind = str(start.get("type") or "")
        self.has_pieces = False
        self._start = start
        self._pieces: dict[str, list[str]] = {}
        self._citations: list[Any] = []

    def add(self, delta: JSON) -> str:
        """Take one delta; return the piece of text it brought."""
        kind = delta.get("type")
        if kind == "citations_delta":
            self._citations.append(delta.get("citation"))
        row = _PIECES.get(kind) if isinstance(kind, str) else None
        piece = delta.get(row[0]) if row else None
        if row is None or not isinstance(piece, str) or not piece:
            return ""
        self.has_pieces = True
        self._pieces.setdefault(row[1], []).append(piece)
        return piece if row[1] != "signature" else ""

    def body(self) -> JSON:
        """Return the block as a message that was not streamed has it."""
        made = dict(self._start)
        for name, pieces in self._pieces.items():
            text = "".join(pieces)
            if name == "input":
                made[name] = _parsed(text)
            else:
                made[name] = str(made.get(name) or "") + text
        if self._citations:
            made["citations"] = [*objects(made.get("citations")), *self._citations]
        return made


def _parsed(text: str) -> Any:
    """Return a tool's input; one that was broken off stays text."""
    with suppress(ValueError, RecursionError):
        return json.loads(text)
    return text


class MessageAssembly:
    """Events of one message."""

    def __init__(self) -> None:
        self.is_complete = False
        self.error: JSON | None = None
        self.blocks: dict[int, Block] = {}
        self._message: JSON = {}
        self._usage: JSON = {}
        self._completion: list[str] = []

    def take(self, data: JSON) -> bool:
        """Take one event; say whether it brought content."""
        step = self._STEPS.get(str(data.get("type")))
        return step(self, data) if step is not None else False

    def body(self) -> JSON:
        """Return the message as far as it has come."""
        made = dict(self._message)
        if self._completion:
            return {**made, "completion": "".join(self._completion)}
        if self.blocks:
            made["content"] = [self.blocks[index].body() for index in sorted(self.blocks)]
        if self._usage:
            made["usage"] = self._usage
        return made

    def block_of(self, data: JSON) -> Block:
        """Return the block an event is about."""
        index = data.get("index")
        number = index if isinstance(index, int) else len(self.blocks) - 1
        if number not in self.blocks:  # a delta without its start
            row = _PIECES.get(str(member(data, "delta").get("type")))
            self.blocks[number] = Block({"type": row[2] if row else "text"})
        return self.blocks[number]

    def _start(self, data: JSON) -> bool:
        self._message = dict(member(data, "message"))
        self._usage = dict(member(self._message, "usage"))
        self.blocks = {index: Block(block) for index, block in enumerate(objects(self._message.get("content")))}
        return bool(self.blocks)

    def _open(self, data: JSON) -> bool:
        index, start = data.get("index"), member(data, "content_block")
        self.blocks[index if isinstance(index, int) else len(self.blocks)] = Block(start)
        return start.get("type") == "tool_use" or bool(start.get("text") or start.get("thinking"))

    def _add(self, data: JSON) -> bool:
        return bool(self.block_of(data).add(member(data, "delta")))

    def _change(self, data: JSON) -> bool:
        self._message |= {name: value for name, value in member(data, "delta").items() if value is not None}
        self._usage |= {name: value for name, value in member(data, "usage").items() if value is not None}
        return False

    def _stop(self, data: JSON) -> bool:
        del data
        self.is_complete = True
        return False

    def _fail(self, data: JSON) -> bool:
        self.error = data
        return False

    def _complete(self, data: JSON) -> bool:
        """Take an event of the old text completions."""
        piece = data.get("completion")
        self._message |= {name: value for name, value in data.items() if name != "completion" and value is not None}
        self.is_complete = self.is_complete or bool(data.get("stop_reason"))
        self._completion.append(piece if isinstance(piece, str) else "")
        return bool(piece)

    _STEPS: ClassVar[dict[str, Callable[[MessageAssembly, JSON], bool]]] = {
        "message_start": _start,
        "content_block_start": _open,
        "content_block_delta": _add,
        "message_delta": _change,
        "message_stop": _stop,
        "error": _fail,
        "completion": _complete,
    }


class MessageStream:
    """Observes one native stream."""

    def __init__(self) -> None:
        self.count = 0
        self.first_content: int | None = None
        self._fed = 0
        self._assembly = MessageAssembly()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} events={self.count} complete={self.is_complete}>"

    @property
    def is_complete(self) -> bool:
        """Say whether message_stop has come."""
        return self._assembly.is_complete

    def feed(self, event: Event) -> list[JSON]:
        """Take one event."""
        self._take(event)
        return []

    def _take(self, event: Event) -> JSON | None:
        """Take one event; return its data, None when there is nothing in it or it comes after the end."""
        index = self._fed
        self._fed += 1
        data = _loaded(event.data)
        if data is None or self.is_complete or self._assembly.error is not None:
            return None
        self.count += 1
        if self._assembly.take(data) and self.first_content is None:
            self.first_content = index
        return data

    def finish(self) -> list[JSON]:
        """End the stream; nothing is owed to an observer."""
        return []

    @property
    def result(self) -> Completion:
        """The answer as far as it has come."""
        body = {**self._assembly.body(), "_streaming": True, "_chunks": self.count}
        if "completion" in body:
            completion = Completion(text=body["completion"], model=text_or_none(body.get("model")), body=body)
            completion.finish_reason = finish_reason_of(body)
        else:
            completion = completion_of(body)
        if self._assembly.error is not None:
            completion.error = sentence_of(self._assembly.error)
        return completion


def _loaded(data: str) -> JSON | None:
    if data:
        with suppress(ValueError, RecursionError):
            found = json.loads(data)
            return found if isinstance(found, dict) else None
    return None


class ChatTranslator(MessageStream):
    """Turns a native stream into chat.completion.chunks."""

    def __init__(self, request: JSON, memory: MutableMapping[str, Any] | None = None) -> None:
        super().__init__()
        self._request = request
        self._memory = memory
        self._chunks = Chunks(request)
        self._numbers: dict[int, int] = {}  # id() of a tool_use block → index of its tool call
        self._length = 0  # characters of text so far
        self._is_over = False
        # Where the answer is the input of a tool, text before it is none of the answer: it is held back until it is
        # known that the tool is not called.
        self._held: list[str] | None = [] if has_json_tool(request) else None
        self._json_block: Block | None = None

    def feed(self, event: Event) -> list[JSON]:
        """Take one event, return the chunks it becomes."""
        data = self._take(event)
        step = self._CHUNKS.get(str(data.get("type"))) if data is not None else None
        return step(self, data) if step is not None and data is not None else []

    def finish(self) -> list[JSON]:
        """End the stream: one that was broken off says so."""
        if self._is_over:
            return []
        self._is_over = True
        message = "the provider ended the stream before the answer was complete"
        return [error_envelope(message, "server_error", "upstream_closed")]

    @property
    def result(self) -> Completion:
        """The answer as far as it has come, in OpenAI's shape, with Anthropic's own count of tokens."""
        completion = translated_completion(self._assembly.body(), self._request)
        if self._assembly.error is not None:
            completion.error = sentence_of(self._assembly.error)
        return completion

    def _start(self, data: JSON) -> list[JSON]:
        message = member(data, "message")
        self._chunks.id = text_or_none(message.get("id")) or ""
        self._chunks.model = text_or_none(message.get("model")) or ""
        return self._chunks.begin()

    def _open(self, data: JSON) -> list[JSON]:
        block, start = self._assembly.block_of(data), member(data, "content_block")
        if block.kind == "tool_use":
            return self._open_call(block, start)
        if block.kind == "text":
            return self._text(text_or_none(start.get("text")) or "")
        return self._chunks.reasoning(text_or_none(start.get("thinking")) or "")

    def _open_call(self, block: Block, start: JSON) -> list[JSON]:
        given = arguments_of(start["input"]) if start.get("input") else ""
        name = str(start.get("name") or "")
        if self._held is not None and name == JSON_TOOL:
            if self._json_block is not None:
                return []
            self._json_block = block
            return self._chunks.text(given)
        number = self._numbers[id(block)] = len(self._numbers)
        return self._chunks.call(number, str(start.get("id") or ""), name, given)

    def _add(self, data: JSON) -> list[JSON]:
        block, delta = self._assembly.block_of(data), member(data, "delta")
        kind = delta.get("type")
        if kind == "text_delta":
            return self._text(text_or_none(delta.get("text")) or "")
        if kind == "thinking_delta":
            return self._chunks.reasoning(text_or_none(delta.get("thinking")) or "")
        if kind == "input_json_delta":
            piece = text_or_none(delta.get("partial_json")) or ""
            if block is self._json_block:
                return self._chunks.text(piece)
            if id(block) in self._numbers:
                return self._chunks.arguments(self._numbers[id(block)], piece)
        return []

    def _text(self, text: str) -> list[JSON]:
        self._length += len(text)
        if self._held is not None:
            self._held.append(text)
            return []
        return self._chunks.text(text)

    def _close(self, data: JSON) -> list[JSON]:
        block = self._assembly.block_of(data)
        body = block.body()
        if block.kind == "tool_use" and not block.has_pieces and not body.get("input"):
            if block is self._json_block:
                return self._chunks.text("{}")
            return self._chunks.arguments(self._numbers[id(block)], "{}") if id(block) in self._numbers else []
        if block.kind in ("thinking", "redacted_thinking"):
            return self._chunks.delta({"thinking_blocks": [body]})
        if block.kind == "text":
            cited = annotations_of(body, self._length - len(str(body.get("text") or "")))
            return self._chunks.delta({"annotations": cited}) if cited else []
        return []

    def _stop(self, data: JSON) -> list[JSON]:
        del data
        self._is_over = True
        body = self._assembly.body()
        if self._memory is not None:
            remember_thoughts(body.get("content"), self._memory)
        made: list[JSON] = []
        if self._held is not None and self._json_block is None:
            made += self._chunks.text("".join(self._held))
        refusal = refusal_of(body)
        if refusal:
            made += self._chunks.delta({"refusal": refusal})
        reason = finish_reason_of(body)
        if self._json_block is not None and reason == "tool_calls" and not self._numbers:
            reason = "stop"
        made += self._chunks.finish(reason, extra={"native_finish_reason": body.get("stop_reason")})
        return made + self._chunks.usage(usage_from(body), tier_of(body))

    def _fail(self, data: JSON) -> list[JSON]:
        self._is_over = True
        return [envelope_of(data)]

    _CHUNKS: ClassVar[dict[str, Callable[[ChatTranslator, JSON], list[JSON]]]] = {
        "message_start": _start,
        "content_block_start": _open,
        "content_block_delta": _add,
        "content_block_stop": _close,
        "message_stop": _stop,
        "error": _fail,
    }
