"""Figures for charts: /api/analytics/series (over time) and /api/analytics/top (per value of a field)."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping

from llmflow_web.errors import BadRequest
from llmflow_web.net.http import ServerCall
from llmflow_web.net.router import Router, query_params
from llmflow_web.record.reading import Store, ask
from llmflow_web.store import analytics
from llmflow_web.store.analytics import Question, Range
from llmflow_web.store.query import time_bounds
from llmflow_web.wire.filter import PARAMETERS, Filter, read_flag, read_int

DEFAULT_SINCE = "7d"
MAX_SERIES = 20
MAX_ROWS = 100
_SINCE = re.compile(r"(\d{1,5})(m|min|h|d|w)")
_UNIT_MS = {"m": 60_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_TIMES = frozenset({"date_from", "date_to"})


class AnalyticsRoutes:
    """The two questions of the analytics screen."""

    def __init__(self, store: Store, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock

    def register(self, router: Router) -> None:
        """Put our routes into the table."""
        router.add("GET", "/api/analytics/series", self.series)
        router.add("GET", "/api/analytics/top", self.top)

    async def series(self, call: ServerCall) -> None:
        """Answer with figures over time, whole and by the values of a field."""
        params = query_params(call)
        by = _choice(params, "by", analytics.SPLITS) if params.get("by") else None
        limit = read_int(params, "limit", 8, 1, MAX_SERIES)
        question = question_of(params, by, limit, self._now_ms)
        call.respond_json(200, await ask(self._store, call, analytics.series, question))

    async def top(self, call: ServerCall) -> None:
        """Answer with the largest values of a field."""
        params = query_params(call)
        by = _choice(params, "by", analytics.SPLITS)
        question = question_of(params, by, read_int(params, "limit", 20, 1, MAX_ROWS), self._now_ms)
        call.respond_json(200, await ask(self._store, call, analytics.top, question))

    @property
    def _now_ms(self) -> int:
        return int(self._clock() * 1000)


def question_of(params: Mapping[str, str], by: str | None, limit: int, now_ms: int) -> Question:
    """Read what is asked. Raises BadRequest."""
    chosen = Filter.from_query(params)
    begin, end = time_bounds(chosen, now_ms)
    end = now_ms if end is None else end
    if params.get("since") or begin is None:
        begin = max(end - _since_ms(params.get("since") or DEFAULT_SINCE), begin or 0)
    interval = _choice(params, "interval", analytics.INTERVALS, "auto")
    is_exact = read_flag(params, "exact")
    return Question(
        chosen=Filter(tuple(term for term in chosen.terms if term.field != "timestamp" or term.is_negated)),
        asked={name: text for name, text in params.items() if name in PARAMETERS - _TIMES and text},
        range=Range.exactly(begin, end) if is_exact else Range.over(begin, end, interval),
        by=by,
        limit=limit,
        sort=_choice(params, "sort", analytics.SORTS, "cost"),
        fields=_fields(params.get("fields", "")),
        is_exact=is_exact,
    )


def _choice(params: Mapping[str, str], name: str, choices: tuple[str, ...], default: str = "") -> str:
    word = params.get(name) or default
    if word not in choices:
        raise BadRequest(f"{name} must be one of {', '.join(choices)}; got {word[:40]!r}")
    return word


def _fields(text: str) -> frozenset[str]:
    names = frozenset(name for name in text.split(",") if name)
    unknown = sorted(names - set(analytics.FIGURES))
    if unknown:
        raise BadRequest(f"fields are of {', '.join(analytics.FIGURES)}; got {unknown[0][:40]!r}")
    return names


def _since_ms(text: str) -> int:
    found = _SINCE.fullmatch(text)
    if found is None:
        raise BadRequest(f"since must be a time such as 15m, 24h, 7d or 4w; got {text[:40]!r}")
    return int(found[1]) * _UNIT_MS[found[2]]
