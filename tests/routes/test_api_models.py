"""GET /api/models/prices over a real port: classes with their prices, the key they come from, and honest gaps."""

import pytest
from routes.api_rig import NOW, ApiRig

from llmflow_web.model import Row, Span


def call(key: str, model: str | None, provider: str) -> Row:
    return Row(Span(f"t-{key}", key, start_ns=int(NOW) * 10**9, provider=provider, model=model, status=200))


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    with ApiRig(tmp_path_factory.mktemp("data")) as rig:
        rig.store(
            call("a", "gpt-4o", "openai"), call("b", "gpt-4o", "openai"), call("c", "claude-sonnet-4-5", "anthropic"),
            call("d", "my-own", "local"), call("e", None, "openai"),
        )  # fmt: skip
        yield rig


def test_everything_that_was_used(rig: ApiRig) -> None:
    """Every model that was used is quoted, the most used first; one without a row says so."""
    found = rig.get("/api/models/prices").json
    assert found["date"] == "2026-10-21"
    assert found["models"][0]["model"] == "gpt-4o"
    assert {one["model"] for one in found["models"]} == {"gpt-4o", "claude-sonnet-4-5", "my-own"}
    own = next(one for one in found["models"] if one["model"] == "my-own")
    assert (own["price_key"], own["prices"], own["provider"]) == (None, [], "local")


def test_one_model(rig: ApiRig) -> None:
    """A model's classes have the price of a token and of a million; a class without a price of its own is left out."""
    (found,) = rig.get("/api/models/prices?model=gpt-4o&provider=openai").json["models"]
    assert (found["price_key"], found["quality"], found["mode"]) == ("gpt-4o", "exact", "chat")
    prices = {one["class"]: one for one in found["prices"]}
    assert prices["input"] == {"class": "input", "price": 2.5e-06, "unit": "token", "per_million": 2.5}
    assert prices["output"]["per_million"] == 10
    assert "audio_input" not in prices
    assert found["context_window"] is None or found["context_window"] > 0


def test_cache_writes_and_long_prompts(rig: ApiRig) -> None:
    """What a cache write costs stands in a class of its own, and so do the prices of long prompts."""
    (found,) = rig.get("/api/models/prices?model=claude-sonnet-4-5&provider=anthropic").json["models"]
    prices = {one["class"]: one["per_million"] for one in found["prices"]}
    assert (prices["input"], prices["cached_input"], prices["cache_write"], prices["output"]) == (3, 0.3, 3.75, 15)
    for long in found["long_context"]:
        assert {one["class"]: one["per_million"] for one in long["prices"]}["input"] > 3


def test_an_unknown_model_is_no_error(rig: ApiRig) -> None:
    """A model nobody knows has no prices."""
    assert rig.get("/api/models/prices?model=nobody").json["models"][0]["price_key"] is None
