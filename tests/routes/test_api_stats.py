"""Totals, models, sessions, timeline, analytics, logs and metrics: the contract's shapes over a real database."""

import pytest
from routes.api_rig import NOW, ApiRig

from llmflow_web.model import Log, Metric, Row, Span
from llmflow_web.store import commit
from llmflow_web.store.counters import Counters

NOW_NS = int(NOW) * 1_000_000_000
DAY_NS = 86_400 * 1_000_000_000


def row(key: str, **more) -> Row:
    base = {
        "start_ns": NOW_NS, "duration_ns": 100_000_000, "provider": "openai", "model": "gpt-4o", "status": 200,
        "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "estimated_cost": 0.25,
        "service_name": "claude-code",
    }  # fmt: skip
    return Row(Span(f"t-{key}", key, **(base | more)))


def log(key: str, **more) -> Log:
    base = {"severity_number": 9, "severity_text": "INFO", "body": "it ran", "service_name": "svc",
            "event_name": "run", "attributes": {"a": 1}}  # fmt: skip
    return Log(key, NOW_NS, **(base | more))


def metric(key: str, **more) -> Metric:
    base = {"metric_type": "sum", "temporality": "delta", "value_int": 3, "service_name": "svc",
            "attributes": {"model": "m", "type": "input"}}  # fmt: skip
    return Metric(key, "series", NOW_NS, "token.usage", **(base | more))


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    with ApiRig(tmp_path_factory.mktemp("data")) as rig:
        rig.store(
            row("a", session_id="S", agent_name="planner"),
            row("b", session_id="S", status=500, start_ns=NOW_NS - DAY_NS),
            row("c", model="o3", provider="groq", service_name=None, estimated_cost=None),
        )
        items = [log("l1"), log("l2", severity_number=17, body="it broke", trace_id="t-a"),
                 metric("m1"), metric("m2", value_int=4)]  # fmt: skip
        rig.database.call(lambda connection: commit.insert(connection, items, Counters(), 0)).result(5)
        yield rig


def test_stats(rig: ApiRig) -> None:
    """Totals have the contract's names and true sums; a filter narrows them."""
    found = rig.get("/api/stats").json
    assert (found["total_requests"], found["total_tokens"], found["total_cost"]) == (3, 45, 0.5)
    assert (found["error_count"], found["avg_duration"], found["total_duration"]) == (1, 100.0, 300.0)
    assert found["models"][0] == {**found["models"][0], "model": "gpt-4o", "count": 2, "tokens": 30, "cost": 0.5}
    assert rig.get("/api/stats?model=o3").json["total_requests"] == 1


def test_stats_of_nothing(tmp_path) -> None:
    """An empty database has zeros, and null errors as clients know it."""
    with ApiRig(tmp_path) as rig:
        found = rig.get("/api/stats").json
    assert (found["total_requests"], found["total_cost"], found["error_count"], found["models"]) == (0, 0, None, [])


def test_models(rig: ApiRig) -> None:
    """Models are objects with true figures."""
    first, second = rig.get("/api/models").json
    assert (first["model"], first["request_count"], first["prompt_tokens"], first["total_cost"]) == (
        "gpt-4o",
        2,
        20,
        0.5,
    )
    assert first["avg_latency"] == 100.0
    assert second["model"] == "o3"


def test_sessions(rig: ApiRig) -> None:
    """Sessions are listed with their sums, one holds its traces in order."""
    found = rig.get("/api/sessions").json
    assert found["total"] == 1
    session = found["sessions"][0]
    assert (session["session_id"], session["trace_count"], session["total_cost"]) == ("S", 2, 0.5)
    assert (session["agent_name"], session["last_seen"]) == ("planner", NOW * 1000)
    one = rig.get("/api/sessions/S").json
    assert [trace["trace_id"] for trace in one["traces"]] == ["t-b", "t-a"]
    assert [trace["has_error"] for trace in one["traces"]] == [1, 0]
    assert (one["summary"]["spans"], one["summary"]["errors"]) == (2, 1)


def test_timeline(rig: ApiRig) -> None:
    """The timeline mixes spans and logs; type and tool narrow it; metrics are none of it."""
    kinds = [item["type"] for item in rig.get("/api/timeline").json]
    assert (kinds.count("trace"), kinds.count("log")) == (3, 2)
    item = rig.get("/api/timeline?type=trace&tool=claude-code&limit=1").json[0]
    assert (item["title"], item["tool"], item["tokens"]) == ("gpt-4o", "claude-code", 15)
    assert rig.get("/api/timeline?type=metric").json == []


def test_analytics(rig: ApiRig) -> None:
    """Analytics come together and one by one, under both sets of names."""
    found = rig.get("/api/analytics?days=2").json
    assert found["days"] == 2
    assert [day["requests"] for day in found["daily"]] == [0, 1, 2]
    today = found["daily"][-1]
    assert (today["date"], today["tokens"], today["total_tokens"], today["request_count"]) == ("2025-11-22", 30, 30, 2)
    assert found["by_tool"][0]["tool"] == "Claude Code"
    assert found["by_model"][0]["model"] == "gpt-4o"
    assert rig.get("/api/analytics/daily?days=2").json == {"daily": found["daily"], "days": 2}
    assert rig.get("/api/analytics/cost-by-tool?days=2").json == {"by_tool": found["by_tool"], "days": 2}
    assert rig.get("/api/analytics/cost-by-model?days=2").json == {"by_model": found["by_model"], "days": 2}
    assert rig.get("/api/analytics/daily?days=0").json == {"daily": [], "days": 0}
    assert rig.get("/api/analytics/cost-by-model?days=2&provider=groq").json["by_model"][0]["model"] == "o3"


def test_token_trends(rig: ApiRig) -> None:
    """Trends come per hour or day; an unknown interval is hours."""
    days = rig.get("/api/analytics/token-trends?interval=day&days=1").json
    assert (days["interval"], [bucket["label"] for bucket in days["trends"]]) == ("day", ["2025-11-21", "2025-11-22"])
    hours = rig.get("/api/analytics/token-trends?interval=moon&days=1").json
    assert (hours["interval"], len(hours["trends"])) == ("hour", 25)
    assert hours["trends"][-1]["label"] == "2025-11-22 08:00"


def test_percentiles(rig: ApiRig) -> None:
    """Percentiles come over the window and per bucket."""
    found = rig.get("/api/analytics/percentiles?interval=day&days=1").json
    assert 50 < found["overall"]["p50_ms"] < 200
    assert len(found["buckets"]) == 2


def test_logs(rig: ApiRig) -> None:
    """Logs are listed with attributes as text, one alone with attributes as an object; filters narrow."""
    found = rig.get("/api/logs").json
    assert found["total"] == 2
    assert found["logs"][0]["attributes"] == '{"a":1}'
    assert [one["id"] for one in rig.get("/api/logs?severity_min=17").json["logs"]] == ["l2"]
    assert [one["id"] for one in rig.get("/api/logs?trace_id=t-a").json["logs"]] == ["l2"]
    assert [one["id"] for one in rig.get("/api/logs?q=RAN").json["logs"]] == ["l1"]
    assert rig.get("/api/logs/l1").json["attributes"] == {"a": 1}
    assert rig.get("/api/logs/filters").json == {"services": ["svc"], "event_names": ["run"]}


def test_metrics(rig: ApiRig) -> None:
    """Metrics are listed, summarised and counted as tokens, under all their routes."""
    found = rig.get("/api/metrics?name=token.usage").json
    assert (found["total"], len(found["metrics"])) == (2, 2)
    summary = rig.get("/api/metrics/summary").json
    assert rig.get("/api/metrics?aggregation=summary").json == {"summary": summary}
    assert (summary[0]["name"], summary[0]["data_points"], summary[0]["sum_int"]) == ("token.usage", 2, 7)
    usage = rig.get("/api/token-usage").json
    assert usage == [
        {"service_name": "svc", "model": "m", "token_type": "input", "name": "token.usage", "total_tokens": 7}
    ]
    assert rig.get("/api/metrics/tokens").json == {"usage": usage}
    assert rig.get("/api/metrics/filters").json == {"names": ["token.usage"], "services": ["svc"]}
    assert rig.get("/api/metrics/m1").json["attributes"] == {"model": "m", "type": "input"}


def test_a_metric_over_time(rig: ApiRig) -> None:
    """Equal buckets up to now; its name is needed, nonsense is refused."""
    to = int(NOW * 1000)
    found = rig.get(f"/api/metrics/series?name=token.usage&date_from={to - 9}&date_to={to}&points=2").json
    assert [point["value"] for point in found["points"]] == [0, 7]
    assert (
        rig.get(f"/api/metrics/series?name=token.usage&service_name=svc&date_to={to}").json["points"][-1]["value"] == 7
    )
    assert rig.get("/api/metrics/series").status == 400
    assert rig.get("/api/metrics/series?name=x&points=201").status == 400


def test_telemetry_is_narrowed_by_session_tool_and_span(rig: ApiRig) -> None:
    """The filters of both lists reach their queries, totals included."""
    assert rig.get("/api/logs?trace_id=t-a&span_id=none").json["total"] == 0
    assert rig.get("/api/logs?tool=codex-cli").json["total"] == 0
    assert rig.get("/api/logs?q=broke").json["total"] == 1
    assert rig.get("/api/metrics?session_id=none").json["total"] == 0
    assert rig.get("/api/metrics/tokens?session_id=none").json == {"usage": []}
    assert rig.get("/api/timeline?date_to=1").json == []
    assert rig.get("/api/traces?joined=1").json == []
    assert rig.get("/api/traces?joined=maybe").status == 400
