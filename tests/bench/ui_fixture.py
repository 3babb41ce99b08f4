"""A data dir to try the dashboard on: `python tests/bench/ui_fixture.py FOLDER [--traces N]`.

A week of calls put in through the store's own insert functions, and what is hard to show: a trace of 10,000 spans, a
call of 5 MB, calls that an app tells of too, and texts that would run as script on a page that trusted them.
"""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from llmflow_web.app.rows import search_text
from llmflow_web.model import (
    JSON,
    PART_ATTRIBUTES,
    PART_HEADERS,
    PART_INPUT,
    PART_OUTPUT,
    PART_REQUEST,
    PART_RESPONSE,
    Body,
    Log,
    Metric,
    Row,
    Span,
    Stored,
)  # fmt: skip
from llmflow_web.record.prompts import tell_prompt
from llmflow_web.store import commit, files
from llmflow_web.store import counters as counting
from llmflow_web.store.search import feed
from llmflow_web.store.views import save_view

BATCH = 1000
WEEK_S = 7 * 86_400
MODELS = [
    ("openai", "gpt-4o-mini", 0.15, 0.6), ("openai", "gpt-4o", 2.5, 10.0), ("anthropic", "claude-sonnet-4-5", 3.0, 15.0),
    ("gemini", "gemini-2.5-flash", 0.3, 2.5), ("mistral", "mistral-small-latest", 0.1, 0.3), ("ollama", "llama3.2", 0.0, 0.0),
]  # fmt: skip
TAGS = ["checkout", "search", "nightly", "support"]
WORDS = (
    "the weather north harbour train ticket lisbon invoice refund summary answer question table city history garden "
    "price engine morning letter river contract paragraph library museum window morning bicycle travel kitchen orchard"
).split()
SYSTEMS = [
    "You are brief.", "You are a travel agent for trains. Answer in one sentence.", "Translate what follows to French, word by word.",
    "Write the summary of a letter in three points. Leave out names.", "You check invoices. Say which lines are wrong, and why.",
]  # fmt: skip
NEEDLE = "zanzibar"  # stands in one call of a thousand

EVIL = '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>'
EVIL_LINK = "[click me](javascript:window.pwned=1) ![x](javascript:window.pwned=1) <a href=javascript:pwned=1>go</a>"
EVIL_TRACE = f"{0xE011:032x}"
EVIL_TOOL = f"{0xE012:016x}"
WIDE_TRACE = f"{0x10000:032x}"
LONG_TRACE = f"{0x50000:032x}"
TREE_TRACE = f"{0x73EE:032x}"
JOINED_TRACE = f"{0x701:032x}"


class Maker:
    """Makes rows, always the same for one `seed` and one `now`."""

    def __init__(self, traces: int, now: float, seed: int = 1) -> None:
        self.traces = traces
        self.now_ns = int(now) * 10**9
        self.step_ns = WEEK_S * 10**9 // max(1, traces)
        self.dice = random.Random(seed)

    def words(self, count: int) -> str:
        """Return words that make no sense."""
        return " ".join(self.dice.choices(WORDS, k=count))

    def call(self, number: int) -> Row:
        """Return one call through the proxy, the `number`th of the week."""
        dice = self.dice
        provider, model, price_in, price_out = MODELS[int(dice.random() ** 2 * len(MODELS))]
        question = self.words(12) + (f" {NEEDLE}" if number % 1000 == 7 else "")
        answer = self.words(20)
        failed = dice.random() < 0.03
        sent, got = dice.randrange(40, 4000), dice.randrange(10, 900)
        cost = (sent * price_in + got * price_out) / 1e6
        took = int(dice.lognormvariate(0.3, 0.8) * 1e9)
        span = Span(
            trace_id=f"{0xA0000000 + number:032x}", id=f"{0xA0000000 + number:016x}", source="proxy", span_type="llm", span_name=f"chat {model}",
            start_ns=self.now_ns - (self.traces - number) * self.step_ns - 60 * 10**9, duration_ns=took,
            ttft_ms=None if failed else took / 4e6, provider=provider, model=model, request_model=model, operation="chat",
            response_id=f"chatcmpl-{number:024d}", status=429 if failed else 200, response_status=429 if failed else 200,
            error="Rate limit reached for requests" if failed else None, ending="finished", finish_reason=None if failed else "stop",
            is_stream=number % 2 == 0, prompt_tokens=None if failed else sent, completion_tokens=None if failed else got,
            total_tokens=None if failed else sent + got, estimated_cost=None if failed else cost, price_key=model,
            cost_detail={"lines": [{"name": "input", "quantity": sent, "unit": "token", "price": price_in / 1e6, "amount": cost}], "quality": "exact", "price_date": "2026-11-01"},
            request_method="POST", request_path="/v1/chat/completions", tool="proxy", preview_in=question[:160], preview_out=None if failed else answer,
            tags=[TAGS[number % 4]] if number % 5 == 0 else [], session_id=f"session-{number // 30}" if number % 3 == 0 else None,
            user_id=f"user-{number % 50}" if number % 2 == 0 else None,
        )  # fmt: skip
        asked = {
            "model": model,
            "messages": [{"role": "system", "content": self.system(number)}, {"role": "user", "content": question}],
        }
        if number % 7 == 3:
            span.prompt_name, span.prompt_version = "summary", f"1.{3 * number // self.traces}"
        asked_part = part(PART_REQUEST, asked)
        tell_prompt(span, [asked_part])
        said: JSON = {"error": {"message": span.error}} if failed else {
            "id": span.response_id, "object": "chat.completion", "model": model,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": answer}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": sent, "completion_tokens": got, "total_tokens": sent + got},
        }  # fmt: skip
        return Row(span, [asked_part, part(PART_RESPONSE, said)])

    def system(self, number: int) -> str:
        """Return a system message; some are edited in the course of the week."""
        kind = number % 11 % len(SYSTEMS)
        week = 4 * number // self.traces
        return SYSTEMS[kind] + (f" Be {WORDS[week + kind]} about it." if kind and week else "")

    def calls(self) -> Iterator[Row]:
        """Yield the week's calls, oldest first."""
        return (self.call(number) for number in range(self.traces))

    def spans(self, trace_id: str, count: int, fan: int, age_s: int, name: str) -> Iterator[Row]:
        """Yield a trace of an agent with `count` spans in chains of `fan`, one beginning after another."""
        start = self.now_ns - age_s * 10**9
        first = int(trace_id, 16) << 20
        each = 60 * 10**9 // count
        yield sdk_row(trace_id, first, None, "agent", name, start, 60 * 10**9)
        chain = first
        for number in range(1, count):
            begins = start + number * each
            if number % fan == 1:
                chain = first + number
                yield sdk_row(trace_id, chain, first, "chain", f"step {number // fan + 1}", begins, each * fan)
                continue
            kind = ("llm", "tool", "retrieval", "llm", "embedding")[number % 5]
            more: dict[str, Any] = {"status": 500, "error": "no such city"} if number % 97 == 0 else {}
            if kind == "llm":
                more |= {
                    "model": "gpt-4o-mini",
                    "provider": "openai",
                    "prompt_tokens": 200,
                    "completion_tokens": 20,
                    "total_tokens": 220,
                    "estimated_cost": 0.00004,
                    "ttft_ms": each / 3e6,
                }
            yield sdk_row(trace_id, first + number, chain, kind, f"{kind} {number}", begins, each * 2, **more)

    def hard(self) -> Iterator[Stored]:
        """Yield what is hard to show."""
        yield from self.spans(TREE_TRACE, 50, 8, 300, "plan a trip")
        yield from self.long_call()
        yield from self.joined()
        yield from self.hostile()
        for number in range(400):
            yield Log(
                f"log-{number}", self.now_ns - number * 10**9 * 60, severity_number=17 if number % 9 == 0 else 9, severity_text="ERROR" if number % 9 == 0 else "INFO",
                body=f"{self.words(9)} {number}", service_name="shop", event_name="step", attributes={"step": number}, trace_id=TREE_TRACE if number < 20 else None,
            )  # fmt: skip
            yield Metric(
                f"point-{number}", f"series-{number % 4}", self.now_ns - number * 10**9 * 60, f"shop.requests.{number % 4}", unit="1", description="Requests served",
                metric_type="gauge", value_double=float(self.dice.randrange(100)), service_name="shop", attributes={"route": "/buy"},
            )  # fmt: skip

    def long_call(self) -> Iterator[Row]:
        """Yield a call whose request is of 5 MB."""
        row = self.call(self.traces)
        row.span.trace_id, row.span.id, row.span.start_ns = LONG_TRACE, LONG_TRACE[-16:], self.now_ns - 90 * 10**9
        row.span.preview_in = "a very long document"
        pages = [{"number": number, "text": self.words(400)} for number in range(1800)]
        asked = {"model": row.span.model, "messages": [{"role": "user", "content": json.dumps(pages)}]}
        row.span.prompt_key = row.span.prompt_hash = None
        yield Row(row.span, [part(PART_REQUEST, asked), row.bodies[1]])

    def joined(self) -> Iterator[Row]:
        """Yield calls of which both the proxy and the app tell."""
        yield sdk_row(JOINED_TRACE, 0x7010, None, "agent", "told of twice", self.now_ns - 200 * 10**9, 5 * 10**9)
        for number in range(3):
            row = self.call(self.traces + 1 + number)
            row.span.trace_id, row.span.id, row.span.parent_id = (
                JOINED_TRACE,
                f"{0x7020 + number:016x}",
                f"{0x7011 + number:016x}",
            )
            row.span.start_ns, row.span.status, row.span.response_status, row.span.error = (
                self.now_ns - (199 - number) * 10**9,
                200,
                200,
                None,
            )
            yield sdk_row(
                JOINED_TRACE,
                0x7011 + number,
                0x7010,
                "llm",
                "ask",
                row.span.start_ns,
                10**9,
                response_id=row.span.response_id,
                provider=row.span.provider,
                model=row.span.model,
                operation="chat",
            )
            yield row

    def hostile(self) -> Iterator[Stored]:
        """Yield markup and script wherever somebody else's text is shown."""
        row = self.call(self.traces + 9)
        span = row.span
        span.trace_id, span.id, span.start_ns, span.status = EVIL_TRACE, EVIL_TRACE[-16:], self.now_ns - 70 * 10**9, 400
        for name in (
            "model",
            "request_model",
            "span_name",
            "session_id",
            "user_id",
            "error",
            "preview_in",
            "preview_out",
            "tool",
            "prompt_name",
            "service_name",
            "finish_reason",
            "conversation_id",
            "agent_name",
        ):
            setattr(span, name, f"{EVIL} {name}")
        span.tags, span.notes, span.dropped = [EVIL, EVIL_LINK], [EVIL], [EVIL]
        call = {"id": EVIL, "type": "function", "function": {"name": EVIL, "arguments": json.dumps({EVIL: EVIL})}}
        text = f'{EVIL}\n\n{EVIL_LINK}\n\n# {EVIL}\n\n|{EVIL}|b|\n|-|-|\n|{EVIL_LINK}|d|\n\n```{EVIL}\n{EVIL}\n```\n\n<javascript:window.pwned=1> https://example.com/"onmouseover=pwned=1'
        messages: list[JSON] = [{"role": role, "content": text} for role in ("system", "user", EVIL)]
        images = [
            {"type": "image_url", "image_url": {"url": address}}
            for address in (
                "javascript:window.pwned=1",
                "data:image/svg+xml,<svg onload='window.pwned=1'/>",
                "data:text/html,<script>window.pwned=1</script>",
            )
        ]
        messages += [
            {"role": "user", "name": EVIL, "content": images},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": EVIL, "content": text},
        ]
        asked = {
            "model": EVIL,
            "messages": messages,
            "tools": [{"type": "function", "function": {"name": EVIL, "description": EVIL, "parameters": {EVIL: {}}}}],
            EVIL: EVIL,
        }
        said = {
            "id": EVIL,
            "model": EVIL,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": text, "tool_calls": [call]},
                    "finish_reason": EVIL,
                }
            ],
        }
        headers = {"request": [[EVIL, EVIL]], "response": [["x-evil", EVIL]]}
        yield Row(
            span,
            [
                part(PART_HEADERS, headers),
                part(PART_REQUEST, asked),
                part(PART_RESPONSE, said),
                part(PART_ATTRIBUTES, {EVIL: EVIL}),
            ],
        )
        child = sdk_row(
            EVIL_TRACE,
            int(EVIL_TOOL, 16),
            int(span.id, 16),
            "tool",
            EVIL,
            span.start_ns + 10**8,
            10**9,
            status=500,
            error=EVIL,
            tool=EVIL,
        )
        child.bodies = [
            part(PART_INPUT, {EVIL: EVIL}),
            part(PART_OUTPUT, text),
            part(PART_ATTRIBUTES, {EVIL: [EVIL, {EVIL: EVIL}], "link": "javascript:window.pwned=1"}),
        ]
        yield child
        yield Log(
            "evil", self.now_ns, severity_number=17, severity_text=EVIL, body=f"{EVIL} {EVIL_LINK}", event_name=EVIL, service_name=EVIL, scope_name=EVIL, trace_id=EVIL_TRACE,
            span_id=span.id, session_id=EVIL, tool=EVIL, attributes={EVIL: EVIL}, resource_attributes={EVIL: EVIL}, detail={EVIL: EVIL},
        )  # fmt: skip
        for number in range(2):
            yield Metric(
                f"evil-{number}", "evil", self.now_ns - number * 10**9, EVIL, unit=EVIL, description=EVIL, metric_type="gauge", value_double=1.0, service_name=EVIL,
                scope_name=EVIL, attributes={EVIL: EVIL}, resource_attributes={EVIL: EVIL},
            )  # fmt: skip


def part(number: int, value: Any) -> Body:
    """Return a stored part that holds JSON."""
    data = json.dumps(value).encode()
    return Body(number, data, len(data))


def sdk_row(trace_id: str, number: int, parent: int | None, kind: str, name: str, start_ns: int, duration_ns: int, **columns: Any) -> Row:  # fmt: skip
    """Return a span an app tells of."""
    told = {"status": 200} | columns
    span = Span(
        trace_id=trace_id, id=f"{number & (2**64 - 1):016x}", parent_id=None if parent is None else f"{parent & (2**64 - 1):016x}", source="sdk",
        span_type=kind, span_name=name, start_ns=start_ns, duration_ns=duration_ns, **told,
    )  # fmt: skip
    return Row(span, [part(PART_INPUT, {"of": name}), part(PART_OUTPUT, "done")])


def make(folder: Path, traces: int = 100_000, spans: int = 10_000, now: float | None = None) -> None:
    """Write the data dir: `traces` calls, a trace of `spans` spans, and what is hard to show.

    Bodies go without the look at every join a mixed trace needs, in batches, so that all of it takes less than a minute.
    """
    now = time.time() if now is None else now
    files.prepare_folder(folder)
    connection = files.open_writer(folder / "llmflow.db", 0)
    connection.texts = search_text
    maker = Maker(traces, now)
    rows: list[Iterator[Stored]] = [
        maker.calls(),
        maker.hard(),
        maker.spans(WIDE_TRACE, spans, 25, 120, "ten thousand spans"),
    ]
    try:
        for source in rows:
            while batch := list(islice(source, BATCH)):
                transact(
                    connection,
                    lambda counters, batch=batch: commit.insert(connection, batch, counters, int(now * 1000)),
                )
        transact(connection, lambda _: save_view(connection, EVIL, f"q={EVIL}", int(now * 1000)))
        while transact(connection, lambda counters: feed(connection, counters, BATCH, lambda: True)):
            pass
    finally:
        connection.close()


def transact(connection: sqlite3.Connection, work: Callable[[counting.Counters], Any]) -> Any:
    """Do work in a transaction of its own and keep the counters it moved."""
    counters = counting.load(connection)
    before = counters.copy()
    connection.execute("BEGIN IMMEDIATE")
    result = work(counters)
    counting.save(connection, counters, before)
    connection.execute("COMMIT")
    return result


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("folder", type=Path)
    options.add_argument("--traces", type=int, default=100_000)
    options.add_argument("--spans", type=int, default=10_000)
    given = options.parse_args()
    begun = time.perf_counter()
    make(given.folder, given.traces, given.spans)
    print(f"{given.traces:,} traces in {given.folder} after {time.perf_counter() - begun:.0f} s")
