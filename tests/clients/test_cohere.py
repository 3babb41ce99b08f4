"""Cohere through LLMFlow: the OpenAI SDK on /cohere/v1, and Cohere's own SDK untouched on both native roads."""

from __future__ import annotations

import json
from contextlib import contextmanager

import pytest
from cohere_like import MODELS, TEXT, cohere_like
from fake_upstream import FakeUpstream

openai = pytest.importorskip("openai", reason="the openai SDK is not installed")
cohere = pytest.importorskip("cohere", reason="the cohere SDK is not installed")

from openai_calls import (  # noqa: E402
    IMAGE,
    KEY,
    MESSAGES,
    SCHEMA,
    TOOLS,
    client_at,
    finish_of,
    kinds_of,
    said,
    streamed,
    tool_loop,
)

pytestmark = pytest.mark.sdk

MODEL = "command-a-03-2025"
COST = 20 * 2.5e-6 + 9 * 1e-5  # billed units, not tokens


@pytest.fixture
def upstream():
    with FakeUpstream(cohere_like) as server:
        yield server


@pytest.fixture
def flow(flow_at, upstream):
    return flow_at(cohere=upstream.url)


@contextmanager
def ours(flow):
    with client_at(f"{flow.proxy_url}/cohere/v1") as client:
        yield client


@contextmanager
def theirs(url):
    with cohere.ClientV2(KEY, base_url=url, max_retries=0) as client:
        yield client


def plain(value):
    """Return an SDK object as plain values."""
    return json.loads(value.json() if hasattr(value, "json") else json.dumps(value))


# ── the OpenAI SDK ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_chat_is_translated_and_one_true_row(flow, upstream):
    """Text, finish reason and tokens come back in OpenAI's shape; the row is billed by Cohere's billed units."""
    with ours(flow) as client:
        answer = client.chat.completions.create(model=MODEL, messages=MESSAGES, top_p=0.5, max_completion_tokens=50)
    assert answer.choices[0].message.content == TEXT
    assert answer.choices[0].finish_reason == "stop"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (520, 9)
    assert answer.usage.prompt_tokens_details.cached_tokens == 16
    assert answer.created > 1_600_000_000
    sent = upstream.requests[0]
    assert (sent.path, sent.json()["p"], sent.json()["max_tokens"]) == ("/v2/chat", 0.5, 50)
    (row,) = flow.wait_traces(1)
    assert (row["provider"], row["model"], row["operation"]) == ("cohere", MODEL, "chat")
    assert (row["prompt_tokens"], row["completion_tokens"], row["cached_tokens"]) == (520, 9, 16)
    assert row["estimated_cost"] == pytest.approx(COST)
    assert (row["finish_reason"], row["is_estimated"]) == ("stop", False)
    detail = flow.get(f"/api/traces/{row['id']}")
    assert [message["role"] for message in detail["messages"]["input"]] == ["system", "user"]
    assert detail["messages"]["output"][0]["parts"] == [{"type": "text", "text": TEXT}]
    assert KEY not in flow.everything_stored()


@pytest.mark.parametrize("wants_usage", [False, True])
def test_a_stream_is_translated_as_it_comes(flow, wants_usage):
    """Chunks begin with the role, end with the finish reason, and bring usage only where it was asked for."""
    options = {"stream_options": {"include_usage": True}} if wants_usage else {}
    with ours(flow) as client:
        chunks = streamed(client, model=MODEL, messages=MESSAGES, **options)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert said(chunks) == TEXT
    assert finish_of(chunks) == "stop"
    assert len({chunk.id for chunk in chunks}) == 1
    usages = [chunk.usage for chunk in chunks if chunk.usage]
    assert [usage.prompt_tokens for usage in usages] == ([520] if wants_usage else [])
    assert (chunks[-1].choices == []) is wants_usage
    (row,) = flow.wait_traces(1)
    assert (row["prompt_tokens"], row["completion_tokens"], row["is_stream"]) == (520, 9, True)
    assert row["estimated_cost"] == pytest.approx(COST)
    assert row["ttft_ms"] <= row["duration_ms"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_two_step_tool_loop_runs(flow, stream):
    """Two parallel calls and their results go through Cohere's rules of order and ids; both steps are readable."""
    with ours(flow) as client:
        calls, text = tool_loop(client, MODEL, stream=stream)
    assert [(name, json.loads(arguments)) for _, name, arguments in calls] == [
        ("get_weather", {"place": "Paris"}),
        ("get_time", {"place": "Paris"}),
    ]
    assert text == TEXT
    rows = flow.wait_traces(2)
    assert sorted(row["finish_reason"] for row in rows) == ["stop", "tool_calls"]
    later = next(row for row in rows if row["finish_reason"] == "stop")
    kinds = kinds_of(flow.get(f"/api/traces/{later['id']}")["messages"]["input"])
    assert kinds.count("tool_call") == kinds.count("tool_result") == 2


@pytest.mark.parametrize(
    ("choice", "sent", "names"),
    [
        ("required", "REQUIRED", ["get_weather", "get_time"]),
        ("none", "NONE", ["get_weather", "get_time"]),
        ("auto", None, ["get_weather", "get_time"]),
        ({"type": "function", "function": {"name": "get_time"}}, "REQUIRED", ["get_time"]),
    ],
)
def test_every_tool_choice_has_a_counterpart(flow, upstream, choice, sent, names):
    """REQUIRED, NONE, nothing, and a named tool as the only one."""
    with ours(flow) as client:
        client.chat.completions.create(model=MODEL, messages=MESSAGES, tools=TOOLS, tool_choice=choice)
    body = upstream.requests[0].json()
    assert body.get("tool_choice") == sent
    assert [tool["function"]["name"] for tool in body["tools"]] == names


def test_an_image_goes_along(flow, upstream):
    """A data URL stays one, and is an image in the record."""
    with ours(flow) as client:
        assert client.chat.completions.create(model=MODEL, messages=IMAGE).choices[0].message.content == TEXT
    assert upstream.requests[0].json()["messages"][0]["content"][1]["image_url"]["url"].startswith("data:image/png")
    (row,) = flow.wait_traces(1)
    assert "image" in kinds_of(flow.get(f"/api/traces/{row['id']}")["messages"]["input"])


def test_structured_output_is_asked_for_by_schema(flow, upstream):
    """json_schema becomes json_object with the schema; the answer parses."""
    asked = {"type": "json_schema", "json_schema": {"name": "a", "strict": True, "schema": SCHEMA}}
    with ours(flow) as client:
        answer = client.chat.completions.create(model=MODEL, messages=MESSAGES, response_format=asked)
    assert json.loads(answer.choices[0].message.content) == {"answer": "blue"}
    assert upstream.requests[0].json()["response_format"] == {"type": "json_object", "json_schema": SCHEMA}


@pytest.mark.parametrize("stream", [False, True])
def test_thinking_is_reasoning(flow, stream):
    """What the model thought comes as reasoning_content, and is reasoning in the record."""
    with ours(flow) as client:
        if stream:
            chunks = streamed(client, model="command-a-reasoning", messages=MESSAGES, reasoning_effort="high")
            deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
            thought = "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas)
        else:
            made = client.chat.completions.create(
                model="command-a-reasoning", messages=MESSAGES, reasoning_effort="high"
            )
            thought = made.choices[0].message.reasoning_content
    assert thought == "Waves of light."
    (row,) = flow.wait_traces(1)
    assert kinds_of(flow.get(f"/api/traces/{row['id']}")["messages"]["output"]) == ["reasoning", "text"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("status", "error"), [(429, openai.RateLimitError), (400, openai.BadRequestError)])
def test_errors_come_in_openais_shape(flow, status, error, stream):
    """Cohere's flat error is an envelope with its words, its status, request id and retry-after."""
    with ours(flow) as client, pytest.raises(error) as caught:
        client.chat.completions.create(model=f"error-{status}", messages=MESSAGES, stream=stream)
    assert caught.value.body["message"] == f"cohere says {status}"
    assert caught.value.body["type"]
    assert caught.value.response.headers["x-request-id"] == "req-cohere-1"
    assert caught.value.response.headers.get("retry-after") == ("7" if status == 429 else None)
    (row,) = flow.wait_traces(1)
    assert (row["status"], row["estimated_cost"]) == (status, 0)
    assert row["error"].startswith(f"cohere says {status}")


def test_what_cohere_cannot_do_is_a_400_that_names_the_field(flow, upstream):
    """n=2 never leaves; the client learns which field it was."""
    with ours(flow) as client, pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=MODEL, messages=MESSAGES, n=2)
    assert caught.value.body["param"] == "n"
    assert upstream.requests == []
    (row,) = flow.wait_traces(1)
    assert (row["status"], row["provider"]) == (400, "cohere")


def test_what_cohere_has_no_place_for_is_said(flow):
    """Ignored fields are named in a header and on the row."""
    with ours(flow) as client:
        raw = client.chat.completions.with_raw_response.create(
            model=MODEL, messages=MESSAGES, user="ada", logit_bias={"1": 1}, parallel_tool_calls=True, tools=TOOLS
        )
    assert {"user", "logit_bias"} <= set(raw.headers["x-llmflow-ignored"].split(", "))
    (row,) = flow.wait_traces(1)
    assert any("logit_bias" in line for line in flow.get(f"/api/traces/{row['id']}")["trace"]["dropped"])


def test_a_cut_stream_is_an_error(flow):
    """An upstream that dies mid-stream is no whole answer to anybody."""
    with ours(flow) as client, pytest.raises(Exception):  # the SDK lets its HTTP library through
        streamed(client, model="command-cut", messages=MESSAGES)
    (row,) = flow.wait_traces(1)
    assert (row["status"], row["ending"]) == (502, "upstream_closed")


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_embeddings_are_translated(flow, upstream, encoding):
    """Rows, dimensions and tokens in OpenAI's shape, priced."""
    with ours(flow) as client:
        answer = client.embeddings.create(model="embed-v4.0", input=["a", "b"], dimensions=16, encoding_format=encoding)
    assert len(answer.data) == 2
    assert answer.usage.prompt_tokens == 10
    assert upstream.requests[0].json()["output_dimension"] == 16
    (row,) = flow.wait_traces(1)
    assert (row["operation"], row["prompt_tokens"]) == ("embeddings", 10)
    assert row["estimated_cost"] == pytest.approx(10 * 1.2e-7)


def test_models_are_translated(flow):
    """The listing is OpenAI's."""
    with ours(flow) as client:
        assert [model.id for model in client.models.list()] == list(MODELS)


def test_what_has_no_counterpart_says_so(flow, upstream):
    """Responses, images and the rest are a 404 in OpenAI's shape that says what there is."""
    with ours(flow) as client, pytest.raises(openai.NotFoundError) as caught:
        client.responses.create(model=MODEL, input="Hi")
    assert caught.value.body["code"] == "unsupported_endpoint"
    assert "/v1/chat/completions" in caught.value.body["message"]
    assert upstream.requests == []


# ── Cohere's own SDK ─────────────────────────────────────────────────────────────────────────────────────────────

COHERE_TOOLS = [{"type": "function", "function": dict(tool["function"])} for tool in TOOLS]
IMAGE_V2 = [{"role": "user", "content": [dict(part) for part in IMAGE[0]["content"]]}]
CALLS = {
    "chat": lambda c: plain(c.chat(model=MODEL, messages=MESSAGES)),
    "chat, streamed": lambda c: [plain(event) for event in c.chat_stream(model=MODEL, messages=MESSAGES)],
    "tools": lambda c: plain(c.chat(model=MODEL, messages=MESSAGES, tools=COHERE_TOOLS)),
    "tools, streamed": lambda c: [
        plain(event) for event in c.chat_stream(model=MODEL, messages=MESSAGES, tools=COHERE_TOOLS)
    ],
    "image": lambda c: plain(c.chat(model=MODEL, messages=IMAGE_V2)),
    "structured": lambda c: plain(
        c.chat(model=MODEL, messages=MESSAGES, response_format={"type": "json_object", "json_schema": SCHEMA})
    ),
    "thinking": lambda c: plain(c.chat(model="command-a-reasoning", messages=MESSAGES)),
    "embed": lambda c: plain(
        c.embed(model="embed-v4.0", texts=["a", "b"], input_type="search_query", embedding_types=["float"])
    ),
    "rerank": lambda c: plain(c.rerank(model="rerank-v3.5", query="q", documents=["a", "b"])),
    "models": lambda c: plain(c.models.list()),
}
# name → operation, tokens in and out, cost, finish reason, kinds of parts in the answer
ROWS = {
    "chat": ("chat", 520, 9, COST, "stop", ["text"]),
    "chat, streamed": ("chat", 520, 9, COST, "stop", ["text"]),
    "tools": ("chat", 520, 9, COST, "tool_calls", ["reasoning", "tool_call", "tool_call"]),
    "tools, streamed": ("chat", 520, 9, COST, "tool_calls", ["reasoning", "tool_call", "tool_call"]),
    "image": ("chat", 520, 9, COST, "stop", ["text"]),
    "structured": ("chat", 520, 9, COST, "stop", ["text"]),
    "thinking": ("chat", 520, 9, None, "stop", ["reasoning", "text"]),
    "embed": ("embeddings", 10, 0, 10 * 1.2e-7, None, ["text"]),
    "rerank": ("rerank", None, None, 0.002, None, ["json"]),
}
ROADS = {"provider route": ("/cohere", "proxy"), "passthrough": ("/passthrough/cohere", "passthrough")}


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize("name", [name for name in CALLS if name != "models"])
def test_the_own_sdk_gets_what_it_gets_directly(flow, upstream, name, road):
    """The result is that of the direct call, upstream got the same bytes, and the call is one true row."""
    path, source = ROADS[road]
    with theirs(upstream.url) as client:
        direct = CALLS[name](client)
    with theirs(flow.proxy_url + path) as client:
        assert CALLS[name](client) == direct
    first, second = upstream.requests
    assert (first.target, first.body) == (second.target, second.body)
    operation, prompt, completion, cost, finish, kinds = ROWS[name]
    (row,) = flow.wait_traces(1)
    assert (row["provider"], row["source"], row["operation"]) == ("cohere", source, operation)
    assert (row["prompt_tokens"], row["completion_tokens"], row["finish_reason"]) == (prompt, completion, finish)
    assert row["estimated_cost"] == (None if cost is None else pytest.approx(cost))
    assert row["is_stream"] is name.endswith("streamed")
    messages = flow.get(f"/api/traces/{row['id']}")["messages"]
    assert kinds_of(messages["output"]) == kinds
    if operation == "chat":
        assert messages["input"][-1]["role"] == "user"
    assert KEY not in flow.everything_stored()


@pytest.mark.parametrize("road", ROADS)
def test_the_own_sdk_lists_models(flow, upstream, road):
    """GET /v1/models is OpenAI's listing for OpenAI's clients, Cohere's own for Cohere's, told by its headers."""
    with theirs(upstream.url) as client:
        direct = CALLS["models"](client)
    with theirs(flow.proxy_url + ROADS[road][0]) as client:
        assert CALLS["models"](client) == direct


def test_a_base_url_without_v1_and_a_slash_behind_mean_the_same(flow, upstream):
    """/cohere/chat/completions and /cohere/v1/chat/completions/ are translated like the usual path."""
    with client_at(f"{flow.proxy_url}/cohere") as client:
        assert client.chat.completions.create(model=MODEL, messages=MESSAGES).choices[0].message.content == TEXT
        assert client.post("/v1/chat/completions/", body={"model": MODEL, "messages": MESSAGES}, cast_to=object)
    assert [request.path for request in upstream.requests] == ["/v2/chat", "/v2/chat"]


@pytest.mark.parametrize("road", ROADS)
def test_the_own_sdk_runs_a_tool_loop(flow, road):
    """Calls, results and plan are readable in the second step."""
    with theirs(flow.proxy_url + ROADS[road][0]) as client:
        made = client.chat(model=MODEL, messages=MESSAGES, tools=COHERE_TOOLS).message
        results = [{"role": "tool", "tool_call_id": call.id, "content": "Sunny"} for call in made.tool_calls]
        answer = client.chat(model=MODEL, tools=COHERE_TOOLS, messages=[*MESSAGES, made, *results])
    assert answer.message.content[0].text == TEXT
    rows = flow.wait_traces(2)
    later = next(row for row in rows if row["finish_reason"] == "stop")
    shown = flow.get(f"/api/traces/{later['id']}")["messages"]["input"]
    kinds = kinds_of(shown)
    assert kinds.count("tool_call") == kinds.count("tool_result") == 2
    assert "reasoning" in kinds
    assert shown[-1]["parts"][0]["content"] == "Sunny"


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize(("status", "error"), [(429, cohere.TooManyRequestsError), (400, cohere.BadRequestError)])
def test_the_own_sdk_gets_cohere_s_own_errors(flow, road, status, error):
    """Native errors stay as they are."""
    with theirs(flow.proxy_url + ROADS[road][0]) as client, pytest.raises(error) as caught:
        client.chat(model=f"error-{status}", messages=MESSAGES)
    assert caught.value.body["message"] == f"cohere says {status}"
    (row,) = flow.wait_traces(1)
    assert (row["status"], row["error"]) == (status, f"cohere says {status}")
