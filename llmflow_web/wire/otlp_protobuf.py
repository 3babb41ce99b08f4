"""OTLP in protobuf: the tables of `otlp_schema` as readers and writers, and KeyValue and AnyValue by hand.

Sans I/O. Attributes are nine tenths of what a span is made of: the plain shape, a key and one value, is read without a
loop; every other legal shape takes the road beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llmflow_web.wire import protobuf
from llmflow_web.wire.otlp_reading import Decoded, OtlpLimits, Reading
from llmflow_web.wire.otlp_schema import REQUESTS, Field, Message, turn_to
from llmflow_web.wire.otlp_values import Signal
from llmflow_web.wire.protobuf import (
    CUT,
    FIXED32,
    FIXED64,
    LENGTH,
    VARINT,
    Malformed,
    Reader,
    double_at,
    packed_fixed,
    packed_varints,
    read_message,
    signed,
    varint,
)

ReaderTable = dict[int, Reader]
ValueReader = Callable[[Reading, Any, int, int, int], Any]
"""(reading, the value so far, start, stop, depth) → the value: a member of AnyValue's oneof."""

_KEY_TAG, _VALUE_TAG, _STRING_TAG = 0x0A, 0x12, 0x0A
_ZERO = {8: "0" * 16, 16: "0" * 32}


def decode_protobuf(signal: Signal, body: bytes, limits: OtlpLimits) -> Decoded:
    """Read an Export…ServiceRequest; Malformed when it is none."""
    reading = Reading(body, limits)
    try:
        read_message(reading, _ROOTS[signal], None, 0, len(body), 0)
    except IndexError as error:
        raise Malformed(CUT) from error
    except RecursionError as error:
        raise Malformed("it is nested too deeply") from error
    return reading.done()


# AnyValue and KeyValue


def _read_value(reading: Reading, at: int, end: int, depth: int, value: Any) -> Any:
    """Read AnyValue: the last member stands, and the same list or map again adds to itself."""
    buffer = reading.buffer
    while at < end:
        tag = buffer[at]
        at += 1
        if tag == _STRING_TAG:
            size = buffer[at]
            start = at + 1
            if size > 127:
                size, start = varint(buffer, at)
            at = start + size
            if at > end:
                raise Malformed(CUT)
            value = str(buffer[start:at], "utf-8", "replace")
        else:
            if tag > 127:
                tag, at = varint(buffer, at - 1)
            start, at = protobuf.place(buffer, tag, at)
            if at > end:
                raise Malformed(CUT)
            reader = _VALUE_READERS.get(tag)
            if reader is not None:
                value = reader(reading, value, start, at, depth)
    return value


def _read_string(reading: Reading, _value: Any, at: int, end: int, _depth: int) -> str:
    return str(reading.buffer[at:end], "utf-8", "replace")


def _read_list(reading: Reading, value: Any, at: int, end: int, depth: int) -> list[Any]:
    values: list[Any] = value if type(value) is list else []
    read_message(reading, _LIST, values, at, end, reading.deeper(depth))
    return values


def _read_list_entry(reading: Reading, values: list[Any], at: int, end: int, depth: int) -> None:
    reading.take_part()
    values.append(_read_value(reading, at, end, depth, None))


def _read_map(reading: Reading, value: Any, at: int, end: int, depth: int) -> dict[str, Any]:
    values: dict[str, Any] = value if type(value) is dict else {}
    read_message(reading, _MAP, values, at, end, reading.deeper(depth))
    return values


def _read_map_entry(reading: Reading, values: dict[str, Any], at: int, end: int, depth: int) -> None:
    reading.take_part()
    _read_key_value(reading, values, at, end, depth)


_VALUE_READERS: dict[int, ValueReader] = {
    1 << 3 | LENGTH: _read_string,  # only with an overlong tag
    2 << 3 | VARINT: lambda _reading, _value, number, _stop, _depth: number != 0,
    3 << 3 | VARINT: lambda _reading, _value, number, _stop, _depth: signed(number, 64),
    4 << 3 | FIXED64: lambda reading, _value, at, _stop, _depth: double_at(reading.buffer, at)[0],
    5 << 3 | LENGTH: _read_list,
    6 << 3 | LENGTH: _read_map,
    7 << 3 | LENGTH: lambda reading, _value, at, stop, _depth: reading.buffer[at:stop],
}
_LIST: ReaderTable = {1 << 3 | LENGTH: _read_list_entry}
_MAP: ReaderTable = {1 << 3 | LENGTH: _read_map_entry}


def _read_key_value(reading: Reading, into: dict[str, Any], at: int, end: int, depth: int) -> None:
    """Read KeyValue into a dict: plainly a short key and then a value, or any other way."""
    buffer = reading.buffer
    if end - at > 3 and buffer[at] == _KEY_TAG and buffer[at + 1] < 128:
        value_at = at + 2 + buffer[at + 1]
        if value_at + 1 < end and buffer[value_at] == _VALUE_TAG:
            size = buffer[value_at + 1]
            start = value_at + 2
            if size > 127:
                size, start = varint(buffer, value_at + 1)
            if start + size == end:
                raw = buffer[at + 2 : value_at]
                key = reading.keys.get(raw)
                if key is None:
                    key = reading.key(raw)
                into[key] = _read_value(reading, start, end, depth, None)
                return
    pair = ["", None]
    read_message(reading, _PAIR, pair, at, end, depth)
    into[pair[0] or ""] = pair[1]


def _read_pair_key(reading: Reading, pair: list[Any], at: int, end: int, _depth: int) -> None:
    pair[0] = str(reading.buffer[at:end], "utf-8", "replace")


def _read_pair_value(reading: Reading, pair: list[Any], at: int, end: int, depth: int) -> None:
    pair[1] = _read_value(reading, at, end, depth, pair[1])


_PAIR: ReaderTable = {_KEY_TAG: _read_pair_key, _VALUE_TAG: _read_pair_value}


# Everything else, from the tables


def _scalar(convert: Callable[[int], Any]) -> Callable[[str], Reader]:
    """Make readers of varints."""

    def make(slot: str) -> Reader:
        def read(_reading: Reading, target: Any, number: int, _stop: int, _depth: int) -> None:
            setattr(target, slot, convert(number))

        return read

    return make


def _fixed(convert: Callable[[bytes], Any]) -> Callable[[str], Reader]:
    """Make readers of fields whose bytes are the value."""

    def make(slot: str) -> Reader:
        def read(reading: Reading, target: Any, at: int, stop: int, _depth: int) -> None:
            setattr(target, slot, convert(reading.buffer[at:stop]))

        return read

    return make


def _id(size: int) -> Callable[[str], Reader]:
    """Make readers of ids of `size` bytes; what is no id reads as not set."""

    def make(slot: str) -> Reader:
        def read(reading: Reading, target: Any, at: int, stop: int, _depth: int) -> None:
            text = reading.buffer[at:stop].hex()
            if stop - at != size:
                if text:
                    reading.bad_id(target, slot, size)
                text = ""
            setattr(target, slot, "" if text == _ZERO[size] else text)

        return read

    return make


def _repeated(convert: Callable[[bytes, int, int], list[Any]]) -> Callable[[str], Reader]:
    """Make readers of numbers that come packed."""

    def make(slot: str) -> Reader:
        def read(reading: Reading, target: Any, at: int, stop: int, _depth: int) -> None:
            getattr(target, slot).extend(convert(reading.buffer, at, stop))

        return read

    return make


def _one_more(slot: str) -> Reader:
    """Make a reader of one number of a repeated field of varints."""

    def read(_reading: Reading, target: Any, number: int, _stop: int, _depth: int) -> None:
        getattr(target, slot).append(number)

    return read


def _attributes(slot: str) -> Reader:
    def read(reading: Reading, target: Any, at: int, stop: int, depth: int) -> None:
        _read_key_value(reading, getattr(target, slot), at, stop, depth)

    return read


def _value(slot: str) -> Reader:
    def read(reading: Reading, target: Any, at: int, stop: int, depth: int) -> None:
        setattr(target, slot, _read_value(reading, at, stop, depth, getattr(target, slot)))

    return read


def _from_le(raw: bytes) -> int:
    return int.from_bytes(raw, "little")


def _from_le_signed(raw: bytes) -> int:
    return int.from_bytes(raw, "little", signed=True)


def _double(raw: bytes) -> float:
    number: float = double_at(raw)[0]
    return number


def _fixed64s(buffer: bytes, at: int, end: int) -> list[int]:
    return packed_fixed(buffer, at, end, "Q")


def _doubles(buffer: bytes, at: int, end: int) -> list[float]:
    return packed_fixed(buffer, at, end, "d")


_MAKERS: dict[str, dict[int, Callable[[str], Reader]]] = {
    "string": {LENGTH: _fixed(lambda raw: raw.decode("utf-8", "replace"))},
    "bool": {VARINT: _scalar(bool)},
    "enum": {VARINT: _scalar(lambda number: signed(number, 32))},
    "uint32": {VARINT: _scalar(lambda number: number & protobuf.MASK_32)},
    "sint32": {VARINT: _scalar(protobuf.unzigzag)},
    "fixed32": {FIXED32: _fixed(_from_le)},
    "fixed64": {FIXED64: _fixed(_from_le)},
    "double": {FIXED64: _fixed(_double)},
    "optional double": {FIXED64: _fixed(_double)},
    "as_double": {FIXED64: _fixed(_double)},
    "as_int": {FIXED64: _fixed(_from_le_signed)},
    "fixed64s": {LENGTH: _repeated(_fixed64s), FIXED64: _repeated(_fixed64s)},
    "doubles": {LENGTH: _repeated(_doubles), FIXED64: _repeated(_doubles)},
    "uint64s": {LENGTH: _repeated(packed_varints), VARINT: _one_more},
    "trace_id": {LENGTH: _id(16)},
    "span_id": {LENGTH: _id(8)},
    "attributes": {LENGTH: _attributes},
    "value": {LENGTH: _value},
}
"""By kind and wire type: what makes the reader of a field from the name of its attribute."""


def _inside(field: Field, message: Message) -> Reader:
    readers = _table(message)

    def read(reading: Reading, target: Any, at: int, stop: int, depth: int) -> None:
        if field.kind == "data":
            turn_to(target, field.name)
        read_message(reading, readers, target, at, stop, depth)

    return read


def _children(field: Field, message: Message) -> Reader:
    readers = _table(message)
    slot, make, keep = field.slot, message.make, message.keep
    take = Reading.take_item if message.item else Reading.take_part

    def read(reading: Reading, target: Any, at: int, stop: int, depth: int) -> None:
        take(reading)
        child = make(reading)
        read_message(reading, readers, child, at, stop, depth)
        keep(reading, getattr(target, slot, None), child)

    return read


def _table(message: Message) -> ReaderTable:
    """Turn the rows of a message into readers by tag."""
    table: ReaderTable = {}
    for field in message.fields:
        if field.message is not None:
            make = _children if field.kind == "children" else _inside
            table[field.number << 3 | LENGTH] = make(field, field.message)
        else:
            for wire_type, maker in _MAKERS[field.kind].items():
                table[field.number << 3 | wire_type] = maker(field.slot)
    return table


_ROOTS = {signal: _table(request.message) for signal, request in REQUESTS.items()}
