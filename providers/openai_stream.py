"""Streams of the OpenAI dialect: one observer that sees by the first event which kind of stream it has.

Each assembly takes the chunks of one kind and can say at any moment, as a body in the shape of a non-streamed
answer, how far the answer has come. Nothing here raises on foreign input: what does not fit is left out.
"""

from __future__ import annotations

import json
from typing import Any, Protocol

from llmflow_web.model import JSON, Completion
from llmflow_web.provider import Event

from .chat_stream import ChatAssembly, TextAssembly
from .completion import completion_from, text_or_none
from .responses_stream import ResponseAssembly
from .usage import usage_from


class Assembly(Protocol):
    """What every kind of stream can do."""

    is_complete: bool
    error: str | None

    def take(self, chunk: JSON) -> bool:
        """Take one chunk; say whether it brought content."""

    def body(self) -> JSON:
        """Return the answer so far in the shape of a non-streamed one."""


class ImageAssembly:
    """Images: partial previews come first, then one completed event per image."""

    def __init__(self) -> None:
        self.is_complete = False
        self.error: str | None = None
        self._data: list[JSON] = []
        self._about: JSON = {}

    def take(self, chunk: JSON) -> bool:
        """Keep completed images; previews are only a sign of life."""
        kind = str(chunk.get("type") or "")
        if kind.endswith(".completed"):
            self.is_complete = True
            self._data.append({name: chunk[name] for name in ("b64_json", "url") if name in chunk})
            for name in ("background", "output_format", "quality", "size", "usage", "created_at"):
                if chunk.get(name) is not None:
                    self._about["created" if name == "created_at" else name] = chunk[name]
        return "b64_json" in chunk or "url" in chunk

    def body(self) -> JSON:
        """Return an images response."""
        return {"created": 0, "data": self._data, **self._about}


class TranscriptAssembly:
    """Transcription: text deltas, segments, then the whole text with usage."""

    def __init__(self) -> None:
        self.is_complete = False
        self.error: str | None = None
        self._pieces: list[str] = []
        self._segments: list[JSON] = []
        self._about: JSON = {}

    def take(self, chunk: JSON) -> bool:
        """Take a delta, a segment or the end."""
        kind = chunk.get("type")
        if kind == "transcript.text.delta" and isinstance(chunk.get("delta"), str):
            self._pieces.append(chunk["delta"])
            return bool(chunk["delta"])
        if kind == "transcript.text.segment":
            self._segments.append({name: value for name, value in chunk.items() if name != "type"})
            return True
        if kind == "transcript.text.done":
            self.is_complete = True
            if isinstance(chunk.get("text"), str):
                self._pieces = [chunk["text"]]
            self._about = {name: chunk[name] for name in ("usage", "logprobs") if chunk.get(name) is not None}
        return False

    def body(self) -> JSON:
        """Return a transcription."""
        segments = {"segments": self._segments} if self._segments else {}
        return {"text": "".join(self._pieces), **segments, **self._about}


class SpeechAssembly:
    """Speech: the audio stays in the stored stream, only usage is of interest."""

    def __init__(self) -> None:
        self.is_complete = False
        self.error: str | None = None
        self._about: JSON = {}

    def take(self, chunk: JSON) -> bool:
        """Take an audio piece or the end."""
        if chunk.get("type") == "speech.audio.done":
            self.is_complete = True
            self._about = {"usage": chunk["usage"]} if isinstance(chunk.get("usage"), dict) else {}
        return bool(chunk.get("audio"))

    def body(self) -> JSON:
        """Return what is known of the speech."""
        return dict(self._about)


_BY_TYPE = (
    ("response.", ResponseAssembly),
    ("image_generation.", ImageAssembly),
    ("image_edit.", ImageAssembly),
    ("transcript.", TranscriptAssembly),
    ("speech.", SpeechAssembly),
)


def _assembly_for(operation: str, request: JSON, chunk: JSON) -> Assembly:
    kind = chunk.get("type")
    if isinstance(kind, str):
        for prefix, make in _BY_TYPE:
            if kind.startswith(prefix):
                return make()
    if operation == "text_completion" or chunk.get("object") == "text_completion":
        return TextAssembly()
    if "input" in request and "messages" not in request and not isinstance(chunk.get("choices"), list):
        return ResponseAssembly()
    return ChatAssembly()


def _error_sentence(found: Any) -> str | None:
    """Return what an error member says: an object or a bare string."""
    if isinstance(found, str) and found:
        return found
    if isinstance(found, dict):
        message = text_or_none(found.get("message"))
        code = found.get("code") or found.get("type")
        if message and code and str(code) not in message:
            return f"{message} ({code})"
        return message or (str(code) if code else "the stream ended with an error")
    return None


def chunk_error(chunk: JSON) -> str | None:
    """Return the sentence of a chunk that reports an error, wherever the vendor puts it."""
    if chunk.get("type") == "error" and not chunk.get("error"):
        return _error_sentence({"message": chunk.get("message"), "code": chunk.get("code")})
    found = _error_sentence(chunk.get("error"))
    if found is None and isinstance(chunk.get("x_groq"), dict):
        found = _error_sentence(chunk["x_groq"].get("error"))
    if found is None and chunk.get("object") == "error":
        found = _error_sentence(chunk)
    return found


class OpenAIStream:
    """Observes one stream of the dialect."""

    def __init__(self, operation: str, request: JSON) -> None:
        self.count = 0
        self.first_content: int | None = None
        self.error: str | None = None
        self._operation = operation
        self._request = request
        self._fed = 0
        self._is_done = False  # [DONE] has come
        self._assembly: Assembly | None = None
        self._pattern: tuple[str, str] | None = None  # what stands before and after the text of the last chunk

    def __repr__(self) -> str:
        return f"<OpenAIStream {self._operation} chunks={self.count} complete={self.is_complete}>"

    @property
    def is_complete(self) -> bool:
        """Say whether the dialect's end marker has come."""
        return self._is_done or (self._assembly is not None and self._assembly.is_complete)

    def feed(self, event: Event) -> list[JSON]:
        """Take one event. The client has its bytes already, so no chunks are made of it."""
        index = self._fed
        self._fed += 1
        data = event.data.strip()
        if self._pattern is not None and self._take_alike(data, *self._pattern):
            return []
        if data == "[DONE]":
            self._is_done = True
            return []
        chunk = self._parse(data)
        if chunk is None:
            return []
        self.count += 1
        if self._assembly is None:
            self._assembly = _assembly_for(self._operation, self._request, chunk)
        if self.error is None:
            self.error = chunk_error(chunk)
        if self._assembly.take(chunk) and self.first_content is None:
            self.first_content = index
        self._learn(data, chunk)
        return []

    # Most chunks of a chat differ from the one before in one string only. Such a chunk need not be parsed again:
    # 2 µs instead of 11.

    def _take_alike(self, data: str, start: str, end: str) -> bool:
        """Take a chunk that is the last parsed one but for a plain text."""
        if not (data.startswith(start) and data.endswith(end)) or len(data) < len(start) + len(end):
            return False
        text = data[len(start) : len(data) - len(end)]
        if '"' in text or "\\" in text or not text.isprintable():
            return False
        if isinstance(self._assembly, ChatAssembly):
            self._assembly.add_text(text)
        self.count += 1
        return True

    def _learn(self, data: str, chunk: JSON) -> None:
        """Remember what surrounds the text of a chunk that brought nothing else."""
        self._pattern = None
        assembly = self._assembly
        if self.error is not None or not isinstance(assembly, ChatAssembly):
            return
        text = assembly.only_text(chunk)
        if not text:
            return
        start, mark, rest = data.partition('"content":"')
        if mark and rest.startswith(text + '"') and '"content":"' not in rest:
            self._pattern = (start + mark, rest[len(text) :])

    def _parse(self, data: str) -> JSON | None:
        if not data:
            return None
        try:
            chunk = json.loads(data)
        except (ValueError, RecursionError):
            chunk = None
        return chunk if isinstance(chunk, dict) else None

    def finish(self) -> list[JSON]:
        """End the stream; nothing is owed in this dialect."""
        return []

    @property
    def result(self) -> Completion:
        """The answer as far as it has come."""
        if self._assembly is None:
            return Completion(error=self.error)
        body = self._assembly.body()
        body["_streaming"] = True
        body["_chunks"] = self.count
        completion = completion_from(self._operation, body)
        completion.usage = usage_from(body, self._request)
        completion.error = self.error or self._assembly.error or completion.error
        return completion
