"""Two calls side by side: what differs in figures, parameters, messages and spans. Pure, and bounded in work.

Where a limit is met the comparison becomes coarser, and says so; it never gives up.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from llmflow_web.model import JSON
from llmflow_web.record.diff_spans import diff_spans
from llmflow_web.record.diff_words import Work, diff_texts

MAX_MESSAGES = 400
"""Of one side; later ones are left out."""

MAX_PAIRS = 10_000
"""Messages of a times messages of b that are compared for likeness; more are paired in their order."""

MAX_MESSAGE_CHARS = 200_000
MAX_SAME_CHARS = 400
"""Of a message that both have the beginning is given."""

MAX_PARAMETERS = 500
MAX_VALUE_CHARS = 2000
_MAX_WORDS_COMPARED = 500
_SAME_ROLE = 0.05  # two messages of one role are rather taken for one another than left alone
_MAX_DEPTH = 3

_MESSAGE_MEMBERS = frozenset({
    "messages", "input", "contents", "prompt", "instructions", "system", "systemInstruction", "system_instruction",
    "preamble", "chat_history", "message", "texts", "query", "documents",
})  # fmt: skip
_WORDS = re.compile(r"\w+")
_OTLP_REQUEST = "gen_ai.request."


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two: its row, what was asked, what was said, and its spans as a tree."""

    span: JSON
    request: Mapping[str, Any]
    messages: Mapping[str, Sequence[JSON]]  # {"input", "output"}
    messages_of: str  # the id of the span that said it
    roots: Sequence[JSON] = ()
    trace: JSON | None = None  # the summary of the whole trace, where more than the span is compared


@dataclass(slots=True)
class _Notes:
    sentences: list[str] = field(default_factory=list)

    def say(self, sentence: str) -> None:
        if sentence not in self.sentences:
            self.sentences.append(sentence)


def diff(a: Side, b: Side) -> JSON:
    """Compare two calls or traces."""
    notes = _Notes()
    messages = _messages(a, b, notes)
    spans = diff_spans(a.roots, b.roots)
    if spans["is_coarse"]:
        notes.say("There are so many spans that only the first of each side were compared.")
    return {
        "a": a.span,
        "b": b.span,
        "deltas": list(deltas(a, b)),
        "parameters": diff_parameters(parameters(a), parameters(b), notes.say),
        "messages": messages,
        "spans": spans,
        "notes": notes.sentences,
    }


# ── figures ──────────────────────────────────────────────────────────────────────────────────────────────────────────

_FIGURES = (
    ("duration_ms", "ms"), ("ttft_ms", "ms"), ("prompt_tokens", "tokens"), ("cached_tokens", "tokens"),
    ("cache_write_tokens", "tokens"), ("completion_tokens", "tokens"), ("reasoning_tokens", "tokens"),
    ("total_tokens", "tokens"), ("estimated_cost", "USD"),
)  # fmt: skip
_TRACE_FIGURES = (
    ("trace_duration_ms", "duration_ms", "ms"), ("trace_tokens", "total_tokens", "tokens"),
    ("trace_cost", "total_cost", "USD"), ("span_count", "span_count", "spans"),
    ("error_count", "error_count", "errors"),
)  # fmt: skip


def deltas(a: Side, b: Side) -> Iterator[JSON]:
    """Yield the figures of both with their differences."""
    for name, unit in _FIGURES:
        yield _delta(name, unit, a.span.get(name), b.span.get(name))
    if any(side.trace is not None and side.trace["span_count"] > 1 for side in (a, b)):
        for name, column, unit in _TRACE_FIGURES:
            yield _delta(name, unit, (a.trace or {}).get(column), (b.trace or {}).get(column))


def _delta(name: str, unit: str, a: float | None, b: float | None) -> JSON:
    is_known = a is not None and b is not None
    return {
        "name": name,
        "unit": unit,
        "a": a,
        "b": b,
        "delta": round(b - a, 12) if a is not None and b is not None else None,
        "ratio": round(b / a, 6) if is_known and a and b is not None else None,
    }


# ── parameters ───────────────────────────────────────────────────────────────────────────────────────────────────────


def parameters(side: Side) -> dict[str, Any]:
    """Return what was asked for beside the messages, by the path of its name."""
    found: dict[str, Any] = {"model": side.request.get("model") or side.span.get("request_model")}
    for name, value in side.request.items():
        if name not in _MESSAGE_MEMBERS:
            _flatten(name, value, found, 1)
    return found


def _flatten(name: str, value: Any, found: dict[str, Any], depth: int) -> None:
    if name == "tools" and isinstance(value, list):
        value = {_tool_name(tool, number): tool for number, tool in enumerate(value)}
    elif not isinstance(value, dict) or not value or depth > _MAX_DEPTH:
        found[name] = value
        return
    for part, inner in value.items():
        whole = f"{name}.{part}"
        if name == "tools":
            found[whole] = inner
        else:
            _flatten(whole, inner, found, depth + 1)


def _tool_name(tool: Any, number: int) -> str:
    if isinstance(tool, dict):
        function = tool.get("function")
        name = tool.get("name") or (function.get("name") if isinstance(function, dict) else None) or tool.get("type")
        if isinstance(name, str):
            return name
    return str(number)


def diff_parameters(a: Mapping[str, Any], b: Mapping[str, Any], say: Callable[[str], None]) -> list[JSON]:
    """Return one row per parameter, those of a first, in their order."""
    names = list(dict.fromkeys([*a, *b]))
    if len(names) > MAX_PARAMETERS:
        say(f"Only the first {MAX_PARAMETERS} of {len(names)} parameters are compared.")
    return [_parameter(name, a, b) for name in names[:MAX_PARAMETERS]]


def _parameter(name: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> JSON:
    if name not in b:
        change = "removed"
    elif name not in a:
        change = "added"
    else:
        change = "same" if _is_same(a[name], b[name]) else "changed"
    return {"name": name, "change": change, "a": _shown(a.get(name)), "b": _shown(b.get(name))}


def _is_same(a: Any, b: Any) -> bool:
    return bool(a == b) and isinstance(a, bool) is isinstance(b, bool)  # 1 is not true


def _shown(value: Any) -> Any:
    if isinstance(value, (int, float, bool)) or value is None:
        return value
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return value if len(text) <= MAX_VALUE_CHARS else text[:MAX_VALUE_CHARS] + "…"


# ── messages ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Said:
    """A message made comparable."""

    part: str  # input | output
    role: str
    text: str
    words: frozenset[str]

    @property
    def kind(self) -> tuple[str, str]:
        return self.part, self.role


def _messages(a: Side, b: Side, notes: _Notes) -> JSON:
    mine, theirs = _said(a.messages, notes), _said(b.messages, notes)
    pairs, is_coarse = _align(mine, theirs)
    if is_coarse:
        notes.say("There are so many messages that they were paired in their order, not by likeness.")
    work = Work()
    rows = [_message_row(mine, theirs, pair, work, notes) for pair in pairs]
    return {"a": a.messages_of, "b": b.messages_of, "is_coarse": is_coarse, "rows": rows}


def _said(messages: Mapping[str, Sequence[JSON]], notes: _Notes) -> list[_Said]:
    listed = [(part, message) for part in ("input", "output") for message in messages.get(part, ())]
    if len(listed) > MAX_MESSAGES:
        notes.say(f"Only the last {MAX_MESSAGES} messages of a side are compared.")
        listed = listed[-MAX_MESSAGES:]
    return [_one_said(part, message, notes) for part, message in listed]


def _one_said(part: str, message: JSON, notes: _Notes) -> _Said:
    text = "\n".join(filter(None, (_part_text(one) for one in message.get("parts") or ())))
    if len(text) > MAX_MESSAGE_CHARS:
        notes.say(f"Of a message longer than {MAX_MESSAGE_CHARS:,} characters the beginning is compared.")
        text = text[:MAX_MESSAGE_CHARS]
    words = _WORDS.findall(text, 0, 16 * _MAX_WORDS_COMPARED)[:_MAX_WORDS_COMPARED]
    return _Said(part, str(message.get("role") or ""), text, frozenset(words))


def _part_text(part: JSON) -> str:
    kind = part.get("type")
    if kind in ("text", "reasoning", "refusal"):
        return str(part.get("text") or part.get("refusal") or "")
    if kind == "tool_call":
        return f"→ {part.get('name')}({part.get('arguments') or ''})"
    if kind == "tool_result":
        return str(part.get("content") or "")
    if kind == "json":
        return json.dumps(part.get("value"), ensure_ascii=False, default=str)
    told = str(part.get("url") or part.get("name") or part.get("data") or "")
    return f"[{kind}: {told if len(told) <= MAX_VALUE_CHARS else told[:200] + '…'}]"


Pair = tuple[int | None, int | None]


def _align(a: Sequence[_Said], b: Sequence[_Said]) -> tuple[list[Pair], bool]:
    """Pair the messages of both in one order; say whether they were too many to look for the likest."""
    head = 0
    while head < min(len(a), len(b)) and a[head] == b[head]:
        head += 1
    tail = 0
    while tail < min(len(a), len(b)) - head and a[-1 - tail] == b[-1 - tail]:
        tail += 1
    left, right = a[head : len(a) - tail], b[head : len(b) - tail]
    is_coarse = len(left) * len(right) > MAX_PAIRS
    middle = _in_order(left, right) if is_coarse else _by_likeness(left, right)
    shifted: list[Pair] = [(None if x is None else x + head, None if y is None else y + head) for x, y in middle]
    first: list[Pair] = [(number, number) for number in range(head)]
    last: list[Pair] = [(len(a) - number, len(b) - number) for number in range(tail, 0, -1)]
    return [*first, *shifted, *last], is_coarse


def _in_order(a: Sequence[_Said], b: Sequence[_Said]) -> list[Pair]:
    pairs: list[Pair] = []
    for number in range(max(len(a), len(b))):
        has_both = number < min(len(a), len(b))
        if has_both and a[number].kind == b[number].kind:
            pairs.append((number, number))
            continue
        if number < len(a):
            pairs.append((number, None))
        if number < len(b):
            pairs.append((None, number))
    return pairs


def _by_likeness(a: Sequence[_Said], b: Sequence[_Said]) -> list[Pair]:
    """Pair so that the sum of likenesses is greatest and no two pairs cross."""
    best = [[0.0] * (len(b) + 1) for _ in range(len(a) + 1)]
    gains = [[likeness(one, other) for other in b] for one in a]
    for x in range(len(a) - 1, -1, -1):
        for y in range(len(b) - 1, -1, -1):
            best[x][y] = max(best[x + 1][y], best[x][y + 1], gains[x][y] + best[x + 1][y + 1])
    pairs: list[Pair] = []
    x = y = 0
    while x < len(a) and y < len(b):
        if gains[x][y] and best[x][y] == gains[x][y] + best[x + 1][y + 1]:
            pairs.append((x, y))
            x, y = x + 1, y + 1
        elif best[x][y] == best[x + 1][y]:
            pairs.append((x, None))
            x += 1
        else:
            pairs.append((None, y))
            y += 1
    pairs += [(number, None) for number in range(x, len(a))]
    pairs += [(None, number) for number in range(y, len(b))]
    return pairs


def likeness(a: _Said, b: _Said) -> float:
    """Return how alike two messages are: 0 for other roles, else a little more than the share of common words."""
    return 0.0 if a.kind != b.kind else _SAME_ROLE + _similarity(a, b)


def _similarity(a: _Said, b: _Said) -> float:
    if a.text == b.text:
        return 1.0
    count = len(a.words) + len(b.words)
    return 2 * len(a.words & b.words) / count if count else 0.0


def _message_row(a: Sequence[_Said], b: Sequence[_Said], pair: Pair, work: Work, notes: _Notes) -> JSON:
    x, y = pair
    one = None if x is None else a[x]
    other = None if y is None else b[y]
    known = one or other
    assert known is not None  # a pair has at least one side
    row: JSON = {"change": "same", "role": known.role, "part": known.part, "a": x, "b": y}
    if one is not None and other is not None and one.text == other.text:
        return row | {"text": one.text[:MAX_SAME_CHARS], "is_cut": len(one.text) > MAX_SAME_CHARS}
    found = diff_texts(one.text if one else "", other.text if other else "", work)
    if found.detail != "words" and one is not None and other is not None:
        notes.say("Some messages differ so much, or are so long, that they were not compared word by word.")
    return row | {
        "change": "added" if one is None else "removed" if other is None else "changed",
        "similarity": round(_similarity(one, other), 3) if one is not None and other is not None else None,
        "detail": found.detail,
        "ops": found.ops,
    }


def request_of(body: Any, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what holds the parameters of a call: its request, else what telemetry says of it."""
    if isinstance(body, dict):
        return body
    return {
        name.removeprefix(_OTLP_REQUEST): value for name, value in attributes.items() if name.startswith(_OTLP_REQUEST)
    }
