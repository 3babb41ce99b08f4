"""Parents that repeat: usage counts where nothing below tells of it, whatever order spans come in."""

from __future__ import annotations

import json

from store_help import START_NS, make_row

from llmflow_web.store import stats
from llmflow_web.store.spans import get_span


def _app(key, parent=None, **columns):
    base = {"trace_id": "t", "source": "otlp", "span_type": "llm", "start_ns": START_NS, "model": "m"}
    return make_row(**(base | {"id": key, "parent_id": parent} | columns))


def _bare(key, parent=None, **columns):
    """A span that tells of no usage."""
    none = {"total_tokens": None, "prompt_tokens": None, "completion_tokens": None, "estimated_cost": None,
            "model": None, "span_type": "chain"}  # fmt: skip
    return _app(key, parent, **(none | columns))


def _counting(hand):
    return [row[0] for row in hand.all("SELECT id FROM spans WHERE counts ORDER BY id")]


def test_an_agent_gives_way_to_the_calls_below_it(hand):
    """It counts until a call is known; the trace, its session and the statistics hold the usage once."""
    hand.insert(_app("agent", span_type="agent", session_id="s", total_tokens=100, estimated_cost=1.0))
    assert hand.all("SELECT tokens, cost FROM traces") == [(100, 1.0)]
    hand.insert(_app("one", "agent", session_id="s"), _app("two", "agent", session_id="s"))
    assert hand.all("SELECT tokens, cost, span_count FROM traces") == [(60, 0.5, 3)]
    assert hand.all("SELECT tokens, cost, span_count FROM sessions") == [(60, 0.5, 3)]
    totals = stats.totals(hand.connection)
    assert (totals["total_requests"], totals["total_tokens"], totals["total_cost"]) == (2, 60, 0.5)
    assert get_span(hand.connection, "agent")["counts"] is False


def test_children_may_come_first(hand):
    """The ordinary order of OpenTelemetry: inner spans end before outer ones."""
    hand.insert(_app("call", "llm"))
    hand.insert(_app("llm", "chain"))
    hand.insert(_app("agent"))
    assert _counting(hand) == ["agent", "call"]
    hand.insert(_bare("chain", "agent"))
    assert _counting(hand) == ["call", "chain"]


def test_usage_is_seen_through_spans_that_have_none(hand):
    """A chain between agent and call passes the word on and itself still counts as a span."""
    hand.insert(_app("agent"), _bare("outer", "agent"), _bare("inner", "outer"))
    assert "agent" in _counting(hand)
    hand.insert(_app("call", "inner"))
    assert _counting(hand) == ["call", "inner", "outer"]


def test_tools_below_a_call_do_not_silence_it(hand):
    """What has no usage repeats nothing."""
    hand.insert(_app("call"), _bare("tool", "call", span_type="tool"))
    assert _counting(hand) == ["call", "tool"]


def test_another_trace_with_the_same_ids_is_another_matter(hand):
    """Parents are looked for in their own trace."""
    hand.insert(_app("agent"), _app("call", "agent", trace_id="u"))
    assert hand.one("SELECT COUNT(*) FROM spans WHERE counts") == 2


def test_a_new_version_takes_back_what_the_old_one_did(hand):
    """A child that loses its usage, or hangs elsewhere, gives its parent its count back."""
    hand.insert(_app("agent"), _app("other"), _app("call", "agent"))
    assert _counting(hand) == ["call", "other"]
    hand.insert(_app("call", "other"))
    assert _counting(hand) == ["agent", "call"]
    hand.insert(_bare("call", "other"))
    assert _counting(hand) == ["agent", "call", "other"]
    assert stats.totals(hand.connection)["total_tokens"] == 60


def test_a_new_version_that_brings_usage_silences_its_parent(hand):
    """A span told of at its start and again at its end."""
    hand.insert(_app("agent"), _bare("call", "agent"))
    hand.insert(_app("call", "agent"))
    assert _counting(hand) == ["call"]


def test_a_parent_told_of_again_stays_out(hand):
    """Its own new version does not make it count."""
    hand.insert(_app("agent"), _app("call", "agent"))
    hand.insert(_app("agent", total_tokens=500, session_id="s"))
    assert _counting(hand) == ["call"]
    assert stats.totals(hand.connection)["total_tokens"] == 30
    assert hand.all("SELECT tokens, span_count FROM sessions") == [(0, 1)]


def test_what_its_sender_does_not_count_silences_nobody(hand):
    """counts=False stays, and the parent keeps its count."""
    hand.insert(_app("agent"), _app("copy", "agent", counts=False))
    assert _counting(hand) == ["agent"]


def test_a_call_of_ours_repeats_nothing(hand):
    """What we saw ourselves counts, even with usage told of below it."""
    hand.insert(_app("ours", source="proxy"), _app("below", "ours"))
    assert _counting(hand) == ["below", "ours"]


def test_loops_end(hand):
    """Spans that are each other's parents are written like any other."""
    hand.insert(_app("a", "b"), _app("b", "a"), _app("self", "self"))
    assert _counting(hand) == ["self"]
    assert hand.one("SELECT tokens FROM traces") == 30


def test_rows_of_old_that_changed_are_told(live):
    """The batch that silences a stored parent holds its row, as an update with a change number."""
    live.put(_app("agent"))
    live.put(_app("call", "agent"))
    call, agent = live.batches[-1].rows
    assert (call["id"], agent["id"]) == ("call", "agent")
    assert live.batches[-1].updated == {agent["seq"]}
    assert agent["change"] > call["change"]
    assert agent["trace_cost"] == call["trace_cost"] == 0.25


def test_a_long_trace_costs_what_its_batches_cost(hand):
    """5,000 spans in batches of 200: no batch reads more rows for the trace being long already."""
    said = []
    hand.insert(_bare("root"))
    rows = [_app(f"s{n}", f"s{n - 1}" if n % 40 else "root") for n in range(5000)]
    for begin in range(0, 5000, 200):
        if begin == 4800:
            hand.connection.set_trace_callback(said.append)
        hand.insert(*rows[begin : begin + 200])
    hand.connection.set_trace_callback(None)
    assert sum(sql.startswith("SELECT seq, trace_seq") for sql in said) <= 2  # the root, once
    leaves = json.loads(hand.one("SELECT json_group_array(id) FROM spans WHERE counts AND id <> 'root'"))
    assert len(leaves) == 125


def test_an_ordinary_proxied_call_is_not_looked_at(hand):
    """Alone in its trace, with ids of a call: no question beyond those of its insert, before any app spoke."""
    hand.insert(make_row(response_id="r0", request_id="q0"))
    said = []
    hand.connection.set_trace_callback(said.append)
    hand.insert(make_row(response_id="r1", request_id="q1"))
    hand.connection.set_trace_callback(None)
    assert said
    assert not any("json_each" in sql or ("marks" in sql and not sql.startswith("INSERT")) for sql in said)
