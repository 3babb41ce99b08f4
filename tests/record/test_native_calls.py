"""Untouched native calls of Cohere, Azure, Ollama and Helicone become rows with all that is in them."""

import json

import pytest
from adapter_help import FIXTURES, price_book, stream_of

from llmflow_web.model import Capture, Exchange, Row
from llmflow_web.record.exchange import RowMaker
from llmflow_web.record.messages import messages_of
from llmflow_web.registry import PROVIDERS

MS = 1_000_000
LINES = "application/x-ndjson"
EVENTS = "text/event-stream"


def capture(data: bytes) -> Capture:
    kept = Capture(1 << 20)
    kept.add(data)
    return kept


def row_of(provider: str, path: str, ask: dict, answer: bytes, kind: str = "application/json", **more: object) -> Row:
    """Record one passthrough call that took 5 ms; its bytes come at once after 2 ms."""
    call = Exchange()
    call.source, call.provider, call.dialect = "passthrough", provider, provider
    call.trace_id, call.id = "a" * 32, "b" * 16
    call.method, call.path, call.upstream_path = "POST", path, path
    call.started_ns, call.stopped_ns = 10 * MS, 15 * MS
    call.request_headers = [(b"content-type", b"Content-Type: application/json")]
    call.request = capture(json.dumps(ask).encode())
    call.response_status = 200
    call.response_headers = [(b"content-type", b"Content-Type: " + kind.encode())]
    call.response = capture(answer)
    call.arrivals = [(0, 12 * MS)]
    for name, value in more.items():
        setattr(call, name, value)
    (row,) = RowMaker({row.name: row for row in PROVIDERS}, price_book())(call)
    return row


def said(row: Row) -> dict:
    bodies = {body.part: body.data for body in row.bodies}
    return messages_of(row.span.provider, row.span.operation, bodies)


def answer_of(name: str) -> bytes:
    return (FIXTURES / f"{name}.json").read_bytes()


OLLAMA_ASK = {"model": "qwen3:8b", "messages": [{"role": "user", "content": "?", "images": ["AA=="]}]}


@pytest.mark.parametrize("is_stream", [True, False])
def test_ollama_chat(is_stream):
    """Tokens, text, thoughts and the time to the first token; nothing to pay."""
    if is_stream:
        row = row_of("ollama", "/api/chat", OLLAMA_ASK, stream_of("ollama/chat"), LINES, price_free=True)
    else:
        ask = {**OLLAMA_ASK, "stream": False}
        row = row_of("ollama", "/api/chat", ask, answer_of("ollama/chat"), price_free=True)
    span = row.span
    assert (span.operation, span.model, span.finish_reason, span.error) == ("chat", "qwen3:8b", "stop", None)
    assert (span.prompt_tokens, span.completion_tokens, span.estimated_cost) == (26, 12, 0.0)
    assert span.is_stream is is_stream
    assert (span.ttft_ms, span.chunk_count) == ((2.0, 6) if is_stream else (None, None))
    assert span.notes == []
    assert said(row) == {
        "input": [
            {
                "role": "user",
                "parts": [{"type": "text", "text": "?"}, {"type": "image", "url": "data:image/png;base64,AA=="}],
            }
        ],
        "output": [
            {
                "role": "assistant",
                "parts": [
                    {"type": "reasoning", "text": "Short answer."},
                    {"type": "text", "text": "Der Himmel ist blau 🌤"},
                ],
                "finish_reason": "stop",
            }
        ],
    }


def test_ollama_generate():
    """The text of a completion is shown with its end."""
    ask = {"model": "qwen3:8b", "prompt": "def", "system": "Code."}
    row = row_of("ollama", "/api/generate", ask, stream_of("ollama/generate"), LINES, price_free=True)
    assert (row.span.operation, row.span.span_name) == ("text_completion", "generate qwen3:8b")
    shown = said(row)
    assert [message["role"] for message in shown["input"]] == ["system", "user"]
    assert shown["output"][0]["parts"] == [{"type": "text", "text": "def f(): pass"}]


def test_ollama_embeddings():
    """Embeddings are counted, not shown."""
    ask = {"model": "all-minilm", "input": ["a", "b"]}
    row = row_of("ollama", "/api/embed", ask, answer_of("ollama/embed"), price_free=True)
    assert (row.span.span_type, row.span.prompt_tokens, row.span.estimated_cost) == ("embedding", 8, 0.0)
    assert said(row)["output"][0]["parts"][0]["text"] == "2 embeddings of 2 dimensions"


def test_a_cloud_model_is_not_free():
    """What a local server hands on to the cloud has the cloud's price, or none that is known."""
    answer = stream_of("ollama/chat").replace(b"qwen3:8b", b"kimi:cloud")
    ask = {**OLLAMA_ASK, "model": "kimi:cloud"}
    assert row_of("ollama", "/api/chat", ask, answer, LINES, price_free=True).span.estimated_cost is None


def test_an_error_line_after_200():
    """A stream that ends in an error failed, whatever its status said."""
    answer = stream_of("ollama/chat").partition(b"\n")[0] + b'\n{"error":"out of memory"}\n'
    span = row_of("ollama", "/api/chat", OLLAMA_ASK, answer, LINES).span
    assert (span.status, span.response_status, span.error) == (502, 200, "out of memory")


COHERE_ASK = {"model": "command-a-03-2025", "messages": [{"role": "user", "content": "?"}], "stream": True}


@pytest.mark.parametrize("is_stream", [True, False])
def test_cohere_tools(is_stream):
    """Tokens are shown, billed units paid; plan and calls are in the message."""
    ask = {**COHERE_ASK, "stream": is_stream}
    data = stream_of("cohere/chat_tools") if is_stream else answer_of("cohere/chat_tools")
    row = row_of("cohere", "/v2/chat", ask, data, EVENTS if is_stream else "application/json")
    span = row.span
    assert (span.model, span.finish_reason, span.prompt_tokens) == ("command-a-03-2025", "tool_calls", 1100)
    assert span.estimated_cost == pytest.approx(32 * 2.5e-06 + 41 * 1e-05)
    parts = said(row)["output"][0]["parts"]
    assert [part["type"] for part in parts] == ["reasoning", "tool_call", "tool_call"]
    assert parts[1] == {"type": "tool_call", "id": "weather_a1", "name": "weather", "arguments": '{"city":"Kiel"}'}


@pytest.mark.parametrize("kind", ["application/stream+json", LINES])
def test_cohere_v1(kind):
    """The lines of v1 are read by whichever name of their type; its own words for turns are understood."""
    ask = {
        "model": "command-a-03-2025",
        "message": "Moin?",
        "chat_history": [{"role": "CHATBOT", "message": "Hi"}],
        "preamble": "Be kind.",
        "stream": True,
    }
    row = row_of("cohere", "/v1/chat", ask, stream_of("cohere/v1_chat"), kind)
    assert (row.span.prompt_tokens, row.span.response_id, row.span.is_stream) == (70, "g1", True)
    shown = said(row)
    assert [(m["role"], m["parts"][0]["text"]) for m in shown["input"]] == [
        ("system", "Be kind."),
        ("assistant", "Hi"),
        ("user", "Moin?"),
    ]
    assert shown["output"][0]["parts"] == [{"type": "text", "text": "Moin aus Kiel"}]


def test_a_rerank():
    """A rerank is a span of its own kind."""
    span = row_of("cohere", "/v2/rerank", {"model": "rerank-v9"}, answer_of("cohere/rerank")).span
    assert (span.span_type, span.operation, span.prompt_tokens) == ("rerank", "rerank", None)


def test_azure():
    """The model that answered is what is priced."""
    path = "/openai/deployments/mine/chat/completions"
    span = row_of("azure", path, {"messages": [], "stream": True}, stream_of("azure/chat_filtered"), EVENTS).span
    assert (span.request_model, span.model, span.finish_reason) == ("mine", "gpt-4o-2024-08-06", "stop")
    assert (span.total_tokens, span.price_key) == (15, "azure/global-standard/gpt-4o-2024-08-06")


@pytest.mark.parametrize(("cache", "is_free"), [("HIT", True), ("MISS", False)])
def test_helicone(cache, is_free):
    """A call behind the gateway is read and billed as that of the provider it leads to; a cached one costs nothing."""
    answer = json.dumps({"id": "c", "message": {"role": "assistant", "content": [{"type": "text", "text": "x"}]},
                         "usage": {"tokens": {"input_tokens": 9, "output_tokens": 9}, "billed_units": {"input_tokens": 1000, "output_tokens": 200}}})  # fmt: skip
    headers = [
        (b"content-type", b"Content-Type: application/json"),
        (b"helicone-cache", b"Helicone-Cache: " + cache.encode()),
    ]
    row = row_of("helicone", "/v2/chat", COHERE_ASK, answer.encode(), dialect="cohere", response_headers=headers)
    assert (row.span.provider, row.span.prompt_tokens) == ("helicone", 9)
    assert row.span.estimated_cost == (0.0 if is_free else 0.0045)
