"""The four forms of a run's report, and names that try to be more than names."""

from __future__ import annotations

import json
from array import array
from xml.etree import ElementTree as ET

import pytest

from llmflow_web.app.run_report import Limit, Outcome, as_json, junit, markdown, text
from llmflow_web.store.lately import Failure, Lately, ModelLine

HOSTILE = "a|b`<img src=x>\x1b[2J\n| x | [l](http://evil) @team ]]>\x00 & \"'\u202e"


def outcome(model: str = "gpt-4o-mini", code: int = 0, **more) -> Outcome:
    lines = [
        ModelLine("openai", model, 3, 1, 1200, 300, 1500, 0, 0.0123, 1, 0, array("d", [10.0, 20.0, 2000.0])),
        ModelLine("ollama", "llama3:8b", 1, 0, 10, 5, 15, 0, 0.0, 0, 0, array("d", [62.0])),
    ]
    failures = [Failure("openai", model, 500, f"it broke {model}", "a" * 32)]
    return Outcome(["pytest", "-q"], code, code, 1_700_000_000.0, 3.5, Lately(lines, failures), **more)


def test_the_table_has_each_model_and_a_total() -> None:
    """Calls, errors, tokens, cost and percentiles; what has no price is named."""
    lines = text(outcome()).splitlines()
    assert lines[0].split() == ["provider", "model", "calls", "errors", "in", "out", "cost", "p50", "p95"]
    assert lines[2].split() == ["openai", "gpt-4o-mini", "3", "1", "1.2k", "300", "$0.0123", "+", "?", "20ms", "2.0s"]
    assert lines[4].split() == ["total", "4", "1", "1.2k", "305", "$0.0123", "+", "?", "20ms", "2.0s"]
    assert lines[5] == "no price is known for 1 call of gpt-4o-mini: missing from the cost"


def test_a_run_without_calls_says_so() -> None:
    """No empty table."""
    empty = Outcome(["true"], 0, 0, 0.0, 0.1, Lately([], []))
    assert text(empty) == "no calls were recorded"
    assert "0 calls" in markdown(empty)
    assert json.loads(as_json(empty))["totals"]["p50_ms"] is None
    ET.fromstring(junit(empty))


def test_a_limit_tells_its_overshoot() -> None:
    """What was used, allowed, over and refused."""
    limit = Limit("max_cost", 0.01, 0.0123, True, refused=2)
    assert limit.told == "max_cost: $0.0123 of $0.0100, $0.002300 over; 2 calls refused"
    assert "exceeded max_cost" in text(outcome(limits=[limit]))
    assert Limit("max_calls", 5, 5, True, refused=1).told == "max_calls: 5 of 5; 1 call refused"


def test_json_has_all_figures() -> None:
    """Unrounded, with null for what is unknown."""
    value = json.loads(as_json(outcome(code=3, limits=[Limit("max_calls", 3, 4, True, 1)])))
    assert (value["exit_code"], value["command"]) == (3, ["pytest", "-q"])
    assert value["totals"]["calls"] == 4
    assert value["models"][0]["p95_ms"] == 2000.0
    assert value["limits"][0] == {
        "name": "max_calls", "limit": 3, "used": 4, "overshoot": 1, "exceeded": True, "refused": 1,
    }  # fmt: skip


def test_junit_fails_for_the_command_and_for_caps() -> None:
    """A cap that was passed is a failed case; models are cases that pass."""
    suite = ET.fromstring(junit(outcome(code=3, limits=[Limit("max_calls", 3, 4, True, 1)])))[0]
    assert suite.attrib["tests"] == "4"
    failed = {case.attrib["name"] for case in suite.iter("testcase") if case.find("failure") is not None}
    assert failed == {"command", "max_calls"}
    assert suite.attrib["failures"] == "2"


@pytest.mark.parametrize("model", [HOSTILE, "x" * 5000, "", "\ud800"])
def test_a_hostile_name_stays_a_name(model: str) -> None:
    """It adds no row, column, tag, link or control character to any form."""
    report = outcome(model)
    rows = [line for line in markdown(report).splitlines() if line.startswith("|")]
    assert len(rows) == 5
    assert {row.replace(r"\|", "").count("|") for row in rows} == {10}
    assert "<img" not in markdown(report)
    assert "://" not in markdown(report)
    assert "@" not in markdown(report)
    assert "\x1b" not in text(report) + markdown(report) + junit(report) + as_json(report)
    assert len(text(report).splitlines()) == 6
    assert len(list(ET.fromstring(junit(report)).iter("testcase"))) == 3
    assert json.loads(as_json(report))["models"][0]["model"] == (model or None)
