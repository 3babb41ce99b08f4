"""Sessions and the timeline."""

from __future__ import annotations

from store_help import START_NS, make_log, make_row

from llmflow_web.store import groups
from llmflow_web.store.logs import remove_oldest_logs
from llmflow_web.wire.filter import Filter

S = 1_000_000_000


def test_sessions_come_last_seen_first(hand):
    """With their distinct traces, sums and ends."""
    hand.insert(
        make_row(trace_id="t1", session_id="a", start_ns=START_NS, agent_name="helper"),
        make_row(trace_id="t1", session_id="a", start_ns=START_NS + 5 * S, service_name="app"),
        make_row(trace_id="t2", session_id="a", start_ns=START_NS + 1 * S, estimated_cost=None, user_id="u"),
        make_row(trace_id="t3", session_id="b", start_ns=START_NS + 9 * S, status=500),
    )
    found = groups.sessions(hand.connection)
    assert found["total"] == 2
    assert [row["session_id"] for row in found["sessions"]] == ["b", "a"]
    start = START_NS // 1_000_000
    assert found["sessions"][1] == {
        "session_id": "a", "first_seen": start, "last_seen": start + 5000, "trace_count": 2, "span_count": 3,
        "error_count": 0, "total_tokens": 90, "total_cost": 0.5, "unpriced_count": 1, "agent_name": "helper",
        "service_name": "app", "user_id": "u", "log_count": 0, "turns": 2, "tool_calls": 0, "models": ["gpt-4o"],
    }  # fmt: skip
    assert [row["session_id"] for row in groups.sessions(hand.connection, 1, 1)["sessions"]] == ["a"]
    assert groups.sessions(hand.connection, q="HELP")["total"] == 1


def test_a_session_shows_its_traces_in_order(hand):
    """Only the session's own spans count, traces in the order they started."""
    hand.insert(
        make_row(trace_id="late", session_id="s", start_ns=START_NS + 5 * S, duration_ns=S),
        make_row(trace_id="early", session_id="s", start_ns=START_NS, status=500),
        make_row(trace_id="early", session_id=None),
        make_row(trace_id="early", session_id="s", start_ns=START_NS + S, counts=False, estimated_cost=None),
        make_row(trace_id="early", session_id="s", start_ns=START_NS + S, estimated_cost=None),
    )
    found = groups.session(hand.connection, "s")
    rows = [(t["trace_id"], t["span_count"], t["has_error"], t["tokens"], t["unpriced_count"]) for t in found["traces"]]
    assert rows == [("early", 3, 1, 60, 1), ("late", 1, 0, 30, 0)]
    assert found["traces"][1]["ended_at"] - found["traces"][1]["started_at"] == 1000
    assert found["summary"] == {
        "cost": 0.5, "tokens": 90, "spans": 4, "errors": 1, "unpriced_count": 1, "logs": 0, "turns": 2,
        "tool_calls": 0, "models": ["gpt-4o"],
    }  # fmt: skip
    assert groups.session(hand.connection, "unknown") is None


def test_a_session_shows_what_its_trace_is_called(hand):
    """A trace in a session bears the name and the first words of its root, whoever's session that is."""
    hand.insert(make_row(trace_id="t", id="root", span_name="plan", preview_in="Hello"),
                make_row(trace_id="t", parent_id="root", session_id="s"))  # fmt: skip
    (trace,) = groups.session(hand.connection, "s")["traces"]
    assert (trace["name"], trace["preview_in"], trace["span_count"]) == ("plan", "Hello", 1)


def test_a_session_may_be_nothing_but_logs(hand):
    """It is listed and found, its ends are those of its logs and spans together; it goes with the last of them."""
    start = START_NS // 1_000_000
    hand.commit(make_log("l1", start, session_id="s", service_name="agent"), make_log("l2", start + 9, session_id="s"))
    (found,) = groups.sessions(hand.connection)["sessions"]
    assert (found["log_count"], found["span_count"], found["service_name"]) == (2, 0, "agent")
    assert (found["first_seen"], found["last_seen"]) == (start, start + 9)
    detail = groups.session(hand.connection, "s")
    assert (detail["traces"], detail["summary"]["logs"], detail["last_seen"]) == ([], 2, start + 9)
    hand.commit(
        make_row(trace_id="t", session_id="s", start_ns=START_NS + S), make_log("l3", session_id="s", trace_id="t")
    )
    (found,) = groups.sessions(hand.connection)["sessions"]
    assert (found["log_count"], found["span_count"], found["first_seen"], found["last_seen"]) == (3, 1, 0, start + 1000)
    hand.delete("t")
    (found,) = groups.sessions(hand.connection)["sessions"]
    assert (found["log_count"], found["span_count"], found["first_seen"], found["last_seen"]) == (
        2,
        0,
        start,
        start + 9,
    )
    hand.transact(lambda c: remove_oldest_logs(c, 1, float("inf"), hand.counters))
    assert groups.sessions(hand.connection)["sessions"][0]["first_seen"] == start + 9
    hand.transact(lambda c: remove_oldest_logs(c, 9, float("inf"), hand.counters))
    assert groups.sessions(hand.connection) == {"sessions": [], "total": 0}


def test_joined_spans_add_nothing_to_their_session(hand):
    """List and detail agree."""
    hand.insert(make_row(source="otlp", session_id="s", response_id="x"), make_row(session_id="s", response_id="x"))
    found, detail = groups.sessions(hand.connection)["sessions"][0], groups.session(hand.connection, "s")
    assert (found["total_tokens"], found["span_count"]) == (30, 2)
    assert (detail["summary"]["tokens"], detail["summary"]["spans"]) == (30, 2)
    assert sum(trace["tokens"] for trace in detail["traces"]) == 30


def test_the_timeline_mixes_spans_and_logs(hand):
    """Newest first, typed, titled; metric gives nothing."""
    start = START_NS // 1_000_000
    hand.insert(make_row("needle", id="s1", start_ns=START_NS, service_name="app"),
                make_row(id="s2", start_ns=START_NS + 2 * S, span_name="plan"))  # fmt: skip
    hand.commit(
        make_log("l1", start + 1000, body="a needle" + "x" * 60, service_name="app", severity_text="INFO"),
    )

    def ids(**query):
        chosen = Filter.from_query({"q": query.get("q", "")})
        return [item["id"] for item in groups.timeline(hand.connection, chosen, groups.TimelineQuery(**query))]

    assert ids() == ["s2", "l1", "s1"]
    assert ids(limit=2) == ["s2", "l1"]
    assert ids(type="trace") == ["s2", "s1"]
    assert ids(type="log") == ["l1"]
    assert ids(type="metric") == []
    assert ids(tool="app") == ["l1", "s1"]
    assert ids(q="needle") == ["l1", "s1"]
    assert ids(date_from=start + 1000) == ["s2", "l1"]
    assert ids(date_to=start + 1000) == ["l1", "s1"]
    hand.insert(make_row(id="s3", start_ns=START_NS + 3 * S, tool="codex-cli", service_name="codex-cli"))
    hand.commit(make_log("l2", start + 4000, tool="codex-cli", service_name="other"))
    assert ids(tool="codex-cli") == ["l2", "s3"]
    assert ids(tool="other") == ["l2"]
    hand.delete(hand.one("SELECT trace_id FROM spans WHERE id = 's3'"))
    _, plan, log, _ = groups.timeline(hand.connection, Filter(), groups.TimelineQuery())
    assert (plan["type"], plan["title"], plan["cost"], plan["data"]["id"]) == ("trace", "plan", 0.25, "s2")
    assert (log["type"], log["title"], log["severity_text"]) == ("log", ("a needle" + "x" * 60)[:50], "INFO")
