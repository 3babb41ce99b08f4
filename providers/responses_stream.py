"""Events of the Responses API → the response object.

The last event carries the whole response; the deltas are only needed where the stream was cut before it, and where
a server leaves `output` empty in it.
"""

from __future__ import annotations

from typing import Any

from llmflow_web.model import JSON

_FINAL = frozenset({"response.completed", "response.incomplete", "response.failed", "response.cancelled"})
_INTERIM = frozenset({"response.created", "response.queued", "response.in_progress"})

# event → (list in the item, index in the event, type of the part, member of the part)
_PARTS: dict[str, tuple[str, str, str, str]] = {
    "response.output_text": ("content", "content_index", "output_text", "text"),
    "response.refusal": ("content", "content_index", "refusal", "refusal"),
    "response.reasoning_text": ("content", "content_index", "reasoning_text", "text"),
    "response.reasoning_summary_text": ("summary", "summary_index", "summary_text", "text"),
    "response.audio.transcript": ("content", "content_index", "output_audio", "transcript"),
}
# event → (type of the item, member of the item)
_MEMBERS: dict[str, tuple[str, str]] = {
    "response.function_call_arguments": ("function_call", "arguments"),
    "response.custom_tool_call_input": ("custom_tool_call", "input"),
    "response.mcp_call_arguments": ("mcp_call", "arguments"),
    "response.code_interpreter_call_code": ("code_interpreter_call", "code"),
}
_OF_PART = {"content": "message", "summary": "reasoning"}


class _Item:
    """One output item on its way."""

    def __init__(self) -> None:
        self.item: JSON = {}
        self.is_done = False
        self.parts: dict[tuple[str, int], tuple[JSON, str, list[str]]] = {}
        self.members: dict[str, list[str]] = {}

    def body(self) -> JSON:
        if self.is_done:
            return self.item
        item = dict(self.item)
        for name, pieces in self.members.items():
            item[name] = "".join(pieces)
        for list_name in ("summary", "content"):
            found = sorted((key[1], value) for key, value in self.parts.items() if key[0] == list_name)
            if found:
                item[list_name] = [{**part, member: "".join(pieces)} for _, (part, member, pieces) in found]
        return item


class ResponseAssembly:
    """Events of one response."""

    def __init__(self) -> None:
        self.is_complete = False
        self.error: str | None = None
        self._response: JSON = {}
        self._items: dict[int, _Item] = {}

    def take(self, chunk: JSON) -> bool:
        """Take one event; say whether it brought content."""
        kind = chunk.get("type")
        kind = kind if isinstance(kind, str) else ""
        if kind in _FINAL or kind in _INTERIM:
            if isinstance(chunk.get("response"), dict):
                self._response = chunk["response"]
            self.is_complete = self.is_complete or kind in _FINAL
            return False
        if kind.startswith("response.output_item."):
            return self._take_item(kind, chunk)
        if kind == "response.output_text.annotation.added":
            return self._take_annotation(chunk)
        return self._take_piece(kind, chunk)

    def _item_of(self, chunk: JSON) -> _Item:
        index = chunk.get("output_index")
        index = index if isinstance(index, int) else 0
        if index not in self._items:
            self._items[index] = _Item()
        return self._items[index]

    def _take_item(self, kind: str, chunk: JSON) -> bool:
        item = chunk.get("item")
        if not isinstance(item, dict):
            return False
        slot = self._item_of(chunk)
        slot.item = item
        slot.is_done = kind.endswith(".done")
        return slot.is_done and item.get("type") == "image_generation_call"

    def _take_annotation(self, chunk: JSON) -> bool:
        part, _, _ = self._part_of(chunk, _PARTS["response.output_text"])
        part.setdefault("annotations", []).append(chunk.get("annotation"))
        return False

    def _take_piece(self, kind: str, chunk: JSON) -> bool:
        """Take a delta, or the `done` that repeats all deltas of its kind."""
        stem, _, end = kind.rpartition(".")
        if end not in ("delta", "done"):
            return isinstance(chunk.get("partial_image_b64"), str)
        if stem in _PARTS:
            row = _PARTS[stem]
            _, member, pieces = self._part_of(chunk, row)
            return _add(pieces, chunk, end, member)
        if stem in _MEMBERS:
            item_type, member = _MEMBERS[stem]
            slot = self._item_of(chunk)
            slot.item.setdefault("type", item_type)
            if isinstance(chunk.get("item_id"), str):
                slot.item.setdefault("id", chunk["item_id"])
            return _add(slot.members.setdefault(member, []), chunk, end, member)
        return stem == "response.audio" and bool(chunk.get("delta"))

    def _part_of(self, chunk: JSON, row: tuple[str, str, str, str]) -> tuple[JSON, str, list[str]]:
        list_name, index_name, part_type, member = row
        slot = self._item_of(chunk)
        if not slot.item:
            kind = "reasoning" if part_type == "reasoning_text" else _OF_PART[list_name]
            slot.item = {"type": kind, "id": str(chunk.get("item_id") or "")}
            if kind == "message":
                slot.item |= {"role": "assistant", "status": "in_progress"}
        index = chunk.get(index_name)
        key = (list_name, index if isinstance(index, int) else 0)
        if key not in slot.parts:
            part: JSON = {"type": part_type}
            if part_type == "output_text":
                part["annotations"] = []
            slot.parts[key] = (part, member, [])
        return slot.parts[key]

    def body(self) -> JSON:
        """Return the response as far as it is known."""
        body = {"object": "response", **self._response}
        output = body.get("output")
        if self._items and (not self.is_complete or not output):
            body["output"] = [self._items[index].body() for index in sorted(self._items)]
        elif not isinstance(output, list):
            body["output"] = []
        return body


def _add(pieces: list[str], chunk: JSON, end: str, member: str) -> bool:
    """Add a delta to `pieces`, or put the whole in their place."""
    value: Any = chunk.get("delta") if end == "delta" else chunk.get(member)
    if not isinstance(value, str):
        return False
    if end == "done":
        pieces[:] = [value]
        return False
    pieces.append(value)
    return bool(value)
