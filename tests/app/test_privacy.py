"""What was promised to be kept from the disk is not on it: looked for in the bytes of the data directory."""

from __future__ import annotations

import json
import urllib.request
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_upstream import FakeUpstream, Script, answer, stream
from store_help import wait_until

import llmflow

PATIENCE_S = 60.0
DONE = b"data: [DONE]\n\n"
SECRET = "zyxjane@example.org"


def ask(
    flow: llmflow.Flow, text: str, *, stream: bool = False, record: str | None = None, key: str = "openai"
) -> bytes:
    """Send one chat call whose prompt is `text`."""
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}], "stream": stream}
    headers = {"Content-Type": "application/json", "X-LLMFlow-Tag": key}
    if record is not None:
        headers["X-LLMFlow-Record"] = record
    return send("POST", flow.openai_base_url + "/chat/completions", body, headers)


def send(method: str, url: str, body: object = None, headers: dict[str, str] | None = None) -> bytes:
    """Send a request past any proxy and return the answer's body."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers or {"Content-Type": "application/json"}, method=method)
    with opener.open(request, timeout=PATIENCE_S) as answer:
        return answer.read()


def on_disk(folder: Path) -> bytes:
    """Return all bytes below a folder, and what they hold compressed."""
    data = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    pieces = [data]
    start = data.find(b"\x78\x01")
    while start >= 0:  # bodies over 16 KB are kept by zlib at level 1
        machine = zlib.decompressobj()
        try:
            pieces.append(machine.decompress(data[start : start + (1 << 20)]))
        except zlib.error:
            pass
        start = data.find(b"\x78\x01", start + 1)
    return b"\n".join(pieces)


def says(text: str, *, in_pieces: bool) -> Script:
    """Answer `text`, whole or as a stream with three characters an event."""
    head = {"id": "c", "created": 1, "model": "gpt-4o-mini"}
    if not in_pieces:
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        return answer(body=json.dumps({**head, "object": "chat.completion", "choices": [choice]}).encode())
    deltas = [{"content": text[at : at + 3]} for at in range(0, len(text), 3)]
    chunks = [
        {**head, "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": one, "finish_reason": None}]}
        for one in deltas
    ]
    return stream([*(b"data: %b\n\n" % json.dumps(one).encode() for one in chunks), DONE])


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream() as upstream:
        yield upstream


def test_deleted_prompts_are_gone(upstream: FakeUpstream, tmp_path: Path) -> None:
    """After a deletion, by id or by filter, neither prompt nor answer is in any file, long ones included."""
    with llmflow.serve(data_dir=tmp_path, upstreams={"openai": upstream.url}) as flow:
        long = " ".join(f"{SECRET} {number}" for number in range(2000))
        ask(flow, f"first {SECRET}", key="gone")
        ask(flow, long, key="gone")
        ask(flow, "ordinarywords", key="stays")
        ask(flow, f"by id {SECRET}", key="other")
        calls = flow.calls()
        assert SECRET.encode() in on_disk(tmp_path)
        send("POST", flow.dashboard_url + "/api/traces/delete", {"filter": {"tag": "gone"}})
        send("DELETE", flow.dashboard_url + "/api/traces/" + calls[-1]["trace_id"])
        wait_until(lambda: json.loads(send("GET", flow.dashboard_url + "/api/traces/delete")) == {"erased": True})
        assert SECRET.encode() not in on_disk(tmp_path)
        assert b"ordinarywords" in on_disk(tmp_path)
        assert [call["tags"] for call in flow.calls()] == [["stays"]]


def test_no_bodies(upstream: FakeUpstream, tmp_path: Path) -> None:
    """With --no-bodies neither calls nor spans nor logs leave a prompt on the disk; tokens and cost are there."""
    with llmflow.serve(data_dir=tmp_path, bodies=False, upstreams={"openai": upstream.url}) as flow:
        ask(flow, SECRET)
        ask(flow, SECRET, record="on")
        send("POST", flow.dashboard_url + "/api/spans", sdk_span())
        send("POST", flow.dashboard_url + "/v1/traces", otlp_span())
        send("POST", flow.dashboard_url + "/v1/logs", otlp_log())
        rows = flow.spans()
        assert [row["prompt_tokens"] for row in flow.calls()] == [flow.calls()[0]["prompt_tokens"]] * 2
        assert len(rows) == 4
        assert not any(row["preview_in"] or row["preview_out"] for row in rows)
    assert SECRET.encode() not in on_disk(tmp_path)
    assert b"gpt-kept" in on_disk(tmp_path)


def sdk_span() -> dict[str, object]:
    attributes = {"gen_ai.prompt.0.content": SECRET, "k": 3}
    return {"span_type": "tool", "input": {"q": SECRET}, "output": SECRET, "attributes": attributes}


def attribute(name: str, value: str) -> dict[str, object]:
    return {"key": name, "value": {"stringValue": value}}


def otlp_span() -> dict[str, object]:
    attributes = [
        attribute("gen_ai.operation.name", "chat"),
        attribute("gen_ai.request.model", "gpt-kept"),
        attribute("gen_ai.input.messages", json.dumps([{"role": "user", "parts": [{"content": SECRET}]}])),
        attribute("input.value", SECRET),
        attribute("llm.output_messages.0.message.content", SECRET),
        attribute("my.own.note", SECRET * 20),
    ]
    event = {"timeUnixNano": "2", "name": "gen_ai.user.message", "attributes": [attribute("content", SECRET)]}
    one = {"traceId": "a" * 32, "spanId": "b" * 16, "name": "chat", "startTimeUnixNano": "1",
           "endTimeUnixNano": "2", "attributes": attributes, "events": [event]}  # fmt: skip
    return {"resourceSpans": [{"scopeSpans": [{"spans": [one]}]}]}


def otlp_log() -> dict[str, object]:
    one = {"timeUnixNano": "1", "body": {"stringValue": SECRET}, "attributes": [attribute("prompt", SECRET)]}
    return {"resourceLogs": [{"scopeLogs": [{"logRecords": [one]}]}]}


def test_a_call_may_keep_less_but_not_more(upstream: FakeUpstream, tmp_path: Path) -> None:
    """X-LLMFlow-Record takes away for its own call: meta leaves the figures, off leaves nothing."""
    with llmflow.serve(data_dir=tmp_path, upstreams={"openai": upstream.url}) as flow:
        ask(flow, SECRET, record="meta")
        ask(flow, SECRET, record="off")
        assert len(flow.calls()) == 1
    assert SECRET.encode() not in on_disk(tmp_path)


@pytest.mark.parametrize("in_pieces", [False, True])
def test_own_patterns(upstream: FakeUpstream, tmp_path: Path, in_pieces: bool) -> None:
    """--redact masks prompts, answers, streams in pieces, labels and spans; what the client gets stays whole."""
    upstream.script(says(f"call {SECRET} now", in_pieces=in_pieces))
    pattern = r"\w+@example\.\w+"
    with llmflow.serve(data_dir=tmp_path, redact=[pattern], upstreams={"openai": upstream.url}) as flow:
        got = ask(flow, f"who is {SECRET}?", stream=in_pieces, key=f"for-{SECRET}")
        if in_pieces:
            said = [json.loads(line[6:]) for line in got.decode().splitlines() if line.startswith("data: {")]
            assert "".join(one["choices"][0]["delta"].get("content", "") for one in said) == f"call {SECRET} now"
        assert SECRET.encode() in upstream.requests[0].body
        call = flow.call(flow.calls()[0]["id"])
        assert call["messages"]["input"][0]["parts"][0]["text"] == "who is [redacted]?"
        assert call["messages"]["output"][0]["parts"][0]["text"] == "call [redacted] now"
        if in_pieces:
            assert any("--redact" in note for note in call["trace"]["notes"])
        assert call["trace"]["tags"] == ["for-[redacted]"]
    assert b"zyxjan" not in on_disk(tmp_path)
