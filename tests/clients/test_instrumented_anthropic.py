"""Instrumentations of Anthropic's SDK, beside what the SDK tells by itself: each call is told right, and counts once."""

from __future__ import annotations

import pytest
import telemetry_apps as apps
from anthropic_server import TEXT, USAGE, AnthropicLike
from fake_upstream import FakeUpstream

for _name in ("anthropic", "opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"):
    pytest.importorskip(_name, reason=f"{_name} is not installed")

pytestmark = pytest.mark.sdk

MODELS = ("claude-sonnet-4-5", "claude-sonnet-4-5-20250929")
HOUR_CACHE = USAGE["cache_creation"]["ephemeral_1h_input_tokens"]
ASKED = ("user", ["How is the weather in Kiel?"])
CALL = ("call", "toolu_0", "get_weather", {"place": "Kiel"})
KINDS = {
    "openinference": "openinference.instrumentation.anthropic",
    "openllmetry": "opentelemetry.instrumentation.anthropic",
    "genai": "opentelemetry.instrumentation.genai.anthropic",
}
CONTENT = {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "span_only"}
kinds = pytest.mark.parametrize("name", KINDS)


@pytest.fixture
def upstream():
    with FakeUpstream(apps.Numbered(AnthropicLike())) as server:
        yield server


@pytest.fixture
def flow(flow_at, upstream):
    return flow_at(anthropic=upstream.url)


def ask(flow, name, url):
    pytest.importorskip(KINDS[name], reason=f"{KINDS[name]} is not installed")
    apps.run_app(flow, "anthropic_app.py", name, url, **CONTENT)
    return {name.removeprefix("ask "): root for name, root in apps.trees(flow).items()}


def told_by(root):
    """Return an instrumentation's spans and those of the SDK itself."""
    calls = apps.calls_in(root)
    by_sdk = [call for call in calls if call["span_name"] == "anthropic.messages.create"]
    return [call for call in calls if call not in by_sdk], by_sdk


def assert_call(call):
    assert (call["provider"], call["status"], call["error"]) == ("anthropic", 200, None)
    assert (call["request_model"], call["model"]) == MODELS
    assert [call[f"{name}_tokens"] for name in ("prompt", "cached", "cache_write")] == [4000, 2000, 800]


@kinds
def test_a_call_is_told_as_it_was(flow, upstream, name):
    """Models, tokens of every class, messages, tools, how it ended, failure, session: as the instrumentation has it."""
    steps = ask(flow, name, upstream.url)
    known = (1200, 2000, 800, 800)
    assert (USAGE["input_tokens"], *(USAGE[f"cache_{kind}_input_tokens"] for kind in ("read", "creation")),
            USAGE["output_tokens"]) == known  # fmt: skip
    talks = {
        "chat": [([("system", ["Be brief."]), ASKED], [TEXT], "stop")],
        "streamed": [([("system", ["Be brief."]), ASKED], [TEXT], "stop")],
        "twice": [
            ([ASKED], ["I look.", CALL], "tool_calls"),
            ([ASKED, ("assistant", ["I look.", CALL]), ("tool", [("result", "toolu_0", "Sunny")])], [TEXT], "stop"),
        ],
    }
    for step, expected in talks.items():
        told, _ = told_by(steps[step])
        for call, (asked, answered, reason) in zip(told, expected, strict=True):
            assert_call(call)
            assert call["finish_reason"] == reason
            assert call["is_stream"] is (step == "streamed")
            assert call["session_id"] == ("session-1" if name == "openinference" else None)
            messages = apps.detail(flow, call)["messages"]
            assert apps.said(messages["input"]) == asked
            assert apps.said(messages["output"]) == [("assistant", answered)]
            if step != "streamed":  # OpenLLMetry counts two tokens more there, those of message_start
                assert call["completion_tokens"] == 800
    (failed,), _ = told_by(steps["failing"])
    assert (failed["provider"], failed["model"], failed["status"]) == ("anthropic", "error-429", 429)
    assert "This request would exceed your rate limit." in failed["error"]


@kinds
def test_what_the_sdk_tells_of_the_same_call_is_not_counted_again(flow, upstream, name):
    """The SDK's own span stands below the instrumentation's or beside it: of both, one counts."""
    steps = ask(flow, name, upstream.url)
    counted = []
    for step in ("chat", "streamed", "twice"):
        for call, by_sdk in zip(*told_by(steps[step]), strict=True):
            assert_call(by_sdk)
            assert by_sdk["estimated_cost"] == pytest.approx(apps.cost(by_sdk, hour_cache=HOUR_CACHE))
            pair = [apps.detail(flow, one)["trace"] for one in (call, by_sdk)]
            assert [one["counts"] for one in pair].count(True) == 1
            counted += [one for one in pair if one["counts"]]
    stats = flow.get("/api/stats")
    assert len(counted) == 4
    assert stats["total_cost"] == pytest.approx(sum(call["estimated_cost"] for call in counted))
    assert stats["total_tokens"] == sum(call["total_tokens"] for call in counted)


@kinds
def test_a_call_that_llmflow_saw_too_counts_once(flow, upstream, name):
    """The SDK sends the context of the trace along: the call as we saw it hangs below, and it alone counts."""
    steps = ask(flow, name, f"{flow.proxy_url}/passthrough/anthropic")
    rows = flow.get("/api/traces?limit=1000")
    ours = {row["id"]: row for row in rows if row["source"] == "passthrough"}
    assert len(ours) == 5
    for step, root in steps.items():
        _, by_sdk = told_by(root)
        for call in by_sdk:
            assert ours[call["joined_to"]]["trace_id"] == call["trace_id"]
            assert [one["id"] for one in call["children"]] == [call["joined_to"]]
        assert len(by_sdk) == (2 if step == "twice" else 1)
    done = [row for row in ours.values() if row["status"] == 200]
    for row in done:
        assert row["estimated_cost"] == pytest.approx(apps.cost(row, hour_cache=HOUR_CACHE))
    stats = flow.get("/api/stats")
    assert stats["total_cost"] == pytest.approx(sum(row["estimated_cost"] for row in done))
    assert stats["total_tokens"] == 4 * 4800
