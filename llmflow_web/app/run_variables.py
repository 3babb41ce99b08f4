"""Which environment variables SDKs and agents read to find a provider, and what `llmflow run` makes of them.

VARIABLES is the one table; docs/ci.md is held to it by a test. Pure: environment in, environment and upstreams out.
The sources looked into are named with their versions; a reader marked `[?]` could not be looked into.

openai 3.54, anthropic 2.12, google-genai 3.4, cohere 7.3, ollama 0.6, groq 1.7, mistralai 3.7, together 3.1,
pydantic-ai 2.68, langchain-openai 1.7, -anthropic 1.7, -mistralai 1.1, -groq 1.1, litellm 1.109; on npm openai 6.49,
@anthropic-ai/sdk 1.12, @google/genai 2.32, groq-sdk 1.6, @ai-sdk/openai 3.0, @ai-sdk/anthropic 3.0;
openai 0.28, llama-index-llms-openai 0.8; openai-go and gemini-cli by their repositories.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from llmflow_web.errors import ConfigError
from llmflow_web.net.upstreams import split_url
from llmflow_web.provider import Provider


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable that names where a provider is."""

    name: str
    provider: str  # the PROVIDERS row whose calls it carries
    path: str  # behind the proxy's address: with /v1 or without, as its readers want it
    readers: str
    only_if_set: bool = False  # its being set says something to programs, so it is replaced and never introduced


VARIABLES: tuple[Variable, ...] = (
    Variable(
        "OPENAI_BASE_URL",
        "openai",
        "/v1",
        "openai (Python, JavaScript, Go), LangChain, LiteLLM, pydantic-ai, Vercel AI SDK, aider",
    ),
    Variable("OPENAI_API_BASE", "openai", "/v1", "openai before 1.0, LangChain, LiteLLM, aider, LlamaIndex"),
    Variable(
        "ANTHROPIC_BASE_URL",
        "anthropic",
        "/anthropic",
        "anthropic (Python, JavaScript), LangChain, LiteLLM, Claude Code",
    ),
    Variable("ANTHROPIC_API_BASE", "anthropic", "/anthropic", "LiteLLM, before ANTHROPIC_BASE_URL", only_if_set=True),
    Variable("GOOGLE_GEMINI_BASE_URL", "gemini", "/gemini", "google-genai (Python, JavaScript), Gemini CLI"),
    Variable("GEMINI_API_BASE", "gemini", "/gemini/v1beta", "LiteLLM", only_if_set=True),
    Variable("AZURE_OPENAI_ENDPOINT", "azure", "/azure", "openai (Python, JavaScript), LangChain", only_if_set=True),
    Variable("AZURE_API_BASE", "azure", "/azure", "LiteLLM", only_if_set=True),
    Variable("OLLAMA_HOST", "ollama", "/ollama", "ollama (Python) and the ollama command [?]"),
    Variable("OLLAMA_API_BASE", "ollama", "/ollama", "LiteLLM", only_if_set=True),
    Variable("OLLAMA_BASE_URL", "ollama", "/ollama/v1", "pydantic-ai", only_if_set=True),
    Variable("CO_API_URL", "cohere", "/cohere", "cohere (Python)"),
    Variable("CO_BASE_URL", "cohere", "/cohere", "pydantic-ai"),
    Variable("GROQ_BASE_URL", "groq", "/groq", "groq (Python, JavaScript), pydantic-ai"),
    Variable("GROQ_API_BASE", "groq", "/groq/v1", "LangChain, LiteLLM", only_if_set=True),
    Variable("MISTRAL_BASE_URL", "mistral", "/mistral/v1", "LangChain; mistralai itself reads none"),
    Variable("MISTRAL_API_BASE", "mistral", "/mistral/v1", "LiteLLM"),
    Variable("OPENROUTER_API_BASE", "openrouter", "/openrouter/v1", "LiteLLM"),
    Variable("OPENROUTER_BASE_URL", "openrouter", "/openrouter/v1", "programs by convention [?]", only_if_set=True),
    Variable("TOGETHER_BASE_URL", "together", "/together", "together (Python)"),
    Variable("TOGETHER_AI_API_BASE", "together", "/together/v1", "LiteLLM"),
    Variable("DEEPSEEK_API_BASE", "deepseek", "/deepseek/v1", "LiteLLM"),
    Variable("XAI_API_BASE", "xai", "/xai/v1", "LiteLLM"),
    Variable("FIREWORKS_API_BASE", "fireworks", "/fireworks/v1", "LiteLLM"),
    Variable("CEREBRAS_API_BASE", "cerebras", "/cerebras/v1", "LiteLLM"),
    Variable("MOONSHOTAI_BASE_URL", "moonshot", "/moonshot/v1", "pydantic-ai"),
    Variable("SAMBANOVA_BASE_URL", "sambanova", "/sambanova/v1", "pydantic-ai"),
    Variable("VLLM_BASE_URL", "vllm", "/vllm/v1", "pydantic-ai", only_if_set=True),
)

OTLP_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
OTLP_PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"
OTLP_HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"
SIGNALS = ("traces", "logs", "metrics")
SDK_URL = "LLMFLOW_URL"
PROXY_URL = "LLMFLOW_PROXY"
OTHERS = {
    OTLP_ENDPOINT: "every OpenTelemetry exporter over HTTP; with it OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
    SDK_URL: "LLMFlow's own SDKs",
    PROXY_URL: "programs that hand a base URL on by themselves, such as to Mistral(server_url=…)",
    "NO_PROXY": "gets 127.0.0.1 and localhost added, so that these calls go to no proxy (no_proxy, too)",
}
"""What else the command finds set."""

_ENDINGS = ("/v1beta", "/v1")
_READ_BY_US = frozenset({"OLLAMA_HOST", "AZURE_OPENAI_ENDPOINT"})  # configuration and adapter find these by themselves
_FIXED = frozenset({"AZURE_OPENAI_ENDPOINT", "AZURE_API_BASE", "GROQ_BASE_URL"})  # SDKs add whole paths to these
_NOT_PROXIED = ("127.0.0.1", "localhost")
_GRPC_PORT = 4317


@dataclass(frozen=True, slots=True)
class Inherited:
    """A place that was set already: the provider's calls go on to there."""

    provider: str
    url: str
    variable: str

    @property
    def is_known(self) -> bool:
        """Say whether LLMFlow reads this variable in any case."""
        return self.variable in _READ_BY_US


@dataclass(frozen=True, slots=True)
class Relay:
    """Where telemetry went before: settings by name, as texts, and what is to be said of it."""

    settings: Mapping[str, Sequence[str]] = field(default_factory=dict)
    warning: str | None = None
    is_left: bool = False  # the exporters keep what they have


@dataclass(frozen=True, slots=True)
class Plan:
    """What to set for the command, and where calls and telemetry go from here."""

    paths: Mapping[str, str]  # variable → path behind the proxy's address
    upstreams: Sequence[Inherited]
    relay: Relay


def plan(env: Mapping[str, str], providers: Iterable[Provider], *, leave: Iterable[str] = ()) -> Plan:
    """Read an environment. leave: names of variables that shall stay as they are.

    Raises ConfigError when two variables place one provider differently, or one holds what is no URL.
    """
    left = frozenset(leave)
    rows = {row.name: row for row in providers}
    homes = {_home(row): row.name for row in rows.values() if row.has_proxy_route and row.root.startswith("https:")}
    paths: dict[str, str] = {}
    found: dict[str, Inherited] = {}
    for variable in VARIABLES:
        given = env.get(variable.name, "").strip()
        if variable.name in left or (variable.only_if_set and not given):
            continue
        paths[variable.name] = variable.path
        if given:
            paths[variable.name] = _take(variable, _as_url(variable, given, env), homes, found)
    return Plan(paths, tuple(found.values()), relay(env) if OTLP_ENDPOINT not in left else Relay(is_left=True))


def _take(variable: Variable, url: str, homes: Mapping[str, str], found: dict[str, Inherited]) -> str:
    """Note where `url` sends a provider's calls; return the path that takes its place."""
    base, ending = _split_ending(url)
    known = homes.get(_place(base, variable.name))
    if known is not None and known != variable.provider and variable.provider == "openai":
        return f"/{known}/v1"  # such as OpenRouter by an OpenAI client: its own row knows its prices
    if known != variable.provider:
        before = found.setdefault(variable.provider, Inherited(variable.provider, url, variable.name))
        if _split_ending(before.url)[0] != base:
            raise ConfigError(
                f"{before.variable} and {variable.name} place {variable.provider} differently ({before.url} and "
                f"{url}): unset one of them, or let one be with --leave {variable.name}"
            )
    return _path_with(variable, ending)


def _path_with(variable: Variable, ending: str) -> str:
    """Return the path whose ending its readers are used to from the URL that was set."""
    own, usual = _split_ending(variable.path)
    if ending == usual or variable.name in _FIXED:
        return variable.path
    return (own or f"/{variable.provider}") + ending


def _as_url(variable: Variable, given: str, env: Mapping[str, str]) -> str:
    if variable.name == "OLLAMA_HOST":
        from llmflow_web.app.config import OLLAMA_PORT, ollama_url

        return ollama_url(given, env.get("OLLAMA_PORT") or str(OLLAMA_PORT))
    return given.rstrip("/")


def _split_ending(url: str) -> tuple[str, str]:
    """Split off the version at the end of a base URL, as far as it is one."""
    for ending in _ENDINGS:
        if url.endswith(ending):
            return url.removesuffix(ending), ending
    return url, ""


def _home(row: Provider) -> str:
    """Return where a row is, in the form base URLs are compared in."""
    return _split_ending(row.root + row.version)[0]


def _place(base: str, name: str) -> str:
    try:
        origin, _host, path = split_url(base)
    except ConfigError as error:
        raise ConfigError(f"{name}: {error.message}") from error
    return origin + path


# ── telemetry ────────────────────────────────────────────────────────────────────────────────────────────────────────


def relay(env: Mapping[str, str]) -> Relay:
    """Say where telemetry went before, so that it goes on from here to there."""
    general = env.get(OTLP_ENDPOINT, "").strip()
    special = {one: env.get(_signal_name(one), "").strip() for one in SIGNALS}
    given = [url for url in (general, *special.values()) if url]
    if not given:
        return Relay()
    protocols = [env.get(OTLP_PROTOCOL, ""), *(env.get(_signal_name(one, "PROTOCOL"), "") for one in SIGNALS)]
    if "grpc" in protocols or any(_speaks_grpc(url) for url in given):
        name = OTLP_ENDPOINT if general else next(_signal_name(one) for one in SIGNALS if special[one])
        return Relay(
            warning=f"{name} speaks gRPC, which is not relayed: telemetry keeps going there and is not seen here",
            is_left=True,
        )
    settings = {f"forward_{one}": [url] for one, url in special.items() if url}
    if general:
        settings["forward"] = [general]
    headers = [part.strip() for part in _header_texts(env) if part.strip()]
    return Relay(settings | ({"forward_headers": headers} if headers else {}))


def _header_texts(env: Mapping[str, str]) -> list[str]:
    names = (OTLP_HEADERS, *(_signal_name(one, "HEADERS") for one in SIGNALS))
    return [part for name in names for part in env.get(name, "").split(",")]


def _signal_name(signal: str, what: str = "ENDPOINT") -> str:
    return f"OTEL_EXPORTER_OTLP_{signal.upper()}_{what}"


def _speaks_grpc(url: str) -> bool:
    try:
        return urlsplit(url).port == _GRPC_PORT
    except ValueError as error:
        raise ConfigError(f"{OTLP_ENDPOINT}: {url!r} is no URL") from error


# ── what the command gets ────────────────────────────────────────────────────────────────────────────────────────────


def environment(env: Mapping[str, str], chosen: Plan, proxy_url: str, dashboard_url: str) -> dict[str, str]:
    """Return the environment the command runs in."""
    made = dict(env)
    made |= {name: proxy_url + path for name, path in chosen.paths.items()}
    made[SDK_URL], made[PROXY_URL] = dashboard_url, proxy_url
    if not chosen.relay.is_left:
        for signal in SIGNALS:
            for what in ("ENDPOINT", "PROTOCOL"):
                made.pop(_signal_name(signal, what), None)
        made[OTLP_ENDPOINT] = dashboard_url
        made[OTLP_PROTOCOL] = "http/json" if env.get(OTLP_PROTOCOL) == "http/json" else "http/protobuf"
    for name in ("NO_PROXY", "no_proxy"):
        made[name] = _not_proxied(env.get(name) or env.get("no_proxy") or env.get("NO_PROXY") or "")
    return made


def _not_proxied(listed: str) -> str:
    names = [name.strip() for name in listed.split(",") if name.strip()]
    return ",".join([*names, *(name for name in _NOT_PROXIED if name not in names)])
