"""Anthropic's own requests and answers are shown as messages, with nothing hidden."""

import json
from pathlib import Path

from llmflow_web.model import PART_ANSWER, PART_REQUEST, PART_RESPONSE
from llmflow_web.record.messages import messages_of, search_text

FIXTURES = Path(__file__).parent.parent / "fixtures" / "anthropic"


def shown(request: dict, response: dict | None = None) -> tuple[list, list]:
    bodies = {PART_REQUEST: json.dumps(request).encode()}
    if response is not None:
        bodies[PART_RESPONSE] = json.dumps(response).encode()
    found = messages_of("anthropic", "chat", bodies)
    return found["input"], found["output"]


def text(value: str) -> dict:
    return {"type": "text", "text": value}


def test_a_request():
    """System, pictures, documents, calls and results stand where people look for them."""
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA"}}
    asked, _ = shown(
        {
            "system": [text("Be kind.")],
            "messages": [
                {
                    "role": "user",
                    "content": [
                        picture,
                        {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}},
                        {"type": "document", "title": "a.pdf", "source": {"type": "base64", "data": "BB"}},
                        {"type": "document", "source": {"type": "text", "data": "Plain."}},
                        {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
                    ],
                },
                {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {"a": "ä"}}]},
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "tool_use_id": "t", "content": [text("42"), picture]},
                        text("And?"),
                    ],
                },
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "u", "content": "plain"}]},
            ],
        }
    )
    seen = {"type": "image", "url": "data:image/png;base64,AA"}
    assert asked == [
        {"role": "system", "parts": [text("Be kind.")]},
        {
            "role": "user",
            "parts": [
                seen,
                {"type": "image", "url": "https://example.org/a.png"},
                {"type": "file", "name": "a.pdf", "url": "data:application/pdf;base64,BB"},
                text("Plain."),
                {"type": "file", "name": "file_1"},
            ],
        },
        {"role": "assistant", "parts": [{"type": "tool_call", "id": "t", "name": "f", "arguments": '{"a": "ä"}'}]},
        {"role": "tool", "parts": [{"type": "tool_result", "id": "t", "content": "42"}]},
        {"role": "user", "parts": [seen, text("And?")]},
        {"role": "tool", "parts": [{"type": "tool_result", "id": "u", "content": "plain"}]},
    ]


def test_answers():
    """Thinking, text, calls and what servers did, with the way it ended."""
    _, (said,) = shown({}, json.loads((FIXTURES / "thinking.json").read_text()))
    assert said["finish_reason"] == "stop_sequence"
    assert [part["type"] for part in said["parts"]] == ["reasoning", "reasoning", "text"]
    _, (said,) = shown({}, json.loads((FIXTURES / "search.json").read_text()))
    assert [part["type"] for part in said["parts"]] == ["text", "tool_call", "tool_result", "text", "text"]
    assert shown({}, {"type": "completion", "completion": " Hi"})[1] == [{"role": "assistant", "parts": [text(" Hi")]}]


def test_strange_blocks_are_shown_as_they_are():
    """A block that lacks what its kind has is shown as JSON."""
    for block in ({"type": "image"}, {"type": "document", "source": 1}, {"type": "thinking", "thinking": {}}):
        parts = shown({"messages": [{"role": "user", "content": [block]}]})[0][0]["parts"]
        assert parts[0]["type"] in ("json", "reasoning")


def test_words_are_found():
    """Search finds what was said and what tools gave, and no base64."""
    answer = json.loads((FIXTURES / "search.json").read_text())
    words = search_text("anthropic", "chat", {PART_ANSWER: json.dumps(answer).encode()})
    assert "1.09 million people" in words
    assert "Cologne" in words
