"""Which row of the price table a reported model is: exact keys only, never a substring or a prefix.

`gpt-4o-mini` is not `gpt-4o` and `o1` is not `o1-pro`: a wrong price is worse than none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from llmflow_web.provider import Provider
from llmflow_web.record.price_table import PriceRow, PriceTable


@dataclass(frozen=True, slots=True)
class Naming:
    """How a provider's models are keyed: prefixes in order, and the families a row may be of ("x*" = begins with)."""

    prefixes: tuple[str, ...]
    families: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Match:
    """A row found, and how: exact | normalised | estimated."""

    key: str
    row: PriceRow
    quality: str


_VERTEX = Naming(("vertex_ai/", "", "gemini/"), ("vertex_ai*", "gemini"))
_OPENAI = Naming(("", "openai/"), ("openai", "text-completion-openai"))
_AZURE = Naming(("azure/", "azure_ai/", "azure/global/", "azure/global-standard/"), ("azure", "azure_ai", "azure_text"))

# Names as adapters, OpenTelemetry (gen_ai.provider.name, gen_ai.system) and SDKs write them.
_NAMINGS = {
    "openai": _OPENAI,
    "anthropic": Naming(("",), ("anthropic",)),
    "gemini": Naming(("gemini/", ""), ("gemini", "vertex_ai*")),
    "vertex_ai": _VERTEX,
    "azure": _AZURE,
    "bedrock": Naming(("", "bedrock/"), ("bedrock", "bedrock_converse")),
    "cohere": Naming(("", "cohere/"), ("cohere", "cohere_chat")),
    "mistral": Naming(("mistral/", "codestral/"), ("mistral", "codestral")),
    "together": Naming(("together_ai/",), ("together_ai",)),
    "fireworks": Naming(("fireworks_ai/", "fireworks_ai/accounts/fireworks/models/"), ("fireworks_ai*",)),
}
_ALIASES = {
    "azure.ai.openai": "azure",
    "azure.ai.inference": "azure",
    "az.ai.openai": "azure",
    "az.ai.inference": "azure",
    "azure_openai": "azure",
    "aws.bedrock": "bedrock",
    "aws_bedrock": "bedrock",
    "gcp.gemini": "gemini",
    "gcp.gen_ai": "gemini",
    "google": "gemini",
    "gcp.vertex_ai": "vertex_ai",
    "vertexai": "vertex_ai",
    "google_vertexai": "vertex_ai",
    "mistral_ai": "mistral",
    "mistralai": "mistral",
    "x_ai": "xai",
    "together_ai": "together",
    "fireworks_ai": "fireworks",
}

_FINE_TUNED = re.compile(r"(ft:[^:]+):.*")
_RESOURCE = re.compile(r"(?:publishers/google/)?models/")
_VERSION_SUFFIX = re.compile(
    r"-(?:\d{4}-\d{2}-\d{2}|\d{8}|\d{2}-\d{4}|\d{2}-\d{2}|\d{3}|latest|preview|exp)$", re.ASCII
)


def candidates(model: str) -> Iterator[tuple[str, str]]:
    """Yield (name, quality) of what `model` may be called in the table, the truest first."""
    name = model.strip().lower()
    if name.startswith("arn:"):
        name = name.rpartition("/")[2]
    name = _RESOURCE.sub("", name, count=1) if _RESOURCE.match(name) else name
    yield name, "exact"
    plain = _FINE_TUNED.sub(r"\1", name)
    plain = plain.removesuffix(":latest")
    if plain != name:
        yield plain, "exact"
    dateless = plain.partition("@")[0]
    if dateless != plain:
        yield dateless, "normalised"
    bare = _VERSION_SUFFIX.sub("", dateless)
    if bare != dateless:
        yield bare, "normalised"


def naming_of(provider: Provider | str) -> Naming:
    """Return the naming of a provider: its adapter's own where it has one, else by its name."""
    if isinstance(provider, Provider) and provider.price_families:
        return Naming(provider.price_prefixes, provider.price_families)
    name = provider.name if isinstance(provider, Provider) else provider.lower()
    name = _ALIASES.get(name, name)
    return _NAMINGS.get(name) or Naming((f"{name}/",), (name,))


def find_match(table: PriceTable, provider: Provider | str | None, model: str) -> Match | None:
    """Find the row of `model` as `provider` reports it; None = not in the table."""
    if provider is None:
        return _find_unowned(table, model)
    naming = naming_of(provider)
    found = _find(table, naming, model)
    if found is None and "azure" in naming.families:
        # The same model costs the same on most Azure regions, but not all: good enough to show, and marked.
        base = _find(table, _OPENAI, model)
        found = Match(base.key, base.row, "estimated") if base else None
    return found


def _find(table: PriceTable, naming: Naming, model: str) -> Match | None:
    for name, quality in candidates(model):
        for prefix in naming.prefixes:
            found = table.find(prefix + name)
            if found is not None and is_in_family(found[1]["p"], naming.families):
                return Match(found[0], found[1], quality)
    return None


def is_in_family(owner: str, families: tuple[str, ...]) -> bool:
    """Say whether a row's owner is one of `families`."""
    return any(owner == one or (one.endswith("*") and owner.startswith(one[:-1])) for one in families)


def _find_unowned(table: PriceTable, model: str) -> Match | None:
    """Find a model of which no provider is known: its bare key, or "provider/model"."""
    for name, quality in candidates(model):
        found = table.find(name)
        if found is not None:
            return Match(found[0], found[1], quality)
    owner, slash, rest = model.strip().partition("/")
    return _find(table, naming_of(owner), rest) if slash and owner and rest else None


def find_image(table: PriceTable, provider: Provider | str | None, names: list[tuple[str, str]]) -> Match | None:
    """Find the row of an image by its quality and size; `names` are (end of the key, quality of the match)."""
    naming = naming_of(provider) if provider is not None else Naming(("",), ("*",))
    for name, quality in names:
        for prefix in naming.prefixes:
            found = table.find(prefix + name)
            if found is not None and is_in_family(found[1]["p"], naming.families):
                return Match(found[0], found[1], quality)
    return None
