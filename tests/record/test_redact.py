"""No secret gets past the mask, whatever it stands in; what is no secret stays as it is."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmflow_web.record import redact
from llmflow_web.record.redact import (
    is_credential,
    masked,
    redact_bytes,
    redact_headers,
    redact_query,
    redact_text,
    redacted_headers_json,
)

TAIL = "9aB8cD7eF6gH5iJ4kL3mN2oP1qR0sT9uV8wX7yZ6"
SECRETS = [
    f"sk-{TAIL}",
    f"sk-proj-{TAIL}_x-y",
    f"sk-ant-api03-{TAIL}",
    f"sk-or-v1-{TAIL}",
    f"gsk_{TAIL}",
    f"AIza{TAIL[:35]}",
    f"xai-{TAIL}",
    f"hf_{TAIL}",
    f"r8_{TAIL}",
    f"pplx-{TAIL}",
    f"nvapi-{TAIL}",
    f"csk-{TAIL}",
    "AKIAIOSFODNN7EXAMPLE",
    f"ghp_{TAIL}",
    f"github_pat_{TAIL}",
    f"xoxb-{TAIL}",
    f"ya29.{TAIL}",
    f"ek_{TAIL}",
    f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.{TAIL}",
]  # fmt: skip
PLACES = [
    "{}",
    "my key is {}, keep it",
    "({})",
    "key={}",
    "\n{}\n",
    "Authorization: Bearer {}",
    "curl -H 'authorization: bearer {}'",
    "https://example.com/x?key={}&a=1",
    "https://user:{}@example.com/",
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("secret", SECRETS)
def test_key_shapes_in_texts(secret, place):
    """At most four leading characters of a key are left, in prose and in JSON."""
    text = place.format(secret)
    clean = redact_text(text)
    assert secret[5:15] not in clean
    assert TAIL[3:] not in clean
    assert "…[redacted" in clean
    body = json.dumps({"messages": [{"role": "user", "content": text}]})
    (value,) = json.loads(redact_bytes(body.encode()))["messages"]
    assert secret[5:15] not in value["content"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"api_key": "abcdefgh"}, {"api_key": "…[redacted 8]"}),
        ({"headers": {"Authorization": "Basic dXNlcjpwYXNz"}}, {"headers": {"Authorization": "Basic …[redacted 12]"}}),
        ({"X-API-Key": "q" * 20}, {"X-API-Key": "qqqq…[redacted 20]"}),
        ({"apiKey": "abcdefgh"}, {"apiKey": "…[redacted 8]"}),
        ({"cookie": "a=b; c=d"}, {"cookie": "…[redacted 8]"}),
        ({"refresh_token": "abcdefgh"}, {"refresh_token": "…[redacted 8]"}),
        ({"http.request.header.x-api-key": ["abcdefgh"]}, {"http.request.header.x-api-key": ["…[redacted 8]"]}),
        ({"ai.request.headers.api-key": "abcdefgh"}, {"ai.request.headers.api-key": "…[redacted 8]"}),
    ],
)
def test_members_that_name_a_secret(body, expected):
    """Values of members like api_key and authorization go, whatever they look like."""
    assert json.loads(redact_bytes(json.dumps(body).encode())) == expected


@pytest.mark.parametrize(
    "text",
    [
        "task-management-software-for-2024-and-more",
        "sk-fading-circle-animation-css",
        "max_tokens: 100, max_completion_tokens: 200",
        '{"usage":{"prompt_tokens":5,"completion_tokens":7},"tools":[{"parameters":{"api_key":{"type":"string"}}}]}',
        "mail me at someone@example.com or see https://example.com/a?page=2&sort=key",
        "the disk-1234567890123456789 and the risk-1234567890abcdefghij",
        "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk",
        "token=",
        "https://example.com/?key=",
        "bearer of news",
    ],
)
def test_what_is_no_secret_stays(text):
    """Prose, counts, mails, pictures and plain URLs are not touched; the bytes are the same object."""
    data = text.encode()
    assert redact_bytes(data) == data
    assert redact_text(text) == text


def test_the_usual_body_costs_no_copy():
    """A body without a secret comes back as it is."""
    data = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": "hello " * 100}]}).encode()
    assert redact_bytes(data) is data


JSON = st.recursive(
    st.none() | st.integers() | st.text() | st.sampled_from([p.format(s) for p in PLACES for s in SECRETS[:6]]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(max_size=5) | st.sampled_from(["api_key", "authorization", "cookie", "k"]), inner, max_size=4
        )
    ),
    max_leaves=10,
)


@given(JSON, st.booleans())
@settings(deadline=None)
def test_json_stays_json(value, ascii_only):
    """Masking never breaks the JSON it works in, nor its shape."""
    try:
        data = json.dumps(value, ensure_ascii=ascii_only).encode()
    except UnicodeEncodeError:
        return

    def shape(item):
        if isinstance(item, dict):
            return {name: shape(inner) for name, inner in item.items()}
        return [shape(inner) for inner in item] if isinstance(item, list) else type(item)

    assert shape(json.loads(redact_bytes(data))) == shape(value)


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_any_bytes(data):
    """Nothing raises."""
    redact_bytes(data)
    redact_bytes(b'{"api_key":"' + data)


_WORDS = ["api_key", "apikey", "authorization", "proxy-authorization", "cookie", "set-cookie", "helicone-auth",
          "access_token", "refresh-token", "id_token", "client_secret", "secret_key", "private-key", "x-goog-api-key",
          "bearer", "token", "sig", "x-amz-signature", "password"]  # fmt: skip
_CASED = st.sampled_from([cased for word in _WORDS for cased in (word, word.upper(), word.title(), word.capitalize())])
_PIECES = st.sampled_from(
    [*SECRETS, *PLACES, '"', '":"', "=", " ", "?", "&", "://u:", "@", "\\n", "-", "_", TAIL[:20], "insecure-api-key."]
)


@given(st.lists(_CASED | _PIECES | st.text(max_size=3), max_size=12).map("".join))
@settings(deadline=None)
def test_no_pattern_is_passed_over(text):
    """What says beforehand that there is no secret never differs from trying every pattern."""
    data = text.encode("utf-8", "replace")
    assert redact_bytes(data) == redact._redacted(data)


@pytest.mark.parametrize("word", ["Apikey", "COOKIE", "AUTHORIZATION", "Api_Key"])
def test_names_in_any_case(word):
    """A member that names a secret does so in capitals, too."""
    assert TAIL not in redact_text(json.dumps({word: TAIL}))
    assert TAIL not in redact_text(f"BEARER {TAIL}")


@given(JSON)
@settings(deadline=None)
def test_twice_is_once(value):
    """What is masked is not masked again."""
    once = redact_text(json.dumps(value))
    assert redact_text(once) == once


def test_own_secrets_by_value():
    """A secret known by value goes even without a shape."""
    assert (
        redact_bytes(b"token hunter2hunter2hunter2 end", (b"hunter2hunter2hunter2",))
        == "token hunt…[redacted 21] end".encode()
    )


@pytest.mark.parametrize(
    ("secret", "expected"),
    [
        ("Bearer sk-proj-abcdefghijkl", "Bearer sk-p…[redacted 20]"),
        ("sk-short", "…[redacted 8]"),
        ("bearer", "…[redacted 6]"),
        ("", ""),
        ("Basic dXNlcjpwYXNzd29yZA==", "Basic dXNl…[redacted 20]"),
    ],
)
def test_shape(secret, expected):
    """The scheme, at most four characters of a long secret, and the length stay."""
    assert masked(secret) == expected


def header(name: str, value: str) -> tuple[bytes, bytes]:
    return name.lower().encode(), f"{name}: {value}".encode("latin-1")


def test_headers():
    """Credentials are masked under their names as sent; the rest is kept, doubles and order included."""
    headers = [
        header("Authorization", f"Bearer sk-{TAIL}"),
        header("X-Api-Key", "abc"),
        header("Set-Cookie", "a=1"),
        header("Set-Cookie", "b=2"),
        header("X-My-Secret", "zzz"),
        header("Idempotency-Key", "idem-1"),
        header("User-Agent", "café/1"),
        header("X-RateLimit-Remaining-Tokens", "100"),
        header("Referer", f"https://x.example/?api_key={TAIL}"),
    ]
    expected = [
        ["Authorization", "Bearer sk-9…[redacted 43]"],
        ["X-Api-Key", "…[redacted 3]"],
        ["Set-Cookie", "…[redacted 3]"],
        ["Set-Cookie", "…[redacted 3]"],
        ["X-My-Secret", "…[redacted 3]"],
        ["Idempotency-Key", "idem-1"],
        ["User-Agent", "café/1"],
        ["X-RateLimit-Remaining-Tokens", "100"],
        ["Referer", "https://x.example/?api_key=9aB8…[redacted 40]"],
    ]
    assert redact_headers(headers) == expected
    assert json.loads(redacted_headers_json(headers)) == expected
    assert json.loads(redacted_headers_json(headers[:-1])) == expected[:-1]


@pytest.mark.parametrize(
    "name", ["cookie", "api-key", "x-goog-api-key", "helicone-auth", "x-auth-token", "x-amz-security-token"]
)
def test_credential_names(name):
    """Names of credentials, and whatever ends like one."""
    assert is_credential(name.encode())


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ""),
        ("alt=sse&key=abc", "alt=sse&key=…[redacted 3]"),
        ("api_key=a&API-KEY=b&sig=c", "api_key=…[redacted 1]&API-KEY=…[redacted 1]&sig=…[redacted 1]"),
        ("monkey=abc&page=2", "monkey=abc&page=2"),
    ],
)
def test_queries(query, expected):
    """Secret parameters are masked, however short."""
    assert redact_query(query) == expected
