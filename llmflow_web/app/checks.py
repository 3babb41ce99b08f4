"""How each provider is asked whether it is there: the contract's five first, then every other row of the table.

A hosted provider is asked at its own address, whatever the user redirected: its key goes nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping

from llmflow_web.net.upstreams import Upstream
from llmflow_web.provider import Provider
from llmflow_web.registry import PROVIDERS
from llmflow_web.routes.api_health import CHECKS, Check

NO_LISTING = frozenset({"perplexity", "zai", "minimax"})
"""Providers that list no models: an empty chat is refused as such (400, 422) where the key was taken."""

_AZURE_NEEDS = "AZURE_OPENAI_API_KEY and AZURE_OPENAI_ENDPOINT (or AZURE_OPENAI_RESOURCE)"
_AZURE_VERSION = "2024-10-21"


def checks_from(upstreams: Mapping[str, Upstream]) -> dict[str, Check]:
    """Return the checks of the shipped providers. A server that would be ourselves is not asked."""
    found = dict(CHECKS)
    for row in PROVIDERS:
        upstream = upstreams.get(row.name)
        if row.name not in found and row.has_proxy_route and upstream is not None and not upstream.is_loop:
            found[row.name] = _check(row, upstream)
    return found


def _check(row: Provider, upstream: Upstream) -> Check:
    headers = dict(row.authorize("{key}"))
    if row.is_local:
        return Check((), "GET", f"{upstream.url}/models", is_local=True, is_optional=True)
    if row.path is not None:  # Azure: the user's own resource, and only where its key may go
        url = upstream.url.removesuffix("/openai/v1").removesuffix("/openai")
        missing = _AZURE_NEEDS if upstream.key is None or url == row.root else ""
        return Check(row.key_env, "GET", f"{url}/openai/models?api-version={_AZURE_VERSION}", headers, missing=missing)
    if row.name in NO_LISTING:
        headers["content-type"] = "application/json"
        ok = frozenset({200, 400, 422})
        return Check(row.key_env, "POST", f"{row.base_url}/chat/completions", headers, b"{}", ok)
    return Check(row.key_env, "GET", f"{row.base_url}/models", headers)
