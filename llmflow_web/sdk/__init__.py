"""Tracing a Python program: `trace`, `span` and what goes with them. Standard library only, nothing else of ours.

    @span                                   a function, coroutine, generator or asynchronous generator
    with span("search", span_type="tool"):  a piece of code; `async with` does the same

Whatever happens in here, the program goes on as if it were not there: spans are delivered by a thread of their own,
errors are recorded and raised again as they are. It must be cheap to import: no `typing`, `inspect`, `pathlib` (a test
counts modules). Names of fields are those of POST /api/spans.
"""

from __future__ import annotations

from functools import wraps

from llmflow_web.sdk.settings import configure, settings
from llmflow_web.sdk.spans import Span, current, foreign_id, headers_of, live
from llmflow_web.sdk.wrapping import wrap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, ParamSpec, TypeVar, Unpack, overload

    from llmflow_web.sdk.fields import Fields

    P = ParamSpec("P")
    R = TypeVar("R")
else:

    def overload(function):  # noqa: ANN001, ANN202 - for type checkers only, as the real one
        """Stand in for typing.overload."""
        return function


__all__ = [
    "Span",
    "carry",
    "configure",
    "current_span",
    "current_trace_headers",
    "flush",
    "span",
    "stats",
    "trace",
    "wrap",
]


@overload
def trace(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def trace(
    name: str | None = None,
    *,
    parent: Span | Mapping[str, str] | None = None,
    trace_id: str | None = None,
    capture: bool | None = None,
    capture_input: bool | None = None,
    capture_output: bool | None = None,
    **fields: Unpack[Fields],
) -> Span: ...
def trace(
    name: Any = None, *, trace_id: str | None = None, capture: bool | None = None, **options: Any
) -> Span | Callable[..., Any]:
    """Make a trace of its own, as a decorator (with or without parentheses) or a context manager.

    parent: a span, or the headers of a request whose trace is carried on. capture, capture_input, capture_output:
    whether arguments and results are recorded. All else is what `set` takes; session_id, conversation_id and user_id
    are passed on to the spans inside.
    """
    return _make(name, capture, options, trace_id=foreign_id(trace_id), is_root=True)


@overload
def span(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def span(
    name: str | None = None,
    *,
    parent: Span | Mapping[str, str] | None = None,
    capture: bool | None = None,
    capture_input: bool | None = None,
    capture_output: bool | None = None,
    **fields: Unpack[Fields],
) -> Span: ...
def span(name: Any = None, *, capture: bool | None = None, **options: Any) -> Span | Callable[..., Any]:
    """Make a span inside the current one, as a decorator (with or without parentheses) or a context manager.

    parent: a span or a request's headers, where it is not the current span. Without any it begins a trace. The other
    arguments are those of `trace`.
    """
    return _make(name, capture, options)


def _make(name: Any, capture: bool | None, options: dict[str, Any], **more: Any) -> Span | Callable[..., Any]:
    own = {key: options.pop(key, capture) for key in ("capture_input", "capture_output")}
    made = Span(parent=options.pop("parent", None), **own, **more)
    made.set(**options)
    # A classmethod object cannot be called, and is decorated all the same.
    if callable(name) or isinstance(name, (staticmethod, classmethod)):
        return made(name)
    return made if name is None else made.set(span_name=name)


def current_span() -> Span | None:
    """Return the span we are in, for `set()` inside a decorated function."""
    return live()


def carry(function: Callable[P, R], /) -> Callable[P, R]:
    """Return `function` so that in whatever thread it runs, its spans belong to the span that is current now."""
    here = live()

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        before = current.get()
        current.set(here)
        try:
            return function(*args, **kwargs)
        finally:
            current.set(before)

    return call


def current_trace_headers() -> dict[str, str]:
    """Return the headers that put a call under the current span; none outside of one."""
    return headers_of(live())


def flush(timeout_s: float = 5.0) -> bool:
    """Send all spans that have ended, waiting for at most `timeout_s`; say whether they arrived."""
    return settings.sender.flush(timeout_s)


def stats() -> dict[str, int]:
    """Return how many spans wait, were sent, dropped here and rejected there, and how many attempts failed."""
    return settings.sender.stats()
