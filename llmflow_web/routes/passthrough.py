"""/passthrough/{name}/…: the provider's own API, every byte untouched, recorded by the same observer."""

from __future__ import annotations

from collections.abc import Mapping

from llmflow_web.net.dispatch import Dispatcher, error_body, refuse_loop
from llmflow_web.net.http import ServerCall
from llmflow_web.net.upstreams import Upstream

PREFIX = "/passthrough/"


class PassthroughRoutes:
    """Requests below /passthrough/."""

    def __init__(self, upstreams: Mapping[str, Upstream], dispatcher: Dispatcher) -> None:
        self._upstreams = dict(upstreams)
        self._dispatcher = dispatcher

    def handle(self, call: ServerCall, cors: bytes) -> None:
        """Send one request on as it is. `cors`: header lines for the answer."""
        name, slash, rest = call.path[len(PREFIX) :].partition("/")
        upstream = self._upstreams.get(name.lower())
        if upstream is None:
            known = ", ".join(self._upstreams)
            message = f"LLMFlow knows no provider {name!r} to pass calls through to. Known: {known}."
            call.respond_json(404, error_body(message, "invalid_request_error", "unknown_provider"))
            return
        if upstream.is_loop:
            refuse_loop(call, upstream)
            return
        call.route = f"{upstream.name}-passthrough"
        self._dispatcher.send(call, upstream, slash + rest, "passthrough", cors)
