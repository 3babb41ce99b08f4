"""Terminal output: the start-up lines, one line per call, and summary tables.

Takes plain values and writes to a stream; knows no database, socket or loop. Lines of calls are written by a thread of
its own, so that a paused terminal or a slow pipe never holds up a call. Whatever comes from outside (models, errors,
upstream texts) is escaped: a model's name must not be able to move the cursor or forge a line.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TextIO

MAX_WAITING_LINES = 2000
MAX_ERROR_CHARS = 120

_STYLES = {"dim": "2", "red": "31", "green": "32", "yellow": "33", "magenta": "35", "cyan": "36", "bold": "1"}
_LABELS = {"OK": "green", "STREAM": "magenta", "ERR": "red"}


class Console:
    """What the person who started LLMFlow sees."""

    def __init__(
        self,
        stream: TextIO,
        *,
        is_json: bool = False,
        is_quiet: bool = False,
        is_verbose: bool = False,
        has_color: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._stream = stream
        self._is_json = is_json
        self._is_quiet = is_quiet
        self.is_verbose = is_verbose
        self._has_color = has_color and not is_json
        self._clock = clock
        self._lines: deque[str] = deque()
        self._lost = 0
        self._wake = threading.Condition()
        self._is_closing = False
        self._writer: threading.Thread | None = None

    # ── what is said ─────────────────────────────────────────────────────────────────────────────────────────────

    def started(self, dashboard_url: str, proxy_url: str, otlp_url: str | None = None) -> None:
        """Say where the doors are."""
        if self._is_json:
            more = {} if otlp_url is None else {"otlp": otlp_url}
            self._event("started", dashboard=dashboard_url, proxy=proxy_url, **more)
            return
        self._print(f"{self._tag()} Dashboard: {self._style('yellow', dashboard_url)}")
        self._print(f"{self._tag()} Proxy:     {self._style('yellow', proxy_url)}")
        if otlp_url is not None:
            self._print(f"{self._tag()} OTLP:      {self._style('yellow', otlp_url)}")

    def note(self, text: str, *, style: str = "") -> None:
        """Say one sentence."""
        if self._is_json:
            self._event("note", message=text)
        else:
            self._print(f"{self._tag()} {self._style(style, escape(text)) if style else escape(text)}")

    def detail(self, text: str) -> None:
        """Say one sentence to those who asked for more."""
        if self.is_verbose:
            self.note(text, style="dim")

    def warning(self, text: str) -> None:
        """Say what is not as it should be, though LLMFlow goes on."""
        if self._is_json:
            self._event("warning", message=text)
        else:
            self._print(f"{self._style('yellow', '[llmflow]')} {escape(text)}")

    def error(self, text: str) -> None:
        """Say what went wrong."""
        if self._is_json:
            self._event("error", message=text)
        else:
            self._print(f"{self._style('red', '[llmflow]')} {escape(text)}")

    def call(self, row: Mapping[str, Any]) -> None:
        """Print the line of one finished call: a list element of the API."""
        if self._is_quiet:
            return
        self._print(json.dumps(_call_event(row)) if self._is_json else self._call_line(row))

    def close(self, timeout_s: float = 1.0) -> None:
        """Write what still waits, for at most `timeout_s`."""
        with self._wake:
            self._is_closing = True
            self._wake.notify()
            writer = self._writer
        if writer is not None:
            writer.join(timeout_s)

    # ── lines ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _call_line(self, row: Mapping[str, Any]) -> str:
        label = call_label(row)
        parts = [
            self._style("dim", _time_of_day(row.get("timestamp"), self._clock)),
            self._style(_LABELS[label], f"{label:<6}"),
            escape(str(row.get("provider") or "-")),
            self._style("cyan", escape(str(row.get("model") or row.get("request_path") or "-"))),
        ]
        if label == "ERR":
            parts.append(self._style("red", _error_text(row)))
        if row.get("total_tokens"):
            sign = "~" if row.get("is_estimated") else ""
            parts.append(f"{sign}{short_count(row['total_tokens'])} tok")
            parts.append(_cost_text(row.get("estimated_cost")))
        parts.append(self._style("dim", short_duration(row.get("duration_ms"))))
        return "  ".join(part for part in parts if part)

    def _tag(self) -> str:
        return self._style("cyan", "[llmflow]")

    def _style(self, name: str, text: str) -> str:
        return f"\x1b[{_STYLES[name]}m{text}\x1b[0m" if self._has_color else text

    def _event(self, event: str, **values: object) -> None:
        self._print(json.dumps({"time": iso_time(self._clock()), "event": event, **values}))

    # ── the writer thread ────────────────────────────────────────────────────────────────────────────────────────

    def _print(self, line: str) -> None:
        with self._wake:
            if self._is_closing:
                self._write(line + "\n")
                return
            if len(self._lines) >= MAX_WAITING_LINES:
                self._lost += 1
                return
            self._lines.append(line)
            if self._writer is None:
                self._writer = threading.Thread(target=self._write_lines, name="llmflow-console", daemon=True)
                self._writer.start()
            self._wake.notify()

    def _write_lines(self) -> None:
        while True:
            with self._wake:
                while not self._lines and not self._is_closing:
                    self._wake.wait()
                lines, lost = list(self._lines), self._lost
                self._lines.clear()
                self._lost = 0
                if not lines:
                    return
            if lost:
                lines.append(f"[llmflow] {lost} lines were left out: the terminal was too slow")
            if not self._write("\n".join(lines) + "\n"):
                return

    def _write(self, text: str) -> bool:
        try:
            self._stream.write(text)
            self._stream.flush()
        except UnicodeEncodeError:
            encoding = self._stream.encoding or "ascii"
            return self._write(text.encode(encoding, "backslashreplace").decode(encoding))
        except (OSError, ValueError):  # the pipe was closed: calls go on without lines
            return False
        return True


# ── words and numbers ────────────────────────────────────────────────────────────────────────────────────────────────


def escape(text: str) -> str:
    """Replace everything a terminal might act on (control, direction and format characters) by its escape."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def call_label(row: Mapping[str, Any]) -> str:
    """Return OK, STREAM or ERR: an answer of 400 and more, or a broken one, is an error."""
    status = row.get("status")
    if (status is not None and status >= 400) or row.get("error"):
        return "ERR"
    return "STREAM" if row.get("is_stream") else "OK"


def short_count(count: int) -> str:
    """Write a count in at most five characters: 999, 1.2k, 3.4M."""
    if count < 1000:
        return str(count)
    if count < 999_950:
        return f"{count / 1000:.1f}k"
    return f"{count / 1_000_000:.1f}M"


def short_duration(milliseconds: float | None) -> str:
    """Write a duration: 62ms, 14.0s, 2m05s."""
    if milliseconds is None:
        return "-"
    if milliseconds < 999.5:
        return f"{milliseconds:.0f}ms"
    if milliseconds < 99_950:
        return f"{milliseconds / 1000:.1f}s"
    minutes, seconds = divmod(round(milliseconds / 1000), 60)
    return f"{minutes}m{seconds:02d}s"


def short_cost(cost: float | None) -> str:
    """Write a cost in USD with four decimals; "?" when it is not known."""
    if cost is None:
        return "?"
    if 0 < cost < 0.00005:
        return "<$0.0001"
    return f"${cost:.4f}"


def iso_time(seconds: float) -> str:
    """Write a time as 2026-03-01T12:00:00.000Z."""
    whole, fraction = divmod(round(seconds * 1000), 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{fraction:03d}Z"


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, right: frozenset[int] = frozenset()) -> str:
    """Lay out a table; the columns numbered in `right` are aligned right."""
    cells = [[escape(str(cell)) for cell in row] for row in (columns, *rows)]
    widths = [max(len(row[index]) for row in cells) for index in range(len(columns))]

    def line(row: Sequence[str]) -> str:
        pairs = zip(row, widths, strict=True)
        parts = [cell.rjust(w) if i in right else cell.ljust(w) for i, (cell, w) in enumerate(pairs)]
        return "  ".join(parts).rstrip()

    rule = "  ".join("-" * width for width in widths)
    return "\n".join([line(cells[0]), rule, *(line(row) for row in cells[1:])])


def _cost_text(cost: float | None) -> str:
    if cost is None:
        return "cost ?"
    return short_cost(cost) if cost else ""


def _error_text(row: Mapping[str, Any]) -> str:
    text = escape(" ".join(str(row.get("error") or "").split()))
    if len(text) > MAX_ERROR_CHARS:
        text = text[: MAX_ERROR_CHARS - 1] + "…"
    return f"{row.get('status') or ''} {text}".strip()


def _time_of_day(timestamp_ms: object, clock: Callable[[], float]) -> str:
    seconds = timestamp_ms / 1000 if isinstance(timestamp_ms, int | float) else clock()
    return f"{time.strftime('%H:%M:%S', time.localtime(seconds))}.{int(seconds * 1000) % 1000:03d}"


def _call_event(row: Mapping[str, Any]) -> dict[str, Any]:
    timestamp = row.get("timestamp")
    event: dict[str, Any] = {"event": "call", "outcome": call_label(row).lower()}
    if isinstance(timestamp, int | float):
        event = {"time": iso_time(timestamp / 1000), **event}
    names = (
        "trace_id", "id", "provider", "model", "operation", "status", "error", "is_stream", "prompt_tokens",
        "completion_tokens", "total_tokens", "is_estimated", "estimated_cost", "duration_ms", "ttft_ms",
    )  # fmt: skip
    return event | {name: row[name] for name in names if name in row}
