"""Log records: written once, filtered, counted, searched, told of."""

from __future__ import annotations

import pytest
from store_help import make_log, make_point, make_row

from llmflow_web.store import logs as log_store
from llmflow_web.store.logs import LogQuery, get_log, list_logs, log_filters, logs_of_trace, newest_logs


@pytest.fixture
def logs(hand):
    """Six log records."""
    hand.commit(
        *(
            make_log(
                f"l{n}",
                100 + n,
                severity_number=5 + 3 * n,
                body=f"body {n}",
                trace_id=f"t{n % 2}",
                span_id=f"s{n % 3}",
                event_name=["start", None][n % 2],
                service_name=["a", "b", None][n % 3],
                session_id=["x", None][n % 2],
                tool="codex-cli" if n == 4 else None,
                attributes={"n": n},
            )
            for n in range(6)
        )
    )
    return hand


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        (LogQuery(), ["l5", "l4", "l3", "l2", "l1", "l0"]),
        (LogQuery(service_name="a"), ["l3", "l0"]),
        (LogQuery(event_name="start", trace_id="t0"), ["l4", "l2", "l0"]),
        (LogQuery(trace_id="t0", span_id="s1"), ["l4"]),
        (LogQuery(session_id="x", service_name="a"), ["l0"]),
        (LogQuery(tool="codex-cli"), ["l4"]),
        (LogQuery(severity_min=14), ["l5", "l4", "l3"]),
        (LogQuery(severity_min=18), ["l5"]),
        (LogQuery(severity_min=17, service_name="b"), ["l4"]),
        (LogQuery(q="BODY 3"), ["l3"]),
        (LogQuery(q='"n":2'), ["l2"]),
        (LogQuery(q="body", event_name="start"), ["l4", "l2", "l0"]),
        (LogQuery(date_from=102, date_to=103), ["l3", "l2"]),
        (LogQuery(date_from=2**60, date_to=2**60), []),
    ],
)
def test_logs_are_filtered_and_counted(logs, query, ids):
    """Every filter narrows both the list and `total`; attributes stay JSON text."""
    found = list_logs(logs.connection, query)
    assert [row["id"] for row in found["logs"]] == ids
    assert found["total"] == len(ids)
    assert all(row["attributes"].startswith('{"n":') for row in found["logs"])
    assert [row["id"] for row in newest_logs(logs.connection, query)] == ids


@pytest.mark.parametrize("q", [None, "body"])
def test_logs_come_in_pages_with_the_whole_total(logs, q):
    """Limit and offset cut the list, not the total."""
    found = list_logs(logs.connection, LogQuery(limit=2, offset=1, q=q))
    assert ([row["id"] for row in found["logs"]], found["total"]) == (["l4", "l3"], 6)
    assert [row["id"] for row in newest_logs(logs.connection, LogQuery(limit=2, offset=1, q=q))] == ["l4", "l3"]


def test_a_search_looks_at_the_newest_and_says_so(logs, monkeypatch):
    """Free text is looked for in so many records; what is older is not found, and the answer has a note."""
    assert "note" not in list_logs(logs.connection, LogQuery(q="body"))
    monkeypatch.setattr(log_store, "MAX_SEARCHED_ROWS", 3)
    found = list_logs(logs.connection, LogQuery(q="body"))
    assert (found["total"], found["note"]) == (3, "Searched in the newest 3 logs.")


def test_a_log_has_objects_in_its_detail(logs):
    """Attributes are parsed; bad JSON is an empty object; unknown is None."""
    logs.commit(make_log("whole", 1, observed_ns=5_000_000, detail={"flags": 1}, resource_attributes={"host": "h"}))
    found = get_log(logs.connection, "whole")
    assert (found["timestamp"], found["time_ns"], found["observed_timestamp"], found["observed_ns"]) == (
        1, "1000000", 5, "5000000",
    )  # fmt: skip
    assert (found["detail"], found["resource_attributes"]) == ({"flags": 1}, {"host": "h"})
    logs.connection.execute("UPDATE logs SET attributes = '{' WHERE id = 'l1'")
    assert get_log(logs.connection, "l1")["attributes"] == {}
    assert get_log(logs.connection, "unknown") is None


def test_services_and_events_are_listed_once(logs):
    """The filters offer what there is, in order."""
    assert log_filters(logs.connection) == {"services": ["a", "b"], "event_names": ["start"]}


def test_a_trace_gives_its_records_oldest_first(logs):
    """Of the whole trace or of one span, as objects."""
    found = logs_of_trace(logs.connection, "t1")
    assert [(row["id"], row["attributes"]) for row in found] == [("l1", {"n": 1}), ("l3", {"n": 3}), ("l5", {"n": 5})]
    assert [row["id"] for row in logs_of_trace(logs.connection, "t1", "s0")] == ["l3"]


def test_the_same_record_again_changes_nothing(logs):
    """Ids are unique: a re-sent batch is neither counted nor told of twice."""
    new = logs.commit(make_log("l0"), make_log("new", body="first"), make_log("new", body="second")).logs
    assert [log.body for log in new] == ["first"]
    assert logs.counters.logs == logs.one("SELECT COUNT(*) FROM logs") == 7


def test_spans_logs_and_points_go_in_together(live):
    """One batch holds all three, tells of the new ones with the contract's summaries, and counts them as rows."""
    live.put(make_row(id="s"), make_log("l", 5, body="x" * 300, trace_id="t"), make_point("m", 7, value_int=3))
    live.put(make_log("l", 5))
    batch, again = live.batches
    assert [row["id"] for row in batch.rows] == ["s"]
    assert batch.logs == [
        {"id": "l", "timestamp": 5, "severity_text": None, "event_name": None, "service_name": None, "trace_id": "t",
         "body": "x" * 200}
    ]  # fmt: skip
    assert batch.metrics == [
        {"id": "m", "timestamp": 7, "name": "m", "metric_type": None, "value_int": 3, "value_double": None,
         "service_name": None}
    ]  # fmt: skip
    assert (again.rows, again.logs, again.stats_changed) == ([], [], False)
    assert live.database.committed_rows == 4


def test_a_record_sqlite_cannot_hold_is_kept_in_part(live):
    """Lone surrogates and endless numbers cost themselves, not the record, nor its neighbours."""
    live.put(
        make_log("bad", body="a\ud800", attributes={"k\udfff": ["\ud800"]}, severity_number=2**70),
        make_log("good"),
        make_point("m", value_int=2**70, histogram_data={"sum": float("inf")}),
    )
    found = live.read(get_log, "bad")
    assert (found["body"], found["attributes"], found["severity_number"]) == ("a?", {"k?": ["?"]}, 2**63 - 1)
    assert live.one("SELECT COUNT(*) FROM logs") == 2
    assert live.one("SELECT value_int FROM metrics") == 2**63 - 1
    assert live.database.lost_rows == 0
