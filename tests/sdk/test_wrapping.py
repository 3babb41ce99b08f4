"""Wrapped clients: the official SDKs' calls stand under the span they are made in, and nothing else changes."""

from __future__ import annotations

import asyncio
import gc

import pytest
from anthropic_server import AnthropicLike
from fake_upstream import FakeUpstream
from gemini_like import TEXT as GEMINI_TEXT
from gemini_like import GeminiLike

from llmflow_web.sdk import flush, span, trace, wrap

openai = pytest.importorskip("openai", reason="the openai SDK is not installed")
anthropic = pytest.importorskip("anthropic", reason="the anthropic SDK is not installed")
genai = pytest.importorskip("google.genai", reason="the google-genai SDK is not installed")

pytestmark = [
    pytest.mark.sdk,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:google.*"),
    pytest.mark.filterwarnings("ignore:The model .* is deprecated:DeprecationWarning"),  # said by the SDK
]

KEY = "sk-test-THISKEYMUSTNOTBESTORED0123456789"
PATIENCE_S = 60.0
ASKED = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Why is the sky blue?"}]}
CLAUDE = {"model": "claude-sonnet-4-5", "max_tokens": 64, "messages": ASKED["messages"]}
GEMINI = {"model": "gemini-2.5-flash", "contents": "Where is it sunny?"}


@pytest.fixture
def upstream():
    with FakeUpstream.openai() as server, FakeUpstream(AnthropicLike()) as claude, FakeUpstream(GeminiLike()) as gemini:
        server.claude, server.gemini = claude, gemini
        yield server


@pytest.fixture
def flow(flow_at, upstream):
    return flow_at(openai=upstream.url, anthropic=upstream.claude.url, gemini=upstream.gemini.url)


@pytest.fixture
def plain(flow):
    with openai.OpenAI(base_url=f"{flow.proxy_url}/v1", api_key=KEY, max_retries=0) as client:
        yield client


def rows_under(sdk, count: int) -> dict[str, list[dict]]:
    """Return the proxied calls by the name of the span they stand under ("" for none)."""
    assert flush(PATIENCE_S)
    rows = sdk.wait_traces(count)
    names = {row["id"]: row["span_name"] for row in rows if row["source"] == "sdk"}
    found: dict[str, list[dict]] = {}
    for row in rows:
        if row["source"] != "sdk":
            found.setdefault(names.get(row["parent_id"], ""), []).append(row)
    return found


def test_five_calls_in_one_trace(sdk, plain):
    """Five calls in one trace are five rows of that trace, each under the span it was made in."""
    client = wrap(plain)
    assert type(client) is openai.OpenAI
    assert client is not plain
    with trace("agent", session_id="s-1", user_id="u-1") as root:
        for number in range(5):
            with span(f"step {number}"):
                client.chat.completions.create(**ASKED)
    found = rows_under(sdk, 11)
    assert {name: len(rows) for name, rows in found.items()} == {f"step {n}": 1 for n in range(5)}
    for (row,) in found.values():
        assert (row["trace_id"], row["session_id"], row["user_id"]) == (root.trace_id, "s-1", "u-1")
    assert sdk.get(f"/api/traces/{root.trace_id}")["trace"]["span_name"] == "agent"


def test_only_that_client(sdk, plain, upstream):
    """The client that was wrapped goes on without headers; so does every other."""
    client = wrap(plain)
    with trace("agent"):
        plain.chat.completions.create(**ASKED)
        client.chat.completions.create(**ASKED)
    client.chat.completions.create(**ASKED)
    found = rows_under(sdk, 4)
    assert {name: len(rows) for name, rows in found.items()} == {"": 2, "agent": 1}
    assert not any(
        request.header("x-trace-id") or request.header("x-llmflow-session-id") for request in upstream.requests
    )


def test_what_is_made_of_it(sdk, plain):
    """Copies with other options, raw answers and streams carry the headers too; wrapping twice is wrapping once."""
    client = wrap(wrap(plain))
    with trace("copy"):
        client.with_options(timeout=60).chat.completions.create(**ASKED)
        client.chat.completions.with_raw_response.create(**ASKED)
    with trace("stream"), client.chat.completions.create(**ASKED, stream=True) as stream:
        assert len(list(stream)) > 1
    found = rows_under(sdk, 5)
    assert {name: len(rows) for name, rows in found.items()} == {"copy": 2, "stream": 1}
    assert found["stream"][0]["is_stream"] is True


def test_what_the_call_itself_says_stands(sdk, plain):
    """Headers given to one call are not written over."""
    with trace("agent"):
        wrap(plain).chat.completions.create(**ASKED, extra_headers={"X-Trace-Id": "mine", "X-LLMFlow-User-Id": "me"})
    (row,) = [row for row in sdk.wait_traces(1) if row["source"] == "proxy"]
    assert (row["trace_id"], row["user_id"]) == ("mine", "me")


def test_settings_of_ones_own(sdk, flow):
    """A client with an HTTP client of its own keeps that one's settings and hooks."""
    httpx = pytest.importorskip("httpx2" if hasattr(openai._base_client, "httpx2") else "httpx")
    seen = []
    http = httpx.Client(headers={"X-LLMFlow-Tags": "own"}, event_hooks={"request": [lambda request: seen.append(1)]})
    with openai.OpenAI(base_url=f"{flow.proxy_url}/v1", api_key=KEY, http_client=http) as client:
        with trace("agent"):
            wrap(client).chat.completions.create(**ASKED)
    assert seen == [1]
    assert len(http.event_hooks["request"]) == 1
    assert rows_under(sdk, 2)["agent"][0]["tags"] == ["own"]


def test_collected_clients(sdk, flow):
    """The wrapped client outlives the one it was made of, and takes nothing with it when it goes."""
    client = wrap(openai.OpenAI(base_url=f"{flow.proxy_url}/v1", api_key=KEY))
    gc.collect()
    with trace("first"):
        client.chat.completions.create(**ASKED)
        client.chat.completions.create(**ASKED)
    with openai.OpenAI(base_url=f"{flow.proxy_url}/v1", api_key=KEY) as kept:
        with trace("second"), wrap(kept).chat.completions.create(**ASKED, stream=True) as stream:
            gc.collect()
            assert len(list(stream)) > 1
        gc.collect()
        assert not kept.is_closed()
        kept.chat.completions.create(**ASKED)
    client.close()
    assert client.is_closed()
    found = rows_under(sdk, 6)
    assert {name: len(rows) for name, rows in found.items()} == {"first": 2, "second": 1, "": 1}


def test_asynchronous(sdk, flow):
    """Calls of tasks that run side by side stand each under its own span."""

    async def run():
        async with openai.AsyncOpenAI(base_url=f"{flow.proxy_url}/v1", api_key=KEY) as plain:
            client = wrap(plain)
            assert type(client) is openai.AsyncOpenAI

            @span
            async def step(name):
                async with span(name):
                    await client.chat.completions.create(**ASKED)

            @span("stream")
            async def stream():
                async for chunk in await client.chat.completions.create(**ASKED, stream=True):
                    yield chunk

            with trace("agent"):
                await asyncio.gather(*(step(f"task {number}") for number in range(3)))
                assert len([chunk async for chunk in stream()]) > 1

    asyncio.run(run())
    found = rows_under(sdk, 12)
    assert {name: len(rows) for name, rows in found.items()} == {"task 0": 1, "task 1": 1, "task 2": 1, "stream": 1}


def test_anthropic(sdk, flow):
    """Anthropic's clients, sync and async, plain and streamed."""

    async def run():
        async with anthropic.AsyncAnthropic(base_url=f"{flow.proxy_url}/anthropic", api_key=KEY) as plain:
            with trace("async"):
                await wrap(plain).messages.create(**CLAUDE)

    with anthropic.Anthropic(base_url=f"{flow.proxy_url}/anthropic", api_key=KEY) as plain:
        client = wrap(plain)
        assert type(client) is anthropic.Anthropic
        with trace("plain"):
            client.messages.create(**CLAUDE)
        with trace("stream"), client.messages.stream(**CLAUDE) as stream:
            stream.get_final_message()
        plain.messages.create(**CLAUDE)
    asyncio.run(run())
    found = rows_under(sdk, 7)
    assert {name: len(rows) for name, rows in found.items()} == {"plain": 1, "stream": 1, "async": 1, "": 1}


def test_gemini(sdk, flow):
    """Google's client, sync and async, plain and streamed; another one of it stays as it is."""
    options = {"base_url": f"{flow.proxy_url}/gemini"}
    other, plain = (genai.Client(api_key=KEY, http_options=options) for _ in range(2))
    client = wrap(wrap(plain))
    assert client is plain
    with trace("plain", user_id="u-1"):
        assert client.models.generate_content(**GEMINI).text == GEMINI_TEXT
    with trace("stream"):
        assert len(list(client.models.generate_content_stream(**GEMINI))) > 1

    async def run():
        async with trace("async"):
            assert (await client.aio.models.generate_content(**GEMINI)).text == GEMINI_TEXT
        await client.aio.aclose()

    asyncio.run(run())
    with trace("other"):
        other.models.generate_content(**GEMINI)
    for one in (client, other):
        one.close()
    found = rows_under(sdk, 8)
    assert {name: len(rows) for name, rows in found.items()} == {"plain": 1, "stream": 1, "async": 1, "": 1}
    assert found["plain"][0]["user_id"] == "u-1"


def test_people_are_no_business_of_a_provider_s(posted, upstream):
    """Session and user go to LLMFlow's host only; the ids of trace and span go with every call of the client."""
    from llmflow_web.sdk.wrapping import _add_headers

    class Url:
        host = "api.openai.com"

    class Request:
        url = Url()

        def __init__(self):
            self.headers = {}

    with trace("agent", user_id="u-1", session_id="süß"):
        far, near = Request(), Request()
        _add_headers(far)
        near.url = Url()
        near.url.host = "localhost"
        _add_headers(near)
    assert sorted(far.headers) == ["traceparent", "x-parent-id", "x-trace-id"]
    assert sorted(near.headers) == ["traceparent", "x-llmflow-user-id", "x-parent-id", "x-trace-id"]
    _add_headers(None)


def test_what_is_no_client():
    """Anything else is refused with a sentence."""
    for other in (object(), None, openai, "client"):
        with pytest.raises(TypeError, match="openai, anthropic or google-genai"):
            wrap(other)
