"""The events of a realtime session → who said what: OpenAI's Realtime API and Gemini Live. Pure."""

from __future__ import annotations

import json
from typing import Any

from llmflow_web.model import JSON, Usage
from llmflow_web.provider import Provider

_TEXT_MEMBERS = ("text", "transcript")


class Turns:
    """What all dialects have in common: feed what was sent, then what was heard."""

    def __init__(self, provider: Provider) -> None:
        self.id: str | None = None
        self.model: str | None = None
        self.error: str | None = None  # the last one that no answer came after
        self.finish_reason: str | None = None
        self.asked: list[JSON] = []  # items with a role
        self.made: list[JSON] = []  # output items
        self.texts: list[str] = []
        self.calls: list[JSON] = []
        self.usages: list[Usage] = []
        self._provider = provider

    def sent(self, event: JSON) -> None:
        """Take an event of the client."""
        raise NotImplementedError

    def heard(self, event: JSON) -> None:
        """Take an event of the server."""
        raise NotImplementedError

    def notes(self) -> list[str]:
        """Return what a reader of the row should know."""
        return []

    def _add_usage(self, body: JSON) -> None:
        usage = self._provider.usage(body, {})
        if usage is not None:
            self.usages.append(usage)

    def _called(self, call_id: Any, name: Any, arguments: Any) -> None:
        text = arguments if isinstance(arguments, str) else json.dumps(arguments or {}, ensure_ascii=False)
        function = {"name": str(name or ""), "arguments": text}
        self.calls.append({"id": str(call_id or ""), "type": "function", "function": function})


class OpenAITurns(Turns):
    """OpenAI's Realtime API, beta and GA: items go in, responses come out."""

    def __init__(self, provider: Provider) -> None:
        super().__init__(provider)
        self._transcriptions = 0

    def sent(self, event: JSON) -> None:
        """Read instructions, and the texts and tool results put into the conversation."""
        kind = event.get("type")
        if kind == "session.update":
            instructions = _object(event.get("session")).get("instructions")
            if isinstance(instructions, str) and instructions:
                self.asked.append({"role": "system", "content": instructions})
        elif kind == "conversation.item.create":
            item = _object(event.get("item"))
            if item:
                self.asked.append(_shown(item))

    def heard(self, event: JSON) -> None:
        """Read the session, the transcripts of what was said to it, responses and errors."""
        kind = event.get("type")
        if kind in ("session.created", "session.updated"):
            session = _object(event.get("session"))
            self.id = self.id or _text(session.get("id"))
            self.model = _text(session.get("model")) or self.model
        elif kind == "conversation.item.input_audio_transcription.completed":
            self._transcriptions += 1
            self.asked.append({"role": "user", "content": _text(event.get("transcript")) or ""})
        elif kind == "response.done":
            self._answered(_object(event.get("response")))
        elif kind == "error":
            self.error = self._provider.error(400, event)

    def _answered(self, response: JSON) -> None:
        self._add_usage(response)
        status = _text(response.get("status"))
        details = _object(response.get("status_details"))
        self.finish_reason = _text(details.get("reason")) or ("stop" if status == "completed" else status)
        self.error = self._provider.error(400, details) if status == "failed" else None
        for item in _objects(response.get("output")):
            shown = _shown(item)
            self.made.append(shown)
            if item.get("type") == "function_call":
                self._called(item.get("call_id"), item.get("name"), item.get("arguments"))
            content = shown.get("content")
            self.texts += [part["text"] for part in _objects(content) if isinstance(part.get("text"), str)]

    def notes(self) -> list[str]:
        """Say what the sum leaves out."""
        if not self._transcriptions:
            return []
        return ["transcribing what was said to the model is billed apart and not in the cost"]


class GeminiTurns(Turns):
    """Gemini Live: a setup, then turns of both sides in pieces."""

    def __init__(self, provider: Provider) -> None:
        super().__init__(provider)
        self._said: list[str] = []
        self._told: list[str] = []

    def sent(self, event: JSON) -> None:
        """Read the setup, typed turns and tool results."""
        setup = _object(event.get("setup"))
        model = _text(setup.get("model"))
        if model is not None:
            self.model = model.removeprefix("models/")
        system = _texts(_object(setup.get("systemInstruction", setup.get("system_instruction"))))
        if system:
            self.asked.append({"role": "system", "content": system})
        content = _object(event.get("clientContent", event.get("client_content")))
        for turn in _objects(content.get("turns")):
            self.asked.append({"role": _text(turn.get("role")) or "user", "content": _texts(turn)})
        tools = _object(event.get("toolResponse", event.get("tool_response")))
        for result in _objects(tools.get("functionResponses", tools.get("function_responses"))):
            output = json.dumps(result.get("response"), ensure_ascii=False)
            self.asked.append({"type": "function_call_output", "call_id": str(result.get("id")), "output": output})

    def heard(self, event: JSON) -> None:
        """Read a turn's pieces, calls, usage."""
        if "usageMetadata" in event:
            self._add_usage(event)
        for call in _objects(_object(event.get("toolCall")).get("functionCalls")):
            self._called(call.get("id"), call.get("name"), call.get("args"))
            function = self.calls[-1]["function"]
            self.made.append({"type": "function_call", "call_id": self.calls[-1]["id"], **function})
        content = _object(event.get("serverContent"))
        self._told.append(_text(_object(content.get("inputTranscription")).get("text")) or "")
        self._said.append(_text(_object(content.get("outputTranscription")).get("text")) or "")
        self._said.append(_texts(_object(content.get("modelTurn"))))
        if content.get("turnComplete") or content.get("interrupted"):
            self._end_turn("stop" if content.get("turnComplete") else "interrupted")

    def _end_turn(self, reason: str) -> None:
        told, said = "".join(self._told), "".join(self._said)
        self._told, self._said = [], []
        if told:
            self.asked.append({"role": "user", "content": told})
        if said:
            self.texts.append(said)
            self.made.append({"type": "message", "role": "assistant", "content": [{"type": "text", "text": said}]})
        if told or said:
            self.finish_reason = reason


def _object(value: Any) -> JSON:
    return value if isinstance(value, dict) else {}


def _objects(value: Any) -> list[JSON]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _texts(content: JSON) -> str:
    parts = _objects(content.get("parts"))
    return "".join(part["text"] for part in parts if isinstance(part.get("text"), str) and not part.get("thought"))


def _shown(item: JSON) -> JSON:
    """Return an item as people read it: sound by its transcript."""
    content = item.get("content")
    if not isinstance(content, list):
        return item
    parts: list[JSON] = []
    for part in _objects(content):
        words = next((part[name] for name in _TEXT_MEMBERS if isinstance(part.get(name), str)), None)
        is_media = words is None and "audio" not in str(part.get("type"))
        parts += [part] if is_media else [{"type": "text", "text": words}] if words else []
    return {**item, "content": parts}
