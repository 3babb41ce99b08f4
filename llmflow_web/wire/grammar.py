"""The text of the filter box, read into terms: `plan -draft "two words" model:gpt-4o cost>0.01 since:15m`.

Nothing that is typed is an error: a word that is not understood is searched as text, and a note says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from llmflow_web.errors import BadRequest
from llmflow_web.model import SPAN_TYPES
from llmflow_web.wire.filter import Ago, Filter, Op, Term, Value, read_moment, read_status

MAX_TERMS = 50

FIELDS: dict[str, str] = {
    "model": "model",
    "provider": "provider",
    "status": "status",
    "name": "span_name",
    "session": "session_id",
    "conversation": "conversation_id",
    "user": "user_id",
    "tag": "tag",
    "source": "source",
    "kind": "span_type",
    "type": "span_type",
    "span": "id",
    "trace": "trace_id",
    "service": "service_name",
    "tool": "tool",
    "prompt": "prompt_name",
    "operation": "operation",
    "finish": "finish_reason",
    "agent": "agent_name",
    "has": "has",
    "cost": "estimated_cost",
    "duration": "duration_ms",
    "ttft": "ttft_ms",
    "tokens": "total_tokens",
    "spans": "span_count",
    "errors": "error_count",
    "since": "timestamp",
    "before": "timestamp",
    "is": "roots",
}  # fmt: skip
"""Words of the box → fields of a term. A field may also be written by its own name (`session_id:abc`)."""

_ALL_FIELDS = {**FIELDS, **{field: field for field in FIELDS.values() if field not in ("roots", "timestamp")}}

_TOKEN = re.compile(
    r"""
    (?P<minus>-?)
    (?:
      "(?P<phrase>[^"]*)(?:"|$)
    | (?P<field>[a-z_]+)(?P<op>>=|<=|[:=<>])
      (?: \((?P<group>[^()]*)\)(?=\s|$) | "(?P<quoted>[^"]*)" (?=\s|$) | (?P<value>[^\s"]\S*) )
    | (?P<word>\S+)
    )
    """,
    re.VERBOSE | re.IGNORECASE,
)
_NUMBER = re.compile(r"\$?(\d+(?:\.\d*)?|\.\d+)([a-z]*)", re.IGNORECASE)
_MILLISECONDS = {"": 1.0, "ms": 1.0, "s": 1000.0, "m": 60_000.0, "min": 60_000.0, "h": 3_600_000.0}
_COUNTS = {"": 1.0, "k": 1e3, "m": 1e6}
_SECONDS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_HAS = ("tool", "image", "error", "cost")
_SOURCES = ("proxy", "passthrough", "otlp", "sdk", "import")


@dataclass(frozen=True, slots=True)
class _Bad(Exception):
    why: str


def parse_words(text: str) -> tuple[Term, ...]:
    """Read free text: words, "phrases" and -negations; nothing else has a meaning here."""
    terms = []
    for match in _WORDS.finditer(text):
        is_negated = bool(match["minus"])
        if match["phrase"] is not None:
            terms += _text("phrase", match["phrase"], is_negated=is_negated)
        else:
            terms += _text("word", match["word"], is_negated=is_negated)
    return tuple(terms[:MAX_TERMS])


_WORDS = re.compile(r'(?P<minus>-?)(?:"(?P<phrase>[^"]*)(?:"|$)|(?P<word>\S+))')


def parse_filter(text: str) -> Filter:
    """Read the whole grammar."""
    terms: list[Term] = []
    notes: list[str] = []
    for match in _TOKEN.finditer(text):
        try:
            terms += _read(match)
        except _Bad as bad:
            terms += _text("phrase", match[0].removeprefix("-"), is_negated=bool(match["minus"]))
            notes.append(f"“{match[0]}” was searched as text: {bad.why}.")
    if len(terms) > MAX_TERMS:
        notes.append(f"Only the first {MAX_TERMS} terms were used.")
    return Filter(tuple(terms[:MAX_TERMS]), tuple(notes))


def _text(kind: str, text: str, *, is_negated: bool) -> list[Term]:
    text = text.strip()
    return [Term(kind, "=", (text,), is_negated)] if text else []


def _read(match: re.Match[str]) -> list[Term]:
    is_negated = bool(match["minus"])
    if match["phrase"] is not None:
        return _text("phrase", match["phrase"], is_negated=is_negated)
    if match["word"] is not None:
        return _text("word", match["word"], is_negated=is_negated)
    name = match["field"].lower()
    field = _ALL_FIELDS.get(name)
    if field is None:
        raise _Bad(f"there is no field “{name}”")
    values = _values(match)
    op: Op = "=" if match["op"] == ":" else match["op"]  # type: ignore[assignment] # the pattern admits no other
    reader = _READERS.get(field, _read_text)
    return [reader(_Written(name, field, op, values, is_negated))]


def _values(match: re.Match[str]) -> tuple[str, ...]:
    if match["group"] is not None:
        values = tuple(value.strip().strip('"') for value in match["group"].split("|"))
    else:
        values = (match["quoted"] if match["quoted"] is not None else match["value"],)
    if not all(values):
        raise _Bad("a value is missing")
    return values


@dataclass(frozen=True, slots=True)
class _Written:
    name: str
    field: str
    op: Op
    values: tuple[str, ...]
    is_negated: bool

    def term(self, *values: Value | Ago, op: Op | None = None, is_pattern: bool = False) -> Term:
        return Term(self.field, op or self.op, values, self.is_negated, is_pattern)


def _only_equal(written: _Written) -> None:
    if written.op != "=":
        raise _Bad(f"{written.name} is compared with : only")


def _read_text(written: _Written) -> Term:
    _only_equal(written)
    return written.term(*written.values, is_pattern=True)


def _read_status(written: _Written) -> Term:
    _only_equal(written)
    try:
        return written.term(*map(read_status, written.values))
    except BadRequest as error:
        raise _Bad(error.message) from None


def _one_of(choices: tuple[str, ...]) -> Callable[[_Written], Term]:
    def read(written: _Written) -> Term:
        _only_equal(written)
        wrong = [value for value in written.values if value.lower() not in choices]
        if wrong:
            raise _Bad(f"{written.name} is one of {', '.join(choices)}")
        return written.term(*(value.lower() for value in written.values))

    return read


def _read_roots(written: _Written) -> Term:
    if written.op != "=" or written.values != ("root",):
        raise _Bad("is: knows only root")
    return written.term(1)


def _number_with(units: dict[str, float], example: str) -> Callable[[_Written], Term]:
    def read(written: _Written) -> Term:
        numbers = []
        for value in written.values:
            match = _NUMBER.fullmatch(value)
            factor = units.get(match[2].lower()) if match else None
            if match is None or factor is None:
                raise _Bad(f"{written.name} wants a number such as {example}")
            numbers.append(float(match[1]) * factor)
        return written.term(*numbers)

    return read


def _read_time(written: _Written) -> Term:
    if written.op != "=" or len(written.values) != 1:
        raise _Bad(f"{written.name} is written {written.name}:15m or {written.name}:2026-11-01")
    op: Op = ">=" if written.name == "since" else "<"
    text = written.values[0]
    match = _NUMBER.fullmatch(text)
    if match is not None and match[2].lower() in _SECONDS:
        return written.term(Ago(float(match[1]) * _SECONDS[match[2].lower()]), op=op)
    try:
        return written.term(read_moment(written.name, text), op=op)
    except BadRequest as error:
        raise _Bad(error.message) from None


_READERS: dict[str, Callable[[_Written], Term]] = {
    "status": _read_status,
    "source": _one_of(_SOURCES),
    "span_type": _one_of(SPAN_TYPES),
    "has": _one_of(_HAS),
    "roots": _read_roots,
    "estimated_cost": _number_with({"": 1.0}, "0.01"),
    "duration_ms": _number_with(_MILLISECONDS, "2s"),
    "ttft_ms": _number_with(_MILLISECONDS, "800ms"),
    "total_tokens": _number_with(_COUNTS, "10k"),
    "span_count": _number_with(_COUNTS, "20"),
    "error_count": _number_with(_COUNTS, "1"),
    "timestamp": _read_time,
}
