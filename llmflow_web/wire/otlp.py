"""OTLP requests and answers: bytes ↔ values, protobuf and JSON alike.

Sans I/O. The door to `otlp_protobuf` and `otlp_json`, which give the same values; here stands what goes with a request:
the answer, the status of a refusal, and how a value is stored as JSON text.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Any

from llmflow_web.errors import BadRequest
from llmflow_web.model import JSON
from llmflow_web.wire import otlp_sniff as sniff
from llmflow_web.wire.otlp_json import decode_json, loads
from llmflow_web.wire.otlp_json_encode import dumps, encode_json, json_double
from llmflow_web.wire.otlp_protobuf import decode_protobuf
from llmflow_web.wire.otlp_protobuf_encode import encode_protobuf, resource_bytes, scope_bytes
from llmflow_web.wire.otlp_reading import Decoded, OtlpLimits
from llmflow_web.wire.otlp_schema import REQUESTS
from llmflow_web.wire.otlp_values import LogRecord, OtlpMetric, OtlpSpan, Signal
from llmflow_web.wire.otlp_writing import Grouping, utf8
from llmflow_web.wire.protobuf import LENGTH, VARINT, Malformed, block, fields, signed, tag_bytes, varint_bytes

__all__ = [
    "Decoded",
    "OtlpLimits",
    "decode",
    "decode_response",
    "encode",
    "encode_response",
    "encode_status",
    "sendable",
    "storable",
]

_DEFAULT_LIMITS = OtlpLimits()
_NUMBER_TAG, _TEXT_TAG, _PARTIAL_TAG = tag_bytes(1, VARINT), tag_bytes(2, LENGTH), tag_bytes(1, LENGTH)
_WORDS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


def decode(signal: Signal, body: bytes, *, is_json: bool, limits: OtlpLimits = _DEFAULT_LIMITS) -> Decoded:
    """Read an Export…ServiceRequest.

    Raises:
        BadRequest: it cannot be read, or it is plainly another signal's.
        TooLarge: it passes a named limit.

    """
    if is_json:
        return decode_json(signal, body, limits)
    sniff.refuse_other_signal(signal, body)
    try:
        return decode_protobuf(signal, body, limits)
    except Malformed as error:
        raise BadRequest(
            f"The body is no OTLP request in protobuf: {error}.{sniff.hint(body, is_json=False)}"
        ) from error


def encode(
    signal: Signal, items: Sequence[OtlpSpan] | Sequence[LogRecord] | Sequence[OtlpMetric], *, is_json: bool
) -> bytes:
    """Write an Export…ServiceRequest, items under their resource and scope."""
    groups = Grouping(resource_bytes, scope_bytes).group(items)
    return encode_json(signal, groups) if is_json else encode_protobuf(signal, groups)


def encode_response(signal: Signal, *, rejected: int, message: str, is_json: bool) -> bytes:
    """Write an Export…ServiceResponse; nothing inside it when all was taken and there is nothing to say."""
    if not rejected and not message:
        return b"{}" if is_json else b""
    if is_json:
        name = _camel(REQUESTS[signal].rejected)
        partial: JSON = {name: str(rejected)} if rejected else {}
        return dumps({"partialSuccess": partial | ({"errorMessage": message} if message else {})})
    return block(_PARTIAL_TAG, _number_and_text(rejected, message))


def encode_status(code: int, message: str, *, is_json: bool) -> bytes:
    """Write a google.rpc.Status, the body of every refusal."""
    return dumps({"code": code, "message": message}) if is_json else _number_and_text(code, message)


def decode_response(signal: Signal, body: bytes, *, is_json: bool) -> tuple[int, str]:
    """Read (rejected, message) of an Export…ServiceResponse. What is none says nothing: a 200 was a success."""
    try:
        return _json_partial(signal, body) if is_json else _protobuf_partial(body)
    except (BadRequest, Malformed, IndexError):
        return 0, ""


def _json_partial(signal: Signal, body: bytes) -> tuple[int, str]:
    root = loads(body, _DEFAULT_LIMITS)
    partial = _member(root, "partial_success")
    number, text = _member(partial, REQUESTS[signal].rejected), _member(partial, "error_message")
    is_number = isinstance(number, int) or (isinstance(number, str) and number.isdecimal() and len(number) < 20)
    return int(number) if is_number else 0, text if isinstance(text, str) else ""


def _member(value: Any, name: str) -> Any:
    return value.get(_camel(name), value.get(name)) if isinstance(value, dict) else None


def _protobuf_partial(body: bytes) -> tuple[int, str]:
    rejected, message = 0, ""
    for tag, start, stop in fields(body, 0, len(body)):
        if tag == 1 << 3 | LENGTH:
            for inner, at, end in fields(body, start, stop):
                if inner == 1 << 3 | VARINT:
                    rejected = signed(at, 64)
                elif inner == 2 << 3 | LENGTH:
                    message = body[at:end].decode("utf-8", "replace")
    return rejected, message


def _number_and_text(number: int, text: str) -> bytes:
    """Write the message that both a partial success and a status are: 1 a number, 2 a text."""
    first = _NUMBER_TAG + varint_bytes(number) if number else b""
    return first + block(_TEXT_TAG, utf8(text)) if text else first


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)


def storable(value: Any) -> Any:
    """Return an attribute value as JSON text holds it: bytes as {"bytesValue": base64}, NaN and infinities as words."""
    if isinstance(value, float):
        return json_double(value)
    if isinstance(value, bytes):
        return {"bytesValue": b64encode(value).decode("ascii")}
    if isinstance(value, dict):
        return {key: storable(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [storable(entry) for entry in value]
    return value


def sendable(value: Any) -> Any:
    """Return what `storable` was given. The texts NaN, Infinity and -Infinity come back as numbers: nobody can tell."""
    if isinstance(value, str):
        return _WORDS.get(value, value)
    if isinstance(value, dict):
        data = value.get("bytesValue") if len(value) == 1 else None
        return (
            _sendable_bytes(data) if isinstance(data, str) else {name: sendable(held) for name, held in value.items()}
        )
    if isinstance(value, list):
        return [sendable(entry) for entry in value]
    return value


def _sendable_bytes(data: str) -> bytes | JSON:
    """Return the bytes of a {"bytesValue": …}; a map that only looks like one stays a map."""
    try:
        return b64decode(data, validate=True)
    except ValueError:
        return {"bytesValue": data}
