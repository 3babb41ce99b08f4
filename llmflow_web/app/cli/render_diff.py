"""Two calls compared, for a reader: figures, parameters, messages word by word, trees. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from llmflow_web.app.cli.cells import Cell, Column, Paint, clean, clean_lines, table, wrap
from llmflow_web.app.cli.render_list import call_name
from llmflow_web.console import short_cost, short_count, short_duration

JSON = Mapping[str, Any]

_MARKS = {"same": " ", "changed": "~", "added": "+", "removed": "-"}
_STYLES = {"changed": "yellow", "added": "green", "removed": "red"}
_CONTEXT_CHARS = 60
_LIKE = 0.4  # messages less alike are shown whole, one below the other


def diff_lines(found: JSON, width: int, paint: Paint) -> list[str]:
    """Return everything that differs."""
    lines = [_side("a", found["a"], paint), _side("b", found["b"], paint)]
    for block in (_figures(found, width, paint), _parameters(found, width, paint), _spans(found, width, paint)):
        if block:
            lines += ["", *block]
    said = list(_messages(found, width, paint))
    lines += ["", *(said or [paint("the messages are the same", "dim")])]
    return [*lines, *(paint(clean(note), "dim") for note in found["notes"])]


def _side(name: str, row: JSON, paint: Paint) -> str:
    return f"{paint(name, 'bold')}  {clean(call_name(row))}  {paint(clean(str(row['id'])), 'dim')}"


# ── figures ──────────────────────────────────────────────────────────────────────────────────────────────────────────

_COLUMNS = (
    Column("FIGURE", least=12),
    Column("A", is_right=True),
    Column("B", is_right=True),
    Column("CHANGE", is_right=True),
    Column("", is_right=True),
)


def _figures(found: JSON, width: int, paint: Paint) -> list[str]:
    rows = [
        [
            Cell(delta["name"].removesuffix("_ms").replace("_", " ")),
            Cell(_shown(delta["a"], delta["unit"])),
            Cell(_shown(delta["b"], delta["unit"])),
            Cell(_change(delta), _direction(delta)),
            Cell(_share(delta), "dim"),
        ]
        for delta in found["deltas"]
        if delta["a"] or delta["b"]
    ]
    return table(_COLUMNS, rows, width, paint) if rows else []


def _shown(value: float | None, unit: str) -> str:
    if value is None:
        return "?" if unit == "USD" else "-"
    if unit == "ms":
        return short_duration(value)
    if unit == "USD":
        return f"${value:.6f}"
    return f"{int(value):,}" if unit != "tokens" else short_count(int(value))


def _change(delta: JSON) -> str:
    change = delta["delta"]
    if change is None:
        return ""
    text = _shown(abs(change), delta["unit"])
    return "=" if text in ("0", "0ms", "$0.000000") else f"{'+' if change > 0 else '-'}{text}"


def _share(delta: JSON) -> str:
    change = None if delta["ratio"] is None else round((delta["ratio"] - 1) * 100)
    return f"{change:+,}%" if change else ""


def _direction(delta: JSON) -> str:
    """Return the colour of a change: less of anything is well."""
    change = delta["delta"]
    return "dim" if not change else "red" if change > 0 else "green"


# ── parameters ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _parameters(found: JSON, width: int, paint: Paint) -> list[str]:
    lines = []
    for row in found["parameters"]:
        if row["change"] == "same":
            continue
        told = {
            "changed": f"{_value(row['a'])} → {_value(row['b'])}",
            "added": _value(row["b"]),
            "removed": _value(row["a"]),
        }
        text = clean(f"{_MARKS[row['change']]} {row['name']}: {told[row['change']]}")
        lines += [paint(line, _STYLES[row["change"]]) for line in wrap(text, width)]
    return [paint("parameters", "dim"), *lines] if lines else []


def _value(value: Any) -> str:
    import json

    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 200 else text[:200] + "…"


# ── trees ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _spans(found: JSON, width: int, paint: Paint) -> list[str]:
    rows = found["spans"]["rows"]
    if len(rows) < 2:
        return []
    cells = [
        [
            Cell(_MARKS[row["change"]] + " " + "  " * row["depth"] + str(row["name"]), _STYLES.get(row["change"], "")),
            *(Cell(short_duration(row[side]["duration_ms"]) if row[side] else "") for side in ("a", "b")),
            *(Cell(_money(row[side])) for side in ("a", "b")),
        ]
        for row in rows
    ]
    columns = (
        Column("SPAN", least=16),
        *(Column(title, is_right=True) for title in ("A TOOK", "B TOOK", "A COST", "B COST")),
    )
    return table(columns, cells, width, paint)


def _money(span: JSON | None) -> str:
    if not span or span.get("estimated_cost") is None:
        return ""
    return short_cost(span["estimated_cost"])


# ── messages ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _messages(found: JSON, width: int, paint: Paint) -> Iterator[str]:
    same = 0
    for row in found["messages"]["rows"]:
        if row["change"] == "same":
            same += 1
            continue
        if same:
            yield paint(f"  {same} the same", "dim")
            same = 0
        title = f"{_MARKS[row['change']]} {row['role'] or '?'} ({'asked' if row['part'] == 'input' else 'answered'})"
        yield paint(clean(title), _STYLES[row["change"]])
        yield from _ops(row["ops"], width, paint, is_whole=(row["similarity"] or 0) < _LIKE)
    if same and same < len(found["messages"]["rows"]):
        yield paint(f"  {same} the same", "dim")


def _ops(ops: Sequence[Sequence[str]], width: int, paint: Paint, *, is_whole: bool) -> Iterator[str]:
    """Write what differs as lines of a and lines of b, with some words of what they share before and behind it."""
    for mark, wanted, style in (("-", "=-", "red"), ("+", "=+", "green")):
        pieces = [(op, text) for op, text in ops if op in wanted]
        if not any(op == mark for op, _ in pieces):
            continue
        if is_whole:
            text = "".join(text for _, text in pieces)
        else:
            last = len(pieces) - 1
            both = enumerate(pieces)
            text = "".join(_short(one, at, last) if op == "=" else _marked(one, mark) for at, (op, one) in both)
        for raw in clean_lines(text):
            for line in wrap(raw, width - 4):
                yield paint(f"  {mark} ", style) + (paint(line, style) if paint.has_color else line)


def _marked(text: str, mark: str) -> str:
    """Put what differs into brackets, as a word diff does: colours alone would not survive a pipe."""
    if not text.strip():
        return text
    lead, tail = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
    return f"{lead}[{mark}{text.strip()}{mark}]{tail}"


def _short(text: str, place: int, last: int) -> str:
    """Shorten what both sides share: the end of what stands before a difference, the beginning of what follows."""
    if len(text) <= 2 * _CONTEXT_CHARS:
        return text
    head = "" if place == 0 else text[:_CONTEXT_CHARS]
    tail = "" if place == last else text[-_CONTEXT_CHARS:]
    return f"{head} … {tail}"
