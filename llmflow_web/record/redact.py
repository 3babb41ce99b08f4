"""Secrets are masked before anything is stored, shown or sent on: the shape stays, the secret goes.

Pure. Most bodies hold no secret, so each pattern is tried only where its substring is found; a mask keeps at most
four characters and the length, never holds a quote or a backslash, and so leaves JSON valid.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import attrgetter

from llmflow_web.model import Header, Span
from llmflow_web.record.patterns import mask_matches, mask_text
from llmflow_web.wire.headers import value_of

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

Secret = bytes | re.Pattern[str]
"""What is masked wherever it turns up: a value, or whatever a pattern of the user's matches."""

KEPT_CHARS = 4
_MARK = "…[redacted".encode()
MIN_LONG = 16
"""Only of secrets at least this long are leading characters kept."""

CREDENTIAL_HEADERS = frozenset(
    {
        b"authorization",
        b"proxy-authorization",
        b"cookie",
        b"set-cookie",
        b"x-api-key",
        b"api-key",
        b"x-goog-api-key",
        b"helicone-auth",
        b"x-amz-security-token",
        b"x-llmflow-token",
    }
)
_SECRET_ENDINGS = (b"-token", b"-secret", b"-key", b"-password", b"-auth", b"-credential", b"-credentials", b"apikey")
_HARMLESS_HEADERS = frozenset(
    {b"idempotency-key", b"x-idempotency-key", b"sec-websocket-key", b"prompt-cache-key", b"surrogate-key"}
)

_SECRET_WORDS = (
    rb"(?:x[-_])?(?:goog[-_])?api[-_]key|apikey|(?:proxy[-_])?authorization|access[-_]token|refresh[-_]token|id[-_]token"
    rb"|client[-_]secret|secret[-_]key|private[-_]key|helicone[-_]auth|set-cookie|cookie"
)
_QUERY_WORDS = (
    rb"key|api[-_]?key|apikey|access_token|token|sig|signature|x-amz-signature|x-amz-security-token"
    rb"|x-goog-signature|client_secret|password|auth"
)
_SCHEME = re.compile(r"^(Bearer|Basic|Digest|Token|Negotiate|ApiKey)\s+", re.IGNORECASE)
_QUERY_VALUE = re.compile(rb"(^|[?&;])(" + _QUERY_WORDS + rb")=([^&;#\s\"'<>\\]+)", re.IGNORECASE)
_URL_VALUE = re.compile(rb"([?&])(" + _QUERY_WORDS + rb")=([^&#\s\"'<>\\]{6,})", re.IGNORECASE)
_USERINFO = re.compile(rb"(://[^/\s\"'@:\\]*:)([^/\s\"'@\\]+)(?=@)")
_BEARER = re.compile(rb"(bearer\s+)([A-Za-z0-9._~+/=-]{16,})", re.IGNORECASE)
# Dotted names are attributes that repeat a header, such as http.request.header.x-api-key, whose value is a list.
_MEMBER = re.compile(
    rb"(\\*\"(?:[\w-]+\.)*(?:" + _SECRET_WORDS + rb")\\*\"\s*:\s*(?:\[\s*)?\\*\")([^\"\\]{6,})", re.IGNORECASE
)


def masked(secret: str) -> str:
    """Return the shape of a secret: its scheme, at most four leading characters, its length."""
    scheme = _SCHEME.match(secret)
    start = scheme.end() if scheme else 0
    rest = secret[start:]
    if not rest:
        return secret
    kept = rest[:KEPT_CHARS] if len(rest) >= MIN_LONG else ""
    return f"{secret[:start]}{kept}…[redacted {len(rest)}]"


def _masked_bytes(secret: bytes) -> bytes:
    if _MARK in secret:  # two patterns may match the same place
        return secret
    return masked(secret.decode("utf-8", "replace")).encode()


# ── bodies and texts ─────────────────────────────────────────────────────────────────────────────────────────────────

_DIGIT = re.compile(rb"\d")


def _starts_word(data: bytes, at: int) -> bool:
    """Say whether a word may start at `at`; a JSON escape for a line end before it is no part of a word."""
    if at == 0 or not (data[at - 1 : at].isalnum() or data[at - 1] in b"_-"):
        return True
    return data[at - 2 : at - 1] == b"\\" or data[at - 6 : at - 4] == b"\\u"


def _mask_key(match: re.Match[bytes]) -> bytes:
    """Mask a key shape, unless it is the middle of a word or has no digit: then it is prose."""
    key = match[0]
    if not _starts_word(match.string, match.start()) or _DIGIT.search(key) is None:
        return key
    return _masked_bytes(key)


def _mask_second(match: re.Match[bytes]) -> bytes:
    return match[1] + _masked_bytes(match[2])


def _mask_third(match: re.Match[bytes]) -> bytes:
    return match[1] + match[2] + b"=" + _masked_bytes(match[3])


Mask = Callable[[re.Match[bytes]], bytes]


def _key(pattern: bytes) -> tuple[re.Pattern[bytes], Mask]:
    return re.compile(pattern), _mask_key


# (substrings of which one must be there, if that is a cheap test; pattern; mask)
_SHAPES: tuple[tuple[tuple[bytes, ...], re.Pattern[bytes], Mask], ...] = (
    ((b"sk-",), *_key(rb"sk-[A-Za-z0-9_-]{16,}")),
    ((b"sk_",), *_key(rb"sk_[A-Za-z0-9_]{20,}")),
    ((b"gsk_",), *_key(rb"gsk_[A-Za-z0-9]{16,}")),
    ((b"AIza",), *_key(rb"AIza[A-Za-z0-9_-]{30,}")),
    ((b"ya29.",), *_key(rb"ya29\.[A-Za-z0-9_-]{20,}")),
    ((b"xai-",), *_key(rb"xai-[A-Za-z0-9]{16,}")),
    ((b"hf_",), *_key(rb"hf_[A-Za-z0-9]{16,}")),
    ((b"r8_",), *_key(rb"r8_[A-Za-z0-9]{16,}")),
    ((b"pplx-",), *_key(rb"pplx-[A-Za-z0-9]{16,}")),
    ((b"nvapi-",), *_key(rb"nvapi-[A-Za-z0-9_-]{16,}")),
    ((b"csk-",), *_key(rb"csk-[A-Za-z0-9]{16,}")),
    ((b"AKIA", b"ASIA"), *_key(rb"A[KS]IA[0-9A-Z]{16}")),
    ((b"ghp_", b"gho_", b"ghs_", b"ghu_"), *_key(rb"gh[opsu]_[A-Za-z0-9]{20,}")),
    ((b"github_pat_",), *_key(rb"github_pat_[A-Za-z0-9_]{20,}")),
    ((b"xoxb-", b"xoxp-"), *_key(rb"xox[bp]-[A-Za-z0-9-]{16,}")),
    ((b"eyJ",), *_key(rb"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}")),
    # The ephemeral keys of realtime sessions, and whatever a browser gives as a key among its subprotocols.
    ((b"ek_",), *_key(rb"ek_[A-Za-z0-9]{20,}")),
    ((b"insecure-api-key.",), re.compile(rb"(insecure-api-key\.)([A-Za-z0-9._~+/=-]{6,})"), _mask_second),
    ((), _BEARER, _mask_second),
    ((), _MEMBER, _mask_second),
    ((), _URL_VALUE, _mask_third),
    ((b"://",), _USERINFO, _mask_second),
)


# One of these is true wherever a pattern above can match. Each begins with one rare character, which is found at the
# speed of memory: 5 µs for a body of 2 KB, where trying every substring takes 80, and a search for all of the
# characters at once 11.
_DASHED = (
    rb"-(?i:(?<=sk-)|(?<=xai-)|(?<=plx-)|(?<=api-)|(?<=xox[bp]-)|(?<=(?:access|client|secret)-)|(?<=refresh-)"
    rb"|(?<=id-)|(?<=private-)|(?<=helicone-))"
)
_UNDERSCORED = (
    rb"_(?i:(?<=[se]k_)|(?<=hf_)|(?<=r8_)|(?<=gh[opsu]_)|(?<=hub_)|(?<=api_)|(?<=(?:access|client|secret)_)"
    rb"|(?<=refresh_)|(?<=id_)(?=token)|(?<=private_)|(?<=helicone_))"
)
_PROBES = tuple(
    re.compile(pattern).search
    for pattern in (
        _DASHED,
        _UNDERSCORED,
        rb"=(?i:(?<=key=)|(?<=token=)|(?<=sig=)|(?<=signature=)|(?<=secret=)|(?<=password=)|(?<=auth=))",
        rb"@",
        rb"J(?<=eyJ)",
        rb"I(?<=AKI|ASI)",
        rb"\.(?<=ya29\.)",
        rb"z(?:(?<=AIz)|(?<=(?i:horiz)))",
        rb"Z(?<=(?i:horiz))",
        rb"k(?i:(?<=apik)|(?<=ook)(?=ie))",
        rb"K(?i:(?<=apik)|(?<=ook)(?=ie))",
        rb"R(?<=BEARER)",
    )
)


def _may_hold_secret(data: bytes) -> bool:
    for probe in _PROBES:
        if probe(data) is not None:
            return True
    return b"earer" in data  # "bearer" has no rare character


def redact_bytes(data: bytes, secrets: Sequence[Secret] = ()) -> bytes:
    """Mask key shapes, credential members, URL keys and userinfo, and `secrets` known by value."""
    if _may_hold_secret(data):
        data = _redacted(data)
    for secret in secrets:
        if isinstance(secret, re.Pattern):
            data = mask_matches(data, secret)
        elif secret and secret in data:
            data = data.replace(secret, _masked_bytes(secret))
    return data


def patterns_in(secrets: Sequence[Secret]) -> list[re.Pattern[str]]:
    """Return the user's own patterns among `secrets`."""
    return [secret for secret in secrets if isinstance(secret, re.Pattern)]


def _redacted(data: bytes) -> bytes:
    for needles, pattern, mask in _SHAPES:
        if not needles or any(needle in data for needle in needles):
            data = pattern.sub(mask, data)
    return data


def redact_text(text: str, secrets: Sequence[Secret] = ()) -> str:
    """Mask what `redact_bytes` masks, in a text."""
    patterns = patterns_in(secrets)
    if patterns:
        text = mask_text(text, patterns)
        secrets = [secret for secret in secrets if isinstance(secret, bytes)]
    data = text.encode("utf-8", "replace")
    clean = redact_bytes(data, secrets)
    return text if clean is data else clean.decode("utf-8", "replace")


_LABELS = (
    "span_name", "service_name", "model", "request_model", "error", "request_path", "session_id", "conversation_id",
    "user_id", "agent_name", "prompt_name", "prompt_version", "preview_in", "preview_out",
)  # fmt: skip
_labels_of = attrgetter(*_LABELS)


def redact_span(span: Span, secrets: Sequence[Secret] = ()) -> None:
    """Mask keys in the texts of a row: a path, a user's name, a tag. Its ids stay, they are how it is found."""
    held = _labels_of(span)
    joined = "\n".join([*filter(None, held), *span.tags]).encode("utf-8", "replace")
    if redact_bytes(joined, secrets) is joined:  # nearly always
        return
    for name, value in zip(_LABELS, held, strict=True):
        if value:
            setattr(span, name, redact_text(value, secrets))
    span.tags = [redact_text(tag, secrets) for tag in span.tags]


def redact_query(query: str) -> str:
    """Mask the values of a query string whose names say that they are secret."""
    if "=" not in query:
        return query
    data = query.encode("utf-8", "replace")
    return redact_bytes(_QUERY_VALUE.sub(_mask_third, data)).decode("utf-8", "replace")


# ── headers ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@lru_cache(maxsize=4096)
def is_credential(name: bytes) -> bool:
    """Say whether the header `name` (lower case) carries a secret."""
    if name in CREDENTIAL_HEADERS:
        return True
    return name.endswith(_SECRET_ENDINGS) and name not in _HARMLESS_HEADERS


def is_telling(secret: str) -> bool:
    """Say whether a key can be masked wherever it turns up: a short one, or one without digits, may be a word."""
    return len(secret) >= MIN_LONG and any(map(str.isdigit, secret))


def credentials_in(headers: Sequence[Header]) -> list[bytes]:
    """Return the secrets that `headers` carry, by value."""
    found = [_SCHEME.sub("", value_of(line).decode("latin-1")) for name, line in headers if is_credential(name)]
    return [secret.encode("latin-1") for secret in found if is_telling(secret)]


def _pair(name: bytes, line: bytes, secrets: Sequence[Secret]) -> list[str]:
    sent, _, value = line.decode("latin-1").partition(":")
    value = value.strip(" \t")
    return [sent, masked(value) if is_credential(name) else redact_text(value, secrets)]


def redact_headers(headers: Sequence[Header], secrets: Sequence[Secret] = ()) -> list[list[str]]:
    """Return [name as sent, value] pairs with credentials masked."""
    return [_pair(name, line, secrets) for name, line in headers]


@lru_cache(maxsize=1024)
def _plain_pair_json(line: bytes) -> str:
    """Write a header line in which nothing is secret; most lines are the same from call to call."""
    sent, _, value = line.decode("latin-1").partition(":")
    return _encode([sent, value.strip(" \t")])


def redacted_headers_json(headers: Sequence[Header], secrets: Sequence[Secret] = ()) -> str:
    """Return what `redact_headers` returns as JSON, at a third of the price: each call has two dozen headers."""
    joined = b"\n".join([line for name, line in headers if not is_credential(name)])
    if redact_bytes(joined, secrets) is not joined:  # rare: a key in a Referer, or in a header of the user's own
        return _encode(redact_headers(headers, secrets))
    pieces = [
        _encode(_pair(name, line, ())) if is_credential(name) else _plain_pair_json(line) for name, line in headers
    ]
    return "[" + ",".join(pieces) + "]"
