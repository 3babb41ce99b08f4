"""Vendors and servers that speak OpenAI's dialect: rows made from OPENAI, and the few words they use differently.

Base URLs and keys as of groq 1.7.0, mistralai 3.7.0, together 3.1.1. `inject_usage` only where the server is known
to take `stream_options` and needs it: Mistral answers 422 to it, Perplexity and others send usage anyway.
"""

from __future__ import annotations

from dataclasses import replace

from llmflow_web.model import JSON, Completion, Usage
from llmflow_web.provider import Provider

from .openai import OPENAI, answer
from .openai_stream import OpenAIStream
from .usage import count, member, number, raw_usage, usage_from

XAI_TICKS_PER_USD = 1e10
"""xAI reports cost in ticks of 1e-10 USD."""


def _vendor(name: str, title: str, url: str, key: str = "", *, version: str = "/v1", prices: str = "") -> Provider:
    """Make the row of a hosted vendor; `prices` is its name in the price table where that differs."""
    table = prices or name
    return replace(
        OPENAI,
        name=name,
        title=title,
        root=url,
        version=version,
        key_env=(key or f"{name.upper()}_API_KEY",),
        inject_usage=False,
        price_prefixes=(f"{table}/",),
        price_families=(table,),
    )


def _local(name: str, title: str, port: int, key_env: tuple[str, ...] = ()) -> Provider:
    """Make the row of a server on this machine."""
    row = _vendor(name, title, f"http://127.0.0.1:{port}")
    return replace(row, key_env=key_env, inject_usage=True, is_local=True)


def _with_usage(row: Provider, adjust: type[_Adjusted]) -> Provider:
    return replace(row, usage=adjust.usage, answer=adjust.answer, stream=adjust)


class _Adjusted(OpenAIStream):
    """The dialect with usage read in a vendor's own way, streamed or not."""

    @classmethod
    def correct(cls, usage: Usage, raw: JSON) -> None:
        """Put right what this vendor counts differently."""

    @classmethod
    def usage(cls, body: JSON, request: JSON) -> Usage | None:
        """Read usage of any answer."""
        found = usage_from(body, request)
        raw = raw_usage(body)
        if found is not None and raw is not None:
            cls.correct(found, raw)
        return found

    @classmethod
    def answer(cls, operation: str, request: JSON, body: JSON) -> Completion:
        """Read a whole answer."""
        completion = answer(operation, request, body)
        completion.usage = cls.usage(body, request)
        return completion

    @property
    def result(self) -> Completion:
        """The answer as far as it has come."""
        completion = super().result
        if completion.body is not None:
            completion.usage = self.usage(completion.body, self._request)
        return completion


class _XAI(_Adjusted):
    @classmethod
    def correct(cls, usage: Usage, raw: JSON) -> None:
        """Chat leaves reasoning out of completion_tokens, and total says so; Responses includes it."""
        prompt, completion, total = usage.prompt_tokens, usage.completion_tokens, count(raw.get("total_tokens"))
        if prompt is not None and completion is not None and usage.reasoning_tokens and "prompt_tokens" in raw:
            whole = completion + usage.reasoning_tokens
            if total is not None and prompt + completion < total:
                usage.completion_tokens = min(whole, total - prompt)
        ticks = number(raw.get("cost_in_usd_ticks"))
        if ticks is not None:
            usage.reported_cost = ticks / XAI_TICKS_PER_USD


class _Perplexity(_Adjusted):
    @classmethod
    def correct(cls, usage: Usage, raw: JSON) -> None:
        """The cost Perplexity reports holds fees that tokens do not show."""
        usage.reported_cost = number(member(raw, "cost").get("total_cost"))
        usage.web_searches = count(raw.get("num_search_queries")) or 0
        size = raw.get("search_context_size")
        usage.search_context_size = size if isinstance(size, str) else usage.search_context_size


class _OpenRouter(_Adjusted):
    @classmethod
    def correct(cls, usage: Usage, raw: JSON) -> None:
        """OpenRouter bills what it reports; with a key of one's own (BYOK) the upstream's bill comes on top."""
        cost = number(raw.get("cost"))
        upstream = number(member(raw, "cost_details").get("upstream_inference_cost"))
        if cost is not None:
            usage.reported_cost = cost + (upstream or 0.0 if raw.get("is_byok") is True else 0.0)


GROQ = replace(_vendor("groq", "Groq", "https://api.groq.com/openai"), inject_usage=True)
MISTRAL = _vendor("mistral", "Mistral AI", "https://api.mistral.ai")
TOGETHER = _vendor("together", "Together AI", "https://api.together.ai", prices="together_ai")
PERPLEXITY = _with_usage(_vendor("perplexity", "Perplexity", "https://api.perplexity.ai", version=""), _Perplexity)
OPENROUTER = _with_usage(_vendor("openrouter", "OpenRouter", "https://openrouter.ai/api"), _OpenRouter)
DEEPSEEK = replace(_vendor("deepseek", "DeepSeek", "https://api.deepseek.com"), inject_usage=True)
XAI = _with_usage(replace(_vendor("xai", "xAI", "https://api.x.ai"), inject_usage=True), _XAI)
FIREWORKS = replace(
    _vendor("fireworks", "Fireworks AI", "https://api.fireworks.ai/inference", prices="fireworks_ai"),
    price_prefixes=("fireworks_ai/", "fireworks_ai/accounts/fireworks/models/"),
    price_families=("fireworks_ai", "fireworks_ai-embedding-models"),
)
CEREBRAS = _vendor("cerebras", "Cerebras", "https://api.cerebras.ai")
NVIDIA = replace(
    _vendor("nvidia", "NVIDIA NIM", "https://integrate.api.nvidia.com", prices="nvidia_nim"),
    key_env=("NVIDIA_API_KEY", "NVIDIA_NIM_API_KEY"),
)
HUGGINGFACE = _vendor("huggingface", "Hugging Face", "https://router.huggingface.co", "HF_TOKEN")
MOONSHOT = _vendor("moonshot", "Moonshot AI", "https://api.moonshot.ai")
ZAI = _vendor("zai", "Z.ai", "https://api.z.ai/api/paas", version="/v4")
MINIMAX = _vendor("minimax", "MiniMax", "https://api.minimax.io")
DEEPINFRA = _vendor("deepinfra", "DeepInfra", "https://api.deepinfra.com", version="/v1/openai")
SAMBANOVA = _vendor("sambanova", "SambaNova", "https://api.sambanova.ai")

LMSTUDIO = _local("lmstudio", "LM Studio", 1234, ("LM_STUDIO_API_KEY",))
VLLM = _local("vllm", "vLLM", 8000, ("VLLM_API_KEY",))
LLAMACPP = _local("llamacpp", "llama.cpp", 8080)
