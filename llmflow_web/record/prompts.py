"""Which prompt a call was made from, where it does not say so itself: a fingerprint of what stays the same. Pure.

The basis is the system message in whatever place a dialect has for it, else the first paragraph of the first message.
What changes from call to call (words with a digit in them, dates, addresses, of a user also what is quoted) is left out
of it. `key` names the prompt: how its basis begins. `version` names its wording: all of it. So an edit further down is
a new version of the prompt.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from llmflow_web.model import JSON, PART_INPUT, PART_REQUEST, Body, Span
from llmflow_web.record.labels import Labels
from llmflow_web.record.messages import messages_of

MAX_BASIS_CHARS = 64 * 1024
MAX_ASKED_CHARS = 4096
"""Of what a user says, which is another text each time, so much is looked at."""

MAX_TOLD_BYTES = 256 * 1024
"""A longer input of a span of others is not read for its prompt."""

KEY_WORDS = 8
"""So many words at its beginning make two wordings the same prompt."""

KEY_MARK = "~"
"""Before a key, so that it is never taken for a name."""

_FIRST_PLACES = ("system", "systemInstruction", "system_instruction", "instructions", "preamble")
_OPERATIONS = frozenset({"chat", "text_completion"})
_LISTS = ("messages", "input", "contents", "chat_history")
_SYSTEM_ROLES = frozenset({"system", "developer", "SYSTEM"})
_VOLATILE = re.compile(r"[\d@]|://")
_TIMES = frozenset({
    "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday", "Mon", "Tue", "Wed", "Thu", "Fri",
    "Sat", "Sun", "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December", "Jan", "Feb", "Mar", "Apr", "Jun", "Jul", "Aug", "Sep", "Sept", "Oct", "Nov", "Dec",
})  # fmt: skip
_QUOTED = re.compile(r"\"[^\"]*\"?|“[^“”]*”|```.*?(?:```|$)|<([\w-]+)>[^<]*</\1>", re.DOTALL)
_QUOTES = re.compile(r"[\"“`<]")
_MAX_WORDS_KNOWN = 20_000
_MAX_WORD_CHARS = 32


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What stays the same of a prompt."""

    key: str  # the prompt
    version: str  # its wording


def name_prompt(span: Span, labels: Labels, request: Mapping[str, Any], *, is_kept: bool) -> None:
    """Say which prompt a call was made from: as its headers name it, as the Responses API stores it, and by its text.

    is_kept: whether the text itself is stored. Where it is not, there is no fingerprint of it either: a short text can
    be found from its fingerprint by trying.
    """
    stored = request.get("prompt")
    stored = stored if isinstance(stored, dict) else {}
    span.prompt_name = labels.prompt_name or _label(stored.get("id"))
    span.prompt_version = labels.prompt_version or _label(stored.get("version"))
    if is_kept and span.operation in _OPERATIONS:
        _set(span, fingerprint(request))


def tell_prompt(span: Span, bodies: Sequence[Body]) -> None:
    """Set the fingerprint of a model's call that others tell of, from what it was asked, where that is one part."""
    is_prompted = span.span_type == "llm" and (span.operation is None or span.operation in _OPERATIONS)
    if not is_prompted or span.prompt_key is not None:
        return
    body = next((one for one in bodies if one.part in (PART_REQUEST, PART_INPUT)), None)
    if body is None or body.is_raw or body.is_cut or len(body.data) > MAX_TOLD_BYTES:
        return
    _set(span, fingerprint(_request_in(body.data)))


def _set(span: Span, found: Fingerprint | None) -> None:
    if found is not None:
        span.prompt_key, span.prompt_hash = found.key, found.version


def _label(value: Any) -> str | None:
    return value[:256] if isinstance(value, str) and value else None


def fingerprint(request: Mapping[str, Any]) -> Fingerprint | None:
    """Return the fingerprint of a request of any dialect; None where it holds no text to take one of."""
    found = basis_of(request)
    if found is None:
        return None
    text, is_system = found
    return _of_system(text) if is_system else _of_stable(stable_text(text, is_system=False))


@lru_cache(maxsize=64)
def _of_system(text: str) -> Fingerprint | None:
    """Return the fingerprint of a system message, which is the same in call after call."""
    return _of_stable(stable_text(text, is_system=True))


def _of_stable(stable: str) -> Fingerprint | None:
    if not stable:
        return None
    head = " ".join(stable.split(" ", KEY_WORDS)[:KEY_WORDS])
    return Fingerprint(KEY_MARK + _digest(head), _digest(stable))


def basis_of(request: Mapping[str, Any]) -> tuple[str, bool] | None:
    """Return the text that a fingerprint is of, and whether it is a system message."""
    for name in _FIRST_PLACES:
        if name in request and (text := _text(request[name])):
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
        if not isinstance(message, dict):  # of what was JSON: no other mapping can be there
            continue
        content = message.get("content")
        text = content if type(content) is str else _text(message)
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
    if isinstance(value, dict):
        for name in ("text", "content", "parts"):
            text = _text(value[name], depth + 1) if name in value else ""
            if text:
                return text
        return ""
    if isinstance(value, list):
        return "\n".join(text for one in value if (text := _text(one, depth + 1)))
    return ""


def stable_text(text: str, *, is_system: bool) -> str:
    """Leave out what changes from call to call. Of a user's message also what is quoted, which fills a template."""
    if not is_system:
        text = text[:MAX_ASKED_CHARS].lstrip().replace("\r", "").partition("\n\n")[0]
        if _QUOTES.search(text):
            text = _QUOTED.sub("…", text)
    if len(_words) > _MAX_WORDS_KNOWN:
        _words.clear()
    return " ".join(map(_words.__getitem__, text.split()))


class _Words(dict[str, str]):
    """Each word as it stands in what stays the same. Most are looked up: a text is made of few different ones."""

    def __missing__(self, word: str) -> str:
        is_volatile = _VOLATILE.search(word) is not None or word.strip(",.;:()[]") in _TIMES
        stable = "#" if is_volatile else word
        if len(word) <= _MAX_WORD_CHARS:
            self[word] = stable
        return stable


_words = _Words()


def _digest(text: str) -> str:
    return blake2b(text.encode("utf-8", "replace"), digest_size=6).hexdigest()


def stored_basis(bodies: Mapping[int, bytes]) -> tuple[str, bool] | None:
    """Return the text that a stored call's prompt is told by, and whether it is a system message."""
    for part in (PART_REQUEST, PART_INPUT):
        found = basis_of(_request_in(bodies.get(part, b"")))
        if found is not None:
            return found
    said = messages_of(None, None, bodies)["input"]
    return basis_of({"messages": [{"role": one["role"], "content": one["parts"]} for one in said]})


def _request_in(data: bytes) -> JSON:
    """Return what was asked as one object: a list is taken for messages, a text for the prompt."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    if isinstance(value, (list, str)):
        return {"messages" if isinstance(value, list) else "prompt": value}
    return value if isinstance(value, dict) else {}
