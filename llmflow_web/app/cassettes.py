"""From the settings to a cassette, and the client that plays or records it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from llmflow_web.app.rows import secrets_of
from llmflow_web.app.settings import Config
from llmflow_web.errors import ConfigError
from llmflow_web.net.http import Client
from llmflow_web.net.upstreams import Upstream

if TYPE_CHECKING:
    from llmflow_web.record.cassette import Cassette, Errors, Match, Mode, Terms
    from llmflow_web.record.redact import Secret


def open_cassette(config: Config, upstreams: Mapping[str, Upstream], report: Callable[[str], None]) -> Cassette | None:
    """Read the cassette that is set, if one is. Raises ConfigError where it is broken, or missing in replay."""
    if config.cassette is None:
        if config.origins.get("cassette_mode", "").startswith("--"):
            raise ConfigError("--cassette-mode says what to do with a cassette, but none is named: add --cassette FILE")
        return None
    from llmflow_web.record.cassette import Cassette

    if config.cassette.is_dir():
        raise ConfigError(f"the cassette {config.cassette} is a folder; name a file, such as calls.jsonl in it")
    secrets: list[Secret] = [*(secret.encode() for secret in secrets_of(config, upstreams)), *config.redact]
    return Cassette(config.cassette, terms_of(config), secrets=secrets, report=report)


def terms_of(config: Config, hint: str | None = None) -> Terms:
    """Return how the cassette is to be used. hint: how to record what is missing. Raises ConfigError."""
    from llmflow_web.record.cassette import HINT, Terms
    from llmflow_web.record.cassette_match import rules_of

    try:
        rules = rules_of(_words(config.cassette_ignore), _words(config.cassette_ignore_header))
    except ValueError as error:
        raise ConfigError(f"cassette_ignore: {error}") from error
    return Terms(
        mode=cast("Mode", config.cassette_mode),
        match=cast("Match", config.cassette_match),
        errors=cast("Errors", config.cassette_errors),
        is_timed=config.cassette_timing == "recorded",
        rules=rules,
        hint=hint or HINT,
    )


def at_no_cost(cassette: Cassette | None, upstreams: dict[str, Upstream]) -> dict[str, Upstream]:
    """Return the upstreams as they are priced: where nothing is sent, a budget has nothing to set aside."""
    if cassette is None or cassette.may_send:
        return upstreams
    return {name: replace(upstream, is_free=True) for name, upstream in upstreams.items()}


def told_of(cassette: Cassette) -> str:
    """Say at the start what will be done with it."""
    count = len(cassette.recordings())
    mode = "replay" if not cassette.may_send else "hybrid" if cassette.may_play else "record"
    return f"Cassette: {mode} {cassette.path} ({count} {'recording' if count == 1 else 'recordings'})"


def _words(given: Sequence[str]) -> list[str]:
    """Return what is listed, by several flags or by commas."""
    return [word.strip() for text in given for word in text.split(",") if word.strip()]


def client_with(cassette: Cassette | None, client: Client, upstreams: Mapping[str, Upstream]) -> Client:
    """Put the cassette in front of the client that goes upstream."""
    if cassette is None:
        return client
    from llmflow_web.net.cassette_client import CassetteClient

    return CassetteClient(client, cassette, {name: upstream.prefix for name, upstream in upstreams.items()})
