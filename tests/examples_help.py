"""The trace that the agents of docs/examples leave behind, whichever language they are written in."""

from __future__ import annotations

import os
from typing import Any

from openai_like import TEXT

BRIEFING = [
    "briefing trace",
    *["  plan chain", "    call"],
    *["  research agent", "    call", "    look_up tool"] * 3,
    *["  write chain", "    call"],
]
"""Every span under its parent, siblings by name: five calls in one trace."""


def surroundings(flow: Any, **more: str) -> dict[str, str]:
    """Return the environment that points an example at `flow`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LLMFLOW_", "OPENAI_"))}
    return kept | {"OPENAI_BASE_URL": flow.proxy_url + "/v1", "LLMFLOW_URL": flow.dashboard_url} | more


def check_briefing(flow: Any, said: str) -> None:
    """Wait for the trace of an agent that said this, and check its tree."""
    assert said.strip() == TEXT
    rows = flow.wait_traces(len(BRIEFING))
    assert outline(rows) == BRIEFING
    assert len({row["trace_id"] for row in rows}) == 1
    assert [row["session_id"] for row in rows] == ["example"] * len(rows)
    assert [row["status"] for row in rows] == [200] * len(rows)
    assert all(row["total_tokens"] for row in rows if row["source"] == "proxy")


def outline(rows: list[dict[str, Any]]) -> list[str]:
    """Return one line per span, indented under its parent's."""
    ids = {row["id"] for row in rows}
    below: dict[str | None, list[dict[str, Any]]] = {}
    for row in rows:
        below.setdefault(row["parent_id"], []).append(row)
    assert set(below) <= {None, *ids}, "a parent that is not there"

    def lines(parent: str | None) -> list[str]:
        blocks = sorted([_label(row), *(f"  {line}" for line in lines(row["id"]))] for row in below.get(parent, []))
        return [line for block in blocks for line in block]

    return lines(None)


def _label(row: dict[str, Any]) -> str:
    return "call" if row["source"] == "proxy" else f"{row['span_name']} {row['span_type']}"
