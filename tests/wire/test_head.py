"""Heads: the fast lane against h11, framing rules, and what is refused although h11 would let it pass."""

from __future__ import annotations

import h11
import pytest
from h11._connection import _body_framing
from hypothesis import given, settings
from hypothesis import strategies as st

from llmflow_web.errors import BadRequest
from llmflow_web.wire import head as heads
from llmflow_web.wire.head import (
    FRAMING_CHUNKED,
    FRAMING_CLOSE,
    FRAMING_LENGTH,
    FRAMING_NONE,
    parse_request_head,
    parse_response_head,
    refuse_odd_head,
    request_head_from_h11,
    response_head_from_h11,
)
from llmflow_web.wire.headers import value_of

START_LINES = [
    b"GET / HTTP/1.1", b"POST /v1/chat/completions?x=%20 HTTP/1.1", b"HEAD /a HTTP/1.0", b"OPTIONS * HTTP/1.1",
    b"GET http://a/x HTTP/1.1", b"CONNECT a:1 HTTP/1.1", b"PRI * HTTP/2.0", b"GET  / HTTP/1.1", b"M-SEARCH /\x80 HTTP/1.1",
    b"get /#f HTTP/1.1",
]  # fmt: skip
STATUS_LINES = [
    b"HTTP/1.1 200 OK", b"HTTP/1.1 204 No Content", b"HTTP/1.1 304", b"HTTP/1.1 404 Gr\xfc\xdfe", b"HTTP/1.0 200 OK",
    b"HTTP/1.1 100 Continue", b"HTTP/1.1 101 Switching", b"HTTP/1.1 599 ", b"HTTP/1.1 600 x", b"HTTP/1.1 20 x",
]  # fmt: skip
FIELDS = [
    b"Host: a", b"host:127.0.0.1:80", b"Host: [::1]:80", b"Host:", b"Host: a b", b"Host: a/b",
    b"Content-Length: 5", b"content-length:\t005 ", b"Content-Length: +5", b"Content-Length: 5, 5", b"Content-Length: 5_0",
    b"Content-Length: 99999999999999999999999", b"Content-Length:", b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: Chunked ", b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: identity",
    b"Transfer-Encoding : chunked", b"Transfer-Encoding:\x0bchunked", b"Connection: keep-alive", b"Connection: close",
    b"Connection: Keep-Alive, close", b"Connection: upgrade", b"Upgrade: websocket", b"Expect: 100-continue",
    b"X-Text: \xe4\xf6 tab\tin", b"X-Empty:", b"X-Control: a\x01b", b"X-Nul: a\x00b", b" folded: yes", b"X-CR: a\rb",
    b"X-LF: a\nb", b"no colon", b": no name", b"X y: space", b"Authorization: Bearer sk-1", b"Keep-Alive: timeout=5",
]  # fmt: skip
ALPHABET = st.sampled_from([*b"\r\n\t :;,0aZ/\x00\x01\x0b\x7f", 0x80, 0xFF, -1])


@st.composite
def near_valid(draw, start_lines):
    """A head of plausible lines, with or without damage, up to its first blank line."""
    fields = draw(st.lists(st.sampled_from(FIELDS), max_size=6))
    if draw(st.booleans()):
        fields.insert(0, b"Host: a")
    data = bytearray(b"\r\n".join([draw(st.sampled_from(start_lines)), *fields]) + b"\r\n\r\n")
    for place, value in draw(st.lists(st.tuples(st.integers(0, 400), ALPHABET), max_size=2)):
        at = place % len(data)
        data[at : at + 1] = b"" if value < 0 else bytes([value])
    whole, blank, _ = bytes(data).partition(b"\r\n\r\n")
    return whole + blank


def facts(head):
    """What must agree between the two ways of reading a head; h11 lower-cases the transfer coding."""
    names = [
        (name, value_of(line).lower() if name == b"transfer-encoding" else value_of(line))
        for name, line in head.headers
    ]
    return names, head.framing, head.content_length, head.keep_alive


def h11_framing(method, event):
    kind, args = _body_framing(method, event)
    if kind == "content-length":
        return (FRAMING_LENGTH, args[0]) if args[0] else (FRAMING_NONE, 0)
    return (FRAMING_CHUNKED, 0) if kind == "chunked" else (FRAMING_CLOSE, 0)


@settings(max_examples=1500)
@given(near_valid(START_LINES))
def test_a_request_the_fast_lane_accepts_is_read_alike_by_h11(data):
    """Method, target, headers, framing and keep-alive agree; what h11 refuses the fast lane has refused."""
    fast = parse_request_head(data)
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    try:
        event = connection.next_event()
    except h11.RemoteProtocolError:
        assert fast is None
        return
    if fast is None:
        return
    assert isinstance(event, h11.Request)
    refuse_odd_head(data)
    judged = request_head_from_h11(event.method, event.target, event.http_version, event.headers.raw_items())
    assert (fast.method, fast.target, fast.version) == (event.method, event.target, event.http_version)
    assert facts(fast) == facts(judged)
    length = (fast.framing, fast.content_length) if fast.content_length or fast.framing == FRAMING_CHUNKED else (0, 0)
    assert length == h11_framing(event.method, event)
    assert not fast.expects_continue
    assert fast.upgrade is None


@settings(max_examples=1500)
@given(near_valid(STATUS_LINES), st.sampled_from([b"GET", b"POST", b"HEAD"]))
def test_a_response_the_fast_lane_accepts_is_read_alike_by_h11(data, method):
    """Status, reason, headers, framing and keep-alive agree; what h11 refuses the fast lane has refused."""
    fast = parse_response_head(data, method)
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method=method, target=b"/", headers=[(b"host", b"a")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    try:
        event = connection.next_event()
    except h11.RemoteProtocolError:
        assert fast is None
        return
    if fast is None:
        return
    assert isinstance(event, h11.Response)
    judged = response_head_from_h11(
        event.status_code, event.reason, event.http_version, event.headers.raw_items(), method
    )
    assert (fast.status, fast.reason, fast.version) == (event.status_code, event.reason, event.http_version)
    assert facts(fast) == facts(judged)
    if fast.framing == FRAMING_NONE or (fast.framing == FRAMING_LENGTH and not fast.content_length):
        assert h11_framing(method, event) == (FRAMING_NONE, 0)
    else:
        assert h11_framing(method, event) == (fast.framing, fast.content_length)


def request(*fields: bytes, line: bytes = b"POST /v1/x?y=1 HTTP/1.1") -> bytes:
    return b"\r\n".join([line, b"Host: a", *fields, b"", b""])


def test_the_fast_lane_takes_an_everyday_request():
    """Lines stay as sent, names are lower-cased beside them, framing is worked out."""
    head = parse_request_head(request(b"Content-Length:  12 ", b"X-Odd:\t v "))
    assert repr(head) == "<RequestHead b'POST' b'/v1/x?y=1' HTTP/1.1>"
    assert head.headers[1:] == [(b"content-length", b"Content-Length:  12 "), (b"x-odd", b"X-Odd:\t v ")]
    assert (head.framing, head.content_length, head.keep_alive) == (FRAMING_LENGTH, 12, True)
    assert parse_request_head(request(b"Transfer-Encoding: CHUNKED")).framing == FRAMING_CHUNKED
    assert parse_request_head(request()).framing == FRAMING_NONE


@pytest.mark.parametrize(
    ("fields", "keeps"),
    [
        ([b"Connection: keep-alive"], True),
        ([b"connection: Close"], False),
        ([b"Connection: x, close"], False),
        ([b"Connection: keep-alive", b"Connection: close"], False),
        ([b"Connection: close", b"Connection: keep-alive"], False),
        ([b"Connection: te"], True),
    ],
)
def test_keep_alive_follows_connection(fields, keeps):
    """`close` on any Connection line ends the connection."""
    assert parse_request_head(request(*fields)).keep_alive is keeps


@pytest.mark.parametrize(
    "data",
    [
        request(b"Expect: 100-continue"), request(b"Upgrade: websocket"), request(b"Content-Length: 1", b"Content-Length: 1"),
        request(b"Content-Length: 1", b"Transfer-Encoding: chunked"), request(b"Transfer-Encoding: gzip"),
        request(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"), request(b"Host: b"), request(b"A: 1", b" 2"),
        request(b"A : 1"), request(b"A: \x00"), request(b"A: \x7f"), request(b"A: 1\n"), request(b"A: 1\r"),
        request(line=b"GET / HTTP/1.0"), request(line=b"GET / HTTP/1.2"), request(line=b"GET * HTTP/1.1"),
        request(line=b"GET http://a/ HTTP/1.1"), request(line=b"CONNECT /a HTTP/1.1"), request(line=b"GET /a b HTTP/1.1"),
        b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", request() + b"x", request()[:-2], b"\r\n\r\n", b"",
        request(b"A: " + b"x" * heads.MAX_HEAD_BYTES),
    ],
)  # fmt: skip
def test_the_fast_lane_leaves_everything_else_to_h11(data):
    """Whatever is unusual, ambiguous or wrong is not the fast lane's business."""
    assert parse_request_head(data) is None


@pytest.mark.parametrize(
    ("line", "method", "framing"),
    [
        (b"200 OK", b"HEAD", FRAMING_NONE),
        (b"204 No Content", b"GET", FRAMING_NONE),
        (b"304 Not Modified", b"GET", FRAMING_NONE),
        (b"200 OK", b"CONNECT", FRAMING_NONE),
        (b"407 No", b"CONNECT", FRAMING_LENGTH),
        (b"200 OK", b"GET", FRAMING_LENGTH),
    ],
)
def test_some_responses_have_no_body_whatever_they_say(line, method, framing):
    """HEAD, 204, 304 and a successful CONNECT end with the head (RFC 9112 §6.3)."""
    data = b"HTTP/1.1 " + line + b"\r\nContent-Length: 7\r\n\r\n"
    head = parse_response_head(data, method)
    assert (head.framing, head.content_length) == (framing, 7 if framing else 0)
    assert head.keep_alive
    status, _, reason = line.partition(b" ")
    judged = response_head_from_h11(int(status), reason, b"1.1", [(b"Content-Length", b"7")], method)
    assert facts(judged) == facts(head)


def test_a_response_without_framing_lasts_until_the_end():
    """Neither a length nor chunks: the body ends with the connection, which then cannot be kept."""
    head = parse_response_head(b"HTTP/1.1 200 OK\r\n\r\n", b"GET")
    assert (head.framing, head.keep_alive, repr(head)) == (FRAMING_CLOSE, False, "<ResponseHead 200 HTTP/1.1>")
    old = response_head_from_h11(200, b"OK", b"1.0", [(b"Content-Length", b"2")], b"GET")
    assert (old.framing, old.keep_alive) == (FRAMING_LENGTH, False)


@pytest.mark.parametrize("line", [b"100 Continue", b"101 Switching Protocols", b"103 Early Hints", b"600 x", b"20 x"])
def test_the_fast_lane_takes_final_responses_only(line):
    """1xx responses and status codes out of range are left to h11."""
    assert parse_response_head(b"HTTP/1.1 " + line + b"\r\n\r\n", b"GET") is None


def from_h11(*items, method=b"GET", target=b"/", version=b"1.1"):
    return request_head_from_h11(method, target, version, items)


def test_upgrade_and_expect_are_read_from_h11s_values():
    """Upgrade counts when Connection names it, and both only in HTTP/1.1."""
    items = [(b"Connection", b"Upgrade"), (b"Upgrade", b"WebSocket"), (b"Expect", b"100-Continue")]
    head = from_h11(*items)
    assert (head.upgrade, head.expects_continue, head.keep_alive) == (b"websocket", True, True)
    assert from_h11(*items[1:]).upgrade is None
    old = from_h11(*items, version=b"1.0")
    assert (old.upgrade, old.expects_continue, old.keep_alive) == (None, False, False)


def test_an_absolute_target_becomes_its_path():
    """The absolute form is read as its path when it names the host that Host names."""
    assert from_h11((b"Host", b"A:1"), target=b"http://a:1/x?y").target == b"/x?y"
    assert from_h11((b"Host", b"a"), target=b"HTTP://a").target == b"/"
    assert from_h11((b"Host", b"a"), target=b"http://a?q").target == b"/?q"
    assert from_h11((b"Host", b"a"), target=b"*", method=b"OPTIONS").target == b"*"


@pytest.mark.parametrize(
    ("items", "request_line"),
    [
        ([(b"Content-Length", b"1"), (b"Transfer-Encoding", b"chunked")], {}),
        ([(b"Transfer-Encoding", b"chunked")], {"version": b"1.0"}),
        ([(b"Host", b"a b")], {}),
        ([(b"Host", b"a/b")], {}),
        ([(b"Host", b"b")], {"target": b"http://a/"}),
        ([], {"target": b"http://a/"}),
        ([(b"Host", b"a")], {"target": b"https://a/"}),
        ([(b"Host", b"a")], {"target": b"http://user@a/"}),
        ([(b"Host", b"a")], {"target": b"a:80", "method": b"CONNECT"}),
        ([(b"Host", b"a")], {"target": b"*"}),
        ([(b"Host", b"a")], {"target": b"x"}),
    ],
)
def test_what_h11_lets_pass_but_others_read_differently_is_refused(items, request_line):
    """Two framings, framing unknown to HTTP/1.0, hosts that are none, targets for other servers."""
    with pytest.raises(BadRequest):
        from_h11(*items, **request_line)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\nHost: a\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\n\r\n\r\n", request(b"A: 1\rB: 2"),
        request(b"A: 1", b"\tfold"), request(b" A: 1"), request(b"Content-Length: 1", b"content-length: 1"),
        request(b"Content-Length: 1, 1"),
    ],
)  # fmt: skip
def test_odd_lines_are_refused_before_h11_smooths_them(data):
    """Bare line ends, folded lines and repeated lengths do not reach anybody."""
    with pytest.raises(BadRequest):
        refuse_odd_head(data)


def test_a_plain_head_is_not_odd():
    """An everyday head passes."""
    refuse_odd_head(request(b"Content-Length: 1", b"A: , ,"))
