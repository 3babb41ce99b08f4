"""Saved views over a real port: kept, replaced, listed, forgotten, and within bounds."""

import json
from urllib.parse import quote

import pytest
from routes.api_rig import NOW, ApiRig

from llmflow_web.routes.api_views import MAX_NAME_CHARS, MAX_QUERY_CHARS
from llmflow_web.store import views


@pytest.fixture
def rig(tmp_path):
    with ApiRig(tmp_path) as rig:
        yield rig


def put(rig: ApiRig, name: str, value: object):
    return rig.ask("PUT", f"/api/views/{quote(name, safe='')}", json.dumps(value).encode())


def test_a_view_is_kept_replaced_and_forgotten(rig: ApiRig) -> None:
    """A view is listed under its name, a second of the name replaces it, and deleting it takes it away."""
    kept = put(rig, "dear / slow", {"query": "sort=-cost"})
    assert (kept.status, kept.json) == (200, {"name": "dear / slow", "query": "sort=-cost", "created_ms": NOW * 1000})
    put(rig, "Errors", {"query": "status=error"})
    put(rig, "dear / slow", {"query": "sort=-duration"})
    found = rig.get("/api/views").json["views"]
    assert [(view["name"], view["query"]) for view in found] == [
        ("dear / slow", "sort=-duration"),
        ("Errors", "status=error"),
    ]
    path = "/api/views/" + quote("dear / slow", safe="")
    assert rig.ask("DELETE", path).status == 204
    assert [view["name"] for view in rig.get("/api/views").json["views"]] == ["Errors"]
    assert rig.ask("DELETE", path).status == 404


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("a", {}),
        ("a", {"query": 1}),
        ("a", []),
        ("a", {"query": "x" * (MAX_QUERY_CHARS + 1)}),
        ("a", {"query": "\ud800"}),
        ("x" * (MAX_NAME_CHARS + 1), {"query": ""}),
        (" ", {"query": ""}),
        ("line\nend", {"query": ""}),
    ],
)
def test_nonsense_is_refused(rig: ApiRig, name: str, value: object) -> None:
    """A view without a text, or with a name nobody could show, is refused with a sentence."""
    answer = put(rig, name, value)
    assert answer.status == 400
    assert answer.json["error"]


def test_there_is_a_limit(rig: ApiRig, monkeypatch) -> None:
    """Beyond the limit no new name is taken, a known one still is."""
    monkeypatch.setattr(views, "MAX_VIEWS", 2)
    assert [put(rig, name, {"query": ""}).status for name in ("a", "b", "c", "b")] == [200, 200, 400, 200]


def test_pages_of_others_change_nothing(rig: ApiRig) -> None:
    """A page of another origin, even on loopback, can neither read nor write views."""
    for method in ("GET", "PUT", "DELETE"):
        path = "/api/views" if method == "GET" else "/api/views/a"
        answer = rig.ask(method, path, b'{"query": ""}', {"Origin": "http://localhost:5173"})
        assert answer.status == 403
