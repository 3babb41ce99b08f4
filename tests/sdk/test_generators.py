"""Generators: their span lasts until they are exhausted or closed, and is nobody else's meanwhile."""

from __future__ import annotations

import asyncio
import gc
import inspect

import pytest

from llmflow_web.sdk import current_span, span, trace


def test_a_generator(posted):
    """It stays a generator function; its span is current inside, not for the caller, and holds what was yielded."""

    @span
    def count(n):
        for number in range(n):
            with span(f"step {number}"):
                assert current_span() is not None
            yield number
        return "ignored"

    assert inspect.isgeneratorfunction(count)
    with trace("root") as root:
        seen = []
        for number in count(3):
            assert current_span() is root
            with span(f"use {number}"):
                seen.append(number)
    assert seen == [0, 1, 2]
    found = posted.named()
    assert found["count"]["output"] == [0, 1, 2]
    assert found["count"]["input"] == {"n": 3}
    assert {found[f"step {n}"]["parent_id"] for n in range(3)} == {found["count"]["id"]}
    assert {found[f"use {n}"]["parent_id"] for n in range(3)} == {found["root"]["id"]}


def test_texts_are_one_text(posted):
    """A generator of texts, as of tokens, has their text as output; an llm span gets its time to the first."""

    @span(span_type="llm")
    def answer():
        yield from ("It ", "is ", "sunny")

    assert "".join(answer()) == "It is sunny"
    found = posted.one()
    assert found["output"] == "It is sunny"
    assert found["is_stream"] is True
    assert 0 <= found["ttft_ms"] <= found["duration_ms"]


def test_send_throw_and_return(posted):
    """What is sent and thrown in reaches the generator; what it returns comes out of `yield from`."""

    @span
    def talk():
        heard = []
        while len(heard) < 2:
            try:
                heard.append((yield len(heard)))
            except KeyError:
                heard.append("caught")
        return heard

    def whole():
        return (yield from talk())

    talking = whole()
    assert next(talking) == 0
    assert talking.throw(KeyError("k")) == 1
    with pytest.raises(StopIteration) as stop:
        talking.send("hello")
    assert stop.value.value == ["caught", "hello"]
    assert posted.one()["output"] == [0, 1]


def test_closing_early(posted):
    """A caller that has read enough ends the span without an error; its cleaning up runs inside it."""
    cleaned = []

    @span
    def endless():
        try:
            while True:
                yield "x"
        finally:
            cleaned.append(current_span())

    for _ in endless():
        break
    gc.collect()
    found = posted.one()
    assert "error" not in found
    assert found["attributes"] == {"closed_early": True}
    assert found["output"] == "x"
    assert cleaned[0].id == found["id"]
    assert current_span() is None


def test_a_failing_generator(posted):
    """An error ends the span with what was yielded until then."""

    @span
    def failing():
        yield 1
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        list(failing())
    assert (posted.one()["error"], posted.one()["output"]) == ("ValueError: no more", [1])


def test_one_that_is_never_started(posted):
    """A generator nobody reads from is no span."""

    @span
    def idle():
        yield

    idle()
    assert posted.all() == []


def test_interleaved(posted):
    """Two generators that are read in turns do not become each other's parents."""

    @span
    def lines(name):
        for number in range(2):
            with span(f"{name}{number}"):
                pass
            yield number

    with trace("root"):
        assert list(zip(lines("a"), lines("b"), strict=False)) == [(0, 0), (1, 1)]
    found = posted.all()
    both = {one["input"]["name"]: one["id"] for one in found if one["span_name"] == "lines"}
    steps = {one["span_name"]: one["parent_id"] for one in found if one["span_name"][-1].isdigit()}
    assert steps == {"a0": both["a"], "a1": both["a"], "b0": both["b"], "b1": both["b"]}


def test_a_span_held_open_by_a_generator_of_ones_own(posted):
    """A `with span()` around a yield ends out of turn, and what comes after stands where it should."""

    def leaky():
        with span("leaky"):
            yield 1

    with trace("root") as root:
        reading = leaky()
        next(reading)
        with span("younger"):
            reading.close()
        assert current_span() is root
        with span("after"):
            pass
    found = posted.named()
    assert found["after"]["parent_id"] == found["root"]["id"]
    assert current_span() is None


def test_functions_that_return_generators_and_coroutines(posted):
    """A plain function's span lasts as long as the generator or coroutine it returns."""

    @span
    def make():
        return (number for number in range(2))

    @span
    def make_later():
        async def later():
            with span("inside"):
                return 5

        return later()

    @span
    def make_stream():
        async def stream():
            yield 7

        return stream()

    async def run():
        return await make_later(), [item async for item in make_stream()]

    with trace("root") as root:
        made = make()
        assert current_span() is root
        assert list(made) == [0, 1]
    assert asyncio.run(run()) == (5, [7])
    found = posted.named()
    assert found["make"]["output"] == [0, 1]
    assert found["make_later"]["output"] == 5
    assert found["inside"]["parent_id"] == found["make_later"]["id"]
    assert found["make_stream"]["output"] == [7]


# ── asynchronous generators ──────────────────────────────────────────────────────────────────────────────────────────


def test_an_asynchronous_generator(posted):
    """It stays one; its span is current inside, not for the caller; asend, athrow and aclose reach it."""
    cleaned = []

    @span
    async def talk(n):
        try:
            for number in range(n):
                with span(f"step {number}"):
                    await asyncio.sleep(0)
                try:
                    heard = yield number
                except KeyError:
                    heard = "caught"
                cleaned.append(heard)
        finally:
            cleaned.append(current_span().id)

    async def run():
        with trace("root") as root:
            talking = talk(4)
            assert await anext(talking) == 0
            assert current_span() is root
            assert await talking.asend("hello") == 1
            assert await talking.athrow(KeyError()) == 2
            await talking.aclose()
            assert current_span() is root

    assert inspect.isasyncgenfunction(talk)
    asyncio.run(run())
    found = posted.named()
    assert cleaned == ["hello", "caught", found["talk"]["id"]]
    assert found["talk"]["output"] == [0, 1, 2]
    assert found["talk"]["attributes"] == {"closed_early": True}
    assert {found[f"step {n}"]["parent_id"] for n in range(3)} == {found["talk"]["id"]}


def test_an_asynchronous_generator_left_alone(posted):
    """One that is broken off and never closed ends with its loop, and disturbs nobody."""

    @span
    async def tokens():
        for word in ("a", "b", "c"):
            await asyncio.sleep(0)
            yield word

    async def run():
        with trace("root") as root:
            async for _ in tokens():
                break
            gc.collect()
            await asyncio.sleep(0)
            assert current_span() is root

    asyncio.run(run())
    found = posted.named()
    assert found["tokens"]["parent_id"] == found["root"]["id"]
    assert "error" not in found["tokens"]


def test_a_failing_asynchronous_generator(posted):
    """Errors and cancellations end its span and go on."""

    @span
    async def failing():
        yield 1
        raise ValueError("no more")

    async def run():
        return [item async for item in failing()]

    with pytest.raises(ValueError, match="no more"):
        asyncio.run(run())
    assert (posted.one()["error"], posted.one()["output"]) == ("ValueError: no more", [1])


def test_long_streams_are_cut(posted):
    """A stream keeps what there is room for and says how much it left out; every item reaches the caller."""

    @span
    def flood():
        for _ in range(2000):
            yield "x" * 1000

    assert sum(map(len, flood())) == 2_000_000
    output = posted.one()["output"]
    assert len(output) < 300_000
    assert output.endswith(" more")
