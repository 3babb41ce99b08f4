"""GET /api/diff over a real port and a real database."""

import json

import pytest
from routes.api_rig import NOW, ApiRig

from llmflow_web.model import PART_REQUEST, PART_RESPONSE, Body, Row, Span

NOW_NS = int(NOW) * 1_000_000_000


def body(part: int, value: object) -> Body:
    data = json.dumps(value).encode()
    return Body(part, data, len(data))


def call(trace: str, key: str, question: str, answer: str, temperature: float, **more) -> Row:
    base = {
        "start_ns": NOW_NS, "duration_ns": 100_000_000, "provider": "openai", "model": "gpt-4o", "status": 200,
        "operation": "chat", "span_name": "chat gpt-4o", "span_type": "llm", "total_tokens": 15, "estimated_cost": 0.25,
    }  # fmt: skip
    asked = {"model": "gpt-4o", "temperature": temperature, "messages": [{"role": "user", "content": question}]}
    choice = {"index": 0, "message": {"role": "assistant", "content": answer}, "finish_reason": "stop"}
    bodies = [body(PART_REQUEST, asked), body(PART_RESPONSE, {"object": "chat.completion", "choices": [choice]})]
    return Row(Span(trace, key, **(base | more)), bodies)


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    with ApiRig(tmp_path_factory.mktemp("data")) as rig:
        root = {"span_type": "agent", "span_name": "run", "start_ns": NOW_NS, "duration_ns": 10**9, "status": 200}
        rig.store(
            call("t1", "a", "say one", "one two", 0.2),
            call("t2", "b", "say two", "one three", 0.7, total_tokens=20),
            Row(Span("t3", "r", **root)),
            call("t3", "c1", "first", "no", 1, parent_id="r"),
            call("t3", "c2", "say one", "one two", 1, parent_id="r", start_ns=NOW_NS + 5, status=500),
        )
        yield rig


def test_two_calls(rig: ApiRig) -> None:
    """Two calls are compared in figures, parameters, words and spans."""
    found = rig.get("/api/diff?a=t1&b=b").json
    assert (found["a"]["id"], found["b"]["id"], found["notes"]) == ("a", "b", [])
    tokens = next(one for one in found["deltas"] if one["name"] == "total_tokens")
    assert (tokens["a"], tokens["b"], tokens["delta"]) == (15, 20, 5)
    assert {one["name"]: one["change"] for one in found["parameters"]} == {"model": "same", "temperature": "changed"}
    question, answer = found["messages"]["rows"]
    assert question["ops"] == [["=", "say "], ["-", "one"], ["+", "two"]]
    assert (answer["part"], answer["ops"]) == ("output", [["=", "one "], ["-", "two"], ["+", "three"]])
    assert [(row["change"], row["depth"]) for row in found["spans"]["rows"]] == [("same", 0)]


def test_a_trace_and_a_call(rig: ApiRig) -> None:
    """A root without words lends those of the last call below it; a span of a trace is compared by itself."""
    found = rig.get("/api/diff?a=t1&b=t3").json
    assert (found["messages"]["a"], found["messages"]["b"]) == ("a", "c2")
    assert {row["change"] for row in found["messages"]["rows"]} == {"same"}
    assert [(row["change"], row["depth"]) for row in found["spans"]["rows"]] == [
        ("removed", 0), ("added", 0), ("added", 1), ("added", 1),
    ]  # fmt: skip
    assert next(one["b"] for one in found["deltas"] if one["name"] == "span_count") == 3
    alone = rig.get("/api/diff?a=a&b=c2").json
    assert [row["change"] for row in alone["spans"]["rows"]] == ["changed"]
    assert "span_count" not in {one["name"] for one in alone["deltas"]}


def test_a_side_that_is_not_there(rig: ApiRig) -> None:
    """An unknown id is a 404 that names its side, a missing one a 400."""
    answer = rig.get("/api/diff?a=a&b=nobody")
    assert (answer.status, "(b)" in answer.json["error"]) == (404, True)
    assert rig.get("/api/diff?a=a").status == 400
