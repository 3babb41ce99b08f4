"""Event streams are read as the standard says, however they are cut, and written so that they read back."""

import itertools
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmflow_web.provider import Event
from llmflow_web.wire import sse
from llmflow_web.wire.sse import SSEDecoder, UsageChunkFilter, encode


def decoded(data: bytes, *cuts: int) -> list[tuple[str, str, str]]:
    decoder = SSEDecoder()
    events = []
    edges = [0, *sorted(cuts), len(data)]
    for start, end in itertools.pairwise(edges):
        events += decoder.feed(data[start:end])
    events += decoder.finish()
    return [(event.type, event.data, event.id) for event in events]


def datas(data: bytes) -> list[str]:
    return [event[1] for event in decoded(data)]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"data:x\n\n", ["x"]),
        (b"data: x\n\n", ["x"]),
        (b"data:  x\n\n", [" x"]),
        (b"data\n\n", [""]),
        (b"data\ndata\n\n", ["\n"]),
        (b":\n\n", []),
        (b": OPENROUTER PROCESSING\n\ndata: a\n\n", ["a"]),
        (b"event: x\n\n", []),
        (b"data : x\n\n", []),
        (b"DATA: x\n\n", []),
        (b"data: a\ndata: b\n\n", ["a\nb"]),
        (b"data: a\r\rdata: b\r\r", ["a", "b"]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", ["a", "b"]),
        (b"data: a\n\r\ndata: b\r\n\n", ["a", "b"]),
        (b"\xef\xbb\xbfdata: a\n\n", ["a"]),
        (b"data: a\n\n\xef\xbb\xbfdata: b\n\n", ["a"]),
        (b"data: a\0b\n\n", ["a\0b"]),
        (b"data: \xff\n\n", ["�"]),
        (b"data: a\xe2\x80\xa8b\xc2\x85c\x0bd\x0ce\n\n", ["a\u2028b\x85c\x0bd\x0ce"]),
        (b"data: [DONE]  \n\n", ["[DONE]  "]),
        (b"data:[DONE]\n\ndata: late\n\n", ["[DONE]", "late"]),
        (b"data: no blank line", ["no blank line"]),
        (b"data: no blank line\n", ["no blank line"]),
        (b"", []),
        (b"\n\n\n", []),
        (b'{"error": "not an event stream"}', []),
    ],
)
def test_lines(data, expected):
    """Each rule of the standard, and the leftover that counts as an event."""
    assert datas(data) == expected


def test_fields():
    """Types hold for one event, ids for all that follow; NUL in an id and a retry that is no number are ignored."""
    stream = b"event: a\nid: 1\ndata: x\n\ndata: y\n\nid: 2\0\ndata: z\n\nid\ndata: w\n\nretry: 10\nretry: abc\n\n"
    decoder = SSEDecoder()
    assert [(e.type, e.data, e.id) for e in decoder.feed(stream)] == [
        ("a", "x", "1"),
        ("message", "y", "1"),
        ("message", "z", "1"),
        ("message", "w", ""),
    ]
    assert decoder.retry_ms == 10


def test_an_empty_event_type_is_message():
    """`event:` without a value leaves the type at message."""
    assert decoded(b"event:\ndata: x\n\n") == [("message", "x", "")]


STREAM = (
    "\ufeffevent: a\r\ndata: eins 🎉 zwei\r\n\r\n: keep-alive\r\rdata: {\ndata: }\n\nid: 7\rdata:x\r\rdata: [DONE]"
).encode()


@pytest.mark.parametrize("step", [1, 2, 3, 5, 7])
def test_steps(step):
    """Small reads give the same events as one."""
    assert decoded(STREAM, *range(0, len(STREAM), step)) == decoded(STREAM)


LINES = st.sampled_from(
    [b"data: x", b"data:\xf0\x9f\x8e\x89", b"data", b": c", b"event: e", b"id: 4", b"", b"", b"retry: 5", b"?\xff"]
)
ENDS = st.sampled_from([b"\n", b"\r", b"\r\n"])
STREAMS = st.lists(st.tuples(LINES, ENDS), max_size=20).map(lambda rows: b"".join(a + b for a, b in rows))


@given(STREAMS, st.lists(st.integers(0, 120), max_size=6))
@settings(max_examples=300, deadline=None)
def test_any_cut_gives_the_same_events(data, cuts):
    """However the bytes are cut, the events and the offsets of their ends are the same."""
    cuts = sorted(min(cut, len(data)) for cut in cuts)
    assert decoded(data, *cuts) == decoded(data)


def ends_of(data: bytes, step: int) -> list[int]:
    decoder = SSEDecoder()
    ends: list[int] = []
    for at in range(0, len(data), step):
        decoder.feed(data[at : at + step])
        ends += decoder.ends
    decoder.finish()
    return ends + decoder.ends


def test_ends():
    """The end of an event is the offset after its blank line, wherever reads were cut."""
    data = b"\xef\xbb\xbfdata: a\n\n: c\n\ndata: b\r\n\r\ndata: c"
    expected = [12, data.index(b"data: c"), len(data)]
    assert ends_of(data, len(data)) == expected
    # A CR that ends a read ends its line: the LF that follows is counted to what comes next.
    assert [abs(a - b) <= 1 for a, b in zip(ends_of(data, 1), expected, strict=True)] == [True] * 3


def test_a_long_line_in_small_reads_is_linear():
    """1 MiB in one line, 64 bytes at a time, takes no quadratic time."""
    decoder = SSEDecoder()
    started = time.thread_time()  # of ours, whatever else the machine does
    decoder.feed(b"data: ")
    for _ in range(1 << 14):
        decoder.feed(b"x" * 64)
    (event,) = decoder.feed(b"\n\n")
    assert len(event.data) == 1 << 20
    assert time.thread_time() - started < 2


@pytest.mark.parametrize("step", [10, 10_000])
def test_an_event_over_the_limit_is_dropped_and_the_next_is_read(step):
    """The limit costs one event, not the stream."""
    decoder = SSEDecoder(max_event_bytes=100)
    data = b"data: " + b"x" * 1000 + b"\n\ndata: " + b"y\ndata: " * 60 + b"\n\ndata: z\n\n"
    events: list[Event] = []
    for at in range(0, len(data), step):
        events += decoder.feed(data[at : at + step])
    assert [event.data for event in events] == ["z"]
    assert decoder.dropped == 2


@given(st.text(), st.sampled_from(["", "delta"]))
@settings(deadline=None)
def test_written_events_read_back(text, name):
    """What is encoded decodes to the same, line ends made LF."""
    expected = text.replace("\r\n", "\n").replace("\r", "\n")
    assert decoded(encode(text, event=name)) == [(name or "message", expected.encode("utf-8", "replace").decode(), "")]


def test_encode_bytes():
    """The bytes of an event: name and id only where given."""
    assert encode("{}") == b"data: {}\n\n"
    assert encode("{}", event="a", event_id="1") == b"event: a\nid: 1\ndata: {}\n\n"


# ── the usage filter ─────────────────────────────────────────────────────────────────────────────────────────────────

USAGE = b'data: {"id":"c","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":7,"total_tokens":12}}\n\n'
FIRST = (
    b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"a \\"choices\\":[] \\"usage\\" b"}}],"usage":null}\n\n'
)
AZURE = b'data: {"choices":[],"prompt_filter_results":[{"x":1}],"usage":null}\n\n'
DONE = b"data: [DONE]\n\n"


def filtered(data: bytes, *cuts: int) -> bytes:
    usage_filter = UsageChunkFilter()
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    out = b"".join(usage_filter.feed(data[a:b]) for a, b in itertools.pairwise(edges))
    return out + usage_filter.finish()


def test_only_the_usage_chunk_goes():
    """The chunk with `choices: []` and a usage object is taken out; every other byte stays."""
    stream = b": hi\n\n" + AZURE + FIRST + USAGE + DONE
    assert filtered(stream) == b": hi\n\n" + AZURE + FIRST + DONE


@pytest.mark.parametrize(
    "chunk",
    [
        b'data:{"usage" : {"total_tokens":1}, "choices" : [ ]}\r\n\r\n',
        b'event: message\ndata: {"choices":[],\ndata: "usage":{"total_tokens":1}}\n\n',
        b'data: {"choices":[],"usage":{}}\r\r',
    ],
)
def test_other_spellings_of_the_usage_chunk(chunk):
    """Spaces, several data lines and other line ends make no difference."""
    assert filtered(FIRST + chunk + DONE) == FIRST + DONE
    assert all(filtered(FIRST + chunk + DONE, cut) == FIRST + DONE for cut in range(len(FIRST + chunk + DONE)))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b'{"choices":[],"usage":{"total_tokens":1}}',
        b"<html>\n\n</html>",
        b"\x1f\x8b\x08\x00data\n\n",
        b'data: {"choices":[],"usage":null}\n\n',
        b'data: {"choices":[],"usage":{}\n\n',
        b'data: {"x":{"choices":[],"usage":{}}}\n\n',
        b"data: no end",
        b"d",
        b"\r\n\r\ndata: x\r\n\r\n",
    ],
)
def test_everything_else_is_unchanged(data):
    """Nothing that is not exactly the usage chunk is touched, whole or byte by byte."""
    assert filtered(data) == data
    assert filtered(data, *range(len(data))) == data


def test_what_is_no_event_stream_is_not_held_back():
    """A JSON error body goes on at once."""
    assert UsageChunkFilter().feed(b'{"error":') == b'{"error":'


def test_whole_events_go_on_at_once_and_only_the_rest_waits():
    """Held back is an unfinished event, nothing more."""
    usage_filter = UsageChunkFilter()
    assert usage_filter.feed(FIRST + USAGE[:30]) == FIRST
    assert usage_filter.feed(USAGE[30:] + DONE[:3]) == b""
    assert usage_filter.feed(DONE[3:]) == DONE
    assert usage_filter.removed == 1


def test_an_unfinished_usage_chunk_at_the_end_is_still_taken_out():
    """The last event may lack its blank line."""
    assert filtered(FIRST + USAGE[:-2]) == FIRST
    assert filtered(FIRST + USAGE[:40]) == FIRST + USAGE[:40]


def test_a_huge_event_passes_before_it_ends():
    """An event too large to be the usage chunk is not kept in memory."""
    usage_filter = UsageChunkFilter()
    first = b"data: " + b"x" * sse.MAX_HELD_BYTES
    assert usage_filter.feed(first) == first
    assert usage_filter.feed(b"y\n") + usage_filter.feed(b"\n" + USAGE + DONE) == b"y\n\n" + DONE


EVENTS = st.lists(
    st.sampled_from([USAGE, FIRST, AZURE, DONE, b": c\n\n", b"data: x\r\n\r\n", USAGE.replace(b"\n", b"\r\n"), b"\n"]),
    max_size=8,
)


@given(EVENTS, st.lists(st.integers(0, 900), max_size=8))
@settings(max_examples=300, deadline=None)
def test_any_cut_is_filtered_alike(events, cuts):
    """Whatever the reads, the output is the input without its usage chunks."""
    expected = b"".join(event for event in events if b"total_tokens" not in event)
    assert filtered(b"".join(events), *cuts) == expected


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=4))
@settings(deadline=None)
def test_any_bytes_pass_unchanged(data, cuts):
    """Bytes that hold no usage chunk come out as they went in."""
    assert filtered(data, *cuts) == data


def test_removed_chunks_are_json():
    """The fixture is what it says."""
    assert json.loads(USAGE[6:])["choices"] == []
