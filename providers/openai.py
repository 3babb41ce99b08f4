"""OpenAI, the canonical dialect: its bytes pass through, so only reading happens here.

API as of openai-python 2.54: chat completions, completions, responses, embeddings, images, audio, moderations.
"""

from __future__ import annotations

import re
from typing import Any

from llmflow_web.model import JSON, Completion
from llmflow_web.provider import Native, Provider

from .completion import completion_from
from .openai_stream import OpenAIStream
from .usage import usage_from

MAX_ERROR_CHARS = 500

_RESOURCE = re.compile(
    r"/(chat/completions|completions|responses|embeddings|images/generations|images/edits|images/variations"
    r"|audio/transcriptions|audio/translations|audio/speech|moderations|rerank|realtime)(?:/([^/]+))?/*$"
)
# resource → (operation, span_type, name where the operation says too little)
_OPERATIONS: dict[str, tuple[str, str, str | None]] = {
    "chat/completions": ("chat", "llm", None),
    "completions": ("text_completion", "llm", None),
    "responses": ("chat", "llm", "responses"),
    "responses/compact": ("chat", "llm", "responses compact"),
    "embeddings": ("embeddings", "embedding", None),
    "images/generations": ("image_generation", "llm", None),
    "images/edits": ("image_generation", "llm", "image_edit"),
    "images/variations": ("image_generation", "llm", "image_variation"),
    "audio/transcriptions": ("transcription", "llm", None),
    "audio/translations": ("translation", "llm", None),
    "audio/speech": ("speech", "llm", None),
    "moderations": ("moderation", "guardrail", None),
    "rerank": ("rerank", "rerank", None),
}
_VERSION = re.compile(r"^v\d+(?:beta\d*)?$")
_HTML_TITLE = re.compile(r"<title[^>]*>([^<]{1,200})</title>", re.IGNORECASE)


def authorize(key: str) -> tuple[tuple[str, str], ...]:
    """Return the headers that carry `key`."""
    return (("authorization", f"Bearer {key}"),)


def native(method: str, path: str, body: JSON) -> Native:
    """Say what a request asks for. What is no generation (lists, files, retrievals) is `custom` and bills nothing."""
    model = body.get("model")
    model = model if isinstance(model, str) else None
    found = _RESOURCE.search(path.partition("?")[0])
    if found is not None:
        resource = found[1] if found[2] is None else f"{found[1]}/{found[2]}"
        row = _OPERATIONS.get(resource)
        if row is not None and method == "POST":
            operation, span_type, name = row
            return Native(operation, model, body.get("stream") is True, span_type, name)
        if found[1] == "realtime" and found[2] is None:
            return Native("realtime", model, is_stream=True, span_type="llm")
    return Native(_resource_name(path), model, span_type="custom")


def _resource_name(path: str) -> str:
    """Name a request by the resource it is about: /v1/files/abc → files."""
    for part in path.partition("?")[0].split("/"):
        if part and not _VERSION.match(part) and part not in ("api", "openai"):
            return part[:40]
    return "request"


def answer(operation: str, request: JSON, body: JSON) -> Completion:
    """Read a whole answer."""
    completion = completion_from(operation, body)
    completion.usage = usage_from(body, request)
    return completion


def stream(operation: str, request: JSON) -> OpenAIStream:
    """Start observing a streamed answer."""
    return OpenAIStream(operation, request)


def error(status: int, body: JSON | str) -> str:
    """Make one sentence of an error body: OpenAI's envelope, its looser relatives, text and HTML."""
    text = _error_text(body) if isinstance(body, dict) else _plain_text(body)
    return text[:MAX_ERROR_CHARS] if text else f"HTTP {status}"


def _error_text(body: JSON) -> str:
    found = body.get("error")
    if isinstance(found, dict):
        return _described(found)
    if isinstance(found, str) and found:
        message = body.get("message")
        return f"{found}: {message}" if isinstance(message, str) and message else found
    detail = body.get("detail")
    if isinstance(detail, str):
        return detail
    if isinstance(detail, list):  # FastAPI's list of what is wrong where (Mistral, vLLM)
        return "; ".join(_complaint(item) for item in detail[:5])
    return _described(body)


def _described(error_object: JSON) -> str:
    message = error_object.get("message")
    message = message if isinstance(message, str) else ""
    code = error_object.get("code")
    kind = error_object.get("type")
    word = next((str(x) for x in (code, kind) if isinstance(x, (str, int)) and x not in ("", 0)), "")
    if message and word and word not in message:
        return f"{message} ({word})"
    return message or word


def _complaint(item: Any) -> str:
    if not isinstance(item, dict):
        return str(item)
    where = item.get("loc")
    place = ".".join(str(part) for part in where) if isinstance(where, list) else ""
    said = str(item.get("msg", ""))
    return f"{place}: {said}" if place else said


def _plain_text(text: str) -> str:
    title = _HTML_TITLE.search(text)
    if title is not None:
        return " ".join(title[1].split())
    return " ".join(text[: 4 * MAX_ERROR_CHARS].split())


OPENAI = Provider(
    name="openai",
    title="OpenAI",
    root="https://api.openai.com",
    version="/v1",
    key_env=("OPENAI_API_KEY",),
    authorize=authorize,
    native=native,
    answer=answer,
    stream=stream,
    usage=usage_from,
    error=error,
    inject_usage=True,
    price_prefixes=("", "openai/"),
    price_families=("openai", "text-completion-openai"),
)
