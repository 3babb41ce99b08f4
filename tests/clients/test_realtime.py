"""Realtime sessions through LLMFlow: the events are those without it, and each session is one true row."""

from __future__ import annotations

import json
import time

import pytest
from realtime_events import MODEL

openai = pytest.importorskip("openai", reason="the openai SDK is not installed")
websockets = pytest.importorskip("websockets.sync.client", reason="websockets is not installed")
RealtimeLike = pytest.importorskip("realtime_like").RealtimeLike

# The SDK calls websockets in a way that is deprecated there since 17.1.
pytestmark = [pytest.mark.sdk, pytest.mark.filterwarnings(r"ignore:connect\(\) must be used:DeprecationWarning")]

KEY = "sk-test-THISKEYMUSTNOTBESTORED0123456789"
COST = 2 * ((55 * 4 + 13 * 32 + 64 * 0.4) + (30 * 16 + 91 * 64)) / 1e6


@pytest.fixture
def realtime():
    with RealtimeLike() as server:
        yield server


def ws(url: str) -> str:
    return url.replace("http://", "ws://", 1)


def talk_by_sdk(url: str) -> list[dict]:
    """Hold a session of two answers: a spoken one, then a tool call."""
    events = []
    with openai.OpenAI(api_key=KEY, base_url=url, websocket_base_url=ws(url), max_retries=0) as client:
        with client.realtime.connect(model=MODEL) as connection:
            events.append(connection.recv())
            connection.session.update(session={"type": "realtime", "instructions": "Be brief."})
            events.append(connection.recv())
            connection.input_audio_buffer.append(audio="QUJD" * 1000)
            connection.input_audio_buffer.commit()
            events.append(connection.recv())
            for response in ({}, {"tool_choice": "required"}):
                connection.response.create(response=response)
                while True:
                    events.append(connection.recv())
                    if events[-1].type == "response.done":
                        break
    return [event.model_dump() for event in events]


def test_the_sdk_hears_what_it_hears_directly(flow_at, realtime):
    """Events are identical, on the provider route and by passthrough."""
    flow = flow_at(openai=realtime.url)
    direct = talk_by_sdk(f"{realtime.url}/v1")
    assert len(direct) == 13
    sent = realtime.heard[:]
    for route in ("/v1", "/passthrough/openai/v1"):
        realtime.heard.clear()
        assert talk_by_sdk(flow.proxy_url + route) == direct
        assert realtime.heard == sent
        assert realtime.headers["authorization"] == f"Bearer {KEY}"
    assert {row["source"] for row in flow.wait_traces(2)} == {"proxy", "passthrough"}


def test_a_session_is_one_true_row(flow_at, realtime):
    """Model, tokens of both answers, their price, duration, and a good end; and no key anywhere."""
    flow = flow_at(openai=realtime.url)
    began = time.monotonic()
    talk_by_sdk(f"{flow.proxy_url}/v1")
    took_ms = (time.monotonic() - began) * 1000
    (row,) = flow.wait_traces(1)
    assert (row["status"], row["response_status"], row["error"], row["ending"]) == (200, 101, None, "finished")
    assert (row["model"], row["operation"], row["span_type"]) == (MODEL, "realtime", "llm")
    assert (row["span_name"], row["is_stream"], row["finish_reason"]) == (f"realtime {MODEL}", True, "stop")
    assert (row["prompt_tokens"], row["completion_tokens"], row["total_tokens"]) == (264, 242, 506)
    assert row["cached_tokens"] == 128
    assert row["estimated_cost"] == pytest.approx(COST)
    assert 0 < row["duration_ms"] <= took_ms
    assert (row["preview_in"], row["preview_out"]) == ("What is it like in Rome?", "It is sunny.")
    assert KEY not in flow.everything_stored()


def test_the_screen_shows_what_was_said(flow_at, realtime):
    """Transcripts and tool calls are messages; the events of both sides are kept, one a line."""
    flow = flow_at(openai=realtime.url)
    talk_by_sdk(f"{flow.proxy_url}/v1")
    (row,) = flow.wait_traces(1)
    detail = flow.get(f"/api/traces/{row['id']}")
    assert detail["messages"]["input"] == [
        {"role": "system", "parts": [{"type": "text", "text": "Be brief."}]},
        {"role": "user", "parts": [{"type": "text", "text": "What is it like in Rome?"}]},
    ]
    said, called = detail["messages"]["output"]
    assert said == {"role": "assistant", "parts": [{"type": "text", "text": "It is sunny."}]}
    assert called["parts"][0]["name"] == "get_weather"
    events = [json.loads(line) for line in detail["response"]["body"].splitlines()]
    assert [event["type"] for event in events][:3] == [
        "session.created",
        "session.updated",
        "conversation.item.input_audio_transcription.completed",
    ]
    assert len(flow.get("/api/traces?q=sunny")) == 1


@pytest.mark.parametrize("compression", ["deflate", None])
def test_compressed_sessions_are_read_too(flow_at, realtime, compression):
    """The websockets package, with and without permessage-deflate."""
    flow = flow_at(openai=realtime.url)
    url = f"{ws(flow.proxy_url)}/v1/realtime?model={MODEL}"
    with websockets.connect(
        url, compression=compression, additional_headers={"Authorization": f"Bearer {KEY}"}
    ) as socket:
        assert bool(socket.protocol.extensions) is (compression is not None)
        socket.recv()
        for _ in range(2):
            socket.send('{"type":"response.create"}')
            while json.loads(socket.recv())["type"] != "response.done":
                pass
    (row,) = flow.wait_traces(1)
    assert (row["prompt_tokens"], row["ending"], row["error"]) == (264, "finished", None)
    assert row["estimated_cost"] == pytest.approx(COST)


def test_an_error_event_is_the_row_s(flow_at, realtime):
    """An error that no answer came after is what the row says."""
    flow = flow_at(openai=realtime.url)
    with websockets.connect(f"{ws(flow.proxy_url)}/v1/realtime?model={MODEL}") as socket:
        socket.recv()
        socket.send('{"type":"nonsense"}')
        socket.recv()
    (row,) = flow.wait_traces(1)
    assert (row["status"], row["response_status"]) == (502, 101)
    assert "No such event" in row["error"]


def test_a_session_longer_than_its_copy(flow_at):
    """Its sounds are cut off, its tokens are not."""
    with RealtimeLike(pieces=6000) as realtime:
        flow = flow_at(openai=realtime.url)
        with websockets.connect(f"{ws(flow.proxy_url)}/v1/realtime?model={MODEL}", compression=None) as socket:
            socket.recv()
            for _ in range(2):
                socket.send('{"type":"response.create"}')
                while json.loads(socket.recv())["type"] != "response.done":
                    pass
        (row,) = flow.wait_traces(1)
        assert row["prompt_tokens"] == 264
        detail = flow.get(f"/api/traces/{row['id']}")
        assert detail["response"]["is_cut"]
        assert any("longer than what is kept" in what for what in detail["trace"]["dropped"])


def test_the_token_is_asked_for(flow_at, realtime):
    """Without LLMFlow's token no tunnel opens; with it in the path one does, and upstream sees nothing of it."""
    flow = flow_at({"token": "t0ken-of-the-house"}, openai=realtime.url)
    with pytest.raises(Exception, match="401"):
        websockets.connect(f"{ws(flow.proxy_url)}/v1/realtime?model={MODEL}")
    with websockets.connect(f"{ws(flow.proxy_url)}/t/t0ken-of-the-house/v1/realtime?model={MODEL}") as socket:
        assert json.loads(socket.recv())["type"] == "session.created"


def test_a_foreign_page_opens_no_tunnel(flow_at, realtime):
    """Origin is judged before anything goes upstream."""
    flow = flow_at(openai=realtime.url)
    with pytest.raises(Exception, match="403"):
        websockets.connect(f"{ws(flow.proxy_url)}/v1/realtime?model={MODEL}", origin="https://evil.example")
    assert realtime.headers is None
