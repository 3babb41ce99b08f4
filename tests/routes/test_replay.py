"""Replay: a recorded call once more, through our own proxy, as it was, edited, or by another provider."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from anthropic_server import AnthropicLike
from fake_upstream import FakeUpstream, answer
from gemini_like import GeminiLike

import llmflow

PATIENCE_S = 60.0
TOOL = {
    "type": "function",
    "function": {
        "name": "weather", "description": "Look it up", "parameters": {"type": "object", "properties": {"city": {}}},
    },
}  # fmt: skip
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}
ASKED = {
    "model": "gpt-4o-mini",
    "temperature": 0.5,
    "tools": [TOOL],
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Weather in Oslo?"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "3 degrees"},
    ],
}


def send(method: str, url: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    """Send JSON past any proxy; return status and parsed body."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    data = None if body is None else json.dumps(body).encode()
    told = {"Content-Type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    try:
        with opener.open(urllib.request.Request(url, data, told, method=method), timeout=PATIENCE_S) as answered:
            text = answered.read()
            return answered.status, json.loads(text) if text[:1] in b"{[" else text
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


class House:
    """A LLMFlow before three fake providers."""

    def __init__(self, flow: llmflow.Flow, openai: FakeUpstream, anthropic: FakeUpstream, gemini: FakeUpstream) -> None:
        self.flow, self.openai, self.anthropic, self.gemini = flow, openai, anthropic, gemini

    def record(self, path: str, body: Any, **headers: str) -> dict[str, Any]:
        """Send a call and return its row."""
        key = {"/v1": ("Authorization", "Bearer sk-old"), "/a": ("x-api-key", "old"), "/g": ("x-goog-api-key", "old")}
        name, value = key[path[:3] if path.startswith("/v1") else path[:2]]
        status, told = send("POST", self.flow.proxy_url + path, body, **{name: value}, **headers)
        assert status == 200, told
        return self.flow.calls()[-1]

    def replay(self, key: str, edit: Any = None, **headers: str) -> tuple[int, Any]:
        """Replay a call and wait for its end."""
        keys = {"X_LLMFlow_Key": "sk-new"} | headers
        return send("POST", f"{self.flow.dashboard_url}/api/traces/{key}/replay?wait=1", edit or {}, **keys)

    def plan(self, key: str, query: str = "") -> tuple[int, Any]:
        """Ask what would be sent."""
        return send("GET", f"{self.flow.dashboard_url}/api/traces/{key}/replay{query}")


@pytest.fixture(scope="module")
def servers() -> Iterator[House]:
    with FakeUpstream.openai() as one, FakeUpstream(AnthropicLike()) as two, FakeUpstream(GeminiLike()) as three:
        urls = {"openai": one.url, "anthropic": two.url, "gemini": three.url}
        with llmflow.serve(upstreams=urls, env={}) as flow:
            yield House(flow, one, two, three)


def test_as_it_was(servers: House) -> None:
    """Nothing edited: the same bytes go to the same place, the new row says what it repeats, the key is the new one."""
    first = servers.record("/v1/chat/completions", ASKED, X_LLMFlow_Tag="a")
    status, told = servers.replay(first["id"])
    assert (status, told["status"], told["is_finished"]) == (200, 200, True)
    sent, again = servers.openai.requests[-2:]
    assert again.body == sent.body
    assert again.header("authorization") == "Bearer sk-new"
    row = servers.flow.call(told["id"])["trace"]
    assert (row["replay_of"], row["trace_id"], row["tags"]) == (first["id"], told["trace_id"], ["a"])
    assert row["trace_id"] != first["trace_id"]


def test_edited(servers: House) -> None:
    """Model, parameters, messages, stream and tags change what is sent; null takes a parameter out."""
    first = servers.record("/v1/chat/completions", ASKED)
    edit = {"model": "gpt-4o", "parameters": {"temperature": None, "top_p": 0.1}, "stream": True, "tags": ["try"],
            "messages": [{"role": "user", "content": "Hi"}]}  # fmt: skip
    status, told = servers.replay(first["id"], edit)
    assert status == 200
    sent = servers.openai.requests[-1].json()
    assert (sent["model"], sent["top_p"], sent["messages"]) == ("gpt-4o", 0.1, edit["messages"])
    assert "temperature" not in sent
    row = servers.flow.call(told["id"])["trace"]
    assert (row["is_stream"], row["tags"]) == (True, ["try"])


def test_a_tool_conversation_by_another_provider(servers: House) -> None:
    """A recorded OpenAI conversation with tools is asked of Anthropic in its own words, and the diff shows both."""
    first = servers.record("/v1/chat/completions", ASKED)
    assert "model" in servers.replay(first["id"], {"provider": "anthropic"})[1]["error"]
    status, told = servers.replay(first["id"], {"provider": "anthropic", "model": "claude-sonnet-4-5"})
    assert (status, told["status"]) == (200, 200)
    sent = servers.anthropic.requests[-1].json()
    assert sent["model"] == "claude-sonnet-4-5"
    assert sent["tools"][0]["name"] == "weather"
    blocks = [
        block["type"] for turn in sent["messages"] if isinstance(turn["content"], list) for block in turn["content"]
    ]
    assert blocks[-2:] == ["tool_use", "tool_result"]
    diff = send("GET", f"{servers.flow.dashboard_url}/api/diff?a={first['id']}&b={told['id']}")[1]
    told_apart = json.dumps(diff["parameters"])
    assert "gpt-4o-mini" in told_apart
    assert "claude-sonnet-4-5" in told_apart


def test_native_calls(servers: House) -> None:
    """Anthropic's and Gemini's own calls are repeated in their own words; by another provider as a chat."""
    said = {"model": "claude-sonnet-4-5", "max_tokens": 100, "system": "Be brief.", "stop_sequences": ["END"],
            "tools": [{"name": "weather", "description": "d", "input_schema": {"type": "object"}}],
            "messages": [{"role": "user", "content": "Weather?"},
                         {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "weather",
                                                            "input": {"city": "Oslo"}}]},
                         {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "3"}]}]}  # fmt: skip
    first = servers.record("/anthropic/v1/messages", said, anthropic_version="2023-06-01", anthropic_beta="b1")
    status, told = servers.replay(first["id"], {"parameters": {"temperature": 0}})
    assert status == 200
    again = servers.anthropic.requests[-1]
    assert again.json() == {**said, "temperature": 0}
    assert (again.header("anthropic-beta"), again.header("x-api-key")) == ("b1", "sk-new")
    status, told = servers.replay(first["id"], {"provider": "openai", "model": "gpt-4o"})
    assert status == 200
    sent = servers.openai.requests[-1].json()
    assert [message["role"] for message in sent["messages"]] == ["system", "user", "assistant", "tool"]
    (asked,) = sent["messages"][2]["tool_calls"]
    assert (asked["id"], json.loads(asked["function"]["arguments"])) == ("t1", {"city": "Oslo"})
    assert (sent["stop"], sent["max_tokens"], sent["tools"][0]["function"]["name"]) == (["END"], 100, "weather")
    assert told["notes"] == []


def test_gemini(servers: House) -> None:
    """The model stands in Gemini's path, and the query goes along."""
    said = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}], "generationConfig": {"temperature": 0.2}}
    path = "/gemini/v1beta/models/gemini-2.0-flash:streamGenerateContent?alt=sse"
    first = servers.record(path, said)
    assert servers.replay(first["id"], {"model": "gemini-2.5-pro"})[0] == 200
    assert servers.gemini.requests[-1].target == "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse"
    assert servers.gemini.requests[-1].json() == said
    plan = servers.plan(first["id"], "?provider=openai&model=gpt-4o")[1]
    assert plan["body"] == {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}], "temperature": 0.2}
    assert plan["is_translated"]
    assert {"openai", "anthropic", "gemini"} <= set(plan["providers"])
    assert plan["has_key"] is False


def test_a_span_of_others(servers: House) -> None:
    """A span that telemetry brought can be asked of a provider, from its messages."""
    messages = [{"role": "user", "parts": [{"type": "text", "content": "Hello"}]}]
    attributes = [
        {"key": name, "value": {"stringValue": value}}
        for name, value in {
            "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o",
            "gen_ai.input.messages": json.dumps(messages),
        }.items()
    ]  # fmt: skip
    one = {"traceId": "c" * 32, "spanId": "d" * 16, "name": "chat", "startTimeUnixNano": "1", "endTimeUnixNano": "2",
           "attributes": attributes}  # fmt: skip
    told = {"resourceSpans": [{"scopeSpans": [{"spans": [one]}]}]}
    assert send("POST", servers.flow.dashboard_url + "/v1/traces", told)[0] == 200
    status, _ = servers.replay("d" * 16)
    assert status == 200
    assert servers.openai.requests[-1].json() == {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.mark.parametrize(
    ("edit", "param"),
    [
        ({"temperature": 1}, "temperature"), ({"provider": "nobody"}, "provider"), ({"messages": "hi"}, "messages"),
        ({"stream": 1}, "stream"), ({"tags": [1]}, "tags"), ({"body": []}, "body"),
    ],
)  # fmt: skip
def test_what_cannot_be(servers: House, edit: Any, param: str) -> None:
    """A wrong edit is a 400 that names its member; nothing is sent."""
    first = servers.record("/v1/chat/completions", ASKED)
    count = len(servers.openai.requests)
    status, told = servers.replay(first["id"], edit)
    assert status == 400
    assert param in json.dumps(told)
    assert len(servers.openai.requests) == count


def test_what_is_not_there(servers: House) -> None:
    """No trace: 404. A call without its body: 400 that says so, unless the body comes along."""
    assert servers.replay("nobody")[0] == 404
    first = servers.record("/v1/chat/completions", ASKED, X_LLMFlow_Record="meta")
    status, told = servers.replay(first["id"])
    assert status == 400
    assert "body" in json.dumps(told)
    assert servers.replay(first["id"], {"body": {"model": "m", "messages": []}})[0] == 200
    assert servers.openai.requests[-1].json() == {"model": "m", "messages": []}


def test_a_step_is_no_call(servers: House) -> None:
    """A span without a provider cannot be sent by itself, and says what can."""
    step = {"span_type": "agent", "span_name": "step", "input": {"q": 1}}
    key = send("POST", servers.flow.dashboard_url + "/api/spans", step)[1]["id"]
    status, told = servers.replay(key)
    assert (status, "no call of a model" in json.dumps(told)) == (400, True)


def test_an_error_is_a_call_too(servers: House) -> None:
    """What the provider refuses is recorded and told; an upstream that is down is a 502."""
    first = servers.record("/v1/chat/completions", ASKED)
    servers.openai.script(answer(401, body=b'{"error":{"message":"no","type":"x","param":null,"code":null}}'))
    status, told = servers.replay(first["id"])
    assert (status, told["status"]) == (200, 401)
    assert servers.flow.call(told["id"])["trace"]["replay_of"] == first["id"]
