"""One exchange as a line of a cassette: what is written of a call, and what is read back. Pure.

    {"request": {"provider", "method", "path", "query"?, "headers"?, json | form | text | binary},
     "response": {"status", "reason"?, "headers", json + "style"? | text | events | base64, "arrivals"?,
                  "usage_injected"?}}

Codings and framing are undone, secrets are masked, and headers that are new with each answer are left out.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from typing import Any

from llmflow_web.model import JSON, Header
from llmflow_web.record.cassette_form import binary, form_parts
from llmflow_web.record.cassette_match import MATCHED_HEADERS
from llmflow_web.record.redact import Secret, redact_bytes, redact_headers, redact_text
from llmflow_web.wire.chunked import ChunkedDecoder
from llmflow_web.wire.content import ContentDecoder, codings_of, decode_body
from llmflow_web.wire.headers import HOP_BY_HOP, get, value_of
from llmflow_web.wire.taped import Answer, Asked, Heard

MAX_BODY_BYTES = 64 * 1024 * 1024
"""What comes out of a compressed body at most; a longer one is not recorded."""

MAX_DEPTH = 100
"""A JSON body that is nested deeper is compared as text."""

LINE_TYPES = ("application/x-ndjson", "application/stream+json", "application/jsonl")
_SECRET_QUERY = frozenset({
    "key", "api_key", "api-key", "apikey", "access_token", "token", "sig", "signature", "x-amz-signature",
    "x-amz-security-token", "x-goog-signature", "client_secret", "password", "auth",
})  # fmt: skip
# New with every answer, or about the way it took: none of it is of use to who reads the answer later.
_VOLATILE = frozenset({
    "age", "alt-svc", "apim-request-id", "azureml-model-session", "content-encoding", "content-length", "date", "etag",
    "expires", "last-modified", "nel", "openai-organization", "openai-processing-ms", "openai-project", "report-to",
    "request-id", "server", "server-timing", "set-cookie", "strict-transport-security", "traceparent", "tracestate",
    "via", "x-cloud-trace-context", "x-generation-id", "x-runtime", "x-served-by", "x-timer",
})  # fmt: skip
_VOLATILE_STARTS = (
    "access-control-", "anthropic-organization", "anthropic-ratelimit", "cf-", "fly-", "x-amz", "x-cache",
    "x-debug-", "x-envoy-", "x-groq-", "x-llmflow-", "x-ms-", "x-ratelimit", "x-vercel-",
)  # fmt: skip
_VOLATILE_ENDS = ("-request-id", "-trace-id", "-latency", "-duration")
_EVENT = re.compile(r".*?(?:\r\n\r\n|\n\n|\r\r|\Z)", re.DOTALL)
_FIELD_VALUE = re.compile(r"[\t -~\x80-\xff]*")
_FIELD_NAME = re.compile(r"[-!#$%&'*+.^_`|~0-9a-zA-Z]+")


_LAYOUTS: Mapping[str, Mapping[str, Any]] = {
    "": {"separators": (",", ":")},
    "spaced": {},
    "indented": {"indent": 2},
}
_LETTERS = ("", "ascii")


# The last events of streams, in whichever dialect; behind them comes nothing but the end of the framing.
_LAST_EVENT = re.compile(
    rb"(?m)^data: ?\[DONE\]\s*\Z"
    rb"|^event: ?(?:message_stop|message-end|response\.(?:completed|incomplete|failed))\r?\n(?:[^\r\n]+\r?\n)*\r?\n\Z"
    rb"|^(?:data:)?[^\r\n]*\"(?:finishReason\": ?\"|done\": ?true)[^\r\n]*(?:\r?\n)+\Z"
)
_LAST_BYTES = 64 * 1024


class Malformed(ValueError):
    """What stands in a cassette is not what belongs there; the message says what and where."""


class NotKept(Exception):
    """An exchange that cannot be recorded; the message says why."""


# ── the request ──────────────────────────────────────────────────────────────────────────────────────────────────────


def request_from(asked: Asked, secrets: Sequence[Secret] = ()) -> JSON:
    """Return what is recorded of a request."""
    request: JSON = {"provider": asked.provider, "method": asked.method, "path": redact_text(asked.path, secrets)}
    query = _query(asked.query, secrets)
    if query:
        request["query"] = query
    found = {name: get(asked.headers, name.encode()) for name in MATCHED_HEADERS}
    headers = {name: redact_text(value.decode("latin-1"), secrets) for name, value in found.items() if value}
    if headers:
        request["headers"] = headers
    return request | _request_body(asked, secrets)


def _query(query: str, secrets: Sequence[Secret]) -> str:
    pairs = [pair for pair in query.split("&") if pair.partition("=")[0].lower() not in _SECRET_QUERY]
    return redact_text("&".join(pairs), secrets)


def _request_body(asked: Asked, secrets: Sequence[Secret]) -> JSON:
    coding = (get(asked.headers, b"content-encoding") or b"").decode("latin-1")
    body, is_raw = decode_body(asked.body, coding, MAX_BODY_BYTES)
    if not body:
        return {}
    content_type = (get(asked.headers, b"content-type") or b"").decode("latin-1")
    parts = form_parts(body, content_type, secrets) if content_type.lower().startswith("multipart/") else None
    if parts is not None:
        return {"form": parts}
    text = None if is_raw else _text(body)
    if text is None:
        return {"binary": binary(body)}
    value = _json(redact_bytes(body, secrets))
    if value is None:
        return {"text": redact_text(text, secrets)}
    return {"json": _without_injected(value) if asked.has_injected_usage else value}


def _json(body: bytes) -> Any:
    """Return a JSON body; None for what is none, is only `null`, or is nested too deeply."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if is_shallow(value) else None


def is_shallow(value: Any) -> bool:
    """Say whether a value can be walked through without fear for the stack."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [one for outer in level for one in _inside(outer)]
        if not level:
            return True
    return False


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _without_injected(value: Any) -> Any:
    """Return the body as the client sent it: without the question for usage that LLMFlow put into it."""
    options = value.get("stream_options") if isinstance(value, dict) else None
    if not isinstance(options, dict):
        return value
    left = {name: one for name, one in options.items() if name != "include_usage"}
    rest = {name: one for name, one in value.items() if name != "stream_options"}
    return rest | {"stream_options": left} if left else rest


# ── the answer ───────────────────────────────────────────────────────────────────────────────────────────────────────


def response_from(heard: Heard, *, has_injected_usage: bool, secrets: Sequence[Secret] = ()) -> JSON:
    """Return what is recorded of an answer. Raises NotKept."""
    response: JSON = {"status": heard.status}
    if heard.reason != _phrase(heard.status):
        response["reason"] = heard.reason.decode("latin-1")
    coding = (get(heard.headers, b"content-encoding") or b"").decode("latin-1")
    codings = codings_of(coding)
    response["headers"] = _kept_headers(heard, secrets, is_decoded=codings is not None)
    body, times = _payload(heard, codings or [])
    if heard.is_cut and not is_ended(body):
        raise NotKept("the client left before the answer was complete")
    content_type = (get(heard.headers, b"content-type") or b"").decode("latin-1").lower()
    response |= _response_body(body, content_type, times, secrets, is_raw=codings is None)
    if has_injected_usage:
        response["usage_injected"] = True
    return response


def _phrase(status: int) -> bytes:
    from http import HTTPStatus

    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b""


def _kept_headers(heard: Heard, secrets: Sequence[Secret], *, is_decoded: bool) -> dict[str, str]:
    kept = [(name, line) for name, line in heard.headers if _is_kept(name, heard, is_decoded=is_decoded)]
    headers: dict[str, str] = {}
    for (_, line), (name, value) in zip(kept, redact_headers(kept, secrets), strict=True):
        if value.encode("latin-1", "replace") == value_of(line):  # else it holds a secret, and a mask is no value
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _is_kept(name: bytes, heard: Heard, *, is_decoded: bool) -> bool:
    if name in HOP_BY_HOP:
        return False
    text = name.decode("latin-1")
    if text == "content-length":
        return not heard.has_body  # an answer to HEAD: information, not framing
    if text == "content-encoding":
        return not is_decoded
    return not (text in _VOLATILE or text.startswith(_VOLATILE_STARTS) or text.endswith(_VOLATILE_ENDS))


def _payload(heard: Heard, codings: list[str]) -> tuple[bytes, list[tuple[int, int]]]:
    """Return the body without framing and codings, and (end, ms) of each piece of it."""
    frames = ChunkedDecoder() if heard.is_chunked else None
    content = ContentDecoder(codings, MAX_BODY_BYTES) if codings else None
    pieces: list[bytes] = []
    ends: list[tuple[int, int]] = []
    size = 0
    for piece, ms in zip(heard.pieces, heard.times_ms, strict=True):
        data = piece if frames is None else frames.feed(piece)
        data = data if content is None else content.feed(data)
        pieces.append(data)
        size += len(data)
        ends.append((size, ms))
    if content is not None and (content.has_failed or size >= MAX_BODY_BYTES):
        raise NotKept("its content-encoding could not be undone")
    return b"".join(pieces), ends


def _response_body(
    body: bytes, content_type: str, times: Sequence[tuple[int, int]], secrets: Sequence[Secret], *, is_raw: bool
) -> JSON:
    if not body:
        return {}
    text = None if is_raw else _text(body)
    if text is None:
        return {"base64": b64encode(body).decode("ascii")}
    cut = _cutter(content_type)
    if cut is None:
        return _readable(redact_bytes(body, secrets).decode()) | {"arrivals": times[-1][1]}
    events = cut(text)
    masked = [redact_bytes(event.encode(), secrets).decode() for event in events]
    if is_spread(masked, secrets):
        raise NotKept("a secret is spread over the events of its answer")
    return {"events": masked, "arrivals": _event_times(events, times)}


def _readable(text: str) -> JSON:
    """Return a text as JSON where it can be written again to the last byte: a diff of that can be read."""
    value = _json(text.encode())
    if isinstance(value, (dict, list)):
        end = "newline" if text.endswith("\n") else ""
        for layout, letters in product(_LAYOUTS, _LETTERS):
            style = " ".join(word for word in (layout, letters, end) if word)
            if written(value, style) == text:
                return {"json": value, "style": style} if style else {"json": value}
    return {"text": text}


def written(value: Any, style: str = "") -> str:
    """Write JSON in a style: spaced or indented, ascii, newline; compact without a word. Raises Malformed."""
    words = set(style.split())
    if words - {*_LAYOUTS, *_LETTERS, "newline"}:
        raise Malformed(f"response.style: {style!r} is not made of spaced, indented, ascii, newline")
    layout = next((layout for layout in _LAYOUTS if layout in words), "")
    text = json.dumps(value, ensure_ascii="ascii" in words, **_LAYOUTS[layout])
    return text + "\n" if "newline" in words else text


def is_ended(body: bytes) -> bool:
    """Say whether a stream has told its last event, in whole."""
    last = body[-_LAST_BYTES:]
    return last.endswith(b"\n") and _LAST_EVENT.search(last) is not None


def _text(body: bytes) -> str | None:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


def _cutter(content_type: str) -> Callable[[str], list[str]] | None:
    if content_type.startswith("text/event-stream"):
        return lambda text: [event for event in _EVENT.findall(text) if event]
    if content_type.startswith(LINE_TYPES):
        return lambda text: [line for line in re.split(r"(?<=\n)", text) if line]
    return None


def _event_times(events: Sequence[str], times: Sequence[tuple[int, int]]) -> list[int]:
    """Return when the last byte of each event came."""
    found: list[int] = []
    at = end = 0
    for event in events:
        end += len(event.encode())
        while times[at][0] < end:
            at += 1
        found.append(times[at][1])
    return found


def is_spread(events: Sequence[str], secrets: Sequence[Secret]) -> bool:
    """Say whether a secret that is in no single event shows once their texts are put together."""
    texts: dict[tuple[object, ...], list[str]] = {}
    for event in events:
        for line in event.splitlines():
            value = _json(line.removeprefix("data:").encode())
            if isinstance(value, dict):
                _add_texts((), value, texts)
    joined = "\n".join("".join(pieces) for pieces in texts.values() if len(pieces) > 1).encode("utf-8", "replace")
    return redact_bytes(joined, secrets) is not joined


def _add_texts(path: tuple[object, ...], value: Any, texts: dict[tuple[object, ...], list[str]]) -> None:
    if isinstance(value, str):
        texts.setdefault(path, []).append(value)
    elif isinstance(value, dict):
        for name, one in value.items():
            _add_texts((*path, name), one, texts)
    elif isinstance(value, list):
        for at, one in enumerate(value):
            _add_texts((*path, at), one, texts)


# ── the way back ─────────────────────────────────────────────────────────────────────────────────────────────────────


def answer_from(response: JSON) -> Answer:
    """Return a recorded answer as it is played. Raises Malformed, which says what is wrong with it."""
    status = response.get("status")
    if type(status) is not int or not 200 <= status <= 599:
        raise Malformed("response.status is no number from 200 to 599")
    reason = response.get("reason")
    pieces, is_stream = _pieces(response)
    return Answer(
        status=status,
        reason=_phrase(status) if reason is None else _field_value("response.reason", reason),
        headers=_header_lines(response.get("headers", {})),
        pieces=pieces,
        times_ms=_times(response.get("arrivals"), len(pieces)),
        is_stream=is_stream,
        has_injected_usage=response.get("usage_injected") is True,
    )


def _pieces(response: JSON) -> tuple[list[bytes], bool]:
    if "events" in response:
        events = response["events"]
        if not isinstance(events, list) or not all(isinstance(one, str) for one in events):
            raise Malformed("response.events is no list of texts")
        return [one.encode("utf-8", "surrogatepass") for one in events], True
    if "json" in response:
        style = response.get("style", "")
        if not isinstance(style, str) or not is_shallow(response["json"]):
            raise Malformed("response.style is no text, or response.json is nested too deeply")
        return [written(response["json"], style).encode("utf-8", "surrogatepass")], False
    body = response.get("text", response.get("base64"))
    if body is None:
        return [], False
    if not isinstance(body, str):
        raise Malformed(f"response.{'text' if 'text' in response else 'base64'} is no text")
    if "text" in response:
        return [body.encode("utf-8", "surrogatepass")], False
    try:
        return [b64decode(body, validate=True)], False
    except ValueError as error:
        raise Malformed("response.base64 cannot be decoded") from error


def _times(arrivals: Any, count: int) -> tuple[int, ...]:
    found = [arrivals] if isinstance(arrivals, int) else arrivals
    if not isinstance(found, list) or len(found) != count or not all(type(one) is int for one in found):
        return ()  # edited by hand: it is played without its pace
    return tuple(found)


def _header_lines(headers: Any) -> list[Header]:
    if not isinstance(headers, Mapping):
        raise Malformed("response.headers is no object")
    lines: list[Header] = []
    for name, value in headers.items():
        if not _FIELD_NAME.fullmatch(name):
            raise Malformed(f"response.headers: {name!r} is no name of a header")
        sent = name.encode() + b": " + _field_value(f"response.headers.{name}", value)
        if sent.partition(b":")[0].lower() not in HOP_BY_HOP:
            lines.append((name.lower().encode(), sent))
    return lines


def _field_value(where: str, value: Any) -> bytes:
    if not isinstance(value, str) or not _FIELD_VALUE.fullmatch(value):
        raise Malformed(f"{where} is no text of one line")
    return value.encode("latin-1")


def check_request(request: JSON) -> None:
    """Raise Malformed, which says what is wrong, for a request that cannot be compared."""
    for name in ("provider", "method", "path"):
        if not isinstance(request.get(name), str):
            raise Malformed(f"request.{name} is missing or no text")
    if not isinstance(request.get("query", ""), str):
        raise Malformed("request.query is no text")
    if not is_shallow(list(request.values())):
        raise Malformed("request is nested too deeply")
    headers = request.get("headers", {})
    if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
        raise Malformed("request.headers is no object of texts")
    form = request.get("form", [])
    if not isinstance(form, list) or not all(isinstance(part, dict) for part in form):
        raise Malformed("request.form is no list of parts")
