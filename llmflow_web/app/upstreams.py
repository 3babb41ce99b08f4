"""From the adapters and the user's settings to the upstreams calls can go to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from llmflow_web.app.settings import Config, UpstreamSetting
from llmflow_web.errors import ConfigError
from llmflow_web.net.upstreams import Upstream, named_upstream, upstream_at, upstream_from_provider
from llmflow_web.provider import Provider

DEFAULT_DIALECT = "openai"


def upstreams_from(config: Config, providers: Iterable[Provider], env: Mapping[str, str]) -> dict[str, Upstream]:
    """Return every upstream by name: the adapters' own, redirected where the user says so, and the user's.

    Raises ConfigError when a setting names an adapter that does not exist.
    """
    rows = {row.name: row for row in providers}
    found = {name: _at_home(row, env) for name, row in rows.items()}
    for setting in config.upstreams.values():
        found[setting.name] = _placed(setting, rows, found.get(setting.name), env)
    if not config.inject_usage:
        found = {name: replace(upstream, inject_usage=False) for name, upstream in found.items()}
    return found


def _at_home(row: Provider, env: Mapping[str, str]) -> Upstream:
    """Return a row's upstream where its own environment variables put it, with the key they name."""
    key = _first_key(row, env)
    upstream = upstream_from_provider(row, key=key)
    if row.place is None:
        return upstream
    place = row.place(env)
    if place.url is not None:
        try:
            moved_key = key if place.url.startswith("https:") else None
            upstream = upstream_at(upstream, place.url, key=moved_key, inject_usage=place.inject_usage)
        except ConfigError as error:
            raise ConfigError(f"{place.origin}: {error.message}") from error
    elif place.inject_usage is not None:
        upstream = replace(upstream, inject_usage=place.inject_usage)
    return replace(upstream, options=place.options)


def _placed(
    setting: UpstreamSetting, rows: Mapping[str, Provider], known: Upstream | None, env: Mapping[str, str]
) -> Upstream:
    key = env.get(setting.key_env) if setting.key_env else None
    if known is not None and setting.dialect in (None, setting.name):
        upstream = upstream_at(known, setting.url, key=key, inject_usage=setting.inject_usage)
    else:
        dialect = rows.get(setting.dialect or DEFAULT_DIALECT)
        if dialect is None:
            raise ConfigError(f"{setting.origin}: dialect {setting.dialect!r} is not one of {', '.join(rows)}")
        upstream = named_upstream(setting.name, setting.url, dialect, key=key, inject_usage=bool(setting.inject_usage))
    return upstream if setting.free is None else replace(upstream, is_free=setting.free)


def _first_key(row: Provider, env: Mapping[str, str]) -> str | None:
    return next((env[name] for name in row.key_env if env.get(name)), None)
