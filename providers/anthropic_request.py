"""A client's chat request → POST /v1/messages.

What Anthropic has no place for is listed in `Outgoing.ignored`; what cannot be done at all is a BadRequest that names
the field. Fields of the Messages API that a client adds to its OpenAI body go through as they are (NATIVE_FIELDS).
"""

from __future__ import annotations

import json
from typing import Any

from llmflow_web.model import JSON
from llmflow_web.provider import Outgoing, Target

from .anthropic_messages import Conversation
from .anthropic_models import BUDGETS, Abilities, abilities_of
from .anthropic_schema import native_schema
from .shapes import (
    ToolChoice,
    body_bytes,
    ignored_fields,
    impossible,
    is_legacy,
    max_tokens_of,
    refuse_choices,
    stops_of,
    tool_choice_of,
    tools_of,
    user_of,
)
from .usage import member

VERSION_HEADER = "anthropic-version"
OLD_VERSION = "2023-06-01"
VERSION_WITHOUT_SAMPLING = "2026-10-21"
"""From this version of the API on, sampling parameters are refused whatever the model."""

DEFAULT_MAX_TOKENS = 4096
"""Anthropic wants a limit; this one is within every model's. Thinking comes on top of it."""

JSON_TOOL = "json_response"
"""The tool whose input is the answer, where a model has no structured output of its own."""

NATIVE_FIELDS = frozenset(
    {"thinking", "top_k", "output_config", "cache_control", "container", "context_management", "mcp_servers",
     "inference_geo", "speed"}
)  # fmt: skip
_READ = NATIVE_FIELDS | {
    "model", "messages", "max_tokens", "max_completion_tokens", "temperature", "top_p", "stop", "stream",
    "stream_options", "tools", "tool_choice", "functions", "function_call", "parallel_tool_calls", "response_format",
    "reasoning_effort", "user", "safety_identifier", "metadata", "service_tier", "n", "web_search_options",
    "modalities", "audio",
}  # fmt: skip
_TIERS = {"auto": "auto", "priority": "auto", "default": "standard_only"}
_CHOICES = {"auto": "auto", "none": "none", "required": "any"}
_FILES_BETA = ("anthropic-beta", "files-api-2025-04-14")
_WEB_SEARCH = {"type": "web_search_20250305", "name": "web_search"}
_LOWEST_TOP_P_WITH_THINKING = 0.95


def request(body: JSON, target: Target) -> Outgoing:
    """Translate a chat completion request."""
    draft = _Draft(body, target)
    headers = (("content-type", "application/json"), *((_FILES_BETA,) if draft.has_files else ()))
    return Outgoing("POST", "/v1/messages", headers, body_bytes(draft.out), tuple(draft.ignored))


def has_json_tool(body: JSON) -> bool:
    """Say whether the answer to this request is the input of JSON_TOOL."""
    return _schema_way(body, abilities_of(str(body.get("model") or ""))) == "tool"


def _schema_way(body: JSON, abilities: Abilities) -> str:
    """Say how a JSON answer is asked for: "" (it is not), "hint", "native" or "tool"."""
    wanted = member(body, "response_format")
    kind = wanted.get("type")
    if kind == "json_object":
        return "hint"
    if kind != "json_schema":
        return ""
    if abilities.has_native_schema and native_schema(_schema_of(body)) is not None:
        return "native"
    return "tool" if abilities.takes_forced_tools else "hint"


def _schema_of(body: JSON) -> JSON:
    return member(member(member(body, "response_format"), "json_schema"), "schema")


def _number(value: Any) -> float | None:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


class _Draft:
    """One request on its way: `out` is the native body, `ignored` what found no place in it."""

    def __init__(self, body: JSON, target: Target) -> None:
        version = target.options.get(VERSION_HEADER, OLD_VERSION)
        self._body = body
        self._abilities = abilities_of(self._model())
        self._takes_sampling = self._abilities.takes_sampling and version < VERSION_WITHOUT_SAMPLING
        self._way = _schema_way(body, self._abilities)
        self._choice = tool_choice_of(body)
        self._is_forced = False  # a tool must be used, which excludes thinking
        self.ignored = ignored_fields(body, _READ)
        self._refuse()
        self._conversation = Conversation(takes_system_turns=self._abilities.takes_system_turns, memory=target.memory)
        self._conversation.read(body.get("messages"))
        self.ignored += sorted(self._conversation.ignored)
        self.has_files = self._conversation.has_files
        self.out: JSON = {"model": self._model(), "max_tokens": DEFAULT_MAX_TOKENS}
        self._add_conversation()
        self.out |= {name: body[name] for name in sorted(NATIVE_FIELDS) if body.get(name) is not None}
        self._add_tools()
        self._add_schema()
        self._add_thinking()
        self._add_max_tokens()
        self._add_sampling()
        self._add_rest()

    def _model(self) -> str:
        model = self._body.get("model")
        if not isinstance(model, str) or not model:
            raise impossible("model", "the name of a model is needed")
        return model.removeprefix("anthropic/")

    def _refuse(self) -> None:
        refuse_choices(self._body, "Anthropic")
        modalities = self._body.get("modalities")
        if isinstance(modalities, list) and "audio" in modalities:
            raise impossible("modalities", "Anthropic's models do not speak")
        if self._body.get("audio"):
            self.ignored.append("audio")

    def _add_conversation(self) -> None:
        system = self._conversation.system(self._json_hint())
        if system is not None:
            self.out["system"] = system
        self.out["messages"] = self._conversation.messages()

    def _json_hint(self) -> str:
        if self._way != "hint":
            return ""
        hint = "Answer with one valid JSON object and nothing else: no prose, no code fence."
        schema = _schema_of(self._body)
        return f"{hint} It must match this JSON Schema: {json.dumps(schema, ensure_ascii=False)}" if schema else hint

    # ── tools ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _add_tools(self) -> None:
        tools = [self._tool(tool, f"tools[{index}]") for index, tool in enumerate(tools_of(self._body))]
        choice = self._choice
        allowed = (choice.name,) if choice.name and not self._abilities.takes_forced_tools else choice.allowed
        if allowed is not None:
            tools = [tool for tool in tools if tool.get("name") in allowed]
        tools += self._web_search()
        if self._way == "tool":
            tools.append(self._json_tool())
            choice = ToolChoice("required", None if len(tools) > 1 else JSON_TOOL)
        if tools:
            self.out["tools"] = tools
            self._add_choice(choice)
        elif self._conversation.used_tools():
            # Tools that appear in the conversation must be declared, even where no more of them may be called.
            schema: JSON = {"type": "object", "properties": {}}
            names = self._conversation.used_tools()
            self.out["tools"] = [{"name": name, "input_schema": schema} for name in names]
            self.out["tool_choice"] = {"type": "none"}

    def _tool(self, tool: JSON, place: str) -> JSON:
        if tool.get("type") == "custom" and "custom" in tool:
            raise impossible(f"{place}.type", "Anthropic's tools take JSON, not free text: use a function")
        function = tool.get("function")
        if not isinstance(function, dict):
            return tool  # one of Anthropic's own, such as web_search_20250305
        parameters = member(function, "parameters")
        made: JSON = {"name": function.get("name") or ""}
        if isinstance(function.get("description"), str):
            made["description"] = function["description"]
        made["input_schema"] = {"type": "object", **(parameters or {"properties": {}})}
        if function.get("strict") is True:
            self._make_strict(made)
        mark = tool.get("cache_control") or function.get("cache_control")
        return {**made, "cache_control": mark} if isinstance(mark, dict) else made

    def _make_strict(self, tool: JSON) -> None:
        schema = native_schema(tool["input_schema"]) if self._abilities.has_native_schema else None
        if schema is not None:
            tool |= {"input_schema": schema, "strict": True}
        elif "tools.function.strict" not in self.ignored:
            self.ignored.append("tools.function.strict")

    def _json_tool(self) -> JSON:
        asked = member(member(self._body, "response_format"), "json_schema")
        about = asked.get("description")
        told = "Give your final answer by calling this tool; its input is the answer."
        return {
            "name": JSON_TOOL,
            "description": f"{told} {about}" if isinstance(about, str) and about else told,
            "input_schema": {"type": "object", **_schema_of(self._body)},
        }

    def _web_search(self) -> list[JSON]:
        options = self._body.get("web_search_options")
        if not isinstance(options, dict):
            return []
        if options.get("search_context_size") not in (None, "medium"):
            self.ignored.append("web_search_options.search_context_size")
        where = member(options, "user_location")
        if not where:
            return [dict(_WEB_SEARCH)]
        return [{**_WEB_SEARCH, "user_location": {"type": "approximate", **member(where, "approximate")}}]

    def _add_choice(self, choice: ToolChoice) -> None:
        mode = choice.mode
        if mode == "required" and not self._abilities.takes_forced_tools:
            self.ignored.append("tool_choice")  # the newest models decide themselves
            mode = "auto"
        self._is_forced = mode == "required"
        made: JSON = {"type": _CHOICES[mode]} if mode else {}
        if self._is_forced and choice.name:
            made = {"type": "tool", "name": choice.name}
        is_single = self._body.get("parallel_tool_calls") is False or is_legacy(self._body)
        if is_single and mode != "none":
            made = {"type": "auto", **made, "disable_parallel_tool_use": True}
        if made:
            self.out["tool_choice"] = made

    # ── structured output and thinking ───────────────────────────────────────────────────────────────────────────

    def _add_schema(self) -> None:
        if self._way == "native":
            schema = native_schema(_schema_of(self._body))
            self._configure(format={"type": "json_schema", "schema": schema})

    def _configure(self, **settings: Any) -> None:
        self.out["output_config"] = {**settings, **member(self.out, "output_config")}

    def _add_thinking(self) -> None:
        effort = self._body.get("reasoning_effort")
        if not isinstance(effort, str) or effort == "none" or "thinking" in self.out:
            return
        if effort not in BUDGETS:
            raise impossible("reasoning_effort", f"{effort!r} is not one of none, {', '.join(BUDGETS)}")
        abilities = self._abilities
        needs_thoughts = not abilities.has_adaptive_thinking and self._conversation.lacks_thoughts()
        if abilities.has_adaptive_thinking:
            self._configure(effort=abilities.effort(effort))
        if self._is_forced or not abilities.thinks or needs_thoughts:
            if not abilities.has_adaptive_thinking:
                self.ignored.append("reasoning_effort")
        elif abilities.has_adaptive_thinking:
            self.out["thinking"] = {"type": "adaptive", "display": "summarized"}
        else:
            self.out["thinking"] = {"type": "enabled", "budget_tokens": BUDGETS[effort]}

    def _add_max_tokens(self) -> None:
        wanted = max_tokens_of(self._body)
        thinking = member(self.out, "thinking")
        budget = thinking.get("budget_tokens")
        budget = budget if isinstance(budget, int) else 0
        if thinking.get("type") == "adaptive" and wanted is None:
            budget = BUDGETS.get(str(self._body.get("reasoning_effort")), BUDGETS["high"])
        limit = DEFAULT_MAX_TOKENS if wanted is None else wanted
        if wanted is None or (budget and budget >= limit):
            limit = max(limit, 1) + budget  # a limit that leaves no room for the answer is meant for the answer alone
        self.out["max_tokens"] = limit

    def _is_thinking(self) -> bool:
        return member(self.out, "thinking").get("type") in ("enabled", "adaptive", "between_tools")

    # ── sampling and the rest ────────────────────────────────────────────────────────────────────────────────────

    def _add_sampling(self) -> None:
        temperature, top_p = _number(self._body.get("temperature")), _number(self._body.get("top_p"))
        if temperature is not None:
            if self._takes_sampling and not self._is_thinking():
                self.out["temperature"] = min(temperature, 1.0)
                if temperature > 1:
                    self.ignored.append("temperature above 1")
            elif temperature != 1:
                self.ignored.append("temperature")
        if top_p is not None:
            if self._takes_top_p(top_p):
                self.out["top_p"] = top_p
            elif top_p != 1:
                self.ignored.append("top_p")
        if "top_k" in self.out and (not self._takes_sampling or self._is_thinking()):
            del self.out["top_k"]
            self.ignored.append("top_k")

    def _takes_top_p(self, top_p: float) -> bool:
        """Say whether top_p may be sent: beside a temperature it is refused."""
        is_high_enough = top_p >= _LOWEST_TOP_P_WITH_THINKING or not self._is_thinking()
        return self._takes_sampling and "temperature" not in self.out and is_high_enough

    def _add_rest(self) -> None:
        stops = [stop for stop in stops_of(self._body) if stop.strip()]
        if stops:
            self.out["stop_sequences"] = stops
        if len(stops) < len(stops_of(self._body)):
            self.ignored.append("stop of white space")
        user = user_of(self._body)
        if user is not None:
            self.out["metadata"] = {"user_id": user}
        if set(member(self._body, "metadata")) - {"user_id"}:
            self.ignored.append("metadata")
        tier = self._body.get("service_tier")
        if tier in _TIERS:
            self.out["service_tier"] = _TIERS[tier]
        elif tier:
            self.ignored.append("service_tier")
        if self._body.get("stream") is True:
            self.out["stream"] = True
