"""The attribute names of every convention, as tables: what a column is read from, in the order of trust.

Checked against the conventions' own packages in 2026 (OpenTelemetry gen_ai to 1.37 and after, OpenInference,
OpenLLMetry, Vercel AI SDK, LangSmith, Logfire and pydantic-ai, MCP, openlit, Claude Code, Codex, Gemini CLI, Copilot).
The first candidate whose value can be used wins. Adding a convention means adding rows here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llmflow_web.record.semconv_values import count, flag, label, labels_or_none, long_text, number

# ── providers ────────────────────────────────────────────────────────────────────────────────────────────────────────

# gen_ai.provider.name, gen_ai.system, llm.provider, ai.model.provider … (lower case) → our PROVIDERS or the name
# prices go by
PROVIDERS = {
    "gcp.gemini": "gemini",
    "gcp.gen_ai": "gemini",
    "google": "gemini",
    "google.generative-ai": "gemini",
    "google_genai": "gemini",
    "google-genai": "gemini",
    "google_generativeai": "gemini",
    "google generative ai": "gemini",
    "google-gla": "gemini",
    "gcp.vertex_ai": "vertex_ai",
    "google-vertex": "vertex_ai",
    "google.vertex": "vertex_ai",
    "google_vertexai": "vertex_ai",
    "google_anthropic_vertex": "vertex_ai",
    "vertexai": "vertex_ai",
    "vertex": "vertex_ai",
    "azure.ai.openai": "azure",
    "azure.ai.inference": "azure",
    "az.ai.openai": "azure",
    "az.ai.inference": "azure",
    "azure_openai": "azure",
    "azure-openai": "azure",
    "azure_ai": "azure",
    "aws.bedrock": "bedrock",
    "aws_bedrock": "bedrock",
    "aws": "bedrock",
    "amazon": "bedrock",
    "amazon-bedrock": "bedrock",
    "amazon_bedrock": "bedrock",
    "bedrock_converse": "bedrock",
    "x_ai": "xai",
    "mistral_ai": "mistral",
    "mistralai": "mistral",
    "together_ai": "together",
    "togetherai": "together",
    "fireworks_ai": "fireworks",
    "cohereai": "cohere",
    "openai_responses": "openai",
    "moonshotai": "moonshot",
    "moonshot_ai": "moonshot",
    "hugging_face": "huggingface",
}

# Frameworks that name themselves where a provider should stand: the next candidate may know better.
WRAPPERS = frozenset(
    {
        "_other", "other", "unknown", "none", "gateway", "vercel", "langchain", "langgraph", "llamaindex",
        "llama_index", "litellm", "haystack", "crewai", "autogen", "dspy", "agno", "smolagents", "strands-agents",
        "openai_agents", "semantic_kernel", "traceloop", "openinference", "copilot", "github", "function", "test_model",
    }
)  # fmt: skip

# The end of the host a span talked to → provider.
HOSTS = (
    ("api.openai.com", "openai"),
    ("api.anthropic.com", "anthropic"),
    ("generativelanguage.googleapis.com", "gemini"),
    ("aiplatform.googleapis.com", "vertex_ai"),
    (".openai.azure.com", "azure"),
    (".services.ai.azure.com", "azure"),
    (".models.ai.azure.com", "azure"),
    (".amazonaws.com", "bedrock"),
    ("api.cohere.com", "cohere"),
    ("api.cohere.ai", "cohere"),
    ("api.groq.com", "groq"),
    ("api.mistral.ai", "mistral"),
    ("api.together.xyz", "together"),
    ("api.together.ai", "together"),
    ("api.perplexity.ai", "perplexity"),
    ("openrouter.ai", "openrouter"),
    ("api.deepseek.com", "deepseek"),
    ("api.x.ai", "xai"),
    ("api.fireworks.ai", "fireworks"),
    ("api.cerebras.ai", "cerebras"),
    ("integrate.api.nvidia.com", "nvidia"),
    ("huggingface.co", "huggingface"),
    ("api.moonshot.ai", "moonshot"),
    ("api.minimax.io", "minimax"),
    ("api.deepinfra.com", "deepinfra"),
    ("api.sambanova.ai", "sambanova"),
)
HOST_ATTRIBUTES = ("server.address", "url.full", "http.url", "net.peer.name")

# The last segment of an instrumentation scope's name → provider.
SCOPES = {
    "openai": "openai",
    "openai_v2": "openai",
    "anthropic": "anthropic",
    "claude": "anthropic",
    "google_generativeai": "gemini",
    "google_genai": "gemini",
    "vertexai": "vertex_ai",
    "bedrock": "bedrock",
    "cohere": "cohere",
    "groq": "groq",
    "mistralai": "mistral",
    "together": "together",
    "ollama": "ollama",
    "gemini-cli": "gemini",
}

# ours → gen_ai.provider.name, where that is another word
SEMCONV_PROVIDERS = {
    "gemini": "gcp.gemini",
    "vertex_ai": "gcp.vertex_ai",
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "mistral": "mistral_ai",
    "xai": "x_ai",
}


def provider_name(value: Any) -> str | None:
    """Return our name of a provider; None where a framework only names itself."""
    name = label(value)
    if name is None:
        return None
    name = name.lower()
    if name in WRAPPERS:
        return None
    known = PROVIDERS.get(name)
    if known is not None:
        return known
    # Vercel's "openai.chat", "google.vertex.chat", LangChain's "ChatOpenAI" stay what their beginning says.
    head, dot, rest = name.partition(".")
    if dot and head == "google" and rest.startswith("vertex"):
        return "vertex_ai"
    if dot and head in ("azure", "az"):
        return "azure"
    return head_provider(head) if dot else name


def head_provider(head: str) -> str | None:
    """Return our name of the first word of a dotted provider."""
    return None if head in WRAPPERS or not head else PROVIDERS.get(head, head)


# ── columns ──────────────────────────────────────────────────────────────────────────────────────────────────────────

Reader = Callable[[Any], Any]


def _micros(value: Any) -> float | None:
    found = number(value)
    return None if found is None else found / 1e6


def _seconds(value: Any) -> float | None:
    found = number(value)
    return None if found is None else found * 1000


def _status(value: Any) -> int | None:
    found = count(value)
    return found if found is not None and 100 <= found <= 599 else None


def _error(value: Any) -> str | None:
    """Read an error; "false" and "true" only say whether there was one."""
    return None if flag(value) is not None else long_text(value)


_META = "traceloop.association.properties."
_LANGSMITH = "langsmith.metadata."
_VERCEL = "ai.telemetry.metadata."
_USAGE = "gen_ai.usage."
_SUM = "gen_ai.aggregated_usage."
_COUNT = "llm.token_count."

# column → (how its candidates are read, the candidates; one that is read otherwise comes with its own reader)
COLUMNS: dict[str, tuple[Reader, tuple[str | tuple[str, Reader], ...]]] = {
    "provider": (provider_name, (
        "gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system", "llm.vendor", "ai.model.provider",
        _LANGSMITH + "ls_provider",
    )),
    "request_model": (label, (
        "gen_ai.request.model", "llm.request.model_name", "llm.request.model", "llm.model_name",
        "embedding.model_name", "reranker.model_name", "ai.model.id", _LANGSMITH + "ls_model_name", "llm.model",
        "model", "model_name",
    )),
    "response_model": (label, (
        "gen_ai.response.model", "llm.response.model_name", "llm.response.model", "ai.response.model",
    )),
    "operation": (label, ("gen_ai.operation.name",)),
    "response_id": (label, ("gen_ai.response.id", "ai.response.id", "llm.response.id")),
    "request_id": (label, (
        "request_id", "llmflow.request_id", "gen_ai.response.request_id", "anthropic.request.id",
        "anthropic.request_id", "openai.request_id",
    )),
    "session_id": (label, (
        "session.id", "langsmith.trace.session_id", _META + "session_id", _VERCEL + "sessionId",
        _LANGSMITH + "session_id", _META + "sessionId", "langfuse.session.id", "copilot_chat.chat_session_id",
        "copilot_chat.session_id",
    )),
    "conversation_id": (label, (
        "gen_ai.conversation.id", _META + "thread_id", _META + "chat_id", _VERCEL + "threadId",
        _LANGSMITH + "thread_id", _LANGSMITH + "conversation_id", _META + "conversation_id",
        _VERCEL + "conversationId", "conversation.id",
    )),
    "user_id": (label, (
        "user.id", "enduser.id", "gen_ai.user", "llm.user", _META + "user_id", _VERCEL + "userId",
        _LANGSMITH + "user_id", _META + "userId", "langfuse.user.id", "user.email", "user.account_uuid",
    )),
    "agent_name": (label, (
        "gen_ai.agent.name", "gen_ai.agent.id", "agent.name", "agent_name", "gen_ai.workflow.name",
        "traceloop.workflow.name", "ai.telemetry.functionId", "graph.node.id",
    )),
    "prompt_name": (label, (
        "gen_ai.prompt.name", "traceloop.prompt.key", "langfuse.observation.prompt.name", "llm.prompt_template.name",
    )),
    "prompt_version": (label, (
        "gen_ai.prompt.version", "traceloop.prompt.version", "langfuse.observation.prompt.version",
        "llm.prompt_template.version",
    )),
    "finish_reasons": (labels_or_none, (
        "gen_ai.response.finish_reasons", "gen_ai.response.finish_reason", "llm.response.finish_reason",
        "llm.finish_reason", "llm.response.stop_reason", "ai.response.finishReason", "stop_reason", "finish_reasons",
        "gen_ai.completion.0.finish_reason", "anthropic.message.stop_reason",
    )),
    "tags": (labels_or_none, (
        "llmflow.tags", "tag.tags", "langsmith.span.tags", "langfuse.trace.tags", "logfire.tags", _VERCEL + "tags",
    )),
    "ttft_ms": (number, (
        ("gen_ai.response.time_to_first_chunk", _seconds), "ai.response.msToFirstChunk", "ai.stream.msToFirstChunk",
        "ttft_ms", ("gen_ai.server.time_to_first_token", _seconds), "copilot_chat.time_to_first_token",
    )),
    "is_stream": (flag, (
        "gen_ai.request.stream", "gen_ai.is_streaming", "llm.is_streaming", "llm.request.streaming",
        "langsmith.request.streaming",
    )),
    # What another LLMFlow sends along.
    "status": (_status, ("llmflow.status",)),
    "tool": (label, ("llmflow.tool",)),
    "is_estimated": (flag, ("llmflow.is_estimated",)),
    "response_status": (_status, ("http.response.status_code", "http.status_code", "status_code")),
    "error": (_error, ("error.message", "error", "exception.message")),
    "error_type": (_error, ("error.type", "error_type", "exception.type")),
    "success": (flag, ("success",)),
    "reported_cost": (number, (
        "llmflow.cost", "cost_usd", ("cost_usd_micros", _micros), "llm.cost.total", "operation.cost",
        "gen_ai.usage.cost", "gen_ai.usage.total_cost", "llm.usage.cost", "usage.estimated_usd",
    )),
    "prompt_cost": (number, ("llm.cost.prompt",)),
    "completion_cost": (number, ("llm.cost.completion",)),
    "input": (count, (
        _USAGE + "input_tokens", _USAGE + "prompt_tokens", _COUNT + "prompt", "ai.usage.inputTokens",
        "ai.usage.promptTokens", "llm.usage.prompt_tokens", "llm.usage.input_tokens", "ai.usage.tokens",
        "input_tokens", "input_token_count", _SUM + "input_tokens",
    )),
    "output": (count, (
        _USAGE + "output_tokens", _USAGE + "completion_tokens", _COUNT + "completion", "ai.usage.outputTokens",
        "ai.usage.completionTokens", "llm.usage.completion_tokens", "llm.usage.output_tokens", "output_tokens",
        "output_token_count", _SUM + "output_tokens",
    )),
    "total": (count, (
        _USAGE + "total_tokens", "llm.usage.total_tokens", _COUNT + "total", "ai.usage.totalTokens",
        "total_token_count",
    )),
    "cache_read": (count, (
        _USAGE + "cache_read.input_tokens", _USAGE + "cache_read_input_tokens",
        _COUNT + "prompt_details.cache_read", _COUNT + "prompt_details.cache_input",
        "ai.usage.inputTokenDetails.cacheReadTokens", "ai.usage.cachedInputTokens",
        _USAGE + "details.cache_read_tokens", _USAGE + "details.cache_read_input_tokens",
        _USAGE + "details.cached_tokens", "llm.usage.cache_read_input_tokens", "cache_read_tokens",
        "cached_token_count", "cached_content_token_count", _SUM + "cache_read.input_tokens",
        _SUM + "cache_read_tokens",
    )),
    "cache_write": (count, (
        _USAGE + "cache_creation.input_tokens", _USAGE + "cache_write.input_tokens",
        _USAGE + "cache_creation_input_tokens", _COUNT + "prompt_details.cache_write",
        "ai.usage.inputTokenDetails.cacheWriteTokens", _USAGE + "details.cache_write_tokens",
        _USAGE + "details.cache_creation_input_tokens", "llm.usage.cache_creation_input_tokens",
        "cache_creation_tokens", "cache_write_token_count", _SUM + "cache_creation.input_tokens",
        _SUM + "cache_write_tokens",
    )),
    "cache_write_1h": (count, ("anthropic.usage.cache_creation.ephemeral_1h_input_tokens",)),
    "reasoning": (count, (
        _USAGE + "reasoning.output_tokens", _USAGE + "reasoning_tokens", _COUNT + "completion_details.reasoning",
        "ai.usage.outputTokenDetails.reasoningTokens", "ai.usage.reasoningTokens",
        _USAGE + "details.reasoning_tokens", "llm.usage.reasoning_tokens", "codex.usage.reasoning_output_tokens",
        "reasoning_token_count", "thoughts_token_count",
    )),
    "audio_input": (count, (
        _USAGE + "audio.input_tokens", _COUNT + "prompt_details.audio", _USAGE + "details.input_audio_tokens",
    )),
    "audio_output": (count, (
        _USAGE + "audio.output_tokens", _COUNT + "completion_details.audio", _USAGE + "details.output_audio_tokens",
    )),
    "image_input": (count, (_USAGE + "image.input_tokens",)),
    "image_output": (count, (_USAGE + "image.output_tokens",)),
    "service_tier": (label, (
        "openai.response.service_tier", "gen_ai.openai.response.service_tier", "gen_ai.response.service_tier",
        "anthropic.response.service_tier",
    )),
    "speed": (label, ("speed",)),
}  # fmt: skip

# Objects that hold a whole usage, for what the attributes themselves leave open.
USAGE_OBJECTS = ("langsmith.usage_metadata", "langsmith.metadata.usage_metadata", "gen_ai.usage.raw")
USAGE_DETAILS = ("gen_ai.usage.input_token_details", "gen_ai.usage.output_token_details")

FIRST_CHUNK_EVENTS = frozenset(
    {
        "ai.stream.firstChunk",
        "gen_ai.content.completion.chunk",
        "llm.content.completion.chunk",
        "First Token Stream Event",
    }
)

# Native and convention words → OpenAI's finish reasons; other words stay as they are.
FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "complete": "stop",
    "completed": "stop",
    "eos": "stop",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_call": "tool_calls",
    "tool-calls": "tool_calls",
    "tool_use": "tool_calls",
    "content-filter": "content_filter",
    "refusal": "content_filter",
    "safety": "content_filter",
    "recitation": "content_filter",
}


def finish_reason(value: str | None) -> str | None:
    """Return OpenAI's word for a finish reason."""
    if not value:
        return None
    word = value.rpartition(".")[2].lower()  # "FinishReason.STOP"
    return FINISH_REASONS.get(word, word)


# ── tools, input and output ──────────────────────────────────────────────────────────────────────────────────────────

TOOL_NAMES = ("gen_ai.tool.name", "ai.toolCall.name", "tool.name", "tool_name", "function_name")
TOOL_IDS = ("gen_ai.tool.call.id", "ai.toolCall.id", "tool_call.id", "tool_use_id", "call_id")
TOOL_ARGUMENTS = (
    "gen_ai.tool.call.arguments", "ai.toolCall.args", "ai.toolCall.input", "tool_arguments", "tool_input",
    "input.value", "traceloop.entity.input", "tool.parameters", "tool_parameters", "arguments", "function_args",
)  # fmt: skip
TOOL_RESULTS = (
    "gen_ai.tool.call.result", "ai.toolCall.result", "ai.toolCall.output", "tool_response", "output.value",
    "traceloop.entity.output", "output",
)  # fmt: skip

# What stands for input and output of a span that has no gen_ai.prompt and gen_ai.completion.
INPUT_VALUES = (
    "input.value", "traceloop.entity.input", "gen_ai.tool.call.arguments", "ai.toolCall.args", "tool_arguments",
    "ai.prompt", "ai.values", "ai.value", "request_data", "gen_ai.task.input", "reranker.query",
)  # fmt: skip
OUTPUT_VALUES = (
    "output.value", "traceloop.entity.output", "gen_ai.tool.call.result", "ai.toolCall.result", "tool_response",
    "ai.response.object", "ai.response.text", "final_result", "response_data", "gen_ai.task.output",
)  # fmt: skip

# ── kinds ────────────────────────────────────────────────────────────────────────────────────────────────────────────

# attribute → its values (lower case) → our span types. In this order; a value that is not listed says nothing.
KINDS: tuple[tuple[str, dict[str, str]], ...] = (
    ("llmflow.span_type", {
        name: name for name in (
            "trace", "llm", "agent", "chain", "tool", "retrieval", "embedding", "rerank", "guardrail", "evaluator",
            "prompt", "event", "custom",
        )
    }),
    ("traceloop.span.kind", {"workflow": "trace", "task": "chain", "agent": "agent", "tool": "tool"}),
    ("openinference.span.kind", {
        "llm": "llm", "embedding": "embedding", "chain": "chain", "retriever": "retrieval", "reranker": "rerank",
        "tool": "tool", "agent": "agent", "guardrail": "guardrail", "evaluator": "evaluator", "prompt": "prompt",
        "decision": "llm",
    }),
    ("mcp.method.name", {"tools/call": "tool", "prompts/get": "prompt", "resources/read": "retrieval"}),
    ("logfire.span_type", {"log": "event"}),
    ("gen_ai.operation.name", {
        "chat": "llm", "generate_content": "llm", "text_completion": "llm", "completion": "llm", "llm_request": "llm",
        "image_generation": "llm", "speech": "llm", "transcription": "llm", "translation": "llm", "responses": "llm",
        "embeddings": "embedding", "embedding": "embedding",
        "retrieval": "retrieval", "vector_db_retrieve": "retrieval", "search_memory": "retrieval",
        "rerank": "rerank", "create_agent": "agent", "invoke_agent": "agent", "execute_tool": "tool",
        "invoke_workflow": "chain", "execute_task": "chain", "plan": "chain", "execute_hook": "event",
        "evaluate": "evaluator", "guardrail": "guardrail",
        # Gemini CLI's own words
        "llm_call": "llm", "tool_call": "tool", "user_prompt": "agent", "agent_call": "agent",
        "schedule_tool_calls": "chain", "system_prompt": "chain",
    }),
    ("langsmith.span.kind", {
        "llm": "llm", "chain": "chain", "tool": "tool", "retriever": "retrieval", "embedding": "embedding",
        "prompt": "prompt", "parser": "chain",
    }),
    ("span.type", {
        "llm_request": "llm", "tool": "tool", "tool.execution": "tool", "interaction": "agent", "hook": "event",
        "tool.blocked_on_user": "event",
    }),
    ("llm.request.type", {
        "completion": "llm", "chat": "llm", "embedding": "embedding", "embeddings": "embedding", "rerank": "rerank",
    }),
)  # fmt: skip

# Claude Code's spans by name, should `span.type` be missing.
SPAN_NAMES = {
    "claude_code.llm_request": "llm",
    "claude_code.tool": "tool",
    "claude_code.tool.execution": "tool",
    "claude_code.interaction": "agent",
    "claude_code.hook": "event",
    "claude_code.tool.blocked_on_user": "event",
}

# Spans that share one name: what tells them apart, to stand behind it.
NAMED_BY = {"claude_code.llm_request": ("gen_ai.request.model", "model"), "claude_code.tool": ("tool_name",)}

# An attribute that only spans of one type have.
TELLING = (
    ("pydantic_ai.all_messages", "agent"),
    ("all_messages_events", "agent"),
    ("gen_ai.tool.name", "tool"),
    ("gen_ai.tool.call.id", "tool"),
    ("tool.name", "tool"),
    ("ai.toolCall.name", "tool"),
    ("tool_use_id", "tool"),
    ("gen_ai.system", "llm"),
    ("gen_ai.provider.name", "llm"),
    ("llm.request.type", "llm"),
    ("reranker.model_name", "rerank"),
    ("embedding.model_name", "embedding"),
)

VECTOR_STORES = ("pinecone", "chroma", "weaviate", "qdrant", "milvus", "pgvector")
NAME_WORDS = (
    ("embed", "embedding"),
    ("retriev", "retrieval"),
    ("search", "retrieval"),
    ("agent", "agent"),
    ("tool", "tool"),
    ("function", "tool"),
    ("chain", "chain"),
)

# Vercel's ai.operationId (or span name) → (span type, operation)
VERCEL_ENDINGS = (
    (".doGenerate", ("llm", "chat")),
    (".doStream", ("llm", "chat")),
    (".doEmbed", ("embedding", "embeddings")),
    (".doRerank", ("rerank", "rerank")),
    ("ai.toolCall", ("tool", "execute_tool")),
)
VERCEL_PARENTS = ("ai.generate", "ai.stream", "ai.embed", "ai.rerank")

# llm.request.type → gen_ai.operation.name
OPERATIONS = {"chat": "chat", "completion": "text_completion", "embedding": "embeddings", "rerank": "rerank"}
OPERATION_OF_TYPE = {
    "llm": "chat",
    "embedding": "embeddings",
    "tool": "execute_tool",
    "agent": "invoke_agent",
    "retrieval": "retrieval",
    "rerank": "rerank",
}
