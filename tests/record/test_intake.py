"""The way into the store for what others send: its share of the queue, whose turn it is, and when a post is done."""

import asyncio
from concurrent.futures import Future

import pytest

from llmflow_web.errors import StoreError
from llmflow_web.model import Body, Log, Metric, Row, Span
from llmflow_web.record.intake import PIECE_BYTES, PIECE_ROWS, ROW_BYTES, Intake, pieces_of, weight_of


class Store:
    """A store that commits when the test says so."""

    def __init__(self) -> None:
        self.error: str | None = None
        self.queue: list[tuple[list, int, Future]] = []
        self.commits = 0
        self.most_rows = 0

    def put(self, item: object, weight: int) -> None:
        self.queue.append((item, weight, Future()))
        self.most_rows = max(self.most_rows, sum(len(items) for items, _, _ in self.queue))

    def call(self, fn) -> Future:
        fn(None)
        return self.queue[-1][2]

    def commit(self, error: Exception | None = None) -> list:
        items, _, future = self.queue.pop(0)
        if error is None:
            future.set_result(None)
            self.commits += 1
        else:
            future.set_exception(error)
        return items


def rows(count: int, name: str = "s") -> list[Row]:
    return [Row(Span("t", f"{name}{n}")) for n in range(count)]


def run(scenario) -> None:
    asyncio.run(asyncio.wait_for(scenario(), 20))


async def breathe() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_done_when_committed() -> None:
    """A post is done when its rows are on disk, not before."""

    async def scenario() -> None:
        store = Store()
        intake = Intake(store)
        post = asyncio.ensure_future(intake.store(pieces_of(rows(2))))
        await breathe()
        assert not post.done()
        assert [row.span.id for row in store.commit()] == ["s0", "s1"]
        await post
        await intake.store([])

    run(scenario)


def test_large_post_never_fills_the_queue() -> None:
    """However many rows a post brings, no more of them wait in the queue than their share."""

    async def scenario() -> None:
        store = Store()
        intake = Intake(store, max_rows=2 * PIECE_ROWS)
        post = asyncio.ensure_future(intake.store(pieces_of(rows(7 * PIECE_ROWS + 1))))
        while not post.done():
            await breathe()
            if store.queue:
                store.commit()
        assert (store.commits, store.most_rows) == (8, 2 * PIECE_ROWS)

    run(scenario)


def test_posts_take_turns() -> None:
    """A small post that comes while a large one is going in does not wait for all of it."""

    async def scenario() -> None:
        store = Store()
        intake = Intake(store, max_rows=PIECE_ROWS)
        large = asyncio.ensure_future(intake.store(pieces_of(rows(5 * PIECE_ROWS))))
        await breathe()
        small = asyncio.ensure_future(intake.store(pieces_of(rows(1, "small"))))
        await breathe()
        for _ in range(3):
            store.commit()
            await breathe()
        assert small.done()
        assert not large.done()
        assert "1 posts waiting" in repr(intake)
        while store.queue:
            store.commit()
            await breathe()
        await asyncio.gather(small, large)

    run(scenario)


def test_failing_store_is_told_at_once() -> None:
    """While nothing can be written a post is refused before it is queued; one under way hears of it, and others too."""

    async def scenario() -> None:
        store = Store()
        intake = Intake(store, max_rows=PIECE_ROWS)
        one = asyncio.ensure_future(intake.store(pieces_of(rows(1))))
        two = asyncio.ensure_future(intake.store(pieces_of(rows(PIECE_ROWS))))
        await breathe()
        store.error = "The disk is full."
        store.commit(StoreError(store.error))
        with pytest.raises(StoreError):
            await one
        with pytest.raises(StoreError, match="full"):
            await two
        with pytest.raises(StoreError, match="full"):
            await intake.store(pieces_of(rows(1)))
        assert store.queue == []
        store.error = None
        again = asyncio.ensure_future(intake.store(pieces_of(rows(1))))
        await breathe()
        store.commit()
        await again

    run(scenario)


def test_who_gives_up_waiting_holds_nobody_up() -> None:
    """A post that is cancelled while it waits lets the next one have its turn."""

    async def scenario() -> None:
        store = Store()
        intake = Intake(store, max_rows=1)
        posts = [asyncio.ensure_future(intake.store(pieces_of(rows(1, name)))) for name in "abc"]
        await breathe()
        posts[1].cancel()
        await breathe()
        store.commit()
        await breathe()
        assert [row.span.id for row in store.commit()] == ["c0"]
        await asyncio.gather(posts[0], posts[2])

    run(scenario)


def test_weights() -> None:
    """Pieces are bounded by rows and by bytes; one heavy row goes alone; everything is weighed with what it holds."""
    heavy = Row(Span("t", "h"), [Body(2, b"x" * (PIECE_BYTES + 1), 1)])
    pieces = pieces_of([*rows(PIECE_ROWS + 1), heavy, *rows(1)])
    assert [len(piece.items) for piece in pieces] == [PIECE_ROWS, 1, 1, 1]
    assert pieces[2].weight == PIECE_BYTES + 1 + ROW_BYTES
    assert pieces_of([]) == []
    deep: dict = {}
    for _ in range(10_000):
        deep = {"a": deep, "text": "x" * 10}
    log = Log("l", 1, body="x" * 5000, attributes={"a": "y" * 3000}, detail=deep)
    assert 9000 < weight_of(log) < 12_000
    metric = Metric("m", "s", 1, "n", histogram_data={"bucketCounts": [1] * 100}, attributes={"k": 1})
    assert 7000 < weight_of(metric) < 10_000
