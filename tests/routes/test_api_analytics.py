"""The charts' routes over a real port: ranges, splits, links, and sentences for nonsense."""

import pytest
from routes.api_rig import NOW, ApiRig

from llmflow_web.model import Row, Span

NOW_MS = int(NOW) * 1000
HOUR_MS = 3_600_000


def row(key: str, *, ago_h: float = 0, **more) -> Row:
    base = {
        "start_ns": (NOW_MS - int(ago_h * HOUR_MS)) * 1_000_000, "duration_ns": 100_000_000, "provider": "openai",
        "model": "gpt-4o", "status": 200, "total_tokens": 15, "estimated_cost": 0.25, "tags": ["x"],
    }  # fmt: skip
    return Row(Span(f"t-{key}", key, **(base | more)))


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    with ApiRig(tmp_path_factory.mktemp("data")) as rig:
        rig.store(row("a"), row("b", ago_h=5, model="o3", user_id="anna"), row("c", ago_h=24 * 20, status=429))
        yield rig


def test_a_week_is_the_default(rig: ApiRig) -> None:
    """Without a range the last seven days are answered, by the hour."""
    found = rig.get("/api/analytics/series").json
    assert (found["interval"], found["interval_ms"], found["total"]["requests"]) == ("hour", HOUR_MS, 2)
    assert found["from"] == (NOW_MS - 7 * 24 * HOUR_MS) // HOUR_MS * HOUR_MS
    assert (found["to"], found["series"], found["by"]) == (NOW_MS, [], None)
    assert len(found["points"]) <= 200


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("since=1h", 1), ("since=6h", 2), ("since=4w", 3), (f"date_from={NOW_MS - 6 * HOUR_MS}", 2), ("filter=since:2h", 1),
        (f"date_from=0&date_to={NOW_MS - 24 * HOUR_MS}", 1), ("since=4w&status=error", 1), ("since=4w&model=o3", 1),
        ("since=4w&tag=x", 3), ("since=4w&tag=y", 0), ("since=4w&user_id=anna&by=tool", 1), ("since=4w&status=429", 1),
        (f"date_to={NOW_MS - 24 * 19 * HOUR_MS}", 1),
    ],
)  # fmt: skip
def test_ranges_and_filters(rig: ApiRig, query: str, count: int) -> None:
    """A range is told by a length, by its ends or in the filter's own words; the list's filters narrow it."""
    assert rig.get(f"/api/analytics/series?{query}").json["total"]["requests"] == count


def test_splits_link_to_their_calls(rig: ApiRig) -> None:
    """A group carries the parameters that list its calls, those it was asked with among them."""
    found = rig.get("/api/analytics/series?since=4w&by=model&status=ok&sort=requests").json
    assert [one["key"] for one in found["series"]] == ["gpt-4o", "o3"]
    link = found["series"][1]["filter"]
    assert (link["model"], link["status"]) == ("o3", "ok")
    query = "&".join(f"{name}={value}" for name, value in link.items())
    assert [one["id"] for one in rig.get(f"/api/traces?{query}").json] == ["b"]
    rows = rig.get("/api/analytics/top?by=user_id&since=4w").json["rows"]
    assert {one["key"]: one["requests"] for one in rows} == {"anna": 1, None: 2}


@pytest.mark.parametrize(
    "query",
    ["series?since=soon", "series?interval=minute", "series?by=size", "series?sort=name", "series?limit=21", "top", "top?by=x",
     "series?date_from=x", "series?fields=cost,price", "top?by=model&limit=0"],
)  # fmt: skip
def test_nonsense_is_refused(rig: ApiRig, query: str) -> None:
    """What cannot be answered is refused with a sentence."""
    answer = rig.get(f"/api/analytics/{query}")
    assert answer.status == 400
    assert answer.json["error"]


def test_only_the_figures_asked_for(rig: ApiRig) -> None:
    """With `fields` points and groups hold those figures alone; points of a group are those with calls."""
    found = rig.get("/api/analytics/series?by=model&fields=cost,p95_ms").json
    assert {frozenset(point) for point in found["points"]} == {frozenset({"timestamp", "cost", "p95_ms"})}
    assert set(found["total"]) == {"cost", "p95_ms"}
    assert [len(one["points"]) for one in found["series"]] == [1, 1]
    for by in ("session_id", "model"):
        rows = rig.get(f"/api/analytics/top?by={by}&fields=cost").json["rows"]
        assert all(set(one) == {"key", "label", "is_rest", "filter", "cost"} for one in rows)


def test_an_empty_range_knows_the_nearest_call(rig: ApiRig) -> None:
    """The histogram of a range without calls says when the nearest one was; one with calls does not."""
    empty = rig.get(f"/api/histogram?date_from={NOW_MS - 3 * HOUR_MS}&date_to={NOW_MS - HOUR_MS}").json
    assert empty["nearest"] == NOW_MS - 5 * HOUR_MS
    other = f"/api/histogram?date_from={NOW_MS - 3 * HOUR_MS}&date_to={NOW_MS - HOUR_MS}&model=gpt-4o&status=ok"
    assert rig.get(other).json["nearest"] == NOW_MS
    assert rig.get("/api/histogram").json["nearest"] is None
    assert rig.get("/api/histogram?model=none").json["nearest"] is None
