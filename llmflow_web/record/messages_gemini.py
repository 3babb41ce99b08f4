"""Gemini's bodies → messages for people, in the shape of record/messages.

Requests may be written in camelCase or snake_case, and contents may be a text, one content or many; answers are whole
or put together from a stream. What is not understood becomes a `json` part.
"""

from __future__ import annotations

import json
from typing import Any

from llmflow_web.model import JSON

_ROLES = {"model": "assistant", "function": "tool", "tool": "tool"}
_ANSWERS = ("candidates", "promptFeedback", "usageMetadata")
_NOTES = frozenset({"thought", "thoughtSignature", "thought_signature", "videoMetadata", "video_metadata",
                    "mediaResolution", "media_resolution", "partMetadata", "part_metadata"})  # fmt: skip


def _is_request(body: JSON) -> bool:
    """Say whether `body` is a request in Gemini's own shape."""
    if isinstance(body.get("contents"), (list, dict, str)) or isinstance(body.get("generateContentRequest"), dict):
        return True
    content = body.get("content")
    return (isinstance(content, dict) and "parts" in content) or _is_batch(body)


def _is_batch(body: JSON) -> bool:
    requests = body.get("requests")
    return isinstance(requests, list) and any(isinstance(one, dict) and "content" in one for one in requests)


def _is_answer(body: JSON) -> bool:
    """Say whether `body` is an answer in Gemini's own shape."""
    if any(isinstance(body.get(name), (list, dict)) for name in _ANSWERS):
        return True
    rows = body.get("embeddings")
    is_batch = isinstance(rows, list) and bool(rows) and isinstance(rows[0], dict) and "values" in rows[0]
    return is_batch or (isinstance(body.get("embedding"), dict) and "values" in body["embedding"])


# ── what was asked ───────────────────────────────────────────────────────────────────────────────────────────────────


def asked_of_gemini(body: JSON) -> list[JSON]:
    """Read a request: the system instruction, then every content; of embeddings the texts. [] when it is no such."""
    if not _is_request(body):
        return []
    inner = body.get("generateContentRequest")
    if isinstance(inner, dict):
        return asked_of_gemini(inner)
    if _is_batch(body):
        return [_content(one.get("content"), "user") for one in body["requests"] if isinstance(one, dict)]
    system = _first(body, "systemInstruction", "system_instruction")
    found = [_content(system, "system")] if system else []
    contents = body.get("contents", body.get("content"))
    found += [_content(content, "user") for content in (contents if isinstance(contents, list) else [contents])]
    return [message for message in found if message["parts"]]


def _content(content: Any, default_role: str) -> JSON:
    if not isinstance(content, dict):
        return {"role": default_role, "parts": [_part(content)] if content else []}
    given = content.get("role")
    role = _ROLES.get(given, given) if isinstance(given, str) and default_role != "system" else default_role
    listed = content.get("parts")
    listed = listed if isinstance(listed, list) else [content] if "text" in content else [listed] if listed else []
    parts = [_part(part) for part in listed if part]
    if parts and all(part["type"] == "tool_result" for part in parts):
        role = "tool"
    return {"role": role, "parts": parts}


# ── what was answered ────────────────────────────────────────────────────────────────────────────────────────────────


def answered_by_gemini(body: JSON) -> list[JSON]:
    """Read an answer: a message for each candidate, a refusal for a blocked prompt. [] when it is no such."""
    if not _is_answer(body):
        return []
    rows = body.get("embeddings") if isinstance(body.get("embeddings"), list) else [body.get("embedding")]
    vectors = [row["values"] for row in rows or () if isinstance(row, dict) and isinstance(row.get("values"), list)]
    if vectors:
        plural = "s" if len(vectors) != 1 else ""
        text = f"{len(vectors)} embedding{plural} of {len(vectors[0])} dimensions"
        return [{"role": "assistant", "parts": [{"type": "text", "text": text}]}]
    candidates = body.get("candidates")
    found = [_candidate(one) for one in candidates if isinstance(one, dict)] if isinstance(candidates, list) else []
    feedback = body.get("promptFeedback")
    reason = feedback.get("blockReason") if isinstance(feedback, dict) else None
    if reason and not found:
        said = feedback.get("blockReasonMessage") if isinstance(feedback, dict) else None
        text = f"{reason}: {said}" if said else str(reason)
        found = [{"role": "assistant", "parts": [{"type": "refusal", "text": text}], "finish_reason": str(reason)}]
    return found or [{"role": "assistant", "parts": [_json(body)]}]


def _candidate(candidate: JSON) -> JSON:
    found = _content(candidate.get("content") or {}, "assistant")
    parts: list[JSON] = []
    for part in found["parts"]:
        last = parts[-1] if parts else {}
        if part["type"] in ("text", "reasoning") and last.get("type") == part["type"]:
            last["text"] += part["text"]
        elif part != {"type": "text", "text": ""}:
            parts.append(part)
    said = candidate.get("finishMessage")
    if isinstance(said, str) and said:
        parts.append({"type": "refusal", "text": said})
    found["parts"] = parts
    if candidate.get("finishReason"):
        found["finish_reason"] = str(candidate["finishReason"])
    return found


# ── parts ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _first(holder: JSON, *names: str) -> Any:
    return next((holder[name] for name in names if holder.get(name) is not None), None)


def _object(holder: JSON, *names: str) -> JSON | None:
    found = _first(holder, *names)
    return found if isinstance(found, dict) else None


def _json(value: Any) -> JSON:
    return {"type": "json", "value": value}


def _as_string(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _part(part: Any) -> JSON:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if not isinstance(part, dict):
        return _json(part)
    if isinstance(part.get("text"), str):
        return {"type": "reasoning" if part.get("thought") else "text", "text": part["text"]}
    found = _call(part) or _data(part) or _code(part)
    if found is not None:
        return found
    return {"type": "text", "text": ""} if _NOTES.issuperset(part) else _json(part)


def _call(part: JSON) -> JSON | None:
    call = _object(part, "functionCall", "function_call")
    if call is not None:
        arguments = _as_string(call.get("args") or {})
        return {"type": "tool_call", "id": _text(call, "id"), "name": _text(call, "name"), "arguments": arguments}
    result = _object(part, "functionResponse", "function_response")
    if result is None:
        return None
    call_id = _text(result, "id") or _text(result, "name")
    return {"type": "tool_result", "id": call_id, "content": _as_string(result.get("response") or {})}


def _text(holder: JSON, *names: str) -> str:
    value = _first(holder, *names)
    return value if isinstance(value, str) else ""


def _data(part: JSON) -> JSON | None:
    blob = _object(part, "inlineData", "inline_data")
    if blob is not None:
        kind, data = _text(blob, "mimeType", "mime_type"), _text(blob, "data")
        if kind.startswith("audio/"):
            return {"type": "audio", "format": kind[6:].partition(";")[0], "data": data}
        url = f"data:{kind};base64,{data}"
        if kind.startswith("image/"):
            return {"type": "image", "url": url}
        return {"type": "file", "name": _text(blob, "displayName", "display_name") or kind or "file", "url": url}
    file = _object(part, "fileData", "file_data")
    if file is None:
        return None
    kind, url = _text(file, "mimeType", "mime_type"), _text(file, "fileUri", "file_uri")
    if kind.startswith("image/"):
        return {"type": "image", "url": url}
    return {"type": "file", "name": url.rpartition("/")[2] or kind or "file", "url": url}


def _code(part: JSON) -> JSON | None:
    code = _object(part, "executableCode", "executable_code")
    if code is not None and isinstance(code.get("code"), str):
        language = _text(code, "language").lower()
        return {"type": "text", "text": f"```{language}\n{code['code'].rstrip()}\n```\n"}
    result = _object(part, "codeExecutionResult", "code_execution_result")
    if result is None:
        return None
    return {"type": "text", "text": f"```output\n{_text(result, 'output').rstrip()}\n```\n"}
