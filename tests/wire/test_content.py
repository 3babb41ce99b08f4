"""Encoded bodies are undone as far as they came, never beyond the limit, and kept raw when they cannot be."""

import gzip
import itertools
import zlib

import brotli
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmflow_web.errors import BadRequest, TooLarge
from llmflow_web.wire import content
from llmflow_web.wire.content import ContentDecoder, codings_of, decode_body, inflated_request, reduce_accept_encoding

TEXT = b'{"id":"c1","choices":[]}' * 50
LIMIT = 1 << 20


def raw_deflate(data: bytes) -> bytes:
    machine = zlib.compressobj(wbits=-15)
    return machine.compress(data) + machine.flush()


ENCODED = {
    "gzip": gzip.compress(TEXT),
    "x-gzip": gzip.compress(TEXT),
    "GZip": gzip.compress(TEXT[:99]) + gzip.compress(TEXT[99:]),
    "deflate": zlib.compress(TEXT),
    "br": brotli.compress(TEXT),
    "identity": TEXT,
    "": TEXT,
    "gzip, br": brotli.compress(gzip.compress(TEXT)),
    "deflate , identity, gzip": gzip.compress(zlib.compress(TEXT)),
}


@pytest.mark.parametrize("encoding", ENCODED)
def test_codings(encoding):
    """Every coding, any case, several members, stacked."""
    assert decode_body(ENCODED[encoding], encoding, LIMIT) == (TEXT, False)


def test_raw_deflate():
    """Deflate without the zlib wrapper is understood too."""
    assert decode_body(raw_deflate(TEXT), "deflate", LIMIT) == (TEXT, False)


@pytest.mark.parametrize("encoding", ENCODED)
def test_a_cut_body_gives_what_there_is(encoding):
    """Half a body gives a beginning of it, and is not raw."""
    data, is_raw = decode_body(ENCODED[encoding][: len(ENCODED[encoding]) // 2], encoding, LIMIT)
    assert not is_raw
    assert TEXT.startswith(data)


@pytest.mark.parametrize("encoding", ["zstd", "gzip, zstd", "aes128gcm", "gzip,gzip,gzip,gzip,gzip"])
def test_unknown_codings_stay_raw(encoding):
    """What is not understood is kept and marked."""
    assert decode_body(b"abc", encoding, LIMIT) == (b"abc", True)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br"])
def test_bytes_that_are_not_what_they_say_stay_raw(encoding):
    """A plain body under a wrong header is kept as it is."""
    assert decode_body(b"plain \xff\xff text " * 20, encoding, LIMIT) == (b"plain \xff\xff text " * 20, True)


@pytest.mark.parametrize(
    "make", [gzip.compress, zlib.compress, brotli.compress, lambda b: gzip.compress(gzip.compress(b))]
)
def test_bombs(make):
    """A small body that unpacks to 64 MiB gives no more than the limit."""
    names = {gzip.compress: "gzip", zlib.compress: "deflate", brotli.compress: "br"}
    data, is_raw = decode_body(make(bytes(1 << 26)), names.get(make, "gzip, gzip"), 1000)
    assert (len(data), is_raw) == (1000, False)


@given(st.binary(max_size=300), st.lists(st.integers(0, 400), max_size=5), st.sampled_from(["gzip", "deflate", "br"]))
@settings(max_examples=150, deadline=None)
def test_piece_by_piece(data, cuts, coding):
    """Any cutting of the encoded bytes gives the same body."""
    make = {"gzip": gzip.compress, "deflate": zlib.compress, "br": brotli.compress}[coding]
    encoded = make(data)
    decoder = ContentDecoder(codings_of(coding) or [], LIMIT)
    edges = [0, *sorted(min(cut, len(encoded)) for cut in cuts), len(encoded)]
    assert b"".join(decoder.feed(encoded[a:b]) for a, b in itertools.pairwise(edges)) == data


@given(st.binary(max_size=100), st.sampled_from(["gzip", "deflate", "br", "gzip, br"]))
@settings(deadline=None)
def test_any_bytes(data, encoding):
    """Nothing raises."""
    decode_body(data, encoding, 100)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"gzip, deflate, br, zstd", b"gzip, deflate, br"),
        (b"gzip;q=1.0, br;q=0.5,zstd;q=0.9", b"gzip;q=1.0, br;q=0.5"),
        (b"GZIP", b"GZIP"),
        (b"zstd", b"identity"),
        (b"*", b"identity"),
        (b"gzip, *;q=0", b"gzip, *;q=0"),
        (b"identity", b"identity"),
        (b"", b""),
    ],
)
def test_accept_encoding(value, expected):
    """Only what can be undone is asked for, with its weight."""
    assert reduce_accept_encoding(value) == expected


def test_without_brotli(monkeypatch):
    """Where brotli is not installed, br is neither asked for nor undone."""
    monkeypatch.setattr(content, "has_brotli", lambda: False)
    reduce_accept_encoding.cache_clear()
    assert reduce_accept_encoding(b"gzip, br") == b"gzip"
    assert decode_body(brotli.compress(TEXT), "br", LIMIT)[1]
    reduce_accept_encoding.cache_clear()


@pytest.mark.parametrize("encoding", [name for name in ENCODED if "br" not in name] + ["gzip, deflate"])
def test_requests_are_whole(encoding):
    """A request is undone whole, up to a limit, or not at all: cut, too large, or no such thing."""
    data = ENCODED.get(encoding) or zlib.compress(gzip.compress(TEXT))
    codings = codings_of(encoding)
    assert inflated_request(data, codings, len(TEXT)) == TEXT
    assert inflated_request(b"", codings, 10) == b""
    if not codings:
        return
    with pytest.raises(TooLarge, match="decompressed"):
        inflated_request(data, codings, len(TEXT) - 1)
    for cut in (1, 2, len(data) // 2, len(data) - 1):
        with pytest.raises((BadRequest, TooLarge)):
            inflated_request(data[:cut], codings, len(TEXT))
    with pytest.raises(BadRequest):
        inflated_request(b"neither", codings, len(TEXT))


def test_request_bombs_stop_at_the_limit():
    """What unfolds without end is stopped where it passes the limit, at every layer."""
    bomb = gzip.compress(gzip.compress(bytes(100 * LIMIT)))
    with pytest.raises(TooLarge):
        inflated_request(bomb, ["gzip", "gzip"], LIMIT)
    with pytest.raises(TooLarge):
        inflated_request(gzip.compress(bytes(LIMIT)) * 50, ["gzip"], LIMIT)
