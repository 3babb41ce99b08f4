"""The console: one line per call, honest about errors and unknown costs, and safe against hostile names."""

from __future__ import annotations

import io
import json
import threading
from typing import Any

import pytest

from llmflow_web.console import (
    Console,
    escape,
    iso_time,
    short_cost,
    short_count,
    short_duration,
    table,
)


def row(**changes: Any) -> dict[str, Any]:
    return {
        "timestamp": 1_700_000_000_123,
        "provider": "openai",
        "model": "gpt-5-mini",
        "status": 200,
        "error": None,
        "is_stream": False,
        "is_estimated": False,
        "total_tokens": 1234,
        "estimated_cost": 0.00012,
        "duration_ms": 62.4,
    } | changes


def said(console_call: Any, **options: Any) -> str:
    stream = io.StringIO()
    console = Console(stream, clock=lambda: 1_700_000_000.5, **options)
    console_call(console)
    console.close()
    return stream.getvalue()


def test_the_two_first_lines() -> None:
    """At the start it says where dashboard and proxy are, in the contract's words."""
    text = said(lambda console: console.started("http://localhost:3000", "http://localhost:8080"))
    assert text == "[llmflow] Dashboard: http://localhost:3000\n[llmflow] Proxy:     http://localhost:8080\n"


def test_a_third_line_where_otlp_has_a_port() -> None:
    """A port for OTLP alone is told, too, in words and as JSON."""
    assert said(lambda console: console.started("D", "P", "http://localhost:4318")).endswith(
        "[llmflow] OTLP:      http://localhost:4318\n"
    )
    assert '"otlp": "O"' in said(lambda console: console.started("D", "P", "O"), is_json=True)


def test_one_line_per_call() -> None:
    """A call's line has time, outcome, provider, model, tokens, cost and duration."""
    line = said(lambda console: console.call(row()))
    assert line.split()[1:] == ["OK", "openai", "gpt-5-mini", "1.2k", "tok", "$0.0001", "62ms"]
    assert line.count("\n") == 1
    assert line.split("  ")[0].endswith(".123")


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"is_stream": True}, "STREAM"),
        ({"status": 429, "error": "Rate limit reached"}, "ERR     openai  gpt-5-mini  429 Rate limit reached"),
        ({"status": 500, "error": None}, "ERR     openai  gpt-5-mini  500"),
        ({"status": 499, "is_stream": True, "error": "client closed"}, "ERR"),
        ({"estimated_cost": None}, "cost ?"),
        ({"is_estimated": True}, "~1.2k tok"),
        ({"model": None, "request_path": "/v1/files"}, "/v1/files"),
    ],
)
def test_outcomes(changes: dict[str, Any], part: str) -> None:
    """Streams, errors (4xx and 5xx too), unknown costs and estimates are told apart."""
    assert part in said(lambda console: console.call(row(**changes)))


def test_a_free_call_has_no_cost() -> None:
    """Cost 0 is left out; so are tokens and cost where there are none."""
    assert "$" not in said(lambda console: console.call(row(estimated_cost=0)))
    text = said(lambda console: console.call(row(total_tokens=None, estimated_cost=None, status=401, error="no")))
    assert "tok" not in text
    assert "cost" not in text


def test_hostile_names_stay_text() -> None:
    """A model's name or an error cannot move the cursor, forge a line or turn the text around."""
    text = said(
        lambda console: console.call(row(model="m\x1b[2J\n[llmflow] all fine", error="a\r\nb\u202ec", status=500))
    )
    assert text.count("\n") == 1
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert r"m\x1b[2J\n[llmflow] all fine" in text


def test_colours_only_when_asked_for() -> None:
    """Escapes are written only with has_color, and never in JSON."""
    assert "\x1b[32mOK" in said(lambda console: console.call(row()), has_color=True)
    assert "\x1b" not in said(lambda console: console.call(row()))
    assert "\x1b" not in said(lambda console: console.call(row()), has_color=True, is_json=True)


def test_json_lines() -> None:
    """With JSON each line is one object with a time, the event and the call's facts."""
    lines = said(lambda console: (console.started("D", "P"), console.call(row()), console.error("no")), is_json=True)
    started, call, error = (json.loads(line) for line in lines.splitlines())
    assert (started["event"], started["proxy"]) == ("started", "P")
    assert call["time"] == "2023-11-14T22:13:20.123Z"
    assert (call["event"], call["outcome"], call["estimated_cost"], call["total_tokens"]) == (
        "call",
        "ok",
        0.00012,
        1234,
    )
    assert error == {"time": "2023-11-14T22:13:20.500Z", "event": "error", "message": "no"}


def test_quiet_and_verbose() -> None:
    """Quiet leaves the lines of calls out and nothing else; details are for verbose only."""
    assert said(lambda console: (console.call(row()), console.note("hello")), is_quiet=True) == "[llmflow] hello\n"
    assert said(lambda console: console.detail("more")) == ""
    assert said(lambda console: console.detail("more"), is_verbose=True) == "[llmflow] more\n"


def test_a_stuck_terminal_holds_nothing_up() -> None:
    """While the terminal takes nothing, calls are not delayed; what did not fit is counted."""
    gate = threading.Event()

    class Stuck(io.StringIO):
        def write(self, text: str) -> int:
            gate.wait(60)
            return super().write(text)

    stream = Stuck()
    console = Console(stream)
    for _ in range(5000):
        console.call(row())
    gate.set()
    console.close(timeout_s=60)
    text = stream.getvalue()
    assert "lines were left out" in text
    assert text.count("gpt-5-mini") < 5000


def test_a_closed_pipe_is_no_error() -> None:
    """A reader that went away ends the lines, not the program."""
    stream = io.StringIO()
    stream.close()
    console = Console(stream)
    console.note("hello")
    console.close()


def test_an_old_terminal_gets_escapes() -> None:
    """What the terminal's encoding lacks is written as an escape."""
    raw = io.BytesIO()
    console = Console(io.TextIOWrapper(raw, encoding="ascii"))
    console.note("née")
    console.close()
    assert raw.getvalue() == b"[llmflow] n\\xe9e\n"


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (999, "999"), (1000, "1.0k"), (1234, "1.2k"), (999_950, "1.0M"), (3_400_000, "3.4M")]
)
def test_counts(value: int, text: str) -> None:
    """Counts are short."""
    assert short_count(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0, "0ms"), (62.4, "62ms"), (999.4, "999ms"), (999.6, "1.0s"), (14_000, "14.0s"), (125_000, "2m05s")],
)
def test_durations(value: float | None, text: str) -> None:
    """Durations are short."""
    assert short_duration(value) == text


@pytest.mark.parametrize(("value", "text"), [(None, "?"), (0, "$0.0000"), (0.00001, "<$0.0001"), (1.5, "$1.5000")])
def test_costs(value: float | None, text: str) -> None:
    """Costs have four decimals and never round to nothing."""
    assert short_cost(value) == text


def test_times_and_escapes() -> None:
    """Times are ISO with milliseconds in UTC; printable text of any script is left as it is."""
    assert iso_time(0.0015) == "1970-01-01T00:00:00.002Z"
    assert escape("Zürich 東京 🙂") == "Zürich 東京 🙂"
    assert escape("a\tb") == "a\\tb"


def test_tables() -> None:
    """A table is aligned, numbers to the right, cells escaped."""
    text = table(("name", "n"), [("a", 10), ("b\n", 5)], right=frozenset({1}))
    assert text.splitlines() == ["name   n", "----  --", "a     10", "b\\n    5"]
