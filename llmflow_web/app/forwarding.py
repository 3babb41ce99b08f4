"""From settings to a running forwarder: its endpoints, and its way out through the loop's HTTP client."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as FutureTimeout
from urllib.parse import urlsplit

from llmflow_web.app.settings import Config, endpoints_of
from llmflow_web.errors import StartRefused, UpstreamClosed, UpstreamTimeout
from llmflow_web.net.http import Client
from llmflow_web.record.forward import Forwarder, ForwardSettings, Post
from llmflow_web.wire.otlp_values import Signal

_OWN_HOSTS = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0"})  # noqa: S104 - compared, not bound
_SPARE_S = 5.0  # for the loop to give its answer, beyond the client's own timeout


def refuse_loop(endpoints: Mapping[Signal, str], ports: Sequence[int]) -> None:
    """Refuse to send to ourselves: what arrives would be sent again, for ever. Raises StartRefused."""
    for signal, url in endpoints.items():
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        if parts.hostname in _OWN_HOSTS and port in ports:
            raise StartRefused(
                f"{signal} would be forwarded to this LLMFlow itself (port {port}); name another backend"
            )


def make_forwarder(config: Config, client: Client, loop: asyncio.AbstractEventLoop) -> Forwarder | None:
    """Return a forwarder, not started, or None when there is nowhere to send to."""
    endpoints = endpoints_of(config)
    if not endpoints:
        return None
    settings = ForwardSettings(
        endpoints=endpoints,
        headers=config.forward_headers,
        is_json=config.forward_protocol == "json",
        is_gzip=config.forward_gzip,
        batch_items=config.forward_batch,
        interval_s=config.forward_interval,
        max_items=config.forward_queue,
        max_bytes=config.forward_memory,
        has_content=config.forward_content,
        is_raw=config.forward_raw,
    )
    return Forwarder(settings, poster(client, loop, config.forward_timeout))


def poster(client: Client, loop: asyncio.AbstractEventLoop, timeout_s: float) -> Post:
    """Return a `Post` that waits in its own thread while the loop does the work."""

    def post(url: str, headers: Sequence[tuple[str, str]], body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        answer = client.fetch("POST", url, headers, body, timeout_s=timeout_s)
        try:
            waiting = asyncio.run_coroutine_threadsafe(answer, loop)
        except RuntimeError as error:  # the loop has been closed
            answer.close()
            raise UpstreamClosed("LLMFlow is shutting down", is_retry_safe=True) from error
        try:
            status, lines, data = waiting.result(timeout_s + _SPARE_S)
        except FutureTimeout as error:
            waiting.cancel()
            raise UpstreamTimeout(f"no whole answer came within {timeout_s:g} s") from error
        except CancelledError as error:
            raise UpstreamClosed("LLMFlow is shutting down", is_retry_safe=True) from error
        return status, {name.decode("latin-1"): _value(line) for name, line in lines}, data

    return post


def _value(line: bytes) -> str:
    return line.partition(b":")[2].strip().decode("latin-1")
