"""How the SDK looks to a type checker. mypy checks this file with all others; nothing runs it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any, assert_type

import llmflow
from llmflow import Span, carry, configure, current_span, current_trace_headers, flush, span, stats, trace, wrap


class Client:
    """Stands for any client."""


@trace
def bare(a: int, b: str = "") -> list[str]:
    """Be decorated without parentheses."""
    return [b] * a


@span("named", span_type="tool", tags=["a"], capture=False)
def named(a: int) -> str:
    """Be decorated with arguments."""
    return str(a)


@span
async def waits(a: int) -> str:
    """Be a coroutine."""
    return str(a)


@span(span_type="llm")
async def streams() -> AsyncIterator[str]:
    """Be an asynchronous generator."""
    yield ""


@span
def yields() -> Iterator[int]:
    """Be a generator."""
    yield 1


class Agent:
    """Has methods."""

    @span(span_type="agent")
    def ask(self, question: str) -> str:
        """Be a method."""
        found = current_span()
        if found is not None:
            found.set(model="gpt-4o", prompt_tokens=1, attributes={"k": 1}).set(output=question)
        return question


async def use() -> None:
    """Use all of it."""
    assert_type(bare(1, b="x"), list[str])
    assert_type(named(1), str)
    pending = waits(1)
    _ = assert_type(pending, Coroutine[Any, Any, str])
    await pending
    assert_type(await waits(1), str)
    assert_type(streams(), AsyncIterator[str])
    assert_type(yields(), Iterator[int])
    assert_type(Agent().ask("why"), str)
    bare("1")  # type: ignore[arg-type]
    named()  # type: ignore[call-arg]
    span("x", span_typ="tool")  # type: ignore[call-overload]
    with trace("root", session_id="s", user_id=None) as root:
        assert_type(root, Span)
        root.set(prompt_tokens="many")  # type: ignore[arg-type]
    async with span("child", parent=root) as child:
        assert_type(child, Span)
    with span(parent={"traceparent": ""}):
        assert_type(current_trace_headers(), dict[str, str])
    assert_type(carry(named)(1), str)
    assert_type(wrap(Client()), Client)
    assert_type(flush(1.0), bool)
    assert_type(stats(), dict[str, int])
    configure(url="http://localhost:3000", redact=lambda part, value: value if part != "input" else None)
    with llmflow.serve(upstreams={"openai": "http://localhost:1"}) as flow:
        assert_type(flow, llmflow.Flow)
        assert_type(flow.cost(), float)
        assert_type(flow.tokens(), int)
