"""OpenAI's requests → Cohere's: chat to /v2/chat, embeddings to /v2/embed, the listing of models.

v2 as of cohere-python 7.3. What Cohere has no place for is listed in `Outgoing.ignored`; what would change the
answer's meaning is refused with the field's name. Cohere's own fields (documents, k, safety_mode …) pass where a client
sends them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from llmflow_web.model import JSON
from llmflow_web.provider import Outgoing, Target

from .completion import as_text, text_or_none
from .shapes import (
    body_bytes,
    ignored_fields,
    impossible,
    max_tokens_of,
    objects,
    parts_of,
    refuse_choices,
    stops_of,
    tool_choice_of,
    tools_of,
)
from .usage import member

MAX_STOPS = 5
DEFAULT_INPUT_TYPE = "search_document"
"""v3 and newer models refuse an embedding without its purpose; documents are what most callers embed."""

PASSED = (
    "model",
    "stream",
    "seed",
    "logprobs",
    "documents",
    "citation_options",
    "safety_mode",
    "strict_tools",
    "k",
    "p",
    "stop_sequences",
    "thinking",
    "priority",
)
"""Fields that mean the same to Cohere, its own among them."""

MAPPED = (
    "messages",
    "tools",
    "functions",
    "tool_choice",
    "function_call",
    "response_format",
    "max_tokens",
    "max_completion_tokens",
    "stop",
    "temperature",
    "top_p",
    "top_k",
    "frequency_penalty",
    "presence_penalty",
    "reasoning_effort",
    "stream_options",
    "n",
    "modalities",
    "audio",
)
# OpenAI's name → Cohere's name and range; what lies outside is moved to the nearest bound and reported
_RANGES: dict[str, tuple[str, float, float]] = {
    "temperature": ("temperature", 0.0, 1.0),
    "top_p": ("p", 0.01, 0.99),
    "frequency_penalty": ("frequency_penalty", 0.0, 1.0),
    "presence_penalty": ("presence_penalty", 0.0, 1.0),
}
_HEADERS = (("content-type", "application/json"),)
_DETAILS = frozenset({"auto", "low", "high"})


def chat_request(request: JSON, target: Target) -> Outgoing:
    """Translate a chat completion. Raises BadRequest."""
    del target
    refuse_choices(request, "Cohere")
    modalities = request.get("modalities")
    if request.get("audio") or (isinstance(modalities, list) and "audio" in modalities):
        raise impossible("modalities", "Cohere's chat answers in text only")
    ignored = ignored_fields(request, (*PASSED, *MAPPED))
    if request.get("parallel_tool_calls") is False and request.get("tools"):
        ignored.append("parallel_tool_calls")
    body = {name: request[name] for name in PASSED if request.get(name) is not None}
    body["messages"] = _Messages(ignored).translate(request.get("messages"))
    _add_tools(body, request)
    _add_limits(body, request, ignored)
    _add_format(body, request)
    return Outgoing("POST", "/v2/chat", _HEADERS, body_bytes(body), tuple(dict.fromkeys(ignored)))


# ── messages ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Messages:
    """Translates a conversation; old function calls, which have no ids, are given some."""

    def __init__(self, ignored: list[str]) -> None:
        self._ignored = ignored
        self._last_call = ""  # the id an old function's result belongs to
        self._roles: dict[str, Callable[[JSON, str], JSON]] = {
            "system": self._system,
            "developer": self._system,
            "user": self._user,
            "assistant": self._assistant,
            "tool": self._tool,
            "function": self._tool,
        }

    def translate(self, messages: Any) -> list[JSON]:
        """Return Cohere's messages."""
        if not isinstance(messages, list) or not messages:
            raise impossible("messages", "a list of at least one message is needed")
        found: list[JSON] = []
        for index, message in enumerate(messages):
            where = f"messages[{index}]"
            make = self._roles.get(str(message.get("role"))) if isinstance(message, dict) else None
            if make is None:
                raise impossible(f"{where}.role", "it is not one of system, developer, user, assistant, tool, function")
            if message.get("name") and message["role"] != "function":
                self._ignored.append("messages.name")
            found.append(make(message, where))
        return found

    def _system(self, message: JSON, where: str) -> JSON:
        return {"role": "system", "content": _content(message, where, ())}

    def _user(self, message: JSON, where: str) -> JSON:
        return {"role": "user", "content": _content(message, where, ("image_url",))}

    def _assistant(self, message: JSON, where: str) -> JSON:
        made: JSON = {"role": "assistant"}
        content = _content(message, where, ("thinking",))
        calls = self._calls(message, where)
        thought = text_or_none(message.get("reasoning_content")) or text_or_none(message.get("reasoning"))
        if calls:
            made["tool_calls"] = calls
            if thought:
                made["tool_plan"] = thought
        elif thought:
            parts = [{"type": "text", "text": content}] if isinstance(content, str) and content else content or []
            content = [{"type": "thinking", "thinking": thought}, *parts]
        if content or not calls:
            made["content"] = content
        if message.get("audio"):
            self._ignored.append("messages.audio")
        return made

    def _calls(self, message: JSON, where: str) -> list[JSON]:
        found = objects(message.get("tool_calls"))
        old = message.get("function_call")
        if isinstance(old, dict) and not found:
            self._last_call = f"call_{where[9:-1]}"
            found = [{"id": self._last_call, "function": old}]
        return [_call(call, f"call_{where[9:-1]}_{number}") for number, call in enumerate(found)]

    def _tool(self, message: JSON, where: str) -> JSON:
        call_id = text_or_none(message.get("tool_call_id"))
        if call_id is None and message["role"] == "function":
            call_id = self._last_call
        if not call_id:
            raise impossible(f"{where}.tool_call_id", "the call this is the result of must be named")
        return {"role": "tool", "tool_call_id": call_id, "content": _content(message, where, ("document",))}


def _call(call: JSON, otherwise: str) -> JSON:
    """Return one tool call of the past; a custom tool's input becomes the argument of its stand-in."""
    custom = member(call, "custom")
    function = member(call, "function") or {"name": custom.get("name"), "arguments": _wrapped(custom.get("input"))}
    return {
        "id": text_or_none(call.get("id")) or otherwise,
        "type": "function",
        "function": {
            "name": text_or_none(function.get("name")) or "",
            "arguments": as_text(function.get("arguments")) or "{}",
        },
    }


def _wrapped(text: Any) -> str:
    return json.dumps({"input": as_text(text)}, ensure_ascii=False)


def _content(message: JSON, where: str, kinds: Sequence[str]) -> str | list[JSON]:
    """Return a message's content: a string stays one, parts are checked one by one."""
    content = message.get("content")
    if content is None or isinstance(content, str):
        return content or ""
    return [
        _part(part, f"{where}.content[{number}]", message["role"], kinds)
        for number, part in enumerate(parts_of(content))
    ]


def _part(part: Any, where: str, role: str, kinds: Sequence[str]) -> JSON:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind in ("text", "refusal"):
        return {"type": "text", "text": as_text(part.get(kind))}
    if kind not in kinds:
        raise impossible(where, f"Cohere takes no {kind or 'such'} part in a message of role {role}")
    return {"type": "image_url", "image_url": _image(part, where)} if kind == "image_url" else dict(part)


def _image(part: JSON, where: str) -> JSON:
    image = part.get("image_url")
    url = image.get("url") if isinstance(image, dict) else image
    if not isinstance(url, str) or not url:
        raise impossible(f"{where}.image_url", "it names no url")
    detail = image.get("detail") if isinstance(image, dict) else None
    return {"url": url, "detail": detail} if detail in _DETAILS else {"url": url}


# ── tools, limits, format ────────────────────────────────────────────────────────────────────────────────────────────


def _add_tools(body: JSON, request: JSON) -> None:
    """Add tools and the choice among them: Cohere knows REQUIRED and NONE, a named one is required of a list of one."""
    tools = tools_of(request)
    if not tools:
        return
    choice = tool_choice_of(request)
    allowed = (choice.name,) if choice.name else choice.allowed
    made = [_tool(tool, f"tools[{number}]") for number, tool in enumerate(tools)]
    if allowed is not None:
        made = [tool for tool in made if tool["function"]["name"] in allowed]
        if not made:
            raise impossible("tool_choice", "it names a function that is not among the tools")
    body["tools"] = made
    if choice.mode in ("required", "none"):
        body["tool_choice"] = choice.mode.upper()
    if any(member(tool, "function").get("strict") is True for tool in tools):
        body.setdefault("strict_tools", True)


def _tool(tool: JSON, where: str) -> JSON:
    function = member(tool, "function")
    name = text_or_none(function.get("name"))
    if name is None:
        raise impossible(where, "Cohere takes function tools with a name only")
    made: JSON = {"name": name}
    if isinstance(function.get("description"), str):
        made["description"] = function["description"]
    parameters = function.get("parameters")
    made["parameters"] = parameters if isinstance(parameters, dict) else {"type": "object", "properties": {}}
    return {"type": "function", "function": made}


def _add_limits(body: JSON, request: JSON, ignored: list[str]) -> None:
    limit = max_tokens_of(request)
    if limit is not None:
        body["max_tokens"] = limit
    stops = stops_of(request)
    if len(stops) > MAX_STOPS:
        raise impossible("stop", f"Cohere takes at most {MAX_STOPS} stop sequences")
    if stops:
        body["stop_sequences"] = stops
    if request.get("top_k") is not None:
        body.setdefault("k", request["top_k"])
    for name, (native, low, high) in _RANGES.items():
        value = request.get(name)
        if isinstance(value, (int, float)) and not (name == "top_p" and value >= 1):  # 1 = no limit, as if not sent
            body.setdefault(native, min(max(value, low), high))
            if not low <= value <= high:
                ignored.append(f"{name} above {high:g}" if value > high else f"{name} below {low:g}")


def _add_format(body: JSON, request: JSON) -> None:
    """Add the answer's format and whether the model shall think."""
    asked = member(request, "response_format")
    kind = asked.get("type")
    if kind == "json_object":
        schema = asked.get("json_schema", asked.get("schema"))
        body["response_format"] = {"type": kind, **({"json_schema": schema} if isinstance(schema, dict) else {})}
    elif kind == "json_schema":
        schema = member(asked, "json_schema").get("schema")
        if not isinstance(schema, dict):
            raise impossible("response_format.json_schema.schema", "a JSON schema is needed")
        body["response_format"] = {"type": "json_object", "json_schema": schema}
    elif kind not in (None, "text"):
        raise impossible("response_format.type", f"{kind!r} is not one of text, json_object, json_schema")
    effort = request.get("reasoning_effort")
    if effort is not None:
        body.setdefault("thinking", {"type": "disabled" if effort == "none" else "enabled"})


# ── embeddings and models ────────────────────────────────────────────────────────────────────────────────────────────

_EMBED_KNOWN = ("model", "input", "dimensions", "encoding_format", "input_type", "truncate")


def embed_request(request: JSON, target: Target) -> Outgoing:
    """Translate an embeddings call. Raises BadRequest: Cohere takes texts, not token numbers."""
    del target
    texts = request.get("input")
    texts = [texts] if isinstance(texts, str) else texts
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise impossible("input", "Cohere embeds a text or a list of texts")
    body: JSON = {
        **({"model": request["model"]} if request.get("model") is not None else {}),
        "input_type": request.get("input_type") or DEFAULT_INPUT_TYPE,
        "texts": texts,
        "embedding_types": ["float"],  # base64 is made of these where the client wants it
    }
    if request.get("dimensions") is not None:
        body["output_dimension"] = request["dimensions"]
    if request.get("truncate") is not None:
        body["truncate"] = request["truncate"]
    return Outgoing("POST", "/v2/embed", _HEADERS, body_bytes(body), tuple(ignored_fields(request, _EMBED_KNOWN)))


def models_request(request: JSON, target: Target) -> Outgoing:
    """Ask for all models at once."""
    del request, target
    return Outgoing("GET", "/v1/models?page_size=1000", (), b"")


__all__ = ["MAPPED", "PASSED", "chat_request", "embed_request", "models_request"]
