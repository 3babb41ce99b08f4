"""The demo's side of the wire: sends calls to the proxy as a program would, and remembers what it sent and saw.

Plain `http.client`, one connection per call, no code of the proxy: what it saw is evidence.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any
from urllib.parse import urlsplit

from llmflow_web.app.fake_provider import JSON, Answer, prompt_key, usage_of

TIMEOUT_S = 30.0
DEMO_KEY = "sk-demo-4f1c2b7a9e8d4c3fb6a5908172635441"


@dataclass(slots=True)
class Sent:
    """One call as the client saw it."""

    provider: str
    request: JSON
    answer: Answer
    headers: Mapping[str, str]
    status: int = 0
    trace_id: str = ""
    span_id: str = ""
    body: JSON | None = None  # a whole answer; None for a stream
    text: str = ""
    is_cut: bool = False
    duration_ms: float = 0.0

    @property
    def is_stream(self) -> bool:
        """Say whether a stream was asked for."""
        return bool(self.request.get("stream"))

    @property
    def usage(self) -> JSON | None:
        """The usage the provider reported, if it came that far."""
        return None if self.status != 200 or self.is_cut else usage_of(self.request, self.answer)


@dataclass(slots=True)
class Step:
    """One span of a program of the user's, as an SDK would report it."""

    id: str
    trace_id: str
    parent_id: str | None
    kind: str
    name: str
    input: Any = None
    output: Any = None
    attributes: JSON = field(default_factory=dict)
    started: float = 0.0

    @property
    def headers(self) -> dict[str, str]:
        """The headers that hang a proxied call under this span."""
        return {"X-Trace-Id": self.trace_id, "X-Parent-Id": self.id}


class Desk:
    """Sends the demo's calls and spans."""

    def __init__(
        self,
        proxy_url: str,
        dashboard_url: str,
        answers: MutableMapping[str, Answer],
        *,
        speed: float = 1.0,
        extra_headers: Mapping[str, str] | None = None,
    ) -> None:
        """Send to `proxy_url`; each call puts its answer into `answers`, where the fake provider finds it."""
        self._proxy = urlsplit(proxy_url)
        self._dashboard = urlsplit(dashboard_url)
        self._answers = answers
        self._speed = speed
        self._extra_headers = dict(extra_headers or {})
        self._lock = threading.Lock()
        self.sent: list[Sent] = []
        self.steps: list[Step] = []

    def call(
        self,
        provider: str,
        request: JSON,
        answer: Answer,
        *,
        headers: Mapping[str, str] | None = None,
        path: str = "/chat/completions",
    ) -> Sent:
        """Send one call through the proxy and read its answer to the end."""
        self._answers[prompt_key(request)] = answer
        sent = Sent(provider, request, answer, dict(headers or {}))
        prefix = "/v1" if provider == "openai" else f"/{provider}/v1"
        started = time.perf_counter()
        connection = HTTPConnection(self._proxy.hostname or "", self._proxy.port, timeout=TIMEOUT_S)
        try:
            connection.request("POST", prefix + path, json.dumps(request), self._headers(sent.headers))
            self._read(connection.getresponse(), sent)
        finally:
            connection.close()
        sent.duration_ms = (time.perf_counter() - started) * 1000
        with self._lock:
            self.sent.append(sent)
        return sent

    def _headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {DEMO_KEY}",
            "Content-Type": "application/json",
            "User-Agent": "harbor-travel/2.3 python",
            **headers,
            **self._extra_headers,
        }

    def _read(self, response: HTTPResponse, sent: Sent) -> None:
        sent.status = response.status
        sent.trace_id = response.getheader("x-llmflow-trace-id", "")
        sent.span_id = response.getheader("x-llmflow-span-id", "")
        is_stream = (response.getheader("Content-Type") or "").startswith("text/event-stream")
        try:
            if is_stream:
                _read_stream(response, sent)
            else:
                sent.body = json.loads(response.read())
                sent.text = _text_of(sent.body or {})
        except (HTTPException, OSError):
            sent.is_cut = True

    @contextmanager
    def span(self, kind: str, name: str, *, parent: Step | None = None, given: Any = None) -> Iterator[Step]:
        """Report the work done inside as one span, when it ends."""
        step = Step(
            id=_new_id(8),
            trace_id=parent.trace_id if parent else _new_id(16),
            parent_id=parent.id if parent else None,
            kind=kind,
            name=name,
            input=given,
            started=time.time(),
        )
        yield step
        self._report(step)

    def _report(self, step: Step) -> None:
        body = {
            "id": step.id,
            "trace_id": step.trace_id,
            "parent_id": step.parent_id,
            "span_type": step.kind,
            "span_name": step.name,
            "start_time": round(step.started * 1000),
            "end_time": round(time.time() * 1000),
            "input": step.input,
            "output": step.output,
            "attributes": step.attributes,
            "service_name": "harbor-travel",
        }
        status, answer = self.dashboard("POST", "/api/spans", body)
        if status != 201:
            raise RuntimeError(f"POST /api/spans answered {status}: {answer}")
        with self._lock:
            self.steps.append(step)

    def dashboard(self, method: str, path: str, body: JSON | None = None) -> tuple[int, Any]:
        """Ask the dashboard's API; return the status and the JSON that came."""
        connection = HTTPConnection(self._dashboard.hostname or "", self._dashboard.port, timeout=TIMEOUT_S)
        headers = {"Content-Type": "application/json", **self._extra_headers}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def work(self, seconds: float) -> None:
        """Pass the time a program takes for something of its own."""
        time.sleep(seconds / self._speed)


def _read_stream(response: HTTPResponse, sent: Sent) -> None:
    is_done = False
    for line in response:
        data = line.strip().removeprefix(b"data: ")
        if data == b"[DONE]":
            is_done = True
        elif data.startswith(b"{"):
            for choice in json.loads(data)["choices"]:
                sent.text += choice["delta"].get("content") or ""
    sent.is_cut = not is_done


def _text_of(body: JSON) -> str:
    return body["choices"][0]["message"]["content"] or "" if "choices" in body else ""


def _new_id(size: int) -> str:
    return f"{random.getrandbits(size * 8):0{size * 2}x}"
