"""The values every room shares: what a call is while it runs, and what it becomes.

No I/O, no clock, no SQL. Times are integer nanoseconds since the epoch unless the name says otherwise;
money is USD; tokens are OpenAI's counting (prompt includes cached and cache writes, completion includes reasoning).
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

JSON = dict[str, Any]

Source = Literal["proxy", "passthrough", "otlp", "sdk", "import"]
Ending = Literal["finished", "client_closed", "upstream_closed", "timed_out"]

SPAN_TYPES = (
    "trace", "llm", "agent", "chain", "tool", "retrieval", "embedding", "rerank",
    "guardrail", "evaluator", "prompt", "event", "custom",
)  # fmt: skip

STATUS_CLIENT_CLOSED = 499
STATUS_UPSTREAM_CLOSED = 502
STATUS_TIMED_OUT = 504


@dataclass(slots=True)
class Usage:
    """Tokens and other billed quantities of one call. None = the provider did not say."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    cached_tokens: int = 0
    cache_write_tokens: int = 0  # all cache writes, 5 min and 1 h
    cache_write_1h_tokens: int = 0  # the part of them with a 1 h time to live
    reasoning_tokens: int = 0
    audio_input_tokens: int = 0
    image_input_tokens: int = 0
    audio_output_tokens: int = 0
    image_output_tokens: int = 0
    billed_prompt_tokens: int | None = None  # what is charged, where it differs from what is shown (Cohere)
    billed_completion_tokens: int | None = None
    seconds: float | None = None  # audio duration (whisper)
    characters: int | None = None  # text to speech
    images: int | None = None
    image_size: str | None = None  # "1024x1024"
    image_quality: str | None = None
    queries: int | None = None  # rerank and search calls, where they are billed by the query
    web_searches: int = 0
    search_context_size: str | None = None  # low | medium | high
    service_tier: str | None = None
    speed: str | None = None  # Anthropic "fast"
    inference_geo: str | None = None  # Anthropic "us"
    reported_cost: float | None = None  # USD, as the provider bills it (OpenRouter, Perplexity, xAI)
    is_estimated: bool = False
    raw: JSON | None = None  # the provider's own usage object, untouched

    @property
    def is_empty(self) -> bool:
        """Say whether nothing at all is known."""
        return (
            self.prompt_tokens is None
            and self.completion_tokens is None
            and self.seconds is None
            and self.characters is None
            and self.images is None
            and self.queries is None
            and self.reported_cost is None
        )


@dataclass(frozen=True, slots=True)
class CostLine:
    """One line of a bill: `quantity` × `price` = `amount` USD."""

    name: str  # "input", "cached input", "cache write", "output", "reasoning", "web search" …
    quantity: float
    unit: str  # "token", "second", "character", "image", "request"
    price: float  # USD per unit
    amount: float  # USD


@dataclass(frozen=True, slots=True)
class Cost:
    """What a call cost, and why. `total` None = unknown, never a guess."""

    total: float | None
    lines: tuple[CostLine, ...] = ()
    price_key: str | None = None
    price_date: str | None = None  # ISO date of the price table
    quality: str = "none"  # exact | normalised | estimated | reported | free | none


@dataclass(slots=True)
class Completion:
    """An answer, assembled: the same whether it was streamed or not."""

    id: str | None = None
    model: str | None = None
    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    tool_calls: list[JSON] = field(default_factory=list)  # {"id", "type", "function": {"name", "arguments"}}
    finish_reason: str | None = None
    usage: Usage | None = None
    choices: list[JSON] = field(default_factory=list)  # OpenAI choices, one per index
    error: str | None = None
    body: JSON | None = None  # the whole answer as one native or OpenAI object, when it is known


@dataclass(slots=True)
class Span:
    """One stored row: the columns of table `spans`. JSON columns hold Python values here."""

    trace_id: str
    id: str
    parent_id: str | None = None
    source: Source = "proxy"
    first_source: Source | None = None  # of an imported row: how it was first recorded
    span_type: str = "llm"
    span_name: str | None = None
    service_name: str | None = None
    start_ns: int = 0
    duration_ns: int | None = None
    ttft_ms: float | None = None
    provider: str | None = None
    model: str | None = None
    request_model: str | None = None
    operation: str | None = None  # gen_ai.operation.name: chat, text_completion, embeddings …
    response_id: str | None = None
    request_id: str | None = None  # the provider's own number of the call: `request-id`, `x-request-id`
    status: int | None = None
    response_status: int | None = None
    error: str | None = None
    ending: Ending | None = None
    finish_reason: str | None = None
    is_stream: bool = False
    chunk_count: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    is_estimated: bool = False  # tokens are our estimate, not the provider's count
    estimated_cost: float | None = None
    cost_detail: JSON | None = None  # {"lines": […], "quality": …, "price_date": …}
    price_key: str | None = None
    request_method: str | None = None
    request_path: str | None = None
    session_id: str | None = None
    conversation_id: str | None = None
    user_id: str | None = None
    agent_name: str | None = None
    tool: str | None = None  # claude-code, codex-cli, gemini-cli, aider, proxy
    tags: list[str] = field(default_factory=list)
    prompt_name: str | None = None
    prompt_version: str | None = None
    prompt_key: str | None = None  # which prompt it is by its beginning: a fingerprint, "~" before it
    prompt_hash: str | None = None  # which wording of it
    replay_of: str | None = None
    joined_to: str | None = None  # set by the store: the id of the row that counts for this call
    dropped: list[str] = field(default_factory=list)  # what of the call could not be mapped or kept, by name
    notes: list[str] = field(default_factory=list)  # what LLMFlow did to it, e.g. "include_usage was asked for"
    preview_in: str | None = None  # ≤ 160 characters of the last message
    preview_out: str | None = None  # ≤ 160 characters of the answer
    derived: bool = False  # made of log records: gives way to the sender's own span of the same call
    counts: bool = True  # False: stays out of every sum. The store sets it for joined spans and repeating parents


# The parts of a span's stored body. The numbers are on disk: never renumber.
PART_HEADERS = 1  # JSON: {"request": [[name, value], …], "response": [[name, value], …], "query": text, if any}
PART_REQUEST = 2  # request body, bytes as they came (content-encoding undone)
PART_RESPONSE = 3  # response body, bytes as they came (transfer- and content-encoding undone)
PART_ANSWER = 4  # JSON: the answer assembled from a stream, in the shape of a non-streamed one
PART_ARRIVALS = 5  # varints: (offset delta, microseconds delta) of each arrival of the response body
PART_ATTRIBUTES = 6  # JSON: attributes of an OTLP or SDK span as sent; metadata of a call
PART_INPUT = 7  # JSON: input of an SDK span
PART_OUTPUT = 8  # JSON: output of an SDK span
PART_OTLP = 9  # JSON: what an OTLP span has beside its attributes: resource, scope, events, links, flags, counts

PART_NAMES: dict[str, int] = {
    "headers": PART_HEADERS,
    "request": PART_REQUEST,
    "response": PART_RESPONSE,
    "answer": PART_ANSWER,
    "arrivals": PART_ARRIVALS,
    "attributes": PART_ATTRIBUTES,
    "input": PART_INPUT,
    "output": PART_OUTPUT,
    "otlp": PART_OTLP,
}


MAX_STORED_BODY_BYTES = 8 * 1024 * 1024
"""The longest part of a call that is stored; the rest is cut and marked."""


@dataclass(frozen=True, slots=True)
class Body:
    """One stored part of a span. `is_cut`: more came than MAX_STORED_BODY_BYTES."""

    part: int
    data: bytes
    size: int  # bytes as seen on the wire, before any cut
    is_cut: bool = False
    is_raw: bool = False  # a content-encoding we cannot undo: bytes are kept as they came


@dataclass(slots=True)
class Row:
    """A span ready for the store, with its bodies."""

    span: Span
    bodies: Sequence[Body] = ()
    usage: Usage | None = None  # what a row of others is billed by, where its columns say less; not stored
    text: str | None = None  # its words for the search index, where they are known before it is fed; not stored


@dataclass(frozen=True, slots=True)
class Unrecorded:
    """A call that counts for budgets and is not kept."""

    span: Span


@dataclass(slots=True)
class Log:
    """One log record: a row of table `logs`. JSON columns hold Python values here."""

    id: str  # the same for the same record sent again
    time_ns: int
    observed_ns: int | None = None
    severity_number: int | None = None
    severity_text: str | None = None
    body: str | None = None  # as text; what was no text is in `detail`
    trace_id: str | None = None
    span_id: str | None = None
    event_name: str | None = None
    service_name: str | None = None
    scope_name: str | None = None
    session_id: str | None = None
    tool: str | None = None  # as on a Span
    attributes: JSON = field(default_factory=dict)
    resource_attributes: JSON = field(default_factory=dict)
    detail: JSON | None = None  # structured body, flags, dropped counts, scope and schema


@dataclass(slots=True)
class Metric:
    """One data point: a row of table `metrics`. JSON columns hold Python values here."""

    id: str  # the same for the same point sent again
    series: str  # the same for all points of one series: resource, scope, name, attributes
    time_ns: int
    name: str
    start_ns: int | None = None
    description: str | None = None
    unit: str | None = None
    metric_type: str | None = None  # sum | gauge | histogram | exponential_histogram | summary
    temporality: str | None = None  # delta | cumulative
    is_monotonic: bool = False
    value_int: int | None = None  # histograms and summaries: count
    value_double: float | None = None  # histograms and summaries: sum
    histogram_data: JSON | None = None
    service_name: str | None = None
    scope_name: str | None = None
    session_id: str | None = None
    tool: str | None = None
    attributes: JSON = field(default_factory=dict)
    resource_attributes: JSON = field(default_factory=dict)
    detail: JSON | None = None  # exemplars, flags, metadata, scope and schema


Stored = Row | Log | Metric
"""What the store keeps."""

Taken = Stored | Unrecorded
"""What the store takes."""


class Capture:
    """A capped copy of a body that streams by: keeps references to the pieces, never joins them on the loop."""

    __slots__ = ("limit", "pieces", "size", "stored")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.pieces: list[bytes] = []
        self.size = 0  # bytes seen
        self.stored = 0  # bytes kept

    def add(self, data: bytes) -> None:
        """Count `data` and keep what fits under the limit."""
        self.size += len(data)
        room = self.limit - self.stored
        if room <= 0:
            return
        piece = data if len(data) <= room else data[:room]
        self.pieces.append(piece)
        self.stored += len(piece)

    @property
    def is_cut(self) -> bool:
        """Say whether more was seen than kept."""
        return self.stored < self.size

    def join(self) -> bytes:
        """Return what was kept as one bytes object."""
        return self.pieces[0] if len(self.pieces) == 1 else b"".join(self.pieces)


Header = tuple[bytes, bytes]
"""A header as it travelled: (lower-case name, the whole line as sent without its CRLF)."""


class Arrivals:
    """When each piece of a body came: (bytes seen before it, perf_counter_ns), in 16 bytes each."""

    __slots__ = ("_numbers",)

    def __init__(self) -> None:
        self._numbers = array("q")

    def append(self, arrival: tuple[int, int]) -> None:
        """Note one more piece."""
        self._numbers.extend(arrival)

    def __len__(self) -> int:
        return len(self._numbers) // 2

    def __iter__(self) -> Iterator[tuple[int, int]]:
        numbers = iter(self._numbers)
        return zip(numbers, numbers, strict=True)


class Exchange:
    """One HTTP request and its response as the proxy saw them, raw. Filled on the loop, read by the writer thread."""

    __slots__ = (
        "arrivals", "client", "dialect", "dropped", "ending", "error", "first_byte_ns", "has_env_key", "id",
        "is_chunked", "is_from_cassette", "is_injected", "is_refused", "is_websocket", "late", "method", "notes",
        "path", "price_free", "provider", "query", "record", "request", "request_headers", "response",
        "response_headers", "response_status", "source", "start_ns", "started_ns", "stopped_ns", "trace_id",
        "upstream_path", "upstream_url", "usage",
    )  # fmt: skip

    def __init__(self) -> None:
        self.source: Source = "proxy"
        self.provider = ""  # name of the PROVIDERS row or of the user's upstream
        self.dialect = ""  # the row that reads these bytes where that is another: "openai" for a translated call
        self.usage: Usage | None = None  # a translated call: the provider's own count
        self.dropped: tuple[str, ...] = ()  # fields of the request that the provider has no place for
        self.trace_id = ""
        self.id = ""
        self.start_ns = 0  # wall clock, time.time_ns()
        self.started_ns = 0  # time.perf_counter_ns() at the request's head; all others on the same clock
        self.first_byte_ns = 0  # first byte of the response body
        self.stopped_ns = 0
        self.method = ""
        self.path = ""  # as the client sent it, with our prefix, without query
        self.query = ""
        self.upstream_path = ""  # path sent upstream: what operation this is
        self.upstream_url = ""  # scheme://host[:port]
        self.client = ""  # peer address
        self.request_headers: Sequence[Header] = ()
        self.request: Capture | None = None
        self.response_status = 0
        self.response_headers: Sequence[Header] = ()
        self.response: Capture | None = None  # wire bytes; is_chunked: chunk framing included
        self.is_chunked = False
        self.is_websocket = False  # answered 101: `request` and `response` are the frames of client and server
        self.late: Capture | None = (
            None  # of a session longer than `response`: later frames that are no pieces of sound
        )
        self.arrivals = Arrivals()  # of `response`, as it came off the wire
        self.ending: Ending = "finished"
        self.error: str | None = None  # our own sentence when there is no answer to quote
        self.record = "on"  # on | meta | off
        self.has_env_key = False
        self.is_from_cassette = False  # answered by a recording: nothing was sent, nothing was paid
        self.is_refused = False  # a budget kept it from leaving: it is recorded and does not count
        self.is_injected = False  # stream_options.include_usage was asked for by us
        self.price_free = False  # a local upstream: cost 0
        self.notes: list[str] = []

    @property
    def weight(self) -> int:
        """Bytes this exchange holds in memory."""
        kept = 1024
        if self.request is not None:
            kept += self.request.stored
        if self.response is not None:
            kept += self.response.stored
        if self.late is not None:
            kept += self.late.stored
        return kept


@dataclass(frozen=True, slots=True)
class Held:
    """What a gate says of a call that has to wait for others: ask again in a while."""
