"""Calls under way, through a whole LLMFlow: listed, told of over the WebSocket, replaced by their row, never stored."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import Flow
from fake_upstream import FakeUpstream, Talk, chunk, head_of
from routes.live_rig import Client

PATIENCE_S = 60.0
ASKED = {
    "model": "gpt-4o",
    "stream": True,
    "messages": [{"role": "user", "content": "count for me, my key is sk-proj-abcdefghijklmnopqrstuvwxyz0123456789"}],
}
DELTA = b'data: {"id":"c","object":"chat.completion.chunk","model":"gpt-4o","choices":[{"index":0,"delta":{"content":"1"}}]}\n\n'
END = b'data: {"id":"c","object":"chat.completion.chunk","model":"gpt-4o","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


class Slow:
    """An upstream that begins to stream at once and goes on when told."""

    def __init__(self) -> None:
        self.asked = 0
        self.begin, self.go_on = threading.Event(), threading.Event()
        self.server = FakeUpstream(self._script)

    def _script(self, talk: Talk) -> None:
        talk.body()
        self.asked += 1
        assert self.begin.wait(PATIENCE_S)
        talk.send(head_of(200, [("content-type", "text/event-stream"), ("transfer-encoding", "chunked")]))
        talk.send(chunk(DELTA))
        assert self.go_on.wait(PATIENCE_S)
        talk.send(chunk(END) + b"0\r\n\r\n")


@pytest.fixture
def slow() -> Iterator[Slow]:
    slow = Slow()
    with slow.server:
        yield slow
        slow.begin.set()
        slow.go_on.set()


def ask(flow: Flow, **headers: str) -> threading.Thread:
    """Send the call from a thread of its own."""
    import urllib.request

    request = urllib.request.Request(f"{flow.proxy_url}/v1/chat/completions", json.dumps(ASKED).encode(), method="POST")
    for name, value in {"content-type": "application/json", **headers}.items():
        request.add_header(name.replace("_", "-"), value)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def send() -> None:
        with opener.open(request, timeout=PATIENCE_S) as answer:
            answer.read()

    thread = threading.Thread(target=send)
    thread.start()
    return thread


def wait_for(look: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENCE_S
    while not (found := look()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)
    return found


def shown(flow: Flow) -> list[dict[str, Any]]:
    """Return the running calls once their requests are read."""
    rows: list[dict[str, Any]] = flow.get("/api/traces?running=1")
    return rows if rows and all(row["model"] for row in rows) else []


def test_a_running_call_is_listed_until_its_row_is(slow: Slow, flow_at: Callable[..., Flow]) -> None:
    """A call under way heads the first page when asked for, with what is known of it; then its row stands there."""
    flow = flow_at(openai=slow.server.url)
    thread = ask(flow, x_llmflow_session_id="s1", x_llmflow_tags="a,b")
    (row,) = wait_for(lambda: shown(flow))
    assert (row["running"], row["status"], row["model"], row["provider"]) == (True, None, "gpt-4o", "openai")
    assert (row["session_id"], row["tags"], row["is_stream"], row["seq"]) == ("s1", ["a", "b"], True, None)
    assert row["preview_in"].startswith("count for me")
    assert "abcdefgh" not in row["preview_in"]
    assert flow.get("/api/traces") == []
    found = flow.get(f"/api/traces/{row['trace_id']}")
    assert (found["trace"]["id"], found["trace"]["running"], found["response"]["status"]) == (row["id"], True, None)
    assert found["messages"]["input"][0]["parts"][0]["text"].startswith("count for me")
    assert "abcdefgh" not in json.dumps(found)
    assert flow.get(f"/api/traces/{row['id']}?trace_id={row['trace_id']}")["trace"]["id"] == row["id"]
    (span,) = flow.get(f"/api/traces/{row['trace_id']}/tree?fields=summary")["spans"]
    assert (span["id"], span["running"]) == (row["id"], True)
    slow.begin.set()
    row = wait_for(lambda: next((row for row in flow.get("/api/traces?running=1") if row["chunk_count"]), None))
    assert row["response_status"] == 200
    assert 0 < row["ttft_ms"] <= row["duration_ms"]
    slow.go_on.set()
    thread.join(PATIENCE_S)
    (stored,) = wait_for(lambda: flow.get("/api/traces"))
    assert (stored["id"], stored["trace_id"], stored["status"]) == (row["id"], row["trace_id"], 200)
    assert stored["span_name"] == row["span_name"]
    assert "running" not in stored
    assert [one["id"] for one in flow.get("/api/traces?running=1")] == [stored["id"]]


@pytest.mark.parametrize(
    ("query", "is_there"),
    [
        ("model=gpt-4o", True), ("model=o3", False), ("provider=openai", True), ("provider=groq", False),
        ("q=count", True), ("q=elephant", False), ("filter=duration%3E1000h", False), ("filter=cost%3E0", False),
        ("status=ok", False), ("status=error", False), ("filter=-status:error", False), ("tag=a", True),
        ("tag=c", False), ("roots=1", True), ("offset=1", False), ("sort=-cost", False), ("sort=time", False),
        ("after=0", False), ("date_to=1000", False), ("limit=1", True),
    ],
)  # fmt: skip
def test_filters_hold_for_running_calls(query: str, is_there: bool, running: Flow) -> None:
    """A filter that says something else, or anything of the outcome, leaves a running call out; so do later pages."""
    assert [row["running"] for row in running.get(f"/api/traces?running=1&{query}")] == [True] * is_there


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    """A flow with one call under way."""
    slow = Slow()
    with slow.server:
        flow = Flow(tmp_path_factory.mktemp("flow") / "data", {"openai": slow.server.url})
        thread = ask(flow, x_llmflow_tags="a")
        wait_for(lambda: shown(flow))
        yield flow
        slow.begin.set()
        slow.go_on.set()
        thread.join(PATIENCE_S)
        flow.stop()


def test_a_call_that_is_not_recorded_is_not_shown(slow: Slow, flow_at: Callable[..., Flow]) -> None:
    """X-LLMFlow-Record: off hides a running call; meta shows it without its words."""
    flow = flow_at(openai=slow.server.url)
    threads = [ask(flow, x_llmflow_record="off"), ask(flow, x_llmflow_record="meta")]
    (row,) = wait_for(lambda: shown(flow))
    wait_for(lambda: slow.asked == 2)
    assert len(flow.get("/api/traces?running=1")) == 1
    assert (row["model"], row["preview_in"]) == ("gpt-4o", None)
    slow.begin.set()
    slow.go_on.set()
    for thread in threads:
        thread.join(PATIENCE_S)


def test_browsers_are_told(slow: Slow, flow_at: Callable[..., Flow]) -> None:
    """A subscriber hears that a call runs, that more of it came, its row, and that it runs no more; others do not."""
    flow = flow_at(openai=slow.server.url)

    async def scenario() -> list[dict[str, Any]]:
        port = int(flow.dashboard_url.rpartition(":")[2])
        plain, mine, other = [await Client.connect(port) for _ in range(3)]
        mine.send_json({"type": "subscribe", "filter": {"model": "gpt-4o"}})
        other.send_json({"type": "subscribe", "filter": {"model": "o3"}})
        thread = await asyncio.to_thread(ask, flow)
        heard = [await until(mine, "running")]
        slow.begin.set()
        more = await until(mine, "running")
        while not more["rows"][0]["chunk_count"]:  # told of once more as it was
            more = await until(mine, "running")
        heard.append(more)
        slow.go_on.set()
        # on a slow disk the row comes after the word that the call runs no more
        last = [await until(mine, "new", "ended") for _ in range(2)]
        heard += sorted(last, key=lambda message: message["op"], reverse=True)
        await asyncio.to_thread(thread.join, PATIENCE_S)
        assert (await until(other, "ended"))["rows"] == heard[-1]["rows"]
        kinds = {(await plain.message())["type"] for _ in range(4)}
        assert kinds == {"hello", "new_span", "new_trace", "stats_update"}
        for client in (plain, mine, other):
            await client.close()
        return heard

    first, more, new, ended = asyncio.run(scenario())
    key = {"id": first["rows"][0]["id"], "trace_id": first["rows"][0]["trace_id"]}
    assert (first["rows"][0]["running"], first["rows"][0]["chunk_count"]) == (True, 0)
    assert more["rows"][0]["chunk_count"] >= 1
    assert (new["rows"][0]["id"], ended["rows"]) == (key["id"], [key])


def test_browsers_are_told_of_deletions(flow_at: Callable[..., Flow], upstream: FakeUpstream) -> None:
    """A subscriber hears of a trace that was deleted by hand."""
    flow = flow_at(openai=upstream.url)

    async def scenario() -> None:
        client = await Client.connect(int(flow.dashboard_url.rpartition(":")[2]))
        client.send_json({"type": "subscribe"})
        await asyncio.to_thread(lambda: ask(flow).join(PATIENCE_S))
        trace = (await until(client, "new"))["rows"][0]["trace_id"]
        status, _, _ = await asyncio.to_thread(lambda: flow.ask(f"/api/traces/{trace}", method="DELETE"))
        assert status == 202
        while (gone := await until(client, "delete", "new", "update"))["op"] != "delete":
            pass
        assert gone["rows"] == [{"trace_id": trace}]
        await client.close()

    asyncio.run(scenario())


async def until(client: Client, *ops: str) -> dict[str, Any]:
    """Read until a trace message of one of these kinds comes; of running calls of others nothing may come before."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            opcode, payload = await client.frame()
            assert opcode == 1
            message = json.loads(payload)
            if message.get("op") in ops:
                return message
            assert message.get("op") != "running" or "new" in ops, message
