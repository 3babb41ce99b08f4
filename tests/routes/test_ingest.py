"""POST /api/spans over real sockets into a real database: what is stored, what is derived, what is refused."""

import gzip
import json

import pytest
from routes.api_rig import NOW, ApiRig

from llmflow_web.net.guard import Guard


@pytest.fixture
def rig(tmp_path):
    with ApiRig(tmp_path) as rig:
        yield rig


def test_span_as_the_javascript_sdk_sends_it(rig: ApiRig) -> None:
    """A span of the contract is answered with its ids after the commit and found at once, all of it."""
    span = {
        "id": "11111111-1111-4111-8111-111111111111", "trace_id": "22222222-2222-4222-8222-222222222222",
        "parent_id": None, "span_type": "tool", "span_name": "lookup", "start_time": 1763800000123,
        "end_time": 1763800000623, "duration_ms": 500, "status": 200, "error": None, "input": {"city": "Oslo"},
        "output": {"result": "cold"}, "attributes": {"k": "v"}, "tags": ["a", "b"], "service_name": "weather",
    }  # fmt: skip
    answer = rig.post(span)
    assert (answer.status, answer.json) == (201, {"id": span["id"], "trace_id": span["trace_id"]})
    found = rig.get(f"/api/traces/{span['id']}").json
    trace = found["trace"]
    assert (trace["span_type"], trace["span_name"], trace["service_name"]) == ("tool", "lookup", "weather")
    assert (trace["timestamp"], trace["duration_ms"], trace["source"]) == (1763800000123, 500.0, "sdk")
    assert (found["input"], found["output"], found["attributes"]) == ({"city": "Oslo"}, {"result": "cold"}, {"k": "v"})
    assert trace["tags"] == ["a", "b"]
    assert trace["preview_out"] == "cold"


def test_empty_span_gets_defaults(rig: ApiRig) -> None:
    """An empty object is a span: ids of ours, now, custom, app, 200."""
    answer = rig.post({}).json
    assert len(answer["id"]) == 16
    assert len(answer["trace_id"]) == 32
    trace = rig.get(f"/api/traces/{answer['id']}").json["trace"]
    assert (trace["span_type"], trace["span_name"], trace["service_name"]) == ("custom", "span", "app")
    assert (trace["status"], trace["timestamp"], trace["duration_ms"]) == (200, NOW * 1000, None)


def test_trace_id_defaults_to_the_id(rig: ApiRig) -> None:
    """A span with an id alone opens the trace of that id."""
    assert rig.post({"id": "x1"}).json == {"id": "x1", "trace_id": "x1"}


def test_tokens_total_and_cost_are_derived(rig: ApiRig) -> None:
    """Tokens of a known model make a total and a cost with its lines; a cost that was sent stays."""
    call = {
        "span_type": "llm",
        "model": "gpt-4o",
        "provider": "openai",
        "prompt_tokens": 1000,
        "completion_tokens": 500,
    }
    rig.post(call | {"id": "a"})
    rig.post(call | {"id": "b", "estimated_cost": 1.5})
    rig.post(call | {"id": "c", "model": "who-knows"})
    first = rig.get("/api/traces/a").json["trace"]
    assert (first["total_tokens"], first["estimated_cost"]) == (1500, 0.0075)
    assert [line["name"] for line in first["cost_detail"]["lines"]] == ["input", "output"]
    assert (first["price_key"], first["cost_detail"]["price_date"]) == ("gpt-4o", "2026-10-21")
    assert rig.get("/api/traces/b").json["trace"]["estimated_cost"] == 1.5
    assert rig.get("/api/traces/c").json["trace"]["estimated_cost"] is None


def test_session_conversation_and_user(rig: ApiRig) -> None:
    """Grouping fields are taken and can be asked for."""
    rig.post({"id": "a", "session_id": "s1", "conversation_id": "c1", "user_id": "u1", "agent_name": "planner"})
    assert [row["id"] for row in rig.get("/api/traces?session_id=s1&conversation_id=c1&user_id=u1").json] == ["a"]
    assert rig.get("/api/sessions").json["sessions"][0]["agent_name"] == "planner"


def test_same_span_again_replaces_it(rig: ApiRig) -> None:
    """Posting a span again updates it: a running span can be sent twice."""
    rig.post({"id": "a", "trace_id": "t", "span_name": "begun"})
    assert rig.post({"id": "a", "trace_id": "t", "span_name": "done", "duration_ms": 5}).status == 201
    rows = rig.get("/api/traces").json
    assert [(row["span_name"], row["duration_ms"]) for row in rows] == [("done", 5.0)]
    assert rig.get("/api/stats").json["total_requests"] == 1


def test_many_spans_with_results_per_item(rig: ApiRig) -> None:
    """A list is stored item by item; what is wrong is told in its place and does not keep the others."""
    answer = rig.post({"spans": [{"id": "a"}, {"id": "b", "duration_ms": "long"}, 7, {"id": "c"}]})
    assert answer.status == 201
    assert (answer.json["stored"], answer.json["rejected"]) == (2, 2)
    results = answer.json["results"]
    assert results[0] == {"id": "a", "trace_id": "a"}
    assert "duration_ms" in results[1]["error"]
    assert "object" in results[2]["error"]
    assert {row["id"] for row in rig.get("/api/traces").json} == {"a", "c"}
    assert rig.post({"spans": [7]}).status == 400
    assert rig.post({"spans": []}).json == {"stored": 0, "rejected": 0, "results": []}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "x" * 129), ("id", ["a"]), ("start_time", "yesterday"), ("start_time", -1), ("start_time", 1e18),
        ("start_time", True), ("end_time", {}), ("duration_ms", -1), ("status", 200.5), ("status", 1000),
        ("prompt_tokens", -1), ("prompt_tokens", "12"), ("estimated_cost", -0.1), ("tags", [1]), ("tags", {}),
        ("attributes", []), ("model", 1.5), ("session_id", {}),
    ],
)  # fmt: skip
def test_wrong_types_are_named(field: str, value: object, rig: ApiRig) -> None:
    """A field of the wrong type is refused with a sentence that names it."""
    answer = rig.post({field: value})
    assert answer.status == 400
    assert field in answer.json["error"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff", b'{"duration_ms": NaN}', b"[" * 100_000])
def test_what_is_no_span(body: bytes, rig: ApiRig) -> None:
    """What is no JSON object is refused with 400."""
    answer = rig.post(body)
    assert answer.status == 400
    assert answer.json["error"]


def test_too_many_and_too_large(rig: ApiRig, monkeypatch) -> None:
    """More than 1000 spans, or a body over the limit, packed or not, is refused with 413."""
    assert rig.post({"spans": [{}] * 1001}).status == 413
    monkeypatch.setattr("llmflow_web.routes.ingest.MAX_POST_BYTES", 1000)
    assert rig.post(b"x" * 1001).status == 413
    assert rig.post(gzip.compress(b" " * 2000), content_encoding="gzip").status == 413


def test_gzip_and_iso_times(rig: ApiRig) -> None:
    """A packed body is understood, and a time written out."""
    body = gzip.compress(json.dumps({"id": "a", "start_time": "2025-11-22T08:26:40.5Z"}).encode())
    assert rig.post(body, content_encoding="gzip").status == 201
    assert rig.get("/api/traces/a").json["trace"]["timestamp"] == NOW * 1000 + 500
    assert rig.post(body, content_encoding="zstd").status == 400


def test_odd_texts_are_stored(rig: ApiRig) -> None:
    """Lone surrogates, NUL and quotes neither lose a span nor change a statement."""
    text = "\\ud800 \\u0000 ' \\\" \\u00fc"
    body = '{"id": "a", "span_name": "X", "input": "X", "tags": ["X"]}'.replace("X", text).encode()
    assert rig.post(body).status == 201
    found = rig.get("/api/traces/a").json
    assert "ü" in found["trace"]["span_name"]
    assert "ü" in found["input"]


def test_error_without_status_is_an_error(rig: ApiRig) -> None:
    """A span with an error counts as one, whether it brings a status or not; the error is shown."""
    rig.post({"id": "a", "error": "it broke"})
    rig.post({"id": "b", "error": {"message": "m"}, "status": 404})
    a, b = rig.get("/api/traces/a").json["trace"], rig.get("/api/traces/b").json["trace"]
    assert (a["status"], a["error"], a["preview_out"]) == (500, "it broke", "it broke")
    assert (b["status"], b["error"]) == (404, '{"message":"m"}')


def test_secrets_are_masked(rig: ApiRig) -> None:
    """Keys in what a span brings never reach the disk."""
    rig.post({"id": "a", "input": {"authorization": "Bearer sk-proj-abcdefghijklmnopqrstuvwxyz0123456789"}})
    assert "abcdefghijklmnopqrstuvwxyz" not in rig.get("/api/traces/a").body.decode()


def test_local_pages_may_post_and_hear_the_answer(rig: ApiRig) -> None:
    """A page on another local port may send spans and read the answer; it may not read traces."""
    answer = rig.post({"id": "a"}, origin="http://localhost:5173")
    assert answer.status == 201
    assert answer.headers["access-control-allow-origin"] == "http://localhost:5173"
    assert rig.get("/api/traces", origin="http://localhost:5173").status == 403
    assert rig.post({"id": "b"}, origin="https://evil.com").status == 403


def test_token(tmp_path) -> None:
    """With a token posts need it."""
    with ApiRig(tmp_path, guard=Guard(token="t0ken")) as rig:
        assert rig.post({}).status == 401
        assert rig.post({}, authorization="Bearer t0ken").status == 201
        assert rig.post({}, "/t/t0ken/api/spans").status == 201
