"""Copying what a program hands around: bounded, JSON, and never a reason to fail."""

from __future__ import annotations

import dataclasses
import enum
import json
import math
from collections import OrderedDict, deque
from functools import partial
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmflow_web.sdk.capture import MAX_CHARS, MAX_INT_BITS, MAX_ITEMS, MAX_NODES, Capture, Names, captured


class Hostile:
    """Raises at every touch."""

    def __init__(self, kind: type[BaseException] = RuntimeError) -> None:
        object.__setattr__(self, "kind", kind)

    def _raise(self, *_: Any, **__: Any) -> Any:
        raise object.__getattribute__(self, "kind")("hostile")

    __repr__ = __str__ = __getattr__ = __iter__ = __len__ = __hash__ = __eq__ = __bool__ = _raise


class HostileList(list):
    def __iter__(self):
        raise RuntimeError("hostile")


class HostileDict(dict):
    def items(self):
        raise RuntimeError("hostile")


class HostileText(str):
    __slots__ = ()

    def __str__(self):
        raise RuntimeError("hostile")

    def __len__(self):
        raise RuntimeError("hostile")


class Color(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Order:
    name: str
    count: int


class Point(NamedTuple):
    x: int
    y: int


VALUES = [
    (None, None),
    (True, True),
    (7, 7),
    (1.5, 1.5),
    ("text", "text"),
    (math.nan, "nan"),
    (-math.inf, "-inf"),
    (b"bytes", "<5 bytes>"),
    (memoryview(bytearray(8)), "<8 bytes>"),
    ((1, [2]), [1, [2]]),
    (Point(1, 2), [1, 2]),
    (deque([1]), [1]),
    (frozenset([3]), [3]),
    ({"a": 1, 2: "b", None: 0}, {"a": 1, "2": "b", "None": 0}),
    (OrderedDict(a=1), {"a": 1}),
    (Order("tea", 2), {"name": "tea", "count": 2}),
    (Color.RED, "red"),
    (HostileText("kept"), "kept"),
    (HostileDict(a=1), {"a": 1}),
    (1 << (MAX_INT_BITS + 8), f"<int of {MAX_INT_BITS + 9} bits>"),
    (range(3), "range(0, 3)"),
]


@pytest.mark.parametrize(("value", "expected"), VALUES, ids=range(len(VALUES)))
def test_values(value, expected):
    """Plain values stay, containers and dataclasses become JSON's, all else is its repr."""
    assert captured(value) == expected


@pytest.mark.parametrize("kind", [RuntimeError, RecursionError, MemoryError, SystemExit, GeneratorExit])
def test_hostile_values(kind):
    """A value that raises at every touch becomes words, wherever it lies."""
    words = "<Hostile that cannot be shown>"
    hostile = Hostile(kind)
    assert captured(hostile) == words
    assert captured([1, hostile]) == [1, words]
    assert captured({"k": hostile}) == {"k": words}
    assert captured(HostileList([1])) == "<HostileList that cannot be shown>"


def test_an_interrupt_is_no_trouble_of_the_value():
    """Ctrl-C during a repr is the user's, and comes through."""
    with pytest.raises(KeyboardInterrupt):
        captured(Hostile(KeyboardInterrupt))


def test_pydantic_models():
    """A pydantic model is its fields that are set, extra ones too; a secret stays one."""
    pydantic = pytest.importorskip("pydantic")

    class Message(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(extra="allow")
        role: str
        name: str | None = None
        key: pydantic.SecretStr = pydantic.SecretStr("sk-secret")

    found = captured(Message(role="user", more=[1]))
    assert found == {"role": "user", "more": [1], "key": "SecretStr('**********')"}


def test_cycles():
    """A value that holds itself is cut at a depth."""
    value: list[Any] = []
    value.append(value)
    pair: dict[str, Any] = {"list": value}
    pair["self"] = pair
    json.dumps(captured(pair))


def test_long_texts():
    """A text is cut where the room ends and says how much is missing."""
    found = captured("x" * (MAX_CHARS + 5))
    assert found == "x" * MAX_CHARS + "… [5 more characters]"
    assert len(json.dumps(captured(["y" * MAX_CHARS] * 10))) < 2 * MAX_CHARS


def test_long_containers():
    """Lists and dicts keep their beginning and say how much is missing."""
    found = captured(list(range(5000)))
    assert len(found) == MAX_ITEMS + 1
    assert found[-1] == "… 4000 more"
    assert captured({n: n for n in range(5000)})["…"] == "4000 more"


def test_huge_values_cost_little():
    """However large a value is, only so many pieces of it are looked at."""
    kept = Capture()
    kept.value([[[0] * 1000] * 1000] * 1000)
    assert kept.nodes >= -MAX_ITEMS * 2
    assert MAX_NODES < 100_000


def test_surrogates_reach_the_wire(posted):
    """A lone surrogate, which UTF-8 cannot write, does not lose the span."""
    from llmflow_web.sdk import span

    with span("call", input={"text": "half \ud800", "\udfff": 1}):
        pass
    assert posted.one()["input"] == {"text": "half \ud800", "\udfff": 1}


leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.binary()
    | st.complex_numbers()
    | st.datetimes()
    | st.decimals()
    | st.builds(Hostile, st.sampled_from([RuntimeError, RecursionError, SystemExit]))
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner)
        | st.dictionaries(st.text(max_size=3) | st.integers() | st.tuples(st.text(max_size=2)), inner, max_size=4)
        | st.builds(HostileList, st.lists(inner, max_size=2))
        | st.builds(Order, inner, inner)
    ),
    max_leaves=20,
)


@given(values, st.integers(0, 200))
def test_capture_never_raises(value, room):
    """Whatever it is, a copy is made, JSON can write it, and it is no longer than allowed."""
    text = json.dumps(captured(value, room), allow_nan=False)
    assert len(text) < 200_000


@given(values, values)
def test_a_span_never_raises(value, other):
    """Whatever is set on a span, by whatever name, the program goes on."""
    from llmflow_web.sdk.fields import Said

    said = Said()
    for name in ("input", "tags", "attributes", "prompt_tokens", "estimated_cost", "model", "error", "is_stream", "x"):
        said.put(name, value)
    said.put("attributes", {"a": value, "b": other})
    json.dumps(said.posted(), allow_nan=False)


# ── arguments ────────────────────────────────────────────────────────────────────────────────────────────────────────


def wrapper_of(function):
    from functools import wraps

    @wraps(function)
    def call(*args, **kwargs):
        return function(*args, **kwargs)

    return call


def test_names_of_arguments():
    """Arguments are told by name, also through other decorators; what has no names is args and kwargs."""

    def full(a, b, /, c, *rest, d, **named):
        """Take all kinds."""

    class Callable:
        def __call__(self, question):
            """Take one."""

    assert Names(full).of((1, 2, 3, 4), {"d": 5, "e": 6}) == {"a": 1, "b": 2, "c": 3, "rest": (4,), "d": 5, "e": 6}
    assert Names(wrapper_of(full)).of((1,), {}) == {"a": 1}
    assert Names(Callable()).of(("x",), {}) == {"question": "x"}
    assert Names(Callable().__call__).of(("x",), {}) == {"question": "x"}
    assert Names(Callable.__call__).of((None, "x"), {}) == {"question": "x"}
    assert Names(len).of(([],), {"k": 1}) == {"args": ([],), "k": 1}
    assert Names(partial(full, 1)).of((2,), {}) == {"args": (2,)}


def test_a_copy_weighs_what_it_holds():
    """Numbers and empty lists have weight, too: what waits for delivery is bounded whatever it is made of."""
    empty, text = Capture(), Capture()
    empty.value([[] for _ in range(900)])
    text.value("x" * 5000)
    assert empty.weight >= 900 * 56
    assert 5000 <= text.weight < 6000
