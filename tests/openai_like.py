"""Canned answers in the shapes of OpenAI's API, for FakeUpstream: deterministic, so that two roads can be compared.

What is answered depends on the request alone. Words of the model name steer it: `error-429` (any status) answers with
that error, `html-502` with an HTML page, `cut` breaks a stream off half way, `hang` stops answering, `nousage` leaves
usage out, `reasoning` adds reasoning tokens, `slow` puts 0.1 s before each event.
"""

from __future__ import annotations

import base64
import json
import re
import struct
from collections.abc import Iterator

from fake_upstream import Talk, chunk, head_of

CREATED = 1_700_000_000
TEXT = "The sky is blue because short waves of light are scattered most."
MODELS = ("gpt-4o-mini", "gpt-4o", "o4-mini", "text-embedding-3-small", "gpt-image-1", "whisper-1", "tts-1")
SPEECH = bytes(range(256)) * 64
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
_CATEGORIES = (
    "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm",
    "self-harm/instructions", "self-harm/intent", "sexual", "sexual/minors", "violence", "violence/graphic",
)  # fmt: skip
_ERRORS = {
    400: ("invalid_request_error", "context_length_exceeded", "This model's maximum context length is 8192 tokens."),
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    404: ("invalid_request_error", "model_not_found", "The model does not exist or you do not have access to it."),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached."),
}


class OpenAILike:
    """A default script for FakeUpstream."""

    def __init__(self, *, gap_s: float = 0.0) -> None:
        self.gap_s = gap_s

    def __call__(self, talk: Talk) -> None:
        raw = talk.body()
        path = talk.request.path
        route = _ROUTES.get((talk.request.method, path.rpartition("/v1")[2]))
        is_multipart = (talk.request.header("content-type") or "").startswith("multipart/form-data")
        try:
            body = (
                multipart_fields(talk.request.header("content-type"), raw) if is_multipart else json.loads(raw or "{}")
            )
        except ValueError:
            send_json(talk, error_of(400, "We could not parse the JSON body of your request."), 400)
            return
        model = str(body.get("model") or "")
        wanted = re.search(r"(error|html)-(\d{3})", model)
        if wanted:
            fail(talk, wanted[1], int(wanted[2]))
        elif "hang" in model and not body.get("stream"):
            talk.hang()
        elif route is None:
            send_json(talk, error_of(404, f"Unknown request URL: {talk.request.method} {path}."), 404)
        else:
            route(self, talk, body)

    def events(self, talk: Talk, events: list[bytes], model: str) -> None:
        """Send a stream, one chunk per event, with the breaks that the model's name asks for."""
        talk.send(
            head_of(200, [*_common(), ("content-type", "text/event-stream"), ("transfer-encoding", "chunked")], "OK")
        )
        gap = 0.1 if "slow" in model else self.gap_s
        for index, event in enumerate(events):
            if index == len(events) // 2 and ("cut" in model or "hang" in model):
                talk.close() if "cut" in model else talk.hang()
            if gap and index:
                talk.wait(gap)
            talk.send(chunk(event))
        talk.send(b"0\r\n\r\n")

    # ── chat ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def chat(self, talk: Talk, body: dict) -> None:
        model = body["model"]
        usage = chat_usage(body)
        if body.get("stream"):
            wants_usage = bool((body.get("stream_options") or {}).get("include_usage"))
            self.events(talk, list(chat_events(body, usage if wants_usage else None)), model)
            return
        choices = [chat_choice(body, index) for index in range(body.get("n") or 1)]
        whole = {"id": "chatcmpl-1", "object": "chat.completion", "created": CREATED, "model": dated(model)}
        whole |= {"choices": choices, "service_tier": "default", "system_fingerprint": "fp_1"}
        if "nousage" not in model:
            whole["usage"] = usage
        send_json(talk, whole)

    def completions(self, talk: Talk, body: dict) -> None:
        usage = {"prompt_tokens": 7, "completion_tokens": 12, "total_tokens": 19}
        base = {"id": "cmpl-1", "object": "text_completion", "created": CREATED, "model": body["model"]}
        if not body.get("stream"):
            choice = {"text": TEXT, "index": 0, "finish_reason": "stop", "logprobs": None}
            send_json(talk, base | {"choices": [choice], "usage": usage})
            return
        pieces = [*words(TEXT), ""]
        finish = [None] * (len(pieces) - 1) + ["stop"]
        events = [
            data_line(base | {"choices": [{"text": piece, "index": 0, "finish_reason": end, "logprobs": None}]})
            for piece, end in zip(pieces, finish, strict=True)
        ]
        if (body.get("stream_options") or {}).get("include_usage"):
            events.append(data_line(base | {"choices": [], "usage": usage}))
        self.events(talk, [*events, b"data: [DONE]\n\n"], body["model"])

    # ── responses ────────────────────────────────────────────────────────────────────────────────────────────────

    def responses(self, talk: Talk, body: dict) -> None:
        if body.get("stream"):
            self.events(talk, list(response_events(body)), body["model"])
        else:
            send_json(talk, response_object(body, "completed", response_output(body)))

    # ── the smaller ones ─────────────────────────────────────────────────────────────────────────────────────────

    def embeddings(self, talk: Talk, body: dict) -> None:
        given = body["input"]
        inputs = given if isinstance(given, list) and given and not isinstance(given[0], int) else [given]
        size = body.get("dimensions") or 8
        rows = []
        for index, _ in enumerate(inputs):
            vector = [round(0.125 * (position % 8) - 0.5 + index / 64, 6) for position in range(size)]
            is_base64 = body.get("encoding_format") == "base64"
            packed = base64.b64encode(struct.pack(f"<{size}f", *vector)).decode()
            rows.append({"object": "embedding", "index": index, "embedding": packed if is_base64 else vector})
        usage = {"prompt_tokens": 5 * len(inputs), "total_tokens": 5 * len(inputs)}
        send_json(talk, {"object": "list", "data": rows, "model": body["model"], "usage": usage})

    def images(self, talk: Talk, body: dict) -> None:
        usage = {
            "input_tokens": 11, "input_tokens_details": {"text_tokens": 11, "image_tokens": 0},
            "output_tokens": 1056, "total_tokens": 1067,
        }  # fmt: skip
        pictures = [{"b64_json": base64.b64encode(PNG).decode()} for _ in range(body.get("n") or 1)]
        send_json(
            talk, {"created": CREATED, "data": pictures, "quality": "medium", "size": "1024x1024", "usage": usage}
        )

    def transcriptions(self, talk: Talk, body: dict) -> None:
        if body.get("response_format") in ("text", "srt", "vtt"):
            send(talk, TEXT.encode() + b"\n", "text/plain; charset=utf-8")
            return
        usage = {"type": "duration", "seconds": 3}
        if "whisper" not in body["model"]:
            usage = {
                "type": "tokens", "input_tokens": 30, "input_token_details": {"audio_tokens": 28, "text_tokens": 2},
                "output_tokens": 13, "total_tokens": 43,
            }  # fmt: skip
        send_json(talk, {"text": TEXT, "usage": usage})

    def speech(self, talk: Talk, body: dict) -> None:
        talk.send(head_of(200, [*_common(), ("content-type", "audio/mpeg"), ("transfer-encoding", "chunked")], "OK"))
        for at in range(0, len(SPEECH), 4096):
            talk.send(chunk(SPEECH[at : at + 4096]))
        talk.send(b"0\r\n\r\n")

    def moderations(self, talk: Talk, body: dict) -> None:
        inputs = body["input"] if isinstance(body["input"], list) else [body["input"]]
        result = {
            "flagged": False,
            "categories": dict.fromkeys(_CATEGORIES, False),
            "category_scores": dict.fromkeys(_CATEGORIES, 0.001),
            "category_applied_input_types": {key: ["text"] for key in _CATEGORIES},
        }
        model = body.get("model") or "omni-moderation-latest"
        send_json(talk, {"id": "modr-1", "model": model, "results": [result] * len(inputs)})

    def upload(self, talk: Talk, body: dict) -> None:
        name, data = body["file"]
        send_json(talk, file_object(name, len(data), body.get("purpose", "batch")))

    def list_files(self, talk: Talk, body: dict) -> None:
        page = {"object": "list", "data": [file_object("a.jsonl", 3, "batch")], "has_more": False}
        send_json(talk, page | {"first_id": "file-1", "last_id": "file-1"})

    def models(self, talk: Talk, body: dict) -> None:
        rows = [{"id": name, "object": "model", "created": CREATED, "owned_by": "openai"} for name in MODELS]
        send_json(talk, {"object": "list", "data": rows})


_ROUTES = {
    ("POST", "/chat/completions"): OpenAILike.chat,
    ("POST", "/completions"): OpenAILike.completions,
    ("POST", "/responses"): OpenAILike.responses,
    ("POST", "/embeddings"): OpenAILike.embeddings,
    ("POST", "/images/generations"): OpenAILike.images,
    ("POST", "/audio/transcriptions"): OpenAILike.transcriptions,
    ("POST", "/audio/speech"): OpenAILike.speech,
    ("POST", "/moderations"): OpenAILike.moderations,
    ("POST", "/files"): OpenAILike.upload,
    ("GET", "/files"): OpenAILike.list_files,
    ("GET", "/models"): OpenAILike.models,
}


# ── sending ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _common() -> list[tuple[str, str]]:
    return [
        ("x-request-id", "req_1"),
        ("openai-processing-ms", "12"),
        ("openai-version", "2020-10-01"),
        ("x-ratelimit-remaining-requests", "99"),
    ]


def send(talk: Talk, body: bytes, content_type: str, status: int = 200) -> None:
    lines = [*_common(), ("content-type", content_type), ("content-length", str(len(body)))]
    talk.send(head_of(status, lines, "OK" if status == 200 else "Error") + body)


def send_json(talk: Talk, value: object, status: int = 200) -> None:
    send(talk, json.dumps(value, ensure_ascii=False).encode(), "application/json", status)


def error_of(status: int, message: str | None = None) -> dict:
    kind, code, text = _ERRORS.get(status, ("server_error", None, "The server had an error."))
    return {"error": {"message": message or text, "type": kind, "param": None, "code": code}}


def fail(talk: Talk, kind: str, status: int) -> None:
    if kind == "html":
        send(talk, b"<html><body><h1>502 Bad Gateway</h1></body></html>", "text/html", status)
        return
    send_json(talk, error_of(status), status)


def data_line(value: object) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


def words(text: str) -> list[str]:
    return re.findall(r"\S+\s*", text)


def dated(model: str) -> str:
    return model + "-2024-07-18" if model == "gpt-4o-mini" else model


def multipart_fields(content_type: str | None, raw: bytes) -> dict:
    """Read multipart/form-data: text fields as str, file fields as (name, bytes)."""
    boundary = re.search(r'boundary="?([^";]+)', content_type or "")[1].encode()
    fields: dict = {}
    for part in raw.split(b"--" + boundary)[1:-1]:
        head, _, data = part[2:-2].partition(b"\r\n\r\n")
        name = re.search(rb'[; ]name="([^"]*)"', head)[1].decode()
        filename = re.search(rb'filename="([^"]*)"', head)
        fields[name] = (filename[1].decode(), data) if filename else data.decode()
    return fields


def file_object(name: str, size: int, purpose: str) -> dict:
    fields = {"id": "file-1", "object": "file", "bytes": size, "created_at": CREATED, "filename": name}
    return fields | {"purpose": purpose, "status": "processed"}


# ── chat ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def chat_usage(body: dict) -> dict:
    reasoning = 8 if "reasoning" in body["model"] else 0
    return {
        "prompt_tokens": 30,
        "completion_tokens": 14 + reasoning,
        "total_tokens": 44 + reasoning,
        "prompt_tokens_details": {"cached_tokens": 10, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": reasoning, "audio_tokens": 0,
            "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0,
        },
    }  # fmt: skip


def tool_arguments(tool: dict) -> str:
    """Arguments after the tool's own schema: every required property gets a value."""
    schema = (tool.get("function") or tool).get("parameters") or {}
    names = schema.get("required") or list(schema.get("properties") or {})[:1]
    kinds = {"integer": 3, "number": 2.5, "boolean": True, "array": [], "object": {}}
    types = schema.get("properties") or {}
    return json.dumps({name: kinds.get(types.get(name, {}).get("type"), "Paris") for name in names})


def wants_tool(body: dict) -> bool:
    """Call a tool on the first turn, speak once its result is there."""
    has_result = any(isinstance(item, dict) and item.get("role") == "tool" for item in body.get("messages") or [])
    return bool(body.get("tools")) and not has_result and body.get("tool_choice") != "none"


def chat_choice(body: dict, index: int) -> dict:
    message: dict = {"role": "assistant", "content": TEXT, "refusal": None, "annotations": []}
    if wants_tool(body):
        message["content"] = None
        message["tool_calls"] = [
            {
                "id": f"call_{number}", "type": "function",
                "function": {"name": tool["function"]["name"], "arguments": tool_arguments(tool)},
            }
            for number, tool in enumerate(body["tools"])
        ]  # fmt: skip
    elif (body.get("response_format") or {}).get("type") in ("json_object", "json_schema"):
        message["content"] = '{"answer": "blue"}'
    finish = "tool_calls" if wants_tool(body) else "stop"
    return {"index": index, "message": message, "logprobs": None, "finish_reason": finish}


def chat_deltas(body: dict, index: int) -> Iterator[dict]:
    message = chat_choice(body, index)["message"]
    yield {"role": "assistant", "content": None if wants_tool(body) else "", "refusal": None}
    for number, call in enumerate(message.get("tool_calls") or []):
        function = call["function"]
        yield {"tool_calls": [{"index": number, **call, "function": {"name": function["name"], "arguments": ""}}]}
        text = function["arguments"]
        for at in range(0, len(text), 5):
            yield {"tool_calls": [{"index": number, "function": {"arguments": text[at : at + 5]}}]}
    for piece in words(message["content"] or ""):
        yield {"content": piece}


def chat_events(body: dict, usage: dict | None) -> Iterator[bytes]:
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": CREATED, "model": dated(body["model"])}
    base |= {"service_tier": "default", "system_fingerprint": "fp_1"}
    tail = {"usage": None} if usage else {}
    for index in range(body.get("n") or 1):
        finish = chat_choice(body, index)["finish_reason"]
        for delta in chat_deltas(body, index):
            choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}
            yield data_line(base | {"choices": [choice]} | tail)
        choice = {"index": index, "delta": {}, "logprobs": None, "finish_reason": finish}
        yield data_line(base | {"choices": [choice]} | tail)
    if usage:
        yield data_line(base | {"choices": [], "usage": usage})
    yield b"data: [DONE]\n\n"


# ── responses ────────────────────────────────────────────────────────────────────────────────────────────────────


def response_output(body: dict) -> list[dict]:
    given = body.get("input")
    items = given if isinstance(given, list) else []
    has_result = any(isinstance(item, dict) and item.get("type") == "function_call_output" for item in items)
    functions = [tool for tool in body.get("tools") or [] if tool.get("type") == "function"]
    if functions and not has_result:
        return [
            {
                "type": "function_call", "id": f"fc_{number}", "call_id": f"call_{number}", "name": tool["name"],
                "arguments": tool_arguments(tool), "status": "completed",
            }
            for number, tool in enumerate(functions)
        ]  # fmt: skip
    text = {"type": "output_text", "text": TEXT, "annotations": [], "logprobs": []}
    message = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [text]}
    if "reasoning" not in body["model"]:
        return [message]
    summary = [{"type": "summary_text", "text": "Thinking about light."}]
    return [{"type": "reasoning", "id": "rs_1", "summary": summary}, message]


def response_object(body: dict, status: str, output: list[dict]) -> dict:
    usage = None
    if status == "completed":
        usage = {
            "input_tokens": 30, "input_tokens_details": {"cached_tokens": 10, "cache_write_tokens": 0},
            "output_tokens": 22, "output_tokens_details": {"reasoning_tokens": 8}, "total_tokens": 52,
        }  # fmt: skip
    return {
        "id": "resp_1", "object": "response", "created_at": CREATED, "status": status, "error": None,
        "incomplete_details": None, "instructions": body.get("instructions"), "max_output_tokens": None,
        "metadata": body.get("metadata") or {}, "model": dated(body["model"]), "output": output,
        "parallel_tool_calls": True, "previous_response_id": body.get("previous_response_id"),
        "reasoning": {"effort": None, "summary": None}, "service_tier": "default", "store": True, "temperature": 1.0,
        "text": {"format": {"type": "text"}}, "tool_choice": body.get("tool_choice") or "auto",
        "tools": body.get("tools") or [], "top_p": 1.0, "truncation": "disabled", "usage": usage, "user": None,
    }  # fmt: skip


def response_events(body: dict) -> Iterator[bytes]:
    """Name every event of a whole stream, numbered, in the order of the API."""
    output = response_output(body)
    begun = response_object(body, "in_progress", [])
    events: list[tuple[str, dict]] = [("response.created", {"response": begun})]
    events.append(("response.in_progress", {"response": begun}))
    for index, item in enumerate(output):
        events += _item_events(item, index)
    events.append(("response.completed", {"response": response_object(body, "completed", output)}))
    for number, (name, fields) in enumerate(events):
        payload = json.dumps({"type": name, "sequence_number": number, **fields}, ensure_ascii=False)
        yield f"event: {name}\ndata: {payload}\n\n".encode()


def _item_events(item: dict, index: int) -> Iterator[tuple[str, dict]]:
    at = {"item_id": item["id"], "output_index": index}
    empty = {"message": {"content": []}, "function_call": {"arguments": ""}, "reasoning": {"summary": []}}[item["type"]]
    status = {"status": "in_progress"} if "status" in item else {}
    yield "response.output_item.added", {"output_index": index, "item": item | empty | status}
    if item["type"] == "function_call":
        text = item["arguments"]
        for start in range(0, len(text), 6):
            yield "response.function_call_arguments.delta", {**at, "delta": text[start : start + 6]}
        yield "response.function_call_arguments.done", {**at, "name": item["name"], "arguments": text}
    elif item["type"] == "reasoning":
        yield from _reasoning_events(item["summary"][0], at | {"summary_index": 0})
    else:
        yield from _text_events(item["content"][0], at | {"content_index": 0})
    yield "response.output_item.done", {"output_index": index, "item": item}


def _reasoning_events(part: dict, at: dict) -> Iterator[tuple[str, dict]]:
    yield "response.reasoning_summary_part.added", {**at, "part": part | {"text": ""}}
    for piece in words(part["text"]):
        yield "response.reasoning_summary_text.delta", {**at, "delta": piece}
    yield "response.reasoning_summary_text.done", {**at, "text": part["text"]}
    yield "response.reasoning_summary_part.done", {**at, "part": part}


def _text_events(part: dict, at: dict) -> Iterator[tuple[str, dict]]:
    yield "response.content_part.added", {**at, "part": part | {"text": ""}}
    for piece in words(part["text"]):
        yield "response.output_text.delta", {**at, "delta": piece, "logprobs": []}
    yield "response.output_text.done", {**at, "text": part["text"], "logprobs": []}
    yield "response.content_part.done", {**at, "part": part}
