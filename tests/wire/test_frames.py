"""The copy of a WebSocket's bytes, read: masked, fragmented, deflated, cut."""

from __future__ import annotations

import zlib

import pytest
from frames_help import deflate, fragments, masked
from hypothesis import given
from hypothesis import strategies as st

from llmflow_web.wire.frames import FrameLog, Message, is_deflate_agreed
from llmflow_web.wire.websocket import BINARY, CLOSE, TEXT, encode_frame


def read(data: bytes, *, is_deflated: bool = False, limit: int = 1 << 20) -> list[tuple[int, bytes]]:
    return [(message.opcode, message.data) for message in FrameLog(data, is_deflated=is_deflated, limit=limit)]


@given(
    st.lists(
        st.tuples(st.sampled_from([TEXT, BINARY]), st.binary(max_size=400), st.lists(st.integers(0, 400))), max_size=6
    ),
    st.booleans(),
)
def test_fragments_make_messages(messages, is_masked):
    """However a message is cut into frames, and whoever sent it, it is read whole."""
    data = b"".join(fragments(opcode, payload, [] if is_masked else cuts) for opcode, payload, cuts in messages)
    if is_masked:
        data = b"".join(masked(encode_frame(opcode, payload)) for opcode, payload, _ in messages)
    assert read(data) == [(opcode, payload) for opcode, payload, _ in messages]


@given(st.lists(st.binary(max_size=300), max_size=5), st.booleans(), st.lists(st.integers(0, 300), max_size=3))
def test_deflated_messages_are_inflated(payloads, keeps_window, cuts):
    """With and without context takeover, in fragments or not, among plain messages."""
    frames = [fragments(TEXT, data, cuts, is_deflated=True) for data in deflate(payloads, keeps_window=keeps_window)]
    plain = encode_frame(TEXT, b"plain")
    expected = [pair for payload in payloads for pair in ((TEXT, payload), (TEXT, b"plain"))]
    assert read(b"".join(frame + plain for frame in frames), is_deflated=True) == expected


@given(st.binary(max_size=300), st.booleans())
def test_noise_raises_nothing(data, is_deflated):
    """Any bytes are read as far as they make sense."""
    read(data, is_deflated=is_deflated)


@given(st.integers(0, 100_100))
def test_a_copy_cut_anywhere_keeps_its_whole_messages(at):
    """What came whole is there, and the rest is told."""
    data = encode_frame(TEXT, b"a") + encode_frame(BINARY, b"b" * 70_000) + encode_frame(TEXT, b"c" * 200)
    log = FrameLog(data[:at], is_deflated=False, limit=1 << 20)
    found = list(log)
    assert [message.end for message in found] == [end for end in (3, 70_013, 70_217) if end <= at]
    assert log.is_cut is (0 < at < len(data) and at not in (3, 70_013))


def test_a_bomb_is_not_inflated():
    """Inflating stops at the limit."""
    (bomb,) = deflate([b"\x00" * (50 << 20)], keeps_window=False)
    log = FrameLog(fragments(TEXT, bomb, [], is_deflated=True), is_deflated=True, limit=1 << 16)
    assert list(log) == []
    assert log.is_cut


def test_a_finished_stream_of_blocks_is_followed_by_another():
    """A sender may end its deflate stream with a message (RFC 7692 §7.2.3.4)."""
    whole = [zlib.compress(text, wbits=-15) + b"\x00" for text in (b"one", b"two")]
    data = b"".join(fragments(TEXT, piece, [], is_deflated=True) for piece in whole)
    assert read(data, is_deflated=True) == [(TEXT, b"one"), (TEXT, b"two")]


def test_deflated_frames_nobody_agreed_to():
    """They cannot be read, which is told."""
    log = FrameLog(fragments(TEXT, b"xx", [], is_deflated=True), is_deflated=False, limit=100)
    assert list(log) == []
    assert log.is_cut


def test_a_close_frame():
    """It comes out as it is, between fragments too."""
    data = encode_frame(CLOSE, b"\x03\xe8bye")
    assert list(FrameLog(data, is_deflated=False, limit=10)) == [Message(CLOSE, b"\x03\xe8bye", len(data))]


@pytest.mark.parametrize(
    ("value", "is_agreed"),
    [
        (b"permessage-deflate", True),
        (b"x-other, Permessage-Deflate; server_no_context_takeover", True),
        (b"x-permessage-deflate", False),
    ],
)
def test_agreed_deflate(value, is_agreed):
    """The extension is told by its name."""
    assert is_deflate_agreed([(b"sec-websocket-extensions", b"Sec-WebSocket-Extensions: " + value)]) is is_agreed
