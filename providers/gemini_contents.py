"""OpenAI's messages → Gemini's `contents` and `systemInstruction`.

Every system text, wherever it stands, goes to the one system instruction. Turns of one role are merged. Tool results
stand in a content of their own, in the order of the calls they answer: the API counts one against the other, and has
refused results with other parts beside them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from llmflow_web.model import JSON

from .completion import text_or_none
from .shapes import arguments_object, data_url, impossible, objects, parts_of, text_of
from .usage import member

NO_SIGNATURE = "skip_thought_signature_validator"
"""What Gemini 3 takes in place of a signature it never gave: for calls another model made, or that were forgotten."""

_FILES_PATH = "https://generativelanguage.googleapis.com/v1beta/"
_BLANK = {"text": " "}
"""Stands where the API wants a part and the client said nothing; an empty text is refused."""

_TYPES = {
    "jpg": "image/jpeg", "jpeg": "image/jpeg", "png": "image/png", "webp": "image/webp", "gif": "image/gif",
    "heic": "image/heic", "heif": "image/heif", "pdf": "application/pdf", "mp3": "audio/mp3", "wav": "audio/wav",
    "aac": "audio/aac", "ogg": "audio/ogg", "flac": "audio/flac", "m4a": "audio/m4a", "mp4": "video/mp4",
    "mov": "video/mov", "webm": "video/webm", "mpeg": "video/mpeg", "txt": "text/plain", "md": "text/markdown",
    "csv": "text/csv", "html": "text/html", "json": "application/json", "xml": "text/xml",
}  # fmt: skip
_REMOTE = re.compile(r"(?:https?|gs)://", re.IGNORECASE)


def signature_key(call_id: str) -> str:
    """Name the place in a target's memory that keeps the thought signature of a tool call."""
    return f"gemini thought_signature {call_id}"


def signature_of(holder: JSON) -> str | None:
    """Return the thought signature a message or tool call brings along, in Google's own place for it."""
    return text_or_none(member(member(holder, "extra_content"), "google").get("thought_signature"))


class Conversation:
    """The messages of one request on their way: `system` parts, `contents`, and what was left out."""

    def __init__(self, memory: Mapping[str, Any], *, needs_signatures: bool) -> None:
        self.system: list[JSON] = []
        self.contents: list[JSON] = []
        self.ignored: set[str] = set()
        self._memory = memory
        self._needs_signatures = needs_signatures
        self._names: dict[str, str] = {}  # tool call id → name of the function
        self._order: list[str] = []  # ids of the calls made in the newest model turn
        self._kind = ""  # of the last content: user | model | tool

    def read(self, messages: Any) -> None:
        """Take all messages of a request."""
        if not isinstance(messages, list) or not messages:
            raise impossible("messages", "a non-empty list is needed")
        for at, message in enumerate(messages):
            place = f"messages[{at}]"
            if not isinstance(message, dict):
                raise impossible(place, "it is not an object")
            role = message.get("role")
            read = _ROLES.get(role) if isinstance(role, str) else None
            if read is None:
                raise impossible(f"{place}.role", f"{role!r} is not one of {', '.join(_ROLES)}")
            read(self, message, place)
        if not self.contents or self.contents[0]["role"] == "model":
            self.contents.insert(0, {"role": "user", "parts": [_BLANK]})

    def _add(self, kind: str, parts: list[JSON]) -> None:
        if not parts:
            return
        if kind == self._kind:
            self.contents[-1]["parts"] += parts
            return
        self.contents.append({"role": "model" if kind == "model" else "user", "parts": parts})
        self._kind = kind

    # ── one message ──────────────────────────────────────────────────────────────────────────────────────────────

    def _read_system(self, message: JSON, place: str) -> None:
        for at, part in enumerate(parts_of(message.get("content"))):
            if not isinstance(part, dict) or not isinstance(part.get("text"), str):
                raise impossible(f"{place}.content[{at}]", "Gemini takes only text as system instruction")
            if part["text"]:
                self.system.append({"text": part["text"]})

    def _read_user(self, message: JSON, place: str) -> None:
        self._note_name(message)
        self._add("user", self._parts(message.get("content"), f"{place}.content") or [dict(_BLANK)])

    def _read_assistant(self, message: JSON, place: str) -> None:
        self._note_name(message)
        parts = self._parts(message.get("content"), f"{place}.content")
        if not parts and text_or_none(message.get("refusal")):
            parts = [{"text": message["refusal"]}]
        signature = signature_of(message)
        if signature and parts:
            parts[-1]["thoughtSignature"] = signature
        calls = self._calls(message)
        if not parts and not calls and isinstance(message.get("audio"), dict):
            raise impossible(
                f"{place}.audio", "Gemini keeps no earlier audio answers; send their transcript as content"
            )
        self._add("model", parts + calls)

    def _read_tool(self, message: JSON, place: str) -> None:
        call_id = text_or_none(message.get("tool_call_id")) or ""
        name = self._names.get(call_id) or text_or_none(message.get("name"))
        if not name:
            raise impossible(f"{place}.tool_call_id", f"no earlier assistant message calls a tool with id {call_id!r}")
        response: JSON = {"id": call_id} if call_id else {}
        response |= {"name": name, "response": _result(text_of(message.get("content")))}
        media = [part for part in objects(message.get("content")) if part.get("type") not in ("text", "refusal", None)]
        if media:
            response["parts"] = self._parts(media, f"{place}.content")
        self._add("tool", [{"functionResponse": response}])
        self.contents[-1]["parts"].sort(key=self._turn_of)

    def _turn_of(self, part: JSON) -> int:
        call_id = part["functionResponse"].get("id")
        return self._order.index(call_id) if call_id in self._order else len(self._order)

    def _note_name(self, message: JSON) -> None:
        if message.get("name"):
            self.ignored.add("messages.name")

    # ── tool calls ───────────────────────────────────────────────────────────────────────────────────────────────

    def _calls(self, message: JSON) -> list[JSON]:
        given = objects(message.get("tool_calls"))
        old = message.get("function_call")
        if not given and isinstance(old, dict):
            given = [{"function": old}]
        parts = [self._call(call) for call in given]
        if parts:
            self._order = [part["functionCall"].get("id", "") for part in parts]
            # Of parallel calls only the first one is signed.
            if self._needs_signatures and not any("thoughtSignature" in part for part in parts):
                parts[0]["thoughtSignature"] = NO_SIGNATURE
        return parts

    def _call(self, call: JSON) -> JSON:
        inner = member(call, "function", "custom")
        name = text_or_none(inner.get("name")) or ""
        call_id = text_or_none(call.get("id"))
        is_custom = isinstance(call.get("custom"), dict)
        args = {"input": inner.get("input")} if is_custom else arguments_object(inner.get("arguments"))
        part: JSON = {"functionCall": {**({"id": call_id} if call_id else {}), "name": name, "args": args}}
        self._names[call_id or ""] = name
        remembered = self._memory.get(signature_key(call_id)) if call_id else None
        signature = signature_of(call) or remembered
        if isinstance(signature, str):
            part["thoughtSignature"] = signature
        return part

    # ── parts ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _parts(self, content: Any, place: str) -> list[JSON]:
        found: list[JSON] = []
        for at, part in enumerate(parts_of(content)):
            here = f"{place}[{at}]"
            kind = part.get("type") if isinstance(part, dict) else None
            make = _PARTS.get(kind) if isinstance(kind, str) else None
            if make is None:
                raise impossible(f"{here}.type", f"{kind!r} is not one of {', '.join(_PARTS)}")
            made = make(part, here)
            if made is not None:
                found.append(made)
            if member(part, "image_url").get("detail") not in (None, "auto"):
                self.ignored.add("image_url.detail")
        return found


_ROLES: dict[str, Callable[[Conversation, JSON, str], None]] = {
    "system": Conversation._read_system,  # noqa: SLF001  (the table of this class's own methods)
    "developer": Conversation._read_system,  # noqa: SLF001
    "user": Conversation._read_user,  # noqa: SLF001
    "assistant": Conversation._read_assistant,  # noqa: SLF001
    "tool": Conversation._read_tool,  # noqa: SLF001
    "function": Conversation._read_tool,  # noqa: SLF001
}


def _result(text: str) -> JSON:
    """Return a tool's result as the object Gemini wants."""
    found = arguments_object(text)
    return found if text.strip() and "_raw" not in found else {"result": text}


def _text_part(part: JSON, place: str) -> JSON | None:
    del place
    text = part.get("text", part.get("refusal"))
    return {"text": text} if isinstance(text, str) and text else None


def _url_part(part: JSON, place: str) -> JSON | None:
    name = str(part["type"])
    given = part.get(name)
    url = given.get("url") if isinstance(given, dict) else given
    return _located(url, f"{place}.{name}.url")


def _located(url: Any, place: str) -> JSON:
    """Return a part for a data URL (sent along) or a remote one (fetched by Google)."""
    if not isinstance(url, str) or not url:
        raise impossible(place, "a URL is needed")
    if url[:5].lower() == "data:":
        found = data_url(url)
        if found is None or not found[1]:
            raise impossible(place, "it is no valid base64 data URL")
        return {"inlineData": {"mimeType": found[0], "data": found[1]}}
    if not _REMOTE.match(url):
        raise impossible(place, "only data:, http(s): and gs: URLs can be sent")
    kind = _type_by_name(url.partition("?")[0].partition("#")[0])
    return {"fileData": {"fileUri": url, **({"mimeType": kind} if kind else {})}}


def _type_by_name(name: str) -> str | None:
    return _TYPES.get(name.rpartition("/")[2].rpartition(".")[2].lower())


def _audio_part(part: JSON, place: str) -> JSON | None:
    audio = member(part, "input_audio")
    data = text_or_none(audio.get("data"))
    if data is None:
        raise impossible(f"{place}.input_audio.data", "base64 audio is needed")
    if data[:5].lower() == "data:":
        return _located(data, f"{place}.input_audio.data")
    kind = text_or_none(audio.get("format")) or "wav"
    return {"inlineData": {"mimeType": _TYPES.get(kind, f"audio/{kind}"), "data": data}}


def _file_part(part: JSON, place: str) -> JSON | None:
    file = member(part, "file")
    name = text_or_none(file.get("filename")) or ""
    data = text_or_none(file.get("file_data"))
    if data is not None:
        if data[:5].lower() == "data:":
            return _located(data, f"{place}.file.file_data")
        return {"inlineData": {"mimeType": _type_by_name(name) or "application/pdf", "data": data}}
    file_id = text_or_none(file.get("file_id")) or text_or_none(file.get("file_url")) or ""
    kind = text_or_none(file.get("format")) or _type_by_name(name)
    if file_id.startswith("files/"):  # a name of Google's Files API
        file_id = _FILES_PATH + file_id
    if not _REMOTE.match(file_id):
        raise impossible(f"{place}.file.file_id", "Gemini knows only its own files: files/NAME or the file's URI")
    kind = kind or _type_by_name(file_id)
    return {"fileData": {"fileUri": file_id, **({"mimeType": kind} if kind else {})}}


_PARTS: dict[str, Callable[[JSON, str], JSON | None]] = {
    "text": _text_part,
    "refusal": _text_part,
    "image_url": _url_part,
    "video_url": _url_part,
    "input_audio": _audio_part,
    "file": _file_part,
}
