"""A recorded call of any dialect → the chat.completions request that asks the same of another provider. Pure.

The messages come from `record/messages.py`, which reads every dialect; here they are written in OpenAI's words, and the
few parameters that all providers share with them. What has no place in a chat request is named, never dropped silently.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from llmflow_web.model import JSON

Say = Callable[[str], None]
"""Takes a sentence for the user."""

_PLAIN = ("temperature", "top_p", "seed", "stop", "max_tokens", "stream", "tools", "tool_choice", "presence_penalty",
          "frequency_penalty", "response_format", "user", "parallel_tool_calls", "max_completion_tokens",
          "reasoning_effort", "n")  # fmt: skip
# a dialect's name of it → OpenAI's; dots lead into objects
_NAMES: dict[str, str] = {
    "max_output_tokens": "max_completion_tokens", "reasoning.effort": "reasoning_effort",  # Responses
    "stop_sequences": "stop", "metadata.user_id": "user",  # Anthropic, Cohere
    "p": "top_p",  # Cohere
    "generationConfig.temperature": "temperature", "generationConfig.topP": "top_p",
    "generationConfig.maxOutputTokens": "max_tokens", "generationConfig.stopSequences": "stop",
    "generationConfig.seed": "seed",
    "options.temperature": "temperature", "options.top_p": "top_p", "options.num_predict": "max_tokens",
    "options.stop": "stop", "options.seed": "seed",  # Ollama
    "gen_ai.request.temperature": "temperature", "gen_ai.request.top_p": "top_p",
    "gen_ai.request.max_tokens": "max_tokens", "gen_ai.request.seed": "seed",
    "gen_ai.request.stop_sequences": "stop",
}  # fmt: skip
_CHOICES = {"any": "required", "auto": "auto", "none": "none"}
_MODES = {"ANY": "required", "AUTO": "auto", "NONE": "none"}
_QUIET = frozenset({"model", "messages", "system", "contents", "input", "instructions", "prompt", "systemInstruction",
                    "system_instruction", "generationConfig", "options", "metadata", "reasoning", "text", "toolConfig",
                    "stream_options", "store", "format"})  # fmt: skip


def chat_request(request: Mapping[str, Any], messages: Sequence[JSON], tools: Sequence[JSON], say: Say) -> JSON:
    """Write a chat.completions body, without `model`.

    request: the recorded native body, or the request attributes of a span. messages: its input, as the screen shows it.
    tools: those it was offered, where the body does not say. say: told what could not be taken along.
    """
    body: JSON = {"messages": chat_messages(messages, say)}
    for name in _PLAIN:
        if request.get(name) is not None:
            body[name] = request[name]
    for theirs, ours in _NAMES.items():
        value = _at(request, theirs)
        if value is not None:
            body.setdefault(ours, value)
    offered = function_tools(request.get("tools") or tools, say)
    body |= {"tools": offered} if offered else {}
    if not offered:
        body.pop("tools", None)
        body.pop("tool_choice", None)
    _set_choice(request, body)
    _set_format(request, body)
    left = [name for name in request if name not in _QUIET | set(_PLAIN) and not _is_taken(name)]
    if left:
        say(f"Not taken along: {', '.join(sorted(left)[:12])}.")
    return body


def _at(request: Mapping[str, Any], path: str) -> Any:
    if path in request:
        return request[path]
    head, dot, rest = path.partition(".")
    inner = request.get(head)
    return _at(inner, rest) if dot and isinstance(inner, Mapping) else None


def _is_taken(name: str) -> bool:
    return name in _NAMES or any(theirs.startswith(name + ".") for theirs in _NAMES) or name.startswith("gen_ai.")


# ── messages ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def chat_messages(messages: Sequence[JSON], say: Say) -> list[JSON]:
    """Write messages as chat.completions has them; results of tools become messages of their own."""
    found: list[JSON] = []
    for message in messages:
        found += _results(message)
        rest = [part for part in message["parts"] if part["type"] != "tool_result"]
        if rest or not message["parts"]:
            found.append(_message(message, rest, say))
    return [message for message in found if _says_something(message)]


def _results(message: JSON) -> list[JSON]:
    return [
        {
            "role": "tool",
            "tool_call_id": part.get("id") or message.get("tool_call_id") or "",
            "content": part["content"],
        }
        for part in message["parts"]
        if part["type"] == "tool_result"
    ]


def _message(message: JSON, parts: Sequence[JSON], say: Say) -> JSON:
    role = "system" if message["role"] == "developer" else message["role"]
    content = [made for part in parts if (made := _content(part, say)) is not None]
    written: JSON = {"role": role, "content": _plain(content)}
    if role == "tool":
        return {**written, "content": _text_of(content), "tool_call_id": message.get("tool_call_id") or ""}
    calls = [_call(part) for part in parts if part["type"] == "tool_call"]
    if calls:
        written |= {"content": written["content"] or None, "tool_calls": calls}
    return written | ({"name": message["name"]} if message.get("name") and role == "user" else {})


def _says_something(message: JSON) -> bool:
    return bool(message.get("content") or message.get("tool_calls") or message["role"] == "tool")


def _plain(content: Sequence[JSON]) -> Any:
    """Write content that is text alone as a string."""
    return _text_of(content) if all(part["type"] == "text" for part in content) else list(content)


def _text_of(content: Sequence[JSON]) -> str:
    return "\n".join(part["text"] for part in content if part["type"] == "text")


def _call(part: JSON) -> JSON:
    function = {"name": part["name"], "arguments": part["arguments"] or "{}"}
    return {"id": part.get("id") or part["name"], "type": "function", "function": function}


def _content(part: JSON, say: Say) -> JSON | None:
    kind = part["type"]
    if kind == "tool_call":
        return None
    write = _PARTS.get(kind)
    made = write(part) if write is not None else None
    if made is None:
        say(f"A part of a message was left out: {kind}.")
    return made


def _audio(part: JSON) -> JSON | None:
    if not isinstance(part.get("data"), str):
        return None
    return {"type": "input_audio", "input_audio": {"format": part.get("format") or "wav", "data": part["data"]}}


def _file(part: JSON) -> JSON | None:
    url = part.get("url")
    if not isinstance(url, str) or not url.startswith("data:"):
        return None
    return {"type": "file", "file": {"filename": part.get("name") or "file", "file_data": url}}


_PARTS: dict[str, Callable[[JSON], JSON | None]] = {
    "text": lambda part: {"type": "text", "text": part["text"]},
    "refusal": lambda part: {"type": "text", "text": part["text"]},
    "image": lambda part: {"type": "image_url", "image_url": {"url": part["url"]}} if part.get("url") else None,
    "audio": _audio,
    "file": _file,
    "json": lambda part: {"type": "text", "text": json.dumps(part["value"], ensure_ascii=False)},
}


# ── tools and formats ────────────────────────────────────────────────────────────────────────────────────────────────


def function_tools(tools: Any, say: Say) -> list[JSON]:
    """Write the functions among a dialect's tools as OpenAI's; those a provider runs itself are named and left out."""
    found: list[JSON] = []
    for tool in tools if isinstance(tools, (list, tuple)) else ():
        if not isinstance(tool, Mapping):
            continue
        declared = tool.get("functionDeclarations") or tool.get("function_declarations")
        if isinstance(declared, list):
            found += [_function(one) for one in declared if isinstance(one, Mapping)]
        elif isinstance(tool.get("function"), Mapping):
            found.append(_function(tool["function"]))
        elif isinstance(tool.get("name"), str) and _is_function(tool):
            found.append(_function(tool))
        else:
            say(f"A tool of the provider's own was left out: {tool.get('type') or ', '.join(tool)}.")
    return found


def _is_function(tool: Mapping[str, Any]) -> bool:
    return tool.get("type") in (None, "custom", "function")


def _function(told: Mapping[str, Any]) -> JSON:
    schema: Any = next(
        (told[name] for name in ("parameters", "input_schema", "parametersJsonSchema") if told.get(name)), {}
    )
    described = {"description": told["description"]} if isinstance(told.get("description"), str) else {}
    strict = {"strict": told["strict"]} if isinstance(told.get("strict"), bool) else {}
    parameters = _lower_types(schema) if isinstance(schema, Mapping) else {}
    return {"type": "function", "function": {"name": told["name"], **described, "parameters": parameters, **strict}}


def _lower_types(schema: Any) -> Any:
    """Write the types of a schema as JSON Schema has them; Gemini says STRING."""
    if isinstance(schema, Mapping):
        return {
            name: value.lower() if name == "type" and isinstance(value, str) else _lower_types(value)
            for name, value in schema.items()
        }
    return [_lower_types(one) for one in schema] if isinstance(schema, list) else schema


def _set_choice(request: Mapping[str, Any], body: JSON) -> None:
    choice = request.get("tool_choice")
    if isinstance(choice, Mapping):
        name = choice.get("name")
        kind = str(choice.get("type"))
        if kind in _CHOICES:
            body["tool_choice"] = _CHOICES[kind]
        elif isinstance(name, str):
            body["tool_choice"] = {"type": "function", "function": {"name": name}}
    elif isinstance(choice, str):
        body["tool_choice"] = {"REQUIRED": "required", "NONE": "none"}.get(choice, choice)  # Cohere's are capital
    mode = _at(request, "toolConfig.functionCallingConfig.mode")
    if mode in _MODES:
        body["tool_choice"] = _MODES[mode]
    if "tools" not in body:
        body.pop("tool_choice", None)


def _set_format(request: Mapping[str, Any], body: JSON) -> None:
    """Ask for JSON where the recorded call did, in the words of Responses, Gemini or Ollama."""
    told = _at(request, "text.format")
    schema = _at(request, "generationConfig.responseSchema") or _at(request, "generationConfig.responseJsonSchema")
    if isinstance(told, Mapping) and told.get("type") == "json_schema":
        inner = {name: told[name] for name in ("name", "schema", "strict", "description") if name in told}
        body["response_format"] = {"type": "json_schema", "json_schema": inner}
    elif isinstance(schema, Mapping):
        inner = {"name": "answer", "schema": _lower_types(schema)}
        body["response_format"] = {"type": "json_schema", "json_schema": inner}
    elif isinstance(request.get("format"), Mapping):
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": request["format"]},
        }
    elif (
        (isinstance(told, Mapping) and told.get("type") == "json_object")
        or request.get("format") == "json"
        or _at(request, "generationConfig.responseMimeType") == "application/json"
    ):
        body["response_format"] = {"type": "json_object"}
