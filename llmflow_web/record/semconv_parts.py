"""Messages of telemetry conventions → our messages: OpenTelemetry's parts, LangChain's classes, Vercel's content.

Pure. What has a shape of its own is turned into that of a chat and read by message_shapes, as bodies are; what nobody
knows becomes a `json` part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from llmflow_web.model import JSON
from llmflow_web.record.message_shapes import (
    answered_messages,
    asked_messages,
    items_of,
    json_part,
    message_of,
    text_part,
)
from llmflow_web.record.messages_anthropic import split_results
from llmflow_web.record.semconv_tables import finish_reason
from llmflow_web.record.semconv_values import as_text, parsed

_MAX_DEPTH = 6


def conversation(value: Any, role: str) -> list[JSON]:
    """Read what stands for messages in whatever shape; `role` is whose they are: user (asked) or assistant."""
    value = _unnested(parsed(value), 0)
    if value is None or value in ("", [], {}):
        return []
    if isinstance(value, str):
        return [message_of(role, [text_part(value)])]
    items = value if isinstance(value, list) else [value]
    if any(_is_semconv(item) for item in items):
        return [message for item in items for message in semconv_messages(item, role)]
    if isinstance(value, list) and any(isinstance(item, dict) and "parts" in item for item in items):
        return asked_messages({"contents": value}) if role == "user" else items_of(_chat_items(value), role)
    shaped = _chat_shaped(value)
    return asked_messages(shaped) if role == "user" else answered_messages(shaped, {})


def _unnested(value: Any, depth: int) -> Any:
    """Take a value out of what only wraps it: batches of one, and objects of a single known member."""
    if depth > _MAX_DEPTH:
        return value
    if isinstance(value, list) and value and all(isinstance(item, list) for item in value):
        return _unnested([item for inner in value for item in inner], depth + 1)
    if isinstance(value, dict) and len(value) == 1:
        ((name, inner),) = value.items()
        if name in _WRAPPINGS:
            return _unnested(inner, depth + 1)
    return value


_WRAPPINGS = frozenset(
    {"inputs", "outputs", "output", "result", "results", "answer", "value", "response", "kwargs", "question", "query",
     "content", "message", "return_value", "final_output"}
)  # fmt: skip


# ── OpenTelemetry, 1.37 and after ────────────────────────────────────────────────────────────────────────────────────


def _is_semconv(item: Any) -> bool:
    if not isinstance(item, dict) or not isinstance(item.get("parts"), list):
        return False
    return not item["parts"] or any(isinstance(part, dict) and "type" in part for part in item["parts"])


def semconv_messages(item: Any, default_role: str) -> list[JSON]:
    """Read {role, parts, name?, finish_reason?}; results of tools in a turn of the user become messages of the tool."""
    if not isinstance(item, dict) or not isinstance(item.get("parts"), list):
        return conversation(item, default_role)
    role = item.get("role")
    parts = [part_of(part) for part in item["parts"]]
    if parts and all(part["type"] == "tool_result" for part in parts):
        role = "tool"
    found = message_of(role if isinstance(role, str) else default_role, parts)
    if isinstance(item.get("name"), str):
        found["name"] = item["name"]
    if isinstance(item.get("finish_reason"), str):
        found["finish_reason"] = finish_reason(item["finish_reason"])
    return split_results(found)


def instructions(value: Any) -> list[JSON]:
    """Read gen_ai.system_instructions: a list of parts, or a text."""
    value = parsed(value)
    if isinstance(value, dict):
        value = value.get("parts", [value])
    parts = [part_of(part) for part in value] if isinstance(value, list) else [text_part(value)] if value else []
    return [message_of("system", parts)] if parts else []


def part_of(part: Any) -> JSON:
    """Read one part of a message."""
    if isinstance(part, str):
        return text_part(part)
    if not isinstance(part, dict):
        return json_part(part)
    kind = str(part.get("type") or part.get("kind") or "")
    read = _PARTS.get(kind)
    return (read(part) if read is not None else _pydantic_media(part, kind)) or json_part(part)


def _plain(part: JSON) -> JSON | None:
    text = part.get("content", part.get("text"))
    return text_part(text) if isinstance(text, str) else None


def _reasoning(part: JSON) -> JSON | None:
    text = part.get("content", part.get("text"))
    return {"type": "reasoning", "text": as_text(text)}


def _tool_call(part: JSON) -> JSON:
    inner = part.get("server_tool_call")
    given = part.get("arguments", part.get("args", inner))
    name = part.get("name") or (inner.get("type") if isinstance(inner, dict) else "")
    return {"type": "tool_call", "id": as_text(part.get("id")), "name": as_text(name), "arguments": as_text(given)}


def _tool_response(part: JSON) -> JSON:
    members = ("response", "result", "server_tool_call_response", "content")
    given = next((part[name] for name in members if part.get(name) is not None), None)
    return {"type": "tool_result", "id": as_text(part.get("id")), "content": as_text(given)}


def _blob(part: JSON) -> JSON | None:
    mime = str(part.get("mime_type") or part.get("media_type") or "")
    data = part.get("content", part.get("data"))
    if not isinstance(data, str):
        return None
    kind = _modality(part, mime)
    if kind == "audio":
        return {"type": "audio", "format": mime.rpartition("/")[2] or "wav", "data": data}
    url = f"data:{mime or 'application/octet-stream'};base64,{data}"
    return {"type": "image", "url": url} if kind == "image" else {"type": "file", "name": mime or "file", "url": url}


def _uri(part: JSON) -> JSON | None:
    uri = part.get("uri", part.get("url"))
    if not isinstance(uri, str):
        return None
    mime = str(part.get("mime_type") or "")
    kind = _modality(part, mime)
    if kind == "image":
        return {"type": "image", "url": uri}
    if kind == "audio":
        return {"type": "audio", "format": mime.rpartition("/")[2] or "wav", "url": uri}
    return {"type": "file", "name": uri.rpartition("/")[2][:120] or "file", "url": uri}


def _file(part: JSON) -> JSON | None:
    name = part.get("file_id") or part.get("filename") or part.get("name")
    return {"type": "file", "name": name} if isinstance(name, str) else None


def _modality(part: JSON, mime: str) -> str:
    told = part.get("modality")
    return told if isinstance(told, str) and told else mime.partition("/")[0]


def _pydantic_media(part: JSON, kind: str) -> JSON | None:
    """Read pydantic-ai's image-url, audio-url, video-url and document-url."""
    modality, _, ending = kind.partition("-")
    return _uri({"modality": modality, **part}) if ending == "url" else None


_PARTS: dict[str, Callable[[JSON], JSON | None]] = {
    "text": _plain,
    "input_text": _plain,
    "output_text": _plain,
    "reasoning": _reasoning,
    "thinking": _reasoning,
    "tool_call": _tool_call,
    "server_tool_call": _tool_call,
    "tool_call_response": _tool_response,
    "server_tool_call_response": _tool_response,
    "blob": _blob,
    "binary": _blob,
    "uri": _uri,
    "file": _file,
    "refusal": lambda part: {"type": "refusal", "text": as_text(part.get("content"))},
    "json": lambda part: json_part(part.get("content")),
}


# ── LangChain, Vercel, Bedrock: into the shape of a chat ─────────────────────────────────────────────────────────────

_ROLES = {
    "human": "user", "humanmessage": "user", "humanmessagechunk": "user",
    "ai": "assistant", "aimessage": "assistant", "aimessagechunk": "assistant", "model": "assistant",
    "system": "system", "systemmessage": "system", "systemmessagechunk": "system", "developer": "developer",
    "tool": "tool", "toolmessage": "tool", "toolmessagechunk": "tool",
    "function": "tool", "functionmessage": "tool", "chat": "user", "chatmessage": "user",
}  # fmt: skip


def _chat_shaped(value: Any) -> Any:
    if isinstance(value, list):
        return _chat_items(value)
    return _chat_object(value) if isinstance(value, dict) else value


def _chat_object(value: JSON) -> Any:
    if _is_langchain(value):
        return [chat_item(value)]
    if isinstance(value.get("generations"), list):
        return [_generation(one) for one in _leaves(value["generations"], 0)]
    for name in ("messages", "input", "prompt"):
        if isinstance(value.get(name), list):
            return {**value, name: _chat_items(_unnested(value[name], 0))}
    if "role" in value:
        return chat_item(value)
    return value


def _leaves(value: Any, depth: int) -> Iterator[JSON]:
    if isinstance(value, dict):
        yield value
    elif isinstance(value, list) and depth < _MAX_DEPTH:
        for item in value:
            yield from _leaves(item, depth + 1)


def _generation(one: JSON) -> JSON:
    """Read a generation of LangChain: a message, or a text."""
    message = one.get("message")
    if isinstance(message, dict):
        return chat_item(message)
    return {"role": "assistant", "content": as_text(one.get("text"))}


def _chat_items(items: list[Any]) -> list[Any]:
    return [chat_item(item) if isinstance(item, dict) else item for item in items]


def _is_langchain(item: JSON) -> bool:
    if item.get("lc") is not None and isinstance(item.get("kwargs"), dict):
        return True
    kind = item.get("type")
    return (
        isinstance(kind, str)
        and kind.lower() in _ROLES
        and "role" not in item
        and ("content" in item or "data" in item)
    )


def chat_item(item: JSON) -> JSON:
    """Return a message in the shape of a chat; one that is in it already, or no message, as it is."""
    if _is_langchain(item):
        return _langchain(item)
    if isinstance(item.get("content"), list):
        content = [_content_part(part) for part in item["content"]]
        # Vercel's and Bedrock's results name their call themselves; in a turn of the user they keep that name.
        has_results = any(isinstance(part, dict) and part.get("type") == "tool_result" for part in content)
        role = "user" if has_results and item.get("role") == "tool" else item.get("role")
        return {**item, "content": content, **({"role": role} if "role" in item else {})}
    return item


def _langchain(item: JSON) -> JSON:
    inner = item.get("kwargs", item.get("data", item))
    inner = inner if isinstance(inner, dict) else item
    ids = item.get("id")
    name = ids[-1] if isinstance(ids, list) and ids else item.get("type")
    found: JSON = {"role": _ROLES.get(str(inner.get("type") or name).lower()) or _ROLES.get(str(name).lower(), "user")}
    content = inner.get("content")
    found["content"] = [_content_part(part) for part in content] if isinstance(content, list) else content
    extra = inner.get("additional_kwargs")
    calls = inner.get("tool_calls") or (extra.get("tool_calls") if isinstance(extra, dict) else None)
    if isinstance(calls, list):
        found["tool_calls"] = [tool_call_of(call) for call in calls if isinstance(call, dict)]
        if isinstance(found["content"], list):  # Anthropic's blocks name the calls a second time
            found["content"] = [part for part in found["content"] if _kind(part) != "tool_use"]
    for member in ("tool_call_id", "name"):
        if isinstance(inner.get(member), str):
            found[member] = inner[member]
    return found


def _kind(part: Any) -> Any:
    return part.get("type") if isinstance(part, dict) else None


def tool_call_of(call: JSON) -> JSON:
    """Return a tool call as a chat has it, whatever its members are called."""
    inner = call.get("function")
    if isinstance(inner, dict):
        arguments = as_text(inner.get("arguments"))
        return {"id": as_text(call.get("id")), "function": {"name": as_text(inner.get("name")), "arguments": arguments}}
    given = next(
        (call[name] for name in ("arguments", "args", "input", "parameters") if call.get(name) is not None), ""
    )
    name = call.get("name") or call.get("toolName")
    found = {"name": as_text(name), "arguments": as_text(given)}
    return {"id": as_text(call.get("id") or call.get("toolCallId")), "function": found}


def _content_part(part: Any) -> Any:
    if not isinstance(part, dict):
        return part
    kind = part.get("type", part.get("kind"))
    if kind is None:
        return _bedrock_part(part)
    read = _CONTENT.get(str(kind))
    return read(part) if read is not None else part


def _bedrock_part(part: JSON) -> JSON:
    if isinstance(part.get("text"), str):
        return {"type": "text", "text": part["text"]}
    call = part.get("toolUse")
    if isinstance(call, dict):
        return {"type": "tool_use", "id": call.get("toolUseId"), "name": call.get("name"), "input": call.get("input")}
    result = part.get("toolResult")
    if isinstance(result, dict):
        return {
            "type": "tool_result",
            "tool_use_id": result.get("toolUseId"),
            "content": as_text(result.get("content")),
        }
    return part


def _vercel_call(part: JSON) -> JSON:
    given = part.get("input", part.get("args"))
    return {"type": "tool_use", "id": part.get("toolCallId"), "name": part.get("toolName"), "input": given}


def _vercel_result(part: JSON) -> JSON:
    given = part.get("output", part.get("result"))
    if isinstance(given, dict) and "value" in given and "type" in given:
        given = given["value"]
    return {"type": "tool_result", "tool_use_id": part.get("toolCallId"), "content": as_text(given)}


def _vercel_file(part: JSON) -> JSON:
    mime = str(part.get("mediaType") or part.get("mimeType") or "")
    data = part.get("image", part.get("data"))
    url = data if isinstance(data, str) else as_text(data)
    if not url.startswith(("http:", "https:", "data:")):
        url = f"data:{mime or 'image/png'};base64,{url}"
    if part.get("type") == "image" or mime.startswith("image/"):
        return {"type": "image_url", "image_url": {"url": url}}
    return {"type": "file", "file": {"filename": str(part.get("filename") or mime or "file"), "file_data": url}}


def _file_part(part: JSON) -> JSON:
    return _vercel_file(part) if "mediaType" in part or "mimeType" in part else part


def _image_part(part: JSON) -> JSON:
    return _vercel_file(part) if "image" in part else part


_CONTENT: dict[str, Callable[[JSON], JSON]] = {
    "tool-call": _vercel_call,
    "tool-result": _vercel_result,
    "image": _image_part,
    "file": _file_part,
    "reasoning": lambda part: {"type": "reasoning_text", "text": as_text(part.get("text"))},
    "image-url": lambda part: {"type": "image_url", "image_url": {"url": as_text(part.get("url"))}},
}
