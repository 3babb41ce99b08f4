"""The queue is bounded: calls wait while the store catches up, and go on without bodies when it cannot."""

import asyncio

import pytest

from llmflow_web.model import Capture, Exchange
from llmflow_web.record.recorder import CaptureBudget, QueueLimits, Recorder

LIMITS = QueueLimits(max_rows=4, max_bytes=20_000, stall_s=0.25, max_capture_bytes=1000, max_body_bytes=600)


class Store:
    """A database that commits when it is told to."""

    def __init__(self) -> None:
        self.items: list[Exchange] = []
        self.pending_rows = self.pending_bytes = self.committed_rows = self.lost_rows = self.lost_bodies = 0
        self.last_commit_monotonic = 0.0
        self.now = 100.0

    def put(self, item: Exchange, weight: int) -> None:
        self.items.append(item)
        self.pending_rows += 1
        self.pending_bytes += weight

    def commit(self) -> None:
        self.committed_rows += self.pending_rows
        self.pending_rows = self.pending_bytes = 0
        self.last_commit_monotonic = self.now

    def clock(self) -> float:
        return self.now


def call(size: int = 100) -> Exchange:
    exchange = Exchange()
    exchange.request = Capture(1 << 20)
    exchange.request.add(b"x" * size)
    return exchange


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def recorder(store: Store) -> Recorder:
    return Recorder(store, LIMITS, store.clock)


def fill(recorder: Recorder, count: int = 4, size: int = 100) -> None:
    for _ in range(count):
        recorder.put(call(size))


def test_calls_are_queued_with_their_weight(recorder, store):
    """The weight is what the exchange holds in memory."""
    recorder.put(call(500))
    assert (store.pending_rows, store.pending_bytes) == (1, 1524)
    assert not recorder.is_full


@pytest.mark.parametrize(("count", "size"), [(4, 1), (2, 10_000)])
def test_new_calls_wait_at_either_bound(recorder, count, size):
    """Rows or bytes: the queue is full."""
    fill(recorder, count, size)
    assert recorder.is_full


def test_calls_in_flight_are_taken_over_the_bound(recorder, store):
    """What was begun is recorded whole while the store works."""
    fill(recorder, 6)
    assert store.pending_rows == 6
    assert all(item.request is not None for item in store.items)


def test_a_quiet_store_is_not_a_stalled_one(recorder, store):
    """A burst after an hour's silence waits: the time counts from when the queue became full."""
    store.now += 3600
    fill(recorder)
    assert recorder.is_full


def test_a_stalled_store_lets_calls_go_on_without_bodies(recorder, store):
    """After 250 ms without a commit nobody waits; bodies go first and are counted."""
    fill(recorder)
    assert recorder.is_full
    store.now += 0.3
    assert not recorder.is_full
    recorder.put(call())
    last = store.items[-1]
    assert (last.request, last.response, len(last.arrivals)) == (None, None, 0)
    assert last.notes == ["the bodies were let go: the store could not keep up"]
    assert recorder.counts()["lost_bodies"] == 1


def test_then_rows_are_let_go(recorder, store):
    """Twice over the bound rows go too, and are counted."""
    fill(recorder)
    store.now += 0.3
    fill(recorder, 10)
    assert store.pending_rows == 8
    assert recorder.counts() == {
        "recorded": 0, "pending": 8, "pending_bytes": store.pending_bytes, "waiting": 0, "lost_rows": 6, "lost_bodies": 4,
    }  # fmt: skip


def test_a_commit_ends_the_emergency(recorder, store):
    """Once the store writes again everything is kept again."""
    fill(recorder)
    store.now += 0.3
    recorder.put(call())
    store.commit()
    recorder.put(call())
    assert store.items[-1].request is not None
    assert not recorder.is_full


def test_even_a_working_store_is_not_overrun(recorder, store):
    """At twice the bytes bodies are let go although commits advance."""
    fill(recorder, 3, 15_000)
    recorder.put(call(15_000))
    assert store.items[-1].request is None


def test_waiting_calls_are_released_by_commits(recorder, store):
    """In order, as long as there is room."""
    said: list[int] = []

    async def run() -> None:
        fill(recorder)
        recorder.when_room(lambda: (said.append(1), fill(recorder)))
        recorder.when_room(lambda: said.append(2))
        assert recorder.counts()["waiting"] == 2
        recorder.on_commit()
        assert said == []
        store.commit()
        recorder.on_commit()
        assert said == [1]
        store.commit()
        recorder.on_commit()
        assert said == [1, 2]
        recorder.close()

    asyncio.run(run())


def test_waiting_calls_are_released_by_a_stall(store):
    """If no commit comes they go on all the same, without anybody's help."""
    limits = QueueLimits(max_rows=1, stall_s=0.02)

    async def run() -> None:
        recorder = Recorder(store, limits, asyncio.get_running_loop().time)
        store.last_commit_monotonic = asyncio.get_running_loop().time()
        recorder.put(call())
        released = asyncio.Event()
        recorder.when_room(released.set)
        await asyncio.wait_for(released.wait(), 30)

    asyncio.run(run())


def test_closing_releases_everybody(recorder):
    """Nothing waits for a store that is closing."""

    async def run() -> None:
        fill(recorder)
        said: list[int] = []
        recorder.when_room(lambda: said.append(1))
        recorder.close()
        assert said == [1]

    asyncio.run(run())


def test_one_body_is_bounded(recorder):
    """A capture keeps its limit and counts the rest."""
    capture = recorder.capture()
    capture.add(b"x" * 700)
    assert (capture.stored, capture.size, capture.is_cut) == (600, 700, True)


def test_all_bodies_together_are_bounded_and_have_no_holes(recorder):
    """Past the shared budget a capture keeps nothing more, also when there is room again."""
    first, second = recorder.capture(), recorder.capture()
    first.add(b"a" * 600)
    second.add(b"b" * 300)
    second.add(b"c" * 200)
    assert (second.stored, second.is_cut, recorder.budget.used) == (400, True, 1000)
    exchange = Exchange()
    exchange.request = first
    recorder.put(exchange)
    assert recorder.budget.used == 400
    second.add(b"d" * 50)
    assert second.join() == b"b" * 300 + b"c" * 100
    third = recorder.capture()
    third.add(b"e" * 100)
    assert not third.is_cut


def test_a_capture_is_released_once():
    """Giving back twice gives back once."""
    budget = CaptureBudget(100)
    recorder = Recorder(Store(), LIMITS)
    capture = recorder.capture()
    capture.add(b"x" * 50)
    budget.release(capture)
    recorder.budget.release(capture)
    recorder.budget.release(capture)
    recorder.budget.release(None)
    assert (budget.used, recorder.budget.used) == (0, 0)
