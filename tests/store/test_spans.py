"""The list and its pages, one span, its trace and its bodies."""

from __future__ import annotations

import json
import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_help import START_NS, Hand, make_row

from llmflow_web.errors import BadRequest
from llmflow_web.model import PART_REQUEST, PART_RESPONSE, Body, Row
from llmflow_web.store import spans
from llmflow_web.wire.filter import SORTS, Filter, Page

ALL = Filter()


def _pages(hand: Hand, chosen: Filter, page: Page, between=lambda: None):
    """Yield the ids of all pages, following the cursor."""
    cursor = None
    while True:
        part = spans.list_spans(hand.connection, chosen, Page(limit=page.limit, sort=page.sort, cursor=cursor))
        yield [row["id"] for row in part.rows]
        cursor = part.next_cursor
        if cursor is None:
            return
        between()


def test_the_list_is_newest_first(hand):
    """Order is by start, not by arrival; spans that start together follow their arrival."""
    hand.insert(*(make_row(id=name, start_ns=START_NS + at) for name, at in [("a", 5), ("b", 9), ("c", 5), ("d", 1)]))
    assert hand.ids() == ["b", "c", "a", "d"]
    assert hand.ids(Page(sort="time")) == ["d", "a", "c", "b"]


def test_limit_and_offset_cut_the_list(hand):
    """Limit and offset work as in the contract; a full page names the next."""
    hand.insert(*(make_row(id=str(n)) for n in range(5)))
    assert hand.ids(Page(limit=2, offset=1)) == ["3", "2"]
    assert hand.ids(Page(limit=2, offset=5)) == []
    assert spans.list_spans(hand.connection, ALL, Page(limit=9)).next_cursor is None


@settings(max_examples=40, deadline=None)
@given(
    starts=st.lists(st.integers(0, 6), max_size=40),
    limit=st.integers(1, 9),
    sort=st.sampled_from(["-time", "time"]),
    query=st.sampled_from(
        [{}, {"model": "m0"}, {"tag": "t"}, {"status": "error"}, {"roots": "1"}, {"session_id": "s"}]
    ),
    seed=st.integers(0, 9),
)
def test_following_the_cursor_gives_each_row_exactly_once(starts, limit, sort, query, seed):
    """Whatever the starts, page size, filter and order, and whatever is inserted meanwhile on the side already read."""
    dice = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        hand = Hand(Path(folder))
        for number, start in enumerate(starts):
            hand.insert(make_row(id=str(number), start_ns=START_NS + start, model=f"m{dice.randrange(2)}",
                                 tags=dice.sample(["t", "u"], dice.randrange(3)), status=dice.choice([200, 500]),
                                 session_id=dice.choice([None, "s"])))  # fmt: skip
        chosen = Filter.from_query(query)
        wanted = [row["id"] for row in spans.list_spans(hand.connection, chosen, Page(limit=1000, sort=sort)).rows]
        late = START_NS + (100 if sort == "-time" else -100)
        seen = [id_ for page in _pages(hand, chosen, Page(limit, sort=sort),
                                       lambda: hand.insert(make_row(start_ns=late, tags=["t"]))) for id_ in page]  # fmt: skip
        hand.connection.close()
    assert seen == wanted


@pytest.mark.parametrize("sort", [sign + name for name in SORTS for sign in ("", "-")])
def test_every_order_pages_through_all_rows(hand, sort):
    """Each sort lists every row once, rows without a number last."""
    dice = random.Random(3)
    for number in range(30):
        hand.insert(make_row(id=str(number), duration_ns=dice.choice([None, 1, 2, 3]), total_tokens=dice.randrange(4),
                             estimated_cost=dice.choice([None, 0.5, 1.5])))  # fmt: skip
    pages = list(_pages(hand, ALL, Page(limit=7, sort=sort)))
    assert sorted(id_ for page in pages for id_ in page) == sorted(map(str, range(30)))
    column = {"duration": "duration_ms", "cost": "estimated_cost", "tokens": "total_tokens"}.get(sort.strip("-"))
    if column:
        rows = spans.list_spans(hand.connection, ALL, Page(limit=100, sort=sort)).rows
        known = [row[column] for row in rows if row[column] is not None]
        assert known == sorted(known, reverse=sort.startswith("-"))
        assert all(row[column] is None for row in rows[len(known) :])


def test_sorting_by_a_number_says_how_far_it_looks(hand, monkeypatch):
    """Within the newest N matches only, and the page says so."""
    monkeypatch.setattr(spans, "MAX_SORTED_ROWS", 3)
    hand.insert(*(make_row(id=str(n), duration_ns=100 - n) for n in range(5)))
    page = spans.list_spans(hand.connection, ALL, Page(sort="-duration"))
    assert [row["id"] for row in page.rows] == ["2", "3", "4"]
    assert page.note == "Sorted within the newest 3 matches."


def test_a_cursor_of_another_order_is_refused(hand):
    """A cursor of the time order means nothing to the others."""
    hand.insert(make_row(), make_row())
    cursor = spans.list_spans(hand.connection, ALL, Page(limit=1)).next_cursor
    with pytest.raises(BadRequest, match="another order"):
        spans.list_spans(hand.connection, ALL, Page(cursor=cursor, sort="-cost"))


def test_after_gives_what_was_written_or_changed_since(hand):
    """after= takes the change number of the last answer; updates and inserts come in order, deletions are told."""
    hand.insert(make_row(trace_id="t", id="a"), make_row(id="b"))
    change = spans.list_spans(hand.connection, ALL, Page()).change
    nothing = spans.list_spans(hand.connection, ALL, Page(after=change))
    assert (nothing.rows, nothing.change) == ([], change)
    hand.insert(make_row(id="c"))
    hand.insert(make_row(trace_id="t", id="a", status=500))
    page = spans.list_spans(hand.connection, ALL, Page(after=change))
    assert [row["id"] for row in page.rows] == ["c", "a"]
    assert not page.has_deletions
    assert spans.list_spans(hand.connection, ALL, Page(after=page.change)).rows == []
    hand.delete("t")
    assert spans.list_spans(hand.connection, ALL, Page(after=page.change)).has_deletions


def test_after_can_be_followed_in_small_pages(hand):
    """With a full page, `change` is that of its last row: nothing is skipped."""
    hand.insert(*(make_row(id=str(n)) for n in range(5)))
    seen, after = [], 0
    while rows := (page := spans.list_spans(hand.connection, ALL, Page(limit=2, after=after))).rows:
        seen += [row["id"] for row in rows]
        after = page.change
    assert seen == ["0", "1", "2", "3", "4"]


def test_a_trace_id_gives_its_root_and_an_id_the_newest_span(hand):
    """/api/traces/{x}: x as a trace_id first, then as a span's id."""
    hand.insert(make_row(trace_id="t", id="x", start_ns=START_NS), make_row(trace_id="u", id="x"))
    hand.insert(make_row(trace_id="u", id="t", parent_id="x"))
    assert spans.get_span(hand.connection, "t")["id"] == "x"
    assert spans.get_span(hand.connection, "x")["trace_id"] == "u"
    assert spans.get_span(hand.connection, "unknown") is None


def test_roots_lists_one_row_per_trace(hand):
    """roots=1 leaves the children out, and tells what their trace comes to."""
    hand.insert(make_row(trace_id="t", id="top"), make_row(trace_id="t", id="kid", parent_id="top", status=500))
    hand.insert(make_row(trace_id="t", id="kin", parent_id="top", estimated_cost=None))
    hand.insert(make_row(id="alone"))
    rows = spans.list_spans(hand.connection, Filter.from_query({"roots": "1"}), Page()).rows
    assert [row["id"] for row in rows] == ["alone", "top"]
    top = rows[1]
    assert (top["span_count"], top["error_count"], top["trace_tokens"], top["trace_cost"]) == (3, 1, 90, 0.5)
    assert (top["trace_unpriced"], rows[0]["trace_unpriced"]) == (1, 0)


def test_the_tree_hangs_children_under_parents(hand):
    """Any id of the trace gives the whole tree, in order of start, with the trace's ends and sums."""
    hand.insert(
        make_row(trace_id="t", id="kid2", parent_id="top", start_ns=START_NS + 3_000_000, duration_ns=9_000_000),
        make_row(trace_id="t", id="kid1", parent_id="top", start_ns=START_NS + 2_000_000, duration_ns=0),
        make_row(trace_id="t", id="lost", parent_id="nobody", start_ns=START_NS + 4_000_000, duration_ns=None),
        make_row(trace_id="t", id="top", start_ns=START_NS, duration_ns=1_000_000),
    )
    found = spans.tree(hand.connection, "kid1")
    assert [row["id"] for row in found["spans"]] == ["top", "lost"]
    assert [row["id"] for row in found["spans"][0]["children"]] == ["kid1", "kid2"]
    start = START_NS // 1_000_000
    assert {name: found["trace"][name] for name in ("trace_id", "start_time", "end_time", "duration_ms")} == {
        "trace_id": "t", "start_time": start, "end_time": start + 12, "duration_ms": 12.0,
    }  # fmt: skip
    assert (found["trace"]["span_count"], found["trace"]["total_tokens"], found["trace"]["total_cost"]) == (4, 120, 1.0)
    assert spans.tree(hand.connection, "unknown") is None


def test_a_loop_of_parents_is_cut_open(hand):
    """Spans that are each other's parents still appear, each once."""
    hand.insert(
        make_row(trace_id="t", id="a", parent_id="b"),
        make_row(trace_id="t", id="b", parent_id="a"),
        make_row(trace_id="t", id="self", parent_id="self"),
    )
    seen, waiting = [], list(spans.tree(hand.connection, "t")["spans"])
    while waiting:
        row = waiting.pop()
        seen.append(row["id"])
        waiting += row["children"]
    assert sorted(seen) == ["a", "b", "self"]


@pytest.mark.parametrize("read", [spans.tree, spans.outline])
def test_a_tree_of_any_depth_can_be_written_as_json(hand, read):
    """What lies deeper than readers of JSON go hangs side by side below the last level; nothing is left out."""
    chain = [make_row(trace_id="t", id=f"s{n}", parent_id=f"s{n - 1}" if n else None) for n in range(2000)]
    hand.insert(*chain)
    found = json.loads(json.dumps(read(hand.connection, "t")))
    depth, seen, level = 0, [], found["spans"]
    while level:
        depth, seen = depth + 1, seen + [row["id"] for row in level]
        level = [child for row in level for child in row["children"]]
    assert seen == [f"s{n}" for n in range(2000)]
    assert depth < 400


def test_a_body_comes_in_slices(hand):
    """Offset and limit cut the stored bytes; the slice tells how much there is and how much there was."""
    (written,) = hand.insert(Row(make_row().span, [Body(PART_RESPONSE, b"0123456789", 99, is_cut=True)]))
    piece = spans.get_body(hand.connection, written.seq, PART_RESPONSE, 3, 4)
    assert piece == spans.BodySlice(b"3456", 3, 10, 99, is_cut=True, is_raw=False)
    assert spans.get_body(hand.connection, written.seq, PART_RESPONSE, 8).data == b"89"
    assert spans.get_body(hand.connection, written.seq, PART_REQUEST) is None


# Filters: what SQL finds is what `matches` says of the list element.

_VALUES = {
    "model": ["gpt-4o", "gpt-4o-mini", "claude", "none"],
    "provider": ["openai", "anthropic", "anthropic-passthrough"],
    "source": ["proxy", "passthrough"],
    "name": ["plan", "Plan a trip", "*trip", "a_b%"],
    "session": ["s1", "s2"],
    "conversation": ["k1"],
    "user": ["u1"],
    "tag": ["x", "x*", "y"],
    "kind": ["llm", "tool"],
    "service": ["app"],
    "tool": ["aider"],
    "prompt": ["p"],
    "status": ["ok", "error", "429", "5xx"],
    "has": ["cost", "error", "tool"],
    "trace": ["t1", "t2", "t9"],
    "span": ["i0", "i3"],
    "cost": [">0.1", "<=0.5", "=0.5"],
    "duration": [">1s", "<2000ms", ">=1.5s"],
    "ttft": [">5", "<=5ms"],
    "tokens": [">10", "<1k"],
    "spans": [">1", "<2"],
    "errors": [">0", "=0"],
    "since": ["1760000005000"],
    "before": ["1760000005000", "2025-10-09T08:53:25"],
    "is": ["root"],
}


@st.composite
def _typed(draw):
    words = []
    for _ in range(draw(st.integers(1, 3))):
        field = draw(st.sampled_from(sorted(_VALUES)))
        value = draw(st.sampled_from(_VALUES[field]))
        value = f'"{value}"' if " " in value else value
        text = f"{field}{value}" if value[0] in "<>=" else f"{field}:{value}"
        words.append(draw(st.sampled_from(["", "-"])) + text)
    return " ".join(words)


@pytest.fixture(scope="module")
def varied():
    """Forty rows of every kind."""
    dice = random.Random(5)
    with tempfile.TemporaryDirectory() as folder:
        hand = Hand(Path(folder))
        for number in range(40):
            row = make_row(
                None if number % 3 else '{"tool_use"}',
                id=f"i{number}", trace_id=f"t{number // 3}" if number % 4 else f"own{number}",
                start_ns=START_NS + number * 250_000_000, parent_id=dice.choice([None, "i1"]),
                model=dice.choice([None, "gpt-4o", "gpt-4o-mini", "claude"]),
                provider=dice.choice([None, "openai", "anthropic"]), source=dice.choice(["proxy", "passthrough"]),
                span_name=dice.choice([None, "plan", "Plan a trip", "a_b%", "axbyy"]),
                session_id=dice.choice([None, "s1", "s2"]), conversation_id=dice.choice([None, "k1"]),
                user_id=dice.choice([None, "u1"]), tags=dice.sample(["x", "xy", "y"], dice.randrange(3)),
                span_type=dice.choice(["llm", "tool"]), service_name=dice.choice([None, "app"]),
                tool=dice.choice([None, "aider"]), prompt_name=dice.choice([None, "p"]),
                status=dice.choice([None, 200, 429, 500]), estimated_cost=dice.choice([None, 0.05, 0.5]),
                duration_ns=dice.choice([None, 10**9, 15 * 10**8, 2 * 10**9]), ttft_ms=dice.choice([None, 5.0, 9.0]),
                total_tokens=dice.choice([None, 5, 50, 5000]),
            )  # fmt: skip
            hand.insert(row)
        yield hand
        hand.connection.close()


@settings(max_examples=300, deadline=None)
@given(text=_typed())
def test_sql_and_matches_agree_on_every_filter(varied, text):
    """A filter compiled to SQL lists exactly the rows whose list elements it matches; nothing of it is unknown."""
    chosen = Filter.from_query({"filter": text})
    assert chosen.notes == ()
    everything = spans.list_spans(varied.connection, ALL, Page(limit=1000)).rows
    found = spans.list_spans(varied.connection, chosen, Page(limit=1000)).rows
    assert [row["id"] for row in found] == [row["id"] for row in everything if chosen.matches(row, 2e12)]


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ({}, "spans_time"),
        ({"model": "gpt-4o"}, "spans_model"),
        ({"status": "error"}, "spans_errors"),
        ({"roots": "1"}, "spans_roots"),
        ({"session_id": "s1", "model": "gpt-4o"}, "spans_session"),
        ({"conversation_id": "k1"}, "spans_conversation"),
        ({"user_id": "u1"}, "spans_user"),
        ({"provider": "openai", "status": "error"}, "spans_errors"),
    ],
)
def test_each_filter_walks_the_index_made_for_it(varied, query, index):
    """No filter of the list sorts or scans the table: its index gives the order."""
    from llmflow_web.store.query import compile_filter

    compiled = compile_filter(varied.connection, Filter.from_query(query))
    sql = f"SELECT s.seq FROM {compiled.source}{compiled.where} ORDER BY s.start_ns DESC, s.seq DESC LIMIT 50"
    plan = " ".join(row[3] for row in varied.connection.execute("EXPLAIN QUERY PLAN " + sql, compiled.params))
    assert index in plan
    assert "TEMP B-TREE" not in plan
