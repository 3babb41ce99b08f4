"""What `doctor` found, for a reader: one line a finding, how to mend it below, and what is stored. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llmflow_web.app.cli.cells import Cell, Column, Paint, clean, pad, table, wrap
from llmflow_web.app.cli.prune import size_text
from llmflow_web.console import iso_time

JSON = Mapping[str, Any]

_STYLES = {"ok": "green", "warn": "yellow", "fail": "red"}
_NAME = 10
_PART_COLUMNS = (
    Column("STORED"),
    Column("COUNT", is_right=True),
    Column("SIZE", is_right=True),
    Column("AS SENT", is_right=True),
)


def doctor_lines(found: JSON, width: int, paint: Paint) -> list[str]:
    """Return all findings, what is stored, and the sum of it."""
    lines = [line for finding in found["findings"] for line in _finding(finding, width, paint)]
    if found["storage"]:
        lines += ["", *storage_lines(found["storage"], width, paint)]
    levels = [finding["level"] for finding in found["findings"]]
    bad = [
        f"{levels.count(level)} {word}"
        for level, word in (("fail", "failed"), ("warn", "to look at"))
        if level in levels
    ]
    return [
        *lines,
        "",
        paint(", ".join(bad), _STYLES["fail" if "fail" in levels else "warn"]) if bad else "All is well.",
    ]


def _finding(finding: JSON, width: int, paint: Paint) -> list[str]:
    level = finding["level"]
    first, *more = wrap(clean(finding["text"]), width - 6 - _NAME - 2)
    lead = " " * (6 + _NAME)
    lines = [
        paint(pad(level, 6), _STYLES[level]) + pad(finding["check"], _NAME) + first,
        *(lead + line for line in more),
    ]
    if finding["fix"]:
        lines += [lead + paint(line, "dim") for line in wrap("→ " + clean(finding["fix"]), width - 6 - _NAME - 2)]
    return lines


def storage_lines(storage: JSON, width: int, paint: Paint) -> list[str]:
    """Return what is stored: rows, since when, and the bytes of each kind."""
    rows: list[Sequence[Cell]] = [
        [Cell(part["part"]), Cell(f"{part['count']:,}"), Cell(size_text(part["stored"])), Cell(size_text(part["size"]))]
        for part in storage["parts"]
    ]
    file = storage["file"]
    beside = max(0, file["used"] - storage["bodies"])
    rows.append([Cell("rows, indexes"), Cell(f"{storage['spans']:,}"), Cell(size_text(beside)), Cell("")])
    told = [f"{storage['spans']:,} spans in {storage['traces']:,} traces"]
    told += [
        f"{storage[name]:,} {word}" for name, word in (("logs", "logs"), ("metrics", "data points")) if storage[name]
    ]
    since = "" if storage["oldest"] is None else f", from {_moment(storage['oldest'])} to {_moment(storage['newest'])}"
    return [
        *wrap(f"{', '.join(told)}{since}.", width),
        f"{size_text(file['used'])} in use of a file of {size_text(file['size'])}.",
        "",
        *table(_PART_COLUMNS, rows, width, paint),
    ]


def _moment(timestamp_ms: int) -> str:
    return iso_time(timestamp_ms / 1000)[:16].replace("T", " ")
