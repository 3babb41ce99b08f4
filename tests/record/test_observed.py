"""Wire bytes become payloads, and arrivals are counted in them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmflow_web.model import Capture
from llmflow_web.record.observed import (
    arrival_of,
    decoded_arrivals,
    parsed_object,
    request_seen,
    response_seen,
)
from llmflow_web.wire.chunked import encode_chunk
from llmflow_web.wire.forms import form_fields


def capture(data: bytes, limit: int = 1000) -> Capture:
    kept = Capture(limit)
    kept.add(data)
    return kept


def test_nothing():
    """No capture and an empty one are an empty body."""
    assert request_seen(None, "", 10).size == 0
    assert response_seen(Capture(5), "", 10, is_chunked=True).data == b""


def test_cut_by_the_capture_or_by_the_limit():
    """Either way the body is marked, and its size is that of the wire."""
    assert [request_seen(capture(b"x" * 50, 20), "", 100).is_cut, request_seen(capture(b"x" * 50), "", 20).is_cut] == [
        True,
        True,
    ]
    seen = request_seen(capture(b"x" * 20), "", 20)
    assert (seen.is_cut, seen.size, len(seen.data)) == (False, 20, 20)


def test_arrivals_in_chunks():
    """Chunk framing does not count; a piece may hold half a chunk."""
    wire = encode_chunk(b"abc") + encode_chunk(b"defgh")
    arrivals = [(0, 1), (4, 2), (10, 3)]
    found = decoded_arrivals(capture(wire), arrivals, "", 100, is_chunked=True)
    assert found == [(0, 1), (1, 2), (3, 3)]


@pytest.mark.parametrize(("position", "time"), [(0, 10), (4, 10), (5, 20), (9, 30), (100, 30)])
def test_arrival_of(position, time):
    """A byte came with the last arrival that starts before it."""
    assert arrival_of([(0, 10), (5, 20), (9, 30)], position) == time


@given(
    st.binary(max_size=60),
    st.lists(st.integers(0, 60), min_size=1, max_size=5).map(sorted),
    st.booleans(),
    st.sampled_from(["", "gzip", "br", "zstd"]),
)
@settings(deadline=None)
def test_any_bytes(data, offsets, is_chunked, encoding):
    """Nothing raises, and there is never more than was seen."""
    arrivals = [(offset, number) for number, offset in enumerate(offsets)]
    found = decoded_arrivals(capture(data), arrivals, encoding, 100, is_chunked=is_chunked)
    assert len(found) <= len(arrivals)
    response_seen(capture(data), encoding, 100, is_chunked=is_chunked)


@pytest.mark.parametrize(
    ("data", "value"),
    [(b'{"a":1}', {"a": 1}), (b' \n{"a":1} ', {"a": 1}), (b"[1]", None), (b"{", None), (b"", None), (b"x", None)],
)
def test_objects(data, value):
    """Only a whole JSON object counts."""
    assert parsed_object(data) == value


def test_forms():
    """Small fields of a form are read at both ends of a large file."""
    field = b'--B\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
    file = b'--B\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n' + b"\0" * 300_000 + b"\r\n"
    body = field % (b"model", b"whisper-1") + file + field % (b"stream", b"true") + field % (b"other", b"x") + b"--B--"
    assert form_fields(body) == {"model": "whisper-1", "stream": True}
