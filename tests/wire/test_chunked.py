"""Chunked bodies: any cutting gives the same, h11 reads the same, and what is malformed is refused."""

from __future__ import annotations

from itertools import pairwise

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmflow_web.wire.chunked import (
    LAST_CHUNK,
    MAX_SIZE_LINE_BYTES,
    MAX_TRAILER_BYTES,
    ChunkedDecoder,
    ChunkedError,
    ChunkedWalker,
    decode_chunked,
    encode_chunk,
)

SIZES = ["%x", "%X", "%04x", "0%X", "%x;ext", "%x; a=b", '%x;q="\x80 x"', "%x ", "%x\t"]
TRAILERS = [b"", b"X-Sum: 1\r\n", b"A: 1\r\nB:\r\n"]


@st.composite
def bodies(draw):
    """A well-formed chunked body and its payload."""
    pieces = draw(st.lists(st.binary(min_size=1, max_size=40), max_size=6))
    wire = b"".join(
        (draw(st.sampled_from(SIZES)) % len(piece)).encode("latin-1") + b"\r\n" + piece + b"\r\n" for piece in pieces
    )
    last = draw(st.sampled_from([b"0", b"000", b"0;x=y"]))
    return wire + last + b"\r\n" + draw(st.sampled_from(TRAILERS)) + b"\r\n", b"".join(pieces)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


def h11_payload(wire: bytes) -> tuple[bytes, bytes] | None:
    """What h11 makes of a chunked body: (payload, what lies behind it), None if it refuses or waits for more."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + wire)
    payload = b""
    try:
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                return None
            if isinstance(event, h11.Data):
                payload += bytes(event.data)
    except h11.RemoteProtocolError:
        return None
    return payload, connection.trailing_data[0]


@settings(max_examples=200)
@given(bodies(), st.lists(st.integers(0, 500), max_size=12), st.binary(max_size=5))
def test_any_cutting_gives_the_same_end_and_payload(body, places, behind):
    """However the bytes are cut, the walker ends at the same place and the decoder gives the same payload."""
    wire, payload = body
    walker, decoder, seen, decoded = ChunkedWalker(), ChunkedDecoder(), 0, b""
    for piece in cut(wire + behind, places):
        end = walker.feed(piece)
        seen += end
        assert end == len(piece) or walker.is_done
        decoded += decoder.feed(piece)
    assert (seen, walker.is_done, decoder.is_done, decoded) == (len(wire), True, True, payload)
    assert h11_payload(wire + behind) == (payload, behind)


@settings(max_examples=400)
@given(
    bodies(),
    st.lists(st.tuples(st.integers(0, 300), st.sampled_from([*b"\r\n\t 0aFgz;:-x\x00\x0b", 0x80, -1])), max_size=3),
)
def test_what_the_walker_accepts_h11_reads_alike(body, edits):
    """Bodies with random damage: where the walker sees an end, h11 sees the same end and payload."""
    wire = bytearray(body[0])
    for place, value in edits:
        at = place % len(wire)
        wire[at : at + 1] = b"" if value < 0 else bytes([value])
        wire = wire or bytearray(b"0")
    data = bytes(wire)
    payload: list[bytes] = []
    walker = ChunkedWalker()
    try:
        end = walker.collect(data, 0, payload)
    except ChunkedError:
        return
    if walker.is_done:
        assert h11_payload(data) == (b"".join(payload), data[end:])


def feed_bytes(walker, wire):
    for i in range(len(wire)):
        walker.feed(wire[i : i + 1])


@pytest.mark.parametrize(
    "wire",
    [
        b"g\r\n", b"-1\r\nx\r\n", b"+1\r\n", b"0x1\r\nx\r\n", b" 1\r\nx\r\n", b"\r\n", b";x\r\n", b"1\nx\r\n", b"1\rx",
        b"1;\x00\r\nx\r\n", b"1;\nx\r\n", b"1;a\rb\r\nx\r\n", b"1\r\nxy\r\n", b"1\r\nx\n\n", b"1\r\nx\r\r",
        b"11111111111111111\r\n", b"1_0\r\n", b"0\r\nbad trailer\r\n\r\n", b"0\r\nA : 1\r\n\r\n", b"0\r\n fold: 1\r\n\r\n",
        b"0\r\nA: 1\n\r\n\r\n",
    ],
)  # fmt: skip
def test_malformed_framing_is_refused_in_one_piece_and_byte_by_byte(wire):
    """Sizes that are no plain hex number, control characters, wrong line ends and bad trailers are errors."""
    with pytest.raises(ChunkedError):
        ChunkedWalker().feed(wire)
    with pytest.raises(ChunkedError):
        feed_bytes(ChunkedWalker(), wire)


def feed_on(walker, data, times):
    for _ in range(times):
        walker.feed(data)


@pytest.mark.parametrize(
    ("start", "more", "bound"),
    [(b"1;", b"x", MAX_SIZE_LINE_BYTES), (b"0\r\nA: ", b"x", MAX_TRAILER_BYTES + 3)],
)
def test_what_is_kept_between_pieces_is_bounded(start, more, bound):
    """A size line or trailers that never end are refused at their limit."""
    for step in (1, 100, 100_000):
        walker = ChunkedWalker()
        walker.feed(start)
        with pytest.raises(ChunkedError, match="too long"):
            feed_on(walker, more * step, bound // step + 2)


def test_walking_starts_where_it_is_told():
    """`start` skips what lies before the body, and the offset given back counts from the start of the bytes."""
    assert ChunkedWalker().feed(b"HEAD1\r\nx\r\n0\r\n\r\nNEXT", 4) == 15
    walker = ChunkedWalker()
    walker.feed(b"1")
    assert walker.feed(b"HEAD\r\nx\r\n0\r\n\r\nNEXT", 4) == 14
    assert walker.feed(b"more") == 0


def test_repr_tells_where_the_walker_is():
    """The repr says how much of a chunk is missing, or that the body has ended."""
    walker = ChunkedWalker()
    walker.feed(b"5\r\nab")
    assert repr(walker) == "<ChunkedWalker 5 bytes of a chunk left>"
    walker.feed(b"cde\r\n0\r\n")
    assert repr(walker) == "<ChunkedWalker in trailers>"
    walker.feed(b"\r\n")
    assert repr(walker) == "<ChunkedWalker done>"


def test_decoding_takes_what_is_there():
    """A recorded body that is cut or broken is decoded up to the flaw."""
    assert decode_chunked(b"3\r\nabc\r\n2\r\nd") == b"abcd"
    assert decode_chunked(b"3\r\nabc\r\nzz") == b"abc"
    assert decode_chunked(b"") == b""


def test_encoding_never_makes_a_last_chunk():
    """Data becomes one chunk; no data becomes nothing, since an empty chunk would end the body."""
    assert encode_chunk(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"
    assert encode_chunk(b"") == b""
    assert decode_chunked(encode_chunk(b"abc") + LAST_CHUNK) == b"abc"
