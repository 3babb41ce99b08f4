"""What coding agents tell by three signals, and what the proxy saw of it: each call counts once, in every order."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

import pytest
from agents_help import AGENTS, Session
from store_help import Hand

from llmflow_web.model import Row, Stored
from llmflow_web.record.agents import pieces_from_log, rows_from_logs
from llmflow_web.record.exchange import RowMaker
from llmflow_web.record.pricing import PriceBook
from llmflow_web.record.semconv import log_from_otlp, metrics_from_otlp, row_from_otlp
from llmflow_web.registry import PROVIDERS
from llmflow_web.store import groups
from llmflow_web.store.spans import tree

SIGNALS = ("logs", "spans", "proxy", "metrics")
MAKE = RowMaker({provider.name: provider for provider in PROVIDERS}, PriceBook())


def _signal(session: Session, name: str) -> list[Stored]:
    """Return a signal as the writer gets it."""
    if name == "logs":
        records = session.logs()
        return MAKE([*(log_from_otlp(record) for record in records), *rows_from_logs(records)])
    if name == "spans":
        return MAKE([row_from_otlp(span) for span in session.spans()])
    if name == "metrics":
        return MAKE([point for metric in session.metrics() for point in metrics_from_otlp(metric)])
    return MAKE(session.proxied())


def _sums(hand: Hand) -> tuple[int, int, float]:
    tokens, unpriced, cost = hand.all(
        "SELECT SUM(total_tokens), SUM(unpriced_count), round(SUM(cost), 9) FROM rollup WHERE hour >= 0"
    )[0]
    sql = "SELECT SUM(IFNULL(total_tokens, 0)), round(SUM(IFNULL(estimated_cost, 0.0)), 9) FROM spans WHERE counts"
    assert hand.all(sql) == [(tokens, cost)]
    assert hand.one("SELECT SUM(tokens) FROM traces") >= tokens  # what is drawn in two traces is in the sums of both
    return tokens, unpriced, cost


def _of_session(hand: Hand, session: Session) -> tuple:
    (listed,) = groups.sessions(hand.connection)["sessions"]
    found = groups.session(hand.connection, session.id)
    traces = found["traces"]
    assert listed["session_id"] == session.id
    assert sum(trace["tokens"] for trace in traces) == listed["total_tokens"] == found["summary"]["tokens"]
    assert sum(trace["cost"] for trace in traces) == pytest.approx(listed["total_cost"])
    assert listed["turns"] == found["summary"]["turns"]
    return (
        listed["total_tokens"],
        round(listed["total_cost"], 9),
        listed["turns"],
        listed["tool_calls"],
        listed["models"],
    )


@pytest.mark.parametrize("name", AGENTS)
@pytest.mark.parametrize("present", [("spans",), ("proxy",), ("spans", "proxy"), ()])
def test_each_call_counts_once_in_every_order_of_the_signals(make_hand, name, present):
    """Log events with any of spans and proxied calls, metrics always: tokens and cost of traces, hours and session."""
    session = Session(name)
    signals = {signal: _signal(session, signal) for signal in ("logs", "metrics", *present)}
    for row in signals.get("proxy", ()):
        row.span.estimated_cost = 0.5
    found = set()
    for order in itertools.permutations(signals):
        hand = make_hand()
        for signal in order:
            hand.commit(*signals[signal])
        found.add((*_sums(hand), str(_of_session(hand, session))))
    assert len(found) == 1, found
    ((tokens, unpriced, cost, of_session),) = found
    # Gemini CLI's own spans leave the thoughts out of the answer.
    thoughts = 60 if present == ("spans",) and name == "gemini_cli" else 0
    assert (tokens, unpriced) == (session.tokens - thoughts, 0)
    if "proxy" in present:
        assert cost == 0.5 * len(session.told["calls"])
    assert of_session.startswith(f"({tokens}, {cost}, ")


@pytest.mark.parametrize("name", AGENTS)
def test_pieces_of_all_signals_in_any_order_come_to_the_same(make_hand, name):
    """Record by record, shuffled, some of it again: the same rows, joins and sums."""
    session = Session(name)
    pieces = MAKE([row for record in session.logs() for row in pieces_from_log(record)])
    pieces += [*_signal(session, "spans"), *_signal(session, "proxy")]
    wanted, draw = None, random.Random(11)
    for _ in range(6):
        hand = make_hand()
        shuffled: list[Stored] = [*pieces, *(piece for piece in draw.choices(pieces, k=4) if _is_derived(piece))]
        draw.shuffle(shuffled)
        while shuffled:
            hand.insert(*_batch(shuffled, draw))
        found = (
            _sums(hand),
            hand.all(
                "SELECT trace_id, id, parent_id, span_type, span_name, start_ns, duration_ns, status, error, model, "
                "total_tokens, round(estimated_cost, 9), preview_in, preview_out, notes, tags, joined_to, counts, is_root, "
                "session_id FROM spans ORDER BY trace_id, id"
            ),
            hand.all(
                "SELECT s.id, b.part, b.data FROM bodies b JOIN spans s ON s.seq = b.seq WHERE s.derived ORDER BY 1, 2"
            ),
            _of_session(hand, session),
        )
        wanted = wanted or found
        assert found == wanted


def _is_derived(piece: Stored) -> bool:
    return isinstance(piece, Row) and piece.span.derived


def _batch(shuffled: list[Stored], draw: random.Random) -> Sequence[Row]:
    size = draw.randint(1, 5)
    batch, shuffled[:] = shuffled[:size], shuffled[size:]
    return [row for row in batch if isinstance(row, Row)]


@pytest.mark.parametrize(
    ("name", "turns", "tools", "models"),
    [
        ("claude_code", 2, 2, ["claude-haiku-4-5", "claude-sonnet-4-5"]),
        ("codex_cli", 2, 1, ["gpt-5-codex"]),
        ("gemini_cli", 1, 2, ["gemini-2.5-pro"]),
        ("copilot", 1, 1, ["gpt-5-2025-08-07"]),
    ],
)
def test_a_session_of_log_events_has_turns_tools_and_models(hand, name, turns, tools, models):
    """Prompts are turns also where one trace holds all of them; each trace says its own share."""
    session = Session(name)
    hand.commit(*_signal(session, "logs"))
    assert _of_session(hand, session)[2:] == (turns, tools, models)
    traces = groups.session(hand.connection, session.id)["traces"]
    assert [trace["tool"] for trace in traces] == [session.tool] * len(traces)


def test_where_the_agent_sends_spans_the_log_events_are_not_shown_again(hand):
    """Claude Code with tracing on: its interactions are the turns, in the list and in the session."""
    session = Session("claude_code")
    hand.commit(*_signal(session, "logs"), *_signal(session, "spans"))
    roots = hand.all("SELECT span_name, derived FROM spans WHERE is_root ORDER BY start_ns")
    assert roots == [("claude_code.interaction", 0), ("claude_code.interaction", 0)]
    traces = groups.session(hand.connection, session.id)["traces"]
    # A failed call and the refusal's tool were told by log events only.
    assert [trace["name"] for trace in traces if trace["tokens"]] == ["claude_code.interaction"] * 2
    assert sum(trace["tool_calls"] for trace in traces) == 1


def test_a_proxied_call_hangs_in_the_turn_that_made_it(hand):
    """The turn's tree shows the call as the proxy saw it; the session counts it in the turn, not beside it."""
    session = Session("claude_code")
    hand.commit(*_signal(session, "proxy"))
    hand.commit(*_signal(session, "logs"))
    first, second = groups.session(hand.connection, session.id)["traces"]
    assert [first["tokens"], second["tokens"]] == [26430, 110]
    (turn,) = tree(hand.connection, first["trace_id"])["spans"]
    calls = [row for row in turn["children"] if row["joined_to"]]
    assert [call["children"][0]["source"] for call in calls] == ["passthrough", "passthrough"]
    assert hand.all("SELECT DISTINCT session_id FROM spans WHERE source = 'passthrough'") == [(session.id,)]


def test_what_was_joined_counts_again_when_the_proxied_call_is_deleted(hand):
    """And its session with it, as if it had never been there."""
    session = Session("codex_cli")
    hand.commit(*_signal(session, "logs"))
    before = _of_session(hand, session), _sums(hand)
    proxied = session.proxied()
    hand.commit(*MAKE(proxied))
    assert _of_session(hand, session)[0] == session.tokens
    hand.delete(*(row.span.trace_id for row in proxied))
    assert (_of_session(hand, session), _sums(hand)) == before


def test_calls_of_another_tool_or_with_other_tokens_are_not_the_same(hand):
    """Only the agent's own calls are taken for what it logged, and only with the same tokens."""
    session = Session("codex_cli")
    proxied = session.proxied()
    proxied[0].span.tool = "proxy"
    proxied[1].span.completion_tokens = 51
    hand.commit(*MAKE(proxied), *_signal(session, "logs"))
    assert hand.all("SELECT id FROM spans WHERE joined_to IS NOT NULL") == []
    assert _sums(hand)[0] == 2 * session.tokens
