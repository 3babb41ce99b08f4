"""Request and response heads: the fast lane in front of h11 (placeholder: the values; parsing follows)."""

from __future__ import annotations

from llmflow_web.model import Header

FRAMING_NONE = 0  # no body at all
FRAMING_LENGTH = 1
FRAMING_CHUNKED = 2
FRAMING_CLOSE = 3  # until the connection ends


class RequestHead:
    """A request's head as read: names lower-cased beside the untouched lines."""

    __slots__ = (
        "content_length",
        "expects_continue",
        "framing",
        "headers",
        "keep_alive",
        "method",
        "target",
        "upgrade",
        "version",
    )

    def __init__(self, method: bytes, target: bytes, version: bytes, headers: list[Header]) -> None:
        self.method = method
        self.target = target
        self.version = version  # b"1.1" or b"1.0"
        self.headers = headers
        self.framing = FRAMING_NONE
        self.content_length = 0
        self.keep_alive = True
        self.expects_continue = False
        self.upgrade: bytes | None = None  # lower-case Upgrade value when Connection names it


class ResponseHead:
    """A response's head as read."""

    __slots__ = ("content_length", "framing", "headers", "keep_alive", "reason", "status", "version")

    def __init__(self, status: int, reason: bytes, version: bytes, headers: list[Header]) -> None:
        self.status = status
        self.reason = reason
        self.version = version
        self.headers = headers
        self.framing = FRAMING_CLOSE
        self.content_length = 0
        self.keep_alive = True
