"""Rows become lines and come back the same."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmflow_web.errors import BadRequest
from llmflow_web.model import SPAN_TYPES, Body, Ending, Log, Metric, Row, Source, Span, Stored
from llmflow_web.record.transfer import MAX_INT, MAX_MS, encoded_line, item_of, line_of

NOW_NS = 1_763_800_000_123_456_789
TEXT = st.text(st.characters(codec="utf-8"), max_size=6)
MAYBE_TEXT = st.none() | TEXT
IDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=128)
MOMENTS = st.integers(0, MAX_MS * 1_000_000)
INTEGERS = st.none() | st.integers(-MAX_INT, MAX_INT)
NUMBERS = st.none() | st.floats(-1e18, 1e18)
OBJECTS = st.dictionaries(TEXT, st.recursive(st.none() | st.booleans() | st.integers() | TEXT | st.floats(-9, 9),
                                             lambda inner: st.lists(inner, max_size=2), max_leaves=4), max_size=3)  # fmt: skip
TEXTS = st.lists(TEXT, max_size=3)
SOURCES: tuple[Source, ...] = get_args(Source)
BY_TYPE: dict[str, st.SearchStrategy[Any]] = {
    "str": TEXT, "str | None": MAYBE_TEXT, "int": st.integers(0, MAX_INT), "int | None": INTEGERS,
    "float | None": NUMBERS, "bool": st.booleans(), "list[str]": TEXTS, "JSON": OBJECTS, "JSON | None": st.none() | OBJECTS,
    "Ending | None": st.none() | st.sampled_from(get_args(Ending)), "Source": st.sampled_from(SOURCES),
    "Source | None": st.none(),
}  # fmt: skip


def members(kind: type, **own: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return values of a dataclass, each field by its type."""
    found = {name: BY_TYPE[str(entry.type)] for name, entry in kind.__dataclass_fields__.items() if name not in own}  # type: ignore[attr-defined]
    return st.builds(kind, **found, **own)


BODIES = st.lists(
    st.builds(Body, st.integers(1, 9), st.binary(max_size=9) | TEXT.map(str.encode), st.integers(0, 9), st.booleans(),
              st.booleans()),
    max_size=3, unique_by=lambda body: body.part,
).map(lambda found: tuple(sorted(found, key=lambda body: body.part)))  # fmt: skip
SPANS = members(
    Span, trace_id=IDS, id=IDS, parent_id=st.none() | IDS, span_type=st.sampled_from(SPAN_TYPES), start_ns=MOMENTS,
    duration_ns=st.none() | MOMENTS,
)  # fmt: skip
ROWS = st.builds(Row, SPANS, BODIES)
LOGS = members(Log, id=IDS, time_ns=MOMENTS)
METRICS = members(Metric, id=IDS, series=IDS, time_ns=MOMENTS)


def back(item: Stored) -> Stored:
    return item_of(json.loads(encoded_line(line_of(item))))


@given(ROWS)
@settings(max_examples=150)
def test_a_span_comes_back_whole(row: Row) -> None:
    """Every column and every body of a span comes back, but for what the store works out and where it came from."""
    found = back(row)
    assert isinstance(found, Row)
    headers = [body for body in row.bodies if body.part == 1]
    assert [body for body in found.bodies if body.part != 1] == [body for body in row.bodies if body.part != 1]
    assert len(found.bodies) == len(row.bodies), headers
    first = row.span.source if row.span.source != "import" else row.span.first_source
    wanted = replace(row.span, source="import", first_source=first, joined_to=None)
    assert replace(found.span, cost_detail=found.span.cost_detail or {}) == replace(
        wanted, cost_detail=wanted.cost_detail or {}
    )


@given(LOGS)
@settings(max_examples=60)
def test_a_log_record_comes_back_whole(log: Log) -> None:
    """Every member of a log record comes back; an empty detail is none."""
    found = back(log)
    assert isinstance(found, Log)
    assert replace(found, detail=found.detail or {}) == replace(log, detail=log.detail or {})


@given(METRICS)
@settings(max_examples=60)
def test_a_data_point_comes_back_whole(point: Metric) -> None:
    """Every member of a data point comes back."""
    found = back(point)
    assert isinstance(found, Metric)
    for name in ("detail", "histogram_data"):
        assert (getattr(found, name) or {}) == (getattr(point, name) or {})
    assert replace(found, detail=None, histogram_data=None) == replace(point, detail=None, histogram_data=None)


def test_the_members_the_first_version_had_are_always_there() -> None:
    """A line of a span has the contract's members, null or not, and of the others those that say something."""
    line = line_of(Row(Span("t", "s", start_ns=NOW_NS, duration_ns=1_234_567)), is_counted=False)
    assert line["timestamp"] == NOW_NS // 1_000_000
    assert (line["start_ns"], line["duration_ns"], line["duration_ms"]) == (str(NOW_NS), 1_234_567, 1.235)
    assert line["agent_name"] is None
    assert line["counts"] is False
    assert "finish_reason" not in line
    assert "uncounted_by_sender" not in line


@pytest.mark.parametrize("written", [b'{"text": "\\ud800"}', '{"text": "\ufffd"}'.encode()])
def test_half_a_character_is_stored_as_a_mark(written: bytes) -> None:
    """Lone surrogates, which a JSON text may hold, do not come near the database."""
    line = json.loads(b'{"id": "x", "timestamp": 1, "error": "\\udc00", "bodies": {"request": %b}}' % written)
    row = item_of(line)
    assert isinstance(row, Row)
    assert row.span.error == "?"
    row.bodies[0].data.decode()


def test_parts_of_a_later_version_are_told_of() -> None:
    """A part nobody knows here costs nothing but itself, and the row says so."""
    row = item_of({"id": "x", "timestamp": 1, "bodies": {"video": {"text": ""}, "request": {"text": "a"}}})
    assert isinstance(row, Row)
    assert [body.data for body in row.bodies] == [b"a"]
    assert row.span.dropped == ["bodies.video: there is no such part here"]


def test_a_body_is_never_longer_than_what_is_stored() -> None:
    """A part over the limit is cut and marked."""
    row = item_of({"id": "x", "timestamp": 1, "bodies": {"request": {"text": "x" * 9_000_000, "is_raw": True}}})
    assert isinstance(row, Row)
    body = row.bodies[0]
    assert (len(body.data), body.size, body.is_cut, body.is_raw) == (8 * 1024 * 1024, 9_000_000, True, True)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
NAMES = [*Span.__dataclass_fields__, *Log.__dataclass_fields__, *Metric.__dataclass_fields__, "timestamp", "bodies"]


@given(
    st.sampled_from(["span", "log", "metric"]), st.dictionaries(st.sampled_from(NAMES), JUNK, max_size=6), st.booleans()
)
@settings(max_examples=200)
def test_whatever_a_line_holds_it_is_a_row_or_refused(kind: str, junk: dict[str, Any], is_based: bool) -> None:
    """Any value in any member gives a row or a sentence."""
    base = {"id": "x", "series": "s", "name": "n", "timestamp": 1, "time_ns": "1"} if is_based else {}
    line = {**base, **junk, "type": kind}
    try:
        found = item_of(line)
    except BadRequest:
        return
    encoded_line(line_of(found))
