"""Every shape of chat an OpenAI client sends is accepted by upstreams that refuse what the real APIs refuse."""

from __future__ import annotations

import json

import pytest
from anthropic_server import AnthropicLike
from fake_upstream import FakeUpstream
from gemini_like import GeminiLike
from routes.proxy_rig import ProxyRig, post

MODELS = {
    "anthropic": ("claude-sonnet-4-5", "claude-opus-4-6", "claude-opus-5-5", "claude-3-5-haiku-20241022"),
    "gemini": ("gemini-2.5-flash", "gemini-2.5-pro", "gemini-3-pro-preview", "gemini-2.0-flash"),
}
PLACE = {
    "type": "object",
    "properties": {"place": {"type": "string"}, "days": {"anyOf": [{"type": "integer"}, {"type": "null"}]}},
    "required": ["place"],
    "$defs": {"unused": {"type": "string"}},
}
NUMBER = {"type": "object", "properties": {"number": {"type": "integer", "minimum": 1}}}
MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]


def tool(name: str) -> dict:
    return {"type": "function", "function": {"name": name, "description": "What it does", "parameters": PLACE}}


def calling(*ids: str, arguments: str = "{}", **more) -> dict:
    function = {"name": "f", "arguments": arguments}
    calls = [{"id": call_id, "type": "function", "function": function} for call_id in ids]
    return {"role": "assistant", "tool_calls": calls, **more}


def result(call_id: str, content: object) -> dict:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def user(*parts: object) -> list[dict]:
    return [{"role": "user", "content": list(parts)}]


TEXT = {"type": "text", "text": "What is this?"}
TOOLS = {"tools": [tool("f")]}
SCHEMA = {"response_format": {"type": "json_schema", "json_schema": {"name": "number", "schema": NUMBER}}}

CHATS = {
    "developer later": {
        "messages": [*MESSAGES, {"role": "assistant", "content": "Ok"}, {"role": "developer", "content": "Mind"},
                     {"role": "user", "content": "Go"}],
    },
    "system only": {"messages": MESSAGES[:1]},
    "assistant first": {"messages": [{"role": "assistant", "content": "Me first"}, {"role": "user", "content": "x"}]},
    "prefill": {"messages": [*MESSAGES, {"role": "assistant", "content": "Once  "}]},
    "empty user": {"messages": [{"role": "user", "content": ""}]},
    "blank part": {"messages": user(TEXT, {"type": "text", "text": " "})},
    "empty assistant": {"messages": [*MESSAGES, {"role": "assistant", "content": ""}, {"role": "user", "content": "x"}]},
    "two users": {"messages": [*MESSAGES, {"role": "user", "content": "And"}]},
    "odd call id": {"messages": [*MESSAGES, calling("call:1/2", arguments=""), result("call:1/2", "r")], **TOOLS},
    "broken arguments": {
        "messages": [*MESSAGES, calling("c1", arguments="{bad", content="I try"),
                     result("c1", [{"type": "text", "text": "r"}]), {"role": "user", "content": "And?"}],
        **TOOLS,
    },
    "results out of order": {
        "messages": [*MESSAGES, calling("c1", "c2"), result("c2", "two"), result("c1", "")], **TOOLS,
    },
    "results without tools": {"messages": [*MESSAGES, calling("c1"), result("c1", "r")]},
    "tool without parameters": {"messages": MESSAGES, "tools": [{"type": "function", "function": {"name": "f"}}]},
    "tool required": {"messages": MESSAGES, **TOOLS, "tool_choice": "required"},
    "tool named": {
        "messages": MESSAGES, "tools": [tool("f"), tool("g")],
        "tool_choice": {"type": "function", "function": {"name": "g"}},
    },
    "tools forbidden": {"messages": MESSAGES, **TOOLS, "tool_choice": "none"},
    "tools allowed": {
        "messages": MESSAGES, "tools": [tool("f"), tool("g")],
        "tool_choice": {"type": "allowed_tools", "allowed_tools": {
            "mode": "auto", "tools": [{"type": "function", "function": {"name": "g"}}]}},
    },
    "one call at a time": {"messages": MESSAGES, **TOOLS, "parallel_tool_calls": False},
    "functions": {"messages": MESSAGES, "functions": [tool("f")["function"]], "function_call": "auto"},
    "function messages": {
        "messages": [*MESSAGES, {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
                     {"role": "function", "name": "f", "content": "r"}],
        "functions": [tool("f")["function"]],
    },
    "json object": {"messages": MESSAGES, "response_format": {"type": "json_object"}},
    "schema with tools": {"messages": MESSAGES, **TOOLS, **SCHEMA},
    "sampling": {
        "messages": MESSAGES, "temperature": 1.7, "top_p": 0.5, "presence_penalty": 0.1, "frequency_penalty": 0.1,
        "stop": ["END", " "], "max_completion_tokens": 50, "seed": 4,
    },
    "much thinking, few tokens": {"messages": MESSAGES, "reasoning_effort": "high", "max_tokens": 100},
    "thinking, tool required": {"messages": MESSAGES, "reasoning_effort": "high", **TOOLS, "tool_choice": "required"},
    "no thinking": {"messages": MESSAGES, "reasoning_effort": "none"},
    "thinking and sampling": {"messages": MESSAGES, "reasoning_effort": "low", "temperature": 0.2, "top_p": 0.9},
    "logprobs": {"messages": MESSAGES, "logprobs": True, "top_logprobs": 2},
    "labels": {"messages": MESSAGES, "user": "u1", "metadata": {"a": "b"}, "store": True, "service_tier": "auto"},
    "image by URL": {
        "messages": user(TEXT, {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}}),
    },
    "file": {
        "messages": user(TEXT, {"type": "file", "file": {
            "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}}),
    },
    "refusal": {
        "messages": [*MESSAGES, {"role": "assistant", "content": None, "refusal": "No"}, {"role": "user", "content": "x"}],
    },
    "web search": {"messages": MESSAGES, "web_search_options": {}},
}  # fmt: skip


@pytest.fixture(scope="module")
def rig():
    with (
        FakeUpstream(AnthropicLike()) as anthropic,
        FakeUpstream(GeminiLike()) as gemini,
        ProxyRig({"anthropic": anthropic.url, "gemini": gemini.url}) as proxy,
    ):
        yield proxy


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("provider", "model"), [(name, model) for name, rows in MODELS.items() for model in rows])
@pytest.mark.parametrize("name", CHATS)
def test_a_chat_is_accepted(rig, name, provider, model, stream):
    """The translated request breaks no rule of the API, whichever model it is for, and the answer is whole."""
    body = json.dumps({"model": model, "stream": stream, **CHATS[name]}).encode()
    text = rig.ask(post(f"/{provider}/v1/chat/completions", body, "Authorization: Bearer k"))
    assert text.startswith(b"HTTP/1.1 200"), text[-500:]
    assert b"[DONE]" in text if stream else b'"finish_reason"' in text


@pytest.mark.parametrize("provider", MODELS)
@pytest.mark.parametrize(
    "messages",
    [[*MESSAGES, calling("c1"), {"role": "user", "content": "Never mind"}], [*MESSAGES, result("c9", "r")]],
    ids=["a call without its result", "a result without its call"],
)
def test_what_openai_refuses_too_is_a_400(rig, provider, messages):
    """Conversations that no API takes are refused, here or there, in OpenAI's shape."""
    body = json.dumps({"model": MODELS[provider][0], "messages": messages, **TOOLS}).encode()
    text = rig.ask(post(f"/{provider}/v1/chat/completions", body, "Authorization: Bearer k"))
    assert text.startswith(b"HTTP/1.1 400")
    assert json.loads(text.partition(b"\r\n\r\n")[2])["error"]["type"] == "invalid_request_error"
