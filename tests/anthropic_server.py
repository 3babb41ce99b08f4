"""Canned answers in the shapes of Anthropic's API, for FakeUpstream, which refuse what the real one refuses.

What is answered depends on the request alone. Tools that are offered are used, all at once; with "one by one" in the
first text, one after the other. A model named `error-429` (any status) answers with that error, `html-502` with a page,
`cut` breaks a stream off, `endless` leaves message_stop out, `stumbles` ends with an error event. The usage of every
message is that of the price sheet's example: 1200 tokens of input, 2000 read from the cache, 800 written, 800 out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from anthropic_like import complaint
from fake_upstream import Talk, chunk, head_of
from json_sample import sample_of

TEXT = "It is sunny in Kiel — and mild 🌊."
THOUGHT = "The user asks about the weather."
MODELS = ("claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001")
INPUT_USAGE = {
    "input_tokens": 1200, "cache_read_input_tokens": 2000, "cache_creation_input_tokens": 800,
    "cache_creation": {"ephemeral_5m_input_tokens": 500, "ephemeral_1h_input_tokens": 300},
}  # fmt: skip
USAGE = {**INPUT_USAGE, "output_tokens": 800, "service_tier": "standard"}
_ERRORS = {
    400: ("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
    401: ("authentication_error", "invalid x-api-key"),
    403: ("permission_error", "Your API key does not have permission to use the specified resource."),
    404: ("not_found_error", "model: error-404"),
    413: ("request_too_large", "Request exceeds the maximum size"),
    429: ("rate_limit_error", "This request would exceed your rate limit."),
    529: ("overloaded_error", "Overloaded"),
}
_VERSIONS = ("2023-06-01", "2026-10-21")


class AnthropicLike:
    """A default script for FakeUpstream."""

    def __call__(self, talk: Talk) -> None:
        raw = talk.body()
        method, path = talk.request.method, talk.request.path
        if (refusal := _head_refusal(talk)) is not None:
            fail(talk, *refusal)
        elif (method, path) == ("GET", "/v1/models"):
            rows = [model_of(name) for name in MODELS]
            send_json(talk, {"data": rows, "has_more": False, "first_id": MODELS[0], "last_id": MODELS[-1]})
        elif method == "GET" and path.startswith("/v1/models/"):
            send_json(talk, model_of(path.rpartition("/")[2]))
        elif (method, path) == ("POST", "/v1/messages"):
            _messages(talk, json.loads(raw))
        elif (method, path) == ("POST", "/v1/messages/count_tokens"):
            send_json(talk, {"input_tokens": 31})
        else:
            fail(talk, 404, "Not Found")


def model_of(name: str) -> dict:
    return {"type": "model", "id": name, "display_name": name, "created_at": "2025-09-29T00:00:00Z"}


def _head_refusal(talk: Talk) -> tuple[int, str] | None:
    key, bearer = talk.request.header("x-api-key"), talk.request.header("authorization")
    if key is None and bearer is None:
        return 401, "x-api-key header is required"
    if "bad" in (key or bearer or ""):
        return 401, "invalid x-api-key"
    if talk.request.header("anthropic-version") not in _VERSIONS:
        return 400, "anthropic-version: header is required"
    return None


def _messages(talk: Talk, body: dict) -> None:
    wanted = re.search(r"(error|html)-(\d{3})", str(body.get("model")))
    names = {"temperature", "top_p", "top_k"} & body.keys()
    if wanted and wanted[1] == "html":
        send(talk, b"<html><h1>502 Bad Gateway</h1></html>", "text/html", int(wanted[2]))
    elif wanted:
        fail(talk, int(wanted[2]))
    elif names and talk.request.header("anthropic-version") == "2026-10-21":
        fail(talk, 400, f"{names} are not supported in this version")
    elif (wrong := complaint(body)) is not None:
        fail(talk, 400, wrong)
    elif body.get("stream"):
        _stream(talk, list(events(body)), body["model"])
    else:
        send_json(talk, whole(body))


# ── answers ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def blocks_of(body: dict) -> list[dict]:
    found: list[dict] = []
    if (body.get("thinking") or {}).get("type") in ("enabled", "adaptive"):
        found.append({"type": "thinking", "thinking": THOUGHT, "signature": "c2lnbmVk"})
    calls = calls_of(body)
    if calls:
        said = [] if (body.get("tool_choice") or {}).get("type") == "tool" else [{"type": "text", "text": "I look."}]
        return [*found, *said, *calls]
    form = (body.get("output_config") or {}).get("format")
    return [*found, {"type": "text", "text": json.dumps(sample_of(form["schema"])) if form else TEXT}]


def calls_of(body: dict) -> list[dict]:
    tools = [tool for tool in body.get("tools") or [] if tool.get("type", "custom") == "custom"]
    choice = body.get("tool_choice") or {"type": "auto"}
    blocks = [
        block for message in body["messages"] if isinstance(message["content"], list) for block in message["content"]
    ]
    done = sum(block["type"] == "tool_result" for block in blocks)
    first = body["messages"][0]["content"]
    text = first if isinstance(first, str) else next((block["text"] for block in first if "text" in block), "")
    if choice["type"] == "tool":
        tools = [tool for tool in tools if tool["name"] == choice["name"]]
    elif choice["type"] == "none" or (done and "one by one" not in text):
        return []
    elif "one by one" in text:
        tools = tools[done : done + 1]
    return [
        {
            "type": "tool_use", "id": f"toolu_{done + index}", "name": tool["name"],
            "input": sample_of(tool["input_schema"]),
        }
        for index, tool in enumerate(tools)
    ]  # fmt: skip


def whole(body: dict) -> dict:
    blocks = blocks_of(body)
    reason = "tool_use" if blocks[-1]["type"] == "tool_use" else "end_turn"
    return {
        "id": "msg_01Like", "type": "message", "role": "assistant", "model": dated(body["model"]), "content": blocks,
        "stop_reason": reason, "stop_sequence": None, "usage": USAGE,
    }  # fmt: skip


def dated(model: str) -> str:
    return model + "-20250929" if model == "claude-sonnet-4-5" else model


def events(body: dict) -> Iterator[dict]:
    message = whole(body)
    begun = {**message, "content": [], "stop_reason": None, "usage": {**INPUT_USAGE, "output_tokens": 2}}
    yield {"type": "message_start", "message": begun}
    for index, block in enumerate(message["content"]):
        yield from _block_events(index, block)
        yield {"type": "ping"}
    if "stumbles" in body["model"]:
        yield {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
        return
    delta = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    yield {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 800}}
    if "endless" not in body["model"]:
        yield {"type": "message_stop"}


def _block_events(index: int, block: dict) -> Iterator[dict]:
    empty = {"text": {"text": ""}, "tool_use": {"input": {}}, "thinking": {"thinking": "", "signature": ""}}
    yield {"type": "content_block_start", "index": index, "content_block": block | empty[block["type"]]}
    if block["type"] == "text":
        deltas = [{"type": "text_delta", "text": text} for text in re.findall(r"\S+\s*", block["text"])]
    elif block["type"] == "thinking":
        deltas = [{"type": "thinking_delta", "thinking": text} for text in re.findall(r"\S+\s*", block["thinking"])]
        deltas.append({"type": "signature_delta", "signature": block["signature"]})
    else:
        text = json.dumps(block["input"])
        deltas = [{"type": "input_json_delta", "partial_json": text[at : at + 5]} for at in range(0, len(text), 5)]
        deltas.insert(0, {"type": "input_json_delta", "partial_json": ""})
    for delta in deltas:
        yield {"type": "content_block_delta", "index": index, "delta": delta}
    yield {"type": "content_block_stop", "index": index}


def wire_of(event: dict) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n".encode()


def _stream(talk: Talk, found: list[dict], model: str) -> None:
    lines = [*_common(), ("content-type", "text/event-stream; charset=utf-8"), ("transfer-encoding", "chunked")]
    talk.send(head_of(200, lines, "OK"))
    for index, event in enumerate(found):
        if "cut" in model and index == len(found) // 2:
            talk.close()
        talk.send(chunk(wire_of(event)))
    talk.send(b"0\r\n\r\n")


# ── sending ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _common() -> list[tuple[str, str]]:
    return [("request-id", "req_011Like"), ("anthropic-ratelimit-requests-remaining", "49")]


def send(talk: Talk, body: bytes, content_type: str, status: int = 200, *more: tuple[str, str]) -> None:
    lines = [*_common(), ("content-type", content_type), ("content-length", str(len(body))), *more]
    talk.send(head_of(status, lines, "OK" if status == 200 else "Error") + body)


def send_json(talk: Talk, value: object, status: int = 200, *more: tuple[str, str]) -> None:
    send(talk, json.dumps(value, ensure_ascii=False).encode(), "application/json", status, *more)


def fail(talk: Talk, status: int, message: str | None = None) -> None:
    kind, text = _ERRORS.get(status, ("api_error", "Internal server error"))
    error = {"type": "error", "error": {"type": kind, "message": message or text}, "request_id": "req_011Like"}
    send_json(talk, error, status, *([("retry-after", "7")] if status == 429 else []))
