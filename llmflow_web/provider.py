"""The adapter contract: what one provider is, as one frozen value of pure functions.

An adapter does no I/O, reads no clock and draws no random number: what it needs of those comes in `Target`.
It imports this module, `model` and `errors`, other adapters relatively, and nothing else of ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from llmflow_web.model import JSON, Completion, Usage

Framing = Literal["sse", "ndjson"]

OPENAI_PATHS = {"/v1/chat/completions": "chat", "/v1/embeddings": "embeddings", "/v1/models": "models"}
"""Our paths that adapters translate, and the key of Provider.operations they stand for."""


@dataclass(frozen=True, slots=True)
class Event:
    """One item of a stream: an SSE event, or one NDJSON line (type "message")."""

    type: str
    data: str
    id: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a call goes: the resolved base URL and key, and what pure code may not make itself."""

    url: str  # scheme://host[:port][/prefix], without the version segment
    key: str | None = None
    now: float = 0.0  # seconds since the epoch
    new_id: Callable[[], str] = str
    options: Mapping[str, str] = field(default_factory=dict)  # api-version, deployment map, resource …
    memory: MutableMapping[str, Any] = field(default_factory=dict)  # bounded; e.g. thought signatures over turns


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request for upstream: path and query under the target's URL, headers to set, body bytes."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    ignored: tuple[str, ...] = ()  # fields of the client's body that the provider has no place for


@dataclass(frozen=True, slots=True)
class Native:
    """What a request is in its provider's own terms."""

    operation: str  # gen_ai.operation.name: chat, text_completion, embeddings, image_generation …
    model: str | None = None
    is_stream: bool = False
    span_type: str = "llm"
    name: str | None = None  # opens the span's name where the operation alone says too little: "responses"


class StreamTranslator(Protocol):
    """A machine for one streamed call: native events in, OpenAI chunks out, and the answer assembled."""

    @property
    def count(self) -> int:
        """Events that carried data, end markers left out."""

    @property
    def first_content(self) -> int | None:
        """The index, among all events fed, of the first that brought content (text, reasoning, refusal, tool call,
        audio), for the time to first token.
        """

    @property
    def is_complete(self) -> bool:
        """Say whether the dialect's terminal marker has come."""

    def feed(self, event: Event) -> list[JSON]:
        """Take one event, return the OpenAI chunks it becomes (often none or one). Never raises on foreign input."""

    def finish(self) -> list[JSON]:
        """End the stream, legal in every state, and return the chunks still owed."""

    @property
    def result(self) -> Completion:
        """The answer as far as it has come."""


@dataclass(frozen=True, slots=True)
class Operation:
    """How one operation is translated. None = the bytes go through unchanged."""

    request: Callable[[JSON, Target], Outgoing] | None
    response: Callable[[JSON, JSON], JSON] | None  # native body, original request → OpenAI body
    stream: Callable[[JSON], StreamTranslator]  # original request → a new machine
    bind: Callable[[Target], Operation] | None = None  # this operation for one target: answers need its ids or memory


def error_as_it_is(status: int, body: JSON | str) -> JSON:
    """Return an error body that is OpenAI's envelope already; wrap what is not."""
    if isinstance(body, dict) and isinstance(body.get("error"), dict):
        return body
    found = body if isinstance(body, str) else body.get("error") or body.get("message") or body.get("detail")
    message = found if isinstance(found, str) and found else f"HTTP {status}"
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


def refused_as_openai(path: str, status: int, code: str, message: str) -> JSON:
    """Write an error of our own in OpenAI's shape, whatever was asked. 429 is named as what no retry mends."""
    del path
    kinds = {429: "insufficient_quota"}
    kind = kinds.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


@dataclass(frozen=True, slots=True)
class Place:
    """Where the environment puts a provider. None and {} = it says nothing."""

    url: str | None = None  # the whole base URL, path included
    options: Mapping[str, str] = field(default_factory=dict)  # becomes Target.options
    inject_usage: bool | None = None
    origin: str = ""  # the variable that named the URL, for messages


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider. Vendors that speak OpenAI are `dataclasses.replace(OPENAI, name=…, root=…)`."""

    name: str
    title: str
    root: str  # URL before the version segment: https://api.groq.com/openai
    version: str  # the segment our /v1 stands for: "/v1", "" (Perplexity), "/v4" (Z.ai)
    key_env: tuple[str, ...]
    authorize: Callable[[str], tuple[tuple[str, str], ...]]  # key → headers
    native: Callable[[str, str, JSON], Native]  # method, upstream path, parsed body (or {}) → what is asked
    answer: Callable[[str, JSON, JSON], Completion]  # operation, request, whole native body → the answer
    stream: Callable[[str, JSON], StreamTranslator]  # operation, request → observer of a native stream
    usage: Callable[[JSON, JSON], Usage | None]  # native body, request → usage; None when there is none
    error: Callable[[int, JSON | str], str]  # native error body → one sentence for the span
    credentials: frozenset[str] = frozenset({"authorization"})  # request headers that carry the client's key
    operations: Mapping[str, Operation] = field(default_factory=dict)  # empty: everything goes through unchanged
    native_paths: tuple[str, ...] = ()  # prefixes of upstream paths that pass untouched: "/v1/messages"
    native_headers: frozenset[str] = frozenset()  # mark a listing of models, whose path OpenAI has too, as native
    translate_error: Callable[[int, JSON | str], JSON] = error_as_it_is  # native error body → OpenAI's envelope
    refusal: Callable[[str, int, str, str], JSON] = refused_as_openai  # upstream path, status, code, message → an error
    # of LLMFlow's own in the words that the provider's clients understand
    error_statuses: Mapping[int, int] = field(default_factory=dict)  # native status → what an OpenAI client gets
    default_headers: tuple[tuple[str, str], ...] = ()  # set on translated calls where the client sent none of the name
    framing: Framing = "sse"
    inject_usage: bool = False
    is_local: bool = False  # loopback by default, cost 0
    has_proxy_route: bool = True  # False: passthrough only
    price_prefixes: tuple[str, ...] = ("",)
    price_families: tuple[str, ...] = ()  # litellm_provider values a price row may have
    # What only few rows have. None = nothing special.
    place: Callable[[Mapping[str, str]], Place] | None = None  # environment → where to go; raises ConfigError
    url_from: Callable[[Mapping[str, str]], str | None] | None = None  # request headers → base URL chosen by them
    path: Callable[[str, JSON, Target], str] | None = None  # client's path and query, body (or form fields), target
    # with its whole base URL → path and query on target's host; for rows whose paths are not root + version
    dialect: Callable[[str, Mapping[str, str]], str] | None = None  # upstream URL, headers → the row that reads it
    is_free: Callable[[str | None, Mapping[str, str]], bool | None] | None = None  # model, response headers → cost 0?

    @property
    def base_url(self) -> str:
        """The URL our /v1 stands for."""
        return self.root + self.version

    def is_native(self, path: str) -> bool:
        """Say whether `path`, as upstream knows it, belongs to the provider's own API and so passes untouched."""
        return path.startswith(self.native_paths) and OPENAI_PATHS.get(path.rstrip("/")) not in self.operations
