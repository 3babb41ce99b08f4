"""Export: every row once, in three formats."""

from __future__ import annotations

import csv
import io
import json

import pytest
from store_help import make_row

from llmflow_web.store import export
from llmflow_web.wire.filter import Filter


def test_an_export_gives_every_row_once(live, monkeypatch):
    """In batches, newest first, with a limit or without, while rows arrive."""
    monkeypatch.setattr(export, "BATCH_ROWS", 7)
    live.put(*(make_row(id=str(n)) for n in range(30)))
    seen = []
    for row in export.iterate(live.database.read, Filter()):
        seen.append(row["id"])
        if len(seen) == 10:
            live.put(make_row(id="late"))
    assert seen == [str(n) for n in reversed(range(30))]
    assert len(list(export.iterate(live.database.read, Filter(), 9))) == 9
    assert len(list(export.iterate(live.database.read, Filter(), 0))) == 0
    assert len(list(export.iterate(live.database.read, Filter.from_query({"model": "none"})))) == 0


def _written(kind, batches):
    text = export.opening(kind, "2026-01-01T00:00:00Z", {"model": "m"})
    count = 0
    for rows in batches:
        text += export.lines(kind, rows, is_first=count == 0)
        count += len(rows)
    return text + export.closing(kind, count)


ROWS = [{"id": str(n), "error": None, "model": 'a "b", c\nd', "timestamp": n} for n in range(3)]


@pytest.mark.parametrize("batches", [[ROWS], [ROWS[:1], ROWS[1:]], [[]], [], [ROWS, []]])
def test_json_is_one_object(batches):
    """exported_at, count, filters and traces, however it was cut into batches."""
    found = json.loads(_written("json", batches))
    rows = [row for rows in batches for row in rows]
    assert found == {
        "exported_at": "2026-01-01T00:00:00Z", "filters": {"model": "m"}, "count": len(rows), "traces": rows,
    }  # fmt: skip


def test_jsonl_is_one_object_a_line():
    """Each line stands alone."""
    assert [json.loads(line) for line in _written("jsonl", [ROWS[:2], ROWS[2:]]).splitlines()] == ROWS


def test_csv_has_the_contracts_header_and_quotes():
    """Null is empty; commas, quotes and line ends are quoted; a formula is made harmless."""
    text = _written("csv", [[*ROWS, {"id": "=cmd()", "model": -1}]])
    lines = list(csv.reader(io.StringIO(text)))
    assert ",".join(lines[0]) == (
        "id,timestamp,duration_ms,provider,model,prompt_tokens,completion_tokens,total_tokens,estimated_cost,status,"
        "error,trace_id,parent_id,span_type,span_name,service_name"
    )
    assert lines[1][:5] == ["0", "0", "", "", 'a "b", c\nd']
    assert (lines[4][0], lines[4][4]) == ("'=cmd()", "-1")
    assert text.endswith("\n")
    assert "\r" not in text
