"""What a call may come to, worked out before it leaves: from its head and the top level of its body. No JSON is built.

The estimate is what a budget reserves while the call is in flight. It errs upwards where the request says how long its
answer may be; where it says nothing, what the model's answers were like so far has to do.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import parse_qs

from llmflow_web.model import JSON, Exchange, Usage
from llmflow_web.provider import Native, Provider
from llmflow_web.record.billing import Prices
from llmflow_web.record.labels import Labels, labels_from
from llmflow_web.record.previews import CHARS_PER_TOKEN
from llmflow_web.record.price_rates import Tariff
from llmflow_web.store.ledger import FREE_OPERATIONS, Amount
from llmflow_web.store.marks import INFERENCE
from llmflow_web.wire.headers import get
from llmflow_web.wire.jsonscan import Place, string_value, top_level

DEFAULT_OUTPUT_TOKENS = 1024
"""Reserved for an answer of a model that has not answered yet, where the request names no limit."""

TOKENS_PER_FILE = 1500
"""Reserved for a picture or another file inside the body, whatever its size."""

MAX_MODELS = 512
MAX_ANSWERS = 200
"""Answers of a model that are remembered."""

_MIN_FILE_BYTES = 1024
_FILE_MARKS = (b";base64,", b'"data":"', b'"data": "')
_OUTPUT_KEYS = ("max_completion_tokens", "max_tokens", "max_output_tokens", "max_tokens_to_sample")
_INNER_KEYS = {  # where others have it: Gemini, Ollama
    "generationConfig": ("maxOutputTokens", "candidateCount"),
    "generation_config": ("max_output_tokens", "candidate_count"),
    "options": ("num_predict", ""),
}
_PRESENT_KEYS = ("messages", "prompt", "images", "suffix", "context")  # whose presence says what is asked
_WRITING = frozenset({"chat", "text_completion", "realtime"})
_EMPTY = (b"[]", b'""', b"null", b"{}", b"false", b"0")


class Tariffs(Prices, Protocol):
    """What knows prices: record.pricing.PriceBook."""

    def find(self, provider: Provider | str | None, model: str) -> Tariff | None:
        """Return the price row of a model."""


@dataclass(slots=True)
class Estimate:
    """A call that is about to leave, as budgets see it."""

    provider: str
    model: str | None
    labels: Labels
    start_s: float
    amount: Amount  # reserved: `unpriced` is 1 where the model has no price
    is_free: bool  # costs nothing whatever it answers


class Estimator:
    """Estimates calls, and learns from those that are over. Belongs to the loop's thread."""

    def __init__(self, providers: Mapping[str, Provider], prices: Tariffs) -> None:
        """providers: rows by name, the user's own upstreams included, as the RowMaker has them."""
        self._providers = providers
        self._prices = prices
        self._answers: OrderedDict[str, deque[int]] = OrderedDict()  # by model, the one heard of last at the end

    def __repr__(self) -> str:
        return f"<Estimator with answers of {len(self._answers)} models>"

    def learn(self, model: str | None, completion_tokens: int | None) -> None:
        """Remember how long an answer was."""
        if not model or completion_tokens is None:
            return
        answers = self._answers.get(model)
        if answers is None:
            answers = self._answers[model] = deque(maxlen=MAX_ANSWERS)
            if len(self._answers) > MAX_MODELS:
                self._answers.popitem(last=False)
        answers.append(completion_tokens)
        self._answers.move_to_end(model)

    def usual_output(self, model: str | None) -> int:
        """Return what 95 % of the model's answers stayed within."""
        answers = self._answers.get(model or "")
        if not answers:
            return DEFAULT_OUTPUT_TOKENS
        return sorted(answers)[max(0, -(-len(answers) * 95 // 100) - 1)]

    def estimate(self, exchange: Exchange, body: bytes | None) -> Estimate | None:
        """Return what a call may come to; None where nothing is asked of a model, so nothing can be owed."""
        members = top_level(body) if body else None
        asked = _Asked(body or b"", members or {})
        provider = self._providers.get(exchange.dialect or exchange.provider) or self._providers["openai"]
        is_socket = get(exchange.request_headers, b"upgrade") is not None
        native = provider.native(exchange.method, exchange.upstream_path or exchange.path, asked.sketch())
        if native.span_type not in INFERENCE or native.operation in FREE_OPERATIONS:
            return None
        if exchange.method != "POST" and not is_socket:
            return None
        labels = labels_from(dict(exchange.request_headers), exchange.trace_id)
        labels.user_id = labels.user_id or asked.user()
        model = native.model or _model_in_query(exchange.query)
        row = self._providers.get(exchange.provider)
        is_free = exchange.price_free
        if row is not None and row.is_free is not None:
            said = row.is_free(model, {})
            is_free = is_free if said is None else said
        billed = provider if row is not None and row.dialect is not None else row or exchange.provider
        prompt = asked.prompt_tokens() if body is not None else _told_length(exchange) // CHARS_PER_TOKEN
        amount = self._amount(native, billed, model, prompt, asked, is_free=is_free)
        return Estimate(exchange.provider, model, labels, exchange.start_ns / 1e9, amount, is_free)

    def _amount(
        self, native: Native, billed: Provider | str, model: str | None, prompt: int, asked: _Asked, *, is_free: bool
    ) -> Amount:
        tariff = self._prices.find(billed, model) if model else None
        output = self._output_tokens(native, model, tariff, asked)
        usage = Usage(prompt_tokens=prompt, completion_tokens=output)
        if native.operation == "image_generation":
            count = asked.number("n") or 1
            usage = Usage(images=count, image_size=asked.text("size"), image_quality=asked.text("quality"))
        elif native.operation == "rerank":
            usage = Usage(queries=1)
        elif native.operation == "speech":
            usage = Usage(characters=prompt * CHARS_PER_TOKEN)
        tokens = (usage.prompt_tokens or 0) + (usage.completion_tokens or 0)
        if is_free:
            return Amount(1, tokens, 0.0, 0)
        cost = self._prices.price(billed, [model], usage).total if model else None
        is_known = cost is not None or tariff is not None
        return Amount(1, tokens, cost or 0.0, 0 if is_known else 1)

    def _output_tokens(self, native: Native, model: str | None, tariff: Tariff | None, asked: _Asked) -> int:
        if native.operation not in _WRITING:
            return 0
        most, answers = asked.output()
        longest = tariff.number("max_output_tokens") if tariff is not None else None
        if most is None:
            return self.usual_output(model) * answers
        return (min(most, int(longest)) if longest else most) * answers


class _Asked:
    """The top-level members of a request, read one by one."""

    def __init__(self, body: bytes, members: Mapping[str, Place]) -> None:
        self._body = body
        self._members = members

    def text(self, name: str) -> str | None:
        """Return a member that is a text."""
        return string_value(self._body, self._members.get(name))

    def number(self, name: str) -> int | None:
        """Return a member that is a count."""
        return _count(self._body, self._members.get(name))

    def sketch(self) -> JSON:
        """Return of the request what says which operation of which model it is."""
        sketch: JSON = {}
        for name in ("model", "name", "agent"):
            value = self.text(name)
            if value is not None:
                sketch[name] = value
        for name in _PRESENT_KEYS:
            place = self._members.get(name)
            if place is not None and self._body[place[0] : place[1]] not in _EMPTY:
                sketch[name] = ["…"]
        return sketch

    def user(self) -> str | None:
        """Return who the request says it is for, where the RowMaker looks for it."""
        user = self.text("user")
        place = self._members.get("metadata")
        if user or place is None:
            return user
        inner, members = self._inside(place)
        return string_value(inner, members.get("user_id"))

    def output(self) -> tuple[int | None, int]:
        """Return how long an answer may be (None = it does not say), and how many are wanted."""
        found = [most for name in _OUTPUT_KEYS if (most := self.number(name)) is not None]
        answers = self.number("n") or 1
        for name, (limit, count) in _INNER_KEYS.items():
            place = self._members.get(name)
            if place is None:
                continue
            inner, members = self._inside(place)
            most = _count(inner, members.get(limit))
            found += [] if most is None else [most]
            answers = _count(inner, members.get(count)) or answers
        return (max(found) if found else None), max(1, answers)

    def prompt_tokens(self) -> int:
        """Estimate the prompt from its length; files in it are taken out and counted one by one."""
        length, files = len(self._body), 0
        if length > _MIN_FILE_BYTES:
            for mark in _FILE_MARKS:
                size, count = _files(self._body, mark)
                length -= size
                files += count
        return -(-length // CHARS_PER_TOKEN) + files * TOKENS_PER_FILE

    def _inside(self, place: Place) -> tuple[bytes, Mapping[str, Place]]:
        inner = self._body[place[0] : place[1]]
        return inner, top_level(inner) or {}


def _files(body: bytes, mark: bytes) -> tuple[int, int]:
    """Return how many bytes of files follow a mark, and how many files."""
    size = count = 0
    at = body.find(mark)
    while at >= 0:
        start = at + len(mark)
        end = body.find(b'"', start)
        if end < 0:
            break
        if end - start >= _MIN_FILE_BYTES:
            size += end - start
            count += 1
        at = body.find(mark, end)
    return size, count


def _count(body: bytes, place: Place | None) -> int | None:
    if place is None:
        return None
    digits = body[place[0] : place[1]]
    return int(digits) if digits.isdigit() and len(digits) <= 12 else None


def _told_length(exchange: Exchange) -> int:
    length = get(exchange.request_headers, b"content-length") or b""
    return int(length) if length.isdigit() and len(length) <= 15 else 0


def _model_in_query(query: str) -> str | None:
    """Return the model that a WebSocket's address names."""
    found = parse_qs(query).get("model") if query else None
    return found[0] if found else None
