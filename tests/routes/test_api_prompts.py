"""GET /api/prompts and what hangs on it, over a real port and a real database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from routes.api_rig import NOW, ApiRig

from llmflow_web.model import PART_ATTRIBUTES, PART_OTLP, PART_REQUEST, Body, Row, Span
from llmflow_web.record.prompts import fingerprint

NOW_NS = int(NOW) * 1_000_000_000
OLD = "You are a travel agent for trains in Portugal. Answer in one sentence."
NEW = "You are a travel agent for trains in Portugal. Answer in two sentences."
KEY = fingerprint({"system": OLD}).key  # type: ignore[union-attr]


def body(part: int, value: object) -> Body:
    data = json.dumps(value).encode()
    return Body(part, data, len(data))


def call(key: str, system: str | None, age_s: int, temperature: float = 0.2, **more: Any) -> Row:
    base = {"start_ns": NOW_NS - age_s * 10**9, "duration_ns": 10**9, "provider": "openai", "model": "gpt-4o", "status": 200,
            "operation": "chat", "span_type": "llm", "source": "sdk", "total_tokens": 15, "estimated_cost": 0.25}  # fmt: skip
    asked = {"model": "gpt-4o", "temperature": temperature, "messages": [{"role": "system", "content": system}]}
    return Row(Span(key, key, **(base | more)), [] if system is None else [body(PART_REQUEST, asked)])


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiRig]:
    with ApiRig(tmp_path_factory.mktemp("data")) as rig:
        told = [{"role": "system", "parts": [{"type": "text", "content": "Judge."}]}]
        otlp = [body(PART_ATTRIBUTES, {"gen_ai.input.messages": json.dumps(told)}), body(PART_OTLP, {})]
        rig.store(
            call("o1", OLD, 50), call("o2", OLD, 40, status=500), call("n1", NEW, 30, temperature=0.7),
            call("j1", "Judge the letter.", 20, prompt_name="judge/letters", prompt_version="1"),
            Row(call("j2", None, 10, prompt_name="judge/letters", prompt_version="2").span, otlp),
            call("x", None, 5, prompt_name="never seen"), call("y", None, 4),
        )  # fmt: skip
        yield rig


def test_the_list(rig: ApiRig) -> None:
    """Each prompt once, with how it begins; the list's filter, an order and pages hold."""
    found = rig.get("/api/prompts").json
    assert [(row["key"], row["calls"], row["versions"]) for row in found["prompts"]] == [
        (KEY, 3, 2), ("judge/letters", 2, 2), ("never seen", 1, 1),
    ]  # fmt: skip
    assert [row["preview"] for row in found["prompts"]] == [NEW, "Judge.", None]
    assert (found["total"], found["note"], found["prompts"][0]["name"]) == (3, None, None)
    assert [row["key"] for row in rig.get("/api/prompts?sort=name&limit=1&offset=1").json["prompts"]] == ["never seen"]
    assert [row["calls"] for row in rig.get("/api/prompts?status=error").json["prompts"]] == [1]


def test_one_prompt(rig: ApiRig) -> None:
    """Its versions in order of appearance, each with its newest call; also where a name has a slash."""
    found = rig.get(f"/api/prompts/{KEY}").json
    assert [(row["label"], row["calls"], row["newest_id"]) for row in found["versions"]] == [
        ("v1", 2, "o2"),
        ("v2", 1, "n1"),
    ]
    assert (found["calls"], found["errors"], found["preview"], len(found["versions"][0]["slots"])) == (3, 1, NEW, 48)
    named = rig.get(f"/api/prompts/{quote('judge/letters', safe='')}").json
    assert [row["label"] for row in named["versions"]] == ["1", "2"]


def test_a_filter_that_leaves_nothing(rig: ApiRig) -> None:
    """A prompt without calls in a time is still there, with nothing in it."""
    found = rig.get(f"/api/prompts/{KEY}?date_to=1000").json
    assert (found["calls"], found["versions"], found["first_seen"], found["cost_per_call"]) == (0, [], None, None)


def test_the_difference_of_two_versions(rig: ApiRig) -> None:
    """The last two by default, or as asked by version or label: words and parameters."""
    found = rig.get(f"/api/prompts/{KEY}/diff").json
    assert ("".join(text for op, text in found["ops"] if op != "+"), found["detail"]) == (OLD, "words")
    assert "".join(text for op, text in found["ops"] if op != "-") == NEW
    assert {one["name"]: one["change"] for one in found["parameters"]} == {"model": "same", "temperature": "changed"}
    assert (found["a"]["label"], found["b"]["id"], found["notes"]) == ("v1", "n1", [])
    turned = rig.get(f"/api/prompts/{KEY}/diff?a=v2&b={found['a']['version']}").json
    assert (turned["a"]["label"], turned["b"]["label"]) == ("v2", "v1")
    letters = rig.get(f"/api/prompts/{quote('judge/letters', safe='')}/diff").json
    assert [op for op, _ in letters["ops"]].count("=") >= 1


def test_what_cannot_be_answered(rig: ApiRig) -> None:
    """An unknown prompt, version or order is named; one version has nothing to be compared with."""
    assert rig.get("/api/prompts/nothing").status == 404
    assert rig.get("/api/prompts/nothing/diff").status == 404
    assert "v9" in rig.get(f"/api/prompts/{KEY}/diff?a=v9").json["error"]
    assert "one version" in rig.get("/api/prompts/never%20seen/diff").json["error"]
    assert (rig.get("/api/prompts?sort=age").status, rig.get("/api/prompts?limit=0").status) == (400, 400)


def test_a_text_that_is_not_stored(rig: ApiRig) -> None:
    """Versions whose text was left out are compared by what there is, and it is said."""
    rig.store(*(call(f"bare{n}", None, 3 - n, prompt_name="bare", prompt_version=str(n)) for n in range(2)))
    found = rig.get("/api/prompts/bare/diff").json
    assert (found["ops"], len(found["notes"])) == ([], 2)
    assert "version 0 is not stored" in found["notes"][0]
