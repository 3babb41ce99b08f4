"""What of an OpenAI request reaches Gemini, what is listed as ignored, what is refused."""

import json
from contextlib import suppress

import pytest
from adapter_help import json_values
from hypothesis import given, settings
from hypothesis import strategies as st
from llmflow_web.providers.gemini import GEMINI
from llmflow_web.providers.gemini_schema import clean_schema, is_hollow

from llmflow_web.errors import BadRequest
from llmflow_web.provider import Outgoing, Target

MESSAGES = [{"role": "user", "content": "?"}]
PIXEL = "data:image/png;base64,iVBORw0KGgo="
USER = {"role": "user", "parts": [{"text": "?"}]}


def outgoing(
    model: str = "gemini-2.5-flash", operation: str = "chat", memory: dict | None = None, **fields
) -> Outgoing:
    body = {"model": model, **({"messages": MESSAGES} if operation == "chat" else {}), **fields}
    target = Target(GEMINI.root, memory={} if memory is None else memory)
    return GEMINI.operations[operation].request(body, target)


def sent(*args: str, **fields) -> dict:
    return json.loads(outgoing(*args, **fields).body)


def config(*args: str, **fields) -> dict:
    return sent(*args, **fields).get("generationConfig", {})


def contents(*messages: dict, model: str = "gemini-2.5-flash", **fields) -> list[dict]:
    return sent(model, messages=list(messages), **fields)["contents"]


def refused(operation: str = "chat", **fields) -> str | None:
    with pytest.raises(BadRequest) as caught:
        outgoing(operation=operation, **fields)
    assert caught.value.param is not None
    assert caught.value.message.startswith(caught.value.param)
    return caught.value.param


# ── where it goes ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("gemini-2.5-flash", "/v1beta/models/gemini-2.5-flash:generateContent"),
        ("models/gemini-2.5-flash", "/v1beta/models/gemini-2.5-flash:generateContent"),
        ("gemini/gemini-2.5-flash", "/v1beta/models/gemini-2.5-flash:generateContent"),
        ("tunedModels/mine", "/v1beta/tunedModels/mine:generateContent"),
        ("../files/x?key=1", "/v1beta/models/..%2Ffiles%2Fx%3Fkey%3D1:generateContent"),
    ],
)
def test_the_model_stands_in_the_path(model, path):
    """It is one segment of it, whatever its name holds, and never in the body."""
    found = outgoing(model)
    assert (found.method, found.path) == ("POST", path)
    assert json.loads(found.body) == {"contents": [USER]}
    assert found.ignored == ()


def test_a_stream_is_asked_for_as_events():
    """Without alt=sse the answer would be one long array."""
    assert outgoing(stream=True).path.endswith(":streamGenerateContent?alt=sse")


# ── messages ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_system_texts_are_one_instruction():
    """System and developer texts are gathered in order, wherever they stand."""
    found = sent(
        messages=[
            {"role": "system", "content": "a"},
            *MESSAGES,
            {"role": "developer", "content": [{"type": "text", "text": "b"}]},
        ]
    )
    assert found == {"systemInstruction": {"parts": [{"text": "a"}, {"text": "b"}]}, "contents": [USER]}


def test_only_a_system_text():
    """Gemini wants something said by the user."""
    assert contents({"role": "system", "content": "a"}) == [{"role": "user", "parts": [{"text": " "}]}]


def test_turns_of_one_role_are_merged():
    """User, user, assistant, assistant, user becomes three turns; nothing said becomes no turn or a blank."""
    found = contents(
        {"role": "user", "content": "a"},
        {"role": "user", "content": ["b", {"type": "text", "text": "c"}]},
        {"role": "assistant", "content": "d"},
        {"role": "assistant", "content": None, "refusal": "e"},
        {"role": "assistant", "content": ""},
        {"role": "user", "content": ""},
    )
    assert [(turn["role"], [part["text"] for part in turn["parts"]]) for turn in found] == [
        ("user", ["a", "b", "c"]),
        ("model", ["d", "e"]),
        ("user", [" "]),
    ]


def test_a_conversation_begins_with_the_user():
    """An assistant's message that comes first gets a blank before it."""
    assert [turn["role"] for turn in contents({"role": "assistant", "content": "x"}, *MESSAGES)] == [
        "user",
        "model",
        "user",
    ]


def call(call_id: str, name: str = "f", arguments: str = "{}", **more) -> dict:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}, **more}


def test_parallel_calls_and_their_results():
    """Results stand in one turn, in the order of the calls, with the names only the calls say."""
    found = contents(
        *MESSAGES,
        {"role": "assistant", "content": "look", "tool_calls": [call("1", "f", '{"a": 1}'), call("2", "g", "")]},
        {"role": "tool", "tool_call_id": "2", "content": [{"type": "text", "text": "two"}]},
        {"role": "tool", "tool_call_id": "1", "content": '{"one": 1}'},
        {"role": "user", "content": "and?"},
    )
    assert found[1:] == [
        {
            "role": "model",
            "parts": [
                {"text": "look"},
                {"functionCall": {"id": "1", "name": "f", "args": {"a": 1}}},
                {"functionCall": {"id": "2", "name": "g", "args": {}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"id": "1", "name": "f", "response": {"one": 1}}},
                {"functionResponse": {"id": "2", "name": "g", "response": {"result": "two"}}},
            ],
        },
        {"role": "user", "parts": [{"text": "and?"}]},
    ]


@pytest.mark.parametrize(
    ("content", "response"),
    [("", {"result": ""}), ("[1]", {"result": "[1]"}), ("12", {"result": "12"}), ("{}", {}), ("{x", {"result": "{x"})],
)
def test_results_are_objects(content, response):
    """What is no object stands under `result`."""
    found = contents(
        *MESSAGES,
        {"role": "assistant", "tool_calls": [call("1")]},
        {"role": "tool", "tool_call_id": "1", "content": content},
    )
    assert found[-1]["parts"][0]["functionResponse"]["response"] == response


def test_pictures_in_results():
    """A tool may answer with a picture."""
    content = [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": PIXEL}}]
    found = contents(
        *MESSAGES,
        {"role": "assistant", "tool_calls": [call("1")]},
        {"role": "tool", "tool_call_id": "1", "content": content},
    )
    assert found[-1]["parts"] == [
        {
            "functionResponse": {
                "id": "1",
                "name": "f",
                "response": {"result": "see"},
                "parts": [{"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}],
            }
        }
    ]


def test_old_function_calls():
    """`function_call` and the result by name have no ids."""
    found = contents(
        *MESSAGES,
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": '{"a":1}'}},
        {"role": "function", "name": "f", "content": "ok"},
    )
    assert found[1]["parts"] == [{"functionCall": {"name": "f", "args": {"a": 1}}}]
    assert found[2]["parts"] == [{"functionResponse": {"name": "f", "response": {"result": "ok"}}}]


def signatures(*calls: dict, model: str = "gemini-3-pro-preview", memory: dict | None = None) -> list:
    message = {"role": "assistant", "tool_calls": list(calls)}
    body = sent(model, messages=[*MESSAGES, message], memory=memory)
    return [part.get("thoughtSignature") for part in body["contents"][1]["parts"]]


def test_signatures():
    """The client's copy comes first, then what is remembered; Gemini 3 gets a stand-in for what nobody has."""
    signed = {"extra_content": {"google": {"thought_signature": "own"}}}
    memory = {"gemini thought_signature 1": "kept"}
    assert signatures(call("1", **signed), call("2"), memory=memory) == ["own", None]
    assert signatures(call("1"), call("2"), memory=memory) == ["kept", None]
    assert signatures(call("3"), call("2"), memory=memory) == ["skip_thought_signature_validator", None]
    assert signatures(call("3"), model="gemini-2.5-pro") == [None]


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"type": "image_url", "image_url": {"url": PIXEL}}, {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}),
        ({"type": "image_url", "image_url": PIXEL}, {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}),
        (
            {"type": "image_url", "image_url": {"url": "https://x.example/a.JPG?s=1"}},
            {"fileData": {"fileUri": "https://x.example/a.JPG?s=1", "mimeType": "image/jpeg"}},
        ),
        (
            {"type": "video_url", "video_url": {"url": "https://www.youtube.com/watch?v=1"}},
            {"fileData": {"fileUri": "https://www.youtube.com/watch?v=1"}},
        ),
        ({"type": "input_audio", "input_audio": {"data": "AA==", "format": "mp3"}}, {"inlineData": {"mimeType": "audio/mp3", "data": "AA=="}}),
        ({"type": "input_audio", "input_audio": {"data": "AA==", "format": "opus"}}, {"inlineData": {"mimeType": "audio/opus", "data": "AA=="}}),
        (
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="}},
            {"inlineData": {"mimeType": "application/pdf", "data": "AA=="}},
        ),
        ({"type": "file", "file": {"filename": "a.csv", "file_data": "AA=="}}, {"inlineData": {"mimeType": "text/csv", "data": "AA=="}}),
        (
            {"type": "file", "file": {"file_id": "files/abc", "filename": "a.pdf"}},
            {
                "fileData": {
                    "fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc",
                    "mimeType": "application/pdf",
                }
            },
        ),
        (
            {"type": "file", "file": {"file_id": "gs://b/a.mp4"}},
            {"fileData": {"fileUri": "gs://b/a.mp4", "mimeType": "video/mp4"}},
        ),
    ],
)  # fmt: skip
def test_media(part, expected):
    """Data goes along, URLs and Google's files are named."""
    assert contents({"role": "user", "content": [part]})[0]["parts"] == [expected]


@pytest.mark.parametrize(
    ("messages", "field"),
    [
        ([], "messages"),
        (None, "messages"),
        (["x"], "messages[0]"),
        ([{"role": "robot", "content": "x"}], "messages[0].role"),
        ([{"content": "x"}], "messages[0].role"),
        (
            [{"role": "system", "content": [{"type": "image_url", "image_url": {"url": PIXEL}}]}],
            "messages[0].content[0]",
        ),
        ([{"role": "user", "content": [{"type": "hologram"}]}], "messages[0].content[0].type"),
        ([{"role": "user", "content": [{"type": "image_url"}]}], "messages[0].content[0].image_url.url"),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,A"}}]}],
            "messages[0].content[0].image_url.url",
        ),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]}],
            "messages[0].content[0].image_url.url",
        ),
        ([{"role": "user", "content": [{"type": "input_audio"}]}], "messages[0].content[0].input_audio.data"),
        (
            [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}],
            "messages[0].content[0].file.file_id",
        ),
        ([{"role": "tool", "tool_call_id": "9", "content": "x"}], "messages[0].tool_call_id"),
        ([*MESSAGES, {"role": "assistant", "audio": {"id": "a"}}], "messages[1].audio"),
    ],
)
def test_impossible_messages(messages, field):
    """What cannot be sent is refused by its place."""
    assert refused(messages=messages) == field


# ── tools ────────────────────────────────────────────────────────────────────────────────────────────────────────────

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


def tool(name: str = "f", **more) -> dict:
    return {"type": "function", "function": {"name": name, **more}}


def test_tools():
    """Schemas go along as JSON Schema, those without members are left out, Google's own tools pass."""
    found = sent(
        tools=[
            tool(description="d", parameters={"$schema": "x", **SCHEMA}),
            tool("g", parameters={"type": "object", "properties": {}}),
            {"codeExecution": {}},
        ],
        web_search_options={},
    )
    assert found["tools"] == [
        {"functionDeclarations": [{"name": "f", "description": "d", "parametersJsonSchema": SCHEMA}, {"name": "g"}]},
        {"codeExecution": {}},
        {"googleSearch": {}},
    ]
    assert "toolConfig" not in found


@pytest.mark.parametrize(
    ("choice", "expected", "names"),
    [
        ("auto", {"mode": "AUTO"}, ["f", "g"]),
        ("none", {"mode": "NONE"}, ["f", "g"]),
        ("required", {"mode": "ANY"}, ["f", "g"]),
        ({"type": "function", "function": {"name": "g"}}, {"mode": "ANY", "allowedFunctionNames": ["g"]}, ["f", "g"]),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [tool("g")]}},
            {"mode": "ANY", "allowedFunctionNames": ["g"]},
            ["f", "g"],
        ),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [tool("g")]}}, {"mode": "AUTO"}, ["g"]),
    ],
)
def test_tool_choice(choice, expected, names):
    """Names may only be given where a call is forced; where it is not, the other tools are left out."""
    found = sent(tools=[tool(), tool("g")], tool_choice=choice)
    assert found["toolConfig"] == {"functionCallingConfig": expected}
    assert [one["name"] for one in found["tools"][0]["functionDeclarations"]] == names


def test_old_functions():
    """`functions` and `function_call` are tools and tool_choice."""
    found = sent(functions=[{"name": "f", "parameters": SCHEMA}], function_call={"name": "f"})
    assert found["tools"] == [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": SCHEMA}]}]
    assert found["toolConfig"]["functionCallingConfig"]["allowedFunctionNames"] == ["f"]


def test_impossible_tools():
    """Custom tools, nameless ones and a choice of what is not there are refused."""
    assert refused(tools=[tool(), {"type": "custom", "custom": {"name": "c"}}]) == "tools[1].type"
    assert refused(tools=[{"type": "function", "function": {}}]) == "tools[0].function.name"
    assert refused(tools=[tool()], tool_choice={"type": "function", "function": {"name": "x"}}) == "tool_choice"
    assert refused(tools=[tool()], tool_choice="maybe") == "tool_choice"


def test_schemas_are_cleaned():
    """`const`, `definitions` and a lone `allOf` become what Gemini knows; names of properties are no keywords."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "definitions": {"D": {"const": 1, "$comment": "c"}},
        "properties": {
            "const": {"allOf": [{"$ref": "#/definitions/D"}], "description": "d"},
            "list": {"type": "array", "items": {"anyOf": [{"const": "a"}, {"type": "null"}]}},
        },
        "additionalProperties": False,
        "required": ["const"],
    }
    assert clean_schema(schema) == {
        "type": "object",
        "$defs": {"D": {"enum": [1]}},
        "properties": {
            "const": {"$ref": "#/$defs/D", "description": "d"},
            "list": {"type": "array", "items": {"anyOf": [{"enum": ["a"]}, {"type": "null"}]}},
        },
        "additionalProperties": False,
        "required": ["const"],
    }


def test_schemas_of_any_depth():
    """A schema deeper than any real one is cut, not followed."""
    deep: dict = {}
    for _ in range(500):
        deep = {"items": deep}
    assert clean_schema(deep)["items"]["items"]


@pytest.mark.parametrize(
    ("schema", "expected"),
    [({}, True), ({"type": "object"}, True), ({"properties": {}}, True), ({"$ref": "#"}, False), (SCHEMA, False),
     ({"type": "object", "additionalProperties": {"type": "string"}}, False), ({"type": "string"}, False)],
)  # fmt: skip
def test_hollow_schemas(schema, expected):
    """An object of which nothing is said has no parameters."""
    assert is_hollow(schema) is expected


# ── settings ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"max_tokens": 5}, {"maxOutputTokens": 5}),
        ({"max_completion_tokens": 6, "max_tokens": 5}, {"maxOutputTokens": 6}),
        ({"temperature": 0, "top_p": 0.5, "top_k": 3}, {"temperature": 0, "topP": 0.5, "topK": 3}),
        ({"seed": 7, "presence_penalty": 1, "frequency_penalty": -1},
         {"seed": 7, "presencePenalty": 1, "frequencyPenalty": -1}),
        ({"stop": "x"}, {"stopSequences": ["x"]}),
        ({"stop": ["x", "y", ""]}, {"stopSequences": ["x", "y"]}),
        ({"n": 1}, {}),
        ({"n": 3}, {"candidateCount": 3}),
        ({"logprobs": True, "top_logprobs": 2}, {"responseLogprobs": True, "logprobs": 2}),
        ({"logprobs": False, "top_logprobs": 0}, {}),
        ({"response_format": {"type": "text"}}, {}),
        ({"response_format": {"type": "json_object"}}, {"responseMimeType": "application/json"}),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "n", "strict": True, "schema": SCHEMA}}},
         {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA}),
        ({"modalities": ["text"]}, {}),
        ({"modalities": ["text", "image"]}, {"responseModalities": ["TEXT", "IMAGE"]}),
        ({"modalities": ["audio"], "audio": {"voice": "Kore", "format": "pcm16"}},
         {"responseModalities": ["AUDIO"],
          "speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}}}),
    ],
)  # fmt: skip
def test_settings(fields, expected):
    """Each setting has its place in generationConfig."""
    assert config(**fields) == expected


@pytest.mark.parametrize(
    ("model", "effort", "expected"),
    [
        ("gemini-2.5-flash", "none", {"includeThoughts": False, "thinkingBudget": 0}),
        ("gemini-2.5-flash", "minimal", {"includeThoughts": True, "thinkingBudget": 1}),
        ("gemini-2.5-flash-lite", "minimal", {"includeThoughts": True, "thinkingBudget": 512}),
        ("gemini-2.5-pro", "minimal", {"includeThoughts": True, "thinkingBudget": 128}),
        ("gemini-2.5-pro", "none", {"includeThoughts": False, "thinkingBudget": 128}),
        ("gemini-2.5-flash", "low", {"includeThoughts": True, "thinkingBudget": 1024}),
        ("gemini-2.5-flash", "medium", {"includeThoughts": True, "thinkingBudget": 2048}),
        ("gemini-2.5-flash", "high", {"includeThoughts": True, "thinkingBudget": 4096}),
        ("gemini-flash-latest", "low", {"includeThoughts": True, "thinkingBudget": 1024}),
        ("gemini-3-pro-preview", "minimal", {"includeThoughts": True, "thinkingLevel": "LOW"}),
        ("gemini-3-flash", "none", {"includeThoughts": False, "thinkingLevel": "MINIMAL"}),
        ("gemini-3-flash", "medium", {"includeThoughts": True, "thinkingLevel": "MEDIUM"}),
        ("gemini-3.1-pro-preview", "xhigh", {"includeThoughts": True, "thinkingLevel": "HIGH"}),
    ],
)
def test_reasoning_effort(model, effort, expected):
    """2.5 counts tokens of thought, 3 has levels."""
    assert config(model, reasoning_effort=effort) == {"thinkingConfig": expected}


def test_models_that_do_not_think():
    """Older models have no place for an effort."""
    assert outgoing("gemini-2.0-flash", reasoning_effort="low").ignored == ("reasoning_effort",)
    assert outgoing("gemma-3-27b-it", reasoning_effort="low").ignored == ("reasoning_effort",)


def test_what_google_adds_to_openais_body():
    """`extra_body.google`, or `google` itself, is read as Google's OpenAI endpoint reads it."""
    google = {"thinking_config": {"include_thoughts": True, "thinking_budget": 9}, "cached_content": "cachedContents/1"}
    for found in (sent(extra_body={"google": google}), sent(google=google, reasoning_effort="high")):
        assert found["cachedContent"] == "cachedContents/1"
        assert found["generationConfig"] == {"thinkingConfig": {"includeThoughts": True, "thinkingBudget": 9}}
    safety = [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}]
    assert sent(safety_settings=safety)["safetySettings"] == safety
    assert outgoing(extra_body={"google": {"new": 1}, "x": 2}).ignored == ("extra_body.x", "google.new")


@pytest.mark.parametrize(
    ("tier", "expected"), [("flex", "flex"), ("priority", "priority"), ("default", "standard"), ("auto", None)]
)
def test_tiers(tier, expected):
    """Google's tiers have OpenAI's names."""
    assert sent(service_tier=tier).get("serviceTier") == expected


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"logit_bias": {"1": 2}, "user": "u", "metadata": {"a": "b"}, "store": True}, {"logit_bias", "user", "metadata", "store"}),
        ({"user": None, "logit_bias": {}, "parallel_tool_calls": True, "verbosity": "medium"}, set()),
        ({"tools": [tool(strict=True), tool("g", strict=True)], "parallel_tool_calls": False},
         {"parallel_tool_calls", "tools.function.strict"}),
        ({"service_tier": "scale"}, {"service_tier"}),
        ({"top_logprobs": 2}, {"top_logprobs"}),
        ({"modalities": ["audio"], "audio": {"voice": {"id": "Kore"}, "format": "mp3"}}, {"audio.format"}),
        ({"web_search_options": {"search_context_size": "low"}}, {"web_search_options.search_context_size"}),
        ({"messages": [{"role": "user", "name": "Ada", "content": [
            {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}}]}]}, {"messages.name", "image_url.detail"}),
    ],
)  # fmt: skip
def test_ignored_fields_are_named(fields, names):
    """Nothing is dropped silently; what asks for what happens anyway is not named."""
    found = outgoing(**fields).ignored
    assert set(found) == names
    assert len(found) == len(names)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"model": ""}, "model"),
        ({"stop": list("abcdef")}, "stop"),
        ({"response_format": {"type": "grammar"}}, "response_format"),
        ({"reasoning_effort": "extreme"}, "reasoning_effort"),
        ({"modalities": ["text", "smell"]}, "modalities[1]"),
    ],
)
def test_impossible_settings(fields, field):
    """What Gemini cannot do is refused by name."""
    assert refused(**fields) == field


FIELDS = (
    "role", "content", "type", "text", "image_url", "url", "input_audio", "data", "format", "file", "file_id", "filename",
    "tool_calls", "function", "function_call", "id", "name", "arguments", "tool_call_id", "extra_content", "google",
    "parameters", "properties", "items", "const", "allOf", "definitions", "json_schema", "schema", "mode", "allowed_tools",
)  # fmt: skip
ROLES = st.sampled_from(["system", "user", "assistant", "tool", "function"])
FIELD_NAMES = (
    "tools", "tool_choice", "functions", "function_call", "stop", "n", "logprobs", "top_logprobs", "response_format",
    "reasoning_effort", "modalities", "audio", "service_tier", "web_search_options", "extra_body", "google", "max_tokens",
    "safety_settings", "input", "dimensions", "model", "stream_options",
)  # fmt: skip


@given(
    st.lists(st.tuples(json_values(*FIELDS), ROLES), max_size=4),
    st.dictionaries(st.sampled_from(FIELD_NAMES), json_values(*FIELDS), max_size=4),
)
@settings(max_examples=400, deadline=None)
def test_no_request_breaks_it(messages, fields):
    """Whatever a client sends is sent on or refused by name."""
    given_messages = [{**one, "role": role} if isinstance(one, dict) else one for one, role in messages]
    for operation in ("chat", "embeddings"):
        body = {"model": "gemini-3-flash", "messages": given_messages, **fields}
        with suppress(BadRequest):
            found = GEMINI.operations[operation].request(body, Target(GEMINI.root))
            json.loads(found.body)
            assert all(isinstance(name, str) for name in found.ignored)


# ── embeddings ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_one_text_to_embed():
    """A single text is embedded by itself."""
    found = outgoing("gemini-embedding-001", "embeddings", input="x", dimensions=8, encoding_format="base64", user="u")
    assert (found.path, found.ignored) == ("/v1beta/models/gemini-embedding-001:embedContent", ("user",))
    assert json.loads(found.body) == {"content": {"parts": [{"text": "x"}]}, "outputDimensionality": 8}


def test_several_texts_to_embed():
    """A list is a batch, in order, each with the settings."""
    found = outgoing("gemini-embedding-001", "embeddings", input=["x", "y"], task_type="RETRIEVAL_QUERY")
    assert found.path == "/v1beta/models/gemini-embedding-001:batchEmbedContents"
    assert json.loads(found.body)["requests"] == [
        {"model": "models/gemini-embedding-001", "content": {"parts": [{"text": text}]}, "taskType": "RETRIEVAL_QUERY"}
        for text in "xy"
    ]


@pytest.mark.parametrize(
    ("given", "field"), [(None, "input"), ([], "input"), ([1, 2], "input[0]"), (["x", [1]], "input[1]")]
)
def test_impossible_inputs(given, field):
    """Token numbers are another model's."""
    assert refused("embeddings", input=given) == field
