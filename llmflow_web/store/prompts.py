"""Calls by the prompt they were made from, and each prompt by its versions. What a prompt says is not read here.

A prompt is a name that was given, or else a fingerprint with "~" before it; a version what was given as one, or else a
fingerprint of the wording. Read are the newest MAX_SCANNED calls; where there were more, the answer says so.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from llmflow_web.model import JSON, PART_ATTRIBUTES, PART_INPUT, PART_OTLP, PART_REQUEST
from llmflow_web.store.query import Compiled, compile_filter
from llmflow_web.store.spans import get_bodies
from llmflow_web.store.stats import UNPRICED
from llmflow_web.wire.filter import Filter, Term

MAX_SCANNED = 100_000
FEW = 20_000
MAX_VERSIONS = 200
"""Of one prompt, the newest; a wording that differs in each call has as many versions as calls."""

SLOTS = 48
"""Stretches of time a prompt's calls are counted in."""

SORTS = ("calls", "cost", "errors", "p95_ms", "last_seen", "name")


@dataclass(slots=True)
class _Sums:
    """What calls come to."""

    first: int = 2**63 - 1  # nanoseconds
    last: int = 0
    calls: int = 0
    errors: int = 0
    cost: float = 0.0
    unpriced: int = 0
    sent: int = 0
    got: int = 0
    is_given: bool = False  # named by whoever called
    durations: list[int] = field(default_factory=list)  # microseconds
    firsts: list[int] = field(default_factory=list)  # to the first token, microseconds
    models: set[str] = field(default_factory=set)
    slots: dict[int, int] = field(default_factory=dict)
    versions: int = 0

    def add(self, row: Sequence[Any]) -> None:
        """Add a row of _SUMS."""
        first, last, calls, errors, cost, unpriced, sent, got, is_given, durations, firsts = row
        self.first, self.last = min(self.first, first), max(self.last, last)
        self.calls += calls
        self.errors += errors
        self.cost += cost
        self.unpriced += unpriced
        self.sent += sent
        self.got += got
        self.is_given = self.is_given or bool(is_given)
        self.durations += _numbers(durations)
        self.firsts += _numbers(firsts)

    def told(self) -> JSON:
        """Return the figures under their names in the API."""
        p50, p95 = _percentiles(self.durations, (0.5, 0.95))
        priced = self.calls - self.unpriced
        return {
            "calls": self.calls,
            "errors": self.errors,
            "error_rate": round(self.errors / self.calls, 6) if self.calls else None,
            "cost": self.cost,
            "unpriced_count": self.unpriced,
            "cost_per_call": self.cost / priced if priced else None,
            "prompt_tokens": self.sent,
            "completion_tokens": self.got,
            "p50_ms": p50,
            "p95_ms": p95,
            "first_seen": self.first // 1_000_000 if self.calls else None,
            "last_seen": self.last // 1_000_000 if self.calls else None,
        }


_SUMS = f"""MIN(s.start_ns), MAX(s.start_ns), COUNT(*), TOTAL(IFNULL(s.status, 0) >= 400), TOTAL(s.estimated_cost),
  SUM({UNPRICED}), TOTAL(s.prompt_tokens), TOTAL(s.completion_tokens), MAX({{given}} IS NOT NULL),
  group_concat(s.duration_ns / 1000), {{ttft}}"""
_TTFT = "group_concat(CAST(s.ttft_ms * 1000 AS INTEGER))"


def _numbers(text: str | None) -> list[int]:
    return json.loads(f"[{text}]") if text else []  # twice as fast as int() on each


def _percentiles(microseconds: list[int], shares: Sequence[float]) -> list[float | None]:
    """Return the milliseconds below which each share of the calls lies: the nearest call's own."""
    if not microseconds:
        return [None] * len(shares)
    ordered = sorted(microseconds)
    return [ordered[min(len(ordered) - 1, int(share * len(ordered)))] / 1000 for share in shares]


# ── all prompts ──────────────────────────────────────────────────────────────────────────────────────────────────────


def prompts(connection: sqlite3.Connection, chosen: Filter, sort: str, limit: int, offset: int) -> JSON:
    """Return {"prompts", "total", "is_sampled"}; each with the seqs of some calls to show it by."""
    compiled = compile_filter(connection, chosen)
    is_sampled = _narrow(connection, compiled)
    found: dict[str, _Sums] = {}
    columns = _SUMS.format(given="s.prompt_name", ttft="NULL")
    sql = (
        f"SELECT s.prompt, COUNT(DISTINCT s.wording) + MAX(s.wording IS NULL), {columns} "
        f"FROM {compiled.source}{compiled.where} GROUP BY 1"
    )
    for name, versions, *row in connection.execute(sql, compiled.params):
        found[name] = _Sums(versions=versions)
        found[name].add(_whole(row))
    rows = [_prompt(name, sums) for name, sums in found.items()]
    rows.sort(key=lambda row: str(row["name"] or row["key"]).lower())
    if sort != "name":
        rows.sort(key=lambda row: (row[sort] or 0, row["calls"], row["last_seen"]), reverse=True)
    shown = rows[offset : offset + limit]
    for row in shown:
        row["examples"] = _examples(connection, row["key"])
    return {"prompts": shown, "total": len(rows), "is_sampled": is_sampled}


def _whole(row: list[Any]) -> list[Any]:
    """Return a row of _SUMS with what TOTAL made real numbers of as whole ones again."""
    for place in (3, 6, 7):
        row[place] = int(row[place])
    return row


def _prompt(key: str, sums: _Sums) -> JSON:
    named = {"key": key, "name": key if sums.is_given else None, "is_named": sums.is_given}
    return named | {"versions": sums.versions} | sums.told()


def _examples(connection: sqlite3.Connection, key: str) -> list[int]:
    """Return the seqs of the newest calls, and of the oldest: a conversation is short when it begins."""
    found: list[int] = []
    for order, limit in (("DESC", 2), ("ASC", 1)):
        rows = connection.execute(
            f"SELECT seq FROM spans WHERE prompt = ? ORDER BY start_ns {order} LIMIT {limit}", (key,)
        )
        found += [seq for (seq,) in rows]
    return list(dict.fromkeys(found))


def _narrow(connection: sqlite3.Connection, compiled: Compiled) -> bool:
    """Let only calls with a prompt through, at most the newest MAX_SCANNED; say whether there are more.

    Where no condition leads to few rows, few are read by prompt and many in the order they lie in: that reads each page
    once (150 ms for 100,000, and 210 by prompt).
    """
    if compiled.has_leader:
        compiled.add("+s.counts = 1 AND +s.prompt IS NOT NULL")
        return _sample(connection, compiled) > MAX_SCANNED
    compiled.source = "spans s INDEXED BY spans_prompt"
    compiled.add("s.prompt IS NOT NULL")
    count = _sample(connection, compiled)
    if count > FEW:
        compiled.source = "spans s INDEXED BY spans_time"
        compiled.add("s.start_ns > ?", -(2**62))
    compiled.add("+s.counts = 1")
    return count > MAX_SCANNED


def _sample(connection: sqlite3.Connection, compiled: Compiled) -> int:
    """Leave of what is let through the newest MAX_SCANNED; return how many there are, at most one more than that."""
    some = f"SELECT {compiled.time} AS at FROM {compiled.source}{compiled.where}"
    (count,) = connection.execute(f"SELECT COUNT(*) FROM ({some} LIMIT {MAX_SCANNED + 1})", compiled.params).fetchone()
    if count > MAX_SCANNED:
        oldest = connection.execute(f"{some} ORDER BY 1 DESC LIMIT 1 OFFSET {MAX_SCANNED}", compiled.params).fetchone()
        compiled.add(f"{compiled.time} > ?", oldest[0])
    return int(count)


# ── one prompt ───────────────────────────────────────────────────────────────────────────────────────────────────────


def prompt(connection: sqlite3.Connection, key: str, chosen: Filter) -> JSON | None:
    """Return a prompt with its versions in order of appearance; None where there is no such prompt.

    Their numbers count all calls there are, whatever the filter lets through.
    """
    appeared = _appearance(connection, key)
    if not appeared:
        return None
    compiled = compile_filter(connection, Filter((*chosen.terms, Term("prompt", "=", (key,)))))
    compiled.add("+s.counts = 1")
    is_sampled = _sample(connection, compiled) > MAX_SCANNED
    begin, step = _stretch(connection, compiled)
    versions, whole = _versions(connection, compiled, begin, step)
    known = [(number, one) for number, one in enumerate(appeared, 1) if one in versions]
    rows = [_version(one, number, versions[one]) for number, one in known[-MAX_VERSIONS:]]
    for row in rows:
        row["newest"] = _newest_call(connection, key, row["version"], versions[row["version"]].last)
    return {
        **_prompt(key, whole),
        "versions": rows,
        "version_count": len(known),
        "slots": {"from": begin // 1_000_000, "step_ms": step // 1_000_000, "count": SLOTS},
        "is_sampled": is_sampled,
        "examples": _examples(connection, key),
    }


def _appearance(connection: sqlite3.Connection, key: str) -> list[str | None]:
    """Return the versions of a prompt in the order they were first seen. Read from the index alone."""
    rows = connection.execute(
        "SELECT wording FROM spans WHERE prompt = ? GROUP BY wording ORDER BY MIN(start_ns), wording", (key,)
    )
    return [row[0] for row in rows]


def _stretch(connection: sqlite3.Connection, compiled: Compiled) -> tuple[int, int]:
    """Return when the calls begin, and how long a slot is that SLOTS of them hold them all."""
    sql = f"SELECT MIN({compiled.time}), MAX({compiled.time}) FROM {compiled.source}{compiled.where}"
    first, last = connection.execute(sql, compiled.params).fetchone()
    return first or 0, max(60 * 10**9, ((last or 0) - (first or 0)) // SLOTS + 1)


def _versions(
    connection: sqlite3.Connection, compiled: Compiled, begin: int, step: int
) -> tuple[dict[str | None, _Sums], _Sums]:
    columns = _SUMS.format(given="s.prompt_version", ttft=_TTFT)
    sql = (
        f"SELECT s.wording, (s.start_ns - {begin}) / {step}, group_concat(DISTINCT s.model), MAX(s.prompt_name), "
        f"{columns} FROM {compiled.source}{compiled.where} GROUP BY 1, 2"
    )
    found: dict[str | None, _Sums] = {}
    whole = _Sums()
    is_named = False
    for wording, slot, models, name, *row in connection.execute(sql, compiled.params):
        sums = found.setdefault(wording, _Sums())
        whole.add(_whole(row))
        sums.add(row)
        sums.slots[slot] = row[2]
        sums.models.update(models.split(",") if models else ())
        is_named = is_named or name is not None
    whole.versions, whole.is_given = len(found), is_named
    return found, whole


def _version(wording: str | None, number: int, sums: _Sums) -> JSON:
    ttft = _percentiles(sums.firsts, (0.5,))
    label = "none" if wording is None else wording if sums.is_given else f"v{number}"
    return {
        "version": wording,
        "label": label,
        "number": number,
        "is_given": sums.is_given,
        **sums.told(),
        "avg_prompt_tokens": round(sums.sent / sums.calls, 1) if sums.calls else None,
        "avg_completion_tokens": round(sums.got / sums.calls, 1) if sums.calls else None,
        "ttft_p50_ms": ttft[0],
        "models": sorted(sums.models),
        "slots": [sums.slots.get(slot, 0) for slot in range(SLOTS)],
    }


def _newest_call(connection: sqlite3.Connection, key: str, wording: str | None, start_ns: int) -> JSON | None:
    row = connection.execute(
        "SELECT seq, id, trace_id, provider, operation, request_model FROM spans "
        "WHERE prompt = ? AND start_ns = ? AND wording IS ? ORDER BY counts DESC LIMIT 1",
        (key, start_ns, wording),
    ).fetchone()
    names = ("seq", "id", "trace_id", "provider", "operation", "request_model")
    return None if row is None else dict(zip(names, row, strict=True))


def asked_parts(connection: sqlite3.Connection, seq: int, max_bytes: int) -> dict[int, bytes]:
    """Return the stored parts that say what a call asked for, as far as they are whole and not longer than this."""
    sizes = connection.execute("SELECT part, size FROM bodies WHERE key >= ? AND key < ?", (seq * 16, seq * 16 + 16))
    wanted = [part for part, size in sizes if part in _ASKED and size <= max_bytes]
    bodies = get_bodies(connection, seq, wanted) if wanted else {}
    return {part: body.data for part, body in bodies.items() if not (body.is_raw or body.is_cut)}


_ASKED = frozenset({PART_REQUEST, PART_INPUT, PART_ATTRIBUTES, PART_OTLP})
