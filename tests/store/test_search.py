"""Free text: what the index finds, and what is found where it does not reach."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from store_help import PATIENCE_S, Live, make_row, wait_until

from llmflow_web.model import PART_ATTRIBUTES, PART_HEADERS, PART_REQUEST, Body, Row
from llmflow_web.store import search, spans
from llmflow_web.store.limits import Limits
from llmflow_web.store.spans import list_spans
from llmflow_web.wire.filter import Filter, Page

STORIES = {
    "fox": "The quick brown fox jumps over the lazy dog",
    "cat": "A quiet brown cat sleeps; c++ and e-mail, naïve café",
    "cjk": "今天天气很好 and nothing else",
    "num": "error 42: it is 100% wrong_name",
}

QUERIES = [
    ("brown", ["cat", "fox"]),
    ("quick brown", ["fox"]),
    ("bro", ["cat", "fox"]),  # a word finds what begins with it
    ('"brown fox"', ["fox"]),
    ('"fox brown"', []),
    ("brown -fox", ["cat"]),
    ('brown -"quick brown"', ["cat"]),
    ("-brown", ["cjk", "num"]),
    ("BROWN", ["cat", "fox"]),
    ("42", ["num"]),  # under three characters
    ("is", ["num"]),
    ("天气", ["cjk"]),
    ("天气 nothing", ["cjk"]),
    ("100%", ["num"]),
    ("%", ["num"]),
    ("c++", ["cat"]),
    ("e-mail", ["cat"]),
    ("nothinghere", []),
    ('brown OR "', ["cat", "fox"][:0]),  # OR and a lone quote mean nothing special
    ("NEAR(", []),
    ("*", []),
    ("wrong_name", ["num"]),
]


@pytest.fixture(params=["indexed", "fresh", "like"])
def stories(request, make_hand, monkeypatch):
    """The stories, in the index, not yet in it, or in a build without FTS5."""
    if request.param == "like":
        monkeypatch.setattr("llmflow_web.store.schema.has_fts5", lambda _: False)
    hand = make_hand()
    hand.insert(*(make_row(text, id=name) for name, text in STORIES.items()))
    if request.param != "fresh":
        assert hand.feed() == len(STORIES)
    assert search.mode_of(hand.connection) == ("like" if request.param == "like" else "fts5")
    return hand


@pytest.mark.parametrize(("q", "found"), QUERIES)
def test_words_phrases_and_negations(stories, q, found):
    """The same questions have the same answers whether a row is indexed, not yet indexed, or cannot be."""
    assert sorted(stories.ids(q=q)) == found
    assert sorted(stories.ids(filter=q)) == found


def test_accents_are_folded_by_the_index(hand):
    """With FTS5, cafe finds café."""
    hand.insert(make_row(STORIES["cat"], id="cat"))
    hand.feed()
    assert hand.ids(q="cafe") == ["cat"]


def test_name_model_and_error_are_searched_too(hand):
    """What a row shows can be searched, before and after it is indexed."""
    hand.insert(make_row(id="a", span_name="plan_trip", model="mistral-large", error="upstream exploded"))
    for _ in range(2):
        assert [hand.ids(q=q) for q in ("plan_trip", "mistral", "exploded")] == [["a"]] * 3
        hand.feed()


def test_headers_and_unreadable_bodies_are_not_searched(hand):
    """Only parts that hold text go into the index."""
    hand.insert(
        Row(make_row(id="a").span, [
            Body(PART_HEADERS, b"headerword", 10),
            Body(PART_REQUEST, b"rawword", 7, is_raw=True),
            Body(PART_ATTRIBUTES, b"attributeword", 13),
        ])
    )  # fmt: skip
    for _ in range(2):
        assert [hand.ids(q=q) for q in ("headerword", "rawword", "attributeword")] == [[], [], ["a"]]
        hand.feed()


def test_an_update_is_indexed_anew(hand):
    """The old text is found no longer, the new one is, before and after the feeding."""
    hand.insert(make_row("before", trace_id="t", id="a"))
    hand.feed()
    hand.insert(make_row("afterwards", trace_id="t", id="a"))
    assert hand.ids(q="afterwards") == ["a"]
    hand.feed()
    assert (hand.ids(q="before"), hand.ids(q="afterwards")) == ([], ["a"])


def test_a_deletion_leaves_nothing_in_the_index(hand):
    """Deleted rows are gone from search."""
    hand.insert(make_row("secret", trace_id="t"))
    hand.feed()
    hand.delete("t")
    assert hand.one("SELECT COUNT(*) FROM search") == 0
    assert hand.ids(q="secret") == []


def test_feeding_goes_on_where_it_ended(hand):
    """The watermark moves over inserts and updates in the order they were made, in pieces of any size."""
    hand.insert(*(make_row(f"word{n}", trace_id=f"t{n}", id=str(n)) for n in range(7)))
    hand.insert(make_row("again", trace_id="t0", id="0"))
    while hand.transact(lambda c: search.feed(c, hand.counters, 2, lambda: True)):
        pass
    assert hand.counters.indexed == hand.counters.counter
    assert hand.one("SELECT COUNT(*) FROM search") == 7
    assert hand.transact(lambda c: search.feed(c, hand.counters, 2, lambda: True)) == 0


def known_to(hand, *rows):
    """Commit rows and return the texts that came with them."""
    known = search.KnownTexts()
    known.keep(hand.commit(*rows).texts)
    return known


def feed_known(hand, known):
    return hand.transact(lambda c: search.feed(c, hand.counters, 100, lambda: True, known))


def test_known_texts_are_not_read_again(hand):
    """A text that came with a new span is fed as it is, beside the texts of others, which are read."""
    known = known_to(hand, replace(make_row("stored", id="a"), text="told"), make_row("read", id="b"))
    assert feed_known(hand, known) == 2
    assert (hand.ids(q="told"), hand.ids(q="stored"), hand.ids(q="read")) == (["a"], [], ["b"])


def test_texts_of_what_was_there_are_read(hand):
    """What was stored before may hold more than what came now, and so may what came twice at once."""
    hand.commit(make_row("first", trace_id="t", id="a"))
    assert known_to(hand, replace(make_row("second", trace_id="t", id="a"), text="told")).take(2) is None
    twice = [replace(make_row(text, trace_id="u", id="b"), text="told") for text in ("third", "fourth")]
    feed_known(hand, known_to(hand, *twice))
    assert (hand.ids(q="second"), hand.ids(q="fourth"), hand.ids(q="told")) == (["a"], ["b"], [])


def test_a_change_before_its_turn_outdates_the_text(hand):
    """A span that changes before the index is fed is found by what it holds then."""
    known = known_to(hand, replace(make_row("before", trace_id="t", id="a"), text="before"))
    hand.commit(make_row("afterwards", trace_id="t", id="a"))
    feed_known(hand, known)
    assert (hand.ids(q="before"), hand.ids(q="afterwards")) == ([], ["a"])
    assert repr(known) == "<KnownTexts of 0 spans, 0 characters>"


def test_known_texts_are_bounded():
    """The oldest texts within the bound are kept, and room is made by taking them."""
    known = search.KnownTexts(10)
    known.keep({1: "12345", 2: "1234", 3: "12", 4: "1"})
    assert repr(known) == "<KnownTexts of 2 spans, 9 characters>"
    assert [known.take(seq) for seq in (1, 1, 3)] == ["12345", None, None]
    known.keep({5: "123456"})
    assert (known.take(5), known.take(2)) == ("123456", "1234")


def test_the_writer_feeds_what_it_knows(live):
    """Texts that came with rows find their way from the commit to the index."""
    live.put(*(replace(make_row("stored", id=f"s{n}"), text=f"told{n}") for n in range(3)))
    live.settle()
    assert live.one("SELECT COUNT(*) FROM search WHERE search MATCH 'told1'") == 1
    assert live.one("SELECT COUNT(*) FROM search WHERE search MATCH 'stored'") == 0


def test_a_text_that_cannot_be_made_is_skipped(hand):
    """An exception of `texts` leaves the row without text, findable by what it shows."""
    hand.connection.texts = lambda *_: 1 / 0
    hand.insert(make_row("x", id="a", span_name="visible"))
    hand.feed()
    assert hand.ids(q="visible") == ["a"]


def test_a_damaged_body_is_skipped(hand):
    """Bytes that cannot be unpacked keep neither the feeding nor a search from going on."""
    hand.insert(make_row("word " * 10_000, id="a", span_name="visible"))
    hand.connection.execute("UPDATE bodies SET data = x'00'")
    for _ in range(2):
        assert hand.ids(q="visible") == ["a"]
        hand.feed()


def test_text_is_cut_at_its_limit(hand):
    """No more than 64 KB of one span go into the index."""
    hand.insert(make_row("word " * 20_000 + "tail"))
    hand.feed()
    assert hand.one("SELECT length(text) FROM search") <= search.MAX_TEXT + 100


def test_an_idle_writer_feeds_the_index(live):
    """Nobody asks for it: rows are indexed when the writer has time."""
    live.put(make_row("something to find", id="a"))
    live.settle()
    assert live.one("SELECT COUNT(*) FROM search WHERE search MATCH 'something'") == 1


def test_a_busy_writer_feeds_the_index_now_and_then(make_live):
    """Under load the index is fed every `index_every_s`, too."""
    live = make_live(limits=Limits(batch_s=0.001, index_every_s=0.05))
    live.database._writer._upkeep._not_before = 0
    deadline = []

    def busy() -> bool:
        for _ in range(50):
            live.database.put([make_row("load")], 10)
        deadline.append(1)
        return live.one("SELECT COUNT(*) FROM search") > 0

    wait_until(busy)


def test_an_explicit_deletion_leaves_no_text_in_the_files(live):
    """Deleted text is in neither the database file nor its log once `is_erased` says so."""
    for number in range(60):
        secret = "zyxsecret" if number == 30 else "ordinary"
        live.put(make_row(f"{secret} words here {number}", trace_id=f"t{number}"))
    live.settle()
    folder = live.database.path.parent

    def bytes_on_disk() -> bytes:
        return b"".join(path.read_bytes() for path in folder.iterdir())

    assert b"zyxsecret" in bytes_on_disk()
    assert live.database.delete_traces(["t30"]).result(PATIENCE_S) == 1
    wait_until(lambda: live.database.is_erased)
    assert b"zyxsecret" not in bytes_on_disk()
    assert b"ordinary" in bytes_on_disk()
    assert live.read(lambda c: c.execute("SELECT COUNT(*) FROM search WHERE search MATCH 'ordinary'").fetchone()) == (
        59,
    )


def test_a_file_made_without_fts5_stays_usable(make_live, monkeypatch, tmp_path):
    """A plain search table is fed, asked and pruned like the index."""
    monkeypatch.setattr("llmflow_web.store.schema.has_fts5", lambda _: False)
    live = make_live(tmp_path / "plain" / "llmflow.db")
    live.put(make_row("find me", trace_id="t"))
    live.settle()
    assert live.database.delete_traces(Filter.from_query({"q": "find me"})).result(PATIENCE_S) == 1
    wait_until(lambda: live.database.is_erased)
    assert isinstance(live, Live)


@pytest.mark.parametrize("asked", ["common", "common -seldom", "-common", "seldom", "common model:b"])
@pytest.mark.parametrize("is_fed", [True, False])
def test_pages_hold_the_newest_matches_whatever_came_last(hand, monkeypatch, asked, is_fed):
    """Page by page the same rows as in the whole list, though calls are stored in another order than they began."""
    monkeypatch.setattr(spans, "_NEWEST", 8)
    dice = random.Random(7)
    told = []
    for number in range(60):
        start, model = dice.randrange(20), dice.choice("ab")
        words = [word for word, share in (("common", 0.5), ("seldom", 0.1)) if dice.random() < share]
        told.append((start, number, model, words))
        hand.insert(make_row(" ".join(["call", *words]), id=f"{number}", start_ns=start * 10**9, model=model))
    if is_fed:
        hand.feed()
    tests = {
        "common": lambda _, words: "common" in words,
        "common -seldom": lambda _, words: "common" in words and "seldom" not in words,
        "-common": lambda _, words: "common" not in words,
        "seldom": lambda _, words: "seldom" in words,
        "common model:b": lambda model, words: "common" in words and model == "b",
    }
    expected = [f"{number}" for _, number, model, words in sorted(told, reverse=True) if tests[asked](model, words)]
    found, cursor = [], None
    while cursor is not None or not found:
        page = list_spans(hand.connection, Filter.from_query({"filter": asked}), Page(limit=3, cursor=cursor))
        found += [row["id"] for row in page.rows]
        cursor = page.next_cursor
    assert found == expected
    assert hand.ids(Page(limit=4, offset=5), filter=asked) == expected[5:9]
