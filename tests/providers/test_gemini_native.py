"""What Gemini's usage, errors, embeddings and own paths are read as."""

import base64
import json
import struct

import pytest
from adapter_help import body_of, figures, price_book, run, stream_of
from llmflow_web.providers.gemini import GEMINI
from openai.types import CreateEmbeddingResponse, Model

from llmflow_web.model import Usage
from llmflow_web.provider import Target

TARGET = Target(GEMINI.root)
ASKED = {"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": "?"}], "stream": True}


def answer(name: str) -> dict:
    return GEMINI.operations["chat"].response(body_of(f"gemini/{name}"), ASKED)


def chunks_of(name: str) -> list[dict]:
    request = {**ASKED, "stream_options": {"include_usage": True}}
    return run(GEMINI.operations["chat"].stream(request), stream_of(f"gemini/{name}"))


# ── usage ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (
            {"promptTokenCount": 3000, "cachedContentTokenCount": 1000, "candidatesTokenCount": 800,
             "thoughtsTokenCount": 700, "totalTokenCount": 4500,
             "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 2500}, {"modality": "AUDIO", "tokenCount": 500}]},
            {"prompt_tokens": 3000, "completion_tokens": 1500, "total_tokens": 4500, "cached_tokens": 1000,
             "reasoning_tokens": 700, "audio_input_tokens": 500},
        ),
        (
            {"promptTokenCount": 10, "candidatesTokenCount": 20, "thoughtsTokenCount": 5, "totalTokenCount": 30},
            {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30, "reasoning_tokens": 5},
        ),
        (
            {"promptTokenCount": 10, "toolUsePromptTokenCount": 7, "candidatesTokenCount": 20, "totalTokenCount": 37,
             "trafficType": "ON_DEMAND_FLEX"},
            {"prompt_tokens": 17, "completion_tokens": 20, "total_tokens": 37, "service_tier": "flex"},
        ),
        (
            {"promptTokenCount": 4, "thoughtsTokenCount": 3},
            {"prompt_tokens": 4, "completion_tokens": 3, "total_tokens": 7, "reasoning_tokens": 3},
        ),
    ],
)  # fmt: skip
def test_usage(raw, expected):
    """Completion is candidates and thoughts, unless the sum says they are inside; tool prompts are prompts."""
    usage = GEMINI.usage({"usageMetadata": raw}, {})
    assert isinstance(usage, Usage)
    assert figures(usage) == {name: value for name, value in expected.items() if value}
    assert usage.raw == raw


def test_modalities_in_usage():
    """Pictures and sounds are counted on both sides."""
    image, audio = (GEMINI.usage(body_of(f"gemini/{name}"), {}) for name in ("image", "audio"))
    assert (image.image_input_tokens, image.image_output_tokens) == (258, 1290)
    assert (audio.audio_input_tokens, audio.audio_output_tokens) == (10, 50)


@pytest.mark.parametrize(("model", "searches"), [("gemini-2.5-flash", 1), ("gemini-3-pro-preview", 2)])
def test_searches_are_counted_as_they_are_billed(model, searches):
    """From Gemini 3 on each query costs, before each grounded prompt."""
    assert GEMINI.usage({**body_of("gemini/grounded"), "modelVersion": model}, {}).web_searches == searches


def test_usage_of_other_methods():
    """Pictures of Imagen are counted, the agents' API has words of its own, an error says nothing."""
    assert GEMINI.usage({"predictions": [{"bytesBase64Encoded": "AA=="}]}, {}).images == 1
    agent = {"total_input_tokens": 5, "total_output_tokens": 2, "total_thought_tokens": 3, "total_tokens": 10}
    assert figures(GEMINI.usage({"usage": agent}, {})) == {
        "prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10, "reasoning_tokens": 3,
    }  # fmt: skip
    assert GEMINI.usage({"error": {}}, {}) is None


@pytest.mark.parametrize(
    ("model", "usage", "cost"),
    [
        (
            "gemini-2.5-flash",
            {"promptTokenCount": 3000, "cachedContentTokenCount": 1000, "candidatesTokenCount": 800,
             "thoughtsTokenCount": 700, "totalTokenCount": 4500,
             "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 2500}, {"modality": "AUDIO", "tokenCount": 500}]},
            0.00473,
        ),
        (
            "gemini-2.5-pro",
            {"promptTokenCount": 250000, "cachedContentTokenCount": 50000, "candidatesTokenCount": 3000,
             "thoughtsTokenCount": 1000, "totalTokenCount": 254000},
            0.5725,
        ),
    ],
)  # fmt: skip
def test_costs(model, usage, cost):
    """Calls cost what the worked examples of the price sheet say."""
    found = GEMINI.usage({"usageMetadata": usage, "modelVersion": model}, {})
    assert price_book().price(GEMINI, [model], found).total == pytest.approx(cost)


# ── embeddings, models, errors ───────────────────────────────────────────────────────────────────────────────────────


def test_embeddings():
    """One or several vectors, as numbers or in base64, in order."""
    operation = GEMINI.operations["embeddings"]
    request = {"model": "gemini-embedding-001", "input": "x"}
    body = operation.response(body_of("gemini/embed"), request)
    CreateEmbeddingResponse.model_validate(body)
    assert (body["data"][0]["embedding"], body["usage"]) == ([0.5, -0.25, 1.0], {"prompt_tokens": 3, "total_tokens": 3})
    body = operation.response(body_of("gemini/batch"), {**request, "encoding_format": "base64"})
    assert [row["index"] for row in body["data"]] == [0, 1]
    assert struct.unpack("<2f", base64.b64decode(body["data"][1]["embedding"])) == (-1.0, 0.25)


def test_models():
    """The listing has OpenAI's shape."""
    operation = GEMINI.operations["models"]
    assert operation.request({}, TARGET).path == "/v1beta/models?pageSize=1000"
    body = operation.response(body_of("gemini/models"), {})
    assert [Model.model_validate(row).id for row in body["data"]] == ["gemini-2.5-flash", "gemini-embedding-001"]


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (400, {"status": "INVALID_ARGUMENT", "message": "Bad."}, "invalid_request_error", None),
        (
            400,
            {
                "status": "INVALID_ARGUMENT",
                "message": "The input token count (9) exceeds the maximum number of tokens.",
            },
            "invalid_request_error",
            "context_length_exceeded",
        ),
        (401, {"status": "UNAUTHENTICATED", "message": "No."}, "invalid_request_error", "invalid_api_key"),
        (403, {"status": "PERMISSION_DENIED", "message": "No."}, "permission_error", "permission_denied"),
        (404, {"status": "NOT_FOUND", "message": "No."}, "invalid_request_error", "model_not_found"),
        (404, {"message": "No."}, "invalid_request_error", "model_not_found"),
        (499, {"status": "CANCELLED", "message": "No."}, "server_error", None),
        (500, {"status": "INTERNAL", "message": "No."}, "server_error", None),
        (503, {"status": "UNAVAILABLE", "message": "No."}, "server_error", None),
    ],
)
def test_errors_of_google(status, body, kind, code):
    """Each status has its OpenAI words, in an object, in an array and as text."""
    expected = {"error": {"message": body["message"], "type": kind, "param": None, "code": code}}
    for shape in ({"error": body}, json.dumps([{"error": body}])):
        assert GEMINI.translate_error(status, shape) == expected


def test_special_errors():
    """A wrong key is OpenAI's invalid_api_key, a quota says how long to wait, a page of an edge is one sentence."""
    assert GEMINI.translate_error(400, body_of("gemini/error_key"))["error"]["code"] == "invalid_api_key"
    quota = GEMINI.translate_error(429, body_of("gemini/error_429"))["error"]
    assert (quota["code"], quota["retry_after"]) == ("rate_limit_exceeded", 18)
    assert GEMINI.translate_error(502, "<html><title>Bad Gateway</title>")["error"]["message"] == "Bad Gateway"
    assert GEMINI.error(429, body_of("gemini/error_429")) == "You exceeded your current quota. (RESOURCE_EXHAUSTED)"
    assert GEMINI.error(500, "[{}]") == "[{}]"


# ── Google's own API, read ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1beta/models/gemini-2.5-flash:generateContent", ("chat", "gemini-2.5-flash", False, "llm")),
        ("/v1/models/gemini-2.5-flash:streamGenerateContent?alt=sse", ("chat", "gemini-2.5-flash", True, "llm")),
        ("/v1beta/models/gemini-2.5-flash%3AgenerateContent", ("chat", "gemini-2.5-flash", False, "llm")),
        ("/v1beta/tunedModels/mine:generateContent", ("chat", "tunedModels/mine", False, "llm")),
        ("/v1beta/models/e:embedContent", ("embeddings", "e", False, "embedding")),
        ("/v1beta/models/e:batchEmbedContents", ("embeddings", "e", False, "embedding")),
        ("/v1beta/models/imagen-4:predict", ("image_generation", "imagen-4", False, "llm")),
        ("/v1beta/models/m:countTokens", ("count_tokens", "m", False, "custom")),
        ("/v1beta/models/m:batchGenerateContent", ("batchGenerateContent", "m", False, "custom")),
        (
            "/v1/projects/p/locations/l/publishers/google/models/gemini-2.5-pro:generateContent",
            ("chat", "gemini-2.5-pro", False, "llm"),
        ),
        ("/v1beta/openai/chat/completions", ("chat", "asked", True, "llm")),
        ("/v1/chat/completions", ("chat", "asked", True, "llm")),
        ("/v1beta/interactions", ("chat", "asked", True, "llm")),
        ("/v1beta/cachedContents", ("cachedContents", "asked", False, "custom")),
    ],
)
def test_what_is_asked(path, expected):
    """The method of a model says it; the model stands in the path."""
    found = GEMINI.native("POST", path, {"model": "asked", "stream": True})
    assert (found.operation, found.model, found.is_stream, found.span_type) == expected


def test_reading_bills_nothing():
    """Listing and looking up models is no generation."""
    for path in ("/v1beta/models", "/v1beta/models/gemini-2.5-flash", "/v1beta/files/abc"):
        assert GEMINI.native("GET", path, {}).span_type == "custom"


@pytest.mark.parametrize(
    ("path", "is_native"),
    [
        ("/v1beta/models/x:generateContent", True),
        ("/v1/models/x:generateContent", True),
        ("/upload/v1beta/files", True),
        ("/v1/models", False),
        ("/v1/chat/completions", False),
        ("/v1/embeddings", False),
    ],
)
def test_native_paths(path, is_native):
    """Google's paths pass untouched, OpenAI's are translated."""
    assert GEMINI.is_native(path) is is_native


def test_the_openai_endpoint_of_google_is_read_too():
    """Under /v1beta/openai Google speaks OpenAI's dialect."""
    body = answer("text")
    assert GEMINI.answer("chat", ASKED, body).text == "Grüße aus Köln 🌊"
    machine = GEMINI.stream("chat", ASKED)
    run(machine, b"".join(b"data: %s\n\n" % json.dumps(chunk).encode() for chunk in chunks_of("text")))
    assert machine.result.text == "Grüße aus Köln 🌊"
    assert machine.result.usage.total_tokens == 21


def test_native_answers_that_are_no_chat():
    """An embedding has usage and no text; counting tokens has neither."""
    found = GEMINI.answer("embeddings", {}, body_of("gemini/embed"))
    assert (found.text, found.usage.prompt_tokens) == ("", 3)
    assert GEMINI.answer("count_tokens", {}, {"totalTokens": 5}).usage is None


def test_keys():
    """An API key has its own header, an OAuth token is a bearer; the key is never in the URL."""
    assert GEMINI.authorize("AIza1") == (("x-goog-api-key", "AIza1"),)
    assert GEMINI.authorize("ya29.x") == (("authorization", "Bearer ya29.x"),)
    assert GEMINI.credentials == {"x-goog-api-key", "authorization"}
