"""Log records and data points become rows by the contract, keep what columns cannot hold, and go back as they came."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmflow_web.record.semconv import log_from_otlp, metrics_from_otlp, otlp_from_log, otlp_from_metric
from llmflow_web.wire.otlp_values import DataPoint, Exemplar, LogRecord, OtlpMetric, Resource, Scope

NS = 1_700_000_000_000_000_000


def record(**told) -> LogRecord:
    return LogRecord(told.pop("resource", Resource()), told.pop("scope", Scope()), **told)


def metric(*points: DataPoint, **told) -> OtlpMetric:
    return OtlpMetric(
        told.pop("resource", Resource()), told.pop("scope", Scope()), **{"name": "m", **told}, points=list(points)
    )


# ── logs ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_log_columns():
    """Every column of a log record."""
    log = log_from_otlp(
        record(
            resource=Resource({"service.name": "claude-code", "session.id": "r"}),
            scope=Scope("s", "1"),
            time_ns=NS,
            observed_ns=NS + 1,
            severity_number=9,
            body="claude_code.api_request",
            attributes={"event.name": "api_request", "session.id": "s", "model": "m"},
            trace_id="a" * 32,
            span_id="b" * 16,
        )
    )
    assert (log.time_ns, log.observed_ns, log.severity_number, log.severity_text) == (NS, NS + 1, 9, "INFO")
    assert (log.body, log.event_name, log.service_name, log.scope_name) == (
        "claude_code.api_request",
        "api_request",
        "claude-code",
        "s",
    )
    assert (log.session_id, log.tool, log.trace_id, log.span_id) == ("s", "claude-code", "a" * 32, "b" * 16)
    assert log.attributes == {"event.name": "api_request", "session.id": "s", "model": "m"}
    assert log.resource_attributes == {"service.name": "claude-code", "session.id": "r"}


def test_bare_log():
    """A record that says nothing is a row of the moment it came."""
    log = log_from_otlp(record(), now_ns=NS)
    assert (log.time_ns, log.observed_ns, log.severity_number, log.severity_text) == (NS, NS, None, None)
    assert (log.body, log.event_name, log.service_name, log.detail, log.tool) == (None, None, "unknown", None, None)


def test_log_time():
    """The time is the record's, else the one it was seen at; absurd times are none."""
    assert log_from_otlp(record(observed_ns=NS)).time_ns == NS
    assert log_from_otlp(record(time_ns=2**64 - 1, observed_ns=NS)).time_ns == NS


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ({"event_name": "a", "attributes": {"event.name": "b"}}, "a"),
        ({"attributes": {"event.name": "b", "name": "c"}}, "b"),
        ({"attributes": {"log.event.name": "b"}}, "b"),
        ({"attributes": {"name": "c"}}, "c"),
        ({"attributes": {"event_name": "d"}}, "d"),
        ({"body": "codex.api_request"}, "codex.api_request"),
        ({"body": "a sentence. And more."}, None),
        ({"body": "word"}, None),
        ({"body": "a." + "b" * 200}, None),
        ({"body": {"event.name": "x"}}, None),
    ],
)
def test_event_name(told, name):
    """An event is named by its field, then its attributes, then a body that is a dotted name."""
    assert log_from_otlp(record(**told)).event_name == name


@pytest.mark.parametrize(
    ("number", "text", "shown"),
    [(1, "", "TRACE"), (8, "", "DEBUG"), (13, "", "WARN"), (17, "", "ERROR"), (24, "", "FATAL"), (25, "", "UNSPECIFIED"),
     (0, "", None), (0, "info", "info"), (17, "boom", "boom")],
)  # fmt: skip
def test_severity(number, text, shown):
    """A severity without a text is named by its number."""
    assert log_from_otlp(record(severity_number=number, severity_text=text)).severity_text == shown


@pytest.mark.parametrize(
    ("body", "text", "kept"),
    [
        ("plain", "plain", None),
        (7, "7", 7),
        (1.5, "1.5", 1.5),
        (True, "true", True),
        (False, "false", False),
        ([1, "a"], '[1,"a"]', [1, "a"]),
        ({"k": {"n": None}}, '{"k":{"n":null}}', {"k": {"n": None}}),
        (b"abc", "[binary: 3 bytes]", {"bytesValue": "YWJj"}),
        ({"k": b"abc"}, '{"k":{"bytesValue":"YWJj"}}', {"k": {"bytesValue": "YWJj"}}),
    ],
)
def test_log_body(body, text, kept):
    """A body is text; what was none is kept beside it."""
    log = log_from_otlp(record(body=body))
    assert (log.body, (log.detail or {}).get("body")) == (text, kept)
    assert otlp_from_log(log).body == body


def test_log_ids():
    """The same record has the same id whenever it comes; one that says anything else, or says it again, has another."""
    base = {"time_ns": NS, "body": "x", "attributes": {"a": 1, "b": 2}}
    one = log_from_otlp(record(**base), now_ns=1)
    assert log_from_otlp(record(**base), now_ns=2).id == one.id
    assert log_from_otlp(record(**{**base, "attributes": {"b": 2, "a": 1}})).id == one.id
    others = [
        log_from_otlp(record(**base), 1),
        log_from_otlp(record(**{**base, "body": "y"})),
        log_from_otlp(record(**{**base, "time_ns": NS + 1})),
        log_from_otlp(record(**{**base, "attributes": {"a": 1}})),
        log_from_otlp(record(**base, resource=Resource({"service.name": "z"}))),
    ]
    assert len({one.id, *(other.id for other in others)}) == 6


# ── metrics ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def only(found):
    (row,) = found
    return row


def test_sum_and_gauge():
    """Whole numbers and fractions have a column each."""
    whole = only(
        metrics_from_otlp(
            metric(
                DataPoint({"model": "m", "session.id": "s"}, NS - 9, NS, value=12),
                name="claude_code.token.usage",
                description="d",
                unit="{token}",
                metric_type="sum",
                temporality=1,
                is_monotonic=True,
                resource=Resource({"service.name": "app"}),
                scope=Scope("s"),
            )
        )
    )
    assert (whole.value_int, whole.value_double, whole.metric_type, whole.temporality) == (12, None, "sum", "delta")
    assert (whole.start_ns, whole.time_ns, whole.is_monotonic, whole.unit) == (NS - 9, NS, True, "{token}")
    assert (whole.service_name, whole.scope_name, whole.session_id, whole.tool) == ("app", "s", "s", "claude-code")
    assert whole.histogram_data is None
    gauge = only(metrics_from_otlp(metric(DataPoint(value=0.5), temporality=0), now_ns=NS))
    assert (gauge.value_int, gauge.value_double, gauge.temporality, gauge.time_ns) == (None, 0.5, None, NS)


def test_distributions():
    """Histograms of both kinds and summaries: count and sum in the columns, the rest as it was."""
    histogram = DataPoint(count=3, sum=6.0, min=1.0, max=3.0, bucket_counts=[1, 2], explicit_bounds=[2.0])
    row = only(metrics_from_otlp(metric(histogram, metric_type="histogram")))
    assert (row.value_int, row.value_double) == (3, 6.0)
    assert row.histogram_data == {
        "count": 3, "sum": 6.0, "min": 1.0, "max": 3.0, "bucketCounts": [1, 2], "explicitBounds": [2.0],
    }  # fmt: skip
    exponential = DataPoint(count=3, scale=2, zero_count=1, positive_offset=-1, positive_counts=[1, 1])
    row = only(metrics_from_otlp(metric(exponential, metric_type="exponential_histogram")))
    assert (row.value_int, row.value_double) == (3, None)
    assert row.histogram_data["positive"] == {"offset": -1, "bucketCounts": [1, 1]}
    assert (row.histogram_data["scale"], row.histogram_data["zeroCount"]) == (2, 1)
    summary = DataPoint(count=2, sum=3.0, quantiles=[(0.5, 1.0)])
    row = only(metrics_from_otlp(metric(summary, metric_type="summary")))
    assert row.histogram_data == {"count": 2, "sum": 3.0, "quantileValues": [{"quantile": 0.5, "value": 1.0}]}


def test_no_recorded_value():
    """A point that says nothing was recorded is kept without a value."""
    row = only(metrics_from_otlp(metric(DataPoint(value=5, flags=1), metric_type="sum")))
    assert (row.value_int, row.value_double, row.detail) == (None, None, {"flags": 1})
    row = only(metrics_from_otlp(metric(DataPoint(count=5, sum=1.0, flags=1), metric_type="histogram")))
    assert (row.value_int, row.value_double) == (None, None)


def test_odd_values():
    """Endless values and counts beyond 64 bits are kept where they can be."""
    nan = only(metrics_from_otlp(metric(DataPoint(value=math.nan))))
    assert (nan.value_int, nan.value_double, nan.detail) == (None, None, {"value": "nan"})
    assert math.isnan(otlp_from_metric(nan).points[0].value)
    huge = only(metrics_from_otlp(metric(DataPoint(count=2**64 - 1, sum=math.inf), metric_type="histogram")))
    assert (huge.value_int, huge.value_double) == (2**63 - 1, None)
    assert otlp_from_metric(huge).points[0].count == 2**64 - 1
    assert otlp_from_metric(huge).points[0].sum == math.inf


def test_exemplars():
    """Exemplars keep the ids of the spans they were measured in."""
    exemplar = Exemplar(NS, 7, "a" * 32, "b" * 16, {"k": b"x"})
    row = only(metrics_from_otlp(metric(DataPoint(value=1, exemplars=[exemplar, Exemplar()]))))
    assert row.detail["exemplars"] == [
        {
            "value": 7, "time_ns": str(NS), "trace_id": "a" * 32, "span_id": "b" * 16,
            "filtered_attributes": {"k": {"bytesValue": "eA=="}},
        },
        {"value": None},
    ]  # fmt: skip
    assert otlp_from_metric(row).points[0].exemplars == [exemplar, Exemplar()]


def test_series():
    """A series is resource, scope, name and attributes, in any order; each point of it has an id of its own."""
    told = {"resource": Resource({"a": 1, "b": 2}), "metric_type": "sum"}
    points = [DataPoint({"x": 1, "y": 2}, NS, NS, value=1), DataPoint({"y": 2, "x": 1}, NS, NS + 1, value=1)]
    first, second = metrics_from_otlp(metric(*points, **told))
    assert first.series == second.series
    assert first.id != second.id
    again = only(metrics_from_otlp(metric(points[0], **{**told, "resource": Resource({"b": 2, "a": 1})})))
    assert again.id == first.id
    others = [
        metric(points[0], **told, name="n"),
        metric(points[0], **told, scope=Scope("s")),
        metric(points[0], **{**told, "resource": Resource({"a": 1})}),
        metric(DataPoint({"x": 1}, NS, NS, value=1), **told),
    ]
    assert len({first.series, *(only(metrics_from_otlp(other)).series for other in others)}) == 5


# ── there and back ───────────────────────────────────────────────────────────────────────────────────────────────────

_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
_HEX = st.sampled_from(["", "a" * 32])
_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | _TEXT.filter(lambda text: text not in ("NaN", "Infinity", "-Infinity"))
    | st.binary(max_size=4)
)
_VALUES = st.recursive(
    _SCALARS | st.floats(allow_nan=False),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(_TEXT.filter(lambda text: text != "bytesValue"), inner, max_size=3)
    ),
    max_leaves=6,
)
_ATTRIBUTES = st.dictionaries(_TEXT, _VALUES, max_size=3)
_TIMES = st.integers(0, 2**64 - 1)
_RESOURCES = st.builds(Resource, _ATTRIBUTES, st.integers(0, 9), _TEXT)
_SCOPES = st.builds(Scope, _TEXT, _TEXT, _ATTRIBUTES, st.integers(0, 9), _TEXT)
_LOGS = st.builds(
    LogRecord, _RESOURCES, _SCOPES, _TIMES, _TIMES, st.integers(0, 24), st.just("") | st.just("warn"), _VALUES,
    _ATTRIBUTES, st.integers(0, 9), st.integers(0, 1), _HEX, st.sampled_from(["", "b" * 16]), st.sampled_from(["", "e.n"]),
)  # fmt: skip
_FLOATS = st.floats(allow_nan=False)
_COUNTS = st.lists(st.integers(0, 2**64 - 1), max_size=3)
_EXEMPLARS = st.builds(Exemplar, _TIMES, st.none() | st.integers(-9, 9) | _FLOATS, _HEX, st.just(""), _ATTRIBUTES)
_POINTS = {
    "gauge": st.builds(DataPoint, _ATTRIBUTES, _TIMES, _TIMES, st.just(0), st.integers(-(2**63) + 1, 2**63 - 1) | _FLOATS,
                       exemplars=st.lists(_EXEMPLARS, max_size=2)),
    "histogram": st.builds(DataPoint, _ATTRIBUTES, _TIMES, _TIMES, st.just(0), count=st.integers(0, 2**64 - 1),
                           sum=st.none() | _FLOATS, min=st.none() | _FLOATS, max=st.none() | _FLOATS,
                           bucket_counts=_COUNTS, explicit_bounds=st.lists(_FLOATS, max_size=3)),
    "exponential_histogram": st.builds(DataPoint, _ATTRIBUTES, _TIMES, _TIMES, count=st.integers(0, 9),
                                       scale=st.integers(-9, 9), zero_count=st.integers(0, 9), zero_threshold=_FLOATS,
                                       positive_offset=st.integers(-9, 9), positive_counts=_COUNTS,
                                       negative_offset=st.integers(-9, 9), negative_counts=_COUNTS),
    "summary": st.builds(DataPoint, _ATTRIBUTES, _TIMES, _TIMES, count=st.integers(0, 9), sum=_FLOATS,
                         quantiles=st.lists(st.tuples(_FLOATS, _FLOATS), max_size=2)),
}  # fmt: skip
_METRICS = st.sampled_from([*_POINTS, "sum"]).flatmap(
    lambda kind: st.builds(
        OtlpMetric, _RESOURCES, _SCOPES, st.just("name"), _TEXT, st.just("") | st.just("ms"), st.just(kind),
        st.integers(0, 2), st.booleans(), _ATTRIBUTES, st.lists(_POINTS["gauge" if kind == "sum" else kind], min_size=1, max_size=1),
    )
)  # fmt: skip


def stored(row) -> dict:
    """Return a row as the store gives it back: JSON columns as text, the rest as it is."""
    told = {name: getattr(row, name) for name in row.__dataclass_fields__}
    for name in ("attributes", "resource_attributes", "detail", "histogram_data"):
        if name in told:
            told[name] = json.dumps(told[name]) if told[name] is not None else None
    return told


@settings(max_examples=100, deadline=None)
@given(_LOGS)
def test_log_round_trip(log):
    """A log record comes back from its row, stored or not, as it was."""
    row = log_from_otlp(log, now_ns=5)
    back = otlp_from_log(row)
    assert otlp_from_log(stored(row)) == back
    log.severity_text = back.severity_text  # named by its number where it came without
    log.observed_ns = log.observed_ns or 5
    log.time_ns = log.time_ns or back.time_ns
    assert back == log


@settings(max_examples=100, deadline=None)
@given(_METRICS)
def test_metric_round_trip(told):
    """A data point comes back from its row, stored or not, as it was."""
    row = only(metrics_from_otlp(told, now_ns=5))
    back = otlp_from_metric(row)
    assert otlp_from_metric(stored(row)) == back
    told.points[0].time_ns = told.points[0].time_ns or back.points[0].time_ns
    assert back == told
