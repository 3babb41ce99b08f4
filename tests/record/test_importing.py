"""Lines of files become rows, and what is known already is left out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from otlp_official import as_json, requests

from llmflow_web.model import Log, Row, Span, Stored
from llmflow_web.record.importing import Taken, sift, signals_of, take, wanted
from llmflow_web.record.semconv import otlp_from_log, otlp_from_metric, otlp_from_row
from llmflow_web.record.transfer import encoded_line, item_of, line_of
from llmflow_web.store.transfer import Known
from llmflow_web.wire import otlp
from llmflow_web.wire.otlp_values import LogRecord, OtlpSpan, Resource, Scope, Signal

NOW_NS = 1_763_800_000_000_000_000
OTLP = otlp.encode(
    "traces", [OtlpSpan(Resource(), Scope(), trace_id="a" * 32, span_id="b" * 16, start_ns=NOW_NS)], is_json=True
)
LINE = encoded_line(line_of(Row(Span("t", "s", start_ns=NOW_NS))))


@given(st.binary(max_size=60) | st.tuples(st.sampled_from([OTLP, LINE]), st.integers(0, 200), st.binary(max_size=3)))
@settings(max_examples=300)
def test_whatever_comes_is_taken_or_refused(data: bytes | tuple[bytes, int, bytes]) -> None:
    """Any bytes, and any change to a good line, give rows or a sentence; nothing is raised."""
    if isinstance(data, tuple):
        line, at, more = data
        data = line[:at] + more + line[at + len(more) :]
    taken = take(data, now_ns=NOW_NS)
    assert taken.items or taken.refused or b"resource" in data
    assert bool(taken.refused) <= bool(taken.errors)


def test_requests_of_opentelemetry_are_known_by_their_members() -> None:
    """All signals of a request are found, in either spelling, also behind other members; a span's texts say nothing."""
    assert signals_of(OTLP) == ["traces"]
    assert signals_of(b' { "resource_logs": []}') == ["logs"]
    assert signals_of(b'{"resourceLogs": [{"scopeLogs": []}], "resourceSpans": []}') == ["logs", "traces"]
    assert signals_of(b'{"note": 1, "resourceMetrics": [{"scopeMetrics": []}]}') == ["metrics"]
    assert signals_of(b'{"id": "x", "error": "\\"resourceSpans\\" \\"scope\\""}') == []
    assert signals_of(b'{"id": "x", "model": {"resourceSpans": 1, "scopeSpans": 1}}') == []


def test_a_row_is_counted_new_once() -> None:
    """Of rows that stand twice in a file the second is known, as are those the database has."""
    rows = [Row(Span("t", name)) for name in ("a", "b", "a")]
    takens = [Taken([row]) for row in rows] + [Taken([Log("l", 1), Log("m", 1)]), Taken(refused=2, errors=["e"])]
    assert wanted(takens) == Known({("t", "a"): False, ("t", "b"): False}, frozenset("lm"))
    fresh, tally = sift(takens, Known({("t", "b"): False}, frozenset("m")))
    assert [item.span.id if isinstance(item, Row) else item.id for item in fresh if not isinstance(item, Span)] == [
        "a", "l",
    ]  # fmt: skip
    assert (tally.new, tally.known) == ({"spans": 1, "logs": 1, "metrics": 0}, {"spans": 2, "logs": 1, "metrics": 0})
    assert tally.refused == 2


def test_what_logs_tell_of_calls_comes_only_with_new_logs() -> None:
    """Spans made of log records are added to, never put over a span of their own, and not made of known records."""
    derived = [Row(Span("t", name, derived=True)) for name in ("there", "made", "fresh")]
    known = Known({("t", "there"): False, ("t", "made"): True})
    fresh, tally = sift([Taken([Log("l", 1)], derived)], known)
    assert [item.span.id for item in fresh if isinstance(item, Row)] == ["made", "fresh"]
    assert tally.new == {"spans": 0, "logs": 1, "metrics": 0}
    assert sift([Taken([Log("l", 1)], derived)], Known({}, frozenset("l")))[0] == []


def test_a_collectors_records_make_their_calls() -> None:
    """A log record of a coding agent gives the record, and beside it what it tells of a call."""
    record = LogRecord(
        Resource({"service.name": "claude-code"}), Scope(), time_ns=NOW_NS, body="claude_code.user_prompt",
        attributes={"event.name": "user_prompt", "prompt": "hello", "session.id": "s", "prompt.id": "p"},
    )  # fmt: skip
    taken = take(otlp.encode("logs", [record], is_json=True), now_ns=NOW_NS)
    assert [type(item) for item in taken.items] == [Log]
    assert {row.span.source for row in taken.derived} == {"import"}


def test_an_own_span_brings_its_source_and_cost() -> None:
    """What another LLMFlow wrote as OTLP keeps how it was first recorded and what it cost; others' spans do not."""
    for scope, first, cost in ((Scope("llmflow"), "proxy", 0.5), (Scope("app"), "otlp", None)):
        span = OtlpSpan(
            Resource(), scope, trace_id="a" * 32, span_id="b" * 16, start_ns=NOW_NS,
            attributes={"llmflow.source": "proxy", "llmflow.cost": 0.5},
        )  # fmt: skip
        (row,) = take(otlp.encode("traces", [span], is_json=True), now_ns=NOW_NS).items
        assert isinstance(row, Row)
        assert (row.span.source, row.span.first_source, row.span.estimated_cost) == ("import", first, cost)


def test_a_line_of_json_is_as_good_as_a_post() -> None:
    """A request of which one record is bad gives the others, and the sentence of the bad one."""
    told = json.loads(OTLP)
    told["resourceSpans"][0]["scopeSpans"][0]["spans"].append({"name": "bad"})
    taken = take(json.dumps(told).encode(), now_ns=NOW_NS)
    assert (len(taken.items), taken.refused) == (1, 1)
    assert "bad" in taken.errors[0]


@pytest.mark.parametrize("signal", ["traces", "logs", "metrics"])
@given(data=st.data())
@settings(max_examples=60)
def test_what_left_as_opentelemetry_leaves_again_the_same(signal: Signal, data: st.DataObject) -> None:
    """Whatever a request holds, what is kept of it is written, read and written again without a change."""
    told = json.dumps(as_json(data.draw(requests(signal)))).encode()
    first = _written(signal, take(told, now_ns=NOW_NS).items)
    second = _written(signal, take(first, now_ns=NOW_NS).items)
    assert json.loads(second) == json.loads(first)


def _written(signal: Signal, items: list[Stored]) -> bytes:
    """Write rows as an export does, after they were lines of JSON."""
    kept = [item_of(json.loads(encoded_line(line_of(item)))) for item in items]
    made: list[Any] = []
    for item in kept:
        if isinstance(item, Row):
            made.append(otlp_from_row(item.span, {body.part: body.data for body in item.bodies}, content=True))
        else:
            made.append(otlp_from_log(item) if isinstance(item, Log) else otlp_from_metric(item))
    return otlp.encode(signal, made, is_json=True)
