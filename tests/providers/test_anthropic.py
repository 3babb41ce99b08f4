"""Anthropic's answers and streams, as an OpenAI client and as the record see them."""

import json
from pathlib import Path

import pytest
from adapter_help import CUTS, body_of, facts, figures, json_values, put_together, run, stream_of
from anthropic_like import complaint
from hypothesis import given, settings
from hypothesis import strategies as st
from llmflow_web.providers.anthropic import ANTHROPIC
from openai.types import Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from llmflow_web.model import Completion, Usage
from llmflow_web.provider import Event, Native, Target
from llmflow_web.record.price_table import table_from
from llmflow_web.record.pricing import PriceBook
from llmflow_web.registry import PROVIDERS

CHAT = ANTHROPIC.operations["chat"]
OPENAI = next(row for row in PROVIDERS if row.name == "openai")
TARGET = Target("https://api.anthropic.com")
PRICES = json.loads((Path(__file__).parent.parent / "fixtures" / "prices.json").read_text())
PLAIN = {"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": "?"}]}
USAGE = {"stream_options": {"include_usage": True}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}
REQUESTS = {
    "text": PLAIN,
    "tools": {**PLAIN, **USAGE},
    "thinking": {**PLAIN, **USAGE},
    "search": PLAIN,
    "refusal": PLAIN,
    "json_tool": {**PLAIN, "model": "claude-opus-4-1", "response_format": SCHEMA},
}
NAMES = list(REQUESTS)


def native(name: str) -> dict:
    return body_of(f"anthropic/{name}")


def whole(name: str) -> dict:
    return CHAT.response(native(name), REQUESTS[name])


def streamed(name: str, *cuts: int, end: int | None = None) -> tuple:
    machine = CHAT.stream(REQUESTS[name])
    return machine, run(machine, stream_of(f"anthropic/{name}")[:end], *cuts)


def fed(*events: dict, request: dict = PLAIN) -> tuple:
    machine = CHAT.stream(request)
    chunks = [c for e in events for c in machine.feed(Event(str(e.get("type")), json.dumps(e)))]
    return machine, chunks + machine.finish()


def deltas(chunks: list[dict]) -> list[dict]:
    return [chunk["choices"][0]["delta"] for chunk in chunks if chunk.get("choices")]


START = {"type": "message_start", "message": {"id": "msg_1", "model": "m", "usage": {"input_tokens": 3}}}


# ── the properties of every adapter ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", NAMES)
@given(cuts=CUTS)
@settings(max_examples=25, deadline=None)
def test_any_cut(name, cuts):
    """However the bytes come, the chunks and the answer are the same."""
    expected, chunks = streamed(name)
    machine, cut = streamed(name, *cuts)
    assert cut == chunks
    assert machine.result == expected.result
    assert (machine.count, machine.first_content) == (expected.count, expected.first_content)


@pytest.mark.parametrize("name", NAMES)
def test_streamed_is_not_streamed(name):
    """The answer a stream builds up is the answer of the same call not streamed, usage included."""
    machine, _ = streamed(name)
    assert machine.is_complete
    assert machine.result.body == whole(name)
    assert facts(machine.result)[:-1] == facts(OPENAI.answer("chat", {}, whole(name)))[:-1]
    assert machine.result.usage == ANTHROPIC.usage(native(name), {})


def parsed(message: dict) -> dict:
    """Return a message as a client reads it: arguments parsed, what only a whole answer can bring left out."""
    calls = [
        (c["id"], c["function"]["name"], json.loads(c["function"]["arguments"])) for c in message.get("tool_calls", ())
    ]
    text = message.get("content") or ""
    return {
        "content": json.loads(text) if text.startswith("{") else text,
        "calls": calls,
        **{name: message.get(name) for name in ("role", "refusal", "reasoning_content", "annotations")},
    }


@pytest.mark.parametrize("name", NAMES)
def test_chunks_make_the_whole_answer(name):
    """A client that puts the chunks together has what it would have got in one piece."""
    made, expected = put_together(streamed(name)[1], REQUESTS[name]), whole(name)
    assert parsed(made["choices"][0]["message"]) == parsed(expected["choices"][0]["message"])
    assert made["choices"][0]["finish_reason"] == expected["choices"][0]["finish_reason"]
    assert (made["id"], made["model"]) == (expected["id"], expected["model"])
    if "stream_options" in REQUESTS[name]:
        assert made["usage"] == expected["usage"]


@pytest.mark.parametrize("name", NAMES)
def test_openai_types_accept_it(name):
    """The official package validates every chunk and the whole."""
    ChatCompletion.model_validate(whole(name))
    for chunk in streamed(name)[1]:
        ChatCompletionChunk.model_validate(chunk)


@pytest.mark.parametrize("name", NAMES)
def test_every_prefix_can_be_finished(name):
    """A stream cut anywhere says so, and what came is in the record; chunks begin with the role."""
    data = stream_of(f"anthropic/{name}")
    for end in range(len(data)):
        machine, chunks = streamed(name, end=end)
        assert machine.finish() == []
        if not machine.is_complete:
            assert chunks.pop()["error"]["code"] == "upstream_closed"
        if chunks:
            assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
        assert (
            machine.result.text.startswith("{")
            or whole(name)["choices"][0]["message"]["content"] is None
            or (name == "json_tool" or whole(name)["choices"][0]["message"]["content"].startswith(machine.result.text))
        )


@pytest.mark.parametrize("name", ["text", "tools", "thinking"])
def test_there_and_back(name):
    """OpenAI → Anthropic → OpenAI keeps role, text, thinking and tool calls."""
    said = whole(name)["choices"][0]["message"]
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "1"} for call in said.get("tool_calls", ())]
    follow = {**PLAIN, "messages": [*PLAIN["messages"], said, *results, {"role": "user", "content": "!"}]}
    body = json.loads(CHAT.request(follow, TARGET).body)
    assert complaint(body) is None
    content = body["messages"][1]["content"]
    content = [{"type": "text", "text": content}] if isinstance(content, str) else content
    again = CHAT.response({**native(name), "content": content}, PLAIN)["choices"][0]["message"]
    assert again == said


TYPES = st.sampled_from(
    [
        "message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta",
        "message_stop", "error", "completion", "text", "text_delta", "tool_use", "input_json_delta", "thinking",
        "thinking_delta", "citations_delta", "redacted_thinking", "message",
    ]
)  # fmt: skip
JUNK = json_values("type", "url", "text")
TEXTS = st.dictionaries(
    st.sampled_from(
        ["text", "thinking", "partial_json", "input", "id", "name", "stop_reason", "stop_details", "citations", "citation",
         "model", "content", "usage", "signature", "data", "message", "explanation", "input_tokens", "cache_creation",
         "iterations", "output_tokens", "server_tool_use", "created_at"]
    ),
    JUNK,
    max_size=6,
)  # fmt: skip
TYPED = st.builds(lambda kind, value: {"type": kind, **value}, TYPES, TEXTS)
INNER = st.one_of(TYPED, TYPED, st.lists(TYPED, max_size=3), JUNK)
EVENTS = st.fixed_dictionaries(
    {"type": TYPES},
    optional=dict.fromkeys(("message", "content_block", "delta", "usage", "error", "content", "data", "index", "choices", "stop_details", "stop_reason", "completion", "id"), INNER),
)  # fmt: skip


@given(events=st.lists(EVENTS, max_size=6))
@settings(max_examples=200, deadline=None)
def test_foreign_events(events):
    """Whatever comes as an event, neither machine raises, and the answer can be read."""
    for machine in (CHAT.stream({**PLAIN, "response_format": SCHEMA}), ANTHROPIC.stream("chat", PLAIN)):
        for event in events:
            machine.feed(Event("message", json.dumps(event)))
        machine.finish()
        assert isinstance(machine.result, Completion)
    for event in events:
        CHAT.response(event, PLAIN)
        ANTHROPIC.answer("chat", PLAIN, event)
        ANTHROPIC.usage(event, PLAIN)
        ANTHROPIC.translate_error(400, event)
        ANTHROPIC.operations["models"].response(event, {})


# ── answers ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_text():
    """A text answer, with cached and written tokens inside the prompt."""
    assert whole("text") == {
        "id": "msg_01Text",
        "object": "chat.completion",
        "created": 0,
        "model": "claude-sonnet-4-5-20250929",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": 'Grüße aus Köln 🌍.\nLine "two".', "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
                "native_finish_reason": "end_turn",
            }
        ],
        "usage": {
            "prompt_tokens": 4000,
            "completion_tokens": 800,
            "total_tokens": 4800,
            "prompt_tokens_details": {
                "cached_tokens": 2000,
                "audio_tokens": 0,
                "cache_write_tokens": 800,
                "cache_creation_tokens": 800,
            },
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        },
        "service_tier": "default",
    }


def test_tool_calls():
    """Tool uses are tool calls, their input is text."""
    choice = whole("tools")["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert [(c["id"], c["function"]) for c in choice["message"]["tool_calls"]] == [
        ("toolu_01A", {"name": "get_weather", "arguments": '{"city": "São Paulo", "days": 2}'}),
        ("toolu_01B", {"name": "get_time", "arguments": "{}"}),
    ]


def test_thinking():
    """Thinking is reasoning, and kept whole for the next turn."""
    message = whole("thinking")["choices"][0]["message"]
    assert (message["content"], message["reasoning_content"]) == ("Yes.", "First, 17 is prime.")
    assert message["thinking_blocks"] == native("thinking")["content"][:2]


def test_searches():
    """Citations become annotations, what servers did is kept apart."""
    message = whole("search")["choices"][0]["message"]
    assert message["content"] == "Let me see. 1.09 million people."
    cited = message["annotations"][0]["url_citation"]
    assert message["content"][cited["start_index"] : cited["end_index"]] == "1.09 million people"
    assert [b["type"] for b in message["provider_specific_fields"]["content"]] == [
        "server_tool_use",
        "web_search_tool_result",
    ]


def test_a_refusal():
    """A refusal is filtered content, with its reason where there is one."""
    choice = whole("refusal")["choices"][0]
    assert (choice["finish_reason"], choice["message"]["refusal"]) == ("content_filter", "This cannot be answered.")


def test_the_tool_that_takes_the_answer():
    """The input of the tool is the content; what was said around it is left out."""
    choice = whole("json_tool")["choices"][0]
    assert choice["message"] == {"role": "assistant", "content": '{"answer": 42}', "refusal": None}
    assert choice["finish_reason"] == "stop"
    assert [d["content"] for d in deltas(streamed("json_tool")[1]) if "content" in d] == ["", '{"answer": ', "42}"]


def test_the_tool_beside_others():
    """Where it is not called, text and calls are as ever."""
    request = REQUESTS["json_tool"]
    machine = CHAT.stream(request)
    chunks = run(machine, stream_of("anthropic/tools"))
    expected = CHAT.response(native("tools"), request)
    assert machine.result.body == expected
    assert parsed(put_together(chunks, request)["choices"][0]["message"]) == parsed(expected["choices"][0]["message"])


def test_an_old_client():
    """Who asked with `functions` is answered with `function_call`, streamed or not."""
    request = {**PLAIN, "functions": [{"name": "get_weather"}]}
    body = {**native("tools"), "content": native("tools")["content"][:2]}
    choice = CHAT.response(body, request)["choices"][0]
    assert choice["message"]["function_call"]["name"] == "get_weather"
    assert (choice["finish_reason"], "tool_calls" in choice["message"]) == ("function_call", False)
    chunks = run(CHAT.stream(request), stream_of("anthropic/tools"))
    pieces = [d["function_call"]["arguments"] for d in deltas(chunks) if "function_call" in d]
    assert "".join(pieces) == '{"city": "São Paulo", "days": 2}'
    assert chunks[-1]["choices"][0]["finish_reason"] == "function_call"


@pytest.mark.parametrize(
    ("stop_reason", "finish_reason"),
    [
        ("end_turn", "stop"),
        ("pause_turn", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("something_new", "stop"),
    ],
)
def test_finish_reasons(stop_reason, finish_reason):
    """Each has its nearest in OpenAI's words, its own is kept beside it."""
    choice = CHAT.response({**native("text"), "stop_reason": stop_reason}, PLAIN)["choices"][0]
    assert (choice["finish_reason"], choice["native_finish_reason"]) == (finish_reason, stop_reason)


# ── streams ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_order_of_chunks():
    """Role, text, calls with index, id and name, their arguments, the finish, the usage."""
    _, chunks = streamed("tools")
    calls = [
        (c["index"], c.get("id"), c["function"].get("name"), c["function"]["arguments"])
        for d in deltas(chunks)
        for c in d.get("tool_calls", ())
    ]
    assert calls == [
        (0, "toolu_01A", "get_weather", ""),
        (0, None, None, '{"city": "Sã'),
        (0, None, None, 'o Paulo", "days":'),
        (0, None, None, " 2}"),
        (1, "toolu_01B", "get_time", ""),
        (1, None, None, "{}"),
    ]
    assert deltas(chunks)[:2] == [{"role": "assistant", "content": ""}, {"content": "I'll look that up."}]
    assert [c["choices"][0]["finish_reason"] for c in chunks[:-1]] == [None] * (len(chunks) - 2) + ["tool_calls"]
    assert {chunk["id"] for chunk in chunks} == {"msg_01Tools"}
    assert all(chunk["usage"] is None for chunk in chunks[:-1])
    assert (chunks[-1]["choices"], chunks[-1]["usage"]["total_tokens"]) == ([], 169)


def test_usage_only_where_it_was_asked_for():
    """No chunk speaks of usage otherwise."""
    assert all("usage" not in chunk for chunk in streamed("text")[1])


def test_each_event_is_translated_as_it_comes():
    """Nothing waits for what follows."""
    machine = CHAT.stream(PLAIN)
    machine.feed(Event("message_start", json.dumps(START)))
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}}
    assert deltas(machine.feed(Event("content_block_delta", json.dumps(delta)))) == [{"content": "a"}]


def test_first_content():
    """The first event with content is what the time to the first token is measured by."""
    assert streamed("text")[0].first_content == 3
    assert streamed("tools")[0].first_content == 2
    assert streamed("thinking")[0].first_content == 2


def test_an_error_in_the_stream():
    """It becomes an OpenAI error; nothing follows it; the record has its sentence."""
    failure = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    machine, chunks = fed(START, failure, {"type": "message_stop"})
    assert chunks[-1] == {
        "error": {
            "message": "Overloaded",
            "type": "server_error",
            "param": None,
            "code": "overloaded",
            "provider_type": "overloaded_error",
        }
    }
    assert (machine.result.error, machine.is_complete) == ("Overloaded (overloaded_error)", False)


def test_unknown_events_are_ignored():
    """New events, deltas and blocks pass without a trace in the chunks."""
    _, chunks = fed(
        START,
        {"type": "novelty", "x": 1},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "novel_block", "data": 1}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "novel_delta", "x": "y"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    )
    assert deltas(chunks) == [{"role": "assistant", "content": ""}, {}]


def test_a_broken_off_input():
    """Arguments that never ended are kept as the text they are."""
    events = [START, {"type": "content_block_start", "index": 0,
                      "content_block": {"type": "tool_use", "id": "t", "name": "f", "input": {}}},
              {"type": "content_block_delta", "index": 0,
               "delta": {"type": "input_json_delta", "partial_json": '{"a": [1,'}}]  # fmt: skip
    machine, _ = fed(*events)
    assert machine.result.tool_calls[0]["function"]["arguments"] == '{"a": [1,'


def test_input_that_comes_with_its_block():
    """Servers that send a tool's input at once are understood."""
    block = {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}
    _, chunks = fed(START, {"type": "content_block_start", "index": 0, "content_block": block},
                    {"type": "content_block_stop", "index": 0}, {"type": "message_stop"})  # fmt: skip
    assert deltas(chunks)[1]["tool_calls"][0]["function"]["arguments"] == '{"a": 1}'


@pytest.mark.parametrize("is_streamed", [True, False])
def test_thinking_is_remembered(is_streamed):
    """A client that drops the thinking before tool calls, as OpenAI's do, has it put back with their results."""
    thought = {"type": "thinking", "thinking": "hm", "signature": "s"}
    use = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}}
    target = Target("https://api.anthropic.com", memory={})
    operation = CHAT.bind(target)
    if is_streamed:
        machine = operation.stream(PLAIN)
        for event in (START, *({"type": "content_block_start", "index": i, "content_block": b}
                               for i, b in enumerate((thought, use))), {"type": "message_stop"}):  # fmt: skip
            machine.feed(Event("message", json.dumps(event)))
        body = machine.result.body
    else:
        body = operation.response({**native("tools"), "content": [thought, use]}, PLAIN)
    calls = body["choices"][0]["message"]["tool_calls"]
    said = {"role": "assistant", "content": None, "tool_calls": calls}
    result = {"role": "tool", "tool_call_id": "toolu_1", "content": "2"}
    follow = {**PLAIN, "messages": [*PLAIN["messages"], said, result], "reasoning_effort": "low"}
    sent = json.loads(operation.request(follow, target).body)
    assert sent["messages"][1]["content"] == [thought, use]
    assert sent["thinking"]["type"] == "enabled"
    assert "thinking" not in json.loads(operation.request(follow, TARGET).body)


# ── native calls ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", "/v1/messages", Native("chat", "m", is_stream=True)),
        ("POST", "/v1/messages?beta=true", Native("chat", "m", is_stream=True)),
        ("POST", "/v1/messages/count_tokens", Native("count_tokens", "m", span_type="custom")),
        ("POST", "/v1/messages/batches", Native("batch", span_type="custom")),
        ("GET", "/v1/messages/batches/b_1/results", Native("batch", span_type="custom")),
        ("POST", "/v1/complete", Native("text_completion", "m", is_stream=True)),
        ("POST", "/v1/chat/completions", Native("chat", "m", is_stream=True)),
        ("GET", "/v1/models", Native("models", "m", span_type="custom")),
        ("POST", "/v1/files", Native("files", "m", span_type="custom")),
    ],
)
def test_native_calls(method, path, expected):
    """Each path says what is asked."""
    assert ANTHROPIC.native(method, path, {"model": "m", "stream": True}) == expected


def test_paths_that_pass_untouched():
    """The provider's own paths are told from OpenAI's."""
    assert ANTHROPIC.is_native("/v1/messages/count_tokens")
    assert not any(
        map(ANTHROPIC.is_native, ("/v1/chat/completions", "/v1/completions", "/v1/models", "/v1/embeddings"))
    )


@pytest.mark.parametrize("name", NAMES)
@given(cuts=CUTS)
@settings(max_examples=10, deadline=None)
def test_native_streams_are_read(name, cuts):
    """The record of a native stream is the message itself, however it was cut, and says what the whole one says."""
    machine = ANTHROPIC.stream("chat", {})
    assert run(machine, stream_of(f"anthropic/{name}"), *cuts) == []
    body = dict(machine.result.body)
    assert (body.pop("_streaming"), body.pop("_chunks")) == (True, machine.count)
    assert body == native(name)
    assert facts(machine.result) == facts(ANTHROPIC.answer("chat", {}, native(name)))
    assert machine.is_complete


@pytest.mark.parametrize("name", NAMES)
def test_translated_calls_are_read(name):
    """The record of a translated call, which is OpenAI's, is read by the same row, streamed or not."""
    data = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in streamed(name)[1]).encode() + b"data: [DONE]\n\n"
    machine = ANTHROPIC.stream("chat", REQUESTS[name])
    run(machine, data)
    answer = ANTHROPIC.answer("chat", REQUESTS[name], whole(name))
    assert (machine.result.text, machine.result.finish_reason) == (answer.text, answer.finish_reason)
    assert machine.is_complete
    assert ANTHROPIC.usage(whole(name), {}).total_tokens == ANTHROPIC.usage(native(name), {}).total_tokens


def test_an_old_completion():
    """The text completions of old are read, streamed or not."""
    body = {"type": "completion", "id": "c", "completion": " Hi", "stop_reason": "stop_sequence", "model": "claude-2.1"}
    assert ANTHROPIC.answer("text_completion", {}, body).text == " Hi"
    machine = ANTHROPIC.stream("text_completion", {})
    for piece, reason in ((" H", None), ("i", None), ("", "stop_sequence")):
        machine.feed(Event("completion", json.dumps({**body, "completion": piece, "stop_reason": reason})))
    result = machine.result
    assert (result.text, result.model, result.finish_reason, machine.is_complete) == (" Hi", "claude-2.1", "stop", True)


# ── usage and money ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("text", {"prompt_tokens": 4000, "completion_tokens": 800, "total_tokens": 4800, "cached_tokens": 2000,
                  "cache_write_tokens": 800, "cache_write_1h_tokens": 300, "service_tier": "standard"}),
        ("tools", {"prompt_tokens": 112, "completion_tokens": 57, "total_tokens": 169, "cached_tokens": 100}),
        ("thinking", {"prompt_tokens": 40, "completion_tokens": 210, "total_tokens": 250, "reasoning_tokens": 150,
                      "service_tier": "priority"}),
        ("search", {"prompt_tokens": 10682, "completion_tokens": 510, "total_tokens": 11192, "web_searches": 2}),
    ],
)  # fmt: skip
def test_usage(name, expected):
    """Cached and written tokens belong to the prompt; the last count of a stream holds."""
    assert figures(ANTHROPIC.usage(native(name), {})) == expected


def test_usage_in_steps():
    """Where iterations are listed they are the whole bill; nulls and strangers count nothing."""
    step = {"type": "message", "input_tokens": 10, "output_tokens": 2, "cache_read_input_tokens": 5}
    raw = {"input_tokens": 10, "output_tokens": 2, "iterations": [{**step, "type": "compaction"}, step]}
    found = figures(ANTHROPIC.usage({"type": "message", "usage": raw}, {}))
    assert (found["prompt_tokens"], found["completion_tokens"], found["cached_tokens"]) == (30, 4, 10)
    strange = {"input_tokens": None, "output_tokens": 3, "cache_creation": {"ephemeral_5m_input_tokens": "x"}}
    assert figures(ANTHROPIC.usage({"type": "message", "usage": strange}, {})) == {"completion_tokens": 3}
    assert ANTHROPIC.usage({"type": "message", "usage": {}}, {}) is None


def cost(usage: Usage, model: str) -> float:
    book = PriceBook(load=lambda: table_from(PRICES, date="2026-10-21", source="test"), clock=lambda: 0.0)
    total = book.price(ANTHROPIC, [model], usage).total
    assert total is not None
    return total


def test_the_worked_bills():
    """Tokens and searches cost what the worked examples say."""
    read = ANTHROPIC.usage(native("text"), {})
    assert cost(read, native("text")["model"]) == pytest.approx(0.019875)
    searched = {**native("text"), "usage": {**native("text")["usage"], "server_tool_use": {"web_search_requests": 3}}}
    assert cost(ANTHROPIC.usage(searched, {}), "claude-sonnet-4-5") == pytest.approx(0.019875 + 0.03)
    batch = {"input_tokens": 10000, "output_tokens": 1000, "service_tier": "batch"}
    assert cost(ANTHROPIC.usage({"type": "message", "usage": batch}, {}), "claude-haiku-4-5") == pytest.approx(0.0075)


# ── errors, keys, models ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("status", "kind", "message", "expected"),
    [
        (400, "invalid_request_error", "max_tokens: Field required", ("invalid_request_error", None, 400)),
        (400, "invalid_request_error", "prompt is too long: 9 tokens > 8 maximum",
         ("invalid_request_error", "context_length_exceeded", 400)),
        (401, "authentication_error", "invalid x-api-key", ("invalid_request_error", "invalid_api_key", 401)),
        (402, "billing_error", "no credit", ("insufficient_quota", "insufficient_quota", 429)),
        (403, "permission_error", "no", ("permission_denied", None, 403)),
        (404, "not_found_error", "model: x", ("invalid_request_error", "model_not_found", 404)),
        (413, "request_too_large", "big", ("invalid_request_error", "request_too_large", 413)),
        (429, "rate_limit_error", "slow down", ("rate_limit_error", "rate_limit_exceeded", 429)),
        (500, "api_error", "oops", ("server_error", None, 500)),
        (504, "timeout_error", "late", ("timeout", None, 504)),
        (529, "overloaded_error", "Overloaded", ("server_error", "overloaded", 503)),
        (418, "tea_error", "short and stout", ("invalid_request_error", None, 418)),
    ],
)  # fmt: skip
def test_errors(status, kind, message, expected):
    """Each becomes OpenAI's, keeps its sentence and its own name."""
    body = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}
    made = ANTHROPIC.translate_error(status, body)["error"]
    assert (made["type"], made["code"], ANTHROPIC.error_statuses.get(status, status)) == expected
    assert (made["message"], made["provider_type"], made["request_id"]) == (message, kind, "req_1")
    assert ANTHROPIC.error(status, body) == f"{message} ({kind})"


def test_errors_of_the_edge():
    """Pages and texts become envelopes too."""
    page = "<html><title>502 Bad Gateway</title></html>"
    assert ANTHROPIC.translate_error(502, page)["error"]["message"] == "502 Bad Gateway"
    assert ANTHROPIC.translate_error(503, {})["error"]["type"] == "server_error"


def test_keys():
    """API keys have their own header, tokens of a login are bearers; the version is set where the client has none."""
    assert ANTHROPIC.authorize("sk-ant-api03-x") == (("x-api-key", "sk-ant-api03-x"),)
    assert ANTHROPIC.authorize("sk-ant-oat01-x")[0] == ("authorization", "Bearer sk-ant-oat01-x")
    assert ANTHROPIC.credentials == {"x-api-key", "authorization"}
    assert ANTHROPIC.default_headers == (("anthropic-version", "2023-06-01"),)


def test_models():
    """The list is OpenAI's and still Anthropic's."""
    operation = ANTHROPIC.operations["models"]
    asked = operation.request({}, TARGET)
    assert (asked.method, asked.path, asked.body) == ("GET", "/v1/models?limit=1000", b"")
    row = {"type": "model", "id": "claude-opus-5-5", "display_name": "Opus", "created_at": "2026-09-01T00:00:00Z"}
    made = operation.response({"data": [row], "has_more": False, "first_id": row["id"], "last_id": row["id"]}, {})
    assert made["object"] == "list"
    assert Model.model_validate(made["data"][0], strict=True).created == 1788220800
    assert made["data"][0].items() >= row.items()
    assert operation.response(row, {}) == made["data"][0]
