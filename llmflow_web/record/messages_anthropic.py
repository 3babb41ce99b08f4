"""Anthropic's content blocks → parts of messages for people.

A result of a tool stands in a turn of the user there; here it is a message of its own, as everywhere else.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from llmflow_web.model import JSON


def parts_of_block(block: JSON) -> list[JSON] | None:
    """Return the parts of one content block; None when it is none of Anthropic's own."""
    kind = block.get("type")
    if not isinstance(kind, str):
        return None
    read = _BLOCKS.get(kind)
    if read is None and kind.endswith("_tool_result"):
        read = _result
    return read(block) if read is not None else None


def split_results(message: JSON) -> list[JSON]:
    """Take the tool results out of a turn of the user: they come first, as messages of the tool."""
    results = [part for part in message["parts"] if part["type"] == "tool_result"]
    if message["role"] != "user" or not results:
        return [message]
    rest = [part for part in message["parts"] if part["type"] != "tool_result"]
    made = [{"role": "tool", "parts": [part]} for part in results]
    return [*made, {**message, "parts": rest}] if rest else made


def _source(block: JSON) -> JSON:
    source = block.get("source")
    return source if isinstance(source, dict) else {}


def _url(source: JSON, default_type: str) -> str | None:
    """Return where a source can be seen: its own URL, or a data URL of its bytes."""
    if isinstance(source.get("url"), str):
        return str(source["url"])
    if source.get("type") == "base64" and isinstance(source.get("data"), str):
        return f"data:{source.get('media_type') or default_type};base64,{source['data']}"
    return None


def _image(block: JSON) -> list[JSON] | None:
    source = _source(block)
    url = _url(source, "image/png")
    if url is not None:
        return [{"type": "image", "url": url}]
    return [{"type": "file", "name": source["file_id"]}] if isinstance(source.get("file_id"), str) else None


def _document(block: JSON) -> list[JSON] | None:
    source = _source(block)
    if not source:
        return None
    if source.get("type") == "text" and isinstance(source.get("data"), str):
        return [{"type": "text", "text": source["data"]}]
    found: JSON = {"type": "file", "name": str(block.get("title") or source.get("file_id") or "document")}
    url = _url(source, "application/pdf")
    return [{**found, "url": url} if url is not None else found]


def _call(block: JSON) -> list[JSON]:
    given = block.get("input")
    arguments = given if isinstance(given, str) else json.dumps(given if given is not None else {}, ensure_ascii=False)
    found = {"type": "tool_call", "id": block.get("id") or "", "name": str(block.get("name") or "")}
    return [{**found, "arguments": arguments}]


def _result(block: JSON) -> list[JSON]:
    """Read a tool's result; pictures in it stand after it."""
    content = block.get("content")
    texts: list[str] = []
    others: list[JSON] = []
    for item in content if isinstance(content, list) else [content]:
        pictures = _image(item) if isinstance(item, dict) and item.get("type") == "image" else None
        if pictures is not None:
            others += pictures
        elif item is not None:
            texts.append(_text_of(item))
    found = {"type": "tool_result", "id": block.get("tool_use_id") or "", "content": "\n".join(texts)}
    return [found, *others]


def _text_of(item: Any) -> str:
    if isinstance(item, dict) and isinstance(item.get("text"), str):
        return str(item["text"])
    return item if isinstance(item, str) else json.dumps(item, ensure_ascii=False)


def _thinking(block: JSON) -> list[JSON] | None:
    text = block.get("thinking")
    return [{"type": "reasoning", "text": text}] if isinstance(text, str) else None


_BLOCKS: dict[str, Callable[[JSON], list[JSON] | None]] = {
    "image": _image,
    "document": _document,
    "tool_use": _call,
    "server_tool_use": _call,
    "mcp_tool_use": _call,
    "tool_result": _result,
    "thinking": _thinking,
    "redacted_thinking": lambda _block: [{"type": "reasoning", "text": ""}],
}
