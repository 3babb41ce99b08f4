"""A whole LLMFlow in a thread: starting, refusing to start, draining, and what the console tells."""

from __future__ import annotations

import io
import json
import socket
import sqlite3
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_upstream import CLOSE, HANG, FakeUpstream, wire

from llmflow_web.app import build, serve
from llmflow_web.app.config import load
from llmflow_web.app.serve import Server
from llmflow_web.app.settings import Config
from llmflow_web.console import Console
from llmflow_web.errors import StartRefused, StoreRefused

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"


@pytest.fixture
def config(tmp_path: Path) -> Config:
    flags = {"proxy_port": ["0"], "dashboard_port": ["0"], "data_dir": [str(tmp_path / "data")], "stop_grace": ["5s"]}
    return replace(load(flags, {}), price_refresh=False)


def post(url: str, body: Any) -> bytes:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
        return answer.read()


def test_it_starts_and_stops(config: Config) -> None:
    """Both ports are open between start and stop, and its repr says so."""
    server = Server(config, Console(io.StringIO()))
    server.start()
    port = int(server.proxy_url.rpartition(":")[2])
    socket.create_connection(("127.0.0.1", port), 5).close()
    assert repr(server) == "<Server listening>"
    server.stop()
    assert repr(server) == "<Server stopped>"
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), 1)


def test_both_loopback_addresses_share_a_port(config: Config) -> None:
    """The port found for 127.0.0.1 is served on ::1, too, where there is one."""
    with Server(config, Console(io.StringIO())) as server:
        port = int(server.proxy_url.rpartition(":")[2])
        socket.create_connection(("127.0.0.1", port), 5).close()
        if socket.has_ipv6:
            try:
                socket.create_connection(("::1", port), 5).close()
            except OSError as error:
                pytest.skip(f"no IPv6 loopback here: {error}")


def test_a_taken_port_is_refused_and_nothing_stays_open(config: Config) -> None:
    """A taken port raises with port and flag; the data directory is free again afterwards."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartRefused, match=f"port {port} .proxy. is taken.*--proxy-port"):
            Server(replace(config, proxy_port=port), Console(io.StringIO())).start()
    with Server(config, Console(io.StringIO())):
        pass


def test_one_data_dir_has_one_server(config: Config) -> None:
    """A second server on the same data directory is refused with the first one's process and ports."""
    with Server(config, Console(io.StringIO())) as server:
        port = server.proxy_url.rpartition(":")[2]
        with pytest.raises(StoreRefused, match=port):
            Server(config, Console(io.StringIO())).start()


def test_a_stream_may_finish_while_it_stops(config: Config, flow_at: Callable[..., Any], tmp_path: Path) -> None:
    """Stopping waits for a running stream, and its call is recorded."""
    with FakeUpstream() as upstream:
        upstream.script(wire(HEAD, b"data: {}\n\n", 0.5, b"data: [DONE]\n\n", CLOSE))
        flow = flow_at(openai=upstream.url, settings={"stop_grace": 5.0})
        stopper = threading.Timer(0.2, flow.stop)
        stopper.start()
        body = post(flow.proxy_url + "/v1/chat/completions", {"model": "m", "stream": True, "messages": []})
        stopper.join()
        assert body == b"data: {}\n\ndata: [DONE]\n\n"
        assert "/v1/chat/completions" in flow.said.getvalue() or " m " in flow.said.getvalue()


def test_the_grace_ends(flow_at: Callable[..., Any]) -> None:
    """A stream that does not end is broken off after the grace, and its row does not put that on the client."""
    with FakeUpstream() as upstream:
        upstream.script(wire(HEAD, b"data: {}\n\n", HANG))
        flow = flow_at(openai=upstream.url, settings={"stop_grace": 0.2})
        host, port = flow.proxy_url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), 5) as client:
            client.sendall(b"POST /v1/x HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n{}")
            assert client.recv(100)
            flow.stop()  # upstream would go on for ever
    with sqlite3.connect(flow.house.config.database) as database:
        ((status, error),) = database.execute("SELECT status, error FROM spans").fetchall()
    database.close()
    assert (status, error) == (499, "LLMFlow was stopped before the answer was complete")


def test_each_call_is_one_line(flow: Any) -> None:
    """A call's line is on the console once it is stored."""
    post(flow.proxy_url + "/v1/chat/completions", {"model": "gpt-4o-mini", "messages": []})
    end = time.monotonic() + 30
    while " tok" not in flow.said.getvalue() and time.monotonic() < end:
        time.sleep(0.01)
    lines = flow.said.getvalue().splitlines()
    assert len(lines) == 1
    assert "OK" in lines[0]
    assert "openai" in lines[0]


def test_a_server_in_a_thread_raises_what_kept_it(tmp_path: Path, config: Config) -> None:
    """A database that is not ours is refused in the caller's thread, and left alone."""
    path = tmp_path / "data" / "llmflow.db"
    path.parent.mkdir()
    path.write_bytes(b"precious")
    with pytest.raises(StoreRefused):
        Server(config, Console(io.StringIO())).start()
    assert path.read_bytes() == b"precious"


def test_trouble_with_the_store_is_told(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls go on while the database is locked; the console says why nothing is recorded, and what was lost at the end."""
    monkeypatch.setattr(build, "LOSS_CHECK_S", 0.02)
    said = io.StringIO()
    server = Server(config, Console(said))
    server.start()
    server.house.database.call(lambda connection: None).result(30)
    server.house.database._writer._connection.execute("PRAGMA busy_timeout = 10")
    other = sqlite3.connect(config.database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(urllib.error.HTTPError) as refused:  # no upstream there: a call that is recorded all the same
        post(server.proxy_url + "/ollama/v1/chat/completions", {"model": "m", "messages": []})
    refused.value.close()
    end = time.monotonic() + 30
    while "Calls go on" not in said.getvalue() and time.monotonic() < end:
        time.sleep(0.01)
    server.stop()
    other.execute("ROLLBACK")
    other.close()
    lines = said.getvalue().splitlines()
    assert [("locked" in line, "Calls go on" in line) for line in lines] == [(True, True), (True, False)]
    assert "1 calls and 0 bodies were not stored" in lines[-1]


def test_what_asyncio_complains_of_is_one_line(flow: Any) -> None:
    """Out of files, asyncio reports a thousand times a second; the console says it once."""
    loop = flow.house._loop
    context = {"message": "socket.accept() out of system resource", "exception": OSError(24, "Too many open files")}
    for _ in range(1000):
        loop.call_soon_threadsafe(loop.call_exception_handler, context)
    loop.call_soon_threadsafe(loop.call_exception_handler, {"message": "something else"})
    end = time.monotonic() + 30
    while "something else" not in flow.said.getvalue() and time.monotonic() < end:
        time.sleep(0.01)
    lines = flow.said.getvalue().splitlines()
    assert [line.partition("] ")[2] for line in lines] == [
        "socket.accept() out of system resource: [Errno 24] Too many open files",
        "something else",
    ]


def test_a_low_limit_of_open_files_is_raised() -> None:
    """A shell that allows 64 open files is no limit to the server, as long as the system allows more."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    try:
        serve._allow_files()
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 256
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
