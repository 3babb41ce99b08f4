"""Two trees of spans in one: matched by the path of their names, the n-th of a name with the n-th. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from llmflow_web.model import JSON

MAX_SPANS = 10_000
"""Rows of the joined tree; the rest is left out, and said to be."""

_DELTAS = ("duration_ms", "estimated_cost", "total_tokens")
_SHOWN = ("id", "span_type", "span_name", "model", "status", "duration_ms", "estimated_cost", "total_tokens")

Pair = tuple[JSON | None, JSON | None]
Key = tuple[Any, int]


def diff_spans(a: Sequence[JSON], b: Sequence[JSON]) -> JSON:
    """Return {"is_coarse", "rows"}: both trees in one order, parents before their children."""
    starts = (_start(a), _start(b))
    rows: list[JSON] = []
    for depth, pair in _walk(a, b):
        if len(rows) >= MAX_SPANS:
            return {"is_coarse": True, "rows": rows}
        rows.append(_row(depth, pair, starts))
    return {"is_coarse": False, "rows": rows}


def _walk(a: Sequence[JSON], b: Sequence[JSON]) -> Iterator[tuple[int, Pair]]:
    """Yield matched spans with their depth; without recursion, for trees may be as deep as they are large."""
    waiting: list[tuple[int, Pair]] = [(0, pair) for pair in reversed(match(a, b))]
    while waiting:
        depth, (one, other) = waiting.pop()
        yield depth, (one, other)
        inner = match(one["children"] if one else (), other["children"] if other else ())
        waiting.extend((depth + 1, pair) for pair in reversed(inner))


def match(a: Sequence[JSON], b: Sequence[JSON]) -> list[Pair]:
    """Match siblings: those of b without a partner stand where they stood among their own."""
    theirs = dict(zip(_keys(b), b, strict=True))
    mine = dict(zip(_keys(a), a, strict=True))
    order = list(theirs)
    places = {key: place for place, key in enumerate(order)}
    pairs: list[Pair] = []
    told = 0  # how many of b have been passed
    for key, span in mine.items():
        place = places.get(key)
        if place is not None:
            pairs += [(None, theirs[other]) for other in order[told:place] if other not in mine]
            told = max(told, place + 1)
        pairs.append((span, theirs.get(key)))
    pairs += [(None, theirs[other]) for other in order[told:] if other not in mine]
    return pairs


def _keys(spans: Sequence[JSON]) -> list[Key]:
    """Name siblings by type and name, and number those of one name."""
    counts: dict[Any, int] = {}
    keys: list[Key] = []
    for span in spans:
        name = _name(span)
        counts[name] = counts.get(name, -1) + 1
        keys.append((name, counts[name]))
    return keys


def _name(span: JSON) -> tuple[Any, Any]:
    name, model = span["span_name"], span["model"]
    # "chat gpt-4o" and "chat o3" are the same step asked of another model.
    if name and model and name.endswith(model):
        name = name.removesuffix(model).rstrip()
    return span["span_type"], name


def _start(spans: Sequence[JSON]) -> int:
    return min((int(span["start_ns"]) for span in spans), default=0)


def _row(depth: int, pair: Pair, starts: tuple[int, int]) -> JSON:
    one, other = pair
    known = one or other
    assert known is not None  # a pair has at least one side
    if one is None:
        change = "added"
    elif other is None:
        change = "removed"
    else:
        change = "same" if all(one[name] == other[name] for name in ("status", "model")) else "changed"
    return {
        "change": change,
        "depth": depth,
        "name": known["span_name"],
        "span_type": known["span_type"],
        "a": _shown(one, starts[0]),
        "b": _shown(other, starts[1]),
        "deltas": {name: _delta(one, other, name) for name in _DELTAS},
    }


def _shown(span: JSON | None, start_ns: int) -> JSON | None:
    if span is None:
        return None
    start_ms = round((int(span["start_ns"]) - start_ns) / 1e6, 3)
    return {**{name: span[name] for name in _SHOWN}, "start_ms": start_ms}


def _delta(one: JSON | None, other: JSON | None, name: str) -> float | None:
    a, b = (one or {}).get(name), (other or {}).get(name)
    return None if a is None or b is None else round(b - a, 12)
