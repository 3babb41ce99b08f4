"""An agent on pydantic-ai: `agent_app.py plain|logfire BASE_URL`, told by its own OpenTelemetry or by logfire."""

from __future__ import annotations

import asyncio
import sys

import openai
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from telemetry import telemetry


async def ask(url: str) -> None:
    async with openai.AsyncOpenAI(base_url=url, api_key="sk-test", max_retries=0) as client:
        model = OpenAIChatModel("gpt-4o", provider=OpenAIProvider(openai_client=client))
        agent = Agent(model, name="weather", instructions="Be brief.")

        @agent.tool_plain
        def get_weather(place: str) -> str:
            """Weather of a place."""
            return f"Sunny in {place}"

        await agent.run("How is the weather?", conversation_id="conversation-1")


def plain(url: str) -> None:
    """Instrument as pydantic-ai's documentation says for any OpenTelemetry backend."""
    from pydantic_ai.models.instrumented import InstrumentationSettings

    with telemetry("agent app") as (spans, _logs, _meters):
        Agent.instrument_all(InstrumentationSettings(tracer_provider=spans))
        asyncio.run(ask(url))


def by_logfire(url: str) -> None:
    """Let logfire instrument, without an account: it exports to OTEL_EXPORTER_OTLP_ENDPOINT."""
    import logfire

    logfire.configure(send_to_logfire=False, service_name="agent app", console=False)
    logfire.instrument_pydantic_ai()
    with logfire.span("ask about {what}", what="the weather"):
        asyncio.run(ask(url))
        logfire.info("asked about {what}", what="the weather")
    assert logfire.force_flush(60_000)
    logfire.shutdown()


if __name__ == "__main__":
    {"plain": plain, "logfire": by_logfire}[sys.argv[1]](sys.argv[2])
