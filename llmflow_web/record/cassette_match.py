"""When two requests are the same to a cassette, and what differs when they are not. Pure.

A request is compared as a value: method, provider, path, query, a short list of headers and the body. JSON bodies are
compared as JSON: the order of members, white space and `1` against `1.0` make no difference.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from typing import Any

from llmflow_web.model import JSON

MATCHED_HEADERS = ("anthropic-beta", "openai-beta")
"""Headers of a request that change what is answered; no others are looked at. Versions come with SDKs and would make
every cassette useless with the next release of one."""

IGNORED_FIELDS = ("metadata", "prompt_cache_key", "safety_identifier", "user")
"""Members of a JSON body that say for whom or why something is asked, not what."""

MAX_DIFFERENCES = 64
MAX_SHOWN = 3
MAX_VALUE_CHARS = 60
_LEAD_CHARS = 12
"""Characters shown before the first that differs."""

Step = str | int | None
"""One step of a field's path: a member's name, an index, or None for any of them."""

_STEP = re.compile(
    r"""\.?(?P<name>[^.\[\]*'"\s]+)|\.?(?P<any>\*)|\[(?:(?P<all>\*)|(?P<index>\d+)|'(?P<one>[^']*)'|"(?P<two>[^"]*)")\]"""
)
_ABSENT = object()


def parse_path(text: str) -> tuple[Step, ...]:
    """Read a path such as `$.metadata`, `messages[*].id` or `tools[0]['x.y']`. Raises ValueError."""
    rest = text.strip().removeprefix("$")
    steps: list[Step] = []
    at = 0
    while at < len(rest):
        found = _STEP.match(rest, at)
        if found is None or (found["name"] and steps and rest[at] != "."):
            raise ValueError(f"{text!r} is no path of a field, such as messages[*].id")
        at = found.end()
        steps.append(_step(found))
    if not steps:
        raise ValueError(f"{text!r} names no field")
    return tuple(steps)


def _step(found: re.Match[str]) -> Step:
    if found["index"] is not None:
        return int(found["index"])
    return next((found[name] for name in ("name", "one", "two") if found[name] is not None), None)


def without(value: Any, path: Sequence[Step]) -> Any:
    """Return `value` without what stands at `path`; an element of a list leaves its place behind."""
    if not path:
        return None
    step, rest = path[0], path[1:]
    if isinstance(value, dict) and not isinstance(step, int):
        if not rest:
            return {name: one for name, one in value.items() if step is not None and name != step}
        return {name: without(one, rest) if step in (None, name) else one for name, one in value.items()}
    if isinstance(value, list) and not isinstance(step, str):
        return [without(one, rest) if step in (None, at) else one for at, one in enumerate(value)]
    return value


@dataclass(frozen=True, slots=True)
class Rules:
    """What of a request is compared."""

    ignored: tuple[tuple[Step, ...], ...] = tuple((name,) for name in IGNORED_FIELDS)
    headers: frozenset[str] = frozenset(MATCHED_HEADERS)

    def comparable(self, request: JSON) -> JSON:
        """Return what of a recorded request counts, in an order of its own."""
        headers = request.get("headers", {})
        value: JSON = {name: request.get(name, "") for name in ("method", "provider", "path")}
        value["query"] = "&".join(sorted(filter(None, request.get("query", "").split("&"))))
        value["headers"] = {name: headers[name] for name in sorted(headers) if name in self.headers}
        for kind in ("json", "form", "text", "binary"):
            if kind in request:
                value[kind] = self._body(kind, request[kind])
        return value

    def _body(self, kind: str, body: Any) -> Any:
        if kind == "json":
            for path in self.ignored:
                body = without(body, path)
            return normal(body)
        if kind == "form":
            names = {path[0] for path in self.ignored if len(path) == 1}
            return [part for part in body if part.get("name") not in names]
        return body


def rules_of(ignore: Sequence[str] = (), ignore_headers: Sequence[str] = ()) -> Rules:
    """Return the rules with more paths ignored and fewer headers looked at. Raises ValueError."""
    usual = Rules()
    paths = tuple(parse_path(text) for text in ignore)
    left_out = {name.strip().lower() for name in ignore_headers}
    return Rules(usual.ignored + paths, usual.headers - left_out)


def normal(value: Any) -> Any:
    """Return a JSON value whose whole numbers are all written alike."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: normal(one) for name, one in value.items()}
    if isinstance(value, list):
        return [normal(one) for one in value]
    return value


def key_of(comparable: JSON) -> bytes:
    """Return what is equal for equal requests."""
    text = json.dumps(comparable, sort_keys=True, separators=(",", ":"))
    return blake2b(text.encode(), digest_size=20).digest()


# ── what differs ─────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Difference:
    """One field that is not as it was recorded."""

    path: str
    recorded: Any
    got: Any

    def __str__(self) -> str:
        if self.got is _ABSENT:
            return f"{self.path}: recorded {_shown(self.recorded)}, missing now"
        if self.recorded is _ABSENT:
            return f"{self.path}: not in the recording, got {_shown(self.got)}"
        recorded, got = self.recorded, self.got
        if isinstance(recorded, str) and isinstance(got, str):
            start = _first_difference(recorded, got)
            return f"{self.path}: recorded {_shown(recorded, start)}, got {_shown(got, start)}"
        return f"{self.path}: recorded {_shown(recorded)}, got {_shown(got)}"


def differences(recorded: JSON, got: JSON, limit: int = MAX_DIFFERENCES) -> list[Difference]:
    """List what differs between two comparable requests, at most `limit` of it."""
    return list(islice(_differences("", recorded, got), limit))


def _differences(path: str, recorded: Any, got: Any) -> Iterator[Difference]:
    if isinstance(recorded, dict) and isinstance(got, dict):
        for name in [*recorded, *(name for name in got if name not in recorded)]:
            yield from _differences(_member(path, name), recorded.get(name, _ABSENT), got.get(name, _ABSENT))
    elif isinstance(recorded, list) and isinstance(got, list):
        for at in range(max(len(recorded), len(got))):
            one = recorded[at] if at < len(recorded) else _ABSENT
            other = got[at] if at < len(got) else _ABSENT
            yield from _differences(f"{path}[{at}]", one, other)
    elif recorded is not got and (type(recorded) is not type(got) or recorded != got):
        yield Difference(path, recorded, got)


def _member(path: str, name: str) -> str:
    if path == "json":  # a member of the body goes by its own name
        return name
    return f"{path}.{name}" if path else name


def _first_difference(one: str, other: str) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (left, right) in pairs if left != right), min(len(one), len(other)))


def _shown(value: Any, start: int = 0) -> str:
    if not isinstance(value, str):
        text = json.dumps(value, ensure_ascii=False)
        return text if len(text) <= MAX_VALUE_CHARS else text[:MAX_VALUE_CHARS] + "…"
    front = max(0, start - _LEAD_CHARS) if start > MAX_VALUE_CHARS // 2 else 0
    text = value[front : front + MAX_VALUE_CHARS]
    return repr(("…" if front else "") + text + ("…" if front + len(text) < len(value) else ""))


def told(found: Sequence[Difference]) -> str:
    """Say in words what differs."""
    shown = "; ".join(str(one) for one in found[:MAX_SHOWN])
    more = len(found) - MAX_SHOWN
    many = f"{more} or more" if len(found) >= MAX_DIFFERENCES else str(more)
    return shown + (f"; and {many} more" if more > 0 else "")
