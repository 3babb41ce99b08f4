"""Looking up and sorting out headers."""

from __future__ import annotations

import pytest

from llmflow_web.wire import headers as h

HEADERS = [
    (b"host", b"Host: a"),
    (b"accept", b"Accept:\t text/html "),
    (b"accept", b"ACCEPT: */*"),
    (b"x-empty", b"X-Empty:"),
    (b"x-colon", b"X-Colon: a:b"),
]


def test_get_gives_the_first_value():
    """The first line of a name is the one that `get` reads, without white space around the value."""
    assert h.get(HEADERS, b"accept") == b"text/html"
    assert h.get(HEADERS, b"x-empty") == b""
    assert h.get(HEADERS, b"x-colon") == b"a:b"
    assert h.get(HEADERS, b"cookie") is None


def test_get_all_keeps_the_order():
    """Every line of a name is given, in order."""
    assert h.get_all(HEADERS, b"accept") == [b"text/html", b"*/*"]
    assert h.get_all(HEADERS, b"cookie") == []


def test_tokens_reads_lists_over_several_lines():
    """Comma-separated members are lower-cased, trimmed, and gathered over all lines; empty ones are left out."""
    lines = [(b"connection", b"Connection: Close, , X-One"), (b"connection", b"connection:\tupgrade")]
    assert h.tokens(lines, b"connection") == [b"close", b"x-one", b"upgrade"]


@pytest.mark.parametrize(
    "name",
    [
        b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te",
        b"trailer", b"transfer-encoding", b"upgrade",
    ],
)  # fmt: skip
def test_hop_by_hop_headers_stay_here(name):
    """What concerns one connection only is not forwarded."""
    assert h.forwardable([(name, name + b": x"), (b"a", b"A: 1")]) == [(b"a", b"A: 1")]


def test_what_connection_names_stays_here():
    """A header that Connection names is hop-by-hop too, whatever its case."""
    lines = [(b"connection", b"Connection: X-Secret"), (b"x-secret", b"X-Secret: 1"), (b"a", b"A: 1")]
    assert h.forwardable(lines) == [(b"a", b"A: 1")]


def test_dropped_names_stay_here_and_lines_stay_untouched():
    """Names in `drop` are left out; the lines that travel keep every byte."""
    assert h.forwardable(HEADERS, frozenset({b"host"})) == HEADERS[1:]
