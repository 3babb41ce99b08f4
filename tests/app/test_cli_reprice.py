"""llmflow reprice: present prices for stored calls, said first, then written with every sum right."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from cli_help import Terminal, fill, plain_terminal, spans
from conftest import Flow

from llmflow_web.record.price_table import write_table
from llmflow_web.record.pricing import bundled_table

MODEL = "gpt-4o"


def dearer(flow: Flow) -> None:
    """Put a price table into the cache in which MODEL costs twice as much, and another has a price."""
    table = bundled_table()
    models = {}
    for key in table.rows:
        found = table.find(key)
        assert found is not None
        models[found[0]] = dict(found[1])
    plain = models[MODEL]
    models[MODEL] = {
        name: value * 2 if "cost" in name and isinstance(value, float) else value for name, value in plain.items()
    }
    models["house-model"] = {"p": "openai", "m": "chat", "input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}
    about = {"date": "2099-01-01", "source": flow.config.price_url, "etag": None}
    (flow.config.data_dir / "prices.json").write_bytes(write_table(about, models))


def items() -> list[dict[str, Any]]:
    agent, call = spans()[0], spans()[1]
    house = {**spans()[3], "id": "1" * 16, "trace_id": "1" * 32, "model": "house-model", "session_id": "s9"}
    own = {**spans()[3], "id": "2" * 16, "trace_id": "2" * 32, "estimated_cost": 0.5}
    return [agent, {**call, "session_id": "s9"}, house, own]


@pytest.fixture
def flow(flow_at: Callable[..., Flow], monkeypatch: pytest.MonkeyPatch) -> Flow:
    plain_terminal(monkeypatch)
    flow = flow_at()
    fill(flow, items())
    flow.stop()
    dearer(flow)
    return flow


@pytest.mark.parametrize("has_server", [True, False])
def test_it_says_and_then_writes(
    flow: Flow, flow_at: Callable[..., Flow], capsys: pytest.CaptureFixture[str], has_server: bool
) -> None:
    """A dry run names what changes; --apply changes it, in rows, traces, sessions and sums; once more changes nothing."""
    if has_server:
        flow_at()
    terminal = Terminal(capsys, flow.config.data_dir)
    before = {row["id"]: row for row in terminal.json_lines("ls", "--spans")}
    dry = terminal.json("reprice")
    assert (dry["dry_run"], dry["seen"], dry["changed"], dry["prices"]["date"]) == (True, 4, 2, "2099-01-01")
    by_model = {row["model"]: row for row in dry["models"]}
    assert by_model[MODEL]["new_cost"] == pytest.approx(2 * by_model[MODEL]["old_cost"])
    assert by_model["house-model"]["newly_priced"] == 1
    assert {row["id"]: row for row in terminal.json_lines("ls", "--spans")} == before
    assert "2 of 4 calls would change" in terminal("reprice")

    assert terminal.json("reprice", "--apply")["changed"] == 2
    after = {row["id"]: row for row in terminal.json_lines("ls", "--spans")}
    call, house, agent = "b" * 16, "1" * 16, "a" * 16
    assert after[call]["estimated_cost"] == pytest.approx(2 * before[call]["estimated_cost"])
    assert after[house]["estimated_cost"] == pytest.approx(1000e-6 + 200 * 2e-6, rel=0.5)
    assert after["2" * 16]["estimated_cost"] == 0.5  # its sender's own word
    assert after[agent]["trace_cost"] == pytest.approx(after[call]["estimated_cost"])
    whole = sum(row["estimated_cost"] or 0.0 for row in after.values())
    total = terminal.json("stats")["total"]
    assert (total["cost"], total["unpriced_count"]) == (pytest.approx(whole), 0)
    session = terminal.json("stats", "--by", "session")["rows"]
    told = {row["key"]: row["cost"] for row in session}
    assert told["s9"] == pytest.approx(after[call]["estimated_cost"] + after[house]["estimated_cost"])

    detail = terminal.json("show", call)
    recorded = detail["trace"]["cost_detail"]["recorded"]
    assert recorded["cost"] == before[call]["estimated_cost"]
    assert detail["trace"]["cost_detail"]["price_date"] == "2099-01-01"
    assert detail["messages"]["output"]
    assert "recorded as $" in terminal("show", call)
    assert "4 calls cost what they did" in terminal("reprice")


def test_a_filter_bounds_it(flow: Flow, capsys: pytest.CaptureFixture[str]) -> None:
    """Only what passes is looked at; a word no field has is refused."""
    terminal = Terminal(capsys, flow.config.data_dir)
    assert terminal.json("reprice", f"model:{MODEL}")["changed"] == 1
    assert terminal.json("reprice", "model:none")["seen"] == 0
    terminal("reprice", "foo:bar", code=2)


def test_the_route_refuses_nonsense(flow: Flow, flow_at: Callable[..., Flow]) -> None:
    """POST /api/reprice and GET /api/storage want numbers where numbers are wanted."""
    server = flow_at()
    for body in ({"after": -1}, {"limit": "x"}, {"filter": 3}, {"filter": {"filter": "foo:bar"}}, []):
        status, _, answer = server.ask("/api/reprice", method="POST", body=body)
        assert status == 400, body
        assert json.loads(answer)["error"]
    assert server.ask("/api/storage?max_size=x")[0] == 400
    assert server.get("/api/storage?tag=none")["traces"] == 0
