"""Helicone: a gateway before other providers, passthrough only. Its calls are read as those of the provider behind it.

Its headers become session, user and tags where labels are read (they count on every route); here is what else it
changes: whose dialect a call speaks, its own key beside the vendor's, and cached answers that cost nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from llmflow_web.provider import Place

from .openai import OPENAI

DEFAULT_HOST = "oai.helicone.ai"
_TARGET_HEADERS = ("helicone-target-url", "helicone-openai-api-base")
# what a path holds → the dialect spoken there, whatever the host
_BY_PATH = (
    ("/v1/messages", "anthropic"),
    ("/v1/complete", "anthropic"),
    ("/v1beta/models/", "gemini"),
    ("generatecontent", "gemini"),
    ("embedcontent", "gemini"),
    ("/openai/deployments/", "azure"),
    ("/v2/chat", "cohere"),
    ("/v2/embed", "cohere"),
    ("/v2/rerank", "cohere"),
)
# the domain of a target → the row that knows its prices and words
_BY_HOST = (
    ("anthropic.com", "anthropic"),
    ("googleapis.com", "gemini"),
    ("azure.com", "azure"),
    ("cohere.com", "cohere"),
    ("cohere.ai", "cohere"),
    ("groq.com", "groq"),
    ("mistral.ai", "mistral"),
    ("together.ai", "together"),
    ("together.xyz", "together"),
    ("perplexity.ai", "perplexity"),
    ("openrouter.ai", "openrouter"),
    ("deepseek.com", "deepseek"),
    ("x.ai", "xai"),
    ("fireworks.ai", "fireworks"),
    ("cerebras.ai", "cerebras"),
)
# Helicone's hosts per vendor begin with the vendor's name.
_VENDOR_HOSTS = frozenset(
    {"anthropic", "groq", "together", "openrouter", "deepseek", "perplexity", "fireworks", "mistral", "cerebras"}
)


def dialect(url: str, headers: Mapping[str, str]) -> str:
    """Name the row that reads a call, by path, by the target its headers (small letters) name, by Helicone's host."""
    parts = urlsplit(url)
    path = parts.path.lower()
    for mark, name in _BY_PATH:
        if mark in path:
            return name
    target = next((headers[name] for name in _TARGET_HEADERS if headers.get(name)), None)
    if target is not None:
        return _by_host(target)
    vendor = (parts.hostname or "").removeprefix("eu.").partition(".")[0]
    return vendor if vendor in _VENDOR_HOSTS else "openai"


def _by_host(target: str) -> str:
    try:
        host = urlsplit(target if "://" in target else f"https://{target}").hostname or ""
    except ValueError:
        return "openai"
    for domain, name in _BY_HOST:
        if host == domain or host.endswith(f".{domain}"):
            return name
    return "openai"


def is_free(model: str | None, headers: Mapping[str, str]) -> bool | None:
    """Say that an answer from Helicone's cache cost nothing: the usage in it is that of the first call."""
    del model
    return True if headers.get("helicone-cache", "").strip().upper() == "HIT" else None


def authorize(key: str) -> tuple[tuple[str, str], ...]:
    """Return the header that carries Helicone's own key; the vendor's stays where the client put it."""
    return (("helicone-auth", key if key.lower().startswith("bearer ") else f"Bearer {key}"),)


def place(env: Mapping[str, str]) -> Place:
    """Read HELICONE_HOST and HELICONE_PORT; always https."""
    host, port = env.get("HELICONE_HOST", "").strip(), env.get("HELICONE_PORT", "").strip()
    if not host and not port:
        return Place()
    suffix = f":{port}" if port and port != "443" else ""
    return Place(f"https://{host or DEFAULT_HOST}{suffix}", origin="HELICONE_HOST" if host else "HELICONE_PORT")


HELICONE = replace(
    OPENAI,
    name="helicone",
    title="Helicone",
    root=f"https://{DEFAULT_HOST}",
    key_env=("HELICONE_API_KEY",),
    authorize=authorize,
    credentials=frozenset({"helicone-auth"}),
    inject_usage=False,
    has_proxy_route=False,
    place=place,
    dialect=dialect,
    is_free=is_free,
)
