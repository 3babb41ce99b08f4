"""Gemini through LLMFlow with official SDKs: OpenAI's on the translated route, Google's own natively.

The upstream refuses what generateContent refuses; its usage is the price sheet's worked example, 0.00473 USD.
"""

from __future__ import annotations

import json
import urllib.request
from contextlib import contextmanager

import pytest
from fake_upstream import FakeUpstream
from gemini_like import TEXT, THOUGHT, GeminiLike

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

pytestmark = [pytest.mark.sdk, pytest.mark.filterwarnings("ignore::DeprecationWarning:google.*")]

genai = pytest.importorskip("google.genai", reason="the google-genai SDK is not installed")

MODEL = "gemini-2.5-flash"
COST = 0.00473
CALLS = [("fc0", "get_weather", '{"place": "Kiel"}'), ("fc1", "get_time", '{"place": "Kiel"}')]


@pytest.fixture
def upstream():
    with FakeUpstream(GeminiLike()) as server:
        yield server


@pytest.fixture
def flow(flow_at, upstream):
    return flow_at(gemini=upstream.url)


def assert_true_row(row: dict, *, finish: str = "stop", is_stream: bool = False, source: str = "proxy") -> None:
    assert (row["provider"], row["source"], row["status"]) == ("gemini", source, 200)
    assert (row["model"], row["request_model"]) == (MODEL, MODEL)
    assert (row["operation"], row["finish_reason"], row["is_stream"]) == ("chat", finish, is_stream)
    tokens = ("prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "reasoning_tokens")
    assert [row[name] for name in tokens] == [3000, 1500, 4500, 1000, 700]
    assert row["is_estimated"] is False
    assert row["estimated_cost"] == pytest.approx(COST, abs=1e-12)
    assert (row["ttft_ms"] is not None) is is_stream


def messages_of(flow, row: dict) -> dict:
    return flow.get(f"/api/traces/{row['id']}")["messages"]


# ── OpenAI's SDK ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def client(flow):
    with client_at(f"{flow.proxy_url}/gemini/v1") as found:
        yield found


def test_openai_plain(flow, client):
    """A chat answers as OpenAI's would, with all classes of tokens, and is one true row."""
    answer = client.chat.completions.create(
        model=MODEL, messages=MESSAGES, temperature=0.3, top_p=0.9, seed=4, stop=["END"], max_tokens=90
    )
    (choice,) = answer.choices
    assert (choice.message.content, choice.finish_reason, choice.message.role) == (TEXT, "stop", "assistant")
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (3000, 1500, 4500)
    assert answer.usage.prompt_tokens_details.cached_tokens == 1000
    assert answer.usage.completion_tokens_details.reasoning_tokens == 700
    (row,) = flow.wait_traces(1)
    assert_true_row(row)
    told = messages_of(flow, row)
    assert [message["role"] for message in told["input"]] == ["system", "user"]
    assert told["output"][0]["parts"] == [{"type": "text", "text": TEXT}]
    assert KEY not in flow.everything_stored()


def test_openai_choices(client):
    """Two answers are two candidates, which come as choices."""
    choices = client.chat.completions.create(model=MODEL, messages=MESSAGES, n=2).choices
    assert [(choice.index, choice.message.content) for choice in choices] == [(0, TEXT), (1, TEXT)]


@pytest.mark.parametrize("options", [{}, {"stream_options": {"include_usage": True}}], ids=["bare", "usage"])
def test_openai_streaming(flow, client, options):
    """Chunks like OpenAI's; the usage chunk only when asked for; the row is the same either way."""
    chunks = streamed(client, model=MODEL, messages=MESSAGES, **options)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert said(chunks) == TEXT
    assert finish_of(chunks) == "stop"
    assert len({chunk.id for chunk in chunks}) == 1
    usages = [chunk.usage for chunk in chunks if chunk.usage]
    assert [usage.total_tokens for usage in usages] == ([4500] if options else [])
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
    assert kinds_of(messages_of(flow, first)["output"]) == ["tool_call", "tool_call"]
    asked = kinds_of(messages_of(flow, second)["input"])
    assert asked == ["text", "text", "tool_call", "tool_call", "tool_result", "tool_result"]


@pytest.mark.parametrize("stream", [False, True])
def test_openai_tool_loop_with_signatures(client, stream):
    """Gemini 3 refuses calls without their thought signature; an OpenAI client that drops it gets through anyway."""
    assert tool_loop(client, "gemini-3-pro-preview", stream=stream) == (CALLS, TEXT)


def test_openai_image(flow, upstream, client):
    """A data URL becomes inline data, and is shown in the record."""
    assert client.chat.completions.create(model=MODEL, messages=IMAGE).choices[0].message.content == TEXT
    parts = upstream.requests[0].json()["contents"][0]["parts"]
    assert parts[1] == {"inlineData": {"mimeType": "image/png", "data": PNG}}
    (row,) = flow.wait_traces(1)
    assert kinds_of(messages_of(flow, row)["input"]) == ["text", "image"]


@pytest.mark.parametrize("stream", [False, True])
def test_openai_structured_output(flow, client, stream):
    """A JSON schema is answered with text that fits it."""
    wanted = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True}}
    if stream:
        chunks = streamed(client, model=MODEL, messages=MESSAGES, response_format=wanted)
        text, finish = said(chunks), finish_of(chunks)
        assert called(chunks) == []
    else:
        (choice,) = client.chat.completions.create(model=MODEL, messages=MESSAGES, response_format=wanted).choices
        text, finish = choice.message.content, choice.finish_reason
    assert (json.loads(text), finish) == ({"answer": "Kiel"}, "stop")
    flow.wait_traces(1)


def test_openai_parse_helper(client):
    """The SDK's own parsing of schemas accepts what comes."""
    pydantic = pytest.importorskip("pydantic")

    class Answer(pydantic.BaseModel):
        answer: str
        items: list[int]

    parsed = client.chat.completions.parse(model=MODEL, messages=MESSAGES, response_format=Answer)
    assert parsed.choices[0].message.parsed == Answer(answer="Kiel", items=[2])


@pytest.mark.parametrize("stream", [False, True])
def test_openai_reasoning(flow, client, stream):
    """reasoning_effort turns thoughts on; they come as reasoning_content."""
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
        ("error-400", openai.BadRequestError, None),
        ("error-403", openai.PermissionDeniedError, "permission_denied"),
        ("error-404", openai.NotFoundError, "model_not_found"),
        ("error-429", openai.RateLimitError, "rate_limit_exceeded"),
        ("error-503", openai.InternalServerError, None),
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
        assert caught.value.response.headers["retry-after"] == "17"
    (row,) = flow.wait_traces(1)
    assert row["status"] == caught.value.status_code
    assert row["error"]


def test_openai_wrong_key(flow, client):
    """Google's 400 for a wrong key is OpenAI's AuthenticationError."""
    with pytest.raises(openai.AuthenticationError, match="API key not valid"):
        client.with_options(api_key="bad").models.list()
    assert flow.wait_traces(1)[0]["status"] == 401


@pytest.mark.parametrize("model", ["cut", "endless"])
def test_openai_broken_streams(flow, client, model):
    """A stream that breaks off or ends too soon raises; the row is a 502 with what came."""
    with pytest.raises(Exception):  # the SDK lets its HTTP library's own error of a cut through
        streamed(client, model=model, messages=MESSAGES)
    (row,) = flow.wait_traces(1)
    assert row["status"] == 502
    assert messages_of(flow, row)["output"][0]["parts"][0]["text"].startswith("It is")


@pytest.mark.parametrize("given", ["one", ["one", "two"]])
@pytest.mark.parametrize("coding", [None, "float", "base64"])
def test_openai_embeddings(flow, client, given, coding):
    """Texts become vectors in order, in the coding the SDK asks for."""
    options = {} if coding is None else {"encoding_format": coding}
    answer = client.embeddings.create(model="gemini-embedding-001", input=given, dimensions=8, **options)
    count = 1 if isinstance(given, str) else 2
    assert [row.index for row in answer.data] == list(range(count))
    if coding != "base64":
        assert [len(row.embedding) for row in answer.data] == [8] * count
    assert answer.usage.prompt_tokens == 3 * count
    (row,) = flow.wait_traces(1)
    assert (row["operation"], row["model"], row["prompt_tokens"]) == ("embeddings", "gemini-embedding-001", 3 * count)
    assert row["estimated_cost"] > 0


def test_openai_models(flow, client):
    """The listing reads as OpenAI's."""
    found = [model.id for model in client.models.list()]
    assert found == ["gemini-2.5-flash", "gemini-2.5-pro", "gemini-embedding-001"]
    assert flow.wait_traces(1)[0]["estimated_cost"] == 0.0


# ── Google's SDK ─────────────────────────────────────────────────────────────────────────────────────────────────────

ROUTES = [("/gemini", "proxy"), ("/passthrough/gemini", "passthrough")]
routes = pytest.mark.parametrize(("route", "source"), ROUTES, ids=["provider", "passthrough"])
FUNCTIONS = {
    "tools": [
        {
            "function_declarations": [
                {
                    "name": tool["function"]["name"],
                    "description": tool["function"]["description"],
                    "parameters_json_schema": tool["function"]["parameters"],
                }
                for tool in TOOLS
            ]
        }
    ],
    "automatic_function_calling": {"disable": True},
    "system_instruction": "Be brief.",
}


@contextmanager
def native_at(url: str):
    client = genai.Client(api_key=KEY, http_options={"base_url": url})
    try:
        yield client
    finally:
        client.close()


def dumped(value) -> dict:
    return value.model_dump(exclude={"sdk_http_response"})


def native_loop(client, model: str = MODEL) -> list[dict]:
    asked = genai.types.Content(role="user", parts=[genai.types.Part(text="Weather and time in Kiel?")])
    first = client.models.generate_content(model=model, contents=[asked], config=FUNCTIONS)
    results = [
        genai.types.Part(
            function_response=genai.types.FunctionResponse(id=call.id, name=call.name, response={"result": "Sunny"})
        )
        for call in first.function_calls
    ]
    turns = [asked, first.candidates[0].content, genai.types.Content(role="user", parts=results)]
    second = client.models.generate_content(model=model, contents=turns, config=FUNCTIONS)
    return [dumped(first), dumped(second)]


def failing(client, model: str = MODEL, contents="Hi") -> tuple:
    with pytest.raises(genai.errors.APIError) as caught:
        client.models.generate_content(model=model, contents=contents)
    return type(caught.value), caught.value.code, caught.value.details


NATIVE = {
    "plain": lambda c: dumped(c.models.generate_content(model=MODEL, contents="Weather?")),
    "streaming": lambda c: [dumped(one) for one in c.models.generate_content_stream(model=MODEL, contents="Weather?")],
    "thoughts, streamed": lambda c: [
        dumped(one)
        for one in c.models.generate_content_stream(
            model=MODEL, contents="Weather?", config={"thinking_config": {"include_thoughts": True}}
        )
    ],
    "tool loop": native_loop,
    "tool loop with signatures": lambda c: native_loop(c, "gemini-3-pro-preview"),
    "tools, streamed": lambda c: [
        dumped(one) for one in c.models.generate_content_stream(model=MODEL, contents="Weather?", config=FUNCTIONS)
    ],
    "image": lambda c: dumped(
        c.models.generate_content(
            model=MODEL, contents=[genai.types.Part.from_bytes(data=b"\x89PNG" * 9, mime_type="image/png"), "What?"]
        )
    ),
    "schema": lambda c: dumped(
        c.models.generate_content(
            model=MODEL,
            contents="Weather?",
            config={"response_mime_type": "application/json", "response_json_schema": SCHEMA},
        )
    ),
    "embeddings": lambda c: dumped(c.models.embed_content(model="gemini-embedding-001", contents=["a", "b"])),
    "count tokens": lambda c: dumped(c.models.count_tokens(model=MODEL, contents="Weather?")),
    "models": lambda c: [dumped(model) for model in c.models.list()],
    "429": lambda c: failing(c, "error-429"),
    "400": lambda c: failing(c, contents=[{"role": "robot", "parts": [{"text": "Hi"}]}]),
    "html": lambda c: failing(c, "html-502"),
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
        NATIVE["streaming" if stream else "plain"](client)
    (row,) = flow.wait_traces(1)
    assert_true_row(row, is_stream=stream, source=source)
    told = messages_of(flow, row)
    assert told["input"] == [{"role": "user", "parts": [{"type": "text", "text": "Weather?"}]}]
    assert told["output"][0]["parts"] == [{"type": "text", "text": TEXT}]
    assert KEY not in flow.everything_stored()


@routes
@pytest.mark.parametrize("by", ["header", "query"])
def test_the_array_form_of_a_stream_is_read_too(flow, upstream, route, source, by):
    """Without alt=sse a stream is one JSON array: it passes byte for byte, is read, and the key in the URL is hidden."""
    body = json.dumps({"contents": [{"role": "user", "parts": [{"text": "Weather?"}]}]}).encode()
    path = f"/v1beta/models/{MODEL}:streamGenerateContent" + (f"?key={KEY}" if by == "query" else "")
    headers = {"Content-Type": "application/json"} | ({"x-goog-api-key": KEY} if by == "header" else {})
    answers = []
    for place in (flow.proxy_url + route, upstream.url):
        request = urllib.request.Request(place + path, body, headers)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as response:
            answers.append(response.read())
    assert answers[0] == answers[1]
    (row,) = flow.wait_traces(1)
    assert_true_row(row, is_stream=True, source=source)
    assert messages_of(flow, row)["output"][0]["parts"] == [{"type": "text", "text": TEXT}]
    assert KEY not in flow.everything_stored()


@routes
def test_a_native_tool_loop_is_readable(flow, route, source):
    """Calls and results of a native loop are shown as such."""
    with native_at(flow.proxy_url + route) as client:
        native_loop(client)
    second, first = flow.wait_traces(2)
    assert (first["finish_reason"], second["finish_reason"]) == ("tool_calls", "stop")
    assert kinds_of(messages_of(flow, first)["output"]) == ["tool_call", "tool_call"]
    asked = messages_of(flow, second)["input"]
    assert kinds_of(asked) == ["text", "text", "tool_call", "tool_call", "tool_result", "tool_result"]
    assert asked[0]["role"] == "system"


@routes
def test_native_errors_are_rows_with_the_providers_words(flow, route, source):
    """A 429 stays Google's for the SDK and is an error row."""
    with native_at(flow.proxy_url + route) as client:
        failing(client, "error-429")
    (row,) = flow.wait_traces(1)
    assert row["status"] == 429
    assert "quota" in row["error"]


@routes
def test_native_embeddings_and_counts(flow, route, source):
    """Embeddings are recorded as such; counting tokens is free."""
    with native_at(flow.proxy_url + route) as client:
        client.models.embed_content(model="gemini-embedding-001", contents=["a", "b"])
        client.models.count_tokens(model=MODEL, contents="Weather?")
    counted, embedded = flow.wait_traces(2)
    assert (embedded["operation"], embedded["model"]) == ("embeddings", "gemini-embedding-001")
    assert embedded["prompt_tokens"] == 6
    assert (counted["operation"], counted["estimated_cost"]) == ("count_tokens", 0.0)
