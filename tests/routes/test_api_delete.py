"""Deleting over a real port: what is named goes, nothing else, and pages of others delete nothing."""

import pytest
from routes.api_rig import NOW, ApiRig
from store_help import wait_until

from llmflow_web.model import Row, Span

NOW_NS = int(NOW) * 1_000_000_000


def span(trace: str, key: str, **more) -> Row:
    base = {"start_ns": NOW_NS, "duration_ns": 1, "provider": "openai", "model": "m", "status": 200}
    return Row(Span(trace, key, **(base | more)))


@pytest.fixture
def rig(tmp_path):
    with ApiRig(tmp_path) as rig:
        rig.store(span("t1", "a"), span("t1", "a2", parent_id="a"), span("t2", "b", model="o3"), span("t3", "c"))
        yield rig


def left(rig: ApiRig) -> list[str]:
    return sorted(row["id"] for row in rig.get("/api/traces").json)


def test_one_trace(rig: ApiRig) -> None:
    """A trace goes with all its spans, named by its id or by any span's; the text is erased soon after."""
    answer = rig.ask("DELETE", "/api/traces/a2")
    assert (answer.status, answer.json) == (202, {"deleted": 2, "erased": False})
    assert left(rig) == ["b", "c"]
    assert rig.ask("DELETE", "/api/traces/t2").status == 202
    assert rig.ask("DELETE", "/api/traces/t2").status == 404
    assert rig.get("/api/stats").json["total_requests"] == 1
    wait_until(lambda: rig.get("/api/traces/delete").json == {"erased": True})


def test_many_by_id(rig: ApiRig) -> None:
    """Ids of traces and of spans may be mixed; unknown ones are skipped."""
    answer = rig.post({"ids": ["t1", "a", "b", "nobody", "\ud800"]}, "/api/traces/delete")
    assert (answer.status, answer.json["deleted"]) == (202, 3)
    assert left(rig) == ["c"]
    assert rig.post({"ids": []}, "/api/traces/delete").json["deleted"] == 0


def test_many_by_filter(rig: ApiRig) -> None:
    """A filter takes whole traces; everything goes only when that is said."""
    assert rig.post({"filter": {"model": "o3"}}, "/api/traces/delete").json["deleted"] == 1
    assert rig.post({"filter": {}}, "/api/traces/delete").status == 400
    assert rig.post({"filter": {}, "all": True}, "/api/traces/delete").json["deleted"] == 3
    assert left(rig) == []


@pytest.mark.parametrize(
    "asked",
    [
        {}, {"ids": ["t1"], "filter": {"model": "m"}}, {"ids": "t1"}, {"ids": [1]}, {"ids": ["x"] * 1001},
        {"filter": "model"}, {"filter": None}, {"filter": {"filter": "modle:o3"}}, b"[]", b"{",
        {"filter": {"modle": "o3", "status": "ok"}},
    ],
)  # fmt: skip
def test_what_is_not_clear_deletes_nothing(rig: ApiRig, asked: object) -> None:
    """What is misspelt, empty or of another shape is refused, and nothing goes."""
    assert rig.post(asked, "/api/traces/delete").status == 400
    assert left(rig) == ["a", "a2", "b", "c"]


@pytest.mark.parametrize("headers", [{"Origin": "http://localhost:5173"}, {"Sec-Fetch-Site": "cross-site"}])
def test_pages_of_others_delete_nothing(rig: ApiRig, headers: dict[str, str]) -> None:
    """A foreign page's request is refused before anything is deleted, on loopback too; our own page's is not."""
    assert rig.ask("DELETE", "/api/traces/t1", None, headers).status == 403
    assert rig.ask("POST", "/api/traces/delete", b'{"ids": ["t1"]}', headers).status == 403
    assert left(rig) == ["a", "a2", "b", "c"]
    assert rig.ask("DELETE", "/api/traces/t1", None, {"Origin": f"http://127.0.0.1:{rig.port}"}).status == 202
