"""Made-up traces in the shapes of the API: believable ones to look at, hostile ones to be safe from, many to be fast with."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from typing import Any

Row = dict[str, Any]
Trace = dict[str, Any]  # {"row": list element, "tree": answer of /tree, "details": {id: answer of /api/traces/{id}}}

PRICES = {
    "gpt-4o": (2.5, 10.0),
    "gpt-4o-mini": (0.15, 0.6),
    "llama-3.3-70b-versatile": (0.59, 0.79),
    "gpt-4.1": (2.0, 8.0),
}

ANSWER = """Here is the plan for **Lisbon** in May:

1. Day one: *Alfama*, the castle, and the `28` tram.
2. Day two: Belém and the river.

| Day | Place | Cost |
|---|---|--:|
| 1 | Alfama | 24 € |
| 2 | Belém | 18 € |

```python
for day in plan:
    print(day)
```

More at [Visit Lisboa](https://www.visitlisboa.com)."""

SYSTEM = (
    "You are a careful travel agent. Answer in the traveller's language, name prices in euros, never invent opening hours, "
    "and ask one question back when the dates are not clear. Prefer trains over flights under five hours. "
    "When a tool fails, say so plainly and carry on with what you know. Keep answers under two hundred words."
)


def text(role: str, words: str) -> dict[str, Any]:
    """Return a message of one text part."""
    return {"role": role, "parts": [{"type": "text", "text": words}]}


def cost_of(model: str, prompt: int, completion: int, cached: int = 0) -> tuple[float | None, dict[str, Any] | None]:
    """Return the cost and its lines as the server would."""
    if model not in PRICES:
        return None, None
    into, out = (price / 1e6 for price in PRICES[model])
    lines = [("input", prompt - cached, into), ("cached input", cached, into / 2), ("output", completion, out)]
    made = [{"name": n, "quantity": q, "unit": "token", "price": p, "amount": q * p} for n, q, p in lines if q]
    return sum(line["amount"] for line in made), {"lines": made, "quality": "exact", "price_date": "2026-11-20"}


def span(number: int, **given: Any) -> Row:
    """Return a list element; everything not given is plausible."""
    model = given.pop("model", "gpt-4o-mini")
    prompt, completion, cached = given.pop("prompt", 420), given.pop("completion", 96), given.pop("cached", 0)
    if given.get("status", 200) >= 400 and "completion" not in given:
        prompt = completion = 0
    cost, detail = cost_of(model, prompt, completion, cached) if model else (None, None)
    row = {
        "id": f"{number:016x}", "trace_id": f"{number:032x}", "parent_id": None, "seq": number, "change": number, "is_root": True,
        "timestamp": int(time.time() * 1000) - number * 1000, "duration_ms": 1240.5, "ttft_ms": 310.2, "provider": "openai",
        "model": model, "request_model": model, "prompt_tokens": prompt, "completion_tokens": completion,
        "total_tokens": prompt + completion, "cached_tokens": cached, "cache_write_tokens": 0, "reasoning_tokens": 0,
        "is_estimated": False, "estimated_cost": cost, "cost_detail": detail, "price_key": model if cost is not None else None,
        "status": 200, "response_status": 200, "error": None, "ending": "finished", "finish_reason": "stop", "is_stream": True,
        "span_type": "llm", "span_name": None, "service_name": None, "source": "proxy", "operation": "chat", "session_id": None,
        "conversation_id": None, "user_id": None, "agent_name": None, "tool": "proxy", "prompt_name": None,
        "request_method": "POST", "request_path": "/v1/chat/completions", "replay_of": None, "joined_to": None,
        "preview_in": "Plan two days in Lisbon for a family of four", "preview_out": "Here is the plan", "tags": [], "has": [],
        "span_count": 1, "error_count": 0, "trace_cost": cost, "trace_tokens": prompt + completion, "notes": [], "dropped": [],
    }  # fmt: skip
    row.update(given)
    return row


def detail_of(row: Row, messages: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """Return the answer of /api/traces/{id} for one span."""
    is_http = row["source"] == "proxy"
    messages = messages or {"input": [text("user", row["preview_in"] or "")], "output": [text("assistant", ANSWER)]}
    body = {
        "model": row["request_model"],
        "temperature": 0.2,
        "stream": row["is_stream"],
        "messages": [{"role": "user", "content": row["preview_in"]}],
    }
    request = {"method": "POST", "path": row["request_path"], "body": body, "size": 1834, "is_cut": False, "headers": {
        "Authorization": "Bearer sk-p…[redacted 48]", "Content-Type": "application/json", "User-Agent": "OpenAI/Python 1.60.0"}}  # fmt: skip
    response = {
        "status": row["response_status"],
        "headers": {"content-type": "text/event-stream", "x-request-id": "req_81"},
        "body": sse(),
        "size": 5120,
        "is_cut": False,
        "arrivals": [[0, 310], [90, 362], [180, 401]],
    }
    answer: dict[str, Any] = {
        "trace": row, "request": request if is_http else {}, "response": response if is_http else {}, "messages": messages,
        "answer": {"choices": [{"message": {"role": "assistant", "content": ANSWER}, "finish_reason": "stop"}]} if is_http else None,
        "attributes": {}, "input": None, "output": None,
    }  # fmt: skip
    answer.update(more)
    return answer


def sse() -> str:
    """Return a stream as it came."""
    words = [json.dumps({"choices": [{"delta": {"content": word + " "}}]}) for word in ANSWER.split()[:40]]
    return "".join(f"data: {word}\n\n" for word in words) + "data: [DONE]\n\n"


DRAWN = (
    "id", "parent_id", "timestamp", "duration_ms", "ttft_ms", "span_type", "span_name", "operation", "provider", "model",
    "request_model", "request_path", "source", "status", "total_tokens", "estimated_cost", "joined_to", "error",
)  # fmt: skip


def outline(row: Row) -> Row:
    """Return a span as a tree's outline holds it: what is drawn, without what is not set."""
    node = {name: row[name] for name in DRAWN if row.get(name) is not None}
    node.update(parent_id=row["parent_id"], start_ns=str(row["timestamp"] * 1_000_000), children=[])
    if row["is_stream"]:
        node["is_stream"] = True
    return node


def trace_of(spans: list[Row], details: dict[str, dict[str, Any]]) -> Trace:
    """Put the spans of one trace together. The first is the root."""
    nodes = {row["id"]: outline(row) for row in spans}
    roots = []
    for node in nodes.values():
        parent = nodes.get(node["parent_id"])
        (parent["children"] if parent else roots).append(node)
    start = min(row["timestamp"] for row in spans)
    end = max(row["timestamp"] + row["duration_ms"] for row in spans)
    cost = sum(row["estimated_cost"] or 0 for row in spans)
    tokens = sum(row["total_tokens"] or 0 for row in spans if row["span_type"] == "llm")
    root = spans[0]
    root.update(span_count=len(spans), error_count=sum(row["status"] >= 400 for row in spans))
    if len(spans) > 1:
        root.update(trace_cost=cost, trace_tokens=tokens)
    summary = {
        "trace_id": root["trace_id"],
        "start_time": start,
        "end_time": end,
        "duration_ms": end - start,
        "total_cost": cost,
        "total_tokens": tokens,
        "span_count": len(spans),
        "error_count": sum(row["status"] >= 400 for row in spans),
        "unpriced_count": 0,
    }
    return {
        "row": root,
        "tree": {"trace": summary, "spans": roots},
        "details": {row["id"]: details.get(row["id"]) or detail_of(row) for row in spans},
    }


def simple(number: int, **given: Any) -> Trace:
    """Return a trace of one proxied call."""
    messages = given.pop("messages", None)
    row = span(number, **given)
    return trace_of([row], {row["id"]: detail_of(row, messages)})


def agent_run(number: int) -> Trace:
    """Return an agent's run: nested spans, a tool call with its result, one failed call."""
    base = span(number)["timestamp"]
    ids = {"trace_id": f"{number:032x}", "session_id": "trip-lisbon", "source": "sdk", "service_name": "travel-desk"}

    def child(offset: int, start: int, length: float, parent: int | None, **given: Any) -> Row:
        given = {"is_stream": False, "ttft_ms": None, **ids, **given}
        parent_id = None if parent is None else f"{number * 100 + parent:016x}"
        return span(
            number,
            id=f"{number * 100 + offset:016x}",
            parent_id=parent_id,
            timestamp=base + start,
            duration_ms=length,
            is_root=parent is None,
            **given,
        )

    plain = {"model": None, "prompt": 0, "completion": 0, "provider": None, "operation": None}
    spans = [
        child(0, 0, 8420, None, span_type="agent", span_name="plan trip", tags=["production", "travel"], **plain),
        child(1, 40, 1830, 0, model="gpt-4o", span_name="choose tools", prompt=1840, completion=212, cached=1024, ttft_ms=640.0, is_stream=True, source="proxy"),
        child(2, 1900, 420, 0, span_type="tool", span_name="search_hotels", **plain),
        child(3, 1910, 2600, 0, span_type="chain", span_name="find trains", **plain),
        child(4, 1930, 900, 3, span_type="retrieval", span_name="timetable index", **plain),
        child(5, 2860, 1500, 3, model="gpt-4o-mini", span_name="read timetable", prompt=3200, completion=340, ttft_ms=420.0, is_stream=True, source="proxy"),
        child(6, 4600, 310, 0, span_type="tool", span_name="book_seat", status=500, error="SeatError: no seat left on IC 521", **plain),
        child(7, 5000, 260, 0, span_type="embedding", span_name="embed answer", model="text-embedding-3-small", prompt=512, completion=0),
        child(8, 5300, 3050, 0, model="gpt-4o", span_name="write answer", prompt=4120, completion=620, cached=3072, ttft_ms=980.0, is_stream=True, source="proxy"),
    ]  # fmt: skip
    call = {
        "type": "tool_call",
        "id": "call_1",
        "name": "search_hotels",
        "arguments": '{"city": "Lisbon", "guests": 4, "max_price": 180}',
    }
    result = {
        "type": "tool_result",
        "id": "call_1",
        "content": '{"hotels": [{"name": "Casa do Rio", "price": 164}, {"name": "Alfama Lofts", "price": 151}]}',
    }
    talk = {
        "input": [
            text("system", SYSTEM),
            text("user", "Plan two days in Lisbon for a family of four"),
            {"role": "assistant", "parts": [{"type": "reasoning", "text": "They need a hotel first."}, call]},
            {"role": "tool", "parts": [result]},
        ],
        "output": [{**text("assistant", ANSWER), "finish_reason": "stop"}],
    }
    details = {row["id"]: detail_of(row, talk) for row in spans if row["span_type"] == "llm"}
    for row in spans:
        if row["span_type"] == "llm":
            details[row["id"]]["request"]["body"]["tools"] = [
                {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
                for name in ("search_hotels", "book_seat")
            ]
        else:
            details[row["id"]] = detail_of(
                row,
                {"input": [], "output": []},
                input={"city": "Lisbon", "guests": 4},
                output=None if row["error"] else {"found": 2},
                attributes={"agent.step": 3},
            )
    return trace_of(spans, details)


HOSTILE = '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>'


def hostile(number: int) -> Trace:
    """Return a trace whose every text tries to run something."""
    words = f"{HOSTILE}\n\n[click](javascript:window.pwned=1) ![x](javascript:window.pwned=1) <https://x.test/{HOSTILE}>\n\n```html\n{HOSTILE}\n```\n\n| {HOSTILE} | b |\n|---|---|\n| {HOSTILE} | 1 |"
    parts = [{"type": "text", "text": words}, {"type": "tool_call", "id": HOSTILE, "name": HOSTILE, "arguments": json.dumps({HOSTILE: HOSTILE})}, {"type": "image", "url": "javascript:window.pwned=1"},
             {"type": "image", "url": "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' onload='window.pwned=1'/>"}, {"type": HOSTILE, "x": HOSTILE}]  # fmt: skip
    messages = {
        "input": [{"role": HOSTILE, "name": HOSTILE, "parts": parts}],
        "output": [
            {"role": "assistant", "parts": [{"type": "refusal", "text": HOSTILE}, {"type": "reasoning", "text": words}]}
        ],
    }
    return simple(
        number,
        model=HOSTILE,
        provider=HOSTILE,
        span_name=HOSTILE,
        tags=[HOSTILE],
        preview_in=HOSTILE,
        session_id=HOSTILE,
        user_id=HOSTILE,
        error=HOSTILE,
        status=500,
        messages=messages,
    )


def believable() -> list[Trace]:
    """Return a day's worth of traces to look at."""
    vendors = [
        ("openai", "gpt-4o-mini"),
        ("openai", "gpt-4o"),
        ("groq", "llama-3.3-70b-versatile"),
        ("openai", "gpt-4.1"),
        ("vllm", "qwen3-8b"),
    ]
    asks = [
        "Plan two days in Lisbon for a family of four",
        "Summarise this contract in five points",
        "Why does my build fail with exit code 137?",
        "Translate the menu into German",
        "Write a haiku about tail latency",
    ]
    traces = [agent_run(3), agent_run(700)]
    for i in range(1, 240):
        provider, model = vendors[(i * 7) % 5]
        given: dict[str, Any] = {
            "provider": provider,
            "model": model,
            "preview_in": asks[i % 5],
            "duration_ms": 320.0 + (i * 977) % 5200,
            "ttft_ms": 90.0 + (i * 131) % 800,
            "prompt": 120 + (i * 613) % 4000,
            "completion": 20 + (i * 97) % 700,
            "timestamp": int(time.time() * 1000) - 4000 - i * i * 900,
        }
        if i % 11 == 4:
            given.update(
                status=429,
                response_status=429,
                error="Rate limit reached for gpt-4o in organization org-x on tokens per min",
                is_stream=False,
            )
        elif i % 17 == 5:
            given.update(status=499, ending="client_closed", error="the client closed the connection")
        if i % 6 == 0:
            given.update(session_id=f"chat-{i // 24}", user_id="ada")
        if i % 4 == 0:
            given.update(tags=["production", "checkout"][: 1 + i % 2])
        if provider == "vllm":
            given.update(is_estimated=True)
        traces.append(simple(i + 10, **given))
    return traces


def many(count: int) -> list[Trace]:
    """Return many small traces that share their details."""
    shared = simple(1)
    traces = []
    for i in range(count):
        row = {
            **shared["row"],
            "id": f"{i + 1:016x}",
            "trace_id": f"{i + 1:032x}",
            "seq": count - i,
            "timestamp": shared["row"]["timestamp"] - i * 1000,
            "preview_in": f"call number {i}",
        }
        details = {row["id"]: {**shared["details"][shared["row"]["id"]], "trace": row}}
        traces.append({"row": row, "tree": {**shared["tree"], "spans": [{**row, "children": []}]}, "details": details})
    return traces


class Flood:
    """The rows of very many traces, each made when it is asked for."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.row = simple(1)["row"]

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, part: slice) -> list[Row]:
        newest = self.row["timestamp"]
        return [
            {
                **self.row,
                "id": f"{i + 1:016x}",
                "trace_id": f"{i + 1:032x}",
                "seq": self.count - i,
                "timestamp": newest - i * 1000,
                "preview_in": f"call number {i}",
            }
            for i in range(*part.indices(self.count))
        ]

    def histogram(self) -> dict[str, Any]:
        """Answer /api/histogram."""
        width = max(1, self.count * 1000 // 50)
        newest = self.row["timestamp"]
        buckets = [{"timestamp": newest - (50 - i) * width, "count": self.count // 50, "errors": 0} for i in range(50)]
        return {"from": newest - 50 * width, "to": newest, "bucket_ms": width, "buckets": buckets}


def wide(number: int, count: int) -> Trace:
    """Return one trace of very many spans, in a tree four levels deep."""
    base = span(number)["timestamp"]
    spans = []
    for i in range(count):
        parent = None if i == 0 else f"{number + (i - 1) // 10:016x}"
        spans.append(
            span(
                number,
                id=f"{number + i:016x}",
                trace_id=f"{number:032x}",
                parent_id=parent,
                timestamp=base + i,
                duration_ms=float(max(5, count - i)),
                span_name=f"step {i}",
                status=500 if i == count - 1 else 200,
            )
        )
    return trace_of(spans, {spans[0]["id"]: detail_of(spans[0])})


# ---- the other routes' answers, counted from the same traces
def _rows(traces: list[Trace]) -> list[Row]:
    return [trace["row"] for trace in traces]


def stats(traces: list[Trace]) -> dict[str, Any]:
    """Answer /api/stats."""
    rows = _rows(traces)
    total = sum(row["duration_ms"] for row in rows)
    return {
        "total_requests": len(rows),
        "total_tokens": sum(row["total_tokens"] for row in rows),
        "total_cost": sum(row["trace_cost"] or 0 for row in rows),
        "total_duration": total,
        "error_count": sum(row["status"] >= 400 for row in rows),
        "avg_duration": total / len(rows) if rows else 0,
        "models": [],
    }


def models(traces: list[Trace]) -> list[dict[str, Any]]:
    """Answer /api/models."""
    groups: dict[Any, list[Row]] = defaultdict(list)
    for row in _rows(traces):
        groups[row["model"]].append(row)
    return [
        {
            "model": model,
            "provider": rows[0]["provider"],
            "request_count": len(rows),
            "total_tokens": sum(r["total_tokens"] for r in rows),
            "prompt_tokens": sum(r["prompt_tokens"] for r in rows),
            "completion_tokens": sum(r["completion_tokens"] for r in rows),
            "total_cost": None if rows[0]["estimated_cost"] is None else sum(r["estimated_cost"] or 0 for r in rows),
            "avg_latency": sum(r["duration_ms"] for r in rows) / len(rows),
        }
        for model, rows in groups.items()
    ]


def sessions(traces: list[Trace], key: str) -> dict[str, Any]:
    """Answer /api/sessions and /api/sessions/{id}."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in _rows(traces):
        if row["session_id"]:
            groups[row["session_id"]].append(row)
    if key:
        rows = sorted(groups.get(key, []), key=lambda row: row["timestamp"])
        made = [
            {
                "trace_id": r["trace_id"],
                "started_at": r["timestamp"],
                "ended_at": r["timestamp"] + int(r["duration_ms"]),
                "cost": r["trace_cost"],
                "tokens": r["trace_tokens"],
                "span_count": r["span_count"],
                "has_error": int(r["status"] >= 400),
            }
            for r in rows
        ]
        return {
            "session_id": key,
            "traces": made,
            "summary": {
                "cost": sum(r["trace_cost"] or 0 for r in rows),
                "tokens": sum(r["trace_tokens"] for r in rows),
                "spans": sum(r["span_count"] for r in rows),
                "errors": sum(m["has_error"] for m in made),
            },
        }
    listed = [
        {
            "session_id": name,
            "first_seen": min(r["timestamp"] for r in rows),
            "last_seen": max(r["timestamp"] for r in rows),
            "trace_count": len(rows),
            "total_cost": sum(r["trace_cost"] or 0 for r in rows),
            "total_tokens": sum(r["trace_tokens"] for r in rows),
            "agent_name": None,
            "service_name": rows[0]["service_name"],
        }
        for name, rows in groups.items()
    ]
    return {"sessions": listed, "total": len(listed)}


def analytics(traces: list[Trace], path: str, params: dict[str, str]) -> dict[str, Any]:
    """Answer /api/analytics and /api/analytics/token-trends."""
    days = int(params.get("days", 30))
    if path.endswith("percentiles"):
        return {"overall": {"p50_ms": 2900.0, "p95_ms": 5300.0, "ttft_p50_ms": 480.0}, "buckets": []}
    if path.endswith("token-trends"):
        step = 3_600_000 if params.get("interval") == "hour" else 86_400_000
        now = int(time.time() * 1000) // step * step
        trends = []
        for i in range(days * 86_400_000 // step, -1, -1):
            bucket = now - i * step
            rows = [row for row in _rows(traces) if bucket <= row["timestamp"] < bucket + step]
            label = time.strftime("%Y-%m-%d %H:00" if step < 86_400_000 else "%Y-%m-%d", time.gmtime(bucket / 1000))
            trends.append(
                {
                    "bucket": bucket,
                    "label": label,
                    "prompt_tokens": sum(r["prompt_tokens"] for r in rows),
                    "completion_tokens": sum(r["completion_tokens"] for r in rows),
                    "total_cost": sum(r["trace_cost"] or 0 for r in rows),
                    "request_count": len(rows),
                }
            )
        return {"trends": trends, "interval": params.get("interval"), "days": days}
    by_model = sorted(
        ({**m, "total_cost": m["total_cost"] or 0} for m in models(traces)), key=lambda m: -m["total_cost"]
    )
    by_tool: dict[str, float] = defaultdict(float)
    for row in _rows(traces):
        by_tool[row["provider"] or "unknown"] += row["trace_cost"] or 0
    return {
        "daily": [],
        "by_model": by_model,
        "by_tool": [
            {"provider": name, "service_name": "unknown", "total_cost": cost} for name, cost in by_tool.items()
        ],
        "days": days,
    }


def timeline(traces: list[Trace]) -> list[dict[str, Any]]:
    """Answer /api/timeline."""
    return [
        {
            "id": r["id"],
            "type": "trace",
            "timestamp": r["timestamp"],
            "title": r["span_name"] or r["model"],
            "subtitle": r["provider"],
            "status": r["status"],
            "duration_ms": r["duration_ms"],
            "tokens": r["trace_tokens"],
            "cost": r["trace_cost"],
            "data": r,
        }
        for r in _rows(traces)[:100]
    ]


_NOW = int(time.time() * 1000)
LOGS = {
    "logs": [
        {
            "id": "l1",
            "timestamp": _NOW,
            "severity_number": 17,
            "severity_text": "ERROR",
            "body": "seat booking failed",
            "service_name": "travel-desk",
            "event_name": "booking.failed",
            "trace_id": f"{3:032x}",
        }
    ],
    "total": 1,
}


def logs(params: dict[str, str]) -> dict[str, Any]:
    """Answer /api/logs."""
    found = [row for row in LOGS["logs"] if params.get("trace_id") in (None, row["trace_id"])]
    start = int(params.get("offset", 0))
    return {"logs": found[start : start + int(params.get("limit", 50))], "total": len(found)}


METRICS = {
    "summary": [
        {
            "name": "gen_ai.client.token.usage",
            "service_name": "travel-desk",
            "metric_type": "sum",
            "data_points": 12,
            "first_seen": _NOW,
            "last_seen": _NOW,
            "sum_int": 48210,
            "avg_double": None,
            "max_int": 9000,
            "min_int": 10,
        }
    ]
}
