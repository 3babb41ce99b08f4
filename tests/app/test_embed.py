"""LLMFlow inside a program: `with llmflow.serve() as flow:`."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
import urllib.request
from pathlib import Path

import pytest
from fake_upstream import FakeUpstream, chunk

import llmflow
from llmflow_web.errors import ConfigError, StartRefused, StoreRefused
from llmflow_web.sdk import configure, flush, span, trace
from llmflow_web.sdk.settings import settings

PATIENCE_S = 60.0
ASKED = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Why is the sky blue?"}]}
DONE = b"data: [DONE]\n\n"


def post(url: str, body: dict, *, read: int = -1):
    """Post JSON past any proxy; return the answer's body, or its beginning and the open answer."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    answer = opener.open(request, timeout=PATIENCE_S)
    if read < 0:
        with answer:
            return answer.read()
    return answer.read(read), answer


def ask(flow) -> None:
    post(flow.openai_base_url + "/chat/completions", ASKED)


@pytest.fixture
def temporary(tmp_path, monkeypatch) -> Path:
    """A folder in which temporary ones are made."""
    import tempfile

    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


def test_calls_cost_and_tokens(upstream, temporary):
    """What was answered is there at once: calls as plain dicts, oldest first, their cost and tokens."""
    with llmflow.serve(proxy_port=0, dashboard_port=0, upstreams={"openai": upstream.url}) as flow:
        assert flow.calls() == []
        assert (flow.cost(), flow.tokens()) == (0.0, 0)
        for _ in range(20):
            before = len(flow.calls())
            ask(flow)
            assert len(flow.calls()) == before + 1
        calls = flow.calls()
        assert flow.cost() == pytest.approx(sum(call["estimated_cost"] for call in calls))
        assert flow.cost() > 0
        assert flow.tokens() == sum(call["total_tokens"] for call in calls) > 0
        assert [call["seq"] for call in calls] == sorted(call["seq"] for call in calls)
        json.dumps(calls)
        assert flow.call(calls[0]["id"])["request"]["body"] == ASKED
        with pytest.raises(KeyError):
            flow.call("nothing")
        assert len(list(temporary.iterdir())) == 1
        assert repr(flow) == f"<Flow {flow.dashboard_url}>"
    assert list(temporary.iterdir()) == []
    assert not Path("~/.llmflow").expanduser().exists()
    with pytest.raises(RuntimeError, match="inside the with block"):
        flow.calls()


def test_addresses():
    """It says what each client takes as its base URL."""
    with llmflow.serve() as flow:
        assert flow.openai_base_url == flow.base_url("openai") == flow.proxy_url + "/v1"
        assert flow.base_url("groq") == flow.proxy_url + "/groq/v1"
        assert flow.anthropic_base_url == flow.proxy_url + "/anthropic"
        assert flow.gemini_base_url == flow.proxy_url + "/gemini"
        assert flow.dashboard_url.startswith("http://localhost:")


def test_spans(upstream):
    """Spans of the SDK are in spans(), not in calls()."""
    with llmflow.serve(upstreams={"openai": upstream.url}) as flow:
        try:
            configure(url=flow.dashboard_url)
            with trace("agent"), span("step", span_type="llm", model="gpt-4o", prompt_tokens=10, completion_tokens=1):
                pass
            assert flush(PATIENCE_S)
            assert flow.calls() == []
            assert sorted(row["span_name"] for row in flow.spans()) == ["agent", "step"]
            assert flow.tokens() == 11
        finally:
            settings.given = {}
            settings.is_read = False


def test_a_call_under_way(temporary):
    """A running call is waited for as long as one likes, and is no finished one."""
    with FakeUpstream() as upstream, llmflow.serve(upstreams={"openai": upstream.url}) as flow:
        go = threading.Event()

        def slow(talk):
            talk.body()
            talk.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            talk.send(chunk(b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n'))
            assert go.wait(PATIENCE_S)
            talk.send(chunk(DONE) + chunk(b""))

        upstream.script(slow)
        _, answer = post(flow.openai_base_url + "/chat/completions", ASKED | {"stream": True}, read=6)
        assert flow.calls(wait_s=0) == []
        found: list[int] = []
        asking = threading.Thread(target=lambda: found.append(len(flow.calls(wait_s=PATIENCE_S))))
        asking.start()
        go.set()
        with answer:
            answer.read()
        asking.join()
        assert found == [1]


def test_a_stream_read_to_its_last_event(upstream):
    """A client that closes after [DONE] finds its call all the same."""
    with llmflow.serve(upstreams={"openai": upstream.url}) as flow:
        first, answer = post(flow.openai_base_url + "/chat/completions", ASKED | {"stream": True}, read=1)
        with answer:
            seen = first
            while not seen.endswith(DONE):
                seen += answer.read1()
        assert [call["is_stream"] for call in flow.calls()] == [True]


def test_two_at_once(upstream):
    """Two run side by side and know nothing of each other."""
    with (
        llmflow.serve(upstreams={"openai": upstream.url}) as one,
        llmflow.serve(upstreams={"openai": upstream.url}) as other,
    ):
        ask(one)
        assert (len(one.calls()), len(other.calls())) == (1, 0)
        assert one.proxy_url != other.proxy_url


def test_inside_a_running_loop(upstream):
    """A notebook's running loop is no trouble: it has its own, in a thread of its own."""

    async def cell():
        with llmflow.serve(upstreams={"openai": upstream.url}) as flow:
            await asyncio.to_thread(ask, flow)
            return len(flow.calls())

    assert asyncio.run(cell()) == 1


def test_it_touches_nothing_of_its_host(upstream, monkeypatch, temporary):
    """No signal handlers, no settings of the environment, no thread left behind."""
    monkeypatch.setenv("LLMFLOW_PROXY_PORT", "1")
    monkeypatch.setenv("LLMFLOW_DATA_DIR", "/nowhere")
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    threads = set(threading.enumerate())
    with llmflow.serve(upstreams={"openai": upstream.url}) as flow:
        ask(flow)
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    left = {one.name for one in set(threading.enumerate()) - threads if one.name.startswith("llmflow")}
    assert not left
    assert os.environ["LLMFLOW_PROXY_PORT"] == "1"


def test_data_that_stay(upstream, tmp_path):
    """With a data_dir the next one goes on where the last one stopped; two cannot share one."""
    for count in (1, 2):
        with llmflow.serve(upstreams={"openai": upstream.url}, data_dir=tmp_path / "data") as flow:
            ask(flow)
            assert len(flow.calls()) == count
            with pytest.raises(StoreRefused, match="Another LLMFlow"):
                llmflow.serve(data_dir=tmp_path / "data").start()


def test_settings(upstream):
    """Every setting can be given by its name, as a value or as it is written on a command line."""
    with llmflow.serve(
        upstreams={"openai": upstream.url}, bodies=False, max_stored_body="64 KiB", max_age=None
    ) as flow:
        ask(flow)
        (call,) = flow.calls()
        assert flow.call(call["id"])["request"]["body"] is None
    with pytest.raises(TypeError, match="'max_trace'; did you mean 'max_traces'"):
        llmflow.serve(max_trace=5)
    with pytest.raises(ConfigError, match="max_traces"):
        llmflow.serve(max_traces="many")
    with pytest.raises(ConfigError, match="token"):
        llmflow.serve(host="0.0.0.0")


def test_a_taken_port(temporary):
    """A start that fails says why and leaves nothing behind."""
    with llmflow.serve() as flow:
        port = int(flow.proxy_url.rpartition(":")[2])
        with pytest.raises(StartRefused, match=str(port)):
            llmflow.serve(proxy_port=port).start()
    assert list(temporary.iterdir()) == []


def test_many_pages(upstream):
    """More calls than a page holds are all there."""
    from llmflow_web.app import embed

    with llmflow.serve(upstreams={"openai": upstream.url}) as flow, pytest.MonkeyPatch.context() as patch:
        for _ in range(5):
            ask(flow)
        patch.setattr(embed, "MAX_LIMIT", 2)
        assert len({call["id"] for call in flow.calls()}) == 5
