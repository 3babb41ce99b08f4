"""Clients of openai, anthropic and google-genai whose calls carry the current span. None of them is imported here.

All three send through an httpx client (httpx or httpx2). A wrapped client gets a twin of it: an object of a subclass
with the same connections, settings and cookies, whose `send` adds headers. (An event hook would do, were it not for
google-genai, whose client per loop knows no hooks.) Copies that are made of a wrapped client by `with_options` keep the
twin; other clients, and all classes there are, stay as they are.
"""

from __future__ import annotations

from functools import cache

from llmflow_web.sdk.settings import settings
from llmflow_web.sdk.spans import headers_of, labels_of, live

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar

    C = TypeVar("C")

_MARK = "_llmflow_origin"
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def wrap(client: C) -> C:
    """Return a client like `client` whose calls carry the current span's trace headers.

    openai and anthropic clients, sync and async, are copied. A google-genai client cannot be: it is changed and
    returned (async calls by an aiohttp client of your own carry nothing). Session, conversation and user go with a call
    only where it goes to LLMFlow.

    Raises:
        TypeError: It is no client of these.
    """
    known: Any = client
    google = getattr(known, "_api_client", None)
    if google is not None and hasattr(google, "_httpx_client"):
        _wrap_google(google)
        return client
    http = getattr(known, "_client", None)
    if not hasattr(http, "send") or not hasattr(known, "with_options"):
        raise TypeError(f"wrap() takes a client of openai, anthropic or google-genai, not {type(client).__name__}")
    if _is_twin(http):
        return client
    copied: C = known.with_options(http_client=_twin(http))
    return copied


def _wrap_google(api: Any) -> None:
    if not _is_twin(api._httpx_client):
        api._httpx_client = _twin(api._httpx_client)
    if api._async_httpx_client is not None and not _is_twin(api._async_httpx_client):
        api._async_httpx_client = _twin(api._async_httpx_client)
        if not api._http_options.aiohttp_client:
            # Where aiohttp is installed, async calls go by it: not those of this client, from now on.
            api._use_aiohttp = _no


def _no() -> bool:
    return False


def _is_twin(http: Any) -> bool:
    return _MARK in vars(http)


def _twin(http: Any) -> Any:
    """Return a client that shares everything with `http`, and adds headers to what it sends.

    `http` must not be collected while its twin is used, hence the mark.
    """
    own: Any = type(http)
    kind = _twin_class(own)
    twin = kind.__new__(kind)
    vars(twin).update(vars(http))
    vars(twin)[_MARK] = http
    return twin


@cache
def _twin_class(kind: Any) -> Any:
    if hasattr(kind, "aclose"):

        async def send(self: Any, request: Any, **options: Any) -> Any:
            _add_headers(request)
            return await kind.send(self, request, **options)

    else:

        def send(self: Any, request: Any, **options: Any) -> Any:  # type: ignore[misc]
            _add_headers(request)
            return kind.send(self, request, **options)

    # The SDKs' classes close their connections when they are collected; those are not ours to close then.
    return type(kind.__name__, (kind,), {"send": send, "__del__": lambda _self: None})


def _add_headers(request: Any) -> None:
    """Add what the call itself does not bring. Never raises."""
    try:
        span = live()
        headers = headers_of(span)
        if headers and _is_ours(request.url.host):
            headers.update(labels_of(span))
        for name, value in headers.items():
            request.headers.setdefault(name, value)
    except Exception:  # noqa: BLE001 - the call goes on without them
        return


def _is_ours(host: str) -> bool:
    """Say whether LLMFlow may be at `host`: labels name people, and are no business of a provider's."""
    place = settings.read().url.partition("//")[2].partition("/")[0].rpartition("@")[2]
    name = place if place.endswith("]") else place.rpartition(":")[0] or place
    return host in _LOOPBACK or host == name.strip("[]")
