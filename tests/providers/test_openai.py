"""What a request asks for, what an error says, what usage means: the canonical dialect."""

import pytest

from llmflow_web.model import Usage
from llmflow_web.registry import PROVIDERS

ROWS = {provider.name: provider for provider in PROVIDERS}
OPENAI = ROWS["openai"]


@pytest.mark.parametrize(
    ("path", "operation", "span_type", "name"),
    [
        ("/v1/chat/completions", "chat", "llm", None),
        ("/openai/v1/chat/completions", "chat", "llm", None),
        ("/openai/deployments/x/chat/completions?api-version=1", "chat", "llm", None),
        ("/v1/completions", "text_completion", "llm", None),
        ("/v1/responses", "chat", "llm", "responses"),
        ("/v1/responses/compact", "chat", "llm", "responses compact"),
        ("/v1/embeddings", "embeddings", "embedding", None),
        ("/v1/images/generations", "image_generation", "llm", None),
        ("/v1/images/edits", "image_generation", "llm", "image_edit"),
        ("/v1/audio/transcriptions", "transcription", "llm", None),
        ("/v1/audio/translations", "translation", "llm", None),
        ("/v1/audio/speech", "speech", "llm", None),
        ("/v1/moderations", "moderation", "guardrail", None),
        ("/v1/files", "files", "custom", None),
        ("/v1/responses/input_tokens", "responses", "custom", None),
        ("/v1/responses/resp_1/cancel", "responses", "custom", None),
        ("/v1/chat/completions/c1", "chat", "custom", None),
        ("/", "request", "custom", None),
    ],
)
def test_posts(path, operation, span_type, name):
    """Operations are known by the end of the path, whatever stands before it."""
    native = OPENAI.native("POST", path, {"model": "m", "stream": True})
    assert (native.operation, native.span_type, native.name) == (operation, span_type, name)
    assert native.model == "m"


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/gpt-4o", "/v1/chat/completions", "/v1/responses/resp_1"])
def test_gets_bill_nothing(path):
    """Reading something back is no generation."""
    assert OPENAI.native("GET", path, {}).span_type == "custom"


def test_realtime():
    """A realtime session is a stream."""
    assert OPENAI.native("GET", "/v1/realtime", {}).is_stream


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (
            {"error": {"message": "Bad key", "type": "invalid_request_error", "code": "invalid_api_key"}},
            "Bad key (invalid_api_key)",
        ),
        ({"error": {"message": "Bad", "type": "t", "code": None}}, "Bad (t)"),
        ({"error": {"message": "", "code": 429}}, "429"),
        ({"error": "model not found"}, "model not found"),
        ({"error": "Bad", "message": "really"}, "Bad: really"),
        ({"detail": "Not Found"}, "Not Found"),
        ({"detail": [{"loc": ["body", "x"], "msg": "extra"}]}, "body.x: extra"),
        ({"object": "error", "message": "too long", "code": 400}, "too long (400)"),
        ({"message": "no"}, "no"),
        ({"a": 1}, "HTTP 500"),
        ({}, "HTTP 500"),
        ("<html><head><title>502 Bad\n Gateway</title>", "502 Bad Gateway"),
        ("  plain\n text ", "plain text"),
        ("", "HTTP 500"),
    ],
)
def test_errors(body, sentence):
    """One sentence of every shape of error."""
    assert OPENAI.error(500, body) == sentence


def test_long_errors_are_cut():
    """A page of text is no sentence."""
    assert len(OPENAI.error(500, "x" * 10_000)) == 500


CHAT_USAGE = {
    "prompt_tokens": 30,
    "completion_tokens": 9,
    "total_tokens": 39,
    "prompt_tokens_details": {"cached_tokens": 20, "cache_write_tokens": 3, "audio_tokens": 2},
    "completion_tokens_details": {"reasoning_tokens": 4, "audio_tokens": 1, "accepted_prediction_tokens": 0},
}


def figures(usage: Usage | None) -> dict:
    assert usage is not None
    return {
        name: getattr(usage, name)
        for name in usage.__dataclass_fields__
        if name != "raw" and getattr(usage, name) not in (None, 0, False)
    }


@pytest.mark.parametrize(
    ("body", "request_body", "expected"),
    [
        (
            {"usage": CHAT_USAGE, "service_tier": "flex"},
            {"service_tier": "auto"},
            {"prompt_tokens": 30, "completion_tokens": 9, "total_tokens": 39, "cached_tokens": 20, "cache_write_tokens": 3,
             "audio_input_tokens": 2, "reasoning_tokens": 4, "audio_output_tokens": 1, "service_tier": "flex"},
        ),
        (
            {"usage": {"input_tokens": 5, "input_tokens_details": {"cached_tokens": 1}, "output_tokens": 2, "total_tokens": 7,
                       "output_tokens_details": {"reasoning_tokens": 1}},
             "output": [{"type": "web_search_call"}, {"type": "message"}]},
            {},
            {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7, "cached_tokens": 1, "reasoning_tokens": 1,
             "web_searches": 1},
        ),
        ({"usage": {"prompt_tokens": 8, "total_tokens": 8}}, {}, {"prompt_tokens": 8, "total_tokens": 8}),
        (
            {"usage": {"prompt_tokens": 8, "completion_tokens": 1, "prompt_tokens_details": None}},
            {"web_search_options": {"search_context_size": "high"}},
            {"prompt_tokens": 8, "completion_tokens": 1, "total_tokens": 9, "web_searches": 1, "search_context_size": "high"},
        ),
        (
            {"usage": {"type": "tokens", "input_tokens": 14, "input_token_details": {"audio_tokens": 13}, "output_tokens": 5,
                       "total_tokens": 19}},
            {},
            {"prompt_tokens": 14, "completion_tokens": 5, "total_tokens": 19, "audio_input_tokens": 13},
        ),
        ({"text": "x", "usage": {"type": "duration", "seconds": 60}}, {}, {"seconds": 60.0}),
        ({"text": "x", "duration": "8.47"}, {}, {"seconds": 8.47}),
        ({}, {"voice": "alloy", "input": "Hallo"}, {"characters": 5}),
        (
            {"data": [{"url": "u"}, {"url": "v"}]},
            {"size": "1024x1024", "quality": "hd"},
            {"images": 2, "image_size": "1024x1024", "image_quality": "hd"},
        ),
        (
            {"data": [{"b64_json": "A"}], "size": "1x1", "usage": {"input_tokens": 1, "output_tokens": 50}},
            {"size": "auto"},
            {"images": 1, "image_size": "1x1", "prompt_tokens": 1, "completion_tokens": 50, "total_tokens": 51,
             "image_output_tokens": 50},
        ),
        ({"usage": {"prompt_tokens": 5, "completion_tokens": 1, "prompt_cache_hit_tokens": 4}}, {},
         {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6, "cached_tokens": 4}),
    ],
)  # fmt: skip
def test_usage(body, request_body, expected):
    """Chat's words, responses' words, audio's singular, images, seconds and characters."""
    assert figures(OPENAI.usage(body, request_body)) == expected


@pytest.mark.parametrize("body", [{}, {"usage": None}, {"usage": {}}, {"usage": {"prompt_tokens": "x"}}, {"data": []}])
def test_no_usage_is_none(body):
    """Where nothing is said nothing is made up."""
    assert OPENAI.usage(body, {}) is None


def test_raw_usage_is_kept():
    """The provider's own object stays beside our figures."""
    usage = OPENAI.usage({"usage": CHAT_USAGE}, {})
    assert usage is not None
    assert usage.raw == CHAT_USAGE
