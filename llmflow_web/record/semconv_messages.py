"""Messages out of attributes, span events and log events, whichever convention wrote them.

Pure. Each table lists its sources in the order of trust; the first that holds something is shown. Flattened names
(`gen_ai.prompt.0.content`) are read from the names there are, so an index of a billion costs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from llmflow_web.model import JSON
from llmflow_web.record.message_shapes import items_of, json_part, message_of, text_part
from llmflow_web.record.semconv_parts import chat_item, conversation, instructions, tool_call_of
from llmflow_web.record.semconv_tables import TOOL_ARGUMENTS, TOOL_IDS, TOOL_NAMES, TOOL_RESULTS, finish_reason
from llmflow_web.record.semconv_values import as_text, digits, parsed, parsed_list, parsed_object
from llmflow_web.wire.otlp_values import Event

_MAX_SEGMENTS = 12
_FLAT = re.compile(
    r"(gen_ai\.prompt|gen_ai\.completion|llm\.input_messages|llm\.output_messages|llm\.request\.functions|llm\.tools"
    r"|llm\.prompts|llm\.choices|retrieval\.documents|embedding\.embeddings|reranker\.input_documents"
    r"|reranker\.output_documents)\.(\d{1,9})(?:\.(.+))?\Z",
    re.ASCII | re.DOTALL,
)
_CURRENT = ("gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions")
_DETAILS = "gen_ai.client.inference.operation.details"
_MESSAGE_EVENT = re.compile(r"gen_ai\.(system|user|assistant|tool)\.message\Z")
_CHOICE = "gen_ai.choice"

# How every attribute begins that any source below reads.
_HEADS = (
    "gen_ai.", "llm.", "ai.", "traceloop.", "input", "output", "tool", "retrieval.", "reranker.", "embedding.",
    "pydantic_ai.", "events", "all_messages", "request_", "response", "prompt", "user_prompt", "final_result",
    "model_request_parameters", "function_", "arguments", "call_id",
)  # fmt: skip
_FLAT_HEADS = (
    "gen_ai.prompt.", "gen_ai.completion.", "llm.input_messages.", "llm.output_messages.", "llm.request.functions.",
    "llm.tools.", "llm.prompts.", "llm.choices.", "retrieval.documents.", "embedding.embeddings.", "reranker.",
)  # fmt: skip

Messages = dict[str, list[JSON]]


def messages_from_otlp(attributes: Mapping[str, Any], events: Sequence[Event | Mapping[str, Any]] = ()) -> Messages:
    """Return {"input", "output": messages, "tools": definitions} of a span; events as decoded or as stored."""
    told = [_event(event) for event in events] if events else []
    if not told and not any(name.startswith(_HEADS) for name in attributes):  # most spans of an app are no calls
        return {"input": [], "output": [], "tools": []}
    return _read(_Source(attributes, told))


def messages_from_logs(logs: Sequence[Mapping[str, Any]]) -> Messages:
    """Return the same of the log records that belong to a span: rows of the logs table, in any order."""
    ordered = sorted(logs, key=_time_of)
    events: list[tuple[str, Mapping[str, Any]]] = [
        (str(row.get("event_name") or ""), {**parsed_object(row.get("attributes")), **_log_body(row)})
        for row in ordered
    ]
    return _read(_Source({}, events))


def _time_of(row: Mapping[str, Any]) -> int:
    exact = row.get("time_ns") or 0
    told = int(exact) if str(exact).isdecimal() else 0
    return told or int(row.get("timestamp") or 0) * 1_000_000


def _log_body(row: Mapping[str, Any]) -> JSON:
    """Return the structured body of a log record: as it was kept, else out of its text."""
    detail = parsed_object(row.get("detail"))
    body = detail.get("body", row.get("body"))
    found = parsed(body)
    return found if isinstance(found, dict) else {"content": found} if found else {}


def _event(event: Event | Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    if isinstance(event, Event):
        return event.name, event.attributes
    attributes = event.get("attributes")
    return str(event.get("name") or ""), attributes if isinstance(attributes, dict) else {}


# ── flattened names ──────────────────────────────────────────────────────────────────────────────────────────────────


def indexed(attributes: Mapping[str, Any]) -> dict[str, list[JSON]]:
    """Return prefix → its objects in order of their index, each as a tree of the rest of their names."""
    found: dict[str, dict[int, JSON]] = {}
    for name, value in attributes.items():
        match = _FLAT.match(name) if name.startswith(_FLAT_HEADS) else None
        if match is None or value is None:
            continue
        prefix, index, rest = match.groups()
        tree = found.setdefault(prefix, {}).setdefault(int(index), {})
        _place(tree, rest.split(".", _MAX_SEGMENTS) if rest else [""], value)
    return {prefix: [trees[index] for index in sorted(trees)] for prefix, trees in found.items()}


def _place(tree: JSON, path: list[str], value: Any) -> None:
    """Hang a value into a tree; where a name is both a value and a branch, what came first stays."""
    for segment in path[:-1]:
        branch = tree.setdefault(segment, {})
        if not isinstance(branch, dict):
            return
        tree = branch
    tree.setdefault(path[-1], value)


def _listed(tree: Any) -> list[Any]:
    """Return the branches of a tree that are numbered, in order."""
    if not isinstance(tree, dict):
        return parsed_list(tree)
    numbers = {name: index for name in tree if (index := digits(name)) is not None}
    return [tree[name] for name in sorted(numbers, key=lambda name: numbers[name])]


def _branch(tree: Any, name: str) -> JSON:
    found = tree.get(name) if isinstance(tree, dict) else None
    return found if isinstance(found, dict) else {}


def _content(value: Any) -> Any:
    """Return a content's parts where its text is a list of them; a text that merely is JSON stays a text."""
    found = parsed(value)
    is_parts = isinstance(found, list) and bool(found) and all(isinstance(part, dict) for part in found)
    return found if is_parts else value if isinstance(value, str) else as_text(value)


def _classic(tree: JSON, role: str) -> list[JSON]:
    """Read gen_ai.prompt.N and gen_ai.completion.N, and JSON objects of the same members."""
    calls = [tool_call_of(call) for call in _listed(tree.get("tool_calls")) if isinstance(call, dict)]
    item: JSON = {"role": str(tree.get("role") or role).lower(), "content": _content(tree.get("content", tree.get("")))}
    if not calls and isinstance(tree.get("function_call"), dict):
        calls = [tool_call_of(tree["function_call"])]
    if calls:
        item["tool_calls"] = calls
    for name in ("tool_call_id", "name", "reasoning"):
        if isinstance(tree.get(name), str):
            item[name] = tree[name]
    found = items_of([chat_item(item)], role)
    return _ended(found, tree.get("finish_reason"))


def _ended(messages: list[JSON], reason: Any) -> list[JSON]:
    if isinstance(reason, str) and reason and messages:
        messages[-1]["finish_reason"] = finish_reason(reason)
    return messages


def _openinference(tree: JSON, role: str) -> list[JSON]:
    """Read llm.input_messages.N and llm.output_messages.N."""
    message = _branch(tree, "message") or tree
    told = [_branch(one, "message_content") for one in _listed(message.get("contents"))]
    # Of Anthropic's tool calls only the type stands among the contents; the calls themselves follow.
    contents = [_openinference_part(part) for part in told if part != {"type": "tool_use"}]
    calls = [_branch(one, "tool_call") for one in _listed(message.get("tool_calls"))]
    item: JSON = {"role": message.get("role") or role, "content": contents or _content(message.get("content"))}
    if message.get("function_call_name"):
        name, arguments = message["function_call_name"], message.get("function_call_arguments_json")
        calls.append({"function": {"name": name, "arguments": arguments}})
    if any(calls):
        item["tool_calls"] = [tool_call_of(call) for call in calls if call]
    for name in ("tool_call_id", "name"):
        if isinstance(message.get(name), str):
            item[name] = message[name]
    return items_of([chat_item(item)], role)


def _openinference_part(part: JSON) -> JSON:
    kind = part.get("type")
    if kind == "image":
        return {"type": "image_url", "image_url": {"url": _branch(_branch(part, "image"), "image").get("url")}}
    if kind in ("reasoning", "thinking"):
        return {"type": "reasoning_text", "text": as_text(part.get("text"))}
    return {"type": "text", "text": part["text"]} if isinstance(part.get("text"), str) else part


# ── sources ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Source:
    """What a span says: its attributes, its events or linked log records as (name, attributes).

    All of it is made at once: a property that is made when first asked for costs more than most of these do.
    """

    def __init__(self, attributes: Mapping[str, Any], events: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        self.attributes = attributes
        self.events = events
        self.flat = indexed(attributes)
        self.details = self._details()
        self.message_events = self._message_events()
        self.tool_name = next((found for name in TOOL_NAMES if isinstance(found := attributes.get(name), str)), None)

    def _details(self) -> Mapping[str, Any]:
        """Return what holds the current convention's messages: the span's attributes, else those of an event."""
        if self.events and self.attributes.keys().isdisjoint(_CURRENT):
            for name, attributes in self.events:
                if name == _DETAILS or not attributes.keys().isdisjoint(_CURRENT):
                    return attributes
        return self.attributes

    def _message_events(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Return gen_ai.*.message and gen_ai.choice: span events, log events, or Logfire's `events` attribute."""
        found = [(name, body) for name, body in self.events if _is_message(name)]
        for attribute in ("events", "all_messages_events"):
            if attribute in self.attributes and not found and isinstance(self.attributes.get(attribute), (str, list)):
                listed = [one for one in parsed_list(self.attributes[attribute]) if isinstance(one, dict)]
                found = [(name, one) for one in listed if _is_message(name := str(one.get("event.name") or ""))]
        return found

    def first(self, names: Iterable[str]) -> Any:
        """Return the first of these attributes that has a value."""
        get = self.attributes.get
        for name in names:
            value = get(name)
            if value is not None and value != "":
                return value
        return None


def _read(source: _Source) -> Messages:
    return {
        # Instructions may stand beside messages that are written in another way, as on pydantic-ai's agents.
        "input": instructions(source.details.get("gen_ai.system_instructions")) + _first_of(_INPUTS, source),
        "output": _first_of(_OUTPUTS, source),
        "tools": _tools(source),
    }


def _first_of(readers: Iterable[Callable[[_Source], list[JSON]]], source: _Source) -> list[JSON]:
    for read in readers:
        told = read(source)
        if told:
            found = [message for message in told if message["parts"]]  # without: its content was held back
            if found:
                return found
    return []


def _is_message(name: str) -> bool:
    return name == _CHOICE or _MESSAGE_EVENT.match(name) is not None


def _current_input(source: _Source) -> list[JSON]:
    return conversation(source.details.get("gen_ai.input.messages"), "user")


def _current_output(source: _Source) -> list[JSON]:
    return conversation(source.details.get("gen_ai.output.messages"), "assistant")


def _event_input(source: _Source) -> list[JSON]:
    return [message for name, body in source.message_events if name != _CHOICE for message in _said(name, body)]


def _event_output(source: _Source) -> list[JSON]:
    choices = [message for name, body in source.message_events if name == _CHOICE for message in _said(name, body)]
    if choices or not source.message_events:
        return choices
    # Logfire's agent spans list the whole conversation as messages: its last word is the answer.
    name, body = source.message_events[-1]
    return (
        _said(name, body) if name == "gen_ai.assistant.message" and "all_messages_events" in source.attributes else []
    )


def _said(name: str, body: Mapping[str, Any]) -> list[JSON]:
    """Read one gen_ai.*.message or gen_ai.choice; its members stand in a body, in attributes, or in one JSON text."""
    told = parsed_object(body.get("gen_ai.event.content")) or body
    if name == _CHOICE:
        message = parsed(told.get("message"))
        inner = message if isinstance(message, dict) else {"content": message or told.get("content")}
        return _ended(_classic(_plain_names(inner), "assistant"), told.get("finish_reason"))
    item = _plain_names(told)
    role = name.split(".")[1]
    if role == "tool":
        item.setdefault("tool_call_id", as_text(item.get("id")))
        item["role"] = "tool"
    return _classic(item, role)


def _plain_names(body: Mapping[str, Any]) -> JSON:
    return {name: value for name, value in body.items() if name in _SAID}


_SAID = frozenset(
    {"role", "content", "tool_calls", "id", "tool_call_id", "name", "reasoning", "function_call", "finish_reason"}
)


def _event_texts(event: str, attribute: str, role: str) -> Callable[[_Source], list[JSON]]:
    """Read the old span events that hold a whole prompt or completion."""

    def read(source: _Source) -> list[JSON]:
        values = [attributes.get(attribute) for name, attributes in source.events if name == event]
        return [message for value in values for message in conversation(value, role)]

    return read


def _flattened(prefix: str, read_one: Callable[[JSON, str], list[JSON]], role: str) -> Callable[[_Source], list[JSON]]:
    def read(source: _Source) -> list[JSON]:
        return [message for tree in source.flat.get(prefix, ()) for message in read_one(tree, role)]

    return read


def _attribute(role: str, *names: str) -> Callable[[_Source], list[JSON]]:
    """Read one attribute that holds messages, a whole body, or a text."""

    def read(source: _Source) -> list[JSON]:
        return conversation(source.first(names), role)

    return read


def _nested(name: str, role: str) -> Callable[[_Source], list[JSON]]:
    """Read OpenInference's messages sent as one list of objects instead of flattened names."""

    def read(source: _Source) -> list[JSON]:
        found: list[JSON] = []
        for item in parsed_list(source.attributes.get(name)):
            if isinstance(item, dict) and any(key.startswith("message.") for key in item):
                tree: JSON = {}
                for key, value in item.items():
                    _place(tree, key.split(".", _MAX_SEGMENTS), value)
                found += _openinference(tree, role)
            else:
                found += conversation([item], role)
        return found

    return read


def _prompts(tree: JSON, role: str) -> list[JSON]:
    """Read llm.prompts.N.prompt.text and llm.choices.N.completion.text."""
    inner = _branch(tree, "prompt") or _branch(tree, "completion") or tree
    text = inner.get("text", inner.get(""))
    return [message_of(role, [text_part(text)])] if isinstance(text, str) and text else []


def _tool_input(source: _Source) -> list[JSON]:
    given = source.first(TOOL_ARGUMENTS) if source.tool_name else None
    if given is None:
        return []
    call = {"type": "tool_call", "id": as_text(source.first(TOOL_IDS)), "name": source.tool_name}
    return [message_of("assistant", [{**call, "arguments": as_text(given)}])]


def _tool_output(source: _Source) -> list[JSON]:
    given = source.first(TOOL_RESULTS) if source.tool_name else None
    if given is None:
        return []
    return [
        message_of("tool", [{"type": "tool_result", "id": as_text(source.first(TOOL_IDS)), "content": as_text(given)}])
    ]


def _vercel_output(source: _Source) -> list[JSON]:
    attributes = source.attributes
    parts: list[JSON] = []
    reasoning = source.first(("ai.response.reasoning", "ai.response.reasoningText"))
    if isinstance(reasoning, str):
        parts.append({"type": "reasoning", "text": reasoning})
    text = source.first(("ai.response.text", "ai.result.text", "ai.response.object", "ai.result.object"))
    if text is not None:
        parts.append(text_part(as_text(text)))
    calls = parsed_list(source.first(("ai.response.toolCalls", "ai.result.toolCalls")))
    parts += [_call_part(tool_call_of(call)) for call in calls if isinstance(call, dict)]
    reason = attributes.get("ai.response.finishReason")
    return _ended([message_of("assistant", parts)] if parts else [], reason)


def _call_part(call: JSON) -> JSON:
    inner = call["function"]
    return {"type": "tool_call", "id": call["id"], "name": inner["name"], "arguments": inner["arguments"]}


def _embedding_input(source: _Source) -> list[JSON]:
    texts = [_branch(tree, "embedding").get("text") for tree in source.flat.get("embedding.embeddings", ())]
    given = source.first(("ai.values", "ai.value"))
    texts += [parsed(one) for one in given] if isinstance(given, list) else [parsed(given)]
    parts = [text_part(text) for text in texts if isinstance(text, str) and text]
    return [message_of("user", parts)] if parts else []


def _rerank_input(source: _Source) -> list[JSON]:
    query = source.attributes.get("reranker.query")
    documents = _documents("reranker.input_documents")(source)
    return ([message_of("user", [text_part(query)])] if isinstance(query, str) else []) + documents


def _documents(prefix: str) -> Callable[[_Source], list[JSON]]:
    def read(source: _Source) -> list[JSON]:
        trees = [_branch(tree, "document") or tree for tree in source.flat.get(prefix, ())]
        return [message_of("tool", [json_part(tree) for tree in trees])] if trees else []

    return read


_ALL = "pydantic_ai.all_messages"


def _all_messages(source: _Source) -> tuple[list[JSON], list[JSON]]:
    """Split an agent's whole conversation into what was said before and its last word."""
    found = conversation(source.attributes.get(_ALL), "user")
    end = len(found)
    while end and found[end - 1]["role"] == "assistant":
        end -= 1
    return found[:end], found[end:]


_INPUTS: tuple[Callable[[_Source], list[JSON]], ...] = (
    _current_input,
    _tool_input,
    _event_input,
    _event_texts("gen_ai.content.prompt", "gen_ai.prompt", "user"),
    _flattened("gen_ai.prompt", _classic, "user"),
    _attribute("user", "gen_ai.prompt"),
    _flattened("llm.input_messages", _openinference, "user"),
    _nested("llm.input_messages", "user"),
    _flattened("llm.prompts", _prompts, "user"),
    _attribute("user", "llm.prompts", "ai.prompt.messages", "ai.prompt"),
    _rerank_input,
    _embedding_input,
    _attribute("user", "input.value", "traceloop.entity.input", "gen_ai.task.input"),
    lambda source: _all_messages(source)[0],
    _attribute("user", "request_data", "prompt", "user_prompt", "request_text"),
)

_OUTPUTS: tuple[Callable[[_Source], list[JSON]], ...] = (
    _current_output,
    _tool_output,
    _event_output,
    _event_texts("gen_ai.content.completion", "gen_ai.completion", "assistant"),
    _flattened("gen_ai.completion", _classic, "assistant"),
    _attribute("assistant", "gen_ai.completion"),
    _flattened("llm.output_messages", _openinference, "assistant"),
    _nested("llm.output_messages", "assistant"),
    _flattened("llm.choices", _prompts, "assistant"),
    _vercel_output,
    _documents("retrieval.documents"),
    _documents("reranker.output_documents"),
    _attribute("assistant", "output.value", "traceloop.entity.output", "gen_ai.task.output"),
    lambda source: _all_messages(source)[1],
    lambda source: _response_data(source.attributes.get("response_data")),
    _attribute("assistant", "final_result", "response", "response_text"),
)


def _response_data(value: Any) -> list[JSON]:
    """Read Logfire's response_data: {"message": …, "usage": …}, or {"combined_chunk_content": …} of a stream."""
    told = parsed_object(value)
    for name in ("message", "combined_chunk_content", "text", "content"):
        if told.get(name):
            return conversation(told[name], "assistant")
    return conversation(value, "assistant")


# ── tools offered ────────────────────────────────────────────────────────────────────────────────────────────────────


def _tools(source: _Source) -> list[JSON]:
    attributes = source.attributes
    given: list[Any] = parsed_list(attributes.get("gen_ai.tool.definitions"))
    if not given and source.details is not attributes:
        given = parsed_list(source.details.get("gen_ai.tool.definitions"))
    if not given and source.flat:
        given = [*source.flat.get("llm.request.functions", ())]
        given = given or [_branch(tree, "tool").get("json_schema") for tree in source.flat.get("llm.tools", ())]
    given = given or parsed_list(attributes.get("ai.prompt.tools"))
    if not given and "model_request_parameters" in attributes:
        given = parsed_list(parsed_object(attributes["model_request_parameters"]).get("function_tools"))
    if not given and attributes.get("langsmith.span.kind") == "llm":
        given = parsed_list(parsed_object(attributes.get("gen_ai.prompt")).get("tools"))
    return tools_of(given) if given else []


def tools_of(definitions: Any) -> list[JSON]:
    """Return {"name", "description", "parameters"} of tools, as requests or telemetry define them."""
    found = [parsed_object(one) for one in parsed_list(definitions)]
    return [_tool(one) for one in found if one]


def _tool(told: JSON) -> JSON:
    inner = told.get("function")
    told = inner if isinstance(inner, dict) else told
    members = ("parameters", "input_schema", "inputSchema", "parameters_json_schema")
    parameters = next((told[name] for name in members if told.get(name) is not None), None)
    found: JSON = {"name": as_text(told.get("name"))}
    if isinstance(told.get("description"), str):
        found["description"] = told["description"]
    if parameters is not None:
        found["parameters"] = parsed(parameters)
    return found
