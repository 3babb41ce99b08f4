"""Chat and completion chunks → the body of a non-streamed answer.

The sheet's defects of compatible servers are handled here: tool calls without index, ids and names repeated on every
fragment, the old function_call, usage on any chunk, whole messages instead of deltas, content as a list of parts.
"""

from __future__ import annotations

import binascii
from typing import Any

from llmflow_web.model import JSON

from .completion import as_text, split_content, text_or_none
from .usage import raw_usage

_KNOWN = frozenset({"id", "object", "created", "model", "choices", "usage", "obfuscation", "x_groq", "error"})
_KNOWN_OF_CHOICE = frozenset({"index", "delta", "message", "finish_reason", "logprobs", "text"})
_REASONING_NAMES = ("reasoning_content", "reasoning")


class _Chunks:
    """What chunks of both kinds share: identity, usage, members of the vendor's own."""

    def __init__(self) -> None:
        self.is_complete = False  # only [DONE] says so, and that is no chunk
        self.error: str | None = None
        self._id = ""
        self._model = ""
        self._created = 0
        self._usage: JSON | None = None
        self._extra: JSON = {}

    def _note(self, chunk: JSON) -> None:
        self._id = self._id or text_or_none(chunk.get("id")) or ""
        self._model = text_or_none(chunk.get("model")) or self._model
        created = chunk.get("created")
        if not self._created and isinstance(created, int):
            self._created = created
        usage = raw_usage(chunk)
        if usage is not None:
            self._usage = usage  # cumulative where it comes on every chunk: the last one counts
        for name, value in chunk.items():
            if name not in _KNOWN and value is not None:
                self._extra[name] = value

    def _frame(self, object_name: str, choices: list[JSON]) -> JSON:
        return {
            "id": self._id,
            "object": object_name,
            "created": self._created,
            "model": self._model,
            "choices": choices,
            "usage": self._usage,
            **self._extra,
        }


class ChatAssembly(_Chunks):
    """chat.completion.chunk → chat.completion."""

    def __init__(self) -> None:
        super().__init__()
        self._choices: dict[int, _Choice] = {}
        self._last = 0  # the choice of the chunk `only_text` has seen

    def take(self, chunk: JSON) -> bool:
        """Take one chunk; say whether it brought content."""
        self._note(chunk)
        has_content = False
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict):
                index = choice.get("index")
                index = index if isinstance(index, int) else 0
                if index not in self._choices:
                    self._choices[index] = _Choice(index)
                has_content |= self._choices[index].take(choice)
        return has_content

    def only_text(self, chunk: JSON) -> str:
        """Return the text of a chunk just taken that brought a text and nothing else, "" for all others."""
        choices = chunk.get("choices")
        if not isinstance(choices, list) or len(choices) != 1:
            return ""
        choice = choices[0]
        delta = choice.get("delta") if isinstance(choice, dict) else None
        if not isinstance(delta, dict) or list(delta) != ["content"]:
            return ""
        if choice.get("logprobs") or choice.get("finish_reason"):
            return ""
        index = choice.get("index")
        self._last = index if isinstance(index, int) else 0
        return text_or_none(delta["content"]) or ""

    def add_text(self, text: str) -> None:
        """Take a chunk that differs from the one `only_text` has seen by its text alone."""
        self._choices[self._last].add_text(text)

    def body(self) -> JSON:
        """Return a chat.completion."""
        return self._frame("chat.completion", [self._choices[index].body() for index in sorted(self._choices)])


class _Choice:
    """One choice on its way."""

    def __init__(self, index: int) -> None:
        self._index = index
        self._role = "assistant"
        self._content: list[str] = []
        self._reasoning: dict[str, list[str]] = {}
        self._details: list[JSON] = []
        self._refusal: list[str] = []
        self._calls = _ToolCalls()
        self._function: JSON | None = None
        self._audio: JSON = {}
        self._audio_data: list[str] = []
        self._transcript: list[str] = []
        self._annotations: list[Any] = []
        self._images: list[Any] = []  # pictures among the answer: OpenRouter's word, and ours for Gemini's
        self._logprobs: dict[str, list[Any]] = {}
        self._finish_reason: str | None = None
        self._extra: JSON = {}

    def take(self, choice: JSON) -> bool:
        """Take one choice of a chunk; say whether it brought content."""
        for name, value in choice.items():
            if name not in _KNOWN_OF_CHOICE and value is not None:
                self._extra[name] = value
        self._finish_reason = text_or_none(choice.get("finish_reason")) or self._finish_reason
        if isinstance(choice.get("logprobs"), dict):
            _extend(self._logprobs, choice["logprobs"])
        delta = choice.get("delta")
        if isinstance(delta, dict):
            return self._take_delta(delta)
        message = choice.get("message")
        if isinstance(message, dict):  # a whole message instead of a delta replaces what there is
            self._content.clear()
            return self._take_delta(message)
        return False

    def add_text(self, text: str) -> None:
        """Add a piece of content."""
        self._content.append(text)

    def _take_delta(self, delta: JSON) -> bool:
        self._role = text_or_none(delta.get("role")) or self._role
        has_content = self._take_text(delta)
        calls = delta.get("tool_calls")
        if isinstance(calls, list):
            for call in calls:
                if isinstance(call, dict):
                    self._calls.take(call)
                    has_content = True
        if isinstance(delta.get("function_call"), dict):
            self._function = _joined_function(self._function, delta["function_call"])
            has_content = True
        if isinstance(delta.get("annotations"), list):
            self._annotations.extend(delta["annotations"])
        if isinstance(delta.get("images"), list):
            self._images.extend(delta["images"])
            has_content |= bool(delta["images"])
        if isinstance(delta.get("audio"), dict):
            has_content |= self._take_audio(delta["audio"])
        return has_content

    def _take_text(self, delta: JSON) -> bool:
        content = delta.get("content")
        if isinstance(content, str):
            if content:
                self._content.append(content)
            has_content = bool(content)
        else:
            text, thought = split_content(content)
            self._content.append(text)
            if thought:
                self._reasoning.setdefault("reasoning_content", []).append(thought)
            has_content = bool(text or thought)
        for name in _REASONING_NAMES:
            piece = delta.get(name)
            if isinstance(piece, str) and piece:
                self._reasoning.setdefault(name, []).append(piece)
                has_content = True
        if isinstance(delta.get("reasoning_details"), list):
            has_content |= self._take_details(delta["reasoning_details"])
        refusal = delta.get("refusal")
        if isinstance(refusal, str) and refusal:
            self._refusal.append(refusal)
            has_content = True
        return has_content

    def _take_details(self, details: list[Any]) -> bool:
        """Join OpenRouter's reasoning fragments: those of one type and index are one block."""
        for item in details:
            if not isinstance(item, dict):
                continue
            last = self._details[-1] if self._details else {}
            if last and all(last.get(name) == item.get(name) for name in ("type", "index")):
                for name, value in item.items():
                    is_piece = name in ("text", "summary", "data") and isinstance(value, str)
                    if is_piece and isinstance(last.get(name), str):
                        last[name] += value
                    elif value is not None:
                        last[name] = value
            else:
                self._details.append(dict(item))
        return bool(details)

    def _take_audio(self, audio: JSON) -> bool:
        for name, pieces in (("data", self._audio_data), ("transcript", self._transcript)):
            if isinstance(audio.get(name), str):
                pieces.append(audio[name])
        for name in ("id", "expires_at"):
            if audio.get(name) is not None:
                self._audio[name] = audio[name]
        return bool(audio.get("data") or audio.get("transcript"))

    def body(self) -> JSON:
        """Return the choice as it stands in a non-streamed answer."""
        message: JSON = {"role": self._role, "content": "".join(self._content)}
        for name, pieces in self._reasoning.items():
            message[name] = "".join(pieces)
        if self._details:
            message["reasoning_details"] = self._details
        message["refusal"] = "".join(self._refusal) or None
        calls = self._calls.body()
        if calls:
            message["tool_calls"] = calls
        if self._function is not None:
            message["function_call"] = self._function
        if self._annotations:
            message["annotations"] = self._annotations
        if self._images:
            message["images"] = self._images
        if self._audio or self._audio_data or self._transcript:
            message["audio"] = self._audio_body()
        has_other = calls or self._function or message["refusal"] or "audio" in message
        if not message["content"] and has_other:
            message["content"] = None
        return {
            "index": self._index,
            "message": message,
            "finish_reason": self._finish_reason,
            "logprobs": {"content": None, "refusal": None, **self._logprobs} if self._logprobs else None,
            **self._extra,
        }

    def _audio_body(self) -> JSON:
        data = _joined_base64(self._audio_data)
        return {"id": "", "expires_at": 0, "data": data, "transcript": "".join(self._transcript), **self._audio}


def _joined_base64(pieces: list[str]) -> str:
    """Join base64 fragments, each of which may carry padding of its own."""
    if not any(piece.endswith("=") for piece in pieces[:-1]):
        return "".join(pieces)
    try:
        whole = b"".join(binascii.a2b_base64(piece) for piece in pieces)
    except (binascii.Error, ValueError):
        return "".join(pieces)
    return binascii.b2a_base64(whole, newline=False).decode("ascii")


def _joined_function(known: JSON | None, piece: JSON) -> JSON:
    """Add a fragment of the old function_call."""
    function = known or {"name": "", "arguments": ""}
    function["name"] = _joined_name(function["name"], piece.get("name"))
    function["arguments"] += as_text(piece.get("arguments"))
    return function


def _joined_name(known: str, piece: Any) -> str:
    """Set a name; servers that repeat it on every fragment do not lengthen it."""
    if not isinstance(piece, str) or not piece or piece == known:
        return known
    return known + piece


class _ToolCalls:
    """The tool calls of one choice, joined from fragments."""

    def __init__(self) -> None:
        self._calls: list[JSON] = []
        self._pieces: list[list[str]] = []  # the arguments of each, joined at the end
        self._by_index: dict[int, int] = {}
        self._by_id: dict[str, int] = {}

    def take(self, fragment: JSON) -> None:
        """Add one fragment to the call it belongs to."""
        inner = fragment.get("function")
        if not isinstance(inner, dict):
            inner = fragment.get("custom")
        inner = inner if isinstance(inner, dict) else {}
        at = self._place_of(fragment, inner)
        call = self._calls[at]
        call["id"] = call["id"] or text_or_none(fragment.get("id")) or ""
        kind = fragment.get("type")
        if kind == "custom" or isinstance(fragment.get("custom"), dict):
            call["type"] = "custom"
        call["name"] = _joined_name(call["name"], inner.get("name"))
        self._pieces[at].append(as_text(inner.get("arguments", inner.get("input"))))

    def _place_of(self, fragment: JSON, inner: JSON) -> int:
        """Find the call by index; by id where the index is missing; the last one where both are."""
        index = fragment.get("index")
        call_id = text_or_none(fragment.get("id"))
        if isinstance(index, int) and not isinstance(index, bool):
            at = self._by_index.get(index)
            # Some servers give every parallel call the index 0: another id that comes with a name is another call.
            is_other = at is not None and call_id and self._calls[at]["id"] not in ("", call_id) and inner.get("name")
            if at is None or is_other:
                at = self._known(call_id) if is_other else None
                at = self._new(call_id) if at is None else at
                self._by_index[index] = at
            return at
        known = self._known(call_id)
        if known is not None:
            return known
        if call_id or not self._calls:
            return self._new(call_id)
        return len(self._calls) - 1

    def _known(self, call_id: str | None) -> int | None:
        return self._by_id.get(call_id) if call_id else None

    def _new(self, call_id: str | None) -> int:
        self._calls.append({"id": call_id or "", "type": "function", "name": ""})
        self._pieces.append([])
        if call_id:
            self._by_id[call_id] = len(self._calls) - 1
        return len(self._calls) - 1

    def body(self) -> list[JSON]:
        """Return the calls as they stand in a message."""
        found: list[JSON] = []
        for call, pieces in zip(self._calls, self._pieces, strict=True):
            word = "input" if call["type"] == "custom" else "arguments"
            inner = {"name": call["name"], word: "".join(pieces)}
            found.append({"id": call["id"], "type": call["type"], call["type"]: inner})
        return found


def _extend(known: dict[str, list[Any]], piece: JSON) -> None:
    """Lengthen the lists of `known` by those of `piece`."""
    for name, value in piece.items():
        if isinstance(value, list):
            known.setdefault(name, []).extend(value)


class TextAssembly(_Chunks):
    """Streamed text_completion → text_completion."""

    def __init__(self) -> None:
        super().__init__()
        self._texts: dict[int, list[str]] = {}
        self._finish: dict[int, str] = {}
        self._logprobs: dict[int, dict[str, list[Any]]] = {}

    def take(self, chunk: JSON) -> bool:
        """Take one chunk; say whether it brought text."""
        self._note(chunk)
        has_content = False
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict):
                has_content |= self._take_choice(choice)
        return has_content

    def _take_choice(self, choice: JSON) -> bool:
        index = choice.get("index")
        index = index if isinstance(index, int) else 0
        text = choice.get("text")
        text = text if isinstance(text, str) else ""
        self._texts.setdefault(index, []).append(text)
        reason = text_or_none(choice.get("finish_reason"))
        if reason:
            self._finish[index] = reason
        if isinstance(choice.get("logprobs"), dict):
            _extend(self._logprobs.setdefault(index, {}), choice["logprobs"])
        return bool(text)

    def body(self) -> JSON:
        """Return a text_completion."""
        choices: list[JSON] = [
            {
                "index": index,
                "text": "".join(self._texts[index]),
                "finish_reason": self._finish.get(index),
                "logprobs": self._logprobs.get(index),
            }
            for index in sorted(self._texts)
        ]
        return self._frame("text_completion", choices)
