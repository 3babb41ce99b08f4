"""The client's side of WebSocket: its handshake, its masks, and what it reads of a server."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmflow_web.wire import websocket
from llmflow_web.wire.websocket import Breach, Reader, Text

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455 §1.3
ACCEPT = b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_the_handshake_is_that_of_the_rfc() -> None:
    """The head asks for version 13, and the accept key of the RFC's example is taken."""
    head = websocket.opening_head("x:1", "/ws", KEY, {"a": "b"})
    assert head.startswith(b"GET /ws HTTP/1.1\r\nhost: x:1\r\n")
    assert head.endswith(b"a: b\r\n\r\n")
    assert websocket.opening_problem(ACCEPT, KEY) is None


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"HTTP/1.1 401 Unauthorized", 401),
        (b"HTTP/1.1 101 Switching Protocols", 101),
        (ACCEPT.replace(b"s3p", b"S3p"), 101),
        (b"HTTP/1.0 200 OK", 0),
        (b"SSH-2.0-x", 0),
        (b"", 0),
        (b"HTTP/1.1 \xff", 0),
    ],
)
def test_any_other_answer_is_a_problem(head: bytes, status: int) -> None:
    """What is no 101 to our key is refused with a sentence."""
    problem = websocket.opening_problem(head, KEY)
    assert problem is not None
    assert problem[0] == status


@given(st.text(max_size=70_000), st.binary(min_size=4, max_size=4), st.integers(min_value=1, max_value=9))
def test_what_a_client_masks_a_server_reads(text: str, mask: bytes, step: int) -> None:
    """A masked frame of any length is what it was; an unmasked one is read by a client, however cut."""
    frame = websocket.encode_text(text.encode())
    assert Reader().feed(websocket.masked(frame, mask)) == [Text(text)]
    reader = Reader(is_client=True)
    step = max(step, len(frame) // 50)
    events = [event for at in range(0, len(frame), step) for event in reader.feed(frame[at : at + step])]
    assert events == [Text(text)]


def test_each_side_insists_on_the_others_mask() -> None:
    """A client refuses a masked frame, a server one without."""
    frame = websocket.encode_text(b"x")
    assert isinstance(Reader(is_client=True).feed(websocket.masked(frame, b"abcd"))[0], Breach)
    assert isinstance(Reader().feed(frame)[0], Breach)
