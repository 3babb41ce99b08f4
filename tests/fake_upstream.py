r"""A byte-level scripted HTTP server: every answer is exact bytes, exact pauses and exact cuts, and all it got is kept.

One thread per connection on plain sockets, so that a script reads like what happens on the wire. Scripts are used up
in order, one per request; then the default one answers.

    with FakeUpstream().script(answer(200, body=b"hi"), wire(b"HTTP/1.1 200 OK\r\n", 0.1, b"…", RESET)) as upstream:
        … upstream.url … upstream.requests[0].body

By hand: `python tests/fake_upstream.py --port 8089 --gap 0.1` speaks OpenAI's API with canned answers.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import select
import socket
import ssl
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Self

HANG = object()
"""A step: say nothing more until the client goes."""
CLOSE = object()
"""A step: close the connection (FIN; over TLS without close_notify)."""
RESET = object()
"""A step: close the connection with RST."""


class ClientGone(Exception):
    """The client closed the connection before the script was through."""


class Hangup(Exception):
    """The script closed the connection."""


class Received:
    """One request as it came, filled while it comes."""

    def __init__(self, head: bytes, connection: int) -> None:
        self.head = head  # request line and header lines, with the blank line
        self.connection = connection  # 1 is the first connection made
        lines = head[:-4].decode("latin-1").split("\r\n")
        self.method, self.target, self.version = lines[0].split(" ")
        self.headers: list[tuple[str, str]] = []
        for line in lines[1:]:
            name, _, value = line.partition(":")
            self.headers.append((name, value.strip()))
        self.body = b""  # payload
        self.wire_body = b""  # with its chunk framing, if any
        self.is_complete = False  # the whole body came
        self.is_answered = False  # the script ran to its end
        self.client_closed_at: float | None = None  # time.monotonic() when the client left early
        self.started_at = time.monotonic()

    def header(self, name: str) -> str | None:
        return next((value for found, value in self.headers if found.lower() == name.lower()), None)

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    def json(self):
        return json.loads(self.body)

    def __repr__(self) -> str:
        return f"<Received {self.method} {self.target} {len(self.body)} bytes on connection {self.connection}>"


class Talk:
    """One request and the way to answer it: what a script gets."""

    def __init__(self, connection: _Connection, request: Received) -> None:
        self._connection = connection
        self.request = request
        self.upstream = connection.upstream

    def body(self, *, slice_bytes: int = 65536, pause_s: float = 0.0) -> bytes:
        """Read the request's body (slowly, in slices with a pause after each, if asked to)."""
        self._connection.read_body(self.request, slice_bytes, pause_s)
        return self.request.body

    def send(self, data: bytes) -> None:
        self._connection.send(data)

    def wait(self, seconds: float) -> None:
        """Wait, and notice at once if the client goes."""
        self._connection.wait(seconds)

    def recv(self) -> bytes:
        """Read raw bytes behind the request (after an upgrade); b"" when the client is gone."""
        return self._connection.recv_raw()

    def hang(self) -> None:
        self._connection.wait(60)

    def close(self) -> None:
        raise Hangup

    def reset(self) -> None:
        self._connection.linger_zero()
        raise Hangup


Script = Callable[[Talk], None]


def wire(*steps: object, reads_body: bool = True) -> Script:
    """Answer with exact steps: bytes are sent, numbers are waited for, HANG, CLOSE and RESET do what they say."""

    def script(talk: Talk) -> None:
        if reads_body:
            talk.body()
        for step in steps:
            if isinstance(step, bytes):
                talk.send(step)
            elif step is HANG:
                talk.hang()
            elif step is CLOSE:
                talk.close()
            elif step is RESET:
                talk.reset()
            else:
                talk.wait(float(step))

    return script


def head_of(status: int, headers: Iterable[tuple[str, str]] = (), reason: str = "Answer") -> bytes:
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def answer(
    status: int = 200,
    headers: Sequence[tuple[str, str]] = (),
    body: bytes = b"",
    *,
    content_type: str = "application/json",
    delay_s: float = 0.0,
    keep_alive: bool = True,
) -> Script:
    """Answer with a whole body in one write."""
    lines = [("content-type", content_type), ("content-length", str(len(body))), *headers]
    if not keep_alive:
        lines.append(("connection", "close"))
    return wire(delay_s, head_of(status, lines) + body, *([] if keep_alive else [CLOSE]))


def stream(
    chunks: Sequence[bytes],
    headers: Sequence[tuple[str, str]] = (),
    *,
    content_type: str = "text/event-stream",
    gap_s: float = 0.0,
    ending: object = None,
) -> Script:
    """Answer 200 with one chunk per write; `ending` RESET, CLOSE or HANG leaves out the last chunk."""
    steps: list[object] = [head_of(200, [("content-type", content_type), ("transfer-encoding", "chunked"), *headers])]
    for data in chunks:
        steps += [gap_s, chunk(data)] if gap_s else [chunk(data)]
    return wire(*steps, b"0\r\n\r\n" if ending is None else ending)


def echo(talk: Talk) -> None:
    """Answer with what came: the default script."""
    body = talk.body()
    lines = [("content-type", talk.request.header("content-type") or "text/plain"), ("content-length", str(len(body)))]
    talk.send(head_of(200, lines) + (b"" if talk.request.method == "HEAD" else body))


class FakeUpstream:
    """The server: a context manager with `.url`, `.port`, and `.requests` in the order their heads came."""

    def __init__(self, default: Script = echo, *, tls=False, host: str = "127.0.0.1", port: int = 0) -> None:
        """Serve `default`. tls: True for a certificate of an own authority (`.ca`), or a trustme.CA to be signed by."""
        self.default = default
        self.requests: list[Received] = []
        self.connections = 0  # accepted so far
        self.open_connections = 0
        self.received_bytes = 0  # of all connections, heads included
        self.ca = None
        self._tls = self._tls_context(tls) if tls else None
        self._scripts: deque[Script] = deque()
        self._changed = threading.Condition()
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._address = (host, port)
        self._is_stopping = False

    @classmethod
    def openai(cls, *, gap_s: float = 0.0, **options) -> FakeUpstream:
        """Serve canned answers in the shapes of OpenAI's API; `gap_s` between two events of a stream."""
        from openai_like import OpenAILike

        return cls(OpenAILike(gap_s=gap_s), **options)

    def _tls_context(self, tls) -> ssl.SSLContext:
        import trustme

        self.ca = trustme.CA() if tls is True else tls
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert("localhost", "127.0.0.1", "::1").configure_cert(context)
        context.set_alpn_protocols(["http/1.1"])
        return context

    # ── life ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> Self:
        host, port = self._address
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.socket(family, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((host, port))
        self._listener.listen(1024)
        self.port = self._listener.getsockname()[1]
        self._spawn(self._accept)
        return self

    def stop(self) -> None:
        self._is_stopping = True
        with contextlib.suppress(OSError):  # wakes the accepting thread
            socket.create_connection(self._listener.getsockname()[:2], 1).close()
        with self._changed:
            for sock in self._sockets:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(60)
        self._listener.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        host = f"[{self._address[0]}]" if ":" in self._address[0] else self._address[0]
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}"

    def script(self, *scripts: Script) -> FakeUpstream:
        """Queue scripts: one per request, then the default again."""
        self._scripts.extend(scripts)
        return self

    def wait_until(self, is_true: Callable[[], bool], timeout_s: float = 30.0) -> None:
        """Wait for something to have happened here; fails the test if it does not."""
        with self._changed:
            if not self._changed.wait_for(is_true, timeout_s):
                raise AssertionError(f"did not happen within {timeout_s} s; requests: {self.requests}")

    def close_connections(self) -> None:
        """Close every connection that is open now, as a server does after its idle time."""
        with self._changed:
            for sock in self._sockets:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    # ── threads ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _spawn(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            if self._is_stopping:
                sock.close()
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            self._spawn(self._serve, sock, self.connections)

    def _serve(self, sock: socket.socket, number: int) -> None:
        with self.changing():
            self._sockets.add(sock)
            self.open_connections += 1
        connection = _Connection(self, sock, number)
        try:
            if self._tls is not None:
                connection.start_tls(self._tls)
            connection.serve()
        except (OSError, ClientGone, Hangup):
            pass
        finally:
            with self.changing():
                self._sockets -= {sock, connection.sock}
                self.open_connections -= 1
            connection.sock.close()
            sock.close()

    @contextlib.contextmanager
    def changing(self):
        """Change what tests may wait for."""
        with self._changed:
            yield
            self._changed.notify_all()

    def next_script(self) -> Script:
        return self._scripts.popleft() if self._scripts else self.default


class _Connection:
    """One accepted connection."""

    def __init__(self, upstream: FakeUpstream, sock: socket.socket, number: int) -> None:
        self.upstream = upstream
        self.sock = sock
        self.number = number
        self._buffer = bytearray()
        self._is_body_read = True

    def start_tls(self, context: ssl.SSLContext) -> None:
        tls = context.wrap_socket(self.sock, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=True)
        self.sock = tls
        with self.upstream.changing():  # wrap_socket detaches the plain one
            self.upstream._sockets.add(tls)
        tls.do_handshake()

    def serve(self) -> None:
        while True:
            request = Received(bytes(self._read_until(b"\r\n\r\n")), self.number)
            with self.upstream.changing():
                self.upstream.requests.append(request)
            self._answer(request)
            if (request.header("connection") or "").lower() == "close":
                return

    def _answer(self, request: Received) -> None:
        self._is_body_read = False
        try:
            self.upstream.next_script()(Talk(self, request))
            with self.upstream.changing():
                request.is_answered = True
            self.read_body(request, 65536, 0.0)
        except Hangup:
            with self.upstream.changing():
                request.is_answered = True
            raise
        except (ClientGone, OSError):
            with self.upstream.changing():
                request.client_closed_at = time.monotonic()
            raise ClientGone from None

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _fill(self, size: int = 65536) -> None:
        data = self.sock.recv(size)
        if not data:
            raise ClientGone
        self._buffer += data
        self.upstream.received_bytes += len(data)

    def _read_until(self, end: bytes) -> bytes:
        while (at := self._buffer.find(end)) < 0:
            self._fill()
        return self._take(at + len(end))

    def _take(self, size: int) -> bytes:
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    def read_body(self, request: Received, slice_bytes: int, pause_s: float) -> None:
        if self._is_body_read:
            return
        self._is_body_read = True
        if (request.header("expect") or "").lower() == "100-continue":
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        pieces: list[bytes] = []
        try:
            if "chunked" in (request.header("transfer-encoding") or "").lower():
                self._read_chunked(request, pieces)
            else:
                self._read_length(int(request.header("content-length") or 0), pieces, slice_bytes, pause_s)
        finally:
            request.body = b"".join(pieces)
        with self.upstream.changing():
            request.wire_body = request.wire_body or request.body
            request.is_complete = True

    def _read_length(self, left: int, pieces: list[bytes], slice_bytes: int, pause_s: float) -> None:
        while left:
            if not self._buffer:
                self._fill(slice_bytes)
            piece = self._take(min(left, slice_bytes))
            pieces.append(piece)
            left -= len(piece)
            if pause_s:
                time.sleep(pause_s)

    def _read_chunked(self, request: Received, pieces: list[bytes]) -> None:
        seen: list[bytes] = []
        while True:
            line = self._read_until(b"\r\n")
            seen.append(line)
            size = int(line.split(b";")[0], 16)
            if size == 0:
                while seen[-1] != b"\r\n":
                    seen.append(self._read_until(b"\r\n"))
                request.wire_body = b"".join(seen)
                return
            while len(self._buffer) < size + 2:
                self._fill()
            data = self._take(size + 2)
            seen.append(data)
            assert data.endswith(b"\r\n"), "a chunk is longer than its size says"
            pieces.append(data[:-2])

    def recv_raw(self) -> bytes:
        if self._buffer:
            return self._take(len(self._buffer))
        try:
            return self.sock.recv(65536)
        except OSError:
            return b""

    # ── writing and waiting ──────────────────────────────────────────────────────────────────────────────────────

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def wait(self, seconds: float) -> None:
        if not self._is_body_read:  # what the client sends belongs to a body that is left unread on purpose
            time.sleep(seconds)
            return
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            poller = select.poll()
            poller.register(self.sock.fileno(), select.POLLIN)
            if poller.poll(left * 1000):
                self._fill()

    def linger_zero(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def main() -> None:
    """Serve the OpenAI-like answers until Ctrl-C."""
    parser = argparse.ArgumentParser(description="A fake OpenAI: canned answers, byte by byte.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--gap", type=float, default=0.05, help="seconds between two events of a stream")
    options = parser.parse_args()
    with FakeUpstream.openai(gap_s=options.gap, host=options.host, port=options.port) as upstream:
        print(f"{upstream.url}  (try: OPENAI_BASE_URL={upstream.url}/v1)", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
