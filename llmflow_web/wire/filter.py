"""What a list is asked for, as values: a Filter is terms that must all hold, a Page is which part of the list.

No SQL and no clock: the store compiles a Filter, the live screen asks `matches`. The text grammar is in `grammar`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any, Literal

from llmflow_web.errors import BadRequest
from llmflow_web.model import JSON

Op = Literal["=", "<", "<=", ">", ">="]
Value = str | float | int

MAX_LIMIT = 1000
DEFAULT_LIMIT = 50
MAX_VALUE_LENGTH = 1000
_PASSTHROUGH = "-passthrough"


@dataclass(frozen=True, slots=True)
class Ago:
    """A moment told from now: `since:15m`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Term:
    """One condition. Several values mean any of them; `*` in a value is a wildcard when `is_pattern`."""

    field: str
    op: Op
    values: tuple[Value | Ago, ...]
    is_negated: bool = False
    is_pattern: bool = False


TEXT_FIELDS = frozenset({
    "id", "trace_id", "model", "provider", "source", "service_name", "span_name", "session_id", "conversation_id",
    "user_id", "tag", "span_type", "tool", "prompt_name", "operation", "finish_reason", "agent_name", "request_model",
})  # fmt: skip
NUMBER_FIELDS = frozenset({"estimated_cost", "duration_ms", "ttft_ms", "total_tokens", "span_count", "error_count"})
# Besides them: status, timestamp (ms), roots, joined, has, word and phrase (free text).

_EXACT_PARAMS = (
    "model", "provider", "session_id", "conversation_id", "tag", "source", "user_id", "span_type", "trace_id", "tool",
    "prompt_name", "service_name",
)  # fmt: skip
PARAMETERS = frozenset({
    *_EXACT_PARAMS, "status", "date_from", "date_to", "cost_min", "cost_max", "roots", "q", "filter",
})  # fmt: skip
"""What `Filter.from_query` reads; everything else of a query is somebody else's."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Conditions that must all hold; `notes` say what of a text could not be understood."""

    terms: tuple[Term, ...] = ()
    notes: tuple[str, ...] = ()

    @staticmethod
    def from_query(params: Mapping[str, str]) -> Filter:
        """Read a filter from a request's query.

        Raises:
            BadRequest: A parameter is nonsense; the sentence names it.
        """
        from llmflow_web.wire.grammar import parse_filter, parse_words

        terms = [
            Term(name, "=", (_plain(name, params[name]),)) for name in _EXACT_PARAMS if params.get(name)
        ]  # an empty parameter is one not given: forms send those
        if params.get("status"):
            terms.append(Term("status", "=", (read_status(params["status"]),)))
        terms += _bounds(params)
        if read_flag(params, "roots"):
            terms.append(Term("roots", "=", (1,)))
        if params.get("joined"):
            terms.append(Term("joined", "=", (int(read_flag(params, "joined")),)))
        words = parse_words(_plain("q", params.get("q", "")))
        written = parse_filter(_plain("filter", params.get("filter", "")))
        return Filter((*terms, *words, *written.terms), written.notes)

    @staticmethod
    def from_object(value: Any) -> Filter | None:
        """Read a filter from JSON: an object whose members are the parameters of a query; null is none.

        Raises:
            BadRequest: It is no filter; the sentence says why.
        """
        if value is None:
            return None
        if not isinstance(value, dict) or not all(isinstance(one, (str, int, float)) for one in value.values()):
            raise BadRequest("filter must be an object of the parameters of GET /api/traces")
        return Filter.from_query({name: str(one) for name, one in value.items()})

    @property
    def is_empty(self) -> bool:
        """Say whether everything passes."""
        return not self.terms

    def matches(self, row: Mapping[str, Any], now_ms: float) -> bool:
        """Say whether a list element passes. Free text is looked for in what the element shows, not in bodies."""
        return all(_holds(term, row, now_ms) != term.is_negated for term in self.terms)


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list: `cursor` (opaque) or `offset`, and the order."""

    limit: int = DEFAULT_LIMIT
    offset: int = 0
    cursor: str | None = None
    sort: str = "-time"  # a leading "-" is descending
    after: int | None = None  # rows written or changed since this change number

    @staticmethod
    def from_query(params: Mapping[str, str]) -> Page:
        """Read a page from a request's query.

        Raises:
            BadRequest: A parameter is nonsense; the sentence names it.
        """
        sort = params.get("sort") or "-time"
        if sort.removeprefix("-") not in SORTS:
            raise BadRequest(f"sort must be one of {', '.join(SORTS)}, with a leading - for descending; got {sort!r}")
        cursor = params.get("cursor") or None
        if cursor is not None:
            read_cursor(cursor)
        after = params.get("after")
        return Page(
            limit=read_int(params, "limit", DEFAULT_LIMIT, 1, MAX_LIMIT),
            offset=read_int(params, "offset", 0, 0, 2**53),
            cursor=cursor,
            sort=sort,
            after=read_int(params, "after", 0, 0, 2**63 - 1) if after else None,
        )


SORTS = ("time", "duration", "cost", "tokens")


def make_cursor(*numbers: int) -> str:
    """Return the opaque text that names a place in a list."""
    return base64.urlsafe_b64encode(":".join(map(str, numbers)).encode()).decode().rstrip("=")


def read_cursor(text: str) -> tuple[int, ...]:
    """Return the numbers of a cursor we made.

    Raises:
        BadRequest: It is not one of ours.
    """
    try:
        raw = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        numbers = tuple(int(part) for part in raw.split(b":"))
    except (ValueError, binascii.Error):
        raise BadRequest("cursor is not one this server gave") from None
    if len(numbers) not in (1, 2) or any(abs(number) >= 2**63 for number in numbers):
        raise BadRequest("cursor is not one this server gave")
    return numbers


def read_int(params: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    """Return a whole number of the query.

    Raises:
        BadRequest: It is not one, or out of range.
    """
    text = params.get(name)
    if not text:
        return default
    if not re.fullmatch(r"-?\d{1,19}", text) or not low <= int(text) <= high:
        limits = f"from {low} to {high}" if high < 2**53 else f"of at least {low}"
        raise BadRequest(f"{name} must be a whole number {limits}; got {text[:40]!r}")
    return int(text)


def read_status(text: str) -> Value:
    """Return "ok", "error", "4xx"-like classes or a status code.

    Raises:
        BadRequest: It is none of these.
    """
    word = text.strip().lower()
    if word in ("error", "ok", "success"):
        return "ok" if word == "success" else word
    if re.fullmatch(r"[1-5]xx", word):
        return word
    if re.fullmatch(r"\d{3}", word):
        return int(word)
    raise BadRequest(f"status must be ok, success, error, a code such as 429 or a class such as 5xx; got {text[:40]!r}")


def read_moment(name: str, text: str) -> int:
    """Return milliseconds from a number of them or an ISO 8601 date (UTC unless it says otherwise).

    Raises:
        BadRequest: It is neither.
    """
    if re.fullmatch(r"\d{1,15}(\.\d+)?", text):
        return int(float(text))
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise BadRequest(f"{name} must be milliseconds since 1970 or an ISO date; got {text[:40]!r}") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)


def _plain(name: str, text: str) -> str:
    if len(text) > MAX_VALUE_LENGTH:
        raise BadRequest(f"{name} may have at most {MAX_VALUE_LENGTH} characters")
    if "\x00" in text or any("\ud800" <= char <= "\udfff" for char in text):
        raise BadRequest(f"{name} is not valid text")
    return text


def read_flag(params: Mapping[str, str], name: str) -> bool:
    """Return a yes or no of the query; no when it is not given.

    Raises:
        BadRequest: It is neither.
    """
    text = params.get(name, "").lower()
    if text not in ("", "0", "1", "true", "false"):
        raise BadRequest(f"{name} must be 1 or 0; got {text[:40]!r}")
    return text in ("1", "true")


def _bounds(params: Mapping[str, str]) -> list[Term]:
    terms = []
    for name, op in _DATES.items():
        if params.get(name):
            terms.append(Term("timestamp", op, (read_moment(name, params[name]),)))
    for name, op in _COSTS.items():
        if params.get(name):
            terms.append(Term("estimated_cost", op, (_read_cost(name, params[name]),)))
    return terms


_DATES: dict[str, Op] = {"date_from": ">=", "date_to": "<="}
_COSTS: dict[str, Op] = {"cost_min": ">=", "cost_max": "<="}


def _read_cost(name: str, text: str) -> float:
    if not re.fullmatch(r"\d{1,12}(\.\d{0,15})?|\.\d{1,15}|\d(\.\d+)?e-\d{1,2}", text):
        raise BadRequest(f"{name} must be an amount in USD such as 0.01; got {text[:40]!r}")
    return float(text)


def _holds(term: Term, row: Mapping[str, Any], now_ms: float) -> bool:
    special = _SPECIAL.get(term.field)
    if special is not None:
        return any(special(value, row) for value in term.values)
    if term.field in TEXT_FIELDS:
        return any(_is_text(term, str(value), row) for value in term.values)
    have = row.get(term.field)
    return have is not None and any(_compare(have, term.op, _number(value, now_ms)) for value in term.values)


def _is_text(term: Term, value: str, row: Mapping[str, Any]) -> bool:
    if term.field == "provider" and value.endswith(_PASSTHROUGH):
        return row.get("provider") == value.removesuffix(_PASSTHROUGH) and row.get("source") == "passthrough"
    if term.field == "prompt_name":
        return _is_prompt(term, value, row)
    have = row.get("tags", ()) if term.field == "tag" else (row.get(term.field),)
    return _is_one(term, value, have)


def _is_prompt(term: Term, value: str, row: Mapping[str, Any]) -> bool:
    """Compare a name, a fingerprint with its mark, or either with `@` and a version."""
    if term.is_pattern and "*" in value:
        return _is_one(term, value, (row.get("prompt_key" if value.startswith("~") else "prompt_name"),))
    prompt = row.get("prompt_name") or row.get("prompt_key")
    version = row.get("prompt_version") or row.get("prompt_hash")
    return prompt is not None and value in (prompt, f"{prompt}@{version}")


def _is_one(term: Term, value: str, have: Sequence[Any]) -> bool:
    if term.is_pattern and "*" in value:
        pattern = value.lower().replace("[", "[[]").replace("?", "[?]")
        return any(text is not None and fnmatchcase(text.lower(), pattern) for text in have)
    return value in have


def _number(value: Value | Ago, now_ms: float) -> float:
    return now_ms - value.seconds * 1000 if isinstance(value, Ago) else float(value)


def _compare(have: float, op: Op, want: float) -> bool:
    return _COMPARISONS[op](have, want)


_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "=": lambda a, b: a == b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def _is_status(value: Value | Ago, row: Mapping[str, Any]) -> bool:
    status = row.get("status")
    if value == "ok":
        return status is None or status < 400
    if value == "error":
        return status is not None and status >= 400
    if isinstance(value, str):
        return status is not None and status // 100 == int(value[0])
    return bool(status == value)


def _has(value: Value | Ago, row: Mapping[str, Any]) -> bool:
    if value == "error":
        return _is_status("error", row)
    if value == "cost":
        return row.get("estimated_cost") is not None
    return value in row.get("has", ())


_SHOWN = ("preview_in", "preview_out", "span_name", "model", "error")


def _shows(value: Value | Ago, row: Mapping[str, Any]) -> bool:
    wanted = str(value).lower()
    return any(wanted in row[name].lower() for name in _SHOWN if row.get(name))


_SPECIAL: dict[str, Callable[[Value | Ago, JSON | Mapping[str, Any]], bool]] = {
    "status": _is_status,
    "has": _has,
    "word": _shows,
    "phrase": _shows,
    "roots": lambda _, row: bool(row.get("is_root")),
    "joined": lambda value, row: (row.get("joined_to") is not None) == bool(value),
}
