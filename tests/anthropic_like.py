"""What the Messages API refuses, after the reference sheet: `complaint(body)` is its sentence, None when it accepts."""

from __future__ import annotations

import re
from collections.abc import Iterator

FIELDS = {
    "model", "messages", "max_tokens", "system", "temperature", "top_p", "top_k", "stop_sequences", "stream", "tools",
    "tool_choice", "thinking", "output_config", "metadata", "service_tier", "speed", "inference_geo", "container",
    "cache_control", "context_management", "mcp_servers",
}  # fmt: skip
BLOCKS = {
    "user": {"text", "image", "document", "search_result", "tool_result"},
    "assistant": {"text", "tool_use", "thinking", "redacted_thinking", "server_tool_use", "web_search_tool_result"},
    "system": {"text"},
}
KEYS = {
    "text": {"type", "text", "cache_control", "citations"},
    "image": {"type", "source", "cache_control"},
    "document": {"type", "source", "title", "context", "citations", "cache_control"},
    "tool_use": {"type", "id", "name", "input", "cache_control"},
    "tool_result": {"type", "tool_use_id", "content", "is_error", "cache_control"},
    "thinking": {"type", "thinking", "signature"},
    "redacted_thinking": {"type", "data"},
}
SOURCES = {
    "base64": {"type", "media_type", "data"},
    "url": {"type", "url"},
    "text": {"type", "media_type", "data"},
    "file": {"type", "file_id"},
}
NO_SAMPLING = re.compile(r"claude-(opus-4-[78]|(opus|sonnet|fable|mythos)-5|haiku-5-5|mythos-preview)")
NO_FORCED_TOOLS = re.compile(r"claude-(opus-5-5|sonnet-5-5|fable-5-1|mythos-5-1)")
ADAPTIVE_ONLY = NO_SAMPLING
NATIVE_SCHEMA = re.compile(r"claude-(opus|sonnet|haiku|fable|mythos)-(4-[5-8]|5)")
NAME = re.compile(r"^[a-zA-Z0-9_-]{1,128}$")


def complaint(body: dict) -> str | None:
    """Return why the API would answer 400, None when it would not."""
    return next(_complaints(body), None)


def _complaints(body: dict) -> Iterator[str]:
    for name in body.keys() - FIELDS:
        yield f"{name}: Extra inputs are not permitted"
    for name in ("model", "max_tokens", "messages"):
        if name not in body:
            yield f"{name}: Field required"
    if not isinstance(body.get("max_tokens"), int) or body["max_tokens"] < 0:
        yield "max_tokens: Input should be a valid integer"
    yield from _system(body.get("system", "x"))
    yield from _turns(body.get("messages"))
    yield from _tools(body)
    yield from _thinking(body)
    yield from _sampling(body)
    if any(not isinstance(stop, str) or not stop.strip() for stop in body.get("stop_sequences", ())):
        yield "stop_sequences: each stop sequence must contain non-whitespace"
    if set(body.get("metadata", {})) - {"user_id"}:
        yield "metadata: Extra inputs are not permitted"
    if body.get("service_tier", "auto") not in ("auto", "standard_only"):
        yield "service_tier: Input should be 'auto' or 'standard_only'"


def _system(system: object) -> Iterator[str]:
    blocks = [{"type": "text", "text": system}] if isinstance(system, str) else system
    for block in blocks:
        yield from _block(block, "system")


def _turns(messages: object) -> Iterator[str]:
    if not isinstance(messages, list) or not messages:
        yield "messages: at least one message is required"
        return
    if messages[0]["role"] != "user":
        yield "messages: first message must use the user role"
    open_ids: set[str] = set()
    for index, message in enumerate(messages):
        role, content = message["role"], message["content"]
        if set(message) != {"role", "content"} or role not in BLOCKS:
            yield f"messages.{index}: Extra inputs are not permitted"
            return
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if not blocks:
            yield f"messages.{index}: content is empty"
        for block in blocks:
            yield from _block(block, role)
        if role == "system":
            following = messages[index + 1]["role"] if index + 1 < len(messages) else "assistant"
            if messages[index - 1]["role"] != "user" or following != "assistant":
                yield f"messages.{index}: a system message must follow a user turn"
            continue
        yield from _results(index, blocks, open_ids)
        open_ids = {block["id"] for block in blocks if block["type"] == "tool_use"}
    if open_ids:
        yield "tool_use ids were found without tool_result blocks"
    last = messages[-1]
    if last["role"] == "assistant":
        text = last["content"] if isinstance(last["content"], str) else last["content"][-1].get("text", "")
        if text != text.rstrip():
            yield "messages: final assistant content cannot end with trailing whitespace"


def _results(index: int, blocks: list[dict], open_ids: set[str]) -> Iterator[str]:
    kinds = [block["type"] for block in blocks]
    found = {block["tool_use_id"] for block in blocks if block["type"] == "tool_result"}
    if found != open_ids:
        yield f"messages.{index}: tool_use ids {open_ids} and tool_result ids {found} do not match"
    if "tool_result" in kinds[kinds.index("text") :] if "text" in kinds else False:
        yield f"messages.{index}: tool_result blocks must come first"


def _block(block: dict, role: str) -> Iterator[str]:
    kind = block["type"]
    if kind not in BLOCKS[role]:
        yield f"{kind} is not allowed in {role}"
        return
    if set(block) - KEYS.get(kind, set(block)):
        yield f"{kind}: Extra inputs are not permitted: {set(block)}"
    if kind == "text" and not block["text"].strip():
        yield "text content blocks must contain non-whitespace text"
    if kind == "tool_use":
        if not NAME.match(block["id"]) or not block["name"] or not isinstance(block["input"], dict):
            yield f"tool_use is malformed: {block}"
    if kind in ("image", "document"):
        source = block["source"]
        if set(source) != SOURCES[source["type"]]:
            yield f"source: {source}"
    if kind == "tool_result" and not isinstance(block.get("content", ""), str):
        for inner in block["content"]:
            yield from _block(inner, "user")


def _tools(body: dict) -> Iterator[str]:
    tools = body.get("tools", [])
    names = [tool.get("name") for tool in tools]
    for tool in tools:
        if "type" not in tool and tool["input_schema"].get("type") != "object":
            yield "tools: input_schema.type: Input should be 'object'"
        if not NAME.match(tool["name"]):
            yield "tools: name"
    choice = body.get("tool_choice")
    uses = any(
        block["type"] in ("tool_use", "tool_result")
        for message in body["messages"]
        if isinstance(message["content"], list)
        for block in message["content"]
    )
    if uses and not tools:
        yield "Requests which include `tool_use` or `tool_result` blocks must define tools"
    if choice is None:
        return
    if not tools:
        yield "tool_choice may only be specified while providing tools"
    if choice["type"] == "tool" and choice["name"] not in names:
        yield f"tool_choice: tool {choice['name']} not found"
    if set(choice) - {"type", "name", "disable_parallel_tool_use"}:
        yield "tool_choice: Extra inputs are not permitted"
    if choice["type"] == "none" and "disable_parallel_tool_use" in choice:
        yield "tool_choice.none.disable_parallel_tool_use: Extra inputs are not permitted"
    if choice["type"] in ("any", "tool"):
        if body.get("thinking", {}).get("type", "disabled") != "disabled":
            yield "Thinking may not be enabled when tool_choice forces tool use"
        if NO_FORCED_TOOLS.search(body["model"]):
            yield "this model does not support forced tool use"


def _thinking(body: dict) -> Iterator[str]:
    thinking = body.get("thinking", {})
    if thinking.get("type") == "enabled":
        if not 1024 <= thinking["budget_tokens"] < body["max_tokens"]:
            yield "max_tokens must be greater than thinking.budget_tokens"
        if ADAPTIVE_ONLY.search(body["model"]):
            yield "thinking.type enabled is not supported for this model"
    form = body.get("output_config", {}).get("format")
    if form is not None:
        if not NATIVE_SCHEMA.search(body["model"]):
            yield "output_config.format is not supported for this model"
        yield from _schema(form["schema"])


def _schema(schema: object) -> Iterator[str]:
    if isinstance(schema, list):
        for item in schema:
            yield from _schema(item)
    if not isinstance(schema, dict):
        return
    if schema.get("type") == "object" and schema.get("additionalProperties") is not False:
        yield "output_config.format.schema: For 'object' type, 'additionalProperties' must be explicitly set to false"
    for name in ("minimum", "maximum", "minLength", "maxLength", "pattern", "oneOf", "maxItems"):
        if isinstance(schema.get(name), (int, str)):
            yield f"output_config.format.schema: property {name!r} is not supported"
    for value in schema.values():
        yield from _schema(value)


def _sampling(body: dict) -> Iterator[str]:
    names = {"temperature", "top_p", "top_k"} & body.keys()
    if names and NO_SAMPLING.search(body["model"]):
        yield f"{names} are not supported for this model"
    if {"temperature", "top_p"} <= names:
        yield "temperature and top_p cannot both be specified"
    if not 0 <= body.get("temperature", 0) <= 1:
        yield "temperature: range: 0..1"
    if "thinking" in body and body["thinking"]["type"] != "disabled" and body.get("temperature", 1) != 1:
        yield "temperature may only be set to 1 when thinking is enabled"
