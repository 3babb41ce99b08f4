"""Labels come from headers: bounded, trimmed, never invented."""

import pytest

from llmflow_web.record.labels import MAX_LABEL_CHARS, MAX_TAGS, labels_from, split_tags, tool_of, tool_of_service


def lines(**headers: str) -> dict[bytes, bytes]:
    return {
        name.replace("_", "-").encode(): f"{name.replace('_', '-')}: {value}".encode()
        for name, value in headers.items()
    }


@pytest.mark.parametrize(
    ("text", "tags"),
    [("", []), (" , ,", []), ("a", ["a"]), ("a, b ,a", ["a", "b"]), ("env:prod,ü", ["env:prod", "ü"])],
)
def test_tags(text, tags):
    """Comma-separated, trimmed, each once."""
    assert split_tags(text) == tags


def test_tags_are_bounded():
    """Neither number nor length is the client's to choose."""
    tags = split_tags(",".join(f"{number}" + "x" * 1000 for number in range(1000)))
    assert (len(tags), len(tags[0])) == (MAX_TAGS, MAX_LABEL_CHARS)


def test_the_singular_wins_unless_it_is_empty():
    """X-LLMFlow-Tag first, then X-LLMFlow-Tags."""
    assert labels_from(lines(x_llmflow_tag="a", x_llmflow_tags="b"), "t").tags == ["a"]
    assert labels_from(lines(x_llmflow_tag="", x_llmflow_tags="b"), "t").tags == ["b"]


@pytest.mark.parametrize(
    ("value", "name", "version"),
    [("greet@3", "greet", "3"), ("greet", "greet", None), ("@3", None, "3"), ("", None, None)],
)
def test_prompts(value, name, version):
    """A prompt is name@version."""
    labels = labels_from(lines(x_llmflow_prompt=value), "t")
    assert (labels.prompt_name, labels.prompt_version) == (name, version)


@pytest.mark.parametrize("value", ["{", "[]", "1", '{"a":"' + "x" * 5000 + '"}'])
def test_metadata_that_cannot_be_used_is_named(value):
    """Metadata is a JSON object of at most 4 KB."""
    labels = labels_from(lines(x_llmflow_metadata=value), "t")
    assert labels.metadata == {}
    assert labels.dropped


def test_helicone_sessions():
    """Name and path of a session are metadata."""
    labels = labels_from(lines(helicone_session_name="n", helicone_session_path="/a/b"), "t")
    assert labels.metadata == {"session_name": "n", "session_path": "/a/b"}


@pytest.mark.parametrize(
    ("headers", "parent"),
    [
        ({}, None),
        ({"x_parent_id": " p "}, "p"),
        ({"x_parent_id": "p", "traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}, "p"),
        ({"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}, "b" * 16),
        ({"traceparent": f"00-{'a' * 32}-{'0' * 16}-01"}, None),
        ({"traceparent": f"00-{'c' * 32}-{'b' * 16}-01"}, None),
        ({"traceparent": "nonsense"}, None),
    ],
)
def test_parents(headers, parent):
    """X-Parent-Id, else the traceparent of this very trace."""
    assert labels_from(lines(**headers), "a" * 32).parent_id == parent


@pytest.mark.parametrize(
    ("headers", "session"),
    [
        ({"x_claude_code_session_id": "c"}, "c"),
        ({"thread_id": "t", "session_id": "s"}, "t"),
        ({"x_llmflow_session_id": "ours", "x_claude_code_session_id": "c"}, "ours"),
    ],
)
def test_sessions_coding_agents_name_themselves(headers, session):
    """Claude Code and Codex CLI say in a header which session a call is for; our own header says it first."""
    assert labels_from(lines(**headers), "a" * 32).session_id == session


@pytest.mark.parametrize(
    ("headers", "source", "provider", "tool"),
    [
        ({"user_agent": "claude-cli/2.1.0 (external, cli)"}, "proxy", "anthropic", "claude-code"),
        ({"originator": "codex_cli_rs"}, "proxy", "openai", "codex-cli"),
        ({"x_title": "Aider"}, "proxy", "openrouter", "aider"),
        ({"user_agent": "curl/8"}, "passthrough", "gemini", "gemini-cli"),
        ({"user_agent": "curl/8"}, "passthrough", "openai", "proxy"),
        ({}, "proxy", "openai", "proxy"),
    ],
)
def test_tools(headers, source, provider, tool):
    """By what the client says of itself, then by the way it came."""
    assert tool_of(lines(**headers), source, provider) == tool


@pytest.mark.parametrize(
    ("service", "tool"),
    [
        ("claude-code", "claude-code"),
        ("My-Codex", "codex-cli"),
        ("copilot-chat", "copilot"),
        ("shop", None),
        (None, None),
    ],
)
def test_tools_by_service(service, tool):
    """Spans of SDKs and telemetry are known by their service."""
    assert tool_of_service(service) == tool
