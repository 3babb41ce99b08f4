"""Gemini's answers → OpenAI's: candidates become choices, usage and finish reasons change their words.

Whole answers and streams are read part by part by the same `Parts`, so both ways give the same.
"""

from __future__ import annotations

import base64
import json
import re
import struct
from collections.abc import MutableMapping
from typing import Any

from llmflow_web.model import JSON, Usage

from .completion import text_or_none
from .gemini_contents import signature_key
from .gemini_request import version_of
from .shapes import chat_completion, choice, message, objects, tool_call
from .usage import count, member

_FILTERS = frozenset({
    "SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE", "OTHER", "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "IMAGE_OTHER", "NO_IMAGE", "ESCALATION", "MODEL_ARMOR",
})  # fmt: skip
_ASKED = ("promptTokensDetails", "toolUsePromptTokensDetails")
_ANSWERED = ("candidatesTokensDetails", "responseTokensDetails")
_TIERS = {"ON_DEMAND_PRIORITY": "priority", "ON_DEMAND_FLEX": "flex"}
_MAX_STEM_CHARS = 24
"""With it an id of ours has at most 40 characters, more than which OpenAI refuses when a conversation moves there."""

_NO_WORD = re.compile(r"[^A-Za-z0-9_-]")
_UNKNOWN_FINISH = "FINISH_REASON_UNSPECIFIED"


# ── parts ────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Parts:
    """Reads the parts of one candidate in order, each into the fields of a delta; numbers and names its tool calls."""

    def __init__(self, index: int, answer_id: str, memory: MutableMapping[str, Any] | None = None) -> None:
        self.index = index
        self.calls = 0
        stem = _NO_WORD.sub("", answer_id)[-_MAX_STEM_CHARS:]
        self._stem = "_".join(word for word in ("call", stem, str(index) if index else "") if word)
        self._memory = memory

    def fields(self, part: JSON) -> JSON:
        """Return the delta a part becomes; {} for one that says nothing to an OpenAI client."""
        call = part.get("functionCall")
        if isinstance(call, dict):
            return self._call(call, text_or_none(part.get("thoughtSignature")))
        found = _text_fields(part) or _data_fields(part, self._stem) or _code_fields(part)
        signature = text_or_none(part.get("thoughtSignature"))
        if signature and not part.get("thought"):
            found["extra_content"] = _signed(signature)
        return found

    def _call(self, call: JSON, signature: str | None) -> JSON:
        call_id = text_or_none(call.get("id")) or f"{self._stem}_{self.calls}"
        args = call.get("args")
        arguments = json.dumps(args if isinstance(args, dict) else {}, ensure_ascii=False)
        made = {"index": self.calls, **tool_call(call_id, text_or_none(call.get("name")) or "", arguments)}
        self.calls += 1
        if signature:
            made["extra_content"] = _signed(signature)
            if self._memory is not None:
                self._memory[signature_key(call_id)] = signature
        return {"tool_calls": [made]}


def _signed(signature: str) -> JSON:
    return {"google": {"thought_signature": signature}}


def _text_fields(part: JSON) -> JSON:
    text = part.get("text")
    if not isinstance(text, str) or not text:
        return {}
    return {"reasoning_content" if part.get("thought") else "content": text}


def _data_fields(part: JSON, stem: str) -> JSON:
    blob = member(part, "inlineData", "inline_data")
    kind = text_or_none(blob.get("mimeType")) or text_or_none(blob.get("mime_type")) or ""
    data = text_or_none(blob.get("data"))
    if data is None or part.get("thought"):  # drafts of a picture are thoughts
        return {}
    if kind.startswith("audio/"):
        return {"audio": {"id": f"audio_{stem}", "data": data, "expires_at": 0, "transcript": ""}}
    return {"images": [{"type": "image_url", "image_url": {"url": f"data:{kind};base64,{data}"}}]}


def _code_fields(part: JSON) -> JSON:
    """Show code the server ran, and what came of it, as fenced text."""
    code = member(part, "executableCode", "executable_code")
    if isinstance(code.get("code"), str):
        language = (text_or_none(code.get("language")) or "").lower()
        return {"content": f"```{language}\n{code['code'].rstrip()}\n```\n"}
    output = member(part, "codeExecutionResult", "code_execution_result").get("output")
    return {"content": f"```output\n{output.rstrip()}\n```\n"} if isinstance(output, str) else {}


# ── candidates ───────────────────────────────────────────────────────────────────────────────────────────────────────


def parts_of(candidate: JSON) -> list[JSON]:
    """List the parts of a candidate; there may be no content at all."""
    return objects(member(candidate, "content").get("parts"))


def index_of(candidate: JSON) -> int:
    """Return a candidate's index; 0 is not written."""
    return count(candidate.get("index")) or 0


def finish_reason_of(candidate: JSON) -> str | None:
    """Return OpenAI's word for how a candidate ended; None when it has not."""
    native = text_or_none(candidate.get("finishReason"))
    if native is None:
        return None
    if any(isinstance(part.get("functionCall"), dict) for part in parts_of(candidate)):
        return "tool_calls"
    if native == "MAX_TOKENS":
        return "length"
    return "content_filter" if native in _FILTERS else "stop"


def choice_of(candidate: JSON, answer_id: str, memory: MutableMapping[str, Any] | None = None) -> JSON:
    """Return the choice a whole candidate becomes."""
    parts = Parts(index_of(candidate), answer_id, memory)
    deltas = [parts.fields(part) for part in parts_of(candidate)]
    calls = [call for delta in deltas for call in delta.get("tool_calls", ())]
    images = [image for delta in deltas for image in delta.get("images", ())]
    sounds = [delta["audio"] for delta in deltas if "audio" in delta]
    signatures = [delta["extra_content"] for delta in deltas if "extra_content" in delta]
    extra: JSON = {"images": images} if images else {}
    if sounds:
        extra["audio"] = {**sounds[0], "data": joined_base64([sound["data"] for sound in sounds])}
    if signatures:
        extra["extra_content"] = signatures[-1]
    annotations = annotations_of(candidate)
    if annotations:
        extra["annotations"] = annotations
    made = message(
        "".join(delta.get("content", "") for delta in deltas),
        tool_calls=[{name: value for name, value in call.items() if name != "index"} for call in calls],
        reasoning="".join(delta.get("reasoning_content", "") for delta in deltas),
        refusal=refusal_of(candidate),
        extra=extra,
    )
    return choice(made, finish_reason_of(candidate), index=index_of(candidate), extra=ending_of(candidate))


def joined_base64(pieces: list[str]) -> str:
    """Join pieces of base64 that were each encoded by themselves."""
    if len(pieces) == 1:
        return pieces[0]
    try:
        return base64.b64encode(b"".join(base64.b64decode(piece) for piece in pieces)).decode("ascii")
    except ValueError:
        return "".join(pieces)


def refusal_of(candidate: JSON) -> str | None:
    """Return why a filtered candidate says nothing."""
    if finish_reason_of(candidate) != "content_filter":
        return None
    if any(part.get("text") and not part.get("thought") for part in parts_of(candidate)):
        return None
    return text_or_none(candidate.get("finishMessage")) or text_or_none(candidate.get("finishReason"))


def ending_of(candidate: JSON) -> JSON:
    """Return what a choice has beside message and finish_reason: logprobs, the native word where OpenAI has none."""
    found: JSON = {}
    logprobs = _logprobs(member(candidate, "logprobsResult"))
    if logprobs:
        found["logprobs"] = logprobs
    native = candidate.get("finishReason")
    if native not in (None, "STOP", "MAX_TOKENS", _UNKNOWN_FINISH):
        found["native_finish_reason"] = native
    return found


def _logprobs(native: JSON) -> JSON | None:
    chosen = objects(native.get("chosenCandidates"))
    if not chosen:
        return None
    tops = [objects(top.get("candidates")) for top in objects(native.get("topCandidates"))]
    tops += [[]] * (len(chosen) - len(tops))
    content = [
        {**_token(one), "top_logprobs": [_token(other) for other in top]}
        for one, top in zip(chosen, tops, strict=False)
    ]
    return {"content": content, "refusal": None}


def _token(native: JSON) -> JSON:
    text = native.get("token")
    text = text if isinstance(text, str) else ""
    logprob = native.get("logProbability")
    found = float(logprob) if isinstance(logprob, (int, float)) else 0.0
    return {"token": text, "logprob": found, "bytes": list(text.encode("utf-8", "surrogatepass"))}


def annotations_of(candidate: JSON) -> list[JSON]:
    """Return the web sources of an answer as OpenAI's citations. Gemini counts bytes, OpenAI characters."""
    grounding = member(candidate, "groundingMetadata")
    sources = [member(chunk, "web", "maps", "retrievedContext") for chunk in objects(grounding.get("groundingChunks"))]
    supports = objects(grounding.get("groundingSupports"))
    if not sources and not isinstance(candidate.get("citationMetadata"), dict):
        return []
    data = "".join(
        part["text"] for part in parts_of(candidate) if isinstance(part.get("text"), str) and not part.get("thought")
    ).encode("utf-8", "surrogatepass")
    cited = member(candidate, "citationMetadata")
    own = objects(cited.get("citationSources")) or objects(cited.get("citations"))
    pairs = [(member(support, "segment"), source) for support in supports for source in _named(support, sources)]
    found = [_citation(segment, source, data) for segment, source in [*pairs, *((source, source) for source in own)]]
    return [citation for citation in found if citation["url_citation"]["url"]]


def _named(support: JSON, sources: list[JSON]) -> list[JSON]:
    """Return the sources a support names by their numbers."""
    numbers = support.get("groundingChunkIndices")
    if not isinstance(numbers, list):
        return []
    return [sources[number] for number in numbers if isinstance(number, int) and 0 <= number < len(sources)]


def _citation(segment: JSON, source: JSON, data: bytes) -> JSON:
    url = text_or_none(source.get("uri")) or ""
    return {
        "type": "url_citation",
        "url_citation": {
            "start_index": _characters(data, count(segment.get("startIndex")) or 0),
            "end_index": _characters(data, count(segment.get("endIndex")) or 0),
            "title": text_or_none(source.get("title")) or url,
            "url": url,
        },
    }


def _characters(data: bytes, offset: int) -> int:
    return len(data[:offset].decode("utf-8", "ignore"))


# ── the whole body ───────────────────────────────────────────────────────────────────────────────────────────────────


def block_of(native: JSON) -> str | None:
    """Return why a prompt was blocked; None when it was not."""
    feedback = member(native, "promptFeedback")
    reason = text_or_none(feedback.get("blockReason"))
    if reason is None or objects(native.get("candidates")):
        return None
    said = text_or_none(feedback.get("blockReasonMessage"))
    return f"{reason}: {said}" if said else reason


def blocked_choice_end(native: JSON) -> JSON:
    """Return what the choice of a blocked prompt has beside message and finish_reason."""
    return {"native_finish_reason": member(native, "promptFeedback").get("blockReason")}


def chat_body(native: JSON, request: JSON, answer_id: str, memory: MutableMapping[str, Any] | None = None) -> JSON:
    """Return the chat.completion a whole answer becomes."""
    block = block_of(native)
    if block is not None:
        choices = [choice(message("", refusal=block), "content_filter", extra=blocked_choice_end(native))]
    else:
        candidates = sorted(objects(native.get("candidates")), key=index_of)
        choices = [choice_of(candidate, answer_id, memory) for candidate in candidates]
    return chat_completion(
        choices or [choice(message(""), None)],
        completion_id=answer_id,
        model=text_or_none(native.get("modelVersion")) or str(request.get("model") or ""),
        usage=usage_of(native, request),
        request=request,
    )


def embeddings_body(native: JSON, request: JSON) -> JSON:
    """Return OpenAI's list of embeddings, as numbers or in base64 as the client asked."""
    rows = objects(native.get("embeddings")) or objects([native.get("embedding")])
    is_base64 = request.get("encoding_format") == "base64"
    data: list[JSON] = []
    for row in rows:
        values = row.get("values")
        numbers = [float(value) for value in values] if isinstance(values, list) else []
        shown = base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode("ascii") if is_base64 else numbers
        data.append({"object": "embedding", "index": len(data), "embedding": shown})
    usage = usage_of(native, request) or Usage()
    tokens = {"prompt_tokens": usage.prompt_tokens or 0, "total_tokens": usage.total_tokens or 0}
    return {"object": "list", "data": data, "model": str(request.get("model") or ""), "usage": tokens}


# ── usage ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def usage_of(native: JSON, request: JSON) -> Usage | None:
    """Read the usage of a native answer; None when it says nothing."""
    raw = member(native, "usageMetadata")
    if raw:
        usage = _from_raw(raw)
        usage.web_searches = _searches(native)
        usage.service_tier = _tier(raw, request)
        return usage
    predictions = objects(native.get("predictions"))
    if predictions:  # Imagen is billed by the picture
        return Usage(images=len(predictions))
    agent = member(native, "usage")
    return _from_agent(agent) if "total_input_tokens" in agent or "total_output_tokens" in agent else None


def _from_raw(raw: JSON) -> Usage:
    given, tools = count(raw.get("promptTokenCount")) or 0, count(raw.get("toolUsePromptTokenCount")) or 0
    visible = count(raw.get("candidatesTokenCount", raw.get("responseTokenCount"))) or 0
    thoughts = count(raw.get("thoughtsTokenCount")) or 0
    total = count(raw.get("totalTokenCount"))
    # Normally thoughts are not among the candidates' tokens; where the sum says that they are, nothing is added.
    is_inside = thoughts > 0 and total == given + tools + visible
    made = visible if is_inside else visible + thoughts
    return Usage(
        prompt_tokens=given + tools,
        completion_tokens=made,
        total_tokens=given + tools + made if total is None else total,
        cached_tokens=count(raw.get("cachedContentTokenCount")) or 0,
        reasoning_tokens=thoughts,
        audio_input_tokens=_modality(raw, _ASKED, "AUDIO"),
        image_input_tokens=_modality(raw, _ASKED, "IMAGE"),
        audio_output_tokens=_modality(raw, _ANSWERED, "AUDIO"),
        image_output_tokens=_modality(raw, _ANSWERED, "IMAGE"),
        raw=raw,
    )


def _modality(raw: JSON, names: tuple[str, ...], modality: str) -> int:
    rows = [row for name in names for row in objects(raw.get(name)) if row.get("modality") == modality]
    return sum(count(row.get("tokenCount")) or 0 for row in rows)


def _from_agent(raw: JSON) -> Usage:
    """Read the usage of the interactions API, whose words are others."""
    given = (count(raw.get("total_input_tokens")) or 0) + (count(raw.get("total_tool_use_tokens")) or 0)
    thoughts = count(raw.get("total_thought_tokens")) or 0
    made = (count(raw.get("total_output_tokens")) or 0) + thoughts
    total = count(raw.get("total_tokens"))
    return Usage(
        prompt_tokens=given,
        completion_tokens=made,
        total_tokens=given + made if total is None else total,
        cached_tokens=count(raw.get("total_cached_tokens")) or 0,
        reasoning_tokens=thoughts,
        raw=raw,
    )


def _tier(raw: JSON, request: JSON) -> str | None:
    traffic = raw.get("trafficType")
    if isinstance(traffic, str):
        return _TIERS.get(traffic)
    asked = request.get("serviceTier", request.get("service_tier"))
    return asked if asked in ("flex", "priority") else None


def _searches(native: JSON) -> int:
    """Count what is billed of a grounded answer: each query from Gemini 3 on, the one prompt before."""
    queries = 0
    for candidate in objects(native.get("candidates")):
        found = member(candidate, "groundingMetadata").get("webSearchQueries")
        queries += len(found) if isinstance(found, list) else 0
    is_by_query = version_of(text_or_none(native.get("modelVersion")) or "") >= 3
    return queries if is_by_query else min(queries, 1)
