"""Files: right shape, right names, whatever is in them, streamed in pieces at the client's pace."""

import csv
import io
import json
import socket

import pytest
from routes.api_rig import NOW, ApiRig

from llmflow_web.model import PART_REQUEST, PART_RESPONSE, Body, Row, Span
from llmflow_web.store import export
from llmflow_web.wire.otlp import decode

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


# ── traces as a whole ──


def call_row(trace: str, key: str, words: str, **more) -> Row:
    asked = json.dumps({"model": "o3", "messages": [{"role": "user", "content": words}]}).encode()
    choice = {"index": 0, "message": {"role": "assistant", "content": f"re: {words}"}, "finish_reason": "stop"}
    answered = json.dumps({"object": "chat.completion", "choices": [choice]}).encode()
    span = Span(trace, key, start_ns=NOW_NS, duration_ns=10**9, provider="openai", model="o3", status=200, operation="chat",
                span_name="chat o3", **more)  # fmt: skip
    return Row(span, [Body(PART_REQUEST, asked, len(asked)), Body(PART_RESPONSE, answered, len(answered))])


@pytest.fixture(scope="module")
def talks(tmp_path_factory):
    with ApiRig(tmp_path_factory.mktemp("data")) as rig:
        rig.store(
            call_row("a" * 32, "1" * 16, "hello <script>"),
            call_row("a" * 32, "2" * 16, "and then", parent_id="1" * 16),
            call_row("b" * 32, "3" * 16, "another"),
            *(call_row(f"{number:032x}", f"{number:016x}", "many", tags=["many"]) for number in range(100, 145)),
        )
        yield rig


def test_named_traces(talks: ApiRig) -> None:
    """`ids` takes whole traces, named by their id or that of any of their spans, in every form; unknown ones fall out."""
    ids = f"{'2' * 16},{'b' * 32},nobody,{'a' * 32}"
    found = talks.get(f"/api/traces/export?ids={ids}").json["traces"]
    assert [row["id"][0] for row in found] == ["2", "1", "3"]
    assert talks.get(f"/api/traces/export?format=jsonl&ids={ids}&limit=2").body.count(b"\n") == 2
    assert talks.get("/api/traces/export?ids=nobody").status == 404
    assert talks.get(f"/api/traces/export?ids={'x,' * 300}").status == 400


def test_html(talks: ApiRig) -> None:
    """One file holds a trace with its messages, and a browser is told to run nothing in it."""
    answer = talks.get(f"/api/traces/export?format=html&trace_id={'a' * 32}")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="traces.html"'
    assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    text = answer.body.decode()
    assert "hello &lt;script&gt;" in text
    assert "re: and then" in text
    assert "another" not in text
    assert "<script" not in text


def test_html_of_some(talks: ApiRig) -> None:
    """Several traces make one file, up to a limit; none is a 404."""
    assert talks.get("/api/traces/export?format=html&tag=many&limit=3").body.count(b"<section>") == 3
    assert talks.get("/api/traces/export?format=html").body.count(b"<section>") == 20
    assert talks.get("/api/traces/export?format=html&model=none").status == 404
    assert talks.get("/api/traces/export?format=html&limit=21").status == 400


def test_otlp(talks: ApiRig) -> None:
    """OTLP/JSON holds every span once with its words, and what reads OTLP reads it."""
    answer = talks.get("/api/traces/export?format=otlp&tag=many")
    assert answer.headers["content-disposition"] == 'attachment; filename="traces.otlp.json"'
    spans = decode("traces", answer.body, is_json=True).items
    assert sorted(span.span_id for span in spans) == [f"{number:016x}" for number in range(100, 145)]
    assert "many" in json.dumps(spans[0].attributes)
    assert len(decode("traces", talks.get("/api/traces/export?format=otlp&limit=21").body, is_json=True).items) == 21
    assert talks.get("/api/traces/export?format=otlp&model=none").json == {"resourceSpans": []}
