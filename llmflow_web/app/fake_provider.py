"""A provider that needs no key and no network: OpenAI-dialect answers from a script, on a loopback port.

It stands in for every vendor of the demo. Built on the standard library's server on purpose: what the demo proves about
our proxy must not rest on our own HTTP code at both ends.
"""

from __future__ import annotations

import json
import threading
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

JSON = dict[str, Any]

CHARACTERS_PER_TOKEN = 4
TOKENS_PER_IMAGE = 85
VECTOR_SIZE = 256
_NO_USAGE_QUESTION = frozenset({"mistral"})  # reports usage on the last chunk without being asked


@dataclass(frozen=True, slots=True)
class Answer:
    """What the fake provider says to one prompt."""

    text: str = ""
    model: str | None = None  # the model that answers, where it differs from the one asked for
    tool_calls: tuple[tuple[str, str, JSON], ...] = ()  # (id, name, arguments)
    reasoning_tokens: int = 0
    cached_tokens: int = 0
    status: int = 200
    error_type: str = ""
    cut_after: int | None = None  # chunks after which the connection breaks
    thinking_s: float = 0.25  # before the first byte
    pace_s: float = 0.02  # between two chunks


_NOT_SCRIPTED = Answer("This is the demo's own provider, not a model: beyond its script it says nothing but this.")
"""To chats that are not the demo's: people try their own programs, and docs/examples, with it."""

_UNKNOWN = Answer(status=404, error_type="invalid_request_error", text="The script has no such prompt.")


def prompt_key(request: Mapping[str, Any]) -> str:
    """Return what an answer is found by: the model and what it is asked."""
    asked = request.get("messages") or request.get("input")
    return json.dumps([request.get("model"), asked], sort_keys=True)


def usage_of(request: JSON, answer: Answer) -> JSON:
    """Count tokens the way the fake provider bills them."""
    if "input" in request and "messages" not in request:
        count = sum(_tokens(text) for text in request["input"])
        return {"prompt_tokens": count, "total_tokens": count}
    prompt = sum(_message_tokens(message) for message in request["messages"]) + 3
    prompt += _tokens(json.dumps(request["tools"])) if "tools" in request else 0
    completion = _tokens(answer.text) + answer.reasoning_tokens
    completion += sum(_tokens(name + json.dumps(arguments)) + 6 for _, name, arguments in answer.tool_calls)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": min(answer.cached_tokens, prompt), "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": answer.reasoning_tokens, "audio_tokens": 0},
    }


class FakeProvider:
    """The server: `url` is its root; the first path segment is the vendor it plays."""

    def __init__(self, answers: Mapping[str, Answer], *, speed: float = 1.0) -> None:
        """Answer from `answers` (by `prompt_key`). speed: 2.0 = twice as fast as a real provider."""
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.answers = answers
        self._server.speed = speed
        self._thread = threading.Thread(target=self._server.serve_forever, name="fake-provider", daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """End; connections that are open are dropped."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    answers: Mapping[str, Answer]
    speed: float


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 30
    server: _Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing: the proxy's own line per call is the log."""

    def do_POST(self) -> None:
        """Answer one call."""
        request: JSON = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = self.server.answers.get(prompt_key(request))
        if answer is None:
            answer = _NOT_SCRIPTED if self.path.endswith("/chat/completions") else _UNKNOWN
        self._wait(answer.thinking_s)
        if answer.status != 200:
            self._send_error(answer)
        elif self.path.endswith("/embeddings"):
            self._send_json(200, _embeddings(request, answer))
        elif request.get("stream"):
            self._stream(request, answer)
        else:
            self._send_json(200, _completion(request, answer))

    def _stream(self, request: JSON, answer: Answer) -> None:
        self.send_response(200)
        self._send_common_headers("text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        vendor = self.path.split("/")[1]
        for number, chunk in enumerate(_chunks(request, answer, vendor)):
            if answer.cut_after is not None and number >= answer.cut_after:
                self.close_connection = True  # without the last chunk: a cut, not an end
                return
            self._send_chunk(f"data: {json.dumps(chunk)}\n\n")
            self._wait(answer.pace_s)
        self._send_chunk("data: [DONE]\n\n")
        self.wfile.write(b"0\r\n\r\n")

    def _send_chunk(self, text: str) -> None:
        data = text.encode()
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    def _send_error(self, answer: Answer) -> None:
        error = {"message": answer.text, "type": answer.error_type, "param": None, "code": answer.error_type}
        self._send_json(answer.status, {"error": error}, retry_after="2" if answer.status == 429 else None)

    def _send_json(self, status: int, value: JSON, *, retry_after: str | None = None) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self._send_common_headers("application/json")
        if retry_after is not None:
            self.send_header("Retry-After", retry_after)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _send_common_headers(self, content_type: str) -> None:
        self.send_header("Content-Type", content_type)
        self.send_header("x-request-id", f"req_{time.time_ns():x}")
        self.send_header("openai-processing-ms", "212")

    def _wait(self, seconds: float) -> None:
        time.sleep(seconds / self.server.speed)


# ── the dialect ──────────────────────────────────────────────────────────────────────────────────────────────────


def _envelope(request: JSON, answer: Answer, kind: str) -> JSON:
    identity = f"{zlib.crc32(prompt_key(request).encode()):08x}{time.time_ns() & 0xFFFFFFFF:08x}"
    return {
        "id": f"chatcmpl-{identity}",
        "object": kind,
        "created": int(time.time()),
        "model": answer.model or request["model"],
    }


def _completion(request: JSON, answer: Answer) -> JSON:
    message: JSON = {"role": "assistant", "content": answer.text or None, "refusal": None}
    if answer.tool_calls:
        message["tool_calls"] = [_tool_call(call) for call in answer.tool_calls]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish_reason(answer)}
    return _envelope(request, answer, "chat.completion") | {
        "choices": [choice],
        "usage": usage_of(request, answer),
        "service_tier": "default",
    }


def _chunks(request: JSON, answer: Answer, vendor: str) -> Iterator[JSON]:
    base = _envelope(request, answer, "chat.completion.chunk")

    def chunk(delta: JSON, finish_reason: str | None = None) -> JSON:
        return base | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}

    yield chunk({"role": "assistant", "content": ""})
    for piece in _pieces(answer.text):
        yield chunk({"content": piece})
    for index, call in enumerate(answer.tool_calls):
        whole = _tool_call(call) | {"index": index}
        arguments = whole["function"]["arguments"]
        yield chunk({"tool_calls": [whole | {"function": {"name": call[1], "arguments": ""}}]})
        for start in range(0, len(arguments), 12):
            part = {"index": index, "function": {"arguments": arguments[start : start + 12]}}
            yield chunk({"tool_calls": [part]})
    last = chunk({}, _finish_reason(answer))
    if vendor in _NO_USAGE_QUESTION:
        yield last | {"usage": usage_of(request, answer)}
        return
    yield last
    if (request.get("stream_options") or {}).get("include_usage"):
        yield base | {"choices": [], "usage": usage_of(request, answer)}


def _pieces(text: str) -> Iterator[str]:
    """Cut a text the way models do: a word with its leading space at a time."""
    start = 0
    while start < len(text):
        end = text.find(" ", start + 1)
        end = len(text) if end < 0 else end
        yield text[start:end]
        start = end


def _tool_call(call: tuple[str, str, JSON]) -> JSON:
    identity, name, arguments = call
    return {"id": identity, "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}


def _finish_reason(answer: Answer) -> str:
    return "tool_calls" if answer.tool_calls else "stop"


def _embeddings(request: JSON, answer: Answer) -> JSON:
    rows = [
        {"object": "embedding", "index": index, "embedding": _vector(text, request.get("dimensions", VECTOR_SIZE))}
        for index, text in enumerate(request["input"])
    ]
    model = answer.model or request["model"]
    return {"object": "list", "data": rows, "model": model, "usage": usage_of(request, answer)}


def _vector(text: str, size: int) -> list[float]:
    return [round(((ord(text[i % len(text)]) * (i + 7)) % 199 - 99) / 990, 6) for i in range(size)]


def _message_tokens(message: JSON) -> int:
    content = message.get("content") or ""
    count = 4 + (_tokens(json.dumps(message["tool_calls"])) if "tool_calls" in message else 0)
    if isinstance(content, str):
        return count + _tokens(content)
    return count + sum(_tokens(part["text"]) if part["type"] == "text" else TOKENS_PER_IMAGE for part in content)


def _tokens(text: str) -> int:
    return max(1, round(len(text) / CHARACTERS_PER_TOKEN)) if text else 0
