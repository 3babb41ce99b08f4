"""Pricing: every worked example of a real bill, the matching of names, and what stays unknown."""

import json
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmflow_web.model import Cost, Usage
from llmflow_web.record.price_match import find_match
from llmflow_web.record.price_table import PriceTable, read_table, table_from, write_table
from llmflow_web.record.pricing import PriceBook, bundled_table
from llmflow_web.registry import PROVIDERS

FIXTURE = Path(__file__).parent.parent / "fixtures" / "prices.json"
TABLE = table_from(json.loads(FIXTURE.read_text()), date="2026-10-21", source="test")
OPENAI = next(provider for provider in PROVIDERS if provider.name == "openai")


@pytest.fixture
def book() -> PriceBook:
    return PriceBook(load=lambda: TABLE, clock=lambda: 0.0)


def tokens(prompt: int, completion: int = 0, **more: object) -> Usage:
    return Usage(prompt_tokens=prompt, completion_tokens=completion, **more)


def amount(cost: Cost, *names: str) -> float:
    return sum(line.amount for line in cost.lines if line.name in names)


INPUT = ("input", "cached input", "cache write", "cache write 1h", "audio input", "image input")
OUTPUT = ("output", "reasoning", "audio output", "image output")

# provider, model, usage, input $, output $
WORKED = {
    "plain": ("openai", "gpt-4o", tokens(1000, 500), 0.0025, 0.005),
    "cached and reasoning": (
        "openai",
        "gpt-5.1",
        tokens(10000, 2000, cached_tokens=8000, reasoning_tokens=1500),
        0.0035,
        0.02,
    ),
    "priority tier": (
        "openai",
        "gpt-4o",
        tokens(1000, 100, cached_tokens=400, service_tier="priority"),
        0.0034,
        0.0017,
    ),
    "flex tier": ("openai", "o3", tokens(2000, 1000, reasoning_tokens=600, service_tier="flex"), 0.002, 0.004),
    "above 272k": ("openai", "gpt-5.5", tokens(300_000, 1000, cached_tokens=100_000), 2.1, 0.045),
    "cache writes of 5 min and 1 h": (
        "anthropic",
        "claude-sonnet-4-5",
        tokens(4000, 800, cached_tokens=2000, cache_write_tokens=800, cache_write_1h_tokens=300),
        0.007875,
        0.012,
    ),
    "batch tier": ("anthropic", "claude-haiku-4-5", tokens(10000, 1000, service_tier="batch"), 0.005, 0.0025),
    "above 200k on Bedrock": (
        "aws.bedrock",
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        tokens(250_000, 1000),
        1.65,
        0.02475,
    ),
    "audio and thoughts": (
        "gemini",
        "models/gemini-2.5-flash",
        tokens(3000, 1500, cached_tokens=1000, audio_input_tokens=500, reasoning_tokens=700),
        0.00098,
        0.00375,
    ),
    "above 200k on Gemini": (
        "gemini",
        "gemini-2.5-pro",
        tokens(250_000, 4000, cached_tokens=50_000, reasoning_tokens=1000),
        0.5125,
        0.06,
    ),
    "exactly 200k is not above": ("gemini", "gemini-2.5-pro", tokens(200_000, 100), 0.25, 0.001),
    "exactly 200k is above for xAI": ("xai", "grok-4.5", tokens(200_000, 100), 0.8, 0.0012),
    "audio both ways": (
        "openai",
        "gpt-audio",
        tokens(1000, 400, audio_input_tokens=600, audio_output_tokens=300),
        0.0202,
        0.0202,
    ),
    "cache hits": ("deepseek", "deepseek-chat", tokens(5000, 1000, cached_tokens=3000), 0.000644, 0.00042),
    "second range": ("dashscope", "qwen-flash", tokens(300_000, 1000), 0.075, 0.002),
    "embedding": ("openai", "text-embedding-3-small", tokens(8000), 0.00016, 0),
    "a slash in the model": ("groq", "openai/gpt-oss-120b", tokens(2000, 500, cached_tokens=1000), 0.000225, 0.0003),
    "billed units": (
        "cohere",
        "command-a-03-2025",
        tokens(1400, 210, billed_prompt_tokens=1000, billed_completion_tokens=200),
        0.0025,
        0.002,
    ),
}


@pytest.mark.parametrize("name", WORKED)
def test_worked_token_example(name: str, book: PriceBook) -> None:
    """The worked examples of token pricing come out to the tenth decimal, and the lines sum to the total."""
    provider, model, usage, input_usd, output_usd = WORKED[name]
    cost = book.price(provider, [model], usage)
    assert amount(cost, *INPUT) == pytest.approx(input_usd, abs=1e-10)
    assert amount(cost, *OUTPUT) == pytest.approx(output_usd, abs=1e-10)
    assert cost.total == pytest.approx(input_usd + output_usd, abs=1e-10)
    assert cost.price_date == "2026-10-21"


def test_whisper_is_billed_once(book: PriceBook) -> None:
    """whisper-1 names its price on both sides; a minute costs it once."""
    cost = book.price("openai", ["whisper-1"], Usage(seconds=60.0))
    assert (cost.total, cost.lines[0].unit, cost.lines[0].quantity) == (0.006, "second", 60.0)


def test_seconds_priced_on_the_input_side_only(book: PriceBook) -> None:
    """An output price of 0 per second does not hide the input price."""
    assert book.price("groq", ["whisper-large-v3"], Usage(seconds=100.0)).total == pytest.approx(0.003083)


def test_speech_is_billed_by_the_character(book: PriceBook) -> None:
    """1000 characters of tts-1 cost 0.015."""
    assert book.price("openai", ["tts-1"], Usage(characters=1000)).total == pytest.approx(0.015)


@pytest.mark.parametrize("model", ["claude-sonnet-4-5", "claude-haiku-4-5"])
def test_web_searches_add_a_fee(model: str, book: PriceBook) -> None:
    """Three web searches of Anthropic add 0.03, whether the row names the fee or not."""
    usage = tokens(1000, 100)
    plain = book.price("anthropic", [model], usage).total
    cost = book.price("anthropic", [model], replace(usage, web_searches=3))
    assert cost.total == pytest.approx(plain + 0.03)
    assert (cost.lines[-1].name, cost.lines[-1].quantity, cost.quality) == ("web search", 3, "exact")


@pytest.mark.parametrize(("size", "fee"), [("low", 0.005), ("high", 0.012), (None, 0.008)])
def test_web_search_fee_by_context_size(size: str | None, fee: float, book: PriceBook) -> None:
    """The fee follows the search context size; medium where none is named."""
    usage = tokens(0, 0, web_searches=1, search_context_size=size)
    assert book.price("perplexity", ["sonar"], usage).total == pytest.approx(fee)


def test_unnamed_search_fee_makes_an_estimate(book: PriceBook) -> None:
    """A search whose fee the row does not name leaves the token cost, marked as estimated."""
    cost = book.price("openai", ["gpt-4o"], tokens(1000, 0, web_searches=1))
    assert (cost.total, cost.quality) == (0.0025, "estimated")


def test_fee_per_request(book: PriceBook) -> None:
    """A price per request is added once."""
    assert book.price("perplexity", ["sonar-small-online"], tokens(0, 1000)).total == pytest.approx(0.005 + 0.00028)


def test_queries(book: PriceBook) -> None:
    """Reranking is billed by the query."""
    cost = book.price("bedrock", ["cohere.rerank-v3-5:0"], Usage(queries=2))
    assert (cost.lines[0].unit, cost.total) == ("query", pytest.approx(0.004))


@pytest.mark.parametrize(
    ("provider", "model", "usage", "total", "quality"),
    [
        ("openai", "gpt-image-1", {"image_size": "1024x1024", "image_quality": "high"}, 0.334, "exact"),
        ("openai", "gpt-image-1-mini", {"image_size": "1024x1024", "image_quality": "low"}, 0.01, "exact"),
        ("openai", "gpt-image-1", {"image_quality": "high"}, 0.334, "estimated"),
        ("azure", "dall-e-3", {}, 0.088, "estimated"),
        ("gemini", "gemini-3-pro-image", {}, 0.268, "exact"),
    ],
)
def test_images(provider: str, model: str, usage: dict, total: float, quality: str, book: PriceBook) -> None:
    """Images without tokens are priced by their quality and size, per image or per pixel; defaults are estimates."""
    cost = book.price(provider, [model], Usage(images=2, **usage))
    assert cost.total == pytest.approx(total, rel=1e-4)
    assert (cost.quality, cost.lines[0].quantity) == (quality, 2)


def test_image_tokens_win_over_the_image_price(book: PriceBook) -> None:
    """Where an image call reports tokens, they are what is billed."""
    usage = tokens(100, 1000, image_output_tokens=1000, images=1, image_size="1024x1024", image_quality="high")
    cost = book.price("openai", ["gpt-image-1"], usage)
    assert cost.total == pytest.approx(100 * 5e-06 + 1000 * 4e-05)
    assert cost.price_key == "gpt-image-1"


def test_unknown_image_is_unknown(book: PriceBook) -> None:
    """An image of a size that is not in the table has no price."""
    assert (
        book.price("openai", ["gpt-image-1"], Usage(images=1, image_size="512x512", image_quality="high")).total is None
    )


MATCHES = [
    # provider, reported model, key, quality
    ("openai", "gpt-4o", "gpt-4o", "exact"),
    ("openai", "GPT-4o", "gpt-4o", "exact"),
    ("openai", "gpt-4o-2024-08-06", "gpt-4o-2024-08-06", "exact"),
    ("openai", "gpt-4o-2031-01-01", "gpt-4o", "normalised"),
    ("openai", "gpt-5.5-2026-09-09", "gpt-5.5", "normalised"),
    ("openai", "ft:gpt-4o-2024-08-06:acme::abc123", "ft:gpt-4o-2024-08-06", "exact"),
    ("openai", "ft:gpt-9:acme::abc123", None, None),
    ("openai", "gpt-4o-mini", "gpt-4o-mini", "exact"),
    ("openai", "gpt-4o-mini-2030-01-01", "gpt-4o-mini", "normalised"),
    ("openai", "gpt-4o-minimal", None, None),
    ("openai", "gpt-4o-mini-resolved", None, None),
    ("openai", "o1-pro", "o1-pro", "exact"),
    ("openai", "o1-pro-max", None, None),
    ("openai", "gpt-4-latest", "gpt-4", "normalised"),
    ("openai", "claude-sonnet-4-5", None, None),
    ("openai", "", None, None),
    ("anthropic", "claude-sonnet-4-5-20250929", "claude-sonnet-4-5-20250929", "exact"),
    ("anthropic", "claude-opus-5-5-20261001", "claude-opus-5-5", "normalised"),
    ("anthropic", "claude-3-haiku-20240307", None, None),
    ("gemini", "models/gemini-2.5-flash", "gemini/gemini-2.5-flash", "exact"),
    ("gcp.gemini", "gemini-2.5-flash", "gemini/gemini-2.5-flash", "exact"),
    ("gemini", "gemini-2.5-flash-001", "gemini/gemini-2.5-flash", "normalised"),
    ("gemini", "gemini-2.5-flash-preview", "gemini/gemini-2.5-flash", "normalised"),
    ("vertex_ai", "publishers/google/models/gemini-2.5-pro", "gemini-2.5-pro", "exact"),
    ("vertex_ai", "claude-sonnet-4-5@20250929", "vertex_ai/claude-sonnet-4-5@20250929", "exact"),
    ("azure", "gpt-4.1-2025-04-14", "azure/gpt-4.1-2025-04-14", "exact"),
    ("azure.ai.openai", "gpt-4o", "azure/gpt-4o", "exact"),
    ("azure", "gpt-5.1", "gpt-5.1", "estimated"),
    ("azure", "my-deployment", None, None),
    (
        "bedrock",
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "exact",
    ),
    (
        "bedrock",
        "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "exact",
    ),
    ("groq", "openai/gpt-oss-120b", "groq/openai/gpt-oss-120b", "exact"),
    ("cerebras", "gpt-oss-120b", "cerebras/gpt-oss-120b", "exact"),
    ("together", "MiniMaxAI/MiniMax-M2.7", "together_ai/MiniMaxAI/MiniMax-M2.7", "exact"),
    ("cohere", "command-a-03-2025", "command-a-03-2025", "exact"),
    ("cohere", "embed-v4.0", "cohere/embed-v4.0", "exact"),
    ("ollama", "llama3.1:latest", "ollama/llama3.1", "exact"),
    ("ollama", "qwen3:8b", None, None),
    ("openrouter", "openai/gpt-4o", None, None),
    (None, "gpt-4o", "gpt-4o", "exact"),
    (None, "openai/gpt-4o", "gpt-4o", "exact"),
    (None, "gemini/gemini-2.5-pro", "gemini/gemini-2.5-pro", "exact"),
    (None, "google/gemini-2.5-pro", "gemini/gemini-2.5-pro", "exact"),
    (None, "nobody/gpt-4o", None, None),
]


@pytest.mark.parametrize(("provider", "model", "key", "quality"), MATCHES)
def test_matching(provider: str | None, model: str, key: str | None, quality: str | None) -> None:
    """A reported model finds exactly its own row, or none."""
    match = find_match(TABLE, provider, model)
    assert (match and match.key, match and match.quality) == (key, quality)


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
def test_adapters_name_known_families(provider) -> None:
    """Every adapter that names price families names some that exist in the bundled table, or is known to have none."""
    table = bundled_table()
    owners = {table.find(key)[1]["p"] for key in table.rows}
    unlisted = {"openrouter", "helicone", "lmstudio", "vllm", "llamacpp", "huggingface", "moonshot", "nvidia"}
    families = [family.rstrip("*") for family in provider.price_families]
    known = any(owner.startswith(family) for owner in owners for family in families)
    assert known or not families or provider.name in unlisted


def test_answering_model_wins(book: PriceBook) -> None:
    """The model that answered is priced before the one that was asked for; an unknown one is passed over."""
    assert book.price(OPENAI, ["gpt-4o", "gpt-4o-mini"], tokens(1)).price_key == "gpt-4o"
    assert book.price(OPENAI, ["who-knows", "gpt-4o-mini"], tokens(1)).price_key == "gpt-4o-mini"
    assert book.price(OPENAI, ["", "gpt-4o-mini"], tokens(1)).price_key == "gpt-4o-mini"


def test_unknown_model_has_no_cost(book: PriceBook) -> None:
    """An unknown model costs null, never 0 and never a default."""
    assert book.price(OPENAI, ["who-knows"], tokens(1000, 1000)) == Cost(None)


def test_empty_usage_has_no_cost(book: PriceBook) -> None:
    """A call of which nothing was counted has no cost."""
    assert book.price(OPENAI, ["gpt-4o"], Usage()).total is None


def test_local_upstreams_are_free(book: PriceBook) -> None:
    """A local upstream costs 0 whatever its model is called."""
    cost = book.price("ollama", ["qwen3:8b"], tokens(1000, 1000), free=True)
    assert (cost.total, cost.quality, cost.lines) == (0.0, "free", ())


def test_a_price_of_zero_is_no_missing_price(book: PriceBook) -> None:
    """A row that says 0 makes a known cost of 0."""
    cost = book.price("ollama", ["llama3.1"], tokens(1000, 1000))
    assert (cost.total, cost.quality) == (0.0, "exact")


def test_reported_cost_beats_the_computed_one(book: PriceBook) -> None:
    """A cost the provider bills is the total; the computed lines stay and one more closes the difference."""
    cost = book.price("openai", ["gpt-4o"], tokens(1000, 500, reported_cost=0.009))
    assert (cost.total, cost.quality, cost.price_key) == (0.009, "reported", "gpt-4o")
    assert amount(cost, *INPUT, *OUTPUT) == pytest.approx(0.0075)
    assert sum(line.amount for line in cost.lines) == pytest.approx(0.009)
    assert cost.lines[-1].name == "difference to the reported cost"


def test_reported_cost_without_a_price(book: PriceBook) -> None:
    """A reported cost needs no row in the table."""
    cost = book.price("openrouter", ["any/model"], tokens(10, 10, reported_cost=0.25))
    assert (cost.total, cost.price_key, [line.name for line in cost.lines]) == (0.25, None, ["reported"])


def test_reported_cost_equal_to_the_computed_one(book: PriceBook) -> None:
    """Where both agree there is nothing to close."""
    cost = book.price("openai", ["gpt-4o"], tokens(1000, 500, reported_cost=0.0075))
    assert [line.name for line in cost.lines] == ["input", "output"]


def test_multipliers(book: PriceBook) -> None:
    """A region and a speed multiply every token price."""
    usage = tokens(1000, 100, cached_tokens=500)
    plain = book.price("anthropic", ["claude-opus-5-5"], usage).total
    dear = book.price("anthropic", ["claude-opus-5-5"], replace(usage, inference_geo="us", speed="fast"))
    assert dear.total == pytest.approx(plain * 1.1 * 2)
    europe = book.price("openai", ["gpt-5.4-mini"], tokens(1000, 0, inference_geo="eu"))
    assert europe.total == pytest.approx(1000 * 7.5e-07 * 1.1)


@pytest.mark.parametrize("tier", ["default", "standard", "scale", "auto", None, "priority-ish"])
def test_base_tiers(tier: str | None, book: PriceBook) -> None:
    """Tiers that are the base, and words nobody knows, cost the base rate."""
    assert book.price("openai", ["gpt-4o"], tokens(1000, 0, service_tier=tier)).total == pytest.approx(0.0025)


def test_fast_is_priority(book: PriceBook) -> None:
    """OpenAI's tier "fast" has the priority rates."""
    assert book.price("openai", ["gpt-4o"], tokens(1000, 0, service_tier="fast")).total == pytest.approx(0.00425)


def test_missing_tier_falls_back_to_the_base(book: PriceBook) -> None:
    """A tier the row does not price costs the base rate, key by key."""
    usage = tokens(1000, 0, cached_tokens=1000, service_tier="batch")
    assert book.price("openai", ["gpt-4o"], usage).total == pytest.approx(1000 * 1.25e-06)


def test_long_prompt_with_a_tier(book: PriceBook) -> None:
    """Above the threshold the tier's own long rate counts."""
    usage = tokens(300_000, 0, cached_tokens=100_000, service_tier="flex")
    assert book.price("openai", ["gpt-5.5"], usage).total == pytest.approx(200_000 * 5e-06 + 100_000 * 5e-07)


@pytest.mark.parametrize(
    ("at", "is_cheap"),
    [
        ("2026-11-23T00:30", True),  # Monday
        ("2026-11-23T01:00", False),
        ("2026-11-23T05:59", True),
        ("2026-11-23T06:00", False),
        ("2026-11-23T23:59", True),
        ("2026-11-22T12:00", True),  # Sunday: all day
    ],
)
def test_off_peak_hours(at: str, is_cheap: bool, book: PriceBook) -> None:
    """DeepSeek's off-peak prices hold in their UTC windows, to the minute."""
    when = datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp()
    cost = book.price("deepseek", ["deepseek-flash"], tokens(1000, 0), at_s=when)
    # Its key has no prefix, so the bare name is found without a provider.
    cost = cost if cost.total is not None else book.price(None, ["deepseek-flash"], tokens(1000, 0), at_s=when)
    assert cost.total == pytest.approx(1.5e-04 if is_cheap else 3e-04)


@pytest.mark.parametrize(
    ("prompt", "rate"), [(0, 0), (1, 5e-08), (256_000, 5e-08), (256_001, 2.5e-07), (5_000_000, 2.5e-07)]
)
def test_ranges(prompt: int, rate: float, book: PriceBook) -> None:
    """A range begins above its low end and holds its high one; beyond the last one the last one counts."""
    assert book.price("dashscope", ["qwen-flash"], tokens(prompt)).total == pytest.approx(prompt * rate)


def test_unpriced_part_makes_the_whole_unknown(book: PriceBook) -> None:
    """Output that the row does not price leaves the cost unknown instead of too small."""
    table = table_from(
        {"m": {"litellm_provider": "openai", "input_cost_per_token": 1e-6}}, date="2026-01-01", source="test"
    )
    assert PriceBook(load=lambda: table).price("openai", ["m"], tokens(100, 50)).total is None


def test_one_sided_and_estimated_usage_is_marked(book: PriceBook) -> None:
    """Estimated tokens, or a side that is unknown, make the cost an estimate."""
    assert book.price("openai", ["gpt-4o"], tokens(10, 10, is_estimated=True)).quality == "estimated"
    assert book.price("openai", ["gpt-4o"], Usage(completion_tokens=10)).quality == "estimated"
    assert book.price("openai", ["text-embedding-3-small"], Usage(prompt_tokens=10)).quality == "exact"


def test_fireworks_cached_tokens_are_an_estimate(book: PriceBook) -> None:
    """Cached tokens of a Fireworks row without a cached rate cost the input rate, marked."""
    cost = book.price("fireworks", ["deepseek-r1"], tokens(1000, 0, cached_tokens=400))
    assert cost.quality == "estimated"
    assert cost.total == pytest.approx(book.price("fireworks", ["deepseek-r1"], tokens(1000)).total)


def test_aliases_come_first() -> None:
    """The user's own name for a model is looked up under what it stands for."""
    book = PriceBook(load=lambda: TABLE, aliases={"house-model": "gpt-4o"})
    assert book.price("openai", ["house-model"], tokens(1000)).total == pytest.approx(0.0025)


def test_table_is_loaded_once_and_only_when_needed() -> None:
    """Making a book reads nothing; the first priced call does, once."""
    loads = []
    book = PriceBook(load=lambda: loads.append(1) or TABLE)
    assert not book.is_loaded
    assert loads == []
    book.price("openai", ["gpt-4o"], tokens(1))
    book.price("openai", ["gpt-4o"], tokens(1))
    assert loads == [1]


def test_replacing_the_table_forgets_misses() -> None:
    """A model that was unknown is found after a refresh brought it."""
    book = PriceBook(load=lambda: PriceTable(rows={}, date="2026-01-01", source="test"))
    assert book.price("openai", ["gpt-4o"], tokens(1000)).total is None
    book.replace(TABLE)
    assert book.price("openai", ["gpt-4o"], tokens(1000)).total == pytest.approx(0.0025)


@given(
    counts=st.lists(st.integers(0, 10**7), min_size=9, max_size=9),
    key=st.sampled_from(["gpt-4o", "gpt-5.5", "gpt-audio", "o3", "claude-sonnet-4-5"]),
)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_lines_always_sum_to_the_total(counts: list[int], key: str) -> None:
    """However odd the counts, lines sum to the total, nothing is negative and no token is billed twice."""
    names = ("cached_tokens", "cache_write_tokens", "cache_write_1h_tokens", "audio_input_tokens",
             "image_input_tokens", "reasoning_tokens", "audio_output_tokens")  # fmt: skip
    usage = tokens(counts[0], counts[1], **dict(zip(names, counts[2:], strict=True)))
    cost = PriceBook(load=lambda: TABLE).price(None, [key], usage)
    assert cost.total == pytest.approx(sum(line.amount for line in cost.lines), abs=1e-9)
    assert all(line.quantity > 0 and line.amount >= 0 for line in cost.lines)
    assert sum(line.quantity for line in cost.lines if line.name in INPUT) == counts[0]
    assert sum(line.quantity for line in cost.lines if line.name in OUTPUT) == counts[1]


def test_bundled_snapshot_is_whole() -> None:
    """The shipped table has its date and prices the models of today."""
    table = bundled_table()
    assert len(table.rows) > 4000
    assert all(table.find(key) is not None for key in table.rows)
    assert table.date >= "2026-10-21"
    book = PriceBook(load=lambda: table)
    assert book.price(OPENAI, ["gpt-4o-mini"], tokens(1000, 1000)).total == pytest.approx(0.00075)


def test_pricing_is_fast() -> None:
    """A warm price takes microseconds: far below what recording a call costs."""
    book = PriceBook(load=lambda: TABLE)
    usage = tokens(1000, 500, cached_tokens=100, reasoning_tokens=50)
    book.price(OPENAI, ["gpt-4o"], usage)
    best = min(_time(book, usage) for _ in range(5))
    assert best < 100e-6  # about 8 µs on a laptop; the margin is for busy machines


def _time(book: PriceBook, usage: Usage) -> float:
    start = time.thread_time()  # of ours, whatever else the machine does
    for _ in range(200):
        book.price(OPENAI, ["gpt-4o"], usage)
    return (time.thread_time() - start) / 200


def test_written_table_is_read_back() -> None:
    """A file of ours is JSON with a model a line, and gives the rows that were written, odd keys included."""
    models = {"A/b": {"p": "x", "m": "chat", "input_cost_per_token": 1e-6}, 'q"uote\\ü': {"p": "", "m": ""}}
    data = write_table({"date": "2026-01-02", "source": "here"}, models)
    assert json.loads(data) == {"_snapshot": {"date": "2026-01-02", "source": "here"}, **models}
    assert len(data.splitlines()) == 3
    table, about = read_table(data, source="there")
    assert (table.date, table.source, about["source"]) == ("2026-01-02", "there", "here")
    assert table.find("a/b") == ("A/b", models["A/b"])


@pytest.mark.parametrize("cut", [1, 2, 30, 60, 90])
def test_torn_file_is_no_table(cut: int) -> None:
    """A file that ends too early is refused, not half believed."""
    data = write_table({"date": "2026-01-02"}, {"a": {"p": "x", "m": ""}, "b": {"p": "x", "m": ""}}).rstrip()
    with pytest.raises(ValueError):
        read_table(data[:-cut], source="there")


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b'{"_snapshot":7,\n"a":{}}', b'{"gpt-4o":{"p":"openai"}}\n'])
def test_foreign_file_is_no_table(data: bytes) -> None:
    """What is not a table of ours is refused."""
    with pytest.raises(ValueError):
        read_table(data, source="there")


def test_damaged_row_is_unknown() -> None:
    """A row that cannot be read has no price; the others have theirs."""
    table = PriceTable({"a": b'"a":{"p":', "b": b'"b":7', "c": b'"c":{"p":"openai"}'}, "2026-01-01", "test")
    assert (table.find("a"), table.find("b"), table.find("d")) == (None, None, None)
    assert table.find("c") == ("c", {"p": "openai"})
