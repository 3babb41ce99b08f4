"""What every adapter's tests need: fixtures, streams cut anywhere, chunks put together again."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from llmflow_web.model import Completion
from llmflow_web.record.price_table import table_from
from llmflow_web.record.pricing import PriceBook
from llmflow_web.registry import PROVIDERS
from llmflow_web.wire.ndjson import NDJSONDecoder
from llmflow_web.wire.sse import SSEDecoder

FIXTURES = Path(__file__).parent / "fixtures"
CUTS = st.lists(st.integers(0, 6000), max_size=8)
ASSEMBLE = next(row for row in PROVIDERS if row.name == "openai").stream
"""The observer of the OpenAI dialect puts chunks together."""


def body_of(name: str) -> dict:
    return json.loads((FIXTURES / f"{name}.json").read_text())


def stream_of(name: str) -> bytes:
    path = FIXTURES / f"{name}.sse"
    return (path if path.exists() else path.with_suffix(".ndjson")).read_bytes()


def run(machine: Any, data: bytes, *cuts: int) -> list[dict]:
    """Feed `data`, cut at `cuts`, to a machine and return all chunks."""
    decoder = NDJSONDecoder() if data[:1] == b"{" else SSEDecoder()
    chunks = []
    for start, end in pairwise([0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]):
        for event in decoder.feed(data[start:end]):
            chunks += machine.feed(event)
    for event in decoder.finish():
        chunks += machine.feed(event)
    return chunks + machine.finish()


def put_together(chunks: list[dict], request: dict) -> dict:
    """Return the chat.completion that chunks make."""
    data = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks).encode()
    machine = ASSEMBLE("chat", request)
    run(machine, data)
    body = dict(machine.result.body or {})
    body.pop("_streaming", None)
    body.pop("_chunks", None)
    return body


def facts(completion: Completion) -> tuple:
    return (
        completion.id,
        completion.model,
        completion.text,
        completion.reasoning,
        completion.tool_calls,
        completion.finish_reason,
        completion.error,
        completion.usage,
    )


def figures(usage: object) -> dict:
    """Return what a usage says, zeros and the raw object left out."""
    assert usage is not None
    return {
        name: getattr(usage, name)
        for name in usage.__dataclass_fields__
        if name != "raw" and getattr(usage, name) not in (None, 0, False)
    }


def price_book() -> PriceBook:
    """Return a book of the pinned prices."""
    table = table_from(json.loads((FIXTURES / "prices.json").read_text()), date="2026-10-21", source="test")
    return PriceBook(load=lambda: table, clock=lambda: 0.0)


def json_values(*names: str) -> st.SearchStrategy:
    """Return a strategy of JSON whose members are called `names`."""
    return st.recursive(
        st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(names), inner, max_size=5),
        max_leaves=20,
    )
