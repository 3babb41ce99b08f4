"""WebSocket frames: literal bytes in, events out, and every rule of RFC 6455 a server has to hold."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmflow_web.wire.head import RequestHead
from llmflow_web.wire.websocket import (
    Binary,
    Breach,
    Close,
    Ping,
    Pong,
    Reader,
    Text,
    accept_key,
    apply_mask,
    encode_close,
    encode_frame,
    encode_ping,
    encode_pong,
    encode_text,
    handshake_problem,
    is_valid_close_code,
    switching_head,
)

MASK = b"\x37\xfa\x21\x3d"


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, mask: bytes | None = MASK, rsv: int = 0) -> bytes:
    """A client's frame, written independently of the code under test."""
    first = (0x80 if fin else 0) | rsv | opcode
    bit = 0x80 if mask is not None else 0
    size = len(payload)
    if size <= 125:
        head = bytes([first, bit | size])
    elif size <= 65535:
        head = bytes([first, bit | 126]) + struct.pack("!H", size)
    else:
        head = bytes([first, bit | 127]) + struct.pack("!Q", size)
    if mask is None:
        return head + payload
    return head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


HEAD = (
    b"GET /ws HTTP/1.1\r\nHost: localhost:3000\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def head_of(raw: bytes) -> RequestHead:
    """Build a head as the server does."""
    first, *lines = raw.removesuffix(b"\r\n\r\n").split(b"\r\n")
    method, target, version = first.split(b" ")
    headers = [(line.partition(b":")[0].lower(), line) for line in lines]
    return RequestHead(method=method, target=target, version=version.removeprefix(b"HTTP/"), headers=headers)


def problem(raw: bytes):
    return handshake_problem(head_of(raw))


def test_accept_key_of_the_rfc() -> None:
    """The accept key of RFC 6455's example comes out."""
    assert accept_key(b"dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_handshake_as_browsers_send_it() -> None:
    """Firefox's `keep-alive, Upgrade` and any case of the tokens are a handshake."""
    assert problem(HEAD) is None
    assert (
        problem(HEAD.replace(b"websocket\r\nC", b"WebSocket\r\nC").replace(b"Upgrade\r\nSec", b"UPGRADE\r\nSec"))
        is None
    )
    assert b"sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n" in switching_head(head_of(HEAD))


@pytest.mark.parametrize(
    ("old", "new", "status"),
    [
        (b"Upgrade: websocket\r\n", b"", 400),
        (b"Upgrade: websocket", b"Upgrade: h2c", 400),
        (b"keep-alive, Upgrade", b"keep-alive", 400),
        (b"GET /ws HTTP/1.1", b"GET /ws HTTP/1.0", 400),
        (b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Version: 8", 426),
        (b"Sec-WebSocket-Version: 13\r\n", b"", 426),
        (b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b"", 400),
        (b"dGhlIHNhbXBsZSBub25jZQ==", b"dGhlIHNhbXBsZQ==", 400),
        (b"dGhlIHNhbXBsZSBub25jZQ==", b"!!hlIHNhbXBsZSBub25jZQ==", 400),
        (b"Sec-WebSocket-Version", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version", 400),
    ],
)
def test_what_is_no_handshake(old: bytes, new: bytes, status: int) -> None:
    """Whatever lacks a part of the handshake is refused with 400, a wrong version with 426."""
    assert problem(HEAD.replace(old, new))[0] == status


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536])
def test_lengths_in_and_out(size: int) -> None:
    """Every form of the length is read and written."""
    text = b"x" * size
    assert Reader().feed(frame(1, text)) == [Text(text.decode())]
    assert encode_text(text) == frame(1, text, mask=None)


def test_fragments_with_a_ping_between() -> None:
    """A message may come in fragments, even cut inside a character, with control frames between."""
    word = "grün".encode()
    data = frame(1, word[:3], fin=False) + frame(9, b"hi") + frame(0, word[3:4], fin=False) + frame(0, word[4:])
    assert Reader().feed(data) == [Ping(b"hi"), Text("grün")]


def test_several_messages_in_one_read() -> None:
    """Frames that arrive together come out one by one, in order."""
    data = frame(2, b"\x00\xff") + frame(10, b"p") + frame(1, b"b") + frame(8, b"\x03\xe8bye") + frame(1, b"late")
    assert Reader().feed(data) == [Binary(b"\x00\xff"), Pong(b"p"), Text("b"), Close(1000, "bye")]


BREACHES = {
    "unmasked": (frame(1, b"x", mask=None), 1002),
    "reserved bit": (frame(1, b"x", rsv=0x40), 1002),
    "reserved opcode": (frame(3, b"x"), 1002),
    "reserved control opcode": (frame(11), 1002),
    "long ping": (frame(9, b"x" * 126), 1002),
    "fragmented ping": (frame(9, fin=False), 1002),
    "continuation of nothing": (frame(0, b"x"), 1002),
    "message inside a message": (frame(1, b"x", fin=False) + frame(1, b"y"), 1002),
    "length of 5 in two bytes": (b"\x81\xfe\x00\x05" + MASK, 1002),
    "length of 300 in eight bytes": (b"\x81\xff" + struct.pack("!Q", 300) + MASK, 1002),
    "length with the top bit": (b"\x81\xff" + struct.pack("!Q", 1 << 63), 1002),
    "bad UTF-8": (frame(1, b"\xff"), 1007),
    "surrogate": (frame(1, b"\xed\xa0\x80"), 1007),
    "cut UTF-8": (frame(1, "ü".encode()[:1]), 1007),
    "bad UTF-8 in a reason": (frame(8, b"\x03\xe8\xff"), 1007),
    "close of one byte": (frame(8, b"\x03"), 1002),
    "close code 1005": (frame(8, struct.pack("!H", 1005)), 1002),
    "huge": (b"\x82\xff" + struct.pack("!Q", 1 << 40), 1009),
    "huge by fragments": (frame(2, b"x" * 600, fin=False) + frame(0, b"x" * 600), 1009),
}


@pytest.mark.parametrize("name", BREACHES)
def test_breach(name: str) -> None:
    """Every breach of the protocol is told with its code, and nothing after it is read."""
    data, code = BREACHES[name]
    reader = Reader(max_message_bytes=1000)
    events = reader.feed(data + frame(1, b"after"))
    assert isinstance(events[-1], Breach)
    assert events[-1].code == code
    assert reader.feed(frame(1, b"after")) == []


def test_close_codes() -> None:
    """Exactly the registered and the private codes may be on the wire."""
    valid = {code for code in range(6000) if is_valid_close_code(code)}
    assert valid == {1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)}


def test_close_without_a_code() -> None:
    """An empty close is a close."""
    assert Reader().feed(frame(8)) == [Close(1005)]
    assert encode_close(1005) == b"\x88\x00"


def test_long_close_reasons_are_cut_between_characters() -> None:
    """A reason never makes a control frame too long or its text invalid."""
    data = encode_close(1011, "ü" * 100)
    assert data[1] == len(data) - 2 <= 125
    assert data[4:].decode() == "ü" * 61


def test_control_frames_out() -> None:
    """Pings, pongs and closes are written as the RFC shows them."""
    assert encode_ping(b"Hello") == b"\x89\x05Hello"
    assert encode_pong(b"Hello") == b"\x8a\x05Hello"
    assert encode_close(1001, "x") == b"\x88\x03\x03\xe9x"


@given(st.binary(max_size=300), st.binary(min_size=4, max_size=4))
@settings(derandomize=True)
def test_mask_twice_is_nothing(payload: bytes, mask: bytes) -> None:
    """Masking is XOR byte by byte, and undoes itself."""
    masked = apply_mask(payload, mask)
    assert masked == bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
    assert apply_mask(masked, mask) == payload


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """Frames right and wrong, with whatever behind them."""
    pieces = draw(
        st.lists(
            st.builds(
                lambda opcode, payload, fin: frame(opcode, payload, fin=fin),
                st.sampled_from([0, 1, 1, 1, 2, 8, 9, 10, 5]),
                st.one_of(st.binary(max_size=140), st.text(max_size=40).map(str.encode)),
                st.booleans(),
            ),
            max_size=6,
        )
    )
    return b"".join(pieces) + draw(st.binary(max_size=20))


@given(streams(), st.lists(st.integers(0, 400), max_size=8))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_any_cutting_gives_the_same_events(data: bytes, cuts: list[int]) -> None:
    """However the bytes are cut, the events are the same; nothing raises."""
    whole = Reader(300).feed(data)
    places = sorted({min(cut, len(data)) for cut in cuts})
    reader = Reader(300)
    pieces = [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]
    assert [event for piece in pieces for event in reader.feed(piece)] == whole
    single = Reader(300)
    assert [event for byte in data for event in single.feed(bytes([byte]))] == whole


@given(st.sampled_from([1, 2, 9, 10]), st.binary(max_size=125))
@settings(derandomize=True, deadline=None)
def test_our_frames_are_read_by_an_independent_library(opcode: int, payload: bytes) -> None:
    """What we send is what the `websockets` package reads."""
    library = pytest.importorskip("websockets.frames")
    streams_module = pytest.importorskip("websockets.streams")
    reader = streams_module.StreamReader()
    reader.feed_data(encode_frame(opcode, payload))
    reader.feed_eof()
    parser = library.Frame.parse(reader.read_exact, mask=False)
    with pytest.raises(StopIteration) as stop:
        next(parser)
    assert (stop.value.value.opcode, stop.value.value.data) == (opcode, payload)
