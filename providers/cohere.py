"""Cohere: OpenAI's chat, embeddings and models are translated to v2; its own paths pass untouched and are read.

API as of cohere-python 7.3: v2 chat, embed and rerank; v1 chat is read only. The parts: `cohere_request`,
`cohere_answer`, `cohere_stream`.
"""

from __future__ import annotations

from llmflow_web.model import JSON
from llmflow_web.provider import Native, Operation, Provider, refused_as_openai

from .cohere_answer import answer, chat_response, embed_response, models_response, usage
from .cohere_request import chat_request, embed_request, models_request
from .cohere_stream import CohereStream, observe
from .completion import text_or_none
from .openai import authorize, error
from .openai import native as openai_native
from .shapes import error_envelope

# the last part of a path → (operation, span_type, name where the operation says too little)
_OPERATIONS: dict[str, tuple[str, str, str | None]] = {
    "chat": ("chat", "llm", None),
    "generate": ("text_completion", "llm", "generate"),
    "embed": ("embeddings", "embedding", None),
    "rerank": ("rerank", "rerank", None),
    "classify": ("classify", "evaluator", None),
}
# status → (type, code) of OpenAI's envelope
_KINDS: dict[int, tuple[str, str | None]] = {
    401: ("authentication_error", "invalid_api_key"),
    403: ("permission_error", None),
    404: ("not_found_error", "model_not_found"),
    429: ("rate_limit_error", "rate_limit_exceeded"),
    498: ("invalid_request_error", "content_filter"),
    499: ("server_error", "request_cancelled"),
}


def native(method: str, path: str, body: JSON) -> Native:
    """Say what a request asks for: Cohere's own paths, else the OpenAI dialect of its compatibility API."""
    last = path.partition("?")[0].rstrip("/").rpartition("/")[2]
    row = _OPERATIONS.get(last)
    if method != "POST" or row is None:
        return openai_native(method, path, body)
    operation, span_type, name = row
    return Native(operation, text_or_none(body.get("model")), body.get("stream") is True, span_type, name)


def translate_error(status: int, body: JSON | str) -> JSON:
    """Wrap `{"id", "message"}` in OpenAI's envelope."""
    kind, code = _KINDS.get(status, ("invalid_request_error" if status < 500 else "server_error", None))
    return error_envelope(error(status, body), kind, code)


def refusal(path: str, status: int, code: str, message: str) -> JSON:
    """Write an error of LLMFlow's own as Cohere writes errors, on the compatibility paths as OpenAI does."""
    if path.startswith("/compatibility/"):
        return refused_as_openai(path, status, code, message)
    return {"message": message, "code": code}


COHERE = Provider(
    name="cohere",
    title="Cohere",
    root="https://api.cohere.com",
    version="/v1",
    key_env=("CO_API_KEY", "COHERE_API_KEY"),
    authorize=authorize,
    native=native,
    answer=answer,
    stream=observe,
    usage=usage,
    error=error,
    operations={
        "chat": Operation(chat_request, chat_response, CohereStream),
        "embeddings": Operation(embed_request, embed_response, CohereStream),
        "models": Operation(models_request, models_response, CohereStream),
    },
    # Those of the translated paths that begin alike are recognised before these.
    native_paths=(
        "/v2/",
        "/v1/chat",
        "/v1/embed",
        "/v1/rerank",
        "/v1/generate",
        "/v1/classify",
        "/v1/tokenize",
        "/v1/detokenize",
        "/v1/check-api-key",
        "/v1/datasets",
        "/v1/connectors",
        "/v1/finetuning",
        "/compatibility/",
    ),
    native_headers=frozenset({"x-fern-sdk-name", "x-client-name"}),
    translate_error=translate_error,
    refusal=refusal,
    error_statuses={498: 400},
    price_prefixes=("", "cohere/"),
    price_families=("cohere", "cohere_chat"),
)
