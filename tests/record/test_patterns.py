"""The user's own patterns: masked wherever they match, and JSON stays JSON."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmflow_web.model import Completion
from llmflow_web.record.answer_masks import is_matched, masked_answer
from llmflow_web.record.patterns import MASK, mask_matches, mask_text
from llmflow_web.record.redact import redact_bytes, redact_text

EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.]+")
CARD = re.compile(r"\b\d{16}\b")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.just("write to jane@example.org today"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def strings_of(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [text for one in value for text in strings_of(one)]
    return [text for one in value.values() for text in strings_of(one)] if isinstance(value, dict) else []


@given(value=st.dictionaries(st.text(max_size=8), VALUES), ascii_only=st.booleans())
def test_json_stays_json(value: dict, ascii_only: bool) -> None:
    """Whatever is masked in a JSON body, it can still be read, and no string of it matches any more."""
    data = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    clean = json.loads(mask_matches(data, EMAIL).decode("utf-8", "surrogatepass"))
    assert not any(EMAIL.search(text) for text in strings_of(clean))
    if not any(EMAIL.search(text) for text in [*strings_of(value), *map(str, value)]):
        assert mask_matches(data, EMAIL) == data


@given(data=st.binary())
def test_any_bytes(data: bytes) -> None:
    """Bytes that are no text come out as they were where nothing matches."""
    never = re.compile("nothing of this kind is ever there")
    assert mask_matches(data, never) is data
    assert mask_matches(b"{" + data, never) == b"{" + data


@pytest.mark.parametrize(
    ("data", "pattern", "expected"),
    [
        (b'{"to":"jane@example.org"}', EMAIL, b'{"to":"[redacted]"}'),
        (rb'{"to":"jane\u0040example.org, \u00e9"}', EMAIL, '{"to":"[redacted], é"}'.encode()),
        (b'{"card":4111111111111111,"n":41}', CARD, b'{"card":"[redacted]","n":41}'),
        (b'{"jane@example.org":1,"model":"m"}', EMAIL, b'{"[redacted]":1,"model":"m"}'),
        (b'{"model":"mo"}', re.compile("mo.*"), b'{"model":"[redacted]"}'),
        (b'data: {"t":"my name is Jo"}\n\ndata: [DONE]\n\n', re.compile("name is .*"),
         b'data: {"t":"my [redacted]"}\n\ndata: [DONE]\n\n'),
        (b"data: jane@example.org\n\n", EMAIL, b"data: [redacted]\n\n"),
        (b'{"t":"cut here jane@exampl', re.compile(r"jane@\w+"), b'{"t":"cut here [redacted]'),
        (b"plain jane@example.org\nrest", EMAIL, b"plain [redacted]\nrest"),
    ],
)  # fmt: skip
def test_where_it_stands(data: bytes, pattern: re.Pattern[str], expected: bytes) -> None:
    """A pattern sees what a person reads: escapes undone, numbers whole, events and cut bodies too."""
    assert mask_matches(data, pattern) == expected


def test_beside_known_secrets() -> None:
    """Values and patterns go together, in bodies and in plain texts."""
    both = (b"opensesame", EMAIL)
    assert redact_bytes(b'{"a":"opensesame jane@example.org"}', both) == '{"a":"…[redacted 10] [redacted]"}'.encode()
    assert redact_text("opensesame {jane@example.org", both) == f"…[redacted 10] {{{MASK}"
    assert mask_text("jane@example.org", [EMAIL, re.compile("redacted")]) == f"[{MASK}]"


def test_an_answer_in_pieces() -> None:
    """The assembled answer tells of a match; its preview is masked before it is cut."""
    told = Completion(text="x" * 150 + " jane@example.org", tool_calls=[{"function": {"name": "f", "arguments": "{}"}}])
    assert is_matched(told, [EMAIL])
    assert not is_matched(told, [b"jane"])
    clean = masked_answer(told, [EMAIL])
    assert clean is not None
    assert clean.text.endswith(MASK)
    assert clean.tool_calls == told.tool_calls
    assert masked_answer(None, [EMAIL]) is None
