"""POST /api/import: lines come in through a server, and the answer tells what became of each."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable

import pytest
from conftest import Flow

from llmflow_web.routes import api_import

LINES = (
    b'{"id": "a", "timestamp": 1, "provider": "openai", "model": "gpt-4o", "prompt_tokens": 10, "completion_tokens": 1}\n'
    b'{"type": "log", "id": "l", "time_ns": "5", "body": "hello"}\n'
    b"\n"
    b"nonsense\n"
    b'{"type": "metric", "id": "m", "series": "s", "name": "n", "time_ns": "5", "value_int": 3}\n'
)


def post(flow: Flow, body: bytes, path: str = "/api/import", **headers: str) -> tuple[int, dict[str, str], bytes]:
    import http.client
    from urllib.parse import urlsplit

    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(flow.dashboard_url).port or 0, timeout=60)
    try:
        connection.request("POST", path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, dict(answer.headers), answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize("is_packed", [False, True])
def test_lines_are_stored_before_they_are_answered(flow_at: Callable[..., Flow], is_packed: bool) -> None:
    """New rows are there with the answer, a bad line is named by its number, a second post knows them all."""
    flow = flow_at()
    body, coding = (gzip.compress(LINES), "gzip") if is_packed else (LINES, "identity")
    status, _, told = post(flow, body, content_encoding=coding)
    assert status == 200
    found = json.loads(told)
    assert found["new"] == {"spans": 1, "logs": 1, "metrics": 1}
    assert found["known"] == {"spans": 0, "logs": 0, "metrics": 0}
    assert found["refused"] == 1
    assert [one["line"] for one in found["errors"]] == [4]
    assert found["errors"][0]["error"].startswith("is no JSON: ")
    (row,) = flow.get("/api/traces")
    assert (row["source"], row["estimated_cost"] > 0) == ("import", True)
    assert flow.get("/api/logs")["total"] == flow.get("/api/metrics")["total"] == 1
    again = json.loads(post(flow, body, content_encoding=coding)[2])
    assert (again["new"], again["known"]) == (found["known"], found["new"])


def test_who_may_import(flow_at: Callable[..., Flow]) -> None:
    """As with the other ways in: programs and loopback pages, no page of another site; the token where there is one."""
    flow = flow_at()
    assert post(flow, LINES, origin="http://localhost:5173")[0] == 200
    assert post(flow, LINES, origin="https://evil.test")[0] == 403
    assert post(flow, LINES, sec_fetch_site="cross-site")[0] == 403


def test_a_token_is_asked_for(flow_at: Callable[..., Flow]) -> None:
    """Without its token nothing comes in."""
    flow = flow_at({"token": "a-long-token-for-tests-123456"})
    assert post(flow, LINES)[0] == 401
    assert post(flow, LINES, x_llmflow_token="a-long-token-for-tests-123456")[0] == 200


def test_what_cannot_be_read_as_a_whole_is_refused(
    flow_at: Callable[..., Flow], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unknown coding, packed bytes that are none, too much, another method: each has its answer; nothing is in."""
    monkeypatch.setattr(api_import, "MAX_POST_BYTES", 200)
    flow = flow_at()
    assert post(flow, LINES[:50], content_encoding="zstd")[0] == 400
    assert post(flow, LINES[:50], content_encoding="gzip")[0] == 400
    assert post(flow, LINES)[0] == 413
    assert post(flow, gzip.compress(LINES * 9), content_encoding="gzip")[0] == 413
    assert flow.ask("/api/import")[0] == 405
    assert json.loads(post(flow, b"")[2])["refused"] == 0
    assert flow.get("/api/traces") == []
