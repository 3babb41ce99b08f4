"""Calls as lines: the table of `ls`, the lines of `tail`. Pure; the time zone is the machine's."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from llmflow_web.app.cli.cells import Cell, Column, Paint, clean, cut, pad, table, width_of
from llmflow_web.console import short_cost, short_count, short_duration

SHORT_ID = 8
MAX_ID = 40
_COLUMNS = (
    Column("ID"),
    Column("TIME"),
    Column("CALL", least=14),
    Column("ST", is_right=True),
    Column("TOKENS", is_right=True),
    Column("COST", is_right=True),
    Column("TOOK", is_right=True),
    Column("PROMPT", least=10),
)
_TAIL_CALL = 16
_DATE = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8})$")


def call_lines(rows: Sequence[Mapping[str, Any]], width: int, paint: Paint, now_s: float) -> list[str]:
    """Return the table of `ls`."""
    length = id_length([str(row["id"]) for row in rows])
    is_dated = any(not _is_today(row.get("timestamp"), now_s) for row in rows)
    return table(_COLUMNS, [_cells(row, length, is_dated=is_dated) for row in rows], width, paint)


def id_length(ids: Sequence[str]) -> int:
    """Return how many characters of these ids tell them apart, at least SHORT_ID."""
    for length in range(SHORT_ID, MAX_ID):
        if len({one[:length] for one in ids}) == len(set(ids)):
            return length
    return MAX_ID


def _cells(row: Mapping[str, Any], id_chars: int, *, is_dated: bool) -> list[Cell]:
    _, style = outcome(row)
    tokens, cost = whole_figures(row)
    text, text_style = what(row)
    return [
        Cell(str(row["id"])[:id_chars], "dim"),
        Cell(time_of(row.get("timestamp"), is_dated=is_dated), "dim"),
        Cell(call_name(row), "cyan"),
        Cell(outcome(row)[0], style),
        Cell(("~" if row.get("is_estimated") and tokens else "") + (short_count(tokens) if tokens else "-")),
        Cell(cost),
        Cell(short_duration(row.get("duration_ms"))),
        Cell(text, text_style),
    ]


def tail_line(row: Mapping[str, Any], width: int, paint: Paint) -> str:
    """Return one call as a line of `tail`; its columns are of fixed width, so that lines stand below one another."""
    word, style = outcome(row)
    tokens, cost = whole_figures(row)
    text, text_style = what(row)
    figures = f"{short_count(tokens) if tokens else '-':>6}  {cost:>8}  {short_duration(row.get('duration_ms')):>6}"
    name = pad(cut(clean(call_name(row)), _TAIL_CALL), _TAIL_CALL)
    left = width - 8 - 2 - SHORT_ID - 2 - _TAIL_CALL - 2 - 3 - 2 - width_of(figures) - 2
    parts = [
        paint(time_of(row.get("timestamp"), is_dated=False), "dim"),
        paint(pad(clean(str(row["id"]))[:SHORT_ID], SHORT_ID), "dim"),
        paint(name, "cyan"),
        paint(f"{word:>3}", style),
        figures,
        paint(cut(clean(text), left), text_style) if left >= 8 else "",
    ]
    return "  ".join(parts).rstrip()


def call_name(row: Mapping[str, Any]) -> str:
    """Return what a row is called: its model, else its name or path; how many spans there are behind it."""
    name = row.get("model") if row.get("span_type") in (None, "llm", "embedding", "rerank") else None
    name = name or row.get("span_name") or row.get("request_path") or row.get("span_type") or "?"
    count = row.get("span_count") or 1
    short = _DATE.sub("", str(name))  # the day a model is of: `show` has it
    return f"{cut(short, 11)} +{count - 1}" if row.get("is_root") and count > 1 else short


def outcome(row: Mapping[str, Any]) -> tuple[str, str]:
    """Return how a call ended, in at most three characters, and its colour."""
    if row.get("running"):
        return "run", "yellow"
    status = row.get("status")
    if status is None:
        return ("err", "red") if row.get("error") else ("ok", "green")
    return str(status), "red" if status >= 400 else "green"


def whole_figures(row: Mapping[str, Any]) -> tuple[int, str]:
    """Return tokens and cost of a row; of the first of a trace those of the whole."""
    is_whole = row.get("is_root") and (row.get("span_count") or 1) > 1
    tokens = row.get("trace_tokens") if is_whole else row.get("total_tokens")
    if row.get("running"):
        return 0, "-"
    if is_whole:
        mark = "+?" if row.get("trace_unpriced") else ""
        return tokens or 0, short_cost(row.get("trace_cost") or 0.0) + mark if tokens or mark else "-"
    if not row.get("estimated_cost") and not tokens:
        return 0, "-"
    return tokens or 0, short_cost(row.get("estimated_cost"))


def what(row: Mapping[str, Any]) -> tuple[str, str]:
    """Return what is told of a call beside its figures: its error, else the end of what was asked."""
    status = row.get("status")
    if row.get("error") and (status is None or status >= 400):
        return str(row["error"]), "red"
    return str(row.get("preview_in") or ""), ""


def time_of(timestamp_ms: Any, *, is_dated: bool) -> str:
    """Return the time of day, with the day before it where that is wanted."""
    if not isinstance(timestamp_ms, int | float):
        return "-"
    moment = time.localtime(timestamp_ms / 1000)
    return time.strftime("%m-%d %H:%M" if is_dated else "%H:%M:%S", moment)


def _is_today(timestamp_ms: Any, now_s: float) -> bool:
    if not isinstance(timestamp_ms, int | float):
        return True
    return time.localtime(timestamp_ms / 1000)[:3] == time.localtime(now_s)[:3]
