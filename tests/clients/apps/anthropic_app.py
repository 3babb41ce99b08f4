"""An app on Anthropic's SDK under one instrumentation: `anthropic_app.py INSTRUMENTATION BASE_URL`."""

from __future__ import annotations

import contextlib
import sys

import anthropic
from opentelemetry import trace
from telemetry import telemetry

MODEL = "claude-sonnet-4-5"
ASKED = [{"role": "user", "content": "How is the weather in Kiel?"}]
WEATHER = {
    "name": "get_weather",
    "description": "Weather of a place",
    "input_schema": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
}


def instrument(name: str) -> contextlib.AbstractContextManager[object]:
    """Patch the SDK; return what says whose session it is."""
    if name == "openinference":
        from openinference.instrumentation import using_attributes
        from openinference.instrumentation.anthropic import AnthropicInstrumentor

        AnthropicInstrumentor().instrument()
        return using_attributes(session_id="session-1", user_id="ada", tags=["test"])
    if name == "openllmetry":
        from opentelemetry.instrumentation.anthropic import AnthropicInstrumentor
    else:
        from opentelemetry.instrumentation.genai.anthropic import AnthropicInstrumentor
    AnthropicInstrumentor().instrument()
    return contextlib.nullcontext()


def chat(client: anthropic.Anthropic) -> None:
    client.messages.create(model=MODEL, max_tokens=900, system="Be brief.", messages=ASKED)


def streamed(client: anthropic.Anthropic) -> None:
    for _ in client.messages.create(model=MODEL, max_tokens=900, system="Be brief.", messages=ASKED, stream=True):
        pass


def twice(client: anthropic.Anthropic) -> None:
    """Ask, run the tool in a span of its own, ask again."""
    first = client.messages.create(model=MODEL, max_tokens=900, messages=ASKED, tools=[WEATHER])
    call = first.content[-1]
    with trace.get_tracer("app").start_as_current_span("execute_tool get_weather") as span:
        span.set_attribute("gen_ai.operation.name", "execute_tool")
        span.set_attribute("gen_ai.tool.name", call.name)
        span.set_attribute("gen_ai.tool.call.id", call.id)
    answer = {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in first.content]}
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "Sunny"}]}
    client.messages.create(model=MODEL, max_tokens=900, messages=[*ASKED, answer, result], tools=[WEATHER])


def failing(client: anthropic.Anthropic) -> None:
    with contextlib.suppress(anthropic.RateLimitError):
        client.messages.create(model="error-429", max_tokens=900, messages=ASKED)


def main(name: str, url: str) -> None:
    with telemetry(f"{name} app"), anthropic.Anthropic(base_url=url, api_key="sk-test", max_retries=0) as client:
        session = instrument(name)
        for step in (chat, streamed, twice, failing):
            with session, trace.get_tracer("app").start_as_current_span(f"ask {step.__name__}"):
                step(client)


if __name__ == "__main__":
    main(*sys.argv[1:])
