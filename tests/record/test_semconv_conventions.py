"""Every convention is read into the same columns and messages; fixtures/otlp holds one span of each."""

import json
from pathlib import Path

import pytest
from semconv_help import span_of

from llmflow_web.record.semconv import messages_from_otlp, row_from_otlp

FIXTURES = sorted((Path(__file__).parent.parent / "fixtures" / "otlp").glob("*.json"))


@pytest.fixture(params=FIXTURES, ids=lambda path: path.stem)
def convention(request: pytest.FixtureRequest) -> dict:
    return json.loads(request.param.read_text(encoding="utf-8"))


def test_columns(convention):
    """The row has the columns the fixture names."""
    row = row_from_otlp(span_of(convention["span"]))
    assert row is not None
    assert {name: getattr(row.span, name) for name in convention["row"]} == convention["row"]


def test_messages(convention):
    """The messages are those the fixture names, in our one shape."""
    span = span_of(convention["span"])
    found = messages_from_otlp(span.attributes, span.events)
    for side in ("input", "output", "tools"):
        if side in convention:
            assert found[side] == convention[side]
