"""Cassettes without sockets: when requests are equal, what differs, and the way to the file and back."""

from __future__ import annotations

import copy
import json
import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmflow_web.errors import ConfigError
from llmflow_web.record.cassette_file import HEADER, CassetteWriter, encode, parse
from llmflow_web.record.cassette_form import form_parts
from llmflow_web.record.cassette_lines import Malformed, answer_from, is_spread, request_from, response_from, written
from llmflow_web.record.cassette_match import Rules, differences, key_of, parse_path, rules_of, told, without
from llmflow_web.wire.chunked import encode_chunk
from llmflow_web.wire.taped import Asked, Heard

PATIENCE_S = 60.0
SCALARS = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, width=32) | st.text()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
)
OBJECTS = st.dictionaries(st.text(), VALUES, max_size=5)
JSON_TYPE = [(b"content-type", b"Content-Type: application/json")]


def asked(body: bytes, headers=JSON_TYPE, **more) -> Asked:
    return Asked(
        **{"provider": "openai", "method": "POST", "path": "/v1/x", "query": "", **more}, headers=headers, body=body
    )


def heard(body: bytes, content_type: str = "application/json", cuts=(), **more) -> Heard:
    edges = [0, *sorted(cuts), len(body)]
    pieces = [body[start:end] for start, end in pairwise(edges) if start < end]
    is_chunked = more.get("is_chunked", False)
    if is_chunked:
        pieces = [*map(encode_chunk, pieces), b"0\r\n\r\n"]
    lines = [(b"content-type", b"Content-Type: " + content_type.encode())]
    usual = {"status": 200, "reason": b"OK", "headers": lines, "is_chunked": False, "has_body": True}
    return Heard(**{**usual, **more}, pieces=pieces, times_ms=list(range(len(pieces))))


def reordered(value):
    if isinstance(value, dict):
        return {name: reordered(one) for name, one in reversed(value.items())}
    return [reordered(one) for one in value] if isinstance(value, list) else value


def key(body: bytes, rules: Rules | None = None, **more) -> bytes:
    return key_of((rules or Rules()).comparable(request_from(asked(body, **more))))


@given(OBJECTS)
def test_the_same_json(value):
    """Order of members and white space make no difference, and nothing is found that differs."""
    one, other = json.dumps(value).encode(), json.dumps(reordered(value), indent=3, ensure_ascii=False)
    other = other.encode("utf-8", "surrogatepass")
    rules = Rules()
    left, right = (rules.comparable(request_from(asked(body))) for body in (one, other))
    if "\\ud" not in one.decode():
        assert key_of(left) == key_of(right)
        assert differences(left, right) == []


@given(OBJECTS, OBJECTS)
def test_equal_exactly_where_nothing_differs(one, other):
    """Two requests are equal if and only if no difference is told of them."""
    rules = Rules()
    left, right = (rules.comparable(request_from(asked(json.dumps(value).encode()))) for value in (one, other))
    found = differences(left, right)
    assert (key_of(left) == key_of(right)) is (found == [])
    assert bool(told(found)) is bool(found)


def test_numbers():
    """A whole number is one however it is written; true is no number."""
    assert key(b'{"t": 1}') == key(b'{"t": 1.0}') == key(b'{"t":1e0}')
    assert len({key(b'{"t": 1}'), key(b'{"t": true}'), key(b'{"t": "1"}'), key(b'{"t": 1.5}')}) == 4


@pytest.mark.parametrize(
    ("path", "left"),
    [
        ("a", {"b": [{"c": 1, "d": 2}, {"c": 3}], "x.y": 5}),
        ("$.b[*].c", {"a": {"e": 1}, "b": [{"d": 2}, {}], "x.y": 5}),
        ("b[1]", {"a": {"e": 1}, "b": [{"c": 1, "d": 2}, None], "x.y": 5}),
        ("$['x.y']", {"a": {"e": 1}, "b": [{"c": 1, "d": 2}, {"c": 3}]}),
        ("*.e", {"a": {}, "b": [{"c": 1, "d": 2}, {"c": 3}], "x.y": 5}),
        ("b[0].d.e", {"a": {"e": 1}, "b": [{"c": 1, "d": 2}, {"c": 3}], "x.y": 5}),
        ("nothing.here", {"a": {"e": 1}, "b": [{"c": 1, "d": 2}, {"c": 3}], "x.y": 5}),
    ],
)
def test_ignored_fields(path, left):
    """A path takes away what it names, wherever a wildcard stands, and nothing else."""
    value = {"a": {"e": 1}, "b": [{"c": 1, "d": 2}, {"c": 3}], "x.y": 5}
    before = copy.deepcopy(value)
    assert without(value, parse_path(path)) == left
    assert value == before


@pytest.mark.parametrize("text", ["", "$", "a[", "a]", "a[b]", "a..", "a b[", "[*"])
def test_paths_that_are_none(text):
    """What is no path is told, not guessed at."""
    with pytest.raises(ValueError, match=r"no path of a field|names no field"):
        parse_path(text)


def test_what_counts():
    """Host, keys, other headers, and for whom it is asked do not count; path, query and betas do."""
    usual = key(b'{"a":1}')
    assert usual == key(b'{"a":1,"user":"u","metadata":{"b":2}}') == key(b'{"a":1}', query="key=SECRET")
    assert usual == key(b'{"a":1}', headers=[*JSON_TYPE, (b"authorization", b"Authorization: Bearer x")])
    assert key(b"{}", query="b=1&a=2") == key(b"{}", query="a=2&b=1")
    others = {
        "path": {"path": "/v1/y"},
        "query": {"query": "a=1"},
        "method": {"method": "PUT"},
        "provider": {"provider": "groq"},
    }
    assert all(key(b'{"a":1}', **more) != usual for more in others.values())
    beta = [*JSON_TYPE, (b"openai-beta", b"OpenAI-Beta: x")]
    assert key(b'{"a":1}', headers=beta) != usual
    assert key(b'{"a":1}', rules_of([], ["OPENAI-BETA"]), headers=beta) == usual
    injected = b'{"a":1,"stream_options":{"include_usage":true}}'
    assert key(injected, has_injected_usage=True) == usual != key(injected)


@given(
    st.binary(max_size=300) | st.text(max_size=200).map(str.encode) | OBJECTS.map(lambda one: json.dumps(one).encode()),
    st.sampled_from(["application/json", "text/event-stream", "application/x-ndjson", "audio/mpeg", "text/plain"]),
    st.lists(st.integers(0, 300), max_size=5),
    st.booleans(),
)
def test_there_and_back(body, content_type, cuts, is_chunked):
    """Any answer comes back from its line byte for byte, however it was cut and framed."""
    cuts = [cut for cut in cuts if cut < len(body)]
    response = response_from(heard(body, content_type, cuts, is_chunked=is_chunked), has_injected_usage=False)
    line = encode({"request": {"provider": "a", "method": "b", "path": "c"}, "response": response})
    assert line.count(b"\n") == 1
    ((number, value),) = parse(HEADER + line, "tape")
    answer = answer_from(value["response"])
    assert number == 2
    assert b"".join(answer.pieces) == body
    assert len(answer.times_ms) == (len(answer.pieces) if body and "base64" not in response else 0)


@given(VALUES, st.sampled_from(["", "spaced", "indented", "ascii", "indented newline", "spaced ascii newline"]))
def test_styles(value, style):
    """JSON in a style that is known is kept as JSON, and written again to the last byte."""
    body = written([value], style).encode("utf-8", "surrogatepass")
    try:
        body.decode()
    except UnicodeDecodeError:
        return
    response = response_from(heard(body), has_injected_usage=False)
    assert response["json"] is not None
    assert answer_from(response).pieces == [body]


@given(st.binary(max_size=400))
def test_files_of_others(data):
    """Whatever a file holds, it is read or refused with the number of a line."""
    for start in (b"", HEADER, HEADER + b'{"request":{"provider":"a","method":"b","path":"c"},"response":{"status":'):
        assert refusal_of(start + data) in ("", "tape is broken in line ")


def refusal_of(data: bytes) -> str:
    try:
        parse(data, "tape")
    except ConfigError as error:
        return error.message.removeprefix("the cassette ")[: len("tape is broken in line ")]
    return ""


@settings(max_examples=50)
@given(st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8))
def test_odd_values(value):
    """A line with anything in any place is read or refused."""
    for name in ("status", "headers", "reason", "events", "text", "base64", "json", "style", "arrivals"):
        line = {"request": {"provider": "a", "method": "b", "path": "c"}, "response": {"status": 200, name: value}}
        try:
            parse(HEADER + encode(line), "tape")
        except ConfigError:
            continue
    for name in ("provider", "method", "path", "query", "headers", "form", "json"):
        request = {"provider": "a", "method": "b", "path": "c", name: value}
        try:
            found = parse(HEADER + encode({"request": request, "response": {"status": 200}}), "tape")
        except ConfigError:
            continue
        Rules().comparable(found[0][1]["request"])


def test_volatile_headers():
    """What is new with each answer is left out; what a client may read stays."""
    names = [
        "Date", "X-Request-Id", "request-id", "CF-Ray", "Set-Cookie", "OpenAI-Organization", "x-ratelimit-remaining",
        "anthropic-ratelimit-tokens-reset", "Server", "Via", "ETag", "Authorization", "X-Api-Key", "Connection",
    ]  # fmt: skip
    lines = [(name.lower().encode(), f"{name}: 1".encode()) for name in [*names, "Retry-After", "OpenAI-Version"]]
    response = response_from(heard(b"", headers=lines), has_injected_usage=False)
    assert response["headers"] == {"Retry-After": "1", "OpenAI-Version": "1"}


def test_spread_secrets():
    """A key is found though no event holds more than a piece of it; texts of one piece are not put together."""
    key_text = "sk-proj-abcdefghij0123456789"
    events = [f'data: {{"d":{{"text":"{letter}"}}}}\n\n' for letter in key_text]
    assert is_spread(events, ())
    assert not is_spread([event.replace("text", f"t{at}") for at, event in enumerate(events)], ())
    assert not is_spread(['data: {"d":{"text":"hello"}}\n\n', "data: [DONE]\n\n"], ())


@given(st.binary(max_size=200))
def test_forms_of_others(data):
    """Bytes that say they are a form are read as one, or as bytes."""
    for body in (data, b"--b\r\n" + data + b"\r\n--b--", b"--b" + data + b"\r\n--b--\r\n"):
        parts = form_parts(body, "multipart/form-data; boundary=b")
        assert parts is None or all(isinstance(part, dict) for part in parts)


def test_a_style_nobody_knows():
    """A style that is none is refused."""
    with pytest.raises(Malformed, match="spaced, indented"):
        answer_from({"status": 200, "json": 1, "style": "bold"})


def holds(path: Path, *lines: bytes) -> bool:
    """Wait until a file holds a cassette's header and these lines."""
    end = time.monotonic() + PATIENCE_S
    while not path.exists() or path.read_bytes() != HEADER + b"".join(lines):
        assert time.monotonic() < end, path.exists() and path.read_bytes()
        time.sleep(0.005)
    return True


def test_writing(tmp_path):
    """Lines are appended where nothing before them has changed, and written anew where something has."""
    path = tmp_path / "deep" / "tape.jsonl"
    told_of: list[str] = []
    writer = CassetteWriter(path, told_of.append)
    writer.write([b"1\n"])
    assert holds(path, b"1\n")
    first = path.stat().st_ino
    writer.write([b"1\n", b"2\n"])
    assert holds(path, b"1\n", b"2\n")
    assert path.stat().st_ino == first
    writer.write([b"0\n", b"1\n"])
    assert holds(path, b"0\n", b"1\n")
    path.unlink()
    writer.write([b"0\n", b"1\n", b"2\n"])
    writer.close()
    assert path.read_bytes() == HEADER + b"0\n1\n2\n"
    assert [one.name for one in path.parent.iterdir()] == ["tape.jsonl"]
    assert told_of == []
    assert repr(writer).endswith("idle>")
