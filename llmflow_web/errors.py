"""The error tree. Every error knows whose fault it is and the HTTP status it is answered with.

LLMFlowError
├── RequestError            the caller's fault
│   ├── BadRequest          400   what was sent cannot be understood
│   ├── NotFound            404
│   ├── Conflict            409   it is there already, or is not to be changed from here
│   ├── TooLarge            413   a named limit was passed
│   ├── Refused             429   LLMFlow itself does not let a call go on: a budget is used up
│   │   └── NotRecorded     424   the cassette that is replayed has no answer to a call
│   └── HeaderTooLarge      431
├── UpstreamError           502   the provider's fault, or the way to it
│   ├── UpstreamUnreachable 502   no connection could be made
│   ├── UpstreamClosed      502   the connection ended before the answer did
│   ├── UpstreamProtocol    502   what came is not HTTP
│   └── UpstreamTimeout     504   UPSTREAM_IDLE_TIMEOUT_S passed without a byte
├── Busy                    503   more is being sent than can be taken in just now
├── StoreError              503   the database cannot be read or written just now
│   └── StoreRefused        -     a file that is not ours, or newer than we are: nothing is touched
├── StartRefused            -     the program cannot start: a port is taken; exit code 1
└── ConfigError             -     a setting is wrong; the program ends with exit code 2
"""

from __future__ import annotations

from collections.abc import Mapping


class LLMFlowError(Exception):
    """The root of everything raised on purpose here."""

    status = 500

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class RequestError(LLMFlowError):
    """The caller sent something that cannot be served."""

    status = 400


class BadRequest(RequestError):
    """What was sent cannot be understood; the message says what and how to mend it."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param
        """The field of the request body that is at fault, as OpenAI's errors name it: messages[0].content[1]."""


class NotFound(RequestError):
    """There is nothing at this address."""

    status = 404


class Conflict(RequestError):
    """What is asked for does not go together with what is there; the message says with what."""

    status = 409


class TooLarge(RequestError):
    """A named limit was passed; the message names it."""

    status = 413


class Refused(RequestError):
    """LLMFlow itself does not let a call go on; the message says by which rule, and when it may."""

    status = 429

    def __init__(self, message: str, code: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.code = code
        """The reason in one word, for programs: budget_exceeded."""
        self.headers = dict(headers or {})
        """For the answer: Retry-After, and what is ours."""


class NotRecorded(Refused):
    """The cassette that is replayed has no answer to a call; the message says what differs from the nearest one."""

    # Failed Dependency: no SDK sends it again, and none takes it for something that programs handle by themselves.
    status = 424


class HeaderTooLarge(RequestError):
    """The head of a request passed MAX_HEAD_BYTES."""

    status = 431


class UpstreamError(LLMFlowError):
    """The provider, or the way to it, failed."""

    status = 502

    def __init__(self, message: str, *, is_retry_safe: bool = False) -> None:
        super().__init__(message)
        self.is_retry_safe = is_retry_safe
        """True when upstream cannot have processed any of the request."""


class UpstreamUnreachable(UpstreamError):
    """No connection could be made."""


class UpstreamClosed(UpstreamError):
    """The connection ended before the answer did."""


class UpstreamProtocol(UpstreamError):
    """What upstream sent is not HTTP/1.1."""


class UpstreamTimeout(UpstreamError):
    """No byte came for UPSTREAM_IDLE_TIMEOUT_S."""

    status = 504


class Busy(LLMFlowError):
    """More is being sent than can be taken in just now; the same again, a little later, will do."""

    status = 503


class StoreError(LLMFlowError):
    """The database cannot be read or written just now."""

    status = 503


class StoreRefused(StoreError):
    """A file that is not ours, or newer than this version: nothing is touched."""


class StartRefused(LLMFlowError):
    """The program cannot start; the message says why and what to do."""


class ConfigError(LLMFlowError):
    """A setting is wrong; the message names it and where it was set."""
