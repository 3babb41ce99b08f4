"""The kinds of value a setting can have: how each is read from text, and what the reader is told is allowed.

Pure text to value. Where the text came from, and what happens when it is wrong, is `config`'s business.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
MINUTE_S = 60.0
HOUR_S = 3600.0
DAY_S = 86400.0

_SIZE_UNITS = {
    "": 1, "b": 1,
    "k": KIB, "kb": 1000, "kib": KIB,
    "m": MIB, "mb": 1000**2, "mib": MIB,
    "g": GIB, "gb": 1000**3, "gib": GIB,
}  # fmt: skip
_TIME_UNITS = {"ms": 0.001, "": 1.0, "s": 1.0, "m": MINUTE_S, "h": HOUR_S, "d": DAY_S}
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off", ""})
_OFF = frozenset({"off", "none", "never", "unlimited"})


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of value. `parse` raises ValueError on text that is not `allowed`."""

    metavar: str
    allowed: str
    parse: Callable[[str], Any]
    show: Callable[[Any], str] = str
    is_list: bool = False
    is_switch: bool = False


def _quantity(text: str, units: dict[str, Any]) -> float:
    match = _QUANTITY.fullmatch(text.strip().lower())
    if match is None or match[2] not in units:
        raise ValueError(text)
    return float(match[1]) * float(units[match[2]])


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) <= 65535):
        raise ValueError(text)
    return int(text)


def _port_or_off(text: str) -> int | None:
    return None if text.strip().lower() in _OFF else _port(text)


def _count(text: str) -> int:
    cleaned = text.replace("_", "").replace(",", "")
    if not (cleaned.isascii() and cleaned.isdecimal()) or int(cleaned) < 1:
        raise ValueError(text)
    return int(cleaned)


def _count_or_off(text: str) -> int | None:
    return None if text.strip().lower() in _OFF else _count(text)


def _dollars_or_off(text: str) -> float | None:
    if text.strip().lower() in _OFF:
        return None
    match = _QUANTITY.fullmatch(text.strip().removeprefix("$"))
    if match is None or match[2] or not float(match[1]):
        raise ValueError(text)
    return float(match[1])


def _size(text: str) -> int:
    size = int(_quantity(text, _SIZE_UNITS))
    if size < 1:
        raise ValueError(text)
    return size


def _size_or_off(text: str) -> int | None:
    return None if text.strip().lower() in _OFF else _size(text)


def _seconds(text: str) -> float:
    seconds = _quantity(text, _TIME_UNITS)
    if seconds <= 0:
        raise ValueError(text)
    return seconds


def _seconds_or_off(text: str) -> float | None:
    return None if text.strip().lower() in _OFF else _seconds(text)


def _milliseconds(text: str) -> float:
    """Read a time; a bare number is milliseconds, as the older environment name has it."""
    return _seconds(text + "ms" if text.strip().isdecimal() else text)


def _header(text: str) -> tuple[str, str]:
    """Read name=value; a value may be percent-encoded, as the exporters of OpenTelemetry have it."""
    name, sign, value = text.partition("=")
    name, value = name.strip(), unquote(value.strip())
    if not sign or not _HEADER_NAME.fullmatch(name) or not value.isprintable() or not value.isascii():
        raise ValueError(text)
    return name, value


def _switch(text: str) -> bool:
    word = text.strip().lower()
    if word not in _TRUE | _FALSE:
        raise ValueError(text)
    return word in _TRUE


def _path(text: str) -> Path:
    if not text or "\0" in text:
        raise ValueError(text)
    return Path(text).expanduser().absolute()


def _word(text: str) -> str:
    if not text or not text.isprintable() or text != text.strip():
        raise ValueError(text)
    return text


def _token(text: str) -> str:
    if len(text) < 8 or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(text)
    return text


def _pattern(text: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise ValueError(f"{text}: {error}") from error
    if pattern.search("") is not None:  # it would match between all characters
        raise ValueError(text)
    return pattern


def _http_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"https", "http"} or not parts.hostname or not text.isprintable() or set(text) & set(" @"):
        raise ValueError(text)
    return text


def _https_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"https", "http", "file"} or not (parts.netloc or parts.path):
        raise ValueError(text)
    return text


def show_size(size: int | None) -> str:
    """Write a number of bytes the way a person would set it."""
    if size is None:
        return "off"
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if size % unit == 0:
            return f"{size // unit} {name}"
    return f"{size} B"


def show_seconds(seconds: float | None) -> str:
    """Write a duration the way a person would set it."""
    if seconds is None:
        return "off"
    for unit, name in ((DAY_S, "d"), (HOUR_S, "h")):
        if seconds % unit == 0:
            return f"{seconds / unit:g}{name}"
    return f"{seconds:g}s"


def _show_switch(value: bool) -> str:
    return "on" if value else "off"


def _show_optional(value: object) -> str:
    return "none" if value is None else str(value)


def _show_url(value: str | None) -> str:
    """Show a URL without its query, which may hold a key."""
    return "none" if value is None else value.partition("?")[0]


def _show_names(value: tuple[tuple[str, str], ...]) -> str:
    return ", ".join(name for name, _ in value) or "none"


def _show_count_or_off(value: int | None) -> str:
    return "off" if value is None else f"{value:,}"


def _show_dollars(value: float | None) -> str:
    return "off" if value is None else f"${value:g}"


def _show_port(value: object) -> str:
    return "off" if value is None else str(value)


PORT = Kind("PORT", "a number from 0 to 65535 (0 = any free port)", _port)
PORT_OR_OFF = Kind("PORT", "a number from 0 to 65535 (0 = any free port), or off", _port_or_off, show=_show_port)
COUNT = Kind("N", "a whole number of at least 1", _count, show=lambda value: f"{value:,}")
COUNT_OR_OFF = Kind("N", "a whole number of at least 1, or off", _count_or_off, show=_show_count_or_off)
DOLLARS_OR_OFF = Kind("USD", "an amount of US dollars such as 0.50, or off", _dollars_or_off, show=_show_dollars)
SIZE = Kind("SIZE", "a size such as 8MiB, 512KiB or 1048576", _size, show=show_size)
SIZE_OR_OFF = Kind("SIZE", "a size such as 2GiB, or off", _size_or_off, show=show_size)
SECONDS = Kind("TIME", "a time such as 10s, 500ms, 5m or 24h", _seconds, show=show_seconds)
SECONDS_OR_OFF = Kind("TIME", "a time such as 30d, 24h or 90s, or off", _seconds_or_off, show=show_seconds)
MILLISECONDS = Kind("TIME", "a time such as 5s; a bare number is milliseconds", _milliseconds, show=show_seconds)
SWITCH = Kind("", "on or off (also 1, 0, true, false, yes, no)", _switch, show=_show_switch, is_switch=True)
PATH = Kind("PATH", "a path", _path, show=_show_optional)
WORD = Kind("TEXT", "text without line breaks or surrounding spaces", _word, show=_show_optional)
TOKEN = Kind("TOKEN", "at least 8 visible ASCII characters without spaces", _token, show=_show_optional)
URL = Kind("URL", "an https, http or file URL", _https_url)
HTTP_URL = Kind("URL", "an https or http URL without user and password", _http_url, show=_show_url)
HEADERS = Kind(
    "NAME=VALUE", "name=value, the value percent-encoded where need be", _header, show=_show_names, is_list=True
)
PATTERNS = Kind(
    "PATTERN",
    "a regular expression in Python's syntax that does not match the empty text",
    _pattern,
    show=lambda value: ", ".join(one.pattern for one in value) or "none",
    is_list=True,
)
WORDS = Kind("TEXT", WORD.allowed, _word, show=lambda value: ", ".join(value) or "none", is_list=True)


def choice(*words: str) -> Kind:
    """Make a kind that allows only `words`."""

    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(text)
        return text

    return Kind("|".join(words), " or ".join(words), parse)
