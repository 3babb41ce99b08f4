"""The table of vendors, and what some of them count differently."""

import re

import pytest

from llmflow_web.registry import PROVIDERS

ROWS = {provider.name: provider for provider in PROVIDERS}


def test_the_order_of_the_table():
    """The list users see starts with the documented order."""
    documented = [
        "openai", "ollama", "anthropic", "gemini", "cohere", "azure", "groq", "mistral", "together", "perplexity", "openrouter",
    ]  # fmt: skip
    names = [provider.name for provider in PROVIDERS]
    known = [name for name in documented if name in names]
    assert names[: len(known)] == known


@pytest.mark.parametrize("row", PROVIDERS, ids=lambda row: row.name)
def test_rows(row):
    """Names can stand in a URL, hosted vendors are https with a key, local ones are loopback; keys are known as such."""
    assert re.fullmatch(r"[a-z][a-z0-9-]*", row.name)
    assert row.name not in ("v1", "health", "providers", "passthrough")
    for name, value in row.authorize("k"):
        assert name in row.credentials
        assert value in ("k", "Bearer k")
    if not row.operations and row.place is None:
        assert row.authorize("k") == (("authorization", "Bearer k"),)
    if row.is_local:
        assert row.root.startswith("http://127.0.0.1:")
    else:
        assert row.root.startswith("https://")
        assert row.key_env
    assert not row.root.endswith("/")
    assert row.version == "" or row.version.startswith("/")


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("groq", "https://api.groq.com/openai/v1"),
        ("mistral", "https://api.mistral.ai/v1"),
        ("together", "https://api.together.ai/v1"),
        ("perplexity", "https://api.perplexity.ai"),
        ("openrouter", "https://openrouter.ai/api/v1"),
        ("zai", "https://api.z.ai/api/paas/v4"),
        ("deepinfra", "https://api.deepinfra.com/v1/openai"),
        ("fireworks", "https://api.fireworks.ai/inference/v1"),
    ],
)
def test_base_urls(name, url):
    """Our /v1 stands for the whole base."""
    assert ROWS[name].base_url == url


def test_who_is_asked_for_usage():
    """Servers that refuse stream_options, or send usage anyway, are not asked."""
    asked = {name for name, row in ROWS.items() if row.inject_usage}
    assert asked == {"openai", "azure", "groq", "deepseek", "xai", "ollama", "lmstudio", "vllm", "llamacpp"}


def test_xai_leaves_reasoning_out_of_completion():
    """Reasoning is added when the total says that it is missing, and the ticks become dollars."""
    raw = {"prompt_tokens": 32, "completion_tokens": 9, "total_tokens": 135, "cost_in_usd_ticks": 158_500_000,
           "completion_tokens_details": {"reasoning_tokens": 94}}  # fmt: skip
    usage = ROWS["xai"].usage({"usage": raw}, {})
    assert usage is not None
    assert (usage.completion_tokens, usage.total_tokens, usage.reported_cost) == (103, 135, 0.01585)


def test_xai_with_reasoning_included():
    """Where prompt and completion make the total, nothing is added."""
    raw = {
        "prompt_tokens": 10,
        "completion_tokens": 20,
        "total_tokens": 30,
        "completion_tokens_details": {"reasoning_tokens": 5},
    }
    usage = ROWS["xai"].usage({"usage": raw}, {})
    assert usage is not None
    assert usage.completion_tokens == 20


def test_perplexity_reports_its_cost():
    """Fees that tokens do not show are in the reported cost."""
    raw = {"prompt_tokens": 1, "completion_tokens": 1, "num_search_queries": 2, "search_context_size": "low",
           "cost": {"total_cost": 0.006}}  # fmt: skip
    usage = ROWS["perplexity"].usage({"usage": raw}, {})
    assert usage is not None
    assert (usage.reported_cost, usage.web_searches, usage.search_context_size) == (0.006, 2, "low")


@pytest.mark.parametrize(("is_byok", "cost"), [(False, 0.001), (True, 0.011)])
def test_openrouter_reports_its_cost(is_byok, cost):
    """With a key of one's own the upstream's bill comes on top."""
    raw = {"prompt_tokens": 1, "completion_tokens": 1, "cost": 0.001, "is_byok": is_byok,
           "cost_details": {"upstream_inference_cost": 0.01}}  # fmt: skip
    usage = ROWS["openrouter"].usage({"usage": raw}, {})
    assert usage is not None
    assert usage.reported_cost == pytest.approx(cost)


def test_groq_usage_in_its_own_envelope():
    """`x_groq.usage` counts where there is no other."""
    usage = ROWS["groq"].usage(
        {"x_groq": {"usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}}}, {}
    )
    assert usage is not None
    assert usage.total_tokens == 7
