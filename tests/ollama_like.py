"""Ollama's API with canned answers, for FakeUpstream: `/api` in NDJSON, `/v1` in OpenAI's dialect.

It refuses what the real server refuses: models it does not have, wrong roles and types, images that are no bare
base64. Native POSTs stream unless they say `"stream": false`. `error-429` in a model's name answers with that error,
`broken` breaks a stream off with an error line, `thinking` lets the model think, `cached` has the whole prompt cached.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

from fake_upstream import Talk, chunk, head_of
from openai_like import OpenAILike

TEXT = "The sky is blue because short waves scatter."
MODELS = ("qwen3:8b", "llama3.1:latest", "all-minilm:latest")
COUNTERS = {
    "total_duration": 4883583458, "load_duration": 1334875, "prompt_eval_count": 26, "prompt_eval_duration": 342546000,
    "eval_count": 12, "eval_duration": 4535599000,
}  # fmt: skip
ROLES = {"system", "user", "assistant", "tool"}
TYPES: dict[str, tuple[type, ...]] = {
    "model": (str,), "messages": (list,), "prompt": (str,), "suffix": (str,), "system": (str,), "stream": (bool,),
    "raw": (bool,), "format": (str, dict), "options": (dict,), "keep_alive": (str, int, float), "tools": (list,),
    "think": (bool, str), "images": (list,), "logprobs": (bool,), "top_logprobs": (int,),
}  # fmt: skip
_openai = OpenAILike()


def ollama_like(talk: Talk) -> None:
    """Answer one request: the default script."""
    raw = talk.body()
    path = talk.request.path
    if path.startswith("/v1/"):
        _compatible(talk, json.loads(raw or "{}"))
        return
    route = _ROUTES.get((talk.request.method, path))
    if route is None:
        _send(talk, b"404 page not found", 404, "text/plain")
        return
    body = json.loads(raw or "{}")
    model = str(body.get("model") or "")
    wanted = re.search(r"error-(\d{3})", model)
    if wanted:
        _json(talk, {"error": f"ollama says {wanted[1]}"}, int(wanted[1]))
        return
    refusal = next(complaints(path, body), None) if talk.request.method == "POST" else None
    if refusal:
        _json(talk, {"error": refusal[1]}, refusal[0])
        return
    route(talk, body)


def _compatible(talk: Talk, body: dict[str, Any]) -> None:
    """Answer in OpenAI's dialect, refusing images that are not in the request."""
    for message in body.get("messages", ()):
        for part in message["content"] if isinstance(message.get("content"), list) else ():
            if part["type"] == "image_url" and not part["image_url"]["url"].startswith("data:image/"):
                error = {"message": "invalid image input", "type": "invalid_request_error", "param": None, "code": None}
                _json(talk, {"error": error}, 400)
                return
    _openai(talk)


def complaints(path: str, body: dict[str, Any]) -> Iterator[tuple[int, str]]:
    """Say what /api refuses in `body`: (status, sentence)."""
    for name, kinds in TYPES.items():
        if body.get(name) is not None and not isinstance(body[name], kinds):
            yield 400, f"json: cannot unmarshal {type(body[name]).__name__} into Go struct field .{name}"
    model = body.get("model") or ""
    if not model:
        yield 400, "model is required"
    if not re.match(r"(qwen|llama|all-minilm|gpt-oss)", model):
        yield 404, f"model '{model}' not found"
    if body.get("tools") and "notools" in model:
        yield 400, f"registry.ollama.ai/library/{model} does not support tools"
    for image in body.get("images") or ():
        yield from _image(image)
    for message in body.get("messages") or ():
        yield from _message(message)
    if path == "/api/embed" and not body.get("input"):
        yield 400, "missing input"


def _message(message: dict[str, Any]) -> Iterator[tuple[int, str]]:
    if message.get("role") not in ROLES:
        yield 400, f"invalid role: {message.get('role')!r}"
    if not isinstance(message.get("content", ""), str):
        yield 400, "json: cannot unmarshal array into Go struct field ChatRequest.messages.content of type string"
    for call in message.get("tool_calls") or ():
        if not isinstance(call["function"]["arguments"], dict):
            yield 400, "json: cannot unmarshal string into Go struct field .arguments"
    for image in message.get("images") or ():
        yield from _image(image)


def _image(image: str) -> Iterator[tuple[int, str]]:
    try:
        base64.b64decode(image, validate=True)
    except ValueError:
        yield 400, "illegal base64 data at input byte 4"


# ── what is answered ─────────────────────────────────────────────────────────────────────────────────────────────


def _chat(talk: Talk, body: dict[str, Any]) -> None:
    messages = body.get("messages") or []
    if not messages:
        _loaded(talk, body, {"message": {"role": "assistant", "content": ""}})
        return
    pieces: list[dict[str, Any]] = []
    if body.get("tools") and messages[-1]["role"] != "tool":
        names = [tool["function"]["name"] for tool in body["tools"]]
        pieces += [{"content": "", "tool_calls": [_call(number, name)]} for number, name in enumerate(names)]
    else:
        if "thinking" in body["model"] and body.get("think") is not False:
            pieces += [{"content": "", "thinking": piece} for piece in _words("Waves of light.")]
        text = '{"answer": "blue"}' if body.get("format") else TEXT
        pieces += [{"content": piece} for piece in _words(text)]
    lines = [{"message": {"role": "assistant", **piece}} for piece in pieces]
    _lines(talk, body, lines, {"message": {"role": "assistant", "content": ""}})


def _call(number: int, name: str) -> dict[str, Any]:
    return {"function": {"index": number, "name": name, "arguments": {"place": "Paris"}}}


def _generate(talk: Talk, body: dict[str, Any]) -> None:
    if not body.get("prompt"):
        _loaded(talk, body, {"response": ""})
        return
    _lines(talk, body, [{"response": piece} for piece in _words(TEXT)], {"response": "", "context": [1, 2, 3]})


def _lines(talk: Talk, body: dict[str, Any], lines: list[dict[str, Any]], last: dict[str, Any]) -> None:
    base = {"model": body["model"], "created_at": "2026-01-01T00:00:00.0Z"}
    counters = {key: value for key, value in COUNTERS.items() if "cached" not in body["model"] or "prompt" not in key}
    last = {**base, **last, "done": True, "done_reason": "stop", **counters}
    if body.get("stream") is False:
        _json(talk, last | _whole(lines))
        return
    head = [("content-type", "application/x-ndjson"), ("transfer-encoding", "chunked")]
    talk.send(head_of(200, head, "OK"))
    for index, line in enumerate(lines):
        if "broken" in body["model"] and index == len(lines) // 2:
            talk.send(chunk(b'{"error":"the model runner has stopped"}\n') + b"0\r\n\r\n")
            return
        talk.send(chunk(json.dumps({**base, **line, "done": False}).encode() + b"\n"))
    talk.send(chunk(json.dumps(last).encode() + b"\n") + b"0\r\n\r\n")


def _whole(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """Put lines together to what `"stream": false` answers."""
    if "response" in lines[0]:
        return {"response": "".join(line["response"] for line in lines)}
    messages = [line["message"] for line in lines]
    found: dict[str, Any] = {"role": "assistant", "content": "".join(message["content"] for message in messages)}
    if any("thinking" in message for message in messages):
        found["thinking"] = "".join(message.get("thinking", "") for message in messages)
    calls = [call for message in messages for call in message.get("tool_calls", ())]
    return {"message": found | ({"tool_calls": calls} if calls else {})}


def _loaded(talk: Talk, body: dict[str, Any], empty: dict[str, Any]) -> None:
    """Load the model: nothing is generated and nothing counted."""
    found = {"model": body["model"], "created_at": "2026-01-01T00:00:00.0Z", **empty, "done": True}
    _json(talk, found | {"done_reason": "load"})


def _embed(talk: Talk, body: dict[str, Any]) -> None:
    count = len(body["input"]) if isinstance(body["input"], list) else 1
    rows = [[0.25 * (number + 1)] * 8 for number in range(count)]
    counters = {"total_duration": 14143917, "load_duration": 1019500, "prompt_eval_count": 4 * count}
    _json(talk, {"model": body["model"], "embeddings": rows, **counters})


def _tags(talk: Talk, body: dict[str, Any]) -> None:
    del body
    details = {"format": "gguf", "family": "qwen3", "parameter_size": "8B", "quantization_level": "Q4_K_M"}
    rows = [
        {"name": name, "model": name, "modified_at": "2026-01-01T00:00:00Z", "size": 5, "digest": "ab", "details": details}
        for name in MODELS
    ]  # fmt: skip
    _json(talk, {"models": rows})


def _words(text: str) -> list[str]:
    return re.findall(r"\S+\s*", text)


_ROUTES = {
    ("POST", "/api/chat"): _chat,
    ("POST", "/api/generate"): _generate,
    ("POST", "/api/embed"): _embed,
    ("GET", "/api/tags"): _tags,
}


def _json(talk: Talk, value: Any, status: int = 200) -> None:
    _send(talk, json.dumps(value).encode(), status, "application/json; charset=utf-8")


def _send(talk: Talk, data: bytes, status: int, content_type: str) -> None:
    lines = [("content-type", content_type), ("content-length", str(len(data)))]
    talk.send(head_of(status, lines, "OK" if status == 200 else "Error") + data)
