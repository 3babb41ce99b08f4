"""The SDK's way to LLMFlow: spans go in at once, a thread posts them in batches. Standard library only.

The program is never held up and never hears of trouble: memory is bounded, what does not fit is dropped and counted,
and where nobody answers the pauses between attempts grow. One line on stderr is all that is ever said.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Waiting = tuple[dict[str, Any], int]  # a span and its weight

MAX_BATCH_SPANS = 200
MAX_BATCH_WEIGHT = 4 * 1024 * 1024
MAX_WAITING_SPANS = 4000
MAX_WAITING_WEIGHT = 32 * 1024 * 1024
"""About the bytes that spans may hold until they are delivered."""

LINGER_S = 1.0  # so long a span waits for others
POST_TIMEOUT_S = 5.0
EXIT_TIMEOUT_S = 2.0
FIRST_PAUSE_S, MAX_PAUSE_S = 0.5, 30.0
MAX_ANSWER_BYTES = 1024 * 1024
_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})

_encode = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), default=lambda value: f"<{type(value).__name__}>"
).encode


class Sender:
    """Takes spans and delivers them. Every method may be called from any thread, and even from a signal handler."""

    def __init__(self, post: Callable[[str, str | None, bytes], tuple[int, bytes]] | None = None) -> None:
        self.url = ""
        self.token: str | None = None
        self.prepare: Callable[[dict[str, Any]], dict[str, Any]] = lambda span: span
        self._post = post or post_json
        self._has_spoken = False
        self._reset()

    def _reset(self) -> None:
        # Reentrant: what the garbage collector ends while we hold it may be a span too.
        self._lock = threading.Condition(threading.RLock())
        self._spans: deque[Waiting] = deque()
        self._thread: threading.Thread | None = None
        self._weight = 0  # of what waits and what is under way
        self._since = 0.0  # when the oldest of those that wait came
        self._taken = 0  # spans ever taken in; those up to _settled are delivered or lost
        self._settled = 0
        self._hurry = 0  # no lingering for spans up to this one: somebody waits
        self._attempts = 0  # that failed
        self._is_closing = False
        self.sent = self.dropped = self.rejected = 0

    def __repr__(self) -> str:
        return f"<Sender to {self.url}: {self.stats()}>"

    def stats(self) -> dict[str, int]:
        """Return how many spans wait, were sent, were dropped here and were rejected there, and failed attempts."""
        with self._lock:
            return {
                "waiting": self._taken - self._settled,
                "sent": self.sent,
                "dropped": self.dropped,
                "rejected": self.rejected,
                "failed_attempts": self._attempts,
            }

    def put(self, span: dict[str, Any], weight: int) -> None:
        """Take a span; one that does not fit is dropped."""
        with self._lock:
            if self._taken - self._settled >= MAX_WAITING_SPANS or self._weight + weight > MAX_WAITING_WEIGHT:
                self.dropped += 1
                return
            if not self._is_running():
                self.dropped += 1
                return
            if not self._spans:
                self._since = time.monotonic()
            self._spans.append((span, weight))
            self._weight += weight
            self._taken += 1
            if len(self._spans) in (1, MAX_BATCH_SPANS):
                self._lock.notify_all()

    def _is_running(self) -> bool:
        if self._is_closing:
            return False
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="llmflow-sdk", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the interpreter is shutting down
                return False
            self._thread = thread
            self._flush_with_worker()
        return True

    def _flush_with_worker(self) -> None:
        """Have the last spans of a multiprocessing worker sent, too: it ends without running atexit."""
        process, util = sys.modules.get("multiprocessing.process"), sys.modules.get("multiprocessing.util")
        if process is not None and util is not None and process.parent_process() is not None:
            util.Finalize(None, self.flush, (EXIT_TIMEOUT_S,), exitpriority=0)

    def flush(self, timeout_s: float) -> bool:
        """Send what waits now, for at most `timeout_s`; say whether all of it arrived."""
        if threading.current_thread() is self._thread:  # a redaction hook that flushes would wait for itself
            return False
        with self._lock:
            wanted, failed, lost = self._taken, self._attempts, self.dropped + self.rejected
            if self._settled < wanted:
                self._hurry = wanted
                self._lock.notify_all()
                self._lock.wait_for(lambda: self._settled >= wanted or self._attempts > failed, timeout_s)
            return self._settled >= wanted and self.dropped + self.rejected == lost

    def redirect(self, url: str, token: str | None) -> None:
        """Send to another place from now on."""
        with self._lock:
            self.url, self.token = url, token
            self._lock.notify_all()

    def close(self, timeout_s: float | None = None) -> None:
        """Send what waits, for at most `timeout_s` (EXIT_TIMEOUT_S), and take nothing more."""
        with self._lock:
            self._is_closing = True
            thread = self._thread
            self._lock.notify_all()
        if thread is not None and thread is not threading.current_thread():
            thread.join(EXIT_TIMEOUT_S if timeout_s is None else timeout_s)
        with self._lock:
            lost = self._taken - self._settled
            self._settled += lost
            self.dropped += lost
        if lost:
            self._say(f"{lost} spans were not delivered to {self.url} before the end")

    def after_fork(self) -> None:
        """Begin anew in a forked child: the parent delivers what is the parent's."""
        self._reset()

    # ── the thread ───────────────────────────────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        while batch := self._take():
            body = self._body(batch)
            pause = FIRST_PAUSE_S
            while not self._attempt(body, batch):
                if not self._rest(pause):
                    return  # the end: close() counts what is left
                pause = min(MAX_PAUSE_S, pause * 2)

    def _take(self) -> list[Waiting]:
        """Wait for a batch worth sending; an empty one is the end."""
        with self._lock:
            while not self._is_closing and (wait := self._wait_s()) != 0:
                self._lock.wait(wait)
            batch: list[Waiting] = []
            weight = 0
            while self._spans and len(batch) < MAX_BATCH_SPANS and weight < MAX_BATCH_WEIGHT:
                batch.append(self._spans.popleft())
                weight += batch[-1][1]
            return batch

    def _wait_s(self) -> float | None:
        if not self._spans:
            return None
        if len(self._spans) >= MAX_BATCH_SPANS or self._settled < self._hurry:
            return 0
        return max(0.0, self._since + LINGER_S - time.monotonic())

    def _body(self, batch: list[Waiting]) -> bytes:
        texts = []
        for entry in list(batch):
            try:
                texts.append(_encode(self.prepare(entry[0])))
            except Exception:  # noqa: BLE001 - one span that cannot be written must not take the others with it
                batch.remove(entry)
                self._settle([entry], dropped=1)
        # A lone surrogate cannot be UTF-8; as \udXXX it is right inside a JSON string.
        return ('{"spans":[' + ",".join(texts) + "]}").encode("utf-8", "backslashreplace")

    def _attempt(self, body: bytes, batch: list[Waiting]) -> bool:
        """Post a batch; return False when it is worth another attempt."""
        try:
            status, answer = self._post(self.url, self.token, body)
        except Exception as error:  # noqa: BLE001 - whatever it is, the program must not hear of it
            return self._failed(f"{self.url} cannot be reached ({type(error).__name__})")
        if status in _RETRIED:
            return self._failed(f"{self.url} answers {status}")
        counts = _counts(answer)
        if counts is None:
            # Not LLMFlow, or not for us: the batch is given up, and the next one waits as after a failure.
            self._settle(batch, rejected=len(batch))
            self._failed(f"{self.url} does not take spans (status {status})")
            self._rest(MAX_PAUSE_S)
        else:
            self._settle(batch, sent=counts[0], rejected=counts[1])
        return True

    def _settle(self, batch: list[Waiting], *, sent: int = 0, rejected: int = 0, dropped: int = 0) -> None:
        with self._lock:
            self._settled += len(batch)
            self._weight -= sum(weight for _, weight in batch)
            self.sent += sent
            self.rejected += rejected
            self.dropped += dropped
            self._since = time.monotonic()
            self._lock.notify_all()

    def _failed(self, reason: str) -> bool:
        with self._lock:
            self._attempts += 1
            self._hurry = 0
            self._lock.notify_all()
            is_closing = self._is_closing
        if not is_closing:
            self._say(f"{reason}: spans wait in memory, at most {MAX_WAITING_SPANS}; LLMFLOW_SDK=off turns them off")
        return False

    def _rest(self, pause_s: float) -> bool:
        """Wait until the next attempt is due, or wanted now; return False at the end."""
        with self._lock:
            before = (self.url, self.token)
            self._lock.wait_for(
                lambda: self._is_closing or self._settled < self._hurry or before != (self.url, self.token), pause_s
            )
            return not self._is_closing

    def _say(self, text: str) -> None:
        if self._has_spoken:
            return
        self._has_spoken = True
        try:
            sys.stderr.write(f"[llmflow] {text}\n")
        except Exception:  # noqa: BLE001 - there may be no stderr, or a closed one
            return


def _counts(answer: bytes) -> tuple[int, int] | None:
    """Read how many spans were stored and rejected from LLMFlow's answer; None if it is not LLMFlow's."""
    try:
        told = json.loads(answer)
        return int(told["stored"]), int(told["rejected"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def post_json(url: str, token: str | None, body: bytes) -> tuple[int, bytes]:
    """Post to LLMFlow at `url` and return the status and the answer. Raises whatever goes wrong."""
    from http.client import HTTPConnection, HTTPSConnection
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    make = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = make(parts.hostname or "localhost", parts.port, timeout=POST_TIMEOUT_S)
    headers = {"Content-Type": "application/json", "Connection": "close"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    try:
        connection.request("POST", parts.path.rstrip("/") + "/api/spans", body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read(MAX_ANSWER_BYTES)
    finally:
        connection.close()
