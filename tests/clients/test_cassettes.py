"""Recorded against a provider, replayed without one: the official SDKs cannot tell the difference."""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack

import pytest
from anthropic_server import AnthropicLike
from fake_upstream import FakeUpstream
from gemini_like import GeminiLike

import llmflow

openai = pytest.importorskip("openai", reason="the openai SDK is not installed")
anthropic = pytest.importorskip("anthropic", reason="the anthropic SDK is not installed")
genai = pytest.importorskip("google.genai", reason="the google-genai SDK is not installed")

pytestmark = [
    pytest.mark.sdk,
    pytest.mark.filterwarnings("ignore:The model .* is deprecated:DeprecationWarning"),  # said by anthropic's SDK
    pytest.mark.filterwarnings("ignore::DeprecationWarning:google.*"),
]

KEY = "sk-test-THISKEYMUSTNOTBESTORED0123456789"
ASKED = [{"role": "user", "content": "Why is the sky blue?"}]
TOOL = {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}
OPENAI_TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": TOOL}}]
CLAUDE = {"model": "claude-sonnet-4-5", "max_tokens": 200, "messages": ASKED}
CLAUDE_TOOLS = [{"name": "get_weather", "description": "Weather", "input_schema": TOOL}]


def openai_at(base_url: str, **more):
    return openai.OpenAI(base_url=base_url, api_key=KEY, max_retries=0, **more)


def chat(client, **more):
    return client.chat.completions.create(model="gpt-4o-mini", messages=ASKED, **more)


def dumped(items) -> list[dict]:
    return [item.model_dump() for item in items]


# ── what each client does; each returns plain data ───────────────────────────────────────────────────────────────────


def openai_sync(flow) -> object:
    with openai_at(flow.openai_base_url) as client:
        return [
            chat(client).model_dump(),
            dumped(chat(client, stream=True)),
            dumped(chat(client, stream=True, stream_options={"include_usage": True})),
            chat(client, tools=OPENAI_TOOLS).model_dump(),
            dumped(chat(client, tools=OPENAI_TOOLS, stream=True)),
            client.responses.create(model="gpt-4o-mini", input="Why?").model_dump(),
            dumped(client.responses.create(model="gpt-4o-mini", input="Why?", stream=True)),
            client.embeddings.create(model="text-embedding-3-small", input=["a", "b"]).model_dump(),
            client.audio.speech.create(model="tts-1", voice="alloy", input="Hello").content,
            client.audio.transcriptions.create(model="whisper-1", file=("a.wav", b"RIFF\x00\xff" * 9)).model_dump(),
            dumped(client.models.list()),
        ]


def openai_async(flow) -> object:
    async def ask():
        async with openai.AsyncOpenAI(base_url=flow.openai_base_url, api_key=KEY, max_retries=0) as client:
            whole = [chat(client, temperature=at / 4) for at in range(4)]
            answers = dumped(await asyncio.gather(*whole))
            stream = await chat(client, stream=True, n=2)
            return [*answers, [chunk.model_dump() async for chunk in stream]]

    return asyncio.run(ask())


def anthropic_sync(flow) -> object:
    with anthropic.Anthropic(base_url=flow.anthropic_base_url, api_key=KEY, max_retries=0) as client:
        found = [
            client.messages.create(**CLAUDE).model_dump(),
            dumped(client.messages.create(**CLAUDE, stream=True)),
            client.messages.create(**CLAUDE, tools=CLAUDE_TOOLS).model_dump(),
        ]
        with client.messages.stream(**CLAUDE, tools=CLAUDE_TOOLS) as stream:
            found += [list(stream.text_stream), stream.get_final_message().model_dump()]
        return found


def anthropic_async(flow) -> object:
    async def ask():
        async with anthropic.AsyncAnthropic(base_url=flow.anthropic_base_url, api_key=KEY, max_retries=0) as client:
            stream = await client.messages.create(**CLAUDE, stream=True)
            return [(await client.messages.create(**CLAUDE)).model_dump(), [one.model_dump() async for one in stream]]

    return asyncio.run(ask())


def anthropic_translated(flow) -> object:
    with openai_at(flow.base_url("anthropic")) as client:
        ask = {"model": "claude-sonnet-4-5", "messages": ASKED}
        found = [
            client.chat.completions.create(**ask).model_dump(),
            dumped(client.chat.completions.create(**ask, stream=True)),
            client.chat.completions.create(**ask, tools=OPENAI_TOOLS).model_dump(),
        ]
        return without(found, "created")


def gemini_native(flow) -> object:
    with genai.Client(api_key=KEY, http_options={"base_url": flow.gemini_base_url}) as client:
        ask = {"model": "gemini-2.5-flash", "contents": "Why is the sky blue?"}
        whole = client.models.generate_content(**ask)
        pieces = list(client.models.generate_content_stream(**ask))
        return [one.model_dump(exclude={"sdk_http_response"}) for one in (whole, *pieces)]


def without(value, name):
    """Leave out what LLMFlow itself makes anew: the time of a translated answer."""
    if isinstance(value, dict):
        return {key: without(one, name) for key, one in value.items() if key != name}
    return [without(one, name) for one in value] if isinstance(value, list) else value


CLIENTS = {
    "openai_sync": ("openai", openai_sync),
    "openai_async": ("openai", openai_async),
    "anthropic_sync": ("anthropic", anthropic_sync),
    "anthropic_async": ("anthropic", anthropic_async),
    "anthropic_translated": ("anthropic", anthropic_translated),
    "gemini_native": ("gemini", gemini_native),
}


def provider(name: str) -> FakeUpstream:
    if name == "openai":
        return FakeUpstream.openai()
    return FakeUpstream(AnthropicLike() if name == "anthropic" else GeminiLike())


@pytest.mark.parametrize("name", CLIENTS)
def test_the_same_without_a_provider(name, tmp_path):
    """What an SDK got while it was recorded it gets again with the provider down; it cost nothing, and says so."""
    place, use = CLIENTS[name]
    tape = tmp_path / "cassettes" / "calls.jsonl"
    with provider(place) as upstream:
        url = upstream.url
        with llmflow.serve(upstreams={place: url}, cassette=tape, cassette_mode="record", env={}) as flow:
            recorded = use(flow)
            cost, tokens, count = flow.cost(), flow.tokens(), len(flow.calls())
            assert {call["status"] for call in flow.calls()} == {200}
    written = tape.read_bytes()
    assert KEY.encode() not in written
    assert b"THISKEY" not in written
    assert len(written.splitlines()) == count + 1
    with ExitStack() as stack:
        # Nobody listens there any more, and a different address is as good.
        places = {place: url if name.endswith("sync") else "http://127.0.0.1:9"}
        flow = stack.enter_context(llmflow.serve(upstreams=places, cassette=tape, env={}))
        assert use(flow) == recorded
        calls = flow.calls()
        assert (flow.cost(), flow.tokens(), len(calls)) == (0, tokens, count)
        assert all(
            "answered from the cassette: it cost nothing now" in flow.call(one["id"])["trace"]["notes"] for one in calls
        )
    assert cost >= 0
    assert tape.read_bytes() == written


@pytest.mark.parametrize("is_timed", [False, True])
def test_at_the_recorded_pace(tmp_path, is_timed):
    """A stream is played at once, or as slowly as it came."""
    tape = tmp_path / "calls.jsonl"
    with FakeUpstream.openai(gap_s=0.02) as upstream:
        places = {"openai": upstream.url}
        with llmflow.serve(upstreams=places, cassette=tape, cassette_mode="record", env={}) as flow:
            with openai_at(flow.openai_base_url) as client:
                recorded = dumped(chat(client, stream=True))
    line = json.loads(tape.read_text("utf-8").splitlines()[1])
    arrivals = line["response"]["arrivals"]
    assert len(arrivals) == len(line["response"]["events"])
    assert arrivals == sorted(arrivals)
    timing = "recorded" if is_timed else "none"
    with llmflow.serve(cassette=tape, cassette_timing=timing, env={}) as flow:
        with openai_at(flow.openai_base_url) as client:
            assert dumped(chat(client, stream=True)) == recorded
        (call,) = flow.calls()
    if is_timed:
        assert call["duration_ms"] >= arrivals[-1] - 5  # milliseconds are rounded, and clocks differ


def test_what_is_not_recorded(tmp_path):
    """A miss is one clear error that no SDK asks again after, and nothing goes to the provider."""
    tape = tmp_path / "calls.jsonl"
    with FakeUpstream.openai() as upstream, FakeUpstream(AnthropicLike()) as other:
        places = {"openai": upstream.url, "anthropic": other.url}
        with llmflow.serve(upstreams=places, cassette=tape, cassette_mode="record", env={}) as flow:
            with openai_at(flow.openai_base_url) as client:
                chat(client)
            with anthropic.Anthropic(base_url=flow.anthropic_base_url, api_key=KEY) as client:
                client.messages.create(**CLAUDE)
        heard = len(upstream.requests) + len(other.requests)
        with llmflow.serve(upstreams=places, cassette=tape, env={}) as flow:
            with openai.OpenAI(base_url=flow.openai_base_url, api_key=KEY) as client:
                asked = [{"role": "user", "content": "Why is the sea blue?"}]
                with pytest.raises(openai.APIStatusError) as caught:
                    client.chat.completions.create(model="gpt-4o-mini", messages=asked)
            assert caught.value.status_code == 424
            assert caught.value.code == "cassette_miss"
            assert "messages[0].content: recorded 'Why is the sky blue?', got 'Why is the sea blue?'" in str(
                caught.value
            )
            assert "--cassette-mode hybrid" in str(caught.value)
            with anthropic.Anthropic(base_url=flow.anthropic_base_url, api_key=KEY) as client:
                with pytest.raises(anthropic.APIStatusError) as refused:
                    client.messages.create(**CLAUDE | {"max_tokens": 201})
            assert refused.value.body["type"] == "error"
            assert "max_tokens: recorded 200, got 201" in refused.value.body["error"]["message"]
            assert [call["status"] for call in flow.calls()] == [424, 424]  # once each: no SDK tried again
            assert flow.cost() == 0
        assert len(upstream.requests) + len(other.requests) == heard


def test_hybrid(tmp_path):
    """What is recorded is answered; what is not goes to the provider, once, and is recorded."""
    tape = tmp_path / "calls.jsonl"
    with FakeUpstream.openai() as upstream:
        for expected in ([1, 2], [2, 2]):
            with llmflow.serve(
                upstreams={"openai": upstream.url}, cassette=tape, cassette_mode="hybrid", env={}
            ) as flow:
                with openai_at(flow.openai_base_url) as client:
                    chat(client)
                    assert len(upstream.requests) == expected[0]
                    chat(client)
                    chat(client, temperature=0.5)
                    assert len(upstream.requests) == expected[1]
        assert len(tape.read_bytes().splitlines()) == 3
