"""Asking a running server over HTTP, with nothing but the standard library."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from llmflow_web.app.cli.sources import Answer, Params
from llmflow_web.errors import ConfigError, LLMFlowError, NotFound
from llmflow_web.model import JSON

if TYPE_CHECKING:
    from http.client import HTTPConnection

ANSWER_TIMEOUT_S = 120.0
MAX_ATTEMPTS = 30
MAX_PAUSE_S = 5.0


def checked_url(text: str) -> str:
    """Return a dashboard's address without what stands behind it.

    Raises:
        ConfigError: It is none.
    """
    from urllib.parse import urlsplit

    url = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_good = False
    if not is_good or not url.isprintable() or " " in url or "@" in url:
        raise ConfigError(f"--url {text[:200]!r} is not an address such as http://127.0.0.1:3000")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def connection_to(url: str, timeout_s: float) -> tuple[HTTPConnection, str]:
    """Return a connection to a server, not yet made, and the path all paths stand behind."""
    from http.client import HTTPConnection, HTTPSConnection
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    return kind(parts.hostname or "", parts.port, timeout=timeout_s), parts.path


class ServerSource:
    """A running server's API."""

    def __init__(self, url: str, token: str | None) -> None:
        """Ask the dashboard at `url`, which is not contacted yet."""
        self.where = url
        self.token = token
        self._connection: HTTPConnection | None = None
        self._root = ""

    def __repr__(self) -> str:
        return f"<ServerSource {self.where}>"

    def get(self, path: str, params: Params | None = None) -> Answer:
        """Return the answer to GET `path`. Raises LLMFlowError."""
        from urllib.parse import urlencode

        query = urlencode({name: value for name, value in (params or {}).items() if value}, errors="surrogateescape")
        answer = self._ask("GET", f"{path}?{query}" if query else path)
        headers = answer.headers
        return Answer(
            answer.value,
            _without_filter_notes(str(headers.get("x-llmflow-note") or "")),
            headers.get("x-llmflow-next-cursor"),
            int(headers.get("x-llmflow-change") or 0),
        )

    def post(self, path: str, body: JSON, headers: Mapping[str, str] | None = None) -> Any:
        """Return the answer to POST `path`, sent with more `headers`. Raises LLMFlowError."""
        return self._ask("POST", path, json.dumps(body).encode(), headers).value

    def close(self) -> None:
        """Hang up."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(
        self, method: str, path: str, body: bytes | None = None, more: Mapping[str, str] | None = None
    ) -> _Answered:
        """Ask, again after a pause where the server says that it is busy."""
        for _ in range(MAX_ATTEMPTS):
            answer = self._send(method, path, body, more or {})
            if answer.status != 503 or answer.pause_s is None:
                break
            time.sleep(answer.pause_s)
        if answer.status == 404:
            raise NotFound(answer.sentence)
        if answer.status in (401, 403):
            raise LLMFlowError(f"{self.where} does not let us in: {answer.sentence} LLMFLOW_TOKEN holds its token.")
        if answer.status >= 300:
            raise LLMFlowError(f"{self.where} answered {answer.status}: {answer.sentence}")
        return answer

    def _send(self, method: str, path: str, body: bytes | None, more: Mapping[str, str]) -> _Answered:
        from http.client import HTTPException

        headers = {"accept": "application/json", **more}
        if body is not None:
            headers["content-type"] = "application/json"
        if self.token:
            headers["x-llmflow-token"] = self.token
        is_used = self._connection is not None
        try:
            if self._connection is None:
                self._connection, self._root = connection_to(self.where, ANSWER_TIMEOUT_S)
            self._connection.request(method, self._root + path, body, headers)
            answer = self._connection.getresponse()
            return _Answered(answer.status, answer.headers, answer.read())
        except (OSError, HTTPException, UnicodeError) as error:
            self.close()
            if is_used and method == "GET":  # it may have been closed while nothing was asked
                return self._send(method, path, body, more)
            raise LLMFlowError(f"{self.where} cannot be reached: {error or type(error).__name__}.") from error


def _without_filter_notes(note: str) -> str:
    """Leave out what is said of the filter: the commands read it themselves, and a header has no “”."""
    return "; ".join(
        one for one in note.split("; ") if one and "searched as text" not in one and "terms were" not in one
    )


class _Answered:
    """An answer as it came."""

    def __init__(self, status: int, headers: Any, data: bytes) -> None:
        self.status = status
        self.headers = headers
        self._data = data

    @property
    def value(self) -> Any:
        """What it says. Raises LLMFlowError when it is no JSON: what answered is not LLMFlow."""
        try:
            return json.loads(self._data) if self._data else None
        except ValueError as error:
            raise LLMFlowError("What answers there is not LLMFlow's dashboard.") from error

    @property
    def pause_s(self) -> float | None:
        """How long the server wants to be left alone; None: it does not say."""
        told = self.headers.get("retry-after")
        return min(float(told), MAX_PAUSE_S) if told and told.isascii() and told.isdecimal() else None

    @property
    def sentence(self) -> str:
        """The error in words."""
        try:
            found = json.loads(self._data)["error"]
            text = str(found["message"] if isinstance(found, dict) else found)
        except (ValueError, KeyError, TypeError):
            text = self._data[:200].decode("utf-8", "replace").strip() or "no reason was given"
        return text[:500] if text.endswith(".") else f"{text[:500]}."
