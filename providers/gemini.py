"""Google Gemini (AI Studio): generateContent, v1beta and v1, as of google-genai 3.4.

OpenAI's chat, embeddings and models are translated (`gemini_request`, `gemini_answer`, `gemini_stream`); Google's own
paths and its OpenAI-compatible ones under /v1beta/openai pass untouched and are only read here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, MutableMapping
from typing import Any
from urllib.parse import unquote

from llmflow_web.model import JSON, Completion, Usage
from llmflow_web.provider import Native, Operation, Provider, StreamTranslator, Target

from .completion import text_or_none
from .gemini_answer import chat_body, embeddings_body, usage_of
from .gemini_errors import described, refusal, translate_error
from .gemini_request import chat_request, embeddings_request, models_list, models_request
from .gemini_stream import GeminiStream, GeminiTranslator, completion_of
from .openai import answer as openai_answer
from .openai import authorize as bearer
from .openai import native as openai_native
from .shapes import EitherStream
from .usage import usage_from

_METHOD = re.compile(r"/v\d+(?:(?:alpha|beta)\d*)?/(?:[^:]*/)?((?:models|tunedModels)/[^/:]+):(\w+)$")
# method of a model → (operation, span_type, name where the operation says too little)
_OPERATIONS: dict[str, tuple[str, str, str | None]] = {
    "generateContent": ("chat", "llm", None),
    "streamGenerateContent": ("chat", "llm", None),
    "embedContent": ("embeddings", "embedding", None),
    "batchEmbedContents": ("embeddings", "embedding", None),
    "predict": ("image_generation", "llm", None),
    "predictLongRunning": ("video_generation", "llm", None),
    "countTokens": ("count_tokens", "custom", None),
}
_OWN = ("candidates", "promptFeedback", "usageMetadata", "modelVersion", "embedding", "embeddings", "predictions")


def authorize(key: str) -> tuple[tuple[str, str], ...]:
    """Return the headers that carry `key`: an API key, or an OAuth token, which Google's begin with ya29."""
    return bearer(key) if key.startswith("ya29.") else (("x-goog-api-key", key),)


# ── what is asked ────────────────────────────────────────────────────────────────────────────────────────────────────


def native(method: str, path: str, body: JSON) -> Native:
    """Say what a request asks for: a method of a model, the agents' API, else OpenAI's dialect."""
    bare = path.partition("?")[0]
    found = _METHOD.search(unquote(bare))
    if found is not None:
        model = found[1].removeprefix("models/")
        operation, span_type, name = _OPERATIONS.get(found[2], (found[2], "custom", None))
        span_type = span_type if method == "POST" else "custom"
        return Native(operation, model, found[2].startswith("stream"), span_type, name)
    if bare.endswith("/interactions") and method == "POST":
        model = text_or_none(body.get("model")) or text_or_none(body.get("agent"))
        return Native("chat", model, body.get("stream") is True, "llm", "interactions")
    return openai_native(method, path, body)


# ── what is answered ─────────────────────────────────────────────────────────────────────────────────────────────────


def _is_own(body: JSON) -> bool:
    """Tell a native answer from one of the OpenAI dialect."""
    return "object" not in body and ("choices" not in body or any(name in body for name in _OWN))


def answer(operation: str, request: JSON, body: JSON) -> Completion:
    """Read a whole answer of either kind."""
    if not _is_own(body):
        return openai_answer(operation, request, body)
    if operation != "chat" or not any(name in body for name in _OWN):
        return Completion(body=body, model=text_or_none(body.get("model")), usage=usage_of(body, request))
    completion = completion_of(body, {}, text_or_none(body.get("responseId")) or "")
    completion.usage = usage_of(body, request)
    completion.body = body
    return completion


def usage(body: JSON, request: JSON) -> Usage | None:
    """Read the usage of a native answer, or that of the dialect."""
    return usage_of(body, request) if _is_own(body) else usage_from(body, request)


def stream(operation: str, request: JSON) -> StreamTranslator:
    """Start observing a stream: Google's own where the request is, else whichever dialect the first event has."""
    own = GeminiStream(request)
    return own if "contents" in request else EitherStream(operation, request, own)


# ── translation ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _chat(new_id: Callable[[], str], memory: MutableMapping[str, Any] | None) -> Operation:
    def response(body: JSON, original: JSON) -> JSON:
        answer_id = text_or_none(body.get("responseId")) or f"chatcmpl-{new_id()}"
        return chat_body(body, original, answer_id, memory)

    def start(original: JSON) -> GeminiTranslator:
        return GeminiTranslator(original, new_id, memory)

    return Operation(chat_request, response, start, bind=chat_for)


def chat_for(target: Target) -> Operation:
    """Return the chat operation for one target: its memory keeps thought signatures, its ids name what has none."""
    return _chat(target.new_id, target.memory)


def _no_stream(request: JSON) -> GeminiTranslator:
    return GeminiTranslator(request, str, None)


GEMINI = Provider(
    name="gemini",
    title="Google Gemini",
    root="https://generativelanguage.googleapis.com",
    version="/v1beta",
    key_env=("GOOGLE_API_KEY", "GEMINI_API_KEY"),
    authorize=authorize,
    native=native,
    answer=answer,
    stream=stream,
    usage=usage,
    error=described,
    credentials=frozenset({"x-goog-api-key", "authorization"}),
    operations={
        "chat": _chat(str, None),
        "embeddings": Operation(embeddings_request, embeddings_body, _no_stream),
        "models": Operation(models_request, models_list, _no_stream),
    },
    native_paths=("/v1beta/", "/v1alpha/", "/v1/models/", "/v1/tunedModels/", "/v1/cachedContents", "/upload/"),
    native_headers=frozenset({"x-goog-api-key", "x-goog-api-client"}),
    translate_error=translate_error,
    refusal=refusal,
    price_prefixes=("gemini/", ""),
    price_families=("gemini", "vertex_ai-*"),
)
