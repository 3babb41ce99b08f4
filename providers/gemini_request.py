"""A client's OpenAI request → generateContent, embedContent or the listing of models.

What Gemini has no place for is listed in `Outgoing.ignored`; what cannot be done at all is a BadRequest that names the
field. Google's own additions to OpenAI's body are read where its OpenAI endpoint has them: `extra_body.google`.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from llmflow_web.model import JSON
from llmflow_web.provider import Outgoing, Target

from .completion import text_or_none
from .gemini_contents import Conversation
from .gemini_schema import clean_schema, is_hollow
from .shapes import (
    ToolChoice,
    body_bytes,
    ignored_fields,
    impossible,
    is_legacy,
    max_tokens_of,
    objects,
    stops_of,
    tool_choice_of,
    tools_of,
)
from .usage import member

API = "/v1beta"
MAX_STOP_SEQUENCES = 5
MAX_LISTED_MODELS = 1000
"""The most a page of the listing may hold; there are far fewer."""

_JSON_HEADERS = (("content-type", "application/json"),)
# OpenAI's field → member of generationConfig
_PLAIN = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "seed": "seed",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
}
_READ = frozenset(_PLAIN) | {
    "model", "messages", "max_tokens", "max_completion_tokens", "stop", "stream", "stream_options", "tools",
    "tool_choice", "functions", "function_call", "response_format", "reasoning_effort", "n", "logprobs", "modalities",
    "audio", "service_tier", "web_search_options", "extra_body", "google", "safety_settings", "parallel_tool_calls",
    "top_logprobs",
}  # fmt: skip
_TIERS = {"flex": "flex", "priority": "priority", "default": "standard"}
_MODALITIES = {"text": "TEXT", "audio": "AUDIO", "image": "IMAGE"}
_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY"}
_GOOGLE = {
    "cached_content": "cachedContent",
    "safety_settings": "safetySettings",
    "cachedContent": "cachedContent",
    "safetySettings": "safetySettings",
}
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
# Thinking tokens per effort for Gemini 2.5; what is not here depends on the model (`_budget`).
_BUDGETS = {"low": 1024, "medium": 2048, "high": 4096, "xhigh": 24576, "max": 24576}
_SMALLEST_PRO, _SMALLEST_LITE = 128, 512
_LEVELS = {"none": "MINIMAL", "minimal": "MINIMAL", "low": "LOW", "medium": "MEDIUM"}
_VERSION = re.compile(r"gemini-(\d+(?:\.\d+)?)")
_SNAKE = re.compile(r"_([a-z0-9])")


# ── the model ────────────────────────────────────────────────────────────────────────────────────────────────────────


def model_of(body: JSON) -> str:
    """Return the model's resource name: models/x, tunedModels/x."""
    model = text_or_none(body.get("model"))
    if model is None:
        raise impossible("model", "a model is needed, such as gemini-2.5-flash")
    for prefix in ("gemini/", "google/"):
        model = model.removeprefix(prefix)
    return model if model.startswith(("models/", "tunedModels/")) else f"models/{model}"


def version_of(model: str) -> float:
    """Return the version in a model's name; 0 where there is none, as in gemini-flash-latest."""
    found = _VERSION.search(model)
    return float(found[1]) if found else 0.0


def _path(model: str, method: str) -> str:
    kind, _, name = model.partition("/")
    return f"{API}/{kind}/{quote(name, safe='')}:{method}"


# ── chat ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def chat_request(body: JSON, target: Target) -> Outgoing:
    """Translate a chat completion request."""
    draft = _Draft(body, target)
    method = "streamGenerateContent?alt=sse" if body.get("stream") is True else "generateContent"
    return Outgoing("POST", _path(draft.model, method), _JSON_HEADERS, body_bytes(draft.out), tuple(draft.ignored))


class _Draft:
    """One request on its way: `out` is the native body, `ignored` what found no place in it."""

    def __init__(self, body: JSON, target: Target) -> None:
        self._body = body
        self._config: JSON = {}
        self.model = model_of(body)
        self.ignored = ignored_fields(body, _READ)
        self.out: JSON = {}
        self._add_conversation(target)
        self._add_tools(tool_choice_of(body))
        self._add_sampling()
        self._add_format()
        self._add_thinking()
        self._add_modalities()
        self._add_tier()
        self._add_google()
        if self._config:
            self.out["generationConfig"] = self._config

    def _add_conversation(self, target: Target) -> None:
        is_named = "latest" in self.model and version_of(self.model) == 0.0
        needs_signatures = version_of(self.model) >= 3 or is_named
        conversation = Conversation(target.memory, needs_signatures=needs_signatures)
        conversation.read(self._body.get("messages"))
        if conversation.system:
            self.out["systemInstruction"] = {"parts": conversation.system}
        self.out["contents"] = conversation.contents
        self.ignored += sorted(conversation.ignored)

    # ── tools ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _add_tools(self, choice: ToolChoice) -> None:
        declared: list[JSON] = []
        tools: list[JSON] = []
        field = "functions" if is_legacy(self._body) else "tools"
        for at, tool in enumerate(tools_of(self._body)):
            if tool.get("type", "function") == "function" and isinstance(tool.get("function"), dict):
                declared.append(self._declaration(tool["function"], f"{field}[{at}]"))
            elif "type" not in tool and tool:
                tools.append(tool)  # one of Google's own: {"googleSearch": {}}, {"codeExecution": {}}
            else:
                raise impossible(f"{field}[{at}].type", f"Gemini has no tools of type {tool.get('type')!r}")
        if self._body.get("parallel_tool_calls") is False and declared:
            self.ignored.append("parallel_tool_calls")
        self._choose(choice, declared)
        if declared:
            tools.insert(0, {"functionDeclarations": declared})
        if isinstance(self._body.get("web_search_options"), dict):
            tools.append({"googleSearch": {}})
            self.ignored += [f"web_search_options.{name}" for name in self._body["web_search_options"]]
        if tools:
            self.out["tools"] = tools

    def _declaration(self, function: JSON, place: str) -> JSON:
        name = text_or_none(function.get("name"))
        if name is None:
            raise impossible(f"{place}.function.name", "a name is needed")
        found: JSON = {"name": name}
        if isinstance(function.get("description"), str):
            found["description"] = function["description"]
        schema = function.get("parameters")
        if isinstance(schema, dict):
            schema = clean_schema(schema)
            if not is_hollow(schema):
                found["parametersJsonSchema"] = schema
        if function.get("strict") and "tools.function.strict" not in self.ignored:
            self.ignored.append("tools.function.strict")
        return found

    def _choose(self, choice: ToolChoice, declared: list[JSON]) -> None:
        names = [function["name"] for function in declared]
        wanted = (choice.name,) if choice.name else choice.allowed
        for name in wanted or ():
            if name not in names:
                raise impossible("tool_choice", f"there is no function {name!r} among the tools")
        if not declared or not choice.mode:
            return
        config: JSON = {"mode": _MODES[choice.mode]}
        if wanted is not None and choice.mode == "required":
            config["allowedFunctionNames"] = list(wanted)
        elif wanted is not None:  # names are legal only where a call is forced: the others are left out instead
            declared[:] = [function for function in declared if function["name"] in wanted]
        if declared:
            self.out["toolConfig"] = {"functionCallingConfig": config}

    # ── generationConfig ─────────────────────────────────────────────────────────────────────────────────────────

    def _add_sampling(self) -> None:
        config = self._config
        config |= {word: self._body[name] for name, word in _PLAIN.items() if self._body.get(name) is not None}
        limit = max_tokens_of(self._body)
        if limit is not None:
            config["maxOutputTokens"] = limit
        if self._body.get("n") not in (None, 1):
            config["candidateCount"] = self._body["n"]
        stops = [stop for stop in stops_of(self._body) if stop]
        if len(stops) > MAX_STOP_SEQUENCES:
            raise impossible("stop", f"Gemini takes at most {MAX_STOP_SEQUENCES} stop sequences")
        if stops:
            config["stopSequences"] = stops
        self._add_logprobs()

    def _add_logprobs(self) -> None:
        best = self._body.get("top_logprobs")
        if self._body.get("logprobs") is True:
            self._config["responseLogprobs"] = True
            if best:
                self._config["logprobs"] = best
        elif best:
            self.ignored.append("top_logprobs")  # it says something only beside logprobs

    def _add_format(self) -> None:
        wanted = self._body.get("response_format")
        if wanted is None:
            return
        kind = wanted.get("type") if isinstance(wanted, dict) else wanted
        if kind == "text":
            return
        if kind not in ("json_object", "json_schema"):
            raise impossible("response_format", f"{kind!r} is not one of text, json_object, json_schema")
        self._config["responseMimeType"] = "application/json"
        schema = member(member(wanted, "json_schema"), "schema")
        if kind == "json_schema" and schema:
            self._config["responseJsonSchema"] = clean_schema(schema)

    def _add_thinking(self) -> None:
        effort = self._body.get("reasoning_effort")
        if effort is None:
            return
        if effort not in _EFFORTS:
            raise impossible("reasoning_effort", f"{effort!r} is not one of {', '.join(_EFFORTS)}")
        version = version_of(self.model)
        if not (version >= 2.5 or (version == 0.0 and "latest" in self.model)):
            self.ignored.append("reasoning_effort")  # older ones and other families do not think
            return
        thinking: JSON = {"includeThoughts": effort != "none"}
        if version >= 3:
            level = _LEVELS.get(effort, "HIGH")
            thinking["thinkingLevel"] = "LOW" if level == "MINIMAL" and "pro" in self.model else level
        else:
            thinking["thinkingBudget"] = self._budget(effort)
        self._config["thinkingConfig"] = thinking

    def _budget(self, effort: str) -> int:
        """Return thinking tokens: models of 2.5 differ in the fewest they take, and Pro cannot do without."""
        if "pro" in self.model:
            return _BUDGETS.get(effort, _SMALLEST_PRO)
        if effort == "minimal":
            return _SMALLEST_LITE if "lite" in self.model else 1
        return _BUDGETS.get(effort, 0)

    def _add_modalities(self) -> None:
        wanted = self._body.get("modalities")
        if isinstance(wanted, list) and wanted != ["text"]:
            for at, name in enumerate(wanted):
                if not isinstance(name, str) or name not in _MODALITIES:
                    raise impossible(f"modalities[{at}]", f"{name!r} is not one of {', '.join(_MODALITIES)}")
            self._config["responseModalities"] = [_MODALITIES[name] for name in wanted]
        audio = self._body.get("audio")
        if not isinstance(audio, dict):
            return
        voice = audio.get("voice")
        voice = voice.get("id") if isinstance(voice, dict) else voice
        if isinstance(voice, str):
            self._config["speechConfig"] = {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": voice}}}
        if audio.get("format") not in (None, "pcm16"):
            self.ignored.append("audio.format")  # Gemini speaks in raw PCM only

    # ── beside it ────────────────────────────────────────────────────────────────────────────────────────────────

    def _add_tier(self) -> None:
        tier = self._body.get("service_tier")
        if isinstance(tier, str) and tier in _TIERS:
            self.out["serviceTier"] = _TIERS[tier]
        elif tier not in (None, "auto"):
            self.ignored.append("service_tier")

    def _add_google(self) -> None:
        if isinstance(self._body.get("safety_settings"), list):
            self.out["safetySettings"] = self._body["safety_settings"]
        extra = self._body.get("extra_body")
        if isinstance(extra, dict):
            self.ignored += [f"extra_body.{name}" for name in extra if name != "google"]
        google = member(self._body, "google") or member(extra, "google")
        for name, value in google.items():
            if name in ("thinking_config", "thinkingConfig"):
                self._config["thinkingConfig"] = _camel_case(value)
            elif name in _GOOGLE:
                self.out[_GOOGLE[name]] = value
            else:
                self.ignored.append(f"google.{name}")


def _camel_case(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {_SNAKE.sub(lambda found: found[1].upper(), name): item for name, item in value.items()}


# ── embeddings, models ───────────────────────────────────────────────────────────────────────────────────────────────

_EMBEDDING_FIELDS = frozenset({"model", "input", "dimensions", "encoding_format", "task_type", "title"})


def embeddings_request(body: JSON, target: Target) -> Outgoing:
    """Translate an embeddings request: one text is embedded by itself, several in a batch."""
    del target
    model = model_of(body)
    settings: JSON = {}
    for name, word in (("dimensions", "outputDimensionality"), ("task_type", "taskType"), ("title", "title")):
        if body.get(name) is not None:
            settings[word] = body[name]
    given = body.get("input")
    ignored = tuple(ignored_fields(body, _EMBEDDING_FIELDS))
    if isinstance(given, str):
        out: JSON = {"content": {"parts": [{"text": given}]}, **settings}
        return Outgoing("POST", _path(model, "embedContent"), _JSON_HEADERS, body_bytes(out), ignored)
    if not isinstance(given, list) or not given:
        raise impossible("input", "a text or a non-empty list of texts is needed")
    requests: list[JSON] = []
    for at, text in enumerate(given):
        if not isinstance(text, str):
            raise impossible(f"input[{at}]", "Gemini embeds texts, not token numbers")
        requests.append({"model": model, "content": {"parts": [{"text": text}]}, **settings})
    out = {"requests": requests}
    return Outgoing("POST", _path(model, "batchEmbedContents"), _JSON_HEADERS, body_bytes(out), ignored)


def models_request(body: JSON, target: Target) -> Outgoing:
    """Ask for the models."""
    del body, target
    return Outgoing("GET", f"{API}/models?pageSize={MAX_LISTED_MODELS}", (), b"")


def models_list(native: JSON, request: JSON) -> JSON:
    """Return the listing in OpenAI's shape."""
    del request
    found: list[JSON] = []
    for model in objects(native.get("models")):
        name = text_or_none(model.get("name"))
        if name is not None:
            found.append({"id": name.removeprefix("models/"), "object": "model", "created": 0, "owned_by": "google"})
    return {"object": "list", "data": found}
