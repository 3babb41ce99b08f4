"""What may keep a call from leaving: the contract between the dispatcher and whoever counts what calls cost.

Without a gate no call pays for one. With one, every call that could cost something is asked about once its body is
here, and told of once it is over, whatever became of it.
"""

from __future__ import annotations

import json
from typing import Protocol

from llmflow_web.errors import Refused
from llmflow_web.model import Exchange, Held
from llmflow_web.net.http import ServerCall
from llmflow_web.provider import refused_as_openai


class Gate(Protocol):
    """Decides on calls. All of it belongs to the loop's thread and may not block."""

    def admit(self, exchange: Exchange, body: bytes | None) -> Refused | Held | None:
        """Let a call leave (None), have it wait, or say why it may not.

        body: the client's bytes; None when they are too many to be held.
        """

    def closed(self, exchange: Exchange) -> None:
        """Hear that a call is over: answered, refused, broken off. Once for each that was dispatched."""


def answer_refused(call: ServerCall, exchange: Exchange, refused: Refused) -> None:
    """Answer a call that may not leave, in the words its provider's clients understand. No client shall retry it."""
    from llmflow_web.registry import PROVIDERS

    known = {row.name: row for row in PROVIDERS}.get(exchange.dialect)  # a name of the user's own speaks OpenAI's
    write = refused_as_openai if known is None else known.refusal
    body = write(exchange.upstream_path, refused.status, refused.code, refused.message)
    headers = [
        ("content-type", "application/json"),
        ("x-llmflow-trace-id", exchange.trace_id),
        ("x-llmflow-span-id", exchange.id),
        ("x-should-retry", "false"),
        *refused.headers.items(),
    ]
    call.respond(refused.status, headers, json.dumps(body, separators=(",", ":")).encode())
