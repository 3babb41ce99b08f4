"""OpenAI's shapes, for adapters that translate: reading a client's request, making answers, chunks and errors.

`created` is 0 in what is made here: pure code has no clock, whoever sends it puts the time in.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from llmflow_web.errors import BadRequest
from llmflow_web.model import JSON, Completion, Usage
from llmflow_web.provider import Event, StreamTranslator

from .openai_stream import OpenAIStream
from .usage import count

_FEATURELESS: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "modalities": (["text"],),
    "verbosity": ("medium",),
    "parallel_tool_calls": (True,),
}
"""Values that ask for what happens anyway."""

MAX_NAME_CHARS = 64
_UNSPEAKABLE = re.compile(r"[^A-Za-z0-9_.-]")  # names of fields are told in a header


# ── the request ──────────────────────────────────────────────────────────────────────────────────────────────────────


def impossible(field: str, why: str) -> BadRequest:
    """Return the error for a field that asks for what the provider cannot do."""
    return BadRequest(f"{field}: {why}", field)


def body_bytes(body: JSON) -> bytes:
    """Write a request body; lone surrogates, which some clients send, are kept as they are escaped."""
    try:
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(body, separators=(",", ":")).encode()


def objects(value: Any) -> list[JSON]:
    """Return the objects in a list; anything else is none."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def parts_of(content: Any) -> list[JSON]:
    """Return a message's content as typed parts; a string is one text part."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if isinstance(content, list):
        return [{"type": "text", "text": part} if isinstance(part, str) else part for part in content if part]
    return []


def text_of(content: Any, separator: str = "") -> str:
    """Return the text of a content; refusals count, everything else is left out."""
    found = (part.get("text", part.get("refusal")) for part in parts_of(content) if isinstance(part, dict))
    return separator.join(text for text in found if isinstance(text, str))


def data_url(url: str) -> tuple[str, str] | None:
    """Split a data URL into (media type, base64); None for other URLs and for what is no base64."""
    head, comma, data = url.partition(",")
    if not comma or head[:5].lower() != "data:":
        return None
    words = head[5:].split(";")
    media_type = words[0].strip().lower() or "text/plain"
    if "base64" in (word.strip().lower() for word in words[1:]):
        data = "".join(data.split())
        try:
            binascii.a2b_base64(data)
        except (ValueError, binascii.Error):
            return None
        return media_type, data
    return media_type, base64.b64encode(unquote_to_bytes(data)).decode("ascii")


def arguments_object(arguments: Any) -> JSON:
    """Return the arguments of a tool call as an object; what is no object is kept under `_raw`."""
    if isinstance(arguments, dict):
        return arguments
    text = arguments if isinstance(arguments, str) else "" if arguments is None else json.dumps(arguments)
    if not text.strip():
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {"_raw": text}
    return found if isinstance(found, dict) else {"_raw": text}


def stops_of(request: JSON) -> list[str]:
    """List the stop sequences of a request."""
    stop = request.get("stop")
    if isinstance(stop, str):
        return [stop]
    return [item for item in stop if isinstance(item, str)] if isinstance(stop, list) else []


def max_tokens_of(request: JSON) -> int | None:
    """Return the limit for the answer, by whichever of its two names."""
    for name in ("max_completion_tokens", "max_tokens"):
        found = count(request.get(name))
        if found is not None:
            return found
    return None


def user_of(request: JSON) -> str | None:
    """Return who the call is made for."""
    metadata = request.get("metadata")
    named = metadata.get("user_id") if isinstance(metadata, dict) else None
    for value in (request.get("safety_identifier"), request.get("user"), named):
        if isinstance(value, str) and value:
            return value
    return None


def is_legacy(request: JSON) -> bool:
    """Say whether the client speaks of `functions`, the old twin of `tools`."""
    return not request.get("tools") and bool(request.get("functions"))


def tools_of(request: JSON) -> list[JSON]:
    """List a request's tools; old `functions` are tools too."""
    if is_legacy(request):
        return [{"type": "function", "function": item} for item in objects(request.get("functions"))]
    return objects(request.get("tools"))


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """What a request says about tool use. mode "" = nothing; `name` = exactly this one; `allowed` = only these."""

    mode: str = ""  # auto | none | required
    name: str | None = None
    allowed: tuple[str, ...] | None = None


def tool_choice_of(request: JSON) -> ToolChoice:
    """Read `tool_choice` in all its forms, and the old `function_call`."""
    given = request.get("function_call") if is_legacy(request) else request.get("tool_choice")
    if isinstance(given, str):
        if given in ("auto", "none", "required"):
            return ToolChoice(given)
        if given in ("any", "validated"):
            return ToolChoice("required")
        raise impossible("tool_choice", f"{given!r} is not one of auto, none, required")
    if not isinstance(given, dict):
        return ToolChoice()
    if given.get("type") == "allowed_tools" or "allowed_tools" in given:
        inner = given.get("allowed_tools")
        inner = inner if isinstance(inner, dict) else given
        names = tuple(name for name in map(_tool_name, objects(inner.get("tools"))) if name)
        return ToolChoice("required" if inner.get("mode") == "required" else "auto", allowed=names)
    name = _tool_name(given)
    if not name:
        raise impossible("tool_choice", "it names no function")
    return ToolChoice("required", name)


def _tool_name(tool: JSON) -> str:
    for source in (tool.get("function"), tool.get("custom"), tool):
        if isinstance(source, dict) and isinstance(source.get("name"), str):
            return str(source["name"])
    return ""


def refuse_choices(request: JSON, title: str) -> None:
    """Refuse n > 1 for a provider that gives one answer per call."""
    n = request.get("n")
    if n is not None and n != 1:
        raise impossible("n", f"{title} gives one answer per request, n = {n} is not possible")


def ignored_fields(request: JSON, known: Iterable[str]) -> list[str]:
    """List the fields a client set to something that matters and that are not among the `known` ones."""
    names = frozenset(known)
    return [
        _UNSPEAKABLE.sub("?", name[:MAX_NAME_CHARS])
        for name, value in request.items()
        if name not in names and value and not any(value == quiet for quiet in _FEATURELESS.get(name, ()))
    ]


def wants_usage(request: JSON) -> bool:
    """Say whether the client asked for a chunk with usage."""
    options = request.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True


# ── the answer ───────────────────────────────────────────────────────────────────────────────────────────────────────


def tool_call(call_id: str, name: str, arguments: str) -> JSON:
    """Return one tool call of a message."""
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def message(
    text: str,
    *,
    tool_calls: Sequence[JSON] = (),
    reasoning: str = "",
    refusal: str | None = None,
    extra: JSON | None = None,
) -> JSON:
    """Return an assistant's message; its content is null where there are only tool calls or a refusal."""
    made: JSON = {"role": "assistant", "content": text, "refusal": refusal}
    if not text and (tool_calls or refusal):
        made["content"] = None
    if reasoning:
        made["reasoning_content"] = reasoning
    if tool_calls:
        made["tool_calls"] = list(tool_calls)
    return {**made, **(extra or {})}


def choice(made: JSON, finish_reason: str | None, *, index: int = 0, extra: JSON | None = None) -> JSON:
    """Return one choice of an answer. An answer that was never finished has stopped."""
    return {
        "index": index,
        "message": made,
        "logprobs": None,
        "finish_reason": finish_reason or "stop",
        **(extra or {}),
    }


def chat_completion(
    choices: Sequence[JSON],
    *,
    completion_id: str,
    model: str,
    usage: Usage | None = None,
    request: JSON | None = None,
    extra: JSON | None = None,
) -> JSON:
    """Return a chat.completion; a `request` with old `functions` gets the old `function_call` back."""
    body: JSON = {
        "id": completion_id,
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [_old_choice(one) for one in choices] if is_legacy(request or {}) else list(choices),
    }
    if usage is not None:
        body["usage"] = usage_body(usage)
    return {**body, **(extra or {})}


def _old_choice(given: JSON) -> JSON:
    finish_reason = given["finish_reason"]
    return {
        **given,
        "message": _old_calls(given["message"]),
        "finish_reason": "function_call" if finish_reason == "tool_calls" else finish_reason,
    }


def _old_calls(given: JSON) -> JSON:
    """Return a message or delta with `function_call` in place of `tool_calls`."""
    made = {name: value for name, value in given.items() if name != "tool_calls"}
    for call in given.get("tool_calls") or ():
        if not call.get("index"):
            made["function_call"] = call["function"]
            break
    return made


def usage_body(usage: Usage) -> JSON:
    """Return usage in OpenAI's shape."""
    prompt, completion = usage.prompt_tokens or 0, usage.completion_tokens or 0
    given = {"cached_tokens": usage.cached_tokens, "audio_tokens": usage.audio_input_tokens}
    if usage.cache_write_tokens:
        given |= {"cache_write_tokens": usage.cache_write_tokens, "cache_creation_tokens": usage.cache_write_tokens}
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion if usage.total_tokens is None else usage.total_tokens,
        "prompt_tokens_details": given,
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": usage.audio_output_tokens,
        },
    }


class Chunks:
    """Makes the chunks of one streamed answer: role first, then deltas, a finish per choice, usage where asked for."""

    def __init__(self, request: JSON) -> None:
        self.id = ""
        self.model = ""
        self._is_legacy = is_legacy(request)
        self._wants_usage = wants_usage(request)
        self._begun: set[int] = set()

    def begin(self, index: int = 0) -> list[JSON]:
        """Return the chunk that names the role, once per choice."""
        if index in self._begun:
            return []
        self._begun.add(index)
        return [self._chunk([self._choice({"role": "assistant", "content": ""}, index)])]

    def delta(self, fields: JSON, index: int = 0) -> list[JSON]:
        """Return the chunks that bring `fields`."""
        made = _old_calls(fields) if self._is_legacy else fields
        return [*self.begin(index), self._chunk([self._choice(made, index)])] if made else []

    def text(self, text: str, index: int = 0) -> list[JSON]:
        """Return the chunks that bring a piece of content; none for an empty piece."""
        return self.delta({"content": text}, index) if text else []

    def reasoning(self, text: str, index: int = 0) -> list[JSON]:
        """Return the chunks that bring a piece of reasoning; none for an empty piece."""
        return self.delta({"reasoning_content": text}, index) if text else []

    def call(self, number: int, call_id: str, name: str, arguments: str = "", index: int = 0) -> list[JSON]:
        """Return the chunks that open tool call `number`."""
        return self.delta({"tool_calls": [{"index": number, **tool_call(call_id, name, arguments)}]}, index)

    def arguments(self, number: int, piece: str, index: int = 0) -> list[JSON]:
        """Return the chunks that bring a piece of arguments; none for an empty piece."""
        return self.delta({"tool_calls": [{"index": number, "function": {"arguments": piece}}]}, index) if piece else []

    def finish(self, finish_reason: str | None, index: int = 0, extra: JSON | None = None) -> list[JSON]:
        """Return the chunks that end a choice."""
        reason = finish_reason or "stop"
        if self._is_legacy and reason == "tool_calls":
            reason = "function_call"
        return [*self.begin(index), self._chunk([{**self._choice({}, index, reason), **(extra or {})}])]

    def usage(self, usage: Usage | None, extra: JSON | None = None) -> list[JSON]:
        """Return the usage chunk, if the client asked for it."""
        if not self._wants_usage:
            return []
        return [{**self._chunk([]), "usage": usage_body(usage or Usage()), **(extra or {})}]

    def _choice(self, delta: JSON, index: int, finish_reason: str | None = None) -> JSON:
        return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}

    def _chunk(self, choices: list[JSON]) -> JSON:
        made: JSON = {
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": 0,
            "model": self.model,
            "choices": choices,
        }
        return {**made, "usage": None} if self._wants_usage else made


def error_envelope(message: str, kind: str, code: str | None = None, **more: Any) -> JSON:
    """Return an error in OpenAI's shape; also what an error inside a stream looks like."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code, **more}}


# ── either dialect ───────────────────────────────────────────────────────────────────────────────────────────────────


def is_openai_event(event: Event) -> bool:
    """Say whether an event is of OpenAI's dialect: a chunk, an unnamed error, or the end marker."""
    data = event.data
    if data.strip() == "[DONE]":
        return True
    if event.type not in ("message", "error") or ('"choices"' not in data and '"error"' not in data):
        return False
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return False
    return (
        isinstance(found, dict)
        and "type" not in found
        and (isinstance(found.get("choices"), list) or set(found) == {"error"})
    )


class EitherStream:
    """An observer for routes that carry both dialects: the first event with data says which one this is.

    A translated call is recorded as the client saw it, in OpenAI's chunks; a native one in the provider's events.
    """

    def __init__(self, operation: str, request: JSON, native: StreamTranslator) -> None:
        self._machine = native
        self._openai = OpenAIStream(operation, request)
        self._is_decided = False

    @property
    def count(self) -> int:
        """Events that carried data."""
        return self._machine.count

    @property
    def first_content(self) -> int | None:
        """The index of the first event that brought content."""
        return self._machine.first_content

    @property
    def is_complete(self) -> bool:
        """Say whether the dialect's terminal marker has come."""
        return self._machine.is_complete

    def feed(self, event: Event) -> list[JSON]:
        """Take one event."""
        if not self._is_decided and event.data:
            self._is_decided = True
            if is_openai_event(event):
                self._machine = self._openai
        return self._machine.feed(event)

    def finish(self) -> list[JSON]:
        """End the stream."""
        return self._machine.finish()

    @property
    def result(self) -> Completion:
        """The answer as far as it has come."""
        return self._machine.result
