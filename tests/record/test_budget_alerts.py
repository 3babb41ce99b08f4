"""Alerts on their way out: webhooks and commands, tried again, bounded, and silent about their secrets."""

from __future__ import annotations

import asyncio
import json
import sys

import pytest

from llmflow_web.errors import UpstreamUnreachable
from llmflow_web.record.budget_alerts import MAX_WAITING, PAUSES_S, Deliveries
from llmflow_web.record.budget_rules import Rule, Scope
from llmflow_web.record.budgets import Alert

HOOK = "https://hooks.example.com/services/T0/secret?key=secret"
PATIENCE_S = 30


def alert(kind: str = "exceeded", **means) -> Alert:
    rule = Rule(name="daily", limit=1.0, scope=Scope(tag="ci"), tz="UTC", **means)
    return Alert(kind, rule, 1.25, 1.0, "usd", (0, 86400), 3600.0)


async def until(is_true) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not is_true():
            await asyncio.sleep(0.005)


class Desk:
    """Deliveries whose pauses take no time and whose webhooks answer what they are told to."""

    def __init__(self, *answers, **more) -> None:
        self.answers = list(answers)
        self.posted: list[tuple[str, dict]] = []
        self.pauses: list[float] = []
        self.deliveries = Deliveries(self.fetch, environment={"PATH": "/usr/bin:/bin"}, sleep=self.sleep, **more)

    async def fetch(self, url: str, body: bytes) -> int:
        self.posted.append((url, json.loads(body)))
        answer = self.answers.pop(0) if self.answers else 200
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def states(self) -> list[str]:
        return [one["state"] for one in self.deliveries.shown()]


def test_a_webhook() -> None:
    """A webhook is sent all facts as JSON, with a sentence where chat tools look for one."""

    async def scenario() -> None:
        desk = Desk()
        desk.deliveries.send(alert(webhook=HOOK))
        await until(lambda: desk.states() == ["delivered"])
        ((url, body),) = desk.posted
        assert url == HOOK
        assert body["text"] == "Budget daily is used up: $1.25 of $1.00 today."
        assert (body["event"], body["name"], body["used"], body["limit"], body["unit"]) == (
            "exceeded", "daily", 1.25, 1.0, "usd",
        )  # fmt: skip
        assert (body["resets_at"], body["scope"]) == ("1970-01-02T00:00:00+00:00", {"tag": "ci"})
        await desk.deliveries.close(1)

    asyncio.run(scenario())


def test_it_is_tried_again() -> None:
    """A failing webhook is tried again with growing pauses, then given up; each state is shown, the secret nowhere."""

    async def scenario() -> None:
        error = UpstreamUnreachable(f"cannot reach {HOOK}")
        desk = Desk(500, error, OSError("no route"), 200)
        desk.deliveries.send(alert(webhook=HOOK))
        await until(lambda: desk.states() == ["delivered"])
        assert desk.pauses == list(PAUSES_S[:3])
        assert desk.deliveries.shown()[0]["attempts"] == 4
        desk.answers = [error] * 10
        desk.deliveries.send(alert(webhook=HOOK))
        await until(lambda: desk.states() == ["failed", "delivered"])
        shown = desk.deliveries.shown()[0]
        assert (shown["attempts"], shown["target"]) == (len(PAUSES_S) + 1, "hooks.example.com")
        assert "cannot reach" in shown["error"]
        assert "secret" not in json.dumps(desk.deliveries.shown())
        await desk.deliveries.close(1)

    asyncio.run(scenario())


def test_bounded() -> None:
    """More alerts than may wait are dropped and shown as such; closing does not wait for a webhook for ever."""

    async def scenario() -> None:
        never = asyncio.Event()

        async def hang(url: str, body: bytes) -> int:
            await never.wait()
            return 200

        deliveries = Deliveries(hang, environment={})
        for _ in range(MAX_WAITING + 3):
            deliveries.send(alert(webhook=HOOK))
        assert [one["state"] for one in deliveries.shown()[:4]] == ["dropped"] * 3 + ["waiting"]
        await deliveries.close(0.01)
        assert {one["state"] for one in deliveries.shown()} == {"dropped", "failed"}

    asyncio.run(scenario())


@pytest.mark.skipif(sys.platform == "win32", reason="no process groups there")
def test_a_command(tmp_path) -> None:
    """A command is run as it is written, without a shell, and reads the facts in its environment."""

    async def scenario() -> None:
        desk = Desk()
        told = tmp_path / "told"
        program = "import os, sys; open(sys.argv[1], 'w').write(os.environ['LLMFLOW_BUDGET_TEXT'] + sys.argv[2])"
        desk.deliveries.send(alert(command=(sys.executable, "-c", program, str(told), " $(id); *")))
        await until(lambda: desk.states() == ["delivered"])
        assert told.read_text() == "Budget daily is used up: $1.25 of $1.00 today. $(id); *"
        desk.deliveries.send(alert(command=(sys.executable, "-c", "raise SystemExit(3)")))
        await until(lambda: desk.states()[0] == "failed")
        assert desk.deliveries.shown()[0]["error"] == "it ended with 3"
        desk.deliveries.send(alert(command=("/nowhere/program",)))
        await until(lambda: desk.states()[0] == "failed")
        await desk.deliveries.close(1)

    asyncio.run(scenario())


@pytest.mark.skipif(sys.platform == "win32", reason="no process groups there")
def test_a_command_that_hangs() -> None:
    """A command that does not end is ended, with all that it started."""

    async def scenario() -> None:
        desk = Desk(command_timeout_s=0.3)
        hangs = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); time.sleep(600)"
        desk.deliveries.send(alert(command=(sys.executable, "-c", hangs)))
        await until(lambda: desk.states() == ["failed"])
        assert "did not end within 0.3 s" in desk.deliveries.shown()[0]["error"]
        await desk.deliveries.close(1)

    asyncio.run(scenario())
