"""JSON bodies of any dialect → messages for people, told by their shape: chat, responses, completions and the rest.

Pure. Compatible servers vary, so nothing here goes by names of providers; what is not understood becomes a `json` part.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from llmflow_web.model import JSON
from llmflow_web.record.messages_anthropic import parts_of_block, split_results
from llmflow_web.record.messages_gemini import answered_by_gemini, asked_of_gemini

_MAX_LISTED = 100  # inputs of an embeddings call that are shown one by one
_IMAGE_TYPES = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}


# ── what was asked ───────────────────────────────────────────────────────────────────────────────────────────────────


def asked_messages(source: Any) -> list[JSON]:
    """Read what was asked: a whole request, its messages, or a plain value."""
    if isinstance(source, dict):
        return asked_of_gemini(source) or _asked(source)
    if isinstance(source, list):
        return items_of(source, "user")
    return [] if source is None else [message_of("user", parts_of(source))]


def _asked(source: JSON) -> list[JSON]:
    if isinstance(source.get("messages"), list):
        return _system(source, "system") + items_of(source["messages"], "user")
    for name, before in (("input", "instructions"), ("prompt", "system"), ("texts", "")):  # texts: Cohere's embed
        if source.get(name) is not None:
            return _system(source, before) + _plain_or_items(source[name])
    if isinstance(source.get("query"), str) and isinstance(source.get("documents"), list):  # rerank
        return [message_of("user", parts_of(source["query"])), *_plain_or_items(source["documents"])]
    if isinstance(source.get("message"), str):  # Cohere v1
        return [
            *_system(source, "preamble"),
            *_history(source.get("chat_history")),
            *_plain_or_items(source["message"]),
        ]
    return [message_of("user", [json_part(source)])] if source else []


def _history(turns: Any) -> list[JSON]:
    """Read the turns of Cohere v1, whose roles are USER, CHATBOT, SYSTEM and TOOL."""
    found = [turn for turn in turns if isinstance(turn, dict)] if isinstance(turns, list) else []
    names = [str(turn.get("role")).lower() for turn in found]
    return items_of(
        [{**turn, "role": "assistant" if name == "chatbot" else name} for turn, name in zip(found, names, strict=True)],
        "user",
    )


def _system(source: JSON, name: str) -> list[JSON]:
    value = source.get(name)
    return [message_of("system", parts_of(value))] if value else []


def _plain_or_items(value: Any) -> list[JSON]:
    """Read `input` and `prompt`: a text, texts, token numbers, or items."""
    if not isinstance(value, list):
        return [message_of("user", parts_of(value))]
    if any(isinstance(item, dict) for item in value):
        return items_of(value, "user")
    shown = [text_part(item) if isinstance(item, str) else json_part(item) for item in value[:_MAX_LISTED]]
    if value and isinstance(value[0], int):  # one prompt as token numbers
        shown = [json_part(value)]
    if len(value) > _MAX_LISTED and not isinstance(value[0], int):
        shown.append(text_part(f"… and {len(value) - _MAX_LISTED} more"))
    return [message_of("user", shown)]


# ── what was answered ────────────────────────────────────────────────────────────────────────────────────────────────


def answered_messages(value: Any, request: JSON) -> list[JSON]:
    """Read what was answered: a whole body, its items, or a plain value. `request` says what it answers."""
    if isinstance(value, dict):
        return answered_by_gemini(value) or _answer(value, request)
    return items_of(value, "assistant") if isinstance(value, list) else [message_of("assistant", parts_of(value))]


def _answer(value: JSON, request: JSON) -> list[JSON]:
    if isinstance(value.get("choices"), list):
        return [_choice(choice) for choice in value["choices"] if isinstance(choice, dict)]
    if isinstance(value.get("output"), list):
        return items_of(value["output"], "assistant")
    if isinstance(value.get("data"), list):
        return [message_of("assistant", _data(value, request))]
    text = value.get("text", value.get("completion"))  # the latter is Anthropic's old way
    if isinstance(text, str):
        return [message_of("assistant", [text_part(text), *_calls(value)])]
    if "role" in value:
        return items_of([value], "assistant")
    return [_single(value)] if value else []


def _single(value: JSON) -> JSON:
    """Read answers that are one message: those of Cohere v2 and Ollama; what is none of them stays JSON."""
    reason = value.get("finish_reason") or value.get("done_reason")
    if isinstance(value.get("message"), dict):
        return _ended(chat_message(value["message"], "assistant"), reason)
    if isinstance(value.get("response"), str):
        return _ended(message_of("assistant", [*_reasoning(value), *parts_of(value["response"])]), reason)
    if isinstance(value.get("embeddings"), (list, dict)):
        return message_of("assistant", [_embedded(value["embeddings"])])
    return message_of("assistant", [json_part(value)])


def _choice(choice: JSON) -> JSON:
    message = choice.get("message")
    if isinstance(message, dict):
        found = chat_message(message, "assistant")
    else:
        found = message_of("assistant", parts_of(choice.get("text") or ""))
    return _ended(found, choice.get("finish_reason"))


def _ended(message: JSON, reason: Any) -> JSON:
    if reason:
        message["finish_reason"] = reason
    return message


def _embedded(found: list[Any] | JSON) -> JSON:
    """Count embeddings as Cohere (by type) and Ollama (a list) send them."""
    rows = next((rows for rows in found.values() if isinstance(rows, list)), []) if isinstance(found, dict) else found
    size = len(rows[0]) if rows and isinstance(rows[0], list) else 0
    return text_part(f"{len(rows)} embedding{'s' if len(rows) != 1 else ''} of {size} dimensions")


def _data(value: JSON, request: JSON) -> list[JSON]:
    """Read a list answer: images are shown, embeddings are counted, models and the like stay JSON."""
    rows = [row for row in value["data"] if isinstance(row, dict)]
    if rows and ("b64_json" in rows[0] or "url" in rows[0]):
        kind = str(value.get("output_format") or request.get("output_format") or "png")
        return [part for row in rows for part in _image_row(row, _IMAGE_TYPES.get(kind, "image/png"))]
    if rows and "embedding" in rows[0]:
        first = rows[0]["embedding"]
        # base64 of little-endian float32: 4 characters hold 3 bytes
        size = len(first) if isinstance(first, list) else len(first) * 3 // 16 if isinstance(first, str) else 0
        return [text_part(f"{len(rows)} embedding{'s' if len(rows) != 1 else ''} of {size} dimensions")]
    return [json_part(value)]


def _image_row(row: JSON, mime: str) -> Iterator[JSON]:
    url = row.get("url") or (f"data:{mime};base64,{row['b64_json']}" if row.get("b64_json") else None)
    if url:
        yield {"type": "image", "url": url}
    if row.get("revised_prompt"):
        yield text_part(str(row["revised_prompt"]))


# ── messages and items ───────────────────────────────────────────────────────────────────────────────────────────────


def message_of(role: str, parts: list[JSON]) -> JSON:
    """Make a message."""
    return {"role": role, "parts": parts}


def text_part(text: str) -> JSON:
    """Make a part of a text."""
    return {"type": "text", "text": text}


def json_part(value: Any) -> JSON:
    """Make a part of a value that is shown as it is."""
    return {"type": "json", "value": value}


def items_of(items: list[Any], role: str) -> list[JSON]:
    """Read messages, or items of the Responses API; `role` is whose they are where they do not say."""
    found: list[JSON] = []
    for item in items:
        if not isinstance(item, dict):
            found.append(message_of(role, parts_of(item)))
        elif "role" in item:
            found += split_results(chat_message(item, role))
        else:
            found.append(_response_item(item, role))
    return found


def chat_message(message: JSON, default_role: str) -> JSON:
    """Read one message of a chat."""
    role = message.get("role")
    role = role if isinstance(role, str) else default_role
    parts = _reasoning(message)
    if role in ("tool", "function"):
        result = {"type": "tool_result", "id": message.get("tool_call_id") or "", "content": _flat(message)}
        found = message_of("tool", [*parts, result])
    else:
        parts += parts_of(message.get("content", message.get("message")))
        parts += _images(message.get("images"))
        if isinstance(message.get("refusal"), str) and message["refusal"]:
            parts.append({"type": "refusal", "text": message["refusal"]})
        parts += _audio(message.get("audio"))
        parts += _calls(message)
        found = message_of(role, parts)
    for name, key in (("tool_name", "name"), ("name", "name"), ("tool_call_id", "tool_call_id")):
        if isinstance(message.get(name), str):  # tool_name is Ollama's
            found[key] = message[name]
    if isinstance(message.get("stop_reason"), str):  # Anthropic's answer is a message itself
        found["finish_reason"] = message["stop_reason"]
    return found


def _reasoning(message: JSON) -> list[JSON]:
    for name in ("reasoning_content", "reasoning", "thinking", "tool_plan"):
        value = message.get(name)
        if isinstance(value, str) and value:
            return [{"type": "reasoning", "text": value}]
    details = message.get("reasoning_details")
    if not isinstance(details, list):
        return []
    texts = [item.get("text") or item.get("summary") for item in details if isinstance(item, dict)]
    text = "".join(piece for piece in texts if isinstance(piece, str))
    return [{"type": "reasoning", "text": text}] if text else []


def _flat(message: JSON) -> str:
    """Return the content of a tool's message as one string."""
    return as_string(message.get("content"))


def as_string(content: Any) -> str:
    """Return a content as one text, a structured one as JSON."""
    if isinstance(content, str):
        return content
    if isinstance(content, list) and all(
        isinstance(part, dict) and isinstance(part.get("text"), str) for part in content
    ):
        return "\n".join(part["text"] for part in content)
    return "" if content is None else json.dumps(content, ensure_ascii=False)


def _audio(audio: Any) -> list[JSON]:
    if not isinstance(audio, dict):
        return []
    parts: list[JSON] = []
    if audio.get("transcript"):
        parts.append(text_part(str(audio["transcript"])))
    if audio.get("data"):
        parts.append({"type": "audio", "format": str(audio.get("format") or "wav"), "data": audio["data"]})
    return parts


def _images(images: Any) -> list[JSON]:
    """Show images beside a content: typed parts, or Ollama's base64 without a word of what it is."""
    found = images if isinstance(images, list) else []
    parts = [_part(image) for image in found if isinstance(image, dict)]
    return parts + [{"type": "image", "url": f"data:image/png;base64,{one}"} for one in found if isinstance(one, str)]


def _calls(message: JSON) -> list[JSON]:
    calls = message.get("tool_calls")
    found = [_call(call) for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
    old = message.get("function_call")
    if isinstance(old, dict) and not found:
        found.append(_call({"function": old}))
    return found


def _call(call: JSON) -> JSON:
    inner = call.get("function") or call.get("custom")
    inner = inner if isinstance(inner, dict) else {}
    arguments = inner.get("arguments", inner.get("input", call.get("parameters")))
    return {
        "type": "tool_call",
        "id": call.get("id") or "",
        "name": as_string(inner.get("name", call.get("name"))),
        "arguments": as_string(arguments),
    }


def _response_item(item: JSON, role: str) -> JSON:
    """Read one item of the Responses API that is no message."""
    kind = str(item.get("type") or "")
    call_id = item.get("call_id") or item.get("id") or ""
    if kind in ("function_call", "custom_tool_call", "mcp_call"):
        arguments = as_string(item.get("arguments", item.get("input")))
        call = {"type": "tool_call", "id": call_id, "name": as_string(item.get("name")), "arguments": arguments}
        parts: list[JSON] = [call]
        if item.get("output") is not None:  # an MCP call carries its result
            parts.append({"type": "tool_result", "id": call_id, "content": as_string(item["output"])})
        return message_of("assistant", parts)
    if kind.endswith("_call_output") or kind == "function_call_output":
        return message_of("tool", [{"type": "tool_result", "id": call_id, "content": as_string(item.get("output"))}])
    if kind == "reasoning":
        parts = parts_of(item.get("content")) or parts_of(item.get("summary"))
        texts = [part for part in parts if part["type"] == "reasoning"]
        return message_of("assistant", texts or [{"type": "reasoning", "text": ""}])
    if kind == "image_generation_call" and isinstance(item.get("result"), str):
        mime = _IMAGE_TYPES.get(str(item.get("output_format")), "image/png")
        return message_of("assistant", [{"type": "image", "url": f"data:{mime};base64,{item['result']}"}])
    if kind in ("message", "") and item.get("content") is not None:
        return message_of(role, parts_of(item["content"]))
    return message_of("assistant" if kind.endswith("_call") else role, [json_part(item)])


# ── parts ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def parts_of(content: Any) -> list[JSON]:
    """Read the content of a message: a text, a part, or a list of them."""
    if content is None or content == "":
        return []
    if isinstance(content, str):
        return [text_part(content)]
    found: list[JSON] = []
    for part in content if isinstance(content, list) else [content]:
        native = parts_of_block(part) if isinstance(part, dict) else None
        found += [_part(part)] if native is None else native
    return found


def _part(part: Any) -> JSON:
    if isinstance(part, dict):
        return _typed_part(part)
    return text_part(part) if isinstance(part, str) else json_part(part)


def _typed_part(part: JSON) -> JSON:
    kind = part.get("type")
    if kind in ("text", "input_text", "output_text") and isinstance(part.get("text"), str):
        return text_part(part["text"])
    if kind in ("reasoning_text", "summary_text") and isinstance(part.get("text"), str):
        return {"type": "reasoning", "text": part["text"]}
    if kind == "thinking":  # a list of texts is Mistral's, a text Anthropic's
        return {"type": "reasoning", "text": as_string(part.get("thinking"))}
    if kind == "refusal" and isinstance(part.get("refusal"), str):
        return {"type": "refusal", "text": part["refusal"]}
    return _media(part, str(kind)) or json_part(part)


def _media(part: JSON, kind: str) -> JSON | None:
    if kind in ("image_url", "input_image"):
        image = part.get("image_url")
        url = image.get("url") if isinstance(image, dict) else image
        return {"type": "image", "url": url} if isinstance(url, str) else None
    if kind in ("input_audio", "output_audio", "audio"):
        inner = part.get("input_audio")
        audio = inner if isinstance(inner, dict) else part
        if isinstance(audio.get("data"), str):
            return {"type": "audio", "format": str(audio.get("format") or "wav"), "data": audio["data"]}
    if kind in ("file", "input_file"):
        inner = part.get("file")
        file = inner if isinstance(inner, dict) else part
        found: JSON = {"type": "file", "name": str(file.get("filename") or file.get("file_id") or "file")}
        url = file.get("file_url") or file.get("file_data")
        return {**found, "url": url} if isinstance(url, str) else found
    return None
