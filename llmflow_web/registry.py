"""The single import point of the adapters: nothing else names `llmflow_web.providers`."""

from importlib import import_module

from llmflow_web.provider import Provider

PROVIDERS: tuple[Provider, ...] = import_module("llmflow_web.providers").PROVIDERS
