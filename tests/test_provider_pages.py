"""docs/providers.md is true: it names every provider and key, and what it says is ignored or refused is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from llmflow_web.errors import BadRequest
from llmflow_web.provider import Target
from llmflow_web.registry import PROVIDERS

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "providers.md").read_text(encoding="utf-8")
ROWS = {row.name: row for row in PROVIDERS}
CHAT = {"messages": [{"role": "user", "content": "Hi"}]}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
MODELS = {"anthropic": "claude-sonnet-4-5", "gemini": "gemini-2.5-flash", "cohere": "command-a-03-2025"}


def asked(name: str, **fields):
    chat = ROWS[name].operations["chat"]
    return chat.request({"model": MODELS[name], **CHAT, **fields}, Target(ROWS[name].base_url))


def test_every_provider_is_named() -> None:
    """No row of the table is missing from the page, nor a key of those with a client of their own."""
    for row in PROVIDERS:
        assert f"`{row.name}`" in PAGE or row.name == "openai", row.name
    for name, keys in re.findall(r"^\| `(\w+)` \| `.*?\| ((?:`\w+_\w+`(?:, )?)+) \|$", PAGE, re.MULTILINE):
        assert re.findall(r"`(\w+)`", keys) == list(ROWS[name].key_env), name


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("anthropic", {"seed": 1, "frequency_penalty": 0.5, "presence_penalty": 0.5, "logit_bias": {"1": 1}}),
        ("gemini", {"logit_bias": {"1": 1}, "user": "ada"}),
        (
            "cohere",
            {"user": "ada", "logit_bias": {"1": 1}, "parallel_tool_calls": False, "store": True, "tools": [TOOL]},
        ),
    ],
)
def test_what_is_ignored_is_said_so(name, fields) -> None:
    """Every such field is listed."""
    assert set(fields) - {"tools"} <= set(asked(name, **fields).ignored)


@pytest.mark.parametrize(
    ("name", "fields", "param"),
    [
        ("anthropic", {"n": 2}, "n"),
        ("anthropic", {"modalities": ["text", "audio"]}, "modalities"),
        ("gemini", {"stop": list("abcdef")}, "stop"),
        ("cohere", {"n": 2}, "n"),
        ("cohere", {"modalities": ["text", "audio"]}, "modalities"),
        ("cohere", {"stop": list("abcdef")}, "stop"),
    ],
)
def test_what_is_refused_names_the_field(name, fields, param) -> None:
    """A 400 with the field in `param`."""
    with pytest.raises(BadRequest) as caught:
        asked(name, **fields)
    assert caught.value.param == param
