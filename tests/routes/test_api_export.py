"""Files: right shape, right names, whatever is in them, streamed in pieces at the client's pace."""

import csv
import io
import json
import socket

import pytest
from routes.api_rig import NOW, ApiRig

from llmflow_web.model import Row, Span
from llmflow_web.store import export

NOW_NS = int(NOW) * 1_000_000_000
COLUMNS = (
    "id,timestamp,duration_ms,provider,model,prompt_tokens,completion_tokens,total_tokens,estimated_cost,status,error,"
    "trace_id,parent_id,span_type,span_name,service_name"
)


def row(number: int, **more) -> Row:
    return Row(Span(f"t{number}", f"s{number}", start_ns=NOW_NS - number, status=200, **more))


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    with ApiRig(tmp_path_factory.mktemp("data")) as rig:
        rig.store(
            row(0, span_name='says "a, b"\nand more', model="m", prompt_tokens=3, estimated_cost=0.5),
            row(1, span_name="=1+1", model="other"),
            *(row(number) for number in range(2, 1300)),
        )
        yield rig


def test_json(rig: ApiRig) -> None:
    """JSON holds when, what was asked for, how many, and list elements."""
    answer = rig.get("/api/traces/export?format=json&model=m")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-disposition"] == 'attachment; filename="traces.json"'
    found = answer.json
    assert (found["exported_at"], found["count"], found["filters"]) == ("2025-11-22T08:26:40.000Z", 1, {"model": "m"})
    assert found["traces"] == rig.get("/api/traces?model=m").json


def test_json_is_the_default_and_limited(rig: ApiRig) -> None:
    """Without parameters the newest 1000 come as JSON; a limit over several pieces is kept to the row."""
    found = rig.get("/api/traces/export").json
    assert found["count"] == len(found["traces"]) == 1000
    assert rig.get("/api/traces/export?limit=501").json["count"] == 501
    assert rig.get("/api/traces/export?limit=100000").json["count"] == 1300


def test_jsonl(rig: ApiRig) -> None:
    """JSONL holds one list element per line, in the list's order, none twice."""
    answer = rig.get("/api/traces/export?format=jsonl&limit=5000")
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.headers["content-disposition"] == 'attachment; filename="traces.jsonl"'
    lines = answer.body.decode().splitlines()
    assert [json.loads(line)["id"] for line in lines] == [f"s{number}" for number in range(1300)]


def test_csv(rig: ApiRig) -> None:
    """CSV has the contract's columns; quotes, commas and line ends survive, null is empty, no cell is a formula."""
    answer = rig.get("/api/traces/export?format=csv&limit=3")
    assert answer.headers["content-type"] == "text/csv"
    assert answer.headers["content-disposition"] == 'attachment; filename="traces.csv"'
    text = answer.body.decode()
    assert text.startswith(COLUMNS + "\n")
    first, second, third = csv.DictReader(io.StringIO(text))
    assert (first["span_name"], first["prompt_tokens"]) == ('says "a, b"\nand more', "3")
    assert second["span_name"] == "'=1+1"
    assert third["model"] == ""


def test_empty_exports(rig: ApiRig) -> None:
    """Nothing to export is a right file with nothing in it."""
    assert rig.get("/api/traces/export?model=none").json["traces"] == []
    assert rig.get("/api/traces/export?format=jsonl&model=none").body == b""
    assert rig.get("/api/traces/export?format=csv&model=none").body.decode() == COLUMNS + "\n"


def test_export_comes_in_pieces(rig: ApiRig) -> None:
    """The answer is chunked: it begins before it is all read."""
    assert rig.get("/api/traces/export?format=jsonl").headers["transfer-encoding"] == "chunked"


def test_reader_that_goes_stops_the_export(tmp_path, monkeypatch) -> None:
    """A client that takes nothing holds the export up, and one that goes ends it."""
    asked: list[int] = []
    batch = export.batch

    def counted(*args):
        asked.append(1)
        return batch(*args)

    monkeypatch.setattr(export, "batch", counted)
    monkeypatch.setattr(export, "BATCH_ROWS", 20)
    with ApiRig(tmp_path) as rig:
        rig.store(*(row(number, error="x" * 60_000) for number in range(400)))
        sock = socket.create_connection(("127.0.0.1", rig.port))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.sendall(b"GET /api/traces/export?format=jsonl HTTP/1.1\r\nHost: localhost\r\n\r\n")
        sock.recv(1000)
        for _ in range(20):
            rig.get("/api/health")
        held_at = len(asked)
        assert held_at < 20
        sock.close()
        for _ in range(20):
            rig.get("/api/health")
        assert len(asked) <= held_at + 1
