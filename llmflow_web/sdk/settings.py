"""What configure() was given, else what the environment says; and the one sender of this process."""

from __future__ import annotations

import atexit
import os

from llmflow_web.sdk.capture import captured
from llmflow_web.sdk.delivery import Sender

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Redact = Callable[[str, Any], Any]

DEFAULT_URL = "http://localhost:3000"
_OFF = frozenset({"off", "0", "false", "no"})
_REDACTED = ("input", "output", "attributes", "error")
_WITHHELD = "[withheld: the redaction hook failed]"


class Settings:
    """Read from the environment when first needed, so that a program may still set it after importing us."""

    __slots__ = ("capture", "enabled", "given", "is_read", "redact", "sender", "service_name", "url")

    def __init__(self, sender: Sender) -> None:
        self.sender = sender
        self.given: dict[str, Any] = {}
        self.is_read = False
        self.enabled = True
        self.capture = True
        self.url = DEFAULT_URL
        self.service_name: str | None = None
        self.redact: Redact | None = None

    def __repr__(self) -> str:
        return f"<Settings {self.url} {'on' if self.enabled else 'off'}>"

    def read(self) -> Settings:
        """Return ourselves, read."""
        if not self.is_read:
            given, env = self.given, os.environ
            self.enabled = given.get("enabled", env.get("LLMFLOW_SDK", "on").strip().lower() not in _OFF)
            self.capture = given.get("capture", True)
            self.service_name = given.get("service_name") or env.get("LLMFLOW_SERVICE_NAME") or None
            self.redact = given.get("redact")
            url = (given.get("url") or env.get("LLMFLOW_URL") or DEFAULT_URL).rstrip("/")
            self.url = url if "://" in url else "http://" + url
            self.sender.redirect(self.url, given.get("token") or env.get("LLMFLOW_TOKEN") or None)
            self.is_read = True
        return self

    def prepare(self, span: dict[str, Any]) -> dict[str, Any]:
        """Let the redaction hook see a span's contents before they leave. On the delivery thread."""
        if self.redact is None:
            return span
        for part in _REDACTED:
            if span.get(part) is None:
                continue
            try:
                span[part] = captured(self.redact(part, span[part]))
            except BaseException:  # noqa: BLE001 - what the hook could not judge does not leave
                span[part] = _WITHHELD
            if part == "attributes" and not isinstance(span[part], dict):
                span[part] = {"redacted": span[part]}
        return span


settings = Settings(Sender())
settings.sender.prepare = settings.prepare
atexit.register(settings.sender.close)
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=settings.sender.after_fork)


def configure(
    *,
    url: str | None = None,
    token: str | None = None,
    enabled: bool | None = None,
    capture: bool | None = None,
    service_name: str | None = None,
    redact: Redact | None = None,
) -> None:
    """Set what is given, read the rest from the environment again; without arguments, forget what was set.

    url: LLMFlow's dashboard (LLMFLOW_URL, else http://localhost:3000). token: LLMFLOW_TOKEN. enabled: LLMFLOW_SDK=off
    turns everything off. capture: whether inputs and outputs are recorded. service_name: LLMFLOW_SERVICE_NAME.
    redact: called with "input", "output", "attributes" or "error" and its value before it leaves; returns what may.
    """
    told = {"url": url, "token": token, "enabled": enabled, "capture": capture, "service_name": service_name}
    chosen = {name: value for name, value in {**told, "redact": redact}.items() if value is not None}
    settings.given = {**settings.given, **chosen} if chosen else {}
    settings.is_read = False
    settings.read()
