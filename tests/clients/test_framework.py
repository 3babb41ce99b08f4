"""An agent framework on OpenAI's SDK, run through the translated routes: several steps, tools, typed results."""

from __future__ import annotations

import asyncio

import pytest
from anthropic_server import AnthropicLike
from fake_upstream import FakeUpstream
from gemini_like import TEXT, GeminiLike

openai = pytest.importorskip("openai", reason="the openai SDK is not installed")
pydantic_ai = pytest.importorskip("pydantic_ai", reason="pydantic-ai is not installed")
pytest.importorskip("pydantic_ai.models.openai", reason="pydantic-ai is installed without its openai extra")

pytestmark = [pytest.mark.sdk, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

ROADS = [("anthropic", AnthropicLike, "claude-sonnet-4-5"), ("gemini", GeminiLike, "gemini-2.5-flash")]
roads = pytest.mark.parametrize(("name", "like", "model"), ROADS, ids=["anthropic", "gemini"])


@pytest.fixture
def upstream(like):
    with FakeUpstream(like()) as server:
        yield server


async def _run(url: str, model: str, prompt: str, **options) -> tuple[object, list[str]]:
    """Run an agent with three tools; return its output and the tools it called."""
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    is_stream = options.pop("stream", False)
    called: list[str] = []
    async with openai.AsyncOpenAI(base_url=url, api_key="k", max_retries=0) as client:
        chat = OpenAIChatModel(model, provider=OpenAIProvider(openai_client=client))
        agent = pydantic_ai.Agent(chat, instructions="Use your tools.", **options)

        @agent.tool_plain
        def geocode(place: str) -> dict[str, float]:
            """Find a place."""
            called.append(f"geocode {place}")
            return {"lat": 54.3, "lon": 10.1}

        @agent.tool_plain
        def forecast(days: int, hourly: bool) -> str:
            """Tell the weather."""
            called.append(f"forecast {days} {hourly}")
            return "Sunny"

        async def listen(context, events) -> None:
            async for _ in events:
                pass

        result = await agent.run(prompt, event_stream_handler=listen if is_stream else None)
        return result.output, called


@roads
@pytest.mark.parametrize("stream", [False, True])
def test_an_agent_takes_step_after_step(flow_at, upstream, name, like, model, stream):
    """One tool, its result, the next tool, its result, the answer: three calls of the model, each a row."""
    flow = flow_at(**{name: upstream.url})
    run = _run(f"{flow.proxy_url}/{name}/v1", model, "Weather, one by one please", stream=stream)
    output, called = asyncio.run(run)
    assert output == TEXT
    assert called == ["geocode Kiel", "forecast 2 True"]
    rows = flow.wait_traces(3)
    assert [row["finish_reason"] for row in rows] == ["stop", "tool_calls", "tool_calls"]
    assert all(row["is_stream"] is stream for row in rows)
    assert all(row["status"] == 200 and row["estimated_cost"] > 0 for row in rows)
    last = flow.get(f"/api/traces/{rows[0]['id']}")["messages"]["input"]
    kinds = [part["type"] for message in last for part in message["parts"]]
    assert (kinds.count("tool_call"), kinds.count("tool_result")) == (2, 2)


@roads
def test_an_agent_calls_tools_at_once(flow_at, upstream, name, like, model):
    """Two calls in one answer, both results in the next request."""
    flow = flow_at(**{name: upstream.url})
    output, called = asyncio.run(_run(f"{flow.proxy_url}/{name}/v1", model, "Weather please"))
    assert output == TEXT
    assert sorted(called) == ["forecast 2 True", "geocode Kiel"]
    flow.wait_traces(2)


@roads
def test_an_agent_gives_a_typed_result(flow_at, upstream, name, like, model):
    """A result type by native structured output, after the tools."""
    pydantic = pytest.importorskip("pydantic")

    class Report(pydantic.BaseModel):
        city: str
        days: int

    flow = flow_at(**{name: upstream.url})
    wanted = pydantic_ai.NativeOutput(Report)
    output, _ = asyncio.run(_run(f"{flow.proxy_url}/{name}/v1", model, "Weather please", output_type=wanted))
    assert output == Report(city="Kiel", days=2)
    flow.wait_traces(2)
