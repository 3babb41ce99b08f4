"""An app on OpenAI's SDK under one instrumentation: `openai_app.py INSTRUMENTATION BASE_URL [traced]`.

Each instrumentation patches the SDK, so each has a process of its own. `traced` sends the trace's context along.
"""

from __future__ import annotations

import contextlib
import sys

import openai
from opentelemetry import propagate, trace
from telemetry import telemetry

MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why is the sky blue?"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a place",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
    },
}


def instrument(
    name: str, client: openai.OpenAI, at_end: contextlib.ExitStack
) -> contextlib.AbstractContextManager[object]:
    """Patch the SDK; return what says whose session it is."""
    if name == "openinference":
        from openinference.instrumentation import using_attributes
        from openinference.instrumentation.openai import OpenAIInstrumentor

        OpenAIInstrumentor().instrument()
        return using_attributes(session_id="session-1", user_id="ada", tags=["test"])
    if name == "logfire":
        import logfire

        logfire.instrument_openai(client)
    elif name == "langsmith":
        from langsmith import Client
        from langsmith.wrappers import wrap_openai

        teller = Client()
        wrap_openai(client, tracing_extra={"client": teller})
        at_end.callback(teller.flush)
    else:
        patch(name)
    return contextlib.nullcontext()


def patch(name: str) -> None:
    """Patch the SDK with one of those that call themselves alike."""
    if name == "openllmetry":
        from opentelemetry.instrumentation.openai import OpenAIInstrumentor
    elif name == "openai-v2":
        from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor
    else:
        from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
    OpenAIInstrumentor().instrument()


def chat(client: openai.OpenAI) -> None:
    client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, temperature=0.5)


def streamed(client: openai.OpenAI) -> None:
    options = {"include_usage": True}
    for _ in client.chat.completions.create(
        model="gpt-4o-mini", messages=MESSAGES, stream=True, stream_options=options
    ):
        pass


def twice(client: openai.OpenAI) -> None:
    """Ask, run the tool in a span of its own, ask again."""
    first = client.chat.completions.create(model="gpt-4o", messages=MESSAGES, tools=[WEATHER])
    call = first.choices[0].message.tool_calls[0]
    with trace.get_tracer("app").start_as_current_span("execute_tool get_weather") as span:
        span.set_attribute("gen_ai.operation.name", "execute_tool")
        span.set_attribute("gen_ai.tool.name", call.function.name)
        span.set_attribute("gen_ai.tool.call.id", call.id)
    answer = first.choices[0].message.model_dump(exclude_none=True)
    result = {"role": "tool", "tool_call_id": call.id, "content": "Sunny"}
    client.chat.completions.create(model="gpt-4o", messages=[*MESSAGES, answer, result], tools=[WEATHER])


def responses(client: openai.OpenAI) -> None:
    client.responses.create(model="gpt-4o-mini", instructions="Be brief.", input="Why is the sky blue?")


def vectors(client: openai.OpenAI) -> None:
    client.embeddings.create(model="text-embedding-3-small", input=["a", "b"])


def failing(client: openai.OpenAI) -> None:
    with contextlib.suppress(openai.RateLimitError):
        client.chat.completions.create(model="error-429", messages=MESSAGES)


@contextlib.contextmanager
def by_logfire():
    """Let logfire set the providers up, without an account: it exports to OTEL_EXPORTER_OTLP_ENDPOINT."""
    import logfire

    logfire.configure(send_to_logfire=False, console=False, service_name="logfire app")
    yield
    assert logfire.force_flush(60_000)
    logfire.shutdown()


def main(name: str, url: str, road: str = "") -> None:
    hooks = {"request": [lambda request: propagate.inject(request.headers)]} if road == "traced" else {}
    http = openai.DefaultHttpxClient(event_hooks=hooks)
    client = openai.OpenAI(base_url=url, api_key="sk-test", max_retries=0, http_client=http)
    providers = by_logfire() if name == "logfire" else telemetry(f"{name} app")
    with providers, client, contextlib.ExitStack() as at_end:
        session = instrument(name, client, at_end)
        for step in (chat, streamed, twice, responses, vectors, failing):
            with session, trace.get_tracer("app").start_as_current_span(f"ask {step.__name__}"):
                step(client)


if __name__ == "__main__":
    main(*sys.argv[1:])
