"""The calls every provider's OpenAI route is proved with: made through the official SDK, told as plain values."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import openai

KEY = "sk-test-THISKEYMUSTNOTBESTORED0123456789"
MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why is the sky blue?"}]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": f"The {what} of a place",
            "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
        },
    }
    for name, what in (("get_weather", "weather"), ("get_time", "time"))
]
SCHEMA = {
    "type": "object",
    "properties": {"answer": {"type": "string"}},
    "required": ["answer"],
    "additionalProperties": False,
}
PNG = base64.b64encode(
    base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
).decode()
IMAGE = [
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
        ],
    }
]


@contextmanager
def client_at(url: str, **options: Any) -> Iterator[openai.OpenAI]:
    """Open an OpenAI client that does not retry, and close it."""
    with openai.OpenAI(base_url=url, api_key=KEY, max_retries=0, **options) as client:
        yield client


def streamed(client: openai.OpenAI, **fields: Any) -> list[Any]:
    """Return all chunks of a streamed chat."""
    with client.chat.completions.create(stream=True, **fields) as stream:
        return list(stream)


def said(chunks: list[Any]) -> str:
    """Return the text of a stream."""
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


def called(chunks: list[Any]) -> list[tuple[str, str, str]]:
    """Return the tool calls of a stream as (id, name, arguments), put together by their index."""
    found: dict[int, list[str]] = {}
    for chunk in chunks:
        for choice in chunk.choices:
            for call in choice.delta.tool_calls or ():
                known = found.setdefault(call.index, ["", "", ""])
                known[0] = known[0] or call.id or ""
                known[1] = known[1] or call.function.name or ""
                known[2] += call.function.arguments or ""
    return [(call_id, name, arguments) for call_id, name, arguments in found.values()]


def finish_of(chunks: list[Any]) -> str | None:
    """Return the one finish reason of a stream."""
    (reason,) = [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]
    return reason


def tool_loop(client: openai.OpenAI, model: str, *, stream: bool = False) -> tuple[list[tuple[str, str, str]], str]:
    """Ask with tools, answer all calls, ask again; return the calls and the last text."""
    if stream:
        calls = called(streamed(client, model=model, messages=MESSAGES, tools=TOOLS))
    else:
        asked = client.chat.completions.create(model=model, messages=MESSAGES, tools=TOOLS).choices[0]
        assert asked.finish_reason == "tool_calls"
        calls = [(call.id, call.function.name, call.function.arguments) for call in asked.message.tool_calls]
    made = [{"id": i, "type": "function", "function": {"name": n, "arguments": a}} for i, n, a in calls]
    results = [{"role": "tool", "tool_call_id": i, "content": f"Sunny in {n}"} for i, n, _ in calls]
    messages = [*MESSAGES, {"role": "assistant", "content": None, "tool_calls": made}, *results]
    if stream:
        return calls, said(streamed(client, model=model, messages=messages, tools=TOOLS))
    last = client.chat.completions.create(model=model, messages=messages, tools=TOOLS)
    return calls, last.choices[0].message.content


def kinds_of(messages: list[dict[str, Any]]) -> list[str]:
    """List the kinds of all parts of recorded messages."""
    return [part["type"] for message in messages for part in message["parts"]]
