"""Stored bodies are shown as messages, whatever dialect they speak, and nothing is hidden."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmflow_web.model import PART_ANSWER, PART_INPUT, PART_OUTPUT, PART_REQUEST, PART_RESPONSE
from llmflow_web.record.messages import MAX_SEARCH_CHARS, MAX_WORD_CHARS, messages_of, search_text

FIXTURES = Path(__file__).parent.parent / "fixtures" / "openai"


def shown(
    request: object = None, response: object = None, operation: str = "chat", answer: object = None, **parts: object
):
    given = {PART_REQUEST: request, PART_RESPONSE: response, PART_ANSWER: answer} | {
        {"input": PART_INPUT, "output": PART_OUTPUT}[name]: value for name, value in parts.items()
    }
    bodies = {
        part: value if isinstance(value, bytes) else json.dumps(value).encode()
        for part, value in given.items()
        if value is not None
    }
    found = messages_of("openai", operation, bodies)
    return found["input"], found["output"]


def text(value: str) -> dict:
    return {"type": "text", "text": value}


def test_chat():
    """Roles, parts, tool calls, tool results, refusals and names of a chat."""
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    asked, _ = shown(
        {
            "messages": [
                {"role": "system", "content": "Be kind."},
                {
                    "role": "user",
                    "name": "ann",
                    "content": [
                        {"type": "text", "text": "Look"},
                        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {"type": "input_audio", "input_audio": {"data": "UklG", "format": "mp3"}},
                        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA"}},
                    ],
                },
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "c1", "content": "42"},
                {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
                {"role": "user", "content": [{"type": "hologram", "x": 1}]},
            ]
        }
    )
    assert asked == [
        {"role": "system", "parts": [text("Be kind.")]},
        {"role": "user", "name": "ann", "parts": [text("Look"), {"type": "image", "url": "data:image/png;base64,AA"}]},
        {
            "role": "user",
            "parts": [
                {"type": "audio", "format": "mp3", "data": "UklG"},
                {"type": "file", "name": "a.pdf", "url": "data:application/pdf;base64,AA"},
            ],
        },
        {"role": "assistant", "parts": [{"type": "tool_call", "id": "c1", "name": "f", "arguments": '{"a":1}'}]},
        {"role": "tool", "tool_call_id": "c1", "parts": [{"type": "tool_result", "id": "c1", "content": "42"}]},
        {"role": "assistant", "parts": [{"type": "refusal", "text": "No."}]},
        {"role": "user", "parts": [{"type": "json", "value": {"type": "hologram", "x": 1}}]},
    ]


def test_chat_answers():
    """Every choice is a message with its finish reason; reasoning comes first."""
    _, output = shown({}, {"choices": [
        {"message": {"role": "assistant", "reasoning_content": "Hm", "content": "Yes"}, "finish_reason": "stop"},
        {"message": {"role": "assistant", "content": None, "refusal": "No"}, "finish_reason": "length"},
    ]})  # fmt: skip
    assert output == [
        {"role": "assistant", "parts": [{"type": "reasoning", "text": "Hm"}, text("Yes")], "finish_reason": "stop"},
        {"role": "assistant", "parts": [{"type": "refusal", "text": "No"}], "finish_reason": "length"},
    ]


def test_the_assembled_answer_comes_before_the_raw_stream():
    """Of a stream the answer is shown, not its events."""
    data = (FIXTURES / "chat_text.sse").read_bytes()
    _, output = shown({}, data, answer=json.loads((FIXTURES / "chat_text.json").read_text()))
    assert output == [{"role": "assistant", "parts": [text("Grüße aus 東京 🎉")], "finish_reason": "stop"}]
    assert shown({}, data) == ([], [])


def test_responses():
    """Instructions, items, tool calls by call_id, and reasoning of the Responses API."""
    asked, output = shown(
        {
            "instructions": "Be brief.",
            "input": [
                {"role": "user", "content": [{"type": "input_text", "text": "Q"}, {"type": "input_image", "image_url": "https://x/y.png"}, {"type": "input_file", "file_id": "file_1"}]},
                {"type": "function_call", "call_id": "c1", "id": "fc_1", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c1", "output": "sun"},
                {"type": "item_reference", "id": "i"},
            ],
        },
        json.loads((FIXTURES / "responses.json").read_text()),
    )  # fmt: skip
    assert asked == [
        {"role": "system", "parts": [text("Be brief.")]},
        {
            "role": "user",
            "parts": [text("Q"), {"type": "image", "url": "https://x/y.png"}, {"type": "file", "name": "file_1"}],
        },
        {"role": "assistant", "parts": [{"type": "tool_call", "id": "c1", "name": "f", "arguments": "{}"}]},
        {"role": "tool", "parts": [{"type": "tool_result", "id": "c1", "content": "sun"}]},
        {"role": "user", "parts": [{"type": "json", "value": {"type": "item_reference", "id": "i"}}]},
    ]
    assert output == [
        {"role": "assistant", "parts": [{"type": "reasoning", "text": "Think first."}]},
        {"role": "assistant", "parts": [text("Die Antwort: 42")]},
        {
            "role": "assistant",
            "parts": [{"type": "tool_call", "id": "call_9", "name": "weather", "arguments": '{"city":"Kiel"}'}],
        },
    ]


@pytest.mark.parametrize(
    ("request_body", "parts"),
    [
        ({"input": "Q"}, [text("Q")]),
        ({"prompt": "Once"}, [text("Once")]),
        ({"prompt": ["a", "b"]}, [text("a"), text("b")]),
        ({"prompt": [1, 2]}, [{"type": "json", "value": [1, 2]}]),
        ({"input": [[1], [2]]}, [{"type": "json", "value": [1]}, {"type": "json", "value": [2]}]),
        ({"x": 1}, [{"type": "json", "value": {"x": 1}}]),
        (b'--B\r\nContent-Disposition: form-data; name="file"; filename="a.mp3"\r\n\r\n\xff\r\n--B\r\nContent-Disposition: form-data; name="model"\r\n\r\nw\r\n--B--',
         [{"type": "file", "name": "a.mp3"}, {"type": "json", "value": {"model": "w"}}]),
    ],
)  # fmt: skip
def test_other_requests(request_body, parts):
    """Texts, token numbers, forms, and whatever else."""
    assert shown(request_body)[0] == [{"role": "user", "parts": parts}]


@pytest.mark.parametrize(
    ("response", "parts"),
    [
        ({"choices": [{"text": "upon"}]}, [text("upon")]),
        ({"data": [{"embedding": [0.1, 0.2]}, {"embedding": [0.1, 0.2]}]}, [text("2 embeddings of 2 dimensions")]),
        ({"data": [{"embedding": "A" * 32}]}, [text("1 embedding of 6 dimensions")]),
        ({"data": [{"b64_json": "AA", "revised_prompt": "cat"}], "output_format": "webp"},
         [{"type": "image", "url": "data:image/webp;base64,AA"}, text("cat")]),
        ({"data": [{"url": "https://x/y.png"}]}, [{"type": "image", "url": "https://x/y.png"}]),
        ({"data": [{"id": "gpt-4o", "object": "model"}]}, [{"type": "json", "value": {"data": [{"id": "gpt-4o", "object": "model"}]}}]),
        ({"text": "Hallo"}, [text("Hallo")]),
        ({"error": {"message": "no"}}, [{"type": "json", "value": {"error": {"message": "no"}}}]),
    ],
)  # fmt: skip
def test_other_answers(response, parts):
    """Completions, embeddings, images, lists, transcripts and errors."""
    assert [message["parts"] for message in shown({}, response)[1]] == [parts]


def test_cohere_and_ollama_as_they_are():
    """Plans, thoughts, calls and results of native turns are parts; texts to embed and documents to rank are texts."""
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    asked, output = shown(
        {
            "messages": [
                {"role": "assistant", "tool_plan": "Ask.", "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "c1", "content": [{"type": "document", "document": {"data": "sun"}}]},
                {"role": "tool", "tool_name": "f", "content": "sun"},
            ]
        },
        {"message": {"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "A"}]}, "finish_reason": "COMPLETE"},
    )  # fmt: skip
    assert asked[0]["parts"] == [
        {"type": "reasoning", "text": "Ask."},
        {"type": "tool_call", "id": "c1", "name": "f", "arguments": "{}"},
    ]
    assert json.loads(asked[1]["parts"][0]["content"]) == [{"type": "document", "document": {"data": "sun"}}]
    assert (asked[2]["name"], asked[2]["parts"][0]["content"]) == ("f", "sun")
    assert output == [
        {"role": "assistant", "parts": [{"type": "reasoning", "text": "Hm."}, text("A")], "finish_reason": "COMPLETE"}
    ]
    assert shown({"texts": ["a", "b"]})[0] == [{"role": "user", "parts": [text("a"), text("b")]}]
    ranked = shown({"query": "q", "documents": ["d"]})[0]
    assert [message["parts"] for message in ranked] == [[text("q")], [text("d")]]


def test_plain_transcripts():
    """A transcription asked for as text is its own answer."""
    assert shown({}, b"1\n00:00 Hallo", "transcription")[1] == [
        {"role": "assistant", "parts": [text("1\n00:00 Hallo")]}
    ]


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        ("hi", [text("hi")]),
        ({"a": 1}, [{"type": "json", "value": {"a": 1}}]),
        ([{"role": "user", "content": "x"}], [text("x")]),
    ],
)
def test_sdk_inputs(value, parts):
    """Inputs of SDK spans: a text, an object, or messages."""
    asked, _ = shown(input=value)
    assert [message["parts"] for message in asked] == [parts]


@given(st.text("a\u00e9\u4e00 \n\t", max_size=8).map(lambda text: "".join(char * 90 for char in text)))
@settings(deadline=None)
def test_only_data_is_left_out_of_the_search(content):
    """Runs of letters too long to be words are left out wherever blanks are; a text without such a run stays as it is."""
    found = search_text(None, None, {PART_REQUEST: json.dumps({"messages": [{"content": content}]}).encode()})
    words = content.split()
    kept = [word for word in words if len(word) <= MAX_WORD_CHARS or not word[:MAX_WORD_CHARS].isascii()]
    is_whole = all(len(word) <= MAX_WORD_CHARS for word in words)
    assert found == (content if is_whole else " ".join(kept))


def test_search_text():
    """The answer first, then the newest question; calls and results by their words, no data."""
    ask = {"messages": [
        {"role": "user", "content": [{"type": "text", "text": "old question"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 500}}]},
        {"role": "user", "content": "new question " + "Q" * 400},
    ]}  # fmt: skip
    answer = {
        "choices": [
            {"message": {"content": "answer", "tool_calls": [{"function": {"name": "lookup", "arguments": "{}"}}]}}
        ]
    }
    bodies = {PART_REQUEST: json.dumps(ask).encode(), PART_RESPONSE: json.dumps(answer).encode()}
    assert search_text("openai", "chat", bodies).split("\n") == [
        "answer",
        "lookup",
        "{}",
        "new question",
        "old question",
    ]


def test_search_text_is_bounded():
    """However long a conversation is, the index takes 64 K characters of it."""
    ask = {"messages": [{"role": "user", "content": "word " * 50_000}] * 3}
    assert len(search_text(None, None, {PART_REQUEST: json.dumps(ask).encode()})) <= MAX_SEARCH_CHARS


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from("messages input prompt choices output data content role tool_calls function name type text image_url file "
                        "input_audio message refusal thinking reasoning_details audio b64_json embedding instructions id url system".split()),
        inner,
        max_size=4,
    ),
    max_leaves=15,
)  # fmt: skip


@given(JSON, JSON, st.sampled_from(["chat", "embeddings", None]))
@settings(max_examples=400, deadline=None)
def test_no_contents_raise(request, response, operation):
    """Whatever was stored, there are messages of the agreed shape."""
    bodies = {PART_REQUEST: json.dumps(request).encode(), PART_RESPONSE: json.dumps(response).encode()}
    found = messages_of(None, operation, bodies)
    for message in found["input"] + found["output"]:
        assert isinstance(message["role"], str)
        assert all(isinstance(part["type"], str) for part in message["parts"])
    assert isinstance(search_text(None, operation, bodies), str)


@given(st.binary(max_size=80))
@settings(deadline=None)
def test_any_bytes(data):
    """Bytes that are no JSON neither."""
    messages_of(None, "chat", {PART_REQUEST: data, PART_RESPONSE: data, PART_INPUT: data, PART_OUTPUT: data})


def test_images_beside_the_content():
    """Pictures a model made stand in `images`: typed by OpenRouter and us, bare base64 with Ollama."""
    typed = {"type": "image_url", "image_url": {"url": "data:image/webp;base64,AA=="}}
    message = {"role": "assistant", "content": "here", "images": [typed, "BB=="]}
    _, said = shown({}, {"choices": [{"message": message, "finish_reason": "stop"}]})
    assert said[0]["parts"] == [
        text("here"),
        {"type": "image", "url": "data:image/webp;base64,AA=="},
        {"type": "image", "url": "data:image/png;base64,BB=="},
    ]
