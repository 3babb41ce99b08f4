"""OpenTelemetry comes in: POST /v1/traces, /v1/logs and /v1/metrics (OTLP/HTTP, protobuf and JSON).

A post is gathered within a bound of memory, read in one worker thread, stored, and answered when it is on disk. Every
refusal is a google.rpc.Status in the request's encoding; what may be tried again is a 503 with Retry-After, because
that is what every exporter tries again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from llmflow_web.errors import Busy, LLMFlowError, RequestError, StoreError
from llmflow_web.net.gather import BodyMemory, Held, gather_body
from llmflow_web.net.http import ServerCall
from llmflow_web.net.otlp_status import JSON_TYPE, OTLP_PATHS, content_type_of, respond_status
from llmflow_web.net.router import Router
from llmflow_web.record.intake import Intake, Piece
from llmflow_web.wire.content import codings_of
from llmflow_web.wire.otlp_values import Signal

if TYPE_CHECKING:
    from llmflow_web.record.received import Received

BUSY_AFTER_S = 1
FAILING_AFTER_S = 5
"""When a sender shall come again, after a full house and after a failing disk."""

_OTHER_METHODS = ("GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
_CODINGS = frozenset({"gzip", "x-gzip", "deflate"})


@dataclass(frozen=True, slots=True)
class IngestLimits:
    """What senders may ask of us."""

    max_body_bytes: int = 64 * 1024 * 1024  # of one request, as it comes and decompressed
    max_memory_bytes: int = 128 * 1024 * 1024  # of all requests, from their first byte to their commit
    max_queued_rows: int = 1000  # of all requests, waiting for the database: half of what may wait there
    max_queued_bytes: int = 16 * 1024 * 1024
    max_wait_s: float = 8.0  # for the turn to be read: exporters give up after 10 s and would send it again


class Relay(Protocol):
    """Where requests go as they came, once they are stored: record.forward.Forwarder.put_received."""

    def __call__(self, signal: Signal, body: bytes, count: int, *, is_json: bool) -> None:
        """Take a decompressed body of `count` spans, log records or data points."""


class OtlpRoutes:
    """Takes the three signals."""

    def __init__(
        self,
        intake: Intake,
        limits: IngestLimits | None = None,
        *,
        on_error: Callable[[ServerCall, BaseException], None] | None = None,
        relay: Relay | None = None,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """Store what comes by `intake`.

        on_error: told of what should not happen. relay: who wants bodies as they came, where anybody does.
        """
        self._relay = relay
        self._clock_ns = clock_ns
        self._intake = intake
        self._limits = limits or IngestLimits()
        self._memory = BodyMemory(self._limits.max_memory_bytes)
        self._on_error = on_error
        # One thread and one body at a time: reading is all Python, so a second would only slow the loop down.
        self._thread = ThreadPoolExecutor(1, "llmflow-otlp")
        self._turn = asyncio.Lock()
        self._is_stopping = False

    def __repr__(self) -> str:
        return f"<OtlpRoutes {self._memory!r} {self._intake!r}>"

    def register(self, router: Router) -> None:
        """Put our routes into the table."""
        for path, signal in OTLP_PATHS.items():
            router.add("POST", path, partial(self.export, signal=signal))
            for method in _OTHER_METHODS:
                router.add(method, path, refuse_method)

    def stop(self) -> None:
        """Take no new posts."""
        self._is_stopping = True

    def close(self) -> None:
        """Let the thread go; what it is reading is not stored any more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def export(self, call: ServerCall, *, signal: Signal) -> None:
        """Take one export; whatever happens, the answer is one that an exporter understands."""
        try:
            await self._export(call, signal)
        except RequestError as error:
            respond_status(call, error.status, error.message)
        except StoreError as error:
            respond_status(call, 503, error.message, [("retry-after", str(FAILING_AFTER_S))])
        except LLMFlowError as error:
            respond_status(call, error.status, error.message, [("retry-after", str(BUSY_AFTER_S))])
        except Exception as error:  # noqa: BLE001 - a defect of ours
            if self._on_error is not None:
                self._on_error(call, error)
            respond_status(call, 500, "Something went wrong here; see the server's log.")

    async def _export(self, call: ServerCall, signal: Signal) -> None:
        content_type = content_type_of(call)
        if content_type is None:
            raise _unsupported(f"OTLP comes as application/x-protobuf or application/json, not as {_sent_type(call)}.")
        codings = _codings(call)
        if self._is_stopping:
            raise Busy("LLMFlow is stopping.")
        self._intake.check()
        with self._memory.hold() as held:
            body = await gather_body(call, held, self._limits.max_body_bytes)
            is_json = content_type == JSON_TYPE
            taken = await self._read(call, held, self._job(signal, body, codings, is_json=is_json))
            del body
            count = taken.count
            await self._intake.store(_let_go(taken.pieces))
            if self._relay is not None:
                self._relay(signal, taken.body, count, is_json=is_json)
        call.respond(200, [("content-type", content_type)], _answer(signal, taken, content_type))

    def _job(self, signal: Signal, body: list[bytes], codings: list[str], *, is_json: bool) -> Callable[[], Received]:
        return partial(
            _received,
            signal,
            body,
            codings,
            is_json=is_json,
            limit=self._limits.max_body_bytes,
            now_ns=self._clock_ns(),
            is_body_kept=self._relay is not None,
        )

    async def _read(self, call: ServerCall, held: Held, job: Callable[[], Received]) -> Received:
        """Read a body when its turn comes."""
        is_gone = asyncio.Event()
        call.on_disconnect = is_gone.set
        await self._wait_for_turn(held)
        try:
            if is_gone.is_set():  # the sender has given up, and will come again: what it has lost is its patience
                raise RequestError("The client closed the connection.")
            taken = await asyncio.get_running_loop().run_in_executor(self._thread, job)
        except RuntimeError as error:  # the thread has been let go
            raise Busy("LLMFlow is stopping.") from error
        finally:
            self._turn.release()
        held.resize(taken.weight)
        return taken

    async def _wait_for_turn(self, held: Held) -> None:
        try:
            async with asyncio.timeout(self._limits.max_wait_s):
                await self._turn.acquire()
                try:
                    await held.wait_for_others()
                except BaseException:
                    self._turn.release()
                    raise
        except TimeoutError as error:
            raise Busy("Too much waits to be read; send it again in a moment.") from error


class OtlpPort:
    """The port that exporters try first: the three signals, and whether we are there."""

    def __init__(
        self,
        routes: OtlpRoutes,
        *,
        port: Callable[[], int | None],
        dashboard_port: Callable[[], int],
        on_error: Callable[[ServerCall, BaseException], None],
    ) -> None:
        """Send the three signals to `routes`."""
        self._port = port
        self._dashboard_port = dashboard_port
        self._router = Router(on_error=on_error, fallback=self._refuse_path)
        routes.register(self._router)
        for path in ("/health", "/api/health"):
            self._router.add("GET", path, self._health)

    def __repr__(self) -> str:
        return f"<OtlpPort {self._router!r}>"

    def answer(self, call: ServerCall) -> None:
        """Answer one request that was let in."""
        self._router(call)

    def _health(self, call: ServerCall) -> None:
        told = {"status": "ok", "service": "otlp", "port": self._port(), "dashboard_port": self._dashboard_port()}
        call.respond_json(200, told, [("cache-control", "no-store")])

    def _refuse_path(self, call: ServerCall) -> None:
        message = (
            f"There is nothing at {call.path}. This port takes OTLP at {', '.join(OTLP_PATHS)}; an endpoint set "
            f"for one signal needs the whole path. The dashboard is on port {self._dashboard_port()}."
        )
        respond_status(call, 404, message)


def _received(signal: Signal, pieces: list[bytes], codings: list[str], **told: Any) -> Received:
    from llmflow_web.record.received import received  # decoder and conventions: loaded by the first post, in its thread

    body = [b"".join(pieces)]
    pieces.clear()
    return received(signal, body.pop(), codings, **told)


def _answer(signal: Signal, taken: Received, content_type: str) -> bytes:
    from llmflow_web.wire.otlp import encode_response

    is_json = content_type == JSON_TYPE
    return encode_response(signal, rejected=taken.rejected, message=taken.message, is_json=is_json)


def refuse_method(call: ServerCall) -> None:
    """Answer whatever is no POST."""
    method = call.head.method.decode("latin-1")
    respond_status(call, 405, f"{method} is not possible at {call.path}; POST is.", [("allow", "POST")])


def _codings(call: ServerCall) -> list[str]:
    sent = (call.header(b"content-encoding") or b"").decode("latin-1")
    codings = codings_of(sent)
    if codings is None or not _CODINGS.issuperset(codings):
        raise _unsupported(f"The content-encoding {sent[:40]!r} cannot be undone here; send gzip, deflate or none.")
    return codings


def _sent_type(call: ServerCall) -> str:
    sent = (call.header(b"content-type") or b"").decode("latin-1")
    return repr(sent[:80]) if sent else "something without a content-type"


def _unsupported(message: str) -> RequestError:
    error = RequestError(message)
    error.status = 415
    return error


def _let_go(pieces: list[Piece]) -> Iterator[Piece]:
    """Give pieces out one by one without keeping them."""
    pieces.reverse()
    while pieces:
        yield pieces.pop()
