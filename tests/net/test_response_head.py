"""Reading response heads: the fast lane and h11 agree, whatever the cut."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmflow_web.errors import UpstreamProtocol
from llmflow_web.net.response_head import HeadReader

HEADS = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
    b"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\nX-A: \xe4\r\n\r\n",
    b"HTTP/1.1 200 OK\nContent-Length: 5\n\n",
    b"HTTP/1.1 200 OK\r\nX-Folded: a\r\n b\r\nContent-Length: 5\r\n\r\n",
    b"HTTP/1.0 200 OK\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\nConnection: close\r\n\r\n",
]


def read(pieces: list[bytes]):
    reader = HeadReader("GET")
    for index, piece in enumerate(pieces):
        found = reader.feed(piece)
        if found is not None:
            head, rest = found
            rest += b"".join(pieces[index + 1 :])
            return (head.status, head.version, head.headers, head.framing, head.content_length, head.keep_alive), rest
    return None


@settings(max_examples=200, deadline=None)
@given(raw=st.sampled_from(HEADS), data=st.data())
def test_any_cutting(raw, data):
    """However a head is cut, it is read alike, and what lies behind it comes back untouched."""
    whole = raw + b"body\r\n\r\nmore"
    cuts = sorted(data.draw(st.sets(st.integers(1, len(whole) - 1), max_size=10)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert read(pieces) == read([whole])
    assert read([whole])[1] == b"body\r\n\r\nmore"


@settings(max_examples=300, deadline=None)
@given(raw=st.sampled_from(HEADS), at=st.integers(0, 60), byte=st.binary(min_size=1, max_size=2))
def test_a_flipped_byte_never_breaks_out(raw, at, byte):
    """A damaged head is read, waited for or refused; nothing else is ever raised."""
    damaged = raw[:at] + byte + raw[at + 1 :]
    with contextlib.suppress(UpstreamProtocol):
        read([damaged])


@pytest.mark.parametrize(
    "raw",
    [b"HTTP/2.0 200 OK\r\n\r\n", b"ICY 200 OK\r\n\r\n", b"\x15\x03\x01\x00\x02", b"\r\n", b"HTTP/1.1 99 Low\r\n\r\n",
     b"HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n", b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70_000],
)  # fmt: skip
def test_refused(raw):
    """What is not HTTP/1.1 is refused as soon as it shows."""
    with pytest.raises(UpstreamProtocol):
        read([raw])


def test_switching_protocols():
    """A 101 is final where it was asked for, else a fault."""
    raw = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x00"
    head, rest = HeadReader("GET", asks_upgrade=True).feed(raw)
    assert (head.status, rest) == (101, b"\x81\x00")
    with pytest.raises(UpstreamProtocol):
        HeadReader("GET").feed(raw)


def test_tunnel():
    """What follows a 2xx to CONNECT is the tunnel's, whatever the head says of a body."""
    head, rest = HeadReader("CONNECT").feed(b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc")
    assert (head.status, rest) == (200, b"abc")
