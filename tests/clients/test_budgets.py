"""What official SDKs make of a call that a budget keeps back: their own error for it, at once and without a retry."""

from __future__ import annotations

import pytest
from app.test_budgets import answered, chat
from fake_upstream import FakeUpstream

import llmflow

openai = pytest.importorskip("openai", reason="the openai SDK is not installed")

pytestmark = [pytest.mark.sdk, pytest.mark.filterwarnings("ignore::DeprecationWarning:google.*")]

SAID = "LLMFlow's budget 'max_calls' is used up: 1 of 1 call since LLMFlow started"
MESSAGES = [{"role": "user", "content": "Why is the sky blue?"}]


@pytest.fixture
def flow():
    """A whole LLMFlow whose only call is used up."""
    with (
        FakeUpstream(answered()) as upstream,
        llmflow.serve(upstreams=dict.fromkeys(("openai", "anthropic", "gemini"), upstream.url), max_calls=1) as flow,
    ):
        assert chat(flow)[0] == 200
        flow.cost()
        yield flow
        assert len(upstream.requests) == 1


def assert_refused_once(flow) -> None:
    """One row says that it was refused: nothing was tried again."""
    rows = [row for row in flow.calls() if row["status"] == 429]
    assert len(rows) == 1
    assert rows[0]["error"].startswith(SAID)
    assert (rows[0]["total_tokens"], rows[0]["estimated_cost"] or 0) == (None, 0)


@pytest.mark.parametrize("stream", [False, True])
def test_openai(flow, stream) -> None:
    """The openai SDK raises RateLimitError with our code, though it would try other 429s again."""
    with (
        openai.OpenAI(api_key="sk-x", base_url=flow.openai_base_url, max_retries=5) as client,
        pytest.raises(openai.RateLimitError) as caught,
    ):
        client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, stream=stream)
    assert (caught.value.code, caught.value.type) == ("budget_exceeded", "insufficient_quota")
    assert SAID in caught.value.message
    assert_refused_once(flow)


def test_openai_on_a_translated_route(flow) -> None:
    """The same where the call would have been translated for another provider."""
    with (
        openai.OpenAI(api_key="sk-x", base_url=flow.base_url("anthropic"), max_retries=5) as client,
        pytest.raises(openai.RateLimitError) as caught,
    ):
        client.chat.completions.create(model="claude-haiku-4-5", messages=MESSAGES)
    assert caught.value.code == "budget_exceeded"
    assert_refused_once(flow)


@pytest.mark.parametrize("stream", [False, True])
def test_anthropic(flow, stream) -> None:
    """The anthropic SDK raises RateLimitError with the sentence."""
    anthropic = pytest.importorskip("anthropic", reason="the anthropic SDK is not installed")
    with (
        anthropic.Anthropic(api_key="sk-ant-x", base_url=flow.anthropic_base_url, max_retries=5) as client,
        pytest.raises(anthropic.RateLimitError) as caught,
    ):
        client.messages.create(model="claude-haiku-4-5", max_tokens=10, messages=MESSAGES, stream=stream)
    assert caught.value.body["error"]["type"] == "rate_limit_error"
    assert SAID in caught.value.body["error"]["message"]
    assert_refused_once(flow)


def test_google(flow) -> None:
    """The google-genai SDK raises ClientError 429 RESOURCE_EXHAUSTED with the sentence."""
    genai = pytest.importorskip("google.genai", reason="the google-genai SDK is not installed")
    client = genai.Client(api_key="x", http_options={"base_url": flow.gemini_base_url})
    with pytest.raises(genai.errors.ClientError) as caught:
        client.models.generate_content(model="gemini-2.5-flash", contents="Why is the sky blue?")
    client.close()
    assert (caught.value.code, caught.value.status) == (429, "RESOURCE_EXHAUSTED")
    assert SAID in caught.value.message
    assert_refused_once(flow)
