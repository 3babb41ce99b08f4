"""What request headers say about a call beside its content: tags, session, user, prompt, parent, the tool that sent it.

Pure. Our own headers come first, then Helicone's, then what the body itself says.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from llmflow_web.model import JSON
from llmflow_web.wire.headers import value_of

MAX_METADATA_BYTES = 4096
MAX_LABEL_CHARS = 256
MAX_TAGS = 64
MAX_ID_CHARS = 128

# what a User-Agent or another telling header starts with or holds → the tool's name
_AGENTS = (
    ("claude-cli", "claude-code"),
    ("claude-code", "claude-code"),
    ("codex", "codex-cli"),
    ("geminicli", "gemini-cli"),
    ("gemini-cli", "gemini-cli"),
    ("aider", "aider"),
)
_SERVICES = (
    ("claude", "claude-code"),
    ("codex", "codex-cli"),
    ("gemini", "gemini-cli"),
    ("copilot", "copilot"),
    ("aider", "aider"),
)
# Coding agents name their session themselves: Claude Code, then Codex CLI, newer versions first.
_AGENT_SESSIONS = (b"x-claude-code-session-id", b"thread-id", b"conversation_id", b"session_id")
_PASSTHROUGH_TOOLS = {"anthropic": "claude-code", "gemini": "gemini-cli"}


@dataclass(slots=True)
class Labels:
    """The labels of one call."""

    tags: list[str] = field(default_factory=list)
    session_id: str | None = None
    conversation_id: str | None = None
    user_id: str | None = None
    prompt_name: str | None = None
    prompt_version: str | None = None
    parent_id: str | None = None
    replay_of: str | None = None
    metadata: JSON = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)


def labels_from(headers: Mapping[bytes, bytes], trace_id: str) -> Labels:
    """Read all labels from `headers` (lower-case name → line)."""
    labels = Labels()
    if any(name.startswith((b"x-llmflow-", b"helicone-")) for name in headers):
        _read_ours(headers, labels)
        _read_helicone(headers, labels)
    labels.session_id = labels.session_id or _text(headers, *_AGENT_SESSIONS)
    labels.parent_id = _parent(headers, trace_id)
    return labels


def _text(headers: Mapping[bytes, bytes], *names: bytes) -> str | None:
    for name in names:
        line = headers.get(name)
        if line:
            text = value_of(line).decode("utf-8", "replace").strip()[:MAX_LABEL_CHARS]
            if text:
                return text
    return None


def _read_ours(headers: Mapping[bytes, bytes], labels: Labels) -> None:
    for tags in (b"x-llmflow-tags", b"x-llmflow-tag"):  # the singular wins unless it is empty
        labels.tags = split_tags(value_of(headers.get(tags, b"")).decode("utf-8", "replace")) or labels.tags
    labels.session_id = _text(headers, b"x-llmflow-session-id", b"helicone-session-id")
    labels.conversation_id = _text(headers, b"x-llmflow-conversation-id")
    labels.user_id = _text(headers, b"x-llmflow-user-id", b"helicone-user-id")
    labels.replay_of = _text(headers, b"x-llmflow-replay-of")
    prompt = _text(headers, b"x-llmflow-prompt", b"helicone-prompt-id")
    if prompt:
        name, _, version = prompt.partition("@")
        labels.prompt_name = name.strip() or None
        labels.prompt_version = version.strip() or None
    metadata = value_of(headers.get(b"x-llmflow-metadata", b""))
    if metadata:
        _read_metadata(metadata, labels)


def split_tags(text: str) -> list[str]:
    """Split a comma-separated list of tags; doubles and empty ones fall out."""
    tags = (tag.strip()[:MAX_LABEL_CHARS] for tag in text.split(","))
    return list(dict.fromkeys(tag for tag in tags if tag))[:MAX_TAGS]


def _read_metadata(value: bytes, labels: Labels) -> None:
    try:
        metadata = json.loads(value) if len(value) <= MAX_METADATA_BYTES else None
    except (ValueError, RecursionError):
        metadata = None
    if isinstance(metadata, dict):
        labels.metadata.update(metadata)
    else:
        labels.dropped.append("x-llmflow-metadata: not a JSON object of at most 4096 bytes")


def _read_helicone(headers: Mapping[bytes, bytes], labels: Labels) -> None:
    for name in headers:
        if name.startswith(b"helicone-property-") and len(labels.tags) < MAX_TAGS:
            key = name[len(b"helicone-property-") :].decode("latin-1")
            labels.tags.append(f"{key}:{_text(headers, name) or ''}")
    for name, key in ((b"helicone-session-name", "session_name"), (b"helicone-session-path", "session_path")):
        value = _text(headers, name)
        if value:
            labels.metadata[key] = value


def _parent(headers: Mapping[bytes, bytes], trace_id: str) -> str | None:
    given = _text(headers, b"x-parent-id")
    if given:
        return given[:MAX_ID_CHARS]
    line = headers.get(b"traceparent")
    if line is None:
        return None
    fields = value_of(line).decode("latin-1").strip().lower().split("-")
    # The parent is of use only in its own trace: X-Trace-Id may have named another.
    if len(fields) >= 4 and len(fields[2]) == 16 and fields[1] == trace_id and fields[2].strip("0"):
        return fields[2]
    return None


def tool_of(headers: Mapping[bytes, bytes], source: str, provider: str) -> str:
    """Name the tool a proxied call came from."""
    for name in (b"user-agent", b"originator", b"x-title", b"http-referer"):
        line = headers.get(name)
        if line:
            text = line.decode("latin-1").lower()
            for word, tool in _AGENTS:
                if word in text:
                    return tool
    if source == "passthrough":
        return _PASSTHROUGH_TOOLS.get(provider, "proxy")
    return "proxy"


def tool_of_service(service_name: str | None) -> str | None:
    """Name the tool whose spans carry this service name."""
    text = (service_name or "").lower()
    return next((tool for word, tool in _SERVICES if word in text), None)
