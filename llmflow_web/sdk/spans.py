"""One span: its ids, its place under the current one, its beginning and end.

The current span travels in a context variable, so threads and tasks have their own and a task begins with its parent's.
"""

from __future__ import annotations

import os
import time
from contextvars import ContextVar

from llmflow_web.sdk.capture import Capture
from llmflow_web.sdk.fields import INHERITED, Said
from llmflow_web.sdk.settings import settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, ParamSpec, Self, TypeVar, Unpack

    from llmflow_web.sdk.fields import Fields

    P = ParamSpec("P")
    R = TypeVar("R")

MAX_ID_CHARS = 128
MAX_FRAMES = 30
_STOPPED = frozenset({"KeyboardInterrupt", "CancelledError", "SystemExit"})  # no failures: somebody wanted an end
_STATUS_STOPPED, _STATUS_FAILED = 499, 500
_HEX = frozenset("0123456789abcdef")
_FOLDER = os.path.dirname(__file__)  # noqa: PTH120 - pathlib is slow to import

current: ContextVar[Span | None] = ContextVar("llmflow_span", default=None)


class Span:
    """One timed operation: a context manager, and a decorator that makes a new one at every call.

    Made by `trace()` and `span()`. Until it begins, and where the SDK is off, `id` is empty.
    """

    __slots__ = (
        "_capture_input", "_capture_output", "_given_trace", "_is_open", "_is_root", "_is_stranded", "_outer",
        "_parent", "_said", "_started", "id", "parent_id", "start_ns", "trace_id",
    )  # fmt: skip

    def __init__(
        self,
        *,
        parent: Span | Mapping[str, str] | None = None,
        trace_id: str | None = None,
        is_root: bool = False,
        capture_input: bool | None = None,
        capture_output: bool | None = None,
    ) -> None:
        self.id = self.trace_id = ""
        self.parent_id: str | None = None
        self.start_ns = 0
        self._parent = parent
        self._given_trace = trace_id
        self._is_root = is_root
        self._capture_input = capture_input
        self._capture_output = capture_output
        self._said = Said()
        self._outer: Span | None = None
        self._started = 0
        self._is_open = self._is_stranded = False

    def __repr__(self) -> str:
        state = "open" if self._is_open else "over" if self._started else "not begun"
        return f"<Span {self._said.fields.get('span_name')!r} {self.trace_id}/{self.id} {state}>"

    def set(self, **fields: Unpack[Fields]) -> Self:
        """Say something of the span; a name that is none of ours becomes an attribute. Never raises."""
        for name, value in fields.items():
            self._said.put(name, value)
        return self

    # ── its life ─────────────────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> Self:
        """Begin, and be the current span from now on. `with` does this."""
        try:
            if not self._is_open and settings.read().enabled:
                self._begin()
                current.set(self)
        except Exception:  # noqa: BLE001 - the program goes on without the span
            self._is_open = False
        return self

    def end(self, error: BaseException | None = None) -> None:
        """End, with what went wrong, and go to LLMFlow. `with` does this."""
        if not self._is_open:
            return
        try:
            self._is_open = False
            duration_ns = time.perf_counter_ns() - self._started
            self._leave()
            if error is not None:
                self._note(error)
            said, self._said = self._said, Said()  # what is said from now on is for another time
            for name in (*INHERITED, "span_name", "span_type"):
                if name in said.fields:
                    self._said.fields[name] = said.fields[name]
            settings.sender.put(self._posted(said, duration_ns), said.weight)
        except Exception:  # noqa: BLE001 - the span is lost, the program goes on
            settings.sender.dropped += 1

    def _begin(self) -> None:
        self._outer = live()
        self.id = os.urandom(8).hex()
        above = self._place()
        fields = self._said.fields
        for name in INHERITED:
            if above is not None and name in above._said.fields:
                fields.setdefault(name, above._said.fields[name])
        if settings.service_name:
            fields.setdefault("service_name", settings.service_name)
        self._is_open, self._is_stranded = True, False
        self.start_ns = time.time_ns()
        self._started = time.perf_counter_ns()

    def _place(self) -> Span | None:
        """Find our trace and parent; return the parent where it is a span of this process."""
        parent = self._parent
        if parent is None and not self._is_root:
            parent = self._outer
        if isinstance(parent, Span) and parent.id:
            self.trace_id, self.parent_id = parent.trace_id, parent.id
            return parent
        trace_id, parent_id = (None, None) if parent is None or isinstance(parent, Span) else ids_in(parent)
        self.trace_id, self.parent_id = trace_id or self._given_trace or os.urandom(16).hex(), parent_id
        return None

    def _leave(self) -> None:
        """Make the span around this one the current one again.

        A generator may end its span while a younger one of its caller is current, or in another task: then whoever
        comes to this one later has to step over it.
        """
        if current.get() is self:
            current.set(_standing(self._outer))
        else:
            self._is_stranded = True

    def _note(self, error: BaseException) -> None:
        kind = type(error).__name__
        if kind == "GeneratorExit":  # whoever read from the generator has read enough
            self._said.attribute("closed_early", value=True)
            return
        is_stop = kind in _STOPPED
        self._said.put("error", error)
        self._said.fields.setdefault("status", _STATUS_STOPPED if is_stop else _STATUS_FAILED)
        self._said.attribute("exception.type", kind)
        if not is_stop:
            self._said.attribute("exception.stacktrace", _frames(error))

    def _posted(self, said: Said, duration_ns: int) -> dict[str, Any]:
        return {
            "id": self.id,
            "trace_id": self.trace_id,
            "parent_id": self.parent_id,
            "span_type": "trace" if self._is_root else "custom",
            "start_time": self.start_ns / 1e6,
            "duration_ms": duration_ns / 1e6,
            **said.posted(),
        }

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self.end(error)

    async def __aenter__(self) -> Self:
        return self.start()

    async def __aexit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self.end(error)

    # ── as a decorator ───────────────────────────────────────────────────────────────────────────────────────────

    def __call__(self, function: Callable[P, R], /) -> Callable[P, R]:
        """Return `function` with a new span around every call; a generator's lasts until it is exhausted or closed."""
        from llmflow_web.sdk.calls import traced

        made: Callable[P, R] = traced(self, function)
        return made

    def _for_call(self, name: str, arguments: Callable[[], dict[str, Any]]) -> Span:
        """Return a new span like this one, for a call with these arguments."""
        one = Span(
            parent=self._parent,
            trace_id=self._given_trace,
            is_root=self._is_root,
            capture_input=self._capture_input,
            capture_output=self._capture_output,
        )
        said = one._said = self._said.copy()
        said.fields.setdefault("span_name", name)
        wanted = settings.read().enabled and _wants(self._capture_input)
        if wanted and "input" not in said.fields:
            said.keep("input", arguments())
        return one

    def _return(self, value: object) -> None:
        """End with what a function returned, unless an output was set, or none is wanted."""
        try:
            if value is not None and self._wants_output():
                self._said.keep("output", value)
        except Exception:  # noqa: BLE001 - the call goes on without its result on record
            self._said.fields.pop("output", None)
        self.end()

    def _return_stream(self, capture: Capture, items: list[Any]) -> None:
        """Take what a generator yielded so far as the output: texts as one text, all else as a list."""
        if items and self._wants_output():
            self._said.fields["output"] = "".join(items) if all(type(item) is str for item in items) else items
            self._said.weigh(capture)

    def _wants_output(self) -> bool:
        return self._is_open and _wants(self._capture_output) and "output" not in self._said.fields


def _wants(chosen: bool | None) -> bool:
    return settings.capture if chosen is None else chosen


def live() -> Span | None:
    """Return the span we are in."""
    return _standing(current.get())


def _standing(found: Span | None) -> Span | None:
    """Step over spans that ended out of turn."""
    while found is not None and found._is_stranded:
        found = found._outer
    return found


def _frames(error: BaseException) -> str:
    """Return where an error came from; `traceback` would read every source file."""
    found = []
    place = error.__traceback__
    while place is not None:
        code = place.tb_frame.f_code
        if not code.co_filename.startswith(_FOLDER):
            found.append(f'File "{code.co_filename}", line {place.tb_lineno}, in {code.co_name}')
        place = place.tb_next
    return "\n".join(found[-MAX_FRAMES:])


# ── ids that travel ──────────────────────────────────────────────────────────────────────────────────────────────────


def headers_of(span: Span | None) -> dict[str, str]:
    """Return the headers that put a call under `span`."""
    if span is None or not span.id:
        return {}
    headers = {"x-trace-id": span.trace_id, "x-parent-id": span.id}
    if _is_hex(span.trace_id, 32):
        headers["traceparent"] = f"00-{span.trace_id}-{span.id}-01"
    return headers


def labels_of(span: Span | None) -> dict[str, str]:
    """Return the headers that tell LLMFlow the session, conversation and user of `span`."""
    fields = span._said.fields if span is not None else {}
    return {
        f"x-llmflow-{name.replace('_', '-')}": fields[name]
        for name in INHERITED
        if name in fields and _is_plain(fields[name])
    }


def foreign_id(text: object) -> str | None:
    """Return an id of somebody else's, if it can travel in a header."""
    return text if isinstance(text, str) and 0 < len(text) <= MAX_ID_CHARS and _is_plain(text) else None


def ids_in(headers: Any) -> tuple[str | None, str | None]:
    """Read trace and parent from the headers of a request: ours, else W3C's."""
    try:
        told = {str(name).lower(): str(headers[name]) for name in headers}
    except Exception:  # noqa: BLE001 - whatever that is, it names no parent
        return None, None
    trace_id = foreign_id(told.get("x-trace-id"))
    if trace_id:
        return trace_id, foreign_id(told.get("x-parent-id"))
    parts = told.get("traceparent", "").split("-")
    if len(parts) >= 4 and _is_hex(parts[1], 32) and _is_hex(parts[2], 16):
        return parts[1], parts[2]
    return None, None


def _is_hex(text: str, length: int) -> bool:
    return len(text) == length and _HEX.issuperset(text) and bool(text.strip("0"))


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable()
