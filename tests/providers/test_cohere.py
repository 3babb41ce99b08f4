"""Cohere: what is sent, what comes back, streamed or not, and what its own API is read as."""

import json
from contextlib import suppress

import pytest
from adapter_help import CUTS, body_of, facts, figures, json_values, price_book, put_together, run, stream_of
from hypothesis import given, settings
from hypothesis import strategies as st
from llmflow_web.providers.cohere import COHERE
from openai.types import CreateEmbeddingResponse, Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from llmflow_web.errors import BadRequest
from llmflow_web.model import Completion
from llmflow_web.provider import Event, Target

TARGET = Target("https://api.cohere.com")
CHAT = COHERE.operations["chat"]
ASKED = {
    "model": "command-a-03-2025",
    "messages": [{"role": "user", "content": "?"}],
    "stream_options": {"include_usage": True},
}
CASES = ["chat_text", "chat_tools", "chat_citations", "chat_reasoning"]


def sent(**fields: object) -> dict:
    return json.loads(CHAT.request({**ASKED, **fields}, TARGET).body)


def ignored(**fields: object) -> tuple:
    return CHAT.request({**ASKED, **fields}, TARGET).ignored


# ── the request ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_plain_call():
    """Model, messages and stream go to /v2/chat as they are, and nothing else."""
    outgoing = CHAT.request({**ASKED, "stream": True, "n": 1}, TARGET)
    assert (outgoing.method, outgoing.path, outgoing.ignored) == ("POST", "/v2/chat", ())
    assert json.loads(outgoing.body) == {"model": ASKED["model"], "stream": True, "messages": ASKED["messages"]}


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("max_tokens", 5, {"max_tokens": 5}),
        ("max_completion_tokens", 5, {"max_tokens": 5}),
        ("stop", "x", {"stop_sequences": ["x"]}),
        ("stop", ["x", "y"], {"stop_sequences": ["x", "y"]}),
        ("temperature", 0.5, {"temperature": 0.5}),
        ("temperature", 2, {"temperature": 1.0}),
        ("top_p", 0.5, {"p": 0.5}),
        ("top_p", 0, {"p": 0.01}),
        ("top_p", 1, {}),
        ("top_k", 7, {"k": 7}),
        ("seed", 7, {"seed": 7}),
        ("frequency_penalty", 0.5, {"frequency_penalty": 0.5}),
        ("presence_penalty", -1, {"presence_penalty": 0.0}),
        ("logprobs", True, {"logprobs": True}),
        ("reasoning_effort", "none", {"thinking": {"type": "disabled"}}),
        ("reasoning_effort", "low", {"thinking": {"type": "enabled"}}),
        ("response_format", {"type": "text"}, {}),
        ("response_format", {"type": "json_object"}, {"response_format": {"type": "json_object"}}),
        (
            "response_format",
            {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
            {"response_format": {"type": "json_object", "json_schema": {"type": "object"}}},
        ),
        ("documents", ["d"], {"documents": ["d"]}),
        ("safety_mode", "OFF", {"safety_mode": "OFF"}),
        ("citation_options", {"mode": "FAST"}, {"citation_options": {"mode": "FAST"}}),
        ("thinking", {"type": "enabled", "token_budget": 9}, {"thinking": {"type": "enabled", "token_budget": 9}}),
    ],
)
def test_fields(field, value, expected):
    """Each field of OpenAI's becomes Cohere's, within Cohere's ranges; Cohere's own pass."""
    body = sent(**{field: value})
    del body["model"], body["messages"]
    assert body == expected


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"user": "u", "logit_bias": {"1": 2}, "metadata": {"a": "b"}}, ("user", "logit_bias", "metadata")),
        ({"parallel_tool_calls": False}, ()),
        ({"parallel_tool_calls": True}, ()),
        ({"temperature": 1.5}, ("temperature above 1",)),
        ({"presence_penalty": -1}, ("presence_penalty below 0",)),
        ({"top_logprobs": 3}, ("top_logprobs",)),
        ({"messages": [{"role": "user", "content": "?", "name": "Ada"}]}, ("messages.name",)),
    ],
)
def test_what_is_ignored_is_listed(fields, names):
    """Nothing that would have mattered is dropped silently."""
    assert ignored(**fields) == names


TOOL = {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}
OTHER = {"type": "function", "function": {"name": "g"}}


@pytest.mark.parametrize(
    ("choice", "expected", "names"),
    [
        (None, None, ["f", "g"]),
        ("auto", None, ["f", "g"]),
        ("none", "NONE", ["f", "g"]),
        ("required", "REQUIRED", ["f", "g"]),
        ({"type": "function", "function": {"name": "g"}}, "REQUIRED", ["g"]),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [TOOL]}},
            "REQUIRED",
            ["f"],
        ),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [OTHER]}}, None, ["g"]),
    ],
)
def test_tool_choice(choice, expected, names):
    """REQUIRED and NONE are all Cohere knows; a named tool is required of a list that holds it alone."""
    body = sent(tools=[TOOL, OTHER], tool_choice=choice)
    assert body.get("tool_choice") == expected
    assert [tool["function"]["name"] for tool in body["tools"]] == names


def test_tools():
    """Name, description and parameters go along; a function without parameters takes none; strict is for all tools."""
    strict = {"type": "function", "function": {**OTHER["function"], "strict": True}}
    body = sent(tools=[TOOL, strict])
    assert body["tools"] == [
        TOOL,
        {"type": "function", "function": {"name": "g", "parameters": {"type": "object", "properties": {}}}},
    ]
    assert body["strict_tools"] is True


def test_old_functions():
    """`functions`, `function_call` and the results of functions become tools, calls with ids, and their results."""
    body = sent(
        functions=[TOOL["function"]],
        function_call={"name": "f"},
        messages=[
            {"role": "user", "content": "?"},
            {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": '{"a":1}'}},
            {"role": "function", "name": "f", "content": "1"},
        ],
    )
    assert body["tools"] == [TOOL]
    assert body["tool_choice"] == "REQUIRED"
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    assert body["messages"][1:] == [
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "1"},
    ]


def test_a_conversation():
    """Roles, parts, images, calls with their plan, and results keep their places."""
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}}
    body = sent(
        messages=[
            {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]},
            {"role": "user", "content": [{"type": "text", "text": "What?"}, image]},
            {"role": "assistant", "content": None, "reasoning_content": "Look it up.", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "rain"}]},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
            {"role": "assistant", "content": "42", "reasoning_content": "6 × 7"},
        ]
    )
    assert body["messages"] == [
        {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
        {"role": "user", "content": [{"type": "text", "text": "What?"}, image]},
        {
            "role": "assistant",
            "tool_plan": "Look it up.",
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "rain"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "No."}]},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "6 × 7"}, {"type": "text", "text": "42"}]},
    ]


def said(content: object, role: str = "user") -> list[dict]:
    return [{"role": role, "content": content}]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"stop": list("abcdef")}, "stop"),
        ({"messages": []}, "messages"),
        ({"messages": said("?", "robot")}, "messages[0].role"),
        ({"messages": said([{"type": "input_audio", "input_audio": {}}])}, "messages[0].content[0]"),
        ({"messages": said([{"type": "file", "file": {}}])}, "messages[0].content[0]"),
        ({"messages": said([{"type": "image_url", "image_url": {"url": "x"}}], "system")}, "messages[0].content[0]"),
        ({"messages": said([{"type": "image_url"}])}, "messages[0].content[0].image_url"),
        ({"messages": said("?", "tool")}, "messages[0].tool_call_id"),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools[0]"),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "z"}}}, "tool_choice"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema.schema"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
    ],
)
def test_impossible_fields_are_named(fields, param):
    """What cannot be asked of Cohere is refused, with the field's name."""
    with pytest.raises(BadRequest) as caught:
        CHAT.request({**ASKED, **fields}, TARGET)
    assert caught.value.param == param


NAMES = (*ASKED, "role", "content", "type", "text", "image_url", "url", "tools", "tool_choice", "function", "name",
         "tool_calls", "function_call", "functions", "stop", "n", "response_format", "modalities", "temperature",
         "reasoning_content", "reasoning_effort", "custom", "input", "tool_call_id")  # fmt: skip


@given(json_values(*NAMES), st.lists(json_values(*NAMES), max_size=3))
@settings(max_examples=300, deadline=None)
def test_no_request_raises_anything_else(request, messages):
    """Whatever a client sends is translated or refused."""
    asked = request if isinstance(request, dict) else {"input": request}
    for operation in COHERE.operations.values():
        with suppress(BadRequest):
            json.loads(operation.request({"messages": messages, **asked}, TARGET).body or b"{}")


# ── the answer, whole and streamed ───────────────────────────────────────────────────────────────────────────────────


def whole(name: str) -> dict:
    return CHAT.response(body_of(f"cohere/{name}"), ASKED)


@pytest.mark.parametrize("name", CASES)
def test_streamed_is_not_streamed(name):
    """The chunks put together are the whole answer translated, usage included."""
    made = put_together(run(CHAT.stream(ASKED), stream_of(f"cohere/{name}")), ASKED)
    assert made == whole(name)


@pytest.mark.parametrize("name", CASES)
def test_official_types_accept_it(name):
    """The openai package's types validate answers and chunks."""
    ChatCompletion.model_validate(whole(name))
    chunks = run(CHAT.stream(ASKED), stream_of(f"cohere/{name}"))
    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk)
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert chunks[-1]["choices"] == []


@pytest.mark.parametrize("name", CASES)
@given(cuts=CUTS)
@settings(max_examples=15, deadline=None)
def test_any_cut(name, cuts):
    """However the bytes come, the chunks are the same."""
    data = stream_of(f"cohere/{name}")
    assert run(CHAT.stream(ASKED), data, *cuts) == run(CHAT.stream(ASKED), data)


@pytest.mark.parametrize("name", CASES)
def test_every_prefix_can_be_finished(name):
    """A stream cut anywhere gives chunks that begin the whole, and never a finish that upstream did not send."""
    data = stream_of(f"cohere/{name}")
    all_chunks = run(CHAT.stream(ASKED), data)
    for end in range(0, len(data), 11):
        machine = CHAT.stream(ASKED)
        chunks = run(machine, data[:end])
        assert chunks == all_chunks[: len(chunks)]
        assert machine.is_complete or not [c for c in chunks if c["choices"] and c["choices"][0]["finish_reason"]]
        assert isinstance(machine.result, Completion)


@pytest.mark.parametrize("name", CASES)
def test_the_observer_reads_the_same(name):
    """An untouched native stream is read as the native answer, and as the translated stream's result."""
    observer = COHERE.stream("chat", ASKED)
    assert run(observer, stream_of(f"cohere/{name}")) != []
    translated = CHAT.stream(ASKED)
    run(translated, stream_of(f"cohere/{name}"))
    expected = COHERE.answer("chat", ASKED, body_of(f"cohere/{name}"))
    assert facts(observer.result) == facts(expected) == facts(translated.result)
    assert observer.is_complete
    body = dict(observer.result.body)
    assert body.pop("_streaming") is True
    assert body.pop("_chunks") == observer.count
    assert body == body_of(f"cohere/{name}")


@pytest.mark.parametrize(
    ("name", "index"), [("chat_text", 2), ("chat_tools", 1), ("chat_citations", 2), ("chat_reasoning", 3)]
)
def test_first_content(name, index):
    """Neither the start of a message nor that of a block is content; thoughts and plans are."""
    machine = CHAT.stream(ASKED)
    run(machine, stream_of(f"cohere/{name}"))
    assert machine.first_content == index


def test_text():
    """Text, finish and both counts of tokens."""
    made = whole("chat_text")
    assert (made["model"], made["choices"][0]["finish_reason"]) == ("command-a-03-2025", "stop")
    assert made["choices"][0]["message"] == {"role": "assistant", "content": "Grüße aus Kiel, 42!", "refusal": None}
    assert made["usage"] == {
        "prompt_tokens": 71,
        "completion_tokens": 18,
        "total_tokens": 89,
        "prompt_tokens_details": {"cached_tokens": 16, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        "billed_units": {"input_tokens": 5, "output_tokens": 18},
    }


def test_tool_calls():
    """Calls keep their ids and arguments, the plan is reasoning, content is null."""
    message = whole("chat_tools")["choices"][0]["message"]
    assert message["content"] is None
    assert message["reasoning_content"] == "I will look up the weather and the time."
    assert [call["id"] for call in message["tool_calls"]] == ["weather_a1", "time_b2"]
    assert message["tool_calls"][1]["function"] == {"name": "time", "arguments": '{"zone":"CET","dst":true}'}


def test_a_round_trip():
    """A tool call goes back to Cohere as it came, ids, arguments and plan included."""
    message = whole("chat_tools")["choices"][0]["message"]
    back = sent(messages=[*ASKED["messages"], message])["messages"][1]
    assert back == body_of("cohere/chat_tools")["message"]


def test_old_function_call_comes_back():
    """A client of `functions` gets `function_call`, streamed or not."""
    request = {**ASKED, "functions": [TOOL["function"]]}
    choice = CHAT.response(body_of("cohere/chat_tools"), request)["choices"][0]
    assert choice["finish_reason"] == "function_call"
    assert choice["message"]["function_call"] == {"name": "weather", "arguments": '{"city":"Kiel"}'}
    made = put_together(run(CHAT.stream(request), stream_of("cohere/chat_tools")), request)["choices"][0]
    assert made["finish_reason"] == "function_call"
    assert made["message"]["function_call"]["name"].startswith("weather")


def test_citations():
    """Each source of a citation is an annotation of the text it marks, with its title and address where it has them."""
    message = whole("chat_citations")["choices"][0]["message"]
    found = [note["url_citation"] for note in message["annotations"]]
    assert [(f["title"], f["url"]) for f in found] == [
        ("weather_a1:0", ""),
        ("Weather", "https://example.org/kiel"),
        ("Log", ""),
    ]
    assert message["content"][found[1]["start_index"] : found[1]["end_index"]] == found[1]["text"] == "14 °C"


def test_citations_of_later_texts_and_of_plans():
    """A citation counts within its own text; one of the plan marks no text."""
    body = {
        "message": {
            "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "abc"}, {"type": "text", "text": "def"}],
            "citations": [
                {"start": 1, "end": 2, "text": "e", "content_index": 2},
                {"start": 0, "end": 1, "text": "h", "content_index": 0, "type": "PLAN"},
            ],
        }
    }  # fmt: skip
    (note,) = CHAT.response(body, ASKED)["choices"][0]["message"]["annotations"]
    assert (note["url_citation"]["start_index"], note["url_citation"]["end_index"]) == (4, 5)


def test_logprobs():
    """A piece of several tokens has the sum of their log probabilities."""
    logprobs = whole("chat_reasoning")["choices"][0]["logprobs"]
    assert [(item["token"], item["logprob"]) for item in logprobs["content"]] == [("4", -0.25), ("2", -0.75)]


@pytest.mark.parametrize(
    ("reason", "expected"),
    [("COMPLETE", "stop"), ("STOP_SEQUENCE", "stop"), ("MAX_TOKENS", "length"), ("TOOL_CALL", "tool_calls"),
     ("ERROR", "content_filter"), ("ERROR_TOXIC", "content_filter"), ("TIMEOUT", "content_filter"), ("NEW", "stop")],
)  # fmt: skip
def test_finish_reasons(reason, expected):
    """Every end has its word; an unknown one has stopped."""
    body = {**body_of("cohere/chat_text"), "finish_reason": reason}
    assert CHAT.response(body, ASKED)["choices"][0]["finish_reason"] == expected
    assert bool(COHERE.answer("chat", ASKED, body).error) == (reason in ("ERROR", "TIMEOUT"))


def events(*items: object) -> bytes:
    return "".join(f"data: {item if isinstance(item, str) else json.dumps(item)}\n\n" for item in items).encode()


@pytest.mark.parametrize(
    "last",
    [
        {"type": "message-end", "delta": {"finish_reason": "ERROR", "error": "overloaded"}},
        {"id": "e", "message": "overloaded"},
        {"type": "error", "message": "overloaded"},
    ],
)
def test_errors_inside_a_stream(last):
    """An error in a stream is an error event of OpenAI's, and no finish follows."""
    half = {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "half"}}}}
    machine = CHAT.stream(ASKED)
    chunks = run(machine, events(half, last, "[DONE]"))
    assert chunks[-1] == {
        "error": {"message": "overloaded", "type": "server_error", "param": None, "code": "provider_error"}
    }
    assert (machine.result.text, machine.result.error) == ("half", "overloaded")


def test_an_end_without_its_event():
    """Where only `[DONE]` ends a stream, finish and usage are still sent."""
    half = {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "x"}}}}
    *_, finish, usage = run(CHAT.stream(ASKED), events(half, "[DONE]"))
    assert finish["choices"][0]["finish_reason"] == "stop"
    assert usage["choices"] == []


def test_usage_only_where_asked_for():
    """Without include_usage there is no usage chunk."""
    request = {name: ASKED[name] for name in ("model", "messages")}
    chunks = run(CHAT.stream(request), stream_of("cohere/chat_text"))
    assert all(chunk["choices"] and "usage" not in chunk for chunk in chunks)


STREAM_NAMES = ("type", "id", "index", "delta", "message", "content", "text", "thinking", "tool_calls", "tool_plan",
                "function", "arguments", "name", "citations", "start", "end", "sources", "content_index", "document",
                "usage", "tokens", "billed_units", "input_tokens", "finish_reason", "logprobs", "event_type", "response",
                "error")  # fmt: skip
KINDS = st.sampled_from(["message-start", "content-start", "content-delta", "tool-plan-delta", "tool-call-start",
                         "tool-call-delta", "citation-start", "message-end", "error", "x"])  # fmt: skip


@given(
    st.lists(st.tuples(json_values(*STREAM_NAMES), st.none() | KINDS), max_size=6),
    st.sampled_from([ASKED, {"message": "?"}]),
)
@settings(max_examples=400, deadline=None)
def test_no_foreign_event_raises(items, request):
    """Whatever comes, the machines go on and can be asked, and what they send is JSON."""
    for machine in (CHAT.stream(request), COHERE.stream("chat", request)):
        chunks = []
        for item, kind in items:
            value = {**item, "type": kind} if kind and isinstance(item, dict) else item
            chunks += machine.feed(Event(kind or "message", json.dumps(value)))
        json.dumps(chunks + machine.finish())
        assert isinstance(machine.result, Completion)


@given(json_values(*STREAM_NAMES, "meta", "embeddings", "float", "models", "choices"), json_values("model", "message"))
@settings(max_examples=300, deadline=None)
def test_no_foreign_answer_raises(body, request):
    """Whole answers neither."""
    body = body if isinstance(body, dict) else {"message": body}
    request = request if isinstance(request, dict) else {}
    COHERE.answer("chat", request, body)
    COHERE.error(500, body)
    COHERE.translate_error(500, body)
    COHERE.native("POST", "/v2/chat", request)
    for operation in COHERE.operations.values():
        json.dumps(operation.response(body, request))


# ── the native API ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("method", "path", "operation", "span_type"),
    [
        ("POST", "/v2/chat", "chat", "llm"),
        ("POST", "/v1/chat", "chat", "llm"),
        ("POST", "/v2/embed", "embeddings", "embedding"),
        ("POST", "/v2/rerank?x=1", "rerank", "rerank"),
        ("POST", "/v1/tokenize", "tokenize", "custom"),
        ("GET", "/v1/models", "models", "custom"),
        ("POST", "/compatibility/v1/chat/completions", "chat", "llm"),
    ],
)
def test_what_is_asked(method, path, operation, span_type):
    """Cohere's paths are known by their last part."""
    native = COHERE.native(method, path, {"model": "m", "stream": True})
    assert (native.operation, native.span_type, native.model) == (operation, span_type, "m")


@pytest.mark.parametrize(
    ("path", "is_native"),
    [("/v2/chat", True), ("/v1/chat", True), ("/v1/embed", True), ("/v1/chat/completions", False),
     ("/v1/embeddings", False), ("/v1/models", False), ("/v1/images/generations", False)],
)  # fmt: skip
def test_native_paths(path, is_native):
    """What is translated is never taken for Cohere's own."""
    assert COHERE.is_native(path) is is_native


@given(cuts=CUTS)
@settings(max_examples=15, deadline=None)
def test_v1_streams(cuts):
    """The lines of v1 end with the whole answer."""
    machine = COHERE.stream("chat", {"message": "?"})
    run(machine, stream_of("cohere/v1_chat"), *cuts)
    expected = COHERE.answer("chat", {"message": "?"}, body_of("cohere/v1_chat"))
    assert facts(machine.result) == facts(expected)
    assert (machine.result.text, machine.first_content, machine.is_complete) == ("Moin aus Kiel", 1, True)
    assert figures(machine.result.usage) == {
        "prompt_tokens": 70, "completion_tokens": 5, "total_tokens": 75, "billed_prompt_tokens": 4, "billed_completion_tokens": 3,
    }  # fmt: skip


def test_a_cut_v1_stream_keeps_its_text():
    """Without its last line the text is that of the pieces."""
    machine = COHERE.stream("chat", {"message": "?"})
    run(machine, stream_of("cohere/v1_chat").rpartition(b'{"is_finished":true')[0])
    assert (machine.result.text, machine.result.id, machine.is_complete) == ("Moin aus Kiel", "g1", False)


def test_a_v1_tool_call():
    """v1 gives arguments as an object and no ids, and says COMPLETE all the same."""
    body = {"text": "", "finish_reason": "COMPLETE", "tool_calls": [{"name": "f", "parameters": {"a": 1}}]}
    found = COHERE.answer("chat", {}, body)
    assert found.tool_calls[0]["function"] == {"name": "f", "arguments": '{"a": 1}'}
    assert found.finish_reason == "tool_calls"


def test_a_translated_call_is_read_as_the_client_saw_it():
    """The record of a translated call holds OpenAI's chunks; the observer reads those too."""
    chunks = run(CHAT.stream(ASKED), stream_of("cohere/chat_tools"))
    observer = COHERE.stream("chat", ASKED)
    run(observer, events(*chunks, "[DONE]"))
    found = COHERE.answer("chat", ASKED, whole("chat_tools"))
    assert facts(observer.result) == facts(found)
    assert found.tool_calls[0]["id"] == "weather_a1"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("chat_text", {"prompt_tokens": 71, "completion_tokens": 18, "total_tokens": 89, "cached_tokens": 16,
                       "billed_prompt_tokens": 5, "billed_completion_tokens": 18}),
        ("embed", {"prompt_tokens": 8, "total_tokens": 8}),
        ("rerank", {"queries": 1}),
    ],
)  # fmt: skip
def test_usage(body, expected):
    """Tokens are shown, billed_units are billed, searches are counted."""
    assert figures(COHERE.usage(body_of(f"cohere/{body}"), {})) == expected


def test_images_have_tokens_of_their_own():
    """Image tokens of an embedding are part of its prompt."""
    body = {"embeddings": {}, "meta": {"billed_units": {"input_tokens": 2.0, "image_tokens": 30.0}}}
    assert figures(COHERE.usage(body, {})) == {"prompt_tokens": 32, "total_tokens": 32, "image_input_tokens": 30}


def test_what_a_call_costs():
    """Billed units are charged, not the tokens of the prompt's template; a rerank costs by the search."""
    body = {"usage": {"tokens": {"input_tokens": 1500, "output_tokens": 230},
                      "billed_units": {"input_tokens": 1000, "output_tokens": 200}}}  # fmt: skip
    chat, embed = COHERE.usage(body, {}), COHERE.usage(body_of("cohere/embed"), {})
    book = price_book()
    assert book.price(COHERE, ["command-a-03-2025"], chat).total == 0.0045
    assert book.price(COHERE, ["embed-v4.0"], embed).total == pytest.approx(8 * 1.2e-07)


def test_no_usage_is_none():
    """Where nothing is said nothing is made up."""
    assert COHERE.usage({"message": {}}, {}) is None


# ── embeddings, models, errors ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_embeddings(encoding):
    """Texts go out as search documents unless the client says otherwise; both encodings come back."""
    operation = COHERE.operations["embeddings"]
    request = {"model": "embed-v4.0", "input": ["a", "b"], "encoding_format": encoding, "dimensions": 256, "user": "u"}
    outgoing = operation.request(request, TARGET)
    assert (outgoing.path, outgoing.ignored) == ("/v2/embed", ("user",))
    assert json.loads(outgoing.body) == {
        "model": "embed-v4.0",
        "input_type": "search_document",
        "texts": ["a", "b"],
        "embedding_types": ["float"],
        "output_dimension": 256,
    }
    made = operation.response(body_of("cohere/embed"), request)
    CreateEmbeddingResponse.model_validate({**made, "data": []})
    assert made["usage"] == {"prompt_tokens": 8, "total_tokens": 8}
    first = made["data"][0]["embedding"]
    assert first == ([0.5, -0.25, 1.0] if encoding == "float" else "AAAAPwAAgL4AAIA/")
    assert (
        json.loads(operation.request({**request, "input": "a", "input_type": "search_query"}, TARGET).body)[
            "input_type"
        ]
        == "search_query"
    )


def test_token_numbers_cannot_be_embedded():
    """Cohere embeds texts."""
    with pytest.raises(BadRequest) as caught:
        COHERE.operations["embeddings"].request({"model": "m", "input": [1, 2]}, TARGET)
    assert caught.value.param == "input"


def test_models():
    """The listing has OpenAI's shape."""
    operation = COHERE.operations["models"]
    outgoing = operation.request({}, TARGET)
    assert (outgoing.method, outgoing.path, outgoing.body) == ("GET", "/v1/models?page_size=1000", b"")
    made = operation.response(body_of("cohere/models"), {})
    assert [Model.model_validate(row).id for row in made["data"]] == ["command-a-03-2025", "embed-v4.0"]
    assert made["data"][0]["context_length"] == 288000


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [(400, "invalid_request_error", None), (401, "authentication_error", "invalid_api_key"),
     (429, "rate_limit_error", "rate_limit_exceeded"), (498, "invalid_request_error", "content_filter"),
     (500, "server_error", None)],
)  # fmt: skip
def test_errors(status, kind, code):
    """Cohere's message gets OpenAI's envelope, with the type of its status."""
    body = {"id": "e", "message": "no such thing"}
    assert COHERE.translate_error(status, body) == {
        "error": {"message": "no such thing", "type": kind, "param": None, "code": code}
    }
    assert COHERE.error(status, body) == "no such thing"
