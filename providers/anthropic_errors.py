"""Anthropic's errors → OpenAI's."""

from __future__ import annotations

from llmflow_web.model import JSON

from .completion import text_or_none
from .openai import error
from .shapes import error_envelope
from .usage import member

STATUSES = {402: 429, 408: 504, 529: 503}
"""Statuses an OpenAI client gets in place of those only Anthropic uses."""

# error.type → (type, code) of OpenAI
_KINDS: dict[str, tuple[str, str | None]] = {
    "invalid_request_error": ("invalid_request_error", None),
    "authentication_error": ("invalid_request_error", "invalid_api_key"),
    "billing_error": ("insufficient_quota", "insufficient_quota"),
    "permission_error": ("permission_denied", None),
    "not_found_error": ("invalid_request_error", "model_not_found"),
    "timeout_error": ("timeout", None),
    "conflict_error": ("conflict", None),
    "request_too_large": ("invalid_request_error", "request_too_large"),
    "rate_limit_error": ("rate_limit_error", "rate_limit_exceeded"),
    "api_error": ("server_error", None),
    "overloaded_error": ("server_error", "overloaded"),
}
_OF_STATUS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_TOO_LONG = ("prompt is too long", "exceed context limit", "exceeds the context window")


def sentence_of(body: JSON) -> str:
    """Make one sentence of an error event."""
    return error(0, body) if member(body, "error") else "the stream ended with an error"


def translate_error(status: int, body: JSON | str) -> JSON:
    """Return an error body in OpenAI's shape; Anthropic's own word stays as `provider_type`."""
    if isinstance(body, dict) and member(body, "error"):
        return envelope_of(body, status)
    kind, code = _KINDS[_word_of(status)]
    return error_envelope(error(status, body), kind, code)


def envelope_of(body: JSON, status: int = 500) -> JSON:
    """Translate an error object, of an answer or of an event in a stream."""
    found = member(body, "error")
    word = text_or_none(found.get("type")) or _word_of(status)
    message = text_or_none(found.get("message")) or word
    kind, code = _KINDS.get(word) or _KINDS[_word_of(status)]
    if kind == "invalid_request_error" and any(sign in message.lower() for sign in _TOO_LONG):
        code = "context_length_exceeded"
    more = {"provider_type": word}
    if text_or_none(body.get("request_id")):
        more["request_id"] = body["request_id"]
    return error_envelope(message, kind, code, **more)


def refusal(path: str, status: int, code: str, message: str) -> JSON:
    """Write an error of LLMFlow's own as the Messages API writes errors; `code` is added for programs."""
    del path
    return {"type": "error", "error": {"type": _word_of(status), "message": message, "code": code}, "request_id": None}


def _word_of(status: int) -> str:
    return _OF_STATUS.get(status, "api_error" if status >= 500 else "invalid_request_error")
