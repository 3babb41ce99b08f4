"""The adapters, one explicit table: order is the order in which they are listed to users."""

from __future__ import annotations

from llmflow_web.provider import Provider

from .anthropic import ANTHROPIC
from .azure import AZURE
from .cohere import COHERE
from .compatible import (
    CEREBRAS,
    DEEPINFRA,
    DEEPSEEK,
    FIREWORKS,
    GROQ,
    HUGGINGFACE,
    LLAMACPP,
    LMSTUDIO,
    MINIMAX,
    MISTRAL,
    MOONSHOT,
    NVIDIA,
    OPENROUTER,
    PERPLEXITY,
    SAMBANOVA,
    TOGETHER,
    VLLM,
    XAI,
    ZAI,
)
from .gemini import GEMINI
from .helicone import HELICONE
from .ollama import OLLAMA
from .openai import OPENAI

PROVIDERS: tuple[Provider, ...] = (
    OPENAI,
    OLLAMA,
    ANTHROPIC,
    GEMINI,
    COHERE,
    AZURE,
    GROQ,
    MISTRAL,
    TOGETHER,
    PERPLEXITY,
    OPENROUTER,
    DEEPSEEK,
    XAI,
    FIREWORKS,
    CEREBRAS,
    NVIDIA,
    HUGGINGFACE,
    MOONSHOT,
    ZAI,
    MINIMAX,
    DEEPINFRA,
    SAMBANOVA,
    LMSTUDIO,
    VLLM,
    LLAMACPP,
    HELICONE,
)
