"""Ollama: its own API read from NDJSON and whole answers, beside the OpenAI dialect."""

import json

import pytest
from adapter_help import CUTS, body_of, facts, figures, json_values, run, stream_of
from hypothesis import given, settings
from hypothesis import strategies as st
from llmflow_web.providers.ollama import OLLAMA

from llmflow_web.model import Completion
from llmflow_web.provider import Event

CHAT = {"model": "qwen3:8b", "messages": [{"role": "user", "content": "?"}]}
CASES = {"chat": "chat", "chat_tools": "chat", "generate": "text_completion"}


@pytest.mark.parametrize(
    ("method", "path", "body", "operation", "span_type", "is_stream"),
    [
        ("POST", "/api/chat", CHAT, "chat", "llm", True),
        ("POST", "/api/chat", {**CHAT, "stream": False}, "chat", "llm", False),
        ("POST", "/api/chat", {"model": "m"}, "load", "custom", True),
        ("POST", "/api/generate", {"model": "m", "prompt": "x"}, "text_completion", "llm", True),
        ("POST", "/api/generate", {"model": "m", "keep_alive": 0}, "load", "custom", True),
        ("POST", "/api/embed", {"model": "m", "input": "x"}, "embeddings", "embedding", False),
        ("POST", "/api/embeddings", {"model": "m", "prompt": "x"}, "embeddings", "embedding", False),
        ("POST", "/api/pull", {"model": "m"}, "pull", "custom", True),
        ("POST", "/api/web_search", {"query": "x"}, "web_search", "tool", False),
        ("GET", "/api/tags", {}, "tags", "custom", False),
        ("DELETE", "/api/delete", {"name": "m"}, "delete", "custom", False),
        ("POST", "/v1/chat/completions", CHAT, "chat", "llm", False),
        ("POST", "/v1/embeddings", {"model": "m"}, "embeddings", "embedding", False),
    ],
)
def test_what_is_asked(method, path, body, operation, span_type, is_stream):
    """Native generations stream unless told not to; loading a model is no generation."""
    native = OLLAMA.native(method, path, body)
    assert (native.operation, native.span_type, native.is_stream) == (operation, span_type, is_stream)
    assert OLLAMA.is_native(path) is path.startswith("/api/")


@pytest.mark.parametrize("name", CASES)
def test_streamed_is_not_streamed(name):
    """Lines put together are the answer not streamed, counters and all."""
    machine = OLLAMA.stream(CASES[name], CHAT)
    assert run(machine, stream_of(f"ollama/{name}")) == []
    body = body_of(f"ollama/{name}")
    assert facts(machine.result) == facts(OLLAMA.answer(CASES[name], CHAT, body))
    made = dict(machine.result.body)
    assert made.pop("_streaming") is True
    assert made.pop("_chunks") == machine.count
    assert made == body
    assert machine.is_complete


@pytest.mark.parametrize("name", CASES)
@given(cuts=CUTS)
@settings(max_examples=20, deadline=None)
def test_any_cut(name, cuts):
    """However the bytes come, the answer is the same."""
    data = stream_of(f"ollama/{name}")
    whole, machine = OLLAMA.stream(CASES[name], CHAT), OLLAMA.stream(CASES[name], CHAT)
    run(whole, data)
    run(machine, data, *cuts)
    assert machine.result.body == whole.result.body
    assert (machine.count, machine.first_content) == (whole.count, whole.first_content)


@pytest.mark.parametrize("name", CASES)
def test_every_prefix_can_be_finished(name):
    """A stream cut anywhere gives an answer whose text only grows."""
    data, last = stream_of(f"ollama/{name}"), ""
    for end in range(0, len(data), 7):
        machine = OLLAMA.stream(CASES[name], CHAT)
        run(machine, data[:end])
        assert machine.result.text.startswith(last)
        last = machine.result.text


def test_chat():
    """Text, thoughts, model and the counters, with the timing in the raw usage."""
    found = OLLAMA.answer("chat", CHAT, body_of("ollama/chat"))
    assert (found.text, found.reasoning) == ("Der Himmel ist blau 🌤", "Short answer.")
    assert (found.model, found.finish_reason) == ("qwen3:8b", "stop")
    assert figures(found.usage) == {"prompt_tokens": 26, "completion_tokens": 12, "total_tokens": 38}
    assert found.usage.raw["eval_duration"] == 4535599000
    assert found.usage.raw["load_duration"] == 1334875


def test_tool_calls():
    """Arguments are objects and become text; ids are there only from newer servers."""
    found = OLLAMA.answer("chat", CHAT, body_of("ollama/chat_tools"))
    assert found.tool_calls == [
        {"id": "", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Kiel"}'}},
        {"id": "call_9", "type": "function", "function": {"name": "time", "arguments": '{"zone": "CET"}'}},
    ]
    assert found.finish_reason == "tool_calls"


def test_generate():
    """The text is in `response`, the end in `done_reason`."""
    found = OLLAMA.answer("text_completion", {}, body_of("ollama/generate"))
    assert (found.text, found.finish_reason) == ("def f(): pass", "length")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"message": {}, "done": True, "eval_count": 5}, {"completion_tokens": 5, "total_tokens": 5}),
        (body_of("ollama/embed"), {"prompt_tokens": 8, "total_tokens": 8}),
        ({"usage": {"prompt_tokens": 1, "completion_tokens": 2}, "choices": []},
         {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}),
    ],
)  # fmt: skip
def test_usage(body, expected):
    """A prompt wholly in the cache is not counted, embeddings have no output, the dialect has its own words."""
    assert figures(OLLAMA.usage(body, {})) == expected


@pytest.mark.parametrize("body", [{"done": True, "done_reason": "load"}, {"embedding": [0.1]}, {"models": []}])
def test_no_usage_is_none(body):
    """Where nothing is counted nothing is made up."""
    assert OLLAMA.usage(body, {}) is None


@pytest.mark.parametrize(
    ("name", "index"), [("chat", 0), ("chat_tools", 0), ("generate", 0)]
)  # fmt: skip
def test_first_content(name, index):
    """The first line brings content already."""
    machine = OLLAMA.stream(CASES[name], CHAT)
    run(machine, stream_of(f"ollama/{name}"))
    assert machine.first_content == index


def test_an_error_inside_a_stream():
    """A line with an error ends the stream; what came before is kept."""
    line, _, _ = stream_of("ollama/generate").partition(b"\n")
    machine = OLLAMA.stream("text_completion", {})
    run(machine, line + b'\n{"error":"model runner has stopped"}\n')
    assert (machine.result.text, machine.result.error) == ("def", "model runner has stopped")
    assert not machine.is_complete
    assert OLLAMA.error(404, {"error": "model 'x' not found"}) == "model 'x' not found"


def test_a_stream_that_is_only_an_error():
    """Even the first line may be one."""
    machine = OLLAMA.stream("chat", CHAT)
    run(machine, b'{"error":"no"}\n')
    assert machine.result.error == "no"


def test_the_dialect_streams_too():
    """Under /v1 the events are OpenAI's."""
    machine = OLLAMA.stream("chat", CHAT)
    run(machine, stream_of("openai/chat_text"))
    expected = OLLAMA.answer("chat", CHAT, body_of("openai/chat_text"))
    assert facts(machine.result) == facts(expected)
    assert machine.is_complete


def test_pulls():
    """Lines about progress are no answer, and complete with a success only."""
    machine = OLLAMA.stream("pull", {})
    run(machine, b'{"status":"pulling","total":5,"completed":1}\n')
    assert not machine.is_complete
    run(machine, b'{"status":"success"}\n')
    assert machine.is_complete
    assert (machine.count, machine.first_content, machine.result.text) == (2, None, "")


@pytest.mark.parametrize(
    ("model", "is_free"), [("qwen3:8b", None), ("gpt-oss:120b-cloud", False), ("glm-4.6:cloud", False), (None, None)]
)
def test_the_cloud_is_not_free(model, is_free):
    """A local server hands models of the cloud on to it."""
    assert OLLAMA.is_free(model, {}) is is_free


NAMES = ("model", "message", "role", "content", "thinking", "response", "tool_calls", "function", "name", "arguments",
         "done", "done_reason", "eval_count", "prompt_eval_count", "error", "choices", "logprobs", "image", "messages",
         "prompt", "stream")  # fmt: skip


@given(st.lists(json_values(*NAMES), max_size=5), json_values(*NAMES))
@settings(max_examples=400, deadline=None)
def test_nothing_foreign_raises(lines, body):
    """Whatever comes, the machine goes on and can be asked; whole answers and requests neither."""
    machine = OLLAMA.stream("chat", CHAT)
    for line in lines:
        machine.feed(Event("message", json.dumps(line)))
    machine.finish()
    assert isinstance(machine.result, Completion)
    body = body if isinstance(body, dict) else {"message": body}
    OLLAMA.answer("chat", body, body)
    OLLAMA.error(500, body)
    for resource in ("chat", "generate", "embed", "pull"):
        OLLAMA.native("POST", f"/api/{resource}", body)
