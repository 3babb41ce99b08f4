"""What the client's tests share: a sink that remembers what it heard, and short ways to ask."""

from __future__ import annotations

import asyncio
import time

from llmflow_web.net.client import ClientLimits, HttpClient
from llmflow_web.wire.chunked import decode_chunked
from llmflow_web.wire.head import FRAMING_CHUNKED


class Sink:
    """A ResponseSink that keeps everything and says when it is over."""

    def __init__(self) -> None:
        self.head = None
        self.pieces: list[bytes] = []
        self.error = None
        self.events: list[str] = []
        self.over = asyncio.get_running_loop().create_future()
        self.begun = asyncio.get_running_loop().create_future()

    def response(self, head):
        self.events.append("response")
        self.head = head
        self.begun.set_result(None)

    def data(self, data):
        assert type(data) is bytes
        assert data
        self.events.append("data")
        self.pieces.append(data)

    def end(self):
        self.events.append("end")
        self.over.set_result(None)

    def fail(self, error):
        self.events.append("fail")
        self.error = error
        self.over.set_result(None)

    def pause_upload(self):
        self.events.append("pause")

    def resume_upload(self):
        self.events.append("resume")

    @property
    def wire(self) -> bytes:
        return b"".join(self.pieces)

    @property
    def body(self) -> bytes:
        return decode_chunked(self.wire) if self.head.framing == FRAMING_CHUNKED else self.wire

    async def wait(self, timeout_s: float = 30.0) -> Sink:
        async with asyncio.timeout(timeout_s):
            await self.over
        return self

    @property
    def outcome(self) -> tuple:
        """Return (status or None, body, error class name or None)."""
        status = self.head.status if self.head else None
        return status, self.wire, type(self.error).__name__ if self.error else None


def request_head(method: str = "GET", target: str = "/", *lines: str, length: int | None = None) -> bytes:
    all_lines = [f"{method} {target} HTTP/1.1", "Host: upstream", *lines]
    if length is not None:
        all_lines.append(f"Content-Length: {length}")
    return "\r\n".join([*all_lines, "", ""]).encode("latin-1")


def ask(client, url, method="GET", body=b"", *, target="/", lines=(), sink=None):
    """Send a whole request; return (call, sink)."""
    sink = sink or Sink()
    has_body = body or method in ("POST", "PUT")
    head = request_head(method, target, *lines, length=len(body) if has_body else None)
    return client.request(url, head, body, sink, method=method, is_complete=True, chunked=False), sink


async def get(client, url, method="GET", body=b"", **more) -> Sink:
    """Send a whole request and wait for the end of its answer."""
    return await ask(client, url, method, body, **more)[1].wait()


async def eventually(is_true, timeout_s: float = 30.0) -> bool:
    """Wait until something is so; False if it does not come to be."""
    end = time.monotonic() + timeout_s
    while not is_true() and time.monotonic() < end:
        await asyncio.sleep(0.005)
    return is_true()


async def pool_becomes(client, start: str) -> str:
    """Wait until the state of the client's only pool begins with `start`; return it whatever it is then."""
    await eventually(lambda: pool_repr(client).startswith(start))
    return pool_repr(client)


def run(scenario, *, environ=None, tls=None, **limits):
    """Run `await scenario(client)` with a client of its own, and close it."""
    troubles = []  # what asyncio would print: exceptions in callbacks

    async def main():
        asyncio.get_running_loop().set_exception_handler(lambda _, context: troubles.append(context))
        client = HttpClient(ClientLimits(**limits), environ=environ or {}, ssl_context_factory=tls)
        try:
            return await scenario(client)
        finally:
            await client.close()

    result = asyncio.run(main())
    assert troubles == []
    return result


def pool_repr(client) -> str:
    """Return the state of the client's only pool: "1 idle, 0 busy, 0 connecting, 0 waiting"."""
    (pool,) = client._pools.values()
    return repr(pool).partition("//")[2].partition(" ")[2].rstrip(">")
