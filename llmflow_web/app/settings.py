"""The one table of settings: each field of `Config` is a flag, an environment variable, a file key and a row of docs.

Add a field here and everything else follows; nothing reads a setting in any other way.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmflow_web.app import kinds
from llmflow_web.app.kinds import Kind
from llmflow_web.wire.otlp_values import Signal

if TYPE_CHECKING:
    from llmflow_web.record.budget_rules import Rule, Spike


@dataclass(frozen=True, slots=True)
class UpstreamSetting:
    """An upstream the user named: where its calls go and how it differs from its dialect's row."""

    name: str
    url: str
    origin: str  # where it was set, for messages
    dialect: str | None = None  # a PROVIDERS row; None = the row of the same name, else openai
    key_env: str | None = None
    free: bool | None = None  # None = as the rules say
    inject_usage: bool | None = None


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting and all the places it can be set in."""

    name: str  # the field of Config and the key in the file: proxy_port
    kind: Kind
    default: Any
    help: str
    group: str
    contract: tuple[str, ...]  # environment names beside LLMFLOW_*
    secret: bool
    shown_default: str | None

    @property
    def flag(self) -> str:
        """The flag as typed: --proxy-port, or --no-env-keys for what is on by default."""
        return ("--no-" if self.kind.is_switch and self.default else "--") + self.name.replace("_", "-")

    @property
    def env(self) -> str:
        """Our own environment name: LLMFLOW_PROXY_PORT."""
        return "LLMFLOW_" + self.name.upper()

    @property
    def negative_env(self) -> str | None:
        """The name that turns off what is on by default: LLMFLOW_NO_ENV_KEYS=1."""
        return "LLMFLOW_NO_" + self.name.upper() if self.kind.is_switch and self.default else None

    @property
    def default_text(self) -> str:
        """The default as docs and --help show it."""
        return self.shown_default or self.kind.show(self.default)


def _setting(
    default: Any,
    kind: Kind,
    group: str,
    text: str,
    *contract: str,
    secret: bool = False,
    shown_default: str | None = None,
) -> Any:
    row = {"kind": kind, "group": group, "help": text, "contract": contract}
    more = {"secret": secret, "shown_default": shown_default}
    return field(default=default, metadata=row | more)


ACCESS = "Ports and access"
DATA = "Data"
UPSTREAMS = "Upstreams and keys"
RECORDING = "Recording"
CASSETTES = "Cassettes"
RETENTION = "Retention"
PRICES = "Prices"
BUDGETS = "Budgets"
FORWARD = "OTLP out"
LIMITS = "Limits and timeouts"
CONSOLE = "Console"


@dataclass(frozen=True, slots=True)
class Config:
    """Every setting, resolved. Sizes are bytes, times are seconds, None = off or not set."""

    proxy_port: int = _setting(8080, kinds.PORT, ACCESS, "Port of the proxy: what base URLs point at.", "PROXY_PORT")
    dashboard_port: int = _setting(
        3000, kinds.PORT, ACCESS, "Port of the dashboard, its API and OTLP.", "DASHBOARD_PORT"
    )
    otlp_port: int | None = _setting(
        None,
        kinds.PORT_OR_OFF,
        ACCESS,
        "One more port for OTLP, which the dashboard's takes in any case: 4318 is where exporters send by themselves.",
    )
    host: str | None = _setting(
        None,
        kinds.WORD,
        ACCESS,
        "Address to listen on. Anything beyond this machine needs a token.",
        shown_default="127.0.0.1 and ::1",
    )
    token: str | None = _setting(
        None,
        kinds.TOKEN,
        ACCESS,
        "Ask every caller of proxy, API and dashboard for this token.",
        secret=True,
    )
    allow_host: tuple[str, ...] = _setting(
        (), kinds.WORDS, ACCESS, "Another host name this server answers to. Can be given several times."
    )
    allow_origin: tuple[str, ...] = _setting(
        (), kinds.WORDS, ACCESS, "A web origin whose pages may call the API. Can be given several times."
    )

    data_dir: Path = _setting(  # noqa: RUF009 - a frozen field
        Path("~/.llmflow"), kinds.PATH, DATA, "Where the database, price cache and llmflow.toml live.", "DATA_DIR"
    )
    db_path: Path | None = _setting(  # noqa: RUF009 - a frozen field
        None, kinds.PATH, DATA, "The database file.", "DB_PATH", shown_default="llmflow.db in the data directory"
    )

    inject_usage: bool = _setting(
        True, kinds.SWITCH, UPSTREAMS, "Ask for token counts on streamed calls that do not ask themselves."
    )
    env_keys: bool = _setting(
        True, kinds.SWITCH, UPSTREAMS, "Use OPENAI_API_KEY and its like for local calls that carry no key."
    )

    bodies: bool = _setting(
        True, kinds.SWITCH, RECORDING, "Store prompts and answers, of calls as of spans and logs that are sent here."
    )
    redact: tuple[re.Pattern[str], ...] = _setting(
        (),
        kinds.PATTERNS,
        RECORDING,
        "Mask what this regular expression matches in all that is stored. Can be given several times.",
    )
    max_stored_body: int = _setting(
        8 * kinds.MIB, kinds.SIZE, RECORDING, "Bytes kept of one request or response body; more is cut and marked."
    )
    max_capture_memory: int = _setting(
        64 * kinds.MIB, kinds.SIZE, RECORDING, "Memory for the bodies of all running calls together."
    )
    queue_rows: int = _setting(2000, kinds.COUNT, RECORDING, "Calls that may wait for the database.")
    queue_bytes: int = _setting(32 * kinds.MIB, kinds.SIZE, RECORDING, "Memory those waiting calls may hold.")

    cassette: Path | None = _setting(  # noqa: RUF009 - a frozen field
        None,
        kinds.PATH,
        CASSETTES,
        "Answer calls from recordings in this file, or record them there: no network, no key and no cost in replay.",
    )
    cassette_mode: str = _setting(
        "replay",
        kinds.choice("record", "replay", "hybrid"),
        CASSETTES,
        "Send all calls and record them, answer from recordings only, or send and record only what is not recorded.",
    )
    cassette_match: str = _setting(
        "content",
        kinds.choice("content", "sequence"),
        CASSETTES,
        "Equal requests get their answers in the order of recording, or the n-th call gets the n-th answer.",
    )
    cassette_timing: str = _setting(
        "none", kinds.choice("none", "recorded"), CASSETTES, "Answer at once, or at the pace that was recorded."
    )
    cassette_errors: str = _setting(
        "final",
        kinds.choice("final", "all", "none"),
        CASSETTES,
        "Record errors but those that a retry got past, all of them, or none.",
    )
    cassette_ignore: tuple[str, ...] = _setting(
        (),
        kinds.WORDS,
        CASSETTES,
        "A field of JSON bodies that may differ, such as messages[*].id. Can be given several times.",
    )
    cassette_ignore_header: tuple[str, ...] = _setting(
        (), kinds.WORDS, CASSETTES, "A compared header that may differ, such as anthropic-beta."
    )

    max_traces: int = _setting(100_000, kinds.COUNT, RETENTION, "Spans kept; the oldest traces go first.", "MAX_TRACES")
    max_logs: int = _setting(100_000, kinds.COUNT, RETENTION, "Log records kept.", "MAX_LOGS")
    max_metrics: int = _setting(1_000_000, kinds.COUNT, RETENTION, "Metric points kept.", "MAX_METRICS")
    max_age: float | None = _setting(None, kinds.SECONDS_OR_OFF, RETENTION, "Traces older than this are deleted.")
    max_size: int | None = _setting(
        2 * kinds.GIB, kinds.SIZE_OR_OFF, RETENTION, "Size of the database file; the oldest traces go first."
    )

    price_url: str = _setting(
        "https://raw.githubusercontent.com/BerriAI/litellm/main/model_prices_and_context_window.json",
        kinds.URL,
        PRICES,
        "Where newer prices come from.",
        "PRICING_URL",
    )
    price_refresh: bool = _setting(
        True, kinds.SWITCH, PRICES, "Fetch newer prices in the background; the built-in table is always there."
    )
    price_ttl: float = _setting(24 * kinds.HOUR_S, kinds.SECONDS, PRICES, "Age at which fetched prices are renewed.")

    max_cost: float | None = _setting(
        None,
        kinds.DOLLARS_OR_OFF,
        BUDGETS,
        "US dollars that may be spent until LLMFlow stops; further calls get 429. More rules: [budget.NAME].",
    )
    max_calls: int | None = _setting(
        None, kinds.COUNT_OR_OFF, BUDGETS, "Calls of models that may be made until LLMFlow stops."
    )
    max_tokens: int | None = _setting(
        None, kinds.COUNT_OR_OFF, BUDGETS, "Tokens, in and out, that may be used until LLMFlow stops."
    )
    budget_wait: float = _setting(
        60.0, kinds.SECONDS, BUDGETS, "Time a call is held while calls in flight have the rest of a budget reserved."
    )

    forward: str | None = _setting(
        None,
        kinds.HTTP_URL,
        FORWARD,
        "Send everything recorded on to the OTLP/HTTP backend at this base URL; /v1/traces, /v1/logs and /v1/metrics "
        "are added.",
    )
    forward_traces: str | None = _setting(
        None,
        kinds.HTTP_URL,
        FORWARD,
        "Where spans are sent instead: a whole URL, used as given.",
        "OTLP_EXPORT_TRACES_ENDPOINT",
        "OTLP_EXPORT_ENDPOINT",
    )
    forward_logs: str | None = _setting(
        None, kinds.HTTP_URL, FORWARD, "The same for log records.", "OTLP_EXPORT_LOGS_ENDPOINT"
    )
    forward_metrics: str | None = _setting(
        None, kinds.HTTP_URL, FORWARD, "The same for metrics.", "OTLP_EXPORT_METRICS_ENDPOINT"
    )
    forwarding: bool = _setting(
        True, kinds.SWITCH, FORWARD, "Send to the endpoints that are set.", "OTLP_EXPORT_ENABLED"
    )
    forward_headers: tuple[tuple[str, str], ...] = _setting(
        (),
        kinds.HEADERS,
        FORWARD,
        "A header for the backend, such as authorization=Bearer%20KEY. Can be given several times.",
        "OTLP_EXPORT_HEADERS",
        secret=True,
    )
    forward_protocol: str = _setting("protobuf", kinds.choice("protobuf", "json"), FORWARD, "Encoding of what is sent.")
    forward_gzip: bool = _setting(True, kinds.SWITCH, FORWARD, "Compress what is sent.")
    forward_batch: int = _setting(
        100, kinds.COUNT, FORWARD, "Items sent in one request at most.", "OTLP_EXPORT_BATCH_SIZE"
    )
    forward_interval: float = _setting(
        5.0, kinds.MILLISECONDS, FORWARD, "Time an item waits for others.", "OTLP_EXPORT_FLUSH_INTERVAL"
    )
    forward_timeout: float = _setting(10.0, kinds.SECONDS, FORWARD, "Time the backend has to answer a request.")
    forward_queue: int = _setting(
        10_000,
        kinds.COUNT,
        FORWARD,
        "Items of each signal that may wait for the backend; more are dropped and counted.",
    )
    forward_memory: int = _setting(64 * kinds.MIB, kinds.SIZE, FORWARD, "Memory those waiting items may hold.")
    forward_content: bool = _setting(
        False, kinds.SWITCH, FORWARD, "Send prompts and answers of the calls LLMFlow recorded itself, too."
    )
    forward_raw: bool = _setting(False, kinds.SWITCH, FORWARD, "Send received OTLP on as it came, not redacted.")

    connect_timeout: float = _setting(10.0, kinds.SECONDS, LIMITS, "Time to reach an upstream.")
    upstream_idle_timeout: float | None = _setting(
        None, kinds.SECONDS_OR_OFF, LIMITS, "Silence after which an upstream counts as dead."
    )
    head_timeout: float = _setting(20.0, kinds.SECONDS, LIMITS, "Time a client has to send a request's head.")
    body_timeout: float = _setting(120.0, kinds.SECONDS, LIMITS, "Silence allowed inside a request's body.")
    idle_timeout: float = _setting(75.0, kinds.SECONDS, LIMITS, "Time an unused client connection stays open.")
    max_head: int = _setting(64 * kinds.KIB, kinds.SIZE, LIMITS, "Bytes of a request's head.")
    max_splice_body: int = _setting(
        16 * kinds.MIB,
        kinds.SIZE,
        LIMITS,
        "Bytes of a streaming call's body up to which its token counts can be asked for.",
    )
    max_translated_body: int = _setting(
        64 * kinds.MIB,
        kinds.SIZE,
        LIMITS,
        "Bytes of a request that is translated for its provider; a longer one gets 413.",
    )
    max_otlp_body: int = _setting(
        64 * kinds.MIB, kinds.SIZE, LIMITS, "Bytes of one OTLP request, as it comes and decompressed; more gets 413."
    )
    max_ingest_memory: int = _setting(
        128 * kinds.MIB,
        kinds.SIZE,
        LIMITS,
        "Memory for all spans, logs and metrics on their way in; beyond it senders are asked to come again.",
    )
    max_connections: int = _setting(4096, kinds.COUNT, LIMITS, "Client connections open at once, per port.")
    stop_grace: float = _setting(10.0, kinds.SECONDS, LIMITS, "Time running calls have to end when LLMFlow stops.")

    log_format: str = _setting(
        "text", kinds.choice("text", "json"), CONSOLE, "Console lines for people, or one JSON object a line."
    )
    verbose: bool = _setting(
        False, kinds.SWITCH, CONSOLE, "Say more: settings, paths and spans sent by SDKs.", "VERBOSE"
    )
    quiet: bool = _setting(False, kinds.SWITCH, CONSOLE, "Print no line per call.")
    no_color: bool = _setting(False, kinds.SWITCH, CONSOLE, "No colours, also on a terminal.", "NO_COLOR")

    upstreams: Mapping[str, UpstreamSetting] = field(default_factory=dict)
    budgets: tuple[Rule, ...] = ()  # [budget.NAME] of the file
    alerts: tuple[Spike, ...] = ()  # [alert.NAME] of the file
    file: Path | None = None  # the configuration file that was read
    origins: Mapping[str, str] = field(default_factory=dict)  # setting name → where it was set
    warnings: tuple[str, ...] = ()

    @property
    def database(self) -> Path:
        """The database file."""
        return self.db_path or self.data_dir / "llmflow.db"


SETTINGS: tuple[Setting, ...] = tuple(
    Setting(name=row.name, default=row.default, **row.metadata) for row in fields(Config) if row.metadata
)
BY_NAME: Mapping[str, Setting] = {setting.name: setting for setting in SETTINGS}


def endpoints_of(config: Config) -> dict[Signal, str]:
    """Return where each signal is forwarded to: its own URL as given, else the base URL with its path added."""
    if not config.forwarding:
        return {}
    own: dict[Signal, str | None] = {
        "traces": config.forward_traces,
        "logs": config.forward_logs,
        "metrics": config.forward_metrics,
    }
    found = {signal: url or (config.forward and _with_path(config.forward, signal)) for signal, url in own.items()}
    return {signal: url for signal, url in found.items() if url}


def _with_path(base: str, signal: Signal) -> str:
    front, mark, query = base.partition("?")
    return f"{front.rstrip('/')}/v1/{signal}{mark}{query}"


def shown_endpoints(config: Config) -> dict[str, str]:
    """Return the same as it may be told: without queries, which may hold keys."""
    return {signal: url.partition("?")[0] for signal, url in endpoints_of(config).items()}
