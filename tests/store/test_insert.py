"""Writing spans: what is inserted, what an update takes back, and that all sums always equal what is stored."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_help import START_NS, Hand, make_row

from llmflow_web.model import PART_REQUEST, PART_RESPONSE, Body, Row, Span
from llmflow_web.store.commit import storable
from llmflow_web.store.spans import get_bodies, get_span, list_rows_of


def test_a_row_is_stored_with_all_its_columns(hand):
    """What goes in as a Span comes out under the same names."""
    row = make_row(
        "hello",
        tags=["b", "a"],
        cost_detail={"quality": "exact"},
        dropped=["logit_bias"],
        notes=["asked for usage"],
        is_stream=True,
        ttft_ms=12.34567,
        duration_ns=1_234_567,
        preview_in="hé",
    )
    hand.insert(row)
    found = get_span(hand.connection, row.span.trace_id)
    assert found["tags"] == ["b", "a"]
    assert found["cost_detail"] == {"quality": "exact"}
    assert (found["dropped"], found["notes"]) == (["logit_bias"], ["asked for usage"])
    assert (found["is_stream"], found["ttft_ms"], found["duration_ms"]) == (True, 12.346, 1.235)
    assert found["timestamp"] == row.span.start_ns // 1_000_000
    assert found["start_ns"] == str(row.span.start_ns)
    assert found["preview_in"] == "hé"


def test_what_the_live_screen_gets_is_what_a_query_gets(hand):
    """The list element made from a written span equals the one read back."""
    written = hand.insert(
        make_row("x", tags=["t"], estimated_cost=None, duration_ns=None),
        make_row('{"image_url": "data:image/png"}', trace_id="t", id="child", parent_id="top", ttft_ms=1.23456),
        make_row(trace_id="t", id="top", status=500, counts=False),
    )
    rows, _ = list_rows_of(hand.connection, [w.seq for w in written])
    assert [w.list_row() for w in written] == rows
    assert [row["is_root"] for row in rows] == [True, False, True]
    assert rows[1]["has"] == ["image"]


def test_the_same_id_again_replaces_the_row_and_keeps_its_place(hand):
    """A second span of the same (trace_id, id) updates: same seq, a change number, new columns, other parts kept."""
    first = make_row("question", trace_id="t", id="a", status=None, total_tokens=None, estimated_cost=None)
    (before,) = hand.insert(first)
    again = Row(make_row(trace_id="t", id="a", start_ns=first.span.start_ns).span, [Body(PART_RESPONSE, b"answer", 6)])
    (after,) = hand.insert(again)
    assert (after.seq, after.change) == (before.seq, before.seq + 1)
    assert hand.one("SELECT COUNT(*) FROM spans") == hand.counters.spans == 1
    assert {part: body.data for part, body in get_bodies(hand.connection, before.seq).items()} == {
        PART_REQUEST: b"question",
        PART_RESPONSE: b"answer",
    }
    assert hand.all("SELECT span_count, tokens, cost, unpriced_count FROM traces") == [(1, 30, 0.25, 0)]


def test_the_same_id_twice_in_one_batch_is_one_row(hand):
    """Within a batch the last word counts and the parts add up."""
    one = make_row("in", trace_id="t", id="a")
    two = Row(make_row(trace_id="t", id="a", status=500).span, [Body(PART_RESPONSE, b"out", 3)])
    written = hand.insert(one, make_row(), two)
    assert len(written) == 2
    assert hand.one("SELECT status FROM spans WHERE id = 'a'") == 500
    assert set(get_bodies(hand.connection, written[0].seq)) == {PART_REQUEST, PART_RESPONSE}


def test_the_same_id_in_two_traces_is_two_rows(hand):
    """The key is (trace_id, id): foreign ids may repeat."""
    hand.insert(make_row(trace_id="one", id="x"), make_row(trace_id="two", id="x"))
    assert hand.one("SELECT COUNT(*) FROM spans") == 2
    assert get_span(hand.connection, "x")["trace_id"] == "two"
    assert get_span(hand.connection, "x", "one")["trace_id"] == "one"


def test_the_parentless_span_becomes_the_root_when_it_comes_last(hand):
    """Children arrive first; the root is re-elected in whatever batch its parent comes."""
    hand.insert(make_row(trace_id="t", id="leaf", parent_id="mid", start_ns=START_NS + 2))
    assert get_span(hand.connection, "t")["id"] == "leaf"
    hand.insert(make_row(trace_id="t", id="mid", parent_id="top", start_ns=START_NS + 1))
    assert get_span(hand.connection, "t")["id"] == "mid"
    hand.insert(make_row(trace_id="t", id="top", start_ns=START_NS + 3))
    assert get_span(hand.connection, "t")["id"] == "top"
    assert hand.all("SELECT id FROM spans WHERE is_root") == [("top",)]


def test_a_root_that_gets_a_parent_steps_down(hand):
    """An update that makes the root a child elects another."""
    hand.insert(make_row(trace_id="t", id="a", start_ns=START_NS), make_row(trace_id="t", id="b"))
    hand.insert(make_row(trace_id="t", id="a", parent_id="b", start_ns=START_NS))
    assert hand.all("SELECT id FROM spans WHERE is_root") == [("b",)]
    assert get_span(hand.connection, "t")["id"] == "b"


def test_a_trace_shrinks_when_its_longest_span_does(hand):
    """The ends of a trace follow an update inwards, too."""
    hand.insert(make_row(trace_id="t", id="a", start_ns=START_NS, duration_ns=100))
    hand.insert(make_row(trace_id="t", id="b", start_ns=START_NS + 10, duration_ns=10))
    hand.insert(make_row(trace_id="t", id="a", start_ns=START_NS + 5, duration_ns=10))
    assert hand.all("SELECT start_ns, end_ns FROM traces") == [(START_NS + 5, START_NS + 20)]


def test_a_span_that_does_not_count_adds_nothing(hand):
    """A parent that repeats its children is stored and stays out of every sum."""
    hand.insert(make_row(counts=False, session_id="s"))
    assert hand.one("SELECT COUNT(*) FROM rollup") == 0
    assert hand.all("SELECT span_count, tokens, cost, unpriced_count FROM traces") == [(1, 0, 0.0, 0)]
    assert hand.all("SELECT span_count, tokens, cost, unpriced_count FROM sessions") == [(1, 0, 0.0, 0)]


def test_an_unknown_cost_is_counted_and_never_zero(hand):
    """A call with tokens or an answering model and no price is unpriced; a failed one without tokens is not."""
    hand.insert(
        make_row(estimated_cost=None),
        make_row(estimated_cost=None, total_tokens=None, prompt_tokens=None, completion_tokens=None),
        make_row(estimated_cost=None, total_tokens=0, prompt_tokens=0, completion_tokens=0, status=500),
        make_row(estimated_cost=0.0),
    )
    assert [row[0] for row in hand.all("SELECT unpriced_count FROM traces")] == [1, 1, 0, 0]


def test_long_bodies_are_compressed_and_come_back(hand):
    """Above 16 KB a part is stored compressed, if that helps; it reads back the same."""
    row = make_row("word " * 10_000)
    (written,) = hand.insert(row)
    assert hand.one("SELECT encoding FROM bodies") == 1
    assert hand.one("SELECT length(data) FROM bodies") < 5000
    assert get_bodies(hand.connection, written.seq)[PART_REQUEST] == row.bodies[0]


def test_bodies_can_be_asked_for_by_seq_and_part(hand):
    """The key of a body is seq * 16 + part, and SQL sees both."""
    (written,) = hand.insert(make_row("x"))
    assert hand.all("SELECT seq, part FROM bodies") == [(written.seq, PART_REQUEST)]


def test_tags_follow_their_span(hand):
    """span_tags holds exactly the tags of the stored spans, also after an update."""
    hand.insert(make_row(trace_id="t", id="a", tags=["x", "y", "x"], start_ns=START_NS))
    hand.insert(make_row(trace_id="t", id="a", tags=["y", "z"], start_ns=START_NS + 7))
    assert hand.all("SELECT tag, start_ns FROM span_tags") == [("y", START_NS + 7), ("z", START_NS + 7)]


def test_a_row_sqlite_cannot_hold_is_made_storable(hand):
    """Lone surrogates and endless numbers are replaced, the rest is kept."""
    row = make_row(model="a\ud800b", total_tokens=2**70, tags=["\udfff"], cost_detail={"x": ["\ud800"]})
    hand.insert(storable(row))
    found = get_span(hand.connection, row.span.trace_id)
    assert (found["model"], found["total_tokens"], found["tags"]) == ("a?b", 2**63 - 1, ["?"])


@pytest.mark.parametrize(
    ("text", "has"),
    [
        ('{"messages":[{"role":"tool","tool_call_id":"c"}]}', ["tool"]),
        ('{"tool_calls":[{"id":"c"}]}', ["tool"]),
        ('{"tools":[{"type":"function"}],"tool_calls":null}', []),
        ('{"parts":[{"functionCall":{}}]}', ["tool"]),
        ('{"type":"image_url","image_url":{}}', ["image"]),
        ("tell me about image formats", []),
    ],
)
def test_tools_and_images_are_found_in_the_bytes(hand, text, has):
    """has: is worked out from marks in the bodies, not from definitions or prose."""
    (written,) = hand.insert(make_row(text))
    assert written.list_row()["has"] == has


# All sums, whatever happens

_SPANS = st.builds(
    dict,
    trace_id=st.sampled_from(["t1", "t2", "t3"]),
    id=st.sampled_from(["a", "b", "c"]),
    parent_id=st.sampled_from([None, "a", "b", "gone"]),
    start_ns=st.integers(0, 3).map(lambda n: START_NS + n * 3_600_000_000_000),
    duration_ns=st.sampled_from([None, 0, 10**6, 10**10]),
    ttft_ms=st.sampled_from([None, 0.5, 800.0]),
    model=st.sampled_from([None, "m1", "m2"]),
    provider=st.sampled_from([None, "p"]),
    status=st.sampled_from([None, 200, 429, 500, 504, 499]),
    total_tokens=st.sampled_from([None, 0, 7]),
    estimated_cost=st.sampled_from([None, 0.0, 0.125]),
    session_id=st.sampled_from([None, "s1", "s2"]),
    tags=st.lists(st.sampled_from(["x", "y"]), max_size=2),
    counts=st.booleans(),
)
_STEPS = st.lists(
    st.one_of(
        st.lists(_SPANS, min_size=1, max_size=4),
        st.sampled_from(["t1", "t2", "t3"]),
    ),
    max_size=12,
)


def _without_drift(rows):
    return sorted(tuple(round(v, 9) if isinstance(v, float) else v for v in row) for row in rows)


def _summaries(hand: Hand):
    traces = hand.all(
        "SELECT trace_id, start_ns, end_ns, span_count, error_count, tokens, cost, unpriced_count FROM traces"
    )
    sessions = hand.all(
        "SELECT session_id, first_ns, last_ns, trace_count, span_count, error_count, tokens, cost, unpriced_count "
        "FROM sessions"
    )
    rollup = hand.all("SELECT * FROM rollup")
    tags = hand.all("SELECT tag, start_ns FROM span_tags")
    roots = hand.all("SELECT trace_id, id FROM spans WHERE is_root")
    by_trace = hand.all("SELECT t.trace_id, r.id FROM traces t JOIN spans r ON r.seq = t.root_seq")
    assert sorted(roots) == sorted(by_trace)
    return [_without_drift(rows) for rows in (traces, sessions, rollup, tags, roots)]


def _stored_rows(hand: Hand) -> list[Row]:
    names = [field for field in Span.__slots__ if field not in ("tags", "cost_detail", "dropped", "notes")]
    rows = hand.connection.execute(f"SELECT tags, {', '.join(names)} FROM spans ORDER BY seq").fetchall()
    return [Row(Span(**dict(zip(names, values, strict=True)), tags=json.loads(tags or "[]"))) for tags, *values in rows]


@settings(max_examples=60, deadline=None)
@given(steps=_STEPS)
def test_every_summary_equals_one_made_afresh_from_what_is_stored(steps):
    """After any inserts, updates and deletes: traces, sessions, rollup, tags and roots are as if built anew."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "used").mkdir()
        Path(folder, "fresh").mkdir()
        used, fresh = Hand(Path(folder, "used")), Hand(Path(folder, "fresh"))
        for step in steps:
            if isinstance(step, list):
                used.insert(*(Row(Span(**span)) for span in step))
            elif used.one("SELECT 1 FROM traces WHERE trace_id = ?", step):
                used.delete(step)
        for row in _stored_rows(used):
            fresh.insert(row)
        assert _summaries(used) == _summaries(fresh)
        assert used.counters.spans == used.one("SELECT COUNT(*) FROM spans")
        used.connection.close()
        fresh.connection.close()
