"""Where settings come from: flag > LLMFLOW_* > the older environment names > the configuration file > the default.

The working directory is never read: a cloned repository must not be able to redirect keys.
Every error names the setting, where it was set and what is allowed there; none repeats a secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from llmflow_web.app.kinds import PATH
from llmflow_web.app.settings import BY_NAME, SETTINGS, Config, Setting, UpstreamSetting
from llmflow_web.errors import ConfigError

if TYPE_CHECKING:
    from llmflow_web.record.budget_rules import Rule, Spike

CONFIG_FILE = "llmflow.toml"
CONFIG_ENV = "LLMFLOW_CONFIG"
UPSTREAM_ENV = "LLMFLOW_UPSTREAM_"
OLLAMA_PORT = 11434
RESERVED_NAMES = frozenset({"v1", "health", "providers", "passthrough"})
# Names under LLMFLOW_ that are read by SDKs and examples, not by the server.
_OTHERS_ENV = frozenset({
    "LLMFLOW_URL", "LLMFLOW_SDK", "LLMFLOW_SERVICE_NAME", "LLMFLOW_DEBUG", "LLMFLOW_PROXY", "LLMFLOW_DASHBOARD",
    CONFIG_ENV,
})  # fmt: skip
_NAME = re.compile(r"[a-z][a-z0-9-]*")
_TABLES = frozenset({"upstream", "budget", "alert"})  # tables of the file that are no settings
_UPSTREAM_KEYS = {"url": str, "dialect": str, "key_env": str, "free": bool, "inject_usage": bool}
_LOOPBACK_NAMES = frozenset({"localhost", "::1"})
_ANY_ADDRESS = frozenset({"0.0.0.0", "::", "*"})  # noqa: S104 - recognised, not bound


@dataclass(frozen=True, slots=True)
class Given:
    """A value as someone wrote it, and where."""

    texts: Sequence[str]
    origin: str


def load(
    flags: Mapping[str, Sequence[str]],
    env: Mapping[str, str],
    *,
    config_file: str | None = None,
    inherited: Mapping[str, Given] | None = None,
    places: Mapping[str, Given] | None = None,
) -> Config:
    """Resolve every setting.

    flags: setting name → texts from the command line; "upstream" → NAME=URL texts. inherited: settings, and places:
    upstreams by name, that hold where nobody says anything else.
    Raises ConfigError.
    """
    given = {**_from_contract_env(env), **_from_env(env), **_from_flags(flags)}
    chosen = config_file or env.get(CONFIG_ENV)
    file, tables = _read_file(chosen, given.get("data_dir"))
    if "data_dir" in tables and not chosen:
        raise ConfigError(f"{file}: data_dir cannot be moved by the file that lies in it; use --data-dir")
    given = {**(inherited or {}), **_from_file(file, tables), **given}
    values = {name: _value(BY_NAME[name], one) for name, one in given.items()}
    values.setdefault("data_dir", Path("~/.llmflow").expanduser())
    origins = {name: one.origin for name, one in given.items()}
    config = Config(**values, file=file, origins=origins, warnings=tuple(_warnings(env)))
    _check_access(config)
    upstreams = {
        **_ollama_upstream(env),
        **{name: _upstream(name, {"url": one.texts[0]}, one.origin) for name, one in (places or {}).items()},
        **_file_upstreams(file, tables.get("upstream", {})),
        **_env_upstreams(env),
        **_flag_upstreams(flags.get("upstream", ())),
    }
    for upstream in upstreams.values():
        _check_loop(upstream, config)
    budgets, alerts = _file_rules(file, tables)
    return replace(config, upstreams=upstreams, budgets=budgets, alerts=alerts)


# ── the sources ──────────────────────────────────────────────────────────────────────────────────────────────────


def _from_flags(flags: Mapping[str, Sequence[str]]) -> dict[str, Given]:
    return {name: Given(texts, BY_NAME[name].flag) for name, texts in flags.items() if name in BY_NAME}


def _from_env(env: Mapping[str, str]) -> dict[str, Given]:
    found: dict[str, Given] = {}
    for setting in SETTINGS:
        if env.get(setting.env):
            found[setting.name] = _env_given(setting, setting.env, env[setting.env])
        elif setting.negative_env and env.get(setting.negative_env):
            # "no" of a switch: any true word turns it off.
            is_off = _value(setting, Given([env[setting.negative_env]], setting.negative_env))
            found[setting.name] = Given(["off" if is_off else "on"], setting.negative_env)
    return found


def _from_contract_env(env: Mapping[str, str]) -> dict[str, Given]:
    found: dict[str, Given] = {}
    for setting in SETTINGS:
        for name in setting.contract:
            # An empty value counts as not set, as https://no-color.org asks and compose files produce.
            if not env.get(name):
                continue
            text = "on" if name == "NO_COLOR" else env[name]
            found[setting.name] = _env_given(setting, name, text)
            break
    return found


def _env_given(setting: Setting, name: str, text: str) -> Given:
    texts = [part.strip() for part in text.split(",") if part.strip()] if setting.kind.is_list else [text]
    return Given(texts, f"the environment variable {name}")


def _read_file(chosen: str | None, data_dir: Given | None) -> tuple[Path | None, dict[str, Any]]:
    if chosen:
        path = Path(chosen).expanduser().absolute()
    else:
        folder = _value(BY_NAME["data_dir"], data_dir) if data_dir else Path("~/.llmflow").expanduser()
        path = folder / CONFIG_FILE
        if not path.is_file():
            return None, {}
    import tomllib

    try:
        with path.open("rb") as stream:
            return path, tomllib.load(stream)
    except OSError as error:
        raise ConfigError(f"the configuration file {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"the configuration file {path} is not valid TOML: {error}") from error


def _from_file(file: Path | None, tables: Mapping[str, Any]) -> dict[str, Given]:
    found: dict[str, Given] = {}
    if file is None:
        return found
    for key, value in tables.items():
        if key in _TABLES:
            continue
        setting = BY_NAME.get(key)
        if setting is None:
            raise ConfigError(f"{file}: there is no setting {key!r}{_suggestion(key, BY_NAME)}")
        found[key] = Given(_texts(setting, value, file), f"{file}, key {key}")
    return found


def _texts(setting: Setting, value: object, file: Path) -> list[str]:
    origin = f"{file}, key {setting.name}"
    if isinstance(value, list):
        if not setting.kind.is_list or not all(isinstance(item, str) for item in value):
            raise _wrong(setting, origin, str(value))
        return [str(item) for item in value]
    if setting.kind is PATH and isinstance(value, str):
        # A relative path in the file means "beside the file", wherever LLMFlow was started.
        return [str(file.parent / Path(value).expanduser())]
    if isinstance(value, bool):
        return ["on" if value else "off"]
    if isinstance(value, str | int | float):
        return [str(value)]
    raise _wrong(setting, origin, str(value))


def _value(setting: Setting, given: Given) -> Any:
    try:
        if setting.kind.is_list:
            return tuple(setting.kind.parse(text) for text in given.texts)
        return setting.kind.parse(given.texts[-1])
    except (ValueError, RuntimeError) as error:  # RuntimeError: "~nobody/x" has no home
        raise _wrong(setting, given.origin, ", ".join(given.texts)) from error


def _wrong(setting: Setting, origin: str, text: str) -> ConfigError:
    shown = "the value given" if setting.secret else repr(text)
    return ConfigError(f"{setting.name} (set by {origin}): {shown} is not {setting.kind.allowed}")


def _suggestion(word: str, known: Mapping[str, object]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _warnings(env: Mapping[str, str]) -> Iterator[str]:
    known = {setting.env: setting for setting in SETTINGS}
    known.update({setting.negative_env: setting for setting in SETTINGS if setting.negative_env})
    for name in env:
        if not name.startswith("LLMFLOW_") or name.startswith(UPSTREAM_ENV) or name in _OTHERS_ENV or name in known:
            continue
        yield f"the environment variable {name} is not a setting{_suggestion(name, known)}"


# ── who may reach us ─────────────────────────────────────────────────────────────────────────────────────────────


def _check_access(config: Config) -> None:
    if config.host is not None and not is_loopback(config.host) and config.token is None:
        raise ConfigError(
            f"host {config.host} can be reached from other machines, so a token is needed: "
            "add --token (or LLMFLOW_TOKEN), or leave --host away to listen on this machine only"
        )
    if config.proxy_port == config.dashboard_port != 0:
        raise ConfigError(f"proxy_port and dashboard_port are both {config.proxy_port}; they must differ")
    for name in ("proxy_port", "dashboard_port"):
        if config.otlp_port == getattr(config, name) != 0:
            raise ConfigError(f"otlp_port and {name} are both {config.otlp_port}; they must differ")


def is_loopback(host: str) -> bool:
    """Say whether `host` (a name or an address) can only be reached from this machine."""
    name = host.strip("[]").lower()
    return name in _LOOPBACK_NAMES or re.fullmatch(r"127(\.\d{1,3}){3}", name) is not None


def host_to_ask(host: str | None) -> str:
    """Return where a server that listens on `host` is reached from this machine, as it stands in a URL."""
    if host is None or host in ("localhost", "0.0.0.0", "::", "*"):  # noqa: S104 - compared, not bound
        return "127.0.0.1"
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


# ── upstreams ────────────────────────────────────────────────────────────────────────────────────────────────────


def _flag_upstreams(texts: Sequence[str]) -> dict[str, UpstreamSetting]:
    found = {}
    for text in texts:
        name, equals, url = text.partition("=")
        if not equals:
            raise ConfigError(f"--upstream {text!r} must be NAME=URL, for example vllm=http://127.0.0.1:8000")
        found[name] = _upstream(name, {"url": url}, f"--upstream {name}")
    return found


def _env_upstreams(env: Mapping[str, str]) -> dict[str, UpstreamSetting]:
    own = {setting.env for setting in SETTINGS}  # LLMFLOW_UPSTREAM_IDLE_TIMEOUT is a setting, not an upstream
    found = {}
    for variable, url in env.items():
        if variable.startswith(UPSTREAM_ENV) and variable not in own and url:
            name = variable.removeprefix(UPSTREAM_ENV).lower().replace("_", "-")
            found[name] = _upstream(name, {"url": url}, f"the environment variable {variable}")
    return found


def _file_upstreams(file: Path | None, tables: object) -> dict[str, UpstreamSetting]:
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        raise ConfigError(f"{file}: upstreams are tables: [upstream.NAME] with url = …")
    return {name: _upstream(name, table, f"{file}, [upstream.{name}]") for name, table in tables.items()}


def _file_rules(file: Path | None, tables: Mapping[str, Any]) -> tuple[tuple[Rule, ...], tuple[Spike, ...]]:
    """Read [budget.NAME] and [alert.NAME]; their module is loaded only where there are any."""
    if not tables.get("budget") and not tables.get("alert"):
        return (), ()
    from llmflow_web.record.budget_rules import rules_from, spikes_from

    return rules_from(tables.get("budget", {}), str(file)), spikes_from(tables.get("alert", {}), str(file))


def _ollama_upstream(env: Mapping[str, str]) -> dict[str, UpstreamSetting]:
    host = env.get("OLLAMA_HOST", "").strip()
    if not host:
        return {}
    url = ollama_url(host, env.get("OLLAMA_PORT") or str(OLLAMA_PORT))
    return {"ollama": _upstream("ollama", {"url": url}, "the environment variable OLLAMA_HOST")}


def ollama_url(host: str, port: str) -> str:
    """Read OLLAMA_HOST as Ollama does: a host, host:port or URL; the address that means "all" means this machine."""
    if "://" not in host:
        if host.count(":") > 1 and not host.startswith("["):
            host = f"[{host}]"
        host = f"http://{host}"
    try:
        parts = urlsplit(host)
        name, given_port = parts.hostname or "127.0.0.1", parts.port
    except ValueError as error:
        raise ConfigError(f"OLLAMA_HOST: {host!r} is not a host, host:port or URL") from error
    if name in _ANY_ADDRESS:
        name = "127.0.0.1"
    shown = f"[{name}]" if ":" in name else name
    is_default = given_port is None and parts.scheme == "http"
    suffix = f":{port}" if is_default else f":{given_port}" if given_port else ""
    return f"{parts.scheme}://{shown}{suffix}{parts.path.rstrip('/')}"


def _upstream(name: str, table: Mapping[str, Any], origin: str) -> UpstreamSetting:
    if not _NAME.fullmatch(name) or name in RESERVED_NAMES:
        reserved = ", ".join(sorted(RESERVED_NAMES))
        raise ConfigError(
            f"{origin}: {name!r} cannot be an upstream's name: a small letter, then small letters, digits and '-'; "
            f"not {reserved}"
        )
    for key, value in table.items():
        if key not in _UPSTREAM_KEYS:
            raise ConfigError(f"{origin}: there is no key {key!r}{_suggestion(key, _UPSTREAM_KEYS)}")
        if not isinstance(value, _UPSTREAM_KEYS[key]):
            raise ConfigError(f"{origin}, key {key}: {value!r} is not {_UPSTREAM_KEYS[key].__name__}")
    if "url" not in table:
        raise ConfigError(f"{origin}: url is missing")
    _check_url(str(table["url"]), origin)
    return UpstreamSetting(name=name, origin=origin, **table)


def _check_url(url: str, origin: str) -> None:
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_good = False
    if not is_good or not url.isprintable() or " " in url:
        raise ConfigError(f"{origin}: {_without_user(url)!r} is not a URL such as http://127.0.0.1:8000")
    if parts.username is not None or parts.password is not None:
        raise ConfigError(f"{origin}: a URL must not hold a key or password; use key_env in llmflow.toml")
    if parts.query or parts.fragment:
        raise ConfigError(f"{origin}: {url!r} must be a base URL, without '?' or '#'")


def _without_user(url: str) -> str:
    return re.sub(r"//[^/@]*@", "//…@", url)


def _check_loop(upstream: UpstreamSetting, config: Config) -> None:
    parts = urlsplit(upstream.url)
    host = (parts.hostname or "").lower()
    port = parts.port or (443 if parts.scheme == "https" else 80)
    is_here = is_loopback(host) or host in _ANY_ADDRESS or host == config.host
    own = {config.proxy_port: "proxy", config.dashboard_port: "dashboard", config.otlp_port: "otlp"}
    if is_here and port in own:
        raise ConfigError(
            f"{upstream.origin}: {upstream.url} is LLMFlow's own {own[port]} port; a call would come back for ever. "
            "Give the real address of the model server, or move LLMFlow with "
            f"--{own[port]}-port"
        )
