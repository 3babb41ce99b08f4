"""A recorded call once more: GET and POST /api/traces/{id}/replay.

The call goes through our own proxy, so that keys, prices, budgets and recording are those of any call. A key may come
with the request in `x-llmflow-key`; otherwise the proxy may add the environment's.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

from llmflow_web.errors import BadRequest, LLMFlowError, NotFound
from llmflow_web.model import JSON, PART_ATTRIBUTES, PART_HEADERS, PART_REQUEST
from llmflow_web.net.http import Client, ServerCall
from llmflow_web.net.router import Router, query_params
from llmflow_web.net.upstreams import Upstream
from llmflow_web.record.messages import messages_of
from llmflow_web.record.observed import parsed_object
from llmflow_web.record.reading import WriteStore, ask
from llmflow_web.record.replay import MAX_EDIT_BYTES, Edit, Plan, Recorded, edit_from, plan
from llmflow_web.store import spans
from llmflow_web.wire.head import ResponseHead
from llmflow_web.wire.headers import get

KEY_HEADER = b"x-llmflow-key"
_IDS = (("trace_id", b"x-llmflow-trace-id"), ("id", b"x-llmflow-span-id"))


class ReplayRoutes:
    """What a recorded call would be sent as, and sending it."""

    def __init__(
        self,
        store: WriteStore,
        client: Client,
        *,
        upstreams: Mapping[str, Upstream],
        proxy_origin: Callable[[], str],
        token: str | None = None,
    ) -> None:
        """Send by `client` to the proxy at `proxy_origin` (scheme, host, port). token: what it asks callers for."""
        self._store = store
        self._client = client
        self._upstreams = upstreams
        self._proxy_origin = proxy_origin
        self._token = token

    def register(self, router: Router) -> None:
        """Put our routes into the table."""
        router.add("GET", "/api/traces/{key}/replay", self.show)
        router.add("POST", "/api/traces/{key}/replay", self.send)

    async def show(self, call: ServerCall, key: str) -> None:
        """Answer with what a replay would send; `provider` and `model` choose others."""
        params = query_params(call)
        edit = Edit(provider=params.get("provider") or None, model=params.get("model") or None)
        made = await self._plan(call, key, params.get("trace_id"), edit)
        has_key = self._upstreams[made.provider].key is not None or self._upstreams[made.provider].provider.is_local
        found = made.shown() | {"has_key": has_key, "providers": self._providers()}
        call.respond_json(200, found, [("cache-control", "no-store")])

    async def send(self, call: ServerCall, key: str) -> None:
        """Send it; answer with the new ids as soon as the answer's head is here (202), or with `wait=1` at its end."""
        params = query_params(call)
        given = await call.body(MAX_EDIT_BYTES)
        try:
            edit = edit_from(json.loads(given) if given.strip() else {})
        except (ValueError, RecursionError) as error:
            raise BadRequest(f"The body is no JSON: {error}") from error
        made = await self._plan(call, key, params.get("trace_id"), edit)
        watch = self._start(made, (call.header(KEY_HEADER) or b"").decode("latin-1").strip())
        head = await watch.head
        told: JSON = {name: (get(head.headers, header) or b"").decode("latin-1") for name, header in _IDS}
        told |= {"replay_of": key, "notes": list(made.notes), "is_finished": False}
        if params.get("wait") in ("1", "true"):
            await watch.ended
            await asyncio.wrap_future(self._store.call(_nothing))  # its turn comes when the call is stored
            told |= {"is_finished": True}
        call.respond_json(200 if told["is_finished"] else 202, told | {"status": head.status})

    def _providers(self) -> list[str]:
        return [name for name, one in self._upstreams.items() if one.provider.has_proxy_route and not one.is_loop]

    async def _plan(self, call: ServerCall, key: str, trace_id: str | None, edit: Edit) -> Plan:
        recorded = await ask(self._store, call, read_recorded, key, trace_id)
        if recorded is None:
            raise NotFound("Trace not found")
        return plan(recorded, edit, self._upstreams)

    def _start(self, made: Plan, key: str) -> _Watch:
        origin = self._proxy_origin()
        lines = [f"POST {made.path} HTTP/1.1", f"Host: {origin.partition('://')[2]}", "Accept-Encoding: identity"]
        lines += [f"{name}: {value}" for name, value in made.headers]
        lines += [f"x-llmflow-token: {self._token}"] if self._token else []
        if key:
            lines += [f"{name}: {value}" for name, value in self._upstreams[made.provider].provider.authorize(key)]
        lines += [f"Content-Length: {len(made.body)}", "", ""]
        watch = _Watch(asyncio.get_running_loop())
        self._client.request(
            origin,
            "\r\n".join(lines).encode("latin-1", "replace"),
            made.body,
            watch,
            method="POST",
            is_complete=True,
            chunked=False,
        )
        return watch


class _Watch:
    """The sink of a replayed call: its answer is recorded by the proxy, here only its head and its end count."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.head: asyncio.Future[ResponseHead] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()

    def response(self, head: ResponseHead) -> None:
        """Keep the head."""
        if not self.head.done():
            self.head.set_result(head)

    def data(self, data: bytes) -> None:
        """Let the bytes go."""

    def end(self) -> None:
        """The answer is complete."""
        if not self.ended.done():
            self.ended.set_result(None)

    def fail(self, error: LLMFlowError) -> None:
        """There is no answer, or no more of it; after its head the trace tells how it ended."""
        if not self.head.done():
            self.head.set_exception(error)
        self.end()

    def pause_upload(self) -> None:
        """The body is whole: there is nothing to pause."""

    def resume_upload(self) -> None:
        """The body is whole: there is nothing to resume."""


def _nothing(_connection: Any) -> None:
    """Do nothing, on the writer thread."""


# --- run on a reader thread ---


def read_recorded(connection: Any, key: str, trace_id: str | None = None) -> Recorded | None:
    """Read what a replay needs of a call."""
    span = spans.get_span(connection, key, trace_id)
    if span is None:
        return None
    bodies = spans.get_bodies(connection, span["seq"])
    data = {part: body.data for part, body in bodies.items() if not body.is_raw}
    headers = parsed_object(data.get(PART_HEADERS, b"")) or {}
    request = bodies.get(PART_REQUEST)
    is_whole = request is not None and not request.is_cut and not request.is_raw
    pairs: list[Any] = headers.get("request") or []
    return Recorded(
        span,
        request.data if request is not None and is_whole else None,
        {str(name).lower(): str(value) for name, value in pairs},
        str(headers.get("query") or ""),
        parsed_object(data.get(PART_ATTRIBUTES, b"")) or {},
        messages_of(span["provider"], span["operation"], data),
    )
