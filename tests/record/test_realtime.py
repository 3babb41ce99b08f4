"""A WebSocket session becomes a row: whatever its frames look like, and however it ends."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from frames_help import deflate, fragments, masked
from hypothesis import given, settings
from hypothesis import strategies as st
from realtime_events import SESSION, USAGE, answer_events, call_item, done, heard_event, message_item

from llmflow_web.model import (
    PART_ANSWER,
    PART_ARRIVALS,
    PART_HEADERS,
    PART_INPUT,
    PART_RESPONSE,
    Capture,
    Cost,
    Exchange,
)
from llmflow_web.record.exchange import RowMaker
from llmflow_web.record.messages import messages_of
from llmflow_web.registry import PROVIDERS
from llmflow_web.wire.arrivals import decode_arrivals
from llmflow_web.wire.frames import LateFrames
from llmflow_web.wire.websocket import BINARY, TEXT, encode_close, encode_frame, encode_text

CREATED = {"type": "session.created", "session": SESSION}
SERVER = [
    CREATED,
    heard_event("Hi"),
    *answer_events(message_item("Hello"), 2),
    done(call_item(), {**USAGE, "input_tokens": 1000}),
]
CLIENT = [{"type": "session.update", "session": {"instructions": "Be brief."}}, {"type": "response.create"}]


def text_of(event: dict) -> bytes:
    return json.dumps(event).encode()


def capture(data: bytes, limit: int = 1 << 22) -> Capture:
    kept = Capture(limit)
    kept.add(data)
    return kept


def session(server: bytes, client: bytes = b"", *, extension: bytes = b"", **more: object) -> Exchange:
    exchange = Exchange()
    exchange.provider, exchange.dialect, exchange.trace_id, exchange.id = "openai", "openai", "t" * 32, "s" * 16
    exchange.method, exchange.path, exchange.upstream_path = "GET", "/v1/realtime", "/v1/realtime"
    exchange.query, exchange.is_websocket, exchange.response_status = "model=asked", True, 101
    exchange.started_ns, exchange.stopped_ns = 1000, 5_000_000_000
    exchange.request, exchange.response = capture(client), capture(server)
    if extension:
        exchange.response_headers = [(b"sec-websocket-extensions", b"Sec-WebSocket-Extensions: " + extension)]
    exchange.arrivals.append((0, 3_000_000))
    for name, value in more.items():
        setattr(exchange, name, value)
    return exchange


class NoPrices:
    """Knows no price."""

    def price(self, *_: object, **__: object) -> Cost:
        return Cost(None)


def row_of(exchange: Exchange):
    (row,) = RowMaker({provider.name: provider for provider in PROVIDERS}, NoPrices())(exchange)
    return row.span, {body.part: body.data for body in row.bodies}


def frames(events: list[dict]) -> bytes:
    return b"".join(encode_text(text_of(event)) for event in events)


GOODBYE = encode_close(1000, "bye")
WHOLE = row_of(session(frames(SERVER) + GOODBYE, masked(encode_text(text_of(CLIENT[0])))))


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 4000), max_size=4), min_size=len(SERVER), max_size=len(SERVER)), st.data())
def test_any_cutting_gives_the_same_row(cuts, data):
    """Fragments, pings between them, deflate with and without takeover: the same usage, text and lines."""
    texts = [text_of(event) for event in SERVER]
    is_deflated = data.draw(st.booleans())
    if is_deflated:
        texts = deflate(texts, keeps_window=data.draw(st.booleans()))
    server = b"".join(fragments(TEXT, text, at, is_deflated=is_deflated) for text, at in zip(texts, cuts, strict=True))
    client = masked(encode_text(text_of(CLIENT[0])))
    extension = b"permessage-deflate" if is_deflated else b""
    span, bodies = row_of(session(server + GOODBYE, client, extension=extension))
    assert (span.prompt_tokens, span.completion_tokens, span.cached_tokens) == (1132, 242, 128)
    assert span == WHOLE[0]
    assert {**bodies, PART_HEADERS: b""} == {**WHOLE[1], PART_HEADERS: b""}


def test_what_is_stored():
    """The server's messages line by line, when each came, the items of the conversation, and the assembled answer."""
    span, bodies = WHOLE
    lines = [json.loads(line) for line in bodies[PART_RESPONSE].splitlines()]
    assert lines == SERVER
    starts = [at for at, _ in decode_arrivals(bodies[PART_ARRIVALS])]
    assert [bodies[PART_RESPONSE][at : at + 1] for at in starts] == [b"{"] * len(SERVER)
    answer = json.loads(bodies[PART_ANSWER])
    assert [item["type"] for item in answer["output"]] == ["message", "function_call"]
    assert json.loads(bodies[PART_INPUT])["input"][0] == {"role": "system", "content": "Be brief."}
    assert any("transcribing" in note for note in span.notes)
    assert (span.response_id, span.request_model, span.chunk_count) == ("sess_1", "gpt-realtime", len(SERVER))


@pytest.mark.parametrize(
    ("server", "client", "said", "expected"),
    [
        (GOODBYE, b"", "finished", ("finished", 200, None)),
        (b"", masked(GOODBYE), "client_closed", ("finished", 200, None)),
        (b"", b"", "client_closed", ("client_closed", 200, None)),
        (b"", b"", "upstream_closed", ("upstream_closed", 502, "the connection was reset")),
        (b"", b"", "finished", ("upstream_closed", 502, "the provider broke the session off")),
        (encode_close(1001), b"", "finished", ("finished", 200, None)),
        (encode_close(1005), b"", "finished", ("finished", 200, None)),
        (encode_close(3000, "bad key"), b"", "finished", ("finished", 502, "3000: bad key")),
        (encode_close(4000), masked(encode_close(4000)), "finished", ("finished", 200, None)),
    ],
)
def test_endings(server, client, said, expected):
    """A close frame is a good end unless the provider closes with an error; a client may just go."""
    error = "the connection was reset" if said == "upstream_closed" else None
    span, _ = row_of(session(frames([CREATED]) + server, client, ending=said, error=error))
    assert (span.ending, span.status, span.response_status) == (*expected[:2], 101)
    assert span.error is None if expected[2] is None else expected[2] in span.error


def test_a_failed_response_is_the_row_s_error_until_another_succeeds():
    """The last word counts."""
    details = {"type": "failed", "error": {"type": "server_error", "message": "overloaded"}}
    failed = done(message_item(""), status="failed", status_details=details)
    assert "overloaded" in row_of(session(frames([CREATED, failed]) + GOODBYE))[0].error
    assert row_of(session(frames([CREATED, failed, done(message_item("a"))]) + GOODBYE))[0].error is None


def test_a_session_without_answers():
    """It has no tokens, and the model is the one asked for."""
    span, _ = row_of(session(GOODBYE))
    assert (span.model, span.span_name, span.prompt_tokens, span.estimated_cost) == (
        "asked",
        "realtime asked",
        None,
        None,
    )


def test_meta_keeps_no_words():
    """Tokens are counted, nothing said is stored."""
    span, bodies = row_of(session(frames(SERVER) + GOODBYE, record="meta"))
    assert span.prompt_tokens == 1132
    assert list(bodies) == [PART_HEADERS]
    assert span.preview_out is None


@pytest.mark.parametrize(
    "secret", ["sk-proj-9aB8cD7eF6gH5iJ4kL3mN2oP1", "ek_68af296e8e408191a1120ab6383263c2", "of-some-own-shape-1"]
)
def test_secrets_are_masked(secret):
    """A key in an event, and one among the subprotocols, is not stored; masked frames hide nothing from the mask."""
    event = {"type": "session.update", "session": {"tools": [{"type": "mcp", "authorization": secret}]}}
    exchange = session(b"", masked(encode_text(text_of(event))))
    exchange.request_headers = [
        (b"sec-websocket-protocol", f"Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.{secret}".encode())
    ]
    _, bodies = row_of(exchange)
    assert not any(secret.encode() in data for data in bodies.values())


def test_gemini_live():
    """Its JSON comes in binary messages: the setup's model, transcripts, calls, and the usage of every turn."""
    usage = {"promptTokenCount": 10, "responseTokenCount": 5, "totalTokenCount": 15}
    server = [
        {"setupComplete": {}},
        {"serverContent": {"inputTranscription": {"text": "Hel"}}},
        {"serverContent": {"inputTranscription": {"text": "lo"}}},
        {"serverContent": {"modelTurn": {"parts": [{"inlineData": {"mimeType": "audio/pcm", "data": "QUJD"}}]}}},
        {"serverContent": {"outputTranscription": {"text": "Hi "}}},
        {"serverContent": {"outputTranscription": {"text": "you"}}},
        {"serverContent": {"turnComplete": True}, "usageMetadata": usage},
        {"toolCall": {"functionCalls": [{"id": "f1", "name": "look", "args": {"at": 1}}]}, "usageMetadata": usage},
    ]
    client = [{"setup": {"model": "models/gemini-live-2.5", "systemInstruction": {"parts": [{"text": "Kind."}]}}}]
    exchange = session(
        b"".join(encode_frame(BINARY, text_of(event)) for event in server) + GOODBYE,
        b"".join(masked(encode_text(text_of(event))) for event in client),
        provider="gemini",
        dialect="gemini",
        upstream_path="/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent",
        query="",
    )
    span, bodies = row_of(exchange)
    assert (span.model, span.prompt_tokens, span.completion_tokens) == ("gemini-live-2.5", 20, 10)
    shown = messages_of("gemini", "realtime", bodies)
    assert [message["parts"][0].get("text") for message in shown["input"]] == ["Kind.", "Hello"]
    assert shown["output"][0]["parts"] == [{"type": "text", "text": "Hi you"}]
    assert shown["output"][1]["parts"][0]["arguments"] == '{"at": 1}'


@settings(deadline=None)
@given(st.lists(st.integers(0, 40_000), max_size=8), st.integers(1, 40_000))
def test_a_copy_too_short_loses_no_answer(cuts, limit):
    """Wherever the copy ends and however the bytes came, each answer is counted once."""
    wire = frames([CREATED, *(event for _ in range(5) for event in answer_events(message_item("Hello"), 3))]) + GOODBYE
    copy, late = Capture(limit), Capture(1 << 20)
    watch = LateFrames(copy, late)
    marks = [0, *sorted(min(cut, len(wire)) for cut in cuts), len(wire)]
    for start, end in pairwise(marks):
        copy.add(wire[start:end])
        watch.feed(wire[start:end])
    span, _ = row_of(session(b"", response=copy, late=late))
    assert (span.prompt_tokens, span.ending, span.model) == (5 * USAGE["input_tokens"], "finished", "gpt-realtime")


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_noise_makes_a_row(server, client):
    """Bytes that are no frames, or no JSON, are still a session."""
    span, _ = row_of(session(server, encode_text(client)))
    assert span.operation == "realtime"


def test_messages_that_are_not_json_are_told_by_their_size():
    """Nothing of them is stored."""
    _, bodies = row_of(session(encode_frame(BINARY, b"\x00" * 10) + encode_text(b"[1]") + GOODBYE))
    assert bodies[PART_RESPONSE] == b'{"not_json":10}\n{"not_json":3}\n'
