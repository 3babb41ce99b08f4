"""What the server tests share: a server around a handler, and clients that speak literal bytes."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import h11

from llmflow_web.net.server import HttpServer, ServerLimits

QUICK = {"sweep_interval_s": 0.02}


class Served:
    """A running server, what its routes let out, and how to reach it."""

    def __init__(self, server, errors):
        self.server = server
        self.errors = errors

    async def connect(self, data: bytes = b""):
        """Open a connection and send `data`."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        if data:
            writer.write(data)
        return reader, writer

    async def exchange(self, *pieces: bytes) -> bytes:
        """Send pieces one by one (each in its own segment) and read until the server closes."""
        reader, writer = await self.connect()
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            return await asyncio.wait_for(reader.read(), 60)
        finally:
            writer.close()

    async def settle(self, count: int = 0) -> None:
        """Wait until the server has `count` connections."""
        await until(lambda: len(self.server.connections) == count)


async def until(condition) -> None:
    """Wait until `condition()` holds."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def serving(handler, *, fast_lane=True, **limits):
    """Run a server for `handler` on a free port."""
    errors = []
    server = HttpServer(
        handler,
        limits=ServerLimits(**limits),
        name="test",
        fast_lane=fast_lane,
        on_error=lambda _call, error: errors.append(error),
    )
    await server.start("127.0.0.1", 0)
    try:
        yield Served(server, errors)
    finally:
        await server.stop()


def answers(data: bytes, *methods: bytes) -> list[tuple[int, dict[bytes, bytes], bytes]]:
    """Read a stream of answers as h11 reads them; `methods` are those asked (GET beyond them)."""
    found = []
    wanted = list(methods)
    while data:
        connection = h11.Connection(h11.CLIENT)
        method = wanted.pop(0) if wanted else b"GET"
        connection.send(h11.Request(method=method, target=b"/", headers=[(b"host", b"a")]))
        connection.send(h11.EndOfMessage())
        connection.receive_data(data)
        connection.receive_data(b"")
        head, body = None, b""
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            if isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.Response):
                head = event
        found.append((head.status_code, dict(head.headers), body))
        data = connection.trailing_data[0]
    return found
