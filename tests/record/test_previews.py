"""One line says what was asked and answered; estimates count text only."""

import pytest

from llmflow_web.model import Completion
from llmflow_web.record.previews import (
    PREVIEW_CHARS,
    answer_preview,
    asked_preview,
    estimated_tokens,
    preview,
    prompt_characters,
)

CALL = {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}


@pytest.mark.parametrize(
    ("text", "line"),
    [("", None), (" \n\t", None), (" a\n\n b ", "a b"), ("x" * 160, "x" * 160), ("x" * 161, "x" * 159 + "…")],
)
def test_lines(text, line):
    """White space collapses, long lines end in an ellipsis within the limit."""
    assert preview(text) == line
    assert line is None or len(line) <= PREVIEW_CHARS


@pytest.mark.parametrize(
    ("request_body", "line"),
    [
        ({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}, "a"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}, {"type": "text", "text": "see"}]}]},
            "[image_url] see",
        ),
        ({"messages": [{"role": "user", "content": "a"}, {"role": "tool", "content": "42"}]}, "42"),
        ({"messages": [{"role": "system", "content": "s"}]}, "s"),
        ({"input": [{"type": "function_call_output", "output": "sun"}]}, "sun"),
        ({"input": ["a", "b"]}, "a b"),
        ({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}, "hi"),
        ({"messages": [], "prompt": "p"}, "p"),
        ({}, None),
        ({"messages": 5}, None),
    ],
)
def test_asked(request_body, line):
    """The last thing a user said or a tool gave."""
    assert asked_preview(request_body) == line


@pytest.mark.parametrize(
    ("completion", "line"),
    [
        (None, None),
        (Completion(), None),
        (Completion(text="t", refusal="r"), "t"),
        (Completion(refusal="r", tool_calls=[CALL]), "r"),
        (Completion(tool_calls=[CALL, CALL], reasoning="x"), 'f({"a":1}), f({"a":1})'),
        (Completion(reasoning="hm"), "hm"),
    ],
)
def test_answered(completion, line):
    """Text, else refusal, else the tools it calls, else its thoughts."""
    assert answer_preview(completion) == line


def test_estimates():
    """Text, instructions and tool definitions count; pictures, ids and roles do not."""
    request = {
        "instructions": "x" * 4,
        "messages": [
            {
                "role": "user",
                "content": [{"type": "text", "text": "y" * 8}, {"type": "image_url", "image_url": {"url": "data:,z"}}],
            }
        ],
        "input": "data:image/png;base64,AAAA",
    }
    assert prompt_characters(request) == 12
    usage = estimated_tokens(12, Completion(text="abcde", tool_calls=[CALL]))
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens, usage.is_estimated) == (3, 3, 6, True)
