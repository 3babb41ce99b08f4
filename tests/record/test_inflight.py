"""Rows of running calls: what is known is shown, what is large is not read, and nobody watching costs nothing."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from llmflow_web.model import Capture, Exchange
from llmflow_web.record.inflight import MAX_READ_BYTES, MAX_SHOWN, MIN_AGE_NS, Inflight
from llmflow_web.registry import PROVIDERS
from llmflow_web.wire.filter import Filter

ROWS = {provider.name: provider for provider in PROVIDERS}
SECOND = 1_000_000_000


def exchange(key: str = "s1", body: bytes = b"", **more: Any) -> Exchange:
    made = Exchange()
    made.id, made.trace_id, made.provider = key, f"t-{key}", "openai"
    made.method, made.path, made.start_ns, made.started_ns = "POST", "/v1/chat/completions", 10 * SECOND, 1
    made.request = Capture(1 << 20)
    if body:
        made.request.add(body)
    for name, value in more.items():
        setattr(made, name, value)
    return made


def rows_of(*calls: Exchange, **filters: str) -> list[dict[str, Any]]:
    inflight = Inflight({call.id: call for call in calls}, ROWS, clock_ns=lambda: 5 * SECOND + 1)
    return inflight.rows(Filter.from_query(filters) if filters else None, 15_000)


def test_what_is_known_is_shown() -> None:
    """A row has the list element's members: ids, labels, model, preview, and its duration so far."""
    body = json.dumps({"model": "o3", "stream": True, "messages": [{"role": "user", "content": "hi"}]}).encode()
    headers = [(b"x-llmflow-user-id", b"X-LLMFlow-User-Id: anna"), (b"user-agent", b"user-agent: claude-cli/1")]
    (row,) = rows_of(exchange(body=body, request_headers=headers, first_byte_ns=2 * SECOND + 1))
    assert (row["id"], row["trace_id"], row["model"], row["span_name"]) == ("s1", "t-s1", "o3", "chat o3")
    assert (row["user_id"], row["tool"], row["preview_in"], row["is_stream"]) == ("anna", "claude-code", "hi", True)
    assert (row["timestamp"], row["duration_ms"], row["ttft_ms"]) == (10_000, 5000.0, 2000.0)
    assert (row["status"], row["estimated_cost"], row["total_tokens"], row["is_root"]) == (None, None, None, True)


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"\xff\xfe", b'{"model": 1}', b'{"model": ["a"], "messages": 3}'])
def test_nonsense_is_a_row_too(body: bytes) -> None:
    """Whatever a client sends, its call has a row."""
    (row,) = rows_of(exchange(body=body))
    assert row["running"] is True


def test_a_long_request_is_not_parsed() -> None:
    """Of a long request only the ends are looked at, for the model; there is no preview of it."""
    text = "x" * (2 * MAX_READ_BYTES)
    first = json.dumps({"model": "o3", "messages": [text]}).encode()
    last = json.dumps({"messages": [text], "model": "o3-mini"}).encode()
    found = rows_of(exchange("a", first), exchange("b", last), exchange("c", json.dumps([text]).encode()))
    assert sorted((row["id"], row["model"], row["preview_in"]) for row in found) == [
        ("a", "o3", None),
        ("b", "o3-mini", None),
        ("c", None, None),
    ]


def test_the_rest_of_a_request_changes_the_row() -> None:
    """A request that comes in pieces is read again when more of it has come."""
    call = exchange(body=b'{"model": "o3", ')
    inflight = Inflight({"s1": call}, ROWS)
    assert inflight.rows(None, 0)[0]["model"] is None
    assert call.request is not None
    call.request.add(b'"messages": []}')
    assert inflight.rows(None, 0)[0]["model"] == "o3"


def test_the_newest_are_shown() -> None:
    """Of very many running calls the newest are shown, newest first."""
    calls = [exchange(f"s{number}", start_ns=number) for number in range(MAX_SHOWN + 50)]
    found = rows_of(*calls)
    assert [row["id"] for row in found] == [f"s{number}" for number in range(MAX_SHOWN + 49, 49, -1)]


class Audience:
    def __init__(self) -> None:
        self.on_subscribe: Any = None
        self.has_subscribers = True
        self.told: list[tuple[list[Any], list[Any]]] = []
        self.hears = asyncio.Event()

    def tell_running(self, rows: Any, ended: Any) -> None:
        self.told.append((list(rows), list(ended)))
        self.hears.set()

    async def next(self) -> tuple[list[Any], list[Any]]:
        async with asyncio.timeout(20):
            await self.hears.wait()
        self.hears.clear()
        return self.told[-1]


def test_an_audience_is_told_once_and_of_the_end() -> None:
    """A call is told of when it has run a while, again when more came, and taken back when it is gone."""

    async def scenario() -> None:
        now = [MIN_AGE_NS]
        running = {"s1": exchange()}
        audience, inflight = Audience(), Inflight(running, ROWS, clock_ns=lambda: now[0])
        inflight.tell(audience)
        audience.on_subscribe()
        for _ in range(3):
            inflight._tick()
        assert audience.told == []  # too young
        now[0] += SECOND
        assert [row["id"] for row in (await audience.next())[0]] == ["s1"]
        running["s1"].arrivals.append((0, 1))
        inflight._tick()
        inflight._tick()
        assert len(audience.told) == 1  # told of a moment ago
        now[0] += SECOND
        assert [row["chunk_count"] for row in (await audience.next())[0]] == [1]
        audience.on_subscribe()
        assert len((await audience.next())[0]) == 1  # the newcomer has not heard of it
        del running["s1"]
        inflight._tick()
        assert inflight.rows(None, 0) == []
        now[0] += SECOND
        assert await audience.next() == ([], [{"id": "s1", "trace_id": "t-s1"}])
        inflight.close()

    asyncio.run(scenario())


def test_without_an_audience_nothing_is_done() -> None:
    """When the last subscriber has gone the ticking stops, and what was remembered is let go."""

    async def scenario() -> None:
        audience, inflight = Audience(), Inflight({"s1": exchange()}, ROWS)
        inflight.tell(audience)
        assert "watched" not in repr(inflight)
        audience.on_subscribe()
        assert "watched" in repr(inflight)
        audience.has_subscribers = False
        inflight._tick()
        assert "watched" not in repr(inflight)
        inflight.close()

    asyncio.run(scenario())
