"""Ollama through LLMFlow: the OpenAI SDK on /ollama/v1, and Ollama's own SDK untouched on both native roads."""

from __future__ import annotations

import json

import pytest
from fake_upstream import FakeUpstream
from ollama_like import COUNTERS, MODELS, TEXT, ollama_like

openai = pytest.importorskip("openai", reason="the openai SDK is not installed")
ollama = pytest.importorskip("ollama", reason="the ollama SDK is not installed")

from openai_calls import (  # noqa: E402
    IMAGE,
    KEY,
    MESSAGES,
    PNG,
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

MODEL = "qwen3:8b"


@pytest.fixture
def upstream():
    with FakeUpstream(ollama_like) as server:
        yield server


@pytest.fixture
def flow(flow_at, upstream):
    return flow_at(ollama=upstream.url)


# ── the OpenAI SDK ───────────────────────────────────────────────────────────────────────────────────────────────

ASKED_JSON = {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}
COMPATIBLE = {
    "chat": lambda c: c.chat.completions.create(model=MODEL, messages=MESSAGES).model_dump(),
    "streamed": lambda c: [chunk.model_dump() for chunk in streamed(c, model=MODEL, messages=MESSAGES)],
    "streamed with usage": lambda c: [
        chunk.model_dump()
        for chunk in streamed(c, model=MODEL, messages=MESSAGES, stream_options={"include_usage": True})
    ],
    "tool loop": lambda c: tool_loop(c, MODEL),
    "tool loop, streamed": lambda c: tool_loop(c, MODEL, stream=True),
    "image": lambda c: c.chat.completions.create(model=MODEL, messages=IMAGE).model_dump(),
    "structured": lambda c: c.chat.completions.create(
        model=MODEL, messages=MESSAGES, response_format=ASKED_JSON
    ).model_dump(),
    "embeddings": lambda c: c.embeddings.create(model="all-minilm", input=["a", "b"]).model_dump(),
    "models": lambda c: [model.model_dump() for model in c.models.list()],
}


@pytest.mark.parametrize("name", COMPATIBLE)
def test_the_openai_sdk_gets_what_it_gets_directly(flow, upstream, name):
    """/ollama/v1 is Ollama's own OpenAI dialect, unchanged; every row is Ollama's and costs nothing."""
    with client_at(f"{upstream.url}/v1") as client:
        direct = COMPATIBLE[name](client)
    with client_at(f"{flow.proxy_url}/ollama/v1") as client:
        assert COMPATIBLE[name](client) == direct
    rows = flow.wait_traces(2 if name.startswith("tool loop") else 1)
    assert {(row["provider"], row["source"], row["estimated_cost"]) for row in rows} == {("ollama", "proxy", 0)}
    if name not in ("models", "embeddings"):
        assert {(row["prompt_tokens"], row["completion_tokens"], row["is_estimated"]) for row in rows} == {
            (30, 14, False)
        }
    assert KEY not in flow.everything_stored()


@pytest.mark.parametrize(("status", "error"), [(429, openai.RateLimitError), (400, openai.BadRequestError)])
def test_the_openai_sdk_gets_errors_as_they_are(flow, status, error):
    """The SDK's own exceptions, the provider's words on the row."""
    with client_at(f"{flow.proxy_url}/ollama/v1") as client, pytest.raises(error):
        client.chat.completions.create(model=f"error-{status}", messages=MESSAGES)
    (row,) = flow.wait_traces(1)
    assert row["status"] == status
    assert row["error"]


def test_a_stream_without_the_question_for_usage_has_its_tokens(flow, upstream):
    """include_usage is asked for on the way, and the client sees nothing of it."""
    with client_at(f"{flow.proxy_url}/ollama/v1") as client:
        chunks = streamed(client, model=MODEL, messages=MESSAGES)
    assert upstream.requests[0].json()["stream_options"] == {"include_usage": True}
    assert finish_of(chunks) == "stop"
    assert said(chunks)
    assert all(chunk.choices and chunk.usage is None for chunk in chunks)


# ── Ollama's own SDK ─────────────────────────────────────────────────────────────────────────────────────────────

OWN_IMAGE = [{"role": "user", "content": "What is this?", "images": [PNG]}]


def plain(value):
    """Return SDK objects as plain values."""
    return value.model_dump() if hasattr(value, "model_dump") else [part.model_dump() for part in value]


CALLS = {
    "chat": lambda c: plain(c.chat(MODEL, MESSAGES)),
    "chat, streamed": lambda c: plain(c.chat(MODEL, MESSAGES, stream=True)),
    "tools": lambda c: plain(c.chat(MODEL, MESSAGES, tools=TOOLS)),
    "tools, streamed": lambda c: plain(c.chat(MODEL, MESSAGES, tools=TOOLS, stream=True)),
    "thinking": lambda c: plain(c.chat("qwen3-thinking", MESSAGES, think=True, stream=True)),
    "image": lambda c: plain(c.chat(MODEL, OWN_IMAGE)),
    "structured": lambda c: plain(c.chat(MODEL, MESSAGES, format=SCHEMA)),
    "generate": lambda c: plain(c.generate(MODEL, "Why is the sky blue?")),
    "generate, streamed": lambda c: plain(c.generate(MODEL, "Why is the sky blue?", stream=True)),
    "embed": lambda c: plain(c.embed("all-minilm", ["a", "b"])),
}
# name → operation, tokens in and out, finish reason, kinds of parts in question and answer
ROWS = {
    "chat": ("chat", 26, 12, "stop", ["text", "text"], ["text"]),
    "chat, streamed": ("chat", 26, 12, "stop", ["text", "text"], ["text"]),
    "tools": ("chat", 26, 12, "tool_calls", ["text", "text"], ["tool_call", "tool_call"]),
    "tools, streamed": ("chat", 26, 12, "tool_calls", ["text", "text"], ["tool_call", "tool_call"]),
    "thinking": ("chat", 26, 12, "stop", ["text", "text"], ["reasoning", "text"]),
    "image": ("chat", 26, 12, "stop", ["text", "image"], ["text"]),
    "structured": ("chat", 26, 12, "stop", ["text", "text"], ["text"]),
    "generate": ("text_completion", 26, 12, "stop", ["text"], ["text"]),
    "generate, streamed": ("text_completion", 26, 12, "stop", ["text"], ["text"]),
    "embed": ("embeddings", 8, 0, None, ["text", "text"], ["text"]),
}
ROADS = {"provider route": ("/ollama", "proxy"), "passthrough": ("/passthrough/ollama", "passthrough")}


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize("name", CALLS)
def test_the_own_sdk_gets_what_it_gets_directly(flow, upstream, name, road):
    """The result is that of the direct call, upstream got the same bytes, and the call is one true row with timings."""
    path, source = ROADS[road]
    with ollama.Client(upstream.url) as client:
        direct = CALLS[name](client)
    with ollama.Client(flow.proxy_url + path) as client:
        assert CALLS[name](client) == direct
    first, second = upstream.requests
    assert (first.target, first.body) == (second.target, second.body)
    operation, prompt, completion, finish, asked, answered = ROWS[name]
    (row,) = flow.wait_traces(1)
    assert (row["provider"], row["source"], row["operation"]) == ("ollama", source, operation)
    assert (row["prompt_tokens"], row["completion_tokens"], row["finish_reason"]) == (prompt, completion, finish)
    assert (row["estimated_cost"], row["is_estimated"], row["model"]) == (0, False, first.json()["model"])
    is_stream = "streamed" in name or name == "thinking"
    assert row["is_stream"] is is_stream
    detail = flow.get(f"/api/traces/{row['id']}")
    assert kinds_of(detail["messages"]["input"]) == asked
    assert kinds_of(detail["messages"]["output"]) == answered
    whole = detail["answer"] if is_stream else detail["response"]["body"]
    assert whole["total_duration"] > 0
    if operation != "embeddings":
        assert {key: whole[key] for key in COUNTERS} == COUNTERS
    if is_stream:
        assert row["ttft_ms"] <= row["duration_ms"]


def test_the_words_of_a_stream_are_found(flow):
    """A native stream is put together: its text is the preview and the answer's message."""
    with ollama.Client(f"{flow.proxy_url}/ollama") as client:
        assert "".join(part.message.content for part in client.chat(MODEL, MESSAGES, stream=True)) == TEXT
    (row,) = flow.wait_traces(1)
    assert row["preview_out"] == TEXT
    output = flow.get(f"/api/traces/{row['id']}")["messages"]["output"]
    assert output[0]["parts"] == [{"type": "text", "text": TEXT}]


@pytest.mark.parametrize("road", ROADS)
def test_the_own_sdk_runs_a_tool_loop(flow, road):
    """Calls with their arguments, and results with the tool's name, are readable in the second step."""
    with ollama.Client(flow.proxy_url + ROADS[road][0]) as client:
        made = client.chat(MODEL, MESSAGES, tools=TOOLS).message
        results = [{"role": "tool", "tool_name": call.function.name, "content": "Sunny"} for call in made.tool_calls]
        answer = client.chat(MODEL, [*MESSAGES, made, *results], tools=TOOLS)
    assert answer.message.content == TEXT
    later = next(row for row in flow.wait_traces(2) if row["finish_reason"] == "stop")
    shown = flow.get(f"/api/traces/{later['id']}")["messages"]["input"]
    calls = [part for message in shown for part in message["parts"] if part["type"] == "tool_call"]
    assert [json.loads(call["arguments"]) for call in calls] == [{"place": "Paris"}] * 2
    assert [(message["role"], message.get("name")) for message in shown[-2:]] == [
        ("tool", "get_weather"),
        ("tool", "get_time"),
    ]
    assert shown[-1]["parts"][0]["content"] == "Sunny"


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize(
    ("model", "status", "words"),
    [("error-429", 429, "ollama says 429"), ("qwen3-notools", 400, "does not support tools"), ("x", 404, "not found")],
)
def test_the_own_sdk_gets_ollama_s_own_errors(flow, road, model, status, words):
    """Native errors stay as they are, and are the row's words."""
    with ollama.Client(flow.proxy_url + ROADS[road][0]) as client, pytest.raises(ollama.ResponseError) as caught:
        client.chat(model, MESSAGES, tools=TOOLS)
    assert caught.value.status_code == status
    assert words in caught.value.error
    (row,) = flow.wait_traces(1)
    assert row["status"] == status
    assert words in row["error"]


def test_a_stream_that_breaks_off_with_an_error_line(flow):
    """The SDK raises, and the row is an error although the status was 200."""
    with ollama.Client(f"{flow.proxy_url}/ollama") as client, pytest.raises(ollama.ResponseError):
        plain(client.chat("qwen3-broken", MESSAGES, stream=True))
    (row,) = flow.wait_traces(1)
    assert row["status"] == 502
    assert "the model runner has stopped" in row["error"]


def test_loading_a_model_is_no_generation(flow):
    """An empty prompt loads the model: no tokens, no cost, no llm span."""
    with ollama.Client(f"{flow.proxy_url}/ollama") as client:
        assert client.generate(MODEL, "").done_reason == "load"
    (row,) = flow.wait_traces(1)
    assert (row["span_type"], row["prompt_tokens"], row["is_estimated"]) == ("custom", None, False)


def test_a_wholly_cached_prompt_leaves_its_count_unknown(flow):
    """Without prompt_eval_count the prompt's tokens are unknown, not nothing."""
    with ollama.Client(f"{flow.proxy_url}/ollama") as client:
        client.chat("qwen3-cached", MESSAGES)
    (row,) = flow.wait_traces(1)
    assert (row["prompt_tokens"], row["completion_tokens"]) == (None, 12)


def test_a_cloud_model_is_not_called_free(flow):
    """A local server hands cloud models on: what they cost is unknown here."""
    with ollama.Client(f"{flow.proxy_url}/ollama") as client:
        client.chat("qwen3:9b-cloud", MESSAGES)
    (row,) = flow.wait_traces(1)
    assert row["estimated_cost"] is None


@pytest.mark.parametrize("road", ROADS)
def test_the_models_are_listed_as_they_are(flow, road):
    """GET /api/tags."""
    with ollama.Client(flow.proxy_url + ROADS[road][0]) as client:
        assert [model.model for model in client.list().models] == list(MODELS)


def test_ollama_host_says_where_it_is(tmp_path, upstream):
    """OLLAMA_HOST moves the row."""
    from llmflow_web.app.config import load

    config = load({"data_dir": [str(tmp_path)]}, {"OLLAMA_HOST": upstream.url.removeprefix("http://")})
    assert config.upstreams["ollama"].url == upstream.url
