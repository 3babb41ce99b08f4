"""Rules of budgets as values: read from llmflow.toml, from the API and from --max-cost and its like. Pure.

A rule counts what one `Scope` uses within a window. Only the file may name a webhook or a command: whoever can reach
the API must not be able to have things sent or run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any, Literal
from urllib.parse import urlsplit

from llmflow_web.errors import ConfigError
from llmflow_web.model import JSON, Span
from llmflow_web.record.budget_windows import PERIODS, PROCESS, Window, window

Unit = Literal["usd", "tokens", "calls"]
Origin = Literal["file", "ui", "cap"]

LIMITS: Mapping[str, Unit] = {"limit_usd": "usd", "limit_tokens": "tokens", "limit_calls": "calls"}
CAPS: Mapping[str, Unit] = {"max_cost": "usd", "max_tokens": "tokens", "max_calls": "calls"}
ACTIONS = ("warn", "block")
DEFAULT_WARN_AT = 0.8
MAX_NAME_CHARS = 64
MAX_TEXT_CHARS = 256
MAX_LIMIT = 1e15
IMPORTED = "import"

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._-]{0,62}[A-Za-z0-9])?")
SCOPE_KEYS = ("provider", "model", "tag", "user", "session")
_ONLY_FILE = ("webhook", "command")
_SPIKE_PERIODS = ("hour", "day")


@dataclass(frozen=True, slots=True)
class Scope:
    """Which calls a rule is about; all that is set must hold. `model` may hold * and ?."""

    provider: str | None = None
    model: str | None = None
    tag: str | None = None
    user: str | None = None
    session: str | None = None

    def holds(self, provider: str | None, models: Iterable[str | None]) -> bool:
        """Say whether provider and model are meant: the one asked for, or the one that answered."""
        if self.provider is not None and self.provider != provider:
            return False
        pattern = self.model
        return pattern is None or any(fnmatchcase(model.lower(), pattern.lower()) for model in models if model)

    def holds_labels(self, tags: Iterable[str], user: str | None, session: str | None) -> bool:
        """Say whether the labels are those meant."""
        return (
            (self.tag is None or self.tag in tags)
            and (self.user is None or self.user == user)
            and (self.session is None or self.session == session)
        )

    @property
    def has_labels(self) -> bool:
        """Say whether labels of a call have to be read."""
        return self.tag is not None or self.user is not None or self.session is not None

    @property
    def shown(self) -> JSON:
        """What is set."""
        return {name: value for name in SCOPE_KEYS if (value := getattr(self, name)) is not None}


@dataclass(frozen=True, kw_only=True)
class Account:
    """What counts: a scope, in windows of a period."""

    name: str
    per: str = "day"
    scope: Scope = field(default_factory=Scope)
    tz: str | None = None
    since_ns: int = 0  # what began before does not count
    webhook: str | None = None
    command: tuple[str, ...] = ()
    origin: Origin = "file"

    @cached_property
    def zone(self) -> tzinfo | None:
        """The time zone of its windows; None = this machine's."""
        if self.tz is None:
            return None
        from zoneinfo import ZoneInfo

        return ZoneInfo(self.tz)

    @cached_property
    def key(self) -> str:
        """Its name in the ledger: what counts in another way is another account."""
        shown = ",".join(f"{name}={value}" for name, value in sorted(self.scope.shown.items()))
        return f"{type(self).__name__.lower()} {self.name}|{self.per}|{self.tz or ''}|{shown}"

    @property
    def is_kept(self) -> bool:
        """Say whether the ledger keeps what it counted over a restart."""
        return self.per != PROCESS

    def window_at(self, at_s: float) -> Window:
        """Return its window at a time."""
        return window(self.per, at_s, self.zone)

    def window_of(self, span: Span) -> int | None:
        """Return the start of the window a span belongs to; None when the span is not its affair."""
        scope = self.scope
        if span.start_ns < self.since_ns or span.source == IMPORTED:
            return None
        if not scope.holds(span.provider, (span.model, span.request_model)):
            return None
        if scope.has_labels and not scope.holds_labels(span.tags, span.user_id, span.session_id):
            return None
        return self.window_at(span.start_ns / 1e9)[0]


@dataclass(frozen=True, kw_only=True)
class Rule(Account):
    """A budget."""

    limit: float
    unit: Unit = "usd"
    action: str = "warn"
    on_unpriced: str = "warn"
    warn_at: float = DEFAULT_WARN_AT

    @property
    def is_blocking(self) -> bool:
        """Say whether it keeps calls from leaving."""
        return self.action == "block"

    @property
    def shown(self) -> JSON:
        """The rule as the API shows it and takes it."""
        return {
            "name": self.name,
            f"limit_{self.unit}": self.limit if self.unit == "usd" else int(self.limit),
            "per": self.per,
            **self.scope.shown,
            "action": self.action,
            "on_unpriced": self.on_unpriced,
            "warn_at": self.warn_at,
            "tz": self.tz,
        }


@dataclass(frozen=True, kw_only=True)
class Spike(Account):
    """An alert: more spent in this hour or day than in those before it, by a factor."""

    factor: float = 3.0
    floor_usd: float = 1.0
    over: int = 7  # so many windows before this one are looked at


def told_amount(amount: float, unit: str) -> str:
    """Write an amount for people."""
    if unit == "usd":
        cents, _, rest = f"{amount:.6f}".rstrip("0").partition(".")
        return f"${amount:,.2f}" if amount >= 1 else f"${cents}.{rest:0<2}"
    return f"{amount:,.0f} {unit if amount != 1 else unit.removesuffix('s')}"


def told_share(used: float, limit: float, unit: str) -> str:
    """Write how much of a limit is used: $0.40 of $0.50, 3 of 10 calls."""
    part = told_amount(used, unit)
    return f"{part if unit == 'usd' else part.partition(' ')[0]} of {told_amount(limit, unit)}"


def caps_from(*, max_cost: float | None, max_calls: int | None, max_tokens: int | None, since_ns: int) -> list[Rule]:
    """Make the rules of --max-cost, --max-calls and --max-tokens: they count from the start of this LLMFlow."""
    given = {"max_cost": max_cost, "max_calls": max_calls, "max_tokens": max_tokens}
    return [
        Rule(name=name, limit=limit, unit=CAPS[name], per=PROCESS, action="block", since_ns=since_ns, origin="cap")
        for name, limit in given.items()
        if limit is not None
    ]


# ── from what people write ───────────────────────────────────────────────────────────────────────────────────────────


def rules_from(tables: object, file: str) -> tuple[Rule, ...]:
    """Read the [budget.NAME] tables of a configuration file. Raises ConfigError."""
    return tuple(rule_from(name, table, f"{file}, [budget.{name}]") for name, table in _tables(tables, file, "budget"))


def spikes_from(tables: object, file: str) -> tuple[Spike, ...]:
    """Read the [alert.NAME] tables of a configuration file. Raises ConfigError."""
    return tuple(_spike(name, table, f"{file}, [alert.{name}]") for name, table in _tables(tables, file, "alert"))


def _tables(tables: object, file: str, kind: str) -> Iterable[tuple[str, Mapping[str, Any]]]:
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        raise ConfigError(f"{file}: these are tables: [{kind}.NAME] with their keys below")
    return tables.items()


def rule_from(name: object, table: Mapping[str, Any], where: str, *, origin: Origin = "file") -> Rule:
    """Read one budget. Raises ConfigError, whose sentence begins with `where`."""
    only_file = _ONLY_FILE if origin == "file" else ()
    known = (*LIMITS, "per", *SCOPE_KEYS, "action", "on_unpriced", "warn_at", "tz", *only_file)
    read = _Reader(table, where, known)
    limits = [key for key in LIMITS if table.get(key) is not None]
    if len(limits) != 1:
        raise ConfigError(f"{where}: a budget has one limit: {', '.join(LIMITS)}")
    unit = LIMITS[limits[0]]
    if table.get("on_unpriced") == "block" and table.get("action") != "block":
        raise ConfigError(f'{where}: on_unpriced = "block" needs action = "block"')
    return Rule(
        limit=read.number(limits[0], 0.0, lambda value: 0 < value <= MAX_LIMIT, "a number above 0"),
        unit=unit,
        action=read.word("action", "warn", ACTIONS),
        on_unpriced=read.word("on_unpriced", "warn", ACTIONS),
        warn_at=read.number("warn_at", DEFAULT_WARN_AT, lambda value: 0 < value <= 1, "a share above 0, at most 1"),
        origin=origin,
        **read.account(name, PERIODS),
    )


def _spike(name: str, table: Mapping[str, Any], where: str) -> Spike:
    read = _Reader(table, where, ("kind", "per", *SCOPE_KEYS, "factor", "floor_usd", "over", "tz", *_ONLY_FILE))
    read.word("kind", "spike", ("spike",))
    return Spike(
        factor=read.number("factor", 3.0, lambda value: 1 < value <= 1000, "a number above 1"),
        floor_usd=read.number("floor_usd", 1.0, lambda value: 0 <= value <= MAX_LIMIT, "an amount of US dollars"),
        over=int(read.number("over", 7, lambda value: 1 <= value <= 60 and value == int(value), "1 to 60 windows")),
        **read.account(name, _SPIKE_PERIODS),
    )


class _Reader:
    """Takes the keys of one table, and says which one is wrong."""

    def __init__(self, table: Mapping[str, Any], where: str, known: Iterable[str]) -> None:
        self._table = table
        self._where = where
        known = tuple(known)
        for key in table:
            if key in _ONLY_FILE and key not in known:
                raise ConfigError(f"{where}: {key} can only be set in llmflow.toml")
            if key not in known:
                raise ConfigError(f"{where}: there is no key {key!r}; there are {', '.join(known)}")

    def account(self, name: object, periods: tuple[str, ...]) -> dict[str, Any]:
        """Return what every account has."""
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ConfigError(
                f"{self._where}: a name has 1 to {MAX_NAME_CHARS} ASCII letters, digits, spaces, '.', '_' and '-', "
                "and begins and ends with a letter or digit"
            )
        return {
            "name": name,
            "per": self.word("per", "day", periods),
            "scope": Scope(**{key: self._text(key) for key in SCOPE_KEYS}),
            "tz": self._zone(),
            "webhook": self._webhook(),
            "command": self._command(),
        }

    def word(self, key: str, default: str, allowed: tuple[str, ...]) -> str:
        """Return one of the words allowed."""
        value = self._table.get(key)
        if value is None:
            return default
        if value not in allowed:
            raise self._wrong(key, value, " or ".join(allowed))
        return str(value)

    def number(self, key: str, default: float, is_good: Callable[[float], bool], allowed: str) -> float:
        """Return a number."""
        value = self._table.get(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not is_good(value):
            raise self._wrong(key, value, allowed)
        return float(value)

    def _text(self, key: str) -> str | None:
        value = self._table.get(key)
        if value is None or value == "":
            return None
        if not isinstance(value, str) or len(value) > MAX_TEXT_CHARS or not value.isprintable():
            raise self._wrong(key, value, f"a text of at most {MAX_TEXT_CHARS} characters")
        return value

    def _zone(self) -> str | None:
        name = self._text("tz")
        if name is None:
            return None
        from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            allowed = "a time zone this machine knows, such as Europe/Berlin"
            raise self._wrong("tz", name, allowed) from error
        return name

    def _webhook(self) -> str | None:
        """Return the URL; it may hold a secret, so no message repeats it."""
        value = self._table.get("webhook")
        if value is None:
            return None
        allowed = "an http or https URL without user and password"
        try:
            parts = urlsplit(value)
            is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except (ValueError, AttributeError, TypeError):
            is_good = False
        if not is_good or not value.isascii() or not value.isprintable() or set(value) & set(" @"):
            raise ConfigError(f"{self._where}, key webhook: the value given is not {allowed}")
        return str(value)

    def _command(self) -> tuple[str, ...]:
        value = self._table.get("command")
        if value is None:
            return ()
        if not isinstance(value, list) or not value or not all(isinstance(one, str) and one for one in value):
            raise ConfigError(f"{self._where}, key command: it is a list of texts: the program, then its arguments")
        if any("\0" in one for one in value):
            raise ConfigError(f"{self._where}, key command: it holds a NUL character")
        return tuple(value)

    def _wrong(self, key: str, value: object, allowed: str) -> ConfigError:
        return ConfigError(f"{self._where}, key {key}: {str(value)[:80]!r} is not {allowed}")


def stored(rule: Rule) -> JSON:
    """Return a rule made in the UI as the database keeps it: what `rule_from` takes."""
    return {name: value for name, value in rule.shown.items() if name != "name" and value is not None}
