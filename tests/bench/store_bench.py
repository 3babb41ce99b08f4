"""The store's figures: `python tests/bench/store_bench.py [rows]` prints a table. Nothing here is asserted.

Inserts are timed as CPU of the thread that makes them, batches of 200 rows of 3 KB of bodies, ids as the proxy makes
them. Reads are the median of 15 on a reader's connection, warm.
"""

from __future__ import annotations

import random
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from llmflow_web.model import PART_HEADERS, PART_REQUEST, PART_RESPONSE, Body, Row, Span
from llmflow_web.store import counters as counting
from llmflow_web.store import facets, files, spans, stats
from llmflow_web.store.insert import insert_rows
from llmflow_web.store.limits import Limits
from llmflow_web.store.retention import Pruner
from llmflow_web.wire.filter import Filter, Page, make_cursor

BATCH = 200
MODELS = [f"model-{number}" for number in range(12)]
PROVIDERS = ["openai", "anthropic", "gemini"]
START_NS = 1_760_000_000_000_000_000
DICE = random.Random(1)


def make_rows(first: int, count: int, body_bytes: int) -> list[Row]:
    text = bytes(DICE.choices(b"abcdefghij klmnopq rstuvwxyz", k=body_bytes))
    rows = []
    for number in range(first, first + count):
        kind = DICE.randrange(len(MODELS))
        span = Span(
            trace_id=secrets.token_hex(16),
            id=secrets.token_hex(8),
            start_ns=START_NS + number * 1_000_000_000,
            duration_ns=DICE.randrange(10**8, 10**10),
            ttft_ms=DICE.random() * 900,
            provider=PROVIDERS[kind % 3],
            model=MODELS[kind],
            request_model="model",
            operation="chat",
            response_id="chatcmpl-" + secrets.token_urlsafe(21),
            status=DICE.choice([200] * 19 + [429]),
            response_status=200,
            ending="finished",
            finish_reason="stop",
            prompt_tokens=1000,
            completion_tokens=200,
            total_tokens=1200,
            estimated_cost=0.0125,
            price_key="model",
            cost_detail={"lines": [{"name": "input", "quantity": 1000, "price": 1e-6, "amount": 0.001}]},
            request_method="POST",
            request_path="/v1/chat/completions",
            tool="proxy",
            preview_in="Tell me about the weather in the north of the country, please." * 2,
            preview_out="The weather in the north is mild for the season, with some rain." * 2,
        )
        bodies = [Body(PART_HEADERS, b"x" * 400, 400), Body(PART_REQUEST, text, body_bytes),
                  Body(PART_RESPONSE, text, body_bytes)]  # fmt: skip
        rows.append(Row(span, bodies))
    return rows


class Store:
    """A database without threads, driven by hand."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self.path = folder / "llmflow.db"
        self.connection = files.open_writer(self.path, 0)
        self.counters = counting.load(self.connection)
        self.pruner = Pruner(limits, time.time)

    def transact(self, work: Callable[[], Any]) -> float:
        before = self.counters.copy()
        begun = time.thread_time()
        self.connection.execute("BEGIN IMMEDIATE")
        work()
        counting.save(self.connection, self.counters, before)
        self.connection.execute("COMMIT")
        return time.thread_time() - begun

    def insert(self, rows: list[Row]) -> float:
        return self.transact(lambda: insert_rows(self.connection, rows, self.counters, int(time.time() * 1000)))

    def prune(self) -> float:
        spent = 0.0
        while self.pruner.is_due(self.connection, self.counters):
            spent += self.transact(lambda: self.pruner.prune(self.connection, self.counters))
        return spent


def fill(store: Store, first: int, count: int, body_bytes: int) -> list[float]:
    return [
        store.insert(make_rows(number, BATCH, body_bytes)) / BATCH * 1e6
        for number in range(first, first + count, BATCH)
    ]


def report(what: str, value: float, unit: str) -> None:
    print(f"{what:<66} {value:>10.2f} {unit}", flush=True)


def bench_inserts(folder: Path) -> None:
    limits = Limits(max_spans=20_000, spare_s=-1)
    store = Store(folder, limits)
    report("insert, empty table, batch 200", statistics.median(fill(store, 0, 10_000, 1500)), "µs/row")
    fill(store, 10_000, 10_000, 1500)
    full, pruning = [], 0.0
    for first in range(20_000, 40_000, BATCH):
        full += fill(store, first, BATCH, 1500)
        pruning += store.prune()
    report("insert, retention full, batch 200", statistics.median(full), "µs/row")
    report("  and pruning as many rows, in idle time", pruning / 20_000 * 1e6, "µs/row")
    store.connection.close()


def bench_reads(folder: Path, count: int) -> None:
    store = Store(folder, Limits())
    begun = time.perf_counter()
    spent = fill(store, 0, count, 300)
    report(f"insert, last 10,000 of {count:,} (wall {time.perf_counter() - begun:.0f} s)",
           statistics.median(spent[-50:]), "µs/row")  # fmt: skip
    store.counters.indexed = store.counters.counter
    store.transact(lambda: None)
    store.connection.execute("UPDATE counters SET value = ? WHERE name = 'indexed'", (store.counters.counter,))
    reader = files.connect(store.path, is_reader=True)
    middle = START_NS + count // 10 * 1_000_000_000
    now_ms = (START_NS + count * 1_000_000_000) // 1_000_000
    questions: list[tuple[str, Callable[[], Any]]] = [
        ("list, newest 50", lambda: spans.list_spans(reader, Filter(), Page())),
        ("list, newest 100, roots only",
         lambda: spans.list_spans(reader, Filter.from_query({"roots": "1"}), Page(limit=100))),
        ("list, by cursor at 90 %",
         lambda: spans.list_spans(reader, Filter(), Page(cursor=make_cursor(middle, count)))),
        ("list, offset at 90 %", lambda: spans.list_spans(reader, Filter(), Page(offset=count * 9 // 10))),
        ("list, one model", lambda: spans.list_spans(reader, Filter.from_query({"model": "model-3"}), Page())),
        ("list, errors", lambda: spans.list_spans(reader, Filter.from_query({"status": "error"}), Page())),
        ("list, provider and errors",
         lambda: spans.list_spans(reader, Filter.from_query({"provider": "gemini", "status": "error"}), Page())),
        ("list, a model that is not there",
         lambda: spans.list_spans(reader, Filter.from_query({"model": "nothing"}), Page())),
        ("list, sorted by duration", lambda: spans.list_spans(reader, Filter(), Page(sort="-duration"))),
        ("statistics, all", lambda: stats.totals(reader)),
        ("models with percentiles", lambda: stats.models(reader)),
        ("analytics, 30 days", lambda: stats.analytics_daily(reader, 30, now_ms)),
        ("histogram over everything", lambda: facets.histogram(reader, Filter(), 60, now_ms)),
        ("histogram of the last day",
         lambda: facets.histogram(reader, Filter.from_query({"date_from": str(now_ms - 86_400_000)}), 60, now_ms)),
    ]  # fmt: skip
    for what, ask in questions:
        times = []
        for _ in range(15):
            begun = time.perf_counter()
            ask()
            times.append((time.perf_counter() - begun) * 1e3)
        report(f"{what} ({count:,} rows)", statistics.median(times), "ms")
    reader.close()
    store.connection.close()


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    for bench in (bench_inserts, lambda folder: bench_reads(folder, count)):
        with tempfile.TemporaryDirectory() as folder:
            bench(Path(folder))


if __name__ == "__main__":
    main()
