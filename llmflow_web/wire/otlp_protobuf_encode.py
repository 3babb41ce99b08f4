"""OTLP out in protobuf: the tables of `otlp_schema` as writers.

Sans I/O. Values may come from anywhere by now (a stored row, another program): what has no place in OTLP is written as
text, never raised over.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from llmflow_web.wire.otlp_schema import REQUESTS, RESOURCE, SCOPE, Field, Message
from llmflow_web.wire.otlp_values import Resource, Scope, Signal
from llmflow_web.wire.otlp_writing import Group, is_int64, plain, utf8
from llmflow_web.wire.protobuf import (
    FIXED32,
    FIXED64,
    LENGTH,
    MASK_32,
    MASK_64,
    VARINT,
    block,
    tag_bytes,
    varint_bytes,
    zigzag,
)

Writer = Callable[[bytearray, Any], None]
"""Add a field of a value, tag and all, unless it is at its default."""

_MAX_KEPT_KEY = 128
_DOUBLE = struct.Struct("<d").pack
_IDENTITY_TAG, _LIST_TAG, _URL_TAG = (tag_bytes(number, LENGTH) for number in (1, 2, 3))
_KEY_TAG, _VALUE_TAG = tag_bytes(1, LENGTH), tag_bytes(2, LENGTH)
_STRING_TAG, _BOOL_TAG, _INT_TAG = tag_bytes(1, LENGTH), tag_bytes(2, VARINT), tag_bytes(3, VARINT)
_DOUBLE_TAG, _ARRAY_TAG = tag_bytes(4, FIXED64), tag_bytes(5, LENGTH)
_MAP_TAG, _BYTES_TAG = tag_bytes(6, LENGTH), tag_bytes(7, LENGTH)


def encode_protobuf(signal: Signal, groups: Sequence[Group]) -> bytes:
    """Write an Export…ServiceRequest."""
    write = _ITEMS[signal]
    out = []
    for group in groups:
        inside = [resource_bytes(group.resource)]
        for scope, items in group.scopes:
            listed = b"".join(block(_LIST_TAG, _message(write, item)) for item in items)
            inside.append(block(_LIST_TAG, scope_bytes(scope) + listed))
        out.append(block(_IDENTITY_TAG, b"".join(inside)))
    return b"".join(out)


def resource_bytes(resource: Resource) -> bytes:
    """Write a resource as the fields of ResourceSpans that are its own."""
    return _identity(_RESOURCE, resource)


def scope_bytes(scope: Scope) -> bytes:
    """Write a scope as the fields of ScopeSpans that are its own."""
    return _identity(_SCOPE, scope)


def _identity(writers: list[Writer], value: Resource | Scope) -> bytes:
    body = _message(writers, value)
    url = utf8(value.schema_url)
    return (block(_IDENTITY_TAG, body) if body else b"") + (block(_URL_TAG, url) if url else b"")


def _message(writers: list[Writer], value: object) -> bytes:
    out = bytearray()
    for write in writers:
        write(out, value)
    return bytes(out)


def _any_value(value: Any, depth: int = 0) -> bytes:
    """Write AnyValue; None is one without a member."""
    value = plain(value, depth)
    return _VALUE_WRITERS[type(value)](value, depth)


def _list(values: list[Any], depth: int) -> bytes:
    return block(_ARRAY_TAG, b"".join(block(_IDENTITY_TAG, _any_value(entry, depth + 1)) for entry in values))


_VALUE_WRITERS: dict[type, Callable[[Any, int], bytes]] = {
    type(None): lambda _value, _depth: b"",
    str: lambda value, _depth: block(_STRING_TAG, utf8(value)),
    bool: lambda value, _depth: _BOOL_TAG + bytes((value,)),
    int: lambda value, _depth: _INT_TAG + varint_bytes(value),
    float: lambda value, _depth: _DOUBLE_TAG + _DOUBLE(value),
    bytes: lambda value, _depth: block(_BYTES_TAG, value),
    list: _list,
    dict: lambda value, depth: block(_MAP_TAG, _key_values(_IDENTITY_TAG, value, depth + 1)),
}


@lru_cache(maxsize=512)
def _key(key: str) -> bytes:
    """Write the key of a KeyValue; the same few come again and again."""
    return block(_KEY_TAG, utf8(key))


def _key_values(tag: bytes, values: dict[Any, Any], depth: int) -> bytes:
    out = []
    for key, value in values.items():
        name = _key(key) if type(key) is str and len(key) <= _MAX_KEPT_KEY else block(_KEY_TAG, utf8(str(key)))
        out.append(block(tag, name if value is None else name + block(_VALUE_TAG, _any_value(value, depth))))
    return b"".join(out)


# A field is written by its kind: what turns its value into bytes, unless the value is the default


def _sized(number: int, slot: str, convert: Callable[[Any], bytes]) -> Writer:
    """Make a writer of a length-delimited field that is left out when empty."""
    tag = tag_bytes(number, LENGTH)

    def write(out: bytearray, value: Any) -> None:
        data = convert(getattr(value, slot))
        if data:
            out += block(tag, data)

    return write


def _number(kind: int, convert: Callable[[Any], bytes]) -> Callable[[Field], Writer]:
    """Make writers of numbers that are left out when zero."""

    def make(field: Field) -> Writer:
        tag, slot = tag_bytes(field.number, kind), field.slot

        def write(out: bytearray, value: Any) -> None:
            number = getattr(value, slot)
            if number:
                out += tag + convert(number)

        return write

    return make


def _where(kind: int, fits: Callable[[Any], bool], convert: Callable[[Any], bytes]) -> Callable[[Field], Writer]:
    """Make writers of numbers whose zero is written too, where the value fits."""

    def make(field: Field) -> Writer:
        tag, slot = tag_bytes(field.number, kind), field.slot

        def write(out: bytearray, value: Any) -> None:
            number = getattr(value, slot)
            if number is not None and fits(number):
                out += tag + convert(number)

        return write

    return make


def _bytes(convert: Callable[[Any], bytes]) -> Callable[[Field], Writer]:
    return lambda field: _sized(field.number, field.slot, convert)


def _fixed64(number: int) -> bytes:
    return (number & MASK_64).to_bytes(8, "little")


def _attributes(field: Field) -> Writer:
    tag, slot = tag_bytes(field.number, LENGTH), field.slot

    def write(out: bytearray, value: Any) -> None:
        attributes = getattr(value, slot)
        if attributes:
            out += _key_values(tag, attributes, 0)

    return write


def _value(field: Field) -> Writer:
    tag, slot = tag_bytes(field.number, LENGTH), field.slot

    def write(out: bytearray, value: Any) -> None:
        held = getattr(value, slot)
        if held is not None:
            out += block(tag, _any_value(held))

    return write


def _inside(field: Field) -> Writer:
    assert field.message is not None  # the kind says so
    writers = _writers(field.message)
    return lambda out, value: _add_inside(out, tag_bytes(field.number, LENGTH), _message(writers, value))


def _add_inside(out: bytearray, tag: bytes, data: bytes) -> None:
    if data:
        out += block(tag, data)


def _data(field: Field) -> Writer:
    assert field.message is not None  # the kind says so
    tag, name, writers = tag_bytes(field.number, LENGTH), field.name, _writers(field.message)

    def write(out: bytearray, value: Any) -> None:
        if value.metric_type == name:
            out += block(tag, _message(writers, value))

    return write


def _children(field: Field) -> Writer:
    assert field.message is not None  # the kind says so
    tag, slot, writers, view = tag_bytes(field.number, LENGTH), field.slot, _writers(field.message), field.message.view

    def write(out: bytearray, value: Any) -> None:
        for child in getattr(value, slot):
            out += block(tag, _message(writers, child if view is None else view(child)))

    return write


_MAKERS: dict[str, Callable[[Field], Writer]] = {
    "string": _bytes(utf8),
    "trace_id": _bytes(bytes.fromhex),
    "span_id": _bytes(bytes.fromhex),
    "bool": _number(VARINT, lambda _is_true: b"\x01"),
    "enum": _number(VARINT, varint_bytes),
    "uint32": _number(VARINT, lambda number: varint_bytes(number & MASK_32)),
    "sint32": _number(VARINT, lambda number: varint_bytes(zigzag(number))),
    "fixed32": _number(FIXED32, lambda number: (number & MASK_32).to_bytes(4, "little")),
    "fixed64": _number(FIXED64, _fixed64),
    "double": _number(FIXED64, _DOUBLE),
    "optional double": _where(FIXED64, lambda _number: True, _DOUBLE),
    "as_int": _where(FIXED64, is_int64, _fixed64),
    "as_double": _where(FIXED64, lambda number: not is_int64(number), _DOUBLE),
    "fixed64s": _bytes(lambda numbers: b"".join(map(_fixed64, numbers))),
    "doubles": _bytes(lambda numbers: b"".join(map(_DOUBLE, numbers))),
    "uint64s": _bytes(lambda numbers: b"".join(map(varint_bytes, numbers))),
    "attributes": _attributes,
    "value": _value,
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
