"""What `llmflow run` tells at the end: for the terminal, as Markdown, JSON and JUnit XML. Pure: values in, text out.

Names of models come from outside: they are escaped for each form, so that none can add a row, a tag or a colour.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape as html_text
from typing import Any

from llmflow_web.console import escape, iso_time, short_cost, short_count, short_duration, table
from llmflow_web.store.lately import Lately, ModelLine, percentile
from llmflow_web.version import VERSION

FORMATS = ("md", "json", "junit")
MAX_NAME_CHARS = 80
MAX_ERROR_CHARS = 300

_COLUMNS = ("provider", "model", "calls", "errors", "in", "out", "cost", "p50", "p95")
_NUMBERS = frozenset(range(2, 9))
_MARKS = re.compile(r"([\\`*_{}\[\]#|~$])")
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Limit:
    """One cap of the run."""

    name: str  # max_cost
    allowed: float
    used: float
    is_exceeded: bool
    refused: int = 0  # calls that were not let through

    @property
    def told(self) -> str:
        """The cap in words, with what went beyond it."""
        show = _money if self.name == "max_cost" else _count
        text = f"{self.name}: {show(self.used)} of {show(self.allowed)}"
        if self.used > self.allowed:
            text += f", {show(self.used - self.allowed)} over"
        if self.refused:
            text += f"; {_calls(self.refused)} refused"
        return text


@dataclass(frozen=True, slots=True)
class Outcome:
    """A run, once it is over."""

    command: Sequence[str]
    exit_code: int  # what `llmflow run` ends with
    command_exit_code: int
    started: float  # seconds since 1970
    duration_s: float
    lately: Lately
    limits: Sequence[Limit] = ()
    notes: Sequence[str] = field(default=())

    @property
    def totals(self) -> ModelLine:
        """All models as one."""
        total = ModelLine("", "")
        for line in self.lately.lines:
            for name in _SUMMED:
                setattr(total, name, getattr(total, name) + getattr(line, name))
            total.durations_ms.extend(line.durations_ms)
        return total

    @property
    def unpriced(self) -> str | None:
        """Which calls are missing from the cost; None where none is."""
        missing = [line for line in self.lately.lines if line.unpriced]
        if not missing:
            return None
        named = ", ".join(f"{_calls(line.unpriced)} of {_short(line.model) or 'no model'}" for line in missing)
        return f"no price is known for {named}: missing from the cost"


_SUMMED = (
    "calls", "errors", "prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "cost", "unpriced",
    "estimated",
)  # fmt: skip


def write(form: str, outcome: Outcome) -> str:
    """Write the report in one of FORMATS."""
    return {"md": markdown, "json": as_json, "junit": junit}[form](outcome)


# ── the terminal ─────────────────────────────────────────────────────────────────────────────────────────────────────


def text(outcome: Outcome) -> str:
    """Write the table and what is to be said of it, a sentence a line."""
    rows = _rows(outcome)
    lines = [table(_COLUMNS, rows, right=_NUMBERS)] if rows else ["no calls were recorded"]
    return "\n".join(lines + [escape(one) for one in _sentences(outcome)])


def _rows(outcome: Outcome) -> list[tuple[str, ...]]:
    lines = list(outcome.lately.lines)
    rows = [(line.provider or "-", _short(line.model) or "-", *_figures(line)) for line in lines]
    return [*rows, ("total", "", *_figures(outcome.totals))] if rows else []


def _figures(line: ModelLine) -> tuple[str, ...]:
    return (
        str(line.calls),
        str(line.errors),
        short_count(line.prompt_tokens),
        short_count(line.completion_tokens),
        _cost(line),
        short_duration(percentile(line.durations_ms, 0.5)),
        short_duration(percentile(line.durations_ms, 0.95)),
    )


def _cost(line: ModelLine) -> str:
    if line.unpriced and not line.cost:
        return "?"
    return short_cost(line.cost) + (" + ?" if line.unpriced else "")


def _sentences(outcome: Outcome) -> list[str]:
    found = [("exceeded " if limit.is_exceeded else "") + limit.told for limit in outcome.limits]
    if outcome.unpriced:
        found.append(outcome.unpriced)
    return [*found, *outcome.notes]


def _short(name: str) -> str:
    return name if len(name) <= MAX_NAME_CHARS else name[: MAX_NAME_CHARS - 1] + "…"


def _calls(count: int) -> str:
    return f"{count} call" if count == 1 else f"{count} calls"


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _money(value: float) -> str:
    return f"${value:.4f}" if value >= 0.01 or not value else f"${value:.6f}"


# ── Markdown ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def markdown(outcome: Outcome) -> str:
    """Write a section for a job summary or a pull request."""
    total = outcome.totals
    verdict = "ended with 0" if outcome.exit_code == 0 else f"ended with {outcome.exit_code}"
    figures = f"{_calls(total.calls)}, {total.errors} failed, {short_count(total.total_tokens)} tokens, {_cost(total)}"
    lines = ["### LLM calls", "", f"`llmflow run` {verdict}: {md_text(figures)}"]
    rows = _rows(outcome)
    if rows:
        lines += ["", _md_row(_COLUMNS), "|" + "|".join("---:" if i in _NUMBERS else "---" for i in range(9)) + "|"]
        lines += [_md_row(row) for row in rows]
    sentences = _sentences(outcome)
    if sentences:
        lines += ["", *(f"- {md_text(one)}" for one in sentences)]
    if outcome.lately.failures:
        lines += ["", "<details><summary>Failed calls</summary>", ""]
        lines += [f"- {md_text(_failure(one))}" for one in outcome.lately.failures]
        lines += ["", "</details>"]
    return "\n".join(lines) + "\n"


def _md_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(md_text(cell) for cell in cells) + " |"


def md_text(value: str) -> str:
    """Write text so that Markdown shows it as it is: no link, tag, mention, or end of a cell."""
    shown = escape(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    shown = _MARKS.sub(r"\\\1", shown)
    return shown.replace("://", "&#58;//").replace("@", "&#64;").replace("www.", "www&#46;")


def _failure(one: Any) -> str:
    status = "" if one.status is None else f" {one.status}"
    error = " ".join(one.error.split())[:MAX_ERROR_CHARS]
    return f"{one.provider} {_short(one.model)}{status} {error}".strip()


# ── JSON ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def as_json(outcome: Outcome) -> str:
    """Write all figures, unrounded."""
    value = {
        "llmflow": VERSION,
        "command": list(outcome.command),
        "exit_code": outcome.exit_code,
        "command_exit_code": outcome.command_exit_code,
        "started": iso_time(outcome.started),
        "duration_s": round(outcome.duration_s, 3),
        "totals": _line_json(outcome.totals),
        "models": [
            {"provider": line.provider or None, "model": line.model or None} | _line_json(line)
            for line in outcome.lately.lines
        ],
        "limits": [
            {
                "name": limit.name,
                "limit": limit.allowed,
                "used": limit.used,
                "overshoot": max(0.0, limit.used - limit.allowed),
                "exceeded": limit.is_exceeded,
                "refused": limit.refused,
            }
            for limit in outcome.limits
        ],
        "failures": [
            {name: getattr(one, name) for name in ("provider", "model", "status", "error", "trace_id")}
            for one in outcome.lately.failures
        ],
        "notes": list(outcome.notes),
    }
    return json.dumps(value, indent=2) + "\n"


def _line_json(line: ModelLine) -> dict[str, Any]:
    return {
        "calls": line.calls,
        "errors": line.errors,
        "prompt_tokens": line.prompt_tokens,
        "completion_tokens": line.completion_tokens,
        "total_tokens": line.total_tokens,
        "cached_tokens": line.cached_tokens,
        "estimated_calls": line.estimated,
        "cost": line.cost,
        "unpriced_calls": line.unpriced,
        "p50_ms": percentile(line.durations_ms, 0.5),
        "p95_ms": percentile(line.durations_ms, 0.95),
    }


# ── JUnit ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def junit(outcome: Outcome) -> str:
    """Write a test suite: the command and each cap are cases that fail, each model is one that tells its figures."""
    cases = [_case("command", outcome.duration_s, failure=_command_failure(outcome))]
    cases += [
        _case(limit.name, 0.0, failure=limit.told if limit.is_exceeded else None, told=limit.told)
        for limit in outcome.limits
    ]
    cases += [
        _case(f"{line.provider or '-'} {_short(line.model) or '-'}", sum(line.durations_ms) / 1000, told=_told(line))
        for line in outcome.lately.lines
    ]
    failed = sum(1 for case in cases if "<failure" in case)
    counts = f'tests="{len(cases)}" failures="{failed}" errors="0"'
    total = _line_json(outcome.totals)
    properties = [f'<property name="{name}" value="{value}"/>' for name, value in total.items()]
    took = f'time="{outcome.duration_s:.3f}"'
    return "\n".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?>',
            f"<testsuites {counts} {took}>",
            f'<testsuite name="llmflow run" {counts} skipped="0" {took} timestamp="{iso_time(outcome.started)[:19]}">',
            "<properties>",
            *properties,
            "</properties>",
            *cases,
            *(f"<system-out>{_xml(one)}</system-out>" for one in ["\n".join(_sentences(outcome))] if one),
            "</testsuite>",
            "</testsuites>",
            "",
        ]
    )


def _command_failure(outcome: Outcome) -> str | None:
    return None if outcome.command_exit_code == 0 else f"the command ended with {outcome.command_exit_code}"


def _told(line: ModelLine) -> str:
    return "\n".join(f"{name}: {value}" for name, value in _line_json(line).items())


def _case(name: str, seconds: float, *, failure: str | None = None, told: str = "") -> str:
    head = f'<testcase classname="llmflow.run" name="{_xml(name)}" time="{seconds:.3f}">'
    body = "" if failure is None else f'<failure message="{_xml(failure)}"/>'
    return head + body + (f"<system-out>{_xml(told)}</system-out>" if told else "") + "</testcase>"


def _xml(value: str) -> str:
    return html_text(_NOT_XML.sub("?", value))
