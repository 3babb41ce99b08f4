"""Logs and metrics: lists, filters, details, sums."""

from __future__ import annotations

import pytest

from llmflow_web.store import telemetry
from llmflow_web.store.telemetry import LogQuery, MetricQuery


@pytest.fixture
def logs(hand):
    """Six log records."""
    rows = [
        {"id": f"l{n}", "timestamp": 100 + n, "severity_number": 5 + n, "body": f"body {n}", "trace_id": f"t{n % 2}",
         "event_name": ["start", None][n % 2], "service_name": ["a", "b", None][n % 3], "attributes": {"n": n},
         "resource_attributes": {}}
        for n in range(6)
    ]  # fmt: skip
    hand.transact(lambda c: telemetry.insert_logs(c, rows, hand.counters))
    return hand


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        (LogQuery(), ["l5", "l4", "l3", "l2", "l1", "l0"]),
        (LogQuery(service_name="a"), ["l3", "l0"]),
        (LogQuery(event_name="start", trace_id="t0"), ["l4", "l2", "l0"]),
        (LogQuery(severity_min=9), ["l5", "l4"]),
        (LogQuery(q="BODY 3"), ["l3"]),
        (LogQuery(q='"n":2'), ["l2"]),
        (LogQuery(date_from=102, date_to=103), ["l3", "l2"]),
    ],
)
def test_logs_are_filtered_and_counted(logs, query, ids):
    """Every filter narrows both the list and `total`; attributes stay JSON text."""
    found = telemetry.list_logs(logs.connection, query)
    assert [row["id"] for row in found["logs"]] == ids
    assert found["total"] == len(ids)
    assert found["logs"][0]["attributes"].startswith('{"n":')


def test_logs_come_in_pages_with_the_whole_total(logs):
    """Limit and offset cut the list, not the total."""
    found = telemetry.list_logs(logs.connection, LogQuery(limit=2, offset=1))
    assert ([row["id"] for row in found["logs"]], found["total"]) == (["l4", "l3"], 6)


def test_a_log_has_objects_in_its_detail(logs):
    """Attributes are parsed; bad JSON is an empty object; unknown is None."""
    assert telemetry.get_log(logs.connection, "l1")["attributes"] == {"n": 1}
    logs.connection.execute("UPDATE logs SET attributes = '{' WHERE id = 'l1'")
    assert telemetry.get_log(logs.connection, "l1")["attributes"] == {}
    assert telemetry.get_log(logs.connection, "unknown") is None
    assert telemetry.log_filters(logs.connection) == {"services": ["a", "b"], "event_names": ["start"]}


def test_the_same_record_again_changes_nothing(logs):
    """Ids are unique: a re-sent batch is not counted twice."""
    again = [{"id": "l0", "timestamp": 1}, {"id": "new", "timestamp": 1}]
    assert logs.transact(lambda c: telemetry.insert_logs(c, again, logs.counters)) == 1
    assert logs.counters.logs == 7


@pytest.fixture
def metrics(hand):
    """Data points of three metrics."""
    rows = [
        {"id": "m1", "timestamp": 1, "name": "token.usage", "metric_type": "sum", "value_int": 5, "service_name": "a",
         "attributes": {"model": "x", "type": "input"}},
        {"id": "m2", "timestamp": 2, "name": "token.usage", "metric_type": "sum", "value_int": 7, "service_name": "a",
         "attributes": {"model": "x", "type": "input"}},
        {"id": "m3", "timestamp": 3, "name": "latency", "metric_type": "gauge", "value_double": 1.5,
         "service_name": "b"},
        {"id": "m4", "timestamp": 4, "name": "sizes", "metric_type": "histogram", "value_int": 2,
         "histogram_data": {"count": 2}},
    ]  # fmt: skip
    hand.transact(lambda c: telemetry.insert_metrics(c, rows, hand.counters))
    return hand


def test_metrics_are_listed_summed_and_detailed(metrics):
    """Lists, filters, summary per name and service, tokens per model and type."""
    connection = metrics.connection
    assert [row["id"] for row in telemetry.list_metrics(connection, MetricQuery())["metrics"]] == [
        "m4", "m3", "m2", "m1",
    ]  # fmt: skip
    assert telemetry.list_metrics(connection, MetricQuery(name="token.usage", date_from=2))["total"] == 1
    assert telemetry.list_metrics(connection, MetricQuery(metric_type="gauge", service_name="b"))["total"] == 1
    first = telemetry.metric_summary(connection)[0]
    assert first == {"name": "token.usage", "service_name": "a", "metric_type": "sum", "data_points": 2,
                     "first_seen": 1, "last_seen": 2, "sum_int": 12, "avg_double": None, "max_int": 7, "min_int": 5}  # fmt: skip
    assert len(telemetry.metric_summary(connection, date_from=3, date_to=3)) == 1
    assert telemetry.token_usage(connection) == [
        {"service_name": "a", "model": "x", "token_type": "input", "total_tokens": 12}
    ]
    assert telemetry.metric_filters(connection) == {
        "names": ["latency", "sizes", "token.usage"],
        "services": ["a", "b"],
    }
    assert telemetry.get_metric(connection, "m4")["histogram_data"] == {"count": 2}
    assert telemetry.get_metric(connection, "m3")["attributes"] == {}
    assert telemetry.get_metric(connection, "m3")["histogram_data"] is None
