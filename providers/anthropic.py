"""Anthropic Claude: the Messages API, native and behind OpenAI's chat completions.

API versions 2023-06-01 and 2026-10-21, as of anthropic-python 2.12 (November 2026). The parts: `anthropic_request`
(OpenAI → Messages, with `anthropic_messages`, `anthropic_schema` and `anthropic_models`), `anthropic_answer` and
`anthropic_stream` (Messages → OpenAI), `anthropic_errors`.
"""

from __future__ import annotations

import re
from typing import Any

from llmflow_web.model import JSON, Completion, Usage
from llmflow_web.provider import Native, Operation, Outgoing, Provider, StreamTranslator, Target

from .anthropic_answer import chat_completion_from, completion_of, finish_reason_of, usage_from
from .anthropic_errors import STATUSES, refusal, translate_error
from .anthropic_messages import remember_thoughts
from .anthropic_request import OLD_VERSION, VERSION_HEADER, request
from .anthropic_stream import ChatTranslator, MessageStream
from .completion import text_or_none
from .openai import OPENAI
from .openai_stream import OpenAIStream
from .shapes import EitherStream, objects

MAX_LISTED_MODELS = 1000

_MESSAGES = re.compile(r"/messages(?:/+(count_tokens|batches)(?:/.*)?)?/*$")
_COMPLETE = re.compile(r"/complete/*$")
_OAUTH_PREFIX = "sk-ant-oat"


def authorize(key: str) -> tuple[tuple[str, str], ...]:
    """Return the headers that carry `key`: an API key, or the token of a login."""
    if key.startswith(_OAUTH_PREFIX):
        return (("authorization", f"Bearer {key}"), ("anthropic-beta", "oauth-2025-04-20"))
    return (("x-api-key", key),)


# ── reading native calls ─────────────────────────────────────────────────────────────────────────────────────────────


def native(method: str, path: str, body: JSON) -> Native:
    """Say what a request asks for. Counting tokens is free; a batch is billed when it is run, not when it is made."""
    place = path.partition("?")[0]
    model = text_or_none(body.get("model"))
    found = _MESSAGES.search(place)
    if found is not None and found[1] == "batches":
        return Native("batch", None, span_type="custom")
    if found is not None and method == "POST":
        if found[1] == "count_tokens":
            return Native("count_tokens", model, span_type="custom")
        return Native("chat", model, body.get("stream") is True)
    if _COMPLETE.search(place) and method == "POST":
        return Native("text_completion", model, body.get("stream") is True)
    return OPENAI.native(method, path, body)


def _is_native(body: JSON) -> bool:
    return body.get("type") in ("message", "completion") or isinstance(body.get("content"), list)


def answer(operation: str, request_body: JSON, body: JSON) -> Completion:
    """Read a whole answer: a message, an old completion, or what a translated call was answered with."""
    if not _is_native(body):
        return OPENAI.answer(operation, request_body, body)
    if body.get("type") == "completion":
        text = text_or_none(body.get("completion")) or ""
        reason = finish_reason_of(body)
        model, completion_id = text_or_none(body.get("model")), text_or_none(body.get("id"))
        return Completion(id=completion_id, model=model, text=text, finish_reason=reason, body=body)
    return completion_of(body)


def stream(operation: str, request_body: JSON) -> StreamTranslator:
    """Start observing a streamed answer, in Anthropic's events or, of a translated call, in OpenAI's chunks."""
    return EitherStream(operation, request_body, MessageStream())


def usage(body: JSON, request_body: JSON) -> Usage | None:
    """Read the usage of any answer."""
    return usage_from(body) if _is_native(body) else OPENAI.usage(body, request_body)


# ── translated chat ──────────────────────────────────────────────────────────────────────────────────────────────────


def _remembering(target: Target) -> Operation:
    """Return the chat operation that keeps the thinking before tool calls for the next turn."""
    memory = target.memory

    def response(body: JSON, request_body: JSON) -> JSON:
        remember_thoughts(body.get("content"), memory)
        return chat_completion_from(body, request_body)

    return Operation(request, response, lambda request_body: ChatTranslator(request_body, memory))


# ── the list of models ───────────────────────────────────────────────────────────────────────────────────────────────


def _models_request(body: JSON, target: Target) -> Outgoing:
    del body, target
    return Outgoing("GET", f"/v1/models?limit={MAX_LISTED_MODELS}", (), b"")


def _models_response(body: JSON, request_body: JSON) -> JSON:
    """Add OpenAI's members to the list or the one model; Anthropic's stay, so that either SDK can read it."""
    del request_body
    if not isinstance(body.get("data"), list):
        return _model(body)
    return {**body, "object": "list", "data": [_model(row) for row in objects(body["data"])]}


def _model(row: JSON) -> JSON:
    return {**row, "object": "model", "created": _seconds(row.get("created_at")), "owned_by": "anthropic"}


def _seconds(moment: Any) -> int:
    from datetime import datetime

    try:
        return int(datetime.fromisoformat(moment).timestamp())
    except (TypeError, ValueError, OverflowError):
        return 0


ANTHROPIC = Provider(
    name="anthropic",
    title="Anthropic Claude",
    root="https://api.anthropic.com",
    version="/v1",
    key_env=("ANTHROPIC_API_KEY",),
    authorize=authorize,
    native=native,
    answer=answer,
    stream=stream,
    usage=usage,
    error=OPENAI.error,
    credentials=frozenset({"x-api-key", "authorization"}),
    operations={
        "chat": Operation(request, chat_completion_from, ChatTranslator, _remembering),
        "models": Operation(_models_request, _models_response, lambda body: OpenAIStream("models", body)),
    },
    native_paths=("/v1/messages", "/v1/complete", "/v1/files", "/v1/skills", "/v1/organizations"),
    native_headers=frozenset({"anthropic-version"}),
    translate_error=translate_error,
    refusal=refusal,
    error_statuses=STATUSES,
    default_headers=((VERSION_HEADER, OLD_VERSION),),
    price_families=("anthropic",),
)
