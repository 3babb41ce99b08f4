"""Helicone: whose dialect a call speaks, Helicone's own key, and cached answers."""

import pytest
from llmflow_web.providers.helicone import HELICONE

OAI = "https://oai.helicone.ai"


@pytest.mark.parametrize(
    ("url", "headers", "row"),
    [
        (f"{OAI}/v1/chat/completions", {}, "openai"),
        (f"{OAI}/v1/completions", {}, "openai"),
        ("https://anthropic.helicone.ai/v1/messages", {}, "anthropic"),
        (f"{OAI}/v1/messages", {}, "anthropic"),
        ("https://gateway.helicone.ai/v1beta/models/g:streamGenerateContent", {}, "gemini"),
        (f"{OAI}/openai/deployments/d/chat/completions", {}, "azure"),
        (f"{OAI}/v1/chat/completions", {"helicone-openai-api-base": "https://r.openai.azure.com"}, "azure"),
        ("https://gateway.helicone.ai/v2/chat", {"helicone-target-url": "https://api.cohere.com"}, "cohere"),
        ("https://gateway.helicone.ai/v1/chat/completions", {"helicone-target-url": "https://api.groq.com"}, "groq"),
        ("https://gateway.helicone.ai/v1/chat/completions", {"helicone-target-url": "api.mistral.ai"}, "mistral"),
        ("https://gateway.helicone.ai/v1/chat/completions", {"helicone-target-url": "https://max.ai"}, "openai"),
        ("https://gateway.helicone.ai/v1/chat/completions", {"helicone-target-url": "https://[bad"}, "openai"),
        ("https://groq.helicone.ai/openai/v1/chat/completions", {}, "groq"),
        ("https://eu.deepseek.helicone.ai/v1/chat/completions", {}, "deepseek"),
        ("https://ai-gateway.helicone.ai/chat/completions", {}, "openai"),
    ],
)
def test_whose_dialect_it_is(url, headers, row):
    """The path tells first, then the target that headers name, then Helicone's host."""
    assert HELICONE.dialect(url, headers) == row


@pytest.mark.parametrize(
    ("cache", "is_free"), [("HIT", True), ("hit ", True), ("MISS", None), ("", None)]
)  # fmt: skip
def test_a_cached_answer_costs_nothing(cache, is_free):
    """The usage in a cached answer is that of the call it was made by."""
    assert HELICONE.is_free("gpt-4o", {"helicone-cache": cache}) is is_free


@pytest.mark.parametrize("key", ["sk-helicone-x", "Bearer sk-helicone-x"])
def test_its_own_key(key):
    """HELICONE_API_KEY is sent as Helicone-Auth, with `Bearer ` where that is missing."""
    assert HELICONE.authorize(key) == (("helicone-auth", "Bearer sk-helicone-x"),)
    assert HELICONE.credentials == {"helicone-auth"}


@pytest.mark.parametrize(
    ("env", "url"),
    [
        ({}, None),
        ({"HELICONE_HOST": "h.example.org"}, "https://h.example.org"),
        ({"HELICONE_HOST": "h.example.org", "HELICONE_PORT": "8443"}, "https://h.example.org:8443"),
        ({"HELICONE_PORT": "443"}, "https://oai.helicone.ai"),
    ],
)
def test_where_the_environment_puts_it(env, url):
    """Host and port are the user's to name; it is always https."""
    assert HELICONE.place(env).url == url


def test_passthrough_only():
    """There is no translated route."""
    assert not HELICONE.has_proxy_route
    assert not HELICONE.operations
