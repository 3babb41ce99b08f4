"""Metric data points: written once, listed, filtered, whole again in their detail."""

from __future__ import annotations

import pytest
from store_help import make_point

from llmflow_web.store import metrics as metric_store
from llmflow_web.store.metrics import MetricQuery, get_metric, list_metrics, metric_filters


@pytest.fixture
def points(hand):
    """Data points of three metrics."""
    tokens = {"metric_type": "sum", "temporality": "delta", "service_name": "a", "attributes": {"type": "input"}}
    hand.commit(
        make_point("m1", 1, "token.usage", value_int=5, session_id="s", **tokens),
        make_point("m2", 2, "token.usage", value_int=7, **tokens),
        make_point("m3", 3, "latency", metric_type="gauge", value_double=1.5, service_name="b", tool="aider"),
        make_point("m4", 4, "sizes", metric_type="histogram", value_int=2, histogram_data={"count": 2}),
    )
    return hand


@pytest.mark.parametrize("most", [20_000, 0])
@pytest.mark.parametrize(
    ("query", "ids"),
    [
        (MetricQuery(), ["m4", "m3", "m2", "m1"]),
        (MetricQuery(limit=2, offset=1), ["m3", "m2"]),
        (MetricQuery(name="token.usage"), ["m2", "m1"]),
        (MetricQuery(name="token.usage", date_from=2), ["m2"]),
        (MetricQuery(metric_type="gauge", service_name="b"), ["m3"]),
        (MetricQuery(metric_type="gauge", service_name="a"), []),
        (MetricQuery(session_id="s"), ["m2", "m1"]),
        (MetricQuery(tool="aider"), ["m3"]),
        (MetricQuery(date_from=2, date_to=3), ["m3", "m2"]),
    ],
)
def test_points_are_filtered_and_counted(points, query, ids, most, monkeypatch):
    """Every filter narrows list and total, whether a list is gathered by series or walked from the newest."""
    monkeypatch.setattr(metric_store, "MAX_SORTED_POINTS", most)
    found = list_metrics(points.connection, query)
    assert [row["id"] for row in found["metrics"]] == ids
    assert found["total"] == (4 if query.limit == 2 else len(ids))


def test_a_point_has_objects_in_its_detail(points):
    """Attributes and histogram are parsed, JSON columns of lists are text, what a series shares is with each point."""
    found = get_metric(points.connection, "m4")
    assert (found["histogram_data"], found["attributes"], found["temporality"]) == ({"count": 2}, {}, None)
    found = get_metric(points.connection, "m2")
    assert (found["attributes"], found["time_ns"], found["start_ns"]) == ({"type": "input"}, "2000000", None)
    assert list_metrics(points.connection, MetricQuery())["metrics"][3]["attributes"] == '{"type":"input"}'
    assert get_metric(points.connection, "unknown") is None


def test_names_and_services_are_listed_once(points):
    """The filters offer what there is, in order."""
    assert metric_filters(points.connection) == {"names": ["latency", "sizes", "token.usage"], "services": ["a", "b"]}


def test_what_a_series_has_in_common_is_stored_once(hand):
    """A thousand points have one row of names and attributes; of what differs each keeps its own."""
    hand.commit(*(make_point(str(n), n, detail={"scope": "s"}, value_int=n) for n in range(1000)))
    hand.commit(make_point("other", detail={"scope": "s", "exemplars": [1]}), make_point("none"))
    assert hand.one("SELECT COUNT(*) FROM metric_series") == 1
    assert hand.one("SELECT COUNT(*) FROM metric_points WHERE detail IS NOT NULL") == 2
    details = [get_metric(hand.connection, key)["detail"] for key in ("7", "other", "none")]
    assert details == [{"scope": "s"}, {"scope": "s", "exemplars": [1]}, None]


def test_a_time_of_its_own_is_not_taken_for_the_series(hand):
    """What can be no other point's stays out of the shared row, so that the next point need not deny it."""
    hand.commit(make_point("1", detail={"scope": "s", "time_ns": "1"}), make_point("2", detail={"scope": "s"}))
    assert hand.all("SELECT detail FROM metric_points ORDER BY id") == [('{"time_ns":"1"}',), (None,)]
    assert get_metric(hand.connection, "1")["detail"] == {"scope": "s", "time_ns": "1"}


def test_a_series_that_changes_its_kind_is_another(hand):
    """The same series as delta and as cumulative is kept apart: their sums are not alike."""
    hand.commit(make_point("1", temporality="delta"), make_point("2", temporality="cumulative"))
    assert hand.one("SELECT COUNT(*) FROM metric_series") == 2


def test_the_same_point_again_changes_nothing(hand):
    """Ids are unique, within a batch and over batches."""
    assert len(hand.commit(make_point("m", value_int=1), make_point("m", value_int=2)).metrics) == 1
    assert hand.commit(make_point("m", value_int=3)).metrics == []
    assert (hand.one("SELECT value_int FROM metrics"), hand.counters.metrics) == (1, 1)


def test_a_number_json_has_no_word_for_is_null(hand):
    """Endless and not-a-number doubles are stored as null: the row can always be sent."""
    hand.commit(make_point("inf", value_double=float("inf")), make_point("nan", value_double=float("nan")))
    assert hand.all("SELECT value_double FROM metrics") == [(None,), (None,)]
