"""From adapters and settings to upstreams."""

from __future__ import annotations

from typing import Any

import pytest

from llmflow_web.app.settings import Config, UpstreamSetting
from llmflow_web.app.upstreams import upstreams_from
from llmflow_web.errors import ConfigError
from llmflow_web.registry import PROVIDERS


def made(env: dict[str, str] | None = None, *, inject_usage: bool = True, **settings: dict[str, Any]) -> dict[str, Any]:
    upstreams = {name: UpstreamSetting(name, origin="a test", **table) for name, table in settings.items()}
    return upstreams_from(Config(upstreams=upstreams, inject_usage=inject_usage), PROVIDERS, env or {})


def test_every_adapter_is_there() -> None:
    """Without settings, each adapter is reached at its own address, OpenAI first."""
    found = made()
    assert list(found) == [row.name for row in PROVIDERS]
    assert found["openai"].origin == "https://api.openai.com"
    assert found["openai"].proxy_path("/v1/models") == "/v1/models"


def test_environment_keys_go_to_their_own_hosts_only() -> None:
    """A key of the environment belongs to the provider's own https host and does not follow a redirection."""
    env = {"OPENAI_API_KEY": "sk-env", "GROQ_API_KEY": "gsk-env"}
    found = made(env, openai={"url": "http://127.0.0.1:9/v1"})
    assert found["openai"].key is None
    assert found["groq"].key == "gsk-env"


def test_a_configured_key_goes_where_it_is_configured() -> None:
    """key_env names the key of an upstream of the user's own."""
    found = made({"LAB": "secret"}, lab={"url": "http://10.0.0.1:8000", "key_env": "LAB"})
    assert found["lab"].key == "secret"
    assert made({}, lab={"url": "http://10.0.0.1:8000", "key_env": "LAB"})["lab"].key is None


def test_a_whole_path_is_written_once() -> None:
    """Groq's own client writes /openai/v1 itself; an OpenAI client writes /v1 for it."""
    groq = made()["groq"]
    assert groq.proxy_path("/openai/v1/models") == groq.proxy_path("/v1/models") == "/openai/v1/models"
    assert made(groq={"url": "http://box:9"})["groq"].proxy_path("/openai/v1/models") == "/openai/v1/models"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9", "http://127.0.0.1:9/", "http://127.0.0.1:9/v1", "http://127.0.0.1:9/v1/"]
)
def test_a_trailing_v1_is_understood(url: str) -> None:
    """A base URL means the same with and without /v1."""
    assert made(box={"url": url})["box"].proxy_path("/v1/models") == "/v1/models"
    assert made(openai={"url": url})["openai"].proxy_path("/v1/models") == "/v1/models"


def test_usage_is_asked_for_only_where_known() -> None:
    """A name of the user's own is not asked for usage unless it is said to understand; one switch turns all off."""
    assert made()["openai"].inject_usage
    assert not made(box={"url": "http://x:1"})["box"].inject_usage
    assert made(box={"url": "http://x:1", "inject_usage": True})["box"].inject_usage
    assert not any(upstream.inject_usage for upstream in made(inject_usage=False).values())


def test_what_is_free() -> None:
    """Models on this machine are free, a paid provider behind a local gateway is not; free = … decides otherwise."""
    assert made(box={"url": "http://127.0.0.1:1"})["box"].is_free
    assert not made(box={"url": "http://10.0.0.1:1"})["box"].is_free
    assert made(box={"url": "http://10.0.0.1:1", "free": True})["box"].is_free
    assert not made(box={"url": "http://127.0.0.1:1", "free": False})["box"].is_free
    assert not made(openai={"url": "http://127.0.0.1:1"})["openai"].is_free


def test_an_unknown_dialect_is_refused() -> None:
    """A dialect nobody speaks is refused with the ones that are known."""
    with pytest.raises(ConfigError, match=r"klingon.*openai"):
        made(box={"url": "http://x:1", "dialect": "klingon"})
