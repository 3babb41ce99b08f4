"""Log events of coding agents → spans of sessions: a trace per turn with its calls of models and tools. Pure.

Claude Code, Codex CLI, Gemini CLI and Copilot tell by events what they did, each event when it was over. Which event
makes which rows stands in the tables below; the rows themselves are made in agent_rows. What an agent also sends as
spans, or what the proxy saw, is joined by the store: there each call counts once.

After the agents' public documentation and sources of 2026 (Claude Code 2.1, Codex CLI, Gemini CLI 0.61, Copilot Chat).
"""

from __future__ import annotations

from collections.abc import Sequence

from llmflow_web.model import Row
from llmflow_web.record import agent_rows as rows
from llmflow_web.record.agent_event import Agent, read_event
from llmflow_web.store.pieces import fold
from llmflow_web.wire.otlp_values import LogRecord

DETAILS = "gen_ai.client.inference.operation.details"
_MAX_NAME_CHARS = 80

CLAUDE_CODE = Agent(
    "claude-code",
    "Claude Code turn",
    {
        "user_prompt": rows.prompt,
        "assistant_response": rows.answer,
        "api_request": rows.call,
        "api_error": rows.call,
        "api_refusal": rows.refusal,
        "api_request_body": rows.request_body,
        "api_response_body": rows.response_body,
        "tool_decision": rows.decision,
        "tool_result": rows.tool_call,
    },
    provider="anthropic",
    turns=("prompt.id",),
)

CODEX_CLI = Agent(
    "codex-cli",
    "Codex session",  # its calls do not say which prompt they are for
    {
        "conversation_starts": rows.only_turn,
        "user_prompt": rows.prompt_in_session,
        "api_request": rows.failed_call,
        "websocket_request": rows.failed_call,
        "sse_event": rows.call_with_tokens,
        "websocket_event": rows.call_with_tokens,
        "tool_decision": rows.decision,
        "tool_result": rows.tool_call,
        "turn_cost": rows.turn_figures,
        "turn_ttft": rows.turn_figures,
    },
    provider="openai",
    sessions=("conversation.id", "session.id"),
)

GEMINI_CLI = Agent(
    "gemini-cli",
    "Gemini CLI turn",
    {
        # `api_request` and the details event tell of the same call again, without saying of which.
        "user_prompt": rows.prompt,
        "api_response": rows.call,
        "api_error": rows.call,
        "tool_call": rows.tool_call,
    },
    provider="gemini",
    turns=("prompt_id",),
)

COPILOT = Agent(
    "copilot",
    "Copilot session",
    {
        "session.start": rows.only_turn,
        "agent.turn": rows.only_turn,  # repeats the tokens of its calls
        DETAILS: rows.call,
        "tool.call": rows.tool_call,
    },
    sessions=("session.id", "gen_ai.conversation.id", "copilot_chat.chat_session_id", "conversation_id"),
)

_PREFIXES = (
    ("claude_code.", CLAUDE_CODE),
    ("codex.", CODEX_CLI),
    ("gemini_cli.", GEMINI_CLI),
    ("copilot_chat.", COPILOT),
    ("github.copilot.", COPILOT),
)


def rows_from_logs(records: Sequence[LogRecord], *, now_ns: int = 0) -> list[Row]:
    """Return the rows that log records of coding agents make; other records make none.

    now_ns: stands for a time that is missing.
    """
    return fold([row for record in records for row in pieces_from_log(record, now_ns=now_ns)])


def pieces_from_log(record: LogRecord, *, now_ns: int = 0) -> list[Row]:
    """Return the pieces of rows that one log record makes."""
    found = _agent_and_event(record)
    if found is None:
        return []
    agent, name = found
    make = agent.events.get(name)
    return make(read_event(agent, name, record, now_ns)) if make is not None else []


def _agent_and_event(record: LogRecord) -> tuple[Agent, str] | None:
    told = record.attributes.get("event.name")
    for name in (record.event_name, told, record.body):
        if isinstance(name, str) and len(name) <= _MAX_NAME_CHARS:
            for prefix, agent in _PREFIXES:
                if name.startswith(prefix):
                    return agent, name[len(prefix) :]
    return _by_service(record, told or record.event_name)


def _by_service(record: LogRecord, name: object) -> tuple[Agent, str] | None:
    """Tell the agent of an event whose name says nothing of it, by who sends it."""
    if not isinstance(name, str):
        return None
    service = str(record.resource.attributes.get("service.name")).lower()
    if name == DETAILS and "copilot" in service:
        return COPILOT, name
    is_claude = "claude-code" in service or "claude_code" in record.scope.name
    return (CLAUDE_CODE, name) if is_claude else None
