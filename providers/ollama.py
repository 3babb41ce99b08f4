"""Ollama: OpenAI's dialect under /v1 passes unchanged; its own /api is read from NDJSON streams and whole answers.

Fields as of ollama-python 0.6. Every native POST streams unless it says `"stream": false`. Durations are nanoseconds;
they stay in the raw usage. A call without `prompt_eval_count` had its whole prompt in the cache.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from llmflow_web.model import JSON, Completion, Usage
from llmflow_web.provider import Event, Native, refused_as_openai

from .completion import as_text, text_or_none
from .openai import OPENAI
from .openai import answer as openai_answer
from .openai import native as openai_native
from .shapes import EitherStream, objects, tool_call
from .usage import count, member, usage_from

_COUNTERS = (
    "prompt_eval_count",
    "prompt_eval_duration",
    "eval_count",
    "eval_duration",
    "load_duration",
    "total_duration",
)
_STREAMING = frozenset({"chat", "generate", "pull", "push", "create"})
# /api/NAME → (operation, span_type, name where the operation says too little)
_OPERATIONS: dict[str, tuple[str, str, str | None]] = {
    "chat": ("chat", "llm", None),
    "generate": ("text_completion", "llm", "generate"),
    "embed": ("embeddings", "embedding", None),
    "embeddings": ("embeddings", "embedding", None),
    "web_search": ("web_search", "tool", None),
    "web_fetch": ("web_fetch", "tool", None),
}
_CLOUD = ("-cloud", ":cloud")


# ── what is asked ────────────────────────────────────────────────────────────────────────────────────────────────────


def native(method: str, path: str, body: JSON) -> Native:
    """Say what a request asks for: Ollama's own paths, else the dialect's."""
    _, mark, resource = path.partition("?")[0].rpartition("/api/")
    if not mark:
        return openai_native(method, path, body)
    resource = resource.strip("/").partition("/")[0]
    model = text_or_none(body.get("model")) or text_or_none(body.get("name"))
    is_stream = method == "POST" and resource in _STREAMING and body.get("stream") is not False
    row = _OPERATIONS.get(resource)
    if method != "POST" or row is None:
        return Native(resource[:40] or "request", model, is_stream, span_type="custom")
    if _only_loads(resource, body):
        return Native("load", model, is_stream, span_type="custom")
    operation, span_type, name = row
    return Native(operation, model, is_stream, span_type, name)


def _only_loads(resource: str, body: JSON) -> bool:
    """Say whether a request only loads or unloads a model: without a prompt nothing is generated."""
    if resource == "chat":
        return not body.get("messages")
    return resource == "generate" and not any(body.get(name) for name in ("prompt", "images", "suffix", "context"))


# ── what is answered ─────────────────────────────────────────────────────────────────────────────────────────────────


def is_own(body: JSON) -> bool:
    """Tell a native answer or line from one of the OpenAI dialect."""
    return "choices" not in body and "object" not in body and not isinstance(body.get("data"), list)


def answer(operation: str, request: JSON, body: JSON) -> Completion:
    """Read a whole answer of either kind."""
    if not is_own(body):
        return openai_answer(operation, request, body)
    completion = Completion(body=body, model=text_or_none(body.get("model")), usage=usage(body, request))
    message = member(body, "message")
    completion.text = text_or_none(message.get("content")) or text_or_none(body.get("response")) or ""
    completion.reasoning = text_or_none(message.get("thinking")) or text_or_none(body.get("thinking")) or ""
    completion.tool_calls = [_tool_call(call) for call in objects(message.get("tool_calls"))]
    reason = text_or_none(body.get("done_reason"))
    completion.finish_reason = "tool_calls" if completion.tool_calls and reason in ("stop", None) else reason
    completion.error = text_or_none(body.get("error"))
    return completion


def _tool_call(call: JSON) -> JSON:
    """Return a call in OpenAI's form: arguments are an object here, and only newer servers give ids."""
    function = member(call, "function")
    name = text_or_none(function.get("name")) or ""
    return tool_call(text_or_none(call.get("id")) or "", name, as_text(function.get("arguments")))


def usage(body: JSON, request: JSON) -> Usage | None:
    """Read the counters of a native answer, or the usage of the dialect."""
    if not is_own(body):
        return usage_from(body, request)
    prompt, made = count(body.get("prompt_eval_count")), count(body.get("eval_count"))
    if prompt is None and made is None:
        return None
    raw = {name: body[name] for name in _COUNTERS if name in body}
    if made is None and not isinstance(body.get("message"), dict) and "response" not in body:
        made = 0  # embeddings have no output
    return Usage(prompt_tokens=prompt, completion_tokens=made, total_tokens=(prompt or 0) + (made or 0), raw=raw)


def is_free(model: str | None, headers: Mapping[str, str]) -> bool | None:
    """Say that a model that a local server only hands on to Ollama's cloud is not free."""
    del headers
    return False if model is not None and model.endswith(_CLOUD) else None


# ── streams ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def stream(operation: str, request: JSON) -> EitherStream:
    """Start observing a stream: native lines, or the events of the OpenAI dialect."""
    return EitherStream(operation, request, OllamaStream(operation, request))


class OllamaStream:
    """Observes one stream of native lines."""

    def __init__(self, operation: str, request: JSON) -> None:
        self.count = 0
        self.first_content: int | None = None
        self._operation = operation
        self._request = request
        self._fed = 0
        self._lines = _Lines()

    def __repr__(self) -> str:
        return f"<OllamaStream {self._operation} lines={self.count} complete={self.is_complete}>"

    @property
    def is_complete(self) -> bool:
        """Say whether the last line has come: `"done": true`, or `success` where a model was fetched."""
        return self._lines.is_done

    def feed(self, event: Event) -> list[JSON]:
        """Take one line. The client has its bytes already, so no chunks are made of it."""
        index = self._fed
        self._fed += 1
        line = _parsed(event.data)
        if line is not None:
            self.count += 1
            if self._lines.take(line) and self.first_content is None:
                self.first_content = index
        return []

    def finish(self) -> list[JSON]:
        """End the stream; nothing is owed."""
        return []

    @property
    def result(self) -> Completion:
        """The answer as far as it has come."""
        if not self.count:
            return Completion()
        body = {**self._lines.body(), "_streaming": True, "_chunks": self.count}
        return answer(self._operation, self._request, body)


class _Lines:
    """Native lines → the body of the same answer not streamed."""

    def __init__(self) -> None:
        self.is_done = False
        self._body: JSON = {}
        self._message: JSON | None = None
        self._pieces: dict[str, list[str]] = {}
        self._calls: list[Any] = []
        self._logprobs: list[Any] = []

    def take(self, line: JSON) -> bool:
        """Take one line; say whether it brought content."""
        self.is_done = self.is_done or line.get("done") is True or line.get("status") == "success"
        has_content = False
        for name, value in line.items():
            if name == "message" and isinstance(value, dict):
                has_content |= self._take_message(value)
            elif name in ("response", "thinking") and isinstance(value, str):
                self._pieces.setdefault(name, []).append(value)
                has_content |= bool(value)
            elif name == "logprobs" and isinstance(value, list):
                self._logprobs.extend(value)
            else:
                self._body[name] = value
                has_content |= name == "image" and bool(value)
        return has_content

    def _take_message(self, message: JSON) -> bool:
        known = self._message = self._message or {}
        has_content = False
        for name, value in message.items():
            if name in ("content", "thinking") and isinstance(value, str):
                self._pieces.setdefault(f"message.{name}", []).append(value)
                has_content |= bool(value)
            elif name == "tool_calls" and isinstance(value, list):
                self._calls.extend(value)
                has_content |= bool(value)
            else:
                known[name] = value
        return has_content

    def body(self) -> JSON:
        """Return the answer in the shape of one that is not streamed."""
        body = dict(self._body)
        texts = {name: "".join(pieces) for name, pieces in self._pieces.items()}
        body |= {name: text for name, text in texts.items() if not name.startswith("message.")}
        if self._message is not None:
            own = {name[8:]: text for name, text in texts.items() if name.startswith("message.")}
            body["message"] = self._message | own | ({"tool_calls": self._calls} if self._calls else {})
        return body | ({"logprobs": self._logprobs} if self._logprobs else {})


def _parsed(data: str) -> JSON | None:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def refusal(path: str, status: int, code: str, message: str) -> JSON:
    """Write an error of LLMFlow's own as Ollama writes errors, under /v1 as OpenAI does."""
    if not path.startswith("/api/"):
        return refused_as_openai(path, status, code, message)
    return {"error": message, "code": code}


OLLAMA = replace(
    OPENAI,
    name="ollama",
    title="Ollama",
    root="http://127.0.0.1:11434",
    key_env=("OLLAMA_API_KEY",),
    native=native,
    answer=answer,
    stream=stream,
    usage=usage,
    framing="ndjson",
    native_paths=("/api/",),
    refusal=refusal,
    is_local=True,
    is_free=is_free,
    price_prefixes=("ollama/",),
    price_families=("ollama",),
)
