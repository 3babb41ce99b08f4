"""Spans: what they say, where they stand, how they end."""

from __future__ import annotations

import asyncio
import contextvars
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from llmflow_web.sdk import (
    carry,
    configure,
    current_span,
    current_trace_headers,
    flush,
    span,
    stats,
    trace,
)


def under(spans: dict[str, dict]) -> dict[str, str | None]:
    """Return each span's name with its parent's."""
    names = {one["id"]: name for name, one in spans.items()}
    return {name: names.get(one["parent_id"]) for name, one in spans.items()}


# ── decorators and context managers ──────────────────────────────────────────────────────────────────────────────────


def test_a_decorated_function(posted):
    """A decorator with or without parentheses records name, arguments by name, result, and keeps the function."""

    @span
    def plain(first, second=2, *more, only=None, **named):
        """Say hello."""
        return [first, second, *more]

    @span(span_type="tool")
    def with_options():
        return "done"

    @span("its own name")
    def named():
        return None

    assert plain(1, 2, 3, only=4, other=5) == [1, 2, 3]
    assert (plain.__name__, plain.__doc__) == ("plain", "Say hello.")
    assert with_options() == "done"
    assert named() is None
    found = posted.named()
    assert found["plain"]["input"] == {"first": 1, "second": 2, "more": [3], "only": 4, "other": 5}
    assert found["plain"]["output"] == [1, 2, 3]
    assert (found["plain"]["span_type"], found["with_options"]["span_type"]) == ("custom", "tool")
    assert found["with_options"]["output"] == "done"
    assert "output" not in found["its own name"]
    assert re.fullmatch("[0-9a-f]{32}", found["plain"]["trace_id"])
    assert re.fullmatch("[0-9a-f]{16}", found["plain"]["id"])


def test_methods(posted):
    """Self and cls are no arguments; static and class methods may be decorated from either side."""

    class Agent:
        @span
        def ask(self, question):
            return question

        @classmethod
        @span
        def inner(cls, a):
            return a

        @span
        @classmethod
        def outer(cls, a):
            return a

        @span
        @staticmethod
        def still(a):
            return a

    agent = Agent()
    assert [agent.ask("why"), agent.inner(1), agent.outer(2), Agent.still(3)] == ["why", 1, 2, 3]
    found = posted.named()
    assert found["Agent.ask"]["input"] == {"question": "why"}
    assert [found[f"Agent.{name}"]["input"] for name in ("inner", "outer", "still")] == [{"a": 1}, {"a": 2}, {"a": 3}]


def test_a_trace_is_a_root(posted):
    """trace() begins a trace of its own, even inside another; span() stands under what is current."""
    with trace("outer") as outer:
        with span("child") as child, span("grandchild"):
            assert current_span() is not child
        with trace("other") as other:
            assert current_span() is other
        assert current_span() is outer
    assert current_span() is None
    found = posted.named()
    assert under(found) == {"outer": None, "child": "outer", "grandchild": "child", "other": None}
    assert found["other"]["trace_id"] != found["outer"]["trace_id"] == found["grandchild"]["trace_id"]
    assert (found["outer"]["span_type"], found["child"]["span_type"]) == ("trace", "custom")


def test_a_span_without_a_trace_begins_one(posted):
    """Where nothing is current a span is a root."""
    with span("alone"):
        pass
    assert posted.one()["parent_id"] is None


def test_what_is_set(posted):
    """Known names are fields, all others attributes; tags add up; a later word replaces an earlier one."""
    with span("call", span_type="llm", model="gpt-4o", tags="a, b") as one:
        one.set(prompt_tokens=10, completion_tokens=3.0, estimated_cost=0.25, finish_reason="stop", status=200)
        one.set(tags=["b", "c"], attributes={"k": [1]}, anything={"x": 1}, model="gpt-4o-mini")
        one.set(input={"q": "why"}, output="because", session_id="s", user_id=7)
    found = posted.one()
    assert {
        "model": "gpt-4o-mini",
        "prompt_tokens": 10,
        "completion_tokens": 3,
        "user_id": "7",
    }.items() <= found.items()
    assert found["tags"] == ["a", "b", "c"]
    assert found["attributes"] == {"k": [1], "anything": {"x": 1}}
    assert (found["input"], found["output"]) == ({"q": "why"}, "because")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("prompt_tokens", -1),
        ("prompt_tokens", "many"),
        ("prompt_tokens", float("nan")),
        ("estimated_cost", float("inf")),
        ("estimated_cost", object),
        ("status", 12345),
        ("tags", 5),
        ("attributes", "none"),
    ],
)
def test_what_does_not_fit(posted, name, value):
    """A value the server would refuse a span for is kept as an attribute."""
    with span("call") as one:
        one.set(**{name: value})
    found = posted.one()
    assert name not in found or name == "attributes"
    assert name in found["attributes"]


def test_session_and_user_are_passed_on(posted):
    """Spans take over session, conversation and user of the span they begin in, and nothing else."""
    with trace("root", session_id="s", conversation_id="c", user_id="u", model="m"), span("child"), span("deep"):
        pass
    found = posted.named()
    assert [found["deep"].get(name) for name in ("session_id", "conversation_id", "user_id", "model")] == [
        "s", "c", "u", None,
    ]  # fmt: skip


def test_a_span_used_again(posted):
    """The same object may be entered again after its end, with new ids, and is entered only once at a time."""
    again = span("again")
    with again:
        with again:
            pass
        first = (again.trace_id, again.id)
    with again:
        assert (again.trace_id, again.id) != first
    assert [one["span_name"] for one in posted.all()] == ["again", "again"]


# ── errors ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit, asyncio.CancelledError, RecursionError])
def test_errors_are_recorded_and_raised(posted, kind):
    """The very error comes out again; failures are 500 with where they came from, stops are 499."""
    error = kind("no luck")

    @span
    def failing():
        raise error

    with pytest.raises(kind) as raised, span("outer"):
        failing()
    assert raised.value is error
    found = posted.named()
    is_failure = kind in (ValueError, RecursionError)
    for one in found.values():
        assert one["error"] == f"{kind.__name__}: no luck"
        assert one["status"] == (500 if is_failure else 499)
        assert one["attributes"]["exception.type"] == kind.__name__
    if is_failure:
        assert "in failing" in found["failing"]["attributes"]["exception.stacktrace"]
        assert "llmflow_web" not in found["failing"]["attributes"]["exception.stacktrace"]


def test_an_error_that_cannot_be_shown(posted):
    """An exception whose str() fails is recorded by its class, and raised."""

    class Odd(Exception):
        def __str__(self):
            raise RuntimeError("not even this")

    with pytest.raises(Odd), span("odd"):
        raise Odd
    assert posted.one()["error"] == "Odd: its message cannot be shown"


def test_a_status_of_ones_own(posted):
    """A status that was set stands, also where an error comes."""
    with pytest.raises(ValueError), span("call", status=429):
        raise ValueError
    assert (posted.one()["status"], posted.one()["error"]) == (429, "ValueError")


def test_recursion(posted):
    """A recursive function is a chain of spans, and one without an end raises what it always raises."""

    @span
    def down(n):
        return n if n == 0 else down(n - 1)

    assert down(30) == 0
    found = posted.all()
    assert len(found) == 31
    assert sum(one["parent_id"] is None for one in found) == 1

    @span(capture=False)
    def endless():
        return endless()

    with pytest.raises(RecursionError):
        endless()
    assert current_span() is None
    assert flush(60)


# ── tasks and threads ────────────────────────────────────────────────────────────────────────────────────────────────


def test_coroutines_and_tasks(posted):
    """A coroutine's span lasts until it returns; tasks stand under the span that made them, side by side."""

    @span
    async def step(name):
        with span(f"in {name}"):
            await asyncio.sleep(0)
        return name

    @trace
    async def run():
        found = await asyncio.gather(step("a"), step("b"))
        async with span("last"):
            await asyncio.sleep(0)
        return found

    assert asyncio.iscoroutinefunction(run)
    assert asyncio.run(run()) == ["a", "b"]
    found = posted.all()
    root = next(one for one in found if one["parent_id"] is None)
    steps = [one for one in found if one["span_name"] == "step"]
    assert [one["parent_id"] for one in steps] == [root["id"]] * 2
    inner = {one["parent_id"]: one["span_name"] for one in found if one["span_name"].startswith("in ")}
    assert {one["output"]: inner[one["id"]] for one in steps} == {"a": "in a", "b": "in b"}
    assert next(one for one in found if one["span_name"] == "last")["parent_id"] == root["id"]


def test_a_task_that_outlives_its_parent(posted):
    """A task goes on under the span it was made in, when that has long ended, span after span."""

    async def later(go):
        await go.wait()
        for number in range(3):
            with span(f"late {number}"):
                await asyncio.sleep(0)

    async def run():
        go = asyncio.Event()
        with trace("root"):
            task = asyncio.create_task(later(go))
            await asyncio.sleep(0)
        assert current_span() is None
        go.set()
        await task

    asyncio.run(run())
    assert under(posted.named()) == {"root": None, "late 0": "root", "late 1": "root", "late 2": "root"}


def test_a_cancelled_task(posted):
    """A cancelled coroutine's span says so, and the cancellation goes on."""

    @span
    async def waiting(begun):
        begun.set()
        await asyncio.Event().wait()

    async def run():
        begun = asyncio.Event()
        task = asyncio.create_task(waiting(begun))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert (posted.one()["error"], posted.one()["status"]) == ("CancelledError", 499)


def test_threads(posted):
    """A thread begins with nothing current; carry(), a copied context or parent= put it under a span."""

    def work(name):
        with span(name):
            pass

    with trace("root") as root:
        own = threading.Thread(target=work, args=("alone",))
        own.start()
        own.join()
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(carry(work), [f"carried {n}" for n in range(8)])) == [None] * 8
            pool.submit(contextvars.copy_context().run, work, "copied").result()

        def told():
            with span("told", parent=root):
                pass

        other = threading.Thread(target=told)
        other.start()
        other.join()

    async def run():
        with trace("loop"):
            await asyncio.to_thread(work, "to_thread")

    asyncio.run(run())
    parents = under(posted.named())
    assert parents.pop("alone") is None
    assert parents.pop("to_thread") == "loop"
    assert {parents.pop("root"), parents.pop("loop")} == {None}
    assert set(parents.values()) == {"root"}


# ── ids that travel ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_headers(posted):
    """Headers name trace and parent, in W3C's form too where the ids allow it; there are none outside of a span."""
    assert current_trace_headers() == {}
    with trace("own") as own:
        assert current_trace_headers() == {
            "x-trace-id": own.trace_id,
            "x-parent-id": own.id,
            "traceparent": f"00-{own.trace_id}-{own.id}-01",
        }
    with trace("foreign", trace_id="run-7") as foreign:
        assert current_trace_headers() == {"x-trace-id": "run-7", "x-parent-id": foreign.id}
    with trace("unfit", trace_id="line\nbreak") as unfit:
        assert len(unfit.trace_id) == 32


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"X-Trace-Id": "run-7", "X-Parent-Id": "p"}, ("run-7", "p")),
        ({"Traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}, ("a" * 32, "b" * 16)),
        ({"traceparent": f"00-{'0' * 32}-{'b' * 16}-01"}, None),
        ({"traceparent": "nonsense"}, None),
        ({}, None),
        (5, None),
    ],
)
def test_a_trace_is_carried_on(posted, headers, expected):
    """The headers of a request are a parent; what names none begins a trace."""
    with trace("served", parent=headers) as one:
        pass
    if expected is None:
        assert (len(one.trace_id), one.parent_id) == (32, None)
    else:
        assert (one.trace_id, one.parent_id) == expected


# ── settings ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_capture_can_be_turned_off(posted):
    """capture=False, capture_input=False and capture_output=False leave contents out, for one span or for all."""

    @span(capture=False)
    def neither(secret):
        return secret

    @span(capture_input=False)
    def output_only(secret):
        return secret

    @span(capture_output=False)
    def input_only(secret):
        return secret

    @span
    def by_default(secret):
        return secret

    @span(capture=True)
    def all_the_same(secret):
        return secret

    for function in (neither, output_only, input_only):
        function("x")
    configure(capture=False)
    by_default("x")
    all_the_same("x")
    found = posted.named()
    kept = {name: sorted({"input", "output"} & one.keys()) for name, one in found.items()}
    assert kept == {
        "neither": [],
        "output_only": ["output"],
        "input_only": ["input"],
        "by_default": [],
        "all_the_same": ["input", "output"],
    }


def test_what_was_set_is_not_captured_over(posted):
    """An input or output the program sets itself stands."""

    @span(input="given")
    def work(huge):
        current_span().set(output="short")
        return huge

    work("x" * 100)
    assert (posted.one()["input"], posted.one()["output"]) == ("given", "short")


def test_redaction(posted):
    """The hook sees every content before it leaves; its answer goes out in its place, shaped as it may be."""

    def redact(part, value):
        return "[gone]" if part in ("error", "attributes") else {"was": part, "secret": "sk" in str(value)}

    configure(redact=redact)
    with pytest.raises(ValueError), span("call", input="sk-1", output=["plain"], attributes={"a": 1}, model="m"):
        raise ValueError("sk-2")
    found = posted.one()
    assert found["input"] == {"was": "input", "secret": True}
    assert found["output"] == {"was": "output", "secret": False}
    assert (found["error"], found["attributes"], found["model"]) == ("[gone]", {"redacted": "[gone]"}, "m")


@pytest.mark.parametrize("kind", [ValueError, SystemExit, KeyboardInterrupt])
def test_a_failing_hook_drops_the_content(posted, kind):
    """Where the hook fails nothing of the content leaves; span and program go on."""

    def redact(_part, _value):
        raise kind("broken")

    configure(redact=redact)
    with span("call", input="sk-1") as one:
        one.set(output={"key": "sk-2"}, attributes={"a": "sk-3"})
    body = str(posted.one())
    assert "sk-" not in body
    assert body.count("withheld") == 3


def test_a_hook_that_flushes(posted):
    """A hook that calls flush() does not wait for itself."""
    configure(redact=lambda part, value: flush(60) or value)
    with span("call", input="x"):
        pass
    assert posted.one()["input"] == "x"


def test_it_can_be_turned_off(posted, monkeypatch):
    """LLMFLOW_SDK=off or enabled=False: functions run as they are, nothing is current, nothing is sent."""

    @span
    def work(a):
        with span("inside") as one:
            one.set(model="m")
            assert current_span() is None
            assert current_trace_headers() == {}
        return a

    monkeypatch.setenv("LLMFLOW_SDK", "off")
    configure()
    assert work(1) == 1
    configure(enabled=True)
    assert configure(enabled=False) is None
    assert work(2) == 2
    assert posted.all() == []
    assert stats()["dropped"] == 0


def test_the_environment(use_sender, monkeypatch):
    """URL, token and service name come from the environment, unless configured."""
    from llmflow_web.sdk.delivery import Sender
    from llmflow_web.sdk.settings import settings

    sender = use_sender(Sender(lambda *_: (201, b'{"stored": 0, "rejected": 0}')))
    assert sender.url == "http://localhost:3000"
    monkeypatch.setenv("LLMFLOW_URL", "box:3001/")
    monkeypatch.setenv("LLMFLOW_TOKEN", "token-of-mine")
    monkeypatch.setenv("LLMFLOW_SERVICE_NAME", "shop")
    configure()
    assert (sender.url, sender.token, settings.service_name) == ("http://box:3001", "token-of-mine", "shop")
    configure(url="https://flow.example/x/", token="other-token")
    assert (sender.url, sender.token) == ("https://flow.example/x", "other-token")
    configure(service_name="cart")
    assert (sender.url, settings.service_name) == ("https://flow.example/x", "cart")


def test_a_span_tells_its_state():
    """repr() shows name, ids and whether it is open."""
    one = span("work")
    assert repr(one) == "<Span 'work' / not begun>"
