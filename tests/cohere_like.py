"""Cohere's API with canned answers, for FakeUpstream: it refuses what the real one refuses.

`error-429` in a model's name (any status) answers with that error, `reasoning` lets the model think, `cut` breaks a
stream off half way.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from fake_upstream import Talk, chunk, head_of

TEXT = "The sky is blue because short waves scatter."
MODELS = ("command-a-03-2025", "command-r-08-2024", "embed-v4.0", "rerank-v3.5")
USAGE = {
    "billed_units": {"input_tokens": 20.0, "output_tokens": 9.0},
    "tokens": {"input_tokens": 520.0, "output_tokens": 9.0},
    "cached_tokens": 16.0,
}
FIELDS = {
    "model", "messages", "stream", "tools", "strict_tools", "tool_choice", "documents", "citation_options",
    "response_format", "safety_mode", "max_tokens", "stop_sequences", "temperature", "seed", "frequency_penalty",
    "presence_penalty", "k", "p", "logprobs", "thinking", "priority", "raw_prompting",
}  # fmt: skip
EMBED_FIELDS = {
    "model", "input_type", "texts", "images", "inputs", "embedding_types", "output_dimension", "truncate", "max_tokens",
    "priority",
}  # fmt: skip
INPUT_TYPES = {"search_document", "search_query", "classification", "clustering", "image"}
PARTS = {
    "system": {"text"},
    "user": {"text", "image_url"},
    "assistant": {"text", "thinking"},
    "tool": {"text", "document"},
}
MESSAGE_KEYS = {
    "system": {"role", "content"},
    "user": {"role", "content"},
    "assistant": {"role", "content", "tool_calls", "tool_plan", "citations"},
    "tool": {"role", "content", "tool_call_id"},
}
RANGES = {
    "temperature": (0, 1), "frequency_penalty": (0, 1), "presence_penalty": (0, 1), "k": (0, 500), "p": (0.01, 0.99),
}  # fmt: skip


def cohere_like(talk: Talk) -> None:
    """Answer one request: the default script."""
    raw = talk.body()
    asked = (talk.request.method, talk.request.path)
    route = _ROUTES.get(asked)
    if not re.fullmatch(r"Bearer \S+", talk.request.header("authorization") or "", re.IGNORECASE):
        _send(talk, {"id": "e-1", "message": "no api key supplied"}, 401)
        return
    if route is None:
        _send(talk, {"id": "e-1", "message": f"404 page not found: {talk.request.path}"}, 404)
        return
    body = json.loads(raw or "{}")
    wanted = re.search(r"error-(\d{3})", str(body.get("model")))
    if wanted:
        extra = [("retry-after", "7")] if wanted[1] == "429" else []
        _send(talk, {"id": "e-1", "message": f"cohere says {wanted[1]}"}, int(wanted[1]), extra)
        return
    refusal = next(_COMPLAINTS[asked[1]](body), None) if asked[1] in _COMPLAINTS else None
    if refusal:
        _send(talk, {"id": "e-1", "message": f"invalid request: {refusal}"}, 400)
        return
    route(talk, body)


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────────────────


def complaints(body: dict[str, Any]) -> Iterator[str]:
    """Say what /v2/chat refuses in `body`."""
    for name in body.keys() - FIELDS:
        yield f"unknown field: parameter '{name}' is not a valid field"
    if not isinstance(body.get("model"), str):
        yield "model is required"
    yield from _messages(body.get("messages"))
    for name, (low, high) in RANGES.items():
        if name in body and not low <= body[name] <= high:
            yield f"{name} must be between {low} and {high} inclusive"
    if len(body.get("stop_sequences", ())) > 5:
        yield "stop_sequences: at most 5 are allowed"
    if body.get("tool_choice", "REQUIRED") not in ("REQUIRED", "NONE"):
        yield "tool_choice must be one of REQUIRED, NONE"
    if "tool_choice" in body and not body.get("tools"):
        yield "tool_choice needs tools"
    for tool in body.get("tools", ()):
        if tool.keys() != {"type", "function"} or tool["function"].keys() - {"name", "description", "parameters"}:
            yield "tools: invalid tool"
    if body.get("response_format", {}).keys() - {"type", "json_schema"}:
        yield "response_format: unknown field"
    if body.get("response_format", {}).get("type", "text") not in ("text", "json_object"):
        yield "response_format.type must be one of text, json_object"
    if body.get("thinking", {}).get("type", "enabled") not in ("enabled", "disabled"):
        yield "thinking.type must be one of enabled, disabled"


def _messages(messages: Any) -> Iterator[str]:
    if not isinstance(messages, list) or not messages:
        yield "messages must be a non-empty list"
        return
    open_calls: set[str] = set()
    for index, message in enumerate(messages):
        role = message.get("role")
        if role not in PARTS:
            yield f"messages[{index}].role {role!r} is not valid"
            return
        yield from _message(message, f"messages[{index}]")
        if role == "tool":
            if message.get("tool_call_id") not in open_calls:
                yield f"messages[{index}]: tool call id {message.get('tool_call_id')!r} not found in previous tool calls"
            open_calls.discard(message.get("tool_call_id"))
        elif open_calls:
            yield f"messages[{index}]: tool calls without a result: {sorted(open_calls)}"
        open_calls |= {call["id"] for call in message.get("tool_calls", ())}
    if messages[-1]["role"] not in ("user", "tool"):
        yield "the last message must be of role user or tool"


def _message(message: dict[str, Any], where: str) -> Iterator[str]:
    role, content = message["role"], message.get("content")
    for name in message.keys() - MESSAGE_KEYS[role]:
        yield f"{where}: unknown field {name}"
    if not content and not message.get("tool_calls"):
        yield f"{where}: all elements in messages must have content"
    for call in message.get("tool_calls", ()):
        if call.keys() != {"id", "type", "function"} or not isinstance(call["function"]["arguments"], str):
            yield f"{where}: invalid tool call"
        elif not isinstance(json.loads(call["function"]["arguments"]), dict):
            yield f"{where}: tool call arguments must be a JSON object"
    for part in content if isinstance(content, list) else ():
        if part.get("type") not in PARTS[role]:
            yield f"{where}: content type {part.get('type')!r} is not allowed for role {role}"
        elif part["type"] == "image_url" and not part["image_url"]["url"].startswith(("data:image/", "http")):
            yield f"{where}: invalid image url"


def _embed_complaints(body: dict[str, Any]) -> Iterator[str]:
    for name in body.keys() - EMBED_FIELDS:
        yield f"unknown field: parameter '{name}' is not a valid field"
    if body.get("input_type") not in INPUT_TYPES:
        yield "valid input_type must be provided with the provided model"
    if sum(bool(body.get(name)) for name in ("texts", "images", "inputs")) != 1:
        yield "exactly one of texts, images, inputs is needed"


def _rerank_complaints(body: dict[str, Any]) -> Iterator[str]:
    for name in ("model", "query", "documents"):
        if not body.get(name):
            yield f"{name} is required"


# ── what is answered ─────────────────────────────────────────────────────────────────────────────────────────────


def _chat(talk: Talk, body: dict[str, Any]) -> None:
    message = _made(body)
    finish = "TOOL_CALL" if "tool_calls" in message else "COMPLETE"
    if not body.get("stream"):
        _send(talk, {"id": "c-1", "finish_reason": finish, "message": message, "usage": USAGE})
        return
    events = list(_events(message, finish))
    lines = [*_COMMON, ("content-type", "text/event-stream"), ("transfer-encoding", "chunked")]
    talk.send(head_of(200, lines, "OK"))
    for index, event in enumerate(events):
        if "cut" in body["model"] and index == len(events) // 2:
            talk.close()
        talk.send(chunk(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()))
    talk.send(chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")


def _made(body: dict[str, Any]) -> dict[str, Any]:
    has_result = any(message["role"] == "tool" for message in body["messages"])
    if body.get("tools") and not has_result and body.get("tool_choice") != "NONE":
        calls = [
            {
                "id": f"{tool['function']['name']}_{number}",
                "type": "function",
                "function": {"name": tool["function"]["name"], "arguments": '{"place":"Paris"}'},
            }
            for number, tool in enumerate(body["tools"])
        ]
        return {"role": "assistant", "tool_plan": "I will ask the tools.", "tool_calls": calls}
    asked = body.get("response_format", {})
    text = '{"answer": "blue"}' if asked.get("type") == "json_object" else TEXT
    content = [{"type": "text", "text": text}]
    if "reasoning" in body["model"] and body.get("thinking", {}).get("type") != "disabled":
        content.insert(0, {"type": "thinking", "thinking": "Waves of light."})
    return {"role": "assistant", "content": content}


def _events(message: dict[str, Any], finish: str) -> Iterator[dict[str, Any]]:
    empty = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    yield {"type": "message-start", "id": "c-1", "delta": {"message": empty}}
    if "tool_plan" in message:
        for piece in re.findall(r"\S+\s*", message["tool_plan"]):
            yield {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": piece}}}
    for index, call in enumerate(message.get("tool_calls", ())):
        start = {**call, "function": {"name": call["function"]["name"], "arguments": ""}}
        yield {"type": "tool-call-start", "index": index, "delta": {"message": {"tool_calls": start}}}
        text = call["function"]["arguments"]
        for at in range(0, len(text), 5):
            piece = {"function": {"arguments": text[at : at + 5]}}
            yield {"type": "tool-call-delta", "index": index, "delta": {"message": {"tool_calls": piece}}}
        yield {"type": "tool-call-end", "index": index}
    for index, part in enumerate(message.get("content", ())):
        kind = part["type"]
        yield {"type": "content-start", "index": index, "delta": {"message": {"content": {"type": kind, kind: ""}}}}
        for piece in re.findall(r"\S+\s*", part[kind]):
            yield {"type": "content-delta", "index": index, "delta": {"message": {"content": {kind: piece}}}}
        yield {"type": "content-end", "index": index}
    yield {"type": "message-end", "id": "c-1", "delta": {"finish_reason": finish, "usage": USAGE}}


def _embed(talk: Talk, body: dict[str, Any]) -> None:
    count = len(body.get("texts") or body.get("inputs") or body.get("images"))
    rows = [[0.25 * (number + 1)] * (body.get("output_dimension") or 8) for number in range(count)]
    found = {"id": "m-1", "embeddings": {"float": rows}, "texts": body.get("texts", [])}
    found["response_type"] = "embeddings_by_type"
    _send(talk, found | {"meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 5.0 * count}}})


def _rerank(talk: Talk, body: dict[str, Any]) -> None:
    results = [{"index": index, "relevance_score": 0.9 - index / 10} for index in range(len(body["documents"]))]
    meta = {"api_version": {"version": "2"}, "billed_units": {"search_units": 1.0}}
    _send(talk, {"id": "r-1", "results": results, "meta": meta})


def _models(talk: Talk, body: dict[str, Any]) -> None:
    del body
    rows = [{"name": name, "endpoints": ["chat"], "context_length": 256000.0, "finetuned": False} for name in MODELS]
    _send(talk, {"models": rows})


_COMMON = [("x-request-id", "req-cohere-1"), ("x-endpoint-monthly-call-limit", "1000")]
_ROUTES = {
    ("POST", "/v2/chat"): _chat,
    ("POST", "/v2/embed"): _embed,
    ("POST", "/v2/rerank"): _rerank,
    ("GET", "/v1/models"): _models,
}
_COMPLAINTS = {"/v2/chat": complaints, "/v2/embed": _embed_complaints, "/v2/rerank": _rerank_complaints}


def _send(talk: Talk, value: Any, status: int = 200, extra: list[tuple[str, str]] = []) -> None:
    data = json.dumps(value).encode()
    lines = [*_COMMON, *extra, ("content-type", "application/json"), ("content-length", str(len(data)))]
    talk.send(head_of(status, lines, "OK" if status == 200 else "Error") + data)
