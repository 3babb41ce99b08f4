"""What an OpenAI client asks for, as Anthropic is asked for it."""

import base64
import json

import pytest
from anthropic_like import complaint
from hypothesis import given, settings
from hypothesis import strategies as st
from llmflow_web.providers.anthropic import ANTHROPIC
from llmflow_web.providers.anthropic_models import abilities_of
from llmflow_web.providers.anthropic_schema import native_schema

from llmflow_web.errors import BadRequest
from llmflow_web.provider import Outgoing, Target

OLD, NEW, NEWEST = "claude-sonnet-4-5", "claude-opus-4-6", "claude-opus-5-5"
TARGET = Target("https://api.anthropic.com")
PIXEL = base64.b64encode(b"\x89PNG").decode()
TOOL = {"type": "function", "function": {"name": "add", "description": "Adds.", "parameters": {"type": "object"}}}
OTHER = {"type": "function", "function": {"name": "sub"}}
PERSON = {
    "type": "object",
    "properties": {"name": {"type": ["string", "null"], "minLength": 1}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name", "age"],
}


def send(*messages: dict, model: str = OLD, options: dict | None = None, **fields) -> Outgoing:
    body = {"model": model, "messages": list(messages) or [{"role": "user", "content": "Hi"}], **fields}
    return ANTHROPIC.operations["chat"].request(body, Target("https://api.anthropic.com", options=options or {}))


def sent(*messages: dict, **fields) -> dict:
    """Translate, and hold the result to what the API accepts."""
    body = json.loads(send(*messages, **fields).body)
    assert complaint(body) is None
    return body


def ignored(*messages: dict, **fields) -> tuple[str, ...]:
    sent(*messages, **fields)
    return send(*messages, **fields).ignored


def turns(*messages: dict, **fields) -> list:
    return [(m["role"], m["content"]) for m in sent(*messages, **fields)["messages"]]


def user(content) -> dict:
    return {"role": "user", "content": content}


def calls(*names_and_ids: tuple[str, str, str], content=None) -> dict:
    made = [{"id": i, "type": "function", "function": {"name": n, "arguments": a}} for n, i, a in names_and_ids]
    return {"role": "assistant", "content": content, "tool_calls": made}


def result(call_id: str, content) -> dict:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def text(value: str) -> dict:
    return {"type": "text", "text": value}


def refused(*messages: dict, **fields) -> str | None:
    with pytest.raises(BadRequest) as caught:
        send(*messages, **fields)
    assert caught.value.param in caught.value.message
    return caught.value.param


# ── messages ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_least():
    """A message and a model are enough; the limit Anthropic wants is added."""
    made = send(user("Hi"))
    assert (made.method, made.path, made.ignored) == ("POST", "/v1/messages", ())
    assert json.loads(made.body) == {"model": OLD, "max_tokens": 4096, "messages": [user("Hi")]}
    assert send(model="anthropic/claude-sonnet-4-5").body == send().body


def test_system():
    """Leading system and developer messages become `system`, in order and with their cache marks."""
    assert sent({"role": "system", "content": "Be brief."}, user("Hi"))["system"] == "Be brief."
    mark = {"type": "ephemeral", "ttl": "1h"}
    body = sent(
        {"role": "system", "content": [{**text("A"), "cache_control": mark}, text(" ")]},
        {"role": "developer", "content": "B"},
        user("Hi"),
    )
    assert body["system"] == [{**text("A"), "cache_control": mark}, text("B")]
    assert body["messages"] == [user("Hi")]


def test_later_system_messages():
    """They stand where they were on models that take them, after a user's turn; else they join `system`."""
    talk = [user("1"), {"role": "system", "content": "Now in French."}]
    assert sent(*talk)["system"] == "Now in French."
    assert turns(*talk, model=NEWEST) == [("user", "1"), ("system", "Now in French.")]
    inside = [*talk, user("2")]
    assert sent(*inside, model=NEWEST)["system"] == "Now in French."


def test_only_system():
    """A turn of the user is made up where there is none."""
    assert turns({"role": "system", "content": "Go."}) == [("user", ".")]


def test_roles_are_merged():
    """Consecutive messages of one role are one turn; a conversation opens with the user."""
    talk = [{"role": "assistant", "content": "Hello"}, user("a"), user([text("b"), text("")]), user("")]
    assert turns(*talk) == [("user", "."), ("assistant", "Hello"), ("user", [text("a"), text("b")])]


def test_empty_turns():
    """An empty turn of the user gets a full stop, one of the assistant is left out."""
    assert turns(user(" ")) == [("user", ".")]
    assert turns(user("a"), {"role": "assistant", "content": ""}, user("b")) == [("user", [text("a"), text("b")])]


def test_the_start_of_an_answer():
    """A last message of the assistant stays, without white space at its end."""
    assert turns(user("a"), {"role": "assistant", "content": "So: \n"})[-1] == ("assistant", "So:")


def test_tools_and_results():
    """Parallel calls are one turn, their results one turn of the user, before any text."""
    talk = [
        user("?"),
        calls(("add", "call_1", '{"a": 1}'), ("sub", "call.2/x", ""), content="Wait."),
        result("call_1", "3"),
        result("call.2/x", [text("4"), text("5")]),
        user("And?"),
    ]
    use = {"type": "tool_use", "id": "call_1", "name": "add", "input": {"a": 1}}
    other = {"type": "tool_use", "id": "call_2_x", "name": "sub", "input": {}}
    assert turns(*talk, tools=[TOOL, OTHER])[1:] == [
        ("assistant", [text("Wait."), use, other]),
        (
            "user",
            [
                {"type": "tool_result", "tool_use_id": "call_1", "content": "3"},
                {"type": "tool_result", "tool_use_id": "call_2_x", "content": [text("4"), text("5")]},
                text("And?"),
            ],
        ),
    ]


def test_arguments_that_are_no_object():
    """Broken arguments of an earlier call are kept under `_raw`."""
    talk = [user("?"), calls(("add", "c", '{"a":')), result("c", "")]
    assert turns(*talk, tools=[TOOL])[1][1][0]["input"] == {"_raw": '{"a":'}


def test_tools_of_the_past():
    """Tools that were called and are not declared any more are declared, and may not be called."""
    body = sent(user("?"), calls(("add", "c", "{}")), result("c", "3"))
    assert body["tools"] == [{"name": "add", "input_schema": {"type": "object", "properties": {}}}]
    assert body["tool_choice"] == {"type": "none"}


def test_the_old_function_call():
    """functions, function_call and role function are tools, calls and results."""
    said = {"role": "assistant", "content": None, "function_call": {"name": "add", "arguments": '{"a": 2}'}}
    body = sent(
        user("?"),
        said,
        {"role": "function", "name": "add", "content": "3"},
        functions=[TOOL["function"]],
        function_call={"name": "add"},
    )
    use, got = body["messages"][1]["content"][0], body["messages"][2]["content"][0]
    assert use["input"] == {"a": 2}
    assert use["id"] == got["tool_use_id"]
    assert body["tool_choice"] == {"type": "tool", "name": "add", "disable_parallel_tool_use": True}


def test_images():
    """Data URLs and https URLs become image blocks."""
    parts = [
        text("What?"),
        {"type": "image_url", "image_url": {"url": f"data:image/jpg;base64,{PIXEL}", "detail": "high"}},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
    ]
    assert turns(user(parts))[0][1][1:] == [
        {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": PIXEL}},
        {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}},
    ]


def test_files():
    """PDFs and texts become documents, files of Anthropic's are named, with the beta they need."""
    data = base64.b64encode("Grüße".encode()).decode()
    parts = [
        {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PIXEL}"}},
        {"type": "file", "file": {"filename": "a.txt", "file_data": f"data:text/plain;base64,{data}"}},
        {"type": "file", "file": {"file_id": "file_1"}},
    ]
    made = [block["source"] for block in turns(user(parts))[0][1]]
    assert made[0] == {"type": "base64", "media_type": "application/pdf", "data": PIXEL}
    assert made[1] == {"type": "text", "media_type": "text/plain", "data": "Grüße"}
    assert made[2] == {"type": "file", "file_id": "file_1"}
    assert ("anthropic-beta", "files-api-2025-04-14") in send(user(parts)).headers


def test_pictures_in_results():
    """A tool may answer with a picture."""
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    got = turns(user("?"), calls(("add", "c", "{}")), result("c", [picture]), tools=[TOOL])[2][1][0]
    assert got["content"][0]["type"] == "image"


def test_thinking_comes_back():
    """Signed thinking of an earlier answer opens its turn; what is not signed is left out."""
    signed = {"type": "thinking", "thinking": "hm", "signature": "s"}
    said = {"role": "assistant", "content": "Yes", "thinking_blocks": [signed, {"type": "thinking", "thinking": "x"}]}
    assert turns(user("?"), said, user("!"))[1][1] == [signed, text("Yes")]
    said = {"role": "assistant", "content": "Yes", "reasoning_details": [
        {"type": "reasoning.text", "text": "hm", "signature": "s"}, {"type": "reasoning.encrypted", "data": "d"},
    ]}  # fmt: skip
    assert turns(user("?"), said, user("!"))[1][1][:2] == [signed, {"type": "redacted_thinking", "data": "d"}]


def test_cache_marks():
    """Marks on parts, messages and tools go along."""
    mark = {"type": "ephemeral"}
    body = sent(
        {**user([text("a"), {**text("b"), "cache_control": mark}]), "cache_control": mark},
        tools=[{**TOOL, "cache_control": mark}],
        cache_control=mark,
    )
    assert body["messages"][0]["content"] == [text("a"), {**text("b"), "cache_control": mark}]
    assert body["tools"][0]["cache_control"] == body["cache_control"] == mark


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([user([{"type": "input_audio", "input_audio": {}}])], "messages[0].content[0].input_audio"),
        ([user("x"), user([{"type": "video"}])], "messages[1].content[0].type"),
        ([user([{"type": "image_url", "image_url": {"url": "/tmp/a.png"}}])], "messages[0].content[0].image_url.url"),
        ([user([{"type": "file", "file": {}}])], "messages[0].content[0].file"),
        ([user([{"type": "file", "file": {"file_data": "data:audio/mp3;base64,AA=="}}])],
         "messages[0].content[0].file.file_data"),
        ([{"role": "robot", "content": "x"}], "messages[0].role"),
        ([{"role": "tool", "content": "x"}], "messages[0].tool_call_id"),
        (["x"], "messages[0]"),
    ],
)  # fmt: skip
def test_impossible_messages(messages, param):
    """What Anthropic cannot read is refused by name."""
    assert refused(*messages) == param


# ── tools ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_tools():
    """Functions become tools; a missing schema is one that takes nothing; Anthropic's own tools pass."""
    own = {"type": "bash_20250124", "name": "bash"}
    assert sent(tools=[TOOL, OTHER, own])["tools"] == [
        {"name": "add", "description": "Adds.", "input_schema": {"type": "object"}},
        {"name": "sub", "input_schema": {"type": "object", "properties": {}}},
        own,
    ]


def test_strict_tools():
    """Strictness goes along where the model and the schema allow it, else it is listed."""
    tool = {"type": "function", "function": {"name": "f", "parameters": PERSON, "strict": True}}
    made = sent(tools=[tool])["tools"][0]
    assert made["strict"] is True
    assert made["input_schema"]["additionalProperties"] is False
    assert ignored(tools=[tool], model="claude-opus-4-1") == ("tools.function.strict",)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", {"type": "auto"}),
        ("none", {"type": "none"}),
        ("required", {"type": "any"}),
        ({"type": "function", "function": {"name": "sub"}}, {"type": "tool", "name": "sub"}),
    ],
)
def test_tool_choice(choice, expected):
    """Every form has its native one, alone and with single calls."""
    assert sent(tools=[TOOL, OTHER], tool_choice=choice)["tool_choice"] == expected
    single = sent(tools=[TOOL, OTHER], tool_choice=choice, parallel_tool_calls=False)["tool_choice"]
    assert single == (expected if choice == "none" else {**expected, "disable_parallel_tool_use": True})


def test_tool_choice_of_some():
    """Allowed tools are the only ones sent."""
    some = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [OTHER]}}
    body = sent(tools=[TOOL, OTHER], tool_choice=some)
    assert ([tool["name"] for tool in body["tools"]], body["tool_choice"]) == (["sub"], {"type": "any"})


def test_single_calls_without_a_choice():
    """parallel_tool_calls alone makes an automatic choice."""
    body = sent(tools=[TOOL], parallel_tool_calls=False)
    assert body["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}


def test_models_that_cannot_be_forced():
    """They get the one tool that was named and decide themselves; that is listed."""
    choice = {"type": "function", "function": {"name": "sub"}}
    body = sent(tools=[TOOL, OTHER], tool_choice=choice, model=NEWEST)
    assert ([tool["name"] for tool in body["tools"]], body["tool_choice"]) == (["sub"], {"type": "auto"})
    assert ignored(tools=[TOOL], tool_choice="required", model=NEWEST) == ("tool_choice",)


def test_web_search():
    """web_search_options is Anthropic's own tool."""
    place = {"type": "approximate", "approximate": {"city": "Köln", "country": "DE"}}
    body = sent(web_search_options={"user_location": place})
    assert body["tools"] == [
        {
            "type": "web_search_20250305",
            "name": "web_search",
            "user_location": {"type": "approximate", "city": "Köln", "country": "DE"},
        }
    ]
    assert ignored(web_search_options={"search_context_size": "high"}) == ("web_search_options.search_context_size",)


# ── structured output ────────────────────────────────────────────────────────────────────────────────────────────────


def wanted(schema: dict) -> dict:
    return {"type": "json_schema", "json_schema": {"name": "person", "schema": schema}}


def test_native_schema():
    """Models that have structured output get the schema, closed, with limits in the description."""
    form = sent(response_format=wanted(PERSON))["output_config"]["format"]
    assert form["schema"] == {
        "type": "object",
        "properties": {
            "name": {"anyOf": [{"type": "string"}, {"type": "null"}], "description": "(minLength: 1)"},
            "age": {"type": "integer", "description": "(minimum: 0)"},
        },
        "required": ["name", "age"],
        "additionalProperties": False,
    }


def test_the_tool_that_takes_the_answer():
    """Older models, and schemas that cannot be closed, get a tool whose input is the answer."""
    body = sent(response_format=wanted(PERSON), model="claude-opus-4-1")
    assert body["tools"][0]["input_schema"] == PERSON
    assert body["tool_choice"] == {"type": "tool", "name": "json_response"}
    free = {"type": "object", "additionalProperties": {"type": "integer"}}
    assert sent(response_format=wanted(free))["tools"][0]["input_schema"] == free
    both = sent(response_format=wanted(free), tools=[TOOL], reasoning_effort="high")
    assert both["tool_choice"] == {"type": "any"}
    assert ignored(response_format=wanted(free), reasoning_effort="high") == ("reasoning_effort",)


def test_a_hint():
    """json_object, and an open schema where tools cannot be forced, are asked for in words."""
    assert "valid JSON" in sent(response_format={"type": "json_object"})["system"]
    free = {"type": "object", "additionalProperties": {"type": "integer"}}
    assert json.dumps(free) in sent(response_format=wanted(free), model=NEWEST)["system"]
    assert "system" not in sent(response_format={"type": "text"})


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object"},
        {"type": "object", "properties": {}, "additionalProperties": True},
        {"type": "object", "properties": {"a": {}}},
        {"$ref": "https://example.org/schema"},
        {"type": "object", "properties": {"next": {"$ref": "#"}}},
        {"$ref": "#/$defs/A", "$defs": {"A": {"type": "array", "items": {"$ref": "#/$defs/B"}},
                                       "B": {"type": "array", "items": {"$ref": "#/$defs/A"}}}},
        [],
    ],
)  # fmt: skip
def test_schemas_that_cannot_be_said(schema):
    """Open, untyped, foreign and recursive schemas are not expressible."""
    assert native_schema(schema) is None


def test_schema_parts():
    """Definitions, unions, literals, arrays and formats keep their meaning."""
    schema = {
        "$defs": {"Day": {"enum": ["mon", "tue"], "type": "string", "title": "Day"}},
        "type": "object",
        "description": "A plan.",
        "properties": {
            "day": {"$ref": "#/$defs/Day"},
            "at": {"type": "string", "format": "time"},
            "tags": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 3},
            "what": {"oneOf": [{"const": 1}, {"type": "boolean"}]},
        },
    }
    made = native_schema(schema)
    assert made["$defs"] == {"Day": {"title": "Day", "enum": ["mon", "tue"]}}
    assert made["properties"] == {
        "day": {"$ref": "#/$defs/Day"},
        "at": {"type": "string", "format": "time"},
        "tags": {"type": "array", "items": {"type": "string"}, "minItems": 1, "description": "(maxItems: 3)"},
        "what": {"anyOf": [{"const": 1}, {"type": "boolean"}]},
    }
    assert schema["properties"]["tags"]["maxItems"] == 3  # the client's schema is left as it was


# ── thinking, limits, sampling ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("model", "effort", "expected", "max_tokens"),
    [
        (OLD, "low", {"thinking": {"type": "enabled", "budget_tokens": 1024}}, 5120),
        (OLD, "high", {"thinking": {"type": "enabled", "budget_tokens": 4096}}, 8192),
        (OLD, "none", {}, 4096),
        (NEW, "minimal", {"thinking": {"type": "adaptive", "display": "summarized"},
                          "output_config": {"effort": "low"}}, 5120),
        (NEW, "xhigh", {"thinking": {"type": "adaptive", "display": "summarized"},
                        "output_config": {"effort": "high"}}, 12288),
        (NEWEST, "max", {"thinking": {"type": "adaptive", "display": "summarized"},
                         "output_config": {"effort": "max"}}, 20480),
    ],
)  # fmt: skip
def test_reasoning_effort(model, effort, expected, max_tokens):
    """Effort is a budget for older models, adaptive thinking for newer ones; the answer keeps its room."""
    body = sent(model=model, reasoning_effort=effort)
    assert {name: body[name] for name in ("thinking", "output_config") if name in body} == expected
    assert body["max_tokens"] == max_tokens


def test_limits():
    """Either name of the limit is taken; thinking that would leave no room comes on top."""
    assert sent(max_tokens=10)["max_tokens"] == 10
    assert sent(max_completion_tokens=20, max_tokens=10)["max_tokens"] == 20
    assert sent(max_tokens=100, reasoning_effort="high")["max_tokens"] == 4196
    assert sent(max_tokens=9000, reasoning_effort="high")["max_tokens"] == 9000
    assert sent(max_tokens=100, reasoning_effort="high", model=NEWEST)["max_tokens"] == 100


def test_thinking_gives_way():
    """Forced tools, thoughts that did not come back and models without thinking exclude it."""
    assert "thinking" not in sent(tools=[TOOL], tool_choice="required", reasoning_effort="low")
    body = sent(tools=[TOOL], tool_choice="required", reasoning_effort="low", model=NEW)
    assert ("thinking" not in body, body["output_config"]) == (True, {"effort": "low"})
    talk = [user("?"), calls(("add", "c", "{}")), result("c", "3")]
    assert ignored(*talk, tools=[TOOL], reasoning_effort="low") == ("reasoning_effort",)
    assert "thinking" in sent(*talk, tools=[TOOL], reasoning_effort="low", model=NEW)
    assert ignored(model="claude-3-5-haiku-20241022", reasoning_effort="low") == ("reasoning_effort",)


def test_sampling():
    """Temperature is limited to 1, and wins over top_p."""
    assert sent(temperature=0.3, top_p=0.9)["temperature"] == 0.3
    assert ignored(temperature=0.3, top_p=0.9) == ("top_p",)
    assert sent(temperature=1.7)["temperature"] == 1
    assert ignored(temperature=1.7) == ("temperature above 1",)
    assert sent(top_p=0.9, top_k=4)["top_p"] == 0.9


def test_sampling_that_is_refused():
    """Newer models, a newer API version and thinking take no sampling; 1 is what happens anyway."""
    for fields in ({"model": NEWEST}, {"reasoning_effort": "low"}, {"options": {"anthropic-version": "2026-10-21"}}):
        assert ignored(temperature=0.5, top_p=0.5, top_k=3, **fields) == ("temperature", "top_p", "top_k")
        assert ignored(temperature=1, top_p=1, **fields) == ()


@pytest.mark.parametrize(
    ("model", "sampling", "adaptive", "native", "forced"),
    [
        ("claude-3-haiku-20240307", True, False, False, True),
        ("claude-opus-4-20250514", True, False, False, True),
        ("claude-haiku-4-5-20251001", True, False, True, True),
        ("claude-opus-4-6", True, True, True, True),
        ("claude-opus-4-7-20260416", False, True, True, True),
        ("claude-sonnet-5", False, True, True, True),
        ("claude-haiku-5-5", False, True, True, True),
        ("claude-fable-5-1", False, True, True, False),
        ("claude-opus-6-20270101", False, True, True, False),
        ("claude-mythos-preview", False, True, True, True),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", True, False, True, True),
        ("kimi-k2", True, False, False, True),
    ],
)
def test_abilities(model, sampling, adaptive, native, forced):
    """Models are told by family and version, tomorrow's like the newest."""
    found = abilities_of(model)
    known = (found.takes_sampling, found.has_adaptive_thinking, found.has_native_schema, found.takes_forced_tools)
    assert known == (sampling, adaptive, native, forced)


# ── the rest ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_small_fields():
    """Stops, users and tiers have their places."""
    assert sent(stop="END")["stop_sequences"] == ["END"]
    assert sent(stop=["\n", "END"])["stop_sequences"] == ["END"]
    assert ignored(stop=["\n"]) == ("stop of white space",)
    assert sent(user="u1")["metadata"] == sent(safety_identifier="u1")["metadata"] == {"user_id": "u1"}
    assert sent(metadata={"user_id": "u1"})["metadata"] == {"user_id": "u1"}
    assert ignored(metadata={"run": "7"}) == ("metadata",)
    assert sent(service_tier="default")["service_tier"] == "standard_only"
    assert ignored(service_tier="flex") == ("service_tier",)
    assert sent(stream=True, stream_options={"include_usage": True})["stream"] is True


def test_ignored_fields_are_listed():
    """What has no place is named, what asks for nothing is not."""
    asked = {"seed": 7, "logprobs": True, "presence_penalty": 0.5, "logit_bias": {"1": 2}, "store": True, "new": 1}
    assert set(ignored(**asked)) == set(asked)
    assert ignored(n=1, seed=None, frequency_penalty=0, logprobs=False, store=False, modalities=["text"]) == ()
    assert ignored(**{"x\r\nset-cookie: ä": 1}) == ("x??set-cookie???",)
    assert ignored({**user("Hi"), "name": "Ann"}) == ("messages.name",)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools[0].type"),
        ({"tool_choice": "maybe"}, "tool_choice"),
        ({"reasoning_effort": "huge"}, "reasoning_effort"),
        ({"model": ""}, "model"),
        ({"messages": None}, "messages"),
    ],
)
def test_impossible_fields(fields, param):
    """What cannot be done is refused by name."""
    assert refused(**fields) == param


def test_native_fields_pass():
    """Fields of the Messages API that a client adds go through as they are."""
    thinking = {"type": "enabled", "budget_tokens": 2000}
    body = sent(thinking=thinking, temperature=0.2, max_tokens=3000, reasoning_effort="low")
    assert (body["thinking"], "temperature" in body, body["max_tokens"]) == (thinking, False, 3000)
    merged = sent(output_config={"effort": "max"}, response_format=wanted(PERSON), model=NEW)["output_config"]
    assert (merged["effort"], merged["format"]["type"]) == ("max", "json_schema")


WORDS = st.sampled_from(["", " ", "x", "Hello \n", "Grüße", "\ud800"])
CONTENT = st.one_of(st.none(), WORDS, st.lists(WORDS.map(text), max_size=3))
ROUND = st.one_of(
    CONTENT.map(lambda c: [{"role": "system", "content": c}]),
    CONTENT.map(lambda c: [user(c)]),
    CONTENT.map(lambda c: [{"role": "assistant", "content": c}]),
    st.tuples(CONTENT, st.lists(st.sampled_from("abc/"), min_size=1, max_size=3, unique=True)).map(
        lambda t: [
            calls(*(("add", f"id_{letter}", "{}") for letter in t[1]), content=t[0]),
            *(result(f"id_{letter}", t[0]) for letter in reversed(t[1])),
        ]
    ),
)


@given(
    rounds=st.lists(ROUND, max_size=6),
    model=st.sampled_from([OLD, NEW, NEWEST, "claude-opus-4-1", "claude-haiku-5-5"]),
    fields=st.fixed_dictionaries(
        {},
        optional={
            "temperature": st.floats(0, 2),
            "top_p": st.floats(0, 1),
            "max_tokens": st.integers(0, 9000),
            "reasoning_effort": st.sampled_from(["none", "minimal", "medium", "xhigh"]),
            "tools": st.sampled_from([[TOOL], [TOOL, OTHER]]),
            "tool_choice": st.sampled_from(["auto", "none", "required"]),
            "parallel_tool_calls": st.booleans(),
            "response_format": st.sampled_from([{"type": "json_object"}, wanted(PERSON), wanted({"type": "object"})]),
            "stop": st.lists(WORDS, max_size=2),
        },
    ),
)
@settings(max_examples=400, deadline=None)
def test_the_api_accepts_every_conversation(rounds, model, fields):
    """Whatever a client may say to OpenAI comes out as something the Messages API takes."""
    body = {"model": model, "messages": [message for part in rounds for message in part], **fields}
    made = json.loads(ANTHROPIC.operations["chat"].request(body, TARGET).body)
    assert complaint(made) is None
