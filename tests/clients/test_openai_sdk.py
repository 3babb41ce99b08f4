"""The official openai SDK through LLMFlow: what it gets is what it gets directly, and each call is one true row."""

from __future__ import annotations

import asyncio
import base64

import pytest
from fake_upstream import FakeUpstream

openai = pytest.importorskip("openai", reason="the openai SDK is not installed")

pytestmark = pytest.mark.sdk

KEY = "sk-test-THISKEYMUSTNOTBESTORED0123456789"
MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why is the sky blue?"}]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Weather of a place",
            "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
        },
    }
]
PNG = "data:image/png;base64," + base64.b64encode(b"\x89PNG" * 50).decode()


@pytest.fixture
def upstream():
    with FakeUpstream.openai() as server:
        yield server


_opened: list[openai.OpenAI] = []


@pytest.fixture(autouse=True)
def closed_clients():
    yield
    while _opened:
        _opened.pop().close()


def client_at(url: str) -> openai.OpenAI:
    client = openai.OpenAI(base_url=url, api_key=KEY, max_retries=0)
    _opened.append(client)
    return client


def chunks(stream) -> list[dict]:
    return [chunk.model_dump() for chunk in stream]


def tool_loop(client) -> list[dict]:
    first = client.chat.completions.create(model="gpt-4o", messages=MESSAGES, tools=TOOLS)
    call = first.choices[0].message.tool_calls[0]
    second = client.chat.completions.create(
        model="gpt-4o",
        tools=TOOLS,
        messages=[
            *MESSAGES,
            first.choices[0].message.model_dump(exclude_none=True),
            {"role": "tool", "tool_call_id": call.id, "content": "Sunny"},
        ],
    )
    return [first.model_dump(), second.model_dump()]


CALLS = {
    "chat": lambda c: c.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES).model_dump(),
    "chat with two choices": lambda c: c.chat.completions.create(
        model="gpt-4o-mini", messages=MESSAGES, n=2
    ).model_dump(),
    "chat, streamed": lambda c: chunks(c.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, stream=True)),
    "chat, streamed with usage": lambda c: chunks(
        c.chat.completions.create(
            model="gpt-4o-mini", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
        )
    ),
    "tools, streamed": lambda c: chunks(
        c.chat.completions.create(model="gpt-4o", messages=MESSAGES, tools=TOOLS, stream=True)
    ),
    "image": lambda c: c.chat.completions.create(
        model="gpt-4o",
        messages=[
            {
                "role": "user",
                "content": [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": PNG}}],
            }
        ],
    ).model_dump(),
    "completions": lambda c: c.completions.create(model="gpt-3.5-turbo-instruct", prompt="Once").model_dump(),
    "responses": lambda c: c.responses.create(model="gpt-4o-mini", input="Hello").model_dump(),
    "responses, streamed": lambda c: chunks(c.responses.create(model="gpt-4o-mini", input="Hello", stream=True)),
    "embeddings": lambda c: c.embeddings.create(model="text-embedding-3-small", input=["a", "b"]).model_dump(),
    "image generation": lambda c: c.images.generate(model="gpt-image-1", prompt="A cat").model_dump(),
    "transcription": lambda c: c.audio.transcriptions.create(
        model="whisper-1", file=("a.wav", b"RIFF" * 500)
    ).model_dump(),
    "speech": lambda c: c.audio.speech.create(model="tts-1", voice="alloy", input="Hello there").content,
    "moderation": lambda c: c.moderations.create(model="omni-moderation-latest", input="Hi").model_dump(),
    "file upload": lambda c: c.files.create(file=("data.jsonl", b'{"a": 1}\n' * 1000), purpose="batch").model_dump(),
    "models": lambda c: [model.model_dump() for model in c.models.list()],
}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_gives_what_it_gives_directly(flow_at, upstream, name):
    """The SDK's result through LLMFlow equals the one without it."""
    flow = flow_at(openai=upstream.url)
    assert CALLS[name](client_at(f"{flow.proxy_url}/v1")) == CALLS[name](client_at(f"{upstream.url}/v1"))


# name → model, operation, prompt tokens known, streamed
ROWS = {
    "chat": ("gpt-4o-mini", "chat", True, False),
    "chat, streamed": ("gpt-4o-mini", "chat", True, True),
    "chat, streamed with usage": ("gpt-4o-mini", "chat", True, True),
    "tools, streamed": ("gpt-4o", "chat", True, True),
    "completions": ("gpt-3.5-turbo-instruct", "text_completion", True, False),
    "responses": ("gpt-4o-mini", "chat", True, False),
    "responses, streamed": ("gpt-4o-mini", "chat", True, True),
    "embeddings": ("text-embedding-3-small", "embeddings", True, False),
    "transcription": ("whisper-1", None, False, False),
    "file upload": (None, None, False, False),
}


@pytest.mark.parametrize("name", ROWS)
def test_a_call_is_one_true_row(flow_at, upstream, name):
    """Exactly one row: provider, model, operation, upstream's own token counts, a price, and no key anywhere."""
    flow = flow_at(openai=upstream.url)
    CALLS[name](client_at(f"{flow.proxy_url}/v1"))
    model, operation, has_tokens, is_stream = ROWS[name]
    (row,) = flow.wait_traces(1)
    assert row["provider"] == "openai"
    assert row["source"] == "proxy"
    assert row["status"] == 200
    assert row["is_stream"] is is_stream
    assert row["duration_ms"] > 0
    if model:
        assert model in (row["request_model"], row["model"])
    if operation:
        assert row["operation"] == operation
    if has_tokens:
        assert row["prompt_tokens"] > 0
        assert row["is_estimated"] is False
        assert row["estimated_cost"] > 0
    if is_stream:
        assert row["ttft_ms"] is not None
        assert row["ttft_ms"] <= row["duration_ms"]
    assert KEY not in flow.everything_stored()


def test_a_tool_loop_in_one_trace_gives_a_row_each(flow_at, upstream):
    """Calls that share X-Trace-Id are all recorded, under one trace, with their tool calls and results readable."""
    flow = flow_at(openai=upstream.url)
    client = client_at(f"{flow.proxy_url}/v1").with_options(default_headers={"X-Trace-Id": "loop-1"})
    assert tool_loop(client) == tool_loop(client_at(f"{upstream.url}/v1"))
    rows = flow.wait_traces(2)
    assert {row["trace_id"] for row in rows} == {"loop-1"}
    assert len({row["id"] for row in rows}) == 2
    tree = flow.get("/api/traces/loop-1/tree")
    assert tree["trace"]["span_count"] == 2
    later = flow.get(f"/api/traces/{max(rows, key=lambda row: row['timestamp'])['id']}")
    kinds = [part["type"] for message in later["messages"]["input"] for part in message["parts"]]
    assert "tool_call" in kinds
    assert "tool_result" in kinds


def test_the_async_client_gets_the_same(flow_at, upstream):
    """AsyncOpenAI, 20 calls at once, streamed and not: equal results, a row each."""
    flow = flow_at(openai=upstream.url)

    async def calls(url: str) -> list:
        async with openai.AsyncOpenAI(base_url=url, api_key=KEY, max_retries=0) as client:

            async def streamed() -> list[dict]:
                stream = await client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, stream=True)
                return [chunk.model_dump() async for chunk in stream]

            async def whole() -> dict:
                return (await client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)).model_dump()

            return await asyncio.gather(*[streamed() if number % 2 else whole() for number in range(20)])

    assert asyncio.run(calls(f"{flow.proxy_url}/v1")) == asyncio.run(calls(f"{upstream.url}/v1"))
    assert len(flow.wait_traces(20)) == 20


@pytest.mark.parametrize(
    ("model", "error"),
    [
        ("error-400", openai.BadRequestError),
        ("error-401", openai.AuthenticationError),
        ("error-404", openai.NotFoundError),
        ("error-429", openai.RateLimitError),
        ("error-500", openai.InternalServerError),
        ("html-502", openai.InternalServerError),
    ],
)
def test_errors_come_through_as_they_are(flow_at, upstream, model, error):
    """The SDK raises what it raises directly, with the same body; the row is an error with the provider's words."""
    flow = flow_at(openai=upstream.url)

    def fail(url: str):
        with pytest.raises(error) as caught:
            client_at(url).chat.completions.create(model=model, messages=MESSAGES)
        return caught.value.status_code, caught.value.body

    assert fail(f"{flow.proxy_url}/v1") == fail(f"{upstream.url}/v1")
    (row,) = flow.wait_traces(1)
    assert row["status"] == int(model[-3:])
    assert row["error"]


def test_a_cut_stream_raises_and_is_marked(flow_at, upstream):
    """An upstream that dies mid-stream is an error for the SDK, and an error row with what came."""
    flow = flow_at(openai=upstream.url)
    with pytest.raises((openai.APIError, Exception)):  # the SDK lets its HTTP library's own error through
        chunks(client_at(f"{flow.proxy_url}/v1").chat.completions.create(model="cut", messages=MESSAGES, stream=True))
    (row,) = flow.wait_traces(1)
    assert (row["status"], row["ending"]) == (502, "upstream_closed")


def test_without_usage_tokens_are_an_estimate_and_say_so(flow_at, upstream):
    """Where no usage comes, the tokens are estimated and marked."""
    flow = flow_at(openai=upstream.url)
    client_at(f"{flow.proxy_url}/v1").chat.completions.create(model="nousage", messages=MESSAGES)
    (row,) = flow.wait_traces(1)
    assert row["is_estimated"] is True
    assert row["completion_tokens"] > 0


def test_a_vendor_route_and_passthrough_work_the_same(flow_at, upstream):
    """/groq/v1 and /passthrough/openai give the same results, recorded under their provider and source."""
    flow = flow_at(openai=upstream.url, groq=upstream.url)
    direct = CALLS["chat"](client_at(f"{upstream.url}/v1"))
    assert CALLS["chat"](client_at(f"{flow.proxy_url}/groq/v1")) == direct
    assert CALLS["chat"](client_at(f"{flow.proxy_url}/passthrough/openai/v1")) == direct
    rows = flow.wait_traces(2)
    assert {(row["provider"], row["source"]) for row in rows} == {("groq", "proxy"), ("openai", "passthrough")}
