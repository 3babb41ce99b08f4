"""Sending a recorded call once more, as it was or edited: what is to be sent, and where on our own proxy. Pure.

A replay of the same provider goes to the path it came by, in its own dialect. Another provider gets the same question
as a chat.completions request, which the translation layer takes on from there. Keys are never part of a recording: they
come from the environment or with the request for the replay.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from llmflow_web.errors import BadRequest
from llmflow_web.model import JSON
from llmflow_web.record.observed import parsed_object
from llmflow_web.record.replay_chat import chat_request

REPLAY_HEADER = "x-llmflow-replay-of"
"""Names the span that a call repeats."""

MAX_EDIT_BYTES = 32 * 1024 * 1024
CHAT_PATH = "/v1/chat/completions"
_EDITS = frozenset({"provider", "model", "messages", "parameters", "body", "stream", "tags"})
# Headers of the recorded request that say how its body is meant. No other goes along, and none that holds a key.
_KEPT_HEADERS = frozenset({
    "content-type", "anthropic-version", "anthropic-beta", "openai-beta", "x-llmflow-provider", "x-llmflow-session-id",
    "x-llmflow-conversation-id", "x-llmflow-user-id", "x-llmflow-prompt", "x-llmflow-tag", "x-llmflow-tags",
    "x-llmflow-metadata", "x-azure-resource",
})  # fmt: skip
_MODEL_IN_PATH = re.compile(r"(/models/|/deployments/|/tunedModels/)([^/:?]+)")
_CHAT = re.compile(r"/chat/completions$")


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recorded call, as far as it matters: its row, what was sent, and what the screen shows of it."""

    span: JSON
    body: bytes | None  # the request's, whole; None = not stored, cut or not readable
    headers: Mapping[str, str] = field(default_factory=dict)  # of the request, by lower-case name
    query: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)  # of a span that was sent to us
    messages: Mapping[str, Sequence[JSON]] = field(default_factory=dict)  # {"input", "output", "tools"?}


@dataclass(frozen=True, slots=True)
class Edit:
    """What a replay changes. None and {} = nothing."""

    provider: str | None = None
    model: str | None = None
    messages: list[Any] | None = None
    parameters: JSON = field(default_factory=dict)  # members of the body; null takes one out
    body: JSON | None = None  # in place of the whole body
    stream: bool | None = None
    tags: tuple[str, ...] = ()  # beside those of the recorded call


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be sent to our own proxy."""

    provider: str
    path: str  # with its query
    headers: tuple[tuple[str, str], ...]
    body: bytes
    is_translated: bool  # it goes as a chat.completions request, whatever it was
    notes: tuple[str, ...] = ()

    def shown(self) -> JSON:
        """Return the plan as the API shows it."""
        return {
            "provider": self.provider,
            "path": self.path,
            "is_translated": self.is_translated,
            "body": parsed_object(self.body),
            "size": len(self.body),
            "notes": list(self.notes),
        }


def edit_from(value: Any) -> Edit:
    """Read an edit. Raises BadRequest naming the member that is wrong."""
    if not isinstance(value, dict):
        raise BadRequest("Send a JSON object; {} repeats the call as it was.")
    unknown = sorted(set(value) - _EDITS)
    if unknown:
        raise BadRequest(f"{unknown[0]!r} cannot be edited. Known: {', '.join(sorted(_EDITS))}.", unknown[0])
    for name, kind, what in (
        ("provider", str, "a name"), ("model", str, "a name"), ("messages", list, "an array"),
        ("parameters", dict, "an object"), ("body", dict, "an object"), ("stream", bool, "true or false"),
        ("tags", list, "an array of texts"),
    ):  # fmt: skip
        if value.get(name) is not None and not isinstance(value[name], kind):
            raise BadRequest(f"{name!r} must be {what}.", name)
    tags = value.get("tags") or ()
    if not all(isinstance(tag, str) for tag in tags):
        raise BadRequest("'tags' must be an array of texts.", "tags")
    given = {name: one for name, one in value.items() if one is not None and name != "tags"}
    return Edit(**given, tags=tuple(tags))


def plan(recorded: Recorded, edit: Edit, providers: Collection[str]) -> Plan:
    """Work out what is to be sent. Raises BadRequest where a call cannot be repeated, saying why.

    providers: the names our proxy knows.
    """
    span = recorded.span
    provider = edit.provider or span.get("provider") or ""
    if not provider:
        raise BadRequest(
            "This span is no call of a model: replay one of the calls below it, or name a provider.", "provider"
        )
    if provider not in providers:
        known = ", ".join(sorted(providers))
        raise BadRequest(f"There is no provider {provider!r} here. Known: {known}.", "provider")
    notes: list[str] = []
    is_own = span.get("source") in ("proxy", "passthrough") and span.get("request_path")
    if is_own and provider == span.get("provider"):
        path, body = _as_recorded(recorded, edit, notes)
        is_translated = False
    else:
        path, body = _as_chat(recorded, edit, provider, notes)
        is_translated = True
    headers = _headers(recorded, edit, keeps_route=not is_translated)
    return Plan(provider, path, headers, body, is_translated, tuple(notes))


# ── the same provider ────────────────────────────────────────────────────────────────────────────────────────────────


def _as_recorded(recorded: Recorded, edit: Edit, notes: list[str]) -> tuple[str, bytes]:
    span = recorded.span
    if span.get("request_method") != "POST" or span.get("operation") == "realtime":
        raise BadRequest("Only calls with a request body can be replayed; this one had none.")
    path = str(span["request_path"])
    body = recorded.body
    is_edited = edit != Edit(provider=edit.provider, tags=edit.tags)
    if edit.body is not None:
        sent: JSON | None = edit.body
    else:
        if body is None:
            raise BadRequest(
                "The request was not stored whole (no bodies, or longer than --max-stored-body), so it cannot be "
                "repeated; send the whole request as 'body'."
            )
        sent = parsed_object(body)
        if sent is None and is_edited:
            raise BadRequest("The request is no JSON object, so it can only be repeated as it was.")
    if "…[redacted" in (json.dumps(sent, ensure_ascii=False) if sent is not None else ""):
        notes.append("Something in the request was masked when it was recorded, and is sent masked.")
    if sent is not None and is_edited:
        path, sent = _edited(path, sent, edit)
        body = _encoded(sent)
    query = "?" + recorded.query if recorded.query else ""
    return path + query, body or b""


def _edited(path: str, body: JSON, edit: Edit) -> tuple[str, JSON]:
    body = dict(body)
    if edit.model is not None:
        path, in_path = _MODEL_IN_PATH.subn(lambda found: found[1] + edit.model, path)  # type: ignore[operator]
        if not in_path or "model" in body:
            body["model"] = edit.model
    if edit.messages is not None:
        body[_messages_member(body)] = edit.messages
    for name, value in edit.parameters.items():
        if value is None:
            body.pop(name, None)
        else:
            body[name] = value
    if edit.stream is not None:
        path, body = _streamed(path, body, is_stream=edit.stream)
    return path, body


def _messages_member(body: Mapping[str, Any]) -> str:
    return next((name for name in ("messages", "contents", "input") if name in body), "messages")


def _streamed(path: str, body: JSON, *, is_stream: bool) -> tuple[str, JSON]:
    head, colon, verb = path.rpartition(":")
    if colon and verb in ("generateContent", "streamGenerateContent"):
        return head + colon + ("streamGenerateContent" if is_stream else "generateContent"), body
    body["stream"] = is_stream
    if not is_stream:
        body.pop("stream_options", None)
    return path, body


# ── another provider ─────────────────────────────────────────────────────────────────────────────────────────────────


def _as_chat(recorded: Recorded, edit: Edit, provider: str, notes: list[str]) -> tuple[str, bytes]:
    span = recorded.span
    said = recorded.messages.get("input") or []
    request = (parsed_object(recorded.body) if recorded.body is not None else None) or dict(recorded.attributes)
    if edit.body is not None:
        body = dict(edit.body)
    elif _CHAT.search(str(span.get("request_path") or "")) and isinstance(request.get("messages"), list):
        body = {name: value for name, value in request.items() if name != "stream_options"}
    elif span.get("operation") not in (None, "chat", "text_completion", "generate_content") or not said:
        raise BadRequest(
            "Only chats can be sent to another provider, and only where what was asked is stored; "
            f"this is {span.get('operation') or span.get('span_type')!s}."
        )
    else:
        body = chat_request(request, said, recorded.messages.get("tools") or (), notes.append)
    if edit.model is None and edit.body is None and span.get("provider") != provider and span.get("provider"):
        raise BadRequest(f"Name the model that {provider} shall answer with.", "model")
    model = edit.model or body.get("model") or span.get("request_model") or span.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequest("Name the model that shall answer.", "model")
    _, body = _edited(
        "", {"model": model, **body}, Edit(model, model, edit.messages, edit.parameters, None, edit.stream)
    )
    prefix = "" if provider == "openai" else f"/{provider}"
    return prefix + CHAT_PATH, _encoded(body)


# ── headers ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _headers(recorded: Recorded, edit: Edit, *, keeps_route: bool) -> tuple[tuple[str, str], ...]:
    kept = {
        name: value
        for name, value in recorded.headers.items()
        if name in _KEPT_HEADERS and (keeps_route or name.startswith("x-llmflow-")) and "…[redacted" not in value
    }
    if not keeps_route:
        kept.pop("x-llmflow-provider", None)
    if "content-type" not in kept or edit.body is not None:
        kept["content-type"] = "application/json"
    tags = [tag for tag in (kept.pop("x-llmflow-tags", "") or kept.pop("x-llmflow-tag", "")).split(",") if tag.strip()]
    kept.pop("x-llmflow-tag", None)
    tags += [tag for tag in (tag.encode("utf-8", "replace").decode("latin-1") for tag in edit.tags) if tag not in tags]
    if tags:
        kept["x-llmflow-tags"] = ",".join(tags)
    kept[REPLAY_HEADER] = str(recorded.span["id"])
    return tuple((name, "".join(char for char in value if char.isprintable())) for name, value in kept.items())


def _encoded(body: JSON) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
