"""The grammar of the filter box on cases that the dashboard's own reader (static/lib/grammar.js) is held to as well."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llmflow_web.wire.filter import Ago
from llmflow_web.wire.grammar import parse_filter

CASES = json.loads((Path(__file__).parent / "grammar_cases.json").read_text(encoding="utf-8"))


def told(value: Any) -> Any:
    """Return a value as the cases write it: a time told from now is its seconds behind a minus."""
    return f"-{value.seconds:g}" if isinstance(value, Ago) else value


@pytest.mark.parametrize("case", CASES, ids=[case["text"] for case in CASES])
def test_a_text_is_read_as_the_cases_say(case: dict[str, Any]) -> None:
    """Every term with its field, comparison, values and sign; every word that was not understood with its reason."""
    found = parse_filter(case["text"])
    terms = [[term.field, term.op, [told(value) for value in term.values], term.is_negated] for term in found.terms]
    assert terms == case["terms"]
    assert list(found.notes) == case["notes"]
