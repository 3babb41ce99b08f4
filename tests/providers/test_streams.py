"""Every provider's streams: cut anywhere they give the same answer, and the answer of the same call not streamed."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types import Completion as TextCompletion
from openai.types import ImagesResponse
from openai.types.chat import ChatCompletion
from openai.types.responses import Response

from llmflow_web.model import Completion
from llmflow_web.provider import Event
from llmflow_web.registry import PROVIDERS
from llmflow_web.wire.sse import SSEDecoder

FIXTURES = Path(__file__).parent.parent / "fixtures" / "openai"
ROWS = {provider.name: provider for provider in PROVIDERS}
CHAT, RESPONSES = {"messages": [{"role": "user", "content": "?"}]}, {"input": "?"}

# fixture → (operation, request)
COMMON = {
    "chat_text": ("chat", CHAT),
    "chat_tools": ("chat", CHAT),
    "chat_choices": ("chat", CHAT),
    "chat_audio": ("chat", CHAT),
    "completion": ("text_completion", {"prompt": "x"}),
    "responses": ("chat", RESPONSES),
    "image": ("image_generation", {"prompt": "x"}),
    "transcription": ("transcription", {}),
    "speech": ("speech", {"input": "Hallo", "voice": "alloy"}),
}
OWN = {
    "groq": "groq",
    "mistral": "mistral",
    "openrouter": "openrouter",
    "perplexity": "perplexity",
    "deepseek": "deepseek",
    "xai": "xai",
    "vllm": "vllm",
}
CASES = [(row, name) for row in ROWS for name in ("chat_text", "chat_tools", "completion")]
CASES += [("openai", name) for name in COMMON if ("openai", name) not in CASES]
CASES += list(OWN.items())
TYPES = {"chat": ChatCompletion, "text_completion": TextCompletion, "image_generation": ImagesResponse}


def fixture(name: str) -> tuple[bytes, dict]:
    return (FIXTURES / f"{name}.sse").read_bytes(), json.loads((FIXTURES / f"{name}.json").read_text())


def asked(name: str) -> tuple[str, dict]:
    return COMMON.get(name, ("chat", CHAT))


def streamed(row: str, name: str, data: bytes, *cuts: int):
    """Run `data`, cut at `cuts`, through decoder and machine."""
    machine = ROWS[row].stream(*asked(name))
    decoder = SSEDecoder()
    chunks = []
    for start, end in pairwise([0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]):
        for event in decoder.feed(data[start:end]):
            chunks += machine.feed(event)
    for event in decoder.finish():
        chunks += machine.feed(event)
    chunks += machine.finish()
    return machine, chunks


def facts(completion: Completion) -> tuple:
    usage = completion.usage
    return (
        completion.id,
        completion.model,
        completion.text,
        completion.reasoning,
        completion.refusal,
        completion.tool_calls,
        completion.finish_reason,
        completion.error,
        usage,
        len(completion.choices),
    )


@pytest.mark.parametrize(("row", "name"), CASES)
def test_streamed_is_not_streamed(row, name):
    """The assembled answer says what the whole one says, usage and cost included."""
    data, body = fixture(name)
    machine, _ = streamed(row, name, data)
    operation, request = asked(name)
    assert facts(machine.result) == facts(ROWS[row].answer(operation, request, body))
    assert machine.is_complete


@pytest.mark.parametrize(("row", "name"), CASES)
def test_the_assembled_body_is_the_whole_body(row, name):
    """Where the sheet fixes the shape, the assembled body equals the whole one but for our two marks."""
    data, body = fixture(name)
    made = dict(streamed(row, name, data)[0].result.body or {})
    assert made.pop("_streaming") is True
    assert made.pop("_chunks") > 0
    if name in COMMON:
        assert made == body


@pytest.mark.parametrize(("row", "name"), CASES)
def test_the_assembled_body_is_what_the_openai_package_expects(row, name):
    """The official types accept it."""
    operation, request = asked(name)
    body = streamed(row, name, fixture(name)[0])[0].result.body
    kind = Response if request is RESPONSES else TYPES.get(operation)
    if kind is not None:
        kind.model_validate(body, strict=False)


@pytest.mark.parametrize(("row", "name"), CASES)
@given(cuts=st.lists(st.integers(0, 6000), max_size=8))
@settings(max_examples=12, deadline=None)
def test_any_cut(row, name, cuts):
    """However the bytes come, the answer is the same."""
    data, _ = fixture(name)
    whole, _ = streamed(row, name, data)
    machine, _ = streamed(row, name, data, *cuts)
    assert machine.result.body == whole.result.body
    assert (machine.count, machine.first_content) == (whole.count, whole.first_content)


@pytest.mark.parametrize(("row", "name"), CASES)
def test_every_prefix_can_be_finished(row, name):
    """A stream cut anywhere still gives an answer, whose text only grows."""
    data, _ = fixture(name)
    last = ""
    for end in range(0, len(data), 7):
        result = streamed(row, name, data[:end])[0].result
        assert result.text.startswith(last) or not last
        last = result.text


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("chat_text", 1),
        ("chat_tools", 1),
        ("chat_choices", 2),
        ("chat_audio", 0),
        ("completion", 0),
        ("responses", 4),
        ("image", 0),
        ("transcription", 0),
        ("speech", 0),
        ("groq", 1),
        ("deepseek", 1),
    ],
)
def test_first_content(name, index):
    """The first event with content is the first that says something, not the one that names the role."""
    machine, _ = streamed("openai", name, fixture(name)[0])
    assert machine.first_content == index


def events(*chunks: object) -> list[Event]:
    return [Event("message", chunk if isinstance(chunk, str) else json.dumps(chunk)) for chunk in chunks]


def result_of(*chunks: object, operation: str = "chat", request: dict | None = None, row: str = "openai") -> Completion:
    machine = ROWS[row].stream(operation, CHAT if request is None else request)
    for event in events(*chunks):
        machine.feed(event)
    machine.finish()
    return machine.result


def delta(fragment: dict, index: int = 0, finish: str | None = None) -> dict:
    return {"choices": [{"index": index, "delta": fragment, "finish_reason": finish}]}


def call(arguments: object, **more: object) -> dict:
    name = more.pop("name", None)
    function = {"arguments": arguments} | ({"name": name} if name else {})
    return delta({"tool_calls": [{**more, "function": function}]})


def calls_of(*chunks: dict) -> list[tuple[str, str, str]]:
    found = result_of(*chunks).tool_calls
    return [(c["id"], c["function"]["name"], c["function"]["arguments"]) for c in found]


def test_tool_calls_without_index_go_by_id():
    """Fragments that name their call belong to it; those that name nothing belong to the last one."""
    assert calls_of(call("{", id="a", name="f"), call("[", id="b", name="g"), call("}", id="a"), call("x")) == [
        ("a", "f", "{}"),
        ("b", "g", "[x"),
    ]


def test_repeated_ids_and_names_do_not_grow():
    """Servers that repeat id and name on every fragment give one call with one name."""
    assert calls_of(*(call(piece, index=0, id="a", name="f") for piece in "{}")) == [("a", "f", "{}")]


def test_parallel_calls_that_all_have_index_0():
    """Another id with a name is another call, even under the same index."""
    first, second = call("{}", index=0, id="a", name="f"), call("[]", index=0, id="b", name="g")
    assert calls_of(first, second, call("!", index=0)) == [("a", "f", "{}"), ("b", "g", "[]!")]


def test_arguments_that_are_objects():
    """An object where a string belongs becomes its JSON."""
    assert calls_of(call({"a": 1}, index=0, id="a", name="f")) == [("a", "f", '{"a": 1}')]


def test_the_old_function_call():
    """`function_call` is a tool call too, and stays what it was in the body."""
    result = result_of(
        delta({"function_call": {"name": "f", "arguments": "{"}}),
        delta({"function_call": {"arguments": "}"}}, finish="function_call"),
    )
    assert result.tool_calls == [{"id": "", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    assert result.choices[0]["message"]["function_call"] == {"name": "f", "arguments": "{}"}
    assert result.finish_reason == "function_call"


def test_custom_tools():
    """A custom tool's input is text."""
    result = result_of(
        delta({"tool_calls": [{"index": 0, "id": "a", "type": "custom", "custom": {"name": "f", "input": "x "}}]}),
        delta({"tool_calls": [{"index": 0, "custom": {"input": "y"}}]}),
    )
    assert result.choices[0]["message"]["tool_calls"] == [
        {"id": "a", "type": "custom", "custom": {"name": "f", "input": "x y"}}
    ]
    assert result.tool_calls[0]["function"] == {"name": "f", "arguments": "x y"}


@pytest.mark.parametrize(
    "chunk",
    [
        {"error": {"message": "overloaded", "code": 502}},
        {"error": "overloaded (502)"},
        {"choices": [], "x_groq": {"error": {"message": "overloaded", "type": 502}}},
        {"type": "error", "code": 502, "message": "overloaded", "sequence_number": 3},
        {"object": "error", "message": "overloaded", "code": 502},
    ],
)
def test_errors_inside_a_stream(chunk):
    """An error event is found wherever the vendor puts it, and the text before it is kept."""
    result = result_of(delta({"content": "half"}), chunk)
    assert result.error == "overloaded (502)"
    assert result.text == "half"


def test_a_failed_response():
    """`response.failed` carries its error in the response."""
    failed = {
        "object": "response",
        "status": "failed",
        "error": {"code": "server_error", "message": "no"},
        "output": [],
    }
    result = result_of({"type": "response.failed", "response": failed}, request=RESPONSES)
    assert (result.error, result.finish_reason) == ("no", "error")


def test_a_response_is_rebuilt_where_the_last_event_leaves_output_empty():
    """Some servers send `response.completed` without output: the deltas have it."""
    data, body = fixture("responses")
    text = data.decode().rpartition("event: response.completed")[0]
    last = {"type": "response.completed", "response": {**body, "output": []}}
    machine, _ = streamed("openai", "responses", f"{text}data: {json.dumps(last)}\n\n".encode())
    assert machine.result.body == {**body, "_streaming": True, "_chunks": machine.count}


def test_a_cut_response_keeps_what_came():
    """Without its items' ends and its last event a response is rebuilt from its deltas."""
    data, _ = fixture("responses")
    text = "\n\n".join(
        piece for piece in data.decode().split("\n\n") if ".done" not in piece and "completed" not in piece
    )
    result = streamed("openai", "responses", text.encode())[0].result
    assert (result.text, result.reasoning) == ("Die Antwort: 42", "Think first.")
    assert result.tool_calls[0]["function"] == {"name": "weather", "arguments": '{"city":"Kiel"}'}
    assert result.finish_reason is None


PIECES = st.text(max_size=4) | st.sampled_from(['"', "\\", '"},"finish_reason":"stop"', '"content":"', "a", "\n", "{}"])
WRITERS = st.sampled_from(
    [
        {"separators": (",", ":"), "ensure_ascii": False},
        {"separators": (",", ":")},
        {},
    ]
)


@given(st.lists(st.tuples(PIECES, st.sampled_from([0, 0, 0, 1]), st.sampled_from([None, None, None, "stop"]))), WRITERS)
@settings(max_examples=400, deadline=None)
def test_chunks_that_differ_in_one_string(rows, how):
    """The short cut for chunks alike changes nothing: every text arrives at its choice."""
    machine = ROWS["openai"].stream("chat", CHAT)
    texts, finish = {}, {}
    for text, index, reason in rows:
        chunk = {
            "id": "c",
            "choices": [{"index": index, "delta": {"content": text}, "finish_reason": reason}],
            "usage": None,
        }
        data = json.dumps(chunk, **how).encode("utf-8", "replace").decode()
        machine.feed(Event("message", data))
        texts[index] = texts.get(index, "") + json.loads(data)["choices"][0]["delta"]["content"]
        finish[index] = reason or finish.get(index)
    found = {
        choice["index"]: (choice["message"]["content"], choice["finish_reason"]) for choice in machine.result.choices
    }
    assert found == {index: (texts[index], finish[index]) for index in texts}
    assert machine.count == len(rows)


def test_continuous_usage_counts_the_last():
    """Usage on every chunk is cumulative."""
    result = result_of(
        *({**delta({"content": "x"}), "usage": {"prompt_tokens": 1, "completion_tokens": n}} for n in (1, 2))
    )
    assert result.usage is not None
    assert (result.usage.completion_tokens, result.usage.total_tokens) == (2, 3)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "delta",
                    "message",
                    "content",
                    "tool_calls",
                    "function",
                    "usage",
                    "index",
                    "id",
                    "type",
                    "error",
                    "response",
                    "output",
                    "item",
                    "output_index",
                    "content_index",
                    "logprobs",
                    "audio",
                    "text",
                    "arguments",
                    "reasoning_details",
                    "function_call",
                    "x_groq",
                    "prompt_tokens_details",
                    "data",
                    "b64_json",
                    "name",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)
KINDS = st.sampled_from(
    ["response.output_text.delta", "response.completed", "response.output_item.added", "response.output_item.done",
     "response.function_call_arguments.delta", "response.output_text.annotation.added", "image_edit.completed",
     "transcript.text.delta", "transcript.text.done", "speech.audio.done", "error", "x"]
)  # fmt: skip


@given(
    st.lists(st.tuples(JSON, st.none() | KINDS), max_size=5),
    st.sampled_from(sorted(ROWS)),
    st.sampled_from(["chat", "text_completion"]),
)
@settings(max_examples=400, deadline=None)
def test_no_foreign_json_raises(chunks, row, operation):
    """Whatever a server sends, the machine goes on and can be asked."""
    machine = ROWS[row].stream(operation, {})
    for chunk, kind in chunks:
        value = {**chunk, "type": kind} if kind and isinstance(chunk, dict) else chunk
        machine.feed(Event("message", json.dumps(value)))
    machine.finish()
    assert isinstance(machine.result, Completion)


@given(JSON, st.sampled_from(sorted(ROWS)), JSON)
@settings(max_examples=300, deadline=None)
def test_no_foreign_answer_raises(body, row, request):
    """Whole answers neither."""
    body = body if isinstance(body, dict) else {"choices": body}
    request = request if isinstance(request, dict) else {}
    ROWS[row].answer("chat", request, body)
    ROWS[row].usage(body, request)
    ROWS[row].error(500, body)
    ROWS[row].native("POST", "/v1/chat/completions", request)
