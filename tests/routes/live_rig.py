"""A dashboard port with /ws on real sockets, and a client that speaks bytes."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import struct
from typing import Self

from llmflow_web.net.router import Router
from llmflow_web.net.server import HttpServer
from llmflow_web.record.hub import Hub
from llmflow_web.routes.live import Live
from llmflow_web.wire.websocket import apply_mask

PATIENCE_S = 30.0


class Client:
    """A WebSocket client over asyncio streams."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.head = b""

    @classmethod
    async def connect(cls, port: int, behind: bytes = b"", headers: str = "") -> Client:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        client = cls(reader, writer)
        key = base64.b64encode(os.urandom(16)).decode()
        writer.write(
            f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{headers}\r\n".encode()
            + behind
        )
        client.head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_S)
        return client

    def send(self, opcode: int, payload: bytes) -> None:
        self.writer.write(masked(opcode, payload))

    def send_json(self, value: object) -> None:
        self.send(1, json.dumps(value).encode())

    async def frame(self) -> tuple[int, bytes]:
        first, second = await asyncio.wait_for(self.reader.readexactly(2), PATIENCE_S)
        assert not second & 0x80
        size = second
        if size == 126:
            (size,) = struct.unpack("!H", await self.reader.readexactly(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", await self.reader.readexactly(8))
        return first & 0x0F, await self.reader.readexactly(size)

    async def message(self) -> dict:
        opcode, payload = await self.frame()
        assert opcode == 1, (opcode, payload)
        return json.loads(payload)

    async def rest(self) -> bytes:
        return await asyncio.wait_for(self.reader.read(), PATIENCE_S)

    async def close(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except ConnectionError:
            pass


def masked(opcode: int, payload: bytes) -> bytes:
    mask = os.urandom(4)
    size = len(payload)
    head = bytes([0x80 | opcode]) + (bytes([0x80 | size]) if size <= 125 else struct.pack("!BH", 0x80 | 126, size))
    return head + mask + apply_mask(payload, mask)


class Rig:
    """A port with /ws, opened and closed by `async with`."""

    def __init__(self, **given) -> None:
        self.hub = Hub(self.stats, coalesce_s=0.01, stats_every_s=0.01)
        self.live = Live(self.hub, **given)
        self.router = Router()
        self.live.register(self.router)
        self.server = HttpServer(self.router, name="dashboard")
        self.clients: list[Client] = []

    async def stats(self) -> dict:
        return {"total_requests": 1}

    async def connect(self, behind: bytes = b"", headers: str = "") -> Client:
        client = await Client.connect(self.server.port, behind, headers)
        self.clients.append(client)
        return client

    async def __aenter__(self) -> Self:
        await self.server.start("127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self.clients:
            await client.close()
        await self.live.stop()
        self.hub.close()
        await self.server.stop()
        await asyncio.sleep(0)
