"""Anthropic through LLMFlow with official SDKs: OpenAI's on the translated route, Anthropic's own natively.

The upstream refuses what the Messages API refuses; its usage is the price sheet's worked example, 0.019875 USD.
"""

from __future__ import annotations

import json
from contextlib import contextmanager

import pytest
from anthropic_server import THOUGHT, AnthropicLike
from fake_upstream import FakeUpstream

openai = pytest.importorskip("openai", reason="the openai SDK is not installed")
from openai_calls import (  # noqa: E402
    IMAGE,
    KEY,
    MESSAGES,
    PNG,
    SCHEMA,
    TOOLS,
    called,
    client_at,
    finish_of,
    kinds_of,
    said,
    streamed,
    tool_loop,
)

anthropic = pytest.importorskip("anthropic", reason="the anthropic SDK is not installed")

pytestmark = [
    pytest.mark.sdk,
    pytest.mark.filterwarnings("ignore:The model .* is deprecated:DeprecationWarning"),  # said by the SDK
]

MODEL = "claude-sonnet-4-5"
COST = 0.019875
TEXT = "It is sunny in Kiel — and mild 🌊."
CALLS = [("toolu_0", "get_weather", '{"place": "Kiel"}'), ("toolu_1", "get_time", '{"place": "Kiel"}')]


@pytest.fixture
def upstream():
    with FakeUpstream(AnthropicLike()) as server:
        yield server


@pytest.fixture
def flow(flow_at, upstream):
    return flow_at(anthropic=upstream.url)


def assert_true_row(row: dict, *, finish: str = "stop", is_stream: bool = False, source: str = "proxy") -> None:
    assert (row["provider"], row["source"], row["status"]) == ("anthropic", source, 200)
    assert (row["model"], row["request_model"]) == ("claude-sonnet-4-5-20250929", MODEL)
    assert (row["operation"], row["finish_reason"], row["is_stream"]) == ("chat", finish, is_stream)
    tokens = ("prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "cache_write_tokens")
    assert [row[name] for name in tokens] == [4000, 800, 4800, 2000, 800]
    assert row["is_estimated"] is False
    assert row["estimated_cost"] == pytest.approx(COST, abs=1e-12)
    assert (row["ttft_ms"] is not None) is is_stream


def messages_of(flow, row: dict) -> dict:
    return flow.get(f"/api/traces/{row['id']}")["messages"]


# ── OpenAI's SDK ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def client(flow):
    with client_at(f"{flow.proxy_url}/anthropic/v1") as found:
        yield found


def test_openai_plain(flow, client):
    """A chat answers as OpenAI's would, with all classes of tokens, and is one true row."""
    answer = client.chat.completions.create(model=MODEL, messages=MESSAGES, temperature=0.3)
    (choice,) = answer.choices
    assert (choice.message.content, choice.finish_reason, choice.message.role) == (TEXT, "stop", "assistant")
    assert answer.object == "chat.completion"
    assert answer._request_id == "req_011Like"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (4000, 800, 4800)
    assert answer.usage.prompt_tokens_details.cached_tokens == 2000
    (row,) = flow.wait_traces(1)
    assert_true_row(row)
    told = messages_of(flow, row)
    assert [message["role"] for message in told["input"]] == ["system", "user"]
    assert told["output"][0]["parts"] == [{"type": "text", "text": TEXT}]
    assert KEY not in flow.everything_stored()


@pytest.mark.parametrize("options", [{}, {"stream_options": {"include_usage": True}}], ids=["bare", "usage"])
def test_openai_streaming(flow, client, options):
    """Chunks like OpenAI's; the usage chunk only when asked for; the row is the same either way."""
    chunks = streamed(client, model=MODEL, messages=MESSAGES, **options)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert said(chunks) == TEXT
    assert finish_of(chunks) == "stop"
    assert len({chunk.id for chunk in chunks}) == 1
    usages = [chunk.usage for chunk in chunks if chunk.usage]
    assert [usage.total_tokens for usage in usages] == ([4800] if options else [])
    assert bool(chunks[-1].choices) is not bool(options)
    (row,) = flow.wait_traces(1)
    assert_true_row(row, is_stream=True)
    assert messages_of(flow, row)["output"][0]["parts"] == [{"type": "text", "text": TEXT}]


@pytest.mark.parametrize("stream", [False, True])
def test_openai_tool_loop(flow, client, stream):
    """Two calls at once, their results, the last word; calls and results are readable in the record."""
    assert tool_loop(client, MODEL, stream=stream) == (CALLS, TEXT)
    second, first = flow.wait_traces(2)
    assert_true_row(first, finish="tool_calls", is_stream=stream)
    assert_true_row(second, is_stream=stream)
    assert kinds_of(messages_of(flow, first)["output"]) == ["text", "tool_call", "tool_call"]
    asked = kinds_of(messages_of(flow, second)["input"])
    assert asked == ["text", "text", "tool_call", "tool_call", "tool_result", "tool_result"]


def test_openai_image(flow, upstream, client):
    """A data URL becomes an image block, and is shown in the record."""
    assert client.chat.completions.create(model=MODEL, messages=IMAGE).choices[0].message.content == TEXT
    blocks = upstream.requests[0].json()["messages"][0]["content"]
    assert blocks[1]["source"] == {"type": "base64", "media_type": "image/png", "data": PNG}
    (row,) = flow.wait_traces(1)
    assert kinds_of(messages_of(flow, row)["input"]) == ["text", "image"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", [MODEL, "claude-3-5-sonnet-20241022"], ids=["native schema", "by a tool"])
def test_openai_structured_output(flow, client, model, stream):
    """A JSON schema is answered with text that fits it, also by models that know no schemas."""
    wanted = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True}}
    if stream:
        chunks = streamed(client, model=model, messages=MESSAGES, response_format=wanted)
        text, finish = said(chunks), finish_of(chunks)
        assert called(chunks) == []
    else:
        (choice,) = client.chat.completions.create(model=model, messages=MESSAGES, response_format=wanted).choices
        text, finish = choice.message.content, choice.finish_reason
        assert not choice.message.tool_calls
    assert (json.loads(text), finish) == ({"answer": "Kiel"}, "stop")
    (row,) = flow.wait_traces(1)
    assert row["finish_reason"] == "stop"


def test_openai_parse_helper(client):
    """The SDK's own parsing of tools and schemas accepts what comes."""
    pydantic = pytest.importorskip("pydantic")

    class Answer(pydantic.BaseModel):
        answer: str
        items: list[int]

    parsed = client.chat.completions.parse(model=MODEL, messages=MESSAGES, response_format=Answer)
    assert parsed.choices[0].message.parsed == Answer(answer="Kiel", items=[2])


@pytest.mark.parametrize("stream", [False, True])
def test_openai_reasoning(flow, client, stream):
    """reasoning_effort turns thinking on; the thoughts come as reasoning_content."""
    asked = {"model": MODEL, "messages": MESSAGES, "reasoning_effort": "low"}
    if stream:
        deltas = [chunk.choices[0].delta for chunk in streamed(client, **asked) if chunk.choices]
        assert "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas) == THOUGHT
    else:
        assert client.chat.completions.create(**asked).choices[0].message.reasoning_content == THOUGHT
    (row,) = flow.wait_traces(1)
    assert kinds_of(messages_of(flow, row)["output"]) == ["reasoning", "text"]


@pytest.mark.parametrize(
    ("model", "error", "code"),
    [
        ("error-400", openai.BadRequestError, "context_length_exceeded"),
        ("error-401", openai.AuthenticationError, "invalid_api_key"),
        ("error-403", openai.PermissionDeniedError, None),
        ("error-404", openai.NotFoundError, "model_not_found"),
        ("error-429", openai.RateLimitError, "rate_limit_exceeded"),
        ("error-529", openai.InternalServerError, "overloaded"),
        ("html-502", openai.InternalServerError, None),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_openai_errors(flow, client, model, error, code, stream):
    """The SDK raises the class it raises for OpenAI's own error; the row has the provider's words."""
    with pytest.raises(error) as caught:
        client.chat.completions.create(model=model, messages=MESSAGES, stream=stream)
    assert caught.value.code == code
    if model == "error-429":
        assert caught.value.response.headers["retry-after"] == "7"
    (row,) = flow.wait_traces(1)
    assert row["status"] == caught.value.status_code
    assert row["error"]


def test_openai_retries_after_an_overload(flow, upstream):
    """The SDK's own retries work: an overload and then the answer, a row each."""
    with client_at(f"{flow.proxy_url}/anthropic/v1") as one:
        patient = one.with_options(max_retries=1)
        upstream.script(lambda talk: (talk.body(), talk.send(
            b"HTTP/1.1 529 Overloaded\r\nretry-after-ms: 1\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
        )))  # fmt: skip
        assert patient.chat.completions.create(model=MODEL, messages=MESSAGES).choices[0].message.content == TEXT
    assert sorted(row["status"] for row in flow.wait_traces(2)) == [200, 503]


def test_openai_impossible(flow, upstream, client):
    """What cannot be translated is a BadRequestError that names the field."""
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=MODEL, messages=MESSAGES, n=3)
    assert caught.value.param == "n"
    assert not upstream.requests
    (row,) = flow.wait_traces(1)
    assert (row["status"], row["error"]) == (400, caught.value.body["message"])


@pytest.mark.parametrize("model", ["cut", "endless", "stumbles"])
def test_openai_broken_streams(flow, client, model):
    """A stream that breaks off, ends too soon or ends in an error raises; the row is a 502 with what came."""
    with pytest.raises(Exception) as caught:  # the SDK lets its HTTP library's own error of a cut through
        streamed(client, model=model, messages=MESSAGES)
    if model == "stumbles":
        assert isinstance(caught.value, openai.APIError)
        assert "Overloaded" in str(caught.value)
    (row,) = flow.wait_traces(1)
    assert row["status"] == 502
    assert messages_of(flow, row)["output"][0]["parts"][0]["text"].startswith("It is")


def test_openai_models(flow, client):
    """The listing reads as OpenAI's."""
    assert [model.id for model in client.models.list()] == ["claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001"]
    assert flow.wait_traces(1)[0]["estimated_cost"] == 0.0


def test_openai_embeddings_are_not_there(client):
    """Anthropic has none: a 404 that says so."""
    with pytest.raises(openai.NotFoundError, match="no counterpart"):
        client.embeddings.create(model=MODEL, input="x")


# ── Anthropic's SDK ──────────────────────────────────────────────────────────────────────────────────────────────────

ASKED = {"model": MODEL, "max_tokens": 2000, "messages": [{"role": "user", "content": "Weather?"}]}
NATIVE_TOOLS = [
    {
        "name": tool["function"]["name"],
        "description": tool["function"]["description"],
        "input_schema": tool["function"]["parameters"],
    }
    for tool in TOOLS
]
ROUTES = [("/anthropic", "proxy"), ("/passthrough/anthropic", "passthrough")]
routes = pytest.mark.parametrize(("route", "source"), ROUTES, ids=["provider", "passthrough"])


@contextmanager
def native_at(url: str):
    with anthropic.Anthropic(base_url=url, api_key=KEY, max_retries=0) as found:
        yield found


def events_of(client, **fields) -> tuple[list, dict]:
    with client.messages.stream(**ASKED, **fields) as stream:
        events = [event.model_dump() for event in stream]
        return events, stream.get_final_message().model_dump()


def native_loop(client) -> list[dict]:
    first = client.messages.create(**ASKED, tools=NATIVE_TOOLS, system="Be brief.")
    results = [
        {"type": "tool_result", "tool_use_id": block.id, "content": "Sunny"}
        for block in first.content
        if block.type == "tool_use"
    ]
    turns = [
        *ASKED["messages"],
        {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in first.content]},
        {"role": "user", "content": results},
    ]
    second = client.messages.create(**ASKED | {"messages": turns}, tools=NATIVE_TOOLS, system="Be brief.")
    return [first.model_dump(), second.model_dump()]


def failing(client, **fields) -> tuple:
    with pytest.raises(anthropic.APIStatusError) as caught:
        client.messages.create(**ASKED | fields)
    return type(caught.value), caught.value.status_code, caught.value.body, caught.value.request_id


NATIVE = {
    "plain": lambda c: c.messages.create(**ASKED).model_dump(),
    "streaming": lambda c: events_of(c),
    "thinking, streamed": lambda c: events_of(c, thinking={"type": "enabled", "budget_tokens": 1024}),
    "tools, streamed": lambda c: events_of(c, tools=NATIVE_TOOLS),
    "tool loop": native_loop,
    "image": lambda c: c.messages.create(
        **ASKED
        | {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
                    ],
                }
            ]
        }
    ).model_dump(),
    "schema": lambda c: c.messages.create(
        **ASKED, output_config={"format": {"type": "json_schema", "schema": SCHEMA}}
    ).model_dump(),
    "count tokens": lambda c: c.messages.count_tokens(model=MODEL, messages=ASKED["messages"]).model_dump(),
    "models": lambda c: [model.model_dump() for model in c.models.list()],
    "one model": lambda c: c.models.retrieve("claude-haiku-4-5-20251001").model_dump(),
    "429": lambda c: failing(c, model="error-429"),
    "400": lambda c: failing(c, messages=[{"role": "assistant", "content": "I first"}]),
    "529": lambda c: failing(c, model="error-529"),
}


@routes
@pytest.mark.parametrize("name", NATIVE)
def test_native_is_as_it_is_directly(flow, upstream, route, source, name):
    """Whatever the SDK gets directly, it gets through LLMFlow; the provider is sent the same bytes."""
    with native_at(upstream.url) as direct, native_at(flow.proxy_url + route) as through:
        assert NATIVE[name](through) == NATIVE[name](direct)
    half = len(upstream.requests) // 2
    assert [(one.target, one.body) for one in upstream.requests[:half]] == [
        (one.target, one.body) for one in upstream.requests[half:]
    ]


@routes
@pytest.mark.parametrize("stream", [False, True])
def test_a_native_call_is_one_true_row(flow, route, source, stream):
    """Provider, model, tokens by class, cost, finish reason and messages are read from the native bytes."""
    with native_at(flow.proxy_url + route) as client:
        events_of(client) if stream else client.messages.create(**ASKED)
    (row,) = flow.wait_traces(1)
    assert_true_row(row, finish=row["finish_reason"], is_stream=stream, source=source)
    assert row["finish_reason"] == "stop"
    told = messages_of(flow, row)
    assert told["input"] == [{"role": "user", "parts": [{"type": "text", "text": "Weather?"}]}]
    assert told["output"][0]["parts"] == [{"type": "text", "text": TEXT}]
    assert KEY not in flow.everything_stored()


@routes
def test_a_native_tool_loop_is_readable(flow, route, source):
    """Calls and results of a native loop are shown as such."""
    with native_at(flow.proxy_url + route) as client:
        native_loop(client)
    second, first = flow.wait_traces(2)
    assert (first["finish_reason"], second["finish_reason"]) == ("tool_calls", "stop")
    assert kinds_of(messages_of(flow, first)["output"]) == ["text", "tool_call", "tool_call"]
    asked = messages_of(flow, second)["input"]
    assert kinds_of(asked) == ["text", "text", "text", "tool_call", "tool_call", "tool_result", "tool_result"]
    assert asked[0]["role"] == "system"


@routes
def test_native_errors_are_rows_with_the_providers_words(flow, route, source):
    """A 429 stays Anthropic's for the SDK and is an error row."""
    with native_at(flow.proxy_url + route) as client:
        failing(client, model="error-429")
        failing(client, model="error-529")
    overloaded, limited = flow.wait_traces(2)
    assert (limited["status"], overloaded["status"]) == (429, 529)
    assert "rate limit" in limited["error"]
    assert "Overloaded" in overloaded["error"]


@routes
@pytest.mark.parametrize("model", ["cut", "stumbles"])
def test_native_broken_streams(flow, route, source, model):
    """A cut or an error event in a native stream raises as it does directly; the row is a 502 with what came."""
    with native_at(flow.proxy_url + route) as client, pytest.raises(Exception) as caught:
        with client.messages.stream(**ASKED | {"model": model}) as stream:
            stream.until_done()
    if model == "stumbles":
        assert isinstance(caught.value, anthropic.APIError)
    (row,) = flow.wait_traces(1)
    assert row["status"] == 502
    assert row["prompt_tokens"] == 4000


@routes
def test_counting_tokens_costs_nothing(flow, route, source):
    """It is recorded as what it is: no generation, no price."""
    with native_at(flow.proxy_url + route) as client:
        client.messages.count_tokens(model=MODEL, messages=ASKED["messages"])
    (row,) = flow.wait_traces(1)
    assert (row["operation"], row["status"]) == ("count_tokens", 200)
    assert not row["prompt_tokens"]
    assert row["estimated_cost"] == 0.0


def test_an_old_client_brings_its_key_its_way(flow, upstream):
    """A key in x-api-key reaches Anthropic as it came, untouched."""
    with anthropic.Anthropic(
        base_url=f"{flow.proxy_url}/anthropic", api_key=KEY, max_retries=0, default_headers={"x-api-key": KEY}
    ) as client:
        client.messages.create(**ASKED)
    assert upstream.requests[0].header("x-api-key") == KEY
    flow.wait_traces(1)
    assert KEY not in flow.everything_stored()
