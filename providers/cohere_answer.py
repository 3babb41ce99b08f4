"""Cohere's whole answers: read for the record, and turned into OpenAI's.

tokens are what is shown, billed_units what is charged; both come as floats. v1 and v2 are read, v2 is translated.
"""

from __future__ import annotations

import base64
import struct
from typing import Any

from llmflow_web.model import JSON, Completion, Usage

from .completion import as_text, text_or_none
from .openai import answer as openai_answer
from .shapes import chat_completion, choice, message, objects, tool_call, usage_body
from .usage import count, member, usage_from

FINISH_REASONS = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "USER_CANCEL": "stop",
    "MAX_TOKENS": "length",
    "ERROR_LIMIT": "length",
    "TOOL_CALL": "tool_calls",
    "ERROR": "content_filter",
    "ERROR_TOXIC": "content_filter",
    "TIMEOUT": "content_filter",
}
"""OpenAI knows no end by failure; content_filter is its word for an answer that is not whole."""

_FAILURES = frozenset({"ERROR", "TIMEOUT"})


def is_openai(body: JSON) -> bool:
    """Tell an answer of the OpenAI dialect: a translated call's, or the compatibility API's."""
    return isinstance(body.get("choices"), list) or body.get("object") in ("list", "response")


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def answer(operation: str, request: JSON, body: JSON) -> Completion:
    """Read a whole answer of v2, v1 or the OpenAI dialect."""
    if is_openai(body):
        return openai_answer(operation, request, body)
    completion = Completion(body=body, usage=usage(body, request))
    completion.id = text_or_none(body.get("id")) or text_or_none(body.get("generation_id"))
    completion.text = text_of(body)
    completion.reasoning = reasoning_of(body)
    completion.tool_calls = tool_calls_of(body)
    reason = text_or_none(body.get("finish_reason"))
    if reason is not None:
        completion.finish_reason = finish_reason_of(body)
        if reason in _FAILURES:
            completion.error = f"Cohere ended the answer with {reason}"
    return completion


def finish_reason_of(body: JSON) -> str:
    """Say in OpenAI's words how an answer ended; v1 says COMPLETE where it calls tools."""
    reason = FINISH_REASONS.get(str(body.get("finish_reason")), "stop")
    return "tool_calls" if reason == "stop" and tool_calls_of(body) else reason


def text_of(body: JSON) -> str:
    """Return the text of an answer."""
    found = member(body, "message").get("content")
    if isinstance(found, str):
        return found
    if found is None and isinstance(body.get("text"), str):
        return str(body["text"])  # v1
    return "".join(as_text(part.get("text")) for part in objects(found) if part.get("type") == "text")


def reasoning_of(body: JSON) -> str:
    """Return what the model thought, and its plan for the tools it calls."""
    made = member(body, "message")
    thought = [as_text(part.get("thinking")) for part in objects(made.get("content")) if part.get("type") == "thinking"]
    return "".join([*thought, text_or_none(made.get("tool_plan")) or ""])


def tool_calls_of(body: JSON) -> list[JSON]:
    """List the tool calls of an answer in OpenAI's form; v1 gives arguments as an object and no ids."""
    found = member(body, "message").get("tool_calls", body.get("tool_calls"))
    return [call_from(call) for call in objects(found)]


def call_from(call: JSON) -> JSON:
    """Return one tool call in OpenAI's form."""
    function = member(call, "function")
    name = text_or_none(function.get("name")) or text_or_none(call.get("name")) or ""
    arguments = function.get("arguments", call.get("parameters"))
    return tool_call(text_or_none(call.get("id")) or "", name, as_text(arguments))


def usage(body: JSON, request: JSON) -> Usage | None:
    """Read the usage of any answer."""
    if is_openai(body):
        return usage_from(body, request)
    raw = member(body, "usage", "meta")
    billed, tokens = member(raw, "billed_units"), member(raw, "tokens")
    prompt, completion = count(tokens.get("input_tokens")), count(tokens.get("output_tokens"))
    found = Usage(queries=count(billed.get("search_units")), images=count(billed.get("images")), raw=raw or None)
    billed_in, billed_out = count(billed.get("input_tokens")), count(billed.get("output_tokens"))
    if "embeddings" in body:
        _add_embedded(found, billed_in, count(billed.get("image_tokens")))
    else:
        found.prompt_tokens = billed_in if prompt is None else prompt
        found.completion_tokens = billed_out if completion is None else completion
        found.billed_prompt_tokens, found.billed_completion_tokens = billed_in, billed_out
        found.cached_tokens = count(raw.get("cached_tokens")) or 0
        if found.prompt_tokens is not None or found.completion_tokens is not None:
            found.total_tokens = (found.prompt_tokens or 0) + (found.completion_tokens or 0)
    return None if found.is_empty else found


def _add_embedded(found: Usage, texts: int | None, images: int | None) -> None:
    """Count what was embedded: text tokens and image tokens have prices of their own."""
    if texts is None and images is None:
        return
    found.prompt_tokens = found.total_tokens = (texts or 0) + (images or 0)
    found.completion_tokens = 0
    found.image_input_tokens = images or 0


# ── translating ──────────────────────────────────────────────────────────────────────────────────────────────────────


def chat_response(body: JSON, request: JSON) -> JSON:
    """Translate a whole v2 answer."""
    made = message(
        text_of(body),
        tool_calls=tool_calls_of(body),
        reasoning=reasoning_of(body),
        extra=_only_set(annotations=annotations_of(member(body, "message"))),
    )
    logprobs = logprobs_of(body.get("logprobs"))
    counted = usage(body, request)
    return chat_completion(
        [choice(made, finish_reason_of(body), extra=_only_set(logprobs=logprobs))],
        completion_id=text_or_none(body.get("id")) or "",
        model=text_or_none(request.get("model")) or "",
        request=request,
        extra={"usage": usage_shown(counted)} if counted is not None else None,
    )


def _only_set(**fields: Any) -> JSON:
    return {name: value for name, value in fields.items() if value}


def usage_shown(counted: Usage) -> JSON:
    """Return usage in OpenAI's shape, with what Cohere bills beside it."""
    shown = usage_body(counted)
    billed = member(counted.raw, "billed_units")
    units = {name: count(value) for name, value in billed.items()}
    return {**shown, "billed_units": units} if units else shown


def annotations_of(made: JSON) -> list[JSON]:
    """Turn the citations of an answer's text into annotations, one for each source."""
    content = made.get("content")
    lengths = [len(as_text(part.get("text"))) for part in objects(content)]
    found: list[JSON] = []
    for citation in objects(made.get("citations")):
        found += annotations_from(citation, lengths)
    return found


def annotations_from(citation: JSON, lengths: list[int]) -> list[JSON]:
    """Turn one citation, which counts within one text, into annotations. lengths: of all texts so far."""
    if citation.get("type") not in (None, "TEXT_CONTENT"):
        return []  # it marks a place in the plan or the thoughts
    before = sum(lengths[: count(citation.get("content_index")) or 0])
    start, end = count(citation.get("start")) or 0, count(citation.get("end")) or 0
    place: JSON = {"start_index": before + start, "end_index": before + end, "text": as_text(citation.get("text"))}
    sources = objects(citation.get("sources")) or [{}]
    return [{"type": "url_citation", "url_citation": {**place, **_source(source)}} for source in sources]


def _source(source: JSON) -> JSON:
    """Name a source by what it holds; the whole of it stays beside."""
    held = member(source, "document", "tool_output")
    title = held.get("title") or held.get("name") or source.get("id")
    url = held.get("url") or held.get("link")
    return {"title": as_text(title), "url": as_text(url), "source": source}


def logprobs_of(items: Any) -> JSON | None:
    """Turn log probabilities into OpenAI's; a piece made of several tokens has the sum of theirs."""
    found = [
        {
            "token": as_text(item.get("text")),
            "logprob": sum(value for value in item["logprobs"] if isinstance(value, (int, float))),
            "bytes": list(as_text(item.get("text")).encode("utf-8", "replace")),
            "top_logprobs": [],
        }
        for item in objects(items)
        if isinstance(item.get("logprobs"), list)
    ]
    return {"content": found, "refusal": None} if found else None


def embed_response(body: JSON, request: JSON) -> JSON:
    """Translate embeddings; base64 is that of little-endian float32, as OpenAI's."""
    found = body.get("embeddings")
    rows = found.get("float") if isinstance(found, dict) else found
    is_base64 = request.get("encoding_format") == "base64"
    counted = usage(body, request) or Usage()
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": _packed(row) if is_base64 else row}
            for index, row in enumerate(rows if isinstance(rows, list) else ())
        ],
        "model": text_or_none(request.get("model")) or "",
        "usage": {"prompt_tokens": counted.prompt_tokens or 0, "total_tokens": counted.total_tokens or 0},
    }


def _packed(row: Any) -> Any:
    try:
        return base64.b64encode(struct.pack(f"<{len(row)}f", *row)).decode("ascii")
    except (struct.error, TypeError, OverflowError):
        return row  # no numbers, or too large for 32 bits: as it came


def models_response(body: JSON, request: JSON) -> JSON:
    """Translate the listing of models."""
    del request
    rows = [row for row in objects(body.get("models")) if isinstance(row.get("name"), str)]
    return {
        "object": "list",
        "data": [
            {
                "id": row["name"],
                "object": "model",
                "created": 0,
                "owned_by": "cohere",
                **_only_set(context_length=count(row.get("context_length")), endpoints=row.get("endpoints")),
            }
            for row in rows
        ],
    }
