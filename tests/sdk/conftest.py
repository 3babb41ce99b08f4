"""The SDK under test: with a sender of the test's own that writes down what it posts, or with a whole LLMFlow."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from llmflow_web.sdk import configure, delivery, flush
from llmflow_web.sdk.delivery import Sender
from llmflow_web.sdk.settings import settings

PATIENCE_S = 60.0


class Posted:
    """All spans that were posted so far."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def post(self, _url: str, _token: str | None, body: bytes) -> tuple[int, bytes]:
        self.bodies.append(body)
        count = len(json.loads(body)["spans"])
        return 201, json.dumps({"stored": count, "rejected": 0, "results": []}).encode()

    def all(self) -> list[dict[str, Any]]:
        """Return every span that has ended, in the order of their ends."""
        assert flush(PATIENCE_S)
        return [span for body in self.bodies for span in json.loads(body)["spans"]]

    def one(self) -> dict[str, Any]:
        (span,) = self.all()
        return span

    def named(self) -> dict[str, dict[str, Any]]:
        return {span["span_name"]: span for span in self.all()}


@pytest.fixture
def use_sender(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Sender], Sender]]:
    """Have the SDK deliver by a sender of the test's."""
    used: list[Sender] = []
    monkeypatch.setattr(delivery, "POST_TIMEOUT_S", PATIENCE_S)  # the machine may be slow
    for name in ("LLMFLOW_URL", "LLMFLOW_TOKEN", "LLMFLOW_SDK", "LLMFLOW_SERVICE_NAME"):
        monkeypatch.delenv(name, raising=False)

    def use(sender: Sender) -> Sender:
        sender.prepare = settings.prepare
        monkeypatch.setattr(settings, "sender", sender)
        used.append(sender)
        configure()
        return sender

    yield use
    for sender in used:
        sender.close(PATIENCE_S)
    settings.given = {}
    settings.is_read = False


@pytest.fixture
def posted(use_sender: Callable[[Sender], Sender]) -> Posted:
    """What the SDK posts."""
    found = Posted()
    use_sender(Sender(found.post))
    return found


@pytest.fixture
def sdk(use_sender: Callable[[Sender], Sender], flow: Any) -> Any:
    """A whole LLMFlow that the SDK delivers to."""
    use_sender(Sender())
    configure(url=flow.dashboard_url)
    return flow
