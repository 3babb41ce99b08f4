"""What tests share: a scripted upstream, a whole LLMFlow on two free ports, a database."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_upstream import FakeUpstream
from hypothesis import HealthCheck, settings

PATIENCE_S = 60.0
POLL_S = 0.01

# A shell's background job is started with Ctrl-C ignored, and programs inherit that: those under test shall hear it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# An example may take its time: the machine may be slow or busy. In CI the examples are the same every time, so that a
# change is judged by what it changes; new ones are found where people work.
settings.register_profile(
    "patient",
    settings.default,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=bool(os.environ.get("CI")),
)
settings.load_profile("patient")


class Flow:
    """A whole LLMFlow, running in a thread, with its data in a folder of the test's."""

    def __init__(
        self, data_dir: Path, upstreams: dict[str, str], env: dict[str, str] | None = None, **settings: Any
    ) -> None:
        # Imported here, so that a test of one room needs no other.
        from llmflow_web.app.config import load
        from llmflow_web.app.serve import Server
        from llmflow_web.app.settings import UpstreamSetting
        from llmflow_web.console import Console

        flags = {"proxy_port": ["0"], "dashboard_port": ["0"], "data_dir": [str(data_dir)]}
        named = {
            name: UpstreamSetting(name, url, "the test", free=False if name == "openai" else None)
            for name, url in upstreams.items()
        }
        more = {"price_refresh": False, "stop_grace": 1.0} | settings
        self.config = replace(load(flags, {}), upstreams=named, **more)
        self.said = io.StringIO()
        self._server = Server(self.config, Console(self.said), env)
        self._server.start()
        self.proxy_url = self._server.proxy_url
        self.dashboard_url = self._server.dashboard_url

    @property
    def house(self) -> Any:
        return self._server.house

    def stop(self) -> None:
        self._server.stop()

    def ask(self, path: str, *, method: str = "GET", body: Any = None, headers: dict[str, str] | None = None):
        """Ask the dashboard; return (status, headers, body bytes)."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.dashboard_url + path, data, method=method)
        for name, value in ({"Content-Type": "application/json"} | (headers or {})).items():
            request.add_header(name, value)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=PATIENCE_S) as response:
                return response.status, dict(response.headers), response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, dict(error.headers), error.read()

    def get(self, path: str) -> Any:
        """Return the JSON of a dashboard address that answers 200."""
        status, _, body = self.ask(path)
        assert status == 200, (path, status, body[:500])
        return json.loads(body)

    def wait_traces(self, count: int, query: str = "") -> list[dict[str, Any]]:
        """Wait until exactly `count` rows are listed (a moment more, to catch one too many), and return them."""
        end = time.monotonic() + PATIENCE_S
        rows: list[dict[str, Any]] = []
        while time.monotonic() < end:
            rows = self.get(f"/api/traces?limit=1000{query}")
            if len(rows) >= count:
                break
            time.sleep(POLL_S)
        assert len(rows) == count, rows
        return rows

    def everything_stored(self) -> str:
        """Return all that was written to the data directory, and all the API gives out, as one text."""
        raw = [path.read_bytes().decode("latin-1") for path in self.config.data_dir.iterdir() if path.is_file()]
        rows = self.get("/api/traces?limit=1000")
        details = [json.dumps(self.get(f"/api/traces/{row['id']}")) for row in rows]
        return "\n".join([*raw, *details, self.said.getvalue()])


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the home of whoever runs it, nor is steered by their environment."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    """A provider that speaks OpenAI's API with canned answers, on a loopback port."""
    with FakeUpstream.openai() as server:
        yield server


@pytest.fixture
def flow_at(tmp_path: Path) -> Iterator[Callable[..., Flow]]:
    """Start a whole LLMFlow with `name=url` upstreams, `settings={…}` and `env={…}`; it is stopped after the test."""
    with contextlib.ExitStack() as stack:

        def start(settings: dict[str, Any] | None = None, env: dict[str, str] | None = None, **upstreams: str) -> Flow:
            flow = Flow(tmp_path / "data", upstreams, env, **(settings or {}))
            stack.callback(flow.stop)
            return flow

        yield start


@pytest.fixture
def flow(flow_at: Callable[..., Flow], upstream: FakeUpstream) -> Flow:
    """A whole LLMFlow whose OpenAI is `upstream`."""
    return flow_at(openai=upstream.url)
