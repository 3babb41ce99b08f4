"""Usage of the OpenAI dialect: one reader for chat, completions, responses, embeddings, images and audio.

Checked against openai-python 2.54. Vendors that speak the dialect add words of their own; those that are safe to
read everywhere are read here, those that change a meaning are handled in `compatible`.
"""

from __future__ import annotations

from typing import Any

from llmflow_web.model import JSON, Usage

_MAX_COUNT = 10**15
_SEARCH_CALLS = frozenset({"web_search_call"})


def count(value: Any) -> int | None:
    """Return `value` as a token count; None when it is none."""
    if type(value) is int:
        return value if 0 <= value <= _MAX_COUNT else None
    if isinstance(value, float) and 0 <= value <= _MAX_COUNT:
        return int(value)
    return None


def number(value: Any) -> float | None:
    """Return `value` as a number ≥ 0 (some servers send it as text); None when it is none."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e15:
        return None
    return float(value)


def member(value: Any, *names: str) -> JSON:
    """Return the first object among the members `names` of `value`, {} if there is none."""
    if isinstance(value, dict):
        for name in names:
            found = value.get(name)
            if isinstance(found, dict):
                return found
    return {}


def raw_usage(body: JSON) -> JSON | None:
    """Find the usage object of an answer or chunk: its own, or Groq's `x_groq.usage`."""
    usage = body.get("usage")
    if isinstance(usage, dict) and usage:
        return usage
    return member(body.get("x_groq"), "usage") or None


def usage_from(body: JSON, request: JSON) -> Usage | None:
    """Read the usage of any answer of the dialect; None when it says nothing."""
    raw = raw_usage(body)
    usage = _from_raw(raw) if raw else Usage()
    _add_images(usage, body, request)
    _add_speech(usage, body, request)
    if usage.is_empty:
        return None
    tier = body.get("service_tier")
    usage.service_tier = tier if isinstance(tier, str) else None
    _add_searches(usage, body, request)
    return usage


def _first(source: JSON, *names: str) -> int | None:
    for name in names:
        found = count(source.get(name))
        if found is not None:
            return found
    return None


def _from_raw(raw: JSON) -> Usage:
    """Turn a usage object into ours: chat's words and responses' words are both understood."""
    prompt = _first(raw, "prompt_tokens", "input_tokens")
    completion = _first(raw, "completion_tokens", "output_tokens")
    total = _first(raw, "total_tokens")
    if completion is None and prompt is not None:
        completion = max(0, total - prompt) if total is not None else 0  # embeddings name no output
    if total is None and prompt is not None:
        total = prompt + (completion or 0)
    # `input_token_details`, singular, is what the audio endpoints write.
    given = member(raw, "prompt_tokens_details", "input_tokens_details", "input_token_details")
    made = member(raw, "completion_tokens_details", "output_tokens_details", "output_token_details")
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=total,
        cached_tokens=_cached(raw, given),
        cache_write_tokens=_first(given, "cache_write_tokens") or 0,
        reasoning_tokens=_first(made, "reasoning_tokens") or _first(raw, "reasoning_tokens") or 0,
        audio_input_tokens=_first(given, "audio_tokens") or 0,
        image_input_tokens=_first(given, "image_tokens") or 0,
        audio_output_tokens=_first(made, "audio_tokens") or 0,
        image_output_tokens=_first(made, "image_tokens") or 0,
        seconds=number(raw.get("seconds")),
        raw=raw,
    )


def _cached(raw: JSON, given: JSON) -> int:
    found = _first(given, "cached_tokens")
    if found is None:
        found = _first(raw, "cached_tokens", "prompt_cache_hit_tokens", "cache_read_input_tokens")
    return found or 0


def _add_images(usage: Usage, body: JSON, request: JSON) -> None:
    """Count the images of an answer; without token usage (dall-e) they are what is billed."""
    data = body.get("data")
    if not isinstance(data, list) or not data or not isinstance(data[0], dict):
        return
    if "b64_json" not in data[0] and "url" not in data[0]:
        return
    usage.images = len(data)
    usage.image_size = _word(body, request, "size")
    usage.image_quality = _word(body, request, "quality")
    if usage.completion_tokens and not usage.image_output_tokens:
        usage.image_output_tokens = usage.completion_tokens


def _word(body: JSON, request: JSON, name: str) -> str | None:
    for source in (body, request):
        value = source.get(name)
        if isinstance(value, str) and value != "auto":
            return value
    return None


def _add_speech(usage: Usage, body: JSON, request: JSON) -> None:
    """Add what audio is billed by: the characters that are spoken, the seconds that are heard."""
    spoken = request.get("input")
    if "voice" in request and isinstance(spoken, str) and not body.get("error"):
        usage.characters = len(spoken)
    if usage.seconds is None and usage.prompt_tokens is None and isinstance(body.get("text"), str):
        usage.seconds = number(body.get("duration"))  # verbose_json of whisper


def _add_searches(usage: Usage, body: JSON, request: JSON) -> None:
    output = body.get("output")
    if isinstance(output, list):
        usage.web_searches = sum(isinstance(item, dict) and item.get("type") in _SEARCH_CALLS for item in output)
    options = request.get("web_search_options")
    if isinstance(options, dict):
        usage.web_searches = usage.web_searches or 1
        size = options.get("search_context_size")
        usage.search_context_size = size if isinstance(size, str) else "medium"
