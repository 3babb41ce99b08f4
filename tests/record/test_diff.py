"""Two calls compared: figures, parameters, messages and spans, and what is said when there is too much of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmflow_web.record import diff as module
from llmflow_web.record import diff_spans as trees
from llmflow_web.record.diff import Side, diff, request_of
from llmflow_web.record.diff_words import apply_diff

ROW = {"duration_ms": 100.0, "ttft_ms": None, "prompt_tokens": 10, "estimated_cost": 0.0, "request_model": "m"}


def say(role: str, text: str, **more: Any) -> dict[str, Any]:
    return {"role": role, "parts": [{"type": "text", "text": text}], **more}


def side(
    *asked: Any, answer: str | None = None, request: Any = None, roots: Any = (), trace: Any = None, **row: Any
) -> Side:
    output = [] if answer is None else [say("assistant", answer)]
    return Side(ROW | row, request or {}, {"input": list(asked), "output": output}, "s", roots, trace)


def span(name: str, *children: Any, kind: str = "chain", **more: Any) -> dict[str, Any]:
    base = {"id": name, "span_type": kind, "span_name": name, "model": None, "status": 200, "duration_ms": 1.0,
            "estimated_cost": None, "total_tokens": None, "start_ns": "5000000"}  # fmt: skip
    return base | more | {"children": list(children)}


# ── figures and parameters ──


def test_figures() -> None:
    """A figure has both values, the difference and the ratio; what is not known on one side has none."""
    found = {one["name"]: one for one in diff(side(), side(duration_ms=150.0, prompt_tokens=None))["deltas"]}
    assert found["duration_ms"] == {
        "name": "duration_ms", "unit": "ms", "a": 100.0, "b": 150.0, "delta": 50.0, "ratio": 1.5,
    }  # fmt: skip
    assert (found["prompt_tokens"]["delta"], found["ttft_ms"]["delta"]) == (None, None)
    assert (found["estimated_cost"]["delta"], found["estimated_cost"]["ratio"]) == (0.0, None)
    assert "span_count" not in found


def test_figures_of_traces() -> None:
    """Where a trace has more than one span, its sums are compared, too."""
    trace = {"span_count": 3, "duration_ms": 9.0, "total_tokens": 5, "total_cost": 1.0, "error_count": 0}
    found = {one["name"]: one for one in diff(side(trace=trace), side())["deltas"]}
    assert (found["span_count"]["a"], found["span_count"]["b"], found["trace_cost"]["a"]) == (3, None, 1.0)


def test_parameters() -> None:
    """Parameters are named by their path; tools by their names; messages are none of them."""
    a = {"model": "o3", "messages": [1], "temperature": 0.2, "n": 1, "response_format": {"type": "text"},
         "tools": [{"function": {"name": "get"}}, {"name": "put"}]}  # fmt: skip
    b = {"model": "o3", "input": "x", "temperature": 0.7, "n": True, "response_format": {"type": "json", "strict": True},
         "tools": [{"function": {"name": "get"}}]}  # fmt: skip
    rows = {one["name"]: one["change"] for one in diff(side(request=a), side(request=b))["parameters"]}
    assert rows == {
        "model": "same", "temperature": "changed", "n": "changed", "response_format.type": "changed", "tools.get": "same",
        "tools.put": "removed", "response_format.strict": "added",
    }  # fmt: skip


def test_parameters_of_telemetry() -> None:
    """Without a request the parameters are those telemetry tells of."""
    assert request_of(None, {"gen_ai.request.top_p": 1, "other": 2}) == {"top_p": 1}
    assert request_of({"top_p": 2}, {"gen_ai.request.top_p": 1}) == {"top_p": 2}


def test_huge_parameters_are_cut() -> None:
    """A long value is shown by its beginning, of very many the first are compared, and a note says so."""
    found = diff(side(request={f"p{number}": "x" * 5000 for number in range(600)}), side())
    assert len(found["parameters"]) == module.MAX_PARAMETERS
    assert len(found["parameters"][1]["a"]) == module.MAX_VALUE_CHARS + 1
    assert any("parameters" in note for note in found["notes"])


# ── messages ──


def changes(a: Side, b: Side) -> list[tuple[str, int | None, int | None]]:
    return [(row["change"], row["a"], row["b"]) for row in diff(a, b)["messages"]["rows"]]


def test_messages_are_paired_by_role_and_likeness() -> None:
    """A message put in between does not shift the others; a changed one is compared with what it was."""
    a = side(say("system", "be brief"), say("user", "what is the capital of France"), answer="Paris is the capital")
    b = side(
        say("system", "be brief"), say("user", "hello there"), say("assistant", "hi"),
        say("user", "what is the capital of Spain"), answer="Madrid is the capital",
    )  # fmt: skip
    assert changes(a, b) == [
        ("same", 0, 0),
        ("added", None, 1),
        ("added", None, 2),
        ("changed", 1, 3),
        ("changed", 2, 4),
    ]
    rows = diff(a, b)["messages"]["rows"]
    assert rows[3]["ops"] == [("=", "what is the capital of "), ("-", "France"), ("+", "Spain")]
    assert (rows[0]["text"], rows[0]["is_cut"], "ops" in rows[0]) == ("be brief", False, False)


def test_a_role_is_never_taken_for_another() -> None:
    """Messages of different roles, or of question and answer, are not paired."""
    assert changes(side(say("user", "x")), side(say("system", "x"))) == [("removed", 0, None), ("added", None, 0)]
    assert changes(side(answer="x"), side(say("assistant", "x"))) == [("removed", 0, None), ("added", None, 0)]


def test_every_kind_of_part_is_compared() -> None:
    """Tool calls, results, reasoning, images and JSON are text to a diff."""
    parts = [
        {"type": "tool_call", "id": "1", "name": "get", "arguments": '{"q": 1}'}, {"type": "tool_result", "content": "42"},
        {"type": "reasoning", "text": "hm"}, {"type": "refusal", "text": "no"}, {"type": "image", "url": "data:" + "x" * 9999},
        {"type": "json", "value": {"a": 1}}, {"type": "audio", "format": "wav"}, {},
    ]  # fmt: skip
    one = {"role": "assistant", "parts": parts}
    (row,) = diff(side({"role": "assistant", "parts": []}), side(one))["messages"]["rows"]
    text = apply_diff("", row["ops"])
    assert all(word in text for word in ('→ get({"q": 1})', "42", "hm", "no", "[image: data:xxx", '{"a": 1}', "[audio"))
    assert len(text) < 1000


ROLES = st.sampled_from(["user", "assistant", "tool"])
TALKS = st.lists(
    st.builds(say, ROLES, st.sampled_from(["", "a b", "a c", "b c d", "x"]) | st.text(max_size=20)), max_size=8
)


@settings(max_examples=60, deadline=None)
@given(a=TALKS, b=TALKS, pairs=st.sampled_from([0, 10_000]))
def test_applying_the_messages_diff_gives_the_other_talk(a: list[Any], b: list[Any], pairs: int) -> None:
    """Every message of both sides is there once and in order, and the ops of each row turn a's text into b's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MAX_PAIRS", pairs)
        rows = diff(side(*a), side(*b))["messages"]["rows"]
    assert [row["a"] for row in rows if row["a"] is not None] == list(range(len(a)))
    assert [row["b"] for row in rows if row["b"] is not None] == list(range(len(b)))
    for row in rows:
        one = "" if row["a"] is None else a[row["a"]]["parts"][0]["text"]
        other = "" if row["b"] is None else b[row["b"]]["parts"][0]["text"]
        if row["change"] == "same":
            assert one == other
        else:
            assert apply_diff(one, row["ops"]) == other


def test_very_long_talks_are_bounded() -> None:
    """Hundreds of long, unlike messages are compared coarsely, and the notes say so."""

    def talk(word: str) -> list[Any]:
        return [say("user", " ".join(f"{word}{turn}x{number}" for number in range(2000))) for turn in range(450)]

    found = diff(side(*talk("a")), side(*talk("b")))
    assert found["messages"]["is_coarse"]
    assert len(found["messages"]["rows"]) == module.MAX_MESSAGES
    assert len(found["notes"]) == 3


# ── spans ──


def told(a: Any, b: Any) -> list[tuple[int, str, str]]:
    return [(row["depth"], row["change"], row["name"]) for row in trees.diff_spans(a, b)["rows"]]


def test_spans_are_matched_by_the_path_of_their_names() -> None:
    """The second search of one side is the second of the other; what only one has stands in its place."""
    a = [span("root", span("plan"), span("search"), span("search", status=500), span("answer"))]
    b = [span("root", span("search"), span("rerank"), span("search"), span("answer", span("check")))]
    assert told(a, b) == [
        (0, "same", "root"), (1, "removed", "plan"), (1, "same", "search"), (1, "added", "rerank"),
        (1, "changed", "search"), (1, "same", "answer"), (2, "added", "check"),
    ]  # fmt: skip


def test_another_model_is_the_same_step() -> None:
    """`chat gpt-4o` of one side is `chat o3` of the other, and a change."""
    a, b = (
        [span("chat gpt-4o", kind="llm", model="gpt-4o")],
        [span("chat o3", kind="llm", model="o3", start_ns="9000000")],
    )
    (row,) = trees.diff_spans(a, b)["rows"]
    assert (row["change"], row["a"]["model"], row["b"]["model"]) == ("changed", "gpt-4o", "o3")
    assert (row["a"]["start_ms"], row["b"]["start_ms"], row["deltas"]["duration_ms"]) == (0.0, 0.0, 0.0)


FORESTS = st.recursive(
    st.builds(span, st.sampled_from("abc")),
    lambda inner: st.builds(
        lambda name, children: span(name, *children), st.sampled_from("abc"), st.lists(inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=80, deadline=None)
@given(a=st.lists(FORESTS, max_size=3), b=st.lists(FORESTS, max_size=3))
def test_every_span_is_told_once(a: list[Any], b: list[Any]) -> None:
    """Taking one side's spans out of the joined tree gives that side's tree, in its order."""
    rows = trees.diff_spans(a, b)["rows"]
    for name, forest in (("a", a), ("b", b)):
        mine = [(row["depth"], row["name"]) for row in rows if row[name] is not None]
        assert sorted(mine) == sorted(flat(forest))
    assert [(row["depth"], row["name"]) for row in rows if row["a"] is not None] == flat(a)


def flat(forest: list[Any], depth: int = 0) -> list[tuple[int, str]]:
    found = []
    for one in forest:
        found.append((depth, one["span_name"]))
        found += flat(one["children"], depth + 1)
    return found


def test_deep_and_wide_trees_are_bounded() -> None:
    """A tree ten thousand deep is walked without recursion; beyond the limit the first rows are given."""
    deep = span("x")
    for _ in range(trees.MAX_SPANS + 50):
        deep = span("x", deep)
    found = trees.diff_spans([deep], [deep])
    assert (found["is_coarse"], len(found["rows"])) == (True, trees.MAX_SPANS)
    assert any("spans" in note for note in diff(side(roots=[deep]), side(roots=[deep]))["notes"])
