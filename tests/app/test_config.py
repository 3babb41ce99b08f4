"""Settings: one table, five sources, and errors that name where a value was set."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from llmflow_web.app import config as configuration
from llmflow_web.app.config import load, ollama_url
from llmflow_web.app.kinds import GIB, show_seconds, show_size
from llmflow_web.app.settings import SETTINGS, Config
from llmflow_web.errors import ConfigError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give every test a home of its own and a working directory with a hostile llmflow.toml."""
    home = tmp_path / "home"
    work = tmp_path / "work"
    home.mkdir()
    work.mkdir()
    (work / "llmflow.toml").write_text("proxy_port = 666\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.chdir(work)
    return home


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults_are_the_contract_s(home: Path) -> None:
    """Without anything set, the documented defaults hold and data lies in ~/.llmflow."""
    config = load({}, {})
    assert (config.proxy_port, config.dashboard_port) == (8080, 3000)
    assert config.data_dir == home / ".llmflow"
    assert config.database == home / ".llmflow" / "llmflow.db"
    assert (config.max_traces, config.max_age, config.max_size) == (100_000, None, 2 * GIB)
    assert (config.inject_usage, config.env_keys, config.verbose) == (True, True, False)


def test_the_working_directory_is_never_read() -> None:
    """An llmflow.toml in the current folder changes nothing: a cloned repository must not redirect keys."""
    assert load({}, {}).proxy_port == 8080


def test_precedence(home: Path) -> None:
    """Flag beats LLMFLOW_*, which beats the contract's name, which beats the file, which beats the default."""
    write(home / ".llmflow" / "llmflow.toml", "proxy_port = 1")
    env = {"PROXY_PORT": "2"}
    assert load({}, {}).proxy_port == 1
    assert load({}, env).proxy_port == 2
    env["LLMFLOW_PROXY_PORT"] = "3"
    assert load({}, env).proxy_port == 3
    assert load({"proxy_port": ["4"]}, env).proxy_port == 4


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("PROXY_PORT", "9001", "proxy_port", 9001),
        ("DASHBOARD_PORT", "9002", "dashboard_port", 9002),
        ("MAX_TRACES", "10000", "max_traces", 10_000),
        ("MAX_LOGS", "5", "max_logs", 5),
        ("MAX_METRICS", "6", "max_metrics", 6),
        ("VERBOSE", "1", "verbose", True),
        ("PRICING_URL", "https://prices.example/x.json", "price_url", "https://prices.example/x.json"),
        ("NO_COLOR", "anything", "no_color", True),
    ],
)
def test_the_contract_s_environment(name: str, text: str, field: str, value: object) -> None:
    """Each environment name of the older program still works."""
    assert getattr(load({}, {name: text}), field) == value
    assert getattr(load({}, {name: ""}), field) == getattr(Config(), field)


def test_data_dir_and_db_path(tmp_path: Path) -> None:
    """DATA_DIR moves everything; DB_PATH wins over it for the database alone."""
    config = load({}, {"DATA_DIR": str(tmp_path / "d"), "DB_PATH": str(tmp_path / "x.db")})
    assert config.data_dir == tmp_path / "d"
    assert config.database == tmp_path / "x.db"


def test_the_file_lies_in_the_data_dir(tmp_path: Path) -> None:
    """The settings file is found in the data directory, wherever that was moved to."""
    write(tmp_path / "d" / "llmflow.toml", "max_traces = 7\nquiet = true\nallow_host = ['a.test', 'b.test']\n")
    config = load({"data_dir": [str(tmp_path / "d")]}, {})
    assert (config.max_traces, config.quiet, config.allow_host) == (7, True, ("a.test", "b.test"))
    assert config.file == tmp_path / "d" / "llmflow.toml"


def test_the_file_cannot_move_the_data_dir_it_lies_in(home: Path) -> None:
    """data_dir in the data directory's own file is refused; in a file given by --config it counts."""
    path = write(home / ".llmflow" / "llmflow.toml", "data_dir = 'elsewhere'")
    with pytest.raises(ConfigError, match="data_dir cannot be moved"):
        load({}, {})
    assert load({}, {}, config_file=str(path)).data_dir == home / ".llmflow" / "elsewhere"


def test_switches() -> None:
    """What is on by default has a --no flag and a LLMFLOW_NO_ name; off by default, a plain one."""
    assert load({"env_keys": ["off"]}, {}).env_keys is False
    assert load({}, {"LLMFLOW_NO_ENV_KEYS": "1"}).env_keys is False
    assert load({}, {"LLMFLOW_NO_ENV_KEYS": "0"}).env_keys is True
    assert load({}, {"LLMFLOW_ENV_KEYS": "off"}).env_keys is False
    assert load({}, {"LLMFLOW_QUIET": "yes"}).quiet is True


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("max_age", "30d", 30 * 86400.0),
        ("max_age", "off", None),
        ("connect_timeout", "500ms", 0.5),
        ("connect_timeout", "2.5", 2.5),
        ("max_size", "512MiB", 512 * 1024**2),
        ("max_size", "1GB", 10**9),
        ("max_size", "off", None),
        ("max_traces", "1_000_000", 1_000_000),
    ],
)
def test_units(name: str, text: str, value: object) -> None:
    """Sizes and times are read with the units people write."""
    assert getattr(load({name: [text]}, {}), name) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("proxy_port", "65536"),
        ("proxy_port", "-1"),
        ("proxy_port", "８０"),
        ("max_traces", "0"),
        ("max_traces", "many"),
        ("max_age", "3 weeks"),
        ("connect_timeout", "0"),
        ("max_size", "2 GB!"),
        ("log_format", "xml"),
        ("price_url", "ftp://x"),
        ("host", "a\nb"),
        ("verbose", "maybe"),
    ],
)
def test_a_wrong_value_names_setting_place_and_choice(name: str, text: str) -> None:
    """A wrong value is refused with the setting's name, where it was set and what is allowed."""
    setting = next(setting for setting in SETTINGS if setting.name == name)
    with pytest.raises(ConfigError) as caught:
        load({name: [text]}, {})
    assert name in caught.value.message
    assert setting.flag in caught.value.message
    assert setting.kind.allowed in caught.value.message
    with pytest.raises(ConfigError, match=setting.env):
        load({}, {setting.env: text})


def test_a_wrong_secret_is_not_repeated() -> None:
    """The message about a bad token does not show it."""
    with pytest.raises(ConfigError) as caught:
        load({"token": ["hunter2"]}, {})
    assert "hunter2" not in caught.value.message


def test_unknown_keys_and_names(home: Path) -> None:
    """A misspelt file key is an error, a misspelt LLMFLOW_ variable a warning; both suggest the right one."""
    assert "did you mean 'LLMFLOW_PROXY_PORT'" in load({}, {"LLMFLOW_PROXY_PROT": "1"}).warnings[0]
    assert load({}, {"LLMFLOW_URL": "http://localhost:3000"}).warnings == ()
    write(home / ".llmflow" / "llmflow.toml", "proxy_prot = 1")
    with pytest.raises(ConfigError, match="did you mean 'proxy_port'"):
        load({}, {})


@pytest.mark.parametrize(
    "text", ["proxy_port = [1]", "proxy_port = {a = 1}", "allow_host = 'x'\nquiet = [", "quiet = 3"]
)
def test_a_broken_file_is_named(home: Path, text: str) -> None:
    """What cannot be read in the file is refused with the file's name."""
    path = write(home / ".llmflow" / "llmflow.toml", text)
    with pytest.raises(ConfigError) as caught:
        load({}, {})
    assert str(path) in caught.value.message


def test_a_missing_config_file_is_an_error(tmp_path: Path) -> None:
    """--config with a file that is not there is refused, not ignored."""
    with pytest.raises(ConfigError, match="cannot be read"):
        load({}, {}, config_file=str(tmp_path / "no.toml"))


# ── access ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.test"])
def test_beyond_this_machine_needs_a_token(host: str) -> None:
    """An address that others can reach is refused without a token and taken with one."""
    with pytest.raises(ConfigError, match="token"):
        load({"host": [host]}, {})
    assert load({"host": [host], "token": ["0123456789"]}, {}).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.4.5", "::1", "localhost"])
def test_loopback_needs_none(host: str) -> None:
    """Loopback addresses need no token."""
    assert load({"host": [host]}, {}).host == host


def test_the_ports_must_differ() -> None:
    """One port for both doors is refused; port 0 for both is not."""
    with pytest.raises(ConfigError, match="must differ"):
        load({"proxy_port": ["3000"]}, {})
    for port in ("8080", "3000"):
        with pytest.raises(ConfigError, match=rf"otlp_port and .* {port}; they must differ"):
            load({"otlp_port": [port]}, {})
    zeros = load({"proxy_port": ["0"], "dashboard_port": ["0"], "otlp_port": ["0"]}, {})
    assert (zeros.proxy_port, zeros.otlp_port) == (0, 0)


def test_the_otlp_port_is_off_by_default() -> None:
    """There is no third port until one is named; `off` takes it back; no upstream may be it."""
    assert load({}, {}).otlp_port is None
    assert load({"otlp_port": ["4318"]}, {}).otlp_port == 4318
    assert load({"otlp_port": ["off"]}, {"LLMFLOW_OTLP_PORT": "4318"}).otlp_port is None
    with pytest.raises(ConfigError, match=r"own otlp port.*--otlp-port"):
        load({"otlp_port": ["4318"], "upstream": ["vllm=http://localhost:4318"]}, {})


# ── upstreams ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_upstreams_from_every_source(home: Path) -> None:
    """Flag beats environment beats file, name by name; the file's table has more keys."""
    write(
        home / ".llmflow" / "llmflow.toml",
        "[upstream.vllm]\nurl='http://10.0.0.1:8000'\n[upstream.lab]\nurl='https://lab.test/v1'\n"
        "dialect='openai'\nkey_env='LAB_KEY'\nfree=true\ninject_usage=true\n",
    )
    env = {"LLMFLOW_UPSTREAM_VLLM": "http://10.0.0.2:8000", "LLMFLOW_UPSTREAM_MY_BOX": "http://box:1"}
    upstreams = load({"upstream": ["vllm=http://10.0.0.3:8000"]}, env).upstreams
    assert upstreams["vllm"].url == "http://10.0.0.3:8000"
    assert upstreams["my-box"].url == "http://box:1"
    lab = upstreams["lab"]
    assert (lab.dialect, lab.key_env, lab.free, lab.inject_usage) == ("openai", "LAB_KEY", True, True)


def test_a_setting_is_no_upstream() -> None:
    """LLMFLOW_UPSTREAM_IDLE_TIMEOUT is the timeout, not an upstream called idle-timeout."""
    config = load({}, {"LLMFLOW_UPSTREAM_IDLE_TIMEOUT": "30s"})
    assert (config.upstream_idle_timeout, dict(config.upstreams)) == (30.0, {})


@pytest.mark.parametrize("name", ["", "V", "1a", "a_b", "v1", "health", "providers", "passthrough", "a/b"])
def test_bad_names_are_refused(name: str) -> None:
    """A name that could not be a route, or is one of ours, is refused."""
    with pytest.raises(ConfigError, match="name"):
        load({"upstream": [f"{name}=http://127.0.0.1:1"]}, {})


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:8000", "ftp://x", "http://", "http://x:99999", "http://x/?a=1", "http://x/#a", "http://a b"]
)
def test_bad_urls_are_refused(url: str) -> None:
    """A base URL that cannot be one is refused."""
    with pytest.raises(ConfigError, match="--upstream vllm"):
        load({"upstream": [f"vllm={url}"]}, {})


def test_a_key_in_a_url_is_refused_unseen() -> None:
    """A URL with a password is refused, and the password is not repeated."""
    with pytest.raises(ConfigError) as caught:
        load({"upstream": ["vllm=http://user:hunter2@x:1"]}, {})
    assert "hunter2" not in caught.value.message


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080", "http://localhost:3000/v1", "http://[::1]:8080", "http://0.0.0.0:8080"]
)
def test_our_own_ports_are_refused(url: str) -> None:
    """An upstream that is LLMFlow itself would go round for ever, so it is refused at the start."""
    with pytest.raises(ConfigError, match=r"own (proxy|dashboard) port"):
        load({"upstream": [f"llamacpp={url}"]}, {})


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("localhost", "http://localhost:11434"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:9999", "http://127.0.0.1:9999"),
        ("::", "http://127.0.0.1:11434"),
        ("::1", "http://[::1]:11434"),
        ("gpu.lan:1234", "http://gpu.lan:1234"),
        ("https://ollama.test", "https://ollama.test"),
        ("http://ollama.test:80/base/", "http://ollama.test:80/base"),
    ],
)
def test_ollama_host(host: str, url: str) -> None:
    """OLLAMA_HOST may be a host, host:port or URL, and "all addresses" means this machine."""
    assert ollama_url(host, "11434") == url
    assert load({}, {"OLLAMA_HOST": host}).upstreams["ollama"].url == url


def test_ollama_port() -> None:
    """OLLAMA_PORT completes a host without one."""
    assert load({}, {"OLLAMA_HOST": "box", "OLLAMA_PORT": "77"}).upstreams["ollama"].url == "http://box:77"


# ── the table ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_field_is_a_setting() -> None:
    """Config has no field that cannot be set, apart from what load() adds."""
    names = {setting.name for setting in SETTINGS}
    assert {field.name for field in fields(Config)} - names == {
        "upstreams",
        "budgets",
        "alerts",
        "file",
        "origins",
        "warnings",
    }
    assert len({setting.flag for setting in SETTINGS}) == len({setting.env for setting in SETTINGS}) == len(SETTINGS)


def test_every_default_can_be_written_as_shown() -> None:
    """What docs show as a default is a value the setting takes, except where nothing is set."""
    for setting in SETTINGS:
        if setting.default not in (None, ()) and setting.name != "data_dir":
            assert setting.kind.parse(setting.default_text) == setting.default, setting.name


def test_sizes_and_times_are_shown_as_written() -> None:
    """The shown form of a size or time is read back as the same value."""
    assert show_size(2 * GIB) == "2 GiB"
    assert show_size(1000) == "1000 B"
    assert show_seconds(24 * 3600) == "1d"
    assert show_seconds(75.0) == "75s"
    assert show_seconds(None) == show_size(None) == "off"


def test_origins_tell_where(home: Path) -> None:
    """Each setting that is set knows where."""
    write(home / ".llmflow" / "llmflow.toml", "quiet = true")
    config = load({"proxy_port": ["5"]}, {"MAX_LOGS": "9"})
    assert config.origins["proxy_port"] == "--proxy-port"
    assert "MAX_LOGS" in config.origins["max_logs"]
    assert configuration.CONFIG_FILE in config.origins["quiet"]


@pytest.mark.parametrize(
    ("host", "asked"),
    [
        (None, "127.0.0.1"), ("localhost", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "127.0.0.1"),
        ("::1", "[::1]"), ("[::1]", "[::1]"), ("127.0.0.2", "127.0.0.2"), ("10.0.0.5", "10.0.0.5"),
    ],
)  # fmt: skip
def test_where_a_server_is_asked(host: str | None, asked: str) -> None:
    """A server is asked where it listens: by loopback, unless it listens on another address alone."""
    assert configuration.host_to_ask(host) == asked
