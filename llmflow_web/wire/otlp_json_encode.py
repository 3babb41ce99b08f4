"""OTLP out in JSON: the tables of `otlp_schema` as writers.

Sans I/O. The mapping of OTLP/JSON: lowerCamelCase, ids in hex, enums as numbers, 64-bit numbers as strings, bytes in
base64.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Sequence
from typing import Any

from llmflow_web.model import JSON
from llmflow_web.wire.otlp_schema import REQUESTS, RESOURCE, SCOPE, Field, Message
from llmflow_web.wire.otlp_values import Resource, Scope, Signal
from llmflow_web.wire.otlp_writing import Group, is_int64, plain, utf8

Writer = Callable[[JSON, Any], None]
"""Add a field of a value to an object, unless it is at its default."""


def encode_json(signal: Signal, groups: Sequence[Group]) -> bytes:
    """Write an Export…ServiceRequest."""
    request = REQUESTS[signal]
    write = _ITEMS[signal]
    resources = []
    for group in groups:
        scopes = [
            {
                **_identity("scope", _SCOPE, scope),
                request.items.json_name: [_message(write, item) for item in items],
            }
            for scope, items in group.scopes
        ]
        resources.append({**_identity("resource", _RESOURCE, group.resource), request.scopes.json_name: scopes})
    return dumps({request.resources.json_name: resources})


def dumps(value: JSON) -> bytes:
    """Write compact JSON in UTF-8."""
    return utf8(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def json_double(number: float) -> float | str:
    """Return a double as JSON has it: what is no number is a word."""
    if number - number == 0:  # finite
        return number
    return "NaN" if number != number else "Infinity" if number > 0 else "-Infinity"  # noqa: PLR0124 - NaN alone differs


def _identity(name: str, writers: list[Writer], value: Resource | Scope) -> JSON:
    out: JSON = {name: _message(writers, value)}
    if value.schema_url:
        out["schemaUrl"] = value.schema_url
    return out


def _message(writers: list[Writer], value: object) -> JSON:
    out: JSON = {}
    for write in writers:
        write(out, value)
    return out


def _any_value(value: Any, depth: int = 0) -> JSON:
    """Write AnyValue; None is one without a member."""
    value = plain(value, depth)
    return _VALUE_WRITERS[type(value)](value, depth)


def _list(values: list[Any], depth: int) -> JSON:
    return {"arrayValue": {"values": [_any_value(entry, depth + 1) for entry in values]}}


_VALUE_WRITERS: dict[type, Callable[[Any, int], JSON]] = {
    type(None): lambda _value, _depth: {},
    str: lambda value, _depth: {"stringValue": value},
    bool: lambda value, _depth: {"boolValue": value},
    int: lambda value, _depth: {"intValue": str(value)},
    float: lambda value, _depth: {"doubleValue": json_double(value)},
    bytes: lambda value, _depth: {"bytesValue": b64encode(value).decode("ascii")},
    list: _list,
    dict: lambda value, depth: {"kvlistValue": {"values": _key_values(value, depth + 1)}},
}


def _key_values(values: dict[Any, Any], depth: int) -> list[JSON]:
    return [{"key": str(key), "value": _any_value(value, depth)} for key, value in values.items()]


def _unless_default(convert: Callable[[Any], Any]) -> Callable[[Field], Writer]:
    """Make writers of fields that are left out when empty or zero."""

    def make(field: Field) -> Writer:
        name, slot = field.json_name, field.slot

        def write(out: JSON, value: Any) -> None:
            held = getattr(value, slot)
            if held:
                out[name] = convert(held)

        return write

    return make


def _where(fits: Callable[[Any], bool], convert: Callable[[Any], Any]) -> Callable[[Field], Writer]:
    """Make writers of fields that are left out when None, or where the value does not fit."""

    def make(field: Field) -> Writer:
        name, slot = field.json_name, field.slot

        def write(out: JSON, value: Any) -> None:
            held = getattr(value, slot)
            if held is not None and fits(held):
                out[name] = convert(held)

        return write

    return make


def _inside(field: Field) -> Writer:
    assert field.message is not None  # the kind says so
    name, writers = field.json_name, _writers(field.message)

    def write(out: JSON, value: Any) -> None:
        members = _message(writers, value)
        if members:
            out[name] = members

    return write


def _data(field: Field) -> Writer:
    assert field.message is not None  # the kind says so
    metric_type, name, writers = field.name, field.json_name, _writers(field.message)

    def write(out: JSON, value: Any) -> None:
        if value.metric_type == metric_type:
            out[name] = _message(writers, value)

    return write


def _children(field: Field) -> Writer:
    assert field.message is not None  # the kind says so
    name, slot, writers, view = field.json_name, field.slot, _writers(field.message), field.message.view

    def write(out: JSON, value: Any) -> None:
        held = getattr(value, slot)
        if held:
            out[name] = [_message(writers, child if view is None else view(child)) for child in held]

    return write


def _same(value: Any) -> Any:
    return value


def _strings(numbers: list[int]) -> list[str]:
    return [str(number) for number in numbers]


_AS_IT_IS = _unless_default(_same)
_MAKERS: dict[str, Callable[[Field], Writer]] = {
    "string": _AS_IT_IS,
    "trace_id": _AS_IT_IS,
    "span_id": _AS_IT_IS,
    "bool": _AS_IT_IS,
    "enum": _AS_IT_IS,
    "uint32": _AS_IT_IS,
    "sint32": _AS_IT_IS,
    "fixed32": _AS_IT_IS,
    "fixed64": _unless_default(str),
    "double": _unless_default(json_double),
    "optional double": _where(lambda _number: True, json_double),
    "as_int": _where(is_int64, lambda number: str(int(number))),
    "as_double": _where(lambda number: not is_int64(number), lambda number: json_double(float(number))),
    "fixed64s": _unless_default(_strings),
    "uint64s": _unless_default(_strings),
    "doubles": _unless_default(lambda numbers: [json_double(number) for number in numbers]),
    "attributes": _unless_default(lambda attributes: _key_values(attributes, 0)),
    "value": _where(lambda _value: True, _any_value),
    "inside": _inside,
    "data": _data,
    "children": _children,
}


def _writers(message: Message) -> list[Writer]:
    return [_MAKERS[field.kind](field) for field in message.fields]


_RESOURCE, _SCOPE = _writers(RESOURCE), _writers(SCOPE)
_ITEMS = {
    signal: _writers(request.items.message) for signal, request in REQUESTS.items() if request.items.message is not None
}
