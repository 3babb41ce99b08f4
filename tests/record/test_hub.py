"""The hub: who hears what, in which order, and how often."""

import asyncio
import json
from dataclasses import dataclass, field

import pytest

from llmflow_web.errors import StoreError
from llmflow_web.record.hub import MAX_ROWS, Hub, Wants
from llmflow_web.wire.filter import Filter


class Peer:
    """A listener's end: messages as they came."""

    def __init__(self) -> None:
        self.messages: list[dict] = []

    def send(self, frame: bytes) -> None:
        """Take a frame, or several in one write."""
        while frame:
            start = {126: 4, 127: 10}.get(frame[1], 2)
            size = frame[1] if start == 2 else int.from_bytes(frame[2:start], "big")
            self.messages.append(json.loads(frame[start : start + size]))
            frame = frame[start + size :]

    @property
    def types(self) -> list[str]:
        return [message["type"] for message in self.messages]

    def of(self, kind: str) -> list[dict]:
        return [message for message in self.messages if message["type"] == kind]


@dataclass
class Batch:
    rows: list[dict] = field(default_factory=list)
    updated: frozenset[int] = frozenset()
    deleted: list[dict] = field(default_factory=list)
    change: int = 0
    logs: list[dict] = field(default_factory=list)
    metrics: list[dict] = field(default_factory=list)


def row(seq: int, **more) -> dict:
    return {"seq": seq, "change": seq, "id": f"s{seq}", "trace_id": f"t{seq}", "parent_id": None, "model": "m",
            "timestamp": 1, "status": 200, "tags": [], "is_root": True, "preview_in": "secret prompt", **more}  # fmt: skip


def batch(*seqs: int, **more) -> Batch:
    return Batch([row(seq, **more) for seq in seqs], change=max(seqs))


class Desk:
    def __init__(self, **given) -> None:
        self.asked = 0
        self.hub = Hub(self.stats, clock=lambda: 1000.0, **{"coalesce_s": 0.02, "stats_every_s": 0.02} | given)

    async def stats(self) -> dict:
        self.asked += 1
        return {"total_requests": self.asked}


def run(scenario) -> None:
    asyncio.run(scenario())


async def settle(peer: Peer, count: int) -> None:
    async with asyncio.timeout(30):
        while len(peer.messages) < count:
            await asyncio.sleep(0.005)


def test_plain_listener_hears_the_contracts_messages() -> None:
    """Greeting, then per span new_span and, for a root, new_trace; the statistics come after them."""

    async def scenario() -> None:
        desk, peer = Desk(), Peer()
        desk.hub.listen(peer)
        desk.hub.publish(Batch([row(1), row(2, parent_id="s1")], change=2))
        await settle(peer, 5)
        assert peer.types == ["hello", "new_span", "new_trace", "new_span", "stats_update"]
        assert peer.messages[0] == {"type": "hello", "time": 1_000_000, "seq": 0}
        assert set(peer.messages[1]["payload"]) == {
            "id", "timestamp", "duration_ms", "model", "total_tokens", "estimated_cost", "status", "trace_id",
            "parent_id", "span_type", "span_name", "service_name",
        }  # fmt: skip
        assert peer.messages[-1]["payload"] == {"total_requests": 1}
        desk.hub.close()

    run(scenario)


def test_nothing_is_made_while_nobody_listens() -> None:
    """Without listeners a commit costs nothing: its rows are not even asked for."""

    class Untouchable:
        change = 7

        @property
        def rows(self):
            raise AssertionError("rows were made")

    async def scenario() -> None:
        desk = Desk()
        desk.hub.publish(Untouchable())
        await asyncio.sleep(0.05)
        assert (desk.hub.change, desk.asked) == (7, 0)

    run(scenario)


def test_subscriber_gets_batches() -> None:
    """Commits within the coalescing time become one message of new rows and one of updated ones, with the change."""

    async def scenario() -> None:
        desk, peer = Desk(coalesce_s=0.05), Peer()
        listener = desk.hub.listen(peer)
        desk.hub.subscribe(listener, None)
        desk.hub._flushed_at = asyncio.get_running_loop().time()
        desk.hub.publish(batch(1, 2))
        desk.hub.publish(Batch([row(3), row(1, change=4)], updated=frozenset({1}), change=4))
        await settle(peer, 3)
        new, update = peer.of("trace")
        assert (new["op"], [r["seq"] for r in new["rows"]], new["seq"]) == ("new", [1, 2, 3], 4)
        assert (update["op"], [r["seq"] for r in update["rows"]]) == ("update", [1])
        assert "new_span" not in peer.types
        desk.hub.close()

    run(scenario)


def test_who_asks_for_short_rows_gets_them() -> None:
    """Two listeners to the same filter hear of the same rows, each in the form it asked for."""

    async def scenario() -> None:
        desk, whole, short = Desk(), Peer(), Peer()
        desk.hub.subscribe(desk.hub.listen(whole), None)
        desk.hub.subscribe(desk.hub.listen(short), None, wants=Wants(is_short=True))
        desk.hub.publish(batch(1, error=None, preview_out="long", running=None))
        desk.hub.tell_running([row(2, running=True)], [])
        for peer in (whole, short):
            await settle(peer, 3)
        assert [one["rows"][0]["id"] for one in whole.of("trace")] == [
            one["rows"][0]["id"] for one in short.of("trace")
        ]
        assert whole.of("trace")[0]["rows"][0]["preview_out"] == "long"
        assert not {"error", "preview_out", "seq"} & short.of("trace")[0]["rows"][0].keys()
        assert short.of("trace")[1]["rows"][0]["running"] is True

    run(scenario)


def test_filter_is_applied_to_the_subscription() -> None:
    """A subscriber hears only of what its filter lets through, and still gets statistics."""

    async def scenario() -> None:
        desk, one, other = Desk(), Peer(), Peer()
        desk.hub.subscribe(desk.hub.listen(one), Filter.from_query({"model": "a"}))
        desk.hub.subscribe(desk.hub.listen(other), Filter.from_query({"status": "error"}))
        desk.hub.publish(Batch([row(1, model="a"), row(2, model="b")], change=2))
        await settle(other, 2)
        assert [r["seq"] for r in one.of("trace")[0]["rows"]] == [1]
        assert other.types == ["hello", "stats_update"]
        desk.hub.close()

    run(scenario)


def test_burst_becomes_a_gap() -> None:
    """More rows than fit into one message are named as a gap, from the first one left out to the newest."""

    async def scenario() -> None:
        desk, peer = Desk(), Peer()
        desk.hub.subscribe(desk.hub.listen(peer), None)
        desk.hub.publish(batch(*range(1, MAX_ROWS + 51)))
        await settle(peer, 3)
        assert len(peer.of("trace")[0]["rows"]) == MAX_ROWS
        assert peer.of("gap") == [{"type": "gap", "from": MAX_ROWS + 1, "to": MAX_ROWS + 50}]
        desk.hub.close()

    run(scenario)


def test_deletions_are_told() -> None:
    """Deleted traces are named."""

    async def scenario() -> None:
        desk, peer = Desk(), Peer()
        desk.hub.subscribe(desk.hub.listen(peer), None)
        desk.hub.publish(Batch(deleted=[{"trace_id": "t1"}], change=9))
        await settle(peer, 2)
        assert peer.of("trace") == [{"type": "trace", "op": "delete", "seq": 9, "rows": [{"trace_id": "t1"}]}]
        desk.hub.close()

    run(scenario)


@pytest.mark.parametrize(("after", "gaps"), [(5, []), (3, [(3, 5)]), (99, [(99, 5)]), (None, [])])
def test_reconnecting_subscriber_learns_that_it_missed_something(after: int | None, gaps: list) -> None:
    """Whoever knows another change than the newest is told of a gap, also when the numbers began anew."""

    async def scenario() -> None:
        desk, peer = Desk(), Peer()
        desk.hub.publish(batch(5))
        desk.hub.subscribe(desk.hub.listen(peer), None, after)
        assert [(gap["from"], gap["to"]) for gap in peer.of("gap")] == gaps
        desk.hub.close()

    run(scenario)


def test_changing_the_filter_is_no_gap() -> None:
    """Who has listened all along misses nothing by choosing another filter."""

    async def scenario() -> None:
        desk, peer = Desk(), Peer()
        listener = desk.hub.listen(peer)
        desk.hub.subscribe(listener, Filter.from_query({"model": "other"}), 0)
        desk.hub.publish(batch(1))
        await settle(peer, 2)
        desk.hub.subscribe(listener, None, 0)
        assert peer.of("gap") == []
        desk.hub.close()

    run(scenario)


def test_statistics_are_read_at_most_so_often() -> None:
    """Many commits make one reading per period, and the last commit is still followed by one."""

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        desk, peer = Desk(coalesce_s=0.0, stats_every_s=0.1), Peer()
        desk.hub.listen(peer)
        began = loop.time()
        for seq in range(1, 11):
            desk.hub.publish(batch(seq))
            await asyncio.sleep(0.005)
        async with asyncio.timeout(30):
            while peer.types.count("new_span") < 10 or peer.types[-1] != "stats_update":
                await asyncio.sleep(0.005)
        assert 1 <= desk.asked <= 1 + (loop.time() - began) / 0.1
        count = desk.asked
        await asyncio.sleep(0.15)
        assert desk.asked == count
        desk.hub.close()

    run(scenario)


def test_late_statistics_never_come_first() -> None:
    """A listener who came after the last commit hears its first spans before any statistics."""

    async def scenario() -> None:
        desk, old, new = Desk(stats_every_s=0.05), Peer(), Peer()
        desk.hub.listen(old)
        desk.hub.publish(batch(1))
        await settle(old, 4)
        desk.hub.publish(batch(2))
        await settle(old, 6)
        desk.hub.listen(new)
        await asyncio.sleep(0.1)
        assert new.types == ["hello"]
        desk.hub.publish(batch(3))
        await settle(new, 4)
        assert new.types == ["hello", "new_span", "new_trace", "stats_update"]
        desk.hub.close()

    run(scenario)


def test_failing_statistics_are_left_out() -> None:
    """When the store cannot be read, spans are told all the same."""

    async def scenario() -> None:
        peer = Peer()

        async def fail() -> dict:
            raise StoreError("too slow")

        hub = Hub(fail, coalesce_s=0.0, stats_every_s=0.0)
        hub.listen(peer)
        hub.publish(batch(1))
        await settle(peer, 3)
        hub.publish(batch(2))
        await settle(peer, 5)
        assert "stats_update" not in peer.types
        hub.close()

    run(scenario)


def test_logs_and_metrics() -> None:
    """Each log is told, and once more where it belongs to a trace; each metric point is told; in order, in summary."""

    async def scenario() -> None:
        desk, peer = Desk(), Peer()
        desk.hub.publish(Batch(logs=[{"id": "l0"}], metrics=[{"id": "m0"}]))
        desk.hub.listen(peer)
        logs = [{"id": "l1", "body": "x" * 300, "trace_id": "t1", "attributes": "{}"}, {"id": "l2"}]
        desk.hub.publish(Batch(logs=logs, metrics=[{"id": "m1", "name": "tokens", "value_int": 3, "unit": "1"}]))
        await settle(peer, 5)
        assert peer.types == ["hello", "new_log", "trace_log_added", "new_log", "new_metric"]
        log = peer.messages[1]["payload"]
        assert log == {"id": "l1", "timestamp": None, "severity_text": None, "event_name": None,
                       "service_name": None, "trace_id": "t1", "body": "x" * 200}  # fmt: skip
        assert peer.messages[2]["payload"] == {"trace_id": "t1", "log": log}
        assert peer.messages[4]["payload"] == {"id": "m1", "timestamp": None, "name": "tokens", "metric_type": None,
                                               "value_int": 3, "value_double": None, "service_name": None}  # fmt: skip
        assert desk.asked == 0, "statistics hold no logs"
        desk.hub.close()

    run(scenario)


def test_subscriber_gets_logs_and_metrics_in_batches() -> None:
    """A subscriber hears of what it asked for: one message a commit, the newest rows, and how many were left out."""

    async def scenario() -> None:
        desk, both, logs, none, other = Desk(), Peer(), Peer(), Peer(), Peer()
        for peer, wants in (
            (both, Wants(logs=True, metrics=True)),
            (logs, Wants(traces=False, logs=True, metrics=False)),
            (none, None),
        ):
            desk.hub.subscribe(desk.hub.listen(peer), None, wants=wants)
        desk.hub.listen(other)
        many = [{"id": f"l{n}", "trace_id": "t"} for n in range(MAX_ROWS + 5)]
        desk.hub.publish(Batch([row(1)], change=1, logs=many, metrics=[{"id": "m1", "name": "n"}]))
        await settle(other, 3 + 2 * len(many) + 2)
        await settle(both, 5)
        await settle(logs, 3)
        await settle(none, 3)
        assert [kind for kind in both.types if kind != "stats_update"] == ["hello", "trace", "log", "metric"]
        assert [kind for kind in logs.types if kind != "stats_update"] == ["hello", "log"]
        assert [kind for kind in none.types if kind != "stats_update"] == ["hello", "trace"]
        told = logs.of("log")[0]
        assert (told["op"], told["left_out"], len(told["rows"])) == ("new", 5, MAX_ROWS)
        assert (told["rows"][0]["id"], told["rows"][-1]["id"]) == ("l5", f"l{MAX_ROWS + 4}")
        assert both.of("metric")[0]["rows"][0]["name"] == "n"
        assert len(other.of("new_log")) == len(other.of("trace_log_added")) == len(many)
        desk.hub.close()

    run(scenario)


def test_forgotten_listener_hears_nothing() -> None:
    """Who has gone is not written to."""

    async def scenario() -> None:
        desk, peer = Desk(), Peer()
        listener = desk.hub.listen(peer)
        desk.hub.publish(batch(1))
        desk.hub.forget(listener)
        await asyncio.sleep(0.05)
        assert peer.types == ["hello"]
        desk.hub.close()

    run(scenario)


def test_running_calls_are_told_to_those_who_want_them() -> None:
    """A subscriber hears of running calls its filter lets through, after the rows that were committed before; ends all."""

    async def scenario() -> None:
        desk = Desk(coalesce_s=30)
        peers = {name: Peer() for name in ("plain", "all", "model", "outcome", "logs")}
        listeners = {name: desk.hub.listen(peer) for name, peer in peers.items()}
        desk.hub.subscribe(listeners["all"], None)
        desk.hub.subscribe(listeners["model"], Filter.from_query({"model": "other"}))
        desk.hub.subscribe(listeners["outcome"], Filter.from_query({"status": "ok"}))
        desk.hub.subscribe(listeners["logs"], None, None, Wants(traces=False))
        desk.hub.publish(batch(1))
        desk.hub.tell_running([row(2, status=None, running=True)], [{"id": "s1", "trace_id": "t1"}])
        told = {name: [one["op"] for one in peer.of("trace")] for name, peer in peers.items()}
        assert told.pop("all")[-2:] == ["running", "ended"]
        assert told == {"plain": [], "model": ["ended"], "outcome": ["new", "ended"], "logs": []}
        desk.hub.close()

    asyncio.run(scenario())


def test_it_is_known_whether_anybody_subscribes() -> None:
    """Who only watches one by one, or wants no traces, is no subscriber; the hook is called at each subscription."""

    async def scenario() -> None:
        desk, calls = Desk(), []
        desk.hub.on_subscribe = lambda: calls.append(1)
        listener = desk.hub.listen(Peer())
        assert not desk.hub.has_subscribers
        desk.hub.subscribe(listener, None, None, Wants(traces=False))
        assert not desk.hub.has_subscribers
        desk.hub.subscribe(listener, None)
        assert desk.hub.has_subscribers
        desk.hub.forget(listener)
        assert not desk.hub.has_subscribers
        assert len(calls) == 2
        desk.hub.close()

    asyncio.run(scenario())
