"""Vendors that speak OpenAI's dialect with their own SDKs, and gateways before them, through LLMFlow."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import pytest
from fake_upstream import FakeUpstream, Talk, answer, stream
from openai_like import TEXT, OpenAILike

openai = pytest.importorskip("openai", reason="the openai SDK is not installed")
groq = pytest.importorskip("groq", reason="the groq SDK is not installed")
mistral = pytest.importorskip("mistralai.client", reason="the mistralai SDK is not installed")

from openai_calls import IMAGE, KEY, MESSAGES, SCHEMA, TOOLS, client_at, kinds_of, streamed, tool_loop  # noqa: E402

pytestmark = pytest.mark.sdk

_openai = OpenAILike()


# ── Mistral ──────────────────────────────────────────────────────────────────────────────────────────────────────

MISTRAL_FIELDS = {
    "model", "messages", "temperature", "top_p", "max_tokens", "stream", "stop", "random_seed", "response_format",
    "tools", "tool_choice", "presence_penalty", "frequency_penalty", "n", "prediction", "parallel_tool_calls",
    "prompt_mode", "safe_prompt", "metadata", "reasoning_effort", "guardrails",
}  # fmt: skip
MISTRAL = "mistral-small-latest"
MISTRAL_USAGE = {"prompt_tokens": 21, "completion_tokens": 9, "total_tokens": 30}


def mistral_like(talk: Talk) -> None:
    """Answer as Mistral: unknown fields are a 422, usage comes with the last content chunk, tool calls come whole."""
    body = json.loads(talk.body() or b"{}")
    unknown = sorted(body.keys() - MISTRAL_FIELDS)
    if talk.request.path != "/v1/chat/completions":
        answer(404, body=b'{"detail":"Not Found"}')(talk)
    elif unknown:
        detail = [{"type": "extra_forbidden", "loc": ["body", unknown[0]], "msg": "Extra inputs are not permitted"}]
        answer(422, body=json.dumps({"detail": detail}).encode())(talk)
    elif "error-429" in body["model"]:
        error = {"object": "error", "message": "Requests rate limit exceeded", "type": "rate_limited", "code": "1300"}
        answer(429, body=json.dumps(error).encode())(talk)
    else:
        _mistral_answer(talk, body)


def _mistral_answer(talk: Talk, body: dict) -> None:
    message: dict = {"role": "assistant", "content": TEXT, "tool_calls": None}
    finish = "stop"
    if body.get("tools") and body["messages"][-1]["role"] != "tool":
        function = {"name": "get_weather", "arguments": '{"place": "Paris"}'}
        message |= {"content": "", "tool_calls": [{"id": "D681PevKs", "type": "function", "function": function}]}
        finish = "tool_calls"
    elif body.get("prompt_mode") == "reasoning":
        thought = {"type": "thinking", "thinking": [{"type": "text", "text": "Waves."}]}
        message["content"] = [thought, {"type": "text", "text": TEXT}]
    base = {"id": "m1", "created": 1_700_000_000, "model": body["model"]}
    if not body.get("stream"):
        whole = {**base, "object": "chat.completion", "usage": MISTRAL_USAGE}
        whole["choices"] = [{"index": 0, "message": message, "finish_reason": finish}]
        answer(body=json.dumps(whole).encode())(talk)
        return
    deltas: list[dict] = [{"role": "assistant", "content": ""}]
    if message["tool_calls"]:
        deltas.append({"content": "", "tool_calls": [{**message["tool_calls"][0], "index": 0}]})
    else:
        deltas += [{"content": piece} for piece in ("The sky ", TEXT[8:])]
    events = []
    for index, delta in enumerate(deltas):
        is_last = index == len(deltas) - 1
        choice = {"index": 0, "delta": delta, "finish_reason": finish if is_last else None}
        usage = {"usage": MISTRAL_USAGE} if is_last else {}
        event = {**base, "object": "chat.completion.chunk", "choices": [choice], **usage}
        events.append(f"data: {json.dumps(event)}\n\n".encode())
    stream([*events, b"data: [DONE]\n\n"])(talk)


def mistral_at(url):
    return mistral.Mistral(KEY, server_url=url)


def mistral_stream(client, **fields):
    with client.chat.stream(model=MISTRAL, messages=MESSAGES, **fields) as events:
        return [event.data.model_dump() for event in events]


ASKED_JSON = {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}
MISTRAL_CALLS = {
    "chat": lambda c: c.chat.complete(model=MISTRAL, messages=MESSAGES).model_dump(),
    "chat, streamed": mistral_stream,
    "tools": lambda c: c.chat.complete(model=MISTRAL, messages=MESSAGES, tools=TOOLS).model_dump(),
    "tools, streamed": lambda c: mistral_stream(c, tools=TOOLS),
    "image": lambda c: c.chat.complete(model=MISTRAL, messages=IMAGE).model_dump(),
    "structured": lambda c: c.chat.complete(model=MISTRAL, messages=MESSAGES, response_format=ASKED_JSON).model_dump(),
    "thinking": lambda c: c.chat.complete(model=MISTRAL, messages=MESSAGES, prompt_mode="reasoning").model_dump(),
}
ROADS = {"provider route": ("/{}", "proxy"), "passthrough": ("/passthrough/{}", "passthrough")}


@pytest.fixture
def mistral_upstream():
    with FakeUpstream(mistral_like) as server:
        yield server


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize("name", MISTRAL_CALLS)
def test_mistral_s_sdk_gets_what_it_gets_directly(flow_at, mistral_upstream, name, road):
    """Nothing is put into its requests, so nothing is refused; the row has the usage of the last chunk and its price."""
    flow = flow_at(mistral=mistral_upstream.url)
    path, source = ROADS[road]
    with mistral_at(mistral_upstream.url) as client:
        direct = MISTRAL_CALLS[name](client)
    with mistral_at(flow.proxy_url + path.format("mistral")) as client:
        assert MISTRAL_CALLS[name](client) == direct
    first, second = mistral_upstream.requests
    assert (first.target, first.body) == (second.target, second.body)
    (row,) = flow.wait_traces(1)
    assert (row["provider"], row["source"], row["model"]) == ("mistral", source, MISTRAL)
    assert (row["prompt_tokens"], row["completion_tokens"], row["is_estimated"]) == (21, 9, False)
    assert row["estimated_cost"] > 0
    kinds = kinds_of(flow.get(f"/api/traces/{row['id']}")["messages"]["output"])
    expected = {"tools": ["tool_call"], "tools, streamed": ["tool_call"], "thinking": ["reasoning", "text"]}
    assert kinds == expected.get(name, ["text"])
    assert row["finish_reason"] == ("tool_calls" if name.startswith("tools") else "stop")
    assert KEY not in flow.everything_stored()


@pytest.mark.parametrize("road", ROADS)
def test_mistral_s_errors_stay_its_own(flow_at, mistral_upstream, road):
    """The SDK's exception with the body as it came; the row has the sentence."""
    flow = flow_at(mistral=mistral_upstream.url)
    with mistral_at(flow.proxy_url + ROADS[road][0].format("mistral")) as client:
        with pytest.raises(mistral.errors.SDKError) as caught:
            client.chat.complete(model="error-429", messages=MESSAGES)
    assert caught.value.status_code == 429
    assert json.loads(caught.value.body)["code"] == "1300"
    (row,) = flow.wait_traces(1)
    assert row["status"] == 429
    assert "Requests rate limit exceeded" in row["error"]


def test_the_openai_sdk_on_mistral(flow_at, mistral_upstream):
    """stream_options is never put in for Mistral, which would refuse it; its usage comes anyway."""
    flow = flow_at(mistral=mistral_upstream.url)
    with client_at(f"{flow.proxy_url}/mistral/v1") as client:
        chunks = streamed(client, model=MISTRAL, messages=MESSAGES)
    assert chunks[-1].usage.prompt_tokens == 21
    (row,) = flow.wait_traces(1)
    assert (row["prompt_tokens"], row["is_estimated"]) == (21, False)


# ── Groq ─────────────────────────────────────────────────────────────────────────────────────────────────────────

GROQ = "openai/gpt-oss-120b"


def groq_like(talk: Talk) -> None:
    """Answer as Groq: OpenAI's dialect below /openai/v1, with its own id and usage in the last content chunk."""
    body = json.loads(talk.body() or b"{}")
    if not talk.request.path.startswith("/openai/v1/"):
        answer(404, body=b'{"error":{"message":"Unknown request URL","type":"invalid_request_error"}}')(talk)
    elif not body.get("stream") or (body.get("stream_options") or {}).get("include_usage"):
        _openai(talk)
    else:
        usage = {"queue_time": 0.1, "prompt_tokens": 30, "completion_tokens": 14, "total_tokens": 44}
        base = {"id": "chatcmpl-g", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": GROQ}
        first = {"index": 0, "delta": {"role": "assistant", "reasoning": "Waves."}, "finish_reason": None}
        last = {"index": 0, "delta": {"content": TEXT}, "finish_reason": "stop"}
        events = [
            {**base, "choices": [first], "x_groq": {"id": "req_g"}},
            {**base, "choices": [last], "x_groq": {"id": "req_g", "usage": usage}},
        ]
        stream([*(f"data: {json.dumps(event)}\n\n".encode() for event in events), b"data: [DONE]\n\n"])(talk)


def groq_stream(client, **fields):
    return [
        event.model_dump()
        for event in client.chat.completions.create(model=GROQ, messages=MESSAGES, stream=True, **fields)
    ]


GROQ_CALLS = {
    "chat": lambda c: c.chat.completions.create(model=GROQ, messages=MESSAGES).model_dump(),
    "chat, streamed": groq_stream,
    "tool loop": lambda c: tool_loop(c, GROQ),
    "image": lambda c: c.chat.completions.create(model=GROQ, messages=IMAGE).model_dump(),
    "structured": lambda c: c.chat.completions.create(
        model=GROQ, messages=MESSAGES, response_format={"type": "json_object"}
    ).model_dump(),
    "models": lambda c: c.models.list().model_dump(),
}


@pytest.fixture
def groq_upstream():
    with FakeUpstream(groq_like) as server:
        yield server


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize("name", GROQ_CALLS)
def test_groq_s_sdk_gets_what_it_gets_directly(flow_at, groq_upstream, name, road):
    """The SDK writes /openai/v1 itself, which the provider route understands as it is; usage comes from x_groq."""
    flow = flow_at(groq=groq_upstream.url)
    path, source = ROADS[road]

    def at(url):
        return groq.Groq(api_key=KEY, base_url=url, max_retries=0)

    with at(groq_upstream.url) as client:
        direct = GROQ_CALLS[name](client)
    count = len(groq_upstream.requests)
    with at(flow.proxy_url + path.format("groq")) as client:
        found = GROQ_CALLS[name](client)
    for first, second in zip(groq_upstream.requests[:count], groq_upstream.requests[count:], strict=True):
        assert first.target == second.target
    if name != "chat, streamed":
        assert found == direct
    rows = flow.wait_traces(count)
    assert {(row["provider"], row["source"]) for row in rows} == {("groq", source)}
    if name != "models":
        assert {(row["prompt_tokens"], row["completion_tokens"], row["is_estimated"]) for row in rows} == {
            (30, 14, False)
        }
        assert all(row["estimated_cost"] > 0 for row in rows)
    assert KEY not in flow.everything_stored()


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize(("status", "error"), [(429, groq.RateLimitError), (400, groq.BadRequestError)])
def test_groq_s_errors_stay_its_own(flow_at, groq_upstream, road, status, error):
    """The SDK's own exceptions."""
    flow = flow_at(groq=groq_upstream.url)
    url = flow.proxy_url + ROADS[road][0].format("groq")
    with groq.Groq(api_key=KEY, base_url=url, max_retries=0) as client, pytest.raises(error):
        client.chat.completions.create(model=f"error-{status}", messages=MESSAGES)
    (row,) = flow.wait_traces(1)
    assert (row["provider"], row["status"]) == ("groq", status)


# ── Helicone ─────────────────────────────────────────────────────────────────────────────────────────────────────

HELICONE_KEY = "sk-helicone-THISKEYMUSTNOTBESTOREDEITHER"
HELICONE = {
    "Helicone-Auth": f"Bearer {HELICONE_KEY}",
    "Helicone-User-Id": "ada",
    "Helicone-Session-Id": "s-1",
    "Helicone-Session-Name": "checkout",
    "Helicone-Session-Path": "/ask/first",
    "Helicone-Property-Plan": "pro",
    "Helicone-Prompt-Id": "greeting",
}


def test_helicone_s_headers_go_through_and_label_the_row(flow_at):
    """Passthrough to Helicone: all its headers arrive there, label the row, and neither key is stored."""
    with FakeUpstream.openai() as upstream:
        flow = flow_at(helicone=upstream.url)
        with client_at(f"{flow.proxy_url}/passthrough/helicone/v1", default_headers=HELICONE) as client:
            answer = client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
        assert answer.choices[0].message.content == TEXT
        (sent,) = upstream.requests
        assert {name: sent.header(name) for name in HELICONE} == HELICONE
        assert sent.header("authorization") == f"Bearer {KEY}"
        (row,) = flow.wait_traces(1)
        assert (row["provider"], row["source"], row["model"]) == ("helicone", "passthrough", "gpt-4o")
        assert (row["user_id"], row["session_id"], row["prompt_name"]) == ("ada", "s-1", "greeting")
        assert row["tags"] == ["plan:pro"]
        assert (row["prompt_tokens"], row["is_estimated"]) == (30, False)
        assert row["estimated_cost"] == pytest.approx(20 * 2.5e-6 + 10 * 1.25e-6 + 14 * 1e-5)
        attributes = flow.get(f"/api/traces/{row['id']}")["attributes"]
        assert attributes["metadata"] == {"session_name": "checkout", "session_path": "/ask/first"}
        stored = flow.everything_stored()
        assert KEY not in stored
        assert HELICONE_KEY not in stored


def test_an_answer_from_helicone_s_cache_costs_nothing(flow_at):
    """Helicone-Cache: HIT repeats the first call's usage; nobody is billed for it again."""
    with FakeUpstream.openai() as upstream:
        usage = {"prompt_tokens": 30, "completion_tokens": 14, "total_tokens": 44}
        message = {"role": "assistant", "content": TEXT}
        body = {"id": "c", "object": "chat.completion", "created": 1, "model": "gpt-4o", "usage": usage}
        body["choices"] = [{"index": 0, "message": message, "finish_reason": "stop"}]
        upstream.script(answer(headers=[("helicone-cache", "HIT")], body=json.dumps(body).encode()))
        flow = flow_at(helicone=upstream.url)
        with client_at(f"{flow.proxy_url}/passthrough/helicone/v1", default_headers=HELICONE) as client:
            client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
        (row,) = flow.wait_traces(1)
        assert (row["prompt_tokens"], row["estimated_cost"]) == (30, 0)


def test_behind_helicone_calls_are_read_in_the_vendor_s_words(flow_at):
    """The path and the target header say whose dialect it is: Cohere's tokens, Cohere's price."""
    from cohere_like import cohere_like

    with FakeUpstream(cohere_like) as upstream:
        flow = flow_at(helicone=upstream.url)
        body = json.dumps({"model": "command-a-03-2025", "messages": [{"role": "user", "content": "Hi"}]}).encode()
        headers = HELICONE | {"Authorization": f"Bearer {KEY}", "Helicone-Target-URL": "https://api.cohere.com"}
        status, _ = _post(f"{flow.proxy_url}/passthrough/helicone/v2/chat", body, headers)
        assert status == 200
        (row,) = flow.wait_traces(1)
        assert (row["provider"], row["prompt_tokens"], row["completion_tokens"]) == ("helicone", 520, 9)
        assert row["estimated_cost"] == pytest.approx(20 * 2.5e-6 + 9 * 1e-5)


# ── who is known ─────────────────────────────────────────────────────────────────────────────────────────────────

ORDER = ["openai", "ollama", "anthropic", "gemini", "cohere", "azure", "groq", "mistral", "together", "perplexity"]


def _post(url, body, headers):
    request = urllib.request.Request(url, body, headers | {"Content-Type": "application/json"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=60) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def _get(url):
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=60) as response:
        return json.loads(response.read())


def test_an_unknown_name_is_told_who_is_known(flow_at):
    """404 in OpenAI's shape that lists every name; Helicone only where it can be used."""
    flow = flow_at()
    status, body = _post(f"{flow.proxy_url}/passthrough/nobody/v1/x", b"{}", {})
    assert (status, body["error"]["code"]) == (404, "unknown_provider")
    assert all(name in body["error"]["message"] for name in [*ORDER, "helicone"])
    status, body = _post(f"{flow.proxy_url}/nobody/v1/chat/completions", b"{}", {})
    assert status == 404
    assert all(name in body["error"]["message"] for name in ORDER)
    assert "helicone" not in body["error"]["message"]
    assert flow.get("/api/traces") == []


def test_the_pages_list_everybody_in_order(flow_at):
    """/providers, /health and the dashboard's check begin alike; Helicone is passthrough only."""
    flow = flow_at()
    page = _get(f"{flow.proxy_url}/providers")
    names = [row["name"] for row in page["providers"]]
    assert names[: len(ORDER)] == ORDER
    assert "helicone" not in names
    assert [row["prefix"] for row in page["providers"][:3]] == ["/v1/*", "/ollama/v1/*", "/anthropic/v1/*"]
    through = [row["name"] for row in page["passthrough"]]
    assert through[: len(ORDER)] == [f"{name}-passthrough" for name in ORDER]
    assert through[-1] == "helicone-passthrough"
    assert _get(f"{flow.proxy_url}/health")["providers"][: len(ORDER)] == ORDER
