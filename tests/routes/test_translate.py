"""The translated road, byte by byte: what a provider is sent of an OpenAI call, and what the client is sent back."""

from __future__ import annotations

import gzip
import json
import time
import zlib

import pytest
from adapter_help import price_book
from anthropic_server import AnthropicLike, events, wire_of
from fake_upstream import CLOSE, HANG, RESET, FakeUpstream, answer, chunk, head_of, stream, wire
from gemini_like import GeminiLike, error_of
from gemini_like import events as gemini_events
from routes.proxy_rig import ProxyRig, post, read_all

from llmflow_web.record.exchange import RowMaker
from llmflow_web.registry import PROVIDERS
from llmflow_web.wire.chunked import decode_chunked

CLAUDE = {"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": "Hi"}]}
GEMINI = {"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": "Hi"}]}
CHAT = "/anthropic/v1/chat/completions"
GEMINI_CHAT = "/gemini/v1/chat/completions"


@pytest.fixture
def upstream():
    with FakeUpstream(AnthropicLike()) as server:
        yield server


@pytest.fixture
def google():
    with FakeUpstream(GeminiLike()) as server:
        yield server


@pytest.fixture
def rig(upstream, google):
    with ProxyRig({"anthropic": upstream.url, "gemini": google.url, "openai": upstream.url}) as proxy:
        yield proxy


def asked(path: str, body: dict | bytes, *headers: str, **options) -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return post(path, data, *(headers or ("Authorization: Bearer sk-1",)), **options)


def told(text: bytes) -> tuple[int, dict[str, str], bytes]:
    """Split an answer: status, headers by lower-case name, payload."""
    head, _, body = text.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    if headers.get("transfer-encoding") == "chunked":
        body = decode_chunked(body)
    return int(lines[0].split()[1]), headers, body


def error_in(text: bytes) -> dict:
    return json.loads(told(text)[2])["error"]


def chunks_in(payload: bytes) -> list[dict | str]:
    lines = [line[6:] for line in payload.decode().split("\n\n") if line]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


def row_of(exchange):
    (row,) = RowMaker({row.name: row for row in PROVIDERS}, price_book())(exchange)
    return row.span


# ── keys and headers ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("path", "body", "name"), [(CHAT, CLAUDE, "x-api-key"), (GEMINI_CHAT, GEMINI, "x-goog-api-key")]
)
@pytest.mark.parametrize("given", ["Authorization: Bearer sk-1", "authorization: bearer sk-1", "api-key: sk-1", None])
def test_the_key_moves_to_the_providers_own_header(rig, upstream, google, path, body, name, given):
    """Whichever header brings the key, the provider gets it in its own one, and in no other."""
    status, _, _ = told(rig.ask(asked(path, body, given or f"{name}: sk-1")))
    assert status == 200
    (request,) = upstream.requests + google.requests
    carriers = ("authorization", "x-api-key", "api-key", "x-goog-api-key")
    found = [(found.lower(), value) for found, value in request.headers if found.lower() in carriers]
    assert found == [(name, "sk-1")]


def test_tokens_of_a_login_stay_bearers(rig, upstream, google):
    """An OAuth token of Anthropic's or Google's is sent as a bearer, as it came."""
    rig.ask(asked(CHAT, CLAUDE, "Authorization: Bearer sk-ant-oat01-x"))
    rig.ask(asked(GEMINI_CHAT, GEMINI, "Authorization: Bearer ya29.x"))
    assert upstream.requests[0].header("authorization") == "Bearer sk-ant-oat01-x"
    assert upstream.requests[0].header("x-api-key") is None
    assert upstream.requests[0].header("anthropic-beta") == "oauth-2025-04-20"
    assert google.requests[0].header("authorization") == "Bearer ya29.x"
    assert google.requests[0].header("x-goog-api-key") is None


@pytest.mark.parametrize(
    ("headers", "is_lent"),
    [
        (("X-Nothing: 1",), True),
        (("Authorization: Bearer mine",), False),
        (("x-api-key: mine",), False),
        (("Origin: http://localhost:3000",), False),
        (("X-Forwarded-For: 10.0.0.1",), False),
        (("Sec-Fetch-Site: cross-site",), False),
    ],
)
def test_the_environments_key_is_lent_as_everywhere(upstream, headers, is_lent):
    """A call without a key gets the environment's, unless it may be a stranger's; one with a key keeps its own."""
    with ProxyRig({"anthropic": upstream.url}, keys={"anthropic": "sk-env"}) as rig:
        rig.ask(asked(CHAT, CLAUDE, *headers))
        (exchange,) = rig.wait_exchanges(1)
    assert (upstream.requests[0].header("x-api-key") == "sk-env") is is_lent
    assert exchange.has_env_key is is_lent


def test_what_is_not_the_clients_to_say_is_left_out(rig, upstream):
    """Headers of OpenAI's and ours, cookies and codings stay here; the client's others and its API version go on."""
    rig.ask(
        asked(
            CHAT, CLAUDE, "Authorization: Bearer sk-1", "OpenAI-Organization: o", "OpenAI-Beta: b", "Cookie: c=1",
            "Accept-Encoding: br", "Accept: text/html", "X-LLMFlow-Tags: t", "X-Trace-Id: T", "X-Custom: kept",
            "Anthropic-Version: 2026-10-21", "Anthropic-Beta: fast-mode-2026-02-01", "User-Agent: me",
        )
    )  # fmt: skip
    (request,) = upstream.requests
    named = {name.lower(): value for name, value in request.headers}
    assert named["x-custom"] == "kept"
    assert named["user-agent"] == "me"
    assert named["anthropic-version"] == "2026-10-21"
    assert named["anthropic-beta"] == "fast-mode-2026-02-01"
    assert named["accept-encoding"] == "identity"
    assert named["content-type"] == "application/json"
    assert not named.keys() & {"openai-organization", "openai-beta", "cookie", "accept", "x-llmflow-tags", "x-trace-id"}
    assert len(named) == len(request.headers)


def test_the_providers_headers_come_back(rig, upstream):
    """Request ids and rate limits come through; the id is also where OpenAI's clients look for it."""
    _, headers, _ = told(rig.ask(asked(CHAT, CLAUDE)))
    assert headers["request-id"] == headers["x-request-id"] == "req_011Like"
    assert headers["anthropic-ratelimit-requests-remaining"] == "49"
    assert headers["content-type"] == "application/json"
    assert headers["x-llmflow-trace-id"]


def test_ignored_fields_are_named(rig, upstream):
    """What the provider has no place for is named in a header of the answer and on the row."""
    _, headers, _ = told(rig.ask(asked(CHAT, CLAUDE | {"seed": 4, "logit_bias": {"1": 2}})))
    assert set(headers["x-llmflow-ignored"].split(", ")) == {"seed", "logit_bias"}
    (exchange,) = rig.wait_exchanges(1)
    assert "seed: anthropic has no place for it" in row_of(exchange).dropped


# ── streams ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_stream_is_translated_as_it_arrives(rig, upstream):
    """Each native event reaches the client as OpenAI's chunk before the next one is sent."""
    found = [wire_of(event) for event in events(CLAUDE)]
    first = next(at for at, data in enumerate(found) if b"text_delta" in data)
    upstream.script(wire(
        head_of(200, [("content-type", "text/event-stream"), ("transfer-encoding", "chunked")]),
        *[chunk(data) for data in found[: first + 1]], HANG,
    ))  # fmt: skip
    with rig.connect() as sock:
        sock.sendall(asked(CHAT, CLAUDE | {"stream": True}, close=False))
        seen = b""
        while b"It " not in seen:
            seen += sock.recv(65536)
        assert b"HTTP/1.1 200" in seen
        assert seen.count(b"data: ") == 2
        assert b"is " not in seen.partition(b"\r\n\r\n")[2]
        sock.close()
    upstream.wait_until(lambda: upstream.requests[0].client_closed_at is not None)
    (exchange,) = rig.wait_exchanges(1)
    assert exchange.ending == "client_closed"


@pytest.mark.parametrize("asks_usage", [True, False])
def test_a_whole_stream(rig, upstream, asks_usage):
    """Role first, texts, the finish, usage only when asked for, [DONE]; the record has the provider's count anyway."""
    more = {"stream_options": {"include_usage": True}} if asks_usage else {}
    status, headers, payload = told(rig.ask(asked(CHAT, CLAUDE | {"stream": True} | more)))
    assert (status, headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    found = chunks_in(payload)
    assert found[-1] == "[DONE]"
    assert found[0]["choices"][0]["delta"]["role"] == "assistant"
    assert ("usage" in found[-2] and found[-2]["choices"] == []) is asks_usage
    assert sum(bool(row["choices"]) and row["choices"][0]["finish_reason"] == "stop" for row in found[:-1]) == 1
    assert all(row["created"] > 1_700_000_000 for row in found[:-1])
    span = row_of(rig.wait_exchanges(1)[0])
    assert (span.prompt_tokens, span.completion_tokens, span.is_estimated) == (4000, 800, False)


@pytest.mark.parametrize("ending", [CLOSE, RESET])
@pytest.mark.parametrize("is_chunked", [True, False])
def test_a_cut_is_a_cut(rig, upstream, ending, is_chunked):
    """An upstream cut mid-stream, or ended without its end marker, is never a whole stream; the row is a 502."""
    found = [wire_of(event) for event in events(CLAUDE)][:5]
    framing = [("transfer-encoding", "chunked")] if is_chunked else [("connection", "close")]
    sent = [chunk(data) for data in found] if is_chunked else found
    upstream.script(wire(head_of(200, [("content-type", "text/event-stream"), *framing]), *sent, 0.05, ending))
    text = rig.ask(asked(CHAT, CLAUDE | {"stream": True}))
    assert b"It " in text
    assert b"[DONE]" not in text
    assert not text.endswith(b"0\r\n\r\n")
    (exchange,) = rig.wait_exchanges(1)
    span = row_of(exchange)
    assert (exchange.ending, span.status, span.response_status) == ("upstream_closed", 502, 200)
    assert span.prompt_tokens == 4000


@pytest.mark.parametrize(("path", "body"), [(CHAT, CLAUDE), (GEMINI_CHAT, GEMINI)])
def test_a_missing_end_marker_is_a_cut(rig, path, body):
    """A stream that ends in good order but for its last event is cut for the client."""
    text = rig.ask(asked(path, body | {"stream": True, "model": body["model"] + "-endless"}))
    assert b"[DONE]" not in text
    assert not text.endswith(b"0\r\n\r\n")
    span = row_of(rig.wait_exchanges(1)[0])
    assert (span.status, span.error) == (502, "the stream ended without its end marker")


def test_an_error_in_a_stream_is_openais_error_event(rig, upstream):
    """An error event after 200 becomes OpenAI's, is the last one, and the row is a 502 with its words."""
    _, _, payload = told(rig.ask(asked(CHAT, CLAUDE | {"stream": True, "model": "claude-sonnet-4-5-stumbles"})))
    last = chunks_in(payload)[-1]
    assert last["error"]["message"] == "Overloaded"
    assert last["error"]["code"] == "overloaded"
    span = row_of(rig.wait_exchanges(1)[0])
    assert span.status == 502
    assert "Overloaded" in span.error


def test_an_http_10_client_gets_the_stream_until_the_close(rig, upstream):
    """Without chunk framing, ended by closing."""
    text = rig.ask(asked(CHAT, CLAUDE | {"stream": True}).replace(b"HTTP/1.1", b"HTTP/1.0", 1))
    head, _, payload = text.partition(b"\r\n\r\n")
    assert b"chunked" not in head.lower()
    assert chunks_in(payload)[-1] == "[DONE]"


def test_a_stream_of_one_byte_chunks_and_crlf(rig, google):
    """However the bytes are cut, the chunks are the same."""
    data = b"".join(b"data: %b\r\n\r\n" % json.dumps(event).encode() for event in gemini_events(
        {"contents": [{"parts": [{"text": "Hi"}]}]}, "gemini-2.5-flash"
    ))  # fmt: skip
    google.script(stream([data[at : at + 1] for at in range(len(data))]))
    one = chunks_in(told(rig.ask(asked(GEMINI_CHAT, GEMINI | {"stream": True})))[2])
    whole = chunks_in(told(rig.ask(asked(GEMINI_CHAT, GEMINI | {"stream": True})))[2])
    texts = [[row["choices"] for row in rows[:-1]] for rows in (one, whole)]
    assert texts[0] == texts[1]
    assert one[-1] == whole[-1] == "[DONE]"


@pytest.mark.parametrize("is_stream", [True, False])
@pytest.mark.parametrize("is_chunked", [True, False])
def test_a_gzipped_answer_is_read(rig, upstream, is_stream, is_chunked):
    """An upstream that encodes although identity was asked for is understood; the client gets plain text."""
    found = b"".join(wire_of(event) for event in events(CLAUDE))
    kind = "text/event-stream" if is_stream else "application/json"
    with FakeUpstream(AnthropicLike()) as plain, ProxyRig({"openai": plain.url}) as direct:
        native = told(
            direct.ask(
                asked("/passthrough/openai/v1/messages", {"model": "claude-sonnet-4-5", "max_tokens": 9,
                "messages": CLAUDE["messages"]}, "x-api-key: k", "anthropic-version: 2023-06-01")
            )
        )[2]  # fmt: skip
    data = gzip.compress(found if is_stream else native)
    extra = [("content-encoding", "gzip")]
    if is_chunked:
        upstream.script(stream([data[:40], data[40:]], extra, content_type=kind))
    else:
        upstream.script(answer(200, extra, data, content_type=kind))
    status, headers, payload = told(rig.ask(asked(CHAT, CLAUDE | {"stream": is_stream})))
    assert status == 200
    assert "content-encoding" not in headers
    assert "It is sunny in Kiel" in (
        "".join(row["choices"][0]["delta"].get("content", "") for row in chunks_in(payload)[:-1] if row["choices"])
        if is_stream
        else json.loads(payload)["choices"][0]["message"]["content"]
    )


# ── errors of theirs ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("is_stream", [True, False])
@pytest.mark.parametrize(
    ("path", "model", "status", "kind", "code"),
    [
        (CHAT, "error-400", 400, "invalid_request_error", "context_length_exceeded"),
        (CHAT, "error-401", 401, "invalid_request_error", "invalid_api_key"),
        (CHAT, "error-404", 404, "invalid_request_error", "model_not_found"),
        (CHAT, "error-429", 429, "rate_limit_error", "rate_limit_exceeded"),
        (CHAT, "error-500", 500, "server_error", None),
        (CHAT, "error-529", 503, "server_error", "overloaded"),
        (CHAT, "html-502", 502, "server_error", None),
        (GEMINI_CHAT, "error-400", 400, "invalid_request_error", None),
        (GEMINI_CHAT, "error-403", 403, "permission_error", "permission_denied"),
        (GEMINI_CHAT, "error-404", 404, "invalid_request_error", "model_not_found"),
        (GEMINI_CHAT, "error-429", 429, "rate_limit_error", "rate_limit_exceeded"),
        (GEMINI_CHAT, "error-503", 503, "server_error", None),
        (GEMINI_CHAT, "html-502", 502, "server_error", None),
    ],
)
def test_a_providers_error_is_openais(rig, path, model, status, kind, code, is_stream):
    """JSON and HTML errors come in OpenAI's envelope with the status its clients know; the row is the same error."""
    text = rig.ask(asked(path, CLAUDE | {"model": model, "stream": is_stream}))
    seen, headers, _ = told(text)
    error = error_in(text)
    assert (seen, error["type"], error["code"]) == (status, kind, code)
    assert headers["content-type"] == "application/json"
    assert error["message"]
    assert "<html" not in error["message"]
    span = row_of(rig.wait_exchanges(1)[0])
    assert span.status == status
    assert span.error
    assert span.estimated_cost == 0.0


def test_retry_after_is_kept_or_made(rig):
    """Anthropic's header comes through; of Gemini's body the header is made."""
    assert told(rig.ask(asked(CHAT, CLAUDE | {"model": "error-429"})))[1]["retry-after"] == "7"
    assert told(rig.ask(asked(GEMINI_CHAT, GEMINI | {"model": "error-429"})))[1]["retry-after"] == "17"


def test_a_wrong_key_is_401_everywhere(rig):
    """Gemini says 400 of a wrong key; OpenAI's clients know that as 401."""
    for path, body in ((CHAT, CLAUDE), (GEMINI_CHAT, GEMINI)):
        text = rig.ask(asked(path, body, "Authorization: Bearer bad"))
        assert told(text)[0] == 401
        assert error_in(text)["code"] == "invalid_api_key"
    assert [row_of(exchange).status for exchange in rig.wait_exchanges(2)] == [401, 401]


def test_errors_in_an_array_are_read(rig, google):
    """Google wraps the errors of some streams in an array."""
    google.script(answer(429, body=json.dumps([error_of(429)]).encode()))
    text = rig.ask(asked(GEMINI_CHAT, GEMINI | {"stream": True}))
    assert told(text)[0] == 429
    assert error_in(text)["message"] == "You exceeded your current quota."


@pytest.mark.parametrize(
    "body", [b"<html>fine</html>", b"[1]", b"", b'{"content": 3', b'{"a":' * 100_000, b'"\xff"'],
    ids=["html", "list", "empty", "broken", "deep", "bytes"],
)  # fmt: skip
def test_an_answer_that_is_no_answer_is_a_502(rig, upstream, body):
    """What cannot be read as the provider's is an error that says so, for client and row."""
    upstream.script(answer(200, body=body))
    text = rig.ask(asked(CHAT, CLAUDE))
    assert told(text)[0] == 502
    assert "Anthropic" in error_in(text)["message"]
    assert row_of(rig.wait_exchanges(1)[0]).status == 502


def test_a_whole_answer_that_breaks_off_is_a_502(rig, upstream):
    """Nothing of a gathered answer has reached the client: it is told in words."""
    upstream.script(wire(head_of(200, [("content-type", "application/json"), ("content-length", "99")]) + b"{", CLOSE))
    text = rig.ask(asked(CHAT, CLAUDE))
    assert told(text)[0] == 502
    assert error_in(text)["type"] == "upstream_error"
    (exchange,) = rig.wait_exchanges(1)
    assert (exchange.ending, row_of(exchange).status) == ("upstream_closed", 502)


def test_an_answer_too_long_to_gather_is_a_502(rig, upstream, monkeypatch):
    """The limit on whole answers is named."""
    monkeypatch.setattr("llmflow_web.net.translate.MAX_TRANSLATED_ANSWER_BYTES", 1000)
    upstream.script(answer(200, body=b" " * 5000), answer(200, body=b" " * 5000))
    text = rig.ask(asked(CHAT, CLAUDE))
    assert told(text)[0] == 502
    assert "1000 bytes" in error_in(text)["message"]
    rig.wait_exchanges(1)


# ── errors of the client's ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        (b"{nope", None, "not JSON"),
        (b"\x1f\x8b\xff", None, "not JSON"),
        (b"[]", None, "JSON object"),
        (b"", None, ""),
        (b'{"messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}", None, "nested"),
        (b'{"temperature": NaN}', None, "NaN"),
        (CLAUDE | {"n": 3}, "n", "n"),
        (CLAUDE | {"stop": 5}, "stop", "a text or a list"),
        (CLAUDE | {"stream": "yes"}, "stream", "true or false"),
        (CLAUDE | {"max_tokens": "9"}, "max_tokens", "a whole number"),
        (CLAUDE | {"n": True}, "n", "a whole number"),
        (CLAUDE | {"temperature": "hot"}, "temperature", "a number"),
        (CLAUDE | {"tools": {"a": 1}}, "tools", "a list"),
        (CLAUDE | {"response_format": "json"}, "response_format", "an object"),
        ({"model": "claude-sonnet-4-5"}, "messages", "messages"),
        (CLAUDE | {"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role", "robot"),
    ],
    ids=[
        "broken",
        "gzip",
        "list",
        "empty",
        "deep",
        "nan",
        "n",
        "stop",
        "stream",
        "max",
        "switch",
        "heat",
        "tools",
        "format",
        "no messages",
        "role",
    ],
)
def test_what_cannot_be_translated_is_refused_and_recorded(rig, upstream, body, param, words):
    """A 400 in OpenAI's shape names the field, nothing is sent, and the row says the same sentence."""
    text = rig.ask(asked(CHAT, body))
    status, headers, _ = told(text)
    error = error_in(text)
    assert (status, error["type"]) == (400, "invalid_request_error")
    assert words in error["message"]
    if param:
        assert error["param"] == param
    assert not upstream.requests
    (exchange,) = rig.wait_exchanges(1)
    span = row_of(exchange)
    assert (span.status, span.error) == (400, error["message"])
    assert headers["x-llmflow-span-id"] == span.id


def test_a_body_too_long_to_translate_is_413(upstream):
    """The limit and its setting are named; the rest of the body does no harm."""
    with ProxyRig({"anthropic": upstream.url}, max_translated_bytes=1000) as rig:
        text = rig.ask(asked(CHAT, CLAUDE | {"user": "x" * 400_000}))
        assert told(text)[0] == 413
        assert "1000 bytes" in error_in(text)["message"]
        assert "--max-translated-body" in error_in(text)["message"]
        assert not upstream.requests
        assert row_of(rig.wait_exchanges(1)[0]).status == 413


@pytest.mark.parametrize(
    "path", ["/anthropic/v1/embeddings", "/anthropic/v1/images/generations", "/gemini/v1/responses"]
)
def test_what_a_provider_lacks_is_404(rig, upstream, google, path):
    """In OpenAI's shape, saying what there is."""
    text = rig.ask(asked(path, CLAUDE))
    assert told(text)[0] == 404
    assert error_in(text)["code"] == "unsupported_endpoint"
    assert "/v1/chat/completions" in error_in(text)["message"]
    assert not upstream.requests + google.requests


def test_a_client_that_goes_takes_the_call_with_it(rig, upstream):
    """When the client leaves before the answer, the upstream call is given up."""
    upstream.script(wire(HANG))
    with rig.connect() as sock:
        sock.sendall(asked(CHAT, CLAUDE, close=False))
        upstream.wait_until(lambda: bool(upstream.requests and upstream.requests[0].is_complete))
    upstream.wait_until(lambda: upstream.requests[0].client_closed_at is not None)
    (exchange,) = rig.wait_exchanges(1)
    assert (exchange.ending, row_of(exchange).status) == ("client_closed", 499)


def test_a_connection_serves_call_after_call(rig, upstream):
    """After a translated answer, stream or error the client's connection is as good as before."""
    bodies = [CLAUDE, CLAUDE | {"stream": True}, CLAUDE | {"n": 2}, CLAUDE | {"model": "error-429"}, CLAUDE]
    with rig.connect() as sock:
        for body in bodies[:-1]:
            sock.sendall(asked(CHAT, body, close=False))
            sock.settimeout(30)
            seen = b""
            while b"\r\n\r\n" not in seen or not _is_whole(seen):
                seen += sock.recv(65536)
        sock.sendall(asked(CHAT, bodies[-1]))
        assert told(read_all(sock))[0] == 200
    rig.wait_exchanges(5)


def _is_whole(seen: bytes) -> bool:
    head, _, body = seen.partition(b"\r\n\r\n")
    if b"chunked" in head.lower():
        return body.endswith(b"0\r\n\r\n")
    length = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
    return len(body) >= int(length.partition(b":")[2])


def test_lone_surrogates_travel(rig, upstream):
    """Half a character, as some clients send, neither breaks the request nor the record."""
    body = b'{"model":"claude-sonnet-4-5","messages":[{"role":"user","content":"\\ud83d"}]}'
    assert told(rig.ask(asked(CHAT, body)))[0] == 200
    assert row_of(rig.wait_exchanges(1)[0]).status == 200


def test_a_slow_body_is_gathered(rig, upstream):
    """A body that comes in pieces, chunked, is translated when it is complete."""
    data = json.dumps(CLAUDE).encode()
    with rig.connect() as sock:
        sock.sendall(
            b"POST /anthropic/v1/chat/completions HTTP/1.1\r\nHost: localhost:8080\r\nConnection: close\r\n"
            b"Authorization: Bearer k\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(data[:20])
        )
        time.sleep(0.02)
        sock.sendall(chunk(data[20:]) + b"0\r\n\r\n")
        assert told(read_all(sock))[0] == 200
    assert upstream.requests[0].json()["max_tokens"]


@pytest.mark.parametrize(
    ("path", "header", "target"),
    [
        ("/anthropic/v1/models?limit=5", "anthropic-version: 2023-06-01", "/v1/models?limit=5"),
        ("/gemini/v1/models?pageSize=5", "x-goog-api-key: k", "/v1/models?pageSize=5"),
    ],
)
def test_a_providers_own_client_gets_its_own_listing(rig, upstream, google, path, header, target):
    """The path of the models is OpenAI's too: the provider's own header tells who asks."""
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{header}\r\nx-api-key: k\r\n\r\n"
    status, _, payload = told(rig.ask(request.encode()))
    assert status == 200
    assert (upstream.requests + google.requests)[0].target == target
    assert "object" not in json.loads(payload)
    assert row_of(rig.wait_exchanges(1)[0]).estimated_cost == 0.0


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_compressed_request_is_read(rig, upstream, coding):
    """What a client compressed is translated, and recorded readably."""
    data = json.dumps(CLAUDE).encode()
    packed = gzip.compress(data) if coding == "gzip" else zlib.compress(data)
    status, _, _ = told(rig.ask(asked(CHAT, packed, "Authorization: Bearer k", f"Content-Encoding: {coding}")))
    assert status == 200
    assert upstream.requests[0].header("content-encoding") is None
    assert row_of(rig.wait_exchanges(1)[0]).request_model == "claude-sonnet-4-5"


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_a_request_in_an_unknown_coding_is_refused(rig, upstream, coding):
    """A coding that cannot be undone, or bytes that are not of it, is a 400 that names it."""
    text = rig.ask(asked(CHAT, b"plain", "Authorization: Bearer k", f"Content-Encoding: {coding}"))
    assert told(text)[0] == 400
    assert coding in error_in(text)["message"]
    rig.wait_exchanges(1)


def test_an_error_that_came_as_a_success_is_an_error(rig, upstream):
    """A 200 that holds an error object is a 502 with the provider's words, not an empty answer."""
    upstream.script(answer(200, body=b'{"type":"error","error":{"type":"api_error","message":"Broken inside"}}'))
    text = rig.ask(asked(CHAT, CLAUDE))
    assert told(text)[0] == 502
    assert error_in(text)["message"] == "Broken inside"
    span = row_of(rig.wait_exchanges(1)[0])
    assert span.status == 502
    assert "Broken inside" in span.error
