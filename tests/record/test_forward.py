"""OTLP out: batching, patience with a backend in trouble, and honest counts."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from llmflow_web.errors import UpstreamUnreachable
from llmflow_web.model import Log, Metric, Row, Span
from llmflow_web.record.forward import Forwarder, ForwardSettings, retry_after_s
from llmflow_web.wire.otlp import decode, encode_response

PATIENCE_S = 30.0


class Backend:
    """Answers posts as it is told; remembers the bodies it took."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)  # a status, (status, headers, body) or an exception
        self.posts: list[tuple[str, dict[str, str], bytes]] = []
        self.taken: list[bytes] = []
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, url: str, headers: Any, body: bytes) -> tuple[int, dict[str, str], bytes]:
        self.gate.wait(PATIENCE_S)
        told = dict(headers)
        self.posts.append((url, told, body))
        answer = self.answers.pop(0) if self.answers else 200
        if isinstance(answer, Exception):
            raise answer
        status, answered, data = answer if isinstance(answer, tuple) else (answer, {}, b"")
        if 200 <= status < 300:
            self.taken.append(gzip.decompress(body) if told.get("content-encoding") == "gzip" else body)
        return status, answered, data

    def spans(self) -> list[str]:
        """Return the names of all spans taken, in order."""
        return [span.name for body in self.taken for span in decode("traces", body, is_json=False).items]


def row(number: int) -> Row:
    return Row(
        Span(
            trace_id=f"{number + 1:032x}",
            id=f"{number + 1:016x}",
            span_name=f"call {number}",
            start_ns=10**18,
            duration_ns=10**9,
            provider="openai",
            model="gpt-4o",
        )
    )


@pytest.fixture
def forward_to() -> Any:
    """Start a forwarder whose every signal goes to a backend; it is stopped after the test."""
    started: list[Forwarder] = []

    def start(backend: Backend, **settings: Any) -> Forwarder:
        endpoints = {name: f"http://backend/v1/{name}" for name in ("traces", "logs", "metrics")}
        forwarder = Forwarder(ForwardSettings(**{"endpoints": endpoints, "interval_s": 0.01} | settings), backend)
        for lane in forwarder._lanes.values():
            lane._pauses = (0.001, 0.002)
        forwarder.start()
        started.append(forwarder)
        return forwarder

    yield start
    for forwarder in started:
        forwarder.stop(0)


def wait_until(is_so: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.002)


def test_everything_put_arrives_in_order_and_in_batches(forward_to):
    """250 spans go out in their order, in requests of at most 100."""
    backend = Backend()
    forwarder = forward_to(backend, interval_s=60)
    forwarder.put([row(n) for n in range(250)])
    assert forwarder.flush(PATIENCE_S)
    assert backend.spans() == [f"call {n}" for n in range(250)]
    assert [len(decode("traces", body, is_json=False).items) for body in backend.taken] == [100, 100, 50]
    assert forwarder.state()["traces"]["sent"] == 250


def test_an_item_alone_leaves_after_the_interval(forward_to):
    """Nothing waits for a full batch for ever."""
    backend = Backend()
    forward_to(backend).put([row(1)])
    wait_until(lambda: backend.spans() == ["call 1"])


def test_each_signal_goes_to_its_own_endpoint(forward_to):
    """Spans, logs and metrics do not mix."""
    backend = Backend()
    forwarder = forward_to(backend)
    log = Log(id="1", time_ns=10**18, body="hello")
    metric = Metric(id="2", series="s", time_ns=10**18, name="m", metric_type="gauge", value_double=1.5)
    forwarder.put([row(1), log, metric])
    assert forwarder.flush(PATIENCE_S)
    assert sorted(url for url, _, _ in backend.posts) == [
        "http://backend/v1/logs", "http://backend/v1/metrics", "http://backend/v1/traces",
    ]  # fmt: skip


@pytest.mark.parametrize("trouble", [429, 502, 503, 504, UpstreamUnreachable("nobody there", is_retry_safe=True)])
def test_a_backend_in_trouble_is_asked_again(forward_to, trouble):
    """What may pass is tried again until it does; nothing is lost and nothing is sent out of order."""
    backend = Backend(trouble, trouble, 200)
    forwarder = forward_to(backend, batch_items=2)
    forwarder.put([row(n) for n in range(4)])
    assert forwarder.flush(PATIENCE_S)
    assert backend.spans() == [f"call {n}" for n in range(4)]
    state = forwarder.state()["traces"]
    assert (state["sent"], state["dropped"], state["refused"], state["retries"]) == (4, 0, 0, 2)


def test_retry_after_is_obeyed(forward_to):
    """The backend's own pause is used instead of ours."""
    backend = Backend((429, {"retry-after": "3600"}, b""))
    forwarder = forward_to(backend)
    forwarder.put([row(1)])
    wait_until(lambda: forwarder.state()["traces"]["retries"] == 1)
    assert not forwarder.flush(0.05)
    assert len(backend.posts) == 1


def test_a_refusal_loses_the_batch_and_says_so(forward_to):
    """400 is for good: those items are counted as refused, the next ones go on."""
    backend = Backend((400, {}, b"no such tenant"), 200)
    forwarder = forward_to(backend, batch_items=1)
    forwarder.put([row(1), row(2)])
    assert forwarder.flush(PATIENCE_S)
    state = forwarder.state()["traces"]
    assert (state["sent"], state["refused"]) == (1, 1)
    assert backend.spans() == ["call 2"]


def test_the_last_error_names_what_the_backend_said(forward_to):
    """Who looks at /api/export learns why."""
    forwarder = forward_to(Backend((401, {}, b"no such tenant")))
    forwarder.put([row(1)])
    assert forwarder.flush(PATIENCE_S)
    assert forwarder.state()["traces"]["last_error"] == "answered 401: no such tenant"


def test_a_batch_too_large_is_halved(forward_to):
    """413 for three items, then for two: all arrive in smaller requests."""
    backend = Backend(413, 200, 413)
    forwarder = forward_to(backend, interval_s=60)
    forwarder.put([row(n) for n in range(3)])
    assert forwarder.flush(PATIENCE_S)
    assert sorted(backend.spans()) == ["call 0", "call 1", "call 2"]
    assert forwarder.state()["traces"]["sent"] == 3


def test_what_the_backend_rejects_in_part_is_counted(forward_to):
    """Partial success: its number counts as refused, its words are shown, nothing is sent again."""
    partly = encode_response("traces", rejected=2, message="too old", is_json=False)
    backend = Backend((200, {}, partly))
    forwarder = forward_to(backend, interval_s=60)
    forwarder.put([row(n) for n in range(5)])
    assert forwarder.flush(PATIENCE_S)
    state = forwarder.state()["traces"]
    assert (state["sent"], state["refused"], state["last_error"]) == (3, 2, "too old")
    assert len(backend.posts) == 1


def test_beyond_the_queue_items_are_dropped_and_counted(forward_to):
    """A backend that stalls costs the newest items once the bound is reached; what is inside it all arrives."""
    backend = Backend()
    backend.gate.clear()
    forwarder = forward_to(backend, max_items=50)
    for number in range(80):
        forwarder.put([row(number)])
    assert forwarder.state()["traces"]["dropped"] == 30
    backend.gate.set()
    assert forwarder.flush(PATIENCE_S)
    assert backend.spans() == [f"call {n}" for n in range(50)]


def test_the_queue_is_bounded_in_bytes(forward_to):
    """Memory is the bound where items are long."""
    backend = Backend()
    backend.gate.clear()
    forwarder = forward_to(backend, max_bytes=10 * 1024)
    forwarder.put([row(n) for n in range(20)])
    assert forwarder.state()["traces"]["dropped"] == 10
    backend.gate.set()


def test_what_is_queued_leaves_at_the_stop(forward_to):
    """Stop sends the rest and says that nothing was lost."""
    backend = Backend()
    forwarder = forward_to(backend, interval_s=60)
    forwarder.put([row(n) for n in range(7)])
    assert forwarder.stop(PATIENCE_S) == 0
    assert len(backend.spans()) == 7


def test_what_cannot_leave_before_the_stop_is_counted(forward_to):
    """A dead backend does not hold LLMFlow up, and the loss is told."""
    forwarder = forward_to(Backend(*[503] * 10_000))
    forwarder.put([row(n) for n in range(7)])
    wait_until(lambda: forwarder.state()["traces"]["retries"] > 0)
    assert forwarder.stop(0.05) == 7
    assert forwarder.state()["traces"]["queued"] == 0


def test_a_post_that_cannot_be_made_does_not_end_the_lane(forward_to):
    """Not even an error nobody thought of."""
    backend = Backend(ValueError("no such thing"), 200)
    forwarder = forward_to(backend, batch_items=1)
    forwarder.put([row(1), row(2)])
    assert forwarder.flush(PATIENCE_S)
    assert backend.spans() == ["call 2"]
    assert forwarder.state()["traces"]["refused"] == 1


def test_an_item_that_cannot_be_written_does_not_end_the_lane(forward_to):
    """It is counted as refused; the next batch goes out."""
    backend = Backend()
    forwarder = forward_to(backend, batch_items=1)
    broken = row(1)
    broken.span.start_ns = "yesterday"  # type: ignore[assignment]
    forwarder.put([broken, row(2)])
    assert forwarder.flush(PATIENCE_S)
    assert backend.spans() == ["call 2"]
    assert forwarder.state()["traces"]["refused"] == 1


def test_received_bodies_leave_as_they_came_when_asked_to(forward_to):
    """With raw forwarding the bytes are the same, and their rows are not sent a second time."""
    backend = Backend()
    forwarder = forward_to(backend, is_raw=True)
    received = row(1)
    received.span.source = "otlp"
    forwarder.put([received, row(2)])
    forwarder.put_received("traces", b"{ }", 1, is_json=True)
    assert forwarder.flush(PATIENCE_S)
    kinds = {headers["content-type"]: body for _, headers, body in backend.posts}
    assert gzip.decompress(kinds["application/json"]) == b"{ }"
    assert [
        s.name for s in decode("traces", gzip.decompress(kinds["application/x-protobuf"]), is_json=False).items
    ] == ["call 2"]


def test_headers_of_the_settings_go_with_every_post(forward_to):
    """That is where a backend's key is."""
    backend = Backend()
    forwarder = forward_to(backend, headers=(("authorization", "Bearer abc"),), is_gzip=False, is_json=True)
    forwarder.put([row(1)])
    assert forwarder.flush(PATIENCE_S)
    _, headers, body = backend.posts[0]
    assert headers == {"content-type": "application/json", "authorization": "Bearer abc"}
    assert decode("traces", body, is_json=True).items[0].trace_id == f"{2:032x}"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5", 5.0), (" 120 ", 120.0), (None, None), ("", None), ("soon", None), ("-1", None),
     ("Thu, 01 Jan 1970 00:01:40 GMT", 90.0), ("Thu, 01 Jan 1970 00:00:01 GMT", 0.0)],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date(text, seconds):
    """RFC 9110 10.2.3; anything else is as if it were not there."""
    assert retry_after_s(text, now=10.0) == seconds
