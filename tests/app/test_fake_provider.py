"""The demo's provider: it speaks the dialect well enough that nobody can tell."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.client import HTTPConnection, IncompleteRead
from typing import Any

import pytest

from llmflow_web.app.fake_provider import Answer, FakeProvider, prompt_key, usage_of

REQUEST: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hello there"}]}


@pytest.fixture
def answers() -> dict[str, Answer]:
    return {}


@pytest.fixture
def provider(answers: dict[str, Answer]) -> Iterator[FakeProvider]:
    server = FakeProvider(answers, speed=1000)
    server.start()
    yield server
    server.stop()


def ask(
    provider: FakeProvider, request: dict[str, Any], path: str = "/openai/v1/chat/completions"
) -> tuple[int, bytes]:
    connection = HTTPConnection(provider.url.removeprefix("http://"), timeout=60)
    try:
        connection.request("POST", path, json.dumps(request))
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def events(body: bytes) -> list[dict[str, Any]]:
    lines = [line.removeprefix(b"data: ") for line in body.split(b"\n\n") if line]
    assert lines[-1] == b"[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def test_a_whole_answer(provider: FakeProvider, answers: dict[str, Answer]) -> None:
    """A chat call gets text, the model asked for, and usage that adds up."""
    answers[prompt_key(REQUEST)] = Answer("Hi, what can I do?", reasoning_tokens=10)
    status, body = ask(provider, REQUEST)
    value = json.loads(body)
    assert (status, value["model"]) == (200, "m")
    assert value["choices"][0]["message"]["content"] == "Hi, what can I do?"
    usage = value["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 10


def test_a_stream(provider: FakeProvider, answers: dict[str, Answer]) -> None:
    """A stream adds up to the text, and carries usage exactly when it is asked for."""
    answers[prompt_key(REQUEST)] = answer = Answer("One two three.")
    plain = events(ask(provider, REQUEST | {"stream": True})[1])
    assert "".join(e["choices"][0]["delta"].get("content", "") for e in plain) == "One two three."
    assert not any("usage" in event for event in plain)
    asked = REQUEST | {"stream": True, "stream_options": {"include_usage": True}}
    last = events(ask(provider, asked)[1])[-1]
    assert (last["choices"], last["usage"]) == ([], usage_of(REQUEST, answer))


def test_mistral_reports_usage_unasked(provider: FakeProvider, answers: dict[str, Answer]) -> None:
    """As the real one, it puts usage on the last chunk that has a choice."""
    answers[prompt_key(REQUEST)] = Answer("Oui.")
    last = events(ask(provider, REQUEST | {"stream": True}, "/mistral/v1/chat/completions")[1])[-1]
    assert last["choices"]
    assert last["usage"]


def test_tool_calls(provider: FakeProvider, answers: dict[str, Answer]) -> None:
    """Tool calls come with their arguments, whole or in pieces, and end with tool_calls."""
    answers[prompt_key(REQUEST)] = Answer(tool_calls=(("call_1", "look", {"at": "the harbour at dawn"}),))
    choice = json.loads(ask(provider, REQUEST)[1])["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    arguments = choice["message"]["tool_calls"][0]["function"]["arguments"]
    pieces = [
        call["function"]["arguments"]
        for event in events(ask(provider, REQUEST | {"stream": True})[1])
        for call in event["choices"][0]["delta"].get("tool_calls", [])
    ]
    assert len(pieces) > 2
    assert "".join(pieces) == arguments


def test_errors_and_cuts(provider: FakeProvider, answers: dict[str, Answer]) -> None:
    """An error has the dialect's envelope; a cut stream ends without its last chunk."""
    answers[prompt_key(REQUEST)] = Answer("Slow down.", status=429, error_type="rate_limit")
    status, body = ask(provider, REQUEST)
    assert (status, json.loads(body)["error"]["type"]) == (429, "rate_limit")
    answers[prompt_key(REQUEST)] = Answer("One two three four.", cut_after=2)
    with pytest.raises(IncompleteRead):
        ask(provider, REQUEST | {"stream": True})


def test_embeddings(provider: FakeProvider, answers: dict[str, Answer]) -> None:
    """Each input gets a vector."""
    request = {"model": "e", "input": ["a", "b"]}
    answers[prompt_key(request)] = Answer()
    value = json.loads(ask(provider, request, "/openai/v1/embeddings")[1])
    assert [len(row["embedding"]) for row in value["data"]] == [256, 256]


def test_an_unknown_prompt(provider: FakeProvider) -> None:
    """A chat the script does not know gets an answer that says so; all else is a 404."""
    status, body = ask(provider, REQUEST)
    assert status == 200
    assert "demo's own provider" in json.loads(body)["choices"][0]["message"]["content"]
    assert ask(provider, {"model": "e", "input": ["a"]}, "/openai/v1/embeddings")[0] == 404
