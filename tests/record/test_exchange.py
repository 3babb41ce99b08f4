"""A finished call becomes one row that says what happened, and keeps no secret."""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmflow_web.model import (
    PART_ANSWER,
    PART_ARRIVALS,
    PART_ATTRIBUTES,
    PART_HEADERS,
    PART_INPUT,
    PART_OTLP,
    PART_REQUEST,
    PART_RESPONSE,
    Arrivals,
    Body,
    Capture,
    Cost,
    CostLine,
    Exchange,
    Row,
    Span,
    Unrecorded,
    Usage,
)
from llmflow_web.record.exchange import RowMaker
from llmflow_web.registry import PROVIDERS
from llmflow_web.wire.arrivals import decode_arrivals
from llmflow_web.wire.chunked import LAST_CHUNK, encode_chunk

FIXTURES = Path(__file__).parent.parent / "fixtures" / "openai"
KEY = "sk-proj-9aB8cD7eF6gH5iJ4kL3mN2oP1"
ASK = {
    "model": "gpt-4o",
    "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi  there\n"}],
}
ANSWER = (FIXTURES / "chat_text.json").read_bytes()
STREAM = (FIXTURES / "chat_text.sse").read_bytes()
MS = 1_000_000


class Prices:
    """Bills a dollar a token, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple] = []

    def price(self, provider, models: Sequence[str], usage: Usage, *, free: bool = False) -> Cost:
        name = getattr(provider, "name", provider)
        self.asked.append((name, list(models), free))
        if free:
            return Cost(0.0, quality="free")
        total = float(usage.total_tokens or 0)
        return Cost(total, (CostLine("input", 1, "token", 1.0, total),), "key", "2026-01-01", "exact")


def header(name: str, value: str) -> tuple[bytes, bytes]:
    return name.lower().encode(), f"{name}: {value}".encode()


def capture(data: bytes, limit: int = 1 << 20) -> Capture:
    kept = Capture(limit)
    kept.add(data)
    return kept


def exchange(
    ask: object = ASK,
    answer: bytes = ANSWER,
    *,
    path: str = "/v1/chat/completions",
    status: int = 200,
    request_headers: Sequence[tuple[str, str]] = (),
    response_headers: Sequence[tuple[str, str]] = (("Content-Type", "application/json"),),
    **more: object,
) -> Exchange:
    """Make a closed exchange that took 5 ms."""
    call = Exchange()
    call.provider, call.trace_id, call.id = "openai", "a" * 32, "b" * 16
    call.method, call.path, call.upstream_path = "POST", path, path
    call.start_ns, call.started_ns, call.stopped_ns = 1_700_000_000 * 10**9, 10 * MS, 15 * MS
    call.request_headers = [header("Content-Type", "application/json"), *(header(*pair) for pair in request_headers)]
    call.request = capture(ask if isinstance(ask, bytes) else json.dumps(ask).encode())
    call.response_status = status
    call.response_headers = [header(*pair) for pair in response_headers]
    call.response = capture(answer)
    call.arrivals.append((0, 12 * MS))
    for name, value in more.items():
        setattr(call, name, value)
    return call


def streamed(data: bytes = STREAM, **more: object) -> Exchange:
    return exchange(
        {**ASK, "stream": True}, data, response_headers=[("Content-Type", "text/event-stream; charset=utf-8")], **more
    )


def row_of(call: object, prices: Prices | None = None, **options: object) -> Row:
    maker = RowMaker({provider.name: provider for provider in PROVIDERS}, prices or Prices(), **options)
    (row,) = maker(call)
    return row


def span_of(call: object) -> Span:
    return row_of(call).span


def parts(row: Row) -> dict[int, Body]:
    return {body.part: body for body in row.bodies}


# ── the plain cases ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_call():
    """Every column of a plain call."""
    prices = Prices()
    span = row_of(exchange(request_headers=[("User-Agent", "OpenAI/Python")]), prices).span
    assert (span.trace_id, span.id, span.parent_id, span.source) == ("a" * 32, "b" * 16, None, "proxy")
    assert (span.span_type, span.span_name, span.operation) == ("llm", "chat gpt-4o-2024-08-06", "chat")
    assert (span.model, span.request_model, span.provider) == ("gpt-4o-2024-08-06", "gpt-4o", "openai")
    assert (span.start_ns, span.duration_ns, span.ttft_ms) == (1_700_000_000 * 10**9, 5 * MS, None)
    assert (span.status, span.response_status, span.error, span.ending) == (200, 200, None, "finished")
    assert (span.prompt_tokens, span.completion_tokens, span.total_tokens) == (30, 9, 39)
    assert (span.cached_tokens, span.cache_write_tokens, span.reasoning_tokens) == (20, 3, 4)
    assert (span.response_id, span.finish_reason, span.is_stream) == ("chatcmpl-1", "stop", False)
    assert (span.estimated_cost, span.price_key, span.is_estimated) == (39.0, "key", False)
    assert span.cost_detail is not None
    assert span.cost_detail["lines"][0]["amount"] == 39.0
    assert (span.preview_in, span.preview_out) == ("Hi there", "Grüße aus 東京 🎉")
    assert (span.tool, span.notes, span.dropped) == ("proxy", [], [])
    assert prices.asked == [("openai", ["gpt-4o-2024-08-06", "gpt-4o"], False)]


def test_bodies_are_stored_as_they_came():
    """Request and answer byte for byte, headers as pairs with credentials masked."""
    row = row_of(exchange(request_headers=[("Authorization", f"Bearer {KEY}")]))
    found = parts(row)
    assert set(found) == {PART_HEADERS, PART_REQUEST, PART_RESPONSE}
    assert found[PART_REQUEST].data == json.dumps(ASK).encode()
    assert found[PART_RESPONSE].data == ANSWER
    headers = json.loads(found[PART_HEADERS].data)
    assert ["Authorization", "Bearer sk-p…[redacted 33]"] in headers["request"]
    assert headers["response"] == [["Content-Type", "application/json"]]


def test_a_stream():
    """A streamed call says the same as the one that is not, and keeps the assembled answer beside its events."""
    row = row_of(streamed())
    plain, span, found = span_of(exchange()), row.span, parts(row)
    same = (
        "model",
        "response_id",
        "finish_reason",
        "prompt_tokens",
        "completion_tokens",
        "cached_tokens",
        "preview_out",
    )
    assert [getattr(span, name) for name in same] == [getattr(plain, name) for name in same]
    assert (span.is_stream, span.chunk_count) == (True, 5)
    assert found[PART_RESPONSE].data == STREAM
    answer = json.loads(found[PART_ANSWER].data)
    assert answer["choices"] == json.loads(ANSWER)["choices"]
    assert (answer["_streaming"], answer["_chunks"]) == (True, 5)
    assert decode_arrivals(found[PART_ARRIVALS].data) == [(0, 2000)]


def arriving(data: bytes, *, chunk: bool = False, pack=lambda piece: piece, **more: object) -> Exchange:
    """Make a stream whose events came one by one, 1 ms apart, the first 2 ms after the request."""
    call = streamed(b"", **more)
    call.response, call.arrivals, call.is_chunked = Capture(1 << 20), Arrivals(), chunk
    for number, event in enumerate(data.split(b"\n\n")[:-1]):
        call.arrivals.append((call.response.size, (12 + number) * MS))
        piece = pack(event + b"\n\n")
        call.response.add(encode_chunk(piece) if chunk else piece)
    if chunk:
        call.response.add(LAST_CHUNK)
    return call


@pytest.mark.parametrize("chunk", [False, True])
def test_ttft_is_the_first_event_with_content(chunk):
    """The role chunk comes first and does not count: the second event does, 3 ms after the request."""
    row = row_of(arriving(STREAM, chunk=chunk))
    assert row.span.ttft_ms == 3.0
    assert parts(row)[PART_RESPONSE].data == STREAM
    offsets = [offset for offset, _ in decode_arrivals(parts(row)[PART_ARRIVALS].data)]
    assert offsets == [STREAM.index(event) for event in STREAM.split(b"\n\n")[:-1]]


def test_ttft_of_a_compressed_stream():
    """Offsets on the wire are those of compressed bytes; the times are found all the same."""
    import zlib

    machine = zlib.compressobj(wbits=31)
    call = arriving(STREAM, chunk=True, pack=lambda piece: machine.compress(piece) + machine.flush(zlib.Z_SYNC_FLUSH))
    call.response_headers = [*call.response_headers, header("Content-Encoding", "gzip")]
    row = row_of(call)
    assert row.span.ttft_ms == 3.0
    assert parts(row)[PART_RESPONSE].data == STREAM


def test_compressed_answers_are_stored_plain():
    """Gzip over chunked is undone; the size is that of the wire."""
    wire = encode_chunk(gzip.compress(ANSWER)[:40]) + encode_chunk(gzip.compress(ANSWER)[40:]) + LAST_CHUNK
    headers = [("Content-Type", "application/json"), ("Content-Encoding", "gzip")]
    row = row_of(exchange(answer=wire, response_headers=headers, is_chunked=True))
    body = parts(row)[PART_RESPONSE]
    assert (body.data, body.size, body.is_raw) == (ANSWER, len(wire), False)
    assert row.span.total_tokens == 39


def test_an_encoding_we_cannot_undo():
    """The bytes are kept and marked, and tokens are unknown."""
    headers = [("Content-Type", "application/json"), ("Content-Encoding", "zstd")]
    row = row_of(exchange(answer=b"(\xb5/\xfd", response_headers=headers))
    assert parts(row)[PART_RESPONSE].is_raw
    assert (row.span.total_tokens, row.span.estimated_cost) == (None, None)
    assert "zstd" in row.span.dropped[0]


# ── how it ended ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("ending", "status"), [("client_closed", 499), ("upstream_closed", 502), ("timed_out", 504)])
def test_endings(ending, status):
    """The status is the outcome; what upstream had said is kept beside it, and so is the half answer."""
    span = span_of(streamed(STREAM[: len(STREAM) // 2], ending=ending))
    assert (span.status, span.response_status, span.ending) == (status, 200, ending)
    assert span.error
    assert span.preview_out == "Grüße aus 東京 🎉"[: len(span.preview_out or "")]
    assert span.is_estimated


def test_a_client_that_hangs_up_on_an_error_did_not_break_the_call():
    """An error inside the stream is a 502, whoever closed the connection after it."""
    data = STREAM[:400] + b'\n\ndata: {"error":{"message":"overloaded","code":503}}\n\n'
    span = span_of(streamed(data, ending="client_closed"))
    assert (span.status, span.ending, span.error) == (502, "client_closed", "overloaded (503)")


def test_a_client_that_goes_at_the_end_marker_had_the_whole_answer():
    """SDKs close at [DONE] without waiting for the last chunk of the framing: that is no call broken off."""
    span = span_of(streamed(STREAM, ending="client_closed"))
    assert (span.status, span.ending, span.error) == (200, "finished", None)


def test_a_lent_key_is_told_of():
    """A call that went out with LLMFlow's own key says so."""
    call = exchange()
    call.has_env_key = True
    assert "the key of LLMFlow's environment was used" in span_of(call).notes
    assert span_of(exchange()).notes == []


def test_no_answer_at_all():
    """An upstream that could not be reached: 502, our sentence, no cost, no tokens."""
    call = exchange(answer=b"", status=0, ending="upstream_closed", error="connection refused", response_headers=())
    span = span_of(call)
    assert (span.status, span.response_status, span.error) == (502, None, "connection refused")
    assert (span.total_tokens, span.estimated_cost, span.model) == (None, 0.0, "gpt-4o")


def test_errors_of_the_provider():
    """The provider's sentence is the error, with keys masked; a failed call costs nothing."""
    body = {"error": {"message": f"Incorrect API key provided: {KEY}.", "code": "invalid_api_key"}}
    span = span_of(exchange(answer=json.dumps(body).encode(), status=401))
    assert (span.status, span.estimated_cost, span.total_tokens) == (401, 0.0, None)
    assert span.error == "Incorrect API key provided: sk-p…[redacted 33]. (invalid_api_key)"
    assert span.preview_out == span.error


def test_html_errors():
    """A page of an edge server gives its title."""
    call = exchange(
        answer=b"<html><title>502 Bad Gateway</title>", status=502, response_headers=[("Content-Type", "text/html")]
    )
    assert span_of(call).error == "502 Bad Gateway"


def test_an_error_inside_a_stream():
    """HTTP 200 was already said; the call failed all the same."""
    data = STREAM.partition(b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000')[0]
    span = span_of(streamed(STREAM[:400] + b'\n\ndata: {"error":{"message":"overloaded","code":503}}\n\n' + data))
    assert (span.status, span.response_status, span.error) == (502, 200, "overloaded (503)")


def test_an_unmarked_end_is_noted():
    """A stream that ends cleanly without its marker is no error, but it is said."""
    span = span_of(streamed(STREAM.replace(b"data: [DONE]\n\n", b"")))
    assert (span.status, span.notes) == (200, ["the stream ended without its end marker"])


# ── tokens and money ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_tokens_are_estimated_where_none_are_given():
    """Four characters a token, marked, noted, priced."""
    body = {"id": "x", "model": "m", "choices": [{"message": {"role": "assistant", "content": "x" * 10}}]}
    span = span_of(exchange(answer=json.dumps(body).encode()))
    assert (span.prompt_tokens, span.completion_tokens, span.is_estimated) == (5, 3, True)
    assert span.estimated_cost == 8.0
    assert "estimated" in span.notes[0]


def test_pictures_are_not_estimated_as_text():
    """A data URL is no prose."""
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 9000}}
    ask = {**ASK, "messages": [{"role": "user", "content": [{"type": "text", "text": "x" * 8}, picture]}]}
    body = {"choices": [{"message": {"role": "assistant", "content": "ok"}}]}
    assert span_of(exchange(ask, json.dumps(body).encode())).prompt_tokens == 2


def test_lists_and_files_cost_nothing_and_count_nothing():
    """GET /v1/models is recorded as custom; usage of something read back is not billed again."""
    call = exchange(b"", ANSWER, path="/v1/chat/completions/c1", method="GET")
    span = span_of(call)
    assert (span.span_type, span.span_name) == ("custom", "GET /v1/chat/completions/c1")
    assert (span.total_tokens, span.estimated_cost) == (None, 0.0)


def test_local_upstreams_are_free():
    """`price_free` reaches the price book."""
    prices = Prices()
    assert row_of(exchange(provider="ollama", price_free=True), prices).span.estimated_cost == 0.0
    assert prices.asked[0][2]


def test_an_upstream_of_the_users_own_is_read_as_openai():
    """An unknown name is no reason to record nothing, but it has no price of its own."""
    prices = Prices()
    assert row_of(exchange(provider="mybox"), prices).span.total_tokens == 39
    assert prices.asked[0][0] is None


@pytest.mark.parametrize(
    ("path", "ask", "answer", "expected"),
    [
        ("/v1/embeddings", {"model": "e", "input": ["Hallo", "Welt"]},
         {"object": "list", "model": "e", "data": [{"embedding": "AAAA"}], "usage": {"prompt_tokens": 8, "total_tokens": 8}},
         ("embedding", "embeddings e", 8, "Hallo Welt")),
        ("/v1/moderations", {"input": "x"}, {"id": "modr-1", "model": "omni", "results": []}, ("guardrail", "moderation omni", None, "x")),
        ("/v1/images/generations", {"model": "gpt-image-1", "prompt": "a cat"},
         {"created": 1, "data": [{"b64_json": "AA"}], "usage": {"input_tokens": 5, "output_tokens": 10, "total_tokens": 15}},
         ("llm", "image_generation gpt-image-1", 15, "a cat")),
        ("/v1/completions", {"model": "i", "prompt": "Once"},
         {"object": "text_completion", "model": "i", "choices": [{"text": "upon", "index": 0, "finish_reason": "stop"}],
          "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}},
         ("llm", "text_completion i", 3, "Once")),
    ],
)  # fmt: skip
def test_operations(path, ask, answer, expected):
    """Embeddings, moderations, images and completions each in their own words."""
    span = span_of(exchange(ask, json.dumps(answer).encode(), path=path))
    assert (span.span_type, span.span_name, span.total_tokens, span.preview_in) == expected


def test_responses():
    """The Responses API is chat too, and its name says which."""
    call = streamed((FIXTURES / "responses.sse").read_bytes(), path="/v1/responses")
    call.request = capture(json.dumps({"model": "gpt-5.1", "input": "Frage?", "stream": True}).encode())
    span = span_of(call)
    assert (span.operation, span.span_name) == ("chat", "responses gpt-5.1-2025-11-13")
    assert (span.total_tokens, span.reasoning_tokens, span.finish_reason) == (70, 8, "tool_calls")
    assert (span.preview_in, span.preview_out) == ("Frage?", "Die Antwort: 42")


def test_speech_is_billed_by_characters():
    """The answer is audio; the request says how much was spoken. The audio is stored as it came."""
    prices = Prices()
    call = exchange({"model": "tts-1", "voice": "x", "input": "Hallo"}, b"ID3\x04sk-", path="/v1/audio/speech",
                    response_headers=[("Content-Type", "audio/mpeg")])  # fmt: skip
    row = row_of(call, prices)
    assert prices.asked
    assert parts(row)[PART_RESPONSE].data == b"ID3\x04sk-"


def test_a_failed_upload_costs_nothing():
    """A POST that is no generation has an unknown cost, unless it failed."""
    assert span_of(exchange(b"", b"{}", path="/v1/files")).estimated_cost is None
    span = span_of(exchange(b"", b"", path="/v1/files", status=500))
    assert (span.estimated_cost, span.error) == (0.0, "HTTP 500")


def test_an_error_status_always_has_a_sentence():
    """Even when the provider answers with an empty event stream."""
    assert span_of(streamed(b"", status=503)).error == "HTTP 503"


def test_forms_of_text_are_masked():
    """A key in a form goes, a recording is left alone."""
    form = b'--B\r\nContent-Disposition: form-data; name="prompt"\r\n\r\n%b\r\n%b--B--\r\n'
    for extra, is_masked in ((b"", True), (b"\xff\xfb\r\n", False)):
        call = exchange(form % (KEY.encode(), extra), b"{}", path="/v1/images/edits")
        call.request_headers = [header("Content-Type", "multipart/form-data; boundary=B")]
        assert (KEY.encode() not in parts(row_of(call))[PART_REQUEST].data) is is_masked


def test_multipart_uploads():
    """The model of a form is found, before and after the file; the body is stored as it is."""
    field = b'--B\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
    file = b'--B\r\nContent-Disposition: form-data; name="file"; filename="a.mp3"\r\nContent-Type: audio/mpeg\r\n\r\n\xff\xfb\r\n'
    for body in (field + file + b"--B--\r\n", file + field + b"--B--\r\n"):
        call = exchange(
            body, b'{"text":"Hallo","usage":{"type":"duration","seconds":3}}', path="/v1/audio/transcriptions"
        )
        call.request_headers = [header("Content-Type", "multipart/form-data; boundary=B")]
        row = row_of(call)
        assert (row.span.request_model, row.span.operation, row.span.preview_out) == (
            "whisper-1",
            "transcription",
            "Hallo",
        )
        assert parts(row)[PART_REQUEST].data == body


# ── labels ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_labels():
    """Tags, session, conversation, user, prompt, metadata and parent come from our headers."""
    row = row_of(
        exchange(
            request_headers=[
                ("X-LLMFlow-Tags", " a, b:c ,,a"),
                ("X-LLMFlow-Session-Id", "s1"),
                ("X-LLMFlow-Conversation-Id", "c1"),
                ("X-LLMFlow-User-Id", "u1"),
                ("X-LLMFlow-Prompt", "greet@3"),
                ("X-LLMFlow-Metadata", '{"team":"red","api_key":"verysecret"}'),
                ("X-Parent-Id", "p1"),
            ]
        )
    )
    span = row.span
    assert (span.tags, span.session_id, span.conversation_id, span.user_id) == (["a", "b:c"], "s1", "c1", "u1")
    assert (span.prompt_name, span.prompt_version, span.parent_id) == ("greet", "3", "p1")
    assert json.loads(parts(row)[PART_ATTRIBUTES].data)["metadata"] == {"team": "red", "api_key": "…[redacted 10]"}


def test_helicone_labels():
    """Helicone's headers are understood where ours are missing."""
    span = span_of(
        exchange(
            request_headers=[
                ("Helicone-Session-Id", "s"),
                ("Helicone-User-Id", "u"),
                ("Helicone-Property-App", "x"),
                ("Helicone-Prompt-Id", "p"),
            ]
        )
    )
    assert (span.session_id, span.user_id, span.tags, span.prompt_name) == ("s", "u", ["app:x"], "p")


def test_the_bodys_user_is_the_user():
    """OpenAI's `user` field counts where no header does."""
    assert span_of(exchange({**ASK, "user": "u7"})).user_id == "u7"


@pytest.mark.parametrize(("trace", "parent"), [("a" * 32, "c" * 16), ("d" * 32, None)])
def test_traceparent(trace, parent):
    """The parent of a traceparent counts in its own trace only."""
    assert span_of(exchange(request_headers=[("traceparent", f"00-{trace}-{'c' * 16}-01")])).parent_id == parent


def test_bad_metadata_is_named():
    """What cannot be used is not dropped in silence."""
    assert "x-llmflow-metadata" in span_of(exchange(request_headers=[("X-LLMFlow-Metadata", "{")])).dropped[0]


@pytest.mark.parametrize(
    ("agent", "tool"),
    [
        ("claude-cli/2.0 (external)", "claude-code"),
        ("codex_cli_rs/0.1", "codex-cli"),
        ("GeminiCLI/1", "gemini-cli"),
        ("x", "proxy"),
    ],
)
def test_tools(agent, tool):
    """The tool is known by its User-Agent."""
    assert span_of(exchange(request_headers=[("User-Agent", agent)])).tool == tool


# ── what is kept ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_secrets_in_bodies():
    """Keys go from request, answer, assembled answer and previews; LLMFlow's own token too."""
    ask = {**ASK, "messages": [{"role": "user", "content": f"use {KEY} and hunter2hunter2"}]}
    data = STREAM.replace("Grüße ".encode(), f"echo {KEY} ".encode())
    call = streamed(data)
    call.request = capture(json.dumps(ask).encode())
    row = row_of(call, secrets=["hunter2hunter2"])
    stored = b"".join(body.data for body in row.bodies) + repr(row.span).encode()
    assert b"9aB8cD7e" not in stored
    assert b"hunter2hunter2" not in stored
    assert parts(row)[PART_ARRIVALS]


@pytest.mark.parametrize("lead", [100, 130, 140, 148, 155])
def test_a_key_at_the_end_of_a_preview_leaves_no_half(lead):
    """Where the line breaks off inside a key, no more of it is shown than of a whole one."""
    text = "a " * (lead // 2) + KEY + " and more words to come" * 10
    delta = json.dumps({"id": "c", "model": "gpt-4o", "choices": [{"index": 0, "delta": {"content": text}}]})
    shown = span_of(streamed(f"data: {delta}\n\ndata: [DONE]\n\n".encode())).preview_out
    assert "sk-proj" not in shown
    assert shown.startswith("a a a ")


def test_the_calls_own_key_is_masked_wherever_it_turns_up():
    """A key of no known shape that was sent is masked in an answer that repeats it; a word sent as a key is not."""
    key = "0123456789abcdef0123456789abcdef"
    answer = json.dumps({"error": {"message": f"The key {key} is unknown in not-needed-here."}}).encode()
    sent = [("Authorization", "Bearer not-needed-here"), ("api-key", key), ("Content-Type", "application/json")]
    row = row_of(exchange(answer=answer, status=401, request_headers=sent))
    assert row.span.error == "The key 0123…[redacted 32] is unknown in not-needed-here."
    assert not any(key.encode() in body.data for body in row.bodies)


def test_secrets_in_labels():
    """A key that somebody put into a path, a tag, or a session's or user's name is masked; ids stay as sent."""
    own = [(f"X-LLMFlow-{name}", f"{KEY} x") for name in ("Tags", "Session-Id", "Conversation-Id", "User-Id", "Prompt")]
    span = span_of(exchange(path=f"/v1/files/{KEY}", request_headers=own))
    assert "9aB8cD7e" not in repr(span)
    assert (span.request_path, span.tags) == ("/v1/files/sk-p…[redacted 33]", ["sk-p…[redacted 33] x"])
    sdk = row_of([Row(Span("t", KEY, source="sdk", service_name=KEY, user_id=KEY, tags=[KEY, "a"]))]).span
    assert (sdk.id, sdk.tags) == (KEY, ["sk-p…[redacted 33]", "a"])
    assert "9aB8cD7e" not in f"{sdk.service_name} {sdk.user_id}"


def test_meta_keeps_no_contents():
    """`record: meta` counts tokens and keeps headers, but no bodies and no previews."""
    row = row_of(streamed(record="meta"))
    assert set(parts(row)) == {PART_HEADERS}
    assert (row.span.total_tokens, row.span.preview_in, row.span.preview_out) == (39, None, None)


def test_off_records_nothing():
    """`record: off` gives no row: where bodies were captured to be counted, what counts, else nothing."""
    make = RowMaker({provider.name: provider for provider in PROVIDERS}, Prices())
    (found,) = make(exchange(record="off"))
    assert isinstance(found, Unrecorded)
    assert (found.span.total_tokens, found.span.preview_in, found.span.counts) == (39, None, True)
    unseen = exchange(record="off")
    unseen.request = unseen.response = None
    assert make(unseen) == []


def test_refused_calls_do_not_count():
    """A call that a budget kept back is a row that counts nowhere."""
    kept_back = exchange()
    kept_back.is_refused = True
    kept_back.response_status, kept_back.response, kept_back.error = 429, None, "The budget is used up."
    (row,) = RowMaker({provider.name: provider for provider in PROVIDERS}, Prices())(kept_back)
    assert (row.span.counts, row.span.status, row.span.error) == (False, 429, "The budget is used up.")
    assert (row.span.total_tokens, row.span.estimated_cost) == (None, 0.0)


def test_cut_bodies_are_marked():
    """Over the limit a body is cut, its real size is kept, and the stream is read as far as it goes."""
    row = row_of(streamed(), max_body_bytes=700)
    body = parts(row)[PART_RESPONSE]
    assert (len(body.data), body.size, body.is_cut) == (700, len(STREAM), True)
    assert row.span.is_estimated


def test_a_cut_answer_says_why_its_tokens_are_unknown():
    """Half a JSON body has no usage."""
    span = span_of(exchange(answer=b"", response=capture(ANSWER, 100)))
    assert span.total_tokens is None
    assert "too long" in span.dropped[0]


def test_injected_usage_is_noted():
    """What LLMFlow did to a call is said."""
    assert span_of(streamed(is_injected=True)).notes == ["stream_options.include_usage was asked for by LLMFlow"]


def test_calls_without_captures():
    """Where the bodies were let go the row still tells the call."""
    span = span_of(exchange(request=None, response=None, arrivals=[]))
    assert (span.status, span.operation, span.model) == (200, "chat", None)


# ── spans of others ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_sdk_spans_are_masked_and_priced():
    """Rows of the SDK go the same road: secrets out, cost in, tool by service."""
    row = Row(
        Span("t", "s", source="sdk", model="gpt-4o", provider="openai", prompt_tokens=1, total_tokens=3, error=f"key {KEY}",
             service_name="my-codex"),
        [Body(PART_INPUT, json.dumps({"key": KEY}).encode(), 50)],
    )  # fmt: skip
    found = row_of([row])
    assert (found.span.estimated_cost, found.span.error, found.span.tool) == (
        3.0,
        "key sk-p…[redacted 33]",
        "codex-cli",
    )
    assert KEY.encode() not in found.bodies[0].data
    assert found.bodies[0].size == 50


@pytest.mark.parametrize("part", [PART_ATTRIBUTES, PART_OTLP])
def test_words_of_others_hold_no_secret(part):
    """Words for the search index that came with a row are used only if nothing in the row had to be masked."""
    bodies = [Body(PART_ATTRIBUTES, b'{"a":"b"}', 9), Body(PART_OTLP, b"{}", 2)]
    clean = row_of([Row(Span("t", "s"), bodies, text="words")])
    assert (clean.text, clean.bodies) == ("words", bodies)
    masked = [
        Body(part, json.dumps({"headers": {"x-auth": KEY}}).encode(), 9) if body.part == part else body
        for body in bodies
    ]
    assert row_of([Row(Span("t", "s"), masked, text=KEY)]).text is None


def test_sdk_costs_are_kept():
    """A cost that was given is not computed again."""
    prices = Prices()
    row = Row(Span("t", "s", model="m", prompt_tokens=1, estimated_cost=0.5))
    assert row_of([row], prices).span.estimated_cost == 0.5
    assert prices.asked == []


# ── hostile contents ─────────────────────────────────────────────────────────────────────────────────────────────────

HEADERS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "content-type",
                "content-encoding",
                "x-llmflow-tag",
                "x-llmflow-metadata",
                "traceparent",
                "user-agent",
                "x",
            ]
        ),
        st.sampled_from(
            ["gzip", "text/event-stream", "application/json", "multipart/form-data", "{}", "00-a-b-01", "é", ""]
        ),
    ),
    max_size=4,
)
BODIES = st.binary(max_size=60) | st.sampled_from(
    [ANSWER, STREAM, STREAM[:300], b"[]", b"null", b'{"choices":[{}]}', b'{"error":[]}', b'{"choices":[{"message":{"tool_calls":[{}]}}]}',
     b'{"model":1,"messages":{},"user":[],"prompt":{"id":5}}', b'{"messages":[null,1,{"role":5,"content":{"text":[]}}]}', b"data: {\n\n"]
)  # fmt: skip


@given(
    BODIES,
    BODIES,
    HEADERS,
    HEADERS,
    st.booleans(),
    st.sampled_from([0, 200, 404, 500]),
    st.sampled_from(["/v1/chat/completions", "/v1/responses", "/v1/audio/speech", "/v1/files", ""]),
)
@settings(max_examples=400, deadline=None)
def test_no_contents_raise(ask, answer, request_headers, response_headers, is_chunked, status, path):
    """Whatever travelled, there is one row, and it was made the proper way."""
    call = exchange(ask, answer, status=status, path=path, is_chunked=is_chunked)
    call.request_headers = [(name.encode(), f"{name}: {value}".encode("latin-1")) for name, value in request_headers]
    call.response_headers = [(name.encode(), f"{name}: {value}".encode("latin-1")) for name, value in response_headers]
    span = span_of(call)
    assert not any("could not be read" in reason for reason in span.dropped)


def test_a_broken_adapter_costs_the_details_not_the_call():
    """If reading fails all the same, the row holds what the proxy saw and says what is missing."""
    span = span_of(exchange(request_headers=[("X-LLMFlow-Tag", "a")], arrivals=[("x", "y")], response=capture(STREAM), ending="client_closed",
                            response_headers=[("Content-Type", "text/event-stream")]))  # fmt: skip
    assert (span.status, span.ending, span.request_path) == (499, "client_closed", "/v1/chat/completions")
    assert "could not be read" in span.dropped[0]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([("request-id", "req_1"), ("cf-ray", "x")], "req_1"),
        ([("X-Request-Id", " req_2 ")], "req_2"),
        ([("X-Request-Id", "r" * 500)], "r" * 128),
        ([("X-Request-Id", "")], None),
        ([], None),
    ],
)
def test_the_providers_number_of_a_call_is_kept(headers, expected):
    """What the provider's support asks for, and by which an app's own record of the call is known."""
    assert span_of(exchange(response_headers=headers)).request_id == expected
