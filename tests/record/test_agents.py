"""Log events of coding agents → spans, by sessions written after the agents' documentation."""

from __future__ import annotations

import json
import random
from dataclasses import asdict

import pytest
from agents_help import AGENTS, START_NS, Session
from hypothesis import given
from hypothesis import strategies as st

from llmflow_web.model import PART_ATTRIBUTES, PART_REQUEST, Row
from llmflow_web.record.agents import pieces_from_log, rows_from_logs
from llmflow_web.record.messages import messages_of
from llmflow_web.store.pieces import fold
from llmflow_web.wire.otlp_values import LogRecord, Resource, Scope

MS = 1_000_000


def tree(name: str) -> list[tuple]:
    """Return (type, name, start ms, duration ms, status) of a session's rows, in their order."""
    found = []
    for row in rows_from_logs(Session(name).logs()):
        span = row.span
        took = None if span.duration_ns is None else span.duration_ns // MS
        found.append((span.span_type, span.span_name, (span.start_ns - START_NS) // MS, took, span.status))
    return found


def rows_of(name: str, span_type: str) -> list[Row]:
    return [row for row in rows_from_logs(Session(name).logs()) if row.span.span_type == span_type]


def texts(row: Row, side: str) -> list[str]:
    """Return the texts, arguments and results of a row's messages."""
    messages = messages_of(None, row.span.operation, {body.part: body.data for body in row.bodies})[side]
    parts = [part for message in messages for part in message["parts"]]
    return [str(part.get("text") or part.get("arguments") or part.get("content")) for part in parts]


def test_claude_code_is_a_trace_per_prompt_with_calls_and_tools():
    """Events are sent at the end: what they tell of began before by as long as it took."""
    assert tree("claude_code") == [
        ("agent", "Claude Code turn", 0, 8001, 200),
        ("event", "request body", 500, None, 200),
        ("llm", "chat claude-sonnet-4-5", 500, 2500, 200),
        ("tool", "Bash", 3200, 1000, 200),
        ("llm", "chat claude-sonnet-4-5", 4500, 500, 529),
        ("llm", "chat claude-sonnet-4-5", 6000, 2000, 200),
        ("agent", "Claude Code turn", 60000, 3001, 200),
        ("tool", "Write", 61000, None, 403),
        ("llm", "chat claude-haiku-4-5", 61500, 1500, 400),
    ]


def test_codex_is_a_trace_per_session_with_its_prompts():
    """Its calls do not say which prompt they are for, and only the event with the tokens stands for a call."""
    assert tree("codex_cli") == [
        ("agent", "Codex session", 0, 70000, 200),
        ("event", "user prompt", 100, None, 200),
        ("llm", "chat gpt-5-codex", 200, 700, 429),
        ("llm", "chat gpt-5-codex", 4000, None, 200),
        ("tool", "shell", 4100, 1000, 200),
        ("llm", "chat gpt-5-codex", 9000, None, 200),
        ("event", "turn", 9500, None, 200),
        ("event", "user prompt", 70000, None, 200),
    ]


def test_gemini_cli_is_a_trace_per_prompt():
    """The request event and the details event tell of the same call again and make no row."""
    assert tree("gemini_cli") == [
        ("agent", "Gemini CLI turn", 0, 5000, 200),
        ("llm", "chat gemini-2.5-pro", 10, 1990, 200),
        ("tool", "list_directory", 3000, 500, 200),
        ("tool", "write_file", 3888, 12, 500),
        ("llm", "chat gemini-2.5-pro", 4700, 300, 429),
    ]


def test_copilot_is_a_trace_per_session():
    """The turn event repeats the tokens of its calls and makes no row."""
    assert tree("copilot") == [
        ("agent", "Copilot session", 0, 3600, 200),
        ("llm", "chat gpt-5-2025-08-07", 3000, None, 200),
        ("tool", "read_file", 3250, 250, 200),
    ]


@pytest.mark.parametrize(
    ("name", "tokens"),
    [
        # prompt (with cache), answer (with reasoning), all, cached, cache written, reasoning
        ("claude_code", [(12810, 200, 13010, 12000, 800, 0), (13120, 300, 13420, 13000, 100, 0), (100, 10, 110, 0, 0, 0)]),
        ("codex_cli", [(5000, 400, 5400, 4000, 0, 100), (5600, 50, 5650, 5000, 0, 0)]),
        ("gemini_cli", [(3000, 100, 3100, 1000, 0, 60)]),
        ("copilot", [(900, 90, 990, 0, 0, 0)]),
    ],
)  # fmt: skip
def test_tokens_are_counted_as_openai_counts_them(name, tokens):
    """Claude Code leaves the cache out of the input, Gemini CLI the thoughts out of the output, Codex writes texts."""
    spans = [row.span for row in rows_of(name, "llm") if row.span.prompt_tokens is not None]
    found = [
        (span.prompt_tokens, span.completion_tokens, span.total_tokens, span.cached_tokens, span.cache_write_tokens,
         span.reasoning_tokens)
        for span in spans
    ]  # fmt: skip
    assert found == tokens


@pytest.mark.parametrize(("name", "provider"), list(zip(AGENTS, ["anthropic", "openai", "gemini", None], strict=True)))
def test_every_row_says_whose_it_is(name, provider):
    """Tool, session, service, the turn it hangs under; calls also say provider and model."""
    session = Session(name)
    rows = rows_from_logs(session.logs())
    roots = {row.span.trace_id: row.span.id for row in rows if row.span.parent_id is None}
    for row in rows:
        span = row.span
        assert (span.tool, span.session_id, span.source, span.derived) == (session.tool, session.id, "otlp", True)
        assert span.service_name == session.told["resource"]["service.name"]
        assert span.parent_id in (None, roots[span.trace_id])
        assert (len(span.trace_id), len(span.id)) == (32, 16)
        if span.span_type == "llm":
            assert (span.provider, bool(span.model)) == (provider, True)


def test_what_a_call_cost_by_its_sender_is_kept():
    """Dollars or millionths of them, for the bill to stand beside; what Codex says of a turn is in no sum."""
    assert [row.usage and row.usage.reported_cost for row in rows_of("claude_code", "llm")] == [
        0.0096,
        None,
        0.0129,
        0.0002,
    ]
    turn = next(row.span for row in rows_of("codex_cli", "event") if row.span.span_name == "turn")
    assert (turn.cost_detail, turn.counts, turn.estimated_cost) == ({"reported_cost": 0.0123}, False, None)


def test_a_turn_shows_what_was_asked_and_answered():
    """In lists and as messages; a prompt that is not to be told is not shown by its placeholder."""
    first, second = rows_of("claude_code", "agent")
    assert (first.span.preview_in, first.span.preview_out) == ("Fix the bug", "The bug is in")
    assert (texts(first, "input"), texts(first, "output")) == (["Fix the bug"], ["The bug is in"])
    assert second.span.preview_in is None
    (codex,) = rows_of("codex_cli", "agent")
    assert texts(codex, "input") == ["List them"]
    (gemini,) = rows_of("gemini_cli", "agent")
    assert texts(gemini, "output") == ["Hi there"]


def test_a_tool_shows_its_decision_arguments_and_result():
    """Also where the decision came with another event; one that was not allowed to run is an error."""
    bash, write = rows_of("claude_code", "tool")
    assert bash.span.notes == ["decision: accept by config"]
    assert json.loads(texts(bash, "input")[0])["command"] == "pytest"
    assert (write.span.error, write.span.status) == ("not run: reject by user_reject", 403)
    (shell,) = rows_of("codex_cli", "tool")
    assert (shell.span.notes, texts(shell, "output")) == (["decision: approved by Config"], ["README.md"])
    assert rows_of("gemini_cli", "tool")[1].span.error == "no path"


def test_bodies_hang_on_the_call_they_name():
    """A cut request body names none: it stands at its moment, and what was cut is closed."""
    (body,) = rows_of("claude_code", "event")
    assert texts(body, "input") == ["Fix the bu"]
    assert [(one.is_cut, one.size) for one in body.bodies if one.part == PART_REQUEST] == [(True, 90000)]
    call = rows_of("claude_code", "llm")[0]
    assert texts(call, "output")[0] == "I will run the tests."
    assert call.span.preview_out == "I will run the tests."


def test_errors_and_refusals_say_so():
    """A refused call keeps the tokens another event told of it."""
    failed, refused = (rows_of("claude_code", "llm")[at].span for at in (1, 3))
    assert (failed.error, failed.request_id, failed.total_tokens) == ("Overloaded", "req_e", None)
    assert (refused.error, refused.finish_reason, refused.total_tokens) == (
        "the model refused: cyber",
        "content_filter",
        110,
    )
    assert refused.agent_name == "Explore"
    limited = rows_of("codex_cli", "llm")[0].span
    assert (limited.error, limited.response_status) == ("rate limited", 429)


def test_attributes_stand_under_the_event_that_said_them_without_the_content():
    """Two events of one tool call keep theirs apart; prompts and results are not stored twice."""
    (bash, _) = rows_of("claude_code", "tool")
    told = next(json.loads(body.data) for body in bash.bodies if body.part == PART_ATTRIBUTES)
    assert sorted(told) == ["tool_decision", "tool_result"]
    assert "tool_input" not in told["tool_result"]
    assert told["tool_result"]["tool_result_size_bytes"] == 512


def test_other_log_records_make_no_rows():
    """An application's logs, events that are no calls, events of agents without a session."""
    under = Resource({"service.name": "shop"}), Scope("app")
    plain = [
        LogRecord(*under, body="codex is a word"),
        LogRecord(*under, event_name="gen_ai.client.inference.operation.details"),
        LogRecord(*under, attributes={"event.name": "user_prompt"}),
        LogRecord(*under, body={"event": "claude_code.api_request"}),
        LogRecord(*under, attributes={"event.name": "claude_code.auth"}),
    ]
    assert rows_from_logs(plain) == []
    lonely = rows_from_logs([LogRecord(*under, time_ns=START_NS, body="claude_code.api_request")])
    assert [row.span.session_id for row in lonely] == [None, None]


def test_events_are_known_by_event_name_attribute_or_body():
    """Exporters differ in where they put the name; Claude Code writes it without its prefix."""
    record = Session("claude_code").logs()[2]
    bare = LogRecord(record.resource, record.scope, record.time_ns, attributes=record.attributes)
    named = LogRecord(
        Resource(), Scope(), record.time_ns, attributes={**record.attributes, "event.name": None},
        event_name="claude_code.api_request",
    )  # fmt: skip
    for one in (bare, named):
        assert [row.span.request_id for row in rows_from_logs([one])] == [None, "req_1"]


@pytest.mark.parametrize("name", AGENTS)
def test_any_order_any_cut_and_any_repetition_give_the_same_rows(name):
    """Exporters send late, again and out of order; the store puts the pieces together the same way."""
    records = Session(name).logs()
    wanted = _state(rows_from_logs(records))
    draw = random.Random(7)
    for _ in range(20):
        shuffled = [*records, *draw.choices(records, k=3)]
        draw.shuffle(shuffled)
        cut = draw.randrange(len(shuffled))
        assert _state(fold([*rows_from_logs(shuffled[:cut]), *rows_from_logs(shuffled[cut:])])) == wanted


def _state(rows: list[Row]) -> dict:
    return {(row.span.trace_id, row.span.id): (asdict(row.span), [asdict(body) for body in row.bodies]) for row in rows}


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.binary(max_size=3)
    | st.sampled_from(["1", "-1", "1e400", "[REDACTED]", '{"a":', "null", "9" * 50]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)  # fmt: skip
_NAMES = sorted({name for agent in AGENTS for one in Session(agent).told["logs"] for name in one["attributes"]})
_EVENTS = sorted({one["attributes"]["event.name"] for agent in AGENTS for one in Session(agent).told["logs"]})


@given(
    event=st.sampled_from(_EVENTS),
    service=st.sampled_from(["claude-code", "copilot-chat", "x"]),
    attributes=st.dictionaries(st.sampled_from(_NAMES), _VALUES, max_size=8),
    time_ns=st.sampled_from([0, 1, START_NS, 2**64 - 1]),
)
def test_whatever_the_values_are_rows_can_be_stored(event, service, attributes, time_ns):
    """Strangers' attributes: never an exception, and never a time, id or number the tables cannot hold."""
    attributes["event.name"] = event
    record = LogRecord(Resource({"service.name": service}), Scope(), time_ns, attributes=attributes)
    for row in fold(pieces_from_log(record, now_ns=START_NS)):
        span = row.span
        assert 0 <= span.start_ns < 2**63
        assert 0 <= (span.duration_ns or 0) < 2**63
        for body in row.bodies:
            assert body.part == PART_REQUEST or json.loads(body.data) is not None
