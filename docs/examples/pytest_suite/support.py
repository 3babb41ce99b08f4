"""A small support agent: it may look an order up before it answers. The program under test."""

from __future__ import annotations

import json
from collections.abc import Iterator

from openai import OpenAI

ORDERS = {"A-17": {"status": "sent", "carrier": "DHL", "arrives": "Thursday"}}
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "look_up_order",
            "description": "Look an order up by its number.",
            "parameters": {
                "type": "object",
                "properties": {"number": {"type": "string"}},
                "required": ["number"],
            },
        },
    }
]


def answer(question: str) -> str:
    """Answer a customer, with as many looks at orders as the model wants."""
    messages: list = [{"role": "system", "content": "Be kind and brief."}, {"role": "user", "content": question}]
    with OpenAI() as client:
        while True:
            reply = client.chat.completions.create(model="gpt-4o-mini", messages=messages, tools=TOOLS)
            message = reply.choices[0].message
            if not message.tool_calls:
                return message.content or ""
            messages.append(message.model_dump(exclude_none=True))
            for call in message.tool_calls:
                order = ORDERS.get(json.loads(call.function.arguments)["number"], {"status": "unknown"})
                messages.append({"role": "tool", "tool_call_id": call.id, "content": json.dumps(order)})


def summary(text: str) -> Iterator[str]:
    """Sum a conversation up, word by word."""
    messages: list = [{"role": "user", "content": f"Sum this up in one sentence:\n\n{text}"}]
    with OpenAI() as client:
        for chunk in client.chat.completions.create(model="gpt-4o-mini", messages=messages, stream=True):
            yield from (choice.delta.content for choice in chunk.choices if choice.delta.content)
