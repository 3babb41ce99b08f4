"""Which prompt a call was made from, where it does not say so itself: a fingerprint of what stays the same. Pure.

The basis is the system message in whatever place a dialect has for it, else the first message of the user. What changes
from call to call (numbers, dates, ids, addresses, quoted texts of a user) is left out of it. `key` names the prompt:
how its basis begins. `version` names its wording: all of it. So an edit further down is a new version of the prompt.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

MAX_BASIS_CHARS = 64 * 1024
KEY_WORDS = 8
"""So many words at its beginning make two wordings the same prompt."""

KEY_MARK = "~"
"""Before a key, so that it is never taken for a name."""

_FIRST_PLACES = ("system", "systemInstruction", "system_instruction", "instructions", "preamble")
_LISTS = ("messages", "input", "contents", "chat_history")
_SYSTEM_ROLES = frozenset({"system", "developer", "SYSTEM"})
_VOLATILE = re.compile(
    r"\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b"  # UUIDs
    r"|\bhttps?://\S+|\b[\w.+-]+@[\w-]+\.[\w.]+"
    r"|\b(?:Mon|Tues?|Wednes|Thurs?|Fri|Satur|Sun)day\b"
    r"|\b(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sep(?:t(?:ember)?)?|Oct(?:ober)?"
    r"|Nov(?:ember)?|Dec(?:ember)?)\.?(?=\s+\d)"
    r"|\b(?=\w*\d)\w{12,}\b|\d+(?:[.,:/-]\d+)*(?:st|nd|rd|th)?"
)
_QUOTED = re.compile(r"\"[^\"]*\"|“[^”]*”|```.*?```|<([\w-]+)>.*?</\1>", re.DOTALL)
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What stays the same of a prompt."""

    key: str  # the prompt
    version: str  # its wording


def fingerprint(request: Mapping[str, Any]) -> Fingerprint | None:
    """Return the fingerprint of a request of any dialect; None where it holds no text to take one of."""
    found = basis_of(request)
    if found is None:
        return None
    text, is_system = found
    stable = stable_text(text, is_system=is_system)
    if not stable:
        return None
    head = " ".join(stable.split(" ", KEY_WORDS)[:KEY_WORDS])
    return Fingerprint(KEY_MARK + _digest(head), _digest(stable))


def basis_of(request: Mapping[str, Any]) -> tuple[str, bool] | None:
    """Return the text that a fingerprint is of, and whether it is a system message."""
    for name in _FIRST_PLACES:
        text = _text(request.get(name))
        if text:
            return text[:MAX_BASIS_CHARS], True
    messages = next((request[name] for name in _LISTS if isinstance(request.get(name), list)), None)
    if messages is not None:
        return _basis_of_messages(messages)
    for name in ("prompt", "message", "input"):
        text = _text(request.get(name))
        if text:
            return text[:MAX_BASIS_CHARS], False
    return None


def _basis_of_messages(messages: Sequence[Any]) -> tuple[str, bool] | None:
    first: str | None = None
    for message in messages[:8]:  # a system message stands at the beginning
        if not isinstance(message, Mapping):
            continue
        text = _text(message)
        if text and str(message.get("role")) in _SYSTEM_ROLES:
            return text[:MAX_BASIS_CHARS], True
        first = first or text
    return (first[:MAX_BASIS_CHARS], False) if first else None


def _text(value: Any, depth: int = 0) -> str:
    """Return the texts of a message, a content or a list of parts, one under the other."""
    if isinstance(value, str):
        return value
    if depth > 4:
        return ""
    if isinstance(value, Mapping):
        return next((text for name in ("text", "content", "parts") if (text := _text(value.get(name), depth + 1))), "")
    if isinstance(value, list):
        return "\n".join(text for one in value if (text := _text(one, depth + 1)))
    return ""


def stable_text(text: str, *, is_system: bool) -> str:
    """Leave out what changes from call to call. Of a user's message also what is quoted, which fills a template."""
    if not is_system:
        text = _QUOTED.sub("…", text)
    return _SPACE.sub(" ", _VOLATILE.sub("#", text)).strip()


def _digest(text: str) -> str:
    return blake2b(text.encode("utf-8", "replace"), digest_size=6).hexdigest()
