"""Gemini's own bodies are shown as messages, whole or streamed, and nothing is hidden."""

import json

import pytest
from adapter_help import FIXTURES, json_values, run, stream_of
from hypothesis import given, settings
from hypothesis import strategies as st
from llmflow_web.providers.gemini import GEMINI

from llmflow_web.model import PART_ANSWER, PART_REQUEST, PART_RESPONSE, Capture, Exchange
from llmflow_web.record.exchange import RowMaker
from llmflow_web.record.messages import messages_of, search_text
from llmflow_web.record.pricing import Cost
from llmflow_web.registry import PROVIDERS

MS = 1_000_000
PATH = "/v1beta/models/gemini-2.5-flash:streamGenerateContent"


def shown(request: object = None, response: object = None, answer: object = None) -> dict:
    given_parts = {PART_REQUEST: request, PART_RESPONSE: response, PART_ANSWER: answer}
    bodies = {part: json.dumps(value).encode() for part, value in given_parts.items() if value is not None}
    return messages_of("gemini", "chat", bodies)


def text(value: str) -> dict:
    return {"type": "text", "text": value}


def test_a_conversation():
    """System, user, model with calls, results, files: each in its role, in camelCase and snake_case."""
    request = {
        "system_instruction": {"parts": [{"text": "brief"}]},
        "contents": [
            {"parts": [{"text": "see"}, {"inline_data": {"mime_type": "image/png", "data": "AA=="}}]},
            {
                "role": "model",
                "parts": [
                    {"text": "hm", "thought": True},
                    {"functionCall": {"id": "1", "name": "f", "args": {"a": 1}}, "thoughtSignature": "x"},
                ],
            },
            {"role": "user", "parts": [{"functionResponse": {"id": "1", "name": "f", "response": {"ok": True}}}]},
            {
                "role": "user",
                "parts": [
                    {"fileData": {"mimeType": "application/pdf", "fileUri": "https://x.example/a.pdf"}},
                    {"inlineData": {"mimeType": "audio/wav", "data": "AA=="}},
                    {"something": "new"},
                ],
            },
        ],
    }
    assert shown(request)["input"] == [
        {"role": "system", "parts": [text("brief")]},
        {"role": "user", "parts": [text("see"), {"type": "image", "url": "data:image/png;base64,AA=="}]},
        {
            "role": "assistant",
            "parts": [
                {"type": "reasoning", "text": "hm"},
                {"type": "tool_call", "id": "1", "name": "f", "arguments": '{"a": 1}'},
            ],
        },
        {"role": "tool", "parts": [{"type": "tool_result", "id": "1", "content": '{"ok": true}'}]},
        {
            "role": "user",
            "parts": [
                {"type": "file", "name": "a.pdf", "url": "https://x.example/a.pdf"},
                {"type": "audio", "format": "wav", "data": "AA=="},
                {"type": "json", "value": {"something": "new"}},
            ],
        },
    ]


@pytest.mark.parametrize("contents", ["hi", {"parts": [{"text": "hi"}]}, [{"parts": {"text": "hi"}}], ["hi"]])
def test_short_forms(contents):
    """A text alone, one content, one part: all are what the user said."""
    assert shown({"contents": contents})["input"] == [{"role": "user", "parts": [text("hi")]}]


def test_other_methods():
    """Counted and embedded texts are shown too."""
    content = {"parts": [{"text": "hi"}]}
    for request in (
        {"generateContentRequest": {"contents": [content]}},
        {"content": content},
        {"requests": [{"content": content}]},
    ):
        assert shown(request)["input"] == [{"role": "user", "parts": [text("hi")]}]
    found = shown({"content": content}, {"embedding": {"values": [1, 2, 3]}})["output"]
    assert found == [{"role": "assistant", "parts": [text("1 embedding of 3 dimensions")]}]
    found = shown({}, {"embeddings": [{"values": [1]}, {"values": [2]}]})["output"]
    assert found[0]["parts"] == [text("2 embeddings of 1 dimensions")]


def answer_of(name: str) -> dict:
    return json.loads((FIXTURES / "gemini" / f"{name}.json").read_text())


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("text", ["text"]),
        ("tools", ["reasoning", "text", "tool_call", "tool_call", "tool_call"]),
        ("thinking", ["reasoning", "text"]),
        ("blocked", ["refusal"]),
        ("safety", ["refusal"]),
        ("code", ["text"]),
        ("image", ["text", "image"]),
        ("audio", ["audio", "audio"]),
    ],
)
def test_answers(name, kinds):
    """Each kind of answer has its parts, streamed or not."""
    (message,) = shown({}, answer_of(name))["output"]
    assert [part["type"] for part in message["parts"]] == kinds
    assert message["finish_reason"]
    machine = GEMINI.stream("chat", {})
    run(machine, stream_of(f"gemini/{name}"))
    assert shown({}, answer=machine.result.body)["output"] == [message]


def test_candidates_and_search():
    """Every candidate is a message, and its words can be found."""
    assert len(shown({}, answer_of("candidates"))["output"]) == 2
    bodies = {PART_REQUEST: b'{"contents":"hello"}', PART_RESPONSE: json.dumps(answer_of("text")).encode()}
    assert search_text("gemini", "chat", bodies) == "Grüße aus Köln 🌊\nhello"


class NoPrices:
    """Prices nothing."""

    def price(self, *args: object, **more: object) -> Cost:
        return Cost(None)


def capture(data: bytes) -> Capture:
    kept = Capture(1 << 20)
    kept.add(data)
    return kept


def recorded(answer: bytes, kind: bytes, path: str = PATH, status: int = 200):
    call = Exchange()
    call.source, call.provider, call.trace_id, call.id = "passthrough", "gemini", "a" * 32, "b" * 16
    call.dialect = "gemini"
    call.method, call.path, call.upstream_path = "POST", path, path
    call.started_ns, call.stopped_ns = 10 * MS, 15 * MS
    call.request = capture(b'{"contents":[{"parts":[{"text":"?"}]}]}')
    call.response_status = status
    call.response_headers = [(b"content-type", b"Content-Type: " + kind)]
    call.response = capture(answer)
    call.arrivals = [(0, 12 * MS)]
    rows = {row.name: row for row in PROVIDERS} | {"gemini": GEMINI}
    (row,) = RowMaker(rows, NoPrices())(call)
    return row.span


def array_of(name: str) -> bytes:
    events = [line[6:] for line in stream_of(f"gemini/{name}").split(b"\r\n\r\n") if line]
    return b"[" + b",\r\n".join(events) + b"\n]\n"


@pytest.mark.parametrize("name", ["text", "tools", "thinking", "grounded", "candidates"])
def test_both_forms_of_a_stream_are_recorded_alike(name):
    """With alt=sse or as one array: the same model, tokens, ending and time to the first token."""
    one = recorded(stream_of(f"gemini/{name}"), b"text/event-stream")
    other = recorded(array_of(name), b"application/json; charset=UTF-8")
    for span in (one, other):
        assert span.error is None
        assert span.is_stream
        assert span.ttft_ms == 2.0
    whole = recorded(json.dumps(answer_of(name)).encode(), b"application/json", PATH.replace("streamG", "g"))
    words = ("model", "prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "reasoning_tokens",
             "finish_reason", "response_id", "preview_out", "status")  # fmt: skip
    said = [[getattr(span, word) for word in words] for span in (one, other, whole)]
    assert said[0] == said[1] == said[2]
    assert one.chunk_count == other.chunk_count


def test_errors_in_arrays():
    """A stream that fails before it begins answers with an array, too."""
    error = json.dumps([answer_of("error_429")]).encode()
    span = recorded(error, b"application/json", status=429)
    assert (span.status, span.error) == (429, "You exceeded your current quota. (RESOURCE_EXHAUSTED)")


NATIVE = json_values(
    "contents", "content", "parts", "text", "role", "thought", "functionCall", "functionResponse", "name", "args", "id",
    "response", "inlineData", "mimeType", "data", "fileData", "fileUri", "executableCode", "code", "codeExecutionResult",
    "output", "candidates", "finishReason", "finishMessage", "promptFeedback", "blockReason", "usageMetadata", "embedding",
    "embeddings", "values", "requests", "generateContentRequest", "systemInstruction",
)  # fmt: skip


@given(st.dictionaries(st.just("contents"), NATIVE), NATIVE)
@settings(max_examples=300, deadline=None)
def test_no_foreign_body_raises(request, response):
    """Whatever is stored can be shown and searched."""
    found = shown(request, response)
    json.dumps(found)
    bodies = {PART_REQUEST: json.dumps(request).encode(), PART_RESPONSE: json.dumps(response).encode()}
    search_text("gemini", "chat", bodies)
