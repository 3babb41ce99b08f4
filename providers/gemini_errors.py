"""Google's errors: one sentence for the record, OpenAI's envelope for a client.

A body may be the object itself, an array with it (streams without `alt=sse`, the OpenAI-compatible paths), or a page
of an edge server.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from llmflow_web.model import JSON
from llmflow_web.provider import refused_as_openai

from .completion import text_or_none
from .openai import MAX_ERROR_CHARS
from .openai import error as plain_error
from .shapes import error_envelope, objects
from .usage import member

# google.rpc.Code → (type, code) of OpenAI
_KINDS: dict[str, tuple[str, str | None]] = {
    "INVALID_ARGUMENT": ("invalid_request_error", None),
    "FAILED_PRECONDITION": ("invalid_request_error", None),
    "OUT_OF_RANGE": ("invalid_request_error", None),
    "UNAUTHENTICATED": ("invalid_request_error", "invalid_api_key"),
    "PERMISSION_DENIED": ("permission_error", "permission_denied"),
    "NOT_FOUND": ("invalid_request_error", "model_not_found"),
    "RESOURCE_EXHAUSTED": ("rate_limit_error", "rate_limit_exceeded"),
}
_BY_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
}
_ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
_TOO_LONG = re.compile(r"token count.{0,40}exceeds the maximum", re.IGNORECASE)
_SECONDS = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)s")


def error_in(body: Any) -> JSON:
    """Return the error object in a body of any of its shapes; {} when there is none."""
    if isinstance(body, str):
        try:
            body = json.loads(body)
        except (ValueError, RecursionError):
            return {}
    if isinstance(body, list):
        body = body[0] if body else None
    return member(body, "error")


def described(status: int, body: JSON | str) -> str:
    """Make one sentence of an error body."""
    found = error_in(body)
    if not found:
        return plain_error(status, body)
    message, word = text_or_none(found.get("message")) or "", text_or_none(found.get("status")) or ""
    if message and word and word not in message:
        return f"{message[:MAX_ERROR_CHARS]} ({word})"
    return (message or word)[:MAX_ERROR_CHARS] or f"HTTP {status or found.get('code')}"


def translate_error(status: int, body: JSON | str) -> JSON:
    """Return an error in OpenAI's envelope.

    A key that is wrong is a 400 here: its code is `invalid_api_key`, which OpenAI answers with 401. `retry_after` holds
    the seconds Google asks to wait.
    """
    found = error_in(body)
    message = text_or_none(found.get("message")) or described(status, body)
    code = found.get("code")
    status = status or (code if isinstance(code, int) else 500)
    word = text_or_none(found.get("status")) or _BY_STATUS.get(status, "")
    kind, openai_code = _KINDS.get(word) or ("invalid_request_error" if 400 <= status < 499 else "server_error", None)
    details = objects(found.get("details"))
    if any(detail.get("reason") == "API_KEY_INVALID" for detail in details):
        openai_code = "invalid_api_key"
    elif openai_code is None and _TOO_LONG.search(message):
        openai_code = "context_length_exceeded"
    wait = _wait_of(details)
    return error_envelope(message, kind, openai_code, **({} if wait is None else {"retry_after": wait}))


def refusal(path: str, status: int, code: str, message: str) -> JSON:
    """Write an error of LLMFlow's own as Google writes errors; on the OpenAI-compatible paths as OpenAI does."""
    if "/openai/" in path:
        return refused_as_openai(path, status, code, message)
    word = _BY_STATUS.get(status, "INTERNAL" if status >= 500 else "FAILED_PRECONDITION")
    info = {"@type": _ERROR_INFO, "reason": code.upper(), "domain": "llmflow"}
    return {"error": {"code": status, "message": message, "status": word, "details": [info]}}


def _wait_of(details: list[JSON]) -> int | None:
    for detail in details:
        found = _SECONDS.fullmatch(str(detail.get("retryDelay") or ""))
        if found is not None:
            return math.ceil(float(found[1]))
    return None
