"""Azure OpenAI with canned answers, for FakeUpstream: classic deployments and the v1 path, content filters included.

It refuses what the real one refuses: a missing or unknown api-version, a deployment it does not have, a key in the
wrong header, `stream_options` before they were known. `filtered` in a deployment's name blocks the prompt,
`error-429` answers with that error, `gateway` with the flat error of the gateway before it.
"""

from __future__ import annotations

import json
import re
from copy import copy
from typing import Any
from urllib.parse import parse_qs

from fake_upstream import Talk, chunk, head_of
from openai_like import OpenAILike, chat_choice, chat_events, chat_usage

DEPLOYMENTS = {
    "chat-prod": "gpt-4o-2024-08-06",
    "gpt-4o": "gpt-4o-2024-08-06",
    "embed-prod": "text-embedding-3-small",
    "filtered": "gpt-4o-2024-08-06",
    "gateway": "gpt-4o-2024-08-06",
    "error-429": "gpt-4o-2024-08-06",
    "error-400": "gpt-4o-2024-08-06",
}
JWT = "eyJ0eXAiOiJKV1Qi.eyJhdWQiOiJodHRwczovL2NvZ25pdGl2ZXNlcnZpY2VzIn0.c2lnbmF0dXJl"
SAFE = {name: {"filtered": False, "severity": "safe"} for name in ("hate", "self_harm", "sexual", "violence")}
FILTERED = {"hate": {"filtered": False, "severity": "safe"}, "violence": {"filtered": True, "severity": "high"}}
PROMPT_FILTERS = [{"prompt_index": 0, "content_filter_results": {**SAFE, "jailbreak": {"filtered": False}}}]
USAGE_SINCE = "2024-09-01"
_COMMON = [
    ("x-request-id", "req-az-1"),
    ("apim-request-id", "apim-1"),
    ("x-ms-region", "East US"),
    ("x-ratelimit-remaining-tokens", "99"),
]
_openai = OpenAILike()


def azure_like(talk: Talk) -> None:
    """Answer one request: the default script."""
    raw = talk.body()
    refusal = _locked(talk)
    if refusal is None:
        found = re.fullmatch(r"/openai/deployments/([^/]+)(/.+)", talk.request.path)
        is_v1 = talk.request.path.startswith("/openai/v1/")
        refusal = None if is_v1 else _misversioned(talk)
    if refusal is not None:
        _json(talk, {"error": refusal[1]}, refusal[0])
        return
    body = json.loads(raw or "{}")
    rest = found[2] if found else talk.request.path.removeprefix("/openai").removeprefix("/v1")
    if rest == "/models":
        _as_openai(talk, rest)
        return
    _deployed(talk, found[1] if found else str(body.get("model")), rest, body)


def _locked(talk: Talk) -> tuple[int, dict[str, Any]] | None:
    bearer = (talk.request.header("authorization") or "").removeprefix("Bearer ")
    if talk.request.header("api-key") or bearer.count(".") == 2:
        return None
    return 401, {"code": "401", "message": "Access denied due to invalid subscription key or wrong API endpoint."}


def _misversioned(talk: Talk) -> tuple[int, dict[str, Any]] | None:
    (version,) = parse_qs(talk.request.target.partition("?")[2]).get("api-version", [""])
    if not version:
        return 404, {"code": "404", "message": "Resource not found"}
    if not re.fullmatch(r"20\d\d-\d\d-\d\d(-preview)?", version):
        return 400, {"code": "BadRequest", "message": "API version not supported"}
    if version[:10] < USAGE_SINCE and b"stream_options" in talk.request.body:
        return 400, {"code": None, "message": "Unrecognized request argument supplied: stream_options"}
    return None


def _deployed(talk: Talk, deployment: str, rest: str, body: dict[str, Any]) -> None:
    model = DEPLOYMENTS.get(deployment)
    if model is None:
        message = "The API deployment for this resource does not exist."
        _json(talk, {"error": {"code": "DeploymentNotFound", "message": message}}, 404)
    elif deployment == "gateway":
        _json(talk, {"statusCode": 401, "message": "Access denied due to missing subscription key."}, 401)
    elif deployment.startswith("error-"):
        status = int(deployment[6:])
        extra = [("retry-after", "3"), ("retry-after-ms", "3000")] if status == 429 else []
        _json(talk, {"error": {"code": str(status), "message": f"azure says {status}"}}, status, extra)
    elif deployment == "filtered":
        inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": FILTERED}
        error = {"code": "content_filter", "message": "The response was filtered", "param": "prompt", "type": None}
        _json(talk, {"error": {**error, "status": 400, "innererror": inner}}, 400)
    elif rest == "/chat/completions":
        _chat(talk, body | {"model": model})
    else:
        _as_openai(talk, rest)


def _as_openai(talk: Talk, rest: str) -> None:
    """Answer as OpenAI does, below another path; the request that is kept stays as it came."""
    asked = copy(talk)
    asked.request = copy(talk.request)
    asked.request.target = f"/v1{rest}"
    _openai(asked)


def _chat(talk: Talk, body: dict[str, Any]) -> None:
    usage = chat_usage(body)
    if not body.get("stream"):
        whole = {"id": "chatcmpl-az", "object": "chat.completion", "created": 1_700_000_000, "model": body["model"]}
        choices = [{**chat_choice(body, 0), "content_filter_results": SAFE}]
        _json(talk, whole | {"choices": choices, "usage": usage, "prompt_filter_results": PROMPT_FILTERS})
        return
    lines = [*_COMMON, ("content-type", "text/event-stream; charset=utf-8"), ("transfer-encoding", "chunked")]
    talk.send(head_of(200, lines, "OK"))
    empty = {"id": "", "model": "", "object": "", "created": 0}
    first = {**empty, "choices": [], "prompt_filter_results": PROMPT_FILTERS}
    talk.send(chunk(b"data: " + json.dumps(first).encode() + b"\n\n"))
    wants_usage = bool((body.get("stream_options") or {}).get("include_usage"))
    events = list(chat_events(body, usage if wants_usage else None))
    for event in events[:-1]:
        talk.send(chunk(event))
    late = {"index": 0, "delta": {}, "finish_reason": None, "content_filter_results": SAFE}
    offsets = {"check_offset": 0, "start_offset": 0, "end_offset": 40}
    event = {**empty, "choices": [{**late, "content_filter_offsets": offsets}]}  # the asynchronous filter comes last
    talk.send(chunk(b"data: " + json.dumps(event).encode() + b"\n\n") + chunk(events[-1]) + b"0\r\n\r\n")


def _json(talk: Talk, value: Any, status: int = 200, extra: list[tuple[str, str]] | None = None) -> None:
    data = json.dumps(value).encode()
    lines = [*_COMMON, *(extra or []), ("content-type", "application/json"), ("content-length", str(len(data)))]
    talk.send(head_of(status, lines, "OK" if status == 200 else "Error") + data)
