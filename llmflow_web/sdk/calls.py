"""Functions with a span around every call: plain ones, coroutines, generators and asynchronous generators.

What a function is, it stays: a generator function is wrapped by a generator function, and `send`, `throw` and `close`
reach it. Its span is the current one while it runs, not while its caller does between two items.
"""

from __future__ import annotations

import time
from functools import wraps
from types import AsyncGeneratorType, CoroutineType, GeneratorType

from llmflow_web.sdk.capture import Capture, Names
from llmflow_web.sdk.spans import current

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Mapping
    from typing import Any

    from llmflow_web.sdk.spans import Span

    Begin = Callable[[tuple[Any, ...], Mapping[str, Any]], tuple[Span, Any]]

_IS_GENERATOR, _IS_COROUTINE, _IS_ASYNC_GENERATOR = 0x20, 0x80, 0x200  # inspect.CO_…; inspect is slow to import


def traced(model: Span, function: Any) -> Any:
    """Return `function` with a span like `model` around every call."""
    if isinstance(function, (staticmethod, classmethod)):
        return type(function)(traced(model, function.__func__))
    flags = getattr(getattr(function, "__code__", None), "co_flags", 0)
    names = Names(function)
    name = _name_of(function)

    def made_for(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Span:
        return model._for_call(name, lambda: names.of(args, kwargs))

    def begin(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Span, Any]:
        return made_for(args, kwargs), function(*args, **kwargs)

    made: Any
    if flags & _IS_COROUTINE:

        async def made(*args: Any, **kwargs: Any) -> Any:
            return await _awaited(*begin(args, kwargs))

    elif flags & _IS_GENERATOR:

        def made(*args: Any, **kwargs: Any) -> Any:
            return (yield from _steps(*begin(args, kwargs)))

    elif flags & _IS_ASYNC_GENERATOR:
        made = _asynchronous(begin)
    else:
        made = _plain(made_for, function)
    return wraps(function)(made)


def _plain(made_for: Callable[[tuple[Any, ...], Mapping[str, Any]], Span], function: Any) -> Any:
    def made(*args: Any, **kwargs: Any) -> Any:
        try:
            span = made_for(args, kwargs).start()
        except Exception:  # noqa: BLE001 - at the end of the stack, above all
            return function(*args, **kwargs)
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            span.end(error)
            raise
        return _followed(span, result)

    return made


def _name_of(function: Any) -> str:
    name = getattr(function, "__qualname__", None) or getattr(type(function), "__name__", "span")
    return str(name).rpartition("<locals>.")[2]


def _followed(span: Span, result: Any) -> Any:
    """End the span of a call, or let it last as long as what came back: a coroutine or a generator."""
    kind = type(result)
    if kind is CoroutineType or kind is GeneratorType or kind is AsyncGeneratorType:
        span._leave()
        span._is_stranded = False
        if kind is CoroutineType:
            return _awaited(span, result)
        return _steps(span, result) if kind is GeneratorType else _asynchronous(lambda *_: (span, result))()
    span._return(result)
    return result


def _resume(span: Span) -> Span | None:
    """Make `span` the current one, begun if it has not been; return what was before."""
    before = current.get()
    if span._is_open:
        current.set(span)
    elif not span._started:
        span.start()
    return before


async def _awaited(span: Span, coroutine: Coroutine[Any, Any, Any]) -> Any:
    _resume(span)
    try:
        result = await coroutine
    except BaseException as error:
        span.end(error)
        raise
    span._return(result)
    return result


def _steps(span: Span, source: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    stream = _Stream(span)
    advance: Callable[[Any], Any] = source.send
    value: Any = None
    while True:
        before = _resume(span)
        try:
            item = advance(value)
        except StopIteration as stop:
            stream.end(stop.value)
            return stop.value
        except BaseException as error:
            stream.fail(error)
            raise
        finally:
            current.set(before)
        stream.add(item)
        try:
            value = yield item
            advance = source.send
        except BaseException as error:  # noqa: BLE001 - thrown in by the caller, for the generator to deal with
            advance, value = source.throw, error


def _asynchronous(begin: Begin) -> Callable[..., AsyncGenerator[Any, Any]]:
    """Return an asynchronous generator function that drives what `begin` gives."""

    async def made(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        span, source = begin(args, kwargs)
        stream = _Stream(span)
        advance, value = source.asend, None
        while True:
            before = _resume(span)
            try:
                item = await advance(value)
            except StopAsyncIteration:
                stream.end(None)
                return
            except BaseException as error:
                stream.fail(error)
                raise
            finally:
                current.set(before)
            stream.add(item)
            try:
                value = yield item
                advance = source.asend
            except BaseException as error:  # noqa: BLE001 - thrown in by the caller, for the generator to deal with
                advance, value = source.athrow, error

    return made


class _Stream:
    """What a generator yields, on its way to be the output of its span."""

    __slots__ = ("_capture", "_count", "_items", "_span")

    def __init__(self, span: Span) -> None:
        self._span = span
        self._items: list[Any] = []
        self._capture = Capture()
        self._count = 0

    def __repr__(self) -> str:
        return f"<_Stream of {self._count} items>"

    def add(self, item: object) -> None:
        """Copy an item, while there is room. Never raises."""
        self._count += 1
        try:
            if self._count == 1:
                self._note_first()
            if self._span._wants_output() and self._capture.has_room:
                self._items.append(self._capture.value(item))
        except Exception:  # noqa: BLE001 - at the end of the stack; the item is the caller's all the same
            return

    def _note_first(self) -> None:
        span = self._span
        if span._is_open and span._said.fields.get("span_type") == "llm":
            span.set(is_stream=True, ttft_ms=(time.perf_counter_ns() - span._started) / 1e6)

    def end(self, returned: object) -> None:
        """End the span with what was yielded, or returned where nothing was."""
        self._keep()
        self._span._return(returned)

    def fail(self, error: BaseException) -> None:
        """End the span with what was yielded so far."""
        self._keep()
        self._span.end(error)

    def _keep(self) -> None:
        left_out = self._count - len(self._items)
        if left_out and self._items:
            self._items.append(f"… {left_out} more")
        self._span._return_stream(self._capture, self._items)
