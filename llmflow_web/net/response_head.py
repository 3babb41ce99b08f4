"""Reading one response head from bytes cut anywhere: the fast lane first, else h11 fed the same bytes.

Only heads are read here; the bytes behind them are handed back untouched, for the body's framing is walked elsewhere.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llmflow_web.errors import UpstreamProtocol
from llmflow_web.wire.head import (
    FRAMING_CHUNKED,
    MAX_HEAD_BYTES,
    ResponseHead,
    parse_response_head,
    response_head_from_h11,
)
from llmflow_web.wire.headers import get

if TYPE_CHECKING:
    import h11

_START = b"HTTP/1."
_LENIENT_END = re.compile(rb"\n\r?\n")  # h11 takes bare LF for a line end
_TOO_LONG = f"the head of the answer is longer than {MAX_HEAD_BYTES} bytes"


class HeadReader:
    """Reads the final (not 1xx) head of one response; a 101 that was asked for is final too."""

    __slots__ = ("_asks_upgrade", "_held", "_judge", "_method")

    def __init__(self, method: str, *, asks_upgrade: bool = False) -> None:
        self._method = method.encode("ascii")
        self._asks_upgrade = asks_upgrade
        self._held = bytearray()
        self._judge: h11.Connection | None = None

    def feed(self, data: bytes) -> tuple[ResponseHead, bytes] | None:
        """Take bytes; return the head and what came behind it, or None when more is needed.

        Raises UpstreamProtocol.
        """
        if self._judge is not None:
            return self._ask_judge(data)
        seen = max(0, len(self._held) - 3)
        self._held += data
        if not self._held.startswith(_START[: len(self._held)]):
            raise UpstreamProtocol("what came is not an HTTP/1.1 answer")
        if _LENIENT_END.search(self._held, seen) is None:
            if len(self._held) > MAX_HEAD_BYTES:
                raise UpstreamProtocol(_TOO_LONG)
            return None
        whole = bytes(self._held)
        end = whole.find(b"\r\n\r\n") + 4
        head = parse_response_head(whole[:end], self._method) if end > 3 else None
        if head is not None:
            return head, whole[end:]
        self._judge = self._new_judge()
        self._held.clear()
        return self._ask_judge(whole)

    def _new_judge(self) -> h11.Connection:
        import h11  # 10 ms to load: only for answers that are not plain

        judge = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)
        headers = [("host", "x"), ("upgrade", "x")] if self._asks_upgrade else [("host", "x")]
        # Only the method and the wish to switch protocols bear on how an answer is read.
        target = b"x:1" if self._method == b"CONNECT" else b"/"
        judge.send(h11.Request(method=self._method, target=target, headers=headers))
        judge.send(h11.EndOfMessage())
        return judge

    def _ask_judge(self, data: bytes) -> tuple[ResponseHead, bytes] | None:
        import h11

        judge = self._judge
        assert judge is not None  # both callers have made it
        try:
            judge.receive_data(data)
            while True:
                event = judge.next_event()
                if event is h11.NEED_DATA:
                    return None
                if isinstance(event, h11.Response) or (
                    isinstance(event, h11.InformationalResponse) and event.status_code == 101
                ):
                    return self._convert(event), judge.trailing_data[0]
        except (h11.RemoteProtocolError, ValueError) as error:
            raise UpstreamProtocol(f"the answer is not HTTP/1.1: {error}") from error

    def _convert(self, event: h11.Response | h11.InformationalResponse) -> ResponseHead:
        head = response_head_from_h11(
            event.status_code, event.reason, event.http_version, event.headers.raw_items(), self._method
        )
        if head.framing == FRAMING_CHUNKED and get(head.headers, b"content-length") is not None:
            head.keep_alive = False  # RFC 9112 §6.3: the two may disagree on where the next answer begins
        return head
