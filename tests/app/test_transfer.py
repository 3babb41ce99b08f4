"""What is recorded leaves as a file and comes back the same: every format, with a server and without."""

from __future__ import annotations

import base64
import contextlib
import csv
import gzip
import http.client
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Flow
from fake_upstream import FakeUpstream
from openai_like import OpenAILike

from llmflow_web.app.cli import run
from llmflow_web.store import files
from llmflow_web.wire import otlp
from llmflow_web.wire.otlp_values import (
    DataPoint,
    Event,
    Exemplar,
    Link,
    LogRecord,
    OtlpMetric,
    OtlpSpan,
    Resource,
    Scope,
)

ROOT = Path(__file__).resolve().parent.parent.parent
KEY = "sk-test-THISKEYMUSTNOTBESTORED0123456789"
HOSTILE = '\u202egnp.exe\u202c \x00 \x1b[2J ,"quoted"\r\n=cmd|\' \u2028 \U0001f600'
NOW_NS = 1_763_800_000_123_456_789
TRACE = "0af7651916cd43dd8448eb211c80319c"
SHOP, TESTS = Resource({"service.name": "shop", "raw": b"\x00\xff"}), Scope("tests", "1.0", {"a": [1, {"b": None}]})


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("LLMFLOW_"):
            monkeypatch.delenv(name)


# ── something to export ──────────────────────────────────────────────────────────────────────────────────────────────


def call(flow: Flow, path: str = "/v1/chat/completions", headers: dict[str, str] | None = None, **fields: Any) -> None:
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": HOSTILE}]} | fields
    request = urllib.request.Request(flow.proxy_url + path, json.dumps(body).encode())
    named = {"content-type": "application/json", "authorization": f"Bearer {KEY}"} | (headers or {})
    for name, value in named.items():
        request.add_header(name, value)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            with contextlib.suppress(http.client.IncompleteRead):
                response.read()
    except urllib.error.HTTPError as error:
        error.close()


def send(flow: Flow, signal: str, items: list[Any]) -> None:
    status, _, body = flow.ask(
        f"/v1/{signal}", method="POST", body=json.loads(otlp.encode(signal, items, is_json=True))
    )
    assert (status, body) == (200, b"{}")


def spans() -> list[OtlpSpan]:
    usage = {"gen_ai.usage.input_tokens": 1000, "gen_ai.usage.output_tokens": 10}
    chat = {
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o",
        "gen_ai.input.messages": json.dumps([{"role": "user", "parts": [{"type": "text", "content": HOSTILE}]}]),
    }  # fmt: skip
    return [
        OtlpSpan(
            SHOP, TESTS, trace_id=TRACE, span_id="a" * 16, trace_state="x=1", name=HOSTILE, kind=2, start_ns=NOW_NS,
            end_ns=NOW_NS + 2_000_000_001, flags=257, status_code=2, status_message=HOSTILE, dropped_events_count=3,
            attributes={"text": HOSTILE, "bytes": b"\x00\xff", "nan": float("nan"), "deep": {"a": [1.5, None, True]},
                        "half": "\ud800", "gen_ai.operation.name": "invoke_agent", **usage},
            events=[Event(NOW_NS + 5, "e", {"x": 1}, 2)],
            links=[Link("b" * 32, "c" * 16, "y=2", {"z": "w"}, 1, 1)],
        ),
        OtlpSpan(
            SHOP, TESTS, trace_id=TRACE, span_id="b" * 16, parent_span_id="a" * 16, name="chat", start_ns=NOW_NS + 1,
            end_ns=NOW_NS + 1_000_000_003, attributes=chat | usage,
        ),
        OtlpSpan(SHOP, Scope(), trace_id=TRACE, span_id="c" * 16, parent_span_id="a" * 16, name="open", start_ns=NOW_NS),
    ]  # fmt: skip


def logs() -> list[LogRecord]:
    alike = [LogRecord(SHOP, TESTS, time_ns=NOW_NS, severity_number=9, body="the same") for _ in range(3)]
    claude = Resource({"service.name": "claude-code"})
    turn = {"session.id": "s1", "prompt.id": "p1", "user.id": "u"}
    spent = {"model": "claude-sonnet-4-5", "input_tokens": 20, "output_tokens": 30, "cost_usd": 0.5, "duration_ms": 900}
    return [
        *alike,
        LogRecord(
            SHOP, TESTS, time_ns=NOW_NS + 1, observed_ns=NOW_NS + 2, body={"b": b"\x00", "t": HOSTILE}, flags=1,
            trace_id=TRACE, span_id="b" * 16, event_name="shop.event", attributes={"k": HOSTILE, "inf": float("inf")},
        ),
        LogRecord(SHOP, TESTS, observed_ns=NOW_NS + 3, severity_text="warn", body=HOSTILE),
        LogRecord(
            claude, Scope("com.anthropic.claude_code.events"), time_ns=NOW_NS + 4, body="claude_code.user_prompt",
            attributes={"event.name": "user_prompt", "prompt": "hello", **turn},
        ),
        LogRecord(
            claude, Scope("com.anthropic.claude_code.events"), time_ns=NOW_NS + 5, body="claude_code.api_request",
            attributes={"event.name": "api_request", "request_id": "req_1", **turn, **spent},
        ),
    ]  # fmt: skip


def metrics() -> list[OtlpMetric]:
    exemplar = Exemplar(NOW_NS, 2.5, TRACE, "b" * 16, {"f": b"\x01"})
    at: dict[str, Any] = {"attributes": {"k": HOSTILE}, "start_ns": NOW_NS - 10, "time_ns": NOW_NS}
    made = [
        ("gauge", 0, [DataPoint(**at, value=2.5, exemplars=[exemplar]), DataPoint(**at | {"time_ns": 1}, flags=1)]),
        ("gauge", 0, [DataPoint(**at, value=float("-inf")), DataPoint(**at | {"time_ns": NOW_NS + 1}, value=-7)]),
        ("sum", 1, [DataPoint(**at, value=5)]),
        ("sum", 2, [DataPoint(**at, value=2**62)]),
        ("histogram", 2, [DataPoint(**at, count=3, sum=1.5, min=0.1, max=1.0, bucket_counts=[1, 2],
                                    explicit_bounds=[0.5])]),
        ("exponential_histogram", 1, [DataPoint(**at, count=3, sum=1.5, scale=-2, zero_count=1, zero_threshold=0.25,
                                                positive_offset=-1, positive_counts=[1, 1], negative_counts=[1])]),
        ("summary", 0, [DataPoint(**at, count=3, sum=1.5, quantiles=[(0.5, 1.0), (0.99, float("nan"))])]),
    ]  # fmt: skip
    return [
        OtlpMetric(
            SHOP, TESTS, name=f"m{number}", description=HOSTILE, unit="{token}", metric_type=kind, temporality=way,
            is_monotonic=kind == "sum", metadata={"m": 1}, points=points,
        )
        for number, (kind, way, points) in enumerate(made)
    ]  # fmt: skip


def fill(flow: Flow) -> None:
    """Record something of everything."""
    call(flow, headers={"x-llmflow-tags": "a,b", "x-llmflow-session-id": "s", "x-llmflow-prompt": "greet@2"})
    call(flow, stream=True, headers={"traceparent": f"00-{TRACE}-{'b' * 16}-01"})
    call(flow, stream=True, model="gpt-4o-mini-cut")
    call(flow, model="error-429")
    call(flow, "/v1/audio/speech", model="tts-1", input="hello", voice="alloy")
    call(flow, "/v1/embeddings", model="text-embedding-3-small", input=["x" * 40_000], messages=None)
    posted = [
        {"id": "sdk-1", "trace_id": "a trace of ours", "span_type": "tool", "span_name": HOSTILE, "input": {"a": HOSTILE},
         "output": [1, {"half": "\ud800"}], "attributes": {"nested": {"deep": [1]}}, "error": HOSTILE, "tags": ["t"]},
        {"id": "sdk-2", "trace_id": "a trace of ours", "parent_id": "sdk-1", "span_type": "llm", "model": "gpt-4o",
         "provider": "openai", "prompt_tokens": 1000, "completion_tokens": 5, "start_time": 1_763_800_000_000,
         "duration_ms": 12.3456},
        {"id": "sdk-3", "estimated_cost": 0.25, "model": "no such model", "total_tokens": 3},
    ]  # fmt: skip
    assert flow.ask("/api/spans", method="POST", body={"spans": posted})[0] == 201
    send(flow, "traces", spans())
    send(flow, "logs", logs())
    send(flow, "metrics", metrics())
    flow.wait_traces(14)


@pytest.fixture
def recorded(flow_at: Callable[..., Flow]) -> Any:
    """A data dir that something of everything was recorded in, its server stopped."""
    with FakeUpstream(OpenAILike()) as upstream:
        flow = flow_at(openai=upstream.url, settings={"max_stored_body": 20_000})
        fill(flow)
        flow.stop()
    return flow.config.data_dir


@pytest.fixture
def served() -> Iterator[Callable[..., Flow]]:
    """Start a whole LLMFlow on a data dir; it is stopped after the test."""
    with contextlib.ExitStack() as stack:

        def start(folder: Path, **settings: Any) -> Flow:
            flow = Flow(folder, {}, **settings)
            stack.callback(flow.stop)
            return flow

        yield start


def export(data_dir: Path, target: Path, form: str, *more: str) -> Path:
    assert run(["export", "--format", form, "--output", str(target), "--data-dir", str(data_dir), *more]) == 0
    return target


def take_in(data_dir: Path, *names: Path, code: int = 0) -> None:
    assert run(["import", "--data-dir", str(data_dir), *map(str, names)]) == code


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def but_for_source(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a file, each row with the source it had at first."""
    found = lines(path)
    for line in found:
        if line.get("source") == "import":
            line["source"] = line.pop("first_source")
    return found


def sums(flow: Flow) -> Any:
    stats = flow.get("/api/stats")
    return {name: stats[name] for name in ("total_requests", "total_tokens", "error_count")}, round(
        stats["total_cost"], 9
    )


# ── round trips ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("form", ["jsonl", "otlp", "csv"])
def test_a_file_comes_back_the_same(recorded: Path, tmp_path: Path, form: str, capsys: pytest.CaptureFixture) -> None:
    """Export, import into a fresh data dir, export again: the same file, but for the source of its rows."""
    first = export(recorded, tmp_path / "first", form)
    take_in(tmp_path / "fresh", first)
    second = export(tmp_path / "fresh", tmp_path / "second", form)
    assert b"THISKEY" not in first.read_bytes()
    if form == "jsonl":
        assert but_for_source(second) == but_for_source(first)
        assert {line["source"] for line in lines(second) if line["type"] == "span"} == {"import"}
    else:
        assert second.read_bytes() == first.read_bytes()
    said = capsys.readouterr().err
    rest = "" if form == "csv" else ", 7 logs, 9 data points"
    assert f"exported 14 spans{rest} to" in said
    assert f"imported {14 if form == 'csv' else 30} new (14 spans{rest}), 0 known" in said


def test_what_was_joined_stays_joined(recorded: Path, tmp_path: Path, served: Callable[..., Flow]) -> None:
    """Calls that counted once count once after the way through a file: every sum is the same."""
    first = lines(export(recorded, tmp_path / "f", "jsonl"))
    assert [line["id"] for line in first if line.get("joined_to")] == ["b" * 16]
    assert [line["id"] for line in first if line.get("counts") is False] == ["a" * 16, "b" * 16]
    told = sums(served(recorded))
    for form in ("jsonl", "otlp"):
        take_in(tmp_path / form, export(recorded, tmp_path / f"f.{form}", form))
        assert sums(served(tmp_path / form)) == told


def test_bodies_come_back_byte_for_byte(recorded: Path, tmp_path: Path) -> None:
    """Every part of a span is restored: texts, binary answers, arrivals of a stream, what was cut off, the flags."""
    take_in(tmp_path / "fresh", export(recorded, tmp_path / "f", "jsonl"))

    def bodies(folder: Path) -> list[Any]:
        connection = files.connect(folder / "llmflow.db", is_reader=True)
        try:
            return connection.execute(
                "SELECT s.id, b.part, b.size, b.is_cut, b.is_raw, b.encoding, b.data FROM bodies b JOIN spans s "
                "ON s.seq = b.seq ORDER BY s.id, b.part"
            ).fetchall()
        finally:
            connection.close()

    found = bodies(tmp_path / "fresh")
    assert found == bodies(recorded)
    assert {part for _, part, *_ in found} == set(range(1, 10))
    assert [size for _, part, size, is_cut, *_ in found if part == 2 and is_cut] == [40_068]


def test_a_running_server_is_exported_from_and_imported_into(
    flow_at: Callable[..., Flow], served: Callable[..., Flow], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """With a server on the data dir, export reads beside it and import goes through it; both give the same file."""
    with FakeUpstream(OpenAILike()) as upstream:
        flow = flow_at(openai=upstream.url)
        fill(flow)
        for form in ("jsonl", "otlp", "csv"):
            first = export(flow.config.data_dir, tmp_path / f"first.{form}", form)
            other = served(tmp_path / form)
            take_in(tmp_path / form, first)
            second = export(tmp_path / form, tmp_path / f"second.{form}", form)
            assert (
                but_for_source(second) == but_for_source(first)
                if form == "jsonl"
                else (second.read_bytes() == first.read_bytes())
            )
            change = other.house.database.change
            capsys.readouterr()
            take_in(tmp_path / form, first)
            assert f"imported 0 new, {14 if form == 'csv' else 30} known\n" in capsys.readouterr().err
            assert other.house.database.change == change, "nothing was written"


def test_the_second_import_changes_nothing(recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Rows that are there are known and left alone: also by a poorer file, also when they stand twice in one."""
    whole, poor = export(recorded, tmp_path / "f.jsonl", "jsonl"), export(recorded, tmp_path / "f.csv", "csv")
    capsys.readouterr()
    take_in(tmp_path / "fresh", whole, whole)
    assert "imported 30 new (14 spans, 7 logs, 9 data points), 30 known\n" in capsys.readouterr().err
    take_in(tmp_path / "fresh", poor)
    assert "imported 0 new, 14 known\n" in capsys.readouterr().err
    again = export(tmp_path / "fresh", tmp_path / "again", "jsonl")
    assert but_for_source(again) == but_for_source(whole)
    take_in(recorded, whole)
    assert export(recorded, tmp_path / "still", "jsonl").read_bytes() == whole.read_bytes()


def test_costs_are_kept_as_they_were_recorded(tmp_path: Path) -> None:
    """A row with a cost keeps it, one without is priced; from OTLP, what another LLMFlow has written counts."""
    told = {"timestamp": 1, "provider": "openai", "model": "gpt-4o", "prompt_tokens": 1000, "completion_tokens": 0}
    source = tmp_path / "f"
    source.write_text("".join(json.dumps(told | {"id": name} | more) + "\n" for name, more in
                              (("dear", {"estimated_cost": 9.5}), ("unpriced", {}), ("free", {"estimated_cost": 0}))))  # fmt: skip
    take_in(tmp_path / "one", source)
    found = {line["id"]: line["estimated_cost"] for line in lines(export(tmp_path / "one", tmp_path / "g", "jsonl"))}
    assert (found["dear"], found["free"]) == (9.5, 0)
    assert 0 < found["unpriced"] < 1
    take_in(tmp_path / "two", export(tmp_path / "one", tmp_path / "h", "otlp"))
    again = lines(export(tmp_path / "two", tmp_path / "i", "jsonl"))
    assert sorted(line["estimated_cost"] for line in again) == sorted(found.values())


# ── what is read ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_exports_of_the_api_are_read(
    flow_at: Callable[..., Flow], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """What GET /api/traces and /api/traces/export give can be imported: lists, JSON, JSON Lines, CSV, OTLP, packed too."""
    with FakeUpstream(OpenAILike()) as upstream:
        flow = flow_at(openai=upstream.url)
        fill(flow)
        for number, query in enumerate(
            ("?limit=100", *(f"/export?format={form}" for form in ("json", "jsonl", "csv", "otlp")))
        ):
            status, _, body = flow.ask(f"/api/traces{query}")
            assert status == 200
            (tmp_path / "f").write_bytes(gzip.compress(body) if number % 2 else body)
            capsys.readouterr()
            take_in(tmp_path / f"{number}", tmp_path / "f")
            assert "imported 14 new (14 spans), 0 known\n" in capsys.readouterr().err, query
            found = lines(export(tmp_path / f"{number}", tmp_path / "g", "jsonl"))
            assert sorted(line["timestamp"] for line in found) == sorted(
                row["timestamp"] for row in flow.wait_traces(14)
            )


def test_a_file_of_a_collector_is_read(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """OTLP from elsewhere is read as if it were posted: pretty-printed, all signals in one object, agents' logs as calls."""
    whole: dict[str, Any] = {}
    for signal, items in (("traces", spans()), ("logs", logs()), ("metrics", metrics())):
        whole |= json.loads(otlp.encode(signal, items, is_json=True))  # type: ignore[arg-type]
    (tmp_path / "pretty.json").write_text("\ufeff" + json.dumps(whole, indent=2))
    (tmp_path / "line.json").write_text(json.dumps(whole))
    take_in(tmp_path / "data", tmp_path / "pretty.json")
    assert "imported 19 new (3 spans, 7 logs, 9 data points), 0 known\n" in capsys.readouterr().err
    found = {line["id"]: line for line in lines(export(tmp_path / "data", tmp_path / "g", "jsonl"))}
    calls = [line for line in found.values() if line.get("derived")]
    assert sorted((line["span_type"], line["first_source"]) for line in calls) == [("agent", "otlp"), ("llm", "otlp")]
    capsys.readouterr()
    take_in(tmp_path / "data", tmp_path / "line.json")
    assert "imported 0 new, 19 known\n" in capsys.readouterr().err
    assert len(lines(export(tmp_path / "data", tmp_path / "h", "jsonl"))) == len(found)


BAD = (
    (b"{}", "id must be text"),
    (b'{"id": "x"}', "timestamp is missing"),
    (b'{"id": "x", "timestamp": 1e300}', "timestamp must be a number"),
    (b'{"id": "x", "timestamp": 1, "prompt_tokens": "many"}', "prompt_tokens must be a whole number"),
    (b'{"id": "x", "timestamp": 1, "tags": "a"}', "tags must be a list of texts"),
    (b'{"id": "x", "timestamp": 1, "bodies": {"request": {"base64": "?"}}}', "bodies.request must be"),
    (b'{"id": "x", "timestamp": NaN}', "NaN is no JSON"),
    (b'{"type": "budget", "id": "x"}', "type must be span, log, metric"),
    (b'{"type": "log", "id": "x"}', "time_ns is missing"),
    (b'{"type": "metric", "id": "x", "series": "s", "time_ns": "5"}', "name is missing"),
    (b'{"id": "x", "times', "is no JSON"),
    (b"\xff\xfe", "is no JSON"),
    (b'"text"', "is no JSON object"),
    (b'{"a":' * 100_000, "nested too deeply"),
    (b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "x"}]}]}]}', "its trace_id must have 16 bytes"),
    (b'{"resourceSpans": 5}', "resourceSpans"),
)


@pytest.mark.parametrize("is_served", [False, True])
def test_bad_lines_are_named_and_the_others_go_in(
    served: Callable[..., Flow], tmp_path: Path, capsys: pytest.CaptureFixture, is_served: bool
) -> None:
    """Each line that cannot be read is named by file and line with a reason, and makes the exit code 1."""
    if is_served:
        served(tmp_path / "data")
    good = b'{"id": "good-%d", "timestamp": 1}'
    pieces = [piece for number, (bad, _) in enumerate(BAD) for piece in (good % number, bad)]
    source = tmp_path / "mixed.jsonl"
    source.write_bytes(b"\n".join(pieces) + b"\n\n")
    take_in(tmp_path / "data", source, code=1)
    said = capsys.readouterr().err.splitlines()
    for number, (_, why) in enumerate(BAD):
        assert said[number].startswith(f"{source}:{2 * number + 2}: ")
        assert why in said[number]
    assert said[-1] == f"llmflow: imported {len(BAD)} new ({len(BAD)} spans), 0 known, {len(BAD)} refused"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"hello\n", "f:1: is neither JSON, nor CSV"),
        (b"id,timestamp\nx\ny,5\n", "f:2: has 1 values for 2 columns"),
        (b'id,timestamp\nx,soon\n"y", 5\n', "f:2: timestamp must be a number; got 'soon'"),
        (b'id,timestamp\n"x"x,5\ny,5\n', "f:2: "),
        (gzip.compress(b'{"id": "y", "timestamp": 1}\n' * 100, mtime=0)[:-20], "f: is not whole: "),
        (b'{"id":\n', "f:1: is no JSON"),
        (b'[{"id": "y", "timestamp": 1}, {"id": 5}]', "f:1 (element 2): id must be text"),
        (b'[\n{"id": "y", "timestamp": 1},\n{"id": 5}]\n', "f:1 (element 2): id must be text"),
        (b'{\n"id": "y",\n"timestamp": 1,}\n{"id": "y", "timestamp": 1}\n', "f:1: is no JSON"),
    ],
    ids=["words", "short", "soon", "quotes", "packed", "open", "list", "lines", "trailing"],
)
def test_files_that_are_wrong_say_so(tmp_path: Path, capsys: pytest.CaptureFixture, data: bytes, why: str) -> None:
    """A file that is nothing we know, ends early or is broken in the middle is named; what can be read goes in."""
    (tmp_path / "f").write_bytes(data)
    take_in(tmp_path / "data", tmp_path / "f", code=1)
    said = capsys.readouterr().err
    assert why in said
    if b"y" in data:
        assert "imported 1 new (1 span)" in said


def test_a_missing_file_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """A file that is not there ends it with a sentence and code 1; what came before it is in."""
    (tmp_path / "f").write_text('{"id": "x", "timestamp": 1}')
    take_in(tmp_path / "data", tmp_path / "f", tmp_path / "none", code=1)
    assert f"{tmp_path / 'none'} cannot be read: No such file or directory.\n" in capsys.readouterr().err


def test_secrets_in_a_file_are_masked(tmp_path: Path) -> None:
    """Whoever wrote a file: credential headers and keys are masked before anything of it is stored."""
    told = {
        "id": "x", "timestamp": 1, "error": f"bad key {KEY}",
        "bodies": {
            "headers": {"text": json.dumps({"request": [["X-Api-Key", "plainsecretvalue1"], ["Accept", "*/*"]]})},
            "request": {"base64": base64.b64encode(f'{{"key": "{KEY}"}}'.encode()).decode()},
        },
    }  # fmt: skip
    (tmp_path / "f").write_text(json.dumps(told))
    take_in(tmp_path / "data", tmp_path / "f")
    found = export(tmp_path / "data", tmp_path / "g", "jsonl").read_text()
    assert "THISKEY" not in found
    assert "plainsecret" not in found
    assert "Accept" in found
    assert b"plainsecret" not in b"".join(path.read_bytes() for path in (tmp_path / "data").iterdir())


# ── what is chosen ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_selection_takes_the_logs_of_its_traces(recorded: Path, tmp_path: Path) -> None:
    """With a filter: the spans it lets through, the logs of their traces, no metrics; with times: all of that time."""

    def ids(*more: str) -> list[str]:
        return [line["id"] for line in lines(export(recorded, tmp_path / "f", "jsonl", *more))]

    def kinds(*more: str) -> list[str]:
        found = [line["type"] for line in lines(export(recorded, tmp_path / "f", "jsonl", *more))]
        return [f"{found.count(kind)} {kind}" for kind in dict.fromkeys(found)]

    everything = ids()
    assert kinds("--filter", "span:bbbbbbbbbbbbbbbb") == ["1 span", "1 log"]
    assert kinds("--filter", "source:sdk") == ["3 span"]
    assert kinds("--filter", "model:none") == []
    assert ids("--limit", "3") == everything[11:14]
    assert ids("--limit", "500")[:14] == everything[:14]
    assert kinds("--until", "2025-11-22T08:26:41Z") == ["6 span", "7 log", "9 metric"]
    assert kinds("--since", "1h") == ["8 span"]
    assert kinds("--since", "1763800000124", "--until", "1763800000125") == []
    assert export(recorded, tmp_path / "f.csv", "csv", "--filter", "model:none").read_text().count("\n") == 1


@pytest.mark.parametrize(
    "argv",
    [["--since", "yesterday"], ["--until", "1" * 18], ["--filter", "cost:dear"], ["--limit", "0"], ["--format", "xml"]],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, argv: list[str], capsys: pytest.CaptureFixture) -> None:
    """A filter or time that cannot be understood is an error (2), never a larger export than was meant."""
    try:
        code: Any = run(["export", "--data-dir", str(tmp_path), *argv])
    except SystemExit as ended:
        code = ended.code
    assert code == 2
    assert argv[1] in capsys.readouterr().err


def test_there_must_be_a_database(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """An export from where nothing was recorded, or of a file that is not ours, is one sentence and makes no file."""
    assert run(["export", "--data-dir", str(tmp_path), "--output", str(tmp_path / "f")]) == 1
    assert "There is no database in" in capsys.readouterr().err
    (tmp_path / "llmflow.db").write_text("hello" * 100)
    assert run(["export", "--data-dir", str(tmp_path), "--output", str(tmp_path / "f")]) == 1
    assert "not a database of LLMFlow" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["llmflow.db"]


# ── where it goes ────────────────────────────────────────────────────────────────────────────────────────────────────


def llmflow(*argv: str, **options: Any) -> subprocess.Popen[bytes]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("LLMFLOW_")}
    return subprocess.Popen([sys.executable, str(ROOT / "llmflow.py"), *argv], env=env, **options)


def test_files_travel_through_pipes(recorded: Path, tmp_path: Path) -> None:
    """`llmflow export | llmflow import -` copies everything."""
    pipe = subprocess.PIPE
    with llmflow("export", "--data-dir", str(recorded), stdout=pipe, stderr=pipe) as sending:
        with llmflow("import", "-", "--data-dir", str(tmp_path / "b"), stdin=sending.stdout, stderr=pipe) as taking:
            _, said = taking.communicate(timeout=120)
        _, told = sending.communicate(timeout=120)
    assert (sending.returncode, told) == (0, b"llmflow: exported 14 spans, 7 logs, 9 data points\n")
    assert (taking.returncode, said) == (
        0, b"llmflow: imported 30 new (14 spans, 7 logs, 9 data points), 0 known\n",
    )  # fmt: skip


def test_a_reader_that_goes_away_is_no_traceback(tmp_path: Path) -> None:
    """`llmflow export | head -1` ends quietly."""
    source = tmp_path / "f"
    told = {"timestamp": 1, "bodies": {"request": {"text": "x" * 5000}}}
    source.write_text("".join(json.dumps(told | {"id": f"{n}"}) + "\n" for n in range(200)))
    take_in(tmp_path / "data", source)
    with llmflow(
        "export", "--data-dir", str(tmp_path / "data"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as sending:
        assert sending.stdout is not None
        assert sending.stderr is not None
        assert json.loads(sending.stdout.readline())["id"] == "0"
        sending.stdout.close()
        said = sending.stderr.read()
        assert sending.wait(120) == 141
    assert said == b""


def test_a_file_is_there_when_it_is_whole(recorded: Path, tmp_path: Path) -> None:
    """An export replaces a file at its end, is its owner's alone, and is packed when its name says so."""
    target = tmp_path / "out" / "f.jsonl.gz"
    target.parent.mkdir()
    target.write_text("old")
    export(recorded, target, "jsonl")
    assert len(gzip.decompress(target.read_bytes()).splitlines()) == 30
    assert [path.name for path in target.parent.iterdir()] == ["f.jsonl.gz"]
    if os.name == "posix":
        assert target.stat().st_mode & 0o777 == 0o600
    take_in(tmp_path / "data", target)


def test_a_spreadsheet_runs_nothing_and_loses_nothing(tmp_path: Path) -> None:
    """Texts that a spreadsheet would run as formulas are quoted in CSV and come back as they were."""
    names = ["=1+1", "@x", "-y", "+z", "'plain", 'a,b\n"c"\r', "\ttab", "5"]
    source = tmp_path / "f"
    source.write_text("".join(json.dumps({"id": f"n{n}", "timestamp": n, "span_name": name}) + "\n"
                              for n, name in enumerate(names)))  # fmt: skip
    take_in(tmp_path / "one", source)
    told = export(tmp_path / "one", tmp_path / "f.csv", "csv")
    with told.open(newline="") as stream:
        cells = [row["span_name"] for row in csv.DictReader(stream)]
    assert not [cell for cell in cells if cell.startswith(("=", "@", "-", "+", "\t"))]
    take_in(tmp_path / "two", told)
    assert [line["span_name"] for line in lines(export(tmp_path / "two", tmp_path / "g", "jsonl"))] == names


# ── the server ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_server_asks_for_its_token(
    served: Callable[..., Flow], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """An import through a server that has a token brings it, or is told to."""
    served(tmp_path / "data", token="a-long-token-for-tests-123456")
    (tmp_path / "f").write_text('{"id": "x", "timestamp": 1}')
    take_in(tmp_path / "data", tmp_path / "f", code=1)
    assert "answered 401: This server asks for its token" in capsys.readouterr().err
    assert run(["import", "--data-dir", str(tmp_path / "data"), "--token", "a-long-token-for-tests-123456",
                str(tmp_path / "f")]) == 0  # fmt: skip


def test_whoever_holds_the_data_dir_without_a_port_is_named(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """An import beside another process that cannot be asked is refused with its number."""
    lock = files.DirLock(tmp_path)
    lock.acquire()
    try:
        (tmp_path / "f").write_text('{"id": "x", "timestamp": 1}')
        take_in(tmp_path, tmp_path / "f", code=1)
        assert f"Process {os.getpid()} uses {tmp_path} and says no port" in capsys.readouterr().err
    finally:
        lock.release()
