"""A client's messages → Anthropic's `system` and `messages`: turns are merged, tool results come first in theirs."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

from llmflow_web.model import JSON

from .shapes import arguments_object, data_url, impossible, objects, parts_of, text_of

EMPTY_TURN = "."
"""What stands in a turn that may not be empty."""

_THOUGHTS = frozenset({"thinking", "redacted_thinking"})
_SYSTEM_ROLES = frozenset({"system", "developer"})
_NATIVE_BLOCKS = frozenset({"image", "document", "search_result", "container_upload"})
_UNSAFE_ID = re.compile(r"[^a-zA-Z0-9_-]")
_IMAGE_TYPES = {"image/jpg": "image/jpeg"}


class Conversation:
    """Turns on their way: reads messages one by one, then gives `system` and `messages`."""

    def __init__(self, *, takes_system_turns: bool, memory: Mapping[str, Any] | None = None) -> None:
        self.ignored: set[str] = set()
        self.has_files = False  # refers to files by id, which is a beta
        self._memory = memory or {}
        self._takes_system_turns = takes_system_turns
        self._system: list[JSON] = []
        self._turns: list[JSON] = []
        self._old_calls: list[str] = []  # ids made for `function_call`, which has none, until a result comes

    def read(self, messages: Any) -> None:
        """Read all messages."""
        if not isinstance(messages, list):
            raise impossible("messages", "a list of messages is needed")
        for index, message in enumerate(messages):
            if not isinstance(message, dict):
                raise impossible(f"messages[{index}]", "a message is an object with role and content")
            self._read(message, f"messages[{index}]")
        self._settle()

    def _read(self, message: JSON, place: str) -> None:
        role = message.get("role")
        if message.get("name") and role in ("user", "system", "developer", "assistant"):
            self.ignored.add("messages.name")
        if role in _SYSTEM_ROLES:
            self._read_system(message)
        elif role == "user":
            self._add("user", _with_cache_control(message, list(self._blocks(message.get("content"), place))))
        elif role == "assistant":
            self._add("assistant", _with_cache_control(message, list(self._said(message, place))))
        elif role in ("tool", "function"):
            self._add("user", [self._result(message, place)])
        else:
            raise impossible(f"{place}.role", f"{role!r} is not one of system, developer, user, assistant, tool")

    def _add(self, role: str, blocks: list[JSON]) -> None:
        if self._turns and self._turns[-1]["role"] == role:
            self._turns[-1]["content"].extend(blocks)
        elif blocks or role == "user":
            self._turns.append({"role": role, "content": blocks})

    def _read_system(self, message: JSON) -> None:
        blocks = _with_cache_control(message, _text_blocks(message.get("content")))
        if self._takes_system_turns and self._turns:
            self._add("system", blocks)
        else:
            self._system += blocks

    def _settle(self) -> None:
        """Leave turns of the system only where they may stand: after the user's, before an answer."""
        turns, self._turns = self._turns, []
        for index, turn in enumerate(turns):
            following = turns[index + 1]["role"] if index + 1 < len(turns) else "assistant"
            before = self._turns[-1]["role"] if self._turns else ""
            if turn["role"] == "system" and (before, following) != ("user", "assistant"):
                self._system += turn["content"]
            else:
                self._add(turn["role"], turn["content"])

    # ── content ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _blocks(self, content: Any, place: str) -> Iterator[JSON]:
        for index, part in enumerate(parts_of(content)):
            where = f"{place}.content[{index}]" if isinstance(content, list) else f"{place}.content"
            block = self._block(part, where)
            if block is not None:
                if isinstance(part.get("cache_control"), dict):
                    block["cache_control"] = part["cache_control"]
                yield block

    def _block(self, part: Any, where: str) -> JSON | None:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind in ("text", "refusal"):
            return _text_block(part)
        if kind == "image_url":
            return _image(part.get("image_url"), f"{where}.image_url")
        if kind == "file" and isinstance(part.get("file"), dict):
            return self._file(part["file"], f"{where}.file")
        if kind in _NATIVE_BLOCKS:
            return dict(part)
        if kind == "input_audio":
            raise impossible(f"{where}.input_audio", "Anthropic's models do not listen to audio")
        raise impossible(f"{where}.type", f"{kind!r} is no kind of content that Anthropic's models take")

    def _file(self, file: JSON, where: str) -> JSON:
        title = {"title": file["filename"]} if isinstance(file.get("filename"), str) and file["filename"] else {}
        if isinstance(file.get("file_id"), str) and file["file_id"]:
            self.has_files = True
            return {"type": "document", "source": {"type": "file", "file_id": file["file_id"]}, **title}
        given = file.get("file_data") or file.get("file_url")
        if not isinstance(given, str) or not given:
            raise impossible(where, "file_data or file_id is needed")
        if given.startswith(("https://", "http://")):
            return {"type": "document", "source": {"type": "url", "url": given}, **title}
        media_type, data = data_url(given) or ("application/pdf", given)  # some clients send the bare base64
        if media_type.startswith("image/"):
            return _base64_image(media_type, data)
        return {"type": "document", "source": _document(media_type, data, f"{where}.file_data"), **title}

    # ── the assistant's turns ────────────────────────────────────────────────────────────────────────────────────

    def _said(self, message: JSON, place: str) -> Iterator[JSON]:
        if message.get("audio"):
            self.ignored.add("messages.audio")
        yield from list(_thoughts(message)) or self._remembered(message)
        yield from self._blocks(message.get("content"), place)
        if isinstance(message.get("refusal"), str) and message["refusal"].strip():
            yield {"type": "text", "text": message["refusal"]}
        for index, call in enumerate(objects(message.get("tool_calls"))):
            yield _tool_use(call, f"call_{place}_{index}")
        old = message.get("function_call")
        if isinstance(old, dict):
            call_id = safe_id(f"call_{place}")
            self._old_calls.append(call_id)
            yield _tool_use({"id": call_id, "function": old}, call_id)

    def _remembered(self, message: JSON) -> list[JSON]:
        """Return the thinking before these tool calls, which OpenAI clients do not send back."""
        calls = objects(message.get("tool_calls"))
        found: list[JSON] = self._memory.get(_thoughts_key(calls[0].get("id")), []) if calls else []
        return found

    def _result(self, message: JSON, place: str) -> JSON:
        call_id = message.get("tool_call_id")
        if message.get("role") == "function" and not call_id and self._old_calls:
            call_id = self._old_calls.pop(0)
        if not isinstance(call_id, str) or not call_id:
            raise impossible(f"{place}.tool_call_id", "the id of the call that this is the result of is needed")
        block: JSON = {"type": "tool_result", "tool_use_id": safe_id(call_id)}
        blocks = list(self._blocks(message.get("content"), place))
        if blocks:
            block["content"] = _collapsed(blocks)
        return _with_cache_control(message, [block])[0]

    # ── what comes out ───────────────────────────────────────────────────────────────────────────────────────────

    def system(self, hint: str = "") -> str | list[JSON] | None:
        """Return the `system` field, with `hint` as its last block; None when there is nothing to say."""
        blocks = [*self._system, *([{"type": "text", "text": hint}] if hint else [])]
        return _collapsed(blocks) if blocks else None

    def messages(self) -> list[JSON]:
        """Return the `messages` field: it opens with a user's turn, no turn is empty."""
        turns = self._turns
        if not turns or turns[0]["role"] != "user":
            turns = [{"role": "user", "content": []}, *turns]
        made = [{**turn, "content": _collapsed(_ordered(turn)) or EMPTY_TURN} for turn in turns]
        if made[-1]["role"] == "assistant":  # the start of the answer may not end in white space
            made[-1]["content"] = _stripped(made[-1]["content"])
        return made

    def used_tools(self) -> list[str]:
        """List the tools that were called so far, each once."""
        blocks = (block for turn in self._turns for block in turn["content"])
        return list(dict.fromkeys(block["name"] for block in blocks if block["type"] == "tool_use" and block["name"]))

    def lacks_thoughts(self) -> bool:
        """Say whether the last answer called tools without the thinking that a thinking model wants to see again."""
        said = next((turn for turn in reversed(self._turns) if turn["role"] == "assistant"), None)
        kinds = [block["type"] for block in said["content"]] if said else []
        return "tool_use" in kinds and kinds[0] not in _THOUGHTS


def remember_thoughts(content: Any, memory: MutableMapping[str, Any]) -> None:
    """Keep the thinking of an answer that calls tools: Anthropic wants it back, unchanged, with their results."""
    blocks = objects(content)
    thoughts = [block for block in blocks if block.get("type") in _THOUGHTS]
    call_id = next((block.get("id") for block in blocks if block.get("type") == "tool_use"), None)
    if thoughts and call_id:
        memory[_thoughts_key(call_id)] = thoughts


def _thoughts_key(call_id: Any) -> str:
    return f"thinking before {call_id}"


def safe_id(call_id: str) -> str:
    """Return the id of a tool call in the characters Anthropic allows."""
    return _UNSAFE_ID.sub("_", call_id)


def _text_block(part: JSON) -> JSON | None:
    text = part.get("text", part.get("refusal"))
    return {"type": "text", "text": text} if isinstance(text, str) and text.strip() else None


def _text_blocks(content: Any) -> list[JSON]:
    blocks = []
    for part in parts_of(content):
        block = _text_block(part) if isinstance(part, dict) else None
        if block is not None:
            if isinstance(part.get("cache_control"), dict):
                block["cache_control"] = part["cache_control"]
            blocks.append(block)
    return blocks


def _with_cache_control(message: JSON, blocks: list[JSON]) -> list[JSON]:
    """Put a message's own cache mark on its last block."""
    if blocks and isinstance(message.get("cache_control"), dict):
        blocks[-1].setdefault("cache_control", message["cache_control"])
    return blocks


def _image(image: Any, where: str) -> JSON:
    url = image.get("url") if isinstance(image, dict) else image
    if isinstance(url, str):
        found = data_url(url)
        if found is not None:
            return _base64_image(*found)
        if url.startswith(("https://", "http://")):
            return {"type": "image", "source": {"type": "url", "url": url}}
    raise impossible(f"{where}.url", "an image is given as an https URL or as a base64 data URL")


def _base64_image(media_type: str, data: str) -> JSON:
    kind = _IMAGE_TYPES.get(media_type, media_type)
    return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": data}}


def _document(media_type: str, data: str, where: str) -> JSON:
    if media_type == "application/pdf":
        return {"type": "base64", "media_type": media_type, "data": data}
    if media_type.startswith("text/") or media_type == "application/json":
        text = base64.b64decode(data).decode("utf-8", "replace")
        return {"type": "text", "media_type": "text/plain", "data": text}
    raise impossible(where, f"Anthropic's models read PDF and text, not {media_type}")


def _thoughts(message: JSON) -> Iterator[JSON]:
    """Find the thinking of an earlier answer, which must come back as it was, signature and all."""
    for block in objects(message.get("thinking_blocks")):
        if block.get("type") == "redacted_thinking" or (block.get("type") == "thinking" and block.get("signature")):
            yield block
    if message.get("thinking_blocks"):
        return
    for item in objects(message.get("reasoning_details")):
        if item.get("type") == "reasoning.text" and item.get("signature"):
            yield {"type": "thinking", "thinking": item.get("text") or "", "signature": item["signature"]}
        elif item.get("type") == "reasoning.encrypted" and item.get("data"):
            yield {"type": "redacted_thinking", "data": item["data"]}


def _tool_use(call: JSON, default_id: str) -> JSON:
    inner = call.get("function") or call.get("custom")
    inner = inner if isinstance(inner, dict) else {}
    arguments = inner.get("arguments") if "arguments" in inner else {"input": inner.get("input") or ""}
    given = call.get("id")
    block: JSON = {
        "type": "tool_use",
        "id": safe_id(given if isinstance(given, str) and given else default_id),
        "name": inner.get("name") or "",
        "input": arguments_object(arguments) if "arguments" in inner or "input" in inner else {},
    }
    if isinstance(call.get("cache_control"), dict):
        block["cache_control"] = call["cache_control"]
    return block


def _ordered(turn: JSON) -> list[JSON]:
    blocks: list[JSON] = turn["content"]
    if turn["role"] != "user":
        return blocks
    return sorted(blocks, key=lambda block: block["type"] != "tool_result")


def _collapsed(blocks: list[JSON]) -> str | list[JSON]:
    """Return a single plain text as a string."""
    if len(blocks) == 1 and set(blocks[0]) == {"type", "text"}:
        return text_of(blocks)
    return blocks


def _stripped(content: str | list[JSON]) -> str | list[JSON]:
    if isinstance(content, str):
        return content.rstrip()
    last = content[-1]
    return [*content[:-1], {**last, "text": last["text"].rstrip()}] if last["type"] == "text" else content
