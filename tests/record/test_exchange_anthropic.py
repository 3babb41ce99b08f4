"""Anthropic's own calls become rows with model, tokens, price, user and the answer assembled."""

import json
from pathlib import Path

import pytest

from llmflow_web.model import PART_ANSWER, Capture, Exchange, Row
from llmflow_web.record.exchange import RowMaker
from llmflow_web.record.price_table import table_from
from llmflow_web.record.pricing import PriceBook
from llmflow_web.registry import PROVIDERS

FIXTURES = Path(__file__).parent.parent / "fixtures"
PRICES = json.loads((FIXTURES / "prices.json").read_text())
ASK = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 9,
    "messages": [{"role": "user", "content": "Hi"}],
    "metadata": {"user_id": "u1"},
}


def row_of(path: str, ask: dict, answer: bytes, kind: str = "application/json", source: str = "passthrough") -> Row:
    call = Exchange()
    call.provider, call.source, call.trace_id, call.id = "anthropic", source, "a" * 32, "b" * 16
    call.method, call.path, call.upstream_path = "POST", f"/passthrough/anthropic{path}", path
    call.started_ns, call.stopped_ns = 10, 20
    call.request, call.response = Capture(1 << 20), Capture(1 << 20)
    call.request.add(json.dumps(ask).encode())
    call.response.add(answer)
    call.arrivals = [(0, 15)]
    call.response_status = 200
    call.response_headers = [(b"content-type", f"Content-Type: {kind}".encode())]
    book = PriceBook(load=lambda: table_from(PRICES, date="2026-10-21", source="test"), clock=lambda: 0.0)
    (row,) = RowMaker({provider.name: provider for provider in PROVIDERS}, book)(call)
    return row


@pytest.mark.parametrize(("name", "kind"), [("json", "application/json"), ("sse", "text/event-stream")])
def test_a_native_call(name, kind):
    """Streamed or not, the row is the same: Anthropic's tokens in OpenAI's counting, and the worked bill."""
    row = row_of(
        "/v1/messages", {**ASK, "stream": name == "sse"}, (FIXTURES / f"anthropic/text.{name}").read_bytes(), kind
    )
    span = row.span
    assert (span.operation, span.model, span.request_model) == ("chat", "claude-sonnet-4-5-20250929", ASK["model"])
    assert (span.prompt_tokens, span.completion_tokens, span.cached_tokens, span.cache_write_tokens) == (
        4000,
        800,
        2000,
        800,
    )
    assert span.estimated_cost == pytest.approx(0.019875)
    assert (span.user_id, span.finish_reason, span.response_id) == ("u1", "stop", "msg_01Text")
    assert span.preview_out == 'Grüße aus Köln 🌍. Line "two".'
    assert (span.error, span.notes) == (None, [])
    answers = [json.loads(body.data) for body in row.bodies if body.part == PART_ANSWER]
    assert [answer["content"][0]["type"] for answer in answers] == (["text"] if name == "sse" else [])


def test_counting_is_free():
    """Counting tokens costs nothing and is no generation."""
    span = row_of("/v1/messages/count_tokens", ASK, b'{"input_tokens": 7}').span
    assert (span.span_type, span.estimated_cost, span.prompt_tokens) == ("custom", 0.0, None)


def test_a_batch():
    """What a batch costs is not known when it is made."""
    span = row_of("/v1/messages/batches", {"requests": []}, b'{"id": "b", "type": "message_batch"}').span
    assert (span.operation, span.span_type, span.estimated_cost, span.prompt_tokens) == ("batch", "custom", None, None)


def test_an_error_inside_a_stream():
    """It is the outcome, with Anthropic's sentence."""
    data = (FIXTURES / "anthropic/text.sse").read_bytes().split(b"event: message_delta")[0]
    data += b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'
    span = row_of("/v1/messages", {**ASK, "stream": True}, data, "text/event-stream").span
    assert (span.status, span.error) == (502, "Overloaded (overloaded_error)")
    assert span.prompt_tokens == 4000
