"""Canned answers in the shapes of Gemini's API, for FakeUpstream, which refuse what the real one refuses.

What is answered depends on the request alone. Functions that are declared are called, all at once; with "one by one" in
the first text, one after the other. A model named `error-429` (any status) answers with that error, `html-502` with a
page, `cut` breaks a stream off, `endless` leaves its last event out. The usage of every chat is that of the price
sheet's example: 3000 prompt tokens (1000 cached, 500 audio), 800 visible and 700 of thoughts.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator

from fake_upstream import Talk, chunk, head_of
from json_sample import sample_of

TEXT = "It is sunny in Kiel — and mild 🌊."
THOUGHT = "The user asks about the weather."
MODELS = ("gemini-2.5-flash", "gemini-2.5-pro", "gemini-embedding-001")
USAGE = {
    "promptTokenCount": 3000, "cachedContentTokenCount": 1000, "candidatesTokenCount": 800, "thoughtsTokenCount": 700,
    "totalTokenCount": 4500,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 2500}, {"modality": "AUDIO", "tokenCount": 500}],
}  # fmt: skip
_EARLY_USAGE = {"promptTokenCount": 3000, "candidatesTokenCount": 4, "totalTokenCount": 3004}
_ERRORS = {
    400: ("INVALID_ARGUMENT", "Request contains an invalid argument."),
    401: ("UNAUTHENTICATED", "Request had invalid authentication credentials."),
    403: ("PERMISSION_DENIED", "Method doesn't allow unregistered callers."),
    404: ("NOT_FOUND", "models/error-404 is not found for API version v1beta."),
    429: ("RESOURCE_EXHAUSTED", "You exceeded your current quota."),
    503: ("UNAVAILABLE", "The model is overloaded. Please try again later."),
}
_METHOD = re.compile(r"/v1(?:beta)?/models/([^/:]+):(\w+)$")


class GeminiLike:
    """A default script for FakeUpstream."""

    def __call__(self, talk: Talk) -> None:
        raw = talk.body()
        path, _, query = talk.request.target.partition("?")
        refusal = _key_refusal(talk, query)
        if refusal is not None:
            send_json(talk, refusal, refusal["error"]["code"])
            return
        if talk.request.method == "GET" and path.endswith("/models"):
            send_json(talk, {"models": [{"name": f"models/{name}", "displayName": name} for name in MODELS]})
            return
        found = _METHOD.search(path)
        if found is None or talk.request.method != "POST":
            send(talk, b"<!DOCTYPE html><title>Error 404 (Not Found)!!1</title>", "text/html; charset=UTF-8", 404)
            return
        self._method(talk, found[1], found[2], camel(json.loads(raw)), is_sse="alt=sse" in query)

    def _method(self, talk: Talk, model: str, method: str, body: dict, *, is_sse: bool) -> None:
        is_array = method == "streamGenerateContent" and not is_sse
        wanted = re.search(r"(error|html)-(\d{3})", model)
        if wanted and wanted[1] == "html":
            send(talk, b"<html><h1>502. That's an error.</h1></html>", "text/html; charset=UTF-8", int(wanted[2]))
        elif wanted:
            refuse(talk, error_of(int(wanted[2])), is_array=is_array)
        elif method == "countTokens":
            send_json(talk, {"totalTokens": 31})
        elif method in ("embedContent", "batchEmbedContents"):
            _embed(talk, method, body)
        elif (wrong := complaint(body, model)) is not None:
            refuse(talk, error_of(400, wrong), is_array=is_array)
        elif method == "generateContent":
            send_json(talk, whole(body, model))
        else:
            _stream(talk, list(events(body, model)), model, is_sse=is_sse)


_FREE = {"args", "response", "parameters", "parametersJsonSchema", "responseSchema", "responseJsonSchema"}


def camel(value: object) -> object:
    """Spell members as the API documents them; it takes snake_case as well, and Google's own SDK mixes both."""
    if isinstance(value, list):
        return [camel(item) for item in value]
    if not isinstance(value, dict):
        return value
    spelt = {re.sub(r"_([a-z])", lambda found: found[1].upper(), name): inner for name, inner in value.items()}
    return {name: inner if name in _FREE else camel(inner) for name, inner in spelt.items()}


def _key_refusal(talk: Talk, query: str) -> dict | None:
    bearer = talk.request.header("authorization")
    key = talk.request.header("x-goog-api-key") or (re.search(r"(?:^|&)key=([^&]*)", query) or [None, None])[1]
    if bearer is not None and not bearer.startswith("Bearer ya29."):
        return error_of(401)
    if key is None and bearer is None:
        return error_of(403)
    if key is not None and "bad" in key:
        info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
        return error_of(400, "API key not valid. Please pass a valid API key.", [info])
    return None


def _embed(talk: Talk, method: str, body: dict) -> None:
    if method == "embedContent":
        size = body.get("outputDimensionality") or 4
        send_json(talk, {"embedding": {"values": [0.5] * size}, "usageMetadata": {"promptTokenCount": 3}})
        return
    size = body["requests"][0].get("outputDimensionality") or 4
    rows = [{"values": [index + 0.25] * size} for index, _ in enumerate(body["requests"])]
    send_json(talk, {"embeddings": rows, "usageMetadata": {"promptTokenCount": 3 * len(rows)}})


# ── answers ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def parts_of(body: dict, model: str) -> list[dict]:
    config = body.get("generationConfig") or {}
    found: list[dict] = []
    if (config.get("thinkingConfig") or {}).get("includeThoughts"):
        found.append({"text": THOUGHT, "thought": True})
    calls = calls_of(body)
    if calls:
        first = {**calls[0], "thoughtSignature": base64.b64encode(b"signed").decode()} if "-3" in model else calls[0]
        return [*found, first, *calls[1:]]
    schema = config.get("responseJsonSchema") or config.get("responseSchema")
    is_json = config.get("responseMimeType") == "application/json"
    return [*found, {"text": json.dumps(sample_of(schema or {})) if is_json else TEXT}]


def calls_of(body: dict) -> list[dict]:
    functions = [function for tool in body.get("tools") or [] for function in tool.get("functionDeclarations") or []]
    calling = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
    done = sum("functionResponse" in part for content in body["contents"] for part in content["parts"])
    text = next((part["text"] for part in body["contents"][0]["parts"] if "text" in part), "")
    if calling.get("mode") == "NONE" or (done and "one by one" not in text):
        return []
    if "one by one" in text:
        functions = functions[done : done + 1]
    if calling.get("allowedFunctionNames"):
        functions = [function for function in functions if function["name"] in calling["allowedFunctionNames"]]
    schemas = [function.get("parametersJsonSchema") or function.get("parameters") or {} for function in functions]
    return [
        {"functionCall": {"id": f"fc{done + index}", "name": function["name"], "args": sample_of(schema)}}
        for index, (function, schema) in enumerate(zip(functions, schemas, strict=True))
    ]


def whole(body: dict, model: str) -> dict:
    content = {"role": "model", "parts": parts_of(body, model)}
    candidate = {"content": content, "finishReason": "STOP", "avgLogprobs": -0.1}
    count = (body.get("generationConfig") or {}).get("candidateCount") or 1
    rows = [candidate | ({"index": index} if index else {}) for index in range(count)]
    return {"candidates": rows, "usageMetadata": USAGE, "modelVersion": model, "responseId": "resp-1"}


def events(body: dict, model: str) -> Iterator[dict]:
    tail = {"modelVersion": model, "responseId": "resp-1"}
    for part in parts_of(body, model):
        texts = re.findall(r"\S+\s*", part["text"]) if "text" in part else [None]
        for text in texts:
            piece = part if text is None else part | {"text": text}
            candidate = {"content": {"role": "model", "parts": [piece]}}
            yield {"candidates": [candidate], "usageMetadata": _EARLY_USAGE} | tail
    if "endless" not in model:
        last = {"content": {"role": "model", "parts": [{"text": ""}]}, "finishReason": "STOP"}
        yield {"candidates": [last], "usageMetadata": USAGE} | tail


def _stream(talk: Talk, found: list[dict], model: str, *, is_sse: bool) -> None:
    kind = "text/event-stream" if is_sse else "application/json; charset=UTF-8"
    talk.send(head_of(200, [("content-type", kind), ("transfer-encoding", "chunked")], "OK"))
    for index, event in enumerate(found):
        if "cut" in model and index == len(found) // 2:
            talk.close()
        text = json.dumps(event, ensure_ascii=False)
        framed = f"data: {text}\r\n\r\n" if is_sse else ("[" if index == 0 else ",\r\n") + text
        talk.send(chunk(framed.encode()))
    talk.send(b"0\r\n\r\n" if is_sse else chunk(b"]") + b"0\r\n\r\n")


# ── sending ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def send(talk: Talk, body: bytes, content_type: str, status: int = 200) -> None:
    lines = [("content-type", content_type), ("server-timing", "gfet4t7; dur=9"), ("content-length", str(len(body)))]
    talk.send(head_of(status, lines, "OK" if status == 200 else "Error") + body)


def send_json(talk: Talk, value: object, status: int = 200) -> None:
    send(talk, json.dumps(value, ensure_ascii=False, indent=1).encode(), "application/json; charset=UTF-8", status)


def refuse(talk: Talk, error: dict, *, is_array: bool) -> None:
    send_json(talk, [error] if is_array else error, error["error"]["code"])


def error_of(status: int, message: str | None = None, details: list[dict] | None = None) -> dict:
    word, text = _ERRORS.get(status, ("INTERNAL", "An internal error has occurred."))
    error = {"code": status, "message": message or text, "status": word}
    if status == 429:
        details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "16.2s"}]
    return {"error": error | ({"details": details} if details else {})}


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────────────────────

FIELDS = {
    "contents", "systemInstruction", "tools", "toolConfig", "safetySettings", "generationConfig", "cachedContent",
    "serviceTier", "store",
}  # fmt: skip
CONFIG = {
    "temperature", "topP", "topK", "candidateCount", "maxOutputTokens", "stopSequences", "seed", "presencePenalty",
    "frequencyPenalty", "responseLogprobs", "logprobs", "responseMimeType", "responseSchema", "responseJsonSchema",
    "responseModalities", "speechConfig", "mediaResolution", "imageConfig", "thinkingConfig",
}  # fmt: skip
DATA = {
    "text": None,
    "inlineData": {"mimeType", "data", "displayName"},
    "fileData": {"mimeType", "fileUri", "displayName"},
    "functionCall": {"id", "name", "args"},
    "functionResponse": {"id", "name", "response", "parts"},
    "executableCode": {"language", "code", "id"},
    "codeExecutionResult": {"outcome", "output", "id"},
}
BESIDE = {"thought", "thoughtSignature", "videoMetadata", "mediaResolution"}
DECLARATION = {"name", "description", "parameters", "parametersJsonSchema", "response", "responseJsonSchema"}
TOOLS = {"functionDeclarations", "googleSearch", "codeExecution", "urlContext"}
NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}$")


def complaint(body: dict, model: str = "gemini-2.5-flash") -> str | None:
    """Return why generateContent would answer 400, None when it would not."""
    return next(_complaints(body, model), None)


def _complaints(body: dict, model: str) -> Iterator[str]:
    yield from _unknown(body, FIELDS, "")
    contents = body.get("contents")
    if not isinstance(contents, list) or not contents:
        yield "* GenerateContentRequest.contents: contents is not specified"
        return
    for part in (body.get("systemInstruction") or {}).get("parts", ()):
        yield from _part(part, "system_instruction")
    yield from _turns(contents)
    yield from _signatures(contents, model)
    yield from _tools(body)
    yield from _config(body.get("generationConfig") or {}, model)


def _unknown(value: dict, known: set[str], place: str) -> Iterator[str]:
    for name in value.keys() - known:
        yield f"Invalid JSON payload received. Unknown name \"{name}\" at '{place}': Cannot find field."


def _turns(contents: list[dict]) -> Iterator[str]:
    open_calls: list[str] = []
    last_role = None
    for index, content in enumerate(contents):
        yield from _unknown(content, {"role", "parts"}, f"contents[{index}]")
        role, parts = content.get("role", "user"), content.get("parts")
        if role not in ("user", "model"):
            yield "Please use a valid role: user, model."
        if not parts:
            yield f"* GenerateContentRequest.contents[{index}].parts: contents.parts must not be empty."
            return
        for part in parts:
            yield from _part(part, f"contents[{index}]")
        calls = [part["functionCall"]["name"] for part in parts if "functionCall" in part]
        results = [part["functionResponse"]["name"] for part in parts if "functionResponse" in part]
        if sorted(results) != sorted(open_calls):
            yield (
                "Please ensure that the number of function response parts is equal to the number of function call "
                "parts of the function call turn."
            )
        if calls and (role != "model" or last_role != "user"):
            yield "Please ensure that function call turn comes immediately after a user turn."
        if results and role != "user":
            yield "Please ensure that function response turn has the user role."
        open_calls, last_role = calls, role
    if open_calls:
        yield "Please ensure that function call turn is followed by a function response turn."


def _part(part: dict, place: str) -> Iterator[str]:
    yield from _unknown(part, set(DATA) | BESIDE, place)
    kinds = [name for name in DATA if name in part]
    if len(kinds) != 1:
        yield f"{place}.parts: required oneof field 'data' must have one initialized field"
        return
    kind, value = kinds[0], part[kinds[0]]
    if kind == "text":
        if not isinstance(value, str):
            yield f"Invalid value at '{place}' (text)"
        return
    yield from _unknown(value, DATA[kind], f"{place}.{kind}")
    if kind == "inlineData":
        if not value.get("mimeType"):
            yield "inlineData.mimeType is required"
        if not re.fullmatch(r"[A-Za-z0-9+/_-]+=*", value.get("data", "")):
            yield "Base64 decoding failed"
    if kind == "functionCall" and not isinstance(value.get("args", {}), dict):
        yield "functionCall.args: Invalid value (type.googleapis.com/google.protobuf.Struct)"
    if kind == "functionResponse" and (not value.get("name") or not isinstance(value.get("response"), dict)):
        yield "* GenerateContentRequest.contents: function_response.name: Name cannot be empty."


def _signatures(contents: list[dict], model: str) -> Iterator[str]:
    """Gemini 3 wants the signature back on the first call of each step of the turn that is going on."""
    if "-3" not in model:
        return
    start = max(
        (at for at, content in enumerate(contents) if any("text" in part for part in content["parts"])
         and content.get("role", "user") == "user"),
        default=0,
    )  # fmt: skip
    for content in contents[start:]:
        calls = [part for part in content["parts"] if "functionCall" in part]
        if calls and not calls[0].get("thoughtSignature"):
            yield f"Function call is missing a thought_signature: {calls[0]['functionCall']['name']}"


def _tools(body: dict) -> Iterator[str]:
    names = []
    for tool in body.get("tools") or []:
        yield from _unknown(tool, TOOLS, "tools")
        for function in tool.get("functionDeclarations") or []:
            yield from _unknown(function, DECLARATION, "tools.function_declarations")
            if not NAME.match(function.get("name") or ""):
                yield "* GenerateContentRequest.tools.function_declarations.name: Invalid function name."
            if "parameters" in function and "parametersJsonSchema" in function:
                yield "parameters and parameters_json_schema cannot both be set"
            yield from _subset(function.get("parameters") or {})
            names.append(function.get("name"))
    if len(set(names)) != len(names):
        yield "Duplicate function declaration found"
    calling = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
    if calling.get("mode") == "ANY" and not names:
        yield "Function calling config is set without function_declarations."
    if calling.get("allowedFunctionNames"):
        if calling.get("mode") not in ("ANY", "VALIDATED"):
            yield "Allowed function names should be set only when function calling mode is ANY."
        if set(calling["allowedFunctionNames"]) - set(names):
            yield "allowed_function_names is not a subset of the declared functions"


def _subset(schema: dict) -> Iterator[str]:
    for name in ("$ref", "$defs", "oneOf", "allOf", "const", "additionalProperties", "$schema"):
        if name in schema:
            yield f"Invalid JSON payload received. Unknown name \"{name}\" at 'parameters': Cannot find field."
    for inner in (schema.get("properties") or {}).values():
        yield from _subset(inner)


def _config(config: dict, model: str) -> Iterator[str]:
    yield from _unknown(config, CONFIG, "generation_config")
    if not 0 <= config.get("temperature", 1) <= 2:
        yield "temperature must be in the range [0.0, 2.0]"
    if not 1 <= config.get("candidateCount", 1) <= 8:
        yield "candidateCount must be between 1 and 8"
    if len(config.get("stopSequences", ())) > 5:
        yield "stop_sequences: at most 5"
    if config.get("maxOutputTokens", 1) < 1:
        yield "max_output_tokens must be positive"
    schemas = [name for name in ("responseSchema", "responseJsonSchema") if name in config]
    if len(schemas) == 2:
        yield "response_schema and response_json_schema cannot both be set"
    if schemas and config.get("responseMimeType") not in ("application/json", "text/x.enum"):
        yield "response_mime_type must be application/json with a schema"
    if "logprobs" in config and not config.get("responseLogprobs"):
        yield "logprobs is set without response_logprobs"
    thinking = config.get("thinkingConfig") or {}
    if "thinkingBudget" in thinking and "thinkingLevel" in thinking:
        yield "You can only set only one of thinking budget and thinking level."
    if "thinkingLevel" in thinking and "-3" not in model:
        yield "Thinking level is not supported for this model."
