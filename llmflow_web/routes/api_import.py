"""POST /api/import: lines of a file come in, as `llmflow import` sends them. Answered when they are on disk.

Every kind of line that record/importing reads is taken, OTLP among them: /v1/* cannot say what was there already, nor
that a row came out of a file.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from llmflow_web.errors import BadRequest, Busy
from llmflow_web.model import JSON
from llmflow_web.net.gather import BodyMemory, gather_body
from llmflow_web.net.http import ServerCall
from llmflow_web.net.router import Router
from llmflow_web.record.intake import Intake, pieces_of
from llmflow_web.record.reading import Store, ask
from llmflow_web.wire.content import codings_of

if TYPE_CHECKING:
    from llmflow_web.record.importing import Taken, Tally

MAX_POST_BYTES = 64 * 1024 * 1024
MAX_MEMORY_BYTES = 128 * 1024 * 1024
MAX_ERRORS = 1000
"""Lines that are named in one answer."""


class ImportRoutes:
    """Takes lines of files."""

    def __init__(self, store: Store, intake: Intake, *, clock_ns: Callable[[], int] = time.time_ns) -> None:
        """Ask `store` what is there already, and put in by `intake` what is not."""
        self._store = store
        self._intake = intake
        self._clock_ns = clock_ns
        self._memory = BodyMemory(MAX_MEMORY_BYTES)
        self._thread = ThreadPoolExecutor(1, "llmflow-import")

    def __repr__(self) -> str:
        return f"<ImportRoutes {self._memory!r}>"

    def register(self, router: Router) -> None:
        """Put our route into the table."""
        router.add("POST", "/api/import", self.take_in)

    def close(self) -> None:
        """Let the thread go; what it is reading is not stored any more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def take_in(self, call: ServerCall) -> None:
        """Store the lines of a body that are new, and say what became of each."""
        sent = (call.header(b"content-encoding") or b"").decode("latin-1")
        codings = codings_of(sent)
        if codings is None:
            raise BadRequest(f"The content-encoding {sent[:40]!r} cannot be undone here; send gzip or none.")
        self._intake.check()
        with self._memory.hold() as held:
            pieces = await gather_body(call, held, MAX_POST_BYTES)
            takens = await self._read(partial(_taken, pieces, codings, self._clock_ns()))
            tally = await self._keep(call, takens)
        call.respond_json(200, _answer(takens, tally))

    async def _read(self, job: Callable[[], list[Taken]]) -> list[Taken]:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, job)
        except RuntimeError as error:  # the thread has been let go
            raise Busy("LLMFlow is stopping.") from error

    async def _keep(self, call: ServerCall, takens: list[Taken]) -> Tally:
        from llmflow_web.record.importing import sift, wanted
        from llmflow_web.store.transfer import known

        found = await ask(self._store, call, known, wanted(takens), long=True)
        fresh, tally = sift(takens, found)
        await self._intake.store(pieces_of(fresh))
        return tally


def _taken(pieces: list[bytes], codings: list[str], now_ns: int) -> list[Taken]:
    """Read a body. On the thread for it."""
    from llmflow_web.record.importing import Taken, take
    from llmflow_web.wire.content import inflated_request

    body = inflated_request(b"".join(pieces), codings, MAX_POST_BYTES)
    pieces.clear()
    return [take(line, now_ns=now_ns) if line.strip() else Taken() for line in body.split(b"\n")]


def _answer(takens: list[Taken], tally: Tally) -> JSON:
    errors = [{"line": number, "error": error} for number, taken in enumerate(takens, 1) for error in taken.errors]
    return {"new": tally.new, "known": tally.known, "refused": tally.refused, "errors": errors[:MAX_ERRORS]}
