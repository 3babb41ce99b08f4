"""The list, one call, the tree, pieces of bodies, facets and the histogram, over a real database."""

import json

import pytest
from routes.api_rig import NOW, ApiRig
from semconv_help import span_of

from llmflow_web.model import PART_ANSWER, PART_ARRIVALS, PART_HEADERS, PART_REQUEST, PART_RESPONSE, Body, Row, Span
from llmflow_web.record.semconv import log_from_otlp, row_from_otlp
from llmflow_web.routes import api_traces
from llmflow_web.wire.arrivals import encode_arrivals
from llmflow_web.wire.otlp_values import LogRecord, Resource, Scope

MS = 1_000_000
NOW_NS = int(NOW) * 1_000_000_000
ASKED = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello there"}]}
ANSWERED = {
    "id": "chatcmpl-1",
    "model": "gpt-4o",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
}


def span(key: str, **more) -> Span:
    base = {
        "trace_id": f"t-{key}", "id": key, "start_ns": NOW_NS, "duration_ns": 5 * MS, "provider": "openai",
        "model": "gpt-4o", "request_model": "gpt-4o", "operation": "chat", "status": 200, "response_status": 200,
        "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "estimated_cost": 0.001,
        "request_method": "POST", "request_path": "/v1/chat/completions", "ending": "finished",
    }  # fmt: skip
    return Span(**(base | more))


def body(part: int, value: object, **more) -> Body:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Body(part, data, more.pop("size", len(data)), **more)


def call_row(key: str, **more) -> Row:
    headers = {
        "request": [["Content-Type", "application/json"], ["X-A", "1"], ["x-a", "2"]],
        "response": [["content-type", "application/json"]],
    }
    return Row(
        span(key, **more), [body(PART_HEADERS, headers), body(PART_REQUEST, ASKED), body(PART_RESPONSE, ANSWERED)]
    )


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    with ApiRig(tmp_path_factory.mktemp("data")) as rig:
        rows = [call_row(f"s{n}", start_ns=NOW_NS - n * 1000 * MS, estimated_cost=n / 100) for n in range(5)]
        rows.append(
            call_row(
                "bad", status=429, response_status=429, error="slow down", model="o3", start_ns=NOW_NS - 60_000 * MS
            )
        )
        root = span("root", trace_id="T", span_type="agent", provider=None, model=None, start_ns=NOW_NS - 90_000 * MS)
        child = call_row("kid", trace_id="T", parent_id="root", start_ns=NOW_NS - 89_999 * MS, tags=["x", "y"])
        rig.store(*rows, Row(root), child)
        yield rig


def ids(answer) -> list[str]:
    return [row["id"] for row in answer.json]


def test_list_is_an_array_newest_first(rig: ApiRig) -> None:
    """The list is a bare array with the contract's fields and ours, and never holds bodies."""
    answer = rig.get("/api/traces")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert ids(answer) == ["s0", "s1", "s2", "s3", "s4", "bad", "kid", "root"]
    row = answer.json[0]
    for name in ("id", "timestamp", "duration_ms", "provider", "model", "prompt_tokens", "completion_tokens",
                 "total_tokens", "estimated_cost", "status", "error", "trace_id", "parent_id", "span_type", "span_name",
                 "service_name", "session_id", "conversation_id", "agent_name", "seq", "source", "tags"):  # fmt: skip
        assert name in row, name
    assert row["timestamp"] == NOW * 1000
    assert "request_body" not in row
    assert "hello there" not in answer.body.decode()


def test_pages_by_cursor_and_by_offset(rig: ApiRig) -> None:
    """The next cursor travels in a header until there is no next page; limit and offset work beside it."""
    found, path = [], "/api/traces?limit=3"
    while True:
        answer = rig.get(path)
        found += ids(answer)
        cursor = answer.headers["x-llmflow-next-cursor"]
        if cursor is None:
            break
        path = f"/api/traces?limit=3&cursor={cursor}"
    assert found == ids(rig.get("/api/traces"))
    assert ids(rig.get("/api/traces?limit=2&offset=1")) == ["s1", "s2"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("model=o3", ["bad"]),
        ("status=error", ["bad"]),
        ("status=success&limit=2", ["s0", "s1"]),
        ("tag=x", ["kid"]),
        ("trace_id=T", ["kid", "root"]),
        ("roots=1&trace_id=T", ["root"]),
        ("cost_min=0.03&cost_max=0.035", ["s3"]),
        (f"date_from={int(NOW * 1000) - 1500}", ["s0", "s1"]),
        ("filter=status:error", ["bad"]),
        ("sort=-cost&limit=2", ["s4", "s3"]),
        ("model=", ["s0", "s1", "s2", "s3", "s4", "bad", "kid", "root"]),
    ],
)
def test_filters(query: str, found: list[str], rig: ApiRig) -> None:
    """Every filter narrows the list to what it names; an empty one is none."""
    assert ids(rig.get(f"/api/traces?{query}")) == found


def test_search(rig: ApiRig) -> None:
    """A word of a prompt finds its calls."""
    assert len(ids(rig.get("/api/traces?q=hello"))) == 7
    assert ids(rig.get("/api/traces?q=nowhere")) == []


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("/api/traces?limit=many", "limit"),
        ("/api/traces?limit=0", "limit"),
        ("/api/traces?limit=99999", "limit"),
        ("/api/traces?offset=-1", "offset"),
        ("/api/traces?cursor=nonsense!", "cursor"),
        ("/api/traces?sort=beauty", "sort"),
        ("/api/traces?cost_min=cheap", "cost_min"),
        ("/api/traces?date_from=yesterday", "date_from"),
        ("/api/traces?limit=1&limit=2", "limit"),
        ("/api/traces?q=%ff", "%ff"),
        ("/api/traces/T/tree?fields=some", "fields"),
        ("/api/spans/s0/body?part=soul", "part"),
        ("/api/spans/s0/body?offset=x", "offset"),
        ("/api/facets", "field"),
        ("/api/facets?field=beauty", "field"),
        ("/api/histogram?buckets=0", "buckets"),
        ("/api/traces/export?format=xml", "format"),
        ("/api/traces/export?limit=x", "limit"),
        ("/api/timeline?type=dream", "type"),
        ("/api/analytics?days=week", "days"),
        ("/api/sessions?limit=-5", "limit"),
        ("/api/logs?severity_min=loud", "severity_min"),
        ("/api/metrics?aggregation=median", "aggregation"),
    ],
)
def test_nonsense_is_400_with_a_sentence(path: str, named: str, rig: ApiRig) -> None:
    """A parameter that makes no sense is 400 with a sentence that names it, never a default and never 500."""
    answer = rig.get(path)
    assert answer.status == 400
    assert named in answer.json["error"]


def test_detail(rig: ApiRig) -> None:
    """One call comes with request, response, messages; headers as an object with their names as sent."""
    found = rig.get("/api/traces/s0").json
    assert found["trace"]["id"] == "s0"
    assert "cost_detail" in found["trace"]
    request, response = found["request"], found["response"]
    assert (request["method"], request["path"], request["body"]) == ("POST", "/v1/chat/completions", ASKED)
    assert request["headers"] == {"Content-Type": "application/json", "X-A": "1, 2"}
    assert (response["status"], response["body"]) == (200, ANSWERED)
    assert found["messages"]["input"] == [{"role": "user", "parts": [{"type": "text", "text": "hello there"}]}]
    assert found["messages"]["output"][0]["parts"] == [{"type": "text", "text": "hi"}]
    assert found["attributes"] == {}


def test_detail_of_a_trace_is_its_root(rig: ApiRig) -> None:
    """A trace id gives the root; a span's own id gives the span."""
    assert rig.get("/api/traces/T").json["trace"]["id"] == "root"
    assert rig.get("/api/traces/kid?trace_id=T").json["trace"]["id"] == "kid"
    assert rig.get("/api/traces/kid?trace_id=other").status == 404


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/api/traces/none", "Trace not found"),
        ("/api/traces/none/tree", "Span not found"),
        ("/api/sessions/none", "Session not found"),
        ("/api/logs/none", "Log not found"),
        ("/api/metrics/none", "Metric not found"),
    ],
)
def test_not_found_in_the_contracts_words(path: str, sentence: str, rig: ApiRig) -> None:
    """What is not there is 404 in the words clients know."""
    answer = rig.get(path)
    assert (answer.status, answer.json) == (404, {"error": sentence})


def test_tree(rig: ApiRig) -> None:
    """The tree of any of its spans holds the sums and the nested spans with their bodies."""
    found = rig.get("/api/traces/kid/tree").json
    assert found == rig.get("/api/traces/T/tree").json
    assert (found["trace"]["trace_id"], found["trace"]["span_count"]) == ("T", 2)
    (root,) = found["spans"]
    (kid,) = root["children"]
    assert (root["id"], kid["id"], kid["tags"], kid["children"]) == ("root", "kid", ["x", "y"], [])
    assert (kid["request_body"], kid["response_body"]) == (ASKED, ANSWERED)
    assert kid["request_headers"]["X-A"] == "1, 2"
    assert (root["request_body"], root["attributes"], root["input"]) == (None, {}, None)


def test_tree_without_bodies(rig: ApiRig) -> None:
    """fields=summary leaves every body out, and of each span what is not set or not drawn."""
    answer = rig.get("/api/traces/T/tree?fields=summary")
    assert b"request_body" not in answer.body
    assert b"preview_in" not in answer.body
    (root,) = answer.json["spans"]
    (kid,) = root["children"]
    assert (root["parent_id"], kid["id"], kid["parent_id"], kid["children"]) == (None, "kid", "root", [])
    assert int(kid["start_ns"]) // 1_000_000 == kid["timestamp"]
    whole = rig.get("/api/traces/T/tree").json
    assert answer.json["trace"] == {name: value for name, value in whole["trace"].items() if name != "bodies_left_out"}
    (same,) = whole["spans"]
    assert all(same[name] == root[name] for name in root if name not in ("children", "start_ns"))
    assert None not in [value for name, value in kid.items() if name != "parent_id"]


def test_tree_bounds_its_bodies(rig: ApiRig, monkeypatch) -> None:
    """When the bodies of a tree are too much together, later spans come without and are counted."""
    monkeypatch.setattr(api_traces, "MAX_TREE_BODY_BYTES", 1)
    found = rig.get("/api/traces/T/tree").json
    assert found["trace"]["bodies_left_out"] == 1


def test_pieces_of_a_body(rig: ApiRig) -> None:
    """A body can be fetched piece by piece as it came, never as anything a browser would run."""
    whole = json.dumps(ASKED).encode()
    answer = rig.get("/api/spans/s0/body?part=request")
    assert answer.body == whole
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert answer.headers["x-llmflow-size"] == str(len(whole))
    pieces = [rig.get(f"/api/spans/s0/body?part=request&offset={n}&limit=7").body for n in range(0, len(whole), 7)]
    assert b"".join(pieces) == whole
    assert rig.get(f"/api/spans/s0/body?part=request&offset={len(whole)}").body == b""
    assert rig.get("/api/spans/s0/body?part=answer").status == 404


def test_long_cut_raw_and_streamed_bodies(tmp_path, monkeypatch) -> None:
    """A long body is shown by its beginning, a cut one is marked, one that cannot be decoded is not shown at all."""
    monkeypatch.setattr(api_traces, "MAX_SHOWN_BODY_BYTES", 100)
    monkeypatch.setattr(api_traces, "SHOWN_BEGINNING_BYTES", 10)
    arrivals = body(PART_ARRIVALS, encode_arrivals([(0, 1500), (9, 2500)]))
    with ApiRig(tmp_path) as rig:
        rig.store(
            Row(span("long"), [body(PART_REQUEST, b"x" * 200, size=900, is_cut=True)]),
            Row(span("raw"), [body(PART_RESPONSE, b"\x28\xb5", is_raw=True)]),
            Row(span("text"), [body(PART_RESPONSE, b"data: {}\n\n"), body(PART_ANSWER, ANSWERED), arrivals]),
        )
        long = rig.get("/api/traces/long").json["request"]
        assert long == {**long, "body": "x" * 10, "size": 900, "is_cut": True, "is_partial": True}
        raw = rig.get("/api/traces/raw").json["response"]
        assert (raw["body"], raw["is_raw"], raw["size"]) == (None, True, 2)
        assert rig.get("/api/spans/raw/body?part=response").headers["content-type"] == "application/octet-stream"
        text = rig.get("/api/traces/text").json
        assert (text["response"]["body"], text["answer"]) == ("data: {}\n\n", ANSWERED)
        assert rig.get("/api/spans/text/body?part=arrivals").json == [[0, 1.5], [9, 2.5]]
        (streamed,) = rig.get("/api/traces/text/tree").json["spans"]
        assert streamed["response_body"] == ANSWERED


def test_facets_and_histogram(rig: ApiRig) -> None:
    """Facets list values with counts; the histogram counts the same filter over time."""
    values = rig.get("/api/facets?field=model").json["values"]
    assert values[0] == {"value": "gpt-4o", "count": 6}
    strip = rig.get(f"/api/histogram?buckets=10&date_from={int(NOW * 1000) - 100_000}").json
    assert len(strip["buckets"]) == 10
    assert sum(bucket["count"] for bucket in strip["buckets"]) == 8
    assert sum(bucket["errors"] for bucket in strip["buckets"]) == 1


def test_head_and_wrong_method(rig: ApiRig) -> None:
    """HEAD tells what GET would; a method that is none of the route's is refused with those that are."""
    head = rig.ask("HEAD", "/api/traces")
    assert (head.status, head.body) == (200, b"")
    answer = rig.ask("PUT", "/api/traces")
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


def test_ids_of_others_in_the_path(tmp_path) -> None:
    """An id with slashes, spaces and umlauts is found by its percent-encoding."""
    with ApiRig(tmp_path) as rig:
        rig.store(Row(span("a/b ü", session_id="s/1")))
        assert rig.get("/api/traces/a%2Fb%20%C3%BC").json["trace"]["id"] == "a/b ü"
        assert rig.get("/api/sessions/s%2F1").json["session_id"] == "s/1"


def test_foreign_pages_read_nothing(rig: ApiRig) -> None:
    """A page of another origin, or a name pointed at us, is refused before any route."""
    assert rig.get("/api/traces", origin="https://evil.com").status == 403
    assert rig.get("/api/traces", host="evil.com").status == 403
    assert rig.get("/api/traces", origin=f"http://127.0.0.1:{rig.port}").status == 200


def received(key: str, attributes: dict, **told) -> Row:
    made = row_from_otlp(span_of({"trace_id": "f" * 32, "span_id": key, "attributes": attributes, **told}))
    assert made is not None
    return made


def test_received_detail(rig):
    """A received span is shown with its messages, its attributes beside its resource's, and all the rest."""
    told = {"gen_ai.prompt.0.content": "Rome?", "gen_ai.completion.0.content": "Sunny.", "gen_ai.prompt": '{"a":1}'}
    rig.store(
        received("a" * 16, told, kind=3, name="chat m", resource={"service.name": "shop"}, events=[{"name": "e"}])
    )
    found = rig.get(f"/api/traces/{'a' * 16}").json
    assert found["attributes"] == {**told, "_spanName": "chat m", "otel_span_kind": 3, "service.name": "shop"}
    assert found["otlp"]["events"][0]["name"] == "e"
    assert found["otlp"]["resource"] == {"attributes": {"service.name": "shop"}}
    assert (found["input"], found["output"]) == ({"a": 1}, None)
    assert [part["text"] for one in found["messages"]["input"] for part in one["parts"]] == ["Rome?"]
    assert found["messages"]["output"][0]["parts"][0]["text"] == "Sunny."
    (span,) = rig.get(f"/api/traces/{'f' * 32}/tree").json["spans"]
    assert (span["attributes"]["service.name"], span["input"]) == ("shop", {"a": 1})


def test_short_elements(rig):
    """With fields=summary an element holds what a list shows, each thing once, and nothing that says nothing."""
    whole, short = (rig.get(f"/api/traces?status=429{more}").json[0] for more in ("", "&fields=summary"))
    assert short.items() <= whole.items()
    assert (short["error"], short["status"], short["model"]) == ("slow down", 429, "o3")
    assert not {"request_path", "preview_out", "seq", "is_root"} & short.keys()
    assert not [value for value in short.values() if value in (None, [])]
    assert len(json.dumps(short)) < 0.5 * len(json.dumps(whole))
    assert rig.get("/api/traces?fields=few").status == 400


def test_messages_of_linked_logs(rig):
    """The messages that a span does not carry are those of the log events that belong to it."""
    row = received("b" * 16, {"gen_ai.operation.name": "chat"}, trace_id="e" * 32)
    logs = [
        log_from_otlp(
            LogRecord(
                Resource(), Scope(), time_ns=NOW_NS + n, trace_id="e" * 32, span_id="b" * 16, event_name=name, body=body
            )
        )
        for n, (name, body) in enumerate(
            [("gen_ai.user.message", {"content": "Rome?"}), ("gen_ai.choice", {"message": {"content": "Sunny."}})]
        )
    ]
    rig.database.put([row, *logs], 4096)
    rig.database.call(lambda _connection: None).result(60)
    messages = rig.get(f"/api/traces/{'b' * 16}").json["messages"]
    assert messages["input"] == [{"role": "user", "parts": [{"type": "text", "text": "Rome?"}]}]
    assert messages["output"] == [{"role": "assistant", "parts": [{"type": "text", "text": "Sunny."}]}]
