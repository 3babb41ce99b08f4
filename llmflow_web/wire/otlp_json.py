"""OTLP in JSON: the tables of `otlp_schema` as readers of what json.loads gives.

Sans I/O. Read generously: names in lowerCamelCase or as in the .proto, 64-bit numbers as strings or numbers, enums as
numbers or words; null is the default; what is unknown is passed over. A member of a wrong type costs its span, log
record or data point; outside of these it costs the request.
"""

from __future__ import annotations

import binascii
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from llmflow_web.errors import BadRequest, TooLarge
from llmflow_web.model import JSON
from llmflow_web.wire import jsonparts
from llmflow_web.wire.otlp_reading import Decoded, OtlpLimits, Reading
from llmflow_web.wire.otlp_schema import REQUESTS, Field, Message, turn_to
from llmflow_web.wire.otlp_sniff import hint, refuse_other_root
from llmflow_web.wire.otlp_values import Signal

Reader = Callable[[Reading, Any, Any, int], None]
"""(reading, target, member, depth): take one member that is not null."""
ReaderTable = dict[str, Reader]

_PAIR_ESCAPE = re.compile(r"\\u[dD]")
_HALF_PAIR = re.compile("[\ud800-\udfff]")
_MAX_DIGITS = 20
_MAX_SHOWN = 40


class BadValue(ValueError):
    """A member has a value it cannot have: the path to it, and why."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path} {why}".strip())
        self.path = path
        self.why = why

    def within(self, name: str) -> BadValue:
        """Return the same, seen from the object that holds it under `name`."""
        joint = "" if not self.path or self.path.startswith("[") else "."
        return BadValue(name + joint + self.path, self.why)


def decode_json(signal: Signal, body: bytes, limits: OtlpLimits) -> Decoded:
    """Read an Export…ServiceRequest; BadRequest when the body is none."""
    reading = Reading(b"", limits)
    try:
        root = _object(loads(body, limits))
        refuse_other_root(signal, root)
        _read_object(reading, _ROOTS[signal], None, root, 0)
    except BadValue as error:
        raise BadRequest(f"The body is no OTLP request: {error}.") from error
    except RecursionError as error:
        raise BadRequest("The body is nested too deeply.") from error
    return reading.done()


def loads(body: bytes, limits: OtlpLimits) -> Any:
    """Parse a body; BadRequest when it is no JSON, or such as would eat stack or memory."""
    if len(body) > limits.max_json_brackets and body.count(b"{") + body.count(b"[") > limits.max_json_brackets:
        raise TooLarge(f"The body holds more than {limits.max_json_brackets} brackets (max_json_brackets).")
    text = body.decode("utf-8-sig", "replace")
    try:
        value = jsonparts.loads(text, _read_mended if _PAIR_ESCAPE.search(text) else jsonparts.scan)
    except RecursionError as error:
        raise BadRequest("The body is JSON nested too deeply.") from error
    except ValueError as error:
        raise BadRequest(f"The body is no JSON: {str(error)[:200]}.{hint(body, is_json=True)}") from error
    return value


def _read_mended(text: str, at: int) -> tuple[Any, int]:
    """Read a piece that may hold half a surrogate pair, which is no text that could be stored."""
    value, end = jsonparts.scan(text, at)
    if _PAIR_ESCAPE.search(text, at, end):
        value = json.loads(_HALF_PAIR.sub("\ufffd", json.dumps(value, ensure_ascii=False)))
    return value, end


def _read_object(reading: Reading, readers: Mapping[str, Reader], target: Any, value: JSON, depth: int) -> None:
    """Hand each member of an object to its reader."""
    find = readers.get
    for name, member in value.items():
        reader = find(name)
        if reader is not None and member is not None:
            try:
                reader(reading, target, member, depth)
            except BadValue as error:
                raise error.within(name) from None


# Plain values


def _wrong(value: object, wanted: str) -> BadValue:
    shown = json.dumps(value)[:_MAX_SHOWN] if isinstance(value, str | int | float) else type(value).__name__
    shown = {"dict": "an object", "list": "an array", "NoneType": "null"}.get(shown, shown)
    return BadValue("", f"must be {wanted}, not {shown}")


def _object(value: Any) -> JSON:
    if type(value) is not dict:
        raise _wrong(value, "an object")
    return value


def _array(value: Any) -> list[Any]:
    if type(value) is not list:
        raise _wrong(value, "an array")
    return value


def _string(value: Any) -> str:
    if type(value) is not str:
        raise _wrong(value, "a string")
    return value


def _bool(value: Any) -> bool:
    if type(value) is not bool:
        raise _wrong(value, "true or false")
    return value


def _whole(value: Any) -> int | None:
    """Return the whole number a value stands for; never by way of a float, unless it came as one."""
    if type(value) is int:
        return value
    if type(value) is str and len(value) <= _MAX_DIGITS and value.removeprefix("-").isdecimal():
        return int(value)
    if type(value) is float and value.is_integer():
        return int(value)
    return None


def _integer(low: int, high: int) -> Callable[[Any], int]:
    """Make a converter to whole numbers in a range."""

    def convert(value: Any) -> int:
        number = value if type(value) is int else _whole(value)
        if number is None or not low <= number <= high:
            raise _wrong(value, f"a whole number from {low} to {high}")
        return number

    return convert


def _double(value: Any) -> float:
    """Read a number, also from a string, where NaN and the infinities live."""
    if type(value) is float:
        return value
    if type(value) in {int, str}:
        try:
            return float(value)
        except (ValueError, OverflowError):
            pass
    raise _wrong(value, "a number")


def _bytes(value: Any) -> bytes:
    """Read base64 of either alphabet, padded or not."""
    text = _string(value).rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return binascii.a2b_base64(text + "=" * (-len(text) % 4))
    except ValueError as error:
        raise _wrong(value, "base64") from error


_int32 = _integer(-(1 << 31), (1 << 31) - 1)
_uint32 = _integer(0, (1 << 32) - 1)
_int64 = _integer(-(1 << 63), (1 << 63) - 1)
_uint64 = _integer(0, (1 << 64) - 1)


# AnyValue and KeyValue


def _any_value(reading: Reading, value: Any, depth: int) -> Any:
    """Read AnyValue; of several members the last stands."""
    if type(value) is not dict:
        raise _wrong(value, "an object")
    if len(value) == 1:  # nearly all values: one text
        text = value.get("stringValue")
        if type(text) is str:
            return text
    found: Any = None
    for name, member in value.items():
        reader = _VALUE_READERS.get(name)
        if reader is not None and member is not None:
            try:
                found = reader(reading, member, depth)
            except BadValue as error:
                raise error.within(name) from None
    return found


def _entries(value: Any) -> list[Any]:
    """Return what an ArrayValue or KeyValueList lists."""
    values = _object(value).get("values")
    return [] if values is None else _array(values)


def _list(reading: Reading, value: Any, depth: int) -> list[Any]:
    depth = reading.deeper(depth)
    found = []
    for nth, entry in enumerate(_entries(value)):
        reading.take_part()
        try:
            found.append(None if entry is None else _any_value(reading, entry, depth))
        except BadValue as error:
            raise error.within(f"values[{nth}]") from None
    return found


def _map(reading: Reading, value: Any, depth: int) -> JSON:
    depth = reading.deeper(depth)
    found: JSON = {}
    entries = _entries(value)
    for _ in entries:
        reading.take_part()
    try:
        _key_values(reading, found, entries, depth)
    except BadValue as error:
        raise error.within("values") from None
    return found


def _key_values(reading: Reading, into: JSON, value: Any, depth: int) -> None:
    """Read an array of KeyValue into a dict."""
    for nth, pair in enumerate(_array(value)):
        where = ""
        try:
            if type(pair) is not dict:
                raise _wrong(pair, "an object")
            key, member = pair.get("key"), pair.get("value")
            if type(key) is not str:
                where = "key"
                key = "" if key is None else _string(key)
            where = "value"
            into[key] = None if member is None else _any_value(reading, member, depth)
        except BadValue as error:
            raise error.within(where).within(f"[{nth}]") from None


def _by_both_names(table: dict[str, Any]) -> dict[str, Any]:
    """Add each lowerCamelCase name as the .proto writes it."""
    return table | {re.sub("[A-Z]", lambda letter: "_" + letter[0].lower(), name): read for name, read in table.items()}


_VALUE_READERS: dict[str, Callable[[Reading, Any, int], Any]] = _by_both_names(
    {
        "stringValue": lambda _reading, value, _depth: value if type(value) is str else _string(value),
        "boolValue": lambda _reading, value, _depth: _bool(value),
        "intValue": lambda _reading, value, _depth: _int64(value),
        "doubleValue": lambda _reading, value, _depth: _double(value),
        "arrayValue": _list,
        "kvlistValue": _map,
        "bytesValue": lambda _reading, value, _depth: _bytes(value),
    }
)


# Everything else, from the tables


def _converted(convert: Callable[[Any], Any]) -> Callable[[Field], Reader]:
    def make(field: Field) -> Reader:
        slot = field.slot

        def read(_reading: Reading, target: Any, value: Any, _depth: int) -> None:
            setattr(target, slot, convert(value))

        return read

    return make


def _enum(field: Field) -> Reader:
    slot, numbers = field.slot, {name: number for number, name in enumerate(field.names)}

    def read(_reading: Reading, target: Any, value: Any, _depth: int) -> None:
        known = numbers.get(value) if type(value) is str else None
        setattr(target, slot, _int32(value) if known is None else known)

    return read


def _id(size: int) -> Callable[[Field], Reader]:
    """Make readers of ids in hex, with or without dashes; what is no id reads as not set."""

    def make(field: Field) -> Reader:
        slot = field.slot

        def read(reading: Reading, target: Any, value: Any, _depth: int) -> None:
            text = _string(value).replace("-", "").lower()
            if len(text) != 2 * size or text.strip("0123456789abcdef"):
                if text:
                    reading.bad_id(target, slot, size)
                text = ""
            setattr(target, slot, text if text.strip("0") else "")

        return read

    return make


def _repeated(convert: Callable[[Any], Any]) -> Callable[[Field], Reader]:
    def make(field: Field) -> Reader:
        slot = field.slot

        def read(_reading: Reading, target: Any, value: Any, _depth: int) -> None:
            setattr(target, slot, [convert(entry) for entry in _array(value)])

        return read

    return make


def _attributes(field: Field) -> Reader:
    slot = field.slot
    return lambda reading, target, value, depth: _key_values(reading, getattr(target, slot), value, depth)


def _value(field: Field) -> Reader:
    slot = field.slot
    return lambda reading, target, value, depth: setattr(target, slot, _any_value(reading, value, depth))


def _inside(field: Field) -> Reader:
    assert field.message is not None  # the kind says so
    readers = _table(field.message)

    def read(reading: Reading, target: Any, value: Any, depth: int) -> None:
        if field.kind == "data":
            turn_to(target, field.name)
        _read_object(reading, readers, target, _object(value), depth)

    return read


def _children(field: Field) -> Reader:
    message = field.message
    assert message is not None  # the kind says so
    readers, slot, make, keep = _table(message), field.slot, message.make, message.keep
    take = Reading.take_item if message.item else Reading.take_part

    def read(reading: Reading, target: Any, value: Any, depth: int) -> None:
        into = getattr(target, slot, None)
        for nth, entry in enumerate(_array(value)):
            take(reading)
            try:
                child = make(reading)
                _read_object(reading, readers, child, _object(entry), depth)
            except BadValue as error:
                if not message.item:
                    raise error.within(f"[{nth}]") from None
                _reject(reading, message, entry, error)
            else:
                keep(reading, into, child)

    return read


def _reject(reading: Reading, message: Message, entry: Any, error: BadValue) -> None:
    """Leave out one span, log record, metric or data point."""
    name, count = "", 1
    if type(entry) is dict:
        name = entry.get("name", "")
        lists = [data.get("dataPoints") for data in entry.values() if type(data) is dict]
        count = sum(len(points) for points in lists if type(points) is list) or 1
    reading.reject(message.item, name, f"{error}.", count)


_MAKERS: dict[str, Callable[[Field], Reader]] = {
    "string": _converted(_string),
    "bool": _converted(_bool),
    "enum": _enum,
    "uint32": _converted(_uint32),
    "sint32": _converted(_int32),
    "fixed32": _converted(_uint32),
    "fixed64": _converted(_uint64),
    "double": _converted(_double),
    "optional double": _converted(_double),
    "as_double": _converted(_double),
    "as_int": _converted(_int64),
    "fixed64s": _repeated(_uint64),
    "uint64s": _repeated(_uint64),
    "doubles": _repeated(_double),
    "trace_id": _id(16),
    "span_id": _id(8),
    "attributes": _attributes,
    "value": _value,
    "inside": _inside,
    "data": _inside,
    "children": _children,
}


def _table(message: Message) -> ReaderTable:
    """Turn the rows of a message into readers, by both of its names."""
    table: ReaderTable = {}
    for field in message.fields:
        table[field.name] = table[field.json_name] = _MAKERS[field.kind](field)
    return table


_ROOTS = {signal: _table(request.message) for signal, request in REQUESTS.items()}
