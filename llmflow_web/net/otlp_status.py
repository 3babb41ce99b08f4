"""How OTLP/HTTP says no: a google.rpc.Status in the encoding of the request, whoever here refuses it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from llmflow_web.net.http import ServerCall

if TYPE_CHECKING:
    from llmflow_web.wire.otlp_values import Signal

OTLP_PATHS: Mapping[str, Signal] = {"/v1/traces": "traces", "/v1/logs": "logs", "/v1/metrics": "metrics"}
PROTOBUF_TYPE = "application/x-protobuf"
JSON_TYPE = "application/json"

_PROTOBUF_TYPES = frozenset({PROTOBUF_TYPE, "application/protobuf"})
_INVALID_ARGUMENT = 3
_CODES = {401: 16, 403: 7, 404: 5, 405: 12, 500: 13, 503: 14}  # HTTP → google.rpc.Code


def content_type_of(call: ServerCall) -> str | None:
    """Return PROTOBUF_TYPE or JSON_TYPE; None for a content type that OTLP does not have."""
    found = (call.header(b"content-type") or b"").split(b";")[0].strip().lower().decode("latin-1")
    if found in _PROTOBUF_TYPES:
        return PROTOBUF_TYPE
    return JSON_TYPE if found == JSON_TYPE else None


def respond_status(call: ServerCall, status: int, message: str, headers: Sequence[tuple[str, str]] = ()) -> None:
    """Refuse a call in words, as protobuf where it came so, else as JSON."""
    from llmflow_web.wire.otlp import encode_status  # what start-up does not need

    content_type = content_type_of(call) or JSON_TYPE
    body = encode_status(_CODES.get(status, _INVALID_ARGUMENT), message, is_json=content_type == JSON_TYPE)
    call.respond(status, [("content-type", content_type), *headers], body)
