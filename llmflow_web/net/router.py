"""From method and path to a handler: `/api/traces/{id}`, 404 and 405 as JSON, and what a query string says.

A handler is a plain function `(call, **params)` or an async one, which then runs as a task; whatever either raises
is answered: an LLMFlowError with its own status and message, everything else with 500.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import unquote_to_bytes

from llmflow_web.errors import BadRequest, LLMFlowError
from llmflow_web.net.http import ServerCall

RouteHandler = Callable[..., Coroutine[Any, Any, None] | None]
OnError = Callable[[ServerCall, BaseException], None]

_PARAMETER = re.compile(r"\{([a-z_]+)\}")
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


class Router:
    """A table of (method, pattern) → handler; calling it routes a ServerCall."""

    def __init__(self, *, on_error: OnError | None = None, fallback: RouteHandler | None = None) -> None:
        """Make an empty table.

        on_error: told of exceptions that are no LLMFlowError. fallback: answers what no pattern takes, instead of 404.
        """
        self._exact: dict[str, dict[str, RouteHandler]] = {}
        self._patterns: list[tuple[re.Pattern[str], str, dict[str, RouteHandler]]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._on_error = on_error
        self._fallback = fallback

    def __repr__(self) -> str:
        return f"<Router routes: {len(self._exact) + len(self._patterns)}, running: {len(self._tasks)}>"

    def add(self, method: str, pattern: str, handler: RouteHandler) -> None:
        """Send `method` on `pattern` to `handler`; each `{name}` in the pattern takes one path segment.

        Patterns without names win over those with; among those the first added wins.
        """
        if "{" not in pattern:
            self._exact.setdefault(pattern, {})[method] = handler
            return
        for _, known, handlers in self._patterns:
            if known == pattern:
                handlers[method] = handler
                return
        parts = _PARAMETER.split(pattern)
        literal = "".join(re.escape(part) if i % 2 == 0 else f"(?P<{part}>[^/]+)" for i, part in enumerate(parts))
        self._patterns.append((re.compile(literal), pattern, {method: handler}))

    @property
    def routes(self) -> list[tuple[str, str]]:
        """All that was added, as (method, pattern)."""
        known = [*self._exact.items(), *((pattern, handlers) for _, pattern, handlers in self._patterns)]
        return [(method, pattern) for pattern, handlers in known for method in handlers]

    def __call__(self, call: ServerCall) -> None:
        """Answer `call` with the handler its method and path name."""
        allowed: set[str] = set()
        method = call.head.method.decode("latin-1")
        for pattern, handlers, raw in self._matches(call.path):
            handler = handlers.get(method) or (handlers.get("GET") if method == "HEAD" else None)
            if handler is not None:
                self._run(call, pattern, handler, raw)
                return
            allowed.update(handlers)
        if not allowed and self._fallback is not None:
            self._run(call, "", self._fallback, {})
            return
        if not allowed:
            call.respond_json(404, {"error": f"There is nothing at {call.path}."})
            return
        if "GET" in allowed:
            allowed.add("HEAD")
        allow = ", ".join(sorted(allowed))
        error = f"{method} is not possible at {call.path}; {allow} is."
        call.respond_json(405, {"error": error}, [("allow", allow)])

    def _matches(self, path: str) -> list[tuple[str, dict[str, RouteHandler], dict[str, str]]]:
        exact = self._exact.get(path)
        found: list[tuple[str, dict[str, RouteHandler], dict[str, str]]] = [(path, exact, {})] if exact else []
        for regex, pattern, handlers in self._patterns:
            match = regex.fullmatch(path)
            if match is not None:
                found.append((pattern, handlers, match.groupdict()))
        return found

    def _run(self, call: ServerCall, pattern: str, handler: RouteHandler, raw: dict[str, str]) -> None:
        call.route = pattern
        try:
            running = handler(call, **{name: percent_decoded(value) for name, value in raw.items()})
        except Exception as error:  # noqa: BLE001 - every failure is answered
            self._answer_error(call, error)
            return
        if running is not None:
            task = asyncio.ensure_future(self._finish(call, running))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _finish(self, call: ServerCall, running: Coroutine[Any, Any, None]) -> None:
        try:
            await running
        except Exception as error:  # noqa: BLE001 - every failure is answered
            self._answer_error(call, error)

    def _answer_error(self, call: ServerCall, error: Exception) -> None:
        is_ours = isinstance(error, LLMFlowError)
        if not is_ours and self._on_error is not None:
            self._on_error(call, error)
        try:
            if isinstance(error, LLMFlowError):
                call.respond_json(error.status, {"error": error.message})
            else:
                call.respond_json(500, {"error": "Something went wrong here; see the server's log."})
        except RuntimeError:  # it was being answered already: the client must see that it is not whole
            call.abort()


def percent_decoded(text: str) -> str:
    """Undo percent-encoding. Raises BadRequest for what is not percent-encoded UTF-8."""
    if _BAD_PERCENT.search(text):
        raise BadRequest(f"{text!r} is not percent-encoded correctly.")
    try:
        return unquote_to_bytes(text.encode("latin-1")).decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadRequest(f"{text!r} is not percent-encoded UTF-8.") from error


def query_params(call: ServerCall) -> dict[str, str]:
    """Return the parameters of the query string; "+" is a space.

    Raises BadRequest for what is not percent-encoded UTF-8 and for a parameter given twice.
    """
    params: dict[str, str] = {}
    for pair in call.query.split("&"):
        if not pair:
            continue
        raw_name, _, raw_value = pair.replace("+", " ").partition("=")
        name = percent_decoded(raw_name)
        if name in params:
            raise BadRequest(f"The parameter {name!r} is given twice.")
        params[name] = percent_decoded(raw_value)
    return params


async def json_object(call: ServerCall, limit: int) -> dict[str, Any]:
    """Return the JSON object a call brings.

    Raises TooLarge over `limit` bytes, BadRequest for what is no JSON object.
    """
    data = await call.body(limit)
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"The body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise BadRequest("The body must be a JSON object.")
    return value
