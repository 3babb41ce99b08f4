"""llmflow prune: what goes is said first, and is really gone then, with a server and without."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from cli_help import BEGAN_MS, Terminal, fill, plain_terminal, spans
from conftest import PATIENCE_S, Flow

from llmflow_web.app.cli import run

COUNT = 12


def call(number: int) -> dict[str, Any]:
    return {
        **spans()[3], "id": f"{number:016x}", "trace_id": f"{number:032x}", "start_time": BEGAN_MS + number * 1000,
        "output": f"SECRET{number:04d} " * 200, "tags": ["even" if number % 2 == 0 else "odd"],
    }  # fmt: skip


@pytest.fixture
def flow(flow_at: Callable[..., Flow], monkeypatch: pytest.MonkeyPatch) -> Flow:
    plain_terminal(monkeypatch)
    flow = flow_at()
    fill(flow, [call(number) for number in range(COUNT)])
    return flow


def left(flow: Flow, terminal: Terminal) -> list[int]:
    """Return which calls are left, by the table and by the bytes of the data directory."""
    rows = sorted(int(row["id"], 16) for row in terminal.json_lines("ls"))
    data = b"".join(path.read_bytes() for path in flow.config.data_dir.iterdir() if path.is_file())
    assert [number for number in range(COUNT) if f"SECRET{number:04d}".encode() in data] == rows
    return rows


def settle(flow: Flow) -> None:
    """Wait until the search index is fed, which takes room of its own."""
    end = time.monotonic() + PATIENCE_S
    while not flow.house.database.is_settled:
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("has_server", [True, False])
def test_what_is_pruned_is_gone(flow: Flow, capsys: pytest.CaptureFixture[str], has_server: bool) -> None:
    """By filter, age and number: without --now nothing goes, with it rows, sums and bytes do."""
    terminal = Terminal(capsys, flow.config.data_dir)
    if not has_server:
        flow.stop()
    assert "Would go: 6 traces with 6 spans" in terminal("prune", "tag:odd")
    assert left(flow, terminal) == list(range(COUNT))
    told = terminal.json("prune", "tag:odd", "--now")
    assert (told["dry_run"], told["traces"], told["deleted"], told["erased"]) == (False, 6, 6, True)
    assert left(flow, terminal) == [0, 2, 4, 6, 8, 10]
    assert terminal.json("prune", "--older-than", str(BEGAN_MS + 2001), "--now")["deleted"] == 2
    assert left(flow, terminal) == [4, 6, 8, 10]
    assert "Deleted 1 span for good" in terminal("prune", "--keep", "3", "--now")
    assert left(flow, terminal) == [6, 8, 10]
    assert terminal.json("stats")["total"]["requests"] == 3
    assert "Nothing would go" in terminal("prune", "--keep", "3")
    assert terminal.json("prune", "--all", "--now")["deleted"] == 3
    assert left(flow, terminal) == []


@pytest.mark.parametrize("has_server", [True, False])
def test_it_becomes_as_small_as_wanted(flow: Flow, capsys: pytest.CaptureFixture[str], has_server: bool) -> None:
    """--max-size deletes the oldest until the data takes no more, and no more than that."""
    fill(flow, [{**call(number), "output": "x" * 200_000} for number in range(100, 110)])
    terminal = Terminal(capsys, flow.config.data_dir)
    settle(flow)
    if not has_server:
        flow.stop()
    size = terminal.json("prune", "--max-size", "1GiB")["size"]
    told = terminal.json("prune", "--max-size", f"{size - 5000}B", "--now")
    assert told["size"] <= size - 5000
    assert 0 < told["deleted"] < COUNT
    rows = [int(row["id"], 16) for row in terminal.json_lines("ls", "--limit", "100")]
    assert sorted(rows) == [*range(told["deleted"], COUNT), *range(100, 110)]


@pytest.mark.parametrize(
    "argv", [[], ["foo:bar"], ["--keep", "3", "tag:x"], ["--all", "--keep", "3"], ["--older-than", "soon"]]
)
def test_it_wants_to_know_what_goes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], argv: list[str]
) -> None:
    """Nothing named, a word no field has, two ways at once: refused before anything is opened."""
    plain_terminal(monkeypatch)
    assert run(["prune", *argv, "--now"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
