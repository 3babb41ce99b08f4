"""Which variables a command finds, and what becomes of those that were set before."""

from __future__ import annotations

import pytest
from run_help import ROOT

from llmflow_web.app.run_variables import OTHERS, VARIABLES, environment, plan
from llmflow_web.errors import ConfigError
from llmflow_web.registry import PROVIDERS

PROXY, DASHBOARD = "http://127.0.0.1:1111", "http://127.0.0.1:2222"


def made(env: dict[str, str], *leave: str) -> dict[str, str]:
    return environment(env, plan(env, PROVIDERS, leave=leave), PROXY, DASHBOARD)


def test_every_variable_leads_to_a_provider() -> None:
    """Each row names a provider that exists, once."""
    names = {row.name for row in PROVIDERS}
    assert {variable.provider for variable in VARIABLES} <= names
    assert len({variable.name for variable in VARIABLES}) == len(VARIABLES)


def test_the_page_has_the_table() -> None:
    """docs/ci.md lists each variable with the path it gets and who reads it."""
    page = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
    for variable in VARIABLES:
        mark = "¹" if variable.only_if_set else ""
        assert f"| `{variable.name}`{mark} | `{variable.path}` | {variable.readers} |" in page
    for name, readers in OTHERS.items():
        assert f"| `{name}` | {readers} |" in page


def test_base_urls_have_v1_where_their_readers_want_it() -> None:
    """OpenAI's ends in /v1, Anthropic's and Google's do not; ours are for our own SDKs."""
    env = made({})
    assert env["OPENAI_BASE_URL"] == f"{PROXY}/v1"
    assert env["ANTHROPIC_BASE_URL"] == f"{PROXY}/anthropic"
    assert env["GOOGLE_GEMINI_BASE_URL"] == f"{PROXY}/gemini"
    assert (env["LLMFLOW_URL"], env["OTEL_EXPORTER_OTLP_ENDPOINT"]) == (DASHBOARD, DASHBOARD)
    assert env["OTEL_EXPORTER_OTLP_PROTOCOL"] == "http/protobuf"


def test_what_says_something_by_being_set_is_not_introduced() -> None:
    """A program that chooses Azure because AZURE_OPENAI_ENDPOINT is there is not misled."""
    assert "AZURE_OPENAI_ENDPOINT" not in made({})
    assert made({"AZURE_OPENAI_ENDPOINT": "https://x.openai.azure.com"})["AZURE_OPENAI_ENDPOINT"] == f"{PROXY}/azure"


def test_a_base_url_becomes_the_upstream() -> None:
    """What was set is where the calls go on to, and the variable leads to us."""
    chosen = plan({"OPENAI_BASE_URL": "https://gateway.corp/llm/v1/"}, PROVIDERS)
    (one,) = chosen.upstreams
    assert (one.provider, one.url, one.variable) == ("openai", "https://gateway.corp/llm/v1", "OPENAI_BASE_URL")
    assert chosen.paths["OPENAI_BASE_URL"] == "/v1"


@pytest.mark.parametrize(
    ("name", "url", "path"),
    [
        ("OPENAI_BASE_URL", "https://openrouter.ai/api/v1", "/openrouter/v1"),
        ("OPENAI_BASE_URL", "https://api.groq.com/openai/v1", "/groq/v1"),
        ("OPENAI_BASE_URL", "https://api.openai.com/v1", "/v1"),
        ("ANTHROPIC_BASE_URL", "https://api.anthropic.com", "/anthropic"),
        ("ANTHROPIC_BASE_URL", "https://api.anthropic.com/v1", "/anthropic/v1"),
    ],
)
def test_a_vendor_that_is_known_keeps_its_row(name: str, url: str, path: str) -> None:
    """An address of a known vendor needs no upstream: its own route has its prices. /v1 stays where it was."""
    chosen = plan({name: url}, PROVIDERS)
    assert not chosen.upstreams
    assert chosen.paths[name] == path


def test_an_openai_base_url_without_v1_stays_without() -> None:
    """A client that adds the paths to a base without /v1 finds a route that understands them."""
    assert plan({"OPENAI_BASE_URL": "http://box:8000"}, PROVIDERS).paths["OPENAI_BASE_URL"] == "/openai"


def test_two_places_for_one_provider_are_refused() -> None:
    """Two variables that disagree are named, with what to do; two that agree are one."""
    env = {"OPENAI_BASE_URL": "http://a/v1", "OPENAI_API_BASE": "http://b/v1"}
    with pytest.raises(ConfigError, match="OPENAI_BASE_URL and OPENAI_API_BASE place openai differently"):
        plan(env, PROVIDERS)
    assert plan(env, PROVIDERS, leave=["OPENAI_API_BASE"]).upstreams[0].url == "http://a/v1"
    assert made(env, "OPENAI_API_BASE")["OPENAI_API_BASE"] == "http://b/v1"
    assert len(plan({"OPENAI_BASE_URL": "http://a/v1", "OPENAI_API_BASE": "http://a/v1/"}, PROVIDERS).upstreams) == 1


def test_what_is_no_url_is_refused_by_name() -> None:
    """A value that cannot be read names its variable."""
    with pytest.raises(ConfigError, match=r"GOOGLE_GEMINI_BASE_URL: .*must be http"):
        plan({"GOOGLE_GEMINI_BASE_URL": "gateway.corp"}, PROVIDERS)


def test_telemetry_goes_on_to_where_it_went() -> None:
    """An inherited endpoint, also one of a single signal, becomes forwarding; exporters are led here."""
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector.corp",
        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "https://logs.corp/v1/logs",
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20k,x=y",
    }
    assert plan(env, PROVIDERS).relay.settings == {
        "forward": ["https://collector.corp"],
        "forward_logs": ["https://logs.corp/v1/logs"],
        "forward_headers": ["authorization=Bearer%20k", "x=y"],
    }
    inside = made(env)
    assert inside["OTEL_EXPORTER_OTLP_ENDPOINT"] == DASHBOARD
    assert "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT" not in inside


@pytest.mark.parametrize(
    "env",
    [
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
    ],
)
def test_grpc_is_left_alone(env: dict[str, str]) -> None:
    """What cannot be relayed keeps its way, and that is said."""
    assert "gRPC" in (plan(env, PROVIDERS).relay.warning or "")
    assert {name: made(env)[name] for name in env} == env


def test_no_proxy_stands_between() -> None:
    """The loopback names are added to the exceptions of either spelling, and to what is there."""
    assert made({"NO_PROXY": "corp"})["NO_PROXY"] == "corp,127.0.0.1,localhost"
    assert made({"no_proxy": "corp"})["NO_PROXY"] == "corp,127.0.0.1,localhost"
    assert made({"NO_PROXY": "localhost"})["no_proxy"] == "localhost,127.0.0.1"
