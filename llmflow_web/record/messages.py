"""Stored bodies → messages for people: one shape for chat, responses, completions, embeddings, images and audio.

Pure, and driven by the shape of what is there rather than by names: compatible servers vary. What is not understood
becomes a `json` part, so nothing is hidden.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from llmflow_web.model import JSON, PART_ANSWER, PART_INPUT, PART_OUTPUT, PART_REQUEST, PART_RESPONSE
from llmflow_web.record.messages_anthropic import parts_of_block, split_results
from llmflow_web.record.messages_gemini import answered_by_gemini, asked_of_gemini
from llmflow_web.wire.forms import form_fields

MAX_SEARCH_CHARS = 64 * 1024
MAX_WORD_CHARS = 256
"""A run of characters longer than this without a space is data, not words."""

_MAX_LISTED = 100  # inputs of an embeddings call that are shown one by one
_IMAGE_TYPES = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}


def messages_of(provider: str | None, operation: str | None, bodies: Mapping[int, bytes]) -> dict[str, list[JSON]]:
    """Return {"input": messages, "output": messages} of a span, from its stored parts (part number → bytes)."""
    del provider  # every dialect known so far is told by its shape
    if operation == "realtime":  # what went over the wire is a log of events
        bodies = {part: data for part, data in bodies.items() if part not in (PART_REQUEST, PART_RESPONSE)}
    asked = _loaded(bodies.get(PART_REQUEST))
    request = asked if isinstance(asked, dict) else {}
    source = asked if asked is not None else _loaded(bodies.get(PART_INPUT))
    found = _input(source)
    if not found and PART_REQUEST in bodies and asked is None:
        found = _unparsed_input(bodies[PART_REQUEST])
    return {"input": found, "output": _answered(operation, request, bodies)}


def _answered(operation: str | None, request: JSON, bodies: Mapping[int, bytes]) -> list[JSON]:
    for part in (PART_ANSWER, PART_RESPONSE, PART_OUTPUT):
        value = _loaded(bodies.get(part))
        if value is not None:
            return _output(value, request)
    body = bodies.get(PART_RESPONSE, b"")
    if body and operation in ("transcription", "translation") and not body.startswith(b"data:"):
        return [_message("assistant", [_text(body[:MAX_SEARCH_CHARS].decode("utf-8", "replace"))])]
    return []


def _loaded(data: bytes | None) -> Any:
    if data and data.lstrip()[:1] in (b"{", b"[", b'"'):
        with suppress(ValueError, RecursionError):
            return json.loads(data)
    return None


# ── what was asked ───────────────────────────────────────────────────────────────────────────────────────────────────


def _input(source: Any) -> list[JSON]:
    if isinstance(source, dict):
        return asked_of_gemini(source) or _asked(source)
    if isinstance(source, list):
        return _items(source, "user")
    return [] if source is None else [_message("user", _parts(source))]


def _asked(source: JSON) -> list[JSON]:
    if isinstance(source.get("messages"), list):
        return _system(source, "system") + _items(source["messages"], "user")
    for name, before in (("input", "instructions"), ("prompt", "system"), ("texts", "")):  # texts: Cohere's embed
        if source.get(name) is not None:
            return _system(source, before) + _plain_or_items(source[name])
    if isinstance(source.get("query"), str) and isinstance(source.get("documents"), list):  # rerank
        return [_message("user", _parts(source["query"])), *_plain_or_items(source["documents"])]
    if isinstance(source.get("message"), str):  # Cohere v1
        return [
            *_system(source, "preamble"),
            *_history(source.get("chat_history")),
            *_plain_or_items(source["message"]),
        ]
    return [_message("user", [_json(source)])] if source else []


def _history(turns: Any) -> list[JSON]:
    """Read the turns of Cohere v1, whose roles are USER, CHATBOT, SYSTEM and TOOL."""
    found = [turn for turn in turns if isinstance(turn, dict)] if isinstance(turns, list) else []
    names = [str(turn.get("role")).lower() for turn in found]
    return _items(
        [{**turn, "role": "assistant" if name == "chatbot" else name} for turn, name in zip(found, names, strict=True)],
        "user",
    )


def _system(source: JSON, name: str) -> list[JSON]:
    value = source.get(name)
    return [_message("system", _parts(value))] if value else []


def _plain_or_items(value: Any) -> list[JSON]:
    """Read `input` and `prompt`: a text, texts, token numbers, or items."""
    if not isinstance(value, list):
        return [_message("user", _parts(value))]
    if any(isinstance(item, dict) for item in value):
        return _items(value, "user")
    shown = [_text(item) if isinstance(item, str) else _json(item) for item in value[:_MAX_LISTED]]
    if value and isinstance(value[0], int):  # one prompt as token numbers
        shown = [_json(value)]
    if len(value) > _MAX_LISTED and not isinstance(value[0], int):
        shown.append(_text(f"… and {len(value) - _MAX_LISTED} more"))
    return [_message("user", shown)]


def _unparsed_input(body: bytes) -> list[JSON]:
    """Show a multipart form by its small fields; other bytes are left to the raw view."""
    if not body.startswith(b"--"):
        return []
    fields = form_fields(body)
    parts = [_text(fields.pop("prompt"))] if isinstance(fields.get("prompt"), str) else []
    start = body.find(b'filename="')
    if start >= 0:
        name = body[start + 10 : start + 300].partition(b'"')[0].decode("utf-8", "replace")
        parts.append({"type": "file", "name": name})
    if fields:
        parts.append(_json(fields))
    return [_message("user", parts)] if parts else []


# ── what was answered ────────────────────────────────────────────────────────────────────────────────────────────────


def _output(value: Any, request: JSON) -> list[JSON]:
    if isinstance(value, dict):
        return answered_by_gemini(value) or _answer(value, request)
    return _items(value, "assistant") if isinstance(value, list) else [_message("assistant", _parts(value))]


def _answer(value: JSON, request: JSON) -> list[JSON]:
    if isinstance(value.get("choices"), list):
        return [_choice(choice) for choice in value["choices"] if isinstance(choice, dict)]
    if isinstance(value.get("output"), list):
        return _items(value["output"], "assistant")
    if isinstance(value.get("data"), list):
        return [_message("assistant", _data(value, request))]
    text = value.get("text", value.get("completion"))  # the latter is Anthropic's old way
    if isinstance(text, str):
        return [_message("assistant", [_text(text), *_calls(value)])]
    if "role" in value:
        return _items([value], "assistant")
    return [_single(value)] if value else []


def _single(value: JSON) -> JSON:
    """Read answers that are one message: those of Cohere v2 and Ollama; what is none of them stays JSON."""
    reason = value.get("finish_reason") or value.get("done_reason")
    if isinstance(value.get("message"), dict):
        return _ended(_chat_message(value["message"], "assistant"), reason)
    if isinstance(value.get("response"), str):
        return _ended(_message("assistant", [*_reasoning(value), *_parts(value["response"])]), reason)
    if isinstance(value.get("embeddings"), (list, dict)):
        return _message("assistant", [_embedded(value["embeddings"])])
    return _message("assistant", [_json(value)])


def _choice(choice: JSON) -> JSON:
    message = choice.get("message")
    if isinstance(message, dict):
        found = _chat_message(message, "assistant")
    else:
        found = _message("assistant", _parts(choice.get("text") or ""))
    return _ended(found, choice.get("finish_reason"))


def _ended(message: JSON, reason: Any) -> JSON:
    if reason:
        message["finish_reason"] = reason
    return message


def _embedded(found: list[Any] | JSON) -> JSON:
    """Count embeddings as Cohere (by type) and Ollama (a list) send them."""
    rows = next((rows for rows in found.values() if isinstance(rows, list)), []) if isinstance(found, dict) else found
    size = len(rows[0]) if rows and isinstance(rows[0], list) else 0
    return _text(f"{len(rows)} embedding{'s' if len(rows) != 1 else ''} of {size} dimensions")


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
        return [_text(f"{len(rows)} embedding{'s' if len(rows) != 1 else ''} of {size} dimensions")]
    return [_json(value)]


def _image_row(row: JSON, mime: str) -> Iterator[JSON]:
    url = row.get("url") or (f"data:{mime};base64,{row['b64_json']}" if row.get("b64_json") else None)
    if url:
        yield {"type": "image", "url": url}
    if row.get("revised_prompt"):
        yield _text(str(row["revised_prompt"]))


# ── messages and items ───────────────────────────────────────────────────────────────────────────────────────────────


def _message(role: str, parts: list[JSON]) -> JSON:
    return {"role": role, "parts": parts}


def _text(text: str) -> JSON:
    return {"type": "text", "text": text}


def _json(value: Any) -> JSON:
    return {"type": "json", "value": value}


def _items(items: list[Any], role: str) -> list[JSON]:
    found: list[JSON] = []
    for item in items:
        if not isinstance(item, dict):
            found.append(_message(role, _parts(item)))
        elif "role" in item:
            found += split_results(_chat_message(item, role))
        else:
            found.append(_response_item(item, role))
    return found


def _chat_message(message: JSON, default_role: str) -> JSON:
    role = message.get("role")
    role = role if isinstance(role, str) else default_role
    parts = _reasoning(message)
    if role in ("tool", "function"):
        result = {"type": "tool_result", "id": message.get("tool_call_id") or "", "content": _flat(message)}
        found = _message("tool", [*parts, result])
    else:
        parts += _parts(message.get("content", message.get("message")))
        parts += _images(message.get("images"))
        if isinstance(message.get("refusal"), str) and message["refusal"]:
            parts.append({"type": "refusal", "text": message["refusal"]})
        parts += _audio(message.get("audio"))
        parts += _calls(message)
        found = _message(role, parts)
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
    return _as_string(message.get("content"))


def _as_string(content: Any) -> str:
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
        parts.append(_text(str(audio["transcript"])))
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
        "name": _as_string(inner.get("name", call.get("name"))),
        "arguments": _as_string(arguments),
    }


def _response_item(item: JSON, role: str) -> JSON:
    """Read one item of the Responses API that is no message."""
    kind = str(item.get("type") or "")
    call_id = item.get("call_id") or item.get("id") or ""
    if kind in ("function_call", "custom_tool_call", "mcp_call"):
        arguments = _as_string(item.get("arguments", item.get("input")))
        call = {"type": "tool_call", "id": call_id, "name": _as_string(item.get("name")), "arguments": arguments}
        parts: list[JSON] = [call]
        if item.get("output") is not None:  # an MCP call carries its result
            parts.append({"type": "tool_result", "id": call_id, "content": _as_string(item["output"])})
        return _message("assistant", parts)
    if kind.endswith("_call_output") or kind == "function_call_output":
        return _message("tool", [{"type": "tool_result", "id": call_id, "content": _as_string(item.get("output"))}])
    if kind == "reasoning":
        parts = _parts(item.get("content")) or _parts(item.get("summary"))
        texts = [part for part in parts if part["type"] == "reasoning"]
        return _message("assistant", texts or [{"type": "reasoning", "text": ""}])
    if kind == "image_generation_call" and isinstance(item.get("result"), str):
        mime = _IMAGE_TYPES.get(str(item.get("output_format")), "image/png")
        return _message("assistant", [{"type": "image", "url": f"data:{mime};base64,{item['result']}"}])
    if kind in ("message", "") and item.get("content") is not None:
        return _message(role, _parts(item["content"]))
    return _message("assistant" if kind.endswith("_call") else role, [_json(item)])


# ── parts ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _parts(content: Any) -> list[JSON]:
    if content is None or content == "":
        return []
    if isinstance(content, str):
        return [_text(content)]
    found: list[JSON] = []
    for part in content if isinstance(content, list) else [content]:
        native = parts_of_block(part) if isinstance(part, dict) else None
        found += [_part(part)] if native is None else native
    return found


def _part(part: Any) -> JSON:
    if isinstance(part, dict):
        return _typed_part(part)
    return _text(part) if isinstance(part, str) else _json(part)


def _typed_part(part: JSON) -> JSON:
    kind = part.get("type")
    if kind in ("text", "input_text", "output_text") and isinstance(part.get("text"), str):
        return _text(part["text"])
    if kind in ("reasoning_text", "summary_text") and isinstance(part.get("text"), str):
        return {"type": "reasoning", "text": part["text"]}
    if kind == "thinking":  # a list of texts is Mistral's, a text Anthropic's
        return {"type": "reasoning", "text": _as_string(part.get("thinking"))}
    if kind == "refusal" and isinstance(part.get("refusal"), str):
        return {"type": "refusal", "text": part["refusal"]}
    return _media(part, str(kind)) or _json(part)


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


# ── search ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def search_text(provider: str | None, operation: str | None, bodies: Mapping[int, bytes]) -> str:
    """Return the words of a span for the search index: the answer first, then the newest of what was asked."""
    messages = messages_of(provider, operation, bodies)
    found: list[str] = []
    left = MAX_SEARCH_CHARS
    for message in (*messages["output"], *reversed(messages["input"])):
        for text in _words_of(message):
            piece = _without_data(text[: 2 * left])[:left]
            if piece:
                found.append(piece)
                left -= len(piece) + 1
            if left <= 0:
                return "\n".join(found)
    return "\n".join(found)


def _words_of(message: JSON) -> Iterator[str]:
    for part in message["parts"]:
        kind = part["type"]
        if kind in ("text", "reasoning", "refusal"):
            yield part["text"]
        elif kind == "tool_call":
            yield part["name"]
            yield part["arguments"]
        elif kind == "tool_result":
            yield part["content"]
        elif kind == "file":
            yield part["name"]
        elif kind == "json":
            yield from _leaves(part["value"], 0)


def _leaves(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif depth < 8 and isinstance(value, dict):
        for name, item in value.items():
            yield str(name)
            yield from _leaves(item, depth + 1)
    elif depth < 8 and isinstance(value, list):
        for item in value[:1000]:
            yield from _leaves(item, depth + 1)


def _without_data(text: str) -> str:
    """Leave out runs without a space that are too long to be words, such as base64."""
    if len(text) <= MAX_WORD_CHARS:
        return text
    words = text.split()
    if all(len(word) <= MAX_WORD_CHARS for word in words):
        return text
    # Scripts without spaces make long runs too; those are kept.
    return " ".join(word for word in words if len(word) <= MAX_WORD_CHARS or not word[:MAX_WORD_CHARS].isascii())
