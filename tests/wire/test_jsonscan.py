"""Members of a JSON object are found in its bytes exactly where json.loads would find them."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmflow_web.wire.jsonscan import is_true, splice_include_usage, string_value, top_level


def values(body: bytes):
    members = top_level(body)
    return None if members is None else {name: json.loads(body[a:b]) for name, (a, b) in members.items()}


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b" { } ",
        b'{"a":1}',
        b'\r\n{ "a" :\t-1.5e+3 , "b":[ {"c":"]}"} ], "d":{"e":{}}, "f":null,"g":true,"h":false }\n',
        b'{"a":"\\"","b\\u0063":"\\\\","c":"\\\\\\""}',
        b'{"a":1,"b":2,"a":3}',
        '{"ü":"🎉"}'.encode(),
        b'{"' + b"x" * 100_000 + b'":"' + b"\\n" * 100_000 + b'"}',
        b'{"a":' + b"[" * 500 + b"]" * 500 + b',"b":1}',
    ],
)
def test_members(body):
    """Escapes, nesting, white space, doubles (the last counts) and UTF-8."""
    assert values(body) == json.loads(body)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b'"a"', b"1", b"{", b'{"a"}', b'{"a":}', b'{"a":1', b'{"a":1,}', b'{"a":1}x', b"{'a':1}", b'{"a":"x}',
     b'\xef\xbb\xbf{"a":1}', b'{"a":[1}', b'{"a":nul}', b'{"a":1 "b":2}', b'{"a":' + b"[" * 5000, b'{"\\x":1}',
     b"--boundary\r\n", '{"a":1}'.encode("utf-16")],
)  # fmt: skip
def test_what_is_not_plainly_an_object_is_none(body):
    """Nobody may change such a body."""
    assert top_level(body) is None
    assert splice_include_usage(body) is None


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(), JSON_VALUES, max_size=6)
WRITERS = st.sampled_from(
    [
        lambda value: json.dumps(value).encode(),
        lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"),
        lambda value: json.dumps(value, indent=3).encode(),
    ]
)


@given(OBJECTS, WRITERS)
@settings(deadline=None)
def test_members_agree_with_json_loads(value, write):
    """Every value stands where it was found."""
    try:
        body = write(value)
        body.decode()
    except UnicodeDecodeError:
        return
    assert values(body) == json.loads(body)


@given(st.binary(max_size=60))
@settings(deadline=None)
def test_any_bytes(data):
    """Nothing raises."""
    top_level(b"{" + data)
    splice_include_usage(b'{"stream":true,' + data)


def test_readers():
    """`is_true` takes the literal only; `string_value` a string only."""
    body = b'{"a":true,"b":"true","c":"x\\ny","d":1}'
    places = top_level(body) or {}
    assert [is_true(body, places.get(name)) for name in "abcde"] == [True, False, False, False, False]
    assert [string_value(body, places.get(name)) for name in "abcde"] == [None, "true", "x\ny", None, None]


OPTIONS = st.one_of(
    st.just({}),
    st.just({"stream_options": None}),
    st.builds(
        lambda rest: {"stream_options": rest},
        st.dictionaries(st.sampled_from(["a", "include_obfuscation"]), JSON_VALUES),
    ),
)


@given(OBJECTS, OPTIONS, WRITERS)
@settings(deadline=None)
def test_splice(base, options, write):
    """A spliced body is the same object with one member more, and the same bytes but for the insertion."""
    value = {**{k: v for k, v in base.items() if k not in ("stream", "stream_options")}, **options, "stream": True}
    try:
        body = write(value)
        body.decode()
    except UnicodeDecodeError:
        return
    spliced = splice_include_usage(body)
    assert spliced is not None
    loaded = json.loads(body)
    expected = {**loaded, "stream_options": {**(loaded.get("stream_options") or {}), "include_usage": True}}
    assert json.loads(spliced) == expected
    start = next((i for i, (a, b) in enumerate(zip(body, spliced, strict=False)) if a != b), len(body))
    kept = body[start:] if options.get("stream_options", 0) is not None else body[start + 4 :]
    assert spliced.startswith(body[:start])
    assert spliced.endswith(kept)


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"m"}',
        b'{"stream":false}',
        b'{"stream":"true"}',
        b'{"stream":1}',
        b'{"a":{"stream":true}}',
        b'{"a":"\\"stream\\":true"}',
        b'{"stream":true,"stream":false}',
        b'{"stream":true,"stream_options":{"include_usage":false}}',
        b'{"stream":true,"stream_options":{"include_usage":true}}',
        b'{"stream":true,"stream_options":{"include_usage":null}}',
        b'{"stream":true,"stream_options":"x"}',
        b'{"stream":true,"stream_options":{"include_usage":true},"a":[}',
    ],
)
def test_nothing_to_do(body):
    """No stream, or the client has said what it wants."""
    assert splice_include_usage(body) is None


def test_spliced_bytes():
    """Where the member goes, literally."""
    assert splice_include_usage(b' {"stream" : true}') == b' {"stream_options":{"include_usage":true},"stream" : true}'
    assert (
        splice_include_usage(b'{"stream":true,"stream_options":{ "x":1}}')
        == b'{"stream":true,"stream_options":{"include_usage":true, "x":1}}'
    )
    assert (
        splice_include_usage(b'{"stream":true,"stream_options":{ }}')
        == b'{"stream":true,"stream_options":{"include_usage":true }}'
    )
    assert (
        splice_include_usage(b'{"stream":true,"stream_options":null}')
        == b'{"stream":true,"stream_options":{"include_usage":true}}'
    )
