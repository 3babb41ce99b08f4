"""Runs the programs of tests/clients/apps as their users would, and reads what LLMFlow made of their telemetry."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

APPS = Path(__file__).parent / "clients" / "apps"
PRICES = Path(__file__).parent.parent / "llmflow_web" / "data" / "prices.json.gz"
PATIENCE_S = 240.0
Node = dict[str, Any]


def run_app(flow: Any, app: str, *arguments: str, **env: str) -> None:
    """Run an app that exports to this LLMFlow. When it ends, all it told is stored: a flush waits for the answer."""
    run(flow, [sys.executable, "-W", "ignore", str(APPS / app), *arguments], **env)


def run(flow: Any, command: list[str], **env: str) -> None:
    """Run a program in an environment that has nothing of OpenTelemetry but where to export to."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "LANGSMITH_"))}
    told = kept | {"OTEL_EXPORTER_OTLP_ENDPOINT": flow.dashboard_url} | env
    done = subprocess.run(command, env=told, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-8000:]


class Numbered:
    """A script whose answers have ids of their own, as real ones do; of canned ones every id is the same."""

    def __init__(self, script: Callable[[Any], None]) -> None:
        self._script = script
        self._numbers = itertools.count(1)

    def __call__(self, talk: Any) -> None:
        self._script(_Numbering(talk, next(self._numbers)))


class _Numbering:
    def __init__(self, talk: Any, number: int) -> None:
        assert number < 10, "an id has one digit, so that lengths stay"
        self._talk, self._digit = talk, b"%d" % number

    def __getattr__(self, name: str) -> Any:
        return getattr(self._talk, name)

    def send(self, data: bytes) -> None:
        self._talk.send(_IDS.sub(lambda found: found[1] + self._digit, data))


_IDS = re.compile(rb"\b(chatcmpl-|resp_|msg_0|req_01)1(?=[\"L])")


# ── what is stored ───────────────────────────────────────────────────────────────────────────────────────────────────


def trees(flow: Any) -> dict[str, Node]:
    """Return each trace that begins with an app's span, by that span's name."""
    rows = flow.get("/api/traces?limit=1000&sort=time")
    firsts = [row for row in rows if row["source"] == "otlp" and row["parent_id"] is None]
    found = {row["span_name"]: flow.get(f"/api/traces/{row['trace_id']}/tree")["spans"] for row in firsts}
    assert len(found) == len(firsts)
    assert all(len(roots) == 1 for roots in found.values())
    return {name: roots[0] for name, roots in found.items()}


def outline(node: Node) -> tuple[str, list[Any]]:
    """Return the types of a span and of all below it, as (type, [children])."""
    return node["span_type"], [outline(child) for child in children(node)]


def children(node: Node) -> list[Node]:
    """Return a span's children in the order they began."""
    return sorted(node["children"], key=lambda child: (child["timestamp"], child["start_ns"]))


def walk(node: Node) -> Iterator[Node]:
    """Yield a span and all below it."""
    yield node
    for child in node["children"]:
        yield from walk(child)


def calls_in(node: Node) -> list[Node]:
    """Return an app's own spans of models' calls in a trace, in the order they began."""
    found = [one for one in walk(node) if one["span_type"] in ("llm", "embedding") and one["source"] == "otlp"]
    return sorted(found, key=lambda one: int(one["start_ns"]))


def detail(flow: Any, node: Node) -> Node:
    """Return all that is known of a span."""
    return flow.get(f"/api/traces/{node['id']}?trace_id={node['trace_id']}")


def texts(message: Node) -> list[Any]:
    """Return what a message says, short: texts as they are, tool calls and results as tuples."""
    return [_short(part) for part in message["parts"]]


def _short(part: Node) -> Any:
    if part["type"] == "tool_call":
        return ("call", part["id"], part["name"], json.loads(part["arguments"]))
    if part["type"] == "tool_result":
        return ("result", part["id"], part["content"])
    return part["text"] if part["type"] == "text" else part


def said(messages: list[Node]) -> list[tuple[str, list[Any]]]:
    """Return messages as (role, what it says)."""
    return [(message["role"], texts(message)) for message in messages]


def cost(row: Node, *, hour_cache: int = 0) -> float:
    """Return what a row's tokens cost by the price table that ships with the package."""
    rates = _rates()[row["model"]]
    cached, written = row["cached_tokens"] or 0, row["cache_write_tokens"] or 0
    amounts = {
        "input_cost_per_token": (row["prompt_tokens"] or 0) - cached - written,
        "cache_read_input_token_cost": cached,
        "cache_creation_input_token_cost": written - hour_cache,
        "cache_creation_input_token_cost_above_1hr": hour_cache,
        "output_cost_per_token": row["completion_tokens"] or 0,
    }
    return sum(rates[name] * amount for name, amount in amounts.items() if amount)


@cache
def _rates() -> dict[str, dict[str, float]]:
    return json.loads(gzip.decompress(PRICES.read_bytes()))
