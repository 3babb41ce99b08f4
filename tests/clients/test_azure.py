"""Azure OpenAI through LLMFlow: the plain OpenAI SDK on /azure/v1, and the Azure client untouched on native roads."""

from __future__ import annotations

import json
from contextlib import contextmanager

import pytest
from azure_like import JWT, SAFE, azure_like
from fake_upstream import FakeUpstream
from openai_like import TEXT

openai = pytest.importorskip("openai", reason="the openai SDK is not installed")

from openai_calls import (  # noqa: E402
    IMAGE,
    KEY,
    MESSAGES,
    SCHEMA,
    client_at,
    kinds_of,
    said,
    streamed,
    tool_loop,
)

pytestmark = pytest.mark.sdk

VERSION = "2024-10-21"
ENV = {"AZURE_DEPLOYMENT_GPT_4O": "chat-prod", "AZURE_DEPLOYMENT_TEXT_EMBEDDING_3_SMALL": "embed-prod"}
COST = 20 * 2.5e-6 + 10 * 1.25e-6 + 14 * 1e-5  # azure/gpt-4o-2024-08-06, 10 of 30 tokens cached


@pytest.fixture
def upstream():
    with FakeUpstream(azure_like) as server:
        yield server


@pytest.fixture
def flow(flow_at, upstream):
    """LLMFlow whose Azure is named by the environment, with a map of deployments."""
    return flow_at(env={"AZURE_OPENAI_ENDPOINT": upstream.url, **ENV})


@contextmanager
def azure_at(url, **options):
    given = {"api_key": KEY} | options
    with openai.AzureOpenAI(azure_endpoint=url, api_version=VERSION, max_retries=0, **given) as client:
        yield client


# ── the plain OpenAI SDK ─────────────────────────────────────────────────────────────────────────────────────────

ASKED_JSON = {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}


def calls(chat, embed):
    """Name calls to a chat and an embedding model or deployment."""
    return {
        "chat": lambda c: c.chat.completions.create(model=chat, messages=MESSAGES).model_dump(),
        "streamed": lambda c: [chunk.model_dump() for chunk in streamed(c, model=chat, messages=MESSAGES)],
        "streamed with usage": lambda c: [
            chunk.model_dump()
            for chunk in streamed(c, model=chat, messages=MESSAGES, stream_options={"include_usage": True})
        ],
        "tool loop": lambda c: tool_loop(c, chat),
        "tool loop, streamed": lambda c: tool_loop(c, chat, stream=True),
        "image": lambda c: c.chat.completions.create(model=chat, messages=IMAGE).model_dump(),
        "structured": lambda c: c.chat.completions.create(
            model=chat, messages=MESSAGES, response_format=ASKED_JSON
        ).model_dump(),
        "embeddings": lambda c: c.embeddings.create(model=embed, input=["a", "b"]).model_dump(),
        "models": lambda c: [model.model_dump() for model in c.models.list()],
    }


BY_MODEL = calls("gpt-4o", "text-embedding-3-small")
BY_DEPLOYMENT = calls("chat-prod", "embed-prod")


@pytest.mark.parametrize("name", BY_MODEL)
def test_a_plain_openai_client_gets_what_the_azure_client_gets(flow, upstream, name):
    """/azure/v1 finds deployment, api-version and key header by itself; content-filter fields are kept."""
    with azure_at(upstream.url) as client:
        direct = BY_DEPLOYMENT[name](client)
    count = len(upstream.requests)
    with client_at(f"{flow.proxy_url}/azure/v1") as client:
        found = BY_MODEL[name](client)
    if name == "embeddings":  # the one answer that repeats the name that was asked for
        assert (found.pop("model"), direct.pop("model")) == ("text-embedding-3-small", "embed-prod")
    assert found == direct
    for first, second in zip(upstream.requests[:count], upstream.requests[count:], strict=True):
        assert (first.method, first.target) == (second.method, second.target)
        assert (second.header("api-key"), second.header("authorization")) == (KEY, None)
    rows = flow.wait_traces(count)
    assert {(row["provider"], row["source"]) for row in rows} == {("azure", "proxy")}
    if name not in ("models", "embeddings"):
        assert {(row["model"], row["prompt_tokens"], row["is_estimated"]) for row in rows} == {
            ("gpt-4o-2024-08-06", 30, False)
        }
        assert rows[0]["estimated_cost"] == pytest.approx(COST)
    assert KEY not in flow.everything_stored()


def test_the_filters_of_a_stream_come_through_and_spoil_no_record(flow):
    """The first chunk has neither id nor choices, the last comes after the finish: text, id and model stay right."""
    with client_at(f"{flow.proxy_url}/azure/v1") as client:
        chunks = streamed(client, model="gpt-4o", messages=MESSAGES)
    assert chunks[0].choices == []
    assert chunks[0].prompt_filter_results[0]["content_filter_results"]["hate"]["severity"] == "safe"
    assert chunks[-1].choices[0].content_filter_results == SAFE
    assert said(chunks) == TEXT
    (row,) = flow.wait_traces(1)
    assert (row["model"], row["finish_reason"], row["completion_tokens"]) == ("gpt-4o-2024-08-06", "stop", 14)
    detail = flow.get(f"/api/traces/{row['id']}")
    assert detail["answer"]["id"] == "chatcmpl-1"
    assert detail["messages"]["output"][0]["parts"] == [{"type": "text", "text": TEXT}]


def test_a_token_of_entra_stays_a_bearer(flow, upstream):
    """A JWT is no api-key."""
    with openai.OpenAI(base_url=f"{flow.proxy_url}/azure/v1", api_key=JWT, max_retries=0) as client:
        client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
    sent = upstream.requests[0]
    assert (sent.header("authorization"), sent.header("api-key")) == (f"Bearer {JWT}", None)
    flow.wait_traces(1)
    assert JWT not in flow.everything_stored()


@pytest.mark.parametrize(
    ("env", "target", "asks_usage"),
    [
        ({}, "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21", True),
        (
            {"AZURE_OPENAI_API_VERSION": "2025-03-01-preview"},
            "/openai/deployments/gpt-4o/chat/completions?api-version=2025-03-01-preview",
            True,
        ),
        (
            {"OPENAI_API_VERSION": "2024-06-01"},
            "/openai/deployments/gpt-4o/chat/completions?api-version=2024-06-01",
            False,
        ),
        ({"path": "/openai/v1/"}, "/openai/v1/chat/completions", True),
    ],
)
def test_the_environment_says_which_api(flow_at, upstream, env, target, asks_usage):
    """api-version and the v1 path come from the environment; an old version is not asked for usage it cannot give."""
    env = dict(env)
    endpoint = upstream.url + env.pop("path", "")
    flow = flow_at(env={"AZURE_OPENAI_ENDPOINT": endpoint, **env})
    with client_at(f"{flow.proxy_url}/azure/v1") as client:
        assert said(streamed(client, model="gpt-4o", messages=MESSAGES)) == TEXT
    (sent,) = upstream.requests
    assert sent.target == target
    assert ("stream_options" in sent.json()) is asks_usage
    (row,) = flow.wait_traces(1)
    assert row["is_estimated"] is not asks_usage


def test_without_a_resource_the_error_says_what_to_set(flow_at):
    """Nothing is known of the user's Azure: a 400 names the variables and the header."""
    flow = flow_at(env={})
    with client_at(f"{flow.proxy_url}/azure/v1") as client, pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
    assert "AZURE_OPENAI_ENDPOINT" in caught.value.body["message"]


def test_a_resource_in_a_header_must_be_a_name(flow, upstream):
    """The header chooses a resource by its plain name; anything that could be another host is refused."""
    headers = {"X-LLMFlow-Azure-Resource": "evil.example/x"}
    with client_at(f"{flow.proxy_url}/azure/v1", default_headers=headers) as client:
        with pytest.raises(openai.BadRequestError):
            client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
    assert upstream.requests == []


# ── errors on every road ─────────────────────────────────────────────────────────────────────────────────────────

ROADS = {
    "openai on /azure/v1": lambda flow: client_at(f"{flow.proxy_url}/azure/v1"),
    "azure on the provider route": lambda flow: azure_at(f"{flow.proxy_url}/azure"),
    "azure on passthrough": lambda flow: azure_at(f"{flow.proxy_url}/passthrough/azure"),
}


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize(
    ("model", "error", "words"),
    [
        ("error-429", openai.RateLimitError, "azure says 429"),
        ("error-400", openai.BadRequestError, "azure says 400"),
        ("nowhere", openai.NotFoundError, "does not exist"),
        ("gateway", openai.AuthenticationError, "missing subscription key"),
    ],
)
def test_errors_are_azure_s(flow, upstream, road, model, error, words):
    """Status, body, request ids and retry-after are what the direct call gives; the row has the words."""

    def fail(client):
        with pytest.raises(error) as caught:
            client.chat.completions.create(model=model, messages=MESSAGES)
        names = ("apim-request-id", "x-request-id", "x-ms-region", "retry-after", "x-ratelimit-remaining-tokens")
        return caught.value.body, [caught.value.response.headers.get(name) for name in names]

    with azure_at(upstream.url) as client:
        direct = fail(client)
    with ROADS[road](flow) as client:
        assert fail(client) == direct
    (row,) = flow.wait_traces(1)
    assert words in row["error"]
    assert row["estimated_cost"] == 0


@pytest.mark.parametrize("road", ROADS)
def test_a_blocked_prompt_keeps_its_reasons(flow, road):
    """The inner error reaches the client, and the row names the filter that struck."""
    with ROADS[road](flow) as client, pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="filtered", messages=MESSAGES)
    assert caught.value.body["innererror"]["content_filter_result"]["violence"]["filtered"] is True
    (row,) = flow.wait_traces(1)
    assert "violence" in row["error"]
    assert "hate" not in row["error"]


# ── the Azure client ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("road", ["/azure", "/passthrough/azure"])
@pytest.mark.parametrize("name", BY_DEPLOYMENT)
def test_the_azure_client_gets_what_it_gets_directly(flow, upstream, name, road):
    """Results are equal, upstream got the same target, key and body, and each call is one true row."""
    with azure_at(upstream.url) as client:
        direct = BY_DEPLOYMENT[name](client)
    count = len(upstream.requests)
    with azure_at(flow.proxy_url + road) as client:
        assert BY_DEPLOYMENT[name](client) == direct
    for first, second in zip(upstream.requests[:count], upstream.requests[count:], strict=True):
        assert (first.target, first.header("api-key")) == (second.target, second.header("api-key"))
        assert _without_options(first) == _without_options(second)
    rows = flow.wait_traces(count)
    is_through = road.startswith("/passthrough")
    assert {(row["provider"], row["source"]) for row in rows} == {("azure", "passthrough" if is_through else "proxy")}
    if name not in ("models", "embeddings"):
        assert {row["model"] for row in rows} == {"gpt-4o-2024-08-06"}
        assert all(row["estimated_cost"] > 0 for row in rows)
    if name.startswith("tool loop"):
        later = max(rows, key=lambda row: row["timestamp"])
        kinds = kinds_of(flow.get(f"/api/traces/{later['id']}")["messages"]["input"])
        assert kinds.count("tool_call") == kinds.count("tool_result") == 2
    assert KEY not in flow.everything_stored()


def _without_options(request):
    body = json.loads(request.body or b"{}")
    body.pop("stream_options", None)  # asked for by LLMFlow on its own route
    return body


def test_passthrough_asks_for_nothing(flow, upstream):
    """Passthrough is byte for byte: no question for usage, so the tokens are an estimate and say so."""
    with azure_at(f"{flow.proxy_url}/passthrough/azure") as client:
        streamed(client, model="chat-prod", messages=MESSAGES)
    assert "stream_options" not in upstream.requests[0].json()
    (row,) = flow.wait_traces(1)
    assert row["is_estimated"] is True


@pytest.mark.parametrize("road", ["/azure", "/passthrough/azure"])
def test_the_azure_client_with_a_token_of_entra(flow, upstream, road):
    """azure_ad_token travels as it is."""
    options = {"api_key": None, "azure_ad_token": JWT}
    with azure_at(flow.proxy_url + road, **options) as client:
        answer = client.chat.completions.create(model="chat-prod", messages=MESSAGES)
    assert answer.choices[0].message.content == TEXT
    assert upstream.requests[0].header("authorization") == f"Bearer {JWT}"
    flow.wait_traces(1)
    assert JWT not in flow.everything_stored()
