"""Azure OpenAI and Foundry: OpenAI's bodies under Azure's URLs, keys and errors.

Paths as the SDK of openai-python 2.54 builds them: the classic form names a deployment and an `api-version`, the v1
form (a base URL ending in /openai/v1) is plain OpenAI. Bodies pass unchanged, content-filter fields included.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from llmflow_web.errors import BadRequest, ConfigError
from llmflow_web.model import JSON
from llmflow_web.provider import Native, Place, Target, error_as_it_is

from .completion import text_or_none
from .openai import MAX_ERROR_CHARS, OPENAI
from .openai import authorize as bearer
from .openai import error as openai_error
from .openai import native as openai_native
from .usage import member

DEFAULT_API_VERSION = "2024-10-21"
FOUNDRY_API_VERSION = "2024-05-01-preview"
USAGE_SINCE = "2024-09-01"
"""Older api-versions refuse `stream_options`."""

NOWHERE = "https://azure.invalid"
"""The row's address until a resource is named: a name that never resolves, so no key can reach a stranger."""

DEPLOYMENT_ENV = "AZURE_DEPLOYMENT_"
_VERSION_ENV = ("AZURE_OPENAI_API_VERSION", "OPENAI_API_VERSION")
_UNDATED_VERSIONS = frozenset({"preview", "latest"})
_RESOURCE = re.compile(r"[a-z0-9][a-z0-9-]{1,62}")
_RESOURCE_HEADERS = ("x-azure-resource", "x-llmflow-azure-resource")
_BY_DEPLOYMENT = frozenset(
    {
        "/chat/completions",
        "/completions",
        "/embeddings",
        "/images/generations",
        "/images/edits",
        "/audio/transcriptions",
        "/audio/translations",
        "/audio/speech",
    }
)
_DEPLOYMENT = re.compile(r"/openai/deployments/([^/?]+)")


# ── where a call goes ────────────────────────────────────────────────────────────────────────────────────────────────


def resource_url(resource: str) -> str:
    """Return the address of a resource. Raises BadRequest unless it is a plain name: it becomes part of a host."""
    if not _RESOURCE.fullmatch(resource):
        raise BadRequest(f"{resource[:80]!r} is no Azure resource name: small letters, digits and '-', 2 to 63 of them")
    return f"https://{resource}.openai.azure.com"


def place(env: Mapping[str, str]) -> Place:
    """Read where the user's Azure is: AZURE_OPENAI_ENDPOINT (a URL), else AZURE_OPENAI_RESOURCE (a name)."""
    version = next((env[name] for name in _VERSION_ENV if env.get(name)), "")
    options = {name: value for name, value in env.items() if name.startswith(DEPLOYMENT_ENV) and value}
    if version:
        options["api-version"] = version
    is_dated_before = version[:4].isdigit() and version[:10] < USAGE_SINCE
    inject_usage = False if is_dated_before else None
    endpoint = env.get("AZURE_OPENAI_ENDPOINT", "").strip().rstrip("/")
    if endpoint:
        return Place(endpoint, options, inject_usage, "AZURE_OPENAI_ENDPOINT")
    resource = env.get("AZURE_OPENAI_RESOURCE", "").strip()
    if not resource:
        return Place(None, options, inject_usage)
    try:
        return Place(resource_url(resource), options, inject_usage, "AZURE_OPENAI_RESOURCE")
    except BadRequest as error:
        raise ConfigError(f"AZURE_OPENAI_RESOURCE: {error.message}") from error


def url_from(headers: Mapping[str, str]) -> str | None:
    """Return the address of the resource that request headers (names in small letters) choose; None = no choice."""
    resource = next((headers[name] for name in _RESOURCE_HEADERS if headers.get(name)), None)
    return resource_url(resource.strip().lower()) if resource else None


def path(asked: str, body: JSON, target: Target) -> str:
    """Return path and query for what the client asked (`/v1/…`, query included) of the base URL `target.url`.

    body: the parsed JSON, or the fields of a form: its `model` names the deployment. Raises BadRequest.
    """
    if target.url == NOWHERE:
        raise BadRequest(
            "No Azure resource is known. Set AZURE_OPENAI_RESOURCE or AZURE_OPENAI_ENDPOINT, or send the header "
            "X-LLMFlow-Azure-Resource."
        )
    base = urlsplit(target.url).path.rstrip("/")
    rest, _, query = asked.partition("?")
    if rest == "/v1" or rest.startswith("/v1/"):
        rest = rest[3:]
    version = target.options.get("api-version", "")
    if base.endswith("/v1"):
        return base + rest + _with_version(query, version if version in _UNDATED_VERSIONS else "")
    if base.endswith("/models"):  # Foundry's own inference route
        return base + rest + _with_version(query, version or FOUNDRY_API_VERSION)
    version = version or DEFAULT_API_VERSION
    if _DEPLOYMENT.search(base):
        return base + rest + _with_version(query, version)
    base = base.removesuffix("/openai") + "/openai"
    if rest in _BY_DEPLOYMENT:
        base += f"/deployments/{quote(deployment_of(body, target.options), safe='')}"
    return base + rest + _with_version(query, version)


def deployment_of(body: JSON, options: Mapping[str, str]) -> str:
    """Return the deployment of the model a body asks for: AZURE_DEPLOYMENT_<MODEL>, else the model's own name."""
    model = text_or_none(body.get("model"))
    if model is None:
        raise BadRequest("model: Azure needs the name of a model or deployment")
    mapped = options.get(DEPLOYMENT_ENV + re.sub(r"[.-]", "_", model).upper())
    if mapped:
        return mapped
    if not model.strip("."):
        raise BadRequest(f"model: {model!r} cannot be the name of a deployment")
    return model.replace("gpt-3.5", "gpt-35")  # so Azure itself writes the name of this model


def _with_version(query: str, version: str) -> str:
    """Return `query` with `?`, and with the api-version where the client gave none."""
    is_given = any(name == "api-version" for name, _ in parse_qsl(query, keep_blank_values=True))
    if version and not is_given:
        query = f"{query}&api-version={quote(version)}" if query else f"api-version={quote(version)}"
    return f"?{query}" if query else ""


def authorize(key: str) -> tuple[tuple[str, str], ...]:
    """Return the header that carries `key`: Entra's tokens (JWTs) as bearer, all others as api-key."""
    is_token = key.startswith("eyJ") and key.count(".") == 2
    return bearer(key) if is_token else (("api-key", key),)


# ── what is asked and answered ───────────────────────────────────────────────────────────────────────────────────────


def native(method: str, path: str, body: JSON) -> Native:
    """Say what a request asks for; where the body names no model, the deployment in the path does."""
    found = openai_native(method, path, body)
    deployment = _DEPLOYMENT.search(path)
    if found.model is None and deployment is not None:
        return replace(found, model=unquote(deployment[1]))
    return found


def dialect(url: str, headers: Mapping[str, str]) -> str:
    """Name the row that reads a call: Foundry serves Anthropic's API below /anthropic."""
    del headers
    return "anthropic" if urlsplit(url).path.startswith("/anthropic/") else "azure"


def error(status: int, body: JSON | str) -> str:
    """Make one sentence of an error: OpenAI's envelope with the filters that struck, or the gateway's flat form."""
    sentence = openai_error(status, body)
    if not isinstance(body, dict):
        return sentence
    code = body.get("statusCode")
    if isinstance(code, int) and "error" not in body:
        return f"{sentence} ({code})"[:MAX_ERROR_CHARS]
    struck = _struck_filters(member(body, "error"))
    return f"{sentence}: {', '.join(struck)}"[:MAX_ERROR_CHARS] if struck else sentence


def _struck_filters(found: JSON) -> list[str]:
    inner = member(found, "innererror")
    results = member(inner, "content_filter_result", "content_filter_results")
    return [
        name
        for name, verdict in results.items()
        if isinstance(verdict, dict) and (verdict.get("filtered") is True or verdict.get("detected") is True)
    ]


def translate_error(status: int, body: JSON | str) -> JSON:
    """Return OpenAI's envelope: Azure's own is one, the gateway's `{"statusCode", "message"}` becomes one."""
    envelope = error_as_it_is(status, body)
    if isinstance(body, dict) and "error" not in body and isinstance(body.get("statusCode"), int):
        envelope["error"]["code"] = str(body["statusCode"])
    return envelope


AZURE = replace(
    OPENAI,
    name="azure",
    title="Azure OpenAI",
    root=NOWHERE,
    version="",
    key_env=("AZURE_OPENAI_API_KEY", "AZURE_OPENAI_AD_TOKEN"),
    authorize=authorize,
    native=native,
    error=error,
    translate_error=translate_error,
    credentials=frozenset({"authorization", "api-key", "x-api-key"}),
    native_paths=("/openai/", "/models/", "/anthropic/"),
    price_prefixes=("azure/", "azure_ai/", "azure/global/", "azure/global-standard/"),
    price_families=("azure", "azure_ai", "azure_text"),
    place=place,
    url_from=url_from,
    path=path,
    dialect=dialect,
)
