"""JSON streams: lines and arrays, however the bytes are cut."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from llmflow_web.wire.ndjson import JSONArrayDecoder, NDJSONDecoder

OBJECTS = st.lists(st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.lists(st.text()))), max_size=6)


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces, at = [], 0
    for size in sizes:
        pieces.append(data[at : at + size])
        at += size
    return [*pieces, data[at:]]


def read(decoder, pieces: list[bytes]) -> tuple[list[object], list[int]]:
    events, ends = [], []
    for piece in pieces:
        events += decoder.feed(piece)
        ends += decoder.ends
    events += decoder.finish()
    ends += decoder.ends
    return [json.loads(event.data) for event in events], ends


@given(OBJECTS, st.lists(st.integers(0, 9), max_size=40), st.sampled_from(["\n", "\r\n", "\n\n"]), st.booleans())
def test_lines_give_the_same_events_however_cut(objects, sizes, line_end, is_ended):
    """Each line is one event, blank ones are none, a last line without its end counts; `ends` are its offsets."""
    text = line_end.join(json.dumps(item, ensure_ascii=False) for item in objects) + (line_end if is_ended else "")
    data = text.encode()
    found, ends = read(NDJSONDecoder(), cut(data, sizes))
    assert found == objects
    assert ends == sorted(ends)
    assert all(data[:end].rstrip().endswith(b"}") for end in ends)
    if objects:
        assert data[ends[-1] :].strip() == b""


@given(OBJECTS, st.lists(st.integers(0, 9), max_size=40), st.sampled_from([None, 2]))
def test_an_array_gives_an_event_for_each_object(objects, sizes, indent):
    """Brackets and quotes inside strings mislead nobody; `ends` lie behind each object."""
    data = json.dumps(objects, ensure_ascii=False, indent=indent).encode()
    found, ends = read(JSONArrayDecoder(), cut(data, sizes))
    assert found == objects
    assert all(data[end - 1 : end] == b"}" for end in ends)


@given(OBJECTS.filter(bool), st.integers(1, 30))
def test_a_cut_array_gives_its_whole_objects(objects, missing):
    """What came before the cut is read; the unfinished object is left out."""
    data = json.dumps(objects).encode()[:-missing]
    found, _ = read(JSONArrayDecoder(), [data])
    assert found == objects[: len(found)]


def test_a_line_over_the_limit_is_dropped_and_counted():
    """The stream goes on behind it."""
    decoder = NDJSONDecoder(max_line_bytes=10)
    found, ends = read(decoder, [b'{"a":1}\n{"b":"', b"x" * 50, b'"}\n{"c":2}\n'])
    assert found == [{"a": 1}, {"c": 2}]
    assert decoder.dropped == 1
    assert ends == [8, 8 + 59 + 8]
