"""What a program hands around → a bounded JSON value, for the SDK. Standard library only; nothing here raises.

A value is copied at once, since the program goes on changing it. Nothing of the program's is called but `repr`, and
that only where nothing else is known of a value; what it raises becomes words.
"""

from __future__ import annotations

from collections import deque
from itertools import islice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

MAX_CHARS = 256 * 1024
"""Text kept of one value, all its strings together."""

MAX_NODES = 10_000
NODE_WEIGHT = 64  # about the bytes of a value beside its text: measured 51
MAX_ITEMS = 1000  # of one list or dict
MAX_DEPTH = 12
MAX_KEY_CHARS = 256
MAX_INT_BITS = 1024  # a longer one is described: Python refuses to write it

_LISTS = (list, tuple, set, frozenset, deque)
_BYTES = (bytes, bytearray, memoryview)
TROUBLE = (Exception, SystemExit, GeneratorExit)  # a KeyboardInterrupt is the user's, not the value's


def captured(value: object, max_chars: int = MAX_CHARS) -> Any:
    """Return `value` as JSON can write it, cut where it is too long."""
    return Capture(max_chars).value(value)


class Capture:
    """Copies values until its room is used up; one for each input, output and stream."""

    __slots__ = ("_room", "chars", "nodes")

    def __init__(self, max_chars: int = MAX_CHARS) -> None:
        self._room = self.chars = max_chars
        self.nodes = MAX_NODES

    def __repr__(self) -> str:
        return f"<Capture with room for {self.chars} characters, {self.nodes} values>"

    @property
    def has_room(self) -> bool:
        """Say whether anything more would be kept."""
        return self.chars > 0 and self.nodes > 0

    @property
    def weight(self) -> int:
        """About the bytes that the copies hold."""
        return self._room - self.chars + NODE_WEIGHT * (MAX_NODES - self.nodes)

    def value(self, value: object, depth: int = 0) -> Any:
        """Return a copy of `value`."""
        self.nodes -= 1
        if value is None or value is True or value is False:
            return value
        kind = type(value)
        try:
            if issubclass(kind, str):
                return self.text(str.__str__(value))
            if issubclass(kind, (int, float)):
                return _number(value)
            if depth >= MAX_DEPTH or self.nodes <= 0:
                return f"… [{kind.__name__}]"
            return self._composite(value, kind, depth)
        except TROUBLE:
            return _unshown(kind)

    def text(self, text: str) -> str:
        """Return as much of `text` as there is room for."""
        room = max(0, self.chars)
        self.chars = room - len(text)
        return text if len(text) <= room else f"{text[:room]}… [{len(text) - room} more characters]"

    def _composite(self, value: Any, kind: type, depth: int) -> Any:
        if issubclass(kind, dict):
            return self._pairs(dict.items(value), dict.__len__(value), depth)
        if issubclass(kind, _LISTS):
            return self._items(value, depth)
        if issubclass(kind, _BYTES):
            return f"<{memoryview(value).nbytes} bytes>"
        fields = _fields_of(value, kind)
        if fields is not None:
            return self._pairs(fields.items(), len(fields), depth)
        if hasattr(kind, "_member_map_") and hasattr(value, "_value_"):  # an enum
            return self.value(value._value_, depth + 1)
        return self.text(repr(value))

    def _pairs(self, pairs: Iterable[tuple[Any, Any]], count: int, depth: int) -> dict[str, Any]:
        found = {}
        for key, item in islice(pairs, MAX_ITEMS):
            name = key if type(key) is str else str(self.value(key, depth + 1))
            if len(name) > MAX_KEY_CHARS:
                name = name[:MAX_KEY_CHARS] + "…"
            self.chars -= len(name)
            found[name] = self.value(item, depth + 1)
            if not self.has_room:
                break
        if count > len(found):
            found["…"] = f"{count - len(found)} more"
        return found

    def _items(self, items: Any, depth: int) -> list[Any]:
        found = []
        for item in islice(items, MAX_ITEMS):
            found.append(self.value(item, depth + 1))
            if not self.has_room:
                break
        if len(items) > len(found):
            found.append(f"… {len(items) - len(found)} more")
        return found


def _number(value: Any) -> Any:
    if isinstance(value, float):
        plain = float.__float__(value)
        return plain if plain - plain == 0 else repr(plain)  # NaN and the infinities are no JSON
    whole = int.__int__(value)
    return whole if whole.bit_length() <= MAX_INT_BITS else f"<int of {whole.bit_length()} bits>"


def _fields_of(value: Any, kind: type) -> Mapping[str, Any] | None:
    """Return the fields of a dataclass, or of a pydantic model that are set."""
    names = getattr(kind, "__dataclass_fields__", None)
    if isinstance(names, dict):
        return {name: getattr(value, name, None) for name in names}
    if hasattr(kind, "__pydantic_validator__") or hasattr(kind, "__fields_set__"):
        found = {**value.__dict__, **(getattr(value, "__pydantic_extra__", None) or {})}
        return {name: item for name, item in found.items() if item is not None}
    return None


def _unshown(kind: type) -> str:
    try:
        return f"<{type.__dict__['__name__'].__get__(kind)} that cannot be shown>"
    except TROUBLE:
        return "<something that cannot be shown>"


# ── arguments ────────────────────────────────────────────────────────────────────────────────────────────────────────

_HAS_MORE = 0x04  # inspect.CO_VARARGS; inspect itself is slow to import


class Names:
    """The names of a function's arguments, read once from its code."""

    __slots__ = ("_is_method", "_more", "_positional")

    def __init__(self, function: Callable[..., object]) -> None:
        code, is_bound = _code_of(function)
        self._positional: tuple[str, ...] = ()
        self._more, self._is_method = "args", False
        if code is None:
            return
        count = code.co_argcount
        self._positional = code.co_varnames[is_bound:count]
        if code.co_flags & _HAS_MORE:
            self._more = code.co_varnames[count + code.co_kwonlyargcount]
        self._is_method = self._positional[:1] in (("self",), ("cls",))

    def __repr__(self) -> str:
        return f"<Names {', '.join(self._positional)}>"

    def of(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of a call by name, without self or cls."""
        found = dict(zip(self._positional, args, strict=False))
        if self._is_method:
            found.pop(self._positional[0], None)
        more = args[len(self._positional) :]
        if more:
            found[self._more] = more
        found.update(kwargs)
        return found


def _code_of(function: Any) -> tuple[Any, bool]:
    """Return the code behind a function, method or callable object, and whether its first argument is given already.

    None for what is built in, and for partials: some of their arguments are given, too.
    """
    is_bound = False
    for _ in range(MAX_DEPTH):
        code = getattr(function, "__code__", None)
        inner = getattr(function, "__wrapped__", None)
        if code is None:  # an object: its class may have a function that is called
            function = type(function).__dict__.get("__call__")
            is_bound = True
        elif inner is None:
            return code, is_bound or hasattr(function, "__self__")
        else:
            is_bound = is_bound or hasattr(function, "__self__")
            function = inner
    return None, False
