"""Gemini's answers and streams, as an OpenAI client and as the record see them."""

import base64
import json

import pytest
from adapter_help import CUTS, body_of, facts, json_values, put_together, run, stream_of
from gemini_like import complaint, whole
from hypothesis import given, settings
from hypothesis import strategies as st
from llmflow_web.providers.gemini import GEMINI
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from llmflow_web.model import Completion
from llmflow_web.provider import Event, Target

NAMES = [
    "text", "tools", "thinking", "candidates", "blocked", "safety", "grounded", "code", "image", "audio", "logprobs",
]  # fmt: skip
ASKED = {
    "model": "gemini-2.5-flash",
    "messages": [{"role": "user", "content": "?"}],
    "stream": True,
    "stream_options": {"include_usage": True},
}
LOST_IN_CHUNKS = ("extra_content",)


def target(**fields: object) -> Target:
    return Target(GEMINI.root, new_id=lambda: "abc", **fields)


def chat(**fields: object):
    operation = GEMINI.operations["chat"]
    assert operation.bind is not None
    return operation.bind(target(**fields))


def answer(name: str, **fields: object) -> dict:
    return chat().response(body_of(f"gemini/{name}"), {**ASKED, **fields})


def message(name: str) -> dict:
    return answer(name)["choices"][0]["message"]


def chunks_of(name: str, *cuts: int, **fields: object) -> list[dict]:
    return run(chat().stream({**ASKED, **fields}), stream_of(f"gemini/{name}"), *cuts)


def deltas(chunks: list[dict]) -> list[dict]:
    return [choice["delta"] for chunk in chunks for choice in chunk["choices"] if choice["delta"]]


def plain(body: dict) -> dict:
    """Leave out what the observer of chunks does not gather, and make no difference between no content and none."""
    for choice in body["choices"]:
        made = choice["message"]
        choice["message"] = {word: value for word, value in made.items() if value and word not in LOST_IN_CHUNKS}
        for call in made.get("tool_calls", ()):
            call.pop("extra_content", None)
    return body


def events(*bodies: object) -> list[Event]:
    return [Event("message", body if isinstance(body, str) else json.dumps(body)) for body in bodies]


def translated(*bodies: object, **fields: object) -> tuple[object, list[dict]]:
    machine = chat().stream({**ASKED, **fields})
    chunks = [chunk for event in events(*bodies) for chunk in machine.feed(event)]
    return machine, chunks + machine.finish()


def part(*parts: dict, finish: str | None = None, **more: object) -> dict:
    ending = {"finishReason": finish} if finish else {}
    return {"candidates": [{"content": {"role": "model", "parts": list(parts)}, **ending, **more}], "responseId": "r"}


# ── what every adapter holds ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", NAMES)
@given(cuts=CUTS)
@settings(max_examples=12, deadline=None)
def test_any_cut_gives_the_same_chunks(name, cuts):
    """However the bytes come, the client gets the same."""
    assert chunks_of(name, *cuts) == chunks_of(name)


@pytest.mark.parametrize("name", NAMES)
@given(cuts=CUTS)
@settings(max_examples=6, deadline=None)
def test_any_cut_is_observed_alike(name, cuts):
    """However the bytes come, the record is the same."""
    whole, machine = GEMINI.stream("chat", {}), GEMINI.stream("chat", {})
    assert run(whole, stream_of(f"gemini/{name}")) == run(machine, stream_of(f"gemini/{name}"), *cuts) == []
    assert facts(machine.result) == facts(whole.result)
    assert machine.result.body == whole.result.body
    assert (machine.count, machine.first_content) == (whole.count, whole.first_content)


@pytest.mark.parametrize("name", NAMES)
def test_streamed_is_not_streamed(name):
    """The chunks put together say what the whole answer says."""
    assert plain(put_together(chunks_of(name), ASKED)) == plain(answer(name))


@pytest.mark.parametrize("name", NAMES)
def test_the_machines_result_is_the_whole_answer(name):
    """What is recorded of a translated stream and of a native one is what is recorded of the whole answers."""
    native = body_of(f"gemini/{name}")
    machine = chat().stream(ASKED)
    run(machine, stream_of(f"gemini/{name}"))
    assert machine.is_complete
    assert machine.result.body == answer(name)
    assert facts(machine.result) == facts(GEMINI.answer("chat", {}, native))
    observer = GEMINI.stream("chat", {})
    run(observer, stream_of(f"gemini/{name}"))
    assert observer.is_complete
    assert facts(observer.result) == facts(GEMINI.answer("chat", {}, native))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("safety", "audio")])
def test_the_assembled_native_body_is_the_whole_body(name):
    """The stored answer of a stream is the body generateContent gives, but for parts that end empty."""
    observer = GEMINI.stream("chat", {})
    run(observer, stream_of(f"gemini/{name}"))
    made = observer.result.body or {}
    whole = body_of(f"gemini/{name}")
    for candidate in made.get("candidates", []):
        candidate["content"]["parts"] = [part for part in candidate["content"]["parts"] if part]
    assert made == whole


@pytest.mark.parametrize("name", NAMES)
def test_the_openai_package_takes_it(name):
    """Answers and chunks have OpenAI's types."""
    ChatCompletion.model_validate(answer(name))
    ChatCompletion.model_validate(answer(name, functions=[{"name": "weather"}]))
    for chunk in chunks_of(name):
        ChatCompletionChunk.model_validate(chunk)


@pytest.mark.parametrize("name", NAMES)
def test_every_prefix_can_be_finished(name):
    """A stream cut anywhere gives valid chunks, and an answer that has not ended says so."""
    data = stream_of(f"gemini/{name}")
    last = ""
    for end in range(0, len(data), 11):
        machine = chat().stream(ASKED)
        chunks = run(machine, data[:end])
        for chunk in chunks:
            ChatCompletionChunk.model_validate(chunk)
        assert chunks[-1]["choices"] == []
        assert machine.finish() == []
        result = machine.result
        assert result.text.startswith(last)
        last = result.text
        if not machine.is_complete and name != "candidates":
            assert result.finish_reason is None


@pytest.mark.parametrize("name", ["tools", "thinking", "text"])
def test_there_and_back(name):
    """An answer sent back in the next turn keeps role, text, tool-call ids and signatures."""
    memory: dict = {}
    operation = chat(memory=memory)
    native = body_of(f"gemini/{name}")
    back = operation.response(native, ASKED)["choices"][0]["message"]
    turn = {**ASKED, "messages": [*ASKED["messages"], back]}
    sent = json.loads(operation.request(turn, target(memory=memory)).body)["contents"][-1]
    assert sent["role"] == "model"
    parts = native["candidates"][0]["content"]["parts"]
    expected = [part for part in parts if not part.get("thought")]
    given = "".join(part.get("text", "") for part in expected)
    assert "".join(part.get("text", "") for part in sent["parts"]) == given
    calls = [part["functionCall"] for part in sent["parts"] if "functionCall" in part]
    assert [call["id"] for call in calls] == [call["id"] for call in back.get("tool_calls", ())]
    assert [(call["name"], call["args"]) for call in calls] == [
        (part["functionCall"]["name"], part["functionCall"].get("args", {}))
        for part in expected
        if "functionCall" in part
    ]
    signatures = [part["thoughtSignature"] for part in sent["parts"] if "thoughtSignature" in part]
    assert signatures == [part["thoughtSignature"] for part in parts if "thoughtSignature" in part]


@pytest.mark.parametrize("model", ["gemini-2.5-flash", "gemini-3-pro-preview"])
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"reasoning_effort": "low"},
        {"logprobs": True, "top_logprobs": 3, "n": 2, "stop": "x"},
        {"top_logprobs": 2, "temperature": 0},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}},
    ],
)
def test_a_tool_loop_is_one_google_takes(model, fields):
    """Two parallel calls, their results, another question: each request passes what the API checks."""
    memory: dict = {}
    operation = chat(memory=memory)
    parameters = {"type": "object", "properties": {"c": {"type": "string"}}, "required": ["c"]}
    tools = [{"type": "function", "function": {"name": name, "parameters": parameters}} for name in ("weather", "now")]
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "?"}]
    for _ in range(3):
        request = {"model": model, "messages": messages, "tools": tools, **fields}
        body = json.loads(operation.request(request, target(memory=memory)).body)
        assert complaint(body, model) is None
        made = operation.response(whole(body, model), request)["choices"][0]["message"]
        calls = [{key: call[key] for key in ("id", "type", "function")} for call in made.get("tool_calls", ())]
        messages.append({"role": "assistant", "content": made["content"], **({"tool_calls": calls} if calls else {})})
        messages += [{"role": "tool", "tool_call_id": call["id"], "content": "ok"} for call in calls]
        if not calls:
            messages.append({"role": "user", "content": "And?"})


NATIVE = json_values(
    "candidates", "content", "parts", "text", "thought", "functionCall", "name", "args", "id", "inlineData", "mimeType",
    "data", "finishReason", "index", "usageMetadata", "promptTokenCount", "totalTokenCount", "thoughtsTokenCount",
    "promptTokensDetails", "modality", "promptFeedback", "blockReason", "error", "message", "status", "details",
    "groundingMetadata", "groundingChunks", "groundingSupports", "segment", "groundingChunkIndices", "web", "uri",
    "citationMetadata", "citationSources", "logprobsResult", "chosenCandidates", "topCandidates", "token",
    "executableCode", "code", "codeExecutionResult", "output", "modelVersion", "responseId", "embedding", "embeddings",
    "values", "predictions", "usage", "webSearchQueries", "retryDelay", "choices", "object", "startIndex",
)  # fmt: skip


@given(st.lists(NATIVE, max_size=4))
@settings(max_examples=300, deadline=None)
def test_no_foreign_stream_raises(bodies):
    """Whatever Google sends, both machines go on and can be asked."""
    for machine in (chat().stream(ASKED), GEMINI.stream("chat", {})):
        for event in events(*bodies, "no json", "[]"):
            machine.feed(event)
        machine.finish()
        assert isinstance(machine.result, Completion)


@given(NATIVE)
@settings(max_examples=300, deadline=None)
def test_no_foreign_answer_raises(body):
    """Whole answers neither, in the record."""
    body = body if isinstance(body, dict) else {"candidates": body}
    for operation in ("chat", "embeddings", "image_generation"):
        GEMINI.answer(operation, {}, body)
    assert isinstance(GEMINI.error(500, body), str)
    GEMINI.translate_error(500, body)
    GEMINI.usage(body, {})


# ── answers ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_text():
    """Id, model, text and usage arrive."""
    body = answer("text")
    assert (body["id"], body["model"]) == ("kQ-haZ_3FpCkvdIP6eq5mAQ", "gemini-2.5-flash")
    assert body["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Grüße aus Köln 🌊", "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ]
    assert body["usage"]["total_tokens"] == 21


def test_an_answer_without_an_id_gets_one():
    """`responseId` may be missing."""
    assert chat().response({"candidates": []}, ASKED)["id"] == "chatcmpl-abc"
    machine, chunks = translated({"candidates": [{"content": {"parts": [{"text": "x"}]}}]})
    assert {chunk["id"] for chunk in chunks} == {"chatcmpl-abc"}
    assert machine.result.id == "chatcmpl-abc"


def test_tool_calls():
    """Parallel calls keep their ids or get one of the answer's, thoughts are reasoning, signatures stay with calls."""
    made = message("tools")
    assert made["content"] == "I look it up."
    assert made["reasoning_content"] == "**Plan.** Two cities."
    ids = [call["id"] for call in made["tool_calls"]]
    assert ids == ["f1", "call_p1-xaYyeB_yQkdUPtZ2VQQ_1", "call_p1-xaYyeB_yQkdUPtZ2VQQ_2"]
    assert [call["function"] for call in made["tool_calls"]] == [
        {"name": "weather", "arguments": '{"city": "Kiel", "days": 2}'},
        {"name": "weather", "arguments": '{"city": "Köln"}'},
        {"name": "now", "arguments": "{}"},
    ]
    assert made["tool_calls"][0]["extra_content"] == {"google": {"thought_signature": "c2ln"}}
    assert answer("tools")["choices"][0]["finish_reason"] == "tool_calls"


def test_old_functions_are_answered_with_the_old_call():
    """A client that sent `functions` gets `function_call`."""
    choice = answer("tools", functions=[{"name": "weather"}])["choices"][0]
    assert choice["finish_reason"] == "function_call"
    assert choice["message"]["function_call"]["name"] == "weather"


def test_ids_of_ours_can_move_to_openai():
    """However long Google's id, ours has at most 40 characters of A-Z, a-z, 0-9, _ and -."""
    native = {**part({"functionCall": {"name": "f"}}, finish="STOP"), "responseId": "ä/" + "x" * 100}
    call_id = chat().response(native, ASKED)["choices"][0]["message"]["tool_calls"][0]["id"]
    assert len(call_id) <= 40
    assert call_id.isascii()


@pytest.mark.parametrize(
    ("native", "ours"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("OTHER", "content_filter"),
        ("IMAGE_SAFETY", "content_filter"),
        ("MALFORMED_FUNCTION_CALL", "stop"),
        ("FINISH_REASON_UNSPECIFIED", "stop"),
        ("SOMETHING_NEW", "stop"),
    ],
)
def test_finish_reasons(native, ours):
    """Google's words become OpenAI's, and stay beside them where OpenAI has none."""
    choice = chat().response(part({"text": "x"}, finish=native), ASKED)["choices"][0]
    assert choice["finish_reason"] == ours
    is_plain = native in ("STOP", "MAX_TOKENS", "FINISH_REASON_UNSPECIFIED")
    assert choice.get("native_finish_reason") == (None if is_plain else native)
    assert choice["message"]["refusal"] is None


def test_a_blocked_prompt():
    """A prompt that was refused is a refusal, not an empty answer."""
    choice = answer("blocked")["choices"][0]
    assert choice["message"] == {"role": "assistant", "content": None, "refusal": "PROHIBITED_CONTENT: Not here."}
    assert (choice["finish_reason"], choice["native_finish_reason"]) == ("content_filter", "PROHIBITED_CONTENT")
    assert deltas(chunks_of("blocked"))[-1] == {"refusal": "PROHIBITED_CONTENT: Not here."}


def test_a_filtered_answer():
    """An answer that was taken away says why."""
    choice = answer("safety")["choices"][0]
    assert (choice["finish_reason"], choice["message"]["refusal"]) == ("content_filter", "It was unsafe.")


def test_no_parts_at_all():
    """All tokens went into thoughts: the answer is empty and its length was the reason."""
    native = {"candidates": [{"finishReason": "MAX_TOKENS"}], "usageMetadata": {"thoughtsTokenCount": 9}}
    choice = chat().response(native, ASKED)["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("", "length")


def test_sources_are_annotations():
    """Grounding becomes citations whose positions count characters; a source that is not there is left out."""
    assert message("grounded")["annotations"] == [
        {"type": "url_citation", "url_citation": {"start_index": 5, "end_index": 16, "title": title, "url": url}}
        for title, url in (("a.example", "https://a.example/1"), ("https://b.example/2", "https://b.example/2"))
    ]
    assert deltas(chunks_of("grounded"))[-1] == {"annotations": message("grounded")["annotations"]}


def test_citations_of_texts():
    """Quoted sources are annotations too."""
    cited = {"citationSources": [{"startIndex": 0, "endIndex": 2, "uri": "https://c.example"}, {"license": "mit"}]}
    made = chat().response(part({"text": "äb"}, citationMetadata=cited), ASKED)["choices"][0]["message"]
    assert [one["url_citation"]["end_index"] for one in made["annotations"]] == [1]


def test_code_is_shown_as_text():
    """What Google's own interpreter ran is part of the answer."""
    assert message("code")["content"] == "```python\nprint(6 * 7)\n```\n```output\n42\n```\nIt is 42."


def test_images_and_sounds():
    """Pictures are data URLs, speech is OpenAI's audio; pieces encoded by themselves are joined."""
    assert message("image")["images"] == [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    ]
    assert message("audio")["audio"]["data"] == base64.b64encode(b"\1\2\3\4").decode()


def test_logprobs():
    """Chosen and best tokens arrive with their bytes."""
    content = answer("logprobs")["choices"][0]["logprobs"]["content"]
    assert [(one["token"], one["logprob"], one["bytes"]) for one in content] == [
        ("Ja", -0.25, [74, 97]),
        (".", -0.5, [46]),
    ]
    assert [top["token"] for top in content[0]["top_logprobs"]] == ["Ja", "x"]


# ── streams ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_chunks_of_a_text():
    """The role comes first, each piece as it arrives, then the end and the usage."""
    chunks = chunks_of("text")
    assert deltas(chunks) == [
        {"role": "assistant", "content": ""},
        {"content": "Grü"},
        {"content": "ße aus "},
        {"content": "Köln 🌊"},
    ]
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert (chunks[-1]["choices"], chunks[-1]["usage"]["total_tokens"]) == ([], 21)
    assert len({(chunk["id"], chunk["object"]) for chunk in chunks}) == 1


def test_without_being_asked_there_is_no_usage_chunk():
    """`include_usage` decides."""
    assert all("usage" not in chunk for chunk in chunks_of("text", stream_options=None))


def test_chunks_of_tool_calls():
    """Each call is one chunk; the index counts over the whole stream."""
    calls = [delta["tool_calls"] for delta in deltas(chunks_of("tools")) if "tool_calls" in delta]
    assert [[call["index"] for call in one] for one in calls] == [[0], [1], [2]]
    assert all(one[0]["id"] and one[0]["function"]["name"] for one in calls)


def test_first_content():
    """The first event that says something, not the first there is."""
    machine = chat().stream(ASKED)
    for event in events(part(), part({"text": ""}), part({"text": "x"}), part({"text": "y"})):
        machine.feed(event)
    assert (machine.first_content, machine.count) == (2, 4)


@pytest.mark.parametrize("wrap", [lambda error: error, lambda error: [error]])
def test_an_error_inside_a_stream(wrap):
    """It becomes OpenAI's error, what came before is kept, and nothing follows."""
    error = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
    machine, chunks = translated(part({"text": "half"}), wrap(error), part({"text": "more"}))
    assert chunks[-1] == {
        "error": {"message": "The model is overloaded.", "type": "server_error", "param": None, "code": None}
    }
    assert (machine.result.text, machine.result.error) == ("half", "The model is overloaded. (UNAVAILABLE)")
    assert not machine.is_complete


def test_a_cut_stream_is_not_complete():
    """Without a finishReason the answer has not ended."""
    machine, chunks = translated(part({"text": "half"}))
    assert not machine.is_complete
    assert machine.result.finish_reason is None
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"


def test_signatures_are_remembered_from_streams():
    """A client that drops the signature has it added in the next turn."""
    memory: dict = {}
    operation = chat(memory=memory)
    run(operation.stream(ASKED), stream_of("gemini/tools"))
    calls = [
        {key: value for key, value in call.items() if key != "extra_content"} for call in message("tools")["tool_calls"]
    ]
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "{}"} for call in calls]
    turn = {
        **ASKED,
        "messages": [{"role": "user", "content": "?"}, {"role": "assistant", "tool_calls": calls}, *results],
    }
    parts = json.loads(operation.request(turn, target(memory=memory)).body)["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in parts] == ["c2ln", None, None]


def test_an_operation_that_is_not_bound_remembers_nothing():
    """The table's own operation has no memory that could grow."""
    operation = GEMINI.operations["chat"]
    run(operation.stream(ASKED), stream_of("gemini/tools"))
    assert operation.response(body_of("gemini/tools"), ASKED)["id"] == body_of("gemini/tools")["responseId"]
