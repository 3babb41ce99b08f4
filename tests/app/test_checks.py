"""Every provider is asked whether it is there, and no key goes where it does not belong."""

import pytest

from llmflow_web.app.checks import checks_from
from llmflow_web.app.config import load
from llmflow_web.app.upstreams import upstreams_from
from llmflow_web.net.upstreams import without_loops
from llmflow_web.registry import PROVIDERS


def checks(tmp_path, env=None, **flags):
    config = load({"data_dir": [str(tmp_path)]} | flags, {})
    return checks_from(without_loops(upstreams_from(config, PROVIDERS, env or {}), [8080]))


def test_every_provider_with_a_route_has_a_check(tmp_path):
    """The contract's five come first; our own port, where llama.cpp would be, is not asked."""
    found = checks(tmp_path)
    assert list(found)[:6] == ["openai", "anthropic", "gemini", "groq", "ollama", "cohere"]
    assert set(found) == {row.name for row in PROVIDERS if row.has_proxy_route} - {"llamacpp"}


@pytest.mark.parametrize(
    ("name", "method", "url"),
    [
        ("cohere", "GET", "https://api.cohere.com/v1/models"),
        ("mistral", "GET", "https://api.mistral.ai/v1/models"),
        ("perplexity", "POST", "https://api.perplexity.ai/chat/completions"),
        ("zai", "POST", "https://api.z.ai/api/paas/v4/chat/completions"),
        ("vllm", "GET", "http://127.0.0.1:8000/v1/models"),
    ],
)
def test_the_question_is_the_provider_s(tmp_path, name, method, url):
    """A listing where there is one; keys by the provider's own header."""
    check = checks(tmp_path)[name]
    assert (check.method, check.url) == (method, url)
    assert ("{key}" in str(check.headers)) is (name != "vllm")


def test_a_redirected_provider_is_asked_at_its_own_address(tmp_path):
    """The environment's key does not follow a redirection."""
    found = checks(tmp_path, {"MISTRAL_API_KEY": "k"}, upstream=["mistral=http://10.0.0.5/v1"])
    assert found["mistral"].url == "https://api.mistral.ai/v1/models"


@pytest.mark.parametrize(
    ("env", "is_asked"),
    [
        ({}, False),
        ({"AZURE_OPENAI_API_KEY": "k"}, False),
        ({"AZURE_OPENAI_API_KEY": "k", "AZURE_OPENAI_ENDPOINT": "http://10.0.0.5"}, False),
        ({"AZURE_OPENAI_API_KEY": "k", "AZURE_OPENAI_RESOURCE": "mine"}, True),
        ({"AZURE_OPENAI_API_KEY": "k", "AZURE_OPENAI_ENDPOINT": "https://mine.openai.azure.com/openai/v1/"}, True),
    ],
)
def test_azure_is_asked_where_the_user_s_resource_is(tmp_path, env, is_asked):
    """Without a resource, or without https, there is nobody the key may go to."""
    check = checks(tmp_path, env)["azure"]
    assert bool(check.missing) is not is_asked
    if is_asked:
        assert check.url == "https://mine.openai.azure.com/openai/models?api-version=2024-10-21"
        assert check.headers == {"api-key": "{key}"}
