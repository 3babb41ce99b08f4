"""How alerts reach people outside: webhooks and commands, tried again when they fail, never in the way of a call.

Each delivery is a task of the loop; a bounded number of them waits, what is beyond it is dropped and shown as such.
No message of ours repeats a webhook's path or query, which is where its secret is.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from asyncio.subprocess import DEVNULL
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from llmflow_web.errors import LLMFlowError
from llmflow_web.model import JSON
from llmflow_web.record.budget_windows import told
from llmflow_web.record.budgets import Alert, means_of

MAX_WAITING = 100
MAX_SHOWN = 50
MAX_AT_ONCE = 4
PAUSES_S = (1.0, 4.0, 15.0, 60.0)
"""Between the attempts: there is one more than pauses."""

TIMEOUT_S = 10.0
COMMAND_TIMEOUT_S = 30.0

Fetch = Callable[[str, bytes], Awaitable[int]]
"""Post a JSON body to a URL and return the status."""


@dataclass(slots=True)
class Delivery:
    """One alert on its way to one place."""

    alert: Alert
    kind: str  # webhook | command
    target: str  # as it may be shown
    state: str = "waiting"  # waiting | delivered | failed | dropped
    attempts: int = 0
    error: str | None = None

    @property
    def shown(self) -> JSON:
        """The delivery as the API tells it."""
        return {
            "at": told(self.alert.at_s, self.alert.account.zone),
            "name": self.alert.account.name,
            "event": self.alert.kind,
            "kind": self.kind,
            "target": self.target,
            "state": self.state,
            "attempts": self.attempts,
            "error": self.error,
        }


class Deliveries:
    """Sends alerts where their rules say. Belongs to the loop's thread."""

    def __init__(
        self,
        fetch: Fetch,
        *,
        environment: Mapping[str, str],
        on_change: Callable[[], None] = lambda: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        command_timeout_s: float = COMMAND_TIMEOUT_S,
    ) -> None:
        """environment: what commands inherit."""
        self._fetch = fetch
        self._environment = environment
        self._on_change = on_change
        self._sleep = sleep
        self._command_timeout_s = command_timeout_s
        self._known: deque[Delivery] = deque(maxlen=MAX_SHOWN)
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Semaphore(MAX_AT_ONCE)
        self._is_closing = False

    def __repr__(self) -> str:
        return f"<Deliveries {len(self._tasks)} under way>"

    def send(self, alert: Alert) -> None:
        """Have an alert delivered; returns at once."""
        account, means = alert.account, means_of(alert.account)
        if account.webhook:
            self._begin(Delivery(alert, "webhook", means["webhook"]), self._post)
        if account.command:
            self._begin(Delivery(alert, "command", means["command"]), self._run)

    def shown(self) -> list[JSON]:
        """Return the newest deliveries, newest first."""
        return [delivery.shown for delivery in reversed(self._known)]

    async def close(self, grace_s: float) -> None:
        """Let what is under way have `grace_s`; then give it up. Nothing new is begun."""
        self._is_closing = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_s)
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _begin(self, delivery: Delivery, attempt: Callable[[Delivery], Awaitable[None]]) -> None:
        self._known.append(delivery)
        if len(self._tasks) >= MAX_WAITING or self._is_closing:
            delivery.state, delivery.error = "dropped", f"more than {MAX_WAITING} alerts wait to be delivered"
            return
        task = asyncio.get_running_loop().create_task(self._deliver(delivery, attempt))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, delivery: Delivery, attempt: Callable[[Delivery], Awaitable[None]]) -> None:
        for pause in (*PAUSES_S, None):
            delivery.attempts += 1
            try:
                async with self._turn:
                    await attempt(delivery)
                delivery.state, delivery.error = "delivered", None
            except (LLMFlowError, OSError, ValueError) as error:
                delivery.error = _sentence(error, delivery.alert.account.webhook)
            except asyncio.CancelledError:
                delivery.state, delivery.error = "failed", delivery.error or "LLMFlow stopped"
                raise
            if delivery.state == "delivered" or pause is None or self._is_closing:
                break
            self._on_change()
            await self._sleep(pause)
        if delivery.state == "waiting":
            delivery.state = "failed"
        self._on_change()

    async def _post(self, delivery: Delivery) -> None:
        body = json.dumps(delivery.alert.facts).encode()
        status = await self._fetch(delivery.alert.account.webhook or "", body)
        if not 200 <= status < 300:
            raise ValueError(f"it answered {status}")

    async def _run(self, delivery: Delivery) -> None:
        program = delivery.alert.account.command
        process = await asyncio.create_subprocess_exec(
            *program,
            stdin=DEVNULL,
            stdout=DEVNULL,
            stderr=DEVNULL,
            env={**self._environment, **_variables(delivery.alert)},
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(self._command_timeout_s):
                code = await process.wait()
        except TimeoutError as error:
            raise ValueError(f"it did not end within {self._command_timeout_s:g} s") from error
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        if code:
            raise ValueError(f"it ended with {code}")


def _variables(alert: Alert) -> dict[str, str]:
    """Return what a command is told: LLMFLOW_BUDGET_EVENT, _NAME, _USED, _LIMIT, _UNIT, _PER, _RESETS_AT, _TEXT."""
    facts = {name: value for name, value in alert.facts.items() if isinstance(value, (str, int, float))}
    return {f"LLMFLOW_BUDGET_{name.upper()}": str(value) for name, value in facts.items()}


def _sentence(error: Exception, webhook: str | None) -> str:
    """Say what went wrong, without what follows the host in a webhook."""
    text = error.message if isinstance(error, LLMFlowError) else str(error)
    parts = urlsplit(webhook or "")
    for secret in (parts.query, parts.path):
        if len(secret) > 1:
            text = text.replace(secret, "/…")
    return text[:300] or type(error).__name__


def fetcher(post: Callable[..., Awaitable[tuple[int, object, object]]]) -> Fetch:
    """Return a `Fetch` by `net.http.Client.fetch`."""

    async def fetch(url: str, body: bytes) -> int:
        status, _, _ = await post("POST", url, [("content-type", "application/json")], body, timeout_s=TIMEOUT_S)
        return status

    return fetch
